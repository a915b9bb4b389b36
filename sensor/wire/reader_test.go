package wire

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"tidewaiter/sensor/sensortest"
	"tidewaiter/source"
	"tidewaiter/source/flow"
	"tidewaiter/source/sourcetest"
)

const (
	client = "192.0.2.10:4000"
	api    = "198.51.100.2:2375"
	dnsAt  = "203.0.113.53:53"
)

// reading gives packets to a reader.
type reading struct {
	*reader
	out *sensortest.Recorder
	now time.Time
}

func newReading() *reading {
	out := sensortest.New("")
	return &reading{newReader(out), out, start}
}

func (r *reading) give(packets ...sent) {
	for _, s := range packets {
		r.now = r.now.Add(time.Millisecond)
		var p packet
		if p.parse(s.bytes(), meta{at: r.now}) {
			r.packet(&p)
		}
	}
}

// call gives what a client says, cut into segments.
func (r *reading) call(seq uint32, segments ...string) {
	for _, s := range segments {
		r.give(sent{client, api, seq, false, s})
		seq += uint32(len(s))
	}
}

// end tells what still waits.
func (r *reading) end() {
	r.expire(r.now, true)
	r.flush()
}

func (r *reading) lines(lane string) string { return strings.Join(r.out.Lines(lane), "\n") }

// decodes reads what was recorded, all of which must be read.
func (r *reading) decodes(t *testing.T, f *source.Format, want int) {
	t.Helper()
	lines := r.out.Lines(f.Name)
	if len(lines) == 0 && want == 0 {
		return
	}
	events, tally := sourcetest.Decode(t, f, strings.Join(append(lines, ""), "\n"))
	if len(events) != want || tally.Unreadable > 0 {
		t.Errorf("%d events, want %d: %+v of\n%s", len(events), want, tally, strings.Join(lines, "\n"))
	}
}

// TestMessages: DNS as it comes, and as somebody makes it who means harm.
func TestMessages(t *testing.T) {
	ask := asking(7, "Files.Example.")
	answer := answerTo(ask)
	wild := dnsmessage.Name{}
	wild.Length = uint8(copy(wild.Data[:], "a\n\x00\xff\"b.example."))
	odd, err := (&dnsmessage.Message{Header: dnsmessage.Header{ID: 8}, Questions: []dnsmessage.Question{{Name: wild, Type: 65, Class: 1}}}).Pack()
	if err != nil {
		t.Fatal(err)
	}
	refused := append([]byte(nil), ask...)
	refused[2], refused[3] = 0x80, 5
	for what, c := range map[string]struct {
		question, answer []byte
		want             []string
	}{
		"answered":                     {ask, answer, []string{`"query":"files.example"`, `"rcode_name":"NOERROR"`, `"answers":["cdn.example","203.0.113.66"]`, `"TTLs":[30.000000,30.000000]`, `"rtt":0.001`}},
		"cut off":                      {ask, answer[:len(answer)-2], []string{`"answers":["cdn.example"]`}},
		"refused":                      {ask, refused, []string{`"rcode":5`, `"rejected":true`}},
		"never answered":               {ask, nil, []string{`"query":"files.example"`}},
		"not its answer":               {ask, answerTo(asking(7, "other.example.")), []string{`"query":"files.example"`}},
		"signs and bytes":              {odd, nil, []string{`"query":"a\\x0a\\x00\\xff\"b.example"`, `"qtype":65`}},
		"too long a label":             {[]byte("\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xff" + strings.Repeat("x", 255) + "\x00\x00\x01\x00\x01"), nil, nil},
		"a name that points to itself": {[]byte("\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"), nil, nil},
		"nothing asked":                {[]byte("\x00\x07\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), nil, nil},
	} {
		for _, udp := range []bool{true, false} {
			r := newReading()
			question, answer := c.question, c.answer
			if !udp {
				question = prefixed(question)
				if answer != nil {
					answer = prefixed(answer)
				}
				r.give(sent{client, dnsAt, 100, udp, string(question[:1])}, sent{client, dnsAt, 103, udp, string(question[3:])}, sent{client, dnsAt, 101, udp, string(question[1:3])})
			} else {
				r.give(sent{client, dnsAt, 1, udp, string(question)})
			}
			if answer != nil {
				r.give(sent{dnsAt, client, 900, udp, string(answer)})
			}
			r.end()
			lines := r.out.Lines("zeek-dns-json")
			if len(lines) != min(len(c.want), 1) {
				t.Errorf("%s: %q", what, lines)
			}
			for _, want := range c.want {
				if !strings.Contains(r.lines("zeek-dns-json"), want) {
					t.Errorf("%s: %s is not in %s", what, want, lines)
				}
			}
			r.decodes(t, flow.ZeekDNSJSON(), len(lines))
		}
	}
}

// TestQuestionsAreBounded: a flood of questions is told, and nothing is kept of it.
func TestQuestionsAreBounded(t *testing.T) {
	r := newReading()
	for i := range 3 * maxLookups {
		r.give(sent{fmt.Sprintf("192.0.2.10:%d", 1024+i), dnsAt, uint32(i), true, string(asking(uint16(i), fmt.Sprintf("n%d.example.", i)))})
	}
	if len(r.lookups.live) > maxLookups || len(r.lookups.queue) > 2*maxLookups+1 {
		t.Errorf("%d wait", len(r.lookups.live))
	}
	r.end()
	if n := len(r.out.Lines("zeek-dns-json")); n != 3*maxLookups {
		t.Errorf("%d told", n)
	}
	// An answer to what nobody asked is not told.
	r.give(sent{dnsAt, client, 900, true, string(answerTo(asking(9, "forged.example.")))})
	r.end()
	if strings.Contains(r.lines("zeek-dns-json"), "forged") {
		t.Error("an answer that nobody asked for is told")
	}
}

// greet is what a client of crypto/tls says first.
func greet(t testing.TB, name string, suites []tls.CurveID) string {
	t.Helper()
	a, b := net.Pipe()
	go func() {
		_ = tls.Client(a, &tls.Config{ServerName: name, InsecureSkipVerify: true, CurvePreferences: suites}).Handshake()
	}()
	defer a.Close()
	defer b.Close()
	buf := make([]byte, 16<<10)
	n, err := b.Read(buf)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// TestGreetings: a name is read if it is in the first segment.
func TestGreetings(t *testing.T) {
	whole := greet(t, "pool.example", nil)
	at := strings.Index(whole, "pool.example")
	if at < 0 {
		t.Fatal("no name")
	}
	ech := strings.Replace(whole, "pool.example", "outer.\x00\xffname", 1)
	for what, c := range map[string]struct {
		greeting, want string
	}{
		"whole":                        {whole, `"version":"TLSv13","server_name":"pool.example","ssl_history":"C"`},
		"its end in a second segment":  {whole[:at+20], `"server_name":"pool.example"`},
		"its name in a second segment": {whole[:at-3], `"version":"TLSv12","ssl_history":"C"`},
		"no name":                      {greet(t, "", nil), `"version":"TLSv13","ssl_history":"C"`},
		"a name of odd signs":          {ech, `"server_name":"outer.\u0000` + "\uFFFD" + `name"`},
		"of version 3, and nothing":    {"\x16\x03\x01\x00\x04\x01\x00\x00\x00", ""},
		"what a server says":           {"\x16\x03\x03\x00\x10\x02" + whole[6:], ""},
		"lengths that are not there":   {whole[:43] + "\xff\xff\xff\xff", `"version":"TLSv12"`},
	} {
		r := newReading()
		r.give(sent{client, "203.0.113.66:443", 5, false, c.greeting}, sent{client, "203.0.113.66:443", 5, false, c.greeting})
		r.end()
		lines := r.out.Lines("zeek-ssl-json")
		if got := strings.Join(lines, "\n"); c.want == "" && got != "" || !strings.Contains(got, c.want) || len(lines) > 1 {
			t.Errorf("%s: %s", what, got)
		}
		r.decodes(t, flow.ZeekSSLJSON(), len(lines))
	}
}

// TestRequests: requests are found in a connection, in whatever segments they
// come, and never in a body.
func TestRequests(t *testing.T) {
	const fake = "POST /v1.41/build?t=forged HTTP/1.1\r\nHost: h\r\n\r\n"
	create := fmt.Sprintf("POST /v1.41/containers/create?name=upd HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\nX-Registry-Auth: hunter2\r\n\r\n", len(fake)) + fake
	pieces := fmt.Sprintf("POST /build?t=a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%x;hunter2\r\n%s\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n", len(fake), fake)
	const get = "GET /info HTTP/1.1\r\nHost: h\r\nUser-Agent: docker\r\n\r\n"
	huge := "POST /build?t=huge HTTP/1.1\r\nHost: h\r\nX-Long: " + strings.Repeat("x", 80<<10) + "\r\n\r\n"
	for what, c := range map[string]struct {
		segments []string
		want     []string
	}{
		"one":                     {[]string{get}, []string{"GET h /info docker"}},
		"bare line ends":          {[]string{strings.ReplaceAll(get, "\r", "")}, []string{"GET h /info docker"}},
		"byte by byte":            {strings.Split(get, ""), []string{"GET h /info docker"}},
		"several in one segment":  {[]string{get + create + pieces + get}, []string{"GET h /info docker", "POST h /v1.41/containers/create?name=upd ", "POST h /build?t=a ", "GET h /info docker"}},
		"a body beside its head":  {[]string{create[:len(create)-len(fake)], fake, get}, []string{"POST h /v1.41/containers/create?name=upd ", "GET h /info docker"}},
		"pieces in many segments": {append(strings.SplitAfter(pieces, "\n"), get), []string{"POST h /build?t=a ", "GET h /info docker"}},
		"a line end in a header":  {[]string{"GET /info HTTP/1.1\r\nHost: h\r\nUser-Agent: a\rb\r\n\r\n", get}, []string{"GET h /info docker"}},
		"lines of a record":       {[]string{"GET /a\"}\x01 HTTP/1.1\r\nHost: h\r\n\r\n", get}, []string{"GET h /info docker"}},
		"folded":                  {[]string{"GET /info HTTP/1.1\r\nHost: h\r\nUser-Agent: a\r\n {\"ts\":1}\r\n\r\n"}, []string{`GET h /info a {\"ts\":1}`}},
		"a huge header":           {[]string{huge[:40<<10], huge[40<<10:]}, []string{"POST h /build?t=huge "}},
		"a huge target":           {[]string{"POST /build?t=" + strings.Repeat("x", 50<<10), strings.Repeat("x", 30<<10)}, []string{"POST  /build?t=" + strings.Repeat("x", maxURI-len("/build?t=")) + "… "}},
		"a header without end":    {[]string{"POST /build?t=slow HTTP/1.1\r\nHost: h\r\nX-", "A: b"}, []string{"POST h /build?t=slow "}},
		"no HTTP, and HTTP/2":     {[]string{"\x00\x01\x02", "hello", "PRI * HTTP/2.0\r\n\r\n"}, []string{"PRI  * "}},
		"secrets": {[]string{"POST /build?remote=https%3A%2F%2Fu%3Ahunter2%40git.example%2Fx%3Ftoken%3Dhunter2&buildargs=hunter2&x=hunter2;y=hunter2 HTTP/1.1\r\nHost: h\r\nAuthorization: hunter2\r\n\r\n"},
			[]string{"POST h /build?remote=https%3A%2F%2F%3Credacted%3E%40git.example%2Fx%3F%3Credacted%3E&buildargs=<redacted>&x=<redacted>&y=<redacted> "}},
		"a proxy's": {[]string{"GET http://u:hunter2@h/info HTTP/1.1\r\nHost: h\r\n\r\n"}, []string{"GET h http://<redacted>@h/info "}},
	} {
		r := newReading()
		r.call(4294967290, c.segments...) // the numbers begin anew on the way
		r.end()
		var got []string
		for _, line := range r.out.Lines("zeek-http-json") {
			get := func(key string) string {
				_, rest, _ := strings.Cut(line, `"`+key+`":"`)
				val, _, _ := strings.Cut(rest, `",`)
				return strings.TrimSuffix(val, `"}`)
			}
			got = append(got, strings.Join([]string{get("method"), get("host"), get("uri"), get("user_agent")}, " "))
		}
		if g, w := strings.Join(got, "\n"), strings.Join(c.want, "\n"); g != w {
			t.Errorf("%s:\n got %.300s\nwant %.300s", what, g, w)
		}
		if strings.Contains(r.lines("zeek-http-json"), "hunter2") || strings.Contains(r.lines("zeek-http-json"), "forged") {
			t.Errorf("%s: told is what must not be: %s", what, r.lines("zeek-http-json"))
		}
		r.decodes(t, flow.ZeekHTTPJSON(), len(c.want))
	}
}

// TestAnswersOfRequests: a status is that of its request, also where answers
// come of several; after an upgrade nothing is a request; and after a loss
// requests are found again.
func TestAnswersOfRequests(t *testing.T) {
	r := newReading()
	say := func(seq uint32, text string) { r.give(sent{api, client, seq, false, text}) }
	r.call(1, "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n")
	say(1, "HTTP/1.1 100 Continue\r\n\r\n")
	say(30, "HTTP/1.1 404 Not Found\r\n\r\n")
	say(60, "not the beginning")
	say(90, "HTTP/1.1 200 OK\r\n\r\n")
	r.call(900_000, "GET /c HTTP/1.1\r\nHost: h\r\n\r\n") // what was before it is lost
	r.call(10_000_000, "GET /d HTTP/1.1\r\nHost: h\r\n\r\n")
	r.now = r.now.Add(statusTime)
	r.expire(r.now, false)
	r.call(20_000_000, "POST /session HTTP/1.1\r\nHost: h\r\n\r\n")
	say(300, "HTTP/1.1 101 UPGRADED\r\n\r\n")
	r.call(20_000_100, "POST /build?t=inside HTTP/1.1\r\nHost: h\r\n\r\n")
	r.end()
	want := []string{`"uri":"/a","version":"1.1","request_body_len":0,"status_code":404}`, `"uri":"/b","version":"1.1","request_body_len":0,"status_code":200}`,
		`"uri":"/c","version":"1.1","request_body_len":0}`, `"uri":"/d","version":"1.1","request_body_len":0}`, `"uri":"/session","version":"1.1","request_body_len":0,"status_code":101}`}
	lines := r.out.Lines("zeek-http-json")
	if len(lines) != len(want) {
		t.Fatalf("%q", lines)
	}
	for i, w := range want {
		if !strings.HasSuffix(lines[i], w) {
			t.Errorf("\n got %s\nwant %s", lines[i], w)
		}
	}
}

// TestConnectionsAreBounded: who opens many has what was begun told, and the
// rest counted.
func TestConnectionsAreBounded(t *testing.T) {
	r := newReading()
	for i := range maxTalks + 10 {
		r.give(sent{fmt.Sprintf("192.0.2.10:%d", 1024+i), api, 1, false, "POST /build?t=a HTTP/1.1\r\nHost: h\r\nX"})
	}
	if len(r.talks) != maxTalks || r.byAge.Len() != maxTalks {
		t.Errorf("%d are followed", len(r.talks))
	}
	r.end()
	if n := len(r.out.Lines("zeek-http-json")); n != maxTalks+10 {
		t.Errorf("%d told", n)
	}
	if l := fmt.Sprint(r.out.Losses()); l != "[10 more connections than are followed at once]" {
		t.Errorf("losses %s", l)
	}
	if r.waits() {
		t.Error("something still waits")
	}
}

// TestHalf: what comes in disorder is put in order, what is too much is refused.
func TestHalf(t *testing.T) {
	var h half
	for _, s := range []segment{{10, []byte("ab")}, {14, []byte("ef")}, {12, []byte("cd")}, {11, []byte("bcdefg")}, {10, []byte("ab")}} {
		if !h.add(s.number, s.data) {
			t.Fatal("refused")
		}
		h.keep()
	}
	if string(h.buf) != "abcdefg" {
		t.Errorf("%q", h.buf)
	}
	if h.add(17+maxHalf+1, []byte("x")) {
		t.Error("a gap of any length is waited for")
	}
	for i := range uint32(maxAhead + 1) {
		if ok := h.add(100+2*i, []byte("x")); ok != (i < maxAhead) {
			t.Errorf("segment %d: %v", i, ok)
		}
	}
}

// FuzzPackets: no packets, on whatever interfaces they come, do harm, and what
// is recorded of them is read.
func FuzzPackets(f *testing.F) {
	hello := greet(f, "pool.example", nil)
	for _, s := range []sent{
		{client, dnsAt, 1, true, string(asking(7, "a.example."))}, {dnsAt, client, 1, true, string(answerTo(asking(7, "a.example.")))},
		{client, dnsAt, 1, false, string(prefixed(asking(7, "a.example.")))}, {client, "[2001:db8::2]:443", 1, false, hello},
		{client, api, 1, false, "POST /build?t=a&buildargs=x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"},
		{api, client, 1, false, "HTTP/1.1 200 OK\r\n\r\n"},
	} {
		if netip.MustParseAddrPort(s.dst).Addr().Is6() {
			s.src = "[2001:db8::1]:4000"
		}
		f.Add(s.bytes(), 20, byte(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, cut int, flags byte) {
		r := newReading()
		// The packet, then its payload again in two segments, the second one first.
		var p packet
		if !p.parse(data, meta{at: start, outgoing: flags&1 != 0}) {
			return
		}
		r.packet(&p)
		cut = min(max(cut, 0), len(p.payload))
		for _, part := range []struct {
			from, to int
		}{{cut, len(p.payload)}, {0, cut}} {
			again := p
			again.number, again.payload = p.number+uint32(len(p.payload)+part.from), p.payload[part.from:part.to]
			if flags&2 != 0 {
				again.src, again.dst = p.dst, p.src
			}
			r.packet(&again)
		}
		r.end()
		for _, format := range []*source.Format{flow.ZeekDNSJSON(), flow.ZeekSSLJSON(), flow.ZeekHTTPJSON()} {
			lines := r.out.Lines(format.Name)
			if len(lines) == 0 {
				continue
			}
			if _, tally := sourcetest.Decode(t, format, strings.Join(append(lines, ""), "\n")); tally.Unreadable > 0 {
				t.Fatalf("%+v of %q", tally, lines)
			}
		}
	})
}
