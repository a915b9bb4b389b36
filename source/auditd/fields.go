package auditd

import (
	"bytes"
	"encoding/hex"
	"slices"
)

// fields walks the KEY=VALUE pairs of a record.
//
// A quoted value ends at the next quote: the kernel prints a string that holds
// a quote, a blank or a control character as hex instead
// (audit_string_contains_control in kernel/audit.c). auditd's enriched part
// follows behind a group separator (0x1d), which is a blank here. Where some hop
// has stripped it, the next key is glued to the last value: behind a quote it is
// found all the same; behind a bare value it is lost, and that value has to be
// read by its beginning. Only ARCH, OUID and SADDR are ever glued, and nobody
// asks for them.
type fields struct {
	b []byte
	i int
}

// value is what stands behind a key.
type value struct {
	text []byte // without quotes
	form valueForm
}

// valueForm says how a value was written.
type valueForm uint8

const (
	bare   valueForm = iota // up to the next blank
	quoted                  // "…"
	cut                     // the line ends before the closing quote
)

// next gives the next pair; words without '=' ("user", "login") are passed
// over. ok is false at the end.
func (f *fields) next() (key []byte, v value, ok bool) {
	b, i := f.b, f.i
	for {
		for i < len(b) && b[i] <= ' ' {
			i++
		}
		start := i
		for i < len(b) && b[i] != '=' && b[i] > ' ' {
			i++
		}
		if i == len(b) {
			f.i = i
			return nil, value{}, false
		}
		if b[i] == '=' {
			key = b[start:i]
			i++
			break
		}
	}
	if i < len(b) && b[i] == '"' {
		n := bytes.IndexByte(b[i+1:], '"')
		if n < 0 {
			f.i = len(b)
			return key, value{b[i+1:], cut}, true
		}
		f.i = i + n + 2
		return key, value{b[i+1 : i+1+n], quoted}, true
	}
	start := i
	for i < len(b) && b[i] > ' ' {
		i++
	}
	f.i = i
	return key, value{b[start:i], bare}, true
}

// skipTo passes over fields that nobody wants, if the wanted one, given with
// the blank before it, is near. No value before it may be a string.
func (f *fields) skipTo(next string) {
	const near = 96
	b := f.b[f.i:min(len(f.b), f.i+near)]
	for i := 0; i+len(next) <= len(b); i++ {
		if b[i] == ' ' && b[i+1] == next[1] && string(b[i:i+len(next)]) == next {
			f.i += i
			return
		}
	}
}

// maxText is the longest string that is taken from one field, in bytes: the
// kernel's PATH_MAX. Arguments have their own bound.
const maxText = 4096

// appendText appends the string that v stands for: the text between quotes, or
// the bytes that an unquoted value spells in hex (audit_log_n_hex). (null),
// (none) and ? mean that there is none. Only for fields that hold strings; a
// number must never get here. fits is false if the string is longer than
// maxText, and then nothing is appended.
func (v value) appendText(dst []byte) (out []byte, fits bool) {
	switch {
	case v.form != bare:
		if len(v.text) > maxText {
			return dst, false
		}
		return append(dst, v.text...), true
	case v.isNone():
		return dst, true
	case len(v.text)%2 == 0:
		if len(v.text) > 2*maxText {
			return dst, false
		}
		if decoded, ok := appendHex(dst, v.text); ok {
			return decoded, true
		}
	}
	if len(v.text) > maxText {
		return dst, false
	}
	return append(dst, v.text...), true
}

// isNone reports whether v says that there is no value.
func (v value) isNone() bool {
	if v.form != bare {
		return false
	}
	switch string(v.text) {
	case "", "(null)", "(none)", "?":
		return true
	}
	return false
}

// appendHex appends the bytes that src spells in hex, in either letter case;
// ok is false, and dst unchanged, if src is not hex.
func appendHex(dst, src []byte) (out []byte, ok bool) {
	n := len(dst)
	dst = slices.Grow(dst, len(src)/2)
	m, err := hex.Decode(dst[n:n+len(src)/2], src)
	if err != nil {
		return dst[:n], false
	}
	return dst[:n+m], true
}

// decimal reads a number without sign. ok is false if v is none.
func (v value) decimal() (n int64, ok bool) {
	u, k := leadingDigits(v.text)
	return int64(u), k > 0 && k == len(v.text)
}

// signed reads a number that may begin with '-'.
func (v value) signed() (n int64, ok bool) {
	if len(v.text) > 0 && v.text[0] == '-' {
		n, ok = value{text: v.text[1:]}.decimal()
		return -n, ok
	}
	return v.decimal()
}

// unset is an id that was never set: (uint32)-1 for a login id, a session, or a
// user id that has no name in the initial user namespace.
const unset = 1<<32 - 1

// id reads a user, login or session id; -1 when it is unset or no number.
func (v value) id() int {
	n, ok := v.decimal()
	if !ok || n >= unset {
		return -1
	}
	return int(n)
}

// hex64 reads a number printed by %lx; 0 if v is none.
func (v value) hex64() uint64 {
	var n uint64
	for _, c := range v.text {
		switch {
		case c-'0' <= 9:
			n = n<<4 | uint64(c-'0')
		case (c|0x20)-'a' <= 5:
			n = n<<4 | uint64((c|0x20)-'a'+10)
		default:
			return 0
		}
	}
	return n
}
