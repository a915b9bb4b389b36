package analytic

import (
	"tidewaiter/evidence"
)

// Assessment is what one family of analytics says about one subject: a pure
// function of the subject's evidence, of memory and of the policy.
type Assessment struct {
	Subject evidence.SubjectID
	// Container is what the subject is, in a pod the one that the story is
	// about; nil for plain events.
	Container *evidence.Container
	// Pod and Containers are what a pod is and has; nil for other subjects.
	Pod        *evidence.Pod
	Containers []evidence.Container
	// Instance and VMImage are what such a subject is; nil for others.
	Instance *evidence.Instance
	VMImage  *evidence.VMImage
	// Image is what a registry took in; nil for other subjects.
	Image  *evidence.Image
	Family string
	// Analytics are those raised, the family's head first if it is among them.
	Analytics []Raised
	// Scope is the policy scope that applied, "" for none.
	Scope string
	// NoPolicy is set when the policy says nothing about the subject: no scope
	// applied, and it has no settings outside scopes.
	NoPolicy bool

	Severity   Severity
	Score      float64
	Confidence float64 // 0 to 1: how complete the story is

	Hits []Hit
	Legs []Leg
	// Chain is the telling that matched, "" if none; ChainSays puts it in words.
	Chain, ChainSays string
	// Evidence are the facts to cite, in order; Omitted counts those left out.
	Evidence []Item
	Omitted  int

	// Cause is what it is about beyond the subject: the image's canonical
	// digest, else its name.
	Cause string
	// FinalAt is the watermark, in Unix nanoseconds, from which nothing that
	// arrives in time can change what rests on absence or on "first"; 0 if
	// nothing does.
	FinalAt int64
	// History is set when the last behaviour lies in history: such a chain is
	// not reported.
	History bool
	// Faults are conditions that could not be evaluated, and walks cut short.
	Faults []string
}

// Raised names an analytic that was raised.
type Raised struct {
	ID         string
	Strategy   string
	Techniques []string
	Name       string
}

// Hit is a signal that holds.
type Hit struct {
	Signal string
	Group  string
	Points float64
	Hard   bool
	// Says puts it in words. It may hold text from the logs: escape it.
	Says string
	// Clear says what would make it go away if all is well; may be "".
	Clear string
	// Learning is set when it was only noted, with no points.
	Learning bool
	// Facts are the facts that it rests on, as indexes into the subject's
	// facts; none for a signal about the subject as a whole.
	Facts []int
}

// LegState says what is known of a leg.
type LegState string

// The states of a leg.
const (
	Seen   LegState = "seen"
	Absent LegState = "absent" // sources that tell it were working and told nothing that fits it
	// Outside: records fit it, but none lies where the analytic's chains look.
	Outside LegState = "outside"
	Untied  LegState = "untied" // sources told such things then, but nothing ties them to this subject
	Blind   LegState = "blind"  // no source here told such things then
)

// Leg is one part of a family's story.
type Leg struct {
	Name     string
	State    LegState
	Optional bool
	Missing  string // what its absence means, for people
	// What says what kind of record is missing, "" for any.
	What  string
	Facts []int
}

// Item is one fact to cite.
type Item struct {
	Fact    evidence.Fact
	Leg     string   // "" for context
	Signals []string // signals that rest on it
}
