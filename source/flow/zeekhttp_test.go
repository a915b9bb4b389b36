package flow

import (
	"strings"
	"testing"
)

const (
	sslNames = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p version cipher curve server_name resumed last_alert next_protocol established ssl_history cert_chain_fps client_cert_chain_fps sni_matches_cert"
	sslJSON  = `{"ts":1795300000.1002,"uid":"C1","id.orig_h":"10.42.0.7","id.orig_p":41446,"id.resp_h":"203.0.113.66","id.resp_p":443,"version":"TLSv13","cipher":"TLS_AES_256_GCM_SHA384","server_name":"Pool.Example","resumed":false,"established":true}` + "\n"
)

var (
	httpHeader = zeekHeader("http", strings.Join(httpColumns.names, " "))
	httpLine   = tsv("1795300000.100200 CtideA1b2c3d4e5f8 10.42.0.7 41446 203.0.113.66 2375 1 POST Pool.Example:2375 /v1.41/containers/create?name=x - 1.1 curl/8 - 180 88 201 Created - - (empty) user secret - - - - - - -")
	sawHTTP    = `2026-11-21T22:26:40.100200Z 10.42.0.7:41446 > 203.0.113.66:2375 POST pool.example /v1.41/containers/create?name=x status=201 bytes=180/88 agent="curl/8"`

	sslHeader = zeekHeader("ssl", sslNames)
	sslLine   = tsv("1795300000.100200 CtideA1b2c3d4e5f9 10.42.0.7 41446 203.0.113.66 443 TLSv13 TLS_AES_256_GCM_SHA384 x25519 Pool.Example. F - h2 T CsxknGIi - - -")
	sawSSL    = `2026-11-21T22:26:40.100200Z 10.42.0.7:41446 > 203.0.113.66:443 TLSv13 "pool.example"`
)

func TestZeekHTTP(t *testing.T) {
	swap := func(old, new string) string { return strings.Replace(httpLine, old, new, 1) }
	seen := func(old, new string) []string { return []string{strings.Replace(sawHTTP, old, new, 1)} }
	check(t, ZeekHTTP(), []variation{
		{name: "default columns", text: httpHeader + httpLine + closeLine, want: []string{sawHTTP}, skipped: headerLines + 1},
		{name: "no header", text: httpLine, want: []string{sawHTTP}},
		{name: "written time", text: zeekHeader("http", "_write_ts ts uid id.orig_h id.resp_h method host uri") + tsv("1795300001.5 1795300000.100200 C1 10.42.0.7 203.0.113.66 GET pool.example /"),
			want: []string{`2026-11-21T22:26:40.100200Z 10.42.0.7:0 > 203.0.113.66:0 GET pool.example / status=0 bytes=-1/-1 agent="" record=2026-11-21T22:26:41.5Z`}, skipped: headerLines},
		{name: "no host", text: httpHeader + swap("Pool.Example:2375", "-"), want: seen("pool.example ", " "), skipped: headerLines},
		{name: "no host but in the address", text: httpHeader + swap("Pool.Example:2375\t/v1.41/containers/create?name=x", "-\thttp://Pool.Example:80/"), want: seen("/v1.41/containers/create?name=x", "http://Pool.Example:80/"), skipped: headerLines},
		{name: "an address for a host", text: httpHeader + swap("Pool.Example:2375", "[2001:db8::1]:80"), want: seen("pool.example", "2001:db8::1"), skipped: headerLines},
		{name: "a bare IPv6 address", text: httpHeader + swap("Pool.Example:2375", "2001:db8::1"), want: seen("pool.example", "2001:db8::1"), skipped: headerLines},
		{name: "a proxy's request keeps no password", text: httpHeader + swap("/v1.41/containers/create?name=x", "http://user:secret@pool.example/x?a=b@c"),
			want: seen("/v1.41/containers/create?name=x", "http://<redacted>@pool.example/x?a=b@c"), skipped: headerLines},
		{name: "build arguments and signatures are secrets", text: httpHeader + swap("create?name=x", "create?name=x&buildArgs=%7B%7D&x-amz-%53ignature=abc&token=&sig"),
			want: seen("create?name=x", "create?name=x&buildArgs=<redacted>&x-amz-%53ignature=<redacted>&token=&sig"), skipped: headerLines},
		{name: "so are variables, and passwords in addresses", text: httpHeader + swap("create?name=x", "create?changes=ENV+K%3Dv&remote=https%3A%2F%2Fu%3Ap%40git.example%2Fr&broken=%zz"),
			want: seen("create?name=x", "create?changes=ENV+<redacted>&remote=https%3A%2F%2F%3Credacted%3E%40git.example%2Fr&broken=%zz"), skipped: headerLines},
		{name: "an at sign in a path", text: httpHeader + swap("/v1.41/containers/create?name=x", "/go/http://a@b/?x"), want: seen("/v1.41/containers/create?name=x", "/go/http://a@b/?x"), skipped: headerLines},
		{name: "an odd status and odd lengths are unknown", text: httpHeader + swap("180\t88\t201", "18446744073709551615\t-5\t099"),
			want: seen("status=201 bytes=180/88", "status=0 bytes=-1/-1"), skipped: headerLines},
		{name: "an answer whose request was not seen", text: httpHeader + swap("POST\tPool.Example:2375\t/v1.41/containers/create?name=x", "-\t-\t-"), skipped: headerLines + 1},
		{name: "control characters and bytes that are no text", text: httpHeader + swap("curl/8", `a\x00b\xff`), want: seen(`"curl/8"`, `"a\x00b�"`), skipped: headerLines},
		{name: "no address", text: httpHeader + swap("10.42.0.7", "-"), skipped: headerLines, faults: []string{"no address"}},
		{name: "no time", text: httpHeader + swap("1795300000.100200", "-"), skipped: headerLines, faults: []string{"no time"}},
		{name: "cut off", text: httpHeader + "1795300000.100200\tC1\t10.42.0.7\n", skipped: headerLines, faults: []string{"columns"}},
	})
	long := httpHeader + swap("name=x", strings.Repeat("é", maxURI))
	if r := read(t, ZeekHTTP(), long); len(line(r.events[0])) > maxURI+300 || !strings.Contains(line(r.events[0]), "é… ") {
		t.Error("a long address is not cut, or inside a letter")
	}
}

func TestZeekHTTPJSON(t *testing.T) {
	const record = `{"ts":1795300000.1002,"uid":"C1","id.orig_h":"10.42.0.7","id.orig_p":41446,"id.resp_h":"203.0.113.66","id.resp_p":2375,"trans_depth":1,"method":"POST","host":"pool.example","uri":"/v1.41/containers/create?name=x","user_agent":"curl/8","request_body_len":180,"response_body_len":88,"status_code":201,"password":"secret","tags":[]}` + "\n"
	check(t, ZeekHTTPJSON(), []variation{
		{name: "json", text: record, want: []string{sawHTTP}},
		{name: "nested id, ISO time, written time", text: strings.NewReplacer(`1795300000.1002`, `"2026-11-21T22:26:40.100200Z","_path":"http","_write_ts":"2026-11-21T22:26:41.000000Z"`,
			`"id.orig_h":"10.42.0.7","id.orig_p":41446,"id.resp_h":"203.0.113.66","id.resp_p":2375`, `"id":{"orig_h":"10.42.0.7","orig_p":41446,"resp_h":"203.0.113.66","resp_p":2375}`).Replace(record),
			want: []string{sawHTTP + " record=2026-11-21T22:26:41Z"}},
		{name: "values of other types", text: strings.NewReplacer(`"POST"`, `{"a":1}`, `"curl/8"`, `["x"]`, `180`, `true`, `201`, `-201`).Replace(record),
			want: []string{strings.NewReplacer("POST", "", `"curl/8"`, `""`, "180", "-1", "status=201", "status=0").Replace(sawHTTP)}},
		{name: "only an answer", text: `{"ts":1795300000.1,"uid":"C1","id.orig_h":"10.42.0.7","id.resp_h":"203.0.113.66","trans_depth":2,"response_body_len":0}`, skipped: 1},
		{name: "a key twice", text: strings.Replace(record, `"uri"`, `"uri":"/other","uri"`, 1), faults: []string{"stands twice"}},
		{name: "sip", text: `{"ts":1795300000.1,"uid":"C1","id.orig_h":"10.42.0.7","id.resp_h":"203.0.113.66","trans_depth":0,"method":"OPTIONS","uri":"sip:x","call_id":"1","request_body_len":0}`, skipped: 1},
		{name: "a stream of several logs", text: record + sslJSON, want: []string{sawHTTP, sawSSL}},
	})
}

func TestZeekSSL(t *testing.T) {
	swap := func(old, new string) string { return strings.Replace(sslLine, old, new, 1) }
	check(t, ZeekSSL(), []variation{
		{name: "tab-separated", text: sslHeader + sslLine + closeLine, want: []string{sawSSL}, skipped: headerLines + 1},
		{name: "not established, no version", text: sslHeader + strings.NewReplacer("TLSv13", "-", "\tT\t", "\tF\t").Replace(sslLine),
			want: []string{strings.Replace(sawSSL, "TLSv13", "", 1)}, skipped: headerLines},
		{name: "no name", text: sslHeader + swap("Pool.Example.", "-"), want: []string{strings.Replace(sawSSL, "pool.example", "", 1)}, skipped: headerLines},
		{name: "nothing told", text: sslHeader + strings.NewReplacer("TLSv13", "-", "Pool.Example.", "-").Replace(sslLine), skipped: headerLines + 1},
		{name: "no address", text: sslHeader + swap("203.0.113.66", "-"), skipped: headerLines, faults: []string{"no address"}},
		{name: "no header", text: sslLine, faults: []string{"#fields"}},
	})
	check(t, ZeekSSLJSON(), []variation{
		{name: "json", text: sslJSON, want: []string{sawSSL}},
		{name: "no time", text: strings.Replace(sslJSON, `"ts"`, `"_path":"ssl","when"`, 1), faults: []string{"no time"}},
		{name: "a name twice", text: strings.Replace(sslJSON, `"server_name"`, `"server_name":"a","server_name"`, 1), faults: []string{"stands twice"}},
	})
}

// TestZeekHTTPIdentity: two requests of one connection at one time are two
// events; a handshake is none of them.
func TestZeekHTTPIdentity(t *testing.T) {
	second := strings.Replace(httpLine, "\t1\tPOST", "\t2\tPOST", 1)
	r := read(t, ZeekHTTP(), httpHeader+httpLine+second+httpLine)
	if len(r.events) != 3 || r.events[0].ID == r.events[1].ID || r.events[0].ID != r.events[2].ID {
		t.Error("ids do not tell requests apart")
	}
}
