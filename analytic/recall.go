package analytic

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"cel.dev/cel-go/cel"

	"tidewaiter/baseline"
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
