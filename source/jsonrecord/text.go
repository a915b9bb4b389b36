package jsonrecord

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// unescape appends the text of a string with escapes. One that JSON does not
// know is kept as it stands, as fastjson keeps it.
func unescape(b, s []byte) []byte {
	for {
		n := bytes.IndexByte(s, '\\')
		if n < 0 || n == len(s)-1 {
			return append(b, s...)
		}
		b = append(b, s[:n]...)
		c := s[n+1]
		s = s[n+2:]
		switch c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			var used int
			b, used = unescapeRune(b, s)
			s = s[used:]
		default:
			b = append(b, '\\', c)
		}
	}
}

// unescapeRune appends what \u stands for, given what follows it, and says how
// many bytes of that it used.
func unescapeRune(b, s []byte) ([]byte, int) {
	x, ok := hex4(s)
	if !ok {
		return append(b, `\u`...), 0
	}
	if !utf16.IsSurrogate(x) {
		return utf8.AppendRune(b, x), 4
	}
	if len(s) >= 10 && s[4] == '\\' && s[5] == 'u' {
		if y, ok := hex4(s[6:]); ok {
			return utf8.AppendRune(b, utf16.DecodeRune(x, y)), 10
		}
	}
	b = append(b, `\u`...)
	return append(b, s[:4]...), 4
}

func hex4(s []byte) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[:4]), 16, 16)
	return rune(n), err == nil
}

// Words remembers strings that were made of records, so that what every record
// says (an image, a namespace, a program) is one string and not thousands.
// Where two share a slot, the later takes it. The zero Words is ready.
type Words struct{ slots [512]string }

// longestWord is the longest string that is remembered: longer ones seldom
// come twice.
const longestWord = 80

// Of gives the string of b.
func (w *Words) Of(b []byte) string {
	n := len(b)
	if n == 0 {
		return ""
	}
	if n > longestWord {
		return string(b)
	}
	// A string is told from others by its length, its ends and its middle: the
	// parts in which names of one kind differ.
	h := uint64(n)
	if n >= 8 {
		h ^= binary.LittleEndian.Uint64(b) * 0x9e3779b97f4a7c15
		h = h<<29 | h>>35
		h ^= binary.LittleEndian.Uint64(b[n-8:])
		h *= 0xff51afd7ed558ccd
		h ^= binary.LittleEndian.Uint64(b[(n-8)/2:])
	} else {
		for _, c := range b {
			h = h<<8 | uint64(c)
		}
	}
	slot := &w.slots[h*0x9e3779b97f4a7c15>>55]
	if *slot != string(b) {
		*slot = string(b)
	}
	return *slot
}
