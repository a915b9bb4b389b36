// Package stream puts the events of many sources into one order, by the time
// their records were written, and holds back what cannot be: records from the
// future.
//
// In: sources that give events one by one. Out: one sequence of events. The
// order helps memory, not truth: what is found does not depend on it.
package stream

import (
	"container/heap"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"tidewaiter/event"
)

// Source gives events in the order of its input.
type Source interface {
	// Next gives the next event, io.EOF at the end.
	Next() (event.Event, error)
	// Close releases what the source holds.
	Close() error
}

// Opener opens a source. It may be called twice: once to learn where the
// source begins, and again when its turn has come.
type Opener func() (Source, error)

// Ahead is how far a record may be ahead of the clock before it is taken to be
// wrong. Clocks differ by minutes, not by more.
const Ahead = 5 * time.Minute

// errClosed is what a closed source gives.
var errClosed = errors.New("the source is closed")

// maxOpen bounds the sources that are kept open to wait for their turn.
const maxOpen = 128

// Merger merges sources. Not safe for concurrent use.
type Merger struct {
	now     int64
	queue   mergeQueue
	early   early
	sharing sharing
	// failed are sources that could not be read on, still to be told; rest are
	// the next events of those that were stopped.
	failed []SourceError
	rest   []event.Event
	// Future are the first events from the future, quarantined; FutureCount
	// counts them all.
	Future      []event.Event
	FutureCount int64
}

// NewMerger opens every source, in turn, to learn where it begins. now is the
// clock's time, for telling records from the future. Sources that cannot be
// opened or read are left out and reported, by index.
func NewMerger(openers []Opener, now time.Time) (*Merger, []SourceError) {
	m := &Merger{now: now.UnixNano()}
	var faults []SourceError
	for i, open := range openers {
		item := &mergeItem{index: i, open: open}
		if err := m.start(item, i < maxOpen); err != nil {
			faults = append(faults, SourceError{i, err})
			continue
		}
		if item.ready {
			m.queue = append(m.queue, item)
		}
	}
	heap.Init(&m.queue)
	return m, faults
}

// SourceError is that a source could not be opened or read.
type SourceError struct {
	Index int
	Err   error
}

// Error gives the reason.
func (e SourceError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e SourceError) Unwrap() error { return e.Err }

// start opens a source and reads its first event; without keep it closes it
// again until its turn.
func (m *Merger) start(item *mergeItem, keep bool) error {
	src, err := item.open()
	if err != nil {
		return err
	}
	if item.source = src; keep {
		item.source = m.sharing.ahead(src)
	}
	if err := m.advance(item, keep); err != nil {
		return errors.Join(err, item.source.Close())
	}
	if !keep && item.ready {
		item.source = nil
		return src.Close()
	}
	return nil
}

// advance reads the source's next event that is not from the future. With keep,
// look-ups wait until they are due.
func (m *Merger) advance(item *mergeItem, keep bool) error {
	item.ready = false
	for {
		e, err := item.source.Next()
		if errors.Is(err, io.EOF) {
			return item.source.Close()
		}
		if err != nil {
			return err
		}
		if e.RecordTime() > m.now+int64(Ahead) {
			m.quarantine(e)
			continue
		}
		if keep && waits(&e) && m.early.takes(item.index, e) {
			continue
		}
		item.event, item.ready = e, true
		return nil
	}
}

// maxFuture bounds the events from the future that are kept to be named.
const maxFuture = 20

func (m *Merger) quarantine(e event.Event) {
	m.FutureCount++
	if len(m.Future) < maxFuture {
		m.Future = append(m.Future, e)
	}
}

// Next gives the event whose record is oldest, io.EOF when every source has
// ended. A SourceError ends one source only.
func (m *Merger) Next() (event.Event, error) {
	for {
		if len(m.failed) > 0 {
			err := m.failed[0]
			m.failed = m.failed[1:]
			return event.Event{}, err
		}
		if len(m.rest) > 0 {
			e := m.rest[0]
			m.rest = m.rest[1:]
			return e, nil
		}
		if len(m.queue) == 0 {
			if e, ok, err := m.early.next(math.MaxInt64); ok {
				return e, err
			}
			return event.Event{}, io.EOF
		}
		if e, ok, err := m.early.next(m.queue[0].event.RecordTime()); ok {
			return e, err
		}
		if e, ok := m.step(m.queue[0]); ok {
			return e, nil
		}
	}
}

// step gives the event of the item whose turn it is, if it has one, and reads
// the next.
func (m *Merger) step(item *mergeItem) (e event.Event, ok bool) {
	if ok = item.source != nil; ok {
		e = item.event
		if err := m.advance(item, true); err != nil {
			m.failed = append(m.failed, SourceError{item.index, errors.Join(err, item.source.Close())})
		}
	} else {
		// Its turn has come: open it again. What was read before comes again.
		future := m.FutureCount
		early := m.early.number
		item.ready = false
		err := m.start(item, true)
		if err != nil || !item.ready && m.early.number == early {
			m.failed = append(m.failed, SourceError{item.index, fmt.Errorf("open again: %w", err)})
		}
		m.FutureCount = future
	}
	if item.ready {
		heap.Fix(&m.queue, 0)
	} else {
		heap.Pop(&m.queue)
	}
	return e, ok
}

// Stop ends reading: Next gives what was read already, and then io.EOF.
func (m *Merger) Stop() {
	var left mergeQueue
	for _, item := range m.queue {
		r, ok := item.source.(*readAhead)
		switch {
		case ok:
			r.last = true
			left = append(left, item)
		case item.source != nil:
			m.rest = append(m.rest, item.event)
			m.failed = append(m.failed, closed(item)...)
		}
	}
	heap.Init(&left)
	m.queue = left
}

// closed closes an item's source.
func closed(item *mergeItem) []SourceError {
	if err := item.source.Close(); err != nil {
		return []SourceError{{item.index, err}}
	}
	return nil
}

// Close closes every source that is still open.
func (m *Merger) Close() error {
	var faults []error
	for _, item := range m.queue {
		if item.source != nil {
			faults = append(faults, item.source.Close())
		}
	}
	m.queue = nil
	return errors.Join(faults...)
}

type mergeItem struct {
	index  int
	open   Opener
	source Source
	event  event.Event
	ready  bool
}

type mergeQueue []*mergeItem

func (q mergeQueue) Len() int { return len(q) }
func (q mergeQueue) Less(i, j int) bool {
	a, b := q[i].event.RecordTime(), q[j].event.RecordTime()
	return a < b || (a == b && q[i].index < q[j].index)
}
func (q mergeQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *mergeQueue) Push(x any)   { *q = append(*q, x.(*mergeItem)) }
func (q *mergeQueue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}
