package partition

import (
	"fmt"
	"testing"

	"tidewaiter/evidence"
)

// The latest of those let go of are known, the others are counted, and a
// snapshot takes all with it that are known.
func TestGoneIsBounded(t *testing.T) {
	var g gone
	id := func(i int) evidence.SubjectID { return evidence.SubjectID{Kind: "container", ID: fmt.Sprint(i)} }
	const all = (generations+2)*generation + 100
	for i := range all {
		g.add(goneKey(id(i)))
	}
	first := 2 * generation
	if g.forgotten != first {
		t.Errorf("%d forgotten, want %d", g.forgotten, first)
	}
	again := gone{old: [][]uint64{g.list()}}
	for _, i := range []int{0, first - 1, first, first + generation, all - 101, all - 1, all} {
		want := i >= first && i < all
		if g.has(id(i)) != want || again.has(id(i)) != want {
			t.Errorf("%d known: %t, and after a restart %t, want %t", i, g.has(id(i)), again.has(id(i)), want)
		}
	}
}
