package flow

import (
	"strings"
	"testing"

	"tidewaiter/event"
)

// tsv writes a tab-separated line; blanks in the Go text are its tabs.
func tsv(cells string) string { return strings.Join(strings.Fields(cells), "\t") + "\n" }

// zeekHeader is the header of a log with these columns.
func zeekHeader(path, columns string) string {
	return "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t" + path +
		"\n#open\t2026-11-21-22-26-40\n#fields\t" + tsv(columns)
}

const headerLines = 7 // of zeekHeader

const closeLine = "#close\t2026-11-21-23-00-00\n"

var (
	connHeader = zeekHeader("conn", strings.Join(connColumns.names, " "))
	dnsHeader  = zeekHeader("dns", strings.Join(dnsColumns.names, " "))

	connLine = tsv("1795300000.100200 CtideA1b2c3d4e5f6 10.42.0.7 41446 203.0.113.66 3333 tcp - 60.300300 900 7000 SF T F 0 ShADadFf 9 1300 8 7400 - 6")
	sawConn  = "2026-11-21T22:26:40.100200Z tcp 10.42.0.7:41446 > 203.0.113.66:3333 state=SF end=2026-11-21T22:27:40.400500Z bytes=900/7000 record=2026-11-21T22:27:40.4005Z"

	dnsLine = tsv("1795300000.100200 CtideA1b2c3d4e5f7 10.42.0.7 53100 10.96.0.10 53 udp 4660 0.021000 Pool.Example. 1 C_INTERNET 1 A 0 NOERROR F F T T 0 edge.pool.example,203.0.113.66,203.0.113.67 30.000000,30.000000,30.000000 F")
	sawDNS  = "2026-11-21T22:26:40.100200Z 10.42.0.7:53100 > 10.96.0.10:53 A pool.example NOERROR 203.0.113.66 203.0.113.67 edge.pool.example record=2026-11-21T22:26:40.1212Z"
)

func TestZeekConnTSV(t *testing.T) {
	swap := func(old, new string) string { return strings.Replace(connLine, old, new, 1) }
	seen := func(old, new string) []string { return []string{strings.Replace(sawConn, old, new, 1)} }
	check(t, ZeekConn(), []variation{
		{name: "default columns", text: connHeader + connLine + closeLine, want: []string{sawConn}, skipped: headerLines + 1},
		{name: "carriage returns", text: strings.ReplaceAll(connHeader+connLine, "\n", "\r\n"), want: []string{sawConn}, skipped: headerLines},
		{name: "columns reordered and removed", skipped: headerLines,
			text: zeekHeader("conn", "conn_state id.resp_p id.resp_h ts id.orig_p id.orig_h proto uid") + tsv("SF 3333 203.0.113.66 1795300000.100200 41446 10.42.0.7 tcp CtideA1b2c3d4e5f6"),
			want: []string{"2026-11-21T22:26:40.100200Z tcp 10.42.0.7:41446 > 203.0.113.66:3333 state=SF bytes=-1/-1"}},
		{name: "columns renamed by a scope separator", skipped: headerLines,
			text: strings.ReplaceAll(connHeader, "id.", "id_") + connLine, want: []string{sawConn}},
		{name: "columns renamed by a field name map", skipped: headerLines,
			text: strings.NewReplacer("id.orig_h", "src", "id.orig_p", "src_port", "id.resp_h", "dst", "id.resp_p", "dst_port").Replace(connHeader) + connLine,
			want: []string{sawConn}},
		{name: "zeek's own name wins over a second one", skipped: headerLines,
			text: zeekHeader("conn", "ts uid src id.orig_h dst id.resp_h conn_state") + tsv("1795300000.100200 CtideA1 gateway 10.42.0.7 peer 203.0.113.66 S1"),
			want: []string{"2026-11-21T22:26:40.100200Z  10.42.0.7:0 > 203.0.113.66:0 state=S1 bytes=-1/-1"}},
		{name: "columns added at the end", skipped: headerLines,
			text: strings.Replace(connHeader, "ip_proto", "ip_proto\tcommunity_id\tvlan", 1) + strings.TrimSpace(connLine) + "\t1:abc=\t12\n", want: []string{sawConn}},
		{name: "written time in its own column", skipped: headerLines,
			text: zeekHeader("conn", "_write_ts ts uid id.orig_h id.resp_h conn_state duration") + tsv("1795300300.000000 1795300000.100200 CtideA1 10.42.0.7 203.0.113.66 SF 60.3003"),
			want: []string{"2026-11-21T22:26:40.100200Z  10.42.0.7:0 > 203.0.113.66:0 state=SF end=2026-11-21T22:27:40.400500Z bytes=-1/-1 record=2026-11-21T22:31:40Z"}},
		{name: "bare column names of zeek-cut -m", text: tsv("ts uid id.orig_h id.resp_h conn_state") + tsv("1795300000.100200 CtideA1 10.42.0.7 203.0.113.66 SF"),
			want: []string{"2026-11-21T22:26:40.100200Z  10.42.0.7:0 > 203.0.113.66:0 state=SF bytes=-1/-1"}, skipped: 1},
		{name: "columns that zeek-cut did not find have no names", text: "ts\tid.orig_h\tid.resp_h\t\t\torig_pkts\n1795300000.100200\t10.42.0.7\t203.0.113.66\t\t\t9\n",
			want: []string{"2026-11-21T22:26:40.100200Z  10.42.0.7:0 > 203.0.113.66:0 bytes=-1/-1"}, skipped: 1},
		{name: "local time of zeek-cut -d", text: connHeader + swap("1795300000.100200", "2026-11-21T17:26:40-0500"), skipped: headerLines,
			want: []string{"2026-11-21T22:26:40Z tcp 10.42.0.7:41446 > 203.0.113.66:3333 state=SF end=2026-11-21T22:27:40Z bytes=900/7000 record=2026-11-21T22:27:40.3003Z"}},
		{name: "another separator",
			text: strings.NewReplacer("#separator \\x09", "#separator \\x7c", "\t", "|").Replace(connHeader + connLine), want: []string{sawConn}, skipped: headerLines},
		{name: "another word for unset", skipped: headerLines,
			text: strings.Replace(connHeader, "#unset_field\t-", "#unset_field\tnull", 1) + strings.ReplaceAll(connLine, "\t-\t", "\tnull\t"), want: []string{sawConn}},
		{name: "nothing set", text: connHeader + tsv("1795300000.100200 CtideA1b2c3d4e5f6 10.42.0.7 41446 203.0.113.66 3333 tcp - - - - S0 - - 0 S 1 60 0 0 (empty) 6"), skipped: headerLines,
			want: []string{"2026-11-21T22:26:40.100200Z tcp 10.42.0.7:41446 > 203.0.113.66:3333 state=S0 bytes=-1/-1 unanswered"}},
		{name: "services", text: connHeader + swap("\ttcp\t-\t", "\ttcp\tssl,http\t"), want: seen("state=SF", "state=SF service=ssl,http"), skipped: headerLines},
		{name: "a service that is an empty set", text: connHeader + swap("\ttcp\t-\t", "\ttcp\t(empty)\t"), want: []string{sawConn}, skipped: headerLines},
		{name: "escapes are undone", text: connHeader + swap("\ttcp\t-\t", "\ttcp\ta\\x2cb\\\\c\\xzz\t"), want: seen("state=SF", `state=SF service=a,b\c\xzz`), skipped: headerLines},
		{name: "ipv6", text: connHeader + strings.NewReplacer("10.42.0.7", "2001:db8::7", "203.0.113.66", "2001:db8:ffff::66").Replace(connLine), skipped: headerLines,
			want: []string{strings.NewReplacer("10.42.0.7:", "[2001:db8::7]:", "203.0.113.66:", "[2001:db8:ffff::66]:").Replace(sawConn)}},
		{name: "ipv4 inside ipv6 is ipv4", text: connHeader + swap("10.42.0.7", "::ffff:10.42.0.7"), want: []string{sawConn}, skipped: headerLines},
		{name: "icmp has no ports", text: connHeader + strings.NewReplacer("41446", "8", "3333", "0", "tcp", "icmp").Replace(connLine), skipped: headerLines,
			want: []string{strings.NewReplacer("tcp", "icmp", ":41446", ":0", ":3333", ":0").Replace(sawConn)}},
		{name: "protocol without a word has a number", text: connHeader + strings.NewReplacer("41446", "0", "3333", "0", "tcp", "unknown_transport", "-\t6\n", "-\t132\n").Replace(connLine), skipped: headerLines,
			want: []string{strings.NewReplacer("tcp", "sctp", ":41446", ":0", ":3333", ":0").Replace(sawConn)}},
		{name: "negative duration: the end is not known", text: connHeader + swap("60.300300", "-0.000012"), skipped: headerLines,
			want: []string{"2026-11-21T22:26:40.100200Z tcp 10.42.0.7:41446 > 203.0.113.66:3333 state=SF bytes=900/7000"}},
	})
}

func TestZeekConnWithoutHeader(t *testing.T) {
	old := strings.TrimSuffix(connLine, "\t6\n") + "\n"
	short := tsv("1795300000.100200 CtideA1b2c3d4e5f6 10.42.0.7 41446 203.0.113.66 3333 tcp - 60.300300 900 7000 SF")
	check(t, ZeekConn(), []variation{
		{name: "fits the default columns", text: connLine, want: []string{sawConn}},
		{name: "fits the default columns before zeek 7", text: old, want: []string{sawConn}},
		{name: "fits the default columns of dns", text: dnsLine, want: []string{sawDNS}},
		{name: "fewer columns", text: short, faults: []string{"#fields line is missing"}},
		{name: "right number, wrong types", text: strings.Replace(connLine, "\tSF\tT\tF\t", "\tT\tF\tSF\t", 1), faults: []string{"#fields line is missing"}},
		{name: "right number, no connection state", text: strings.Replace(connLine, "\tSF\t", "\tXX\t", 1), faults: []string{"#fields line is missing"}},
		{name: "right number, another log", text: strings.Repeat("-\t", 21) + "-\n", faults: []string{"#fields line is missing"}},
		{name: "after #close nothing is known", text: zeekHeader("conn", "ts id.orig_h id.resp_h") + closeLine + short, skipped: headerLines + 1, faults: []string{"#fields line is missing"}},
		{name: "a header later on is used from there", text: short + connHeader + connLine, want: []string{sawConn}, skipped: headerLines, faults: []string{"#fields line is missing"}},
	})
}

func TestZeekTSVFaults(t *testing.T) {
	swap := func(old, new string) string { return connHeader + strings.Replace(connLine, old, new, 1) }
	check(t, ZeekConn(), []variation{
		{name: "cut off", text: connHeader + connLine[:40] + "\n", skipped: headerLines, faults: []string{"columns, #fields names 22"}},
		{name: "a column too many", text: connHeader + strings.TrimSpace(connLine) + "\tx\n", skipped: headerLines, faults: []string{"line has 23 columns"}},
		{name: "no time", text: swap("1795300000.100200", "-"), skipped: headerLines, faults: []string{"no time (ts)"}},
		{name: "no time column", text: zeekHeader("conn", "uid id.orig_h id.resp_h") + tsv("CtideA1 10.42.0.7 203.0.113.66"), skipped: headerLines, faults: []string{"no time (ts)"}},
		{name: "masked time", text: swap("1795300000.100200", "XXXXXXXXXX.XXXXXX"), skipped: headerLines, faults: []string{"not a Unix time"}},
		{name: "time in milliseconds", text: swap("1795300000.100200", "1795300000100"), skipped: headerLines, faults: []string{"not a Unix time in seconds"}},
		{name: "time 0", text: swap("1795300000.100200", "0.000000"), skipped: headerLines, faults: []string{"no time (ts)"}},
		{name: "written time that is none", skipped: headerLines,
			text: zeekHeader("conn", "_write_ts ts id.orig_h id.resp_h") + tsv("soon 1795300000.100200 10.42.0.7 203.0.113.66"), faults: []string{`"soon" is not a Unix time`}},
		{name: "no originator", text: swap("10.42.0.7", "-"), skipped: headerLines, faults: []string{"no address (id.orig_h)"}},
		{name: "no responder column", text: zeekHeader("conn", "ts uid id.orig_h conn_state") + tsv("1795300000.1 CtideA1 10.42.0.7 SF"), skipped: headerLines, faults: []string{"no address (id.resp_h)"}},
		{name: "a name for an address", text: swap("203.0.113.66", "pool.example"), skipped: headerLines, faults: []string{`"pool.example" is not an address`}},
		{name: "port that is none", text: swap("3333", "3333/tcp"), skipped: headerLines, faults: []string{`"3333/tcp" is not a port`}},
		{name: "bytes that are none", text: swap("7000", "7e3"), skipped: headerLines, faults: []string{`resp_bytes: "7e3" is not a count`}},
		{name: "duration that is none", text: swap("60.300300", "NaN"), skipped: headerLines, faults: []string{`duration: "NaN" is not a number of seconds`}},
		{name: "duration beyond belief", text: swap("60.300300", "1e300"), skipped: headerLines, faults: []string{"not a number of seconds"}},
		{name: "one column named twice", text: strings.Replace(connHeader, "resp_bytes", "orig_bytes", 1) + connLine, skipped: headerLines, faults: []string{`names "orig_bytes" twice`}},
	})
}

func TestZeekDNSTSV(t *testing.T) {
	swap := func(old, new string) string { return dnsHeader + strings.Replace(dnsLine, old, new, 1) }
	seen := func(old, new string) []string { return []string{strings.Replace(sawDNS, old, new, 1)} }
	check(t, ZeekDNS(), []variation{
		{name: "default columns", text: dnsHeader + dnsLine + closeLine, want: []string{sawDNS}, skipped: headerLines + 1},
		{name: "no answer", text: dnsHeader + tsv("1795300000.100200 CtideA1b2c3d4e5f7 10.42.0.7 53100 10.96.0.10 53 udp 4660 - pool.example 1 C_INTERNET 28 AAAA - - F F T F 0 - - F"), skipped: headerLines,
			want: []string{"2026-11-21T22:26:40.100200Z 10.42.0.7:53100 > 10.96.0.10:53 AAAA pool.example "}},
		{name: "the name does not exist", text: swap("0\tNOERROR", "3\tNXDOMAIN"), want: seen("NOERROR", "NXDOMAIN"), skipped: headerLines},
		{name: "numbers stand in for names", text: swap("1\tA\t0\tNOERROR", "65\t-\t2\t-"), want: seen("A pool.example NOERROR", "HTTPS pool.example SERVFAIL"), skipped: headerLines},
		{name: "numbers without names", text: swap("1\tA\t0\tNOERROR", "65399\t-\t23\t-"), want: seen("A pool.example NOERROR", "TYPE65399 pool.example RCODE23"), skipped: headerLines},
		{name: "the text of TXT records is no name", skipped: headerLines,
			text: swap("edge.pool.example,203.0.113.66,203.0.113.67", `TXT 11 v=spf1\x2c-all,<unknown type=46>,Mail.Example.`),
			want: seen("203.0.113.66 203.0.113.67 edge.pool.example", "mail.example")},
		{name: "escapes in an answer are undone", text: swap("edge.pool.example", `edge\x2epool.example`), want: []string{sawDNS}, skipped: headerLines},
		{name: "empty answers", text: swap("edge.pool.example,203.0.113.66,203.0.113.67", "(empty)"), want: seen(" 203.0.113.66 203.0.113.67 edge.pool.example", ""), skipped: headerLines},
		{name: "another set separator", skipped: headerLines,
			text: strings.NewReplacer("#set_separator\t,", "#set_separator\t;", "example,203.0.113.66,203", "example;203.0.113.66;203").Replace(dnsHeader + dnsLine), want: []string{sawDNS}},
		{name: "addresses of both families", text: swap("edge.pool.example,203.0.113.66", "::ffff:203.0.113.66,2001:db8::66"), want: seen("203.0.113.67 edge.pool.example", "2001:db8::66 203.0.113.67"), skipped: headerLines},
		{name: "a message without a question", text: swap("Pool.Example.", "-"), skipped: headerLines + 1},
		{name: "the root", text: swap("Pool.Example.", "."), skipped: headerLines + 1},
		{name: "only ASCII letters have cases", text: swap("Pool.Example.", "\\xc3\\x84B.Example"), want: seen("pool.example NOERROR", "\u00c4b.example NOERROR"), skipped: headerLines},
		{name: "no client", text: swap("10.42.0.7", "-"), skipped: headerLines, faults: []string{"no address (id.orig_h)"}},
		{name: "round trip time that is none", text: swap("0.021000", "fast"), skipped: headerLines, faults: []string{`rtt: "fast"`}},
	})
}

func TestZeekJSON(t *testing.T) {
	const object = `{"ts":1795300000.1002,"uid":"CtideA1b2c3d4e5f6","id.orig_h":"10.42.0.7","id.orig_p":41446,"id.resp_h":"203.0.113.66","id.resp_p":3333,"proto":"tcp","duration":60.3003,"orig_bytes":900,"resp_bytes":7000,"conn_state":"SF"}`
	swap := func(old, new string) string { return strings.Replace(object, old, new, 1) }
	seen := func(old, new string) []string { return []string{strings.Replace(sawConn, old, new, 1)} }
	check(t, ZeekConnJSON(), []variation{
		{name: "one a line", text: object + "\n" + object + "\n", want: []string{sawConn, sawConn}},
		{name: "keys with an underscore", text: strings.ReplaceAll(object, "id.", "id_"), want: []string{sawConn}},
		{name: "nested id", want: []string{sawConn},
			text: swap(`"id.orig_h":"10.42.0.7","id.orig_p":41446,"id.resp_h":"203.0.113.66","id.resp_p":3333`, `"id":{"orig_h":"10.42.0.7","orig_p":41446,"resp_h":"203.0.113.66","resp_p":3333}`)},
		{name: "keys of a field name map", text: strings.NewReplacer("id.orig_h", "src_ip", "id.orig_p", "src_port", "id.resp_h", "dest_ip", "id.resp_p", "dest_port").Replace(object), want: []string{sawConn}},
		{name: "printed over many lines", text: strings.NewReplacer("{", "{\n  ", ",\"", ",\n  \"", "}", "\n}\n").Replace(object), want: []string{sawConn}},
		{name: "an array", text: "[" + object + ",\n" + object + "]\n", want: []string{sawConn, sawConn}},
		{name: "streamed, with path and written time", text: swap("{", `{"_path":"conn","_system_name":"edge","_write_ts":"2026-11-21T22:31:40.000000Z",`), want: seen("22:27:40.4005Z", "22:31:40Z")},
		{name: "iso time", text: swap("1795300000.1002", `"2026-11-21T22:26:40.100200Z"`), want: []string{sawConn}},
		{name: "epoch time as a string keeps its digits", text: swap("1795300000.1002", `"1795300000.100200"`), want: []string{sawConn}},
		{name: "zeros cut from the fraction are no coarser clock", text: swap("1795300000.1002", "1795300000.0"),
			want: []string{"2026-11-21T22:26:40.000000Z tcp 10.42.0.7:41446 > 203.0.113.66:3333 state=SF end=2026-11-21T22:27:40.300300Z bytes=900/7000 record=2026-11-21T22:27:40.3003Z"}},
		{name: "digits of a float printed again are no finer clock", text: swap("1795300000.1002", "1795300000.1001999378204346"),
			want: []string{"2026-11-21T22:26:40.100199Z tcp 10.42.0.7:41446 > 203.0.113.66:3333 state=SF end=2026-11-21T22:27:40.400499Z bytes=900/7000 record=2026-11-21T22:27:40.400499937Z"}},
		{name: "whole seconds", text: swap("1795300000.1002", "1795300000"),
			want: []string{"2026-11-21T22:26:40Z tcp 10.42.0.7:41446 > 203.0.113.66:3333 state=SF end=2026-11-21T22:27:40Z bytes=900/7000 record=2026-11-21T22:27:40.3003Z"}},
		{name: "a very short duration", text: swap("60.3003", "9.5367431640625e-7"),
			want: []string{"2026-11-21T22:26:40.100200Z tcp 10.42.0.7:41446 > 203.0.113.66:3333 state=SF end=2026-11-21T22:26:40.100200Z bytes=900/7000 record=2026-11-21T22:26:40.100200954Z"}},
		{name: "null is unset", text: swap("900", "null"), want: seen("900/7000", "-1/7000")},
		{name: "a dash is unset", text: swap("900", `"-"`), want: seen("900/7000", "-1/7000")},
		{name: "without a state, by the columns of connections only", text: swap(`,"conn_state":"SF"`, ""), want: seen("state=SF ", "")},
		{name: "time in milliseconds", text: swap("1795300000.1002", "1795300000100"), faults: []string{"not a Unix time in seconds"}},
		{name: "time as a float of another notation", text: swap("1795300000.1002", "1.7953000001002e9"), faults: []string{"not a Unix time in seconds"}},
		{name: "no time", text: swap(`"ts":1795300000.1002,`, ""), faults: []string{"no time (ts)"}},
		{name: "no address", text: swap(`"id.resp_h":"203.0.113.66",`, ""), faults: []string{"no address (id.resp_h)"}},
		{name: "an address that stands twice", text: swap(`"id.orig_h":"10.42.0.7"`, `"id.orig_h":"10.42.0.7","id.orig_h":"10.42.0.8"`), faults: []string{`key stands twice: "id.orig_h"`}},
		{name: "a path that stands twice", text: `{"_path":"http","_path":"conn","ts":1,"uid":"C1"}`, faults: []string{"key stands twice"}},
		{name: "no record of zeek's", text: `{"hello":"world"}` + "\n" + object, want: []string{sawConn}, faults: []string{"not a record of a Zeek log"}},
		{name: "no JSON", text: "hello\n" + object, want: []string{sawConn}, faults: []string{"not one JSON value"}},
		{name: "other logs between", skipped: 2,
			text: `{"ts":1795300000.1,"uid":"C1","id.orig_h":"10.42.0.7","id.resp_h":"203.0.113.66","method":"GET","uri":"/x"}` + "\n" + `{"_path":"stats","ts":1795300000.1,"mem":7}` + "\n" + object,
			want: []string{sawConn}},
	})
}

func TestZeekDNSJSON(t *testing.T) {
	const object = `{"ts":1795300000.1002,"uid":"CtideA1b2c3d4e5f7","id.orig_h":"10.42.0.7","id.orig_p":53100,"id.resp_h":"10.96.0.10","id.resp_p":53,"proto":"udp","trans_id":4660,"rtt":0.021,"query":"Pool.Example","qtype":1,"qtype_name":"A","rcode":0,"rcode_name":"NOERROR","answers":["edge.pool.example","203.0.113.66","203.0.113.67"],"TTLs":[30.0,30.0,30.0]}`
	swap := func(old, new string) string { return strings.Replace(object, old, new, 1) }
	seen := func(old, new string) []string { return []string{strings.Replace(sawDNS, old, new, 1)} }
	check(t, ZeekDNSJSON(), []variation{
		{name: "one a line", text: object, want: []string{sawDNS}},
		{name: "written time", text: swap("{", `{"_path":"dns","_write_ts":1795300009.5,`), want: seen("22:26:40.1212Z", "22:26:49.5Z")},
		{name: "no answers", text: swap(`"answers":["edge.pool.example","203.0.113.66","203.0.113.67"],`, ""), want: seen(" 203.0.113.66 203.0.113.67 edge.pool.example", "")},
		{name: "noise in the answers", text: swap(`"edge.pool.example","203.0.113.66"`, `"TXT 5 hello",7,null,"-","a b.example","`+strings.Repeat("x", 260)+`"`), want: seen("203.0.113.66 203.0.113.67 edge.pool.example", "203.0.113.67")},
		{name: "a connection between queries is read too", text: object + "\n" + `{"ts":1795300000.1002,"uid":"CtideA1b2c3d4e5f6","id.orig_h":"10.42.0.7","id.orig_p":41446,"id.resp_h":"203.0.113.66","id.resp_p":3333,"proto":"tcp","duration":60.3003,"orig_bytes":900,"resp_bytes":7000,"conn_state":"SF"}`,
			want: []string{sawDNS, sawConn}},
	})
}

// TestZeekConcatenated pins that several logs in one file, each with its own
// header, are all read by their own columns.
func TestZeekConcatenated(t *testing.T) {
	check(t, ZeekConn(), []variation{
		{name: "another order of columns", skipped: 2*headerLines + 1,
			text: connHeader + connLine + closeLine + zeekHeader("conn", "uid ts id.resp_h id.orig_h conn_state") + tsv("CtideB1 1795300001.5 203.0.113.9 10.42.0.8 REJ"),
			want: []string{sawConn, "2026-11-21T22:26:41.500Z  10.42.0.8:0 > 203.0.113.9:0 state=REJ bytes=-1/-1"}},
		{name: "another separator and back", skipped: 3 * headerLines,
			text: connHeader + connLine + strings.NewReplacer("#separator \\x09", "#separator \\x7c", "\t", "|").Replace(connHeader+connLine) + connHeader + connLine,
			want: []string{sawConn, sawConn, sawConn}},
		{name: "what a header leaves out is zeek's default again", skipped: headerLines + 2,
			text: strings.Replace(connHeader, "#unset_field\t-", "#unset_field\tnull", 1) + "#separator \\x09\n#fields\t" + tsv(strings.Join(connColumns.names, " ")) + connLine, want: []string{sawConn}},
		{name: "queries after connections", text: connHeader + connLine + dnsHeader + dnsLine, want: []string{sawConn, sawDNS}, skipped: 2 * headerLines},
		{name: "another log between", skipped: 3*headerLines + 1,
			text: connHeader + connLine + zeekHeader("weird", "ts uid id.orig_h id.resp_h name") + tsv("1795300000.1 C1 10.42.0.7 203.0.113.9 odd") + connHeader + connLine,
			want: []string{sawConn, sawConn}},
	})
}

// TestZeekAnswered pins which connection states prove that nobody answered.
func TestZeekAnswered(t *testing.T) {
	states := map[string]bool{
		"S0": false, "SH": false, "RSTOS0": false,
		"REJ": true, "S1": true, "S2": true, "S3": true, "SF": true, "RSTO": true, "RSTR": true,
		"RSTRH": true, "SHR": true, "OTH": true, "": true,
	}
	for state, want := range states {
		if got := answered(state); got != want {
			t.Errorf("state %q: answered is %t, want %t", state, got, want)
		}
	}
}

// TestZeekIdentity pins what makes a record unique.
func TestZeekIdentity(t *testing.T) {
	id := func(text string) event.ID {
		t.Helper()
		r := read(t, ZeekDNS(), text)
		if len(r.events) != 1 {
			t.Fatalf("%d events from %q: %v", len(r.events), text, r.tally.Faults)
		}
		return r.events[0].ID
	}
	base := id(dnsHeader + dnsLine)
	if again := id(dnsHeader + "#open\tagain\n" + dnsLine); again != base {
		t.Error("one record on another line has another ID")
	}
	for what, r := range map[string][2]string{
		"uid":            {"CtideA1b2c3d4e5f7", "CtideA1b2c3d4e5f8"},
		"time":           {"100200", "100201"},
		"transaction id": {"4660", "4661"},
		"query":          {"Pool.Example", "Pool2.Example"},
	} {
		if id(dnsHeader+strings.Replace(dnsLine, r[0], r[1], 1)) == base {
			t.Errorf("a record with another %s has the same ID", what)
		}
	}
	noUID := func(port string) event.ID {
		r := read(t, ZeekConn(), zeekHeader("conn", "ts id.orig_h id.orig_p id.resp_h id.resp_p proto conn_state")+tsv("1795300000.1 10.42.0.7 "+port+" 203.0.113.9 443 tcp SF"))
		return r.events[0].ID
	}
	if noUID("1025") == noUID("1026") {
		t.Error("without uid, two connections from different ports have the same ID")
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		``: ``, `plain`: `plain`, `\x2d`: `-`, `\x28empty)`: `(empty)`, `a\x09b`: "a\tb", `\\x2d`: `\x2d`, `\x1f`: "\x1f", `\x1F`: "\x1f",
		`\`: `\`, `\x`: `\x`, `\x2`: `\x2`, `\xg0`: `\xg0`, `\XfF`: `\XfF`, `\xfF`: "\xff",
	} {
		if got := unescape(in); got != want {
			t.Errorf("unescape(%q) = %q, want %q", in, got, want)
		}
	}
}
