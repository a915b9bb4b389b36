package layers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"tidewaiter/image"
)

// Registry reads an image, and the bundles that refer to it, from a registry
// (OCI distribution specification). Credentials are those of the user's Docker
// configuration. Of an index all platforms are read.
func Registry(ctx context.Context, ref string, opt Options) (Found, error) {
	parsed := image.Parse(ref)
	if parsed.Form() != image.Named {
		return Found{}, fmt.Errorf("%q is not the name of an image", ref)
	}
	at, err := name.ParseReference(ref, name.WithDefaultRegistry("index.docker.io"))
	if err != nil {
		return Found{}, err
	}
	b, cancel := newBudget(ctx, opt.Limits)
	defer cancel()
	s := &registry{repository: at.Context(), b: b, known: opt.Known, opts: []remote.Option{
		remote.WithContext(b.ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("tidewaiter"),
		remote.WithTransport(&bounded{base: http.DefaultTransport, document: b.limits.Document, blob: b.limits.Unpacked}),
	}}
	got, err := remote.Get(at, s.opts...)
	if err != nil {
		return Found{}, plain(err)
	}
	r := &reader{store: s, known: opt.Known, b: b, where: opt.Where}
	s.first = map[string][]byte{got.Digest.String(): got.Manifest}
	err = r.entry(descriptor{Digest: got.Digest.String()}, nil, []image.Reference{parsed}, 0)
	if err != nil {
		return Found{}, err
	}
	if err := s.referring(r); err != nil {
		r.bundles = append(r.bundles, Bundle{Where: opt.Where, Err: err})
	}
	for i := range r.images {
		im := &r.images[i]
		im.HasOrigins = true
		for _, d := range im.Digests {
			if d != im.ID {
				im.Origins = append(im.Origins, image.Parse(at.Context().Name()+"@"+d.String()))
			}
		}
	}
	return Found{united(r.images), r.bundles}, nil
}

type registry struct {
	repository name.Repository
	b          *budget
	known      Known
	opts       []remote.Option
	first      map[string][]byte
}

func (s *registry) document(d descriptor) ([]byte, error) {
	if data, ok := s.first[d.Digest]; ok {
		return data, s.b.document(int64(len(data)))
	}
	if strings.Contains(d.MediaType, "manifest") || strings.Contains(d.MediaType, "index") {
		got, err := remote.Get(s.repository.Digest(d.Digest), s.opts...)
		if err != nil {
			return nil, plain(err)
		}
		return got.Manifest, s.b.document(int64(len(got.Manifest)))
	}
	r, err := s.blob(d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, s.b.limits.Document+1))
	if err != nil {
		return nil, err
	}
	if err := s.b.document(int64(len(data))); err != nil {
		return nil, err
	}
	return data, verified(data, d)
}

func (s *registry) blob(d descriptor) (io.ReadCloser, error) {
	l, err := remote.Layer(s.repository.Digest(d.Digest), s.opts...)
	if err != nil {
		return nil, plain(err)
	}
	r, err := l.Compressed()
	return r, plain(err)
}

func (s *registry) layer(d descriptor) layer {
	r, err := s.blob(d)
	if err != nil {
		return layer{fault: err}
	}
	defer r.Close()
	return same(scan(r, s.known, s.b), d)
}

// maxReferrers bounds what is attached to one image.
const maxReferrers = 50

// referring reads the bundles that refer to the images.
func (s *registry) referring(r *reader) error {
	seen := map[image.Digest]bool{}
	for _, im := range r.images {
		for _, d := range im.Digests {
			if d == im.ID || seen[d] {
				continue
			}
			seen[d] = true
			if err := s.referrersOf(r, d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *registry) referrersOf(r *reader, d image.Digest) error {
	index, err := remote.Referrers(s.repository.Digest(d.String()), s.opts...)
	if err != nil {
		return fmt.Errorf("ask what refers to %s: %w", d.Short(), plain(err))
	}
	all, err := index.IndexManifest()
	if err != nil {
		return fmt.Errorf("ask what refers to %s: %w", d.Short(), plain(err))
	}
	if len(all.Manifests) > maxReferrers {
		return fmt.Errorf("%w: more than %d manifests refer to %s", ErrBound, maxReferrers, d.Short())
	}
	for _, m := range all.Manifests {
		if !strings.HasPrefix(m.ArtifactType, bundleType) {
			continue
		}
		if err := r.entry(converted(m), nil, nil, 0); err != nil {
			return err
		}
	}
	return nil
}

func converted(d v1.Descriptor) descriptor {
	return descriptor{MediaType: string(d.MediaType), Digest: d.Digest.String(), Size: d.Size, ArtifactType: d.ArtifactType}
}

// plain says that a look-up was refused without the library's long form.
func plain(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll(err.Error(), "\n", " "))
}

// bounded bounds answers: a registry is as hostile as an archive.
type bounded struct {
	base           http.RoundTripper
	document, blob int64
}

// RoundTrip implements http.RoundTripper.
func (t *bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	most := t.document
	if strings.Contains(req.URL.Path, "/blobs/") || req.Response != nil {
		most = t.blob // also where the registry redirects to
	}
	res.Body = &cutBody{ReadCloser: res.Body, left: most + 1}
	return res, nil
}

// cutBody fails after a number of bytes.
type cutBody struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (c *cutBody) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("%w: the registry's answer is too long", ErrBound)
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}
