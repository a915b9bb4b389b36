package configured_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/sink/configured"
	"tidewaiter/sink/sinktest"
	"tidewaiter/strictyaml"
)

const secret = "s3cret-of-the-configuration"

// write makes a file in the test's folder.
func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, text string) ([]configured.Entry, error) {
	t.Helper()
	return configured.Load(write(t, "sinks.yaml", text, 0o600))
}

// every has an entry of every kind, with every setting.
func every(t *testing.T) string {
	t.Helper()
	files := sinktest.Certificate(t)
	t.Setenv("TW_SINK_TOKEN", secret)
	t.Setenv("TW_SINK_URL", "https://h.example/"+secret)
	text := `
sinks:
  - name: soc
    min_severity: medium
    omit_records: true
    max_bytes: 500000
    webhook:
      url: https://soc.example/hook
      secret_file: SIGNING
      secret_files: [SIGNING]
      timeout: 5s
      headers: {X-Team: soc}
      header_files: {Authorization: TOKEN}
      ca_file: CERT
      cert_file: CERT
      key_file: KEY
      server_name: soc.example
      gzip: true
  - {name: hidden, webhook: {url: "${TW_SINK_URL}"}}
  - {name: logs, syslog: {address: "tls://logs.example:6514", format: cef, facility: local3, framing: newline, timeout: 1s, ca_file: CERT}}
  - {name: otel, otlp: {url: "http://127.0.0.1:4318", encoding: json, ocsf: true}}
  - {name: es, elastic: {url: "https://es.example:9200", index: logs-x-y, api_key_file: TOKEN}}
  - {name: os, elastic: {url: "https://os.example:9200", user: me, password: "${TW_SINK_TOKEN}"}}
  - {name: hec, splunk: {url: "https://hec.example:8088", token: "${TW_SINK_TOKEN}", index: main, sourcetype: a, source: b}}
  - {name: people, min_severity: high, chat: {url_file: CHAT, timeout: 20s}}
  - {name: falco, falcosidekick: {url: "http://falcosidekick:2801", fields: {site: north}}}
  - {name: bus, kafka: {brokers: ["k1.example:9093"], topic: findings, tls: true, ca_file: CERT, sasl: scram-sha-512, user: me, password_file: TOKEN, timeout: 5s}}
  - {name: kept, file: {path: DIR/findings.ndjson, size_mb: 10, keep: 3}}
`
	return strings.NewReplacer(
		"SIGNING", write(t, "signing", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", 0o600), "TOKEN\"", write(t, "t", secret, 0o600)+"\"",
		"_TOKEN}", "_TOKEN}", ": TOKEN", ": "+write(t, "token", secret+"\n", 0o600), "CERT", files.Cert, "KEY", files.Key,
		"CHAT", write(t, "chat", "mattermost://chat.example/"+secret, 0o600), "DIR", t.TempDir(),
	).Replace(text)
}

func TestEverySinkOpens(t *testing.T) {
	entries, err := load(t, every(t))
	if err != nil || len(entries) != 11 {
		t.Fatal(len(entries), err)
	}
	var kinds []string
	for _, e := range entries {
		s, err := configured.Open(e)
		if err != nil {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
		kinds = append(kinds, e.Kind())
	}
	if got := strings.Join(kinds, " "); got != "webhook webhook syslog otlp elastic elastic splunk chat falcosidekick kafka file" {
		t.Errorf("kinds %s", got)
	}
	if entries[0].Minimum() != analytic.Medium || entries[1].Minimum() != analytic.Low {
		t.Errorf("severities %v, %v", entries[0].Minimum(), entries[1].Minimum())
	}
}

// All faults are told at once, each with its line, and a secret in the wrong
// place is not repeated.
func TestEveryFaultIsToldWithItsLine(t *testing.T) {
	_, err := load(t, `sinks:
  - webhook: {url: "https://h"}
  - name: Two Words
    webhook: {url: "ftp://h"}
  - name: a
    min_severity: urgent
    max_bytes: 7
    file: {path: /x, keep: -1}
  - name: a
    file: {}
    chat: {url: "slack://`+secret+`"}
  - name: none
  - name: c
    splunk:
      url: https://h
      token: `+secret+`
  - {name: d, splunk: {url: "https://h", url_file: /u, timeout: 1h}}
  - {name: e, elastic: {url: "https://h", user: me, api_key_file: /k}}
  - {name: f, kafka: {sasl: gssapi}}
  - {name: g, kafka: {brokers: [h], topic: t, user: me}}
  - {name: h, kafka: {brokers: [h], topic: t, sasl: plain}}
  - {name: i, syslog: {address: "http://h", framing: none}}
  - {name: j, otlp: {url: "https://h", encoding: xml, cert_file: /c}}
  - {name: k, chat: {}}
  - {name: l, falcosidekick: {}}
  - {name: m, webhook: {url: "https://h", secret: "${A}", secret_file: /s}}
  - {name: n, webhook: {url: "https://u:`+secret+`@h", headers: {X-Api-Key: `+secret+`}}}
`)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`:2: sinks[0].name: missing`, `:3: sinks[1].name: "Two Words"`, `:4: sinks[1].webhook.url: want http`, `:6: sinks[2].min_severity: "urgent"`,
		`:7: sinks[2].max_bytes: 7`, `:8: sinks[2].file.keep: -1`, `:9: sinks[3].name: "a" stands twice`, `:9: sinks[3]: chat and file: want exactly one`,
		`:10: sinks[3].file.path: missing`, `:11: sinks[3].chat.url: a secret does not stand here`, `:12: sinks[4]: no kind: want exactly one`,
		`:16: sinks[5].splunk.token: a secret does not stand here`, `:17: sinks[6].splunk.url: both`, `:17: sinks[6].splunk.timeout: 1h`, `:17: sinks[6].splunk.token: missing`,
		`sinks[7].elastic.api_key: both`, `sinks[7].elastic.user: user and password`, `sinks[8].kafka.brokers: missing`, `sinks[8].kafka.topic: missing`, `sinks[8].kafka.sasl: "gssapi"`,
		`sinks[9].kafka.sasl: missing`, `sinks[10].kafka.user: SASL needs`, `sinks[11].syslog.framing: "none"`, `sinks[11].syslog.address: address: "http"`,
		`sinks[12].otlp.encoding: "xml"`, `sinks[12].otlp.cert_file: cert_file and key_file`, `sinks[13].chat.url: missing`, `sinks[14].falcosidekick.url: missing`, `sinks[15].webhook.secret: both`,
		`sinks[16].webhook.url: a secret does not`, `sinks[16].webhook.headers.X-Api-Key: a secret does not`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the secret is shown: %v", err)
	}
	var f *strictyaml.Fault
	if !errors.As(err, &f) || f.Line == 0 {
		t.Errorf("no place: %v", err)
	}
	if _, err := load(t, "sinks:\n  - {name: a, webhok: {}}\n"); err == nil || !strings.Contains(err.Error(), `:2: unknown key "webhok"`) {
		t.Errorf("%v", err)
	}
	if _, err := configured.Load("/nothing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestOpeningFailsWithTheEntrysName(t *testing.T) {
	loose := write(t, "loose", secret, 0o602)
	for name, text := range map[string]string{
		"writable secret": "{name: x, splunk: {url: 'https://h', token_file: " + loose + "}}",
		"no secret":       "{name: x, webhook: {url: 'https://h', secret_file: /nothing}}",
		"bad secret":      "{name: x, webhook: {url: 'https://h', secret_file: " + write(t, "bad", secret, 0o600) + "}}",
		"no variable":     "{name: x, elastic: {url: 'https://h', api_key: '${TW_NOT_SET_ANYWHERE}'}}",
		"no service":      "{name: x, chat: {url_file: " + write(t, "chat", "nosuch://"+secret, 0o600) + "}}",
		"no folder":       "{name: x, file: {path: /nothing/findings}}",
		"no certificates": "{name: x, kafka: {brokers: ['h:1'], topic: t, ca_file: /nothing}}",
		"bad header":      "{name: x, webhook: {url: 'https://h', headers: {\"a b\": c}}}",
		"bad URL":         "{name: x, webhook: {url_file: " + write(t, "url", "not a URL with "+secret, 0o600) + "}}",
	} {
		entries, err := load(t, "sinks:\n  - "+text+"\n")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s, err := configured.Open(entries[0])
		if err == nil || s != nil || !strings.HasPrefix(err.Error(), "sink x: ") {
			t.Errorf("%s: %v, %v", name, s, err)
		}
		sinktest.Hides(t, err, secret)
	}
	if _, err := configured.Open(configured.Entry{Name: "x"}); err == nil {
		t.Error("no kind is accepted")
	}
}

func TestWhatShouldNotStaySoIsWarnedOf(t *testing.T) {
	loose := write(t, "loose", secret, 0o644)
	for text, want := range map[string]string{
		"{name: x, splunk: {url: 'https://h', token_file: " + loose + "}}":                     "everybody on this host may read " + loose,
		"{name: x, splunk: {url: 'http://h:8088', token: '${A}'}}":                             "sent to h:8088 can be read",
		"{name: x, splunk: {url: 'http://localhost:8088', token: '${A}'}}":                     "",
		"{name: x, syslog: {address: 'tcp://h:514'}}":                                          "sent to h:514 can be read",
		"{name: x, syslog: {address: 'tls://h'}}":                                              "",
		"{name: x, kafka: {brokers: ['127.0.0.1:9092', 'k:9092'], topic: t}}":                  "sent to k:9092 can be read",
		"{name: x, kafka: {brokers: ['k:9092'], topic: t, server_name: k}}":                    "",
		"{name: x, webhook: {url_file: " + write(t, "u", "https://h", 0o600) + "}}":            "",
		"{name: x, webhook: {url: 'https://h', header_files: {Authorization: " + loose + "}}}": "header_files.Authorization: everybody",
	} {
		entries, err := load(t, "sinks:\n  - "+text+"\n")
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got := strings.Join(configured.Warnings(entries[0]), "\n")
		if (want == "") != (got == "") || !strings.Contains(got, want) || strings.Contains(got, secret) {
			t.Errorf("%s: %q", text, got)
		}
	}
}
