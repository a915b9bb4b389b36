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
	base   *cel.Env
	byKind map[string]*cel.Env
	set    *cel.Env // for conditions over the set of signals
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
		ext.NativeTypes(ext.ParseStructTags(true),
			reflect.TypeFor[ImageView](), reflect.TypeFor[ContainerView](), reflect.TypeFor[EndpointView](),
			reflect.TypeFor[CommandView](), reflect.TypeFor[ConnectionView](), reflect.TypeFor[LookupView](), reflect.TypeFor[ArrivalView](),
			reflect.TypeFor[PodView](), reflect.TypeFor[AccessView](), reflect.TypeFor[RequestView](), reflect.TypeFor[PublicationView](), reflect.TypeFor[ExecView]()),
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
	c := &compiler{base: base, byKind: map[string]*cel.Env{}}
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
	subject := []cel.EnvOption{view("image", "ImageView"), view("container", "ContainerView"), view("pod", "PodView")}
	vars := map[string][]cel.EnvOption{onSubject: subject}
	for _, k := range evidence.Kinds() {
		vars[string(k)] = slices.Clone(subject)
	}
	add := func(k evidence.Kind, v cel.EnvOption) { vars[string(k)] = append(vars[string(k)], v) }
	add(evidence.Command, view("command", "CommandView"))
	add(evidence.Connection, view("connection", "ConnectionView"))
	add(evidence.Lookup, view("lookup", "LookupView"))
	add(evidence.Arrival, view("arrival", "ArrivalView"))
	add(evidence.Access, view("access", "AccessView"))
	add(evidence.Request, view("request", "RequestView"))
	add(evidence.Exec, view("exec", "ExecView"))
	add(evidence.Publication, view("publication", "PublicationView"))
	vars[string(evidence.Plain)] = []cel.EnvOption{cel.Variable("event", cel.MapType(cel.StringType, cel.DynType))}
	return vars
}

// condition is a compiled expression; the zero condition is always true.
type condition struct {
	expr Expr
	prog cel.Program
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
	return condition{e, prog}, nil
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

func (c condition) eval(vars any) (ref.Val, error) {
	out, _, err := c.prog.Eval(vars)
	if err != nil {
		if strings.Contains(err.Error(), "no such key") {
			return nil, errNoSuchKey
		}
		return nil, &strictyaml.Fault{File: c.expr.File, Line: c.expr.Line, Err: fmt.Errorf("evaluate %q: %w", c.expr.Text, err)}
	}
	return out, nil
}

// holds evaluates a condition; the zero condition holds.
func (c condition) holds(vars any) (bool, error) {
	if c.prog == nil {
		return true, nil
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
func (c condition) text(vars any) (string, error) {
	if c.prog == nil {
		return "", nil
	}
	out, err := c.eval(vars)
	if err != nil {
		return "", err
	}
	s, _ := out.Value().(string)
	return s, nil
}

// texts evaluates an expression that gives a list of strings.
func (c condition) texts(vars any) ([]string, error) {
	if c.prog == nil {
		return nil, nil
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
	v policy.Value
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
func settingValue(v policy.Value, t policy.Type) any {
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

func functions() []cel.EnvOption {
	opaque := func(t policy.Type) *cel.Type { return cel.OpaqueType(string(t)) }
	member := func(name string, t policy.Type, arg *cel.Type, f func(policy.Value, any) bool) cel.EnvOption {
		id := string(t) + "_" + name + "_" + strings.NewReplacer(".", "_", "(", "_", ")", "").Replace(arg.String())
		return cel.Function(name, cel.MemberOverload(id, []*cel.Type{opaque(t), arg}, cel.BoolType,
			cel.BinaryBinding(func(l, r ref.Val) ref.Val { return types.Bool(f(l.(listValue).v, r.Value())) })))
	}
	imageType, endpointType := cel.ObjectType("analytic.ImageView"), cel.ObjectType("analytic.EndpointView")
	opts := []cel.EnvOption{
		member("allows", policy.Images, imageType, func(v policy.Value, a any) bool {
			img := a.(ImageView)
			return v.MatchesImage(img.ref, img.digests) || v.MatchesImage(img.upstream, img.digests)
		}),
		member("approves", policy.Images, imageType, func(v policy.Value, a any) bool { return v.ApprovesDigest(a.(ImageView).digests) }),
		member("has", policy.Releases, imageType, func(v policy.Value, a any) bool { return v.Released(a.(ImageView).digests) }),
		member("contradict", policy.Releases, imageType, func(v policy.Value, a any) bool {
			img := a.(ImageView)
			return img.Published && (v.Contradicts(img.ref, img.digests) || v.Contradicts(img.upstream, img.digests))
		}),
		member("trusts", policy.Publishers, cel.ObjectType("analytic.PublicationView"), func(v policy.Value, a any) bool {
			p := a.(PublicationView)
			return v.Publishes(p.ref, p.By)
		}),
		member("has", policy.Destinations, endpointType, func(v policy.Value, a any) bool { return hasEndpoint(v, a.(EndpointView)) }),
		member("has", policy.Destinations, cel.StringType, func(v policy.Value, a any) bool { return v.MatchesDomain(a.(string)) }),
		member("has", policy.Names, cel.StringType, func(v policy.Value, a any) bool { return v.MatchesName(a.(string)) }),
		member("has", policy.Patterns, cel.StringType, func(v policy.Value, a any) bool { return v.MatchesPattern(a.(string)) }),
		member("has", policy.Ports, cel.IntType, func(v policy.Value, a any) bool { return v.MatchesPort(int(a.(int64))) }),
		cel.Function("imitates", cel.MemberOverload("image_imitates", []*cel.Type{imageType, opaque(policy.Images), opaque(policy.Names)}, cel.StringType,
			cel.FunctionBinding(imitates))),
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
func hasEndpoint(v policy.Value, e EndpointView) bool {
	return v.MatchesAddr(e.addr) || v.MatchesSystem(uint32(e.ASN)) || (!e.addr.IsValid() && v.MatchesDomain(e.Host)) || slices.ContainsFunc(e.Names, v.MatchesDomain)
}

// imitates says why an image looks like a trusted one without being it, or "".
func imitates(args ...ref.Val) ref.Val {
	img := args[0].Value().(ImageView)
	why, _ := image.Lookalike(img.ref, args[1].(listValue).v.RegistryHosts(), args[2].(listValue).v.Text())
	return types.String(why)
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
