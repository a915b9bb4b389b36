package analytic

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"tidewaiter/evidence"
	"tidewaiter/policy"
	"tidewaiter/strictyaml"
)

// Expr is a condition or a value in CEL, with the place where it stands.
type Expr struct {
	Text string
	File string
	Line int
}

// UnmarshalYAML keeps the line for messages.
func (e *Expr) UnmarshalYAML(n *yaml.Node) error {
	e.Line = n.Line
	return n.Decode(&e.Text)
}

// yamlFile is where a declaration was read from.
type yamlFile struct {
	file string
	text []byte
}

// fault is something wrong at a path of the file.
func (y yamlFile) fault(err error, path ...any) error {
	return &strictyaml.Fault{File: y.file, Line: strictyaml.Line(y.text, path...), Err: err}
}

// Settings declares what a policy can set.
type settingDecl struct {
	Type    policy.Type `yaml:"type"`
	Default *texts      `yaml:"default"`
	Doc     string      `yaml:"doc"`
}

// texts is one plain value or a list of them, kept as written.
type texts []string

func (t *texts) UnmarshalYAML(n *yaml.Node) error {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	*t = texts{}
	for _, e := range nodes {
		if e.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: want a plain value", e.Line)
		}
		*t = append(*t, e.Value)
	}
	return nil
}

type tunableDecl struct {
	// Setting names the shared setting that this tunable overrides for its
	// analytic; else Type and Default declare a value of its own.
	Setting string      `yaml:"setting"`
	Type    policy.Type `yaml:"type"`
	Default *texts      `yaml:"default"`
	Doc     string      `yaml:"doc"`
}

// memoryDecl says what is remembered.
type memoryDecl struct {
	On   string `yaml:"on"`   // a kind of fact, or "subject"
	When Expr   `yaml:"when"` // true if not given
	Keys Expr   `yaml:"keys"` // list of strings
	// Counted keeps every subject's sighting, for signals that ask how many;
	// the keys must name the place that they are about.
	Counted bool   `yaml:"counted"`
	Doc     string `yaml:"doc"`
}

// signalDecl is one signal.
type signalDecl struct {
	Group  string  `yaml:"group"`
	Points float64 `yaml:"points"`
	Hard   bool    `yaml:"hard"`
	On     string  `yaml:"on"` // a kind of fact, or "subject"
	When   Expr    `yaml:"when"`
	// Unseen names a memory: the signal holds only if none of the fact's keys
	// in it was seen before the subject began.
	Unseen string `yaml:"unseen"`
	// Seen, Known and Unknown ask memories for keys of the signal's own, by the
	// memory's name: Seen holds if any was seen before the subject began, Known
	// if any was at any time, Unknown if none ever was. Without keys none holds.
	Seen    map[string]Expr `yaml:"seen"`
	Known   map[string]Expr `yaml:"known"`
	Unknown map[string]Expr `yaml:"unknown"`
	// Within bounds how long after the subject began the first sighting may be
	// for Known: a length of time, or a setting that is one.
	Within string `yaml:"within"`
	// Many asks a counted memory: the signal holds only if more subjects than
	// expected left one of the fact's keys there, up to this one.
	Many *manyDecl `yaml:"many"`
	// Anywhere lets a fact count outside the analytic's windows.
	Anywhere bool `yaml:"anywhere"`
	Says     Expr `yaml:"says"`
	// Clear says what would make the signal go away if all is well.
	Clear Expr   `yaml:"clear"`
	Doc   string `yaml:"doc"`
}

// manyDecl asks how many subjects left a key.
type manyDecl struct {
	Memory string `yaml:"memory"`
	Over   string `yaml:"over"`   // the setting, a number, of how many are expected
	Within string `yaml:"within"` // a length of time, or a setting that is one
}

// signalsFile is the form of signals.yaml.
type signalsFile struct {
	yamlFile `yaml:"-"`
	Settings map[string]settingDecl `yaml:"settings"`
	Memory   map[string]memoryDecl  `yaml:"memory"`
	Signals  map[string]signalDecl  `yaml:"signals"`
}

// limitDecl caps or lifts a severity when its condition holds.
type limitDecl struct {
	When    Expr     `yaml:"when"`
	AtMost  Severity `yaml:"at_most"`
	AtLeast Severity `yaml:"at_least"`
	Doc     string   `yaml:"doc"`
}

// scoringFile is the form of scoring.yaml.
type scoringFile struct {
	yamlFile `yaml:"-"`
	Groups   []struct {
		Name string  `yaml:"name"`
		Cap  float64 `yaml:"cap"`
		Doc  string  `yaml:"doc"`
	} `yaml:"groups"`
	// Further is the share at which a group's further signals count beside its
	// strongest.
	Further float64 `yaml:"further"`
	// ChainBonus is what several groups together add, from one group on.
	ChainBonus []float64 `yaml:"chain_bonus"`
	// Negative is the floor of what speaks against, and NegativeHard the same
	// when a hard signal holds.
	Negative     float64              `yaml:"negative"`
	NegativeHard float64              `yaml:"negative_hard"`
	Thresholds   map[Severity]float64 `yaml:"thresholds"`
	Multiplier   string               `yaml:"multiplier"` // the setting to multiply by
	Limits       []limitDecl          `yaml:"limits"`
	Confidence   struct {
		Cap        float64 `yaml:"cap"`
		Blind      float64 `yaml:"blind"`
		Absent     float64 `yaml:"absent"`
		OtherChain float64 `yaml:"other_chain"`
		Inferred   float64 `yaml:"inferred"`
	} `yaml:"confidence"`
}

// stageDecl is one step of a chain.
type stageDecl struct {
	Name string   `yaml:"stage"`
	On   []string `yaml:"on"`
	When Expr     `yaml:"when"`
	// Within bounds the time from the stage before; a length of time or a
	// tunable's name.
	Within   string `yaml:"within"`
	Optional bool   `yaml:"optional"`
	Absent   bool   `yaml:"absent"`
	Runs     int    `yaml:"runs"`
}

// chainDecl is one way in which an analytic's story can be told.
type chainDecl struct {
	Name   string      `yaml:"name"`
	Says   string      `yaml:"says"`
	Stages []stageDecl `yaml:"stages"`
	// Window bounds the time from the first stage to the last, inclusive.
	Window string `yaml:"window"`
	// Until ends a chain: a fact for which it holds, strictly between two
	// stages.
	Until *stageDecl `yaml:"until"`
	// Ties says whether facts of one moment may stand in either order.
	Ties string `yaml:"ties"`
}

type legDecl struct {
	Name string `yaml:"leg"`
	On   string `yaml:"on"`
	When Expr   `yaml:"when"`
	// Optional legs do not lower confidence when they are missing.
	Optional bool   `yaml:"optional"`
	Missing  string `yaml:"missing"` // what its absence means, for people
	// What says which records fit, where not every one of the kind does.
	What string `yaml:"what"`
}

// detectionFile is the form of a detection's file.
type detectionFile struct {
	yamlFile    `yaml:"-"`
	ID          string                 `yaml:"id"`
	Strategy    string                 `yaml:"strategy"`
	Techniques  []string               `yaml:"techniques"`
	Name        string                 `yaml:"name"`
	Description string                 `yaml:"description"`
	Family      string                 `yaml:"family"`
	Subject     string                 `yaml:"subject"`
	By          []string               `yaml:"by"`
	Tunables    map[string]tunableDecl `yaml:"tunables"`
	Chains      []chainDecl            `yaml:"chains"`
	Legs        []legDecl              `yaml:"legs"`
	Signals     []string               `yaml:"signals"`
	Raise       Expr                   `yaml:"raise"`
	References  []string               `yaml:"references"`
	// Drill is how "tidewaiter drill" rehearses it.
	Drill string `yaml:"drill"`
	// Severity is that of a detection without signals.
	Severity Severity `yaml:"severity"`
}

// content is all detection files, read but not yet compiled.
type content struct {
	signals    signalsFile
	scoring    scoringFile
	detections []*detectionFile
}

// ReadFiles reads the *.yaml files of a folder, by name.
func ReadFiles(dir fs.FS) (map[string][]byte, error) {
	names, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list detections: %w", err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		if files[name], err = fs.ReadFile(dir, name); err != nil {
			return nil, fmt.Errorf("read detection: %w", err)
		}
	}
	return files, nil
}

// SharedFiles are the files that hold no detection but what detections share.
func SharedFiles() []string { return []string{"signals.yaml", "scoring.yaml"} }

// parseContent reads detection files.
func parseContent(files map[string][]byte) (*content, error) {
	c := &content{}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := c.parse(name, files[name]); err != nil {
			faults = append(faults, err)
		}
	}
	if len(files) == 0 {
		faults = append(faults, errors.New("no detection files (*.yaml)"))
	}
	return c, errors.Join(faults...)
}

func (c *content) parse(name string, data []byte) error {
	switch path.Base(name) {
	case "signals.yaml":
		c.signals.yamlFile = yamlFile{name, data}
		return strictyaml.Decode(name, data, &c.signals)
	case "scoring.yaml":
		c.scoring.yamlFile = yamlFile{name, data}
		return strictyaml.Decode(name, data, &c.scoring)
	}
	d := &detectionFile{yamlFile: yamlFile{name, data}}
	if err := strictyaml.Decode(name, data, d); err != nil {
		return err
	}
	c.detections = append(c.detections, d)
	return nil
}

// vocabulary is what the content lets a policy set.
func (c *content) vocabulary() (*policy.Vocabulary, error) {
	v := &policy.Vocabulary{Analytics: map[string][]policy.Tunable{}}
	var faults []error
	for name, d := range c.signals.Settings {
		s, err := c.signals.setting(name, d, "settings", name)
		v.Settings = append(v.Settings, s)
		faults = append(faults, err)
	}
	slices.SortFunc(v.Settings, func(a, b policy.Setting) int { return strings.Compare(a.Name, b.Name) })
	for _, d := range c.detections {
		v.Analytics[d.ID] = []policy.Tunable{}
		for name, t := range d.Tunables {
			tun := policy.Tunable{Bound: t.Setting}
			if t.Setting != "" {
				shared, known := c.signals.Settings[t.Setting]
				if !known {
					faults = append(faults, d.fault(fmt.Errorf("tunable %s: no setting is called %q", name, t.Setting), "tunables", name))
				}
				t.Type, t.Default = shared.Type, shared.Default
			}
			s, err := d.setting(name, settingDecl{t.Type, t.Default, t.Doc}, "tunables", name)
			tun.Setting = s
			faults = append(faults, err)
			v.Analytics[d.ID] = append(v.Analytics[d.ID], tun)
		}
		slices.SortFunc(v.Analytics[d.ID], func(a, b policy.Tunable) int { return strings.Compare(a.Name, b.Name) })
	}
	return v, errors.Join(faults...)
}

// setting checks the declaration of a setting or tunable, which stands at path.
func (y yamlFile) setting(name string, d settingDecl, path ...any) (policy.Setting, error) {
	s := policy.Setting{Name: name, Type: d.Type, Doc: d.Doc}
	if !slices.Contains(policy.Types(), d.Type) {
		return s, y.fault(fmt.Errorf("setting %s: %q is no type; want one of %v", name, d.Type, policy.Types()), path...)
	}
	if d.Default == nil {
		return s, nil
	}
	s.Default, s.IsSet = *d.Default, true
	if _, bad := policy.NewValue(d.Type, s.Default); len(bad) > 0 {
		return s, y.fault(fmt.Errorf("setting %s: default: %w", name, bad[0].Err), path...)
	}
	return s, nil
}

// isFactKind reports whether a name is a kind of fact.
func isFactKind(name string) bool {
	return slices.Contains(evidence.Kinds(), evidence.Kind(name))
}
