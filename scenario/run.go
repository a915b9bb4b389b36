package scenario

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/finding"
	"tidewaiter/partition"
)

// Run gives what one partition finds in a scenario when nothing more can come.
// lib is the library that the scenario was read for.
func Run(lib *analytic.Library, s *Scenario) []finding.Finding {
	return s.deliver(lib, s.Events)
}

func (s *Scenario) deliver(lib *analytic.Library, events []event.Event) []finding.Finding {
	p := partition.New(partition.Options{Name: Format, Library: lib, Policy: s.Policy})
	for _, e := range slices.Concat(s.History, events) {
		p.Apply(e)
	}
	p.Advance(math.MaxInt64)
	p.Sync()
	return p.Findings()
}

// Delivered is what one cell of the grid gave.
type Delivered struct {
	Cell Cell
	// Strays say how findings differ from those of what happened; nil if they
	// do not, as far as the cell's promise goes.
	Strays []string
	// Short is the scenario's reason why they may, or "".
	Short string
}

// Fault says what is wrong: findings differ and nobody said why, or a reason
// is given that is not needed; "" if nothing is.
func (d Delivered) Fault() string {
	switch {
	case len(d.Strays) > 0 && d.Short == "":
		return fmt.Sprintf("%s: %s", d.Cell.Name, d.Strays[0])
	case len(d.Strays) == 0 && d.Short != "":
		return fmt.Sprintf("%s: falls short no more; take out its line of \"grid:\"", d.Cell.Name)
	}
	return ""
}

// seed makes every run of the grid the same.
const seed = 7

// Grid delivers a scenario's events in every way of Perturbations. Where only
// the order and number of deliveries differ, findings must read the same;
// where clocks differ or others' records come in between, they must be the
// same in number, identity and severity; where something is missing, a severity
// may differ by one step, no finding being a step below info.
func Grid(lib *analytic.Library, s *Scenario) []Delivered {
	want := Run(lib, s)
	var out []Delivered
	for i, c := range Perturbations(s.Events) {
		events := c.Deliver(rand.New(rand.NewPCG(seed, uint64(i))), s.Events)
		got := s.deliver(lib, events)
		d := Delivered{Cell: c, Short: s.Short[c.Name]}
		switch {
		case c.Lossy:
			d.Strays = strays(want, got, 1, akin)
		case sameSet(s.Events, events):
			if s.Render(got) != s.Render(want) {
				d.Strays = append(strays(want, got, 0, same), "findings read otherwise")
			}
		default:
			d.Strays = strays(want, got, 0, same)
		}
		out = append(out, d)
	}
	return out
}

// sameSet reports whether two lists hold the same events at the same times,
// each as often as it likes.
func sameSet(a, b []event.Event) bool {
	times := func(list []event.Event) map[event.ID]event.Time {
		out := map[event.ID]event.Time{}
		for _, e := range list {
			out[e.ID] = e.Time
		}
		return out
	}
	x, y := times(a), times(b)
	for id, at := range x {
		if y[id] != at {
			return false
		}
	}
	return len(x) == len(y)
}

func same(a, b finding.Finding) bool { return a.ID == b.ID }

// akin reports findings about the same container or pod: where something is
// missing, a cause or an owner can be unknown, and with it the id differs.
func akin(a, b finding.Finding) bool {
	return a.Family == b.Family && slices.ContainsFunc(about(a), func(x string) bool { return slices.Contains(about(b), x) })
}

// about lists the containers and pods of a finding.
func about(f finding.Finding) []string {
	var out []string
	container := func(c evidence.Container) {
		if c.ID != "" {
			out = append(out, "container "+c.Host+" "+c.ID)
		}
	}
	for _, s := range f.Subjects {
		if s.Container != nil {
			container(*s.Container)
		}
		for _, c := range s.Containers {
			container(c)
		}
		if i := s.Instance; i != nil {
			out = append(out, "instance "+i.ID)
		}
		if i := s.VMImage; i != nil {
			out = append(out, "image "+string(i.ID))
		}
		if s.Pod != nil {
			out = append(out, "pod "+s.Pod.Cluster+" "+s.Pod.Namespace+" "+s.Pod.Name)
		}
	}
	return out
}

// strays compares findings: those that are lost, gained, or more than steps
// milder or more severe.
func strays(want, got []finding.Finding, steps int, alike func(a, b finding.Finding) bool) []string {
	var out []string
	apart := func(a, b analytic.Severity) bool { return max(a-b, b-a) > analytic.Severity(steps) }
	for _, w := range want {
		i := slices.IndexFunc(got, func(g finding.Finding) bool { return alike(w, g) })
		switch {
		case i < 0 && apart(w.Severity, analytic.None):
			out = append(out, fmt.Sprintf("lost %s %d", w.Severity, finding.Points(w.Score)))
		case i >= 0 && apart(w.Severity, got[i].Severity):
			out = append(out, fmt.Sprintf("%s %d is %s %d", w.Severity, finding.Points(w.Score), got[i].Severity, finding.Points(got[i].Score)))
		}
	}
	for _, g := range got {
		if !slices.ContainsFunc(want, func(w finding.Finding) bool { return alike(w, g) }) && apart(g.Severity, analytic.None) {
			out = append(out, fmt.Sprintf("gained %s %d", g.Severity, finding.Points(g.Score)))
		}
	}
	return out
}
