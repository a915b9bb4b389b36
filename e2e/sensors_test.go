//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tidewaiter/app"
	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/sensor/conntrack"
	"tidewaiter/sensor/containerd"
	"tidewaiter/sensor/docker"
	"tidewaiter/sensor/sensortest"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// live is a sensor that watches.
type live struct {
	*sensortest.Recorder
	stop context.CancelFunc
	end  chan error
}

// watch starts a sensor and waits until it is ready.
func watch(t *testing.T, s sensor.Sensor, resume string) *live {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &live{sensortest.New(resume), cancel, make(chan error, 1)}
	go func() { w.end <- s.Watch(ctx, w) }()
	t.Cleanup(cancel)
	for deadline := time.Now().Add(30 * time.Second); w.Readies() == 0; time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-w.end:
			t.Fatalf("%s: %v", s.Name(), err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready: %q", s.Name(), w.Losses())
		}
	}
	return w
}

// over ends a watch that must have lost what missed says, one part of a message
// for each loss, and nothing else.
func (w *live) over(t *testing.T, missed ...string) {
	t.Helper()
	w.stop()
	if err := <-w.end; err != nil {
		t.Error(err)
	}
	if got := w.Losses(); !slices.EqualFunc(got, missed, strings.Contains) {
		t.Errorf("losses %q, want %q", got, missed)
	}
}

// events decodes what was recorded, each file as what it looks like.
func (w *live) events(t *testing.T) []event.Event {
	t.Helper()
	var all []event.Event
	for file, format := range w.Write(t, t.TempDir()) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "hunter2") {
			t.Errorf("%s holds a secret", file)
		}
		in, err := source.Open(file, source.Options{Formats: app.Formats()})
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		for {
			e, err := in.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
		if tally := in.Tallies()[0]; tally.Format.Name != format || tally.Unreadable > 0 {
			t.Errorf("%s: read as %s, want %s; faults %v", filepath.Base(file), tally.Format.Name, format, tally.Faults)
		}
	}
	return all
}

// The live sensors give what the tools of the same origin print, and look up
// what those do not tell: also of a container that has ended at once, and with
// nothing of a secret.
func TestSensorsOfRuntimes(t *testing.T) {
	l := dockerHost(t)
	engine := l.dockerd("{}")
	l.logs = l.dir
	const ref, image = "acme.example/demo:1", "demo:1"
	l.make(ref, "#!/bin/sh\nsleep 600\n")
	old := l.docker("run", "-d", "--name", "old", ref)

	sock := filepath.Join(l.dir, "containerd.sock")
	ns := "/run/netns/" + l.host
	l.must("nsenter", "--net="+ns, "sysctl", "-qw", "net.netfilter.nf_conntrack_acct=1", "net.netfilter.nf_conntrack_timestamp=1")
	l.recorder("docker", "/usr/bin/docker", "-H", "unix://"+l.socket, "events", "--format", "{{json .}}")
	l.recorder("ctr", "ctr", "-a", sock, "events")
	l.recorder("flows", "nsenter", "--net="+ns, "conntrack", "-E", "-e", "NEW,DESTROY", "-o", "timestamp,id")
	time.Sleep(time.Second)
	dock := docker.New(docker.Options{Host: "unix://" + l.socket})
	d, c, n := watch(t, dock, ""), watch(t, containerd.New(containerd.Options{Socket: sock}), ""), watch(t, conntrack.New(conntrack.Options{NetNS: ns}), "")

	web := l.docker("run", "-d", "--name", "web", "--label", "tier=<&>", "-e", "TOKEN=hunter2", ref)
	short := l.docker("run", "--name", "short", "-d", ref, "nc", "-w", "1", "172.30.0.1", "9")
	l.docker("exec", "web", "sh", "-c", "nc -w 1 172.30.0.1 10 || true")
	l.docker("tag", ref, image)
	l.docker("commit", "web", "acme.example/changed:1")
	saved := filepath.Join(l.dir, "saved.tar")
	l.docker("save", "-o", saved, ref)
	l.must("ctr", "-a", sock, "-n", "other", "images", "import", saved)
	l.must("ctr", "-a", sock, "-n", "other", "containers", "create", "--env", "TOKEN=hunter2", ref, "plain", "/bin/busybox", "sleep", "5")
	l.docker("rm", "-f", "web", "short")
	l.must("nsenter", "--net="+ns, "conntrack", "-D", "-s", "172.30.0.0/16")
	time.Sleep(2 * time.Second)
	for _, r := range l.recorders {
		l.end(r)
	}
	l.recorders = nil
	c.over(t)
	n.over(t)

	compareDocker(t, d, filepath.Join(l.dir, "docker"))
	compareLines(t, "containerd-events", c, filepath.Join(l.dir, "ctr"), withoutExit)
	compareLines(t, "conntrack", n, filepath.Join(l.dir, "flows"), withoutTimes)

	told := d.events(t)
	sourcetest.Require(t, told, func(x *event.ContainerDescription) bool { return x.ID == old && x.PID > 0 && !x.StartedAt.IsZero() })
	sourcetest.Require(t, told, func(x *event.ContainerDescription) bool { return x.ID == web && x.PID > 0 && x.Labels["tier"] == "<&>" })
	sourcetest.Require(t, told, func(x *event.ImageDescription) bool { return len(x.RepoTags) > 1 })
	// The address of the one that ended at once, and its connection.
	var addr netip.Addr
	sourcetest.Require(t, told, func(x *event.ContainerDescription) bool {
		ok := x.ID == short && len(x.Networks) == 1 && len(x.Networks[0].Addrs) == 1 && !x.Networks[0].At.IsZero()
		if ok {
			addr = x.Networks[0].Addrs[0]
		}
		return ok
	})
	flows := n.events(t)
	sourcetest.Require(t, flows, func(f *event.Flow) bool { return f.Src.Addr() == addr && f.Dst.Port() == 9 })
	sourcetest.Require(t, flows, func(f *event.Flow) bool {
		return f.Src.Addr() == addr && !f.End.IsZero() && f.BytesOut > 0 && f.BytesIn > 0
	})
	// What began while nobody watched, and goes on. What ended too is gone, and
	// that is said.
	const away = "while nobody listened"
	l.docker("exec", "old", "busybox", "ping", "-c", "1", "172.30.0.1")
	later := watch(t, conntrack.New(conntrack.Options{NetNS: ns}), n.Resume())
	later.Until(t, "the place to go on", func() bool { return later.Resume() != n.Resume() })
	later.over(t, away)
	sourcetest.Require(t, later.events(t), func(f *event.Flow) bool { return f.Protocol == "icmp" && f.End.IsZero() })
	again := watch(t, conntrack.New(conntrack.Options{NetNS: ns}), later.Resume())
	again.over(t, away)
	if told := again.Lines("conntrack"); len(told) > 0 {
		t.Errorf("told again: %q", told)
	}

	stored := c.events(t)
	sourcetest.Require(t, stored, func(x *event.ContainerDescription) bool { return x.ID == old && x.PID > 0 && !x.StartedAt.IsZero() })
	sourcetest.Require(t, stored, func(x *event.Image) bool {
		return x.Namespace == "other" && !x.Digest.IsZero() && x.Reference.Raw() == ref
	})
	sourcetest.Require(t, stored, func(x *event.ContainerDescription) bool { return x.ID == "plain" && !x.ImageID.IsZero() })
	sourcetest.Require(t, stored, func(x *event.Task) bool { return x.Container == web && x.PID > 0 })

	l.restarted(dock, d, func() { l.end(engine) })
}

// restarted stops the engine under a sensor, and starts it again.
func (l *lab) restarted(s sensor.Sensor, w *live, stop func()) {
	l.t.Helper()
	stop()
	if err := <-w.end; err == nil {
		l.t.Error("an engine that ended is no interruption")
	}
	if lack, ok := sensor.AsLack(s.Watch(l.t.Context(), w)); !ok || !strings.Contains(lack.Mend, "start Docker") {
		l.t.Errorf("without an engine: %v", lack)
	}
	l.dockerd("{}")
	again := watch(l.t, s, w.Resume())
	l.docker("rm", "-f", "old")
	again.Until(l.t, "an event after the restart", func() bool {
		return strings.Contains(strings.Join(again.Lines("docker-events"), "\n"), `"Action":"destroy"`)
	})
	again.over(l.t)
}

// compareDocker wants the same events as docker events printed, which also
// repeats some keys as the oldest schema had them.
func compareDocker(t *testing.T, w *live, file string) {
	t.Helper()
	parse := func(line string) (m map[string]any) {
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for _, k := range []string{"status", "id", "from"} {
			delete(m, k)
		}
		return m
	}
	got, want := w.Lines("docker-events"), lines(t, file)
	if len(got) != len(want) || len(want) < 10 {
		t.Fatalf("%d events, docker events printed %d:\n%s\n\n%s", len(got), len(want), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i := range got {
		if !reflect.DeepEqual(parse(got[i]), parse(want[i])) {
			t.Errorf("event %d\n got %s\nwant %s", i, got[i], want[i])
		}
	}
}

// withoutExit leaves out when a process exited, which each version of ctr prints
// in another way.
func withoutExit(line string) string {
	before, _, _ := strings.Cut(line, `"exited_at"`)
	return before
}

// withoutTimes leaves out when conntrack got to know, and the kernel's times,
// which it prints in the local zone.
func withoutTimes(line string) string {
	_, line, _ = strings.Cut(line, "\t")
	return regexp.MustCompile(`\[(start|stop)=[^]]*\] `).ReplaceAllString(line, "")
}

// compareLines wants the lines that a tool printed, but for what cut cuts.
func compareLines(t *testing.T, lane string, w *live, file string, cut func(string) string) {
	t.Helper()
	got, want := w.Lines(lane), lines(t, file)
	if len(got) != len(want) || len(want) < 4 {
		t.Fatalf("%s: %d lines, the tool printed %d:\n%s\n\n%s", lane, len(got), len(want), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i := range got {
		if cut(got[i]) != cut(want[i]) {
			t.Errorf("%s, line %d\n got %s\nwant %s", lane, i, got[i], want[i])
		}
	}
}

// lines are those of a tool, without what it says at its end.
func lines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if !strings.HasPrefix(line, "conntrack v") {
			out = append(out, line)
		}
	}
	return out
}

// What the kernel cannot deliver is told, and what comes afterwards is seen. A
// host with no room for one event loses some when all are deleted at once.
func TestConntrackOverflows(t *testing.T) {
	l := dockerHost(t)
	ns := "/run/netns/" + l.host
	l.must("nsenter", "--net="+ns, "iptables", "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT")
	w := watch(t, conntrack.New(conntrack.Options{NetNS: ns, Buffer: 1}), "")
	l.must("nsenter", "--net="+ns, "bash", "-c", "for ((i = 1000; i < 6000; i++)); do echo > /dev/udp/127.0.0.1/$i; done")
	l.must("nsenter", "--net="+ns, "conntrack", "-F")
	w.Until(t, "the overflow", func() bool {
		return strings.Contains(strings.Join(w.Losses(), "\n"), "-1 netlink buffer overflow (ENOBUFS)")
	})
	l.must("nsenter", "--net="+ns, "bash", "-c", "echo > /dev/udp/127.0.0.1/7777")
	w.Until(t, "the next connection", func() bool { return strings.Contains(strings.Join(w.Lines("conntrack"), "\n"), "dport=7777") })
	t.Logf("%d lines in %d calls, losses told %d times", len(w.Lines("conntrack")), w.Calls(), len(w.Losses()))
	w.stop()
	if err := <-w.end; err != nil {
		t.Error(err)
	}
}
