package print

import (
	"fmt"
	"slices"
	"strings"

	"tidewaiter/posture"
	"tidewaiter/sink/text"
	"tidewaiter/visible"
)

// maxLines bounds the evidence of one check that a table shows.
const maxLines = 6

// Table prints results for people: by mitigation, what fails with its evidence,
// what it does to the analytics, and how to mend it.
type Table struct {
	*text.Printer
	// Images are told one by one after the checks.
	Images []posture.Image
}

// Print prints the results.
func (t *Table) Print(rs []posture.Result) error {
	for i := 0; i < len(rs); {
		id, n := rs[i].Check.Mitigation, i
		for n < len(rs) && rs[n].Check.Mitigation == id {
			n++
		}
		if i > 0 {
			t.Printf("\n")
		}
		t.mitigation(id, rs[i:n])
		i = n
	}
	t.images()
	n := Count(rs)
	t.Printf("\n%s: %s, %s, %s\n", plural(len(rs), "check"),
		t.Paint(text.Red, fmt.Sprintf("%d fail", n[posture.Fail])), t.Paint(text.Green, fmt.Sprintf("%d pass", n[posture.Pass])),
		t.Paint(text.Yellow, fmt.Sprintf("%d could not look", n[posture.Unknown])))
	if n[posture.Unknown] > 0 && !t.Verbose {
		t.Printf("%s\n", t.Paint(text.Dim, "where no reason stands, nothing of the kind was given or found; -v says what to give"))
	}
	t.Printf("%s\n", t.Paint(text.Dim, "numbers of "+posture.DockerBenchmark+" (D) and "+posture.KubernetesBenchmark+" (K)"))
	return t.Err()
}

// mitigation prints the results of one mitigation. Where nothing that they are
// about was given, one line is enough.
func (t *Table) mitigation(id string, rs []posture.Result) {
	t.Printf("%s\n", t.Paint(text.Bold, id+"  "+posture.Mitigations()[id]))
	if !t.Verbose && !slices.ContainsFunc(rs, func(r posture.Result) bool { return !nothingGiven(r) }) {
		t.Printf("%s%s\n", t.Paint(text.Yellow, fmt.Sprintf("%-*s", verdictWidth, "no look")), plural(len(rs), "check"))
		return
	}
	for _, r := range rs {
		t.result(r)
	}
}

// nothingGiven reports a check that could not look because nothing that it is
// about was given.
func nothingGiven(r posture.Result) bool {
	return r.Verdict == posture.Unknown && len(r.Unseen) == 0
}

// Count counts results by verdict.
func Count(rs []posture.Result) map[posture.Verdict]int {
	n := map[posture.Verdict]int{}
	for _, r := range rs {
		n[r.Verdict]++
	}
	return n
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// The columns: verdict, id, text.
const (
	verdictWidth = 8
	idWidth      = 9
	margin       = verdictWidth + idWidth + 1
)

func (t *Table) result(r posture.Result) {
	style, word := text.Green, "pass"
	switch r.Verdict {
	case posture.Fail:
		style, word = text.Red, "FAIL"
	case posture.Unknown:
		style, word = text.Yellow, "no look"
	}
	head := r.Check.Title
	if b := benchmarks(r.Check); b != "" {
		head += " · " + b
	}
	for i, l := range t.Wrap(head, margin) {
		mark, id := fmt.Sprintf("%-*s", verdictWidth, word), fmt.Sprintf("%-*s", idWidth, r.Check.ID)
		if i > 0 {
			mark, id = strings.Repeat(" ", verdictWidth), strings.Repeat(" ", idWidth)
		}
		if r.Verdict == posture.Fail {
			l = t.Paint(text.Bold, l)
		}
		t.Printf("%s%s %s\n", t.Paint(style, mark), id, l)
	}
	if nothingGiven(r) && !t.Verbose {
		return // nothing of the kind was given
	}
	if r.Verdict != posture.Fail {
		t.line(margin, text.Dim, "", r.Why)
		if t.Verbose {
			t.evidence(text.Dim, r.Passed)
			t.gaps(r.Unseen)
		}
		return
	}
	t.evidence(text.Plain, r.Failed)
	t.gaps(r.Unseen)
	for _, e := range r.Check.Effects {
		word := "inflames "
		if e.Blinds {
			word = "blinds "
		}
		t.line(margin, text.Dim, word, e.Analytic+": "+e.Why)
	}
	t.line(margin, text.Cyan, "mend ", r.Check.Mend)
}

// evidence prints what was seen and where, as many as a reader wants.
func (t *Table) evidence(style text.Style, all []posture.Evidence) {
	for i, e := range all {
		if i == maxLines && !t.Verbose && len(all) > maxLines+1 {
			t.line(margin, text.Dim, "", fmt.Sprintf("and %d more (-v lists them)", len(all)-i))
			return
		}
		t.line(margin, style, "- ", e.Subject+": "+e.What)
		t.line(margin+2, text.Dim, "", "read in "+e.Where)
	}
}

// gaps prints what could not be looked at beside what fails.
func (t *Table) gaps(all []posture.Gap) {
	for i, g := range all {
		if i == maxLines && !t.Verbose && len(all) > maxLines+1 {
			t.line(margin, text.Dim, "", fmt.Sprintf("and %d more that could not be looked at (-v lists them)", len(all)-i))
			return
		}
		t.line(margin, text.Yellow, "? ", g.Where+": "+g.Why)
	}
}

// line prints wrapped text behind a margin; label stands before its first line.
func (t *Table) line(margin int, style text.Style, label, s string) {
	for i, l := range t.Wrap(visible.Text(s), margin+len(label)) {
		first := label
		if i > 0 {
			first = strings.Repeat(" ", len(label))
		}
		t.Printf("%s%s\n", strings.Repeat(" ", margin), t.Paint(style, first+l))
	}
}

// benchmarks names the recommendations that a check is of.
func benchmarks(c posture.Check) string {
	var out []string
	if len(c.Docker) > 0 {
		out = append(out, "D "+strings.Join(c.Docker, ", "))
	}
	if len(c.Kubernetes) > 0 {
		out = append(out, "K "+strings.Join(c.Kubernetes, ", "))
	}
	return strings.Join(out, " · ")
}

// images prints what is known of each image.
func (t *Table) images() {
	if len(t.Images) == 0 {
		return
	}
	t.Printf("\n%s\n", t.Paint(text.Bold, "Images"))
	for _, im := range t.Images {
		t.line(0, text.Plain, "", "image "+im.Name+", read in "+im.Where)
		for _, d := range im.Digests {
			t.line(2, text.Dim, "digest  ", d.String())
		}
		for _, o := range im.Origins {
			t.line(2, text.Dim, "origin  ", o.String())
		}
		if !im.Created.IsZero() {
			t.line(2, text.Dim, "created ", im.Created.UTC().Format("2006-01-02 15:04:05 UTC"))
		}
		if c := im.Content; c != nil {
			t.line(2, text.Dim, "layers  ", fmt.Sprintf("%d, %d files, %d bytes unpacked; %d set-id, %d hidden, %d on a list", c.Layers, c.Files, c.Bytes, len(c.SetID), len(c.Hidden), len(c.Bad)))
		}
	}
}
