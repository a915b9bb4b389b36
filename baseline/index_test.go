package baseline

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// The index does what a map does, whatever comes in whichever order, also where
// keys stand close to each other.
func TestIndexIsAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	for range 50 {
		x, want := newIndex(), map[Key]slot{}
		few := 1 + rng.Uint64N(400)
		for range 3000 {
			var k Key
			binary.BigEndian.PutUint64(k[:], rng.Uint64N(few))
			switch _, had := want[k]; {
			case rng.IntN(3) > 0:
				s := slot{at: rng.Int64(), who: rng.Uint32(), more: rng.Int32N(3)}
				want[k] = s
				x.put(k, s)
			case had || rng.IntN(2) == 0:
				delete(want, k)
				x.remove(k)
			}
			got, ok := x.get(k)
			if s, had := want[k]; got != s || ok != had || x.len() != len(want) {
				t.Fatalf("%v %v of %d, want %v %v of %d", got, ok, x.len(), s, had, len(want))
			}
		}
		if got := slices.SortedFunc(x.keys(), compareKeys); !slices.Equal(got, slices.SortedFunc(maps.Keys(want), compareKeys)) {
			t.Fatalf("keys %v", got)
		}
		for k, s := range want {
			if got, _ := x.get(k); got != s {
				t.Fatalf("%v, want %v", got, s)
			}
		}
	}
}

func compareKeys(a, b Key) int { return slices.Compare(a[:], b[:]) }

// A key takes at most 64 bytes, whenever one looks.
func TestIndexTakesLittleRoom(t *testing.T) {
	x := newIndex()
	for i := range uint64(200_000) {
		var k Key
		binary.BigEndian.PutUint64(k[:], i)
		x.put(k, slot{at: 1})
		if room := uintptr(len(x.entries)) * unsafe.Sizeof(entry{}); i > leastSize && room > 64*uintptr(x.n) {
			t.Fatalf("%d bytes for %d keys", room, x.n)
		}
	}
}
