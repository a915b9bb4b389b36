package sysmon

import "strings"

// windowsArgs cuts a command line as programs on Windows do
// (CommandLineToArgvW): blanks separate outside double quotes; backslashes
// escape only before a quote.
func windowsArgs(line string) []string {
	var args []string
	var b strings.Builder
	open, quoted := false, false
	for i := 0; i < len(line) && len(args) < maxArgs; i++ {
		switch c := line[i]; {
		case c == '\\':
			n := 1
			for i+n < len(line) && line[i+n] == '\\' {
				n++
			}
			if i+n < len(line) && line[i+n] == '"' {
				b.WriteString(strings.Repeat(`\`, n/2))
				if n%2 == 1 {
					b.WriteByte('"')
					n++
				}
			} else {
				b.WriteString(strings.Repeat(`\`, n))
			}
			i, open = i+n-1, true
		case c == '"':
			quoted, open = !quoted, true
		case (c == ' ' || c == '\t') && !quoted:
			if open {
				args = append(args, b.String())
			}
			b.Reset()
			open = false
		default:
			b.WriteByte(c)
			open = true
		}
	}
	if open && len(args) < maxArgs {
		args = append(args, b.String())
	}
	return args
}
