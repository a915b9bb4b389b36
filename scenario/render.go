package scenario

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"tidewaiter/analytic"
	"tidewaiter/finding"
	"tidewaiter/visible"
)

// NoFindings is what stands for no findings: it is said, never left out.
const NoFindings = "no findings\n"

// Render puts findings into the words of a scenario file: times as offsets
// from the start, short names in place of ids, nothing that differs from run
// to run. What came from a log is escaped.
func (s *Scenario) Render(fs []finding.Finding) string {
	if len(fs) == 0 {
		return NoFindings
	}
	r := renderer{s: s, ids: s.names.replacer()}
	for i, f := range fs {
		if i > 0 {
			r.b.WriteByte('\n')
		}
		r.finding(f)
	}
	return r.b.String()
}

// Summary gives the head lines of findings, as Render writes them, in short:
// "high 67", one after the other.
func Summary(findings string) string {
	var out []string
	for l := range strings.Lines(findings) {
		if words := strings.Fields(l); len(words) > 1 && l[0] != ' ' {
			out = append(out, strings.Join(words[:2], " "))
		}
	}
	return cmp.Or(strings.Join(out, ", "), "not said")
}

type renderer struct {
	s   *Scenario
	ids *strings.Replacer
	b   strings.Builder
}

// words makes text of a finding printable.
func (r *renderer) words(s string) string { return visible.Text(r.ids.Replace(s)) }

func (r *renderer) line(indent int, s string) {
	r.b.WriteString(strings.TrimRight(strings.Repeat("  ", indent)+s, " ") + "\n")
}

func (r *renderer) finding(f finding.Finding) {
	var ids []string
	for _, a := range f.Analytics {
		ids = append(ids, a.ID)
	}
	r.line(0, r.words(fmt.Sprintf("%s %d  %s  %s", f.Severity, finding.Points(f.Score), strings.Join(ids, ", "), f.Owner)))
	r.line(1, r.words(f.Title))
	about := fmt.Sprintf("%s, confidence %.0f %%", f.State, f.Confidence*100)
	if f.Scope != "" {
		about += ", scope " + f.Scope
	}
	if f.Chain != "" {
		about += "; " + f.Chain
	}
	r.line(1, r.words(about))
	for _, s := range f.Subjects {
		if w := s.PodWords(); w != "" {
			r.line(1, r.words(w))
		}
	}
	r.line(1, "because")
	r.signals(f)
	r.line(1, "seen")
	r.evidence(f)
	r.lists(f)
}

func (r *renderer) signals(f finding.Finding) {
	width := 0
	for _, s := range f.Signals {
		width = max(width, utf8.RuneCountInString(s.Name))
	}
	for _, s := range f.Signals {
		points := fmt.Sprintf("%+3.0f", s.Points)
		if s.Learning {
			points = "  –" // only noted
		}
		r.line(2, fmt.Sprintf("%s  %-*s  %s", points, width, s.Name, r.words(s.Says)))
	}
}

// legWidth is the longest leg's name.
const legWidth = 8

func (r *renderer) evidence(f finding.Finding) {
	width := len("absent")
	for _, l := range f.Legs {
		if l.State != analytic.Seen {
			width = max(width, len(l.State))
		}
	}
	for _, e := range f.Evidence {
		width = max(width, len(offset(e.Event.Time, r.s.Start)))
	}
	for _, e := range f.Evidence {
		tail := ""
		if len(e.Signals) > 0 {
			tail = "  (" + strings.Join(e.Signals, ", ") + ")"
		}
		r.line(2, fmt.Sprintf("%-*s  %-*s  %s%s", legWidth, cmp.Or(e.Leg, "–"), width, offset(e.Event.Time, r.s.Start), r.words(e.Says), tail))
	}
	if f.Omitted > 0 {
		r.line(2, fmt.Sprintf("and %d more records of the same story", f.Omitted))
	}
	for _, l := range f.Legs {
		if l.State != analytic.Seen {
			r.line(2, fmt.Sprintf("%-*s  %-*s  %s", legWidth, l.Name, width, l.State, l.Detail()))
		}
	}
}

// lists prints what limits the finding and what would settle it.
func (r *renderer) lists(f finding.Finding) {
	for _, n := range f.Notes {
		r.line(1, "note: "+r.words(n))
	}
	for _, c := range f.Clear {
		r.line(1, "to settle: "+r.words(c))
	}
}
