package html

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/finding"
)

// chart is a finding's story as swim lanes over one axis, ready to be drawn.
type chart struct {
	Class         string
	Width, Height float64
	Lanes         []laneView
	Ticks         []tick
	Days          []tick
	Breaks        []breakView
	// Top and Bottom are where the lanes begin and end, Clock and Date the
	// lines that the axis is labelled on.
	Top, Bottom, Clock, Date float64
	Says                     string
}

// laneView is one leg, or what is of none.
type laneView struct {
	Name, Class          string
	X, Y, Width, Height  float64
	LabelX, LabelY, Line float64
	// State says in words why the lane is empty, Detail why and what that
	// means; both "" for one that is not.
	State, Detail string
	StateWidth    float64
	Marks         []markView
}

// markView is one record, or several that lie in one place.
type markView struct {
	// Of is the evidence that it leads to.
	Of          int
	X, Y        float64
	Left, Width float64 // of the bar of several
	Count       int
	Class, Says string
}

type breakView struct {
	X, Left, Right float64
	Text           string
}

// Top is where a bar begins.
func (m markView) Top() float64 { return m.Y - 9 }

// Base is the line that a bar's number stands on.
func (m markView) Base() float64 { return m.Y + 4 }

// PillX is where the words of an empty lane begin.
func (l laneView) PillX() float64 { return round(l.X + (l.Width-l.StateWidth)/2) }

// PillY is where they begin from above.
func (l laneView) PillY() float64 { return l.Line - 10 }

// StateX is their middle.
func (l laneView) StateX() float64 { return round(l.X + l.Width/2) }

// StateY is the line that they stand on.
func (l laneView) StateY() float64 { return l.Line + 4 }

// Wide is a break's width.
func (b breakView) Wide() float64 { return round(b.Right - b.Left) }

// Tear is the path of a break's two rims, from the top to the bottom.
func (b breakView) Tear(bottom float64) string {
	var s strings.Builder
	for _, x := range []float64{b.Left, b.Right} {
		fmt.Fprintf(&s, "M%g 0", x)
		side := 4.0
		for y := 0.0; y < bottom; y += 12 {
			fmt.Fprintf(&s, "q%g %g 0 %g", side, min(12, bottom-y)/2, min(12, bottom-y))
			side = -side
		}
	}
	return s.String()
}

// shape is the measure of a chart.
type shape struct {
	class               string
	width, gutter, lane float64
	label, line         float64 // of the label and the marks, below the lane's top
	least, gap          float64 // the least width of a segment, and a break's
	breaks              int     // at most
}

// wide and narrow are the two measures: for screens and paper, and for phones.
func wide() shape   { return shape{"wide", 1080, 108, 36, 22, 18, 104, 50, 3} }
func narrow() shape { return shape{"narrow", 344, 0, 46, 14, 30, 76, 46, 2} }

const (
	laneGap = 4.0
	radius  = 6.0
	// near is how close two marks of a lane can be and still be two.
	near = 17.0
)

// lanes are the legs that every story can have, in their order.
var lanes = []string{"arrival", "launch", "creation", "start", "change", "boot", "script", "command", "write", "egress"}

// The lanes of what is of no leg.
const (
	lookups = "look-ups"
	others  = "other"
)

// laneOf says in which lane a record is drawn. One of a leg's kind that does
// not count for the leg is drawn there only if the leg was seen.
func laneOf(e finding.Evidence, states map[string]analytic.LegState) string {
	if e.Leg != "" {
		return e.Leg
	}
	name := others
	switch e.Kind {
	case evidence.Arrival:
		name = "arrival"
	case evidence.Creation:
		name = "creation"
	case evidence.Start:
		name = "start"
	case evidence.Command, evidence.Exec:
		name = "command"
	case evidence.Connection:
		name = "egress"
	case evidence.Lookup:
		return lookups
	}
	if state, told := states[name]; told && state != analytic.Seen {
		return others
	}
	return name
}

// newChart draws a finding's evidence; nil if no record of it has a time.
func newChart(f *finding.Finding, listed []int, s shape) *chart {
	var at []int64
	for _, e := range f.Evidence {
		if !e.Event.Time.IsZero() {
			at = append(at, e.Event.Time.At)
		}
	}
	if len(at) == 0 {
		return nil
	}
	slices.Sort(at)
	at = slices.Compact(at)
	x := newAxis(at, s)
	c := &chart{Class: s.class, Width: s.width, Says: fmt.Sprintf("Time line of %d records, %s", len(f.Evidence), stretch(at[0], at[len(at)-1]))}
	y := c.Top
	for _, name := range laneNames(f) {
		l := newLane(f, name, s, y)
		l.mark(f, listed, x)
		c.Lanes = append(c.Lanes, l)
		y += s.lane + laneGap
	}
	c.Bottom = y - laneGap
	c.Clock, c.Date, c.Height = c.Bottom+17, c.Bottom+32, c.Bottom+38
	c.label(x)
	return c
}

// stretch says from when to when.
func stretch(first, last int64) string {
	const layout = "2006-01-02 15:04:05"
	return event.Unix(first).Format(layout) + " to " + event.Unix(last).Format(layout) + " UTC"
}

// laneNames are the lanes that a finding needs: its legs, in the order of a
// story, then what else is cited.
func laneNames(f *finding.Finding) []string {
	states := legStates(f)
	used := map[string]bool{}
	for name := range states {
		used[name] = true
	}
	for _, e := range f.Evidence {
		if !e.Event.Time.IsZero() {
			used[laneOf(e, states)] = true
		}
	}
	var out []string
	take := func(name string) {
		if used[name] && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	for _, name := range lanes {
		take(name)
	}
	for _, l := range f.Legs {
		take(l.Name)
	}
	for _, e := range f.Evidence {
		if name := laneOf(e, states); name != others && name != lookups {
			take(name)
		}
	}
	take(lookups)
	take(others)
	return out
}

func legStates(f *finding.Finding) map[string]analytic.LegState {
	states := map[string]analytic.LegState{}
	for _, l := range f.Legs {
		states[l.Name] = l.State
	}
	return states
}

// laneClass gives a lane its colour.
func laneClass(name string) string {
	if slices.Contains(lanes, name) {
		return "leg-" + name
	}
	return "leg-other"
}

func newLane(f *finding.Finding, name string, s shape, y float64) laneView {
	l := laneView{Name: clip(name, 16), Class: laneClass(name), X: s.gutter, Y: y, Width: s.width - s.gutter, Height: s.lane,
		LabelX: 0, LabelY: y + s.label, Line: y + s.line}
	if s.gutter == 0 {
		l.LabelX = 8
	}
	for _, leg := range f.Legs {
		if leg.Name == name && leg.State != analytic.Seen {
			l.State, l.Detail = stateWords(leg.State), leg.Detail()
			l.StateWidth = round(float64(len(l.State))*6.8 + 18)
		}
	}
	return l
}

// stateWords says in short why a leg is missing.
func stateWords(s analytic.LegState) string {
	switch s {
	case analytic.Absent:
		return "absent"
	case analytic.Untied:
		return "recorded, tied to nobody"
	case analytic.Outside:
		return "outside the window"
	case analytic.Blind:
		return "not observable here"
	}
	return clip(string(s), 30)
}

// mark puts the lane's records on the axis. Those that would touch become one
// bar with their number.
func (l *laneView) mark(f *finding.Finding, listed []int, x axis) {
	states := legStates(f)
	var group []int
	last := 0.0
	flush := func() {
		if len(group) > 0 {
			l.Marks = append(l.Marks, newMark(f, group, listed, x, l.Line))
		}
		group = nil
	}
	for i, e := range f.Evidence {
		if e.Event.Time.IsZero() || clip(laneOf(e, states), 16) != l.Name {
			continue
		}
		at := x.x(e.Event.Time.At)
		if len(group) > 0 && at-last >= near {
			flush()
		}
		group, last = append(group, i), at
	}
	flush()
}

func newMark(f *finding.Finding, group, listed []int, x axis, y float64) markView {
	first, last := x.x(f.Evidence[group[0]].Event.Time.At), x.x(f.Evidence[group[len(group)-1]].Event.Time.At)
	m := markView{Of: -1, Count: len(group), X: round((first + last) / 2), Y: round(y), Class: "context"}
	half := max((last-first)/2+radius, 9)
	m.Left, m.Width = round(m.X-half), round(2*half)
	var says []string
	for _, i := range group {
		e := f.Evidence[i]
		if m.Of < 0 && slices.Contains(listed, i) {
			m.Of = i
		}
		if len(e.Signals) > 0 {
			m.Class = "counts"
		}
		if len(says) < maxTitles {
			says = append(says, fmt.Sprintf("%s  %s", e.Event.Time.UTC().Format("15:04:05.000"), clip(e.Says, maxTitle)))
		}
	}
	if rest := len(group) - len(says); rest > 0 {
		says = append(says, fmt.Sprintf("and %d more", rest))
	}
	m.Says = strings.Join(says, "\n")
	return m
}

// Bounds of what a mark's title says.
const (
	maxTitles = 6
	maxTitle  = 120
)

// label labels the axis: clock times, days where they change, breaks.
func (c *chart) label(x axis) {
	before := ""
	for i, s := range x.segments {
		c.Ticks = append(c.Ticks, s.ticks()...)
		if d := event.Unix(s.first).Format("2006-01-02"); d != before {
			c.Days = append(c.Days, tick{round(s.left), round(s.left), d})
			before = d
		}
		if i+1 < len(x.segments) {
			next := x.segments[i+1]
			c.Breaks = append(c.Breaks, breakView{round((s.right + next.left) / 2), round(s.right), round(next.left), short(time.Duration(next.first - s.last))})
		}
	}
}
