package containerd

import (
	"bytes"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// FuzzEvents: no panic, and every line ends as an event with body and time, as
// skipped, or as unreadable.
func FuzzEvents(f *testing.F) {
	for _, c := range append(topicCases(), formCases()...) {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		records := bytes.Split(data, []byte{'\n'})
		events, tally := sourcetest.Feed(Events(), records)
		sourcetest.CheckAccount(t, events, tally)
		for _, e := range events {
			if e.Body == nil || e.Time.Res != event.Nanosecond || e.ID == (event.ID{}) || len(e.Origin.Spans) != 1 {
				t.Fatalf("event %+v", e)
			}
		}
		sourcetest.Sniff(Events(), string(data))
	})
}
