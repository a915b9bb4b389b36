// Package entity says whom an event is about, as of the event's own time: a
// process id, an address or a tag means one container now and another a second
// later. It works from the logs alone.
//
// In: events, in any order, each as often as it likes to come. Out: for every
// container an evidence.Subject that is a function of the set of events. What
// cannot be placed yet waits, within bounds, and is placed when the link
// arrives.
package entity

import (
	"cmp"
	"maps"
	"slices"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// Limits bound what a Resolver holds. A zero field means the default, which is
// sized for one machine with some GiB of memory. Bounds are kept at every look
// at what changed, and may be exceeded by an eighth in between.
type Limits struct {
	// Containers is the number of containers, pods and pushes to registries
	// kept; default 100,000.
	Containers int
	// PerContainer is the number of behaviour events kept of one container, and
	// of events about its execs; default 100,000. What it did last goes first,
	// never the story's beginning.
	PerContainer int
	// Waiting is the number of behaviour events kept that belong to no
	// container (yet); default 500,000. Host processes are most of them: a
	// child's place is told by its parent's record.
	Waiting int
	// Images is the number of image events, and of image look-ups, kept per
	// place; default 50,000.
	Images int
	// Names is the number of (answer, address) pairs kept from DNS answers per
	// place; default 200,000.
	Names int
	// Workloads is the number of events about objects that make pods kept per
	// cluster; default 100,000.
	Workloads int
}

func (l Limits) withDefaults() Limits {
	l.Containers = cmp.Or(l.Containers, 100_000)
	l.PerContainer = cmp.Or(l.PerContainer, 100_000)
	l.Waiting = cmp.Or(l.Waiting, 500_000)
	l.Images = cmp.Or(l.Images, 50_000)
	l.Names = cmp.Or(l.Names, 200_000)
	l.Workloads = cmp.Or(l.Workloads, 100_000)
	return l
}

// Resolver holds what is known of hosts, containers, processes, addresses and
// images. Not safe for concurrent use.
type Resolver struct {
	limits   Limits
	sites    map[event.Place]*site
	family   *image.Family
	edges    map[image.Edge]int             // how many records here tell each
	foreign  map[image.Edge]map[string]bool // which other partitions know each
	edgeNews map[image.Edge]bool
	widened  map[event.Place]bool
	dirty    map[evidence.SubjectID]bool
	// waiting is what the bound on waiting pushes out, busy the containers
	// beyond theirs, released what was let go since the last call of Released.
	waiting      timeline[waiter]
	busy         map[*container]bool
	released     []event.ID
	publications publications
	machines     *machines
	counts       Counts
}

// Counts are what a Resolver has to say about its own work.
type Counts struct {
	// Containers, Pods and Machines are the numbers of those known.
	Containers, Pods, Machines int
	// Placed and Unplaced count behaviour events by whether a container, or a
	// machine, is known for them now. Unplaced ones are mostly the host's own.
	Placed, Unplaced int
	// Host counts connections that a host itself began, by its address.
	Host int
	// Ambiguous counts behaviour that more than one container could own; it is
	// attributed to nobody.
	Ambiguous int
	// StartUnknown counts connections whose start no record tells.
	StartUnknown int
	// Dropped counts what a bound pushed out, by what it was; DroppedNames are
	// the first of each.
	Dropped      map[string]int
	DroppedNames map[string][]string
}

// New makes an empty Resolver.
func New(l Limits) *Resolver {
	return &Resolver{
		limits:       l.withDefaults(),
		sites:        map[event.Place]*site{},
		family:       image.NewFamily(),
		edges:        map[image.Edge]int{},
		foreign:      map[image.Edge]map[string]bool{},
		edgeNews:     map[image.Edge]bool{},
		widened:      map[event.Place]bool{},
		dirty:        map[evidence.SubjectID]bool{},
		busy:         map[*container]bool{},
		publications: newPublications(),
		machines:     newMachines(),
		counts:       Counts{Dropped: map[string]int{}, DroppedNames: map[string][]string{}},
	}
}

// Apply takes in one event that has not been applied before and reports
// whether anything here wants to keep it. The caller keeps e for as long as
// the Resolver exists, or until Released or Forget names it.
func (r *Resolver) Apply(e *event.Event) bool {
	s := r.site(e.Place)
	kept := s.apply(e)
	if kept {
		// What is not kept is not there after a restart: it proves nothing.
		s.observe(e)
	}
	if exceeded(r.waiting.len(), r.limits.Waiting) || exceeded(s.answers.names, r.limits.Names) {
		r.settle()
	}
	return kept
}

func (s *site) apply(e *event.Event) bool {
	switch b := e.Body.(type) {
	case *event.Image, *event.ImageResolved, *event.ImageDescription:
		return s.addImage(e)
	case *event.Container:
		return s.addLife(b.ID, e)
	case *event.Task:
		return s.addLife(b.Container, e)
	case *event.ExecStarted:
		return s.addLife(b.Container, e)
	case *event.NetworkAttachment:
		return s.addLife(b.Container, e)
	case *event.ContainerDescription:
		return s.addLife(b.ID, e)
	case *event.HostDescription:
		return s.addHost(e, b)
	case *event.RegistryAction:
		return s.addPublication(e, b)
	case *event.Instance:
		return s.addInstance(e, b)
	case *event.VMImage:
		return s.addVMImage(e)
	case *event.Workload, *event.Grant:
		return s.cluster.addOwner(e)
	case *event.APIRequest, *event.BuildStep:
		return s.addAPICall(e, nil)
	case *event.HTTP, *event.Flow:
		a := s.newAct(e)
		if s.addAddressAct(a) {
			s.addAPICall(e, a)
			return true
		}
		return s.addAPICall(e, nil)
	}
	if pod, ok := aboutPod(e.Body); ok {
		return s.cluster.addPodLife(pod, e)
	}
	if a := s.newAct(e); a != nil && a.ofProcess() {
		return s.addProcessAct(a)
	} else if a != nil {
		return s.addAddressAct(a)
	}
	return false
}

// Dirty gives the subjects that changed since the last call, in order. What
// changes later is told only of subjects that were asked for since.
func (r *Resolver) Dirty() []evidence.SubjectID {
	r.settle()
	out := make([]evidence.SubjectID, 0, len(r.dirty))
	for id := range r.dirty {
		out = append(out, id)
	}
	clear(r.dirty)
	slices.SortFunc(out, evidence.SubjectID.Compare)
	return out
}

// Subjects lists every container, pod and push to a registry known, in order.
func (r *Resolver) Subjects() []evidence.SubjectID {
	r.settle()
	var out []evidence.SubjectID
	for _, s := range r.sites {
		for c := range s.records() {
			if c.isSubject() {
				out = append(out, c.subjectID())
			}
		}
	}
	out = slices.AppendSeq(out, maps.Keys(r.publications.pushes))
	out = r.machines.subjects(out)
	slices.SortFunc(out, evidence.SubjectID.Compare)
	return out
}

// Counts gives the account so far.
func (r *Resolver) Counts() Counts {
	r.settle()
	c := r.counts
	for _, m := range r.machines.known {
		if r.machines.isSubject(m) {
			c.Machines++
		}
	}
	for _, s := range r.sites {
		c.Containers += len(s.containers)
		for p := range s.records() {
			if p.pod != nil && p.isSubject() {
				c.Pods++
			}
		}
		for _, p := range s.pids {
			for a := range p.acts.all() {
				c.tally(a)
			}
		}
		for _, d := range s.addrs {
			for a := range d.acts.all() {
				c.tally(a)
			}
		}
	}
	return c
}

func (c *Counts) tally(a *act) {
	switch {
	case a.place.owner != nil, a.machine != nil:
		c.Placed++
	case a.untimed() && !a.ofProcess():
		c.StartUnknown++
	case a.place.rank > nowhere:
		c.Ambiguous++
	case !a.ofProcess() && a.site.hostAddrs[a.src]:
		c.Host++
	default:
		c.Unplaced++
	}
}

// Family is what is known of which digests are one image.
func (r *Resolver) Family() *image.Family { return r.family }

// site finds or makes the site of a place. The network segment does not
// matter to who a host is.
func (r *Resolver) site(p event.Place) *site {
	p.Network = ""
	s := r.sites[p]
	if s == nil {
		s = newSite(r, p)
		r.sites[p] = s
	}
	return s
}
