package entity

import (
	"iter"
	"math"

	"tidewaiter/event"
	"tidewaiter/image"
)

// groupGap is how far apart the names of one pull by a CRI runtime are
// written, in nanoseconds.
const groupGap = int64(2e9)

// storeWrites are the names that a CRI runtime wrote into containerd's image
// store. One pull writes a name by tag, a name by digest, both of one
// repository, and the config's id. The events carry names only, so the three
// are grouped by repository and time; a config id joins only if exactly one
// repository was being written around then.
type storeWrites struct {
	named map[repository]*timeline[*imageAct]
	all   map[string]*timeline[*imageAct] // the named ones, by namespace
	ids   map[string]*timeline[*imageAct] // config ids, by namespace
}

type repository struct{ namespace, name string }

func newStoreWrites() storeWrites {
	return storeWrites{map[repository]*timeline[*imageAct]{}, map[string]*timeline[*imageAct]{}, map[string]*timeline[*imageAct]{}}
}

// repositoryOf is the repository whose name an event wrote, and nothing but a
// name; ok is false for other events.
func repositoryOf(a *imageAct) (r repository, ok bool) {
	b := a.body()
	if b == nil || b.Action != event.ImageCreate && b.Action != event.ImageUpdate || b.Reference.Form() != image.Named || !b.Digest.IsZero() {
		return repository{}, false
	}
	return repository{b.Namespace, b.Reference.Repository()}, true
}

// configID is the id that an event wrote as a name.
func configID(a *imageAct) (d image.Digest, ok bool) {
	b := a.body()
	switch {
	case b == nil || b.Action != event.ImageCreate && b.Action != event.ImageUpdate:
		return image.Digest{}, false
	case b.Reference.IsZero():
		return b.Digest, !b.Digest.IsZero()
	}
	return b.Reference.Digest(), b.Reference.Form() == image.ID
}

func (w *storeWrites) add(a *imageAct)    { w.enter(a, +1) }
func (w *storeWrites) remove(a *imageAct) { w.enter(a, -1) }

func (w *storeWrites) enter(a *imageAct, by int) {
	if r, ok := repositoryOf(a); ok {
		enter(w.named, r, a, by)
		enter(w.all, r.namespace, a, by)
	} else if _, ok := configID(a); ok {
		enter(w.ids, a.body().Namespace, a, by)
	}
}

// around is the stretch of time in which each name of a's repository was
// written at most groupGap after the one before.
func (w *storeWrites) around(a *imageAct) interval {
	during := interval{a.when(), a.when()}
	r, ok := repositoryOf(a)
	if !ok || w.named[r] == nil {
		return during
	}
	for o := range w.named[r].back(a.when()) {
		if during.from-o.when() > groupGap {
			break
		}
		during.from = o.when()
	}
	for o := range w.named[r].between(interval{a.when(), always.to}) {
		if o.when()-during.to > groupGap {
			break
		}
		during.to = o.when()
	}
	return during
}

// target is the one digest by which a repository's names were written in a
// stretch of time, zero if there are several.
func (w *storeWrites) target(r repository, during interval) image.Digest {
	var found image.Digest
	for o := range w.named[r].between(during) {
		d := o.body().Reference.Digest()
		if !d.IsZero() && !found.IsZero() && d != found {
			return image.Digest{}
		}
		if !d.IsZero() {
			found = d
		}
	}
	return found
}

// container is the digest that a config id is contained in.
func (w *storeWrites) container(id *imageAct) image.Digest {
	writes := w.all[id.body().Namespace]
	if writes == nil {
		return image.Digest{}
	}
	var found image.Digest
	var only repository
	var group interval
	for o := range writes.between(interval{id.when() - groupGap, id.when() + groupGap}) {
		r, _ := repositoryOf(o)
		if r == only && o.when() <= group.to {
			continue
		}
		group = w.around(o)
		target := w.target(r, group)
		if only != (repository{}) && (r != only || target != found) {
			return image.Digest{}
		}
		only, found = r, target
	}
	return found
}

// maxWritten bounds what is told of one pull.
const maxWritten = 8

// writtenWith lists what else the pull wrote that an event is of, the first of it:
// the other names of its repository, and the config's id.
func (st *imageStore) writtenWith(a *imageAct) []*event.Event {
	var out []*event.Event
	for o := range st.pullOf(a) {
		if o != a && len(out) < maxWritten {
			out = append(out, o.event)
		}
	}
	return out
}

// pullOf gives all that the pull wrote which an event is of, itself too; nothing
// where nobody can tell.
func (st *imageStore) pullOf(a *imageAct) iter.Seq[*imageAct] {
	return func(yield func(*imageAct) bool) {
		named := a
		if _, ok := configID(a); ok {
			if named = st.writes.nameOf(a); named == nil {
				return
			}
		}
		r, ok := repositoryOf(named)
		if !ok {
			return
		}
		group := st.writes.around(named)
		target := st.writes.target(r, group)
		if target.IsZero() {
			return // several pulls, and nobody can tell them apart
		}
		for o := range st.writes.named[r].between(group) {
			if !yield(o) {
				return
			}
		}
		if ids := st.writes.ids[r.namespace]; ids != nil {
			for o := range ids.between(group.widened(groupGap)) {
				if o.edge.Parent == target && !yield(o) {
					return
				}
			}
		}
	}
}

// nameOf is the name by digest that was written with a config's id, nil if
// nobody can tell.
func (w *storeWrites) nameOf(id *imageAct) *imageAct {
	if writes := w.all[id.body().Namespace]; writes != nil && !id.edge.Parent.IsZero() {
		for o := range writes.between(interval{id.when() - groupGap, id.when() + groupGap}) {
			if o.body().Reference.Digest() == id.edge.Parent {
				return o
			}
		}
	}
	return nil
}

// regroup works out anew the groups that a new event can have a part in.
func (st *imageStore) regroup(a *imageAct) {
	if _, ok := configID(a); ok {
		st.linkConfig(a)
		return
	}
	st.regroupIn(a, st.writes.around(a))
}

// regroupIn works out anew the groups of a's repository in a stretch of time.
func (st *imageStore) regroupIn(a *imageAct, during interval) {
	r, ok := repositoryOf(a)
	if !ok {
		return
	}
	if names := st.writes.named[r]; names != nil {
		group := interval{to: math.MinInt64}
		var target image.Digest
		for o := range names.between(during) {
			if o.when() > group.to {
				group = st.writes.around(o)
				target = st.writes.target(r, group)
				st.tell(target.String())
			}
			st.tell(o.name)
			if o.body().Reference.Digest().IsZero() {
				st.setTarget(o, target)
			}
		}
	}
	if ids := st.writes.ids[r.namespace]; ids != nil {
		for id := range ids.between(during.widened(groupGap)) {
			st.linkConfig(id)
			if d, _ := configID(id); !id.edge.Parent.IsZero() {
				st.tell(d.String()) // the names that were written with it
			}
		}
	}
}

func (st *imageStore) setTarget(a *imageAct, target image.Digest) {
	if a.target != target {
		st.file(a, -1)
		a.target = target
		st.file(a, +1)
	}
}

func (st *imageStore) linkConfig(a *imageAct) {
	edge := image.Edge{Parent: st.writes.container(a)}
	if edge.Child, _ = configID(a); edge.Parent.IsZero() {
		edge = image.Edge{}
	}
	st.setEdge(a, edge)
}

func (st *imageStore) setEdge(a *imageAct, edge image.Edge) {
	if a.edge != edge {
		st.site.r.countEdge(a.edge, -1)
		st.site.r.countEdge(edge, +1)
		st.tell(a.edge.Parent.String())
		st.tell(edge.Parent.String())
		st.tell(a.edge.Child.String())
		st.tell(edge.Child.String())
		a.edge = edge
	}
}
