// Package provenance verifies Sigstore bundles, signatures and SLSA provenance
// alike, against a root of trust and identities that a site has pinned. It asks
// nobody: the root is a file.
//
// In: a trust file, bundles, and the image that they are to be about. Out:
// posture.Seal, valid or not and why.
package provenance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"tidewaiter/image"
	"tidewaiter/strictyaml"
)

// Bounds on what is read.
const (
	maxTrust  = 16 << 20
	maxBundle = 8 << 20
)

// Trust is who a site trusts to sign which images. Make one with Load.
type Trust struct {
	// Name is the file that it was read from.
	Name       string
	verifier   *verify.Verifier
	identities []identity
	builders   []string
}

type identity struct {
	images  []image.Pattern
	matcher verify.CertificateIdentity
}

// trustFile is the form of a trust file.
type trustFile struct {
	Version     int    `yaml:"version"`
	TrustedRoot string `yaml:"trusted_root"`
	Identities  []struct {
		Issuer         string   `yaml:"issuer"`
		Subject        string   `yaml:"subject"`
		SubjectPattern string   `yaml:"subject_pattern"`
		Images         []string `yaml:"images"`
	} `yaml:"identities"`
	Builders []string `yaml:"builders"`
}

// Load reads a trust file; the path of its root counts from its folder. The
// error joins every fault.
//
//	version: 1
//	trusted_root: trusted_root.json
//	identities:
//	  - issuer: https://token.actions.githubusercontent.com
//	    subject: https://github.com/acme/web/.github/workflows/release.yaml@refs/heads/main
//	    images: [registry.example/team/*]      # absent: all images
//	builders: [https://github.com/actions/runner/github-hosted]   # absent: any, if a pinned identity signed
func Load(path string) (*Trust, error) {
	data, err := limited(path, maxTrust)
	if err != nil {
		return nil, err
	}
	var in trustFile
	if err := strictyaml.Decode(path, data, &in); err != nil {
		return nil, err
	}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: "+format, append([]any{path}, args...)...))
	}
	if in.Version != 1 {
		fault("version: want 1")
	}
	t := &Trust{Name: path, builders: in.Builders}
	if in.TrustedRoot == "" {
		fault("trusted_root: name the file that has the root of trust (trusted_root.json)")
	} else {
		file := in.TrustedRoot
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(path), file)
		}
		if t.verifier, err = loadRoot(file); err != nil {
			fault("trusted_root: %w", err)
		}
	}
	if len(in.Identities) == 0 {
		fault("identities: pin at least one; without, anybody's signature would count")
	}
	for i, id := range in.Identities {
		one, err := pinned(id.Issuer, id.Subject, id.SubjectPattern, id.Images)
		if err != nil {
			fault("identities[%d]: %w", i, err)
			continue
		}
		t.identities = append(t.identities, one)
	}
	return t, errors.Join(faults...)
}

func limited(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, fmt.Errorf("%s: not a regular file of at most %d MiB", path, most>>20)
	}
	return os.ReadFile(path)
}

// loadRoot reads a root of trust. What it has logs for is asked of every
// signature: an entry in a transparency log, a promise of a certificate log.
func loadRoot(file string) (*verify.Verifier, error) {
	data, err := limited(file, maxTrust)
	if err != nil {
		return nil, err
	}
	tr, err := root.NewTrustedRootFromJSON(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	opts := []verify.VerifierOption{verify.WithObserverTimestamps(1)}
	if len(tr.RekorLogs()) > 0 {
		opts = append(opts, verify.WithTransparencyLog(1))
	}
	if len(tr.CTLogs()) > 0 {
		opts = append(opts, verify.WithSignedCertificateTimestamps(1))
	}
	v, err := verify.NewVerifier(tr, opts...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return v, nil
}

func pinned(issuer, subject, pattern string, images []string) (identity, error) {
	var id identity
	switch {
	case issuer == "":
		return id, errors.New("issuer: say who vouches for the subject")
	case (subject == "") == (pattern == ""):
		return id, errors.New("give either subject or subject_pattern")
	}
	if pattern != "" {
		if _, err := regexp.Compile(pattern); err != nil {
			return id, fmt.Errorf("subject_pattern: %w", err)
		}
		pattern = "^(?:" + pattern + ")$"
	}
	san, err := verify.NewSANMatcher(subject, pattern)
	if err != nil {
		return id, err
	}
	iss, err := verify.NewIssuerMatcher(issuer, "")
	if err != nil {
		return id, err
	}
	id.matcher, err = verify.NewCertificateIdentity(san, iss, certificate.Extensions{})
	if err != nil {
		return id, err
	}
	for _, text := range images {
		p, err := image.ParsePattern(text)
		if err != nil {
			return id, fmt.Errorf("images: %w", err)
		}
		id.images = append(id.images, p)
	}
	return id, nil
}
