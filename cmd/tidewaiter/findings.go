package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/finding"
	"tidewaiter/sink/html"
	"tidewaiter/sink/text"
	"tidewaiter/visible"
)

func newFindings() *cobra.Command {
	c := &cobra.Command{
		Use:   "findings",
		Short: "List, show and export findings",
		Long: `List and show findings from the files that "tidewaiter hunt -o ndjson" or
"-o json" wrote, or from the daemon's findings.ndjson; export what the daemon keeps.
They hold the raw records, so the logs are not needed.`,
		Example: `  tidewaiter hunt -o ndjson /logs > findings.ndjson
  tidewaiter findings list findings.ndjson
  tidewaiter findings show tw-bf3b findings.ndjson`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newFindingsList(), newFindingsShow(), newFindingsExport())
	return c
}

func newFindingsList() *cobra.Command {
	var severity, analytics, color string
	c := &cobra.Command{
		Use:   "list [flags] FILE…",
		Short: "List findings, one to a line",
		Long: `List the findings of files, one to a line: severity, id, the time of the first
evidence, title. FILE is what "tidewaiter hunt -o ndjson" or "-o json" wrote, or
"-" for standard input.

Exit status: 0; 1 if something could not be read; 2 for misuse.`,
		Example: `  tidewaiter findings list findings.ndjson
  tidewaiter findings list --severity high --analytic AN1492 october/*.ndjson
  tidewaiter hunt -q -o ndjson /logs | tidewaiter findings list -`,
		Args: someFile(0),
		RunE: func(c *cobra.Command, files []string) error {
			least, err := analytic.ParseSeverity(severity)
			if err != nil {
				return oneOf("--severity", severity, severities)
			}
			if err := oneOf("--color", color, colors); err != nil {
				return err
			}
			width, colored := terminal(c.OutOrStdout(), color)
			l := findingsList{least: least, analytic: analytics, p: &text.Printer{W: c.OutOrStdout(), Width: width, Color: colored}}
			if isTerminal(c.OutOrStdout()) {
				l.cut = width
			}
			bad := eachFinding(c, files, l.print)
			return listed(l.p.Err(), bad)
		},
	}
	c.Flags().StringVar(&severity, "severity", "info", "list findings of this `SEVERITY` or more (info, low, medium, high, critical)")
	c.Flags().StringVar(&analytics, "analytic", "", "list findings that this analytic raised, by its `ID`, such as AN1492")
	c.Flags().StringVar(&color, "color", "auto", colorUsage)
	completeFlags(c, map[string][]string{"severity": severities, "color": colors})
	register(c, "analytic", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return analyticIDs(), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

// listed decides how a command over files of findings ends.
func listed(write error, bad bool) error {
	switch {
	case write != nil:
		return failed(fmt.Errorf("write findings: %w", write))
	case bad:
		return statusError{exitError, nil}
	}
	return nil
}

// findingsList prints findings one to a line.
type findingsList struct {
	p        *text.Printer
	least    analytic.Severity
	analytic string
	cut      int // columns of the terminal, 0 for none
}

func (l findingsList) print(t finding.Told) {
	f := t.Finding
	raised := slices.ContainsFunc(f.Analytics, func(a analytic.Raised) bool { return strings.EqualFold(a.ID, l.analytic) })
	if f.Severity < l.least || l.analytic != "" && !raised {
		return
	}
	at := strings.Repeat("-", len("2006-01-02T15:04:05Z"))
	if f.First != 0 {
		at = event.Unix(f.First).Format(time.RFC3339)
	}
	severity := fmt.Sprintf("%-8s", f.Severity)
	rest := fmt.Sprintf("  %s  %s  %s", visible.Text(f.ID), at, visible.Text(f.Title))
	if room := l.cut - len(severity); l.cut > 0 && utf8.RuneCountInString(rest) > room {
		rest = string([]rune(rest)[:max(room-1, 0)]) + "…"
	}
	l.p.Printf("%s%s\n", l.p.Paint(text.SeverityStyle(f.Severity), severity), rest)
}

func newFindingsShow() *cobra.Command {
	var output, color string
	c := &cobra.Command{
		Use:   "show [flags] ID FILE…",
		Short: "Show one finding with its raw records",
		Long: `Show one finding of files as "tidewaiter hunt" does, followed by its raw records.
ID is the finding's, or its beginning if no other finding begins so. FILE is
what "tidewaiter hunt -o ndjson" or "-o json" wrote, or "-" for standard input.
Of several tellings of one finding the last is shown.

Exit status: 0; 1 if something could not be read; 2 if there is no such finding,
or more than one.`,
		Example: `  tidewaiter findings show tw-bf3b6efe findings.ndjson
  tidewaiter findings show -o html bf3b findings.ndjson > finding.html
  tidewaiter findings show -o json bf3b findings.ndjson | jq .unmapped.signals`,
		Args: someFile(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := errors.Join(oneOf("--output", output, shownAs), oneOf("--color", color, colors)); err != nil {
				return misused("%w", err)
			}
			s := shown{id: args[0]}
			bad := eachFinding(c, args[1:], s.note)
			told, err := s.one()
			switch {
			case err != nil && bad: // it may stand in what could not be read
				return failed(err)
			case err != nil:
				return err
			}
			if s.tellings > 1 {
				fmt.Fprintf(c.ErrOrStderr(), "tidewaiter: the finding is told %d times; this is the last, %s:%d\n", s.tellings, visible.Text(told.File), told.Line)
			}
			return listed(showFinding(c.OutOrStdout(), told, output, color), bad)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "`FORM` of the finding: "+strings.Join(shownAs, ", "))
	c.Flags().StringVar(&color, "color", "auto", colorUsage)
	completeFlags(c, map[string][]string{"output": shownAs, "color": colors})
	return c
}

// shownAs are the forms in which a finding is shown.
var shownAs = []string{"table", "html", "json"}

// showFinding writes one finding. As JSON it is what the file holds.
func showFinding(w io.Writer, t finding.Told, output, color string) error {
	switch output {
	case "json":
		_, err := fmt.Fprintf(w, "%s\n", t.JSON)
		return err
	case "html":
		return html.Page{
			Hunted: []string{fmt.Sprintf("%s:%d", t.File, t.Line)}, Made: time.Now(), Version: version(),
			Findings: []finding.Finding{t.Finding}, Raw: t.Raw,
		}.Write(w)
	}
	width, colored := terminal(w, color)
	p := &text.Printer{W: w, Width: width, Color: colored, Verbose: true}
	p.Finding(t.Finding)
	p.Records(t.Finding, t.Raw)
	return p.Err()
}

// shown looks for one finding by the beginning of its id.
type shown struct {
	id       string
	last     finding.Told
	tellings int
	ids      []string // those that begin so, at most maxAlike
}

const maxAlike = 10

func (s *shown) note(t finding.Told) {
	id := t.Finding.ID
	if !strings.HasPrefix(id, s.id) && !strings.HasPrefix(strings.TrimPrefix(id, "tw-"), s.id) {
		return
	}
	if !slices.Contains(s.ids, id) && len(s.ids) < maxAlike {
		s.ids = append(s.ids, id)
	}
	s.last = t
	s.tellings++
}

// one is the finding, if there is exactly one.
func (s *shown) one() (finding.Told, error) {
	switch {
	case s.id == "" || len(s.ids) == 0:
		return s.last, misused("findings show: no finding's id begins with %q; \"tidewaiter findings list\" names them", s.id)
	case len(s.ids) > 1:
		return s.last, misused("findings show: more than one finding's id begins with %q: %s", s.id, strings.Join(s.ids, ", "))
	}
	return s.last, nil
}

// someFile wants a file of findings behind so many other arguments.
func someFile(before int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < before:
			return misused("%s: name a finding by its id, then the file that it is in", title(c))
		case len(args) == before:
			return misused("%s: name the file that \"tidewaiter hunt -o ndjson\" wrote, or - for standard input", title(c))
		}
		return nil
	}
}

// maxFaults bounds the faults that are named of one file.
const maxFaults = 20

// eachFinding reads the findings of files, and tells what it cannot read.
func eachFinding(c *cobra.Command, files []string, do func(finding.Told)) (bad bool) {
	faults := 0
	for _, file := range files {
		err := readFindings(c.InOrStdin(), file, do, func(fault error) {
			if faults++; faults <= maxFaults {
				printError(c.ErrOrStderr(), fault)
			}
		})
		if err != nil {
			faults++
			printError(c.ErrOrStderr(), err)
		}
	}
	if rest := faults - maxFaults; rest > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "tidewaiter: and %s\n", plural(int64(rest), "more"))
	}
	if faults > 0 {
		fmt.Fprintln(c.ErrOrStderr(), `hint: findings are read from what "tidewaiter hunt -o ndjson" or "-o json" wrote`)
	}
	return faults > 0
}

func readFindings(stdin io.Reader, file string, do func(finding.Told), fault func(error)) error {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("read findings: %w", err)
		}
		defer f.Close()
		in = f
	}
	r := finding.NewReader(in, file)
	for {
		told, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			fault(err)
		default:
			do(told)
		}
	}
}
