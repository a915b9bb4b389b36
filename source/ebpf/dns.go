package ebpf

import (
	"fmt"
	"net/netip"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// domain is a name in lower case (only ASCII letters have cases there, RFC
// 4343) and without the final dot.
func domain(s string) string {
	b := []byte(strings.TrimSuffix(s, "."))
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// lookup puts a DNS body together; the query is a domain already.
type lookup struct {
	body *event.DNS
	n    int // answers kept
}

func newLookup(query string, of event.PodRef) (lookup, error) {
	if len(query) > maxName {
		return lookup{}, errLongName
	}
	return lookup{body: &event.DNS{Query: query, Of: of.Told()}}, nil
}

// answer adds what an answer names: an address, or another name. What is
// beyond the bound is left out.
func (l *lookup) answer(text string) {
	if text == "" || l.n == maxAnswers {
		return
	}
	l.n++
	if a, err := netip.ParseAddr(text); err == nil {
		l.body.Addrs = append(l.body.Addrs, a.Unmap())
		return
	}
	if name := domain(text); name != l.body.Query && len(name) <= maxName {
		l.body.Names = append(l.body.Names, name)
	}
}

// ends sets client and server. The one that speaks from port 53 is the
// server, so an answer's ends are turned round.
func (l *lookup) ends(src, dst netip.AddrPort, isAnswer bool) {
	if isAnswer {
		src, dst = dst, src
	}
	l.body.Client, l.body.Server = src, dst
}

// dnsTypes and dnsCodes are the usual numbers of IANA's "DNS Parameters".
var dnsTypes = map[int64]string{
	1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 64: "SVCB", 65: "HTTPS",
}

var dnsCodes = map[int64]string{0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}

// numbered is the name of a number, or the notation of RFC 3597, section 5.
func numbered(names map[int64]string, prefix string, n int64) string {
	if name, ok := names[n]; ok {
		return name
	}
	return fmt.Sprint(prefix, n)
}

const dnsPort = 53

// bothEnds reads source and destination; an address that is not told stays
// zero.
func bothEnds(src string, srcPort jsonrecord.Value, dst string, dstPort jsonrecord.Value) (from, to endpoint, err error) {
	if src != "" {
		if from, err = inetEndpoint(src, srcPort); err != nil {
			return from, to, fmt.Errorf("source: %w", err)
		}
	}
	if dst != "" {
		if to, err = inetEndpoint(dst, dstPort); err != nil {
			return from, to, fmt.Errorf("destination: %w", err)
		}
	}
	return from, to, nil
}
