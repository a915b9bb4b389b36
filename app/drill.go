package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/coverage"
	"tidewaiter/daemon"
	"tidewaiter/detections"
	"tidewaiter/drill"
	"tidewaiter/state"
)

// DrillOptions say what is rehearsed, and how. Zero values are those of
// drill.Options.
type DrillOptions struct {
	Analytic string
	Wait     time.Duration
	Keep     bool
	Say      func(string)
}

// ErrNoDrill is wrapped by the error of Drill for an analytic that cannot be
// rehearsed.
var ErrNoDrill = errors.New("there is no drill of it")

// Drills are the analytics that can be rehearsed on a host.
func Drills() ([]analytic.DetectionInfo, error) {
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(lib.Detections(), func(d analytic.DetectionInfo) bool { return d.Drill == "" }), nil
}

// Drill rehearses an analytic while the daemon of some settings runs.
func Drill(ctx context.Context, s Settings, o DrillOptions) (*drill.Report, error) {
	all, err := Drills()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(d analytic.DetectionInfo) bool { return strings.EqualFold(d.ID, o.Analytic) })
	if i < 0 {
		return nil, fmt.Errorf("%s: %w", o.Analytic, ErrNoDrill)
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: it needs root, to make an interface in the engine's network", drill.ErrCannot)
	}
	if _, err := os.Stat(filepath.Join(s.Data, state.FileName)); err != nil {
		return nil, fmt.Errorf("%w: %s is no data directory of a daemon: %w", drill.ErrCannot, s.Data, err)
	}
	store, err := state.Open(s.Data)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	if err := alive(store, s.Data, time.Now()); err != nil {
		return nil, err
	}
	r, err := drill.Perform(ctx, drill.Options{Analytic: all[i], Host: s.Sensors.Docker.Host, Findings: store, Wait: o.Wait, Keep: o.Keep, Say: o.Say})
	if r == nil || !slices.ContainsFunc(r.Legs, func(l drill.Leg) bool { return l.State == drill.Blind }) {
		return r, err
	}
	cover, failed := Cover(ctx, s)
	for _, a := range cover.Analytics {
		if a.ID == r.Analytic {
			explain(r, a)
		}
	}
	return r, errors.Join(err, failed)
}

// aliveFor is for how long a sensor of a running daemon says nothing at most.
const aliveFor = 2 * daemon.AliveEvery

// alive reports whether a sensor of a running daemon watches. The status that it
// serves may be off.
func alive(store *state.Store, data string, now time.Time) error {
	marks, err := store.Marks("alive ")
	if err != nil {
		return err
	}
	var latest time.Time
	for _, m := range marks {
		if at, err := time.Parse(time.RFC3339Nano, m); err == nil && at.After(latest) {
			latest = at
		}
	}
	switch {
	case latest.IsZero():
		return fmt.Errorf("%w: no sensor has ever watched with %s; start \"tidewaiter run\" first", drill.ErrCannot, data)
	case now.Sub(latest) > aliveFor:
		return fmt.Errorf("%w: no sensor has watched with %s since %s; start \"tidewaiter run\" first", drill.ErrCannot, data, latest.Format(time.RFC3339))
	}
	return nil
}

// explain says of each leg that was not seen who should have told it, or what
// would open it.
func explain(r *drill.Report, a coverage.Analytic) {
	for i := range r.Legs {
		l := &r.Legs[i]
		at := slices.IndexFunc(a.Legs, func(c coverage.Leg) bool { return c.Name == l.Name })
		if l.State == drill.Blind && at >= 0 {
			l.Should, l.Open = a.Legs[at].By, a.Legs[at].Open
		}
	}
}
