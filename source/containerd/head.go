package containerd

import (
	"bytes"
	"errors"
	"time"

	"tidewaiter/event"
)

// Reasons why a line cannot be read.
var (
	errNotEvent = errors.New("no line of ctr events: want a time, a namespace, /topic and the event")
	errNoTime   = errors.New("no time: the line begins with its namespace or topic")
	errBadTime  = errors.New("the time is not a date, a clock and an offset")
)

// head is what stands before a line's event. Its parts point into the line.
type head struct {
	at        event.Time
	clock     []byte // the time as printed, up to its offset
	namespace []byte // empty if none was printed, as before containerd 1.0
	topic     []byte
	payload   []byte // the event: JSON, or key=value before containerd 1.0; may be empty
}

// clockLayout is how Go prints a time, without the zone's name, which says
// nothing that the offset does not.
const clockLayout = "2006-01-02 15:04:05.999999999 -0700"

// parseHead reads
//
//	2021-04-01 11:50:27.322765234 +0000 UTC k8s.io /tasks/start {"container_id":…}
//	2017-06-23 23:21:30.362012776 +0000 UTC   /tasks/create   id=registry
func parseHead(line []byte) (head, error) {
	end := clockEnd(line)
	if end < 0 {
		return head{}, whyNoTime(line)
	}
	at, err := parseClock(line[:end])
	if err != nil {
		return head{}, err
	}
	h := head{at: at, clock: line[:end]}
	rest := bytes.TrimLeft(line[end:], " ")
	_, rest, _ = bytes.Cut(rest, []byte{' '}) // the zone's name
	rest = bytes.TrimLeft(rest, " ")
	if len(rest) > 0 && rest[0] != '/' {
		h.namespace, rest, _ = bytes.Cut(rest, []byte{' '})
		rest = bytes.TrimLeft(rest, " ")
	}
	h.topic, h.payload, _ = bytes.Cut(rest, []byte{' '})
	if len(h.topic) < 2 || h.topic[0] != '/' {
		return head{}, errNotEvent
	}
	h.payload = bytes.TrimSpace(h.payload)
	return h, nil
}

// clockEnd is where "date clock offset" ends; -1 if the line does not begin
// with a date.
func clockEnd(line []byte) int {
	if len(line) < len("2006-01-02 15:04:05 -0700") || line[4] != '-' || line[7] != '-' || line[10] != ' ' {
		return -1
	}
	clock := bytes.IndexByte(line[11:], ' ')
	if clock < 0 {
		return -1
	}
	offset := bytes.IndexByte(line[11+clock+1:], ' ')
	if offset < 0 {
		return -1
	}
	return 11 + clock + 1 + offset
}

// parseClock reads "date clock offset". Go cuts trailing zeros of the fraction,
// so that its digits do not tell the resolution, which is always a nanosecond.
func parseClock(s []byte) (event.Time, error) {
	if at, ok := plainClock(s); ok {
		return at, nil
	}
	t, err := time.Parse(clockLayout, string(s))
	if err != nil || t.Year() < 1970 || t.Year() > 2261 {
		return event.Time{}, errBadTime
	}
	return event.At(t, event.Nanosecond), nil
}

// plainClock reads a time in UTC with at most nine digits of a fraction, as
// nearly every record has it. ok is false for the rest, right or wrong.
func plainClock(s []byte) (at event.Time, ok bool) {
	s, ok = bytes.CutSuffix(s, []byte(" +0000"))
	if !ok {
		return at, false
	}
	sec, ok := event.CivilSeconds(s)
	if !ok || s[10] != ' ' {
		return at, false
	}
	var nanos int64
	if frac := s[19:]; len(frac) > 0 {
		if frac[0] != '.' || len(frac) == 1 || len(frac) > 10 {
			return at, false
		}
		for i := range 9 {
			nanos *= 10
			if i+1 < len(frac) {
				if frac[i+1]-'0' > 9 {
					return at, false
				}
				nanos += int64(frac[i+1] - '0')
			}
		}
	}
	return event.Time{At: sec*event.Second + nanos, Res: event.Nanosecond}, true
}

// whyNoTime tells a line that only lacks its time from one of another kind.
func whyNoTime(line []byte) error {
	first, rest, _ := bytes.Cut(line, []byte{' '})
	second, _, _ := bytes.Cut(rest, []byte{' '})
	if isTopic(first) || isTopic(second) {
		return errNoTime
	}
	return errNotEvent
}

// isTopic reports whether a word is a topic of containerd's own, all of which
// are /kind/what.
func isTopic(word []byte) bool {
	kind, what, found := bytes.Cut(bytes.TrimPrefix(word, []byte{'/'}), []byte{'/'})
	if !found || len(what) == 0 || word[0] != '/' {
		return false
	}
	switch string(kind) {
	case "containers", "content", "images", "leases", "namespaces", "runtime", "sandboxes", "snapshot", "tasks":
		return true
	}
	return false
}
