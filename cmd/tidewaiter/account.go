package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tidewaiter/app"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/sink/html"
	"tidewaiter/sink/text"
	"tidewaiter/visible"
)

// account tells what a hunt read and what it could not, line by line.
type account struct {
	verbose bool
	lines   []html.Line
}

// tell gives the lines of everything but the sources.
func (a *account) tell(r *app.Report) {
	if a.verbose {
		a.files(r)
	}
	a.notRead(r)
	a.faults(r)
	a.losses(r)
	a.placing(r)
}

// print prints the account.
func (a *account) print(p *text.Printer, r *app.Report) {
	a.sources(r)
	a.tell(r)
	p.Printf("\n")
	for _, l := range a.lines {
		p.Printf("%s %s\n", p.Paint(text.Dim, fmt.Sprintf("%-10s", l.Label)), l.Text)
	}
	if r.Interrupted != nil {
		p.Printf("%s %s\n", p.Paint(text.Red, "interrupted"), interruption(r.Interrupted))
	}
}

// page is the account as a page shows it.
func (a *account) page(r *app.Report) *html.Account {
	out := &html.Account{First: r.First, Last: r.Last}
	for _, s := range r.BySource() {
		out.Sources = append(out.Sources, html.Source{Name: string(s.Source), Files: s.Files, Records: s.Records, Events: s.Events, Skipped: s.Skipped, Unreadable: s.Unreadable})
	}
	for _, k := range r.Unseen {
		out.Unseen = append(out.Unseen, map[evidence.Kind]string{
			evidence.Arrival: "how images came", evidence.Creation: "the creation of containers", evidence.Start: "their start",
			evidence.Command: "the commands that ran", evidence.Connection: "connections",
		}[k])
	}
	a.tell(r)
	out.Lines = a.lines
	return out
}

// interruption says how far reading came.
func interruption(i *app.Interruption) string {
	s := fmt.Sprintf("after %s of %s bytes, with %d of %s begun", grouped(i.Read), grouped(i.Total), i.Begun, plural(int64(i.Files), "file"))
	if i.Stdin {
		s = fmt.Sprintf("while standard input was read, after %s bytes of it; of the files named, %d of %d were begun", grouped(i.Read), i.Begun, i.Files)
	}
	return s + "; findings rest on what was read until then, and what they say is missing may stand in the rest"
}

// grouped writes a number with its thousands apart.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

func (a *account) line(label, format string, args ...any) {
	a.lines = append(a.lines, html.Line{Label: label, Text: fmt.Sprintf(format, args...)})
}

func (a *account) sources(r *app.Report) {
	width := 10
	for _, s := range r.BySource() {
		width = max(width, len(s.Source))
	}
	for i, s := range r.BySource() {
		label := ""
		if i == 0 {
			label = "read"
		}
		tail := ""
		if s.Unreadable > 0 {
			tail = fmt.Sprintf(", %s", plural(s.Unreadable, "unreadable record"))
		}
		a.line(label, "%-*s %s, %s: %s, %d without interest%s", width, s.Source, plural(int64(s.Files), "file"),
			plural(s.Records, "record"), plural(s.Events, "event"), s.Skipped, tail)
	}
	if r.First != 0 {
		a.line("", "%s to %s UTC", event.Unix(r.First).Format("2006-01-02 15:04:05"), event.Unix(r.Last).Format("2006-01-02 15:04:05"))
	}
}

func (a *account) files(r *app.Report) {
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
		a.line(label, "%s: from %s%s: %s", visible.Text(in.File), visible.Text(in.Place.String()), history, strings.Join(formats, "; "))
	}
}

func (a *account) notRead(r *app.Report) {
	for _, in := range r.Inputs {
		if in.Empty() {
			a.line("empty", "%s", visible.Text(in.File))
		}
	}
	for _, in := range r.NotRead() {
		a.line("not read", "%s", visible.Text(trimPath(in.Err.Error(), in.File)))
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

func (a *account) faults(r *app.Report) {
	printed, total := 0, int64(0)
	for _, in := range r.Inputs {
		for _, lane := range in.Formats {
			total += lane.Unreadable
			for _, f := range lane.Faults {
				if printed == maxFaultLines && !a.verbose {
					continue
				}
				printed++
				a.line("unreadable", "%s", visible.Text(f.Error()))
			}
		}
	}
	if rest := total - int64(printed); rest > 0 {
		a.line("", "and %s (-v lists up to 20 per file)", plural(rest, "more"))
	}
	if r.FutureCount > 0 {
		e := r.Future[0]
		a.line("future", "%s dated after now and left out, first %s:%d (%s)", plural(r.FutureCount, "record"),
			visible.Text(e.Origin.File), e.Origin.Line(), event.Unix(e.RecordTime()).Format("2006-01-02 15:04:05"))
	}
}

func (a *account) losses(r *app.Report) {
	for _, l := range r.Losses {
		count := "an unknown number of records"
		if l.Count >= 0 {
			count = plural(l.Count, "record")
		}
		a.line("lost", "%s of %s at %s: %s", count, visible.Text(l.File), l.Time, visible.Text(l.Reason))
	}
	for _, what := range slices.Sorted(maps.Keys(r.Counts.Dropped)) {
		a.line("lost", "%d %s, pushed out by a bound: %s", r.Counts.Dropped[what], what, names(r.Counts.DroppedNames[what], r.Counts.Dropped[what]))
	}
	if n := r.Counts.Uncounted; n > 0 {
		a.line("lost", "%s not kept for signals that ask how many there were, because of a bound", plural(int64(n), "sighting"))
	}
	if n := r.Counts.Unkept; n > 0 {
		a.line("dropped", "what was found about %s, the mildest, because of a bound", plural(int64(n), "container"))
	}
	if n := r.Counts.Withdrawn; n > 0 {
		a.line("dropped", "%s that had been withdrawn or superseded, because of a bound", plural(int64(n), "finding"))
	}
	if n := r.Counts.Settled; n > 0 {
		a.line("settled", "%s before the end, because of a bound; what came for them later does not count: %s", plural(int64(n), "container"), names(r.Counts.SettledNames, n))
	}
}

// names lists what a bound touched, as far as it was kept.
func names(some []string, total int) string {
	s := visible.Text(strings.Join(some, ", "))
	if total > len(some) {
		s += ", …"
	}
	return s
}

func (a *account) placing(r *app.Report) {
	c := r.Counts
	in := plural(int64(c.Containers), "container")
	if c.Machines > 0 {
		in += " and " + plural(int64(c.Machines), "machine")
	}
	a.line("placed", "%s in %s; %d of no container%s; %s", plural(int64(c.Placed), "behaviour"), in,
		c.Unplaced+c.Host, hostPart(c.Host), plural(int64(c.Duplicates), "double delivery"))
	if c.Ambiguous > 0 {
		a.line("", "%s could be of more than one container and count for none", plural(int64(c.Ambiguous), "behaviour"))
	}
	if c.StartUnknown > 0 {
		a.line("", "%s without a known start, attributed to nobody", plural(int64(c.StartUnknown), "connection"))
	}
	for _, in := range r.Inputs {
		for _, f := range in.Formats {
			if f.Dated > 0 {
				a.line("note", "%s of %s: neither year nor zone is told; taken for the latest in UTC", plural(f.Dated, "time"), visible.Text(in.File))
			}
		}
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
