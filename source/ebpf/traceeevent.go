package ebpf

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// Faults of a Tracee event's arguments.
var (
	errNoPathname = errors.New("start of a program without pathname")
	errNoAddress  = errors.New("connection without an address: expected remote_addr, addr, or dst and dst_port")
	errFlags      = errors.New("open without readable flags: expected a number or names such as O_RDONLY")
)

// exec reads the start of a program. sched_process_exec comes after it and
// knows the file; the system calls come before it, in the program that will be
// replaced, and tell only what was asked for.
//
// The kernel's names: pathname is the file that is run, cmdpath the one that
// was asked for, interp the one that runs it in the end, which is another than
// cmdpath only for a script (bprm->interp).
func (t *traceeEvent) exec() (event.Body, error) {
	switch {
	case t.noPID:
		return nil, errNoHostPID
	case t.result < 0:
		return nil, nil
	}
	a := &t.actor
	exe := t.arg("pathname").String()
	if len(exe) > maxPath {
		return nil, errLongPath
	}
	p := &event.Process{
		PID: a.pid, PPID: a.ppid, Exe: exe, UID: a.uid, AUID: -1, Session: -1, Container: a.container, Of: a.of.Told(),
	}
	p.Args, p.ArgsTruncated = boundArgs(argv(t.arg("argv")))
	if t.name == "sched_process_exec" {
		p.Comm, p.Device = a.comm, device(t.arg("dev"))
		asked, interp := t.arg("cmdpath").String(), t.arg("interp").String()
		if len(asked) > maxPath || len(interp) > maxPath {
			return nil, errLongPath
		}
		if asked != "" && interp != "" && interp != asked {
			if p.Script = asked; p.Exe == asked {
				p.Exe = interp
			}
		}
	}
	if p.Exe == "" && len(p.Args) == 0 {
		return nil, errNoPathname
	}
	return p, nil
}

// argv is a list of strings, bare or in an object of the older nested shape.
func argv(v jsonrecord.Value) []string {
	if v.IsObject() {
		v = v.Get("value")
	}
	if !v.IsArray() {
		return nil
	}
	return v.Strings()
}

// device prints a device number of the kernel (12 bits and 20) as audit does:
// "MM:mm" in hex. "" if there is none.
func device(v jsonrecord.Value) string {
	n, ok := v.Int()
	if !ok || n <= 0 || n > 1<<32-1 {
		return ""
	}
	return fmt.Sprintf("%02x:%02x", n>>20, n&(1<<20-1))
}

// connect reads a connection that was asked for, or begun.
func (t *traceeEvent) connect() (event.Body, error) {
	if t.noPID {
		return nil, errNoHostPID
	}
	var to endpoint
	var err error
	if addr := t.arg("remote_addr", "addr"); addr.IsObject() {
		to, err = sockaddr(addr)
	} else if dst := t.arg("dst").String(); dst != "" {
		to, err = inetEndpoint(dst, t.arg("dst_port"))
	} else {
		err = errNoAddress
	}
	if err != nil || to.isZero() {
		return nil, err
	}
	return t.actor.socket(to, t.result >= 0 || t.result == inProgress), nil
}

// sockaddr reads an address, with the field names of struct sockaddr.
func sockaddr(v jsonrecord.Value) (endpoint, error) {
	either := func(a, b string) jsonrecord.Value {
		if w := v.Get(a); w.Exists() {
			return w
		}
		return v.Get(b)
	}
	switch family := either("sa_family", "saFamily").Number(); family {
	case "AF_UNIX", "1":
		return unixEndpoint(either("sun_path", "sunPath").String())
	case "AF_INET", "2":
		return inetEndpoint(either("sin_addr", "sinAddr").String(), either("sin_port", "sinPort"))
	case "AF_INET6", "10":
		return inetEndpoint(either("sin6_addr", "sin6Addr").String(), either("sin6_port", "sin6Port"))
	case "":
		return endpoint{}, errNoAddress
	}
	return endpoint{}, nil
}

// open reads a file that was opened for writing.
func (t *traceeEvent) open() (event.Body, error) {
	if t.name != "creat" {
		writes, ok := opensForWriting(t.arg("flags"))
		switch {
		case !ok:
			return nil, errFlags
		case !writes:
			return nil, nil
		}
	}
	return t.file(t.arg("pathname").String())
}

// write reads a file that was written, or renamed to.
func (t *traceeEvent) write() (event.Body, error) {
	return t.file(t.arg("new_path", "file_path", "pathname", "path").String())
}

// file makes the body of a written file. Objects without a path, such as
// pipes, have none here.
func (t *traceeEvent) file(name string) (event.Body, error) {
	switch {
	case t.noPID:
		return nil, errNoHostPID
	case name == "" || t.result < 0 || !isFile(name):
		return nil, nil
	}
	return t.actor.fileWrite(absolute("", name))
}

// dns reads a packet of a name query or its answer, whichever of three events
// tells it. A query without an answer is told too: the name was asked for.
func (t *traceeEvent) dns() (event.Body, error) {
	meta := t.arg("metadata")
	end := func(ip, port string) (string, jsonrecord.Value) {
		for _, keys := range [][2]string{{ip + "_ip", port + "_port"}, {ip + "Ip", port + "Port"}} {
			if s := meta.String(keys[0]); s != "" {
				return s, meta.Get(keys[1])
			}
		}
		return t.arg(ip).String(), t.arg(port + "_port")
	}
	src, srcPort := end("src", "src")
	dst, dstPort := end("dst", "dst")
	from, to, err := bothEnds(src, srcPort, dst, dstPort)
	if err != nil {
		return nil, err
	}
	if packet := t.arg("proto_dns"); packet.IsObject() {
		return t.packet(packet, from.inet, to.inet)
	}
	if list := listed(t.arg("dns_response"), "responses"); len(list) > 0 {
		return t.response(list[0], from.inet, to.inet)
	}
	list := listed(t.arg("dns_questions"), "questions")
	if len(list) == 0 {
		return nil, nil
	}
	return t.question(list[0], from.inet, to.inet)
}

// listed is a list, bare or in an object of the older nested shape.
func listed(v jsonrecord.Value, key string) []jsonrecord.Value {
	if v.IsObject() {
		v = v.Get(key)
	}
	return v.Array()
}

// packet reads the packet itself. Its first question stands for it: nobody
// sends two.
func (t *traceeEvent) packet(v jsonrecord.Value, from, to netip.AddrPort) (event.Body, error) {
	questions := v.Array("questions")
	if len(questions) == 0 {
		return nil, nil
	}
	l, err := t.lookup(questions[0].String("name"), questions[0].String("type"))
	if err != nil || l.body == nil {
		return nil, err
	}
	qr, _ := v.Int("QR")
	if !v.Get("QR").Exists() {
		qr, _ = v.Int("qr")
	}
	l.ends(from, to, qr == 1)
	if qr == 1 {
		code := v.String("responseCode")
		if code == "" {
			code = v.String("response_code")
		}
		l.body.Code = dnsCode(code)
	}
	for _, a := range v.Array("answers") {
		for _, key := range []string{"IP", "CNAME", "NS", "PTR", "ip", "cname", "ns", "ptr"} {
			l.answer(a.String(key))
		}
	}
	return l.body, nil
}

// response reads what net_packet_dns_response makes of a packet.
func (t *traceeEvent) response(v jsonrecord.Value, from, to netip.AddrPort) (event.Body, error) {
	q := v.Get("query_data")
	if !q.Exists() {
		q = v.Get("dns_query_data")
	}
	l, err := t.lookup(q.String("query"), q.String("query_type"))
	if err != nil || l.body == nil {
		return nil, err
	}
	l.ends(from, to, true)
	for _, a := range v.Array("dns_answer") {
		switch kind := a.String("answer_type") + a.String("type"); kind {
		case "A", "AAAA", "CNAME", "NS", "PTR":
			l.answer(a.String("answer"))
		}
	}
	return l.body, nil
}

// question reads what net_packet_dns_request makes of a packet.
func (t *traceeEvent) question(v jsonrecord.Value, from, to netip.AddrPort) (event.Body, error) {
	l, err := t.lookup(v.String("query"), v.String("query_type"))
	if err != nil || l.body == nil {
		return nil, err
	}
	l.ends(from, to, false)
	return l.body, nil
}

// lookup begins a DNS body; it is nil for a packet without a name.
func (t *traceeEvent) lookup(query, kind string) (lookup, error) {
	if len(kind) > maxName {
		return lookup{}, errLongName
	}
	name := domain(query)
	if name == "" {
		return lookup{}, nil
	}
	l, err := newLookup(name, t.actor.of)
	if err != nil {
		return lookup{}, err
	}
	l.body.Type = kind
	return l, nil
}

// dnsCode turns the words that Tracee prints for a response code into its name.
// Those of rare codes stay.
func dnsCode(words string) string {
	switch strings.ToLower(strings.TrimSpace(words)) {
	case "no error":
		return "NOERROR"
	case "format error":
		return "FORMERR"
	case "server failure":
		return "SERVFAIL"
	case "non-existent domain":
		return "NXDOMAIN"
	case "not implemented":
		return "NOTIMP"
	case "query refused":
		return "REFUSED"
	}
	if len(words) > maxName {
		return ""
	}
	return words
}
