package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is this test binary as the program: see TestMain.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &exec.Cmd{Path: self, Args: append([]string{"tidewaiter"}, args...), Env: append(os.Environ(), "TMPDIR="+t.TempDir())}
	t.Cleanup(func() {
		if c.Process != nil && c.ProcessState == nil {
			c.Process.Kill()
			c.Wait()
		}
	})
	return c
}

// until waits for a condition that another process brings about.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Ctrl-C while standard input is silent: what came is judged, and the status
// says that it was not all.
func TestInterruptedWhileWaiting(t *testing.T) {
	c := program(t, "hunt", "--host", "shop-1", "--policy", "../../examples/policy.yaml", "-")
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, name := range []string{"docker-events.log", "audit.log", "conntrack.log"} {
		b, err := os.ReadFile("../../examples/recording/" + name)
		if err != nil {
			t.Fatal(err)
		}
		size += len(b)
		if _, err := in.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	dir := strings.TrimPrefix(c.Env[len(c.Env)-1], "TMPDIR=")
	until(t, "the records to be taken in", func() bool {
		spooled, _ := filepath.Glob(filepath.Join(dir, "tidewaiter-stdin-*"))
		if len(spooled) != 1 {
			return false
		}
		info, err := os.Stat(spooled[0])
		return err == nil && info.Size() == int64(size)
	})
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err = c.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
		t.Errorf("%v, want exit status %d\n%s", err, exitInterrupted, stderr.String())
	}
	if !strings.Contains(stdout.String(), "logsweeper") {
		t.Errorf("no finding:\n%s", stdout.String())
	}
	if out := stderr.String(); !strings.Contains(out, "once more ends at once") || !strings.Contains(out, "interrupted while standard input was read") {
		t.Errorf("%s", out)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A second Ctrl-C ends a hunt that cannot go on.
func TestInterruptedTwice(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip("no named pipes here: ", err)
	}
	c := program(t, "hunt", pipe)
	errs, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits until the hunt reads
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(errs)
	for told := false; !told; {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			t.Fatal("it ended at the first signal, without a word")
		}
		told = strings.Contains(line, "once more ends at once")
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err = c.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
		t.Errorf("%v, want an end by the signal", err)
	}
}
