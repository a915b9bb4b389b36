package entity

import (
	"slices"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// committedOf is the container that an image was made of, "" for any other act.
func (a *imageAct) committedOf() string {
	if b := a.body(); b != nil && b.Action == event.ImageCommit && !a.event.Time.IsZero() {
		return b.Container
	}
	return ""
}

// tellCommitted marks the container that an image was made of.
func (st *imageStore) tellCommitted(a *imageAct) {
	if c := st.site.containers[a.committedOf()]; c != nil {
		st.site.markDirty(c)
	}
}

// maxCommitNames bounds the names that are told of one image.
const maxCommitNames = 16

// commits adds the images that were made of a container. It gives what their
// names rest on.
func (b *subjectBuilder) commits(p *part) (watch []string) {
	for _, m := range p.members {
		st := &m.site.images
		made := st.committed[m.id]
		if made == nil {
			continue
		}
		for a := range made.all() {
			f := &evidence.CommitFact{Names: st.namesGiven(a), Reached: b.reached(p, a.event.Time)}
			b.facts = append(b.facts, evidence.Fact{Kind: evidence.Commit, Container: p.index, Event: a.event, Commit: f})
			if d := a.body().Digest; !d.IsZero() {
				watch = append(watch, d.String())
			}
		}
	}
	return watch
}

// namesGiven are the names that an image was given when it was made, and since.
func (st *imageStore) namesGiven(made *imageAct) (names []string) {
	add := func(a *imageAct) {
		if a.name != "" && len(names) < maxCommitNames && !slices.Contains(names, a.name) {
			names = append(names, a.name)
		}
	}
	add(made)
	if tags := st.came[cameKey{event.ImageTag, made.body().Digest.String()}]; tags != nil {
		for a := range tags.between(interval{made.when() - reorder, always.to}) {
			add(a)
		}
	}
	slices.Sort(names)
	return names
}

// reached reports that somebody ran something in a container up to an instant
// through the runtime's exec, other than its health check.
func (b *subjectBuilder) reached(p *part, upTo event.Time) bool {
	return slices.ContainsFunc(b.facts, func(f evidence.Fact) bool {
		return f.Container == p.index && f.Kind == evidence.Command && f.Command.Exec && !f.Command.HealthCheck && f.Event.Time.Compare(upTo) < 0
	})
}
