package policy

import "strings"

// Glob reports whether s fits pattern, in which "*" stands for any run of
// characters, slashes included, and every other character for itself.
func Glob(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	rest, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	last := parts[len(parts)-1]
	for _, mid := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, mid)
		if i < 0 {
			return false
		}
		rest = rest[i+len(mid):]
	}
	return strings.HasSuffix(rest, last)
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
