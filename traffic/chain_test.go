package traffic_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/app"
	"tidewaiter/detections"
	"tidewaiter/policy"
	"tidewaiter/traffic"
)

// cpu is the process's own time.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestChain looks for a hundred chains among 300,000 events and 200 decoys: it
// finds exactly them, in order and shuffled within what may come late.
// make chain prints the figures.
func TestChain(t *testing.T) {
	app.PaceGarbage() // as the program does
	events := 300_000
	if testing.Short() {
		events = 30_000
	}
	for name, late := range map[string]time.Duration{"in order": 0, "shuffled": 30 * time.Second} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			truth, err := traffic.Write(dir, traffic.Options{Events: events, Chains: 100, Decoys: 200, Late: late, Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			lib, err := analytic.Load(detections.Files())
			if err != nil {
				t.Fatal(err)
			}
			pol, err := policy.Read(strings.NewReader(traffic.Policy), "policy", lib.Vocabulary())
			if err != nil {
				t.Fatal(err)
			}
			before := cpu(t)
			r, err := app.Hunt(app.HuntOptions{Paths: []string{dir}, Library: lib, Policy: pol, Now: time.Unix(1_793_100_000, 0)})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			spent := cpu(t) - before
			found, others := 0, 0
			for _, f := range r.Findings {
				switch c := f.Subjects[0].Container; {
				case f.Severity < analytic.Low:
				case truth.Guilty[c.ID]:
					found++
				default:
					others++
					t.Errorf("%s %.0f %s", f.Severity, f.Score, f.Title)
				}
			}
			t.Logf("%s: %d of %d, %d others, %.1f MB per CPU-second (%d events, %.1f MB, %s)", name, found, len(truth.Guilty), others,
				float64(truth.Bytes)/1e6/spent.Seconds(), truth.Events, float64(truth.Bytes)/1e6, spent.Round(time.Millisecond))
			if found != len(truth.Guilty) || others > 0 {
				t.Errorf("found %d of %d, and %d others", found, len(truth.Guilty), others)
			}
		})
	}
}

// The same options give the same bytes.
func TestTheSameOptionsGiveTheSameBytes(t *testing.T) {
	read := func() string {
		dir := t.TempDir()
		if _, err := traffic.Write(dir, traffic.Options{Hosts: 2, Events: 500, Chains: 2, Decoys: 4, Late: time.Second, Seed: 3}); err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(err, files)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(data)
		}
		return all.String()
	}
	if read() != read() {
		t.Error("they differ")
	}
}
