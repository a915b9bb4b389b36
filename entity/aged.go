package entity

import (
	"slices"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

const (
	// ofBeginning is how much of what a container did first is kept, however long
	// ago: it is how the story began, and which services were started that others
	// may come from later.
	ofBeginning = 256
	// surelyOver is after how long a program is taken to be over of which no record
	// tells the end, and of which nothing came that is still kept.
	surelyOver = 6 * 3600 * event.Second
)

// Aged lists the containers and pods of which at least so many things that they
// did before an instant can be let go of, in order. One that was looked at is
// looked at again once it did an eighth more.
func (r *Resolver) Aged(before int64, least int) []evidence.SubjectID {
	r.settle()
	known := map[evidence.SubjectID]bool{}
	for _, s := range r.sites {
		for c := range s.records() {
			if c.did() < c.aged+c.aged/8+least {
				continue
			}
			c.aged = c.did()
			if acts, execs := c.past(before, nil); len(acts)+len(execs) >= least {
				known[c.subject().subjectID()] = true
			}
		}
	}
	out := make([]evidence.SubjectID, 0, len(known))
	for id := range known {
		out = append(out, id)
	}
	slices.SortFunc(out, evidence.SubjectID.Compare)
	return out
}

// LetAge lets go of what a container or pod did before an instant, but not of how
// its story began, of what others are known by, nor of the events named. It gives
// the ids of the events let go, and how many of them were behaviour placed in it.
func (r *Resolver) LetAge(id evidence.SubjectID, before int64, keep map[event.ID]bool) (gone []event.ID, placed int) {
	r.settle()
	s := r.sites[id.Place]
	if s == nil || s.record(id) == nil {
		return nil, 0
	}
	all := s.record(id).all()
	for _, c := range all {
		acts, execs := c.past(before, keep)
		for _, e := range execs {
			c.site.takeExec(c, e)
			gone = append(gone, e.ID)
		}
		for _, a := range acts {
			a.site.take(a)
			gone = append(gone, a.event.ID)
		}
		placed += len(acts)
	}
	r.settle()
	for _, c := range all {
		c.aged = c.did()
	}
	delete(r.dirty, id)
	return gone, placed
}

// did is how much is known that the container did: behaviour, and execs.
func (c *container) did() int { return c.acts.len() + c.execsTold }

// past lists what the container did before an instant that can be let go of.
func (c *container) past(before int64, keep map[event.ID]bool) (acts []*act, execs []*event.Event) {
	going := map[*act]bool{}
	var old []*act
	n := 0
	for a := range c.acts.all() {
		if n++; a.when() >= before {
			break
		}
		if n > ofBeginning && !a.untimed() && !keep[a.event.ID] && !a.needed() {
			old = append(old, a)
		}
	}
	// The latest first: what came of a program goes before it.
	for _, a := range slices.Backward(old) {
		if a.process() == nil || a.site.over(a, before) && !a.site.survived(a, going) {
			going[a] = true
			acts = append(acts, a)
		}
	}
	return acts, c.pastExecs(before, keep, going)
}

// over reports that the process that ran a program is known, or taken, to have
// run another since, or to have ended, before an instant.
func (s *site) over(a *act, before int64) bool {
	if a.when() < before-surelyOver || !a.numbered() {
		return true
	}
	if next, ok := s.pids[a.pid].programs.after(a); ok && next.when() < before {
		return true
	}
	for t := range s.pids[a.pid].tenures.at(a.event.Time, reorder) {
		if t.exec != "" && t.when.to < before {
			return true
		}
	}
	return false
}

// survived reports that something is kept that the process did while it ran a
// program, or that came of it.
func (s *site) survived(a *act, going map[*act]bool) bool {
	if !a.numbered() {
		return false
	}
	id := s.pids[a.pid]
	during := interval{a.when(), always.to}
	if next, ok := id.programs.after(a); ok {
		during.to = next.when()
	}
	return id.does(during, func(o *act) bool { return o != a && o.process() == nil && !going[o] }, func(child *act) bool { return child != a && !going[child] })
}

// does reports whether the process did something in an interval that fits, or
// something that fits names it as its parent.
func (p *processID) does(during interval, itself, child func(*act) bool) bool {
	for o := range p.acts.between(during) {
		if itself(o) {
			return true
		}
	}
	for o := range p.children.between(during) {
		if child(o) {
			return true
		}
	}
	return false
}

// pastExecs lists the records of execs that were over before an instant, and of
// which nothing is kept.
func (c *container) pastExecs(before int64, keep map[event.ID]bool, going map[*act]bool) (out []*event.Event) {
	n := 0
	for l := range c.life.all() {
		exec, ok := execOf(l.event)
		if !ok {
			continue
		}
		if n++; l.when() >= before {
			break
		}
		_, started := l.event.Body.(*event.ExecStarted)
		if n > ofBeginning && !keep[l.event.ID] && (started || c.execOver(exec, before, keep, going)) {
			out = append(out, l.event)
		}
	}
	return out
}

// execOf gives the exec that an event about a container tells of.
func execOf(e *event.Event) (id string, ok bool) {
	switch b := e.Body.(type) {
	case *event.ExecStarted:
		return b.ExecID, true
	case *event.Task:
		return b.ExecID, b.ExecID != ""
	}
	return "", false
}

// execOver reports that an exec's process ended before an instant, and that what
// it did, and what came of it, goes.
func (c *container) execOver(exec string, before int64, keep map[event.ID]bool, going map[*act]bool) bool {
	ended := false
	for _, e := range c.execs[exec] {
		if e.Time.At >= before || keep[e.ID] {
			return false
		}
		ended = ended || e.Body.(*event.Task).Action == event.TaskExit
	}
	stays := func(a *act) bool { return !going[a] }
	for _, t := range c.links.processesOf(exec) {
		if c.site.pids[t.pid].does(c.site.reach(t.when, event.Skew), stays, stays) {
			return false
		}
	}
	return ended
}

// takeExec takes back what an event tells of an exec.
func (s *site) takeExec(c *container, e *event.Event) {
	c.life.remove(&lifeEvent{event: e})
	c.execsTold--
	s.vouch(c, -1)
	if b, ok := e.Body.(*event.Task); ok {
		left := slices.DeleteFunc(c.execs[b.ExecID], func(o *event.Event) bool { return o == e })
		if c.execs[b.ExecID] = left; len(left) == 0 {
			delete(c.execs, b.ExecID)
		}
		c.stale.add(b.ExecID)
	}
	s.changed[c] = true
	s.markDirty(c)
}
