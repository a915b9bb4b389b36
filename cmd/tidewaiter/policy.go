package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"tidewaiter/analytic"
	"tidewaiter/detections"
	"tidewaiter/policy"
	"tidewaiter/sink/text"
)

func newPolicy() *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Write and check the policy: what a site trusts",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		&cobra.Command{
			Use:     "init",
			Short:   "Write a policy to begin with, every setting explained",
			Example: "  tidewaiter policy init > policy.yaml",
			Args:    noArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				lib, err := analytic.Load(detections.Files())
				if err != nil {
					return failed(err)
				}
				fmt.Fprint(c.OutOrStdout(), policy.Example(lib.Vocabulary()))
				return nil
			},
		},
		&cobra.Command{
			Use:   "check FILE…",
			Short: "Check policy files; name every fault with line and key",
			Args:  cobra.MinimumNArgs(1),
			RunE:  checkPolicies,
		},
		&cobra.Command{
			Use:   "schema",
			Short: "Print the JSON Schema of policy files",
			Args:  noArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				lib, err := analytic.Load(detections.Files())
				if err != nil {
					return failed(err)
				}
				b, err := policy.Schema(lib.Vocabulary())
				if err != nil {
					return failed(err)
				}
				_, err = c.OutOrStdout().Write(b)
				return err
			},
		},
	)
	return c
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return misused("%s: unexpected argument %q", c.CommandPath(), args[0])
	}
	return nil
}

func checkPolicies(c *cobra.Command, files []string) error {
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		return failed(err)
	}
	bad := false
	for _, f := range files {
		p, err := policy.Load(f, lib.Vocabulary())
		if err != nil {
			bad = true
			printError(c.ErrOrStderr(), err)
			continue
		}
		systems := ""
		if from := p.SystemsSource(); from != "" {
			systems = ", autonomous systems by " + text.Escape(from)
		}
		fmt.Fprintf(c.OutOrStdout(), "%s: good, %s%s\n", text.Escape(f), plural(int64(len(p.Scopes())), "scope"), systems)
	}
	if bad {
		return statusError{exitError, nil}
	}
	return nil
}
