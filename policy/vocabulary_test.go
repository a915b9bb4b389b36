package policy

import (
	"errors"
	"strings"
	"testing"
)

// words is a vocabulary of our own: each type once, with and without defaults.
func words() *Vocabulary {
	set := func(name string, t Type, def ...string) Setting {
		return Setting{Name: name, Type: t, Default: def, IsSet: true, Doc: "What " + name + " means."}
	}
	unset := func(name string, t Type) Setting {
		return Setting{Name: name, Type: t, Doc: "What " + name + " means."}
	}
	return &Vocabulary{
		Settings: []Setting{
			unset("registries", Images),
			set("approved_images", Images),
			set("tools", Names, "sh", "curl", "python*"),
			unset("allowed", Destinations),
			set("blocked", Destinations, "198.51.100.0/24", "*.bad.example"),
			set("namespaces_here", Patterns),
			set("ports", Ports, "3333-3336", "4444"),
			set("patience", Duration, "15m"),
			set("weight", Number, "1"),
			set("mutable", Flag, "true"),
			unset("limit", Number),
		},
		Analytics: map[string][]Tunable{
			"AN1": {
				{Setting: set("Tools", Names, "sh", "curl", "python*"), Bound: "tools"},
				{Setting: set("Window", Duration, "5m")},
				{Setting: unset("Extra", Patterns)},
			},
			"AN2": {{Setting: unset("Sources", Images), Bound: "registries"}},
			"AN3": {},
		},
	}
}

// read reads a policy that is meant to be good; the version is put before it.
func read(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := Read(strings.NewReader("version: 1\n"+text), "test.yaml", words())
	if err != nil {
		t.Fatalf("%v\nin:\n%s", err, text)
	}
	return p
}

// faults reads a policy as it stands and gives its faults, one a line, without
// the file's name.
func faults(t testing.TB, text string) string {
	t.Helper()
	p, err := Read(strings.NewReader(text), "f", words())
	if err == nil {
		return ""
	}
	var list Faults
	if !errors.As(err, &list) || len(list) == 0 || p != nil {
		t.Fatalf("Read gives %v and %T: %v", p, err, err)
	}
	return strings.ReplaceAll("\n"+err.Error(), "\nf:", "\n")[1:]
}

// scope gives a scope by name.
func scope(t testing.TB, p *Policy, name string) *Scope {
	t.Helper()
	for _, s := range p.Scopes() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no scope %q among %d", name, len(p.Scopes()))
	return nil
}

// is compares a value with what was written for it, "unset" if nothing was.
func is(t testing.TB, what string, v *Value, want string) {
	t.Helper()
	got := "unset"
	if v.IsSet() {
		got = strings.Join(v.Text(), " ")
	}
	if got != want {
		t.Errorf("%s is %q, want %q", what, got, want)
	}
}
