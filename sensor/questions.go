package sensor

import (
	"context"
	"sync"
)

// Questions are look-ups that wait to be made: each at most once, since the
// answer will be at least as new, and a bounded number of them. Safe for
// concurrent use.
type Questions[Q comparable] struct {
	queue   chan Q
	mu      sync.Mutex
	waiting map[Q]bool // guarded by mu
}

// NewQuestions makes room for so many that wait.
func NewQuestions[Q comparable](room int) *Questions[Q] {
	return &Questions[Q]{queue: make(chan Q, room), waiting: map[Q]bool{}}
}

// Ask puts a question unless it is waiting already. It never blocks; false says
// that there was no room.
func (qs *Questions[Q]) Ask(q Q) bool {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if qs.waiting[q] {
		return true
	}
	select {
	case qs.queue <- q:
		qs.waiting[q] = true
		return true
	default:
		return false
	}
}

// Answer answers one question after another until ctx ends.
func (qs *Questions[Q]) Answer(ctx context.Context, answer func(context.Context, Q)) {
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-qs.queue:
			qs.mu.Lock()
			delete(qs.waiting, q)
			qs.mu.Unlock()
			answer(ctx, q)
		}
	}
}
