package wire

import (
	"bufio"
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// request is one that was read and waits for the status of its answer.
type request struct {
	at     time.Time
	record recordHTTP
}

const (
	// statusTime is for how long an answer is waited for. A build is answered with
	// the first words that it says: a quiet one when it is over.
	statusTime = 2 * time.Second
	// maxRequests bounds the requests of one connection that wait.
	maxRequests = 16
)

// mode is where the client's half of a connection is.
type mode uint8

const (
	seeking mode = iota // a request begins where a segment does
	heading             // in the header of a request, or where one must begin
	counted             // in a body whose length is known
	chunked             // in one that comes in pieces
	raw                 // after an upgrade: no HTTP any more
)

// talk is what is read of one connection with Docker's API.
type talk struct {
	conn     conn
	client   half
	mode     mode
	left     int64 // of the body, or of the piece
	since    time.Time
	depth    int
	requests []request
	lines    *lines
}

// fromClient takes a segment of the client's.
func (t *talk) fromClient(number uint32, data []byte, at time.Time) {
	if t.mode == raw {
		return
	}
	if t.mode == heading && len(t.client.buf) == 0 {
		t.since = at
	}
	if t.client.open && !t.client.add(number, data) {
		t.unfinished(at)
		t.again()
	}
	if !t.client.open {
		if !beginsRequest(data) {
			return
		}
		t.mode, t.since = heading, at
		t.client.add(number, data)
	}
	for t.step(at) {
	}
	t.client.keep()
}

// again has the next request be sought.
func (t *talk) again() {
	t.client.reset()
	t.mode = seeking
}

// step reads on in what came, and reports whether there may be more to read.
func (t *talk) step(at time.Time) bool {
	buf := t.client.buf
	switch t.mode {
	case heading:
		end := headerEnd(buf)
		if end == 0 {
			if len(buf) >= maxHalf {
				t.unfinished(at)
				t.again()
			}
			return false
		}
		t.client.skip(end)
		return t.header(buf[:end], at)
	case counted:
		n := min(t.left, int64(len(buf)))
		t.client.skip(int(n))
		if t.left -= n; t.left == 0 {
			t.mode, t.since = heading, at
			return len(t.client.buf) > 0
		}
	case chunked:
		return t.piece(at)
	}
	return false
}

// header reads the header of a request, and where its body is.
func (t *talk) header(data []byte, at time.Time) bool {
	r := readRequest(data)
	if r == nil {
		t.again()
		return false
	}
	t.add(r, at)
	switch {
	case len(r.TransferEncoding) > 0:
		t.mode, t.left = chunked, 0
	case r.ContentLength > 0:
		t.mode, t.left = counted, r.ContentLength
	}
	return len(t.client.buf) > 0
}

// maxPieceHead bounds the line before a piece of a body, in bytes.
const maxPieceHead = 4 << 10

// piece reads on in a body that comes in pieces (RFC 9112, 7.1).
func (t *talk) piece(at time.Time) bool {
	buf := t.client.buf
	if t.left > 0 {
		n := min(t.left, int64(len(buf)))
		t.left -= n
		t.client.skip(int(n))
		return t.left == 0 && len(t.client.buf) > 0
	}
	line, _, found := bytes.Cut(buf, []byte{'\n'})
	if !found {
		if len(buf) > maxPieceHead {
			t.again()
		}
		return false
	}
	size, _, _ := bytes.Cut(bytes.TrimSpace(line), []byte{';'})
	n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 48)
	switch {
	case err != nil:
		t.again()
		return false
	case n > 0:
		t.client.skip(len(line) + 1)
		t.left = int64(n) + 2 // and the line end behind it
		return len(t.client.buf) > 0
	}
	// After the last piece there may be more fields, and an empty line.
	end := headerEnd(buf)
	if end == 0 {
		if len(buf) > maxPieceHead {
			t.again()
		}
		return false
	}
	t.client.skip(end)
	t.mode, t.since = heading, at
	return len(t.client.buf) > 0
}

// unfinished tells a request whose header is longer than what is kept, or does
// not end in time: what there is of it, if there is a whole line.
func (t *talk) unfinished(at time.Time) {
	if t.mode != heading {
		return
	}
	line := bytes.LastIndexByte(t.client.buf, '\n')
	if line < 0 {
		// Not even the line of the method has come to its end: what it asks for has
		// begun, all the same.
		if beginsRequest(t.client.buf) {
			if r := readRequest(append(bytes.TrimRight(bytes.Clone(t.client.buf), " \r"), " HTTP/1.1\r\n\r\n"...)); r != nil {
				t.add(r, at)
			}
		}
		return
	}
	if r := readRequest(append(bytes.Clone(t.client.buf[:line+1]), "\r\n"...)); r != nil {
		t.add(r, at)
	}
}

// add makes a request wait for its status. Of its header nothing else is kept,
// of its body nothing.
func (t *talk) add(r *http.Request, at time.Time) {
	if len(t.requests) >= maxRequests {
		t.tell(0, at)
	}
	t.depth++
	one := recordHTTP{
		Depth: t.depth, Method: bounded(r.Method, maxMethod), Host: bounded(r.Host, maxName), URI: withoutSecrets(r.RequestURI),
		Version: strings.TrimPrefix(r.Proto, "HTTP/"), Agent: bounded(r.UserAgent(), maxAgent),
	}
	if r.ContentLength >= 0 && len(r.TransferEncoding) == 0 {
		one.RequestLen = &r.ContentLength
	}
	t.requests = append(t.requests, request{t.since, one})
}

// tell records the first request that waits.
func (t *talk) tell(status int, now time.Time) {
	r := t.requests[0]
	t.requests = append(t.requests[:0], t.requests[1:]...)
	r.record.head = newHead("http", t.conn, r.at, now)
	r.record.Status = status
	t.lines.add(r.record)
}

// fromServer takes a segment of the server's. Answers come in the order of their
// requests, and each begins a segment.
func (t *talk) fromServer(data []byte, at time.Time) {
	if len(t.requests) == 0 {
		return
	}
	status := statusOf(data)
	switch {
	case status == http.StatusSwitchingProtocols:
		t.client.reset()
		t.mode = raw
	case status < 200: // none, or one before the final one
		return
	}
	t.tell(status, at)
}

// statusOf reads the beginning of an answer, 0 if data is none.
func statusOf(data []byte) int {
	const before, digits = len("HTTP/1.1 "), 3
	if len(data) < before+digits || !bytes.HasPrefix(data, []byte("HTTP/1.")) || data[before-1] != ' ' {
		return 0
	}
	n, err := strconv.ParseUint(string(data[before:before+digits]), 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// expire tells what waited too long.
func (t *talk) expire(now time.Time, all bool) {
	for len(t.requests) > 0 && (all || now.Sub(t.requests[0].at).Abs() >= statusTime) {
		t.tell(0, now)
	}
}

// readRequest reads a header, nil if it is none that net/http takes, by which
// Docker reads it.
func readRequest(header []byte) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(header)))
	if err != nil {
		return nil
	}
	return r
}

// headerEnd is where a header ends, 0 if it does not.
func headerEnd(buf []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(buf[i:], '\n')
		if n < 0 {
			return 0
		}
		i += n + 1
		if rest := buf[i:]; len(rest) > 0 && rest[0] == '\n' {
			return i + 1
		} else if len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n' {
			return i + 2
		}
	}
}

// beginsRequest reports whether data can be where a request begins: a method
// (RFC 9110, 9.1; all that are in use are capital letters), a blank, and what
// is asked for.
func beginsRequest(data []byte) bool {
	method, target, _ := bytes.Cut(data[:min(len(data), maxMethod)], []byte{' '})
	if len(method) == 0 || len(target) == 0 && len(method) > len("OPTIONS") {
		return false
	}
	for _, c := range method {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return len(target) == 0 || target[0] == '/' || target[0] == '*' || target[0]|0x20 == 'h'
}
