package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/finding"
)

// How often it is looked for legs, and for how long after the last of them was
// seen: the daemon writes what further sources say within two seconds.
const (
	lookEvery = 100 * time.Millisecond
	linger    = 2500 * time.Millisecond
)

// watch looks for the legs of one container.
type watch struct {
	o         Options
	container string
	begin     time.Time
	created   time.Time // the container: no finding is about it before
	read      map[string]time.Time
	since     time.Time
	legs      []sighting
	last      *finding.OCSF // the finding as it was last written
}

// sighting is what was seen of one leg.
type sighting struct {
	analytic.LegInfo
	at, told time.Time // when it happened, and when a finding first said so
	sources  []string
}

func newWatch(o Options, container string, begin, created time.Time) *watch {
	w := &watch{o: o, container: container, begin: begin, created: created, since: begin, read: map[string]time.Time{}}
	for _, l := range o.Analytic.Legs {
		if l.Kind == evidence.Arrival {
			l.Optional = false // the drill brings its image
		}
		w.legs = append(w.legs, sighting{LegInfo: l})
	}
	return w
}

// until looks until all legs are seen, or the time is up.
func (w *watch) until(ctx context.Context, ended <-chan error) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var deadline, whole time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			if err != nil {
				return err
			}
			ended, deadline = nil, time.Now().Add(w.o.Wait)
			w.o.Say("the container has ended; waiting for what the daemon says")
		case now := <-tick.C:
			if err := w.look(); err != nil {
				return err
			}
			if whole.IsZero() && w.complete() {
				whole = now
			}
			if !deadline.IsZero() && (now.After(deadline) || !whole.IsZero() && now.Sub(whole) >= linger) {
				return nil
			}
		}
	}
}

func (w *watch) complete() bool {
	return !slices.ContainsFunc(w.legs, func(s sighting) bool { return s.told.IsZero() && !s.Optional })
}

// look reads what was written since the last time.
func (w *watch) look() error {
	id := []byte(`"` + w.container + `"`)
	newest := w.since
	err := w.o.Findings.Changed(w.since, func(text []byte, updated time.Time) error {
		if updated.After(newest) {
			newest = updated
		}
		if !bytes.Contains(text, id) {
			return nil
		}
		var o finding.OCSF
		if err := json.Unmarshal(text, &o); err != nil {
			return fmt.Errorf("read a finding: %w", err)
		}
		if o.Unmapped.Family == w.o.Analytic.Family && !w.read[o.FindingInfo.UID].Equal(updated) && w.about(&o) {
			w.read[o.FindingInfo.UID] = updated
			w.take(&o, updated)
		}
		return nil
	})
	w.since = newest
	if err != nil {
		return fmt.Errorf("look for findings: %w", err)
	}
	return nil
}

// about reports whether a finding is about the container.
func (w *watch) about(o *finding.OCSF) bool {
	return slices.ContainsFunc(o.Unmapped.Entities, func(e finding.Entity) bool { return e.ContainerID == w.container })
}

// take notes what a finding says of each leg.
func (w *watch) take(o *finding.OCSF, updated time.Time) {
	if s := o.Unmapped.State; w.last == nil || s != finding.Superseded && s != finding.Withdrawn {
		w.last = o
	}
	for i := range w.legs {
		leg := &w.legs[i]
		for _, e := range o.Evidences {
			if e.Data.Kind != string(leg.Kind) {
				continue
			}
			if called := leg.Kind == evidence.Connection || leg.Kind == evidence.Fetch; called && (e.DstEndpoint == nil || e.DstEndpoint.IP != target.String()) {
				continue // such as a question to the engine's name server
			}
			leg.saw(e.Data, updated)
		}
	}
}

func (s *sighting) saw(d finding.EvidenceData, updated time.Time) {
	if s.told.IsZero() {
		s.told = updated
	}
	if t, err := event.ParseRFC3339(d.Time); err == nil {
		if at := time.Unix(0, t.At); s.at.IsZero() || at.Before(s.at) {
			s.at = at
		}
	}
	if !slices.Contains(s.sources, d.Source) {
		s.sources = append(s.sources, d.Source)
		slices.Sort(s.sources)
	}
}
