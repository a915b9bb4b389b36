package kubernetes

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/envelope"
	"tidewaiter/source/jsonrecord"
)

// Pods is pods as "kubectl get pods -o json" prints them: one, or a list
// (kubernetes.io, Pod v1 core). It is a look-up: it tells what a pod was asked
// to be and what it is, and nothing of who asked. Its time is that of the pod's
// creation, which stands in it.
func Pods() *source.Format {
	return &source.Format{
		Name:    "k8s-pods",
		Title:   "Kubernetes pods (kubectl get pods -o json)",
		Source:  event.Inspect,
		Framing: source.JSONValues,
		Sniff:   sniffPods,
		New:     func(out *source.Output) source.Decoder { return &podsDecoder{out: out} },
	}
}

var errNotPod = errors.New("no Kubernetes pod, and no list of pods")

type podsDecoder struct {
	out    *source.Output
	nested envelope.Opener
	refs   image.Parser
}

// Decode implements source.Decoder.
func (d *podsDecoder) Decode(rec source.Record) { d.open(rec, false, 0) }

// Flush implements source.Decoder; nothing is held back.
func (d *podsDecoder) Flush() {}

// open reads a pod, or the elements of a list. Those of a PodList, as the API
// gives it, have no kind of their own.
func (d *podsDecoder) open(rec source.Record, inList bool, depth int) {
	e, ok := d.nested.Open(d.out, rec, depth)
	if !ok {
		return
	}
	kind := e.String("kind")
	switch fault := e.Parser.Fault(); {
	case fault != nil:
		d.out.Unreadable(rec, fault)
	case (kind == "List" || kind == "PodList") && e.Get("items").IsArray():
		envelope.Spread(d.out, rec, func(r source.Record) { d.open(r, kind == "PodList", depth+1) }, "items")
	case kind == "Pod" || inList && kind == "" && e.Get("spec").IsObject():
		d.tell(rec, e.Value, e.Parser)
	case depth > 0 && kind != "":
		d.out.Skip() // a list may hold other things
	default:
		d.out.Unreadable(rec, errNotPod)
	}
}

// tell reads one pod: its specification and its status.
func (d *podsDecoder) tell(rec source.Record, v jsonrecord.Value, parser *jsonrecord.Parser) {
	r := request{verb: "get", answered: v, refs: &d.refs}
	at, err := statedTime(v.Get("metadata", "creationTimestamp"))
	pod, errPod := r.describedPod()
	if err = cmp.Or(parser.Fault(), err, errPod); err == nil && at.IsZero() {
		err = fmt.Errorf("%w: want metadata.creationTimestamp", errNoTime)
	}
	if err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	key := cmp.Or(v.String("metadata", "uid"), string(rec.Data)) + "|" + v.String("metadata", "resourceVersion")
	d.out.Event(event.Event{Time: at, Body: pod}, []byte(key), rec.Span)
}

// sniffPods knows a pod by its kind, and a list by what is in it.
func sniffPods(head source.Sample) int {
	has := func(s string) bool { return bytes.Contains(head.Data, []byte(s)) }
	pod := has(`"containers"`) && (has(`"kind": "Pod"`) || has(`"kind":"Pod"`) || has(`"kind": "PodList"`) || has(`"kind":"PodList"`))
	switch {
	case !pod || has("auditID") || has("involvedObject"):
		return 0
	case head.HasKeys("kind", "spec", "metadata"), head.HasKeys("kind", "items"):
		return 85
	}
	return 0
}
