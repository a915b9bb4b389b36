package policy

import "strings"

// Glob reports whether s fits pattern, in which "*" stands for any run of
// characters, slashes included, and every other character for itself.
func Glob(pattern, s string) bool {
	first, pattern, wild := strings.Cut(pattern, "*")
	if !wild {
		return first == s
	}
	rest, ok := strings.CutPrefix(s, first)
	for ok {
		mid, more, wild := strings.Cut(pattern, "*")
		if !wild {
			return strings.HasSuffix(rest, mid)
		}
		pattern = more
		_, rest, ok = strings.Cut(rest, mid)
	}
	return false
}

// isExact reports whether pattern fits itself only.
func isExact(pattern string) bool { return !strings.Contains(pattern, "*") }

// globsMeet reports whether some text fits both patterns: whether two scopes
// can claim the same thing.
func globsMeet(a, b string) bool {
	switch {
	case isExact(a):
		return Glob(b, a)
	case isExact(b):
		return Glob(a, b)
	}
	// What stands between a pattern's first and last star can be had by a text
	// that holds the one pattern's middle and then the other's. So only what
	// stands before and after must agree.
	headA, headB := a[:strings.IndexByte(a, '*')], b[:strings.IndexByte(b, '*')]
	tailA, tailB := a[strings.LastIndexByte(a, '*')+1:], b[strings.LastIndexByte(b, '*')+1:]
	return (strings.HasPrefix(headA, headB) || strings.HasPrefix(headB, headA)) &&
		(strings.HasSuffix(tailA, tailB) || strings.HasSuffix(tailB, tailA))
}
