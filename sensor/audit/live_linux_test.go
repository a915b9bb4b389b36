package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/elastic/go-libaudit/v2"
	"golang.org/x/sys/unix"

	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/source/auditd"
	"tidewaiter/source/sourcetest"
)

// The kernel is shared with whatever else runs on the machine: these tests add
// and remove rules of their own key only, look at nothing but their own
// processes, and set nothing of the audit system.

func testKey() string { return fmt.Sprintf("twtest%d", os.Getpid()) }

// recorder keeps what the sensor gives.
type recorder struct {
	mu    sync.Mutex
	calls []string
	lost  map[string]int64
	ready chan struct{}
}

func newRecorder() *recorder {
	return &recorder{ready: make(chan struct{}), lost: map[string]int64{}}
}

func (r *recorder) Record(lane sensor.Lane, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if lane.Name != Lane || lane.Format != auditd.Format().Name || data[len(data)-1] != '\n' {
		panic(fmt.Sprint(lane))
	}
	r.calls = append(r.calls, string(data))
}

func (r *recorder) Ready() { close(r.ready) }

func (r *recorder) Lost(reason string, count int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost[reason] += count
}

func (*recorder) Mark(string)    {}
func (*recorder) Resume() string { return "" }

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.calls, "")
}

// TestMain runs the test's own program as another that listens, where the test
// puts it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "listen" {
		hear()
		return
	}
	os.Exit(m.Run())
}

// hear prints what is lacking, or "ready" and then each record.
func hear() {
	s, err := listen(1 << 20)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready", s.certain)
	for err == nil {
		err = s.receive(func(typ uint16, text []byte) bool {
			fmt.Printf("%d %s\n", typ, text)
			return true
		})
	}
	fmt.Println(err)
}

// governed skips the test where the kernel does not answer.
func governed(t *testing.T) {
	t.Helper()
	if _, err := statusOf(); err != nil {
		t.Skip(err)
	}
}

// say has the kernel tell something, even where auditing is off: programs that
// decide about access may always say so.
func say(t *testing.T, text string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(fd)
	const userAVC = 1107
	b := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(text)+1)
	b = append(b, text...)
	b = append(b, 0)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], userAVC)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Skipf("nothing may be said to the audit system: %v", err)
	}
}

func unique(t *testing.T) string { return fmt.Sprintf("%s-%d", t.Name(), time.Now().UnixNano()) }

// start starts a sensor, or skips the test where it cannot work.
func start(t *testing.T, o Options, r *recorder) (s *Sensor, stop func() error) {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx, r) }()
	select {
	case err := <-done:
		cancel()
		if lack, ok := sensor.AsLack(err); ok {
			t.Skipf("%v (%s)", lack, lack.Mend)
		}
		t.Fatal(err)
	case <-r.ready:
	}
	for _, lack := range s.Lacks() {
		t.Logf("without: %v (%s)", lack, lack.Mend)
	}
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return s, stop
}

// ours are the texts' worth of rules that the kernel has of our key.
func ours(t *testing.T) (n int, others []string) {
	t.Helper()
	all, err := loadedRules()
	if err != nil {
		t.Fatal(err)
	}
	k := keeper{key: testKey()}
	for _, r := range all {
		if k.own(r) {
			n++
		} else if !strings.HasPrefix(r.key, "twtest") {
			others = append(others, string(r.wire))
		}
	}
	return n, others
}

// stale leaves a rule as a run that was killed would.
func stale(t *testing.T) {
	t.Helper()
	r, err := parseRule("-a always,exit -F arch=b64 -S execve -F uid=54399", testKey())
	if err != nil {
		t.Fatal(err)
	}
	if lacks, err := (&keeper{key: testKey(), rules: []ownRule{r}}).add(); err != nil || len(lacks) > 0 {
		t.Skip(lacks, err)
	}
}

// TestLive has a program run that only our rule is for, as a user who is nobody
// else, and a client connect to a socket.
func TestLive(t *testing.T) {
	governed(t)
	stale(t)
	t.Cleanup(func() { _ = (&keeper{key: testKey()}).remove() })
	path := filepath.Join(t.TempDir(), "runtime.sock")
	r := newRecorder()
	_, stop := start(t, Options{Key: testKey(), Sockets: []string{path}, Rules: []string{"-a always,exit -F arch=b64 -S execve -F uid=54321"}}, r)
	if n, _ := ours(t); n < 2 || n > 3 {
		t.Errorf("%d rules are loaded", n)
	}
	mark := unique(t)
	cmd := exec.Command("/bin/echo", mark, "a \"b\"\n")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n, _ := ours(t); n != 0 {
		t.Errorf("%d rules are left", n)
	}
	events, tally := sourcetest.Decode(t, auditd.Format(), r.text())
	for _, fault := range tally.Faults {
		t.Error(fault)
	}
	pid := cmd.ProcessState.Pid()
	sourcetest.Require(t, events, func(p *event.Process) bool {
		return p.PID == pid && p.PPID == os.Getpid() && p.UID == 54321 && slices.Equal(p.Args, []string{"/bin/echo", mark, "a \"b\"\n"})
	})
	sourcetest.Require(t, events, func(s *event.Socket) bool { return s.PID == os.Getpid() && s.Path == path && s.Success })
	// All records of the program's start came in one call.
	whole := slices.ContainsFunc(r.calls, func(call string) bool {
		return strings.Contains(call, mark) && strings.Contains(call, fmt.Sprintf(" pid=%d ", pid)) && strings.Contains(call, "type=PROCTITLE") && strings.Contains(call, "type=EOE")
	})
	if len(r.lost) > 0 || !whole {
		t.Errorf("lost: %v, calls: %q", r.lost, r.calls)
	}
}

// TestRulesLive needs no auditing to be on.
func TestRulesLive(t *testing.T) {
	governed(t)
	stale(t)
	_, before := ours(t)
	o := Options{Key: testKey(), Sockets: []string{"/run/tw-test.sock", "/nowhere/tw-test.sock"}, Rules: []string{"-a always,exit -F arch=b64 -S execve -F uid=54321"}}
	rules, err := rulesOf(o)
	if err != nil {
		t.Fatal(err)
	}
	k := keeper{key: testKey(), rules: rules}
	t.Cleanup(func() { _ = k.remove() })
	if err := k.remove(); err != nil {
		t.Fatal(err)
	}
	if n, _ := ours(t); n != 0 {
		t.Errorf("%d rules of an earlier run are left", n)
	}
	lacks, err := k.add()
	if err != nil {
		t.Fatal(err)
	}
	n, _ := ours(t)
	if n != k.added || n == 0 || n == len(rules) || len(lacks) != 1 {
		t.Errorf("%d rules of %d are loaded: %v", n, len(rules), lacks)
	}
	for _, lack := range lacks {
		if !errors.Is(lack, unix.ENOENT) || !strings.Contains(lack.What, "/nowhere/tw-test.sock") {
			t.Errorf("%v (%s)", lack, lack.Mend)
		}
	}
	if err := k.remove(); err != nil {
		t.Error(err)
	}
	n, after := ours(t)
	if n != 0 {
		t.Errorf("%d rules are left", n)
	}
	for _, r := range before {
		if !slices.Contains(after, r) {
			t.Skip("somebody else changed rules at the same time")
		}
	}
}

// TestRenewLive: rules that somebody else removed are there again, and that they
// were not is told.
func TestRenewLive(t *testing.T) {
	governed(t)
	rules, err := rulesOf(Options{Key: testKey(), Rules: []string{"-a always,exit -F arch=b64 -S execve -F uid=54321"}})
	if err != nil {
		t.Fatal(err)
	}
	r := newRecorder()
	w := hearing(t, 1<<20, r)
	w.keep = keeper{key: testKey(), rules: rules}
	t.Cleanup(func() { _ = w.keep.remove() })
	if err := w.begin(); err != nil {
		t.Skip(err)
	}
	if err := w.renew(); err != nil || len(r.lost) != 0 {
		t.Errorf("%v, lost %v", err, r.lost)
	}
	if err := w.keep.remove(); err != nil {
		t.Fatal(err)
	}
	if err := w.renew(); err != nil || r.lost[lossRules] != -1 {
		t.Errorf("%v, lost %v", err, r.lost)
	}
	if n, _ := ours(t); n != 1 {
		t.Errorf("%d rules are loaded", n)
	}
}

// TestNewlyLost: what the kernel counts is a loss to a listener only if it is.
func TestNewlyLost(t *testing.T) {
	for _, test := range []struct {
		name        string
		before, now libaudit.AuditStatus
		want        int64
	}{
		{"nothing", libaudit.AuditStatus{Lost: 7, PID: 1}, libaudit.AuditStatus{Lost: 7, PID: 1}, 0},
		{"with a daemon", libaudit.AuditStatus{Lost: 7}, libaudit.AuditStatus{Lost: 9, PID: 1, BacklogWaitTime: 10}, 2},
		{"kept for no daemon", libaudit.AuditStatus{Lost: 7}, libaudit.AuditStatus{Lost: 9, BacklogWaitTime: 10}, 0},
		{"tasks waited", libaudit.AuditStatus{Lost: 7}, libaudit.AuditStatus{Lost: 9, BacklogWaitTime: 10, BacklogWaitTimeActual: 1}, 2},
		{"tasks do not wait", libaudit.AuditStatus{Lost: 7}, libaudit.AuditStatus{Lost: 9}, 2},
		{"rate", libaudit.AuditStatus{Lost: 7}, libaudit.AuditStatus{Lost: 9, BacklogWaitTime: 10, RateLimit: 5}, 2},
		{"set back", libaudit.AuditStatus{Lost: 7}, libaudit.AuditStatus{Lost: 2, PID: 1}, 2},
		{"beyond", libaudit.AuditStatus{Lost: 1 << 31}, libaudit.AuditStatus{Lost: 1<<32 - 1, PID: 1}, 1<<31 - 1},
	} {
		if got := newlyLost(test.before, test.now); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

// hearing begins to read without rules.
func hearing(t *testing.T, buffer int, r *recorder) *watching {
	t.Helper()
	sock, err := listen(buffer)
	if err != nil {
		if lack, ok := sensor.AsLack(err); ok {
			t.Skipf("%v (%s)", lack, lack.Mend)
		}
		t.Fatal(err)
	}
	t.Cleanup(sock.close)
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &watching{sensor: s, sock: sock, out: r, gather: newGatherer(), lane: sensor.Lane{Name: Lane, Format: Format}}
}

// TestHearLive: what was said before the end is given, however early that is.
func TestHearLive(t *testing.T) {
	for range 5 {
		r := newRecorder()
		w := hearing(t, 1<<20, r)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- w.read(ctx) }()
		mark := unique(t)
		say(t, mark+"\ntype=SYSCALL msg=audit(1.000:1): forged")
		for range 100 { // the kernel tells listeners from a thread of its own
			if strings.Contains(r.text(), mark) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if err := w.rest(); err != nil {
			t.Fatal(err)
		}
		got := r.text()
		if !strings.Contains(got, mark) {
			t.Fatalf("not heard: %q", got)
		}
		if strings.Contains(got, "\ntype=SYSCALL msg=audit(1.000:1)") || !strings.Contains(got, "type=USER_AVC msg=audit(") {
			t.Errorf("given: %q", got)
		}
	}
}

// TestOverflow says more than fits while nothing is read, and compares what came
// with what was told as lost.
func TestOverflow(t *testing.T) {
	r := newRecorder()
	w := hearing(t, 4096, r)
	if _, ok := w.sock.drops(); !ok {
		t.Skip("this kernel does not tell how much did not fit")
	}
	mark := unique(t)
	const said = 40
	for i := range said {
		say(t, fmt.Sprintf("%s-%d %s", mark, i, strings.Repeat("x", 200)))
	}
	for range 200 {
		if n, _ := w.sock.drops(); n > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // the kernel's thread comes to its end
	if err := w.rest(); err != nil {
		t.Fatal(err)
	}
	came := int64(strings.Count(r.text(), mark))
	t.Logf("%d said, %d came, %v lost", said, came, r.lost)
	if lost := r.lost[lossSocket]; lost == 0 || came+lost < said || len(r.lost) != 1 {
		t.Errorf("%d said, %d came, %v lost", said, came, r.lost)
	}
}

// TestElsewhere listens as nobody, and from another network name space.
func TestElsewhere(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("another user cannot be taken on without being root")
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(os.TempDir(), testKey())
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(program)
	nobody := exec.Command(program, "listen")
	nobody.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := nobody.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("no right to read audit records")) {
		t.Errorf("%v: %s", err, out)
	}
	other := exec.Command(program, "listen")
	other.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	pipe, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	lines := bufio.NewScanner(pipe)
	if lines.Scan(); lines.Text() != "ready true" {
		t.Skip(lines.Text())
	}
	defer time.AfterFunc(10*time.Second, func() { _ = other.Process.Kill() }).Stop()
	mark := unique(t)
	say(t, mark)
	for lines.Scan() {
		if strings.Contains(lines.Text(), mark) {
			return
		}
	}
	t.Error("not heard")
}
