package auditd

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
)

// bodies gives the bodies by event ID: what a log says, whatever its order.
func bodies(t *testing.T, events []event.Event) map[event.ID]event.Body {
	t.Helper()
	m := map[event.ID]event.Body{}
	for _, e := range events {
		if _, ok := m[e.ID]; ok {
			t.Errorf("%v %v was given out twice", e.Body.Kind(), e.Time)
		}
		m[e.ID] = e.Body
	}
	return m
}

// TestShuffle: however the records of a log are shuffled within a window of 200
// lines, the same events come out, and no record is lost or unreadable.
func TestShuffle(t *testing.T) {
	text := generate(600)
	want := bodies(t, decode(text).events)
	if len(want) != 600 {
		t.Fatalf("%d events in order, want 600", len(want))
	}
	ordered := strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
	ordered[len(ordered)-1] += "\n"
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		lines := slices.Clone(ordered)
		for i := 0; i < len(lines); i += 200 {
			w := lines[i:min(i+200, len(lines))]
			r.Shuffle(len(w), func(i, j int) { w[i], w[j] = w[j], w[i] })
		}
		if seed%2 == 1 { // as auditd stores it
			lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "type=EOE") })
		}
		got := decode([]byte(strings.Join(lines, "")))
		accounted(t, got)
		if got.tally.Unreadable != 0 {
			t.Errorf("seed %d: %d unreadable: %v", seed, got.tally.Unreadable, got.tally.Faults)
		}
		if m := bodies(t, got.events); !reflect.DeepEqual(m, want) {
			t.Errorf("seed %d: %d events, want the same %d", seed, len(m), len(want))
		}
	}
}

// TestLive: an event comes out with its last record, not when the next event
// begins: a live source may wait for that for hours.
func TestLive(t *testing.T) {
	var r result
	out := &source.Output{Format: Format(), Tally: &r.tally, Emit: func(e event.Event) { r.events = append(r.events, e) }}
	d := out.Format.New(out)
	lines := execLines("1795000100.000:9", 10, 1, 0)
	for i, l := range lines[:6] {
		if len(r.events) != 0 {
			t.Fatalf("an event came out after %d records", i)
		}
		feed(d, &r.tally, []byte(l))
	}
	if len(r.events) != 1 {
		t.Fatalf("%d events after PROCTITLE, want 1", len(r.events))
	}
	feed(d, &r.tally, []byte(lines[6]))
	d.Flush()
	d.Flush()
	if len(r.events) != 1 || r.tally.Skipped != 1 {
		t.Errorf("EOE and Flush: %d events, %d skipped, want 1 and 1", len(r.events), r.tally.Skipped)
	}
}

// unfinished gives n events that lack everything but a SYSCALL record, step
// milliseconds apart.
func unfinished(n int, step int) string {
	var b strings.Builder
	for i := range n {
		ms := i * step
		b.WriteString(execLines(fmt.Sprintf("%d.%03d:%d", 1795000200+ms/1000, ms%1000, 500+i), 100+i, 1, i)[0])
	}
	return b.String()
}

// TestBounds: unfinished events are given out when too many are open or when
// they are too old, and what comes for them later is counted with a reason.
func TestBounds(t *testing.T) {
	late := execLines("1795000200.000:500", 100, 1, 0)
	for _, test := range []struct {
		name string
		log  string
		want []int // lines of the events, in the order given out, at the time of the first late record
	}{
		{"as many open as may be", unfinished(maxOpen, 1), nil},
		{"one more", unfinished(maxOpen+1, 1), []int{1}},
		{"old, but few newer", unfinished(minNewer, 5000), nil},
		{"old, and enough newer", unfinished(minNewer+1, 5000), []int{1}},
		{"many newer, but not old", unfinished(100, 20), nil},
		{"older than the bound", unfinished(102, 20), []int{1}},
		{"another node's clock is ahead", "node=slow " + unfinished(1, 0) + strings.ReplaceAll(unfinished(100, 5000), "type=", "node=fast type="), nil},
		{"settled, and old", unfinished(1, 0) + strings.Join(late[1:5], "") + unfinished(2, 5000), []int{1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r result
			var at []int
			out := &source.Output{Format: Format(), Tally: &r.tally, Emit: func(e event.Event) {
				r.events = append(r.events, e)
				at = append(at, e.Origin.Line())
			}}
			d := newDecoder(out)
			feed(d, &r.tally, []byte(test.log))
			if !slices.Equal(at, test.want) {
				t.Errorf("events of lines %v were given out, want %v", at, test.want)
			}
			if d.table.open > maxOpen {
				t.Errorf("%d events are open, the limit is %d", d.table.open, maxOpen)
			}
			d.Flush()
			if d.table.open != 0 || d.table.oldest != nil || d.table.newest != nil {
				t.Errorf("%d events are open after Flush", d.table.open)
			}
		})
	}
}

// TestLate: after an event was given out, a record that it lacked is a fault; one
// that it had, or that nobody wants, is not.
func TestLate(t *testing.T) {
	l := execLines("1795000200.000:500", 100, 1, 0)
	log := unfinished(1, 0) + l[3] + unfinished(maxOpen+1, 1)
	early := decode([]byte(log))
	for _, test := range []struct {
		record string
		fault  string
	}{
		{l[0], ""},
		{l[1], "EXECVE record of event 1795000200.000:500 came after the event was given out"},
		{l[2], "CWD record of event 1795000200.000:500 came after the event was given out"},
		{l[4], "PATH record of event 1795000200.000:500 came after the event was given out"},
		{l[5], "PROCTITLE record of event 1795000200.000:500 came after the event was given out"},
		{l[6], ""},
	} {
		r := decode([]byte(log + test.record))
		accounted(t, r)
		if len(r.events) != len(early.events) {
			t.Errorf("%.20s: %d events, want %d", test.record, len(r.events), len(early.events))
		}
		got := ""
		if len(r.tally.Faults) > 0 {
			got = r.tally.Faults[0].Err.Error()
		}
		if got != test.fault {
			t.Errorf("%.20s: fault %q, want %q", test.record, got, test.fault)
		}
	}
}

// TestLatePiece: an event that was given out with some of its arguments lacks the
// others: a late EXECVE record is a fault, one that it had is not.
func TestLatePiece(t *testing.T) {
	l := execLines("1795000200.000:500", 100, 1, 0)
	first := "type=EXECVE msg=audit(1795000200.000:500): argc=3 a0=\"rsync\" a1=\"-a\"\n"
	second := "type=EXECVE msg=audit(1795000200.000:500): a2=\"/vault\"\n"
	filler := strings.ReplaceAll(unfinished(maxOpen+1, 1), "audit(17950002", "audit(17950003")
	for _, test := range []struct {
		log    string
		faults int64
	}{
		{l[0] + first + filler + second, 1},
		{l[0] + first + second + filler + second, 0},
	} {
		r := decode([]byte(test.log))
		accounted(t, r)
		if r.tally.Unreadable != test.faults {
			t.Errorf("%d faults %v, want %d", r.tally.Unreadable, r.tally.Faults, test.faults)
		}
	}
}

// TestForgets: the memory of finished events is bounded; a log that is read
// twice gives events with the same IDs again.
func TestForgets(t *testing.T) {
	text := generate(2*pastSets*pastWays + 100)
	r := decode(append(slices.Clone(text), text...))
	accounted(t, r)
	n := len(r.events) / 2
	if r.tally.Unreadable != 0 || n < 2*pastSets*pastWays {
		t.Fatalf("%d events, %d unreadable", len(r.events), r.tally.Unreadable)
	}
	first := bodies(t, r.events[:n])
	if second := bodies(t, r.events[n:]); !reflect.DeepEqual(first, second) {
		t.Error("the second reading gave other events")
	}
}

// TestFutureStamp: one record with a time from the future, and a clock that is
// set back, do not tear the events around them apart.
func TestFutureStamp(t *testing.T) {
	a, b := execLines("1795000300.000:1", 11, 1, 0), execLines("1795000300.004:2", 12, 1, 0)
	future := execLines("4000000000.000:3", 13, 1, 0)[0]
	log := future + a[0] + b[0] + a[1] + b[1] + strings.Join(a[2:], "") + strings.Join(b[2:], "")
	r := decode([]byte(log))
	accounted(t, r)
	if len(r.events) != 3 || r.tally.Unreadable != 0 {
		t.Errorf("%d events, %d unreadable (%v), want 3 and 0", len(r.events), r.tally.Unreadable, r.tally.Faults)
	}
}

// TestStamp: the stamp is the time that event.ParseEpoch reads, with the kernel
// clock's resolution, and is printed in the event's key as audit prints it.
func TestStamp(t *testing.T) {
	for _, stamp := range []string{"0.000:0", "1.001:1", "1795000000.840:101", "9199999999.999:4294967295"} {
		millis, serial, ok := parseStamp([]byte(stamp))
		if !ok {
			t.Fatalf("%s is refused", stamp)
		}
		k := eventKey{"", millis, serial}
		if got := string(k.appendStamp(nil)); got != stamp {
			t.Errorf("stamp %s is printed as %s", stamp, got)
		}
		want, err := event.ParseEpoch(stamp[:strings.IndexByte(stamp, ':')])
		if err != nil {
			t.Fatal(err)
		}
		if got := k.time(); got.At != want.At || got.Res != 10*event.Millisecond {
			t.Errorf("stamp %s is %v, want %v", stamp, got, want)
		}
	}
	for _, stamp := range []string{"", ".", ":", "1", "1.2:3", "1.0000:3", "1.000", "1.000:", "1.000:x", "1.000:4294967296",
		"x.000:1", "1.0x0:1", "1,000:1", "-1.000:1", "9200000001.000:1", "18446744073709551617.000:1", "1.000:1 "} {
		if millis, serial, ok := parseStamp([]byte(stamp)); ok {
			t.Errorf("stamp %q is taken for %d, %d", stamp, millis, serial)
		}
	}
}

// TestIdentity: an event's ID depends on node, stamp and kind, and on nothing
// else: the same record behind another prefix is the same event.
func TestIdentity(t *testing.T) {
	id := func(log string) event.ID {
		t.Helper()
		r := decode([]byte(log))
		if len(r.events) != 1 {
			t.Fatalf("%d events in %q", len(r.events), log)
		}
		return r.events[0].ID
	}
	l := execLines("1795000600.000:1", 55, 1, 0)[0]
	base := id(l)
	if id("Nov 18 10:26:40 amber audispd: "+l) != base || id(strings.Replace(l, "type=SYSCALL", "type=1300", 1)) != base {
		t.Error("a prefix changes the ID")
	}
	for _, other := range []string{
		"node=amber " + l,
		execLines("1795000600.001:1", 55, 1, 0)[0],
		execLines("1795000600.000:2", 55, 1, 0)[0],
		strings.Join(connectLines("1795000600.000:1", 55, 1, 0), ""),
	} {
		if id(other) == base {
			t.Errorf("%.60s… has the same ID", other)
		}
	}
}

// TestSniff: content is recognised through the real opening path, whatever
// stands before the records, and other logs are not.
func TestSniff(t *testing.T) {
	raw := generate(20)
	wrapped := bytes.ReplaceAll(raw, []byte("type="), []byte("Nov 18 10:26:40 amber audispd: type="))
	for _, test := range []struct {
		name string
		log  []byte
		want int
	}{
		{"raw", raw, 100},
		{"one line, cut", raw[:300], 100},
		{"syslog", wrapped, 100},
		{"mixed", append([]byte("Nov 18 10:26:40 amber cron[1]: job\n"), wrapped[:1500]...), 70},
		{"syslog without audit", []byte("Nov 18 10:26:40 amber sshd[1]: Invalid user type=SYSCALL msg=audit(1795000000.000:1): x=1\n"), 0},
		{"json", []byte(`{"type":"SYSCALL","msg":"audit(1795000000.000:1)"}` + "\n"), 0},
		{"interpreted", []byte("type=SYSCALL msg=audit(11/18/2026 10:26:40.840:101) : arch=x86_64\n"), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, test.log, 0o600); err != nil {
				t.Fatal(err)
			}
			sure := 0
			f := Format()
			sniff := f.Sniff
			f.Sniff = func(s source.Sample) int { sure = sniff(s); return sure }
			in, err := source.Open(path, source.Options{Formats: []*source.Format{f}})
			if sure < test.want || test.want == 0 && sure != 0 {
				t.Errorf("sure to %d %%, want %d %%", sure, test.want)
			}
			if test.want == 0 {
				if !errors.Is(err, source.ErrUnrecognised) {
					t.Errorf("error %v, want %v", err, source.ErrUnrecognised)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			n := 0
			for _, err := in.Next(); err == nil; _, err = in.Next() {
				n++
			}
			if n == 0 || int64(n) != in.Tallies()[0].Tally.Events {
				t.Errorf("%d events, tally %+v", n, in.Tallies()[0].Tally)
			}
		})
	}
}
