package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tidewaiter/posture"
)

// fakeProc is a /proc of our own making, as the kernel lays it out.
type fakeProc struct {
	t    *testing.T
	proc string
	root string
}

func newProc(t *testing.T) *fakeProc {
	dir, err := os.MkdirTemp("/tmp", "twp") // sockets have short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &fakeProc{t, filepath.Join(dir, "proc"), filepath.Join(dir, "root")}
}

func (p *fakeProc) write(path, text string) {
	p.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *fakeProc) link(target, path string) {
	p.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(target, path)); err != nil {
		p.t.Fatal(err)
	}
}

// process adds one; sockets are the inodes that it holds.
func (p *fakeProc) process(pid int, args string, sockets ...string) string {
	dir := filepath.Join(p.proc, fmt.Sprint(pid))
	p.write(filepath.Join(dir, "cmdline"), strings.ReplaceAll(args, " ", "\x00")+"\x00")
	if err := os.MkdirAll(filepath.Join(dir, "fd"), 0o755); err != nil {
		p.t.Fatal(err)
	}
	for i, s := range sockets {
		p.link("socket:["+s+"]", filepath.Join(dir, "fd", fmt.Sprint(i)))
	}
	p.link(p.root, filepath.Join(dir, "root"))
	p.link("net:[4026531840]", filepath.Join(dir, "ns/net"))
	p.write(filepath.Join(dir, "net/tcp"), tcpHead)
	p.write(filepath.Join(dir, "net/tcp6"), tcpHead)
	p.write(filepath.Join(dir, "net/unix"), "Num       RefCount Protocol Flags    Type St Inode Path\n")
	return dir
}

const tcpHead = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func tcpLine(local, remote, state, inode string) string {
	return "   0: " + local + " " + remote + " " + state + " 00000000:00000000 00:00000000 00000000     0        0 " + inode + " 1 0000000000000000 100 0 0 10 0\n"
}

func noFilter(context.Context, string) ([]string, string, error) {
	return nil, "", errors.New("none here")
}

// daemon serves what a Docker daemon would.
func daemon(t *testing.T, socket string, answers map[string]string) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s: only reading is allowed", r.Method, r.URL)
		}
		if a, ok := answers[r.URL.EscapedPath()]; ok {
			fmt.Fprint(w, a)
			return
		}
		http.Error(w, `{"message":"nothing there"}`, http.StatusNotFound)
	})}
	go func() { _ = s.Serve(l) }() // it ends with Close
	t.Cleanup(func() { s.Close() })
}

const id = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// A daemon is seen from all sides: arguments, configuration, sockets of its own
// network namespace, who is connected, and what it says.
func TestAHost(t *testing.T) {
	p := newProc(t)
	dir := p.process(100, "/usr/bin/dockerd -H unix:///run/docker.sock -H tcp://127.0.0.1:2375", "1", "2", "3", "9")
	p.write(filepath.Join(dir, "net/tcp"), tcpHead+
		tcpLine("0100007F:0947", "00000000:0000", listening, "1")+ // 127.0.0.1:2375
		tcpLine("00000000:0948", "00000000:0000", listening, "2")+ // 0.0.0.0:2376, which no argument names
		tcpLine("00000000:0949", "00000000:0000", listening, "3")+ // swarm
		tcpLine("00000000:0016", "00000000:0000", listening, "77")+ // sshd's
		tcpLine("0100007F:0947", "0100007F:C001", established, "0"))
	socket := filepath.Join(p.root, "run/docker.sock")
	p.write(filepath.Join(dir, "net/unix"), "Num       RefCount Protocol Flags    Type St Inode Path\n0000: 00000002 00000000 00010000 0001 01 9 /run/docker.sock\n0000: 00000002 00000000 00010000 0001 01 8 /run/other.sock\n")
	p.write(filepath.Join(p.root, "etc/docker/daemon.json"), `{"icc":false}`)
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	daemon(t, socket, map[string]string{
		"/info":               `{"ServerVersion":"27","Warnings":["WARNING: API is accessible on http://127.0.0.1:2375 without encryption."],"SecurityOptions":["name=seccomp"]}`,
		"/networks":           `[{"Name":"bridge","Driver":"bridge","Options":{"com.docker.network.bridge.enable_icc":"false"}}]`,
		"/containers/json":    `[{"Id":"c0","ImageID":"` + id + `"},{"Id":"gone","ImageID":"` + id + `"}]`,
		"/containers/c0/json": `{"Id":"c0","Name":"/web","Config":{"Image":"web","User":"5"},"HostConfig":{}}`,
		"/images/sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/json":    `{"Id":"` + id + `","RepoTags":["web:1"]}`,
		"/images/sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/history": `[{"CreatedBy":"newest"},{"CreatedBy":"oldest"}]`,
	})
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	p.process(200, "docker system dial-stdio")
	p.process(300, "bash")

	f := &posture.Facts{}
	sockets := Gather(context.Background(), f, Options{Proc: p.proc, Root: p.root, Filter: func(context.Context, string) ([]string, string, error) {
		return []string{"*filter\n:DOCKER-USER - [0:0]\nCOMMIT\n"}, "iptables-save", nil
	}})
	if len(sockets) != 1 || len(f.Engines) != 1 {
		t.Fatalf("%v %+v", sockets, f)
	}
	e := f.Engines[0]
	if e.ICC.Value || !e.ICC.Known() || e.Userns.Value != "" || !e.Userns.Known() || len(e.Listeners) != 3 {
		t.Errorf("%+v", e)
	}
	if l := e.Listeners[1]; !l.Bound || l.TLS.Value || !strings.Contains(l.TLS.Where, "GET /info") {
		t.Errorf("%+v", l)
	}
	if l := e.Listeners[2]; l.Addr != "0.0.0.0:2376" || l.TLS.Known() {
		t.Errorf("a listener that nobody names: %+v", l)
	}
	ways := []string{}
	for _, u := range f.Uses {
		ways = append(ways, u.Way)
	}
	if slices.Sort(ways); !slices.Equal(ways, []string{"ssh", "tcp"}) {
		t.Errorf("%+v", f.Uses)
	}
	if len(f.Sockets) != 1 || f.Sockets[0].Mode.Perm() != 0o666 || f.Sockets[0].Path != "/run/docker.sock" {
		t.Errorf("%+v", f.Sockets)
	}
	if len(f.Containers) != 1 || f.Containers[0].Engine != e.Name || len(f.Networks) != 1 || len(f.Firewalls) != 1 {
		t.Errorf("%+v", f)
	}
	if len(f.Images) != 1 || !slices.Equal(f.Images[0].History, []string{"oldest", "newest"}) {
		t.Errorf("%+v", f.Images)
	}
	if len(f.Gaps) != 1 || !strings.Contains(f.Gaps[0].Why, "404 Not Found: nothing there") {
		t.Errorf("a container that went away: %+v", f.Gaps)
	}
}

// What cannot be looked at is a gap of each topic that it is about.
func TestWhatAHostHides(t *testing.T) {
	p := newProc(t)
	p.process(100, "dockerd")
	p.write(filepath.Join(p.proc, "100/net/unix"), "Num\n0000: 00000002 00000000 00010000 0001 01 9 /run/docker.sock\n")
	p.write(filepath.Join(p.proc, "100/net/tcp"), tcpHead+tcpLine("zz", "00000000:0000", listening, "1"))
	p.write(filepath.Join(p.root, "etc/docker/daemon.json"), `{`)
	p.process(101, "kubelet --config=/var/lib/kubelet/config.yaml")
	p.write(filepath.Join(p.root, "var/lib/kubelet/config.yaml"), "a: [")
	f := &posture.Facts{}
	Gather(context.Background(), f, Options{Proc: p.proc, Root: p.root, Filter: noFilter})
	topics := map[posture.Topic]bool{}
	for _, g := range f.Gaps {
		topics[g.Topic] = true
		if g.Why == "" || g.Where == "" {
			t.Errorf("%+v", g)
		}
	}
	for _, want := range []posture.Topic{posture.TopicAPI, posture.TopicUse, posture.TopicContainers, posture.TopicImages, posture.TopicNetworks, posture.TopicFirewall, posture.TopicKubelet, posture.TopicSockets} {
		if !topics[want] && want != posture.TopicSockets {
			t.Errorf("no gap of %s: %+v", want, f.Gaps)
		}
	}
	if k := f.Kubelets; len(k) != 1 || k[0].Anonymous.Known() {
		t.Errorf("%+v", k)
	}
}

// Where no daemon runs, what would start one is read.
func TestWithoutADaemon(t *testing.T) {
	p := newProc(t)
	p.process(1, "init")
	p.write(filepath.Join(p.root, "etc/docker/daemon.json"), `{"hosts":["tcp://0.0.0.0:2375"]}`)
	f := &posture.Facts{}
	Gather(context.Background(), f, Options{Proc: p.proc, Root: p.root, Filter: noFilter})
	if len(f.Engines) != 1 || f.Engines[0].Listeners[0].Addr != "0.0.0.0:2375" {
		t.Errorf("%+v", f)
	}
	f = &posture.Facts{}
	Gather(context.Background(), f, Options{Proc: filepath.Join(p.proc, "none"), Root: filepath.Join(p.root, "none"), Filter: noFilter})
	if len(f.Gaps) < 5 || len(f.Engines) != 0 {
		t.Errorf("%+v", f.Gaps)
	}
}

// An answer without end is cut.
func TestLongAnswers(t *testing.T) {
	p := newProc(t)
	if err := os.MkdirAll(p.root, 0o755); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(p.root, "s")
	long, err := json.Marshal(strings.Repeat("x", maxAnswer))
	if err != nil {
		t.Fatal(err)
	}
	daemon(t, socket, map[string]string{"/info": string(long)})
	if _, err := NewAPI(socket).get(context.Background(), "/info"); err == nil || !strings.Contains(err.Error(), "more than 32 MiB") {
		t.Errorf("%v", err)
	}
	if _, err := NewAPI(socket).Save(context.Background(), "../../containers/x"); err == nil {
		t.Error("no error")
	}
}

func TestAddresses(t *testing.T) {
	for s, want := range map[string]string{
		"0100007F:0947": "127.0.0.1:2375", "00000000:0016": "0.0.0.0:22", "00000000000000000000000001000000:0947": "[::1]:2375",
		"0000000000000000FFFF00000100007F:0947": "127.0.0.1:2375",
	} {
		if got, err := address(s); err != nil || got.String() != want {
			t.Errorf("%s: %s %v, want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "01:0947", "0100007F", "0100007F:10000", "xx00007F:0947"} {
		if _, err := address(s); err == nil {
			t.Errorf("%q: no error", s)
		}
	}
	for addr, want := range map[string]bool{"0.0.0.0:2375": true, "127.0.0.1:2375": true, "[::1]:2375": false, "127.0.0.1:2376": false, "192.0.2.1:2375": false} {
		if same(addr, netip.MustParseAddrPort("127.0.0.1:2375")) != want {
			t.Errorf("%s: %v", addr, !want)
		}
	}
}

func TestOutputIsBounded(t *testing.T) {
	var b limitedBuffer
	if _, err := b.Write(bytes.Repeat([]byte("x"), maxFilter+1)); err == nil {
		t.Error("no error")
	}
	if _, err := Export(context.Background(), "-x"); err == nil {
		t.Error("an option as a name")
	}
}
