package sensor

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// InNetNS calls a function in the network namespace of a file descriptor, 0 for
// this process's own: sockets that it makes, and /proc/sys/net, are that one's.
// The thread goes back afterwards. It must not end, as what was started by it
// may end with it (PR_SET_PDEATHSIG); only where it cannot go back it has to.
func InNetNS(ns int, call func() error) error {
	if ns == 0 {
		return call()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		own, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer own.Close()
		if err = unix.Setns(ns, unix.CLONE_NEWNET); err == nil {
			err = call()
		}
		done <- err
		if unix.Setns(int(own.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return <-done
}
