package analytic

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"tidewaiter/policy"
)

// CEL says what a condition means, and its checker what is wrong with one. Its
// interpreter costs twenty times what a condition is worth, and a hunt asks a
// hundred of every container. So the checked expression is put together once
// more, of Go closures over typed values. What this file does not know, and any
// case in which CEL would report an error, is left to CEL.

// frame is what a closure works on.
type frame struct {
	vars   activation
	locals []local
	failed bool // there was what CEL calls an error, and CEL must say what it comes to
}

// local is the value of a macro's variable: a text, or a struct.
type local struct {
	text   string
	object reflect.Value
}

// A closure is one of func(*frame) of bool, string, int64, float64,
// time.Duration, []string, []int64, []EndpointView, map[string]float64,
// *policy.Value and, for the structs of views.go, an addressable reflect.Value.
type closure any

// closures puts closures together for one expression.
type closures struct {
	tree     *ast.AST
	settings []policy.Setting
	locals   []string // names of macros' variables, by place
	most     int
}

// closureOf gives the closure of a checked expression and how many local
// variables it needs, nil if it must be left to CEL.
func closureOf(checked *cel.Ast, settings []policy.Setting) (run closure, locals int) {
	c := &closures{tree: checked.NativeRep(), settings: settings}
	run = c.of(c.tree.Expr())
	return run, c.most
}

// of gives the closure of an expression, nil if it is not known how.
func (c *closures) of(e ast.Expr) closure {
	if ref, ok := c.tree.ReferenceMap()[e.ID()]; ok && ref.Name != "" {
		return c.variable(ref.Name)
	}
	switch e.Kind() {
	case ast.LiteralKind:
		return literal(e)
	case ast.IdentKind:
		return c.variable(e.AsIdent())
	case ast.SelectKind:
		return c.field(e.AsSelect())
	case ast.ListKind:
		return c.list(e.AsList())
	case ast.CallKind:
		return c.call(e.AsCall())
	case ast.ComprehensionKind:
		return c.macro(e.AsComprehension())
	}
	return nil
}

func literal(e ast.Expr) closure {
	switch v := e.AsLiteral().(type) {
	case types.Bool:
		return func(*frame) bool { return bool(v) }
	case types.String:
		return func(*frame) string { return string(v) }
	case types.Int:
		return func(*frame) int64 { return int64(v) }
	case types.Double:
		return func(*frame) float64 { return float64(v) }
	}
	return nil
}

func (c *closures) variable(name string) closure {
	for at := len(c.locals) - 1; at >= 0; at-- {
		switch c.locals[at] {
		case name:
			return func(f *frame) string { return f.locals[at].text }
		case objectName(name):
			return func(f *frame) reflect.Value { return f.locals[at].object }
		}
	}
	if setting, ok := strings.CutPrefix(name, settingPrefix); ok {
		return c.setting(setting)
	}
	switch name {
	case "scope":
		return func(f *frame) string { return f.vars.cache.ev.scope.Name }
	case "image":
		return func(f *frame) reflect.Value { return f.vars.cache.imageOf(f.vars.fact).native }
	case "container":
		return func(f *frame) reflect.Value { return f.vars.cache.containerOf(f.vars.fact).native }
	case "pod":
		return func(f *frame) reflect.Value { return f.vars.cache.podOf().native }
	case "instance":
		return func(f *frame) reflect.Value { return f.vars.cache.instanceOf().native }
	case "vm_image":
		return func(f *frame) reflect.Value { return f.vars.cache.vmImageOf().native }
	case "signals":
		return func(f *frame) []string { return f.vars.over.tally.signals }
	case "groups":
		return func(f *frame) []string { return f.vars.over.tally.groups }
	case "legs":
		return func(f *frame) []string { return f.vars.over.legs }
	case "hard":
		return func(f *frame) bool { return f.vars.over.tally.hard }
	case "score":
		return func(f *frame) float64 { return f.vars.over.tally.score }
	case "points":
		return func(f *frame) map[string]float64 { return f.vars.over.tally.points }
	case "event":
		return nil
	}
	if !isFactKind(name) {
		return nil
	}
	return func(f *frame) reflect.Value { return f.vars.cache.fact(f.vars.fact).native }
}

// objectName is under which a macro's variable stands that is a struct.
func objectName(name string) string { return "{}" + name }

func (c *closures) setting(name string) closure {
	at := slices.IndexFunc(c.settings, func(s policy.Setting) bool { return s.Name == name })
	if at < 0 {
		return nil
	}
	get := func(f *frame) *policy.Value { return f.vars.cache.setting(f.vars.analytic, at) }
	switch c.settings[at].Type {
	case policy.Duration:
		return func(f *frame) time.Duration { return get(f).Duration() }
	case policy.Number:
		return func(f *frame) float64 { return get(f).Number() }
	case policy.Flag:
		return func(f *frame) bool { return get(f).Flag() }
	}
	return get
}

func viewType(name string) reflect.Type {
	for _, t := range viewTypes() {
		if view := t.(reflect.Type); viewName(view) == name {
			return view
		}
	}
	return reflect.TypeFor[struct{}]()
}

// field reads a field of a struct by its tag.
func (c *closures) field(s ast.SelectExpr) closure {
	of, ok := c.of(s.Operand()).(func(*frame) reflect.Value)
	if !ok || s.IsTestOnly() {
		return nil
	}
	view := viewType(c.tree.GetType(s.Operand().ID()).TypeName())
	for at := range view.NumField() {
		field := view.Field(at)
		if field.Tag.Get("cel") != s.FieldName() {
			continue
		}
		switch field.Type {
		case reflect.TypeFor[bool]():
			return func(f *frame) bool { return of(f).Field(at).Bool() }
		case reflect.TypeFor[string]():
			return func(f *frame) string { return of(f).Field(at).String() }
		case reflect.TypeFor[int]():
			return func(f *frame) int64 { return of(f).Field(at).Int() }
		case reflect.TypeFor[float64]():
			return func(f *frame) float64 { return of(f).Field(at).Float() }
		case reflect.TypeFor[[]string]():
			return func(f *frame) []string { return *of(f).Field(at).Addr().Interface().(*[]string) }
		case reflect.TypeFor[[]EndpointView]():
			return func(f *frame) []EndpointView { return *of(f).Field(at).Addr().Interface().(*[]EndpointView) }
		}
		return func(f *frame) reflect.Value { return of(f).Field(at) }
	}
	return nil
}

// list makes a list of texts, or of constant numbers.
func (c *closures) list(l ast.ListExpr) closure {
	if l.Size() == 0 {
		return nil // its type is not known
	}
	var texts []func(*frame) string
	var numbers []int64
	constant := true
	for _, e := range l.Elements() {
		constant = constant && e.Kind() == ast.LiteralKind
		switch one := c.of(e).(type) {
		case func(*frame) string:
			texts = append(texts, one)
		case func(*frame) int64:
			if !constant {
				return nil
			}
			numbers = append(numbers, one(nil))
		}
	}
	switch l.Size() {
	case len(texts):
		return textList(texts, constant)
	case len(numbers):
		return func(*frame) []int64 { return numbers }
	}
	return nil
}

func textList(parts []func(*frame) string, constant bool) closure {
	run := func(f *frame) []string {
		out := make([]string, len(parts))
		for i, part := range parts {
			out[i] = part(f)
		}
		return out
	}
	if constant {
		all := run(nil)
		return func(*frame) []string { return all }
	}
	return run
}

func (c *closures) call(call ast.CallExpr) closure {
	var args []closure
	if call.IsMemberFunction() {
		args = append(args, c.of(call.Target()))
	}
	for _, a := range call.Args() {
		args = append(args, c.of(a))
	}
	if slices.ContainsFunc(args, func(a closure) bool { return a == nil }) {
		return nil
	}
	switch name := call.FunctionName(); name {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional:
		return logic(name, args)
	case operators.Equals, operators.NotEquals:
		return equality(args, name == operators.Equals)
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return ordered(name, args)
	case operators.In:
		return in(args)
	case operators.Add, operators.Divide:
		return arithmetic(name, args)
	case operators.Index:
		return entry(args)
	case "matches":
		return matches(call, args)
	default:
		return c.function(call, args)
	}
}

func logic(name string, args []closure) closure {
	a, ok := args[0].(func(*frame) bool)
	if !ok {
		return nil
	}
	if name == operators.LogicalNot {
		return func(f *frame) bool { return !a(f) }
	}
	if name == operators.Conditional {
		return conditional(a, args[1], args[2])
	}
	b, ok := args[1].(func(*frame) bool)
	switch {
	case !ok:
		return nil
	case name == operators.LogicalAnd:
		return func(f *frame) bool { return a(f) && b(f) }
	}
	return func(f *frame) bool { return a(f) || b(f) }
}

func conditional(when func(*frame) bool, yes, no closure) closure {
	switch yes := yes.(type) {
	case func(*frame) string:
		return choice(when, yes, no)
	case func(*frame) bool:
		return choice(when, yes, no)
	case func(*frame) []string:
		return choice(when, yes, no)
	}
	return nil
}

func choice[T any](when func(*frame) bool, yes func(*frame) T, no closure) closure {
	other, ok := no.(func(*frame) T)
	if !ok {
		return nil
	}
	return func(f *frame) T {
		if when(f) {
			return yes(f)
		}
		return other(f)
	}
}

func equality(args []closure, want bool) closure {
	switch a := args[0].(type) {
	case func(*frame) string:
		return equal(a, args[1], want)
	case func(*frame) bool:
		return equal(a, args[1], want)
	case func(*frame) int64:
		return equal(a, args[1], want)
	case func(*frame) float64:
		return equal(a, args[1], want)
	case func(*frame) time.Duration:
		return equal(a, args[1], want)
	case func(*frame) []string:
		if b, ok := args[1].(func(*frame) []string); ok {
			return func(f *frame) bool { return slices.Equal(a(f), b(f)) == want }
		}
	}
	return nil
}

func equal[T comparable](a func(*frame) T, other closure, want bool) closure {
	b, ok := other.(func(*frame) T)
	if !ok {
		return nil
	}
	return func(f *frame) bool { return (a(f) == b(f)) == want }
}

func ordered(name string, args []closure) closure {
	switch a := args[0].(type) {
	case func(*frame) string:
		return inOrder(name, a, args[1])
	case func(*frame) int64:
		return inOrder(name, a, args[1])
	case func(*frame) float64:
		return inOrder(name, a, args[1])
	case func(*frame) time.Duration:
		return inOrder(name, a, args[1])
	}
	return nil
}

func inOrder[T string | int64 | float64 | time.Duration](name string, a func(*frame) T, other closure) closure {
	b, ok := other.(func(*frame) T)
	if !ok {
		return nil
	}
	switch name {
	case operators.Less:
		return func(f *frame) bool { return a(f) < b(f) }
	case operators.LessEquals:
		return func(f *frame) bool { return a(f) <= b(f) }
	case operators.Greater:
		return func(f *frame) bool { return a(f) > b(f) }
	}
	return func(f *frame) bool { return a(f) >= b(f) }
}

func in(args []closure) closure {
	switch list := args[1].(type) {
	case func(*frame) []string:
		return isIn(args[0], list)
	case func(*frame) []int64:
		return isIn(args[0], list)
	}
	return nil
}

func isIn[T comparable](one closure, list func(*frame) []T) closure {
	value, ok := one.(func(*frame) T)
	if !ok {
		return nil
	}
	return func(f *frame) bool { return slices.Contains(list(f), value(f)) }
}

// arithmetic adds texts and lists, and adds and divides numbers.
func arithmetic(name string, args []closure) closure {
	switch a := args[0].(type) {
	case func(*frame) string:
		if b, ok := args[1].(func(*frame) string); ok && name == operators.Add {
			return func(f *frame) string { return a(f) + b(f) }
		}
	case func(*frame) []string:
		if b, ok := args[1].(func(*frame) []string); ok && name == operators.Add {
			return func(f *frame) []string { return slices.Concat(a(f), b(f)) }
		}
	case func(*frame) float64:
		b, ok := args[1].(func(*frame) float64)
		switch {
		case !ok:
			return nil
		case name == operators.Add:
			return func(f *frame) float64 { return a(f) + b(f) }
		}
		return func(f *frame) float64 { return a(f) / b(f) }
	case func(*frame) int64:
		if b, ok := args[1].(func(*frame) int64); ok && name == operators.Add {
			return func(f *frame) int64 {
				x, y := a(f), b(f)
				f.failed = f.failed || (x+y < x) != (y < 0) // overflow
				return x + y
			}
		}
	}
	return nil
}

// entry looks up a constant key.
func entry(args []closure) closure {
	of, ok := args[0].(func(*frame) map[string]float64)
	key, isText := args[1].(func(*frame) string)
	if !ok || !isText {
		return nil
	}
	return func(f *frame) float64 {
		v, ok := of(f)[key(f)]
		f.failed = f.failed || !ok
		return v
	}
}

// matches looks for a regular expression that stands in the condition.
func matches(call ast.CallExpr, args []closure) closure {
	text, ok := args[0].(func(*frame) string)
	pattern := call.Args()[len(call.Args())-1]
	if !ok || pattern.Kind() != ast.LiteralKind {
		return nil
	}
	re, err := regexp.Compile(string(pattern.AsLiteral().(types.String)))
	if err != nil {
		return nil
	}
	return func(f *frame) bool { return re.MatchString(text(f)) }
}

// function is one of CEL's for texts and lists, or one of our own.
func (c *closures) function(call ast.CallExpr, args []closure) closure {
	name := call.FunctionName()
	switch a := args[0].(type) {
	case func(*frame) string:
		return textFunction(name, a, args)
	case func(*frame) []string:
		return listFunction(name, a, args)
	case func(*frame) int64:
		if name == "double" {
			return func(f *frame) float64 { return float64(a(f)) }
		}
	case func(*frame) []EndpointView:
		if name == "size" {
			return func(f *frame) int64 { return int64(len(a(f))) }
		}
	case func(*frame) *policy.Value:
		if name == "is_set" {
			return func(f *frame) bool { return a(f).IsSet() }
		}
		return askSetting(name, c.tree.GetType(call.Target().ID()), c.tree.GetType(call.Args()[0].ID()), a, args[1])
	case func(*frame) reflect.Value:
		if name == "imitates" {
			return imitation(a, args)
		}
	}
	return nil
}

func listFunction(name string, a func(*frame) []string, args []closure) closure {
	switch name {
	case "size":
		return func(f *frame) int64 { return int64(len(a(f))) }
	case "join":
		if len(args) == 1 {
			return func(f *frame) string { return strings.Join(a(f), "") }
		}
		if by, ok := args[1].(func(*frame) string); ok {
			return func(f *frame) string { return strings.Join(a(f), by(f)) }
		}
	}
	return nil
}

func textFunction(name string, a func(*frame) string, args []closure) closure {
	switch name {
	case "size":
		return func(f *frame) int64 { return int64(utf8.RuneCountInString(a(f))) }
	case "lowerAscii":
		return func(f *frame) string { return lowerASCII(a(f)) }
	}
	if len(args) != 2 {
		return nil
	}
	b, ok := args[1].(func(*frame) string)
	if !ok {
		return nil
	}
	switch name {
	case "startsWith":
		return func(f *frame) bool { return strings.HasPrefix(a(f), b(f)) }
	case "endsWith":
		return func(f *frame) bool { return strings.HasSuffix(a(f), b(f)) }
	case "contains":
		return func(f *frame) bool { return strings.Contains(a(f), b(f)) }
	}
	return nil
}

// lowerASCII is CEL's lowerAscii: other letters keep their case.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= unicode.MaxASCII {
			return unicode.ToLower(r)
		}
		return r
	}, s)
}

// askSetting asks a list setting about something of a type.
func askSetting(name string, setting, what *types.Type, of func(*frame) *policy.Value, about closure) closure {
	for _, q := range questions() {
		if q.name == name && string(q.setting) == setting.TypeName() && q.about.TypeName() == what.TypeName() {
			if ask := q.closure(of, about); ask != nil {
				return ask
			}
		}
	}
	return nil
}

func imitation(image func(*frame) reflect.Value, args []closure) closure {
	registries, ok1 := args[1].(func(*frame) *policy.Value)
	names, ok2 := args[2].(func(*frame) *policy.Value)
	if !ok1 || !ok2 {
		return nil
	}
	return func(f *frame) string {
		return imitatedBy(image(f).Addr().Interface().(*ImageView), registries(f), names(f))
	}
}

// macro knows all, exists, filter and map by what CEL's parser makes of them.
func (c *closures) macro(m ast.ComprehensionExpr) closure {
	if m.HasIterVar2() || m.Result().Kind() != ast.IdentKind || m.Result().AsIdent() != m.AccuVar() || m.LoopStep().Kind() != ast.CallKind {
		return nil
	}
	over := c.of(m.IterRange())
	name := m.IterVar()
	if _, structs := over.(func(*frame) []EndpointView); structs {
		name = objectName(name)
	}
	at := len(c.locals)
	c.locals = append(c.locals, name)
	defer func() { c.locals = c.locals[:at] }()
	c.most = max(c.most, len(c.locals))
	switch over := over.(type) {
	case func(*frame) []string:
		return c.loop(m, loop(over, func(f *frame, s string) { f.locals[at].text = s }))
	case func(*frame) []EndpointView:
		return c.loop(m, loopPointers(over, func(f *frame, e *EndpointView) { f.locals[at].object = reflect.ValueOf(e).Elem() }))
	}
	return nil
}

// each sets a macro's variable to one entry after another, until do says no.
type each func(f *frame, do func() bool)

func loop(over func(*frame) []string, set func(*frame, string)) each {
	return func(f *frame, do func() bool) {
		for _, s := range over(f) {
			if set(f, s); !do() {
				return
			}
		}
	}
}

func loopPointers(over func(*frame) []EndpointView, set func(*frame, *EndpointView)) each {
	return func(f *frame, do func() bool) {
		list := over(f)
		for i := range list {
			if set(f, &list[i]); !do() {
				return
			}
		}
	}
}

func (c *closures) loop(m ast.ComprehensionExpr, each each) closure {
	step := m.LoopStep().AsCall()
	accu := func(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == m.AccuVar() }
	switch name := step.FunctionName(); name {
	case operators.LogicalOr, operators.LogicalAnd:
		holds, ok := c.of(step.Args()[1]).(func(*frame) bool)
		if !ok || !accu(step.Args()[0]) {
			return nil
		}
		any := name == operators.LogicalOr
		return func(f *frame) bool {
			found := !any
			each(f, func() bool {
				found = holds(f)
				return found != any
			})
			return found
		}
	case operators.Add:
		return c.collect(step, nil, accu, each)
	case operators.Conditional:
		when, ok := c.of(step.Args()[0]).(func(*frame) bool)
		if !ok || !accu(step.Args()[2]) || step.Args()[1].Kind() != ast.CallKind {
			return nil
		}
		return c.collect(step.Args()[1].AsCall(), when, accu, each)
	}
	return nil
}

// collect adds a text for each entry for which a condition holds.
func (c *closures) collect(add ast.CallExpr, when func(*frame) bool, accu func(ast.Expr) bool, each each) closure {
	if add.FunctionName() != operators.Add || !accu(add.Args()[0]) || add.Args()[1].Kind() != ast.ListKind {
		return nil
	}
	list := add.Args()[1].AsList()
	if list.Size() != 1 {
		return nil
	}
	one, ok := c.of(list.Elements()[0]).(func(*frame) string)
	if !ok {
		return nil
	}
	return func(f *frame) []string {
		out := []string{}
		each(f, func() bool {
			if when == nil || when(f) {
				out = append(out, one(f))
			}
			return true
		})
		return out
	}
}
