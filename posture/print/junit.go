// Package print writes the results of posture checks: for people, as JSON, as
// SARIF, and as JUnit.
//
// In: results. Out: text. What comes from files or images passes through
// visible.Text before it can reach a terminal.
package print

import (
	"encoding/xml"
	"io"
	"strings"

	"tidewaiter/posture"
	"tidewaiter/visible"
)

// The parts of JUnit's XML that CI systems read.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string     `xml:"classname,attr"`
		Name    string     `xml:"name,attr"`
		Time    string     `xml:"time,attr"`
		Failure *junitText `xml:"failure,omitempty"`
		Skipped *junitText `xml:"skipped,omitempty"`
		Out     string     `xml:"system-out,omitempty"`
	}
	junitText struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes results as JUnit's XML: a suite for each mitigation, a case for
// each check; one that could not look is skipped, with the reason.
func JUnit(w io.Writer, about About, rs []posture.Result) error {
	all := junitSuites{Name: "tidewaiter posture"}
	for _, r := range rs {
		if n := len(all.Suites); n == 0 || !strings.HasPrefix(all.Suites[n-1].Name, r.Check.Mitigation+" ") {
			all.Suites = append(all.Suites, junitSuite{
				Name: r.Check.Mitigation + " " + posture.Mitigations()[r.Check.Mitigation], Timestamp: about.At.UTC().Format("2006-01-02T15:04:05"),
			})
		}
		s := &all.Suites[len(all.Suites)-1]
		c := junitCase{Class: "posture." + r.Check.Mitigation, Name: r.Check.ID + " " + r.Check.Title, Time: "0"}
		s.Tests++
		all.Tests++
		switch r.Verdict {
		case posture.Fail:
			s.Failures++
			all.Failures++
			c.Failure = &junitText{Message: visible.Text(r.Why), Type: r.Check.ID, Text: details(r)}
		case posture.Unknown:
			s.Skipped++
			all.Skipped++
			c.Skipped = &junitText{Message: visible.Text(r.Why)}
		default:
			c.Out = visible.Text(r.Why)
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// details are the lines of a failure.
func details(r posture.Result) string {
	var b strings.Builder
	for _, e := range r.Failed {
		b.WriteString(visible.Text(e.Subject+": "+e.What+" (read in "+e.Where+")") + "\n")
	}
	for _, g := range r.Unseen {
		b.WriteString(visible.Text("could not look: "+g.Where+": "+g.Why) + "\n")
	}
	b.WriteString("to mend: " + r.Check.Mend + "\n")
	return b.String()
}
