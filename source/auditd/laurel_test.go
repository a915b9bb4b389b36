package auditd

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// laurel makes an event: the fields of SYSCALL that differ, and the other
// records.
func laurel(syscall, records string) string {
	if records != "" {
		records = "," + records
	}
	return `{"ID":"1793700001.250:77","NODE":"web1","SYSCALL":{"arch":"0xc000003e",` + syscall +
		`,"ppid":4700,"pid":4711,"auid":4294967295,"uid":33,"tty":"(none)","ses":4294967295,"comm":"app","exe":"/srv/a%25pp","key":"x"}` + records + `}`
}

// exec makes an execve.
func exec(records string) string {
	return laurel(`"syscall":59,"success":"yes","exit":0,"items":2,"ARGV":["0x1","0x2","0x3","0x0"]`,
		`"CWD":{"cwd":"/srv"},"PATH":[{"item":0,"name":"./a%25pp","dev":"00:2f","nametype":"NORMAL"},{"item":1,"name":"/lib/ld.so","dev":"00:2f","nametype":"NORMAL"}],`+records)
}

var laurelAt = event.Time{At: 1793700001*event.Second + 250*event.Millisecond, Res: resolution}

func started(change func(*event.Process)) *event.Process {
	p := &event.Process{PID: 4711, PPID: 4700, Exe: "/srv/a%pp", Comm: "app", Cwd: "/srv", UID: 33, AUID: -1, Session: -1, Device: "00:2f"}
	change(p)
	return p
}

func TestLaurelExec(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	argv := func(cut bool, args ...string) *event.Process {
		return started(func(p *event.Process) { p.Args, p.ArgsTruncated = args, cut })
	}
	for name, c := range map[string]struct {
		records string
		want    *event.Process
	}{
		"argv":      {`"EXECVE":{"argc":3,"ARGV":["a%25pp","-x","%c3%28%00b+"]}`, argv(false, "a%pp", "-x", "\xc3(\x00b+")},
		"container": {`"EXECVE":{"argc":1,"ARGV":["app"]},"CONTAINER_INFO":{"ID":"` + id + `"}`, started(func(p *event.Process) { p.Args, p.Container = []string{"app"}, id })},
		"container of the process": {`"EXECVE":{"argc":1,"ARGV":["app"]},"PID":{"EVENT_ID":"1.000:1","container":{"id":"` + id + `"}}`,
			started(func(p *event.Process) { p.Args, p.Container = []string{"app"}, id })},
		"arguments lost":     {`"EXECVE":{"argc":3,"ARGV":["app",null,"b"]}`, argv(true, "app", "", "b")},
		"fewer than counted": {`"EXECVE":{"argc":3,"ARGV":["app"]}`, argv(true, "app")},
		"not counted":        {`"EXECVE":{"ARGV":["app",7]}`, argv(false, "app", "7")},
		"middle cut out":     {`"EXECVE":{"argc":2,"ARGV":["app","<<< Skipped: args=17, bytes=4096 >>>"]}`, argv(true, "app", "<<< Skipped: args=17, bytes=4096 >>>")},
		"from the title":     {`"PROCTITLE":{"ARGV":["app","-%25"]}`, argv(false, "app", "-%")},
		"from a raw title":   {`"PROCTITLE":{"proctitle":"app%00-x"}`, argv(false, "app", "-x")},
		"no arguments":       {`"PROCTITLE":{}`, argv(true)},
		"a line":             {`"EXECVE":{"argc":2,"ARGV_STR":"app -x"}`, argv(false, "app", "-x")},
		"a line and a title": {`"EXECVE":{"argc":3,"ARGV_STR":"sh -c wget x | sh"},"PROCTITLE":{"ARGV":["sh","-c","wget x"]}`, argv(false, "sh", "-c", "wget x | sh")},
		"a cut title":        {`"EXECVE":{"argc":4,"ARGV_STR":"app -x 123 4"},"PROCTITLE":{"ARGV":["app","-x","12"]}`, argv(false, "app", "-x", "123", "4")},
		"a whole title":      {`"EXECVE":{"argc":2,"ARGV_STR":"app -x"},"PROCTITLE":{"ARGV":["app","-x"]}`, argv(false, "app", "-x")},
		"another's title":    {`"EXECVE":{"argc":2,"ARGV_STR":"app -x"},"PROCTITLE":{"ARGV":["bash"]}`, argv(false, "app", "-x")},
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Check(t, Laurel(), exec(c.records), sourcetest.Want{At: laurelAt, Body: c.want})
		})
	}
	script := laurel(`"syscall":59,"success":"yes","items":2,"exit":0,"UID":"x"`,
		`"CWD":{"cwd":"/srv"},"PATH":{"item":0,"name":"./run.sh","dev":"00:2f","nametype":"NORMAL"},"EXECVE":{"argc":2,"ARGV":["/bin/sh","./run.sh"]}`)
	sourcetest.Check(t, Laurel(), script, sourcetest.Want{At: laurelAt, Body: started(func(p *event.Process) {
		p.Args, p.Script = []string{"/bin/sh", "./run.sh"}, "/srv/run.sh"
	})})
}

func TestLaurelCalls(t *testing.T) {
	socket := func(addr string, success bool) *event.Socket {
		s := &event.Socket{PID: 4711, PPID: 4700, Exe: "/srv/a%pp", Comm: "app", UID: 33, AUID: -1, Success: success}
		if a, err := netip.ParseAddrPort(addr); err == nil {
			s.Addr = a
		} else {
			s.Path = addr
		}
		return s
	}
	connect := func(addr string) string {
		return laurel(`"syscall":42,"success":"no","exit":-115,"items":0`, `"CWD":{"cwd":"/srv"},"SOCKADDR":[{`+addr+`}]`)
	}
	file := func(path string) *event.FileWrite {
		return &event.FileWrite{PID: 4711, PPID: 4700, Exe: "/srv/a%pp", Path: path, UID: 33, AUID: -1}
	}
	open := func(call, argv, records string) string {
		return laurel(call+`,"success":"yes","exit":3,"items":1,"ARGV":[`+argv+`]`, `"CWD":{"cwd":"/srv"},`+records)
	}
	normal := `"PATH":[{"item":0,"name":"x","nametype":"NORMAL"}]`
	created := `"PATH":[{"item":0,"name":"/srv/","nametype":"PARENT"},{"item":1,"name":"x","nametype":"CREATE"}]`
	for name, c := range map[string]struct {
		text string
		body event.Body
	}{
		"IPv4":                 {connect(`"SADDR":{"saddr_fam":"inet","addr":"198.51.100.9","port":443}`), socket("198.51.100.9:443", true)},
		"IPv4, short words":    {connect(`"saddr_fam":"inet","SADDR":{"fam":"ipv4","addr":"198.51.100.9","port":"443"}`), socket("198.51.100.9:443", true)},
		"IPv6":                 {connect(`"SADDR":{"saddr_fam":"inet6","addr":"2001:db8::9","port":443,"flowinfo":0,"scope_id":0}`), socket("[2001:db8::9]:443", true)},
		"auditd's words":       {connect(`"SADDR":{"saddr_fam":"inet","laddr":"198.51.100.9","lport":80}`), socket("198.51.100.9:80", true)},
		"bytes":                {connect(`"saddr":"%02%00%01%bb%c63d%09%00%00%00%00%00%00%00%00"`), socket("198.51.100.9:443", true)},
		"bytes in hex":         {connect(`"saddr":"020001BBC63364090000000000000000"`), socket("198.51.100.9:443", true)},
		"unix socket":          {connect(`"SADDR":{"saddr_fam":"local","path":"/run/docker.sock"}`), socket("/run/docker.sock", true)},
		"unix, relative":       {connect(`"SADDR":{"saddr_fam":"local","path":"tmp/x"}`), socket("tmp/x", true)},
		"unix, bytes":          {connect(`"saddr":"%01%00%00dbus%00"`), socket("@dbus", true)},
		"unix, relative bytes": {connect(`"saddr":"%01%00tmp/x%00"`), socket("/srv/tmp/x", true)},
		"other family":         {connect(`"SADDR":{"saddr_fam":"netlink","pid":0,"groups":0}`), nil},
		"socketcall":           {laurel(`"SYSCALL":"socketcall","success":"yes","ARGV":["0x3"]`, `"SOCKADDR":[{"SADDR":{"saddr_fam":"inet","addr":"192.0.2.1","port":1}}]`), socket("192.0.2.1:1", true)},
		"failed, no address":   {laurel(`"syscall":42,"success":"no","exit":-14,"items":0`, ""), nil},

		"openat for writing":  {open(`"syscall":257`, `"0xffffff9c","0x1","0x241"`, normal), file("/srv/x")},
		"openat for reading":  {open(`"syscall":257`, `"0xffffff9c","0x1","0x0"`, normal), nil},
		"openat, created":     {open(`"syscall":257`, `"0xffffff9c","0x1","0x40"`, created), file("/srv/x")},
		"openat elsewhere":    {open(`"syscall":257`, `"0x5","0x1","0x241"`, normal), file("x")},
		"by name":             {open(`"SYSCALL":"open"`, `"0x1","0x1"`, normal), file("/srv/x")},
		"interpreted":         {open(`"syscall":"creat"`, `"0x1"`, normal), file("/srv/x")},
		"name, odd machine":   {open(`"arch":1,"syscall":5,"SYSCALL":"creat"`, `"0x1"`, normal), file("/srv/x")},
		"openat2":             {open(`"syscall":437`, `"0xffffff9c"`, normal+`,"OPENAT2":[{"oflag":"0o101","mode":"0o644"}]`), file("/srv/x")},
		"openat2, bare digit": {open(`"syscall":437`, `"0xffffff9c"`, normal+`,"OPENAT2":[{"oflag":101}]`), file("/srv/x")},
		"openat2 for reading": {open(`"syscall":437`, `"0xffffff9c"`, normal+`,"OPENAT2":[{"oflag":"0100000"}]`), nil},
		"rename":              {open(`"syscall":82`, `"0x1"`, created), file("/srv/x")},
		"no name":             {open(`"syscall":257`, `"0xffffff9c","0x1","0x241"`, `"PATH":[{"item":0,"name":"(null)","nametype":"NORMAL"}]`), nil},
		"failed":              {laurel(`"syscall":257,"success":"no","exit":-2,"items":0`, ""), nil},
		"another call":        {laurel(`"syscall":1,"success":"yes","exit":-2,"items":0`, `"PATH":7`), nil},
		"io_uring":            {`{"ID":"1793700001.250:77","URINGOP":[{"uring_op":18}],"PATH":[{}]}`, nil},
		"a program's message": {`{"ID":"1793700001.250:77","USER_LOGIN":{"pid":1,"acct":"x"},"PROCTITLE":{"ARGV":["x"]}}`, nil},
		"rules changed":       {`{"ID":"1793700001.250:77","CONFIG_CHANGE":[{"op":"add_rule","res":1}]}`, nil},
		"switched off":        {`{"ID":"1793700001.250:77","CONFIG_CHANGE":[{"op":"set","audit_enabled":0,"old":1,"res":1}]}`, &event.Loss{Reason: "auditing was switched off", Count: -1}},
		"records lost":        {`{"ID":"1793700001.250:77","CONFIG_CHANGE":{"op":"set","lost":0,"old":17,"res":1}}`, &event.Loss{Reason: "kernel lost audit records", Count: 17}},
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Check(t, Laurel(), strings.Replace(c.text, `"arch":"0xc000003e","arch":1`, `"arch":1`, 1), sourcetest.Want{At: laurelAt, Body: c.body})
		})
	}
}

func TestLaurelIDs(t *testing.T) {
	text := `{"ID":"1793700001.250:77","SYSCALL":{"SYSCALL":"execve","ARCH":"x86_64","success":"yes","exit":0,"items":0,"ppid":1,"pid":9,%s,"exe":"/x"},"EXECVE":{"argc":1,"ARGV":["x"]}}`
	for fields, want := range map[string][3]int{
		`"uid":0,"auid":1000,"ses":3`:                    {0, 1000, 3},
		`"UID":"root","AUID":"unset"`:                    {0, -1, -1},
		`"UID":"www-data","AUID":"root"`:                 {-1, 0, -1},
		`"uid":"x","UID":"root","auid":-1,"ses":1.5`:     {-1, -1, -1},
		`"uid":"4294967295","auid":"0x3e8","ses":"0o17"`: {-1, 1000, 15},
	} {
		events, _ := sourcetest.Decode(t, Laurel(), fmt.Sprintf(text, fields))
		if len(events) != 1 {
			t.Fatalf("%s: %d events", fields, len(events))
		}
		p := events[0].Body.(*event.Process)
		if got := [3]int{p.UID, p.AUID, p.Session}; got != want {
			t.Errorf("%s: %v, want %v", fields, got, want)
		}
		if events[0].Place.Host != "" {
			t.Errorf("host %q", events[0].Place.Host)
		}
	}
}

func TestLaurelFaults(t *testing.T) {
	long := strings.Repeat("x", maxText+1)
	for text, fault := range map[string]string{
		`type=SYSCALL msg=audit(1.000:1)`: "not one JSON value",
		`[7]`:                             "not one JSON value",
		`"a"`:                             "not an event of laurel",
		`{"ID":"x","SYSCALL":{}}`:         "not an event of laurel",
		`{"ID":"1793700001.250:77","ID":"1793700001.250:78"}`:                                                         "stands twice",
		`{"ID":"1793700001.250:77","NODE":"` + long + `"}`:                                                            "node name",
		`{"ID":"1793700001.250:77","SYSCALL":[]}`:                                                                     "SYSCALL is damaged",
		`{"ID":"1793700001.250:77","SYSCALL":{"pid":0,"exe":"x","syscall":59}}`:                                       "SYSCALL is damaged",
		`{"ID":"1793700001.250:77","SYSCALL":{"pid":1,"exe":"x"}}`:                                                    "SYSCALL is damaged",
		`{"ID":"1793700001.250:77","SYSCALL":{"pid":1,"syscall":59}}`:                                                 "SYSCALL is damaged",
		`{"ID":"1793700001.250:77","SYSCALL":{"pid":1,"exe":"` + long + `","syscall":1,"arch":"0xc000003e"}}`:         "longer than",
		`{"ID":"1793700001.250:77","SYSCALL":{"pid":1,"exe":"x","syscall":5,"arch":1}}`:                               "without a table",
		`{"ID":"1793700001.250:77","EXECVE":{"argc":1,"ARGV":["x"]}}`:                                                 "EXECVE without its SYSCALL",
		`{"ID":"1793700001.250:77","PATH":[{"item":0}]}`:                                                              "PATH without its SYSCALL",
		exec(`"EXECVE":{},"EXECVE":{}`):                                                                               "stands twice",
		exec(`"PROCTITLE":{"proctitle":"` + long + `"}`):                                                              "longer than",
		strings.Replace(exec(`"EXECVE":{}`), `"/srv"`, `"`+long+`"`, 1):                                               "longer than",
		strings.Replace(exec(`"EXECVE":{}`), `"./a%25pp"`, `"`+long+`"`, 1):                                           "longer than",
		laurel(`"syscall":59,"success":"yes"`, `"PATH":"x"`):                                                          "PATH is damaged",
		laurel(`"syscall":59,"success":"yes"`, `"PATH":["x"]`):                                                        "PATH is damaged",
		laurel(`"syscall":42,"success":"yes"`, ""):                                                                    "without its SOCKADDR",
		laurel(`"syscall":42,"success":"yes"`, `"SOCKADDR":[{}]`):                                                     "SOCKADDR is damaged",
		laurel(`"syscall":42,"success":"yes"`, `"SOCKADDR":[{"saddr":"%02"}]`):                                        "SOCKADDR is damaged",
		laurel(`"syscall":42,"success":"yes"`, `"SOCKADDR":[{"SADDR":{}}]`):                                           "SOCKADDR is damaged",
		laurel(`"syscall":42,"success":"yes"`, `"SOCKADDR":[{"SADDR":{"fam":"inet","addr":"x","port":1}}]`):           "SOCKADDR is damaged",
		laurel(`"syscall":42,"success":"yes"`, `"SOCKADDR":[{"SADDR":{"fam":"inet","addr":"192.0.2.1","port":-1}}]`):  "SOCKADDR is damaged",
		laurel(`"syscall":437,"success":"yes","items":1`, `"PATH":[{"item":0,"name":"x"}]`):                           "openat2 without",
		laurel(`"syscall":437,"success":"yes"`, `"OPENAT2":[{"oflag":"9"}]`):                                          "OPENAT2 is damaged",
		laurel(`"syscall":437,"success":"yes"`, `"OPENAT2":[{"mode":1}]`):                                             "OPENAT2 is damaged",
		laurel(`"syscall":257,"success":"yes","items":2,"ARGV":["0x5","0x1","0x241"]`, `"PATH":[]`):                   "without the PATH record",
		laurel(`"syscall":257,"success":"yes","items":2,"ARGV":["0x5","0x1","0x241"]`, `"PATH":[{"item":999,"a":1}]`): "without the PATH record",
	} {
		sourcetest.Check(t, Laurel(), text, sourcetest.Want{Fault: fault})
	}
}

// Both forms of one event give the same body and time.
func TestLaurelAgreesWithTheRecords(t *testing.T) {
	raw := decode([]byte(execLines("1793700001.250:77", 4711, 4700, 3)[0] + execLines("1793700001.250:77", 4711, 4700, 3)[1] +
		execLines("1793700001.250:77", 4711, 4700, 3)[2] + execLines("1793700001.250:77", 4711, 4700, 3)[3] + execLines("1793700001.250:77", 4711, 4700, 3)[4]))
	events, _ := sourcetest.Decode(t, Laurel(), laurelLine(3))
	if len(events) != 1 || len(raw.events) != 1 || events[0].Time != raw.events[0].Time || !reflect.DeepEqual(events[0].Body, raw.events[0].Body) {
		t.Errorf("%+v\n%+v", events[0].Body, raw.events[0].Body)
	}
	if events[0].Origin.Source != event.Laurel || events[0].Origin.Format != "laurel" {
		t.Errorf("%+v", events[0].Origin)
	}
}

// laurelLine is what laurel makes of the records that execLines gives.
func laurelLine(i int) string {
	return fmt.Sprintf(`{"ID":"1793700001.250:%d","SYSCALL":{"arch":"0xc000003e","syscall":59,"success":"yes","exit":0,"items":2,"ppid":4700,"pid":4711,"auid":1000,"uid":0,"gid":0,"euid":0,"suid":0,"fsuid":0,"egid":0,"sgid":0,"fsgid":0,"tty":"pts1","ses":42,"comm":"rsync","exe":"/usr/bin/rsync","subj":"unconfined","key":"exec","ARCH":"x86_64","SYSCALL":"execve","AUID":"mira","UID":"root","GID":"root","EUID":"root","ARGV":["0x55d0c1","0x55d0c9","0x55d0d1","0x8"],"PPID":{"EVENT_ID":"1793700000.250:7","comm":"bash","exe":"/usr/bin/bash","ppid":1},"PID":{"EVENT_ID":"1793700001.250:77"}},"EXECVE":{"argc":4,"ARGV":["rsync","-a","/srv/data dir","backup.example:/vault/%d"]},"CWD":{"cwd":"/srv/jobs"},"PATH":[{"item":0,"name":"/usr/bin/rsync","inode":90003,"dev":"fd:01","mode":"0o100755","ouid":0,"ogid":0,"rdev":"00:00","nametype":"NORMAL","OUID":"root","OGID":"root"},{"item":1,"name":"/lib64/ld-linux-x86-64.so.2","inode":4711,"dev":"fd:01","mode":"0o100755","ouid":0,"ogid":0,"rdev":"00:00","nametype":"NORMAL","OUID":"root","OGID":"root"}],"PROCTITLE":{"ARGV":["rsync","-a","/srv/data dir","backup.example:/vault/1"]}}
`, i, i)
}

func TestLaurelSniff(t *testing.T) {
	for text, sure := range map[string]bool{
		laurelLine(1): true,
		"[\n {\n  \"ID\": \"1793700001.250:77\",\n":  true,
		`{"ID":"1793700001.250:77"}`:                 true,
		`{"ID":"7c","SYSCALL":{}}`:                   false,
		`{"ID":7}`:                                   false,
		`{"ID"`:                                      false,
		`{"id":"1793700001.250:77"}`:                 false,
		`type=SYSCALL msg=audit(1793700001.250:77):`: false,
	} {
		if got := sourcetest.Sniff(Laurel(), text); got > 0 != sure {
			t.Errorf("%.60q: %d", text, got)
		}
		if got := sourcetest.Sniff(Format(), text); got > 0 && sure {
			t.Errorf("%.60q: raw audit is sure to %d", text, got)
		}
	}
}

func TestLaurelSamples(t *testing.T) {
	dir := sourcetest.Shared(t, "data", "laurel_json")
	want := map[string][3]int64{"laurel-logs.log": {5, 1, 0}, "laurel-base64-exec.log": {2, 0, 0}, "laurel-suid-crash.log": {1, 1, 0}}
	seen := 0
	for _, path := range glob(t, filepath.Join(dir, "*", ".tests", "*", "*.log")) {
		in, events := sourcetest.ReadFile(t, path, Laurel(), Format())
		if len(in.Tallies()) != 1 {
			t.Fatalf("%s: read by %d formats", path, len(in.Tallies()))
		}
		tally, name := in.Tallies()[0].Tally, filepath.Base(path)
		t.Logf("%s: %d records, %d events, %d skipped, %d unreadable", name, tally.Records, tally.Events, tally.Skipped, tally.Unreadable)
		if got := [3]int64{tally.Events, tally.Skipped, tally.Unreadable}; got != want[name] {
			t.Errorf("%s: %v, want %v: %v", name, got, want[name], tally.Faults)
		}
		seen++
		assertions, err := os.ReadFile(filepath.Join(filepath.Dir(path), "parser.assert"))
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range events {
			compareAssertions(t, string(assertions), i, e.Body.(*event.Process))
		}
	}
	if seen != len(want) {
		t.Errorf("%d samples", seen)
	}
}

// compareAssertions compares an event with what another parser is expected to
// find in the same line.
func compareAssertions(t *testing.T, assertions string, i int, p *event.Process) {
	t.Helper()
	for key, got := range map[string]any{
		"pid": p.PID, "ppid": p.PPID, "exe": p.Exe, "comm": p.Comm, "uid": p.UID,
	} {
		prefix := fmt.Sprintf(`results["s01-parse"]["crowdsecurity/laurel-logs"][%d].Evt.Meta["%s"] == `, i, key)
		_, rest, found := strings.Cut(assertions, prefix)
		if !found {
			if assertions != "" {
				t.Errorf("event %d: nothing is expected of %s", i, key)
			}
			continue
		}
		want, _, _ := strings.Cut(rest, "\n")
		if fmt.Sprintf("%q", fmt.Sprint(got)) != want {
			t.Errorf("event %d: %s is %v, want %s", i, key, got, want)
		}
	}
}

func FuzzLaurel(f *testing.F) {
	f.Add([]byte(laurelLine(1)))
	f.Add([]byte(exec(`"EXECVE":{"argc":3,"ARGV_STR":"sh -c x y"},"PROCTITLE":{"ARGV":["sh","-c","x y"]}`)))
	f.Add([]byte(laurel(`"syscall":42,"success":"no","exit":-115`, `"SOCKADDR":[{"saddr":"%02%00%01%bb%c63d%09%00%00%00%00%00%00%00%00"}]`)))
	f.Add([]byte(laurel(`"syscall":42,"success":"yes"`, `"SOCKADDR":[{"SADDR":{"saddr_fam":"inet6","addr":"::1","port":1}}]`)))
	f.Add([]byte(laurel(`"syscall":437,"success":"yes","items":1`, `"PATH":[{"item":0,"name":"x"}],"OPENAT2":[{"oflag":"0101"}]`)))
	f.Add([]byte(`{"ID":"1793700001.250:77","CONFIG_CHANGE":[{"op":"set","lost":0,"old":17}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, tally := sourcetest.Feed(Laurel(), [][]byte{data, data})
		sourcetest.CheckAccount(t, events, tally)
		for _, e := range events {
			checkEvent(t, e)
		}
		if len(events) == 2 && (events[0].ID != events[1].ID || !reflect.DeepEqual(events[0].Body, events[1].Body)) {
			t.Error("a second reading gives something else")
		}
	})
}

func BenchmarkLaurel(b *testing.B) {
	sourcetest.Bench(b, Laurel(), sourcetest.Fill("", func(n int64) string { return laurelLine(int(n % (1 << 30))) }))
}

var _ source.Decoder = (*laurelDecoder)(nil)
