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

// story is a short scripted history of one or more hosts. What is told of it
// must not depend on the order in which its events come.
type story struct {
	t      *testing.T
	place  event.Place
	limits Limits
	events []event.Event
	// checked is what deliver found for the events so far, nil before it ran.
	checked *Resolver
}

func newStory(t *testing.T) *story {
	t.Helper()
	return &story{t: t, place: event.Place{Host: "h"}}
}

const epoch = 1_800_000_000 * event.Second

// sec is the instant that lies so many seconds after the story's beginning.
func sec(s float64) int64 { return epoch + int64(s*1e9) }

// id is the long id of the n-th container.
func id(n int) string { return fmt.Sprintf("%02x%062x", n, 0xc0ffee) }

// sum is the n-th image digest.
func sum(n int) image.Digest {
	d, err := image.ParseDigest(fmt.Sprintf("sha256:%012x%052x", n, 0xd1))
	if err != nil {
		panic(err)
	}
	return d
}

func ip(s string) netip.Addr         { return netip.MustParseAddr(s) }
func ipPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// add appends an event at so many seconds; a negative time means a look-up,
// which has none.
func (s *story) add(at float64, src event.Source, b event.Body) {
	line := len(s.events) + 1
	e := event.Event{
		ID: event.NewID("story", fmt.Sprint(line)), Place: s.place, Body: b,
		Origin: event.Origin{Source: src, Format: string(src), File: "story.log", Spans: []event.Span{{Line: line}}},
	}
	if at >= 0 {
		e.Time = event.Time{At: sec(at), Res: 1}
	}
	s.events = append(s.events, e)
	s.checked = nil
}

// last is the event that was added last.
func (s *story) last() *event.Event { return &s.events[len(s.events)-1] }

func (s *story) create(at float64, id, ref string) *event.Container {
	b := &event.Container{Action: event.ContainerCreate, ID: id, Image: image.ParseDocker(ref)}
	s.add(at, event.Docker, b)
	return b
}

func (s *story) start(at float64, id string) {
	s.add(at, event.Docker, &event.Container{Action: event.ContainerStart, ID: id})
}

func (s *story) die(at float64, id string) {
	s.add(at, event.Docker, &event.Container{Action: event.ContainerExit, ID: id})
}

func (s *story) task(at float64, id string, pid int) {
	s.add(at, event.Containerd, &event.Task{Action: event.TaskStart, Container: id, PID: pid})
}

func (s *story) taskExit(at float64, id string, pid int) {
	s.add(at, event.Containerd, &event.Task{Action: event.TaskExit, Container: id, PID: pid})
}

func (s *story) execTask(at float64, id, exec string, pid int) {
	s.add(at, event.Containerd, &event.Task{Action: event.TaskStart, Container: id, ExecID: exec, PID: pid})
}

func (s *story) execExit(at float64, id, exec string, pid int) {
	s.add(at, event.Containerd, &event.Task{Action: event.TaskExit, Container: id, ExecID: exec, PID: pid})
}

// run adds that a process ran a program, from a block device, as programs of
// the host lie on; the result can be changed until the story is delivered.
func (s *story) run(at float64, pid, ppid int, args ...string) *event.Process {
	exe := args[0]
	if !strings.HasPrefix(exe, "/") {
		exe = "/bin/" + exe
	}
	b := &event.Process{PID: pid, PPID: ppid, Exe: exe, Args: args, Device: "fe:00", AUID: -1, Session: -1}
	s.add(at, event.Auditd, b)
	return b
}

// runOn is run with the device that holds the program.
func (s *story) runOn(dev string, at float64, pid, ppid int, args ...string) {
	s.run(at, pid, ppid, args...).Device = dev
}

func (s *story) shim(at float64, pid int, id string) {
	s.run(at, pid, 1, "/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", id, "-address", "/run/containerd/containerd.sock").PPID = 900
}

func (s *story) connect(at float64, id, network string) {
	s.add(at, event.Docker, &event.NetworkAttachment{Container: id, NetworkID: network, Connected: true})
}

func (s *story) disconnect(at float64, id, network string) {
	s.add(at, event.Docker, &event.NetworkAttachment{Container: id, NetworkID: network})
}

// describe adds a look-up that tells addresses on a network, as an inspection
// of the network does.
func (s *story) describe(id, network string, addrs ...string) *event.ContainerDescription {
	n := event.NetworkAddress{NetworkID: network}
	for _, a := range addrs {
		n.Addrs = append(n.Addrs, ip(a))
	}
	b := &event.ContainerDescription{ID: id, Networks: []event.NetworkAddress{n}}
	s.add(-1, event.Inspect, b)
	return b
}

func (s *story) flow(at float64, src, dst string) *event.Flow {
	b := &event.Flow{Protocol: "tcp", Src: ipPort(src), Dst: ipPort(dst), Answered: true}
	s.add(at, event.Conntrack, b)
	return b
}

func (s *story) answer(at float64, client, name string, addrs ...string) {
	b := &event.DNS{Client: ipPort(client), Query: name, Code: "NOERROR"}
	for _, a := range addrs {
		b.Addrs = append(b.Addrs, ip(a))
	}
	s.add(at, event.Zeek, b)
}

func (s *story) image(at float64, action event.ImageAction, ref string, d image.Digest) {
	s.add(at, event.Docker, &event.Image{Action: action, Reference: image.ParseDocker(ref), Digest: d})
}

// stored adds a name that containerd's image store wrote, as its decoder tells
// it: a name that is an id stands in Digest.
func (s *story) stored(at float64, action event.ImageAction, name string) {
	b := &event.Image{Action: action, Namespace: "k8s.io", CRI: true}
	if ref := image.Parse(name); ref.Form() == image.ID {
		b.Digest = ref.Digest()
	} else {
		b.Reference = ref
	}
	s.add(at, event.Containerd, b)
}

func (s *story) inspectImage(d image.Digest, tags, repoDigests []string) {
	b := &event.ImageDescription{ID: d}
	for _, t := range tags {
		b.RepoTags = append(b.RepoTags, image.ParseDocker(t))
	}
	for _, t := range repoDigests {
		b.RepoDigests = append(b.RepoDigests, image.ParseDocker(t))
	}
	s.add(-1, event.Inspect, b)
}

// view is what a caller knows who asks only about the subjects that it is told
// to have changed.
type view map[evidence.SubjectID]string

// refresh asks as a partition does.
func (v view) refresh(r *Resolver) {
	again := r.Dirty()
	for place := range r.Widened() {
		for id := range v {
			if id.Place == place {
				again = append(again, id)
			}
		}
	}
	for _, id := range again {
		if sub, ok := r.Subject(id); ok {
			v[id] = dump(sub)
		} else {
			delete(v, id)
		}
	}
}

// deliver gives the story's events to a new Resolver, with a look at what
// changed after some of them, and checks that the looks missed nothing.
func (s *story) deliver(name string, order []int, look func(i int) bool) (*Resolver, view) {
	s.t.Helper()
	r, known := New(s.limits), view{}
	for i, n := range order {
		e := s.events[n]
		r.Apply(&e)
		if look(i) {
			known.refresh(r)
			checkConsistency(s.t, r)
		}
	}
	known.refresh(r)
	checkConsistency(s.t, r)
	all := view{}
	for _, id := range r.Subjects() {
		sub, ok := r.Subject(id)
		if !ok {
			s.t.Fatalf("%s: %s is listed and not known", name, id)
		}
		all[id] = dump(sub)
	}
	s.same(name+": what the looks saw", known, all)
	return r, all
}

// told delivers the story in every order and gives the Resolver of the first,
// for asking what came out.
func (s *story) told() *Resolver {
	s.t.Helper()
	if s.checked != nil {
		return s.checked
	}
	n := len(s.events)
	inOrder := make([]int, n)
	for i := range inOrder {
		inOrder[i] = i
	}
	never, always := func(int) bool { return false }, func(int) bool { return true }
	r, want := s.deliver("in order", inOrder, never)
	try := func(name string, order []int, look func(int) bool) {
		other, got := s.deliver(name, order, look)
		s.same(name, got, want)
		if a, b := counts(other), counts(r); a != b {
			s.t.Errorf("%s: counts %s, want %s", name, a, b)
		}
	}
	try("in order, looked at", inOrder, always)
	reversed := slices.Clone(inOrder)
	slices.Reverse(reversed)
	try("reversed", reversed, never)
	try("reversed, looked at", reversed, always)
	for by := range n {
		try(fmt.Sprintf("rotated by %d", by), slices.Concat(inOrder[by:], inOrder[:by]), func(i int) bool { return i%2 == 0 })
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 7))
		try(fmt.Sprintf("shuffled with seed %d", seed), rng.Perm(n), func(int) bool { return rng.IntN(3) == 0 })
	}
	s.checked = r
	return r
}

// counts is what the account says; which of several went first is not the same
// in every order.
func counts(r *Resolver) string {
	c := r.Counts()
	c.DroppedNames = nil
	return fmt.Sprint(c)
}

func (s *story) same(name string, got, want view) {
	s.t.Helper()
	for id := range want {
		if got[id] != want[id] {
			s.t.Errorf("%s: %s is\n%s\nwant\n%s", name, id, got[id], want[id])
		}
	}
	for id := range got {
		if _, ok := want[id]; !ok {
			s.t.Errorf("%s: unexpected subject %s", name, id)
		}
	}
}

// dump writes everything that a subject says.
func dump(s *evidence.Subject) string {
	var b strings.Builder
	for _, f := range s.Facts {
		fmt.Fprintf(&b, "%s of %d, line %d", f.Kind, f.Container, f.Event.Origin.Line())
		if f.Command != nil {
			fmt.Fprintf(&b, " %+v", *f.Command)
		}
		if f.Connection != nil {
			fmt.Fprintf(&b, " %+v", *f.Connection)
		}
		b.WriteString("\n")
	}
	if s.Instance != nil {
		i := *s.Instance
		fmt.Fprintf(&b, "asked by %+v, made by %+v\n", cloudOf(&i.By), cloudOf(&i.Maker))
		fmt.Fprintf(&b, "%+v\n", i)
	}
	if s.VMImage != nil {
		fmt.Fprintf(&b, "%+v\n", *s.VMImage)
	}
	fmt.Fprintf(&b, "%+v\n%+v\nsight %v\ndropped %d\n", s.Containers, s.Pod, s.Sight, s.Dropped)
	return b.String()
}

// cloudOf takes out what a cloud tells of a principal.
func cloudOf(p *event.Principal) event.CloudIdentity {
	c := p.Cloud
	p.Cloud = nil
	if c == nil {
		return event.CloudIdentity{}
	}
	return *c
}

// subject is what is known of a container after every way of telling.
func (s *story) subject(id string) *evidence.Subject {
	s.t.Helper()
	sub, ok := s.told().Subject(evidence.SubjectID{Kind: "container", Place: s.place, ID: id})
	if !ok {
		s.t.Fatalf("container %.12s is not known", id)
	}
	return sub
}

// expect compares a container's facts of some kinds with what they should be,
// each a line that tell writes.
func (s *story) expect(id string, kinds []evidence.Kind, want ...string) {
	s.t.Helper()
	var got []string
	for _, f := range s.subject(id).Of(kinds...) {
		got = append(got, tell(f))
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("container %.12s:\n%s\nwant\n%s", id, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// commands is expect for what ran in a container.
func (s *story) commands(id string, want ...string) {
	s.t.Helper()
	s.expect(id, []evidence.Kind{evidence.Command}, want...)
}

// egress is expect for connections and name queries.
func (s *story) egress(id string, want ...string) {
	s.t.Helper()
	s.expect(id, []evidence.Kind{evidence.Connection, evidence.Lookup}, want...)
}

// unknown expects that nothing at all is known of a container.
func (s *story) unknown(id string) {
	s.t.Helper()
	if _, ok := s.told().Subject(evidence.SubjectID{Kind: "container", Place: s.place, ID: id}); ok {
		s.t.Errorf("container %.12s is known", id)
	}
}

// tell is a fact in a few words: its kind unless it is a command, what it says,
// and what is derived of it in square brackets.
func tell(f evidence.Fact) string {
	switch {
	case f.Command != nil:
		var marks []string
		for _, m := range []struct {
			is   bool
			word string
		}{{f.Command.First, "first"}, {f.Command.Exec, "exec"}, {f.Command.HealthCheck, "health"}, {f.Command.Dropped != "", "dropped"}} {
			if m.is {
				marks = append(marks, m.word)
			}
		}
		if len(marks) == 0 {
			return f.Command.Text
		}
		return f.Command.Text + " [" + strings.Join(marks, " ") + "]"
	case f.Connection != nil && f.Connection.Shared:
		return f.Connection.Remote.String() + " [shared]"
	case f.Connection != nil:
		if len(f.Connection.Domains) == 0 {
			return f.Connection.Remote.String()
		}
		return f.Connection.Remote.String() + " [" + strings.Join(f.Connection.Domains, " ") + "]"
	}
	switch b := f.Event.Body.(type) {
	case *event.DNS:
		return "asks " + b.Query
	case *event.Image:
		return string(f.Kind) + " " + string(b.Action)
	case *event.FileWrite:
		return "writes " + b.Path
	}
	return string(f.Kind)
}
