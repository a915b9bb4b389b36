package strictyaml_test

import (
	"errors"
	"strings"
	"testing"

	"tidewaiter/strictyaml"
)

type document struct {
	Name  string   `yaml:"name"`
	Parts []string `yaml:"parts"`
	Count int      `yaml:"count"`
}

func TestEveryFaultIsNamedWithItsLine(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"good":              {"name: a\nparts: [b]\n", nil},
		"empty":             {"", nil},
		"only a comment":    {"# nothing\n", nil},
		"unknown keys":      {"name: a\nnmae: b\nprats: []\n", []string{`f.yaml:2: unknown key "nmae"`, `f.yaml:3: unknown key "prats"`}},
		"a key twice":       {"name: a\nname: b\n", []string{`f.yaml:2: key "name" stands twice, first in line 1`}},
		"another type":      {"name: a\ncount: many\n", []string{"f.yaml:2: cannot unmarshal"}},
		"no YAML":           {"name: a\nparts: [b\n", []string{"f.yaml:", "did not find expected"}},
		"a second document": {"name: a\n---\nname: b\n", []string{"f.yaml:2: a second document"}},
		"a bad second one":  {"name: a\n---\n\"\n", []string{"f.yaml:"}},
	} {
		var d document
		err := strictyaml.Decode("f.yaml", []byte(c.text), &d)
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", name, err, w)
			}
		}
		var f *strictyaml.Fault
		if err != nil && (!errors.As(err, &f) || f.File != "f.yaml" || f.Line == 0) {
			t.Errorf("%s: fault %+v", name, f)
		}
	}
}

func TestLineFindsAValue(t *testing.T) {
	text := []byte("hosts:\n  - &a {name: x}\n  - name: y\n    ips: [1,\n      2]\nmore: *a\n")
	for _, c := range []struct {
		line int
		path []any
	}{
		{2, []any{"hosts", 0}},
		{3, []any{"hosts", 1}},
		{5, []any{"hosts", 1, "ips", 1}},
		{2, []any{"more", "name"}},
		{0, []any{"hosts", 2}},
		{0, []any{"hosts", "name"}},
		{0, []any{"nothing"}},
	} {
		if got := strictyaml.Line(text, c.path...); got != c.line {
			t.Errorf("%v: line %d, want %d", c.path, got, c.line)
		}
	}
	if got := strictyaml.Line([]byte("["), "a"); got != 0 {
		t.Errorf("no YAML: line %d", got)
	}
}
