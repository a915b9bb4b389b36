package scenario_test

import (
	"os"
	"path/filepath"
	"testing"
)

// The example's attack, told by the kernel sensor in place of audit and
// conntrack, is the same finding.
func TestTheKernelSensorTellsTheExample(t *testing.T) {
	const example = "../examples/recording/"
	want := hunt(t, "../examples/policy.yaml", nil, example)
	dir := t.TempDir()
	for _, path := range []string{
		example + "docker-events.log", example + "containerd-events.log", example + "inspect.json", example + "inspect-images.json", example + "inputs.yaml",
		"testdata/kernel/ebpf.ndjson",
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := hunt(t, "../examples/policy.yaml", nil, dir)
	if len(got.Findings) != 1 || len(want.Findings) != 1 {
		t.Fatalf("findings: %v, want %v", titles(got.Findings), titles(want.Findings))
	}
	g, w := got.Findings[0], want.Findings[0]
	if g.Severity != w.Severity || g.Score != w.Score || g.Title != w.Title || len(g.Legs) != len(w.Legs) {
		t.Errorf("%s, score %v: %s\nwant %s, score %v: %s", g.Severity, g.Score, g.Title, w.Severity, w.Score, w.Title)
	}
	for i, leg := range g.Legs {
		if leg.Name != w.Legs[i].Name || leg.State != w.Legs[i].State {
			t.Errorf("leg %s is %s, want %s %s", leg.Name, leg.State, w.Legs[i].Name, w.Legs[i].State)
		}
	}
	checkRecords(t, got, g)
}
