package docker

import (
	"bytes"
	"strings"
	"testing"

	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// fuzzFormat feeds arbitrary records to a format. It must not panic, and every
// record must end in one event's citation, as skipped, or as unreadable. No
// event may come without a body, or, except from look-ups, without a time.
func fuzzFormat(f *testing.F, format *source.Format, seeds []oneCase, timeless bool) {
	for _, c := range seeds {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		records := [][]byte{data}
		if format.Framing == source.Lines {
			records = bytes.Split(data, []byte{'\n'})
		}
		events, tally := sourcetest.Feed(format, records)
		sourcetest.CheckAccount(t, events, tally)
		for _, e := range events {
			if e.Body == nil || e.Time.IsZero() != timeless || e.ID == [16]byte{} {
				t.Fatalf("event %+v", e)
			}
			if !timeless && e.Time.Res < 1 {
				t.Fatalf("time %+v", e.Time)
			}
		}
		sourcetest.Sniff(format, string(data))
	})
}

func FuzzEvents(f *testing.F) { fuzzFormat(f, Events(), eventCases(), false) }

func FuzzEventsText(f *testing.F) { fuzzFormat(f, EventsText(), textCases(), false) }

func FuzzInspect(f *testing.F) { fuzzFormat(f, InspectContainer(), containerCases(), true) }

func FuzzInspectNetwork(f *testing.F) {
	fuzzFormat(f, InspectNetwork(), []oneCase{{text: inspectedNetwork}, {text: strings.Replace(inspectedNetwork, "/24", "/240", 1)}}, true)
}

func FuzzDaemonLog(f *testing.F) {
	seeds := daemonFramings()
	for _, c := range formCases() {
		text := ""
		for _, line := range c.lines[:min(len(c.lines), 5)] {
			text += line + "\n"
		}
		seeds = append(seeds, oneCase{text: text})
	}
	fuzzFormat(f, DaemonLog(), seeds, false)
}
