package policy

import (
	"strings"
	"testing"
	"time"

	"tidewaiter/event"
)

func TestLateness(t *testing.T) {
	p := read(t, "lateness: {k8s.audit: 20m, docker: 1s}\n")
	for source, want := range map[event.Source]time.Duration{
		event.KubeAudit: 20 * time.Minute, event.Docker: time.Second, event.Auditd: 30 * time.Second, event.Zeek: 15 * time.Minute, event.Inspect: 0, "": 0,
	} {
		if got := p.Lateness(source); got != want {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
	if got := Empty(&Vocabulary{}).Lateness(event.KubeAudit); got != 10*time.Minute {
		t.Errorf("without a policy: %s", got)
	}
	for text, says := range map[string]string{
		"lateness: {k8s-audit: 20m}\n": "2:12: lateness.k8s-audit: no source is called \"k8s-audit\"",
		"lateness: {docker: soon}\n":   "2:20: lateness.docker: \"soon\" is no length of time",
		"lateness: 10m\n":              "2:11: lateness: want a mapping",
		"lateness: {inspect: 1m}\n":    "lateness.inspect: no source is called",
	} {
		_, err := Read(strings.NewReader("version: 1\n"+text), "p.yaml", &Vocabulary{})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}
