// Package flow reads what network sensors say about connections, name queries,
// requests and handshakes: the events of netfilter's connection tracking, Zeek's
// connection, DNS, HTTP and TLS logs, Suricata's EVE log, Cilium's Hubble flows,
// the flow logs of AWS, Google Cloud and Azure, and NetFlow as goflow writes it.
//
// In: the lines that `conntrack -E` prints, Zeek logs as tab-separated text or
// JSON, EVE, Hubble, cloud and NetFlow records as text or JSON. Out: event.Flow, event.DNS, event.HTTP,
// event.TLS, and event.Loss where a sensor says that it missed something.
//
// A connection belongs to whoever held its source address when it began, so
// the start is the event's Time and it is never replaced by the end, which is
// when most of these records are written. A connection whose start no record
// tells has a zero Time.
package flow

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unique"

	"tidewaiter/event"
)

// protocolNames gives the name of an IP protocol number (IANA, "Assigned
// Internet Protocol Numbers"). ICMP for IPv6 is called icmp as well: the
// addresses tell which it is, and Zeek makes no difference either.
var protocolNames = map[string]event.Protocol{
	"1":   "icmp",
	"6":   "tcp",
	"17":  "udp",
	"33":  "dccp",
	"47":  "gre",
	"50":  "esp",
	"51":  "ah",
	"58":  "icmp",
	"132": "sctp",
	"136": "udplite",
}

// protocol names the IP protocol with this number; one without a usual name
// keeps its number, as in "253".
func protocol(number string) event.Protocol {
	if p, ok := protocolNames[number]; ok {
		return p
	}
	return event.Protocol(unique.Make(number).Value())
}

// hasPorts reports whether the protocol's endpoints have port numbers.
func hasPorts(p event.Protocol) bool {
	switch p {
	case "tcp", "udp", "dccp", "sctp", "udplite":
		return true
	}
	return false
}

// parseAddr reads an address. An IPv4 address inside an IPv6 one (RFC 4291,
// 2.5.5.2) is the IPv4 address: every other record will print it that way.
func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is not an address", clip(s))
	}
	return a.Unmap(), nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a port", clip(s))
	}
	return uint16(n), nil
}

// parseCount reads a counter of bytes.
func parseCount(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a count", clip(s))
	}
	return int64(n), nil
}

// parseTime reads a time as Zeek and its tools print it: seconds since 1970
// with a fraction, or ISO 8601 with an offset, also without the colon in it
// (zeek-cut -d). The digits printed give the resolution. "" is the zero Time.
// There is no way to tell that a number means milliseconds; as seconds it lies
// beyond the year 2261 and is refused.
func parseTime(s string) (event.Time, error) {
	if s == "" {
		return event.Time{}, nil
	}
	if !strings.Contains(s, "T") {
		return parseEpoch(s)
	}
	if n := len(s) - 5; n > 0 && (s[n] == '+' || s[n] == '-') && isDigits(s[n+1:]) {
		s = s[:n+3] + ":" + s[n+3:]
	}
	return event.ParseRFC3339(s)
}

// parseEpoch is event.ParseEpoch for digits only: it would cut an exponent off
// together with the digits that are beyond a nanosecond.
func parseEpoch(s string) (event.Time, error) {
	if _, frac, found := strings.Cut(s, "."); found && !isDigits(frac) {
		return event.Time{}, fmt.Errorf("time %q is not a Unix time in seconds", clip(s))
	}
	return event.ParseEpoch(s)
}

// isDigits reports whether s is a number without sign.
func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
