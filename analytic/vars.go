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
	image     *ImageView
	container *ContainerView
	facts     map[int]any
	settings  map[string]map[string]any // by analytic, then by name
}

func newVarCache(ev *evaluation) varCache {
	c := varCache{ev: ev, facts: map[int]any{}, settings: map[string]map[string]any{}}
	if about := ev.subject.Container; about != nil {
		img, con := imageView(about), containerView(about)
		c.image, c.container = &img, &con
	}
	return c
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
		return deref(c.image)
	case "container":
		return deref(c.container)
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
	case evidence.Plain:
		return plainView(f), true
	}
	return nil, false
}
