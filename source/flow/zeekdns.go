package flow

import (
	"bytes"
	"net/netip"
	"strings"

	"tidewaiter/event"
)

// dnsEvent reads one record of the name query log. Several queries can share
// a connection, and a client may use a transaction id again, so its key has
// uid, transaction id, query and time.
func (c *converter) dnsEvent(r row) (event.Event, error) {
	h, err := c.readHead(r)
	if err != nil {
		return event.Event{}, err
	}
	query := c.domain(r.text(fQuery))
	if query == "" {
		return event.Event{}, errNothing // a message without a question
	}
	answeredAt, err := later(h.at, r, fRTT)
	if err != nil {
		return event.Event{}, err
	}
	body := &event.DNS{
		Client: h.src, Server: h.dst, Query: query,
		Type: c.nameOr(r, fQTypeName, fQType, typeNames, "TYPE"),
		Code: c.nameOr(r, fRCodeName, fRCode, codeNames, "RCODE"),
	}
	for _, answer := range r.list(fAnswers) {
		if a, ok := plainIPv4(answer); ok {
			body.Addrs = append(body.Addrs, a)
		} else if a, err := netip.ParseAddr(answer); err == nil {
			body.Addrs = append(body.Addrs, a.Unmap())
		} else if name := domain(answer); isHostName(name) {
			body.Names = append(body.Names, name)
		}
	}
	e := event.Event{Time: h.at, Record: recordTime(h, answeredAt), Body: body}
	c.connKey(r, &h)
	c.key = append(append(c.key, '|'), r.text(fTransID)...)
	c.key = append(append(c.key, '|'), query...)
	return e, nil
}

// domain is a name in lower case (only ASCII letters have cases there, RFC
// 4343) and without the final dot, not holding on to the record's memory.
func domain(s string) string {
	if s = strings.TrimSuffix(s, "."); !hasCapital(s) {
		return strings.Clone(s)
	}
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func hasCapital[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			return true
		}
	}
	return false
}

// domain is domain for the name in a column.
func (c *converter) domain(s []byte) string {
	s = bytes.TrimSuffix(s, []byte{'.'})
	if hasCapital(s) {
		return domain(string(s))
	}
	return c.words.Of(s)
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
func (c *converter) nameOr(r row, f, n field, names map[string]string, prefix string) string {
	if s := r.text(f); len(s) > 0 {
		return c.words.Of(s)
	}
	number := r.text(n)
	if name, ok := names[string(number)]; ok || !isDigits(number) {
		return name
	}
	return prefix + string(number) // the notation of RFC 3597, section 5
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
