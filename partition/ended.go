package partition

import (
	"encoding/binary"
	"time"

	"tidewaiter/baseline"
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

func (p *Partition) isGone(id evidence.SubjectID) bool {
	if len(p.gone) == 0 {
		return false
	}
	_, gone := p.gone[goneKey(id)]
	return gone
}

// Tidy lets go of subjects that ended so long before the watermark that nothing
// can come for them any more, if more events are held than Options.Hold says.
// It costs less than Sync: findings follow there.
func (p *Partition) Tidy() {
	if p.opt.Hold == 0 || len(p.events) <= p.opt.Hold {
		return
	}
	fresh := map[evidence.SubjectID]*evidence.Subject{}
	for _, id := range p.resolver.Dirty() {
		if s, ok := p.changed(id); ok {
			p.unassessed[id] = true
			fresh[id] = s
		}
	}
	p.remember(fresh)
	p.resolver.LetWaitGo(p.watermark - ofNobody)
	for _, id := range p.resolver.Released() {
		delete(p.events, id)
	}
	ended := map[evidence.SubjectID]*evidence.Subject{}
	for _, id := range p.resolver.EndedBefore(p.watermark - afterEnd) {
		if p.found[id] && !p.unassessed[id] {
			continue
		}
		if ended[id] = fresh[id]; ended[id] == nil {
			ended[id], _ = p.resolver.Subject(id)
		}
		delete(p.unassessed, id)
	}
	p.rest(fresh)
	for id, found := range p.assess(ended) {
		if len(found) > 0 {
			continue
		}
		placed, containers := p.resolver.Extent(id)
		p.counts.Placed += placed
		p.counts.Containers += containers
		p.letGo(id)
		p.gone[goneKey(id)] = struct{}{}
		p.counts.Ended++
	}
}

// rest lets go of what machines did whose times after a boot are over, unless
// there is a finding about it. What they are is kept: they may boot again.
func (p *Partition) rest(fresh map[evidence.SubjectID]*evidence.Subject) {
	resting := map[evidence.SubjectID]*evidence.Subject{}
	for _, id := range p.resolver.RestingBefore(p.watermark - afterEnd) {
		if p.found[id] && !p.unassessed[id] {
			continue
		}
		if resting[id] = fresh[id]; resting[id] == nil {
			resting[id], _ = p.resolver.Subject(id)
		}
		delete(p.unassessed, id)
	}
	for id, found := range p.assess(resting) {
		if len(found) > 0 {
			continue
		}
		placed, _ := p.resolver.Extent(id)
		p.counts.Placed += placed
		p.memory.Settle(id.String())
		for _, e := range p.resolver.Rest(id) {
			delete(p.events, e)
		}
	}
}

// changed gives a subject whose evidence changed, nil if nothing is known of it
// any more. ok is false if its evidence was let go: what comes now is late.
func (p *Partition) changed(id evidence.SubjectID) (s *evidence.Subject, ok bool) {
	_, settled := p.settled[id]
	gone := p.isGone(id)
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
