package entity

import (
	"iter"
	"maps"
	"net/netip"

	"tidewaiter/event"
)

// address is what is known of one address at a site, which is given to one
// container after another.
type address struct {
	acts    timeline[*act] // connections and name queries that it began
	via     timeline[*act] // connections that others began, and that went on as its own
	reached timeline[*act] // connections to it
	tenures tenures
	names   map[string]*timeline[*act] // answers that gave it a name, by name; nil if none did
}

func (s *site) address(a netip.Addr) *address {
	d := s.addrs[a]
	if d == nil {
		d = &address{}
		s.addrs[a] = d
	}
	return d
}

// releaseAddress lets an address go of which nothing is known any more.
func (s *site) releaseAddress(a netip.Addr) {
	if d := s.addrs[a]; d != nil && d.acts.len()+d.via.len()+d.reached.len()+len(d.tenures.list)+len(d.names) == 0 {
		delete(s.addrs, a)
	}
}

// addAddressAct takes in something that an address did.
func (s *site) addAddressAct(a *act) bool {
	s.coarsest = max(s.coarsest, a.event.Time.Res)
	s.addNames(a)
	if !a.src.IsValid() && a.named == 0 {
		return false
	}
	s.addTold(a)
	s.regardHost(a)
	s.hear(a.event)
	if a.src.IsValid() {
		s.address(a.src).acts.add(a)
		s.fileReferences(a, +1)
		s.regardHeard(a)
		s.addReached(a)
		if v := a.via(); v.IsValid() {
			s.address(v).via.add(a)
		}
		s.enqueue(a)
	}
	s.r.wait(a)
	return true
}

func (s *site) removeAddressAct(a *act) {
	s.removeCall(a)
	s.removeNames(a)
	s.removeTold(a)
	s.regardHost(a)
	if a.src.IsValid() {
		s.addrs[a.src].acts.remove(a)
		s.fileReferences(a, -1)
		s.regardHeard(a)
		s.removeReached(a)
		if v := a.via(); v.IsValid() {
			s.addrs[v].via.remove(a)
			s.releaseAddress(v)
		}
		s.releaseAddress(a.src)
	}
}

// via is the address as whose own a connection went on, if that is another.
func (a *act) via() netip.Addr {
	if f, ok := a.event.Body.(*event.Flow); ok && a.src.IsValid() {
		return f.Via.Unmap()
	}
	return netip.Addr{}
}

// removeCall takes out the call of a runtime's API that an act tells.
func (s *site) removeCall(a *act) {
	if c := a.call; c != nil {
		a.call = nil
		s.calling.remove(c)
		s.regardCall(c)
	}
}

// addReached files a connection under the address connected to, so that a name
// learnt late for it reaches those who connected.
func (s *site) addReached(a *act) {
	if a.dst.IsValid() {
		s.address(a.dst).reached.add(a)
	}
}

func (s *site) removeReached(a *act) {
	if a.dst.IsValid() {
		s.addrs[a.dst].reached.remove(a)
		s.releaseAddress(a.dst)
	}
}

// enqueueAddress places again what an address did in the time of a tenure.
func (s *site) enqueueAddress(l addrTenure) {
	for m := range s.around() {
		if d := m.addrs[l.addr]; d != nil {
			for a := range d.acts.between(m.reach(l.when, exact)) {
				m.enqueue(a)
			}
		}
	}
}

// around gives the sites at which an address of this one's can be told: of a
// cluster's, those of its hosts too.
func (s *site) around() iter.Seq[*site] {
	if s.cluster == s {
		return maps.Keys(s.members)
	}
	return func(yield func(*site) bool) { yield(s) }
}

// placeByAddress finds the container that had the address when the connection
// began. An address is given to the next container within a second, so hardly
// any tolerance is allowed, and none for a container that was not made yet: the
// address was another's then. A connection whose start is unknown is nobody's.
func (s *site) placeByAddress(a *act) placement {
	if a.untimed() {
		return placement{}
	}
	made := func(x tenure) bool { return x.holder.links.made <= a.event.Time.End() }
	for _, slack := range []int64{0, exact} {
		if c, tie := s.addrs[a.src].tenures.only(a.event.Time, slack, made); c != nil || tie {
			return placement{owner: c, rank: linked}
		}
	}
	if known := s.cluster.addrs[a.src]; known != nil && s.cluster != s {
		if c, tie := known.tenures.only(a.event.Time, exact, made); c != nil || tie {
			return placement{owner: c, rank: linked}
		}
	}
	return placement{}
}

// regardNode places again what an address did that turns out to be a host's.
func (s *site) regardNode(a netip.Addr) {
	for m := range s.cluster.members {
		if known := m.addrs[a]; known != nil {
			for did := range known.acts.all() {
				m.enqueue(did)
			}
		}
	}
}

// addHost takes in what an inventory says of the host.
func (s *site) addHost(e *event.Event, d *event.HostDescription) bool {
	if len(d.Addrs) == 0 && d.InstanceID == "" {
		return false
	}
	s.hosts = append(s.hosts, e)
	s.r.machines.addHost(e, d)
	defer s.retie()
	for _, a := range d.Addrs {
		if a = a.Unmap(); !s.hostAddrs[a] {
			s.hostAddrs[a] = true
			s.cluster.nodeAddrs[a]++
			s.regardNode(a)
		}
	}
	for c := range s.calling.all() { // whose they are may be told otherwise now
		s.regardCall(c)
	}
	for b := range s.builds.all() {
		s.markAlone(b.c)
		s.regardWaiting(b)
	}
	for _, c := range s.cluster.pods.byID {
		if c.pod.inHost {
			s.markDirty(c)
		}
	}
	return true
}
