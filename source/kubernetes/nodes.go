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
		New:     func(out *source.Output) source.Decoder { return &nodesDecoder{out: out} },
	}
}

var errNotNode = errors.New("no Kubernetes node, and no list of nodes")

type nodesDecoder struct {
	out    *source.Output
	nested envelope.Opener
}

// Decode implements source.Decoder.
func (d *nodesDecoder) Decode(rec source.Record) { d.open(rec, false, 0) }

// Flush implements source.Decoder; nothing is held back.
func (d *nodesDecoder) Flush() {}

// open reads a node, or the elements of a list. Those of a NodeList, as the API
// gives it, have no kind of their own.
func (d *nodesDecoder) open(rec source.Record, inList bool, depth int) {
	e, ok := d.nested.Open(d.out, rec, depth)
	if !ok {
		return
	}
	kind := e.String("kind")
	switch fault := e.Parser.Fault(); {
	case fault != nil:
		d.out.Unreadable(rec, fault)
	case (kind == "List" || kind == "NodeList") && e.Get("items").IsArray():
		envelope.Spread(d.out, rec, func(r source.Record) { d.open(r, kind == "NodeList", depth+1) }, "items")
	case kind == "Node" || inList && kind == "" && e.Get("metadata").IsObject():
		r := request{verb: "get", resource: "nodes", answered: e.Value}
		told, err := r.event()
		if err = cmp.Or(e.Parser.Fault(), err); err == nil && r.object("Node").Name == "" {
			err = errNotNode
		}
		if d.out.Tells(rec, told.Body, err) {
			d.out.Event(told, rec.Data, rec.Span)
		}
	case depth > 0 && kind != "":
		d.out.Skip() // a list may hold other things
	default:
		d.out.Unreadable(rec, errNotNode)
	}
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
