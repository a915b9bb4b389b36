package finding

import (
	"fmt"
	"slices"
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

func TestOfManyAlikeTheFirstAndTheLastAreListed(t *testing.T) {
	var all []Evidence
	add := func(kind evidence.Kind, file, says string, signals ...string) {
		all = append(all, Evidence{Kind: kind, Event: &event.Event{Origin: event.Origin{File: file}}, Says: says, Signals: signals})
	}
	add(evidence.Start, "a", "start")
	for i := range 50 {
		add(evidence.Connection, "a", fmt.Sprintf("tcp to 198.51.100.%d:2375", i+1), "egress-new")
		if i == 30 {
			add(evidence.Command, "a", "sh")
		}
	}
	for i := range fewAlike {
		add(evidence.Connection, "b", fmt.Sprintf("tcp to 198.51.100.%d:2375", i+1), "egress-new")
	}
	add(evidence.Connection, "a", "tcp to 198.51.100.1:2375", "egress-new", "scanner")
	var got []string
	told := 0
	for _, l := range List(all) {
		got = append(got, fmt.Sprintf("%d %s", l.At, l.Words()))
		told += 1 + l.Alike
	}
	want := []string{"0 start", "1 tcp to 198.51.100.1:2375", "2 tcp to 198.51.100.2:2375", "32 sh", "51 after 47 more like it, tcp to 198.51.100.50:2375",
		"52 tcp to 198.51.100.1:2375", "53 tcp to 198.51.100.2:2375", "54 tcp to 198.51.100.3:2375", "55 tcp to 198.51.100.4:2375", "56 tcp to 198.51.100.5:2375", "57 tcp to 198.51.100.6:2375", "58 tcp to 198.51.100.1:2375"}
	if !slices.Equal(got, want) {
		t.Errorf("listed %q\nwant %q", got, want)
	}
	if told != len(all) {
		t.Errorf("%d of %d records are told of", told, len(all))
	}
}
