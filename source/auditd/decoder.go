package auditd

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"tidewaiter/event"
	"tidewaiter/source"
)

var errNode = fmt.Errorf("node name is longer than %d bytes", maxNodeLen)

// decoder puts the records of events together. An event is given out
//
//   - as soon as every record that its SYSCALL record lets expect is there, and
//     PROCTITLE, the last that the kernel writes, or EOE as well. Neither alone
//     will do: auditd leaves EOE out of its file, and both may overtake others.
//   - else when maxOpen newer events have begun, or one of the same node that is
//     maxBehind newer and, if records are missing, minNewer in number;
//   - else at Flush.
//
// Gaps in the serial numbers are no sign of loss: every rule, and every filter
// that a log has passed, leaves numbers out. Only what states a loss is one.
type decoder struct {
	out   *source.Output
	table table
	past  past
	names names

	// last is the unfinished event of the last record and lastStamp its stamp
	// as printed: nearly always the next record belongs to it too.
	last      *group
	lastStamp []byte

	scratch []byte
	// lost is the kernel's own count of lost records when it was last told.
	lost int64
}

func newDecoder(out *source.Output) *decoder {
	return &decoder{out: out, names: names{known: map[string]name{}}}
}

// Decode implements source.Decoder.
func (d *decoder) Decode(rec source.Record) {
	h, err := splitHeader(rec.Data)
	if err != nil {
		d.noRecord(rec, err)
		return
	}
	if g := d.last; g != nil && bytes.Equal(h.stamp, d.lastStamp) && string(h.node) == g.key.node {
		d.route(rec, &h, g, g.key)
		return
	}
	k, err := d.key(&h)
	if err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	g := d.table.find(&k)
	if g != nil {
		d.remember(g, &h)
	}
	d.route(rec, &h, g, k)
}

// route passes a record on by its type. g is its unfinished event, nil if there
// is none, and k the event's key.
func (d *decoder) route(rec source.Record, h *header, g *group, k eventKey) {
	switch {
	case h.typ == typeOther:
		d.out.Skip()
	case h.typ == typeConfigChange:
		d.configChange(rec, h.body, k)
	case g == nil:
		d.begin(rec, h, k)
	default:
		d.extend(g, rec, h)
	}
}

// key reads the key of the event that a record belongs to.
func (d *decoder) key(h *header) (eventKey, error) {
	millis, serial, ok := parseStamp(h.stamp)
	if !ok {
		return eventKey{}, errStamp
	}
	if len(h.node) > maxNodeLen {
		return eventKey{}, errNode
	}
	return eventKey{d.names.of(h.node), millis, serial}, nil
}

func (d *decoder) remember(g *group, h *header) {
	d.last = g
	d.lastStamp = append(d.lastStamp[:0], h.stamp...)
}

// begin takes the first record of an event, or one that comes after its event
// was given out.
func (d *decoder) begin(rec source.Record, h *header, k eventKey) {
	if done := d.past.get(&k, d.names.number(k.node)); done != 0 {
		d.late(rec, h, done)
		return
	}
	if h.typ == typeEOE {
		d.out.Skip()
		return
	}
	g := d.table.add(k)
	d.remember(g, h)
	for old := d.table.overdue(&k); old != nil; old = d.table.overdue(&k) {
		d.finish(old)
	}
	d.extend(g, rec, h)
}

// late counts a record of an event that is finished. One of a kind that the
// event had tells nothing: it was delivered twice, or nobody wants it.
func (d *decoder) late(rec source.Record, h *header, done parts) {
	if done&partOf(h.typ) != 0 {
		d.out.Skip()
		return
	}
	d.out.Unreadable(rec, fmt.Errorf("%v record of event %s came after the event was given out", h.typ, h.stamp))
}

// partOf is the part of an event that a record is.
func partOf(t recordType) parts {
	switch t {
	case typeSyscall, typeUring:
		return hasSyscall
	case typeExecve:
		return hasExecve
	case typeCwd:
		return hasCwd
	case typePath:
		return hasPath
	case typeSockaddr:
		return hasSockaddr
	case typeProctitle:
		return hasTitle
	case typeOpenat2:
		return hasOpenat2
	}
	return hasEnd
}

// extend adds a record to its event.
func (d *decoder) extend(g *group, rec source.Record, h *header) {
	if h.typ == typeUring {
		d.out.Skip()
		d.dismiss(g)
		return
	}
	fresh, err := g.add(h.typ, h.body, rec.Span)
	switch {
	case err != nil:
		d.out.Unreadable(rec, err)
		return
	case !fresh:
		d.out.Skip()
		return
	case h.typ == typeSyscall && !g.syscall.wanted():
		d.dismiss(g)
	case g.have&(hasTitle|hasEnd) != 0 && g.settled():
		d.finish(g)
	}
}

// wanted reports whether the call can become an event. A program that could not
// be started and a file that could not be opened did nothing; an attempt to
// connect is worth knowing either way.
func (s *syscallRecord) wanted() bool {
	switch s.call {
	case callOther:
		return false
	case callConnect, callUnknown:
		return true
	}
	return s.ok
}

// dismiss drops an event that tells nothing; its other records are skipped as
// they come.
func (d *decoder) dismiss(g *group) {
	d.skip(g.records)
	d.past.put(&g.key, d.names.number(g.key.node), hasAll)
	d.drop(g)
}

// finish gives out what is known of an event.
func (d *decoder) finish(g *group) {
	if g.have&hasSyscall == 0 {
		d.orphan(g)
	} else if body, err := d.body(g); body != nil {
		d.emit(g, body)
	} else if err != nil {
		d.fault(g, g.main, err)
	} else {
		d.skip(g.records)
	}
	d.past.put(&g.key, d.names.number(g.key.node), g.complete())
	d.drop(g)
}

func (d *decoder) drop(g *group) {
	if d.last == g {
		d.last = nil
	}
	d.table.remove(g)
}

func (d *decoder) skip(records int) {
	for range records {
		d.out.Skip()
	}
}

// orphan counts a group that has no SYSCALL record. What was run may be known,
// but not by whom: no other record has a pid. The most telling line is cited.
func (d *decoder) orphan(g *group) {
	types := g.types[:g.nspans]
	for _, t := range []recordType{typeExecve, typeSockaddr, typePath, typeOpenat2, typeCwd, typeProctitle} {
		if i := slices.Index(types, t); i >= 0 {
			d.fault(g, g.spans[i], fmt.Errorf("%v without its SYSCALL record", t))
			return
		}
	}
	d.skip(g.records)
}

// fault counts an event that cannot be told: one record stands for it, the
// others are skipped, so that one lost record is one fault.
func (d *decoder) fault(g *group, at event.Span, err error) {
	d.out.Unreadable(source.Record{Span: at}, err)
	d.skip(g.records - 1)
}

// resolution is how far the kernel's clock may lag behind, in nanoseconds.
// Stamps are printed in milliseconds, but __audit_syscall_entry and
// audit_log_start take them from ktime_get_coarse_real_ts64, the time of the
// last timer tick: 10 ms apart at the lowest usual CONFIG_HZ, 100. A guest whose
// host withholds ticks may lag more; only serial numbers order its events.
const resolution = 10 * event.Millisecond

func (k *eventKey) time() event.Time {
	return event.Time{At: k.millis * event.Millisecond, Res: resolution}
}

// emit sends an event. The stamp names it: auditd gives no other id.
func (d *decoder) emit(g *group, body event.Body) {
	e := event.Event{Time: g.key.time(), Place: event.Place{Host: g.key.node}, Body: body}
	d.out.Event(e, d.nativeKey(&g.key, string(body.Kind())), g.cite()...)
}

// nativeKey is "NODE SECONDS.MILLIS:SERIAL WHAT". It is valid until the next call.
func (d *decoder) nativeKey(k *eventKey, what string) []byte {
	b := append(d.scratch[:0], k.node...)
	b = append(b, ' ')
	b = k.appendStamp(b)
	b = append(b, ' ')
	b = append(b, what...)
	d.scratch = b
	return b
}

// Flush implements source.Decoder.
func (d *decoder) Flush() {
	for g := d.table.oldest; g != nil; g = d.table.oldest {
		d.finish(g)
	}
}

// Settle implements source.Settler: the log of auditd has no record that ends an
// event, and the next event may be long in coming.
func (d *decoder) Settle() { d.Flush() }

// noRecord counts a line that has no audit header: the kernel's or a daemon's
// words about lost records, what ausearch prints between events, or something
// else.
func (d *decoder) noRecord(rec source.Record, err error) {
	switch {
	case errors.Is(err, errNotAudit) && d.lossText(rec):
	case isSeparator(rec.Data):
		d.out.Skip()
	default:
		d.out.Unreadable(rec, err)
	}
}

// isSeparator reports whether line is one of the two that ausearch prints
// before each event.
func isSeparator(line []byte) bool {
	line = bytes.TrimRight(line, " \r")
	return string(line) == "----" || bytes.HasPrefix(line, []byte("time->"))
}
