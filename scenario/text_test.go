package scenario_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"

	"tidewaiter/analytic"
	"tidewaiter/detections"
	"tidewaiter/event"
	"tidewaiter/scenario"
)

var update = flag.Bool("update", false, "rewrite the findings that scenario files expect")

func library(t testing.TB) *analytic.Library {
	t.Helper()
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// written are the project's own scenarios.
func written(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*" + scenario.Extension)
	if err != nil || len(files) < 15 {
		t.Fatalf("%d scenarios: %v", len(files), err)
	}
	return files
}

func read(t testing.TB, lib *analytic.Library, text string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Read("x.scenario", []byte(text), lib)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Every scenario file gives exactly the findings that it says.
func TestText(t *testing.T) {
	lib := library(t)
	for _, file := range written(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), scenario.Extension), func(t *testing.T) {
			s, err := scenario.Load(file, lib)
			if err != nil {
				t.Fatal(err)
			}
			got := s.Render(scenario.Run(lib, s))
			if got == s.Want {
				return
			}
			if *update {
				if err := os.WriteFile(file, s.Rewrite(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("if the change is meant: go test ./scenario -run TestText -update\n%s", diff.Diff(file, []byte(s.Want), "found", []byte(got)))
		})
	}
}

// No scenario's findings depend on delivery, except where it says why.
func TestTextInEveryDelivery(t *testing.T) {
	if testing.Short() {
		t.Skip("some hundred hunts")
	}
	lib := library(t)
	for _, file := range written(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), scenario.Extension), func(t *testing.T) {
			s, err := scenario.Load(file, lib)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range scenario.Grid(lib, s) {
				if fault := d.Fault(); fault != "" {
					t.Error(fault)
				}
			}
		})
	}
}

const small = `# Kept as it is.
title: A container starts	# not a comment here

places:
  web: host=web-1   # a comment
containers: c1
events:
  +0s  web docker container action=create id=$c1 name="a \u001b name" image=nginx # another
  # In between.
  +1s..+2s  web docker container
    action=start  # below

    id=$c1
# At the left.
`

func TestRewritingKeepsTheRest(t *testing.T) {
	lib := library(t)
	for _, before := range []string{small, strings.ReplaceAll(small, "\n", "\r\n")} {
		for old, want := range map[string]string{
			"": "", "findings:\n": "", "findings: # old\n  high 1\n\n    more \n\n": "high 1\n\n  more\n", "findings:\r\n  high 1\r\n": "high 1\n", "findings:\n\thigh 1": "high 1\n",
		} {
			s := read(t, lib, before+old)
			if s.Want != want {
				t.Errorf("%q expects %q, want %q", old, s.Want, want)
			}
			got := string(s.Rewrite(s.Render(nil)))
			if got != before+"findings:\n  no findings\n" {
				t.Errorf("%q became %q", before+old, got)
			}
			if again := read(t, lib, got); again.Want != scenario.NoFindings || string(again.Rewrite(again.Want)) != got {
				t.Errorf("%q is expected after rewriting", again.Want)
			}
		}
	}
	open := strings.TrimSuffix(small, "\n")
	if got := string(read(t, lib, open).Rewrite("high 1\n\n  more\n")); got != small+"findings:\n  high 1\n\n    more\n" {
		t.Errorf("a file without a last line end became %q", got)
	}
}

func TestEvidenceIsCitedByLine(t *testing.T) {
	s := read(t, library(t), small)
	if s.Title != "A container starts	# not a comment here" || len(s.Events) != 2 {
		t.Fatalf("%q, %d events", s.Title, len(s.Events))
	}
	a, b := s.Events[0], s.Events[1]
	for _, c := range []struct {
		e          event.Event
		line       int
		text, time string
	}{
		{a, 8, "  +0s  web docker container action=create id=$c1 name=\"a \\u001b name\" image=nginx # another", "2026-01-01T10:00:00.000000000Z"},
		{b, 10, "  +1s..+2s  web docker container\n    action=start  # below\n\n    id=$c1", "2026-01-01T10:00:01Z"},
	} {
		span := c.e.Origin.Spans[0]
		if got := small[span.Offset:][:span.Length]; got != c.text || c.e.Origin.Line() != c.line || c.e.Origin.File != "x.scenario" || c.e.Origin.Source != event.Docker {
			t.Errorf("cited %+v: %q, want line %d %q", c.e.Origin, got, c.line, c.text)
		}
		if c.e.Time.String() != c.time || c.e.Place != (event.Place{Host: "web-1"}) {
			t.Errorf("line %d: at %s in %s", c.line, c.e.Time, c.e.Place)
		}
	}
	if c := a.Body.(*event.Container); c.Name != "a \x1b name" || len(c.ID) != 64 || b.Body.(*event.Container).ID != c.ID {
		t.Errorf("%+v, %+v", a.Body, b.Body)
	}
}

// Comments, blanks, the file's name and its other events change no event's id;
// an event that is told twice happened twice.
func TestAnEventsIDIsItsContent(t *testing.T) {
	lib := library(t)
	a := read(t, lib, small)
	b := read(t, lib, strings.ReplaceAll(strings.ReplaceAll(small, "  # In between.\n", ""), "events:\n", "events:\n  +5s web docker container action=exit id=$c1\n  +0s web  docker container  image=nginx action=create id=$c1 name=\"a \\x1b name\"\n"))
	ids := func(s *scenario.Scenario) (out []event.ID) {
		for _, e := range s.Events {
			out = append(out, e.ID)
		}
		return out
	}
	x, y := ids(a), ids(b)
	if !slices.Contains(y, x[0]) || !slices.Contains(y, x[1]) {
		t.Error("ids differ")
	}
	slices.SortFunc(y, event.ID.Compare)
	if len(slices.Compact(y)) != 4 {
		t.Error("two events have one id")
	}
}

// What no place in a file may hold is told with its line and what to do.
func TestFaultsAreNamed(t *testing.T) {
	lib := library(t)
	base := func(event string) string {
		return "title: t\nplaces:\n  web: host=h\ncontainers: c1\nevents:\n  " + event + "\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":               {"", `x.scenario:1: no title; begin with "title: …"`},
		"no events":           {"title: t\n", `nothing happens; tell it in lines below "events:"`},
		"unknown part":        {"title: t\nevent:\n", `x.scenario:2: unknown part "event"; want one of title, `},
		"part twice":          {"title: t\ntitle: u\n", `x.scenario:2: part "title" stands twice, first in line 1`},
		"part behind the end": {"title: t\nfindings:\nevents:\n", `x.scenario:3: part "events" stands below "findings"`},
		"stray text":          {"title: t\nhello\n", `x.scenario:2: want a part's name`},
		"text first":          {"  hello\ntitle: t\n", `x.scenario:1: text before the first part`},
		"two lines":           {"title: t\n  more\n", `x.scenario:2: "title" takes one line`},
		"value beside":        {"title: t\nevents: +0s\n", `x.scenario:2: what belongs to "events" stands in the lines below`},
		"start":               {"title: t\nstart: noon\n", `x.scenario:2: start: time "noon" is not RFC 3339`},
		"policy":              {"title: t\npolicy:\n  # none\n  setings: {}\n", `x.scenario:4:3: setings: unknown key`},
		"policy's name":       {"title: t\npolicy:\n  settings:\n    approved_images: [a@$b]\n", `x.scenario:4: unknown short name $b`},
		"place":               {"title: t\nplaces:\n  web host=h\n", `x.scenario:3: want a place as "web: host=web-1"`},
		"place twice":         {"title: t\nplaces:\n  w: host=h\n  w: host=h\n", `x.scenario:4: place "w" stands twice`},
		"place's field":       {"title: t\nplaces:\n  web: hots=h\n", `x.scenario:3: place web: unknown field "hots"; want one of account, cluster, host`},
		"short name":          {"title: t\ncontainers: C1\n", `x.scenario:2: "C1" cannot be a short name`},
		"short name twice":    {"title: t\ncontainers: c1\ndigests: c1\n", `x.scenario:3: short name "c1" stands twice`},
		"grid":                {"title: t\ngrid:\n  without sun: night\n", `x.scenario:3: unknown cell "without sun"; those of this scenario are as recorded, `},
		"grid's reason":       {"title: t\ngrid:\n  shuffled\n", `x.scenario:3: want a cell of the grid and why`},
		"too few columns":     {base("+0s web docker"), `x.scenario:6: an event is "TIME PLACE SOURCE KIND field=value …"`},
		"time":                {base("3s web docker container"), `x.scenario:6: time "3s": want an offset from the start such as +3s`},
		"unknown place":       {base("+3s wbe docker container"), `x.scenario:6: unknown place "wbe"`},
		"unknown source":      {base("+3s web doker container"), `x.scenario:6: unknown source "doker"; want one of docker, `},
		"unknown kind":        {base("+3s web docker contaner"), `x.scenario:6: unknown kind "contaner"; want one of image, `},
		"unknown field":       {base("+3s web docker container\n     actoin=start"), `x.scenario:7: container: unknown field "actoin"; want one of action, `},
		"field twice":         {base("+3s web docker container id=a id=b"), `x.scenario:6: container: field "id" stands twice`},
		"no value":            {base("+3s web docker container id= name=b"), `x.scenario:6: a value is missing; write "" for an empty text`},
		"no name":             {base("+3s web docker container start"), `x.scenario:6: "start": want name=value`},
		"word":                {base("+3s web docker container action=stop"), `x.scenario:6: container: action: "stop": want one of create, update, `},
		"number":              {base("+3s web auditd process pid=many"), `x.scenario:6: process: pid: "many" is no whole number`},
		"flag":                {base("+3s web auditd socket success=yes"), `x.scenario:6: socket: success: "yes": want true or false`},
		"digest":              {base("+3s web docker image digest=sha256:12"), `x.scenario:6: image: digest: "sha256:12": not a digest`},
		"address":             {base("+3s web zeek flow src=192.0.2.1"), `x.scenario:6: flow: src: `},
		"undeclared":          {base("+3s web docker container id=$c2"), `x.scenario:6: container: id: unknown short name $c2; name it below`},
		"open quotes":         {base("+3s web docker container name=\"a\n     id=b"), `x.scenario:6: the quotes are not closed`},
		"open list":           {base("+3s web auditd process\n     args=[a, b"), `x.scenario:7: a list or object is not closed; "]" is missing`},
		"blanks in a list":    {base("+3s web auditd process args=[a b]"), `x.scenario:6: want a comma before "b]"`},
		"single quotes":       {base("+3s web auditd process args=['a']"), `x.scenario:6: 'a': a text with quotes in it`},
		"a word for a list":   {base("+3s web auditd process args=a"), `x.scenario:6: process: args: want a list`},
		"a list for a word":   {base("+3s web auditd process exe=[a]"), `x.scenario:6: process: exe: want one value`},
		"an empty interval":   {base("+3s..+3s web docker container"), `x.scenario:6: "+3s..+3s" ends before it begins`},
		"far away":            {base("+40000d web docker container"), `x.scenario:6: time "+40000d" is more than 36500 days`},
		"depth":               {base("+3s web json plain fields={a: " + strings.Repeat("[", 50) + "}"), `more than 32 lists and objects`},
		"not text":            {"title: \xff\n", `x.scenario: the file is not UTF-8 text`},
		"comment at the end":  {"title: t\nfindings:\n  high\n# x\n", `x.scenario:4: a comment below "findings" would be lost`},
		"too many":            {"title: t\n" + strings.Repeat("x\n", 30), `x.scenario: and 10 faults more`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scenario.Read("x.scenario", []byte(c.text), lib)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// FuzzRead: no text panics, and what is found is read from the rewritten file
// as it was written.
func FuzzRead(f *testing.F) {
	lib := library(f)
	f.Add([]byte(small))
	for _, file := range written(f) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := scenario.Read("x.scenario", data, lib)
		if err != nil {
			return
		}
		got := s.Render(scenario.Run(lib, s))
		again, err := scenario.Read("x.scenario", s.Rewrite(got), lib)
		if err != nil {
			t.Fatal(err)
		}
		if again.Want != got || again.Render(scenario.Run(lib, again)) != got {
			t.Fatalf("found\n%s\nread\n%s\nfound again\n%s", got, again.Want, again.Render(scenario.Run(lib, again)))
		}
	})
}
