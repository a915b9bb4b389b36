package entity

import (
	"net/netip"
	"slices"
	"strings"

	"tidewaiter/event"
)

// nameLife is how long an answer is taken to explain connections after it.
// Resolvers and programs keep answers far beyond their time to live.
const nameLife = int64(24 * 3600 * 1e9)

// answers are the DNS answers of a site that name addresses, in the order in
// which the bound on names pushes them out.
type answers struct {
	timeline[waiter]
	names int // how many they give
}

// answered lists the addresses of a DNS answer, once each.
func answered(d *event.DNS) []netip.Addr {
	var out []netip.Addr
	for _, a := range d.Addrs {
		if a = a.Unmap(); a.IsValid() && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// addNames files the name that a DNS answer tells under its addresses.
func (s *site) addNames(a *act, d *event.DNS) {
	if d.Query == "" || a.untimed() {
		return
	}
	name := strings.ToLower(d.Query)
	for _, addr := range answered(d) {
		known := s.address(addr)
		if known.names[name] == nil {
			known.names[name] = &timeline[*act]{}
		}
		known.names[name].add(a)
		s.regardName(known, name, a)
		a.named++
	}
	if a.named > 0 {
		s.answers.add(waiter{a})
		s.answers.names += a.named
	}
}

// removeNames takes them back.
func (s *site) removeNames(a *act) {
	if a.named == 0 {
		return
	}
	d := a.event.Body.(*event.DNS)
	name := strings.ToLower(d.Query)
	for _, addr := range answered(d) {
		known := s.addrs[addr]
		known.names[name].remove(a)
		s.regardName(known, name, a)
		if known.names[name].len() == 0 {
			delete(known.names, name)
		}
		s.releaseAddress(addr)
	}
	s.answers.remove(waiter{a})
	s.answers.names -= a.named
	a.named = 0
}

// regardName marks those whose connections this answer explains and no other
// one of the same name.
func (s *site) regardName(d *address, name string, a *act) {
	during := s.reach(interval{a.when(), a.when() + nameLife}, exact)
	if earlier, ok := d.names[name].last(a.when() - 1); ok {
		during.from = max(during.from, earlier.when()+nameLife)
	}
	if later, ok := d.names[name].after(a); ok {
		during.to = min(during.to, later.when())
	}
	for connection := range d.reached.between(during) {
		if c := connection.place.owner; c != nil {
			s.markDirty(c)
		}
	}
}

// namesOf lists the names by which an address was known at a time, sorted.
func (s *site) namesOf(a netip.Addr, at event.Time) []string {
	known := s.addrs[a.Unmap()]
	if known == nil || at.IsZero() {
		return nil
	}
	var out []string
	for name, given := range known.names {
		if last, ok := given.last(at.End() + exact); ok && at.At-last.when() <= nameLife {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
