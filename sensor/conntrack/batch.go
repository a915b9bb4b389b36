package conntrack

import (
	"sync"

	"tidewaiter/sensor"
)

// maxBatch bounds what waits to be recorded, in bytes: some 80,000 events.
const maxBatch = 16 << 20

// maxSpare bounds the memory that is kept between two batches.
const maxSpare = 1 << 20

// batch is what was received and not recorded yet. The kernel's buffer is
// emptied as fast as possible, and records are written many at once.
type batch struct {
	wake chan struct{} // holds something when there is something to tell
	// mu guards the following.
	mu        sync.Mutex
	lines     []byte
	spare     []byte // the memory of the batch before
	overflows int
	dropped   int64 // lines beyond maxBatch
	misreads  int64
}

func newBatch() *batch { return &batch{wake: make(chan struct{}, 1)} }

// add takes one line, which is not kept.
func (b *batch) add(line []byte) {
	b.change(func() {
		if len(b.lines)+len(line) > maxBatch {
			b.dropped++
			return
		}
		b.lines = append(b.lines, line...)
	})
}

// overflow counts that the kernel had no room.
func (b *batch) overflow() { b.change(func() { b.overflows++ }) }

// misread counts an event that could not be read.
func (b *batch) misread() { b.change(func() { b.misreads++ }) }

func (b *batch) change(how func()) {
	b.mu.Lock()
	how()
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// tell records all there is. It is called by one goroutine only.
func (b *batch) tell(out sensor.Recorder) {
	b.mu.Lock()
	lines, overflows, dropped, misreads := b.lines, b.overflows, b.dropped, b.misreads
	b.lines, b.spare = b.spare[:0], nil
	b.overflows, b.dropped, b.misreads = 0, 0, 0
	b.mu.Unlock()
	if len(lines) > 0 {
		out.Record(lane, lines)
	}
	if overflows > 0 {
		out.Lost("netlink buffer overflow (ENOBUFS)", -1)
	}
	if dropped > 0 {
		out.Lost("connections come faster than they are recorded", dropped)
	}
	if misreads > 0 {
		out.Lost("connection tracking events that cannot be read", misreads)
	}
	if cap(lines) <= maxSpare {
		b.mu.Lock()
		b.spare = lines
		b.mu.Unlock()
	}
}
