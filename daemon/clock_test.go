package daemon

import (
	"testing"
	"time"
)

func TestTheWatermarkWaitsForOldRecords(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	after := func(d time.Duration) time.Time { return start.Add(d) }
	behind := func(c *clock, at, slowest time.Duration) time.Duration {
		w := c.watermark(after(at), slowest)
		if w == 0 {
			return -1
		}
		return after(at).Sub(time.Unix(0, w))
	}
	var c clock
	c.begin(start)
	if d := behind(&c, 59*time.Second, time.Second); d != -1 {
		t.Errorf("%v behind before anything can be known", d)
	}
	c.see(after(61*time.Second).UnixNano(), after(60*time.Second).UnixNano())
	if d := behind(&c, 61*time.Second, 30*time.Second); d != 30*time.Second {
		t.Errorf("%v behind, want the slowest source's 30 s", d)
	}
	c.see(after(62*time.Second).UnixNano(), after(62*time.Second-24*time.Hour).UnixNano())
	c.see(after(63*time.Second).UnixNano(), 0)
	for _, at := range []time.Duration{63 * time.Second, 100 * time.Second, 130 * time.Second} {
		if d := behind(&c, at, 30*time.Second); d != 48*time.Hour {
			t.Errorf("%v behind after %v, want 48 h", d, at)
		}
	}
	if d := behind(&c, 5*time.Minute, 30*time.Second); d != 30*time.Second {
		t.Errorf("%v behind once old records have ended, want 30 s", d)
	}
	if d := behind(&c, 500*time.Hour, 30*time.Second); d != 30*time.Second {
		t.Errorf("%v behind after a long silence, want 30 s", d)
	}
}
