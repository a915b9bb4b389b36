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

// told gives the name that an event tells of addresses, once each: a DNS
// answer, or the name that a client asked a server for.
func told(b event.Body) (name string, addrs []netip.Addr) {
	switch b := b.(type) {
	case *event.DNS:
		name, addrs = b.Query, b.Addrs
	case *event.TLS:
		name, addrs = b.ServerName, []netip.Addr{b.Server.Addr()}
	case *event.HTTP:
		name, addrs = b.Host, []netip.Addr{b.Server.Addr()}
	}
	if _, err := netip.ParseAddr(name); err == nil || name == "" {
		return "", nil
	}
	var out []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap(); a.IsValid() && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return strings.ToLower(name), out
}

// addNames files the name that an event tells under its addresses.
func (s *site) addNames(a *act) {
	name, addrs := told(a.event.Body)
	if a.untimed() {
		return
	}
	for _, addr := range addrs {
		known := s.address(addr)
		if known.names == nil {
			known.names = map[string]*timeline[*act]{}
		}
		if known.names[name] == nil {
			known.names[name] = &timeline[*act]{}
		}
		known.names[name].add(a)
		s.regardName(addr, name, a)
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
	name, addrs := told(a.event.Body)
	for _, addr := range addrs {
		known := s.addrs[addr]
		known.names[name].remove(a)
		s.regardName(addr, name, a)
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
// one of the same name. What a cluster's records tell explains its hosts', too.
func (s *site) regardName(addr netip.Addr, name string, a *act) {
	given := s.addrs[addr].names[name]
	during := interval{a.when(), a.when() + nameLife}
	if earlier, ok := given.last(a.when() - 1); ok {
		during.from = max(during.from, earlier.when()+nameLife)
	}
	if later, ok := given.after(a); ok {
		during.to = min(during.to, later.when())
	}
	for m := range s.around() {
		d := m.addrs[addr]
		if d == nil {
			continue
		}
		for connection := range d.reached.between(m.reach(during, exact)) {
			if c := connection.place.owner; c != nil {
				c.site.markDirty(c)
			} else if m := connection.machine; m != nil {
				s.r.dirty[m.subjectID()] = true
			} else {
				connection.site.regardHost(connection)
			}
		}
	}
}

// namesOf lists the names by which an address was known at a time, sorted.
func (s *site) namesOf(a netip.Addr, at event.Time) []string {
	if at.IsZero() {
		return nil
	}
	var out []string
	for _, m := range []*site{s, s.cluster} {
		known := m.addrs[a.Unmap()]
		if known == nil {
			continue
		}
		for name, given := range known.names {
			if last, ok := given.last(at.End() + exact); ok && at.At-last.when() <= nameLife {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
