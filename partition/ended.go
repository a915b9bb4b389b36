package partition

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/baseline"
	"tidewaiter/event"
	"tidewaiter/evidence"
)

// A recording of a day holds a million containers, and most of them end after
// minutes. Once a subject has ended, and every record that can still change it
// has had its time to come, its evidence is let go, unless there is a finding
// about it. What it did stays in memory.

// How long is kept, beside the lateness that the watermark knows of, what can
// still be told otherwise: a subject after its end, because clocks differ; and
// behaviour of nobody, because a client that has a container made can wait for
// its image for ten minutes.
const (
	afterEnd = int64(5 * time.Minute)
	ofNobody = int64(15 * time.Minute)
)

// goneKey is a hash by which subjects are known that were let go.
func goneKey(id evidence.SubjectID) uint64 {
	k := baseline.NewKey("gone", id.Kind, id.Place.String(), id.ID)
	return binary.BigEndian.Uint64(k[:])
}

// Those let go of are known to be so in generations, of which the oldest is
// forgotten. A hundred busy hosts fill seven of them in two days.
const (
	generation  = 1 << 16
	generations = 7
)

// gone are the subjects let go of because they had ended, by a hash. What comes
// for one that is forgotten is told as of a new subject.
type gone struct {
	young     map[uint64]struct{}
	old       [][]uint64 // each in order
	forgotten int
}

func (g *gone) add(k uint64) {
	if g.young == nil {
		g.young = map[uint64]struct{}{}
	}
	if g.young[k] = struct{}{}; len(g.young) == generation {
		g.old = append(g.old, slices.Sorted(maps.Keys(g.young)))
		clear(g.young)
	}
	if len(g.old) > generations {
		g.forgotten += len(g.old[0])
		g.old = slices.Delete(g.old, 0, 1)
	}
}

func (g *gone) has(id evidence.SubjectID) bool {
	if len(g.young)+len(g.old) == 0 {
		return false
	}
	k := goneKey(id)
	_, young := g.young[k]
	return young || slices.ContainsFunc(g.old, func(some []uint64) bool {
		_, old := slices.BinarySearch(some, k)
		return old
	})
}

// list gives all that are known, in order. Whoever takes them in again knows them
// as one generation.
func (g *gone) list() []uint64 {
	all := append(slices.Concat(g.old...), slices.Collect(maps.Keys(g.young))...)
	slices.Sort(all)
	return slices.Compact(all)
}

// Tidy lets go of subjects that ended so long before the watermark that nothing
// can come for them any more, if more events are held than Options.Hold says.
// It costs less than Sync: findings follow there.
func (p *Partition) Tidy() {
	if p.opt.Hold == 0 || len(p.events) <= p.opt.Hold {
		return
	}
	before := p.watermark - afterEnd
	ending := map[evidence.SubjectID]bool{}
	for _, id := range p.resolver.EndedBefore(before) {
		ending[id] = true
	}
	changed, fresh := p.changes(func(id evidence.SubjectID) bool { return ending[id] })
	for _, id := range changed {
		p.unassessed[id] = true
	}
	p.resolver.LetWaitGo(p.watermark - ofNobody)
	for _, id := range p.resolver.Released() {
		delete(p.events, id)
	}
	ended := slices.DeleteFunc(p.resolver.EndedBefore(before), func(id evidence.SubjectID) bool { return p.found[id] && !p.unassessed[id] })
	for _, id := range ended {
		delete(p.unassessed, id)
	}
	p.rest(fresh)
	p.age(fresh)
	innocent := p.assessAll(ended, fresh)
	for _, id := range innocent {
		placed, containers, machines := p.resolver.Extent(id)
		p.counts.Placed += placed
		p.counts.Containers += containers
		p.counts.Machines += machines
		p.gone.add(goneKey(id))
		p.counts.Ended++
	}
	p.letGo(innocent)
	p.keepNoNews()
}

// rest lets go of what machines did whose times after a boot are over, unless
// there is a finding about it. What they are is kept: they may boot again.
func (p *Partition) rest(fresh subjects) {
	resting := slices.DeleteFunc(p.resolver.RestingBefore(p.watermark-afterEnd), func(id evidence.SubjectID) bool { return p.found[id] && !p.unassessed[id] })
	for _, id := range resting {
		delete(p.unassessed, id)
	}
	for _, id := range p.assessAll(resting, fresh) {
		placed, _, _ := p.resolver.Extent(id)
		p.counts.Placed += placed
		p.unwatch(id)
		p.memory.Settle(id.String())
		for _, e := range p.resolver.Rest(id) {
			delete(p.events, e)
		}
	}
}

// Long-lived containers are let off with what they did longAgo and later than any
// chain looks, once that is so much.
const (
	longAgo = int64(2 * time.Hour)
	muchAge = 256
)

// age lets go of what containers did long ago that run on, unless what is found
// about them is more than a note. Then what is cited stays.
func (p *Partition) age(fresh subjects) {
	before := p.watermark - max(longAgo, int64(p.opt.Library.Reach(p.opt.Policy))) - afterEnd
	for some := range slices.Chunk(p.resolver.Aged(before, muchAge), atOnce) {
		for _, id := range some {
			delete(p.unassessed, id)
		}
		found := p.assess(p.asTheyAre(some, fresh))
		for _, id := range some {
			cited := map[event.ID]bool{}
			note := true
			for _, a := range found[id] {
				note = note && a.Severity < analytic.Low
				for _, e := range a.Evidence {
					cited[e.Fact.Event.ID] = true
				}
			}
			if !note {
				continue
			}
			p.memory.Fix(id.String())
			gone, placed := p.resolver.LetAge(id, before, cited)
			for _, e := range gone {
				delete(p.events, e)
			}
			p.counts.Placed += placed
		}
	}
}

// changed gives a subject whose evidence changed, nil if nothing is known of it
// any more. ok is false if its evidence was let go: what comes now is late.
func (p *Partition) changed(id evidence.SubjectID) (s *evidence.Subject, ok bool) {
	_, settled := p.settled[id]
	gone := p.gone.has(id)
	if !settled && !gone {
		s, _ = p.resolver.Subject(id)
		return s, true
	}
	p.counts.Late++
	if gone {
		for _, e := range p.resolver.Forget(id) {
			delete(p.events, e)
		}
	}
	return nil, false
}
