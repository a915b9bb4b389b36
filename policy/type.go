package policy

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gaissmai/bart"
	"golang.org/x/net/idna"

	"tidewaiter/event"
	"tidewaiter/image"
)

// Type is the type of a setting: it says what may stand in the policy file
// and what a detection's condition can ask of the value.
type Type string

// The types of settings.
const (
	// Images is a list of image patterns (image.Pattern).
	Images Type = "images"
	// Releases is a list of published images, "repository:tag@digest": what a
	// tag means by the word of whoever released it.
	Releases Type = "releases"
	// Publishers is a list of "REPOSITORY by IDENTITY": who may publish which
	// repositories. The repository is an image pattern without a digest; in the
	// identity "*" stands for any characters.
	Publishers Type = "publishers"
	// VMImages is a list of images of virtual machines, "KIND:VALUE": by their
	// id, or by what they belong to; never by a name, which anybody can give.
	VMImages Type = "vm-images"
	// Names is a list of program names, matched without letter case and
	// without ".exe"; "*" stands for any characters.
	Names Type = "names"
	// Destinations is a list of networks, addresses, autonomous systems
	// ("AS64500") and domain names; a name "*.example.com" means everything
	// below example.com.
	Destinations Type = "destinations"
	// Patterns is a list of texts in which "*" stands for any characters;
	// letter case counts. For principals, namespaces and paths.
	Patterns Type = "patterns"
	// Ports is a list of port numbers, and ranges "3333-3336".
	Ports Type = "ports"
	// Duration is a length of time such as "15m" or "7d" (ParseDuration).
	Duration Type = "duration"
	// Number is a number.
	Number Type = "number"
	// Flag is true or false.
	Flag Type = "flag"
)

// Types lists every type, for messages and for the JSON Schema.
func Types() []Type {
	return []Type{Images, Releases, Publishers, VMImages, Names, Destinations, Patterns, Ports, Duration, Number, Flag}
}

// IsList reports whether the type's values are lists, which a scope can add to
// with "name+".
func (t Type) IsList() bool {
	return t == Images || t == Releases || t == Publishers || t == VMImages || t == Names || t == Destinations || t == Patterns || t == Ports
}

// article names the type in a message.
func (t Type) article() string {
	switch t {
	case Duration:
		return "a length of time such as 15m or 7d"
	case Number:
		return "a number such as 0.85"
	case Flag:
		return "true or false"
	}
	return "a list of " + string(t)
}

// Value is a setting's value, of one of the types. The zero Value is unset:
// nobody has said anything, which is not the same as an empty list.
type Value struct {
	typ  Type
	text []string // as written, for people and for merging lists

	images []image.Pattern
	// releases are image references with tag and digest.
	releases   []image.Reference
	publishers []publisher
	exact      map[string]bool // patterns and domain names that fit themselves only
	globs      []string        // other patterns
	below      map[string]bool // domain names below which all fit
	nets       *bart.Lite
	systems    []uint32 // numbers
	ports      []portRange
	number     float64
	span       time.Duration
	flag       bool
}

type portRange struct{ low, high uint16 }

// publisher is one entry of a Publishers value.
type publisher struct {
	repositories image.Pattern
	identity     string // pattern
}

// NewValue reads a value from the texts written for it: one text for a plain
// type, any number for a list. It reports every bad entry, by its index.
func NewValue(t Type, texts []string) (*Value, []EntryError) {
	v := &Value{typ: t, text: slices.Clone(texts)}
	if t == Destinations {
		v.nets = new(bart.Lite)
	}
	var faults []EntryError
	for i, s := range texts {
		if err := v.add(s); err != nil {
			faults = append(faults, EntryError{i, err})
		}
	}
	if !t.IsList() && len(texts) != 1 {
		faults = append(faults, EntryError{0, fmt.Errorf("want one %s", t)})
	}
	return v, faults
}

// EntryError is a fault in one entry of a list, counted from 0.
type EntryError struct {
	Index int
	Err   error
}

func (v *Value) add(s string) error {
	if v.typ.IsList() {
		switch {
		case s == "":
			return errors.New("an empty entry fits nothing; remove it")
		case s != strings.TrimSpace(s):
			return fmt.Errorf("%s has blanks around it; remove them", quote(s))
		}
	}
	switch v.typ {
	case Images:
		p, err := image.ParsePattern(s)
		if err != nil {
			return err
		}
		v.images = append(v.images, p)
	case Releases:
		r := image.Parse(s)
		if r.Form() != image.Named || r.TagImplicit() || r.Tag() == "" || r.Digest().IsZero() {
			return fmt.Errorf("%s is no release: write repository:tag@sha256:…, with the digest that was published", quote(s))
		}
		v.releases = append(v.releases, r)
	case Publishers:
		p, err := parsePublisher(s)
		v.publishers = append(v.publishers, p)
		return err
	case VMImages:
		mark, err := parseVMImage(s)
		if err == nil {
			v.addPattern(mark)
		}
		return err
	case Names:
		name := event.ProgramName(s)
		if name == "" {
			return fmt.Errorf("%s names no program", quote(s))
		}
		v.addPattern(name)
	case Patterns:
		v.addPattern(s)
	case Destinations:
		return v.addDestination(s)
	case Ports:
		r, err := parsePorts(s)
		v.ports = append(v.ports, r)
		return err
	case Duration:
		d, err := ParseDuration(s)
		v.span = d
		return err
	case Number:
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || !numberPattern.MatchString(s) {
			return fmt.Errorf("%s is no number such as 2 or 0.85", quote(s))
		}
		v.number = n
	case Flag:
		if s != "true" && s != "false" {
			return fmt.Errorf("%s: want true or false", quote(s))
		}
		v.flag = s == "true"
	default:
		return fmt.Errorf("unknown type %q", v.typ)
	}
	return nil
}

func parsePublisher(s string) (publisher, error) {
	repository, identity, found := strings.Cut(s, " by ")
	identity = strings.TrimSpace(identity)
	if !found || strings.Trim(identity, "*") == "" {
		return publisher{}, fmt.Errorf("%s: write \"registry.example/team/* by ci-builder\", with the identity that the registry tells for its pushes", quote(s))
	}
	p, err := image.ParsePattern(strings.TrimSpace(repository))
	if err != nil {
		return publisher{}, err
	}
	if !p.Digest().IsZero() {
		return publisher{}, fmt.Errorf("%s: leave the digest out; what a publisher pushes has another one each time", quote(s))
	}
	return publisher{p, identity}, nil
}

// vmImageKinds are the ways to name images of virtual machines.
func vmImageKinds() []string {
	return []string{"image", "owner", "project", "publisher", "gallery", "product", "plan"}
}

// parseVMImage reads an entry of a VMImages value in the form in which marks are
// compared.
func parseVMImage(s string) (string, error) {
	kind, value, ok := strings.Cut(s, ":")
	if !ok || !slices.Contains(vmImageKinds(), kind) || strings.Trim(value, "* ") == "" {
		return "", fmt.Errorf("%s: write image:ami-…, owner:123456789012, project:debian-cloud, publisher:Canonical, gallery:NAME, product:CODE or plan:publisher/product/name; a name that whoever made the image chose proves nothing", quote(s))
	}
	if strings.Contains(value, "*") && kind != "image" {
		return "", fmt.Errorf("%s: \"*\" may stand in an image's id only: who starts a name alike can be anybody", quote(s))
	}
	return vmImageMark(kind, value), nil
}

// vmImageMark is what a mark of an image is compared as: clouds compare names of
// accounts, publishers and galleries without regard to case.
func vmImageMark(kind, value string) string { return kind + ":" + strings.ToLower(value) }

// numberPattern fits numbers that every reader of YAML reads alike.
var numberPattern = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

func (v *Value) addDestination(s string) error {
	n, err := parseNetwork(s)
	if err == nil {
		v.nets.Insert(n)
		return nil
	}
	if !errors.Is(err, errNoNetwork) {
		return err
	}
	if number, ours, err := parseSystem(s); ours {
		v.systems = append(v.systems, number)
		return err
	}
	name := domainName(s)
	rest := strings.TrimPrefix(name, "*.")
	switch {
	case isDomain(rest):
		if below, ok := strings.CutPrefix(name, "*."); ok {
			put(&v.below, below)
		} else {
			put(&v.exact, name)
		}
		return nil
	case isDomain(strings.TrimLeft(name, "*.")):
		return fmt.Errorf("%s: write \"*.%s\" for all names below it, without the \"*.\" for itself", quote(s), strings.TrimLeft(name, "*."))
	case strings.Contains(s, "://") || hasMore(name):
		return fmt.Errorf("%s: write the domain name or address alone, without scheme, port and path", quote(s))
	}
	return fmt.Errorf("%s is no network (10.0.0.0/8), address, autonomous system (AS64500) or domain name (\"*.example.com\" for all names below one)", quote(s))
}

// hasMore reports a domain name or an address with a port or a path behind it.
func hasMore(s string) bool {
	i := strings.LastIndexAny(s, ":/")
	if i < 0 {
		return false
	}
	_, err := parseNetwork(strings.Trim(s[:i], "[]"))
	return err == nil || isDomain(s[:i])
}

// isDomain reports whether a name, in the form of domainName, can be asked
// for: labels of letters, digits, hyphens and underscores. The last label is
// no number, so that a mistyped address is no domain.
func isDomain(name string) bool {
	if len(name) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if !domainLabel.MatchString(label) {
			return false
		}
		last = label
	}
	return strings.Trim(last, "0123456789") != ""
}

var domainLabel = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)

// domainName is the form in which domain names are compared: as DNS carries
// them, in lower case and without the root's dot.
func domainName(s string) string {
	s = strings.TrimSuffix(s, ".")
	for i := range len(s) {
		if s[i] >= 0x80 {
			star, rest := "", s
			if below, ok := strings.CutPrefix(s, "*."); ok {
				star, rest = "*.", below
			}
			if ascii, err := idna.Lookup.ToASCII(rest); err == nil {
				return star + ascii
			}
			break
		}
	}
	return strings.ToLower(s)
}

var errNoNetwork = errors.New("no network such as 203.0.113.0/24, and no address")

// parseNetwork reads a network or a single address.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if addr, length, ok := strings.Cut(s, "/"); err != nil && ok {
		if a, bad := netip.ParseAddr(addr); bad == nil && a.Zone() == "" {
			return netip.Prefix{}, fmt.Errorf("%s is no network: %s is no prefix length of 0 to %d", quote(s), quote(length), a.BitLen())
		}
	}
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is %w", quote(s), errNoNetwork)
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("network %s has bits set beyond its length: write %s for the network or %s for the one address", quote(s), p.Masked(), p.Addr())
	}
	return p, nil
}

// parsePorts reads "3333" or "3333-3336". Port 0 is none, and numbers have no
// leading zeros, which other programs would read as octal.
func parsePorts(s string) (portRange, error) {
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	a, errA := strconv.ParseUint(low, 10, 16)
	b, errB := strconv.ParseUint(high, 10, 16)
	if errA != nil || errB != nil || a < 1 || a > b || low[0] == '0' || high[0] == '0' {
		return portRange{}, fmt.Errorf("%s is no port (3333) or range of ports (3333-3336)", quote(s))
	}
	return portRange{uint16(a), uint16(b)}, nil
}

// maxDays is what a duration can hold.
const maxDays = uint64(math.MaxInt64 / (24 * time.Hour))

// ParseDuration reads a length of time in Go's form, optionally after "d" for
// days of 24 hours: "15m", "1h30m", "90d", "1d12h". It must be positive.
func ParseDuration(s string) (time.Duration, error) {
	fault := fmt.Errorf("%s is no length of time: write 15m, 1h30m or 7d", quote(s))
	if !durationPattern.MatchString(s) {
		return 0, fault
	}
	var total time.Duration
	if days, rest, found := strings.Cut(s, "d"); found {
		n, err := strconv.ParseUint(days, 10, 64)
		if err != nil || n > maxDays {
			return 0, fault
		}
		total, s = time.Duration(n)*24*time.Hour, rest
	}
	if s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, fault
		}
		total += d
	}
	if total <= 0 { // also when the sum is too large
		return 0, fault
	}
	return total, nil
}

// durationForm is also in the JSON Schema.
const durationForm = `^([0-9]+d)?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))*$`

var durationPattern = regexp.MustCompile(durationForm)

// Type is the value's type, "" when unset.
func (v *Value) Type() Type { return v.typ }

// IsSet reports whether anybody has set the value, be it to an empty list.
func (v *Value) IsSet() bool { return v.typ != "" }

// Text is the value as written.
func (v *Value) Text() []string { return slices.Clone(v.text) }

// Duration is the value of a Duration, 0 if unset.
func (v *Value) Duration() time.Duration { return v.span }

// Number is the value of a Number, 0 if unset.
func (v *Value) Number() float64 { return v.number }

// Flag is the value of a Flag, false if unset.
func (v *Value) Flag() bool { return v.flag }

// MatchesImage reports whether an Images value allows the reference, given the
// digests known for it.
func (v *Value) MatchesImage(r image.Reference, digests []image.Digest) bool {
	return slices.ContainsFunc(v.images, func(p image.Pattern) bool { return p.Matches(r, digests) })
}

// ApprovesDigest reports whether an Images value names one of the digests.
func (v *Value) ApprovesDigest(digests []image.Digest) bool {
	return slices.ContainsFunc(v.images, func(p image.Pattern) bool {
		return !p.Digest().IsZero() && slices.Contains(digests, p.Digest())
	})
}

// Released reports whether a Releases value has one of the digests.
func (v *Value) Released(digests []image.Digest) bool {
	return slices.ContainsFunc(v.releases, func(r image.Reference) bool { return slices.Contains(digests, r.Digest()) })
}

// Publishes reports whether a Publishers value lets an identity publish a
// repository. Nobody, "", publishes nothing.
func (v *Value) Publishes(repository image.Reference, identity string) bool {
	return identity != "" && slices.ContainsFunc(v.publishers, func(p publisher) bool {
		return p.repositories.Matches(repository, nil) && Glob(p.identity, identity)
	})
}

// Contradicts reports whether a Releases value knows the reference's tag, and
// all of its releases are other images than the one with these digests.
func (v *Value) Contradicts(r image.Reference, digests []image.Digest) bool {
	known := false
	for _, rel := range v.releases {
		if rel.Repository() != r.Repository() || rel.Tag() != r.Tag() {
			continue
		}
		if slices.Contains(digests, rel.Digest()) {
			return false
		}
		known = true
	}
	return known && len(digests) > 0
}

// RegistryHosts are the hosts that an Images value names, sorted, once each.
func (v *Value) RegistryHosts() []string {
	var hosts []string
	for _, p := range v.images {
		hosts = append(hosts, p.Domain())
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// MatchesName reports whether a Names value holds the program.
func (v *Value) MatchesName(program string) bool {
	return v.MatchesPattern(event.ProgramName(program))
}

// MatchesVMImage reports whether a VMImages value has an image of virtual
// machines with such a mark: its id ("image"), or whose it is ("owner",
// "project", "publisher", "gallery", "product", "plan").
func (v *Value) MatchesVMImage(kind, value string) bool {
	return value != "" && v.MatchesPattern(vmImageMark(kind, value))
}

// MatchesPattern reports whether a Patterns or Names value fits the text.
func (v *Value) MatchesPattern(s string) bool {
	return v.exact[s] || slices.ContainsFunc(v.globs, func(g string) bool { return Glob(g, s) })
}

// Concerns reports whether a Patterns value names anybody of a principal's kind: an
// ARN, an account by an address with an @, or else; or anybody at all, with a star
// in front. A list of AWS's roles says nothing of who may do what in another cloud.
func (v *Value) Concerns(principal string) bool {
	return principal != "" && slices.ContainsFunc(v.text, func(s string) bool {
		return strings.HasPrefix(s, "*") || principalKind(s) == principalKind(principal)
	})
}

func principalKind(s string) string {
	switch {
	case strings.HasPrefix(s, "arn:"):
		return "arn"
	case strings.Contains(s, "@"):
		return "account"
	}
	return ""
}

func (v *Value) addPattern(s string) {
	if !isExact(s) {
		v.globs = append(v.globs, s)
		return
	}
	put(&v.exact, s)
}

func put(set *map[string]bool, s string) {
	if *set == nil {
		*set = map[string]bool{}
	}
	(*set)[s] = true
}

// MatchesAddr reports whether a Destinations value holds the address, or the
// IPv4 address that it stands for.
func (v *Value) MatchesAddr(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return v.nets != nil && a.IsValid() && (v.nets.Contains(a) || v.nets.Contains(native(a)))
}

// MatchesSystem reports whether a Destinations value names the autonomous
// system; an unknown one, 0, is never named.
func (v *Value) MatchesSystem(number uint32) bool {
	return number != 0 && slices.Contains(v.systems, number)
}

// MatchesDomain reports whether a Destinations value holds the domain name.
func (v *Value) MatchesDomain(name string) bool {
	name = domainName(name)
	if v.exact[name] {
		return true
	}
	for below := len(v.below) > 0; below; {
		if _, name, below = strings.Cut(name, "."); v.below[name] {
			return true
		}
	}
	return false
}

// MatchesPort reports whether a Ports value holds the port.
func (v *Value) MatchesPort(port int) bool {
	return slices.ContainsFunc(v.ports, func(r portRange) bool {
		return port >= int(r.low) && port <= int(r.high)
	})
}

// Equal reports whether two values were written alike.
func (v *Value) Equal(o *Value) bool { return v.typ == o.typ && slices.Equal(v.text, o.text) }

// Compare orders values by what was written, for listings.
func (v *Value) Compare(o *Value) int {
	return cmp.Or(cmp.Compare(v.typ, o.typ), slices.Compare(v.text, o.text))
}
