// Package logrus reads the lines that daemons print with logrus: dockerd,
// containerd, CRI-O. It knows the framings, not what the messages say.
//
// In: lines of a daemon's log, with what syslog or journald put before them.
// Out: Lines, whose parts are decoded when asked for.
package logrus

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// Reasons why a line of a daemon's log cannot be read.
var (
	errNoFraming  = errors.New("no line of a daemon's log: want time=… level=… msg=…, or LEVL[time] message")
	errNoAbsolute = errors.New("no absolute time")
	errUnclosed   = errors.New("a quoted value does not end")
	errNoEntry    = errors.New("no entry of a daemon's log: want a JSON object with time, level and msg")
)

// Reader cuts the lines of one daemon's log. It is not safe for concurrent
// use.
type Reader struct {
	// Programs are the names under which syslog and journald file the daemon's
	// lines. Under the name of a container, a line is what the container
	// printed, and could be made to look like the daemon's.
	Programs []string
	// JSON is set where the daemon can be told to print entries as JSON.
	JSON bool

	parser jsonrecord.Parser
}

// Line is one line of a daemon's log. Its parts are cut out of the line and
// decoded only when asked for: nearly all lines are of no interest. It is valid
// until the Reader's next Cut, and while the line's bytes are.
type Line struct {
	// Foreign is set for another program's line in a shared log, and for what
	// the daemon printed without any framing.
	Foreign bool
	// Relative is set when the printed time counts seconds since the daemon's
	// start.
	Relative bool

	core    []byte // the line without what syslog or journald put before it
	stamp   []byte // the printed time, nil if there is none
	prefix  []byte // what was put before the line, nil if nothing was
	host    []byte // the host that the prefix names, nil if it names none
	program []byte // the program that the prefix names, nil if it names none
	msg     []byte // the message, in quotes if quoted is set
	quoted  bool
	attrs   []byte           // key=value pairs after the message
	entry   jsonrecord.Value // the entry if it is JSON
	reader  *Reader
}

// Cut finds the parts of a line in any of the framings:
//
//	time="…" level=debug msg="…" key=value      logrus, to a file or a pipe
//	{"level":"debug","msg":"…","time":"…"}      logrus, as JSON
//	DEBU[2026-11-21T21:35:52Z] message  key=value   to a terminal, with a full time
//	INFO[0012] message  key=value               to a terminal
//	Nov 21 21:35:52 host dockerd[7]: …          syslog or journald before one of them
func (r *Reader) Cut(line []byte) (Line, error) {
	l := Line{core: line, reader: r}
	if !l.startsCore() {
		if err := l.cutPrefix(); err != nil || l.Foreign {
			return l, err
		}
	}
	switch {
	case l.core[0] == '{':
		return l, l.cutEntry()
	case bytes.HasPrefix(l.core, []byte("time=")) || bytes.HasPrefix(l.core, []byte("level=")):
		return l, l.cutPairs()
	}
	return l, l.cutBracket()
}

// startsCore reports whether core begins like a daemon's own line.
func (l *Line) startsCore() bool {
	if len(l.core) == 0 {
		return false
	}
	c := l.core[0]
	return c == '{' && l.reader.JSON || bytes.HasPrefix(l.core, []byte("time=")) || bytes.HasPrefix(l.core, []byte("level=")) ||
		c == 0x1b || (c >= 'A' && c <= 'Z' && levelLength(l.core) > 0)
}

// cutPairs reads time=, level= and msg=, in this order, as logrus prints them.
func (l *Line) cutPairs() error {
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

// cutEntry reads an entry of the JSON formatter.
func (l *Line) cutEntry() error {
	entry, err := l.reader.parser.Parse(l.core)
	if err != nil {
		return err
	}
	stamp, msg := entry.Get("time"), entry.Get("msg")
	if err := l.reader.parser.Fault(); err != nil {
		return err
	}
	if !stamp.IsString() || !msg.IsString() || !entry.Get("level").IsString() {
		return errNoEntry
	}
	l.entry, l.stamp, l.msg = entry, []byte(stamp.String()), []byte(msg.String())
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
func (l *Line) cutBracket() error {
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
	l.Relative = len(bytes.Trim(l.stamp, "0123456789")) == 0
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

// IsEmpty reports that there is no message.
func (l *Line) IsEmpty() bool { return len(l.msg) == 0 }

// Has reports whether the message begins with text, which must be free of what
// quoting changes.
func (l *Line) Has(text string) bool {
	msg := l.msg
	if l.quoted {
		msg = msg[1:]
	}
	return len(msg) >= len(text) && string(msg[:len(text)]) == text
}

// Message decodes the message.
func (l *Line) Message() (string, error) {
	if !l.quoted {
		return string(l.msg), nil
	}
	return unquote(l.msg)
}

// Attr decodes one of the pairs after the message; "" if it is not there.
func (l *Line) Attr(name string) (string, error) {
	if l.entry.Exists() {
		return l.entry.Number(name), l.reader.parser.Fault()
	}
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
	if s, ok := plainUnquote(val); ok {
		return s, nil
	}
	s, err := strconv.Unquote(string(val))
	if err != nil {
		return "", fmt.Errorf("quoted value: %w", err)
	}
	return s, nil
}

// plainUnquote is strconv.Unquote for printable ASCII in which only quotes and
// backslashes are escaped. ok is false for the rest, right or wrong.
func plainUnquote(val []byte) (s string, ok bool) {
	if len(val) < 2 || val[0] != '"' || val[len(val)-1] != '"' {
		return "", false
	}
	val = val[1 : len(val)-1]
	var room [1024]byte
	b := room[:0]
	for i := 0; i < len(val); i++ {
		c := val[i]
		if c == '\\' && i+1 < len(val) && (val[i+1] == '"' || val[i+1] == '\\') {
			i++
			c = val[i]
		} else if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return "", false
		}
		b = append(b, c)
	}
	return string(b), true
}

// Time is when the line was written: by its own words, or by journald's if
// those are complete. syslog's own form has neither year nor zone.
func (l *Line) Time() (event.Time, error) {
	if l.stamp != nil && !l.Relative {
		if bytes.IndexByte(l.stamp, ' ') < 0 {
			return event.ParseRFC3339(l.stamp)
		}
		day, clock, _ := strings.Cut(string(l.stamp), " ") // CRI-O prints a blank for the T
		return event.ParseRFC3339(day + "T" + clock)
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

// AppendKey appends the line's content without the prefix, so that one line
// delivered by two ways is one record; with it if only the prefix tells the time.
func (l *Line) AppendKey(b []byte) []byte {
	if l.stamp == nil || l.Relative {
		b = append(append(b, l.prefix...), ": "...)
	}
	return append(b, l.core...)
}
