// Package note reads what the daemon notes in its journal about its own sight:
// what sensors lost, when they did not watch, and how late they were. The form
// is described in docs/formats/notes.md.
//
// In: JSON, one note to a line. Out: event.Loss.
package note

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Name is the format's name, and the lane's.
const Name = "tidewaiter-notes"

// Format is what the daemon notes.
func Format() *source.Format {
	return &source.Format{
		Name:    Name,
		Title:   "tidewaiter's notes of what it did not see",
		Source:  event.Tidewaiter,
		Framing: source.JSONValues,
		Sniff: func(head source.Sample) int {
			if head.HasKeys("tidewaiter_note", "sensor", "reason") {
				return 99
			}
			return 0
		},
		New: func(out *source.Output) source.Decoder { return &decoder{out: out} },
	}
}

// Kind is what a note is of.
type Kind string

// The kinds of notes.
const (
	Lost Kind = "lost" // so many things were not seen
	Gap  Kind = "gap"  // nothing was seen for a while
	Late Kind = "late" // what was seen came later than the policy allows for
)

// Note is one note.
type Note struct {
	Kind   Kind      `json:"tidewaiter_note"`
	Time   time.Time `json:"time"`
	Sensor string    `json:"sensor"`
	Reason string    `json:"reason"`
	// Count is -1 if it is not known.
	Count int64 `json:"count"`
	// From is when a gap began; zero for other kinds.
	From time.Time `json:"from,omitzero"`
}

// Line is the note as it is recorded, without a line end.
func (n Note) Line() []byte {
	line, err := json.Marshal(n)
	if err != nil { // a year beyond 9999
		return nil
	}
	return line
}

// Faults of a note.
var (
	errNotNote = errors.New("no note: expected tidewaiter_note, time, sensor and reason")
	errKind    = errors.New("tidewaiter_note: want lost, gap or late")
)

// maxText bounds the texts of a note, in bytes.
const maxText = 4096

type decoder struct {
	out    *source.Output
	parser jsonrecord.Parser
}

// Decode implements source.Decoder.
func (d *decoder) Decode(rec source.Record) {
	at, loss, err := d.read(rec.Data)
	if err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	d.out.Event(event.Event{Time: at, Body: loss}, rec.Data, rec.Span)
}

// Flush implements source.Decoder; nothing is held back.
func (d *decoder) Flush() {}

func (d *decoder) read(data []byte) (at event.Time, loss *event.Loss, err error) {
	v, err := d.parser.Parse(data)
	if err != nil {
		return at, nil, err
	}
	kind, sensor, reason := v.String("tidewaiter_note"), v.String("sensor"), v.String("reason")
	count, counted := v.Int("count")
	switch {
	case !v.IsObject() || kind == "" || sensor == "" || reason == "":
		return at, nil, errNotNote
	case len(sensor) > maxText || len(reason) > maxText:
		return at, nil, fmt.Errorf("a text of more than %d bytes", maxText)
	case Kind(kind) != Lost && Kind(kind) != Gap && Kind(kind) != Late:
		return at, nil, errKind
	}
	if at, err = event.ParseRFC3339(v.Get("time").Bytes()); err != nil {
		return at, nil, fmt.Errorf("time: %w", err)
	}
	if at.Res < event.Second {
		at.Res = event.Nanosecond // Go drops zeros at the end
	}
	loss = &event.Loss{Reason: sensor + ": " + reason, Count: -1}
	if counted && count >= 0 {
		loss.Count = int64(count)
	}
	return at, loss, d.parser.Fault()
}
