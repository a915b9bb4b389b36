package command

import (
	"regexp"
	"slices"
	"strings"

	"tidewaiter/event"
)

// lookup finds how a program reads its arguments, by name.
func lookup(name string) (program, bool) {
	if p, ok := programs[name]; ok {
		return p, true
	}
	for _, loader := range []string{"ld-linux", "ld-musl"} {
		if strings.HasPrefix(name, loader) {
			return programs[loader], true
		}
	}
	p, ok := programs[versioned.ReplaceAllString(name, "")]
	return p, ok
}

// isKnown reports whether the table holds a program, by its path.
func isKnown(path string) bool {
	_, ok := lookup(baseName(path))
	return ok
}

// versioned is what distributions put behind a program's name: "python3.12",
// "nc.openbsd", "bash-static".
var versioned = regexp.MustCompile(`(-?[0-9][0-9.]*|\.openbsd|\.traditional|-static)+$`)

// isMulticall reports programs that are told by argv[0] what they are.
func isMulticall(name string) bool { return name == "busybox" || name == "toybox" }

// baseName is the form in which program names are compared.
func baseName(path string) string { return event.ProgramName(path) }

// option is an option of a command line, with the value if it takes one.
type option struct {
	name  string
	value text
}

// options splits arguments as getopt does. What runs another program stops at
// the first operand: the rest is that program's.
func (p program) options(args []text) (opts []option, operands []text) {
	stops := p.role == wrapper || p.role == shell || p.role == interpreter
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a.s == "--":
			return opts, append(operands, args[i+1:]...)
		case len(a.s) < 2 || a.s[0] != '-' && (a.s[0] != '+' || p.role != shell):
			operands = append(operands, a)
			if stops {
				return opts, append(operands, args[i+1:]...)
			}
		case p.dash || strings.HasPrefix(a.s, "--"):
			name, value, has := strings.Cut(strings.TrimLeft(a.s, "-"), "=")
			o := option{name, a}
			o.value.s = value
			if !has && i+1 < len(args) && hasWord(p.words, name) {
				i++
				o.value = args[i]
			}
			opts = append(opts, o)
		default:
			var more []option
			more, i = p.cluster(args, i)
			opts = append(opts, more...)
		}
	}
	return opts, operands
}

// cluster splits short options that stand together, the last of which may take
// a value: "-sSfo FILE", "-oFILE". It gives the index of the last argument
// that it used.
func (p program) cluster(args []text, i int) (opts []option, last int) {
	a := args[i]
	for j := 1; j < len(a.s) && j <= maxItems; j++ {
		o := option{a.s[j : j+1], a}
		o.value.s = ""
		if strings.Contains(p.letters, o.name) {
			if o.value.s = a.s[j+1:]; o.value.s == "" && i+1 < len(args) {
				i++
				o.value = args[i]
			}
			return append(opts, o), i
		}
		opts = append(opts, o)
	}
	return opts, i
}

// hasWord reports whether a list of words, separated by blanks, holds one.
func hasWord(list, word string) bool {
	for w := range strings.FieldsSeq(list) {
		if w == word {
			return true
		}
	}
	return false
}

func hasOption(opts []option, names ...string) bool {
	return slices.ContainsFunc(opts, func(o option) bool { return slices.Contains(names, o.name) })
}

// values gives the values of the options among names, which are separated by
// blanks.
func values(opts []option, names string) []text {
	var out []text
	for _, o := range opts {
		if hasWord(names, o.name) {
			out = append(out, o.value)
		}
	}
	return out
}

// unwrap gives the command that wrappers carry: "nohup x", "timeout 5 x",
// "busybox wget …". What a wrapper runs as shell text is read at once, with in
// as its input, and nothing is left.
func (r *reader) unwrap(args []text, in text) []text {
	for range maxWrapped {
		name := baseName(args[0].s)
		p, _ := lookup(name)
		if p.role != wrapper {
			break
		}
		opts, operands := p.options(args[1:])
		scripts := values(opts, p.code)
		operands = operands[min(p.skip, len(operands)):]
		isSu := name == "su" || name == "runuser" && !hasOption(opts, "u", "user")
		if i := slices.IndexFunc(operands, func(o text) bool { return o.s == "-c" || o.s == "--command" }); i >= 0 && i+1 < len(operands) && (isSu || name == "flock" && i == 0) {
			scripts = append(scripts, operands[i+1])
		}
		for _, script := range scripts {
			r.run(script, in)
		}
		switch {
		case isSu || len(scripts) > 0:
			return nil
		case name == "env" || name == "sudo" || name == "doas":
			for _, split := range values(opts, "S split-string") {
				operands = append(texts(strings.Fields(split.s)), operands...)
			}
			operands = operands[assignments(operands):]
		case name == "command" && hasOption(opts, "v", "V"):
			return args // asks where a command is
		case name == "watch" && len(operands) > 0:
			r.run(joined(operands), in)
			return nil
		case name == "xargs":
			operands = withInput(operands, values(opts, "I"), in)
		}
		if len(operands) == 0 {
			return args
		}
		for _, a := range args[1:max(1, len(args)-len(operands))] {
			r.scan(a.s)
		}
		args = operands
		r.starts(args[0])
	}
	return args
}

// assignments counts the "NAME=value" that stand before a command.
func assignments(args []text) int {
	i := slices.IndexFunc(args, func(a text) bool { return !strings.Contains(a.s, "=") })
	if i < 0 {
		return len(args)
	}
	return i
}

// withInput puts what xargs reads into a command: for a placeholder, or at its
// end.
func withInput(operands, placeholder []text, in text) []text {
	out := slices.Clone(operands)
	if len(placeholder) > 0 && placeholder[0].s != "" {
		item := text{strings.TrimSpace(in.s), in.partial, in.fetched, in.decoded}
		if len(item.s) > maxPath {
			item = from(item)
		}
		for i, o := range out {
			if n := strings.Count(o.s, placeholder[0].s); n > 0 && n <= maxItems {
				out[i] = text{strings.ReplaceAll(o.s, placeholder[0].s, item.s), o.partial || item.partial, o.fetched || item.fetched, o.decoded || item.decoded}
			}
		}
		return out
	}
	fields := strings.Fields(in.s)
	for _, f := range fields[:min(len(fields), maxItems)] {
		out = append(out, text{f, in.partial, in.fetched, in.decoded})
	}
	return out
}

// isStdin reports the names under which a program finds its standard input.
func isStdin(path string) bool {
	return slices.Contains([]string{"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"}, path)
}
