package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tidewaiter/analytic"
	"tidewaiter/app"
	"tidewaiter/detections"
	"tidewaiter/event"
	"tidewaiter/finding"
	"tidewaiter/policy"
	"tidewaiter/sink"
	"tidewaiter/sink/ecs"
	"tidewaiter/sink/file"
	"tidewaiter/sink/html"
	"tidewaiter/sink/text"
)

// huntFlags are the flags of hunt.
type huntFlags struct {
	inventories, history  []string
	policy, output        string
	appendTo              string
	appended              *file.File // nil without appendTo
	failOn, minimum       string
	host, cluster, tenant string
	color                 string
	now                   string
	verbose, quiet        bool

	paths []string  // what is hunted through
	at    time.Time // the clock's time, or what is taken for it
}

func newHunt() *cobra.Command {
	var f huntFlags
	c := &cobra.Command{
		Use:   "hunt [flags] PATH…",
		Short: "Look through recorded logs and print findings",
		Long: `Look through recorded logs and print findings, worst first.

PATH is a file, a folder, or "-" for standard input; gzip and zstd are unpacked.
What a file holds is told by its content: events of Docker, containerd and
Kubernetes, audit logs, look-ups, connections, registry notifications. Formats
may be mixed, files may come in any order.

A folder may hold an inputs.yaml that says which host or cluster each file is
from; --inputs names further ones. Records that nobody places are taken to be
from one place, which --host and --cluster name.

Without a policy nothing is known to be approved, so "never seen" is only noted
and only hard evidence counts. "tidewaiter policy init" writes a policy.

Findings go to standard output, the account of what was read to standard error:
  table   time lines for people (the default)
  html    one page that loads nothing from elsewhere, with each story drawn
  json    OCSF Detection Findings as one array, with the raw records
  ndjson  the same, one per line; "tidewaiter findings" reads both back
  ecs     documents of the Elastic Common Schema, one per line

Ctrl-C ends the reading and prints what the records until then give; a second
one ends at once.

Exit status: 0; 1 if something named could not be read; 2 for misuse; 3 if a
finding reached --fail-on; 130 if it was interrupted.`,
		Example: `  # One host's logs, in any mix of formats
  tidewaiter hunt --host web-1 audit.log docker-events.log conntrack.log

  # With what you trust, and with October's logs to know what is not new
  tidewaiter hunt --policy policy.yaml --history /logs/october /logs/november

  # A page to read and to hand on
  tidewaiter hunt -o html /logs > hunt.html

  # Keep the findings, look at one of them later, let a job fail on bad ones
  tidewaiter hunt -o ndjson --fail-on high /logs > findings.ndjson
  tidewaiter findings list findings.ndjson

  # From a pipe
  docker events --since 1h --until 0s --format '{{json .}}' | tidewaiter hunt -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return misused("hunt: name at least one file or folder, or - for standard input")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return hunt(c, f, args) },
	}
	f.register(c)
	return c
}

// register declares the flags, and how a shell completes them.
func (f *huntFlags) register(c *cobra.Command) {
	fl := c.Flags()
	fl.StringArrayVar(&f.inventories, "inputs", nil, "inventory `FILE` that says where files are from (repeatable)")
	fl.StringArrayVar(&f.history, "history", nil, "`PATH` of older logs that only feed memory (repeatable)")
	fl.StringVar(&f.policy, "policy", "", "policy `FILE`")
	fl.StringVarP(&f.output, "output", "o", "table", "`FORM` of findings: "+strings.Join(outputs, ", "))
	fl.StringVar(&f.appendTo, "append-to", "", "also append the findings to `FILE`, one JSON object per line; a long file is begun anew")
	fl.StringVar(&f.failOn, "fail-on", "", "exit with status 3 if a finding has this `SEVERITY` or more (info, low, medium, high, critical)")
	fl.StringVar(&f.minimum, "min-severity", "low", "print findings of this `SEVERITY` or more (info, low, medium, high, critical)")
	fl.StringVar(&f.host, "host", "", "host `NAME` of records that nobody places")
	fl.StringVar(&f.cluster, "cluster", "", "cluster `NAME` of records that nobody places")
	fl.StringVar(&f.tenant, "tenant", "", "tenant `NAME` of records that nobody places")
	fl.StringVar(&f.color, "color", "auto", colorUsage)
	fl.StringVar(&f.now, "now", "", "take this `TIME` (RFC 3339) as the clock's, for telling records from the future")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "list every record of a finding, and every file read")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "print no account of what was read")
	completeFlags(c, map[string][]string{"output": outputs, "fail-on": severities, "min-severity": severities, "color": colors})
	completeFiles(c, "policy", "yaml", "yml")
	completeFiles(c, "append-to", "json", "ndjson", "log")
	completeFiles(c, "inputs", "yaml", "yml")
}

// outputs are the forms that findings are printed in.
var outputs = []string{"table", "html", "json", "ndjson", "ecs"}

// severities that flags name.
type thresholds struct{ failOn, minimum analytic.Severity }

func (f huntFlags) thresholds() (t thresholds, err error) {
	if t.minimum, err = analytic.ParseSeverity(f.minimum); err != nil {
		return t, misused("--min-severity: %w", err)
	}
	if f.failOn == "" {
		return t, nil
	}
	if t.failOn, err = analytic.ParseSeverity(f.failOn); err != nil || t.failOn == analytic.None {
		return t, misused("--fail-on: %q: want info, low, medium, high or critical", f.failOn)
	}
	return t, nil
}

func hunt(c *cobra.Command, f huntFlags, paths []string) error {
	t, err := f.thresholds()
	if err != nil {
		return err
	}
	if err := oneOf("--output", f.output, outputs); err != nil {
		return err
	}
	if err := oneOf("--color", f.color, colors); err != nil {
		return err
	}
	opt := app.HuntOptions{
		Paths: paths, History: f.history, Inventories: f.inventories, Stdin: c.InOrStdin(),
		Place: event.Place{Tenant: f.tenant, Cluster: f.cluster, Host: f.host}, Now: time.Now(),
	}
	if f.now != "" {
		at, err := event.ParseRFC3339(f.now)
		if err != nil {
			return misused("--now: %w", err)
		}
		opt.Now = at.UTC()
	}
	f.paths, f.at = paths, opt.Now
	if opt.Library, opt.Policy, err = loadContent(f.policy); err != nil {
		return failed(err)
	}
	if f.appendTo != "" { // before the work, not after it
		if f.appended, err = file.Open(file.Options{Path: f.appendTo, Version: version()}); err != nil {
			return failed(err)
		}
	}
	progress := newProgress(c.ErrOrStderr(), f.quiet)
	opt.Progress = progress.show
	stop, done := interruptible(c.ErrOrStderr())
	opt.Stop = stop
	app.PaceGarbage()
	r, err := app.Hunt(opt)
	done()
	progress.clear()
	if err != nil {
		return failed(err)
	}
	defer r.Close()
	return report(c, f, t, r)
}

// loadContent reads the detections and the policy for them.
func loadContent(path string) (*analytic.Library, *policy.Policy, error) {
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		return nil, nil, err
	}
	if path == "" {
		return lib, policy.Empty(lib.Vocabulary()), nil
	}
	p, err := policy.Load(path, lib.Vocabulary())
	return lib, p, err
}

// report prints what a hunt gave and decides the exit status.
func report(c *cobra.Command, f huntFlags, t thresholds, r *app.Report) error {
	out := c.OutOrStdout()
	shown := slices.DeleteFunc(slices.Clone(r.Findings), func(x finding.Finding) bool { return x.Severity < t.minimum })
	var err error
	switch f.output {
	case "json":
		err = writeJSON(out, shown, r)
	case "ndjson":
		err = writeNDJSON(out, shown, r)
	case "ecs":
		err = writeECS(out, shown, r, f.at)
	case "html":
		err = huntPage(f, t, shown, r).Write(out)
	default:
		err = writeTable(out, f, shown, len(r.Findings)-len(shown))
	}
	if f.appended != nil {
		err = errors.Join(err, f.appended.Write(shown, r.Raw), f.appended.Close())
	}
	if err != nil {
		return failed(fmt.Errorf("write findings: %w", err))
	}
	if !f.quiet {
		width, color := terminal(c.ErrOrStderr(), f.color)
		a := &account{verbose: f.verbose}
		a.print(&text.Printer{W: c.ErrOrStderr(), Width: width, Color: color}, r)
	}
	if r.Interrupted != nil {
		if f.quiet {
			fmt.Fprintln(c.ErrOrStderr(), "tidewaiter: interrupted "+interruption(r.Interrupted))
		}
		return statusError{exitInterrupted, nil}
	}
	reached := t.failOn != analytic.None && slices.ContainsFunc(r.Findings, func(x finding.Finding) bool { return x.Severity >= t.failOn })
	switch {
	case r.Failed():
		return statusError{exitError, nil}
	case reached:
		return statusError{exitFound, nil}
	}
	return nil
}

// huntPage is the page of a hunt.
func huntPage(f huntFlags, t thresholds, shown []finding.Finding, r *app.Report) html.Page {
	p := html.Page{
		Hunted: f.paths, Made: f.at, Version: version(), Findings: shown, Hidden: len(r.Findings) - len(shown), Minimum: t.minimum,
		Raw: r.Raw, Account: (&account{verbose: f.verbose}).page(r),
	}
	if r.Interrupted != nil {
		p.Warning = "The hunt was interrupted " + interruption(r.Interrupted) + "."
	}
	return p
}

func writeTable(out io.Writer, f huntFlags, fs []finding.Finding, hidden int) error {
	width, color := terminal(out, f.color)
	p := &text.Printer{W: out, Width: width, Color: color, Verbose: f.verbose}
	p.Findings(fs)
	switch {
	case len(fs) == 0 && hidden == 0:
		p.Printf("no findings\n")
	case len(fs) == 0:
		p.Printf("no findings of %s or more; %d below (--min-severity info shows them)\n", f.minimum, hidden)
	case hidden > 0:
		p.Printf("\n%d more below %s (--min-severity info shows them)\n", hidden, f.minimum)
	}
	return p.Err()
}

// writeJSON prints one array.
func writeJSON(out io.Writer, fs []finding.Finding, r *app.Report) error {
	all := make([]finding.OCSF, len(fs))
	for i := range fs {
		all[i] = fs[i].OCSF(r.Raw, version())
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(all)
}

// writeNDJSON prints one finding per line.
func writeNDJSON(out io.Writer, fs []finding.Finding, r *app.Report) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for i := range fs {
		if err := enc.Encode(fs[i].OCSF(r.Raw, version())); err != nil {
			return err
		}
	}
	return nil
}

// writeECS prints one document per line, as the sink for Elasticsearch does.
func writeECS(out io.Writer, fs []finding.Finding, r *app.Report, at time.Time) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for i := range fs {
		text, err := json.Marshal(fs[i].OCSF(r.Raw, version()))
		if err != nil {
			return err
		}
		told, err := finding.NewReader(bytes.NewReader(text), "hunt").Next()
		if err != nil {
			return err
		}
		doc, err := ecs.Of(sink.Notice{ID: fs[i].ID, Told: told, At: at, Version: version()})
		if err != nil {
			return err
		}
		if err := enc.Encode(doc); err != nil {
			return err
		}
	}
	return nil
}
