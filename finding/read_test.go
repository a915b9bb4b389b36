package finding

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// readAll reads every finding of a text, and the faults.
func readAll(s string) (out []Told, faults []error) {
	r := NewReader(strings.NewReader(s), "f.json")
	for {
		told, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return out, faults
		case err != nil:
			faults = append(faults, err)
		default:
			out = append(out, told)
		}
	}
}

// withoutBodies takes from an encoded finding what is told of a record's body
// beyond words, which is not read back.
func withoutBodies(t *testing.T, b []byte) string {
	t.Helper()
	doc := decoded(t, b)
	for _, e := range list(doc["evidences"]) {
		for _, key := range []string{"process", "file", "dst_endpoint", "src_endpoint", "connection_info", "query"} {
			delete(e.(map[string]any), key)
		}
	}
	out, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestWhatIsWrittenReadsBack: a finding that was read back is written like the
// one that it was, save for the bodies of records.
func TestWhatIsWrittenReadsBack(t *testing.T) {
	for name, f := range shapes() {
		t.Run(name, func(t *testing.T) {
			for _, raw := range []Raw{text("line one\nline <two>"), gone{}} {
				before := encoded(t, f, raw)
				told, faults := readAll(string(before))
				if len(faults) > 0 || len(told) != 1 {
					t.Fatalf("%d findings, faults %v", len(told), faults)
				}
				g := told[0]
				after := encoded(t, g.Finding, g.Raw)
				if got, want := withoutBodies(t, after), withoutBodies(t, before); got != want {
					t.Errorf("read back:\n%s\nwant\n%s", got, want)
				}
				if g.Version != "1.2.3" || g.File != "f.json" || g.Line != 1 {
					t.Errorf("version %q, %s:%d", g.Version, g.File, g.Line)
				}
				if g.Finding.First != f.First || g.Finding.Last != f.Last {
					t.Errorf("first %d, last %d; want %d, %d", g.Finding.First, g.Finding.Last, f.First, f.Last)
				}
			}
		})
	}
}

// A pod keeps its containers, its owner and who asked for it.
func TestPodsReadBack(t *testing.T) {
	c, side := *webContainer(), *webContainer()
	side.ID, side.Name = strings.Repeat("5", 64), "side"
	fact := command(3, "/bin/sh")
	fact.Container = 1
	whole := command(4, "/bin/id")
	whole.Container = evidence.Whole
	a := assessed(evidence.SubjectID{Kind: "pod", ID: "u-1", Place: event.Place{Cluster: "blue"}}, evidenceOf(cited("command", command(1, "/bin/ls"), fact, whole)...))
	a.Container, a.Containers = &c, []evidence.Container{c, side}
	a.Pod = &evidence.Pod{Namespace: "shop", Name: "web-7d9", UID: "u-1", Cluster: "blue", Node: "node1", Owner: event.ObjectRef{Kind: "Deployment", Namespace: "shop", Name: "web"},
		Creators: []evidence.Creator{{By: event.Principal{Name: "alice"}}}}
	f := composed(a)
	told, faults := readAll(string(encoded(t, f, text("r"))))
	if len(faults) > 0 || len(told) != 1 {
		t.Fatal(faults)
	}
	g := told[0].Finding
	if got, want := withoutBodies(t, encoded(t, g, text("r"))), withoutBodies(t, encoded(t, f, text("r"))); got != want {
		t.Errorf("read back:\n%s\nwant\n%s", got, want)
	}
	if got, want := g.Subjects[0].PodWords(), f.Subjects[0].PodWords(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if e := g.Evidence; e[0].Container != 0 || e[1].Container != 1 || e[2].Container != evidence.Whole {
		t.Errorf("records are of containers %d, %d, %d", e[0].Container, e[1].Container, e[2].Container)
	}
}

// A push keeps the image that a registry took in.
func TestPushesReadBack(t *testing.T) {
	a := assessed(evidence.SubjectID{Kind: "publication", ID: "e-1", Place: event.Place{Host: "hub"}}, cause(digest(digestA).String()))
	a.Container = nil
	a.Image = &evidence.Image{Reference: image.Parse("registry.corp.example/base/node:20"), Digests: []image.Digest{digest(digestA)}, Canonical: digest(digestA), Origin: evidence.OriginRegistry}
	f := composed(a)
	told, faults := readAll(string(encoded(t, f, text("r"))))
	if len(faults) > 0 || len(told) != 1 {
		t.Fatal(faults)
	}
	g := told[0].Finding
	if got, want := withoutBodies(t, encoded(t, g, text("r"))), withoutBodies(t, encoded(t, f, text("r"))); got != want {
		t.Errorf("read back:\n%s\nwant\n%s", got, want)
	}
	if i := g.Subjects[0].Image; i == nil || i.Canonical != digest(digestA) || i.Reference != a.Image.Reference || g.Subjects[0].Container != nil {
		t.Errorf("subject %+v", g.Subjects[0])
	}
	if !strings.HasPrefix(f.Title, "push of registry.corp.example/base/node:20") {
		t.Errorf("title %q", f.Title)
	}
}

// Array, lines, and objects printed over many lines: the same findings.
func TestFormsOfAFile(t *testing.T) {
	one := strings.TrimSpace(string(encoded(t, composed(assessed(subject("a"))), text("x"))))
	var pretty strings.Builder
	enc := json.NewEncoder(&pretty)
	enc.SetIndent("", "  ")
	if err := enc.Encode([]json.RawMessage{[]byte(one), []byte(one)}); err != nil {
		t.Fatal(err)
	}
	object, err := json.MarshalIndent(json.RawMessage(one), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	height := strings.Count(string(object), "\n") + 1
	for name, c := range map[string]struct {
		in    string
		lines []int
	}{
		"lines":             {one + "\n" + one + "\n", []int{1, 2}},
		"blank lines":       {"\n\n" + one + "\n\n" + one, []int{3, 5}},
		"array":             {"[" + one + ",\n" + one + "]\n", []int{1, 2}},
		"array, printed":    {pretty.String(), []int{2, 2 + height}},
		"objects, printed":  {string(object) + "\n" + string(object), []int{1, 1 + height}},
		"nothing":           {"", nil},
		"nothing but space": {"\n \t\r\n", nil},
		"empty array":       {"[]\n", nil},
	} {
		told, faults := readAll(c.in)
		var lines []int
		for _, g := range told {
			lines = append(lines, g.Line)
		}
		if len(faults) > 0 || fmt.Sprint(lines) != fmt.Sprint(c.lines) {
			t.Errorf("%s: findings at lines %v, want %v; faults %v", name, lines, c.lines, faults)
		}
	}
}

// What cannot be read is named by file and line, and what can be read is.
func TestBadFilesAreNamed(t *testing.T) {
	one := strings.TrimSpace(string(encoded(t, composed(assessed(subject("a"))), text("x"))))
	for name, c := range map[string]struct {
		in    string
		good  int
		fault string
	}{
		"cut":                 {one + "\n" + one[:200], 1, "f.json:2: no JSON: the file ends within a finding"},
		"array, cut":          {"[" + one + ",\n", 1, "f.json:2: no JSON: the file ends within a finding"},
		"no JSON":             {one + "\nHIGH evil\n", 1, "f.json:2: no JSON: invalid character 'H'"},
		"two arrays":          {"[]\n[]", 0, "f.json:2: no JSON: something follows"},
		"another class":       {"{\"class_uid\":1007}\n" + one, 1, "f.json:1: not a finding that tidewaiter wrote: class_uid 1007"},
		"another product":     {`{"class_uid":2004,"metadata":{"product":{"name":"x"}}}` + one, 1, `metadata.product.name "x"`},
		"a number":            {"7\n" + one, 1, "f.json:1: not a finding that tidewaiter wrote: json: cannot unmarshal number"},
		"a wrong type":        {strings.Replace(one, `"severity_id":3`, `"severity_id":"x"`, 1) + "\n" + one, 1, "f.json:1: "},
		"a severity too high": {strings.Replace(one, `"severity_id":3`, `"severity_id":77`, 1) + "\n" + one, 1, "severity_id 77: want 0 to 5"},
		"a time that is none": {strings.Replace(one, `"time":"2026`, `"time":"x2026`, 1) + "\n" + one, 1, "evidences[0]: data.time"},
		"no id":               {strings.Replace(one, `"uid":"tw-`, `"was":"tw-`, 1), 0, "finding_info.uid is missing"},
		"a digest that is none": {strings.Replace(one, `"image_digest":"sha256:`, `"image_digest":"sha256:zz`, 1), 0,
			"unmapped.entities[0]: image_digest"},
	} {
		told, faults := readAll(c.in)
		if len(told) != c.good || len(faults) != 1 || !strings.Contains(faults[0].Error(), c.fault) {
			t.Errorf("%s: %d findings, want %d; faults %v, want %s", name, len(told), c.good, faults, c.fault)
		}
	}
}

// FuzzReader: whatever a file holds, reading ends, without a panic, and what it
// gives can be written.
func FuzzReader(f *testing.F) {
	f.Add(`{"class_uid":2004,"metadata":{"product":{"name":"tidewaiter"}},"finding_info":{"uid":"tw-1"},"evidences":[{"data":{}}]}`)
	f.Add(`[{"class_uid":2004}]`)
	f.Add("[1,2")
	f.Fuzz(func(t *testing.T, in string) {
		told, _ := readAll(in)
		for _, g := range told {
			if _, err := json.Marshal(g.Finding.OCSF(g.Raw, "")); err != nil {
				t.Errorf("%q: %v", in, err)
			}
			if g.Finding.Severity > analytic.Critical {
				t.Errorf("%q: severity %d", in, g.Finding.Severity)
			}
		}
	})
}
