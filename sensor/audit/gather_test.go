package audit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tidewaiter/event"
	"tidewaiter/source/auditd"
	"tidewaiter/source/sourcetest"
)

// sent is a record as the kernel sends it.
type sent struct {
	typ  uint16
	text string
}

// execRecords are what the kernel says of one program that is started.
func execRecords(serial, pid int) []sent {
	stamp := fmt.Sprintf("audit(1763800000.123:%d): ", serial)
	return []sent{
		{1300, stamp + fmt.Sprintf(`arch=c000003e syscall=59 success=yes exit=0 a0=55 a1=56 a2=57 a3=8 items=2 ppid=1 pid=%d auid=4294967295 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=4294967295 comm="sh" exe="/usr/bin/dash" subj=unconfined key="tidewaiter"`, pid)},
		{1309, stamp + `argc=3 a0="sh" a1="-c" a2=6563686F202261220A`},
		{1307, stamp + `cwd="/tmp"`},
		{1302, stamp + `item=0 name="/bin/sh" inode=1 dev=08:01 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0`},
		{1302, stamp + `item=1 name="/lib64/ld-linux-x86-64.so.2" inode=2 dev=08:01 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0`},
		{1327, stamp + "proctitle=7368002D63006563686F202261220A"},
		{1320, stamp},
	}
}

var t0 = time.Unix(1763800000, 0)

func feed(g *gatherer, at time.Time, all ...sent) {
	for _, m := range all {
		g.add(m.typ, []byte(m.text), at)
	}
}

// TestOneEventIsGivenAtOnce: records of two events and of none, interleaved.
func TestOneEventIsGivenAtOnce(t *testing.T) {
	g := newGatherer()
	a, b := execRecords(7, 4711), execRecords(8, 4712)
	for i := range a {
		feed(g, t0, a[i])
		if i == 2 {
			feed(g, t0, sent{1112, "audit(1763800000.123:9): pid=1 uid=0 auid=0 ses=1 msg='op=login id=0 res=success'\x00"})
			if got := string(g.take()); got != "type=USER_LOGIN msg=audit(1763800000.123:9): pid=1 uid=0 auid=0 ses=1 msg='op=login id=0 res=success'\n" {
				t.Errorf("given: %q", got)
			}
		}
		whole := string(g.take())
		if last := i == len(a)-1; last != (whole != "") {
			t.Fatalf("record %d: given: %q", i, whole)
		}
		if whole != "" && (strings.Count(whole, "\n") != 7 || strings.Count(whole, "audit(1763800000.123:7)") != 7 || !strings.HasPrefix(whole, "type=SYSCALL msg=audit(1763800000.123:7): arch=") || !strings.HasSuffix(whole, "type=EOE msg=audit(1763800000.123:7):\n")) {
			t.Errorf("given: %q", whole)
		}
		feed(g, t0, b[i])
	}
	whole := string(g.take())
	if g.oldest != nil || g.held != 0 || len(g.open) != 0 {
		t.Errorf("something is held: %+v", g)
	}
	events, tally := sourcetest.Decode(t, auditd.Format(), whole)
	sourcetest.Require(t, events, func(p *event.Process) bool {
		return p.PID == 4712 && p.Exe == "/usr/bin/dash" && p.Cwd == "/tmp" && len(p.Args) == 3 && p.Args[2] == "echo \"a\"\n"
	})
	if len(events) != 1 || tally.Unreadable != 0 {
		t.Errorf("%d events, %d unreadable", len(events), tally.Unreadable)
	}
}

// TestWhatHasNoEndIsGiven: after a while, or when too much is held.
func TestWhatHasNoEndIsGiven(t *testing.T) {
	g := newGatherer()
	feed(g, t0, execRecords(7, 1)[:3]...)
	feed(g, t0.Add(settleAfter/2), execRecords(8, 2)[:3]...)
	feed(g, t0.Add(settleAfter/2), execRecords(7, 1)[3])
	if g.settle(t0.Add(settleAfter)); len(g.whole) > 0 {
		t.Errorf("given too early: %q", g.take())
	}
	g.settle(t0.Add(2 * settleAfter))
	if got := string(g.take()); strings.Count(got, ":8)") != 3 || strings.Count(got, ":7)") != 4 || strings.LastIndex(got, ":8)") > strings.Index(got, ":7)") {
		t.Errorf("given: %q", got)
	}
	for i := range 2 * maxOpen {
		feed(g, t0, execRecords(i, 1)[0])
	}
	if len(g.open) != maxOpen || strings.Count(string(g.take()), "\n") != maxOpen {
		t.Errorf("%d events are held", len(g.open))
	}
	g.all()
	long := strings.Repeat("x", 8000)
	for i := range 4096 {
		feed(g, t0, sent{1309, fmt.Sprintf("audit(1763800000.123:%d): argc=1 a0=%s", i%2, long)})
	}
	if g.held > maxHeld {
		t.Errorf("%d bytes are held", g.held)
	}
	given := len(g.take())
	g.all()
	if given += len(g.take()); given < 2*maxOpen+4096*len(long) {
		t.Errorf("only %d bytes are given", given)
	}
}

// TestNobodyForgesARecord: a text that somebody chose has no line ends.
func TestNobodyForgesARecord(t *testing.T) {
	g := newGatherer()
	feed(g, t0, sent{1107, "audit(1763800000.123:9): pid=1 msg='x\ntype=SYSCALL msg=audit(1763800000.123:9): arch=c000003e\r\n'"})
	if got := string(g.take()); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "type=USER_AVC msg=audit(1763800000.123:9): pid=1 msg='x type=SYSCALL") || strings.Contains(got, "\r") {
		t.Errorf("given: %q", got)
	}
	for _, text := range []string{"", "audit", "audit(", "audit(1.2:", "audit(1.2:x)", "audit(1.2:3", "audit(no stamp at all, and much longer than any)"} {
		feed(g, t0, sent{1300, text})
		if got := string(g.take()); got != "type=SYSCALL msg="+text+"\n" {
			t.Errorf("given: %q", got)
		}
	}
	feed(g, t0, sent{1398, "audit(1763800000.123:10): x"}, sent{1320, "audit(1763800000.123:10): "})
	if got := string(g.take()); !strings.HasPrefix(got, "type=UNKNOWN[1398] msg=audit(") {
		t.Errorf("given: %q", got)
	}
}

// BenchmarkGather is the way of one event's records from the socket's buffer to
// the lines that are recorded.
func BenchmarkGather(b *testing.B) {
	records := execRecords(7, 4711)
	texts := make([][]byte, len(records))
	size := 0
	for i, r := range records {
		texts[i] = []byte(r.text)
		size += len(r.text)
	}
	g := newGatherer()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for i, r := range records {
			g.add(r.typ, texts[i], t0)
		}
		if len(g.take()) == 0 {
			b.Fatal("nothing is given")
		}
	}
}
