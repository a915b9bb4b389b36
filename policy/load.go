package policy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds on what a policy file can hold. They are far beyond what a site
// needs, and keep a hostile or broken file from taking all time and memory.
const (
	maxPolicy = 4 << 20 // bytes
	maxNodes  = 1 << 20 // values, with what aliases and "name+" unfold to
	maxClaims = 1 << 13 // patterns in the matches of all scopes
	maxDepth  = 32      // scopes that inherit from each other in a row
	maxFaults = 1000    // faults that are told one by one
)

// Load reads and checks a policy file. All faults are reported at once, as
// Faults. A database that it names is read too.
func Load(path string, v *Vocabulary) (*Policy, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	defer f.Close()
	return Read(f, path, v)
}

// Read is Load from a reader; name is used in messages, and paths in the policy
// count from its folder.
func Read(r io.Reader, name string, v *Vocabulary) (*Policy, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPolicy+1))
	if err != nil {
		return nil, fmt.Errorf("read policy %s: %w", name, err)
	}
	if len(data) > maxPolicy {
		return nil, Faults{{File: name, Line: 1, Column: 1, Err: fmt.Errorf("file is larger than %d bytes", maxPolicy)}}
	}
	l := &loader{file: name, vocabulary: v, policy: Empty(v), scopes: map[string]*Scope{}, at: map[*Scope]*places{}, claims: map[string][]claim{}}
	l.policy.Name = name
	if n := l.parse(data); n != nil {
		l.document(n)
	}
	if len(l.faults) > 0 {
		l.faults.sort()
		if l.untold > 0 {
			last := l.faults[len(l.faults)-1]
			l.faults = append(l.faults, Fault{name, last.Line, last.Column, "", fmt.Errorf("and %d faults more", l.untold)})
		}
		return nil, l.faults
	}
	return l.policy, nil
}

// loader turns one file into a policy.
type loader struct {
	file       string
	vocabulary *Vocabulary
	policy     *Policy
	faults     Faults
	untold     int // faults beyond maxFaults
	top        *yaml.Node
	nodes      int
	scopes     map[string]*Scope  // by name
	at         map[*Scope]*places // of each scope
	claims     map[string][]claim // by what the scope is chosen by
	// systems are the entries that name an autonomous system, and databaseSaid
	// whether the file says where to look such up, be it wrongly.
	systems      []entry
	databaseSaid bool
}

func (l *loader) fault(n *yaml.Node, key string, format string, args ...any) {
	if len(l.faults) == maxFaults {
		l.untold++
		return
	}
	l.faults = append(l.faults, Fault{l.file, n.Line, n.Column, key, fmt.Errorf(format, args...)})
}

// parse gives the file's one document, nil after a fault.
func (l *loader) parse(data []byte) *yaml.Node {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		doc.Line, doc.Column = 1, 1
		l.fault(&doc, "", "the file holds no policy; it begins with \"version: 1\"")
		return nil
	}
	if err == nil {
		if err = dec.Decode(&more); err == nil {
			l.fault(&more, "", "a second document; write one policy per file")
			return nil
		}
	}
	if !errors.Is(err, io.EOF) {
		line, reason := syntaxError(data, err)
		l.fault(&yaml.Node{Line: line, Column: 1}, "", "no valid YAML: %s", reason)
		return nil
	}
	return doc.Content[0]
}

// document reads the top level.
func (l *loader) document(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		l.fault(n, "", "a policy is a mapping (key: value) that begins with \"version: 1\"")
		return
	}
	l.top = n
	root := l.policy.fallback
	versioned := false
	var fallback *yaml.Node
	l.mapping(n, "", func(key string, at, val *yaml.Node) {
		switch key {
		case "version":
			versioned = true
			if val.Value != "1" || val.Tag != "!!int" {
				l.fault(val, key, "this program reads version 1; write 1")
			}
		case "learning":
			l.policy.Learning = l.value(val, key, Duration).Duration()
		case "addresses":
			l.addresses(val)
		case "asn_database":
			l.database(val)
		case "first_seen":
			l.readFirstSeen(val)
		case "mirrors":
			l.readMirrors(val)
		case "lateness":
			l.readLateness(val)
		case "default_scope":
			fallback = val
		case "settings":
			l.policy.settings = len(val.Content) > 0
			l.scopeBody(root, val, key)
		case "scopes":
			l.mapping(val, key, l.scope)
		default:
			l.fault(at, join("", key), "unknown key%s", l.hint(key, topKeys()))
		}
	})
	if !versioned {
		l.fault(n, "version", "missing; write \"version: 1\"")
	}
	if !l.full() { // of half a file nothing can be said
		l.needDatabase()
		l.link(root, fallback)
	}
}

func topKeys() []string {
	return []string{"version", "learning", "addresses", "asn_database", "first_seen", "lateness", "mirrors", "default_scope", "settings", "scopes"}
}

func matchKeys() []string {
	var keys []string
	for _, c := range (Match{}).classes(Attributes{}) {
		keys = append(keys, c.name)
	}
	return keys
}

// mapping walks the pairs of a mapping, reporting keys that stand twice. A
// mapping of nothing ("scopes:") is an empty one.
func (l *loader) mapping(n *yaml.Node, path string, f func(key string, at, val *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		if n.Tag != "!!null" {
			l.fault(n, path, "want a mapping (key: value)")
		}
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content) && !l.full(); i += 2 {
		at := n.Content[i]
		k, v := l.resolve(at), l.resolve(n.Content[i+1])
		line, twice := seen[k.Value]
		switch {
		case k.Kind != yaml.ScalarNode:
			l.fault(at, path, "want a plain word as key")
		case k.Tag == "!!merge":
			l.fault(at, join(path, k.Value), "merging is not read; a scope takes over another's settings with \"inherits\"")
		case twice:
			l.fault(at, join(path, k.Value), "key stands twice, first in line %d; the later one would win in silence", line)
		default:
			seen[k.Value] = at.Line
			f(k.Value, at, v)
		}
	}
}

// resolve follows an alias and counts, so that aliases cannot unfold without
// bound.
func (l *loader) resolve(n *yaml.Node) *yaml.Node {
	l.count(n, "", 1)
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// count adds to the values read and made, and tells when they become too many.
func (l *loader) count(n *yaml.Node, path string, values int) {
	before := l.nodes
	if l.nodes += values; before < maxNodes && l.full() {
		l.fault(n, path, "more than %d values; aliases and inherited lists count with each use", maxNodes)
	}
}

// full reports that there is no point in reading on.
func (l *loader) full() bool { return l.nodes >= maxNodes }

// addresses reads what counts as public and what does not.
func (l *loader) addresses(n *yaml.Node) {
	l.mapping(n, "addresses", func(key string, at, val *yaml.Node) {
		if key != "internal" && key != "public" {
			l.fault(at, join("addresses", key), "unknown key%s", suggestion(key, []string{"internal", "public"}))
			return
		}
		public := key == "public"
		for _, e := range l.list(val, join("addresses", key)) {
			p, err := parseNetwork(e.node.Value)
			if err != nil {
				l.fault(e.node, e.path, "%w", err)
				continue
			}
			if other, said := l.policy.addresses.Get(p); said && other != public {
				l.fault(e.node, e.path, "%s is listed both as internal and as public", p)
			}
			l.policy.addresses.Insert(p, public)
		}
	})
}

// scope reads one entry of scopes.
func (l *loader) scope(name string, at, n *yaml.Node) {
	if name == "" || at.Tag == "!!null" {
		l.fault(at, "scopes", "a scope needs a name")
		return
	}
	s := newScope(name, l.vocabulary)
	l.scopes[name] = s
	l.policy.scopes = append(l.policy.scopes, s)
	l.at[s] = &places{name: at}
	l.scopeBody(s, n, join("scopes", name))
}

// scopeBody reads the keys of a scope, or of the root's settings.
func (l *loader) scopeBody(s *Scope, n *yaml.Node, path string) {
	said := map[string]bool{}
	l.mapping(n, path, func(k string, at, val *yaml.Node) {
		name, adds := strings.CutSuffix(k, "+")
		d, known := l.vocabulary.setting(name)
		_, isAnalytic := l.vocabulary.Analytics[k]
		switch {
		case k == "match" && s.Name != "":
			l.at[s].match = val
			l.match(s, val, join(path, k))
		case k == "inherits" && s.Name != "":
			l.at[s].inherits = val
		case known && adds && !d.Type.IsList():
			l.fault(at, join(path, k), "only a list can be added to; this is %s", d.Type.article())
		case known && said[name]:
			l.fault(at, join(path, k), "%q and %q together; write the whole list under the first, or what is added to the inherited list under the second", name, name+"+")
		case known:
			said[name] = true
			s.settings[k] = l.value(val, join(path, k), d.Type) // link works out the "+"
		case isAnalytic:
			l.analytic(s, k, val, join(path, k))
		default:
			l.fault(at, join(path, k), "unknown key%s", l.hint(k, l.bodyKeys(s)))
		}
	})
}

// analytic reads the tunables of one analytic.
func (l *loader) analytic(s *Scope, id string, n *yaml.Node, path string) {
	tunables := map[string]*Value{}
	s.tunables[id] = tunables
	l.mapping(n, path, func(k string, at, val *yaml.Node) {
		if t, ok := l.vocabulary.tunable(id, k); ok {
			tunables[k] = l.value(val, join(path, k), t.Type)
			return
		}
		if t, ok := l.vocabulary.tunable(id, strings.TrimSuffix(k, "+")); ok {
			l.fault(at, join(path, k), "a tunable can not be added to; write the whole list under %q", t.Name)
			return
		}
		var names []string
		for _, t := range l.vocabulary.Analytics[id] {
			if t.Bound == k {
				l.fault(at, join(path, k), "%s calls this %q", id, t.Name)
				return
			}
			names = append(names, t.Name)
		}
		l.fault(at, join(path, k), "%s has no such tunable%s", id, suggestion(k, names))
	})
}

// match reads what a scope claims.
func (l *loader) match(s *Scope, n *yaml.Node, path string) {
	l.mapping(n, path, func(k string, at, val *yaml.Node) {
		into := map[string]*[]string{
			"namespaces": &s.Match.Namespaces, "hosts": &s.Match.Hosts, "nodes": &s.Match.Nodes,
			"tags": &s.Match.Tags, "subnets": &s.Match.Subnets, "clusters": &s.Match.Clusters, "accounts": &s.Match.Accounts,
		}[k]
		if into == nil {
			l.fault(at, join(path, k), "unknown key%s", suggestion(k, matchKeys()))
			return
		}
		entries := l.list(val, join(path, k))
		*into = l.values(entries, Patterns).Text()
		for _, e := range entries {
			l.claims[k] = append(l.claims[k], claim{s, e})
		}
	})
}

// entry is a plain value of a list.
type entry struct {
	node *yaml.Node
	path string
}

// list gives the plain values of a list; a lone value is a list of one.
func (l *loader) list(n *yaml.Node, path string) []entry {
	if isPlain(n) {
		return []entry{{n, path}}
	}
	if n.Kind != yaml.SequenceNode {
		l.fault(n, path, "want a list; [] is an empty one")
		return nil
	}
	var out []entry
	for i, e := range n.Content {
		v := l.resolve(e)
		switch at := fmt.Sprintf("%s[%d]", path, i); {
		case l.full():
			return nil
		case isPlain(v):
			out = append(out, entry{v, at})
		default:
			l.fault(e, at, "want a plain value")
		}
	}
	return out
}

func isPlain(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag != "!!null" }

// value reads a setting's value.
func (l *loader) value(n *yaml.Node, path string, t Type) *Value {
	switch {
	case t.IsList():
		return l.values(l.list(n, path), t)
	case isPlain(n):
		return l.values([]entry{{n, path}}, t)
	}
	l.fault(n, path, "want %s", t.article())
	return new(Value)
}

// values reads entries and reports each bad one where it stands.
func (l *loader) values(entries []entry, t Type) *Value {
	texts := make([]string, len(entries))
	bad := make([]error, len(entries))
	for i, e := range entries {
		texts[i] = e.node.Value
	}
	v, faults := NewValue(t, texts)
	for _, f := range faults {
		bad[f.Index] = f.Err
	}
	for i, e := range entries {
		if err := cmp.Or(checkTag(e.node, t), bad[i]); err != nil {
			l.fault(e.node, e.path, "%w", err)
		}
		if _, isSystem, err := parseSystem(e.node.Value); t == Destinations && isSystem && err == nil {
			l.systems = append(l.systems, e)
		}
	}
	return v
}

// checkTag wants an entry to be for YAML what it is for us, so that the file
// means the same to every program: an unquoted 1.10 is the number 1.1 to most.
func checkTag(n *yaml.Node, t Type) error {
	switch {
	case t == Ports || t == Duration:
		return nil // what is none of these is seen by its text
	case t.IsList() && n.Tag != "!!str":
		return fmt.Errorf("%s is no text to YAML; write it in quotes", quote(n.Value))
	case !t.IsList() && n.Tag == "!!str" && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		return fmt.Errorf("%s in quotes is text; want %s", quote(n.Value), t.article())
	}
	return nil
}

// bodyKeys are the keys that a scope, or settings, can have.
func (l *loader) bodyKeys(s *Scope) []string {
	var keys []string
	for _, d := range l.vocabulary.Settings {
		keys = append(keys, d.Name)
	}
	for id := range l.vocabulary.Analytics {
		keys = append(keys, id)
	}
	if s.Name != "" {
		keys = append(keys, "match", "inherits")
	}
	return keys
}

// hint says where a key belongs that stands in the wrong place, or else what
// it may have been meant to be.
func (l *loader) hint(key string, known []string) string {
	bare := strings.TrimSuffix(key, "+")
	_, isSetting := l.vocabulary.setting(bare)
	_, isAnalytic := l.vocabulary.Analytics[bare]
	switch {
	case isSetting, isAnalytic:
		return "; it belongs below \"settings\" or a scope"
	case slices.Contains(matchKeys(), key):
		return "; it belongs below \"match\" of a scope"
	case slices.Contains(topKeys(), key):
		return "; it belongs at the top of the file"
	case key == "match" || key == "inherits":
		return "; it belongs below a scope"
	}
	var ids []string
	for id := range l.vocabulary.Analytics {
		if _, ok := l.vocabulary.tunable(id, bare); ok {
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		slices.Sort(ids)
		return "; it belongs below " + anyOf(ids)
	}
	return cmp.Or(suggestion(bare, known), `; "tidewaiter policy init" writes every key that there is`)
}

var (
	yamlLine    = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	yamlUnknown = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	yamlFrom0   = regexp.MustCompile(`^did not find expected (key|'-' indicator|',' or|node content|<)`)
)

const starNeedsQuotes = "; a text that begins with \"*\" or \"&\" needs quotes"

// syntaxError digs the line and the reason out of an error of the YAML
// library, which tells them in its text only, and not always right.
func syntaxError(data []byte, err error) (line int, reason string) {
	text := err.Error()
	m := yamlLine.FindStringSubmatch(text)
	if m == nil {
		return 1, text
	}
	reason = text[len(m[0]):]
	line, _ = strconv.Atoi(m[1])
	switch u := yamlUnknown.FindStringSubmatch(reason); {
	case u != nil:
		return lineAt(data, bytes.Index(data, []byte("*"+u[1]))), reason + starNeedsQuotes
	case strings.HasSuffix(reason, "alphabetic or numeric character"):
		reason += starNeedsQuotes
	case m[1] == "" && (strings.Contains(reason, "UTF-8") || strings.Contains(reason, "control characters")):
		return lineAt(data, bytes.IndexFunc(data, func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) && !unicode.IsSpace(r) })), reason
	case yamlFrom0.MatchString(reason):
		line++
	}
	return max(line, 1), reason
}

// lineAt is the line of an offset, 1 if there is none.
func lineAt(data []byte, offset int) int { return bytes.Count(data[:max(offset, 0)], []byte("\n")) + 1 }
