package flow

import (
	"tidewaiter/event"
	"tidewaiter/source"
)

// Bounds of an askTable. A resolver gives up after half a minute; a busy node
// asks some hundreds of questions in that time.
const (
	maxAsked   = 4096
	maxAskedIn = 30 * event.Second
)

// asked is one question, or first half of a pair, that waits for the record
// which completes it. event and key are what it gives if none comes.
type asked struct {
	id    string
	at    int64 // when it came, by the log's own time
	event event.Event
	key   string
	span  event.Span
	over  bool
}

// askTable pairs records of which one asks and the other answers. A question
// leaves it with its answer, or alone: when it is asked again, after maxAskedIn
// of the log's own time, when more than maxAsked wait, or at the end.
type askTable struct {
	out   *source.Output
	limit int
	live  map[string]*asked
	queue []*asked // in order of arrival, those that are over included
}

func newAskTable(out *source.Output) *askTable {
	return &askTable{out: out, limit: maxAsked, live: map[string]*asked{}}
}

// ask makes a question wait.
func (t *askTable) ask(a *asked) {
	if before := t.live[a.id]; before != nil {
		t.alone(before)
	}
	t.live[a.id] = a
	t.queue = append(t.queue, a)
	t.trim(a.at)
}

// answer gives and forgets the question id, nil if none waits that was asked
// before at.
func (t *askTable) answer(id string, at int64) *asked { return t.answered(t.live[id], at) }

// answerBytes is answer, for who has the id in bytes.
func (t *askTable) answerBytes(id []byte, at int64) *asked { return t.answered(t.live[string(id)], at) }

func (t *askTable) answered(a *asked, at int64) *asked {
	if a == nil || a.at > at || at-a.at > maxAskedIn {
		return nil
	}
	a.over = true
	delete(t.live, a.id)
	return a
}

func (t *askTable) trim(now int64) {
	for len(t.queue) > 0 {
		first := t.queue[0]
		old := now-first.at > maxAskedIn
		if !first.over && !old && len(t.live) <= t.limit && len(t.queue) <= 2*t.limit {
			return
		}
		t.alone(first)
		t.queue[0] = nil
		t.queue = t.queue[1:]
	}
}

// alone tells a question that nobody answered.
func (t *askTable) alone(a *asked) {
	if a.over {
		return
	}
	a.over = true
	delete(t.live, a.id)
	t.out.Event(a.event, []byte(a.key), a.span)
}

// flush tells all that still wait.
func (t *askTable) flush() {
	for _, a := range t.queue {
		t.alone(a)
	}
	t.queue = nil
}
