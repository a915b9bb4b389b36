package envelope

import (
	"tidewaiter/event"
	"tidewaiter/source"
)

// Bounds of a Join: how many acts wait for their end, and how long, by the
// log's own time. A cloud makes a machine within minutes.
const (
	MaxHeld = 4096
	MaxWait = 30 * 60 * event.Second
)

// Held is an act of which a further record may tell the end.
type Held struct {
	// ID is what its records have in common, At when the last of them was
	// written, Key what it is unique by if no further one comes.
	ID    string
	At    int64
	Key   string
	Event event.Event
	Spans []event.Span
	// Steps are those of the act's records that came so far, in whatever words
	// the decoder has for them.
	Steps []string

	over bool
}

// Join holds back acts that are told by several records, so that one act is
// one event. An act leaves it when it is told, or alone: after MaxWait, when
// more than MaxHeld wait, or at the end of the input.
type Join struct {
	out   *source.Output
	live  map[string]*Held
	queue []*Held // in order of arrival, those that are over included
}

// NewJoin makes a Join that tells to out.
func NewJoin(out *source.Output) *Join { return &Join{out: out, live: map[string]*Held{}} }

// Get gives the act that waits under an id, nil if none does.
func (j *Join) Get(id string) *Held { return j.live[id] }

// Hold makes an act wait. One with the same id is told.
func (j *Join) Hold(h *Held) {
	if before := j.live[h.ID]; before != nil {
		j.Tell(before)
	}
	j.live[h.ID] = h
	j.queue = append(j.queue, h)
	for len(j.queue) > 0 {
		first := j.queue[0]
		if !first.over && h.At-first.At <= MaxWait && len(j.live) <= MaxHeld && len(j.queue) <= 2*MaxHeld {
			return
		}
		j.Tell(first)
		j.queue[0] = nil
		j.queue = j.queue[1:]
	}
}

// Tell emits an act, once.
func (j *Join) Tell(h *Held) {
	if h.over {
		return
	}
	h.over = true
	if j.live[h.ID] == h {
		delete(j.live, h.ID)
	}
	j.out.Event(h.Event, []byte(h.Key), h.Spans...)
}

// Flush tells all that still wait.
func (j *Join) Flush() {
	for _, h := range j.queue {
		j.Tell(h)
	}
	j.queue = nil
}
