// Package dns reads the query logs of clouds' resolvers: AWS Route 53 Resolver
// and Google Cloud DNS.
//
// In: their records as JSON. Out: event.DNS, with the machine that asked where
// the record names it.
package dns

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/envelope"
	"tidewaiter/source/jsonrecord"
)

// Route53 is the Resolver's query log (docs.aws.amazon.com, "Values that appear
// in VPC Resolver query logs"), from S3, CloudWatch, or as Athena prints it. It
// counts time in UTC, and says so whether it prints a Z or not.
func Route53() *source.Format {
	return &source.Format{
		Name:    "route53-resolver",
		Title:   "AWS Route 53 Resolver query log (JSON)",
		Source:  event.Route53,
		Framing: source.JSONLists,
		Sniff:   sniffRoute53,
		New:     func(out *source.Output) source.Decoder { return &decoder{out: out, read: route53} },
	}
}

// GoogleDNS is Cloud DNS's query log (cloud.google.com, "Cloud DNS logging"):
// log entries, bare, in arrays, or in Pub/Sub's envelope.
func GoogleDNS() *source.Format {
	return &source.Format{
		Name:    "gcp-dns",
		Title:   "Google Cloud DNS query log (JSON log entries)",
		Source:  event.GCPDNS,
		Framing: source.JSONValues,
		Sniff:   sniffGoogle,
		New:     func(out *source.Output) source.Decoder { return &decoder{out: out, read: google} },
	}
}

var (
	errNotQuery = errors.New("no query: neither query_name nor jsonPayload.queryName, and no envelope around one")
	errNoTime   = errors.New("no time")
	errLongName = errors.New("a name longer than DNS has")
)

// Bounds of one answer.
const (
	maxName    = 255
	maxAnswers = 64
)

type decoder struct {
	out    *source.Output
	opener envelope.Opener
	read   func(jsonrecord.Value) (*query, error) // nil of another record
}

// query is one record, before it is an event.
type query struct {
	at    event.Time
	place event.Place
	body  *event.DNS
	key   string
}

// Flush implements source.Decoder; nothing is held back.
func (d *decoder) Flush() {}

// Decode implements source.Decoder.
func (d *decoder) Decode(rec source.Record) { d.open(rec, 0) }

func (d *decoder) open(rec source.Record, depth int) {
	e, ok := d.opener.Open(d.out, rec, depth)
	if !ok {
		return
	}
	q, err := d.read(e.Value)
	text := envelope.Text(e.Value)
	fault := e.Parser.Fault()
	switch {
	case fault != nil:
		d.out.Unreadable(rec, fault)
	case err != nil:
		d.out.Unreadable(rec, err)
	case q != nil:
		d.out.Event(event.Event{Time: q.at, Place: q.place, Body: q.body}, []byte(cmp.Or(q.key, string(rec.Data))), rec.Span)
	case e.Get("logEvents").IsArray():
		envelope.Spread(d.out, rec, func(r source.Record) { d.open(r, depth+1) }, "logEvents")
	case text != "":
		d.open(source.Record{Data: []byte(text), Span: rec.Span}, depth+1)
	case e.Get("logName").IsString() || e.String("messageType") == "CONTROL_MESSAGE":
		d.out.Skip() // an entry of another log
	default:
		d.out.Unreadable(rec, errNotQuery)
	}
}

// domain is a name in lower case (only ASCII letters have cases there, RFC
// 4343) and without the final dot.
func domain(s string) (string, error) {
	if len(s) > maxName {
		return "", errLongName
	}
	return strings.ToLower(strings.TrimSuffix(s, ".")), nil
}

// client is where a query came from.
func client(addr, port string) (netip.AddrPort, error) {
	if addr == "" {
		return netip.AddrPort{}, nil
	}
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not an address", clip(addr))
	}
	n, err := strconv.ParseUint(cmp.Or(port, "0"), 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not a port", clip(port))
	}
	return netip.AddrPortFrom(a.Unmap().WithZone(""), uint16(n)), nil
}

// answer adds what one answer says: an address, or another name.
func answer(b *event.DNS, typ, data string) {
	if len(b.Addrs)+len(b.Names) >= maxAnswers {
		return
	}
	switch typ {
	case "A", "AAAA":
		if a, err := netip.ParseAddr(data); err == nil {
			b.Addrs = append(b.Addrs, a.Unmap().WithZone(""))
		}
	case "CNAME", "PTR", "NS", "DNAME":
		if name, err := domain(data); err == nil && name != "" {
			b.Names = append(b.Names, name)
		}
	}
}

// first is the value under the first of some keys that is there.
func first(v jsonrecord.Value, keys ...string) string {
	for _, k := range keys {
		if s := v.Number(k); s != "" {
			return s
		}
	}
	return ""
}

// route53 reads a record of the Resolver, as AWS writes it, or as OCSF DNS
// activity, as Security Lake keeps it.
func route53(v jsonrecord.Value) (*query, error) {
	ocsf := v.Get("query", "hostname").IsString()
	name := cmp.Or(v.String("query_name"), v.String("query", "hostname"))
	if name == "" {
		return nil, nil
	}
	b := &event.DNS{Type: cmp.Or(v.String("query_type"), v.String("query", "type")), Code: strings.ToUpper(v.String("rcode"))}
	q := &query{body: b, place: event.Place{Account: v.Number("account_id"), Region: v.String("region"), Network: v.String("vpc_id")}}
	addr, port, machine, when := v.String("srcaddr"), v.Number("srcport"), v.String("srcids", "instance"), v.String("query_timestamp")
	if ocsf {
		from := v.Get("src_endpoint")
		addr, port, machine, when = from.String("ip"), from.Number("port"), from.String("instance_uid"), v.Number("time")
		q.place = event.Place{Account: v.Number("cloud", "account", "uid"), Region: v.String("cloud", "region"), Network: from.String("vpc_uid")}
	}
	var err error
	if b.Query, err = domain(name); err != nil {
		return nil, err
	}
	if b.Client, err = client(addr, port); err != nil {
		return nil, fmt.Errorf("srcaddr: %w", err)
	}
	if q.at, err = asked(when); err != nil {
		return nil, fmt.Errorf("query_timestamp: %w", err)
	}
	answers := v.Get("answers")
	for _, a := range append(answers.Array(), answers) { // Athena prints a lone one as an object
		answer(b, first(a, "Type", "type"), first(a, "Rdata", "rdata"))
	}
	if ref := (event.VMRef{ID: machine, Network: q.place.Network, Project: q.place.Account}); !ref.IsZero() {
		b.VM = &ref
	}
	return q, nil
}

// asked reads the time of a query: as the Resolver prints it, as Athena does,
// without letters, or in milliseconds, as OCSF has it.
func asked(s string) (event.Time, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) == 13 {
		return event.At(time.UnixMilli(n), event.Millisecond), nil
	}
	if len(s) > 18 && (s[10] == ' ' || !strings.ContainsAny(s[19:], "+-Z")) {
		s = s[:10] + "T" + strings.TrimSuffix(s[11:], "Z") + "Z"
	}
	if s == "" {
		return event.Time{}, errNoTime
	}
	return event.ParseRFC3339(s)
}

func google(v jsonrecord.Value) (*query, error) {
	p := v.Get("jsonPayload")
	name := p.String("queryName")
	if name == "" {
		return nil, nil
	}
	b := &event.DNS{Type: p.String("queryType"), Code: p.String("responseCode")}
	labels := v.Get("resource", "labels")
	q := &query{body: b, key: v.String("insertId"), place: event.Place{Account: labels.String("project_id")}}
	if location := labels.String("location"); location != "global" {
		q.place.Region = location
	}
	var err error
	if b.Query, err = domain(name); err != nil {
		return nil, err
	}
	if b.Client, err = client(p.String("sourceIP"), ""); err != nil {
		return nil, fmt.Errorf("sourceIP: %w", err)
	}
	if b.Server, err = client(p.String("destinationIP"), "53"); err != nil {
		return nil, fmt.Errorf("destinationIP: %w", err)
	}
	if v.String("timestamp") == "" {
		return nil, fmt.Errorf("%w: want timestamp", errNoTime)
	}
	if q.at, err = event.ParseRFC3339(v.String("timestamp")); err != nil {
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	rdata(b, p.String("rdata"))
	for _, a := range p.Array("structuredRdata") {
		if p.String("rdata") == "" {
			answer(b, a.String("type"), a.String("rvalue"))
		}
	}
	instance := p.String("vmInstanceIdString")
	if instance == "" {
		instance = p.Number("vmInstanceId")
	}
	ref := event.VMRef{ID: instance, Name: p.String("vmInstanceName"), Project: p.String("vmProjectId"), Zone: p.String("vmZoneName"), Network: p.String("sourceNetwork")}
	if i := strings.LastIndexByte(ref.Name, '.'); i >= 0 {
		ref.Name = ref.Name[i+1:] // the log puts the project's number before it
	}
	if !ref.IsZero() {
		b.VM = &ref
	}
	return q, nil
}

// rdata reads answers as Cloud DNS prints them, one to a line:
//
//	NAME	TTL	IN	a	203.0.113.66
func rdata(b *event.DNS, text string) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 5 {
			answer(b, strings.ToUpper(f[3]), f[4])
		}
	}
}

func sniffRoute53(head source.Sample) int {
	switch {
	case head.HasKeys("query_name", "query_timestamp"), head.HasKeys("query_name", "srcids"):
		return 92
	case head.HasKeys("query_name", "query_type"), head.HasKeys("query", "src_endpoint", "class_uid") && bytes.Contains(head.Data, []byte("Route 53")):
		return 80
	case head.HasKeys("logEvents") && bytes.Contains(head.Data, []byte(`\"query_timestamp\"`)):
		return 90
	}
	return 0
}

func sniffGoogle(head source.Sample) int {
	switch {
	case !bytes.Contains(head.Data, []byte("dns_queries")) && !bytes.Contains(head.Data, []byte(`"dns_query"`)):
		return 0
	case head.HasKeys("jsonPayload"), head.HasKeys("logName"), head.HasKeys("insertId"):
		return 92
	}
	return 60
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
