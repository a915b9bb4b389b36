package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"tidewaiter/event"
)

// timeless stands where a record carries no time: a look-up.
const timeless = "timeless"

const (
	day       = 24 * time.Hour // time.Duration has no such unit
	maxOffset = 36_500 * day
)

// parseMoment reads "+1.5s", "-8d2h", "timeless", or "+3s..+4s" for a time that
// the source's clock tells only as one of those in between, the end excluded.
func parseMoment(s string, start event.Time) (event.Time, error) {
	if s == timeless {
		return event.Time{}, nil
	}
	from, to, wide := strings.Cut(s, "..")
	a, err := parseOffset(from)
	if err != nil {
		return event.Time{}, err
	}
	t := event.Time{At: start.At + int64(a), Res: event.Nanosecond}
	if wide {
		b, err := parseOffset(to)
		if err != nil {
			return event.Time{}, err
		}
		if t.Res = int64(b - a); t.Res < 1 {
			return event.Time{}, fmt.Errorf("%q ends before it begins", clip(s))
		}
	}
	if t.At <= 0 {
		return event.Time{}, fmt.Errorf("%q lies outside the years 1970 to 2261", clip(s))
	}
	return t, nil
}

func parseOffset(s string) (time.Duration, error) {
	fault := fmt.Errorf("time %q: want an offset from the start such as +3s, +1.5s, +1h30m or -8d, or %q for a look-up", clip(s), timeless)
	if s == "" || s[0] != '+' && s[0] != '-' {
		return 0, fault
	}
	rest, sum := s[1:], time.Duration(0)
	if days, after, found := strings.Cut(rest, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fault
		}
		rest, sum = after, time.Duration(n)*day
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil || rest[0] == '-' || rest[0] == '+' || d > maxOffset {
			return 0, fault
		}
		sum += d
	} else if sum == 0 {
		return 0, fault
	}
	if sum > maxOffset {
		return 0, fmt.Errorf("time %q is more than %d days from the start", clip(s), maxOffset/day)
	}
	if s[0] == '-' {
		sum = -sum
	}
	return sum, nil
}

// offset prints an instant as parseMoment reads it.
func offset(t, start event.Time) string {
	if t.IsZero() {
		return timeless
	}
	d := time.Duration(t.At - start.At)
	sign := "+"
	if d < 0 {
		sign, d = "-", -d
	}
	days, rest := d/day, d%day
	s := rest.String()
	for _, none := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, none) {
			s = s[:len(s)-2]
		}
	}
	switch {
	case days == 0:
		return sign + s
	case rest == 0:
		return fmt.Sprintf("%s%dd", sign, days)
	}
	return fmt.Sprintf("%s%dd%s", sign, days, s)
}
