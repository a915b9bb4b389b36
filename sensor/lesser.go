package sensor

import (
	"slices"
	"sync"
)

// Lesser is what a sensor does without while it watches: not everything that it
// could see. Sensors embed it. Safe for concurrent use.
type Lesser struct {
	mu    sync.Mutex
	lacks []*Lack
}

// Lacks are what the sensor does without since it was last ready; empty if
// nothing is missing.
func (l *Lesser) Lacks() []*Lack {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lacks)
}

// SetLacks says what the sensor does without from now on.
func (l *Lesser) SetLacks(now []*Lack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lacks = now
}
