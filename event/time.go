package event

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Time says when something happened, as exactly as its source can tell.
//
// At is the earliest instant the record allows and Res the width of the
// uncertainty: the thing happened in [At, At+Res). A Kubernetes Event printed
// with whole seconds has Res = 1s; a containerd event printed in nanoseconds
// has Res = 1ns. "Before" is decided on these intervals, never on the bare
// numbers, because a coarse clock would otherwise invent an order.
//
// The zero Time means that the record carries no time (a look-up, for
// instance). It is never replaced by the wall clock.
type Time struct {
	// At is Unix time in nanoseconds, UTC. 0 with Res 0 means "no time".
	At int64 `cbor:"1,keyasint,omitempty"`
	// Res is the resolution in nanoseconds; at least 1 for a known time.
	Res int64 `cbor:"2,keyasint,omitempty"`
}

// Resolutions of the clocks that sources print.
const (
	Nanosecond  = int64(time.Nanosecond)
	Microsecond = int64(time.Microsecond)
	Millisecond = int64(time.Millisecond)
	Second      = int64(time.Second)
)

// Skew is how far the clocks of two sources may be apart, in nanoseconds:
// 120 s, which is what unsynchronised hosts are commonly seen to differ by.
const Skew = 120 * Second

// At makes a Time from t with resolution res (in nanoseconds, at least 1).
func At(t time.Time, res int64) Time {
	return Time{At: t.UnixNano(), Res: max(res, 1)}
}

// IsZero reports whether no time is known.
func (t Time) IsZero() bool { return t == Time{} }

// End is the latest instant that t allows.
func (t Time) End() int64 { return t.At + max(t.Res, 1) - 1 }

// UTC returns the earliest instant as a time.Time in UTC.
func (t Time) UTC() time.Time { return time.Unix(0, t.At).UTC() }

// String prints RFC 3339 in UTC with as many digits as the resolution carries.
func (t Time) String() string { return string(t.AppendTo(nil)) }

// AppendTo appends what String prints.
func (t Time) AppendTo(b []byte) []byte {
	if t.IsZero() {
		return append(b, "unknown time"...)
	}
	layout := "2006-01-02T15:04:05.000000000Z"
	switch {
	case t.Res >= Second:
		layout = "2006-01-02T15:04:05Z"
	case t.Res >= Millisecond:
		layout = "2006-01-02T15:04:05.000Z"
	case t.Res >= Microsecond:
		layout = "2006-01-02T15:04:05.000000Z"
	}
	return t.UTC().AppendFormat(b, layout)
}

// MayPrecede reports whether a can have happened before b, or at the same
// time, when the two clocks may be apart by up to slack nanoseconds. It is
// false only when a is later than b beyond every doubt.
func (a Time) MayPrecede(b Time, slack int64) bool {
	return a.At <= b.End()+slack
}

// SurelyPrecedes reports whether a happened before b beyond doubt: their
// intervals are disjoint by more than slack nanoseconds.
func (a Time) SurelyPrecedes(b Time, slack int64) bool {
	return a.End()+slack < b.At
}

// Within reports whether b can lie at most window nanoseconds after a. The
// bound is inclusive: an event exactly window later is still inside.
func (a Time) Within(b Time, window int64) bool {
	return b.At-a.End() <= window
}

// Compare orders times by their earliest instant, then by resolution. It is a
// total order for sorting, not a statement about what came first.
func (a Time) Compare(b Time) int {
	if a.At != b.At {
		return cmp.Compare(a.At, b.At)
	}
	return cmp.Compare(a.Res, b.Res)
}

// ParseEpoch reads a decimal Unix time with an optional fraction, such as
// "1795296952.456243", with nanosecond exactness; a float would lose digits.
// The number of fraction digits gives the resolution. It fails on anything
// that is not such a number, and on years outside 1970 to 2261.
func ParseEpoch[T string | []byte](text T) (Time, error) {
	if t, ok := plainEpoch(text); ok {
		return t, nil
	}
	s := string(text)
	whole, frac, found := cutByte(s, '.')
	sec, ok := digits(whole)
	if !ok || (found && frac == "") || len(whole) > 10 || sec > 9_200_000_000 {
		return Time{}, fmt.Errorf("time %q is not a Unix time in seconds", clip(s))
	}
	res := Second
	var nanos int64
	if found {
		// More than nine digits are beyond a nanosecond: cut, do not round.
		rest := frac[min(len(frac), 9):]
		frac = frac[:len(frac)-len(rest)]
		n, ok := digits(frac)
		if !ok || strings.Trim(rest, "0123456789") != "" {
			return Time{}, fmt.Errorf("time %q is not a Unix time in seconds", clip(s))
		}
		for range 9 - len(frac) {
			n *= 10
		}
		nanos = n
		for range len(frac) {
			res /= 10
		}
	}
	return Time{At: sec*Second + nanos, Res: max(res, 1)}, nil
}

// plainEpoch reads what nearly every record has: up to ten digits, and up to
// nine more after a point. ok is false for the rest, right or wrong.
func plainEpoch[T string | []byte](s T) (t Time, ok bool) {
	n := 0
	for ; n < len(s) && n < 10 && s[n]-'0' <= 9; n++ {
		t.At = t.At*10 + int64(s[n]-'0')
	}
	if n == 0 || t.At > 9_200_000_000 {
		return Time{}, false
	}
	t.At, t.Res = t.At*Second, Second
	if n == len(s) {
		return t, true
	}
	frac := s[n+1:]
	if s[n] != '.' || len(frac) == 0 || len(frac) > 9 {
		return Time{}, false
	}
	var nanos int64
	for i := range len(frac) {
		if frac[i]-'0' > 9 {
			return Time{}, false
		}
		nanos, t.Res = nanos*10+int64(frac[i]-'0'), t.Res/10
	}
	t.At += nanos * t.Res
	return t, true
}

// ParseRFC3339 reads an RFC 3339 time with offset; the number of fraction
// digits gives the resolution. A time without an offset is an error: no zone
// is guessed.
func ParseRFC3339[T string | []byte](text T) (Time, error) {
	if t, ok := plainRFC3339(text); ok {
		return t, nil
	}
	s := string(text)
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return Time{}, fmt.Errorf("time %q is not RFC 3339 with an offset", clip(s))
	}
	if y := t.Year(); y < 1970 || y > 2261 {
		return Time{}, fmt.Errorf("time %q lies outside the years 1970 to 2261", clip(s))
	}
	return At(t, FractionRes(s)), nil
}

// plainRFC3339 reads what nearly every record has, at a tenth of the time that
// package time takes: all fields in their places and in their bounds, and at
// most nine digits of a fraction. ok is false for the rest, right or wrong.
func plainRFC3339[T string | []byte](s T) (t Time, ok bool) {
	const zone = len("2006-01-02T15:04:05")
	if len(s) <= zone || s[10] != 'T' {
		return Time{}, false
	}
	sec, ok := CivilSeconds(s)
	if !ok {
		return Time{}, false
	}
	at, nanos, res := zone, int64(0), Second
	if s[at] == '.' {
		for at++; at < len(s) && s[at]-'0' <= 9; at++ {
			nanos, res = nanos*10+int64(s[at]-'0'), res/10
		}
		if at == zone+1 || at > zone+10 {
			return Time{}, false
		}
		nanos *= res
	}
	east, ok := offset(s[at:])
	return Time{At: (sec-east)*Second + nanos, Res: res}, ok
}

// CivilSeconds reads "2006-01-02T15:04:05", with any byte between date and
// clock, at the beginning of s, as seconds since 1970 were it UTC. ok is false
// if s does not begin so, for a day or an hour that there is not, and for years
// outside 1970 to 2261.
func CivilSeconds[T string | []byte](s T) (sec int64, ok bool) {
	if len(s) < 19 || s[4] != '-' || s[7] != '-' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	year := pair(s, 0)*100 + pair(s, 2)
	month, day := pair(s, 5), pair(s, 8)
	hour, minute, second := pair(s, 11), pair(s, 14), pair(s, 17)
	// What is no digit makes a pair negative, and so a bound is broken.
	if year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 {
		return 0, false
	}
	return int64(daysSince1970(year, month, day))*86400 + int64(hour*3600+minute*60+second), true
}

// pair reads two digits, and is far below zero if they are none.
func pair[T string | []byte](s T, at int) int {
	tens, ones := s[at]-'0', s[at+1]-'0'
	if tens > 9 || ones > 9 {
		return -100_000
	}
	return int(tens)*10 + int(ones)
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts days with a year that begins in March, so that the leap
// day is its last.
func daysSince1970(year, month, day int) int {
	if month <= 2 {
		year--
		month += 12
	}
	return year*365 + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468
}

// offset reads what a time ends with, "Z" or "+01:00", in seconds east.
func offset[T string | []byte](s T) (east int64, ok bool) {
	if len(s) == 1 {
		return 0, s[0] == 'Z'
	}
	if len(s) != len("+01:00") || s[3] != ':' || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	hour, minute := pair(s, 1), pair(s, 4)
	if hour < 0 || hour > 23 || minute < 0 || minute > 59 {
		return 0, false
	}
	east = int64(hour*3600 + minute*60)
	if s[0] == '-' {
		east = -east
	}
	return east, true
}

// FractionRes gives the resolution that the digits after the first '.' of a
// printed time carry: none means a second, nine or more a nanosecond.
func FractionRes(s string) int64 {
	_, frac, found := cutByte(s, '.')
	res := Second
	if !found {
		return res
	}
	for i := 0; i < len(frac) && i < 9 && frac[i] >= '0' && frac[i] <= '9'; i++ {
		res /= 10
	}
	return max(res, 1)
}

func cutByte(s string, c byte) (before, after string, found bool) {
	for i := 0; i < len(s); i++ {
		if s[i] == c {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func digits(s string) (int64, bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
