package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"tidewaiter/analytic"
	"tidewaiter/detections"
	"tidewaiter/policy"
	"tidewaiter/visible"
)

func newPolicy() *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Write and check the policy: what a site trusts",
		Long: `Write and check the policy: which registries, destinations and people belong to
which part of a site, and what is usual there. Without one nothing is known to
be approved. docs/formats/policy.md is the reference.`,
		Example: `  tidewaiter policy init > policy.yaml
  tidewaiter policy check policy.yaml
  tidewaiter hunt --policy policy.yaml /logs`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		&cobra.Command{
			Use:     "init",
			Short:   "Write a policy to begin with, every setting explained",
			Long:    "Write a policy to begin with to standard output, every setting explained and at\nits default.",
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
			Long: `Check policy files and name every fault at once, with line and key.

Exit status: 0; 1 if a file has a fault; 2 for misuse.`,
			Example: "  tidewaiter policy check policy.yaml && tidewaiter hunt --policy policy.yaml /logs",
			Args: func(_ *cobra.Command, args []string) error {
				if len(args) == 0 {
					return misused("policy check: name at least one policy file; \"tidewaiter policy init\" writes one")
				}
				return nil
			},
			RunE: checkPolicies,
			ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
				return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
			},
		},
		&cobra.Command{
			Use:   "schema",
			Short: "Print the JSON Schema of policy files",
			Long: `Print the JSON Schema of policy files. Editors that know it complete settings and
mark faults while a policy is written.`,
			Example: "  tidewaiter policy schema > policy.schema.json",
			Args:    noArgs,
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
			systems = ", autonomous systems by " + visible.Text(from)
		}
		fmt.Fprintf(c.OutOrStdout(), "%s: good, %s%s\n", visible.Text(f), plural(int64(len(p.Scopes())), "scope"), systems)
	}
	if bad {
		return statusError{exitError, nil}
	}
	return nil
}
