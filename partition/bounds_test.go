package partition_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"tidewaiter/entity"
	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/partition"
	"tidewaiter/policy"
)

// An attacker sprays containers to push the interesting one out of a bounded
// memory. Its finding must stand, the loss must be counted and named, and a
// snapshot must carry both.
func TestASprayOfContainersLosesNoFinding(t *testing.T) {
	lib := library(t)
	opt := partition.Options{Name: "p", Library: lib, Policy: policy.Empty(lib.Vocabulary()), Limits: entity.Limits{Containers: 100}}
	p := partition.New(opt)
	w := &worldMaker{rng: rand.New(rand.NewPCG(1, 1)), host: "h"}
	id := strings.Repeat("a", 64)
	w.add(event.Docker, epoch, 1, &event.Container{Action: event.ContainerCreate, ID: id, Name: "bad", Image: image.Parse("evil.example/x")})
	w.add(event.Docker, epoch+1, 1, &event.Task{Action: event.TaskStart, Container: id, PID: 7})
	w.exec(epoch+event.Second, 7, 1, "/xmrig", []string{"xmrig", "-o", "stratum+tcp://203.0.113.5:3333"}, "")
	w.add(event.Inspect, 0, 1, &event.ContainerDescription{ID: id, Networks: []event.NetworkAddress{{Addrs: []netip.Addr{netip.MustParseAddr("172.17.0.2")}}}})
	w.add(event.Conntrack, epoch+2*event.Second, 1, &event.Flow{Protocol: "tcp", Src: netip.MustParseAddrPort("172.17.0.2:4000"), Dst: netip.MustParseAddrPort("203.0.113.5:3333"), Answered: true})
	for _, e := range w.events {
		p.Apply(e)
	}
	p.Sync()
	before := p.Findings()
	if len(before) != 1 {
		t.Fatalf("%d findings before the spray, want 1", len(before))
	}
	for i := range 5_000 {
		e := event.Event{ID: event.NewID("spray", fmt.Sprint(i)), Place: event.Place{Host: "h"}, Time: event.Time{At: epoch + event.Second*int64(10+i), Res: 1},
			Body: &event.Container{Action: event.ContainerCreate, ID: fmt.Sprintf("%064x", i)}}
		p.Apply(e)
		if i%50 == 0 {
			p.Sync()
		}
	}
	p.Sync()
	c := p.Counts()
	if c.Containers > 110 {
		t.Errorf("%d containers are kept, the bound is 100", c.Containers)
	}
	if c.Settled < 4_800 || len(c.SettledNames) == 0 || !strings.Contains(c.SettledNames[0], id) {
		t.Errorf("settled %d, first %v: the longest quiet must go first, and be named", c.Settled, c.SettledNames)
	}
	b, err := p.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	restored, err := partition.Restore(opt, b)
	if err != nil {
		t.Fatal(err)
	}
	// Something that comes late for it must not replace what is known.
	late := event.Event{ID: event.NewID("late"), Place: event.Place{Host: "h"}, Time: event.Time{At: epoch + 5, Res: 1}, Body: &event.Container{Action: event.ContainerStart, ID: id}}
	p.Apply(late)
	p.Sync()
	for name, q := range map[string]*partition.Partition{"the partition": p, "the restored one": restored} {
		if got := q.Findings(); !reflect.DeepEqual(outcomes(got), outcomes(before)) {
			t.Errorf("%s: finding changed\n%s", name, difference(outcomes(before), outcomes(got)))
		}
	}
	if p.Counts().Late == 0 {
		t.Error("what came late is not counted")
	}
}

// Containers of which each is worth a mild finding do not fill memory either: of
// those pushed out the mildest findings are dropped, counted, and not told again.
func TestASprayOfFindingsIsBounded(t *testing.T) {
	lib := library(t)
	p := partition.New(partition.Options{Name: "p", Library: lib, Policy: parsePolicy(t, "version: 1\nsettings: {registries: [good.example/*]}\n"), Limits: entity.Limits{Containers: 100}, Settled: 50})
	w := &worldMaker{rng: rand.New(rand.NewPCG(1, 1)), host: "h"}
	id := strings.Repeat("a", 64)
	w.add(event.Docker, epoch, 1, &event.Container{Action: event.ContainerCreate, ID: id, Name: "bad", Image: image.Parse("evil.example/x")})
	w.add(event.Docker, epoch+1, 1, &event.Task{Action: event.TaskStart, Container: id, PID: 7})
	w.exec(epoch+event.Second, 7, 1, "/xmrig", []string{"xmrig", "-o", "stratum+tcp://203.0.113.5:3333"}, "")
	for _, e := range w.events {
		p.Apply(e)
	}
	for i := range 2_000 {
		p.Apply(event.Event{ID: event.NewID("spray", fmt.Sprint(i)), Place: event.Place{Host: "h"}, Time: event.Time{At: epoch + event.Second*int64(10+i), Res: 1},
			Body: &event.Container{Action: event.ContainerCreate, ID: fmt.Sprintf("%064x", i), Image: image.Parse("evil.example/y:1")}})
		if i%50 == 0 {
			p.Sync()
		}
	}
	p.Sync()
	c, findings := p.Counts(), p.Findings()
	if c.Unkept < 1_500 || len(findings) > 200 {
		t.Errorf("%d dropped, %d findings kept", c.Unkept, len(findings))
	}
	if len(findings) == 0 || findings[0].Subjects[0].Container.ID != id {
		t.Error("the worst finding is gone")
	}
	revisions := len(p.Revisions())
	p.Apply(event.Event{ID: event.NewID("late"), Place: event.Place{Host: "h"}, Time: event.Time{At: epoch + 11*event.Second, Res: 1}, Body: &event.Container{Action: event.ContainerStart, ID: fmt.Sprintf("%064x", 1)}})
	p.Sync()
	if more := p.Revisions(); len(more) > 0 || revisions == 0 || len(p.Ended()) > 0 {
		t.Errorf("what comes late is told: %v, ended %d", more, len(p.Ended()))
	}
}

// A flood of host processes must not grow without bound, and a container's own
// behaviour placed before the flood stays.
func TestAFloodOfHostProcessesIsBounded(t *testing.T) {
	lib := library(t)
	p := partition.New(partition.Options{Name: "p", Library: lib, Policy: policy.Empty(lib.Vocabulary()), Limits: entity.Limits{Waiting: 1000}})
	for i := range 20_000 {
		p.Apply(event.Event{ID: event.NewID(fmt.Sprint(i)), Place: event.Place{Host: "h"}, Time: event.Time{At: epoch + int64(i), Res: 1},
			Body: &event.Process{PID: i, PPID: 1, Exe: "/bin/true", Args: []string{"true"}}})
	}
	p.Sync()
	c := p.Counts()
	dropped := 0
	for _, n := range c.Dropped {
		dropped += n
	}
	if c.Unplaced > 1000 || dropped != 19_000 {
		t.Errorf("%d wait, %d dropped; want at most 1000 and 19000", c.Unplaced, dropped)
	}
	for what, names := range c.DroppedNames {
		if len(names) == 0 || len(names) > 10 || !strings.Contains(names[0], "process 0 on h") {
			t.Errorf("%s: names %v", what, names)
		}
	}
}

func TestASnapshotOfSomethingElseIsRefused(t *testing.T) {
	lib := library(t)
	opt := partition.Options{Name: "p", Library: lib, Policy: policy.Empty(lib.Vocabulary())}
	good, err := partition.New(opt).Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	newer := append([]byte{}, good...)
	newer[len("tidewaiter-snapshot")]++
	for name, b := range map[string][]byte{"empty": nil, "text": []byte("hello"), "cut": good[:len(good)-1], "another version": newer} {
		if _, err := partition.Restore(opt, b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
