// Package daemon finds attacks while they happen. Sensors give native records,
// which are recorded in the journal; the journal is decoded and judged by the
// engine that hunts use; what is found goes through a durable outbox to sinks.
// A daemon that is killed goes on where it was: it puts by what the engine knew
// at the end of an epoch of the journal, and reads again what was recorded
// since.
//
// In: sensors, sinks, a policy and detections. Out: findings, told once for
// each rise of severity.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/entity"
	"tidewaiter/event"
	"tidewaiter/finding"
	"tidewaiter/journal"
	"tidewaiter/partition"
	"tidewaiter/policy"
	"tidewaiter/sensor"
	"tidewaiter/sink"
	"tidewaiter/source"
	"tidewaiter/state"
)

// Options say what a daemon watches, what it looks for, and whom it tells.
type Options struct {
	// Data is the folder that everything durable lies in.
	Data string
	// Host is what is known of this host: its name at least.
	Host Host
	// Rules are what to look for, and what the site says.
	Rules Rules
	// Formats read what sensors give.
	Formats []*source.Format
	// Prompt are the lanes, by the names of their files, whose records come as
	// they are written although their format is of a source that may be late.
	Prompt  map[string]bool
	Sensors []sensor.Sensor
	Sinks   []Receiver
	// Journal bounds the journal's bytes on disk; journal.DefaultSize if 0.
	Journal int64
	// Keep is how long findings and deliveries are kept that nothing happens to;
	// DefaultKeep if 0.
	Keep time.Duration
	// Version is the program's.
	Version string
	// Log gets what operators must know. Not nil.
	Log    *slog.Logger
	Limits entity.Limits
}

// DefaultKeep is how long findings are kept that nothing happens to.
const DefaultKeep = 90 * 24 * time.Hour

// DefaultWaiting is how many records are kept that belong to no container, so
// far: those of a busy host's own programs in a quarter of an hour. A hunt keeps
// more, since it has the memory of the machine for itself.
const DefaultWaiting = 50_000

// Rules are what to look for, and what the site says. They are changed as one.
type Rules struct {
	Library *analytic.Library
	Policy  *policy.Policy
}

// Receiver is a sink by its name in the configuration.
type Receiver struct {
	Name string
	// Least is the lowest severity that it is told of.
	Least analytic.Severity
	// All is whether it is told every finding, also those that many others are
	// like.
	All  bool
	Sink sink.Sink
}

// Daemon is a running daemon. Make one with New, and run it once.
type Daemon struct {
	opt     Options
	store   *state.Store
	journal *journal.Journal
	places  *places
	watches []*watch
	posts   []*post
	engine  *engine
	account account
	alive   time.Time // when it was put by last that sensors watch
	// stopping is set once sensors have ended: what is recorded is judged to its
	// end.
	stopping atomic.Bool
}

// hold is the number of events from which on the evidence of what ended long
// before is let go. A host's own processes are most of them.
const hold = 10_000

// New opens what a daemon has put by. It fails if the data directory cannot be
// used.
func New(opt Options) (*Daemon, error) {
	if opt.Keep == 0 {
		opt.Keep = DefaultKeep
	}
	if opt.Limits.Waiting == 0 {
		opt.Limits.Waiting = DefaultWaiting
	}
	d := &Daemon{opt: opt}
	var err error
	if d.store, err = state.Open(opt.Data); err != nil {
		return nil, err
	}
	if err := d.restore(); err != nil {
		return nil, errors.Join(err, d.store.Close())
	}
	for _, s := range opt.Sensors {
		w, err := d.newWatch(s)
		if err != nil {
			return nil, errors.Join(err, d.store.Close())
		}
		d.watches = append(d.watches, w)
	}
	for _, r := range opt.Sinks {
		d.posts = append(d.posts, newPost(d, r))
	}
	return d, nil
}

// Tell adds a sink, before Run.
func (d *Daemon) Tell(r Receiver) {
	d.opt.Sinks = append(d.opt.Sinks, r)
	d.posts = append(d.posts, newPost(d, r))
}

// restore makes the engine from the last checkpoint.
func (d *Daemon) restore() error {
	c, err := d.store.Checkpoint()
	if err != nil {
		return err
	}
	known, err := d.store.Findings()
	if err != nil {
		return err
	}
	guarded, err := d.store.Fact(guardFact)
	if err != nil {
		return err
	}
	dir := filepath.Join(d.opt.Data, "journal")
	if d.journal, err = journal.Open(journal.Options{Dir: dir, Size: d.opt.Journal}, c.Epoch); err != nil {
		return err
	}
	if d.places, err = newPlaces(dir, d.opt.Host); err != nil {
		return err
	}
	d.engine = newEngine(d, known, newGuard(guarded), int64(len(c.Data)))
	if c.Data == nil {
		d.engine.p = partition.New(d.engine.options())
	} else if d.engine.p, err = partition.Restore(d.engine.options(), c.Data); err != nil {
		return fmt.Errorf("%s: the last checkpoint cannot be used: %w", d.opt.Data, err)
	}
	for _, e := range d.places.inventory.Events() {
		d.engine.p.Apply(e)
	}
	return nil
}

// Run watches until ctx ends, then puts everything by.
func (d *Daemon) Run(ctx context.Context) error {
	var sensors, posts, rest sync.WaitGroup
	watching, stop := context.WithCancel(ctx)
	defer stop()
	posting, stopPosts := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPosts()
	for _, w := range d.watches {
		sensors.Go(func() { w.run(watching) })
	}
	for _, p := range d.posts {
		posts.Go(func() { p.run(posting) })
	}
	rest.Go(d.readJournal)
	rest.Go(d.engine.run)
	<-ctx.Done()
	sensors.Wait()
	d.flushNotes()
	d.stopping.Store(true)
	err := d.journal.Close()
	rest.Wait()
	d.drainPosts(&posts, stopPosts)
	return errors.Join(err, d.store.Close())
}

// drainTime is how long sinks have, at the end, for what is due.
const drainTime = 3 * time.Second

// drainPosts lets the sinks take what is due, for a while. What they don't take
// is in the outbox.
func (d *Daemon) drainPosts(posts *sync.WaitGroup, stop func()) {
	for _, p := range d.posts {
		p.finish()
	}
	done := make(chan struct{})
	go func() { posts.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainTime):
	}
	stop()
	<-done
	for _, p := range d.posts {
		if err := p.Sink.Close(); err != nil {
			d.opt.Log.Warn("sink did not close", "sink", p.Name, "error", err)
		}
	}
}

// Reload has everything judged anew by other rules. Until it returns, the ones
// before hold.
func (d *Daemon) Reload(ctx context.Context, r Rules) error {
	done := make(chan error, 1)
	select {
	case d.engine.ask <- func() { done <- d.engine.reload(r) }:
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-done
}

// Findings gives the findings as they are now, worst first.
func (d *Daemon) Findings(ctx context.Context) ([]finding.Finding, error) {
	done := make(chan []finding.Finding, 1)
	select {
	case d.engine.ask <- func() { d.engine.sync(); done <- slices.Clone(d.engine.p.Findings()) }:
		return <-done, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// format finds a format by name, nil if there is none.
func (d *Daemon) format(name string) *source.Format { return source.Named(d.opt.Formats, name) }

// lateness is how late the slowest of some sources may be.
func (r Rules) lateness(sources map[event.Source]bool) time.Duration {
	slowest := time.Duration(0)
	for s := range sources {
		slowest = max(slowest, r.Policy.Lateness(s))
	}
	return slowest
}
