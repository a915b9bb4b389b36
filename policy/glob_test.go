package policy

import (
	"strings"
	"testing"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, yes, no string
	}{
		{"docker-*", "docker- docker-7 docker-a/b docker-*", "docker Docker-7 xdocker-7"},
		{"*-7", "-7 docker-7 a-7-7", "docker-70 7"},
		{"a*a", "aa aba aaaa", "a ab ba"},
		{"a*b*c", "abc a-b-c abcbc aXbbXc", "acb ab bc abcd"},
		{"*", "x x/y *", ""},
		{"**", "x xy", ""},
		{"a**b", "ab a-b", "a b"},
		{"*ab*ab*", "abab xabyabz ababab", "aba ab bab"},
		{"a.c", "a.c", "abc a.cc"},
		{"a?[b]", "a?[b]", "axb ab"},
	} {
		for s := range strings.FieldsSeq(c.yes) {
			if !Glob(c.pattern, s) {
				t.Errorf("%q does not fit %q", s, c.pattern)
			}
		}
		for s := range strings.FieldsSeq(c.no) {
			if Glob(c.pattern, s) {
				t.Errorf("%q fits %q", s, c.pattern)
			}
		}
	}
	if !Glob("*", "") || !Glob("", "") || Glob("", "x") || Glob("a", "") {
		t.Error("the empty text")
	}
}

// over calls f with every text of up to n letters.
func over(letters string, n int, f func(string)) {
	var grow func(string)
	grow = func(s string) {
		f(s)
		if len(s) < n {
			for i := range len(letters) {
				grow(s + letters[i:i+1])
			}
		}
	}
	grow("")
}

// fits is Glob by the definition: a star stands for nothing, or for the first
// character and what a star stands for after it.
func fits(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		return fits(pattern[1:], s) || s != "" && fits(pattern, s[1:])
	}
	return s != "" && pattern[0] == s[0] && fits(pattern[1:], s[1:])
}

// TestGlobIsItsDefinition compares Glob and globsMeet with brute force over
// all short patterns and texts.
func TestGlobIsItsDefinition(t *testing.T) {
	var patterns, texts []string
	over("ab*", 4, func(s string) { patterns = append(patterns, s) })
	over("ab", 7, func(s string) { texts = append(texts, s) })
	// What fits a pattern, as a set of texts. Two patterns of four characters
	// that meet do so in a text of at most seven: the one's four, the other's
	// four, and of two stars at least one stands for nothing.
	fit := make([][4]uint64, len(patterns))
	for i, p := range patterns {
		for j, s := range texts {
			yes := fits(p, s)
			if Glob(p, s) != yes {
				t.Fatalf("Glob(%q, %q) = %t", p, s, !yes)
			}
			if yes {
				fit[i][j/64] |= 1 << (j % 64)
			}
		}
	}
	for i, a := range patterns {
		for j, b := range patterns {
			meet := false
			for k := range fit[i] {
				meet = meet || fit[i][k]&fit[j][k] != 0
			}
			if globsMeet(a, b) != meet {
				t.Fatalf("globsMeet(%q, %q) = %t", a, b, !meet)
			}
		}
	}
}
