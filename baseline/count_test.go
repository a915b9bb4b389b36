package baseline_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"tidewaiter/baseline"
)

// Every sighting of a counted key is kept, of those who are gone too, and
// survives a restart. A model over random changes.
func TestCountsAreExact(t *testing.T) {
	k, plain := baseline.NewCountedKey("k", "1"), baseline.NewKey("k", "1")
	if k == plain || !k.Counted() || plain.Counted() {
		t.Fatal("a counted key is like a plain one")
	}
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 7))
		m := baseline.New()
		live, gone := map[string]int64{}, []int64(nil)
		for range 80 {
			who, at := fmt.Sprint("c", rng.IntN(6)), int64(rng.IntN(50))
			switch _, known := live[who]; rng.IntN(4) {
			case 0, 1:
				if _, changed := m.Replace(who, baseline.Sightings{k: at, plain: at}); live[who] != at && !slices.Contains(changed, k) {
					t.Fatal("a change of a counted key is not told")
				}
				live[who] = at
			case 2:
				m.Replace(who, nil)
				delete(live, who)
			default:
				m.Settle(who)
				if known {
					gone = append(gone, live[who])
				}
				delete(live, who)
			}
			from := int64(rng.IntN(50))
			to := from + int64(rng.IntN(20))
			want := 0
			for _, at := range append(slices.Clone(gone), values(live)...) {
				if at >= from && at <= to {
					want++
				}
			}
			if got := m.Count(k, from, to); got != want {
				t.Fatalf("seed %d: %d between %d and %d, want %d", seed, got, from, to, want)
			}
		}
		r := baseline.New()
		r.Restore(m.Settled())
		if r.Count(k, 0, 100) != len(gone) || !reflect.DeepEqual(r.Settled(), m.Settled()) {
			t.Fatalf("restored %d, want %d", r.Count(k, 0, 100), len(gone))
		}
	}
}

func values(m map[string]int64) (out []int64) {
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// A flood is bounded and counted, and the latest are kept.
func TestKeptSightingsAreBounded(t *testing.T) {
	m, k := baseline.New(), baseline.NewCountedKey("k")
	for i := range 5000 {
		m.Replace("c", baseline.Sightings{k: int64(i)})
		m.Settle("c")
	}
	if got := m.Count(k, 0, 5000); got != 4096 || m.Dropped != 5000-4096 || m.Count(k, 4990, 5000) != 10 {
		t.Errorf("%d kept, %d dropped", got, m.Dropped)
	}
	m.Replace("late", baseline.Sightings{k: 1})
	m.Settle("late")
	if m.Count(k, 0, 100) != 0 || m.Dropped != 5001-4096 {
		t.Errorf("an old one pushed out a later: %d dropped", m.Dropped)
	}
}
