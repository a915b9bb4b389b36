package flow

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// eve makes a record of a kind at second sec; body is the object of the kind.
func eve(sec int, kind, body string) string {
	return fmt.Sprintf(`{"timestamp":"2026-11-21T22:26:%02d.100200+0000","flow_id":731,"in_iface":"eth0","event_type":"%s","src_ip":"10.42.0.7","src_port":41446,"dest_ip":"203.0.113.66","dest_port":3333,"proto":"TCP","%s":%s}`,
		sec, kind, kind, body) + "\n"
}

const eveFlowBody = `{"pkts_toserver":4,"pkts_toclient":3,"bytes_toserver":900,"bytes_toclient":7000,"start":"2026-11-21T22:25:00.000001+0000","end":"2026-11-21T22:26:00.000001+0000","age":60,"state":"closed","reason":"timeout"}`

func TestSuricataFlow(t *testing.T) {
	base := eve(40, "flow", eveFlowBody)
	const saw = "2026-11-21T22:25:00.000001Z tcp 10.42.0.7:41446 > 203.0.113.66:3333 state=closed end=2026-11-21T22:26:00.000001Z bytes=900/7000 record=2026-11-21T22:26:40.1002Z"
	swap := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(base) }
	seen := func(old, new string) []string { return []string{strings.Replace(saw, old, new, 1)} }
	wrapped, err := json.Marshal(map[string]any{"@timestamp": "2026-11-21T22:30:00Z", "message": strings.TrimSpace(base), "log": map[string]any{"offset": 1}})
	if err != nil {
		t.Fatal(err)
	}
	check(t, SuricataEVE(), []variation{
		{name: "flow", text: base, want: []string{saw}},
		{name: "carried by Filebeat", text: string(wrapped), want: []string{saw}},
		{name: "another zone, also with a colon", text: swap("22:25:00.000001+0000", "17:25:00.000001-0500", "22:26:40.100200+0000", "23:26:40.100200+01:00"), want: []string{saw}},
		{name: "service", text: swap(`"proto"`, `"app_proto":"tls","proto"`), want: seen("state=closed", "state=closed service=tls")},
		{name: "service not told", text: swap(`"proto"`, `"app_proto":"failed","proto"`), want: []string{saw}},
		{name: "nobody answered", text: swap(`"pkts_toclient":3`, `"pkts_toclient":0`), want: seen("7000", "7000 unanswered")},
		{name: "no counters", text: swap(`"pkts_toclient":3,`, "", `"bytes_toserver":900,"bytes_toclient":7000,`, `"bytes_toserver":-9,`), want: seen("900/7000", "-1/-1")},
		{name: "no end", text: swap(`"end"`, `"last"`), want: seen(" end=2026-11-21T22:26:00.000001Z", "")},
		{name: "an end before the start is unknown", text: swap("22:26:00.000001+0000", "22:24:00.000001+0000"), want: seen(" end=2026-11-21T22:26:00.000001Z", "")},
		{name: "ipv6", text: swap("10.42.0.7", "2001:0db8:0000:0000:0000:0000:0000:0007", "203.0.113.66", "2001:db8:1::66"), want: []string{strings.NewReplacer("10.42.0.7", "[2001:db8::7]", "203.0.113.66", "[2001:db8:1::66]").Replace(saw)}},
		{name: "icmp", text: swap(`"TCP"`, `"IPv6-ICMP"`), want: []string{strings.NewReplacer("tcp", "icmp", ":41446", ":0", ":3333", ":0").Replace(saw)}},
		{name: "a protocol by number", text: swap(`"TCP"`, `"017"`), want: seen("tcp", "udp")},
		{name: "a protocol by name", text: swap(`"TCP"`, `"GRE"`, `"src_port":41446,`, "", `"dest_port":3333,`, ""), want: []string{strings.NewReplacer("tcp", "gre", ":41446", ":0", ":3333", ":0").Replace(saw)}},
		{name: "indented", text: swap("{", "{\n ", ",", ",\n "), want: []string{saw}},
		{name: "what tells nothing of traffic", text: `{"timestamp":"2026-11-21T22:26:40.100200+0000","event_type":"stats","stats":{"uptime":1}}` + "\n" + eve(1, "alert", `{"signature":"x"}`) + eve(1, "anomaly", `{}`) + eve(1, "fileinfo", `{}`) + eve(1, "mqtt", `{}`), skipped: 5},
	})
}

func TestSuricataFaults(t *testing.T) {
	base := eve(40, "flow", eveFlowBody)
	for name, c := range map[string]struct{ old, new, fault string }{
		"no offset":             {"22:26:40.100200+0000", "22:26:40.100200", "RFC 3339"},
		"no timestamp":          {`"timestamp"`, `"time"`, "no time (timestamp)"},
		"an epoch for a time":   {`"2026-11-21T22:26:40.100200+0000"`, `"1795300000"`, "ISO 8601"},
		"a time before 1970":    {`2026-11-21T22:26:40`, `1970-01-01T00:00:00.0+0000","x":"`, "no time"},
		"no start":              {`"start"`, `"began"`, "no time (start)"},
		"a bad end":             {`22:26:00.000001+0000`, `yesterday`, "end"},
		"no source":             {`"src_ip"`, `"ip"`, "src_ip"},
		"a bad destination":     {`203.0.113.66`, `pool.example`, "dest_ip"},
		"a port out of range":   {`41446`, `70000`, "src_port"},
		"a negative port":       {`3333`, `-1`, "dest_port"},
		"the content is absent": {`"flow":{`, `"flux":{`, "no object flow"},
		"the content is text":   {eveFlowBody, `"x"`, "no object flow"},
		"no event type":         {`"event_type"`, `"type"`, "no event_type"},
		"a numeric event type":  {`"event_type":"flow"`, `"event_type":7`, "no event_type"},
		"a key twice":           {`"src_ip"`, `"src_ip":"10.42.0.8","src_ip"`, "stands twice"},
		"cut off":               {`"proto"`, "\n", "not one JSON value"},
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Check(t, SuricataEVE(), strings.Replace(base, c.old, c.new, 1), sourcetest.Want{Fault: c.fault})
		})
	}
	for text, fault := range map[string]string{
		`{"message":"{\"event_type\":"}`:             "message: not one JSON value",
		`{"message":"hello"}`:                        "no event_type",
		`{"message":"{}"}`:                           "no event_type",
		`{"message":"{}","message":"{\"a\":1}"}`:     "stands twice",
		`[7]`:                                        "not one JSON value",
		eve(1, "dns", `{"rrname":"a","rrname":"b"}`): "stands twice",
		eve(1, "http", `{"url":"/a","url":"/b"}`):    "stands twice",
		eve(1, "netflow", `{}`):                      "no time (start)",
		strings.Replace(eve(1, "netflow", eveFlowBody), `"bytes_toserver"`, `"bytes":1,"bytes"`, 1): "stands twice",
	} {
		sourcetest.Check(t, SuricataEVE(), text, sourcetest.Want{Fault: fault})
	}
}

func TestSuricataNetflow(t *testing.T) {
	half := func(sec int, bytes string) string {
		return strings.Replace(eve(sec, "netflow", eveFlowBody), `"bytes_toserver":900`, `"bytes":`+bytes, 1)
	}
	turned := strings.NewReplacer("10.42.0.7", "203.0.113.66", "41446", "3333", "203.0.113.66", "10.42.0.7", "3333", "41446")
	const saw = "2026-11-21T22:25:00.000001Z tcp 10.42.0.7:41446 > 203.0.113.66:3333 end=2026-11-21T22:26:00.000001Z bytes=900/7000 record=2026-11-21T22:26:40.1002Z"
	alone := strings.Replace(saw, "900/7000", "900/-1 unanswered", 1)
	check(t, SuricataEVE(), []variation{
		{name: "both directions are one flow", text: half(40, "900") + turned.Replace(half(40, "7000")), want: []string{saw}},
		{name: "only one direction", text: half(40, "900"), want: []string{alone}},
		{name: "the service and the end come with the other direction", text: half(40, "900") +
			strings.NewReplacer(`"proto"`, `"app_proto":"http","proto"`, "22:26:00.000001", "22:26:00.500000").Replace(turned.Replace(half(40, "7000"))),
			want: []string{strings.NewReplacer("end=2026-11-21T22:26:00.000001Z", "service=http end=2026-11-21T22:26:00.500000Z").Replace(saw)}},
		{name: "the other direction of another flow", text: half(40, "900") + strings.Replace(turned.Replace(half(40, "7000")), "731", "732", 1),
			want: []string{alone, "2026-11-21T22:25:00.000001Z tcp 203.0.113.66:3333 > 10.42.0.7:41446 end=2026-11-21T22:26:00.000001Z bytes=7000/-1 unanswered record=2026-11-21T22:26:40.1002Z"}},
	})
}

func TestSuricataDNS(t *testing.T) {
	at := func(sec int) string { return fmt.Sprintf("2026-11-21T22:26:%02d.100200Z ", sec) }
	const ends = "10.42.0.7:41446 > 203.0.113.66:53 "
	dns := func(sec int, body string) string { return strings.Replace(eve(sec, "dns", body), "3333", "53", 1) }
	query := dns(1, `{"type":"query","id":9,"rrname":"Pool.Example","rrtype":"A","tx_id":0}`)
	const written = " record=2026-11-21T22:26:02.1002Z"
	check(t, SuricataEVE(), []variation{
		{name: "version 1, a record for each answer", text: query +
			dns(2, `{"type":"answer","id":9,"rcode":"NOERROR","rrname":"pool.example","rrtype":"CNAME","ttl":9,"rdata":"edge.example"}`) +
			dns(2, `{"type":"answer","id":9,"rcode":"NOERROR","rrname":"edge.example","rrtype":"A","ttl":9,"rdata":"203.0.113.9"}`),
			want: []string{at(1) + ends + "A pool.example NOERROR edge.example" + written, at(2) + ends + "A edge.example NOERROR 203.0.113.9"}},
		{name: "version 1, no such name", text: dns(2, `{"type":"answer","id":9,"rcode":"NXDOMAIN","rrname":"pool.example"}`),
			want: []string{at(2) + ends + " pool.example NXDOMAIN"}},
		{name: "version 2, detailed", text: query + dns(2, `{"version":2,"type":"answer","id":9,"rcode":"NOERROR","rrname":"pool.example","rrtype":"A","answers":[{"rrname":"pool.example","rrtype":"CNAME","rdata":"edge.example"},{"rrname":"edge.example","rrtype":"A","rdata":"203.0.113.9"},{"rrtype":"TXT","rdata":"text.example"},{"rrtype":"A","rdata":"x"},{"rrtype":"SOA","soa":{}}],"grouped":{"A":["203.0.113.9"]}}`),
			want: []string{at(1) + ends + "A pool.example NOERROR 203.0.113.9 edge.example" + written}},
		{name: "version 2, the name only in the answers", text: query + dns(2, `{"version":2,"type":"answer","id":9,"rcode":"NOERROR","answers":[{"rrname":"pool.example","rrtype":"CNAME","rdata":"edge.example"}]}`),
			want: []string{at(1) + ends + "A pool.example NOERROR edge.example" + written}},
		{name: "version 2, grouped", text: dns(2, `{"version":2,"type":"answer","id":9,"rcode":"NOERROR","rrname":"pool.example","rrtype":"AAAA","grouped":{"AAAA":["2001:db8::9"],"CNAME":["edge.example",7],"TXT":["text.example"]}}`),
			want: []string{at(2) + ends + "AAAA pool.example NOERROR 2001:db8::9 edge.example"}},
		{name: "version 3", text: dns(1, `{"version":3,"type":"request","id":9,"queries":[{"rrname":"pool.example","rrtype":"A"}]}`) +
			dns(2, `{"version":3,"type":"response","id":9,"rcode":"NOERROR","queries":[{"rrname":"pool.example","rrtype":"A"}],"answers":[{"rrname":"pool.example","rrtype":"A","rdata":"203.0.113.9"}]}`),
			want: []string{at(1) + ends + "A pool.example NOERROR 203.0.113.9" + written}},
		{name: "an answer printed as its packet went", text: strings.NewReplacer("10.42.0.7", "203.0.113.66", `"src_port":41446`, `"src_port":53`, "203.0.113.66", "10.42.0.7", `"dest_port":53`, `"dest_port":41446`).
			Replace(dns(2, `{"type":"answer","id":9,"rcode":23,"rrname":"pool.example","rrtype":"A","rdata":"203.0.113.9"}`)),
			want: []string{at(2) + ends + "A pool.example RCODE23 203.0.113.9"}},
		{name: "a query without an answer, asked twice", text: query + query, want: []string{at(1) + ends + "A pool.example ", at(1) + ends + "A pool.example "}},
		{name: "no question", text: dns(2, `{"type":"answer","id":9,"rcode":"NOERROR","grouped":{"A":["203.0.113.9"]}}`) + dns(1, `{"type":"query"}`), skipped: 2},
	})
}

func TestSuricataMessages(t *testing.T) {
	const at = "2026-11-21T22:26:01.100200Z 10.42.0.7:41446 > 203.0.113.66:3333 "
	check(t, SuricataEVE(), []variation{
		{name: "http", text: eve(1, "http", `{"hostname":"Pool.Example","http_port":3333,"url":"/x?y","http_user_agent":"curl/8","http_method":"GET","status":"200","length":99,"request_headers":[{"name":"Authorization","value":"secret"}]}`),
			want: []string{at + `GET pool.example /x?y status=200 bytes=-1/99 agent="curl/8"`}},
		{name: "http through a proxy", text: eve(1, "http", `{"url":"http://user:secret@pool.example:80/x","http_method":"GET","status":302}`),
			want: []string{at + `GET pool.example http://<redacted>@pool.example:80/x status=302 bytes=-1/-1 agent=""`}},
		{name: "http without a request", text: eve(1, "http", `{"status":200}`), skipped: 1},
		{name: "tls", text: eve(1, "tls", `{"sni":"Pool.Example","version":"TLS 1.3","subject":"CN=x"}`), want: []string{at + `TLS 1.3 "pool.example"`}},
		{name: "tls, version not told", text: eve(1, "tls", `{"sni":"pool.example","version":"UNDETERMINED"}`), want: []string{at + ` "pool.example"`}},
		{name: "tls, nothing told", text: eve(1, "tls", `{"session_resumed":true}`), skipped: 1},
	})
}

// TestSuricataIDs: two transactions of one flow at one time are two events, the
// same record twice is one, without a flow id as well.
func TestSuricataIDs(t *testing.T) {
	one := eve(1, "http", `{"hostname":"pool.example","url":"/1"}`)
	two := strings.Replace(one, `"proto"`, `"tx_id":1,"proto"`, 1)
	for _, cut := range []string{"", `"flow_id":731,`} {
		r := read(t, SuricataEVE(), strings.ReplaceAll(one+two+one, cut, ""))
		if len(r.events) != 3 || r.events[0].ID == r.events[1].ID || r.events[0].ID != r.events[2].ID {
			t.Errorf("ids do not tell records apart")
		}
	}
	if b := read(t, SuricataEVE(), eve(1, "flow", eveFlowBody)).events[0]; b.Origin.Source != event.Suricata || !b.Place.IsZero() {
		t.Errorf("event %+v", b)
	}
}
