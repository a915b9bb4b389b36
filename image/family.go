package image

import "slices"

// Family is what is known of which digests belong to one image: an index
// contains platform manifests, a manifest contains a config. It is a set of
// "contains" edges; adding is commutative and idempotent, so the order in
// which sources tell them does not matter.
//
// The edges have a direction for a reason. That a manifest is approved says
// nothing about an index which somebody else wrote around it, so trust and
// "seen before" look only upwards, from what was run to what contains it.
type Family struct {
	parents  map[Digest][]Digest
	children map[Digest][]Digest
	edges    int
}

// NewFamily makes an empty Family.
func NewFamily() *Family {
	return &Family{parents: map[Digest][]Digest{}, children: map[Digest][]Digest{}}
}

// Edge says that Parent contains Child.
type Edge struct {
	Parent Digest `cbor:"1,keyasint"`
	Child  Digest `cbor:"2,keyasint"`
}

// Compare orders edges.
func (e Edge) Compare(o Edge) int {
	if c := e.Parent.Compare(o.Parent); c != 0 {
		return c
	}
	return e.Child.Compare(o.Child)
}

// Add records an edge and reports whether it was new. Zero digests and
// self-containment are ignored: a containerd image store prints one digest
// for both.
func (f *Family) Add(e Edge) bool {
	if e.Parent.IsZero() || e.Child.IsZero() || e.Parent == e.Child || !insert(f.parents, e.Child, e.Parent) {
		return false
	}
	insert(f.children, e.Parent, e.Child)
	f.edges++
	return true
}

// Remove forgets an edge and reports whether it was there.
func (f *Family) Remove(e Edge) bool {
	if !remove(f.parents, e.Child, e.Parent) {
		return false
	}
	remove(f.children, e.Parent, e.Child)
	f.edges--
	return true
}

// insert puts v into the sorted list at k and reports whether it was new. The
// lists are sorted so that a walk that stops at its bound gives the same
// digests whatever the order of adding was.
func insert(lists map[Digest][]Digest, k, v Digest) bool {
	i, found := slices.BinarySearchFunc(lists[k], v, Digest.Compare)
	if !found {
		lists[k] = slices.Insert(lists[k], i, v)
	}
	return !found
}

func remove(lists map[Digest][]Digest, k, v Digest) bool {
	i, found := slices.BinarySearchFunc(lists[k], v, Digest.Compare)
	if !found {
		return false
	}
	if len(lists[k]) == 1 {
		delete(lists, k)
	} else {
		lists[k] = slices.Delete(lists[k], i, i+1)
	}
	return true
}

// Len is the number of edges.
func (f *Family) Len() int { return f.edges }

// maxFamily bounds a walk; a real image has an index, a manifest per platform
// and a config each.
const maxFamily = 256

// Ancestors is d and every digest known to contain it, in sorted order.
// Approval or a sighting of any of them holds for d. At most 256 are walked.
func (f *Family) Ancestors(d Digest) []Digest { return walk(f.parents, d) }

// Descendants is d and every digest known to be contained in it, sorted.
func (f *Family) Descendants(d Digest) []Digest { return walk(f.children, d) }

// Same reports whether a and b are known to be one artefact: equal, or one
// contains the other. Two platforms of one index are not the same bytes; they
// are told by their common ancestor.
func (f *Family) Same(a, b Digest) bool {
	return !a.IsZero() && !b.IsZero() &&
		(slices.Contains(f.Ancestors(a), b) || slices.Contains(f.Ancestors(b), a))
}

// Canonical is the digest by which the artefact that d belongs to is named:
// the smallest of its outermost known containers, or d itself. Two platforms
// of one index have one canonical digest.
func (f *Family) Canonical(d Digest) Digest {
	best := Digest{}
	for _, a := range f.Ancestors(d) {
		if len(f.parents[a]) == 0 && (best.IsZero() || a.Compare(best) < 0) {
			best = a
		}
	}
	if best.IsZero() { // only a forged cycle has no outermost container
		return d
	}
	return best
}

// Edges lists every edge in sorted order.
func (f *Family) Edges() []Edge {
	out := make([]Edge, 0, f.edges)
	for child, parents := range f.parents {
		for _, p := range parents {
			out = append(out, Edge{p, child})
		}
	}
	slices.SortFunc(out, Edge.Compare)
	return out
}

// walk gives d and what is reached from it, nearest first until the bound, in
// sorted order.
func walk(next map[Digest][]Digest, d Digest) []Digest {
	if d.IsZero() {
		return nil
	}
	found := []Digest{d}
	seen := map[Digest]bool{d: true}
	for i := 0; i < len(found) && len(found) < maxFamily; i++ {
		for _, n := range next[found[i]] {
			if !seen[n] && len(found) < maxFamily {
				seen[n] = true
				found = append(found, n)
			}
		}
	}
	slices.SortFunc(found, Digest.Compare)
	return found
}

// EdgeNews is that an edge is known, or known no longer.
type EdgeNews struct {
	Edge
	Gone bool `cbor:"3,keyasint,omitempty"`
}
