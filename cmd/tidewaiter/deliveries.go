package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tidewaiter/analytic"
	"tidewaiter/app"
	"tidewaiter/state"
	"tidewaiter/visible"
)

func newDeliveries() *cobra.Command {
	c := &cobra.Command{
		Use:   "deliveries",
		Short: "See what the daemon has yet to tell, and what it could not",
		Long: `See the outbox of "tidewaiter run": every notice of a finding on its way to a
sink. What a sink cannot take is tried again, longer apart each time, for three
days; what it refuses, or what three days did not bring, is a dead letter, which
is kept and can be sent again.`,
		Example: `  tidewaiter deliveries list --data ./data
  tidewaiter deliveries resend --data ./data --sink soc`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newDeliveriesList(), newDeliveriesResend())
	return c
}

// deliveryStates are what --state takes.
var deliveryStates = []string{"due", "dead", "done", "all"}

// maxListed bounds a list of deliveries.
const maxListed = 10_000

func newDeliveriesList() *cobra.Command {
	var data, sink, in string
	c := &cobra.Command{
		Use:   "list [flags]",
		Short: "List deliveries, one to a line",
		Long: `List deliveries, the oldest first: number, state, sink, severity, finding, how
often it was tried, since when, and why it failed the last time. Without --state
those are listed that are not done.

Exit status: 0; 1 if the data directory cannot be read; 2 for misuse.`,
		Example: `  tidewaiter deliveries list --data ./data --state dead`,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if in != "" {
				if err := oneOf("--state", in, deliveryStates); err != nil {
					return misused("%w", err)
				}
			}
			return listDeliveries(c, data, sink, in)
		},
	}
	dataFlag(c, &data)
	c.Flags().StringVar(&sink, "sink", "", "list those to this sink, by its `NAME`")
	c.Flags().StringVar(&in, "state", "", "list those in this `STATE`: "+strings.Join(deliveryStates, ", "))
	completeFlags(c, map[string][]string{"state": deliveryStates})
	return c
}

func dataFlag(c *cobra.Command, into *string) {
	c.Flags().StringVar(into, "data", app.DefaultData, "the daemon's `FOLDER`")
}

func listDeliveries(c *cobra.Command, data, sink, in string) error {
	s, err := openState(data)
	if err != nil {
		return failed(err)
	}
	defer s.Close()
	states := []string{in}
	switch in {
	case "":
		states = []string{state.Dead, state.Due}
	case "all":
		states = []string{""}
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 4, 2, ' ', 0)
	n := 0
	for _, one := range states {
		list, err := s.Deliveries(one, sink, maxListed)
		if err != nil {
			return failed(err)
		}
		for _, d := range list {
			n++
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.ID, d.State, visible.Text(d.Sink), analytic.Severity(d.Severity), visible.Text(d.Finding),
				plural(int64(d.Tries), "try"), d.Made.UTC().Format(time.RFC3339), visible.Text(d.Fault))
		}
	}
	if n == 0 {
		fmt.Fprintln(w, "no deliveries")
	}
	if err := w.Flush(); err != nil {
		return failed(err)
	}
	return nil
}

func newDeliveriesResend() *cobra.Command {
	var data, sink string
	c := &cobra.Command{
		Use:   "resend [flags] [NUMBER…]",
		Short: "Send dead letters again",
		Long: `Make dead letters due again: those whose numbers "deliveries list" shows, or
without numbers every one, or every one to a sink. The daemon sends them within
seconds, or when it is started.

Exit status: 0; 1 if there is no such dead letter; 2 for misuse.`,
		Example: `  tidewaiter deliveries resend --data ./data 17 18
  tidewaiter deliveries resend --data ./data --sink soc`,
		Args: func(_ *cobra.Command, args []string) error {
			for _, a := range args {
				if _, err := strconv.ParseInt(a, 10, 64); err != nil {
					return misused("deliveries resend: %q is no number of a delivery; \"tidewaiter deliveries list\" shows them", a)
				}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			s, err := openState(data)
			if err != nil {
				return failed(err)
			}
			defer s.Close()
			var ids []int64
			for _, a := range args {
				id, err := strconv.ParseInt(a, 10, 64)
				if err != nil {
					return misused("deliveries resend: %w", err)
				}
				ids = append(ids, id)
			}
			slices.Sort(ids)
			ids = slices.Compact(ids)
			n, err := s.Resend(sink, ids, time.Now())
			switch {
			case err != nil:
				return failed(err)
			case n < int64(len(ids)):
				return failed(errors.New("not every number is one of a dead letter; the others are sent again"))
			}
			fmt.Fprintf(c.OutOrStdout(), "%s due again\n", plural(n, "delivery"))
			return nil
		},
	}
	dataFlag(c, &data)
	c.Flags().StringVar(&sink, "sink", "", "those to this sink, by its `NAME`")
	return c
}
