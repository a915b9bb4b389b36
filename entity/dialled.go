package entity

import (
	"net/netip"
	"strings"

	"tidewaiter/command"
	"tidewaiter/event"
)

// A command line that names an address and a port, and a connection to just
// these from an address that nobody is known to have, are one story if only one
// container named them around then. The same tells which pod a container is in,
// if a sensor tells only the pod of the connection and nothing else does.

// dialLead is how long before a connection the command can have begun, dialLag
// how long after by the clocks.
const (
	dialLead = 60*event.Second + event.Skew
	dialLag  = event.Skew
)

// namesAddress is a quick look whether a command line can name an address.
func namesAddress(args []string) bool {
	for _, a := range args {
		if strings.Count(a, ".") >= 3 || strings.Contains(a, "[") {
			return true
		}
	}
	return false
}

// dials lists the addresses elsewhere that a command line names with a port.
func (a *act) readDials() {
	p := a.process()
	if a.untimed() || a.client != nil || a.helper != nil || !namesAddress(p.Args) {
		return
	}
	line := a.parsed()
	for _, e := range line.Endpoints {
		port := e.Port
		switch {
		case port == 0 && e.Scheme == "http":
			port = 80
		case port == 0 && e.Scheme == "https":
			port = 443
		}
		addr := e.Addr.Unmap()
		if port <= 0 || port > 65535 || !addr.IsValid() || addr.IsLoopback() || addr.IsUnspecified() || addr.IsMulticast() {
			continue
		}
		a.dials = append(a.dials, netip.AddrPortFrom(addr, uint16(port)))
	}
}

// parsed is what the command line of a program says.
func (a *act) parsed() command.Line {
	if a.line == nil {
		p := a.process()
		line := command.Parse(p.Args, p.Exe, p.Script)
		a.line = &line
	}
	return *a.line
}

// addDials files a command under what it dials.
func (s *site) addDials(a *act) {
	a.readDials()
	for _, to := range a.dials {
		t := s.cluster.dialled[to]
		if t == nil {
			t = &timeline[*act]{}
			s.cluster.dialled[to] = t
		}
		t.add(a)
	}
	s.regardDials(a)
}

func (s *site) removeDials(a *act) {
	s.regardDials(a)
	for _, to := range a.dials {
		t := s.cluster.dialled[to]
		if t.remove(a); t.len() == 0 {
			delete(s.cluster.dialled, to)
		}
	}
}

// regardDials places the connections again that a command can have made.
func (s *site) regardDials(a *act) {
	for _, to := range a.dials {
		for m := range s.cluster.members {
			if d := m.addrs[to.Addr()]; d != nil {
				for c := range d.reached.between(m.reach(interval{a.when() - dialLag, a.when() + dialLead}, 0)) {
					if !c.ofProcess() {
						m.enqueue(c)
					}
				}
			}
		}
	}
}

// dialler finds the only container whose commands named where a connection
// went. tie says that more than one program did that have nothing to do with
// each other.
func (s *site) dialler(a *act) (found *container, tie bool) {
	if !a.to.IsValid() || a.untimed() {
		return nil, false
	}
	t := s.cluster.dialled[a.to]
	if t == nil {
		return nil, false
	}
	during := interval{a.when() - dialLead, a.event.Time.End() + dialLag}
	others := false
	for c := range t.between(during) {
		switch owner := c.place.owner; {
		case s != s.cluster && c.site != s:
		case owner == nil:
			others = true // the host's, or nobody's yet
		case found != nil && found != owner:
			return nil, true
		default:
			found = owner
		}
	}
	if found != nil && others {
		return nil, true
	}
	return found, false
}

// placeByDial finds whose a connection was of which the source's address does
// not tell. An address that a host has speaks for all that run there.
func (s *site) placeByDial(a *act) placement {
	if s.cluster.nodeAddrs[a.src] > 0 {
		return placement{}
	}
	if c, tie := s.dialler(a); c != nil || tie {
		return placement{owner: c, rank: dialled}
	}
	return placement{}
}

// inferred is what a connection lets infer: that a container is in a pod.
type inferred struct {
	container string
	pod       event.ObjectRef
}

// infers is what an act lets infer, zero if nothing.
func (a *act) infers() inferred {
	if a.inferred == nil {
		return inferred{}
	}
	return *a.inferred
}

// inferPod notes in which pod a container is by a connection of which a sensor
// tells the pod only.
func (s *site) inferPod(a *act) {
	var now inferred
	if a.told == "" && a.toldPod.HasPod() && !a.gone {
		if c, _ := s.dialler(a); c != nil && c.pod == nil {
			ref := podObject(a.toldPod)
			now = inferred{c.id, event.ObjectRef{Namespace: ref.Namespace, Name: ref.Name, UID: ref.UID}}
		}
	}
	was := a.infers()
	if now == was {
		return
	}
	for _, i := range []struct {
		inferred
		by int
	}{{was, -1}, {now, +1}} {
		if i.container != "" {
			c := s.cluster.claimsOf(i.container)
			countFew(&c.inferred, i.pod, i.by)
			s.cluster.regardClaims(c)
			s.cluster.releaseClaims(i.container)
		}
	}
	if a.inferred = nil; now.container != "" {
		kept := now // here: most acts let infer nothing, and cost nothing
		a.inferred = &kept
	}
}

// inferredPod is the pod that a container is in by inference, if nothing tells
// it and all that is inferred agrees. A sandbox is where what lies in it is.
func (s *site) inferredPod(c *container) event.ObjectRef {
	known := s.cluster.pods.claims[c.id]
	if known == nil {
		return event.ObjectRef{}
	}
	all := map[event.ObjectRef]bool{}
	for ref := range known.inferred {
		all[ref] = true
	}
	if len(all) == 0 {
		all[c.startedWith] = true
		for id := range known.lying {
			if lying := s.containers[id]; lying != nil {
				all[lying.startedWith] = true
			}
		}
	}
	delete(all, event.ObjectRef{})
	if len(all) != 1 {
		return event.ObjectRef{}
	}
	for ref := range all {
		return ref
	}
	return event.ObjectRef{}
}
