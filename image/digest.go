package image

import (
	// go-digest knows an algorithm only when its hash is linked in.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// ErrBadDigest is wrapped by the errors of ParseDigest.
var ErrBadDigest = errors.New("not a digest")

// Digest is the content address of an OCI index, manifest or config blob, as
// "sha256:<64 lower-case hex>" (sha384 and sha512 are accepted too; OCI image
// specification, "Descriptors"). The zero Digest means "none". Digests are
// comparable and may be map keys.
type Digest struct{ s string }

// ParseDigest reads "algorithm:hex". It fails with ErrBadDigest on any other
// algorithm, a wrong length, or upper-case hex.
func ParseDigest(s string) (Digest, error) {
	if hex, ok := strings.CutPrefix(s, "sha256:"); ok && len(hex) == 64 && isHex(hex) {
		return Digest{s}, nil // nearly always, and the library's grammar is an expression
	}
	d, err := digest.Parse(s)
	if err != nil {
		return Digest{}, fmt.Errorf("%q: %w: want sha256: and 64 lower-case hex digits", clip(s), ErrBadDigest)
	}
	return Digest{string(d)}, nil
}

// ParseID reads an image id as runtimes print it: a digest, or 64 bare hex
// digits, which mean sha256. It fails with ErrBadDigest.
func ParseID(s string) (Digest, error) {
	if len(s) == 64 && isHex(s) {
		s = "sha256:" + s
	}
	return ParseDigest(s)
}

// IsZero reports whether d is "none".
func (d Digest) IsZero() bool { return d.s == "" }

// String is the digest's text, "" for none.
func (d Digest) String() string { return d.s }

// Short is the first twelve hex digits, for people; "" for none.
func (d Digest) Short() string {
	for i := range len(d.s) {
		if d.s[i] == ':' {
			return d.s[i+1:][:min(12, len(d.s)-i-1)]
		}
	}
	return d.s
}

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.s), nil }

// UnmarshalText implements encoding.TextUnmarshaler; "" is the zero Digest.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Digest{}
		return nil
	}
	v, err := ParseDigest(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// Compare orders digests by their text.
func (d Digest) Compare(o Digest) int {
	switch {
	case d.s < o.s:
		return -1
	case d.s > o.s:
		return 1
	}
	return 0
}

func isHex(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}

func clip(s string) string {
	if len(s) > 96 {
		return s[:96] + "…"
	}
	return s
}
