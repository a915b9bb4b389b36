package receive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"tidewaiter/event"
	"tidewaiter/sensor/sensortest"
)

func text(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

func pairs(list ...any) (out []*common.KeyValue) {
	for i := 0; i < len(list); i += 2 {
		v, ok := list[i+1].(*common.AnyValue)
		if !ok {
			v = text(list[i+1].(string))
		}
		out = append(out, &common.KeyValue{Key: list[i].(string), Value: v})
	}
	return out
}

func mapping(list ...any) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: pairs(list...)}}}
}

func number(n int64) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: n}}
}

func record(body *common.AnyValue, attributes ...any) *logs.LogRecord {
	return &logs.LogRecord{TimeUnixNano: 1, SeverityText: "INFO", Body: body, Attributes: pairs(attributes...)}
}

func export1(at []any, records ...*logs.LogRecord) *collector.ExportLogsServiceRequest {
	return &collector.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{
		Resource:  &resource.Resource{Attributes: pairs(at...)},
		ScopeLogs: []*logs.ScopeLogs{{Scope: &common.InstrumentationScope{Name: "x"}, LogRecords: records}, {}},
	}, {}}}
}

// TestOTLP sends one request in both encodings.
func TestOTLP(t *testing.T) {
	list := &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{number(7), nil, text("<")}}}}
	m := export1([]any{"host.name", "node-1", "k8s.cluster.name", "blue", "cloud.account.id", "42", "service.name", "x", "host.arch", number(1)},
		record(text("type=A")),
		record(text("what is this"), "log.file.path", "/var/log/audit/audit.log"), // configured
		record(text(`{"Type":"container","n":12345678901234567890}`)),
		record(mapping("Type", "container", "list", list, "yes", &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}},
			"half", &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: 0.5}}, "of", mapping("a", "b"))),
		record(text(`{"rule":1}`), "tidewaiter.format", "falco"),
		record(text("an application's own words")),
		record(text(`{"rule":`), "tidewaiter.format", "falco"),
		record(text(`{"rule":1}`), "tidewaiter.format", "../../etc/passwd"),
		record(nil), &logs.LogRecord{},
		record(text("type=B"), "log.file.name", "other.log"),
		record(text("is told as the first of its file"), "log.file.name", "other.log"),
		record(&common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte("type=C")}}),
	)
	binary, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	inJSON, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"auditd":        `["type=A" "what is this" "type=B" "is told as the first of its file" "type=C"]`,
		"docker-events": `["{\"Type\":\"container\",\"n\":12345678901234567890}" "{\"Type\":\"container\",\"half\":0.5,\"list\":[7,null,\"<\"],\"of\":{\"a\":\"b\"},\"yes\":true}"]`,
		"falco":         `["{\"rule\":1}"]`,
	}
	for kind, body := range map[string]string{"application/x-protobuf": string(binary), "application/json": string(inJSON), "application/json; charset=utf-8": gzipped(t, inJSON)} {
		l := start(t, Options{Files: map[string]string{"/var/log/audit/audit.log": "auditd"}})
		header := []string{"Content-Type", kind}
		if strings.Contains(kind, ";") {
			header = append(header, "Content-Encoding", "gzip")
		}
		status, answer := l.send("/otlp/v1/logs", body, header...)
		var a collector.ExportLogsServiceResponse
		err := proto.Unmarshal([]byte(answer), &a)
		if strings.HasPrefix(kind, "application/json") {
			err = protojson.Unmarshal([]byte(answer), &a)
		}
		if status != 200 || err != nil || a.GetPartialSuccess().GetRejectedLogRecords() != 5 {
			t.Errorf("%s: %d %q %v", kind, status, answer, err)
		}
		place := event.Place{Account: "42", Cluster: "blue", Host: "node-1"}
		got := map[string]string{}
		for _, f := range taken {
			lines := l.out.Lines(laneName(f.Name, place))
			if len(lines) > 0 {
				got[f.Name] = fmt.Sprintf("%q", lines)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s:\n got %v\nwant %v", kind, got, want)
		}
	}
}

// TestHostileOTLP: what takes much in memory for few bytes is not unpacked, and
// places are names.
func TestHostileOTLP(t *testing.T) {
	l := start(t, Options{})
	binary := func(m proto.Message) string {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	deep := text("x")
	for range 200 {
		deep = mapping("a", deep)
	}
	wide := mapping("a", &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: make([]*common.AnyValue, 600_000)}}})
	kind := []string{"Content-Type", "application/x-protobuf"}
	l.want(413, "/v1/logs", binary(export1(nil, record(deep))), kind...)
	l.want(413, "/v1/logs", binary(export1(nil, record(wide))), kind...)
	inJSON, err := json.Marshal(map[string]any{"resourceLogs": []any{map[string]any{"scopeLogs": []any{map[string]any{"logRecords": []any{map[string]any{"body": map[string]any{"arrayValue": map[string]any{"values": make([]struct{}, 600_000)}}}}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	l.want(413, "/v1/logs", string(inJSON), "Content-Type", "application/json")
	if n := l.out.Calls(); n != 0 {
		t.Error(n)
	}
	// Two bytes for each record: sixteen million of them.
	empty := bytes.Repeat([]byte{0x12, 0x00}, 15<<20)
	scope := append(varint(0x12, len(empty)), empty...)
	l.want(200, "/v1/logs", string(append(varint(0x0a, len(scope)), scope...)), kind...)
	for _, host := range []string{"../../x", "a\nb", strings.Repeat("x", 300)} {
		status, answer := l.send("/v1/logs", binary(export1([]any{"host.name", host}, record(text("type=A")))), kind...)
		if status != 200 || !strings.Contains(answer, "place") {
			t.Errorf("%q: %d %q", host, status, answer)
		}
	}
	if n := l.out.Calls(); n != 0 {
		t.Error(n)
	}
	l.want(200, "/v1/logs", "", kind...)
	l.want(200, "/v1/logs", "{}", "Content-Type", "application/json")
	for _, body := range []string{`[]`, `{"resourceLogs":7}`, `{"resourceLogs":[{"scopeLogs":{}}]}`, `{"resourceLogs":[{"scopeLogs":[{"logRecords":[7]}]}]}`,
		`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"kvlistValue":7}}]}]}]}`, `{"resourceLogs":[{"resource":{"attributes":[3]}}]}`} {
		l.want(400, "/v1/logs", body, "Content-Type", "application/json")
	}
}

func varint(tag byte, n int) []byte {
	b := []byte{tag}
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// FuzzRequests: no request does more than it may, whatever is in it.
func FuzzRequests(f *testing.F) {
	binary, err := proto.Marshal(export1([]any{"host.name", "h"}, record(text("type=A")), record(mapping("Type", "container"))))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("/v1/logs", "application/x-protobuf", "", binary)
	f.Add("/v1/logs", "application/json", "gzip", []byte(gzipped(f, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"type=A"}}]}]}]}`))))
	f.Add("/kubernetes/audit", "", "", []byte(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"auditID":"a"}]}`))
	f.Add("/records/falco?host=h", "", "zstd", []byte(`[{"a":1}]{}`))
	s, err := New(Options{Listen: "127.0.0.1:0", Formats: taken, Detect: detect})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, kind, coding string, body []byte) {
		q, err := http.NewRequest("POST", "http://x/", bytes.NewReader(body))
		if err != nil {
			t.Skip()
		}
		if q.URL, err = q.URL.Parse(path); err != nil {
			t.Skip()
		}
		q.Header.Set("Content-Type", kind)
		q.Header.Set("Content-Encoding", coding)
		out := sensortest.New("")
		r := newReceiver(s, out)
		w := recorder{header: http.Header{}}
		r.routes().ServeHTTP(&w, q)
		if w.status != 200 && out.Calls() > 0 {
			t.Errorf("%d, and yet something was recorded", w.status)
		}
		if r.held.Load() != 0 || len(r.turns) != 0 {
			t.Error("something is held")
		}
	})
}
