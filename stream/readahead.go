package stream

import (
	"io"
	"runtime"

	"tidewaiter/event"
)

// The bounds of a batch, which is how many events are read ahead of a source at
// once: as many as share room among the sources that are open, each of which
// holds two batches.
const (
	minBatch = 8
	maxBatch = 64
	room     = 2048
)

// sharing is how many sources read ahead.
type sharing struct{ open int }

// batch is how many events one of them may read at once.
func (s *sharing) batch() int { return min(max(room/max(s.open, 1), minBatch), maxBatch) }

// batch is events of a source, and how it ended if it did.
type batch struct {
	events []event.Event
	err    error
}

// readAhead reads a source on another core while the events before are worked
// on. The order of a source's events stays what it is.
type readAhead struct {
	source Source
	with   *sharing
	batch  batch
	next   int // of the batch's events
	ready  chan batch
	last   bool // nothing more is to be read
}

// ahead makes a source read ahead, where there is a core for it.
func (s *sharing) ahead(src Source) Source {
	if runtime.GOMAXPROCS(0) == 1 {
		return src
	}
	r := &readAhead{source: src, with: s, ready: make(chan batch, 1)}
	s.open++
	go r.fill(nil, s.batch())
	return r
}

// fill reads the next batch of n events, into the room of one that was worked
// off.
func (r *readAhead) fill(worked []event.Event, n int) {
	if clear(worked); cap(worked) < n || cap(worked) > 2*n {
		worked = make([]event.Event, 0, n)
	}
	b := batch{events: worked[:0]}
	for len(b.events) < n && b.err == nil {
		var e event.Event
		if e, b.err = r.source.Next(); b.err == nil {
			b.events = append(b.events, e)
		}
	}
	r.ready <- b
}

// Next implements Source.
func (r *readAhead) Next() (event.Event, error) {
	for r.next == len(r.batch.events) {
		if r.batch.err != nil {
			return event.Event{}, r.batch.err
		}
		worked := r.batch.events
		r.batch, r.next = <-r.ready, 0
		switch {
		case r.batch.err != nil:
		case r.last:
			r.batch.err = io.EOF
		default:
			go r.fill(worked, r.with.batch())
		}
	}
	e := r.batch.events[r.next]
	r.batch.events[r.next] = event.Event{} // who asked has it now
	r.next++
	return e, nil
}

// Close implements Source. It waits for what is being read.
func (r *readAhead) Close() error {
	if r.batch.err == nil {
		r.batch = <-r.ready
		if r.batch.err == nil {
			r.batch.err = errClosed
		}
	}
	r.batch.events, r.next = nil, 0
	r.with.open--
	return r.source.Close()
}
