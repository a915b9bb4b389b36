package entity

import (
	"cmp"
	"slices"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// vmImageKind is the kind of subject that an image of virtual machines is, of
// which somebody did something: who made it, and who may launch it.
const vmImageKind = "vm-image"

// maxLaunches bounds the launches that are told of one image, the first of them.
const maxLaunches = 64

// addVMImage takes in what a cloud's record says of an image.
func (s *site) addVMImage(e *event.Event) bool {
	return s.r.machines.file(s.r, e)
}

func imageTag(tenant string, id image.VM) tag { return tag{tenant, tagImage, string(id)} }

func vmImageID(t tag) evidence.SubjectID {
	return evidence.SubjectID{Kind: vmImageKind, Place: event.Place{Tenant: t.tenant}, ID: t.id}
}

// subjects adds the machines, and the images of which somebody did something.
func (ms *machines) subjects(out []evidence.SubjectID) []evidence.SubjectID {
	for _, m := range ms.known {
		if ms.isSubject(m) {
			out = append(out, m.subjectID())
		}
	}
	for t := range ms.events {
		if ms.acted(t) {
			out = append(out, vmImageID(t))
		}
	}
	return out
}

// acted reports that a tag is an image's of which somebody did something.
func (ms *machines) acted(t tag) bool {
	if t.kind != tagImage {
		return false
	}
	last, ok := ms.events[t].last(always.to)
	return ok && !last.event.Time.IsZero()
}

// describe fills in what look-ups and records tell of an image, and what it is
// a copy of. What a launch itself told of its owner stays.
func (ms *machines) describe(tenant string, of evidence.VMImage) evidence.VMImage {
	if of.ID == "" {
		return of
	}
	of.Family = cmp.Or(of.Family, of.ID.Family())
	of = ms.described(tenant, of)
	for id, n := ms.copied(tenant, of.ID), 0; id != "" && n < maxAncestors && !slices.Contains(of.Copies, id) && id != of.ID; n++ {
		of.Copies = append(of.Copies, id)
		id = ms.copied(tenant, id)
	}
	return of
}

func (ms *machines) described(tenant string, of evidence.VMImage) evidence.VMImage {
	known := ms.events[imageTag(tenant, of.ID)]
	if known == nil {
		return of
	}
	for l := range known.all() {
		b, ok := l.event.Body.(*event.VMImage)
		if !ok || b.Failure != "" {
			continue
		}
		of.Name, of.Owner, of.Alias = cmp.Or(of.Name, b.Name), cmp.Or(of.Owner, b.Owner), cmp.Or(of.Alias, b.Alias)
		of.Family, of.Allowed = cmp.Or(of.Family, b.Family), cmp.Or(of.Allowed, b.Allowed)
		of.Public = of.Public || b.Public
		of.Products = union(of.Products, b.Products)
		if of.Market == (event.MarketImage{}) {
			of.Market = b.Market
		}
		if of.Created.IsZero() {
			of.Created = b.Created
		}
		if len(b.Tags) > 0 {
			of.Tags = merged(of.Tags, b.Tags)
		}
		switch b.Action {
		case event.VMImageCreate, event.VMImageRegister, event.VMImageCopy, event.VMImageImport:
			if of.Created.IsZero() {
				of.Created = l.event.Time
			}
			of.Source = cmp.Or(of.Source, b.Instance, b.Disk, string(b.Parent))
		}
	}
	return of
}

// copied is the image that another is a plain copy of, "" if none is known.
func (ms *machines) copied(tenant string, id image.VM) image.VM {
	known := ms.events[imageTag(tenant, id)]
	if known == nil {
		return ""
	}
	for l := range known.all() {
		if b, ok := l.event.Body.(*event.VMImage); ok && b.Action == event.VMImageCopy && b.Failure == "" && b.Parent != "" {
			return b.Parent
		}
	}
	return ""
}

// vmImage tells what was done with an image, and the first launches of it.
func (r *Resolver) vmImage(id evidence.SubjectID) (*evidence.Subject, bool) {
	ms, t := r.machines, imageTag(id.Place.Tenant, image.VM(id.ID))
	if ms.events[t] == nil || !ms.acted(t) {
		return nil, false
	}
	about := ms.describe(t.tenant, evidence.VMImage{ID: image.VM(id.ID)})
	var facts []evidence.Fact
	for l := range ms.events[t].all() {
		b, ok := l.event.Body.(*event.VMImage)
		if !ok || l.event.Time.IsZero() {
			continue
		}
		kind := evidence.Change
		switch b.Action {
		case event.VMImageCreate, event.VMImageRegister, event.VMImageCopy, event.VMImageImport:
			kind = evidence.Arrival
		case event.VMImageShare, event.VMImageUnshare:
			kind = evidence.Sharing
		}
		facts = append(facts, evidence.Fact{Kind: kind, Container: evidence.Whole, Event: l.event})
	}
	for _, e := range ms.launchesOf(t) {
		facts = append(facts, evidence.Fact{Kind: evidence.Launch, Container: evidence.Whole, Event: e})
	}
	s := evidence.NewSubject(id, facts)
	s.VMImage = &about
	s.Sight = map[evidence.Kind]evidence.Sight{evidence.Arrival: evidence.Observable, evidence.Sharing: evidence.Observable, evidence.Launch: evidence.Observable}
	return s, true
}

// launchesOf are the first launches of an image.
func (ms *machines) launchesOf(t tag) []*event.Event {
	known := ms.launches[t]
	if known == nil {
		return nil
	}
	var out []*event.Event
	for l := range known.all() {
		if len(out) == maxLaunches {
			break
		}
		out = append(out, l.event)
	}
	return out
}

// countLaunch files a launch under its image, or takes it from there.
func (ms *machines) countLaunch(r *Resolver, e *event.Event, by int) {
	b, ok := e.Body.(*event.Instance)
	if !ok || b.Action != event.InstanceLaunch || b.Image == "" {
		return
	}
	t := imageTag(e.Place.Tenant, b.Image)
	if by < 0 {
		if ms.launches[t].remove(&lifeEvent{event: e}); ms.launches[t].len() == 0 {
			delete(ms.launches, t)
		}
	} else {
		if ms.launches[t] == nil {
			ms.launches[t] = &timeline[*lifeEvent]{}
		}
		ms.launches[t].add(&lifeEvent{event: e})
	}
	r.dirty[vmImageID(t)] = true
}
