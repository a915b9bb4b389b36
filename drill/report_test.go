package drill

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
)

const containerID = "c0ffee"

// written is a daemon's database whose rows appear with time.
type written []row

type row struct {
	at   time.Time
	text string
}

func (w written) Changed(since time.Time, do func([]byte, time.Time) error) error {
	for _, r := range w {
		if r.at.After(time.Now()) || r.at.Before(since) {
			continue
		}
		if err := do([]byte(r.text), r.at); err != nil {
			return err
		}
	}
	return nil
}

// record is one evidence of a finding as it is written.
func record(kind evidence.Kind, source string, at time.Time, to string) string {
	endpoint := ""
	if to != "" {
		endpoint = fmt.Sprintf(`"dst_endpoint":{"ip":%q,"port":1},`, to)
	}
	return fmt.Sprintf(`{"uid":"x",%s"data":{"kind":%q,"source":%q,"time":%q}}`, endpoint, kind, source, event.At(at, event.Nanosecond))
}

func story(family, container string, records ...string) string {
	return fmt.Sprintf(`{"severity":"Low","finding_info":{"uid":"tw-%s","title":"t","types":["AN1"]},"unmapped":{"family":%q,"state":"provisional","entities":[{"kind":"container","container_id":%q}]},"evidences":[%s]}`,
		container, family, container, strings.Join(records, ","))
}

var rehearsed = analytic.DetectionInfo{ID: "AN1", Family: "F", Legs: []analytic.LegInfo{
	{Name: "came", Kind: evidence.Arrival, Optional: true, Missing: "how it came"},
	{Name: "ran", Kind: evidence.Command, Missing: "what it ran"},
	{Name: "called", Kind: evidence.Connection, Missing: "whom it called"},
	{Name: "asked", Kind: evidence.Lookup, Optional: true, Missing: "what it asked"},
}}

// watched looks at what a database says from now on, of a container that was
// made a second ago and has ended.
func watched(t *testing.T, db written) (*Report, time.Duration) {
	t.Helper()
	begin := time.Now()
	w := newWatch(Options{Analytic: rehearsed, Findings: db, Wait: DefaultWait, Say: func(string) {}}, containerID, begin.Add(-2*time.Second), begin.Add(-time.Second))
	ended := make(chan error, 1)
	ended <- nil
	if err := w.until(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	return w.report(), time.Since(begin)
}

func states(r *Report) string {
	var out []string
	for _, l := range r.Legs {
		out = append(out, fmt.Sprintf("%s %s by %s after %.1f", l.Name, l.State, strings.Join(l.Sources, "+"), l.After))
	}
	return strings.Join(out, "; ")
}

func TestReport(t *testing.T) {
	for _, c := range []struct {
		name   string
		rows   func(now time.Time) written
		want   string
		passed bool
		took   time.Duration
	}{
		{"all seen, a source more at the end", func(now time.Time) written {
			came := record(evidence.Arrival, "docker", now.Add(-time.Minute), "")
			ran := record(evidence.Command, "ebpf", now, "")
			called := record(evidence.Connection, "ebpf", now, "203.0.113.66")
			return written{
				{now.Add(time.Second), story("F", containerID, came, ran, called)},
				{now.Add(3 * time.Second), story("F", containerID, came, ran, called, record(evidence.Connection, "conntrack", now, "203.0.113.66"))},
			}
		}, "came seen by docker after 2.0; ran seen by ebpf after 1.0; called seen by conntrack+ebpf after 1.0; asked blind by  after 0.0", true, 3500 * time.Millisecond},
		{"late, and another address", func(now time.Time) written {
			return written{
				{now, story("F", containerID, record(evidence.Arrival, "docker", now, ""), record(evidence.Connection, "ebpf", now, "198.51.100.1"))},
				{now.Add(6 * time.Second), story("F", containerID, record(evidence.Command, "auditd", now, ""))},
			}
		}, "came seen by docker after 0.0; ran late by auditd after 6.0; called blind by  after 0.0; asked blind by  after 0.0", false, DefaultWait + lookEvery},
		{"others' findings", func(now time.Time) written {
			return written{
				{now, story("G", containerID, record(evidence.Command, "ebpf", now, ""))},
				{now, story("F", "beef", record(evidence.Command, "ebpf", now, ""))},
			}
		}, "came blind by  after 0.0; ran blind by  after 0.0; called blind by  after 0.0; asked blind by  after 0.0", false, DefaultWait + lookEvery},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, took := watched(t, c.rows(time.Now()))
				if got := states(r); got != c.want || r.Passed != c.passed {
					t.Errorf("passed %v: %s\nwant   %v: %s", r.Passed, got, c.passed, c.want)
				}
				if took < c.took-lookEvery || took > c.took+lookEvery {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if (r.Finding == nil) != slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, "no finding") }) {
					t.Errorf("finding %v, notes %q", r.Finding, r.Notes)
				}
			})
		})
	}
}

// A program that fails ends the drill: its legs would be blind for no fault of
// the daemon's.
func TestFailedProgramIsNoReport(t *testing.T) {
	failed := errors.New("status 15")
	w := newWatch(Options{Analytic: rehearsed, Findings: written{}, Wait: time.Second, Say: func(string) {}}, containerID, time.Now(), time.Now())
	ended := make(chan error, 1)
	ended <- failed
	if err := w.until(t.Context(), ended); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
}
