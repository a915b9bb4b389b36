package daemon

import (
	"bytes"
	"context"
	"math/rand/v2"
	"time"

	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/state"
)

// How often a delivery is tried: after a first wait, then after twice as long
// each time, for some days.
const (
	retryFirst  = time.Second
	retryMost   = 10 * time.Minute
	giveUp      = 3 * 24 * time.Hour
	triesEnough = 100           // before giving up: the clock may have been set
	askedMost   = 2 * time.Hour // a time further ahead was noted by a clock that was wrong
	oneTry      = 30 * time.Second
	lookAgain   = 5 * time.Second // at the outbox: others may have made something due
)

// post carries notices from the outbox to one sink.
type post struct {
	Receiver
	d      *Daemon
	awake  chan struct{}
	ending chan struct{}
}

func newPost(d *Daemon, r Receiver) *post {
	return &post{r, d, make(chan struct{}, 1), make(chan struct{})}
}

// wake says that there is something in the outbox.
func (p *post) wake() {
	select {
	case p.awake <- struct{}{}:
	default:
	}
}

// finish says that nothing more will come: what is due now is tried once.
func (p *post) finish() { close(p.ending) }

// run delivers until ctx ends, or all that is due has been tried once there is
// nothing more to come.
func (p *post) run(ctx context.Context) {
	for ctx.Err() == nil {
		now := time.Now()
		d, due, when, err := p.d.store.Next(p.Name, now)
		if err != nil {
			p.d.opt.Log.Error("the outbox cannot be read", "sink", p.Name, "error", err)
		}
		if err == nil && (due || when.Sub(now) > askedMost) {
			p.deliver(ctx, d)
			continue
		}
		wait := lookAgain
		if !when.IsZero() && err == nil {
			wait = min(wait, when.Sub(now))
		}
		select {
		case <-ctx.Done():
		case <-p.awake:
		case <-p.ending:
			if !due {
				return
			}
		case <-time.After(max(wait, 10*time.Millisecond)):
		}
	}
}

// deliver tries once and notes what came of it.
func (p *post) deliver(ctx context.Context, d state.Delivery) {
	err := p.try(ctx, d)
	now := time.Now()
	var noted error
	switch {
	case err == nil:
		p.d.account.delivered(p.Name)
		noted = p.d.store.Delivered(d.ID, now)
	case ctx.Err() != nil:
		return // it is tried again after the next start
	case sink.IsPermanent(err) || now.Sub(d.Made) > giveUp && d.Tries >= triesEnough:
		p.d.opt.Log.Error("a notice cannot be delivered; see \"tidewaiter deliveries\"", "sink", p.Name, "finding", d.Finding, "error", err)
		p.d.account.failed(p.Name)
		noted = p.d.store.GiveUp(d.ID, err.Error(), now)
	default:
		p.d.opt.Log.Warn("a notice was not delivered; it is tried again", "sink", p.Name, "finding", d.Finding, "tries", d.Tries+1, "error", err)
		p.d.account.failed(p.Name)
		noted = p.d.store.Failed(d.ID, err.Error(), now.Add(backoff(d.Tries, err)))
	}
	if noted != nil { // it will be delivered again, under the same id
		p.d.account.disk(p.d.opt.Log, noted)
		select {
		case <-ctx.Done():
		case <-time.After(retryFirst):
		}
	}
}

func (p *post) try(ctx context.Context, d state.Delivery) error {
	told, err := finding.NewReader(bytes.NewReader(d.JSON), "outbox").Next()
	if err != nil {
		return sink.Permanent(err)
	}
	ctx, cancel := context.WithTimeout(ctx, oneTry)
	defer cancel()
	return p.Sink.Deliver(ctx, sink.Notice{ID: d.Notice.ID, Told: told, At: d.Made, Host: p.d.opt.Host.Place.Host, Version: p.d.opt.Version})
}

// backoff is how long to wait after so many tries, and one more: as long as the
// receiver asked for, or longer each time.
func backoff(tries int, err error) time.Duration {
	if asked, ok := sink.After(err); ok {
		return asked
	}
	wait := retryMost
	if tries < 10 {
		wait = min(retryMost, retryFirst<<tries)
	}
	return wait/2 + rand.N(wait/2+1)
}
