package main

import (
	"bytes"
	"strings"
	"testing"

	"tidewaiter/app"
	"tidewaiter/drill"
)

// The table says of each leg what is to be known, and nothing from the engine or
// from a finding reaches the terminal as it is.
func TestDrillTable(t *testing.T) {
	r := &drill.Report{
		Analytic: "AN1", Name: "a chain", Kept: true, Image: "img\x1b[2J", Container: "c1", Notes: []string{"a note"},
		Legs: []drill.Leg{
			{Name: "start", State: drill.Seen, Sources: []string{"docker", "containerd"}, After: 0.25},
			{Name: "egress", State: drill.Late, Sources: []string{"conntrack"}, After: 7},
			{Name: "command", State: drill.Blind, Missing: "what it ran", Open: []string{"the kernel's programs"}},
			{Name: "lookup", State: drill.Blind, Optional: true, Missing: "what it asked", Should: []string{"zeek"}},
		},
		Finding: &drill.Finding{ID: "tw-1", Severity: "Low", State: "provisional", Title: "bad\x07title"},
	}
	var out bytes.Buffer
	if err := printDrill(&out, drillFlags{output: "table", color: "never"}, app.Settings{Data: "/data"}, r); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"AN1  a chain",
		"  ✓    start       after 0.2 s  docker, containerd",
		"  late egress      after 7.0 s  conntrack",
		"  ✗    command     what it ran was not told",
		"                   → the kernel's programs",
		"  –    lookup      what it asked was not told",
		"                   zeek could have told it",
		"tw-1  Low, provisional",
		"tidewaiter findings export --data /data | tidewaiter findings show tw-1 -",
		"note: a note", "kept: container c1",
	}
	for _, line := range want {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no %q in\n%s", line, out.String())
		}
	}
	if strings.ContainsAny(out.String(), "\x1b\x07") {
		t.Errorf("control characters in %q", out.String())
	}
}
