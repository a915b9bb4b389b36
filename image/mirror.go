package image

import "strings"

// Mirror says that a path below a registry serves another registry's images:
// mirror.corp.example/docker-hub is docker.io.
type Mirror struct {
	// Domain and Path are the mirror's host and path prefix ("" for all of it).
	Domain, Path string
	// OfDomain and OfPath are the upstream's.
	OfDomain, OfPath string
}

// Mirrors is a list of mapping rules; the longest path prefix wins.
type Mirrors []Mirror

// KnownMirrors are public mirrors whose mapping their operators document:
// Amazon ECR Public serves Docker Hub's official images below docker/library.
func KnownMirrors() Mirrors {
	return Mirrors{{"public.ecr.aws", "docker/library", dockerHub, "library"}}
}

// Upstream gives the reference that r stands for by the mapping rules, and
// whether one applied. Both names are kept: containerd's mirror configuration
// does not show in its events, a rewritten name does.
func (m Mirrors) Upstream(r Reference) (Reference, bool) {
	if r.form != Named {
		return Reference{}, false
	}
	best := -1
	for i, rule := range m {
		if rule.Domain == r.domain && underPath(r.path, rule.Path) &&
			(best < 0 || len(rule.Path) > len(m[best].Path)) {
			best = i
		}
	}
	if best < 0 {
		return Reference{}, false
	}
	rule := m[best]
	rest := strings.TrimPrefix(strings.TrimPrefix(r.path, rule.Path), "/")
	path := strings.Trim(rule.OfPath+"/"+rest, "/")
	if path == "" || path == "library" && rule.OfDomain == dockerHub {
		return Reference{}, false // the root of the mirror, no repository
	}
	up := r
	up.domain, up.path = canonicalName(rule.OfDomain, path)
	// The mirrored name is a text of its own, so that it can be marshalled.
	up = Parse(up.text(up.writtenTag()))
	if up.form != Named {
		return Reference{}, false
	}
	return up, true
}

// underPath reports whether path lies below prefix, on a '/' boundary.
func underPath(path, prefix string) bool {
	if prefix == "" {
		return true
	}
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}
