package partition_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/finding"
	"tidewaiter/partition"
	"tidewaiter/policy"
)

// The promise under test: findings are a function of the set of events. A world
// is a random set of events of a few hosts; a schedule is one way to deliver
// it: in any order, some events more than once, in batches of any size, with
// stops at which the state is written to bytes and read back, over one to seven
// partitions that tell each other what they know at random moments. Every
// schedule of a world must end in the same findings, ids included.
//
// TIDEWAITER_SCHEDULES sets how many schedules are tried: CI tries 100,000.
func TestFindingsAreAFunctionOfTheSetOfEvents(t *testing.T) {
	total := 10_000
	if testing.Short() {
		total = 2_000
	}
	if s := os.Getenv("TIDEWAITER_SCHEDULES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("TIDEWAITER_SCHEDULES: %v", err)
		}
		total = n
	}
	const perWorld = 50
	lib := library(t)
	found := map[analytic.Severity]int{}
	var mu sync.Mutex
	var group sync.WaitGroup
	worlds := make(chan uint64)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for w := range worlds {
				severities := tryWorld(t, lib, w, perWorld)
				mu.Lock()
				for _, s := range severities {
					found[s]++
				}
				mu.Unlock()
			}
		})
	}
	for w := range (total + perWorld - 1) / perWorld {
		if t.Failed() {
			break
		}
		worlds <- uint64(w)
	}
	close(worlds)
	group.Wait()
	t.Logf("%d schedules; findings of the worlds by severity: %v", total, found)
	for _, sev := range []analytic.Severity{analytic.Info, analytic.Low, analytic.Medium, analytic.High, analytic.Critical} {
		if found[sev] == 0 && total >= 10_000 {
			t.Errorf("no world gave a finding of severity %s: the worlds are too tame to prove anything", sev)
		}
	}
}

// Worlds in which an order once made a difference, so that every run tries them:
// in 1852 a sandbox was not told that the container in it was tied otherwise, in
// 604 a push not that a name, which was written with the image's id, is cited
// otherwise.
func TestWorldsThatOnceDiffered(t *testing.T) {
	for _, seed := range []uint64{604, 1852} {
		tryWorld(t, library(t), seed, 50)
	}
}

// tryWorld tries n schedules of one world and gives the severities found.
func tryWorld(t *testing.T, lib *analytic.Library, seed uint64, n int) []analytic.Severity {
	rng := rand.New(rand.NewPCG(seed, 1))
	pol := randomPolicy(t, lib, rng)
	events := world(rng)
	want, err := deliver(lib, pol, events, schedule{partitions: 1})
	if err != nil {
		t.Errorf("world %d: %v", seed, err)
		return nil
	}
	for s := range n {
		sch := randomSchedule(rand.New(rand.NewPCG(seed, uint64(s)+2)), len(events))
		if got, err := deliver(lib, pol, events, sch); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("world %d, schedule %d (%d partitions, %d snapshots): findings differ (%v)\n%s",
				seed, s, sch.partitions, len(sch.snapshots), err, difference(want, got))
			break
		}
	}
	var out []analytic.Severity
	for _, f := range want {
		out = append(out, f.severity)
	}
	return out
}

// outcome is what must be equal: everything a finding says.
type outcome struct {
	id, title, cause, chain string
	severity                analytic.Severity
	state                   finding.State
	score, confidence       float64
	signals, legs, evidence []string
	notes, clear            []string
}

func outcomes(fs []finding.Finding) []outcome {
	var out []outcome
	for _, f := range fs {
		o := outcome{id: f.ID, title: f.Title, cause: f.Cause, chain: f.Chain, severity: f.Severity, state: f.State,
			score: f.Score, confidence: f.Confidence, notes: f.Notes, clear: f.Clear}
		for _, s := range f.Signals {
			o.signals = append(o.signals, fmt.Sprint(s))
		}
		for _, l := range f.Legs {
			o.legs = append(o.legs, fmt.Sprint(l))
		}
		for _, e := range f.Evidence {
			o.evidence = append(o.evidence, fmt.Sprint(e.Event.Origin.File, e.Event.Origin.Line(), e.Kind, e.Leg, e.Signals, e.Says))
		}
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b outcome) int { return strings.Compare(a.id, b.id) })
	return out
}

func difference(want, got []outcome) string {
	var b strings.Builder
	for i := range max(len(want), len(got)) {
		var w, g outcome
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if !reflect.DeepEqual(w, g) {
			fmt.Fprintf(&b, "want %+v\n got %+v\n", w, g)
		}
	}
	return b.String()
}

// schedule is one way to deliver a set of events.
type schedule struct {
	order      []int // indexes into the events; nil means as they are
	syncs      map[int]bool
	snapshots  map[int]bool
	partitions int
	exchanges  map[int]bool
}

func randomSchedule(rng *rand.Rand, n int) schedule {
	s := schedule{partitions: 1 + rng.IntN(7), syncs: map[int]bool{}, snapshots: map[int]bool{}, exchanges: map[int]bool{}}
	s.order = rng.Perm(n)
	for range rng.IntN(n/3 + 1) { // duplicates, anywhere
		s.order = slices.Insert(s.order, rng.IntN(len(s.order)+1), rng.IntN(n))
	}
	for range rng.IntN(8) {
		s.syncs[rng.IntN(len(s.order))] = true
	}
	for range rng.IntN(3) {
		s.snapshots[rng.IntN(len(s.order))] = true
	}
	for range rng.IntN(5) {
		s.exchanges[rng.IntN(len(s.order))] = true
	}
	return s
}

// deliver runs a schedule to its end.
func deliver(lib *analytic.Library, pol *policy.Policy, events []event.Event, s schedule) ([]outcome, error) {
	ps := make([]*partition.Partition, s.partitions)
	options := func(i int) partition.Options {
		return partition.Options{Name: fmt.Sprintf("p%d", i), Library: lib, Policy: pol}
	}
	for i := range ps {
		ps[i] = partition.New(options(i))
	}
	order := s.order
	if order == nil {
		for i := range events {
			order = append(order, i)
		}
	}
	for at, i := range order {
		ps[partition.Route(events[i].Place, len(ps))].Apply(events[i])
		if s.syncs[at] {
			syncAll(ps)
		}
		if s.exchanges[at] {
			if _, err := exchange(ps); err != nil {
				return nil, err
			}
		}
		if s.snapshots[at] {
			k := i % len(ps)
			ps[k].Sync()
			b, err := ps[k].Snapshot()
			if err != nil {
				return nil, err
			}
			if ps[k], err = partition.Restore(options(k), b); err != nil {
				return nil, err
			}
		}
	}
	for _, p := range ps {
		p.Advance(1 << 62)
	}
	for again := true; again; {
		var err error
		if again, err = exchange(ps); err != nil {
			return nil, err
		}
	}
	var all []finding.Finding
	for _, p := range ps {
		all = append(all, p.Findings()...)
	}
	return outcomes(all), nil
}

func syncAll(ps []*partition.Partition) {
	for _, p := range ps {
		p.Sync()
	}
}

// exchange lets every partition tell the others its news; it reports whether
// there was any.
func exchange(ps []*partition.Partition) (any bool, err error) {
	syncAll(ps)
	for _, p := range ps {
		n, ok, err := p.Publish()
		if err != nil {
			return false, err
		}
		if !ok {
			continue
		}
		any = true
		for _, q := range ps {
			if err := errors.Join(q.Absorb(n), q.Absorb(n)); err != nil { // delivered twice
				return false, err
			}
		}
	}
	syncAll(ps)
	return any, nil
}
