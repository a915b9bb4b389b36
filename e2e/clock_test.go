//go:build e2e

package e2e

import (
	"maps"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The clock of the host is set while the daemon runs, forward and back: what it
// finds in a stream is what it finds undisturbed, and what happens on the host
// before, between and after is found.
func TestTheClockIsSet(t *testing.T) {
	machine{Tests: "^TestClock", Limit: 15 * time.Minute}.run(t)
}

// moveClock sets the machine's clock, to another time than it is.
func moveClock(t *testing.T, by time.Duration) {
	t.Helper()
	needsMachine(t)
	now := unix.NsecToTimespec(time.Now().Add(by).UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &now); err != nil {
		t.Fatal(err)
	}
}

func TestClockStepsWithinAStream(t *testing.T) {
	needsMachine(t)
	from, policy, want := undisturbed(t, 5_000)
	logs := t.TempDir()
	w := newWatcher(t, followConfig(policy, logs))
	w.start()
	wg := trickle(t, from, logs, 20*time.Second)
	for _, by := range []time.Duration{time.Hour, -2 * time.Hour, time.Hour, -26 * time.Hour, 26 * time.Hour} {
		time.Sleep(3 * time.Second)
		moveClock(t, by)
	}
	wg.Wait()
	got := w.settled(len(want))
	w.end(syscall.SIGTERM)
	if !maps.Equal(got, want) {
		t.Errorf("%d findings, undisturbed %d: %v", len(got), len(want), difference(got, want))
	}
	for key, times := range tellings(t, w.data()) {
		if times > 1 {
			t.Errorf("%s was told %d times", key, times)
		}
	}
	t.Logf("the clock was set five times within a stream: %d findings, as undisturbed", len(got))
}

// An attack before the clock is set, one in the middle of which it is, and one
// after: all are found, by the daemon and by a hunt once the clock is right again.
func TestClockStepsWhileItHappens(t *testing.T) {
	needsMachine(t)
	l := newLab(t)
	l.serve("x.sh", secondStage)
	l.push(untrusted, "#!/bin/sh\nsleep 8\n"+strings.TrimPrefix(fetchAndMine, "#!/bin/sh\n"))
	for _, by := range []time.Duration{5 * time.Minute, -3 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			l.t = t
			l.reset()
			w := watchLab(t, l, hostPolicy)
			attack := func(name string) {
				l.docker("pull", "-q", untrusted)
				l.docker("run", "-d", "--name", name, untrusted)
				time.Sleep(3 * time.Second)
			}
			attack("before")
			time.Sleep(15 * time.Second)
			attack("within")
			moveClock(t, by)
			time.Sleep(15 * time.Second)
			attack("after")
			time.Sleep(20 * time.Second)
			w.end(syscall.SIGTERM)
			moveClock(t, -by)
			found := w.same()
			if len(found) != 3 {
				t.Errorf("%d findings for three attacks", len(found))
			}
			for id, severity := range found {
				if severity != "High" && severity != "Critical" {
					t.Errorf("%s is %s", id, severity)
				}
			}
			for key, times := range tellings(t, w.data()) {
				if times > 1 {
					t.Errorf("%s was told %d times", key, times)
				}
			}
			t.Logf("set by %v: %v", by, found)
			w.keep(by.String())
		})
	}
	l.t = t
}
