package source

import (
	"time"

	"tidewaiter/event"
)

// Wall is a time as a clock on a wall shows it: it tells neither year nor zone.
// The zero value is none.
type Wall struct {
	Month         time.Month
	Day           int
	SinceMidnight time.Duration
	Res           int64 // of the last digit, in nanoseconds
}

// ParseWall reads the time with which lines of syslog begin: "Nov  3 10:00:00",
// with or without a fraction (RFC 3164, 4.1.2).
func ParseWall(s string) (w Wall, ok bool) {
	t, err := time.Parse("Jan _2 15:04:05", s)
	if err != nil {
		return Wall{}, false
	}
	midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return Wall{Month: t.Month(), Day: t.Day(), SinceMidnight: t.Sub(midnight), Res: event.FractionRes(s)}, true
}

// In gives the instant in a year, at a zone's distance from UTC. ok is false
// for a day that the year does not have, and for none.
func (w Wall) In(year int, zone time.Duration) (at event.Time, ok bool) {
	t := time.Date(year, w.Month, w.Day, 0, 0, 0, 0, time.UTC)
	if w.Month == 0 || t.Day() != w.Day || year < 1970 || year > 2261 {
		return event.Time{}, false
	}
	return event.At(t.Add(w.SinceMidnight-zone), w.Res), true
}

// ahead allows for zones east of Greenwich.
const ahead = 14 * time.Hour

// Date takes what a clock showed for UTC, in the latest year that is not after
// the hunt's own time, and counts that it did. ok is false where nobody said when
// the records are read: then nothing is taken for anything.
func (o *Output) Date(w Wall) (at event.Time, ok bool) {
	if o.Now.IsZero() {
		return event.Time{}, false
	}
	for year := o.Now.Year() + 1; year >= o.Now.Year()-8; year-- { // a leap day is eight years back at most
		if at, ok := w.In(year, 0); ok && at.At <= o.Now.Add(ahead).UnixNano() {
			o.Tally.Dated++
			return at, true
		}
	}
	return event.Time{}, false
}
