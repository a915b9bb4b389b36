package sysmon

import (
	"slices"
	"strings"

	"tidewaiter/event"
)

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

// shells take a script behind -c.
var shells = []string{"sh", "bash", "dash", "ash", "ksh", "zsh"}

// linuxArgs cuts a command line of Linux, where Sysmon joins the arguments with
// blanks and quotes nothing. What stands behind a shell's -c is one argument,
// the script: to cut it would show another command than the one that ran.
func linuxArgs(line string) []string {
	args := strings.Fields(line)
	if len(args) > maxArgs {
		args = args[:maxArgs]
	}
	if len(args) < 3 || !slices.Contains(shells, event.ProgramName(args[0])) {
		return args
	}
	for i, a := range args[1 : len(args)-1] {
		switch {
		case !strings.HasPrefix(a, "-"):
			return args
		case len(a) <= 4 && !strings.HasPrefix(a, "--") && strings.HasSuffix(a, "c"):
			_, script, ok := strings.Cut(line, " "+a+" ")
			if !ok {
				return args
			}
			return append(slices.Clone(args[:i+2]), strings.TrimSpace(script))
		}
	}
	return args
}
