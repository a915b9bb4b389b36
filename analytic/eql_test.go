package analytic_test

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/detections"
	"tidewaiter/event"
	"tidewaiter/policy"
)

// vector is one case of ordered correlation: events in a terse form, a chain,
// and which events take part at which stage.
//
// An event is "NAME@SECONDS key=value …"; a key that is "null" is there with
// no value. A fraction of a second is allowed; "~" after it makes the event's
// clock coarse (one second). "/b" makes it come from a second source.
type vector struct {
	name   string
	chain  string // YAML, indented below "chains:"
	by     string
	events string
	// want is, for each key, the stages' events as "A:A1 B:B2,B3"; empty for
	// no match. Events are numbered in the order given: A1 is the first event
	// if its name is A.
	want []string
}

func (v vector) run(t *testing.T) {
	t.Helper()
	got := match(t, v.library(t), v.parse(t))
	if !slices.Equal(got, v.want) {
		t.Errorf("got  %q\nwant %q", got, v.want)
	}
	// Whatever the order of arrival, and however often, the answer is the same.
	events := v.parse(t)
	for i := range events {
		rotated := slices.Concat(events[i:], events[:i], events)
		if again := match(t, v.library(t), rotated); !slices.Equal(again, got) {
			t.Errorf("delivered from event %d on, twice: %q, want %q", i+1, again, got)
		}
	}
	slices.Reverse(events)
	if again := match(t, v.library(t), events); !slices.Equal(again, got) {
		t.Errorf("delivered backwards: %q, want %q", again, got)
	}
}

func (v vector) library(t *testing.T) *analytic.Library {
	t.Helper()
	files := sharedFiles(t)
	files["vector.yaml"] = []byte("id: VECTOR\nname: a vector\nsubject: event\nseverity: low\nby: [" + v.by + "]\nchains:\n" + v.chain)
	lib, err := analytic.Compile(files)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

func sharedFiles(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range analytic.SharedFiles() {
		b, err := fs.ReadFile(detections.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	return files
}

func (v vector) parse(t *testing.T) []*event.Event {
	t.Helper()
	var out []*event.Event
	for i, line := range strings.Split(strings.TrimSpace(v.events), "\n") {
		fields := strings.Fields(line)
		name, at, ok := strings.Cut(fields[0], "@")
		if !ok {
			t.Fatalf("event %q has no time", line)
		}
		src := "a"
		if before, after, found := strings.Cut(at, "/"); found {
			at, src = before, after
		}
		res := event.Nanosecond
		if rest, coarse := strings.CutSuffix(at, "~"); coarse {
			at, res = rest, event.Second
		}
		when, err := event.ParseEpoch(at)
		if err != nil {
			t.Fatal(err)
		}
		when.Res = res
		e := &event.Event{
			ID: event.NewID(fmt.Sprint(i)), Time: when,
			Origin: event.Origin{Source: event.JSON, File: src, Spans: []event.Span{{Line: i + 1}}},
		}
		if src != "a" {
			e.Place.Host = src
		}
		plain := map[string]any{"name": name, "label": fmt.Sprintf("%s%d", name, i+1)}
		for _, f := range fields[1:] {
			k, val, _ := strings.Cut(f, "=")
			switch {
			case val == "null":
				plain[k] = nil
			case strings.HasPrefix(val, "#"):
				plain[k] = int64(len(val)) // a number, to differ from text
			case val == "[]":
				plain[k] = []any{"x"}
			default:
				plain[k] = val
			}
		}
		e.Body = &event.Plain{Fields: plain}
		out = append(out, e)
	}
	return out
}

func match(t *testing.T, lib *analytic.Library, events []*event.Event) []string {
	t.Helper()
	matches, _, err := lib.MatchPlain(policy.Empty(lib.Vocabulary()), events)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range matches {
		var stages []string
		for _, s := range m.Stages {
			var labels []string
			for _, e := range s.Events {
				labels = append(labels, e.Body.(*event.Plain).Fields["label"].(string))
			}
			slices.Sort(labels)
			stages = append(stages, s.Name+":"+strings.Join(labels, ","))
		}
		out = append(out, strings.Join(stages, " "))
	}
	slices.Sort(out)
	return out
}

// stages writes a chain of stages named after the events that fit them; "!B"
// must be absent, "B?" may be.
func stages(extra string, names ...string) string {
	var b strings.Builder
	b.WriteString("  - name: c\n")
	for line := range strings.SplitSeq(strings.TrimSpace(extra), "\n") {
		if line != "" {
			b.WriteString("    " + line + "\n")
		}
	}
	b.WriteString("    stages:\n")
	for _, n := range names {
		name, rest, _ := strings.Cut(n, " ")
		flags := ""
		if after, absent := strings.CutPrefix(name, "!"); absent {
			name, flags = after, ", absent: true"
		}
		if before, optional := strings.CutSuffix(name, "?"); optional {
			name, flags = before, ", optional: true"
		}
		if rest != "" {
			flags += ", " + rest
		}
		fmt.Fprintf(&b, "      - {stage: %s, on: [event], when: \"event.name == '%s'\"%s}\n", name, name, flags)
	}
	return b.String()
}

// The documented behaviour of EQL's sequence, where ours agrees. The numbers
// in brackets refer to docs/formats/detection.md, which also tables where the
// two differ and why.
func TestSequenceAsInEQL(t *testing.T) {
	for _, v := range []vector{
		{name: "events in order match", chain: stages("", "A", "B"),
			events: "A@1\nB@2", want: []string{"A:A1 B:B2"}},
		{name: "events out of order do not", chain: stages("", "A", "B"),
			events: "B@1\nA@2"},
		{name: "what stands between does not matter", chain: stages("", "A", "B"),
			events: "A@1\nX@2\nX@3\nB@4", want: []string{"A:A1 B:B4"}},
		{name: "by joins equal values only", by: "user", chain: stages("", "A", "B"),
			events: "A@1 user=ann\nA@2 user=bob\nB@3 user=bob\nB@4 user=eve", want: []string{"A:A2 B:B3"}},
		{name: "by several fields", by: "user, host", chain: stages("", "A", "B"),
			events: "A@1 user=u host=h\nB@2 user=u host=i\nB@3 user=u host=h", want: []string{"A:A1 B:B3"}},
		{name: "a missing key joins nothing", by: "user", chain: stages("", "A", "B"),
			events: "A@1\nB@2\nA@3 user=null\nB@4 user=null"},
		{name: "an optional key may be missing", by: "\"?user\"", chain: stages("", "A", "B"),
			events: "A@1\nB@2\nA@3 user=x\nB@4", want: []string{"A:A1 B:B2,B4"}},
		{name: "maxspan is inclusive", chain: stages("window: 10s", "A", "B"),
			events: "A@1\nB@11", want: []string{"A:A1 B:B2"}},
		{name: "maxspan ends where it ends", chain: stages("window: 10s", "A", "B"),
			events: "A@1\nB@11.000000001"},
		{name: "maxspan is from the first to the last event", chain: stages("window: 10s", "A", "B", "C"),
			events: "A@1\nB@8\nC@12"},
		{name: "until between steps ends the sequence", chain: stages("until: {stage: U, on: [event], when: \"event.name == 'U'\"}", "A", "B"),
			events: "A@1\nU@2\nB@3"},
		{name: "until after the last step does not", chain: stages("until: {stage: U, on: [event], when: \"event.name == 'U'\"}", "A", "B"),
			events: "A@1\nB@2\nU@3", want: []string{"A:A1 B:B2"}},
		{name: "until before the first step does not", chain: stages("until: {stage: U, on: [event], when: \"event.name == 'U'\"}", "A", "B"),
			events: "U@1\nA@2\nB@3", want: []string{"A:A2 B:B3"}},
		{name: "until that is the last step does not", chain: stages("until: {stage: U, on: [event], when: \"event.name == 'B'\"}", "A", "B"),
			events: "A@1\nB@2", want: []string{"A:A1 B:B2"}},
		{name: "until of another key does not matter", by: "k", chain: stages("until: {stage: U, on: [event], when: \"event.name == 'U'\"}", "A", "B"),
			events: "A@1 k=1\nU@2 k=2\nB@3 k=1", want: []string{"A:A1 B:B3"}},
		{name: "a missing event in the middle", chain: stages("window: 10s", "A", "!B", "C"),
			events: "A@1\nC@3", want: []string{"A:A1 C:C2"}},
		{name: "a missing event that is there", chain: stages("window: 10s", "A", "!B", "C"),
			events: "A@1\nB@2\nC@3"},
		{name: "two missing events", chain: stages("window: 10s", "A", "!B", "!C", "D"),
			events: "A@1\nD@3", want: []string{"A:A1 D:D2"}},
		{name: "two missing events, the second there", chain: stages("window: 10s", "A", "!B", "!C", "D"),
			events: "A@1\nC@2\nD@3"},
		{name: "a missing event at the end", chain: stages("window: 10s", "A", "!B"),
			events: "A@1\nB@20", want: []string{"A:A1"}},
		{name: "a missing event at the end that comes in time", chain: stages("window: 10s", "A", "!B"),
			events: "A@1\nB@11"},
		{name: "a missing event at the beginning", chain: stages("window: 10s", "!A", "B"),
			events: "A@1\nB@20", want: []string{"B:B2"}},
		{name: "a missing event at the beginning that was there", chain: stages("window: 10s", "!A", "B"),
			events: "A@11\nB@20"},
		{name: "runs want that many events", chain: stages("", "A runs: 3", "B"),
			events: "A@1\nA@2\nA@3\nB@4", want: []string{"A:A1 A:A2 A:A3 B:B4"}},
		{name: "runs are not filled by fewer", chain: stages("", "A runs: 3", "B"),
			events: "A@1\nA@2\nB@4"},
		{name: "one event fills one place", chain: stages("", "A", "A"),
			events: "A@1"},
		{name: "events of one moment count in the order of their records", chain: stages("", "A", "B"),
			events: "A@1\nB@1", want: []string{"A:A1 B:B2"}},
		{name: "and not in the other", chain: stages("", "A", "B"),
			events: "B@1\nA@1"},
		{name: "a comparison with a missing field is no match", chain: "  - name: c\n    stages:\n      - {stage: A, on: [event], when: \"event.pid == 4\"}\n      - {stage: B, on: [event], when: \"!(event.pid == 4)\"}\n",
			events: "A@1\nB@2"},
	} {
		t.Run(v.name, v.run)
	}
}

// Where ours differs from EQL, on purpose.
func TestSequenceNotAsInEQL(t *testing.T) {
	for _, v := range []vector{
		{name: "nothing is consumed: one arrival serves every behaviour", chain: stages("", "A", "B"),
			events: "A@1\nB@2\nB@3", want: []string{"A:A1 B:B2,B3"}},
		{name: "a later first step does not replace an earlier one", chain: stages("", "A", "B"),
			events: "A@1\nA@2\nB@3", want: []string{"A:A1,A2 B:B3"}},
		{name: "values of different types differ", by: "k", chain: stages("", "A", "B"),
			events: "A@1 k=#\nB@2 k=1"},
		{name: "a list is no key", by: "k", chain: stages("", "A", "B"),
			events: "A@1 k=[]\nB@2 k=[]"},
		{name: "a tie across sources counts as either order", chain: stages("", "A", "B"),
			events: "B@1/b\nA@1", want: []string{"A:A2 B:B1"}},
		{name: "ties: strict wants a sure order", chain: stages("ties: strict", "A", "B"),
			events: "B@1/b\nA@1"},
		{name: "ties: strict accepts a sure order", chain: stages("ties: strict", "A", "B"),
			events: "A@1\nB@1.000000001", want: []string{"A:A1 B:B2"}},
		{name: "a coarse clock is an interval", chain: stages("", "A", "B"),
			events: "B@5.9/b\nA@5~", want: []string{"A:A2 B:B1"}},
		{name: "an interval that is over is over", chain: stages("", "A", "B"),
			events: "B@4.9/b\nA@5~"},
		{name: "optional steps", chain: stages("", "A", "B?", "C"),
			events: "A@1\nC@2", want: []string{"A:A1 B: C:C2"}},
		{name: "an optional step that is there takes part", chain: stages("", "A", "B?", "C"),
			events: "A@1\nB@2\nC@3", want: []string{"A:A1 B:B2 C:C3"}},
		{name: "an optional first step", chain: stages("", "A?", "B", "C"),
			events: "B@1\nA@2\nC@3", want: []string{"A: B:B1 C:C3"}},
		{name: "a bound from step to step", chain: stages("", "A", "B \"within\": 3s", "C \"within\": 3s"),
			events: "A@1\nB@4\nC@7", want: []string{"A:A1 B:B2 C:C3"}},
		{name: "a bound from step to step that is broken", chain: stages("", "A", "B \"within\": 3s", "C \"within\": 3s"),
			events: "A@1\nB@4\nC@7.1"},
	} {
		t.Run(v.name, v.run)
	}
}

// What a detection file may not say: it would never fire, or say something
// else than its author meant.
func TestFaultyDetectionsAreRefused(t *testing.T) {
	const head = "id: X\nname: x\nsubject: event\n"
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":               {head + "stage: []\n", "stage"},
		"key twice":                 {head + "name: y\n", "stands twice"},
		"second document":           {head + "---\nid: Y\n", "second document"},
		"unknown kind of fact":      {head + "chains: [{name: c, stages: [{stage: a, on: [evnt]}]}]\n", "evnt"},
		"no kind of fact":           {head + "chains: [{name: c, stages: [{stage: a}]}]\n", "on which kinds"},
		"unknown variable":          {head + "chains: [{name: c, stages: [{stage: a, on: [event], when: \"evnt.x == 1\"}]}]\n", "undeclared reference"},
		"variable of another kind":  {head + "chains: [{name: c, stages: [{stage: a, on: [event], when: \"command.dropped\"}]}]\n", "undeclared reference"},
		"condition that is no bool": {head + "chains: [{name: c, stages: [{stage: a, on: [event], when: \"1 + 1\"}]}]\n", "want bool"},
		"unknown operator":          {head + "chains: [{name: c, stages: [{stage: a, on: [event], when: \"event.x ~= 1\"}]}]\n", "Syntax error"},
		"unknown signal":            {head + "signals: [no-such]\n", "no-such"},
		"technique that is none":    {head + "techniques: [T1204, TA0005]\n", "faulty.yaml:4: \"TA0005\" is no technique"},
		"line of an unknown signal": {head + "signals:\n  - image-new\n  - no-such\n", "faulty.yaml:6: no signal"},
		"unknown setting":           {head + "tunables: {T: {setting: no_such}}\n", "no_such"},
		"unknown type":              {head + "tunables: {T: {type: colour}}\n", "colour"},
		"bad default":               {head + "tunables: {T: {type: duration, default: soon}}\n", "soon"},
		"unknown window":            {head + "chains: [{name: c, window: Soon, stages: [{stage: a, on: [event]}]}]\n", "Soon"},
		"only absence":              {head + "chains: [{name: c, window: 1s, stages: [{stage: a, on: [event], absent: true}]}]\n", "must be present"},
		"absence without a window":  {head + "chains: [{name: c, stages: [{stage: a, on: [event]}, {stage: b, on: [event], absent: true}]}]\n", "needs a window"},
		"optional absence":          {head + "chains: [{name: c, window: 1s, stages: [{stage: a, on: [event]}, {stage: b, on: [event], absent: true, optional: true}]}]\n", "optional"},
		"unknown ties":              {head + "chains: [{name: c, ties: maybe, stages: [{stage: a, on: [event]}]}]\n", "maybe"},
		"family of nobody":          {head + "family: Y\n", "family Y"},
		"no id":                     {"name: x\nsubject: event\n", "id, name and subject"},
		"condition without bound":   {head + "chains: [{name: c, stages: [{stage: a, on: [event], when: \"event.a.exists(x, event.b.exists(y, event.c.exists(z, x == y && y == z)))\"}]}]\n", "could cost"},
	} {
		t.Run(name, func(t *testing.T) {
			files := sharedFiles(t)
			files["faulty.yaml"] = []byte(c.text)
			_, err := analytic.Compile(files)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "faulty.yaml") {
				t.Errorf("error %v, want one that names faulty.yaml and says %q", err, c.want)
			}
		})
	}
	files := sharedFiles(t)
	files["one.yaml"], files["two.yaml"] = []byte(head), []byte(head)
	if _, err := analytic.Compile(files); err == nil || !strings.Contains(err.Error(), "two files") {
		t.Errorf("an id in two files: %v", err)
	}
	if _, err := analytic.Compile(maps.Clone(map[string][]byte{})); err == nil {
		t.Error("no files at all: accepted")
	}
}
