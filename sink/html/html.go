// Package html writes a hunt as one page: every finding with its story drawn
// over time, the reasons, the records, and the account of what was read.
//
// In: findings, and what was read. Out: one HTML document that loads nothing
// and runs nothing. Whatever a log holds is text on it: html/template escapes
// it for where it stands, and visible.Text shows what would be invisible.
package html

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // the template and the style
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/finding"
	"tidewaiter/visible"
)

// Bounds of a page. What they leave out is counted on it.
const (
	// MaxRows is how many findings are listed.
	MaxRows = 2000
	// MaxDetails is how many findings are told in full.
	MaxDetails = 200
	// MaxEvidence is how many records are listed of one finding. Records that
	// count for a reason go first.
	MaxEvidence = 200
	// MaxSubjects is how many affected things are named of one finding.
	MaxSubjects = 50
	// MaxBytes is about how large all findings together can be.
	MaxBytes = 8 << 20
	// MaxRecord is how many bytes of one raw record are shown, MaxRecords of
	// all.
	MaxRecord, MaxRecords = 16 << 10, 4 << 20
	// MaxText is how many characters of one text are shown.
	MaxText = 1500
)

// Page is a hunt to be written.
type Page struct {
	// Hunted are the files and folders that were hunted through.
	Hunted []string
	// Made is when the page was made; Version is the program's.
	Made    time.Time
	Version string
	// Findings are what to show, worst first; Hidden are further ones below
	// Minimum.
	Findings []finding.Finding
	Hidden   int
	Minimum  analytic.Severity
	// Raw reads their records; nil for no records.
	Raw finding.Raw
	// Warning says why the hunt is not whole, or "".
	Warning string
	// Account is what was read; nil if nobody knows.
	Account *Account
}

// Account is what a hunt read, and what it did not.
type Account struct {
	Sources []Source
	// First and Last are the times of the first and last event, Unix
	// nanoseconds; 0 if there is none.
	First, Last int64
	// Unseen names what no record told of: the parts of a story for which
	// there was no source.
	Unseen []string
	// Lines are everything else, in order.
	Lines []Line
}

// Source is what was read of one kind of sensor.
type Source struct {
	Name                                 string
	Files                                int
	Records, Events, Skipped, Unreadable int64
}

// Line is one line of an account.
type Line struct{ Label, Text string }

//go:embed page.html
var pageText string

//go:embed style.css
var styleText string

// Write writes the page.
func (p Page) Write(w io.Writer) error {
	t, err := template.New("page").Funcs(functions()).Parse(pageText)
	if err != nil {
		return fmt.Errorf("parse the page's template: %w", err)
	}
	b := builder{page: p, template: t}
	details, err := b.details()
	if err != nil {
		return err
	}
	var head, foot bytes.Buffer
	if err := t.ExecuteTemplate(&head, "head", b.head(len(details))); err != nil {
		return fmt.Errorf("write the page's head: %w", err)
	}
	if err := t.ExecuteTemplate(&foot, "foot", b.foot(len(details))); err != nil {
		return fmt.Errorf("write the page's foot: %w", err)
	}
	for _, part := range append(append([][]byte{head.Bytes()}, details...), foot.Bytes()) {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

func functions() template.FuncMap {
	return template.FuncMap{"v": show, "points": points, "percent": percent, "when": when, "number": number,
		"code": code, "pair": pair, "groups": groups, "unlisted": unlisted}
}

// code reports whether values with this label read best letter by letter.
func code(label string) bool { return label == "container id" || label == "digest" || label == "" }

// drawn is a chart with the number of its finding.
type drawn struct {
	Number int
	Chart  *chart
}

func pair(number int, c *chart) drawn { return drawn{number, c} }

// MaxLines is how many lines of an account are shown.
const MaxLines = 500

// group is the lines of an account that share a label.
type group struct {
	Label string
	Texts []string
}

// groups puts lines together; one without a label goes on with the label
// before it.
func groups(lines []Line) []group {
	var out []group
	for _, l := range lines[:min(len(lines), MaxLines)] {
		if n := len(out); n > 0 && (l.Label == "" || l.Label == out[n-1].Label) {
			out[n-1].Texts = append(out[n-1].Texts, l.Text)
			continue
		}
		out = append(out, group{l.Label, []string{l.Text}})
	}
	return out
}

func unlisted(lines []Line) int { return max(len(lines)-MaxLines, 0) }

// show makes text from a log visible, and bounds it.
func show(text any) string {
	s := visible.Text(fmt.Sprint(text))
	if n := utf8.RuneCountInString(s); n > MaxText {
		return string([]rune(s)[:MaxText]) + fmt.Sprintf("… (%d more characters)", n-MaxText)
	}
	return s
}

// clip makes text visible and shortens it.
func clip(s string, width int) string {
	s = visible.Text(s)
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

func points(s finding.Signal) string {
	if s.Learning {
		return "–"
	}
	return fmt.Sprintf("%+.0f", s.Points)
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*min(max(share, 0), 1)) }

func when(nanos int64) string { return event.Unix(nanos).Format("2006-01-02 15:04:05") }

// number groups digits by thousands.
func number(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// builder makes the parts of one page.
type builder struct {
	page     Page
	template *template.Template
	records  int // bytes of raw records so far
}

// headView is the page's head, with the list of findings.
type headView struct {
	Page
	Title   string
	Policy  string
	Style   template.CSS
	Counts  []count
	Rows    []row
	Unlined int // findings that are not even listed
}

type count struct {
	Severity analytic.Severity
	N        int
}

// row is one finding in the list; Number is 0 if it is not told in full.
type row struct {
	finding.Finding
	Number int
}

func (b *builder) head(detailed int) headView {
	fs := b.page.Findings
	v := headView{Page: b.page, Title: "No findings", Style: template.CSS(styleText)}
	if len(fs) == 1 {
		v.Title = "1 finding"
	} else if len(fs) > 1 {
		v.Title = fmt.Sprintf("%d findings", len(fs))
	}
	sum := sha256.Sum256([]byte(styleText))
	v.Policy = "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
	for s := analytic.Critical; s > analytic.None; s-- {
		n := 0
		for _, f := range fs {
			if f.Severity == s {
				n++
			}
		}
		if n > 0 || s >= analytic.Low {
			v.Counts = append(v.Counts, count{s, n})
		}
	}
	for i, f := range fs[:min(len(fs), MaxRows)] {
		r := row{Finding: f}
		if i < detailed {
			r.Number = i + 1
		}
		v.Rows = append(v.Rows, r)
	}
	v.Unlined = len(fs) - len(v.Rows)
	return v
}

// footView is the page's end.
type footView struct {
	Page
	Untold int // findings that are not told in full
}

func (b *builder) foot(detailed int) footView {
	return footView{b.page, len(b.page.Findings) - detailed}
}

// details writes each finding, as far as the bounds allow.
func (b *builder) details() ([][]byte, error) {
	var out [][]byte
	size := 0
	for i := range b.page.Findings {
		if len(out) == MaxDetails || size > MaxBytes {
			break
		}
		var part bytes.Buffer
		if err := b.template.ExecuteTemplate(&part, "finding", b.finding(i)); err != nil {
			return nil, fmt.Errorf("write finding %s: %w", b.page.Findings[i].ID, err)
		}
		size += part.Len()
		out = append(out, part.Bytes())
	}
	return out, nil
}

// findingView is one finding in full.
type findingView struct {
	*finding.Finding
	Number    int
	Analytics []analyticView
	Subject   subjectView   // the worst
	Subjects  []subjectView // the others
	Unnamed   int           // further ones
	Charts    []*chart
	Missing   []finding.Leg
	Folder    string
	Records   []recordView
	Rest      int // records that are not listed
}

type analyticView struct {
	ID, Name, Strategy, Link string
	Techniques               []link
}

type link struct{ Text, To string }

// subjectView is what is affected, as names and values.
type subjectView []Line

type recordView struct {
	finding.Listed
	Time, Clock, Class string
	Day                string // "" for that of the record before
	File               string
	Line               int
	Lines              []string
	Fault              string
}

func (b *builder) finding(i int) findingView {
	f := new(finding.Finding)
	*f = b.page.Findings[i]
	f.Evidence = once(f.Evidence)
	v := findingView{Finding: f, Number: i + 1, Folder: commonFolder(f.Evidence)}
	for _, a := range f.Analytics {
		v.Analytics = append(v.Analytics, analyticLinks(a))
	}
	for _, s := range f.Subjects[:min(len(f.Subjects), MaxSubjects)] {
		if words := subjectWords(s); len(words) > 0 {
			v.Subjects = append(v.Subjects, words)
		}
	}
	if len(v.Subjects) > 0 {
		v.Subject, v.Subjects = v.Subjects[0], v.Subjects[1:]
	}
	v.Unnamed = max(len(f.Subjects)-MaxSubjects, 0)
	for _, l := range f.Legs {
		if l.State != analytic.Seen {
			v.Missing = append(v.Missing, l)
		}
	}
	listed := list(f.Evidence)
	var at []int
	v.Rest = f.Omitted + len(f.Evidence)
	for _, l := range listed {
		at = append(at, l.At)
		v.Rest -= 1 + l.Alike
	}
	for _, s := range []shape{wide(), narrow()} {
		if c := newChart(f, at, s); c != nil {
			v.Charts = append(v.Charts, c)
		}
	}
	before := ""
	for _, l := range listed {
		r := b.record(f, l, v.Folder)
		if r.Day == before {
			r.Day = ""
		} else {
			before = r.Day
		}
		v.Records = append(v.Records, r)
	}
	return v
}

// once leaves each record once, with the reasons of all: one that several
// containers share is evidence for each of them.
func once(all []finding.Evidence) []finding.Evidence {
	type key struct {
		id   event.ID
		kind evidence.Kind
	}
	at := map[key]int{}
	var out []finding.Evidence
	for _, e := range all {
		k := key{e.Event.ID, e.Kind}
		i, known := at[k]
		if !known || k.id == (event.ID{}) {
			at[k] = len(out)
			out = append(out, e)
			continue
		}
		was := &out[i]
		was.Leg = cmp.Or(was.Leg, e.Leg)
		was.Signals = slices.Clone(was.Signals)
		for _, s := range e.Signals {
			if !slices.Contains(was.Signals, s) {
				was.Signals = append(was.Signals, s)
			}
		}
	}
	return out
}

// list chooses which records to list: all, or those that count and the first.
func list(evidence []finding.Evidence) []finding.Listed {
	all := finding.List(evidence)
	var out []finding.Listed
	room := MaxEvidence
	for _, e := range all {
		if len(e.Signals) > 0 {
			room--
		}
	}
	for _, e := range all {
		switch {
		case len(out) == MaxEvidence:
			return out
		case len(e.Signals) > 0:
			out = append(out, e)
		case room > 0:
			out = append(out, e)
			room--
		}
	}
	return out
}

// Ids of ATT&CK, which alone become links.
var (
	attackTechnique = regexp.MustCompile(`^T\d{4}(\.\d{3})?$`)
	attackStrategy  = regexp.MustCompile(`^DET\d{4}$`)
	attackAnalytic  = regexp.MustCompile(`^AN\d{4}$`)
)

// attack is where ATT&CK describes its objects.
const attack = "https://attack.mitre.org/"

func analyticLinks(a analytic.Raised) analyticView {
	v := analyticView{ID: a.ID, Name: a.Name, Strategy: a.Strategy}
	if attackStrategy.MatchString(a.Strategy) && attackAnalytic.MatchString(a.ID) {
		v.Link = attack + "detectionstrategies/" + a.Strategy + "#" + a.ID
	}
	for _, t := range a.Techniques {
		l := link{Text: t}
		if attackTechnique.MatchString(t) {
			l.To = attack + "techniques/" + strings.ReplaceAll(t, ".", "/")
		}
		v.Techniques = append(v.Techniques, l)
	}
	return v
}

func subjectWords(s finding.Subject) subjectView {
	var out subjectView
	if words, is := strings.CutPrefix(s.PodWords(), "pod "); is {
		out = append(out, Line{"pod", words})
	}
	for _, words := range s.CloudWords() {
		label, text, _ := strings.Cut(words, " ")
		out = append(out, Line{label, text})
	}
	c := s.Container
	if c == nil && len(out) > 0 {
		return out
	}
	if c == nil && s.Image != nil {
		return append(out, Line{"pushed", s.Image.Name()}, Line{"digest", s.Image.Canonical.String()})
	}
	if c == nil {
		return append(out, Line{cmp.Or(s.ID.Kind, "subject"), s.ID.ID})
	}
	name := c.Name
	if c.Host != "" && s.Pod == nil {
		name += " on " + c.Host
	}
	out = append(out, Line{"container", name}, Line{"container id", c.ID}, Line{"image", c.Image.Name()})
	for i, d := range c.Image.Digests {
		label := ""
		if i == 0 {
			label = "digest"
		}
		out = append(out, Line{label, d.String()})
	}
	kept := out[:0]
	for _, l := range out {
		if l.Text != "" {
			kept = append(kept, l)
		}
	}
	return kept
}

func (b *builder) record(f *finding.Finding, e finding.Listed, folder string) recordView {
	v := recordView{Listed: e, Time: e.Event.Time.String(), Clock: "–", Day: "without a time", Class: laneClass(laneOf(e.Evidence, legStates(f))),
		File: strings.TrimPrefix(e.Event.Origin.File, folder), Line: e.Event.Origin.Line()}
	if !e.Event.Time.IsZero() {
		v.Clock, v.Day = e.Event.Time.UTC().Format("15:04:05.000"), e.Event.Time.UTC().Format("2006-01-02")
	}
	switch {
	case b.page.Raw == nil:
		v.Fault = "its text was not kept"
		return v
	case b.records >= MaxRecords:
		v.Fault = fmt.Sprintf("this page holds %d MiB of records already; read it in the file", MaxRecords>>20)
		return v
	}
	text, err := b.page.Raw.Read(e.Event.Origin)
	if err != nil {
		v.Fault = err.Error()
	}
	if len(text) > MaxRecord {
		v.Fault = fmt.Sprintf("the first %d of %d bytes", MaxRecord, len(text))
		text = text[:MaxRecord]
	}
	b.records += len(text)
	for l := range strings.Lines(text) {
		v.Lines = append(v.Lines, visible.Text(strings.TrimSuffix(l, "\n")))
	}
	return v
}

// commonFolder is the folder, with its final slash, that all records' files
// are in; "" if they share none.
func commonFolder(all []finding.Evidence) string {
	folder := ""
	for i, e := range all {
		file := e.Event.Origin.File
		if i == 0 {
			folder = file[:strings.LastIndexByte(file, '/')+1]
		}
		for !strings.HasPrefix(file, folder) {
			folder = folder[:strings.LastIndexByte(strings.TrimSuffix(folder, "/"), '/')+1]
		}
	}
	return folder
}
