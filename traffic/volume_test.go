package traffic_test

import (
	"flag"
	"testing"
	"time"

	"tidewaiter/traffic"
)

var (
	into   = flag.String("into", "", "write a large recording into this `FOLDER`")
	events = flag.Int("events", 2_500_000, "about how many events it has")
	hours  = flag.Int("hours", 24, "the hours that they fill")
)

// TestVolume writes a recording of a size that no test should: 400 bytes an
// event. See CONTRIBUTING.md, "Measure".
func TestVolume(t *testing.T) {
	if *into == "" {
		t.Skip("set -into to write one")
	}
	truth, err := traffic.Write(*into, traffic.Options{Hosts: 100, Events: *events, Span: time.Duration(*hours) * time.Hour, Chains: 100, Decoys: 200, Late: 10 * time.Second, Seed: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events, %d bytes", truth.Events, truth.Bytes)
}
