package flow

import (
	"container/list"
	"net/netip"

	"tidewaiter/event"
)

// Bounds of what is remembered of connections, and for how long a packet is
// taken to belong to one that is known.
const (
	// maxSeen is how many connections a seenTable holds: as many as a host's
	// connection tracking, see maxOpen.
	maxSeen = 65536
	// maxSeenText is how many bytes of names they may have together. Names of
	// pods are short, but who asks for long names of one address fills it.
	maxSeenText = 32 << 20
	// maxCited is how many records a connection cites: the first and the last.
	maxCited = 8
	// usualCited is how many most of them cite: opening, answer, data and end.
	usualCited = 4
	// retry is how long Linux repeats a SYN (127 s with tcp_syn_retries = 6).
	retry = 130 * event.Second
	// silence ends a flow of a protocol without ends, as in Cilium's table.
	silence = 60 * event.Second
)

// connID names a connection in the direction in which it was opened. Attempts
// that Cilium dropped are kept apart.
type connID struct {
	cluster  string
	proto    event.Protocol
	src, dst netip.AddrPort
	dropped  bool
}

// seenConn is what is remembered of a connection.
type seenConn struct {
	id     connID
	begun  bool // its first packet was seen
	closed bool // an end was seen: the next SYN is another connection
	// answered: who was asked has sent something, or what only follows that
	// was sent.
	answered bool
	// start is the Time it was told with, last when a packet of it was seen last.
	start, last event.Time
	// told is what was told of it; nil if there is no more to tell, because it
	// was told twice or is an attempt that Cilium dropped.
	told *event.Flow
	// spans are its records: the first, and those after it up to maxCited.
	spans []event.Span
}

// isReply reports whether p goes back to who opened the connection.
func (c *seenConn) isReply(p *hubblePacket) bool { return p.src != c.id.src || p.dst != c.id.dst }

// within reports whether a packet at now follows the last one closely enough.
// Trace points are not printed in order, so it may come before.
func (c *seenConn) within(now, span int64) bool { return now-c.last.At <= span }

// cite keeps a record to be cited. It reports whether another, in the middle,
// had to give way to it.
func (c *seenConn) cite(s event.Span) bool {
	if len(c.spans) < maxCited {
		c.spans = append(c.spans, s)
		return false
	}
	copy(c.spans[1:], c.spans[2:])
	c.spans[maxCited-1] = s
	return true
}

// text is how many bytes of names are remembered for it.
func (c *seenConn) text() int {
	if c.told == nil {
		return 0
	}
	n := 0
	for _, name := range c.told.DstNames {
		n += len(name)
	}
	for _, r := range [...]event.PodRef{c.told.SrcPod.Value(), c.told.DstPod.Value()} {
		n += len(r.Pod) + len(r.Workload.Name) + len(r.Node)
	}
	return n
}

// seenTable remembers connections, the one that was silent longest first. So
// those of which packets keep coming are not forgotten, however long they last.
type seenTable struct {
	limit, textLimit int
	text             int
	live             map[connID]*list.Element
	order            list.List // of *seenConn
}

func newSeenTable() *seenTable {
	return &seenTable{limit: maxSeen, textLimit: maxSeenText, live: map[connID]*list.Element{}}
}

// get gives the connection id, nil if it is not known.
func (t *seenTable) get(id connID) *seenConn {
	if e := t.live[id]; e != nil {
		return e.Value.(*seenConn)
	}
	return nil
}

// add remembers c, whose id must not be known.
func (t *seenTable) add(c *seenConn) {
	t.live[c.id] = t.order.PushBack(c)
	t.text += c.text()
}

// touch makes c the last to be forgotten.
func (t *seenTable) touch(c *seenConn) { t.order.MoveToBack(t.live[c.id]) }

// done notes that there is no more to tell of c, and lets go of what was kept
// for that.
func (t *seenTable) done(c *seenConn) {
	t.text -= c.text()
	c.told, c.spans = nil, nil
}

// remove forgets c.
func (t *seenTable) remove(c *seenConn) {
	t.done(c)
	t.order.Remove(t.live[c.id])
	delete(t.live, c.id)
}

// oldest gives the connection that was silent longest, nil if there is none.
func (t *seenTable) oldest() *seenConn {
	if e := t.order.Front(); e != nil {
		return e.Value.(*seenConn)
	}
	return nil
}

// full reports whether more is remembered than may be.
func (t *seenTable) full() bool { return len(t.live) > t.limit || t.text > t.textLimit }
