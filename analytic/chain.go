package analytic

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"cel.dev/cel-go/cel"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/policy"
)

// chain is a compiled chainDecl: stages in order, over the set of a subject's
// facts. Nothing is consumed: one arrival serves as many behaviours as follow
// it. A fact takes part if it stands in at least one complete telling of the
// story.
type chain struct {
	name   string
	says   string
	stages []stage
	window span
	until  *stage
	strict bool // ties: strict
}

// span is a fixed length of time or a tunable's.
type span struct {
	fixed   time.Duration
	tunable string
}

func (s span) isSet() bool { return s.fixed > 0 || s.tunable != "" }

// value is the length in nanoseconds for an analytic in a scope.
func (s span) value(analytic string, scope *policy.Scope) int64 {
	if s.tunable != "" {
		return int64(scope.Tunable(analytic, s.tunable).Duration())
	}
	return int64(s.fixed)
}

// Reach is the longest window of any chain about containers under a policy: what
// one did longer ago is a part of no story that begins now.
func (l *Library) Reach(p *policy.Policy) time.Duration {
	longest := int64(0)
	for _, scope := range append(p.Scopes(), p.For(policy.Attributes{})) {
		for _, d := range l.detections {
			if d.Subject != "container" {
				continue
			}
			for _, c := range d.chains {
				longest = max(longest, c.window.value(d.ID, scope))
				for _, s := range c.stages {
					longest = max(longest, s.within.value(d.ID, scope))
				}
			}
		}
	}
	return time.Duration(longest)
}

type stage struct {
	name     string
	kinds    []evidence.Kind
	when     map[evidence.Kind]condition
	within   span
	optional bool
	absent   bool
}

func (c *compiler) chain(d *detectionFile, decl chainDecl, at int) (chain, error) {
	out := chain{name: decl.Name, says: decl.Says, strict: decl.Ties == "strict"}
	var faults []error
	if !slices.Contains([]string{"", "either", "strict"}, decl.Ties) {
		faults = append(faults, fmt.Errorf("ties: %q; want either or strict", decl.Ties))
	}
	var err error
	if out.window, err = c.span(d, decl.Window); err != nil {
		faults = append(faults, err)
	}
	for _, s := range decl.Stages {
		st, err := c.stage(d, s)
		faults = append(faults, err)
		for range max(s.Runs, 1) {
			out.stages = append(out.stages, st)
		}
	}
	if decl.Until != nil {
		st, err := c.stage(d, *decl.Until)
		faults = append(faults, err)
		out.until = &st
	}
	faults = append(faults, out.check())
	if err := errors.Join(faults...); err != nil {
		return out, d.fault(fmt.Errorf("chain %q: %w", decl.Name, err), "chains", at)
	}
	return out, nil
}

// check refuses chains that say nothing or cannot be decided.
func (c *chain) check() error {
	present := 0
	for i, s := range c.stages {
		if s.absent && !c.window.isSet() && (i == 0 || i == len(c.stages)-1) {
			return fmt.Errorf("stage %q: absence at an end needs a window", s.name)
		}
		if s.absent && s.optional {
			return fmt.Errorf("stage %q: what is absent cannot be optional", s.name)
		}
		if !s.absent && !s.optional {
			present++
		}
	}
	if present == 0 {
		return errors.New("no stage that must be present")
	}
	return nil
}

func (c *compiler) span(d *detectionFile, s string) (span, error) {
	fixed, tunable, err := parseWindow(s, d.Tunables)
	return span{fixed, tunable}, err
}

func (c *compiler) stage(d *detectionFile, decl stageDecl) (stage, error) {
	st := stage{name: decl.Name, optional: decl.Optional, absent: decl.Absent, when: map[evidence.Kind]condition{}}
	var err error
	if st.within, err = c.span(d, decl.Within); err != nil {
		return st, err
	}
	if len(decl.On) == 0 {
		return st, fmt.Errorf("stage %q: say on which kinds of facts", decl.Name)
	}
	for _, k := range decl.On {
		if !isFactKind(k) {
			return st, fmt.Errorf("stage %q: %q is no kind of fact; want %s", decl.Name, k, factKinds())
		}
		decl.When.File = d.file
		cond, err := c.compile(decl.When, k, cel.BoolType)
		if err != nil {
			return st, err
		}
		st.kinds = append(st.kinds, evidence.Kind(k))
		st.when[evidence.Kind(k)] = cond
	}
	return st, nil
}

// ErrTooManyTellings is reported when a subject has so many facts that a
// chain's tellings are not all walked. What was found holds; more might.
var ErrTooManyTellings = errors.New("too many facts to try every order")

// maxPairs bounds the pairs of facts that one chain compares for one subject.
const maxPairs = 4 << 20

// telling finds which facts take part in a chain.
type telling struct {
	chain    *chain
	facts    []evidence.Fact
	fits     [][]int // by stage, the facts that fit it
	until    []int
	window   int64
	within   []int64 // by stage
	takes    []bool  // by fact
	inStage  [][]int // by stage, the facts that take part in it
	reach    [][]int // room for from
	keep     [][]int // room for accept
	deadline int64   // when absence at the end is certain; 0 if nothing waits
	pairs    int
}

// match walks every telling of the chain over facts in Fact order. now is the
// watermark: absence at the end of a chain is decided only when it is past.
func (c *chain) match(ctx *evaluation, analytic string, facts []evidence.Fact) (*telling, error) {
	t := &telling{chain: c, facts: facts, fits: make([][]int, 0, len(c.stages)), within: make([]int64, 0, len(c.stages))}
	for i := range c.stages {
		fits, err := ctx.fits(&c.stages[i], facts)
		if err != nil {
			return nil, err
		}
		if s := &c.stages[i]; len(fits) == 0 && !s.optional && !s.absent {
			return t, nil // nothing can be told
		}
		t.fits = append(t.fits, fits)
		t.within = append(t.within, c.stages[i].within.value(analytic, ctx.scope))
	}
	if c.until != nil {
		var err error
		if t.until, err = ctx.fits(c.until, facts); err != nil {
			return nil, err
		}
	}
	t.window = c.window.value(analytic, ctx.scope)
	t.takes, t.inStage = make([]bool, len(facts)), make([][]int, len(c.stages))
	t.reach, t.keep = make([][]int, len(c.stages)), make([][]int, len(c.stages))
	for i, s := range c.stages {
		if s.absent {
			continue
		}
		for _, f := range t.fits[i] {
			t.from(i, f)
		}
		if !s.optional {
			break
		}
	}
	if t.pairs > maxPairs {
		return t, ErrTooManyTellings
	}
	return t, nil
}

// from walks the tellings that begin with fact f in stage i.
func (t *telling) from(i, f int) {
	if !t.leadingAbsent(i, f) {
		return
	}
	end := t.firstUntil(f)
	reach := emptied(t.reach)
	reach[i] = append(reach[i], f)
	for j := i + 1; j < len(t.chain.stages); j++ {
		if t.chain.stages[j].absent {
			continue
		}
		for _, g := range t.fits[j] {
			if t.inWindow(f, g) && t.beforeUntil(g, end) && t.reached(reach, i, j, g) {
				reach[j] = append(reach[j], g)
			}
		}
	}
	t.accept(reach, i, f)
}

func emptied(lists [][]int) [][]int {
	for i := range lists {
		lists[i] = lists[i][:0]
	}
	return lists
}

// reached reports whether g in stage j can follow something reached in an
// earlier stage, skipping only optional stages.
func (t *telling) reached(reach [][]int, i, j, g int) bool {
	for k := j - 1; k >= i; k-- {
		if slices.ContainsFunc(reach[k], func(f int) bool { return t.follows(k, f, j, g) }) {
			return true
		}
		if s := t.chain.stages[k]; !s.optional && !s.absent {
			return false
		}
	}
	return false
}

// follows reports whether g in stage j may come directly after f in stage k.
func (t *telling) follows(k, f, j, g int) bool {
	if t.pairs++; t.pairs > maxPairs || f == g || !t.before(f, g) {
		return false
	}
	a, b := t.facts[f].Event.Time, t.facts[g].Event.Time
	if w := t.within[j]; w > 0 && !a.Within(b, w) {
		return false
	}
	for m := k + 1; m < j; m++ {
		if t.chain.stages[m].absent && slices.ContainsFunc(t.fits[m], func(x int) bool {
			return x != f && x != g && t.before(f, x) && t.before(x, g)
		}) {
			return false
		}
	}
	return true
}

// accept walks back from the ends that complete a telling and marks what takes
// part.
func (t *telling) accept(reach [][]int, i, start int) {
	keep := emptied(t.keep)
	for j := len(reach) - 1; j >= i; j-- {
		for _, g := range reach[j] {
			if t.completes(j, start, g) || t.leads(keep, j, g) {
				keep[j] = append(keep[j], g)
				t.takes[g] = true
				if !slices.Contains(t.inStage[j], g) {
					t.inStage[j] = append(t.inStage[j], g)
				}
			}
		}
	}
}

// completes reports whether a telling may end with g in stage j: what follows
// is optional, or absent as far as can be known.
func (t *telling) completes(j, start, g int) bool {
	for m := j + 1; m < len(t.chain.stages); m++ {
		s := t.chain.stages[m]
		switch {
		case s.optional:
		case s.absent:
			if slices.ContainsFunc(t.fits[m], func(x int) bool { return x != g && t.before(g, x) && t.inWindow(start, x) }) {
				return false
			}
			t.deadline = max(t.deadline, t.facts[start].Event.Time.End()+t.window)
		default:
			return false
		}
	}
	return true
}

// leads reports whether g in stage j comes before something kept.
func (t *telling) leads(keep [][]int, j, g int) bool {
	for k := j + 1; k < len(keep); k++ {
		if slices.ContainsFunc(keep[k], func(x int) bool { return t.follows(j, g, k, x) }) {
			return true
		}
		if s := t.chain.stages[k]; !s.optional && !s.absent {
			return false
		}
	}
	return false
}

// leadingAbsent reports whether the stages before i that must be absent are.
func (t *telling) leadingAbsent(i, f int) bool {
	for m := range i {
		if t.chain.stages[m].absent && slices.ContainsFunc(t.fits[m], func(x int) bool {
			return x != f && t.before(x, f) && t.inWindow(x, f)
		}) {
			return false
		}
	}
	return true
}

func (t *telling) inWindow(f, g int) bool {
	return t.window == 0 || t.facts[f].Event.Time.Within(t.facts[g].Event.Time, t.window)
}

// firstUntil is the first fact after f that ends the chain, -1 if none.
func (t *telling) firstUntil(f int) int {
	for _, u := range t.until {
		if u != f && t.before(f, u) && !t.before(u, f) {
			return u
		}
	}
	return -1
}

// beforeUntil reports whether the end did not come strictly before g.
func (t *telling) beforeUntil(g, end int) bool {
	return end < 0 || g == end || !t.before(end, g) || t.before(g, end)
}

// before says whether fact f can have come before g: by the interval that each
// source's clock allows. Within one source the order of its records breaks
// ties; across sources a tie counts as either order, unless the chain is
// strict, and clocks may be apart.
func (t *telling) before(f, g int) bool {
	a, b := t.facts[f].Event, t.facts[g].Event
	sameClock := a.Origin.Source == b.Origin.Source && a.Place == b.Place
	switch {
	case t.chain.strict:
		return a.Time.SurelyPrecedes(b.Time, 0)
	case !sameClock:
		return a.Time.MayPrecede(b.Time, slackBetween(a, b))
	case a.Time.SurelyPrecedes(b.Time, 0):
		return true
	case b.Time.SurelyPrecedes(a.Time, 0):
		return false
	}
	if a.Origin.File != b.Origin.File {
		return true
	}
	order := a.Origin.Compare(b.Origin)
	return order < 0 || order == 0 && a.ID != b.ID // one record can tell two things
}

// slackBetween is the skew to allow between two events' clocks: none between
// plain events, which a test's author wrote.
func slackBetween(a, b *event.Event) int64 {
	if a.Origin.Source == event.JSON || b.Origin.Source == event.JSON {
		return 0
	}
	return event.Skew
}

// members lists the facts that take part.
func (t *telling) members() []int {
	var out []int
	for i, yes := range t.takes {
		if yes {
			out = append(out, i)
		}
	}
	return out
}
