package source

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"

	"tidewaiter/event"
)

// MaxRecord is the longest record that is read, in bytes. A Kubernetes object
// is at most a few MiB; what is longer is counted as unreadable and skipped.
const MaxRecord = 16 << 20

// ErrTooLong is wrapped by the fault of a record longer than MaxRecord.
var ErrTooLong = errors.New("record too long")

// framer cuts a stream into records. next gives io.EOF at the end; a fault in
// the stream itself (a truncated gzip) is returned after the last record.
type framer interface {
	// next reads a record. A *tooLong error is about one record only: the
	// framer has skipped it and goes on.
	next() (Record, error)
}

// tooLong reports one skipped record.
type tooLong struct {
	at     event.Span
	length int64
}

func (e *tooLong) Error() string {
	return fmt.Sprintf("%v: %d bytes, the limit is %d", ErrTooLong, e.length, MaxRecord)
}

func (e *tooLong) Unwrap() error { return ErrTooLong }

// readSize is how much of an input is read at once. A company's recording is
// hundreds of files, all open at once, so that more would cost memory; and less
// would cost time.
const readSize = 16 << 10

func newFramer(r io.Reader, f Framing) framer {
	br := bufio.NewReaderSize(r, readSize)
	switch f {
	case JSONValues, JSONLists:
		return &jsonFramer{r: br, line: 1, lists: f == JSONLists}
	case Whole:
		return &wholeFramer{r: br}
	}
	return &lineFramer{r: br}
}

// wholeFramer gives all there is as one record.
type wholeFramer struct {
	r   io.Reader
	end error // after the record
}

func (f *wholeFramer) next() (Record, error) {
	if f.end != nil {
		return Record{}, f.end
	}
	data, err := io.ReadAll(io.LimitReader(f.r, MaxRecord+1))
	f.end = cmp.Or(err, io.EOF)
	at := event.Span{Line: 1, Length: len(data)}
	switch {
	case len(data) == 0:
		return Record{}, f.end
	case len(data) > MaxRecord:
		rest, err := io.Copy(io.Discard, f.r)
		f.end = cmp.Or(err, io.EOF)
		return Record{}, &tooLong{at, int64(len(data)) + rest}
	}
	return Record{data, at}, nil
}

// lineFramer gives one record per line, without the line end, skipping empty
// lines.
type lineFramer struct {
	r      *bufio.Reader
	line   int
	offset int64
	long   []byte // a line longer than the reader's buffer, put together
}

func (f *lineFramer) next() (Record, error) {
	for {
		start := f.offset
		data, total, err := f.readLine()
		if total == 0 && err != nil {
			return Record{}, err
		}
		f.line++
		at := event.Span{Line: f.line, Offset: start, Length: len(data)}
		if total > MaxRecord {
			return Record{}, &tooLong{at, total}
		}
		for len(data) > 0 && (data[len(data)-1] == '\n' || data[len(data)-1] == '\r') {
			data = data[:len(data)-1]
		}
		if len(data) == 0 || !plain(data[0]) && len(bytes.TrimSpace(data)) == 0 {
			continue
		}
		at.Length = len(data)
		return Record{data, at}, nil
	}
}

// plain reports whether a byte is surely no part of white space.
func plain(c byte) bool { return c > ' ' && c < 0x80 }

// readLine reads up to and with '\n'. total counts all bytes of the line, also
// those beyond MaxRecord, which are thrown away.
func (f *lineFramer) readLine() (data []byte, total int64, err error) {
	f.long = f.long[:0]
	for {
		chunk, err := f.r.ReadSlice('\n')
		total += int64(len(chunk))
		f.offset += int64(len(chunk))
		if err == nil && len(f.long) == 0 {
			return chunk, total, nil // nearly always: the line lies in the buffer
		}
		if total <= MaxRecord {
			f.long = append(f.long, chunk...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return f.long, total, err
		}
	}
}

// jsonFramer gives JSON values that follow each other, and the elements of
// arrays, wherever the line ends fall. Text that is no JSON value is given
// line by line, for the decoder to refuse.
type jsonFramer struct {
	r      *bufio.Reader
	line   int
	offset int64
	buf    []byte
	start  event.Span // where buf begins
	size   int64      // bytes of the value, also those not kept
	lists  bool       // objects that begin with a list are opened
	inside bool       // in such a list
}

func (f *jsonFramer) next() (Record, error) {
	c, err := f.skipBetween()
	if err != nil {
		return Record{}, err
	}
	f.buf, f.size = f.buf[:0], 0
	f.start = event.Span{Line: f.line, Offset: f.offset}
	if c == '{' {
		err = f.readObject()
	} else {
		err = f.readRest()
	}
	if f.size > MaxRecord {
		return Record{}, &tooLong{f.start, f.size}
	}
	if len(f.buf) == 0 {
		return Record{}, err
	}
	data := bytes.TrimRight(f.buf, " \t\r\n")
	f.start.Length = len(data)
	return Record{data, f.start}, nil
}

// skipBetween passes over what may stand between values, array brackets
// included, and peeks at the next byte.
func (f *jsonFramer) skipBetween() (byte, error) {
	for {
		c, err := f.r.ReadByte()
		if err != nil {
			return 0, err
		}
		switch c {
		case '\n':
			f.line++
		case ' ', '\t', '\r', ',', '[', 0x1e: // 0x1e: RFC 7464 text sequences
		case ']':
			if f.inside {
				f.offset++
				f.leave()
				continue
			}
		default:
			if err := f.r.UnreadByte(); err != nil || !f.lists || c != '{' || !f.enter() {
				return c, err
			}
			continue
		}
		f.offset++
	}
}

// listHead is how an object begins that is opened.
var listHead = regexp.MustCompile(`^\{\s*"(?:[Rr]ecords|Events|Images|Reservations|InstanceImageMetadata)"\s*:\s*\[`)

// enter passes over the head of an object that begins with a list.
func (f *jsonFramer) enter() bool {
	head, _ := f.r.Peek(64) // near the end there is less, which is enough
	n := len(listHead.Find(head))
	if n == 0 {
		return false
	}
	f.line += bytes.Count(head[:n], []byte{'\n'})
	f.offset += int64(n)
	f.inside = true
	_, err := f.r.Discard(n)
	return err == nil
}

// leave passes over what follows a list in its object, such as the token of the
// next page. Like readObject it ends early at what looks like a new object.
func (f *jsonFramer) leave() {
	f.inside = false
	scan := objectScan{depth: 1}
	for {
		if _, err := f.r.Peek(1); err != nil {
			return
		}
		chunk, err := f.r.Peek(f.r.Buffered())
		if err != nil {
			return
		}
		n, ended := scan.over(chunk)
		lineEnd := chunk[n-1] == '\n'
		if lineEnd {
			f.line++
		}
		f.offset += int64(n)
		if _, err := f.r.Discard(n); err != nil || ended {
			return
		}
		if next, err := f.r.Peek(1); lineEnd && err == nil && next[0] == '{' {
			return
		}
	}
}

// readObject reads one balanced object. A record that was cut off must not
// swallow what follows it, so two things end it early: a line end inside a
// string, which JSON forbids, and a line that begins like a new object, because
// objects inside an object are indented when they are printed over many lines.
func (f *jsonFramer) readObject() error {
	var scan objectScan
	for {
		if _, err := f.r.Peek(1); err != nil {
			return err
		}
		chunk, err := f.r.Peek(f.r.Buffered())
		if err != nil {
			return err
		}
		// A piece at a time: what ends soon must not cost a look at all that is
		// there.
		n, ended := scan.over(chunk[:min(len(chunk), 4<<10)])
		lineEnd := chunk[n-1] == '\n'
		if err := f.consume(chunk[:n]); err != nil {
			return err
		}
		if ended {
			return nil
		}
		if next, err := f.r.Peek(1); lineEnd && err == nil && next[0] == '{' {
			return nil
		}
	}
}

// objectScan follows the structure of a JSON text.
type objectScan struct {
	depth             int
	inString, escaped bool
}

// over scans chunk up to the object's end, or past the first line end, or to
// the chunk's end; it returns how many bytes that is and whether the object
// ends there.
func (s *objectScan) over(chunk []byte) (n int, ended bool) {
	line := bytes.IndexByte(chunk, '\n') + 1
	if line > 0 {
		chunk = chunk[:line]
	}
	slash := indexOrEnd(chunk, 0, '\\')
	for i := 0; i < len(chunk); i++ {
		if s.inString {
			i += s.restOfString(chunk[i:])
			slash = indexOrEnd(chunk, i, '\\')
			s.inString = i == len(chunk)
			continue
		}
		switch signs[chunk[i]] {
		case '"': // most strings have no escape, and end where the next quote is
			if quote := indexOrEnd(chunk, i+1, '"'); quote < slash {
				i = quote
			} else {
				s.inString = true
			}
		case '{':
			s.depth++
		case '}':
			if s.depth--; s.depth == 0 {
				return i + 1, true
			}
		}
	}
	if line > 0 {
		s.escaped = false
		return line, s.inString
	}
	return len(chunk), false
}

// signs are the bytes that tell the structure; a bracket stands for both kinds.
var signs = [256]byte{'"': '"', '{': '{', '[': '{', '}': '}', ']': '}'}

// indexOrEnd is where c stands in b from a position on, or the end of b.
func indexOrEnd(b []byte, from int, c byte) int {
	if n := bytes.IndexByte(b[from:], c); n >= 0 {
		return from + n
	}
	return len(b)
}

// restOfString is where the closing quote of a string with escapes stands in
// chunk, or all of chunk.
func (s *objectScan) restOfString(chunk []byte) int {
	for i, c := range chunk {
		switch {
		case s.escaped:
			s.escaped = false
		case c == '"':
			return i
		default:
			s.escaped = c == '\\'
		}
	}
	return len(chunk)
}

// consume takes bytes into the record; those past MaxRecord are counted and
// thrown away. b may hold one line end, at its end.
func (f *jsonFramer) consume(b []byte) error {
	if room := MaxRecord + 1 - f.size; room > 0 {
		f.buf = append(f.buf, b[:min(int64(len(b)), room)]...)
	}
	f.size += int64(len(b))
	f.offset += int64(len(b))
	if b[len(b)-1] == '\n' {
		f.line++
	}
	_, err := f.r.Discard(len(b))
	return err
}

// readRest reads to the end of the line: something that is no object.
func (f *jsonFramer) readRest() error {
	for {
		chunk, err := f.r.ReadSlice('\n')
		if len(chunk) > 0 {
			if room := MaxRecord + 1 - f.size; room > 0 {
				f.buf = append(f.buf, chunk[:min(int64(len(chunk)), room)]...)
			}
			f.size += int64(len(chunk))
			f.offset += int64(len(chunk))
		}
		if err == nil {
			f.line++
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}
