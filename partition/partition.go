// Package partition is one partition of the stream: the rooms that an event
// walks through once it has been read, in order. Entity says whom it is about,
// evidence keeps the facts, memory is fed, the analytics assess, the book
// keeps the findings.
//
// In: events, in any order and as often as they like to come, and what other
// partitions know. Out: findings, which are a function of the set of events.
package partition

import (
	"cmp"

	"tidewaiter/analytic"
	"tidewaiter/baseline"
	"tidewaiter/entity"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/finding"
	"tidewaiter/policy"
)

// Options are what a partition works with.
type Options struct {
	// Name tells partitions apart; it must not change between runs.
	Name    string
	Library *analytic.Library
	Policy  *policy.Policy
	Limits  entity.Limits
	// Hold is the number of events above which Tidy lets go of the evidence of
	// subjects that ended long before the watermark; 0 keeps it for ever.
	Hold int
	// Settled bounds the subjects of which, after a bound pushed their evidence
	// out, what is said of them is kept; 0 for 20,000.
	Settled int
	// Alone says that there are no other partitions: nothing is kept to be
	// published to them.
	Alone bool
}

// Partition holds the state of one partition. Not safe for concurrent use.
type Partition struct {
	opt       Options
	resolver  *entity.Resolver
	memory    *baseline.Memory
	book      *finding.Book
	events    map[event.ID]*event.Event
	watermark int64
	counts    Counts

	// watchers finds the subjects whose assessment rests on a memory key.
	watchers map[baseline.Key]watchers
	asked    map[evidence.SubjectID]*inquiry
	// found are the subjects about which there is something to tell.
	found map[evidence.SubjectID]bool
	// settled is what is said of subjects whose evidence was let go.
	settled map[evidence.SubjectID][]analytic.Assessment
	gone    gone
	// unassessed are the subjects that changed since they were assessed.
	unassessed map[evidence.SubjectID]bool
	news       news
}

// Counts are the partition's account.
type Counts struct {
	entity.Counts
	// Events is the number of different events applied; Duplicates how many
	// deliveries were of an event already known; Unused how many events no
	// room had a use for.
	Events, Duplicates, Unused int
	// Settled is the number of containers whose evidence a bound pushed out;
	// their findings stand. SettledNames are the first of them.
	Settled      int
	SettledNames []string
	// Ended is the number of subjects whose evidence was let go because they
	// had ended long before.
	Ended int
	// Forgotten is of how many of them that is not known any more, because of a
	// bound: what comes for one of those makes a new subject.
	Forgotten int
	// Uncounted is how many sightings a bound kept out of what is counted: more
	// may have been made than signals that ask how many were told.
	Uncounted int
	// Unkept is of how many of those settled a bound dropped what is said of them,
	// too: the mildest.
	Unkept int
	// Withdrawn is how many findings that had ended a bound dropped.
	Withdrawn int
	// Late is how often something came for a subject whose evidence was let go.
	Late int
}

// New makes an empty partition.
func New(opt Options) *Partition {
	opt.Settled = cmp.Or(opt.Settled, 20_000)
	return &Partition{
		opt:        opt,
		resolver:   entity.New(opt.Limits),
		memory:     baseline.New(),
		book:       finding.NewBook(),
		events:     map[event.ID]*event.Event{},
		watchers:   map[baseline.Key]watchers{},
		asked:      map[evidence.SubjectID]*inquiry{},
		found:      map[evidence.SubjectID]bool{},
		settled:    map[evidence.SubjectID][]analytic.Assessment{},
		unassessed: map[evidence.SubjectID]bool{},
		news:       newNews(),
	}
}

// Apply takes in one event. Findings follow at the next Sync.
func (p *Partition) Apply(e event.Event) {
	if known := p.events[e.ID]; known != nil {
		p.counts.Duplicates++
		p.merge(known, &e)
		return
	}
	p.counts.Events++
	kept := &e
	if !p.resolver.Apply(kept) {
		p.counts.Unused++
		return
	}
	p.events[e.ID] = kept
	for _, id := range p.resolver.Released() {
		delete(p.events, id)
	}
}

// merge unites two deliveries of one event: the first citation in order is
// kept, and it is history only if every delivery is.
func (p *Partition) merge(known, again *event.Event) {
	before := *known
	if again.Origin.Compare(known.Origin) < 0 {
		known.Origin = again.Origin
	}
	known.History = known.History && again.History
	if known.History != before.History || known.Origin.Compare(before.Origin) != 0 {
		p.resolver.Touch(known)
	}
}

// Advance moves the watermark: no record from before it is to come any more.
// It never goes back.
func (p *Partition) Advance(watermark int64) { p.watermark = max(p.watermark, watermark) }

// Held is the number of events that the partition keeps.
func (p *Partition) Held() int { return len(p.events) }

// Sync brings memory and findings up to date with the events applied.
func (p *Partition) Sync() {
	p.settleExcess()
	held := 0
	ids, known := p.changes(func(evidence.SubjectID) bool { held++; return held <= 4*atOnce })
	anew := make(map[evidence.SubjectID]bool, len(ids))
	for _, id := range ids {
		anew[id] = true
	}
	for id := range p.unassessed {
		anew[id] = true
	}
	clear(p.unassessed)
	for k := range p.news.keys {
		for _, id := range p.watching(k) {
			anew[id] = true
		}
	}
	p.news.keysSeen()
	if widened := p.resolver.Widened(); len(widened) > 0 {
		for id := range p.found {
			if widened[id.Place] {
				anew[id] = true
			}
		}
	}
	p.assessAll(inOrder(anew), known)
	p.keepNoNews()
}

// keepNoNews forgets what would be told to others where there are none.
func (p *Partition) keepNoNews() {
	if p.opt.Alone {
		p.resolver.EdgeNews()
		p.resolver.PushNews()
	}
}

func (p *Partition) context() analytic.Context {
	return analytic.Context{Policy: p.opt.Policy, Memory: p.memory}
}

// take writes what was found about a subject into the book, and notes on which
// memory keys that rests.
func (p *Partition) take(id evidence.SubjectID, found []analytic.Assessment, asked []baseline.Key) {
	p.watch(id, asked)
	if delete(p.found, id); len(found) > 0 {
		p.found[id] = true
	}
	p.book.Put(id, found)
}

// maxNames bounds the names that an account lists of what a bound pushed out.
const maxNames = 10

// settleExcess lets go of the containers that a bound pushes out, the longest
// quiet first: what they did stays in memory and in the book.
func (p *Partition) settleExcess() {
	excess := p.resolver.Excess()
	for _, id := range excess {
		if s, ok := p.resolver.Subject(id); ok {
			one := subjects{id: s}
			p.remember(one)
			if found := p.assess(one)[id]; len(found) > 0 {
				p.settled[id] = found
			}
		}
		if p.counts.Settled++; p.counts.Settled <= maxNames {
			p.counts.SettledNames = append(p.counts.SettledNames, id.String())
		}
	}
	p.letGo(excess)
	p.fileSettled()
}

// letGo lets go of subjects' evidence. What they did stays in memory, and what is
// said of them in the book.
func (p *Partition) letGo(ids []evidence.SubjectID) {
	if len(ids) == 0 {
		return
	}
	for _, id := range ids {
		p.unwatch(id)
		p.memory.Settle(id.String())
		delete(p.found, id)
	}
	for _, e := range p.resolver.Forget(ids...) {
		delete(p.events, e)
	}
}

// Findings gives the findings as of the last Sync, worst first.
func (p *Partition) Findings() []finding.Finding { return p.book.Findings(p.watermark) }

// Finding gives one finding as of the last Sync, also one that has ended.
func (p *Partition) Finding(id string) (finding.Finding, bool) {
	return p.book.Finding(id, p.watermark)
}

// Ended gives the findings that were withdrawn or superseded.
func (p *Partition) Ended() []finding.Finding { return p.book.Ended() }

// Revisions gives what changed in the book since the last call.
func (p *Partition) Revisions() []finding.Revision { return p.book.Revisions() }

// Counts gives the partition's account.
func (p *Partition) Counts() Counts {
	c := p.counts
	c.Counts = p.resolver.Counts()
	c.Placed += p.counts.Placed // of those let go
	c.Containers += p.counts.Containers
	c.Machines += p.counts.Machines
	c.Uncounted = p.memory.Dropped
	c.Forgotten = p.gone.forgotten
	c.Withdrawn = p.book.Unkept
	return c
}

// Locality is the part of a place that events must share a partition by: a
// cluster's nodes and their pods, else a cloud account's machines, else one
// host. Only digests and memory reach across.
func Locality(p event.Place) string {
	return event.Place{
		Tenant: p.Tenant, Account: p.Account, Cluster: p.Cluster,
		Host: map[bool]string{true: p.Host}[p.Cluster == "" && p.Account == ""],
	}.String()
}

// Route gives the index of the partition, of n, that a place belongs to.
func Route(p event.Place, n int) int {
	k := baseline.NewKey("route", Locality(p))
	return int(k[0]) % cmp.Or(max(n, 1), 1)
}
