package kubernetes

import (
	"bytes"
	"cmp"
	"errors"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/envelope"
)

// Nodes is nodes as "kubectl get nodes -o json" prints them: one, or a list
// (kubernetes.io, Node v1 core). It is a look-up: it tells a host's addresses,
// and which of a cloud's machines it is.
func Nodes() *source.Format {
	return &source.Format{
		Name:    "k8s-nodes",
		Title:   "Kubernetes nodes (kubectl get nodes -o json)",
		Source:  event.Inspect,
		Framing: source.JSONValues,
		Sniff:   sniffNodes,
		New:     newNodes,
	}
}

var errNotNode = errors.New("no Kubernetes node, and no list of nodes")

// newNodes makes the decoder.
func newNodes(out *source.Output) source.Decoder {
	return &lookup{out: out, kind: "Node", part: "metadata", not: errNotNode, tell: func(rec source.Record, e envelope.Opened) {
		r := request{verb: "get", resource: "nodes", answered: e.Value}
		told, err := r.event()
		if err = cmp.Or(e.Parser.Fault(), err); err == nil && r.object("Node").Name == "" {
			err = errNotNode
		}
		if out.Tells(rec, told.Body, err) {
			out.Event(told, rec.Data, rec.Span)
		}
	}}
}

// sniffNodes knows a node by its kind, and a list by what is in it.
func sniffNodes(head source.Sample) int {
	has := func(s string) bool { return bytes.Contains(head.Data, []byte(s)) }
	node := has(`"kind": "Node"`) || has(`"kind":"Node"`) || has(`"kind": "NodeList"`) || has(`"kind":"NodeList"`)
	switch {
	case !node || has(`"containers"`) || has("auditID") || has("involvedObject") || has("regarding"):
		return 0
	case head.HasKeys("kind", "status", "metadata"), head.HasKeys("kind", "items"):
		return 80
	}
	return 0
}
