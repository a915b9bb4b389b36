package auditd

import (
	"bytes"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
)

// result is what decoding a text gave.
type result struct {
	events []event.Event
	tally  source.Tally
}

// decode runs the decoder over a text, line by line, as the framing does.
func decode(text []byte) result {
	var r result
	out := &source.Output{
		Format: Format(), File: "audit.log", Tally: &r.tally,
		Emit: func(e event.Event) { r.events = append(r.events, e) },
	}
	d := out.Format.New(out)
	feed(d, &r.tally, text)
	d.Flush()
	return r
}

// feed gives text to d. Every line is copied and overwritten afterwards: data
// is valid only during the call, and a decoder that keeps it must be found out.
func feed(d source.Decoder, tally *source.Tally, text []byte) {
	offset, buf := 0, []byte(nil)
	for line := 1; offset < len(text); line++ {
		end := len(text)
		next := end
		if i := bytes.IndexByte(text[offset:], '\n'); i >= 0 {
			end, next = offset+i, offset+i+1
		}
		buf = append(buf[:0], text[offset:end]...)
		if len(bytes.TrimSpace(buf)) > 0 {
			data := bytes.TrimRight(buf, "\r\n")
			tally.Records++
			d.Decode(source.Record{Data: data, Span: event.Span{Line: line, Offset: int64(offset), Length: len(data)}})
		}
		for i := range buf {
			buf[i] = '#'
		}
		offset = next
	}
}

// accounted checks that every record ended in an event, was skipped or was
// unreadable. An event cites no more than maxSpans lines, so one that cites as
// many may have taken in more.
func accounted(t *testing.T, r result) {
	t.Helper()
	cited, full := int64(0), false
	seen := map[int]bool{}
	for _, e := range r.events {
		cited += int64(len(e.Origin.Spans))
		full = full || len(e.Origin.Spans) == maxSpans
		for _, s := range e.Origin.Spans {
			if seen[s.Line] {
				t.Errorf("line %d is cited twice", s.Line)
			}
			seen[s.Line] = true
		}
	}
	got := r.tally.Skipped + r.tally.Unreadable + cited
	if got > r.tally.Records || got < r.tally.Records && !full {
		t.Errorf("%d records, but %d skipped + %d unreadable + %d in events = %d",
			r.tally.Records, r.tally.Skipped, r.tally.Unreadable, cited, got)
	}
}
