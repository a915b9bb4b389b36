package journald

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tidewaiter/sensor"
)

// tape is a Recorder that keeps everything.
type tape struct {
	mu    sync.Mutex
	lanes map[string]string // by name
	lost  []string
	token string
	ready chan struct{}
}

func newTape(token string) *tape {
	return &tape{token: token, ready: make(chan struct{}), lanes: map[string]string{}}
}

func (t *tape) Record(l sensor.Lane, data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lanes[l.Name+" "+l.Format] += string(data)
}
func (t *tape) Ready() { close(t.ready) }
func (t *tape) Lost(reason string, _ int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost = append(t.lost, reason)
}
func (t *tape) Mark(token string) { t.mu.Lock(); defer t.mu.Unlock(); t.token = token }
func (t *tape) Resume() string    { t.mu.Lock(); defer t.mu.Unlock(); return t.token }

// messages are the texts of a lane's lines.
func (t *tape) messages(lane string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for line := range strings.Lines(t.lanes[lane]) {
		_, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func (t *tape) wait(tt *testing.T, lane, want string) {
	tt.Helper()
	for range 1000 {
		if t.messages(lane) == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	tt.Fatalf("read %q of %s, want %q; lost %q", t.messages(lane), lane, want, t.lost)
}

// run watches until stop.
func run(t *testing.T, o Options, out *tape) (stop func() error) {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx, out) }()
	select {
	case err := <-done:
		cancel()
		t.Fatal(err)
	case <-out.ready:
	}
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

// program writes a program that stands for journalctl.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journalctl")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestWatchEnds: what journalctl has printed is given, and it is gone when Watch
// is, though it never ends.
func TestWatchEnds(t *testing.T) {
	dir := t.TempDir()
	lines := strings.Join([]string{
		`{"__CURSOR":"c1","__REALTIME_TIMESTAMP":"1763800000000000","_SYSTEMD_UNIT":"docker.service","SYSLOG_IDENTIFIER":"dockerd","MESSAGE":"again"}`,
		`{"__CURSOR":"c2","__REALTIME_TIMESTAMP":"1763800000000001","_SYSTEMD_UNIT":"docker.service","SYSLOG_IDENTIFIER":"dockerd","MESSAGE":"one"}`,
		`{"__CURSOR":"c3","__REALTIME_TIMESTAMP":"1763800000000001","_SYSTEMD_UNIT":"docker.service","SYSLOG_IDENTIFIER":"dockerd","MESSAGE":"printed","CONTAINER_ID":"3fa6f1ee1d2c"}`,
		`no JSON`,
		`{"__CURSOR":"c4","__REALTIME_TIMESTAMP":"1763800000000001","_SYSTEMD_UNIT":"init.scope","UNIT":"docker.service","SYSLOG_IDENTIFIER":"systemd","MESSAGE":[116,119,111]}`,
		`{"__CURSOR":"c5","__REALTIME_TIMESTAMP":"1763800000000001","_SYSTEMD_UNIT":"ssh.service","SYSLOG_IDENTIFIER":"dockerd","MESSAGE":"else"}`,
	}, "\n") + "\n"
	if err := os.WriteFile(dir+"/lines", []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	fake := program(t, fmt.Sprintf(`case "$*" in *--follow*) echo $$ > %s/pid; cat %s/lines; exec sleep 1000;; *) echo '{"__CURSOR":"c1"}';; esac`, dir, dir))
	out := newTape("c1")
	stop := run(t, Options{Program: fake}, out)
	out.wait(t, "journald-docker dockerd-log", "one two")
	for range 100 {
		if out.Resume() == "c5" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if out.Resume() != "c5" || len(out.lanes) != 1 || len(out.lost) != 1 || out.lost[0] != lossUnread {
		t.Errorf("at %s, lost %q, %q", out.Resume(), out.lost, out.lanes)
	}
	text, err := os.ReadFile(dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("journalctl is there still: %v", err)
	}
}

// TestLacks: what journalctl says of itself is told as what is missing.
func TestLacks(t *testing.T) {
	for script, want := range map[string]string{
		`echo "No journal files were found." >&2`:                                                          "there is no journal",
		`echo "No journal files were opened due to insufficient permissions." >&2; exit 1`:                 "no right to read the journal",
		`echo "Hint: You are currently not seeing messages from other users and the system." >&2; echo {}`: "no right to read the journal",
		`echo "Failed to open /x: No such file or directory" >&2; exit 1`:                                  "there is no journal",
		"":                               "", // it ends: an interruption
		"echo 'out of luck' >&2; exit 3": "",
	} {
		s, err := New(Options{Program: program(t, script)})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Watch(context.Background(), newTape(""))
		lack, ok := sensor.AsLack(err)
		if err == nil || ok != (want != "") || ok && (lack.What != want || lack.Mend == "") || strings.Contains(script, "luck") && !strings.Contains(err.Error(), "out of luck") {
			t.Errorf("%s: %v", script, err)
		}
	}
	s, err := New(Options{Program: "/nowhere/journalctl"})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := sensor.AsLack(s.Watch(context.Background(), newTape(""))); !ok {
		t.Error("that journalctl is missing is no lack")
	}
}

func TestUnits(t *testing.T) {
	for _, unit := range []string{"", "docker", "-x.service", "*.service", ".service", "a b.service"} {
		if _, err := New(Options{Units: map[string]string{unit: "dockerd-log"}}); err == nil {
			t.Errorf("%q is taken", unit)
		}
	}
	for _, units := range []map[string]string{{}, {"docker.service": ""}} {
		if _, err := New(Options{Units: units}); err == nil {
			t.Errorf("%q is taken", units)
		}
	}
	a, b := laneName("my@x.service"), laneName("my-x.service")
	if a == b || b != "journald-my-x" || strings.ContainsAny(a, "@") {
		t.Errorf("%s, %s", a, b)
	}
}

// journal writes a genuine journal, as far as systemd's tools are here.
type journal struct {
	dir string
	in  io.WriteCloser
	n   int
}

func newJournal(t *testing.T) *journal {
	t.Helper()
	remote, err := exec.LookPath("systemd-journal-remote")
	if err != nil {
		remote, err = exec.LookPath("/lib/systemd/systemd-journal-remote")
	}
	if err == nil {
		_, err = exec.LookPath("journalctl")
	}
	if err != nil {
		t.Skipf("%v (apt-get install systemd systemd-journal-remote)", err)
	}
	j := &journal{dir: t.TempDir()}
	cmd := exec.Command(remote, "-o", filepath.Join(j.dir, "test.journal"), "-")
	if j.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { j.in.Close(); _ = cmd.Wait() })
	return j
}

// write adds a message, in the journal's export format.
func (j *journal) write(t *testing.T, unit, text string) {
	t.Helper()
	j.n++
	_, err := fmt.Fprintf(j.in, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=0123456789abcdef0123456789abcdef\n_HOSTNAME=node1\n_UID=0\n_PID=812\n"+
		"_SYSTEMD_UNIT=%s\nSYSLOG_IDENTIFIER=dockerd\nMESSAGE=%s\n\n", 1763800000000000+j.n*1000, j.n*1000, unit, text)
	if err != nil {
		t.Fatal(err)
	}
}

// TestLive follows a genuine journal, over a restart, from the last message of
// another unit.
func TestLive(t *testing.T) {
	j := newJournal(t)
	j.write(t, "docker.service", "before")
	j.write(t, "ssh.service", "other")
	o := Options{Directory: j.dir}
	for range 100 { // until it is written
		if s, _ := New(o); s != nil {
			at, err := (&watching{sensor: s, program: "journalctl"}).one(t.Context(), "--unit=ssh.service")
			if err == nil && at != "" {
				break
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	const lane = "journald-docker dockerd-log"
	first := newTape("")
	stop := run(t, o, first)
	if first.Resume() == "" {
		t.Error("where to go on is not kept from the beginning")
	}
	kept := first.Resume()
	j.write(t, "docker.service", "1")
	first.wait(t, lane, "1")
	j.write(t, "ssh.service", "other")
	long := strings.Repeat("x", 100_000)
	j.write(t, "docker.service", long)
	first.wait(t, lane, "1 "+long)
	if err := stop(); err != nil {
		t.Error(err)
	}
	j.write(t, "docker.service", "3")
	time.Sleep(200 * time.Millisecond)
	second := newTape(first.Resume())
	stop = run(t, o, second)
	second.wait(t, lane, "3")
	j.write(t, "docker.service", "4")
	second.wait(t, lane, "3 4")
	if err := stop(); err != nil {
		t.Error(err)
	}
	again := newTape(kept) // the message there is of another unit
	stop = run(t, o, again)
	again.wait(t, lane, "1 "+long+" 3 4")
	if err := stop(); err != nil {
		t.Error(err)
	}
	foreign := newTape("s=00000000000000000000000000000001;i=1;b=00000000000000000000000000000002;m=1;t=1;x=1")
	stop = run(t, o, foreign)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if len(first.lost)+len(second.lost)+len(again.lost) != 0 || len(foreign.lost) != 1 {
		t.Errorf("lost: %q %q %q %q", first.lost, second.lost, again.lost, foreign.lost)
	}
}
