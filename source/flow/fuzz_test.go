package flow

import (
	"bytes"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// checkEvents checks what holds for every event of this package.
func checkEvents(t *testing.T, events []event.Event, startKnown bool) {
	t.Helper()
	for _, e := range events {
		if e.ID == (event.ID{}) || e.Time.At < 0 || e.Record < 0 {
			t.Fatalf("bad event %+v", e)
		}
		switch b := e.Body.(type) {
		case *event.Flow:
			if !b.Src.IsValid() || !b.Dst.IsValid() || b.Src.Addr().Is4In6() || b.BytesOut < -1 || b.BytesIn < -1 {
				t.Fatalf("bad flow %+v", b)
			}
			if e.Time.IsZero() && (startKnown || b.End.IsZero()) {
				t.Fatalf("flow without any time: %+v", b)
			}
			if !b.End.IsZero() && b.End.End() < e.Time.At {
				t.Fatalf("flow ends before it begins: %s to %s", e.Time, b.End)
			}
		case *event.DNS:
			if e.Time.IsZero() || !b.Client.IsValid() || !b.Server.IsValid() || b.Query == "" {
				t.Fatalf("bad query at %s: %+v", e.Time, b)
			}
			for _, n := range b.Names {
				if !isHostName(n) {
					t.Fatalf("answer %q is no name", n)
				}
			}
		case *event.HTTP:
			if e.Time.IsZero() || !b.Client.IsValid() || !b.Server.IsValid() || b.Status < 0 || b.Status > 999 || len(b.URI) > maxURI+8 || len(b.Agent) > maxAgent+8 {
				t.Fatalf("bad request at %s: %+v", e.Time, b)
			}
		case *event.TLS:
			if e.Time.IsZero() || !b.Client.IsValid() || !b.Server.IsValid() || b.ServerName+b.Version == "" {
				t.Fatalf("bad handshake at %s: %+v", e.Time, b)
			}
		}
	}
}

// records cuts data into lines and takes the whole of it as one more record:
// JSON values may hold line ends.
func records(data []byte) [][]byte {
	return append(bytes.Split(data, []byte{'\n'}), data)
}

func fuzz(f *testing.F, format *source.Format, startKnown bool) {
	f.Fuzz(func(t *testing.T, data []byte) {
		if sure := sourcetest.Sniff(format, string(data)); sure < 0 || sure > 100 {
			t.Fatalf("sure by %d of 100", sure)
		}
		events, tally := sourcetest.Feed(format, records(data))
		sourcetest.CheckAccount(t, events, tally)
		checkEvents(t, events, startKnown)
	})
}

func FuzzConntrack(f *testing.F) {
	f.Add([]byte(newTCP + endTCP))
	f.Add([]byte("[1795300000.42    ]\t    [NEW] ipv6     10 icmpv6   58 30 src=2001:db8::7 dst=2001:db8::9 type=128 code=0 id=3 [UNREPLIED] src=2001:db8::9 dst=2001:db8::7 type=129 code=0 id=3 zone-orig=1"))
	f.Add([]byte("[1795300060.400500]\t[DESTROY] unknown  50 src=10.42.0.7 dst=203.0.113.9 src=203.0.113.9 dst=10.42.0.7 delta-time=60 [start=Sat Nov 21 22:26:40 2026]"))
	f.Add([]byte("WARNING: We have hit ENOBUFS! We are losing events.\nconntrack v1.4.8 (conntrack-tools): 1 flow events have been shown."))
	fuzz(f, Conntrack(), false)
}

func FuzzZeekConn(f *testing.F) {
	f.Add([]byte(connHeader + connLine + closeLine))
	f.Add([]byte(connLine))
	f.Add([]byte("ts\tid.orig_h\tid.resp_h\tduration\torig_pkts\n1795300000.1\t::ffff:10.42.0.7\t203.0.113.66\t1e9\t9\n"))
	f.Add([]byte("#separator \\x7c\n#set_separator|;\n#fields|ts|id.orig_h|id.resp_h|conn_state\n2026-11-21T17:26:40-0500|10.42.0.7|203.0.113.66|\\x53F\n"))
	fuzz(f, ZeekConn(), true)
}

func FuzzZeekDNS(f *testing.F) {
	f.Add([]byte(dnsHeader + dnsLine + closeLine))
	f.Add([]byte(dnsLine))
	f.Add([]byte("#fields\tts\tid.orig_h\tid.resp_h\tquery\tqtype\tanswers\n1795300000.1\t10.42.0.7\t10.96.0.10\ta\\x2eB.\t65399\tTXT 3 a\\x2cb,x.example.,::1,-\n"))
	fuzz(f, ZeekDNS(), true)
}

func FuzzZeekConnJSON(f *testing.F) {
	f.Add([]byte(`{"_path":"conn","_write_ts":"2026-11-21T22:31:40.000000Z","ts":1795300000.1002,"uid":"C1","id":{"orig_h":"10.42.0.7","orig_p":1,"resp_h":"::1","resp_p":2},"proto":"tcp","duration":1e-7,"orig_bytes":1,"conn_state":"S0"}`))
	f.Add([]byte(`[{"ts":"1795300000","id_orig_h":"10.42.0.7","id_resp_h":"203.0.113.66","missed_bytes":0},` + "\n" + `{"ts":1,"uid":"C2"}]`))
	fuzz(f, ZeekConnJSON(), true)
}

func FuzzZeekDNSJSON(f *testing.F) {
	f.Add([]byte(`{"ts":1795300000.1002,"uid":"C1","id.orig_h":"10.42.0.7","id.orig_p":53100,"id.resp_h":"10.96.0.10","id.resp_p":53,"proto":"udp","trans_id":1,"rtt":0.021,"query":"A.Example.","qtype":1,"rcode":3,"answers":["x.example","203.0.113.66","TXT 1 a"]}`))
	f.Add([]byte(`{"ts":1,"query":"a","answers":"b"}`))
	fuzz(f, ZeekDNSJSON(), true)
}

func FuzzHubble(f *testing.F) {
	for _, v := range hubbleConnections() {
		f.Add([]byte(v.text))
	}
	f.Add([]byte(layer7(1, "", `{"type":"REQUEST","dns":{"query":"a.example"}}`) + layer7(2, "reply", `{"type":"RESPONSE","dns":{"query":"a.example","ips":["::1"]}}`)))
	f.Add([]byte(layer7(1, "", `{"type":"REQUEST","http":{"method":"GET","url":"http://a@b:1/","headers":[{"key":"host","value":"[::1]"}]}}`)))
	f.Add([]byte(`{"lost_events":{"num_events_lost":"1"},"time":{"seconds":1,"nanos":2}}`))
	fuzz(f, Hubble(), true)
}

func FuzzZeekHTTP(f *testing.F) {
	f.Add([]byte(httpHeader + httpLine + closeLine))
	f.Add([]byte(httpLine))
	f.Add([]byte(sslHeader + sslLine + httpHeader + httpLine))
	fuzz(f, ZeekHTTP(), true)
}

func FuzzZeekHTTPJSON(f *testing.F) {
	f.Add([]byte(`{"_path":"http","_write_ts":"2026-11-21T22:31:40.000000Z","ts":1795300000.1002,"uid":"C1","id":{"orig_h":"10.42.0.7","orig_p":1,"resp_h":"::1","resp_p":2},"trans_depth":1,"method":"GET","host":"u@[::1]:80","uri":"http://u@h/x","status_code":200}`))
	f.Add([]byte(sslJSON))
	fuzz(f, ZeekHTTPJSON(), true)
}

func FuzzZeekSSL(f *testing.F) {
	f.Add([]byte(sslHeader + sslLine + closeLine))
	fuzz(f, ZeekSSL(), true)
}

func FuzzZeekSSLJSON(f *testing.F) {
	f.Add([]byte(sslJSON))
	fuzz(f, ZeekSSLJSON(), true)
}

func FuzzSuricataEVE(f *testing.F) {
	f.Add([]byte(eve(1, "flow", eveFlowBody) + eve(2, "netflow", eveFlowBody)))
	f.Add([]byte(eve(1, "dns", `{"type":"query","id":9,"rrname":"a.example","rrtype":"A"}`) + eve(2, "dns", `{"type":"answer","id":9,"queries":[{"rrname":"a.example"}],"grouped":{"A":["::1"]}}`)))
	f.Add([]byte(eve(1, "http", `{"hostname":"a.example","url":"http://u@h/","status":200}`) + eve(1, "tls", `{"sni":"a.example"}`)))
	f.Add([]byte(`{"message":"{\"event_type\":\"dns\"}"}`))
	fuzz(f, SuricataEVE(), true)
}
