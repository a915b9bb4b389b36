// Package actor makes events of what sensors for many things say of a process:
// Falco, agents that write ECS, and those that write OCSF. What they call it
// differs; the bounds, and what a command line means, don't.
//
// In: an Actor's fields, or JSON records and who reads them. Out: event.Process
// and event.Socket.
package actor

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// Bounds on what is taken from one record. Longer command lines are cut, and
// the event says so; a longer path or name makes the record unreadable.
const (
	maxArgs = 256
	maxLine = 64 << 10
	maxPath = 4096 // PATH_MAX
	maxName = 512
	maxPID  = 1<<31 - 1
)

// Faults of a record.
var (
	ErrNoPID     = errors.New("no process id: without it the process is nobody's")
	ErrNoProgram = errors.New("start of a program without its file and its command line")
	ErrNoAddress = errors.New("connection without the address that it went to")
	errLong      = errors.New("a path or a name is longer than any is")
)

// Actor is the process that did something. What is not known is empty; ids of
// users are -1 then.
type Actor struct {
	PID, PPID int
	// NoPID is set where the source tells the container instead of the process.
	NoPID     bool
	UID, AUID int
	Exe, Comm string
	Cwd, User string
	// Args are the arguments, the program's name first; if there are none, Line
	// is all of them, joined with blanks.
	Args []string
	Line string
	// ParentExe and ParentLine are the parent's.
	ParentExe, ParentLine string
	Container             string
	Of                    event.PodRef
}

func (a *Actor) check() error {
	if a.PID <= 0 && !a.NoPID {
		return ErrNoPID
	}
	for _, s := range []string{a.Exe, a.Cwd, a.ParentExe} {
		if len(s) > maxPath {
			return errLong
		}
	}
	for _, s := range []string{a.Comm, a.User, a.Container, a.Of.Namespace, a.Of.Pod, a.Of.UID, a.Of.Container, a.Of.Node, a.Of.Image.Raw()} {
		if len(s) > maxName {
			return errLong
		}
	}
	if a.PPID == a.PID {
		a.PPID = 0
	}
	return nil
}

// Process is the start of the actor's program.
func (a *Actor) Process() (event.Body, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	args, cut := bounded(a.Args)
	if len(args) == 0 && a.Line != "" {
		line, long := clipped(a.Line)
		args, cut = JoinedArgs(line, maxArgs), long
	}
	cut = cut || len(args) == maxArgs
	if a.Exe == "" && len(args) == 0 {
		return nil, ErrNoProgram
	}
	parent, _ := clipped(a.ParentLine)
	return &event.Process{
		PID: a.PID, PPID: a.PPID, Exe: a.Exe, Comm: a.Comm, Args: args, ArgsTruncated: cut, Cwd: a.Cwd, UID: a.UID, AUID: a.AUID, Session: -1,
		Container: a.Container, Of: a.Of.Told(), User: a.User, ParentExe: a.ParentExe, ParentCommand: parent,
	}, nil
}

// Socket is a connection that the actor asked for.
func (a *Actor) Socket(to netip.AddrPort, success bool) (event.Body, error) {
	if !to.IsValid() || to.Addr().IsUnspecified() {
		return nil, ErrNoAddress
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	return &event.Socket{
		PID: a.PID, PPID: a.PPID, Exe: a.Exe, Comm: a.Comm, UID: a.UID, AUID: a.AUID,
		Addr: to, Success: success, Container: a.Container, Of: a.Of.Told(),
	}, nil
}

func clipped(line string) (string, bool) {
	if len(line) > maxLine {
		return strings.Clone(line[:maxLine]), true
	}
	return line, false
}

func bounded(args []string) (kept []string, cut bool) {
	room := maxLine
	for i, arg := range args {
		if i == maxArgs || len(arg) > room {
			return kept, true
		}
		room -= len(arg)
		kept = append(kept, arg)
	}
	return kept, false
}

// shells take a script behind -c.
var shells = []string{"sh", "bash", "dash", "ash", "ksh", "zsh"}

// JoinedArgs cuts a command line of Linux whose arguments were joined with
// blanks, and quoted nowhere. What stands behind a shell's -c is one argument,
// the script: to cut it would show another command than the one that ran. At
// most so many are given.
func JoinedArgs(line string, most int) []string {
	args := strings.Fields(line)
	if len(args) > most {
		args = args[:most]
	}
	if len(args) < 3 || !slices.Contains(shells, event.ProgramName(args[0])) {
		return args
	}
	for i, a := range args[1 : len(args)-1] {
		switch {
		case !strings.HasPrefix(a, "-"):
			return args
		case len(a) <= 4 && !strings.HasPrefix(a, "--") && strings.HasSuffix(a, "c"):
			_, script, ok := strings.Cut(line, " "+a+" ")
			if !ok {
				return args
			}
			return append(slices.Clone(args[:i+2]), strings.TrimSpace(script))
		}
	}
	return args
}

// PID reads a process id, 0 if there is none.
func PID(v jsonrecord.Value) (int, error) {
	if v.IsNull() {
		return 0, nil
	}
	n, ok := v.Int()
	if !ok || n < 0 || n > maxPID {
		return 0, fmt.Errorf("a process id is no number from 0 to %d", maxPID)
	}
	return int(n), nil
}

// User reads a user's id, -1 if there is none, or it is no number.
func User(v jsonrecord.Value) int {
	n, ok := v.Int()
	if !ok || n < 0 || n >= 1<<32-1 {
		return -1
	}
	return int(n)
}

// Address reads an address and a port; not valid if there is no address.
func Address(ip string, port jsonrecord.Value) (netip.AddrPort, error) {
	if ip == "" {
		return netip.AddrPort{}, nil
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.AddrPort{}, errors.New("an address is none")
	}
	n, ok := port.Int()
	if !port.IsNull() && (!ok || n < 0 || n > 65535) {
		return netip.AddrPort{}, errors.New("a port is no number from 0 to 65535")
	}
	return netip.AddrPortFrom(addr.Unmap().WithZone(""), uint16(n)), nil
}

// Container is a container's id without the scheme of its runtime.
func Container(id string) string {
	if _, rest, ok := strings.Cut(id, "://"); ok {
		return rest
	}
	return id
}
