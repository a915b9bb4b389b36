package scenario

import (
	"slices"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/finding"
)

// What a cell changes is told: findings lost, gained, milder and more severe,
// beyond the steps that are allowed, no finding being a step below info.
func TestStrays(t *testing.T) {
	f := func(id string, s analytic.Severity, container string) finding.Finding {
		return finding.Finding{ID: id, Family: "F", Severity: s, Score: 10 * float64(s), Subjects: []finding.Subject{{Container: &evidence.Container{ID: container, Host: "h"}}}}
	}
	for name, c := range map[string]struct {
		want, got []finding.Finding
		steps     int
		alike     func(a, b finding.Finding) bool
		strays    []string
	}{
		"the same":                       {[]finding.Finding{f("1", analytic.High, "a")}, []finding.Finding{f("1", analytic.High, "a")}, 0, same, nil},
		"milder":                         {[]finding.Finding{f("1", analytic.High, "a")}, []finding.Finding{f("1", analytic.Medium, "a")}, 0, same, []string{"high 40 is medium 30"}},
		"another id":                     {[]finding.Finding{f("1", analytic.Info, "a")}, []finding.Finding{f("2", analytic.Info, "a")}, 0, same, []string{"lost info 10", "gained info 10"}},
		"another id of one container":    {[]finding.Finding{f("1", analytic.High, "a")}, []finding.Finding{f("2", analytic.Medium, "a")}, 1, akin, nil},
		"another container":              {[]finding.Finding{f("1", analytic.High, "a")}, []finding.Finding{f("1", analytic.High, "b")}, 1, akin, []string{"lost high 40", "gained high 40"}},
		"two steps milder":               {[]finding.Finding{f("1", analytic.High, "a")}, []finding.Finding{f("1", analytic.Low, "a")}, 1, akin, []string{"high 40 is low 20"}},
		"two steps more severe":          {[]finding.Finding{f("1", analytic.Low, "a")}, []finding.Finding{f("1", analytic.High, "a")}, 1, akin, []string{"low 20 is high 40"}},
		"info comes or goes":             {[]finding.Finding{f("1", analytic.Info, "a")}, []finding.Finding{f("2", analytic.Info, "b")}, 1, akin, nil},
		"low comes":                      {nil, []finding.Finding{f("1", analytic.Low, "a")}, 1, akin, []string{"gained low 20"}},
		"low goes":                       {[]finding.Finding{f("1", analytic.Low, "a")}, nil, 1, akin, []string{"lost low 20"}},
		"a container without an id":      {[]finding.Finding{f("1", analytic.Low, "")}, []finding.Finding{f("2", analytic.Low, "")}, 1, akin, []string{"lost low 20", "gained low 20"}},
		"info comes, nothing is missing": {nil, []finding.Finding{f("1", analytic.Info, "a")}, 0, same, []string{"gained info 10"}},
	} {
		if got := strays(c.want, c.got, c.steps, c.alike); !slices.Equal(got, c.strays) {
			t.Errorf("%s: %q, want %q", name, got, c.strays)
		}
	}
}

func TestSameSet(t *testing.T) {
	a := event.Event{ID: event.NewID("a"), Time: event.Time{At: 1, Res: 1}}
	b := event.Event{ID: event.NewID("b"), Time: event.Time{At: 2, Res: 1}}
	late := a
	late.Time.At = 5
	for name, c := range map[string]struct {
		delivered []event.Event
		want      bool
	}{
		"another order":  {[]event.Event{b, a}, true},
		"twice":          {[]event.Event{a, b, a}, true},
		"something less": {[]event.Event{a}, false},
		"something more": {[]event.Event{a, b, {ID: event.NewID("c")}}, false},
		"another clock":  {[]event.Event{late, b}, false},
	} {
		if got := sameSet([]event.Event{a, b}, c.delivered); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
