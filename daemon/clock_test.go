package daemon

import (
	"testing"
	"time"
)

var start = time.Unix(1_000_000, 0).UnixNano()

// behind is how far the watermark is behind the clock, -1 if there is none.
func behind(c *clock, wall, running, slowest time.Duration) time.Duration {
	now := start + int64(wall)
	w := c.watermark(now, running, slowest)
	if w == 0 {
		return -1
	}
	return time.Duration(now - w)
}

func TestTheWatermarkWaitsForOldRecords(t *testing.T) {
	at := func(d time.Duration) int64 { return start + int64(d) }
	ask := func(c *clock, now time.Duration) time.Duration { return behind(c, now, now, 30*time.Second) }
	var c clock
	c.begin(start)
	if d := ask(&c, 59*time.Second); d != -1 {
		t.Errorf("%v behind before anything can be known", d)
	}
	c.see(at(61*time.Second), at(60*time.Second))
	if d := ask(&c, 61*time.Second); d != 30*time.Second {
		t.Errorf("%v behind, want the slowest source's 30 s", d)
	}
	c.see(at(62*time.Second), at(62*time.Second-24*time.Hour))
	c.see(at(63*time.Second), 0)
	for _, now := range []time.Duration{63 * time.Second, 100 * time.Second, 130 * time.Second} {
		if d := ask(&c, now); d != 48*time.Hour {
			t.Errorf("%v behind after %v, want 48 h", d, now)
		}
	}
	if d := ask(&c, 5*time.Minute); d != 30*time.Second {
		t.Errorf("%v behind once old records have ended, want 30 s", d)
	}
	if d := ask(&c, 500*time.Hour); d != 30*time.Second {
		t.Errorf("%v behind after a long silence, want 30 s", d)
	}
}

// A clock that is set wrongly, and soon right again, moves nothing: the watermark
// never goes back, so that what comes later would be too late.
func TestAClockThatIsSet(t *testing.T) {
	for name, by := range map[string]time.Duration{"forward": 24 * time.Hour, "back": -24 * time.Hour} {
		var c clock
		c.begin(start)
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
