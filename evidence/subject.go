package evidence

import (
	"cmp"
	"path"
	"slices"

	"tidewaiter/event"
)

// NewSubject puts facts into order, drops double ones, derives what only
// several facts together tell, and keeps to the bound on facts. It sorts facts in
// place.
func NewSubject(id SubjectID, facts []Fact) *Subject {
	slices.SortFunc(facts, Fact.Compare)
	facts = slices.CompactFunc(facts, func(a, b Fact) bool { return a.Event.ID == b.Event.ID && a.Kind == b.Kind })
	s := &Subject{ID: id}
	markDropped(facts)
	s.Facts, s.Repeated = fold(facts)
	s.Facts, s.Dropped = bound(s.Facts)
	return s
}

// markDropped finds programs that were written, or downloaded, in the
// container before they ran. A later write proves nothing about an earlier
// run.
func markDropped(facts []Fact) {
	written := map[string]*event.Event{} // the first event that wrote it
	note := func(p string, by *event.Event) {
		if p == "" {
			return
		}
		p = path.Clean(p)
		if first := written[p]; first == nil || by.Time.Compare(first.Time) < 0 {
			written[p] = by
		}
	}
	for _, f := range facts {
		if f.Kind == Command {
			for _, w := range f.Command.Writes {
				note(inDir(f.Event, w), f.Event)
			}
		}
		if w, ok := f.Event.Body.(*event.FileWrite); ok {
			note(w.Path, f.Event)
		}
	}
	for i := range facts {
		f := &facts[i]
		if f.Kind != Command {
			continue
		}
		c := *f.Command
		c.Dropped = ""
		for _, p := range append([]string{c.Exe, c.Script, firstArg(f.Event)}, c.Runs...) {
			by := written[path.Clean(inDir(f.Event, p))]
			if p != "" && by != nil && by != f.Event && by.Time.MayPrecede(f.Event.Time, 0) {
				c.Dropped = p
				break
			}
		}
		c.Dropped = cmp.Or(c.Dropped, c.Drops)
		if p, ok := f.Event.Body.(*event.Process); ok && p.Added {
			c.Dropped = cmp.Or(c.Dropped, c.Exe)
		}
		f.Command = &c
	}
}

// inDir makes a path absolute with the directory that the process ran in.
func inDir(e *event.Event, p string) string {
	if proc, ok := e.Body.(*event.Process); ok && !path.IsAbs(p) && p != "" {
		return path.Join(proc.Cwd, p)
	}
	return p
}

// firstArg is argv[0] when it is a path: busybox and some exec sensors tell
// the program only there.
func firstArg(e *event.Event) string {
	p, ok := e.Body.(*event.Process)
	if !ok || len(p.Args) == 0 || !path.IsAbs(p.Args[0]) {
		return ""
	}
	return p.Args[0]
}
