package entity

import (
	"maps"
	"slices"

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
