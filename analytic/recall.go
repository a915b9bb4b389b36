package analytic

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"cel.dev/cel-go/cel"

	"tidewaiter/baseline"
	"tidewaiter/policy"
)

// recall is a question of a signal to memory about keys of its own, which
// another subject may have left: what a registry took in is asked for by the
// containers that run it.
type recall struct {
	memory string
	keys   condition
	when   recallTime
	within length // for recallKnown, how long after the subject began
}

// length is a length of time, or the setting that is one; the zero length is none.
type length struct {
	fixed   time.Duration
	setting string
}

// compileLength reads a length of time, or the name of a setting that is one.
func compileLength(from *signalsFile, text string) (length, error) {
	if text == "" {
		return length{}, nil
	}
	if s := from.Settings[text]; s.Type == policy.Duration {
		return length{setting: text}, nil
	}
	fixed, err := policy.ParseDuration(text)
	if err != nil {
		return length{}, fmt.Errorf("%w, or name a setting that is a duration", err)
	}
	return length{fixed: fixed}, nil
}

// of is the length of time that holds for a subject.
func (s length) of(ev *evaluation, analytic string) time.Duration {
	if s.setting != "" {
		return ev.scope.Setting(analytic, s.setting).Duration()
	}
	return s.fixed
}

// recallTime says which sightings answer.
type recallTime string

const (
	recallSeen    recallTime = "seen"    // any, before the subject began
	recallKnown   recallTime = "known"   // any
	recallUnknown recallTime = "unknown" // none at any time
)

func (l *Library) compileRecalls(comp *compiler, from *signalsFile, name string) (out []recall, err error) {
	d := from.Signals[name]
	within, err := compileLength(from, d.Within)
	if err == nil && d.Within != "" && len(d.Known) == 0 {
		err = errors.New("it bounds what is known, and nothing is asked for")
	}
	if err != nil {
		err = from.fault(fmt.Errorf("signal %s, within: %w", name, err), "signals", name, "within")
	}
	for _, part := range []struct {
		when recallTime
		asks map[string]Expr
	}{{recallSeen, d.Seen}, {recallKnown, d.Known}, {recallUnknown, d.Unknown}} {
		for _, memory := range slices.Sorted(maps.Keys(part.asks)) {
			keys := part.asks[memory]
			keys.File = from.file
			cond, errKeys := comp.compile(keys, d.On, cel.ListType(cel.StringType))
			err = errors.Join(err, errKeys)
			if _, ok := l.memory(memory); !ok {
				err = errors.Join(err, from.fault(fmt.Errorf("signal %s: no memory is called %q", name, memory), "signals", name, string(part.when)))
			}
			r := recall{memory: memory, keys: cond, when: part.when}
			if part.when == recallKnown {
				r.within = within
			}
			out = append(out, r)
		}
	}
	return out, err
}

// many is a question of a signal to a counted memory.
type many struct {
	memory memory
	over   string // setting
	within length
}

func (l *Library) compileMany(from *signalsFile, name string) (*many, error) {
	d := from.Signals[name].Many
	if d == nil {
		return nil, nil
	}
	fault := func(key, format string, args ...any) error {
		return from.fault(fmt.Errorf("signal %s, many: "+format, append([]any{name}, args...)...), "signals", name, "many", key)
	}
	m, ok := l.memory(d.Memory)
	if !ok || !m.counted {
		return nil, fault("memory", "no memory that is counted is called %q", d.Memory)
	}
	if on := from.Signals[name].On; m.on != on {
		return nil, fault("memory", "the signal is about %s and memory %s about %s", on, m.name, m.on)
	}
	out := &many{memory: m, over: d.Over}
	if s := from.Settings[d.Over]; s.Type != policy.Number {
		return nil, fault("over", "no setting that is a number is called %q", d.Over)
	}
	var err error
	if out.within, err = compileLength(from, d.Within); err == nil && d.Within == "" {
		err = errors.New("it is needed")
	}
	if err != nil {
		return nil, fault("within", "%w", err)
	}
	return out, nil
}

// plenty reports whether more subjects than expected left one of a fact's keys
// in the time up to it. Without a number nothing is expected of it.
func (ev *evaluation) plenty(q *many, analytic string, fact int) bool {
	expected := ev.scope.Setting(analytic, q.over)
	if !expected.IsSet() {
		return false
	}
	within, at := q.within.of(ev, analytic), ev.begin
	if fact >= 0 {
		at = ev.subject.Facts[fact].Event.Time.At
	}
	found := false
	for _, k := range ev.keys(q.memory, fact) {
		ev.asked = append(ev.asked, k)
		found = found || float64(ev.ctx.Memory.Count(k, at-int64(within), at)) > expected.Number()
	}
	return found
}

// recalled reports whether memory answers all of a signal's questions so that
// it holds.
func (ev *evaluation) recalled(sig *signal, vars activation) bool {
	for _, r := range sig.recalls {
		texts, err := r.keys.texts(vars)
		if err != nil {
			ev.fault(err)
			return false
		}
		found := false
		for _, t := range texts {
			k := baseline.NewKey(r.memory, t)
			ev.asked = append(ev.asked, k)
			at, ok := ev.ctx.Memory.First(k)
			ok = ok && (r.when != recallSeen || at < ev.begin)
			found = found || ok && (r.within == length{} || at-ev.begin <= int64(r.within.of(ev, vars.analytic)))
		}
		if len(texts) == 0 || found == (r.when == recallUnknown) {
			return false
		}
	}
	return true
}
