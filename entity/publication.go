package entity

import (
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// publicationKind is the kind of subject that a push to a registry is: who
// published what concerns every container of it, wherever it runs, so it is
// told through memory.
const publicationKind = "publication"

// addPublication takes in what a registry says that it took in. s is where the
// registry's records are from.
func (s *site) addPublication(e *event.Event, b *event.RegistryAction) bool {
	if b.Action != "push" || b.Digest.IsZero() {
		return false
	}
	id := evidence.SubjectID{Kind: publicationKind, Place: s.place, ID: e.ID.String()}
	s.r.publications[id] = e
	s.r.dirty[id] = true
	return true
}

// publication tells a push as a subject.
func (r *Resolver) publication(id evidence.SubjectID) (*evidence.Subject, bool) {
	e := r.publications[id]
	if e == nil {
		return nil, false
	}
	s := evidence.NewSubject(id, []evidence.Fact{{Kind: evidence.Publication, Container: evidence.Whole, Event: e}})
	b := e.Body.(*event.RegistryAction)
	s.Image = &evidence.Image{
		Reference: b.Reference, Digests: []image.Digest{b.Digest}, Canonical: b.Digest, Published: true, Origin: evidence.OriginRegistry,
	}
	return s, true
}

// touchPublication tells that a push is cited otherwise now.
func (r *Resolver) touchPublication(e *event.Event) {
	p := e.Place
	p.Network = ""
	if id := (evidence.SubjectID{Kind: publicationKind, Place: p, ID: e.ID.String()}); r.publications[id] != nil {
		r.dirty[id] = true
	}
}
