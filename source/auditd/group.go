package auditd

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"tidewaiter/event"
)

// Bounds of one group.
const (
	maxSpans = 16 // lines cited
	maxPaths = 32 // PATH records kept: execve has three, rename five
	maxItem  = 63 // highest PATH item that is counted
	// maxSpare is the memory in bytes that a group may keep for the next event.
	maxSpare = 16 << 10
)

// eventKey tells events apart. The serial number alone does not: it starts
// again at every boot and after 2^32 events, and every node has its own.
type eventKey struct {
	node   string
	millis int64 // Unix time
	serial uint32
}

// parts is the set of records that a group has.
type parts uint16

const (
	hasSyscall parts = 1 << iota
	hasExecve        // of an event given out: every argument was there
	hasCwd
	hasPath // of an event given out: every PATH record was there
	hasSockaddr
	hasTitle
	hasOpenat2
	hasEnd // EOE was seen
	hasAll = 1<<iota - 1
)

// ref is a piece of a group's text.
type ref struct{ off, n int }

// syscallRecord is what a SYSCALL record says.
type syscallRecord struct {
	call           call
	ok             bool  // success=yes
	exit           int64 // the call's result
	a0, a1, a2     uint64
	items          int // PATH records that belong to it, -1 when not told
	pid, ppid      int
	uid, auid, ses int // -1 when unset
	tty, comm, exe ref
}

// pathKind is what a PATH record's object is to the call.
type pathKind uint8

const (
	pathUntold pathKind = iota // no name type: old kernels print none
	pathNormal
	pathCreate
	pathOther // PARENT, DELETE, UNKNOWN
)

// pathRecord is what a PATH record says.
type pathRecord struct {
	item int
	kind pathKind
	name ref // empty when the kernel had no name
	dev  ref // "MM:mm", or empty
}

// group gathers the records of one event.
type group struct {
	key     eventKey
	have    parts
	syscall syscallRecord
	args    argList
	paths   []pathRecord
	items   uint64 // PATH items seen, one bit each
	cwd     ref
	saddr   ref
	title   ref // command line as PROCTITLE has it
	oflag   uint64
	text    []byte // what the refs point into, the arguments' apart

	records int // lines taken in
	main    event.Span
	spans   [maxSpans]event.Span // the other lines, in the order of the file
	types   [maxSpans]recordType // of those lines
	nspans  int

	begun             uint64 // number in the order of first records
	next, prev, chain *group // in the table
}

// reset empties g for another event; memory of common size is kept.
func (g *group) reset() {
	if cap(g.text) > maxSpare {
		g.text = nil
	}
	if cap(g.args.text) > maxSpare {
		g.args.text = nil
	}
	g.have, g.items = 0, 0
	g.syscall = syscallRecord{}
	g.args.reset()
	g.paths, g.text = g.paths[:0], g.text[:0]
	g.cwd, g.saddr, g.title = ref{}, ref{}, ref{}
	g.records, g.nspans = 0, 0
	g.next, g.prev, g.chain = nil, nil, nil
}

func (g *group) bytes(r ref) []byte { return g.text[r.off : r.off+r.n] }

// Faults of a record's fields.
var (
	errCutSyscall = errors.New("SYSCALL record is cut or damaged: expected syscall=, pid= and exe=")
	errCutPath    = errors.New("PATH record is cut or damaged: expected item= and name=")
	errCutCwd     = errors.New("CWD record is cut or damaged: expected cwd=")
	errCutTitle   = errors.New("PROCTITLE record is cut or damaged: expected proctitle=")
	errCutOpenat2 = errors.New("OPENAT2 record is cut or damaged: expected oflag=OCTAL")
	errLongText   = fmt.Errorf("field is longer than %d bytes", maxText)
)

// add reads one record into g. fresh is false if g had it already, or has no
// room for it: it adds nothing then.
func (g *group) add(typ recordType, body []byte, at event.Span) (fresh bool, err error) {
	switch typ {
	case typeSyscall:
		fresh, err = g.addSyscall(body)
	case typeExecve:
		if fresh, err = g.args.read(body); fresh {
			g.have |= hasExecve
		}
	case typePath:
		fresh, err = g.addPath(body)
	case typeCwd:
		fresh, err = g.addText(hasCwd, "cwd", &g.cwd, body, errCutCwd)
	case typeProctitle:
		fresh, err = g.addText(hasTitle, "proctitle", &g.title, body, errCutTitle)
	case typeSockaddr:
		fresh, err = g.addSockaddr(body)
	case typeOpenat2:
		fresh, err = g.addOpenat2(body)
	case typeEOE:
		fresh = g.have&hasEnd == 0
		g.have |= hasEnd
	}
	if !fresh || err != nil {
		return false, err
	}
	g.records++
	if typ == typeSyscall {
		g.main = at
	} else if g.nspans < maxSpans {
		g.spans[g.nspans], g.types[g.nspans] = at, typ
		g.nspans++
	}
	return true, nil
}

// cite lists g's lines: the SYSCALL record first, then the others as they
// stand in the file, at most maxSpans in all.
func (g *group) cite() []event.Span {
	spans := make([]event.Span, 0, min(g.nspans+1, maxSpans))
	if g.have&hasSyscall != 0 {
		spans = append(spans, g.main)
	}
	return append(spans, g.spans[:min(g.nspans, maxSpans-len(spans))]...)
}

// addSyscall reads a SYSCALL record.
func (g *group) addSyscall(body []byte) (fresh bool, err error) {
	if g.have&hasSyscall != 0 {
		return false, nil
	}
	p := syscallParser{g: g}
	if err := p.parse(body); err != nil {
		return false, err
	}
	g.syscall = p.syscallRecord
	g.have |= hasSyscall
	return true, nil
}

// addText reads the string of a record that has one.
func (g *group) addText(part parts, name string, dst *ref, body []byte, missing error) (fresh bool, err error) {
	if g.have&part != 0 {
		return false, nil
	}
	f := fields{b: body}
	for {
		key, v, ok := f.next()
		if !ok || v.form == cut {
			return false, missing
		}
		if string(key) != name {
			continue
		}
		if *dst, err = g.keep(v); err != nil {
			return false, err
		}
		g.have |= part
		return true, nil
	}
}

// keep stores the string that v stands for.
func (g *group) keep(v value) (ref, error) {
	start := len(g.text)
	text, fits := v.appendText(g.text)
	if !fits {
		return ref{}, errLongText
	}
	g.text = text
	return ref{start, len(text) - start}, nil
}

// addPath reads a PATH record. Nothing is stored before it is known to be
// wanted, so that a repeated record takes no memory.
func (g *group) addPath(body []byte) (fresh bool, err error) {
	var name, dev value
	p := pathRecord{item: -1}
	named := false
	f := fields{b: body}
	for p.kind == pathUntold {
		key, v, ok := f.next()
		if !ok {
			break
		}
		if v.form == cut {
			return false, errCutPath
		}
		switch string(key) {
		case "item":
			if n, ok := v.decimal(); ok {
				p.item = int(n)
			}
		case "name":
			name, named = v, true
			f.skipTo(" dev=") // inode
		case "dev":
			dev = v
			f.skipTo(" nametype=") // mode ouid ogid rdev obj
		case "nametype", "objtype": // objtype in RHEL 7's kernel
			p.kind = pathKindOf(v.text)
		}
	}
	if p.item < 0 || !named {
		return false, errCutPath
	}
	if p.item > maxItem || g.items&(1<<p.item) != 0 || len(g.paths) == maxPaths {
		return false, nil
	}
	if p.name, err = g.keep(name); err != nil {
		return false, err
	}
	if len(dev.text) <= maxDevice {
		p.dev = ref{len(g.text), len(dev.text)}
		g.text = append(g.text, dev.text...)
	}
	g.items |= 1 << p.item
	g.paths = append(g.paths, p)
	return true, nil
}

// maxDevice is the length of the longest "MM:mm": 12 and 20 bits in hex.
const maxDevice = 3 + 1 + 5

// pathKindOf reads a name type by its beginning: with the separator stripped,
// the enriched part is glued to it ("NORMALOUID=").
func pathKindOf(text []byte) pathKind {
	switch {
	case bytes.HasPrefix(text, []byte("NORMAL")):
		return pathNormal
	case bytes.HasPrefix(text, []byte("CREATE")):
		return pathCreate
	}
	return pathOther
}

// addSockaddr reads a SOCKADDR record.
func (g *group) addSockaddr(body []byte) (fresh bool, err error) {
	if g.have&hasSockaddr != 0 {
		return false, nil
	}
	start := len(g.text)
	text, err := parseSockaddr(g.text, body)
	if err != nil {
		return false, err
	}
	g.text = text
	g.saddr = ref{start, len(text) - start}
	g.have |= hasSockaddr
	return true, nil
}

// addOpenat2 reads the flags of openat2, which lie in memory and not in a
// register: "oflag=0101 mode=0644 resolve=0x0", octal with a leading 0.
func (g *group) addOpenat2(body []byte) (fresh bool, err error) {
	if g.have&hasOpenat2 != 0 {
		return false, nil
	}
	f := fields{b: body}
	for {
		key, v, ok := f.next()
		if !ok {
			return false, errCutOpenat2
		}
		if string(key) != "oflag" {
			continue
		}
		var flags uint64
		for _, c := range v.text {
			if c < '0' || c > '7' {
				return false, errCutOpenat2
			}
			flags = flags<<3 | uint64(c-'0')
		}
		g.oflag = flags
		g.have |= hasOpenat2
		return true, nil
	}
}

// path is the record with the given item number, nil if it is not there.
func (g *group) path(item int) *pathRecord {
	i := slices.IndexFunc(g.paths, func(p pathRecord) bool { return p.item == item })
	if i < 0 {
		return nil
	}
	return &g.paths[i]
}

// allPaths reports whether as many PATH records are here as the SYSCALL record
// counts.
func (g *group) allPaths() bool { return bits.OnesCount64(g.items) >= g.syscall.items }

// settled reports whether every record that the SYSCALL record lets expect is
// here. The kernel prints CWD whenever there are PATH records.
func (g *group) settled() bool {
	s := &g.syscall
	if g.have&hasSyscall == 0 || !g.allPaths() {
		return false
	}
	if s.items > 0 && g.have&hasCwd == 0 {
		return false
	}
	switch s.call {
	case callExecve, callExecveat, callUnknown:
		return g.have&hasExecve != 0 && g.args.whole()
	case callConnect:
		return g.have&hasSockaddr != 0
	case callOpenat2:
		return g.have&hasOpenat2 != 0
	}
	return true
}

// complete is the set of parts of which nothing more is wanted, for telling a
// late record that was missed from one that adds nothing. A command line is not
// wanted once argv is there.
func (g *group) complete() parts {
	done := g.have | hasEnd
	if g.have&hasSyscall == 0 || g.allPaths() {
		done |= hasPath
	}
	if !g.syscall.call.executes() || g.have&hasExecve != 0 {
		done |= hasTitle
	}
	if g.have&hasExecve != 0 && !g.args.whole() {
		done &^= hasExecve
	}
	return done
}
