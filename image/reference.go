// Package image holds the identity of a container image: references and
// digests, parsed once where a record enters, and the family of digests that
// are known to be one image.
//
// In: the text that a runtime, an API or a policy prints. Out: values that
// cannot be malformed, compared by parsed host, '/'-bounded path and digest,
// never by substring.
package image

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"github.com/distribution/reference"
	"golang.org/x/net/idna"
)

// Form says what a Reference is.
type Form uint8

// The forms of a reference.
const (
	None    Form = iota // nothing was given
	Named               // registry, path, and a tag, a digest, or both
	ID                  // a bare digest: config, manifest or index
	ShortID             // the first hex digits of an id, as Docker prints them
	Invalid             // not a reference; the raw text is kept
)

// dockerHub is the registry that a name without a host means.
const dockerHub = "docker.io"

// ErrBadReference is wrapped by the error of Reference.Err.
var ErrBadReference = errors.New("not an image reference")

// Reference is what a record calls an image. It is a claim: what was run is
// told by a digest. The zero Reference has form None.
//
// References are comparable. Two references that differ only in spelling
// ("nginx", "docker.io/library/nginx:latest") have equal Key values.
type Reference struct {
	raw          string
	form         Form
	domain, path string
	tag          string
	implicit     bool
	digest       Digest
	shortID      string
}

// Parse reads an image reference as any source prints it. It never fails: text
// that is no reference gives form Invalid, which keeps the text, because the
// event that carries it must not be lost. Use Err to ask for the reason.
func Parse(raw string) Reference { return parse(raw, false) }

// ParseDocker is Parse for text from the Docker Engine, where 12 to 63 hex
// digits are the beginning of an id and not a Docker Hub repository.
func ParseDocker(raw string) Reference { return parse(raw, true) }

func parse(raw string, docker bool) Reference {
	s := stripScheme(strings.TrimSpace(raw))
	if s == "" {
		if strings.TrimSpace(raw) == "" {
			return Reference{}
		}
		return Reference{raw: raw, form: Invalid}
	}
	// An id is tested before a name, or "sha256:…" becomes a Docker Hub
	// repository called sha256. A damaged id is still no name.
	if algorithm, _, found := strings.Cut(s, ":"); found && isAlgorithm(algorithm) || len(s) == 64 && isHex(s) {
		id, err := ParseID(s)
		if err != nil {
			return Reference{raw: raw, form: Invalid}
		}
		return Reference{raw: raw, form: ID, digest: id}
	}
	if docker && len(s) >= 12 && len(s) < 64 && isHex(s) {
		return Reference{raw: raw, form: ShortID, shortID: s}
	}
	return parseName(raw, s)
}

func parseName(raw, s string) Reference {
	named, err := reference.ParseNormalizedNamed(asciiHost(s))
	if err != nil {
		return Reference{raw: raw, form: Invalid}
	}
	r := Reference{raw: raw, form: Named}
	if reference.Domain(named) == "" {
		// The grammar takes "my_host.example/app", whose first part is written
		// like a host and cannot be one, for a name without any registry.
		return Reference{raw: raw, form: Invalid}
	}
	r.domain, r.path = canonicalName(reference.Domain(named), reference.Path(named))
	if t, ok := named.(reference.Tagged); ok {
		r.tag = t.Tag()
	}
	if d, ok := named.(reference.Digested); ok {
		parsed, err := ParseDigest(d.Digest().String())
		if err != nil {
			return Reference{raw: raw, form: Invalid}
		}
		r.digest = parsed
	}
	if isNoRepository(r) {
		return undoName(r)
	}
	if r.tag == "" && r.digest.IsZero() {
		r.tag, r.implicit = "latest", true
	}
	return r
}

// isNoRepository reports whether a name on Docker Hub is what the name grammar
// makes of an id: docker.io/library/sha256:<hex> of a digest, and
// docker.io/library/<64 hex> of an id with a tag appended. Docker creates no
// repository called like a digest algorithm. moby-dangling@<digest> is how a
// containerd image store keeps an image without a name.
func isNoRepository(r Reference) bool {
	name, official := strings.CutPrefix(r.path, "library/")
	if r.domain != dockerHub || !official {
		return false
	}
	return isAlgorithm(name) || len(name) == 64 && isHex(name) || name == "moby-dangling" && !r.digest.IsZero()
}

// undoName gives the id back. Without a digest, a repository of 64 hex digits
// is not taken for the image with that id: anybody can give an image that name.
func undoName(r Reference) Reference {
	if !r.digest.IsZero() {
		return Reference{raw: r.raw, form: ID, digest: r.digest}
	}
	name := strings.TrimPrefix(r.path, "library/")
	if id, err := ParseDigest(name + ":" + r.tag); err == nil {
		return Reference{raw: r.raw, form: ID, digest: id}
	}
	return Reference{raw: r.raw, form: Invalid}
}

func isAlgorithm(s string) bool { return s == "sha256" || s == "sha384" || s == "sha512" }

// stripScheme removes what kubelets and runtimes put before an image id.
func stripScheme(s string) string {
	for _, scheme := range []string{"docker-pullable://", "docker://", "containerd://", "cri-o://"} {
		if rest, ok := strings.CutPrefix(s, scheme); ok {
			return rest
		}
	}
	return s
}

// asciiHost turns an internationalised host into its ASCII form, so that the
// reference grammar can read it; Raw keeps what was written. Apart from the
// letters' case nothing is mapped (RFC 5891, registration): mapping would make
// a host that only looks like another (full-width letters, an ideographic full
// stop, an invisible character) equal to it. Such a host gives no name.
func asciiHost(s string) string {
	host, rest, found := strings.Cut(s, "/")
	if !found || !strings.ContainsFunc(host, func(r rune) bool { return r > 127 }) {
		return s
	}
	name, port, hasPort := strings.Cut(strings.Map(lowerLetter, host), ":")
	ascii, err := idna.Registration.ToASCII(name)
	if err != nil {
		return s
	}
	if hasPort {
		ascii += ":" + port
	}
	return ascii + "/" + rest
}

// lowerLetter gives the small letter, except where it belongs to another
// alphabet: the Kelvin sign is no k.
func lowerLetter(r rune) rune {
	if l := unicode.ToLower(r); r < 128 || l > 127 {
		return l
	}
	return r
}

// canonicalName applies the aliases of Docker Hub, lower case for the host,
// and the default port of https.
func canonicalName(domain, path string) (string, string) {
	domain = strings.TrimSuffix(strings.ToLower(domain), ":443")
	switch domain {
	case "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		domain = dockerHub
	}
	if domain == dockerHub && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return domain, path
}

// Form says what r is.
func (r Reference) Form() Form { return r.form }

// IsZero reports whether nothing was given.
func (r Reference) IsZero() bool { return r.form == None }

// Raw is the text as it stood in the record. It may hold anything.
func (r Reference) Raw() string { return r.raw }

// Domain is the registry host with its port, lower case; "" unless Named.
func (r Reference) Domain() string { return r.domain }

// Path is the repository below the registry; "" unless Named.
func (r Reference) Path() string { return r.path }

// Tag is the tag, "latest" when neither tag nor digest was written. With a
// digest beside it a tag is decoration.
func (r Reference) Tag() string { return r.tag }

// TagImplicit reports whether the tag was not written but assumed.
func (r Reference) TagImplicit() bool { return r.implicit }

// Digest is the digest in the reference, or zero.
func (r Reference) Digest() Digest { return r.digest }

// ShortID is the id's beginning for form ShortID, else "".
func (r Reference) ShortID() string { return r.shortID }

// Mutable reports whether the reference can mean another image tomorrow: it
// is a name and has no digest.
func (r Reference) Mutable() bool { return r.form == Named && r.digest.IsZero() }

// Repository is "host/path", "" unless Named.
func (r Reference) Repository() string {
	if r.form != Named {
		return ""
	}
	return r.domain + "/" + r.path
}

// Key is the canonical text by which references are compared: the repository
// with digest if there is one, else with tag; the digest for an ID; "" for
// None, ShortID and Invalid, which never equal anything.
func (r Reference) Key() string {
	switch {
	case r.form == Named && !r.digest.IsZero():
		return r.Repository() + "@" + r.digest.s
	case r.form == Named:
		return r.Repository() + ":" + r.tag
	case r.form == ID:
		return r.digest.s
	}
	return ""
}

// String is the canonical text, with tag and digest both if both were given.
// Parse makes a reference with the same Key of it: a host without a dot, which
// would be read as a Docker Hub user, is therefore printed with port 443.
// For Invalid it is the raw text, which may be hostile: escape it for people.
func (r Reference) String() string {
	switch r.form {
	case Named:
		return r.text(r.tag)
	case ID:
		return r.digest.s
	case ShortID:
		return r.shortID
	}
	return r.raw
}

// NamesRegistry reports whether the text names a registry. Docker reads a name
// without one as Docker Hub's, also that of an image that was never there.
func (r Reference) NamesRegistry() bool {
	if r.form != Named {
		return false
	}
	host, _, found := strings.Cut(stripScheme(strings.TrimSpace(r.raw)), "/")
	return found && (strings.ContainsAny(host, ".:") || host == "localhost" || r.domain != dockerHub)
}

// Familiar is String without a registry that the text does not name:
// "app:latest" for "app".
func (r Reference) Familiar() string {
	if r.form != Named || r.NamesRegistry() {
		return r.String()
	}
	return strings.TrimPrefix(strings.TrimPrefix(r.String(), r.domain+"/"), "library/")
}

// text writes the name with this tag ("" for none) and r's digest.
func (r Reference) text(tag string) string {
	s := r.domain
	if !strings.ContainsAny(s, ".:") && s != "localhost" {
		s += ":443"
	}
	s += "/" + r.path
	if tag != "" {
		s += ":" + tag
	}
	if !r.digest.IsZero() {
		s += "@" + r.digest.s
	}
	return s
}

// writtenTag is the tag if it was written, else "".
func (r Reference) writtenTag() string {
	if r.implicit {
		return ""
	}
	return r.tag
}

// Err is nil unless r is Invalid; then it wraps ErrBadReference.
func (r Reference) Err() error {
	if r.form != Invalid {
		return nil
	}
	return fmt.Errorf("%q: %w", clip(r.raw), ErrBadReference)
}

// IPRegistry reports whether the registry is named by address.
func (r Reference) IPRegistry() bool {
	host := r.domain
	if ap, err := netip.ParseAddrPort(host); err == nil {
		return ap.IsValid()
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// IDN reports whether the registry's host has an internationalised label,
// which may be drawn like another host.
func (r Reference) IDN() bool {
	for label := range strings.SplitSeq(r.domain, ".") {
		if strings.HasPrefix(label, "xn--") {
			return true
		}
	}
	return false
}

// Local reports whether the registry is this machine by name, so that the
// image's way here is not told by its reference.
func (r Reference) Local() bool {
	host, _, _ := strings.Cut(r.domain, ":")
	return host == "localhost"
}

// CloudAccount is the account or project that owns the registry path, where
// the host's form tells it: the twelve digits of a private Amazon ECR host, or
// the first path part on Google Artifact Registry; else "".
func (r Reference) CloudAccount() string {
	labels := strings.Split(r.domain, ".")
	if len(labels) >= 6 && labels[1] == "dkr" && labels[2] == "ecr" &&
		len(labels[0]) == 12 && strings.Trim(labels[0], "0123456789") == "" &&
		(strings.HasSuffix(r.domain, ".amazonaws.com") || strings.HasSuffix(r.domain, ".amazonaws.com.cn")) {
		return labels[0]
	}
	if strings.HasSuffix(r.domain, "-docker.pkg.dev") || r.domain == "gcr.io" || strings.HasSuffix(r.domain, ".gcr.io") {
		project, _, _ := strings.Cut(r.path, "/")
		return project
	}
	return ""
}

// WithTag is r under another tag and without digest; r must be Named.
func (r Reference) WithTag(tag string) Reference {
	r.digest = Digest{}
	return Parse(r.text(tag))
}

// Prefixes of a marshalled reference whose text alone would not say how to
// read it. A raw text that begins like one of them gets rawScheme.
const (
	shortIDScheme = "docker-short-id:"
	rawScheme     = "raw-reference:"
)

// MarshalText implements encoding.TextMarshaler: the text that UnmarshalText
// turns into an equal Reference.
func (r Reference) MarshalText() ([]byte, error) {
	switch {
	case r.form == ShortID:
		return []byte(shortIDScheme + r.raw), nil
	case strings.HasPrefix(r.raw, shortIDScheme) || strings.HasPrefix(r.raw, rawScheme):
		return []byte(rawScheme + r.raw), nil
	}
	return []byte(r.raw), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. It never fails.
func (r *Reference) UnmarshalText(b []byte) error {
	if rest, ok := strings.CutPrefix(string(b), shortIDScheme); ok {
		*r = ParseDocker(rest)
		return nil
	}
	*r = Parse(strings.TrimPrefix(string(b), rawScheme))
	return nil
}
