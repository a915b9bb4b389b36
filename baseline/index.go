package baseline

import (
	"hash/maphash"
	"iter"
	"math/bits"
)

// index is a table of slots by key. A map of the same takes half as much again,
// and up to three times as much after it has grown; memory holds every key that
// anybody ever saw. The zero index is not ready; use newIndex.
type index struct {
	entries []entry // a key stands at, or soon behind, where its hash points to
	n       int
	seed    maphash.Seed // nobody can choose keys that all stand at one place
}

// entry is a key and its slot, whose more is one greater than the key's: 0 if
// nothing stands here.
type entry struct {
	key  Key
	slot slot
}

func (e *entry) used() bool { return e.slot.more != 0 }

// Fullness, as parts of fullOf, beyond which the table grows by a quarter.
const (
	full      = 12
	fullOf    = 16
	leastSize = 64
)

func newIndex() index { return index{seed: maphash.MakeSeed()} }

func (x *index) len() int { return x.n }

// home is where a key would like to stand.
func (x *index) home(k Key) int {
	hi, _ := bits.Mul64(maphash.Bytes(x.seed, k[:]), uint64(len(x.entries)))
	return int(hi)
}

func (x *index) after(i int) int {
	if i++; i == len(x.entries) {
		return 0
	}
	return i
}

// find gives where a key stands, or where there is room for it.
func (x *index) find(k Key) (i int, ok bool) {
	if len(x.entries) == 0 {
		return 0, false
	}
	for i = x.home(k); x.entries[i].used(); i = x.after(i) {
		if x.entries[i].key == k {
			return i, true
		}
	}
	return i, false
}

func (x *index) get(k Key) (s slot, ok bool) {
	i, ok := x.find(k)
	if ok {
		s = x.entries[i].slot
		s.more--
	}
	return s, ok
}

func (x *index) put(k Key, s slot) {
	i, had := x.find(k)
	if !had {
		if x.n++; x.n*fullOf > len(x.entries)*full {
			x.grow()
			i, _ = x.find(k)
		}
	}
	s.more++
	x.entries[i] = entry{k, s}
}

func (x *index) grow() {
	old := x.entries
	x.entries = make([]entry, max(leastSize, len(old)+len(old)/4))
	for _, e := range old {
		if e.used() {
			i, _ := x.find(e.key)
			x.entries[i] = e
		}
	}
}

// remove takes a key out, and moves those back that stand behind it because it
// was there.
func (x *index) remove(k Key) {
	hole, ok := x.find(k)
	if !ok {
		return
	}
	x.n--
	for i := x.after(hole); x.entries[i].used(); i = x.after(i) {
		if x.between(x.home(x.entries[i].key), hole, i) {
			x.entries[hole] = x.entries[i]
			hole = i
		}
	}
	x.entries[hole] = entry{}
}

// between reports whether one comes, from an entry's home on, to the hole before
// the entry.
func (x *index) between(home, hole, at int) bool {
	size := len(x.entries)
	return (hole-home+size)%size < (at-home+size)%size
}

// keys gives every key, in no order.
func (x *index) keys() iter.Seq[Key] {
	return func(yield func(Key) bool) {
		for i := range x.entries {
			if x.entries[i].used() && !yield(x.entries[i].key) {
				return
			}
		}
	}
}
