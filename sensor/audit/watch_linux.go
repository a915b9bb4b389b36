package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/elastic/go-libaudit/v2"

	"tidewaiter/sensor"
)

const (
	// settleEvery is how often is looked for events that nothing more belongs
	// to, while there are some.
	settleEvery = 100 * time.Millisecond
	// askEvery is how often the kernel is asked what it lost.
	askEvery = time.Second
	// rulesEvery is how often is looked whether our rules are there still.
	rulesEvery = 10 * time.Second
	// maxUnanswered is how often in a row the kernel may not answer: its threads
	// do, and on a machine with much to do they come late.
	maxUnanswered = 5
	// batchBytes is how much is handed on at once, at least if more waits.
	batchBytes = 64 << 10
)

// What losses are told as.
const (
	lossSocket = "the kernel's audit socket overflowed"
	lossKernel = "the kernel lost audit records"
	lossRules  = "audit rules of ours were removed by another; they are loaded again"
)

// Watch implements sensor.Sensor.
func (s *Sensor) Watch(ctx context.Context, out sensor.Recorder) error {
	s.SetLacks(nil)
	rules, err := rulesOf(s.options)
	if err != nil {
		return err
	}
	sock, err := listen(s.options.Buffer)
	if err != nil {
		return err
	}
	defer sock.close()
	w := &watching{sensor: s, sock: sock, out: out, keep: keeper{key: s.options.Key, rules: rules}, gather: newGatherer(), lane: sensor.Lane{Name: Lane, Format: Format}}
	if err := w.begin(); err != nil {
		return err
	}
	inner, stop := context.WithCancel(ctx)
	asked := make(chan error, 1)
	go func() {
		defer stop()
		asked <- w.ask(inner)
	}()
	out.Ready()
	err = w.read(inner)
	stop()
	if failed := <-asked; err == nil && ctx.Err() == nil {
		err = failed
	}
	if w.governs {
		_ = w.keep.remove() // what stays is removed at the next start
	}
	if err != nil {
		return err
	}
	return w.rest()
}

// watching is one call of Watch.
type watching struct {
	sensor *Sensor
	sock   *socket
	out    sensor.Recorder
	lane   sensor.Lane
	keep   keeper
	gather *gatherer
	// governs says that the kernel answers questions, and takes rules.
	governs bool
	status  libaudit.AuditStatus // as told last
	dropped uint32               // as told last
	countAt time.Time
}

// begin sets up our rules and finds out what is missing.
func (w *watching) begin() error {
	var lacks []*sensor.Lack
	status, err := statusOf()
	switch {
	case err == nil:
		w.governs, w.status = true, status
		if lacks, err = w.keep.settle(status); err != nil {
			_ = w.keep.remove()
			return err
		}
	case forbidden(err):
		lacks = append(lacks, &sensor.Lack{
			What: "the kernel answers no questions about auditing: whether it is on, which rules there are and what was lost is not known, and no rules are added",
			Mend: "CAP_AUDIT_CONTROL, in the host's name space of process ids", Err: err,
		})
	default:
		return err
	}
	if !w.sock.certain {
		lacks = append(lacks, &sensor.Lack{
			What: "it cannot be seen whether this is the host's network name space, the only one in which the kernel tells audit records",
			Mend: "run in the host's network and with the host's process ids",
		})
	}
	w.sensor.SetLacks(lacks)
	return nil
}

// read gives what the kernel tells until ctx ends.
func (w *watching) read(ctx context.Context) error {
	woken := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(woken)
		_ = w.sock.until(time.Unix(1, 0))
	})
	defer func() {
		if !unhook() {
			<-woken // what is read afterwards may wait again
		}
	}()
	for {
		wait := askEvery
		if w.gather.oldest != nil {
			wait = settleEvery
		}
		if err := w.sock.until(time.Now().Add(wait)); err != nil {
			return fmt.Errorf("reading audit records: %w", err)
		}
		if ctx.Err() != nil { // asked after the time was set, so that the end sets it last
			return nil
		}
		if err := w.batch(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// rest gives what waits in the socket at the end.
func (w *watching) rest() error {
	err := w.sock.until(time.Now().Add(settleEvery))
	for err == nil {
		err = w.batch()
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("reading audit records: %w", err)
	}
	w.gather.all()
	w.give()
	w.count()
	return nil
}

// batch waits for records, and gives the events that they make whole: if more
// comes than is read, many at once.
func (w *watching) batch() error {
	now := time.Now()
	err := w.sock.receive(func(typ uint16, text []byte) bool {
		w.gather.add(typ, text, now)
		return len(w.gather.whole) < batchBytes
	})
	switch {
	case errors.Is(err, errOverflow):
		w.countAt, err = time.Time{}, nil
		if _, ok := w.sock.drops(); !ok {
			w.out.Lost(lossSocket, -1)
		}
	case err == nil && !w.sock.certain:
		w.here()
	}
	now = time.Now()
	w.gather.settle(now)
	w.give()
	if now.After(w.countAt) {
		w.countAt = now.Add(askEvery)
		w.count()
	}
	return err
}

// here notes that records come, and so that this is the right name space.
func (w *watching) here() {
	w.sock.certain = true
	if lacks := w.sensor.Lacks(); len(lacks) > 0 {
		w.sensor.SetLacks(lacks[:len(lacks)-1])
	}
}

func (w *watching) give() {
	if lines := w.gather.take(); len(lines) > 0 {
		w.out.Record(w.lane, lines)
	}
}

// count tells how many records found no room in the socket since it was told
// last.
func (w *watching) count() {
	if n, ok := w.sock.drops(); ok && n != w.dropped {
		w.out.Lost(lossSocket, int64(n-w.dropped))
		w.dropped = n
	}
}

// ask asks the kernel again and again what it lost, and whether it audits still
// and has our rules. An error ends watching.
func (w *watching) ask(ctx context.Context) error {
	if !w.governs {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for n, failed := 1, 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		status, err := statusOf()
		if failed++; err != nil && failed < maxUnanswered {
			continue
		}
		if err != nil {
			return err
		}
		failed = 0
		if status.Enabled == statusOff {
			return &sensor.Lack{What: "auditing was switched off in the kernel", Mend: "auditctl -e 1"}
		}
		if lost := newlyLost(w.status, status); lost > 0 {
			w.out.Lost(lossKernel, lost)
		}
		w.status = status
		if time.Duration(n)*askEvery%rulesEvery == 0 {
			if err := w.renew(); err != nil {
				return err
			}
		}
	}
}

// renew adds our rules again if somebody removed them.
func (w *watching) renew() error {
	all, err := loadedRules()
	if err != nil {
		return err
	}
	if w.keep.loaded(all) >= w.keep.added {
		return w.keep.enough(all)
	}
	if _, err := w.keep.settle(w.status); err != nil {
		return err
	}
	w.out.Lost(lossRules, -1)
	return nil
}

// newlyLost is how many records the kernel lost between two answers, of those
// that a listener could have had.
//
// The kernel counts too what it could not keep for a daemon that is not there,
// though listeners got it (kauditd_hold_skb in kernel/audit.c). Without a
// daemon, records are lost to listeners only at a limit of their rate, or when
// its queue is full; and then, unless it is set not to, it has tasks wait first.
func newlyLost(before, now libaudit.AuditStatus) int64 {
	lost := int64(now.Lost) - int64(before.Lost)
	if lost < 0 { // somebody set it back
		lost = int64(now.Lost)
	}
	waited := now.BacklogWaitTimeActual != before.BacklogWaitTimeActual || now.BacklogWaitTime == 0
	if now.PID == 0 && now.RateLimit == 0 && !waited {
		return 0
	}
	return lost
}
