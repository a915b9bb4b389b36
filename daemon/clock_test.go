package daemon

import (
	"fmt"
	"testing"
	"time"
)

var start = time.Unix(1_000_000, 0).UnixNano()

func at(d time.Duration) int64 { return start + int64(d) }

// behind is how far the watermark is behind the clock, -1 if there is none.
func behind(c *clock, wall, running, slowest time.Duration) time.Duration {
	now := at(wall)
	w := c.watermark(now, running, slowest)
	if w == 0 {
		return -1
	}
	return time.Duration(now - w)
}

func TestTheWatermarkWaitsForOldRecords(t *testing.T) {
	const slowest, day = 30 * time.Second, 24 * time.Hour
	ask := func(c *clock, now time.Duration) time.Duration { return behind(c, now, now, slowest) }
	var c clock
	if d := ask(&c, 59*time.Second); d != -1 {
		t.Errorf("%v behind before anything can be known", d)
	}
	c.see("live", at(61*time.Second), at(60*time.Second))
	if d := ask(&c, 61*time.Second); d != slowest {
		t.Errorf("%v behind, want the slowest source's 30 s", d)
	}
	// Two logs of days ago are read: the one that is further behind counts, and
	// how far it is out of order.
	c.see("a", at(62*time.Second), at(62*time.Second-2*day))
	c.see("b", at(62*time.Second), at(62*time.Second-3*day))
	c.see("b", at(62*time.Second), at(62*time.Second-3*day-time.Hour))
	c.see("b", at(63*time.Second), 0)
	for _, now := range []time.Duration{63 * time.Second, 121 * time.Second} {
		if d, want := ask(&c, now), now-62*time.Second+3*day+2*time.Hour; d != want {
			t.Errorf("%v behind after %v, want %v", d, now, want)
		}
	}
	c.see("a", at(123*time.Second), at(123*time.Second-day))
	if d := ask(&c, 123*time.Second); d != day+slowest {
		t.Errorf("%v behind once one has ended, want a day", d)
	}
	c.see("a", at(124*time.Second), at(124*time.Second))
	if d := ask(&c, 124*time.Second); d != slowest {
		t.Errorf("%v behind once the other has caught up, want 30 s", d)
	}
	if d := ask(&c, 500*time.Hour); d != slowest {
		t.Errorf("%v behind after a long silence, want 30 s", d)
	}
	for n := range 2 * maxLanes {
		c.see(fmt.Sprint(n), at(time.Duration(n)), 1)
	}
	if len(c.lanes) > maxLanes {
		t.Errorf("%d lanes are followed", len(c.lanes))
	}
}

// A clock that is set wrongly, and soon right again, moves nothing: the watermark
// never goes back, so that what comes later would be too late.
func TestAClockThatIsSet(t *testing.T) {
	for name, by := range map[string]time.Duration{"forward": 24 * time.Hour, "back": -24 * time.Hour} {
		var c clock
		if d := behind(&c, 2*time.Minute, 2*time.Minute, time.Second); d != time.Second {
			t.Fatalf("%s: %v behind at first", name, d)
		}
		for s := 121 * time.Second; s < 150*time.Second; s += time.Second {
			if d := behind(&c, s+by, s, time.Second); d != -1 {
				t.Fatalf("%s: %v behind while the clock is wrong", name, d)
			}
		}
		for s := 150 * time.Second; s < 209*time.Second; s += time.Second {
			if d := behind(&c, s, s, time.Second); d != -1 {
				t.Fatalf("%s: %v behind just after it was set right", name, d)
			}
		}
		if d := behind(&c, 211*time.Second, 211*time.Second, time.Second); d != time.Second {
			t.Errorf("%s: %v behind once the clock is right", name, d)
		}
	}
}
