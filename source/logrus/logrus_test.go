package logrus

import (
	"strings"
	"testing"

	"tidewaiter/event"
)

const stamp = "2026-05-04T08:09:10.123456789Z"

var at = event.Time{At: 1777882150123456789, Res: 1}

// want is what a line must give.
type want struct {
	msg, attr, host, program string
	foreign, own             bool
	at                       event.Time
	fault                    string // of Cut, Message, Attr or Time
}

func TestCut(t *testing.T) {
	full := want{msg: "hello there", attr: "b c", at: at}
	ownFrom := func(host, program string) want {
		w := full
		w.host, w.program, w.own = host, program, true
		return w
	}
	pairs := `time="` + stamp + `" level=info msg="hello there" key="b c" other=1`
	const colour = "\x1b[36m"
	for _, c := range []struct {
		name, line string
		want       want
	}{
		{"pairs", pairs, full},
		{"pairs without a time", `level=info msg="hello there" key="b c"`, want{fault: "no absolute time"}},
		{"a blank in the time", strings.Replace(pairs, "T08", " 08", 1), full},
		{"not quoted", "time=" + stamp + " level=info msg=hello key=b", want{msg: "hello", attr: "b", at: at}},
		{"no such attribute", "time=" + stamp + " msg=hello", want{msg: "hello", at: at}},
		{"no message", "time=" + stamp + " level=info", want{at: at}},
		{"quotes in quotes", `time="` + stamp + `" msg="a \"b\" \\" key=c`, want{msg: `a "b" \`, attr: "c", at: at}},
		{"JSON", `{"key":"b c","level":"info","msg":"hello there","time":"` + stamp + `"}`, full},
		{"JSON, a number", `{"key":7,"level":"info","msg":"x","time":"` + stamp + `"}`, want{msg: "x", attr: "7", at: at}},
		{"JSON, an attribute twice", `{"key":7,"key":8,"level":"info","msg":"x","time":"` + stamp + `"}`, want{fault: "stands twice"}},
		{"JSON, a message twice", `{"msg":"a","msg":"b","level":"info","time":"` + stamp + `"}`, want{fault: "stands twice"}},
		{"JSON, a time that is a number", `{"level":"info","msg":"x","time":1}`, want{fault: "no entry"}},
		{"JSON, no object", `{"a"`, want{fault: "not one JSON value"}},
		{"terminal", "INFO[" + stamp + "] hello there    key=\"b c\"", full},
		{"terminal, colours", colour + "INFO\x1b[0m[" + stamp + "] hello there    " + colour + "key\x1b[0m=\"b c\"", full},
		{"terminal, blanks in the message", "INFO[" + stamp + "] a  b", want{msg: "a  b", at: at}},
		{"terminal, very many blanks", "INFO[" + stamp + "] " + strings.Repeat("a  ", 40) + "key=b", want{msg: strings.Repeat("a  ", 40) + "key=b", at: at}},
		{"terminal, since the start", "INFO[0012] hello", want{fault: "no absolute time"}},
		{"terminal, since the start, in a journal", "2026-05-04T10:09:10+0200 h dockerd[1]: INFO[0012] hello",
			want{msg: "hello", host: "h", program: "dockerd", own: true, at: event.Time{At: 1777882150e9, Res: 1e9}}},
		{"no time in a journal", "2026-05-04T10:09:10+02:00 h dockerd[1]: level=info msg=hello",
			want{msg: "hello", host: "h", program: "dockerd", own: true, at: event.Time{At: 1777882150e9, Res: 1e9}}},
		{"syslog", "May  4 08:09:10 h dockerd[7]: " + pairs, ownFrom("h", "dockerd")},
		{"syslog without a process", "May  4 08:09:10 h dockerd: " + pairs, ownFrom("h", "dockerd")},
		{"syslog without a host", "May  4 08:09:10 dockerd[7]: " + pairs, ownFrom("", "dockerd")},
		{"syslog of localhost", "May  4 08:09:10 localhost dockerd[7]: " + pairs, ownFrom("", "dockerd")},
		{"journald", "2026-05-04T08:09:10+0000 h.acme.example dockerd[7]: " + pairs, ownFrom("h.acme.example", "dockerd")},
		{"RFC 5424", "<30>1 2026-05-04T08:09:10Z h dockerd 7 - - " + pairs, ownFrom("h", "dockerd")},
		{"RFC 5424 with data", `<30>1 2026-05-04T08:09:10Z h dockerd 7 - [a b="c"] ` + pairs, ownFrom("h", "dockerd")},
		{"RFC 5424 without a host", "<30>1 2026-05-04T08:09:10Z - dockerd 7 - - " + pairs, ownFrom("", "dockerd")},
		{"RFC 5424, too few words", "<30>1 2026-05-04T08:09:10Z h dockerd", want{fault: "no line of a daemon's log"}},
		{"RFC 5424, no end", "<30>1 2026-05-04T08:09:10Z h dockerd 7 - [a", want{fault: "no line of a daemon's log"}},
		{"another program's", "May  4 08:09:10 h cron[7]: " + pairs, want{foreign: true, host: "h", program: "cron"}},
		{"a container's", "May  4 08:09:10 h 0123456789ab[7]: " + pairs, want{foreign: true, host: "h", program: "0123456789ab"}},
		{"a stack", "May  4 08:09:10 h dockerd[7]: goroutine 1 [running]:", want{foreign: true, own: true, host: "h", program: "dockerd"}},
		{"nothing", "", want{fault: "no line of a daemon's log"}},
		{"no time before the program", "a b c: " + pairs, want{fault: "no line of a daemon's log"}},
		{"a quote before the program", `08:09:10 "h dockerd: ` + pairs, want{fault: "no line of a daemon's log"}},
		{"a pair without a key", "time=1 =b", want{fault: "no line of a daemon's log"}},
		{"a quote that does not end", `time="` + stamp, want{fault: "does not end"}},
		{"a bad escape", `time="` + stamp + `" msg="\q"`, want{fault: "quoted value"}},
		{"a bad escape in a pair", `time="` + stamp + `" msg=a key="\q"`, want{fault: "quoted value"}},
		{"a pair that does not end", `time="` + stamp + `" msg=a other="b`, want{fault: "does not end"}},
		{"a bracket that does not end", "INFO[" + stamp, want{fault: "no line of a daemon's log"}},
		{"no bracket", colour + "INFO " + stamp, want{fault: "no line of a daemon's log"}},
		{"a colour that does not end", "\x1b[36", want{fault: "no line of a daemon's log"}},
		{"a year out of range", "0001-05-04T08:09:10+0000 h dockerd[1]: INFO[0012] x", want{fault: "no absolute time"}},
	} {
		t.Run(c.name, func(t *testing.T) { checkLine(t, c.line, c.want) })
	}
}

func checkLine(t *testing.T, text string, w want) {
	r := Reader{Programs: []string{"dockerd"}, JSON: true}
	got := want{}
	l, err := r.Cut([]byte(text))
	got.foreign, got.own, got.host, got.program = l.Foreign, l.IsOwn(), l.Host(), l.Program()
	if err == nil && !l.Foreign {
		got.msg, err = l.Message()
		if err == nil && l.IsEmpty() != (got.msg == "") {
			t.Errorf("emptiness is not told of %q", got.msg)
		}
	}
	if err == nil && !l.Foreign {
		got.attr, err = l.Attr("key")
	}
	if err == nil && !l.Foreign {
		got.at, err = l.Time()
	}
	if w.fault != "" {
		if err == nil || !strings.Contains(err.Error(), w.fault) {
			t.Fatalf("fault %v, want %q", err, w.fault)
		}
		return
	}
	if err != nil || got != w {
		t.Errorf("got %+v, %v\nwant %+v", got, err, w)
	}
}

func TestHas(t *testing.T) {
	r := Reader{JSON: true}
	for _, line := range []string{`time=x msg="hello there"`, "INFO[x] hello there", `{"level":"info","msg":"hello there","time":"x"}`} {
		l, err := r.Cut([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if !l.Has("hello ") || !l.Has("") || l.Has("there") || l.Has("hello there and more than that") {
			t.Errorf("%s: what the message begins with is not told", line)
		}
	}
}

// JSON is read only where a daemon may print it.
func TestJSONIsAskedFor(t *testing.T) {
	var r Reader
	if _, err := r.Cut([]byte(`{"level":"info","msg":"x","time":"` + stamp + `"}`)); err == nil {
		t.Error("read")
	}
}

// The key of a line does not depend on the way that it took, unless only that
// tells its time.
func TestKey(t *testing.T) {
	key := func(line string) string {
		r := Reader{Programs: []string{"dockerd"}}
		l, err := r.Cut([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		return string(l.AppendKey(nil))
	}
	timed, bare := `time="`+stamp+`" msg=a`, "INFO[0012] a"
	if key(timed) != key("May  4 08:09:10 h dockerd[7]: "+timed) {
		t.Error("one line has two keys")
	}
	if key(bare) == key("2026-05-04T08:09:10Z h dockerd[7]: "+bare) {
		t.Error("two lines have one key")
	}
}
