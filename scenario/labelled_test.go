package scenario_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"tidewaiter/analytic"
	"tidewaiter/app"
	"tidewaiter/detections"
	"tidewaiter/event"
	"tidewaiter/finding"
	"tidewaiter/policy"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// sitePolicies are the three sites whose policies the labelled samples are
// hunted with. The images of nearly all samples are Docker Hub's nginx.
var sitePolicies = []struct{ name, text string }{
	{"no policy", "version: 1\n"},
	// A site of its own registry, to which nginx is a stranger.
	{"strict", `version: 1
learning: 1h
settings:
  registries: [registry.example.com/*]
  approved_destinations: [10.0.0.0/8]
  creators: [release-bot]
  expected_namespaces: [default, foo]
  mutable_tags: false
`},
	// A site that runs nginx, made by whom the samples say.
	{"trusting", `version: 1
learning: 1h
settings:
  registries: [docker.io/library/*]
  approved_destinations: [10.0.0.0/8]
  creators: [minikube-user, "system:serviceaccount:kube-system:*"]
`},
}

// sample is a public recording with its maker's label, and what is said of it
// here.
type sample struct {
	// file is its path below the shared data.
	file string
	// label is what its maker says: the rules that must fire, "" for none.
	label string
	// says is what is found with each of the policies: for each finding its
	// severity and signals, those in brackets only noted; "" for nothing.
	says [3]string
	// why tells in a sentence why the two differ, or agree.
	why string
}

// TestLabelledSamples hunts through every sample that carries a label and
// compares what is said with the table. The table is printed with -v.
func TestLabelledSamples(t *testing.T) {
	root := sourcetest.Shared(t, "data")
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	labels := labelsOf(t, root)
	for _, s := range labelledSamples() {
		label, known := labels[s.file]
		if !known || label != s.label {
			t.Errorf("%s: its maker says %q (known: %t), the table %q", s.file, label, known, s.label)
		}
		delete(labels, s.file)
		var said [3]string
		for i, p := range sitePolicies {
			said[i] = sayOf(t, lib, p.text, filepath.Join(root, s.file))
		}
		if said != s.says {
			t.Errorf("%s: says\n %q, the table has\n %q", s.file, said, s.says)
		}
		t.Logf("%s\n  label:     %s\n  no policy: %s\n  strict:    %s\n  trusting:  %s\n  why:       %s", s.file, orNothing(s.label), orNothing(said[0]), orNothing(said[1]), orNothing(said[2]), s.why)
	}
	for _, file := range slices.Sorted(maps.Keys(labels)) {
		t.Errorf("%s has the label %q and is not in the table", file, labels[file])
	}
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// sayOf hunts through one file and puts what is found into a line.
func sayOf(t *testing.T, lib *analytic.Library, text, file string) string {
	t.Helper()
	pol, err := policy.Read(strings.NewReader(text), "policy", lib.Vocabulary())
	if err != nil {
		t.Fatal(err)
	}
	r, err := app.Hunt(app.HuntOptions{Paths: []string{file}, Library: lib, Policy: pol, Now: time.Now(), Place: event.Place{Cluster: "c", Host: hostOf(file)}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, in := range r.NotRead() {
		t.Errorf("%s: not read: %v", file, in.Err)
	}
	var said []string
	for _, f := range r.Findings {
		said = append(said, wordsOf(f))
	}
	return strings.Join(said, "; ")
}

// hostOf names the host of records that name none: those of host sensors.
func hostOf(file string) string {
	if strings.Contains(file, "laurel") {
		return "h"
	}
	return ""
}

func wordsOf(f finding.Finding) string {
	words := f.Severity.String()
	var noted []string
	for _, s := range f.Signals {
		if s.Learning {
			noted = append(noted, s.Name)
			continue
		}
		words += " " + s.Name
	}
	slices.Sort(noted)
	if len(noted) > 0 {
		words += " (" + strings.Join(noted, " ") + ")"
	}
	return words
}

// labelsOf reads the labels from the makers' own files.
func labelsOf(t *testing.T, root string) map[string]string {
	t.Helper()
	labels := map[string]string{}
	for _, suite := range []string{"falco_k8s_audit_tests.yaml", "falco_tests_psp.yaml"} {
		falcoLabels(t, root, suite, labels)
	}
	scenarios := regexp.MustCompile(`GetScenario\(\) == "([^"]+)"`)
	for _, pattern := range []string{"k8s_audit", "suricata_eve", "laurel_json"} {
		files, err := filepath.Glob(filepath.Join(root, pattern, "crowdsecurity__hub/.tests/*/scenario.assert"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, m := range scenarios.FindAllStringSubmatch(string(text), -1) {
				names = append(names, m[1])
			}
			dir, err := filepath.Rel(root, filepath.Dir(file))
			if err != nil {
				t.Fatal(err)
			}
			labels[filepath.Join(dir, filepath.Base(dir)+".log")] = strings.Join(slices.Compact(names), ", ")
		}
	}
	manifestLabels(t, root, labels)
	return labels
}

// manifestLabels adds what the list of the samples itself says of Tetragon's.
func manifestLabels(t *testing.T, root string, labels map[string]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "MANIFEST.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		columns := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if label := columns[len(columns)-1]; columns[1] == "tetragon" && strings.Contains(label, "labelled attack steps") {
			labels[columns[0]] = label
		}
	}
}

// falcoLabels reads one suite of Falco's tests: a sample may be tried with
// several sets of rules, of which all that fire are its label.
func falcoLabels(t *testing.T, root, suite string, labels map[string]string) {
	t.Helper()
	dir := "k8s_audit/falcosecurity__falco/test"
	text, err := os.ReadFile(filepath.Join(root, dir, suite))
	if err != nil {
		t.Fatal(err)
	}
	var tests map[string]map[string]struct {
		Detect bool   `yaml:"detect"`
		Level  any    `yaml:"detect_level"` // one, or a list
		Counts []any  `yaml:"detect_counts"`
		Trace  string `yaml:"trace_file"`
	}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(string(text), "!mux", "")), &tests); err != nil {
		t.Fatal(err)
	}
	rules := map[string][]string{}
	for _, group := range tests {
		for _, test := range group {
			if !strings.HasSuffix(test.Trace, ".json") {
				continue // captures of system calls, which are not among the samples
			}
			file := filepath.Join(dir, test.Trace)
			rules[file] = append(rules[file], firing(test.Detect, test.Counts)...)
		}
	}
	for file, names := range rules {
		slices.Sort(names)
		labels[file] = strings.Join(slices.Compact(names), ", ")
	}
}

// firing lists the rules that a test wants to fire.
func firing(detect bool, counts []any) []string {
	if !detect {
		return nil
	}
	var names []string
	for _, c := range counts {
		switch c := c.(type) {
		case map[string]any:
			names = slices.AppendSeq(names, maps.Keys(c))
		default:
			names = append(names, fmt.Sprint(c))
		}
	}
	return names
}

// TestAlertsOfOthersAreNoFindings: the samples of Falco's alerts are evidence of
// what a process did, where they say so, and never a finding because a rule
// fired. Nothing of them is passed over: what is no event is counted, and what is
// refused is told with what it looks like.
func TestAlertsOfOthersAreNoFindings(t *testing.T) {
	root := sourcetest.Shared(t, "data", "falco")
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	r, err := app.Hunt(app.HuntOptions{Paths: []string{root}, Library: lib, Policy: policy.Empty(lib.Vocabulary()), Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(r.Inputs) != 14 || len(r.Findings) > 0 {
		t.Errorf("%d files, want 14; %d findings", len(r.Inputs), len(r.Findings))
	}
	for _, in := range r.Inputs {
		read := int64(0)
		for _, f := range in.Formats {
			read += f.Events + f.Skipped + f.Unreadable
			if f.Format.Source != event.Falco {
				t.Errorf("%s is read as %s", in.File, f.Format.Name)
			}
			if f.Events+f.Skipped+f.Unreadable != f.Records {
				t.Errorf("%s: %+v", in.File, f.Tally)
			}
		}
		refused := errors.Is(in.Err, source.ErrUnrecognised) && strings.Contains(in.Err.Error(), "JSON with keys")
		if in.Err == nil && read == 0 || in.Err != nil && !refused {
			t.Errorf("%s: %d records, %v", in.File, read, in.Err)
		}
	}
}
