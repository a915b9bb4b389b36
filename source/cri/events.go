package cri

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Events is what a CRI runtime tells the kubelet of its containers, as "crictl
// events -o json" prints it (cri-api runtime/v1, ContainerEventResponse in
// protobuf's JSON). CRI-O sends these events with enable_pod_events, containerd
// since 1.7. Besides what happened each event has the state of the whole pod:
// its address, and every container's image by digest.
func Events() *source.Format {
	return &source.Format{
		Name:    "cri-events",
		Title:   "CRI container events (crictl events -o json)",
		Source:  event.CRI,
		Framing: source.JSONValues,
		Sniff: func(head source.Sample) int {
			if head.HasKeys("containerId", "containerEventType") {
				return 95
			}
			return 0
		},
		New: func(out *source.Output) source.Decoder { return &eventsDecoder{out: out} },
	}
}

var (
	errNoEventType = errors.New("no kind of event; want containerEventType")
	errNoEventTime = errors.New("no time; want createdAt, in nanoseconds")
)

type eventsDecoder struct {
	out    *source.Output
	parser jsonrecord.Parser
	refs   image.Parser
}

// Flush implements source.Decoder; nothing is held back.
func (d *eventsDecoder) Flush() {}

// Decode implements source.Decoder.
func (d *eventsDecoder) Decode(rec source.Record) {
	v, err := d.parser.Parse(rec.Data)
	if err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	e, err := d.read(v)
	if err = errors.Join(d.parser.Fault(), err); !d.out.Tells(rec, e.Body, err) {
		return
	}
	key := v.String("containerId") + "|" + v.String("containerEventType") + "|" + v.Number("createdAt")
	if status := d.status(v.Get("podSandboxStatus"), v.Array("containersStatuses")); status != nil {
		d.out.Beside(event.Event{Time: e.Time, Body: status}, []byte(key+"|pod"), rec.Span)
	}
	d.out.Event(e, []byte(key), rec.Span)
}

// read reads what happened; the body is nil for kinds of events that came
// after this was written.
func (d *eventsDecoder) read(v jsonrecord.Value) (e event.Event, err error) {
	id := v.String("containerId")
	if id == "" {
		return e, errNoID
	}
	if e.Time = nanoseconds(v.Get("createdAt")); e.Time.IsZero() {
		return e, errNoEventTime
	}
	action, known := map[string]event.ContainerAction{
		"CONTAINER_CREATED_EVENT": event.ContainerCreate, "CONTAINER_STARTED_EVENT": event.ContainerStart,
		"CONTAINER_STOPPED_EVENT": event.ContainerExit, "CONTAINER_DELETED_EVENT": event.ContainerRemove,
	}[v.String("containerEventType")]
	if !known {
		if v.String("containerEventType") == "" {
			err = errNoEventType
		}
		return e, err
	}
	sandbox := v.Get("podSandboxStatus")
	if id == sandbox.String("id") {
		if action != event.ContainerStart { // it was told when it was created
			e.Body = &event.Sandbox{Action: action, ID: id, Object: podOf(sandbox), Addrs: addresses(sandbox)}
		}
		return e, nil
	}
	body := &event.Container{Action: action, ID: id, Sandbox: sandbox.String("id")}
	for _, c := range v.Array("containersStatuses") {
		if c.String("id") == id {
			body.Name, body.Image = c.String("metadata", "name"), d.refs.Parse(imageName(c))
			code, _ := c.Int("exitCode")
			body.ExitCode = int(code)
		}
	}
	if pod := podOf(sandbox); pod.Name != "" {
		body.Labels = map[string]string{labelNamespace: pod.Namespace, labelPod: pod.Name}
		if body.Name != "" {
			body.Labels[labelContainer] = body.Name
		}
	}
	e.Body = body
	return e, nil
}

// status is the pod's state, nil if it is not told.
func (d *eventsDecoder) status(sandbox jsonrecord.Value, containers []jsonrecord.Value) event.Body {
	pod := podOf(sandbox)
	if pod.Name == "" || len(containers) == 0 {
		return nil
	}
	s := &event.PodStatus{Object: pod, Addrs: addresses(sandbox)}
	for _, c := range containers {
		s.Containers = append(s.Containers, event.ContainerStatus{
			Name: c.String("metadata", "name"), ID: c.String("id"), Image: d.refs.Parse(imageName(c)),
			ImageID: ranDigest(c), StartedAt: nanoseconds(c.Get("startedAt")),
		})
	}
	return s
}

func podOf(sandbox jsonrecord.Value) event.ObjectRef {
	meta := sandbox.Get("metadata")
	if meta.String("name") == "" {
		return event.ObjectRef{}
	}
	return event.ObjectRef{Kind: "Pod", Namespace: meta.String("namespace"), Name: meta.String("name"), UID: meta.String("uid")}
}

// addresses are the pod's own; a pod in the host's network has none.
func addresses(sandbox jsonrecord.Value) (out []netip.Addr) {
	add := func(s string) {
		if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, a)
		}
	}
	add(sandbox.String("network", "ip"))
	for _, more := range sandbox.Array("network", "additionalIps") {
		add(more.String("ip"))
	}
	return out
}

// imageName is how the container's image was asked for, which newer runtimes
// tell apart from what they found.
func imageName(c jsonrecord.Value) string {
	if s := c.String("image", "userSpecifiedImage"); s != "" {
		return s
	}
	return c.String("image", "image")
}

// ranDigest is the digest of what runs: "repository@digest", or a config digest
// alone.
func ranDigest(c jsonrecord.Value) image.Digest {
	s := c.String("imageRef")
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		s = s[i+1:]
	}
	d, err := image.ParseID(s)
	if err != nil {
		return image.Digest{}
	}
	return d
}

// nanoseconds reads a time as CRI writes it; 0 means that it is not yet.
func nanoseconds(v jsonrecord.Value) event.Time {
	n, ok := v.Int()
	if !ok || n <= 0 {
		return event.Time{}
	}
	return event.At(time.Unix(0, n), 1)
}
