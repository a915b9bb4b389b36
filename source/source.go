// Package source turns native records into typed events. Its sub-packages hold
// one family of formats each and are the only code that parses raw logs; this
// package holds what they share: opening and framing files, telling a format
// by its content, citing lines, and counting what could not be read.
//
// In: files, folders, standard input. Out: event.Event, in the order of the
// input, and a Tally of what was read.
package source

import (
	"fmt"
	"time"

	"tidewaiter/event"
)

// Format is one native log format. A sub-package declares its formats as
// values; the composition root lists them.
type Format struct {
	// Name identifies the format in citations and messages, such as
	// "docker-events".
	Name string
	// Title is one line for people.
	Title string
	// Source is the sensor whose coverage these records prove.
	Source event.Source
	// Framing says how records follow each other.
	Framing Framing
	// Sniff tells from the first lines of an input how sure it is that this is
	// the format: 0 not at all, 100 certain. Only content counts, never a name.
	Sniff func(head Sample) int
	// Head reports whether a line at an input's beginning says how those after it
	// are read; nil if such lines begin with '#'.
	Head func(line []byte) bool
	// Whole is how much of some whole lines can be given without parting records
	// that belong together; nil if each line is one of its own.
	Whole func(lines []byte) int
	// Redact takes the secrets out of lines that programs write into them; nil if
	// they write none.
	Redact func(lines []byte) []byte
	// New makes a decoder that writes to out.
	New func(out *Output) Decoder
}

// Framing says how the records of a format follow each other in a file.
type Framing int

// The framings.
const (
	// Lines: one record per line.
	Lines Framing = iota
	// JSONValues: JSON values one after another, one to a line or printed over
	// many, bare or as the elements of an array.
	JSONValues
	// JSONLists: as JSONValues. An object that begins with a list under one of
	// the clouds' names for it ("Records", "records", "Events", "Images", …)
	// stands for the list's elements, so that a file of any size is read
	// although it is one object.
	JSONLists
	// Whole: the whole input is one record.
	Whole
)

// Decoder turns the records of one input into events. It never panics on any
// input, never guesses a time, and drops nothing in silence: every record ends
// in Output.Event, Output.Skip or Output.Unreadable, at once or at Flush.
type Decoder interface {
	// Decode reads one record. rec.Data is valid only during the call.
	Decode(rec Record)
	// Flush ends the input: what was held back to be put together is emitted.
	Flush()
}

// Record is one framed record: its bytes and where they stand.
type Record struct {
	Data []byte
	event.Span
}

// Output is where a decoder writes. It stamps events with the input's place
// and citation and counts.
type Output struct {
	// Format and File go into every citation.
	Format *Format
	File   string
	// Place is what the inventory says about the input; what the record says
	// itself wins.
	Place event.Place
	// Hosts fills in what the inventory knows of the host that a record names;
	// nil if there is none.
	Hosts func(event.Place) event.Place
	// Tally counts; never nil.
	Tally *Tally
	// Now is when the records are read; the zero time if nobody said so.
	Now time.Time
	// Emit receives every event. Never nil.
	Emit func(event.Event)
	// History marks every event of this input.
	History bool

	named, known event.Place // the last place that was asked of Hosts, and its answer
	// id is what the ids of a place's events begin with, and then their keys.
	id     []byte
	prefix int         // how much of id belongs to the place
	idOf   event.Place // the place
	spans  []event.Span
}

// place is where a record is from that says so much itself.
func (o *Output) place(said event.Place) event.Place {
	p := o.Place
	if !said.IsZero() {
		p = said.Or(o.Place)
	}
	if o.Hosts == nil || p.Host == "" {
		return p
	}
	if p != o.named { // most records of a file name one host
		o.named, o.known = p, o.Hosts(p)
	}
	return o.known
}

// Event stamps and emits e. key is what makes the record unique within its
// format and place: a native id where the format has one. spans are its lines.
// Neither is kept.
func (o *Output) Event(e event.Event, key []byte, spans ...event.Span) {
	e.Place = o.place(e.Place)
	e.History = o.History
	e.Origin = event.Origin{Source: o.Format.Source, Format: o.Format.Name, File: o.File, Spans: o.keep(spans)}
	e.ID = o.newID(&e.Place, key)
	o.Tally.Events++
	o.Tally.span(e.RecordTime())
	o.Emit(e)
}

// newID is event.NewID of format, place and key. Most events of an input are
// from one place.
func (o *Output) newID(place *event.Place, key []byte) event.ID {
	if o.id == nil || *place != o.idOf {
		o.id = event.AppendPart(event.AppendPart(o.id[:0], o.Format.Name), place.String())
		o.prefix, o.idOf = len(o.id), *place
	}
	o.id = event.AppendPart(o.id[:o.prefix], key)
	return event.SumID(o.id)
}

// spansAtOnce is for how many lines memory is taken at once: one piece for
// each line costs time, and a large piece lives as long as any event in it.
const spansAtOnce = 16

// keep copies spans to where they may stay.
func (o *Output) keep(spans []event.Span) []event.Span {
	n := len(spans)
	if n == 0 {
		return nil
	}
	if cap(o.spans)-len(o.spans) < n {
		o.spans = make([]event.Span, 0, max(n, spansAtOnce))
	}
	begin := len(o.spans)
	o.spans = append(o.spans, spans...)
	return o.spans[begin : begin+n : begin+n]
}

// Beside stamps and emits an event that a record tells beside the one that it
// is: a sensor repeats with what a process did what the process is, and when
// its container began. The record itself must end in Event. key is what makes
// the event unique, whichever record tells it.
func (o *Output) Beside(e event.Event, key []byte, spans ...event.Span) {
	o.Event(e, key, spans...)
	o.Tally.Events--
	o.Tally.Beside++
}

// Tells accounts for a record of which err says that it cannot be read, or a nil
// body that it tells nothing; else it is true, and the caller's Event follows.
func (o *Output) Tells(rec Record, body event.Body, err error) bool {
	switch {
	case err != nil:
		o.Unreadable(rec, err)
	case body == nil:
		o.Skip()
	default:
		return true
	}
	return false
}

// Skip counts a record that was read and tells nothing that any analytic uses.
func (o *Output) Skip() { o.Tally.Skipped++ }

// Unreadable keeps the position of a record that could not be read, and why.
func (o *Output) Unreadable(rec Record, err error) {
	o.Tally.fault(Fault{File: o.File, Line: rec.Line, Err: err})
}

// Fault is one record that could not be read.
type Fault struct {
	File string
	Line int
	Err  error
}

// Error names file, line and reason.
func (f Fault) Error() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s: %v", f.File, f.Err)
	}
	return fmt.Sprintf("%s:%d: %v", f.File, f.Line, f.Err)
}

// Unwrap gives the reason.
func (f Fault) Unwrap() error { return f.Err }

// maxFaults bounds the faults kept in full per input; the rest are counted.
const maxFaults = 20

// Tally counts what an input held. A record is an event, skipped, part of a
// larger event, or unreadable.
type Tally struct {
	// Records is the number of framed records.
	Records int64
	// Events is the number of events emitted.
	Events int64
	// Beside is the number of events that records tell beside their own.
	Beside int64
	// Skipped is the number of records that say nothing of interest.
	Skipped int64
	// Dated is the number of times that told neither year nor zone, and were taken
	// for the latest in UTC.
	Dated int64
	// Unreadable is the number of records that could not be read.
	Unreadable int64
	// Faults are the first of the unreadable ones.
	Faults []Fault
	// First and Last bound the record times seen, in Unix nanoseconds; 0 when
	// there were none.
	First, Last int64

	lastFault int // the line of the last unreadable record
}

func (t *Tally) fault(f Fault) {
	t.Unreadable++
	t.lastFault = f.Line
	if len(t.Faults) < maxFaults {
		t.Faults = append(t.Faults, f)
	}
}

// takeBack undoes the last fault: another format can read the record.
func (t *Tally) takeBack() {
	if t.Unreadable <= int64(len(t.Faults)) {
		t.Faults = t.Faults[:len(t.Faults)-1]
	}
	t.Unreadable--
}

func (t *Tally) span(at int64) {
	if at == 0 {
		return
	}
	if t.First == 0 || at < t.First {
		t.First = at
	}
	t.Last = max(t.Last, at)
}
