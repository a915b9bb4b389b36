package auditd

import (
	"bytes"

	"tidewaiter/event"
	"tidewaiter/source"
)

// configChange reads the records that state a loss in so many words:
//
//	op=set lost=0 old=17 …           the count of lost records was set back from 17
//	op=set audit_enabled=0 old=1 …   nothing is recorded from here on
//
// (audit_log_config_change in kernel/audit.c; old kernels leave op=set out.) All
// others are about rules and limits.
func (d *decoder) configChange(rec source.Record, body []byte, k eventKey) {
	loss := readConfigChange(body)
	if loss == nil {
		d.out.Skip()
		return
	}
	e := event.Event{Time: k.time(), Place: event.Place{Host: k.node}, Body: loss}
	d.out.Event(e, d.nativeKey(&k, string(event.KindLoss)+" "+loss.Reason), rec.Span)
}

// readConfigChange gives the loss that a CONFIG_CHANGE record states, or nil.
func readConfigChange(body []byte) *event.Loss {
	var what string
	var to, old int64
	refused := false
	f := fields{b: body}
	for {
		key, v, ok := f.next()
		if !ok {
			break
		}
		switch k := string(key); k {
		case "lost", "audit_lost", "audit_enabled":
			what = k
			to, _ = v.decimal()
		case "old":
			old, _ = v.decimal()
		case "res":
			refused = string(v.text) == "0"
		}
	}
	switch {
	case what == "audit_enabled" && to == 0 && old != 0 && !refused:
		return &event.Loss{Reason: "auditing was switched off", Count: -1}
	case (what == "lost" || what == "audit_lost") && max(to, old) > 0:
		return &event.Loss{Reason: "kernel lost audit records", Count: max(to, old)}
	}
	return nil
}

// lossTexts are the words in which the kernel (audit_log_lost in
// kernel/audit.c) and auditd's dispatcher and its remote plugin (queue.c and
// audisp-remote.c of the audit project) say that records were lost, without
// saying how many.
var lossTexts = []struct{ tag, text, reason string }{
	{"audit:", "backlog limit exceeded", "kernel backlog exceeded"},
	{"audit:", "rate limit exceeded", "kernel rate limit exceeded"},
	{"audit:", "printk limit exceeded", "kernel log limit exceeded"},
	{"audit:", "kauditd hold queue overflow", "kernel hold queue overflowed"},
	{"audit:", "auditd disappeared", "audit daemon disappeared"},
	{"audit:", "out of memory in audit_log_start", "kernel out of memory"},
	{"audi", "queue to plugins is full - dropping event", "plugin queue full"},
	{"audi", "queue is full - dropping event", "plugin queue full"},
	{"audi", "dispatch err (pipe full) event lost", "plugin queue full"},
}

// lossText reads a line that is no record but says that records were lost:
//
//	audit: audit_lost=42 audit_rate_limit=0 audit_backlog_limit=64
//	audit: backlog limit exceeded
//
// Such lines have no stamp, so the event has the time of an RFC 3339 prefix or
// none: a syslog time has no year and no zone, and none is guessed.
func (d *decoder) lossText(rec source.Record) bool {
	tag, message := splitPrefix(rec.Data)
	message = bytes.TrimRight(message, " \r")
	loss := d.readLossText(tag, message)
	switch {
	case loss != nil:
		key := rec.Data[:min(len(rec.Data), maxPrefix)]
		d.out.Event(event.Event{Time: prefixTime(rec.Data), Body: loss}, append([]byte("text "), key...), rec.Span)
	case isQueueText(tag, message):
		d.out.Skip()
	default:
		return false
	}
	return true
}

// isQueueText reports whether the kernel tells its counts: those that state
// nothing new are no loss.
func isQueueText(tag, message []byte) bool {
	return string(tag) == "audit:" &&
		(bytes.HasPrefix(message, []byte("audit_lost=")) || bytes.HasPrefix(message, []byte("audit_backlog=")))
}

// readLossText gives the loss that a message states, or nil.
func (d *decoder) readLossText(tag, message []byte) *event.Loss {
	if count, ok := bytes.CutPrefix(message, []byte("audit_lost=")); ok && string(tag) == "audit:" {
		if total, k := leadingDigits(count); k > 0 {
			if n := d.newlyLost(int64(total)); n > 0 {
				return &event.Loss{Reason: "kernel lost audit records", Count: n}
			}
		}
		return nil
	}
	for _, t := range lossTexts {
		if string(message) == t.text && bytes.HasPrefix(tag, []byte(t.tag)) {
			return &event.Loss{Reason: t.reason, Count: -1}
		}
	}
	return nil
}

// newlyLost is how many records were lost since the kernel last told: it counts
// from boot, so a smaller number is a new boot.
func (d *decoder) newlyLost(total int64) int64 {
	n := total - d.lost
	if n < 0 {
		n = total
	}
	d.lost = total
	return n
}

// prefixTime reads the time of a line's prefix, if it has an offset: the first
// word, or the second behind the priority of RFC 5424.
func prefixTime(line []byte) event.Time {
	word, rest, _ := bytes.Cut(line[:min(len(line), 64)], []byte{' '})
	if hasPrefix(word, "<") {
		word, _, _ = bytes.Cut(rest, []byte{' '})
	}
	t, err := event.ParseRFC3339(string(word))
	if err != nil {
		return event.Time{}
	}
	return t
}
