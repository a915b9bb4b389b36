package kubernetes

import (
	"tidewaiter/source"
	"tidewaiter/source/envelope"
)

// lookup decodes objects of one kind as "kubectl get -o json" prints them: one,
// or a list.
type lookup struct {
	out    *source.Output
	nested envelope.Opener
	// kind is the objects' kind; part is what each has, also one without a kind.
	kind, part string
	// not is the fault of what is neither.
	not error
	// tell reads one object.
	tell func(rec source.Record, e envelope.Opened)
}

// Decode implements source.Decoder.
func (d *lookup) Decode(rec source.Record) { d.open(rec, false, 0) }

// Flush implements source.Decoder; nothing is held back.
func (d *lookup) Flush() {}

// open reads an object, or the elements of a list. Those of a list of the kind, as
// the API gives it, have no kind of their own.
func (d *lookup) open(rec source.Record, inList bool, depth int) {
	e, ok := d.nested.Open(d.out, rec, depth)
	if !ok {
		return
	}
	kind, list := e.String("kind"), d.kind+"List"
	switch fault := e.Parser.Fault(); {
	case fault != nil:
		d.out.Unreadable(rec, fault)
	case (kind == "List" || kind == list) && e.Get("items").IsArray():
		envelope.Spread(d.out, rec, func(r source.Record) { d.open(r, kind == list, depth+1) }, "items")
	case kind == d.kind || inList && kind == "" && e.Get(d.part).IsObject():
		d.tell(rec, e)
	case depth > 0 && kind != "":
		d.out.Skip() // a list may hold other things
	default:
		d.out.Unreadable(rec, d.not)
	}
}
