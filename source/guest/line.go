package guest

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// line is one line of a log, without what a log daemon wrote before it.
type line struct {
	at      event.Time  // zero where the line tells no time with its year and zone
	wall    source.Wall // what it tells then
	host    string
	program string
	pid     int
	text    string
}

// How lines begin. Those of a kernel's buffer count from what nobody knows: such
// lines have no time.
var (
	isoHead     = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:[.,]\d+)?)(Z|[+-]\d\d:?\d\d)? `)
	syslogHead  = regexp.MustCompile(`^(?:<\d+>)?([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (\S+) `)
	slashHead   = regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d+)? `)
	kernelHead  = regexp.MustCompile(`^\[ *\d+\.\d+\] `)
	programHead = regexp.MustCompile(`^([A-Za-z_][\w./-]*)(?:\[(\d+)\])?: `)
)

// parseLine takes a line apart. utc says that a time without a zone is in UTC,
// as the program documents it.
func parseLine(s string, utc bool) line {
	var l line
	if m := isoHead.FindStringSubmatch(s); m != nil {
		zone := m[3]
		if zone == "" && utc {
			zone = "Z"
		}
		if len(zone) == 5 {
			zone = zone[:3] + ":" + zone[3:]
		}
		if t, err := event.ParseRFC3339(m[1] + "T" + strings.Replace(m[2], ",", ".", 1) + zone); err == nil && zone != "" {
			l.at = t
		}
		s = s[len(m[0]):]
		if m[3] != "" { // a log daemon's: the host follows
			host, rest, ok := strings.Cut(s, " ")
			if ok && programHead.MatchString(rest) {
				l.host, s = host, rest
			}
		}
	} else if m := syslogHead.FindStringSubmatch(s); m != nil {
		l.wall, _ = source.ParseWall(m[1])
		l.host, s = m[2], s[len(m[0]):]
	}
	s = strings.TrimPrefix(s, slashHead.FindString(s)) // in a zone that is not told
	s = strings.TrimPrefix(s, kernelHead.FindString(s))
	if m := programHead.FindStringSubmatch(s); m != nil {
		l.program, s = m[1], s[len(m[0]):]
		if n, err := strconv.Atoi(m[2]); err == nil {
			l.pid = n
		}
	}
	l.text = s
	return l
}

// journalLine reads an entry of journald as JSON (systemd.journal-fields); ok
// is false if it is none.
func journalLine(v jsonrecord.Value) (l line, ok bool) {
	message := v.Get("MESSAGE")
	if !message.Exists() {
		return l, false
	}
	l.text, l.host, l.program = message.String(), v.String("_HOSTNAME"), v.String("SYSLOG_IDENTIFIER")
	if l.program == "" {
		l.program = v.String("_COMM")
	}
	if n, ok := v.Int("_PID"); ok && n > 0 && n < 1<<31 {
		l.pid = int(n)
	}
	if micros, ok := v.Int("__REALTIME_TIMESTAMP"); ok && micros > 0 && micros < 9_000_000_000_000_000 {
		l.at = event.At(time.UnixMicro(micros), event.Microsecond)
	}
	return l, true
}

// pythonList reads a list of texts as Python prints it: ['a', "b'c", b'd'].
func pythonList(s string) (out []string, ok bool) {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, "[") && !strings.HasPrefix(s, "(") {
		return nil, false
	}
	s = s[1:]
	for len(out) < 4096 {
		s = strings.TrimLeft(s, " ,")
		if s == "" {
			return out, false
		}
		if s[0] == ']' || s[0] == ')' {
			return out, true
		}
		if s[0] == 'b' || s[0] == 'u' {
			s = s[1:]
		}
		if s == "" || s[0] != '\'' && s[0] != '"' {
			return out, false
		}
		text, rest, ok := pythonText(s)
		if !ok {
			return out, false
		}
		out, s = append(out, text), rest
	}
	return out, false
}

// pythonText reads one text in quotes.
func pythonText(s string) (text, rest string, ok bool) {
	quote := s[0]
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == quote:
			return b.String(), s[i+1:], true
		case c == '\\' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case '\\', '\'', '"':
				b.WriteByte(s[i])
			default:
				b.WriteString(s[i-1 : i+1])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}
