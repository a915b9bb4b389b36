// Package finding holds what is told to people: one finding per affected
// workload and cause, with every leg's evidence, and the book that keeps them.
//
// In: assessments, as often as they change. Out: findings and their revisions;
// OCSF Detection Findings as JSON.
package finding

import (
	"cmp"
	"encoding/hex"
	"math"
	"slices"
	"strings"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
)

// State says how far a finding is settled.
type State string

// The states of a finding.
const (
	// Provisional: something that it rests on, an absence or a "never seen",
	// can still change when late records come.
	Provisional State = "provisional"
	// Confirmed: nothing that arrives in time can change it.
	Confirmed State = "confirmed"
	// Superseded: what was learnt late gave it another id; see SupersededBy.
	Superseded State = "superseded"
	// Withdrawn: what was learnt late took its reason away.
	Withdrawn State = "withdrawn"
)

// Finding is one thing that is wrong, or may be. It is a plain value.
type Finding struct {
	// ID is the same for the same workload and cause in every run over the
	// same records: a hash of family, tenant, owner and cause.
	ID     string
	Family string
	State  State
	// SupersededBy is the id of the finding that took this one's place, or "".
	SupersededBy string

	Severity   analytic.Severity
	Score      float64
	Confidence float64
	Analytics  []analytic.Raised
	Scope      string
	// Title says what, where and why now, in one line. Like every text here it
	// may hold text from the logs, which is hostile: escape it for people.
	Title string

	// Owner is what is affected: the workload, or the container on its host.
	Owner string
	// Cause is the image's canonical digest, or its name.
	Cause    string
	Subjects []Subject

	Signals  []Signal
	Legs     []Leg
	Chain    string // how the legs follow each other, in words
	Evidence []Evidence
	Omitted  int // facts of the chain that are not listed
	// Clear lists what would settle it if all is well.
	Clear []string
	// Notes say what limits the finding: learning periods, missing sources.
	Notes []string

	// First and Last are the times of the first and last evidence, Unix
	// nanoseconds.
	First, Last int64
	// FinalAt is the watermark from which the finding is confirmed.
	FinalAt int64
}

// Subject is one affected container, or pod.
type Subject struct {
	ID evidence.SubjectID
	// Container is the container, in a pod the one that it is about.
	Container *evidence.Container
	// Pod and Containers are what a pod is and has; nil for a container that
	// is in none.
	Pod        *evidence.Pod
	Containers []evidence.Container
	// Instance and VMImage are what a virtual machine, or an image of such, is.
	Instance *evidence.Instance
	VMImage  *evidence.VMImage
	// Image is what a registry took in; nil for other subjects.
	Image *evidence.Image
}

// container is whose a fact is; nil for a pod's as a whole.
func (s Subject) container(index int) *evidence.Container {
	switch {
	case s.Pod == nil:
		return s.Container
	case index >= 0 && index < len(s.Containers):
		return &s.Containers[index]
	}
	return nil
}

// Signal is one reason.
type Signal struct {
	Name     string
	Group    string
	Points   float64
	Says     string
	Learning bool // only noted: memory was too young
}

// Leg is one part of the story.
type Leg struct {
	Name    string
	State   analytic.LegState
	Missing string // what cannot be told without it
	What    string // which records fit it, "" for every one of its kind
}

// Detail says why a leg is missing and what that means; "" if it was seen.
func (l Leg) Detail() string {
	switch l.State {
	case analytic.Seen:
		return ""
	case analytic.Absent:
		if l.What != "" {
			return "its sources were working and recorded no " + l.What
		}
		return "its sources were working and recorded none"
	case analytic.Outside:
		return "recorded, but only outside the window in which it counts"
	case analytic.Untied:
		return "recorded here, but nothing ties such records to it; " + l.Missing + " cannot be told"
	}
	return "no source here records it; " + l.Missing + " cannot be told"
}

// Evidence is one record that a finding rests on.
type Evidence struct {
	Event   *event.Event
	Kind    evidence.Kind
	Subject int // whose it is, as an index into the finding's subjects
	// Container is which of the subject's, as an index, evidence.Whole for a
	// pod's as a whole.
	Container int
	Leg       string // "" for context
	Signals   []string
	Says      string // the record in a few words
}

// newID hashes what makes a finding the same finding. Hosts, container names
// and references are chosen by others, so each is a part of its own: joined
// into one text, one of them could be written so that two owners look alike.
func newID(family string, a *analytic.Assessment) string {
	s, p := a.Subject, a.Subject.Place
	parts := []string{family, p.Tenant, p.Account, p.Region, p.Cluster, p.Host, p.Network}
	switch own := cloudOwner(a); {
	case own != nil:
		parts = append(parts, own...)
	case a.Pod != nil:
		parts = append(parts, "owner", a.Pod.Owner.Kind, a.Pod.Owner.Namespace, a.Pod.Owner.Name)
	case a.Image != nil:
		parts = append(parts, s.Kind, a.Image.Reference.Key())
	default:
		parts = append(parts, s.Kind, s.ID)
	}
	id := event.NewID(append(parts, a.Cause)...)
	return "tw-" + hex.EncodeToString(id[:12])
}

// owner is what a finding is about: the container on its host, the object at the
// top of those that made the pod, or the name that was pushed. All its pods, and
// all pushes of one image under one name, are one finding.
func owner(a *analytic.Assessment) string {
	if words := cloudOwnerWords(a); words != "" {
		return words
	}
	switch {
	case a.Image != nil:
		s := a.Subject
		s.ID = a.Image.Reference.Key()
		return s.String()
	case a.Pod == nil:
		return a.Subject.String()
	}
	o := a.Pod.Owner
	return strings.TrimPrefix(a.Subject.Place.String()+"/"+o.Namespace+"/"+strings.ToLower(o.Kind)+"/"+o.Name, "(unnamed)/")
}

// compose makes the finding of one or more assessments that have the same id:
// a pure function of their set.
func compose(id string, as []*analytic.Assessment) Finding {
	as = slices.Clone(as)
	slices.SortFunc(as, func(a, b *analytic.Assessment) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Score, a.Score), a.Subject.Compare(b.Subject))
	})
	worst := as[0]
	f := Finding{
		ID: id, Family: worst.Family, Severity: worst.Severity, Score: worst.Score, Confidence: worst.Confidence,
		Analytics: worst.Analytics, Scope: worst.Scope, Owner: owner(worst), Cause: worst.Cause, Chain: worst.ChainSays,
	}
	for _, a := range as {
		f.addSignals(a)
		f.addEvidence(a)
		f.Subjects = append(f.Subjects, Subject{a.Subject, a.Container, a.Pod, a.Containers, a.Instance, a.VMImage, a.Image})
		f.Omitted += a.Omitted
		f.FinalAt = max(f.FinalAt, a.FinalAt)
	}
	slices.SortStableFunc(f.Signals, func(a, b Signal) int { return cmp.Compare(b.Points, a.Points) })
	f.addLegs(worst)
	f.addNotes(worst)
	slices.SortFunc(f.Evidence, func(a, b Evidence) int {
		return cmp.Or(a.Event.Time.Compare(b.Event.Time), a.Event.ID.Compare(b.Event.ID), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject))
	})
	f.First, f.Last = bounds(f.Evidence)
	f.Title = title(worst)
	return f
}

// bounds are the first and last time of evidence in order, 0 if none is known.
func bounds(evidence []Evidence) (first, last int64) {
	for _, e := range evidence {
		if e.Event.Time.IsZero() {
			continue
		}
		if first == 0 {
			first = e.Event.Time.At
		}
		last = e.Event.Time.At
	}
	return first, last
}

// addSignals adds the reasons of one more subject. A reason is told once, and
// one that is only noted gives way to one that counts.
func (f *Finding) addSignals(a *analytic.Assessment) {
	for _, h := range a.Hits {
		s := Signal{h.Signal, h.Group, h.Points, h.Says, h.Learning}
		i := slices.IndexFunc(f.Signals, func(o Signal) bool { return o.Name == h.Signal })
		switch {
		case i < 0:
			f.Signals = append(f.Signals, s)
		case f.Signals[i].Learning && !h.Learning:
			f.Signals[i] = s
		default:
			continue
		}
		if h.Clear != "" && !h.Learning && !slices.Contains(f.Clear, h.Clear) {
			f.Clear = append(f.Clear, h.Clear)
		}
	}
}

// addEvidence adds what is cited about the subject that is added next.
func (f *Finding) addEvidence(a *analytic.Assessment) {
	for _, it := range a.Evidence {
		f.Evidence = append(f.Evidence, Evidence{it.Fact.Event, it.Fact.Kind, len(f.Subjects), it.Fact.Container, it.Leg, it.Signals, Describe(it.Fact, imageOf(a, it.Fact))})
	}
}

// imageOf is the image of the container that a fact is of, of a pod's as a
// whole that of the container that the story is about.
func imageOf(a *analytic.Assessment, f evidence.Fact) evidence.Image {
	switch {
	case f.Container >= 0 && f.Container < len(a.Containers):
		return a.Containers[f.Container].Image
	case a.Container != nil:
		return a.Container.Image
	case a.Image != nil:
		return *a.Image
	}
	return evidence.Image{}
}

func (f *Finding) addLegs(a *analytic.Assessment) {
	for _, l := range a.Legs {
		f.Legs = append(f.Legs, Leg{l.Name, l.State, l.Missing, l.What})
	}
}

func (f *Finding) addNotes(a *analytic.Assessment) {
	if noted := f.onlyNoted(); len(noted) > 0 {
		f.Notes = append(f.Notes, "memory is younger than the learning period: "+strings.Join(noted, ", ")+" only noted, not counted")
	}
	if a.NoPolicy && !slices.ContainsFunc(a.Hits, func(h analytic.Hit) bool { return h.Signal == "" }) {
		f.Notes = append(f.Notes, "no policy scope applies: nothing is known to be approved or not")
	}
	if a.Container != nil && a.Container.PodInferred {
		f.Notes = append(f.Notes, "no record tells which pod the container is in: it is inferred from the time of its start, or from a connection that only its command names")
	}
	if a.Container != nil && a.Container.ByAccount {
		f.Notes = append(f.Notes, "no record tells which container a program ran in: its account exists in Windows containers alone, and no other one ran there")
	}
	if slices.ContainsFunc(a.Evidence, func(i analytic.Item) bool { return i.Fact.Connection != nil && i.Fact.Connection.Inferred }) {
		f.Notes = append(f.Notes, "no record tells who had the address that a connection came from: it is taken to be the container's whose command alone names where it went")
	}
	f.Notes = append(f.Notes, cloudNotes(a)...)
	f.Notes = append(f.Notes, a.Faults...)
}

// onlyNoted names the signals that do not count because memory is young.
// Others that rest on memory may count: each of its kinds has its own age.
func (f *Finding) onlyNoted() []string {
	var names []string
	for _, s := range f.Signals {
		if s.Learning {
			names = append(names, s.Name)
		}
	}
	return names
}

// Points is the score as it is shown: of 100, and rounded down, so that it
// never looks like one of the next severity.
func (f *Finding) Points() int { return Points(min(max(f.Score, 0), 100)) }

// Points rounds a score down. What floating-point numbers lack to a threshold,
// scoring forgives, and so does this.
func Points(score float64) int { return int(math.Floor(score + 1e-9)) }

// title says what, where and why now.
func title(a *analytic.Assessment) string {
	what, where := a.Subject.ID, a.Subject.Place.String()
	if a.Instance != nil || a.VMImage != nil {
		what, where = cloudTitle(a)
	}
	if c := a.Container; c != nil {
		what = cmp.Or(c.Image.Name(), "unknown image")
		where = cmp.Or(c.Name, shorten(c.ID))
		switch {
		case a.Pod != nil && c.Name != "" && c.Name != a.Pod.Name:
			where = a.Pod.Namespace + "/" + a.Pod.Name + " (" + c.Name + ")"
		case a.Pod != nil:
			where = a.Pod.Namespace + "/" + a.Pod.Name
		case c.Host != "":
			where += " on " + c.Host
		}
	}
	s := what + " in " + where
	if a.Image != nil {
		s = "push of " + a.Image.Name()
	}
	hits := slices.Clone(a.Hits)
	slices.SortStableFunc(hits, func(x, y analytic.Hit) int { return cmp.Compare(y.Points, x.Points) })
	why, groups := 0, []string{}
	for _, h := range hits {
		if h.Points <= 0 || slices.Contains(groups, h.Group) || why == 3 {
			continue
		}
		groups = append(groups, h.Group)
		s += map[bool]string{true: ": ", false: "; "}[why == 0] + h.Says
		why++
	}
	return s
}

func shorten(id string) string {
	if len(id) == 64 {
		return id[:12]
	}
	return id
}
