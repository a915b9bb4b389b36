// Package azure reads Azure's activity log: who did what to virtual machines,
// scale sets, their images, extensions and network interfaces.
//
// In: records of a diagnostic setting, of the REST API and the az command, of
// Log Analytics, of Event Grid and of Filebeat, bare or in lists. Out:
// event.Instance and event.VMImage.
package azure

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/envelope"
	"tidewaiter/source/jsonrecord"
)

// Activity is the format (learn.microsoft.com, "Azure Activity Log event
// schema").
//
// One act is told up to three times or more: when it starts, when it is
// accepted, which is when what was asked for is told, and when it ends. The
// records of one input are one event, at the time of the first; where some are
// elsewhere, there are several events with the same correlation id as Call. An
// act whose end is not here is Pending.
//
// Every change of a machine is a write. It is a launch where a record says that
// something was created, and an update else.
func Activity() *source.Format {
	return &source.Format{
		Name:    "azure-activity",
		Title:   "Azure activity log (JSON)",
		Source:  event.Azure,
		Framing: source.JSONLists,
		Sniff:   sniff,
		New:     func(out *source.Output) source.Decoder { return &decoder{out: out, join: envelope.NewJoin(out)} },
	}
}

var (
	errNotActivity = errors.New("no record of Azure's activity log: no operation name, and no envelope around one")
	errNoTime      = errors.New("no time: want time, eventTimestamp or TimeGenerated")
)

type decoder struct {
	out    *source.Output
	opener envelope.Opener
	bodies [3]jsonrecord.Parser // of properties, responseBody and requestBody that are text
	join   *envelope.Join
}

// Flush implements source.Decoder: it tells the acts of which records are
// missing.
func (d *decoder) Flush() { d.join.Flush() }

// Decode implements source.Decoder.
func (d *decoder) Decode(rec source.Record) { d.open(rec, 0) }

func (d *decoder) open(rec source.Record, depth int) {
	e, ok := d.opener.Open(d.out, rec, depth)
	if !ok {
		return
	}
	f := fieldsOf(e.Value)
	fault := cmp.Or(e.Parser.Fault(), f.twice)
	text := envelope.Text(e.Value)
	switch {
	case fault != nil:
		d.out.Unreadable(rec, fault)
	case f.text("operationname", "operationnamevalue") != "":
		d.tell(e, f)
	case e.Get("records").IsArray():
		envelope.Spread(d.out, rec, func(r source.Record) { d.open(r, depth+1) }, "records")
	case e.Get("value").IsArray():
		envelope.Spread(d.out, rec, func(r source.Record) { d.open(r, depth+1) }, "value")
	case text != "":
		d.open(source.Record{Data: []byte(text), Span: rec.Span}, depth+1)
	case f.text("category") != "" || f.text("eventtype") != "":
		d.out.Skip() // another log in the same stream
	default:
		d.out.Unreadable(rec, errNotActivity)
	}
}

// tell reads one record and accounts for it.
func (d *decoder) tell(e envelope.Opened, f fields) {
	c := &call{fields: f}
	read := c.find()
	if read == nil {
		d.out.Tells(e.Rec, nil, e.Parser.Fault())
		return
	}
	for i := range d.bodies {
		if _, err := d.bodies[i].Parse([]byte("{}")); err != nil { // forgets the faults of records before
			d.out.Unreadable(e.Rec, err)
			return
		}
	}
	err := c.read(d)
	var body event.Body
	if err == nil {
		body = read(c)
	}
	for _, p := range []*jsonrecord.Parser{e.Parser, &d.bodies[0], &d.bodies[1], &d.bodies[2]} {
		err = cmp.Or(p.Fault(), err)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", clip(c.operation), err)
	}
	if d.out.Tells(e.Rec, body, err) {
		d.deliver(c, body, e.Rec)
	}
}

// deliver joins the records of an act. Lists of the az command run backwards.
func (d *decoder) deliver(c *call, body event.Body, rec source.Record) {
	ev := event.Event{Time: c.at, Record: c.at.At, Place: c.place, Body: body}
	if c.correlation == "" {
		d.out.Event(ev, rec.Data, rec.Span)
		return
	}
	id := c.correlation + "|" + c.operation + "|" + c.resource
	h := d.join.Get(id)
	if h == nil || slices.Contains(h.Steps, c.step) && c.step != accepted {
		h = &envelope.Held{ID: id, At: c.at.At, Key: id, Event: ev}
		d.join.Hold(h)
	} else {
		merge(h.Event.Body, body)
		h.At = max(h.At, c.at.At)
		h.Event.Record = max(h.Event.Record, c.at.At)
		if c.at.At < h.Event.Time.At {
			h.Event.Time = c.at
		}
	}
	h.Steps = append(h.Steps, c.step)
	h.Key += "|" + c.step + c.at.String()
	h.Spans = append(h.Spans, rec.Span)
	if slices.Contains(h.Steps, started) && slices.Contains(h.Steps, finished) || len(h.Steps) >= maxSteps {
		d.join.Tell(h)
	}
}

// maxSteps bounds the records of one act.
const maxSteps = 64

func sniff(head source.Sample) int {
	low := bytes.ToLower(head.Data)
	has := func(s string) bool { return bytes.Contains(low, []byte(s)) }
	if !has(`"operationname`) && !has(`"operation_name"`) || has(`"kube-audit`) || has("kube-apiserver") {
		return 0
	}
	switch activity := has("microsoft.") || has("/providers/") || has("/subscriptions/"); {
	case head.HasKeys("operationName", "resourceId"), head.HasKeys("operationName", "correlationId"), head.HasKeys("OperationNameValue"), head.HasKeys("operation_name"):
		return 85
	case activity && (head.HasKeys("records") || head.HasKeys("value") || head.HasKeys("data") || head.HasKeys("azure") || head.HasKeys("message")):
		return 75
	case activity && (head.HasKeys("RoleLocation") || head.HasKeys("authorization") || head.HasKeys("caller") || head.HasKeys("time") || head.HasKeys("correlationId") || head.HasKeys("claims")):
		return 70
	case head.HasKeys("operationName", "callerIpAddress"), head.HasKeys("operationName", "time"):
		return 50
	}
	return 0
}

func clip(s string) string {
	if len(s) > 96 {
		return s[:96] + "…"
	}
	return s
}
