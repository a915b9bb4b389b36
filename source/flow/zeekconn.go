package flow

import (
	"fmt"
	"math"
	"strconv"
	"unique"

	"tidewaiter/event"
)

// connEvent reads one record of the connection log. Its key is the uid, which
// Zeek draws at random for every connection, and the start.
func (c *converter) connEvent(r row) (event.Event, error) {
	h, err := c.readHead(r)
	if err != nil {
		return event.Event{}, err
	}
	body := &event.Flow{
		Protocol: h.proto, Src: h.src, Dst: h.dst,
		State:   c.words.Of(r.text(fConnState)),
		Service: c.words.Of(r.text(fService)),
	}
	body.Answered = answered(body.State)
	if body.BytesOut, err = optionalCount(r, fOrigBytes); err != nil {
		return event.Event{}, err
	}
	if body.BytesIn, err = optionalCount(r, fRespBytes); err != nil {
		return event.Event{}, err
	}
	if body.End, err = later(h.at, r, fDuration); err != nil {
		return event.Event{}, err
	}
	e := event.Event{Time: h.at, Record: recordTime(h, body.End), Body: body}
	c.connKey(r, &h)
	return e, nil
}

// recordTime is when Zeek wrote the record: what the record says itself, else
// the end of what it is about, else 0 for unknown.
func recordTime(h head, end event.Time) int64 {
	if !h.writeTS.IsZero() {
		return h.writeTS.At
	}
	return end.At
}

// connKey begins a key with the connection.
func (c *converter) connKey(r row, h *head) {
	b := append(c.key[:0], r.text(fUID)...)
	if len(b) == 0 {
		// The uid column was removed: the ends stand in for it.
		b = append(append(b, h.proto...), '|')
		b = append(h.src.AppendTo(b), '|')
		b = h.dst.AppendTo(b)
	}
	c.key = strconv.AppendInt(append(b, '|'), h.at.At, 10)
}

// answered is false for the states in which Zeek saw nothing from the other
// end: S0 (attempt without reply), SH (half-open, closed by the originator)
// and RSTOS0 (half-open, reset by the originator). See "conn_state" in Zeek's
// documentation of Conn::Info.
func answered(state string) bool {
	switch state {
	case "S0", "SH", "RSTOS0":
		return false
	}
	return true
}

func optionalCount(r row, f field) (int64, error) {
	text := r.text(f)
	if len(text) == 0 {
		return -1, nil
	}
	n, err := parseCount(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", fieldNames[f][0], err)
	}
	return n, nil
}

// maxSpan is the longest duration that is believed, in seconds: a hundred
// years. It also keeps the sum with a start inside 64 bits.
const maxSpan = 100 * 366 * 86400

// later adds the interval in column f (seconds) to at; the zero Time if it is
// unset. Packets that arrive out of order can make it negative: then the end
// is not known.
func later(at event.Time, r row, f field) (event.Time, error) {
	text := r.text(f)
	if len(text) == 0 {
		return event.Time{}, nil
	}
	sec, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(sec) || math.Abs(sec) > maxSpan {
		return event.Time{}, fmt.Errorf("%s: %q is not a number of seconds", fieldNames[f][0], clip(string(text)))
	}
	nanos := int64(math.Round(sec * float64(event.Second)))
	if nanos < 0 || at.At > math.MaxInt64-nanos {
		return event.Time{}, nil
	}
	return event.Time{At: at.At + nanos, Res: at.Res}, nil
}

// keep gives a copy of s that does not hold on to the record's memory. There
// are few different states, services and types, and millions of records.
func keep(s string) string { return unique.Make(s).Value() }
