package entity

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// Names, process ids, addresses and container ids mean something only inside
// their place.
func TestPlacesShareNothing(t *testing.T) {
	hosts := map[string]event.Place{
		"a host": {Host: "h1"}, "another": {Host: "h2"}, "an unknown one": {},
		"a cluster's": {Cluster: "c1", Host: "h1"}, "another cluster's": {Cluster: "c2", Host: "h1"},
		"a tenant's": {Tenant: "t", Host: "h1"},
	}
	s := newStory(t)
	n := 0
	for _, name := range []string{"a host", "another", "an unknown one", "a cluster's", "another cluster's", "a tenant's"} {
		s.place = hosts[name]
		n++
		s.create(1, containerA, "web:1").Name = "web"
		s.image(0, event.ImagePull, "web:1", sum(n))
		s.task(10, containerA, 100)
		s.run(11, 100, 50, name)
		s.describe(containerA, "n", "172.17.0.2")
		s.flow(12, "172.17.0.2:4000", "203.0.113.1:80")
		s.answer(11, "172.17.0.9:53", "host"+string(rune('0'+n))+".example", "203.0.113.1")
	}
	n = 0
	for _, name := range []string{"a host", "another", "an unknown one", "a cluster's", "another cluster's", "a tenant's"} {
		s.place = hosts[name]
		n++
		s.commands(containerA, name+" [first]")
		s.egress(containerA, "203.0.113.1:80 [host"+string(rune('0'+n))+".example]")
		s.made(containerA, evidence.OriginRegistry, digests(sum(n)), "arrival pull")
		if c := s.subject(containerA).Containers[0]; c.Host != s.place.Host || c.Cluster != s.place.Cluster {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if got := len(s.told().Subjects()); got != len(hosts) {
		t.Errorf("%d subjects, want %d", got, len(hosts))
	}
}

func TestANetworkSegmentIsNoPlace(t *testing.T) {
	s := newStory(t)
	s.describe(containerA, "n", "172.17.0.2")
	s.place.Network = "dmz"
	s.flow(12, "172.17.0.2:4000", "203.0.113.1:80")
	s.answer(11, "172.17.0.9:53", "a.example", "203.0.113.1")
	s.place.Network = ""
	s.egress(containerA, "203.0.113.1:80 [a.example]")
	if s.subject(containerA).Sight[evidence.Connection] != evidence.Observable {
		t.Error("a network sensor's records do not count as coverage")
	}
}

func TestFormsOfContainerIDs(t *testing.T) {
	short := containerA[:12]
	twin := short + strings.Repeat("9", 52)
	all := []evidence.Kind{evidence.Creation, evidence.Start, evidence.Command, evidence.Connection}
	t.Run("a short id means the long one", func(t *testing.T) {
		s := newStory(t)
		s.create(1, short, "web:1")
		s.start(2, short)
		s.task(2, containerA, 100)
		s.describe(short, "n", "172.17.0.2")
		s.run(3, 100, 50, "server")
		s.flow(4, "172.17.0.2:4000", remote)
		s.expect(containerA, all, "creation", "start", "start", "server [first]", remote)
		s.unknown(short)
	})
	t.Run("claims of both are one", func(t *testing.T) {
		s := newStory(t)
		s.task(2, containerA, 100)
		s.task(2, short, 100)
		s.describe(short, "n", "172.17.0.2")
		s.describe(containerA, "n", "172.17.0.2")
		s.runOn("00:27", 3, 100, 50, "server")
		s.run(4, 101, 50, "told").Container = short
		s.runOn("00:27", 5, 300, 299, "by mount")
		s.flow(4, "172.17.0.2:4000", remote)
		s.expect(containerA, all, "start", "start", "server [first]", "told", remote, "by mount")
	})
	t.Run("a prefix of two", func(t *testing.T) {
		s := newStory(t)
		s.create(1, short, "web:1")
		s.task(2, short, 100)
		s.run(3, 100, 50, "of the short one")
		s.run(3, 101, 50, "told").Container = short
		s.task(2, containerA, 200)
		s.run(3, 200, 50, "of the long one")
		s.create(1, twin, "web:1")
		s.expect(short, all, "creation", "start", "of the short one [first]", "told")
		s.expect(containerA, all, "start", "of the long one [first]")
		s.expect(twin, all, "creation")
	})
	t.Run("of which one is let go", func(t *testing.T) {
		s := newStory(t)
		s.create(1, short, "web:1")
		s.run(3, 101, 50, "told").Container = short
		s.create(2, containerA, "web:1")
		s.create(1, twin, "web:1")
		r, known := New(Limits{}), view{}
		for _, e := range s.events {
			r.Apply(&e)
			known.refresh(r)
		}
		r.Forget(evidence.SubjectID{Kind: "container", Place: s.place, ID: twin})
		known.refresh(r)
		checkConsistency(t, r)
		s.events, s.checked = s.events[:3], nil
		want := view{}
		for _, id := range s.told().Subjects() {
			sub, _ := s.told().Subject(id)
			want[id] = dump(sub)
		}
		delete(known, evidence.SubjectID{Kind: "container", Place: s.place, ID: twin}) // as a caller of Forget does
		s.same("after one is let go", known, want)
	})
	t.Run("free names", func(t *testing.T) {
		s := newStory(t)
		for i, name := range []string{"redis", "redis-2", "deadbeef", "deadbeefdead-x", "DEADBEEFDEAD"} {
			s.task(2, name, 100+i)
			s.run(3, 100+i, 50, "server", name)
		}
		for _, name := range []string{"redis", "redis-2", "deadbeef", "deadbeefdead-x", "DEADBEEFDEAD"} {
			s.expect(name, all, "start", "server "+name+" [first]")
		}
	})
	t.Run("none", func(t *testing.T) {
		s := newStory(t)
		s.create(1, "", "web:1")
		s.run(3, 100, 50, "server")
		if got := s.told().Subjects(); len(got) != 0 {
			t.Errorf("%v", got)
		}
	})
}

func TestWhatAContainerIs(t *testing.T) {
	s := newStory(t)
	s.create(1, containerA, "web:1").Labels = map[string]string{"tier": "1"}
	s.add(2, event.Containerd, &event.Container{Action: event.ContainerUpdate, ID: containerA, Labels: map[string]string{"tier": "2"}})
	s.add(3, event.Docker, &event.Container{Action: event.ContainerHealthy, ID: containerA, Name: "web"})
	a, b := s.describe(containerA, "n"), s.describe(containerA, "n")
	a.Risk = event.Risk{Capabilities: []string{"NET_ADMIN"}, Mounts: []event.Mount{{Source: "/", Destination: "/host"}}, User: "root", PIDMode: "host"}
	b.Risk = event.Risk{Privileged: true, Capabilities: []string{"SYS_ADMIN", "NET_ADMIN"}, Mounts: []event.Mount{{Source: "/", Destination: "/host"}, {Source: "/etc", Destination: "/e"}}}
	c := s.subject(containerA).Containers[0]
	if c.Name != "web" || c.Labels["tier"] != "2" || c.Image.Name() != "docker.io/library/web:1" {
		t.Errorf("%+v", c)
	}
	r := c.Risk
	if !r.Privileged || !reflect.DeepEqual(r.Capabilities, []string{"NET_ADMIN", "SYS_ADMIN"}) || len(r.Mounts) != 2 || r.User != "root" || r.PIDMode != "host" {
		t.Errorf("%+v", r)
	}
}

// What a source at the place was seen to tell around a container's life is
// observable: absent means absent then, and otherwise not.
func TestCoverage(t *testing.T) {
	observable := func(t *testing.T, s *story, want ...evidence.Kind) {
		t.Helper()
		var got []evidence.Kind
		for k, sight := range s.subject(containerA).Sight {
			if sight == evidence.Observable {
				got = append(got, k)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("observable %v, want %v", got, want)
		}
	}
	life := func(s *story) {
		s.create(1000, containerA, "web:1")
		s.task(1000, containerA, 50)
		s.die(1100, containerA)
	}
	t.Run("its own events", func(t *testing.T) {
		s := newStory(t)
		life(s)
		observable(t, s, evidence.Creation, evidence.Start)
	})
	t.Run("every kind", func(t *testing.T) {
		s := newStory(t)
		life(s)
		s.image(1000, event.ImagePull, "x", sum(1))
		s.run(1000, 7, 6, "x")
		s.add(1000, event.Auditd, &event.FileWrite{PID: 7, Path: "/x"})
		s.flow(1000, "10.0.0.1:1", remote)
		s.answer(1000, "10.0.0.1:1", "a.example")
		s.describe(containerA, "n", "172.17.0.2")
		observable(t, s, evidence.Arrival, evidence.Creation, evidence.Start, evidence.Command, evidence.Connection, evidence.Lookup, evidence.Write, evidence.Fetch)
	})
	t.Run("a process that connects", func(t *testing.T) {
		s := newStory(t)
		life(s)
		s.add(1000, event.Auditd, &event.Socket{PID: 7, Addr: ipPort(remote)})
		observable(t, s, evidence.Creation, evidence.Start, evidence.Connection)
	})
	t.Run("alerts of a rule, which tell what it is about and no more", func(t *testing.T) {
		s := newStory(t)
		life(s)
		s.add(1000, event.Falco, &event.Process{PID: 7, Exe: "/x", Container: containerA})
		observable(t, s, evidence.Creation, evidence.Start)
	})
	t.Run("flows, and no address of the container is known", func(t *testing.T) {
		s := newStory(t)
		life(s)
		s.flow(1000, "10.0.0.1:1", remote)
		observable(t, s, evidence.Creation, evidence.Start, evidence.Fetch)
		if got := s.subject(containerA).Sight; got[evidence.Connection] != evidence.Untied || got[evidence.Lookup] != evidence.NoSource {
			t.Errorf("%v", got)
		}
	})
	t.Run("commands, and no process of the container is known", func(t *testing.T) {
		s := newStory(t)
		s.create(1000, containerA, "web:1")
		s.run(1000, 7, 6, "x")
		observable(t, s, evidence.Creation, evidence.Start)
	})
	t.Run("commands, and one is tied to the container by the runtime's own", func(t *testing.T) {
		s := newStory(t)
		s.create(1000, containerA, "web:1")
		s.shim(1000, 40, containerA)
		s.run(1001, 50, 40, "x")
		observable(t, s, evidence.Creation, evidence.Start, evidence.Command)
	})
	t.Run("commands that name their container", func(t *testing.T) {
		s := newStory(t)
		s.create(1000, containerA, "web:1")
		s.run(1000, 7, 6, "x").Container = containerB
		observable(t, s, evidence.Creation, evidence.Start, evidence.Command)
	})
	t.Run("look-ups prove nothing", func(t *testing.T) {
		s := newStory(t)
		life(s)
		s.inspectImage(sum(1), nil, nil)
		s.add(1000, event.Auditd, &event.Socket{PID: 7, Path: "/x"})
		observable(t, s, evidence.Creation, evidence.Start)
	})
	t.Run("at another place", func(t *testing.T) {
		s := newStory(t)
		life(s)
		s.place.Host = "other"
		s.run(1000, 7, 6, "x")
		s.place.Host = "h"
		observable(t, s, evidence.Creation, evidence.Start)
	})
	for name, c := range map[string]struct {
		times []float64
		want  bool
	}{
		"long before": {[]float64{1, 879}, false}, "just before": {[]float64{1, 880}, true},
		"just after": {[]float64{1220, 5000}, true}, "long after": {[]float64{1221, 5000}, false},
		"around": {[]float64{1, 5000}, true}, "before, then after": {[]float64{5000, 1}, true},
	} {
		t.Run("commands "+name, func(t *testing.T) {
			s := newStory(t)
			life(s)
			for _, at := range c.times {
				s.run(at, 7, 6, "x")
			}
			if c.want {
				observable(t, s, evidence.Creation, evidence.Start, evidence.Command)
			} else {
				observable(t, s, evidence.Creation, evidence.Start)
			}
		})
	}
}
