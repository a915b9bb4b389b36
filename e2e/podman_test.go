//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"tidewaiter/app"
	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/sensor/docker"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// Podman's service is watched as Docker's engine is, and its events are read in
// the form that its own command prints, too: both tell of a container of a built
// image from its creation to its end.
func TestPodman(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("podman"); err != nil {
		t.Skip("podman is missing (apt-get install podman)")
	}
	dir, err := os.MkdirTemp("/tmp", "tw-e2e-podman-")
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	options := []string{"--root", at("root"), "--runroot", at("run"), "--tmpdir", at("tmp"), "--events-backend", "file", "--cgroup-manager", "cgroupfs", "--runtime", "/usr/sbin/runc"}
	podman := func(args ...string) string { return sh(t, "podman", append(options, args...)...) }
	background := func(stdout string, args ...string) {
		out, err := os.Create(stdout)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("podman", append(options, args...)...)
		cmd.Stdout = out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait(); out.Close() })
	}
	t.Cleanup(func() {
		podman("rm", "-fa", "-t", "0")
		sh(t, "sh", "-c", "umount -l "+at("root")+"/* 2>/dev/null; rm -rf "+dir)
	})
	background(at("service"), "system", "service", "-t", "0", "unix://"+at("podman.sock"))
	background(at("events"), "events", "--format", "json")
	for range 100 {
		if _, err := os.Stat(at("podman.sock")); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	w := watch(t, docker.New(docker.Options{Name: docker.Podman, Host: "unix://" + at("podman.sock")}), "")

	context := at("context")
	if err := os.Mkdir(context, 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, "/bin/busybox", filepath.Join(context, "busybox"), 0o755)
	if err := os.WriteFile(filepath.Join(context, "Dockerfile"), []byte("FROM scratch\nCOPY busybox /bin/busybox\nCMD [\"/bin/busybox\", \"sleep\", \"60\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const name = "acme.example/demo:1"
	podman("build", "-q", "--network", "none", "-t", name, context)
	id := podman("run", "-d", "--name", "web", "--label", "tier=front", "-e", "TOKEN=hunter2", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", name)
	time.Sleep(time.Second)
	podman("rm", "-f", "-t", "0", "web")
	time.Sleep(2 * time.Second)
	w.over(t)

	in, err := source.Open(at("events"), source.Options{Formats: app.Formats()})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var own []event.Event
	for {
		e, err := in.Next()
		if err != nil {
			break
		}
		own = append(own, e)
	}
	if tally := in.Tallies()[0]; tally.Format.Name != "podman-events" || tally.Unreadable > 0 {
		t.Errorf("read as %s, faults %v", tally.Format.Name, tally.Faults)
	}
	live := w.events(t)
	for form, events := range map[string][]event.Event{"its own": own, "the API's": live} {
		for _, action := range []event.ContainerAction{event.ContainerCreate, event.ContainerStart, event.ContainerExit, event.ContainerRemove} {
			sourcetest.Require(t, events, func(c *event.Container) bool {
				return c.Action == action && c.ID == id && c.Name == "web" && c.Labels["tier"] == "front" && c.Image.Form() == image.Named
			})
		}
		t.Logf("%s form: %d events", form, len(events))
	}
	sourcetest.Require(t, live, func(d *event.ContainerDescription) bool { return d.ID == id && d.PID > 0 })
}
