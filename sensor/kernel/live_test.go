//go:build linux && (amd64 || arm64)

package kernel

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/source/ebpf"
	"tidewaiter/source/sourcetest"
)

// recorder keeps what the sensor gives.
type recorder struct {
	mu    sync.Mutex
	data  []byte
	lost  int64
	ready chan struct{}
	hold  chan struct{} // Record waits for it, if it is not nil
}

func newRecorder() *recorder { return &recorder{ready: make(chan struct{})} }

func (r *recorder) Record(lane sensor.Lane, data []byte) {
	if r.hold != nil {
		<-r.hold
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if lane.Name != Lane || lane.Format != ebpf.Kernel().Name || data[len(data)-1] != '\n' {
		panic(fmt.Sprint(lane))
	}
	r.data = append(r.data, data...)
}

func (r *recorder) Ready() { close(r.ready) }

func (r *recorder) Lost(reason string, count int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost += count
}

func (*recorder) Mark(string)    {}
func (*recorder) Resume() string { return "" }

// watch starts the sensor, or skips the test where it cannot work.
func watch(t testing.TB, s *Sensor, r *recorder) (stop func() error) {
	t.Helper()
	if own, err := os.Readlink("/proc/self/ns/pid"); err != nil || own != initialPIDs {
		t.Skip("the kernel tells the host's process ids, which cannot be seen here")
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
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

// TestMain runs the test's own program as another that does what its arguments
// say, for the sensor to see.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "act" {
		if err := act(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// act moves itself into a control group, runs itself again there, and connects
// and sends where it is told to.
func act(args []string) error {
	if group := args[0]; group != "-" {
		if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
			return err
		}
		return syscall.Exec("/proc/self/exe", append([]string{os.Args[0], "act", "-"}, args[1:]...), nil)
	}
	for _, to := range args[2:] {
		network, addr, _ := strings.Cut(to, "=")
		if addr == "" {
			continue
		}
		for range 3 { // datagrams after the first are not told
			c, err := net.Dial(network, addr)
			if err != nil {
				return err
			}
			if _, err := c.Write([]byte("x")); err != nil {
				return err
			}
			if err := c.Close(); err != nil {
				return err
			}
			if strings.HasPrefix(network, "tcp") {
				break
			}
		}
		if network == "udp4" {
			c, err := net.ListenPacket(network, "127.0.0.1:0")
			if err != nil {
				return err
			}
			defer c.Close()
			if _, err := c.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(beside(addr))); err != nil {
				return err
			}
		}
	}
	return nil
}

// group makes a control group that is called like a container's, in the
// hierarchy of pids or the unified one; "" if this cannot be had.
func group(t *testing.T, root, name string) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
		return ""
	}
	dir := filepath.Join(root, "tidewaiter-test", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Logf("no control group: %v", err)
		return ""
	}
	t.Cleanup(func() {
		for range 50 { // it is busy until the process is gone altogether
			if os.Remove(dir) == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		_ = os.Remove(filepath.Dir(dir))
	})
	return dir
}

// TestLive has a program run in a control group of a container's name, and
// connect to and send to this machine only.
func TestLive(t *testing.T) {
	r := newRecorder()
	s := New(Options{})
	stop := watch(t, s, r)
	for _, lack := range s.Lacks() {
		t.Logf("without: %v (%s)", lack, lack.Mend)
	}
	tcp4, tcp6 := listen(t, "tcp4", "127.0.0.1:0"), listen(t, "tcp6", "[::1]:0")
	udp4, udp6 := listen(t, "udp4", "127.0.0.1:0"), listen(t, "udp6", "[::1]:0")
	type run struct {
		id, unique string
		pid        int
	}
	var runs []run
	for i, root := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		id := fmt.Sprintf("%064x", os.Getpid()*10+i)
		dir := group(t, root, id)
		if dir == "" {
			continue
		}
		unique := fmt.Sprintf("%d \"\\\x01\xff\n", time.Now().UnixNano())
		cmd := exec.Command(os.Args[0], "act", dir, unique, "", "tcp4="+tcp4, "tcp6="+tcp6, "udp4="+udp4, "udp6="+udp6)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 3 {
			t.Fatalf("%v: %s", err, out)
		}
		runs = append(runs, run{id, unique, cmd.ProcessState.Pid()})
	}
	if len(runs) == 0 {
		t.Skip("no hierarchy of control groups can be written to")
	}
	time.Sleep(2 * flushEvery)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	events, tally := sourcetest.Decode(t, ebpf.Kernel(), string(r.data))
	for _, fault := range tally.Faults {
		t.Error(fault)
	}
	for _, run := range runs {
		checkRun(t, events, run.id, run.unique, run.pid, map[string]int{tcp4: 1, tcp6: 1, udp4: 1, udp6: 1, beside(udp4).String(): 1})
		exit := fmt.Sprintf(`"pid":%d,"ppid":%d,"uid":0`, run.pid, os.Getpid())
		if !slices.ContainsFunc(bytes.Split(r.data, []byte{'\n'}), func(line []byte) bool {
			return bytes.HasPrefix(line, []byte(`{"ebpf":"exit"`)) && bytes.Contains(line, []byte(exit)) && bytes.Contains(line, []byte(`"status":3`))
		}) {
			t.Errorf("%s: the end of the process is not told", run.id)
		}
	}
	if !bytes.Contains(r.data, []byte(`{"ebpf":"running"`)) || !json.Valid(bytes.Split(r.data, []byte{'\n'})[0]) {
		t.Error("what ran already is not told")
	}
}

func checkRun(t *testing.T, events []event.Event, id, unique string, pid int, connects map[string]int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	execs := 0
	got := map[string]int{}
	for _, e := range events {
		if age := time.Since(event.Unix(e.Time.At)); age < 0 || age > time.Minute {
			if b, ok := e.Body.(*event.Process); !ok || b.PID == pid {
				t.Errorf("time is off by %v", age)
			}
		}
		switch b := e.Body.(type) {
		case *event.Process:
			if b.PID != pid || len(b.Args) < 5 || b.Args[3] != unique || b.Args[2] != "-" {
				continue
			}
			execs++
			if b.Container != id || b.Exe != self || b.PPID != os.Getpid() || b.UID != 0 || b.Args[0] != os.Args[0] || b.Args[4] != "" || len(b.Args) != 9 || b.ArgsTruncated {
				t.Errorf("%+v", b)
			}
		case *event.Socket:
			if b.PID == pid {
				got[b.Addr.String()]++
				if b.Container != id || b.Exe != self || b.PPID != os.Getpid() || !b.Success {
					t.Errorf("%+v", b)
				}
			}
		}
	}
	if execs != 1 || fmt.Sprint(got) != fmt.Sprint(connects) {
		t.Errorf("container %s, process %d: %d starts, connections %v, want %v", id, pid, execs, got, connects)
	}
}

// TestScript tells a script that was asked for by a relative path from its
// interpreter, and a long command line is cut and says so.
func TestScript(t *testing.T) {
	r := newRecorder()
	stop := watch(t, New(Options{}), r)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "deep.sh"), []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("long", 1100)
	cmd := exec.Command("./deep.sh", "one", long)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	events, _ := sourcetest.Decode(t, ebpf.Kernel(), string(r.data))
	sourcetest.Require(t, events, func(p *event.Process) bool {
		return p.PID == cmd.ProcessState.Pid() && p.Exe == shell && p.Script == filepath.Join(dir, "deep.sh") && p.Cwd == dir && p.ArgsTruncated &&
			len(p.Args) == 4 && p.Args[0] == "/bin/sh" && p.Args[1] == "./deep.sh" && p.Args[2] == "one" && strings.HasPrefix(long, p.Args[3])
	})
}

// TestOverflow lets nothing be read while more is told than fits, and compares
// what the kernel counted with what came and what was told as lost.
func TestOverflow(t *testing.T) {
	r := newRecorder()
	r.hold = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	k, err := attach(Options{Buffer: 32 << 10})
	if err != nil {
		if lack, ok := sensor.AsLack(err); ok {
			t.Skipf("%v (%s)", lack, lack.Mend)
		}
		t.Fatal(err)
	}
	defer k.close()
	w := &watching{kernel: k, out: r, lane: sensor.Lane{Name: Lane, Format: Format}}
	done := make(chan error, 1)
	go func() { done <- w.read(ctx) }()
	for range 300 {
		if err := exec.Command("/bin/true").Run(); err != nil {
			t.Fatal(err)
		}
	}
	close(r.hold)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	seen, lost, err := k.counts()
	if err != nil {
		t.Fatal(err)
	}
	came := uint64(bytes.Count(r.data, []byte{'\n'}))
	t.Logf("%d to tell, %d came, %d lost", seen, came, lost)
	if seen < 600 || lost == 0 || came+lost != seen || uint64(r.lost) != lost {
		t.Errorf("%d to tell, %d came, %d lost, %d told as lost", seen, came, lost, r.lost)
	}
}

// listen takes what comes and throws it away.
func listen(t *testing.T, network, addr string) string {
	t.Helper()
	if strings.HasPrefix(network, "udp") {
		c, err := net.ListenPacket(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c.LocalAddr().String()
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// beside is an address with the port before.
func beside(addr string) netip.AddrPort {
	a := netip.MustParseAddrPort(addr)
	return netip.AddrPortFrom(a.Addr(), a.Port()-1)
}
