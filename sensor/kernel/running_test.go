//go:build linux && (amd64 || arm64)

package kernel

import (
	"os"
	"slices"
	"strconv"
	"testing"
)

func TestReadStat(t *testing.T) {
	const rest = " S 4700 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8100 9"
	for text, want := range map[string]record{
		"4711 (app)" + rest:        {comm: []byte("app"), ppid: 4700, since: 81_000_000_000},
		"4711 (a) R (b (c)" + rest: {comm: []byte("a) R (b (c"), ppid: 4700, since: 81_000_000_000},
	} {
		var r record
		if !r.readStat([]byte(text)) || string(r.comm) != string(want.comm) || r.ppid != want.ppid || r.since != want.since {
			t.Errorf("%s: %+v", text, r)
		}
	}
	for _, text := range []string{"", "4711", "4711 )(", "4711 (app) S 1", "4711 (app)" + rest[:20], "4711 (app) S x 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8100 9"} {
		if new(record).readStat([]byte(text)) {
			t.Errorf("%q is read", text)
		}
	}
}

func TestReadGroups(t *testing.T) {
	for text, want := range map[string][2]string{
		"0::/system.slice/x.service\n":              {"/system.slice/x.service", ""},
		"8:pids:/docker/x\n4:memory:/y\n0::/\n":     {"/docker/x", ""},
		"8:cpu,pids:/docker/x\n0::/docker/x:y\n":    {"/docker/x", "/docker/x:y"},
		"8:pidsy:/docker/x\n1:name=systemd:/z\nx\n": {"", ""},
	} {
		var r record
		if r.readGroups([]byte(text)); string(r.text[pieceCgroup]) != want[0] || string(r.text[pieceCgroup2]) != want[1] {
			t.Errorf("%q: %q %q", text, r.text[pieceCgroup], r.text[pieceCgroup2])
		}
	}
}

func TestUnifiedMounts(t *testing.T) {
	const text = "25 30 0:23 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n" +
		"34 25 0:29 / /sys/fs/cgroup/unified rw master:9 propagate_from:2 - cgroup2 cgroup2 rw\n" +
		"35 25 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n" +
		"36 25 0:29 / /x rw - cgroup2 cgroup2 rw\n-\n- cgroup2\n"
	if got := unifiedMounts([]byte(text)); !slices.Equal(got, []string{"/sys/fs/cgroup/unified", "/x"}) {
		t.Error(got)
	}
}

// This process is found as it knows itself.
func TestReadProcess(t *testing.T) {
	r := readProcess("/proc/self")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if r == nil || int(r.ppid) != os.Getppid() || string(r.text[pieceExe]) != self || int(r.uid) != os.Geteuid() || r.since <= 0 || len(r.text[pieceCgroup]) == 0 {
		t.Errorf("%+v", r)
	}
	if readProcess("/proc/"+strconv.Itoa(1<<22+1)) != nil || readProcess("/proc/2") != nil && os.Geteuid() == 0 {
		t.Error("what is no process, or the kernel's own, is told")
	}
}
