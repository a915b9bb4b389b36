package flow

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
)

// Conntrack is the output of `conntrack -E -o timestamp`, best with `,id`
// beside it; extended, ktimestamp, zone and labels output is read as well.
//
// A [NEW] record gives a flow that begins there. [UPDATE] records tell nothing
// more and are skipped. A [DESTROY] record gives the flow once more, now with
// its end and, if the kernel counts (nf_conntrack_acct), its bytes; its start
// is that of the [NEW] record in the same input, or derived from delta-time
// (nf_conntrack_timestamp), or else unknown, because by then the address may
// belong to another container.
//
// Both ends are those before address translation, so a container shows its own
// address. Answered is false only in a [DESTROY] that is still [UNREPLIED]: a
// connection that has just begun is never answered yet.
func Conntrack() *source.Format {
	return &source.Format{
		Name:    "conntrack",
		Title:   "connection tracking events (conntrack -E -o timestamp,id)",
		Source:  event.Conntrack,
		Framing: source.Lines,
		Sniff:   sniffConntrack,
		New:     newConntrackDecoder,
	}
}

func newConntrackDecoder(out *source.Output) source.Decoder {
	return &conntrackDecoder{out: out, open: newOpenTable(maxOpen)}
}

// sniffConntrack looks for two directions after a protocol number, with or
// without event tag: a listing (conntrack -L) is recognised so that its user
// learns what to record instead.
func sniffConntrack(head source.Sample) int {
	return head.Share(func(line []byte) bool {
		return bytes.Count(line, []byte(" src=")) == 2 && bytes.Count(line, []byte(" dst=")) == 2 &&
			!bytes.Contains(line, []byte{'"'})
	})
}

// Reasons why a line of conntrack gives no flow.
var (
	errNoTime  = errors.New("no time in this line; record it with -o timestamp")
	errListing = errors.New("no [NEW], [UPDATE] or [DESTROY] in this line; record events with conntrack -E -o timestamp,id")
)

// Event tags, as conntrack prints them.
const (
	tagNew     = "[NEW]"
	tagUpdate  = "[UPDATE]"
	tagDestroy = "[DESTROY]"
)

type conntrackDecoder struct {
	out  *source.Output
	open *openTable
	// last is the time of the last readable line.
	last event.Time
	// key and full are the memory of keys.
	key, full []byte
	// orphans counts the ends without a beginning that came after the table
	// had pushed out connections for the first time: at most so many starts
	// are lost by its bound.
	orphans int64
}

// Decode implements source.Decoder.
func (d *conntrackDecoder) Decode(rec source.Record) {
	head, tag, rest := cutTag(rec.Data)
	if tag == "" {
		d.untagged(rec)
		return
	}
	if tag == tagUpdate {
		d.out.Skip()
		return
	}
	t, err := parseTracked(rest)
	if err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	at, found, err := parseLineTime(head)
	if !found {
		err = errNoTime
	}
	if err == nil {
		d.last = at
		err = d.emit(rec, tag, &t, at)
	}
	if err != nil {
		d.out.Unreadable(rec, err)
	}
}

// Flush implements source.Decoder. It tells if the bound on open connections
// cost any end its beginning.
func (d *conntrackDecoder) Flush() {
	if d.orphans == 0 {
		return
	}
	reason := "more than " + strconv.Itoa(d.open.limit) + " connections open at once: starts forgotten"
	d.loss(event.Loss{Reason: reason, Count: d.orphans}, reason+"|"+strconv.FormatInt(d.last.At, 10))
}

func (d *conntrackDecoder) emit(rec source.Record, tag string, t *tracked, at event.Time) error {
	src, dst, err := t.endpoints()
	if err != nil {
		return err
	}
	body := &event.Flow{
		Protocol: t.proto, Src: src, Dst: dst, State: t.state,
		BytesOut: t.orig.bytes, BytesIn: t.reply.bytes,
	}
	if t.reply.dst != t.orig.src {
		body.Via = t.reply.dst
	}
	d.key = t.appendKey(d.key[:0])
	if tag == tagNew {
		body.Answered = true
		d.open.add(d.key, opened{at, rec.Span})
		d.out.Event(event.Event{Time: at, Body: body}, d.flowKey(at, ""), rec.Span)
		return nil
	}
	body.Answered = !t.unreplied
	d.end(rec, t, body, at)
	return nil
}

func (d *conntrackDecoder) end(rec source.Record, t *tracked, body *event.Flow, at event.Time) {
	body.End = at
	e := event.Event{Record: at.At, Body: body}
	first, known := d.open.take(d.key)
	switch {
	case known && first.at.At <= at.At:
		e.Time = first.at
		d.out.Event(e, d.flowKey(e.Time, "|end"), rec.Span, first.span)
		return
	case t.age >= 0:
		e.Time = startByAge(at, t.age)
	case d.open.dropped > 0:
		d.orphans++
	}
	d.full = strconv.AppendInt(d.flowKey(e.Time, "|end|"), at.At, 10)
	d.out.Event(e, d.full, rec.Span)
}

// untagged reads a line that is no event: what conntrack says itself, on its
// error output, when both were written to one file.
func (d *conntrackDecoder) untagged(rec source.Record) {
	text := string(rec.Data)
	switch {
	case strings.Contains(text, "hit ENOBUFS"):
		reason := "netlink buffer overflow (ENOBUFS)"
		d.loss(event.Loss{Reason: reason, Count: -1}, reason+"|"+strconv.FormatInt(d.last.At, 10), rec.Span)
	case strings.HasPrefix(text, "This message means that the current netlink"),
		strings.HasPrefix(text, "Please, check --buffer-size"),
		strings.HasPrefix(text, "conntrack v") && strings.HasSuffix(text, "have been shown."):
		d.out.Skip()
	case strings.Contains(text, "src=") && strings.Contains(text, "dst="):
		d.out.Unreadable(rec, errListing)
	default:
		d.out.Unreadable(rec, errNoTuple)
	}
}

// loss emits l. Such a line has no time; it was written after the last one.
func (d *conntrackDecoder) loss(l event.Loss, key string, spans ...event.Span) {
	d.out.Event(event.Event{Record: d.last.At, Body: &l}, []byte(key), spans...)
}

// flowKey appends the native key of a flow: the connection, its start (0 when
// unknown) and what tells its end's record from its beginning's.
func flowKey(b []byte, key string, start event.Time, suffix string) []byte {
	b = append(append(b, key...), '|')
	b = strconv.AppendInt(b, start.At, 10)
	return append(b, suffix...)
}

// flowKey is flowKey of the connection whose key was read last. It is valid
// until the next call.
func (d *conntrackDecoder) flowKey(start event.Time, suffix string) []byte {
	b := append(append(d.full[:0], d.key...), '|')
	b = strconv.AppendInt(b, start.At, 10)
	d.full = append(b, suffix...)
	return d.full
}

// startByAge derives the start from the end and delta-time, the difference of
// the two kernel times after both were cut to whole seconds. The line was
// printed less than a second after the kernel's stop, so the start lies
// within two seconds.
func startByAge(end event.Time, age int64) event.Time {
	at := (end.At/event.Second - age - 1) * event.Second
	if at <= 0 {
		return event.Time{}
	}
	return event.Time{At: at, Res: 2 * event.Second}
}

// cutTag finds the first event tag. rest is what follows it.
func cutTag(line []byte) (head []byte, tag string, rest []byte) {
	for i := bytes.IndexByte(line, '['); i >= 0; {
		for _, tag := range [...]string{tagNew, tagUpdate, tagDestroy} {
			if n := i + len(tag); n <= len(line) && string(line[i:n]) == tag {
				return line[:i], tag, line[n:]
			}
		}
		next := bytes.IndexByte(line[i+1:], '[')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return line, "", nil
}
