package stream

import (
	"cmp"
	"container/heap"
	"fmt"

	"tidewaiter/event"
)

// A file of look-ups tells at once of all the containers of a week, in any
// order. Whoever works on the events would have to hold everything about each of
// them until it is made; here, the record is all that waits.

// maxEarly bounds the events that wait. What comes beyond is given at once, which
// costs memory elsewhere, and nothing else.
const maxEarly = 50_000

// early are events without a time of their own, which wait until what they are
// about begins; encoded, which takes half the room.
type early struct {
	queue  earlyQueue
	number int // of those that ever waited
	codec  *event.Codec
}

// waits reports whether an event has no time of its own and tells when it is due.
func waits(e *event.Event) bool { return e.RecordTime() == 0 && e.Due() != 0 }

// takes has an event of a source wait, unless there is no room for it.
func (q *early) takes(index int, e event.Event) bool {
	if len(q.queue) == maxEarly {
		return false
	}
	if q.codec == nil {
		codec, err := event.NewCodec()
		if err != nil {
			return false
		}
		q.codec = codec
	}
	b, err := q.codec.Encode(&e)
	if err != nil {
		return false
	}
	q.number++
	heap.Push(&q.queue, earlyEvent{e.Due(), q.number, index, b})
	return true
}

// next gives the event that is due first if it is by an instant, as far as
// clocks differ.
func (q *early) next(by int64) (e event.Event, ok bool, err error) {
	if len(q.queue) == 0 || q.queue[0].due-int64(Ahead) > by {
		return event.Event{}, false, nil
	}
	first := heap.Pop(&q.queue).(earlyEvent)
	waited, err := q.codec.Decode(first.encoded)
	if err != nil {
		return event.Event{}, true, SourceError{first.index, fmt.Errorf("a record that waited: %w", err)}
	}
	return *waited, true, nil
}

type earlyEvent struct {
	due     int64
	number  int // among those of one time, as they came
	index   int // of the source
	encoded []byte
}

type earlyQueue []earlyEvent

func (q earlyQueue) Len() int { return len(q) }
func (q earlyQueue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].due, q[j].due), cmp.Compare(q[i].number, q[j].number)) < 0
}
func (q earlyQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *earlyQueue) Push(x any)   { *q = append(*q, x.(earlyEvent)) }
func (q *earlyQueue) Pop() any {
	old := *q
	x := old[len(old)-1]
	old[len(old)-1] = earlyEvent{}
	*q = old[:len(old)-1]
	return x
}
