package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"tidewaiter/visible"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write manual pages, one for each command",
		Long: `Write manual pages of section 1 into a folder, which is made if it is not there:
tidewaiter.1, and one for each command. Their date is that of the environment's
SOURCE_DATE_EPOCH, or today.`,
		Example: `  tidewaiter man /usr/local/share/man/man1
  tidewaiter man . && man ./tidewaiter-hunt.1`,
		Args: exactly(1, "the folder to write to"),
		RunE: func(c *cobra.Command, args []string) error {
			dir := args[0]
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return failed(fmt.Errorf("write manual pages: %w", err))
			}
			c.Root().DisableAutoGenTag = true
			head := &doc.GenManHeader{Section: "1", Source: "tidewaiter " + version(), Manual: "tidewaiter"}
			if err := doc.GenManTree(c.Root(), head, dir); err != nil {
				return failed(fmt.Errorf("write manual pages to %s: %w", visible.Text(dir), err))
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
}
