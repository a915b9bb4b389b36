package wire

import (
	"bytes"
	"slices"
)

const (
	// maxHalf bounds what is kept of one direction of a connection, in bytes.
	maxHalf = 64 << 10
	// maxAhead bounds the segments that wait for one before them.
	maxAhead = 8
)

// half puts the segments of one direction of a TCP connection in order.
type half struct {
	open  bool
	next  uint32 // the number of the byte that comes next
	buf   []byte // what came, in order, and was not read yet
	lent  bool   // buf is a packet's memory
	ahead []segment
	after int // how long those are together
}

type segment struct {
	number uint32
	data   []byte
}

// add takes a segment; the first one is where the direction begins. ok is false
// if so much is missing that it cannot go on, or if nobody read so much: then it
// has to begin anew.
func (h *half) add(number uint32, data []byte) (ok bool) {
	if !h.open {
		h.open, h.next = true, number
	}
	if !h.take(number, data) {
		if len(h.ahead) >= maxAhead || int32(number-h.next) > maxHalf || len(h.buf)+h.after+len(data) > maxHalf {
			return false
		}
		h.ahead = append(h.ahead, segment{number, bytes.Clone(data)})
		h.after += len(data)
		return true
	}
	for i := 0; i < len(h.ahead); i++ {
		if s := h.ahead[i]; h.take(s.number, s.data) {
			h.after -= len(s.data)
			h.ahead = slices.Delete(h.ahead, i, i+1)
			i = -1
		}
	}
	return true
}

// take appends what is new in a segment, if nothing is missing before it.
func (h *half) take(number uint32, data []byte) bool {
	before := int32(h.next - number) // how much of it came already
	if before < 0 {
		return false
	}
	if int(before) < len(data) {
		if len(h.buf) == 0 {
			h.buf, h.lent = data[before:], true
		} else {
			h.keep()
			h.buf = append(h.buf, data[before:]...)
		}
		h.next += uint32(len(data)) - uint32(before)
	}
	return true
}

// skip lets go of what was read.
func (h *half) skip(n int) { h.buf = h.buf[n:] }

// keep makes what was not read outlive the packet.
func (h *half) keep() {
	if h.lent || len(h.buf) == 0 {
		h.buf, h.lent = append([]byte(nil), h.buf...), false
	}
}

func (h *half) reset() { *h = half{} }
