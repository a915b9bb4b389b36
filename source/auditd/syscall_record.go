package auditd

// syscallParser reads one SYSCALL record. What it needs stands in this order
// since Linux 2.6: "arch=c000003e syscall=59 success=yes exit=0 a0=… a3=…
// items=2 ppid=… pid=… auid=… uid=… tty=… ses=… comm=… exe=…"; the subject, the
// rule's key and the enriched part follow.
type syscallParser struct {
	syscallRecord
	g *group // keeps the strings

	seen      fieldSet
	arch      uint64
	number    int64
	name      []byte // of the call, where the record has it: see setNumber
	comm, exe value
	tty       value
}

// fieldSet marks the fields that an event cannot do without: they would read as
// zero if the line was cut, and pid 0 is the kernel and uid 0 is root.
type fieldSet uint8

const (
	seenCall fieldSet = 1 << iota
	seenPid
	seenExe
	seenAll = seenCall | seenPid | seenExe
)

// parse fails with errCutSyscall or errLongText. Nothing is stored then.
func (p *syscallParser) parse(body []byte) error {
	p.items, p.uid, p.auid, p.ses = -1, -1, -1, -1
	f := fields{b: body}
	for {
		key, v, ok := f.next()
		if !ok {
			break
		}
		if v.form == cut {
			return errCutSyscall
		}
		if done := p.field(key, v, &f); done {
			break
		}
	}
	if p.seen != seenAll {
		return errCutSyscall
	}
	p.resolve()
	if p.call == callOther {
		return nil // nobody will ask for its strings
	}
	return p.keepStrings()
}

// field takes one field and passes over unwanted ones behind it. done is set at
// the last one that is wanted.
func (p *syscallParser) field(key []byte, v value, f *fields) (done bool) {
	switch string(key) {
	case "arch":
		p.arch = v.hex64()
	case "syscall":
		p.setNumber(v)
	case "success":
		p.ok = string(v.text) == "yes"
	case "exit":
		p.exit, _ = v.signed()
	case "a0":
		p.a0 = v.hex64()
	case "a1":
		p.a1 = v.hex64()
	case "a2":
		p.a2 = v.hex64()
		f.skipTo(" items=") // a3
	case "items":
		if n, ok := v.decimal(); ok {
			p.items = int(n)
		}
	case "ppid":
		p.ppid = max(v.id(), 0)
	case "pid":
		if n, ok := v.decimal(); ok && n > 0 && n < unset {
			p.pid = int(n)
			p.seen |= seenPid
		}
	case "auid":
		p.auid = v.id()
	case "uid":
		p.uid = v.id()
		f.skipTo(" tty=") // gid euid suid fsuid egid sgid fsgid
	case "tty":
		p.tty = v
	case "ses":
		p.ses = v.id()
	case "comm":
		p.comm = v
	case "exe":
		p.exe = v
		p.seen |= seenExe
		return p.resolve() // with a known call, the rest tells nothing more
	case "SYSCALL": // the enriched part, which counts where the number does not
		p.name = v.text
		return true
	}
	return false
}

// setNumber reads the call's number; a log that was interpreted on the way has
// the name instead.
func (p *syscallParser) setNumber(v value) {
	n, ok := v.decimal()
	if !ok {
		p.name = v.text
	}
	p.number = n
	p.seen |= seenCall
}

// resolve finds out which call it is; false if nothing has told yet.
func (p *syscallParser) resolve() bool {
	if p.name != nil {
		p.call = callNamed(p.name)
		return true
	}
	c, known := callOf(p.arch, p.number, p.a0)
	if !known {
		c = callUnknown
	}
	p.call = c
	return known
}

// keepStrings stores the strings in the group.
func (p *syscallParser) keepStrings() error {
	start := len(p.g.text)
	for _, s := range []struct {
		v   value
		dst *ref
	}{{p.exe, &p.syscallRecord.exe}, {p.comm, &p.syscallRecord.comm}, {p.tty, &p.syscallRecord.tty}} {
		r, err := p.g.keep(s.v)
		if err != nil {
			p.g.text = p.g.text[:start]
			return err
		}
		*s.dst = r
	}
	return nil
}
