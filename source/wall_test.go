package source

import (
	"testing"
	"time"
)

// A time without a year is of the latest one that is not after the hunt, and is
// counted; without the hunt's time it is none.
func TestDate(t *testing.T) {
	noon := func(m time.Month, d int) Wall {
		return Wall{Month: m, Day: d, SinceMidnight: 12 * time.Hour, Res: 1}
	}
	now := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, c := range []struct {
		wall Wall
		now  time.Time
		want string
	}{
		{noon(time.November, 3), now("2026-12-01T00:00:00Z"), "2026-11-03T12:00:00Z"},
		{noon(time.November, 3), now("2026-11-03T11:00:00Z"), "2026-11-03T12:00:00Z"}, // an hour east
		{noon(time.December, 31), now("2027-01-01T01:00:00Z"), "2026-12-31T12:00:00Z"},
		{noon(time.January, 1), now("2026-12-31T23:00:00Z"), "2027-01-01T12:00:00Z"}, // far east
		{noon(time.January, 2), now("2026-12-31T23:00:00Z"), "2026-01-02T12:00:00Z"},
		{noon(time.February, 29), now("2027-05-01T00:00:00Z"), "2024-02-29T12:00:00Z"},
		{noon(time.February, 29), now("2103-05-01T00:00:00Z"), "2096-02-29T12:00:00Z"},
		{noon(time.February, 30), now("2027-05-01T00:00:00Z"), ""},
		{Wall{}, now("2027-05-01T00:00:00Z"), ""},
		{noon(time.November, 3), time.Time{}, ""},
	} {
		out := Output{Now: c.now, Tally: &Tally{}}
		at, ok := out.Date(c.wall)
		got := ""
		if ok {
			got = at.UTC().Format(time.RFC3339)
		}
		if got != c.want || ok != (out.Tally.Dated == 1) {
			t.Errorf("%v at %v: %q, counted %d, want %q", c.wall, c.now, got, out.Tally.Dated, c.want)
		}
	}
}
