package conntrack

import (
	"fmt"
	"strconv"
	"time"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"
)

// appendEvent appends the line that conntrack -E -o timestamp,id prints for an
// event that was told at an instant (libnetfilter_conntrack,
// src/conntrack/snprintf_default.c; conntrack-tools, src/conntrack.c). Events
// that are not of connections give none.
func appendEvent(b []byte, e *conntrack.Event, at time.Time) []byte {
	var tag string
	switch {
	case e.Flow == nil:
		return b
	case e.Type == conntrack.EventNew:
		tag = "    [NEW] "
	case e.Type == conntrack.EventUpdate:
		tag = " [UPDATE] "
	case e.Type == conntrack.EventDestroy:
		tag = "[DESTROY] "
	default:
		return b
	}
	b = fmt.Appendf(b, "[%d.%06d]\t%s", at.Unix(), at.Nanosecond()/1000, tag)
	return append(appendFlow(b, e.Flow), '\n')
}

func appendFlow(b []byte, f *conntrack.Flow) []byte {
	number := f.TupleOrig.Proto.Protocol
	b = fmt.Appendf(b, "%-8s %d ", protocolName(number), number)
	if f.Timeout > 0 {
		b = append(strconv.AppendUint(b, uint64(f.Timeout), 10), ' ')
	}
	if s := state(&f.ProtoInfo); s != "" {
		b = append(append(b, s...), ' ')
	}
	// The library sets the direction of a counter that the kernel sent.
	counted := f.CountersReply.Direction
	b = appendTuple(b, &f.TupleOrig, "zone-orig=")
	if counted {
		b = appendCounter(b, f.CountersOrig)
	}
	if f.Status.Value != 0 && f.Status.Value&conntrack.StatusSeenReply == 0 {
		b = append(b, "[UNREPLIED] "...)
	}
	b = appendTuple(b, &f.TupleReply, "zone-reply=")
	if counted {
		b = appendCounter(b, f.CountersReply)
	}
	if f.Status.Value&conntrack.StatusAssured != 0 {
		b = append(b, "[ASSURED] "...)
	}
	b = appendNumber(b, "mark=", uint64(f.Mark))
	b = appendNumber(b, "zone=", uint64(f.Zone))
	if t := f.Timestamp; !t.Start.IsZero() && !t.Stop.IsZero() {
		b = append(strconv.AppendInt(append(b, "delta-time="...), t.Stop.Unix()-t.Start.Unix(), 10), ' ')
	}
	return strconv.AppendUint(append(b, "id="...), uint64(f.ID), 10)
}

// appendTuple appends one direction.
func appendTuple(b []byte, t *conntrack.Tuple, zone string) []byte {
	b = t.IP.SourceAddress.AppendTo(append(b, "src="...))
	b = t.IP.DestinationAddress.AppendTo(append(b, " dst="...))
	b = append(b, ' ')
	p := &t.Proto
	switch p.Protocol {
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP:
		b = fmt.Appendf(b, "sport=%d dport=%d ", p.SourcePort, p.DestinationPort)
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		b = fmt.Appendf(b, "type=%d code=%d id=%d ", p.ICMPType, p.ICMPCode, p.ICMPID)
	case unix.IPPROTO_GRE:
		b = fmt.Appendf(b, "srckey=0x%x dstkey=0x%x ", p.SourcePort, p.DestinationPort)
	}
	return appendNumber(b, zone, uint64(t.Zone))
}

func appendCounter(b []byte, c conntrack.Counter) []byte {
	return fmt.Appendf(b, "packets=%d bytes=%d ", c.Packets, c.Bytes)
}

// appendNumber appends a number that is not 0, and a blank.
func appendNumber(b []byte, key string, n uint64) []byte {
	if n == 0 {
		return b
	}
	return append(strconv.AppendUint(append(b, key...), n, 10), ' ')
}

// protocolName is libnetfilter_conntrack's for a number.
func protocolName(number uint8) string {
	switch number {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_UDPLITE:
		return "udplite"
	case unix.IPPROTO_ICMP:
		return "icmp"
	case unix.IPPROTO_ICMPV6:
		return "icmpv6"
	case unix.IPPROTO_SCTP:
		return "sctp"
	case unix.IPPROTO_GRE:
		return "gre"
	case unix.IPPROTO_DCCP:
		return "dccp"
	}
	return "unknown"
}

// The names of the protocols' states, by the kernel's numbers
// (nf_conntrack_tcp.h, nf_conntrack_sctp.h, nf_conntrack_dccp.h).
var (
	statesTCP = []string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"}

	statesSCTP = []string{"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT"}

	statesDCCP = []string{"NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE", "INVALID"}
)

// state is the name of a connection's, "" if its protocol has none.
func state(p *conntrack.ProtoInfo) string {
	var names []string
	var n uint8
	switch {
	case p.TCP != nil:
		names, n = statesTCP, p.TCP.State
	case p.SCTP != nil:
		names, n = statesSCTP, p.SCTP.State
	case p.DCCP != nil:
		names, n = statesDCCP, p.DCCP.State
	}
	if int(n) < len(names) {
		return names[n]
	}
	return ""
}
