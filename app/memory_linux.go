package app

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"
)

// giveBack gives the system back what only the start needed: freed memory, and
// the pages of the program's own file. Most of those were touched once, when
// libraries for sinks and clouds were initialised that this host may not use.
// What is needed again comes back from the page cache.
func giveBack() error {
	debug.FreeOSMemory()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	for _, r := range unwritten(maps, exe) {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, r.from, r.to-r.from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("madvise: %w", errno)
		}
	}
	return nil
}

// pages are addresses from, and up to but not including to.
type pages struct{ from, to uintptr }

// unwritten finds the mappings of a file that cannot be written to in maps, see
// proc_pid_maps(5).
func unwritten(maps []byte, file string) (found []pages) {
	for line := range bytes.Lines(maps) {
		fields := bytes.Fields(line)
		if len(fields) < 6 || !bytes.HasSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte(" "+file)) || bytes.IndexByte(fields[1], 'w') >= 0 {
			continue
		}
		from, to, _ := bytes.Cut(fields[0], []byte("-"))
		a, errA := strconv.ParseUint(string(from), 16, 64)
		b, errB := strconv.ParseUint(string(to), 16, 64)
		if errA == nil && errB == nil && a < b {
			found = append(found, pages{uintptr(a), uintptr(b)})
		}
	}
	return found
}
