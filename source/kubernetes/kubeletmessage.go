package kubernetes

import (
	"strconv"
	"strings"
	"time"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// fields are the values beside a log message, by key.
type fields interface {
	// message is the message itself.
	message() string
	// text is a value as text, "" if it is missing.
	text(key string) string
	// pod names the pod under key pod.
	pod() (namespace, name string)
	// lifecycle takes the value under key event apart.
	lifecycle() (id, kind, data string)
}

// readMessage reads klog text after its header, in the spellings of several
// versions.
func readMessage(message string, l *kubeletLine) {
	switch {
	case strings.HasPrefix(message, `"`):
		if f, ok := readPairs(message); ok {
			readFields(f, l)
		}
	case strings.HasPrefix(message, "SyncLoop (PLEG): "):
		readOldLifecycle(message, l)
	case strings.HasPrefix(message, "verb="):
		if f, ok := readPairs(`"HTTP" ` + message); ok {
			readFields(f, l)
		}
	default:
		readOldRequest(message, l)
	}
}

// readFields reads a message with fields, whichever way they were written.
func readFields(f fields, l *kubeletLine) {
	switch f.message() {
	case "SyncLoop (PLEG): event for pod":
		id, kind, data := f.lifecycle()
		namespace, name := f.pod()
		l.started(kind, data, event.ObjectRef{Kind: "Pod", Namespace: namespace, Name: name, UID: id})
	case "HTTP":
		agent := f.text("userAgent")
		if agent == "" {
			agent = f.text("UserAgent")
		}
		code, _ := strconv.Atoi(f.text("resp"))
		if f.text("hijacked") == "true" {
			code = 101
		}
		l.requested(kubeletRequest{f.text("verb"), f.text("URI"), f.text("latency"), agent, f.text("srcIP"), code})
	}
}

// started says that the kubelet saw a container run. Whether it is one of the
// pod's own or the sandbox around them is not told, nor its name.
func (l *kubeletLine) started(kind, data string, pod event.ObjectRef) {
	if kind != "ContainerStarted" || data == "" || pod.UID == "" {
		return
	}
	l.body = &event.PodStatus{Object: pod, Node: l.host, Containers: []event.ContainerStatus{{ID: data}}}
}

// kubeletRequest is one request to the kubelet's port.
type kubeletRequest struct {
	method, uri, latency, agent, client string
	code                                int
}

func (l *kubeletLine) requested(r kubeletRequest) {
	a := kubeletAccess(r.uri)
	if a == nil || r.method != "GET" && r.method != "POST" {
		return
	}
	a.By = event.Principal{Agent: r.agent, Clients: addresses([]string{r.client})}
	if r.code > 0 && r.code < 1000 {
		a.Code = r.code
	}
	l.body = a
	if d, err := time.ParseDuration(r.latency); err == nil && d > 0 && d < maxLatency {
		l.latency = d
	}
}

// maxLatency is the longest request that is believed.
const maxLatency = 366 * 24 * time.Hour

// readOldLifecycle reads, until 1.20,
//
//	SyncLoop (PLEG): "web_prod(UID)", event: &pleg.PodLifecycleEvent{ID:"UID", Type:"ContainerStarted", Data:"ID"}
func readOldLifecycle(message string, l *kubeletLine) {
	_, rest, _ := strings.Cut(message, `"`)
	pod, rest, ok := strings.Cut(rest, `", event: `)
	if !ok {
		return
	}
	id, kind, data := lifecycleText(rest)
	name, namespace, _ := strings.Cut(pod, "_")
	namespace, _, _ = strings.Cut(namespace, "(")
	l.started(kind, data, event.ObjectRef{Kind: "Pod", Namespace: namespace, Name: name, UID: id})
}

// readOldRequest reads, until 1.18,
//
//	POST /exec/prod/web/app?command=id: (12.3ms) 302 [[kube-apiserver/v1.18] 192.0.2.1:5000]
func readOldRequest(message string, l *kubeletLine) {
	method, rest, _ := strings.Cut(message, " ")
	uri, rest, ok := strings.Cut(rest, ": (")
	if !ok {
		return
	}
	latency, rest, _ := strings.Cut(rest, ") ")
	status, who, _ := strings.Cut(rest, " [")
	code, _ := strconv.Atoi(strings.TrimSpace(status))
	if strings.HasPrefix(status, "hijacked") {
		code = 101
	}
	who = strings.TrimSuffix(strings.TrimSpace(who), "]")
	i := strings.LastIndexByte(who, ' ')
	agent := strings.Trim(who[:max(i, 0)], "[]")
	l.requested(kubeletRequest{method, uri, latency, agent, who[i+1:], code})
}

// pairs are the fields of klog's structured text: "message" key="value" key=value.
type pairs struct {
	said   string
	values map[string]string
}

// maxPairs bounds the fields that are read of one line.
const maxPairs = 64

// readPairs fails on text that is not so. Of a key that stands twice the first
// counts: the kubelet itself never writes one.
func readPairs(s string) (pairs, bool) {
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return pairs{}, false
	}
	p := pairs{values: map[string]string{}}
	p.said, _ = strconv.Unquote(quoted)
	rest := s[len(quoted):]
	for range maxPairs {
		rest = strings.TrimLeft(rest, " ")
		key, after, ok := strings.Cut(rest, "=")
		if !ok || strings.ContainsAny(key, ` "`) {
			break
		}
		var value string
		value, rest = cutValue(after)
		if _, twice := p.values[key]; !twice {
			p.values[key] = value
		}
	}
	return p, true
}

// cutValue reads one value: quoted, in braces, or up to the next blank.
func cutValue(s string) (value, rest string) {
	if quoted, err := strconv.QuotedPrefix(s); err == nil {
		value, _ = strconv.Unquote(quoted)
		return value, s[len(quoted):]
	}
	if strings.HasPrefix(s, "{") || strings.HasPrefix(s, "&{") {
		if i := strings.IndexByte(s, '}'); i >= 0 {
			return s[:i+1], s[i+1:]
		}
	}
	value, rest, _ = strings.Cut(s, " ")
	return value, rest
}

func (p pairs) message() string        { return p.said }
func (p pairs) text(key string) string { return p.values[key] }

func (p pairs) pod() (namespace, name string) {
	namespace, name, _ = strings.Cut(p.values["pod"], "/")
	return namespace, name
}

func (p pairs) lifecycle() (id, kind, data string) { return lifecycleText(p.values["event"]) }

// lifecycleText reads an event as Go prints a struct, in three ways: {ID:…
// Type:…}, {ID:"…", Type:"…"} and {"ID":"…","Type":"…"}.
func lifecycleText(s string) (id, kind, data string) {
	_, s, _ = strings.Cut(s, "{")
	s, _, _ = strings.Cut(s, "}")
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' }) {
		key, value, _ := strings.Cut(part, ":")
		value = strings.Trim(value, `"`)
		switch strings.Trim(key, `"`) {
		case "ID":
			id = value
		case "Type":
			kind = value
		case "Data":
			data = value
		}
	}
	return id, kind, data
}

// jsonFields are the fields of the JSON logging format.
type jsonFields struct{ v jsonrecord.Value }

func (f jsonFields) message() string { return f.v.String("msg") }

func (f jsonFields) text(key string) string {
	if f.v.Bool(key) {
		return "true"
	}
	return f.v.Number(key)
}

// pod is an object there; a text where it was made into one before.
func (f jsonFields) pod() (namespace, name string) {
	if text := f.v.String("pod"); text != "" {
		namespace, name, _ = strings.Cut(text, "/")
		return namespace, name
	}
	return f.v.String("pod", "namespace"), f.v.String("pod", "name")
}

func (f jsonFields) lifecycle() (id, kind, data string) {
	e := f.v.Get("event")
	if e.IsString() {
		return lifecycleText(e.String())
	}
	return e.String("ID"), e.String("Type"), e.String("Data")
}
