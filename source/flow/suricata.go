package flow

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// SuricataEVE is Suricata's EVE log, bare or as the text in Filebeat's message.
//
// A flow record gives a flow that began at flow.start; Record is its timestamp,
// which is when it was written. Answered is false if no packet came back. Two
// netflow records, one for each direction, give one flow together; where only
// the first is there, nothing came back. A dns answer is one event with its
// query, at the query's time; a query that nobody answered has no Code, and
// each record of an old-style (version 1) answer is an event of its own. http
// and tls give a request and a handshake. Every other event type is skipped.
func SuricataEVE() *source.Format {
	return &source.Format{
		Name:    "suricata-eve",
		Title:   "Suricata EVE log (JSON)",
		Source:  event.Suricata,
		Framing: source.JSONValues,
		Sniff:   sniffEVE,
		New: func(out *source.Output) source.Decoder {
			return &eveDecoder{out: out, asked: newAskTable(out)}
		},
	}
}

var errNotEVE = errors.New("not an EVE record: no event_type")

type eveDecoder struct {
	out     *source.Output
	outer   jsonrecord.Parser
	inner   jsonrecord.Parser // of what Filebeat carries
	parser  *jsonrecord.Parser
	asked   *askTable
	members jsonrecord.Members // of the record being read
	head    eveHead            // of the same
	key     []byte
}

// Flush implements source.Decoder: it tells what still waits for its second
// half.
func (d *eveDecoder) Flush() { d.asked.flush() }

// Decode implements source.Decoder.
func (d *eveDecoder) Decode(rec source.Record) {
	v, err := d.open(rec.Data)
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

// open parses a record and unpacks what a shipper wrapped.
func (d *eveDecoder) open(data []byte) (jsonrecord.Value, error) {
	d.parser = &d.outer
	v, err := d.outer.Parse(data)
	if err != nil || v.Get("event_type").Exists() {
		return v, err
	}
	text := v.String("message")
	if !strings.HasPrefix(text, "{") {
		return v, errNotEVE
	}
	if err := d.outer.Fault(); err != nil {
		return v, err
	}
	d.parser = &d.inner
	if v, err = d.inner.Parse([]byte(text)); err != nil {
		return v, fmt.Errorf("message: %w", err)
	}
	return v, nil
}

// eveNames are the keys of a record's own, and eve… their numbers.
var eveNames = jsonrecord.NewNames("timestamp", "proto", "src_ip", "src_port", "dest_ip", "dest_port", "flow_id", "app_proto", "tx_id")

const (
	eveTimestamp = iota
	eveProto
	eveSrcIP
	eveSrcPort
	eveDestIP
	eveDestPort
	eveFlowID
	eveAppProto
	eveTxID
)

// record emits what one record says, or gives errNothing.
func (d *eveDecoder) record(rec source.Record, v jsonrecord.Value) error {
	kind := v.String("event_type")
	var read func(source.Record, *eveHead) error
	switch kind {
	case "flow":
		read = d.flow
	case "netflow":
		read = d.netflow
	case "dns":
		read = d.dns
	case "http", "tls":
		read = d.message
	case "":
		return errNotEVE
	default:
		return errNothing
	}
	v.Members(eveNames, &d.members)
	h := &d.head
	*h = eveHead{kind: kind, v: &d.members, of: v.Get(kind)}
	if err := h.read(); err != nil {
		return err
	}
	return read(rec, h)
}

// eveHead is what records about traffic have in common.
type eveHead struct {
	kind     string
	v        *jsonrecord.Members // the record
	of       jsonrecord.Value    // what it says of its kind
	at       event.Time          // timestamp
	flow     string              // flow_id, or else the ends
	proto    event.Protocol
	src, dst netip.AddrPort
}

func (h *eveHead) read() (err error) {
	if h.at, err = eveTime("timestamp", h.v.Get(eveTimestamp)); err != nil {
		return err
	}
	if !h.of.IsObject() {
		return fmt.Errorf("event_type is %s, but there is no object %s", h.kind, h.kind)
	}
	h.proto = eveProtocol(h.v.Get(eveProto).String())
	if h.src, err = h.end(eveSrcIP, eveSrcPort); err != nil {
		return err
	}
	if h.dst, err = h.end(eveDestIP, eveDestPort); err != nil {
		return err
	}
	if h.flow = bounded(h.v.Get(eveFlowID).Number(), 32); h.flow == "" {
		h.flow = string(h.proto) + "|" + h.src.String() + "|" + h.dst.String()
	}
	return nil
}

func (h *eveHead) end(host, port int) (netip.AddrPort, error) {
	addr, err := parseAddr(h.v.Get(host).String())
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%s: %w", eveNames.Name(host), err)
	}
	var n uint16
	if p := h.v.Get(port); !p.IsNull() && h.proto != "icmp" {
		if n, err = parsePort(p.Bytes()); err != nil {
			return netip.AddrPort{}, fmt.Errorf("%s: %w", eveNames.Name(port), err)
		}
	}
	return netip.AddrPortFrom(addr, n), nil
}

// eveTime reads a time. Suricata prints "2026-11-21T22:26:40.100200+0000".
func eveTime(name string, v jsonrecord.Value) (event.Time, error) {
	if !v.IsString() {
		v = jsonrecord.Value{}
	}
	text := v.Bytes()
	if len(text) == 0 {
		return event.Time{}, fmt.Errorf("no time (%s)", name)
	}
	if !hasT(text) {
		return event.Time{}, fmt.Errorf("%s: time %q is not ISO 8601 with an offset", name, clip(string(text)))
	}
	t, err := parseTime(text)
	if err == nil && t.At <= 0 {
		err = fmt.Errorf("time %q is no time", clip(string(text)))
	}
	if err != nil {
		return event.Time{}, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// eveProtocol takes Suricata's word for a protocol: a name, or three digits.
func eveProtocol(s string) event.Protocol {
	switch s {
	case "TCP", "UDP", "ICMP", "SCTP":
		return event.Protocol(strings.ToLower(s))
	case "IPv6-ICMP", "ICMPv6":
		return "icmp"
	}
	if isDigits(s) && len(s) <= 3 {
		return protocol(strings.TrimLeft(s, "0"))
	}
	return event.Protocol(keep(strings.ToLower(bounded(s, 16))))
}

// span is start and end of a flow. An end before the start, as after a change
// of the clock, is unknown.
func (h *eveHead) span() (start, end event.Time, err error) {
	if start, err = eveTime("start", h.of.Get("start")); err != nil {
		return start, end, fmt.Errorf("%s: %w", h.kind, err)
	}
	if h.of.Get("end").IsNull() {
		return start, end, nil
	}
	if end, err = eveTime("end", h.of.Get("end")); err != nil {
		return start, end, fmt.Errorf("%s: %w", h.kind, err)
	}
	if end.At < start.At {
		end = event.Time{}
	}
	return start, end, nil
}

func (h *eveHead) count(key string) int64 {
	if n, ok := h.of.Int(key); ok && n >= 0 {
		return n
	}
	return -1
}

func (h *eveHead) service() string {
	switch s := h.v.Get(eveAppProto).String(); s {
	case "failed", "unknown":
		return ""
	default:
		return bounded(s, 32)
	}
}

// flow reads the record of a whole flow.
func (d *eveDecoder) flow(rec source.Record, h *eveHead) error {
	start, end, err := h.span()
	if err != nil {
		return err
	}
	body := &event.Flow{
		Protocol: h.proto, Src: h.src, Dst: h.dst, End: end,
		BytesOut: h.count("bytes_toserver"), BytesIn: h.count("bytes_toclient"),
		State: bounded(h.of.String("state"), 32), Service: h.service(),
		Answered: h.count("pkts_toclient") != 0,
	}
	if err := d.parser.Fault(); err != nil {
		return err
	}
	d.key = h.appendKey(d.key[:0], start)
	d.out.Event(event.Event{Time: start, Record: h.at.At, Body: body}, d.key, rec.Span)
	return nil
}

// key names the flow of a record by its kind, its id and a time of its own.
func (h *eveHead) key(at event.Time) string { return string(h.appendKey(nil, at)) }

func (h *eveHead) appendKey(b []byte, at event.Time) []byte {
	b = append(append(b, h.kind...), '|')
	b = append(append(b, h.flow...), '|')
	return strconv.AppendInt(b, at.At, 10)
}

// netflow pairs the two directions of a flow. Suricata writes the one towards
// the server first, and the other only if packets came back.
func (d *eveDecoder) netflow(rec source.Record, h *eveHead) error {
	start, end, err := h.span()
	if err != nil {
		return err
	}
	bytes := h.count("bytes")
	body := &event.Flow{
		Protocol: h.proto, Src: h.src, Dst: h.dst, End: end, BytesOut: bytes, BytesIn: -1, Service: h.service(),
	}
	if err := d.parser.Fault(); err != nil {
		return err
	}
	if first := d.asked.answer(h.pair(h.dst, h.src, start), h.at.At); first != nil {
		if b, ok := first.event.Body.(*event.Flow); ok {
			b.BytesIn, b.Answered = bytes, true
			if b.End.At < end.At {
				b.End = end
			}
			if b.Service == "" {
				b.Service = body.Service
			}
		}
		d.out.Event(first.event, []byte(first.key), first.span, rec.Span)
		return nil
	}
	e := event.Event{Time: start, Record: h.at.At, Body: body}
	d.asked.ask(&asked{id: h.pair(h.src, h.dst, start), at: h.at.At, event: e, key: h.key(start), span: rec.Span})
	return nil
}

func (h *eveHead) pair(src, dst netip.AddrPort, start event.Time) string {
	return h.key(start) + "|" + src.String() + "|" + dst.String()
}

// message reads a request or a handshake.
func (d *eveDecoder) message(rec source.Record, h *eveHead) error {
	body := h.http()
	if h.kind == "tls" {
		body = h.tls()
	}
	tx := bounded(h.v.Get(eveTxID).Number(), 32)
	if err := d.parser.Fault(); err != nil {
		return err
	}
	if body == nil {
		return errNothing
	}
	d.out.Event(event.Event{Time: h.at, Body: body}, []byte(h.key(h.at)+"|"+tx), rec.Span)
	return nil
}

// http is the request, nil if the record tells nothing of it. Headers, which
// hold credentials, and bodies are not looked at.
func (h *eveHead) http() event.Body {
	url := h.of.String("url")
	b := &event.HTTP{
		Client: h.src, Server: h.dst, BytesOut: -1, BytesIn: h.count("length"),
		Method: bounded(h.of.String("http_method"), maxMethod),
		Host:   hostOf(h.of.String("hostname")),
		URI:    uriAsSent(url),
		Agent:  bounded(h.of.String("http_user_agent"), maxAgent),
		Status: statusOf(h.of.Number("status")),
	}
	if b.Host == "" {
		authority, _ := splitURL(url)
		b.Host = hostOf(authority)
	}
	if b.Method == "" && b.URI == "" && b.Host == "" {
		return nil
	}
	return b
}

func (h *eveHead) tls() event.Body {
	b := &event.TLS{
		Client: h.src, Server: h.dst,
		ServerName: domain(bounded(h.of.String("sni"), maxHost)),
		Version:    bounded(h.of.String("version"), 32),
	}
	if b.Version == "UNDETERMINED" {
		b.Version = ""
	}
	if b.ServerName == "" && b.Version == "" {
		return nil
	}
	return b
}

// sniffEVE knows a record by its event type, under whose name its content
// stands, or by flow and ends.
func sniffEVE(head source.Sample) int {
	var d eveDecoder
	n, hits := 0, 0
	for _, text := range sampleObjects(head) {
		v, err := d.open(text)
		if err != nil && !errors.Is(err, errNotEVE) {
			continue
		}
		n++
		kind := v.String("event_type")
		if kind != "" && v.Get("timestamp").IsString() && (v.Get(kind).IsObject() || v.Get("flow_id").Exists() && v.Get("src_ip").IsString()) {
			hits++
		}
	}
	if n == 0 {
		return 0
	}
	return sureHeader * hits / n
}
