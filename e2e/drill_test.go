//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// drillPolicy is that of a host which is no place for builds.
const drillPolicy = `version: 1
learning: 7d
default_scope: lab
scopes:
  lab:
    registries: ["198.51.100.40:5000/*"]
    builds_allowed: false
`

// drillConfig watches the lab's host by what is its own: the kernel's audit and
// the journal are everybody's on this machine.
const drillConfig = `data: DATA
host: lab
addresses: [` + hostAddress + `]
listen: "off"
policy: POLICY
sensors:
  defaults: false
  docker: {host: "unix://SOCKET", enabled: DOCKER}
  containerd: {socket: CONTAINERD, enabled: SHIMS}
  ebpf: {enabled: EBPF}
  conntrack: {netns: /run/netns/NETNS, enabled: TRACK}
`

// drilled is what these tests read of a drill's report.
type drilled struct {
	Passed    bool
	Container string
	Swallowed int `json:"packets_swallowed"`
	Legs      []drilledLeg
	Finding   *struct {
		ID, Severity string
		Raised       bool
	}
	Notes []string
}

// drilledLeg is one leg of the report.
type drilledLeg struct {
	Leg, State string
	Sources    []string
	After      float64  `json:"after_seconds"`
	Should     []string `json:"should_tell"`
	Open       []string
}

// by gives the sources of each leg that was seen, "" if it was not in time.
func (d drilled) by() map[string]string {
	out := map[string]string{}
	for _, l := range d.Legs {
		out[l.Leg] = ""
		if l.State == "seen" {
			out[l.Leg] = strings.Join(l.Sources, " ")
		}
	}
	return out
}

// watchDrills starts the daemon with some sensors off, and waits for the rest.
func (l *lab) watchDrills(t *testing.T, off ...string) *watcher {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(drillPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	names := map[string]string{"DOCKER": "docker", "SHIMS": "containerd", "EBPF": "ebpf", "TRACK": "conntrack"}
	config := strings.NewReplacer("POLICY", file, "SOCKET", l.socket, "CONTAINERD", filepath.Join(l.dir, "containerd.sock"), "NETNS", l.host).Replace(drillConfig)
	on := 0
	for word, name := range names {
		value := "true"
		if slices.Contains(off, name) {
			value = "false"
		} else {
			on++
		}
		config = strings.ReplaceAll(config, "enabled: "+word, "enabled: "+value)
	}
	w := newWatcher(t, config)
	w.start("--log-format", "json")
	l.wait("the daemon's sensors", func() bool {
		text, err := os.ReadFile(w.log.Name())
		return err == nil && bytes.Count(text, []byte(`"sensor watches"`)) >= on
	})
	time.Sleep(1500 * time.Millisecond) // it notes every second that they watch
	return w
}

// drill performs a drill and wants an exit status.
func (w *watcher) drill(status int, args ...string) drilled {
	w.t.Helper()
	stdout, stderr, got := run(w.t, nil, append([]string{"drill", "--config", w.config, "-o", "json", "--wait", "5s"}, args...)...)
	if got != status {
		w.t.Errorf("exit status %d, want %d:\n%s%s", got, status, stdout, stderr)
	}
	var d drilled
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		w.t.Fatalf("%v in %.400s\n%s", err, stdout, stderr)
	}
	for _, l := range d.Legs {
		w.t.Logf("%-9s %-5s %.2f s %v %v %v", l.Leg, l.State, l.After, l.Sources, l.Should, l.Open)
	}
	w.t.Logf("%+v, %d packets swallowed, notes %q", d.Finding, d.Swallowed, d.Notes)
	return d
}

// nothingIsLeft wants the host as it was before any drill.
func (l *lab) nothingIsLeft(t *testing.T) {
	t.Helper()
	for what, said := range map[string]string{
		"containers": l.docker("ps", "-aq"),
		"images":     l.docker("images", "-aq"),
		"networks":   l.docker("network", "ls", "-q", "--filter", "type=custom"),
		"routes":     l.must("ip", "-n", l.host, "route", "show", "203.0.113.66"),
	} {
		if said != "" {
			t.Errorf("%s are left: %s", what, said)
		}
	}
	if links := l.must("ip", "-n", l.host, "-o", "link"); strings.Contains(links, "twdrill") || strings.Contains(links, "br-") {
		t.Errorf("interfaces are left:\n%s", links)
	}
}

// Every leg of a drill is seen while everything watches; without a sensor
// exactly those legs are blind that it alone tells. Only Docker's own records say
// what image a container is of, and without that nothing here is worth a finding.
// Nothing is left behind.
func TestDrills(t *testing.T) {
	l := newLab(t)
	allOfIt := []string{"arrival", "creation", "start", "command", "egress"}
	for _, c := range []struct {
		name, analytic string
		off            []string
		blind          []string
		only           map[string]string // who tells some legs
	}{
		{"everything watches", "AN0691", nil, nil, map[string]string{"command": "ebpf", "egress": "conntrack ebpf"}},
		{"a build", "AN1261", nil, nil, map[string]string{"fetch": "conntrack ebpf"}},
		{"without ebpf", "AN0691", []string{"ebpf"}, []string{"command"}, map[string]string{"egress": "conntrack"}},
		{"without conntrack", "AN0691", []string{"conntrack"}, nil, map[string]string{"egress": "ebpf"}},
		{"without ebpf and conntrack", "AN0691", []string{"ebpf", "conntrack"}, []string{"command", "egress"}, nil},
		{"without containerd", "AN0691", []string{"containerd"}, nil, map[string]string{"start": "docker"}},
		{"without docker", "AN0691", []string{"docker"}, allOfIt, nil},
		{"without docker and containerd", "AN0691", []string{"docker", "containerd"}, allOfIt, nil},
		{"a build without ebpf and conntrack", "AN1261", []string{"ebpf", "conntrack"}, []string{"fetch"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l.t = t
			w := l.watchDrills(t, c.off...)
			status := 0
			if c.blind != nil {
				status = 3
			}
			d := w.drill(status, c.analytic)
			by := d.by()
			for leg, sources := range by {
				if want := slices.Contains(c.blind, leg); want != (sources == "") {
					t.Errorf("%s is seen by %q, want it blind: %v", leg, sources, want)
				}
			}
			for leg, want := range c.only {
				if by[leg] != want {
					t.Errorf("%s is told by %q, want %q", leg, by[leg], want)
				}
			}
			if d.Swallowed == 0 {
				t.Error("no packet came to where nothing is")
			}
			l.nothingIsLeft(t)
			w.end(syscall.SIGTERM)
		})
	}
	l.t = t
}

// A drill that is interrupted leaves nothing, one that was killed leaves what the
// next one removes, and one that keeps its image says so. While one runs, another
// is refused, as is one that nobody watches, or whose address is routed.
func TestDrillsInTrouble(t *testing.T) {
	l := newLab(t)
	w := l.watchDrills(t)
	begin := func() *exec.Cmd {
		cmd := exec.Command(program(t), "drill", "AN0691", "--config", w.config)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		l.wait("the drill's container", func() bool { return l.docker("ps", "-q") != "" })
		return cmd
	}
	refused := func(why string, args ...string) {
		t.Helper()
		_, stderr, status := run(t, nil, append([]string{"drill", "AN0691", "--config", w.config}, args...)...)
		if status != 1 || !strings.Contains(stderr, why) {
			t.Errorf("exit status %d, want 1 and %q:\n%s", status, why, stderr)
		}
	}
	one := begin()
	refused("another drill")
	if err := one.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = one.Wait()
	if status := one.ProcessState.ExitCode(); status != 130 {
		t.Errorf("an interrupted drill ends with %d, want 130", status)
	}
	l.nothingIsLeft(t)

	one = begin()
	if err := one.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = one.Wait()
	if routes := l.must("ip", "-n", l.host, "route", "show", "203.0.113.66"); routes != "" {
		t.Errorf("a killed drill leaves its route: %s", routes)
	}
	d := w.drill(0, "AN1261", "--keep")
	if names := l.docker("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Image}}"); !strings.HasPrefix(names, d.Container+" tidewaiter-drill/") || strings.Contains(names, "\n") {
		t.Errorf("want one container of a drill's image, got %q", names)
	}
	if networks := l.docker("network", "ls", "-q", "--filter", "type=custom"); networks != "" {
		t.Errorf("networks are left: %s", networks)
	}
	l.reset()
	l.nothingIsLeft(t)

	l.must("ip", "-n", l.host, "route", "add", "203.0.113.66/32", "via", "198.51.100.1")
	refused("routes 203.0.113.66 already")
	l.must("ip", "-n", l.host, "route", "del", "203.0.113.66/32")
	l.must("ip", "-n", l.host, "rule", "add", "to", "203.0.113.66", "lookup", "77")
	l.must("ip", "-n", l.host, "route", "add", "default", "via", "198.51.100.1", "table", "77")
	refused("would go elsewhere")
	l.must("ip", "-n", l.host, "rule", "del", "to", "203.0.113.66")
	w.end(syscall.SIGKILL)
	refused("no data directory of a daemon", "--data", t.TempDir())
	l.wait("the daemon's absence to be known", func() bool {
		_, stderr, _ := run(t, nil, "drill", "AN0691", "--config", w.config, "--wait", "1s")
		return strings.Contains(stderr, "no sensor has watched")
	})
	l.nothingIsLeft(t)
}
