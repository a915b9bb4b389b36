package actor

import (
	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Reader reads what a record says: an event, whose body is nil if it tells
// nothing that anybody wants, and what makes it unique, "" if that is the record
// itself. v is valid only during the call.
type Reader func(v jsonrecord.Value) (e event.Event, key string, err error)

// NewDecoder makes a decoder of JSON records that each tell one thing.
func NewDecoder(out *source.Output, read Reader) source.Decoder {
	return &decoder{out: out, read: read}
}

type decoder struct {
	out    *source.Output
	read   Reader
	parser jsonrecord.Parser
}

// Decode implements source.Decoder.
func (d *decoder) Decode(rec source.Record) {
	v, err := d.parser.Parse(rec.Data)
	if err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	e, key, err := d.read(v)
	if fault := d.parser.Fault(); fault != nil {
		err = fault
	}
	if key == "" {
		key = string(rec.Data)
	}
	if d.out.Tells(rec, e.Body, err) {
		d.out.Event(e, []byte(key), rec.Span)
	}
}

// Flush implements source.Decoder; nothing is held back.
func (d *decoder) Flush() {}
