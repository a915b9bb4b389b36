package flow

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// hubblePacket is what a flow record says of a packet or message, except whose
// its ends are, which is read only if an event comes of it.
type hubblePacket struct {
	flow     jsonrecord.Value
	at       event.Time
	cluster  string
	node     string
	proto    event.Protocol
	src, dst netip.AddrPort
	verdict  string
	reason   string // what connection tracking found: NEW, ESTABLISHED, REPLY, …
	toward   direction
	// Flags of TCP; flags is false if the record has none.
	flags, syn, ack, fin, rst bool
	// proves is false for packets that can come without a connection.
	proves bool
	layer7 bool
	// srcLocal and dstLocal say which ends are on the node.
	srcLocal, dstLocal bool
}

// direction is whether a packet goes towards the service or back.
type direction uint8

const (
	unknownWay direction = iota
	forward
	backward
)

// packet reads a flow record. outer is the record around it, or itself.
func (d *hubbleDecoder) packet(outer, f jsonrecord.Value) (*hubblePacket, error) {
	p := &hubblePacket{flow: f, proves: true}
	when := f.Get("time")
	if when.IsNull() {
		when = outer.Get("time")
	}
	if p.at = hubbleTime(when); p.at.IsZero() {
		return nil, errHubbleTime(when)
	}
	if kind := f.Number("Type"); kind == "SOCK" || kind == "3" {
		return nil, errNothing
	}
	ip := f.Get("IP")
	if ip.IsNull() {
		return nil, errNothing // a frame that is not IP
	}
	name := f.String("node_name")
	if name == "" {
		name = outer.String("node_name")
	}
	p.cluster, p.node = hubbleNode(name)
	p.verdict = enumName(f.Number("verdict"), hubbleVerdicts)
	p.reason = bounded(strings.TrimPrefix(f.String("trace_reason"), "TRACE_REASON_"), 32)
	p.layer7 = f.Get("l7").IsObject()
	if err := p.ends(ip, f.Get("l4")); err != nil {
		return nil, err
	}
	p.turn()
	p.locate()
	return p, d.parser.Fault()
}

// ends reads addresses, ports and flags.
func (p *hubblePacket) ends(ip, l4 jsonrecord.Value) error {
	src, err := parseAddr(ip.String("source"))
	if err != nil {
		return fmt.Errorf("IP.source: %w", err)
	}
	dst, err := parseAddr(ip.String("destination"))
	if err != nil {
		return fmt.Errorf("IP.destination: %w", err)
	}
	var sport, dport uint16
	for _, known := range hubbleLayers {
		l := l4.Get(known.key)
		if !l.IsObject() {
			continue
		}
		p.proto = known.proto
		if p.proto == "icmp" {
			p.proves = asksByICMP(l.Number("type"))
			break
		}
		if sport, err = hubblePort(l.Get("source_port")); err == nil {
			dport, err = hubblePort(l.Get("destination_port"))
		}
		if err != nil {
			return err
		}
		p.readFlags(l.Get("flags"))
		break
	}
	p.src, p.dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
	return nil
}

// hubbleLayers are the keys below l4. Other protocols have none.
var hubbleLayers = [...]struct {
	key   string
	proto event.Protocol
}{{"TCP", "tcp"}, {"UDP", "udp"}, {"SCTP", "sctp"}, {"ICMPv4", "icmp"}, {"ICMPv6", "icmp"}}

// hubblePort reads a port; protobuf's JSON leaves a zero out.
func hubblePort(v jsonrecord.Value) (uint16, error) {
	if v.IsNull() {
		return 0, nil
	}
	return parsePort(v.Bytes())
}

// asksByICMP reports whether a message of this type begins an exchange: an
// echo request, for IPv4 or IPv6. Protobuf's JSON leaves type 0, the echo
// reply, out. The rest are answers, errors and what routers tell each other.
func asksByICMP(kind string) bool { return kind == "8" || kind == "128" }

func (p *hubblePacket) readFlags(f jsonrecord.Value) {
	if !f.IsObject() || p.proto != "tcp" {
		return
	}
	p.flags = true
	p.syn, p.ack, p.fin, p.rst = f.Bool("SYN"), f.Bool("ACK"), f.Bool("FIN"), f.Bool("RST")
	p.proves = !p.rst
	if p.syn && p.ack { // only who was asked sends both
		p.toward = backward
	}
}

// begins reports whether it is the first packet of a TCP connection.
func (p *hubblePacket) begins() bool { return p.syn && p.toward != backward }

// followsAnswer reports whether it is a packet of TCP that is only sent after
// something was received.
func (p *hubblePacket) followsAnswer() bool { return p.ack && !p.rst }

func (p *hubblePacket) dropped() bool { return p.verdict == "DROPPED" }

// turn tells the direction. Without is_reply (before Cilium 1.9) a direction of
// traffic is only printed of a trace if connection tracking knew it, and then
// a reply says so. A dropped packet is never said to be a reply; Cilium prints
// a direction for it all the same.
func (p *hubblePacket) turn() {
	f := p.flow
	reply, told := f.Get("is_reply"), false
	if reply.IsObject() { // the wrapper as encoders without protobuf's rules print it
		reply = reply.Get("value")
	}
	told = !reply.IsNull()
	way := enumName(f.Number("traffic_direction"), hubbleDirections)
	switch {
	case p.toward == backward:
	case reply.Bool(), f.Bool("reply"), p.reason == "REPLY":
		p.toward = backward
	case told, p.reason == "NEW", p.reason == "ESTABLISHED", p.reason == "REOPENED":
		p.toward = forward
	case way != "" && !p.dropped():
		p.toward = forward
	}
}

// locate tells which ends are on the node that saw the packet. Only local
// endpoints have an ID; where it was filtered out, the direction tells, which
// is that of the connection and not of the packet.
func (p *hubblePacket) locate() {
	f := p.flow
	p.srcLocal, p.dstLocal = hasID(f.Get("source", "ID")), hasID(f.Get("destination", "ID"))
	if !p.srcLocal && !p.dstLocal {
		switch enumName(f.Number("traffic_direction"), hubbleDirections) {
		case "EGRESS":
			p.srcLocal, p.dstLocal = p.toward != backward, p.toward == backward
		case "INGRESS":
			p.srcLocal, p.dstLocal = p.toward == backward, p.toward != backward
		}
	}
	if p.cluster == "" && p.srcLocal {
		p.cluster = endpointCluster(f.Get("source"))
	}
	if p.cluster == "" && p.dstLocal {
		p.cluster = endpointCluster(f.Get("destination"))
	}
}

func hasID(v jsonrecord.Value) bool {
	n, ok := v.Int()
	return ok && n > 0
}

// clusterLabel is the label that Cilium puts on every endpoint.
const clusterLabel = "k8s:io.cilium.k8s.policy.cluster="

func endpointCluster(end jsonrecord.Value) string {
	if name := namedCluster(end.String("cluster_name")); name != "" {
		return name
	}
	for _, l := range end.Get("labels").Strings() {
		if name, ok := strings.CutPrefix(l, clusterLabel); ok {
			return namedCluster(name)
		}
	}
	return ""
}

// pod says whose one end is; nil if it is no pod's.
func (p *hubblePacket) pod(key string, local bool) *event.PodRef {
	end := p.flow.Get(key)
	r := event.PodRef{Namespace: bounded(end.String("namespace"), maxHost), Pod: bounded(end.String("pod_name"), maxHost)}
	if owners := end.Array("workloads"); len(owners) > 0 {
		w := event.ObjectRef{Kind: bounded(owners[0].String("kind"), maxHost), Name: bounded(owners[0].String("name"), maxHost)}
		if w.Name != "" {
			w.Namespace = r.Namespace
			r.Workload = w
		}
	}
	if r.Pod == "" && r.Workload.IsZero() {
		return nil
	}
	if local {
		r.Node = p.node
	}
	return r.Told()
}

// maxNames bounds the names of one address: behind a content network there can
// be thousands.
const maxNames = 16

// names are the host names that Cilium's DNS proxy saw for one end.
func (p *hubblePacket) names(key string) []string {
	var names []string
	for _, n := range p.flow.Get(key).Strings() {
		if n = domain(n); isHostName(n) && len(names) < maxNames {
			names = append(names, n)
		}
	}
	return names
}

// key is the flow's own id, or what makes it one of its kind before Cilium gave
// ids.
func (p *hubblePacket) key() string {
	if id := p.flow.String("uuid"); id != "" {
		return id
	}
	kind := p.flow.Get("event_type")
	b := make([]byte, 0, 192)
	for _, part := range [...]string{
		p.node, strconv.FormatInt(p.at.At, 10), string(p.proto), p.src.String(), p.dst.String(), p.verdict,
		kind.Number("type"), kind.Number("sub_type"), strconv.FormatBool(p.syn), strconv.FormatBool(p.fin),
	} {
		b = append(append(b, part...), '|')
	}
	return string(b)
}

// enumName is a name of protobuf's, which encoders without its rules print as
// a number. Unknown numbers, and the zero value, are "".
func enumName(s string, names []string) string {
	if s == "" {
		return ""
	}
	if c := s[0]; c <= '9' { // else it is surely a name, and no error need be made of it
		if n, err := strconv.Atoi(s); err == nil {
			if n <= 0 || n >= len(names) {
				return ""
			}
			return names[n]
		}
	}
	for _, n := range names[1:] {
		if s == n {
			return n
		}
	}
	return ""
}

// The names of flow.Verdict, flow.TrafficDirection and flow.L7FlowType in
// Cilium's api/v1/flow/flow.proto.
var (
	hubbleVerdicts   = []string{"", "FORWARDED", "DROPPED", "ERROR", "AUDIT", "REDIRECTED", "TRACED", "TRANSLATED"}
	hubbleDirections = []string{"", "INGRESS", "EGRESS"}
	hubbleMessages   = []string{"", "REQUEST", "RESPONSE", "SAMPLE"}
)

var errNoLayer7 = errors.New("l7 is neither a request nor a response")
