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
	"encoding/binary"
	"iter"
	"maps"
	"slices"
)

// Key is a 128-bit hash of a kind of memory and what is remembered.
// A truncated SHA-256: nobody can find something unseen that hashes like
// something seen.
type Key [16]byte

// NewKey hashes a kind and the parts of a key. Parts are length-delimited.
func NewKey(kind string, parts ...string) Key {
	var room [256]byte // most keys fit, and then nothing is allocated
	b := appendPart(room[:0], kind)
	for _, p := range parts {
		b = appendPart(b, p)
	}
	sum := sha256.Sum256(b)
	k := Key(sum[:16])
	k[len(k)-1] &^= countedBit
	return k
}

// countedBit tells keys of which every sighting is kept from those of which
// the first one is.
const countedBit = 1

// NewCountedKey is NewKey for what Count is asked about.
func NewCountedKey(kind string, parts ...string) Key {
	k := NewKey(kind, parts...)
	k[len(k)-1] |= countedBit
	return k
}

// Counted reports whether the key was made by NewCountedKey.
func (k Key) Counted() bool { return k[len(k)-1]&countedBit != 0 }

func appendPart(b []byte, p string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(p))), p...)
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
	// index says of each key who saw it. Most keys have one contributor, and
	// some, such as a program that everything runs, have all.
	index   index
	several []several // those with more than one, by slot.more-1
	spare   []int32   // unused places in several
	// contributors are named by small numbers; keys lists what each saw. Number
	// 0, settled, stands for all that are gone and take nothing back.
	numbers map[string]uint32
	names   []string
	keys    [][]Key
	gone    []uint32 // numbers that are free
	// Dropped is how many counted sightings a bound let go of.
	Dropped int
}

// slot is the earliest live sighting of a key: when, and by whom.
type slot struct {
	at   int64
	who  uint32
	more int32 // 1 + the place in several, 0 if nobody else saw it
}

// settled is the number of those whose sightings are permanent.
const settled = 0

// several are all who saw a key, and when.
type several map[uint32]int64

// New makes an empty memory.
func New() *Memory {
	return &Memory{index: newIndex(), numbers: map[string]uint32{}, names: []string{""}, keys: [][]Key{nil}}
}

// First gives the earliest sighting of a key; ok is false if there is none.
func (m *Memory) First(k Key) (at int64, ok bool) {
	s, ok := m.index.get(k)
	return s.at, ok
}

// Replace sets what a contributor saw, in place of what it said before. It
// gives the keys of which the contributor says something else now, and, among
// them, those whose first sighting by anybody changed. Nil takes everything
// back.
func (m *Memory) Replace(contributor string, now Sightings) (said, changed []Key) {
	number, known := m.numbers[contributor]
	if !known && len(now) == 0 {
		return nil, nil
	}
	if !known {
		number = m.number(contributor)
	}
	put := func(k Key, at int64, present bool) {
		said = append(said, k)
		if m.set(k, number, at, present) || k.Counted() {
			changed = append(changed, k)
		}
	}
	for _, k := range m.keys[number] {
		if _, still := now[k]; !still {
			put(k, 0, false)
		}
	}
	keys := make([]Key, 0, len(now))
	for k, at := range now {
		keys = append(keys, k)
		if old, had := m.seenBy(k, number); !had || old != at {
			put(k, at, true)
		}
	}
	m.keys[number] = keys
	if len(now) == 0 {
		m.release(contributor, number)
	}
	return said, changed
}

// number gives a contributor its number.
func (m *Memory) number(contributor string) uint32 {
	number := m.unused()
	m.numbers[contributor], m.names[number] = number, contributor
	return number
}

// unused gives a number that stands for nobody.
func (m *Memory) unused() uint32 {
	if n := len(m.gone); n > 0 {
		number := m.gone[n-1]
		m.gone = m.gone[:n-1]
		return number
	}
	m.names, m.keys = append(m.names, ""), append(m.keys, nil)
	return uint32(len(m.names) - 1)
}

func (m *Memory) release(contributor string, number uint32) {
	delete(m.numbers, contributor)
	m.names[number], m.keys[number] = "", nil
	m.gone = append(m.gone, number)
}

// seenBy is when a contributor saw a key.
func (m *Memory) seenBy(k Key, number uint32) (at int64, ok bool) {
	s, live := m.index.get(k)
	switch {
	case !live:
		return 0, false
	case s.more > 0:
		at, ok = m.several[s.more-1][number]
		return at, ok
	}
	return s.at, s.who == number
}

// Update sets or takes back one sighting of a contributor whose memory is
// elsewhere, such as another partition, and reports whether the key's first
// sighting changed.
func (m *Memory) Update(contributor string, k Key, at int64, present bool) bool {
	number, known := m.numbers[contributor]
	if !known && !present {
		return false
	}
	if !known {
		number = m.number(contributor)
	}
	switch _, had := m.seenBy(k, number); {
	case present && !had:
		m.keys[number] = append(m.keys[number], k)
	case !present && had:
		i := slices.Index(m.keys[number], k)
		m.keys[number] = slices.Delete(m.keys[number], i, i+1)
	}
	changed := m.set(k, number, at, present) || k.Counted()
	if len(m.keys[number]) == 0 {
		m.release(contributor, number)
	}
	return changed
}

// FirstBy is First over the contributors for whom keep is true, and what is
// settled.
func (m *Memory) FirstBy(k Key, keep func(contributor string) bool) (at int64, ok bool) {
	for number, t := range m.seers(k) {
		if (m.names[number] == "" || keep(m.names[number])) && (!ok || t < at) {
			at, ok = t, true
		}
	}
	return at, ok
}

// seers gives who saw a key, and when.
func (m *Memory) seers(k Key) iter.Seq2[uint32, int64] {
	s, live := m.index.get(k)
	if live && s.more > 0 {
		return maps.All(m.several[s.more-1])
	}
	return func(yield func(uint32, int64) bool) {
		if live {
			yield(s.who, s.at)
		}
	}
}

// Contribution is what a contributor says now, in the order of the keys.
func (m *Memory) Contribution(contributor string) []Sighting {
	number, known := m.numbers[contributor]
	if !known {
		return nil
	}
	out := Sightings{}
	for _, k := range m.keys[number] {
		out[k], _ = m.seenBy(k, number)
	}
	return out.list()
}

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
func (m *Memory) set(k Key, number uint32, at int64, present bool) bool {
	was, known := m.First(k)
	s, live := m.index.get(k)
	switch {
	case present && (!live || s.more == 0 && s.who == number):
		m.index.put(k, slot{at: at, who: number})
	case present:
		if s.more == 0 {
			s.more = m.place(several{s.who: s.at})
		}
		m.several[s.more-1][number] = at
		m.index.put(k, m.earliest(s, number, at))
	case !live || s.more == 0 && s.who != number:
	case s.more == 0:
		m.index.remove(k)
	default:
		all := m.several[s.more-1]
		delete(all, number)
		if s.who == number {
			s = m.search(s)
		}
		if len(all) == 1 { // one is left: it needs no list
			m.several[s.more-1] = nil
			m.spare = append(m.spare, s.more-1)
			s.more = 0
		}
		m.index.put(k, s)
	}
	is, now := m.First(k)
	return is != was || now != known
}

// earliest is a slot after one of several changed its time.
func (m *Memory) earliest(s slot, number uint32, at int64) slot {
	switch {
	case at < s.at, at == s.at && number < s.who:
		s.at, s.who = at, number
	case s.who == number:
		return m.search(s)
	}
	return s
}

// search finds the earliest of several anew: the one that was is gone, or is
// later now, which is rare.
func (m *Memory) search(s slot) slot {
	first := true
	for who, at := range m.several[s.more-1] {
		if first || at < s.at || at == s.at && who < s.who {
			s.at, s.who, first = at, who, false
		}
	}
	return s
}

// place keeps a list and gives 1 + its place.
func (m *Memory) place(list several) int32 {
	if n := len(m.spare); n > 0 {
		i := m.spare[n-1]
		m.spare = m.spare[:n-1]
		m.several[i] = list
		return i + 1
	}
	m.several = append(m.several, list)
	return int32(len(m.several))
}

// Settle makes a contributor's sightings permanent: it is gone and will not
// take them back.
func (m *Memory) Settle(contributor string) {
	number, known := m.numbers[contributor]
	if !known {
		return
	}
	for _, k := range m.keys[number] {
		if k.Counted() {
			at, _ := m.seenBy(k, number)
			m.set(k, number, 0, false)
			m.keep(k, at)
			continue
		}
		if s, _ := m.index.get(k); s.more == 0 {
			s.who = settled // nobody else saw it
			m.index.put(k, s)
			continue
		}
		at, _ := m.seenBy(k, number)
		m.settle(k, at)
		m.set(k, number, 0, false)
	}
	m.release(contributor, number)
}

// Fix makes permanent what a contributor saw, except what is counted, and leaves
// the contributor free to see more or less from now on.
func (m *Memory) Fix(contributor string) {
	number, known := m.numbers[contributor]
	if !known {
		return
	}
	for _, k := range m.keys[number] {
		if at, _ := m.seenBy(k, number); !k.Counted() {
			m.settle(k, at)
		}
	}
}

// settle makes a sighting permanent.
func (m *Memory) settle(k Key, at int64) {
	if was, had := m.seenBy(k, settled); !had || at < was {
		m.set(k, settled, at, true)
	}
}

// maxKept bounds the sightings of one counted key that are kept of contributors
// who are gone: the latest are.
const maxKept = 4096

// keep makes a counted sighting permanent: it stays, of nobody in particular.
func (m *Memory) keep(k Key, at int64) {
	oldest, of := m.oldestKept(k)
	switch {
	case of < maxKept:
		oldest.who = m.unused()
	case at <= oldest.at:
		m.Dropped++
		return
	default:
		m.Dropped++
		m.set(k, oldest.who, 0, false)
	}
	m.set(k, oldest.who, at, true)
}

// oldestKept finds the earliest sighting of nobody in particular, and how many
// there are.
func (m *Memory) oldestKept(k Key) (oldest slot, of int) {
	for number, at := range m.seers(k) {
		if m.names[number] != "" {
			continue
		}
		if of == 0 || at < oldest.at || at == oldest.at && number < oldest.who {
			oldest = slot{at: at, who: number}
		}
		of++
	}
	return oldest, of
}

// Count is how many contributors saw a counted key within an interval, both ends
// included.
func (m *Memory) Count(k Key, from, to int64) int {
	n := 0
	for _, at := range m.seers(k) {
		if at >= from && at <= to {
			n++
		}
	}
	return n
}

// Len is the number of keys remembered.
func (m *Memory) Len() int { return m.index.len() }

// Settled lists what is permanent, in the order of the keys.
func (m *Memory) Settled() []Sighting {
	out := []Sighting{}
	for k := range m.index.keys() {
		if k.Counted() {
			for number, at := range m.seers(k) {
				if m.names[number] == "" {
					out = append(out, Sighting{k, at})
				}
			}
		} else if at, ok := m.seenBy(k, settled); ok {
			out = append(out, Sighting{k, at})
		}
	}
	slices.SortFunc(out, Sighting.Compare)
	return out
}

// Restore takes in what Settled gave.
func (m *Memory) Restore(list []Sighting) {
	for _, s := range list {
		if s.Key.Counted() {
			m.keep(s.Key, s.At)
		} else {
			m.settle(s.Key, s.At)
		}
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
