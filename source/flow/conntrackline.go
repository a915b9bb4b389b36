package flow

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unique"

	"tidewaiter/event"
)

// tracked is one line of conntrack after its time and event tag. Its parts
// point into the line.
type tracked struct {
	proto event.Protocol
	// state is the protocol's own state ("SYN_SENT"), "" when none is printed.
	state string
	// orig is the connection as its originator sees it, before any address
	// translation; reply is what the answer looks like.
	orig, reply tuple
	// id is the kernel's number of the entry (-o id), which stands behind both
	// directions; without it that of an ICMP echo, which stands in each. zone
	// is the tracking zone. "" when not printed.
	id, zone []byte
	// unreplied is set while no packet has come back.
	unreplied bool
	// age is the entry's age in whole seconds (delta-time), -1 when the kernel
	// keeps no time stamps.
	age int64
}

// tuple is one direction of a connection.
type tuple struct {
	src, dst     netip.Addr
	sport, dport []byte
	// extra tells connections without ports apart: the ICMP type and code, or
	// the GRE keys, as printed.
	extra []byte
	// bytes is the counter of this direction, -1 without nf_conntrack_acct.
	bytes int64
}

// Reasons why a line is no connection.
var (
	errCut     = errors.New("line is cut off: the reply direction is missing")
	errNoTuple = errors.New("no connection in this line")
)

// parseTracked reads what conntrack prints after the event tag, in the order
// of libnetfilter_conntrack's default output. Flags and keys that it does not
// know are passed over: new ones appear with new kernels.
func parseTracked(s []byte) (tracked, error) {
	t := tracked{age: -1}
	t.orig.bytes, t.reply.bytes = -1, -1
	rest, err := t.parseProtocol(s)
	if err != nil {
		return tracked{}, err
	}
	p := tupleParser{t: &t}
	for {
		var word []byte
		if word, rest = nextWord(rest); len(word) == 0 {
			break
		}
		if err := p.word(word); err != nil {
			return tracked{}, err
		}
	}
	return t, t.check()
}

// parseProtocol reads "[ipv4 2] tcp 6": the network protocol stands there only
// with -o extended.
func (t *tracked) parseProtocol(s []byte) (rest []byte, err error) {
	name, rest := nextWord(s)
	number, rest := nextWord(rest)
	if (string(name) == "ipv4" || string(name) == "ipv6") && isDigits(number) {
		name, rest = nextWord(rest)
		number, rest = nextWord(rest)
	}
	if len(name) == 0 || bytes.ContainsAny(name, "=[<") || !isDigits(number) || len(number) > 3 {
		return nil, errNoTuple
	}
	t.proto = protocol(number)
	return rest, nil
}

// check tells whether both directions are there. A line that was cut off in
// the middle of a number would otherwise name another port.
func (t *tracked) check() error {
	if !t.orig.src.IsValid() && !t.orig.dst.IsValid() {
		return errNoTuple
	}
	if !t.orig.dst.IsValid() || !t.reply.src.IsValid() || !t.reply.dst.IsValid() {
		return errCut
	}
	if hasPorts(t.proto) && (len(t.orig.sport) == 0 || len(t.orig.dport) == 0) {
		return fmt.Errorf("%s connection without ports", t.proto)
	}
	return nil
}

// endpoints are the original direction's two ends.
func (t *tracked) endpoints() (src, dst netip.AddrPort, err error) {
	if !hasPorts(t.proto) {
		return netip.AddrPortFrom(t.orig.src, 0), netip.AddrPortFrom(t.orig.dst, 0), nil
	}
	sport, err := parsePort(t.orig.sport)
	if err != nil {
		return src, dst, err
	}
	dport, err := parsePort(t.orig.dport)
	if err != nil {
		return src, dst, err
	}
	return netip.AddrPortFrom(t.orig.src, sport), netip.AddrPortFrom(t.orig.dst, dport), nil
}

// appendKey appends what names the connection among those that are open at one
// time. The id alone would not do: it is only printed with -o id.
func (t *tracked) appendKey(b []byte) []byte {
	b = append(b, t.proto...)
	b = append(b, '|')
	b = t.orig.src.AppendTo(b)
	b = append(append(b, '|'), t.orig.sport...)
	b = append(b, '|')
	b = t.orig.dst.AppendTo(b)
	for _, part := range [...][]byte{t.orig.dport, t.orig.extra, t.zone, t.id} {
		b = append(append(b, '|'), part...)
	}
	return b
}

// tupleParser takes the words after the protocol one by one.
type tupleParser struct {
	t *tracked
	n int // directions begun
}

func (p *tupleParser) word(w []byte) error {
	if w[0] == '[' {
		if string(w) == "[UNREPLIED]" {
			p.t.unreplied = true
		}
		return nil
	}
	for i, c := range w {
		if c == '=' {
			return p.pair(w[:i], w[i+1:])
		}
	}
	switch {
	case p.n > 0:
		return nil // a word of a later version, or a part of progname=
	case isDigits(w):
		return nil // seconds until the entry would expire
	case isState(w):
		p.t.state = stateName(w)
		return nil
	}
	return fmt.Errorf("%q stands where the connection's state should", clip(string(w)))
}

// stateName is the text of a state, of which there are few.
func stateName(w []byte) string {
	switch string(w) {
	case "ESTABLISHED":
		return "ESTABLISHED"
	case "SYN_SENT":
		return "SYN_SENT"
	case "TIME_WAIT":
		return "TIME_WAIT"
	}
	return unique.Make(string(w)).Value()
}

func (p *tupleParser) pair(key, val []byte) (err error) {
	if string(key) == "src" {
		if p.n == 2 {
			return errors.New("more than two directions in one line")
		}
		p.n++
	}
	if p.n == 0 {
		return nil
	}
	d := &p.t.orig
	if p.n == 2 {
		d = &p.t.reply
	}
	switch string(key) {
	case "src":
		d.src, err = parseAddr(val)
	case "dst":
		d.dst, err = parseAddr(val)
	case "sport":
		d.sport = val
	case "dport":
		d.dport = val
	case "type", "srckey":
		d.extra = val
	case "code", "dstkey":
		d.extra = slices.Concat(d.extra, []byte{'/'}, val)
	case "bytes":
		d.bytes, err = parseCount(val)
	case "id":
		p.t.id = val
	case "zone", "zone-orig", "zone-reply":
		p.t.zone = slices.Concat(p.t.zone, key[len("zone"):], val)
	case "delta-time":
		if p.t.age, err = strconv.ParseInt(string(val), 10, 32); err == nil && p.t.age < 0 {
			err = fmt.Errorf("age of %d seconds", p.t.age)
		}
	}
	return err
}

// isState reports whether w is written like a protocol state: "SYN_SENT",
// "CLOSE_WAIT", "HEARTBEAT_SENT".
func isState(w []byte) bool {
	for i := range len(w) {
		c := w[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return len(w) > 0 && len(w) < 24
}

// nextWord cuts the next word off s. What stands in brackets is one word:
// "[start=Sat Nov 21 21:35:52 2026]".
func nextWord(s []byte) (word, rest []byte) {
	for len(s) > 0 && isBlank(s[0]) {
		s = s[1:]
	}
	if len(s) > 0 && s[0] == '[' {
		if i := bytes.IndexByte(s, ']'); i >= 0 {
			return s[:i+1], s[i+1:]
		}
	}
	for i, c := range s {
		if isBlank(c) {
			return s[:i], s[i:]
		}
	}
	return s, nil
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// parseLineTime reads the time that -o timestamp prints before the event tag:
// "[1795296952.456243]". What stands before it (a log shipper's prefix) is
// passed over. ok is false when there is none.
//
// Until conntrack-tools 1.4 the microseconds were printed left-adjusted and
// not filled with zeros: "[1300000000.123   ]" is 123 microseconds.
func parseLineTime(head []byte) (at event.Time, ok bool, err error) {
	head = bytes.TrimRight(head, " \t")
	open := bytes.LastIndexByte(head, '[')
	if open < 0 || head[len(head)-1] != ']' {
		return event.Time{}, false, nil
	}
	text := head[open+1 : len(head)-1]
	sec, frac, found := bytes.Cut(text, []byte{'.'})
	if !found {
		return event.Time{}, false, nil // a process id, as in "conntrack[731]"
	}
	if len(frac) < 6 {
		return event.Time{}, true, fmt.Errorf("time %q has not the six digits that conntrack prints", clip(string(text)))
	}
	if micro := bytes.TrimRight(frac, " "); len(micro) < 6 {
		text = slices.Concat(sec, []byte("."+strings.Repeat("0", 6-len(micro))), micro)
	}
	at, err = parseEpoch(text)
	if err == nil && at.At == 0 {
		err = errors.New("time 0 is no time")
	}
	return at, true, err
}
