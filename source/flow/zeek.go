package flow

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// ZeekConn is Zeek's connection log as tab-separated text (conn.log).
//
// A flow's Time is the connection's start (ts), its end is ts + duration, and
// Record is _write_ts or else the end: Zeek writes the record when the
// connection is over. Answered is false for the states S0, SH and RSTOS0, in
// which nothing came back; REJ is an answer (the other end refused), and OTH
// and a missing state prove nothing.
//
// Columns are found by the #fields line, whatever their order and number, and
// under the names that Zeek's field name maps usually give. After zeek-cut -m
// a first line of bare column names serves as well. Lines without any header
// are read only if they fit the default columns of Zeek 3 to 8 in number and
// types; else no column is known and the line is unreadable.
//
// Records of several logs in one input, as streamed or concatenated logs have
// them, are all read by each of the formats of Zeek; records of logs that are
// not read stand between them and are skipped.
func ZeekConn() *source.Format { return zeekTSV("zeek-conn", "Zeek connection log", conn) }

// ZeekConnJSON is Zeek's connection log as JSON. It reads what ZeekConn reads,
// with the keys id.orig_h, id_orig_h or nested id: {orig_h}.
func ZeekConnJSON() *source.Format { return zeekJSON("zeek-conn-json", "Zeek connection log", conn) }

// ZeekDNS is Zeek's log of name queries as tab-separated text (dns.log). A
// query that nobody answered has an empty Code. Answers that are neither an
// address nor a host name (the text of TXT records, unknown types) are left
// out. Record is _write_ts or else ts + rtt.
func ZeekDNS() *source.Format { return zeekTSV("zeek-dns", "Zeek DNS log", dns) }

// ZeekDNSJSON is Zeek's log of name queries as JSON.
func ZeekDNSJSON() *source.Format { return zeekJSON("zeek-dns-json", "Zeek DNS log", dns) }

// ZeekHTTP is Zeek's log of requests in clear text as tab-separated text
// (http.log). Time is when the request was seen. User name, password and
// everything else that is no column of event.HTTP is not looked at. What a
// stranger can put into a status or a length makes no record unreadable: an odd
// one is unknown.
func ZeekHTTP() *source.Format { return zeekTSV("zeek-http", "Zeek HTTP log", http) }

// ZeekHTTPJSON is Zeek's log of requests as JSON.
func ZeekHTTPJSON() *source.Format { return zeekJSON("zeek-http-json", "Zeek HTTP log", http) }

// ZeekSSL is Zeek's log of TLS handshakes as tab-separated text (ssl.log). One
// that was not completed counts as well: the client named whom it wanted. One
// that tells neither name nor version is skipped.
func ZeekSSL() *source.Format { return zeekTSV("zeek-ssl", "Zeek TLS log", ssl) }

// ZeekSSLJSON is Zeek's log of TLS handshakes as JSON.
func ZeekSSLJSON() *source.Format { return zeekJSON("zeek-ssl-json", "Zeek TLS log", ssl) }

func zeekTSV(name, title string, k kind) *source.Format {
	return &source.Format{
		Name:    name,
		Title:   title + " (tab-separated)",
		Source:  event.Zeek,
		Framing: source.Lines,
		Sniff:   func(head source.Sample) int { return sniffTSV(head, k) },
		New:     newTSVDecoder,
	}
}

func zeekJSON(name, title string, k kind) *source.Format {
	return &source.Format{
		Name:    name,
		Title:   title + " (JSON)",
		Source:  event.Zeek,
		Framing: source.JSONValues,
		Sniff:   func(head source.Sample) int { return sniffJSON(head, k) },
		New:     newJSONDecoder,
	}
}

// kind is which of Zeek's logs a record is from.
type kind uint8

const (
	other kind = iota // a log that is not read
	conn
	dns
	http
	ssl
)

// field is a column that is looked at.
type field uint8

const (
	fTS field = iota
	fWriteTS
	fPath
	fUID
	fOrigHost
	fOrigPort
	fRespHost
	fRespPort
	fProto
	fIPProto
	fService
	fDuration
	fOrigBytes
	fRespBytes
	fConnState
	fHistory
	fMissedBytes
	fOrigPackets
	fTransID
	fRTT
	fQuery
	fQType
	fQTypeName
	fRCode
	fRCodeName
	fAnswers
	fTransDepth
	fMethod
	fHost
	fURI
	fAgent
	fRequestLen
	fResponseLen
	fStatus
	fSIP
	fServerName
	fVersion
	fCipher
	fResumed
	fEstablished
	fSSLHistory
	numFields
)

// fieldNames gives the names of each column, Zeek's own first. The others are
// what Log::default_scope_sep and the field name maps in Zeek's documentation
// and tests make of them.
var fieldNames = [numFields][]string{
	fTS:          {"ts"},
	fWriteTS:     {"_write_ts"},
	fPath:        {"_path"},
	fUID:         {"uid"},
	fOrigHost:    {"id.orig_h", "id_orig_h", "src", "src_ip", "orig_h"},
	fOrigPort:    {"id.orig_p", "id_orig_p", "src_port", "orig_p"},
	fRespHost:    {"id.resp_h", "id_resp_h", "dst", "dst_ip", "dest_ip", "resp_h"},
	fRespPort:    {"id.resp_p", "id_resp_p", "dst_port", "dest_port", "resp_p"},
	fProto:       {"proto"},
	fIPProto:     {"ip_proto"},
	fService:     {"service"},
	fDuration:    {"duration"},
	fOrigBytes:   {"orig_bytes"},
	fRespBytes:   {"resp_bytes"},
	fConnState:   {"conn_state"},
	fHistory:     {"history"},
	fMissedBytes: {"missed_bytes"},
	fOrigPackets: {"orig_pkts"},
	fTransID:     {"trans_id"},
	fRTT:         {"rtt"},
	fQuery:       {"query"},
	fQType:       {"qtype"},
	fQTypeName:   {"qtype_name"},
	fRCode:       {"rcode"},
	fRCodeName:   {"rcode_name"},
	fAnswers:     {"answers"},
	fTransDepth:  {"trans_depth"},
	fMethod:      {"method"},
	fHost:        {"host"},
	fURI:         {"uri"},
	fAgent:       {"user_agent"},
	fRequestLen:  {"request_body_len"},
	fResponseLen: {"response_body_len"},
	fStatus:      {"status_code"},
	// sip.log has nearly all columns of http.log, and these.
	fSIP:         {"call_id", "seq", "request_path", "response_path", "request_from", "response_from"},
	fServerName:  {"server_name"},
	fVersion:     {"version"},
	fCipher:      {"cipher"},
	fResumed:     {"resumed"},
	fEstablished: {"established"},
	fSSLHistory:  {"ssl_history"},
}

// row is one record, in whatever notation. An unset column, and one that is
// not there, gives "" or nil.
type row interface {
	// text is the column's value without escapes. It is valid until the next
	// record only.
	text(f field) []byte
	// list is the elements of a set or vector. The slice is valid until the
	// next record only.
	list(f field) []string
	// time reads a time; the zero Time if it is unset.
	time(f field) (event.Time, error)
}

// kindOf tells a record's log by the columns that it has, and by its path
// (Zeek's word for the log's name) only if they do not tell.
func kindOf(path string, has func(field) bool) kind {
	switch {
	case has(fConnState):
		return conn
	case has(fQuery):
		if has(fQType) || has(fQTypeName) || has(fAnswers) {
			return dns
		}
	case !has(fOrigHost):
	case has(fOrigBytes) || has(fMissedBytes) || has(fOrigPackets):
		return conn
	case has(fProto) && (has(fDuration) || has(fHistory) || has(fService)):
		// quic.log has a history and no proto; dpd.log, syslog.log and
		// notice.log have proto, and none of these.
		return conn
	case isHTTPLog(has):
		return http
	case isSSLLog(has):
		return ssl
	}
	for name, k := range pathKinds {
		rest, ok := strings.CutPrefix(path, name)
		if ok && (rest == "" || rest[0] == '-' || rest[0] == '_') {
			return k
		}
	}
	return other
}

// pathKinds are the log names that are read; filters append to them, as in
// "conn-external".
var pathKinds = map[string]kind{"conn": conn, "dns": dns, "http": http, "ssl": ssl}

// isHTTPLog knows http.log among the logs with a depth of transactions
// (smtp.log) or methods (sip.log).
func isHTTPLog(has func(field) bool) bool {
	switch {
	case has(fSIP):
		return false
	case has(fTransDepth):
		return has(fRequestLen) || has(fResponseLen) || has(fHost) || has(fMethod) && has(fURI)
	}
	return has(fMethod) && has(fHost) && has(fURI)
}

// isSSLLog knows ssl.log: quic.log has versions and server names too, and
// kerberos.log has ciphers.
func isSSLLog(has func(field) bool) bool {
	return has(fEstablished) || has(fSSLHistory) || has(fCipher) && has(fServerName) || has(fResumed) && has(fVersion)
}

// convert turns one row into an event, and leaves its native key in c.key. It fails with
// errNothing if the record is well-formed and of no use.
func (c *converter) convert(r row, k kind) (event.Event, error) {
	switch k {
	case dns:
		return c.dnsEvent(r)
	case http:
		return c.httpEvent(r)
	case ssl:
		return c.sslEvent(r)
	}
	return c.connEvent(r)
}

// converter makes events of rows.
type converter struct {
	words jsonrecord.Words
	key   []byte // of the last event
}

// deliver accounts for one record.
func (c *converter) deliver(out *source.Output, rec source.Record, e *event.Event, err error) {
	switch {
	case err == nil:
		out.Event(*e, c.key, rec.Span)
	case errors.Is(err, errNothing):
		out.Skip()
	default:
		out.Unreadable(rec, err)
	}
}

// errNothing says that a record is well-formed and tells nothing.
var errNothing = errors.New("nothing of interest")

// head is what connections and queries have in common.
type head struct {
	at       event.Time
	writeTS  event.Time
	src, dst netip.AddrPort
	proto    event.Protocol
}

func (c *converter) readHead(r row) (head, error) {
	var h head
	var err error
	if h.at, err = r.time(fTS); err != nil {
		return h, err
	}
	if h.at.At == 0 {
		return h, errors.New("no time (ts)")
	}
	if h.writeTS, err = r.time(fWriteTS); err != nil {
		return h, err
	}
	h.proto = c.zeekProtocol(r.text(fProto), r.text(fIPProto))
	if h.src, err = endpoint(r, fOrigHost, fOrigPort, h.proto); err != nil {
		return h, err
	}
	h.dst, err = endpoint(r, fRespHost, fRespPort, h.proto)
	return h, err
}

// endpoint reads an address and its port. A port that was not logged is 0, and
// so is that of an ICMP message, where Zeek puts the type and code.
func endpoint(r row, host, port field, proto event.Protocol) (netip.AddrPort, error) {
	text := r.text(host)
	if len(text) == 0 {
		return netip.AddrPort{}, fmt.Errorf("no address (%s)", fieldNames[host][0])
	}
	addr, err := parseAddr(text)
	if err != nil {
		return netip.AddrPort{}, err
	}
	var n uint16
	if p := r.text(port); len(p) > 0 {
		if n, err = parsePort(p); err != nil {
			return netip.AddrPort{}, err
		}
	}
	if proto != "" && !hasPorts(proto) {
		n = 0
	}
	return netip.AddrPortFrom(addr, n), nil
}

// zeekProtocol takes Zeek's word for a protocol, or the protocol's number
// where Zeek has no word for it (ip_proto, since Zeek 7).
func (c *converter) zeekProtocol(name, number []byte) event.Protocol {
	switch string(name) {
	case "tcp":
		return "tcp"
	case "udp":
		return "udp"
	case "icmp":
		return "icmp"
	case "", "unknown_transport":
		if isDigits(number) && len(number) <= 3 {
			return protocol(number)
		}
		return ""
	}
	return event.Protocol(strings.ToLower(c.words.Of(name)))
}
