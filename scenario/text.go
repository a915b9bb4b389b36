package scenario

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/policy"
	"tidewaiter/strictyaml"
)

// Extension is how the names of scenario files end.
const Extension = ".scenario"

// Bounds on a scenario file. They are far beyond what people read.
const (
	maxText   = 4 << 20 // bytes
	maxFaults = 20      // faults that are told one by one
)

// defaultStart is when virtual time begins unless a scenario says otherwise.
const defaultStart = "2026-01-01T10:00:00Z"

// Scenario is one scenario in the form of docs/formats/scenario.md: what
// happens, in virtual time, and what must be found.
type Scenario struct {
	// File is the name that it was read by; evidence is cited by it.
	File string
	// Title says in one line what happens; About says more, or is "".
	Title, About string
	// Start is the moment of +0s.
	Start event.Time
	// Policy is the block's, or the empty policy.
	Policy *policy.Policy
	// History feeds memory only; Events are what is hunted through. Both as
	// written. Each event's origin is its line in File.
	History, Events []event.Event
	// Short says why findings may differ in a cell of the grid, by its name.
	Short map[string]string
	// Want is the text of the findings that are expected, as Render gives it;
	// "" if the file does not say.
	Want string

	names  names
	source string // the file's text up to the expected findings
}

// Load reads a scenario file for the settings of lib. The error names every
// fault with file and line.
func Load(path string, lib *analytic.Library) (*Scenario, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	return Read(path, data, lib)
}

// Read is Load from memory; file is used in messages and citations.
func Read(file string, data []byte, lib *analytic.Library) (*Scenario, error) {
	r := &reader{Scenario: &Scenario{File: file, Short: map[string]string{}, names: names{}}, places: map[string]event.Place{}, known: map[event.ID]int{}}
	switch {
	case len(data) > maxText:
		return nil, &strictyaml.Fault{File: file, Err: fmt.Errorf("the file is larger than %d bytes", maxText)}
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		return nil, &strictyaml.Fault{File: file, Err: errors.New("the file is not UTF-8 text; write other bytes as \"\\xff\"")}
	}
	var err error
	if r.codec, err = event.NewCodec(); err != nil {
		return nil, err
	}
	r.sections(string(data))
	r.fill(lib)
	if err := errors.Join(r.faults...); err != nil {
		return nil, err
	}
	return r.Scenario, nil
}

// Rewrite gives the file's text with other expected findings, and all else
// byte for byte as it was.
func (s *Scenario) Rewrite(findings string) []byte {
	out := s.source
	if out != "" && !strings.HasSuffix(out, "\n") {
		out += "\n"
	}
	return []byte(out + "findings:\n" + indented(findings))
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// line is one line of the file, without its end.
type line struct {
	number int
	offset int // of its first byte
	text   string
}

func (l line) indent() int { return len(l.text) - len(strings.TrimLeft(l.text, " \t")) }

// idle reports a line that says nothing: blank, or a comment.
func (l line) idle() bool {
	t := strings.TrimSpace(l.text)
	return t == "" || t[0] == '#'
}

// section is one part of the file: what stands behind its name and the lines
// below it.
type section struct {
	line
	value string
	body  []line
}

// reader turns one file into a scenario.
type reader struct {
	*Scenario
	parts  map[string]section
	places map[string]event.Place
	codec  *event.Codec
	known  map[event.ID]int // how often an event was told
	faults []error
	untold int
}

func (r *reader) fault(at int, format string, args ...any) {
	if r.untold++; len(r.faults) < maxFaults {
		r.faults = append(r.faults, &strictyaml.Fault{File: r.File, Line: at, Err: fmt.Errorf(format, args...)})
	}
}

// sectionNames are the parts of a file. The last one ends it.
var sectionNames = []string{"title", "about", "start", "policy", "places", "containers", "digests", "history", "events", "grid", "findings"}

var heading = regexp.MustCompile(`^([a-z]+):(?:[ \t]+(.*))?$`)

// sections cuts the file into its parts.
func (r *reader) sections(text string) {
	r.parts = map[string]section{}
	current, number, offset := "", 0, 0
	r.source = text
	for raw := range strings.Lines(text) {
		number++
		l := line{number, offset, strings.TrimRight(raw, "\r\n")}
		offset += len(raw)
		m := heading.FindStringSubmatch(l.text)
		switch {
		case m != nil:
			current = r.begin(m[1], l, m[2])
		case l.text != "" && !strings.HasPrefix(l.text, "#") && l.indent() == 0:
			r.fault(l.number, "want a part's name and a colon, such as \"events:\"; what belongs to a part is indented")
		case current != "":
			s := r.parts[current]
			s.body = append(s.body, l)
			r.parts[current] = s
		case !l.idle():
			r.fault(l.number, "text before the first part; a file begins with \"title: …\"")
		}
	}
	if s, ok := r.parts["findings"]; ok {
		r.source = text[:s.offset]
		r.Want = dedented(s.body)
		for _, l := range s.body {
			if strings.HasPrefix(l.text, "#") {
				r.fault(l.number, "a comment below \"findings\" would be lost, because they are rewritten; move it up")
			}
		}
	}
}

// begin starts a part and gives its name.
func (r *reader) begin(name string, l line, value string) string {
	earlier, twice := r.parts[name]
	switch {
	case !slices.Contains(sectionNames, name):
		r.fault(l.number, "unknown part %q; want one of %s", name, strings.Join(sectionNames, ", "))
	case twice:
		r.fault(l.number, "part %q stands twice, first in line %d", name, earlier.number)
	case r.parts["findings"].number != 0:
		r.fault(l.number, "part %q stands below \"findings\", which must be the last, because it is rewritten", name)
	default:
		r.parts[name] = section{line: l, value: strings.TrimSpace(value)}
		return name
	}
	return ""
}

// dedented gives lines as text, without the indentation that they share and
// without blank lines at the end.
func dedented(lines []line) string {
	least := -1
	for _, l := range lines {
		if strings.TrimSpace(l.text) != "" && (least < 0 || l.indent() < least) {
			least = l.indent()
		}
	}
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(strings.TrimRight(l.text[min(max(least, 0), l.indent()):], " \t") + "\n")
	}
	if s := strings.TrimRight(b.String(), "\n"); s != "" {
		return s + "\n"
	}
	return ""
}

// fill reads the parts in the order in which they need each other.
func (r *reader) fill(lib *analytic.Library) {
	if r.Title = r.parts["title"].value; r.Title == "" {
		r.fault(max(r.parts["title"].number, 1), "no title; begin with \"title: …\", one line that says what happens")
	}
	for _, name := range []string{"title", "start", "containers", "digests"} {
		for _, l := range r.parts[name].body {
			if !l.idle() {
				r.fault(l.number, "%q takes one line", name)
			}
		}
	}
	for _, name := range []string{"policy", "places", "history", "events", "grid", "findings"} {
		if s := r.parts[name]; s.value != "" && s.value[0] != '#' {
			r.fault(s.number, "what belongs to %q stands in the lines below it, indented", name)
		}
	}
	about := r.parts["about"]
	r.About = strings.TrimSpace(about.value + "\n" + dedented(about.body))
	r.start(r.parts["start"])
	r.mint(r.parts["containers"], "container")
	r.mint(r.parts["digests"], "digest")
	r.policy(r.parts["policy"], lib)
	r.readPlaces(r.parts["places"])
	r.History = r.readEvents(r.parts["history"], true)
	r.Events = r.readEvents(r.parts["events"], false)
	if len(r.Events) == 0 && len(r.faults) == 0 {
		r.fault(max(r.parts["events"].number, 1), "nothing happens; tell it in lines below \"events:\"")
	}
	r.readGrid(r.parts["grid"])
	if more := r.untold - len(r.faults); more > 0 {
		r.faults = append(r.faults, &strictyaml.Fault{File: r.File, Err: fmt.Errorf("and %d faults more", more)})
	}
}

func (r *reader) start(s section) {
	at, err := event.ParseRFC3339(cmp.Or(s.value, defaultStart))
	if err != nil {
		r.fault(s.number, "start: %w; write it as %s", err, defaultStart)
	}
	r.Start = event.Time{At: at.At, Res: event.Nanosecond}
}

// version begins every policy; a scenario's block may leave it out.
var version = regexp.MustCompile(`(?m)^\s*version:`)

// policy reads the block in its place, so that faults have the file's lines.
func (r *reader) policy(s section, lib *analytic.Library) {
	r.Policy = policy.Empty(lib.Vocabulary())
	var b strings.Builder
	body, first := strings.Builder{}, ""
	for _, l := range s.body {
		if first == "" && !l.idle() {
			first = l.text[:l.indent()] + "version: 1"
		}
		text, err := r.names.expand(l.text)
		if err != nil {
			r.fault(l.number, "%w", err)
		}
		body.WriteString(text + "\n")
	}
	if first == "" {
		return
	}
	b.WriteString(strings.Repeat("\n", s.number-1))
	if !version.MatchString(body.String()) {
		b.WriteString(first)
	}
	b.WriteString("\n" + body.String())
	p, err := policy.Read(strings.NewReader(b.String()), r.File, lib.Vocabulary())
	if err != nil {
		r.untold++
		r.faults = append(r.faults, err)
		return
	}
	r.Policy = p
}

// readGrid reads which cells may fall short, "CELL: why".
func (r *reader) readGrid(s section) {
	cells := Perturbations(r.Events)
	for _, l := range s.body {
		if l.idle() {
			continue
		}
		name, why, found := strings.Cut(strings.TrimSpace(l.text), ": ")
		switch {
		case !found || strings.TrimSpace(why) == "":
			r.fault(l.number, "want a cell of the grid and why findings differ there, such as \"without auditd: nothing else tells what ran\"")
		case r.Short[name] != "":
			r.fault(l.number, "cell %q stands twice", name)
		case !slices.ContainsFunc(cells, func(c Cell) bool { return c.Name == name }):
			r.fault(l.number, "unknown cell %q; those of this scenario are %s", name, cellNames(cells))
		default:
			r.Short[name] = strings.TrimSpace(why)
		}
	}
}

func cellNames(cells []Cell) string {
	var out []string
	for _, c := range cells {
		out = append(out, c.Name)
	}
	return strings.Join(out, ", ")
}
