package html

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/finding"
)

// told is a finding with a command at each of these times after noon.
func told(after ...time.Duration) *finding.Finding {
	f := &finding.Finding{}
	kinds := []evidence.Kind{evidence.Arrival, evidence.Creation, evidence.Start, evidence.Command, evidence.Connection, evidence.Lookup, evidence.Exit}
	for i, d := range after {
		e := &event.Event{Time: event.At(time.Date(2026, 11, 6, 12, 0, 0, 0, time.UTC).Add(d), 1), Body: &event.Plain{}}
		f.Evidence = append(f.Evidence, finding.Evidence{Event: e, Kind: kinds[i%len(kinds)], Says: "x"})
	}
	slices.SortFunc(f.Evidence, func(a, b finding.Evidence) int { return a.Event.Time.Compare(b.Event.Time) })
	return f
}

// An image that came weeks before the rest is set apart by a break, and the
// rest keeps its room.
func TestAnEarlyArrivalIsCutOff(t *testing.T) {
	c := newChart(told(-21*day, 0, time.Second, 2*time.Second, 6*time.Second), nil, wide())
	if len(c.Breaks) != 1 || c.Breaks[0].Text != "21 d" {
		t.Fatalf("breaks %+v, want one of 21 days", c.Breaks)
	}
	if len(c.Days) != 2 || c.Days[0].Text != "2026-10-16" || c.Days[1].Text != "2026-11-06" {
		t.Errorf("days %+v", c.Days)
	}
	if left := c.Breaks[0].Right; left > c.Width/2 {
		t.Errorf("the story begins at %v of %v", left, c.Width)
	}
	if c := newChart(told(0, time.Second, 2*time.Second), nil, wide()); len(c.Breaks) != 0 {
		t.Errorf("three even seconds are cut: %+v", c.Breaks)
	}
}

// Whatever the times are, no labels overlap, no marks of a lane do, and
// everything lies on the chart, in order.
func TestNothingOverlaps(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	scales := []time.Duration{1, time.Microsecond, time.Millisecond, time.Second, time.Minute, time.Hour, day, 40 * day}
	for range 3000 {
		var after []time.Duration
		for range 1 + r.IntN(40) {
			after = append(after, time.Duration(r.Int64N(100))*scales[r.IntN(len(scales))])
		}
		f := told(after...)
		for _, s := range []shape{wide(), narrow()} {
			c := newChart(f, nil, s)
			checkChart(t, c, len(f.Evidence))
			if t.Failed() {
				t.Fatalf("%s, times %v", s.class, after)
			}
		}
	}
}

func checkChart(t *testing.T, c *chart, records int) {
	t.Helper()
	right := 0.0
	for _, k := range c.Ticks {
		half := float64(len(k.Text)) * 6 / 2
		if k.TextX-half < right || k.TextX+half > c.Width+1 {
			t.Errorf("label %q from %v to %v, the one before ends at %v", k.Text, k.TextX-half, k.TextX+half, right)
		}
		for _, b := range c.Breaks {
			width := float64(len(b.Text)) * 6
			if width > b.Wide() {
				t.Errorf("%q does not fit into its break of %v", b.Text, b.Wide())
			}
			if k.TextX+half > b.Left+0.2 && k.TextX-half < b.Right-0.2 {
				t.Errorf("label %q lies in a break", k.Text)
			}
		}
		right = k.TextX + half
	}
	right = 0
	for _, d := range c.Days {
		if d.TextX < right || d.TextX+65 > c.Width {
			t.Errorf("day %q at %v, the one before ends at %v", d.Text, d.TextX, right)
		}
		right = d.TextX + 65
	}
	marks := 0
	for _, l := range c.Lanes {
		right := l.X
		for _, m := range l.Marks {
			left, end := m.X-radius, m.X+radius
			if m.Count > 1 {
				left, end = m.Left, m.Left+m.Width
			}
			if left < right-0.2 || end > c.Width+0.2 {
				t.Errorf("lane %s: a mark from %v to %v, the one before ends at %v", l.Name, left, end, right)
			}
			right = end
			marks += m.Count
		}
	}
	if marks != records {
		t.Errorf("%d records drawn, want %d", marks, records)
	}
	if len(c.Ticks) == 0 || len(c.Days) == 0 {
		t.Error("the axis has no label")
	}
}

// A bar of many says how many, and names the first.
func TestManyInOnePlaceAreCounted(t *testing.T) {
	f := told(slices.Repeat([]time.Duration{0}, 70)...)
	c := newChart(f, nil, wide())
	for _, l := range c.Lanes {
		if len(l.Marks) != 1 || l.Marks[0].Count != 10 || !strings.Contains(l.Marks[0].Says, "and 4 more") {
			t.Errorf("lane %s: %+v", l.Name, l.Marks)
		}
	}
	if len(c.Lanes) != 7 || c.Lanes[0].Name != "arrival" || c.Lanes[6].Name != others {
		t.Errorf("lanes %+v", c.Lanes)
	}
}

// What was looked up has no time, and so no place on the axis.
func TestLookUpsHaveNoLane(t *testing.T) {
	f := told(0, time.Second, 2*time.Second)
	lanes := len(newChart(f, nil, wide()).Lanes)
	f.Evidence = append(f.Evidence, finding.Evidence{Event: &event.Event{Body: &event.Plain{}}, Kind: evidence.Description, Says: "x"})
	if n := len(newChart(f, nil, wide()).Lanes); n != lanes {
		t.Errorf("%d lanes, %d without what was looked up", n, lanes)
	}
}
