package otlp_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"tidewaiter/sink"
	"tidewaiter/sink/otlp"
	"tidewaiter/sink/post"
	"tidewaiter/sink/sinktest"
)

var _ sink.Sink = (*otlp.OTLP)(nil)

// exported reads what arrived as the collector does.
func exported(t *testing.T, r *sinktest.Receiver) *collector.ExportLogsServiceRequest {
	t.Helper()
	body := r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	var got collector.ExportLogsServiceRequest
	read := proto.Unmarshal
	if r.Header.Get("Content-Type") == "application/json" {
		read = protojson.Unmarshal
	}
	if err := read(body, &got); err != nil {
		t.Fatal(err)
	}
	return &got
}

func texts(list []*common.KeyValue) map[string]string {
	out := map[string]string{}
	for _, kv := range list {
		out[kv.Key] = kv.Value.GetStringValue()
	}
	return out
}

func TestARecordIsAFinding(t *testing.T) {
	for name, opt := range map[string]otlp.Options{"protobuf": {}, "JSON": {JSON: true, OCSF: true}, "packed": {HTTP: post.Options{Gzip: true}}} {
		r := sinktest.NewReceiver(t)
		opt.HTTP.URL = r.URL
		s, err := otlp.Open(opt)
		if err != nil {
			t.Fatal(err)
		}
		n := sinktest.Notice(t)
		if err := s.Deliver(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		got := exported(t, r).ResourceLogs[0]
		record := got.ScopeLogs[0].LogRecords[0]
		if about := texts(got.Resource.Attributes); r.Path != "/v1/logs" || about["service.name"] != "tidewaiter" || about["host.name"] != "shop-1" {
			t.Errorf("%s: %s, resource %v", name, r.Path, about)
		}
		if record.SeverityNumber != logs.SeverityNumber_SEVERITY_NUMBER_FATAL || record.SeverityText != "CRITICAL" || record.Body.GetStringValue() != n.Told.Finding.Title ||
			record.TimeUnixNano != 1793960560200e6 || int64(record.ObservedTimeUnixNano) != n.At.UnixNano() {
			t.Errorf("%s: %v", name, record)
		}
		have := texts(record.Attributes)
		for key, want := range map[string]string{
			"log.record.uid": n.ID, "container.name": "sweeper", "container.image.name": "registry.free-tools.example/ops/logsweeper", "tidewaiter.finding.id": n.Told.Finding.ID,
			"security_rule.uuid": "AN0691", "tidewaiter.finding.state": "confirmed",
		} {
			if have[key] != want {
				t.Errorf("%s: %s is %q", name, key, have[key])
			}
		}
		if (have["tidewaiter.ocsf"] != "") != opt.OCSF {
			t.Errorf("%s: OCSF %q", name, have["tidewaiter.ocsf"])
		}
		if err := s.Deliver(t.Context(), sinktest.HostileNotice(t)); err != nil {
			t.Errorf("%s: hostile: %v", name, err)
		}
		exported(t, r)
	}
}

// A record that the collector refuses of a request that it takes must not come
// again; a warning is none.
func TestPartialSuccessIsRead(t *testing.T) {
	partial := func(rejected int64, message string) string {
		b, err := proto.Marshal(&collector.ExportLogsServiceResponse{PartialSuccess: &collector.ExportLogsPartialSuccess{RejectedLogRecords: rejected, ErrorMessage: message}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const pb, js = "application/x-protobuf", "application/json; charset=utf-8"
	for name, c := range map[string]struct {
		status       int
		kind, answer string
		want         string
	}{
		"empty":             {200, pb, "", ""},
		"rejected":          {200, pb, partial(1, "no \x1b room"), "permanent"},
		"warning":           {200, pb, partial(0, "slow down"), ""},
		"no protobuf":       {200, pb, "hello", ""},
		"cut":               {200, pb, partial(1, "x")[:3], ""},
		"JSON":              {200, js, `{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"no"}}`, "permanent"},
		"JSON number":       {200, js, `{"partialSuccess":{"rejectedLogRecords":1}}`, "permanent"},
		"JSON warning":      {200, js, `{"partialSuccess":{"errorMessage":"slow"}}`, ""},
		"JSON empty":        {200, js, `{}`, ""},
		"bad request":       {400, pb, "", "permanent"},
		"unauthorized":      {401, pb, "", "retry"},
		"too many requests": {429, pb, "", "retry"},
		"unavailable":       {503, pb, "", "retry"},
	} {
		r := sinktest.NewReceiver(t)
		r.Status, r.Type, r.Answer = c.status, c.kind, c.answer
		s, err := otlp.Open(otlp.Options{HTTP: post.Options{URL: r.URL + "/otlp/v1/logs"}})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Deliver(t.Context(), sinktest.Notice(t))
		sinktest.Sorted(t, name, err, c.want)
		sinktest.Hides(t, err)
		if !strings.HasPrefix(r.Path, "/otlp/") {
			t.Errorf("%s: path %s", name, r.Path)
		}
	}
}
