package layers

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"tidewaiter/image"
	"tidewaiter/posture"
)

// errAbsent is what a store lacks.
var errAbsent = errors.New("not in the archive")

// Found is what a look into an archive, a layout or a repository gave.
type Found struct {
	Images  []posture.Image
	Bundles []Bundle
}

// Options say how to look.
type Options struct {
	Known  Known
	Limits Limits
	// Where is how what was read is cited.
	Where string
}

// Archive reads an archive as "docker save" makes it, bare or packed, in either
// of its forms, in one pass. If a bound ends the look, the images say so; an
// error means that it is no such archive.
func Archive(ctx context.Context, r io.Reader, opt Options) (Found, error) {
	b, cancel := newBudget(ctx, opt.Limits)
	defer cancel()
	s := &archive{b: b, known: opt.Known, documents: map[string][]byte{}, byDigest: map[string]string{}, layers: map[string]layer{}, links: map[string]string{}}
	outer, err := unpack(r)
	if err != nil {
		return Found{}, fmt.Errorf("read the archive: %w", err)
	}
	defer outer.Close()
	fault := s.read(outer)
	rd := &reader{store: s, known: opt.Known, b: b, where: opt.Where}
	if fault == nil {
		fault = s.images(rd)
	}
	if fault != nil && (len(s.layers) > 0 || errors.Is(fault, ErrBound)) {
		rd.images = append(rd.images, s.rest(rd, fault))
		fault = nil
	}
	return Found{united(rd.images), rd.bundles}, fault
}

// maxLayers bounds the layers of one archive.
const maxLayers = 2_000

// archive is what one pass over an archive kept.
type archive struct {
	b         *budget
	known     Known
	documents map[string][]byte // by name
	byDigest  map[string]string // names
	layers    map[string]layer  // by name
	links     map[string]string
}

func (s *archive) read(outer io.Reader) error {
	tr := tar.NewReader(outer)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			if n == 0 {
				return errors.New("an empty archive")
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
		if err := s.b.entry(); err != nil {
			return err
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeSymlink, tar.TypeLink:
			if len(s.links) < maxLayers {
				to := h.Linkname
				if h.Typeflag == tar.TypeSymlink {
					to = path.Join(path.Dir(name), to)
				}
				s.links[name] = path.Clean(to)
			}
		case tar.TypeReg:
			if err := s.entry(name, h.Size, tr); err != nil {
				return err
			}
		}
	}
}

// entry keeps a document, or looks into a layer; by content, as names say
// nothing.
func (s *archive) entry(name string, size int64, r io.Reader) error {
	br := bufio.NewReaderSize(r, 4096)
	head, err := br.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the archive: %w", err)
	}
	trimmed := bytes.TrimSpace(head)
	switch {
	case len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '['):
		if err := s.b.document(size); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		data, err := io.ReadAll(br)
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
		s.documents[name] = data
		s.byDigest[fmt.Sprintf("sha256:%x", sha256.Sum256(data))] = name
	case isArchive(head):
		if len(s.layers) >= maxLayers {
			return fmt.Errorf("%w: more than %d layers", ErrBound, maxLayers)
		}
		l := scan(br, s.known, s.b)
		s.layers[name] = l
		if !l.blob.IsZero() {
			s.byDigest[l.blob.String()] = name
		}
		if errors.Is(l.fault, ErrBound) {
			return l.fault
		}
	}
	return nil
}

// isArchive tells tar, gzip and zstd; an empty layer is a block of zeros.
func isArchive(head []byte) bool {
	return len(head) > 262 && bytes.Equal(head[257:262], []byte("ustar")) || len(head) == 512 && len(bytes.Trim(head, "\x00")) == 0 ||
		bytes.HasPrefix(head, []byte{0x1f, 0x8b}) || bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd})
}

// images reads what the archive's own table and its index name. "docker load"
// takes the table or the index, by its version: both count.
func (s *archive) images(r *reader) error {
	table, hasTable := s.documents["manifest.json"]
	index, hasIndex := s.documents["index.json"]
	if !hasTable && !hasIndex {
		return errors.New("neither manifest.json nor index.json is in it: not an archive of images")
	}
	if hasTable {
		if err := s.table(r, table); err != nil {
			return err
		}
	}
	if hasIndex {
		return r.index(index, nil, nil, 0)
	}
	return nil
}

// table reads manifest.json, Docker's own list.
func (s *archive) table(r *reader, data []byte) error {
	var all []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("read manifest.json: %w", err)
	}
	for _, t := range all {
		config, ok := s.documents[s.follow(t.Config)]
		if !ok {
			return fmt.Errorf("read manifest.json: %s is not in the archive", t.Config)
		}
		m := manifest{Config: descriptor{Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(config))}}
		for _, l := range t.Layers {
			m.Layers = append(m.Layers, descriptor{Digest: "name:" + l})
		}
		var names []image.Reference
		for _, tag := range t.RepoTags {
			names = append(names, image.ParseDocker(tag))
		}
		if err := r.manifest(m, nil, names); err != nil {
			return err
		}
	}
	return nil
}

// follow resolves links between the archive's own entries.
func (s *archive) follow(name string) string {
	name = path.Clean(name)
	for range 8 {
		to, ok := s.links[name]
		if !ok {
			break
		}
		name = to
	}
	return name
}

func (s *archive) document(d descriptor) ([]byte, error) {
	data, ok := s.documents[s.byDigest[d.Digest]]
	if !ok {
		return nil, fmt.Errorf("%s: %w", d.Digest, errAbsent)
	}
	return data, nil
}

func (s *archive) layer(d descriptor) layer {
	name, byName := strings.CutPrefix(d.Digest, "name:")
	if byName {
		name = s.follow(name)
	} else {
		name = s.byDigest[d.Digest]
	}
	l, ok := s.layers[name]
	if !ok {
		return layer{fault: fmt.Errorf("%s: %w", d.Digest, errAbsent)}
	}
	return l
}

// rest is an image of which nobody knows more than what was seen in layers
// before the look ended.
func (s *archive) rest(r *reader, why error) posture.Image {
	c := &posture.Content{Lists: s.known.names()}
	for name, l := range s.layers {
		r.merge(c, l, name)
	}
	c.Stopped = why.Error()
	return posture.Image{Name: r.where, Where: r.where, Content: c}
}

// united makes one of images that two tables name.
func united(all []posture.Image) []posture.Image {
	var out []posture.Image
	for _, im := range all {
		i := -1
		for j := range out {
			if !im.ID.IsZero() && out[j].ID == im.ID {
				i = j
			}
		}
		if i < 0 {
			out = append(out, im)
			continue
		}
		have := &out[i]
		for _, d := range im.Digests {
			if !contains(have.Digests, d) {
				have.Digests = append(have.Digests, d)
			}
		}
		if len(have.Names) == 0 && len(im.Names) > 0 {
			have.Names, have.Name = im.Names, im.Name
		}
		mergeContent(have.Content, im.Content)
	}
	return out
}

func contains[T comparable](all []T, one T) bool {
	for _, x := range all {
		if x == one {
			return true
		}
	}
	return false
}

// mergeContent adds what only the second look saw: the same configuration with
// other layers is another image to whoever unpacks it.
func mergeContent(to, from *posture.Content) {
	if to == nil || from == nil {
		return
	}
	if to.Stopped == "" {
		to.Stopped = from.Stopped
	}
	for _, f := range []struct{ to, from *[]posture.File }{{&to.SetID, &from.SetID}, {&to.Hidden, &from.Hidden}, {&to.Bad, &from.Bad}} {
		for _, file := range *f.from {
			if !contains(*f.to, file) {
				*f.to = append(*f.to, file)
			}
		}
	}
}
