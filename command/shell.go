package command

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// script reads shell text as a shell would run it, every branch once, with in
// as its input. It gives what the text prints. Text that is no shell grammar
// is read roughly, from the statement on that can't be parsed, so that a
// quoting trick hides little.
func (r *reader) script(s string, in text) text {
	if len(s) > maxScript {
		r.scan(s[maxScript:])
		s = s[:maxScript]
	}
	if r.parsed += len(s); r.depth >= maxDepth || r.parsed > maxParsed {
		if r.parsed <= 2*maxParsed {
			r.scan(s)
		}
		return unknown
	}
	r.depth++
	defer func() { r.depth-- }()
	if nesting(s) > maxNesting {
		return r.roughly(s, in)
	}
	r.out.RemoteShell = r.out.RemoteShell || remoteShell(s)
	statements, end := parse(s)
	declared := len(r.declared)
	out := r.statements(statements, in)
	if end < len(s) {
		out = out.plus(r.roughly(s[end:], in))
	}
	for i := declared; i < len(r.declared); i++ {
		r.declared[i].call(r, nil, text{}) // those that nobody called
	}
	return out
}

// parse gives the statements of shell text, and where the part begins that
// can't be parsed; the text's end if there is none.
func parse(s string) (statements []*syntax.Stmt, end int) {
	good := true
	for stmt, err := range syntax.NewParser(syntax.Variant(syntax.LangBash)).StmtsSeq(strings.NewReader(s)) {
		if good = good && err == nil; good { // the parser can tell one fault twice
			statements = append(statements, stmt)
		}
	}
	switch n := len(statements); {
	case good:
		return statements, len(s)
	case n > 0:
		return statements, min(int(statements[n-1].End().Offset()), len(s))
	}
	return nil, 0
}

// nesting is how many brackets are open at most, quoting not looked at. The
// parser takes time quadratic in it.
func nesting(s string) int {
	depth, deepest := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '(', '{', '[':
			depth++
			deepest = max(deepest, depth)
		case ')', '}', ']':
			depth = max(0, depth-1)
		}
	}
	return deepest
}

// roughly reads text that can't be parsed, or that is for cmd.exe: commands
// between the characters that separate them.
func (r *reader) roughly(s string, in text) text {
	r.scan(s)
	out, piped := text{}, false
	for s != "" {
		end := segment(s)
		var args []text
		for f := range strings.FieldsSeq(s[:end]) {
			if f = strings.Trim(f, "\"'{}"); f != "" {
				args = append(args, text{s: f})
			}
		}
		for len(args) > 0 && slices.Contains(keywords, args[0].s) {
			args = args[1:]
		}
		if len(args) > 0 && !slices.Contains(heads, args[0].s) {
			stdin := in
			if piped {
				stdin = out
			}
			r.starts(args[0])
			out = r.call(args, stdin)
		}
		piped = end < len(s) && s[end] == '|'
		s = s[min(end+1, len(s)):]
	}
	return out
}

// segment is where a text's first command ends. Quotes are heeded if they
// close in the same line.
func segment(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ';', '&', '|', '(', ')', '`', '\n':
			return i
		case '\'', '"':
			if n := strings.IndexByte(s[i+1:], s[i]); n > 0 && strings.IndexByte(s[i+1:i+1+n], '\n') < 0 {
				i += n + 1
			}
		}
	}
	return len(s)
}

// statements gives what statements print one after another.
func (r *reader) statements(list []*syntax.Stmt, in text) text {
	var out builder
	for _, s := range list {
		out.add(r.statement(s, in))
	}
	return out.text()
}

// statement reads a statement with its redirections.
func (r *reader) statement(s *syntax.Stmt, in text) text {
	r.level++
	defer func() { r.level-- }()
	if r.level > maxLevels {
		return unknown
	}
	var into []*syntax.ProcSubst // > >(command)
	toFile := false
	for _, rd := range s.Redirs {
		r.stdin = in
		switch rd.Op {
		case syntax.Hdoc, syntax.DashHdoc:
			in = r.document(rd)
		case syntax.WordHdoc:
			in = r.word(rd.Word).plus(text{s: "\n"})
			r.scan(in.s)
		case syntax.RdrIn, syntax.RdrInOut, syntax.DplIn:
			in = r.source(r.word(rd.Word))
		default:
			if rd.Op == syntax.DplOut && rd.Word != nil && isDescriptor(rd.Word.Lit()) {
				continue
			}
			subst := outward(rd.Word)
			into = append(into, subst...)
			if len(subst) == 0 {
				target := r.word(rd.Word)
				r.source(target)
				r.write(target)
				toFile = toFile || rd.N == nil || rd.N.Value == "1"
			}
		}
	}
	out := r.command(s.Cmd, in)
	for _, p := range into {
		r.statements(p.Stmts, out)
	}
	if toFile {
		return text{}
	}
	return out
}

// isDescriptor reports the "1" and "-" of ">&1" and ">&-".
func isDescriptor(s string) bool { return s == "-" || s != "" && digits(s) == len(s) }

// source is what is read from a file, which bash may open as a connection.
func (r *reader) source(file text) text {
	rest, isDevice := strings.CutPrefix(file.s, "/dev/")
	if e, ok := deviceEndpoint(rest); isDevice && ok {
		r.endpoint(e)
		return text{"$", true, true, false}
	}
	return from(file)
}

// document is the body of a here-document. If any of the delimiter is quoted,
// the body means what it says.
func (r *reader) document(rd *syntax.Redirect) text {
	if rd.Hdoc == nil {
		return text{}
	}
	var t text
	if d := rd.Word.Lit(); d == "" || strings.Contains(d, `\`) {
		t.s = rd.Hdoc.Lit()
	} else {
		t = r.parts(rd.Hdoc.Parts, true)
	}
	r.scan(t.s)
	return t
}

func (r *reader) command(cmd syntax.Command, in text) text {
	switch cmd := cmd.(type) {
	case nil:
		return text{}
	case *syntax.CallExpr:
		return r.callExpr(cmd, in)
	case *syntax.BinaryCmd:
		pipe := isPipe(cmd)
		list := stages(cmd, pipe)
		if !pipe {
			return r.statements(list, in)
		}
		for _, s := range list {
			in = r.statement(s, in)
		}
		return in
	}
	return r.inside(cmd, in)
}

func isPipe(b *syntax.BinaryCmd) bool { return b.Op == syntax.Pipe || b.Op == syntax.PipeAll }

// stages lists the statements that pipes, or else "&&" and "||", join. Such
// lists are deep to the left.
func stages(b *syntax.BinaryCmd, pipes bool) []*syntax.Stmt {
	var reversed []*syntax.Stmt
	for {
		reversed = append(reversed, b.Y)
		left, ok := b.X.Cmd.(*syntax.BinaryCmd)
		if !ok || len(b.X.Redirs) > 0 || isPipe(left) != pipes {
			reversed = append(reversed, b.X)
			slices.Reverse(reversed)
			return reversed
		}
		b = left
	}
}

// inside reads the statements and words in any other node, each once, and
// gives what they print.
func (r *reader) inside(node syntax.Node, in text) text {
	var out builder
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Stmt:
			out.add(r.statement(n, in))
			return false
		case *syntax.Word:
			r.stdin = in
			r.scan(r.word(n).s)
			return false
		case *syntax.Assign:
			r.assign(n)
			return false
		case *syntax.WordIter:
			r.iterate(n)
			return false
		case *syntax.FuncDecl:
			r.declare(n)
			return n.Name == nil
		}
		return true
	})
	return out.text()
}

// iterate reads the head of a loop; its variable is taken for the first item.
func (r *reader) iterate(n *syntax.WordIter) {
	for i, w := range n.Items {
		t := r.word(w)
		r.scan(t.s)
		if i == 0 {
			r.set(n.Name.Value, t)
		}
	}
}

func (r *reader) declare(n *syntax.FuncDecl) {
	if n.Name == nil {
		return
	}
	f := &function{body: n.Body}
	r.declared = append(r.declared, f)
	if r.functions == nil {
		r.functions = map[string]*function{}
	}
	r.functions[n.Name.Value] = f
}

// function is a function of a script. Its body is read when it is called first,
// and again when it reads for the first time what was fetched, or decoded.
type function struct {
	body  *syntax.Stmt
	read  bool
	input text // what it has read so far
	out   text
}

// call reads the body with the arguments of a call, the name included.
func (f *function) call(r *reader, args []text, in text) text {
	if !f.read || in.fetched && !f.input.fetched || in.decoded && !f.input.decoded {
		f.read, f.input = true, from(f.input).plus(from(in))
		before := r.params
		r.params = args
		f.out = r.statement(f.body, in)
		r.params = before
	}
	return f.out
}

func (r *reader) callExpr(n *syntax.CallExpr, in text) text {
	r.stdin = in
	for _, a := range n.Assigns {
		r.assign(a)
	}
	var args []text
	var into []*syntax.ProcSubst
	for _, w := range n.Args {
		args = append(args, r.fields(w)...)
		into = append(into, outward(w)...)
	}
	if len(args) == 0 {
		return text{}
	}
	var out text
	if f := r.functions[args[0].s]; f != nil {
		for _, a := range args[1:] {
			r.scan(a.s)
		}
		out = f.call(r, args, in)
	} else {
		if !slices.Contains(builtins, args[0].s) {
			r.starts(args[0])
		}
		out = r.call(args, in)
	}
	for _, p := range into {
		r.statements(p.Stmts, out)
	}
	return out
}

// keywords are what can stand before a command in a compound one, and heads
// what begins one with words that are no command.
var (
	keywords = strings.Fields("! if then else elif fi do done while until time { }")
	heads    = strings.Fields("case for select function esac")
)

// builtins are the commands that are part of a shell and no programs.
var builtins = strings.Fields(": . [ [[ alias bg break builtin cd command continue declare dirs eval exec exit export fg getopts hash history jobs let local " +
	"mapfile popd pushd pwd read readarray readonly return set shift shopt source times trap type typeset ulimit umask unalias unset wait")

// outward are the commands that a word lets be written to: >(command).
func outward(w *syntax.Word) []*syntax.ProcSubst {
	if w == nil {
		return nil
	}
	var out []*syntax.ProcSubst
	for _, part := range w.Parts {
		if p, ok := part.(*syntax.ProcSubst); ok && p.Op == syntax.CmdOut {
			out = append(out, p)
		}
	}
	return out
}
