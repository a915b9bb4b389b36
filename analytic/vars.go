package analytic

import (
	"cel.dev/cel-go/interpreter"

	"tidewaiter/evidence"
	"tidewaiter/policy"
)

// varCache makes the variables that conditions see, once per subject, fact and
// setting, and only when one asks.
type varCache struct {
	ev        *evaluation
	images    map[int]*ImageView // by container
	container map[int]*ContainerView
	pod       *PodView
	facts     map[int]any
	settings  map[string]map[string]any // by analytic, then by name
}

func newVarCache(ev *evaluation) varCache {
	return varCache{
		ev: ev, images: map[int]*ImageView{}, container: map[int]*ContainerView{}, facts: map[int]any{}, settings: map[string]map[string]any{},
	}
}

// whose is the container that a condition on a fact is about: the fact's own,
// else the story's. -1 if there is none.
func (c *varCache) whose(fact int) int {
	whose := c.ev.about
	if fact >= 0 && c.ev.subject.Facts[fact].Container != evidence.Whole {
		whose = c.ev.subject.Facts[fact].Container
	}
	if whose >= len(c.ev.subject.Containers) {
		return -1
	}
	return whose
}

func (c *varCache) imageOf(whose int) *ImageView {
	if c.images[whose] == nil && whose >= 0 {
		v := imageView(c.ev.ctx.Policy, &c.ev.subject.Containers[whose])
		c.images[whose] = &v
	}
	return c.images[whose]
}

func (c *varCache) containerOf(whose int) *ContainerView {
	if c.container[whose] == nil && whose >= 0 {
		v := containerView(c.ev.ctx.Policy, &c.ev.subject.Containers[whose])
		c.container[whose] = &v
	}
	return c.container[whose]
}

// of gives the variables for a condition of an analytic on a fact; fact -1 is
// the subject as a whole.
func (c *varCache) of(analytic string, fact int) interpreter.Activation {
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
		return deref(c.imageOf(c.whose(a.fact)))
	case "container":
		return deref(c.containerOf(c.whose(a.fact)))
	case "pod":
		if c.pod == nil {
			v := podView(c.ev.subject.Pod, c.ev.container())
			c.pod = &v
		}
		return *c.pod, true
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

func deref[T any](p *T) (any, bool) {
	if p == nil {
		var zero T
		return zero, true
	}
	return *p, true
}

func (c *varCache) setting(analytic, name string) (any, bool) {
	if v, ok := c.settings[analytic][name]; ok {
		return v, true
	}
	for _, s := range c.ev.lib.settings {
		if s.Name != name {
			continue
		}
		if c.settings[analytic] == nil {
			c.settings[analytic] = map[string]any{}
		}
		v := settingValue(c.ev.scope.Setting(analytic, name), s.Type)
		c.settings[analytic][name] = v
		return v, true
	}
	return nil, false
}

// fact gives the variable that is named after the fact's kind.
func (c *varCache) fact(i int, name string) (any, bool) {
	f := c.ev.subject.Facts[i]
	if string(f.Kind) != name {
		return nil, false
	}
	if v, ok := c.facts[i]; ok {
		return v, true
	}
	v, ok := factView(c.ev.ctx.Policy, f)
	if ok {
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
