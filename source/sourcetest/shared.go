package sourcetest

import (
	"os"
	"path/filepath"
	"testing"
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
