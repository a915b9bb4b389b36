package analytic

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"

	"tidewaiter/evidence"
	"tidewaiter/image"
	"tidewaiter/policy"
	"tidewaiter/strictyaml"
)

// maxCost bounds the work that one condition can cause, in CEL's own units. It
// is estimated when the condition is compiled, with lists of maxSize entries:
// counting while it runs would double its time.
const (
	maxCost = 5_000_000
	maxSize = 256
)

// sizes tells CEL how long the lists and texts that a condition meets can be
// (checker.CostEstimator). Functions cost what CEL says.
type sizes struct{}

// EstimateSize implements checker.CostEstimator.
func (sizes) EstimateSize(checker.AstNode) *checker.SizeEstimate {
	return &checker.SizeEstimate{Min: 0, Max: maxSize}
}

// EstimateCallCost implements checker.CostEstimator.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// compiler compiles conditions. Each place in the language sees its own
// variables, so that a condition about a connection cannot ask for a command.
type compiler struct {
	base     *cel.Env
	byKind   map[string]*cel.Env
	set      *cel.Env // for conditions over the set of signals
	settings []policy.Setting
}

// settingTypes are the CEL types of settings. Lists are opaque: a condition
// can only ask whether they hold something.
func settingType(t policy.Type) *cel.Type {
	switch t {
	case policy.Duration:
		return cel.DurationType
	case policy.Number:
		return cel.DoubleType
	case policy.Flag:
		return cel.BoolType
	}
	return cel.OpaqueType(string(t))
}

func newCompiler(v *policy.Vocabulary) (*compiler, error) {
	opts := []cel.EnvOption{
		cel.StdLib(), ext.Strings(), ext.Lists(), ext.Sets(),
		ext.NativeTypes(append([]any{ext.ParseStructTags(true)}, viewTypes()...)...),
		cel.Variable("scope", cel.StringType),
	}
	opts = append(opts, functions()...)
	for _, s := range v.Settings {
		opts = append(opts, cel.Variable("setting."+s.Name, settingType(s.Type)))
	}
	base, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, fmt.Errorf("set up conditions: %w", err)
	}
	c := &compiler{base: base, byKind: map[string]*cel.Env{}, settings: v.Settings}
	for kind, vars := range variables() {
		if c.byKind[kind], err = base.Extend(vars...); err != nil {
			return nil, fmt.Errorf("set up conditions on %s: %w", kind, err)
		}
	}
	opts = []cel.EnvOption{cel.StdLib(), ext.Lists(), ext.Sets(),
		cel.Variable("points", cel.MapType(cel.StringType, cel.DoubleType)),
		cel.Variable("signals", cel.ListType(cel.StringType)),
		cel.Variable("groups", cel.ListType(cel.StringType)),
		cel.Variable("legs", cel.ListType(cel.StringType)),
		cel.Variable("hard", cel.BoolType),
		cel.Variable("score", cel.DoubleType)}
	for _, s := range v.Settings {
		if !s.Type.IsList() {
			opts = append(opts, cel.Variable(settingPrefix+s.Name, settingType(s.Type)))
		}
	}
	c.set, err = cel.NewEnv(opts...)
	if err != nil {
		return nil, fmt.Errorf("set up conditions over signals: %w", err)
	}
	return c, nil
}

// onSubject is the place in the language that is about the subject as a whole.
const onSubject = "subject"

// variables says what a condition on each kind of fact can see.
func variables() map[string][]cel.EnvOption {
	view := func(name, typ string) cel.EnvOption { return cel.Variable(name, cel.ObjectType("analytic."+typ)) }
	subject := []cel.EnvOption{view("image", "ImageView"), view("container", "ContainerView"), view("pod", "PodView"), view("instance", "InstanceView"), view("vm_image", "VMImageView")}
	vars := map[string][]cel.EnvOption{onSubject: subject}
	for _, k := range evidence.Kinds() {
		vars[string(k)] = slices.Clone(subject)
	}
	add := func(k evidence.Kind, v cel.EnvOption) { vars[string(k)] = append(vars[string(k)], v) }
	add(evidence.Command, view("command", "CommandView"))
	add(evidence.Connection, view("connection", "ConnectionView"))
	add(evidence.Lookup, view("lookup", "LookupView"))
	add(evidence.Build, view("build", "BuildView"))
	add(evidence.Fetch, view("fetch", "ConnectionView"))
	add(evidence.Write, view("write", "WriteView"))
	add(evidence.Arrival, view("arrival", "ArrivalView"))
	add(evidence.Access, view("access", "AccessView"))
	add(evidence.Request, view("request", "RequestView"))
	add(evidence.Grant, view("grant", "GrantView"))
	add(evidence.Exec, view("exec", "ExecView"))
	add(evidence.Commit, view("commit", "CommitView"))
	add(evidence.Publication, view("publication", "PublicationView"))
	add(evidence.Launch, view("launch", "LaunchView"))
	add(evidence.Change, view("change", "ChangeView"))
	add(evidence.Attempt, view("attempt", "AttemptView"))
	add(evidence.Search, view("search", "SearchView"))
	add(evidence.Script, view("script", "ScriptView"))
	add(evidence.Sharing, view("sharing", "SharingView"))
	vars[string(evidence.Plain)] = []cel.EnvOption{cel.Variable("event", cel.MapType(cel.StringType, cel.DynType))}
	return vars
}

// condition is a compiled expression; the zero condition is always true.
type condition struct {
	expr   Expr
	prog   cel.Program
	run    closure // nil if it is left to CEL
	locals int     // that run needs
}

// compile checks an expression in the environment of kind and for its result
// type.
func (c *compiler) compile(e Expr, kind string, want *cel.Type) (condition, error) {
	env := c.set
	if kind != "" {
		env = c.byKind[kind]
	}
	if env == nil {
		return condition{}, &strictyaml.Fault{File: e.File, Line: e.Line, Err: fmt.Errorf("%q is no kind of fact; want %s or subject", kind, factKinds())}
	}
	if strings.TrimSpace(e.Text) == "" {
		return condition{expr: e}, nil
	}
	ast, iss := env.Compile(e.Text)
	if iss.Err() != nil {
		return condition{}, &strictyaml.Fault{File: e.File, Line: e.Line, Err: fmt.Errorf("condition: %w", iss.Err())}
	}
	if got := ast.OutputType(); !got.IsExactType(want) && !got.IsExactType(cel.DynType) {
		return condition{}, &strictyaml.Fault{File: e.File, Line: e.Line, Err: fmt.Errorf("condition gives %s, want %s: %s", got, want, e.Text)}
	}
	if cost, err := env.EstimateCost(ast, sizes{}); err != nil || cost.Max > maxCost {
		return condition{}, &strictyaml.Fault{File: e.File, Line: e.Line, Err: fmt.Errorf("condition could cost %d units of work, the limit is %d; do not nest lists in lists: %s", cost.Max, maxCost, e.Text)}
	}
	prog, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return condition{}, &strictyaml.Fault{File: e.File, Line: e.Line, Err: fmt.Errorf("condition: %w", err)}
	}
	run, locals := closureOf(ast, c.settings)
	return condition{e, prog, run, locals}, nil
}

func factKinds() string {
	var names []string
	for _, k := range evidence.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// errNoSuchKey marks a plain event that lacks a field that a condition asks
// for: such an event does not take part.
var errNoSuchKey = errors.New("no such key")

func (c condition) eval(vars activation) (ref.Val, error) {
	out, _, err := c.prog.Eval(vars)
	if err != nil {
		if strings.Contains(err.Error(), "no such key") {
			return nil, errNoSuchKey
		}
		return nil, &strictyaml.Fault{File: c.expr.File, Line: c.expr.Line, Err: fmt.Errorf("evaluate %q: %w", c.expr.Text, err)}
	}
	return out, nil
}

// frame is what the closure works on, with these variables.
func (c condition) frame(vars activation) *frame {
	f := &vars.cache.frame
	f.vars, f.failed = vars, false
	if len(f.locals) < c.locals {
		f.locals = make([]local, c.locals)
	}
	return f
}

// holds evaluates a condition; the zero condition holds.
func (c condition) holds(vars activation) (bool, error) {
	if c.prog == nil {
		return true, nil
	}
	if run, ok := c.run.(func(*frame) bool); ok {
		f := c.frame(vars)
		if out := run(f); !f.failed {
			return out, nil
		}
	}
	out, err := c.eval(vars)
	if errors.Is(err, errNoSuchKey) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return out == types.True, nil
}

// text evaluates an expression that gives a string.
func (c condition) text(vars activation) (string, error) {
	if c.prog == nil {
		return "", nil
	}
	if run, ok := c.run.(func(*frame) string); ok {
		f := c.frame(vars)
		if out := run(f); !f.failed {
			return out, nil
		}
	}
	out, err := c.eval(vars)
	if err != nil {
		return "", err
	}
	s, _ := out.Value().(string)
	return s, nil
}

// texts evaluates an expression that gives a list of strings.
func (c condition) texts(vars activation) ([]string, error) {
	if c.prog == nil {
		return nil, nil
	}
	if run, ok := c.run.(func(*frame) []string); ok {
		f := c.frame(vars)
		if out := run(f); !f.failed {
			return out, nil
		}
	}
	out, err := c.eval(vars)
	if err != nil {
		return nil, err
	}
	native, err := out.ConvertToNative(reflect.TypeFor[[]string]())
	if err != nil {
		return nil, &strictyaml.Fault{File: c.expr.File, Line: c.expr.Line, Err: fmt.Errorf("evaluate %q: %w", c.expr.Text, err)}
	}
	return native.([]string), nil
}

// listValue is a list setting as CEL sees it.
type listValue struct {
	v *policy.Value
	t policy.Type // also of an unset value
}

// ConvertToNative implements ref.Val; a list setting is not to be taken apart.
func (l listValue) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("a %s setting is no %s", l.t, t)
}

// ConvertToType implements ref.Val.
func (l listValue) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("a %s setting is no %s", l.t, t.TypeName())
}

// Equal implements ref.Val.
func (l listValue) Equal(o ref.Val) ref.Val {
	other, ok := o.(listValue)
	return types.Bool(ok && l.v.Equal(other.v))
}

// Type implements ref.Val.
func (l listValue) Type() ref.Type { return cel.OpaqueType(string(l.t)) }

// settingValue is a setting as CEL sees it. An unset list answers no to every
// question but is_set.
func settingValue(v *policy.Value, t policy.Type) any {
	switch t {
	case policy.Duration:
		return v.Duration()
	case policy.Number:
		return v.Number()
	case policy.Flag:
		return v.Flag()
	}
	return listValue{v, t}
}

// Value implements ref.Val.
func (l listValue) Value() any { return l.v }

// question is something that a condition can ask a list setting.
type question struct {
	name    string
	setting policy.Type
	about   *cel.Type
	cel     func(v *policy.Value, about any) bool
	closure func(of func(*frame) *policy.Value, about closure) closure
}

// about makes a question about a text or a number.
func about[T string | int64](name string, setting policy.Type, arg *cel.Type, ask func(*policy.Value, T) bool) question {
	return question{name, setting, arg,
		func(v *policy.Value, a any) bool { return ask(v, a.(T)) },
		func(of func(*frame) *policy.Value, about closure) closure {
			if about, ok := about.(func(*frame) T); ok {
				return func(f *frame) bool { return ask(of(f), about(f)) }
			}
			return nil
		}}
}

// aboutView makes a question about one of the structs of views.go.
func aboutView[T any](name string, setting policy.Type, ask func(*policy.Value, *T) bool) question {
	return question{name, setting, cel.ObjectType(viewName(reflect.TypeFor[T]())),
		func(v *policy.Value, a any) bool {
			view := a.(T)
			return ask(v, &view)
		},
		func(of func(*frame) *policy.Value, about closure) closure {
			view, ok := about.(func(*frame) reflect.Value)
			if !ok {
				return nil
			}
			return func(f *frame) bool {
				of := of(f)
				v, ok := view(f).Addr().Interface().(*T)
				return ok && ask(of, v)
			}
		}}
}

// questions lists what a condition can ask list settings.
func questions() []question {
	return []question{
		aboutView("allows", policy.Images, func(v *policy.Value, img *ImageView) bool {
			return v.MatchesImage(img.ref, img.digests) || v.MatchesImage(img.upstream, img.digests)
		}),
		aboutView("approves", policy.Images, func(v *policy.Value, img *ImageView) bool { return v.ApprovesDigest(img.digests) }),
		aboutView("has", policy.Releases, func(v *policy.Value, img *ImageView) bool { return v.Released(img.digests) }),
		aboutView("contradict", policy.Releases, func(v *policy.Value, img *ImageView) bool {
			return img.Published && (v.Contradicts(img.ref, img.digests) || v.Contradicts(img.upstream, img.digests))
		}),
		aboutView("allows", policy.Images, func(v *policy.Value, p *PublicationView) bool { return v.MatchesImage(p.ref, p.digests()) }),
		aboutView("approves", policy.Images, func(v *policy.Value, p *PublicationView) bool { return v.ApprovesDigest(p.digests()) }),
		aboutView("has", policy.Releases, func(v *policy.Value, p *PublicationView) bool { return v.Released(p.digests()) }),
		aboutView("contradict", policy.Releases, func(v *policy.Value, p *PublicationView) bool {
			return p.Tag != "" && v.Contradicts(p.ref, p.digests())
		}),
		aboutView("trusts", policy.Publishers, func(v *policy.Value, p *PublicationView) bool { return v.Publishes(p.ref, p.By) }),
		aboutView("approves", policy.VMImages, approvesVMImage),
		aboutView("names", policy.VMImages, namesVMImage),
		aboutView("has", policy.Destinations, hasEndpoint),
		about("has", policy.Destinations, cel.StringType, (*policy.Value).MatchesDomain),
		about("has", policy.Names, cel.StringType, (*policy.Value).MatchesName),
		about("has", policy.Patterns, cel.StringType, (*policy.Value).MatchesPattern),
		about("concerns", policy.Patterns, cel.StringType, (*policy.Value).Concerns),
		about("has", policy.Ports, cel.IntType, func(v *policy.Value, port int64) bool { return v.MatchesPort(int(port)) }),
	}
}

func functions() []cel.EnvOption {
	opaque := func(t policy.Type) *cel.Type { return cel.OpaqueType(string(t)) }
	opts := []cel.EnvOption{
		cel.Function("imitates", cel.MemberOverload("image_imitates",
			[]*cel.Type{cel.ObjectType(viewName(reflect.TypeFor[ImageView]())), opaque(policy.Images), opaque(policy.Names)}, cel.StringType,
			cel.FunctionBinding(imitates))),
	}
	for _, q := range questions() {
		id := string(q.setting) + "_" + q.name + "_" + strings.NewReplacer(".", "_", "(", "_", ")", "").Replace(q.about.String())
		opts = append(opts, cel.Function(q.name, cel.MemberOverload(id, []*cel.Type{opaque(q.setting), q.about}, cel.BoolType,
			cel.BinaryBinding(func(l, r ref.Val) ref.Val { return types.Bool(q.cel(l.(listValue).v, r.Value())) }))))
	}
	for _, t := range policy.Types() {
		if t.IsList() {
			opts = append(opts, cel.Function("is_set", cel.Overload("is_set_"+string(t), []*cel.Type{opaque(t)}, cel.BoolType,
				cel.UnaryBinding(func(v ref.Val) ref.Val { return types.Bool(v.(listValue).v.IsSet()) }))))
		}
	}
	return opts
}

// hasEndpoint reports whether a list of destinations holds an endpoint, by its
// address, its autonomous system or a name it goes by.
func hasEndpoint(v *policy.Value, e *EndpointView) bool {
	return v.MatchesAddr(e.addr) || v.MatchesSystem(uint32(e.ASN)) || (!e.addr.IsValid() && v.MatchesDomain(e.Host)) || slices.ContainsFunc(e.Names, v.MatchesDomain)
}

func imitates(args ...ref.Val) ref.Val {
	img := args[0].Value().(ImageView)
	return types.String(imitatedBy(&img, args[1].(listValue).v, args[2].(listValue).v))
}

// imitatedBy says why an image looks like a trusted one without being it, or "".
func imitatedBy(img *ImageView, registries, names *policy.Value) string {
	why, _ := image.Lookalike(img.ref, registries.RegistryHosts(), names.Text())
	return why
}

// parseWindow reads a stage's or chain's length of time: a duration as
// written, or one of the analytic's tunables.
func parseWindow(s string, tunables map[string]tunableDecl) (fixed time.Duration, tunable string, err error) {
	if s == "" {
		return 0, "", nil
	}
	if _, ok := tunables[s]; ok {
		return 0, s, nil
	}
	d, err := policy.ParseDuration(s)
	if err != nil {
		return 0, "", fmt.Errorf("%w, or name one of the analytic's tunables", err)
	}
	return d, "", nil
}
