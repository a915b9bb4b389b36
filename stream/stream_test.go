package stream

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"tidewaiter/event"
)

var now = time.Date(2026, 11, 6, 12, 0, 0, 0, time.UTC)

// list is a source of events at the given seconds before now.
type list struct {
	at     []int
	fail   error
	next   int
	opened *int
	closed *int
}

func (l *list) Next() (event.Event, error) {
	if l.next == len(l.at) {
		if l.fail != nil {
			return event.Event{}, l.fail
		}
		return event.Event{}, io.EOF
	}
	l.next++
	return event.Event{Time: event.At(now.Add(-time.Duration(l.at[l.next-1])*time.Second), 1)}, nil
}

func (l *list) Close() error { *l.closed++; return nil }

type counts struct{ opened, closed int }

func (c *counts) opener(fail error, at ...int) Opener {
	return func() (Source, error) {
		c.opened++
		return &list{at: at, fail: fail, opened: &c.opened, closed: &c.closed}, nil
	}
}

func drain(t *testing.T, m *Merger) (at []int, faults []error) {
	t.Helper()
	for {
		e, err := m.Next()
		if errors.Is(err, io.EOF) {
			return at, faults
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		at = append(at, int(now.Sub(e.Time.UTC())/time.Second))
	}
}

func TestSourcesAreMergedByRecordTime(t *testing.T) {
	var c counts
	m, faults := NewMerger([]Opener{c.opener(nil, 9, 5, 1), c.opener(nil), c.opener(nil, 10, 4), c.opener(nil, 5)}, now)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	got, _ := drain(t, m)
	if want := []int{10, 9, 5, 5, 4, 1}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if c.opened != c.closed {
		t.Errorf("%d opened, %d closed", c.opened, c.closed)
	}
}

// A thousand rotated parts are not held open at once, and nothing is lost or
// read twice by closing and opening them again.
func TestManySourcesAreOpenedAsTheirTurnComes(t *testing.T) {
	var c counts
	var openers []Opener
	var want []int
	for i := range 1000 {
		openers = append(openers, c.opener(nil, 3*i+2, 3*i+1, 3*i))
		want = append(want, 3*i, 3*i+1, 3*i+2)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(openers), func(i, j int) { openers[i], openers[j] = openers[j], openers[i] })
	m, faults := NewMerger(openers, now)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if open := c.opened - c.closed; open > maxOpen {
		t.Errorf("%d sources are open, the bound is %d", open, maxOpen)
	}
	got, _ := drain(t, m)
	slices.Sort(want)
	slices.Reverse(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d events, want %d, in order", len(got), len(want))
	}
	if c.opened != c.closed {
		t.Errorf("%d opened, %d closed", c.opened, c.closed)
	}
}

// SEMANTICS 3: one record from the future must not move anything.
func TestRecordsFromTheFutureAreQuarantined(t *testing.T) {
	var c counts
	m, _ := NewMerger([]Opener{c.opener(nil, 10, -299, -301, -99999, 1), c.opener(nil, -400)}, now)
	got, _ := drain(t, m)
	if want := []int{10, -299, 1}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v: five minutes ahead are tolerated", got, want)
	}
	if m.FutureCount != 3 || len(m.Future) != 3 {
		t.Errorf("%d in quarantine (%d kept), want 3", m.FutureCount, len(m.Future))
	}
	if c.opened != c.closed {
		t.Errorf("%d opened, %d closed", c.opened, c.closed)
	}
}

func TestTheQuarantineIsBounded(t *testing.T) {
	var c counts
	at := make([]int, 1000)
	for i := range at {
		at[i] = -1000
	}
	m, _ := NewMerger([]Opener{c.opener(nil, at...)}, now)
	if m.FutureCount != 1000 || len(m.Future) > 20 {
		t.Errorf("%d counted, %d kept", m.FutureCount, len(m.Future))
	}
}

func TestAFaultySourceEndsAloneAndIsNamed(t *testing.T) {
	var c counts
	broken := errors.New("disk on fire")
	m, faults := NewMerger([]Opener{
		c.opener(nil, 5, 1),
		func() (Source, error) { return nil, broken },
		c.opener(broken),
		c.opener(broken, 7, 3),
	}, now)
	var at []int
	for _, f := range faults {
		at = append(at, f.Index)
		if !errors.Is(f, broken) {
			t.Errorf("fault %v", f)
		}
	}
	if !slices.Equal(at, []int{1, 2}) {
		t.Errorf("faults at opening: %v", faults)
	}
	got, later := drain(t, m)
	if !slices.Equal(got, []int{7, 5, 3, 1}) || len(later) != 1 {
		t.Fatalf("got %v, faults %v", got, later)
	}
	var se SourceError
	if !errors.As(later[0], &se) || se.Index != 3 || se.Error() != fmt.Sprint(broken) {
		t.Errorf("fault while reading: %v", later[0])
	}
}

// endless gives events for ever, and counts them.
type endless struct{ given int }

func (s *endless) Next() (event.Event, error) {
	s.given++
	return event.Event{Time: event.At(now.Add(-time.Hour), 1)}, nil
}

func (s *endless) Close() error { return nil }

// Stopped, the merger gives exactly what was read, on any number of cores.
func TestAStoppedMergerGivesWhatItRead(t *testing.T) {
	for _, cores := range []int{1, 2} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
		var sources []*endless
		var openers []Opener
		for range 5 {
			s := &endless{}
			sources = append(sources, s)
			openers = append(openers, func() (Source, error) { return s, nil })
		}
		m, _ := NewMerger(openers, now)
		for range 300 {
			if _, err := m.Next(); err != nil {
				t.Fatal(err)
			}
		}
		m.Stop()
		rest, faults := drain(t, m)
		read := 0
		for _, s := range sources {
			read += s.given
		}
		if got := 300 + len(rest); got != read || len(faults) > 0 {
			t.Errorf("%d cores: %d events given, %d read, %v", cores, got, read, faults)
		}
	}
}

// A source that is closed while it is read ahead is left alone first.
func TestClosingWaitsForWhatIsRead(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	m, _ := NewMerger([]Opener{func() (Source, error) { return &endless{}, nil }}, now)
	if _, err := m.Next(); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

// lookUps is a source of descriptions of containers made at the given seconds
// before now.
type lookUps []int

func (l *lookUps) Next() (event.Event, error) {
	if len(*l) == 0 {
		return event.Event{}, io.EOF
	}
	at := event.At(now.Add(-time.Duration((*l)[0])*time.Second), 1)
	*l = (*l)[1:]
	return event.Event{Body: &event.ContainerDescription{CreatedAt: at}}, nil
}

func (l *lookUps) Close() error { return nil }

// What a file of look-ups tells of a container comes shortly before what
// happened to it, in whichever order the file has it, and nothing is lost.
func TestLookUpsComeWhenTheyAreDue(t *testing.T) {
	var c counts
	openers := []Opener{func() (Source, error) { return &lookUps{100, 50_000, 3000, 90_000, 0}, nil }}
	for i := range 200 { // some are closed until their turn comes
		openers = append(openers, c.opener(nil, 100_000-400*i, 0))
	}
	openers = append(openers, func() (Source, error) { return &lookUps{70_000}, nil })
	m, faults := NewMerger(openers, now)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	ahead := int(Ahead / time.Second)
	var waiting []int
	seen, events, last := 0, 0, 1_000_000
	for e, err := m.Next(); !errors.Is(err, io.EOF); e, err = m.Next() {
		if err != nil {
			t.Fatal(err)
		}
		at := int(now.Sub(event.Unix(e.Due())) / time.Second)
		if events++; e.RecordTime() == 0 {
			seen++
			waiting = append(waiting, at)
			continue
		}
		for _, l := range waiting {
			if l+ahead >= last || l+ahead < at {
				t.Errorf("a look-up of %d s ago came between %d s and %d s", l, last, at)
			}
		}
		waiting, last = nil, at
	}
	if events != 406 || seen != 6 {
		t.Errorf("%d events, %d look-ups", events, seen)
	}
}

// More look-ups than may wait are given at once.
func TestLookUpsThatWaitAreBounded(t *testing.T) {
	l := make(lookUps, maxEarly+1000)
	for i := range l {
		l[i] = i
	}
	var c counts
	m, _ := NewMerger([]Opener{func() (Source, error) { return &l, nil }, c.opener(nil, 1_000_000)}, now)
	if waiting := len(m.early.queue); waiting != maxEarly {
		t.Errorf("%d wait, the bound is %d", waiting, maxEarly)
	}
	n := 0
	for _, err := m.Next(); !errors.Is(err, io.EOF); _, err = m.Next() {
		n++
	}
	if n != maxEarly+1001 {
		t.Errorf("%d events", n)
	}
}
