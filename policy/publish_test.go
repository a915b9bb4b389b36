package policy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"tidewaiter/analytic"
	"tidewaiter/detections"
	"tidewaiter/policy"
)

var update = flag.Bool("update", false, "rewrite docs/formats/policy.md and policy.schema.json")

const (
	schemaFile    = "../docs/formats/policy.schema.json"
	referenceFile = "../docs/formats/policy.md"
)

// builtIn is the vocabulary of the built-in detections.
func builtIn(t testing.TB) *policy.Vocabulary {
	t.Helper()
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	return lib.Vocabulary()
}

// TestSchemaIsPublished pins that the published schema is of this vocabulary.
func TestSchemaIsPublished(t *testing.T) {
	want, err := policy.Schema(builtIn(t))
	if err != nil {
		t.Fatal(err)
	}
	published(t, schemaFile, func([]byte) []byte { return want })
}

// TestReferenceIsPublished pins that the second part of the published
// reference, behind the comment, is of this vocabulary.
func TestReferenceIsPublished(t *testing.T) {
	mark := regexp.MustCompile(`(?m)^<!-- .* -->\n`)
	reference := policy.Reference(builtIn(t))
	published(t, referenceFile, func(is []byte) []byte {
		at := mark.FindIndex(is)
		if at == nil {
			t.Fatalf("%s has no line %s", referenceFile, mark)
		}
		return append(bytes.Clone(is[:at[1]]), "\n"+reference...)
	})
}

// published compares a file with what it should be, or makes it so.
func published(t *testing.T, file string, should func(is []byte) []byte) {
	t.Helper()
	is, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	want := should(is)
	if bytes.Equal(is, want) {
		return
	}
	if !*update {
		t.Fatalf("%s is stale; run go test ./policy -update", file)
	}
	if err := os.WriteFile(file, want, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestReferenceShowsAGoodPolicy pins that what the reference shows can be used.
func TestReferenceShowsAGoodPolicy(t *testing.T) {
	doc, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(doc)
	if shown == nil {
		t.Fatalf("%s shows no policy", referenceFile)
	}
	p, err := policy.Read(bytes.NewReader(shown[1]), referenceFile, builtIn(t))
	if err != nil {
		t.Fatal(err)
	}
	dev := p.For(policy.Attributes{Namespace: "dev-1", Host: "docker-1"})
	if got := strings.Join(dev.Setting("AN0691", "registries").Text(), " "); dev.Name != "development" || got != "registry.example.com/* docker.io/library/*" {
		t.Errorf("the scope is %q and trusts %q", dev.Name, got)
	}
	if !dev.Setting("", "suspicious_binaries").MatchesName("curl") || !dev.Setting("", "suspicious_binaries").MatchesName("tmate") {
		t.Error("the built-in list is not added to")
	}
}

// TestReferenceIsWhole pins that the reference and the schema leave nothing
// out.
func TestReferenceIsWhole(t *testing.T) {
	v := builtIn(t)
	reference, example := policy.Reference(v), policy.Example(v)
	schema, err := policy.Schema(v)
	if err != nil {
		t.Fatal(err)
	}
	var settings []policy.Setting
	settings = append(settings, v.Settings...)
	for id, tunables := range v.Analytics {
		settings = append(settings, policy.Setting{Name: id})
		for _, x := range tunables {
			settings = append(settings, x.Setting)
		}
	}
	flat := strings.Join(strings.Fields(strings.ReplaceAll(example, "#", "")), " ")
	for _, s := range settings {
		if !strings.Contains(reference, s.Name) || !strings.Contains(reference, s.Doc) {
			t.Errorf("%s is not in the reference", s.Name)
		}
		if !strings.Contains(string(schema), `"`+s.Name+`"`) {
			t.Errorf("%s is not in the schema", s.Name)
		}
		// The example words what everyone must set itself.
		said := s.Name == "registries" || s.Name == "approved_destinations" || strings.Contains(flat, s.Doc)
		if !strings.Contains(example, s.Name+":") || !said {
			t.Errorf("%s is not in the example", s.Name)
		}
	}
}

// TestExampleIsGood pins that what "policy init" prints loads as it is, means
// what the empty policy means where it says nothing, and loads as well with
// every setting's comment sign taken away.
func TestExampleIsGood(t *testing.T) {
	v := builtIn(t)
	text := policy.Example(v)
	all := regexp.MustCompile(`(?m)^( *)#([^ \n]|  )`).ReplaceAllString(text, "$1$2")
	if strings.Count(text, "#")-strings.Count(all, "#") < len(v.Settings) {
		t.Fatalf("few settings are offered:\n%s", text)
	}
	for name, text := range map[string]string{"as it is": text, "with all settings": all} {
		p, err := policy.Read(strings.NewReader(text), "example", v)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		if p.Learning != policy.DefaultLearning {
			t.Errorf("%s: learning is %s", name, p.Learning)
		}
		s, empty := p.For(policy.Attributes{Host: "prod-1"}), policy.Empty(v).For(policy.Attributes{})
		if s.Name != "production" || p.For(policy.Attributes{}).Name != "production" || p.For(policy.Attributes{Host: "staging-1"}).Name != "staging" {
			t.Errorf("%s: hosts are in scope %q", name, s.Name)
		}
		for _, d := range v.Settings {
			want, got := empty.Setting("", d.Name), s.Setting("", d.Name)
			if want.IsSet() && !got.Equal(want) {
				t.Errorf("%s: %s is %q, not the default %q", name, d.Name, got.Text(), want.Text())
			}
			if set := name == "with all settings" || want.IsSet() || d.Name == "registries" || d.Name == "approved_destinations"; got.IsSet() != set {
				t.Errorf("%s: %s is set: %t", name, d.Name, !set)
			}
		}
		for line := range strings.Lines(text) {
			if len(line) > 100 || strings.TrimRight(line, " \n") != strings.TrimSuffix(line, "\n") {
				t.Errorf("%s: bad line %q", name, line)
			}
		}
	}
}

// compiled is the schema, ready to validate.
func compiled(t testing.TB, v *policy.Vocabulary) *jsonschema.Schema {
	t.Helper()
	b, err := policy.Schema(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(policy.SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(policy.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate is what a tool with the schema says of a policy's text.
func validate(t testing.TB, s *jsonschema.Schema, text string) error {
	t.Helper()
	var y any
	if err := yaml.Unmarshal([]byte(text), &y); err != nil {
		return err
	}
	b, err := json.Marshal(y)
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

// TestSchemaAgrees pins that the schema and Load say the same of a document:
// "+" both take it, "-" both refuse it, "L" only Load sees what is wrong.
func TestSchemaAgrees(t *testing.T) {
	v := builtIn(t)
	s := compiled(t, v)
	digest := "sha256:" + strings.Repeat("0a", 32)
	docs := map[string]string{
		policy.Example(v): "+",
		"":                "-",
		"~":               "-",
		"[]":              "-",
		"{}":              "-",
	}
	add := func(says string, texts ...string) {
		for _, text := range texts {
			docs["version: 1\n"+text] = says
		}
	}
	add("+", "", "learning: 7d\nsettings:\nscopes:\naddresses:\n", "scopes: {a: {match: {namespaces: [x, \"y*\"], hosts: h, nodes: [], clusters: c, accounts: [\"1\"]}}}",
		"default_scope: a\nscopes: {a: }", "scopes: {a: {match: }, b: {inherits: a, match: {}}}", "addresses: {internal: [203.0.113.0/24, 203.0.113.9], public: \"fd00::/8\"}",
		"settings: {AN0691: , AN1492: {ImageSource: []}}", "settings: {AN0691: {TimeWindow: 1d12h, SuspiciousBinaries: [x], ImageRegistryAllowList: a.example/*}}")
	add("+", settings(`registries: [registry.example/*, "registry.example:5000/a/b", nginx, localhost:5000/*, "10.0.0.5:5000/*", docker.io/*, "a.example/*/c", "nginx@`+digest+`"]`,
		`registries+: nginx`, `approved_images: []`, `mutable_tags: false`, `severity_multiplier: 2`, `severity_multiplier: -0.5`, `severity_multiplier: 1e2`,
		`suspicious_binaries: [sh, "python*", "C:\\x\\y.exe", "a b"]`, `suspicious_binaries+: "x"`,
		`approved_destinations: [10.0.0.0/8, 203.0.113.9, "2001:db8::/32", "::1", example.com, "*.example.com", Example.COM., "bücher.example", a_b.example]`,
		`mining_ports: [1, 65535, "80", 80-90, 1-65535]`, `mining_ports+: 3333`, `mining_ports: "80-90"`, `strict_namespaces: ["*", "a b"]`)...)
	add("+", settings(`approved_destinations: [as64500.]`)...)
	add("L", "asn_database: nowhere.mmdb", "asn_database: .")
	add("L", settings(`approved_destinations: [AS64500]`, `blocked_destinations: as0`)...)
	add("-", "asn_database:", "asn_database: \"\"", "asn_database: [a.mmdb]", "asn_database: 7", "asn_database: {path: a.mmdb}", "settings: {asn_database: a.mmdb}")
	add("-", "colour: red", "version: 1\nversion: 1", "learning: 7", "learning: \"\"", "learning: 2w", "learning: -1h", "learning: +1h", "learning: [7d]", "learning:",
		"default_scope: [a]", "default_scope:", "default_scope: \"\"", "settings: []", "settings: {colour: red}", "settings: {match: {}}", "settings: {inherits: a}",
		"scopes: []", "scopes: {a: []}", "scopes: {a: {colour: red, match: {}}}", "scopes: {a: {match: [h]}}", "scopes: {a: {match: {host: [h]}}}", "scopes: {\"\": {match: {}}}",
		"scopes: {a: {match: {hosts: }}}", "scopes: {a: {match: {hosts: [\"\"]}}}", "scopes: {a: {match: {hosts: [[h]]}}}", "scopes: {a: {match: {hosts: [7]}}}", "scopes: {a: {match: {}, inherits: }}", "scopes: {a: {match: {}, inherits: [b]}}",
		"addresses: []", "addresses: {private: []}", "addresses: {internal: }", "addresses: {internal: [corp.example]}", "addresses: {internal: [~]}", "addresses: {internal: [\"10.0.0.0/8 \"]}",
		"settings: {AN0691: []}", "settings: {AN0691: {Colour: red}}", "settings: {AN0691: {TimeWindow: 5}}", "settings: {AN0691: {SuspiciousBinaries+: [x]}}", "settings: {AN9999: {}}", "AN0691: {}", "registries: []")
	docs["version: 2"], docs["version: \"1\""], docs["version: [1]"], docs["version: 1.5"], docs["version:"] = "-", "-", "-", "-", "-"
	add("-", settings(`registries:`, `registries: {}`, `registries: [~]`, `registries: [[nginx]]`, `registries: ""`, `registries: [1.27]`, `registries: ["*"]`, `registries: ["*.example/x"]`, `registries: ["nginx:1.27"]`,
		`registries: ["a.example/x:latest"]`, `registries: ["https://a.example/*"]`, `registries: ["nginx@sha256:xyz"]`, `registries: [" nginx"]`, `registries: ["a.example/"]`, `registries: ["a.example//b"]`,
		`mutable_tags:`, `mutable_tags: maybe`, `mutable_tags: "true"`, `mutable_tags: 1`, `mutable_tags: [true]`, `mutable_tags+: true`,
		`severity_multiplier:`, `severity_multiplier: x`, `severity_multiplier: "1"`, `severity_multiplier: [1]`, `severity_multiplier+: 1`, `severity_multiplier: .inf`, `severity_multiplier: .nan`,
		`suspicious_binaries: [true]`, `suspicious_binaries: [7]`, `suspicious_binaries: [""]`, `suspicious_binaries: [" sh"]`, `suspicious_binaries: ["sh "]`, `suspicious_binaries: {sh: 1}`, `suspicious_binaries:`,
		`approved_destinations: ["*"]`, `approved_destinations: ["https://a.example"]`, `approved_destinations: ["a.example:443"]`, `approved_destinations: ["*.*.example"]`, `approved_destinations: ["a.*"]`, `approved_destinations: [".example.com"]`, `approved_destinations: ["a b.example"]`, `approved_destinations: [7]`,
		`mining_ports: [0]`, `mining_ports: [65536]`, `mining_ports: ["080"]`, `mining_ports: [http]`, `mining_ports: ["80-"]`, `mining_ports: ["1-70000"]`, `mining_ports: [1.5]`, `mining_ports: [true]`)...)
	// What only Load can know: what several places together say, what YAML
	// keeps from the schema, and what a pattern can't say or says too roughly.
	add("L", "default_scope: nowhere", "scopes: {a: {match: {}, inherits: b}}", "scopes: {a: {inherits: b, match: {}}, b: {inherits: a}}", "scopes: {a: {match: {hosts: [x]}}, b: {match: {hosts: [x]}}}",
		"scopes: {a: {mutable_tags: true}}", "settings: {miners: [a], miners+: [b]}", "addresses: {internal: [203.0.113.0/24], public: [203.0.113.0/24]}", "addresses: {internal: [203.0.113.7/24]}", "addresses: {internal: [10.0.0]}",
		"settings:\n  <<: {mutable_tags: true}", "learning: 0d", "learning: 0s", "learning: 999999d", "---\nversion: 1")
	add("L", settings(`registries: [registry.example]`, `registries: ["nginx:1"]`, `registries: [Nginx]`, `registries: ["nginx@sha256:00"]`, `registries: ["a.example/x*"]`, `registries: [my_host.example/*]`,
		`mining_ports: ["90-80"]`, `mining_ports: [0x50]`, `severity_multiplier: 0x10`, `severity_multiplier: 1_000`, `miners: [/usr/bin/]`,
		`approved_destinations: [10.0.0.1/8]`, `approved_destinations: [10.0.0]`, `approved_destinations: [10.0.0.0/33]`, `approved_destinations: [-a.example]`)...)
	for text, want := range docs {
		_, err := policy.Read(strings.NewReader(text), "f", v)
		says := validate(t, s, text)
		got := map[[2]bool]string{{true, true}: "+", {false, false}: "-", {false, true}: "L", {true, false}: "S"}[[2]bool{err == nil, says == nil}]
		if got != want {
			t.Errorf("%q: %s, want %s\nLoad: %v\nschema: %v", text, got, want, err, says)
		}
		var list policy.Faults
		if err != nil && !errors.As(err, &list) {
			t.Errorf("%q: no faults but %v", text, err)
		}
	}
}

func settings(entries ...string) []string {
	for i, e := range entries {
		entries[i] = "settings:\n  " + e
	}
	return entries
}
