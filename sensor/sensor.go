// Package sensor is what the live sensors share. Each sub-package watches one
// thing of a host or a cluster, and gives what it sees as native records: the
// bytes that tools of that origin write to files. They are recorded in the
// journal, and what they mean is read by the decoders of source, as from any
// file; so a hunt over the journal finds what the daemon found.
//
// In: interfaces of the world. Out: records, in lanes.
package sensor

import (
	"context"
	"errors"
	"fmt"

	"tidewaiter/event"
)

// Sensor watches one thing live.
type Sensor interface {
	// Name is what configuration, metrics and coverage call it, such as
	// "docker".
	Name() string
	// Watch gives what it sees to out until ctx ends, and then nil. A *Lack says
	// that it cannot work here as things are. Any other error is an
	// interruption: what happens until it is ready again is a gap, and the
	// daemon calls Watch again after a while. Watch releases all that it holds.
	Watch(ctx context.Context, out Recorder) error
}

// Recorder takes what one sensor sees. Safe for concurrent use.
type Recorder interface {
	// Record appends one or more whole lines to a lane; the last line end may
	// be missing. What belongs together (the records of one audit event) comes
	// in one call. data is not kept. It never blocks for long: what a bound
	// drops is counted, and told as a loss.
	Record(lane Lane, data []byte)
	// Ready says that from now on nothing is missed.
	Ready()
	// Lost says that so many things were not seen, -1 if that is not known.
	Lost(reason string, count int64)
	// Mark keeps where to go on after a restart; it is durable no earlier than
	// what was recorded before. Who keeps a mark says itself, by Lost, what it
	// cannot give from there on; of all others a gap is told.
	Mark(token string)
	// Resume is the last token that was kept, "" for none. What comes twice
	// does no harm.
	Resume() string
}

// Lane is one kind of records that a sensor gives: a file of the journal.
type Lane struct {
	// Name is the file's, without an ending: lower-case letters, digits, '-'
	// and '.'. Sensors that share a name share the file.
	Name string
	// Format is the name of the source.Format that reads it.
	Format string
	// Head is written at the beginning of every file, for formats that need it.
	Head string
	// Place is where the records are from if not from this host; what is empty
	// is this host's.
	Place event.Place
}

// Lack is why a sensor cannot work here.
type Lack struct {
	// What is missing, and what would mend that, in a few words each.
	What, Mend string
	Err        error // nil, or what the system said
}

// Error says what is missing.
func (l *Lack) Error() string {
	if l.Err != nil {
		return fmt.Sprintf("%s: %v", l.What, l.Err)
	}
	return l.What
}

// Unwrap gives what the system said.
func (l *Lack) Unwrap() error { return l.Err }

// AsLack finds a Lack among an error's causes.
func AsLack(err error) (*Lack, bool) {
	var l *Lack
	ok := errors.As(err, &l)
	return l, ok
}
