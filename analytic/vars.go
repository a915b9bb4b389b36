package analytic

import (
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"tidewaiter/evidence"
	"tidewaiter/policy"
)

// view is one of the structs of views.go: as itself for closures, as CEL's value
// for what is left to CEL, made when it first asks.
type view struct {
	native reflect.Value // an addressable struct; not valid if there is none
	cel    ref.Val
}

func viewOf[T any](v T) *view { return &view{native: reflect.ValueOf(&v).Elem()} }

func (v *view) forCEL(adapter types.Adapter) ref.Val {
	if v.cel == nil {
		v.cel = adapter.NativeToValue(v.native.Interface())
	}
	return v.cel
}

// varCache makes the variables that conditions see, once per subject, fact and
// setting, and only when one asks.
type varCache struct {
	ev        *evaluation
	images    []*view // by container, the last for a subject that has none
	container []*view
	pod       *view
	instance  *view
	vmImage   *view
	facts     []*view
	fanOut    []int                      // of the connections, by fact
	settings  map[string][]*policy.Value // by analytic, "" for what all see; then as the library orders them
	frame     frame
}

func newVarCache(ev *evaluation) varCache {
	n := len(ev.subject.Containers) + 1
	views := make([]*view, 2*n)
	return varCache{ev: ev, images: views[:n], container: views[n:]}
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

func (c *varCache) imageOf(fact int) *view {
	whose := c.whose(fact)
	if c.images[whose] == nil {
		v := ImageView{}
		if whose < len(c.ev.subject.Containers) {
			v = imageView(c.ev.ctx.Policy, &c.ev.subject.Containers[whose])
		}
		c.images[whose] = viewOf(v)
	}
	return c.images[whose]
}

func (c *varCache) containerOf(fact int) *view {
	whose := c.whose(fact)
	if c.container[whose] == nil {
		v := ContainerView{}
		if whose < len(c.ev.subject.Containers) {
			v = containerView(c.ev.ctx.Policy, &c.ev.subject.Containers[whose])
		}
		c.container[whose] = viewOf(v)
	}
	return c.container[whose]
}

func (c *varCache) podOf() *view {
	if c.pod == nil {
		c.pod = viewOf(podView(c.ev.subject.Pod, c.ev.container()))
	}
	return c.pod
}

func (c *varCache) instanceOf() *view {
	if c.instance == nil {
		c.instance = viewOf(instanceView(c.ev.ctx.Policy, c.ev.subject.Instance))
	}
	return c.instance
}

func (c *varCache) vmImageOf() *view {
	if c.vmImage == nil {
		c.vmImage = viewOf(vmImageView(c.ev.subject))
	}
	return c.vmImage
}

// of gives the variables for a condition of an analytic on a fact; fact -1 is
// the subject as a whole.
func (c *varCache) of(analytic string, fact int) activation {
	if analytic != "" && !c.ev.scope.Overrides(analytic) {
		analytic = "" // it sees what all see
	}
	return activation{cache: c, analytic: analytic, fact: fact}
}

// activation resolves variables by name (interpreter.Activation).
type activation struct {
	cache    *varCache
	analytic string
	fact     int
	over     *overSignals // for conditions over a set of signals
}

// overSignals is what conditions over a set of signals see.
type overSignals struct {
	tally tally
	legs  []string
}

// over gives the variables for a condition over what was found.
func (ev *evaluation) over(analytic string, t tally, legs []Leg) activation {
	return activation{&ev.vars, analytic, -1, &overSignals{t, seenLegs(legs)}}
}

// ResolveName implements interpreter.Activation.
func (a activation) ResolveName(name string) (any, bool) {
	c, lib := a.cache, a.cache.ev.lib
	switch name {
	case "image":
		return c.imageOf(a.fact).forCEL(lib.adapter), true
	case "container":
		return c.containerOf(a.fact).forCEL(lib.adapter), true
	case "pod":
		return c.podOf().forCEL(lib.adapter), true
	case "instance":
		return c.instanceOf().forCEL(lib.adapter), true
	case "vm_image":
		return c.vmImageOf().forCEL(lib.adapter), true
	case "scope":
		return c.ev.scope.Name, true
	}
	if setting, ok := strings.CutPrefix(name, settingPrefix); ok {
		at := slices.IndexFunc(lib.settings, func(s policy.Setting) bool { return s.Name == setting })
		if at < 0 {
			return nil, false
		}
		return settingValue(c.setting(a.analytic, at), lib.settings[at].Type), true
	}
	if a.over != nil {
		return a.over.variable(name)
	}
	if a.fact < 0 || string(c.ev.subject.Facts[a.fact].Kind) != name {
		return nil, false
	}
	if name == string(evidence.Plain) {
		return plainView(c.ev.subject.Facts[a.fact]), true
	}
	v := c.fact(a.fact)
	return v.forCEL(lib.adapter), v.native.IsValid()
}

func (o *overSignals) variable(name string) (any, bool) {
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
	return nil, false
}

// Parent implements interpreter.Activation.
func (a activation) Parent() interpreter.Activation { return nil }

const settingPrefix = "setting."

// setting is the value of the library's setting at a place.
func (c *varCache) setting(analytic string, at int) *policy.Value {
	known := c.settings[analytic]
	if known == nil {
		if c.settings == nil {
			c.settings = map[string][]*policy.Value{}
		}
		known = make([]*policy.Value, len(c.ev.lib.settings))
		c.settings[analytic] = known
	}
	if known[at] == nil {
		known[at] = c.ev.scope.Setting(analytic, c.ev.lib.settings[at].Name)
	}
	return known[at]
}

// fact is what a fact says, by its kind.
func (c *varCache) fact(i int) *view {
	if c.facts == nil {
		c.facts = make([]*view, len(c.ev.subject.Facts))
	}
	if c.facts[i] == nil {
		c.facts[i] = c.factView(i)
	}
	return c.facts[i]
}

func (c *varCache) factView(i int) *view {
	p, f := c.ev.ctx.Policy, c.ev.subject.Facts[i]
	switch f.Kind {
	case evidence.Write:
		var of *evidence.Container
		if f.Container >= 0 && f.Container < len(c.ev.subject.Containers) {
			of = &c.ev.subject.Containers[f.Container]
		}
		return viewOf(writeView(f, of))
	case evidence.Command:
		return viewOf(commandView(p, f.Command))
	case evidence.Connection, evidence.Fetch:
		if c.fanOut == nil {
			c.fanOut = fanOut(c.ev.subject.Facts)
		}
		return viewOf(connectionView(p, f, c.fanOut[i]))
	case evidence.Build:
		return viewOf(buildView(p, f))
	case evidence.Lookup:
		return viewOf(lookupView(f))
	case evidence.Arrival:
		return viewOf(arrivalView(p, f))
	case evidence.Access:
		return viewOf(accessView(f))
	case evidence.Request:
		return viewOf(requestView(f))
	case evidence.Grant:
		return viewOf(grantView(f, c.ev.subject.Pod))
	case evidence.Exec:
		return viewOf(execView(f))
	case evidence.Launch:
		return viewOf(launchView(p, f))
	case evidence.Change:
		return viewOf(changeView(p, f))
	case evidence.Attempt:
		return viewOf(attemptView(p, f))
	case evidence.Search:
		return viewOf(searchView(p, f))
	case evidence.Script:
		return viewOf(scriptView(p, f))
	case evidence.Sharing:
		return viewOf(sharingView(p, f))
	case evidence.Commit:
		return viewOf(commitView(f))
	case evidence.Publication:
		return viewOf(publicationView(p, f))
	}
	return new(view)
}
