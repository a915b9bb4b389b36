package app

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// needed are the capabilities that sensors need, see capabilities(7): to load
// eBPF programs and read what they see, to listen to connection tracking, audit
// and packets, to set our own audit rules, and to read others' processes, sockets
// and log files.
var needed = []int{
	unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_AUDIT_READ, unix.CAP_AUDIT_CONTROL,
	unix.CAP_DAC_READ_SEARCH, unix.CAP_SYS_PTRACE,
}

// Confine gives up, in every thread and for good, the capabilities that watching
// does not need, and gaining new ones by running programs. As another user than
// root there is nothing to give up. elsewhere says that sensors watch in other
// network namespaces, which takes CAP_SYS_ADMIN. It fails with ErrNotConfined, and
// with what the system says.
func Confine(elsewhere bool) error {
	if os.Geteuid() != 0 {
		return nil
	}
	keep := uint64(0)
	for _, c := range needed {
		keep |= 1 << c
	}
	if elsewhere {
		keep |= 1 << unix.CAP_SYS_ADMIN
	}
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno == syscall.ENOTSUP {
		return ErrNotConfined
	} else if errno != 0 {
		return fmt.Errorf("give up gaining privileges: %w", errno)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if err := unix.Capget(&header, &have[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if have[0].Effective&(1<<unix.CAP_SETPCAP) != 0 {
		for c := 0; c <= unix.CAP_LAST_CAP; c++ {
			if keep&(1<<c) == 0 { // of those that the kernel does not know it says so
				syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0, 0)
			}
		}
	}
	var next [2]unix.CapUserData
	for i := range next {
		mask := uint32(keep >> (32 * i))
		next[i] = unix.CapUserData{Effective: have[i].Effective & mask, Permitted: have[i].Permitted & mask}
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&next[0])), 0)
	runtime.KeepAlive(&next)
	if errno != 0 {
		return fmt.Errorf("give up capabilities: %w", errno)
	}
	return nil
}
