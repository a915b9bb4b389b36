//go:build linux && (amd64 || arm64)

package kernel

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tidewaiter/sensor"
)

// initialPIDs is what links to the name space of the host's process ids
// (include/linux/proc_ns.h).
const initialPIDs = "pid:[4026531836]"

// perSecond is in what the kernel tells when a process began (USER_HZ, the same
// on every architecture that this is built for).
const perSecond = 100

// maxBegan is more than a machine runs, and few enough to count nanoseconds.
const maxBegan = 1 << 39

// running tells what runs already, once the programs are there: what begins
// later they tell, and what began before is listed. A process that runs what its
// parent runs is left out, as it started no program.
func (w *watching) running() *sensor.Lack {
	lack := func(mend string, err error) *sensor.Lack {
		return &sensor.Lack{What: "what runs already is not known", Mend: mend, Err: err}
	}
	// In another name space the numbers would be others than the kernel's.
	if own, err := os.Readlink("/proc/self/ns/pid"); err != nil || own != initialPIDs {
		return lack("run with the host's process ids (hostPID, --pid=host)", err)
	}
	folder, err := os.Open("/proc")
	if err != nil {
		return lack("mount /proc", err)
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return lack("mount /proc", err)
	}
	offset, err := clockOffset()
	if err != nil {
		return lack("", err)
	}
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return lack("", err)
	}
	found := map[uint32]*record{}
	for _, name := range names {
		pid, err := strconv.ParseUint(name, 10, 31)
		if err != nil {
			continue
		}
		if r := readProcess("/proc/" + name); r != nil {
			r.pid, r.at, r.boot = uint32(pid), now.Nano(), strings.TrimSpace(string(boot))
			found[r.pid] = r
		}
	}
	for _, r := range found {
		parent := found[r.ppid]
		if parent != nil && bytes.Equal(parent.text[pieceExe], r.text[pieceExe]) && bytes.Equal(parent.text[pieceArgs], r.text[pieceArgs]) {
			continue
		}
		if w.batch = r.append(w.batch, offset); len(w.batch) >= batchBytes {
			w.out.Record(w.lane, w.batch)
			w.batch = w.batch[:0]
		}
	}
	return nil
}

// readProcess reads one folder of /proc; nil if the process ended meanwhile, or
// is the kernel's own.
func readProcess(dir string) *record {
	r := &record{kind: kindRunning, auid: noID, session: noID}
	if !r.readStat(readSome(dir+"/stat", 4096)) {
		return nil
	}
	exe, _ := os.Readlink(dir + "/exe")
	r.text[pieceExe] = []byte(strings.TrimSuffix(exe, " (deleted)"))
	args := readSome(dir+"/cmdline", maxArgs+1)
	if len(args) > maxArgs {
		args, r.cut = args[:maxArgs], cutArgs
	}
	if r.text[pieceArgs] = args; exe == "" && len(args) == 0 {
		return nil
	}
	var at unix.Stat_t
	if unix.Stat(dir, &at) != nil {
		return nil
	}
	r.uid = at.Uid
	r.auid, r.session = readID(dir+"/loginuid"), readID(dir+"/sessionid")
	r.readGroups(readSome(dir+"/cgroup", 16<<10))
	return r
}

// maxArgs is how much the programs read of a command line, too.
const maxArgs = 4096

// readStat reads /proc/PID/stat: the name is in parentheses, and may hold some
// itself; the parent and the start follow as the second and the twentieth field.
func (r *record) readStat(stat []byte) bool {
	from, to := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if from < 0 || to < from {
		return false
	}
	fields := strings.Fields(string(stat[to+1:]))
	if len(fields) < 20 {
		return false
	}
	ppid, err := strconv.ParseUint(fields[1], 10, 31)
	began, err2 := strconv.ParseInt(fields[19], 10, 64)
	if err != nil || err2 != nil || began < 0 || began > maxBegan {
		return false
	}
	r.comm, r.ppid, r.since = stat[from+1:to], uint32(ppid), began*(1e9/perSecond)
	return true
}

// readGroups reads /proc/PID/cgroup, as the programs tell it: the hierarchy of
// pids, and the unified one where that is another and not the root.
func (r *record) readGroups(text []byte) {
	var pids, unified []byte
	for line := range bytes.Lines(text) {
		parts := bytes.SplitN(bytes.TrimSuffix(line, []byte{'\n'}), []byte{':'}, 3)
		switch {
		case len(parts) < 3:
		case string(parts[0]) == "0":
			unified = parts[2]
		case bytes.Contains(append(append([]byte{','}, parts[1]...), ','), []byte(",pids,")):
			pids = parts[2]
		}
	}
	switch {
	case pids == nil:
		r.text[pieceCgroup] = unified
	case string(unified) == "/":
		r.text[pieceCgroup] = pids
	default:
		r.text[pieceCgroup], r.text[pieceCgroup2] = pids, unified
	}
}

// readSome reads a file of /proc up to a bound; nil if it cannot be read.
func readSome(path string, most int64) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil
	}
	return text
}

// readID reads a file with one id.
func readID(path string) uint32 {
	n, err := strconv.ParseUint(strings.TrimSpace(string(readSome(path, 32))), 10, 32)
	if err != nil {
		return noID
	}
	return uint32(n)
}
