package main

import (
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tidewaiter/analytic"
	"tidewaiter/detections"
)

// severities are the names that flags take.
var severities = []string{"info", "low", "medium", "high", "critical"}

// oneOf checks the value of a flag, and suggests.
func oneOf(flag, value string, known []string) error {
	if slices.Contains(known, value) {
		return nil
	}
	last := len(known) - 1
	return misused("%s: %q: want %s or %s%s", flag, value, strings.Join(known[:last], ", "), known[last], meant(value, known))
}

// meant says which known word somebody may have meant, or nothing: those that
// are nearest. The measure is the command line library's own.
func meant(word string, known []string) string {
	c := &cobra.Command{}
	for _, k := range known {
		c.AddCommand(&cobra.Command{Use: k, Run: func(*cobra.Command, []string) {}})
	}
	for c.SuggestionsMinimumDistance = 1; word != "" && c.SuggestionsMinimumDistance <= 2; c.SuggestionsMinimumDistance++ {
		if near := c.SuggestionsFor(word); len(near) > 0 {
			return "; did you mean " + strings.Join(near[:min(len(near), 3)], " or ") + "?"
		}
	}
	return ""
}

// flagError tells a wrong flag with those that look like it.
func flagError(c *cobra.Command, err error) error {
	word, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return misused("%s: %w", title(c), err)
	}
	var flags []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			flags = append(flags, f.Name)
		}
	})
	near := meant(word, flags)
	return misused("%s: unknown flag --%s%s", title(c), word, strings.Replace(strings.ReplaceAll(near, " or ", " or --"), "mean ", "mean --", 1))
}

// noArgs allows no arguments: what stands there is a subcommand that does not
// exist, or one too many.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !c.HasAvailableSubCommands() {
		return misused("%s: unexpected argument %q", title(c), args[0])
	}
	prefix := ""
	if c.HasParent() {
		prefix = title(c) + ": "
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return misused("%sunknown command %q%s", prefix, args[0], meant(args[0], names))
}

// title is how messages, which begin with the program's name, name a command.
func title(c *cobra.Command) string {
	if c.HasParent() {
		return strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
	}
	return "command line"
}

// exactly wants so many arguments, and says which.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return misused("%s: want %s, got %s", title(c), what, plural(int64(len(args)), "argument"))
		}
		return nil
	}
}

// named is the command that a command line names.
func named(root *cobra.Command, args []string) *cobra.Command {
	if c, _, err := root.Find(args); err == nil {
		return c
	}
	return root
}

// completeFlags lets a shell complete the values of flags.
func completeFlags(c *cobra.Command, values map[string][]string) {
	for flag, known := range values {
		register(c, flag, cobra.FixedCompletions(known, cobra.ShellCompDirectiveNoFileComp))
	}
}

// completeFiles lets a shell complete a flag with files of these kinds.
func completeFiles(c *cobra.Command, flag string, extensions ...string) {
	register(c, flag, func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return extensions, cobra.ShellCompDirectiveFilterFileExt
	})
}

func register(c *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the flag does not exist: a fault of this program that every start shows
	}
}

// analyticIDs are the ids of the detections, for completion.
func analyticIDs() []cobra.Completion {
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		return nil
	}
	var out []cobra.Completion
	for _, d := range lib.Detections() {
		out = append(out, cobra.CompletionWithDesc(d.ID, d.Name))
	}
	return out
}

// completeDetections completes a single argument with the detections.
func completeDetections(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return analyticIDs(), cobra.ShellCompDirectiveNoFileComp
}

// detectionFiles are the ids whose files can be shown.
func detectionFiles() []string {
	names, err := fs.Glob(detections.Files(), "*.yaml")
	if err != nil {
		return nil
	}
	for i := range names {
		names[i] = strings.TrimSuffix(names[i], ".yaml")
	}
	return names
}
