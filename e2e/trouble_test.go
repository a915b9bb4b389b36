//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// followConfig follows the files of a stream of traffic.
func followConfig(policy, logs string) string {
	config := "data: DATA\nhost: h\nlisten: \"off\"\npolicy: " + policy + "\nsensors:\n  defaults: false\n  files:\n"
	for n := range 3 {
		config += fmt.Sprintf("    - {paths: [\"%s/host-%03d/*\"], host: host-%03d}\n", logs, n, n)
	}
	return config
}

// The disk is full for a while, in the middle of a stream that holds attacks:
// the findings are those of an undisturbed run, and the log says what was.
func TestTheDiskIsFullForAWhile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	from, policy, want := undisturbed(t, 20_000)
	logs := t.TempDir()
	w := newWatcher(t, followConfig(policy, logs))
	if err := os.Mkdir(w.data(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", w.data(), "tmpfs", 0, "size=64m,mode=700"); err != nil {
		t.Skipf("no small file system can be mounted: %v", err)
	}
	t.Cleanup(func() {
		if w.cmd != nil {
			w.end(syscall.SIGKILL)
		}
		if err := unix.Unmount(w.data(), 0); err != nil {
			t.Error(err)
		}
	})
	w.start()
	wg := trickle(t, from, logs, 12*time.Second)
	time.Sleep(4 * time.Second)
	filler := filepath.Join(w.data(), "filler")
	fill(t, filler)
	time.Sleep(12 * time.Second)
	wg.Wait()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	got := w.settled(len(want))
	w.end(syscall.SIGTERM)
	if !maps.Equal(got, want) {
		t.Errorf("%d findings, undisturbed %d: %v", len(got), len(want), difference(got, want))
	}
	log, err := os.ReadFile(w.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{"takes nothing", "takes what is to be kept again"} {
		if !strings.Contains(string(log), said) {
			t.Errorf("the log does not say %q", said)
		}
	}
}

// fill writes until nothing more can be written.
func fill(t *testing.T, path string) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		for buf := make([]byte, size); ; {
			if _, err := f.Write(buf); err != nil {
				break
			}
		}
	}
}

// The engine is restarted, and the receiver of findings is down for a minute, at
// first not there at all: what happens is found, and told once when it is back.
func TestTheEngineAndTheReceiverComeAndGo(t *testing.T) {
	l := newLab(t)
	l.serve("x.sh", secondStage)
	l.push(untrusted, fetchAndMine)
	var mu sync.Mutex
	down, heard := true, map[string]int{}
	receiver := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if down {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		heard[r.Header.Get("Webhook-Id")]++
	}))
	address := "127.0.0.1:" + strconv.Itoa(freePort(t))
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := watchLabWith(t, l, hostPolicy, "sinks:\n  - {name: soc, webhook: {url: \"http://"+address+"\", secret_file: "+secret+"}, min_severity: medium}\n")
	l.restartEngine()
	l.docker("pull", "-q", untrusted)
	l.docker("run", "-d", "--name", "helper", untrusted)
	time.Sleep(30 * time.Second)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	receiver.Listener.Close()
	receiver.Listener = listener
	receiver.Start()
	defer receiver.Close()
	time.Sleep(30 * time.Second)
	mu.Lock()
	down = false
	mu.Unlock()
	// It is tried once a minute by then.
	l.waitUpTo(2*time.Minute, "the webhook", func() bool { mu.Lock(); defer mu.Unlock(); return len(heard) > 0 })
	l.wait("the engine's own words", func() bool { return strings.Contains(fmt.Sprint(kept(t, w.data())), "Critical") })
	w.end(syscall.SIGTERM)
	if found := w.same(); !strings.Contains(fmt.Sprint(found), "Critical") {
		text, _, _ := run(t, nil, "hunt", "--policy", w.policy, filepath.Join(w.data(), "journal"))
		t.Errorf("found %v\n%s", found, text)
	}
	for id, n := range heard {
		if n != 1 {
			t.Errorf("notice %s came %d times", id, n)
		}
	}
	log, err := os.ReadFile(w.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), `"sensor does not watch","sensor":"docker"`) {
		t.Error("nobody says that Docker was not watched for a while")
	}
}

// A storm of programs, and a flood of packets to many ports, beyond what such a
// host ever does: memory stays bounded, what was lost is counted, and what happens
// then is found.
func TestOverload(t *testing.T) {
	l := newLab(t)
	l.serve("x.sh", secondStage)
	l.push(untrusted, fetchAndMine)
	w := watchLabWith(t, l, hostPolicy, "listen: 127.0.0.1:"+strconv.Itoa(freePort(t))+"\n")
	l.docker("pull", "-q", untrusted)
	l.docker("run", "-d", "--name", "before", untrusted)
	time.Sleep(3 * time.Second)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { l.storm(5000) })
	}
	wg.Go(func() { l.flood(t, 100_000) })
	wg.Wait()
	l.docker("run", "-d", "--name", "after", untrusted)
	time.Sleep(4 * time.Second)
	status := w.status()
	for _, s := range status.Sensors {
		t.Logf("%s: %d records, %d lost, %d dropped", s.Name, s.Records, s.Lost, s.Dropped)
	}
	peak := w.memory("VmHWM")
	t.Logf("memory: at most %d MiB, now %d MiB", peak>>10, w.memory("VmRSS")>>10)
	if peak > 512<<10 {
		t.Errorf("%d MiB of memory", peak>>10)
	}
	w.end(syscall.SIGTERM)
	critical := 0
	for _, severity := range w.same() {
		if severity == "Critical" {
			critical++
		}
	}
	if critical != 2 {
		t.Errorf("%d critical findings, want that before the storm and that after it", critical)
	}
}

// storm starts so many programs, one after another.
func (l *lab) storm(n int) {
	exec.Command("/bin/busybox", "sh", "-c", fmt.Sprintf("i=0; while [ $i -lt %d ]; do /bin/true; i=$((i+1)); done", n)).Run()
}

// flood sends so many packets from the lab's host, each to another port or
// address of the pretend Internet.
func (l *lab) flood(t *testing.T, n int) {
	// The thread must go on living, back where it was: what it started ends with it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ns, err := os.Open("/run/netns/" + l.host)
	if err != nil {
		t.Error(err)
		return
	}
	defer ns.Close()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Error(err)
		return
	}
	defer own.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Error(err)
		return
	}
	defer unix.Setns(int(own.Fd()), unix.CLONE_NEWNET)
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	for i := range n {
		conn.WriteToUDP([]byte("x"), &net.UDPAddr{IP: net.IPv4(198, 51, 100, 10), Port: 1024 + i%60_000})
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// status is what these tests read of the daemon's status.
type status struct {
	Ready   bool
	Sensors []struct {
		Name, Condition        string
		Records, Lost, Dropped int64
	}
}

func (w *watcher) status() (s status) {
	w.t.Helper()
	config, err := os.ReadFile(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(config), "listen: 127.0.0.1:")
	port, _, _ := strings.Cut(rest, "\n")
	answer, err := http.Get("http://127.0.0.1:" + port + "/v1/status")
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// memory is a line of the process's memory, in KiB.
func (w *watcher) memory(line string) int {
	w.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), line+":")
	n := 0
	fmt.Sscan(rest, &n)
	return n
}

// What the daemon costs on a host where nothing happens: TIDEWAITER_FOOTPRINT
// says with how many containers.
func TestFootprint(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("TIDEWAITER_FOOTPRINT"))
	if err != nil {
		t.Skip("TIDEWAITER_FOOTPRINT is not set; it says how many containers there are")
	}
	l := newLab(t)
	l.push(trusted, "#!/bin/sh\nexec sleep 100000\n")
	l.docker("pull", "-q", trusted)
	for i := range n {
		l.docker("run", "-d", "--name", fmt.Sprint("c", i), trusted)
	}
	w := watchLabWith(t, l, hostPolicy, "listen: 127.0.0.1:"+strconv.Itoa(freePort(t))+"\n")
	for range 4 {
		before := w.ticks()
		time.Sleep(20 * time.Second)
		t.Logf("%d containers: %d MiB of memory, %.2f %% of a core", n, w.memory("VmRSS")>>10, float64(w.ticks()-before)/20)
	}
}

// ticks are hundredths of a second of processor time.
func (w *watcher) ticks() int {
	w.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.cmd.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	fields := strings.Fields(string(text))
	user, _ := strconv.Atoi(fields[13])
	system, _ := strconv.Atoi(fields[14])
	return user + system
}

// As root the daemon gives up what watching does not need.
func TestPrivilegesAreGivenUp(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to have something to give up")
	}
	w := newWatcher(t, "data: DATA\nhost: h\nlisten: \"off\"\n")
	w.start()
	defer w.end(syscall.SIGTERM)
	time.Sleep(3 * time.Second)
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", w.cmd.Process.Pid))
	if err != nil || len(tasks) < 2 {
		t.Fatal(tasks, err)
	}
	const all = 1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_AUDIT_READ | 1<<unix.CAP_AUDIT_CONTROL |
		1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_SYS_PTRACE
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		for _, line := range []string{"CapEff:", "CapPrm:", "CapBnd:"} {
			_, rest, _ := strings.Cut(string(text), line)
			mask, err := strconv.ParseUint(strings.Fields(rest)[0], 16, 64)
			if err != nil || mask&^all != 0 || mask == 0 {
				t.Errorf("%s: %s %x, %v", task, line, mask, err)
			}
		}
		if !strings.Contains(string(text), "NoNewPrivs:\t1") {
			t.Errorf("%s may gain privileges", task)
		}
	}
	log, err := os.ReadFile(w.log.Name())
	if err != nil || !strings.Contains(string(log), `msg="sensor watches" sensor=ebpf`) {
		t.Errorf("the kernel's sensor does not watch: %v\n%s", err, log)
	}
}
