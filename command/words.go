package command

import (
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// fields is what a word becomes as arguments: a list in braces, and what comes
// unquoted out of a variable or a command, may be several.
func (r *reader) fields(w *syntax.Word) []text {
	if syntax.SplitBraces(w) {
		return r.alternatives(w.Parts)
	}
	if len(w.Parts) == 1 && !isExpansion(w.Parts[0]) {
		return []text{r.part(w.Parts[0], false)}
	}
	var out []text
	var last *builder // the field that is being put together
	add := func(t text) {
		if last == nil {
			last = &builder{}
		}
		last.add(t)
	}
	end := func() {
		if last != nil {
			out, last = append(out, last.text()), nil
		}
	}
	for _, part := range w.Parts {
		t := r.part(part, false)
		if !isExpansion(part) || t.partial {
			add(t)
			continue
		}
		if t.s != "" && isBlank(rune(t.s[0])) {
			end()
		}
		for i, piece := range strings.FieldsFunc(t.s, isBlank) {
			if i > 0 {
				end()
			}
			add(text{piece, false, t.fetched, t.decoded})
		}
		if t.s != "" && isBlank(rune(t.s[len(t.s)-1])) {
			end()
		}
	}
	end()
	return out
}

// alternatives reads a word with lists in braces, "a{b,c}d". Of several lists
// in one word only the first is worked out.
func (r *reader) alternatives(parts []syntax.WordPart) []text {
	for i, part := range parts {
		list, ok := part.(*syntax.BraceExp)
		if !ok || list.Sequence || len(list.Elems) > maxItems {
			continue
		}
		before, after := r.parts(parts[:i], false), r.parts(parts[i+1:], false)
		out := make([]text, len(list.Elems))
		for j, e := range list.Elems {
			out[j] = before.plus(r.word(e)).plus(after)
			r.unfolded += len(before.s) + len(after.s)
			if r.unfolded > maxUnfold {
				out[j] = from(out[j])
			}
		}
		return out
	}
	return []text{r.parts(parts, false)}
}

func isBlank(c rune) bool { return c == ' ' || c == '\t' || c == '\n' }

// isExpansion reports the parts of a word that blanks split.
func isExpansion(part syntax.WordPart) bool {
	switch part.(type) {
	case *syntax.ParamExp, *syntax.CmdSubst:
		return true
	}
	return false
}

// word is a word as one text.
func (r *reader) word(w *syntax.Word) text {
	if w == nil {
		return text{}
	}
	return r.parts(w.Parts, false)
}

// parts joins parts of a word; quoted says whether they stand in double
// quotes.
func (r *reader) parts(parts []syntax.WordPart, quoted bool) text {
	if len(parts) == 1 {
		return r.part(parts[0], quoted)
	}
	var out builder
	for _, part := range parts {
		out.add(r.part(part, quoted))
	}
	return out.text()
}

func (r *reader) part(part syntax.WordPart, quoted bool) text {
	switch p := part.(type) {
	case *syntax.Lit:
		return text{s: unquote(p.Value, quoted)}
	case *syntax.SglQuoted:
		if p.Dollar {
			return text{s: unescape(p.Value)}
		}
		return text{s: p.Value}
	case *syntax.DblQuoted:
		return r.parts(p.Parts, true)
	case *syntax.CmdSubst:
		stdin := r.stdin
		t := r.statements(p.Stmts, stdin)
		r.stdin = stdin
		t.s = strings.TrimRight(t.s, "\n")
		return t
	case *syntax.ProcSubst:
		if p.Op == syntax.CmdOut {
			return unknown // read where the output is known
		}
		return from(r.statements(p.Stmts, text{}))
	case *syntax.ParamExp:
		return r.parameter(p)
	case *syntax.BraceExp:
		for _, e := range p.Elems {
			r.scan(r.word(e).s)
		}
		return unknown
	}
	r.inside(part, text{})
	return unknown
}

// unquote takes backslashes away as a shell does. In double quotes they stand
// for themselves before most characters.
func unquote(s string, quoted bool) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (!quoted || strings.IndexByte("$`\"\\\n", s[i+1]) >= 0) {
			if i++; s[i] == '\n' {
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// parameter is the value of a variable, as far as the script itself gives it.
func (r *reader) parameter(p *syntax.ParamExp) text {
	if p.Param == nil || p.Excl || p.Length || p.Width || p.Slice != nil || p.Repl != nil || p.Names != 0 {
		return r.unknownOf(p)
	}
	value, ok := r.value(p.Param.Value)
	if p.Exp == nil {
		if !ok {
			return unknown
		}
		return r.unfold(value)
	}
	switch p.Exp.Op {
	case syntax.DefaultUnset, syntax.DefaultUnsetOrNull, syntax.AssignUnset, syntax.AssignUnsetOrNull:
		if ok {
			return r.unfold(value)
		}
		value = r.word(p.Exp.Word)
		if p.Exp.Op == syntax.AssignUnset || p.Exp.Op == syntax.AssignUnsetOrNull {
			r.set(p.Param.Value, value)
		}
		return value
	case syntax.AlternateUnset, syntax.AlternateUnsetOrNull:
		return r.word(p.Exp.Word)
	}
	return r.unknownOf(p)
}

// unknownOf reads what stands in an expansion that is not worked out.
func (r *reader) unknownOf(p *syntax.ParamExp) text {
	r.inside(p, text{})
	t := unknown
	if p.Param != nil {
		value, _ := r.value(p.Param.Value)
		t.fetched, t.decoded = value.fetched, value.decoded
	}
	return t
}

// unfold counts what variables give, so that they can't grow without bound.
func (r *reader) unfold(t text) text {
	if r.unfolded += len(t.s); r.unfolded > maxUnfold {
		return from(t)
	}
	return t
}

func (r *reader) value(name string) (text, bool) {
	if t, ok := r.vars[name]; ok {
		return t, true
	}
	switch name {
	case "IFS":
		return text{s: " \t\n"}, true
	case "@", "*":
		if len(r.params) > 1 {
			return joined(r.params[1:]), true
		}
	}
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(r.params) {
		return r.params[i], true
	}
	return text{}, false
}

// assign reads an assignment.
func (r *reader) assign(a *syntax.Assign) {
	t := r.word(a.Value)
	if a.Array != nil {
		var all []text
		for _, e := range a.Array.Elems {
			all = append(all, r.word(e.Value))
		}
		t = joined(all)
	}
	r.scan(t.s)
	if a.Index != nil || a.Name == nil {
		return
	}
	if a.Append {
		before, _ := r.value(a.Name.Value)
		t = r.unfold(before).plus(t)
	}
	r.set(a.Name.Value, t)
}

func (r *reader) set(name string, t text) {
	if len(t.s) > maxScript {
		t = from(t)
	}
	if r.vars == nil {
		r.vars = map[string]text{}
	}
	r.vars[name] = t
}
