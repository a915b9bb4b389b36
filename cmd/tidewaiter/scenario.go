package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"tidewaiter/analytic"
	"tidewaiter/detections"
	"tidewaiter/scenario"
	"tidewaiter/sink/text"
	"tidewaiter/visible"
)

func newScenario() *cobra.Command {
	var f scenarioFlags
	c := &cobra.Command{
		Use:   "scenario [flags] FILE|FOLDER…",
		Short: "Run scenario files and compare what is found with what they expect",
		Long: `Run scenario files: text that says what happens, in virtual time, and which
findings must follow. Of a folder, every file whose name ends in .scenario is
run. docs/formats/scenario.md describes the form.

With --grid each is delivered in many ways as well: twice, in another order,
with other clocks, among others' records, and with something missing. Findings
must not depend on it, except as a scenario's own "grid:" part says.

Exit status: 0; 1 if one differs or could not be read; 2 for misuse.`,
		Example: `  tidewaiter scenario scenario/testdata
  tidewaiter scenario --grid my.scenario      in every way of delivery, too
  tidewaiter scenario --update my.scenario    write what is found into the file`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return misused("scenario: name at least one scenario file, or a folder of them")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return runScenarios(c, f, args) },
	}
	c.Flags().BoolVar(&f.grid, "grid", false, "deliver each in many ways, too")
	c.Flags().BoolVar(&f.update, "update", false, "rewrite the findings that each file expects, and nothing else in it")
	return c
}

// scenarioFlags are the flags of scenario.
type scenarioFlags struct{ grid, update bool }

func runScenarios(c *cobra.Command, f scenarioFlags, paths []string) error {
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		return failed(err)
	}
	bad := false
	fault := func(err error) {
		bad = true
		printError(c.ErrOrStderr(), err)
	}
	var rows []scenarioRow
	for _, file := range scenarioFiles(paths, fault) {
		row, err := f.run(lib, file)
		if err != nil {
			fault(err)
			continue
		}
		rows = append(rows, row)
		bad = bad || row.state == differs || len(row.faults) > 0
	}
	if err := printScenarios(c.OutOrStdout(), rows); err != nil {
		return failed(fmt.Errorf("write findings: %w", err))
	}
	if bad {
		return statusError{exitError, nil}
	}
	return nil
}

// scenarioFiles lists the files named, and those in the folders named, by name.
func scenarioFiles(paths []string, fault func(error)) []string {
	var out []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			fault(fmt.Errorf("read scenario: %w", err))
			continue
		}
		if !info.IsDir() {
			out = append(out, path)
			continue
		}
		before := len(out)
		err = filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && strings.HasSuffix(file, scenario.Extension) {
				out = append(out, file)
			}
			return err
		})
		switch {
		case err != nil:
			fault(fmt.Errorf("list scenarios: %w", err))
		case len(out) == before:
			fault(fmt.Errorf("%s: no file here ends in %s", path, scenario.Extension))
		}
	}
	return out
}

// States of a scenario.
const (
	holds   = "ok"
	differs = "differs"
	written = "written" // its expected findings were
)

// scenarioRow is what is printed of one scenario.
type scenarioRow struct {
	state, file, expected, got string
	diff                       string
	// grid tells of the cells, faults those that are wrong.
	grid   string
	faults []string
}

func (f scenarioFlags) run(lib *analytic.Library, file string) (row scenarioRow, err error) {
	s, err := scenario.Load(file, lib)
	if err != nil {
		return row, err
	}
	got := s.Render(scenario.Run(lib, s))
	row = scenarioRow{state: holds, file: file, expected: scenario.Summary(s.Want), got: scenario.Summary(got)}
	switch {
	case got == s.Want:
	case f.update:
		row.state = written
		if err := os.WriteFile(file, s.Rewrite(got), 0o644); err != nil {
			return row, fmt.Errorf("write scenario: %w", err)
		}
	default:
		row.state = differs
		row.diff = changes(s.Want, got)
	}
	if f.grid {
		row.deliver(scenario.Grid(lib, s))
	}
	return row, nil
}

// changes gives the lines that differ, with those around them.
func changes(want, got string) string {
	d := diff.Diff("expected", []byte(want), "got", []byte(got))
	_, d, _ = bytes.Cut(d, []byte("\n")) // a head line that names both
	return string(d)
}

func (r *scenarioRow) deliver(cells []scenario.Delivered) {
	short := 0
	for _, d := range cells {
		if fault := d.Fault(); fault != "" {
			r.faults = append(r.faults, fault)
		} else if d.Short != "" {
			short++
		}
	}
	r.grid = fmt.Sprintf("grid: %d ways of delivery, %d differ, %d differ as the scenario says", len(cells), len(r.faults), short)
}

func printScenarios(w io.Writer, rows []scenarioRow) error {
	p := &text.Printer{W: w}
	name, expected := len("SCENARIO"), len("EXPECTED")
	for _, r := range rows {
		name, expected = max(name, utf8.RuneCountInString(visible.Text(r.file))), max(expected, utf8.RuneCountInString(visible.Text(r.expected)))
	}
	line := func(state, file, want, got string) {
		p.Printf("%-8s  %-*s  %-*s  %s\n", state, name, visible.Text(file), expected, visible.Text(want), visible.Text(got))
	}
	if len(rows) > 0 {
		line("STATE", "SCENARIO", "EXPECTED", "GOT")
	}
	for _, r := range rows {
		line(r.state, r.file, r.expected, r.got)
		if r.grid != "" {
			p.Printf("          %s\n", r.grid)
		}
		for _, f := range r.faults {
			p.Printf("          %s\n", visible.Text(f))
		}
		for l := range strings.Lines(r.diff) {
			p.Printf("          %s\n", visible.Text(strings.TrimSuffix(l, "\n")))
		}
	}
	return p.Err()
}
