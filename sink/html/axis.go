package html

import (
	"fmt"
	"math"
	"slices"
	"time"

	"tidewaiter/event"
)

// axis maps instants to places from left to right. Long stretches in which
// nothing happens are cut out, so that a story of seconds stays readable when
// its image came weeks earlier.
type axis struct {
	segments []segment
}

// segment is a stretch of time that is drawn to scale.
type segment struct {
	first, last int64   // Unix nanoseconds
	left, right float64 // of its ground
	marks       int     // instants in it
}

const (
	// quietest is how long a stretch that is cut out is at least, and quiet
	// how many times as long as everything that is left.
	quietest = 5 * event.Second
	quiet    = 4
	// inset keeps marks from the rim of their segment.
	inset = 13
)

// newAxis lays instants, sorted and without double ones, out over a chart.
func newAxis(at []int64, sh shape) axis {
	var a axis
	left, right, least, gap := sh.gutter, sh.width, sh.least, sh.gap
	begin := 0
	for _, i := range append(breaks(at, sh.breaks), len(at)) {
		a.segments = append(a.segments, segment{first: at[begin], last: at[i-1], marks: i - begin})
		begin = i
	}
	n := float64(len(a.segments))
	spare := right - left - gap*(n-1) - least*n
	for i := range a.segments {
		s := &a.segments[i]
		s.left = left
		s.right = left + least + spare*float64(s.marks)/float64(len(at))
		left = s.right + gap
	}
	return a
}

// breaks are the indexes of instants before which the axis is cut, at most so
// many.
func breaks(at []int64, most int) []int {
	if len(at) < 3 {
		return nil
	}
	order := make([]int, 0, len(at)-1)
	for i := 1; i < len(at); i++ {
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(i, j int) int { return compareGaps(at[j]-at[j-1], at[i]-at[i-1]) })
	rest := at[len(at)-1] - at[0]
	var out []int
	for _, i := range order {
		gap := at[i] - at[i-1]
		rest -= gap
		if len(out) == most || gap < quietest || gap/quiet < rest {
			break
		}
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}

func compareGaps(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// x is where an instant lies.
func (a axis) x(at int64) float64 {
	for _, s := range a.segments {
		if at <= s.last {
			return s.x(at)
		}
	}
	return a.segments[len(a.segments)-1].right - inset
}

func (s segment) x(at int64) float64 {
	if s.first == s.last {
		return (s.left + s.right) / 2
	}
	part := float64(at-s.first) / float64(s.last-s.first)
	return s.left + inset + part*(s.right-s.left-2*inset)
}

// steps are the distances between labels that people read easily.
var steps = []time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day, 14 * day, 28 * day, 91 * day, 364 * day,
}

const day = 24 * time.Hour

// tick is a label on the axis.
type tick struct {
	X, TextX float64
	Text     string
}

// glyph is the room that a character of the axis takes, at most.
const glyph = 6.4

// ticks labels a segment: at round times, or at its first instant if none of
// them lies in it. No two labels come closer than a character.
func (s segment) ticks() []tick {
	span, room := float64(s.last-s.first), s.right-s.left-2*inset
	var out []tick
	end := math.Inf(-1)
	label := func(at int64, text string) {
		x, half := s.x(at), float64(len(text))*glyph/2
		middle := min(max(x, s.left+half), s.right-half)
		if middle-half < end+glyph {
			return
		}
		end = middle + half
		out = append(out, tick{round(x), round(middle), text})
	}
	for _, step := range steps {
		width := float64(len(clock(s.first, step)))*glyph + 2*glyph
		if span == 0 || float64(step)*room/span < width {
			continue
		}
		for at := (s.first + int64(step) - 1) / int64(step) * int64(step); at <= s.last; at += int64(step) {
			label(at, clock(at, step))
		}
		break
	}
	if len(out) == 0 {
		label(s.first, clock(s.first, time.Second))
	}
	return out
}

// clock is an instant as exact as labels that lie so far apart need.
func clock(at int64, step time.Duration) string {
	t := event.Unix(at)
	switch {
	case step < 10*time.Millisecond:
		return t.Format("15:04:05.000")
	case step < time.Second:
		return t.Format("15:04:05.0")
	case step < time.Minute:
		return t.Format("15:04:05")
	case step < day:
		return t.Format("15:04")
	}
	return t.Format("01-02")
}

// short is a length of time in one unit.
func short(d time.Duration) string {
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d d", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// round keeps a page's numbers short.
func round(x float64) float64 { return math.Round(x*10) / 10 }
