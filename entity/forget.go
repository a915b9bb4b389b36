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
	case *event.Workload:
		s.cluster.regardOwner(keyOf(b.Object))
	case *event.RegistryAction:
		r.touchPublication(e)
	case *event.Instance, *event.VMImage:
		r.machines.touch(r, e)
	default:
		s.touchAct(e)
		if c := readAPICall(e); c != nil && !e.Time.IsZero() {
			s.regardCall(c)
		}
	}
	if c := s.containers[id]; c != nil {
		s.markDirty(c)
	}
	if ref, ok := aboutPod(e.Body); ok {
		if c := s.cluster.pods.byID[podID(podName{ref.Namespace, ref.Name}, ref.UID)]; c != nil {
			s.markDirty(c)
		}
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
	if m := known.machine; m != nil {
		s.r.dirty[m.subjectID()] = true
	}
	s.regardHost(known)
	if known.client != nil {
		s.regardClient(known)
	}
	if known.place.helper && known.helper.makes != "" {
		s.markDirty(s.container(known.helper.makes))
	}
}

// Excess lists the containers to let go because there are more than the limit:
// the longest quiet, a tenth of the limit at a time.
func (r *Resolver) Excess() []evidence.SubjectID {
	held := len(r.publications.pushes) + len(r.machines.known)
	for _, s := range r.sites {
		held += len(s.containers) + len(s.pods.byID)
	}
	if held <= r.limits.Containers {
		return nil // not even with those that are one subject
	}
	all := r.Subjects()
	n := len(all) - r.limits.Containers
	if n <= 0 {
		return nil
	}
	last := make(map[evidence.SubjectID]int64, len(all))
	for _, id := range all {
		if e := r.publications.pushes[id]; e != nil {
			last[id] = e.RecordTime()
			continue
		}
		switch m := r.machineOf(id); {
		case m != nil:
			last[id] = m.lastSeen()
		case id.Kind == vmImageKind:
			latest, _ := r.machines.events[tag{id.Place.Tenant, tagImage, id.ID}].last(always.to)
			last[id] = latest.event.RecordTime()
		default:
			last[id] = r.sites[id.Place].record(id).lastSeen()
		}
	}
	slices.SortFunc(all, func(a, b evidence.SubjectID) int {
		return cmp.Or(cmp.Compare(last[a], last[b]), a.Compare(b))
	})
	return all[:min(len(all), n+r.limits.Containers/10)]
}

// lastSeen is when the last record of a subject was written.
func (c *container) lastSeen() int64 {
	last := int64(0)
	for _, m := range c.all() {
		for l := range m.life.all() {
			last = max(last, l.event.RecordTime())
		}
		for a := range m.made.all() {
			last = max(last, a.event.RecordTime())
		}
		for a := range m.acts.all() {
			last = max(last, a.event.RecordTime())
		}
	}
	return last
}

// all lists the records of a subject: its own, and a pod's containers'.
func (c *container) all() []*container {
	if c.pod == nil {
		return c.members()
	}
	out := []*container{c}
	for inner := range c.pod.inner {
		out = append(out, inner)
	}
	if unnamed := c.site.podNames(c.pod.name).unnamed; c.pod.uid != "" && unnamed != nil && len(c.site.podNames(c.pod.name).byUID) == 1 {
		out = append(out, unnamed)
	}
	return out
}

// Forget lets go of subjects and of everything that is placed in them, and
// gives the ids of the events let go. What names addresses for others stays.
func (r *Resolver) Forget(ids ...evidence.SubjectID) (gone []event.ID) {
	r.settle()
	for _, id := range ids {
		gone = append(gone, r.forget(id)...)
	}
	r.settle()
	for _, id := range ids {
		delete(r.dirty, id)
	}
	return gone
}

func (r *Resolver) forget(id evidence.SubjectID) []event.ID {
	if e := r.publications.pushes[id]; e != nil {
		return r.forgetPublication(id, e)
	}
	if m := r.machineOf(id); m != nil {
		return r.machines.forget(r, m)
	}
	if id.Kind == vmImageKind {
		return r.forgetImage(id)
	}
	s := r.sites[id.Place]
	if s == nil || s.record(id) == nil {
		return nil
	}
	var acts []*act
	var gone []event.ID
	for _, m := range s.record(id).all() {
		acts = slices.AppendSeq(acts, m.made.all())
		for a := range m.acts.all() {
			if a.named == 0 || a.toldPod.HasPod() { // told to be its own, it would stay for ever
				acts = append(acts, a)
			}
		}
		gone = append(gone, m.site.forgetLife(m)...)
	}
	for _, a := range acts {
		if !a.gone {
			gone = append(gone, a.event.ID)
			a.site.take(a)
		}
	}
	return gone
}

// forgetLife takes back what was told of a record by name or id.
func (s *site) forgetLife(c *container) (gone []event.ID) {
	for l := range c.life.all() {
		gone = append(gone, l.event.ID)
		s.claim(l.event, -1)
		s.fileMaking(c, l.event, -1)
		if c.pod != nil {
			s.fileStarted(c, l.event, -1)
		}
	}
	n := c.life.len()
	c.life = timeline[*lifeEvent]{}
	c.stale.add("")
	s.changed[c] = true
	if c.pod != nil {
		c.vouched -= n
		s.emptied[c] = true
		return gone
	}
	s.vouch(c, -n)
	c.turns, c.execs, c.execsTold = nil, nil, 0
	for exec := range c.links.execPIDs {
		c.stale.add(exec)
	}
	return gone
}
