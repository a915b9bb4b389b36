package daemon

import "time"

// idle is for how long a source that gave old records, and then none, holds the
// watermark back.
const idle = time.Minute

// clock follows how late records are read. A log of last week that is followed
// from its beginning gives records of last week, and those that belong to them
// may follow.
type clock struct {
	begun       time.Time
	turned      int64 // when lag became lagBefore
	lag, before int64 // the greatest of this minute, and of the one before
}

func (c *clock) begin(now time.Time) { c.begun, c.turned = now, now.UnixNano() }

// see notes when a record was read, and when it was written, 0 if that is not
// known.
func (c *clock) see(observed, written int64) {
	c.turn(observed)
	if written != 0 {
		c.lag = max(c.lag, observed-written)
	}
}

func (c *clock) turn(now int64) {
	for now-c.turned >= int64(idle) {
		c.turned += int64(idle)
		if now-c.turned >= 2*int64(idle) {
			c.turned = now
		}
		c.before, c.lag = c.lag, 0
	}
}

// watermark is up to when every record has come, if none is later than those
// were that came of late, nor than the slowest source may be. It is 0 at first:
// nobody knows yet what sources will give.
func (c *clock) watermark(now time.Time, slowest time.Duration) int64 {
	if now.Sub(c.begun) < idle {
		return 0
	}
	c.turn(now.UnixNano())
	late := max(c.lag, c.before)
	return now.UnixNano() - max(int64(slowest), 2*late)
}
