package main

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/term"

	"tidewaiter/app"
)

// progress shows how far a hunt is, on a terminal only.
type progress struct {
	w     io.Writer
	shown bool
}

func newProgress(w io.Writer, quiet bool) *progress {
	f, ok := w.(*os.File)
	if quiet || !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{w: w}
}

func (p *progress) show(at app.Progress) {
	if p.w == nil {
		return
	}
	percent := int64(0)
	if at.Total > 0 {
		percent = min(100*at.Bytes/at.Total, 100)
	}
	const width = 30
	done := int(percent) * width / 100
	fmt.Fprintf(p.w, "\r[%s%s] %3d %%  %d events", strings.Repeat("#", done), strings.Repeat(".", width-done), percent, at.Events)
	p.shown = true
}

// clear wipes the line, so that what follows starts clean.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// version is what the build knows of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "development"
	}
	return info.Main.Version
}

func splitLines(s string) []string { return strings.Split(strings.TrimRight(s, "\n"), "\n") }
