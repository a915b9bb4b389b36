package evidence_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"tidewaiter/command"
	"tidewaiter/event"
	"tidewaiter/evidence"
)

// connect is a connection in a second of the story.
func connect(second int, to string) evidence.Fact {
	e := &event.Event{ID: event.NewID("flow", fmt.Sprint(second), to), Time: event.Time{At: int64(second) * event.Second, Res: 1}, Body: &event.Flow{Protocol: "tcp", Answered: true}}
	return evidence.Fact{Kind: evidence.Connection, Event: e, Connection: &evidence.ConnectionFact{Remote: netip.MustParseAddrPort(to)}}
}

func ran(second int, args ...string) evidence.Fact {
	e := &event.Event{ID: event.NewID("exec", fmt.Sprint(second)), Time: event.Time{At: int64(second) * event.Second, Res: 1}, Body: &event.Process{Args: args}}
	return evidence.Fact{Kind: evidence.Command, Event: e, Command: &evidence.CommandFact{Line: command.Parse(args, args[0], "")}}
}

func has(s *evidence.Subject, f evidence.Fact) bool {
	return slices.ContainsFunc(s.Facts, func(o evidence.Fact) bool { return o.Event.ID == f.Event.ID })
}

func TestAShortStoryIsKeptWhole(t *testing.T) {
	var facts []evidence.Fact
	for i := range 500 {
		facts = append(facts, connect(i, "192.0.2.1:443"))
	}
	if s := evidence.NewSubject(evidence.SubjectID{}, facts); len(s.Facts) != 500 || s.Repeated != 0 || s.Dropped != 0 {
		t.Errorf("%d facts, %d repeated, %d dropped", len(s.Facts), s.Repeated, s.Dropped)
	}
}

// Whatever a busy container repeats, the one thing that differs stays, as do
// the first and the last of what is repeated.
func TestRepetitionHidesNothing(t *testing.T) {
	var facts []evidence.Fact
	for i := range 20_000 {
		facts = append(facts, connect(i, "192.0.2.1:443"))
	}
	odd := connect(19_000, "203.0.113.66:4444")
	miner := ran(19_001, "xmrig", "-o", "203.0.113.66:4444")
	long := connect(15_000, "192.0.2.1:443")
	long.Event = &event.Event{ID: event.NewID("long"), Time: long.Event.Time, Body: &event.Flow{Protocol: "tcp", Answered: true, End: event.Time{At: 20_000 * event.Second, Res: 1}}}
	// What the runtime ran to make the container is a record of a process too.
	made := evidence.Fact{Kind: evidence.Creation, Event: &event.Event{ID: event.NewID("made"), Time: event.Time{At: 1, Res: 1}, Body: &event.Process{Args: []string{"runc", "create"}}}}
	facts = append(facts, odd, miner, long, made)
	first, last := facts[0], facts[19_999]
	s := evidence.NewSubject(evidence.SubjectID{}, facts)
	for name, f := range map[string]evidence.Fact{"another address": odd, "a command": miner, "a long connection": long, "the creation": made, "the first": first, "the last": last} {
		if !has(s, f) {
			t.Errorf("%s is gone", name)
		}
	}
	if len(s.Facts) > 20 || s.Repeated != 20_004-len(s.Facts) || s.Dropped != 0 {
		t.Errorf("%d facts, %d repeated, %d dropped", len(s.Facts), s.Repeated, s.Dropped)
	}
}

// A flood of different connections is bounded and counted, and pushes out
// neither its own beginning and end nor anything of another kind.
func TestAFloodOfOneKindLeavesTheOthers(t *testing.T) {
	var facts []evidence.Fact
	for i := range 10_000 {
		facts = append(facts, connect(i, fmt.Sprintf("192.0.%d.%d:443", i/250, i%250)))
	}
	miner := ran(9_000, "xmrig")
	first, last := facts[0], facts[9_999]
	facts = append(facts, miner)
	s := evidence.NewSubject(evidence.SubjectID{}, facts)
	if len(s.Facts) != evidence.MaxOfKind+1 || s.Dropped != 10_000-evidence.MaxOfKind {
		t.Errorf("%d facts, %d dropped", len(s.Facts), s.Dropped)
	}
	if !has(s, first) || !has(s, last) || !has(s, miner) {
		t.Error("the first, the last or the command is gone")
	}
}

// What is let go depends on the set of facts, not on the order they came in.
func TestWhatIsLetGoDoesNotDependOnOrder(t *testing.T) {
	var facts []evidence.Fact
	for i := range 5_000 {
		facts = append(facts, connect(i, fmt.Sprintf("192.0.%d.%d:443", i%40, i%250)))
	}
	want := evidence.NewSubject(evidence.SubjectID{}, slices.Clone(facts))
	slices.Reverse(facts)
	got := evidence.NewSubject(evidence.SubjectID{}, facts)
	if !slices.EqualFunc(got.Facts, want.Facts, func(a, b evidence.Fact) bool { return a.Event.ID == b.Event.ID }) {
		t.Error("the same facts in another order leave another story")
	}
}
