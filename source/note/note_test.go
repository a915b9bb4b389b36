package note

import (
	"testing"
	"time"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

func TestNotesAreReadAsTheyAreWritten(t *testing.T) {
	at := time.Date(2026, 11, 6, 10, 0, 0, 120_000_000, time.UTC)
	for name, c := range map[string]struct {
		note Note
		want event.Loss
	}{
		"lost":    {Note{Kind: Lost, Time: at, Sensor: "ebpf", Reason: "ring buffer full", Count: 12}, event.Loss{Reason: "ebpf: ring buffer full", Count: 12}},
		"gap":     {Note{Kind: Gap, Time: at, Sensor: "docker", Reason: "did not watch for 3s", Count: -1, From: at.Add(-3 * time.Second)}, event.Loss{Reason: "docker: did not watch for 3s", Count: -1}},
		"hostile": {Note{Kind: Late, Time: at, Sensor: "a\"\n\x1b", Reason: "\xff{"}, event.Loss{Reason: "a\"\n\x1b: \ufffd{"}},
	} {
		events, tally := sourcetest.Decode(t, Format(), string(c.note.Line())+"\n")
		if len(events) != 1 || tally.Unreadable != 0 {
			t.Errorf("%s: %+v, %+v", name, events, tally.Faults)
			continue
		}
		e := events[0]
		if l := e.Body.(*event.Loss); *l != c.want || !e.Time.UTC().Equal(at) || e.Origin.Source != event.Tidewaiter {
			t.Errorf("%s: %+v at %v", name, l, e.Time.UTC())
		}
	}
}

func FuzzNotes(f *testing.F) {
	f.Add(Note{Kind: Gap, Time: time.Unix(1, 0), Sensor: "docker", Reason: "x", Count: -1}.Line())
	f.Add([]byte(`{"tidewaiter_note":"lost","time":"2026-11-06T10:00:00Z","sensor":"a","reason":"b","count":1e99}`))
	sourcetest.Fuzz(f, Format(), nil, nil)
}
