package wire

import (
	"hash/maphash"
	"time"
)

// Bounds of what is remembered of packets and of translated addresses, and for
// how long, at least; both can be twice that.
const (
	maxCopies = 8192
	copyTime  = time.Second // a packet passes a host in less than a millisecond
	maxOuter  = 4096
	outerTime = time.Minute
)

// copies tells the first copy of a packet from those that are seen of it on
// further interfaces. What a client sends is seen first where it comes from,
// with the addresses that the client used; what a server sends is seen first
// with the addresses that it has outside. So the addresses of further copies of
// what a client sends are remembered, as other names of one connection.
//
// An address is translated only on the way out: a packet that comes in with
// other addresses is another packet, however alike they are. Otherwise a
// container could have what it sends be taken for another's.
type copies struct {
	seed  maphash.Seed
	seen  recent[identity, conn]
	outer recent[conn, conn] // by a connection's addresses outside, those of its client
}

// identity is what all copies of a packet have in common.
type identity struct {
	hash   uint64 // of the payload
	length int
	number uint32
	// ports is the sum of both, where there is no number. They are rarely
	// translated.
	ports uint32
}

func newCopies() *copies {
	return &copies{
		seed:  maphash.MakeSeed(),
		seen:  recent[identity, conn]{limit: maxCopies, keep: copyTime},
		outer: recent[conn, conn]{limit: maxOuter, keep: outerTime},
	}
}

// first reports whether this is the first copy of a packet, and its connection
// with the addresses that its client knows.
func (c *copies) first(p *packet, toServer bool) (conn, bool) {
	here := p.conn(toServer)
	id := identity{hash: maphash.Bytes(c.seed, p.payload), length: len(p.payload), number: p.number}
	if p.number == 0 {
		id.ports = uint32(p.src.Port()) + uint32(p.dst.Port())
	}
	if before, ok := c.seen.get(id, p.at); ok && (before == here || p.outgoing) {
		if toServer && before != here {
			c.outer.put(here, before, p.at)
		}
		return before, false
	}
	c.seen.put(id, here, p.at)
	if toServer {
		c.outer.remove(here)
		return here, true
	}
	if inner, ok := c.outer.get(here, p.at); ok {
		return inner, true
	}
	return here, true
}

// recent remembers what was put or asked for of late. It keeps two generations,
// and forgets the older one when the younger is full or old.
type recent[K comparable, V any] struct {
	limit   int
	keep    time.Duration
	turned  time.Time
	younger map[K]V
	older   map[K]V
}

func (r *recent[K, V]) get(k K, at time.Time) (V, bool) {
	r.turn(at)
	v, ok := r.younger[k]
	if ok {
		return v, true
	}
	if v, ok = r.older[k]; ok {
		r.younger[k] = v
	}
	return v, ok
}

func (r *recent[K, V]) put(k K, v V, at time.Time) {
	r.turn(at)
	r.younger[k] = v
}

func (r *recent[K, V]) remove(k K) {
	delete(r.younger, k)
	delete(r.older, k)
}

func (r *recent[K, V]) turn(at time.Time) {
	if age := at.Sub(r.turned); r.younger != nil && len(r.younger) < r.limit && age.Abs() < r.keep {
		return
	}
	if at.Sub(r.turned).Abs() >= 2*r.keep {
		r.younger = nil
	}
	r.older, r.younger, r.turned = r.younger, map[K]V{}, at
}
