package elastic_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/sink/ecs"
	"tidewaiter/sink/elastic"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/post"
	"tidewaiter/sink/sinktest"
)

var _ sink.Sink = (*elastic.Elastic)(nil)

const key = "a1BpLWtleTpzZWNyZXQtb2YtaXQ"

// answer is Elasticsearch's of a _bulk request, with what a mapping's fault
// looks like.
func answer(status int) string {
	if status == 201 {
		return `{"took":3,"errors":false,"items":[{"create":{"_index":"i","_id":"notice-1","result":"created","status":201}}]}`
	}
	return fmt.Sprintf(`{"took":3,"errors":true,"items":[{"create":{"_index":"i","_id":"notice-1","status":%d,"error":{"type":"document_parsing_exception","reason":"bad \u001b[2J %s\n","caused_by":{"reason":"why"}}}}]}`, status, key)
}

func TestADocumentIsCreatedOnce(t *testing.T) {
	for name, n := range map[string]sink.Notice{"true": sinktest.Notice(t), "hostile": sinktest.HostileNotice(t)} {
		r := sinktest.NewReceiver(t)
		r.Answer = answer(201)
		s, err := elastic.Open(elastic.Options{HTTP: post.Options{URL: r.URL}, APIKey: key})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Deliver(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		lines := bytes.Split(r.Body, []byte("\n"))
		if r.Path != "/_bulk" || r.Header.Get("Authorization") != "ApiKey "+key || r.Header.Get("Content-Type") != "application/x-ndjson" || len(lines) != 3 || len(lines[2]) != 0 {
			t.Errorf("%s: %s, %v, %d lines", name, r.Path, r.Header, len(lines))
		}
		if got := string(lines[0]); got != `{"create":{"_index":"logs-tidewaiter.finding-default","_id":"notice-1"}}` {
			t.Errorf("%s: %s", name, got)
		}
		var d ecs.Document
		var o finding.OCSF
		if err := json.Unmarshal(lines[1], &d); err != nil || json.Unmarshal([]byte(d.Event.Original), &o) != nil || o.FindingInfo.UID != d.Own.Finding {
			t.Errorf("%s: the document is none: %v", name, err)
		}
	}
}

func TestEachDocumentsFateIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		answer string
		want   string
	}{
		"created":        {200, answer(201), ""},
		"there already":  {200, answer(409), ""},
		"no mapping":     {200, answer(400), "permanent"},
		"full":           {200, answer(429), "retry"},
		"shard gone":     {200, answer(503), "retry"},
		"no right":       {200, answer(403), "retry"},
		"no index":       {200, answer(404), "retry"},
		"something else": {200, "<html>hello</html>", "retry"},
		"nothing":        {200, "{}", "retry"},
		"two":            {200, `{"items":[{},{}]}`, "retry"},
		"key is old":     {401, `{"error":"` + key + `"}`, "retry"},
		"too long":       {413, "", "permanent"},
		"busy":           {503, "", "retry"},
	} {
		r := sinktest.NewReceiver(t)
		r.Status, r.Answer = c.status, c.answer
		s, err := elastic.Open(elastic.Options{HTTP: post.Options{URL: r.URL + "/proxied/"}, APIKey: key, Index: "i"})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Deliver(t.Context(), sinktest.Notice(t))
		sinktest.Sorted(t, name, err, c.want)
		sinktest.Hides(t, err, key)
		if r.Path != "/proxied/_bulk" {
			t.Errorf("%s: path %s", name, r.Path)
		}
	}
}

func TestAPasswordLogsIn(t *testing.T) {
	r := sinktest.NewReceiver(t)
	basic := base64.StdEncoding.EncodeToString([]byte("me:hunter22"))
	r.Status, r.Answer = 403, "no "+basic+" hunter22"
	s, err := elastic.Open(elastic.Options{HTTP: post.Options{URL: r.URL}, User: "me", Password: "hunter22", Limit: ocsf.Limit{OmitRecords: true}})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Deliver(t.Context(), sinktest.Notice(t))
	sinktest.Sorted(t, "refused", err, "retry")
	sinktest.Hides(t, err, "hunter22", basic)
	if r.Header.Get("Authorization") != "Basic "+basic || strings.Contains(string(r.Body), "type=SYSCALL") {
		t.Errorf("headers %v", r.Header)
	}
	if _, err := elastic.Open(elastic.Options{HTTP: post.Options{URL: r.URL}, User: "me", APIKey: "k"}); err == nil {
		t.Error("two ways to log in are accepted")
	}
}
