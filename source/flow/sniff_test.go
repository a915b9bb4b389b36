package flow

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidewaiter/source"
)

// formats are all of this package's, as a composition root would list them.
func formats() []*source.Format {
	return []*source.Format{Conntrack(), ZeekConn(), ZeekConnJSON(), ZeekDNS(), ZeekDNSJSON(), Hubble(),
		ZeekHTTP(), ZeekHTTPJSON(), ZeekSSL(), ZeekSSLJSON(), SuricataEVE(), VPCFlow(), VPCFlowJSON(), GCPFlow(), AzureFlow(), NetFlow()}
}

// recognised is the name of the format that the text is told as, "" for none.
func recognised(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := source.Open(path, source.Options{Formats: formats()})
	if errors.Is(err, source.ErrUnrecognised) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	return in.Tallies()[0].Format.Name
}

func TestRecognition(t *testing.T) {
	const (
		connJSON = `{"ts":1795300000.1,"uid":"C1","id.orig_h":"10.42.0.7","id.orig_p":1,"id.resp_h":"203.0.113.66","id.resp_p":3333,"proto":"tcp","conn_state":"SF"}` + "\n"
		dnsJSON  = `{"ts":1795300000.1,"uid":"C1","id.orig_h":"10.42.0.7","id.orig_p":1,"id.resp_h":"10.96.0.10","id.resp_p":53,"proto":"udp","query":"pool.example","qtype":1}` + "\n"
		httpJSON = `{"ts":1795300000.1,"uid":"C1","id.orig_h":"10.42.0.7","id.orig_p":1,"id.resp_h":"203.0.113.66","id.resp_p":80,"trans_depth":1,"method":"GET","host":"pool.example","uri":"/x"}` + "\n"
	)
	hubble := packetOf(1, tcpOf(syn), "", egress)
	http := tsv("1795300000.1 CtideA1b2c3d4e5f6 10.42.0.7 41446 203.0.113.66 80 1 GET pool.example /x - 1.1")
	for _, c := range []struct{ name, text, want string }{
		{"conntrack", newTCP + endTCP, "conntrack"},
		{"conntrack without times", strings.ReplaceAll(newTCP, "[1795300000.100200]\t", ""), "conntrack"},
		{"conntrack listing", "tcp      6 431999 ESTABLISHED src=10.42.0.7 dst=203.0.113.66 sport=1 dport=2 src=203.0.113.66 dst=192.0.2.10 sport=2 dport=1 [ASSURED] mark=0 use=1\n", "conntrack"},
		{"conntrack inside JSON is another format", `{"message":"[NEW] tcp 6 src=10.42.0.7 dst=203.0.113.66 [UNREPLIED] src=203.0.113.66 dst=10.42.0.7"}` + "\n", ""},

		{"conn.log", connHeader + connLine, "zeek-conn"},
		{"conn.log, only a header", connHeader, "zeek-conn"},
		{"conn.log under another path", strings.Replace(connHeader, "#path\tconn", "#path\texternal", 1) + connLine, "zeek-conn"},
		{"conn.log with few columns, by its path", zeekHeader("conn-local", "ts uid id.orig_h id.resp_h") + "\n", "zeek-conn"},
		{"conn.log whose #fields line is missing", strings.Replace(connHeader, "#fields", "#lost", 1) + connLine, "zeek-conn"},
		{"conn.log cut by zeek-cut -m", tsv("ts uid id.orig_h id.resp_h conn_state") + tsv("1795300000.1 C1 10.42.0.7 203.0.113.66 SF"), "zeek-conn"},
		{"conn.log cut by zeek-cut -m, counters only", tsv("ts id.orig_h id.resp_h orig_pkts") + tsv("1795300000.1 10.42.0.7 203.0.113.66 7"), "zeek-conn"},
		{"conn.log cut by zeek-cut -m, protocol and service", tsv("ts id.orig_h id.resp_h proto service") + tsv("1795300000.1 10.42.0.7 203.0.113.66 tcp ssl"), "zeek-conn"},
		{"conn.log without header, default columns", connLine + connLine, "zeek-conn"},
		{"conn.log without header, fewer columns", tsv("1795300000.1 CtideA1b2c3d4e5f6 10.42.0.7 41446 203.0.113.66 3333 tcp - 60.3 900 7000 SF"), "zeek-conn"},
		{"one line like a connection's in other text", connLine + strings.Repeat("the conn_state query\n", 3), ""},
		{"conn.log as JSON", connJSON + connJSON, "zeek-conn-json"},
		{"conn.log as JSON array", "[" + connJSON + "," + connJSON + "]", "zeek-conn-json"},
		{"conn.log as indented JSON", strings.NewReplacer("{", "{\n ", ",", ",\n ", "}", "\n}").Replace(connJSON), "zeek-conn-json"},
		{"conn.log as JSON in text sequences", "\x1e" + connJSON + "\x1e" + connJSON, "zeek-conn-json"},

		{"dns.log", dnsHeader + dnsLine, "zeek-dns"},
		{"dns.log with few columns", zeekHeader("dns", "ts id.orig_h id.resp_h query answers"), "zeek-dns"},
		{"dns.log without header, default columns", dnsLine, "zeek-dns"},
		{"dns.log without header, fewer columns", tsv("1795300000.1 CtideA1b2c3d4e5f7 10.42.0.7 53100 10.96.0.10 53 udp 4660 pool.example"), "zeek-dns"},
		{"dns.log as JSON", dnsJSON, "zeek-dns-json"},

		{"mixed stream, mostly connections", connJSON + connJSON + dnsJSON + httpJSON, "zeek-conn-json"},
		{"mixed stream, mostly queries", connJSON + dnsJSON + dnsJSON + httpJSON, "zeek-dns-json"},

		{"http.log", zeekHeader("http", "ts uid id.orig_h id.orig_p id.resp_h id.resp_p trans_depth method host uri") + http, "zeek-http"},
		{"http.log, by its path", zeekHeader("http", "ts uid id.orig_h id.resp_h uri"), "zeek-http"},
		{"http.log cut by zeek-cut -m", tsv("ts id.orig_h id.resp_h method host uri") + tsv("1795300000.1 10.42.0.7 203.0.113.66 GET pool.example /x"), "zeek-http"},
		{"http.log without header, default columns", httpLine, "zeek-http"},
		{"http.log without header, other columns", http, ""},
		{"http.log as JSON", httpJSON, "zeek-http-json"},
		{"mixed stream, mostly requests", connJSON + httpJSON + httpJSON, "zeek-http-json"},
		{"sip.log, which has nearly the columns of http.log", zeekHeader("sip", "ts uid id.orig_h id.resp_h trans_depth method uri call_id seq user_agent status_code request_body_len"), ""},
		{"smtp.log, which has transactions", zeekHeader("smtp", "ts uid id.orig_h id.resp_h trans_depth helo mailfrom user_agent"), ""},
		{"ssl.log", zeekHeader("ssl", sslNames), "zeek-ssl"},
		{"ssl.log as JSON", sslJSON, "zeek-ssl-json"},
		{"kerberos.log, which has ciphers", zeekHeader("kerberos", "ts uid id.orig_h id.resp_h request_type client service cipher"), ""},
		{"dpd.log, which has proto", zeekHeader("dpd", "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto analyzer failure_reason"), ""},
		{"syslog.log as JSON, which has proto", `{"ts":1795300000.1,"uid":"C1","id.orig_h":"10.42.0.7","id.resp_h":"10.42.0.9","proto":"udp","facility":"DAEMON","severity":"INFO","message":"query"}`, ""},
		{"quic.log, which has a history", zeekHeader("quic", "ts uid id.orig_h id.orig_p id.resp_h id.resp_p version client_initial_dcid server_name history"), ""},
		{"ssl.log by its path alone", "#separator \\x09\n#path\tssl\n", "zeek-ssl"},
		{"x509.log by its path alone", "#separator \\x09\n#path\tx509\n", ""},
		{"connection log by a path that only begins alike", "#separator \\x09\n#path\tconnections\n", ""},
		{"hubble", hubble + hubble, "hubble"},
		{"hubble, bare", `{"time":"2026-11-21T22:26:01Z","verdict":"FORWARDED","IP":{"source":"10.42.0.7","destination":"203.0.113.66"},"Type":"L3_L4"}`, "hubble"},
		{"hubble, which first lost something", `{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"12"},"node_name":"node-1","time":"2026-11-21T22:26:01Z"}` + "\n" + hubble, "hubble"},
		{"eve", eve(1, "flow", eveFlowBody) + eve(1, "alert", "{}"), "suricata-eve"},
		{"eve without ends", `{"timestamp":"2026-11-21T22:26:40.100200+0000","event_type":"stats","stats":{}}`, "suricata-eve"},
		{"eve with a type of its own", `{"timestamp":"2026-11-21T22:26:40.100200+0000","event_type":"mine","flow_id":1,"src_ip":"10.42.0.7"}`, "suricata-eve"},
		{"eve carried by Filebeat", `{"@timestamp":"x","message":"{\"timestamp\":\"2026-11-21T22:26:40.100200+0000\",\"event_type\":\"dns\",\"dns\":{}}"}`, "suricata-eve"},
		{"something else with an event type", `{"timestamp":"2026-11-21T22:26:40Z","event_type":"login","user":"alice"}`, ""},
		{"something else with a flow", `{"flow":{"pkts_toserver":1},"event_type":"flux"}`, ""},

		{"prose", "the conn_state query of src=10.42.0.7 dst=203.0.113.66\n", ""},
		{"unfinished JSON", `{"ts":1795300000.1,"conn_state":"SF"`, ""},
		{"JSON that is no object", "[1,2,3]\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := recognised(t, c.text); got != c.want {
				t.Errorf("recognised as %q, want %q", got, c.want)
			}
		})
	}
}
