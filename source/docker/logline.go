package docker

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tidewaiter/event"
)

// Reasons why a line of a daemon's log cannot be read.
var (
	errNoFraming  = errors.New("no line of a daemon's log: want time=… level=… msg=…, or LEVL[time] message")
	errNoAbsolute = errors.New("no absolute time")
	errUnclosed   = errors.New("a quoted value does not end")
)

// logLine is one line of a daemon's log. Its parts are cut out of the line
// and decoded only when asked for: nearly all lines are of no interest.
type logLine struct {
	core     []byte // the line without what syslog or journald put before it
	stamp    []byte // the printed time, nil if there is none
	relative bool   // stamp counts seconds since the daemon's start
	prefix   []byte // what was put before the line, nil if nothing was
	msg      []byte // the message, in quotes if quoted is set
	quoted   bool
	attrs    []byte // key=value pairs after the message
	foreign  bool   // another program's line in a shared log
}

// cutLogLine finds the parts of a line in any of the framings:
//
//	time="…" level=debug msg="…" key=value      logrus, to a file or a pipe
//	DEBU[2026-11-21T21:35:52Z] message  key=value   to a terminal, with a full time
//	INFO[0012] message  key=value               to a terminal
//	Nov 21 21:35:52 host dockerd[7]: …          syslog or journald before one of them
func cutLogLine(line []byte) (logLine, error) {
	l := logLine{core: line}
	if !l.startsCore() {
		if err := l.cutPrefix(); err != nil || l.foreign {
			return l, err
		}
	}
	if bytes.HasPrefix(l.core, []byte("time=")) || bytes.HasPrefix(l.core, []byte("level=")) {
		return l, l.cutPairs()
	}
	return l, l.cutBracket()
}

// startsCore reports whether core begins like a daemon's own line.
func (l *logLine) startsCore() bool {
	if len(l.core) == 0 {
		return false
	}
	c := l.core[0]
	return bytes.HasPrefix(l.core, []byte("time=")) || bytes.HasPrefix(l.core, []byte("level=")) ||
		c == 0x1b || (c >= 'A' && c <= 'Z' && levelLength(l.core) > 0)
}

// cutPrefix takes "TIME HOST PROGRAM[PID]: " from the front, or the header of
// RFC 5424. Only the daemons' own names count: under the name of a container,
// a line is what the container printed, and could be made to look like the
// daemon's.
func (l *logLine) cutPrefix() error {
	prefix, program, core, ok := cutSyslog5424(l.core)
	if !ok {
		var found bool
		prefix, core, found = bytes.Cut(l.core, []byte(": "))
		blank := bytes.LastIndexByte(prefix, ' ')
		if !found || blank < 0 || !looksTimed(prefix[:blank]) || bytes.IndexByte(prefix, '"') >= 0 {
			return errNoFraming
		}
		program, _, _ = bytes.Cut(prefix[blank+1:], []byte{'['})
	}
	switch string(program) {
	case "dockerd", "docker", "docker.dockerd", "dockerd-current", "docker-current", "containerd", "docker-containerd":
	default:
		l.foreign = true
		return nil
	}
	l.prefix, l.core = prefix, core
	if !l.startsCore() {
		// What the daemon's runtime prints by itself (a Go stack, a plain
		// print) has no framing of its own.
		l.foreign = true
	}
	return nil
}

// cutSyslog5424 cuts "<PRI>1 TIME HOST PROGRAM PROCID MSGID SD " (RFC 5424,
// section 6) from the front of s. The prefix it gives begins with the time.
func cutSyslog5424(s []byte) (prefix, program, core []byte, ok bool) {
	_, after, found := bytes.Cut(s, []byte(">1 "))
	if !found || s[0] != '<' || len(s)-len(after) > len("<191>1 ") {
		return nil, nil, nil, false
	}
	words := bytes.SplitN(after, []byte{' '}, 6)
	if len(words) < 6 {
		return nil, nil, nil, false
	}
	data, end := words[5], []byte("- ")
	if bytes.HasPrefix(data, []byte{'['}) {
		end = []byte("] ")
	}
	_, core, ok = bytes.Cut(data, end)
	return after[:len(after)-len(core)], words[2], core, ok
}

// looksTimed reports whether hh:mm:ss stands in a prefix.
func looksTimed(prefix []byte) bool {
	i := bytes.IndexByte(prefix, ':')
	return i >= 2 && len(prefix) >= i+6 && prefix[i+3] == ':' && prefix[i-1] >= '0' && prefix[i-1] <= '9'
}

// cutPairs reads time=, level= and msg=, in this order, as logrus prints them.
func (l *logLine) cutPairs() error {
	rest := l.core
	for len(rest) > 0 {
		key, val, after, err := cutPair(rest)
		if err != nil {
			return err
		}
		switch string(key) {
		case "time":
			l.stamp = bytes.Trim(val, `"`)
		case "msg":
			l.msg, l.quoted, l.attrs = val, len(val) > 0 && val[0] == '"', after
			return nil
		}
		rest = after
	}
	return nil
}

// cutPair cuts key=value from the front of s. A value in quotes keeps them.
func cutPair(s []byte) (key, val, rest []byte, err error) {
	eq := bytes.IndexByte(s, '=')
	if eq <= 0 || bytes.IndexByte(s[:eq], ' ') >= 0 {
		return nil, nil, nil, errNoFraming
	}
	key, s = s[:eq], s[eq+1:]
	end := bytes.IndexByte(s, ' ')
	if len(s) > 0 && s[0] == '"' {
		if end = quotedEnd(s); end < 0 {
			return nil, nil, nil, errUnclosed
		}
	}
	if end < 0 {
		end = len(s)
	}
	return key, s[:end], bytes.TrimLeft(s[end:], " "), nil
}

// quotedEnd is where a Go string at the front of s ends; -1 if it does not.
func quotedEnd(s []byte) int {
	for from := 1; ; {
		i := bytes.IndexByte(s[from:], '"')
		if i < 0 {
			return -1
		}
		end := from + i
		slashes := 0
		for slashes < i && s[end-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return end + 1
		}
		from = end + 1
	}
}

// cutBracket reads LEVL[time] message, with or without terminal colours.
func (l *logLine) cutBracket() error {
	s, colour := l.core, []byte(nil)
	if s[0] == 0x1b {
		end := bytes.IndexByte(s, 'm')
		if end < 0 {
			return errNoFraming
		}
		colour, s = s[:end+1], s[end+1:]
	}
	n := levelLength(s)
	if n == 0 {
		return errNoFraming
	}
	s = bytes.TrimPrefix(s[n:], []byte("\x1b[0m"))
	stamp, rest, found := bytes.Cut(s, []byte("] "))
	if !found || len(stamp) < 2 || stamp[0] != '[' {
		return errNoFraming
	}
	l.stamp = stamp[1:]
	l.relative = len(bytes.Trim(l.stamp, "0123456789")) == 0
	l.msg, l.attrs = splitMessage(rest, colour)
	return nil
}

// levelLength is the length of a level's name before '[' or the end of a
// colour; 0 if there is none.
func levelLength(s []byte) int {
	n := 0
	for n < len(s) && n < 8 && s[n] >= 'A' && s[n] <= 'Z' {
		n++
	}
	if n < 4 || n == len(s) || (s[n] != '[' && s[n] != 0x1b) {
		return 0
	}
	switch string(s[:4]) {
	case "TRAC", "DEBU", "INFO", "WARN", "ERRO", "FATA", "PANI":
		return n
	}
	return 0
}

// splitMessage parts a message from the pairs after it. logrus pads the
// message with blanks and does not quote it, so without colours the pairs are
// what can be read as pairs up to the line's end, after two blanks.
func splitMessage(s, colour []byte) (msg, attrs []byte) {
	if len(colour) > 0 {
		msg, attrs, _ = bytes.Cut(s, append([]byte{' '}, colour...))
		attrs = bytes.ReplaceAll(attrs, append([]byte{' '}, colour...), []byte{' '})
		attrs = bytes.ReplaceAll(attrs, []byte("\x1b[0m="), []byte{'='})
		return bytes.TrimRight(msg, " "), attrs
	}
	// Few tries are enough: a message holds few runs of blanks.
	const tries = 16
	for from, n := 0, 0; n < tries; n++ {
		i := bytes.Index(s[from:], []byte("  "))
		if i < 0 {
			break
		}
		at := from + i
		rest := bytes.TrimLeft(s[at:], " ")
		if isPairs(rest) {
			return s[:at], rest
		}
		from = len(s) - len(rest)
	}
	return bytes.TrimRight(s, " "), nil
}

// isPairs reports whether s is key=value pairs throughout.
func isPairs(s []byte) bool {
	if len(s) == 0 {
		return false
	}
	for len(s) > 0 {
		key, _, rest, err := cutPair(s)
		if err != nil || len(bytes.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")) > 0 {
			return false
		}
		s = rest
	}
	return true
}

// hasMessage reports whether the message begins with text, which must be free
// of what quoting changes.
func (l *logLine) hasMessage(text string) bool {
	msg := l.msg
	if l.quoted {
		msg = msg[1:]
	}
	return len(msg) >= len(text) && string(msg[:len(text)]) == text
}

// message decodes the message.
func (l *logLine) message() (string, error) {
	if !l.quoted {
		return string(l.msg), nil
	}
	return unquote(l.msg)
}

// attr decodes one of the pairs after the message; "" if it is not there.
func (l *logLine) attr(name string) (string, error) {
	for rest := l.attrs; len(rest) > 0; {
		key, val, after, err := cutPair(rest)
		if err != nil {
			return "", err
		}
		if string(key) == name {
			if len(val) > 0 && val[0] == '"' {
				return unquote(val)
			}
			return string(val), nil
		}
		rest = after
	}
	return "", nil
}

func unquote(val []byte) (string, error) {
	s, err := strconv.Unquote(string(val))
	if err != nil {
		return "", fmt.Errorf("quoted value: %w", err)
	}
	return s, nil
}

// time is when the line was written: by its own words, or by journald's if
// those are complete. syslog's own form has neither year nor zone.
func (l *logLine) time() (event.Time, error) {
	if l.stamp != nil && !l.relative {
		return event.ParseRFC3339(string(l.stamp))
	}
	first, _, _ := strings.Cut(string(l.prefix), " ")
	if at, err := event.ParseRFC3339(first); err == nil {
		return at, nil
	}
	// journalctl -o short-iso prints the offset without a colon.
	t, err := time.Parse("2006-01-02T15:04:05.999999999-0700", first)
	if err != nil || t.Year() < 1970 || t.Year() > 2261 {
		return event.Time{}, errNoAbsolute
	}
	return event.At(t, event.FractionRes(first)), nil
}

// key is the line's content without the prefix, so that one line delivered by
// two ways is one record; with it if only the prefix tells the time.
func (l *logLine) key() string {
	if l.stamp != nil && !l.relative {
		return string(l.core)
	}
	return string(l.prefix) + ": " + string(l.core)
}
