package scenario_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"net/netip"
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
	inv, err := source.ReadInventory(filepath.Join(dir, source.InventoryName))
	if err != nil {
		t.Fatal(err)
	}
	out := inv.Events()
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == source.InventoryName || d.Name() == "scenario.json" {
			return err
		}
		in, err := source.Open(path, source.Options{Formats: app.Formats(), Place: inv.Place(path), History: history, Name: path})
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

// cell is one way in which what is delivered differs from what happened. lossy
// says that something is missing: then an attack may be told one step milder.
type cell struct {
	name  string
	lossy bool
	make  func(rng *rand.Rand, events []event.Event) []event.Event
}

func cells(events []event.Event) []cell {
	out := []cell{
		{"as recorded", false, func(_ *rand.Rand, e []event.Event) []event.Event { return e }},
		{"twice each", false, func(_ *rand.Rand, e []event.Event) []event.Event {
			var out []event.Event
			for _, x := range e {
				out = append(out, x, x)
			}
			return out
		}},
		{"replayed", false, func(_ *rand.Rand, e []event.Event) []event.Event { return slices.Concat(e, e) }},
		{"shuffled", false, shuffled},
		{"node +95 s", false, skewed(95 * event.Second)},
		{"node -95 s", false, skewed(-95 * event.Second)},
		{"5 % lost", true, func(rng *rand.Rand, e []event.Event) []event.Event {
			return slices.DeleteFunc(slices.Clone(e), func(event.Event) bool { return rng.IntN(100) < 5 })
		}},
		{"among 10,000 others", false, crowded},
	}
	var sources []event.Source
	for _, e := range events {
		if !slices.Contains(sources, e.Origin.Source) && e.Origin.Source != event.Inventory && e.Origin.Source != event.Inspect {
			sources = append(sources, e.Origin.Source)
		}
	}
	slices.Sort(sources)
	for _, s := range sources {
		out = append(out, cell{"without " + string(s), true, func(_ *rand.Rand, e []event.Event) []event.Event {
			return slices.DeleteFunc(slices.Clone(e), func(x event.Event) bool { return x.Origin.Source == s })
		}})
	}
	return out
}

func shuffled(rng *rand.Rand, e []event.Event) []event.Event {
	e = slices.Clone(e)
	rng.Shuffle(len(e), func(i, j int) { e[i], e[j] = e[j], e[i] })
	return e
}

// skewed has the clock of every node differ from the cluster's.
func skewed(by int64) func(*rand.Rand, []event.Event) []event.Event {
	return func(_ *rand.Rand, e []event.Event) []event.Event {
		e = slices.Clone(e)
		for i := range e {
			if e[i].Place.Host != "" && e[i].Place.Cluster != "" && !e[i].Time.IsZero() {
				e[i].Time.At += by
			}
		}
		return e
	}
}

// crowded adds what a busy place does beside: processes of hosts, flows and
// containers of no interest.
func crowded(rng *rand.Rand, e []event.Event) []event.Event {
	var places []event.Place
	at := int64(0)
	for _, x := range e {
		if !slices.Contains(places, x.Place) {
			places = append(places, x.Place)
		}
		at = max(at, x.Time.At)
	}
	if at == 0 {
		return e
	}
	out := slices.Clone(e)
	for i := range 10_000 {
		x := event.Event{
			ID: event.NewID("crowd", fmt.Sprint(i)), Place: places[rng.IntN(len(places))], Time: event.Time{At: at - int64(rng.IntN(1_200_000))*event.Millisecond, Res: 1},
			Origin: event.Origin{Source: event.Auditd, Format: "auditd", File: "crowd.log", Spans: []event.Span{{Line: i + 1}}},
		}
		switch rng.IntN(3) {
		case 0:
			x.Body = &event.Process{PID: 2_000_000 + i, PPID: 1_900_000 + rng.IntN(50), Exe: "/usr/bin/cat", Args: []string{"cat", "/proc/stat"}, AUID: -1}
		case 1:
			x.Body = &event.Flow{Protocol: "tcp", Src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 200, byte(rng.IntN(250)), byte(rng.IntN(250))}), 4000),
				Dst: netip.MustParseAddrPort("10.0.0.10:443"), Answered: true}
		case 2:
			x.Body = &event.Container{Action: event.ContainerRemove, ID: fmt.Sprintf("%064x", 0xfeed00000+i)}
		}
		out = append(out, x)
	}
	return shuffled(rng, out)
}

// gridShort lists cells that fall short today, "ID cell", and why. An entry
// that is not needed any more fails the test.
var gridShort = map[string]string{
	// What ties a container to its pod, or an address to it, is gone.
	"A05 without auditd":     "nothing else ties the container to the pod that the flows name",
	"A05 without containerd": "nothing tells which container ran",
	"A15 without k8s.audit":  "nothing else ties the container that was put into an old pod to it",
	"A32 without k8s.audit":  "nothing else ties the address to the pod; where an image is from weighs no more than info by itself",
	"A09 without k8s.audit":  "the namespace is unknown, and with it that the image is allowed there; the command asked for is gone",
	"A08 without k8s.audit":  "who asked for the pod, and its rights, are told by nothing else",
	// One group of evidence is left of two.
	"A05 without hubble": "what is left is a shell in an image whose tag moved",
	"A07 without auditd": "one point below medium: what ran is unknown",
	"A32 without zeek":   "where an image is from weighs no more than info by itself",
	"A46 without auditd": "who ran it is unknown: told as AN0691, low",
	"A46 without zeek":   "without traffic it is no AN1317",
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
			for i, c := range cells(r.events) {
				fs := r.findings(lib, c.make(rand.New(rand.NewPCG(7, uint64(i))), r.events))
				faults := r.judgeCell(t, c, fs)
				why, known := gridShort[s.ID+" "+c.name]
				switch {
				case len(faults) > 0 && !known:
					t.Errorf("%s: %s", c.name, strings.Join(faults, "; "))
				case len(faults) == 0 && known:
					t.Errorf("%s does not fall short any more: %s", c.name, why)
				}
				row = append(row, fmt.Sprintf("%s: %s", c.name, worst(fs)))
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

func (r *recorded) judgeCell(t *testing.T, c cell, fs []finding.Finding) (faults []string) {
	t.Helper()
	matched := map[string]bool{}
	for _, e := range r.Expect {
		least := severity(t, e.Min)
		if c.lossy {
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
