package auditd

import (
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"

	"tidewaiter/event"
)

// FuzzDecode feeds any bytes to the decoder. It must not panic, must account for
// every record, keep its bounds, and say the same when it is asked again.
func FuzzDecode(f *testing.F) {
	for _, tr := range transcripts(f) {
		f.Add(tr.log)
	}
	f.Add(generate(5))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := decode(text)
		accounted(t, r)
		for _, e := range r.events {
			checkEvent(t, e)
		}
		again := decode(slices.Clone(text))
		if !reflect.DeepEqual(r.events, again.events) || r.tally.Unreadable != again.tally.Unreadable {
			t.Error("a second reading gives something else")
		}
	})
}

// checkEvent checks what holds for every event, whatever it was read from.
func checkEvent(t *testing.T, e event.Event) {
	t.Helper()
	if len(e.Origin.Spans) == 0 || len(e.Origin.Spans) > maxSpans {
		t.Errorf("%d lines are cited", len(e.Origin.Spans))
	}
	if len(e.Place.Host) > maxNodeLen {
		t.Errorf("host of %d bytes", len(e.Place.Host))
	}
	switch b := e.Body.(type) {
	case *event.Process:
		size := 0
		for _, a := range b.Args {
			size += len(a)
		}
		if b.PID <= 0 || b.PPID < 0 || b.UID < -1 || b.AUID < -1 || b.Session < -1 || len(b.Args) > max(maxArgs, maxText+1) || size > maxArgBytes {
			t.Errorf("out of range: %+v", b)
		}
		checkTime(t, e)
	case *event.Socket:
		if b.PID <= 0 || b.Addr.IsValid() == (b.Path != "") || b.Addr.Addr().Is4In6() {
			t.Errorf("out of range: %+v", b)
		}
		checkTime(t, e)
	case *event.FileWrite:
		if b.PID <= 0 || b.Path == "" {
			t.Errorf("out of range: %+v", b)
		}
		checkTime(t, e)
	case *event.Loss:
		if b.Count == 0 || b.Count < -1 || b.Reason == "" || !utf8.ValidString(b.Reason) {
			t.Errorf("out of range: %+v", b)
		}
	default:
		t.Errorf("unexpected body %T", b)
	}
}

func checkTime(t *testing.T, e event.Event) {
	t.Helper()
	if e.Time.Res != resolution || e.Time.At < 0 {
		t.Errorf("time %+v", e.Time)
	}
}
