package kernel

import (
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/ebpf"
	"tidewaiter/source/sourcetest"
)

const container = "3fa6f1ee1d2c4b5a69788796a5b4c3d2e1f00112233445566778899aabbccdde"

// raw lays a record out as the programs do.
func raw(r record) []byte {
	le := binary.LittleEndian
	b := make([]byte, headLen)
	le.PutUint64(b, uint64(r.at))
	le.PutUint64(b[8:], uint64(r.since))
	for i, n := range []uint32{r.kind, r.pid, r.ppid, r.uid, r.auid, r.session, uint32(r.code)} {
		le.PutUint32(b[16+4*i:], n)
	}
	le.PutUint16(b[44:], r.cut)
	copy(b[headComm:], r.comm)
	if r.to.IsValid() {
		le.PutUint16(b[46:], r.to.Port())
		le.PutUint16(b[48:], 10)
		if copy(b[headAddr:], r.to.Addr().AsSlice()) == 4 {
			le.PutUint16(b[48:], familyInet)
		}
	}
	for i, s := range r.text {
		le.PutUint16(b[headLens+2*i:], uint16(len(s)))
		b = append(b, s...)
	}
	return b
}

// told makes a record with text.
func told(kind uint32, text ...string) record {
	r := record{kind: kind, at: 5_000_000_000, since: 4_000_000_000, pid: 4711, ppid: 4700, uid: 33, auid: noID, session: noID, comm: []byte("app")}
	for i, s := range text {
		r.text[i] = []byte(s)
	}
	return r
}

// offset is what makes the wall clock of the machine's.
const offset = 1_793_700_000_000_000_000

func line(t testing.TB, r record) string {
	t.Helper()
	var parsed record
	if err := parsed.parse(raw(r)); err != nil {
		t.Fatal(err)
	}
	return string(parsed.append(nil, offset))
}

// Hostile strings come out of the decoder as the bytes that they were.
func TestWhatIsWrittenIsRead(t *testing.T) {
	every := make([]byte, 0, 255)
	for c := 1; c < 256; c++ {
		every = append(every, byte(c))
	}
	for name, args := range map[string][]string{
		"plain":     {"wget", "-q"},
		"empty":     {"wget", "", ""},
		"quotes":    {`"},{"ebpf":"exec"`, `\`, "\n\r\t\x7f"},
		"UTF-8":     {"ä€😀\u2028\u00ff"},
		"not UTF-8": {"ok ä", string(every), "\xc3", "\xa9"},
		"halves":    {"\xf0\x9f", "\x98\x80"},
	} {
		r := told(kindExec, "/docker/"+container, "", "/bin/x\""+args[0], "./asked", "/bin/sh", "/tmp", strings.Join(args, "\x00")+"\x00")
		text := line(t, r)
		if !json.Valid([]byte(text)) || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: %q", name, text)
		}
		events, tally := sourcetest.Decode(t, ebpf.Kernel(), text)
		if len(events) != 1 {
			t.Fatalf("%s: %+v", name, tally)
		}
		want := &event.Process{PID: 4711, PPID: 4700, UID: 33, AUID: -1, Session: -1, Comm: "app", Exe: "/bin/x\"" + args[0], Script: "/tmp/asked", Cwd: "/tmp", Args: args, Container: container}
		sourcetest.CheckEvent(t, events[0], event.Time{At: offset + 5_000_000_000, Res: 1}, want)
	}
}

func TestLines(t *testing.T) {
	with := func(r record, change func(*record)) record { change(&r); return r }
	const who = `"since":4000000000,"pid":4711,"ppid":4700,"uid":33`
	for want, r := range map[string]record{
		`{"ebpf":"exec","t":1793700005000000000,` + who + `,"auid":1000,"session":3,"cut":true,"deep":true,"comm":"app","exe":"/x","args":["a","b"]}`: with(
			told(kindExec, "", "", "/x", "/x", "", "", "a\x00b"), func(r *record) { r.auid, r.session, r.cut = 1000, 3, cutArgs|cutCgroup }),
		`{"ebpf":"exit","t":1793700005000000000,` + who + `,"status":2,"comm":"app"}`:            with(told(kindExit), func(r *record) { r.code = 2 << 8 }),
		`{"ebpf":"exit","t":1793700005000000000,` + who + `,"status":0,"signal":9,"comm":"app"}`: with(told(kindExit), func(r *record) { r.code = 0x80 | 9 }),
		`{"ebpf":"connect","t":1793700005000000000,"protocol":"tcp","addr":"192.0.2.1","port":443,` + who + `,"comm":"app","cgroup":"/","cgroup2":"/y","exe":"/x"}`: with(
			told(kindTCP, "/", "/y", "/x"), func(r *record) { r.to = netip.MustParseAddrPort("192.0.2.1:443") }),
		`{"ebpf":"connect","t":1793700005000000000,"protocol":"udp","addr":"2001:db8::1","port":53,` + who + `,"comm":"app"}`: with(
			told(kindUDP), func(r *record) { r.to = netip.MustParseAddrPort("[2001:db8::1]:53") }),
		`{"ebpf":"connect","t":1793700005000000000,"protocol":"tcp","addr":"192.0.2.1","port":1,` + who + `,"comm":"app"}`: with(
			told(kindTCP), func(r *record) { r.to = netip.MustParseAddrPort("[::ffff:192.0.2.1]:1") }),
	} {
		if got := line(t, r); got != want+"\n" {
			t.Errorf("\n got %swant %s", got, want)
		}
	}
	running := told(kindRunning, "/", "", "/x")
	running.boot = "b"
	if got, want := string(running.append(nil, offset)), `{"ebpf":"running","t":1793700005000000000,"started":1793700004000000000,"boot":"b",`+who+`,"comm":"app","cgroup":"/","exe":"/x"}`+"\n"; got != want {
		t.Errorf("\n got %swant %s", got, want)
	}
}

func TestShortRecords(t *testing.T) {
	whole := raw(told(kindExec, "/docker", "", "/x"))
	var r record
	for n := range whole {
		if err := r.parse(whole[:n]); err == nil {
			t.Errorf("%d bytes of %d are taken for a record", n, len(whole))
		}
	}
}

// FuzzRecord reads anything as a record of the kernel: it is a line of JSON that
// says what was in it, whatever the strings are.
func FuzzRecord(f *testing.F) {
	f.Add(raw(told(kindExec, "/docker/"+container, "/y", "/x", "./x", "/bin/sh", "/tmp", "a\x00b\xff\x00")))
	f.Add(raw(told(kindUDP, "/", "", "/x")))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r record
		if r.parse(data) != nil {
			return
		}
		text := r.append(nil, 0)
		var v struct {
			Args  []string
			Exe   string
			Bytes bool
		}
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		var args []string
		if all := string(r.text[pieceArgs]); all != "" {
			args = strings.Split(strings.TrimSuffix(all, "\x00"), "\x00")
		}
		for i, a := range args {
			if args[i] = a; v.Bytes {
				args[i] = string(latin(a))
			}
		}
		if !reflect.DeepEqual(v.Args, args) && len(v.Args)+len(args) > 0 {
			t.Errorf("%q, want %q", v.Args, args)
		}
	})
}

// latin gives each byte its character.
func latin(s string) (out []rune) {
	for _, c := range []byte(s) {
		out = append(out, rune(c))
	}
	return out
}

func typical() []byte {
	return raw(told(kindExec, "/docker/"+container, "", "/bin/busybox", "/usr/bin/wget", "", "", "wget\x00-q\x00-O\x00/tmp/.x\x00http://files.example/x\x00"))
}

// BenchmarkWrite is from the kernel's record to the line.
func BenchmarkWrite(b *testing.B) {
	data := typical()
	var r record
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		if err := r.parse(data); err != nil {
			b.Fatal(err)
		}
		out = r.append(out[:0], offset)
	}
	b.SetBytes(int64(len(out)))
}

// BenchmarkWriteAndRead is from the kernel's record to the event.
func BenchmarkWriteAndRead(b *testing.B) {
	data := typical()
	var r record
	const at = 1000
	records := make([][]byte, at)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if err := r.parse(data); err != nil {
			b.Fatal(err)
		}
		r.at = int64(n)
		if records[n%at] = r.append(records[n%at][:0], offset); n%at == at-1 {
			if events, _ := sourcetest.Feed(ebpf.Kernel(), records); len(events) != at {
				b.Fatal(len(events))
			}
		}
	}
}
