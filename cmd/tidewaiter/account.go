package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"tidewaiter/app"
	"tidewaiter/event"
	"tidewaiter/sink/text"
)

// account prints what a hunt read and what it could not.
type account struct {
	p       *text.Printer
	verbose bool
}

func (a account) print(r *app.Report) {
	a.p.Printf("\n")
	a.sources(r)
	if a.verbose {
		a.files(r)
	}
	a.notRead(r)
	a.faults(r)
	a.losses(r)
	a.placing(r)
}

func (a account) line(label, format string, args ...any) {
	a.p.Printf("%s %s\n", a.p.Paint(text.Dim, fmt.Sprintf("%-10s", label)), fmt.Sprintf(format, args...))
}

func (a account) sources(r *app.Report) {
	for i, s := range r.BySource() {
		label := ""
		if i == 0 {
			label = "read"
		}
		tail := ""
		if s.Unreadable > 0 {
			tail = fmt.Sprintf(", %s", plural(s.Unreadable, "unreadable record"))
		}
		a.line(label, "%-10s %s, %s: %s, %d without interest%s", s.Source, plural(int64(s.Files), "file"),
			plural(s.Records, "record"), plural(s.Events, "event"), s.Skipped, tail)
	}
	if r.First != 0 {
		a.line("", "%s to %s UTC", event.Unix(r.First).Format("2006-01-02 15:04:05"), event.Unix(r.Last).Format("2006-01-02 15:04:05"))
	}
}

func (a account) files(r *app.Report) {
	for i, in := range r.Inputs {
		if in.Err != nil {
			continue
		}
		label := ""
		if i == 0 {
			label = "files"
		}
		history := ""
		if in.History {
			history = ", history"
		}
		var formats []string
		for _, f := range in.Formats {
			formats = append(formats, fmt.Sprintf("%s, %s", f.Format.Name, plural(f.Events, "event")))
		}
		a.line(label, "%s: from %s%s: %s", text.Escape(in.File), text.Escape(in.Place.String()), history, strings.Join(formats, "; "))
	}
}

func (a account) notRead(r *app.Report) {
	for _, in := range r.Inputs {
		if in.Empty() {
			a.line("empty", "%s", text.Escape(in.File))
		}
	}
	for _, in := range r.NotRead() {
		a.line("not read", "%s", text.Escape(trimPath(in.Err.Error(), in.File)))
	}
}

// trimPath keeps a message from naming the file twice.
func trimPath(msg, file string) string {
	if strings.Contains(msg, file) {
		return msg
	}
	return file + ": " + msg
}

const maxFaultLines = 8

func (a account) faults(r *app.Report) {
	printed, total := 0, int64(0)
	for _, in := range r.Inputs {
		for _, lane := range in.Formats {
			total += lane.Unreadable
			for _, f := range lane.Faults {
				if printed == maxFaultLines && !a.verbose {
					continue
				}
				printed++
				a.line("unreadable", "%s", text.Escape(f.Error()))
			}
		}
	}
	if rest := total - int64(printed); rest > 0 {
		a.line("", "and %s (-v lists up to 20 per file)", plural(rest, "more"))
	}
	if r.FutureCount > 0 {
		e := r.Future[0]
		a.line("future", "%s dated after now and left out, first %s:%d (%s)", plural(r.FutureCount, "record"),
			text.Escape(e.Origin.File), e.Origin.Line(), event.Unix(e.RecordTime()).Format("2006-01-02 15:04:05"))
	}
}

func (a account) losses(r *app.Report) {
	for _, l := range r.Losses {
		count := "an unknown number of records"
		if l.Count >= 0 {
			count = plural(l.Count, "record")
		}
		a.line("lost", "%s of %s at %s: %s", count, text.Escape(l.File), l.Time, text.Escape(l.Reason))
	}
	for _, what := range slices.Sorted(maps.Keys(r.Counts.Dropped)) {
		a.line("lost", "%d %s, pushed out by a bound: %s", r.Counts.Dropped[what], what, names(r.Counts.DroppedNames[what], r.Counts.Dropped[what]))
	}
	if n := r.Counts.Settled; n > 0 {
		a.line("settled", "%s before the end, because of a bound; what came for them later does not count: %s", plural(int64(n), "container"), names(r.Counts.SettledNames, n))
	}
}

// names lists what a bound touched, as far as it was kept.
func names(some []string, total int) string {
	s := text.Escape(strings.Join(some, ", "))
	if total > len(some) {
		s += ", …"
	}
	return s
}

func (a account) placing(r *app.Report) {
	c := r.Counts
	a.line("placed", "%s in %s; %d of no container%s; %s", plural(int64(c.Placed), "behaviour"), plural(int64(c.Containers), "container"),
		c.Unplaced+c.Host, hostPart(c.Host), plural(int64(c.Duplicates), "double delivery"))
	if c.Ambiguous > 0 {
		a.line("", "%s could be of more than one container and count for none", plural(int64(c.Ambiguous), "behaviour"))
	}
	if c.StartUnknown > 0 {
		a.line("", "%s without a known start, attributed to nobody", plural(int64(c.StartUnknown), "connection"))
	}
	if r.Unnamed {
		a.line("note", "some records name no host: they are taken to be of one place (--host, --inputs)")
	}
}

func hostPart(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d by the host's own address)", n)
}

func plural(n int64, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "ry"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	case noun == "more":
		return fmt.Sprintf("%d more", n)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
