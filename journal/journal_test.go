package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidewaiter/sensor"
)

var lane = sensor.Lane{Name: "docker-events", Format: "docker-events"}

func openIn(t *testing.T, dir string, kept int, opt Options) *Journal {
	t.Helper()
	opt.Dir = dir
	j, err := Open(opt, kept)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func put(t *testing.T, j *Journal, l sensor.Lane, text string) {
	t.Helper()
	if err := j.Append(l, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, s *Segment) string {
	t.Helper()
	r := s.Open()
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestASegmentIsReadAsItGrows(t *testing.T) {
	j := openIn(t, t.TempDir(), 0, Options{})
	put(t, j, lane, "one")
	r := j.Next(nil).Open()
	defer r.Close()
	buf := make([]byte, 100)
	n, err := r.Read(buf)
	if string(buf[:n]) != "one\n" || err != nil {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	go func() {
		time.Sleep(10 * time.Millisecond)
		put(t, j, lane, "two\nthree\n")
		j.Rotate()
	}()
	rest, err := io.ReadAll(r)
	if string(rest) != "two\nthree\n" || err != nil {
		t.Fatalf("%q, %v", rest, err)
	}
}

// What was put by is not read again, what came behind it is, and every file is
// one that a hunt can read.
func TestAfterARestartWhatIsNotPutByIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	j := openIn(t, dir, 0, Options{})
	put(t, j, lane, "kept")
	if epoch := j.Rotate(); epoch != 1 {
		t.Fatalf("epoch %d", epoch)
	}
	put(t, j, lane, "again")
	put(t, j, sensor.Lane{Name: "other", Format: "auditd", Head: "#head"}, "more")
	// No Close: the program was killed.
	j = openIn(t, dir, 1, Options{})
	if n := j.Behind(); n != 2 {
		t.Errorf("%d segments are to be read again, want 2", n)
	}
	put(t, j, lane, "new")
	j.Rotate()
	got := map[string]string{}
	var last *Segment
	for range 3 {
		last = j.Next(last)
		got[fmt.Sprint(last.Epoch, last.Format)] = content(t, last)
		if last.Epoch < 3 {
			if j.CaughtUp() {
				t.Error("caught up before everything was judged")
			}
			j.Judged(last)
		}
	}
	want := map[string]string{"2docker-events": "again\n", "2auditd": "#head\nmore\n", "3docker-events": "new\n"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("read %v, want %v", got, want)
	}
	if !j.CaughtUp() || j.Drained(3) {
		t.Error("it is not told what was judged")
	}
	if _, err := os.Stat(filepath.Join(dir, "000002", "auditd@other.log")); err != nil {
		t.Error(err)
	}
}

func TestRoomIsMadeByWhatIsPutBy(t *testing.T) {
	j := openIn(t, t.TempDir(), 0, Options{Size: 100})
	line := strings.Repeat("x", 49)
	put(t, j, lane, line)
	first := j.Rotate()
	put(t, j, lane, line)
	if err := j.Append(lane, []byte(line)); !errors.Is(err, ErrFull) {
		t.Fatalf("%v, want ErrFull: the first epoch is not put by", err)
	}
	j.Keep(first)
	put(t, j, lane, line)
	if n := j.Size(); n != 100 {
		t.Errorf("%d bytes, want 100", n)
	}
	if s := j.Next(nil); s.Epoch != 2 {
		t.Errorf("epoch %d is first, want 2", s.Epoch)
	}
}

// A disk that takes nothing: what comes is read from memory, and written later.
func TestADiskThatIsFullForAWhile(t *testing.T) {
	dir := t.TempDir()
	j := openIn(t, dir, 0, Options{Pending: 64})
	// A file stands where the epoch's folder must be: also root fails.
	epoch := filepath.Join(dir, "000001")
	if err := os.WriteFile(epoch, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, j, lane, "one")
	put(t, j, lane, "two")
	if n, err := j.Fault(); n != 8 || err == nil {
		t.Errorf("%d bytes wait, because of %v", n, err)
	}
	if err := j.Append(lane, make([]byte, 64)); !errors.Is(err, ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
	r := j.Next(nil).Open()
	defer r.Close()
	buf := make([]byte, 5)
	if n, err := io.ReadFull(r, buf); string(buf[:n]) != "one\nt" || err != nil {
		t.Errorf("%q, %v", buf[:n], err)
	}
	j.Rotate()
	if err := j.Flush(); err == nil {
		t.Error("there is room, it says")
	}
	if err := os.Remove(epoch); err != nil {
		t.Fatal(err)
	}
	if err := j.Flush(); err != nil {
		t.Error(err)
	}
	rest, err := io.ReadAll(r)
	if string(rest) != "wo\n" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	data, err := os.ReadFile(filepath.Join(epoch, "docker-events.log"))
	if string(data) != "one\ntwo\n" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
}

func TestNamesCannotLeaveTheFolder(t *testing.T) {
	j := openIn(t, t.TempDir(), 0, Options{})
	for _, name := range []string{"../x", "a/b", "", "A", "-a", ".."} {
		if err := j.Append(sensor.Lane{Name: name, Format: "auditd"}, []byte("x")); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
}
