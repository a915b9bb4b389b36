package analytic

import (
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"tidewaiter/evidence"
	"tidewaiter/policy"
)

// varCache makes the variables that conditions see, once per subject, fact and
// setting, and only when one asks. They are kept as CEL's own values: making
// one costs more than most conditions.
type varCache struct {
	ev        *evaluation
	images    []ref.Val // by container, the last for a subject that has none
	container []ref.Val
	pod       ref.Val
	facts     []any
	settings  map[string]any            // of no analytic in particular
	own       map[string]map[string]any // by analytic, for one with tunables of its own
}

func newVarCache(ev *evaluation) varCache {
	n := len(ev.subject.Containers) + 1
	return varCache{ev: ev, images: make([]ref.Val, n), container: make([]ref.Val, n), settings: map[string]any{}}
}

// whose is the container that a condition on a fact is about: the fact's own,
// else the story's. It is the number of containers if there is none.
func (c *varCache) whose(fact int) int {
	whose := c.ev.about
	if fact >= 0 && c.ev.subject.Facts[fact].Container != evidence.Whole {
		whose = c.ev.subject.Facts[fact].Container
	}
	return min(whose, len(c.ev.subject.Containers))
}

func (c *varCache) imageOf(whose int) ref.Val {
	if c.images[whose] == nil {
		v := ImageView{}
		if whose < len(c.ev.subject.Containers) {
			v = imageView(c.ev.ctx.Policy, &c.ev.subject.Containers[whose])
		}
		c.images[whose] = c.ev.lib.adapter.NativeToValue(v)
	}
	return c.images[whose]
}

func (c *varCache) containerOf(whose int) ref.Val {
	if c.container[whose] == nil {
		v := ContainerView{}
		if whose < len(c.ev.subject.Containers) {
			v = containerView(c.ev.ctx.Policy, &c.ev.subject.Containers[whose])
		}
		c.container[whose] = c.ev.lib.adapter.NativeToValue(v)
	}
	return c.container[whose]
}

func (c *varCache) podOf() ref.Val {
	if c.pod == nil {
		c.pod = c.ev.lib.adapter.NativeToValue(podView(c.ev.subject.Pod, c.ev.container()))
	}
	return c.pod
}

// of gives the variables for a condition of an analytic on a fact; fact -1 is
// the subject as a whole.
func (c *varCache) of(analytic string, fact int) activation {
	if analytic != "" && !c.ev.scope.Overrides(analytic) {
		analytic = "" // it sees what all see
	}
	return activation{c, analytic, fact}
}

// activation resolves variables by name (interpreter.Activation).
type activation struct {
	cache    *varCache
	analytic string
	fact     int
}

// ResolveName implements interpreter.Activation.
func (a activation) ResolveName(name string) (any, bool) {
	c := a.cache
	switch name {
	case "image":
		return c.imageOf(c.whose(a.fact)), true
	case "container":
		return c.containerOf(c.whose(a.fact)), true
	case "pod":
		return c.podOf(), true
	case "scope":
		return c.ev.scope.Name, true
	}
	if len(name) > len(settingPrefix) && name[:len(settingPrefix)] == settingPrefix {
		return c.setting(a.analytic, name[len(settingPrefix):])
	}
	if a.fact < 0 {
		return nil, false
	}
	return c.fact(a.fact, name)
}

// overSignals resolves the variables of conditions over a set of signals
// (interpreter.Activation).
type overSignals struct {
	activation
	tally tally
	legs  []string
}

// over gives the variables for a condition over what was found.
func (ev *evaluation) over(analytic string, t tally, legs []Leg) overSignals {
	return overSignals{activation{&ev.vars, analytic, -1}, t, seenLegs(legs)}
}

// ResolveName implements interpreter.Activation.
func (o overSignals) ResolveName(name string) (any, bool) {
	switch name {
	case "signals":
		return o.tally.signals, true
	case "groups":
		return o.tally.groups, true
	case "points":
		return o.tally.points, true
	case "legs":
		return o.legs, true
	case "hard":
		return o.tally.hard, true
	case "score":
		return o.tally.score, true
	}
	return o.activation.ResolveName(name)
}

// Parent implements interpreter.Activation.
func (a activation) Parent() interpreter.Activation { return nil }

const settingPrefix = "setting."

func (c *varCache) setting(analytic, name string) (any, bool) {
	known := c.settings
	if analytic != "" {
		if c.own[analytic] == nil {
			if c.own == nil {
				c.own = map[string]map[string]any{}
			}
			c.own[analytic] = map[string]any{}
		}
		known = c.own[analytic]
	}
	if v, ok := known[name]; ok {
		return v, true
	}
	for _, s := range c.ev.lib.settings {
		if s.Name == name {
			known[name] = settingValue(c.ev.scope.Setting(analytic, name), s.Type)
			return known[name], true
		}
	}
	return nil, false
}

// fact gives the variable that is named after the fact's kind.
func (c *varCache) fact(i int, name string) (any, bool) {
	f := c.ev.subject.Facts[i]
	if string(f.Kind) != name {
		return nil, false
	}
	if c.facts == nil {
		c.facts = make([]any, len(c.ev.subject.Facts))
	}
	if c.facts[i] != nil {
		return c.facts[i], true
	}
	v, ok := factView(c.ev.ctx.Policy, f)
	if ok {
		if _, plain := v.(map[string]any); !plain {
			v = c.ev.lib.adapter.NativeToValue(v)
		}
		c.facts[i] = v
	}
	return v, ok
}

func factView(p *policy.Policy, f evidence.Fact) (any, bool) {
	switch f.Kind {
	case evidence.Command:
		return commandView(p, f.Command), true
	case evidence.Connection:
		return connectionView(p, f), true
	case evidence.Lookup:
		return lookupView(f), true
	case evidence.Arrival:
		return arrivalView(f), true
	case evidence.Access:
		return accessView(f), true
	case evidence.Request:
		return requestView(f), true
	case evidence.Exec:
		return execView(f), true
	case evidence.Publication:
		return publicationView(f), true
	case evidence.Plain:
		return plainView(f), true
	}
	return nil, false
}
