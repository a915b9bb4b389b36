package analytic

import (
	"net/netip"
	"time"

	"tidewaiter/evidence"
)

// fanWithin is the time within which connections to one port count together.
const fanWithin = int64(time.Minute)

// fanOut counts, for each connection, to how many different addresses its
// subject connected on the same port within some minute that the connection is
// in: one that looks for open ports asks many, and the first of these tells it as
// well as the last. It is 0 for other facts.
func fanOut(facts []evidence.Fact) []int {
	byPort := map[uint16][]int{}
	for i, f := range facts {
		if f.Kind == evidence.Connection && f.Connection != nil && !f.Event.Time.IsZero() {
			port := f.Connection.Remote.Port()
			byPort[port] = append(byPort[port], i)
		}
	}
	out := make([]int, len(facts))
	for _, at := range byPort {
		fanOfPort(facts, at, out)
	}
	return out
}

// fanOfPort counts for the connections to one port. at lists them in the order of
// their times, as facts are.
func fanOfPort(facts []evidence.Fact, at []int, out []int) {
	remote := func(i int) netip.Addr { return facts[at[i]].Connection.Remote.Addr() }
	apart := func(i, j int) bool { return facts[at[j]].Event.Time.At-facts[at[i]].Event.Time.At > fanWithin }
	// How many addresses are in the minute that ends with each connection.
	ending := make([]int, len(at))
	often := map[netip.Addr]int{}
	for first, last := 0, 0; last < len(at); last++ {
		for often[remote(last)]++; apart(first, last); first++ {
			if often[remote(first)]--; often[remote(first)] == 0 {
				delete(often, remote(first))
			}
		}
		ending[last] = len(often)
	}
	// A connection is in the minutes that end with it or within a minute after it:
	// most is their ends, the highest first, each later than those before it.
	var most []int
	for i := len(at) - 1; i >= 0; i-- {
		for len(most) > 0 && ending[most[len(most)-1]] <= ending[i] {
			most = most[:len(most)-1]
		}
		most = append(most, i)
		for apart(i, most[0]) {
			most = most[1:]
		}
		out[at[i]] = ending[most[0]]
	}
}
