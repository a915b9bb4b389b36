package analytic

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/policy"
)

// PlainMatch is one key for which a detection's chain was told by plain
// events.
type PlainMatch struct {
	Detection string
	Chain     string
	// Key are the values of the detection's "by" fields.
	Key []any
	// Stages are the stages with the events that take part in at least one
	// complete telling, in order of time.
	Stages []PlainStage
}

// PlainStage is one stage of a match.
type PlainStage struct {
	Name   string
	Events []*event.Event
}

// PlainCounts are what MatchPlain has to say about its input.
type PlainCounts struct {
	Events int
	// WithoutKey is the number of events that lack a field that the detection
	// joins by; they take part in nothing.
	WithoutKey int
}

// MatchPlain runs the detections whose subject is "event" over plain events,
// as one closed set: absence at the end counts, because nothing more is to
// come. It is how published vectors for other engines are run against this
// one.
func (l *Library) MatchPlain(p *policy.Policy, events []*event.Event) ([]PlainMatch, PlainCounts, error) {
	counts := PlainCounts{Events: len(events)}
	var out []PlainMatch
	var faults []error
	for _, d := range l.detections {
		if d.Subject != "event" {
			continue
		}
		subjects, without := groupBy(d.By, events)
		counts.WithoutKey += without
		for _, s := range subjects {
			ev := l.evaluation(Context{Policy: p}, s.subject, 0)
			for i := range d.chains {
				m, ok, err := ev.plainMatch(d, &d.chains[i])
				if err != nil {
					faults = append(faults, fmt.Errorf("%s: %w", d.ID, err))
				}
				if ok {
					m.Key = s.key
					out = append(out, m)
				}
			}
		}
	}
	return out, counts, errors.Join(faults...)
}

func (ev *evaluation) plainMatch(d *detection, c *chain) (PlainMatch, bool, error) {
	t, err := c.match(ev, d.ID, ev.subject.Facts)
	if t == nil || len(t.members()) == 0 {
		return PlainMatch{}, false, err
	}
	m := PlainMatch{Detection: d.ID, Chain: c.name}
	for i, st := range c.stages {
		if st.absent {
			continue
		}
		stage := PlainStage{Name: st.name}
		facts := slices.Sorted(slices.Values(t.inStage[i]))
		for _, f := range facts {
			stage.Events = append(stage.Events, ev.subject.Facts[f].Event)
		}
		m.Stages = append(m.Stages, stage)
	}
	return m, true, err
}

type plainSubject struct {
	key     []any
	subject *evidence.Subject
}

// groupBy makes a subject of the events that agree in every field. An event
// without one of them takes part in nothing: missing never equals missing. A
// field written "?name" may be missing, and then that is its value.
func groupBy(by []string, events []*event.Event) (out []plainSubject, without int) {
	index := map[string]int{}
	facts := map[int][]evidence.Fact{}
	for _, e := range events {
		key, text, ok := keyOf(by, e)
		if !ok {
			without++
			continue
		}
		i, known := index[text]
		if !known {
			i = len(out)
			index[text] = i
			out = append(out, plainSubject{key: key})
		}
		facts[i] = append(facts[i], evidence.Fact{Kind: evidence.Plain, Event: e})
	}
	for i := range out {
		out[i].subject = evidence.NewSubject(evidence.SubjectID{Kind: "event", ID: fmt.Sprint(out[i].key...)}, facts[i])
	}
	return out, without
}

// keyOf reads the fields that an event is joined by. Values of different types
// differ: 1 is not "1". A list or an object is no key.
func keyOf(by []string, e *event.Event) (key []any, text string, ok bool) {
	b, isPlain := e.Body.(*event.Plain)
	if !isPlain {
		return nil, "", false
	}
	var parts strings.Builder
	for _, field := range by {
		name, optional := strings.CutPrefix(field, "?")
		v := lookUp(b.Fields, name)
		switch v.(type) {
		case nil:
			if !optional {
				return nil, "", false
			}
		case []any, map[string]any:
			return nil, "", false
		}
		if v == "" && !optional {
			return nil, "", false
		}
		key = append(key, v)
		fmt.Fprintf(&parts, "%T:%v\x00", v, v)
	}
	return key, parts.String(), true
}

// lookUp finds a field by its dotted name, as a flat key or nested.
func lookUp(fields map[string]any, name string) any {
	if v, ok := fields[name]; ok {
		return v
	}
	head, rest, found := strings.Cut(name, ".")
	if !found {
		return nil
	}
	if inner, ok := fields[head].(map[string]any); ok {
		return lookUp(inner, rest)
	}
	return nil
}
