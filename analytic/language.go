// Package analytic is the detection language and its evaluation: signals name
// what is notable, chains constrain order and windows, scoring turns what was
// found into a severity. All of it is data (package detections); the code here
// knows no analytic by name.
//
// In: a Subject's facts, what memory answers, the policy's scope. Out: an
// Assessment. Assess is a pure function of these: it has no clock and no store.
package analytic

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"tidewaiter/baseline"
	"tidewaiter/evidence"
	"tidewaiter/policy"
)

// Library is the detections of a folder, checked and compiled. It is immutable
// and may be shared.
type Library struct {
	vocabulary *policy.Vocabulary
	settings   []policy.Setting
	memories   []memory
	signals    map[string]*signal
	scoring    scoring
	detections []*detection
	adapter    types.Adapter // makes CEL's values
}

// memory is a compiled memoryDecl.
type memory struct {
	name string
	on   string
	when condition
	keys condition
	// counted memories keep every sighting, not only the first.
	counted bool
	doc     string
}

// key is the memory key of a text.
func (m memory) key(text string) baseline.Key {
	if m.counted {
		return baseline.NewCountedKey(m.name, text)
	}
	return baseline.NewKey(m.name, text)
}

// signal is a compiled signalDecl.
type signal struct {
	name     string
	index    int // among all signals
	group    string
	points   float64
	hard     bool
	on       string
	when     condition
	unseen   string
	recalls  []recall
	many     *many
	anywhere bool
	says     condition
	clear    condition
	doc      string
}

// detection is a compiled detectionFile.
type detection struct {
	*detectionFile
	chains  []chain
	legs    []leg
	signals []*signal
	raise   condition
}

type leg struct {
	name     string
	kind     evidence.Kind
	when     condition
	optional bool
	missing  string
	what     string
}

// Load reads and compiles every detection of a folder. All faults are reported
// at once; each names its file and line.
func Load(dir fs.FS) (*Library, error) {
	files, err := ReadFiles(dir)
	if err != nil {
		return nil, err
	}
	return Compile(files)
}

// Compile is Load over the contents of files, by name.
func Compile(files map[string][]byte) (*Library, error) {
	c, err := parseContent(files)
	if err != nil {
		return nil, err
	}
	v, err := c.vocabulary()
	if err != nil {
		return nil, err
	}
	comp, err := newCompiler(v)
	if err != nil {
		return nil, err
	}
	l := &Library{vocabulary: v, settings: v.Settings, signals: map[string]*signal{}, adapter: comp.base.CELTypeAdapter()}
	faults := []error{l.compileSignals(comp, c), l.compileScoring(comp, c)}
	for _, d := range c.detections {
		compiled, err := l.compileDetection(comp, d)
		faults = append(faults, err)
		l.detections = append(l.detections, compiled)
	}
	faults = append(faults, l.checkFamilies())
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return l, nil
}

// Vocabulary is what a policy for these detections may set.
func (l *Library) Vocabulary() *policy.Vocabulary { return l.vocabulary }

func (l *Library) compileSignals(comp *compiler, c *content) error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(c.signals.Memory)) {
		d := c.signals.Memory[name]
		d.When.File, d.Keys.File = c.signals.file, c.signals.file
		m := memory{name: name, on: d.On, counted: d.Counted, doc: d.Doc}
		var errWhen, errKeys error
		m.when, errWhen = comp.compile(d.When, d.On, cel.BoolType)
		m.keys, errKeys = comp.compile(d.Keys, d.On, cel.ListType(cel.StringType))
		faults = append(faults, errWhen, errKeys)
		l.memories = append(l.memories, m)
	}
	for i, name := range slices.Sorted(maps.Keys(c.signals.Signals)) {
		s, err := l.compileSignal(comp, &c.signals, name)
		faults = append(faults, err)
		s.index = i
		l.signals[name] = s
	}
	return errors.Join(faults...)
}

func (l *Library) compileSignal(comp *compiler, from *signalsFile, name string) (*signal, error) {
	d := from.Signals[name]
	d.When.File, d.Says.File, d.Clear.File = from.file, from.file, from.file
	s := &signal{name: name, group: d.Group, points: d.Points, hard: d.Hard, on: d.On, unseen: d.Unseen, anywhere: d.Anywhere, doc: d.Doc}
	var errWhen, errSays, errClear, errUnseen error
	s.when, errWhen = comp.compile(d.When, d.On, cel.BoolType)
	s.says, errSays = comp.compile(d.Says, d.On, cel.StringType)
	s.clear, errClear = comp.compile(d.Clear, d.On, cel.StringType)
	if d.Unseen != "" {
		m, ok := l.memory(d.Unseen)
		if !ok {
			errUnseen = from.fault(fmt.Errorf("signal %s: no memory is called %q", name, d.Unseen), "signals", name, "unseen")
		} else if m.on != d.On {
			errUnseen = from.fault(fmt.Errorf("signal %s is about %s and memory %s about %s", name, d.On, m.name, m.on), "signals", name, "unseen")
		}
	}
	var errRecall, errMany error
	s.recalls, errRecall = l.compileRecalls(comp, from, name)
	s.many, errMany = l.compileMany(from, name)
	return s, errors.Join(errWhen, errSays, errClear, errUnseen, errRecall, errMany)
}

func (l *Library) memory(name string) (memory, bool) {
	i := slices.IndexFunc(l.memories, func(m memory) bool { return m.name == name })
	if i < 0 {
		return memory{}, false
	}
	return l.memories[i], true
}

// technique is ATT&CK's form of a technique or sub-technique.
var technique = regexp.MustCompile(`^T\d{4}(\.\d{3})?$`)

func (l *Library) compileDetection(comp *compiler, d *detectionFile) (*detection, error) {
	out := &detection{detectionFile: d}
	var faults []error
	if d.ID == "" || d.Name == "" || d.Subject == "" {
		faults = append(faults, d.fault(errors.New("id, name and subject are needed")))
	}
	for i, t := range d.Techniques {
		if !technique.MatchString(t) {
			faults = append(faults, d.fault(fmt.Errorf("%q is no technique such as T1204.003", t), "techniques", i))
		}
	}
	for i, c := range d.Chains {
		compiled, err := comp.chain(d, c, i)
		faults = append(faults, err)
		out.chains = append(out.chains, compiled)
	}
	for _, decl := range d.Legs {
		decl.When.File = d.file
		cond, err := comp.compile(decl.When, decl.On, cel.BoolType)
		faults = append(faults, err)
		out.legs = append(out.legs, leg{decl.Name, evidence.Kind(decl.On), cond, decl.Optional, decl.Missing, decl.What})
	}
	for i, name := range d.Signals {
		s, ok := l.signals[name]
		if !ok {
			faults = append(faults, d.fault(fmt.Errorf("no signal is called %q", name), "signals", i))
			continue
		}
		out.signals = append(out.signals, s)
	}
	if d.Drill != "" && d.Drill != DrillRun && d.Drill != DrillBuild {
		faults = append(faults, d.fault(fmt.Errorf("%q is no drill: want %s or %s", d.Drill, DrillRun, DrillBuild), "drill"))
	}
	d.Raise.File = d.file
	cond, err := comp.compile(d.Raise, "", cel.BoolType)
	faults = append(faults, err)
	out.raise = cond
	return out, errors.Join(faults...)
}

// checkFamilies makes sure that ids are single and that every family is the id
// of a detection.
func (l *Library) checkFamilies() error {
	var faults []error
	seen := map[string]bool{}
	for _, d := range l.detections {
		if seen[d.ID] {
			faults = append(faults, d.fault(fmt.Errorf("id %s stands in two files", d.ID), "id"))
		}
		seen[d.ID] = true
	}
	for _, d := range l.detections {
		if d.Family == "" {
			d.Family = d.ID
		}
		if !seen[d.Family] {
			faults = append(faults, d.fault(fmt.Errorf("family %s is no detection", d.Family), "family"))
		}
	}
	slices.SortFunc(l.detections, func(a, b *detection) int {
		// A family's head comes before its children.
		switch {
		case a.Family != b.Family:
			return strings.Compare(a.Family, b.Family)
		case a.ID == a.Family:
			return -1
		case b.ID == b.Family:
			return 1
		}
		return strings.Compare(a.ID, b.ID)
	})
	return errors.Join(faults...)
}
