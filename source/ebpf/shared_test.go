package ebpf

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// counts is what a sample file must give.
type counts struct{ events, skipped int64 }

// readSamples decodes every file below a folder with one format and compares
// the counts; no record of a sample may be unreadable.
func readSamples(t *testing.T, f *source.Format, dir string, want map[string]counts) map[string][]event.Event {
	t.Helper()
	events := map[string][]event.Event{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), "json") {
			return err
		}
		in, list := sourcetest.ReadFile(t, path, f)
		name := d.Name()
		events[name] = list
		var tally source.Tally
		for _, lane := range in.Tallies() {
			tally = lane.Tally
		}
		t.Logf("%s: %d records, %d events, %d skipped, %d unreadable", name, tally.Records, tally.Events, tally.Skipped, tally.Unreadable)
		for _, fault := range tally.Faults {
			t.Errorf("%s: %v", name, fault)
		}
		if w, ok := want[name]; !ok || w != (counts{tally.Events, tally.Skipped}) {
			t.Errorf("%s: %d events and %d skipped, want %+v", name, tally.Events, tally.Skipped, w)
		}
		return nil
	})
	if err != nil || len(events) != len(want) {
		t.Errorf("%d files of %d read: %v", len(events), len(want), err)
	}
	return events
}

func TestTetragonSamples(t *testing.T) {
	got := readSamples(t, Tetragon(), sourcetest.Shared(t, "data", "tetragon"), map[string]counts{
		"process_exec.json": {1, 0}, "process_listen.json": {1, 0}, "process_kprobe.json": {1, 0}, "process_close.json": {1, 0},
		"process_exit.json": {1, 0}, "process_connect.json": {1, 0}, "linux-kernel-modules.ndjson": {4, 3},
		"monitor-changes-at-kernel.ndjson": {1, 0}, "syscalls-monitoring.ndjson": {1, 1}, "namespace-access.ndjson": {1, 0},
		"process-execution.ndjson": {1, 1}, "advanced-process-execution.ndjson": {1, 0}, "record-linux-capabilities.ndjson": {1, 0},
		"filename-access.ndjson": {1, 0}, "events.ndjson": {1, 0}, "execution.ndjson": {1, 0}, "events.json": {3, 0},
	})
	sourcetest.Require(t, got["process_exec.json"], func(p *event.Process) bool {
		return p.PID == 115153 && p.PPID == 114757 && p.Exe == "/usr/bin/curl" && strings.Join(p.Args, " ") == "/usr/bin/curl www.google.com" &&
			strings.HasPrefix(p.Container, "86eb9e29a77d432a") && len(p.Container) == 64 && p.Of.Value().Node == "minikube" &&
			p.Of.Value().Image.Repository() == "quay.io/isovalent/jobs-app-elasticsearch" && !p.Of.Value().Image.Digest().IsZero()
	})
	sourcetest.Require(t, got["process_connect.json"], func(s *event.Socket) bool {
		return s.Addr.Port() == 80 && s.Success && s.Of.Value().Container == "elasticsearch"
	})
	sourcetest.Require(t, got["filename-access.ndjson"], func(w *event.FileWrite) bool { return w.Path == "/etc/passwd" && w.PID == 64746 })
	sourcetest.Require(t, got["namespace-access.ndjson"], func(p *event.Process) bool {
		return strings.Join(p.Args, " ") == "/usr/bin/nsenter -t 1 -m -u -n -i -p" && p.Of.Value().Pod == "xwing"
	})
	sourcetest.Require(t, got["process_kprobe.json"], func(w *event.FileWrite) bool { return w.Path == "/etc/passwd" })
}

func TestTetragonScenarios(t *testing.T) {
	for name, want := range map[string]int{"A11": 4, "B06": 5} {
		path := filepath.Join(sourcetest.Shared(t, "scenarios", name), "tetragon.log")
		in, events := sourcetest.ReadFile(t, path, Tetragon())
		// Each names one container, of which start and status are told beside
		// the records.
		if tally := in.Tallies()[0].Tally; len(events) != want || tally.Beside != 2 || tally.Unreadable != 0 || tally.Skipped != 0 {
			t.Errorf("%s: %d events, %+v", name, len(events), tally)
		}
		for _, e := range events {
			res := int64(1)
			switch e.Body.(type) {
			case *event.Task, *event.PodStatus:
				res = event.Second
			}
			if e.Place.Host == "" || int64(e.Time.Res) != res {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
}

func TestTraceeSamples(t *testing.T) {
	got := readSamples(t, Tracee(), sourcetest.Shared(t, "data", "tracee"), map[string]counts{
		"k8s-policies.ndjson": {1, 0}, "rules.ndjson": {0, 1}, "golang.ndjson": {0, 1}, "network-events.ndjson": {4, 4}, "forensics.ndjson": {2, 4},
	})
	sourcetest.Require(t, got["k8s-policies.ndjson"], func(p *event.Process) bool {
		return p.PID == 3242201 && p.PPID == 3205483 && p.Exe == "/opt/cni/bin/bridge" && len(p.Args) == 1 && p.UID == 0
	})
	sourcetest.Require(t, got["network-events.ndjson"], func(d *event.DNS) bool {
		return d.Query == "www.zip.net" && d.Type == "A" && d.Code == "NOERROR" && len(d.Addrs) == 1 && len(d.Names) == 1 &&
			d.Client.String() == "192.168.200.50:52190" && d.Server.String() == "8.8.8.8:53"
	})
	sourcetest.Require(t, got["forensics.ndjson"], func(w *event.FileWrite) bool {
		return w.Path == "/tmp/testing.txt" && w.PID == 2578238 && w.UID == 1000
	})
}

// No sample of another format may be taken for one of these.
func TestSniffLeavesOtherSamplesAlone(t *testing.T) {
	root := sourcetest.Shared(t)
	seen := 0
	for _, dir := range []string{"data", "scenarios", "captures"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			seen++
			text = text[:min(len(text), 64<<10)]
			for _, f := range []*source.Format{Tetragon(), Tracee()} {
				own := strings.Contains(path, f.Name)
				if sure := sourcetest.Sniff(f, string(text)); (sure > 0) != own && (!own || strings.Contains(path, "json")) {
					t.Errorf("%s: %s is sure to %d", path, f.Name, sure)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d files", seen)
}
