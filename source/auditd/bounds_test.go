package auditd

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
)

// TestManyArguments: thousands of arguments over many records; the first maxArgs
// are kept, and the event says that there were more. Its lines are cited up to
// the bound, the SYSCALL record first.
func TestManyArguments(t *testing.T) {
	const argc, perRecord = 5000, 100
	at := "1795000400.000:77"
	l := execLines(at, 55, 1, 0)
	log := l[2] // CWD comes first
	for i := 0; i < argc; i += perRecord {
		log += "type=EXECVE msg=audit(" + at + "):"
		if i == 0 {
			log += fmt.Sprintf(" argc=%d", argc)
		}
		for j := i; j < i+perRecord; j++ {
			log += fmt.Sprintf(" a%d=\"v%d\"", j, j)
		}
		log += "\n"
	}
	var r result
	out := &source.Output{Format: Format(), Tally: &r.tally, Emit: func(e event.Event) { r.events = append(r.events, e) }}
	d := out.Format.New(out)
	feed(d, &r.tally, []byte(log+l[0]+l[3]+l[4]+l[5]+l[6]))
	if len(r.events) != 1 || r.tally.Unreadable != 0 {
		t.Fatalf("%d events before the end of the input, faults %v", len(r.events), r.tally.Faults)
	}
	d.Flush()
	accounted(t, r)
	p := r.events[0].Body.(*event.Process)
	if len(p.Args) != maxArgs || p.Args[0] != "v0" || p.Args[maxArgs-1] != fmt.Sprintf("v%d", maxArgs-1) || !p.ArgsTruncated {
		t.Errorf("%d arguments, truncated %v", len(p.Args), p.ArgsTruncated)
	}
	spans := r.events[0].Origin.Spans
	if len(spans) != maxSpans || spans[0].Line != 52 || spans[1].Line != 1 || spans[2].Line != 2 {
		t.Errorf("cited %v", spans)
	}
}

// TestLongArguments: at most maxArgBytes are kept, whether the argument is quoted,
// in hex, or in pieces.
func TestLongArguments(t *testing.T) {
	for name, arg := range map[string]string{
		"quoted": ` a1="` + strings.Repeat("q", 2*maxArgBytes) + `"`,
		"hex":    ` a1=` + strings.Repeat("41", 2*maxArgBytes),
		"pieces": strings.Repeat(` a1[0]="x"`, 3*maxPieces),
		"pieces of nothing": func() (s string) {
			for i := range maxPieces - 1 {
				s += fmt.Sprintf(` a1[%d]=""`, i)
			}
			return s + ` a2="end" a3="beyond"`
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			l := execLines("1795000400.000:78", 55, 1, 0)
			l[1] = "type=EXECVE msg=audit(1795000400.000:78): argc=2 a0=\"app\"" + arg + "\n"
			r := decode([]byte(strings.Join(l, "")))
			accounted(t, r)
			p := r.events[0].Body.(*event.Process)
			size := 0
			for _, a := range p.Args {
				size += len(a)
			}
			if !p.ArgsTruncated || size > maxArgBytes || len(p.Args) < 2 || p.Args[0] != "app" {
				t.Errorf("%d arguments of %d bytes, truncated %v", len(p.Args), size, p.ArgsTruncated)
			}
		})
	}
}

// TestLongFields: a field longer than any the kernel prints is a fault, and no
// line, however often repeated, makes a group grow without bound.
func TestLongFields(t *testing.T) {
	long := strings.Repeat("a", maxText+1)
	l := execLines("1795000500.000:90", 55, 1, 0)
	for _, record := range []string{
		strings.Replace(l[0], "/usr/bin/rsync", long, 1),
		strings.Replace(l[0], `"/usr/bin/rsync"`, strings.Repeat("61", maxText+1), 1),
		"type=CWD msg=audit(1795000500.000:90): cwd=\"" + long + "\"\n",
		"type=PATH msg=audit(1795000500.000:90): item=0 name=\"" + long + "\" nametype=NORMAL\n",
		"type=PROCTITLE msg=audit(1795000500.000:90): proctitle=\"" + long + "\"\n",
	} {
		r := decode([]byte(record))
		if r.tally.Unreadable != 1 || !errors.Is(r.tally.Faults[0], errLongText) {
			t.Errorf("%.60s…: %+v", record, r.tally)
		}
	}
	r := decode([]byte("node=" + strings.Repeat("n", maxNodeLen+1) + " " + l[0]))
	if r.tally.Unreadable != 1 || !errors.Is(r.tally.Faults[0], errNode) {
		t.Errorf("long node name: %+v", r.tally)
	}
}

// TestGroupMemory: repeated and oversized records do not fill memory.
func TestGroupMemory(t *testing.T) {
	var r result
	out := &source.Output{Format: Format(), Tally: &r.tally, Emit: func(event.Event) {}}
	d := newDecoder(out)
	name := strings.Repeat("n", maxText)
	for i := range 2000 {
		feed(d, &r.tally, fmt.Appendf(nil, "type=PATH msg=audit(1795000500.000:91): item=%d name=\"%s\" name=\"%s\"\n", i%70, name, name))
		feed(d, &r.tally, fmt.Appendf(nil, "type=CWD msg=audit(1795000500.000:91): cwd=\"%s\"\n", name))
		feed(d, &r.tally, fmt.Appendf(nil, "type=EXECVE msg=audit(1795000500.000:91): a%d[%d]=\"%s\"\n", i%300, i, name[:100]))
		feed(d, &r.tally, []byte("type=SOCKADDR msg=audit(1795000500.000:91): saddr=0200"+strings.Repeat("00", 126)+"\n"))
	}
	g := d.table.oldest
	if n := len(g.text); n > (maxPaths+4)*maxText {
		t.Errorf("a group keeps %d bytes of text", n)
	}
	if len(g.args.text) > maxArgBytes || len(g.args.pieces) > maxPieces || len(g.args.lengths) > maxArgs {
		t.Errorf("a group keeps %d bytes in %d pieces of arguments", len(g.args.text), len(g.args.pieces))
	}
	d.Flush()
	for i := range 2 * maxNodes {
		feed(d, &r.tally, fmt.Appendf(nil, "node=n%d type=CWD msg=audit(1795000500.000:91): cwd=\"/\"\n", i))
	}
	if len(d.names.known) > maxNodes {
		t.Errorf("%d node names are kept", len(d.names.known))
	}
	d.Flush()
	for g := d.table.free; g != nil; {
		next := g.next
		g.reset()
		if cap(g.text) > maxSpare || cap(g.args.text) > maxSpare {
			t.Errorf("an emptied group keeps %d and %d bytes", cap(g.text), cap(g.args.text))
		}
		g = next
	}
	accounted(t, r)
}
