// Package gcp reads Google Cloud's audit logs of Compute Engine.
//
// In: log entries with an AuditLog, bare, in arrays, or in Pub/Sub's envelope.
// Out: event.Instance and event.VMImage. The entries of Kubernetes are those of
// package kubernetes.
package gcp

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/envelope"
	"tidewaiter/source/jsonrecord"
)

// Audit is the format (cloud.google.com, "Compute Engine audit logging
// information").
//
// An operation that takes long is recorded twice: when it begins, with what was
// asked for, and when it ends, with almost nothing but how it ended. Both
// records of one input are one event, at the time of the first. Where one of
// them is elsewhere, each is an event of its own; Instance.Call, the
// operation's id, is the same. A beginning without an end is Pending.
func Audit() *source.Format {
	return &source.Format{
		Name:    "gcp-audit",
		Title:   "Google Cloud audit log of Compute Engine (JSON log entries)",
		Source:  event.GCPAudit,
		Framing: source.JSONValues,
		Sniff:   sniff,
		New:     func(out *source.Output) source.Decoder { return &decoder{out: out, join: envelope.NewJoin(out)} },
	}
}

var (
	errNotAudit = errors.New("no log entry with an AuditLog: neither protoPayload, nor an envelope around one")
	errOfKube   = errors.New("a Cloud Audit record of Kubernetes")
	errNoTime   = errors.New("no time: want timestamp")
)

type decoder struct {
	out    *source.Output
	opener envelope.Opener
	join   *envelope.Join
}

// Flush implements source.Decoder: it tells the operations whose end is not
// here.
func (d *decoder) Flush() { d.join.Flush() }

// Decode implements source.Decoder.
func (d *decoder) Decode(rec source.Record) { d.open(rec, 0) }

func (d *decoder) open(rec source.Record, depth int) {
	e, ok := d.opener.Open(d.out, rec, depth)
	if !ok {
		return
	}
	if payload := either(e.Value, "protoPayload"); payload.IsObject() || e.Get("methodName").IsString() {
		if !payload.IsObject() {
			payload = e.Value // without the log entry around it
		}
		d.tell(e, payload)
		return
	}
	fault := e.Parser.Fault()
	switch text := envelope.Text(e.Value); {
	case fault != nil:
		d.out.Unreadable(rec, fault)
	case e.Get("entries").IsArray():
		envelope.Spread(d.out, rec, func(r source.Record) { d.open(r, depth+1) }, "entries")
	case text != "":
		d.open(source.Record{Data: []byte(text), Span: rec.Span}, depth+1)
	case either(e.Value, "logName").IsString() || either(e.Value, "insertId").IsString() || e.Get("severity").IsString():
		d.out.Skip() // an entry of another log
	default:
		d.out.Unreadable(rec, errNotAudit)
	}
}

// either is the value under a key, or under the same in lower case, as some
// stores write it.
func either(v jsonrecord.Value, key string) jsonrecord.Value {
	if w := v.Get(key); w.Exists() {
		return w
	}
	return v.Get(strings.ToLower(key))
}

// tell reads one audit record and accounts for it.
func (d *decoder) tell(e envelope.Opened, payload jsonrecord.Value) {
	c := &call{entry: e.Value, payload: payload, asked: payload.Get("request"), said: payload.Get("response")}
	service := either(payload, "serviceName").String()
	read := methods[methodOf(either(payload, "methodName").String())]
	var body event.Body
	var err error
	switch {
	case service == "k8s.io":
		err = errOfKube
	case service == "compute.googleapis.com" && read != nil:
		if err = c.read(); err == nil {
			body = read(c)
		}
	}
	if err = cmp.Or(e.Parser.Fault(), err); err != nil && read != nil {
		err = fmt.Errorf("%s: %w", clip(payload.String("methodName")), err)
	}
	if d.out.Tells(e.Rec, body, err) {
		d.deliver(c, body, e.Rec)
	}
}

// deliver joins the records of an operation.
func (d *decoder) deliver(c *call, body event.Body, rec source.Record) {
	ev := event.Event{Time: c.at, Record: c.written, Place: c.place, Body: body}
	id := c.operation
	switch {
	case id == "" || c.first == c.last:
		d.out.Event(ev, []byte(cmp.Or(c.insertID, string(rec.Data))), rec.Span)
	case c.first:
		d.join.Hold(&envelope.Held{ID: id, At: max(c.written, c.at.At), Event: ev, Key: id + "|first", Spans: []event.Span{rec.Span}})
	default:
		begun := d.join.Get(id)
		if begun == nil || !ended(begun.Event.Body, body) {
			d.out.Event(ev, []byte(id+"|last"), rec.Span)
			return
		}
		begun.Event.Record = max(begun.Event.Record, c.written, c.at.At)
		begun.Key = id + "|first|last"
		begun.Spans = append(begun.Spans, rec.Span)
		d.join.Tell(begun)
	}
}

// ended takes what an operation's last record says into its first. It is false
// if they are about different things.
func ended(first, last event.Body) bool {
	switch f := first.(type) {
	case *event.Instance:
		l, ok := last.(*event.Instance)
		if ok && l.Action == f.Action {
			f.Pending, f.Failure = false, cmp.Or(f.Failure, l.Failure)
			f.ID, f.Image = cmp.Or(f.ID, l.ID), cmp.Or(f.Image, l.Image)
			return true
		}
	case *event.VMImage:
		l, ok := last.(*event.VMImage)
		if ok && l.Action == f.Action {
			f.Pending, f.Failure = false, cmp.Or(f.Failure, l.Failure)
			return true
		}
	}
	return false
}

// methodOf is a method's resource and verb, without the API's version:
// "instances.insert" of v1.compute.instances.insert.
func methodOf(s string) string {
	parts := strings.Split(s, ".")
	if len(parts) < 3 {
		return ""
	}
	resource, verb := parts[len(parts)-2], parts[len(parts)-1]
	if resource == "" || verb == "" {
		return ""
	}
	return strings.ToLower(resource[:1]) + resource[1:] + "." + strings.ToLower(verb[:1]) + verb[1:]
}

func sniff(head source.Sample) int {
	if !bytes.Contains(head.Data, []byte("rotoPayload")) && !bytes.Contains(head.Data, []byte("rotopayload")) {
		switch {
		case head.HasKeys("message", "subscription"), head.HasKeys("insertid", "logname"), head.HasKeys("insertId", "logName") && bytes.Contains(head.Data, []byte("cloudaudit.googleapis.com")):
			return 50
		case head.HasKeys("methodName") && len(head.Data) < 400:
			return 20
		}
		return 0
	}
	switch {
	case head.HasKeys("protoPayload"), head.HasKeys("protopayload"):
		return 90
	case head.HasKeys("entries"), head.HasKeys("insertId"), head.HasKeys("logName"):
		return 80
	}
	return 40
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
