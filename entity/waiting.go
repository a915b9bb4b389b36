package entity

import (
	"cmp"
	"fmt"

	"tidewaiter/event"
)

// waiter is an act in the order in which bounds push out: by the time at which
// its record was written.
type waiter struct{ *act }

func (w waiter) when() int64 { return w.event.RecordTime() }

func (w waiter) compare(o waiter) int {
	return cmp.Or(cmp.Compare(w.when(), o.when()), w.event.ID.Compare(o.event.ID))
}

// name says what it is, for the account.
func (w waiter) name() string {
	if w.ofProcess() {
		return fmt.Sprintf("process %d on %s", w.pid, w.site.place)
	}
	return fmt.Sprintf("connection from %s on %s", w.src, w.site.place)
}

// What a bound pushes out, for the account.
const (
	droppedWaiting   = "behaviour that no container could be found for"
	droppedBusy      = "behaviour of one container beyond its bound"
	droppedCrowded   = "behaviour of one machine beyond its bound"
	droppedNames     = "names from DNS answers"
	droppedImages    = "image records"
	droppedWorkloads = "records of objects that make pods"
)

// wait keeps an act among those that the bound on waiting pushes out, or takes
// it from there. What belongs to nobody (yet) waits, except records that place
// others, tell of a creation, or name addresses: those are needed.
func (r *Resolver) wait(a *act) {
	waits := !a.gone && a.place.owner == nil && a.machine == nil && !a.needed()
	switch {
	case waits == a.waiting:
	case waits:
		r.waiting.add(waiter{a})
	default:
		r.waiting.remove(waiter{a})
	}
	a.waiting = waits
}

// needed reports that an act of nobody's tells something about others.
func (a *act) needed() bool {
	if a.supports > 0 || a.named > 0 || a.place.helper && a.helper.makes != "" {
		return true
	}
	if a.call != nil && a.site.inUse(a.call) || a.client != nil && a.site.clientInUse(a) {
		return true
	}
	_, flow := a.event.Body.(*event.Flow)
	return flow && a.site.builds.len() > 0 && a.site.ofHost(a) && a.site.inBuild(a.when())
}

// exceeded reports that so much more than a limit is held that it pays to look
// what can be pushed out.
func exceeded(n, limit int) bool { return n > limit+limit/8 }

// maxNames bounds the names that an account lists of what a bound pushed out.
const maxNames = 10

// settle brings every site up to date and keeps the bounds.
func (r *Resolver) settle() {
	for again := true; again; {
		again = r.machines.settle(r)
		for _, s := range r.sites {
			again = s.settle() || again
		}
		again = r.pushOut() || again
	}
}

// pushOut drops what is beyond the bounds and reports whether there was any.
func (r *Resolver) pushOut() bool {
	any := false
	for c := range r.busy {
		for c.acts.len() > r.limits.PerContainer {
			latest, _ := c.acts.last(always.to)
			r.drop(droppedBusy, c.subjectID().String())
			r.release(latest)
			any = true
		}
	}
	clear(r.busy)
	any = r.machines.pushOut(r) || any
	for _, s := range r.sites {
		for s.answers.names > r.limits.Names {
			oldest, _ := s.answers.first()
			r.counts.Dropped[droppedNames] += oldest.named - 1
			name, _ := told(oldest.event.Body)
			r.drop(droppedNames, name)
			s.removeNames(oldest.act)
			r.wait(oldest.act)
			any = true
		}
	}
	for r.waiting.len() > r.limits.Waiting {
		oldest, _ := r.waiting.first()
		r.drop(droppedWaiting, oldest.name())
		r.release(oldest.act)
		any = true
	}
	return any
}

// drop counts something that a bound pushed out.
func (r *Resolver) drop(what, name string) {
	if r.counts.Dropped[what]++; len(r.counts.DroppedNames[what]) < maxNames {
		r.counts.DroppedNames[what] = append(r.counts.DroppedNames[what], name)
	}
}

// release takes an act out that the caller then need not keep either.
func (r *Resolver) release(a *act) {
	a.site.take(a)
	r.released = append(r.released, a.event.ID)
}

// take takes an act out of every table.
func (s *site) take(a *act) {
	old := a.place
	a.gone, a.place = true, placement{}
	if c := old.owner; c != nil {
		c.acts.remove(a)
		s.markDirty(c)
		c.site.emptied[c] = true
	}
	s.regardUnclear(a)
	s.leaveMachine(a)
	s.support(old.by, -1)
	if a.process() != nil {
		s.claimSandbox(a, placement{})
		s.moveOnMount(a, old, placement{})
		s.countCreation(a, old.helper, false)
	}
	if a.ofProcess() {
		s.removeProcessAct(a)
	} else {
		s.inferPod(a)
		s.removeAddressAct(a)
	}
	s.r.wait(a)
}

// Released gives the ids of the events that the Resolver has let go since the
// last call, so that the caller can, too.
func (r *Resolver) Released() []event.ID {
	ids := r.released
	r.released = nil
	return ids
}
