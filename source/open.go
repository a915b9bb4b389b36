package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// openFile opens path and decompresses it if its first bytes say gzip or zstd.
// A compressed file inside a compressed file is opened too, once.
func openFile(path string) (*fileReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	file := &fileReader{file: f, close: f}
	r, err := decompress(countingReader{f, &file.read})
	if err == nil {
		r, err = decompress(r)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	file.Reader = r
	return file, nil
}

// fileReader gives a file's content, decompressed.
type fileReader struct {
	io.Reader
	file  *os.File // nil for a stream
	close io.Closer
	read  atomic.Int64 // bytes of the file itself
}

type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

// Read implements io.Reader.
func (c countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// Close closes the file and lets go of what unpacks it: those who ask how much
// was read may keep the fileReader.
func (f *fileReader) Close() error {
	f.Reader = nil
	return f.close.Close()
}

// decompress looks at the magic number and unpacks gzip (RFC 1952) and
// Zstandard (RFC 8878); anything else passes through, without a buffer.
func decompress(r io.Reader) (io.Reader, error) {
	magic := make([]byte, 4)
	n, err := io.ReadFull(r, magic)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	magic = magic[:n]
	r = io.MultiReader(bytes.NewReader(magic), r)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		zr, err := gzip.NewReader(bufio.NewReaderSize(r, packedSize))
		if err != nil {
			return nil, fmt.Errorf("read gzip: %w", err)
		}
		return unpacked{zr}, nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// One goroutine and a bounded window: a hostile frame can ask for much.
		zr, err := zstd.NewReader(bufio.NewReaderSize(r, packedSize), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, fmt.Errorf("read zstd: %w", err)
		}
		return unpacked{zr.IOReadCloser()}, nil
	}
	return r, nil
}

// unpacked tells packed data that end too early from a short file, which is what
// io.ReadFull takes io.ErrUnexpectedEOF for.
type unpacked struct{ io.Reader }

// Read implements io.Reader.
func (u unpacked) Read(b []byte) (int, error) {
	n, err := u.Reader.Read(b)
	if err == io.ErrUnexpectedEOF {
		err = errCut
	}
	return n, err
}

// errCut is that packed data end too early.
var errCut = fmt.Errorf("it is cut off: %w", io.ErrUnexpectedEOF)

// packedSize is how much of a compressed file is read at once.
const packedSize = 32 << 10
