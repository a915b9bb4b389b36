package sourcetest

import (
	"bytes"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
)

// Fuzz feeds arbitrary records to a format. It must not panic, and every record
// must end in an event's citation, as skipped, or as unreadable. No event may
// come without a body and an id, with a time before 1970, or citing bytes that
// are not there. timeless says of which bodies the time may be missing; nil
// means of none. check may look further at each event.
func Fuzz(f *testing.F, format *source.Format, timeless func(event.Body) bool, check func(*testing.T, event.Event)) {
	f.Fuzz(func(t *testing.T, data []byte) {
		records := [][]byte{data}
		if format.Framing == source.Lines {
			records = bytes.Split(data, []byte{'\n'})
		}
		if sure := Sniff(format, string(data)); sure < 0 || sure > 100 {
			t.Fatalf("sure by %d of 100", sure)
		}
		events, tally := Feed(format, records)
		CheckAccount(t, events, tally)
		for _, e := range events {
			if e.Body == nil || e.ID == (event.ID{}) || e.Time.At < 0 || e.Record < 0 {
				t.Fatalf("event %+v", e)
			}
			if e.Time.IsZero() && (timeless == nil || !timeless(e.Body)) || !e.Time.IsZero() && e.Time.Res < 1 {
				t.Fatalf("time %+v of %T %+v", e.Time, e.Body, e.Body)
			}
			for _, s := range e.Origin.Spans {
				if s.Offset < 0 || s.Offset+int64(s.Length) > int64(len(data)) {
					t.Fatalf("cites %+v of %d bytes", s, len(data))
				}
			}
			if check != nil {
				check(t, e)
			}
		}
	})
}
