// Package text prints findings for people: each reads as a time line, with the
// reasons beside it, what was missing, and what would settle it.
//
// In: findings. Out: lines for a terminal or a file. Nothing from a log can
// control the terminal: every such text passes through visible.Text.
package text

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"tidewaiter/analytic"
	"tidewaiter/finding"
	"tidewaiter/visible"
)

// Printer prints findings.
type Printer struct {
	// W is where it prints.
	W io.Writer
	// Width is the number of columns; less than 60 counts as 60.
	Width int
	// Color says whether to use ANSI colours.
	Color bool
	// Verbose lists every piece of evidence, not only the first of many.
	Verbose bool
	err     error
}

// Err is the first error of writing, or nil.
func (p *Printer) Err() error { return p.err }

// Printf prints a line or part of one. Arguments that may come from a log must
// have passed through visible.Text.
func (p *Printer) Printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.W, format, args...)
	}
}

func (p *Printer) width() int { return max(p.Width, 60) }

// Style is a way to set text apart.
type Style string

// The styles, as ANSI parameters.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "1;31"
	Yellow Style = "33"
	Cyan   Style = "36"
	Alarm  Style = "1;37;41"

	Blue    Style = "34"
	Magenta Style = "35"
	Green   Style = "32"
)

// Paint gives s in a style, if colours are on.
func (p *Printer) Paint(style Style, s string) string {
	if !p.Color || style == Plain || s == "" {
		return s
	}
	return "\x1b[" + string(style) + "m" + s + "\x1b[0m"
}

// SeverityStyle is how a severity is painted.
func SeverityStyle(s analytic.Severity) Style {
	switch s {
	case analytic.Critical:
		return Alarm
	case analytic.High:
		return Red
	case analytic.Medium:
		return Yellow
	case analytic.Low:
		return Cyan
	}
	return Dim
}

// Findings prints findings one after another.
func (p *Printer) Findings(fs []finding.Finding) {
	for i, f := range fs {
		if i > 0 {
			p.Printf("\n")
		}
		p.Finding(f)
	}
}

// Finding prints one finding.
func (p *Printer) Finding(f finding.Finding) {
	p.head(f)
	p.timeline(f)
	p.reasons(f)
}

const indent = "  "

func (p *Printer) head(f finding.Finding) {
	sev := " " + strings.ToUpper(f.Severity.String()) + " "
	lines := wrap(visible.Text(f.Title), p.width()-utf8.RuneCountInString(sev)-1)
	for i, l := range lines {
		if i == 0 {
			p.Printf("%s %s\n", p.Paint(SeverityStyle(f.Severity), sev), p.Paint(Bold, l))
			continue
		}
		p.Printf("%s %s\n", strings.Repeat(" ", utf8.RuneCountInString(sev)), p.Paint(Bold, l))
	}
	var ids []string
	for _, a := range f.Analytics {
		ids = append(ids, a.ID+" "+a.Name+" ("+strings.Join(a.Techniques, ", ")+")")
	}
	for _, l := range wrap(visible.Text(strings.Join(ids, " · ")), p.width()-len(indent)) {
		p.Printf("%s%s\n", indent, l)
	}
	p.small(fmt.Sprintf("score %d of 100 · confidence %.0f %% · %s%s · %s",
		f.Points(), f.Confidence*100, f.State, scopeOf(f), f.Chain))
	p.small("finding " + f.ID)
	for _, words := range f.MachineWords() {
		p.small(words)
	}
	for _, s := range f.Subjects {
		if words := s.PodWords(); words != "" {
			p.small(words)
		}
		if c := s.Container; c != nil {
			if c.ID != "" {
				p.small("container " + c.ID)
			}
			for _, d := range c.Image.Digests {
				p.small("image " + d.String())
			}
		}
		if s.Image != nil {
			p.small("image " + s.Image.Canonical.String())
		}
	}
}

// small prints a line of detail, wrapped.
func (p *Printer) small(s string) {
	for _, l := range wrap(visible.Text(s), p.width()-len(indent)) {
		p.Printf("%s%s\n", indent, p.Paint(Dim, l))
	}
}

func scopeOf(f finding.Finding) string {
	if f.Scope == "" {
		return ""
	}
	return " · scope " + f.Scope
}

// maxLines bounds the evidence that is listed without Verbose.
const maxLines = 24

// timeline prints the evidence in order of time. A leg's name stands where the
// leg begins.
func (p *Printer) timeline(f finding.Finding) {
	if len(f.Evidence) == 0 {
		return
	}
	span := daysOf(f)
	dir := commonDir(f.Evidence)
	p.Printf("\n")
	p.small(span.String() + " UTC, records in " + cmp.Or(dir, "."))
	hidden := f.Omitted
	if p.Verbose {
		for _, e := range f.Evidence {
			p.evidence(finding.Listed{Evidence: e}, span, dir)
		}
	} else {
		listed := finding.List(f.Evidence)
		for i, l := range listed {
			if i >= maxLines && len(l.Signals) == 0 && i < len(listed)-1 {
				hidden += 1 + l.Alike
				continue
			}
			p.evidence(l, span, dir)
		}
	}
	if hidden > 0 {
		p.Printf("%s%s\n", indent, p.Paint(Dim, fmt.Sprintf("and %d more records of the same story", hidden)))
	}
	for _, l := range f.Legs {
		if l.State != analytic.Seen {
			p.missing(l, span)
		}
	}
}

// missing prints in the place of a leg that it was not seen.
func (p *Printer) missing(l finding.Leg, span days) {
	mark := fmt.Sprintf("%-*s  ", span.width(), "–")
	for _, line := range wrap(visible.Text(l.Name+": "+l.Detail()), p.width()-len(indent)-utf8.RuneCountInString(mark)) {
		p.Printf("%s%s%s\n", indent, p.Paint(Yellow, mark), p.Paint(Yellow, line))
		mark = strings.Repeat(" ", utf8.RuneCountInString(mark))
	}
}

// commonDir is the folder, with its final slash, that all records' files are
// in; "" if they share none.
func commonDir(evidence []finding.Evidence) string {
	dir := ""
	for i, e := range evidence {
		file := e.Event.Origin.File
		if i == 0 {
			dir = file[:strings.LastIndexByte(file, '/')+1]
			continue
		}
		for !strings.HasPrefix(file, dir) {
			dir = dir[:strings.LastIndexByte(strings.TrimSuffix(dir, "/"), '/')+1]
		}
	}
	return dir
}

// The columns of the time line.
const (
	legWidth  = 9
	citeWidth = 34 // at most, and a third of the line
)

// evidence prints one record: when, which leg, what, and where it stands.
func (p *Printer) evidence(e finding.Listed, span days, dir string) {
	clock := span.clock(e.Event.Time)
	cite := clipLeft(visible.Text(fmt.Sprintf("%s:%d", strings.TrimPrefix(e.Event.Origin.File, dir), e.Event.Origin.Line())), min(citeWidth, p.width()/3))
	style, mark := Plain, " "
	if len(e.Signals) > 0 {
		style, mark = Bold, "!"
	}
	left := len(indent) + span.width() + 1 + 1 + legWidth + 2
	room := p.width() - left - utf8.RuneCountInString(cite) - 2
	lines := wrap(visible.Text(e.Words()), room)
	if len(lines) > maxSays {
		lines = append(lines[:maxSays-1], strings.TrimSuffix(clip(lines[maxSays-1], room-1), "…")+"…")
	}
	for i, l := range lines {
		if i > 0 {
			p.Printf("%s%s\n", strings.Repeat(" ", left), p.Paint(style, l))
			continue
		}
		p.Printf("%s%-*s %s%s  %s%s  %s\n", indent, span.width(), clock, p.Paint(Red, mark), p.Paint(legStyle(e.Leg), fmt.Sprintf("%-9s", visible.Text(e.Leg))), p.Paint(style, l),
			strings.Repeat(" ", max(room-utf8.RuneCountInString(l), 0)), p.Paint(Dim, cite))
	}
}

// legStyle is how a leg of the story is painted.
func legStyle(leg string) Style {
	switch leg {
	case "arrival", "launch":
		return Blue
	case "creation", "change":
		return Magenta
	case "start", "boot":
		return Green
	case "command", "script", "write":
		return Yellow
	case "egress":
		return Red
	}
	return Plain
}

// maxSays bounds the lines that one record takes.
const maxSays = 4

// reasons prints why it was raised, what limits it, and what would settle it.
func (p *Printer) reasons(f finding.Finding) {
	p.Printf("\n")
	for i, s := range f.Signals {
		points := fmt.Sprintf("%+3.0f", s.Points)
		if s.Learning {
			points = "  –"
		}
		p.item(i, "why", points+"  ", visible.Text(s.Name+": "+s.Says))
	}
	for i, n := range f.Notes {
		p.item(i, "note", "", visible.Text(n))
	}
	for i, c := range f.Clear {
		p.item(i, "to settle", "", visible.Text(c))
	}
}

// item prints one entry of a list, hanging from its label and head.
func (p *Printer) item(i int, label, head, s string) {
	if i > 0 {
		label = ""
	}
	hang := len(indent) + 11 + utf8.RuneCountInString(head)
	for j, l := range wrap(s, p.width()-hang) {
		if j > 0 {
			p.Printf("%s%s\n", strings.Repeat(" ", hang), l)
			continue
		}
		p.Printf("%s%s %s%s\n", indent, p.Paint(Dim, fmt.Sprintf("%-10s", label)), p.Paint(Dim, head), l)
	}
}
