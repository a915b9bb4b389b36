//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The unit runs as deployed, on a host with systemd and Docker's own units: within
// its sandbox every sensor that the host has something for watches, no leg of a
// drill is blind, a killed daemon is started again, and stopping is clean.
func TestSystemdUnit(t *testing.T) {
	machine{Systemd: true, Tests: "^TestUnitAsDeployed$", Limit: 10 * time.Minute}.run(t)
}

// sh runs a command that must succeed, and gives what it said.
func sh(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		log, _ := exec.Command("journalctl", "--no-pager", "-o", "cat", "-n", "80", "-u", "tidewaiter", "-u", "docker", "-u", "containerd").CombinedOutput()
		t.Fatalf("%s %q: %v: %s\n%s", name, args, err, out, log)
	}
	return strings.TrimSpace(string(out))
}

// readyAs waits until the daemon of the unit is ready, and gives its status.
func readyAs(t *testing.T) (s status) {
	t.Helper()
	const api = "http://127.0.0.1:9465"
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Second) {
		answer, err := http.Get(api + "/readyz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ready: %v\n%s", err, sh(t, "journalctl", "--no-pager", "-o", "cat", "-u", "tidewaiter"))
		}
	}
	answer, err := http.Get(api + "/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestUnitAsDeployed(t *testing.T) {
	needsMachine(t)
	if err := os.MkdirAll("/etc/tidewaiter", 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, program(t), "/usr/local/bin/tidewaiter", 0o755)
	copyFile(t, "../deploy/systemd/tidewaiter.service", "/etc/systemd/system/tidewaiter.service", 0o644)
	copyFile(t, "../deploy/tidewaiter.yaml", "/etc/tidewaiter/tidewaiter.yaml", 0o644)
	sh(t, "systemd-analyze", "verify", "--man=no", "/etc/systemd/system/tidewaiter.service")
	sh(t, "systemctl", "daemon-reload")
	sh(t, "systemctl", "start", "containerd", "docker")
	sh(t, "systemctl", "start", "tidewaiter")

	watching := func() (names []string) {
		for range 60 {
			names = nil
			starting := false
			for _, s := range readyAs(t).Sensors {
				starting = starting || s.Condition == "starting"
				if s.Condition == "watching" {
					names = append(names, s.Name)
				}
			}
			if !starting {
				return names
			}
			time.Sleep(time.Second)
		}
		return names
	}
	names := watching()
	for _, want := range []string{"ebpf", "docker", "containerd", "conntrack", "wire", "journald"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s does not watch: only %q", want, names)
		}
	}
	t.Logf("watching: %s; %s", strings.Join(names, " "), sh(t, "systemctl", "show", "-p", "MemoryCurrent,NRestarts", "tidewaiter"))

	drill := func() {
		t.Helper()
		var d drilled
		cmd := exec.Command("/usr/local/bin/tidewaiter", "drill", "AN0691", "-o", "json")
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 3 {
			err = nil // a leg is late, on a machine that is emulated, or blind
		}
		err = errors.Join(err, json.Unmarshal(out, &d))
		if err != nil || len(d.Legs) == 0 || d.Finding == nil || slices.ContainsFunc(d.Legs, func(l drilledLeg) bool { return l.State != "seen" && l.State != "late" }) {
			t.Errorf("the drill is not seen whole: %v, %+v\n%s", err, d, said.String())
		}
		t.Logf("drill, by the sources of what was told in time: %v", d.by())
	}
	drill()

	sh(t, "systemctl", "kill", "-s", "KILL", "tidewaiter")
	time.Sleep(4 * time.Second)
	if again := watching(); !slices.Equal(again, names) {
		t.Errorf("after it was killed %q watch, before %q", again, names)
	}
	drill()
	if again := sh(t, "systemctl", "show", "-p", "NRestarts", "tidewaiter"); again != "NRestarts=1" {
		t.Error(again)
	}
	sh(t, "systemctl", "stop", "tidewaiter")
	if ended := sh(t, "systemctl", "show", "-p", "Result", "tidewaiter"); ended != "Result=success" {
		t.Error(ended)
	}
	log := sh(t, "journalctl", "--no-pager", "-o", "cat", "-u", "tidewaiter")
	if !strings.Contains(log, "everything is put by") {
		t.Errorf("it did not end as it should:\n%s", log)
	}
	if files, err := filepath.Glob("/var/lib/tidewaiter/*"); err != nil || len(files) == 0 {
		t.Error("nothing is in the state directory", err)
	}
	exposure, _ := exec.Command("systemd-analyze", "security", "--no-pager", "tidewaiter").CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(exposure)), "\n")
	t.Log(fmt.Sprint(lines[len(lines)-1]))
}
