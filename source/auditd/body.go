package auditd

import (
	"errors"
	"fmt"
	"path"

	"tidewaiter/event"
)

// Faults of an event that lacks a record.
var (
	errNoSockaddr = errors.New("connect without its SOCKADDR record")
	errNoName     = errors.New("system call of an architecture without a table: auditd's log_format=ENRICHED names it")
	errNoFlags    = errors.New("openat2 without its OPENAT2 record, which Linux before 5.16 does not write: its flags are unknown")
)

// body makes what g says into an event's body. nil without an error means that
// it says nothing that anybody wants. The kernel writes EXECVE only for a program
// that was started, so it names the call where nothing else does.
func (d *decoder) body(g *group) (event.Body, error) {
	switch c := g.syscall.call; {
	case c.executes(), c == callUnknown && g.have&hasExecve != 0:
		return d.process(g), nil
	case c == callConnect:
		return d.socket(g)
	case c == callUnknown:
		return nil, errNoName
	default:
		return d.fileWrite(g)
	}
}

// strings copies short pieces of text into one string and cuts it up again: one
// allocation for the event, and nothing of the group is held.
func (d *decoder) strings(parts [5][]byte) (s [5]string) {
	b := d.scratch[:0]
	for _, p := range parts {
		b = append(b, p...)
	}
	d.scratch = b
	all := string(b)
	for i, p := range parts {
		s[i], all = all[:len(p)], all[len(p):]
	}
	return s
}

// process makes the body of a program's start.
func (d *decoder) process(g *group) *event.Process {
	sys := &g.syscall
	var dev []byte
	if p := g.path(0); p != nil {
		dev = g.bytes(p.dev)
	}
	s := d.strings([5][]byte{g.bytes(sys.exe), g.bytes(sys.comm), g.bytes(g.cwd), g.bytes(sys.tty), dev})
	p := &event.Process{
		PID: sys.pid, PPID: sys.ppid,
		Exe: s[0], Comm: s[1], Cwd: s[2], TTY: s[3], Device: s[4],
		UID: sys.uid, AUID: sys.auid, Session: sys.ses,
	}
	p.Args, p.ArgsTruncated = g.argv()
	p.Script = g.script(p)
	return p
}

// argv is the program's arguments: from EXECVE, or if that was lost or filtered
// from PROCTITLE.
func (g *group) argv() (args []string, truncated bool) {
	if g.have&hasExecve != 0 {
		return g.args.build()
	}
	title := g.bytes(g.title)
	if string(title) == "(null)" { // the kernel quotes its own word for none
		title = nil
	}
	return titleArgs(title)
}

// script is the path of the script that was started, "" if the program was
// none.
//
// The kernel opens the script first, so it is PATH item 0, then the interpreter
// that its first line names, which becomes exe and argv[0]; the script's path
// follows in argv after at most one option per interpreter (fs/binfmt_script.c
// and bprm_change_interp in fs/exec.c). A program with many names, such as
// busybox, has another exe than item 0 too, but opens no interpreter: only its
// loader, or nothing.
func (g *group) script(p *event.Process) string {
	file := g.path(0)
	if file == nil || file.name.n == 0 || len(p.Args) < 2 {
		return ""
	}
	name := g.bytes(file.name)
	if string(name) == p.Exe || string(name) == p.Args[0] || !g.interpreted(p) {
		return ""
	}
	for _, arg := range p.Args[1:min(len(p.Args), 1+2*maxInterpreters)] {
		if arg == string(name) {
			return absolute(p.Cwd, arg, g.syscall.call != callExecveat || atCwd(g.syscall.a0))
		}
	}
	return ""
}

// maxInterpreters is how often an interpreter may itself be a script
// (exec_binprm in fs/exec.c).
const maxInterpreters = 5

// interpreted reports whether a file besides the program itself was opened that
// is argv[0] or exe. If all PATH records but the first were lost, their number
// has to do.
func (g *group) interpreted(p *event.Process) bool {
	others := 0
	for i := range g.paths {
		if g.paths[i].item == 0 {
			continue
		}
		others++
		if name := g.bytes(g.paths[i].name); string(name) == p.Args[0] || string(name) == p.Exe {
			return true
		}
	}
	return others == 0 && g.syscall.items > 1
}

// socket makes the body of a connection. An attempt that failed before an
// address was read, and a family that is not read, give none.
func (d *decoder) socket(g *group) (event.Body, error) {
	sys := &g.syscall
	success := sys.ok || sys.exit == inProgress
	if g.have&hasSockaddr == 0 {
		if !success {
			return nil, nil
		}
		return nil, errNoSockaddr
	}
	addr := decodeSockaddr(g.bytes(g.saddr))
	if addr == (address{}) {
		return nil, nil
	}
	s := d.strings([5][]byte{g.bytes(sys.exe), g.bytes(sys.comm), g.bytes(g.cwd)})
	if addr.unix != "" && addr.unix[0] != '@' {
		addr.unix = absolute(s[2], addr.unix, true)
	}
	return &event.Socket{
		PID: sys.pid, PPID: sys.ppid, Exe: s[0], Comm: s[1],
		UID: sys.uid, AUID: sys.auid,
		Addr: addr.inet, Path: addr.unix, Success: success,
	}, nil
}

// fileWrite makes the body of a file that was opened for writing, created, or
// renamed to.
func (d *decoder) fileWrite(g *group) (event.Body, error) {
	sys := &g.syscall
	p, created := g.target()
	switch {
	case created:
	case sys.call == callOpenat2 && g.have&hasOpenat2 == 0:
		return nil, errNoFlags
	case !sys.call.renames() && !g.opensForWriting():
		return nil, nil
	case p == nil && g.allPaths(): // no name, or renamed to a name it had
		return nil, nil
	case p == nil:
		return nil, fmt.Errorf("%v without the PATH record of its file", sys.call)
	}
	s := d.strings([5][]byte{g.bytes(sys.exe), g.bytes(g.cwd), g.bytes(p.name)})
	return &event.FileWrite{
		PID: sys.pid, PPID: sys.ppid, Exe: s[0],
		Path: absolute(s[1], s[2], g.fromCwd()),
		UID:  sys.uid, AUID: sys.auid,
	}, nil
}

// opensForWriting reads the flags of the open family.
func (g *group) opensForWriting() bool {
	switch g.syscall.call {
	case callCreat:
		return true
	case callOpen:
		return writes(g.syscall.a1)
	case callOpenat:
		return writes(g.syscall.a2)
	case callOpenat2:
		return writes(g.oflag)
	}
	return false
}

// target is the PATH record of the file: the last one that was created, else
// for an open the last one that was there. created is set in the first case,
// which says by itself that a file was written, whatever the flags.
func (g *group) target() (target *pathRecord, created bool) {
	renames := g.syscall.call.renames()
	for i := range g.paths {
		p := &g.paths[i]
		if p.name.n == 0 || p.kind == pathOther || renames && p.kind == pathNormal {
			continue
		}
		isCreate := p.kind == pathCreate
		if target == nil || isCreate && !created || isCreate == created && p.item > target.item {
			target, created = p, isCreate
		}
	}
	return target, created
}

// fromCwd reports whether a relative path counts from the working directory, and
// not from a directory that was opened before and that no record names.
func (g *group) fromCwd() bool {
	switch g.syscall.call {
	case callOpenat, callOpenat2:
		return atCwd(g.syscall.a0)
	case callRenameat:
		return atCwd(g.syscall.a2)
	}
	return true
}

// absolute makes a path absolute, if it can be, and plain: without "//", "." and
// "..". Dots are resolved by the text alone, as the record does not tell
// symbolic links. A path that counts from an unknown directory stays relative:
// a wrong absolute path would be a guess.
func absolute(cwd, name string, fromCwd bool) string {
	switch {
	case name == "":
		return ""
	case name[0] == '/':
		return path.Clean(name)
	case fromCwd && len(cwd) > 0 && cwd[0] == '/':
		return path.Join(cwd, name)
	}
	return name
}
