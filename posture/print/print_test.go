package print

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tidewaiter/image"
	"tidewaiter/posture"
	"tidewaiter/sink/text"
)

const hostile = "evil\x1b[2J\u202e\nname"

func results() []posture.Result {
	checks := posture.Checks()
	return []posture.Result{
		{Check: checks[0], Verdict: posture.Fail, Why: hostile, Failed: []posture.Evidence{{Subject: hostile, Where: "print_test.go:7", What: hostile}, {Subject: "b", Where: "process 4", What: "c"}},
			Unseen: []posture.Gap{{Topic: posture.TopicAPI, Where: hostile, Why: hostile}}},
		{Check: checks[1], Verdict: posture.Pass, Why: "fine", Passed: []posture.Evidence{{Subject: "a", Where: "w", What: "fine"}}},
		{Check: checks[2], Verdict: posture.Unknown, Why: "could not look: nothing"},
		{Check: checks[len(checks)-1], Verdict: posture.Unknown, Why: "could not look: " + hostile, Unseen: []posture.Gap{{Topic: posture.TopicLayers, Where: "x", Why: hostile}}},
	}
}

var about = About{Version: "1", Host: "h", At: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC), Images: []posture.Image{{Name: hostile, Where: hostile, Content: &posture.Content{Files: 3}, Names: []image.Reference{image.Parse("a")}}}}

func clean(t *testing.T, what, s string) {
	t.Helper()
	for i, r := range s {
		if r < ' ' && r != '\n' || r == 0x7f || r == 0x202e || r == utf8.RuneError {
			t.Errorf("%s: character %q at byte %d", what, r, i)
		}
	}
}

func TestTable(t *testing.T) {
	for _, verbose := range []bool{false, true} {
		var b bytes.Buffer
		table := Table{Printer: &text.Printer{W: &b, Width: 100, Verbose: verbose}, Images: about.Images}
		if err := table.Print(results()); err != nil {
			t.Fatal(err)
		}
		clean(t, "table", b.String())
		for _, want := range []string{"FAIL    M1035-1", "pass    M1035-2", "no look M1035-3", "M1047-10", "blinds AN0693", "mend ", "read in print_test.go:7", "4 checks: 1 fail, 1 pass, 2 could not look"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("no %q in\n%s", want, b.String())
			}
		}
		for line := range strings.Lines(b.String()) {
			if utf8.RuneCountInString(line) > 101 {
				t.Errorf("a line of %d: %s", utf8.RuneCountInString(line), line)
			}
		}
	}
}

// A mitigation of which nothing was given takes one line.
func TestTableOfNothing(t *testing.T) {
	var rs []posture.Result
	for _, c := range posture.Checks() {
		rs = append(rs, posture.Result{Check: c, Verdict: posture.Unknown, Why: "could not look"})
	}
	var b bytes.Buffer
	if err := (&Table{Printer: &text.Printer{W: &b, Width: 100}}).Print(rs); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n > 16 {
		t.Errorf("%d lines:\n%s", n, b.String())
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, about, results()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Summary map[string]int
		Results []struct {
			ID, Verdict string
			Mitigation  struct{ Name string }
			Failed      []posture.Evidence
			Analytics   []posture.Effect
		}
		Images []struct{ Files int }
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Summary["fail"] != 1 || len(got.Results) != 4 || got.Results[0].Failed[0].Subject != hostile || got.Results[0].Mitigation.Name == "" || len(got.Results[0].Analytics) != 3 || got.Images[0].Files != 3 {
		t.Errorf("%+v", got)
	}
}

func TestSARIF(t *testing.T) {
	var b bytes.Buffer
	if err := SARIF(&b, about, results()); err != nil {
		t.Fatal(err)
	}
	var got sarifLog
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	run := got.Runs[0]
	if got.Version != "2.1.0" || len(run.Tool.Driver.Rules) != 4 || len(run.Results) != 6 {
		t.Fatalf("%d rules, %d results", len(run.Tool.Driver.Rules), len(run.Results))
	}
	kinds := map[string]int{}
	for _, r := range run.Results {
		kinds[r.Kind+" "+r.Level]++
		clean(t, "message", r.Message.Text)
		if run.Tool.Driver.Rules[r.Index].ID != r.Rule {
			t.Errorf("%+v", r)
		}
	}
	if kinds["fail error"] != 2 || kinds["pass none"] != 1 || kinds["open none"] != 3 {
		t.Errorf("%v", kinds)
	}
	if p := run.Results[0].Locations[0].Physical; p == nil || p.Artifact.URI != "print_test.go" || p.Region.StartLine != 7 {
		t.Errorf("%+v", p)
	}
	if run.Results[1].Locations[0].Physical != nil {
		t.Error("a process is no file")
	}
}

func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := JUnit(&b, about, results()); err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 4 || got.Failures != 1 || got.Skipped != 2 || len(got.Suites) != 2 || got.Suites[0].Cases[0].Failure == nil {
		t.Errorf("%+v", got)
	}
	clean(t, "JUnit", got.Suites[0].Cases[0].Failure.Message+got.Suites[0].Cases[0].Failure.Text)
}
