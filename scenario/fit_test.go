package scenario_test

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"tidewaiter/analytic"
	"tidewaiter/detections"
	"tidewaiter/finding"
	"tidewaiter/scenario"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

var fit = flag.Bool("fit", false, "search for weights that leave the labelled scenarios more room, and print them")

// TestFit searches, one signal after another, for points that bring every
// labelled cell over its threshold with room to spare and every benign one
// below it, and stay close to where they are. It only proposes: the weights in
// detections/signals.yaml are data, and frozen. docs/decisions/0012 says how
// they came about.
func TestFit(t *testing.T) {
	if !*fit {
		t.Skip("set -fit to search: it takes some ten minutes")
	}
	root := sourcetest.Shared(t, "scenarios")
	f := newFitting(t, root)
	best := map[string]float64{}
	cost, report := f.cost(t, best)
	t.Logf("as it is: %.2f\n%s", cost, strings.Join(report, "\n"))
	for _, name := range slices.Sorted(maps.Keys(fitted)) {
		for _, points := range fitted[name] {
			try := maps.Clone(best)
			try[name] = points
			c, r := f.cost(t, try)
			t.Logf("%s %g: %.2f", name, points, c)
			if c < cost-1e-9 {
				cost, report, best = c, r, try
			}
		}
	}
	t.Logf("best: %.2f with %v\n%s", cost, best, strings.Join(report, "\n"))
}

// fitted are the signals whose points are sought, and the values tried.
var fitted = map[string][]float64{
	"egress-unapproved":        {8, 12, 14},
	"egress-new":               {4, 8},
	"image-new":                {6, 10},
	"image-no-registry":        {14, 18},
	"image-under-trusted-name": {6, 10, 12},
	"tag-moved":                {16, 20},
	"user-ran-untrusted":       {8, 12, 14},
	"suspicious-exec":          {4, 8},
	"shell-interactive":        {8, 12},
	"long-low-rate":            {4, 8},
}

// room is how far a score should lie from the threshold that decides, in points.
const room = 4.0

type fitting struct {
	cases []fitCase
}

type fitCase struct {
	*recorded
	cell scenario.Cell
	seed uint64
}

func newFitting(t *testing.T, root string) *fitting {
	t.Helper()
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	history := readEvents(t, filepath.Join(root, "history"), true)
	files, err := filepath.Glob(filepath.Join(root, "[AB]*", "scenario.json"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fitting{}
	for _, file := range files {
		s := readLabelled(t, file)
		if s.Kind == "attack" && !slices.Contains(due, s.ID) {
			continue
		}
		r := &recorded{labelled: s, dir: filepath.Dir(file), history: history}
		r.policy = readNeutral(t, filepath.Join(root, "policy-P0.yaml"), s.Overrides, filepath.Join(root, "history", source.InventoryName), filepath.Join(r.dir, source.InventoryName)).translate(t, lib.Vocabulary())
		r.events = readEvents(t, r.dir, false)
		for i, c := range scenario.Perturbations(r.events) {
			if c.Name == "as recorded" || strings.HasPrefix(c.Name, "without ") {
				f.cases = append(f.cases, fitCase{r, c, uint64(i)})
			}
		}
	}
	return f
}

// cost adds up by how many points scores lie on the wrong side of what they
// should be, room included, and how far the weights have moved.
func (f *fitting) cost(t *testing.T, points map[string]float64) (cost float64, report []string) {
	t.Helper()
	lib, moved := weighted(t, points)
	results := make([]float64, len(f.cases))
	notes := make([]string, len(f.cases))
	var wg sync.WaitGroup
	for i, c := range f.cases {
		wg.Add(1)
		go func() {
			defer wg.Done()
			fs := c.findings(lib, c.cell.Deliver(rand.New(rand.NewPCG(7, c.seed)), c.events))
			results[i] = c.miss(fs)
			if results[i] > 0 {
				notes[i] = fmt.Sprintf("%s %s: %s, %.1f points amiss", c.ID, c.cell.Name, worst(fs), results[i])
			}
		}()
		if i%4 == 3 {
			wg.Wait()
		}
	}
	wg.Wait()
	for i := range results {
		cost += min(results[i], 30)
		if notes[i] != "" {
			report = append(report, notes[i])
		}
	}
	return cost + 0.1*moved, report
}

// thresholds are scoring.yaml's.
var thresholds = map[analytic.Severity]float64{analytic.None: 0, analytic.Info: 20, analytic.Low: 32, analytic.Medium: 44, analytic.High: 58, analytic.Critical: 78}

// miss is by how many points a case is amiss.
func (c fitCase) miss(fs []finding.Finding) float64 {
	sum := 0.0
	matched := map[string]bool{}
	for _, e := range c.Expect {
		least, most := c.severityNamed(e.Min), c.severityNamed(e.Max)
		if c.cell.Lossy {
			least--
		}
		i := slices.IndexFunc(fs, func(f finding.Finding) bool {
			return (f.Family == e.Family || slices.ContainsFunc(f.Analytics, func(a analytic.Raised) bool { return a.ID == e.Analytic })) && e.names(f)
		})
		if i < 0 {
			sum += thresholds[least]
			continue
		}
		matched[fs[i].ID] = true
		sum += max(0, thresholds[least]+room-fs[i].Score)
		if most < analytic.Critical {
			sum += max(0, fs[i].Score-(thresholds[most+1]-room))
		}
	}
	for _, f := range fs {
		if !matched[f.ID] {
			sum += max(0, f.Score-(thresholds[analytic.Low]-room))
		}
	}
	return sum
}

func (c fitCase) severityNamed(name string) analytic.Severity {
	for s := analytic.None; s <= analytic.Critical; s++ {
		if strings.EqualFold(s.String(), name) {
			return s
		}
	}
	return analytic.None
}

// weighted loads the detections with other points for some signals.
func weighted(t *testing.T, points map[string]float64) (lib *analytic.Library, moved float64) {
	t.Helper()
	files := fstest.MapFS{}
	names, err := fs.Glob(detections.Files(), "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(detections.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "signals.yaml" {
			text := string(data)
			for signal, p := range points {
				re := regexp.MustCompile(`(?m)(^  ` + signal + `:\n    group: \w+\n    points: )(-?[\d.]+)`)
				m := re.FindStringSubmatch(text)
				if m == nil {
					t.Fatalf("signals.yaml has no signal %s", signal)
				}
				was, err := strconv.ParseFloat(m[2], 64)
				if err != nil {
					t.Fatal(err)
				}
				moved += math.Abs(p - was)
				text = re.ReplaceAllString(text, "${1}"+strconv.FormatFloat(p, 'g', -1, 64))
			}
			data = []byte(text)
		}
		files[name] = &fstest.MapFile{Data: data}
	}
	if lib, err = analytic.Load(files); err != nil {
		t.Fatal(err)
	}
	return lib, moved
}
