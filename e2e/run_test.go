//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tidewaiter/traffic"
)

// tellings are what the file of findings tells: how often each finding was told
// at each severity.
func tellings(t *testing.T, dir string) map[string]int {
	t.Helper()
	all := map[string]int{}
	data, err := os.ReadFile(filepath.Join(dir, "findings.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var f found
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatalf("%v in %.200s", err, line)
		}
		all[f.FindingInfo.UID+" "+f.Severity]++
	}
	return all
}

// kept are the findings that the daemon keeps and that hold, by id, with their
// severity.
func kept(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	if _, err := os.Stat(filepath.Join(dir, "state.db")); err != nil {
		return all
	}
	stdout, stderr, status := run(t, nil, "findings", "export", "--data", dir)
	if status != 0 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	for line := range strings.Lines(stdout) {
		var f found
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%v in %.200s", err, line)
		}
		if f.Unmapped.State == "provisional" || f.Unmapped.State == "confirmed" {
			all[f.FindingInfo.UID] = f.Severity
		}
	}
	return all
}

// watcher is the daemon as a process.
type watcher struct {
	t      *testing.T
	dir    string
	config string
	policy string
	cmd    *exec.Cmd
	log    *os.File
}

func newWatcher(t *testing.T, config string) *watcher {
	t.Helper()
	w := &watcher{t: t, dir: t.TempDir()}
	w.config = filepath.Join(w.dir, "tidewaiter.yaml")
	config = strings.ReplaceAll(config, "DATA", filepath.Join(w.dir, "data"))
	if err := os.WriteFile(w.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.log, err = os.Create(filepath.Join(w.dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if w.cmd != nil {
			w.end(syscall.SIGKILL)
		}
		if t.Failed() {
			text, _ := os.ReadFile(w.log.Name())
			t.Logf("the daemon's log ends:\n%s", text[max(0, len(text)-4000):])
		}
		w.log.Close()
	})
	return w
}

func (w *watcher) data() string { return filepath.Join(w.dir, "data") }

func (w *watcher) start(options ...string) {
	w.t.Helper()
	w.cmd = exec.Command(program(w.t), append([]string{"run", "--config", w.config}, options...)...)
	w.cmd.Stderr = w.log
	if err := w.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
}

// end ends the daemon by a signal and waits for it.
func (w *watcher) end(s syscall.Signal) {
	w.t.Helper()
	if err := w.cmd.Process.Signal(s); err != nil {
		w.t.Fatal(err)
	}
	err := w.cmd.Wait()
	w.cmd = nil
	if s != syscall.SIGKILL && err != nil {
		w.t.Fatalf("the daemon ended: %v", err)
	}
}

// settled waits until the findings do not change any more and gives them.
func (w *watcher) settled(want int) (last map[string]string) {
	w.t.Helper()
	for range 120 {
		time.Sleep(500 * time.Millisecond)
		now := kept(w.t, w.data())
		if len(now) >= want && maps.Equal(now, last) {
			break
		}
		last = now
	}
	time.Sleep(3 * time.Second)
	return kept(w.t, w.data())
}

// trickle copies files line by line, all at once, in so long a time.
func trickle(t *testing.T, from, into string, all time.Duration) *sync.WaitGroup {
	t.Helper()
	var wg sync.WaitGroup
	files, err := filepath.Glob(filepath.Join(from, "*", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			host := filepath.Join(into, filepath.Base(filepath.Dir(file)))
			err := os.MkdirAll(host, 0o700)
			out, open := os.Create(filepath.Join(host, filepath.Base(file)))
			if err := errors.Join(err, open); err != nil {
				t.Error(err)
				return
			}
			defer out.Close()
			const steps = 400
			for i := range steps {
				begin, end := len(data)*i/steps, len(data)*(i+1)/steps // also in the midst of lines
				if _, err := out.Write(data[begin:end]); err != nil {
					t.Error(err)
				}
				time.Sleep(all / steps)
			}
		})
	}
	return &wg
}

// streamOf writes a stream with known attacks, and the policy for it.
func streamOf(t *testing.T, events int) (dir, policy string, truth traffic.Truth) {
	t.Helper()
	dir = t.TempDir()
	truth, err := traffic.Write(dir, traffic.Options{Events: events, Hosts: 3, Chains: 25, Decoys: 50, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	policy = filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte(traffic.Policy), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, policy, truth
}

// undisturbed writes a stream with known attacks, and gives what a daemon finds in
// it that nobody disturbs.
func undisturbed(t *testing.T, events int) (from, policy string, want map[string]string) {
	t.Helper()
	from, policy, truth := streamOf(t, events)
	logs := t.TempDir()
	w := newWatcher(t, followConfig(policy, logs))
	w.start()
	trickle(t, from, logs, 4*time.Second).Wait()
	want = w.settled(len(truth.Guilty))
	w.end(syscall.SIGTERM)
	if len(want) < len(truth.Guilty) {
		t.Fatalf("undisturbed, %d findings for %d attacks", len(want), len(truth.Guilty))
	}
	return from, policy, want
}

// kills is how often the daemon is killed; TIDEWAITER_KILLS changes it.
func kills() int {
	n := 200
	fmt.Sscan(os.Getenv("TIDEWAITER_KILLS"), &n)
	return n
}

// A daemon that is killed at random moments, and started again each time, finds
// what one finds that nobody disturbs: nothing is missing, and no telling is
// lost. What it told it does not tell anew, but for the moment between telling
// and noting that; the notice then has the same id.
func TestKilledAtAnyMoment(t *testing.T) {
	from, policy, want := undisturbed(t, 20_000)
	logs := t.TempDir()
	w := newWatcher(t, followConfig(policy, logs))
	n := kills()
	wg := trickle(t, from, logs, time.Duration(n)*700*time.Millisecond)
	for range n {
		w.start()
		time.Sleep(time.Duration(50+rand.IntN(1100)) * time.Millisecond)
		w.end(syscall.SIGKILL)
	}
	wg.Wait()
	w.start()
	got := w.settled(len(want))
	w.end(syscall.SIGTERM)
	if !maps.Equal(got, want) {
		t.Errorf("%d findings, undisturbed %d: %v", len(got), len(want), difference(got, want))
	}
	told, twice := tellings(t, w.data()), 0
	for id, severity := range want {
		if told[id+" "+severity] == 0 {
			t.Errorf("%s was not told as %s", id, severity)
		}
	}
	for _, times := range told {
		twice += times - 1
	}
	t.Logf("killed %d times: %d findings, as undisturbed; %d tellings, %d of them delivered again under the same id", n, len(got), len(told), twice)
}

func difference(got, want map[string]string) []string {
	var out []string
	for id, s := range want {
		if got[id] != s {
			out = append(out, fmt.Sprintf("%s is %q, want %q", id, got[id], s))
		}
	}
	for id, s := range got {
		if want[id] == "" {
			out = append(out, fmt.Sprintf("%s %s is found", id, s))
		}
	}
	slices.Sort(out)
	return out[:min(len(out), 20)]
}
