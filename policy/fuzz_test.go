package policy

import (
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/image"
)

// FuzzRead: no text makes Read panic. A text that is refused is
// told where and why, in lines; a policy that loads gives every scope every
// value, of its declared type.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"", "version: 1\n", "# c", "---\n", "version: 1\n---\n", Example(words()),
		"version: 1\nscopes: {a: {match: {hosts: [\"h*\"]}, tools+: [x], AN1: {Window: 1d, Tools: []}}}\ndefault_scope: a\n",
		"version: 1\nscopes:\n  a: &a {match: {}, registries: [a.example/*]}\n  b: *a\n  c: {inherits: a, registries+: b.example/*, match: {nodes: n}}\n",
		"version: 1\naddresses: {internal: [203.0.113.0/24], public: ['fd00::/8']}\nlearning: 1d12h\nsettings: {ports: [1-2, 3], mutable: false, weight: 0.5, allowed: ['*.a.example', 10.0.0.0/8], limit: 3}\n",
		"version: 1\nscopes: {a: {inherits: b}, b: {inherits: a}}\n", "version: 1\nsettings: {<<: {}, ? [] : 1, tools: [~, [], {}]}\n",
		"{version: 1, scopes: {a: {match: {namespaces: [x]}}, b: {match: {namespaces: [x]}}}}",
		"version: 1\nasn_database: nowhere.mmdb\nsettings: {allowed: [AS64500, as0, AS1.10, as64500., aS4294967295], blocked: [as9]}\n",
		"version: 1\nasn_database: \"" + exampleDatabase(f) + "\"\nsettings: {allowed: [AS64500, 10.0.0.0/8], blocked+: &b [AS64501]}\nscopes: {a: {match: {hosts: h}, blocked+: *b}}\n",
		"version: 1\nasn_database: [/dev/zero]\nasn_database: .\n", "version: 1\nasn_database: fuzz_test.go\n", "version: 1\nsettings: {allowed: [AS64500]}\n",
	} {
		f.Add(s)
	}
	v := words()
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Read(strings.NewReader(text), "f", v)
		if err != nil {
			checkTold(t, err, strings.Count(text, "\n")+strings.Count(text, "\r")+strings.Count(text, "\u2028")+strings.Count(text, "\u2029")+strings.Count(text, "\u0085")+2)
			return
		}
		checkUsable(t, p, v)
	})
}

func checkTold(t *testing.T, err error, lines int) {
	t.Helper()
	list, ok := err.(Faults)
	if !ok || len(list) == 0 {
		t.Fatalf("refused without a fault: %v", err)
	}
	for i, f := range list {
		if f.File != "f" || f.Line < 1 || f.Line > lines || f.Column < 1 || f.Err == nil || strings.ContainsAny(f.Key+f.Err.Error(), "\n\r\x1b\x00") {
			t.Fatalf("fault %d of %d: %q at %d:%d in %d lines", i, len(list), f, f.Line, f.Column, lines)
		}
		if i > 0 && f.Line < list[i-1].Line {
			t.Fatalf("faults are not in order: %v", err)
		}
	}
}

func checkUsable(t *testing.T, p *Policy, v *Vocabulary) {
	t.Helper()
	if p.Learning <= 0 {
		t.Fatalf("learning takes %s", p.Learning)
	}
	addr := netip.MustParseAddr("203.0.113.9")
	p.IsPublic(addr)
	p.System(addr)
	p.SystemsSource()
	for _, s := range append(p.Scopes(), p.For(Attributes{}), p.For(Attributes{"n", "h", "h", "c", "a", []string{"t=v"}, []string{"s"}})) {
		for _, d := range v.Settings {
			checkValue(t, s.Setting("AN1", d.Name), d, addr)
		}
		for id, tunables := range v.Analytics {
			for _, d := range tunables {
				checkValue(t, s.Tunable(id, d.Name), d.Setting, addr)
			}
		}
		for name := range s.settings {
			if strings.HasSuffix(name, "+") {
				t.Fatalf("scope %q: %q was not worked out", s.Name, name)
			}
		}
	}
}

func checkValue(t *testing.T, v *Value, d Setting, addr netip.Addr) {
	t.Helper()
	if v.IsSet() && v.Type() != d.Type || d.IsSet && d.Type != Images && !v.IsSet() {
		t.Fatalf("%s is %+v, declared as %s", d.Name, v, d.Type)
	}
	if d.Type == Duration && v.IsSet() && v.Duration() <= 0 {
		t.Fatalf("%s is %s", d.Name, v.Duration())
	}
	v.MatchesAddr(addr)
	v.MatchesDomain("www.bücher.example")
	v.MatchesImage(image.Parse("nginx"), nil)
	v.MatchesPort(80)
	v.RegistryHosts()
	for _, text := range v.Text() {
		switch d.Type {
		case Patterns:
			if !v.MatchesPattern(text) {
				t.Fatalf("%s: %q does not fit itself", d.Name, text)
			}
		case Names:
			if !v.MatchesName(text) {
				t.Fatalf("%s: %q does not fit itself", d.Name, text)
			}
		case Destinations:
			checkDestination(t, v, text)
		}
	}
}

func checkDestination(t *testing.T, v *Value, text string) {
	t.Helper()
	if p, err := netip.ParsePrefix(text); err == nil {
		if !v.MatchesAddr(p.Addr()) {
			t.Fatalf("%q does not hold its first address", text)
		}
		return
	}
	if a, err := netip.ParseAddr(text); err == nil {
		if !v.MatchesAddr(a) {
			t.Fatalf("%q does not hold itself", text)
		}
		return
	}
	if number, ours, err := parseSystem(text); ours {
		if err != nil || !v.MatchesSystem(number) {
			t.Fatalf("%q does not hold itself", text)
		}
		return
	}
	if !v.MatchesDomain(strings.ReplaceAll(text, "*.", "www.")) {
		t.Fatalf("%q does not hold its own name", text)
	}
}
