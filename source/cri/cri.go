// Package cri reads the logs of the container runtimes that the kubelet drives
// through the Container Runtime Interface: containerd's daemon log and CRI-O's.
//
// In: lines of one of these logs, bare, as JSON, or from syslog or journald.
// Out: events about images, pods' sandboxes, containers, their processes, and
// execs.
package cri

import (
	"errors"
	"fmt"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/logrus"
)

// Reasons why a line cannot be read, besides those of its framing.
var (
	errNoID      = errors.New("no id")
	errBadPID    = errors.New("no process id")
	errNoCommand = errors.New("the command does not begin, or does not end")
)

// errHeld says that a line was kept to be put together with a later one.
var errHeld = errors.New("held back")

// errOther is wrapped by the fault of a line that the log's program did not
// write. It is a fault so that such a line of a node's journal is given to the
// format that can read it.
var errOther = errors.New("a line of another log")

// statement is what one line says. Without a body it says nothing of interest.
type statement struct {
	body event.Body
	// at is when it happened if the line tells that apart from when it was
	// written.
	at event.Time
	// timeless is set for a fact that is no sighting.
	timeless bool
	// key makes it unique on its host; "" means the line.
	key string
	// more are further lines that it was put together from.
	more []event.Span
}

// dialect is what a runtime's own decoder knows.
type dialect interface {
	// read says what a line means. It fails if the line is one of those that
	// are read, and damaged.
	read(l *logrus.Line, rec source.Record) (statement, error)
	// flush ends the input.
	flush()
}

// decoder does what both logs have in common.
type decoder struct {
	out     *source.Output
	lines   logrus.Reader
	dialect dialect
	key     []byte
}

// Decode implements source.Decoder.
func (d *decoder) Decode(rec source.Record) {
	if err := d.decode(rec); err != nil {
		d.out.Unreadable(rec, err)
	}
}

// Flush implements source.Decoder.
func (d *decoder) Flush() { d.dialect.flush() }

// decode counts rec exactly once, unless it fails or the dialect holds it back.
func (d *decoder) decode(rec source.Record) error {
	l, err := d.lines.Cut(rec.Data)
	switch {
	case err != nil:
		return err
	case l.Foreign && hasOwnFormat(l.Program()) && !l.IsOwn():
		return fmt.Errorf("%w: %s's", errOther, l.Program())
	case l.Foreign:
		d.out.Skip()
		return nil
	}
	written, err := l.Time()
	if err != nil {
		return err
	}
	said, err := d.dialect.read(&l, rec)
	switch {
	case errors.Is(err, errHeld):
		return nil
	case err != nil:
		return err
	case said.body == nil:
		d.out.Skip()
		return nil
	}
	d.emit(rec, &l, written, said)
	return nil
}

func (d *decoder) emit(rec source.Record, l *logrus.Line, written event.Time, said statement) {
	e := event.Event{Time: written, Place: event.Place{Host: l.Host()}, Body: said.body}
	// What is said to have happened after it was written is not believed.
	if said.timeless || (!said.at.IsZero() && said.at.At <= written.At) {
		e.Time, e.Record = said.at, written.At
	}
	d.key = append(d.key[:0], said.key...)
	if len(d.key) == 0 {
		d.key = l.AppendKey(d.key)
	}
	if len(said.more) == 0 {
		d.out.Event(e, d.key, rec.Span)
		return
	}
	d.out.Event(e, d.key, append([]event.Span{rec.Span}, said.more...)...)
}

// hasOwnFormat reports whether a program of a node has a log that another
// format reads.
func hasOwnFormat(program string) bool {
	switch program {
	case "containerd", "crio", "dockerd", "hyperkube", "k3s", "kubelet", "kubenswrapper":
		return true
	}
	return false
}

// share is the percentage of a sample's lines that a program wrote, and whether
// one of them is surely its own.
func share(head source.Sample, lines *logrus.Reader, isOwn func(*logrus.Line) bool) (percent int, own bool) {
	percent = head.Share(func(line []byte) bool {
		l, err := lines.Cut(line)
		if err != nil || l.Foreign {
			return false
		}
		own = own || isOwn(&l)
		return true
	})
	return percent, own
}

// hasOne reports whether a message begins with one of some texts.
func hasOne(l *logrus.Line, beginnings []string) bool {
	for _, text := range beginnings {
		if l.Has(text) {
			return true
		}
	}
	return false
}
