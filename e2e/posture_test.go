//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// postureReport is what these tests read of posture's JSON.
type postureReport struct {
	Results []struct {
		ID, Verdict    string
		Failed, Passed []struct{ Subject, Where, What string }
		Unseen         []struct{ Where, Why string } `json:"could_not_look"`
	}
}

// about gives a check's cases about something, as "fail: …" or "pass: …".
func (r postureReport) about(id, subject string) string {
	var out []string
	for _, c := range r.Results {
		if c.ID != id {
			continue
		}
		for _, e := range c.Failed {
			if strings.Contains(e.Subject, subject) {
				out = append(out, "fail: "+e.What+" ["+e.Where+"]")
			}
		}
		for _, e := range c.Passed {
			if strings.Contains(e.Subject, subject) {
				out = append(out, "pass: "+e.What+" ["+e.Where+"]")
			}
		}
		for _, g := range c.Unseen {
			if strings.Contains(g.Where, subject) {
				out = append(out, "unknown: "+g.Why)
			}
		}
	}
	return strings.Join(out, "\n")
}

// dockerHost is a containerd and room for a dockerd in a network namespace that
// leads nowhere.
func dockerHost(t *testing.T) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for _, file := range []string{"/usr/sbin/dockerd", "/usr/bin/docker", "/usr/bin/containerd", "/usr/sbin/runc", "/usr/sbin/iptables", "/usr/sbin/ip", "/bin/busybox"} {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("%s is missing (apt-get install %s)", file, parts[file])
		}
	}
	dir, err := os.MkdirTemp("/tmp", "tw-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, dir: dir, host: "twp" + fmt.Sprint(os.Getpid()), socket: filepath.Join(dir, "docker.sock")}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l.must("ip", "netns", "add", l.host)
	t.Cleanup(func() { l.must("ip", "netns", "del", l.host) })
	l.must("ip", "-n", l.host, "link", "set", "lo", "up")
	sock := filepath.Join(dir, "containerd.sock")
	config := filepath.Join(dir, "containerd.toml")
	l.write(config, fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n", filepath.Join(dir, "ctd"), filepath.Join(dir, "ctd-run"), sock))
	l.start("containerd", "nsenter", "--net=/run/netns/"+l.host, "containerd", "--config", config)
	l.wait("containerd", func() bool { _, err := os.Stat(sock); return err == nil })
	return l
}

// dockerd starts a daemon that is configured by a file and further arguments.
func (l *lab) dockerd(config string, args ...string) *exec.Cmd {
	l.t.Helper()
	file := filepath.Join(l.dir, "daemon.json")
	l.write(file, config)
	all := append([]string{"--net=/run/netns/" + l.host, "dockerd", "--containerd", filepath.Join(l.dir, "containerd.sock"), "--data-root", filepath.Join(l.dir, "data"),
		"--exec-root", filepath.Join(l.dir, "exec"), "--pidfile", filepath.Join(l.dir, "docker.pid"), "-H", "unix://" + l.socket, "--config-file", file, "--bip", "172.30.0.1/16"}, args...)
	cmd := l.start("dockerd", "nsenter", all...)
	l.wait("dockerd", func() bool { return exec.Command("/usr/bin/docker", "-H", "unix://"+l.socket, "version").Run() == nil })
	return cmd
}

func (l *lab) posture(args ...string) (postureReport, string) {
	l.t.Helper()
	l.t.Setenv("DOCKER_HOST", "unix://"+l.socket)
	stdout, stderr, _ := run(l.t, nil, append([]string{"posture", "-o", "json"}, args...)...)
	var r postureReport
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		l.t.Fatalf("%v\n%.400s\n%s", err, stdout, stderr)
	}
	text, _, _ := run(l.t, nil, append([]string{"posture"}, args...)...)
	return r, text
}

// A daemon that serves everybody on TCP fails; the same with TLS and client
// certificates passes.
func TestPostureOfADaemon(t *testing.T) {
	l := dockerHost(t)
	cmd := l.dockerd("{}", "-H", "tcp://127.0.0.1:2375")
	open := l.start("peer", "nsenter", "--net=/run/netns/"+l.host, "sh", "-c", "sleep 600 | /bin/busybox nc 127.0.0.1 2375")
	time.Sleep(2 * time.Second)
	if err := os.Chmod(l.socket, 0o666); err != nil {
		t.Fatal(err)
	}
	me := fmt.Sprintf("process %d", cmd.Process.Pid)
	r, text := l.posture()
	t.Logf("without TLS:\n%s", text)
	for id, want := range map[string]string{
		"M1035-1": "fail: plain HTTP", "M1030-2": "fail: its containers can talk", "M1026-6": "fail: containers have the host's users", "M1030-4": "fail: the chain DOCKER-USER is empty", "M1030-5": "pass: loopback", "M1030-7": "fail: no proxy",
	} {
		if got := r.about(id, me); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	if got := r.about("M1035-1", me); !strings.Contains(got, "seen listening") || !strings.Contains(got, "/info") || !strings.Contains(got, "/net/tcp") {
		t.Errorf("evidence of M1035-1: %q", got)
	}
	if got := r.about("M1035-2", "client 127.0.0.1"); !strings.Contains(got, "fail: plain TCP") || !strings.Contains(got, me) {
		t.Errorf("M1035-2: %q", got)
	}
	if got := r.about("M1035-3", l.socket); !strings.HasPrefix(got, "fail: mode 0666") {
		t.Errorf("M1035-3: %q", got)
	}
	// Another user sees less, and says so; the arguments are there for all.
	copied := filepath.Join(t.TempDir(), "tidewaiter")
	l.must("cp", program(t), copied)
	for d := filepath.Dir(copied); d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		l.must("chmod", "a+x", d)
	}
	out, err := exec.Command("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", copied, "posture", "-o", "json").Output()
	var less postureReport
	if json.Unmarshal(out, &less) != nil {
		t.Fatalf("as nobody: %v\n%.400s", err, out)
	}
	if got := less.about("M1030-4", me); !strings.HasPrefix(got, "unknown") && !strings.Contains(fmt.Sprint(less), "run as root") {
		t.Errorf("as nobody: M1030-4: %q", got)
	}
	t.Logf("as nobody, M1035-1: %s", less.about("M1035-1", me))
	l.end(open)
	l.end(cmd)

	ca, cert, key := certificates(t, l.dir)
	cmd = l.dockerd(`{"icc":false,"tlsverify":true,"tlscacert":"`+ca+`","tlscert":"`+cert+`","tlskey":"`+key+`","registry-mirrors":["https://mirror.example"]}`, "-H", "tcp://127.0.0.1:2376")
	l.must("nsenter", "--net=/run/netns/"+l.host, "iptables", "-I", "DOCKER-USER", "-d", "203.0.113.0/24", "-j", "DROP")
	me = fmt.Sprintf("process %d", cmd.Process.Pid)
	r, text = l.posture()
	t.Logf("with TLS:\n%s", text)
	for id, want := range map[string]string{
		"M1035-1": "pass: TLS, and clients must show a certificate, seen listening", "M1030-2": "pass", "M1030-4": "pass: 1 rule", "M1030-5": "pass: loopback", "M1030-7": "pass: through mirror",
	} {
		if got := r.about(id, me); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	if got := r.about("M1035-3", l.socket); !strings.HasPrefix(got, "pass") {
		t.Errorf("M1035-3: %q", got)
	}
}

// An image that was made to be bad, and one that is clean, each running.
func TestPostureOfImages(t *testing.T) {
	l := dockerHost(t)
	l.dockerd("{}")
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	tool := string(busybox)
	l.importImage("bad.example/tools:latest", []string{`CMD ["/bin/sleep","600"]`}, map[string]string{"bin/sleep": tool, "usr/bin/.x/kworker": tool, "tmp/run": "#!/bin/sh\n", "4755 opt/rootme": tool, "evil": "known to be bad\n"})
	l.importImage("good.example/team/web:1", []string{`CMD ["/bin/sleep","600"]`, "USER 1000"}, map[string]string{"bin/sleep": tool, "etc/passwd": "web:x:1000:1000::/:/bin/sh\n"})
	l.docker("run", "-d", "--name", "bad", "--cap-add", "SYS_ADMIN", "--pid", "host", "-v", l.socket+":/var/run/docker.sock", "-v", "/etc:/host:ro", "bad.example/tools:latest")
	l.docker("network", "create", "shop")
	l.docker("run", "-d", "--name", "web", "--network", "shop", "good.example/team/web:1")
	list := filepath.Join(l.dir, "bad.md5")
	l.write(list, strings.Fields(l.must("md5sum", l.unpacked("known to be bad\n")))[0]+"\n")

	r, text := l.posture("--layers", "--bad-hashes", list)
	t.Logf("what runs:\n%s", text)
	for id, want := range map[string]string{"M1035-4": "fail: mounts", "M1026-1": "fail: runs as root", "M1026-2": "pass", "M1026-3": "fail: is given SYS_ADMIN", "M1026-4": "fail: shares the host's pid", "M1026-5": "fail: can read the host's /etc", "M1030-1": "fail: is on the default bridge", "M1047-2": "fail: names bad.example/tools"} {
		if got := r.about(id, "container bad"); !strings.HasPrefix(got, want) {
			t.Errorf("bad: %s: %q, want %q", id, got, want)
		}
	}
	for _, id := range []string{"M1035-4", "M1026-1", "M1026-2", "M1026-3", "M1026-4", "M1026-5", "M1030-1"} {
		if got := r.about(id, "container web"); !strings.HasPrefix(got, "pass") {
			t.Errorf("web: %s: %q", id, got)
		}
	}
	for id, want := range map[string]string{"M1047-1": "fail: unknown origin", "M1047-8": "fail: /opt/rootme", "M1047-9": "fail: /", "M1047-10": "fail: /evil"} {
		if got := r.about(id, "bad.example/tools"); !strings.HasPrefix(got, want) {
			t.Errorf("bad image: %s: %q, want %q", id, got, want)
		}
	}
	for _, id := range []string{"M1047-3", "M1047-7", "M1047-8", "M1047-9", "M1047-10"} {
		if got := r.about(id, "good.example/team/web"); !strings.HasPrefix(got, "pass") {
			t.Errorf("good image: %s: %q", id, got)
		}
	}
	if _, err := exec.LookPath("yara"); err != nil {
		t.Log("not looked at by YARA rules:", err)
	} else {
		rules := filepath.Join(l.dir, "bad.yar")
		l.write(rules, `rule payload { strings: $a = "known to be bad" condition: $a }`)
		r, _ := l.posture("--image", "bad.example/tools:latest", "--yara", rules)
		if got := r.about("M1047-10", "bad.example/tools"); !strings.HasPrefix(got, "fail: /evil: matches the YARA rule payload") {
			t.Errorf("by YARA rules: %q", got)
		}
	}
	archive := filepath.Join(l.dir, "good.tar")
	l.docker("save", "-o", archive, "good.example/team/web:1")
	t.Setenv("CONTAINERD_ADDRESS", filepath.Join(l.dir, "containerd.sock"))
	t.Setenv("CONTAINERD_NAMESPACE", "tw")
	l.must("ctr", "images", "import", archive)
	for _, name := range []string{archive, "containerd://good.example/team/web:1", "docker://good.example/team/web:1", "good.example/team/web:1"} {
		r, _ := l.posture("--image", name)
		if got := r.about("M1047-9", "good.example/team/web"); !strings.HasPrefix(got, "pass") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// importImage makes an image of files; a name may have a mode before it.
func (l *lab) importImage(ref string, changes []string, files map[string]string) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, data := range files {
		mode := int64(0o755)
		if m, rest, found := strings.Cut(name, " "); found {
			name = rest
			if _, err := fmt.Sscanf(m, "%o", &mode); err != nil {
				l.t.Fatal(err)
			}
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(data))}); err != nil {
			l.t.Fatal(err)
		}
		if _, err := w.Write([]byte(data)); err != nil {
			l.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		l.t.Fatal(err)
	}
	file := filepath.Join(l.dir, "image.tar")
	l.write(file, b.String())
	args := []string{"import"}
	for _, c := range changes {
		args = append(args, "--change", c)
	}
	l.docker(append(args, file, ref)...)
}

func (l *lab) unpacked(text string) string {
	file := filepath.Join(l.dir, "content")
	l.write(file, text)
	return file
}

// certificates makes an authority and a server's certificate for 127.0.0.1.
func certificates(t *testing.T, dir string) (ca, cert, key string) {
	t.Helper()
	made := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		made(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	made(err)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &caKey.PublicKey, caKey)
	made(err)
	ca = write("ca.pem", "CERTIFICATE", der)
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	made(err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "dockerd"}, NotBefore: root.NotBefore, NotAfter: root.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err = x509.CreateCertificate(rand.Reader, leaf, root, &serverKey.PublicKey, caKey)
	made(err)
	cert = write("cert.pem", "CERTIFICATE", der)
	der, err = x509.MarshalECPrivateKey(serverKey)
	made(err)
	return ca, cert, write("key.pem", "EC PRIVATE KEY", der)
}
