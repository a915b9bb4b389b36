package daemon

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"time"

	"tidewaiter/event"
	"tidewaiter/journal"
	"tidewaiter/partition"
	"tidewaiter/source"
	"tidewaiter/source/note"
	"tidewaiter/state"
	"tidewaiter/stream"
)

// How often the engine does what.
const (
	ahead      = 4096                   // events that are decoded before they are judged
	syncEvery  = 100 * time.Millisecond // findings follow events by that
	tendEvery  = time.Second
	putByEvery = 10 * time.Minute // an epoch's length, if it is not full before
	putByBytes = 8 << 20          // an epoch's size at least, unless its time is over
	tidyEvery  = 20 * time.Second
	tidyGrown  = 20_000  // or when so many events more are held
	maxHeld    = 150_000 // events, while nothing can be let go of
	lateEvery  = time.Minute
	// maxFutureTold bounds the records from the future that are logged; all are
	// counted.
	maxFutureTold = 20
)

// item is one event from the journal, or that a segment has ended.
type item struct {
	event event.Event
	lane  string
	end   *journal.Segment
}

// engine judges what the journal holds. One goroutine runs it; what others want
// of it they send as functions.
type engine struct {
	d     *Daemon
	p     *partition.Partition
	rules Rules
	in    chan item
	ask   chan func()

	known   map[string]state.Finding // what the store holds, or soon will
	pending state.Commit             // what it did not take yet
	updated map[string]time.Time     // findings of which new evidence is not written yet, and when it will be
	open    map[string]int64         // findings that records may still change, and until which watermark
	late    map[string]int64         // by format, the last record that came too late
	rising  map[string]time.Time     // findings that are worse than what was told of them, and since when

	clock    clock
	guard    *guard
	sources  map[event.Source]bool // that have told something
	changed  bool                  // there are events that were not judged
	caughtUp bool                  // what was recorded by earlier runs is read
	ending   int                   // the epoch that is to be put by, 0 for none
	stored   int64                 // bytes of the last checkpoint
	since    time.Time             // of the last checkpoint
	begun    time.Time
	tidied   int // how many events were held after the last time
	last     times
	pulse    *time.Timer // of the next tick
	hurries  bool        // it comes within syncEvery
}

// times are when things were done last.
type times struct{ sync, tend, tidy, expire, late time.Time }

// newEngine makes an engine without a partition. stored is the size of the last
// checkpoint.
func newEngine(d *Daemon, known map[string]state.Finding, g *guard, stored int64) *engine {
	return &engine{
		d: d, rules: d.opt.Rules, in: make(chan item, ahead), ask: make(chan func()),
		known: known, guard: g, stored: stored, since: time.Now(),
		updated: map[string]time.Time{}, rising: map[string]time.Time{},
		open: map[string]int64{}, late: map[string]int64{}, sources: map[event.Source]bool{},
	}
}

func (e *engine) options() partition.Options {
	return partition.Options{Name: "local", Library: e.rules.Library, Policy: e.rules.Policy, Limits: e.d.opt.Limits, Hold: hold, Alone: true}
}

// readJournal decodes every segment, those of earlier runs first.
func (d *Daemon) readJournal() {
	slots := make(chan struct{}, 512)
	for s := d.journal.Next(nil); s != nil; s = d.journal.Next(s) {
		slots <- struct{}{}
		go func() {
			d.readSegment(s)
			d.engine.in <- item{end: s}
			<-slots
		}()
	}
	for range cap(slots) { // all have ended
		slots <- struct{}{}
	}
	close(d.engine.in)
}

func (d *Daemon) readSegment(s *journal.Segment) {
	format := d.format(s.Format)
	if format == nil {
		d.opt.Log.Error("a file of the journal is of no format that is known", "file", s.Path, "format", s.Format)
		return
	}
	place, hosts := d.places.of(s.Path)
	in := source.OpenStream(s.Open(), format, source.Options{Formats: d.opt.Formats, Place: place, Hosts: hosts, Name: s.Path})
	defer in.Close()
	lane := d.account.lane(format, in, filepath.Base(s.Path))
	defer lane.ended(d.opt.Log, s.Path)
	for {
		e, err := in.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				d.opt.Log.Error("a file of the journal cannot be read on", "file", s.Path, "error", err)
			}
			return
		}
		e.Observed = time.Now().UnixNano()
		lane.saw(&e)
		d.engine.in <- item{event: e, lane: lane.name}
	}
}

// run judges until the journal has been read to its end.
func (e *engine) run() {
	e.begun = time.Now()
	e.caughtUp = e.d.journal.Behind() == 0
	e.pulse = time.NewTimer(syncEvery)
	defer e.pulse.Stop()
	for {
		in := e.in
		if e.crowded() {
			in = nil
		}
		select {
		case it, ok := <-in:
			if !ok {
				e.close()
				return
			}
			e.take(it)
			e.hurry()
		case f := <-e.ask:
			f()
			e.hurry()
		case <-e.pulse.C:
			e.hurries = false
			e.tick(time.Now())
			if e.changed || len(e.updated) > 0 || !e.caughtUp {
				e.hurry()
			} else {
				e.pulse.Reset(tendEvery)
			}
		}
	}
}

// hurry has the next tick come soon. While nothing happens there is one a second,
// since being woken is most of what an idle daemon costs.
func (e *engine) hurry() {
	if !e.hurries {
		e.hurries = true
		e.pulse.Reset(syncEvery)
	}
}

// crowded reports that so much is held, of which nothing can be let go of before
// it is known how old records are, that the journal has to wait: logs of days are
// being caught up with.
func (e *engine) crowded() bool {
	return e.p.Held() > maxHeld && e.clock.waits(time.Since(e.begun)) && !e.d.stopping.Load()
}

// take takes in one event, or the end of a segment.
func (e *engine) take(it item) {
	if it.end != nil {
		e.d.journal.Judged(it.end)
		return
	}
	ev := it.event
	if ev.RecordTime() > ev.Observed+int64(stream.Ahead) {
		if n := e.d.account.future.Add(1); n <= maxFutureTold {
			e.d.opt.Log.Warn("a record from the future is left out", "file", ev.Origin.File, "line", ev.Origin.Line(), "time", event.Unix(ev.RecordTime()))
		}
		return
	}
	if e.d.opt.Prompt[it.lane] {
		e.sources[event.Tidewaiter] = true
	} else {
		e.sources[ev.Origin.Source] = true
	}
	e.clock.see(it.lane, ev.Observed, ev.RecordTime())
	e.p.Apply(ev)
	e.changed = true
}

// tick does what is due. Judging has at most half of the time, so that reading
// keeps up.
func (e *engine) tick(now time.Time) {
	if !e.caughtUp {
		if e.caughtUp = e.d.journal.CaughtUp(); !e.caughtUp {
			return
		}
		e.changed = true
		e.reconcile()
	}
	if e.changed && now.Sub(e.last.sync) >= syncEvery {
		e.sync()
		e.last.sync = time.Now().Add(time.Since(now)) // as much again for others
	}
	e.tell(now)
	if now.Sub(e.last.tend) >= tendEvery-syncEvery/2 {
		e.last.tend = now
		e.tend(now)
	}
}

// sync judges what changed.
func (e *engine) sync() {
	e.p.Sync()
	e.changed = false
}

// tend does what is due every second.
func (e *engine) tend(now time.Time) {
	e.advance(now)
	if held := e.p.Held(); held > hold && (now.Sub(e.last.tidy) >= tidyEvery || held > e.tidied+tidyGrown) {
		e.last.tidy = now
		e.p.Tidy()
		e.tidied = e.p.Held()
		e.changed = true
	}
	counts := e.p.Counts()
	counts.Dropped = maps.Clone(counts.Dropped)
	e.d.account.synced(counts, e.p.Held())
	e.d.account.heldBack.Store(e.guard.Held)
	e.d.flushNotes()
	if err := e.d.journal.Flush(); err != nil {
		e.d.account.disk(e.d.opt.Log, err)
	}
	e.tell(now)
	e.putBy(now)
	e.commit(now)
	if now.Sub(e.last.late) >= lateEvery {
		e.last.late = now
		e.noteLate(now)
	}
	if now.Sub(e.last.expire) >= time.Hour {
		e.last.expire = now
		if err := e.d.store.Expire(now.Add(-e.d.opt.Keep)); err != nil {
			e.d.account.disk(e.d.opt.Log, err)
		}
	}
}

// noteLate notes the formats whose records come later than the policy allows for:
// what rests on their absence may have been judged too early.
func (e *engine) noteLate(now time.Time) {
	for _, c := range e.d.account.read() {
		allowed := e.rules.Policy.Lateness(c.Format.Source)
		if allowed == 0 || c.Lag <= allowed || c.Last == e.late[c.Format.Name] {
			continue
		}
		e.late[c.Format.Name] = c.Last
		e.d.note(note.Note{Kind: note.Late, Time: now.UTC(), Sensor: c.Format.Name, Reason: fmt.Sprintf("records come %v after they were written, and %v are allowed for", c.Lag.Round(time.Second), allowed)})
	}
}

// advance moves the watermark.
func (e *engine) advance(now time.Time) {
	if w := e.clock.watermark(now.UnixNano(), now.Sub(e.begun), e.rules.lateness(e.sources)); w != 0 {
		e.p.Advance(w)
		e.confirm(w)
	}
}

// putBy ends an epoch when it is time, and puts the engine's state by once all
// of it is judged. What comes after it meanwhile does no harm: it is read again,
// and known.
func (e *engine) putBy(now time.Time) {
	j := e.d.journal
	if e.ending == 0 {
		written := j.Written()
		if written == 0 || written < max(putByBytes, e.stored/2) && now.Sub(e.since) < putByEvery {
			return
		}
		e.ending = j.Rotate()
	}
	if !j.Drained(e.ending) {
		return
	}
	e.checkpoint(now)
}

// checkpoint puts the engine's state by.
func (e *engine) checkpoint(now time.Time) {
	e.sync()
	e.tell(now)
	data, err := e.p.Snapshot()
	if err != nil {
		e.d.opt.Log.Error("the state cannot be put by", "error", err)
		return
	}
	e.pending.Checkpoint = &state.Checkpoint{Epoch: e.ending, At: now, Data: data}
	if e.commit(now) {
		e.d.journal.Keep(e.ending)
		e.stored, e.since = int64(len(data)), now
		e.ending = 0
	}
	e.pending.Checkpoint = nil
}

// close judges what came last and puts the state by.
func (e *engine) close() {
	now := time.Now()
	if !e.caughtUp {
		e.reconcile()
	}
	e.sync()
	e.updateAll()
	e.tell(now)
	e.updateAll() // nothing will come that could take a reason away
	e.tell(now.Add(steady))
	e.ending = e.d.journal.Epoch()
	e.checkpoint(now)
}

// reload judges everything anew by other rules.
func (e *engine) reload(r Rules) error {
	e.sync()
	data, err := e.p.Snapshot()
	if err != nil {
		return err
	}
	before := e.rules
	e.rules = r
	p, err := partition.Restore(e.options(), data)
	if err != nil {
		e.rules = before
		return err
	}
	e.p = p
	e.reconcile()
	return nil
}
