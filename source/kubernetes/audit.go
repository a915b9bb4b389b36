package kubernetes

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/envelope"
	"tidewaiter/source/jsonrecord"
)

// Audit is the API server's audit log: audit.k8s.io v1 and v1beta1, as its log
// and webhook back ends write it (kubernetes.io, "Auditing"), and as EKS, GKE,
// AKS and log shippers wrap it.
//
// One request is recorded at several stages. ResponseComplete is what counts;
// of the requests that last, which reach into a pod, ResponseStarted counts
// too, under the same id. RequestReceived and Panic say nothing of what was
// done and are skipped, and so are requests for a dry run.
func Audit() *source.Format {
	return &source.Format{
		Name:    "k8s-audit",
		Title:   "Kubernetes audit log (audit.k8s.io; EKS, GKE and AKS envelopes)",
		Source:  event.KubeAudit,
		Framing: source.JSONValues,
		Sniff:   sniffAudit,
		New:     func(out *source.Output) source.Decoder { return &auditDecoder{out: out} },
	}
}

var (
	errNotAudit    = errors.New("no audit record: neither auditID and stage, nor an envelope around them")
	errNoStage     = errors.New("audit record without a stage")
	errNotOfKube   = errors.New("a Cloud Audit record of another service than k8s.io")
	errNoAuditVerb = errors.New("audit record without a verb")
)

type auditDecoder struct {
	out    *source.Output
	nested envelope.Opener
	refs   image.Parser
	key    []byte
}

// Decode implements source.Decoder.
func (d *auditDecoder) Decode(rec source.Record) {
	d.open(withoutPrefix(rec), event.Place{}, 0)
}

// Flush implements source.Decoder; nothing is held back.
func (d *auditDecoder) Flush() {}

// withoutPrefix cuts what a log daemon wrote before a record.
func withoutPrefix(rec source.Record) source.Record {
	if len(rec.Data) == 0 || rec.Data[0] == '{' {
		return rec
	}
	if i := bytes.IndexByte(rec.Data, '{'); i > 0 && bytes.Contains(rec.Data[i:], []byte("auditID")) {
		rec.Data = rec.Data[i:]
		rec.Offset += int64(i)
		rec.Length -= i
	}
	return rec
}

// open decodes a record, or what is in the envelope that it is. depth counts
// the envelopes that are open around it.
func (d *auditDecoder) open(rec source.Record, place event.Place, depth int) {
	e, ok := d.nested.Open(d.out, rec, depth)
	e.Place = place
	switch {
	case !ok:
	case e.Get("auditID").IsString():
		d.native(rec, e.Value, place, e.Parser)
	case e.Get("protoPayload").IsObject():
		d.cloudAudit(rec, e.Value, e.Parser)
	default:
		d.unwrap(e)
	}
}

// lists are the keys under which envelopes hold records.
var lists = []string{"items", "logEvents", "events", "records", "entries"}

// texts are the keys under which envelopes hold one record as text, or parsed.
var texts = [][]string{
	{"message"}, {"@message"}, {"log"}, {"properties", "log"}, {"log_s"}, {"json"}, {"kubernetes", "audit"}, {"event", "original"},
}

// unwrap opens what a cloud or a log shipper put around records.
func (d *auditDecoder) unwrap(e envelope.Opened) {
	place := envelopePlace(e.Value).Or(e.Place)
	key := listKey(e.Value)
	inner, text := inside(e.Value)
	skip := otherLog(e.Value)
	err := e.Parser.Fault()
	switch {
	case err != nil:
	case key != "":
		envelope.Spread(d.out, e.Rec, func(r source.Record) { d.open(r, place, e.Depth+1) }, key)
		return
	case inner.Exists():
		d.native(e.Rec, inner, place, e.Parser)
		return
	case strings.HasPrefix(text, "{"):
		d.open(source.Record{Data: []byte(text), Span: e.Rec.Span}, place, e.Depth+1)
		return
	case skip || text != "" && place.Cluster != "":
		d.out.Skip() // another component's line in the same stream
		return
	default:
		err = errNotAudit
	}
	d.out.Unreadable(e.Rec, err)
}

// listKey is the key under which an envelope holds a list, "" if none.
func listKey(v jsonrecord.Value) string {
	for _, key := range lists {
		if v.Get(key).IsArray() {
			return key
		}
	}
	return ""
}

// inside finds the one record that an envelope holds: parsed, or as text.
func inside(v jsonrecord.Value) (inner jsonrecord.Value, text string) {
	for _, path := range texts {
		switch w := v.Get(path...); {
		case w.IsString():
			return jsonrecord.Value{}, strings.TrimSpace(w.String())
		case w.Get("auditID").IsString():
			return w, ""
		}
	}
	return jsonrecord.Value{}, ""
}

// otherLog reports whether an envelope says that it holds another log of the
// control plane, or none: EKS and AKS send several through one pipe.
func otherLog(v jsonrecord.Value) bool {
	if v.String("messageType") == "CONTROL_MESSAGE" {
		return true
	}
	category := v.String("category")
	return category != "" && !strings.HasPrefix(category, "kube-audit")
}

// native reads one audit record.
func (d *auditDecoder) native(rec source.Record, v jsonrecord.Value, place event.Place, parser *jsonrecord.Parser) {
	r := request{refs: &d.refs, place: place}
	d.tell(rec, &r, r.read(v), parser)
}

// cloudAudit reads one log entry of GKE.
func (d *auditDecoder) cloudAudit(rec source.Record, v jsonrecord.Value, parser *jsonrecord.Parser) {
	r := request{refs: &d.refs}
	d.tell(rec, &r, r.readCloudAudit(v), parser)
}

// tell says what a request was about, and accounts for its record.
func (d *auditDecoder) tell(rec source.Record, r *request, err error, parser *jsonrecord.Parser) {
	var e event.Event
	if err == nil && r.counts() {
		e, err = r.event()
	}
	if fault := parser.Fault(); fault != nil {
		err = fault // not to be trusted, whatever else is wrong
	}
	d.deliver(rec, r, e, err)
}

// deliver accounts for one record.
func (d *auditDecoder) deliver(rec source.Record, r *request, e event.Event, err error) {
	if err != nil {
		err = fmt.Errorf("audit record %q: %w", clip(r.id), err)
	}
	if d.out.Tells(rec, e.Body, err) {
		e.Place = e.Place.Or(r.place)
		d.key = r.key(d.key[:0], e.Body)
		d.out.Event(e, d.key, rec.Span)
	}
}

// auditMarks are words of which every form has one. They are looked for first:
// taking a sample apart costs more.
var auditMarks = []string{"auditID", "kube-apiserver-audit", `"kube-audit`, `"k8s.io"`}

// sniffAudit knows a bare record by its keys and an envelope by the same keys
// in what it holds.
func sniffAudit(head source.Sample) int {
	marked := false
	for _, mark := range auditMarks {
		marked = marked || bytes.Contains(head.Data, []byte(mark))
	}
	switch {
	case !marked:
		return 0
	case head.HasKeys("auditID", "level") || head.HasKeys("auditID", "stage"):
		return 95
	case head.HasKeys("protoPayload"):
		// The audit logs of other Google services differ only in the service.
		_, rest, _ := bytes.Cut(head.Data, []byte(`"serviceName"`))
		if bytes.HasPrefix(bytes.TrimLeft(rest, ": \t\r\n"), []byte(`"k8s.io"`)) {
			return 92
		}
		return 0
	}
	for _, key := range lists {
		if head.HasKeys(key) {
			return 90
		}
	}
	for _, path := range texts {
		if last := path[len(path)-1]; head.HasKeys(path[0]) && bytes.Contains(head.Data, []byte(`"`+last+`"`)) {
			return 80
		}
	}
	prefixed := func(line []byte) bool { return bytes.Contains(line, []byte(`"auditID":"`)) }
	if head.Share(prefixed) > 50 {
		return 60
	}
	return 0
}
