package stream

import (
	"cmp"
	"container/heap"

	"tidewaiter/event"
)

// A file of look-ups tells at once of all the containers of a week, in any
// order. Whoever works on the events would have to hold everything about each of
// them until it is made; here, the record is all that waits.

// maxEarly bounds the events that wait. What comes beyond is given at once, which
// costs memory elsewhere, and nothing else.
const maxEarly = 50_000

// early are events without a time of their own, which wait until what they are
// about begins.
type early struct {
	queue  earlyQueue
	number int // of those that ever waited
}

// takes reports whether an event is to wait, and has it wait.
func (q *early) takes(e event.Event) bool {
	due := e.Due()
	if e.RecordTime() != 0 || due == 0 || len(q.queue) == maxEarly {
		return false
	}
	q.number++
	heap.Push(&q.queue, earlyEvent{due, q.number, &e})
	return true
}

// next gives the event that is due first if it is by an instant, as far as
// clocks differ.
func (q *early) next(by int64) (e event.Event, ok bool) {
	if len(q.queue) == 0 || q.queue[0].due-int64(Ahead) > by {
		return event.Event{}, false
	}
	return *heap.Pop(&q.queue).(earlyEvent).event, true
}

type earlyEvent struct {
	due    int64
	number int // among those of one time, as they came
	event  *event.Event
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
