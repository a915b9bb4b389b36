package text

import (
	"time"

	"tidewaiter/event"
	"tidewaiter/finding"
)

// days is the stretch of days that a story spans, in UTC. The times of its
// last day, on which it came to a head, are told in full; those of earlier days
// with their date, down to the second, so that what came first can be seen.
type days struct{ first, last time.Time }

func daysOf(f finding.Finding) days {
	return days{event.Unix(f.First).Truncate(day), event.Unix(f.Last).Truncate(day)}
}

const day = 24 * time.Hour

// How a time is printed: on the last day, on an earlier one, and so long before
// that its date would be taken for one of this year.
const (
	lastDayClock    = "15:04:05.000"
	earlierClock    = "Jan 02 15:04:05"
	earlierYearDate = "2006 Jan 02"
	longBefore      = 300 * day
)

// width is that of the column of times.
func (d days) width() int {
	if d.first.Equal(d.last) {
		return len(lastDayClock)
	}
	return len(earlierClock)
}

// clock is when a record was made; a look-up has no time.
func (d days) clock(t event.Time) string {
	if t.IsZero() {
		return "–"
	}
	at := t.UTC()
	switch before := d.last.Sub(at); {
	case before <= 0:
		return at.Format(lastDayClock)
	case before < longBefore:
		return at.Format(earlierClock)
	}
	return at.Format(earlierYearDate)
}

// String names the days.
func (d days) String() string {
	if d.first.Equal(d.last) {
		return d.last.Format(time.DateOnly)
	}
	return d.first.Format(time.DateOnly) + " to " + d.last.Format(time.DateOnly)
}
