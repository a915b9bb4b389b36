package image

import (
	"strings"
	"testing"
)

func pattern(t testing.TB, s string) Pattern {
	t.Helper()
	p, err := ParsePattern(s)
	if err != nil {
		t.Fatal(err)
	}
	if p.String() != s {
		t.Errorf("pattern %q prints as %q", s, p)
	}
	return p
}

// TestPatternNames pins what a pattern fits: "+" before a reference that fits,
// "-" before one that does not.
func TestPatternNames(t *testing.T) {
	for _, c := range []struct{ pattern, refs string }{
		{"registry.example/*", "+registry.example/app +registry.example/a/b/c:1 +REGISTRY.example/app +registry.example:443/app " +
			"-registry.example:5000/app -eu.registry.example/app -registry.example.evil.test/app -evilregistry.example/app -evil.test/registry.example/app -app"},
		{"registry.example:5000/team/*", "+registry.example:5000/team/app +registry.example:5000/team/a/b@" + dgM +
			" -registry.example:5000/team -registry.example:5000/teammate/app -registry.example:5000/x/team/app -registry.example/team/app -registry.example:5001/team/app"},
		{"registry.example:443/app", "+registry.example/app +registry.example:443/app -registry.example:80/app"},
		{"nginx", "+nginx +nginx:1.25 +docker.io/library/nginx@" + dgM + " +index.docker.io/nginx -nginx-evil -library/nginx/x -bitnami/nginx -quay.io/library/nginx -registry.example/nginx"},
		{"docker.io/library/nginx", "+nginx -nginxx"},
		{"docker.io/*", "+nginx +bitnami/nginx +docker.io/a/b/c -quay.io/nginx -docker.io.evil.test/library/nginx"},
		{"index.docker.io/*", "+nginx +bitnami/nginx -quay.io/nginx"},
		{"docker.io/library/*", "+nginx +docker.io/redis -bitnami/nginx"},
		{"library/*", "+nginx -bitnami/nginx"},
		{"bitnami/*", "+bitnami/nginx +docker.io/bitnami/x/y -bitnamievil/nginx -nginx"},
		{"registry.example/*/app", "+registry.example/a/app -registry.example/a/b/app -registry.example/app -registry.example/a/app/x -registry.example/a/application"},
		{"registry.example/*/*", "+registry.example/a/b +registry.example/a/b/c -registry.example/a"},
		{"registry.example/a/*/c/*", "+registry.example/a/b/c/d +registry.example/a/b/c/d/e -registry.example/a/b/c -registry.example/a/b/x/d"},
		{"localhost:5000/*", "+localhost:5000/app -localhost/app -localhost:5000.evil.test/app"},
		{"10.0.0.5:5000/*", "+10.0.0.5:5000/a -10.0.0.5/a -10.0.0.55:5000/a"},
		{"d\u00f6cker.example/*", "+xn--dcker-jua.example/app -docker.example/app"},
		{"docker.io/tidewaiter-any/x", "+tidewaiter-any/x -other/x"},
		{" registry.example/* ", "+registry.example/app"},
	} {
		p := pattern(t, c.pattern)
		for ref := range strings.FieldsSeq(c.refs) {
			r := Parse(ref[1:])
			if got, want := p.MatchesName(r), ref[0] == '+'; got != want {
				t.Errorf("pattern %q fits %q: %t, want %t", c.pattern, ref[1:], got, want)
			}
		}
	}
	all := pattern(t, "docker.io/*")
	for _, text := range []string{"", dgM, "Not A Reference", hexC} {
		if all.MatchesName(Parse(text)) {
			t.Errorf("%q has no name and fits docker.io/*", text)
		}
	}
	if all.MatchesName(ParseDocker("9f86d081884c")) {
		t.Error("a short id fits docker.io/*")
	}
}

// TestPatternDigests pins that a pattern with a digest trusts that digest
// only, under that name only.
func TestPatternDigests(t *testing.T) {
	i, m, c := digestOf(t, dgI), digestOf(t, dgM), digestOf(t, dgC)
	p := pattern(t, "registry.example/app@"+dgM)
	if p.Digest() != m || p.Domain() != "registry.example" {
		t.Errorf("pattern demands %s on %s", p.Digest(), p.Domain())
	}
	for _, x := range []struct {
		why, ref string
		known    []Digest
		want     bool
	}{
		{"the digest of what was run", "registry.example/app:1", []Digest{m}, true},
		{"among what contains it", "registry.example/app:1", []Digest{c, i, m}, true},
		{"in the reference", "registry.example/app@" + dgM, nil, true},
		{"no digest is known", "registry.example/app:1", nil, false},
		{"another digest", "registry.example/app:1", []Digest{i, c}, false},
		{"another digest in the reference", "registry.example/app@" + dgI, nil, false},
		{"the digest under another name", "evil.test/app:1", []Digest{m}, false},
		{"the digest alone", dgM, []Digest{m}, false},
	} {
		if got := p.Matches(Parse(x.ref), x.known); got != x.want {
			t.Errorf("%s: %q with %v matches: %t, want %t", x.why, x.ref, x.known, got, x.want)
		}
	}
	if any := pattern(t, "registry.example/*"); !any.Matches(Parse("registry.example/app"), nil) || !any.Matches(Parse("registry.example/app@"+dgM), nil) || !any.Digest().IsZero() {
		t.Error("a pattern without digest asks for one")
	}
}

// TestPatternErrors pins that a mistake is refused and its author told what to
// write.
func TestPatternErrors(t *testing.T) {
	for text, says := range map[string]string{
		"":                                 "want host/path",
		"  ":                               "want host/path",
		"@" + dgM:                          "want host/path",
		"https://registry.example/*":       "without a scheme",
		"docker://nginx":                   "without a scheme",
		"*":                                "no wildcard; write host/*",
		"*/app":                            "no wildcard; write host/*",
		"*.example/app":                    "no wildcard; write host/*",
		"registry.*/app":                   "no wildcard; write host/*",
		"registry.example":                 "write registry.example/*",
		"registry.example:5000":            "write registry.example:5000/*",
		"localhost:5000":                   "write localhost:5000/*",
		"nginx:1.25":                       "use a digest",
		"registry.example/app:*":           "use a digest",
		"registry.example/app:latest":      "use a digest",
		"nginx:1.25@" + dgM:                "use a digest",
		"nginx@sha256:abcd":                "want sha256: and 64 lower-case hex digits",
		"nginx@":                           "want sha256:",
		"registry.example/team*/app":       "whole path segments",
		"registry.example/**":              "whole path segments",
		"registry.example/App":             "want host/path",
		"registry.example/":                "want host/path",
		"registry.example//app":            "want host/path",
		"registry.example/../app":          "want host/path",
		dgM:                                "want host/path",
		hexM:                               "want host/path",
		"docker.io/library/sha256:" + hexM: "want host/path",
		"my_host.example/*":                "want host/path",
	} {
		p, err := ParsePattern(text)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("ParsePattern(%q) = %q, %v; want an error that says %q", text, p, err, says)
		}
		if err != nil && text != "" && !strings.Contains(err.Error(), "image pattern") {
			t.Errorf("the error does not say what it is about: %v", err)
		}
	}
}

// TestZeroPattern pins that a pattern that was never parsed trusts nothing.
func TestZeroPattern(t *testing.T) {
	for _, text := range []string{"", "nginx", dgM, "Not A Reference"} {
		if (Pattern{}).Matches(Parse(text), []Digest{digestOf(t, dgM)}) {
			t.Errorf("the zero pattern trusts %q", text)
		}
	}
}
