package analytic

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

func connectionAt(second float64, to string) evidence.Fact {
	return evidence.Fact{
		Kind:       evidence.Connection,
		Event:      &event.Event{Time: event.Time{At: int64(second * 1e9), Res: 1}},
		Connection: &evidence.ConnectionFact{Remote: netip.MustParseAddrPort(to)},
	}
}

func TestFanOut(t *testing.T) {
	facts := []evidence.Fact{
		connectionAt(1, "198.51.100.1:2375"),
		connectionAt(2, "198.51.100.2:2375"),
		connectionAt(2, "198.51.100.2:443"), // another port
		connectionAt(3, "198.51.100.2:2375"),
		{Kind: evidence.Command, Event: &event.Event{Time: event.Time{At: 4e9}}},
		connectionAt(61, "198.51.100.3:2375"), // a minute after the first, to the nanosecond
		connectionAt(62.5, "198.51.100.4:2375"),
		connectionAt(300, "198.51.100.5:2375"),
	}
	if got, want := fanOut(facts), []int{3, 3, 1, 3, 0, 3, 3, 1}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The quick way says what looking at every minute says.
func TestFanOutOfMany(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var facts []evidence.Fact
		second := 0.0
		for range random.IntN(80) {
			second += random.Float64() * random.Float64() * 20
			addr := netip.AddrFrom4([4]byte{198, 51, 100, byte(random.IntN(12))})
			facts = append(facts, connectionAt(second, netip.AddrPortFrom(addr, uint16(1+random.IntN(2))).String()))
		}
		want := make([]int, len(facts))
		for i, from := range facts { // each minute that begins with a connection
			port := from.Connection.Remote.Port()
			within := map[netip.Addr]bool{}
			var those []int
			for j := i; j < len(facts) && facts[j].Event.Time.At-from.Event.Time.At <= fanWithin; j++ {
				if r := facts[j].Connection.Remote; r.Port() == port {
					within[r.Addr()] = true
					those = append(those, j)
				}
			}
			for _, j := range those {
				want[j] = max(want[j], len(within))
			}
		}
		if got := fanOut(facts); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}
