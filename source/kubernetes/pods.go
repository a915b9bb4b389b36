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
		New:     newPods,
	}
}

var errNotPod = errors.New("no Kubernetes pod, and no list of pods")

// newPods makes the decoder.
func newPods(out *source.Output) source.Decoder {
	var refs image.Parser
	return &lookup{out: out, kind: "Pod", part: "spec", not: errNotPod, tell: func(rec source.Record, e envelope.Opened) { tellPod(out, &refs, rec, e) }}
}

// tellPod reads one pod: its specification and its status.
func tellPod(out *source.Output, refs *image.Parser, rec source.Record, e envelope.Opened) {
	v := e.Value
	r := request{verb: "get", answered: v, refs: refs}
	at, err := statedTime(v.Get("metadata", "creationTimestamp"))
	pod, errPod := r.describedPod()
	if err = cmp.Or(e.Parser.Fault(), err, errPod); err == nil && at.IsZero() {
		err = fmt.Errorf("%w: want metadata.creationTimestamp", errNoTime)
	}
	if err != nil {
		out.Unreadable(rec, err)
		return
	}
	key := cmp.Or(v.String("metadata", "uid"), string(rec.Data)) + "|" + v.String("metadata", "resourceVersion")
	out.Event(event.Event{Time: at, Body: pod}, []byte(key), rec.Span)
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
