package splunk_test

import (
	"encoding/json"
	"testing"

	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/sink/post"
	"tidewaiter/sink/sinktest"
	"tidewaiter/sink/splunk"
)

var _ sink.Sink = (*splunk.Splunk)(nil)

const token = "B5A79AAD-D822-46CC-80D1-819F80D7BFB0"

func TestAnEventIsAFinding(t *testing.T) {
	for name, n := range map[string]sink.Notice{"true": sinktest.Notice(t), "hostile": sinktest.HostileNotice(t)} {
		r := sinktest.NewReceiver(t)
		r.Answer = `{"text":"Success","code":0}`
		s, err := splunk.Open(splunk.Options{HTTP: post.Options{URL: r.URL}, Token: token, Index: "security"})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Deliver(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		var m struct {
			Time                            float64
			Host, Source, SourceType, Index string
			Event                           finding.OCSF
			Fields                          map[string]string
		}
		if err := json.Unmarshal(r.Body, &m); err != nil {
			t.Fatal(err)
		}
		if r.Path != "/services/collector/event" || r.Header.Get("Authorization") != "Splunk "+token {
			t.Errorf("%s: %s, %v", name, r.Path, r.Header)
		}
		if m.Time != 1793960600.25 || m.Host != n.Host || m.Source != "tidewaiter" || m.SourceType != "tidewaiter:ocsf" || m.Index != "security" ||
			m.Event.FindingInfo.UID != n.Told.Finding.ID || m.Fields["notice_id"] != n.ID {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestCodesTellWhetherItMends(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		answer string
		want   string
	}{
		"bad data":      {400, `{"text":"Invalid data format","code":6}`, "permanent"},
		"no index":      {400, `{"text":"Incorrect index","code":7}`, "retry"},
		"no channel":    {400, `{"text":"Data channel is missing","code":10}`, "retry"},
		"no words":      {400, ``, "permanent"},
		"token off":     {403, `{"text":"Invalid token ` + token + `","code":4}`, "retry"},
		"busy":          {503, `{"text":"Server is busy","code":9}`, "retry"},
		"too much":      {413, ``, "permanent"},
		"taken":         {200, `{"text":"Success","code":0}`, ""},
		"taken, silent": {200, ``, ""},
	} {
		r := sinktest.NewReceiver(t)
		r.Status, r.Answer = c.status, c.answer
		s, err := splunk.Open(splunk.Options{HTTP: post.Options{URL: r.URL + "/own/path"}, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Deliver(t.Context(), sinktest.Notice(t))
		sinktest.Sorted(t, name, err, c.want)
		sinktest.Hides(t, err, token)
		if r.Path != "/own/path" {
			t.Errorf("path %s", r.Path)
		}
	}
	if _, err := splunk.Open(splunk.Options{HTTP: post.Options{URL: "http://h"}}); err == nil {
		t.Error("no token is accepted")
	}
}
