package image

import (
	"strings"
	"testing"
)

// FuzzParse: whatever a record calls an image, it is understood in one way,
// printed and remembered so that it is understood in the same way again, and
// an id stays an id.
func FuzzParse(f *testing.F) {
	g := newGen(21)
	for range 40 {
		f.Add(g.text())
	}
	for _, s := range []string{"", "nginx", "MyHost/app", "docker-pullable://nginx@" + dgM, hexC, "docker.io/library/sha256:" + hexC,
		"[2001:db8::1]:443/app", "d\u00f6cker.example/app", "docker\u3002io/x", "docker-short-id:9f86d081884c", "a.b__c/d", "*/x", "docker.io/*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) Reference{Parse, ParseDocker} {
			r := parse(text)
			checkReference(t, text, r)
			again := parse(r.String())
			if again.Key() != r.Key() || again.Form() != r.Form() {
				t.Fatalf("%q prints as %q, which has form %d and key %q, want %d and %q", text, r, again.Form(), again.Key(), r.Form(), r.Key())
			}
			b, _ := r.MarshalText()
			var back Reference
			if back.UnmarshalText(b); back != r {
				t.Fatalf("%+v is marshalled as %q and comes back as %+v", r, b, back)
			}
			Lookalike(r, trustedHosts, knownNames)
			if up, ok := KnownMirrors().Upstream(r); ok {
				checkReference(t, up.Raw(), up)
			}
		}
		checkPattern(t, text)
	})
}

// checkReference checks what holds for every reference.
func checkReference(t *testing.T, text string, r Reference) {
	t.Helper()
	if id, err := ParseID(stripScheme(strings.TrimSpace(text))); err == nil && (r.Form() != ID || r.Digest() != id) {
		t.Fatalf("the id %q has form %d and digest %s", text, r.Form(), r.Digest())
	}
	if named := r.Form() == Named; named != (r.Domain() != "" && r.Path() != "") || named && r.Tag() == "" && r.Digest().IsZero() {
		t.Fatalf("%q has form %d and is %+v", text, r.Form(), r)
	}
	if r.Domain() != strings.ToLower(r.Domain()) || strings.HasSuffix(r.Domain(), ":443") || strings.ContainsAny(r.Domain(), "/ _*") {
		t.Fatalf("%q has the host %q", text, r.Domain())
	}
	if r.Domain() == dockerHub && !strings.Contains(r.Path(), "/") {
		t.Fatalf("%q has no user on Docker Hub: %q", text, r.Path())
	}
	if isNoRepository(r) {
		t.Fatalf("%q is an id and became %q", text, r.Repository())
	}
}

// checkPattern checks that a text that is a pattern fits its own name, unless
// it has wildcards, and never the same name below another host.
func checkPattern(t *testing.T, text string) {
	t.Helper()
	p, err := ParsePattern(text)
	if err != nil {
		return
	}
	if p.String() != text || p.Domain() == "" || len(p.segments) == 0 {
		t.Fatalf("pattern %q prints as %q, for %q and %q", text, p, p.Domain(), p.segments)
	}
	r := Parse(strings.ReplaceAll(text, "*", "any"))
	if !p.Matches(r, nil) {
		t.Fatalf("pattern %q does not trust %q", text, r)
	}
	if evil := Parse("evil.test/" + r.String()); p.Matches(evil, []Digest{p.Digest()}) {
		t.Fatalf("pattern %q trusts %q", text, evil)
	}
}

// FuzzDigest: a digest is taken exactly as it is written or not at all.
func FuzzDigest(f *testing.F) {
	for _, s := range []string{"", dgM, hexM, "sha512:" + hexI + hexM, "sha384:" + hexI + hexM[:32], "sha256:" + strings.ToUpper(hexC), dgM + " ", "sha256:abcd", "sha256+b64:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDigest(text)
		if (err == nil) == d.IsZero() || err == nil && d.String() != text {
			t.Fatalf("ParseDigest(%q) = %q, %v", text, d, err)
		}
		if id, err := ParseID(text); err == nil && id.String() != text && id.String() != "sha256:"+text {
			t.Fatalf("ParseID(%q) = %q", text, id)
		}
		b, _ := d.MarshalText()
		var back Digest
		if err := back.UnmarshalText(b); err != nil || back != d {
			t.Fatalf("%q comes back as %q, %v", d, back, err)
		}
		if short := d.Short(); len(short) > 12 || err == nil && !strings.Contains(text, ":"+short) {
			t.Fatalf("%q is short for %q", short, text)
		}
	})
}
