// Package sink is what the sinks share that the daemon delivers findings to.
// Each sub-package tells one kind of receiver; the durable outbox, retries and
// dead letters are the daemon's.
//
// In: notices of findings. Out: calls to receivers.
package sink

import (
	"context"
	"errors"
	"time"

	"tidewaiter/finding"
)

// Sink delivers notices to one receiver.
type Sink interface {
	// Deliver tells of one finding and returns once the receiver has taken it.
	// An error made by Permanent says that trying again is no use; after any
	// other it is tried again. A notice can come twice: its id is the same, and
	// the receiver is given it.
	Deliver(ctx context.Context, n Notice) error
	// Close releases what the sink holds.
	Close() error
}

// Notice is one telling of a finding.
type Notice struct {
	// ID is the same in every delivery of this telling.
	ID string
	// Told is the finding as it was when it was to be told, with its raw
	// records; Told.JSON is the OCSF Detection Finding.
	Told finding.Told
	// At is when that was, by the clock.
	At time.Time
	// Host is the host that tells.
	Host string
	// Version is the program's.
	Version string
}

// Permanent marks an error: trying again is no use.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// IsPermanent reports whether an error was marked by Permanent.
func IsPermanent(err error) bool {
	var p permanent
	return errors.As(err, &p)
}

type permanent struct{ error }

// Unwrap gives the error that was marked.
func (p permanent) Unwrap() error { return p.error }

// RetryAfter marks an error: the receiver asked not to be called again for a
// while. What is no positive time marks nothing.
func RetryAfter(err error, wait time.Duration) error {
	if err == nil || wait <= 0 {
		return err
	}
	return later{err, wait}
}

// After is how long the receiver asked to be left alone, by an error that was
// marked by RetryAfter; false if it asked for nothing.
func After(err error) (time.Duration, bool) {
	var l later
	if !errors.As(err, &l) {
		return 0, false
	}
	return l.wait, true
}

type later struct {
	error
	wait time.Duration
}

// Unwrap gives the error that was marked.
func (l later) Unwrap() error { return l.error }
