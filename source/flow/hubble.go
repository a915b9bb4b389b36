package flow

import (
	"errors"
	"fmt"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Hubble is what Cilium's Hubble exports and `hubble observe -o json` (or
// jsonpb) prints: flows, bare or wrapped, and between them events of the agent,
// which are skipped, and lost events, which become event.Loss.
//
// A Hubble flow is one packet at one trace point, so one connection comes many
// times: at several points, in both directions, on both nodes. One event is
// given for each connection of an input, at the first record that proves it:
//
//   - State NEW: the first packet. TCP tells it by its SYN, other protocols by
//     a packet towards the service after 60 s of silence.
//   - State ESTABLISHED or REPLY: the connection began before the record did;
//     Time is when it was first seen, and for REPLY both ends are turned round.
//   - State DROPPED: Cilium dropped it; Answered is false, unless it was in the
//     middle of a connection.
//
// If more of it was seen, a connection is told once more, with the same Time.
// Record is when it was seen last, and the first record and up to seven of the
// last are cited:
//
//   - State CLOSED: at the first FIN, from either side, or RST. End is that
//     record's time, or that of a later one that was printed before it.
//   - State OPEN: no end was seen, and End is unknown. It comes when the ends
//     are used again, when the connection is forgotten, and when the input ends.
//
// In this second event Answered is whether a reply was seen, or a packet of
// TCP that acknowledges one.
//
// Everything else about a known connection is skipped: records between the
// first and the last, what comes after its end, attempts repeated after a drop.
// So are packets of which Hubble does not tell the direction, unless they carry
// a SYN, resets and ICMP errors that belong to no known connection, and socket
// translations, whose addresses are not those on the wire. Connections are
// remembered up to a bound (seenTable); one that was forgotten can come again,
// as ESTABLISHED or REPLY.
//
// Layer 7 records give event.DNS and event.HTTP, one for each question with its
// answer. Then Time is when it was asked, and a question without an answer has
// no Code or Status. Of headers only User-Agent is read.
//
// The cluster is told by the node's name or by the local end's label; Cilium
// calls every cluster "default" until somebody names it, so that tells nothing.
func Hubble() *source.Format {
	return &source.Format{
		Name:    "hubble",
		Title:   "Cilium Hubble flows (JSON)",
		Source:  event.Hubble,
		Framing: source.JSONValues,
		Sniff:   sniffHubble,
		New: func(out *source.Output) source.Decoder {
			return &hubbleDecoder{out: out, seen: newSeenTable(), asked: newAskTable(out)}
		},
	}
}

var errNotHubble = errors.New("not a Hubble record: neither a flow nor lost_events, agent_event, debug_event or node_status")

type hubbleDecoder struct {
	out    *source.Output
	parser jsonrecord.Parser
	seen   *seenTable
	asked  *askTable
}

// Flush implements source.Decoder: it tells the questions without an answer,
// and the connections of which no end was seen.
func (d *hubbleDecoder) Flush() {
	d.asked.flush()
	for c := d.seen.oldest(); c != nil; c = d.seen.oldest() {
		d.forget(c)
	}
}

// Decode implements source.Decoder.
func (d *hubbleDecoder) Decode(rec source.Record) {
	v, err := d.parser.Parse(rec.Data)
	if err == nil {
		err = d.record(rec, v)
	}
	switch {
	case errors.Is(err, errNothing):
		d.out.Skip()
	case err != nil:
		d.out.Unreadable(rec, err)
	}
}

// record emits what one record says, or keeps it for an event to come, or
// gives errNothing. Nothing is remembered or emitted before the record is known
// to be sound.
func (d *hubbleDecoder) record(rec source.Record, v jsonrecord.Value) error {
	switch kind := hubbleKind(v); kind {
	case "flow", "bare":
		f := v
		if kind == "flow" {
			f = v.Get("flow")
		}
		p, err := d.packet(v, f)
		switch {
		case err != nil:
			return err
		case p.layer7:
			return d.exchange(rec, p)
		}
		return d.connection(rec, p)
	case "lost_events":
		return d.lost(rec, v)
	case "":
		return errNotHubble
	}
	return errNothing
}

// hubbleKind is the key that says what a record is about: "bare" for a flow
// without wrapping, "" for something else.
func hubbleKind(v jsonrecord.Value) string {
	for _, key := range [...]string{"flow", "lost_events", "agent_event", "debug_event", "node_status"} {
		if v.Get(key).IsObject() {
			if key == "flow" && !isHubbleFlow(v.Get(key)) {
				return ""
			}
			return key
		}
	}
	if isHubbleFlow(v) {
		return "bare"
	}
	return ""
}

// isHubbleFlow knows a flow by the keys that no other sensor's have together.
func isHubbleFlow(f jsonrecord.Value) bool {
	ip := f.Get("IP")
	return f.Get("verdict").Exists() && (ip.IsObject() || f.Get("event_type").IsObject() || f.Get("Type").Exists()) ||
		ip.IsObject() && f.Get("l4").IsObject()
}

func sniffHubble(head source.Sample) int {
	var p jsonrecord.Parser
	n, hits := 0, 0
	for _, text := range sampleObjects(head) {
		v, err := p.Parse(text)
		if err != nil || !v.IsObject() {
			continue
		}
		n++
		switch hubbleKind(v) {
		case "":
		case "flow", "bare":
			hits++
		default:
			if hubbleTime(v.Get("time")).Res > 0 {
				hits++
			}
		}
	}
	if n == 0 {
		return 0
	}
	return sureHeader * hits / n
}

// lost tells of flows that Hubble itself did not see or keep.
func (d *hubbleDecoder) lost(rec source.Record, v jsonrecord.Value) error {
	at := hubbleTime(v.Get("time"))
	if at.IsZero() {
		return errHubbleTime(v.Get("time"))
	}
	l := v.Get("lost_events")
	body := &event.Loss{Reason: "flows lost", Count: -1}
	where := l.Number("source")
	if where != "" {
		body.Reason = "flows lost in " + bounded(where, 64)
	}
	if n, ok := l.Int("num_events_lost"); ok && n >= 0 {
		body.Count = n
	}
	cluster, node := hubbleNode(v.String("node_name"))
	cpu := l.Number("cpu")
	if cpu == "" {
		cpu = l.Number("cpu", "value")
	}
	if err := d.parser.Fault(); err != nil {
		return err
	}
	e := event.Event{Time: at, Body: body, Place: event.Place{Cluster: cluster}}
	d.out.Event(e, fmt.Appendf(nil, "lost|%s|%d|%s|%s|%d", node, at.At, where, cpu, body.Count), rec.Span)
	return nil
}

// hubbleTime reads a time: RFC 3339, or an object of seconds and nanos as
// encoders without protobuf's rules print it. The zero Time if it is none.
func hubbleTime(v jsonrecord.Value) event.Time {
	if v.IsString() {
		t, err := event.ParseRFC3339(v.Bytes())
		if err != nil || t.At <= 0 {
			return event.Time{}
		}
		return t
	}
	sec, ok := v.Int("seconds")
	nanos, whole := v.Int("nanos")
	if !whole {
		whole = !v.Get("nanos").Exists()
	}
	if !ok || !whole || sec <= 0 || sec > 9_200_000_000 || nanos < 0 || nanos >= event.Second {
		return event.Time{}
	}
	return event.Time{At: sec*event.Second + nanos, Res: event.Nanosecond}
}

func errHubbleTime(v jsonrecord.Value) error {
	if v.IsNull() {
		return errors.New("no time")
	}
	return fmt.Errorf("time %q is neither RFC 3339 with an offset nor {seconds, nanos}", clip(v.Number()))
}

// hubbleNode cuts "cluster/node". The cluster "default" is nobody's name.
func hubbleNode(name string) (cluster, node string) {
	cluster, node, found := strings.Cut(bounded(name, maxHost), "/")
	if !found {
		return "", cluster
	}
	return namedCluster(cluster), node
}

func namedCluster(name string) string {
	if name == "default" {
		return ""
	}
	return bounded(name, maxHost)
}
