//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lab is one machine in a network namespace, and beside it a pretend Internet
// of documentation addresses (RFC 5737) in another. Nothing is routed off the
// machine. Everything is undone when the test ends.
type lab struct {
	t                *testing.T
	dir, logs        string // scratch, and where the recording is
	host, inet, rule string
	socket           string
	recorders        []*exec.Cmd
	undo             []func() // what ends with the recording
	said             int      // how much the daemon had said when it began
	unified          bool     // cgroup v2 alone
	engineRuns       *exec.Cmd
	engineArgs       []string
}

const (
	hostAddress = "198.51.100.2"
	stranger    = "203.0.113.7" // from where somebody calls the host
	nobody      = "65534"       // as whom
)

// parts are the programs that the lab is made of, by Debian package.
var parts = map[string]string{
	"/usr/sbin/dockerd": "docker.io", "/usr/bin/docker": "docker.io", "/usr/bin/containerd": "containerd", "/usr/bin/ctr": "containerd",
	"/usr/sbin/runc": "runc", "/usr/sbin/auditd": "auditd", "/usr/sbin/auditctl": "auditd", "/usr/sbin/conntrack": "conntrack",
	"/usr/sbin/iptables": "iptables", "/usr/bin/nsenter": "util-linux", "/usr/sbin/ip": "iproute2", "/usr/bin/docker-registry": "docker-registry", "/bin/busybox": "busybox-static",
}

// newLab makes a lab whose daemon gets some options more.
func newLab(t *testing.T, options ...string) *lab {
	t.Helper()
	return newLabWith(t, false, options)
}

// newLabWith makes a lab whose host has cgroups of version 2 alone, or those of
// the machine.
func newLabWith(t *testing.T, unified bool, options []string) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for file, pkg := range parts {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("%s is missing (apt-get install %s)", file, pkg)
		}
	}
	id := fmt.Sprint(os.Getpid())
	dir, err := os.MkdirTemp("/tmp", "tw-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, dir: dir, logs: filepath.Join(dir, "logs"), host: "twh" + id, inet: "twi" + id, rule: "tw-e2e-" + id, unified: unified, socket: filepath.Join(dir, "docker.sock")}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"logs", "www", "registry", "plugins.d"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l.network()
	l.servers()
	l.engine(options)
	return l
}

func (l *lab) network() {
	for _, ns := range []string{l.host, l.inet} {
		l.must("ip", "netns", "add", ns)
		l.t.Cleanup(func() { l.must("ip", "netns", "del", ns) })
		l.must("ip", "-n", ns, "link", "set", "lo", "up")
	}
	l.must("ip", "link", "add", "up0", "netns", l.host, "type", "veth", "peer", "name", "in0", "netns", l.inet)
	l.must("ip", "-n", l.host, "addr", "add", hostAddress+"/24", "dev", "up0")
	l.must("ip", "-n", l.host, "link", "set", "up0", "up")
	for _, a := range []string{"1", "10", "20", "30", "40"} {
		l.must("ip", "-n", l.inet, "addr", "add", "198.51.100."+a+"/24", "dev", "in0")
	}
	for _, a := range []string{stranger, "203.0.113.66"} {
		l.must("ip", "-n", l.inet, "addr", "add", a+"/32", "dev", "lo")
	}
	l.must("ip", "-n", l.inet, "link", "set", "in0", "up")
	l.must("ip", "-n", l.inet, "route", "add", hostAddress+"/32", "dev", "in0", "src", stranger)
	l.must("ip", "-n", l.host, "route", "add", "default", "via", "198.51.100.1")
	l.must("nsenter", "--net=/run/netns/"+l.host, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.netfilter.nf_conntrack_acct=1", "net.netfilter.nf_conntrack_timestamp=1")
}

// servers are the pretend Internet: a web server, a mining pool, a registry.
func (l *lab) servers() {
	l.start("httpd", "nsenter", "--net=/run/netns/"+l.inet, "/bin/busybox", "httpd", "-f", "-p", "80", "-h", filepath.Join(l.dir, "www"))
	l.start("pool", "nsenter", "--net=/run/netns/"+l.inet, "/bin/busybox", "nc", "-ll", "-p", "4444", "-e", "/bin/cat")
	config := filepath.Join(l.dir, "registry.yml")
	l.write(config, "version: 0.1\nstorage: {filesystem: {rootdirectory: "+filepath.Join(l.dir, "registry")+"}}\nhttp: {addr: \":5000\"}\n")
	l.start("registry", "nsenter", "--net=/run/netns/"+l.inet, "docker-registry", "serve", config)
}

func (l *lab) engine(options []string) {
	sock := filepath.Join(l.dir, "containerd.sock")
	config := filepath.Join(l.dir, "containerd.toml")
	l.write(config, fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		filepath.Join(l.dir, "ctd"), filepath.Join(l.dir, "ctd-run"), sock))
	within := []string{"--net=/run/netns/" + l.host}
	start := append(append([]string{"nsenter"}, within...), "containerd", "--config", config)
	if l.unified {
		start = []string{"unshare", "-m", "--propagation", "private", "sh", "-c",
			"mount -t cgroup2 none /sys/fs/cgroup && exec nsenter --net=/run/netns/" + l.host + " containerd --config " + config}
	}
	runs := l.start("containerd", start[0], start[1:]...)
	l.wait("containerd", func() bool { _, err := os.Stat(sock); return err == nil })
	if l.unified { // both must see the same mounts
		within = append(within, "-m", "-t", strconv.Itoa(runs.Process.Pid))
	}
	daemon := filepath.Join(l.dir, "daemon.json")
	l.write(daemon, "{}")
	args := append(within, "dockerd", "--containerd", sock, "--data-root", filepath.Join(l.dir, "data"),
		"--exec-root", filepath.Join(l.dir, "exec"), "--pidfile", filepath.Join(l.dir, "docker.pid"), "-H", "unix://"+l.socket,
		"--insecure-registry", "198.51.100.0/24", "--config-file", daemon, "--bip", "172.30.0.1/16", "--debug")
	l.engineArgs = append(args, options...)
	l.startEngine()
}

func (l *lab) startEngine() {
	l.engineRuns = l.start("dockerd", "nsenter", l.engineArgs...)
	l.wait("dockerd", func() bool { return exec.Command("/usr/bin/docker", "-H", "unix://"+l.socket, "version").Run() == nil })
}

// restartEngine ends the engine and starts it again.
func (l *lab) restartEngine() {
	l.end(l.engineRuns)
	time.Sleep(2 * time.Second)
	l.startEngine()
}

// push makes an image of busybox and one script, puts it into the registry and
// forgets it here.
func (l *lab) push(ref, entry string) {
	l.make(ref, entry)
	l.docker("push", "-q", ref)
	l.docker("rmi", "-f", ref)
}

// make makes an image of busybox and one script.
func (l *lab) make(ref, entry string) {
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		l.t.Fatal(err)
	}
	var image bytes.Buffer
	w := tar.NewWriter(&image)
	add := func(h tar.Header, data []byte) {
		h.Size = int64(len(data))
		if err := w.WriteHeader(&h); err != nil {
			l.t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			l.t.Fatal(err)
		}
	}
	add(tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil)
	add(tar.Header{Name: "bin/busybox", Mode: 0o755}, busybox)
	add(tar.Header{Name: "entry.sh", Mode: 0o755}, []byte(entry))
	for _, name := range []string{"sh", "wget", "nc", "sleep", "chmod", "mkdir", "httpd"} {
		add(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil)
	}
	if err := w.Close(); err != nil {
		l.t.Fatal(err)
	}
	file := filepath.Join(l.dir, "image.tar")
	l.write(file, image.String())
	l.docker("import", "--change", `CMD ["/entry.sh"]`, file, ref)
}

// serve puts a page on the pretend Internet.
func (l *lab) serve(path, text string) {
	file := filepath.Join(l.dir, "www", path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		l.t.Fatal(err)
	}
	l.write(file, text)
}

// record starts the recorders that operators have: docker events, ctr events,
// conntrack, auditd, and the daemon's own log. What they write is put below a
// name of its own.
func (l *lab) record(name string) {
	l.logs = filepath.Join(l.dir, "logs", name)
	if err := os.MkdirAll(l.logs, 0o755); err != nil {
		l.t.Fatal(err)
	}
	l.said = len(l.daemonLog())
	l.recorder("docker-events.log", "/usr/bin/docker", "-H", "unix://"+l.socket, "events", "--format", "{{json .}}")
	l.recorder("containerd-events.log", "ctr", "-a", filepath.Join(l.dir, "containerd.sock"), "-n", "moby", "events")
	l.recorder("conntrack.log", "nsenter", "--net=/run/netns/"+l.host, "conntrack", "-E", "-o", "timestamp")
	l.audit()
	time.Sleep(time.Second)
}

// daemonLog is what the daemon said so far.
func (l *lab) daemonLog() string {
	said, err := os.ReadFile(filepath.Join(l.dir, "dockerd.out"))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(said)
}

// audit starts auditd and adds one rule, by a key of our own. It leaves out who
// calls from elsewhere: on a real host there would be nothing to see of them.
func (l *lab) audit() {
	status := l.must("auditctl", "-s")
	if !strings.Contains(status, "\npid 0\n") {
		l.t.Skip("another audit daemon is running")
	}
	wasOn := strings.Fields(status)[1]
	config := filepath.Join(l.dir, "audit", filepath.Base(l.logs), "auditd.conf")
	if err := os.MkdirAll(filepath.Dir(config), 0o755); err != nil {
		l.t.Fatal(err)
	}
	l.write(config, "local_events = yes\nwrite_logs = yes\nlog_format = ENRICHED\nflush = INCREMENTAL_ASYNC\nfreq = 20\nmax_log_file = 200\nnum_logs = 2\n"+
		"max_log_file_action = IGNORE\nspace_left = 75\nspace_left_action = IGNORE\nadmin_space_left = 50\nadmin_space_left_action = IGNORE\n"+
		"disk_full_action = IGNORE\ndisk_error_action = IGNORE\nname_format = NONE\noverflow_action = IGNORE\n"+
		"log_file = "+filepath.Join(l.logs, "audit.log")+"\nplugin_dir = "+filepath.Join(l.dir, "plugins.d")+"\n")
	l.recorders = append(l.recorders, l.start("auditd", "auditd", "-n", "-c", filepath.Dir(config)))
	l.wait("auditd", func() bool { return !strings.Contains(l.must("auditctl", "-s"), "\npid 0\n") })
	rule := []string{"always,exit", "-F", "arch=b64", "-S", "execve,execveat", "-F", "uid!=" + nobody, "-k", l.rule}
	l.must("auditctl", append([]string{"-a"}, rule...)...)
	l.undo = append(l.undo, func() {
		l.must("auditctl", append([]string{"-d"}, rule...)...)
		l.must("auditctl", "-e", wasOn)
	})
	l.t.Cleanup(l.undone)
}

// undone undoes what was set up for a recording, once.
func (l *lab) undone() {
	undo := l.undo
	l.undo = nil
	for _, f := range undo {
		f()
	}
}

func (l *lab) recorder(file string, name string, args ...string) {
	out, err := os.Create(filepath.Join(l.logs, file))
	if err != nil {
		l.t.Fatal(err)
	}
	l.recorders = append(l.recorders, l.launch(file, out, name, args...))
}

// stop ends the recorders, so that their files are whole.
func (l *lab) stop() {
	time.Sleep(2 * time.Second)
	for _, c := range l.recorders {
		l.end(c)
	}
	l.recorders = nil
	l.undone()
	l.keep("dockerd.log", l.daemonLog()[l.said:])
}

func (l *lab) keep(file, text string) { l.write(filepath.Join(l.logs, file), text+"\n") }

func (l *lab) docker(args ...string) string {
	l.t.Helper()
	return strings.TrimSpace(l.must("/usr/bin/docker", append([]string{"-H", "unix://" + l.socket}, args...)...))
}

func (l *lab) write(file, text string) {
	l.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) must(name string, args ...string) string {
	l.t.Helper()
	var errs bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, errs.String())
	}
	return string(out)
}

// start runs a daemon until the test ends; what it says is shown if the test
// fails.
func (l *lab) start(what, name string, args ...string) *exec.Cmd {
	l.t.Helper()
	file := filepath.Join(l.dir, what+".out")
	out, err := os.Create(file)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		if text, err := os.ReadFile(file); err == nil && l.t.Failed() {
			l.t.Logf("%s said:\n%s", what, tail(string(text), 3000))
		}
	})
	return l.launch(what, out, name, args...)
}

func (l *lab) launch(what string, out *os.File, name string, args ...string) *exec.Cmd {
	l.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		l.t.Fatalf("%s: %v", what, err)
	}
	l.t.Cleanup(func() {
		l.end(cmd)
		out.Close()
	})
	return cmd
}

// end stops a process that we started, gently first.
func (l *lab) end(cmd *exec.Cmd) {
	if cmd.ProcessState != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its status after a signal says nothing
		close(done)
	}()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-done:
	case <-time.After(15 * time.Second):
		_ = cmd.Process.Kill()
		<-done
	}
}

func (l *lab) wait(what string, ready func() bool) {
	l.t.Helper()
	l.waitUpTo(time.Minute, what, ready)
}

func (l *lab) waitUpTo(limit time.Duration, what string, ready func() bool) {
	l.t.Helper()
	if os.Getenv(machineVariable) != "" {
		limit *= 4 // it is emulated
	}
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if ready() {
			return
		}
	}
	l.t.Fatalf("%s is not ready after %v", what, limit)
}

func tail(s string, n int) string { return s[max(len(s)-n, 0):] }
