package app

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/entity"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/finding"
	"tidewaiter/partition"
	"tidewaiter/policy"
	"tidewaiter/source"
	"tidewaiter/stream"
)

// HuntOptions say what to hunt through and with what.
type HuntOptions struct {
	// Paths are files and folders; "-" is standard input.
	Paths []string
	// History are files and folders that feed memory and identity only.
	History []string
	// Inventories are inventory files beside those found in the folders.
	Inventories []string
	// Place is where records are from that nobody else places.
	Place event.Place
	// Library and Policy are what to look for, and what the site says.
	Library *analytic.Library
	Policy  *policy.Policy
	// Now is the clock's time, for telling records from the future.
	Now time.Time
	// Stdin is read for the path "-".
	Stdin io.Reader
	// Progress is called now and then; nil for nobody.
	Progress func(Progress)
	// Stop ends the reading once it is closed; what was read until then is
	// hunted through. Nil for never.
	Stop   <-chan struct{}
	Limits entity.Limits
}

// Progress is how far a hunt is.
type Progress struct {
	Events int
	// Bytes of the files were read, of Total.
	Bytes, Total int64
}

// Report is what a hunt found and what it read.
type Report struct {
	Findings []finding.Finding
	// Inputs are the files, in the order in which they were named and found.
	Inputs []InputReport
	Counts partition.Counts
	// Losses are what sources said that they did not see.
	Losses []Loss
	// Future are records dated later than now, which were left out.
	Future      []event.Event
	FutureCount int64
	// Unnamed is set when records of no known host were taken to be of one
	// place.
	Unnamed bool
	// First and Last are the times of the first and last event.
	First, Last int64
	// Unseen are the parts of a story that no record told of, history aside.
	Unseen []evidence.Kind
	// Interrupted is how far reading came when it was stopped; nil if it came
	// to the end.
	Interrupted *Interruption
	// Raw reads cited records again. Close it.
	Raw *source.RawReader

	spool string
}

// Loss is what one source said that it did not see.
type Loss struct {
	File   string
	Source event.Source
	Time   event.Time
	Reason string
	Count  int64 // -1 when unknown
}

// InputReport is what became of one file.
type InputReport struct {
	File    string
	History bool
	Place   event.Place
	// Formats is what was read, by format, the file's own first; empty if
	// nothing was.
	Formats []source.FormatTally
	// Err is why it was not read, or not to the end.
	Err error
	// Named is set for a path that the user named, not one found in a folder.
	Named bool
}

// Hunt reads recorded logs and gives what they show. It fails only if nothing
// can be started; files that cannot be read are told in the report.
func Hunt(opt HuntOptions) (*Report, error) {
	h := &hunt{opt: opt, report: &Report{}, paths: map[string]string{}}
	if err := h.collect(); err != nil {
		return nil, errors.Join(err, h.report.Close())
	}
	h.report.Raw = source.NewRawReader(h.paths)
	p := partition.New(partition.Options{Name: "hunt", Library: opt.Library, Policy: opt.Policy, Limits: opt.Limits, Hold: hold, Alone: true})
	for _, inv := range h.inventories {
		for _, e := range inv.Events() {
			p.Apply(e)
		}
	}
	h.read(p)
	h.report.Unseen = h.told.unseen()
	h.report.Interrupted = h.interruption()
	p.Advance(h.watermark())
	p.Sync()
	h.report.Findings = p.Findings()
	h.report.Counts = p.Counts()
	return h.report, nil
}

// Close releases what the report holds.
func (r *Report) Close() error {
	var faults []error
	if r.Raw != nil {
		faults = append(faults, r.Raw.Close())
	}
	if r.spool != "" {
		faults = append(faults, os.Remove(r.spool))
	}
	return errors.Join(faults...)
}

// hunt is one hunt being made.
type hunt struct {
	opt         HuntOptions
	report      *Report
	inventories []*source.Inventory
	inputs      []*source.Input // open ones, by index into report.Inputs
	paths       map[string]string
	total       int64 // bytes of all files
	told        told
	clock       clock
	// stopped is set once reading was stopped, stdinCut if that was within
	// standard input: then what came of it is still read, and nothing else.
	stopped, stdinCut bool
}

// collect lists the files to read.
func (h *hunt) collect() error {
	for _, path := range h.opt.Inventories {
		inv, err := source.ReadInventory(path)
		if err != nil {
			return err
		}
		h.inventories = append(h.inventories, inv)
	}
	for _, path := range h.opt.History {
		if err := h.add(path, true); err != nil {
			return err
		}
	}
	for _, path := range h.opt.Paths {
		if err := h.add(path, false); err != nil {
			return err
		}
	}
	return nil
}

// add lists one path that the user named.
func (h *hunt) add(path string, history bool) error {
	if path == "-" {
		return h.addStdin(history)
	}
	info, err := os.Stat(path)
	if err != nil {
		h.list(InputReport{File: path, History: history, Named: true, Err: err})
		return nil
	}
	if !info.IsDir() {
		h.list(InputReport{File: path, History: history, Named: true})
		return nil
	}
	return h.addFolder(path, history)
}

func (h *hunt) list(in InputReport) { h.report.Inputs = append(h.report.Inputs, in) }

// addStdin spools standard input to a file, so that cited records can be read
// again.
func (h *hunt) addStdin(history bool) error {
	if h.report.spool != "" {
		return errors.New("standard input (-) can be named once")
	}
	file, err := spool(h.opt.Stdin, h.opt.Stop)
	h.report.spool = file
	switch {
	case errors.Is(err, errStopped):
		h.stopped, h.stdinCut = true, true
	case err != nil:
		return err
	}
	h.paths["-"] = file
	h.list(InputReport{File: "-", History: history, Named: true})
	return nil
}

// addFolder lists a folder's files, by name, and reads the inventory at its
// root.
func (h *hunt) addFolder(dir string, history bool) error {
	inventory := filepath.Join(dir, source.InventoryName)
	if _, err := os.Stat(inventory); err == nil {
		inv, err := source.ReadInventory(inventory)
		if err != nil {
			return err
		}
		h.inventories = append(h.inventories, inv)
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			h.list(InputReport{File: path, History: history, Err: err})
		case d.Type().IsRegular() && path != inventory && !strings.HasPrefix(d.Name(), "."):
			files++
			h.list(InputReport{File: path, History: history})
		case d.Type()&fs.ModeSymlink != 0:
			h.list(InputReport{File: path, History: history, Err: errors.New("a symbolic link; name its target to read it")})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	if files == 0 {
		h.list(InputReport{File: dir, History: history, Named: true, Err: errors.New("no files in this folder")})
	}
	return nil
}

// hosts fills in what is known of the hosts that a file's records name.
func (h *hunt) hosts(file string) func(event.Place) event.Place {
	if len(h.inventories) == 0 {
		return nil
	}
	return func(p event.Place) event.Place {
		for _, inv := range h.inventories {
			p = inv.Complete(file, p)
		}
		return p
	}
}

// place says where a file's records are from.
func (h *hunt) place(file string) event.Place {
	var p event.Place
	for _, inv := range h.inventories {
		p = p.Or(inv.Place(file))
	}
	return p.Or(h.opt.Place)
}

// watermark is up to when every record has come: the slowest source that was
// read can deliver what it wrote before now for its time of lateness. Where no
// time is given, what was recorded is all there is.
func (h *hunt) watermark() int64 {
	if h.stopped {
		return 0 // what was not read can still change everything
	}
	if h.opt.Now.IsZero() {
		return math.MaxInt64
	}
	return h.opt.Now.Add(-h.slowest()).UnixNano()
}

// slowest is the time of lateness of the slowest source that is read.
func (h *hunt) slowest() time.Duration {
	slowest := time.Duration(0)
	for i, in := range h.inputs {
		if in == nil || h.report.Inputs[i].History {
			continue
		}
		for _, f := range in.Tallies() {
			slowest = max(slowest, h.opt.Policy.Lateness(f.Format.Source))
		}
	}
	return slowest
}

// read merges all files into the partition.
func (h *hunt) read(p *partition.Partition) {
	h.inputs = make([]*source.Input, len(h.report.Inputs))
	var openers []stream.Opener
	var index []int
	for i := range h.report.Inputs {
		if h.report.Inputs[i].Err == nil {
			openers = append(openers, h.opener(i))
			index = append(index, i)
		}
	}
	m, faults := stream.NewMerger(openers, h.opt.Now)
	for _, f := range faults {
		h.report.Inputs[index[f.Index]].Err = f.Err
	}
	h.drain(m, p, index)
	h.report.Future, h.report.FutureCount = m.Future, m.FutureCount
	for i, in := range h.inputs {
		if in != nil {
			h.report.Inputs[i].Formats = in.Tallies()
		}
	}
}

func (h *hunt) opener(i int) stream.Opener {
	return func() (stream.Source, error) {
		r := &h.report.Inputs[i]
		if h.stop() && !(h.stdinCut && r.File == "-") {
			return nil, errStopped
		}
		path := cmp.Or(h.paths[r.File], r.File)
		in, err := source.Open(path, source.Options{Formats: Formats(), Place: h.place(r.File), Hosts: h.hosts(r.File), History: r.History, Now: h.opt.Now, Name: r.File})
		if err != nil {
			return nil, err
		}
		r.Place = in.Place()
		if h.inputs[i] == nil {
			h.total += in.Size()
		}
		h.inputs[i] = in
		return in, nil
	}
}

// hold is the number of events from which on the evidence of containers is let
// go that ended long before; settleEvery is after how many events that is looked
// at.
const (
	hold        = 30_000
	settleEvery = 20_000
)

// clock follows the records being read: how late they are, and how far they are
// out of order.
type clock struct {
	latest, disorder int64
}

func (c *clock) see(record int64) {
	c.latest = max(c.latest, record)
	if record > 0 {
		c.disorder = max(c.disorder, c.latest-record)
	}
}

// watermark is up to when every record has come, if none is later than those
// were that came so far, nor than the slowest source may be.
func (c *clock) watermark(slowest time.Duration) int64 {
	return c.latest - max(int64(slowest), 2*c.disorder)
}

// progressEvery is after how many events progress is told.
const progressEvery = 10_000

func (h *hunt) drain(m *stream.Merger, p *partition.Partition, index []int) {
	defer m.Close()
	for n, stopped := 1, false; ; n++ {
		if !stopped && !h.stdinCut && h.stop() {
			m.Stop() // what was read already is judged
			stopped = true
		}
		e, err := m.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		var failed stream.SourceError
		if errors.As(err, &failed) {
			h.report.Inputs[index[failed.Index]].Err = failed.Err
			continue
		}
		h.note(&e)
		p.Apply(e)
		h.clock.see(e.RecordTime())
		if n%settleEvery == 0 && p.Held() > hold {
			p.Advance(h.clock.watermark(h.slowest()))
			p.Tidy()
			p.Revisions() // a hunt tells what stands at its end
		}
		if h.opt.Progress != nil && n%progressEvery == 0 {
			h.opt.Progress(h.progress(n))
		}
	}
}

func (h *hunt) progress(events int) Progress {
	p := Progress{Events: events, Total: h.total}
	for _, in := range h.inputs {
		if in != nil {
			p.Bytes += in.BytesRead()
		}
	}
	return p
}

// note keeps what the account tells of an event.
func (h *hunt) note(e *event.Event) {
	r := h.report
	if !e.History {
		h.told.note(e.Body)
	}
	if l, ok := e.Body.(*event.Loss); ok {
		r.Losses = append(r.Losses, Loss{e.Origin.File, e.Origin.Source, e.Time, l.Reason, l.Count})
	}
	if at := e.Time.At; at != 0 && !e.History {
		if r.First == 0 || at < r.First {
			r.First = at
		}
		r.Last = max(r.Last, at)
	}
	r.Unnamed = r.Unnamed || (e.Place.Host == "" && e.Place.Cluster == "" && e.Place.Account == "")
}

// BySource adds the tallies up by source, sorted by source.
func (r *Report) BySource() []SourceTally {
	sums := map[event.Source]*SourceTally{}
	for _, in := range r.Inputs {
		for _, f := range in.Formats {
			s := sums[f.Format.Source]
			if s == nil {
				s = &SourceTally{Source: f.Format.Source}
				sums[f.Format.Source] = s
			}
			s.Files++
			s.Records += f.Records
			s.Events += f.Events
			s.Skipped += f.Skipped
			s.Unreadable += f.Unreadable
		}
	}
	out := make([]SourceTally, 0, len(sums))
	for _, s := range sums {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b SourceTally) int { return cmp.Compare(a.Source, b.Source) })
	return out
}

// SourceTally is what was read of one source.
type SourceTally struct {
	Source                               event.Source
	Files                                int
	Records, Events, Skipped, Unreadable int64
}

// NotRead lists the inputs that could not be read, or not to the end. What was
// not begun because the hunt was stopped is counted in Interrupted.
func (r *Report) NotRead() []InputReport {
	return slices.DeleteFunc(slices.Clone(r.Inputs), func(in InputReport) bool { return in.Err == nil || in.Empty() || errors.Is(in.Err, errStopped) })
}

// Empty reports that there was nothing in the file.
func (in InputReport) Empty() bool { return errors.Is(in.Err, source.ErrEmpty) }

// Failed reports whether something that the user named could not be read.
func (r *Report) Failed() bool {
	return slices.ContainsFunc(r.NotRead(), func(in InputReport) bool { return in.Named })
}
