package tail

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tidewaiter/sensor"
)

// tape is a Recorder that keeps everything.
type tape struct {
	mu    sync.Mutex
	lines []string
	lost  []string
	token string
	ready chan struct{}
	once  sync.Once
}

func newTape(token string) *tape { return &tape{token: token, ready: make(chan struct{})} }

func (t *tape) Record(l sensor.Lane, data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range strings.Lines(string(data)) {
		t.lines = append(t.lines, strings.TrimSuffix(line, "\n"))
	}
}
func (t *tape) Ready() { t.once.Do(func() { close(t.ready) }) }
func (t *tape) Lost(reason string, _ int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost = append(t.lost, reason)
}
func (t *tape) Mark(token string) { t.mu.Lock(); defer t.mu.Unlock(); t.token = token }
func (t *tape) Resume() string    { t.mu.Lock(); defer t.mu.Unlock(); return t.token }
func (t *tape) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, " ")
}

func follow(t *testing.T, token, pattern string) (*tape, func()) {
	t.Helper()
	s, err := New(Options{Patterns: []string{pattern}, Every: 5 * time.Millisecond, Format: func([]byte) string { return "plain" }})
	if err != nil {
		t.Fatal(err)
	}
	out := newTape(token)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx, out) }()
	<-out.ready
	return out, func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func (t *tape) wait(tt *testing.T, want string) {
	tt.Helper()
	for range 1000 {
		if t.text() == want {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	tt.Fatalf("read %q, want %q", t.text(), want)
}

func write(t *testing.T, path string, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestGrowthRotationAndTruncation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	write(t, path, "1\n2\n3")
	out, stop := follow(t, "", path)
	defer stop()
	out.wait(t, "1 2")
	write(t, path, "x\n4\n")
	out.wait(t, "1 2 3x 4")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, path+".1", "5\n") // whoever writes still has it open
	write(t, path, "6\n")
	out.wait(t, "1 2 3x 4 5 6")
	time.Sleep(20 * time.Millisecond)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	write(t, path, "7\n")
	out.wait(t, "1 2 3x 4 5 6 7")
	if len(out.lost) != 1 || !strings.Contains(out.lost[0], "was cut") {
		t.Errorf("lost: %q", out.lost)
	}
}

// After a restart reading goes on where it was, also in a file that was renamed
// meanwhile; a line that had not ended is read whole.
func TestARestartLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	write(t, path, "1\n2\nha")
	out, stop := follow(t, "", path)
	out.wait(t, "1 2")
	stop()
	write(t, path, "lf\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, path, "3\n")
	again, stop := follow(t, out.token, path)
	again.wait(t, "half 3")
	stop()
	third, stop := follow(t, again.token, path)
	write(t, path, "4\n")
	third.wait(t, "4")
	stop()
	if len(again.lost)+len(third.lost) > 0 {
		t.Errorf("lost: %q %q", again.lost, third.lost)
	}
}

func TestWhatIsGoneIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	write(t, path, "1\n")
	out, stop := follow(t, "", path)
	out.wait(t, "1")
	stop()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for i := range 50 { // so that the number of the old file is not used again at once
		write(t, fmt.Sprintf("%s.%d", path, i), "x")
	}
	write(t, path, "2\n")
	again, stop := follow(t, out.token, path)
	defer stop()
	again.wait(t, "2")
	if len(again.lost) == 0 {
		t.Skip("the file system gave the new file the number of the old one")
	}
}

func TestPatterns(t *testing.T) {
	for _, p := range []string{"relative.log", "/var/log/[", ""} {
		if _, err := New(Options{Patterns: []string{p}}); err == nil {
			t.Errorf("%q is taken", p)
		}
	}
}
