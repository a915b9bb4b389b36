package layers

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"tidewaiter/image"
	"tidewaiter/posture"
)

// descriptor points to content (OCI image specification, "Descriptor").
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType"`
	Annotations  map[string]string `json:"annotations"`
	Platform     *struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
	} `json:"platform"`
}

// manifest is an image manifest or an index.
type manifest struct {
	MediaType    string       `json:"mediaType"`
	ArtifactType string       `json:"artifactType"`
	Config       descriptor   `json:"config"`
	Layers       []descriptor `json:"layers"`
	Manifests    []descriptor `json:"manifests"`
	Subject      *descriptor  `json:"subject"`
}

// configuration is an image's configuration (OCI image specification, "Image
// Configuration").
type configuration struct {
	Created *time.Time `json:"created"`
	Config  struct {
		User string `json:"User"`
	} `json:"config"`
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []struct {
		CreatedBy string `json:"created_by"`
		Comment   string `json:"comment"`
	} `json:"history"`
}

// store has the parts of images, by digest.
type store interface {
	// document gives a manifest or a configuration, checked against its digest.
	document(d descriptor) ([]byte, error)
	// layer looks into a layer.
	layer(d descriptor) layer
}

// reader reads images from a store.
type reader struct {
	store  store
	known  Known
	b      *budget
	where  string
	images []posture.Image
	// bundles are signatures that lie beside the images: what they sign, and
	// their bytes.
	bundles []Bundle
}

// Bundle is a Sigstore bundle that was found beside an image.
type Bundle struct {
	Subject image.Digest
	Where   string
	Data    []byte
	// Err says why it could not be read, or why none could be asked for.
	Err error
}

// bundleType begins the media types of Sigstore bundles
// (sigstore/protobuf-specs).
const bundleType = "application/vnd.dev.sigstore.bundle"

// maxDepth bounds indexes in indexes.
const maxDepth = 4

// index reads all images of an index. names are references that its entries
// have.
func (r *reader) index(data []byte, digests []image.Digest, names []image.Reference, depth int) error {
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("read an index: %w", err)
	}
	if depth > maxDepth {
		return fmt.Errorf("%w: indexes in indexes, more than %d deep", ErrBound, maxDepth)
	}
	for _, d := range m.Manifests {
		if d.Annotations["vnd.docker.reference.type"] != "" {
			continue // BuildKit's own attestations, which nobody signed
		}
		if err := r.entry(d, digests, names, depth); err != nil {
			return err
		}
	}
	return nil
}

// entry reads what an index points to.
func (r *reader) entry(d descriptor, digests []image.Digest, names []image.Reference, depth int) error {
	named := names
	for _, key := range []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"} {
		if n := d.Annotations[key]; n != "" && len(names) == 0 {
			if ref := image.Parse(n); ref.Form() == image.Named && (strings.Contains(n, "/") || key == "io.containerd.image.name") {
				named = []image.Reference{ref}
				break
			}
		}
	}
	own, err := image.ParseDigest(d.Digest)
	if err != nil {
		return fmt.Errorf("read an index: %w", err)
	}
	data, err := r.store.document(d)
	if errors.Is(err, errAbsent) && depth > 0 {
		return nil // another platform, which was not saved
	}
	if err != nil {
		return err
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("read a manifest: %w", err)
	}
	all := append(digests[:len(digests):len(digests)], own)
	switch {
	case len(m.Manifests) > 0:
		return r.index(data, all, named, depth+1)
	case m.Subject != nil:
		return r.attached(m, d)
	}
	return r.manifest(m, all, named)
}

// attached keeps the bundles of a manifest that refers to another.
func (r *reader) attached(m manifest, d descriptor) error {
	subject, err := image.ParseDigest(m.Subject.Digest)
	if err != nil {
		return fmt.Errorf("read what is attached to an image: %w", err)
	}
	for _, l := range m.Layers {
		if !strings.HasPrefix(l.MediaType, bundleType) {
			continue
		}
		data, err := r.store.document(l)
		if err != nil {
			return fmt.Errorf("read a signature: %w", err)
		}
		r.bundles = append(r.bundles, Bundle{Subject: subject, Where: r.where + ", " + d.Digest, Data: data})
	}
	return nil
}

// manifest reads one image.
func (r *reader) manifest(m manifest, digests []image.Digest, names []image.Reference) error {
	if len(r.images) >= maxImages {
		return fmt.Errorf("%w: more than %d images", ErrBound, maxImages)
	}
	config, err := r.store.document(m.Config)
	if err != nil {
		return fmt.Errorf("read an image's configuration: %w", err)
	}
	im, c, err := described(config, r.where)
	if err != nil {
		return err
	}
	im.Digests = append(im.Digests, digests...)
	r.name(&im, names)
	content := &posture.Content{Lists: r.known.names()}
	for i, d := range m.Layers {
		l := r.store.layer(d)
		r.merge(content, l, fmt.Sprintf("%d of %d", i+1, len(m.Layers)))
		if l.fault != nil {
			break
		}
		if i >= len(c.RootFS.DiffIDs) || l.diff.String() != c.RootFS.DiffIDs[i] {
			content.Stopped = fmt.Sprintf("layer %d is not the one that the configuration names", i+1)
			break
		}
	}
	if content.Stopped == "" && len(m.Layers) != len(c.RootFS.DiffIDs) {
		content.Stopped = fmt.Sprintf("%d layers, but the configuration names %d", len(m.Layers), len(c.RootFS.DiffIDs))
	}
	r.listed(&im, content)
	im.Content = content
	r.images = append(r.images, im)
	return nil
}

// listed looks for the image's own digests on the lists.
func (r *reader) listed(im *posture.Image, c *posture.Content) {
	for _, d := range append(im.Digests, im.ID) {
		if _, sum, ok := strings.Cut(d.String(), ":"); ok {
			if from, ok := r.known.Lists.find(sum); ok {
				c.Bad = append(c.Bad, posture.File{Note: "the image itself, " + d.Short() + "…, is on the list " + from})
				return
			}
		}
	}
}

// described reads a configuration.
func described(config []byte, where string) (posture.Image, configuration, error) {
	var c configuration
	if err := json.Unmarshal(config, &c); err != nil {
		return posture.Image{}, c, fmt.Errorf("read an image's configuration: %w", err)
	}
	sum := sha256.Sum256(config)
	id, _ := image.ParseDigest(fmt.Sprintf("sha256:%x", sum)) // well formed
	im := posture.Image{Where: where, ID: id, Digests: []image.Digest{id}, User: c.Config.User, HasHistory: true}
	if c.Created != nil {
		im.Created = *c.Created
	}
	for _, h := range c.History {
		im.History = append(im.History, h.CreatedBy)
	}
	return im, c, nil
}

// name says what results call an image.
func (r *reader) name(im *posture.Image, names []image.Reference) {
	im.Names = names
	im.Name = im.ID.Short()
	if len(names) > 0 {
		im.Name = names[0].Familiar()
	}
}

// merge adds a layer's content to an image's.
func (r *reader) merge(c *posture.Content, l layer, place string) {
	c.Layers++
	c.Files += l.files
	c.Bytes += l.bytes
	if l.fault != nil {
		c.Stopped = "layer " + place + ": " + l.fault.Error()
	}
	for _, f := range []struct {
		to   *[]posture.File
		from []posture.File
	}{{&c.SetID, l.setID}, {&c.Hidden, l.hidden}, {&c.Bad, l.bad}} {
		for _, file := range f.from {
			if len(*f.to) < maxListed {
				file.Layer = place
				*f.to = append(*f.to, file)
			}
		}
	}
}
