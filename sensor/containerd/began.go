package containerd

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tick is in what the kernel tells times of processes: USER_HZ is 100 on every
// architecture that containerd runs on.
const tick = 10 * time.Millisecond

// began is when a container's process began, as text to the tick; "" if that
// cannot be told. containerd does not know. The process must be in a control
// group of the container's name: here, its number may be another's.
func (w *watch) began(pid uint32, container string) string {
	dir := filepath.Join(w.proc, strconv.FormatUint(uint64(pid), 10))
	groups, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil || !strings.Contains(string(groups), container) {
		return ""
	}
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return ""
	}
	ticks, ok := startTicks(string(stat))
	var up unix.Timespec
	if !ok || unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) != nil {
		return ""
	}
	boot := time.Now().Add(-time.Duration(up.Nano()))
	return boot.Add(time.Duration(ticks) * tick).UTC().Truncate(tick).Format("2006-01-02T15:04:05.00Z07:00")
}

// startTicks reads the 22nd field of /proc/PID/stat. The second is the
// program's name in brackets, which may hold any character.
func startTicks(stat string) (int64, bool) {
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, false
	}
	fields := strings.Fields(stat[end+1:])
	const starttime = 22 - 3
	if len(fields) <= starttime {
		return 0, false
	}
	n, err := strconv.ParseInt(fields[starttime], 10, 64)
	return n, err == nil && n >= 0
}
