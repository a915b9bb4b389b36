package auditd

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
)

// Bounds of one event's arguments. What lies beyond is dropped and the event
// says so.
const (
	maxArgs     = 256
	maxArgBytes = 64 << 10
	maxPieces   = 1024
)

var errExecve = errors.New("EXECVE record is cut or damaged: expected argc=N or aN=…")

// argList gathers argv from the EXECVE records of one event.
//
// audit_log_execve_info in kernel/auditsc.c prints "argc=3 a0=… a1=… a2=…"; an
// argument that does not fit into a record is announced with "a2_len=9000" and
// printed in pieces, "a2[0]=…" and on, and a new record begins whenever one is
// full. Records may arrive in any order, so pieces are sorted when they are
// wanted.
type argList struct {
	argc    int // what the kernel counted, -1 until known
	pieces  []argPiece
	lengths []argLength
	text    []byte // what the pieces point into
	beyond  bool   // something was dropped because of a bound
	damaged bool   // a record ended inside an argument
}

// argPiece is one printed piece of one argument.
type argPiece struct {
	arg, piece int
	text       ref
}

// argLength is an announced length: of the text, or of its hex form.
type argLength struct{ arg, length int }

func (a *argList) reset() {
	a.argc = -1
	a.pieces, a.lengths, a.text = a.pieces[:0], a.lengths[:0], a.text[:0]
	a.beyond, a.damaged = false, false
}

// read takes one EXECVE record. fresh is false if the record was there before:
// a second argc, or a piece that is known already.
func (a *argList) read(body []byte) (fresh bool, err error) {
	f := fields{b: body}
	known := false
	for first := true; ; {
		key, v, ok := f.next()
		if !ok {
			break
		}
		if string(key) == "argc" {
			n, ok := v.decimal()
			if a.argc >= 0 || !ok {
				return false, nil
			}
			a.argc, known = int(min(n, 1<<31-1)), true
			continue
		}
		p, kind := parseArgKey(key)
		if kind == noArg {
			continue
		}
		if first && !known && a.has(p) {
			return false, nil
		}
		first, known = false, true
		a.take(p, kind, v)
	}
	if !known {
		return false, errExecve
	}
	return true, nil
}

// argKey says what a key of an EXECVE record is.
type argKey uint8

const (
	noArg     argKey = iota
	argText          // aN= or aN[M]=
	argLenKey        // aN_len=
)

// parseArgKey reads aN, aN[M] or aN_len.
func parseArgKey(key []byte) (argPiece, argKey) {
	if len(key) < 2 || key[0] != 'a' {
		return argPiece{}, noArg
	}
	n, k := leadingDigits(key[1:])
	rest := key[1+k:]
	switch {
	case k == 0 || n > 1<<31-1:
	case len(rest) == 0:
		return argPiece{arg: int(n)}, argText
	case string(rest) == "_len":
		return argPiece{arg: int(n)}, argLenKey
	case rest[0] == '[' && rest[len(rest)-1] == ']':
		m, k := leadingDigits(rest[1:])
		if k > 0 && k == len(rest)-2 && m < maxPieces {
			return argPiece{arg: int(n), piece: int(m)}, argText
		}
	}
	return argPiece{}, noArg
}

func (a *argList) has(p argPiece) bool {
	for i := range a.pieces {
		if a.pieces[i].arg == p.arg && a.pieces[i].piece == p.piece {
			return true
		}
	}
	return false
}

// take keeps one field, within the bounds.
func (a *argList) take(p argPiece, kind argKey, v value) {
	if p.arg >= maxArgs || len(a.pieces) >= maxPieces || len(a.lengths) >= maxArgs {
		a.beyond = true
		return
	}
	if kind == argLenKey {
		if n, ok := v.decimal(); ok {
			a.lengths = append(a.lengths, argLength{p.arg, int(n)})
		}
		return
	}
	start := len(a.text)
	room := maxArgBytes - start
	if v.form == cut {
		a.damaged = true
	}
	text := v.text
	if v.form == bare && !v.isNone() {
		if len(text)%2 != 0 && isHex(text) { // the line was cut inside a byte
			text, a.damaged = text[:len(text)-1], true
		}
		if len(text) > 2*room {
			text, a.beyond = text[:2*room], true
		}
		if out, ok := appendHex(a.text, text); ok {
			a.text = out
			p.text = ref{start, len(a.text) - start}
			a.pieces = append(a.pieces, p)
			return
		}
	}
	if len(text) > room {
		text, a.beyond = text[:room], true
	}
	a.text = append(a.text, text...)
	p.text = ref{start, len(text)}
	a.pieces = append(a.pieces, p)
}

// isHex reports whether b is made of hex digits.
func isHex(b []byte) bool {
	for _, c := range b {
		if c-'0' > 9 && (c|0x20)-'a' > 5 {
			return false
		}
	}
	return true
}

// sort puts the pieces in order and drops repeated ones. Nearly always they
// are in order already.
func (a *argList) sort() {
	order := func(p, q argPiece) int {
		return cmp.Or(cmp.Compare(p.arg, q.arg), cmp.Compare(p.piece, q.piece))
	}
	for i := 1; i < len(a.pieces); i++ {
		if order(a.pieces[i-1], a.pieces[i]) >= 0 {
			slices.SortStableFunc(a.pieces, order)
			a.pieces = slices.CompactFunc(a.pieces, func(p, q argPiece) bool { return order(p, q) == 0 })
			return
		}
	}
}

// whole reports whether every argument that the kernel counted is here, or a
// bound has been reached, so that nothing further could be kept.
func (a *argList) whole() bool {
	if a.beyond {
		return true
	}
	if a.argc < 0 || len(a.pieces) < a.argc {
		return false
	}
	a.sort()
	next, ok := 0, true
	a.each(func(arg int, pieces []argPiece, intact bool) {
		ok = ok && arg == next && intact
		next++
	})
	return ok && next >= a.argc
}

// each calls f for every argument that is here, in order, with its pieces. The
// pieces are those from the first on without a gap; intact says whether they
// are all. The list must be sorted.
func (a *argList) each(f func(arg int, pieces []argPiece, intact bool)) {
	for i := 0; i < len(a.pieces); {
		arg, size, run := a.pieces[i].arg, 0, 0
		j := i
		for ; j < len(a.pieces) && a.pieces[j].arg == arg; j++ {
			if a.pieces[j].piece == j-i {
				run++
				size += a.pieces[j].text.n
			}
		}
		f(arg, a.pieces[i:i+run], run == j-i && a.fits(arg, size))
		i = j
	}
}

// fits reports whether size bytes are all of an argument. The announced length
// counts hex digits if the argument was printed in hex and is shorter than a
// record, else bytes (audit_log_execve_info).
func (a *argList) fits(arg, size int) bool {
	for _, l := range a.lengths {
		if l.arg == arg {
			return l.length == size || l.length == 2*size
		}
	}
	return true
}

// build gives argv. An argument that is missing between others is "", so that
// the others keep their places. truncated is set if anything is missing.
func (a *argList) build() (args []string, truncated bool) {
	if len(a.pieces) == 0 {
		return nil, a.argc != 0 || a.beyond || a.damaged
	}
	a.sort()
	text := string(a.text)
	args = make([]string, 0, a.pieces[len(a.pieces)-1].arg+1)
	truncated = a.beyond || a.damaged
	a.each(func(arg int, pieces []argPiece, intact bool) {
		for len(args) < arg {
			args = append(args, "")
			truncated = true
		}
		args = append(args, join(text, pieces))
		truncated = truncated || !intact
	})
	return args, truncated || len(args) < a.argc || a.argc < 0
}

// join puts the pieces of one argument together. Pieces of records that came
// one after another lie side by side and need no copy.
func join(text string, pieces []argPiece) string {
	if len(pieces) == 0 {
		return ""
	}
	first, end := pieces[0].text, pieces[0].text.off+pieces[0].text.n
	for i, p := range pieces[1:] {
		if p.text.off != end {
			var s strings.Builder
			s.WriteString(text[first.off:end])
			for _, q := range pieces[1+i:] {
				s.WriteString(text[q.text.off : q.text.off+q.text.n])
			}
			return s.String()
		}
		end += p.text.n
	}
	return text[first.off:end]
}

// maxTitle is the kernel's MAX_PROCTITLE_AUDIT_LEN: a longer command line is
// cut there.
const maxTitle = 128

// titleArgs is argv from a PROCTITLE record: the arguments with a zero byte
// between. The kernel drops what cannot be printed from the end
// (audit_proctitle_rtrim), also a zero byte at the very cut, so 127 bytes may
// have been cut as well as 128.
func titleArgs(title []byte) (args []string, truncated bool) {
	if len(title) == 0 {
		return nil, true
	}
	text := string(title)
	args = make([]string, 0, 1+bytes.Count(title, []byte{0}))
	for arg := range strings.SplitSeq(text, "\x00") {
		args = append(args, arg)
	}
	return args, len(title) >= maxTitle-1
}
