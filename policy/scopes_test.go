package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLinks pins faults between scopes.
func TestLinks(t *testing.T) {
	const version = "version: 1\nscopes:\n"
	for name, c := range map[string]struct{ text, want string }{
		"an unknown parent":         {version + "  prod: {match: {}}\n  dev: {match: {}, inherits: prd}\n", "4:30: scopes.dev.inherits: no scope is called \"prd\"; did you mean \"prod\"?"},
		"a parent misspelt":         {version + "  prod: {}\n  dev: {match: {}, inherits: prd}\n", "4:30: scopes.dev.inherits: no scope is called \"prd\"; did you mean \"prod\"?"},
		"an unknown parent, alone":  {version + "  dev: {match: {}, inherits: 'zzzzzz'}\n", "3:30: scopes.dev.inherits: no scope is called \"zzzzzz\"; want dev"},
		"a parent that is none":     {version + "  a: {match: {}, inherits: }\n", "3:28: scopes.a.inherits: no scope is called \"\""},
		"several parents":           {version + "  a: {match: {}, inherits: [b]}\n  b: {match: {}}\n", "3:28: scopes.a.inherits: no scope is called \"\""},
		"a parent called nothing":   {version + "  a: {match: {}, inherits: ~}\n  \"~\": {match: {}}\n", "3:28: scopes.a.inherits: no scope is called \"~\""},
		"itself":                    {version + "  a: {match: {}, inherits: a}\n", "3:28: scopes.a.inherits: inherits from itself: \"a → a\""},
		"a circle of three":         {version + "  a: {match: {}, inherits: b}\n  b: {inherits: c}\n  c: {inherits: a}\n  d: {match: {}, inherits: a}\n", "3:28: scopes.a.inherits: inherits from itself: \"a → b → c → a\""},
		"a way into a circle":       {version + "  d: {match: {}, inherits: b}\n  a: {inherits: c}\n  b: {inherits: a}\n  c: {inherits: b}\n", "5:17: scopes.b.inherits: inherits from itself: \"b → a → c → b\""},
		"two circles":               {version + "  a: {inherits: b}\n  b: {inherits: a}\n  c: {inherits: d}\n  d: {inherits: c}\n", "3:17: scopes.a.inherits: inherits from itself: \"a → b → a\"\n5:17: scopes.c.inherits: inherits from itself: \"c → d → c\""},
		"an unknown default":        {"version: 1\ndefault_scope: prd\nscopes: {prod: {match: {}}}\n", "2:16: default_scope: no scope is called \"prd\"; did you mean \"prod\"?"},
		"a default without scopes":  {"version: 1\ndefault_scope: prod\n", "2:16: default_scope: no scope is called \"prod\"\n"},
		"no default":                {"version: 1\ndefault_scope:\n", "2:15: default_scope: no scope is called \"\"\n"},
		"a scope nothing uses":      {version + "  a: {weight: 2}\n", "3:3: scopes.a: nothing uses this scope: give it a match"},
		"an empty scope":            {version + "  a:\n", "3:3: scopes.a: nothing uses this scope"},
		"ties by an exact name":     {version + "  a: {match: {hosts: [x, h1]}}\n  b: {match: {hosts: [h1]}}\n", "4:23: scopes.b.match.hosts[0]: \"h1\" and scope \"a\"'s \"h1\" can fit the same name with equal right"},
		"ties by one pattern":       {version + "  a: {match: {hosts: \"h*\"}}\n  b: {match: {hosts: \"h*\"}}\n", "4:22: scopes.b.match.hosts: \"h*\" and scope \"a\"'s \"h*\""},
		"ties by patterns":          {version + "  docker: {match: {hosts: [\"docker-*\"]}}\n  seven: {match: {hosts: [a, \"*-7\"]}}\n", "4:30: scopes.seven.match.hosts[1]: \"*-7\" and scope \"docker\"'s \"docker-*\""},
		"ties in each class":        {version + "  a: {match: {nodes: [n], clusters: [\"c*\"], accounts: [\"1\"], namespaces: [p]}}\n  b: {match: {nodes: [n], clusters: [\"*c\"], accounts: [\"1\"], namespaces: [p]}}\n", "4:23: scopes.b.match.nodes[0]: \"n\" and\n4:38: scopes.b.match.clusters[0]: \"*c\" and\n4:56: scopes.b.match.accounts[0]: \"1\" and\n4:75: scopes.b.match.namespaces[0]: \"p\" and"},
		"ties of heirs":             {version + "  p: {}\n  a: {inherits: p, match: {hosts: [x]}}\n  b: {inherits: p, match: {hosts: [x]}}\n", "5:36: scopes.b.match.hosts[0]: \"x\" and scope \"a\"'s \"x\""},
		"ties told once a pattern":  {version + "  a: {match: {hosts: [x]}}\n  b: {match: {hosts: [x]}}\n  c: {match: {hosts: [x]}}\n", "4:23: scopes.b.match.hosts[0]: \"x\" and scope \"a\"'s\n5:23: scopes.c.match.hosts[0]: \"x\" and scope \"a\"'s"},
		"ties and a bad value":      {version + "  a: {match: {hosts: [x]}, weight: w}\n  b: {match: {hosts: [x]}}\n", "3:36: scopes.a.weight: \"w\" is no number\n4:23: scopes.b.match.hosts[0]: \"x\" and"},
		"an heir does not tie":      {version + "  a: {match: {hosts: [x, \"h*\"]}}\n  b: {inherits: a, match: {hosts: [x, \"*7\"]}}\n  c: {inherits: b, match: {hosts: [x, \"h*7\"]}}\n", ""},
		"exact does not tie":        {version + "  a: {match: {hosts: [\"h*\"]}}\n  b: {match: {hosts: [h1]}}\n", ""},
		"patterns that never meet":  {version + "  a: {match: {hosts: [\"docker-*-x\"]}}\n  b: {match: {hosts: [\"build-*-7\", \"*-y\"]}}\n", ""},
		"classes do not tie":        {version + "  a: {match: {hosts: [x]}}\n  b: {match: {nodes: [x]}}\n", ""},
		"twice in one scope":        {version + "  a: {match: {hosts: [x, x, \"x*\", \"*x\"]}}\n", ""},
		"a scope that others use":   {version + "  a: {weight: 2}\n  b: {inherits: a, match: {hosts: [x]}}\n", ""},
		"a scope that is default":   {"version: 1\ndefault_scope: a\nscopes: {a: {}}\n", ""},
		"a scope that claims none":  {version + "  a: {match: {hosts: []}}\n", ""},
		"a default that inherits":   {"version: 1\ndefault_scope: b\nscopes: {a: , b: {inherits: a}}\n", ""},
		"names that look like YAML": {"version: 1\ndefault_scope: 1.10\nscopes: {1.10: , true: {inherits: 1.10, match: {}}}\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := faults(t, c.text)
			if c.want == "" {
				if got != "" {
					t.Errorf("got faults:\n%s", got)
				}
				return
			}
			sameFaults(t, got, c.want)
		})
	}
}

// TestFor pins which scope applies.
func TestFor(t *testing.T) {
	p := read(t, `default_scope: rest
scopes:
  rest: {}
  by-account: {match: {accounts: [acc, "ac*"]}}
  by-cluster: {match: {clusters: ["c*"]}}
  by-cluster-exact: {match: {clusters: [clu]}}
  by-node: {match: {nodes: [nod]}}
  by-node-pattern: {match: {nodes: ["n*"]}}
  by-host: {match: {hosts: [hos]}}
  by-host-pattern: {match: {hosts: ["h*"]}}
  by-namespace: {match: {namespaces: [nam]}}
  by-namespace-pattern: {match: {namespaces: ["na*"], hosts: [elsewhere]}}
  a-grandparent: {match: {namespaces: [shared, "team-*"]}}
  c-parent: {inherits: a-grandparent, match: {namespaces: [shared]}}
  b-child: {inherits: c-parent, match: {namespaces: [shared, "team-*"]}}
  d-cousin: {inherits: a-grandparent, match: {namespaces: [other]}}
`)
	for _, c := range []struct {
		why  string
		a    Attributes
		want string
	}{
		{"nothing is known", Attributes{}, "rest"},
		{"nothing matches", Attributes{Namespace: "x", Host: "x", Node: "x", Cluster: "x", Account: "x"}, "rest"},
		{"account", Attributes{Account: "acc"}, "by-account"},
		{"account by pattern", Attributes{Account: "acid"}, "by-account"},
		{"cluster beats account", Attributes{Account: "acc", Cluster: "cx"}, "by-cluster"},
		{"exact beats pattern", Attributes{Cluster: "clu"}, "by-cluster-exact"},
		{"node beats cluster", Attributes{Cluster: "clu", Node: "nx"}, "by-node-pattern"},
		{"exact node", Attributes{Cluster: "clu", Node: "nod"}, "by-node"},
		{"host beats node", Attributes{Node: "nod", Host: "hx"}, "by-host-pattern"},
		{"exact host", Attributes{Node: "nod", Host: "hos"}, "by-host"},
		{"namespace beats host", Attributes{Host: "hos", Namespace: "nax"}, "by-namespace-pattern"},
		{"exact namespace", Attributes{Host: "hos", Namespace: "nam"}, "by-namespace"},
		{"another of a scope's ways", Attributes{Host: "elsewhere"}, "by-namespace-pattern"},
		{"the last heir wins", Attributes{Namespace: "shared"}, "b-child"},
		{"the last heir wins by pattern", Attributes{Namespace: "team-a"}, "b-child"},
		{"a cousin is another branch", Attributes{Namespace: "other"}, "d-cousin"},
		{"letter case counts", Attributes{Host: "HOS"}, "rest"},
		{"a star in a name is no exact match", Attributes{Host: "h*"}, "by-host-pattern"},
	} {
		if got := p.For(c.a).Name; got != c.want {
			t.Errorf("%s: %+v is in %q, want %q", c.why, c.a, got, c.want)
		}
	}
	everywhere := read(t, "settings: {weight: 3}\nscopes: {a: {match: {hosts: [h]}}}\n")
	if s := everywhere.For(Attributes{Host: "x"}); s.Name != "" || s.Setting("", "weight").Number() != 3 {
		t.Errorf("without a default scope, settings hold for the rest: %q", s.Name)
	}
	var names []string
	for _, s := range p.Scopes() {
		names = append(names, s.Name)
	}
	if !slices.IsSorted(names) || len(names) != 14 {
		t.Errorf("scopes are not listed by name: %q", names)
	}
}

// TestForNeverTies draws policies at random and checks that one that loads
// gives one scope to each name: of the scopes that fit best, one inherits from
// all others. One that does not load has a name that shows why.
func TestForNeverTies(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	patterns := []string{"a", "ab", "b", "a*", "*b", "a*b", "*", "*a*", "b*"}
	var texts []string
	over("ab", 4, func(s string) { texts = append(texts, s) })
	good, bad := 0, 0
	for range 3000 {
		var b strings.Builder
		for i := range 2 + rng.IntN(3) {
			fmt.Fprintf(&b, "  s%d:\n    match: {namespaces: [%q], hosts: [%q]}\n", i, patterns[rng.IntN(len(patterns))], patterns[rng.IntN(len(patterns))])
			if i > 0 && rng.IntN(2) == 0 {
				fmt.Fprintf(&b, "    inherits: s%d\n", rng.IntN(i))
			}
		}
		text := "version: 1\nscopes:\n" + b.String()
		l := &loader{vocabulary: words(), policy: Empty(words()), scopes: map[string]*Scope{}, at: map[*Scope]*places{}, claims: map[string][]claim{}}
		l.document(l.parse([]byte(text)))
		if tied := tiedName(l.policy, texts); tied != (len(l.faults) > 0) {
			t.Fatalf("a name shows a tie: %t, but the faults are %v in\n%s", tied, l.faults, text)
		}
		if len(l.faults) == 0 {
			good++
		} else {
			bad++
		}
	}
	if good < 100 || bad < 100 {
		t.Errorf("%d good policies and %d bad ones prove little", good, bad)
	}
}

// tiedName reports whether some name, as namespace or as host, is claimed by
// two scopes of the same best rank of which neither inherits from the other.
func tiedName(p *Policy, names []string) bool {
	for _, name := range names {
		for _, a := range []Attributes{{Namespace: name}, {Host: name}} {
			for _, exact := range []bool{true, false} {
				if tiedFor(p, a, exact) {
					return true
				}
			}
		}
	}
	return false
}

func tiedFor(p *Policy, a Attributes, exact bool) bool {
	claims := func(patterns []string, value string) bool {
		return value != "" && slices.ContainsFunc(patterns, func(g string) bool { return fits(g, value) && !strings.Contains(g, "*") == exact })
	}
	var fit []*Scope
	for _, s := range p.scopes {
		if claims(s.Match.Namespaces, a.Namespace) || claims(s.Match.Hosts, a.Host) {
			fit = append(fit, s)
		}
	}
	for i, s := range fit {
		for _, o := range fit[i+1:] {
			if !s.inheritsFrom(o) && !o.inheritsFrom(s) {
				return true
			}
		}
	}
	return false
}

// TestInheritance pins where a value comes from.
func TestInheritance(t *testing.T) {
	p := read(t, `settings:
  weight: 2
  allowed: [10.0.0.0/8]
  blocked+: [evil.example]
  namespaces_here+: [everywhere]
scopes:
  base:
    registries: [a.example/*]
    tools+: [nc]
    weight: 3
  mid:
    inherits: base
    registries+: [b.example/*]
    tools+: socat
    allowed+: ["*.c.example"]
    mutable: false
    approved_images+: ["x.example/y@sha256:`+strings.Repeat("0", 64)+`"]
  leaf:
    inherits: mid
    match: {hosts: [leaf]}
    registries+: [c.example/*, a.example/*]
    tools: [perl]
    ports+: [80]
  after:
    inherits: leaf
    match: {hosts: [after]}
    tools+: [ruby]
    blocked: []
    registries+: []
  other: {match: {hosts: [other]}, registries+: [z.example/*]}
`)
	for _, c := range []struct{ scope, setting, want string }{
		{"base", "registries", "a.example/*"},
		{"base", "tools", "sh curl python* nc"},
		{"base", "weight", "3"},
		{"base", "mutable", "true"},
		{"base", "limit", "unset"},
		{"mid", "registries", "a.example/* b.example/*"},
		{"mid", "tools", "sh curl python* nc socat"},
		{"mid", "allowed", "10.0.0.0/8 *.c.example"},
		{"mid", "mutable", "false"},
		{"mid", "approved_images", "x.example/y@sha256:" + strings.Repeat("0", 64)},
		{"leaf", "registries", "a.example/* b.example/* c.example/* a.example/*"},
		{"leaf", "tools", "perl"},
		{"leaf", "ports", "3333-3336 4444 80"},
		{"leaf", "weight", "3"},
		{"leaf", "mutable", "false"},
		{"after", "tools", "perl ruby"},
		{"after", "registries", "a.example/* b.example/* c.example/* a.example/*"},
		{"after", "blocked", ""},
		{"after", "namespaces_here", "everywhere"},
		{"other", "registries", "z.example/*"},
		{"other", "weight", "2"},
		{"other", "blocked", "198.51.100.0/24 *.bad.example evil.example"},
		{"other", "no-such-setting", "unset"},
		{"other", "", "unset"},
	} {
		is(t, c.scope+"'s "+c.setting, scope(t, p, c.scope).Setting("", c.setting), c.want)
	}
	added := scope(t, p, "leaf").Setting("", "ports")
	if !added.MatchesPort(80) || !added.MatchesPort(3335) || added.MatchesPort(81) {
		t.Error("a list that was added to does not hold both parts")
	}
	empty := Empty(words()).For(Attributes{Host: "leaf"})
	is(t, "the empty policy's tools", empty.Setting("AN1", "tools"), "sh curl python*")
	is(t, "the empty policy's registries", empty.Setting("AN1", "registries"), "unset")
}

// TestInheritanceTakesAnyOrder pins that an heir may stand before its parent.
func TestInheritanceTakesAnyOrder(t *testing.T) {
	p := read(t, "scopes:\n  c: {inherits: b, match: {}, tools+: [c]}\n  b: {inherits: a, tools+: [b]}\n  a: {tools+: [a]}\n")
	is(t, "c's tools", scope(t, p, "c").Setting("", "tools"), "sh curl python* a b c")
	is(t, "a's tools", scope(t, p, "a").Setting("", "tools"), "sh curl python* a")
}

// TestTunables pins that a tunable overrides a shared setting for its analytic
// only, and from its scope downwards.
func TestTunables(t *testing.T) {
	p := read(t, `settings:
  tools: [all]
  AN2: {Sources: [site.example/*]}
  AN1:
scopes:
  top:
    match: {hosts: [top]}
    AN1: {Tools: [mine], Window: 1h, Extra: "e*"}
  below:
    inherits: top
    match: {hosts: [below]}
    tools+: [below]
    registries: [below.example/*]
  last:
    inherits: below
    match: {hosts: [last]}
    AN1: {Window: 2h, Tools: []}
  aside: {match: {hosts: [aside]}, AN2: {}, AN3: {}}
`)
	for _, c := range []struct{ scope, analytic, setting, want string }{
		{"top", "AN1", "tools", "mine"},
		{"top", "AN2", "tools", "all"},
		{"top", "", "tools", "all"},
		{"below", "AN1", "tools", "mine"}, // the analytic's own word holds before the scope's
		{"below", "AN2", "tools", "all below"},
		{"last", "AN1", "tools", ""},
		{"last", "AN2", "tools", "all below"},
		{"aside", "AN1", "tools", "all"},
		{"aside", "AN2", "registries", "site.example/*"},
		{"below", "AN2", "registries", "site.example/*"},
		{"below", "AN1", "registries", "below.example/*"},
		{"aside", "AN9", "tools", "all"},
		{"top", "AN1", "", "unset"},
		{"top", "AN1", "Window", "unset"},
	} {
		is(t, c.scope+"'s "+c.setting+" for "+c.analytic, scope(t, p, c.scope).Setting(c.analytic, c.setting), c.want)
	}
	for _, c := range []struct{ scope, analytic, tunable, want string }{
		{"top", "AN1", "Tools", "mine"},
		{"top", "AN1", "Window", "1h"},
		{"top", "AN1", "Extra", "e*"},
		{"below", "AN1", "Window", "1h"},
		{"last", "AN1", "Window", "2h"},
		{"last", "AN1", "Extra", "e*"},
		{"aside", "AN1", "Window", "5m"},
		{"aside", "AN1", "Extra", "unset"},
		{"aside", "AN1", "Tools", "all"},
		{"below", "AN2", "Sources", "site.example/*"},
		{"aside", "AN1", "tools", "unset"},
		{"aside", "AN1", "Sources", "unset"},
		{"aside", "AN9", "Window", "unset"},
	} {
		is(t, c.scope+"'s tunable "+c.tunable+" of "+c.analytic, scope(t, p, c.scope).Tunable(c.analytic, c.tunable), c.want)
	}
	if got := scope(t, p, "last").Tunable("AN1", "Window").Duration(); got != 2*time.Hour {
		t.Errorf("Window is %s", got)
	}
}

// A policy speaks where a scope applies, or where it has settings outside
// scopes; defaults are nobody's words.
func TestSays(t *testing.T) {
	for text, want := range map[string]bool{
		"learning: 2h\n": false,
		"learning: 1h\n": false,
		"settings: {}\n": false,
		"settings: {registries: [registry.example/*]}\n":    true,
		"scopes: {a: {match: {hosts: [elsewhere]}}}\n":      false,
		"scopes: {a: {match: {hosts: [web]}}}\n":            true,
		"default_scope: a\nscopes: {a: {mutable: false}}\n": true,
	} {
		p := read(t, text)
		if got := p.Says(p.For(Attributes{Host: "web"})); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}
