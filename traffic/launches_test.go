package traffic_test

import (
	"flag"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/app"
	"tidewaiter/detections"
	"tidewaiter/finding"
	"tidewaiter/policy"
	"tidewaiter/traffic"
)

var launches = flag.Int("launches", 5_000, "how many machines TestLaunches launches")

// TestLaunches looks for twenty machines of strangers' images among many that an
// auto scaling group launches from the golden one: it finds them, and nothing
// else. make launches does so with a million, and prints what memory that takes.
func TestLaunches(t *testing.T) {
	dir := t.TempDir()
	span := time.Duration(*launches) * 2600 * time.Millisecond // a million in a month
	truth, err := traffic.WriteLaunches(dir, traffic.LaunchOptions{Launches: *launches, Strays: 20, Span: max(span, 26*time.Hour), Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	pol, err := policy.Read(strings.NewReader(traffic.CloudPolicy), "policy", lib.Vocabulary())
	if err != nil {
		t.Fatal(err)
	}
	before, most := cpu(t), uint64(0)
	r, err := app.Hunt(app.HuntOptions{Paths: []string{dir}, Library: lib, Policy: pol, Now: time.Unix(1_900_000_000, 0), Progress: func(app.Progress) { most = max(most, liveHeap()) }})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	spent := cpu(t) - before
	found, others := map[string]bool{}, 0
	for _, f := range r.Findings {
		if f.Severity < analytic.Low {
			continue
		}
		others += judge(t, f, truth, found)
	}
	t.Logf("%d of %d, %d others; %d launches, %d events, %.0f MB, %s of CPU; live heap at most %.0f MB, %.0f bytes for each launch; %d let go",
		len(found), len(truth.Guilty), others, *launches, truth.Events, float64(truth.Bytes)/1e6, spent.Round(time.Second),
		float64(most)/1e6, float64(most)/float64(*launches), r.Counts.Ended)
	if len(found) != len(truth.Guilty) || others > 0 {
		t.Errorf("found %d of %d, and %d others", len(found), len(truth.Guilty), others)
	}
}

// judge notes the machines that a finding is about and counts those that are
// innocent.
func judge(t *testing.T, f finding.Finding, truth traffic.Truth, found map[string]bool) (others int) {
	t.Helper()
	for _, s := range f.Subjects {
		if s.Instance == nil || !truth.Guilty[s.Instance.ID] {
			others++
			t.Errorf("%s %.0f %s", f.Severity, f.Score, f.Title)
			continue
		}
		found[s.Instance.ID] = true
	}
	return others
}

// liveHeap is what the last collection found in use.
func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
