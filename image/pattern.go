package image

import (
	"fmt"
	"strings"
)

// Pattern is one entry of an allow-list of images: an exact registry host and
// a path that is compared segment by segment. A last segment "*" stands for
// one or more segments, any other "*" for exactly one. A pattern may end in
// "@digest" and then means that digest only.
//
//	registry.example/*             everything in one registry
//	registry.example:5000/team/*   one team's repositories
//	docker.io/library/nginx        one repository, any tag
//	nginx@sha256:…                 one artefact, named docker.io/library/nginx
//
// Hosts take no wildcard and paths no substring, because an attacker chooses
// both; a tag can be moved, so a pattern may not name one.
type Pattern struct {
	domain   string
	segments []string
	digest   Digest
	text     string
}

// ParsePattern reads one entry. Its errors say what to write instead.
func ParsePattern(s string) (Pattern, error) {
	p := Pattern{text: s}
	name, d, found := strings.Cut(strings.TrimSpace(s), "@")
	if found {
		var err error
		if p.digest, err = ParseDigest(d); err != nil {
			return Pattern{}, p.fault("%w", err)
		}
	}
	if err := p.checkHost(name); err != nil {
		return Pattern{}, err
	}
	// The reference grammar splits host from path; a star is no name there.
	star := "tidewaiter-any"
	for strings.Contains(name, star) {
		star += "-any"
	}
	r := Parse(strings.ReplaceAll(name, "*", star))
	if r.Form() != Named {
		return Pattern{}, p.fault("want host/path, host/path/* or host/path@sha256:…")
	}
	if !r.TagImplicit() {
		return Pattern{}, p.fault("a tag can be moved to another image; leave it out or use a digest")
	}
	p.domain = r.Domain()
	path := r.Path()
	host, rest, _ := strings.Cut(name, "/")
	if registry, _ := canonicalName(host, ""); registry == dockerHub && rest == "*" {
		path = star // "docker.io/*" is the whole registry, not library/*
	}
	for seg := range strings.SplitSeq(path, "/") {
		switch {
		case seg == star:
			seg = "*"
		case strings.Contains(seg, star):
			return Pattern{}, p.fault("\"*\" stands for whole path segments only")
		}
		p.segments = append(p.segments, seg)
	}
	return p, nil
}

// checkHost finds what the reference grammar would read as something else than
// its author means: a wildcard for the host, or a host without a path, which
// is the name of an official image there.
func (p Pattern) checkHost(name string) error {
	host, _, hasPath := strings.Cut(name, "/")
	switch {
	case name == "" || strings.Contains(name, "://"):
		return p.fault("want host/path, without a scheme")
	case strings.Contains(host, "*"):
		return p.fault("the registry host takes no wildcard; write host/* for each registry, docker.io/* for Docker Hub")
	case !hasPath && isHostAlone(host):
		return p.fault("a registry host alone; write %s/* for everything in it", clip(host))
	}
	return nil
}

// isHostAlone reports whether a pattern without '/' is meant as a host.
func isHostAlone(s string) bool {
	name, _, _ := strings.Cut(s, ":")
	return strings.Contains(name, ".") || name == "localhost"
}

func (p Pattern) fault(format string, args ...any) error {
	return fmt.Errorf("image pattern %q: "+format, append([]any{clip(p.text)}, args...)...)
}

// String is the pattern as it was written.
func (p Pattern) String() string { return p.text }

// Digest is the digest that the pattern demands, or zero.
func (p Pattern) Digest() Digest { return p.digest }

// Domain is the registry host that the pattern demands.
func (p Pattern) Domain() string { return p.domain }

// MatchesName reports whether the reference's registry and path fit; digests
// are not looked at.
func (p Pattern) MatchesName(r Reference) bool {
	if r.form != Named || r.domain != p.domain {
		return false
	}
	segs := strings.Split(r.path, "/")
	for i, want := range p.segments {
		last := i == len(p.segments)-1
		if i >= len(segs) {
			return false
		}
		if want == "*" && last {
			return true
		}
		if want != "*" && want != segs[i] {
			return false
		}
	}
	return len(segs) == len(p.segments)
}

// Matches reports whether the name fits and, if the pattern demands a digest,
// whether one of the digests known for what was run (itself and what contains
// it, see Family.Ancestors) is that digest.
func (p Pattern) Matches(r Reference, digests []Digest) bool {
	if !p.MatchesName(r) {
		return false
	}
	if p.digest.IsZero() {
		return true
	}
	for _, d := range digests {
		if d == p.digest {
			return true
		}
	}
	return r.digest == p.digest
}
