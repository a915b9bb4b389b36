package docker

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Authorization is what an authorization plugin of the Docker Engine wrote down
// of the calls that it was asked about: the payloads as the engine sends them
// (moby, pkg/authorization/api.go), with a time that the plugin adds; the
// decisions of opa-docker-authz; and plain lines of method, uri and user. It is
// the one source that tells a caller's certificate, and never its address. The
// engine hands on bodies of JSON only, so that no build's context is in it.
func Authorization() *source.Format {
	return &source.Format{
		Name:    "docker-authz",
		Title:   "Docker authorization plugin (payloads, opa-docker-authz)",
		Source:  event.DockerAuthz,
		Framing: source.JSONLists,
		Sniff:   sniffAuthorization,
		New: func(out *source.Output) source.Decoder {
			return &authzDecoder{out: out}
		},
	}
}

var (
	errNoCall     = errors.New("no call: want RequestMethod and RequestUri, or method and uri")
	errNoCallTime = errors.New("no time: the engine sends none, the plugin must add one as timestamp, time, ts or t")
)

// Bounds of the wait for the answer to a call, of which a plugin is told apart.
const (
	waitAnswers    = 256
	waitAnswerTime = 10 * event.Second
)

type authzDecoder struct {
	out     *source.Output
	parser  jsonrecord.Parser
	inner   jsonrecord.Parser
	waiting []call // oldest first
}

// authzCall is one record.
type authzCall struct {
	call
	answer bool // it is the engine's answer to one
}

// Decode implements source.Decoder.
func (d *authzDecoder) Decode(rec source.Record) {
	c, err := d.read(rec)
	switch {
	case err != nil:
		d.out.Unreadable(rec, err)
		return
	case c == nil:
		d.out.Skip()
		return
	}
	n := 0
	for n < len(d.waiting) && (len(d.waiting)-n >= waitAnswers || c.at.At-d.waiting[n].at.At > waitAnswerTime) {
		n++
	}
	d.release(n)
	if !c.answer {
		d.waiting = append(d.waiting, c.call)
		return
	}
	for i, w := range d.waiting {
		if w.key == c.key && w.at.At <= c.at.At {
			w.req.Status = c.req.Status
			d.waiting = append(d.waiting[:i], d.waiting[i+1:]...)
			d.emit(w, w.span, c.span)
			return
		}
	}
	d.emit(c.call, c.span)
}

// Flush implements source.Decoder: calls whose answer did not come are told
// without.
func (d *authzDecoder) Flush() { d.release(len(d.waiting)) }

func (d *authzDecoder) release(n int) {
	for _, c := range d.waiting[:n] {
		d.emit(c, c.span)
	}
	d.waiting = append(d.waiting[:0], d.waiting[n:]...)
}

func (d *authzDecoder) emit(c call, spans ...event.Span) {
	d.out.Event(event.Event{Time: c.at, Body: c.req}, []byte(c.key+"|"+c.at.String()), spans...)
}

// first is the value at the first of keys that is there.
func first(o jsonrecord.Value, keys ...string) jsonrecord.Value {
	for _, k := range keys {
		if v := o.Get(k); v.Exists() {
			return v
		}
	}
	return jsonrecord.Value{}
}

// read gives nil for a call that changes nothing.
func (d *authzDecoder) read(rec source.Record) (*authzCall, error) {
	o, err := d.parser.Parse(rec.Data)
	if err != nil {
		return nil, err
	}
	in := o
	if v := first(o, "input", "Request", "request"); v.IsObject() {
		in = v
	}
	method := strings.ToUpper(first(in, "RequestMethod", "Method", "method").String())
	target := first(in, "RequestUri", "RequestURI", "Path", "uri").String()
	if method == "" || target == "" {
		return nil, errNoCall
	}
	if method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions {
		return nil, d.parser.Fault()
	}
	req, err := parseRequest(method, target)
	if err != nil || !changes(req.Method, req.Path) {
		return nil, err
	}
	req.User = first(in, "User", "user").String()
	req.Agent = first(first(in, "RequestHeaders", "Headers", "req_headers"), "User-Agent", "user-agent").String()
	if n, ok := first(in, "ResponseStatusCode", "status").Int(); ok && n >= 100 && n <= 599 {
		req.Status = int(n)
	}
	c := &authzCall{answer: req.Status > 0 || in.Get("kind").Is("res")}
	if o.Get("result").Any() == false { // the plugin's own decision
		req.Status = http.StatusForbidden
	}
	if req.Method == http.MethodPost && req.Path == pathCreate {
		if req.Create, err = d.create(first(in, "RequestBody", "Body", "req_body"), req.Query.Get("name")); err != nil {
			return nil, fmt.Errorf("the request's body: %w", err)
		}
	}
	at, err := callTime(first(o, "timestamp", "time", "ts", "t", "@timestamp", "Timestamp").Number())
	if err == nil {
		err = d.parser.Fault()
	}
	if err != nil {
		return nil, err
	}
	c.call = call{at: at, key: method + " " + target + " " + req.User, span: rec.Span, req: req}
	return c, nil
}

func callTime(s string) (event.Time, error) {
	switch {
	case s == "":
		return event.Time{}, errNoCallTime
	case strings.Trim(s, "0123456789.") == "":
		return event.ParseEpoch(s)
	}
	return event.ParseRFC3339(s)
}

// create reads a body: an object, one as text, or, as the engine sends it, one
// in base64. Nil if none is told.
func (d *authzDecoder) create(body jsonrecord.Value, name string) (*event.ContainerDescription, error) {
	if text := body.Bytes(); body.IsString() && len(text) > 0 {
		if text[0] != '{' {
			plain, err := base64.StdEncoding.DecodeString(string(text))
			if err != nil {
				return nil, err
			}
			text = plain
		}
		var err error
		if body, err = d.inner.Parse(text); err != nil {
			return nil, err
		}
	}
	if !isCreateBody(body) {
		return nil, nil
	}
	create, err := describeCreate(body, name)
	if err == nil {
		err = d.inner.Fault()
	}
	return create, err
}

func sniffAuthorization(head source.Sample) int {
	switch {
	case head.HasKeys("RequestMethod", "RequestUri"), head.HasKeys("RequestMethod", "RequestURI"):
		return 92
	case head.HasKeys("decision_id", "input") && strings.Contains(string(head.Data), `"PathArr"`):
		return 92
	case head.HasKeys("method", "uri", "user", "authn"):
		return 80
	}
	return 0
}
