package entity

import (
	"math"
	"slices"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// EndedBefore lists the subjects that ended before an instant, in order: a
// container whose last exit no start follows, a deleted pod, and what registries
// took in, which ends when it is told.
func (r *Resolver) EndedBefore(at int64) []evidence.SubjectID {
	r.settle()
	var out []evidence.SubjectID
	for _, s := range r.sites {
		for c := range s.records() {
			if c.isSubject() && c.endedBefore(at) && !s.stepOf(c) {
				out = append(out, c.subjectID())
			}
		}
	}
	for id, e := range r.publications.pushes {
		if e.Time.At < at {
			out = append(out, id)
		}
	}
	out = r.machines.endedBefore(at, out)
	slices.SortFunc(out, evidence.SubjectID.Compare)
	return out
}

// Extent is how many behaviour events are placed in a subject, how many
// containers it has, and whether it is a machine (0 or 1).
func (r *Resolver) Extent(id evidence.SubjectID) (placed, containers, machines int) {
	if m := r.machineOf(id); m != nil {
		return m.acts.len(), 0, 1
	}
	s := r.sites[id.Place]
	if s == nil || s.record(id) == nil {
		return 0, 0, 0
	}
	for _, m := range s.record(id).all() {
		placed += m.acts.len()
		if m.pod == nil {
			containers++
		}
	}
	return placed, containers, 0
}

// LetWaitGo lets go of behaviour recorded before an instant that belongs to no
// container: whatever could have told otherwise has had its time. What places
// others or names addresses stays.
func (r *Resolver) LetWaitGo(before int64) {
	r.settle()
	for _, s := range r.sites {
		s.letCallsGo(before - buildTime)
		s.images.letGo(before - buildTime)
	}
	for _, w := range slices.Collect(r.waiting.between(interval{math.MinInt64, before - 1})) {
		if g, ok := w.event.Body.(*event.GuestScript); ok && g.Stage == event.GuestStored || w.gone || !w.waiting {
			continue // what lies on a machine to be run has no time
		}
		r.counts.tally(w.act)
		r.release(w.act)
	}
	r.settle()
}

func (c *container) endedBefore(at int64) bool {
	if c.pod != nil {
		_, to := c.podTimes()
		return to < at
	}
	if c.site.builders[c] > 0 && isStepID(c.id) {
		return c.stepEndedBefore(at)
	}
	n, begun := len(c.links.ends), len(c.links.starts)
	return n > 0 && c.links.ends[n-1] < at && (begun == 0 || c.links.starts[begun-1] <= c.links.ends[n-1])
}
