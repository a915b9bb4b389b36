package flow

import (
	"net/netip"
	"strings"

	"tidewaiter/event"
)

// dnsEvent reads one record of the name query log. Several queries can share
// a connection, and a client may use a transaction id again, so its key has
// uid, transaction id, query and time.
func dnsEvent(r row) (event.Event, string, error) {
	h, err := readHead(r)
	if err != nil {
		return event.Event{}, "", err
	}
	query := domain(r.text(fQuery))
	if query == "" {
		return event.Event{}, "", errNothing // a message without a question
	}
	answeredAt, err := later(h.at, r, fRTT)
	if err != nil {
		return event.Event{}, "", err
	}
	body := &event.DNS{
		Client: h.src, Server: h.dst, Query: query,
		Type: nameOr(r, fQTypeName, fQType, typeNames, "TYPE"),
		Code: nameOr(r, fRCodeName, fRCode, codeNames, "RCODE"),
	}
	for _, answer := range r.list(fAnswers) {
		if a, err := netip.ParseAddr(answer); err == nil {
			body.Addrs = append(body.Addrs, a.Unmap())
		} else if name := domain(answer); isHostName(name) {
			body.Names = append(body.Names, name)
		}
	}
	e := event.Event{Time: h.at, Record: recordTime(h, answeredAt), Body: body}
	return e, connKey(r, h) + "|" + r.text(fTransID) + "|" + query, nil
}

// domain is a name in lower case (only ASCII letters have cases there, RFC
// 4343) and without the final dot, not holding on to the record's memory.
func domain(s string) string {
	b := []byte(strings.TrimSuffix(s, "."))
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// isHostName reports whether s can be a host's name (RFC 1123, 2.1, with the
// underscore of service names). The text of a TXT record has blanks or other
// signs in it: Zeek prints it as "TXT 12 v=spf1 …", and types that it does not
// know as "<unknown type=65>".
func isHostName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

// nameOr is the name in column f, or what the number in column n is called.
func nameOr(r row, f, n field, names map[string]string, prefix string) string {
	if s := r.text(f); s != "" {
		return keep(s)
	}
	number := r.text(n)
	if name, ok := names[number]; ok || !isDigits(number) {
		return name
	}
	return keep(prefix + number) // the notation of RFC 3597, section 5
}

// typeNames and codeNames are the usual numbers of IANA's "DNS Parameters".
var typeNames = map[string]string{
	"1": "A", "2": "NS", "5": "CNAME", "6": "SOA", "12": "PTR", "15": "MX",
	"16": "TXT", "28": "AAAA", "33": "SRV", "64": "SVCB", "65": "HTTPS",
}

var codeNames = map[string]string{
	"0": "NOERROR", "1": "FORMERR", "2": "SERVFAIL", "3": "NXDOMAIN",
	"4": "NOTIMP", "5": "REFUSED",
}
