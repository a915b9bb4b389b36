// Package visible makes text from logs safe to show: what a terminal or a page
// would act on, or draw as nothing, becomes characters to read.
//
// In: any bytes. Out: printable text.
package visible

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text makes text from a log safe to show on a terminal or a page: control
// characters, escape sequences, invalid UTF-8, and the invisible characters
// that change how their neighbours are drawn (directional overrides, zero
// width) become visible backslash forms. Everything else stays as it is; a page
// must escape its own markup as well.
func Text(s string) string {
	if !strings.ContainsFunc(s, hostile) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case hostile(r) && r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case hostile(r):
			fmt.Fprintf(&b, `\u{%x}`, r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// hostile reports characters that must not reach a terminal: everything that
// is not printable, and marks that join the character before them without end.
func hostile(r rune) bool {
	return r != ' ' && (!unicode.IsGraphic(r) || unicode.Is(unicode.Zs, r) || unicode.Is(unicode.Me, r) || r == utf8.RuneError)
}
