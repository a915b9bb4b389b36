package scenario_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/app"
	"tidewaiter/detections"
	"tidewaiter/evidence"
	"tidewaiter/finding"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// labelled is a scenario's own description.
type labelled struct {
	ID, Kind, Title string
	Overrides       json.RawMessage `json:"policy_overrides"`
	T0              time.Time       `json:"t0"`
	Expect          []expected
	Timeline        []struct {
		File string
		Line int
	}
}

type expected struct {
	Analytic, Family string
	Entity           map[string]any
	Min              string `json:"min_severity"`
	Max              string `json:"max_severity"`
}

// due are the scenarios whose evidence can be read today; the others need
// sources and analytics that come later.
var due = []string{"A01", "A03", "A05", "A07", "A08", "A09", "A10", "A11", "A13", "A15", "A17", "A19", "A21", "A23", "A25", "A26", "A28", "A30", "A32", "A34", "A36", "A38", "A40", "A42", "A44", "A46"}

// short lists what falls short today, by scenario, and why. An entry that is
// not needed any more fails the test.
var short = map[string]string{}

// TestScenarios hunts through every labelled scenario with its history and its
// policy, and compares findings with what was expected.
func TestScenarios(t *testing.T) {
	root := sourcetest.Shared(t, "scenarios")
	folders, err := filepath.Glob(filepath.Join(root, "*", "scenario.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, file := range folders {
		dir := filepath.Dir(file)
		if filepath.Base(dir) == "history" {
			continue
		}
		s := readLabelled(t, file)
		t.Run(s.ID, func(t *testing.T) {
			faults, row := s.judge(t, root, dir)
			rows = append(rows, row)
			must := s.Kind == "benign" || slices.Contains(due, s.ID)
			why, known := short[s.ID]
			switch {
			case !must || len(faults) > 0 && known:
				t.Logf("%s: %s", why, strings.Join(faults, "; "))
			case len(faults) > 0:
				t.Error(strings.Join(faults, "\n"))
			case known:
				t.Errorf("does not fall short any more: %s", why)
			}
		})
	}
	t.Log("\n" + strings.Join(rows, "\n"))
}

func readLabelled(t *testing.T, file string) labelled {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s labelled
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Overrides) == 0 {
		s.Overrides = []byte("{}")
	}
	return s
}

// judge hunts and says what is wrong, and one line for the table.
func (s labelled) judge(t *testing.T, root, dir string) (faults []string, row string) {
	t.Helper()
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	pol := readNeutral(t, filepath.Join(root, "policy-P0.yaml"), s.Overrides, filepath.Join(root, "history", source.InventoryName), filepath.Join(dir, source.InventoryName)).translate(t, lib.Vocabulary())
	r, err := app.Hunt(app.HuntOptions{Paths: []string{dir}, History: []string{filepath.Join(root, "history")}, Library: lib, Policy: pol, Now: s.T0.AddDate(0, 1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	matched := map[string]bool{}
	var want, got []string
	for _, e := range s.Expect {
		want = append(want, e.Analytic+"≥"+e.Min)
		f, ok := e.find(r.Findings)
		if !ok {
			fault("%s on %v: no finding", e.Analytic, e.Entity)
			continue
		}
		matched[f.ID] = true
		if sev := f.Severity.String(); f.Severity < severity(t, e.Min) || f.Severity > severity(t, e.Max) {
			fault("%s is %s (%.0f), want %s to %s", e.Analytic, sev, f.Score, e.Min, e.Max)
		}
		if cited, of := s.cited(f, dir); cited*10 < of*8 {
			fault("%s cites %d of %d labelled records", e.Analytic, cited, of)
		}
	}
	for _, f := range r.Findings {
		got = append(got, fmt.Sprintf("%s %.0f %s", f.Severity, f.Score, f.Owner))
		if f.Severity >= analytic.Low && !matched[f.ID] {
			fault("unexpected: %s %.0f %s", f.Severity, f.Score, f.Title)
		}
	}
	state := "ok"
	if len(faults) > 0 {
		state = "SHORT"
	}
	return faults, fmt.Sprintf("%-4s %-5s %-28s | %s", s.ID, state, strings.Join(want, " "), strings.Join(got[:min(len(got), 3)], ", "))
}

func severity(t *testing.T, name string) analytic.Severity {
	t.Helper()
	for s := analytic.None; s <= analytic.Critical; s++ {
		if strings.EqualFold(s.String(), name) {
			return s
		}
	}
	t.Fatalf("severity %q", name)
	return 0
}

// find picks the finding of the family, or of the analytic, that names the
// entity by its strongest key.
func (e expected) find(fs []finding.Finding) (finding.Finding, bool) {
	for _, f := range fs {
		named := slices.ContainsFunc(f.Analytics, func(a analytic.Raised) bool { return a.ID == e.Analytic })
		if (f.Family == e.Family || named) && named && e.names(f) {
			return f, true
		}
	}
	return finding.Finding{}, false
}

// names reports whether a finding is about the expected entity.
func (e expected) names(f finding.Finding) bool {
	text := func(key string) string { s, _ := e.Entity[key].(string); return s }
	if e.Entity["instances"] != nil {
		return e.namesMachines(f)
	}
	for _, s := range f.Subjects {
		if i := s.Instance; i != nil {
			return i.ID == text("instance_id") || i.Resource != "" && strings.EqualFold(i.Resource, text("instance_id")) || i.Name == text("instance") && i.Name != ""
		}
		if i := s.VMImage; i != nil {
			return text("image_id") == string(i.ID)
		}
		for _, c := range append(slices.Clone(s.Containers), deref(s)...) {
			if id := text("container_id"); id != "" && c.ID == id {
				return true
			}
			isImage := func(d image.Digest) bool { return d.String() == text("image_id") }
			if text("container_id") == "" && slices.ContainsFunc(c.Image.Digests, isImage) {
				return true
			}
		}
		if i := s.Image; i != nil && i.Canonical.String() == text("image_digest") && i.Reference.Repository()+":"+i.Reference.Tag() == text("image")+":"+text("tag") {
			return true
		}
		if p := s.Pod; p != nil && text("container_id") == "" {
			workload := strings.ToLower(p.Owner.Kind) + "/" + p.Owner.Name
			if text("namespace") == p.Namespace && (text("pod") == p.Name || text("workload") == workload) {
				return true
			}
		}
	}
	return false
}

// namesMachines reports whether a finding names every machine of a launch group.
func (e expected) namesMachines(f finding.Finding) bool {
	for _, id := range e.Entity["instances"].([]any) {
		if !slices.ContainsFunc(f.Subjects, func(s finding.Subject) bool {
			return s.Instance != nil && (s.Instance.ID == id || s.Instance.Name == id || slices.Contains(s.Instance.With, fmt.Sprint(id)))
		}) {
			return false
		}
	}
	return true
}

func deref(s finding.Subject) (out []evidence.Container) {
	if s.Container != nil {
		out = append(out, *s.Container)
	}
	return out
}

// cited counts the labelled records that a finding cites.
func (s labelled) cited(f finding.Finding, dir string) (cited, of int) {
	have := map[string]bool{}
	lookups := map[string]bool{} // a label of a look-up is on its file, and names the first line
	for _, e := range f.Evidence {
		for _, span := range e.Event.Origin.Spans {
			rel, err := filepath.Rel(dir, e.Event.Origin.File)
			if err == nil {
				have[fmt.Sprint(filepath.ToSlash(rel), ":", span.Line)] = true
				lookups[filepath.ToSlash(rel)] = e.Kind == evidence.Description
			}
		}
	}
	for _, l := range s.Timeline {
		of++
		if have[fmt.Sprint(l.File, ":", l.Line)] || lookups[l.File] {
			cited++
		}
	}
	return cited, of
}
