package layers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"tidewaiter/image"
)

// Layout reads an OCI image layout, a folder. Nothing outside the folder is
// opened, whatever links lie in it.
func Layout(ctx context.Context, dir string, opt Options) (Found, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Found{}, err
	}
	defer root.Close()
	b, cancel := newBudget(ctx, opt.Limits)
	defer cancel()
	s := &layout{root: root, b: b, known: opt.Known}
	index, err := s.file("index.json")
	if errors.Is(err, fs.ErrNotExist) {
		return Found{}, fmt.Errorf("%s: no OCI layout: there is no index.json in it", dir)
	}
	if err != nil {
		return Found{}, fmt.Errorf("%s: %w", dir, err)
	}
	r := &reader{store: s, known: opt.Known, b: b, where: opt.Where}
	if err := r.index(index, nil, nil, 0); err != nil {
		return Found{}, fmt.Errorf("%s: %w", dir, err)
	}
	return Found{united(r.images), r.bundles}, nil
}

type layout struct {
	root  *os.Root
	b     *budget
	known Known
}

// open opens a file of the layout, which must be a plain one: reading a pipe or
// a device might never end.
func (s *layout) open(name string) (*os.File, int64, error) {
	info, err := s.root.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s: not a regular file", name)
	}
	f, err := s.root.Open(name)
	return f, info.Size(), err
}

func (s *layout) file(name string) ([]byte, error) {
	f, size, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := s.b.document(size); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return io.ReadAll(io.LimitReader(f, size))
}

// blob is the path of content.
func blob(d descriptor) (string, error) {
	if _, err := image.ParseDigest(d.Digest); err != nil {
		return "", err
	}
	algorithm, sum, _ := strings.Cut(d.Digest, ":")
	return path.Join("blobs", algorithm, sum), nil
}

func (s *layout) document(d descriptor) ([]byte, error) {
	name, err := blob(d)
	if err != nil {
		return nil, err
	}
	data, err := s.file(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", d.Digest, errAbsent)
	}
	if err != nil {
		return nil, err
	}
	return data, verified(data, d)
}

// verified compares content with its digest. Only SHA-256 is in use.
func verified(data []byte, d descriptor) error {
	if got := fmt.Sprintf("sha256:%x", sha256.Sum256(data)); got != d.Digest {
		return fmt.Errorf("%s: its content has another digest", d.Digest)
	}
	return nil
}

func (s *layout) layer(d descriptor) layer {
	name, err := blob(d)
	if err != nil {
		return layer{fault: err}
	}
	f, _, err := s.open(name)
	if err != nil {
		return layer{fault: err}
	}
	defer f.Close()
	return same(scan(f, s.known, s.b), d)
}

// same faults a layer that is not what its digest says.
func same(l layer, d descriptor) layer {
	if l.fault == nil && l.blob.String() != d.Digest {
		l.fault = fmt.Errorf("%s: its content has another digest", d.Digest)
	}
	return l
}

// IsArchive tells an archive of images from other files by its first bytes.
func IsArchive(head []byte) bool {
	return isArchive(head) && len(bytes.Trim(head, "\x00")) > 0
}
