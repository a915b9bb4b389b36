package drill

import (
	"slices"
	"time"

	"tidewaiter/evidence"
)

// State is how a leg was seen.
type State string

// The states of a leg.
const (
	Seen  State = "seen"
	Late  State = "late"  // later than Soon after it happened
	Blind State = "blind" // not at all
)

// Soon is how long after it happened a leg may be told of and not be late.
const Soon = 5 * time.Second

// Report is how a drill went.
type Report struct {
	Analytic string `json:"analytic"`
	Name     string `json:"name"`
	Drill    string `json:"drill"` // its id
	Passed   bool   `json:"passed"`
	Legs     []Leg  `json:"legs"`
	// Finding is what the daemon made of it, nil if nothing.
	Finding *Finding `json:"finding,omitempty"`
	// Notes say what else is to be known.
	Notes     []string `json:"notes,omitempty"`
	Image     string   `json:"image"`
	Container string   `json:"container"`
	// Kept is whether image and container were left.
	Kept bool `json:"kept"`
	// Swallowed is how many packets to the drill's address ended on this host.
	Swallowed int64 `json:"packets_swallowed"`
}

// Leg is what was seen of one leg.
type Leg struct {
	Name     string        `json:"leg"`
	Kind     evidence.Kind `json:"-"`
	State    State         `json:"state"`
	Optional bool          `json:"optional,omitempty"`
	Sources  []string      `json:"sources,omitempty"`
	// Time is that of the first record of it.
	Time *time.Time `json:"time,omitempty"`
	// After is how many seconds later a finding said so, counted from the
	// container's creation for what was before: no finding is about it earlier.
	After float64 `json:"after_seconds"`
	// Missing is what cannot be told without it; Should are the sensors that
	// watch and could have told it, Open what would let one see it, if it is blind.
	Missing string   `json:"missing,omitempty"`
	Should  []string `json:"should_tell,omitempty"`
	Open    []string `json:"open,omitempty"`
}

// Finding is the finding about the drill's container.
type Finding struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	Title    string `json:"title"`
	State    string `json:"state"`
	// Raised is whether it raises the analytic that was rehearsed.
	Raised bool `json:"raised"`
}

// report says what was seen.
func (w *watch) report() *Report {
	r := &Report{Analytic: w.o.Analytic.ID, Name: w.o.Analytic.Name}
	for _, s := range w.legs {
		r.Legs = append(r.Legs, s.leg(w.created))
	}
	r.Passed = !slices.ContainsFunc(r.Legs, func(l Leg) bool { return l.State != Seen && !l.Optional })
	if o := w.last; o != nil {
		r.Finding = &Finding{ID: o.FindingInfo.UID, Severity: o.Severity, Title: o.FindingInfo.Title, State: string(o.Unmapped.State)}
		r.Finding.Raised = slices.Contains(o.FindingInfo.Types, r.Analytic)
	}
	r.Notes = w.notes(r)
	return r
}

// notes say why legs may be missing though somebody saw them.
func (w *watch) notes(r *Report) []string {
	switch {
	case r.Finding == nil:
		return []string{"no finding is about the container: what was seen of it, if anything, was not enough for one"}
	case !r.Finding.Raised:
		return []string{"the finding does not raise " + r.Analytic + " under this policy, and need not cite what only that is about; \"tidewaiter detections show " + r.Analytic + "\" says when it is raised"}
	}
	return nil
}

// leg judges one leg.
func (s sighting) leg(created time.Time) Leg {
	l := Leg{Name: s.Name, Kind: s.Kind, State: Blind, Optional: s.Optional, Missing: s.Missing}
	if s.told.IsZero() {
		return l
	}
	l.State, l.Sources, l.Missing = Seen, s.sources, ""
	from := created
	if !s.at.IsZero() {
		at := s.at
		l.Time = &at
		if at.After(from) {
			from = at
		}
	}
	after := max(s.told.Sub(from), 0)
	l.After = after.Seconds()
	if after > Soon {
		l.State = Late
	}
	return l
}
