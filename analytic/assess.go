package analytic

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"tidewaiter/baseline"
	"tidewaiter/evidence"
	"tidewaiter/policy"
)

// Memory answers when something was first seen, and how often.
type Memory interface {
	First(baseline.Key) (at int64, ok bool)
	// Count is how many saw a counted key from one time to another, both
	// included.
	Count(k baseline.Key, from, to int64) int
}

// Context is what an assessment depends on beside the subject.
type Context struct {
	Policy *policy.Policy
	Memory Memory
}

// Assess gives what each family says about a subject, worst first; nothing if
// nothing is notable. asked are the memory keys whose answers it rests on.
//
// A pod has several containers, of several images. It is looked at with each
// of them as the one that the story is about, and the worst is told: a clean
// container must not speak for an untrusted one beside it.
func (l *Library) Assess(ctx Context, s *evidence.Subject) (found []Assessment, asked []baseline.Key) {
	for about := range max(len(s.Containers), 1) {
		ev := l.evaluation(ctx, s, about)
		for at := 0; at < len(l.detections); {
			end := at
			for end < len(l.detections) && l.detections[end].Family == l.detections[at].Family {
				end++
			}
			if a, ok := ev.family(l.detections[at:end]); ok {
				found = keepWorse(found, a)
			}
			at = end
		}
		asked = append(asked, ev.asked...)
	}
	slices.SortStableFunc(found, func(a, b Assessment) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Family, b.Family))
	})
	return found, asked
}

// keepWorse adds an assessment, or puts it in the place of a milder one of its
// family. Of two alike the first container's stays.
func keepWorse(found []Assessment, a Assessment) []Assessment {
	i := slices.IndexFunc(found, func(o Assessment) bool { return o.Family == a.Family })
	switch {
	case i < 0:
		return append(found, a)
	case cmp.Or(cmp.Compare(a.Severity, found[i].Severity), cmp.Compare(a.Score, found[i].Score)) > 0:
		found[i] = a
	}
	return found
}

// Sightings is what a subject adds to memory.
func (l *Library) Sightings(ctx Context, s *evidence.Subject) baseline.Sightings {
	out := baseline.Sightings{}
	for about := range max(len(s.Containers), 1) {
		ev := l.evaluation(ctx, s, about)
		for _, m := range l.memories {
			ev.see(m, out)
		}
	}
	return out
}

// see adds what the story about one container adds to one memory.
func (ev *evaluation) see(m memory, to baseline.Sightings) {
	for _, f := range ev.on(m.on) {
		at, timeless := ev.begin, false
		if f >= 0 {
			t := ev.subject.Facts[f].Event.Time
			at, timeless = t.At, t.IsZero()
		}
		if !m.counted && !timeless { // a look-up does not say since when
			to.See(learningKey(m.on), at)
		}
		for _, k := range ev.keys(m, f) {
			to.See(k, at)
		}
	}
}

// learningKey is under which memory keeps since when facts of a kind are known:
// what none of them ever was is new, however rare it is.
func learningKey(kind string) baseline.Key { return baseline.NewKey("learning", kind) }

// evaluation is one subject being assessed.
type evaluation struct {
	lib     *Library
	ctx     Context
	scope   *policy.Scope
	subject *evidence.Subject
	about   int   // the container that the story is about
	begin   int64 // when the subject's story began, in Unix nanoseconds
	vars    varCache
	asked   []baseline.Key
	own     map[string]baseline.Sightings // what the subject itself adds, by the memories asked for
	faults  []string
	byKind  map[string][]int
	held    []int8 // by signal and fact, whether a condition holds: 1, -1, 0 if not known
}

func (l *Library) evaluation(ctx Context, s *evidence.Subject, about int) *evaluation {
	ev := &evaluation{lib: l, ctx: ctx, subject: s, about: about}
	ev.begin = ev.beginning()
	ev.scope = ctx.Policy.For(attributes(s, ev.container()))
	ev.vars = newVarCache(ev)
	return ev
}

// container is the one that the story is about, nil for a subject that is none.
func (ev *evaluation) container() *evidence.Container {
	if ev.about < len(ev.subject.Containers) {
		return &ev.subject.Containers[ev.about]
	}
	return nil
}

// told reports whether a fact belongs to the story: how other containers of
// the pod came to be does not.
func (ev *evaluation) told(f evidence.Fact) bool {
	return f.Container == ev.about || f.Container == evidence.Whole || ev.behaviour(f.Kind)
}

func attributes(s *evidence.Subject, c *evidence.Container) policy.Attributes {
	if i := s.Instance; i != nil {
		a := policy.Attributes{Account: i.Account, Subnets: i.Subnets}
		if len(i.Hosts) > 0 {
			a.Host = i.Hosts[0]
		}
		a.Tags = tagPairs(i.Tags)
		return a
	}
	if c == nil {
		return policy.Attributes{Host: s.ID.Place.Host, Cluster: s.ID.Place.Cluster, Account: s.ID.Place.Account}
	}
	a := policy.Attributes{Namespace: c.Namespace, Host: c.Host, Cluster: c.Cluster, Account: s.ID.Place.Account}
	if c.Cluster != "" || s.Pod != nil {
		a.Node = c.Host
	}
	return a
}

// freshArrival is how long before its first container an image's arrival is a
// part of that container's story. What came weeks before does not make new what
// others did since.
const freshArrival = int64(time.Hour)

// beginning is when the story began: when the container was made, or when its
// image came shortly before; else the first thing known of it. A container that
// was put into an old pod begins with itself.
func (ev *evaluation) beginning() int64 {
	if i := ev.subject.Instance; i != nil && i.Changed {
		// What it ran since its launch is no part of what it runs now.
		if at := ev.subject.First(evidence.Change); !at.IsZero() {
			return at.At
		}
	}
	made, own, all := int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64)
	for _, f := range ev.subject.Facts {
		if f.Event.Time.IsZero() || f.Kind == evidence.Preparation {
			continue
		}
		all = min(all, f.Event.Time.At)
		if f.Container != ev.about {
			continue
		}
		own = min(own, f.Event.Time.At)
		if f.Kind != evidence.Arrival {
			made = min(made, f.Event.Time.At)
		}
	}
	if own == math.MaxInt64 {
		return all
	}
	begin := made
	for _, f := range ev.subject.Facts {
		if f.Container == ev.about && f.Kind == evidence.Arrival && !f.Event.Time.IsZero() && (made == math.MaxInt64 || f.Event.Time.At >= made-freshArrival) {
			begin = min(begin, f.Event.Time.At)
		}
	}
	return begin
}

func (ev *evaluation) fault(err error) {
	if text := err.Error(); !slices.Contains(ev.faults, text) {
		ev.faults = append(ev.faults, text)
	}
}

// on lists the facts that something "on" a kind is about, as indexes; -1
// stands for the subject as a whole.
func (ev *evaluation) on(kind string) []int {
	if known, ok := ev.byKind[kind]; ok {
		return known
	}
	if ev.byKind == nil {
		ev.byKind = map[string][]int{}
	}
	var out []int
	if s := ev.subject; kind == onSubject && (ev.container() != nil || s.Instance != nil || s.VMImage != nil) {
		out = []int{-1}
	}
	for i, f := range ev.subject.Facts {
		if f.Kind == evidence.Kind(kind) && ev.told(f) {
			out = append(out, i)
		}
	}
	ev.byKind[kind] = out
	return out
}

// keys are the memory keys of a fact.
func (ev *evaluation) keys(m memory, fact int) []baseline.Key {
	vars := ev.vars.of("", fact)
	holds, err := m.when.holds(vars)
	if err != nil {
		ev.fault(err)
		return nil
	}
	if !holds {
		return nil
	}
	texts, err := m.keys.texts(vars)
	if err != nil {
		ev.fault(err)
		return nil
	}
	out := make([]baseline.Key, len(texts))
	for i, t := range texts {
		out[i] = m.key(t)
	}
	return out
}

// unseen reports whether none of a fact's keys was seen before the subject's
// story began, and whether memory is too young for that to count. A fact
// without keys is nothing that can be new.
func (ev *evaluation) unseen(name string, fact int) (unseen, learning bool) {
	m, _ := ev.lib.memory(name)
	keys := ev.keys(m, fact)
	if len(keys) == 0 {
		return false, false
	}
	unseen = true
	for _, k := range keys {
		ev.asked = append(ev.asked, k)
		if at, ok := ev.ctx.Memory.First(k); ok && at < ev.begin && at < ev.ownFirst(m, k) {
			unseen = false
		}
	}
	k := learningKey(m.on)
	ev.asked = append(ev.asked, k)
	since, ok := ev.ctx.Memory.First(k)
	return unseen, !ok || ev.begin-since < int64(ev.ctx.Policy.Learning)
}

// ownFirst is when the subject itself did first what a key of a memory stands
// for. Where clocks differ that can be before it began, and makes nothing known.
func (ev *evaluation) ownFirst(m memory, k baseline.Key) int64 {
	own := ev.own[m.name]
	if own == nil {
		own = baseline.Sightings{}
		ev.see(m, own)
		for about := range ev.subject.Containers {
			if about != ev.about {
				ev.lib.evaluation(ev.ctx, ev.subject, about).see(m, own)
			}
		}
		if ev.own == nil {
			ev.own = map[string]baseline.Sightings{}
		}
		ev.own[m.name] = own
	}
	if at, ok := own[k]; ok {
		return at
	}
	return math.MaxInt64
}

// fits lists the facts that fit a stage.
func (ev *evaluation) fits(s *stage, facts []evidence.Fact) ([]int, error) {
	var out []int
	for i, f := range facts {
		if !slices.Contains(s.kinds, f.Kind) || f.Event.Time.IsZero() || !ev.told(f) {
			continue
		}
		holds, err := s.when[f.Kind].holds(ev.vars.of("", i))
		if err != nil {
			return nil, err
		}
		if holds {
			out = append(out, i)
		}
	}
	return out, nil
}

// story is what one detection found in a subject.
type story struct {
	detection *detection
	chain     int // index of the first chain that matched, -1 for none
	members   map[int]bool
	finalAt   int64
	hits      []Hit
	legs      []Leg
	raised    bool
}

func (ev *evaluation) story(d *detection) story {
	s := story{detection: d, chain: -1}
	for i := range d.chains {
		t, err := d.chains[i].match(ev, d.ID, ev.subject.Facts)
		if err != nil {
			ev.fault(fmt.Errorf("%s, chain %q: %w", d.ID, d.chains[i].name, err))
			if !errors.Is(err, ErrTooManyTellings) {
				continue
			}
		}
		members := t.members()
		if len(members) > 0 && s.chain < 0 {
			s.chain = i
			s.finalAt = t.deadline
		}
		for _, m := range members {
			if s.members == nil {
				s.members = map[int]bool{}
			}
			s.members[m] = true
		}
	}
	for _, sig := range d.signals {
		if h, ok := ev.hit(d, sig, s.members); ok {
			s.hits = append(s.hits, h)
		}
	}
	s.legs = ev.legs(d, s.members)
	s.raised = ev.raised(d, s)
	return s
}

// counts reports whether a signal may look at a fact: inside a chain of the
// analytic, or anywhere if the signal or the analytic asks for no chain.
func counts(d *detection, sig *signal, members map[int]bool, fact int) bool {
	return len(d.chains) == 0 || sig.anywhere || members[fact]
}

// speaks reports whether a signal may look at a fact of another container of
// the pod: what speaks against suspicion holds for its own only.
func (ev *evaluation) speaks(sig *signal, fact int) bool {
	of := ev.subject.Facts[fact].Container
	return sig.points >= 0 || of == ev.about || of == evidence.Whole
}

// hit evaluates one signal.
func (ev *evaluation) hit(d *detection, sig *signal, members map[int]bool) (Hit, bool) {
	h := Hit{Signal: sig.name, Group: sig.group, Points: sig.points, Hard: sig.hard, Learning: true}
	found := false
	for _, f := range ev.on(sig.on) {
		if f >= 0 && !(counts(d, sig, members, f) && ev.speaks(sig, f)) {
			continue
		}
		vars := ev.vars.of(d.ID, f)
		holds, err := ev.when(sig, vars, f)
		if err != nil {
			ev.fault(err)
			continue
		}
		learning := false
		holds = holds && ev.recalled(sig, vars) && (sig.many == nil || ev.plenty(sig.many, vars.analytic, f))
		if holds && sig.unseen != "" {
			holds, learning = ev.unseen(sig.unseen, f)
		}
		if !holds {
			continue
		}
		if !found || (h.Learning && !learning) {
			var errClear error
			h.Says, err = sig.says.text(vars)
			h.Clear, errClear = sig.clear.text(vars)
			if err := errors.Join(err, errClear); err != nil {
				ev.fault(err)
			}
		}
		found = true
		h.Learning = h.Learning && learning
		if f >= 0 {
			h.Facts = append(h.Facts, f)
		}
	}
	if h.Learning {
		h.Points, h.Hard = 0, false
	}
	return h, found
}

// when evaluates a signal's condition on a fact. Several detections use one
// signal, and see the same unless one has tunables of its own.
func (ev *evaluation) when(sig *signal, vars activation, fact int) (bool, error) {
	if vars.analytic != "" {
		return sig.when.holds(vars)
	}
	if ev.held == nil {
		ev.held = make([]int8, len(ev.lib.signals)*(len(ev.subject.Facts)+1))
	}
	known := &ev.held[sig.index*(len(ev.subject.Facts)+1)+fact+1]
	if *known != 0 {
		return *known > 0, nil
	}
	holds, err := sig.when.holds(vars)
	if err == nil {
		*known = map[bool]int8{true: 1, false: -1}[holds]
	}
	return holds, err
}

// legs tells what is known of each leg of the story.
func (ev *evaluation) legs(d *detection, members map[int]bool) []Leg {
	out := make([]Leg, 0, len(d.legs))
	for _, l := range d.legs {
		got := Leg{Name: l.name, Optional: l.optional, Missing: l.missing, What: l.what, State: Blind}
		outside := false
		for _, f := range ev.on(string(l.kind)) {
			holds, err := l.when.holds(ev.vars.of(d.ID, f))
			if err != nil {
				ev.fault(err)
			}
			switch {
			case !holds:
			case len(d.chains) == 0 || members[f] || !ev.behaviour(l.kind):
				got.Facts = append(got.Facts, f)
			default:
				outside = true
			}
		}
		switch sight := ev.subject.Sight[l.kind]; {
		case len(got.Facts) > 0:
			got.State = Seen
		case outside:
			got.State = Outside
		case sight == evidence.Observable:
			got.State = Absent
		case sight == evidence.Untied:
			got.State = Untied
		}
		out = append(out, got)
	}
	return out
}

// behaviour reports the kinds that a window constrains; how the subject came
// to be belongs to its story at any time.
func (ev *evaluation) behaviour(k evidence.Kind) bool {
	switch k {
	case evidence.Arrival, evidence.Creation, evidence.Start, evidence.Build, evidence.Description, evidence.Launch, evidence.Boot, evidence.Change, evidence.Attempt, evidence.Search, evidence.Sharing, evidence.Preparation, evidence.Use:
		return false
	}
	return true
}

func (ev *evaluation) raised(d *detection, s story) bool {
	t := ev.lib.scoring.add(s.hits)
	if d.raise.prog == nil {
		if len(d.signals) == 0 {
			return s.chain >= 0
		}
		return t.score > 0 || s.learningOnly()
	}
	holds, err := d.raise.holds(ev.over(d.ID, t, s.legs))
	if err != nil {
		ev.fault(err)
	}
	return holds
}

// learningOnly reports that there is something, but only noted.
func (s story) learningOnly() bool {
	return slices.ContainsFunc(s.hits, func(h Hit) bool { return h.Learning })
}

func seenLegs(legs []Leg) []string {
	names := []string{}
	for _, l := range legs {
		if l.State == Seen {
			names = append(names, l.Name)
		}
	}
	return names
}
