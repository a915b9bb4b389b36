package entity

import (
	"maps"
	"slices"

	"tidewaiter/evidence"
	"tidewaiter/image"
)

// countEdge counts the records here that tell that one digest contains
// another. A containerd image store names an image by its own digest, which
// says nothing.
func (r *Resolver) countEdge(e image.Edge, by int) {
	if e.Parent.IsZero() || e.Child.IsZero() || e.Parent == e.Child {
		return
	}
	before := r.edges[e]
	if r.edges[e] += by; r.edges[e] == 0 {
		delete(r.edges, e)
	}
	if (before > 0) != (r.edges[e] > 0) {
		r.edgeNews[e] = true
		r.regardEdge(e)
	}
}

// regardEdge brings the family up to date with who knows an edge. Digests hold
// everywhere; concerned are the containers whose digests, or those contained
// in them, are at one of its ends.
func (r *Resolver) regardEdge(e image.Edge) {
	changed := false
	if r.edges[e] > 0 || len(r.foreign[e]) > 0 {
		changed = r.family.Add(e)
	} else {
		changed = r.family.Remove(e)
	}
	if !changed {
		return
	}
	for _, s := range r.sites {
		s.images.tell(e.Parent.String())
		s.images.tell(e.Child.String())
	}
}

// EdgeNews gives the edges whose own knowledge changed since the last call.
func (r *Resolver) EdgeNews() []image.EdgeNews {
	var out []image.EdgeNews
	for _, e := range r.PendingEdges() {
		out = append(out, image.EdgeNews{Edge: e, Gone: r.edges[e] == 0})
	}
	clear(r.edgeNews)
	return out
}

// PendingEdges lists the edges that EdgeNews would tell of, and leaves them to
// be told.
func (r *Resolver) PendingEdges() []image.Edge {
	return slices.SortedFunc(maps.Keys(r.edgeNews), image.Edge.Compare)
}

// RestorePendingEdges sets what EdgeNews tells of next.
func (r *Resolver) RestorePendingEdges(list []image.Edge) {
	clear(r.edgeNews)
	for _, e := range list {
		r.edgeNews[e] = true
	}
}

// AbsorbEdges takes in the edges that another partition learnt or unlearnt.
func (r *Resolver) AbsorbEdges(from string, list []image.EdgeNews) {
	for _, n := range list {
		by := r.foreign[n.Edge]
		switch {
		case n.Gone:
			if delete(by, from); len(by) == 0 {
				delete(r.foreign, n.Edge)
			}
		case by == nil:
			r.foreign[n.Edge] = map[string]bool{from: true}
		default:
			by[from] = true
		}
		r.regardEdge(n.Edge)
	}
}

// ForeignEdges lists what another partition knows.
func (r *Resolver) ForeignEdges(from string) []image.EdgeNews {
	var out []image.EdgeNews
	for e, by := range r.foreign {
		if by[from] {
			out = append(out, image.EdgeNews{Edge: e})
		}
	}
	slices.SortFunc(out, func(a, b image.EdgeNews) int { return a.Edge.Compare(b.Edge) })
	return out
}

// What a registry took in is told of in one partition, and what hosts know of
// that image wherever they are: each partition tells the others of its pushes,
// and answers what its hosts tell of theirs.

// Told is what the hosts of one partition tell of a push that another knows.
type Told struct {
	Push  evidence.SubjectID
	Facts []evidence.Fact
}

// PushNews gives the pushes known here that others have not heard of since they
// changed.
func (r *Resolver) PushNews() []Push {
	var out []Push
	for _, id := range r.PendingPushes() {
		if e := r.publications.pushes[id]; e != nil {
			out = append(out, pushOf(id, e))
		} else {
			out = append(out, Push{Subject: id, Gone: true})
		}
	}
	clear(r.publications.news)
	return out
}

// PendingPushes lists the pushes that PushNews would tell of, and leaves them to
// be told.
func (r *Resolver) PendingPushes() []evidence.SubjectID {
	return slices.SortedFunc(maps.Keys(r.publications.news), evidence.SubjectID.Compare)
}

// AbsorbPushes takes in what another partition says of its pushes.
func (r *Resolver) AbsorbPushes(from string, list []Push) {
	for _, p := range list {
		known, had := r.publications.abroad[p.Subject]
		switch {
		case p.Gone && had:
			r.collectNoMore(known.Push)
			delete(r.publications.abroad, p.Subject)
			delete(r.publications.answers, p.Subject)
		case !p.Gone && !had:
			r.publications.abroad[p.Subject] = foreignPush{p, from}
			r.collect(p)
			r.publications.answers[p.Subject] = true
		}
	}
}

// ForeignPushes lists the pushes that another partition told of.
func (r *Resolver) ForeignPushes(from string) []Push {
	var out []Push
	for _, p := range r.publications.abroad {
		if p.from == from {
			out = append(out, p.Push)
		}
	}
	slices.SortFunc(out, func(a, b Push) int { return a.Subject.Compare(b.Subject) })
	return out
}

// Answers gives what hosts here tell of others' pushes, where that changed since
// the last call.
func (r *Resolver) Answers() []Told {
	r.settle()
	var out []Told
	for _, id := range r.PendingAnswers() {
		if p, known := r.publications.abroad[id]; known {
			out = append(out, Told{id, r.hostsTell(p.Push)})
		}
	}
	clear(r.publications.answers)
	return out
}

// PendingAnswers lists the pushes that Answers would tell of, and leaves them to
// be told.
func (r *Resolver) PendingAnswers() []evidence.SubjectID {
	return slices.SortedFunc(maps.Keys(r.publications.answers), evidence.SubjectID.Compare)
}

// RestorePending sets what PushNews and Answers tell of next.
func (r *Resolver) RestorePending(pushes, answers []evidence.SubjectID) {
	clear(r.publications.news)
	clear(r.publications.answers)
	for _, id := range pushes {
		r.publications.news[id] = true
	}
	for _, id := range answers {
		r.publications.answers[id] = true
	}
}

// AbsorbTold takes in what another partition's hosts tell of pushes known here,
// in place of what they told before.
func (r *Resolver) AbsorbTold(from string, list []Told) {
	for _, t := range list {
		if r.publications.pushes[t.Push] == nil {
			continue // it was let go of
		}
		told := r.publications.told[t.Push]
		if told == nil {
			told = map[string][]evidence.Fact{}
			r.publications.told[t.Push] = told
		}
		told[from] = t.Facts
		r.dirty[t.Push] = true
	}
}

// ForeignTold lists what another partition told of pushes known here.
func (r *Resolver) ForeignTold(from string) []Told {
	var out []Told
	for id, told := range r.publications.told {
		if facts := told[from]; len(facts) > 0 {
			out = append(out, Told{id, facts})
		}
	}
	slices.SortFunc(out, func(a, b Told) int { return a.Push.Compare(b.Push) })
	return out
}
