package provenance

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidewaiter/image"
	"tidewaiter/posture"
	"tidewaiter/posture/provenancetest"
)

const (
	issuer  = "https://issuer.example"
	subject = "https://ci.example/team/web/release@main"
)

// site is a certificate authority with its logs, made for the test, and a trust
// file that pins it.
type site struct {
	t     *testing.T
	ca    *provenancetest.Authority
	trust *Trust
}

func newSite(t *testing.T, rest string) *site {
	t.Helper()
	authority, err := provenancetest.New()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "trust.yaml")
	text := "version: 1\ntrusted_root: root.json\nidentities:\n  - {issuer: " + issuer + ", subject: \"" + subject + "\"" + rest + "}\nbuilders: [https://ci.example/builder]\n"
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "root.json"), authority.Root, 0o644), os.WriteFile(file, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
	trust, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return &site{t, authority, trust}
}

// sign makes a bundle, as cosign and build platforms attach them to images.
func (s *site) sign(who, statement string) []byte {
	s.t.Helper()
	data, err := s.ca.Sign(who, issuer, statement, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

var (
	sum   = strings.Repeat("a", 64)
	other = strings.Repeat("b", 64)
)

func webImage(t *testing.T) *posture.Image {
	t.Helper()
	d, err := image.ParseDigest("sha256:" + sum)
	if err != nil {
		t.Fatal(err)
	}
	return &posture.Image{Name: "web", Names: []image.Reference{image.Parse("registry.example/team/web:1")}, Digests: []image.Digest{d}}
}

func provenanceBy(builder string) string {
	return `{"buildDefinition":{},"runDetails":{"builder":{"id":"` + builder + `"}}}`
}

// A signature or provenance counts if a pinned identity made it, of this image.
func TestJudge(t *testing.T) {
	s := newSite(t, "")
	stranger := newSite(t, "")
	for name, c := range map[string]struct {
		data  []byte
		kind  posture.SealKind
		valid bool
		why   string
	}{
		"signature":             {s.sign(subject, provenancetest.Statement(sum, cosignSign, "{}")), posture.Signature, true, ""},
		"provenance":            {s.sign(subject, provenancetest.Statement(sum, slsaPrefix+"v1", provenanceBy("https://ci.example/builder"))), posture.Provenance, true, ""},
		"older provenance":      {s.sign(subject, provenancetest.Statement(sum, slsaPrefix+"v0.2", `{"builder":{"id":"https://ci.example/builder"}}`)), posture.Provenance, true, ""},
		"another builder":       {s.sign(subject, provenancetest.Statement(sum, slsaPrefix+"v1", provenanceBy("https://ci.example.evil.test/builder"))), posture.Provenance, false, "builder is not pinned"},
		"somebody else":         {s.sign("mallory@evil.test", provenancetest.Statement(sum, cosignSign, "{}")), posture.Signature, false, "expected SAN"},
		"a name that begins so": {s.sign(subject+".evil.test", provenancetest.Statement(sum, cosignSign, "{}")), posture.Signature, false, "expected SAN"},
		"another authority":     {stranger.sign(subject, provenancetest.Statement(sum, cosignSign, "{}")), posture.Signature, false, "log entries"},
		"changed afterwards":    {[]byte(strings.Replace(string(s.sign(subject, provenancetest.Statement(other, cosignSign, "{}"))), base64.StdEncoding.EncodeToString([]byte(provenancetest.Statement(other, cosignSign, "{}"))), base64.StdEncoding.EncodeToString([]byte(provenancetest.Statement(sum, cosignSign, "{}"))), 1)), posture.Signature, false, "does not match"},
		"no bundle":             {[]byte(`{"mediaType":"x"}`), posture.Signature, false, "cannot be read"},
		"no JSON":               {[]byte("\x1b[2J"), posture.Signature, false, "cannot be read"},
	} {
		got, err := s.trust.Judge(webImage(t), "bundle.json", c.data)
		if err != nil || got.Kind != c.kind || got.Valid != c.valid || !strings.Contains(got.Why, c.why) || got.Valid && (got.Who != subject+" by "+issuer || got.Why != "") {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	for name, data := range map[string][]byte{
		"another image": s.sign(subject, provenancetest.Statement(other, cosignSign, "{}")), "a list of parts": s.sign(subject, provenancetest.Statement(sum, "https://spdx.dev/Document", "{}")),
	} {
		if got, err := s.trust.Judge(webImage(t), "b", data); !errors.Is(err, ErrOther) {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}

// An identity that is pinned for some images does not sign others.
func TestIdentitiesArePinnedForImages(t *testing.T) {
	for images, valid := range map[string]bool{"registry.example/team/*": true, "registry.example/other/*": false} {
		s := newSite(t, ", images: ["+images+"]")
		got, err := s.trust.Judge(webImage(t), "b", s.sign(subject, provenancetest.Statement(sum, cosignSign, "{}")))
		if err != nil || got.Valid != valid {
			t.Errorf("%s: %+v %v", images, got, err)
		}
	}
}

func TestFaultsOfTrustFiles(t *testing.T) {
	for text, want := range map[string]string{
		"version: 2\n": "want 1", "version: 1\n": "trusted_root: name", "version: 1\ntrusted_root: none.json\n": "no such file", "version: 1\ntrusted_root: trust.yaml\n": "trusted_root: ",
		"version: 1\nidentities: [{issuer: i}]\n": "identities[0]: give either", "version: 1\nidentities: [{subject: s}]\n": "issuer: say", "version: 1\nidentities: [{issuer: i, subject_pattern: '('}]\n": "subject_pattern",
		"version: 1\nidentities: [{issuer: i, subject: s, images: ['Bad//x']}]\n": "images:", "version: 1\nidentity: []\n": "identity",
	} {
		file := filepath.Join(t.TempDir(), "trust.yaml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
