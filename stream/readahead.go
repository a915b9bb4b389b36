package stream

import (
	"io"
	"runtime"

	"tidewaiter/event"
)

// batchSize is how many events are read ahead of a source at once. At most
// maxOpen sources hold two batches each.
const batchSize = 64

// batch is events of a source, and how it ended if it did.
type batch struct {
	events []event.Event
	err    error
}

// readAhead reads a source on another core while the events before are worked
// on. The order of a source's events stays what it is.
type readAhead struct {
	source Source
	batch  batch
	next   int // of the batch's events
	ready  chan batch
	last   bool // nothing more is to be read
}

// ahead makes a source read ahead, where there is a core for it.
func ahead(s Source) Source {
	if runtime.GOMAXPROCS(0) == 1 {
		return s
	}
	r := &readAhead{source: s, ready: make(chan batch, 1)}
	go r.fill(nil)
	return r
}

// fill reads the next batch, into the room of one that was worked off.
func (r *readAhead) fill(room []event.Event) {
	clear(room)
	b := batch{events: room[:0]}
	for len(b.events) < batchSize && b.err == nil {
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
		room := r.batch.events
		r.batch, r.next = <-r.ready, 0
		switch {
		case r.batch.err != nil:
		case r.last:
			r.batch.err = io.EOF
		default:
			go r.fill(room)
		}
	}
	e := r.batch.events[r.next]
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
	return r.source.Close()
}
