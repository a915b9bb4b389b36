package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"unicode/utf8"
)

// The kinds of records; bpf/watch.bpf.c has the same.
const (
	kindRunning = iota // what no program tells: it ran already
	kindExec
	kindExit
	kindTCP
	kindUDP
	kinds // 1 more than the last
)

// The pieces of text, in the order in which they follow the head.
const (
	pieceCgroup = iota
	pieceCgroup2
	pieceExe
	pieceAsked
	pieceInterp
	pieceCwd
	pieceArgs
	pieces
)

// What was cut.
const (
	cutArgs = 1 << iota
	cutCgroup
)

// record is one thing that the kernel tells. Its bytes lie in the kernel's
// record.
type record struct {
	kind          uint32
	at, since     int64 // nanoseconds since the machine started
	pid, ppid     uint32
	uid           uint32
	auid, session uint32 // noID if not set
	code          int32  // as wait(2) gives it
	cut           uint16
	to            netip.AddrPort
	comm          []byte
	text          [pieces][]byte
	// boot is the id of the time since the machine started; only what ran
	// already tells it, to be told from another of the same number.
	boot string
}

// noID is a login id, or a session, that is not set.
const noID = 1<<32 - 1

// The layout of struct head: its length, and where its members are.
const (
	headLen    = 96
	headLens   = 50
	headComm   = 64
	headAddr   = 80
	familyInet = 2
)

var errShort = errors.New("record of the kernel is shorter than it says")

// parse reads a record as the programs write it. r is valid as long as raw is.
func (r *record) parse(raw []byte) error {
	if len(raw) < headLen {
		return errShort
	}
	le := binary.LittleEndian
	*r = record{
		at: int64(le.Uint64(raw)), since: int64(le.Uint64(raw[8:])), kind: le.Uint32(raw[16:]),
		pid: le.Uint32(raw[20:]), ppid: le.Uint32(raw[24:]), uid: le.Uint32(raw[28:]), auid: le.Uint32(raw[32:]), session: le.Uint32(raw[36:]),
		code: int32(le.Uint32(raw[40:])), cut: le.Uint16(raw[44:]), comm: upToZero(raw[headComm:headAddr]),
	}
	rest := raw[headLen:]
	for i := range r.text {
		n := int(le.Uint16(raw[headLens+2*i:]))
		if n > len(rest) {
			return errShort
		}
		r.text[i], rest = rest[:n], rest[n:]
	}
	if r.kind == kindTCP || r.kind == kindUDP {
		addr := netip.AddrFrom16([16]byte(raw[headAddr:headLen])).Unmap()
		if le.Uint16(raw[48:]) == familyInet {
			addr = netip.AddrFrom4([4]byte(raw[headAddr:]))
		}
		r.to = netip.AddrPortFrom(addr, le.Uint16(raw[46:]))
	}
	return nil
}

func upToZero(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// append writes the record as one line. offset is what makes the kernel's time
// the wall clock's. It is by hand because a busy host tells thousands a second.
func (r *record) append(b []byte, offset int64) []byte {
	switch r.kind {
	case kindExec:
		b = append(b, `{"ebpf":"exec","t":`...)
		b = strconv.AppendInt(b, r.at+offset, 10)
	case kindExit:
		b = append(b, `{"ebpf":"exit","t":`...)
		b = strconv.AppendInt(b, r.at+offset, 10)
	case kindTCP, kindUDP:
		b = append(b, `{"ebpf":"connect","t":`...)
		b = strconv.AppendInt(b, r.at+offset, 10)
		b = append(b, `,"protocol":"`...)
		b = append(b, map[bool]string{true: "tcp", false: "udp"}[r.kind == kindTCP]...)
		b = append(b, `","addr":"`...)
		b = append(r.to.Addr().AppendTo(b), `","port":`...)
		b = strconv.AppendUint(b, uint64(r.to.Port()), 10)
	default: // it ran already
		b = append(b, `{"ebpf":"running","t":`...)
		b = strconv.AppendInt(b, r.at+offset, 10)
		b = append(b, `,"started":`...)
		b = strconv.AppendInt(b, r.since+offset, 10)
		b = append(append(b, `,"boot":"`...), r.boot...)
		b = append(b, '"')
	}
	b = appendNumber(b, `,"since":`, r.since)
	b = appendNumber(b, `,"pid":`, int64(r.pid))
	b = appendNumber(b, `,"ppid":`, int64(r.ppid))
	b = appendNumber(b, `,"uid":`, int64(r.uid))
	if r.auid != noID {
		b = appendNumber(b, `,"auid":`, int64(r.auid))
	}
	if r.session != noID {
		b = appendNumber(b, `,"session":`, int64(r.session))
	}
	if r.kind == kindExit {
		b = appendNumber(b, `,"status":`, int64(r.code>>8&0xff))
		if signal := r.code & 0x7f; signal != 0 {
			b = appendNumber(b, `,"signal":`, int64(signal))
		}
	}
	return append(r.appendText(b), '}', '\n')
}

func appendNumber(b []byte, key string, n int64) []byte {
	return strconv.AppendInt(append(b, key...), n, 10)
}

// keys of the pieces; args are a list.
var textKeys = [pieces]string{`,"cgroup":`, `,"cgroup2":`, `,"exe":`, `,"file":`, `,"interp":`, `,"cwd":`, `,"args":`}

func (r *record) appendText(b []byte) []byte {
	raw := !r.isText()
	if raw {
		b = append(b, `,"bytes":true`...)
	}
	if r.cut&cutArgs != 0 {
		b = append(b, `,"cut":true`...)
	}
	if r.cut&cutCgroup != 0 {
		b = append(b, `,"deep":true`...)
	}
	b = appendString(append(b, `,"comm":`...), r.comm, raw)
	for i, s := range r.text[:pieceArgs] {
		if len(s) == 0 || i == pieceAsked && bytes.Equal(s, r.text[pieceExe]) {
			continue
		}
		b = appendString(append(b, textKeys[i]...), s, raw)
	}
	args := r.text[pieceArgs]
	if len(args) == 0 {
		return b
	}
	b = append(append(b, textKeys[pieceArgs]...), '[')
	for n := 0; len(args) > 0; n++ {
		var arg []byte
		if arg, args, _ = bytes.Cut(args, zero); n > 0 {
			b = append(b, ',')
		}
		b = appendString(b, arg, raw)
	}
	return append(b, ']')
}

var zero = []byte{0}

// isText reports whether every string of the record is UTF-8.
func (r *record) isText() bool {
	if !utf8.Valid(r.comm) {
		return false
	}
	for _, s := range r.text {
		if !utf8.Valid(s) {
			return false
		}
	}
	return true
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string. Linux knows no text, only bytes; in a record
// with raw strings each character stands for one byte, so that nothing is lost.
func appendString(b, s []byte, raw bool) []byte {
	b = append(b, '"')
	from := 0
	for i, c := range s {
		if c >= ' ' && c != '"' && c != '\\' && c != 0x7f && (c < utf8.RuneSelf || !raw) {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}
