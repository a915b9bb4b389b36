package analytic

import (
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// Within one source the order of records breaks ties. Of what one record tells
// neither came first for sure, so that each can have; nothing comes before
// itself.
func TestTiesWithinOneSource(t *testing.T) {
	fact := func(id string, line int, nanos, res int64) evidence.Fact {
		return evidence.Fact{Event: &event.Event{ID: event.NewID(id), Time: event.Time{At: nanos, Res: res},
			Origin: event.Origin{Source: event.Tetragon, File: "f", Spans: []event.Span{{Line: line}}}}}
	}
	start := fact("start", 2, 10*event.Second, event.Second)
	for _, c := range []struct {
		why           string
		other         evidence.Fact
		after, before bool // the start may precede it, and it the start
	}{
		{"the same record, in the same second", fact("command", 2, 10*event.Second+5, 1), true, true},
		{"the same record, surely later", fact("command", 2, 11*event.Second, 1), true, false},
		{"the same record, surely earlier", fact("command", 2, 10*event.Second-1, 1), false, true},
		{"a later record", fact("command", 3, 10*event.Second+5, 1), true, false},
		{"an earlier record", fact("command", 1, 10*event.Second+5, 1), false, true},
		{"itself", start, false, false},
	} {
		tell := &telling{chain: &chain{}, facts: []evidence.Fact{start, c.other}}
		if after, before := tell.before(0, 1), tell.before(1, 0); after != c.after || before != c.before {
			t.Errorf("%s: after %t, before %t", c.why, after, before)
		}
	}
}
