package text_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/finding"
	"tidewaiter/image"
	"tidewaiter/sink/text"
)

// controls reports characters that a terminal acts on, line ends aside.
func controls(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || (r >= 0x200b && r <= 0x200f) || (r >= 0x2028 && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069)
	})
}

const hostile = "x\x1b[2J\x1b]0;y\a\u202e\n\xff"

// story is a finding in which every text that may come from a log or a policy
// is s.
func story(s string) finding.Finding {
	e := &event.Event{Time: event.Time{At: 1_800_000_000 * event.Second, Res: 1}, Origin: event.Origin{File: "/logs/" + s + ".log", Spans: []event.Span{{Line: 7}}}}
	late := &event.Event{Time: event.Time{At: 1_800_090_000 * event.Second, Res: 1}, Origin: event.Origin{File: "/logs/b/" + s + ".log", Spans: []event.Span{{Line: 8}}}}
	d, err := image.ParseDigest("sha256:" + strings.Repeat("ab", 32))
	if err != nil {
		panic(err)
	}
	return finding.Finding{
		ID: "tw-1", Family: s, State: finding.Confirmed, Severity: analytic.High, Score: 61, Confidence: 0.9, Scope: s, Title: s + " in " + s, Owner: s, Chain: s,
		Analytics: []analytic.Raised{{ID: s, Strategy: s, Techniques: []string{s}, Name: s}},
		Subjects:  []finding.Subject{{Container: &evidence.Container{ID: s, Name: s, Image: evidence.Image{Reference: image.Parse(s), Digests: []image.Digest{d}}}}},
		Signals:   []finding.Signal{{Name: "image-untrusted", Points: 20, Says: s}, {Name: "image-new", Learning: true, Says: s}},
		Legs: []finding.Leg{{Name: "arrival", State: analytic.Blind, Missing: "how it came"}, {Name: "egress", State: analytic.Absent, Missing: "whom it contacted"},
			{Name: "command", State: analytic.Seen}},
		Evidence: []finding.Evidence{{Event: e, Kind: evidence.Command, Leg: "command", Signals: []string{"image-untrusted"}, Says: s}, {Event: late, Kind: evidence.Command, Says: s}},
		Clear:    []string{s}, Notes: []string{s}, First: e.Time.At, Last: late.Time.At, Omitted: 3,
	}
}

// forged is a story that somebody wrote by hand: what a hunt takes from its
// own tables is hostile as well.
func forged(s string) finding.Finding {
	f := story(s)
	f.ID, f.State = s, finding.State(s)
	for i := range f.Signals {
		f.Signals[i].Name = s
	}
	f.Legs = append(f.Legs, finding.Leg{Name: s, State: analytic.LegState(s), Missing: s, What: s})
	for i := range f.Evidence {
		f.Evidence[i].Leg = s
	}
	return f
}

// raw gives the same record for every citation.
type raw string

func (r raw) Read(event.Origin) (string, error) { return string(r), errors.New(string(r)) }

// Raw records are told once each, line by line, and why one is missing.
func TestRecordsArePrintedOnce(t *testing.T) {
	var b bytes.Buffer
	p := text.Printer{W: &b}
	f := story("sh")
	f.Evidence = append(f.Evidence, f.Evidence[0])
	p.Records(f, raw("type=A\ntype=B"))
	const want = "\n  records\n  /logs/sh.log:7\n    type=A\n    type=B\n    not kept: type=A\\ntype=B\n  /logs/b/sh.log:8\n    type=A\n    type=B\n    not kept: type=A\\ntype=B\n"
	if b.String() != want {
		t.Errorf("got\n%q\nwant\n%q", b.String(), want)
	}
	p.Records(forged(hostile), raw(hostile))
	for line := range strings.Lines(b.String()) {
		if line = strings.TrimSuffix(line, "\n"); controls(line) {
			t.Errorf("%q", line)
		}
	}
}

func printed(f finding.Finding, p text.Printer) string {
	var b bytes.Buffer
	p.W = &b
	p.Findings([]finding.Finding{f, f})
	return b.String()
}

// Whatever a log holds, on the terminal it is text.
func TestNothingFromALogReachesTheTerminal(t *testing.T) {
	for _, width := range []int{0, 60, 100, 300} {
		for line := range strings.Lines(printed(story(hostile), text.Printer{Width: width}) + printed(forged(hostile), text.Printer{Width: width})) {
			if line = strings.TrimSuffix(line, "\n"); controls(line) || !utf8.ValidString(line) {
				t.Errorf("width %d: %q", width, line)
			}
		}
	}
}

// Colours are ours alone, and they can be taken off without a trace.
func TestColoursAreOnlyPaint(t *testing.T) {
	for _, s := range []string{"plain", hostile} {
		colored := printed(story(s), text.Printer{Width: 100, Color: true})
		if !strings.Contains(colored, "\x1b[") {
			t.Error("no colours")
		}
		for _, style := range []text.Style{text.Bold, text.Dim, text.Red, text.Yellow, text.Cyan, text.Alarm, text.Blue, text.Magenta, text.Green, "0"} {
			colored = strings.ReplaceAll(colored, "\x1b["+string(style)+"m", "")
		}
		if plain := printed(story(s), text.Printer{Width: 100}); colored != plain {
			t.Errorf("without its colours it reads\n%s\nwant\n%s", colored, plain)
		}
	}
}

func TestLinesFitTheTerminal(t *testing.T) {
	long := strings.Repeat("word ", 60) + strings.Repeat("w", 400)
	for _, width := range []int{60, 80, 100, 200} {
		for line := range strings.Lines(printed(story(long), text.Printer{Width: width})) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("width %d: a line of %d: %s", width, n, line)
			}
			if strings.Contains(line, "……") {
				t.Errorf("width %d: cut twice: %s", width, line)
			}
		}
	}
}

// A finding tells when, what, where it stands, what was missing and why it
// matters.
func TestAFindingReadsAsATimeLine(t *testing.T) {
	out := printed(story("sh"), text.Printer{Width: 100})
	for _, want := range []string{
		" HIGH  sh in sh", "score 61 of 100 · confidence 90 % · confirmed", "2027-01-15 to 2027-01-16 UTC, records in /logs/",
		"Jan 15 08:00:00 !command    sh", "sh.log:7", "09:00:00.000  ", "b/sh.log:8", "and 3 more records of the same story",
		"arrival: no source here records it; how it came cannot be told",
		"egress: its sources were working and recorded none",
		"why        +20  image-untrusted: sh", "–  image-new: sh", "note       sh", "to settle  sh",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

// The times of a story's last day are full, those of earlier days have their
// date; of another year it is the year that counts.
func TestTimesTellTheirDay(t *testing.T) {
	const last = 1_800_090_000 // 2027-01-16 09:00
	for _, c := range []struct {
		before int64 // seconds before the last record
		header string
		first  string
	}{
		{3600, "2027-01-16 UTC", "08:00:00.000 !command"},
		{9*3600 + 1, "2027-01-15 to 2027-01-16 UTC", "Jan 15 23:59:59 !command"},
		{20 * 86400, "2026-12-27 to 2027-01-16 UTC", "Dec 27 09:00:00 !command"},
		{400 * 86400, "2025-12-12 to 2027-01-16 UTC", "2025 Dec 12     !command"},
	} {
		f := story("sh")
		first, end := *f.Evidence[0].Event, *f.Evidence[1].Event
		first.Time.At, end.Time.At = (last-c.before)*event.Second, last*event.Second
		f.Evidence[0].Event, f.Evidence[1].Event, f.First, f.Last = &first, &end, first.Time.At, end.Time.At
		out := printed(f, text.Printer{Width: 100})
		for _, want := range []string{c.header, c.first, "09:00:00.000 "} {
			if !strings.Contains(out, want) {
				t.Errorf("%d s before: %q is missing in\n%s", c.before, want, out)
			}
		}
	}
}

// A score just under a threshold does not look like one at it.
func TestScoresAreRoundedDown(t *testing.T) {
	f := story("sh")
	f.Score = 57.6
	if out := printed(f, text.Printer{Width: 100}); !strings.Contains(out, "score 57 of 100") {
		t.Errorf("57.6 reads\n%s", out)
	}
}

// Of many records the first and those that count are listed; -v lists all.
func TestManyRecordsAreCutUnlessAsked(t *testing.T) {
	f := story("sh")
	for i := range 100 {
		e := f.Evidence[0]
		e.Signals = nil
		ev := *e.Event
		ev.Time.At += int64(i) * event.Second
		e.Event = &ev
		f.Evidence = append(f.Evidence, e)
	}
	count := func(p text.Printer) int { return strings.Count(printed(f, p), "sh.log:7") / 2 }
	if short, all := count(text.Printer{Width: 100}), count(text.Printer{Width: 100, Verbose: true}); short > 40 || all != 101 {
		t.Errorf("%d records without -v, %d with; want at most 40, and 101", short, all)
	}
	if out := printed(f, text.Printer{Width: 100}); !strings.Contains(out, "more records of the same story") {
		t.Error("what is not listed is not counted")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestAFailedWriteIsTold(t *testing.T) {
	p := text.Printer{W: broken{}}
	p.Finding(story("sh"))
	if p.Err() == nil {
		t.Error("no error")
	}
}

// A finding without a container or evidence is still printed.
func TestAThinFindingIsPrinted(t *testing.T) {
	out := printed(finding.Finding{ID: "tw-2", Severity: analytic.Info, Title: "t", Subjects: []finding.Subject{{ID: evidence.SubjectID{Kind: "event"}}}}, text.Printer{})
	if !strings.Contains(out, "INFO") || !strings.Contains(out, "tw-2") {
		t.Errorf("%s", out)
	}
}
