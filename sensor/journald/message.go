package journald

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// fields are asked for (systemd.journal-fields(7)), besides those that
// journalctl always prints.
const fields = "MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_COMM,_PID,_HOSTNAME,_SYSTEMD_UNIT,UNIT,CONTAINER_ID,CONTAINER_ID_FULL"

// message is one message of the journal, as journalctl prints it.
type message struct {
	Cursor      string `json:"__CURSOR"`
	At          string `json:"__REALTIME_TIMESTAMP"` // microseconds since 1970
	Text        text   `json:"MESSAGE"`
	Identifier  text   `json:"SYSLOG_IDENTIFIER"`
	Said        text   `json:"SYSLOG_PID"`
	Command     text   `json:"_COMM"`
	PID         text   `json:"_PID"`
	Host        text   `json:"_HOSTNAME"`
	Unit        text   `json:"_SYSTEMD_UNIT"`
	About       text   `json:"UNIT"` // of whom systemd speaks
	Container   text   `json:"CONTAINER_ID"`
	ContainerID text   `json:"CONTAINER_ID_FULL"`
}

// text is a field's value: a string, an array of bytes if it is not UTF-8 or
// not printable, or an array of several values, of which the first counts.
type text string

var errText = errors.New("not a field of the journal")

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(data []byte) error {
	switch {
	case data[0] == '"':
		return json.Unmarshal(data, (*string)(t))
	case data[0] == 'n': // too long; not with --all
		*t = ""
		return nil
	case data[0] != '[':
		return errText
	}
	var values []json.RawMessage
	if err := json.Unmarshal(data, &values); err != nil {
		return err
	}
	if len(values) > 0 && (values[0][0] == '"' || values[0][0] == '[') {
		return t.UnmarshalJSON(values[0])
	}
	b := make([]byte, 0, len(values))
	for _, v := range values {
		n, err := strconv.ParseUint(string(v), 10, 8)
		if err != nil {
			return errText
		}
		b = append(b, byte(n))
	}
	*t = text(b)
	return nil
}

// unit is the unit that the message is of, or about.
func (m *message) unit(known func(string) bool) string {
	if known(string(m.Unit)) {
		return string(m.Unit)
	}
	return string(m.About)
}

// printed reports whether the message is what a container printed: dockerd
// writes that to the journal as its own, where so told, under a name that
// whoever started the container may have chosen.
func (m *message) printed() bool { return m.Container != "" || m.ContainerID != "" }

// appendLine appends the message as the line of a system log:
//
//	2026-11-03T10:00:00.123456Z HOST PROGRAM[PID]: TEXT
//
// A line end within the text is written as rsyslog does: what follows it would
// otherwise be a line of its own, without a program that said it.
func (m *message) appendLine(b []byte, host string) ([]byte, error) {
	at, err := strconv.ParseInt(m.At, 10, 64)
	if err != nil {
		return b, err
	}
	b = time.UnixMicro(at).UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z07:00")
	b = append(b, ' ')
	b = append(b, word(host, string(m.Host), "localhost")...)
	b = append(b, ' ')
	b = append(b, word(string(m.Identifier), string(m.Command), "unknown")...)
	if pid := word(string(m.PID), string(m.Said), ""); pid != "" {
		b = append(b, '[')
		b = append(b, pid...)
		b = append(b, ']')
	}
	b = append(b, ": "...)
	said := strings.TrimRight(string(m.Text), "\r\n")
	for {
		line, rest, more := strings.Cut(said, "\n")
		b = append(b, line...)
		if !more {
			return append(b, '\n'), nil
		}
		b = append(b, "#012"...)
		said = rest
	}
}

// word is the first that is not empty, without what would end it.
func word(all ...string) string {
	for _, s := range all {
		if s != "" {
			return strings.Map(func(r rune) rune {
				if r <= ' ' || r == ':' || r == '[' || r == ']' {
					return '_'
				}
				return r
			}, s)
		}
	}
	return ""
}

// read reads what journalctl printed on one line.
func read(line []byte) (m message, err error) {
	if line = bytes.TrimSpace(line); len(line) == 0 || line[0] != '{' {
		return m, errText
	}
	err = json.Unmarshal(line, &m)
	return m, err
}
