package entity

import (
	"iter"

	"tidewaiter/event"
)

// Builders run each step in a container. The classic builder has the daemon make
// one, of an image that only its id names; BuildKit calls the runtime itself, so
// that no event tells of one.

// countStep notes when BuildKit made the container of a step, or takes it back.
func (s *site) countStep(c *container, at int64, by int) {
	countKey(s.builders, c, by)
	s.regardBuild(at)
}

// begins are when a container was started.
func (c *container) begins() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for _, at := range c.links.starts {
			if !yield(at) {
				return
			}
		}
		for a := range c.made.all() {
			if a.helper.step && !a.untimed() && !yield(a.when()) {
				return
			}
		}
	}
}

// isStep reports that a nameless image's container was a step of a build: an
// image was named soon after it had ended.
func (s *site) isStep(c *container) bool {
	if isStepID(c.id) {
		return true
	}
	if len(c.links.ends) == 0 {
		return false
	}
	end := c.links.ends[len(c.links.ends)-1]
	for a := range s.images.acts.between(interval{end - reorder, end + buildTime}) {
		if b := a.body(); b != nil && a.event.Origin.Source == event.Docker &&
			(b.Action == event.ImageBuild || b.Action == event.ImageTag || b.Action == event.ImageCreate) {
			return true
		}
	}
	return false
}

// endedBy reports that what a builder made had ended at an instant. Nothing
// tells when BuildKit's do, but each image is made of those before it.
func (c *container) endedBy(at int64) bool {
	ends := c.links.ends
	return isStepID(c.id) || len(ends) > 0 && ends[len(ends)-1] <= at
}

// stepOf reports that a container was a step of a build of which a container is
// still known.
func (s *site) stepOf(c *container) bool {
	if s.builders[c] == 0 {
		return false
	}
	for at := range c.begins() {
		return s.inBuild(at)
	}
	return false
}

// stepEndedBefore reports that nothing happened in the container of a step for
// as long before an instant as a build takes.
func (c *container) stepEndedBefore(at int64) bool {
	for _, known := range []*timeline[*act]{&c.made, &c.acts} {
		if a, ok := known.last(always.to); ok && a.when() >= at-buildTime {
			return false
		}
	}
	return true
}
