package flow

import (
	"fmt"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
)

const (
	newTCP = "[1795300000.100200]\t    [NEW] tcp      6 120 SYN_SENT src=10.42.0.7 dst=203.0.113.66 sport=41446 dport=3333 [UNREPLIED] src=203.0.113.66 dst=192.0.2.10 sport=3333 dport=41446 id=731\n"
	endTCP = "[1795300060.400500]\t[DESTROY] tcp      6 src=10.42.0.7 dst=203.0.113.66 sport=41446 dport=3333 packets=9 bytes=900 src=203.0.113.66 dst=192.0.2.10 sport=3333 dport=41446 packets=8 bytes=7000 [ASSURED] id=731\n"

	sawNew = "2026-11-21T22:26:40.100200Z tcp 10.42.0.7:41446 > 203.0.113.66:3333 via=192.0.2.10 state=SYN_SENT bytes=-1/-1"
	sawEnd = "2026-11-21T22:26:40.100200Z tcp 10.42.0.7:41446 > 203.0.113.66:3333 via=192.0.2.10 end=2026-11-21T22:27:40.400500Z bytes=900/7000 record=2026-11-21T22:27:40.4005Z"
)

func TestConntrackRecords(t *testing.T) {
	check(t, Conntrack(), []variation{
		{name: "new", text: newTCP, want: []string{sawNew}},
		{name: "new without id", text: strings.Replace(newTCP, " id=731", "", 1), want: []string{sawNew}},
		{name: "carriage return at the line's end", text: strings.Replace(newTCP, "\n", "\r\n", 1), want: []string{sawNew}},
		{name: "extended", text: strings.Replace(newTCP, "tcp      6", "ipv4     2 tcp      6", 1), want: []string{sawNew}},
		{name: "behind a log shipper's prefix", text: "Nov 21 22:26:40 node-7 conntrack[812]: " + newTCP, want: []string{sawNew}},
		{name: "ipv6",
			text: "[1795300000.100200]\t    [NEW] ipv6     10 udp      17 30 src=2001:db8::7 dst=2001:db8:ffff::53 sport=40001 dport=53 [UNREPLIED] src=2001:db8:ffff::53 dst=2001:db8::7 sport=53 dport=40001 id=5\n",
			want: []string{"2026-11-21T22:26:40.100200Z udp [2001:db8::7]:40001 > [2001:db8:ffff::53]:53 bytes=-1/-1"}},
		{name: "icmp has no ports, and its id is not the entry's",
			text: "[1795300000.100200]\t    [NEW] icmp     1 30 src=10.42.0.7 dst=203.0.113.9 type=8 code=0 id=21 [UNREPLIED] src=203.0.113.9 dst=10.42.0.7 type=0 code=0 id=21 id=99\n" +
				"[1795300030.100200]\t[DESTROY] icmp     1 src=10.42.0.7 dst=203.0.113.9 type=8 code=0 id=21 [UNREPLIED] src=203.0.113.9 dst=10.42.0.7 type=0 code=0 id=21 id=99\n",
			want: []string{
				"2026-11-21T22:26:40.100200Z icmp 10.42.0.7:0 > 203.0.113.9:0 bytes=-1/-1",
				"2026-11-21T22:26:40.100200Z icmp 10.42.0.7:0 > 203.0.113.9:0 end=2026-11-21T22:27:10.100200Z bytes=-1/-1 unanswered record=2026-11-21T22:27:10.1002Z"}},
		{name: "two echoes between the same ends, without -o id",
			text: "[1795300000.100200]\t    [NEW] icmp     1 30 src=10.42.0.7 dst=203.0.113.9 type=8 code=0 id=21 [UNREPLIED] src=203.0.113.9 dst=10.42.0.7 type=0 code=0 id=21\n" +
				"[1795300030.100200]\t[DESTROY] icmp     1 src=10.42.0.7 dst=203.0.113.9 type=8 code=0 id=22 src=203.0.113.9 dst=10.42.0.7 type=0 code=0 id=22\n",
			want: []string{
				"2026-11-21T22:26:40.100200Z icmp 10.42.0.7:0 > 203.0.113.9:0 bytes=-1/-1",
				"unknown time icmp 10.42.0.7:0 > 203.0.113.9:0 end=2026-11-21T22:27:10.100200Z bytes=-1/-1 record=2026-11-21T22:27:10.1002Z"}},
		{name: "icmp of ipv6 is called icmp",
			text: "[1795300000.100200]\t    [NEW] icmpv6   58 30 src=2001:db8::7 dst=2001:db8::9 type=128 code=0 id=3 [UNREPLIED] src=2001:db8::9 dst=2001:db8::7 type=129 code=0 id=3\n",
			want: []string{"2026-11-21T22:26:40.100200Z icmp [2001:db8::7]:0 > [2001:db8::9]:0 bytes=-1/-1"}},
		{name: "unknown protocol takes its number's name",
			text: "[1795300000.100200]\t    [NEW] unknown  50 600 src=10.42.0.7 dst=203.0.113.9 [UNREPLIED] src=203.0.113.9 dst=10.42.0.7\n",
			want: []string{"2026-11-21T22:26:40.100200Z esp 10.42.0.7:0 > 203.0.113.9:0 bytes=-1/-1"}},
		{name: "protocol without a name keeps its number",
			text: "[1795300000.100200]\t    [NEW] unknown  253 600 src=10.42.0.7 dst=203.0.113.9 [UNREPLIED] src=203.0.113.9 dst=10.42.0.7\n",
			want: []string{"2026-11-21T22:26:40.100200Z 253 10.42.0.7:0 > 203.0.113.9:0 bytes=-1/-1"}},
		{name: "gre keys are no ports",
			text: "[1795300000.100200]\t    [NEW] gre      47 30 timeout=30, stream_timeout=180 src=10.42.0.7 dst=203.0.113.9 srckey=0x0 dstkey=0x7 [UNREPLIED] src=203.0.113.9 dst=10.42.0.7 srckey=0x7 dstkey=0x0\n",
			want: []string{"2026-11-21T22:26:40.100200Z gre 10.42.0.7:0 > 203.0.113.9:0 bytes=-1/-1"}},
		{name: "sctp",
			text: "[1795300000.100200]\t    [NEW] sctp     132 3 COOKIE_WAIT src=10.42.0.7 dst=203.0.113.9 sport=9000 dport=36412 [UNREPLIED] src=203.0.113.9 dst=10.42.0.7 sport=36412 dport=9000\n",
			want: []string{"2026-11-21T22:26:40.100200Z sctp 10.42.0.7:9000 > 203.0.113.9:36412 state=COOKIE_WAIT bytes=-1/-1"}},
		{name: "every flag and key at the end",
			text: strings.Replace(newTCP, " id=731", " [HW_OFFLOAD] [SOMETHING_NEW] mark=7 secctx=system_u:object_r:x secmark=0 zone=3 delta-time=0 [start=Sat Nov 21 22:26:40 2026] helper=ftp use=2 id=731 labels=a,b [USERSPACE] portid=77 progname=my tool", 1),
			want: []string{sawNew}},
		{name: "the originator's address is the one before translation",
			text: "[1795300000.100200]\t    [NEW] tcp      6 120 SYN_SENT src=172.17.0.2 dst=10.96.0.1 sport=40000 dport=443 [UNREPLIED] src=10.0.1.14 dst=10.0.1.3 sport=6443 dport=51234 id=8\n",
			want: []string{"2026-11-21T22:26:40.100200Z tcp 172.17.0.2:40000 > 10.96.0.1:443 via=10.0.1.3 state=SYN_SENT bytes=-1/-1"}},
		{name: "update tells nothing",
			text:    strings.Replace(strings.Replace(newTCP, "   [NEW]", "[UPDATE]", 1), "SYN_SENT", "SYN_RECV", 1),
			skipped: 1},
		{name: "microseconds of an old conntrack are adjusted to the left",
			text: strings.Replace(newTCP, "[1795300000.100200]", "[1795300000.42    ]", 1),
			want: []string{strings.Replace(sawNew, "40.100200Z", "40.000042Z", 1)}},
	})
}

func TestConntrackEnds(t *testing.T) {
	noEnd := strings.Replace(sawEnd, "2026-11-21T22:26:40.100200Z tcp", "unknown time tcp", 1)
	check(t, Conntrack(), []variation{
		{name: "end after its beginning", text: newTCP + endTCP, want: []string{sawNew, sawEnd}},
		{name: "matched by the addresses without id",
			text: strings.ReplaceAll(newTCP+endTCP, " id=731", ""), want: []string{sawNew, sawEnd}},
		{name: "beginning not recorded: no start, attributed to nobody", text: endTCP, want: []string{noEnd}},
		{name: "another id is another connection",
			text: newTCP + strings.Replace(endTCP, "id=731", "id=732", 1), want: []string{sawNew, noEnd}},
		{name: "the same id with other ports is another connection",
			text: newTCP + strings.ReplaceAll(endTCP, "41446", "41447"),
			want: []string{sawNew, strings.ReplaceAll(noEnd, "41446", "41447")}},
		{name: "another zone is another connection",
			text: newTCP + strings.Replace(endTCP, "id=731", "zone=4 id=731", 1), want: []string{sawNew, noEnd}},
		{name: "one beginning has one end", text: newTCP + endTCP + endTCP, want: []string{sawNew, sawEnd, noEnd}},
		{name: "addresses used again: the later beginning counts",
			text: newTCP + strings.Replace(newTCP, "1795300000.", "1795300030.", 1) + endTCP,
			want: []string{sawNew, strings.Replace(sawNew, "26:40", "27:10", 1), strings.Replace(sawEnd, "26:40", "27:10", 1)}},
		{name: "a beginning after the end is not its beginning",
			text: newTCP + strings.Replace(endTCP, "1795300060.", "1795299000.", 1),
			want: []string{sawNew, "unknown time tcp 10.42.0.7:41446 > 203.0.113.66:3333 via=192.0.2.10 end=2026-11-21T22:10:00.400500Z bytes=900/7000 record=2026-11-21T22:10:00.4005Z"}},
		{name: "age in whole seconds gives a start of two seconds' width",
			text: strings.Replace(endTCP, "[ASSURED]", "[ASSURED] delta-time=60 [start=Sat Nov 21 22:26:40 2026] [stop=Sat Nov 21 22:27:40 2026]", 1),
			want: []string{strings.Replace(noEnd, "unknown time", "2026-11-21T22:26:39Z", 1)}},
		{name: "a recorded beginning is better than the age",
			text: newTCP + strings.Replace(endTCP, "[ASSURED]", "[ASSURED] delta-time=61", 1), want: []string{sawNew, sawEnd}},
		{name: "nobody answered until the end",
			text: newTCP + "[1795300120.200300]\t[DESTROY] tcp      6 src=10.42.0.7 dst=203.0.113.66 sport=41446 dport=3333 packets=6 bytes=360 [UNREPLIED] src=203.0.113.66 dst=192.0.2.10 sport=3333 dport=41446 packets=0 bytes=0 id=731\n",
			want: []string{sawNew, "2026-11-21T22:26:40.100200Z tcp 10.42.0.7:41446 > 203.0.113.66:3333 via=192.0.2.10 end=2026-11-21T22:28:40.200300Z bytes=360/0 unanswered record=2026-11-21T22:28:40.2003Z"}},
		{name: "an end with a state and without counters",
			text: newTCP + "[1795300060.400500]\t[DESTROY] tcp      6 TIME_WAIT src=10.42.0.7 dst=203.0.113.66 sport=41446 dport=3333 src=203.0.113.66 dst=192.0.2.10 sport=3333 dport=41446 [ASSURED] id=731\n",
			want: []string{sawNew, "2026-11-21T22:26:40.100200Z tcp 10.42.0.7:41446 > 203.0.113.66:3333 via=192.0.2.10 state=TIME_WAIT end=2026-11-21T22:27:40.400500Z bytes=-1/-1 record=2026-11-21T22:27:40.4005Z"}},
	})
}

func TestConntrackFaults(t *testing.T) {
	untimed := newTCP[strings.Index(newTCP, "\t")+1:]
	cut := func(s, at string) string { return s[:strings.Index(s, at)+len(at)] + "\n" }
	check(t, Conntrack(), []variation{
		{name: "no time", text: untimed, faults: []string{"record it with -o timestamp"}},
		{name: "an end without a time", text: endTCP[strings.Index(endTCP, "\t")+1:], faults: []string{"record it with -o timestamp"}},
		{name: "a process id is no time", text: "conntrack[731]" + untimed, faults: []string{"record it with -o timestamp"}},
		{name: "kernel times have no zone and are not used",
			text: strings.Replace(untimed, "id=731", "[start=Sat Nov 21 22:26:40 2026] id=731", 1), faults: []string{"record it with -o timestamp"}},
		{name: "a fraction that lost its blanks is ambiguous",
			text: strings.Replace(newTCP, ".100200]", ".42]", 1), faults: []string{"six digits"}},
		{name: "text after the digits", text: strings.Replace(newTCP, ".100200]", ".1002000000e9]", 1), faults: []string{"not a Unix time in seconds"}},
		{name: "time 0", text: strings.Replace(newTCP, "1795300000.100200", "00000000.000000", 1), faults: []string{"time 0 is no time"}},
		{name: "a listing has no times",
			text:   "tcp      6 431999 ESTABLISHED src=10.42.0.7 dst=203.0.113.66 sport=41446 dport=3333 src=203.0.113.66 dst=192.0.2.10 sport=3333 dport=41446 [ASSURED] mark=0 use=1\n",
			faults: []string{"conntrack -E -o timestamp"}},
		{name: "cut in the originator's address", text: cut(newTCP, "src=10.42."), faults: []string{`"10.42." is not an address`}},
		{name: "cut in the originator's port", text: cut(newTCP, "dport=33"), faults: []string{"cut off"}},
		{name: "cut before the reply's other end", text: cut(newTCP, "[UNREPLIED] src=203.0.113.66"), faults: []string{"cut off"}},
		{name: "two lines glued together", text: strings.TrimSpace(newTCP[:len(newTCP)-len("46 id=731\n")]) + newTCP, faults: []string{"more than two directions"}},
		{name: "two lines glued together, the first cut earlier", text: strings.TrimSpace(newTCP[:strings.Index(newTCP, "dport=3333")+8]) + newTCP, faults: []string{"more than two directions"}},
		{name: "port out of range", text: strings.Replace(newTCP, "dport=3333", "dport=70000", 1), faults: []string{`"70000" is not a port`}},
		{name: "no ports at all", text: strings.ReplaceAll(strings.ReplaceAll(newTCP, "sport=41446 dport=3333 ", ""), "sport=3333 dport=41446 ", ""), faults: []string{"without ports"}},
		{name: "counter that is none", text: strings.Replace(endTCP, "bytes=900", "bytes=many", 1), faults: []string{`"many" is not a count`}},
		{name: "an age that is none", text: strings.Replace(endTCP, "id=731", "delta-time=-4", 1), faults: []string{"age of -4 seconds"}},
		{name: "expectations are no connections",
			text:   "[1795300000.100200]\t    [NEW] 300 proto=6 src=10.42.0.7 dst=203.0.113.66 sport=0 dport=2121 mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 master-src=10.42.0.7\n",
			faults: []string{"no connection in this line"}},
		{name: "xml is not read", text: "<flow type=\"new\"><meta direction=\"original\">\n", faults: []string{"no connection in this line"}},
		{name: "state that is none", text: strings.Replace(newTCP, "SYN_SENT", "syn-sent", 1), faults: []string{`"syn-sent" stands where`}},
		{name: "a bad line does not spoil its neighbours", text: newTCP + "garbage\n" + endTCP, want: []string{sawNew, sawEnd}, faults: []string{"no connection"}},
	})
}

func TestConntrackSaysWhatItLost(t *testing.T) {
	check(t, Conntrack(), []variation{
		{name: "the closing line of conntrack", text: newTCP + "conntrack v1.4.8 (conntrack-tools): 1 flow events have been shown.\n", want: []string{sawNew}, skipped: 1},
		{name: "a full netlink buffer", skipped: 2,
			text: newTCP + "WARNING: We have hit ENOBUFS! We are losing events.\nThis message means that the current netlink socket buffer size is too small.\nPlease, check --buffer-size in conntrack(8) manpage.\n",
			want: []string{sawNew, "unknown time lost -1: netlink buffer overflow (ENOBUFS) record=2026-11-21T22:26:40.1002Z"}},
	})
}

// TestConntrackIdentity pins what identifies a flow: beginning and end of one
// connection are two events, and reading a record twice gives the same one.
func TestConntrackIdentity(t *testing.T) {
	a := read(t, Conntrack(), newTCP+endTCP).events
	b := read(t, Conntrack(), "\n\n"+newTCP+endTCP).events
	if a[0].ID == a[1].ID {
		t.Error("beginning and end of a connection have one ID")
	}
	for i := range a {
		if a[i].ID != b[i].ID {
			t.Errorf("event %d has another ID when the file is read again with other line numbers", i)
		}
	}
	other := read(t, Conntrack(), strings.ReplaceAll(newTCP, ".100200", ".100201")).events
	if other[0].ID == a[0].ID {
		t.Error("two connections that began at different times have one ID")
	}
	if got := a[1].Origin.Spans; len(got) != 2 || got[0].Line != 2 || got[1].Line != 1 {
		t.Errorf("the end cites lines %v, want its own (2) and then its beginning's (1)", got)
	}
	if a[0].Origin.Source != event.Conntrack || a[0].Origin.Format != "conntrack" {
		t.Errorf("origin is %+v", a[0].Origin)
	}
}

// TestConntrackBound pins that the table of open connections is bounded, that
// the oldest goes first, and that starts lost by it are told once, at the end.
func TestConntrackBound(t *testing.T) {
	var got []event.Event
	var tally source.Tally
	f := Conntrack()
	out := &source.Output{Format: f, Tally: &tally, Emit: func(e event.Event) { got = append(got, e) }}
	d := &conntrackDecoder{out: out, open: newOpenTable(3)}
	feed := func(text string, port int) {
		text = strings.TrimSpace(strings.ReplaceAll(text, "41446", fmt.Sprint(port)))
		d.Decode(source.Record{Data: []byte(text), Span: event.Span{Line: 1}})
	}
	for port := 1; port <= 5; port++ {
		feed(newTCP, port)
	}
	for port := 1; port <= 5; port++ {
		feed(endTCP, port)
	}
	d.Flush()
	for i, e := range got[5:10] {
		if pushedOut := i < 2; e.Time.IsZero() != pushedOut {
			t.Errorf("end of connection %d has time %s", i+1, e.Time)
		}
	}
	if len(got) != 11 {
		t.Fatalf("%d events, want 5 beginnings, 5 ends and one loss", len(got))
	}
	want := "unknown time lost 2: more than 3 connections open at once: starts forgotten record=2026-11-21T22:27:40.4005Z"
	if line(got[10]) != want {
		t.Errorf("got  %s\nwant %s", line(got[10]), want)
	}
}

func TestOpenTableForgetsTheOldest(t *testing.T) {
	table := newOpenTable(100)
	for i := range 1000 {
		table.add([]byte(fmt.Sprint(i)), opened{at: event.Time{At: int64(i + 1), Res: 1}})
		if i%2 == 0 { // every other connection ends at once
			if _, ok := table.take([]byte(fmt.Sprint(i))); !ok {
				t.Fatalf("connection %d is not known right after its beginning", i)
			}
		}
		if len(table.live) > 100 || len(table.order) > 200 {
			t.Fatalf("after %d connections: %d remembered, %d in order", i, len(table.live), len(table.order))
		}
	}
	if table.dropped != 400 {
		t.Errorf("dropped %d, want 400: of 500 that did not end, 100 fit", table.dropped)
	}
	for i := range 1000 {
		_, ok := table.take([]byte(fmt.Sprint(i)))
		if want := i%2 == 1 && i >= 800; ok != want {
			t.Errorf("connection %d remembered: %t, want %t", i, ok, want)
		}
	}
}

// TestOpenTableForgetsWhatEnded pins that connections which ended, or began
// again, leave nothing behind.
func TestOpenTableForgetsWhatEnded(t *testing.T) {
	ended, renewed := newOpenTable(10), newOpenTable(10)
	for i := range 1000 {
		ended.add([]byte(fmt.Sprint(i)), opened{})
		ended.take([]byte(fmt.Sprint(i)))
		renewed.add([]byte("same"), opened{})
	}
	for _, table := range []*openTable{ended, renewed} {
		if len(table.order) > 100 || len(table.live) > 1 || table.dropped != 0 {
			t.Errorf("%d in order, %d remembered, %d dropped", len(table.order), len(table.live), table.dropped)
		}
	}
}

// TestOpenTableRenewal pins that a connection begun again counts as new.
func TestOpenTableRenewal(t *testing.T) {
	table := newOpenTable(2)
	for at, key := range []string{"a", "b", "a", "c"} {
		table.add([]byte(key), opened{at: event.Time{At: int64(at + 1), Res: 1}})
	}
	if _, ok := table.take([]byte("b")); ok {
		t.Error("b is still known, although a was begun after it")
	}
	if o, ok := table.take([]byte("a")); !ok || o.at.At != 3 {
		t.Errorf("a began at %d (known: %t), want 3", o.at.At, ok)
	}
}
