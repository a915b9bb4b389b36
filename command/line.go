// Package command reads command lines: which programs they run, what they
// fetch, write and run, and where to. It knows the grammar of shells and the
// options of the programs that attacks use, and takes every text as data.
//
// In: an argument vector, or a line as a runtime prints it. Out: a Line, a pure
// function of it. What a text does cannot be known in full; what is not known is
// left out, and never guessed.
package command

import (
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Line is what a command line says it is going to do, read from its
// arguments alone: a pure function of argv. A shell's script is read as a
// shell would run it, so that the commands in it count like commands run.
type Line struct {
	// Programs are the names of the programs that run, first the one executed
	// and then those that wrappers and scripts name, without paths, in order,
	// once each.
	Programs []string
	// Endpoints are the places elsewhere that the arguments name.
	Endpoints []Endpoint
	// Writes are the paths that the command writes downloads or output to.
	Writes []string
	// Runs are the files that are run besides the program executed: by a
	// wrapper, by a script, or by an interpreter that is told their name.
	Runs []string
	// Drops is the first file that a script runs and wrote before, or "".
	Drops string
	// DownloadPiped is set when what was fetched is run by an interpreter
	// without becoming a file; DecodePiped when what was decoded is.
	DownloadPiped, DecodePiped bool
	// RemoteShell is set when a shell, or program text that starts one, is joined
	// to a connection.
	RemoteShell bool
	// Downloads is set when a downloader names an endpoint.
	Downloads bool
	// Text is the command line for people: arguments joined by blanks, valid
	// UTF-8, at most MaxText bytes.
	Text string
}

// Endpoint is a place on a network that an argument names.
type Endpoint struct {
	// Host is a name or an address, in lower case; Addr is valid if it is an
	// address.
	Host   string
	Addr   netip.Addr
	Port   int    // 0 when not given
	Scheme string // "http", "stratum+tcp", … or ""
}

// Bounds on what one command line can cause.
const (
	// MaxText is the length of a command line's text in bytes.
	MaxText = 16 << 10

	maxItems   = 64        // of Programs, Endpoints, Writes and Runs, each
	maxName    = 255       // bytes of a program's name (NAME_MAX)
	maxPath    = 4096      // bytes of a path (PATH_MAX)
	maxScript  = 128 << 10 // bytes of one argument (MAX_ARG_STRLEN)
	maxParsed  = 512 << 10 // bytes of all scripts together
	maxUnfold  = 1 << 20   // bytes that variables unfold to
	maxDepth   = 8         // scripts in scripts
	maxWrapped = 32        // wrappers around a command
	maxNesting = 256       // open brackets in a script
	maxLevels  = 1000      // statements in statements
)

// Parse reads an argument vector. exe and script add the file names
// that the kernel resolved; both may be "".
func Parse(args []string, exe, script string) Line {
	r := &reader{}
	line := texts(args)
	if len(args) > 0 {
		r.program(args[0])
	}
	// Busybox tells its applet only in argv[0], a renamed tool only in exe.
	if !isMulticall(baseName(exe)) {
		r.program(exe)
		if len(args) > 0 && !isKnown(args[0]) {
			line[0].s = strings.TrimSuffix(exe, " (deleted)")
		}
	}
	r.program(script)
	if len(args) > 0 {
		r.call(line, text{})
	}
	r.out.Text = shown(args)
	if !slices.Contains(args, "-c") { // else its script was looked at
		r.out.RemoteShell = r.out.RemoteShell || remoteShell(r.out.Text)
	}
	return r.out
}

// ParseLine reads a command line that a runtime printed as one text, where
// quoting is lost: "sh -c wget -q http://x && …" is taken as a shell would
// have been given it.
func ParseLine(line string) Line {
	fields := strings.Fields(line)
	if i := scriptField(fields); i > 0 {
		rest := line
		for _, f := range fields[:i] {
			rest = rest[strings.Index(rest, f)+len(f):]
		}
		fields = append(fields[:i], strings.TrimSpace(rest))
	}
	c := Parse(fields, "", "")
	c.Text = shown([]string{line})
	return c
}

// scriptField is the index of the field at which the script of a "sh -c"
// begins, 0 if there is none.
func scriptField(fields []string) int {
	if len(fields) == 0 {
		return 0
	}
	r := &reader{}
	inner := r.unwrap(texts(fields), text{})
	if len(inner) == 0 {
		return 0
	}
	p, _ := lookup(baseName(inner[0].s))
	if p.role != shell {
		return 0
	}
	opts, operands := p.options(inner[1:])
	i := len(fields) - len(operands)
	if !hasOption(opts, "c") || len(operands) == 0 || i < 0 || operands[0].s != fields[i] {
		return 0
	}
	return i
}

// shown joins arguments for people.
func shown(args []string) string {
	var b strings.Builder
	for i, a := range args {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(a[:min(len(a), MaxText+1)])
		if b.Len() > MaxText {
			break
		}
	}
	s := strings.ToValidUTF8(b.String()[:min(b.Len(), MaxText+1)], "\ufffd")
	if len(s) <= MaxText {
		return s
	}
	end := MaxText - len("…")
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// reader reads one command line.
type reader struct {
	out       Line
	vars      map[string]text // what a script has assigned
	functions map[string]*function
	declared  []*function // the same, in order
	params    []text      // $0, $1, …
	stdin     text        // of the command that is read
	depth     int         // scripts in scripts
	level     int         // statements in statements
	parsed    int         // bytes of scripts
	unfolded  int         // bytes that variables gave
}

// call reads a command and the commands it carries, and gives what it prints
// when it reads in.
func (r *reader) call(args []text, in text) text {
	if args = r.unwrap(args, in); len(args) == 0 {
		return unknown
	}
	name := baseName(args[0].s)
	p, _ := lookup(name)
	rest := args[1:]
	switch p.role {
	case shell:
		return r.shell(p, rest, in)
	case interpreter:
		return r.interpreter(name, p, rest, in)
	case powershell:
		return r.powershell(rest, in)
	case commandExe:
		return r.commandExe(rest, in)
	case finder:
		r.find(rest, in)
		return unknown
	}
	for _, a := range rest {
		r.scan(a.s)
	}
	switch p.role {
	case downloader:
		return r.downloader(name, p, rest)
	case peer, relay:
		return r.peer(name, p, rest)
	case resolver, copier:
		r.hosts(name, p, rest)
	case decoder:
		return decode(name, p, rest, in)
	case printer:
		return printed(name, rest)
	case passer:
		return r.pass(name, p, rest, in)
	}
	if name == "command" {
		return args[len(args)-1] // "-v name" asks where it is
	}
	return from(in)
}

// starts notes a program that runs besides the one executed.
func (r *reader) starts(t text) {
	r.piped(t)
	r.program(t.s)
	if strings.ContainsAny(t.s, `/\`) {
		r.runs(t)
	}
}

// program notes a program's name.
func (r *reader) program(path string) {
	name := baseName(strings.TrimSuffix(path, " (deleted)"))
	if name == "" || len(name) > maxName || strings.Contains(name, "$") || procLink.MatchString(path) {
		return
	}
	r.out.Programs = note(r.out.Programs, name)
}

// procLink fits the links in /proc by which a program runs itself or what it
// has open: they name nothing.
var procLink = regexp.MustCompile(`^/proc/[^/]+/(exe|fd/[0-9]+)$`)

// runs notes a file that is run besides the program executed.
func (r *reader) runs(t text) {
	if t.partial || t.s == "" || len(t.s) > maxPath || isStdin(t.s) {
		return
	}
	r.out.Runs = note(r.out.Runs, t.s)
	if r.out.Drops == "" && slices.ContainsFunc(r.out.Writes, func(w string) bool { return path.Clean(w) == path.Clean(t.s) }) {
		r.out.Drops = t.s
	}
}

// write notes a path that is written. Devices are no files, but for those
// directories in /dev that hold some.
func (r *reader) write(t text) {
	device := strings.HasPrefix(t.s, "/dev/") && !strings.HasPrefix(t.s, "/dev/shm/") && !strings.HasPrefix(t.s, "/dev/mqueue/")
	if t.partial || t.s == "" || t.s == "-" || device || len(t.s) > maxPath {
		return
	}
	r.out.Writes = note(r.out.Writes, t.s)
}

func note(list []string, s string) []string {
	if len(list) < maxItems && !slices.Contains(list, s) {
		return append(list, s)
	}
	return list
}

// piped notes where a text that is run as a program came from.
func (r *reader) piped(t text) {
	r.out.DownloadPiped = r.out.DownloadPiped || t.fetched
	r.out.DecodePiped = r.out.DecodePiped || t.decoded
}

// shell reads the arguments of a shell.
func (r *reader) shell(p program, args []text, in text) text {
	opts, operands := p.options(args)
	switch {
	case hasOption(opts, "c") && len(operands) > 0:
		before := r.params
		r.params = operands[1:]
		out := r.run(operands[0], in)
		r.params = before
		return out
	case hasOption(opts, "s") || len(operands) == 0 || isStdin(operands[0].s):
		return r.run(in, text{})
	}
	r.piped(operands[0])
	r.runs(operands[0])
	for _, a := range args {
		r.scan(a.s)
	}
	return unknown
}

// run reads shell text.
func (r *reader) run(t, in text) text {
	r.piped(t)
	if t.s == unknown.s {
		return unknown
	}
	return r.script(t.s, in)
}

// interpreter reads the arguments of what runs program text that is no shell's.
func (r *reader) interpreter(name string, p program, args []text, in text) text {
	opts, operands := p.options(args)
	for _, f := range values(opts, p.file) {
		operands = append([]text{f}, operands...)
	}
	codes := values(opts, p.code)
	for _, code := range codes {
		r.piped(code)
		if r.code(name, code.s) {
			r.piped(in) // it may be what it evaluates
		}
	}
	switch {
	case name == "eval":
		return r.run(joined(args), in)
	case len(codes) > 0:
	case len(operands) == 0 || isStdin(operands[0].s):
		r.piped(in)
		r.scan(in.s)
	default:
		r.piped(operands[0])
		r.runs(operands[0])
	}
	for _, a := range args {
		r.scan(a.s)
	}
	return unknown
}

var (
	evaluates = regexp.MustCompile(`\beval\b`)
	executes  = regexp.MustCompile(`\b(eval|exec)\s*\(`) // in Python; elsewhere exec starts programs
	decodes   = regexp.MustCompile(`(?i)b64decode|base64|decode64|unhexlify|fromhex|b32decode|rot13|decompress`)
	// hostAndPort fits two arguments in program text: ("host", 443), and two
	// properties: {host: "host", port: 443}.
	hostAndPort = regexp.MustCompile(`["']([\pL\pN_.:-]{1,255})["']\s*,\s*(?:["']?port["']?\s*:\s*)?["']?([0-9]{1,5})\b`)
)

// code reads program text that is given as an argument, and reports whether it
// evaluates text as a program.
func (r *reader) code(name, s string) bool {
	fetches := r.urls(s)
	for _, m := range hostAndPort.FindAllStringSubmatch(s, maxItems) {
		if port, err := strconv.ParseUint(m[2], 10, 16); err == nil && (isDomain(m[1]) && !filePattern.MatchString(m[1]) || isAddr(m[1])) {
			r.endpoint(Endpoint{Host: m[1], Port: int(port)})
			fetches = true
		}
	}
	r.out.RemoteShell = r.out.RemoteShell || codeIsRemoteShell(s)
	evals := evaluates.MatchString(s) || strings.HasPrefix(name, "py") && executes.MatchString(s)
	r.piped(text{fetched: evals && fetches, decoded: evals && decodes.MatchString(s)})
	return evals
}
