package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

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
	file := &fileReader{file: f}
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
	file *os.File
	read int64 // bytes of the file itself
}

type countingReader struct {
	r io.Reader
	n *int64
}

// Read implements io.Reader.
func (c countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	*c.n += int64(n)
	return n, err
}

func (f *fileReader) Close() error { return f.file.Close() }

// decompress looks at the magic number and unpacks gzip (RFC 1952) and
// Zstandard (RFC 8878); anything else passes through.
func decompress(r io.Reader) (io.Reader, error) {
	br := bufio.NewReaderSize(r, 32<<10)
	magic, err := br.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		zr, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("read gzip: %w", err)
		}
		return zr, nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// One goroutine and a bounded window: a hostile frame can ask for much.
		zr, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, fmt.Errorf("read zstd: %w", err)
		}
		return zr.IOReadCloser(), nil
	}
	return br, nil
}
