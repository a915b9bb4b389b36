// Package otlp sends findings as log records of OpenTelemetry, by OTLP/HTTP.
//
// In: notices. Out: requests to /v1/logs, as protobuf or JSON.
package otlp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/post"
)

// DefaultMax is the longest tidewaiter.ocsf in bytes unless set.
const DefaultMax = 256 << 10

// Options say where to and how.
type Options struct {
	// HTTP is about the collector; a URL without a path gets /v1/logs.
	HTTP post.Options
	// JSON sends JSON in place of protobuf.
	JSON bool
	// OCSF adds the OCSF Detection Finding as text, the attribute
	// tidewaiter.ocsf; Limit is what it holds, DefaultMax bytes if it says
	// nothing.
	OCSF  bool
	Limit ocsf.Limit
}

// OTLP is a sink. Safe for concurrent use.
type OTLP struct {
	opt    Options
	client *post.Client
}

// Open checks the options; nothing is sent.
func Open(opt Options) (*OTLP, error) {
	if u, err := url.Parse(opt.HTTP.URL); err == nil && (u.Path == "" || u.Path == "/") {
		u.Path = "/v1/logs"
		opt.HTTP.URL = u.String()
	}
	if opt.Limit.Max <= 0 {
		opt.Limit.Max = DefaultMax
	}
	c, err := post.Open(opt.HTTP)
	return &OTLP{opt, c}, err
}

// Deliver implements sink.Sink.
func (s *OTLP) Deliver(ctx context.Context, n sink.Notice) error {
	record, host, err := s.record(n)
	if err != nil {
		return err
	}
	// LogsData has the form of an ExportLogsServiceRequest, whose package would
	// bring gRPC's servers and clients.
	data := &logs.LogsData{ResourceLogs: []*logs.ResourceLogs{{
		Resource:  &resource.Resource{Attributes: attributes("service.name", "tidewaiter", "service.version", n.Version, "host.name", host)},
		ScopeLogs: []*logs.ScopeLogs{{Scope: &common.InstrumentationScope{Name: "tidewaiter", Version: valid(n.Version)}, LogRecords: []*logs.LogRecord{record}}},
	}}}
	body, kind := []byte(nil), "application/x-protobuf"
	if s.opt.JSON {
		kind = "application/json"
		body, err = protojson.MarshalOptions{UseEnumNumbers: true}.Marshal(data)
	} else {
		body, err = proto.Marshal(data)
	}
	if err != nil {
		return sink.Permanent(fmt.Errorf("notice %s: %w", n.ID, err))
	}
	a, err := s.client.Post(ctx, body, http.Header{"Content-Type": {kind}})
	if err != nil {
		return err
	}
	return s.taken(a)
}

// record is the finding as a log record, and the host that it is about.
func (s *OTLP) record(n sink.Notice) (*logs.LogRecord, string, error) {
	o, err := ocsf.Parse(n)
	if err != nil {
		return nil, "", err
	}
	e := ocsf.Entity(o)
	number, text := severity(o.SeverityID)
	r := &logs.LogRecord{
		ObservedTimeUnixNano: uint64(max(n.At.UnixNano(), 0)), SeverityNumber: number, SeverityText: text,
		Body: value(o.FindingInfo.Title), EventName: "tidewaiter.finding", Attributes: about(n, o, e),
	}
	r.TimeUnixNano = r.ObservedTimeUnixNano
	if o.Time > 0 {
		r.TimeUnixNano = uint64(o.Time) * 1e6
	}
	if s.opt.OCSF {
		b, err := ocsf.JSON(n, s.opt.Limit)
		if err != nil {
			return nil, "", err
		}
		r.Attributes = append(r.Attributes, attributes("tidewaiter.ocsf", string(b))...)
	}
	host := e.Host
	if host == "" {
		host = n.Host
	}
	return r, host, nil
}

// about names what is known, by OpenTelemetry's names where it has some.
func about(n sink.Notice, o finding.OCSF, e finding.Entity) []*common.KeyValue {
	name, tag := ocsf.SplitImage(e.Image)
	techniques, subs := ocsf.Techniques(o)
	var signals, reasons []string
	for _, s := range o.Unmapped.Signals {
		signals, reasons = append(signals, s.Signal), append(reasons, s.Says)
	}
	out := attributes("log.record.uid", n.ID, "container.id", e.ContainerID, "container.name", e.ContainerName,
		"container.image.name", name, "k8s.cluster.name", e.Cluster, "k8s.namespace.name", e.Namespace, "k8s.pod.name", e.Pod, "k8s.pod.uid", e.PodUID,
		"cloud.account.id", e.Account, "cloud.region", e.Region, "cloud.availability_zone", e.Zone, "host.id", e.InstanceID, "host.type", e.InstanceType,
		"tidewaiter.finding.id", o.FindingInfo.UID, "tidewaiter.finding.state", string(o.Unmapped.State), "tidewaiter.finding.severity", strings.ToLower(o.Severity),
		"tidewaiter.finding.superseded_by", o.Unmapped.SupersededBy, "tidewaiter.finding.owner", o.Unmapped.Owner, "tidewaiter.finding.cause", o.Unmapped.Cause,
		"tidewaiter.finding.scope", o.Unmapped.Scope, "tidewaiter.workload", e.Workload,
		"security_rule.name", o.FindingInfo.Analytic.Name, "security_rule.uuid", o.FindingInfo.Analytic.UID, "security_rule.category", o.FindingInfo.Analytic.Category)
	for key, list := range map[string][]string{
		"container.image.tags": {tag}, "tidewaiter.image.digests": e.ImageDigests, "tidewaiter.techniques": append(techniques, subs...),
		"tidewaiter.signals": signals, "tidewaiter.reasons": reasons, "tidewaiter.to_settle": o.Unmapped.ToSettle,
	} {
		if a := array(list); a != nil {
			out = append(out, &common.KeyValue{Key: key, Value: a})
		}
	}
	for key, number := range map[string]int{"tidewaiter.finding.score": o.RiskScore, "tidewaiter.finding.confidence": o.ConfidenceScore} {
		out = append(out, &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(number)}}})
	}
	return out
}

// attributes makes pairs of keys and texts; what is not known is left out.
func attributes(pairs ...string) []*common.KeyValue {
	var out []*common.KeyValue
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, &common.KeyValue{Key: pairs[i], Value: value(pairs[i+1])})
		}
	}
	return out
}

func value(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: valid(s)}}
}

// valid is UTF-8: protobuf refuses a message with anything else.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func array(list []string) *common.AnyValue {
	var values []*common.AnyValue
	for _, s := range list {
		if s != "" {
			values = append(values, value(s))
		}
	}
	if values == nil {
		return nil
	}
	return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: values}}}
}

// severity is OpenTelemetry's for an OCSF severity.
func severity(id int) (logs.SeverityNumber, string) {
	switch id {
	case 5:
		return logs.SeverityNumber_SEVERITY_NUMBER_FATAL, "CRITICAL"
	case 4:
		return logs.SeverityNumber_SEVERITY_NUMBER_ERROR, "HIGH"
	case 3:
		return logs.SeverityNumber_SEVERITY_NUMBER_WARN, "MEDIUM"
	case 2:
		return logs.SeverityNumber_SEVERITY_NUMBER_INFO2, "LOW"
	}
	return logs.SeverityNumber_SEVERITY_NUMBER_INFO, "INFO"
}

// taken reads whether the collector took the one record. What it refuses of a
// request that it took must not be sent again, says the protocol. A message
// without a refusal is a warning and no failure.
func (s *OTLP) taken(a post.Answer) error {
	var (
		rejected int64
		message  string
		err      error
	)
	if a.Type == "application/json" {
		rejected, message, err = partialJSON(a.Body)
	} else {
		rejected, message, err = partial(a.Body)
	}
	// Many proxies answer with words of their own: the status has said that the
	// record was taken.
	if err != nil || rejected == 0 {
		return nil
	}
	return sink.Permanent(s.client.Fault(errors.New("record rejected: " + message)))
}

func partialJSON(body []byte) (rejected int64, message string, err error) {
	var said struct {
		Partial struct {
			Rejected json.RawMessage `json:"rejectedLogRecords"` // a number, or one as text
			Message  string          `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	if err := json.Unmarshal(body, &said); err != nil || len(said.Partial.Rejected) == 0 {
		return 0, "", err
	}
	rejected, err = strconv.ParseInt(strings.Trim(string(said.Partial.Rejected), `"`), 10, 64)
	return rejected, said.Partial.Message, err
}

// partial reads field 1 of an ExportLogsServiceResponse: the number rejected
// (1) and why (2).
func partial(body []byte) (rejected int64, message string, err error) {
	inner, err := field(body, 1)
	if err != nil || inner == nil {
		return 0, "", err
	}
	for b := inner; len(b) > 0; {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, "", protowire.ParseError(n)
		}
		b = b[n:]
		switch {
		case num == 1 && kind == protowire.VarintType:
			var v uint64
			v, n = protowire.ConsumeVarint(b)
			rejected = int64(v)
		case num == 2 && kind == protowire.BytesType:
			message, n = protowire.ConsumeString(b)
		default:
			n = protowire.ConsumeFieldValue(num, kind, b)
		}
		if n < 0 {
			return 0, "", protowire.ParseError(n)
		}
		b = b[n:]
	}
	return rejected, message, nil
}

// field is the bytes of a field, nil if it is not there.
func field(b []byte, want protowire.Number) ([]byte, error) {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		b = b[n:]
		if num == want && kind == protowire.BytesType {
			v, n := protowire.ConsumeBytes(b)
			return v, protowire.ParseError(min(n, 0))
		}
		if n = protowire.ConsumeFieldValue(num, kind, b); n < 0 {
			return nil, protowire.ParseError(n)
		}
		b = b[n:]
	}
	return nil, nil
}

// Close implements sink.Sink.
func (s *OTLP) Close() error { return s.client.Close() }
