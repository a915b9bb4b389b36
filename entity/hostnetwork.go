package entity

import (
	"net/netip"
	"slices"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// A pod in the host's network speaks from its node's address, as other such
// pods and the node's own programs do. What the address did while the pod lived
// is told of each of them, and marked as shared: it is nobody's alone.

// maxShared bounds the shared connections that are told of one pod, the first
// of them.
const maxShared = 256

// hostNetwork reports whether the pod was asked to be, or is, in its node's
// network, and gives the addresses of the node.
func (b *subjectBuilder) hostNetwork(life []*event.Event) []netip.Addr {
	shared := slices.ContainsFunc(b.parts, func(p *part) bool { return p.about.Risk.NetworkMode == "host" })
	var addrs []netip.Addr
	for _, e := range life {
		s, ok := e.Body.(*event.PodStatus)
		if !ok {
			continue
		}
		shared = shared || slices.ContainsFunc(s.Addrs, func(a netip.Addr) bool { return slices.Contains(s.HostAddrs, a) })
		addrs = append(addrs, s.HostAddrs...)
	}
	if b.c.pod.inHost = shared; !shared {
		return nil
	}
	for m := range b.site.members {
		if m.place.Host == b.pod.Node && b.pod.Node != "" {
			for a := range m.hostAddrs {
				addrs = append(addrs, a)
			}
		}
	}
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

// sharedConnections adds what the node's addresses did while the pod lived.
func (b *subjectBuilder) sharedConnections(life []*event.Event) {
	addrs := b.hostNetwork(life)
	b.site.shareHost(b.c, addrs)
	if len(addrs) == 0 {
		return
	}
	from, to := b.c.podTimes()
	var found []*act
	for m := range b.site.members {
		for _, addr := range addrs {
			if known := m.addrs[addr]; known != nil {
				for a := range known.acts.between(interval{from, to}) {
					if _, flow := a.event.Body.(*event.Flow); flow && a.place.owner == nil && len(found) < maxShared {
						found = append(found, a)
					}
				}
			}
		}
	}
	slices.SortFunc(found, (*act).compare)
	for _, a := range found {
		f := a.event.Body.(*event.Flow)
		b.connection(a, evidence.Whole, f.Dst, f.DstNames)
		b.facts[len(b.facts)-1].Connection.Shared = true
	}
}

// shareHost replaces the addresses whose connections concern a pod.
func (s *site) shareHost(c *container, addrs []netip.Addr) {
	for _, a := range c.pod.shares {
		if delete(s.sharing[a], c); len(s.sharing[a]) == 0 {
			delete(s.sharing, a)
		}
	}
	for _, a := range addrs {
		if s.sharing[a] == nil {
			s.sharing[a] = map[*container]bool{}
		}
		s.sharing[a][c] = true
	}
	c.pod.shares = addrs
}

// regardHost marks the pods that share the address of a connection.
func (s *site) regardHost(a *act) {
	if s.builds.len() > 0 && !a.untimed() {
		s.regardBuilt(a.when())
	}
	for c := range s.cluster.sharing[a.src] {
		s.cluster.markDirty(c)
	}
}
