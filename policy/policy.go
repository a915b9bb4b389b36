// Package policy holds what a site says about itself: which registries,
// destinations and principals it trusts, in which scope, and how it tunes the
// analytics, under the names that MITRE gives the tunable elements.
//
// In: one YAML file and the vocabulary of settings that the detections
// declare. Out: for each subject the one Scope that applies to it, whose
// values the detections ask. A policy is a plain value; reading it again makes
// another.
package policy

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"tidewaiter/event"
	"tidewaiter/image"

	"github.com/gaissmai/bart"
)

// Setting declares something that a scope can set.
type Setting struct {
	Name    string
	Type    Type
	Default []string
	// IsSet is set when the declaration states a default; without one the
	// value is unset until a policy says something.
	IsSet bool
	Doc   string
}

// Tunable is one of an analytic's mutable elements, by MITRE's name. It either
// stands for a shared setting, which a policy can override for this analytic
// alone, or declares a value of its own.
type Tunable struct {
	// Setting has the tunable's own name and meaning. If it is bound, type and
	// default are the shared setting's.
	Setting
	// Bound is the name of the shared setting that this tunable overrides, or
	// "" for a value of its own.
	Bound string
}

// Vocabulary is every name that a policy may use.
type Vocabulary struct {
	Settings []Setting
	// Analytics are the tunables by analytic id.
	Analytics map[string][]Tunable
}

// setting finds a shared setting.
func (v *Vocabulary) setting(name string) (Setting, bool) {
	i := slices.IndexFunc(v.Settings, func(s Setting) bool { return s.Name == name })
	if i < 0 {
		return Setting{}, false
	}
	return v.Settings[i], true
}

// tunable finds an analytic's tunable.
func (v *Vocabulary) tunable(analytic, name string) (Tunable, bool) {
	ts := v.Analytics[analytic]
	i := slices.IndexFunc(ts, func(t Tunable) bool { return t.Name == name })
	if i < 0 {
		return Tunable{}, false
	}
	return ts[i], true
}

// Policy is a site's policy, read and checked. Make one with Load or Empty.
type Policy struct {
	// Name is the file it was read from, "" for none.
	Name string
	// Learning is for how long facts of a kind must have been known before its
	// "never seen" counts; 7 days unless set.
	Learning time.Duration

	scopes   []*Scope // sorted by name
	fallback *Scope
	settings bool // the root has settings of its own, beside the defaults
	// addresses says of networks whether they count as public, where that
	// differs from reserved. The longest match decides.
	addresses *bart.Table[bool]
	systems   *systems // nil if the policy names no database
	lateness  map[event.Source]time.Duration
	grain     grain
	mirrors   image.Mirrors
}

// DefaultLearning is the learning period when a policy states none.
const DefaultLearning = 7 * 24 * time.Hour

// Empty is the policy of a site that has said nothing: every setting has its
// default, nothing is approved.
func Empty(v *Vocabulary) *Policy {
	return &Policy{Learning: DefaultLearning, fallback: newRoot(v), addresses: new(bart.Table[bool]), mirrors: image.KnownMirrors()}
}

// Scopes lists the scopes by name.
func (p *Policy) Scopes() []*Scope { return slices.Clone(p.scopes) }

// Says reports whether the policy says anything in a scope: the root, which
// applies where no scope does, may hold nothing but defaults.
func (p *Policy) Says(s *Scope) bool { return s.Name != "" || p.settings }

// TrustsSomewhere reports whether some scope lists an image, by name or digest,
// among those that it trusts: which matters where nobody knows the scope.
func (p *Policy) TrustsSomewhere(r image.Reference, digests []image.Digest) bool {
	if up, ok := p.Upstream(r); ok && p.TrustsSomewhere(up, digests) {
		return true
	}
	return slices.ContainsFunc(append(p.Scopes(), p.fallback), func(s *Scope) bool {
		for at := s; at != nil; at = at.parent {
			for _, v := range at.settings {
				if v.typ == Images && (v.MatchesImage(r, digests) || v.ApprovesDigest(digests)) {
					return true
				}
			}
		}
		return false
	})
}

// Attributes are what scopes are chosen by. Empty fields are unknown and match
// nothing.
type Attributes struct {
	Namespace string
	Host      string
	// Node is the host's name if it is a Kubernetes node, else "".
	Node    string
	Cluster string
	Account string
	// Tags ("env=prod") and Subnets are a virtual machine's.
	Tags, Subnets []string
}

// Match says what a scope claims: anything that fits one of its patterns.
type Match struct {
	Namespaces, Hosts, Nodes, Tags, Subnets, Clusters, Accounts []string
}

// Scope is a part of a site with its own settings.
type Scope struct {
	// Name is "" for the root, from which every scope inherits in the end.
	Name     string
	Match    Match
	parent   *Scope // what it inherits from, nil for the root
	settings map[string]*Value
	tunables map[string]map[string]*Value // by analytic, then by tunable
	// defaults are the declared values of tunables, in the root; nil elsewhere.
	defaults map[string]map[string]*Value

	vocabulary *Vocabulary
}

func newScope(name string, v *Vocabulary) *Scope {
	return &Scope{Name: name, vocabulary: v, settings: map[string]*Value{}, tunables: map[string]map[string]*Value{}}
}

// newRoot makes the scope that holds the declared defaults. A bad default is a
// fault of the detections, found when those are loaded.
func newRoot(v *Vocabulary) *Scope {
	root := newScope("", v)
	for _, d := range v.Settings {
		if d.IsSet {
			root.settings[d.Name], _ = NewValue(d.Type, d.Default)
		}
	}
	root.defaults = map[string]map[string]*Value{}
	for id, tunables := range v.Analytics {
		root.defaults[id] = map[string]*Value{}
		for _, t := range tunables {
			if t.IsSet {
				root.defaults[id][t.Name], _ = NewValue(t.Type, t.Default)
			}
		}
	}
	return root
}

// For gives the scope that applies: a match by namespace beats one by host,
// that one by node, by a virtual machine's tag, by its subnet, by cluster, by account; an exact name beats a pattern; an
// heir beats its ancestor. If nothing matches it is the default scope.
func (p *Policy) For(a Attributes) *Scope {
	var best *Scope
	var bestRank int
	for _, s := range p.scopes {
		rank := s.Match.rank(a)
		if rank == 0 {
			continue
		}
		if best == nil || rank > bestRank || (rank == bestRank && s.inheritsFrom(best)) {
			best, bestRank = s, rank
		}
	}
	return cmp.Or(best, p.fallback)
}

// rank is how closely m fits a, 0 for not at all.
func (m Match) rank(a Attributes) int {
	best := 0
	classes := m.classes(a)
	for i, c := range classes {
		for _, pattern := range c.patterns {
			if !slices.ContainsFunc(c.values, func(v string) bool { return v != "" && Glob(pattern, v) }) {
				continue
			}
			rank := (len(classes) - i) * 2
			if isExact(pattern) {
				rank++
			}
			best = max(best, rank)
		}
	}
	return best
}

// class is one way in which a scope can claim something.
type class struct {
	name     string
	patterns []string
	values   []string
}

// classes lists the ways, the strongest first.
func (m Match) classes(a Attributes) [7]class {
	return [7]class{
		{"namespaces", m.Namespaces, []string{a.Namespace}},
		{"hosts", m.Hosts, []string{a.Host}},
		{"nodes", m.Nodes, []string{a.Node}},
		{"tags", m.Tags, a.Tags},
		{"subnets", m.Subnets, a.Subnets},
		{"clusters", m.Clusters, []string{a.Cluster}},
		{"accounts", m.Accounts, []string{a.Account}},
	}
}

func (s *Scope) inheritsFrom(o *Scope) bool {
	for p := s.parent; p != nil; p = p.parent {
		if p == o {
			return true
		}
	}
	return false
}

// Setting is the value of a shared setting for an analytic in this scope: the
// analytic's own tunable if one is bound to it and set, else the setting, each
// looked for in this scope and then in what it inherits from, else the
// declared default. An undeclared name gives an unset value.
func (s *Scope) Setting(analytic, name string) *Value {
	for _, t := range s.vocabulary.Analytics[analytic] {
		if t.Bound == "" || t.Bound != name {
			continue
		}
		if v, ok := s.tunable(analytic, t.Name); ok {
			return v
		}
	}
	for at := s; at != nil; at = at.parent {
		if v, ok := at.settings[name]; ok {
			return v
		}
	}
	return new(Value)
}

// Overrides reports whether an analytic has tunables of its own in this scope,
// or in what it inherits from.
func (s *Scope) Overrides(analytic string) bool {
	for at := s; at != nil; at = at.parent {
		if len(at.tunables[analytic]) > 0 {
			return true
		}
	}
	return false
}

// Tunable is the value of an analytic's own tunable, or of the setting that it
// stands for.
func (s *Scope) Tunable(analytic, name string) *Value {
	t, ok := s.vocabulary.tunable(analytic, name)
	switch {
	case !ok:
		return new(Value)
	case t.Bound != "":
		return s.Setting(analytic, t.Bound)
	}
	if v, ok := s.tunable(analytic, name); ok {
		return v
	}
	if !t.IsSet {
		return new(Value)
	}
	root := s
	for root.parent != nil {
		root = root.parent
	}
	return root.defaults[analytic][name]
}

// tunable is what the policy says of a tunable, here or in an ancestor.
func (s *Scope) tunable(analytic, name string) (*Value, bool) {
	for at := s; at != nil; at = at.parent {
		if v, ok := at.tunables[analytic][name]; ok {
			return v, true
		}
	}
	return nil, false
}

// reserved are the networks that are not reachable from elsewhere, by IANA's
// registries of special-purpose addresses and of multicast. Documentation
// ranges (RFC 5737, RFC 3849, RFC 9637) are not among them: a packet to one
// leaves the site like any other, and calling them private would make every
// test that uses them pass in silence.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),      // this network, RFC 791
	netip.MustParsePrefix("10.0.0.0/8"),     // private, RFC 1918
	netip.MustParsePrefix("100.64.0.0/10"),  // shared, RFC 6598
	netip.MustParsePrefix("127.0.0.0/8"),    // loopback, RFC 1122
	netip.MustParsePrefix("169.254.0.0/16"), // link-local, RFC 3927
	netip.MustParsePrefix("172.16.0.0/12"),  // private, RFC 1918
	netip.MustParsePrefix("192.0.0.0/24"),   // protocol assignments, RFC 6890
	netip.MustParsePrefix("192.168.0.0/16"), // private, RFC 1918
	netip.MustParsePrefix("198.18.0.0/15"),  // benchmarks, RFC 2544
	netip.MustParsePrefix("224.0.0.0/3"),    // multicast, RFC 1112, and reserved, RFC 1112
	netip.MustParsePrefix("::/128"),         // unspecified, RFC 4291
	netip.MustParsePrefix("::1/128"),        // loopback, RFC 4291
	netip.MustParsePrefix("64:ff9b:1::/48"), // local translation, RFC 8215
	netip.MustParsePrefix("100::/64"),       // discard, RFC 6666
	netip.MustParsePrefix("5f00::/16"),      // segment routing, RFC 9602
	netip.MustParsePrefix("fc00::/7"),       // unique local, RFC 4193
	netip.MustParsePrefix("fe80::/10"),      // link-local, RFC 4291
	netip.MustParsePrefix("fec0::/10"),      // site-local, RFC 3879
	netip.MustParsePrefix("ff00::/8"),       // multicast, RFC 4291
}

// IsPublic reports whether an address counts as public: reachable outside the
// site. That is every address that is not reserved, unless the policy's
// addresses say otherwise. An IPv4 address in IPv6 clothes (mapped, or
// translated by RFC 6052) is judged as what it is.
func (p *Policy) IsPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return false
	}
	for _, form := range []netip.Addr{a, native(a)} {
		if public, said := p.addresses.Lookup(form); said {
			return public
		}
	}
	a = native(a)
	return !slices.ContainsFunc(reserved, func(n netip.Prefix) bool { return n.Contains(a) })
}

// translated is the prefix under which networks with IPv6 alone reach IPv4
// addresses, RFC 6052.
var translated = netip.MustParsePrefix("64:ff9b::/96")

// native is the IPv4 address that an address stands for, or else itself.
func native(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if translated.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}
