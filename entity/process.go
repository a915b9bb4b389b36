package entity

import (
	"math"
	"net/netip"

	"tidewaiter/command"
	"tidewaiter/event"
)

// act is something that a process or an address did: ran a program, wrote a
// file, connected, asked for a name.
type act struct {
	event *event.Event
	site  *site
	// pid and ppid are the process's, 0 if only an address is told.
	pid, ppid int
	// src is the address that did it, invalid for what a process did; dst the
	// one that it connected to, if it did.
	src, dst netip.Addr
	told     string        // container id that the source itself tells, or ""
	toldPod  *event.PodRef // pod that it tells, nil if none
	client   *clientCall   // what it asks for if it is a runtime's client
	helper   *runtimeCall  // what it says if it calls itself a runtime's helper

	place placement
	// sandbox is the one that the container lies in which this helper makes.
	sandbox string
	// supports is the number of acts that were placed by this helper's record.
	supports int
	// named is the number of names that a DNS answer gave to addresses.
	named int
	// waiting, queued and gone are where it is: among what the bound on waiting
	// pushes out, among what is to be placed again, or in no table any more.
	waiting, queued, gone bool
	// line is what a command line says, once somebody asked.
	line *command.Line
	// to is where an address connected to, dials what a command names to
	// connect to, inferred what the connection lets infer, nil if nothing.
	to       netip.AddrPort
	dials    []netip.AddrPort
	inferred *inferred
	call     *apiCall // the call of a runtime's API that it is, or nil
	machine  *machine // whose it is if no container's, or nil
	rested   bool     // its machine was let go of
}

func (a *act) when() int64        { return a.event.Time.At }
func (a *act) compare(o *act) int { return compareEvents(a.event, o.event) }
func (a *act) untimed() bool      { return a.event.Time.IsZero() }

// newAct makes the act that an event tells, nil if it tells none.
func (s *site) newAct(e *event.Event) *act {
	a := &act{event: e, site: s}
	switch b := e.Body.(type) {
	case *event.Process:
		a.pid, a.ppid, a.told, a.toldPod = b.PID, b.PPID, b.Container, b.Of
	case *event.FileWrite:
		a.pid, a.ppid, a.told, a.toldPod = b.PID, b.PPID, b.Container, b.Of
	case *event.Socket:
		a.pid, a.ppid, a.told, a.toldPod, a.dst = b.PID, b.PPID, b.Container, b.Of, b.Addr.Addr().Unmap()
		if !a.dst.IsValid() {
			return nil
		}
	case *event.Flow:
		a.src, a.toldPod = b.Src.Addr().Unmap(), b.SrcPod
		a.connects(b.Dst)
	case *event.DNS:
		a.src, a.toldPod = b.Client.Addr().Unmap(), b.Of
		if !a.src.IsValid() {
			a.pid = b.PID
		}
	case *event.GuestScript: // whoever tells it names no process that ran
	case *event.HTTP:
		a.src, a.toldPod = b.Client.Addr().Unmap(), b.Of
		a.connects(b.Server)
	case *event.TLS:
		a.src, a.toldPod = b.Client.Addr().Unmap(), b.Of
		a.connects(b.Server)
	default:
		return nil
	}
	if a.ppid == 0 && a.process() == nil {
		a.ppid = a.pid
	}
	return a
}

// ofItself reports what a record tells of a process without its parent: it is
// placed where the process's program is.
func (a *act) ofItself() bool { return a.process() == nil && a.ppid == a.pid }

// connects notes where an address connected to.
func (a *act) connects(to netip.AddrPort) {
	a.dst = to.Addr().Unmap()
	a.to = netip.AddrPortFrom(a.dst, to.Port())
}

// ofProcess reports whether a process is told, not only an address.
func (a *act) ofProcess() bool {
	switch b := a.event.Body.(type) {
	case *event.Process, *event.FileWrite, *event.Socket, *event.GuestScript:
		return true
	case *event.DNS:
		return !a.src.IsValid() && b.PID != 0
	}
	return false
}

// numbered reports a record by which later ones of its process, and of its
// children, can be placed.
func (a *act) numbered() bool { return a.pid != 0 && !a.untimed() }

// process is the exec record, nil for other acts.
func (a *act) process() *event.Process {
	p, _ := a.event.Body.(*event.Process)
	return p
}

// processID is what is known of one process id of a host, which means one
// process after another.
type processID struct {
	programs timeline[*act] // the programs it ran
	acts     timeline[*act] // everything it did, programs included
	children timeline[*act] // what was done by processes whose parent it was
	// makers are those of its children that had a runtime make a container.
	makers  timeline[*act]
	tenures tenures
}

func (s *site) pid(n int) *processID {
	p := s.pids[n]
	if p == nil {
		p = &processID{}
		s.pids[n] = p
	}
	return p
}

// releasePID lets a process id go of which nothing is known any more.
func (s *site) releasePID(n int) {
	if p := s.pids[n]; p != nil && p.acts.len()+p.children.len()+len(p.tenures.list) == 0 {
		delete(s.pids, n)
	}
}

// addProcessAct takes in something that a process did.
func (s *site) addProcessAct(a *act) bool {
	s.coarsest = max(s.coarsest, a.event.Time.Res)
	s.pid(a.pid).acts.add(a)
	s.pid(a.ppid).children.add(a)
	s.addTold(a)
	if p := a.process(); p != nil {
		if ofContainerAccount(p) && !a.untimed() {
			s.accounts.add(a)
		}
		a.helper = readRuntimeCall(p)
		s.addClient(a)
		s.addDials(a)
		if a.numbered() {
			s.pid(a.pid).programs.add(a)
			if a.makes() {
				s.pid(a.ppid).makers.add(a)
			}
			s.enqueueChildren(a, math.MinInt64)
			s.enqueueBeside(a)
			s.regardLater(a)
		}
		s.addToMount(a)
	}
	s.addReached(a)
	s.addAPICall(a.event, a)
	s.addNames(a)
	s.tieGuest(a, +1)
	s.hear(a.event)
	s.enqueue(a)
	s.r.wait(a)
	return true
}

// removeProcessAct takes it out again.
func (s *site) removeProcessAct(a *act) {
	pid, parent := s.pids[a.pid], s.pids[a.ppid]
	pid.acts.remove(a)
	parent.children.remove(a)
	s.removeTold(a)
	if p := a.process(); p != nil {
		if ofContainerAccount(p) && !a.untimed() {
			s.accounts.remove(a)
		}
		s.removeDials(a)
		if a.client != nil {
			s.clients.remove(a)
			s.regardClient(a)
		}
		if a.numbered() {
			s.enqueueChildren(a, math.MinInt64)
			s.enqueueBeside(a)
			s.regardLater(a)
			pid.programs.remove(a)
			if a.makes() {
				parent.makers.remove(a)
			}
		}
		s.removeFromMount(a)
	}
	s.removeReached(a)
	s.removeCall(a)
	s.removeNames(a)
	s.tieGuest(a, -1)
	s.releasePID(a.pid)
	s.releasePID(a.ppid)
}

// parentOf finds the record of what the parent was running: the last program
// of the parent's id that did not begin later. The kernel counts process ids
// up, so of two records of one instant the parent's is the one with the
// smaller id; this also keeps forged records from being each other's parents.
// When the container ended in which the parent ran, its id is another
// process's.
func (s *site) parentOf(a *act) *act {
	parent := s.pids[a.ppid]
	if parent == nil || a.ppid <= 0 || a.untimed() {
		return nil
	}
	for p := range parent.programs.back(a.when()) {
		if p.when() == a.when() && p.pid >= a.pid {
			continue
		}
		if c := p.place.owner; c != nil && c.over(p.when(), a.when()) {
			return nil
		}
		return p
	}
	return nil
}

// enqueueChildren places again what names p's process as its parent while it
// ran p, from an instant on.
func (s *site) enqueueChildren(p *act, since int64) {
	id := s.pids[p.pid]
	during := interval{max(p.when(), since), math.MaxInt64}
	if next, ok := id.programs.after(p); ok {
		during.to = next.when()
	}
	for child := range id.children.between(during) {
		s.enqueue(child)
		if c := child.place.owner; c != nil {
			s.markDirty(c) // also what is derived of the parent's record
		}
	}
}

// regardLater marks those of whom programs are told that the same process ran
// soon after: what it ran before says where they come from.
func (s *site) regardLater(a *act) {
	for later := range s.pids[a.pid].programs.between(interval{a.when(), a.when() + oneProcess}) {
		if c := later.place.owner; c != nil {
			s.markDirty(c)
		}
	}
}

// makes reports a command by which a runtime makes a container.
func (a *act) makes() bool { return a.helper != nil && a.helper.makes != "" && a.helper.starts == "" }

// makerBeside finds, for what the first process of a container did whose parent no
// record tells, the command that made the container. conmon (Podman, CRI-O) goes
// on in a copy of itself that runs no program: it starts the runtime, and is the
// parent of the container's process as well, and of what it runs once that is over.
func (s *site) makerBeside(a *act) *act {
	id := s.pids[a.ppid]
	if id == nil || a.ppid <= 0 || a.untimed() || a.ofItself() || a.helper != nil {
		return nil
	}
	maker, ok := id.makers.last(a.when())
	if !ok || !maker.place.helper || maker == a {
		return nil
	}
	if c := s.named(maker.helper.makes); c == nil || c.over(maker.when(), a.when()) {
		return nil
	}
	for first := range id.children.between(interval{maker.when(), a.when()}) {
		if first.process() != nil && first.helper == nil && first.numbered() {
			if first.pid == a.pid {
				return maker
			}
			return nil
		}
	}
	return nil
}

// enqueueBeside places again what makerBeside decides by a record of a process.
func (s *site) enqueueBeside(a *act) {
	id := s.pids[a.ppid]
	if id.makers.len() == 0 {
		return
	}
	from := a.when()
	if maker, ok := id.makers.last(from); ok {
		from = maker.when()
	}
	for child := range id.children.between(interval{from, always.to}) {
		s.enqueue(child)
	}
}

// enqueueProcess places again what a process did, and what named it as parent,
// in the time of a tenure.
func (s *site) enqueueProcess(l pidTenure) {
	id, during := s.pids[l.pid], s.reach(l.when, event.Skew)
	for a := range id.acts.between(during) {
		s.enqueue(a)
	}
	for a := range id.children.between(during) {
		s.enqueue(a)
	}
}
