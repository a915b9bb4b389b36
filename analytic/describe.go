package analytic

import (
	"maps"
	"slices"

	"tidewaiter/evidence"
)

// DetectionInfo describes a detection for people.
type DetectionInfo struct {
	ID, Strategy, Name, Family, Subject, Description string
	Techniques, Signals, References                  []string
	Tunables                                         []TunableInfo
	Legs                                             []LegInfo
	File                                             string
	// Drill is how it can be rehearsed on a host, "" for not at all.
	Drill string
}

// The ways in which a detection can be rehearsed on a host.
const (
	DrillRun   = "run"   // an image is loaded and run
	DrillBuild = "build" // an image is built there and run
)

// LegInfo describes one part of an analytic's story.
type LegInfo struct {
	Name     string
	Kind     evidence.Kind // of the facts that tell it
	Optional bool
	Missing  string // what its absence means
}

// TunableInfo describes one mutable element.
type TunableInfo struct {
	Name, Setting, Type, Doc string
	Default                  []string
	HasDefault               bool
}

// Detections describes every detection, a family's head before its children.
func (l *Library) Detections() []DetectionInfo {
	var out []DetectionInfo
	for _, d := range l.detections {
		i := DetectionInfo{
			ID: d.ID, Strategy: d.Strategy, Name: d.Name, Family: d.Family, Subject: d.Subject, Description: d.Description,
			Techniques: d.Techniques, References: d.References, Signals: d.detectionFile.Signals, File: d.file, Drill: d.detectionFile.Drill,
		}
		for _, t := range l.vocabulary.Analytics[d.ID] {
			i.Tunables = append(i.Tunables, TunableInfo{t.Name, t.Bound, string(t.Type), t.Doc, t.Default, t.IsSet})
		}
		for _, g := range d.legs {
			i.Legs = append(i.Legs, LegInfo{g.name, g.kind, g.optional, g.missing})
		}
		out = append(out, i)
	}
	return out
}

// SignalInfo describes a signal for people.
type SignalInfo struct {
	Name, Group, On, Condition, Unseen string
	Points                             float64
	Hard                               bool
}

// Signals describes every signal, by name.
func (l *Library) Signals() []SignalInfo {
	var out []SignalInfo
	for _, name := range slices.Sorted(maps.Keys(l.signals)) {
		s := l.signals[name]
		out = append(out, SignalInfo{s.name, s.group, s.on, s.when.expr.Text, s.unseen, s.points, s.hard})
	}
	return out
}
