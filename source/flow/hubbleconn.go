package flow

import (
	"tidewaiter/event"
	"tidewaiter/source"
)

// States of a connection that is told for the second time.
const (
	stateClosed = "CLOSED" // an end was seen
	stateOpen   = "OPEN"   // none was seen
)

// connection emits a flow if p is the first that tells of a connection.
func (d *hubbleDecoder) connection(rec source.Record, p *hubblePacket) error {
	out := connID{cluster: p.cluster, proto: p.proto, src: p.src, dst: p.dst}
	back := connID{cluster: p.cluster, proto: p.proto, src: p.dst, dst: p.src}
	if p.toward == unknownWay && !p.begins() {
		if c := d.seen.get(back); c != nil {
			return d.more(rec, p, c)
		}
	}
	switch {
	case p.dropped() && p.toward == backward:
		if c := d.seen.get(back); c != nil {
			return d.more(rec, p, c)
		}
		return errNothing
	case p.dropped():
		return d.droppedPacket(rec, p, out)
	case p.toward == backward:
		return d.reply(rec, p, back)
	}
	c := d.seen.get(out)
	switch {
	case c != nil && !isAnother(p, c):
		return d.more(rec, p, c)
	case !p.proves, p.toward == unknownWay && !p.begins():
		return errNothing
	}
	state := p.reason
	switch {
	case p.verdict == "ERROR":
		state = p.verdict
	case p.begins(), p.proto != "tcp" && state == "":
		state = "NEW"
	case state == "":
		state = "ESTABLISHED"
	}
	return d.emit(rec, p, out, state)
}

// isAnother reports whether p begins another connection between ends that are
// known, because the one before is over. Trace points of one connection may
// come hours apart: only protocols without ends are over by silence, and not
// if Cilium says that it still knew the connection.
func isAnother(p *hubblePacket, c *seenConn) bool {
	switch {
	case p.begins():
		return !c.begun || c.closed || !c.within(p.at.At, retry)
	case p.proto == "tcp", p.reason == "ESTABLISHED":
		return false
	}
	return !c.within(p.at.At, silence)
}

// reply handles a packet on its way back to who opened the connection.
func (d *hubbleDecoder) reply(rec source.Record, p *hubblePacket, opened connID) error {
	c := d.seen.get(opened)
	switch {
	case c != nil && (p.proto == "tcp" || c.within(p.at.At, silence)):
		return d.more(rec, p, c)
	case !p.proves:
		return errNothing
	}
	return d.emit(rec, p, opened, "REPLY")
}

// droppedPacket tells an attempt that came to nothing. A packet dropped in the
// middle of a known connection is no attempt.
func (d *hubbleDecoder) droppedPacket(rec source.Record, p *hubblePacket, id connID) error {
	if !p.proves {
		return errNothing
	}
	if c := d.seen.get(id); c != nil && p.flags && !p.syn {
		return d.more(rec, p, c)
	}
	id.dropped = true
	if c := d.seen.get(id); c != nil && c.within(p.at.At, retry) {
		return d.more(rec, p, c)
	}
	return d.emit(rec, p, id, p.verdict)
}

// emit tells the connection id by the packet p, which may be a reply.
func (d *hubbleDecoder) emit(rec source.Record, p *hubblePacket, id connID, state string) error {
	body := &event.Flow{
		Protocol: id.proto, Src: id.src, Dst: id.dst, State: state,
		// Who sends more than a SYN has had an answer, whatever became of this.
		BytesOut: -1, BytesIn: -1, Answered: !id.dropped || p.flags && !p.syn,
		SrcPod: p.pod("source", p.srcLocal), DstPod: p.pod("destination", p.dstLocal),
		DstNames: p.names("destination_names"),
	}
	if id.src != p.src || id.dst != p.dst {
		body.SrcPod, body.DstPod = body.DstPod, body.SrcPod
		body.DstNames = p.names("source_names")
	}
	key := p.key()
	if err := d.parser.Fault(); err != nil {
		return err
	}
	if before := d.seen.get(id); before != nil {
		d.forget(before)
	}
	d.out.Event(event.Event{Time: p.at, Body: body, Place: event.Place{Cluster: p.cluster}}, []byte(key), rec.Span)
	c := &seenConn{
		id: id, start: p.at, last: p.at, closed: p.fin,
		begun: state == "NEW" || state == "REOPENED" || id.dropped,
	}
	if !id.dropped {
		c.told, c.spans = body, append(make([]event.Span, 0, usualCited), rec.Span)
		c.answered = c.isReply(p) || p.followsAnswer()
	}
	d.seen.add(c)
	for d.seen.full() {
		d.forget(d.seen.oldest())
	}
	return nil
}

// more notes one more packet of a known connection. It gives errNothing if no
// event will cite the record.
func (d *hubbleDecoder) more(rec source.Record, p *hubblePacket, c *seenConn) error {
	d.seen.touch(c)
	if p.at.At > c.last.At {
		c.last = p.at
	}
	if !p.dropped() { // what nobody received ends and answers nothing
		c.closed = c.closed || p.fin || p.rst
		c.answered = c.answered || c.isReply(p) || p.followsAnswer()
	}
	if c.told == nil {
		return errNothing
	}
	if c.cite(rec.Span) {
		d.out.Skip()
	}
	if c.closed {
		d.again(c)
	}
	return nil
}

// forget lets go of a connection, after telling what is left to be told.
func (d *hubbleDecoder) forget(c *seenConn) {
	d.again(c)
	d.seen.remove(c)
}

// again tells a connection for the second time, with all that was seen of it.
// If that was one packet, it has been told.
func (d *hubbleDecoder) again(c *seenConn) {
	if len(c.spans) < 2 {
		return
	}
	body := *c.told
	body.State, body.Answered = stateOpen, c.answered
	if c.closed {
		body.State, body.End = stateClosed, c.last
	}
	e := event.Event{Time: c.start, Record: c.last.At, Body: &body, Place: event.Place{Cluster: c.id.cluster}}
	key := string(c.id.proto) + "|" + c.id.src.String() + "|" + c.id.dst.String()
	d.out.Event(e, flowKey(nil, key, c.start, "|end"), c.spans...)
	d.seen.done(c)
}
