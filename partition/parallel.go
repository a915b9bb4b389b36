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
func inOrder(subjects map[evidence.SubjectID]*evidence.Subject) []evidence.SubjectID {
	return slices.SortedFunc(maps.Keys(subjects), evidence.SubjectID.Compare)
}

// remember replaces what subjects contribute to memory. A nil subject takes
// everything back.
func (p *Partition) remember(subjects map[evidence.SubjectID]*evidence.Subject) {
	ids := inOrder(subjects)
	seen := make([]baseline.Sightings, len(ids))
	inParallel(len(ids), func(i int) {
		if s := subjects[ids[i]]; s != nil {
			seen[i] = p.opt.Library.Sightings(p.context(), s)
		}
	})
	for i, id := range ids {
		p.learn(p.memory.Replace(id.String(), seen[i]))
	}
}

// assess judges subjects anew, writes it into the book, and gives what was
// found about each.
func (p *Partition) assess(subjects map[evidence.SubjectID]*evidence.Subject) map[evidence.SubjectID][]analytic.Assessment {
	ids := inOrder(subjects)
	type judgement struct {
		found []analytic.Assessment
		asked []baseline.Key
	}
	said := make([]judgement, len(ids))
	inParallel(len(ids), func(i int) {
		if s := subjects[ids[i]]; s != nil {
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
