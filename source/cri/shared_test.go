package cri_test

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"tidewaiter/app"
	"tidewaiter/source"
	"tidewaiter/source/cri"
	"tidewaiter/source/sourcetest"
)

// The samples beside the repository have no log of a CRI runtime, only those of
// the containerd below Docker. These are this package's now, and say nothing of
// interest.
func TestSharedContainerdLogs(t *testing.T) {
	n := 0
	for _, path := range sharedFiles(t) {
		if filepath.Base(path) != "containerd.log" {
			continue
		}
		n++
		in, _ := sourcetest.ReadFile(t, path, app.Formats()...)
		tally := in.Tallies()[0]
		t.Logf("%s: %s, %d records, %d events, %d skipped, %d unreadable", path, tally.Format.Name, tally.Records, tally.Events, tally.Skipped, tally.Unreadable)
		if tally.Format.Name != "containerd-log" || tally.Events != 0 || tally.Skipped != tally.Records {
			t.Errorf("%s: read as %s, %d events, faults %v", path, tally.Format.Name, tally.Events, tally.Faults)
		}
	}
	if n == 0 {
		t.Skip("no containerd.log among the samples")
	}
}

// No other sample is taken for one of these logs.
func TestSharedSamplesOfOthers(t *testing.T) {
	own := []*source.Format{cri.ContainerdLog(), cri.CRIOLog()}
	n := 0
	for _, path := range sharedFiles(t) {
		in, err := source.Open(path, source.Options{Formats: own})
		if err != nil {
			n++
			continue
		}
		name := in.Tallies()[0].Format.Name
		in.Close()
		if filepath.Base(path) != "containerd.log" {
			t.Errorf("%s is taken for %s", path, name)
		}
	}
	t.Logf("%d files are left alone", n)
}

func sharedFiles(t *testing.T) []string {
	var files []string
	for _, folder := range []string{"data", "captures", "scenarios"} {
		err := filepath.WalkDir(sourcetest.Shared(t, folder), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && !strings.HasSuffix(path, ".md") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}
