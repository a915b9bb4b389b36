package daemon

import "time"

// idle is for how long a lane that gave old records, and then none, holds the
// watermark back.
const idle = time.Minute

// old is how late a record is read that was not written just now: a log is being
// caught up with.
const old = 5 * time.Minute

// maxLanes bounds the lanes that are followed; of more, the oldest are forgotten.
const maxLanes = 4096

// clock follows how far each lane has been read. A log of last week that is
// followed from its beginning gives records of last week, and those that belong
// to them follow in it and in others.
type clock struct {
	lanes   map[string]*progress
	wall    int64         // the clock when it was looked at last
	running time.Duration // and how long the daemon ran then
	held    time.Duration // until when nothing is believed of it
}

// progress is how far one lane has been read.
type progress struct {
	latest   int64 // time of the latest record
	disorder int64 // how far records were out of order
	read     int64 // when one was read last
	old      bool  // whether that was an old one
}

// see notes when a record of a lane was read, and when it was written, 0 if that
// is not known.
func (c *clock) see(lane string, observed, written int64) {
	if written == 0 {
		return
	}
	p := c.lanes[lane]
	if p == nil {
		if c.lanes == nil {
			c.lanes = map[string]*progress{}
		}
		c.forget()
		p = &progress{}
		c.lanes[lane] = p
	}
	p.latest = max(p.latest, written)
	p.disorder = max(p.disorder, p.latest-written)
	p.read, p.old = observed, observed-written > int64(old)
	if !p.old {
		p.disorder = 0 // it has caught up
	}
}

// forget makes room for one more lane.
func (c *clock) forget() {
	if len(c.lanes) < maxLanes {
		return
	}
	oldest := ""
	for name, p := range c.lanes {
		if oldest == "" || p.read < c.lanes[oldest].read {
			oldest = name
		}
	}
	delete(c.lanes, oldest)
}

// step is by how much a clock is set that is set at all.
const step = 2 * time.Second

// watermark is up to when every record has come, if none is later than those
// were that came of late, nor than the slowest source may be. running is how long
// the daemon runs, which no setting of clocks changes. It is 0 at first, since
// nobody knows yet what sources will give, and after the clock was set: what was
// set wrongly may be set right again.
func (c *clock) watermark(now int64, running, slowest time.Duration) int64 {
	if c.wall != 0 && (time.Duration(now-c.wall)-(running-c.running)).Abs() > step {
		c.held = running + idle
	}
	c.wall, c.running = now, running
	if c.waits(running) {
		return 0
	}
	w := now - int64(slowest)
	for _, p := range c.lanes {
		if p.old && now-p.read < int64(idle) {
			w = min(w, p.latest-max(int64(slowest), 2*p.disorder))
		}
	}
	return w
}

// waits reports that nothing is believed of the clock yet.
func (c *clock) waits(running time.Duration) bool { return running < max(idle, c.held) }
