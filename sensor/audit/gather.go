package audit

import (
	"bytes"
	"time"

	"github.com/elastic/go-libaudit/v2/auparse"
)

// Bounds of what is held back to be put together.
const (
	maxOpen = 1024     // events
	maxHeld = 16 << 20 // bytes of them
	// settleAfter is how long after a record those that belong to it follow at
	// the latest. Only events that have no end, or lost it, wait so long; and
	// those of tasks that the kernel makes wait for a place in its queue, whose
	// later records are then given by themselves.
	settleAfter = time.Second
	// maxSpare is the memory in bytes that an event leaves for the next.
	maxSpare = 16 << 10
)

// Record types (linux/audit.h).
const (
	typeFirstEvent = 1300
	typeEnd        = 1320
	typeFirstUser2 = 2100
)

// alone reports whether a record of a type is a whole event: what programs say,
// and what the kernel says of the audit system. All others can be of a call
// that has further records.
func alone(typ uint16) bool { return typ < typeFirstEvent || typ >= typeFirstUser2 }

// gathered is an event whose records come in.
type gathered struct {
	serial uint32
	lines  []byte
	at     time.Time // of the last record
	prev   *gathered // by last record, older
	next   *gathered
}

// gatherer puts the records of each event together, though those of several
// come interleaved. It loses nothing: what its bounds drive out is given as it
// is.
type gatherer struct {
	open           map[uint32]*gathered // by serial number, which is the kernel's own and so unique
	oldest, newest *gathered
	held           int
	spare          *gathered
	whole          []byte // lines of whole events, to be taken
}

func newGatherer() *gatherer { return &gatherer{open: map[uint32]*gathered{}} }

// add takes a record, as the kernel sends it.
func (g *gatherer) add(typ uint16, text []byte, now time.Time) {
	serial, stamped := serialOf(text)
	e := g.newest
	if stamped && (e == nil || e.serial != serial) {
		e = g.open[serial]
	}
	if !stamped || e == nil && (alone(typ) || typ == typeEnd) {
		g.whole = appendLine(g.whole, typ, text)
		return
	}
	if e == nil {
		e = g.begin(serial)
	}
	before := len(e.lines)
	e.lines = appendLine(e.lines, typ, text)
	e.at = now
	g.held += len(e.lines) - before
	if typ == typeEnd {
		g.give(e)
		return
	}
	if e != g.newest {
		g.unlink(e)
		g.link(e)
	}
	for len(g.open) > maxOpen || g.held > maxHeld {
		g.give(g.oldest)
	}
}

// settle gives the events that nothing more belongs to, by what one can tell.
func (g *gatherer) settle(now time.Time) {
	for g.oldest != nil && now.Sub(g.oldest.at) >= settleAfter {
		g.give(g.oldest)
	}
}

// all gives every event as it is.
func (g *gatherer) all() {
	for g.oldest != nil {
		g.give(g.oldest)
	}
}

// take gives the lines of whole events. They are valid until the next add.
func (g *gatherer) take() []byte {
	lines := g.whole
	g.whole = g.whole[:0]
	return lines
}

func (g *gatherer) begin(serial uint32) *gathered {
	e := g.spare
	if e == nil {
		e = &gathered{}
	} else {
		g.spare, e.next = e.next, nil
	}
	e.serial = serial
	g.open[serial] = e
	g.link(e)
	return e
}

func (g *gatherer) give(e *gathered) {
	g.whole = append(g.whole, e.lines...)
	g.held -= len(e.lines)
	delete(g.open, e.serial)
	g.unlink(e)
	if e.lines = e.lines[:0]; cap(e.lines) <= maxSpare {
		e.next, g.spare = g.spare, e
	}
}

func (g *gatherer) link(e *gathered) {
	e.prev = g.newest
	if g.newest != nil {
		g.newest.next = e
	} else {
		g.oldest = e
	}
	g.newest = e
}

func (g *gatherer) unlink(e *gathered) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		g.oldest = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		g.newest = e.prev
	}
	e.prev, e.next = nil, nil
}

// serialOf reads the serial number of "audit(SECONDS.MILLIS:SERIAL): …", which
// the kernel's text of every record begins with (audit_log_start in
// kernel/audit.c).
func serialOf(text []byte) (serial uint32, ok bool) {
	stamp, found := bytes.CutPrefix(text, []byte("audit("))
	if !found {
		return 0, false
	}
	stamp = stamp[:min(len(stamp), 32)]
	i := bytes.IndexByte(stamp, ':') + 1
	if i == 0 {
		return 0, false
	}
	for ; i < len(stamp) && stamp[i]-'0' <= 9; i++ {
		serial, ok = serial*10+uint32(stamp[i]-'0'), true
	}
	return serial, ok && i < len(stamp) && stamp[i] == ')'
}

// appendLine appends a record as the line that an audit daemon writes. The end
// of an event, which a daemon leaves out, stays: by it a reader knows at once
// that nothing more belongs to the event.
//
// Whoever may say something to the audit system, as a container may by default,
// chooses the text: a line end within it would begin a record of his making.
func appendLine(b []byte, typ uint16, text []byte) []byte {
	b = append(b, "type="...)
	b = append(b, auparse.AuditMessageType(typ).String()...)
	b = append(b, " msg="...)
	begin := len(b)
	b = append(b, bytes.TrimRight(text, "\x00\n ")...)
	for i, c := range b[begin:] {
		if c < ' ' {
			b[begin+i] = ' '
		}
	}
	return append(b, '\n')
}
