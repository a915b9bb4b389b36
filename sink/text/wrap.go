package text

import (
	"strings"
	"unicode/utf8"
)

// clip shortens s to width columns, with an ellipsis at the end. Width is
// counted in characters; wide characters may take more room.
func clip(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	r := []rune(s)
	return string(r[:max(width-1, 0)]) + "…"
}

// clipLeft shortens s to width columns, with an ellipsis at the beginning: of
// a path the end matters.
func clipLeft(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	r := []rune(s)
	return "…" + string(r[len(r)-max(width-1, 0):])
}

// wrap breaks s into lines of at most width columns, at blanks where there are
// any.
func wrap(s string, width int) []string {
	width = max(width, 8)
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		for utf8.RuneCountInString(word) > width {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			r := []rune(word)
			lines = append(lines, string(r[:width]))
			word = string(r[width:])
		}
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// Wrap breaks s into the lines that fit beside an indent, at blanks where there
// are any.
func (p *Printer) Wrap(s string, indent int) []string { return wrap(s, p.width()-indent) }
