package entity

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// crowd is a story of n containers with everything that can hang on one.
func crowd(s *story, n int) {
	for i := range n {
		c, pid, addr := id(i), 100+i%5, fmt.Sprintf("172.17.0.%d", 2+i%4)
		at := float64(10 * i)
		s.image(at, event.ImagePull, fmt.Sprintf("web:%d", i), sum(i))
		s.inspectImage(sum(i), []string{fmt.Sprintf("web:%d", i)}, []string{"web@" + sum(1000+i).String()})
		s.create(at+1, c, fmt.Sprintf("web:%d", i))
		s.connect(at+1, c, "n")
		s.describe(c, "n", addr).PID = pid
		s.boot(at+1, c, 500+10*(i%7), pid, "sh")
		s.task(at+2.5, c, pid)
		s.runOn("00:27", at+3, 300+i%3, 299, "weak")
		s.runOn("00:27", at+3, 310+i%3, pid, "child")
		s.execTask(at+4, c, "e", 200)
		s.run(at+4, 200, 50, "check")
		s.execExit(at+4.1, c, "e", 200)
		s.flow(at+4, addr+":4000", remote)
		s.answer(at+4, addr+":4000", "a.example", "203.0.113.5", "203.0.113.6")
		s.answer(at+4, "10.0.0.1:4000", "b.example", "203.0.113.5")
		s.add(at+5, event.Auditd, &event.Socket{PID: pid, PPID: 50, Addr: ipPort(remote)})
		s.taskExit(at+6, c, pid)
		s.disconnect(at+7, c, "n")
		s.create(at+1, c[:12], "")
	}
}

// What is let go leaves nothing behind: after the last container and the last
// waiting record every table is empty.
func TestForgettingLeavesNothingBehind(t *testing.T) {
	s := newStory(t)
	crowd(s, 8)
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 3))
		r, known := New(Limits{}), view{}
		held := map[event.ID]bool{}
		for _, i := range rng.Perm(len(s.events)) {
			e := s.events[i]
			if r.Apply(&e) {
				held[e.ID] = true
			}
		}
		known.refresh(r)
		subjects := r.Subjects()
		for _, i := range rng.Perm(len(subjects)) {
			id := subjects[i]
			for _, e := range r.Forget(id) {
				if !held[e] {
					t.Errorf("%s is let go twice, or was never held", e)
				}
				delete(held, e)
			}
			if _, ok := r.Subject(id); ok {
				t.Errorf("%s is still known", id)
			}
			delete(known, id)
			known.refresh(r)
			checkConsistency(t, r)
		}
		if n := r.Counts().Placed; n != 0 {
			t.Errorf("%d records are still placed", n)
		}
		letGo(r)
		for _, e := range r.Released() {
			if !held[e] {
				t.Errorf("%s is let go twice, or was never held", e)
			}
			delete(held, e)
		}
		checkConsistency(t, r)
		checkEmpty(t, r)
		if len(held) > 0 {
			t.Errorf("%d events are held for ever", len(held))
		}
	}
}

// A container that was let go, and of which the same is told again, is known
// as it was.
func TestForgettingAndTellingAgain(t *testing.T) {
	s := newStory(t)
	crowd(s, 3)
	r, want := New(Limits{}), view{}
	for i := range s.events {
		r.Apply(&s.events[i])
	}
	want.refresh(r)
	for _, id := range r.Subjects() {
		gone := map[event.ID]bool{}
		for _, e := range r.Forget(id) {
			gone[e] = true
		}
		for i := range s.events {
			if gone[s.events[i].ID] {
				r.Apply(&s.events[i])
			}
		}
	}
	got := view{}
	for _, id := range r.Subjects() {
		sub, _ := r.Subject(id)
		got[id] = dump(sub)
	}
	s.same("told again", got, want)
	checkConsistency(t, r)
}

func TestForgettingWhatIsNotKnown(t *testing.T) {
	r := New(Limits{})
	if gone := r.Forget(evidence.SubjectID{Kind: "container", ID: containerA}); gone != nil {
		t.Errorf("%v", gone)
	}
	s := newStory(t)
	s.create(1, containerA, "web:1")
	for _, id := range []evidence.SubjectID{{Kind: "container", Place: s.place, ID: containerB}, {Kind: "container", Place: event.Place{Host: "x"}, ID: containerA}} {
		if gone := s.told().Forget(id); gone != nil {
			t.Errorf("%v", gone)
		}
	}
}

func TestExcessNamesTheLongestQuiet(t *testing.T) {
	s := newStory(t)
	s.limits.Containers = 10
	for i := range 12 {
		s.create(float64(i), id(i), "web:1")
	}
	// Those that came first have done something since.
	s.task(20, id(0), 100)
	s.run(30, 100, 50, "server")
	s.describe(id(1), "n", "172.17.0.2")
	s.flow(31, "172.17.0.2:1", remote)
	s.last().Record = sec(99)
	s.run(40, 60, 50, "/usr/bin/runc", "--root", root, "create", id(2))
	r := s.told()
	var got []string
	for _, id := range r.Excess() {
		got = append(got, id.ID)
	}
	if want := []string{id(3), id(4), id(5)}; !slices.Equal(got, want) {
		t.Errorf("%.14v, want %.14v", got, want)
	}
	for _, id := range r.Excess() {
		r.Forget(id)
	}
	if got := r.Excess(); got != nil {
		t.Errorf("still too many: %v", got)
	}
	checkConsistency(t, r)
}

// A short id is let go with the container that it means, never alone.
func TestExcessCountsSubjects(t *testing.T) {
	s := newStory(t)
	s.limits.Containers = 2
	s.create(1, containerA[:12], "web:1")
	s.create(100, containerA, "web:1")
	s.create(50, containerB, "web:1")
	if got := s.told().Excess(); got != nil {
		t.Errorf("%v", got)
	}
	s.create(60, containerC, "web:1")
	got := s.told().Excess()
	if len(got) != 1 || got[0].ID != containerB {
		t.Errorf("%v", got)
	}
}

func TestTheBoundOnWhatWaits(t *testing.T) {
	s := newStory(t)
	s.limits.Waiting = 50
	r := New(s.limits)
	s.task(10, containerA, 100)
	s.describe(containerA, "n", "172.17.0.2")
	s.boot(8.5, containerA, 50, 100, "server")
	s.boot(8.5, containerB, 70, 200, "known by its shim alone")
	s.answer(10, "10.0.0.1:53", "a.example", "203.0.113.5")
	for i := range 1000 {
		s.run(100+float64(i), 1000+i, 1, "true")
		s.flow(100+float64(i), "10.0.0.1:1", remote)
	}
	s.flow(3000, "172.17.0.2:1", remote)
	s.run(3000, 82, 70, "late child of the shim")
	released := 0
	for i := range s.events {
		r.Apply(&s.events[i])
		released += len(r.Released())
		if n := r.waiting.len(); n > 80 {
			t.Fatalf("%d wait, the bound is 50", n)
		}
	}
	c := r.Counts()
	// Besides, two records that made containers, a shim that placed something,
	// and an answer that names an address.
	if c.Unplaced != 50+4 || r.waiting.len() != 50 {
		t.Errorf("%d unplaced, %d wait", c.Unplaced, r.waiting.len())
	}
	released += len(r.Released())
	dropped := 0
	for what, n := range c.Dropped {
		dropped += n
		if names := c.DroppedNames[what]; len(names) != min(n, maxNames) {
			t.Errorf("%s: %d names", what, len(names))
		}
	}
	if dropped != released || c.Placed+c.Unplaced+dropped+2 != len(s.events) {
		t.Errorf("placed %d, unplaced %d, dropped %d, released %d of %d", c.Placed, c.Unplaced, dropped, released, len(s.events))
	}
	s.checked = r
	s.commands(containerA, "server [first]")
	s.commands(containerB, "known by its shim alone [first]", "late child of the shim")
	// What names an address is not pushed out by what does not.
	s.egress(containerA, remote+" [a.example]")
	checkConsistency(t, r)
}

// The oldest record goes first, by the time at which it was written.
func TestWhatWaitsLongestGoesFirst(t *testing.T) {
	s := newStory(t)
	for i := range 20 {
		s.run(float64(100+i), 1000+i, 1, "true")
	}
	s.flow(1, "10.0.0.1:1", remote) // began early, was told late
	s.last().Record = sec(1000)
	for seed := range uint64(5) {
		r := New(Limits{Waiting: 3})
		for _, i := range rand.New(rand.NewPCG(seed, 1)).Perm(len(s.events)) {
			r.Apply(&s.events[i])
		}
		r.Dirty()
		var kept []string
		for _, e := range s.events {
			if !slices.Contains(r.Released(), e.ID) {
				kept = append(kept, e.Time.String())
			}
		}
		if c := r.Counts(); c.Unplaced != 3 || c.Dropped["behaviour that no container could be found for"] != 18 {
			t.Errorf("%+v", c)
		}
		if len(r.sites[s.place].addrs) != 1+1 || len(r.sites[s.place].pids) != 2+1 {
			t.Errorf("%v", kept)
		}
	}
}

func TestTheBoundOnNames(t *testing.T) {
	s := newStory(t)
	s.limits.Names = 10
	s.describe(containerA, "n", "172.17.0.2")
	s.flow(1000, "172.17.0.2:1", remote)
	s.answer(999, "10.0.0.1:53", "new.example", "203.0.113.5")
	s.answer(998, "172.17.0.2:53", "own.example", "203.0.113.5")
	for i := range 50 {
		s.answer(float64(i), "10.0.0.1:53", fmt.Sprintf("old%d.example", i), "203.0.113.5", "203.0.113.6")
	}
	s.egress(containerA, "asks own.example", remote+" [new.example old46.example old47.example old48.example old49.example own.example]")
	r := s.told()
	if n := r.Counts().Dropped["names from DNS answers"]; n != 92 {
		t.Errorf("%d names dropped, want 92", n)
	}
}

func TestTheBoundOnImages(t *testing.T) {
	s := newStory(t)
	s.limits.Images = 10
	r := New(s.limits)
	for i := range 100 {
		s.stored(float64(i*10), event.ImageCreate, fmt.Sprintf("%s:%d", allowed, i))
		s.stored(float64(i*10), event.ImageCreate, sum(i).String())
		s.stored(float64(i*10), event.ImageCreate, allowed+"@"+sum(1000+i).String())
		s.inspectImage(sum(2000+i), nil, []string{allowed + "@" + sum(3000+i).String()})
	}
	kept := 0
	for i := range s.events {
		if r.Apply(&s.events[i]) {
			kept++
		}
		kept -= len(r.Released())
		if kept > 20 {
			t.Fatalf("%d image records are kept", kept)
		}
	}
	r.Dirty()
	checkConsistency(t, r)
	if n := r.Family().Len(); n > 3+10 {
		t.Errorf("%d edges are left of 20 records", n)
	}
	if n := r.Counts().Dropped["image records"]; n != 380 {
		t.Errorf("%d dropped, want 380", n)
	}
	s.checked = r
	s.events = s.events[:0]
	s.create(5000, containerA, fmt.Sprintf("%s:%d", allowed, 99))
	r.Apply(s.last())
	s.checked = r
	s.made(containerA, evidence.OriginUnknown, digests(sum(1099)), "arrival create", "arrival create", "arrival create")
}

// One container cannot hold everything either: what it did last goes first,
// the story's beginning stays.
func TestTheBoundOnOneContainer(t *testing.T) {
	s := newStory(t)
	s.limits.PerContainer = 20
	s.task(10, containerA, 100)
	s.describe(containerA, "n", "172.17.0.2")
	for i := range 100 {
		s.run(float64(10+i), 1000+i, 100, "true", fmt.Sprint(i))
		s.flow(float64(10+i), "172.17.0.2:1", remote)
	}
	for seed := range uint64(3) {
		r := New(s.limits)
		var released int
		for _, i := range rand.New(rand.NewPCG(seed, 1)).Perm(len(s.events)) {
			r.Apply(&s.events[i])
			r.Dirty()
			released += len(r.Released())
			checkConsistency(t, r)
		}
		sub, _ := r.Subject(evidence.SubjectID{Kind: "container", Place: s.place, ID: containerA})
		got := sub.Of(evidence.Command)
		if len(got)+len(sub.Of(evidence.Connection)) != 20 || tell(got[0]) != "true 0 [first]" {
			t.Errorf("%s", tell2(got))
		}
		c := r.Counts()
		if c.Placed != 20 || c.Unplaced != 0 || released != 180 || c.Dropped["behaviour of one container beyond its bound"] != 180 {
			t.Errorf("counts %+v, %d released", c, released)
		}
		if names := strings.Join(c.DroppedNames["behaviour of one container beyond its bound"], " "); !strings.Contains(names, containerA[:12]) {
			t.Errorf("names %s", names)
		}
	}
}

// Released and Forget tell the caller of every event that Apply kept, once.
func TestKeptEventsAreAccountedFor(t *testing.T) {
	r := New(Limits{})
	for name, c := range map[string]struct {
		body event.Body
		kept bool
	}{
		"an image saved to a file":      {&event.Image{Action: event.ImageSave, Digest: sum(1)}, false},
		"a flow from nowhere":           {&event.Flow{}, false},
		"a unix socket":                 {&event.Socket{PID: 5, Path: "/x"}, false},
		"a loss":                        {&event.Loss{}, false},
		"a container without id":        {&event.Container{Action: event.ContainerCreate}, false},
		"a host without address":        {&event.HostDescription{Name: "h"}, false},
		"a query of nobody":             {&event.DNS{Query: "a.example"}, false},
		"an answer to nobody":           {&event.DNS{Query: "a.example", Addrs: []netip.Addr{ip("203.0.113.1")}}, true},
		"a query that was not answered": {&event.DNS{Query: "a.example", Client: ipPort(remote)}, true},
		"a resolved name":               {&event.ImageResolved{Reference: image.Parse("web"), Digest: sum(1)}, true},
	} {
		e := &event.Event{ID: event.NewID(name), Time: event.Time{At: sec(1), Res: 1}, Body: c.body}
		if got := r.Apply(e); got != c.kept {
			t.Errorf("%s: kept %v, want %v", name, got, c.kept)
		}
	}
	// What is not kept is not there after a restart, so it may prove nothing.
	if r.sites[event.Place{}].coverage[channel{evidence.Connection, byAddress}] != nil {
		t.Error("coverage rests on events that are not kept")
	}
}
