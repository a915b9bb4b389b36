package kubernetes

import (
	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// maxEnvelopes is how deep envelopes are opened: a shipper's around a cloud's
// around a list.
const maxEnvelopes = 4

// nested parses records that may be envelopes of others. A value lives until
// its parser's next record, so each depth has its own.
type nested struct {
	parsers [maxEnvelopes]jsonrecord.Parser
}

// envelope is an object, and what is known from those around it.
type envelope struct {
	jsonrecord.Value
	parser *jsonrecord.Parser
	rec    source.Record
	place  event.Place
	// depth counts the envelopes that are open around it.
	depth int
}

// open parses a record. ok is false if it is no object, or lies too deep: that
// is accounted for then.
func (n *nested) open(out *source.Output, rec source.Record, depth int) (e envelope, ok bool) {
	if depth == maxEnvelopes {
		out.Unreadable(rec, errDeep)
		return e, false
	}
	e = envelope{parser: &n.parsers[depth], rec: rec, depth: depth}
	var err error
	if e.Value, err = e.parser.Parse(rec.Data); err == nil && !e.IsObject() {
		err = errNotObject
	}
	if err != nil {
		out.Unreadable(rec, err)
	}
	return e, err == nil
}
