// Package envelope opens what clouds and log shippers put around records: lists
// of records in one object, and one record as text in another.
//
// In: a JSON record. Out: the records in it, each with its own place in the
// file, so that a list of a thousand is a thousand records and each is cited by
// itself.
package envelope

import (
	"bytes"
	"errors"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Depth is how deep envelopes are opened: a shipper's around a cloud's around
// a list, and one more.
const Depth = 4

// The reasons for which a record is not opened.
var (
	ErrDeep       = errors.New("too many envelopes around one another")
	ErrListInText = errors.New("a list inside a text: its records cannot be cited")
	ErrNotObject  = errors.New("not a JSON object")
	ErrEscapedKey = errors.New("a list whose key is written with escapes")
)

// Opener parses records that may be envelopes of others. A value lives until
// its parser's next record, so each depth has its own. The zero Opener is
// ready. Not safe for concurrent use.
type Opener struct {
	parsers [Depth]jsonrecord.Parser
}

// Opened is an object, and what is known from those around it.
type Opened struct {
	jsonrecord.Value
	// Parser is the one that read it, for its Fault.
	Parser *jsonrecord.Parser
	// Rec is the record, Place what the envelopes around it say of its place.
	Rec   source.Record
	Place event.Place
	// Depth counts the envelopes that are open around it.
	Depth int
}

// Open parses a record. ok is false if it is no object, or lies too deep: that
// is accounted for then.
func (o *Opener) Open(out *source.Output, rec source.Record, depth int) (e Opened, ok bool) {
	if depth == Depth {
		out.Unreadable(rec, ErrDeep)
		return e, false
	}
	e = Opened{Parser: &o.parsers[depth], Rec: rec, Depth: depth}
	var err error
	if e.Value, err = e.Parser.Parse(rec.Data); err == nil && !e.IsObject() {
		err = ErrNotObject
	}
	if err != nil {
		out.Unreadable(rec, err)
	}
	return e, err == nil
}

// InText reports whether a record's bytes are not those at its place in the
// file, because they were unescaped.
func InText(rec source.Record) bool { return len(rec.Data) != rec.Length }

// Spread gives the elements of the array at keys as records of their own and
// counts them so. An empty array is one record that says nothing. Whoever
// calls it has seen the array there.
func Spread(out *source.Output, rec source.Record, decode func(source.Record), keys ...string) {
	if InText(rec) {
		out.Unreadable(rec, ErrListInText)
		return
	}
	list, ok := Elements(rec, keys...)
	switch {
	case !ok:
		out.Unreadable(rec, ErrEscapedKey)
		return
	case len(list) == 0:
		out.Skip()
		return
	}
	out.Tally.Records += int64(len(list) - 1)
	for _, e := range list {
		decode(e)
	}
}

// First parses the first object of a sample, bare or in an array. ok is false
// if there is none, or none that is whole.
func First(head source.Sample, p *jsonrecord.Parser) (v jsonrecord.Value, ok bool) {
	data := bytes.TrimLeft(head.Data, " \t\r\n[\x1e")
	if len(data) == 0 || data[0] != '{' {
		return v, false
	}
	n := valueEnd(data, 0)
	if n == 0 {
		return v, false
	}
	v, err := p.Parse(data[:n])
	return v, err == nil
}
