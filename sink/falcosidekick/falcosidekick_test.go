package falcosidekick_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"tidewaiter/sink"
	"tidewaiter/sink/falcosidekick"
	"tidewaiter/sink/post"
	"tidewaiter/sink/sinktest"
)

var _ sink.Sink = (*falcosidekick.Falcosidekick)(nil)

// payload is Falcosidekick's types.FalcoPayload.
type payload struct {
	UUID         string         `json:"uuid,omitempty"`
	Output       string         `json:"output"`
	Priority     string         `json:"priority"`
	Rule         string         `json:"rule"`
	Time         time.Time      `json:"time"`
	OutputFields map[string]any `json:"output_fields"`
	Source       string         `json:"source"`
	Tags         []string       `json:"tags,omitempty"`
	Hostname     string         `json:"hostname,omitempty"`
}

func TestFalcosidekickTakesIt(t *testing.T) {
	var ids []string
	for name, n := range map[string]sink.Notice{"true": sinktest.Notice(t), "hostile": sinktest.HostileNotice(t)} {
		r := sinktest.NewReceiver(t)
		s, err := falcosidekick.Open(falcosidekick.Options{HTTP: post.Options{URL: r.URL}, Fields: map[string]string{"site": "north"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Deliver(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		var p payload
		if err := json.Unmarshal(r.Body, &p); err != nil {
			t.Fatal(err)
		}
		if _, err := uuid.Parse(p.UUID); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		ids = append(ids, p.UUID)
		// What it refuses a payload without.
		if p.Priority != "Critical" || p.Rule != "AN0691 Malicious image run as a container" || p.Time != n.At || p.Output == "" || p.Source != "tidewaiter" {
			t.Errorf("%s: %+v", name, p)
		}
		if p.OutputFields["site"] != "north" || p.OutputFields["container.id"] == nil || p.OutputFields["container.image.repository"] == nil || !strings.Contains(strings.Join(p.Tags, " "), "T1204.003") {
			t.Errorf("%s: %v %v", name, p.OutputFields, p.Tags)
		}
		for _, text := range []string{p.Output, p.Hostname, p.OutputFields["container.name"].(string)} {
			if strings.ContainsAny(text, "\x1b\r\n\x00\u202e") || len([]rune(text)) > 2001 {
				t.Errorf("%s: %.200q", name, text)
			}
		}
	}
	if ids[0] != ids[1] {
		t.Errorf("the same notice has the ids %v", ids)
	}
}

func TestErrorsAreSorted(t *testing.T) {
	for status, want := range map[int]string{200: "", 400: "permanent", 401: "retry", 500: "retry"} {
		r := sinktest.NewReceiver(t)
		r.Status = status
		s, err := falcosidekick.Open(falcosidekick.Options{HTTP: post.Options{URL: r.URL}})
		if err != nil {
			t.Fatal(err)
		}
		sinktest.Sorted(t, "status", s.Deliver(t.Context(), sinktest.Notice(t)), want)
	}
}
