package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tidewaiter/analytic"
	"tidewaiter/app"
	"tidewaiter/detections"
	"tidewaiter/event"
	"tidewaiter/policy"
	"tidewaiter/visible"
)

func newDetections() *cobra.Command {
	c := &cobra.Command{
		Use:   "detections",
		Short: "List, show and try the detections",
		Long: `List, show and try the detections: MITRE ATT&CK's analytics, written as YAML with
conditions in CEL. docs/formats/detection.md describes the language.`,
		Example: `  tidewaiter detections list
  tidewaiter detections show AN0691
  tidewaiter detections test my.yaml --events events.json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		&cobra.Command{
			Use:     "list",
			Short:   "List the detections",
			Long:    "List the detections: id, detection strategy, techniques, name. One that belongs to\nanother's family is indented.",
			Example: "  tidewaiter detections list",
			Args:    noArgs,
			RunE:    listDetections,
		},
		&cobra.Command{
			Use:               "show ID",
			Short:             "Show a detection as it is written",
			Long:              "Show a detection as it is written: its tunables are the keys of a policy's settings.\nThe shared files can be shown as well: signals and scoring.",
			Example:           "  tidewaiter detections show AN0691\n  tidewaiter detections show signals",
			Args:              exactly(1, "the id of a detection, which \"tidewaiter detections list\" names"),
			RunE:              showDetection,
			ValidArgsFunction: completeDetections,
		},
		newTry(),
	)
	return c
}

func listDetections(c *cobra.Command, _ []string) error {
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		return failed(err)
	}
	for _, d := range lib.Detections() {
		indent := ""
		if d.ID != d.Family {
			indent = "  "
		}
		fmt.Fprintf(c.OutOrStdout(), "%-8s %-8s %-10s %s%s\n", d.ID, d.Strategy, strings.Join(d.Techniques, ","), indent, d.Name)
	}
	return nil
}

func showDetection(c *cobra.Command, args []string) error {
	files := detections.Files()
	b, err := fs.ReadFile(files, args[0]+".yaml")
	if errors.Is(err, fs.ErrNotExist) {
		return misused("detections show: no detection is called %q; \"tidewaiter detections list\" names them%s", args[0], meant(args[0], detectionFiles()))
	}
	if err != nil {
		return failed(err)
	}
	_, err = c.OutOrStdout().Write(b)
	return err
}

func newTry() *cobra.Command {
	var events, timeField string
	c := &cobra.Command{
		Use:   "test FILE --events EVENTS",
		Short: "Run a detection file over plain JSON events and print what matches",
		Long: `Run a detection file whose subject is "event" over JSON objects, one per line or
in an array, and print for each key the stages with the events that take part.
The events are one closed set: absence at the end counts. Times are read from
--time-field as RFC 3339 text, or as a number of milliseconds since 1970.
docs/formats/detection.md describes the language.`,
		Example: `  tidewaiter detections test my.yaml --events events.json
  zcat events.json.gz | tidewaiter detections test my.yaml --events -`,
		Args: exactly(1, "a detection file"),
		RunE: func(c *cobra.Command, args []string) error { return try(c, args[0], events, timeField) },
	}
	c.Flags().StringVar(&events, "events", "", "`FILE` of JSON events, or - for standard input")
	c.Flags().StringVar(&timeField, "time-field", "@timestamp", "`FIELD` that holds the time")
	return c
}

func try(c *cobra.Command, file, events, timeField string) error {
	if events == "" {
		return misused("detections test: --events names the JSON events")
	}
	lib, err := app.LoadWith(file)
	if err != nil {
		return failed(err)
	}
	list, faults, err := app.ReadPlain(events, c.InOrStdin(), timeField)
	if err != nil {
		return failed(err)
	}
	for _, f := range faults {
		fmt.Fprintln(c.ErrOrStderr(), "tidewaiter: "+visible.Text(f.Error()))
	}
	matches, counts, err := lib.MatchPlain(policy.Empty(lib.Vocabulary()), list)
	if err != nil {
		return failed(err)
	}
	return writeMatches(c.OutOrStdout(), matches, counts, len(faults))
}

// tried is what "detections test" prints.
type tried struct {
	Matches    []triedMatch `json:"matches"`
	Events     int          `json:"events"`
	WithoutKey int          `json:"without_key"`
	Unreadable int          `json:"unreadable"`
}

type triedMatch struct {
	Detection string       `json:"detection"`
	Chain     string       `json:"chain,omitempty"`
	Key       []any        `json:"key"`
	Stages    []triedStage `json:"stages"`
}

type triedStage struct {
	Stage  string           `json:"stage"`
	Lines  []int            `json:"lines"`
	Events []map[string]any `json:"events"`
}

func writeMatches(w io.Writer, matches []analytic.PlainMatch, counts analytic.PlainCounts, unreadable int) error {
	out := tried{Matches: []triedMatch{}, Events: counts.Events, WithoutKey: counts.WithoutKey, Unreadable: unreadable}
	for _, m := range matches {
		tm := triedMatch{Detection: m.Detection, Chain: m.Chain, Key: slices.Concat([]any{}, m.Key)}
		for _, s := range m.Stages {
			ts := triedStage{Stage: s.Name, Lines: []int{}, Events: []map[string]any{}}
			for _, e := range s.Events {
				ts.Lines = append(ts.Lines, e.Origin.Line())
				ts.Events = append(ts.Events, e.Body.(*event.Plain).Fields)
			}
			tm.Stages = append(tm.Stages, ts)
		}
		out.Matches = append(out.Matches, tm)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}
