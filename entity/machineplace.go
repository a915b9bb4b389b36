package entity

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// ties is what a site tells of which machine it is.
type ties struct {
	tags []tag
	// ids and addrs are what the guest's own records say, by how many.
	ids   map[string]int
	addrs map[netip.Addr]int
	// first is when the site was first heard of, 0 if nothing is timed.
	first int64
}

// hear notes when a site was first heard of.
func (s *site) hear(e *event.Event) {
	if s.place.Host == "" || e.Time.IsZero() || s.ties.first != 0 && s.ties.first <= e.Time.At {
		return
	}
	s.ties.first = e.Time.At
	s.regardMachines(s.ties.tags)
}

// firstHeard is when the site was first heard of, the greatest number if it
// never was.
func (s *site) firstHeard() int64 {
	if s.ties.first == 0 {
		return math.MaxInt64
	}
	return s.ties.first
}

// tieGuest notes what a guest's own record tells of which machine it is.
func (s *site) tieGuest(a *act, by int) {
	b, ok := a.event.Body.(*event.GuestScript)
	if !ok {
		return
	}
	if s.ties.ids == nil {
		s.ties.ids, s.ties.addrs = map[string]int{}, map[netip.Addr]int{}
	}
	if b.Instance != "" {
		bump(s.ties.ids, b.Instance, by)
	}
	for _, addr := range b.Addrs {
		addr = addr.Unmap()
		if bump(s.ties.addrs, addr, by); s.ties.addrs[addr] <= 1 {
			s.regardNode(addr)
		}
	}
	s.retie()
	s.regardMachines(s.ties.tags) // it can tell a boot
}

func bump[K comparable](m map[K]int, k K, by int) {
	if m[k] += by; m[k] == 0 {
		delete(m, k)
	}
}

// retie works out anew by what a site is known to be a machine, or to be an
// account's network.
func (s *site) retie() {
	now := map[tag]bool{}
	p := s.place
	if p.Host == "" {
		now[inAccount(p.Tenant, p.Account, tagNetwork, "all")] = true
	} else {
		s.hostTags(now)
	}
	delete(now, tag{})
	tags := slices.SortedFunc(maps.Keys(now), tag.compare)
	gone, come := difference(s.ties.tags, tags)
	if len(gone)+len(come) == 0 {
		return
	}
	sites := s.r.machines.sites
	for _, t := range gone {
		if delete(sites[t], s); len(sites[t]) == 0 {
			delete(sites, t)
		}
	}
	for _, t := range come {
		if sites[t] == nil {
			sites[t] = map[*site]bool{}
		}
		sites[t][s] = true
	}
	s.ties.tags = tags
	s.regardMachines(gone)
	s.regardMachines(come)
	s.enqueueHost()
}

// hostTags are what a host goes by: the instance's id that an inventory or the
// guest tells; else its addresses, and its name, in its account.
func (s *site) hostTags(tags map[tag]bool) {
	p := s.place
	ids := map[string]bool{}
	for id := range s.ties.ids {
		ids[id] = true
	}
	for _, e := range s.hosts {
		if d, ok := e.Body.(*event.HostDescription); ok && d.InstanceID != "" {
			ids[d.InstanceID] = true
		}
	}
	for id := range ids {
		tags[machineTag(p.Tenant, id)] = true
	}
	if len(ids) > 0 {
		return
	}
	addrs := maps.Clone(s.hostAddrs)
	for a := range s.ties.addrs {
		addrs[a] = true
	}
	if a := addrOfName(p.Host); a.IsValid() {
		addrs[a] = true
	}
	for a := range addrs {
		tags[inAccount(p.Tenant, p.Account, tagAddr, a.String())] = true
	}
	name, _, _ := strings.Cut(p.Host, ".")
	tags[inAccount(p.Tenant, p.Account, tagName, strings.ToLower(name))] = true
}

// addrOfName is the private address in a name that Amazon EC2 gives to hosts:
// "ip-10-3-0-14".
func addrOfName(host string) netip.Addr {
	name, _, _ := strings.Cut(host, ".")
	digits, ok := strings.CutPrefix(name, "ip-")
	if !ok {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(strings.ReplaceAll(digits, "-", "."))
	if err != nil {
		return netip.Addr{}
	}
	return a
}

// regardMachines has the links of those derived anew that have one of the tags.
func (s *site) regardMachines(tags []tag) {
	for _, t := range tags {
		for m := range s.r.machines.having(t).all() {
			s.r.machines.changed[m] = true
		}
	}
}

// sitesOf gives the hosts that go by one of the tags.
func (ms *machines) sitesOf(tags []tag) map[*site]bool {
	out := map[*site]bool{}
	for _, t := range tags {
		for s := range ms.sites[t] {
			out[s] = true
		}
	}
	return out
}

// guestEvents gives what a guest's boot agent told at a site during an
// interval. It has no process id.
func (s *site) guestEvents(during interval) []*event.Event {
	known := s.pids[0]
	if known == nil {
		return nil
	}
	var out []*event.Event
	for a := range known.acts.between(during.widened(event.Skew)) {
		if _, ok := a.event.Body.(*event.GuestScript); ok && !a.untimed() {
			out = append(out, a.event)
		}
	}
	return out
}

// settle brings the machines' links up to date.
func (ms *machines) settle(r *Resolver) (worked bool) {
	for m := range ms.changed {
		delete(ms.changed, m)
		ms.relink(r, m)
		worked = true
	}
	return worked
}

// relink derives a machine's links anew, and has placed again what they, or
// their absence, decide: also for those who share a tag with it.
func (ms *machines) relink(r *Resolver, m *machine) {
	was, now := m.links, machineLinks{lives: always}
	if m.life.len()+m.acts.len() > 0 {
		now = ms.derive(m)
	} else {
		delete(ms.known, m.tag)
	}
	m.links = now
	r.dirty[m.subjectID()] = true
	gone, come := difference(was.tags, now.tags)
	for _, t := range gone {
		if ms.tagged[t].remove(m); ms.tagged[t].len() == 0 {
			delete(ms.tagged, t)
		}
	}
	for _, t := range come {
		if ms.tagged[t] == nil {
			ms.tagged[t] = &few[*machine]{}
		}
		ms.tagged[t].add(m)
	}
	for _, t := range slices.Concat(gone, come) {
		if t.kind == tagCall && ms.having(t).len() <= evidence.MaxWith+2 {
			for o := range ms.having(t).all() {
				r.dirty[o.subjectID()] = true
			}
		}
		if t.kind == tagResource { // whose records of the name are is told otherwise
			for o := range ms.having(t).all() {
				ms.changed[o] = true
			}
			if o := ms.known[t]; o != nil {
				ms.changed[o] = true
			}
		}
	}
	if slices.Equal(was.boots, now.boots) && was.lives == now.lives && was.network == now.network && len(gone)+len(come) == 0 {
		return
	}
	for s := range ms.sitesOf(slices.Concat(was.tags, now.tags)) {
		s.enqueueHost() // its other machines have less, or more, of it
	}
	ms.enqueue(was)
	ms.enqueue(now)
	for _, t := range slices.Concat(was.tags, now.tags) {
		if known := ms.acts[t]; known != nil { // who has the name has it at any time
			for a := range known.all() {
				a.site.enqueue(a)
			}
		}
		if t.kind != tagAddr && t.kind != tagName && t.kind != tagResource {
			continue
		}
		for o := range ms.having(t).all() {
			if o != m {
				ms.enqueue(o.links)
				r.dirty[o.subjectID()] = true
			}
		}
	}
}

// enqueue places again what a machine's addresses did after its boots.
func (ms *machines) enqueue(l machineLinks) {
	for _, boot := range l.boots {
		during := interval{boot, boot + bootTime}.widened(event.Skew)
		for _, t := range l.tags {
			if t.kind == tagAddr {
				for a := range ms.fromAddress(t, during) {
					a.site.enqueue(a)
				}
			}
		}
	}
}

// enqueueHost places again what a host's processes and its addresses did.
func (s *site) enqueueHost() {
	for _, p := range s.pids {
		for a := range p.acts.all() {
			s.enqueue(a)
		}
	}
	own := func(addr netip.Addr) {
		if d := s.addrs[addr]; d != nil {
			for a := range d.acts.all() {
				s.enqueue(a)
			}
		}
	}
	for addr := range s.hostAddrs {
		own(addr)
	}
	for addr := range s.ties.addrs {
		own(addr)
	}
}

// fromAddress gives what an address did in its account's networks.
func (ms *machines) fromAddress(t tag, during interval) iter.Seq[*act] {
	return func(yield func(*act) bool) {
		for s := range ms.networksOf(t) {
			if d := s.addrs[addrOf(t)]; d != nil {
				for a := range d.acts.between(s.reach(during, 0)) {
					if !yield(a) {
						return
					}
				}
			}
		}
	}
}

// networksOf are the sites at which the network of an address's account is told
// of; none for another tag.
func (ms *machines) networksOf(t tag) map[*site]bool {
	if t.kind != tagAddr {
		return nil
	}
	account, _, _ := strings.Cut(t.id, "\x00")
	return ms.sites[inAccount(t.tenant, account, tagNetwork, "all")]
}

// addrOf is the address that a tag of one names.
func addrOf(t tag) netip.Addr {
	_, text, _ := strings.Cut(t.id, "\x00")
	addr, _ := netip.ParseAddr(text) // it was written by inAccount
	return addr
}

// regardHeard has those machines' links derived anew of which the network told
// nothing earlier than this.
func (s *site) regardHeard(a *act) {
	ms := s.r.machines
	if len(ms.known) == 0 || a.untimed() {
		return
	}
	regard := func(t tag) {
		for m := range ms.having(t).all() {
			if m.links.heard != math.MinInt64 && a.when() <= m.links.heard {
				ms.changed[m] = true
			}
		}
	}
	for _, t := range references(a) {
		regard(t)
	}
	if s.place.Host == "" {
		regard(inAccount(s.place.Tenant, s.place.Account, tagAddr, a.src.String()))
	}
}

// references are the names by which a record tells the machine that did it.
func references(a *act) []tag {
	tenant := a.event.Place.Tenant
	var ref *event.VMRef
	switch b := a.event.Body.(type) {
	case *event.Flow:
		if ref = b.SrcVM; ref == nil {
			ref = b.Seen
		}
	case *event.DNS:
		ref = b.VM
	}
	if ref == nil {
		return nil
	}
	var out []tag
	add := func(t tag) {
		if t != (tag{}) {
			out = append(out, t)
		}
	}
	add(machineTag(tenant, ref.ID))
	add(machineTag(tenant, ref.Resource))
	if ref.Name != "" && ref.Zone != "" && ref.Project != "" {
		add(tag{tenant, tagResource, "projects/" + ref.Project + "/zones/" + ref.Zone + "/instances/" + ref.Name})
	}
	add(inAccount(tenant, ref.Project, tagName, strings.ToLower(ref.Name)))
	for _, part := range []string{ref.Interface, ref.MAC} {
		if part != "" {
			add(tag{tenant, tagPart, part})
		}
	}
	return out
}

// fileReferences files what the network tells by the machines' names.
func (s *site) fileReferences(a *act, by int) {
	acts := s.r.machines.acts
	for _, t := range references(a) {
		if by > 0 {
			if acts[t] == nil {
				acts[t] = &timeline[*act]{}
			}
			acts[t].add(a)
			continue
		}
		if acts[t].remove(a); acts[t].len() == 0 {
			delete(acts, t)
		}
	}
}

// machineOf finds the machine that did something which no container did, if it
// did so after one of its boots.
func (s *site) machineOf(a *act) *machine {
	ms := s.r.machines
	if len(ms.known) == 0 || a.place.owner != nil || a.place.rank > nowhere || a.untimed() || a.rested {
		return nil
	}
	var m *machine
	if a.ofProcess() {
		m = ms.holder(s.hostTies(), a)
	} else {
		m = s.machineByNetwork(a)
	}
	if m == nil || !m.links.inBoot(a.when()) {
		return nil
	}
	return m
}

// hostTies are the tags of a host; a network has none that means a machine.
func (s *site) hostTies() []tag {
	if s.place.Host == "" {
		return nil
	}
	return s.ties.tags
}

// machineByNetwork finds who had the interface, or the address, that something
// came from. An interface can be another's: a record made at the far end of a
// connection names the server's.
func (s *site) machineByNetwork(a *act) *machine {
	ms, p := s.r.machines, a.event.Place
	addr := inAccount(p.Tenant, p.Account, tagAddr, a.src.String())
	for _, t := range references(a) {
		m := ms.holder([]tag{t}, a)
		if m == nil {
			continue
		}
		if f, ok := a.event.Body.(*event.Flow); ok && f.SrcVM == nil && a.src.IsValid() && addr != (tag{}) && !ms.having(addr).has(m) {
			continue
		}
		return m
	}
	if s.hostAddrs[a.src] || s.ties.addrs[a.src] > 0 {
		return ms.holder(s.hostTies(), a)
	}
	if addr == (tag{}) || !a.src.IsValid() || s.place.Host != "" {
		return nil // what a host sees beside its own can be its containers'
	}
	return ms.holder([]tag{addr}, a)
}

// holder is the one machine that went by one of the tags when something was
// done. In one network an address, and by one name a machine, is given again
// only once its last one is gone, so there the last launched is meant; of
// several networks' nobody can tell.
func (ms *machines) holder(tags []tag, a *act) *machine {
	for _, slack := range []int64{0, event.Skew} {
		var found *machine
		tie := false
		for m := range ms.alive(tags, a.event.Time, slack) {
			switch {
			case found == nil || found == m:
				found = m
			case found.links.network != m.links.network:
				tie = true
			case cmp.Or(cmp.Compare(m.links.lives.from, found.links.lives.from), -m.tag.compare(found.tag)) > 0:
				found = m
			}
		}
		if found != nil || tie {
			if tie {
				return nil
			}
			return found
		}
	}
	return nil
}

// alive gives the machines that go by one of the tags and were there at a time,
// when clocks may be apart by slack.
func (ms *machines) alive(tags []tag, at event.Time, slack int64) iter.Seq[*machine] {
	return func(yield func(*machine) bool) {
		for _, t := range tags {
			for m := range ms.having(t).all() {
				if m.tag.kind == tagResource && !ms.isAlone(m) {
					continue
				}
				if l := m.links.lives.widened(slack); l.from <= at.End() && at.At <= l.to && !yield(m) {
					return
				}
			}
		}
	}
}

// isAlone reports that no instance is known that had a resource's name.
func (ms *machines) isAlone(m *machine) bool {
	for o := range ms.having(m.tag).all() {
		if o != m {
			return false
		}
	}
	return true
}

// assignMachine works out which machine did it and moves it there.
func (s *site) assignMachine(a *act) {
	s.regardUnclear(a)
	now := s.machineOf(a)
	if now == a.machine {
		return
	}
	s.leaveMachine(a)
	if a.machine = now; now != nil {
		now.acts.add(a)
		s.r.dirty[now.subjectID()] = true
		if now.acts.len() > s.r.limits.PerContainer {
			s.r.machines.crowded[now] = true
		}
	}
	s.r.wait(a)
}

// regardUnclear has the machines told anew that share an address from which
// something came that may be told of none of them.
func (s *site) regardUnclear(a *act) {
	if !a.src.IsValid() || s.place.Host != "" || len(s.r.machines.known) == 0 {
		return
	}
	if sharing := s.r.machines.having(inAccount(s.place.Tenant, s.place.Account, tagAddr, a.src.String())); sharing.len() > 1 {
		for m := range sharing.all() {
			s.r.dirty[m.subjectID()] = true
		}
	}
}

// leaveMachine takes an act from its machine.
func (s *site) leaveMachine(a *act) {
	m := a.machine
	if m == nil {
		return
	}
	a.machine = nil
	m.acts.remove(a)
	s.r.dirty[m.subjectID()] = true
	if m.life.len()+m.acts.len() == 0 {
		s.r.machines.changed[m] = true
	}
}
