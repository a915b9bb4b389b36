package flow

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/envelope"
	"tidewaiter/source/jsonrecord"
)

// NetFlow is what goflow2 and its predecessors write of NetFlow, IPFIX and
// sFlow: JSON with keys in snake case or, in older versions, in Pascal case and
// with addresses in base64. A record is one direction; ports and flags tell who
// began. Where the exporter tells no start, the flow has no time but that of
// its record.
func NetFlow() *source.Format {
	return &source.Format{
		Name:    "netflow-json",
		Title:   "NetFlow, IPFIX and sFlow as JSON (goflow, goflow2)",
		Source:  event.NetFlow,
		Framing: source.JSONValues,
		Sniff:   sniffNetFlow,
		New:     func(out *source.Output) source.Decoder { return &netflowDecoder{out: out} },
	}
}

var errNotNetFlow = errors.New("not a flow as goflow writes it: neither src_addr nor SrcAddr")

type netflowDecoder struct {
	out    *source.Output
	opener envelope.Opener
}

// Flush implements source.Decoder; nothing is held back.
func (d *netflowDecoder) Flush() {}

// Decode implements source.Decoder.
func (d *netflowDecoder) Decode(rec source.Record) { d.open(rec, 0) }

func (d *netflowDecoder) open(rec source.Record, depth int) {
	e, ok := d.opener.Open(d.out, rec, depth)
	if !ok {
		return
	}
	if text := envelope.Text(e.Value); text != "" && !either(e.Value, "src_addr", "SrcAddr").Exists() && e.Parser.Fault() == nil {
		d.open(source.Record{Data: []byte(text), Span: rec.Span}, depth+1)
		return
	}
	ev, err := netflow(e.Value)
	if err = cmp.Or(e.Parser.Fault(), err); err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	d.out.Event(ev, rec.Data, rec.Span)
}

// either is the value under the first of two keys that is there.
func either(v jsonrecord.Value, key, other string) jsonrecord.Value {
	if w := v.Get(key); w.Exists() {
		return w
	}
	return v.Get(other)
}

func netflow(v jsonrecord.Value) (event.Event, error) {
	f := &event.Flow{BytesOut: -1, BytesIn: -1, Answered: true}
	e := event.Event{Body: f}
	src, dst := either(v, "src_addr", "SrcAddr"), either(v, "dst_addr", "DstAddr")
	if !src.IsString() || !dst.IsString() {
		return e, errNotNetFlow
	}
	f.Protocol = netflowProtocol(either(v, "proto", "Proto"))
	var err error
	if f.Src, err = netflowEnd(src, either(v, "src_port", "SrcPort")); err != nil {
		return e, fmt.Errorf("source: %w", err)
	}
	if f.Dst, err = netflowEnd(dst, either(v, "dst_port", "DstPort")); err != nil {
		return e, fmt.Errorf("destination: %w", err)
	}
	if n, ok := either(v, "bytes", "Bytes").Int(); ok && n >= 0 {
		f.BytesOut = n
	}
	start, errStart := netflowTime(v, "time_flow_start", "TimeFlowStart")
	end, errEnd := netflowTime(v, "time_flow_end", "TimeFlowEnd")
	received, errReceived := netflowTime(v, "time_received", "TimeReceived")
	if err := cmp.Or(errStart, errEnd, errReceived); err != nil {
		return e, err
	}
	if e.Time, f.End = start, end; end.At < start.At {
		f.End = event.Time{}
	}
	if e.Record = max(received.At, end.At, start.At); e.Record == 0 {
		return e, errors.New("no time: neither start, end nor time of receipt")
	}
	flags := int64(-1)
	if n, ok := either(v, "tcp_flags", "TCPFlags").Int(); ok {
		flags = n
	}
	if isReply(f.Protocol, f.Src, f.Dst, flags) {
		turned(f)
	}
	return e, nil
}

func netflowProtocol(v jsonrecord.Value) event.Protocol {
	s := v.Number()
	switch {
	case isDigits(s) && len(s) <= 3:
		return protocol(s)
	case s == "IPv6-ICMP" || s == "ICMPv6":
		return "icmp"
	}
	return event.Protocol(keep(bounded(strings.ToLower(s), 16)))
}

// netflowEnd reads an address as text, or as its bytes in base64.
func netflowEnd(addr, port jsonrecord.Value) (netip.AddrPort, error) {
	a, err := parseAddr(addr.String())
	if err != nil {
		b, failed := base64.StdEncoding.DecodeString(addr.String())
		raw, ok := netip.AddrFromSlice(b)
		if failed != nil || !ok {
			return netip.AddrPort{}, err
		}
		a = raw.Unmap()
	}
	var n uint16
	if !port.IsNull() {
		if n, err = parsePort(port.Number()); err != nil {
			return netip.AddrPort{}, err
		}
	}
	return netip.AddrPortFrom(a, n), nil
}

// netflowTime reads a time in nanoseconds (KEY_ns), milliseconds (KEY_ms,
// KeyMs) or seconds; 0 is unknown.
func netflowTime(v jsonrecord.Value, key, pascal string) (event.Time, error) {
	for _, form := range []struct {
		v     jsonrecord.Value
		digit int
	}{{either(v, key+"_ns", pascal+"Ns"), 9}, {either(v, key+"_ms", pascal+"Ms"), 3}, {either(v, key, pascal), 0}} {
		s := form.v.Number()
		if s == "" || s == "0" {
			continue
		}
		if n := len(s) - form.digit; form.digit > 0 && n > 0 {
			s = s[:n] + "." + s[n:]
		}
		t, err := parseEpoch(s)
		if err != nil {
			return t, fmt.Errorf("%s: %w", key, err)
		}
		return t, nil
	}
	return event.Time{}, nil
}

func sniffNetFlow(head source.Sample) int {
	switch {
	case head.HasKeys("src_addr", "dst_addr", "sampler_address"), head.HasKeys("SrcAddr", "DstAddr", "SamplerAddress"):
		return 92
	case head.HasKeys("src_addr", "dst_addr", "time_received_ns"), head.HasKeys("SrcAddr", "DstAddr", "TimeReceived"):
		return 85
	}
	return 0
}
