package flow

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
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
		Head: func(line []byte) bool {
			return mayBeHeader(line) && vpcHeader(strings.Fields(string(line))) != nil
		},
		New: func(out *source.Output) source.Decoder {
			return &vpcDecoder{vpcPairs: newVPCPairs(out), columns: vpcColumns(vpcDefault)}
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
			return &vpcJSONDecoder{vpcPairs: newVPCPairs(out), keys: map[string]vpcKey{}}
		},
	}
}

// vpcField is one of the fields that are read.
type vpcField uint8

const (
	vpcStatus vpcField = iota
	vpcStart
	vpcEnds
	vpcAccount
	vpcRegion
	vpcNetwork
	vpcInterface
	vpcPacketSrc
	vpcPacketDst
	vpcSrc
	vpcDst
	vpcSrcPort
	vpcDstPort
	vpcProtocol
	vpcBytes
	vpcAction
	vpcFlags
	vpcInstance
	vpcZone
	vpcSubnet
	vpcDirection
	vpcFields
)

// vpcNames are the fields' names in one spelling.
var vpcNames = [vpcFields]string{"logstatus", "start", "end", "accountid", "region", "vpcid", "interfaceid", "pktsrcaddr", "pktdstaddr", "srcaddr", "dstaddr", "srcport", "dstport",
	"protocol", "bytes", "action", "tcpflags", "instanceid", "azid", "subnetid", "flowdirection"}

// vpcColumns says which field each column is; vpcFields for one that is not read.
func vpcColumns(names []string) []vpcField {
	out := make([]vpcField, len(names))
	for i, n := range names {
		out[i] = vpcFields
		for f, known := range vpcNames {
			if n == known {
				out[i] = vpcField(f)
			}
		}
	}
	return out
}

// vpcValues are a record's fields; empty ones are unknown.
type vpcValues [vpcFields][]byte

// set takes in a field as it is written.
func (v *vpcValues) set(f vpcField, text []byte) {
	if f < vpcFields && len(v[f]) == 0 && string(text) != "-" && string(text) != "null" {
		v[f] = text
	}
}

var (
	vpcDefault = strings.Fields("version accountid interfaceid srcaddr dstaddr srcport dstport protocol packets bytes start end action logstatus")

	errNotVPC     = errors.New("not a VPC flow record: want the 14 fields of the default format, or a line before it that names the fields")
	errNotVPCJSON = errors.New("not a VPC flow record: neither addresses nor a log status")
)

type vpcDecoder struct {
	vpcPairs
	columns []vpcField
	// Reused.
	fields [][]byte
	values vpcValues
}

// Decode implements source.Decoder.
func (d *vpcDecoder) Decode(rec source.Record) {
	if mayBeHeader(rec.Data) {
		if names := vpcHeader(strings.Fields(string(rec.Data))); names != nil {
			d.columns = vpcColumns(names)
			d.out.Skip()
			return
		}
	}
	fields := d.fields[:0]
	for f := range bytes.FieldsSeq(rec.Data) {
		fields = append(fields, f)
	}
	d.fields = fields
	if len(fields) == len(d.columns)+1 {
		if _, err := event.ParseRFC3339(string(fields[0])); err == nil {
			fields = fields[1:] // as CloudWatch exports it
		}
	}
	if len(fields) != len(d.columns) {
		d.out.Unreadable(rec, errNotVPC)
		return
	}
	d.values = vpcValues{}
	for i, f := range d.columns {
		d.values.set(f, fields[i])
	}
	d.row(rec, &d.values)
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
	keys   map[string]vpcKey // how keys were read before, maxKeys at most
	values vpcValues         // reused
}

// vpcKey is what a key of an object names: a field, vpcFields if none is read,
// or a field by another name, which gives way to its own.
type vpcKey struct {
	field vpcField
	other bool
}

// maxKeys bounds the keys that are remembered.
const maxKeys = 256

// key reads a key in whatever spelling.
func (d *vpcJSONDecoder) key(s string) vpcKey {
	k, known := d.keys[s]
	if known {
		return k
	}
	name := vpcName(s)
	k.field = vpcFields
	if f := slices.Index(vpcNames[:], name); f >= 0 {
		k.field = vpcField(f)
	} else if o, known := vpcOthers[name]; known {
		k = o
	}
	if len(d.keys) < maxKeys {
		d.keys[s] = k
	}
	return k
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
	v := &d.values
	*v = vpcValues{}
	if len(fields) == len(vpcDefault) {
		for i, f := range vpcColumns(vpcDefault) {
			v.set(f, []byte(fields[i]))
		}
	} else {
		d.object(e.Value)
	}
	switch err := e.Parser.Fault(); {
	case err != nil:
		d.out.Unreadable(rec, err)
	case len(fields) != len(vpcDefault) && strings.HasPrefix(text, "{"):
		d.open(source.Record{Data: []byte(text), Span: rec.Span}, depth+1)
	case len(v[vpcSrc])+len(v[vpcDst])+len(v[vpcStatus]) == 0:
		d.out.Unreadable(rec, errNotVPCJSON)
	default:
		d.row(rec, v)
	}
}

// object reads an object as a record: by the fields' names in any spelling, and
// as OCSF calls them.
func (d *vpcJSONDecoder) object(o jsonrecord.Value) {
	var others vpcValues
	o.Each(func(name string, val jsonrecord.Value) {
		if k := d.key(name); k.other {
			others.set(k.field, val.Bytes())
		} else {
			d.values.set(k.field, val.Bytes())
		}
	})
	if o.Get("src_endpoint").Exists() {
		for f, path := range ocsfPaths {
			d.values.set(f, o.Bytes(path...))
		}
	}
	for f, text := range others {
		d.values.set(vpcField(f), text)
	}
}

// vpcOthers are fields under other names: as Panther and OCSF call them. In
// OCSF the log's status is the code, and "status" says how the record was made.
var vpcOthers = map[string]vpcKey{"status": {vpcStatus, true}, "statuscode": {vpcStatus, false}, "starttime": {vpcStart, true}, "endtime": {vpcEnds, true}}

// ocsfPaths are where OCSF has the fields.
var ocsfPaths = map[vpcField][]string{
	vpcSrc: {"src_endpoint", "ip"}, vpcDst: {"dst_endpoint", "ip"}, vpcSrcPort: {"src_endpoint", "port"}, vpcDstPort: {"dst_endpoint", "port"},
	vpcInterface: {"src_endpoint", "interface_uid"}, vpcProtocol: {"connection_info", "protocol_num"}, vpcFlags: {"connection_info", "tcp_flags"},
	vpcBytes: {"traffic", "bytes"}, vpcAccount: {"cloud", "account", "uid"}, vpcRegion: {"cloud", "region"},
	vpcStart: {"time"}, vpcNetwork: {"src_endpoint", "vpc_uid"}, vpcInstance: {"src_endpoint", "instance_uid"}, vpcAction: {"disposition"},
}

// vpcPairs tells flows, and puts the two directions of one together.
type vpcPairs struct {
	out   *source.Output
	asked *askTable
	words *jsonrecord.Words
	// refs are the machines last seen, each as one value that its flows share.
	refs map[event.VMRef]*event.VMRef
	key  []byte // reused
}

func newVPCPairs(out *source.Output) vpcPairs {
	return vpcPairs{out: out, asked: newAskTable(out), words: new(jsonrecord.Words), refs: map[event.VMRef]*event.VMRef{}}
}

// maxRefs bounds the machines that are remembered so that flows can share them.
const maxRefs = 4096

// ref gives one value for all flows of a machine.
func (d *vpcPairs) ref(r event.VMRef) *event.VMRef {
	known := d.refs[r]
	if known == nil {
		if len(d.refs) >= maxRefs {
			clear(d.refs)
		}
		known = &r
		d.refs[r] = known
	}
	return known
}

// Flush implements source.Decoder: what waits for its other direction stays
// alone.
func (d *vpcPairs) Flush() { d.asked.flush() }

// row reads one record.
func (d *vpcPairs) row(rec source.Record, v *vpcValues) {
	r := vpcRow{values: v, pairs: d}
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
	if r.start.IsZero() || r.body.State == "REJECT" {
		key := d.pair(r, r.body.Src, r.body.Dst)
		if isReply(r.body.Protocol, r.body.Src, r.body.Dst, r.flags) {
			turned(r.body)
		}
		d.out.Event(e, key, rec.Span)
		return
	}
	if first := d.asked.answerBytes(d.pair(r, r.body.Dst, r.body.Src), r.end.At); first != nil {
		f, _ := first.event.Body.(*event.Flow) // only flows wait here
		if f.Src == r.body.Src {
			f.BytesOut = r.body.BytesOut // the first was the reply
		} else {
			f.BytesIn = r.body.BytesOut
		}
		low, high := r.body.Src, r.body.Dst
		if low.Compare(high) > 0 {
			low, high = high, low
		}
		d.out.Event(first.event, d.pair(r, low, high), first.span, rec.Span)
		return
	}
	id := string(d.pair(r, r.body.Src, r.body.Dst))
	if isReply(r.body.Protocol, r.body.Src, r.body.Dst, r.flags) {
		turned(r.body)
	}
	d.asked.ask(&asked{id: id, at: r.end.At, event: e, key: id, span: rec.Span})
}

// pair names one direction of a connection in an interval. It is good until the
// next call.
func (d *vpcPairs) pair(r *vpcRow, from, to netip.AddrPort) []byte {
	b := append(d.key[:0], r.enter...)
	b = append(append(append(b, '|'), r.body.Protocol...), '|')
	b = from.AppendTo(b)
	b = to.AppendTo(append(b, '|'))
	for _, n := range []int64{r.start.At, r.start.Res, r.end.At, r.end.Res} {
		b = binary.LittleEndian.AppendUint64(append(b, '|'), uint64(n))
	}
	d.key = append(append(b, '|'), r.body.State...)
	return d.key
}

// vpcRow is one record.
type vpcRow struct {
	values     *vpcValues
	pairs      *vpcPairs
	start, end event.Time
	status     string
	place      event.Place
	enter      string // the interface
	flags      int64
	body       *event.Flow
}

// text is a field that is kept, in a string that records of one kind share.
func (r *vpcRow) text(f vpcField) string { return r.pairs.words.Of(r.values[f]) }

func (r *vpcRow) read() (err error) {
	r.status = r.text(vpcStatus)
	if r.start, err = vpcTime(r.values[vpcStart]); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if r.end, err = vpcTime(r.values[vpcEnds]); err != nil {
		return fmt.Errorf("end: %w", err)
	}
	if r.end.At < r.start.At {
		r.end = event.Time{}
	}
	r.place = event.Place{Account: r.text(vpcAccount), Region: r.text(vpcRegion), Network: r.text(vpcNetwork)}
	r.enter = r.text(vpcInterface)
	if r.status == "NODATA" || r.status == "SKIPDATA" {
		return nil
	}
	src, dst := r.values[vpcPacketSrc], r.values[vpcPacketDst]
	if len(src) == 0 {
		src = r.values[vpcSrc]
	}
	if len(dst) == 0 {
		dst = r.values[vpcDst]
	}
	if len(src) == 0 || len(dst) == 0 {
		return nil // nothing was seen
	}
	return r.flow(src, dst)
}

// whole is a number without the fraction that Athena writes behind it.
func whole[T string | []byte](n T) T {
	if end := len(n) - 2; end >= 0 && n[end] == '.' && n[end+1] == '0' {
		return n[:end]
	}
	return n
}

func (r *vpcRow) flow(src, dst []byte) (err error) {
	b := &event.Flow{BytesOut: -1, BytesIn: -1, End: r.end, State: bounded(r.text(vpcAction), 16)}
	b.Answered = b.State != "REJECT"
	if p := whole(r.values[vpcProtocol]); isDigits(p) && len(p) > 0 && len(p) <= 3 {
		b.Protocol = protocol(p)
	} else if len(p) > 0 {
		b.Protocol = event.Protocol(keep(bounded(strings.ToLower(string(p)), 16)))
	}
	if b.Src, err = vpcEnd(src, r.values[vpcSrcPort]); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if b.Dst, err = vpcEnd(dst, r.values[vpcDstPort]); err != nil {
		return fmt.Errorf("destination: %w", err)
	}
	if n := whole(r.values[vpcBytes]); len(n) > 0 {
		if b.BytesOut, err = parseCount(n); err != nil {
			return fmt.Errorf("bytes: %w", err)
		}
	}
	r.flags = -1
	if n := whole(r.values[vpcFlags]); len(n) > 0 {
		if flags, err := parseCount(n); err == nil {
			r.flags = flags
		}
	}
	at := event.VMRef{ID: r.text(vpcInstance), Interface: r.enter, Project: r.place.Account, Zone: r.text(vpcZone), Network: r.place.Network, Subnet: r.text(vpcSubnet)}
	switch string(r.values[vpcDirection]) {
	case "egress":
		b.SrcVM = r.pairs.ref(at)
	case "ingress":
		b.DstVM = r.pairs.ref(at)
	default:
		if !at.IsZero() {
			b.Seen = r.pairs.ref(at)
		}
	}
	r.body = b
	return nil
}

func vpcEnd[T string | []byte](addr, port T) (netip.AddrPort, error) {
	a, err := parseAddr(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	var n uint16
	if p := whole(port); len(p) > 0 {
		if n, err = parsePort(p); err != nil {
			return netip.AddrPort{}, err
		}
	}
	return netip.AddrPortFrom(a, n), nil
}

// vpcTime reads Unix seconds, as AWS documents them, or milliseconds, as OCSF
// does: 12 digits of seconds lie beyond the year 5000. Athena writes a time as
// text in UTC.
func vpcTime(b []byte) (event.Time, error) {
	b = whole(b)
	if len(b) == 0 {
		return event.Time{}, nil
	}
	if isDigits(b) && len(b) != 13 {
		return parseEpoch(b)
	}
	s := string(b)
	switch {
	case isDigits(s):
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

// ocsfNetwork is OCSF's class of network activity.
var ocsfNetwork = regexp.MustCompile(`"class_uid": ?4001\b`)

func sniffVPCJSON(head source.Sample) int {
	has := func(s string) bool { return bytes.Contains(head.Data, []byte(s)) }
	switch {
	case has(`"AWS.VPCFlow"`), head.HasKeys("interface-id"), head.HasKeys("interface_id", "srcaddr"), head.HasKeys("interfaceId", "srcAddr"):
		return 92
	case head.HasKeys("srcaddr", "dstaddr") && !head.HasKeys("query_name"), head.HasKeys("srcAddr", "dstAddr"), head.HasKeys("pkt-srcaddr"):
		return 80
	case has("OCSF.NetworkActivity"):
		return 75
	case head.HasKeys("src_endpoint", "dst_endpoint", "class_uid") && ocsfNetwork.Match(head.Data):
		if head.HasKeys("device") || head.HasKeys("actor") { // as an agent on a host writes it
			return 75
		}
		return 90
	case head.HasKeys("logEvents") && has(" eni-") && (has(" OK\"") || has(" NODATA")):
		return 85
	}
	return 0
}
