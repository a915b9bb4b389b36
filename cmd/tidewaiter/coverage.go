package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tidewaiter/api"
	"tidewaiter/app"
	"tidewaiter/coverage"
	"tidewaiter/daemon"
	"tidewaiter/sink/text"
	"tidewaiter/visible"
)

// coverageOutputs are the forms that coverage is printed in.
var coverageOutputs = []string{"table", "json"}

func newCoverage() *cobra.Command {
	var config, output, color string
	var verbose bool
	c := &cobra.Command{
		Use:   "coverage [flags]",
		Short: "What of each analytic can be seen on this host, and what would open the rest",
		Long: `Tell which legs of each analytic can be seen on this host, by which sensor, which
are blind, and what would open them. The daemon is asked if it runs; else every
sensor that its configuration would start is tried for a moment. Files and what
others send count once the daemon has read something of them.

Exit status: 0; 1 if something went wrong; 2 for misuse.`,
		Example: `  sudo tidewaiter coverage
  tidewaiter coverage --config /etc/tidewaiter/tidewaiter.yaml -o json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := errors.Join(oneOf("--output", output, coverageOutputs), oneOf("--color", color, colors)); err != nil {
				return misused("%w", err)
			}
			s, err := app.ReadSettings(config)
			if err != nil {
				return failed(err)
			}
			cover, err := app.Cover(c.Context(), s)
			if err != nil {
				return failed(err)
			}
			if output == "json" {
				enc := json.NewEncoder(c.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(cover)
			}
			width, colored := terminal(c.OutOrStdout(), color)
			t := coverageTable{&text.Printer{W: c.OutOrStdout(), Width: width, Color: colored}, verbose}
			t.print(cover)
			return t.Err()
		},
	}
	fl := c.Flags()
	fl.StringVar(&config, "config", "", "the daemon's configuration `FILE`")
	fl.StringVarP(&output, "output", "o", "table", "`FORM`: "+strings.Join(coverageOutputs, ", "))
	fl.StringVar(&color, "color", "auto", colorUsage)
	fl.BoolVarP(&verbose, "verbose", "v", false, "list every analytic with every leg")
	completeFlags(c, map[string][]string{"output": coverageOutputs, "color": colors})
	completeFiles(c, "config", "yaml", "yml")
	return c
}

// coverageTable prints coverage for people.
type coverageTable struct {
	*text.Printer
	verbose bool
}

func (t coverageTable) print(c app.Coverage) {
	how := "the daemon does not run; every sensor was tried"
	if c.Running {
		how = "as the running daemon says"
	}
	t.Printf("%s  %s\n\n%s\n", t.Paint(text.Bold, visible.Text(c.Host)), t.Paint(text.Dim, how), t.Paint(text.Bold, "sensors"))
	for _, s := range c.Sensors {
		t.sensor(s)
	}
	t.Printf("\n%s\n", t.Paint(text.Bold, "analytics"))
	nothing, all := 0, t.verbose || !slices.ContainsFunc(c.Analytics, func(a coverage.Analytic) bool { return sees(a) > 0 })
	for _, a := range c.Analytics {
		if !all && sees(a) == 0 {
			nothing++
			continue
		}
		t.analytic(a)
	}
	if nothing > 0 {
		t.Printf("\n%s\n", t.Paint(text.Dim, plural(int64(nothing), "analytic")+" of which nothing can be seen here, such as those of cloud machines; -v lists them"))
	}
}

// sees is how many legs can be seen.
func sees(a coverage.Analytic) int {
	n := 0
	for _, l := range a.Legs {
		if len(l.By) > 0 {
			n++
		}
	}
	return n
}

func (t coverageTable) sensor(s api.Sensor) {
	style, says := text.Yellow, s.Condition
	switch daemon.Condition(s.Condition) {
	case daemon.Watching:
		style, says = text.Green, "watches"
	case daemon.Lacking:
		style, says = text.Red, "cannot"
	}
	t.Printf("  %-12s %s", visible.Text(s.Name), t.Paint(style, fmt.Sprintf("%-11s", says)))
	if s.Fault != "" {
		t.Printf(" %s", visible.Text(s.Fault))
	}
	t.Printf("\n")
	t.mend(s.Mend)
	for _, w := range s.Without {
		t.Printf("  %-12s %s %s\n", "", t.Paint(text.Yellow, "without    "), visible.Text(w.What))
		t.mend(w.Mend)
	}
	if s.Lost+s.Dropped+s.Gaps > 0 {
		t.Printf("  %-12s %s %d lost, %d dropped, %s\n", "", t.Paint(text.Yellow, "not all    "), s.Lost, s.Dropped, plural(s.Gaps, "gap"))
	}
}

func (t coverageTable) mend(mend string) {
	if mend != "" {
		t.Printf("  %-12s %s\n", "", t.Paint(text.Dim, "            → "+visible.Text(mend)))
	}
}

func (t coverageTable) analytic(a coverage.Analytic) {
	sees := t.Paint(text.Green, "sees it all")
	if n := a.Blind(); n > 0 {
		sees = t.Paint(text.Yellow, plural(int64(n), "leg")+" blind")
	}
	t.Printf("\n  %s  %s  %s\n", t.Paint(text.Bold, a.ID), visible.Text(a.Name), sees)
	for _, l := range a.Legs {
		if len(l.By) > 0 {
			t.Printf("    %s %-11s %s\n", t.Paint(text.Green, "✓"), visible.Text(l.Name), t.Paint(text.Dim, visible.Text(strings.Join(l.By, ", "))))
			continue
		}
		mark := t.Paint(text.Red, "✗")
		if l.Optional {
			mark = t.Paint(text.Yellow, "–")
		}
		t.Printf("    %s %-11s %s cannot be told\n", mark, visible.Text(l.Name), visible.Text(l.Missing))
		if len(l.Open) > 0 && (t.verbose || !l.Optional) {
			t.Printf("      %-11s %s\n", "", t.Paint(text.Dim, "→ "+visible.Text(l.Open[0])))
		}
	}
}
