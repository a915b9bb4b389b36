package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tidewaiter/app"
	"tidewaiter/drill"
	"tidewaiter/sink/text"
	"tidewaiter/visible"
)

// drillFlags are the flags of drill.
type drillFlags struct {
	config, data, output, color string
	wait                        time.Duration
	keep                        bool
}

// drillOutputs are the forms that reports are printed in.
var drillOutputs = []string{"table", "json"}

// drillHelp is what the command says of itself.
const drillHelp = `Perform the harmless real form of an analytic's chain on this host, while
"tidewaiter run" watches it, and tell which legs were seen, by which sources and how
soon. A leg is late if it is told of more than 5 s after it happened, and blind if
not at all; then it is said what would open it.

  AN0691  an image is loaded and run; its program writes a copy of itself, runs
          that, and connects to a mining port
  AN1261  an image is loaded, another one is built on it by the engine's own
          builder, which connects to somebody meanwhile, and that one is run here.
          The analytic is raised only where the policy allows no builds
          (builds_allowed)

The program in the image is 1.6 KB and does nothing else. Whom it calls is
203.0.113.66, a documentation address that nobody has; what is sent there ends in an
interface of the drill's own, twdrill0, and if this host's routing has other plans
the drill is not begun. Images are called tidewaiter-drill/…/ngnix, containers and
networks tidewaiter-drill-…; all is removed at the end, and what a killed drill left
by the next one. What the daemon finds is a real finding: it is told to the sinks,
and remembered.

It needs root, a Docker Engine with a socket on this host, and the running daemon's
configuration, or its data directory.

Exit status: 0 if every leg that is needed was seen; 1 if the drill could not be
done, or something could not be removed; 2 for misuse; 3 if a leg is late or blind;
130 if it was interrupted.`

func newDrill() *cobra.Command {
	var f drillFlags
	c := &cobra.Command{
		Use:   "drill [flags] ANALYTIC",
		Short: "Perform a harmless attack here, and see whether it is seen",
		Long:  drillHelp,
		Example: `  sudo tidewaiter drill AN0691
  sudo tidewaiter drill AN1261 --config /etc/tidewaiter/tidewaiter.yaml -o json
  tidewaiter findings export | tidewaiter findings show tw-bf3b -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misused("want one analytic: %s", strings.Join(drillNames(), ", "))
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return drillNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error { return performDrill(c, f, args[0]) },
	}
	fl := c.Flags()
	fl.StringVar(&f.config, "config", "", "the daemon's configuration `FILE`")
	fl.StringVar(&f.data, "data", "", "the daemon's `FOLDER` (default as configured, "+app.DefaultData+")")
	fl.DurationVar(&f.wait, "wait", drill.DefaultWait, "how long to wait for legs after the container has ended")
	fl.BoolVar(&f.keep, "keep", false, "leave container and images for looking at; nothing removes them")
	fl.StringVarP(&f.output, "output", "o", "table", "`FORM`: "+strings.Join(drillOutputs, ", "))
	fl.StringVar(&f.color, "color", "auto", colorUsage)
	completeFlags(c, map[string][]string{"output": drillOutputs, "color": colors})
	completeFiles(c, "config", "yaml", "yml")
	return c
}

// drillNames are the analytics that can be rehearsed.
func drillNames() []string {
	all, err := app.Drills()
	if err != nil {
		return nil
	}
	var names []string
	for _, d := range all {
		names = append(names, d.ID)
	}
	return names
}

func performDrill(c *cobra.Command, f drillFlags, name string) error {
	if err := errors.Join(oneOf("--output", f.output, drillOutputs), oneOf("--color", f.color, colors)); err != nil {
		return misused("%w", err)
	}
	if f.wait <= 0 {
		return misused("--wait %v: want some time, such as 15s", f.wait)
	}
	s, err := app.ReadSettings(f.config)
	if err != nil {
		return failed(err)
	}
	if f.data != "" {
		s.Data = f.data
	}
	ctx, done := cancelled(c.ErrOrStderr(), "interrupted: what the drill has made is removed; once more ends at once")
	defer done()
	r, err := app.Drill(ctx, s, app.DrillOptions{Analytic: name, Wait: f.wait, Keep: f.keep, Say: func(step string) {
		fmt.Fprintln(c.ErrOrStderr(), "tidewaiter: "+visible.Text(step))
	}})
	if errors.Is(err, app.ErrNoDrill) {
		return misused("%w; there are drills of %s", err, strings.Join(drillNames(), ", "))
	}
	if r != nil {
		if err := printDrill(c.OutOrStdout(), f, s, r); err != nil {
			return failed(fmt.Errorf("write the report: %w", err))
		}
	}
	switch {
	case ctx.Err() != nil && r == nil:
		return statusError{exitInterrupted, err}
	case err != nil:
		return failed(err)
	case !r.Passed:
		return statusError{exitFound, nil}
	}
	return nil
}

func printDrill(w io.Writer, f drillFlags, s app.Settings, r *drill.Report) error {
	if f.output == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	width, colored := terminal(w, f.color)
	t := drillTable{&text.Printer{W: w, Width: width, Color: colored}}
	t.print(r, s.Data)
	return t.Err()
}

// drillTable prints a report for people.
type drillTable struct{ *text.Printer }

func (t drillTable) print(r *drill.Report, data string) {
	t.Printf("%s  %s\n\n", t.Paint(text.Bold, visible.Text(r.Analytic)), visible.Text(r.Name))
	for _, l := range r.Legs {
		t.leg(l)
	}
	t.Printf("\n")
	if f := r.Finding; f != nil {
		t.Printf("%s  %s, %s\n", visible.Text(f.ID), visible.Text(f.Severity), visible.Text(f.State))
		t.Printf("  %s\n", visible.Text(f.Title))
		t.Printf("  %s\n", t.Paint(text.Dim, "tidewaiter findings export --data "+visible.Text(data)+" | tidewaiter findings show "+visible.Text(f.ID)+" -"))
	}
	for _, n := range r.Notes {
		t.Printf("%s %s\n", t.Paint(text.Yellow, "note:"), visible.Text(n))
	}
	if r.Kept {
		t.Printf("kept: container %s, image %s\n", visible.Text(r.Container), visible.Text(r.Image))
	}
}

func (t drillTable) leg(l drill.Leg) {
	name := fmt.Sprintf("%-11s", visible.Text(l.Name))
	if l.State != drill.Blind {
		mark := t.Paint(text.Green, "✓   ")
		if l.State == drill.Late {
			mark = t.Paint(text.Yellow, "late")
		}
		t.Printf("  %s %s after %.1f s  %s\n", mark, name, l.After, t.Paint(text.Dim, visible.Text(strings.Join(l.Sources, ", "))))
		return
	}
	mark := t.Paint(text.Red, "✗   ")
	if l.Optional {
		mark = t.Paint(text.Yellow, "–   ")
	}
	t.Printf("  %s %s %s was not told\n", mark, name, visible.Text(l.Missing))
	if len(l.Should) > 0 {
		t.small(visible.Text(strings.Join(l.Should, ", ")) + " could have told it")
	}
	for _, o := range l.Open {
		t.small("→ " + visible.Text(o))
	}
}

// small prints what is to be known of the leg above.
func (t drillTable) small(s string) { t.Printf("%19s%s\n", "", t.Paint(text.Dim, s)) }
