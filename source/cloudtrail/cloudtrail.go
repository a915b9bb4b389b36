// Package cloudtrail reads what AWS tells of virtual machines and their images:
// CloudTrail's records, and what Amazon EC2's API answers when it is asked.
//
// In: CloudTrail's files, EventBridge's and CloudWatch's envelopes, the output of
// lookup-events, and of describe-images, describe-instances and
// describe-instance-image-metadata. Out: event.Instance, one for each machine
// that a call was about, and event.VMImage.
package cloudtrail

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

// Trail is CloudTrail's log (docs.aws.amazon.com, "CloudTrail record
// contents"). Calls that failed, or were meant to change nothing, are attempts.
// Digest files and Insights tell nothing of machines and are skipped, as are
// most calls.
func Trail() *source.Format {
	return &source.Format{
		Name:    "cloudtrail",
		Title:   "AWS CloudTrail (files, lookup-events, EventBridge)",
		Source:  event.CloudTrail,
		Framing: source.JSONLists,
		Sniff:   sniffTrail,
		New:     func(out *source.Output) source.Decoder { return &decoder{out: out} },
	}
}

var (
	errNotTrail = errors.New("no CloudTrail record: neither eventName and eventSource, nor an envelope around them")
	errNoTime   = errors.New("no time: want eventTime")
)

type decoder struct {
	out    *source.Output
	opener envelope.Opener
	texts  [2]jsonrecord.Parser // of parameters and answers that Athena prints as text
}

// Flush implements source.Decoder; nothing is held back.
func (d *decoder) Flush() {}

// Decode implements source.Decoder.
func (d *decoder) Decode(rec source.Record) { d.open(rec, 0) }

// lists are the keys under which envelopes hold records: CloudTrail's own
// files, lookup-events, CloudWatch.
var lists = []string{"Records", "Events", "logEvents"}

// texts are the keys under which envelopes hold one record as text.
var texts = []string{"CloudTrailEvent", "message", "@message", "Message"}

// objects are the keys under which envelopes hold one record as it is:
// EventBridge, and Wazuh.
var objects = [][]string{{"detail"}, {"aws"}, {"data", "aws"}}

// open decodes a record, or what is in the envelope that it is.
func (d *decoder) open(rec source.Record, depth int) {
	e, ok := d.opener.Open(d.out, rec, depth)
	switch {
	case !ok:
	case isCall(e.Value):
		d.tell(rec, e.Value, e.Parser)
	case otherRecord(e.Value):
		d.skip(e)
	default:
		d.unwrap(e)
	}
}

// skip counts a record of another kind.
func (d *decoder) skip(e envelope.Opened) {
	if err := e.Parser.Fault(); err != nil {
		d.out.Unreadable(e.Rec, err)
		return
	}
	d.out.Skip()
}

func (d *decoder) unwrap(e envelope.Opened) {
	for _, key := range lists {
		if e.Get(key).IsArray() && e.Parser.Fault() == nil {
			envelope.Spread(d.out, e.Rec, func(r source.Record) { d.open(r, e.Depth+1) }, key)
			return
		}
	}
	for _, path := range objects {
		switch inner := e.Get(path...); {
		case isCall(inner):
			d.tell(e.Rec, inner, e.Parser)
			return
		case inner.IsObject() && e.Get("detail-type").IsString():
			d.skip(e) // another event of EventBridge
			return
		}
	}
	for _, key := range texts {
		if text := strings.TrimSpace(e.String(key)); strings.HasPrefix(text, "{") && e.Parser.Fault() == nil {
			d.open(source.Record{Data: []byte(text), Span: e.Rec.Span}, e.Depth+1)
			return
		}
	}
	d.out.Unreadable(e.Rec, cmp.Or(e.Parser.Fault(), errNotTrail))
}

// isCall knows a record of CloudTrail, also as Athena prints it: all keys in
// lower case.
func isCall(v jsonrecord.Value) bool {
	return text(v, "eventName") != "" && (text(v, "eventSource") != "" || text(v, "eventType") != "" || text(v, "eventVersion") != "")
}

// otherRecord knows what lies beside CloudTrail's records: digests, Insights,
// and the notices that a file has come.
func otherRecord(v jsonrecord.Value) bool {
	switch {
	case v.Get("digestStartTime").Exists() && v.Get("logFiles").IsArray(),
		v.Get("insightDetails").IsObject() || v.String("eventCategory") == "Insight" || v.String("eventType") == "AwsCloudTrailInsight",
		v.Get("s3Bucket").IsString() && v.Get("s3ObjectKey").Exists(),
		v.String("messageType") == "CONTROL_MESSAGE":
		return true
	}
	return false
}

// text is the string under a key, or under the same in lower case.
func text(v jsonrecord.Value, key string) string {
	if s := v.String(key); s != "" {
		return s
	}
	return v.String(strings.ToLower(key))
}

// tell reads one call and accounts for its record.
func (d *decoder) tell(rec source.Record, v jsonrecord.Value, parser *jsonrecord.Parser) {
	c := &call{v: v, name: text(v, "eventName")}
	read := calls[text(v, "eventSource")][c.name]
	if read == nil || otherRecord(v) {
		d.out.Tells(rec, nil, parser.Fault())
		return
	}
	key := cmp.Or(text(v, "eventID"), text(v, "requestID"))
	if key == "" {
		key = string(rec.Data)
	}
	err := c.read(d)
	var bodies []event.Body
	if err == nil {
		bodies = read(c)
	}
	for _, p := range []*jsonrecord.Parser{parser, &d.texts[0], &d.texts[1]} {
		if fault := p.Fault(); fault != nil {
			err = fault // not to be trusted, whatever else is wrong
		}
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", clip(c.name), err)
	}
	if err != nil || len(bodies) == 0 {
		d.out.Tells(rec, nil, err)
		return
	}
	for i, body := range bodies {
		e := event.Event{Time: c.at, Place: c.place, Body: body}
		if i == 0 {
			d.out.Event(e, []byte(key), rec.Span)
		} else {
			d.out.Beside(e, []byte(key+"/"+strconv.Itoa(i)), rec.Span)
		}
	}
}

// sniffTrail knows a record by its keys, and an envelope by the same keys in
// what it holds.
func sniffTrail(head source.Sample) int {
	lower := bytes.Contains(head.Data, []byte("eventsource")) && bytes.Contains(head.Data, []byte("eventname"))
	if !lower && !(bytes.Contains(head.Data, []byte("eventSource")) && bytes.Contains(head.Data, []byte("eventName"))) {
		switch {
		case head.HasKeys("digestS3Bucket") || head.HasKeys("digestStartTime", "awsAccountId"):
			return 90
		case bytes.Contains(head.Data, []byte("AwsCloudTrailInsight")):
			return 85
		case bytes.Contains(head.Data, []byte(`"eventVersion"`)) && head.HasKeys("eventName", "eventVersion"):
			return 60
		}
		return 0
	}
	switch {
	case head.HasKeys("CloudTrailEvent"), head.HasKeys("eventName", "eventSource"), head.HasKeys("eventname", "eventsource"):
		return 95
	case head.HasKeys("Records"), head.HasKeys("Events"), head.HasKeys("detail-type", "detail"):
		return 92
	case head.HasKeys("eventVersion"), head.HasKeys("userIdentity"), head.HasKeys("awsRegion"), head.HasKeys("requestParameters"):
		return 70 // cut off before the other keys
	}
	for _, key := range []string{"logEvents", "message", "@message", "Message", "aws", "data", "integration"} {
		if head.HasKeys(key) {
			return 75
		}
	}
	return 0
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
