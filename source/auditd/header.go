package auditd

import (
	"bytes"
	"errors"
)

// Faults of a line's head.
var (
	errNotAudit = errors.New("not an audit record: expected type=NAME msg=audit(SECONDS.MILLIS:SERIAL): FIELDS")
	errNoType   = errors.New("audit record without a type: expected type=NAME before its stamp")
	errCutStamp = errors.New("record ends within its audit stamp")
	errStamp    = errors.New("audit stamp is not SECONDS.MILLIS:SERIAL; text interpreted by ausearch -i carries no time zone, use its --raw output")
)

// recordType is the kind of a record, as far as it matters here.
type recordType uint8

// The record types that are read. Everything else is typeOther. The numbers
// behind the names are in linux/audit.h.
const (
	typeOther        recordType = iota
	typeSyscall                 // 1300
	typePath                    // 1302
	typeConfigChange            // 1305
	typeSockaddr                // 1306
	typeCwd                     // 1307
	typeExecve                  // 1309
	typeEOE                     // 1320
	typeProctitle               // 1327
	typeUring                   // 1336
	typeOpenat2                 // 1337
)

// String is the type's name as audit prints it.
func (t recordType) String() string {
	switch t {
	case typeSyscall:
		return "SYSCALL"
	case typePath:
		return "PATH"
	case typeConfigChange:
		return "CONFIG_CHANGE"
	case typeSockaddr:
		return "SOCKADDR"
	case typeCwd:
		return "CWD"
	case typeExecve:
		return "EXECVE"
	case typeEOE:
		return "EOE"
	case typeProctitle:
		return "PROCTITLE"
	case typeUring:
		return "URINGOP"
	case typeOpenat2:
		return "OPENAT2"
	}
	return "other"
}

// typeNamed reads a type: NAME, the UNKNOWN[1327] of a daemon older than its
// kernel, or the bare number of the kernel's log.
func typeNamed(name []byte) recordType {
	switch string(name) {
	case "SYSCALL", "1300", "UNKNOWN[1300]":
		return typeSyscall
	case "PATH", "1302", "UNKNOWN[1302]":
		return typePath
	case "CONFIG_CHANGE", "1305", "UNKNOWN[1305]":
		return typeConfigChange
	case "SOCKADDR", "1306", "UNKNOWN[1306]":
		return typeSockaddr
	case "CWD", "1307", "UNKNOWN[1307]":
		return typeCwd
	case "EXECVE", "1309", "UNKNOWN[1309]":
		return typeExecve
	case "EOE", "1320", "UNKNOWN[1320]":
		return typeEOE
	case "PROCTITLE", "1327", "UNKNOWN[1327]":
		return typeProctitle
	case "URINGOP", "1336", "UNKNOWN[1336]":
		return typeUring
	case "OPENAT2", "1337", "UNKNOWN[1337]":
		return typeOpenat2
	}
	return typeOther
}

// typeOfBody tells the type of a record that lost its "type=" on the way, by
// the field that only this type begins with.
func typeOfBody(body []byte) (recordType, bool) {
	f := fields{b: body}
	key, _, ok := f.next()
	if !ok {
		return typeEOE, len(body) == 0
	}
	switch string(key) {
	case "arch":
		return typeSyscall, true
	case "argc":
		return typeExecve, true
	case "cwd":
		return typeCwd, true
	case "item":
		return typePath, true
	case "saddr":
		return typeSockaddr, true
	case "proctitle":
		return typeProctitle, true
	}
	return typeOther, false
}

// header is a line cut into its parts; all slices point into the line.
type header struct {
	typ   recordType
	node  []byte // NAME of node=NAME, or empty
	stamp []byte // SECONDS.MILLIS:SERIAL, not yet checked
	body  []byte // the fields
}

// splitHeader cuts "[node=NAME] [type=NAME] [msg=]audit(STAMP): FIELDS", after
// whatever a system log put before it. It fails with errNotAudit, errNoType,
// errStamp or errCutStamp.
func splitHeader(line []byte) (h header, err error) {
	rest := line
	if !startsRecord(rest) {
		if rest = afterPrefix(line); rest == nil {
			return h, errNotAudit
		}
	}
	if hasPrefix(rest, "node=") {
		h.node, rest = cutWord(rest[len("node="):])
	}
	typed := hasPrefix(rest, "type=")
	if typed {
		var name []byte
		name, rest = cutWord(rest[len("type="):])
		h.typ = typeNamed(name)
	}
	if hasPrefix(rest, "msg=") {
		rest = rest[len("msg="):]
	}
	if !hasPrefix(rest, "audit(") {
		return h, errNotAudit
	}
	rest = rest[len("audit("):]
	end := bytes.IndexByte(rest[:min(len(rest), maxStamp+1)], ')')
	switch {
	case end < 0 && len(rest) <= maxStamp:
		return h, errCutStamp
	case end < 0:
		return h, errStamp
	}
	h.stamp, h.body = rest[:end], trimBody(rest[end+1:])
	if !typed {
		if h.typ, typed = typeOfBody(h.body); !typed {
			return h, errNoType
		}
	}
	return h, nil
}

// maxStamp is the length of the longest stamp: ten digits of seconds, three of
// milliseconds, ten of the serial number, and two marks between.
const maxStamp = 10 + 1 + 3 + 1 + 10

// startsRecord reports whether b begins like an audit record.
func startsRecord(b []byte) bool {
	return hasPrefix(b, "type=") || hasPrefix(b, "node=") || hasPrefix(b, "audit(")
}

// hasPrefix is bytes.HasPrefix with a string, which the compiler turns into a
// compare of words.
func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// cutWord takes a word and the blanks after it off the front of b.
func cutWord(b []byte) (word, rest []byte) {
	i := 0
	for i < len(b) && b[i] != ' ' {
		i++
	}
	word = b[:i]
	for i < len(b) && b[i] == ' ' {
		i++
	}
	return word, b[i:]
}

// trimBody drops the colon after the stamp, and blanks and a carriage return
// around the fields.
func trimBody(b []byte) []byte {
	if len(b) > 0 && b[0] == ':' {
		b = b[1:]
	}
	for len(b) > 0 && b[0] <= ' ' {
		b = b[1:]
	}
	for len(b) > 0 && b[len(b)-1] <= ' ' {
		b = b[:len(b)-1]
	}
	return b
}

// parseStamp reads "SECONDS.MILLIS:SERIAL" exactly as the kernel prints it
// ("%llu.%03lu:%u" in audit_log_start): milliseconds since 1970 and the serial
// number. It refuses years beyond 2261, which no time.Time in nanoseconds can
// hold.
func parseStamp(b []byte) (millis int64, serial uint32, ok bool) {
	sec, n := leadingDigits(b)
	if n == 0 || n > 10 || sec > 9_200_000_000 || n+5 >= len(b) || b[n] != '.' || b[n+4] != ':' {
		return 0, 0, false
	}
	ms, m := leadingDigits(b[n+1 : n+4])
	if m != 3 {
		return 0, 0, false
	}
	s, k := leadingDigits(b[n+5:])
	if k > 10 || n+5+k != len(b) || s > 1<<32-1 {
		return 0, 0, false
	}
	return int64(sec*1000 + ms), uint32(s), true
}

// leadingDigits reads the decimal number that b begins with and says how many
// digits it has. More than 18 digits are not a number of anything here.
func leadingDigits(b []byte) (v uint64, n int) {
	for n < len(b) && n < 18 && b[n]-'0' <= 9 {
		v = v*10 + uint64(b[n]-'0')
		n++
	}
	return v, n
}
