package scenario

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"tidewaiter/event"
)

// Cell is one way in which what is delivered differs from what happened.
type Cell struct {
	Name string
	// Lossy says that something is missing: then an attack may be told one step
	// milder.
	Lossy bool
	// Deliver gives what arrives, in order, and leaves what it is given alone.
	Deliver func(rng *rand.Rand, events []event.Event) []event.Event
}

// Perturbations gives the ways in which these events are delivered to see
// whether findings depend on it: twice, in another order, with other clocks,
// with losses, in a crowd, and without each source that they have.
func Perturbations(events []event.Event) []Cell {
	out := []Cell{
		{"as recorded", false, func(_ *rand.Rand, e []event.Event) []event.Event { return e }},
		{"twice each", false, func(_ *rand.Rand, e []event.Event) []event.Event {
			var out []event.Event
			for _, x := range e {
				out = append(out, x, x)
			}
			return out
		}},
		{"replayed", false, func(_ *rand.Rand, e []event.Event) []event.Event { return slices.Concat(e, e) }},
		{"shuffled", false, shuffled},
		{"node +95 s", false, skewed(95 * event.Second)},
		{"node -95 s", false, skewed(-95 * event.Second)},
		{"5 % lost", true, func(rng *rand.Rand, e []event.Event) []event.Event {
			return slices.DeleteFunc(slices.Clone(e), func(event.Event) bool { return rng.IntN(100) < 5 })
		}},
		{"among 10,000 others", false, crowded},
	}
	var sources []event.Source
	for _, e := range events {
		if !slices.Contains(sources, e.Origin.Source) && e.Origin.Source != event.Inventory && e.Origin.Source != event.Inspect {
			sources = append(sources, e.Origin.Source)
		}
	}
	slices.Sort(sources)
	for _, s := range sources {
		out = append(out, Cell{"without " + string(s), true, func(_ *rand.Rand, e []event.Event) []event.Event {
			return slices.DeleteFunc(slices.Clone(e), func(x event.Event) bool { return x.Origin.Source == s })
		}})
	}
	return out
}

func shuffled(rng *rand.Rand, e []event.Event) []event.Event {
	e = slices.Clone(e)
	rng.Shuffle(len(e), func(i, j int) { e[i], e[j] = e[j], e[i] })
	return e
}

// skewed has the clock of every node differ from the cluster's.
func skewed(by int64) func(*rand.Rand, []event.Event) []event.Event {
	return func(_ *rand.Rand, e []event.Event) []event.Event {
		e = slices.Clone(e)
		for i := range e {
			if e[i].Place.Host != "" && e[i].Place.Cluster != "" && !e[i].Time.IsZero() {
				e[i].Time.At += by
			}
		}
		return e
	}
}

// crowded adds what a busy place does beside: processes of hosts, flows and
// containers of no interest.
func crowded(rng *rand.Rand, e []event.Event) []event.Event {
	var places []event.Place
	at := int64(0)
	for _, x := range e {
		if !slices.Contains(places, x.Place) {
			places = append(places, x.Place)
		}
		at = max(at, x.Time.At)
	}
	if at == 0 {
		return e
	}
	out := slices.Clone(e)
	for i := range 10_000 {
		x := event.Event{
			ID: event.NewID("crowd", fmt.Sprint(i)), Place: places[rng.IntN(len(places))], Time: event.Time{At: at - int64(rng.IntN(1_200_000))*event.Millisecond, Res: 1},
			Origin: event.Origin{Source: event.Auditd, Format: "auditd", File: "crowd.log", Spans: []event.Span{{Line: i + 1}}},
		}
		switch rng.IntN(3) {
		case 0:
			x.Body = &event.Process{PID: 2_000_000 + i, PPID: 1_900_000 + rng.IntN(50), Exe: "/usr/bin/cat", Args: []string{"cat", "/proc/stat"}, AUID: -1}
		case 1:
			x.Body = &event.Flow{Protocol: "tcp", Src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 200, byte(rng.IntN(250)), byte(rng.IntN(250))}), 4000),
				Dst: netip.MustParseAddrPort("10.0.0.10:443"), Answered: true}
		case 2:
			x.Body = &event.Container{Action: event.ContainerRemove, ID: fmt.Sprintf("%064x", 0xfeed00000+i)}
		}
		out = append(out, x)
	}
	return shuffled(rng, out)
}
