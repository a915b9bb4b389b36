// Package ebpf reads the event logs of sensors that watch the kernel through
// eBPF and know containers and pods themselves: Tetragon and Tracee, and
// tidewaiter's own, which knows containers only.
//
// In: JSON, one event after another. Out: event.Process for a program that was
// started, event.Socket for a connection that was asked for, event.FileWrite
// for a file that was opened for writing, written or renamed to, event.DNS for
// a name that was looked up, event.Task and event.PodStatus for a container's
// start and what it is, and event.Loss where the sensor states that it dropped
// events. Whose it was goes into the container id and the PodRef.
//
// Process ids are those of the node, never those inside a container. The
// environment of a process is never read: it holds secrets.
package ebpf

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// Bounds on what is taken from one record. Longer argument lists are cut, and
// the event says so; a longer path or name makes the record unreadable.
const (
	maxArgs     = 256
	maxArgBytes = 64 << 10
	maxPath     = 4096 // PATH_MAX
	maxName     = 512  // of a pod, container, node, or host name in DNS
	maxAnswers  = 256  // addresses and names in one DNS answer
	maxPID      = 1<<31 - 1
)

// Faults of a record.
var (
	errNotObject = errors.New("not a JSON object")
	errLongPath  = fmt.Errorf("path is longer than %d bytes", maxPath)
	errLongName  = fmt.Errorf("name is longer than %d bytes", maxName)
)

// actor is the process that did something.
type actor struct {
	pid, ppid int
	uid, auid int
	exe, comm string
	cwd       string
	container string
	of        event.PodRef
}

// check holds the strings to their bounds.
func (a *actor) check() error {
	if len(a.exe) > maxPath || len(a.cwd) > maxPath {
		return errLongPath
	}
	for _, s := range []string{
		a.comm, a.container, a.of.Namespace, a.of.Pod, a.of.UID, a.of.Container, a.of.Image.Raw(),
		a.of.Workload.Kind, a.of.Workload.Name, a.of.Node,
	} {
		if len(s) > maxName {
			return errLongName
		}
	}
	return nil
}

func (a *actor) socket(addr endpoint, success bool) *event.Socket {
	return &event.Socket{
		PID: a.pid, PPID: a.ppid, Exe: a.exe, Comm: a.comm, UID: a.uid, AUID: a.auid,
		Addr: addr.inet, Path: addr.unix, Success: success, Container: a.container, Of: a.of.Told(),
	}
}

func (a *actor) fileWrite(name string) (event.Body, error) {
	if len(name) > maxPath {
		return nil, errLongPath
	}
	return &event.FileWrite{
		PID: a.pid, PPID: a.ppid, Exe: a.exe, Path: name, UID: a.uid, AUID: a.auid, Container: a.container, Of: a.of.Told(),
	}, nil
}

// object is what an event was about: it tells apart what one thread did within
// one tick of the record's clock.
func object(body event.Body) string {
	switch b := body.(type) {
	case *event.Socket:
		if b.Path != "" {
			return b.Path
		}
		return b.Addr.String()
	case *event.FileWrite:
		return b.Path
	case *event.DNS:
		return b.Query + "|" + b.Type + "|" + b.Code
	}
	return ""
}

// userID is a user or login id, -1 when it is missing or (uint32)-1: not set.
func userID(v jsonrecord.Value) int {
	n, ok := v.Int()
	if !ok || n < 0 || n >= 1<<32-1 {
		return -1
	}
	return int(n)
}

// processID reads a process id; 0 is the kernel itself. missing says that
// there is none, which is a fault only where an event needs it.
func processID(v jsonrecord.Value) (pid int, missing bool, err error) {
	if v.IsNull() {
		return 0, true, nil
	}
	n, ok := v.Int()
	if !ok || n < 0 || n > maxPID {
		return 0, false, fmt.Errorf("process id %q is not a number from 0 to %d", clip(v.Number()), maxPID)
	}
	return int(n), false, nil
}

// wallTime reads an RFC 3339 time. Tetragon and Tracee count nanoseconds. Protocol
// buffers print none, three, six or nine digits of a fraction, and old versions
// cut it there, so that these tell the resolution; any other number of digits
// is Go's, which drops zeros at the end. A time near 1970 is one that was
// counted from the start of the machine.
func wallTime(what string, v jsonrecord.Value) (event.Time, error) {
	var s []byte
	if v.IsString() {
		s = v.Bytes()
	}
	if len(s) == 0 {
		return event.Time{}, fmt.Errorf("no %s", what)
	}
	t, err := event.ParseRFC3339(s)
	if err != nil {
		return event.Time{}, fmt.Errorf("%s: %w", what, err)
	}
	if t.At < oldest {
		return event.Time{}, fmt.Errorf("%s %q lies before 2001: it is not a wall clock's", what, clip(string(s)))
	}
	switch t.Res {
	case event.Second, event.Millisecond, event.Microsecond:
	default:
		t.Res = event.Nanosecond
	}
	return t, nil
}

// oldest is 10^18 ns, in September 2001: a smaller time was counted from the
// start of a machine.
const oldest = 1_000_000_000 * event.Second

// endpoint is what a socket address names: one of the two is set, or none for
// a family that is not read.
type endpoint struct {
	inet netip.AddrPort
	unix string
}

// isZero reports whether the address says nothing: of another family, or of a
// socket that has none yet.
func (e endpoint) isZero() bool {
	return e.unix == "" && (!e.inet.IsValid() || e.inet.Addr().IsUnspecified() && e.inet.Port() == 0)
}

// inetEndpoint reads an address and a port. An IPv4 address in IPv6 clothing
// is IPv4 on the wire; a scope numbers an interface of one network name space.
func inetEndpoint(addr string, port jsonrecord.Value) (endpoint, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return endpoint{}, fmt.Errorf("%q is not an IP address", clip(addr))
	}
	n := int64(0)
	if !port.IsNull() {
		var ok bool
		if n, ok = port.Int(); !ok || n < 0 || n > 65535 {
			return endpoint{}, fmt.Errorf("port %q is not a number from 0 to 65535", clip(port.Number()))
		}
	}
	return endpoint{inet: netip.AddrPortFrom(ip.Unmap().WithZone(""), uint16(n))}, nil
}

// unixEndpoint is a path, or "@name" in the abstract name space.
func unixEndpoint(name string) (endpoint, error) {
	if len(name) > maxPath {
		return endpoint{}, errLongPath
	}
	if rest, ok := strings.CutPrefix(name, "\x00"); ok {
		if rest = strings.TrimRight(rest, "\x00"); rest == "" {
			return endpoint{}, nil
		}
		name = "@" + strings.ReplaceAll(rest, "\x00", "@")
	}
	return endpoint{unix: strings.TrimRight(name, "\x00")}, nil
}

// Flags of open, the same on x86-64 and aarch64
// (include/uapi/asm-generic/fcntl.h).
const (
	openAccess  = 0o3 // O_WRONLY, O_RDWR, or both
	openTrunc   = 0o1000
	openPath    = 0o10000000 // O_PATH: every other flag is ignored
	openTmpfile = 0o20000000 // __O_TMPFILE: a file without a name
)

// opensForWriting reads the flags of open, as a number or by their names
// ("O_WRONLY|O_CREAT"). O_CREAT alone writes nothing to a file that was there.
// ok is false if they are neither.
func opensForWriting(v jsonrecord.Value) (writes, ok bool) {
	if n, isInt := v.Int(); isInt {
		return n&(openPath|openTmpfile) == 0 && n&(openAccess|openTrunc) != 0, true
	}
	names := v.String()
	if !strings.Contains(names, "O_") {
		return false, false
	}
	for name := range strings.SplitSeq(names, "|") {
		switch strings.TrimSpace(name) {
		case "O_PATH", "O_TMPFILE":
			return false, true
		case "O_WRONLY", "O_RDWR", "O_TRUNC":
			writes = true
		}
	}
	return writes, true
}

// atCwd is AT_FDCWD: a relative path counts from the working directory.
const atCwd = -100

// absolute makes a path absolute, if it can be, and plain. A path that counts
// from an unknown directory stays as it is: a wrong path would be a guess.
func absolute(cwd, name string) string {
	switch {
	case name == "":
		return ""
	case name[0] == '/':
		return path.Clean(name)
	case strings.HasPrefix(cwd, "/"):
		return path.Join(cwd, name)
	}
	return name
}

// boundArgs holds argv to its bounds.
func boundArgs(args []string) (kept []string, cut bool) {
	if len(args) > maxArgs {
		args, cut = args[:maxArgs], true
	}
	room := maxArgBytes
	for i, a := range args {
		if len(a) > room {
			args[i] = strings.Clone(a[:room])
			return args[:i+1], true
		}
		room -= len(a)
	}
	return args, cut
}

// containerID takes the runtime's name off a container id
// ("containerd://…", "docker://…", "cri-o://…").
func containerID(s string) string {
	if _, id, ok := strings.Cut(s, "://"); ok {
		return id
	}
	return s
}

// parsePID reads a process id inside other text; 0 if it is none.
func parsePID(s string) int {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return int(n)
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
