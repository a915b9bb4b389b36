package audit

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tidewaiter/sensor"
)

// socket receives what the kernel tells every listener.
type socket struct {
	file *os.File
	buf  []byte
	// certain says that it is known to be in the host's network name space:
	// only there does the kernel tell anything.
	certain bool
}

// maxMessage is the longest record (MAX_AUDIT_MESSAGE_LENGTH of the audit
// project) with its head.
const maxMessage = 8970 + unix.NLMSG_HDRLEN

// initialPIDs is the name space in which the host's processes have their ids
// (PROC_PID_INIT_INO).
const initialPIDs = "pid:[4026531836]"

// hostNetwork is the network name space of kthreadd, which has this number on
// every host and stays where the kernel began. What is process 1 may forbid to
// be looked at.
const hostNetwork = "/proc/2/ns/net"

// listen opens the socket. An error is a *sensor.Lack unless it can pass by
// itself.
func listen(buffer int) (*socket, error) {
	s := &socket{buf: make([]byte, maxMessage)}
	pids, err := os.Readlink("/proc/self/ns/pid")
	hosts := err == nil && pids == initialPIDs
	own, err := os.Readlink("/proc/self/ns/net")
	first, err1 := os.Readlink(hostNetwork)
	s.certain = hosts && err == nil && err1 == nil
	var fd int
	if s.certain && own != first {
		fd, err = openWithin(hostNetwork)
	} else {
		fd, err = open()
	}
	if err != nil {
		return nil, err
	}
	// The first is refused without CAP_NET_ADMIN, and then the second gives
	// what it may.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer); err != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)
	}
	s.file = os.NewFile(uintptr(fd), "audit")
	return s, nil
}

// open opens a socket in this thread's network name space.
func open() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_AUDIT)
	switch {
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EINVAL):
		return -1, &sensor.Lack{What: "the kernel has no audit system", Mend: "a kernel with CONFIG_AUDIT and CONFIG_AUDITSYSCALL", Err: err}
	case err != nil:
		return -1, fmt.Errorf("opening an audit socket: %w", err)
	}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.AUDIT_NLGRP_READLOG - 1)})
	if err == nil {
		return fd, nil
	}
	_ = unix.Close(fd)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return -1, &sensor.Lack{What: "no right to read audit records", Mend: "run as root, or with CAP_AUDIT_READ, in the host's user name space", Err: err}
	}
	return -1, fmt.Errorf("listening to audit records: %w", err)
}

// openWithin opens a socket in another network name space, in which it stays.
func openWithin(space string) (fd int, err error) {
	type opened struct {
		fd  int
		err error
	}
	done := make(chan opened)
	go func() {
		// It is never unlocked: the thread ends with the goroutine, so that
		// nothing else runs in that name space.
		runtime.LockOSThread()
		fd, err := openEntered(space)
		done <- opened{fd, err}
	}()
	o := <-done
	return o.fd, o.err
}

func openEntered(space string) (int, error) {
	lack := func(err error) error {
		return &sensor.Lack{What: "not in the host's network name space, the only one in which the kernel tells audit records", Mend: "run in the host's network, or with CAP_SYS_ADMIN", Err: err}
	}
	at, err := unix.Open(space, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, lack(err)
	}
	defer unix.Close(at)
	if err := unix.Setns(at, unix.CLONE_NEWNET); err != nil {
		return -1, lack(err)
	}
	return open()
}

// errOverflow is that the kernel had no room in the socket's buffer.
var errOverflow = errors.New("the socket's buffer is full")

// receive waits until something comes, but not longer than a deadline, and
// gives each record that waits to add, which returns false to stop. It fails
// with os.ErrDeadlineExceeded or errOverflow.
func (s *socket) receive(add func(typ uint16, text []byte) bool) error {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		for some := false; ; some = true {
			n, from, err := unix.Recvfrom(int(fd), s.buf, unix.MSG_DONTWAIT)
			switch {
			case errors.Is(err, unix.EINTR):
				continue
			case errors.Is(err, unix.EAGAIN):
				return some
			case errors.Is(err, unix.ENOBUFS):
				failed = errOverflow
				return true
			case err != nil:
				failed = fmt.Errorf("reading audit records: %w", err)
				return true
			}
			if typ, text, ok := message(s.buf[:n], from); ok && !add(typ, text) {
				return true
			}
		}
	})
	if err != nil {
		return err
	}
	return failed
}

// message cuts a message of the kernel. Those of others, who may write to any
// socket of this kind, are not ok. The length in the head is not looked at:
// kernels have counted the head in and not.
func message(b []byte, from unix.Sockaddr) (typ uint16, text []byte, ok bool) {
	sender, known := from.(*unix.SockaddrNetlink)
	if !known || sender.Pid != 0 || len(b) < unix.NLMSG_HDRLEN {
		return 0, nil, false
	}
	h := (*unix.NlMsghdr)(unsafe.Pointer(&b[0]))
	return h.Type, b[unix.NLMSG_HDRLEN:], true
}

// drops are the records that found no room in the socket's buffer since it was
// opened; ok is false before Linux 4.12, which does not tell.
func (s *socket) drops() (n uint32, ok bool) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return 0, false
	}
	var info [unix.SK_MEMINFO_VARS]uint32
	size := uint32(unsafe.Sizeof(info))
	err = raw.Control(func(fd uintptr) {
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		ok = errno == 0 && size > 4*unix.SK_MEMINFO_DROPS
	})
	return info[unix.SK_MEMINFO_DROPS], ok && err == nil
}

// until sets how long receive waits.
func (s *socket) until(t time.Time) error { return s.file.SetReadDeadline(t) }

func (s *socket) close() { _ = s.file.Close() }
