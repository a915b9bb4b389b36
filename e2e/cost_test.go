//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// What a program's start costs the workload, in processor time, without a sensor,
// with the daemon's, and with auditd and a rule for programs, in turn: the
// workload on one core, who watches on the other. TIDEWAITER_COST says how many
// rounds. Nothing is asserted: other jobs share the machine.
func TestWhatAStartCosts(t *testing.T) {
	rounds, err := strconv.Atoi(os.Getenv("TIDEWAITER_COST"))
	if err != nil {
		t.Skip("TIDEWAITER_COST is not set; it says how many rounds are run")
	}
	l := newLab(t)
	const starts = 3000
	storm := func() time.Duration {
		cmd := exec.Command("taskset", "-c", "0", "/bin/busybox", "sh", "-c", "i=0; while [ $i -lt "+strconv.Itoa(starts)+" ]; do /bin/busybox true; i=$((i+1)); done")
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()) / starts
	}
	costs := map[string][]time.Duration{}
	for range rounds {
		costs["nobody"] = append(costs["nobody"], storm())

		w := newWatcher(t, "data: DATA\nhost: h\nlisten: \"off\"\nsensors: {defaults: false, ebpf: {enabled: true}}\n")
		w.start()
		time.Sleep(2 * time.Second)
		exec.Command("taskset", "-a", "-p", "-c", "1", strconv.Itoa(w.cmd.Process.Pid)).Run()
		costs["the daemon"] = append(costs["the daemon"], storm())
		w.end(syscall.SIGTERM)

		l.record("cost" + strconv.Itoa(len(costs["nobody"])))
		for _, r := range l.recorders {
			exec.Command("taskset", "-a", "-p", "-c", "1", strconv.Itoa(r.Process.Pid)).Run()
		}
		costs["auditd"] = append(costs["auditd"], storm())
		l.stop()
	}
	median := func(who string) time.Duration {
		slices.Sort(costs[who])
		return costs[who][len(costs[who])/2]
	}
	base := median("nobody")
	for _, who := range []string{"nobody", "the daemon", "auditd"} {
		t.Logf("%-10s %v for a start, ×%.2f (%v)", who, median(who), float64(median(who))/float64(base), costs[who])
	}
}
