package daemon

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"tidewaiter/sensor"
	"tidewaiter/source/note"
)

// How long is waited before a sensor is tried again, at first and at most. What
// is lacking now may be there soon: an engine that is restarted.
const (
	againFirst  = time.Second
	againMost   = 30 * time.Second
	steadyAfter = 10 * time.Second // of watching, the first wait holds again
)

// Condition is what a sensor is doing.
type Condition string

// The conditions of a sensor.
const (
	Starting    Condition = "starting"
	Watching    Condition = "watching"
	Interrupted Condition = "interrupted"
	Lacking     Condition = "lacking" // it cannot work here as things are
)

// SensorStatus is how a sensor is.
type SensorStatus struct {
	Name      string
	Condition Condition
	Since     time.Time
	// Fault is what interrupted it, or what it lacks; Mend what would help.
	Fault, Mend string
	// Records and Bytes are what it gave, Lost what it said that it lost, as far
	// as it could count; Dropped what the journal had no room for.
	Records, Bytes, Lost, Dropped int64
	Gaps                          int64
	// Without is what it does without while it watches.
	Without []Without
}

// Without is something that a sensor does not see, and what would mend that.
type Without struct{ What, Mend string }

// watch keeps one sensor watching. It is the sensor's Recorder.
type watch struct {
	d      *Daemon
	sensor sensor.Sensor
	resume string

	mu     sync.Mutex
	status SensorStatus
	ready  bool
	seen   time.Time // until when nothing was missed
	mark   string
	marked string
	losses map[string]int64 // by reason, not noted yet
}

// newWatch reads where the sensor goes on.
func (d *Daemon) newWatch(s sensor.Sensor) (*watch, error) {
	w := &watch{d: d, sensor: s, losses: map[string]int64{}}
	w.status = SensorStatus{Name: s.Name(), Condition: Starting, Since: time.Now()}
	var err error
	if w.resume, err = d.store.Mark("sensor " + s.Name()); err != nil {
		return nil, err
	}
	w.mark, w.marked = w.resume, w.resume
	alive, err := d.store.Mark("alive " + s.Name())
	if err != nil {
		return nil, err
	}
	w.seen, _ = time.Parse(time.RFC3339Nano, alive) // zero at the first start
	return w, nil
}

// run watches until ctx ends, again and again.
func (w *watch) run(ctx context.Context) {
	wait := againFirst
	for ctx.Err() == nil {
		begun := time.Now()
		err := w.sensor.Watch(ctx, w)
		if ctx.Err() != nil {
			w.stopped()
			return
		}
		if time.Since(begun) > steadyAfter {
			wait = againFirst
		}
		w.failed(err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, againMost)
	}
}

// stopped notes until when was watched.
func (w *watch) stopped() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ready {
		w.seen, w.ready = time.Now(), false
	}
}

// failed notes why watching ended.
func (w *watch) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.status
	if w.ready {
		w.seen, w.ready = time.Now(), false
	}
	before := *s
	s.Condition, s.Fault, s.Mend = Interrupted, "it ended", ""
	if err != nil {
		s.Fault = err.Error()
	}
	if lack, ok := sensor.AsLack(err); ok {
		s.Condition, s.Mend = Lacking, lack.Mend
	}
	if before.Condition != s.Condition || before.Fault != s.Fault {
		s.Since = time.Now()
		w.d.opt.Log.Warn("sensor does not watch", "sensor", s.Name, "condition", string(s.Condition), "reason", s.Fault, "mend", s.Mend)
	}
}

// Record implements sensor.Recorder.
func (w *watch) Record(lane sensor.Lane, data []byte) {
	if err := w.d.places.learn(lane); err != nil {
		w.d.opt.Log.Error("the journal's inventory cannot be written", "error", err)
	}
	if f := w.d.format(lane.Format); f != nil && f.Redact != nil {
		data = f.Redact(data)
	}
	err := w.d.journal.Append(lane, data)
	lines := int64(count(data))
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.status.Dropped += lines
		w.losses["records dropped: "+err.Error()] += lines
		return
	}
	w.status.Records += lines
	w.status.Bytes += int64(len(data))
}

// count counts lines; the last line end may be missing.
func count(data []byte) int {
	n := bytes.Count(data, []byte{'\n'})
	if len(data) > 0 && data[len(data)-1] != '\n' {
		n++
	}
	return n
}

// Ready implements sensor.Recorder.
func (w *watch) Ready() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ready {
		return
	}
	now := time.Now()
	w.ready = true
	w.status.Condition, w.status.Since, w.status.Fault, w.status.Mend = Watching, now, "", ""
	w.d.opt.Log.Info("sensor watches", "sensor", w.status.Name)
	if !w.seen.IsZero() && w.resume == "" {
		w.status.Gaps++
		w.d.note(note.Note{Kind: note.Gap, Time: now.UTC(), Sensor: w.status.Name, Reason: fmt.Sprintf("did not watch for %v", now.Sub(w.seen).Round(time.Millisecond)), Count: -1, From: w.seen.UTC()})
	}
}

// Lost implements sensor.Recorder.
func (w *watch) Lost(reason string, count int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, known := w.losses[reason]; count < 0 || known && before < 0 {
		w.losses[reason] = -1
	} else if known || len(w.losses) < maxReasons {
		w.losses[reason] = before + count
	}
	w.status.Lost += max(count, 0)
}

// maxReasons bounds the reasons of one second.
const maxReasons = 64

// Mark implements sensor.Recorder.
func (w *watch) Mark(token string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mark, w.resume = token, token
}

// Resume implements sensor.Recorder.
func (w *watch) Resume() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.resume
}

// flushNotes records the losses of every sensor since the last time.
func (d *Daemon) flushNotes() {
	now := time.Now().UTC()
	for _, w := range d.watches {
		w.mu.Lock()
		losses := w.losses
		if len(losses) > 0 {
			w.losses = map[string]int64{}
		}
		w.mu.Unlock()
		for reason, n := range losses {
			d.note(note.Note{Kind: note.Lost, Time: now, Sensor: w.status.Name, Reason: reason, Count: n})
		}
	}
}

// note records a note.
func (d *Daemon) note(n note.Note) {
	d.opt.Log.Warn("not everything was seen", "sensor", n.Sensor, "kind", string(n.Kind), "reason", n.Reason, "count", n.Count)
	if err := d.journal.Append(sensor.Lane{Name: note.Name, Format: note.Name}, n.Line()); err != nil {
		d.opt.Log.Error("a note cannot be recorded", "error", err)
	}
}

// AliveEvery is how often it is put by that sensors watch: a gap is told to have
// begun by so much too early.
const AliveEvery = 10 * time.Second

// marks are the sensors' tokens that are not committed yet, and until when each
// watched.
func (d *Daemon) marks() map[string]string {
	all := map[string]string{}
	at := time.Now()
	now, due := at.UTC().Format(time.RFC3339Nano), at.Sub(d.alive) >= AliveEvery
	if due {
		d.alive = at
	}
	for _, w := range d.watches {
		w.mu.Lock()
		if w.mark != w.marked {
			all["sensor "+w.status.Name] = w.mark
		}
		if due && w.ready {
			all["alive "+w.status.Name] = now
		}
		w.mu.Unlock()
	}
	return all
}

// marked notes what was committed.
func (d *Daemon) marked(tokens map[string]string) {
	for _, w := range d.watches {
		w.mu.Lock()
		if t, ok := tokens["sensor "+w.status.Name]; ok {
			w.marked = t
		}
		w.mu.Unlock()
	}
}
