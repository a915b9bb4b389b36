package posture

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tidewaiter/image"
)

// audit are the checks of M1047: what the images in use are, and who vouches
// for them.
func audit() []Check {
	images := "run it on a host with dockerd, or give images with --image or \"docker image inspect\" output"
	layers := "name images with --image; only those are opened"
	hot := func(analytic, why string) Effect { return Effect{analytic, false, why} }
	return []Check{
		{
			ID: "M1047-1", Title: "Images come from a registry, by a known digest", Mitigation: "M1047",
			Docker: []string{"4.2"}, Kubernetes: []string{"5.5.1"}, Topics: []Topic{TopicImages, TopicInput}, Needs: images,
			Effects: []Effect{{"AN0691", true, "an image that no registry served has no arrival from one: the allow-list cannot be asked"}, hot("AN1261", "it may have been built here")},
			Mend:    "build elsewhere, push, and run by the registry's digest", look: lookOrigin,
		},
		{
			ID: "M1047-2", Title: "Workloads name images by digest", Mitigation: "M1047",
			Docker: []string{"4.2"}, Kubernetes: []string{"5.5.1"}, Topics: []Topic{TopicContainers, TopicInput}, Needs: "run it on a host with dockerd, or give \"docker inspect\" output or pod specs",
			Effects: []Effect{hot("AN0691", "a tag can be moved to another image, which the next pull runs")},
			Mend:    "write NAME@sha256:… in place of NAME:TAG", look: lookDigestPins,
		},
		{
			ID: "M1047-3", Title: "Images are not old", Mitigation: "M1047",
			Docker: []string{"4.4"}, Topics: []Topic{TopicImages, TopicInput}, Needs: images,
			Effects: []Effect{hot("AN0691", "known holes let others run commands in a container whose image is good")},
			Mend:    "rebuild on a current base; --max-age says what counts as old", look: lookAge,
		},
		{
			ID: "M1047-4", Title: "Images are on the allow-list", Mitigation: "M1047",
			Docker: []string{"4.2"}, Kubernetes: []string{"5.5.1"}, Topics: []Topic{TopicImages, TopicInput}, Needs: images,
			Effects: []Effect{hot("AN0691", "its first leg, an untrusted image, is already there"), hot("AN1317", "so is this one's")},
			Mend:    "stop what runs them, or add them to the policy's registries or approved_images", look: lookAllowList,
		},
		{
			ID: "M1047-5", Title: "Images are signed by pinned identities", Mitigation: "M1047",
			Docker: []string{"4.5", "4.12"}, Kubernetes: []string{"5.5.1"}, Topics: []Topic{TopicSignatures}, Needs: "give --trust FILE, and with it --image or --bundle",
			Effects: []Effect{hot("AN0691", "an image that somebody else signed is not what its name says")},
			Mend:    "find out who made the image before it runs again", look: func(q *inquiry) { q.seals(Signature, "signature") },
		},
		{
			ID: "M1047-6", Title: "Images have provenance from pinned builders", Mitigation: "M1047",
			Docker: []string{"4.12"}, Topics: []Topic{TopicSignatures}, Needs: "give --trust FILE, and with it --image or --bundle",
			Effects: []Effect{hot("AN1261", "an image of which nobody says where it was built may have been built here")},
			Mend:    "let the build attest its provenance (SLSA), and pin the builder's identity", look: func(q *inquiry) { q.seals(Provenance, "provenance") },
		},
		{
			ID: "M1047-7", Title: "No instruction of an image's history is suspicious", Mitigation: "M1047",
			Docker: []string{"4.9", "4.11"}, Topics: []Topic{TopicImages, TopicInput}, Needs: images,
			Effects: []Effect{{"AN0691", true, "what was put in when the image was built is not downloaded in the container: that leg is missing"}, hot("AN1492", "a miner may be in it")},
			Mend:    "build without downloads that are piped to a shell; look at what the instruction put in", look: lookHistory,
		},
		{
			ID: "M1047-8", Title: "Layers hold no set-id programs but the distributions' own", Mitigation: "M1047",
			Docker: []string{"4.8"}, Topics: []Topic{TopicLayers}, Needs: layers,
			Effects: []Effect{hot("AN0612", "a set-id program makes root of a container's user")},
			Mend:    "RUN chmod a-s in the image's last steps, and run with no-new-privileges", look: lookSetID,
		},
		{
			ID: "M1047-9", Title: "Layers hold no executables in hidden places", Mitigation: "M1047",
			Docker: []string{"4.3"}, Topics: []Topic{TopicLayers}, Needs: layers,
			Effects: []Effect{{"AN0691", true, "a tool that came with the image is not downloaded, and its name need not be known"}},
			Mend:    "find out what put it there", look: lookHidden,
		},
		{
			ID: "M1047-10", Title: "Layers hold nothing that is known to be bad", Mitigation: "M1047",
			Docker: []string{"4.4"}, Topics: []Topic{TopicLayers}, Needs: layers + "; --bad-hashes names lists of hashes, --yara rules",
			Effects: []Effect{hot("AN0691", "the payload is there already"), hot("AN1492", "a miner may be in it")},
			Mend:    "stop what runs the image, keep it for analysis, and look for where it came from", look: lookBad,
		},
	}
}

func (q *inquiry) eachImage(visit func(im *Image, subject string)) {
	for i := range q.Images {
		visit(&q.Images[i], "image "+q.Images[i].Name)
	}
	if l, ok := q.listed(TopicImages); ok && len(q.Images) == 0 {
		q.pass("images", l.Where, l.What)
	}
}

func lookOrigin(q *inquiry) {
	q.eachImage(func(im *Image, subject string) {
		switch {
		case len(im.Origins) > 0:
			var from []string
			for _, r := range im.Origins {
				from = append(from, r.Repository()+"@"+r.Digest().Short()+"…")
			}
			q.pass(subject, im.Where, "from "+several(from))
		case im.HasOrigins:
			q.fail(subject, im.Where, "unknown origin: no registry's digest is recorded, so it was built, loaded or imported here")
		default:
			q.unknown(TopicImages, subject, "an archive or a layout does not tell where an image came from")
		}
	})
}

func lookDigestPins(q *inquiry) {
	q.eachContainer(func(c *Container, subject string) {
		switch c.Image.Form() {
		case image.Named:
			if c.Image.Mutable() {
				q.fail(subject, c.Where, "names "+c.Image.Familiar()+", a tag that can be moved")
				return
			}
			q.pass(subject, c.Where, "names "+c.Image.Familiar())
		case image.ID, image.ShortID:
			q.pass(subject, c.Where, "names the id "+c.Image.Raw())
		default:
			q.unknown(TopicContainers, subject, "its image's name cannot be read: "+c.Image.Raw())
		}
	})
}

// epoch is a creation time before which reproducible builds put theirs.
const epoch = 365 * 24 * time.Hour

func lookAge(q *inquiry) {
	q.eachImage(func(im *Image, subject string) {
		age := q.opt.Now.Sub(im.Created)
		switch {
		case im.Created.IsZero() || im.Created.Unix() < int64(epoch.Seconds()):
			q.unknown(TopicImages, subject, "it states no time of creation, or that of a reproducible build")
		case age < -24*time.Hour:
			q.fail(subject, im.Where, "says that it was created in the future, on "+im.Created.UTC().Format(time.DateOnly))
		case age > q.opt.MaxAge:
			q.fail(subject, im.Where, fmt.Sprintf("created %d days ago, on %s", int(age.Hours()/24), im.Created.UTC().Format(time.DateOnly)))
		default:
			q.pass(subject, im.Where, fmt.Sprintf("created %d days ago", max(0, int(age.Hours()/24))))
		}
	})
}

// lookAllowList asks the policy about each image, and about those that
// containers name and nobody described.
func lookAllowList(q *inquiry) {
	q.eachImage(q.allowed)
	for i := range q.Containers {
		c := &q.Containers[i]
		if c.Image.Form() != image.Named || q.describes(c) {
			continue
		}
		im := Image{Name: c.Image.Familiar(), Where: c.Where, Names: []image.Reference{c.Image}, Namespace: c.Namespace}
		if d := c.Image.Digest(); !d.IsZero() {
			im.Digests = []image.Digest{d}
		}
		q.allowed(&im, c.label()+", image "+im.Name)
	}
}

// describes reports whether a container's image is among those described.
func (q *inquiry) describes(c *Container) bool {
	return slices.ContainsFunc(q.Images, func(im Image) bool {
		return !c.ImageID.IsZero() && c.ImageID == im.ID || slices.ContainsFunc(im.Names, func(r image.Reference) bool { return r.Key() == c.Image.Key() })
	})
}

// allowed asks the policy about one image: approved digests, releases, and
// registries, in the scope of where it runs. A signature by a pinned identity
// counts as approval.
func (q *inquiry) allowed(im *Image, subject string) {
	scope := q.scope(im.Namespace)
	approved, releases, registries := scope.Setting("", "approved_images"), scope.Setting("", "releases"), scope.Setting("", "registries")
	switch {
	case approved.ApprovesDigest(im.Digests) || slices.ContainsFunc(im.Names, func(r image.Reference) bool { return approved.MatchesImage(r, im.Digests) }):
		q.pass(subject, im.Where, "is among approved_images")
	case slices.ContainsFunc(im.Seals, func(s Seal) bool { return s.Valid && s.Kind == Signature }):
		q.pass(subject, im.Where, "a pinned identity signed it, which counts as approval")
	case releases.Released(im.Digests):
		q.pass(subject, im.Where, "is a release")
	case slices.ContainsFunc(im.Names, func(r image.Reference) bool { return releases.Contradicts(r, im.Digests) }):
		q.fail(subject, im.Where, "its tag is a release's, but its digest is another")
	case !registries.IsSet():
		q.unknown(TopicImages, subject, "the policy lists no registries; \"tidewaiter policy init\" writes one to begin with")
	case !slices.ContainsFunc(append(slices.Clone(im.Names), im.Origins...), func(r image.Reference) bool { return registries.MatchesImage(r, im.Digests) }):
		q.fail(subject, im.Where, "no name of it is of a registry that the policy lists")
	case im.HasOrigins && !slices.ContainsFunc(im.Origins, func(r image.Reference) bool { return registries.MatchesImage(r, im.Digests) }):
		q.fail(subject, im.Where, "it has the name of a listed registry, but none of these served it")
	default:
		q.pass(subject, im.Where, "is of a registry that the policy lists")
	}
}

// seals judges signatures: a valid one counts for, an invalid one against, and
// none counts neither way.
func (q *inquiry) seals(kind SealKind, word string) {
	q.eachImage(func(im *Image, subject string) {
		var good, bad []Seal
		for _, s := range im.Seals {
			switch {
			case s.Kind != kind:
			case s.Valid:
				good = append(good, s)
			default:
				bad = append(bad, s)
			}
		}
		for _, s := range bad {
			q.fail(subject, s.Where, "its "+word+" is not valid: "+s.Why)
		}
		for _, s := range good {
			what := "valid " + word + " by " + s.Who
			if s.Builder != "" {
				what += ", built by " + s.Builder
			}
			q.pass(subject, s.Where, what)
		}
		switch {
		case len(good)+len(bad) > 0:
		case im.SealsRead == "":
			q.unknown(TopicSignatures, subject, "its signatures were not looked for: name it with --image, and who is trusted with --trust")
		default:
			q.unknown(TopicSignatures, subject, "has no "+word+" in "+im.SealsRead+", which speaks neither for it nor against it")
		}
	})
}

func lookHistory(q *inquiry) {
	q.eachImage(func(im *Image, subject string) {
		if !im.HasHistory {
			q.unknown(TopicImages, subject, "its history was not given")
			return
		}
		bad := 0
		for i, h := range im.History {
			if why := suspicious(h, q.scope(im.Namespace)); why != "" {
				bad++
				q.fail(subject, fmt.Sprintf("%s, history %d", im.Where, i+1), why+": "+clip(h))
			}
		}
		if bad == 0 {
			q.pass(subject, im.Where, counted(len(im.History), "instruction")+", none suspicious")
		}
	})
}

func clip(s string) string {
	const most = 160
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// contents visits the images whose layers were read, and tells those where the
// look was not whole.
func (q *inquiry) contents(visit func(c *Content) []File, none string) {
	q.eachImage(func(im *Image, subject string) {
		if im.Content == nil {
			q.unknown(TopicLayers, subject, "its layers were not opened: name it with --image")
			return
		}
		bad := visit(im.Content)
		for _, f := range bad {
			q.fail(subject, im.Where+", layer "+f.Layer, "/"+strings.TrimPrefix(f.Path, "/")+": "+f.Note)
		}
		switch {
		case im.Content.Stopped != "":
			q.unknown(TopicLayers, subject, im.Content.Stopped)
		case len(bad) == 0:
			q.pass(subject, im.Where, fmt.Sprintf("%s in %s, %s", counted(im.Content.Files, "file"), counted(im.Content.Layers, "layer"), none))
		}
	})
}

func lookSetID(q *inquiry) {
	q.contents(func(c *Content) []File {
		return slices.DeleteFunc(slices.Clone(c.SetID), func(f File) bool { return distributionSetID(f.Path) })
	}, "no set-id program beside those of distributions")
}

func lookHidden(q *inquiry) {
	q.contents(func(c *Content) []File { return c.Hidden }, "no executable in a hidden place")
}

func lookBad(q *inquiry) {
	q.contents(func(c *Content) []File {
		if len(c.Lists) == 0 && c.Stopped == "" && len(c.Bad) == 0 {
			return nil
		}
		return c.Bad
	}, "none on a list, and none that a rule matches")
	if len(q.Images) > 0 && !slices.ContainsFunc(q.Images, func(im Image) bool { return im.Content != nil && len(im.Content.Lists) > 0 }) {
		q.unknown(TopicLayers, "content", "neither a list of known-bad content was given (--bad-hashes) nor rules (--yara)")
	}
}
