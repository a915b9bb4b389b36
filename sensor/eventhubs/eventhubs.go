// Package eventhubs takes records from Azure Event Hubs, into which diagnostic
// settings write: the activity log, and flow logs of networks.
//
// Where to go on is kept by the daemon, by partition, and not in a store of
// Azure's: one daemon reads all partitions of its consumer group.
//
// In: a hub's events. Out: their records, one to a line.
package eventhubs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"tidewaiter/event"
	"tidewaiter/sensor"
)

// Options say what is read.
type Options struct {
	// Name tells several of them apart; "eventhubs" if empty.
	Name string
	// Namespace is its host, such as logs.servicebus.windows.net; Hub is the
	// hub's name, Group the consumer group's, "$Default" if empty.
	Namespace, Hub, Group string
	// Place is where the records are from, as far as they don't say it.
	Place event.Place
	// Open opens an event.
	Open sensor.Opener
	// Dial connects; nil connects to Azure.
	Dial func(context.Context) (Hub, error)
}

// Hub is what is asked of Event Hubs.
type Hub interface {
	// Partitions are the names of the hub's partitions.
	Partitions(context.Context) ([]string, error)
	// Last is the number of a partition's last event, -1 if there was none.
	Last(ctx context.Context, partition string) (int64, error)
	// Open begins to read a partition behind an event, or at the first that is
	// kept if after is nil.
	Open(partition string, after *int64) (Partition, error)
	Close(context.Context) error
}

// Partition gives one partition's events in their order.
type Partition interface {
	// Receive gives the next events: some if there are some, none if none comes
	// within a while.
	Receive(context.Context) ([]Event, error)
	Close(context.Context) error
}

// Event is one event.
type Event struct {
	Body []byte
	// Sequence is its number in its partition.
	Sequence int64
}

// closeTime bounds what is done when ending.
const closeTime = 5 * time.Second

// Sensor reads one hub.
type Sensor struct{ opt Options }

// New makes a sensor. It does not connect yet.
func New(o Options) *Sensor {
	o.Name = cmp.Or(o.Name, "eventhubs")
	o.Group = cmp.Or(o.Group, "$Default")
	s := &Sensor{o}
	if o.Dial == nil {
		s.opt.Dial = s.dial
	}
	return s
}

// Name implements sensor.Sensor.
func (s *Sensor) Name() string { return s.opt.Name }

// watch is one Watch.
type watch struct {
	opt   Options
	out   sensor.Recorder
	lanes *sensor.Lanes
	hub   Hub

	mu sync.Mutex
	// at is the last event of each partition that was recorded, by its number.
	at map[string]int64
}

// position is where to go on. A hub that was made anew, or another one, counts
// from the beginning.
type position struct {
	Hub string           `json:"hub"`
	At  map[string]int64 `json:"at"`
}

// Watch implements sensor.Sensor.
func (s *Sensor) Watch(ctx context.Context, out sensor.Recorder) error {
	w := &watch{opt: s.opt, out: out, lanes: sensor.NewLanes(s.opt.Name, s.opt.Place), at: map[string]int64{}}
	if token := out.Resume(); token != "" {
		var p position
		if err := json.Unmarshal([]byte(token), &p); err != nil {
			return fmt.Errorf("where to go on cannot be read: %w", err)
		}
		if p.Hub == w.name() && p.At != nil {
			w.at = p.At
		}
	}
	err := w.run(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (w *watch) name() string { return strings.ToLower(w.opt.Namespace + "/" + w.opt.Hub) }

// run reads all partitions until ctx ends or one of them fails.
func (w *watch) run(ctx context.Context) error {
	var err error
	if w.hub, err = w.opt.Dial(ctx); err != nil {
		return err
	}
	defer func() { bounded(w.hub.Close) }()
	names, err := w.hub.Partitions(ctx)
	if err != nil {
		return lack(err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.forget(names)
	var running sync.WaitGroup
	for _, name := range names {
		p, err := w.open(ctx, name)
		if err != nil {
			cancel(lack(err))
			break
		}
		running.Go(func() {
			defer bounded(p.Close)
			if err := w.follow(ctx, name, p); err != nil {
				cancel(err)
			}
		})
	}
	if ctx.Err() == nil {
		w.out.Ready()
	}
	running.Wait()
	return context.Cause(ctx)
}

// open begins to read a partition. One whose events are counted anew is of a hub
// that was made anew.
func (w *watch) open(ctx context.Context, name string) (Partition, error) {
	after := w.after(name)
	if after != nil {
		last, err := w.hub.Last(ctx, name)
		if err != nil {
			return nil, err
		}
		if last < *after {
			w.out.Lost("partition "+name+" was made anew: what was in it and not read is not known", -1)
			w.mu.Lock()
			delete(w.at, name)
			w.mu.Unlock()
			after = nil
		}
	}
	return w.hub.Open(name, after)
}

func bounded(shut func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	_ = shut(ctx) // the connection ends either way
}

// forget lets go of partitions that are not there any more.
func (w *watch) forget(names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	there := map[string]bool{}
	for _, n := range names {
		there[n] = true
	}
	maps.DeleteFunc(w.at, func(n string, _ int64) bool { return !there[n] })
}

func (w *watch) after(partition string) *int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at, known := w.at[partition]; known {
		return &at
	}
	return nil
}

// follow records a partition's events.
func (w *watch) follow(ctx context.Context, name string, p Partition) error {
	for ctx.Err() == nil {
		events, err := p.Receive(ctx)
		if err != nil {
			return lack(err)
		}
		if len(events) == 0 {
			continue
		}
		for _, e := range events {
			if after := w.after(name); after != nil && e.Sequence > *after+1 {
				w.out.Lost("events of partition "+name+" were deleted before they were read", e.Sequence-*after-1)
			}
			if err := w.record(e.Body); err != nil {
				w.out.Lost("an event that cannot be read: "+err.Error(), 1)
			}
			w.advance(name, e.Sequence)
		}
		if err := w.mark(); err != nil {
			return err
		}
	}
	return nil
}

func (w *watch) advance(name string, sequence int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at[name] = sequence
}

// mark keeps where to go on.
func (w *watch) mark() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	token, err := json.Marshal(position{w.name(), w.at})
	if err != nil {
		return fmt.Errorf("where to go on cannot be written: %w", err)
	}
	w.out.Mark(string(token)) // under the lock, so that an older one never follows
	return nil
}

func (w *watch) record(body []byte) error {
	o, err := w.opt.Open(bytes.NewReader(body))
	if errors.Is(err, sensor.ErrEmpty) {
		return nil
	}
	if err != nil {
		return err
	}
	lane, err := w.lanes.Lane(o, event.Place{})
	if err != nil {
		return err
	}
	if err := sensor.Take(w.out, o, lane); err != nil {
		return err
	}
	if n := o.Passed(); n > 0 {
		w.out.Lost("records that are too long", n)
	}
	return nil
}
