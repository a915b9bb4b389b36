package wire

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// maxAnswers bounds the answers that are told of one message.
const maxAnswers = 64

// message is what is told of a message of DNS: its first question, and the
// answers that are addresses or names.
type message struct {
	dnsmessage.Header
	question dnsmessage.Question
	answers  []string
	ttls     []seconds
}

// parseMessage reads a message. One that is cut off, or spoiled further on, is
// read up to there; it must hold a whole question.
func parseMessage(data []byte) (m message, ok bool) {
	var p dnsmessage.Parser
	var err error
	if m.Header, err = p.Start(data); err != nil {
		return m, false
	}
	if m.question, err = p.Question(); err != nil || m.question.Name.Length <= 1 && m.question.Type == 0 {
		return m, false
	}
	if !m.Response || p.SkipAllQuestions() != nil {
		return m, true
	}
	for len(m.answers) < maxAnswers {
		h, err := p.AnswerHeader()
		if err != nil {
			break
		}
		answer, err := readAnswer(&p, h.Type)
		if err != nil {
			break
		}
		if answer != "" {
			m.answers = append(m.answers, answer)
			m.ttls = append(m.ttls, seconds(time.Duration(h.TTL)*time.Second))
		}
	}
	return m, true
}

// readAnswer reads an address or a name, and passes over what is neither.
func readAnswer(p *dnsmessage.Parser, t dnsmessage.Type) (string, error) {
	switch t {
	case dnsmessage.TypeA:
		r, err := p.AResource()
		return netip.AddrFrom4(r.A).String(), err
	case dnsmessage.TypeAAAA:
		r, err := p.AAAAResource()
		return netip.AddrFrom16(r.AAAA).String(), err
	case dnsmessage.TypeCNAME:
		r, err := p.CNAMEResource()
		return plainName(r.CNAME), err
	case dnsmessage.TypePTR:
		r, err := p.PTRResource()
		return plainName(r.PTR), err
	case dnsmessage.TypeNS:
		r, err := p.NSResource()
		return plainName(r.NS), err
	case dnsmessage.TypeMX:
		r, err := p.MXResource()
		return plainName(r.MX), err
	}
	return "", p.SkipAnswer()
}

// plainName is a name as Zeek writes it: in lower case (of ASCII letters alone,
// RFC 4343), without the dot at its end, and with what is neither a sign of
// ASCII nor can be seen as \x and two digits.
func plainName(n dnsmessage.Name) string {
	const hex = "0123456789abcdef"
	out := make([]byte, 0, n.Length)
	for _, c := range n.Data[:n.Length] {
		switch {
		case c >= 'A' && c <= 'Z':
			out = append(out, c+'a'-'A')
		case c <= ' ' || c >= 0x7f:
			out = append(out, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			out = append(out, c)
		}
	}
	return strings.TrimSuffix(string(out), ".")
}

// sameQuestion reports whether an answer is to a question. Resolvers vary the
// case of letters so that answers are hard to guess.
func sameQuestion(a, b dnsmessage.Question) bool {
	return a.Type == b.Type && a.Class == b.Class && plainName(a.Name) == plainName(b.Name)
}

const (
	// maxLookups bounds the questions that wait for their answers.
	maxLookups = 4096
	// answerTime is for how long an answer is waited for: that of the C library.
	answerTime = 5 * time.Second
)

// lookupKey is what an answer has in common with its question.
type lookupKey struct {
	conn
	id uint16
}

// lookup is a question that waits for its answer.
type lookup struct {
	key  lookupKey
	at   time.Time
	asks message
	over bool
}

// lookups ties answers to questions. An answer to what nobody asked is not told:
// who asks does not take it either, and anybody can send one.
type lookups struct {
	live  map[lookupKey]*lookup
	queue []*lookup // in order of arrival, those that are over included
	lines *lines
}

// message takes a message of a connection.
func (l *lookups) message(c conn, toServer bool, data []byte, at time.Time) {
	m, ok := parseMessage(data)
	if !ok || m.Response == toServer {
		return
	}
	key := lookupKey{c, m.ID}
	before := l.live[key]
	switch {
	case m.Response:
		if before != nil && sameQuestion(before.asks.question, m.question) {
			l.tell(before, &m, at)
		}
	case before != nil && sameQuestion(before.asks.question, m.question): // asked again
	default:
		if before != nil {
			l.tell(before, nil, at)
		}
		q := &lookup{key: key, at: at, asks: m}
		l.live[key] = q
		l.queue = append(l.queue, q)
		if len(l.live) > maxLookups || len(l.queue) > 2*maxLookups {
			l.first(at)
		}
	}
}

// expire tells the questions that nobody answered in time.
func (l *lookups) expire(now time.Time, all bool) {
	for len(l.queue) > 0 && (all || l.queue[0].over || now.Sub(l.queue[0].at).Abs() >= answerTime) {
		l.first(now)
	}
}

// first lets go of what waits longest.
func (l *lookups) first(now time.Time) {
	q := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	if !q.over {
		l.tell(q, nil, now)
	}
}

// tell records a question and its answer, nil if there was none.
func (l *lookups) tell(q *lookup, answer *message, now time.Time) {
	q.over = true
	delete(l.live, q.key)
	asked := q.asks.question
	r := recordDNS{
		head:  newHead("dns", q.key.conn, q.at, now),
		Proto: "udp", TransID: q.key.id, Query: bounded(plainName(asked.Name), 4*maxName),
		Class: uint16(asked.Class), Type: uint16(asked.Type), TypeName: typeNames[asked.Type], RD: q.asks.RecursionDesired,
	}
	if q.key.tcp {
		r.Proto = "tcp"
	}
	if answer != nil {
		rtt, code := seconds(max(now.Sub(q.at), 0)), uint16(answer.RCode)
		r.RTT, r.Code, r.CodeName = &rtt, &code, codeName(answer.RCode)
		r.AA, r.TC, r.RA = answer.Authoritative, answer.Truncated, answer.RecursionAvailable
		r.Answers, r.TTLs = answer.answers, answer.ttls
		r.Rejected = answer.RCode == dnsmessage.RCodeRefused
	}
	l.lines.add(r)
}

// typeNames are the usual ones of IANA's "DNS Parameters". Of others the number
// alone is told.
var typeNames = map[dnsmessage.Type]string{
	1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV",
	64: "SVCB", 65: "HTTPS", 255: "*",
}

func codeName(c dnsmessage.RCode) string {
	names := []string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"}
	if int(c) < len(names) {
		return names[c]
	}
	return "unknown-" + strconv.Itoa(int(c))
}
