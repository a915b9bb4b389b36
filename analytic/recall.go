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
			out = append(out, recall{memory, cond, part.when})
		}
	}
	return out, err
}

// many is a question of a signal to a counted memory.
type many struct {
	memory memory
	over   string // setting
	within time.Duration
	// setting is where within stands, "" if it is fixed.
	setting string
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
	if s := from.Settings[d.Within]; s.Type == policy.Duration {
		out.setting = d.Within
		return out, nil
	}
	var err error
	if out.within, err = policy.ParseDuration(d.Within); err != nil {
		return nil, fault("within", "%w, or name a setting that is a duration", err)
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
	within, at := q.within, ev.begin
	if q.setting != "" {
		within = ev.scope.Setting(analytic, q.setting).Duration()
	}
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
			found = found || ok && (r.when != recallSeen || at < ev.begin)
		}
		if len(texts) == 0 || found == (r.when == recallUnknown) {
			return false
		}
	}
	return true
}
