// Package auditd reads Linux audit records as auditd, audisp's syslog plugin
// and the kernel's own log print them, and puts the records of one event
// together although they interleave and arrive out of order.
//
// In: lines of audit text, or the JSON that laurel makes of them. Out:
// event.Process for a program that was started, event.Socket for a connection
// that was asked for, event.FileWrite for a file that was opened for writing,
// created or renamed to, and event.Loss where a record states that others were
// lost.
//
// Rules come from the kernel's kernel/audit.c and kernel/auditsc.c (what is
// printed, and in which form) and from the audit project's "Audit Event
// Parsing" and field dictionary (how it is to be read). Work done through
// io_uring is printed as URINGOP without a program's name and is not decoded.
package auditd

import (
	"tidewaiter/event"
	"tidewaiter/source"
)

// Format is the format of Linux audit records: one record per line, raw or
// enriched, bare or behind a syslog, journal or kernel log prefix.
func Format() *source.Format {
	return &source.Format{
		Name:    "auditd",
		Title:   "Linux audit records (audit.log, audisp to syslog, kernel log)",
		Source:  event.Auditd,
		Framing: source.Lines,
		Sniff:   sniff,
		Whole:   whole,
		New:     func(out *source.Output) source.Decoder { return newDecoder(out) },
	}
}

// sniff is the share of lines that carry an audit stamp in its full form. In a
// system log only some do; another format that knows its lines better wins.
func sniff(head source.Sample) int {
	return head.Share(func(line []byte) bool {
		h, err := splitHeader(line)
		if err != nil {
			return false
		}
		_, _, ok := parseStamp(h.stamp)
		return ok
	})
}
