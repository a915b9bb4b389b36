package flow

import (
	"hash/maphash"

	"tidewaiter/event"
)

// maxOpen bounds how many connections are remembered between their [NEW] and
// their [DESTROY]. It is the usual nf_conntrack_max of a host with 4 GiB.
const maxOpen = 65536

// compactFrom is the number of entries up to which ended connections may stand
// in the order.
const compactFrom = 64

// opened is what is remembered of a [NEW] record.
type opened struct {
	at   event.Time
	span event.Span
}

// openTable remembers the connections that have begun and not ended. It holds
// at most limit of them; the oldest goes first.
type openTable struct {
	limit int
	seeds [2]maphash.Seed
	live  map[openKey]openEntry
	// order holds keys as they were added. A key that has been taken or
	// renewed since then is recognised by its number and passed over.
	order []orderEntry
	next  uint64
	// dropped counts the connections that the bound pushed out.
	dropped int64
}

// openKey stands for a connection's key. On a busy host thousands never end, as
// far as is told, and their keys would be most of what is remembered of them. No
// two can be made that look alike to somebody who does not know the seeds.
type openKey [2]uint64

func (t *openTable) keyOf(key []byte) openKey {
	return openKey{maphash.Bytes(t.seeds[0], key), maphash.Bytes(t.seeds[1], key)}
}

type openEntry struct {
	opened
	number uint64
}

type orderEntry struct {
	key    openKey
	number uint64
}

func newOpenTable(limit int) *openTable {
	return &openTable{limit: limit, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, live: map[openKey]openEntry{}}
}

// add remembers that the connection key began. An earlier one under the same
// key is over: the kernel gives out an id again only after its end.
func (t *openTable) add(key []byte, o opened) {
	t.next++
	k := t.keyOf(key)
	t.live[k] = openEntry{o, t.next}
	t.order = append(t.order, orderEntry{k, t.next})
	for len(t.live) > t.limit {
		t.dropOldest()
	}
	if len(t.order) > compactFrom+2*len(t.live) {
		t.compact()
	}
}

// take gives and forgets the connection key.
func (t *openTable) take(key []byte) (opened, bool) {
	k := t.keyOf(key)
	e, ok := t.live[k]
	if ok {
		delete(t.live, k)
	}
	return e.opened, ok
}

func (t *openTable) dropOldest() {
	first := t.order[0]
	t.order = t.order[1:]
	if t.live[first.key].number == first.number {
		delete(t.live, first.key)
		t.dropped++
	}
}

// compact removes the keys that are passed over anyway.
func (t *openTable) compact() {
	kept := make([]orderEntry, 0, len(t.live))
	for _, o := range t.order {
		if t.live[o.key].number == o.number {
			kept = append(kept, o)
		}
	}
	t.order = kept
}
