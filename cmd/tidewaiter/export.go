package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"tidewaiter/app"
	"tidewaiter/state"
)

func newFindingsExport() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use:   "export [flags]",
		Short: "Print what the daemon has found, as it is now",
		Long: `Print the findings that "tidewaiter run" keeps in its data directory, each once,
as it is now, also those that were withdrawn or superseded; one OCSF Detection
Finding per line, the one with the latest evidence first. The daemon may be
running.

Exit status: 0; 1 if the data directory cannot be read; 2 for misuse.`,
		Example: `  tidewaiter findings export --data ./data | tidewaiter findings list -
  tidewaiter findings export > findings.ndjson`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := openState(data)
			if err != nil {
				return failed(err)
			}
			err = s.EachFinding(func(json []byte) error {
				_, err := fmt.Fprintf(c.OutOrStdout(), "%s\n", json)
				return err
			})
			if err = errors.Join(err, s.Close()); err != nil {
				return failed(fmt.Errorf("export findings: %w", err))
			}
			return nil
		},
	}
	c.Flags().StringVar(&data, "data", app.DefaultData, "the daemon's `FOLDER`")
	return c
}

// openState opens a daemon's state. It makes none: a mistyped folder is a fault.
func openState(dir string) (*state.Store, error) {
	if _, err := os.Stat(filepath.Join(dir, state.FileName)); err != nil {
		return nil, fmt.Errorf("%s is no data directory of \"tidewaiter run\": %w", dir, err)
	}
	return state.Open(dir)
}
