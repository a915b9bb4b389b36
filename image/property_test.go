package image

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/quick"
)

// gen makes references by the grammar of distribution/reference. It is seeded,
// so a failure comes again.
type gen struct{ *rand.Rand }

func newGen(seed uint64) gen { return gen{rand.New(rand.NewPCG(seed, 20240601))} }

// rounds is how often a property is tried.
const rounds = 5000

func (g gen) pick(list ...string) string { return list[g.IntN(len(list))] }

// word is n letters of the alphabet.
func (g gen) word(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[g.IntN(len(alphabet))]
	}
	return string(b)
}

const (
	lowerDigits = "abcdefghijklmnopqrstuvwxyz0123456789"
	hexDigits   = "0123456789abcdef"
)

func (g gen) hex(n int) string { return g.word(hexDigits, n) }

func (g gen) digest() string { return "sha256:" + g.hex(64) }

// part is one path component.
func (g gen) part() string {
	s := g.word(lowerDigits, 1+g.IntN(6))
	for range g.IntN(3) {
		s += g.pick(".", "_", "__", "-", "---") + g.word(lowerDigits, 1+g.IntN(4))
	}
	return s
}

func (g gen) path() string {
	if g.IntN(8) == 0 {
		return g.pick("library/nginx", "nginx", "docker.io/nginx", "sha256", "library", "localhost/x")
	}
	s := g.part()
	for range g.IntN(4) {
		s += "/" + g.part()
	}
	return s
}

// host is a registry host with or without port, never empty.
func (g gen) host() string {
	s := g.pick("docker.io", "index.docker.io", "registry-1.docker.io", "quay.io", "localhost", "MyHost", "Registry.Example",
		"10.0.0.5", "[2001:db8::1]", "xn--dcker-jua.example", "d\u00f6cker.example",
		g.word(lowerDigits, 1+g.IntN(5))+"."+g.word(lowerDigits, 2+g.IntN(4)))
	return s + g.pick("", "", ":5000", ":443", ":80")
}

func (g gen) tag() string {
	return g.word("abcXYZ019_", 1) + g.word("abcXYZ019_.-", g.IntN(12))
}

// suffix is a tag, a digest, both or nothing.
func (g gen) suffix() string {
	switch g.IntN(4) {
	case 0:
		return ":" + g.tag()
	case 1:
		return "@" + g.digest()
	case 2:
		return ":" + g.tag() + "@" + g.digest()
	}
	return ""
}

// text is a reference, an id, or one of these with an error in it.
func (g gen) text() string {
	s := g.path() + g.suffix()
	switch g.IntN(8) {
	case 0:
		s = g.id()
	case 1, 2, 3, 4:
		s = g.host() + "/" + s
	}
	if g.IntN(6) == 0 {
		s = g.pick("docker-pullable://", "docker://", "containerd://", "cri-o://", " ", "docker-short-id:", "raw-reference:") + s
	}
	if g.IntN(6) == 0 {
		i := g.IntN(len(s) + 1)
		s = s[:i] + g.pick("A", "/", ":", "@", " ", ".", "\xff", "é", "://", "..") + s[i:]
	}
	return s
}

// id is an image id in some notation, perhaps in other letters or cut short.
func (g gen) id() string {
	hex := g.hex(64)
	switch g.IntN(4) {
	case 0:
		hex = strings.ToUpper(hex)
	case 1:
		hex = hex[:12+g.IntN(52)]
	}
	return g.pick("sha256:", "") + hex
}

// TestCanonicalTextIsStable: what String prints is understood as the same
// reference, and printed the same again.
func TestCanonicalTextIsStable(t *testing.T) {
	g := newGen(1)
	named := 0
	for range rounds {
		text := g.text()
		for _, parse := range []func(string) Reference{Parse, ParseDocker} {
			r := parse(text)
			again := parse(r.String())
			if again.Key() != r.Key() || again.Form() != r.Form() || again.String() != r.String() {
				t.Fatalf("%q is %q; that is read as %q with key %q, want key %q", text, r, again, again.Key(), r.Key())
			}
			if r.Form() == Named {
				named++
			}
		}
	}
	if named < rounds {
		t.Errorf("only %d of %d texts were names: the generator is off", named, 2*rounds)
	}
}

// TestFamiliarAndCanonicalAgree: an image of Docker Hub has one key, however
// much of its name is written.
func TestFamiliarAndCanonicalAgree(t *testing.T) {
	g := newGen(2)
	for range rounds {
		name := strings.NewReplacer(".", "", "localhost", "home").Replace(g.part())
		if isAlgorithm(name) || len(name) == 64 {
			continue
		}
		suffix := g.suffix()
		forms := []string{name, "library/" + name, "docker.io/" + name, "docker.io/library/" + name, "index.docker.io/library/" + name, "docker-pullable://" + name}
		if g.IntN(2) == 0 {
			name += "/" + g.part()
			forms = []string{name, "docker.io/" + name, "registry-1.docker.io/" + name, "DOCKER.io:443/" + name, " " + name}
		}
		want := Parse(forms[0] + suffix).Key()
		if want == "" {
			t.Fatalf("%q has no key", forms[0]+suffix)
		}
		for _, f := range forms[1:] {
			if got := Parse(f + suffix).Key(); got != want {
				t.Fatalf("%q has key %q, but %q has %q", f+suffix, got, forms[0]+suffix, want)
			}
		}
	}
}

// TestAnIDIsNeverAName: no notation of an id becomes a repository.
func TestAnIDIsNeverAName(t *testing.T) {
	g := newGen(3)
	wraps := []string{"%s", "sha256:%s", "SHA256:%s", "Sha256:%s", "sha512:%s", "library/%s", "library/sha256:%s", "docker.io/%s", "docker.io/sha256:%s",
		"docker.io/library/%s", "docker.io/library/sha256:%s", "index.docker.io/library/sha256:%s", "registry-1.docker.io/library/%s",
		"docker.io:443/library/sha256:%s", "DOCKER.IO/library/sha256:%s", "sha256@sha256:%s", "moby-dangling@sha256:%s", "docker.io/library/moby-dangling@sha256:%s"}
	schemes := []string{"", "docker://", "docker-pullable://", "containerd://", "cri-o://", "DOCKER://", "docker://docker://", " ", "docker-pullable://docker://"}
	suffixes := []string{"", ":latest", ":1", "@" + dgM, ":latest@" + dgM, " "}
	for range 8 {
		lower := g.hex(64)
		for _, hex := range []string{lower, strings.ToUpper(lower), strings.ToUpper(lower[:20]) + lower[20:]} {
			for _, wrap := range wraps {
				for _, scheme := range schemes {
					for _, suffix := range suffixes {
						text := scheme + fmt.Sprintf(wrap, hex) + suffix
						for _, r := range []Reference{Parse(text), ParseDocker(text)} {
							if r.Form() == Named {
								t.Fatalf("%q became the repository %q", text, r.Repository())
							}
						}
					}
				}
			}
		}
	}
}

// TestAnIDIsKept: the plain notations of an id are the id.
func TestAnIDIsKept(t *testing.T) {
	err := quick.Check(func(raw [32]byte) bool {
		hex := fmt.Sprintf("%x", raw)
		for _, wrap := range []string{"%s", "sha256:%s", "docker://sha256:%s", "docker-pullable://sha256:%s", "cri-o://%s", "docker.io/library/sha256:%s", "moby-dangling@sha256:%s"} {
			r := Parse(fmt.Sprintf(wrap, hex))
			if r.Form() != ID || r.Digest().String() != "sha256:"+hex || r.Key() != r.Digest().String() {
				return false
			}
		}
		return true
	}, nil)
	if err != nil {
		t.Error(err)
	}
}

// TestEvilHostIsNeverTrusted: appending to a host makes another host, which no
// pattern for the first one trusts, whatever digests are claimed.
func TestEvilHostIsNeverTrusted(t *testing.T) {
	g := newGen(4)
	matched := 0
	for range rounds {
		host, path := g.host(), g.path()
		name, port, hasPort := strings.Cut(host, ":")
		if strings.HasPrefix(host, "[") {
			continue // an address has no subdomains
		}
		if hasPort {
			port = ":" + port
		}
		pattern := host + "/" + g.pick("*", path, path, strings.Split(path, "/")[0]+"/*")
		if g.IntN(3) == 0 {
			pattern += "@" + dgM
		}
		p, err := ParsePattern(pattern)
		if err != nil {
			continue
		}
		suffix := g.suffix()
		digests := []Digest{digestOf(t, dgM)}
		if p.Matches(Parse(host+"/"+path+suffix), digests) {
			matched++
		}
		for _, evil := range []string{name + ".evil.test" + port, name + port + ".evil.test", name + "evil.test" + port, "evil." + host, "evil.test/" + host} {
			if r := Parse(evil + "/" + path + suffix); p.Matches(r, digests) {
				t.Fatalf("pattern %q trusts %q", pattern, r.Raw())
			}
		}
	}
	if matched < rounds/4 {
		t.Errorf("only %d of %d patterns matched their own host: the generator is off", matched, rounds)
	}
}

// TestMarshalRoundTrip: what is marshalled comes back equal.
func TestMarshalRoundTrip(t *testing.T) {
	g := newGen(5)
	for range rounds {
		text := g.text()
		for _, r := range []Reference{Parse(text), ParseDocker(text), ParseDocker(g.hex(12 + g.IntN(52)))} {
			b, err := r.MarshalText()
			var back Reference
			if err == nil {
				err = back.UnmarshalText(b)
			}
			if err != nil || back != r {
				t.Fatalf("%+v is marshalled as %q and comes back as %+v, %v", r, b, back, err)
			}
		}
	}
}

// TestDigestRoundTrip: every digest comes back from its text.
func TestDigestRoundTrip(t *testing.T) {
	err := quick.Check(func(raw [32]byte) bool {
		d, err := ParseDigest(fmt.Sprintf("sha256:%x", raw))
		if err != nil {
			return false
		}
		text, _ := d.MarshalText()
		var back Digest
		return back.UnmarshalText(text) == nil && back == d && strings.HasPrefix(d.String(), "sha256:"+d.Short())
	}, nil)
	if err != nil {
		t.Error(err)
	}
}

// TestTrustedIsNoLookalike: a well-known name on a trusted host imitates
// nobody, with whatever tag.
func TestTrustedIsNoLookalike(t *testing.T) {
	g := newGen(6)
	for range rounds {
		host := g.pick(trustedHosts...)
		text := host + "/" + g.pick(knownNames...) + g.suffix()
		if g.IntN(2) == 0 {
			text = "eu." + strings.TrimPrefix(text, "localhost:5000")
		}
		if strings.HasPrefix(text, "eu./") {
			continue
		}
		r := Parse(text)
		if why, ok := Lookalike(r, trustedHosts, knownNames); ok || r.Form() != Named {
			t.Fatalf("%q (form %d) is a look-alike: %s", text, r.Form(), why)
		}
	}
}
