package scenario_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/app"
	"tidewaiter/detections"
	"tidewaiter/entity"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/finding"
	"tidewaiter/policy"
	"tidewaiter/source/sourcetest"
)

// logs are the files of a recording in the forms that standard tools write;
// beside them lie the prototypes' own.
var logs = []string{"docker-events.log", "containerd-events.log", "audit.log", "conntrack.log", "dockerd-debug.log", "inspect-container.json", "inspect-image.json"}

func capture(t *testing.T, name string) []string {
	t.Helper()
	dir := sourcetest.Shared(t, "captures", name)
	var paths []string
	for _, f := range logs {
		if _, err := os.Stat(filepath.Join(dir, f)); err == nil {
			paths = append(paths, filepath.Join(dir, f))
		}
	}
	return paths
}

func hunt(t *testing.T, policyFile string, history []string, paths ...string) *app.Report {
	t.Helper()
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	pol := policy.Empty(lib.Vocabulary())
	if policyFile != "" {
		if pol, err = policy.Load(policyFile, lib.Vocabulary()); err != nil {
			t.Fatal(err)
		}
	}
	r, err := app.Hunt(app.HuntOptions{Paths: paths, History: history, Library: lib, Policy: pol, Now: time.Now(), Place: event.Place{Host: "lab"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, in := range r.NotRead() {
		t.Errorf("not read: %v", in.Err)
	}
	for _, s := range r.BySource() {
		if s.Unreadable > 0 {
			t.Errorf("%s: %d unreadable records", s.Source, s.Unreadable)
		}
	}
	return r
}

const withPolicy = "testdata/policy-captures.yaml"

func above(fs []finding.Finding, s analytic.Severity) []finding.Finding {
	return slices.DeleteFunc(slices.Clone(fs), func(f finding.Finding) bool { return f.Severity <= s })
}

// The malicious image gives exactly one finding, on its container, and every
// leg is cited by file and line.
func TestMaliciousImageGivesOneFindingWithEveryLeg(t *testing.T) {
	paths := capture(t, "scenario-b-malicious-image")
	for name, c := range map[string]struct {
		policy string
		want   analytic.Severity
	}{"with the policy": {withPolicy, analytic.Critical}, "without any policy": {"", analytic.Low}} {
		t.Run(name, func(t *testing.T) {
			r := hunt(t, c.policy, nil, paths...)
			if len(r.Findings) != 1 {
				t.Fatalf("%d findings, want 1: %v", len(r.Findings), titles(r.Findings))
			}
			f := r.Findings[0]
			if f.Severity != c.want || f.State != finding.Confirmed {
				t.Errorf("severity %s, state %s; want %s, confirmed", f.Severity, f.State, c.want)
			}
			con := f.Subjects[0].Container
			if !strings.HasPrefix(con.ID, "620bd9bec2ce") || con.Host != "lab" || con.Name != "helper" {
				t.Errorf("subject %+v", con)
			}
			for leg, file := range map[string]string{"arrival": "docker-events.log:1", "creation": "docker-events.log:2", "start": "docker-events.log:4",
				"command": "audit.log:237", "egress": "conntrack.log:8"} {
				if !slices.Contains(cited(f, leg), file) {
					t.Errorf("leg %s is cited by %v, not by %s", leg, cited(f, leg), file)
				}
			}
			checkRecords(t, r, f)
		})
	}
}

func titles(fs []finding.Finding) []string {
	var out []string
	for _, f := range fs {
		out = append(out, fmt.Sprint(f.Severity, " ", f.Title))
	}
	return out
}

// cited lists the citations of a leg as FILE:LINE.
func cited(f finding.Finding, leg string) []string {
	var out []string
	for _, e := range f.Evidence {
		if e.Leg == leg {
			out = append(out, fmt.Sprintf("%s:%d", filepath.Base(e.Event.Origin.File), e.Event.Origin.Line()))
		}
	}
	return out
}

// checkRecords reads every cited record again: it must be the line's text, which
// is indented where the record is one of an array (docker inspect).
func checkRecords(t *testing.T, r *app.Report, f finding.Finding) {
	t.Helper()
	for _, e := range f.OCSF(r.Raw, "test").Evidences {
		data, err := os.ReadFile(e.Data.File)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(data), "\n")
		if first, _, _ := strings.Cut(e.Data.Record, "\n"); e.Data.RecordError != "" || first != strings.TrimLeft(lines[e.Data.Line-1], " \t") {
			t.Errorf("%s:%d: record %q (%s), the line is %q", e.Data.File, e.Data.Line, first, e.Data.RecordError, lines[e.Data.Line-1])
		}
	}
}

// Ordinary work gives nothing above info, with the policy and without any.
func TestOrdinaryWorkGivesNothing(t *testing.T) {
	for _, name := range []string{"scenario-a-benign-web", "scenario-d-benign-ci-build", "scenario-e-debug-exec"} {
		for _, pol := range []string{withPolicy, ""} {
			t.Run(name+" "+pol, func(t *testing.T) {
				r := hunt(t, pol, nil, capture(t, name)...)
				if fs := above(r.Findings, analytic.Info); len(fs) > 0 {
					t.Errorf("findings: %v", titles(fs))
				}
			})
		}
	}
}

// The image that is built on the host over TCP, fetches while it is built, and is
// run there gives one finding, with the request, the fetch, the image and the run.
func TestBuildOnHostIsOneFinding(t *testing.T) {
	r := hunt(t, withPolicy, nil, capture(t, "scenario-c-build-on-host-classic")...)
	fs := above(r.Findings, analytic.Info)
	if len(fs) != 1 || fs[0].Severity != analytic.Critical || !strings.Contains(fs[0].Title, "sys-update") {
		t.Fatalf("findings: %v", titles(r.Findings))
	}
	if !slices.ContainsFunc(fs[0].Analytics, func(a analytic.Raised) bool { return a.ID == "AN1261" }) {
		t.Errorf("analytics %v", fs[0].Analytics)
	}
	told := map[string]bool{}
	for _, e := range fs[0].Evidence {
		told[e.Leg+": "+e.Says] = true
	}
	for _, want := range []string{"build: POST /build of sys-update:latest", "fetch: tcp to 198.51.100.10:80", "creation: create upd of sys-update:latest"} {
		if !told[want] {
			t.Errorf("not cited: %s in %v", want, told)
		}
	}
}

// The same recording in another order of files, with some of them twice, gives
// the same findings with the same ids.
func TestTheOrderOfFilesDoesNotMatter(t *testing.T) {
	paths := capture(t, "scenario-b-malicious-image")
	want := summary(t, hunt(t, withPolicy, nil, paths...))
	backwards := slices.Clone(paths)
	slices.Reverse(backwards)
	for name, order := range map[string][]string{"backwards": backwards, "twice": slices.Concat(paths, backwards)} {
		if got := summary(t, hunt(t, withPolicy, nil, order...)); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

func summary(t *testing.T, r *app.Report) string {
	t.Helper()
	var all []finding.OCSF
	for _, f := range r.Findings {
		all = append(all, f.OCSF(r.Raw, "test"))
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// History feeds memory and identity; a chain that ends in it is not reported.
func TestHistoryIsRememberedAndNotReported(t *testing.T) {
	b := capture(t, "scenario-b-malicious-image")
	r := hunt(t, withPolicy, b, capture(t, "scenario-e-debug-exec")...)
	if fs := above(r.Findings, analytic.None); len(fs) > 0 {
		t.Errorf("findings: %v", titles(fs))
	}
}

// The example that "make example" hunts through finds what it is there to show.
func TestTheExampleFindsItsAttack(t *testing.T) {
	r := hunt(t, "../examples/policy.yaml", nil, "../examples/recording")
	if len(r.Findings) != 1 || r.Findings[0].Severity != analytic.Critical || len(r.Findings[0].Analytics) != 2 {
		t.Fatalf("findings: %v", titles(r.Findings))
	}
	for _, leg := range r.Findings[0].Legs {
		if leg.State != analytic.Seen {
			t.Errorf("leg %s is %s", leg.Name, leg.State)
		}
	}
	checkRecords(t, r, r.Findings[0])
}

// A real cluster: every record about a container finds its pod, and what the
// runtime started in a running container is told apart: the probe's from what
// alice ran.
func TestARealClusterIsPlaced(t *testing.T) {
	dir := sourcetest.Shared(t, "captures", "k8s")
	r := entity.New(entity.Limits{})
	seen := map[event.ID]bool{}
	for _, e := range readEvents(t, dir, false) {
		if e.Place = (event.Place{Cluster: "lab"}); e.Origin.Source == event.Containerd {
			e.Place.Host = "labnode"
		}
		if !seen[e.ID] {
			seen[e.ID] = true
			r.Apply(&e)
		}
	}
	if c := r.Counts(); c.Unplaced+c.Ambiguous != 0 {
		t.Errorf("%d unplaced, %d ambiguous", c.Unplaced, c.Ambiguous)
	}
	execs := map[string]int{}
	for _, id := range r.Subjects() {
		s, _ := r.Subject(id)
		if s.Pod == nil {
			t.Errorf("%s is in no pod", id)
			continue
		}
		for _, c := range s.Containers {
			if c.ID == "" || c.Name == "" || c.Image.Canonical.IsZero() {
				t.Errorf("pod %s: container %+v", s.Pod.Name, c)
			}
			if c.Kind == event.EphemeralContainer && c.AddedBy.Name != "alice@lab.example" {
				t.Errorf("%s was added by %q", c.Name, c.AddedBy.Name)
			}
		}
		for _, f := range s.Of(evidence.Exec) {
			switch {
			case f.Exec.Session.Told:
				execs[f.Exec.Session.By.Name]++
			case f.Exec.Probe:
				execs["probe"]++
			default:
				execs["unexplained"]++
			}
		}
	}
	if want := map[string]int{"probe": 5, "alice@lab.example": 1}; !maps.Equal(execs, want) {
		t.Errorf("what the runtime started: %v, want %v", execs, want)
	}
}
