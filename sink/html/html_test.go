package html_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	xhtml "golang.org/x/net/html"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/finding"
	"tidewaiter/image"
	"tidewaiter/sink/html"
)

// hostile are texts that a log may hold and that break what is careless.
var hostile = map[string]string{
	"markup":     `<script>alert(1)</script><img src=x onerror=alert(1)>"'><svg/onload=alert(1)>`,
	"ends":       `</title></style></pre></summary></svg></body><!--`,
	"attributes": `" onmouseover="alert(1)" x="`,
	"template":   `{{.Title}}{{template "head"}}&lt;script&gt;&#x3c;script&#x3e;`,
	"link":       `javascript:alert(1)`,
	"control":    "a\x1b[2J\x00\x07\r\u0085b\xff\xfe",
	"direction":  "evil\u202egpj.exe\u2066x\u200b\ufeff\u2028",
	"long":       strings.Repeat("A", 10_000),
	"wide":       strings.Repeat("é<", 4_000),
}

// raw gives the same record for every citation.
type raw string

func (r raw) Read(event.Origin) (string, error) { return string(r), nil }

type gone struct{}

func (gone) Read(event.Origin) (string, error) { return "", errors.New("no such file") }

var noon = time.Date(2026, 11, 6, 12, 0, 0, 0, time.UTC)

// record is a piece of evidence at so many seconds after noon.
func record(seconds float64, kind evidence.Kind, leg, s string, signals ...string) finding.Evidence {
	at := event.At(noon.Add(time.Duration(seconds*float64(time.Second))), event.Millisecond)
	e := &event.Event{
		ID: event.NewID(fmt.Sprint(seconds), string(kind)), Time: at, Body: &event.Plain{},
		Origin: event.Origin{Source: event.Auditd, File: "/logs/" + s + ".log", Spans: []event.Span{{Line: 7}}},
	}
	return finding.Evidence{Event: e, Kind: kind, Leg: leg, Signals: signals, Says: s}
}

// story is a finding in which every text that may come from a log, a policy or
// a stored file is s.
func story(s string) finding.Finding {
	d, err := image.ParseDigest("sha256:" + strings.Repeat("ab", 32))
	if err != nil {
		panic(err)
	}
	container := &evidence.Container{ID: s, Name: s, Host: s, Image: evidence.Image{Reference: image.Parse("registry.example/web:1"), Digests: []image.Digest{d}}}
	return finding.Finding{
		ID: s, Family: s, State: finding.State(s), SupersededBy: s, Severity: analytic.High, Score: 61, Confidence: 0.9, Scope: s, Title: s, Owner: s, Chain: s,
		Analytics: []analytic.Raised{{ID: "AN0691", Strategy: "DET0248", Techniques: []string{"T1204.003"}, Name: s}, {ID: s + "!", Strategy: s, Techniques: []string{s + "!"}, Name: s}},
		Subjects: []finding.Subject{{Container: container}, {Container: container, Pod: &evidence.Pod{Namespace: s, Name: s, Node: s, Owner: event.ObjectRef{Kind: s, Name: s},
			Creators: []evidence.Creator{{By: event.Principal{Name: s}}}}}},
		Signals: []finding.Signal{{Name: s, Points: 20, Says: s}, {Name: s, Learning: true, Says: s}},
		Legs: []finding.Leg{{Name: "arrival", State: analytic.Blind, Missing: s}, {Name: "egress", State: analytic.Absent, Missing: s}, {Name: "start", State: analytic.Untied, Missing: s},
			{Name: "command", State: analytic.Seen}},
		Evidence: []finding.Evidence{record(0, evidence.Creation, "creation", s), record(1, evidence.Command, "command", s, s), record(1.01, evidence.Command, "command", s),
			record(2, evidence.Lookup, "", s), record(3, evidence.Exit, "", s)},
		Clear: []string{s}, Notes: []string{s}, First: noon.UnixNano(), Last: noon.UnixNano() + 3*event.Second, Omitted: 3,
	}
}

// page is a page in which every text is s.
func page(s string) html.Page {
	return html.Page{
		Hunted: []string{s, s}, Made: noon, Version: s, Findings: []finding.Finding{story(s), story(s)}, Hidden: 2, Minimum: analytic.Low, Raw: raw(s), Warning: s,
		Account: &html.Account{
			Sources: []html.Source{{Name: s, Files: 1, Records: 1234567, Unreadable: 1}}, First: noon.UnixNano(), Last: noon.UnixNano(), Unseen: []string{s},
			Lines: append(slices.Repeat([]html.Line{{Label: "a" + s, Text: s}}, 9), html.Line{Label: s, Text: s}, html.Line{Text: s}),
		},
	}
}

func write(t *testing.T, p html.Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// shape lists every element with the names of its attributes, and checks where
// its links lead.
func shape(t *testing.T, doc string) []string {
	t.Helper()
	root, err := xhtml.Parse(strings.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for n := range root.Descendants() {
		switch n.Type {
		case xhtml.CommentNode:
			out = append(out, "comment")
		case xhtml.ElementNode:
			s := n.Data
			for _, a := range n.Attr {
				s += " " + a.Key
				if a.Key == "href" && !strings.HasPrefix(a.Val, "#") && !strings.HasPrefix(a.Val, "https://attack.mitre.org/") {
					t.Errorf("a link leads to %.100q", a.Val)
				}
				if a.Key == "src" || a.Key == "style" || strings.HasPrefix(a.Key, "on") {
					t.Errorf("<%s> has the attribute %s", n.Data, a.Key)
				}
			}
			out = append(out, s)
		}
	}
	return out
}

// Whatever a log holds, the page has the elements and attributes that the
// template wrote, and no others.
func TestHostileNamesStayText(t *testing.T) {
	want := shape(t, write(t, page("plain")))
	for name, s := range hostile {
		doc := write(t, page(s))
		if got := shape(t, doc); !slices.Equal(got, want) {
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Errorf("%s: element %d is <%s>, want <%s>", name, i, got[i], want[i])
					break
				}
			}
			t.Errorf("%s: %d elements, want %d", name, len(got), len(want))
		}
		for i, r := range doc {
			if (r < ' ' && r != '\n') || (r >= 0x7f && r < 0xa0) || (r >= 0x200b && r <= 0x200f) || (r >= 0x2028 && r <= 0x202e) || (r >= 0x2060 && r <= 0x2069) || r == 0xfeff || r == 0xfffd {
				t.Fatalf("%s: character %U at byte %d", name, r, i)
			}
		}
	}
	doc := write(t, page(hostile["direction"]))
	if !strings.Contains(doc, `evil\u{202e}gpj.exe\u{2066}x\u{200b}\u{feff}\u{2028}`) {
		t.Error("directions are not made visible")
	}
	if doc := write(t, page(hostile["long"])); !strings.Contains(doc, "… (8500 more characters)") {
		t.Error("a long name is not cut")
	}
}

// The page loads nothing and runs nothing, and says so to the browser.
func TestThePageStandsAlone(t *testing.T) {
	doc := write(t, page("plain"))
	for _, no := range []string{"<script", "<link", "@import", "url(http", "@font-face", "<iframe", "<img", "http-equiv=\"refresh\""} {
		if strings.Contains(doc, no) {
			t.Errorf("the page has %s", no)
		}
	}
	_, rest, _ := strings.Cut(doc, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	root, err := xhtml.Parse(strings.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for n := range root.Descendants() {
		for _, a := range n.Attr {
			found = found || a.Key == "content" && strings.HasPrefix(a.Val, policy)
		}
	}
	if !found {
		t.Errorf("the policy does not allow this style alone; want %s", policy)
	}
	if strings.Count(doc, `rel="noreferrer noopener"`) != strings.Count(doc, "https://attack.mitre.org/") {
		t.Error("a link outside tells where it comes from")
	}
}

// Every id is there once, and every link inside the page leads somewhere.
func TestLinksInsideLeadSomewhere(t *testing.T) {
	root, err := xhtml.Parse(strings.NewReader(write(t, page("plain"))))
	if err != nil {
		t.Fatal(err)
	}
	ids, links := map[string]int{}, map[string]bool{}
	for n := range root.Descendants() {
		for _, a := range n.Attr {
			switch a.Key {
			case "id":
				ids[a.Val]++
			case "href":
				if to, inside := strings.CutPrefix(a.Val, "#"); inside {
					links[to] = true
				}
			}
		}
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("%d elements have the id %s", n, id)
		}
	}
	for to := range links {
		if ids[to] == 0 {
			t.Errorf("nothing has the id %s", to)
		}
	}
	if len(links) < 6 {
		t.Errorf("only %d links", len(links))
	}
}

// A finding tells everything that the time line on a terminal tells.
func TestAFindingIsToldInFull(t *testing.T) {
	doc := write(t, page("sh"))
	for _, want := range []string{
		"<b>61</b> of 100", "<b>90 %</b>", "scope sh", `https://attack.mitre.org/techniques/T1204/003/`, `https://attack.mitre.org/detectionstrategies/DET0248#AN0691`,
		"not observable here", "absent", "tied to nobody", "no source here records it; sh cannot be told", "&#43;20", "noted, not counted", "12:00:01.000", "sh.log:7",
		"and 3 more of the same story", "sha256:abab", "superseded by sh", "2 findings", "1\u202f234\u202f567", "2026-11-06 12:00:00 to 2026-11-06 12:00:00 UTC",
		"2 more below low are not shown", "Interrupted.",
	} {
		if !strings.Contains(doc, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// No findings: the page says so, and what nobody could have seen.
func TestNoFindings(t *testing.T) {
	for name, c := range map[string]struct {
		account *html.Account
		want    string
	}{
		"nothing unseen": {&html.Account{}, "Records told of every part of a story"},
		"unseen":         {&html.Account{Unseen: []string{"connections"}}, "nobody could have seen, because no record told of it: <strong>connections</strong>"},
		"stored":         {nil, "what that hunt read, and what it could not, is not stored"},
	} {
		doc := write(t, html.Page{Made: noon, Account: c.account})
		if !strings.Contains(doc, "No findings") || !strings.Contains(doc, c.want) {
			t.Errorf("%s: %q is missing", name, c.want)
		}
	}
}

// A thousand findings with much evidence make a page of bounded size that says
// what it leaves out.
func TestManyFindings(t *testing.T) {
	f := story("sh")
	for i := range 1000 {
		f.Evidence = append(f.Evidence, record(10+float64(i)*7, evidence.Command, "command", strings.Repeat("x", 500)+strings.Repeat("y", i)))
	}
	p := page("sh")
	p.Findings = slices.Repeat([]finding.Finding{f}, 2*html.MaxRows)
	p.Raw = raw(strings.Repeat("record ", 5000))
	doc := write(t, p)
	if len(doc) > 2*html.MaxBytes {
		t.Errorf("%d bytes", len(doc))
	}
	told := strings.Count(doc, `<article class="finding"`)
	for _, want := range []string{
		"4000 findings", "and 2000 more that this page has no room for", fmt.Sprintf("%d more findings are not told in full", 4000-told),
		fmt.Sprintf("and %d more of the same story", 3+1005-html.MaxEvidence), "the first 16384 of 35000 bytes", "MiB of records already",
	} {
		if !strings.Contains(doc, want) {
			t.Errorf("%q is missing; %d told in full", want, told)
		}
	}
}

// Records that cannot be read again are told with the reason.
func TestLostRecords(t *testing.T) {
	p := page("sh")
	p.Raw = gone{}
	if doc := write(t, p); !strings.Contains(doc, "raw record: no such file") {
		t.Error("the reason is missing")
	}
	p.Raw = nil
	if doc := write(t, p); !strings.Contains(doc, "its text was not kept") {
		t.Error("the reason is missing")
	}
}

// A finding without a container, a time or evidence is still written.
func TestThinFindings(t *testing.T) {
	timeless := record(0, evidence.Command, "command", "sh")
	timeless.Event = &event.Event{Body: &event.Plain{}}
	doc := write(t, html.Page{Made: noon, Findings: []finding.Finding{{ID: "tw-2", Severity: analytic.Info, Title: "t", Subjects: []finding.Subject{{ID: evidence.SubjectID{Kind: "event", ID: "x"}}}},
		{ID: "tw-3", Evidence: []finding.Evidence{timeless}}}})
	for _, want := range []string{"tw-2", "tw-3", "None of its records tells a time", "without a time"} {
		if !strings.Contains(doc, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// A record that several containers share is listed once.
func TestSharedRecordsAreListedOnce(t *testing.T) {
	f := story("sh")
	again := f.Evidence[1]
	again.Signals = []string{"another"}
	f.Evidence = append(f.Evidence, again)
	doc := write(t, html.Page{Made: noon, Findings: []finding.Finding{f}})
	if n := strings.Count(doc, "<details id="); n != 5 || !strings.Contains(doc, "counts for sh, another") {
		t.Errorf("%d records, want 5, with the reasons of both", n)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestAFailedWriteIsTold(t *testing.T) {
	if err := page("sh").Write(broken{}); err == nil {
		t.Error("no error")
	}
}
