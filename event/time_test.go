package event

import (
	"strings"
	"testing"
	"time"
)

func TestParseEpochKeepsEveryDigit(t *testing.T) {
	for in, want := range map[string]Time{
		"1795296952":              {1795296952 * Second, Second},
		"1795296952.5":            {1795296952*Second + 500*Millisecond, 100 * Millisecond},
		"1795296952.456243":       {1795296952*Second + 456243*Microsecond, Microsecond},
		"1795296952.456243001":    {1795296952*Second + 456243001, 1},
		"1795296952.4562430019":   {1795296952*Second + 456243001, 1},
		"0.000000001":             {1, 1},
		"1793700000.100396999999": {1793700000*Second + 100396999, 1},
	} {
		if got, err := ParseEpoch(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", ".", "1.", ".5", "-1", "1e9", "1.5e3", "1.7953000001002e9", "1 ", "0x1", "1,5", "99999999999", "1795296952456", "NaN", "1.2.3"} {
		if got, err := ParseEpoch(in); err == nil {
			t.Errorf("%q was read as %v", in, got)
		}
	}
}

func TestParseRFC3339NeverGuessesAZone(t *testing.T) {
	got, err := ParseRFC3339("2026-11-21T23:35:53.081832242+02:00")
	if err != nil || got.String() != "2026-11-21T21:35:53.081832242Z" || got.Res != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := ParseRFC3339("2026-11-21T21:35:53Z"); err != nil || got.Res != Second || got.String() != "2026-11-21T21:35:53Z" {
		t.Errorf("whole seconds: %v, %v", got, err)
	}
	for _, in := range []string{"2026-11-21T21:35:53", "2026-11-21 21:35:53Z", "1969-12-31T23:59:59Z", "9999-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00Z", ""} {
		if got, err := ParseRFC3339(in); err == nil {
			t.Errorf("%q was read as %v", in, got)
		}
	}
}

// "Before" is decided on intervals: [At, At+Res).
func TestBeforeIsDecidedOnIntervals(t *testing.T) {
	second := func(s int64) Time { return Time{s * Second, Second} }
	exactly := func(n int64) Time { return Time{n, 1} }
	for name, c := range map[string]struct {
		a, b        Time
		may, surely bool
	}{
		"apart":                             {exactly(1), exactly(2), true, true},
		"the same moment":                   {exactly(2), exactly(2), true, false},
		"later":                             {exactly(3), exactly(2), false, false},
		"inside a coarse second":            {exactly(5*Second + 900), second(5), true, false},
		"a coarse second, then inside it":   {second(5), exactly(5*Second + 900), true, false},
		"the second is over":                {second(5), exactly(6 * Second), true, true},
		"the last nanosecond of the second": {second(5), exactly(6*Second - 1), true, false},
		"after the second":                  {exactly(6 * Second), second(5), false, false},
	} {
		if got := c.a.MayPrecede(c.b, 0); got != c.may {
			t.Errorf("%s: may precede %v, want %v", name, got, c.may)
		}
		if got := c.a.SurelyPrecedes(c.b, 0); got != c.surely {
			t.Errorf("%s: surely precedes %v, want %v", name, got, c.surely)
		}
	}
	if !exactly(10).MayPrecede(exactly(5), 5) || exactly(11).MayPrecede(exactly(5), 5) {
		t.Error("slack is not counted exactly")
	}
}

func TestWindowsAreInclusive(t *testing.T) {
	a := Time{100 * Second, 1}
	w := int64(15 * time.Minute)
	for at, want := range map[int64]bool{a.At + w: true, a.At + w + 1: false, a.At: true, a.At - 1: true} {
		if got := a.Within(Time{at, 1}, w); got != want {
			t.Errorf("%d ns after: %v, want %v", at-a.At, got, want)
		}
	}
	coarse := Time{100 * Second, Second}
	if !coarse.Within(Time{101*Second - 1 + w, 1}, w) || coarse.Within(Time{101*Second + w, 1}, w) {
		t.Error("a coarse beginning stretches the window to the end of its second, not further")
	}
}

func TestIDsDoNotRunTogether(t *testing.T) {
	if NewID("ab", "c") == NewID("a", "bc") || NewID("a") == NewID("a", "") || NewID() == NewID("") {
		t.Error("different keys have one id")
	}
	long := make([]byte, 4096)
	if NewID(string(long)) == NewID(string(long[1:])) || NewID(string(long)) != NewID(string(long)) {
		t.Error("long keys")
	}
}

func TestPlaceKnownBeatsUnknown(t *testing.T) {
	p := Place{Host: "a"}.Or(Place{Host: "b", Cluster: "c"})
	if p != (Place{Host: "a", Cluster: "c"}) || p.String() != "c/a" || (Place{}).String() != "(unnamed)" {
		t.Errorf("got %+v %s", p, p)
	}
}

// TestPlainTimesAreGosTimes compares the short way of reading times with
// package time, over every day and over damaged texts.
func TestPlainTimesAreGosTimes(t *testing.T) {
	check := func(s string) {
		t.Helper()
		got, ok := plainRFC3339([]byte(s))
		want, err := time.Parse(time.RFC3339Nano, s)
		if ok && (err != nil || got != At(want, FractionRes(s))) {
			t.Fatalf("%q: %v, package time says %v, %v", s, got, want, err)
		}
		odd := strings.Contains(s, ",") || strings.Contains(s, "+24:00") || strings.Contains(s, ".1234567891")
		if !ok && err == nil && want.Year() >= 1970 && want.Year() <= 2261 && !odd {
			t.Fatalf("%q: not read, package time says %v", s, want)
		}
	}
	zones := []string{"Z", "+00:00", "-23:59", "+05:45", "+24:00", "z", "", "+0100", "+1:00", "Z "}
	fractions := []string{"", ".1", ".123456", ".123456789", ".1234567891", ".", ",5", ".12a"}
	n := 0
	for day := time.Date(1969, 12, 30, 0, 0, 0, 0, time.UTC); day.Year() < 2263; day = day.Add(24*time.Hour + 61*time.Second) {
		n++
		check(day.Format("2006-01-02T15:04:05") + fractions[n%len(fractions)] + zones[n%len(zones)])
		check(day.Format("2006-01-02T15:04:05Z"))
	}
	for _, s := range []string{"1999-02-29", "2000-02-29", "2100-02-29", "2024-02-30", "2024-04-31", "2024-13-01", "2024-00-10", "2024-01-00", "2024-01-32", "24-01-010", "2o24-01-01"} {
		check(s + "T00:00:00Z")
	}
	for _, s := range []string{"24:00:00", "23:60:00", "23:59:60", "1:002:03", "23.59.59", "::::::::"} {
		check("2024-01-01T" + s + "Z")
	}
	for i := range "2024-01-01T00:00:00.5+01:00" {
		for _, c := range "a/:;0-T Z\xff" {
			b := []byte("2024-01-01T00:00:00.5+01:00")
			b[i] = byte(c)
			check(string(b))
		}
	}
}
