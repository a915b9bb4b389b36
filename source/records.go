package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ErrTooMuch is wrapped by the error of an object that unpacks to more than its
// bounds.
var ErrTooMuch = errors.New("it unpacks to more than is read of one object")

// Records reads an object that is there as a whole, such as a file in a cloud's
// bucket, record by record, without decoding: for those who record first, and
// decode what they recorded. It never holds more than one record.
type Records struct {
	format *Format
	head   []byte
	begun  bool // past the head
	framer framer
	passed int64
}

// RecordsOptions say how an object is read.
type RecordsOptions struct {
	// Formats are the formats to choose from.
	Formats []*Format
	// Name is the format's name if that is known; "" to tell it by content.
	Name string
	// Most bounds the unpacked bytes; DefaultMost if 0.
	Most int64
}

// DefaultMost bounds the unpacked bytes of one object. Clouds write log files
// of some ten MB, packed.
const DefaultMost = 2 << 30

// What unpacks to more than so much and is packed so well is no log: logs are
// packed to a tenth or, if most of it is repeated, to a hundredth, while what
// is made to exhaust is packed to a thousandth.
const (
	looseSize  = 64 << 20
	looseRatio = 250
)

// ReadRecords opens an object, gzip or zstd or plain. It fails with ErrEmpty,
// ErrUnrecognised, ErrTooMuch, and with whatever reading gives.
func ReadRecords(r io.Reader, opt RecordsOptions) (*Records, error) {
	most := opt.Most
	if most == 0 {
		most = DefaultMost
	}
	limits := &limited{most: most}
	opened, err := decompress(packedCount{r, limits})
	if err == nil {
		opened, err = decompress(&limited{r: opened, most: most, outer: limits})
	}
	if err != nil {
		return nil, err
	}
	limits.r = opened
	head := make([]byte, sampleOf(r))
	n, err := io.ReadFull(limits, head)
	whole := err == io.EOF || err == io.ErrUnexpectedEOF
	if err != nil && !whole {
		return nil, err
	}
	head = head[:n]
	if whole && len(bytes.TrimSpace(head)) == 0 {
		return nil, ErrEmpty
	}
	sample := newSample(head, whole)
	f, err := choose(opt, sample)
	if err != nil {
		return nil, err
	}
	rec := &Records{format: f, framer: newFramer(io.MultiReader(bytes.NewReader(head), limits), f.Framing)}
	for _, line := range sample.Lines {
		if f.Framing != Lines || !rec.isHead(line) {
			break
		}
		if bytes.HasPrefix(line, []byte("#open")) {
			continue // Zeek's time of a file's beginning, which would make every head another
		}
		rec.head = append(append(rec.head, line...), '\n')
	}
	return rec, nil
}

// sampleOf is how much is looked at: of a small message less than of a file.
func sampleOf(r io.Reader) int {
	if known, ok := r.(interface{ Len() int }); ok {
		return min(max(known.Len()+1, 4<<10), sampleSize)
	}
	return sampleSize
}

// choose finds the format. What is read as one record has none.
func choose(opt RecordsOptions, s Sample) (*Format, error) {
	f := detect(opt.Formats, s)
	if opt.Name != "" {
		f = Named(opt.Formats, opt.Name)
	}
	switch {
	case f == nil:
		return nil, fmt.Errorf("%w: %s", ErrUnrecognised, describe(s))
	case f.Framing == Whole:
		return nil, fmt.Errorf("%w: %s cannot be read record by record", ErrUnrecognised, f.Name)
	}
	return f, nil
}

func (r *Records) isHead(line []byte) bool {
	if r.format.Head != nil {
		return r.format.Head(line)
	}
	return line[0] == '#'
}

// Format is the format of the records.
func (r *Records) Format() string { return r.format.Name }

// Head are the lines at the beginning that say how the others are read, "" for
// none. They are not among the records.
func (r *Records) Head() string { return string(r.head) }

// Passed is how many records longer than MaxRecord were passed over.
func (r *Records) Passed() int64 { return r.passed }

// Next gives a record as one line, without a line end; it is valid until the
// next call. It fails with io.EOF at the end, with ErrTooMuch, and with
// whatever reading gives.
func (r *Records) Next() ([]byte, error) {
	for {
		rec, err := r.framer.next()
		var long *tooLong
		switch {
		case errors.As(err, &long):
			r.passed++
			continue
		case err != nil:
			return nil, err
		case r.format.Framing == Lines:
			if !r.begun && len(r.head) > 0 && r.isHead(rec.Data) {
				continue
			}
			r.begun = true
			return rec.Data, nil
		}
		// JSON has no line ends but between its parts.
		for i, c := range rec.Data {
			if c == '\n' || c == '\r' {
				rec.Data[i] = ' '
			}
		}
		return rec.Data, nil
	}
}

// limited ends reading where an object's bounds are.
type limited struct {
	r            io.Reader
	most         int64
	read, packed int64
	outer        *limited // counts what is packed, if that is not counted here
}

// Read implements io.Reader.
func (l *limited) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	l.read += int64(n)
	packed := l.packed
	if l.outer != nil {
		packed = l.outer.packed
	}
	if l.read > l.most || l.read > looseSize && l.read/looseRatio > packed {
		return 0, ErrTooMuch
	}
	if errors.Is(err, io.ErrUnexpectedEOF) { // which would pass for the end of a small object
		err = errCut
	}
	return n, err
}

// packedCount counts what is read of the object itself.
type packedCount struct {
	r io.Reader
	l *limited
}

// Read implements io.Reader.
func (p packedCount) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.l.packed += int64(n)
	return n, err
}
