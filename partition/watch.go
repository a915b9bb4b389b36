package partition

import (
	"tidewaiter/baseline"
	"tidewaiter/evidence"
)

// inquiry is which memory keys a subject's assessment rests on.
type inquiry struct {
	subject evidence.SubjectID
	keys    []baseline.Key
}

// watchers are the inquiries that one key is among. Most keys have one: what only
// one subject does is what is asked about.
type watchers struct {
	one  *inquiry // nil if there are others
	more map[*inquiry]bool
}

// watch notes on which memory keys a subject's assessment rests.
func (p *Partition) watch(id evidence.SubjectID, keys []baseline.Key) {
	p.unwatch(id)
	if len(keys) == 0 {
		return
	}
	q := &inquiry{id, keys}
	p.asked[id] = q
	for _, k := range keys {
		switch w, some := p.watchers[k]; {
		case !some:
			p.watchers[k] = watchers{one: q}
		case w.one == nil:
			w.more[q] = true
		case w.one != q:
			p.watchers[k] = watchers{more: map[*inquiry]bool{w.one: true, q: true}}
		}
	}
}

// unwatch forgets which memory keys a subject's assessment rests on.
func (p *Partition) unwatch(id evidence.SubjectID) {
	q := p.asked[id]
	if q == nil {
		return
	}
	delete(p.asked, id)
	for _, k := range q.keys {
		w := p.watchers[k]
		if delete(w.more, q); w.one == q || w.one == nil && len(w.more) == 0 {
			delete(p.watchers, k)
		}
	}
}

// watched reports whether an assessment rests on a memory key.
func (p *Partition) watched(k baseline.Key) bool {
	_, some := p.watchers[k]
	return some
}

// watching gives the subjects whose assessment rests on a memory key.
func (p *Partition) watching(k baseline.Key) (out []evidence.SubjectID) {
	w := p.watchers[k]
	if w.one != nil {
		return []evidence.SubjectID{w.one.subject}
	}
	for q := range w.more {
		out = append(out, q.subject)
	}
	return out
}
