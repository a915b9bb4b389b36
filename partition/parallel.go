package partition

import (
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"tidewaiter/analytic"
	"tidewaiter/baseline"
	"tidewaiter/evidence"
)

// What subjects add to memory, and what the analytics say of them, are pure
// functions: they are worked out on all cores, and their results are taken in
// one after another, in the subjects' order.

// inParallel calls do for 0 to n-1, on all cores.
func inParallel(n int, do func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), (n+7)/8)
	if workers <= 1 {
		for i := range n {
			do(i)
		}
		return
	}
	var next atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	group.Wait()
}

// inOrder lists subjects in their order.
func inOrder[T any](those map[evidence.SubjectID]T) []evidence.SubjectID {
	return slices.SortedFunc(maps.Keys(those), evidence.SubjectID.Compare)
}

// subjects are some, by their ids; nil stands for one of which nothing is known
// any more.
type subjects map[evidence.SubjectID]*evidence.Subject

// atOnce is how many subjects are held to be worked on. After a busy stretch
// thousands have changed, and what is known of each is copied to be judged.
const atOnce = 256

// changes takes in what those contribute to memory that changed since it was
// last asked for. It gives who they are, in order, and those of them that are to
// be kept as they are.
func (p *Partition) changes(keep func(evidence.SubjectID) bool) (ids []evidence.SubjectID, kept subjects) {
	kept = subjects{}
	for some := range slices.Chunk(p.resolver.Dirty(), atOnce) {
		changed := subjects{}
		for _, id := range some {
			s, ok := p.changed(id)
			if !ok {
				continue
			}
			ids = append(ids, id)
			if changed[id] = s; keep(id) {
				kept[id] = s
			}
		}
		p.remember(changed)
	}
	return ids, kept
}

// remember replaces what subjects contribute to memory. A nil subject takes
// everything back.
func (p *Partition) remember(those subjects) {
	ids := inOrder(those)
	seen := make([]baseline.Sightings, len(ids))
	inParallel(len(ids), func(i int) {
		if s := those[ids[i]]; s != nil {
			seen[i] = p.opt.Library.Sightings(p.context(), s)
		}
	})
	for i, id := range ids {
		p.learn(p.memory.Replace(id.String(), seen[i]))
	}
}

// assessAll assesses subjects anew, of which some are known as they are now. It
// gives those about which nothing was found, in order.
func (p *Partition) assessAll(ids []evidence.SubjectID, known subjects) (innocent []evidence.SubjectID) {
	for some := range slices.Chunk(ids, atOnce) {
		found := p.assess(p.asTheyAre(some, known))
		for _, id := range some {
			if len(found[id]) == 0 {
				innocent = append(innocent, id)
			}
		}
	}
	return innocent
}

// asTheyAre gives subjects, of which some are known as they are now.
func (p *Partition) asTheyAre(ids []evidence.SubjectID, known subjects) subjects {
	those := subjects{}
	for _, id := range ids {
		if s, have := known[id]; have {
			those[id] = s
		} else {
			those[id], _ = p.resolver.Subject(id)
		}
	}
	return those
}

// assess judges subjects anew, writes it into the book, and gives what was
// found about each.
func (p *Partition) assess(those subjects) map[evidence.SubjectID][]analytic.Assessment {
	ids := inOrder(those)
	type judgement struct {
		found []analytic.Assessment
		asked []baseline.Key
	}
	said := make([]judgement, len(ids))
	inParallel(len(ids), func(i int) {
		if s := those[ids[i]]; s != nil {
			said[i].found, said[i].asked = p.opt.Library.Assess(p.context(), s)
		}
	})
	out := make(map[evidence.SubjectID][]analytic.Assessment, len(ids))
	for i, id := range ids {
		p.take(id, said[i].found, said[i].asked)
		out[id] = said[i].found
	}
	return out
}
