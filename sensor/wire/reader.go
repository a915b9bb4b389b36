package wire

import (
	"container/list"
	"encoding/binary"
	"time"

	"tidewaiter/sensor"
)

const (
	// maxTalks bounds the TCP connections that are followed.
	maxTalks = 1024
	// talkTime is for how long one is followed that says nothing. A request that
	// comes later is sought anew.
	talkTime = 5 * time.Second
)

// reader makes records of packets.
type reader struct {
	out      sensor.Recorder
	copies   *copies
	lookups  lookups
	dns      *lines
	tls      *lines
	http     *lines
	talks    map[conn]*list.Element // of *following
	byAge    *list.List             // the one that said something last is at the front
	overflow int64                  // connections beyond maxTalks that were in the midst of something
}

// following is one TCP connection that is followed: of Docker's API, or of DNS.
type following struct {
	conn   conn
	last   time.Time
	talk   talk
	halves [2]half // of DNS: the client's and the server's
}

func newReader(out sensor.Recorder) *reader {
	r := &reader{
		out: out, copies: newCopies(), dns: newLines(laneDNS), tls: newLines(laneTLS), http: newLines(laneHTTP),
		talks: map[conn]*list.Element{}, byAge: list.New(),
	}
	r.lookups = lookups{live: map[lookupKey]*lookup{}, lines: r.dns}
	return r
}

// packet takes one packet, whose memory is not kept.
func (r *reader) packet(p *packet) {
	toServer := p.toServer()
	c, first := r.copies.first(p, toServer)
	if !first {
		return
	}
	switch port := c.server.Port(); {
	case port == portDNS && p.tcp:
		r.streamed(c, toServer, p)
	case port == portDNS:
		r.lookups.message(c, toServer, p.payload, p.at)
	case port == portDocker && toServer:
		if f := r.follow(c, p.at, true); f != nil {
			f.talk.fromClient(p.number, p.payload, p.at)
		}
	case port == portDocker:
		if f := r.follow(c, p.at, false); f != nil {
			f.talk.fromServer(p.payload, p.at)
		}
	case toServer:
		r.greeting(c, p)
	}
}

// greeting records a ClientHello.
func (r *reader) greeting(c conn, p *packet) {
	h, ok := parseHello(p.payload)
	if !ok {
		return
	}
	r.tls.add(recordTLS{head: newHead("ssl", c, p.at, p.at), Version: versionNames[h.version], ServerName: h.name, History: "C"})
}

// follow finds a connection, or begins to follow it if that is wanted.
func (r *reader) follow(c conn, at time.Time, begin bool) *following {
	if e := r.talks[c]; e != nil {
		f := e.Value.(*following)
		if f.last.Before(at) {
			f.last = at
		}
		r.byAge.MoveToFront(e)
		return f
	}
	if !begin {
		return nil
	}
	if len(r.talks) >= maxTalks {
		oldest := r.byAge.Back()
		if oldest.Value.(*following).midst() {
			r.overflow++
		}
		r.unfollow(oldest, at)
	}
	f := &following{conn: c, last: at, talk: talk{conn: c, lines: r.http}}
	r.talks[c] = r.byAge.PushFront(f)
	return f
}

// midst reports whether something has begun and has not ended.
func (f *following) midst() bool {
	return len(f.talk.client.buf)+len(f.halves[0].buf)+len(f.halves[1].buf) > 0
}

func (r *reader) unfollow(e *list.Element, now time.Time) {
	f := e.Value.(*following)
	f.talk.unfinished(now)
	f.talk.expire(now, true)
	delete(r.talks, f.conn)
	r.byAge.Remove(e)
}

// streamed takes a segment of DNS over TCP, where each message comes after its
// length (RFC 1035, 4.2.2).
func (r *reader) streamed(c conn, toServer bool, p *packet) {
	f := r.follow(c, p.at, toServer)
	if f == nil {
		return
	}
	h := &f.halves[0]
	if !toServer {
		h = &f.halves[1]
	}
	if !h.add(p.number, p.payload) {
		h.reset()
		return
	}
	for len(h.buf) > 2 {
		n := int(binary.BigEndian.Uint16(h.buf))
		if n < 12 { // not even a header: this is not DNS
			h.reset()
			return
		}
		if len(h.buf) < 2+n {
			break
		}
		r.lookups.message(c, toServer, h.buf[2:2+n], p.at)
		h.skip(2 + n)
	}
	h.keep()
}

// waits reports whether anything waits for more to come.
func (r *reader) waits() bool { return len(r.lookups.queue) > 0 || len(r.talks) > 0 }

// expire lets go of what waited too long, or of everything.
func (r *reader) expire(now time.Time, all bool) {
	r.lookups.expire(now, all)
	for e := r.byAge.Back(); e != nil; {
		f, before := e.Value.(*following), e.Prev()
		if all || now.Sub(f.last).Abs() >= talkTime {
			r.unfollow(e, now)
		} else {
			f.talk.expire(now, false)
		}
		e = before
	}
	if r.overflow > 0 {
		r.out.Lost("more connections than are followed at once", r.overflow)
		r.overflow = 0
	}
}

// flush hands on what was recorded.
func (r *reader) flush() {
	r.dns.flush(r.out)
	r.tls.flush(r.out)
	r.http.flush(r.out)
}
