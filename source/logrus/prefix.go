package logrus

import (
	"bytes"
	"slices"
)

// IsOwn reports whether a prefix names one of the daemon's programs: the line
// is surely its own.
func (l *Line) IsOwn() bool { return l.prefix != nil }

// Program is the program that syslog or journald filed the line under, ""
// without a prefix.
func (l *Line) Program() string { return string(l.program) }

// Host is the host that syslog or journald named, "" if none.
func (l *Line) Host() string {
	if h := string(l.host); h != "-" && h != "localhost" {
		return h
	}
	return ""
}

// cutPrefix takes "TIME HOST PROGRAM[PID]: " from the front, or the header of
// RFC 5424.
func (l *Line) cutPrefix() error {
	prefix, host, program, core, ok := cutSyslog5424(l.core)
	if !ok {
		var found bool
		prefix, core, found = bytes.Cut(l.core, []byte(": "))
		blank := bytes.LastIndexByte(prefix, ' ')
		if !found || blank < 0 || !looksTimed(prefix[:blank]) || bytes.IndexByte(prefix, '"') >= 0 {
			return errNoFraming
		}
		program, _, _ = bytes.Cut(prefix[blank+1:], []byte{'['})
		// Some leave the host out: then the time stands before the program.
		if host = prefix[bytes.LastIndexByte(prefix[:blank], ' ')+1 : blank]; bytes.IndexByte(host, ':') >= 0 {
			host = nil
		}
	}
	l.host, l.program = host, program
	if !slices.ContainsFunc(l.reader.Programs, func(own string) bool { return own == string(program) }) {
		l.Foreign = true
		return nil
	}
	l.prefix, l.core = prefix, core
	if !l.startsCore() {
		// What the daemon's runtime prints by itself (a Go stack, a plain
		// print) has no framing of its own.
		l.Foreign = true
	}
	return nil
}

// cutSyslog5424 cuts "<PRI>1 TIME HOST PROGRAM PROCID MSGID SD " (RFC 5424,
// section 6) from the front of s. The prefix it gives begins with the time.
func cutSyslog5424(s []byte) (prefix, host, program, core []byte, ok bool) {
	_, after, found := bytes.Cut(s, []byte(">1 "))
	if !found || s[0] != '<' || len(s)-len(after) > len("<191>1 ") {
		return nil, nil, nil, nil, false
	}
	words := bytes.SplitN(after, []byte{' '}, 6)
	if len(words) < 6 {
		return nil, nil, nil, nil, false
	}
	data, end := words[5], []byte("- ")
	if bytes.HasPrefix(data, []byte{'['}) {
		end = []byte("] ")
	}
	_, core, ok = bytes.Cut(data, end)
	return after[:len(after)-len(core)], words[1], words[2], core, ok
}

// looksTimed reports whether hh:mm:ss stands in a prefix.
func looksTimed(prefix []byte) bool {
	i := bytes.IndexByte(prefix, ':')
	return i >= 2 && len(prefix) >= i+6 && prefix[i+3] == ':' && prefix[i-1] >= '0' && prefix[i-1] <= '9'
}
