package flow

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/envelope"
	"tidewaiter/source/jsonrecord"
)

// AzureFlow is Azure's flow logs: of network security groups (version 1 and 2)
// and of virtual networks (learn.microsoft.com, "Flow logging for network
// security groups", "Virtual network flow logs").
//
// A record has the tuples of a minute; those of one connection are one flow. It
// begins at its tuple B; where that is in an earlier record, its time is that
// of the first tuple here. Source and destination are told as the connection
// was begun.
func AzureFlow() *source.Format {
	return &source.Format{
		Name:    "azure-flow",
		Title:   "Azure NSG and virtual network flow logs (JSON)",
		Source:  event.AzureFlow,
		Framing: source.JSONLists,
		Sniff:   sniffAzureFlow,
		New:     func(out *source.Output) source.Decoder { return &azureFlowDecoder{out: out} },
	}
}

var errNotAzureFlow = errors.New("not an Azure flow record: neither properties.flows nor flowRecords.flows")

type azureFlowDecoder struct {
	out    *source.Output
	opener envelope.Opener
}

// Flush implements source.Decoder; nothing is held back.
func (d *azureFlowDecoder) Flush() {}

// Decode implements source.Decoder.
func (d *azureFlowDecoder) Decode(rec source.Record) { d.open(rec, 0) }

func (d *azureFlowDecoder) open(rec source.Record, depth int) {
	e, ok := d.opener.Open(d.out, rec, depth)
	if !ok {
		return
	}
	nsg, vnet := e.Get("properties", "flows"), e.Get("flowRecords", "flows")
	switch {
	case e.Parser.Fault() != nil:
		d.out.Unreadable(rec, e.Parser.Fault())
	case e.Get("records").IsArray():
		envelope.Spread(d.out, rec, func(r source.Record) { d.open(r, depth+1) }, "records")
	case nsg.IsArray() || vnet.IsArray():
		d.tell(rec, e)
	case e.Get("category").IsString():
		d.out.Skip() // another category in the same stream
	case envelope.Text(e.Value) != "":
		d.open(source.Record{Data: []byte(envelope.Text(e.Value)), Span: rec.Span}, depth+1)
	default:
		d.out.Unreadable(rec, errNotAzureFlow)
	}
}

// azureMinute collects the flows of one record, in the order of their first
// tuples.
type azureMinute struct {
	mac   string // of the record
	where event.VMRef
	keys  []string
	flows map[string]*event.Event
}

func (d *azureFlowDecoder) tell(rec source.Record, e envelope.Opened) {
	m := azureMinute{mac: macAddress(e.String("macAddress")), flows: map[string]*event.Event{}}
	target := strings.ToLower(cmp.Or(e.String("targetResourceID"), e.String("resourceId"), e.String("flowLogResourceID")))
	m.where = event.VMRef{Project: azurePart(target, "subscriptions"), Network: azureUpTo(target, "virtualnetworks"), Subnet: azureUpTo(target, "subnets"), Interface: azureUpTo(target, "networkinterfaces")}
	err := m.read(e.Value)
	written, errTime := gcpTime(e.Get("time"))
	if err = cmp.Or(e.Parser.Fault(), err, errTime); err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	if len(m.keys) == 0 {
		d.out.Skip()
		return
	}
	for i, key := range m.keys {
		ev := *m.flows[key]
		ev.Record = max(written.At, ev.Time.At)
		ev.Place = event.Place{Account: m.where.Project}
		key = strconv.FormatInt(ev.Time.At, 10) + "|" + key + "|" + ev.Body.(*event.Flow).State
		if i == 0 {
			d.out.Event(ev, []byte(key), rec.Span)
		} else {
			d.out.Beside(ev, []byte(key), rec.Span)
		}
	}
}

func (m *azureMinute) read(v jsonrecord.Value) error {
	var errs error
	each := func(mac string, tuples []string, vnet bool) {
		for _, t := range tuples {
			if err := m.tuple(t, mac, vnet); err != nil && errs == nil {
				errs = fmt.Errorf("tuple %q: %w", clip(t), err)
			}
		}
	}
	for _, rule := range v.Array("properties", "flows") {
		for _, group := range rule.Array("flows") {
			each(cmp.Or(macAddress(group.String("mac")), m.mac), group.Strings("flowTuples"), false)
		}
	}
	for _, acl := range v.Array("flowRecords", "flows") {
		for _, group := range acl.Array("flowGroups") {
			each(m.mac, group.Strings("flowTuples"), true)
		}
	}
	return errs
}

// tuple reads one tuple:
//
//	NSG:  SECONDS,SRC,DST,SPORT,DPORT,T|U,I|O,A|D[,B|C|E,PKTS,BYTES,PKTS,BYTES]
//	VNet: MILLISECONDS,SRC,DST,SPORT,DPORT,PROTOCOL,I|O,B|C|E|D,ENCRYPTION,PKTS,BYTES,PKTS,BYTES
func (m *azureMinute) tuple(s, mac string, vnet bool) error {
	f := strings.Split(s, ",")
	if len(f) < 8 {
		return fmt.Errorf("%d fields, want 8 or more", len(f))
	}
	at, err := azureTime(f[0])
	if err != nil {
		return err
	}
	b := &event.Flow{BytesOut: -1, BytesIn: -1, Answered: true}
	if b.Src, err = vpcEnd(f[1], f[3]); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if b.Dst, err = vpcEnd(f[2], f[4]); err != nil {
		return fmt.Errorf("destination: %w", err)
	}
	counters := f[min(len(f), 9):]
	switch {
	case vnet:
		b.Protocol, b.State = protocol(f[5]), f[7]
		b.Answered = f[7] != "D"
	default:
		b.Protocol = map[string]event.Protocol{"T": "tcp", "U": "udp"}[f[5]]
		b.Answered = f[7] != "D"
		if b.State = f[7]; len(f) > 8 {
			b.State = f[7] + "," + f[8]
		}
	}
	if b.Protocol == "" {
		b.Protocol = event.Protocol(keep(bounded(strings.ToLower(f[5]), 16)))
	}
	b.State = keep(bounded(b.State, 16))
	if len(counters) >= 4 {
		if b.BytesOut, err = azureCount(counters[1]); err != nil {
			return err
		}
		if b.BytesIn, err = azureCount(counters[3]); err != nil {
			return err
		}
	}
	ref := m.where
	ref.MAC = mac
	if f[6] == "I" {
		b.DstVM = &ref
	} else {
		b.SrcVM = &ref
	}
	m.add(b, at, f[6]+"|"+mac)
	return nil
}

// add takes a tuple into the flow that it is of.
func (m *azureMinute) add(b *event.Flow, at event.Time, side string) {
	key := string(b.Protocol) + "|" + b.Src.String() + "|" + b.Dst.String() + "|" + side
	begins := strings.HasSuffix(b.State, "B")
	known := m.flows[key]
	if known == nil || begins && known.Time.At < at.At {
		if known != nil { // the same ports for another connection
			key += "|" + at.String()
		}
		if m.flows[key] == nil {
			m.keys = append(m.keys, key)
			m.flows[key] = &event.Event{Time: at, Body: b}
		}
		return
	}
	f, _ := known.Body.(*event.Flow)
	if at.At < known.Time.At {
		known.Time = at
	}
	if f.End.At < at.At {
		f.End = at
	}
	f.BytesOut, f.BytesIn = plus(f.BytesOut, b.BytesOut), plus(f.BytesIn, b.BytesIn)
	f.Answered = f.Answered && b.Answered
	f.State = b.State
}

// plus adds counters, of which -1 is unknown.
func plus(a, b int64) int64 {
	if a < 0 || b < 0 || a > 1<<62-b {
		return max(a, b)
	}
	return a + b
}

// azureTime reads seconds, or milliseconds where there are 13 digits.
func azureTime(s string) (event.Time, error) {
	if isDigits(s) && len(s) == 13 {
		return event.ParseEpoch(s[:10] + "." + s[10:])
	}
	return parseEpoch(s)
}

func azureCount(s string) (int64, error) {
	if s == "" {
		return -1, nil
	}
	return parseCount(s)
}

// azurePart is the name behind a type in a resource id in lower case.
func azurePart(id, typ string) string {
	_, rest, ok := strings.Cut(id, "/"+typ+"/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// azureUpTo is a resource id in lower case up to the name behind a type.
func azureUpTo(id, typ string) string {
	name := azurePart(id, typ)
	if name == "" {
		return ""
	}
	return id[:strings.Index(id, "/"+typ+"/")] + "/" + typ + "/" + name
}

// macAddress puts colons into an address that Azure prints without.
func macAddress(s string) string {
	if len(s) != 12 {
		return strings.ToLower(strings.ReplaceAll(s, "-", ":"))
	}
	var b strings.Builder
	for i := 0; i < 12; i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(strings.ToLower(s[i : i+2]))
	}
	return b.String()
}

func sniffAzureFlow(head source.Sample) int {
	has := func(s string) bool { return bytes.Contains(head.Data, []byte(s)) }
	switch {
	case !has(`"flowTuples"`) && !has("NetworkSecurityGroupFlowEvent") && !has("FlowLogFlowEvent"):
		return 0
	case head.HasKeys("records") || head.HasKeys("time"):
		return 95
	}
	return 60
}
