package entity

import (
	"math"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// span is the stretch of time over which records are known that tell facts of
// a kind.
type span struct {
	first, last int64
	// wantFirst and wantLast are what the span has to reach for the next
	// subject to become observable, of those that were asked for and are not.
	wantFirst, wantLast int64
}

// channel is a way to tell facts of a kind about a container.
type channel struct {
	kind evidence.Kind
	by   key
}

// key is what ties a record to a container.
type key uint8

const (
	byID      key = iota // the container's own id
	byProcess            // a process id, or what runs of a program tell
	byAddress            // the container's address
	byAPI                // nothing: the cluster's API tells of pods
)

// podsTold is that the API of a cluster tells which pods are made.
var podsTold = channel{evidence.Creation, byAPI}

// observe notes which kinds of facts the sources of a site can tell, from what
// they do tell.
func (s *site) observe(e *event.Event) {
	if e.Time.IsZero() || e.Origin.Source.Selective() {
		return
	}
	for _, ch := range tells(e.Body) {
		c := s.coverage[ch]
		if c == nil {
			c = &span{e.Time.At, e.Time.At, math.MinInt64, math.MaxInt64}
			s.coverage[ch] = c
			s.widen()
		}
		c.first, c.last = min(c.first, e.Time.At), max(c.last, e.Time.At)
		if c.first <= c.wantFirst || c.last >= c.wantLast {
			c.wantFirst, c.wantLast = math.MinInt64, math.MaxInt64
			s.widen()
		}
	}
}

// widen notes that more became observable here. What a host's sources tell is
// told of its cluster's pods, and the other way round.
func (s *site) widen() {
	s.r.widened[s.place] = true
	s.r.widened[s.cluster.place] = true
	s.r.widened[event.Place{Tenant: s.place.Tenant}] = true // machines are known in all of it
	for c, at := range s.awaiting {
		if s.tellsPods(at) {
			c.site.markAlone(c)
		}
	}
	if s.cluster == s {
		for m := range s.members {
			s.r.widened[m.place] = true
		}
	}
}

// Widened gives the places at which more became observable, since the last
// call, of subjects that were asked for: what was blind there can be absent
// now.
func (r *Resolver) Widened() map[event.Place]bool {
	out := r.widened
	r.widened = map[event.Place]bool{}
	return out
}

// tells is what an event of this body proves to be observable.
func tells(b event.Body) []channel {
	process := func(k evidence.Kind, container string, of *event.PodRef) []channel {
		if container != "" || of.HasPod() {
			return []channel{{k, byID}}
		}
		return []channel{{k, byProcess}}
	}
	network := func(k evidence.Kind, of *event.PodRef) []channel {
		if of.HasPod() {
			return []channel{{k, byID}}
		}
		return []channel{{k, byAddress}}
	}
	switch b := b.(type) {
	case *event.Image, *event.ImageResolved:
		return []channel{{evidence.Arrival, byID}}
	case *event.Container:
		return []channel{{evidence.Creation, byID}, {evidence.Start, byID}}
	case *event.Task:
		return []channel{{evidence.Start, byID}}
	case *event.Process:
		return process(evidence.Command, b.Container, b.Of)
	case *event.FileWrite:
		return process(evidence.Write, b.Container, b.Of)
	case *event.Socket:
		return process(evidence.Connection, b.Container, b.Of)
	case *event.Flow:
		if !b.SrcPod.HasPod() {
			return []channel{{evidence.Connection, byAddress}, {evidence.Fetch, byID}}
		}
		return []channel{{evidence.Connection, byID}}
	case *event.APIRequest, *event.BuildStep:
		return []channel{{evidence.Build, byID}}
	case *event.DNS:
		return network(evidence.Lookup, b.Of)
	case *event.HTTP:
		return network(evidence.Request, b.Of)
	case *event.TLS:
		return network(evidence.Request, b.Of)
	case *event.Instance:
		if b.Action == event.InstanceGroup || b.Action == event.InstanceTemplate {
			return []channel{{evidence.Creation, byID}}
		}
		return []channel{{evidence.Launch, byID}, {evidence.Change, byID}}
	case *event.GuestScript:
		return []channel{{evidence.Script, byID}, {evidence.Boot, byID}}
	case *event.Pod:
		return []channel{{evidence.Creation, byID}, podsTold}
	case *event.Workload:
		return []channel{{evidence.Creation, byID}}
	case *event.PodAccess:
		return []channel{{evidence.Access, byID}}
	case *event.KubeEvent:
		return []channel{{evidence.Arrival, byID}, {evidence.Creation, byID}, {evidence.Start, byID}}
	}
	return nil
}

// sight tells which kinds of facts could have been told of the subject during
// its life. Flows prove nothing about a container whose address is not known.
func (b *subjectBuilder) sight(life interval) map[evidence.Kind]evidence.Sight {
	known := b.keys()
	out := map[evidence.Kind]evidence.Sight{}
	for site := range b.sites() {
		for ch, s := range site.coverage {
			sight := evidence.Untied
			if known[ch.by] {
				sight = evidence.Observable
			}
			if s.covers(life.widened(event.Skew)) {
				out[ch.kind] = max(out[ch.kind], sight)
			}
		}
	}
	return out
}

// podsAround reports whether the API of a container's cluster told of pods
// before and after an instant. If not, the container is looked at again once it
// has.
func (c *container) podsAround(at event.Time) bool {
	cluster := c.site.cluster
	if cluster == c.site || at.IsZero() {
		return false
	}
	if cluster.tellsPods(at) {
		delete(cluster.awaiting, c)
		return true
	}
	if cluster.awaiting == nil {
		cluster.awaiting = map[*container]event.Time{}
	}
	cluster.awaiting[c] = at
	return false
}

// tellsPods reports whether the API of a cluster told of pods before and after an
// instant.
func (s *site) tellsPods(at event.Time) bool {
	told := s.coverage[podsTold]
	return told != nil && told.covers(interval{at.At, at.End()}.widened(-event.Skew))
}

// covers reports whether the site's own sources told facts of a kind around a
// time: then what they did not tell did not happen.
func (s *site) covers(kind evidence.Kind, at event.Time) bool {
	c := s.coverage[channel{kind, byID}]
	return c != nil && c.covers(interval{at.At, at.End()}.widened(-event.Skew))
}

// sites are the sites whose sources can tell of the subject.
func (b *subjectBuilder) sites() map[*site]bool {
	out := map[*site]bool{b.site: true, b.site.cluster: true}
	for _, c := range b.records() {
		out[c.site] = true
	}
	return out
}

// records are the records of the subject: its own and its containers'.
func (b *subjectBuilder) records() []*container {
	out := []*container{b.c}
	for _, p := range b.parts {
		out = append(out, p.members...)
	}
	return out
}

// keys are the ways in which records can be tied to the subject.
func (b *subjectBuilder) keys() map[key]bool {
	known := map[key]bool{byID: true}
	for _, c := range b.records() {
		known[byProcess] = known[byProcess] || len(c.links.pids)+len(c.links.execPIDs) > 0
		known[byAddress] = known[byAddress] || len(c.links.addrs) > 0
		for a := range c.acts.all() {
			if known[byProcess] {
				break
			}
			known[byProcess] = a.ofProcess()
		}
	}
	return known
}

// covers reports whether records were told around a life: between the first
// and the last, as far as clocks differ.
func (c *span) covers(life interval) bool {
	early, late := life.to < c.first, life.from > c.last
	if early {
		c.wantFirst = max(c.wantFirst, life.to)
	}
	if late {
		c.wantLast = min(c.wantLast, life.from)
	}
	return !early && !late
}
