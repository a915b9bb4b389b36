package coverage_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/app"
	"tidewaiter/coverage"
	"tidewaiter/detections"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/policy"
)

func library(t *testing.T) *analytic.Library {
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

func find(t *testing.T, all []coverage.Analytic, id string) coverage.Analytic {
	i := slices.IndexFunc(all, func(a coverage.Analytic) bool { return a.ID == id })
	if i < 0 {
		t.Fatalf("%s is missing", id)
	}
	return all[i]
}

// Without a sensor exactly its legs are blind, and what it says of itself is
// the first advice.
func TestALegIsAsBlindAsItsSensors(t *testing.T) {
	docker := coverage.Watcher{Name: "docker", Watches: true, Sources: []event.Source{event.Docker, event.Inspect}}
	kernel := coverage.Watcher{Name: "ebpf", Watches: true, Sources: []event.Source{event.Kernel}}
	lost := coverage.Watcher{Name: "ebpf", Fault: "not root", Mend: "run as root", Sources: []event.Source{event.Kernel}}
	for name, c := range map[string]struct {
		watchers []coverage.Watcher
		blind    []string
	}{
		"all":            {[]coverage.Watcher{docker, kernel}, nil},
		"without ebpf":   {[]coverage.Watcher{docker, lost}, []string{"command", "egress"}},
		"without docker": {[]coverage.Watcher{kernel}, []string{"arrival", "creation", "start"}},
		"nothing":        {nil, []string{"arrival", "creation", "start", "command", "egress"}},
	} {
		a := find(t, coverage.Of(library(t), c.watchers), "AN0691")
		var blind []string
		for _, l := range a.Legs {
			if len(l.By) == 0 {
				blind = append(blind, l.Name)
				if l.Missing == "" || len(l.Open) == 0 {
					t.Errorf("%s: %s is blind, and nobody says what that means", name, l.Name)
				}
				if name == "without ebpf" && l.Open[0] != "ebpf: run as root" {
					t.Errorf("%s: advice %q", l.Name, l.Open)
				}
			}
		}
		if !slices.Equal(blind, c.blind) {
			t.Errorf("%s: blind are %v, want %v", name, blind, c.blind)
		}
	}
}

// Every leg of every analytic can be opened by something.
func TestEveryLegCanBeOpened(t *testing.T) {
	for _, a := range coverage.Of(library(t), nil) {
		for _, l := range a.Legs {
			if len(l.Open) == 0 {
				t.Errorf("%s: nothing opens %s", a.ID, l.Name)
			}
		}
	}
}

// What recordings tell is what the table says that their sources tell. Without
// ../shared only the bundled example is read.
func TestTellsWhatIsSeen(t *testing.T) {
	paths := []string{"../examples/recording"}
	for _, more := range []string{"../../shared/captures/*", "../../shared/scenarios/*"} {
		found, err := filepath.Glob(more)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			t.Logf("%s is not there", more)
		}
		paths = append(paths, found...)
	}
	lib := library(t)
	type told struct {
		source event.Source
		kind   evidence.Kind
	}
	seen := map[told]string{}
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			continue
		}
		r, err := app.Hunt(app.HuntOptions{Paths: []string{path}, Library: lib, Policy: policy.Empty(lib.Vocabulary()), Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Findings {
			for _, e := range f.Evidence {
				seen[told{e.Event.Origin.Source, e.Kind}] = path
			}
		}
		r.Close()
	}
	for s, path := range seen {
		if s.source != event.Inventory && !slices.Contains(coverage.Tells(s.source), s.kind) && !slices.Contains(coverage.Partly(s.source), s.kind) {
			t.Errorf("%s tells %s in %s", s.source, s.kind, path)
		}
	}
	t.Logf("%d pairs of source and kind in %d recordings", len(seen), len(paths))
}
