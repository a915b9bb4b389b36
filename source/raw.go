package source

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"tidewaiter/event"
)

// RawReader reads cited records again from the files that they were read from,
// so that memory need not hold them. The zero RawReader is not ready; use
// NewRawReader. Not safe for concurrent use.
type RawReader struct {
	paths map[string]string // by cited name, where it differs from the path
	file  string
	r     *bufio.Reader
	close io.Closer
	at    int64
}

// NewRawReader makes a RawReader. paths gives, for names that are cited but
// are no paths (standard input), the file that holds their content.
func NewRawReader(paths map[string]string) *RawReader { return &RawReader{paths: paths} }

// MaxRaw bounds the bytes of one citation that are read again.
const MaxRaw = 64 << 10

// Read gives the text of the cited lines, in file order, joined by line ends.
// What lies beyond MaxRaw is cut and marked. It fails if the file is gone or
// too short by now.
func (r *RawReader) Read(o event.Origin) (string, error) {
	var b strings.Builder
	for i, s := range o.Spans {
		if i > 0 {
			b.WriteByte('\n')
		}
		if err := r.span(&b, o.File, s); err != nil {
			return b.String(), fmt.Errorf("read %s:%d again: %w", o.File, s.Line, err)
		}
		if b.Len() > MaxRaw {
			return b.String()[:MaxRaw] + "… (cut)", nil
		}
	}
	return b.String(), nil
}

func (r *RawReader) span(b *strings.Builder, file string, s event.Span) error {
	if r.r == nil || r.file != file || r.at > s.Offset {
		if err := r.open(file); err != nil {
			return err
		}
	}
	if _, err := io.CopyN(io.Discard, r.r, s.Offset-r.at); err != nil {
		return unexpected(err)
	}
	n, err := io.CopyN(b, r.r, int64(min(s.Length, MaxRaw+1)))
	r.at = s.Offset + n
	return unexpected(err)
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (r *RawReader) open(file string) error {
	if err := r.Close(); err != nil {
		return err
	}
	path := file
	if p, ok := r.paths[file]; ok {
		path = p
	}
	f, err := openFile(path)
	if err != nil {
		return err
	}
	r.file, r.close, r.at = file, f, 0
	r.r = bufio.NewReaderSize(f, 256<<10)
	return nil
}

// Close closes the file that was read last.
func (r *RawReader) Close() error {
	if r.close == nil {
		return nil
	}
	err := r.close.Close()
	r.r, r.close = nil, nil
	return err
}
