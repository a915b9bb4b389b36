package finding

import (
	"cmp"
	"maps"
	"slices"

	"tidewaiter/analytic"
	"tidewaiter/evidence"
)

// Book keeps the last assessment of each subject, and with it the findings. It
// alone knows that there was something before: it appends what changed as
// revisions. Not safe for concurrent use.
type Book struct {
	// entries holds, by subject, its assessments by the id of their finding.
	entries map[evidence.SubjectID]map[string]*analytic.Assessment
	// members holds, by finding, the subjects that are in it.
	members   map[string]map[evidence.SubjectID]bool
	current   map[string]Finding
	ended     map[string]Finding
	revisions []Revision
	// order is in which they ended, the earliest first; one that was found again
	// stands in it still.
	order []string
	// Unkept is how many that had ended a bound pushed out, the oldest first.
	Unkept int
}

// maxEnded bounds what is kept of findings that ended.
const maxEnded = 10_000

// Change says what a revision did.
type Change string

// The changes.
const (
	Opened    Change = "opened"
	Raised    Change = "raised" // severity rose
	Lowered   Change = "lowered"
	Updated   Change = "updated" // same severity, other evidence
	Ended     Change = "withdrawn"
	Succeeded Change = "superseded"
)

// Revision is one change of one finding.
type Revision struct {
	Finding  string
	Change   Change
	Severity analytic.Severity
	// By is the id of the finding that supersedes this one, or "".
	By string
}

// NewBook makes an empty book.
func NewBook() *Book {
	return &Book{
		entries: map[evidence.SubjectID]map[string]*analytic.Assessment{},
		members: map[string]map[evidence.SubjectID]bool{},
		current: map[string]Finding{},
		ended:   map[string]Finding{},
	}
}

// Put sets what is said about a subject, in place of what was said before.
// Assessments whose last leg lies in history are not findings.
func (b *Book) Put(subject evidence.SubjectID, found []analytic.Assessment) {
	now := map[string]*analytic.Assessment{}
	byFamily := map[string]string{}
	for i := range found {
		a := &found[i]
		if a.History {
			continue
		}
		id := newID(a.Family, a)
		now[id] = a
		byFamily[a.Family] = id
	}
	before := b.entries[subject]
	var gone []string
	for id := range before {
		if now[id] == nil {
			gone = append(gone, id)
		}
	}
	b.entries[subject] = now
	if len(now) == 0 {
		delete(b.entries, subject)
	}
	for _, id := range slices.Sorted(maps.Keys(now)) {
		if b.members[id] == nil {
			b.members[id] = map[evidence.SubjectID]bool{}
		}
		b.members[id][subject] = true
		b.refresh(id, "")
	}
	slices.Sort(gone)
	for _, id := range gone {
		delete(b.members[id], subject)
		b.refresh(id, byFamily[before[id].Family])
	}
}

// Forget drops what is said about a subject, without a word: nothing was found to
// be otherwise, only there is no room to keep it.
func (b *Book) Forget(subject evidence.SubjectID) {
	for id := range b.entries[subject] {
		delete(b.members[id], subject)
		if len(b.members[id]) > 0 {
			b.refresh(id, "")
			continue
		}
		delete(b.members, id)
		delete(b.current, id)
	}
	delete(b.entries, subject)
}

// refresh composes a finding anew and writes down what changed. by is the
// finding that its subject moved to, if it did.
func (b *Book) refresh(id, by string) {
	was, had := b.current[id]
	if len(b.members[id]) == 0 {
		delete(b.members, id)
		delete(b.current, id)
		change := Ended
		was.State, was.SupersededBy = Withdrawn, by
		if by != "" {
			change, was.State = Succeeded, Superseded
		}
		b.end(was)
		b.revisions = append(b.revisions, Revision{id, change, was.Severity, by})
		return
	}
	var as []*analytic.Assessment
	for s := range b.members[id] {
		as = append(as, b.entries[s][id])
	}
	now := compose(id, as)
	b.current[id] = now
	delete(b.ended, id)
	switch {
	case !had:
		b.revisions = append(b.revisions, Revision{id, Opened, now.Severity, ""})
	case now.Severity > was.Severity:
		b.revisions = append(b.revisions, Revision{id, Raised, now.Severity, ""})
	case now.Severity < was.Severity:
		b.revisions = append(b.revisions, Revision{id, Lowered, now.Severity, ""})
	case !sameEvidence(was, now):
		b.revisions = append(b.revisions, Revision{id, Updated, now.Severity, ""})
	}
}

// end keeps a finding that ended.
func (b *Book) end(f Finding) {
	b.ended[f.ID] = f
	b.order = append(b.order, f.ID)
	if len(b.order) < 2*maxEnded {
		return
	}
	last := map[string]int{}
	for i, id := range b.order {
		last[id] = i
	}
	kept := b.order[:0]
	for i, id := range b.order {
		if _, ended := b.ended[id]; ended && last[id] == i {
			kept = append(kept, id)
		}
	}
	if over := len(kept) - maxEnded; over > 0 {
		for _, id := range kept[:over] {
			delete(b.ended, id)
		}
		kept = slices.Delete(kept, 0, over)
		b.Unkept += over
	}
	b.order = kept
}

func sameEvidence(a, b Finding) bool {
	return a.Score == b.Score && slices.EqualFunc(a.Evidence, b.Evidence, func(x, y Evidence) bool {
		return x.Event.ID == y.Event.ID && x.Leg == y.Leg && slices.Equal(x.Signals, y.Signals)
	})
}

// Findings lists the findings, worst first: severity, then score times
// confidence, then first evidence, then id. Those that can still change once
// late records come are provisional: watermark is the time up to which none
// is to come any more.
func (b *Book) Findings(watermark int64) []Finding {
	out := make([]Finding, 0, len(b.current))
	for _, f := range b.current {
		out = append(out, f.asOf(watermark))
	}
	slices.SortFunc(out, Rank)
	return out
}

// asOf says whether late records can still change a finding.
func (f Finding) asOf(watermark int64) Finding {
	f.State = Confirmed
	if f.FinalAt > watermark {
		f.State = Provisional
	}
	return f
}

// Finding gives one finding, also one that has ended.
func (b *Book) Finding(id string, watermark int64) (Finding, bool) {
	if f, ok := b.current[id]; ok {
		return f.asOf(watermark), true
	}
	f, ok := b.ended[id]
	return f, ok
}

// Rank orders findings for people, worst first.
func Rank(a, b Finding) int {
	return cmp.Or(
		cmp.Compare(b.Severity, a.Severity),
		cmp.Compare(b.Score*b.Confidence, a.Score*a.Confidence),
		cmp.Compare(a.First, b.First),
		cmp.Compare(a.ID, b.ID))
}

// Ended lists the findings that were withdrawn or superseded, by id.
func (b *Book) Ended() []Finding {
	out := make([]Finding, 0, len(b.ended))
	for _, f := range b.ended {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b Finding) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Revisions gives what changed since the last call.
func (b *Book) Revisions() []Revision {
	out := b.revisions
	b.revisions = nil
	return out
}
