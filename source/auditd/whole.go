package auditd

import "bytes"

// whole is how much of some whole lines of audit text is surely whole events:
// all but the event that the last line belongs to, of which more may follow.
// Whoever cuts a log in pieces must not cut within an event.
func whole(lines []byte) int {
	last := bytes.LastIndexByte(bytes.TrimSuffix(lines, []byte{'\n'}), '\n') + 1
	stamp := stampOf(lines[last:])
	if stamp == nil {
		return len(lines)
	}
	begin := bytes.Index(lines, stamp)
	return bytes.LastIndexByte(lines[:begin], '\n') + 1
}

// stampOf is the "audit(SECONDS.MILLIS:SERIAL)" of a line.
func stampOf(line []byte) []byte {
	begin := bytes.Index(line, []byte("audit("))
	if begin < 0 {
		return nil
	}
	end := bytes.IndexByte(line[begin:], ')')
	if end < 0 {
		return nil
	}
	return line[begin : begin+end+1]
}
