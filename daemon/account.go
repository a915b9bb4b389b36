package daemon

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/partition"
	"tidewaiter/source"
)

// account counts what the daemon did, for metrics and for people.
type account struct {
	future, heldBack, unkept atomic.Int64

	mu       sync.Mutex
	lanes    map[*lane]bool
	formats  map[string]*FormatCount
	counts   partition.Counts
	held     int
	findings map[string]int64 // told, by severity
	sent     map[string]int64 // by sink
	unsent   map[string]int64
	fault    string // why the disk takes nothing, "" if it does
	faultAt  time.Time
}

// FormatCount is what was read of one format.
type FormatCount struct {
	Format                               *source.Format
	Records, Events, Skipped, Unreadable int64
	// Last is when its last record was written, Lag how long after that it was
	// read.
	Last int64
	Lag  time.Duration
}

// lane counts what is read of one segment.
type lane struct {
	name   string
	a      *account
	in     *source.Input
	count  *FormatCount
	latest atomic.Int64
	lag    atomic.Int64
}

func (a *account) lane(f *source.Format, in *source.Input, name string) *lane {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lanes == nil {
		a.lanes, a.formats = map[*lane]bool{}, map[string]*FormatCount{}
	}
	l := &lane{name: name, a: a, in: in, count: a.of(f)}
	a.lanes[l] = true
	return l
}

func (a *account) of(f *source.Format) *FormatCount {
	c := a.formats[f.Name]
	if c == nil {
		c = &FormatCount{Format: f}
		a.formats[f.Name] = c
	}
	return c
}

// saw notes how late an event is.
func (l *lane) saw(e *event.Event) {
	if at := e.RecordTime(); at != 0 {
		l.latest.Store(at)
		l.lag.Store(e.Observed - at)
	}
}

// ended adds up what was read, and says what could not be.
func (l *lane) ended(log *slog.Logger, file string) {
	tallies := l.in.Tallies()
	l.a.mu.Lock()
	delete(l.a.lanes, l)
	for _, t := range tallies {
		c := l.a.of(t.Format)
		c.add(t.Tally)
		c.Last = max(c.Last, l.latest.Load())
	}
	l.count.Lag = time.Duration(l.lag.Load())
	l.a.mu.Unlock()
	for _, t := range tallies {
		if t.Unreadable > 0 {
			log.Warn("records could not be read", "file", file, "format", t.Format.Name, "count", t.Unreadable, "first", t.Faults[0].Error())
		}
	}
}

func (c *FormatCount) add(t source.Tally) {
	c.Records += t.Records
	c.Events += t.Events
	c.Skipped += t.Skipped
	c.Unreadable += t.Unreadable
}

// read gives what was read so far, by format.
func (a *account) read() []FormatCount {
	a.mu.Lock()
	defer a.mu.Unlock()
	sums := map[string]FormatCount{}
	for name, c := range a.formats {
		sums[name] = *c
	}
	for l := range a.lanes {
		for _, t := range l.in.Tallies() {
			c := sums[t.Format.Name]
			c.Format = t.Format
			c.add(t.Tally)
			if at := l.latest.Load(); at > c.Last {
				c.Last, c.Lag = at, time.Duration(l.lag.Load())
			}
			sums[t.Format.Name] = c
		}
	}
	out := make([]FormatCount, 0, len(sums))
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		out = append(out, sums[name])
	}
	return out
}

func (a *account) synced(c partition.Counts, held int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts, a.held = c, held
}

func (a *account) found(s analytic.Severity) { a.bump(&a.findings, s.String()) }
func (a *account) delivered(sink string)     { a.bump(&a.sent, sink) }
func (a *account) failed(sink string)        { a.bump(&a.unsent, sink) }

func (a *account) bump(in *map[string]int64, key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if *in == nil {
		*in = map[string]int64{}
	}
	(*in)[key]++
}

// disk notes whether the disk takes what is to be kept. The first fault, and
// its end, are told.
func (a *account) disk(log *slog.Logger, err error) {
	a.mu.Lock()
	before := a.fault
	a.fault = ""
	if err != nil {
		a.fault = err.Error()
		if before == "" {
			a.faultAt = time.Now()
		}
	}
	since := a.faultAt
	a.mu.Unlock()
	switch {
	case before == "" && err != nil:
		log.Error("the data directory takes nothing: detection goes on in memory, and what it finds is kept and told once there is room", "error", err)
	case before != "" && err == nil:
		log.Info("the data directory takes what is to be kept again", "after", time.Since(since).Round(time.Second).String())
	}
}

// level is that of a finding's line in the log.
func level(s analytic.Severity) slog.Level {
	if s >= analytic.Medium {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}
