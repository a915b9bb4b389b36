package entity

import (
	"net/netip"
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

const remote = "203.0.113.5:443"

func TestAnAddressIsAContainersWhileItIsAttached(t *testing.T) {
	s := newStory(t)
	s.connect(10, containerA, "n")
	s.describe(containerA, "n", "172.17.0.2")
	s.disconnect(20, containerA, "n")
	for _, at := range []float64{9.7, 9.75, 10, 15, 20, 20.25, 20.3} {
		s.flow(at, "172.17.0.2:4000", remote)
	}
	s.flow(15, "172.17.0.3:4000", remote)
	s.egress(containerA, remote, remote, remote, remote, remote)
	if c := s.told().Counts(); c.Unplaced != 3 || c.Placed != 5 {
		t.Errorf("counts %+v", c)
	}
}

// The attachment's own bounds come before any tolerance: the next container
// can have the address within it.
func TestAnAddressIsGivenToTheNextContainer(t *testing.T) {
	for name, gap := range map[string]float64{"1.2 s later": 1.2, "at once": 0.1} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.connect(10, containerA, "n")
			s.disconnect(20, containerA, "n")
			s.connect(20+gap, containerB, "n")
			s.disconnect(30, containerB, "n")
			s.describe(containerA, "n", "172.17.0.2")
			s.describe(containerB, "n", "172.17.0.2")
			s.flow(20, "172.17.0.2:4000", "203.0.113.1:1")
			s.flow(20+gap, "172.17.0.2:4001", "203.0.113.2:2")
			s.flow(60, "172.17.0.2:4001", "203.0.113.3:3")
			s.egress(containerA, "203.0.113.1:1")
			s.egress(containerB, "203.0.113.2:2")
		})
	}
	t.Run("the record of the end is written late", func(t *testing.T) {
		s := newStory(t)
		s.connect(10, containerA, "n")
		s.disconnect(20, containerA, "n")
		s.connect(21.2, containerB, "n")
		s.describe(containerA, "n", "172.17.0.2")
		s.describe(containerB, "n", "172.17.0.2")
		s.flow(15, "172.17.0.2:4000", remote).End = event.Time{At: sec(16), Res: 1}
		s.last().Record = sec(136)
		s.egress(containerA, remote)
		s.egress(containerB)
	})
}

func TestAFlowWhoseStartIsUnknownIsNobodys(t *testing.T) {
	s := newStory(t)
	s.describe(containerA, "n", "172.17.0.2")
	s.flow(-1, "172.17.0.2:4000", remote).End = event.Time{At: sec(16), Res: 1}
	s.last().Record = sec(16)
	s.egress(containerA)
	if c := s.told().Counts(); c.StartUnknown != 1 || c.Unplaced != 0 || c.Placed != 0 {
		t.Errorf("counts %+v", c)
	}
}

func TestTwoContainersClaimOneAddress(t *testing.T) {
	s := newStory(t)
	s.connect(10, containerA, "n")
	s.connect(11, containerB, "n")
	s.describe(containerA, "n", "172.17.0.2")
	s.describe(containerB, "n", "172.17.0.2")
	s.flow(10.5, "172.17.0.2:4000", "203.0.113.1:1")
	s.flow(12, "172.17.0.2:4000", "203.0.113.2:2")
	s.egress(containerA, "203.0.113.1:1")
	s.egress(containerB)
	if c := s.told().Counts(); c.Ambiguous != 1 || c.Placed != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestWhatTellsHowLongAnAddressWasHeld(t *testing.T) {
	flows := func(s *story) {
		for _, at := range []float64{5, 10.5, 15, 25} {
			s.flow(at, "172.17.0.2:4000", remote)
		}
	}
	for name, c := range map[string]struct {
		tell func(s *story)
		want int
	}{
		"nothing": {func(*story) {}, 4},
		"an exit": {func(s *story) { s.die(20, containerA) }, 3},
		"a removal": {func(s *story) {
			s.add(20, event.Docker, &event.Container{Action: event.ContainerRemove, ID: containerA})
		}, 3},
		"a start":       {func(s *story) { s.start(10.4, containerA) }, 3},
		"a creation":    {func(s *story) { s.create(10.4, containerA, "alpine") }, 3},
		"both":          {func(s *story) { s.create(10.4, containerA, "alpine"); s.start(12, containerA) }, 3},
		"a task":        {func(s *story) { s.task(10.4, containerA, 9); s.taskExit(20, containerA, 9) }, 2},
		"a stated time": {func(s *story) { s.describe(containerA, "m").StartedAt = event.Time{At: sec(10.4), Res: 1} }, 3},
		"its network":   {func(s *story) { s.connect(10.4, containerA, "n"); s.start(1, containerA) }, 3},
		"other network": {func(s *story) { s.connect(10.4, containerA, "m"); s.disconnect(12, containerA, "m") }, 4},
		"an exec":       {func(s *story) { s.execTask(10.4, containerA, "e", 9); s.execExit(11, containerA, "e", 9) }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.describe(containerA, "n", "172.17.0.2")
			c.tell(s)
			flows(s)
			if got := len(s.subject(containerA).Of(evidence.Connection)); got != c.want {
				t.Errorf("%d connections, want %d", got, c.want)
			}
		})
	}
	t.Run("a look-up without an address", func(t *testing.T) {
		s := newStory(t)
		s.connect(1, containerA, "n")
		s.describe(containerA, "n")
		flows(s)
		s.egress(containerA)
	})
}

func TestAContainerThatWasRestarted(t *testing.T) {
	restarted := func(s *story) {
		s.connect(10, containerA, "n")
		s.start(10.2, containerA)
		s.die(20, containerA)
		s.disconnect(20.1, containerA, "n")
		s.connect(30, containerA, "n")
		s.start(30.2, containerA)
		for _, at := range []float64{15, 25, 35} {
			s.flow(at, "172.17.0.2:4000", "203.0.113.1:1")
			s.flow(at, "172.17.0.3:4000", "203.0.113.2:2")
		}
	}
	t.Run("with two addresses, each told with its start", func(t *testing.T) {
		s := newStory(t)
		restarted(s)
		s.describe(containerA, "n", "172.17.0.2").StartedAt = event.Time{At: sec(10.15), Res: 1}
		s.describe(containerA, "n", "172.17.0.3").StartedAt = event.Time{At: sec(30.15), Res: 1}
		s.egress(containerA, "203.0.113.1:1", "203.0.113.2:2")
	})
	t.Run("with two addresses, each told of an instant", func(t *testing.T) {
		s := newStory(t)
		restarted(s)
		s.describe(containerA, "n", "172.17.0.2").Networks[0].At = event.Time{At: sec(10.01), Res: 1}
		s.describe(containerA, "n", "172.17.0.3").Networks[0].At = event.Time{At: sec(30.01), Res: 1}
		s.egress(containerA, "203.0.113.1:1", "203.0.113.2:2")
	})
	t.Run("told before its network was", func(t *testing.T) {
		s := newStory(t)
		restarted(s)
		s.describe(containerA, "n", "172.17.0.2").StartedAt = event.Time{At: sec(9.9), Res: 1}
		s.describe(containerA, "n", "172.17.0.3").StartedAt = event.Time{At: sec(29.9), Res: 1}
		s.egress(containerA, "203.0.113.1:1", "203.0.113.2:2")
	})
	t.Run("with one address that belongs to no start", func(t *testing.T) {
		s := newStory(t)
		restarted(s)
		s.describe(containerA, "n", "172.17.0.2")
		s.egress(containerA, "203.0.113.1:1", "203.0.113.1:1")
	})
	t.Run("within one second of a coarse clock", func(t *testing.T) {
		s := newStory(t)
		for _, at := range []float64{10, 20} {
			s.connect(at, containerA, "n")
			s.last().Time.Res = event.Second
			s.disconnect(at+10, containerA, "n")
			s.last().Time.Res = event.Second
		}
		s.describe(containerA, "n", "172.17.0.2")
		s.flow(15, "172.17.0.2:4000", "203.0.113.1:1")
		s.flow(25, "172.17.0.2:4000", "203.0.113.2:2")
		s.egress(containerA, "203.0.113.1:1", "203.0.113.2:2")
	})
}

func TestFormsOfAddresses(t *testing.T) {
	s := newStory(t)
	s.describe(containerA, "n", "::ffff:172.17.0.2", "fd00::2")
	s.flow(10, "172.17.0.2:4000", "[::ffff:203.0.113.1]:80")
	s.flow(11, "[::ffff:172.17.0.2]:4000", "203.0.113.2:80")
	s.flow(12, "[fd00::2]:4000", "[2001:db8::1]:80")
	s.flow(13, "[fd00::3]:4000", "[2001:db8::1]:80")
	s.answer(9, "[fd00::9]:53", "a.example", "::ffff:203.0.113.1", "2001:db8::1")
	s.egress(containerA, "203.0.113.1:80 [a.example]", "203.0.113.2:80", "[2001:db8::1]:80 [a.example]")
}

func TestAHostsOwnConnections(t *testing.T) {
	s := newStory(t)
	s.describe(containerA, "n", "10.0.0.1")
	s.connect(10, containerA, "n")
	s.disconnect(20, containerA, "n")
	s.flow(15, "10.0.0.1:4000", remote) // a container that has the host's address
	s.flow(30, "10.0.0.1:4000", remote)
	s.flow(31, "[::ffff:10.0.0.2]:4000", remote)
	s.flow(32, "10.0.0.3:4000", remote)
	s.add(-1, event.Inventory, &event.HostDescription{Name: "h"})
	b := &event.HostDescription{Name: "h"}
	for _, a := range []string{"10.0.0.1", "::ffff:10.0.0.2"} {
		b.Addrs = append(b.Addrs, ip(a))
	}
	s.add(-1, event.Inventory, b)
	if c := s.told().Counts(); c.Host != 2 || c.Unplaced != 1 || c.Placed != 1 {
		t.Errorf("counts %+v", c)
	}
}

const day = 24 * 3600.0

func TestNamesOfAddresses(t *testing.T) {
	connected := func(s *story) {
		s.describe(containerA, "n", "172.17.0.2")
		s.flow(100_000, "172.17.0.2:4000", remote)
	}
	for name, c := range map[string]struct {
		tell func(s *story)
		want string
	}{
		"an answer before":                  {func(s *story) { s.answer(99_999, "10.9.9.9:53", "A.example", "203.0.113.5") }, " [a.example]"},
		"at the same time":                  {func(s *story) { s.answer(100_000, "10.9.9.9:53", "a.example", "203.0.113.5") }, " [a.example]"},
		"an answer after":                   {func(s *story) { s.answer(100_001, "10.9.9.9:53", "a.example", "203.0.113.5") }, ""},
		"after, within the clocks' error":   {func(s *story) { s.answer(100_000.25, "10.9.9.9:53", "a.example", "203.0.113.5") }, " [a.example]"},
		"24 hours before":                   {func(s *story) { s.answer(100_000-day, "10.9.9.9:53", "a.example", "203.0.113.5") }, " [a.example]"},
		"25 hours before":                   {func(s *story) { s.answer(100_000-day-3600, "10.9.9.9:53", "a.example", "203.0.113.5") }, ""},
		"for another address":               {func(s *story) { s.answer(99_999, "10.9.9.9:53", "a.example", "203.0.113.6") }, ""},
		"a failed query":                    {func(s *story) { s.answer(99_999, "10.9.9.9:53", "a.example") }, ""},
		"of nobody":                         {func(s *story) { s.answer(99_999, "10.9.9.9:53", "", "203.0.113.5") }, ""},
		"without a time":                    {func(s *story) { s.answer(-1, "10.9.9.9:53", "a.example", "203.0.113.5") }, ""},
		"several, and again":                {func(s *story) { answerAll(s, 99_990, "b.example", "a.example", "b.example", "a.example") }, " [a.example b.example]"},
		"twice in one answer":               {func(s *story) { s.answer(99_999, "10.9.9.9:53", "a.example", "203.0.113.5", "203.0.113.5") }, " [a.example]"},
		"an old one and a later one":        {func(s *story) { answerAll(s, 1, "a.example"); answerAll(s, 100_002, "a.example") }, ""},
		"asked again and again for a month": {func(s *story) { everyDay(s, "a.example") }, " [a.example]"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			connected(s)
			c.tell(s)
			s.egress(containerA, remote+c.want)
		})
	}
	t.Run("a client that no record names", func(t *testing.T) {
		s := newStory(t)
		connected(s)
		s.add(99_999, event.Zeek, &event.DNS{Query: "a.example", Addrs: []netip.Addr{ip("203.0.113.5")}})
		s.egress(containerA, remote+" [a.example]")
	})
	t.Run("of what a process connected to", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.add(12, event.Auditd, &event.Socket{PID: 100, PPID: 50, Addr: ipPort("[::ffff:203.0.113.5]:443"), Success: true})
		s.answer(11, "10.9.9.9:53", "a.example", "203.0.113.5")
		s.egress(containerA, remote+" [a.example]")
	})
	t.Run("the container's own query", func(t *testing.T) {
		s := newStory(t)
		connected(s)
		s.answer(99_999, "172.17.0.2:5353", "a.example", "203.0.113.5")
		s.answer(99_999.5, "172.17.0.2:5353", "b.example")
		s.egress(containerA, "asks a.example", "asks b.example", remote+" [a.example]")
	})
}

func answerAll(s *story, at float64, names ...string) {
	for i, n := range names {
		s.answer(at+float64(i), "10.9.9.9:53", n, "203.0.113.5")
	}
}

func everyDay(s *story, name string) {
	for i := range 4 {
		answerAll(s, 100_000-float64(i)*day+1, name)
	}
}
