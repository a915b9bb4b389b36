package scenario_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/app"
	"tidewaiter/detections"
	"tidewaiter/event"
	"tidewaiter/finding"
	"tidewaiter/partition"
	"tidewaiter/policy"
	"tidewaiter/scenario"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// recorded is a scenario's events as the decoders tell them, with its history.
type recorded struct {
	labelled
	dir     string
	policy  *policy.Policy
	events  []event.Event
	history []event.Event
}

// readEvents reads a folder with its inventory.
func readEvents(t *testing.T, dir string, history bool) []event.Event {
	t.Helper()
	inv := &source.Inventory{}
	if path := filepath.Join(dir, source.InventoryName); fileExists(path) {
		var err error
		if inv, err = source.ReadInventory(path); err != nil {
			t.Fatal(err)
		}
	}
	out := inv.Events()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == source.InventoryName || d.Name() == "scenario.json" {
			return err
		}
		in, err := source.Open(path, source.Options{Formats: app.Formats(), Place: inv.Place(path), History: history, Name: path,
			Hosts: func(p event.Place) event.Place { return inv.Complete(path, p) }})
		if errors.Is(err, source.ErrUnrecognised) || errors.Is(err, source.ErrEmpty) {
			return nil
		}
		if err != nil {
			return err
		}
		defer in.Close()
		for {
			e, err := in.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			out = append(out, e)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// findings gives what a partition makes of events.
func (r *recorded) findings(lib *analytic.Library, events []event.Event) []finding.Finding {
	p := partition.New(partition.Options{Name: "grid", Library: lib, Policy: r.policy})
	for _, e := range slices.Concat(r.history, events) {
		p.Apply(e)
	}
	p.Advance(math.MaxInt64)
	p.Sync()
	return p.Findings()
}

// gridShort lists cells that fall short today, "ID cell", and why. An entry
// that is not needed any more fails the test.
var gridShort = map[string]string{
	// What ties a container to its pod, or an address to it, is gone.
	"A32 without k8s.audit": "nothing else ties the address to the pod; where an image is from weighs no more than info by itself",
	"A08 without k8s.audit": "who asked for the pod, and its rights, are told by nothing else",
	// One group of evidence is left of two.
	"A32 without zeek":   "where an image is from weighs no more than info by itself",
	"A46 without auditd": "who ran it is unknown: told as AN0691, low",
	"A46 without zeek":   "without traffic it is no AN1317",
	// The worm has a quiet name and no pool: its one long connection is what makes
	// it AN1492, and the call of the daemon from outside AN0693.
	"A30 5 % lost":     "the record of the long connection is among those lost",
	"A30 without zeek": "neither who asked nor whom it contacted stands elsewhere",
	// Nothing else tells of the image and its name, of who asked for the build,
	// or of what it fetched.
	"A21 without docker":   "without the image there is no build; its step's container is told by itself, low",
	"A21 without zeek":     "who asked and what was fetched stand nowhere else: two of three analytics are not raised",
	"A25 without registry": "only the registry tells of a push, and which image it was",
	"A23 without docker":   "without the image and its container there is nothing to tell of",
	"A23 without zeek":     "where the image is from is all that is left: low by policy, for medium",
	"A26 without auditd":   "what the built image ran stands nowhere else: no AN0612 and no AN0613",
	"A28 without auditd":   "what the built image ran stands nowhere else: no AN0612 and no AN0613",
	// A Windows container's sensor tells no container, and the rest no command.
	"A19 without containerd": "nothing else tells which container ran when",
	"A19 without sysmon":     "nothing else tells what it ran and whom it contacted",
	"A34 without sysmon":     "nothing else tells what ran: told as AN0692 and AN1493",
	// Nothing but the cloud's trail tells of launches and changes.
	"A36 without cloudtrail": "the machines are known one by one, and not as launched together",
	"A36 without vpcflow":    "nothing else tells whom they contacted",
	"A38 without cloudtrail": "a connection alone is traffic",
	"A40 without gcp.audit":  "a connection alone is traffic, on whatever port",
	"A42 without azure":      "the machines are known one by one, and not as launched together",
	"A44 without cloudtrail": "nothing else tells of images",
}

// TestGrid delivers every labelled scenario in every way of the grid. An
// attack is found as severely as was expected, one step milder at most where
// something is missing; a benign scenario is silent in every cell.
func TestGrid(t *testing.T) {
	if testing.Short() {
		t.Skip("some hundred hunts")
	}
	root := sourcetest.Shared(t, "scenarios")
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	history := readEvents(t, filepath.Join(root, "history"), true)
	folders, err := filepath.Glob(filepath.Join(root, "[AB]*", "scenario.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range folders {
		s := readLabelled(t, file)
		if s.Kind == "attack" && !slices.Contains(due, s.ID) {
			continue
		}
		t.Run(s.ID, func(t *testing.T) {
			r := &recorded{labelled: s, dir: filepath.Dir(file), history: history}
			r.policy = readNeutral(t, filepath.Join(root, "policy-P0.yaml"), s.Overrides, filepath.Join(root, "history", source.InventoryName), filepath.Join(r.dir, source.InventoryName)).translate(t, lib.Vocabulary())
			if r.events = readEvents(t, r.dir, false); len(r.events) == 0 {
				t.Skip("nothing in it can be read yet")
			}
			var row []string
			for i, c := range scenario.Perturbations(r.events) {
				fs := r.findings(lib, c.Deliver(rand.New(rand.NewPCG(7, uint64(i))), r.events))
				faults := r.judgeCell(t, c, fs)
				why, known := gridShort[s.ID+" "+c.Name]
				switch {
				case len(faults) > 0 && !known:
					t.Errorf("%s: %s", c.Name, strings.Join(faults, "; "))
				case len(faults) == 0 && known:
					t.Errorf("%s does not fall short any more: %s", c.Name, why)
				}
				row = append(row, fmt.Sprintf("%s: %s", c.Name, worst(fs)))
			}
			t.Logf("%s %s", s.ID, strings.Join(row, ", "))
		})
	}
}

func worst(fs []finding.Finding) string {
	if len(fs) == 0 {
		return "–"
	}
	return fmt.Sprintf("%s %.0f", fs[0].Severity, fs[0].Score)
}

func (r *recorded) judgeCell(t *testing.T, c scenario.Cell, fs []finding.Finding) (faults []string) {
	t.Helper()
	matched := map[string]bool{}
	for _, e := range r.Expect {
		least := severity(t, e.Min)
		if c.Lossy {
			least--
		}
		i := slices.IndexFunc(fs, func(f finding.Finding) bool {
			return (f.Family == e.Family || slices.ContainsFunc(f.Analytics, func(a analytic.Raised) bool { return a.ID == e.Analytic })) && e.names(f)
		})
		if i < 0 {
			faults = append(faults, e.Analytic+": no finding")
			continue
		}
		matched[fs[i].ID] = true
		if fs[i].Severity < least || fs[i].Severity > severity(t, e.Max) {
			faults = append(faults, fmt.Sprintf("%s is %s (%.0f), want %s to %s", e.Analytic, fs[i].Severity, fs[i].Score, least, e.Max))
		}
	}
	for _, f := range fs {
		if f.Severity >= analytic.Low && !matched[f.ID] {
			faults = append(faults, fmt.Sprintf("unexpected: %s %.0f %s", f.Severity, f.Score, f.Title))
		}
	}
	return faults
}
