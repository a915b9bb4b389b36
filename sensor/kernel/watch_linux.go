//go:build linux && (amd64 || arm64)

package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"tidewaiter/sensor"
)

const (
	// flushEvery is how long a record can wait in the kernel's buffer: the
	// reader is woken before only if much waits.
	flushEvery = 100 * time.Millisecond
	// countEvery is how often losses are told.
	countEvery = time.Second
	// batchBytes is how much is handed on at once.
	batchBytes = 64 << 10
)

// lossReason is what a loss is told as.
const lossReason = "ring buffer full"

// Watch implements sensor.Sensor.
func (s *Sensor) Watch(ctx context.Context, out sensor.Recorder) error {
	k, err := attach(s.options)
	if err != nil {
		return err
	}
	defer k.close()
	w := &watching{kernel: k, out: out, lane: sensor.Lane{Name: Lane, Format: Format}}
	lacks := k.lacks
	if lack := w.running(); lack != nil {
		lacks = append(lacks, lack)
	}
	s.SetLacks(lacks)
	out.Ready()
	return w.read(ctx)
}

// watching is one call of Watch.
type watching struct {
	kernel  *kernel
	out     sensor.Recorder
	lane    sensor.Lane
	batch   []byte
	from    ringbuf.Record // its memory is used again
	record  record
	told    uint64 // losses
	countAt time.Time
}

// read gives what the kernel tells until ctx ends, and then what it told until
// it was let go of.
func (w *watching) read(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := w.drain(ctx, time.Now().Add(flushEvery)); err != nil {
			return err
		}
	}
	w.kernel.detach()
	if err := w.drain(context.Background(), time.Now()); err != nil {
		return err
	}
	return w.count()
}

// drain reads until a deadline and hands on what there is. While the kernel
// tells more than is read, it can take longer.
func (w *watching) drain(ctx context.Context, until time.Time) error {
	w.kernel.reader.SetDeadline(until)
	offset, err := clockOffset()
	if err != nil {
		return err
	}
	for {
		switch err := w.kernel.reader.ReadInto(&w.from); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return w.flush()
		case err != nil:
			return fmt.Errorf("reading the kernel's ring buffer: %w", err)
		}
		if err := w.record.parse(w.from.RawSample); err != nil {
			return err
		}
		if w.batch = w.record.append(w.batch, offset); len(w.batch) < batchBytes {
			continue
		}
		if err := w.flush(); err != nil || ctx.Err() != nil {
			return err
		}
		if offset, err = clockOffset(); err != nil {
			return err
		}
	}
}

// flush hands on what was read, and counts the losses now and then.
func (w *watching) flush() error {
	if len(w.batch) > 0 {
		w.out.Record(w.lane, w.batch)
		w.batch = w.batch[:0]
	}
	if now := time.Now(); now.After(w.countAt) {
		w.countAt = now.Add(countEvery)
		return w.count()
	}
	return nil
}

// count tells what was lost since it was told last.
func (w *watching) count() error {
	_, lost, err := w.kernel.counts()
	if err != nil {
		return err
	}
	if lost > w.told {
		w.out.Lost(lossReason, int64(lost-w.told))
		w.told = lost
	}
	return nil
}

// clockOffset is what the wall clock is ahead of the time since the machine
// started. It is measured for each batch: somebody may set the clock.
func clockOffset() (int64, error) {
	var boot, wall unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return 0, fmt.Errorf("reading the clock: %w", err)
	}
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &wall); err != nil {
		return 0, fmt.Errorf("reading the clock: %w", err)
	}
	return wall.Nano() - boot.Nano(), nil
}
