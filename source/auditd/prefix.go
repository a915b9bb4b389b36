package auditd

import "bytes"

// What may stand before a record: a time, a host, a syslog tag.
const (
	maxPrefix = 512 // bytes looked at for the beginning of a record
	maxWords  = 6   // words of time and host: "[Tue Nov 3 10:00:00 2026]" has five
)

// afterPrefix finds the record behind the prefix of a system log, journal or
// kernel log; nil if there is none.
func afterPrefix(line []byte) []byte {
	if _, message := splitPrefix(line); startsRecord(message) {
		return message
	}
	return nil
}

// splitPrefix cuts a system log's line into the last tag before the message
// ("kernel:", "audit:", "audispd[17]:") and the message. Without a tag, the
// message is nil unless it is a record.
//
// Anybody who can make a daemon log a text of his choice ("Invalid user
// type=SYSCALL msg=audit(…") could otherwise write audit records into a mixed
// log. So a message must begin right behind its tag, the tag must be that of
// the kernel or of an audit program, and behind it only the kernel's "audit:"
// and bracketed time are passed over: "host kernel: [12.345678] audit:
// type=1300 audit(…".
func splitPrefix(line []byte) (tag, message []byte) {
	b := line[:min(len(line), maxPrefix)]
	i := 0
	if app, start, ok := splitRFC5424(b); ok {
		if !mayAudit(app) {
			return nil, nil
		}
		tag, i = app, start
	}
	for words := 0; i < len(b) && words <= maxWords; {
		if b[i] <= ' ' {
			i++
			continue
		}
		if startsRecord(line[i:]) {
			return tag, line[i:]
		}
		j := i
		for j < len(b) && b[j] > ' ' {
			j++
		}
		switch word := b[i:j]; {
		case tag == nil && word[len(word)-1] == ':':
			if !mayAudit(word) {
				return nil, nil
			}
			tag = word
		case tag == nil:
			words++
		case string(word) == "audit:":
			tag = word
		case word[0] != '[' && word[len(word)-1] != ']':
			return tag, line[i:]
		}
		i = j
	}
	return tag, nil
}

// mayAudit reports whether a syslog tag is one under which audit records are
// logged: the kernel's, an audit program's ("audispd", "auditd[812]:"), or one
// that was given to a forwarded audit.log ("tag_audit_log:").
func mayAudit(tag []byte) bool {
	return bytes.Contains(tag, []byte("audi")) || hasPrefix(tag, "kernel")
}

// splitRFC5424 passes over "<PRI>1 TIME HOST APP PROCID MSGID SD ", the header
// of RFC 5424, which has no tag that would end it: it gives APP and the offset
// of the message. ok is false if b has no such header, or one that is cut.
func splitRFC5424(b []byte) (app []byte, message int, ok bool) {
	if len(b) == 0 || b[0] != '<' {
		return nil, 0, false
	}
	i := bytes.IndexByte(b[:min(len(b), 5)], '>') + 1
	if i == 0 || !bytes.HasPrefix(b[i:], []byte("1 ")) {
		return nil, 0, false
	}
	for field := range 6 { // version, time, host, application, process, message id
		n := bytes.IndexByte(b[i:], ' ')
		if n < 0 {
			return nil, 0, false
		}
		if field == 3 {
			app = b[i : i+n]
		}
		i += n + 1
	}
	n := structuredData(b[i:])
	if n < 0 {
		return nil, 0, false
	}
	i += n
	if bytes.HasPrefix(b[i:], []byte("\xef\xbb\xbf")) {
		i += 3
	}
	return app, i, true
}

// structuredData is the length of "-" or "[id name="value"]…" and the blank
// behind it, -1 if it does not end. A ']' inside a quoted value does not end an
// element.
func structuredData(b []byte) int {
	quoted, depth := false, 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == ' ' && depth <= 0:
			return i + 1
		}
	}
	return -1
}
