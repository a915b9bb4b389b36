package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"tidewaiter/image"
	"tidewaiter/posture"
	"tidewaiter/posture/host"
	"tidewaiter/posture/layers"
	"tidewaiter/posture/provenance"
)

// auditor opens images.
type auditor struct {
	ctx     context.Context
	facts   *posture.Facts
	known   layers.Known
	trust   *provenance.Trust // nil if nobody was pinned
	bundles []layers.Bundle   // that were named, not found beside an image
	sockets []string          // of Docker daemons
}

// newAuditor reads what images are judged by.
func newAuditor(ctx context.Context, f postureFlags, facts *posture.Facts, sockets []string) (*auditor, error) {
	a := &auditor{ctx: ctx, facts: facts, sockets: sockets}
	var err error
	if a.known.Lists, err = layers.ReadLists(f.badHashes); err != nil {
		return nil, err
	}
	if a.known.Rules, err = layers.ReadRules(ctx, f.yara); err != nil {
		return nil, err
	}
	if f.trust != "" {
		if a.trust, err = provenance.Load(f.trust); err != nil {
			return nil, err
		}
	}
	for _, file := range f.bundles {
		data, err := provenance.Read(file)
		if err != nil {
			return nil, err
		}
		a.bundles = append(a.bundles, layers.Bundle{Where: file, Data: data})
	}
	if len(a.sockets) == 0 {
		socket := "/var/run/docker.sock"
		if named, ok := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); ok {
			socket = named
		}
		a.sockets = []string{socket}
	}
	return a, nil
}

// open opens what --image names: a folder, a file, or an image of a daemon, of
// containerd or of a registry.
func (a *auditor) open(name string) {
	opt := layers.Options{Known: a.known, Where: name}
	var found layers.Found
	var err error
	scheme, ref, _ := strings.Cut(name, "://") // registry:2 and docker:27 are names of images
	info, statErr := os.Stat(name)
	switch {
	case statErr == nil && info.IsDir():
		found, err = layers.Layout(a.ctx, name, opt)
	case statErr == nil:
		found, err = a.archive(name, info, opt)
	case scheme == "registry" && ref != "":
		found, err = layers.Registry(a.ctx, ref, opt)
	case scheme == "containerd" && ref != "":
		found, err = a.containerd(ref, opt)
	case scheme == "docker" && ref != "":
		found, err = a.daemon(ref, opt)
	case image.Parse(name).Form() == image.Invalid:
		err = statErr // it looks like a path
	default:
		found, err = a.daemon(name, opt)
	}
	if err != nil {
		a.facts.Gaps = append(a.facts.Gaps, posture.Gap{Topic: posture.TopicInput, Where: name, Why: trimCause(err)})
		return
	}
	a.take(found)
}

func trimCause(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

func (a *auditor) archive(file string, info os.FileInfo, opt layers.Options) (layers.Found, error) {
	if !info.Mode().IsRegular() {
		return layers.Found{}, errors.New("not a regular file")
	}
	f, err := os.Open(file)
	if err != nil {
		return layers.Found{}, err
	}
	defer f.Close()
	return layers.Archive(a.ctx, f, opt)
}

func (a *auditor) containerd(ref string, opt layers.Options) (layers.Found, error) {
	r, err := host.Export(a.ctx, ref)
	if err != nil {
		return layers.Found{}, err
	}
	defer r.Close()
	return layers.Archive(a.ctx, r, opt)
}

// daemon opens an image of the first Docker daemon that has it. The daemon
// knows where the image came from, its archive what is in it.
func (a *auditor) daemon(ref string, opt layers.Options) (layers.Found, error) {
	var faults []error
	for _, socket := range a.sockets {
		api := host.NewAPI(socket)
		known, err := api.Image(a.ctx, ref)
		if err != nil {
			faults = append(faults, fmt.Errorf("ask %s for the image: %w", socket, err))
			continue
		}
		r, err := api.Save(a.ctx, ref)
		if err != nil {
			return layers.Found{}, fmt.Errorf("save the image from %s: %w", socket, err)
		}
		defer r.Close()
		found, err := layers.Archive(a.ctx, r, opt)
		if err != nil {
			return found, fmt.Errorf("read the image from %s: %w", socket, err)
		}
		for i := range found.Images {
			adopt(&found.Images[i], known)
		}
		return found, nil
	}
	return layers.Found{}, errors.Join(faults...)
}

// adopt adds what a daemon knows about an image to what its archive holds.
func adopt(im *posture.Image, known posture.Image) {
	im.Origins, im.HasOrigins = known.Origins, known.HasOrigins
	for _, d := range known.Digests {
		if !slices.Contains(im.Digests, d) {
			im.Digests = append(im.Digests, d)
		}
	}
	if len(im.Names) == 0 && len(known.Names) > 0 {
		im.Names, im.Name = known.Names, known.Name
	}
}

// take judges the signatures of what was found, and adds it to the facts. An
// image that is known already, because it is in use, gets the rest.
func (a *auditor) take(found layers.Found) {
	for _, b := range found.Bundles {
		if b.Err != nil {
			a.facts.Gaps = append(a.facts.Gaps, posture.Gap{Topic: posture.TopicSignatures, Where: b.Where, Why: b.Err.Error()})
		}
	}
	for _, im := range found.Images {
		a.seal(&im, found.Bundles)
		i := slices.IndexFunc(a.facts.Images, func(o posture.Image) bool {
			return !o.ID.IsZero() && slices.ContainsFunc(o.Digests, func(d image.Digest) bool { return slices.Contains(im.Digests, d) })
		})
		if i < 0 {
			a.facts.Images = append(a.facts.Images, im)
			continue
		}
		o := &a.facts.Images[i]
		o.Content, o.Seals, o.SealsRead = im.Content, im.Seals, im.SealsRead
	}
}

// seal judges the bundles that are about an image.
func (a *auditor) seal(im *posture.Image, beside []layers.Bundle) {
	if a.trust == nil {
		return
	}
	im.SealsRead = "what lies beside it"
	if len(a.bundles) > 0 {
		im.SealsRead += ", nor in the bundles that were named"
	}
	for _, b := range slices.Concat(beside, a.bundles) {
		if b.Err != nil || !b.Subject.IsZero() && !slices.Contains(im.Digests, b.Subject) {
			continue
		}
		s, err := a.trust.Judge(im, b.Where, b.Data)
		switch {
		case err == nil:
		case errors.Is(err, provenance.ErrOther) && b.Subject.IsZero():
			continue // a bundle that was named, about something else
		default:
			s.Why = err.Error()
		}
		im.Seals = append(im.Seals, s)
	}
}

// inUse opens the layers of every image in use.
func (a *auditor) inUse() {
	var ids []string
	for _, im := range a.facts.Images {
		ids = append(ids, im.ID.String())
	}
	for _, id := range ids {
		found, err := a.daemon(id, layers.Options{Known: a.known, Where: "docker://" + id})
		if err != nil {
			a.facts.Gaps = append(a.facts.Gaps, posture.Gap{Topic: posture.TopicLayers, Where: id, Why: err.Error()})
			continue
		}
		a.take(found)
	}
}
