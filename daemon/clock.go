package daemon

import "time"

// idle is for how long a source that gave old records, and then none, holds the
// watermark back.
const idle = time.Minute

// clock follows how late records are read. A log of last week that is followed
// from its beginning gives records of last week, and those that belong to them
// may follow.
type clock struct {
	wall        int64         // the clock when it was looked at last
	running     time.Duration // and how long the daemon ran then
	held        time.Duration // until when nothing is believed of it
	turned      int64         // when lag became before
	lag, before int64         // the greatest of this minute, and of the one before
}

func (c *clock) begin(now int64) { c.turned = now }

// see notes when a record was read, and when it was written, 0 if that is not
// known.
func (c *clock) see(observed, written int64) {
	c.turn(observed)
	if written != 0 {
		c.lag = max(c.lag, observed-written)
	}
}

func (c *clock) turn(now int64) {
	if now < c.turned { // it was set back
		c.turned = now
	}
	for now-c.turned >= int64(idle) {
		c.turned += int64(idle)
		if now-c.turned >= 2*int64(idle) {
			c.turned = now
		}
		c.before, c.lag = c.lag, 0
	}
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
	c.turn(now)
	if running < max(idle, c.held) {
		return 0
	}
	return now - max(int64(slowest), 2*max(c.lag, c.before))
}
