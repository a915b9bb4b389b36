package flow

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/envelope"
	"tidewaiter/source/jsonrecord"
)

// VPCFlow is Amazon's VPC flow log as text: the default format, or any order of
// its fields (versions 2 to 5 and later) below a line that names them
// (docs.aws.amazon.com, "Flow log records").
//
// A record is one direction of a connection in an interval. Two directions that
// were seen in the same interval are one flow; of one that stays alone, flags
// and ports tell who began it. NODATA is skipped, SKIPDATA is a loss.
func VPCFlow() *source.Format {
	return &source.Format{
		Name:    "aws-vpcflow",
		Title:   "AWS VPC flow log (text, default or with a header)",
		Source:  event.VPCFlow,
		Framing: source.Lines,
		Sniff:   sniffVPC,
		New: func(out *source.Output) source.Decoder {
			return &vpcDecoder{vpcPairs: vpcPairs{out, newAskTable(out)}, columns: vpcDefault}
		},
	}
}

// VPCFlowJSON is the same as JSON: from Parquet or a shipper, with the fields
// spelt in one of several ways, or as OCSF network activity, as Security Lake
// keeps them.
func VPCFlowJSON() *source.Format {
	return &source.Format{
		Name:    "aws-vpcflow-json",
		Title:   "AWS VPC flow log (JSON, OCSF, CloudWatch)",
		Source:  event.VPCFlow,
		Framing: source.JSONLists,
		Sniff:   sniffVPCJSON,
		New: func(out *source.Output) source.Decoder {
			return &vpcJSONDecoder{vpcPairs: vpcPairs{out, newAskTable(out)}}
		},
	}
}

var (
	vpcDefault = strings.Fields("version accountid interfaceid srcaddr dstaddr srcport dstport protocol packets bytes start end action logstatus")

	errNotVPC     = errors.New("not a VPC flow record: want the 14 fields of the default format, or a line before it that names the fields")
	errNotVPCJSON = errors.New("not a VPC flow record: neither addresses nor a log status")
)

type vpcDecoder struct {
	vpcPairs
	columns []string
}

// Decode implements source.Decoder.
func (d *vpcDecoder) Decode(rec source.Record) {
	fields := strings.Fields(string(rec.Data))
	if mayBeHeader(rec.Data) {
		if names := vpcHeader(fields); names != nil {
			d.columns = names
			d.out.Skip()
			return
		}
	}
	if len(fields) == len(d.columns)+1 {
		if _, err := event.ParseRFC3339(fields[0]); err == nil {
			fields = fields[1:] // as CloudWatch exports it
		}
	}
	if len(fields) != len(d.columns) {
		d.out.Unreadable(rec, errNotVPC)
		return
	}
	d.row(rec, func(name string) string {
		for i, c := range d.columns {
			if c == name {
				return fields[i]
			}
		}
		return ""
	})
}

// mayBeHeader is a quick look: a header names an address, the status, or the
// start.
func mayBeHeader(line []byte) bool {
	return bytes.Contains(line, []byte("addr")) || bytes.Contains(line, []byte("Addr")) || bytes.Contains(line, []byte("status")) || bytes.Contains(line, []byte("start"))
}

// vpcHeader gives the names of the columns, nil if it is no header.
func vpcHeader(fields []string) []string {
	var names []string
	known := 0
	for _, f := range fields {
		name := vpcName(strings.Trim(f, "${},\""))
		switch name {
		case "srcaddr", "dstaddr", "interfaceid", "logstatus", "pktsrcaddr", "pktdstaddr", "dstport", "start":
			known++
		}
		names = append(names, name)
	}
	if known < 2 {
		return nil
	}
	return names
}

// vpcName is a field's name in one spelling: src-addr, srcAddr and src_addr are
// srcaddr.
func vpcName(s string) string {
	var room [32]byte // no name is longer
	b := room[:0]
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != '-' && c != '_' && len(b) < len(room) {
			b = append(b, c)
		}
	}
	return string(b)
}

type vpcJSONDecoder struct {
	vpcPairs
	opener envelope.Opener
}

// Decode implements source.Decoder.
func (d *vpcJSONDecoder) Decode(rec source.Record) { d.open(rec, 0) }

func (d *vpcJSONDecoder) open(rec source.Record, depth int) {
	e, ok := d.opener.Open(d.out, rec, depth)
	if !ok {
		return
	}
	for _, key := range []string{"logEvents", "Records", "records"} {
		if e.Get(key).IsArray() && e.Parser.Fault() == nil {
			envelope.Spread(d.out, rec, func(r source.Record) { d.open(r, depth+1) }, key)
			return
		}
	}
	text := e.String("message")
	fields := strings.Fields(text)
	row := vpcObject(e.Value)
	if len(fields) == len(vpcDefault) {
		row = func(name string) string {
			for i, c := range vpcDefault {
				if c == name {
					return fields[i]
				}
			}
			return ""
		}
	}
	switch err := e.Parser.Fault(); {
	case err != nil:
		d.out.Unreadable(rec, err)
	case len(fields) != len(vpcDefault) && strings.HasPrefix(text, "{"):
		d.open(source.Record{Data: []byte(text), Span: rec.Span}, depth+1)
	case row("srcaddr") == "" && row("dstaddr") == "" && row("logstatus") == "":
		d.out.Unreadable(rec, errNotVPCJSON)
	default:
		d.row(rec, row)
	}
}

// row reads an object as a record: by the fields' names in any spelling, and as
// OCSF calls them.
func vpcObject(v jsonrecord.Value) func(string) string {
	values := map[string]string{}
	v.Each(func(key string, val jsonrecord.Value) {
		if s := val.Number(); s != "" {
			values[vpcName(key)] = s
		}
	})
	if v.Get("src_endpoint").Exists() {
		for name, path := range ocsfPaths {
			if s := v.Number(path...); values[name] == "" && s != "" {
				values[name] = s
			}
		}
	}
	for _, o := range vpcOthers {
		if values[o[0]] == "" {
			values[o[0]] = values[o[1]]
		}
	}
	return func(name string) string { return values[name] }
}

// vpcOthers are fields under other names: as Panther and OCSF call them.
var vpcOthers = [][2]string{{"logstatus", "status"}, {"logstatus", "statuscode"}, {"start", "starttime"}, {"end", "endtime"}}

// ocsfPaths are where OCSF has the fields.
var ocsfPaths = map[string][]string{
	"srcaddr": {"src_endpoint", "ip"}, "dstaddr": {"dst_endpoint", "ip"}, "srcport": {"src_endpoint", "port"}, "dstport": {"dst_endpoint", "port"},
	"interfaceid": {"src_endpoint", "interface_uid"}, "protocol": {"connection_info", "protocol_num"}, "tcpflags": {"connection_info", "tcp_flags"},
	"bytes": {"traffic", "bytes"}, "packets": {"traffic", "packets"}, "accountid": {"cloud", "account", "uid"}, "region": {"cloud", "region"},
	"vpcid": {"src_endpoint", "vpc_uid"}, "instanceid": {"src_endpoint", "instance_uid"}, "action": {"disposition"},
}

// vpcPairs tells flows, and puts the two directions of one together.
type vpcPairs struct {
	out   *source.Output
	asked *askTable
}

// Flush implements source.Decoder: what waits for its other direction stays
// alone.
func (d *vpcPairs) Flush() { d.asked.flush() }

// row reads one record, of which get gives the fields; "" and "-" are unknown.
func (d *vpcPairs) row(rec source.Record, get func(string) string) {
	r := vpcRow{get: get}
	err := r.read()
	switch {
	case err != nil:
		d.out.Unreadable(rec, err)
	case r.status == "SKIPDATA" && !r.start.IsZero():
		loss := &event.Loss{Reason: "records of a VPC flow log were skipped", Count: -1}
		d.out.Event(event.Event{Time: r.start, Record: r.end.At, Place: r.place, Body: loss}, []byte("skipped|"+r.enter+"|"+r.start.String()), rec.Span)
	case r.body == nil:
		d.out.Skip()
	default:
		d.flow(rec, &r)
	}
}

func (d *vpcPairs) flow(rec source.Record, r *vpcRow) {
	e := event.Event{Time: r.start, Record: max(r.end.At, r.start.At), Place: r.place, Body: r.body}
	src, dst := r.body.Src.String(), r.body.Dst.String()
	window := "|" + r.start.String() + "|" + r.end.String() + "|" + r.body.State
	conn := r.enter + "|" + string(r.body.Protocol) + "|"
	if r.start.IsZero() || r.body.State == "REJECT" {
		if isReply(r.body.Protocol, r.body.Src, r.body.Dst, r.flags) {
			turned(r.body)
		}
		d.out.Event(e, []byte(conn+src+"|"+dst+window), rec.Span)
		return
	}
	if first := d.asked.answer(conn+dst+"|"+src+window, r.end.At); first != nil {
		f, _ := first.event.Body.(*event.Flow) // only flows wait here
		if f.Src == r.body.Src {
			f.BytesOut = r.body.BytesOut // the first was the reply
		} else {
			f.BytesIn = r.body.BytesOut
		}
		d.out.Event(first.event, []byte(conn+min(src, dst)+"|"+max(src, dst)+window), first.span, rec.Span)
		return
	}
	if isReply(r.body.Protocol, r.body.Src, r.body.Dst, r.flags) {
		turned(r.body)
	}
	d.asked.ask(&asked{id: conn + src + "|" + dst + window, at: r.end.At, event: e, key: conn + src + "|" + dst + window, span: rec.Span})
}

// vpcRow is one record.
type vpcRow struct {
	get        func(string) string
	status     string
	start, end event.Time
	place      event.Place
	enter      string // the interface
	flags      int64
	body       *event.Flow
}

func (r *vpcRow) text(name string) string {
	if s := r.get(name); s != "-" && s != "null" {
		return s
	}
	return ""
}

func (r *vpcRow) read() (err error) {
	r.status = r.text("logstatus")
	if r.start, err = vpcTime(r.text("start")); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if r.end, err = vpcTime(r.text("end")); err != nil {
		return fmt.Errorf("end: %w", err)
	}
	if r.end.At < r.start.At {
		r.end = event.Time{}
	}
	r.place = event.Place{Account: r.text("accountid"), Region: r.text("region"), Network: r.text("vpcid")}
	r.enter = r.text("interfaceid")
	if r.status == "NODATA" || r.status == "SKIPDATA" {
		return nil
	}
	src, dst := r.text("pktsrcaddr"), r.text("pktdstaddr")
	if src == "" {
		src = r.text("srcaddr")
	}
	if dst == "" {
		dst = r.text("dstaddr")
	}
	if src == "" || dst == "" {
		return nil // nothing was seen
	}
	return r.flow(src, dst)
}

func (r *vpcRow) flow(src, dst string) (err error) {
	b := &event.Flow{BytesOut: -1, BytesIn: -1, End: r.end, State: bounded(r.text("action"), 16)}
	b.Answered = b.State != "REJECT"
	if p := strings.TrimSuffix(r.text("protocol"), ".0"); isDigits(p) && len(p) <= 3 {
		b.Protocol = protocol(p)
	} else if p != "" {
		b.Protocol = event.Protocol(keep(bounded(strings.ToLower(p), 16)))
	}
	if b.Src, err = vpcEnd(src, r.text("srcport")); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if b.Dst, err = vpcEnd(dst, r.text("dstport")); err != nil {
		return fmt.Errorf("destination: %w", err)
	}
	if s := strings.TrimSuffix(r.text("bytes"), ".0"); s != "" {
		if b.BytesOut, err = parseCount(s); err != nil {
			return fmt.Errorf("bytes: %w", err)
		}
	}
	r.flags = -1
	if n, err := parseCount(strings.TrimSuffix(r.text("tcpflags"), ".0")); err == nil {
		r.flags = n
	}
	at := &event.VMRef{ID: r.text("instanceid"), Interface: r.enter, Project: r.place.Account, Zone: r.text("azid"), Network: r.place.Network, Subnet: r.text("subnetid")}
	switch r.text("flowdirection") {
	case "egress":
		b.SrcVM = at
	case "ingress":
		b.DstVM = at
	default:
		if !at.IsZero() {
			b.Seen = at
		}
	}
	r.body = b
	return nil
}

func vpcEnd(addr, port string) (netip.AddrPort, error) {
	a, err := parseAddr(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	var n uint16
	if p := strings.TrimSuffix(port, ".0"); p != "" {
		if n, err = parsePort(p); err != nil {
			return netip.AddrPort{}, err
		}
	}
	return netip.AddrPortFrom(a, n), nil
}

// vpcTime reads Unix seconds, as AWS documents them, or milliseconds, as OCSF
// does: 12 digits of seconds lie beyond the year 5000. Athena writes a time as
// text in UTC.
func vpcTime(s string) (event.Time, error) {
	s = strings.TrimSuffix(s, ".0")
	switch {
	case s == "":
		return event.Time{}, nil
	case isDigits(s) && len(s) == 13:
		return event.ParseEpoch(s[:10] + "." + s[10:])
	case len(s) > 18 && s[10] == ' ':
		s = s[:10] + "T" + s[11:] + "Z"
	}
	if strings.Contains(s, "T") {
		return event.ParseRFC3339(s)
	}
	return parseEpoch(s)
}

func sniffVPC(head source.Sample) int {
	if len(head.Lines) == 0 || bytes.HasPrefix(bytes.TrimSpace(head.Data), []byte("{")) {
		return 0
	}
	fields := strings.Fields(string(head.Lines[0]))
	if names := vpcHeader(fields); names != nil && len(names) == len(fields) && !strings.Contains(string(head.Lines[0]), "\t") {
		return 95
	}
	return head.Share(isVPCLine) * 9 / 10
}

// isVPCLine knows a line of the default format.
func isVPCLine(line []byte) bool {
	f := strings.Fields(string(line))
	if len(f) == len(vpcDefault)+1 {
		f = f[1:]
	}
	return len(f) == len(vpcDefault) && isDigits(f[0]) && strings.HasPrefix(f[2], "eni-") && (f[13] == "OK" || f[13] == "NODATA" || f[13] == "SKIPDATA")
}

func sniffVPCJSON(head source.Sample) int {
	has := func(s string) bool { return bytes.Contains(head.Data, []byte(s)) }
	switch {
	case has(`"AWS.VPCFlow"`), head.HasKeys("interface-id"), head.HasKeys("interface_id", "srcaddr"), head.HasKeys("interfaceId", "srcAddr"):
		return 92
	case head.HasKeys("srcaddr", "dstaddr") && !head.HasKeys("query_name"), head.HasKeys("srcAddr", "dstAddr"), head.HasKeys("pkt-srcaddr"):
		return 80
	case head.HasKeys("src_endpoint", "dst_endpoint") && (has(`"class_uid":4001`) || has("OCSF.NetworkActivity")), has("OCSF.NetworkActivity"):
		return 75
	case head.HasKeys("logEvents") && has(" eni-") && (has(" OK\"") || has(" NODATA")):
		return 85
	}
	return 0
}
