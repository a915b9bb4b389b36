package scenario_test

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/scenario"
)

const described = "../docs/formats/scenario.md"

// The example in the description of the form is a scenario that holds, in
// every delivery.
func TestTheDescribedExampleHolds(t *testing.T) {
	lib := library(t)
	doc, err := os.ReadFile(described)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(doc, []byte("```scenario\n"))
	text, after, found := bytes.Cut(rest, []byte("```\n"))
	if !found {
		t.Fatal("no example")
	}
	s := read(t, lib, string(text))
	got := s.Render(scenario.Run(lib, s))
	if got != s.Want && *update {
		before, _, _ := bytes.Cut(doc, text)
		if err := os.WriteFile(described, slices.Concat(before, s.Rewrite(got), []byte("```\n"), after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != s.Want {
		t.Errorf("%s", diff.Diff("described", []byte(s.Want), "found", []byte(got)))
	}
	for _, d := range scenario.Grid(lib, s) {
		if fault := d.Fault(); fault != "" {
			t.Error(fault)
		}
	}
}

// The tables of kinds and fields are those of the event package.
func TestTheReferenceNamesEveryField(t *testing.T) {
	doc, err := os.ReadFile(described)
	if err != nil {
		t.Fatal(err)
	}
	const mark = "<!-- What follows is written by: go test ./scenario -run Reference -update -->\n"
	before, have, found := strings.Cut(string(doc), mark)
	if !found {
		t.Fatalf("no line %q", mark)
	}
	want := reference(t)
	if have == want {
		return
	}
	if *update {
		if err := os.WriteFile(described, []byte(before+mark+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("if the change is meant: go test ./scenario -run Reference -update\n%s", diff.Diff(described, []byte(have), "event", []byte(want)))
}

func reference(t *testing.T) string {
	t.Helper()
	says := sentences(t)
	objects := map[string]reflect.Type{}
	var b strings.Builder
	b.WriteString("\n## Kinds\n\n| kind | says | fields |\n|---|---|---|\n")
	for _, body := range event.Bodies() {
		typ := reflect.TypeOf(body).Elem()
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", body.Kind(), says[typ.Name()], fields(t, typ, objects))
	}
	b.WriteString("\n## Objects\n\n| object | is | fields |\n|---|---|---|\n")
	for known := 0; known < len(objects); { // objects hold objects
		known = len(objects)
		for _, typ := range maps.Clone(objects) {
			fields(t, typ, objects)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, says[name], fields(t, objects[name], objects))
	}
	return b.String()
}

// fields lists a type's fields, and collects the objects that they hold.
func fields(t *testing.T, typ reflect.Type, objects map[string]reflect.Type) string {
	t.Helper()
	var out []string
	for i := range typ.NumField() {
		f := typ.Field(i)
		out = append(out, "`"+snake(f.Name)+"` "+word(t, f.Type, objects))
	}
	return strings.Join(out, ", ")
}

// word says what a field holds: its type, or which words it takes.
func word(t *testing.T, typ reflect.Type, objects map[string]reflect.Type) string {
	t.Helper()
	known := map[reflect.Type]string{
		reflect.TypeFor[event.Time](): "time", reflect.TypeFor[image.Reference](): "image", reflect.TypeFor[image.Digest](): "digest",
		reflect.TypeFor[netip.Addr](): "address", reflect.TypeFor[netip.AddrPort](): "address:port",
	}
	if w := known[typ]; w != "" {
		return w
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return word(t, typ.Elem(), objects)
	case reflect.Slice:
		return "[" + word(t, typ.Elem(), objects) + "]"
	case reflect.Map:
		return "{text: " + word(t, typ.Elem(), objects) + "}"
	case reflect.Struct:
		objects[typ.Name()] = typ
		return typ.Name()
	case reflect.Bool:
		return "flag"
	case reflect.Int, reflect.Int64:
		return "number"
	case reflect.Interface:
		return "any"
	}
	if words := constants(t)[typ.Name()]; len(words) > 0 {
		return strings.Join(words, "/")
	}
	return "text"
}

// sentences are the first ones of the comments on package event's types.
func sentences(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../event/*.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE || g.Doc == nil {
				continue
			}
			text := strings.Join(strings.Fields(g.Doc.Text()), " ")
			if end := strings.Index(text, ". "); end >= 0 {
				text = text[:end+1]
			}
			name := g.Specs[0].(*ast.TypeSpec).Name.Name
			for _, begin := range []string{"says that ", "says what ", "says ", "is ", "names ", "ties "} {
				if rest, cut := strings.CutPrefix(text, name+" "+begin); cut {
					text = cmp.Or(map[string]string{"says what ": "what ", "ties ": "ties "}[begin], "") + rest
				}
			}
			out[name] = strings.ReplaceAll(strings.TrimSuffix(text, "."), "|", `\|`)
		}
	}
	return out
}
