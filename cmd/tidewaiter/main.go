// Command tidewaiter finds malicious container images by what they do after
// they arrive. See "tidewaiter help".
//
// In: arguments, and logs that they name. Out: findings on standard output,
// the account of what was read on standard error, and an exit status.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"tidewaiter/visible"
)

// Exit statuses.
const (
	exitOK     = 0
	exitError  = 1
	exitMisuse = 2
	exitFound  = 3 // --fail-on was reached
	// exitInterrupted is what shells give for a program that SIGINT ended.
	exitInterrupted = 130
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is main for tests: it runs one command line and gives its exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	var status statusError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &status):
		if status.err != nil {
			printError(stderr, status.err)
		}
		if status.code == exitMisuse {
			fmt.Fprintf(stderr, "hint: \"%s --help\" explains, with examples\n", named(root, args).CommandPath())
		}
		return status.code
	}
	// What is left comes from the command line's own grammar.
	printError(stderr, err)
	fmt.Fprintf(stderr, "hint: \"%s --help\" explains, with examples\n", named(root, args).CommandPath())
	return exitMisuse
}

// statusError ends the program with a status; err may be nil.
type statusError struct {
	code int
	err  error
}

// Error is the reason, if there is one.
func (e statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

// failed ends the program because something went wrong.
func failed(err error) error { return statusError{exitError, err} }

// misused ends the program because it was called wrongly.
func misused(format string, args ...any) error {
	return statusError{exitMisuse, fmt.Errorf(format, args...)}
}

// printError prints each line of an error. Its text may hold names from logs.
func printError(w io.Writer, err error) {
	for _, line := range splitLines(err.Error()) {
		fmt.Fprintln(w, "tidewaiter: "+visible.Text(line))
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "tidewaiter",
		Short: "Find malicious container images by what they do after they arrive",
		Long: `tidewaiter follows each container image from its arrival on a host (pull, load,
build) through the container's creation and start to its behaviour (commands,
connections), and each cloud machine from its image over launch and first boot
to the same; joins these on one image identity within a window, and raises one
finding with every leg's evidence. It executes MITRE ATT&CK's own detection
strategies.`,
		Example: `  sudo tidewaiter coverage                         what can be seen on this host
  sudo tidewaiter run --policy policy.yaml         find attacks while they happen
  tidewaiter hunt /var/log/collected/              look through recorded logs
  tidewaiter hunt -o html /logs > hunt.html        the same as a page
  tidewaiter policy init > policy.yaml             write a policy to begin with
  tidewaiter hunt --policy policy.yaml /logs       hunt with it
  tidewaiter findings show tw-bf3b findings.json   one finding of an earlier hunt`,
		Args:          noArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
	}
	root.SetVersionTemplate("tidewaiter {{.Version}}\n")
	root.AddCommand(newHunt(), newRun(), newCoverage(), newDrill(), newDeliveries(), newFindings(), newPolicy(), newDetections(), newPosture(), newScenario(), newMan())
	root.SetFlagErrorFunc(flagError)
	return root
}
