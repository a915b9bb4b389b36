//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wireConfig is liveConfig without dockerd's log: who asks for a build is told
// by the network alone.
var wireConfig = liveConfig[:strings.Index(liveConfig, "  files:")]

// A stranger calls Docker's API over the network, and has an image built and
// run: without dockerd's log that is seen on the wire.
func TestBuildSeenOnTheWire(t *testing.T) {
	l := newLab(t, "-H", "tcp://"+hostAddress+":2375", "--tls=false")
	l.serve("install.sh", "#!/bin/sh\nnc -w 2 203.0.113.66 4444 </dev/null\nsleep 60\n")
	l.push(baseImage, "#!/bin/sh\n")
	all := stories()
	s := all[slices.IndexFunc(all, func(s story) bool { return s.name == "c build on host, classic" })]
	l.reset()
	w := watchLabAs(t, l, hostPolicy, wireConfig)
	s.happen(l)
	time.Sleep(time.Second)
	w.end(syscall.SIGTERM)
	w.judge(s)
	recorded, err := filepath.Glob(filepath.Join(w.data(), "journal", "*", "zeek-http-json*"))
	if err != nil || len(recorded) == 0 {
		t.Fatalf("the wire told nothing: %v", err)
	}
	var lines []byte
	for _, file := range recorded {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, text...)
	}
	for _, want := range []string{`"method":"POST"`, `/build?`, `/containers/create?name=upd"`, `"id.orig_h":"` + stranger + `"`} {
		if !bytes.Contains(lines, []byte(want)) {
			t.Errorf("the wire does not tell %s", want)
		}
	}
	stdout, _, _ := run(t, nil, "findings", "export", "--data", w.data())
	for _, want := range []string{"build-over-tcp", "zeek-http-json"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the finding does not name %s", want)
		}
	}
	if others, _ := filepath.Glob(filepath.Join(w.data(), "journal", "*", "dockerd-log*")); len(others) > 0 {
		t.Errorf("dockerd's log was read: %v", others)
	}
}
