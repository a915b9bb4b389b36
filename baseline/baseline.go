// Package baseline remembers what has been seen before: for each kind of thing
// and each key the earliest time of a sighting.
//
// In: what each subject contributes, replaced whenever the subject's evidence
// changes, and what other partitions publish. Out: SeenBefore answers. The
// memory is an exact minimum of event times, so a sighting that arrives late
// changes the answer as if it had come in time.
package baseline

import (
	"cmp"
	"crypto/sha256"
	"slices"
)

// Key is a 128-bit hash of a kind of memory and what is remembered.
// A truncated SHA-256: nobody can find something unseen that hashes like
// something seen.
type Key [16]byte

// NewKey hashes a kind and the parts of a key. Parts are length-delimited.
func NewKey(kind string, parts ...string) Key {
	h := sha256.New()
	var n [8]byte
	for _, p := range append([]string{kind}, parts...) {
		for i := range n {
			n[i] = byte(len(p) >> (8 * i))
		}
		h.Write(n[:])
		h.Write([]byte(p))
	}
	var k Key
	copy(k[:], h.Sum(nil))
	return k
}

// Sightings are the earliest times, in Unix nanoseconds, at which one
// contributor saw each key.
type Sightings map[Key]int64

// See lowers the time of a key to at, if it is not earlier already.
func (s Sightings) See(k Key, at int64) {
	if t, ok := s[k]; !ok || at < t {
		s[k] = at
	}
}

// Memory is the memory of one partition. Not safe for concurrent use.
type Memory struct {
	// settled holds what can no longer be taken back: minima of contributors
	// that are gone.
	settled Sightings
	// live holds the replaceable contributions, by contributor.
	live map[string]Sightings
	// index finds the contributors of a key.
	index map[Key]map[string]int64
}

// New makes an empty memory.
func New() *Memory {
	return &Memory{settled: Sightings{}, live: map[string]Sightings{}, index: map[Key]map[string]int64{}}
}

// First gives the earliest sighting of a key; ok is false if there is none.
func (m *Memory) First(k Key) (at int64, ok bool) {
	at, ok = m.settled[k]
	for _, t := range m.index[k] {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	return at, ok
}

// Replace sets what a contributor saw, in place of what it said before. It
// gives the keys of which the contributor says something else now, and, among
// them, those whose first sighting by anybody changed. Nil takes everything
// back.
func (m *Memory) Replace(contributor string, now Sightings) (said, changed []Key) {
	before := m.live[contributor]
	put := func(k Key, at int64, present bool) {
		said = append(said, k)
		if m.set(k, contributor, at, present) {
			changed = append(changed, k)
		}
	}
	for k := range before {
		if _, still := now[k]; !still {
			put(k, 0, false)
		}
	}
	for k, at := range now {
		if old, had := before[k]; !had || old != at {
			put(k, at, true)
		}
	}
	if len(now) == 0 {
		delete(m.live, contributor)
	} else {
		m.live[contributor] = now
	}
	return said, changed
}

// Update sets or takes back one sighting of a contributor whose memory is
// elsewhere, such as another partition, and reports whether the key's first
// sighting changed.
func (m *Memory) Update(contributor string, k Key, at int64, present bool) bool {
	if present {
		if m.live[contributor] == nil {
			m.live[contributor] = Sightings{}
		}
		m.live[contributor][k] = at
	} else {
		delete(m.live[contributor], k)
	}
	return m.set(k, contributor, at, present)
}

// FirstBy is First over the contributors for whom keep is true, and what is
// settled.
func (m *Memory) FirstBy(k Key, keep func(contributor string) bool) (at int64, ok bool) {
	at, ok = m.settled[k]
	for c, t := range m.index[k] {
		if keep(c) && (!ok || t < at) {
			at, ok = t, true
		}
	}
	return at, ok
}

// Contribution is what a contributor says now, in the order of the keys.
func (m *Memory) Contribution(contributor string) []Sighting { return m.live[contributor].list() }

func (s Sightings) list() []Sighting {
	out := make([]Sighting, 0, len(s))
	for k, at := range s {
		out = append(out, Sighting{k, at})
	}
	slices.SortFunc(out, Sighting.Compare)
	return out
}

// set changes one entry of the index and reports whether the key's first
// sighting changed.
func (m *Memory) set(k Key, contributor string, at int64, present bool) bool {
	was, known := m.First(k)
	switch {
	case !present:
		delete(m.index[k], contributor)
		if len(m.index[k]) == 0 {
			delete(m.index, k)
		}
	case m.index[k] == nil:
		m.index[k] = map[string]int64{contributor: at}
	default:
		m.index[k][contributor] = at
	}
	is, now := m.First(k)
	return is != was || now != known
}

// Settle makes a contributor's sightings permanent: it is gone and will not
// take them back.
func (m *Memory) Settle(contributor string) {
	for k, at := range m.live[contributor] {
		m.settled.See(k, at)
	}
	m.Replace(contributor, nil)
}

// Len is the number of keys remembered.
func (m *Memory) Len() int {
	n := len(m.settled)
	for k := range m.index {
		if _, ok := m.settled[k]; !ok {
			n++
		}
	}
	return n
}

// Settled lists what is permanent, in the order of the keys.
func (m *Memory) Settled() []Sighting { return m.settled.list() }

// Restore takes in what Settled gave.
func (m *Memory) Restore(list []Sighting) {
	for _, s := range list {
		m.settled.See(s.Key, s.At)
	}
}

// Sighting is one key and its earliest time.
type Sighting struct {
	Key Key   `cbor:"1,keyasint"`
	At  int64 `cbor:"2,keyasint"`
}

// Compare orders sightings by key, then time.
func (s Sighting) Compare(o Sighting) int {
	return cmp.Or(slices.Compare(s.Key[:], o.Key[:]), cmp.Compare(s.At, o.At))
}
