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
func protocol[T string | []byte](number T) event.Protocol {
	if p, ok := protocolNames[string(number)]; ok {
		return p
	}
	return event.Protocol(unique.Make(string(number)).Value())
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
func parseAddr[T string | []byte](s T) (netip.Addr, error) {
	if a, ok := plainIPv4(s); ok {
		return a, nil
	}
	a, err := netip.ParseAddr(string(s))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is not an address", clip(string(s)))
	}
	return a.Unmap(), nil
}

// plainIPv4 reads four numbers with points between, as nearly every record has
// them. ok is false for the rest, right or wrong.
func plainIPv4[T string | []byte](s T) (a netip.Addr, ok bool) {
	var b [4]byte
	at := 0
	for i := range b {
		n, begin := 0, at
		for ; at < len(s) && at < begin+3 && s[at]-'0' <= 9; at++ {
			n = n*10 + int(s[at]-'0')
		}
		if at == begin || n > 255 || s[begin] == '0' && at > begin+1 {
			return a, false
		}
		b[i] = byte(n)
		if i == 3 {
			break
		}
		if at >= len(s) || s[at] != '.' {
			return a, false
		}
		at++
	}
	return netip.AddrFrom4(b), at == len(s)
}

// plainNumber reads up to 18 digits. ok is false for the rest, right or wrong.
func plainNumber[T string | []byte](s T) (n int64, ok bool) {
	if len(s) == 0 || len(s) > 18 {
		return 0, false
	}
	for i := range len(s) {
		if s[i]-'0' > 9 {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

func parsePort[T string | []byte](s T) (uint16, error) {
	n, ok := plainNumber(s)
	if !ok || n > 1<<16-1 {
		// Zeros in front may make it longer than any number that is read here.
		long, err := strconv.ParseUint(string(s), 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is not a port", clip(string(s)))
		}
		return uint16(long), nil
	}
	return uint16(n), nil
}

// parseCount reads a counter of bytes.
func parseCount[T string | []byte](s T) (int64, error) {
	if n, ok := plainNumber(s); ok {
		return n, nil
	}
	n, err := strconv.ParseUint(string(s), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a count", clip(string(s)))
	}
	return int64(n), nil
}

// parseTime reads a time as Zeek and its tools print it: seconds since 1970
// with a fraction, or ISO 8601 with an offset, also without the colon in it
// (zeek-cut -d). The digits printed give the resolution. "" is the zero Time.
// There is no way to tell that a number means milliseconds; as seconds it lies
// beyond the year 2261 and is refused.
func parseTime[T string | []byte](text T) (event.Time, error) {
	if len(text) == 0 {
		return event.Time{}, nil
	}
	if !hasT(text) {
		return parseEpoch(text)
	}
	if n := len(text) - 5; n > 0 && (text[n] == '+' || text[n] == '-') && isDigits(text[n+1:]) {
		b := make([]byte, 0, 48)
		b = append(append(b, text[:n+3]...), ':')
		return event.ParseRFC3339(append(b, text[n+3:]...))
	}
	return event.ParseRFC3339(text)
}

func hasT[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] == 'T' {
			return true
		}
	}
	return false
}

// parseEpoch is event.ParseEpoch for digits only: it would cut an exponent off
// together with the digits that are beyond a nanosecond.
func parseEpoch[T string | []byte](text T) (event.Time, error) {
	for i := range len(text) {
		if text[i] == '.' && !isDigits(text[i+1:]) {
			s := string(text)
			return event.Time{}, fmt.Errorf("time %q is not a Unix time in seconds", clip(s))
		}
	}
	return event.ParseEpoch(text)
}

// isDigits reports whether s is a number without sign.
func isDigits[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) != 0
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
