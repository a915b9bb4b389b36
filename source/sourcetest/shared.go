package sourcetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
)

// Shared gives a folder of the recordings that are kept outside the
// repository, in ../shared of the module's root, and skips the test where they
// are not at hand.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for !exists(filepath.Join(dir, "go.mod")) {
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		t.Skip("../shared is absent: no module root")
	}
	// Walking does not follow a link at the root.
	path, err := filepath.EvalSymlinks(filepath.Join(dir, "..", "shared"))
	if err != nil {
		t.Skip("../shared is absent")
	}
	path = filepath.Join(append([]string{path}, elem...)...)
	if !exists(path) {
		t.Skip("../shared is absent: no " + filepath.Join(elem...))
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// SharedFiles are the files below a folder of the recordings outside the
// repository for which is holds; its argument is the path below that folder,
// with slashes.
func SharedFiles(t testing.TB, folder string, is func(path string) bool) []string {
	t.Helper()
	root := Shared(t, filepath.FromSlash(folder))
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err == nil && is(filepath.ToSlash(rel)) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// ReadShared decodes a recording without loss: with the formats given it must
// be recognised, every record must be an event or skipped, and none may be
// unreadable. It logs the account.
func ReadShared(t *testing.T, path string, formats ...*source.Format) []event.Event {
	t.Helper()
	in, events := ReadFile(t, path, formats...)
	_, short, _ := strings.Cut(filepath.ToSlash(path), "/shared/")
	for _, lane := range in.Tallies() {
		t.Logf("%-16s %4d records %4d events %4d beside %4d skipped  %s", lane.Format.Name, lane.Records, lane.Events, lane.Beside, lane.Skipped, short)
		if lane.Unreadable != 0 {
			t.Errorf("%s: %d unreadable, the first %v", short, lane.Unreadable, lane.Faults[0])
		}
	}
	return events
}
