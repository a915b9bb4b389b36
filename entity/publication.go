package entity

import (
	"maps"
	"slices"
	"time"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// publicationKind is the kind of subject that a push to a registry is: who
// published what concerns every container of it, wherever it runs, so it is
// told through memory. What hosts told here say of the same image is told with
// it.
const publicationKind = "publication"

// publications are the pushes that registries tell of.
type publications struct {
	// pushes are those told of here, abroad those that other partitions know.
	pushes map[evidence.SubjectID]*event.Event
	abroad map[evidence.SubjectID]foreignPush
	// named finds pushes, and what hosts tell, by the names and digests that were
	// pushed.
	named map[string]*pushed
	// told is what hosts of other partitions tell of pushes known here.
	told map[evidence.SubjectID]map[string][]evidence.Fact
	// news are pushes known here that others are to hear of, or that they are no
	// more; answers are those abroad of which hosts here tell something else now.
	news, answers map[evidence.SubjectID]bool
}

func newPublications() publications {
	return publications{
		pushes: map[evidence.SubjectID]*event.Event{}, abroad: map[evidence.SubjectID]foreignPush{}, named: map[string]*pushed{},
		told: map[evidence.SubjectID]map[string][]evidence.Fact{},
		news: map[evidence.SubjectID]bool{}, answers: map[evidence.SubjectID]bool{},
	}
}

// Push is what others must know of a push to tell what their hosts know of it.
type Push struct {
	Subject evidence.SubjectID `cbor:"1,keyasint"`
	At      int64              `cbor:"2,keyasint"` // Unix nanoseconds
	Digest  image.Digest       `cbor:"3,keyasint"`
	Name    string             `cbor:"4,keyasint"` // the reference's key, "" if it has none
	// Gone is set for a push that is known no longer; the rest is empty then.
	Gone bool `cbor:"5,keyasint,omitempty"`
}

func pushOf(id evidence.SubjectID, e *event.Event) Push {
	b := e.Body.(*event.RegistryAction)
	return Push{Subject: id, At: e.Time.At, Digest: b.Digest, Name: b.Reference.Key()}
}

// calls are by what others know the image.
func (p Push) calls() []string {
	all := slices.DeleteFunc([]string{p.Digest.String(), p.Name}, func(what string) bool { return what == "" })
	return slices.Compact(all)
}

// foreignPush is a push that another partition knows.
type foreignPush struct {
	Push
	from string
}

// pushed is a name, or a digest, that was pushed.
type pushed struct {
	by   map[evidence.SubjectID]bool
	acts timeline[hostAct]
}

// hostAct is what a host tells of an image.
type hostAct struct {
	*imageAct
	of *imageStore
}

func (h hostAct) compare(o hostAct) int { return h.imageAct.compare(o.imageAct) }

// preparing is how long before a push the last making of an image of its name
// belongs to its story.
const preparing = 24 * time.Hour

// Bounds of what is told with a push: of the hosts that took it, and of what was
// run in one container that it was made of.
const (
	maxTakers = 16
	maxRan    = 16
)

// addPublication takes in what a registry says that it took in. s is where the
// registry's records are from.
func (s *site) addPublication(e *event.Event, b *event.RegistryAction) bool {
	if b.Action != "push" || b.Digest.IsZero() {
		return false
	}
	id := evidence.SubjectID{Kind: publicationKind, Place: s.place, ID: e.ID.String()}
	s.r.publications.pushes[id] = e
	s.r.publications.news[id] = true
	s.r.collect(pushOf(id, e))
	s.r.dirty[id] = true
	return true
}

// collect has what hosts tell of a push gathered from now on, and finds what they
// told before.
func (r *Resolver) collect(p Push) {
	for _, what := range p.calls() {
		if r.publications.named[what] == nil {
			r.publications.named[what] = &pushed{by: map[evidence.SubjectID]bool{}}
			r.findPushed(what)
		}
		r.publications.named[what].by[p.Subject] = true
	}
}

// collectNoMore is the reverse of collect.
func (r *Resolver) collectNoMore(p Push) {
	for _, what := range p.calls() {
		if named := r.publications.named[what]; named != nil {
			if delete(named.by, p.Subject); len(named.by) == 0 {
				delete(r.publications.named, what)
			}
		}
	}
}

// regard has the pushes told anew that go by a name or a digest.
func (ps *publications) regard(what string, dirty map[evidence.SubjectID]bool) {
	if p := ps.named[what]; p != nil {
		for id := range p.by {
			if ps.pushes[id] != nil {
				dirty[id] = true
			} else {
				ps.answers[id] = true
			}
		}
	}
}

// findPushed collects what hosts told before of a name or a digest.
func (r *Resolver) findPushed(what string) {
	for _, s := range r.sites {
		for a := range s.images.acts.all() {
			if slices.Contains(a.called(), what) {
				r.publications.named[what].acts.add(hostAct{a, &s.images})
			}
		}
	}
}

// called are the name and the digests that an act goes by; none for what has no
// time, and so no place in a story.
func (a *imageAct) called() []string {
	var all []string
	if a.event.Time.IsZero() {
		return nil
	}
	if a.name != "" {
		all = append(all, a.name)
	}
	for _, d := range a.digests() {
		all = append(all, d.String())
	}
	return all
}

// collect enters what a host tells of an image among what is told of pushes of it,
// or takes it out.
func (st *imageStore) collect(a *imageAct, by int) {
	ps := &st.site.r.publications
	if len(ps.named) == 0 {
		return
	}
	for _, what := range a.called() {
		p := ps.named[what]
		if p == nil {
			continue
		}
		if by > 0 {
			p.acts.add(hostAct{a, st})
		} else {
			p.acts.remove(hostAct{a, st})
		}
	}
}

// ofPush reports that what an act tells can belong to the story of a push: it lies
// before it, or is the first that this host tells of the image after it.
func (st *imageStore) ofPush(a *imageAct) bool {
	ps := &st.site.r.publications
	if len(ps.named) == 0 {
		return false
	}
	for _, what := range a.called() {
		p := ps.named[what]
		if p == nil {
			continue
		}
		for id := range p.by {
			at := ps.when(id)
			if a.when() <= at+reorder && a.when() >= at-int64(preparing) || a.when() > at && !p.toldBefore(st, interval{at, a.when() - 1}) {
				return true
			}
		}
	}
	return false
}

// when is when something was pushed.
func (ps *publications) when(id evidence.SubjectID) int64 {
	if e := ps.pushes[id]; e != nil {
		return e.Time.At
	}
	return ps.abroad[id].At
}

// toldBefore reports that a host told of the image in a stretch of time.
func (p *pushed) toldBefore(st *imageStore, during interval) bool {
	for a := range p.acts.between(during) {
		if a.of == st {
			return true
		}
	}
	return false
}

// regardPushes has those pushes told anew that are of an image made of a
// container.
func (s *site) regardPushes(c *container) {
	if made := s.images.committed[c.id]; made != nil && len(s.r.publications.named) > 0 {
		for a := range made.all() {
			for _, name := range s.images.namesGiven(a) {
				s.r.publications.regard(name, s.r.dirty)
			}
		}
	}
}

// forgetPublication lets go of a push.
func (r *Resolver) forgetPublication(id evidence.SubjectID, e *event.Event) []event.ID {
	r.collectNoMore(pushOf(id, e))
	delete(r.publications.pushes, id)
	delete(r.publications.told, id)
	r.publications.news[id] = true
	return []event.ID{e.ID}
}

// publication tells a push as a subject.
func (r *Resolver) publication(id evidence.SubjectID) (*evidence.Subject, bool) {
	e := r.publications.pushes[id]
	if e == nil {
		return nil, false
	}
	facts := r.hostsTell(pushOf(id, e))
	for _, told := range r.publications.told[id] {
		facts = append(facts, told...)
	}
	facts = append(firstTakers(facts), evidence.Fact{Kind: evidence.Publication, Container: evidence.Whole, Event: e})
	s := evidence.NewSubject(id, facts)
	b := e.Body.(*event.RegistryAction)
	s.Image = &evidence.Image{
		Reference: b.Reference, Digests: []image.Digest{b.Digest}, Canonical: b.Digest, Published: true, Origin: evidence.OriginRegistry,
	}
	return s, true
}

// hostsTell is what hosts here tell of an image that was pushed: how it was made,
// and who took it.
func (r *Resolver) hostsTell(p Push) (facts []evidence.Fact) {
	add := func(k evidence.Kind, events ...*event.Event) {
		for _, e := range events {
			facts = append(facts, evidence.Fact{Kind: k, Container: evidence.Whole, Event: e})
		}
	}
	if named := r.publications.named[p.Name]; named != nil {
		// A name is made anew all day where it is released from: the last time counts.
		last := map[step]hostAct{}
		for a := range named.acts.between(interval{p.At - int64(preparing), p.At + reorder}) {
			if b := a.body(); b != nil {
				last[step{a.of, b.Action}] = a
			}
		}
		for _, a := range last {
			r.prepared(a, add)
		}
	}
	if named := r.publications.named[p.Digest.String()]; named != nil {
		took := map[*imageStore]bool{}
		for a := range named.acts.between(interval{p.At, always.to}) {
			if !took[a.of] && (a.body() == nil || brings(a.body().Action)) {
				took[a.of] = true
				add(evidence.Use, a.event)
				add(evidence.Use, a.of.writtenWith(a.imageAct)...)
			}
		}
	}
	return firstTakers(facts)
}

// step is one way in which a host can have had a part in how an image was made.
type step struct {
	on  *imageStore
	how event.ImageAction
}

// firstTakers leaves out what is told of hosts that took the image after many
// others had.
func firstTakers(facts []evidence.Fact) []evidence.Fact {
	host := func(f evidence.Fact) event.Place {
		p := f.Event.Place
		p.Network = ""
		return p
	}
	first := map[event.Place]*event.Event{}
	for _, f := range facts {
		if f.Kind == evidence.Use && (first[host(f)] == nil || compareEvents(f.Event, first[host(f)]) < 0) {
			first[host(f)] = f.Event
		}
	}
	if len(first) <= maxTakers {
		return facts
	}
	in := slices.SortedFunc(maps.Values(first), compareEvents)
	return slices.DeleteFunc(facts, func(f evidence.Fact) bool {
		return f.Kind == evidence.Use && compareEvents(first[host(f)], in[maxTakers-1]) > 0
	})
}

// prepared tells how a host made an image of the name that was pushed then: that
// it was made of a container, and what had been run in that one, or that it was
// built, loaded, named so, or pushed.
func (r *Resolver) prepared(a hostAct, add func(evidence.Kind, ...*event.Event)) {
	switch a.body().Action {
	case event.ImageBuild, event.ImageLoad, event.ImageImport, event.ImageCommit, event.ImagePush:
	case event.ImageTag:
		for _, d := range a.digests() {
			for _, how := range []event.ImageAction{event.ImageBuild, event.ImageLoad, event.ImageImport, event.ImageCommit} {
				if made := lastOf(a.of.came, cameKey{how, d.String()}, a.when()); made != nil && made.name != a.name {
					r.prepared(hostAct{made, a.of}, add)
				}
			}
		}
	default:
		return
	}
	add(evidence.Preparation, a.event)
	c := a.of.site.containers[a.committedOf()]
	if c == nil {
		return
	}
	ran := 0
	if s, known := r.Subject(c.subject().subjectID()); known {
		for _, f := range slices.Backward(s.Facts) {
			reached := f.Kind == evidence.Exec && !f.Exec.Probe || f.Kind == evidence.Command && f.Command.Exec && !f.Command.HealthCheck
			if reached && f.Event.Time.Compare(a.event.Time) < 0 && ran < maxRan {
				add(evidence.Preparation, f.Event)
				ran++
			}
		}
	}
}

// touchPublication tells that a push is cited otherwise now.
func (r *Resolver) touchPublication(e *event.Event) {
	p := e.Place
	p.Network = ""
	if id := (evidence.SubjectID{Kind: publicationKind, Place: p, ID: e.ID.String()}); r.publications.pushes[id] != nil {
		r.dirty[id] = true
	}
}
