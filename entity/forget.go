package entity

import (
	"cmp"
	"slices"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// Touch says that an event already applied is cited otherwise now.
func (r *Resolver) Touch(e *event.Event) {
	s := r.site(e.Place)
	id := ""
	switch b := e.Body.(type) {
	case *event.Image, *event.ImageResolved, *event.ImageDescription:
		s.images.touch(e)
	case *event.Container:
		id = b.ID
	case *event.Task:
		id = b.Container
	case *event.ExecStarted:
		id = b.Container
	case *event.NetworkAttachment:
		id = b.Container
	case *event.ContainerDescription:
		id = b.ID
	default:
		s.touchAct(e)
	}
	if c := s.containers[id]; c != nil {
		s.markDirty(c)
	}
}

// touchAct tells those of whom an act is evidence.
func (s *site) touchAct(e *event.Event) {
	a := s.newAct(e)
	if a == nil {
		return
	}
	var known *act
	if p := s.pids[a.pid]; a.ofProcess() && p != nil {
		known, _ = p.acts.find(a)
	} else if d := s.addrs[a.src]; !a.ofProcess() && d != nil {
		known, _ = d.acts.find(a)
	}
	if known == nil {
		return
	}
	if c := known.place.owner; c != nil {
		s.markDirty(c)
	}
	if known.place.helper && known.helper.makes != "" {
		s.markDirty(s.container(known.helper.makes))
	}
}

// Excess lists the containers to let go because there are more than the limit:
// the longest quiet, a tenth of the limit at a time.
func (r *Resolver) Excess() []evidence.SubjectID {
	all := r.Subjects()
	n := len(all) - r.limits.Containers
	if n <= 0 {
		return nil
	}
	last := make(map[evidence.SubjectID]int64, len(all))
	for _, id := range all {
		last[id] = r.sites[id.Place].containers[id.ID].lastSeen()
	}
	slices.SortFunc(all, func(a, b evidence.SubjectID) int {
		return cmp.Or(cmp.Compare(last[a], last[b]), a.Compare(b))
	})
	return all[:min(len(all), n+r.limits.Containers/10)]
}

// lastSeen is when the last record of a container was written.
func (c *container) lastSeen() int64 {
	last := int64(0)
	for _, m := range c.members() {
		for l := range m.life.all() {
			last = max(last, l.event.RecordTime())
		}
		for a := range m.made.all() {
			last = max(last, a.event.RecordTime())
		}
	}
	for a := range c.acts.all() {
		last = max(last, a.event.RecordTime())
	}
	return last
}

// Forget lets go of a container and of everything that is placed in it, and
// gives the ids of the events let go. A DNS answer that names addresses for
// others stays.
func (r *Resolver) Forget(id evidence.SubjectID) []event.ID {
	r.settle()
	s := r.sites[id.Place]
	if s == nil || s.containers[id.ID] == nil {
		return nil
	}
	c := s.containers[id.ID]
	var acts []*act
	var gone []event.ID
	for _, m := range c.members() {
		for l := range m.life.all() {
			gone = append(gone, l.event.ID)
		}
		acts = slices.AppendSeq(acts, m.made.all())
		s.vouch(m, -m.life.len())
		m.life, m.turns, m.execs = timeline[*lifeEvent]{}, nil, map[string][]*event.Event{}
		m.stale[""] = true
		for exec := range m.links.pids {
			m.stale[exec] = true
		}
		s.changed[m] = true
	}
	for a := range c.acts.all() {
		if a.named == 0 {
			acts = append(acts, a)
		}
	}
	for _, a := range acts {
		gone = append(gone, a.event.ID)
		s.take(a)
	}
	r.settle()
	delete(r.dirty, id)
	return gone
}
