package kubernetes

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/envelope"
	"tidewaiter/source/jsonrecord"
)

// Events is Kubernetes Events: core/v1, and events.k8s.io v1 and v1beta1, bare,
// in a list, as a watch sends them, and as collectors wrap them. Only those
// about pods are told.
func Events() *source.Format {
	return &source.Format{
		Name:    "k8s-events",
		Title:   "Kubernetes Events (kubectl get events -o json, and watches)",
		Source:  event.KubeEvents,
		Framing: source.JSONValues,
		Sniff:   sniffEvents,
		New:     func(out *source.Output) source.Decoder { return &eventsDecoder{out: out} },
	}
}

var (
	errNotEvent = errors.New("no Kubernetes Event: neither involvedObject nor regarding, nor an envelope around them")
	errBadCount = errors.New("count is no number of occurrences")
)

type eventsDecoder struct {
	out    *source.Output
	nested envelope.Opener
	refs   image.Parser
}

// Decode implements source.Decoder.
func (d *eventsDecoder) Decode(rec source.Record) { d.open(rec, 0) }

// Flush implements source.Decoder; nothing is held back.
func (d *eventsDecoder) Flush() {}

// open decodes a record, or what is in the envelope that it is.
func (d *eventsDecoder) open(rec source.Record, depth int) {
	e, ok := d.nested.Open(d.out, rec, depth)
	switch {
	case !ok:
	case isKubeEvent(e.Value):
		d.tell(e, e.Value)
	case e.Get("items").IsArray() && e.Parser.Fault() == nil && !envelope.InText(rec):
		envelope.Spread(d.out, rec, func(r source.Record) { d.open(r, depth+1) }, "items")
	case endsWatch(e.Value):
		d.out.Skip()
	default:
		d.unwrap(e)
	}
}

// isKubeEvent knows an Event by what it is about. Some collectors keep too
// little to tell that.
func isKubeEvent(v jsonrecord.Value) bool {
	if v.Get("involvedObject").IsObject() || v.Get("regarding").IsObject() {
		return true
	}
	return v.Get("reason").IsString() && v.Get("message").IsString() && (v.Get("lastTimestamp").Exists() || v.Get("eventTime").Exists())
}

// endsWatch reports whether a watch tells that an Event ran out, or tells of
// itself.
func endsWatch(v jsonrecord.Value) bool {
	if !v.Get("object").IsObject() {
		return false
	}
	switch v.String("type") {
	case "DELETED", "BOOKMARK", "ERROR":
		return true
	}
	return false
}

// unwrap looks for the Event inside a watch's notice or a collector's record.
func (d *eventsDecoder) unwrap(e envelope.Opened) {
	for _, path := range [][]string{{"object"}, {"event"}, {"jsonPayload"}} {
		if inner := e.Get(path...); isKubeEvent(inner) {
			labels := e.Get("resource", "labels")
			e.Place = event.Place{Account: labels.String("project_id"), Region: labels.String("location"), Cluster: labels.String("cluster_name")}
			d.tell(e, inner)
			return
		}
	}
	if beat := e.Get("kubernetes", "event"); beat.Get("involved_object").IsObject() {
		d.tell(e, beat)
		return
	}
	for _, key := range []string{"message", "log"} {
		if text := strings.TrimSpace(e.String(key)); strings.HasPrefix(text, "{") {
			d.open(source.Record{Data: []byte(text), Span: e.Rec.Span}, e.Depth+1)
			return
		}
	}
	d.out.Unreadable(e.Rec, cmp.Or(e.Parser.Fault(), errNotEvent))
}

// tell reads one Event and accounts for its record.
func (d *eventsDecoder) tell(in envelope.Opened, v jsonrecord.Value) {
	e, key, err := d.read(v)
	if fault := in.Parser.Fault(); fault != nil {
		err = fault
	}
	if d.out.Tells(in.Rec, e.Body, err) {
		e.Place = in.Place
		d.out.Event(e, []byte(cmp.Or(key, string(in.Rec.Data))), in.Rec.Span)
	}
}

// first gives the first of keys that is there and not null.
func first(v jsonrecord.Value, keys ...string) jsonrecord.Value {
	for _, key := range keys {
		if w := v.Get(strings.Split(key, ".")...); !w.IsNull() {
			return w
		}
	}
	return jsonrecord.Value{}
}

// The names of the same thing in core/v1, in events.k8s.io, and in Metricbeat.
var (
	beginKeys = []string{"eventTime", "firstTimestamp", "deprecatedFirstTimestamp", "timestamp.first_occurrence",
		"lastTimestamp", "deprecatedLastTimestamp", "timestamp.last_occurrence", "metadata.creationTimestamp"}
	lastKeys  = []string{"series.lastObservedTime", "lastTimestamp", "deprecatedLastTimestamp", "timestamp.last_occurrence"}
	countKeys = []string{"series.count", "count", "deprecatedCount"}
)

// read gives no body for what is not about a pod. The key is the Event's uid
// with its count and its last time: the same Event told again is one, and each
// repetition that was recorded is another. Its resourceVersion is no part of
// it, because that also moves when only its metadata is written.
func (d *eventsDecoder) read(v jsonrecord.Value) (event.Event, string, error) {
	at, err := d.begin(v)
	if err != nil {
		return event.Event{}, "", err
	}
	about := first(v, "involvedObject", "regarding", "involved_object")
	if about.String("kind") != "Pod" {
		return event.Event{}, "", nil
	}
	last, err := statedTime(first(v, lastKeys...))
	if err != nil {
		return event.Event{}, "", fmt.Errorf("last time: %w", err)
	}
	count, err := occurrences(first(v, countKeys...))
	if err != nil {
		return event.Event{}, "", err
	}
	if last.At < at.At {
		last = at
	}
	b := &event.KubeEvent{
		Object:  event.ObjectRef{Kind: "Pod", Namespace: about.String("namespace"), Name: about.String("name"), UID: about.String("uid")},
		Reason:  v.String("reason"),
		Message: shorten(first(v, "message", "note").String()),
		Count:   count,
		Last:    last,
	}
	b.Container, b.ContainerKind = fieldContainer(first(about, "fieldPath", "field_path").String())
	b.Image, b.Present = messageImage(b.Reason, b.Message, &d.refs)
	b.Node = eventNode(v, b)
	e := event.Event{Time: at, Body: b}
	if last.At > at.At {
		e.Record = last.At
	}
	key := v.String("metadata", "uid")
	if key != "" {
		key = fmt.Sprint(key, "|", count, "|", last.At)
	}
	return e, key, nil
}

// begin is when it happened first. Since events.k8s.io that is told to the
// microsecond; before, to the second.
func (d *eventsDecoder) begin(v jsonrecord.Value) (event.Time, error) {
	for _, key := range beginKeys {
		at, err := statedTime(first(v, key))
		if err != nil {
			return event.Time{}, fmt.Errorf("%s: %w", key, err)
		}
		if !at.IsZero() {
			return at, nil
		}
	}
	return event.Time{}, fmt.Errorf("%w: want eventTime, firstTimestamp, lastTimestamp or metadata.creationTimestamp", errNoTime)
}

// maxCount is the largest count that the API holds: 32 bits.
const maxCount = 1<<31 - 1

func occurrences(v jsonrecord.Value) (int, error) {
	if v.IsNull() {
		return 1, nil
	}
	n, ok := v.Int()
	if !ok || n < 0 || n > maxCount {
		return 0, errBadCount
	}
	return max(int(n), 1), nil
}

// eventNode is the node that the kubelet speaks for, or that the scheduler
// chose.
func eventNode(v jsonrecord.Value, b *event.KubeEvent) string {
	if host := first(v, "source.host", "deprecatedSource.host").String(); host != "" {
		return host
	}
	if first(v, "reportingComponent", "reportingController").String() == "kubelet" {
		return v.String("reportingInstance")
	}
	if b.Reason == "Scheduled" {
		if rest, ok := strings.CutPrefix(b.Message, "Successfully assigned "); ok {
			if _, node, ok := strings.Cut(rest, " to "); ok {
				return node
			}
		}
	}
	return ""
}

// fieldContainer reads spec.containers{name} and its like.
func fieldContainer(path string) (name string, kind event.ContainerKind) {
	field, rest, ok := strings.Cut(path, "{")
	name, whole := strings.CutSuffix(rest, "}")
	if !ok || !whole {
		return "", ""
	}
	switch field {
	case "spec.containers":
		return name, event.MainContainer
	case "spec.initContainers":
		return name, event.InitContainer
	case "spec.ephemeralContainers":
		return name, event.EphemeralContainer
	}
	return "", ""
}

// sniffEvents knows an Event by what it is about, also inside an envelope.
func sniffEvents(head source.Sample) int {
	has := func(s string) bool { return bytes.Contains(head.Data, []byte(s)) }
	switch {
	case head.HasKeys("involvedObject") || head.HasKeys("regarding"):
		return 95
	case !has("reason"):
		return 0
	case head.HasKeys("items"):
		if has(`"involvedObject"`) || has(`"regarding"`) || has(`"lastTimestamp"`) {
			return 85
		}
	case head.HasKeys("object") || head.HasKeys("event") || head.HasKeys("jsonPayload") || head.HasKeys("kubernetes"):
		if has(`"involvedObject"`) || has(`"regarding"`) || has(`"involved_object"`) {
			return 85
		}
	case head.HasKeys("message") || head.HasKeys("log"):
		if has(`\"involvedObject\"`) || has(`\"regarding\"`) {
			return 75
		}
	}
	return 0
}
