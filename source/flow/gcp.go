package flow

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/envelope"
	"tidewaiter/source/jsonrecord"
)

// GCPFlow is Google Cloud's VPC flow log: log entries of compute.googleapis.com
// or networkmanagement.googleapis.com (cloud.google.com, "VPC Flow Logs record
// format"), bare, in arrays, and in Pub/Sub's envelope. A record is one
// direction of a connection in an interval; ports tell who began it. It names
// the machines at its ends, and in GKE the pods.
func GCPFlow() *source.Format {
	return &source.Format{
		Name:    "gcp-vpcflow",
		Title:   "Google Cloud VPC flow log (JSON log entries)",
		Source:  event.GCPFlow,
		Framing: source.JSONValues,
		Sniff:   sniffGCPFlow,
		New:     func(out *source.Output) source.Decoder { return &gcpFlowDecoder{out: out} },
	}
}

var errNotGCPFlow = errors.New("not a VPC flow log entry: no jsonPayload.connection, and no envelope around one")

type gcpFlowDecoder struct {
	out    *source.Output
	opener envelope.Opener
}

// Flush implements source.Decoder; nothing is held back.
func (d *gcpFlowDecoder) Flush() {}

// Decode implements source.Decoder.
func (d *gcpFlowDecoder) Decode(rec source.Record) { d.open(rec, 0) }

func (d *gcpFlowDecoder) open(rec source.Record, depth int) {
	e, ok := d.opener.Open(d.out, rec, depth)
	if !ok {
		return
	}
	payload := e.Get("jsonPayload")
	if !payload.Get("connection").IsObject() {
		switch text := envelope.Text(e.Value); {
		case text != "" && e.Parser.Fault() == nil:
			d.open(source.Record{Data: []byte(text), Span: rec.Span}, depth+1)
		case e.Get("logName").IsString() || e.Get("resource", "type").IsString():
			d.out.Tells(rec, nil, e.Parser.Fault()) // another log's entry
		default:
			d.out.Unreadable(rec, cmp.Or(e.Parser.Fault(), errNotGCPFlow))
		}
		return
	}
	ev, err := gcpFlow(e.Value, payload)
	if err = cmp.Or(e.Parser.Fault(), err); err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	f, _ := ev.Body.(*event.Flow)
	key := cmp.Or(e.String("insertId"), string(rec.Data))
	if isReply(f.Protocol, f.Src, f.Dst, -1) {
		turned(f)
	}
	d.out.Event(ev, []byte(key), rec.Span)
}

func gcpFlow(v, payload jsonrecord.Value) (event.Event, error) {
	conn := payload.Get("connection")
	f := &event.Flow{BytesOut: -1, BytesIn: -1, Answered: true, Protocol: protocol(conn.Number("protocol"))}
	e := event.Event{Body: f}
	var err error
	if f.Src, err = gcpEnd(conn, "src_ip", "src_port"); err != nil {
		return e, err
	}
	if f.Dst, err = gcpEnd(conn, "dest_ip", "dest_port"); err != nil {
		return e, err
	}
	if n, ok := payload.Int("bytes_sent"); ok && n >= 0 {
		f.BytesOut = n
	}
	if e.Time, err = gcpTime(payload.Get("start_time")); err != nil {
		return e, fmt.Errorf("start_time: %w", err)
	}
	if f.End, err = gcpTime(payload.Get("end_time")); err != nil {
		return e, fmt.Errorf("end_time: %w", err)
	}
	if f.End.At < e.Time.At {
		f.End = event.Time{}
	}
	written, err := gcpTime(v.Get("timestamp"))
	if err != nil {
		return e, fmt.Errorf("timestamp: %w", err)
	}
	e.Record = max(written.At, f.End.At, e.Time.At)
	if e.Record == 0 {
		return e, errors.New("no time: want start_time")
	}
	f.State = keep(bounded(payload.String("reporter"), 16))
	f.SrcVM, f.SrcPod = gcpVM(payload, "src")
	f.DstVM, f.DstPod = gcpVM(payload, "dest")
	labels := v.Get("resource", "labels")
	e.Place = event.Place{Account: labels.String("project_id"), Region: gcpRegion(labels.String("location"))}
	return e, nil
}

func gcpEnd(conn jsonrecord.Value, host, port string) (netip.AddrPort, error) {
	a, err := parseAddr(conn.String(host))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%s: %w", host, err)
	}
	var n uint16
	if p := conn.Number(port); p != "" {
		if n, err = parsePort(p); err != nil {
			return netip.AddrPort{}, fmt.Errorf("%s: %w", port, err)
		}
	}
	return netip.AddrPortFrom(a, n), nil
}

func gcpTime(v jsonrecord.Value) (event.Time, error) {
	if v.IsNull() {
		return event.Time{}, nil
	}
	return event.ParseRFC3339(v.String())
}

// gcpRegion is the region of a zone: "us-central1" of "us-central1-a".
func gcpRegion(zone string) string {
	if strings.Count(zone, "-") == 2 {
		zone = zone[:strings.LastIndexByte(zone, '-')]
	}
	return zone
}

// gcpVM is the machine at one end, and the pod in it.
func gcpVM(payload jsonrecord.Value, end string) (*event.VMRef, *event.PodRef) {
	vm, net := payload.Get(end+"_instance"), payload.Get(end+"_vpc")
	ref := event.VMRef{
		Name: vm.String("vm_name"), Project: cmp.Or(vm.String("project_id"), net.String("project_id")), Zone: vm.String("zone"),
		Network: net.String("vpc_name"), Subnet: net.String("subnetwork_name"),
	}
	pod := payload.Get(end+"_gke_details", "pod")
	of := event.PodRef{Namespace: pod.String("pod_namespace"), Pod: pod.String("pod_name")}.Told()
	if ref.IsZero() {
		return nil, of
	}
	return &ref, of
}

func sniffGCPFlow(head source.Sample) int {
	switch {
	case !bytes.Contains(head.Data, []byte("vpc_flows")):
		return 0
	case head.HasKeys("jsonPayload"), head.HasKeys("logName"), head.HasKeys("insertId"):
		return 92
	}
	return 70
}
