// Package sourcetest runs decoders in tests: over text, over files, over bare
// records, and for time.
//
// In: a source.Format and its input. Out: the events and the account, which is
// checked on the way: no record may vanish.
package sourcetest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
)

// Decode reads text as one file of a format, whatever its Sniff says.
func Decode(t testing.TB, f *source.Format, text string) ([]event.Event, source.Tally) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	forced := *f
	forced.Sniff = func(source.Sample) int { return 100 }
	in, events := ReadFile(t, path, &forced)
	if lanes := in.Tallies(); len(lanes) != 1 {
		t.Fatalf("read by %d formats, want only %s", len(lanes), f.Name)
	}
	return events, in.Tallies()[0].Tally
}

// ReadFile reads a file with those of some formats that recognise it.
func ReadFile(t testing.TB, path string, formats ...*source.Format) (*source.Input, []event.Event) {
	t.Helper()
	in, err := source.Open(path, source.Options{Formats: formats})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var events []event.Event
	for {
		e, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	var all source.Tally
	for _, lane := range in.Tallies() {
		all.Records += lane.Records
		all.Events += lane.Events
		all.Beside += lane.Beside
		all.Skipped += lane.Skipped
		all.Unreadable += lane.Unreadable
	}
	CheckAccount(t, events, all)
	return in, events
}

// Feed gives records to a decoder without a framer between. Each record's
// bytes are overwritten after the call, as the framer does: a decoder that
// keeps them is found out.
func Feed(f *source.Format, records [][]byte) ([]event.Event, source.Tally) {
	var tally source.Tally
	var events []event.Event
	out := &source.Output{Format: f, File: "records", Tally: &tally, Emit: func(e event.Event) { events = append(events, e) }}
	decoder := f.New(out)
	for i, data := range records {
		tally.Records++
		buffer := bytes.Clone(data)
		decoder.Decode(source.Record{Data: buffer, Span: event.Span{Line: i + 1, Length: len(data)}})
		for i := range buffer {
			buffer[i] = '#'
		}
	}
	decoder.Flush()
	return events, tally
}

// CheckAccount fails unless every record ended in an event's citation, as
// skipped, or as unreadable, and none was counted twice. Records may share an
// event, and later events may cite earlier records again; what a record tells
// beside its event is counted for itself.
func CheckAccount(t testing.TB, events []event.Event, tally source.Tally) {
	t.Helper()
	cited := map[event.Span]bool{}
	for _, e := range events {
		for _, s := range e.Origin.Spans {
			cited[s] = true
		}
	}
	unused := tally.Skipped + tally.Unreadable
	if int64(len(cited))+unused < tally.Records || tally.Events+unused > tally.Records {
		t.Fatalf("%d records: %d cited by %d events, %d skipped, %d unreadable", tally.Records, len(cited), tally.Events, tally.Skipped, tally.Unreadable)
	}
	if tally.Events+tally.Beside != int64(len(events)) {
		t.Fatalf("tally counts %d events and %d beside them, %d came", tally.Events, tally.Beside, len(events))
	}
}

// Want is what a file must give: one body at a time, or a fault, or, with
// neither, a skipped record.
type Want struct {
	At    event.Time
	Body  event.Body
	Fault string // part of the reason
}

// Check decodes a file and compares what it gives.
func Check(t *testing.T, f *source.Format, text string, c Want) {
	t.Helper()
	events, tally := Decode(t, f, text)
	switch {
	case c.Fault != "":
		if len(events) != 0 || len(tally.Faults) == 0 {
			t.Fatalf("%d events and %d faults, want a fault", len(events), len(tally.Faults))
		}
		if got := tally.Faults[0].Error(); !strings.Contains(got, c.Fault) {
			t.Fatalf("fault %q does not say %q", got, c.Fault)
		}
	case c.Body == nil:
		if len(events) != 0 || tally.Unreadable != 0 || tally.Skipped == 0 {
			t.Fatalf("events %v, faults %v: want a skipped record", events, tally.Faults)
		}
	default:
		if len(events) != 1 || tally.Unreadable != 0 {
			t.Fatalf("%d events, faults %v: want one event", len(events), tally.Faults)
		}
		CheckEvent(t, events[0], c.At, c.Body)
	}
}

// CheckEvent compares an event's time and body.
func CheckEvent(t *testing.T, got event.Event, at event.Time, body event.Body) {
	t.Helper()
	if got.Time != at {
		t.Errorf("time %+v, want %+v", got.Time, at)
	}
	if !reflect.DeepEqual(got.Body, body) {
		t.Errorf("body\n got %T %+v\nwant %T %+v", got.Body, got.Body, body, body)
	}
}

// Require fails unless one of the events has a body of a kind that fits.
func Require[B event.Body](t *testing.T, events []event.Event, fits func(B) bool) {
	t.Helper()
	for _, e := range events {
		if b, ok := e.Body.(B); ok && fits(b) {
			return
		}
	}
	var want B
	t.Errorf("no %T that fits among %d events", want, len(events))
}

// Sniff gives how sure a format is of a text, of 100.
func Sniff(f *source.Format, text string) int {
	sample := source.Sample{Data: []byte(text)}
	for _, line := range bytes.Split(sample.Data, []byte{'\n'}) {
		if line = bytes.TrimRight(line, "\r"); len(bytes.TrimSpace(line)) > 0 && len(sample.Lines) < 50 {
			sample.Lines = append(sample.Lines, line)
		}
	}
	return f.Sniff(sample)
}
