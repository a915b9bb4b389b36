package visible_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"tidewaiter/visible"
)

func TestTextLeavesNothingThatControlsATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, ümlauts, 漢字, é": "plain text, ümlauts, 漢字, é",
		"\x1b[2J\x1b]0;title\a":      `\x1b[2J\x1b]0;title\x07`,
		"a\nb\tc\rd\x00":             `a\nb\tc\rd\x00`,
		"\u009b31m":                  `\u{9b}31m`,
		"\xff\xfe":                   `\xff\xfe`,
		"user\u202egpj.exe":          `user\u{202e}gpj.exe`,
		"zero\u200bwidth\ufeff":      `zero\u{200b}width\u{feff}`,
		"no\u00a0break":              `no\u{a0}break`,
		"line\u2028separator":        `line\u{2028}separator`,
		"private\ue000use":           `private\u{e000}use`,
		"\ufffd":                     `\u{fffd}`,
		"":                           "",
	} {
		if got := visible.Text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("\x1b[31m")
	f.Add("a\u202eb\xff")
	f.Fuzz(func(t *testing.T, in string) {
		out := visible.Text(in)
		if !utf8.ValidString(out) || controls(out) {
			t.Errorf("%q gives %q", in, out)
		}
		if visible.Text(out) != out {
			t.Errorf("%q: escaped twice it changes", in)
		}
	})
}

// controls reports characters that a terminal acts on, line ends aside.
func controls(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || (r >= 0x200b && r <= 0x200f) || (r >= 0x2028 && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069)
	})
}
