package entity

import (
	"slices"
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// made expects what a container was made of: the digests, in any order, how it
// came here, and the arrivals cited.
func (s *story) made(id string, origin evidence.ImageOrigin, digests []image.Digest, arrivals ...string) {
	s.t.Helper()
	img := s.subject(id).Containers[0].Image
	slices.SortFunc(digests, image.Digest.Compare)
	if !slices.Equal(img.Digests, digests) {
		s.t.Errorf("container %.12s: digests %v, want %v", id, img.Digests, digests)
	}
	if img.Origin != origin {
		s.t.Errorf("container %.12s: origin %q, want %q", id, img.Origin, origin)
	}
	s.expect(id, []evidence.Kind{evidence.Arrival}, arrivals...)
}

func digests(ds ...image.Digest) []image.Digest { return ds }

const (
	allowed = "registry.allowed.example/team/web"
	other   = "registry.other.example/tools/helper"
)

func TestTheImageThatATagMeant(t *testing.T) {
	t.Run("pulled by tag, created by tag", func(t *testing.T) {
		s := newStory(t)
		s.image(1, event.ImagePull, "web:1", image.Digest{})
		s.create(10, containerA, "docker.io/library/web:1")
		s.made(containerA, evidence.OriginRegistry, nil, "arrival pull")
	})
	t.Run("moved before and after the creation", func(t *testing.T) {
		s := newStory(t)
		s.image(1, event.ImagePull, "web:1", sum(1))
		s.create(10, containerA, "web:1")
		s.image(20, event.ImagePull, "web:1", sum(2))
		s.create(30, containerB, "web:1")
		s.made(containerA, evidence.OriginRegistry, digests(sum(1)), "arrival pull")
		s.made(containerB, evidence.OriginRegistry, digests(sum(2)), "arrival pull")
	})
	t.Run("pulled by digest, created by tag", func(t *testing.T) {
		s := newStory(t)
		s.image(1, event.ImagePull, "web@"+sum(1).String(), image.Digest{})
		s.create(10, containerA, "web:1")
		s.inspectImage(sum(2), []string{"web:1"}, []string{"web@" + sum(1).String()})
		s.made(containerA, evidence.OriginRegistry, digests(sum(1), sum(2)), "arrival pull")
		if c := s.subject(containerA).Containers[0].Image.Canonical; c != sum(1) {
			t.Errorf("canonical %s", c)
		}
	})
	t.Run("named by a registry during the pull", func(t *testing.T) {
		s := newStory(t)
		s.add(0.5, event.Dockerd, &event.ImageResolved{Reference: image.Parse("web:1"), Digest: sum(1)})
		s.image(1, event.ImagePull, "web:1", image.Digest{})
		s.create(10, containerA, "web:1")
		s.add(20, event.Dockerd, &event.ImageResolved{Reference: image.Parse("web:1"), Digest: sum(2)})
		s.made(containerA, evidence.OriginRegistry, digests(sum(1)), "arrival", "arrival pull")
	})
	t.Run("what the look-up says of the container wins", func(t *testing.T) {
		s := newStory(t)
		s.image(1, event.ImagePull, "web:1", sum(1))
		s.create(10, containerA, "web:1")
		s.add(-1, event.Inspect, &event.ContainerDescription{ID: containerA, Image: image.Parse("web:1"), ImageID: sum(3)})
		s.made(containerA, evidence.OriginUnknown, digests(sum(3)))
	})
	t.Run("only a look-up tells when it was made", func(t *testing.T) {
		s := newStory(t)
		s.image(1, event.ImagePull, "web:1", sum(1))
		s.add(-1, event.Inspect, &event.ContainerDescription{ID: containerA, Image: image.Parse("web:1"), CreatedAt: event.Time{At: sec(10), Res: 1}})
		s.image(20, event.ImagePull, "web:1", sum(2))
		s.made(containerA, evidence.OriginRegistry, digests(sum(1)), "arrival pull")
	})
	t.Run("two look-ups disagree", func(t *testing.T) {
		s := newStory(t)
		s.create(10, containerA, "web:1")
		s.inspectImage(sum(1), []string{"web:1"}, nil)
		s.inspectImage(sum(2), []string{"web:1"}, nil)
		s.made(containerA, evidence.OriginUnknown, nil)
	})
	t.Run("described twice", func(t *testing.T) {
		s := newStory(t)
		s.create(10, containerA, "web:1")
		s.inspectImage(sum(1), []string{"web:1"}, []string{"web@" + sum(2).String()})
		s.inspectImage(sum(1), []string{"web:1", "web:2"}, []string{"web@" + sum(2).String(), "mirror.example/web@" + sum(2).String()})
		s.made(containerA, evidence.OriginRegistry, digests(sum(1), sum(2)))
	})
	t.Run("deleted, saved and pushed", func(t *testing.T) {
		s := newStory(t)
		s.image(1, event.ImagePull, "web:1", sum(1))
		s.image(2, event.ImageUntag, "web:1", sum(2))
		s.image(3, event.ImageDelete, "web:1", sum(3))
		s.image(4, event.ImageSave, "web:1", sum(4))
		s.image(5, event.ImagePush, "web:1", sum(5))
		s.create(10, containerA, "web:1")
		s.made(containerA, evidence.OriginRegistry, digests(sum(1)), "arrival pull")
	})
}

// A reference is a claim. What was loaded and named like a registry's image
// came by no registry, whatever else was pulled under that name.
func TestANameIsNoOrigin(t *testing.T) {
	t.Run("loaded and tagged", func(t *testing.T) {
		s := newStory(t)
		s.image(1, event.ImageLoad, "", sum(1))
		s.image(2, event.ImageTag, allowed+":9", sum(1))
		s.create(10, containerA, allowed+":9")
		s.made(containerA, evidence.OriginLoad, digests(sum(1)), "arrival load", "arrival tag")
	})
	t.Run("with a look-up", func(t *testing.T) {
		s := newStory(t)
		s.image(1, event.ImageLoad, "", sum(1))
		s.image(2, event.ImageTag, allowed+":9", sum(1))
		s.create(10, containerA, allowed+":9").Name = "web"
		s.inspectImage(sum(1), []string{allowed + ":9"}, nil)
		s.made(containerA, evidence.OriginLoad, digests(sum(1)), "arrival load", "arrival tag")
	})
	t.Run("the genuine image was pulled before", func(t *testing.T) {
		s := newStory(t)
		s.image(1, event.ImagePull, allowed+":9", image.Digest{})
		s.image(2, event.ImageLoad, "", sum(1))
		s.image(3, event.ImageTag, allowed+":9", sum(1))
		s.create(10, containerA, allowed+":9")
		s.made(containerA, evidence.OriginLoad, digests(sum(1)), "arrival load", "arrival tag")
	})
	t.Run("the genuine image was pulled between", func(t *testing.T) {
		s := newStory(t)
		s.image(1, event.ImageLoad, "", sum(1))
		s.image(5, event.ImagePull, allowed+":9", image.Digest{})
		s.image(9, event.ImageTag, allowed+":9", sum(1))
		s.create(20, containerA, allowed+":9")
		s.made(containerA, evidence.OriginLoad, digests(sum(1)), "arrival load", "arrival tag")
	})
	t.Run("the genuine image was pulled over it", func(t *testing.T) {
		s := newStory(t)
		s.image(1, event.ImageLoad, "", sum(1))
		s.image(2, event.ImageTag, allowed+":9", sum(1))
		s.image(9, event.ImagePull, allowed+":9", image.Digest{})
		s.create(20, containerA, allowed+":9")
		s.made(containerA, evidence.OriginRegistry, nil, "arrival pull")
	})
	t.Run("a store that names every image by digest", func(t *testing.T) {
		// A containerd image store lists name@id for whatever has a name.
		s := newStory(t)
		s.create(10, containerA, allowed+":9")
		s.inspectImage(sum(1), []string{allowed + ":9"}, []string{allowed + "@" + sum(1).String()})
		s.made(containerA, evidence.OriginUnknown, digests(sum(1)))
	})
	t.Run("in the store without any registry's digest", func(t *testing.T) {
		s := newStory(t)
		s.create(10, containerA, allowed+":9")
		s.inspectImage(sum(1), []string{allowed + ":9"}, nil)
		s.made(containerA, evidence.OriginLocal, digests(sum(1)))
	})
	for action, origin := range map[event.ImageAction]evidence.ImageOrigin{
		event.ImageImport: evidence.OriginImport, event.ImageBuild: evidence.OriginBuild, event.ImageCommit: evidence.OriginCommit,
	} {
		t.Run(string(action), func(t *testing.T) {
			s := newStory(t)
			s.image(1, event.ImagePull, allowed+":9", sum(2))
			s.image(2, action, allowed+":9", sum(1))
			s.create(10, containerA, allowed+":9")
			s.made(containerA, origin, digests(sum(1)), "arrival "+string(action))
		})
	}
	t.Run("a pulled image that got a further name", func(t *testing.T) {
		s := newStory(t)
		s.image(1, event.ImagePull, "web:1", image.Digest{})
		s.image(2, event.ImageTag, "mine:1", sum(1))
		s.create(10, containerA, "mine:1")
		s.inspectImage(sum(1), []string{"web:1", "mine:1"}, []string{"web@" + sum(2).String()})
		s.made(containerA, evidence.OriginRegistry, digests(sum(1), sum(2)), "arrival tag")
	})
}

// TestOnePullByTheKubeletsRuntime: the store writes a name by tag, one by
// digest, and the config's id; its events carry nothing but names.
func TestOnePullByTheKubeletsRuntime(t *testing.T) {
	pull := func(s *story, at float64, repo string, n int) {
		s.stored(at, event.ImageCreate, repo+":1")
		s.stored(at+0.001, event.ImageCreate, sum(n).String())
		s.stored(at+0.006, event.ImageUpdate, repo+":1")
		s.stored(at+0.02, event.ImageCreate, repo+"@"+sum(n+1).String())
	}
	t.Run("alone", func(t *testing.T) {
		s := newStory(t)
		pull(s, 1, allowed, 10)
		s.create(10, containerA, allowed+":1")
		s.create(10, containerB, sum(10).String())
		s.made(containerA, evidence.OriginUnknown, digests(sum(11)), "arrival create", "arrival create", "arrival update", "arrival create")
		s.made(containerB, evidence.OriginUnknown, digests(sum(10), sum(11)), "arrival create", "arrival create", "arrival update", "arrival create")
		if c := s.subject(containerB).Containers[0].Image.Canonical; c != sum(11) {
			t.Errorf("canonical %s", c)
		}
	})
	t.Run("2 s apart at most", func(t *testing.T) {
		s := newStory(t)
		s.stored(1, event.ImageCreate, allowed+":1")
		s.stored(3, event.ImageCreate, allowed+"@"+sum(1).String())
		s.stored(5, event.ImageCreate, sum(2).String())
		s.stored(11, event.ImageCreate, other+":1")
		s.stored(13.1, event.ImageCreate, other+"@"+sum(3).String())
		s.stored(15.2, event.ImageCreate, sum(4).String())
		s.create(20, containerA, allowed+":1")
		s.create(20, containerB, other+":1")
		s.create(20, containerC, sum(2).String())
		s.create(20, id(1), sum(4).String())
		s.made(containerA, evidence.OriginUnknown, digests(sum(1)), "arrival create", "arrival create", "arrival create")
		s.made(containerB, evidence.OriginUnknown, nil, "arrival create")
		s.made(containerC, evidence.OriginUnknown, digests(sum(1), sum(2)), "arrival create", "arrival create", "arrival create")
		s.made(id(1), evidence.OriginUnknown, digests(sum(4)), "arrival create")
	})
	t.Run("two repositories at once", func(t *testing.T) {
		s := newStory(t)
		pull(s, 1, allowed, 10)
		pull(s, 1.08, other, 20)
		s.create(10, containerA, sum(10).String())
		s.create(10, containerB, other+":1")
		s.made(containerA, evidence.OriginUnknown, digests(sum(10)), "arrival create")
		s.made(containerB, evidence.OriginUnknown, digests(sum(21)), "arrival create", "arrival update", "arrival create")
	})
	t.Run("two tags of one repository at once", func(t *testing.T) {
		s := newStory(t)
		pull(s, 1, allowed, 10)
		s.stored(1.08, event.ImageCreate, allowed+":2")
		s.stored(1.09, event.ImageCreate, allowed+"@"+sum(30).String())
		s.create(10, containerA, allowed+":1")
		s.create(10, containerB, sum(10).String())
		s.made(containerA, evidence.OriginUnknown, nil, "arrival create", "arrival update")
		s.made(containerB, evidence.OriginUnknown, digests(sum(10)), "arrival create")
	})
	t.Run("in another namespace", func(t *testing.T) {
		s := newStory(t)
		s.stored(1, event.ImageCreate, allowed+":1")
		s.stored(1, event.ImageCreate, sum(10).String())
		s.stored(1, event.ImageCreate, allowed+"@"+sum(11).String())
		s.last().Body.(*event.Image).Namespace = "default"
		s.create(10, containerA, allowed+":1")
		s.create(10, containerB, sum(10).String())
		s.made(containerA, evidence.OriginUnknown, nil, "arrival create")
		s.made(containerB, evidence.OriginUnknown, digests(sum(10)), "arrival create")
	})
	t.Run("the tag moves", func(t *testing.T) {
		s := newStory(t)
		pull(s, 1, allowed, 10)
		s.create(10, containerA, allowed+":1")
		s.stored(100, event.ImageUpdate, allowed+":1")
		s.stored(100.001, event.ImageCreate, sum(20).String())
		s.stored(100.01, event.ImageCreate, allowed+"@"+sum(21).String())
		s.create(110, containerB, allowed+":1")
		s.made(containerA, evidence.OriginUnknown, digests(sum(11)), "arrival create", "arrival create", "arrival update", "arrival create")
		s.made(containerB, evidence.OriginUnknown, digests(sum(21)), "arrival update", "arrival create", "arrival create")
	})
	t.Run("an id written as a reference", func(t *testing.T) {
		s := newStory(t)
		s.stored(1, event.ImageCreate, allowed+"@"+sum(11).String())
		s.add(1, event.Containerd, &event.Image{Action: event.ImageCreate, Reference: image.Parse(sum(10).String()), Namespace: "k8s.io"})
		s.create(10, containerA, sum(10).String())
		s.made(containerA, evidence.OriginUnknown, digests(sum(10), sum(11)), "arrival create", "arrival create")
	})
}

func TestShortImageIDs(t *testing.T) {
	short := sum(7).Short()
	t.Run("described", func(t *testing.T) {
		s := newStory(t)
		s.create(10, containerA, short)
		s.inspectImage(sum(7), nil, nil)
		s.made(containerA, evidence.OriginLocal, digests(sum(7)))
	})
	t.Run("loaded", func(t *testing.T) {
		s := newStory(t)
		s.create(10, containerA, short)
		s.image(1, event.ImageLoad, "", sum(7))
		s.made(containerA, evidence.OriginLoad, digests(sum(7)), "arrival load")
	})
	t.Run("longer than twelve digits", func(t *testing.T) {
		s := newStory(t)
		s.create(10, containerA, short+"00000000")
		s.create(10, containerB, short+"11111111")
		s.inspectImage(sum(7), nil, nil)
		s.made(containerA, evidence.OriginLocal, digests(sum(7)))
		s.made(containerB, evidence.OriginUnknown, nil)
	})
	t.Run("of two images", func(t *testing.T) {
		s := newStory(t)
		s.create(10, containerA, short)
		twin, err := image.ParseDigest("sha256:" + short + "0000000000000000000000000000000000000000000000000abc")
		if err != nil {
			t.Fatal(err)
		}
		s.inspectImage(sum(7), nil, nil)
		s.image(1, event.ImageLoad, "", twin)
		s.made(containerA, evidence.OriginUnknown, nil)
	})
}

// One index contains the manifests of several platforms: an arrival of any of
// them is one of this image.
func TestTheFamilyOfAnImage(t *testing.T) {
	s := newStory(t)
	s.inspectImage(sum(1), nil, []string{"web@" + sum(10).String()})
	s.inspectImage(sum(2), nil, []string{"web@" + sum(10).String()})
	s.inspectImage(sum(10), nil, []string{"web@" + sum(20).String()})
	s.inspectImage(sum(3), nil, nil)
	s.image(5, event.ImageLoad, "", sum(2))
	s.image(6, event.ImageImport, "", sum(3))
	s.add(-1, event.Inspect, &event.ContainerDescription{ID: containerA, ImageID: sum(1)})
	s.add(-1, event.Inspect, &event.ContainerDescription{ID: containerB, ImageID: sum(20)})
	s.made(containerA, evidence.OriginLoad, digests(sum(1), sum(10), sum(20)), "arrival load")
	s.made(containerB, evidence.OriginLoad, digests(sum(20)), "arrival load")
}
