package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// colors are the values of --color.
var colors = []string{"auto", "always", "never"}

const (
	colorUsage   = "`WHEN` to colour: auto (on a terminal, unless NO_COLOR is set), always or never"
	defaultWidth = 100
)

// terminal tells how wide an output is and whether to use colours there.
func terminal(w io.Writer, color string) (width int, colors bool) {
	width = defaultWidth
	tty := isTerminal(w)
	if tty {
		if cols, _, err := term.GetSize(int(w.(*os.File).Fd())); err == nil && cols > 0 {
			width = cols
		}
	}
	return width, colored(color, tty, os.Getenv)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colored decides on colours: --color always and never have the last word, then
// NO_COLOR (https://no-color.org) and a terminal that knows none.
func colored(color string, tty bool, getenv func(string) string) bool {
	switch color {
	case "always":
		return true
	case "never":
		return false
	}
	return tty && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}
