package policy

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"tidewaiter/image"
)

// Upstream gives the reference that a mirror's one stands for, and whether the
// policy, or the mirror's operator in public, says so.
func (p *Policy) Upstream(r image.Reference) (image.Reference, bool) { return p.mirrors.Upstream(r) }

// readMirrors reads which registries, or paths below them, serve another's
// images.
func (l *loader) readMirrors(n *yaml.Node) {
	l.mapping(n, "mirrors", func(key string, at, val *yaml.Node) {
		m := image.Mirror{}
		var ok, of bool
		m.Domain, m.Path, ok = prefix(key)
		m.OfDomain, m.OfPath, of = prefix(val.Value)
		switch {
		case !ok:
			l.fault(at, join("mirrors", key), "%s is no registry or path below one; write mirror.example/docker-hub: docker.io", quote(key))
		case !of || val.Kind != yaml.ScalarNode:
			l.fault(val, join("mirrors", key), "%s is no registry or path below one; write mirror.example/docker-hub: docker.io", quote(val.Value))
		default:
			l.policy.mirrors = append(l.policy.mirrors, m)
		}
	})
}

// prefix splits "host" or "host/path". The host has a dot, a port, or is
// localhost, as registries have.
func prefix(s string) (domain, path string, ok bool) {
	s = strings.TrimSuffix(s, "/")
	domain, path, _ = strings.Cut(s, "/")
	r := image.Parse(s + "/x")
	if r.Form() != image.Named || !strings.ContainsAny(domain, ".:") && domain != "localhost" {
		return "", "", false
	}
	full := strings.TrimSuffix(r.Path(), "x")
	if domain := r.Domain(); domain == "docker.io" && path == "" {
		return domain, "", true // not library/x
	}
	return r.Domain(), strings.TrimSuffix(full, "/"), true
}
