// Package tidewaiter holds no code: its test executes the rules of STYLE.md
// over the whole module.
//
// In: the source tree. Out: a failing test for every broken rule.
package tidewaiter

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Limits of STYLE.md.
const (
	maxFunctionLines    = 70
	maxFileLines        = 700
	maxTestFileLines    = 1000
	maxInterfaceMethods = 5
	maxParameters       = 4 // of exported functions, after a context
	maxOwnParameters    = 6 // of the others
)

var update = flag.Bool("update", false, "rewrite docs/dependencies.txt")

// rooms says which packages of the module each package may import. A package
// that is not listed here is a new room: add it, with what it may see.
var rooms = map[string][]string{
	"image":             {},
	"event":             {"image"},
	"strictyaml":        {},
	"source":            {"event", "image", "source/jsonrecord", "strictyaml"},
	"source/jsonrecord": {},
	"source/logrus":     {"event", "source/jsonrecord"},
	"source/envelope":   {"event", "source", "source/jsonrecord"},
	"source/actor":      {"event", "source", "source/jsonrecord"},
	"source/sourcetest": {"event", "image", "source"},
	"source/*":          {"event", "image", "source", "source/actor", "source/envelope", "source/jsonrecord", "source/logrus"},
	"stream":            {"event"},
	"command":           {"event"},
	"evidence":          {"event", "image", "command"},
	"entity":            {"event", "image", "evidence", "command"},
	"baseline":          {},
	"policy":            {"event", "image"},
	"analytic":          {"event", "image", "command", "evidence", "baseline", "policy", "strictyaml"},
	"detections":        {},
	"finding":           {"event", "image", "evidence", "analytic"},
	"partition":         {"event", "image", "evidence", "entity", "baseline", "policy", "analytic", "finding"},
	"journal":           {"sensor"},
	"state":             {},
	"daemon":            {"event", "source", "source/note", "stream", "sensor", "journal", "state", "entity", "policy", "analytic", "partition", "finding", "sink"},
	"api":               {"daemon"},
	"coverage":          {"event", "evidence", "analytic"},
	"drill":             {"event", "evidence", "analytic", "finding"},
	"sensor":            {"event"},
	"sensor/*":          {"event", "sensor"},
	"sink":              {"finding"},
	"sink/*":            {"event", "evidence", "analytic", "finding", "visible", "sink", "sink/secret", "sink/ocsf", "sink/post", "sink/ecs"},
	"sink/secret":       {"visible"},
	"sink/ocsf":         {"sink", "finding"},
	"sink/ecs":          {"sink", "sink/ocsf", "finding"},
	"sink/sinktest":     {"sink", "finding"},
	"sink/configured": {"analytic", "strictyaml", "sink", "sink/secret", "sink/ocsf", "sink/post", "sink/webhook", "sink/syslog", "sink/otlp",
		"sink/elastic", "sink/splunk", "sink/chat", "sink/falcosidekick", "sink/kafka", "sink/file"},
	"visible":                {},
	"posture":                {"image", "policy", "command"},
	"posture/document":       {"posture", "image", "event", "source"},
	"posture/host":           {"posture", "posture/document"},
	"posture/layers":         {"posture", "image"},
	"posture/provenance":     {"posture", "image", "strictyaml"},
	"posture/provenancetest": {},
	"posture/print":          {"posture", "sink/text", "visible"},
	"app":                    {"*"},
	"scenario":               {"*"},
	"cmd/*":                  {"*"},
	"traffic":                {},
	"e2e":                    {"*"},
	"":                       {},
}

// clocks may read the wall clock: the rim, where the world is met.
var clocks = []string{"app", "cmd/", "source/", "sink/", "sensor/", "journal", "state", "daemon", "drill"}

var bannedNames = []string{"util", "utils", "common", "types", "helpers", "base", "manager", "engine", "v1"}

type file struct {
	path, pkg string
	test      bool
	ast       *ast.File
	src       []byte
}

func load(t *testing.T) (*token.FileSet, []file) {
	t.Helper()
	fset := token.NewFileSet()
	var files []file
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(fset, path, src, parser.ParseComments)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		if pkg == "." {
			pkg = ""
		}
		files = append(files, file{path, pkg, strings.HasSuffix(path, "_test.go"), parsed, src})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d files found: the test runs in the wrong place", len(files))
	}
	return fset, files
}

func TestStyle(t *testing.T) {
	fset, files := load(t)
	for _, f := range files {
		if out, err := format.Source(f.src); err != nil || !bytes.Equal(out, f.src) {
			t.Errorf("%s: not formatted by gofmt", f.path)
		}
		limit := maxFileLines
		if f.test {
			limit = maxTestFileLines
		}
		if n := bytes.Count(f.src, []byte{'\n'}); n > limit {
			t.Errorf("%s: %d lines, the limit is %d", f.path, n, limit)
		}
		if slices.Contains(bannedNames, f.ast.Name.Name) {
			t.Errorf("%s: package name %q says nothing", f.path, f.ast.Name.Name)
		}
		checkDeclarations(t, fset, f)
	}
}

func checkDeclarations(t *testing.T, fset *token.FileSet, f file) {
	at := func(n ast.Node) string { return fset.Position(n.Pos()).String() }
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			checkFunction(t, fset, f, n)
		case *ast.InterfaceType:
			if n.Methods.NumFields() > maxInterfaceMethods {
				t.Errorf("%s: interface of %d methods, the limit is %d", at(n), n.Methods.NumFields(), maxInterfaceMethods)
			}
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && id.Name == "time" && n.Sel.Name == "Now" && !f.test &&
				!slices.ContainsFunc(clocks, func(p string) bool { return f.pkg == p || strings.HasPrefix(f.pkg+"/", p) && strings.HasSuffix(p, "/") }) {
				t.Errorf("%s: the wall clock is read only at the rim", at(n))
			}
		}
		return true
	})
	if !f.test {
		checkDocs(t, fset, f)
	}
}

func checkFunction(t *testing.T, fset *token.FileSet, f file, n *ast.FuncDecl) {
	at := fset.Position(n.Pos())
	if n.Recv == nil && n.Name.Name == "init" {
		t.Errorf("%s: init() runs where nobody reads it", at)
	}
	if f.test {
		return
	}
	if lines := fset.Position(n.End()).Line - at.Line + 1; lines > maxFunctionLines {
		t.Errorf("%s: %s has %d lines, the limit is %d", at, n.Name.Name, lines, maxFunctionLines)
	}
	params, limit := n.Type.Params.NumFields(), maxOwnParameters
	if n.Name.IsExported() {
		limit = maxParameters
	}
	if params > limit {
		t.Errorf("%s: %s takes %d parameters, the limit is %d", at, n.Name.Name, params, limit)
	}
}

// checkDocs wants a comment on every exported declaration.
func checkDocs(t *testing.T, fset *token.FileSet, f file) {
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
				t.Errorf("%s: %s has no comment", fset.Position(d.Pos()), d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				name, doc := specDoc(spec)
				if name != "" && doc == nil && d.Doc == nil {
					t.Errorf("%s: %s has no comment", fset.Position(spec.Pos()), name)
				}
			}
		}
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

func specDoc(spec ast.Spec) (name string, doc *ast.CommentGroup) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() {
			return s.Name.Name, s.Doc
		}
	case *ast.ValueSpec:
		if s.Names[0].IsExported() {
			if s.Doc == nil {
				return s.Names[0].Name, s.Comment
			}
			return s.Names[0].Name, s.Doc
		}
	}
	return "", nil
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	_, files := load(t)
	docs := map[string]string{}
	for _, f := range files {
		if _, known := docs[f.pkg]; !known && !f.test {
			docs[f.pkg] = ""
		}
		if f.ast.Doc != nil {
			docs[f.pkg] += f.ast.Doc.Text()
		}
	}
	for pkg, doc := range docs {
		if !strings.HasPrefix(doc, "Package ") && !strings.HasPrefix(doc, "Command ") {
			t.Errorf("package %q: no comment that says what it is", pkg)
		}
		if !strings.Contains(doc, "In:") || !strings.Contains(doc, "Out:") {
			t.Errorf("package %q: its comment does not say what comes in and what goes out", pkg)
		}
	}
}

func TestImportDirections(t *testing.T) {
	_, files := load(t)
	for _, f := range files {
		room := f.pkg
		allowed, known := rooms[room]
		if !known {
			room = filepath.ToSlash(filepath.Dir(f.pkg)) + "/*"
			allowed, known = rooms[room]
		}
		if !known {
			t.Errorf("%s: package %q is in no room; say in tidy_test.go what it may import", f.path, f.pkg)
			continue
		}
		if f.test || slices.Contains(allowed, "*") {
			continue // tests may put rooms together
		}
		for _, imp := range f.ast.Imports {
			path := strings.Trim(imp.Path.Value, `"`)
			rel, own := strings.CutPrefix(path, "tidewaiter/")
			if own && !slices.Contains(allowed, rel) {
				t.Errorf("%s: %q may not import %q", f.path, f.pkg, rel)
			}
		}
	}
}

// TestNothingIsGlobal: package variables are tables, errors and patterns that
// nobody writes to.
func TestNothingIsGlobal(t *testing.T) {
	fset, files := load(t)
	vars := map[string]map[string]bool{}
	for _, f := range files {
		if f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				embedded := g.Doc != nil && strings.Contains(rawText(g.Doc), "go:embed")
				if len(v.Values) == 0 && !embedded {
					t.Errorf("%s: a package variable without a value is there to be written to", fset.Position(v.Pos()))
				}
				for _, n := range v.Names {
					if vars[f.pkg] == nil {
						vars[f.pkg] = map[string]bool{}
					}
					vars[f.pkg][n.Name] = true
				}
			}
		}
	}
	for _, f := range files {
		if f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			for _, target := range written(n) {
				if id := rootOf(target); id != nil && vars[f.pkg][id.Name] && id.Obj != nil && id.Obj.Kind == ast.Var && isPackageLevel(f.ast, id) {
					t.Errorf("%s: package variable %s is written to", fset.Position(n.Pos()), id.Name)
				}
			}
			return true
		})
	}
}

func rawText(g *ast.CommentGroup) string {
	var b strings.Builder
	for _, c := range g.List {
		b.WriteString(c.Text)
	}
	return b.String()
}

// written lists what a statement writes to.
func written(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	}
	return nil
}

func rootOf(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		default:
			return nil
		}
	}
}

func isPackageLevel(f *ast.File, id *ast.Ident) bool {
	spec, ok := id.Obj.Decl.(*ast.ValueSpec)
	if !ok {
		return false
	}
	return slices.ContainsFunc(f.Decls, func(d ast.Decl) bool {
		g, ok := d.(*ast.GenDecl)
		return ok && slices.ContainsFunc(g.Specs, func(s ast.Spec) bool { return s == spec })
	})
}

// TestDocumentsNameWhatExists: a path in back quotes in a document, and a test
// that it names, must be there.
func TestDocumentsNameWhatExists(t *testing.T) {
	quoted := regexp.MustCompile("`([a-z_][A-Za-z0-9_./-]*(?:/|\\.(?:go|md|yaml|json|txt)))`")
	tests := testNames(t)
	named := regexp.MustCompile(`\bTest[A-Z]\w+`)
	var docs []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, found...)
	}
	for _, doc := range docs {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range named.FindAllString(string(text), -1) {
			if !tests[name] {
				t.Errorf("%s names the test %s, which does not exist", doc, name)
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(m[1]); err != nil && !slices.Contains(userFiles, m[1]) {
				t.Errorf("%s names %s, which does not exist", doc, m[1])
			}
		}
	}
}

// testNames lists the names of all test functions.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			names[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// userFiles are names in documents that users make themselves.
var userFiles = []string{"policy.yaml", "inputs.yaml", "my_detection.yaml"}

// TestDependenciesAreListed shows in review when the binary grows.
func TestDependenciesAreListed(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./cmd/tidewaiter").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	mods := map[string]bool{}
	for m := range strings.FieldsSeq(string(out)) {
		mods[m] = true
	}
	got := strings.Join(slices.Sorted(maps.Keys(mods)), "\n") + "\n"
	const list = "docs/dependencies.txt"
	if *update {
		if err := os.WriteFile(list, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the binary's modules are not those of %s; if the change is meant, run go test . -run Dependencies -update\n%s", list, diff(string(want), got))
	}
}

func diff(want, got string) string {
	w, g := strings.Fields(want), strings.Fields(got)
	var b strings.Builder
	for _, m := range w {
		if !slices.Contains(g, m) {
			fmt.Fprintln(&b, "gone:", m)
		}
	}
	for _, m := range g {
		if !slices.Contains(w, m) {
			fmt.Fprintln(&b, "new: ", m)
		}
	}
	return b.String()
}
