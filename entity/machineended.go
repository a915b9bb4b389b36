package entity

import (
	"cmp"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// What a bound pushes out, for the account.
const droppedCloud = "records of images and of what launches machines"

// cloudEvent is a record that concerns many machines, in the order in which the
// bound on them pushes out.
type cloudEvent struct{ *event.Event }

func (c cloudEvent) when() int64 { return c.RecordTime() }

func (c cloudEvent) compare(o cloudEvent) int {
	return cmp.Or(cmp.Compare(c.when(), o.when()), c.ID.Compare(o.ID))
}

// filings are the tags under which an event is filed that concerns many.
func filings(e *event.Event) []tag {
	var out []tag
	add := func(t tag) {
		if t != (tag{}) && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	switch b := e.Body.(type) {
	case *event.Instance:
		switch {
		case b.Failure != "" || b.DryRun:
			add(askerTag(e, b.By))
		case b.Action == event.InstanceGroup || b.Action == event.InstanceTemplate:
			for _, t := range groupTags(e, b) {
				add(t)
			}
		}
	case *event.VMImage:
		switch {
		case b.Failure != "" || b.DryRun:
			add(askerTag(e, b.By))
		case b.Action == event.VMImageSearch:
			if len(b.Owners) == 0 && slices.ContainsFunc(b.Filters, func(f string) bool { return strings.HasPrefix(f, "name=") }) {
				t := askerTag(e, b.By)
				if t != (tag{}) {
					t.kind = tagSearch
				}
				add(t)
			}
		case b.ID == "":
		default:
			add(imageTag(e.Place.Tenant, b.ID))
			if b.Action == event.VMImageCopy && b.Parent != "" {
				add(tag{e.Place.Tenant, tagCopies, string(b.Parent)})
			}
		}
	}
	return out
}

// file takes in an event that concerns many, and has those told anew whom it
// does. It reports whether it concerns anybody.
func (ms *machines) file(r *Resolver, e *event.Event) bool {
	tags := filings(e)
	for _, t := range tags {
		if ms.events[t] == nil {
			ms.events[t] = &timeline[*lifeEvent]{}
		}
		ms.events[t].add(&lifeEvent{event: e})
		ms.tell(r, t)
	}
	if len(tags) > 0 {
		ms.filed.add(cloudEvent{e})
	}
	return len(tags) > 0
}

// unfile takes it back.
func (ms *machines) unfile(r *Resolver, e *event.Event) {
	for _, t := range filings(e) {
		if ms.events[t].remove(&lifeEvent{event: e}); ms.events[t].len() == 0 {
			delete(ms.events, t)
		}
		ms.tell(r, t)
	}
	ms.filed.remove(cloudEvent{e})
}

// tell has everything told anew that a tag concerns: of an image, also what is
// a copy of it.
func (ms *machines) tell(r *Resolver, t tag) {
	seen := map[tag]bool{}
	for next := []tag{t}; len(next) > 0; next = next[1:] {
		t := next[0]
		if t.kind == tagCopies {
			t.kind = tagImage
		}
		if seen[t] || len(seen) > maxAncestors {
			continue
		}
		seen[t] = true
		whom := t
		if t.kind == tagSearch { // those whom who searched launched
			whom.kind = tagAsker
		}
		for m := range ms.having(whom).all() {
			r.dirty[m.subjectID()] = true
		}
		if t.kind != tagImage {
			continue
		}
		r.dirty[vmImageID(t)] = true
		if copies := ms.events[tag{t.tenant, tagCopies, t.id}]; copies != nil {
			for l := range copies.all() {
				next = append(next, imageTag(t.tenant, l.event.Body.(*event.VMImage).ID))
			}
		}
	}
}

// pushOut drops what is beyond the bounds, and reports whether there was any.
func (ms *machines) pushOut(r *Resolver) (any bool) {
	for m := range ms.crowded {
		for m.acts.len() > r.limits.PerContainer {
			latest, _ := m.acts.last(always.to)
			r.drop(droppedCrowded, m.subjectID().String())
			r.release(latest)
			any = true
		}
	}
	clear(ms.crowded)
	for ms.filed.len() > r.limits.Images {
		oldest, _ := ms.filed.first()
		r.drop(droppedCloud, oldest.Place.String())
		ms.unfile(r, oldest.Event)
		r.released = append(r.released, oldest.ID)
	}
	return any
}

// touch says that an event already applied is cited otherwise now.
func (ms *machines) touch(r *Resolver, e *event.Event) {
	for _, t := range filings(e) {
		ms.tell(r, t)
	}
	b, ok := e.Body.(*event.Instance)
	if !ok {
		return
	}
	if m := ms.known[machineTag(e.Place.Tenant, cmp.Or(b.ID, b.Resource))]; m != nil {
		ms.regard(m)
		r.dirty[m.subjectID()] = true
		if b.Image != "" {
			r.dirty[vmImageID(imageTag(e.Place.Tenant, b.Image))] = true
		}
	}
}

// endedBefore lists the machines that had ended before an instant.
func (ms *machines) endedBefore(at int64, out []evidence.SubjectID) []evidence.SubjectID {
	for _, m := range ms.known {
		if ms.isSubject(m) && m.links.lives.to < at {
			out = append(out, m.subjectID())
		}
	}
	return out
}

// RestingBefore lists the machines that did something after their boots, and
// whose times after a boot were all over before an instant, in order. They may
// boot again.
func (r *Resolver) RestingBefore(at int64) []evidence.SubjectID {
	r.settle()
	var out []evidence.SubjectID
	for _, m := range r.machines.known {
		if m.acts.len() > 0 && len(m.links.boots) > 0 && slices.Max(m.links.boots)+bootTime < at && m.links.lives.to >= at {
			out = append(out, m.subjectID())
		}
	}
	slices.SortFunc(out, evidence.SubjectID.Compare)
	return out
}

// Rest lets go of what a machine did, but not of what it is, and gives the ids
// of the events let go.
func (r *Resolver) Rest(id evidence.SubjectID) []event.ID {
	r.settle()
	m := r.machineOf(id)
	if m == nil {
		return nil
	}
	gone := r.takeAll(m)
	r.settle()
	delete(r.dirty, id)
	return gone
}

// takeAll takes a machine's acts out of every table.
func (r *Resolver) takeAll(m *machine) (gone []event.ID) {
	for _, a := range slices.Collect(m.acts.all()) {
		if a.named > 0 { // it names addresses for others
			a.rested = true
			a.site.assignMachine(a)
			continue
		}
		gone = append(gone, a.event.ID)
		a.site.take(a)
	}
	return gone
}

// forget lets go of a machine and of everything that is told of it.
func (ms *machines) forget(r *Resolver, m *machine) []event.ID {
	gone := r.takeAll(m)
	records := map[*machine]bool{m: true}
	for _, name := range m.names() {
		if o := ms.known[name]; o != nil {
			records[o] = true
		}
	}
	for _, e := range m.links.events {
		if _, ok := e.Body.(*event.Instance); !ok {
			continue
		}
		for of := range records {
			if l := (&lifeEvent{event: e}); of.has(l) {
				of.life.remove(l)
				of.told--
				ms.countLaunch(r, e, -1)
				ms.regard(of)
				gone = append(gone, e.ID)
			}
		}
	}
	r.settle()
	delete(r.dirty, m.subjectID())
	return gone
}

func (m *machine) has(l *lifeEvent) bool {
	_, ok := m.life.find(l)
	return ok
}

// forgetImage lets go of what was done with an image.
func (r *Resolver) forgetImage(id evidence.SubjectID) (gone []event.ID) {
	known := r.machines.events[tag{id.Place.Tenant, tagImage, id.ID}]
	if known == nil {
		return nil
	}
	for _, l := range slices.Collect(known.all()) {
		r.machines.unfile(r, l.event)
		gone = append(gone, l.event.ID)
	}
	delete(r.dirty, id)
	return gone
}

// lastSeen is when the last record of a machine was written.
func (m *machine) lastSeen() int64 {
	last := int64(0)
	for _, e := range m.links.events {
		last = max(last, e.RecordTime())
	}
	for a := range m.acts.all() {
		last = max(last, a.event.RecordTime())
	}
	return last
}
