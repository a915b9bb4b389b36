package auditd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// TestSharedSamples reads audit logs that other projects recorded, and compares
// what their own parsers made of them, as far as both look at the same fields.
func TestSharedSamples(t *testing.T) {
	dir := sourcetest.Shared(t, "data", "auditd_raw")
	t.Run("logs", func(t *testing.T) { sharedLogs(t, dir) })
	t.Run("records", func(t *testing.T) { sharedRecords(t, dir) })
	t.Run("events", func(t *testing.T) { sharedEvents(t, dir) })
}

// sampleCounts is what each log gives. Unreadable are, in the files of single
// records of different events: EXECVE, PATH, CWD and SOCKADDR records whose
// SYSCALL record is not in the file, a connect without its SOCKADDR, and one
// line that has "?" for a stamp.
var sampleCounts = map[string]struct{ records, events, unreadable int64 }{
	"auditd-base64-exec.log":               {4, 3, 0},
	"auditd-logs.log":                      {4, 3, 0},
	"auditd-postexploit-exec-from-net.log": {3, 3, 0},
	"auditd-postexploit-rm.log":            {10, 10, 0},
	"auditd-suid-crash.log":                {13, 2, 0},
	"audit-rhel6.log":                      {2, 0, 0},
	"audit-rhel7.log":                      {50, 0, 12},
	"audit-ubuntu14.log":                   {1, 0, 1},
	"audit-ubuntu16.log":                   {3, 0, 0},
	"audit-ubuntu17.log":                   {1, 1, 0},
	"test2.log":                            {10, 0, 0},
	"test3.log":                            {17, 0, 1},
	"lost_messages.log":                    {17, 4, 0},
	"normal.log":                           {17, 4, 0},
	"out_of_order.log":                     {17, 4, 0},
	"rollover.log":                         {5, 1, 2},
}

func sharedLogs(t *testing.T, dir string) {
	seen := 0
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".log" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen++
		r := decode(text)
		accounted(t, r)
		name := filepath.Base(path)
		t.Logf("%s: %d records, %d events, %d skipped, %d unreadable", name, r.tally.Records, r.tally.Events, r.tally.Skipped, r.tally.Unreadable)
		for _, f := range r.tally.Faults {
			t.Logf("    line %d: %v", f.Line, f.Err)
		}
		want, ok := sampleCounts[name]
		if !ok {
			t.Errorf("%s: not in the table of expected counts", name)
		}
		if r.tally.Records != want.records || r.tally.Events != want.events || r.tally.Unreadable != want.unreadable {
			t.Errorf("%s: %d records, %d events, %d unreadable, want %+v", name, r.tally.Records, r.tally.Events, r.tally.Unreadable, want)
		}
		return nil
	})
	if err != nil || seen == 0 {
		t.Errorf("%d logs read: %v", seen, err)
	}
}

// goldenRecord is one record as go-libaudit's auparse sees it.
type goldenRecord struct {
	Timestamp time.Time         `json:"@timestamp"`
	Type      string            `json:"record_type"`
	Sequence  uint32            `json:"sequence"`
	Raw       string            `json:"raw_msg"`
	Data      map[string]string `json:"data"`
}

func sharedRecords(t *testing.T, dir string) {
	compared := 0
	for _, golden := range glob(t, filepath.Join(dir, "*", "auparse", "testdata", "*.log.golden")) {
		var list []goldenRecord
		readJSON(t, golden, &list)
		byRaw := map[string]goldenRecord{}
		for _, g := range list {
			byRaw[g.Raw] = g
		}
		text, err := os.ReadFile(strings.TrimSuffix(golden, ".golden"))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
			_, raw, _ := strings.Cut(string(line), "msg=")
			g, ok := byRaw[strings.TrimSpace(raw)]
			if !ok || g.Sequence == 0 { // the line with msg=?
				continue
			}
			if diff := compareRecord(line, g); diff != "" {
				t.Errorf("%s:%d: %s", filepath.Base(golden), i+1, diff)
			}
			compared++
		}
	}
	if compared < 80 {
		t.Errorf("only %d records were compared", compared)
	}
}

// compareRecord says how a record as read here differs from g, "" if it does not.
func compareRecord(line []byte, g goldenRecord) string {
	h, err := splitHeader(line)
	if err != nil {
		return err.Error()
	}
	millis, serial, ok := parseStamp(h.stamp)
	if !ok || serial != g.Sequence || millis != g.Timestamp.UnixMilli() {
		return fmt.Sprintf("stamp %s, want %v and %d", h.stamp, g.Timestamp, g.Sequence)
	}
	if h.typ == typeOther {
		return ""
	}
	if !strings.EqualFold(h.typ.String(), g.Type) {
		return fmt.Sprintf("type %v, want %s", h.typ, g.Type)
	}
	if h.typ == typeSyscall {
		return compareSyscall(h.body, g.Data)
	}
	grp := new(group)
	grp.args.reset()
	if h.typ == typeConfigChange {
		return ""
	}
	if fresh, err := grp.add(h.typ, h.body, event.Span{}); err != nil || !fresh {
		return fmt.Sprintf("%v: not read: %v", h.typ, err)
	}
	return compareFields(grp, h.typ, g.Data)
}

// compareSyscall compares a SYSCALL record. Deliberate differences: comm is
// decoded from hex here and not there; exit is a number here and a name there; a
// call that is not read here has no name.
func compareSyscall(body []byte, want map[string]string) string {
	p := syscallParser{g: new(group)}
	if err := p.parse(body); err != nil {
		return err.Error()
	}
	text := func(v value) string { b, _ := v.appendText(nil); return string(b) }
	got := map[string]string{
		"pid": strconv.Itoa(p.pid), "ppid": strconv.Itoa(p.ppid), "uid": strconv.Itoa(p.uid),
		"exe": text(p.exe), "comm": text(p.comm), "items": strconv.Itoa(p.items),
		"a0": strconv.FormatUint(p.a0, 16), "a1": strconv.FormatUint(p.a1, 16), "a2": strconv.FormatUint(p.a2, 16),
		"result": map[bool]string{true: "success", false: "fail"}[p.ok],
	}
	for k, v := range got {
		if v != want[k] {
			return fmt.Sprintf("%s is %q, want %q", k, v, want[k])
		}
	}
	for k, id := range map[string]int{"auid": p.auid, "ses": p.ses} {
		w, there := want[k]
		if there && w != "unset" && w != strconv.Itoa(id) || (!there || w == "unset") && id != -1 {
			return fmt.Sprintf("%s is %d, want %q", k, id, w)
		}
	}
	if tty := text(p.tty); tty != strings.TrimPrefix(want["tty"], "(none)") {
		return fmt.Sprintf("tty is %q, want %q", tty, want["tty"])
	}
	if named := callNamed([]byte(want["syscall"])); named != p.call {
		return fmt.Sprintf("call is %v, want %v", p.call, want["syscall"])
	}
	return ""
}

// compareFields compares the other records. A PROCTITLE's zero bytes are blanks
// there.
func compareFields(g *group, typ recordType, want map[string]string) string {
	var got, w string
	switch typ {
	case typeExecve:
		args, truncated := g.args.build()
		for i := range args {
			if args[i] != want["a"+strconv.Itoa(i)] {
				return fmt.Sprintf("argument %d is %q, want %q", i, args[i], want["a"+strconv.Itoa(i)])
			}
		}
		got, w = strconv.Itoa(len(args)), want["argc"]
		if truncated {
			got += ", cut"
		}
	case typeCwd:
		got, w = string(g.bytes(g.cwd)), want["cwd"]
	case typeProctitle:
		got, w = strings.ReplaceAll(string(g.bytes(g.title)), "\x00", " "), want["proctitle"]
	case typePath:
		p := g.paths[0]
		got, w = fmt.Sprint(p.item, " ", string(g.bytes(p.name)), " ", string(g.bytes(p.dev))), fmt.Sprint(want["item"], " ", want["name"], " ", want["dev"])
		kind := want["nametype"] + want["objtype"]
		if (kind == "NORMAL") != (p.kind == pathNormal) || (kind == "CREATE") != (p.kind == pathCreate) || (kind == "") != (p.kind == pathUntold) {
			return fmt.Sprintf("kind is %d, want %q", p.kind, kind)
		}
	case typeSockaddr:
		a := decodeSockaddr(g.bytes(g.saddr))
		got = a.unix
		if a.inet.IsValid() {
			got = a.inet.String()
		}
		w = want["path"]
		if addr, err := netip.ParseAddr(want["addr"]); err == nil {
			port, _ := strconv.Atoi(want["port"])
			w = netip.AddrPortFrom(addr, uint16(port)).String()
		}
	}
	if got != w {
		return fmt.Sprintf("%v is %q, want %q", typ, got, w)
	}
	return ""
}

// goldenEvent is one event as go-libaudit's aucoalesce sees it.
type goldenEvent struct {
	Name  string `json:"test_name"`
	Event struct {
		Timestamp time.Time `json:"@timestamp"`
		Result    string    `json:"result"`
		User      struct {
			IDs map[string]string `json:"ids"`
		} `json:"user"`
		Process struct {
			PID, PPID, Exe, Cwd, Name string
			Args                      []string
		} `json:"process"`
		Destination struct{ IP, Port, Path string } `json:"destination"`
		File        struct{ Path string }           `json:"file"`
		Data        map[string]string               `json:"data"`
	} `json:"event"`
}

func sharedEvents(t *testing.T, dir string) {
	given := map[event.Kind]int{}
	for _, path := range glob(t, filepath.Join(dir, "*", "aucoalesce", "testdata", "*.yaml")) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Tests map[string]string }
		if err := yaml.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		var list []goldenEvent
		readJSON(t, strings.TrimSuffix(path, ".yaml")+".json.golden", &list)
		if len(list) != len(file.Tests) {
			t.Errorf("%s: %d tests, %d golden events", path, len(file.Tests), len(list))
		}
		for _, g := range list {
			r := decode([]byte(file.Tests[g.Name]))
			accounted(t, r)
			if r.tally.Unreadable != 0 {
				t.Errorf("%s, %s: unreadable: %v", filepath.Base(path), g.Name, r.tally.Faults)
			}
			for _, diff := range compareEvent(r.events, g) {
				t.Errorf("%s, %s: %s", filepath.Base(path), g.Name, diff)
			}
			for _, e := range r.events {
				given[e.Body.Kind()]++
			}
			t.Logf("%s, %s: %d records, %d events, %d skipped", filepath.Base(path), g.Name, r.tally.Records, r.tally.Events, r.tally.Skipped)
		}
	}
	for kind, least := range map[event.Kind]int{event.KindProcess: 3, event.KindSocket: 1, event.KindFileWrite: 1} {
		if given[kind] < least {
			t.Errorf("%d events of kind %s, want %d", given[kind], kind, least)
		}
	}
}

// compareEvent compares an event. Deliberate differences: EINPROGRESS is success
// here and failure there; the file of a rename is its new name here and its old
// one there.
func compareEvent(events []event.Event, g goldenEvent) (diffs []string) {
	w := g.Event
	call := callNamed([]byte(w.Data["syscall"]))
	wanted := call == callConnect || call != callOther && w.Result == "success"
	if wanted != (len(events) == 1) || len(events) > 1 {
		return []string{fmt.Sprintf("%d events for %q, %s", len(events), w.Data["syscall"], w.Result)}
	}
	if !wanted {
		return nil
	}
	differ := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			diffs = append(diffs, fmt.Sprintf("%s is %v, want %v", what, got, want))
		}
	}
	e := events[0]
	differ("time", e.Time.At, w.Timestamp.UnixNano())
	auid := w.User.IDs["auid"]
	if auid == "unset" {
		auid = "-1"
	}
	who := func(pid, ppid int, exe string, uid, id int) {
		differ("pid", pid, w.Process.PID)
		differ("ppid", ppid, w.Process.PPID)
		differ("exe", exe, w.Process.Exe)
		differ("uid", uid, w.User.IDs["uid"])
		differ("auid", id, auid)
	}
	switch b := e.Body.(type) {
	case *event.Process:
		who(b.PID, b.PPID, b.Exe, b.UID, b.AUID)
		differ("args", b.Args, w.Process.Args)
		differ("cwd", b.Cwd, w.Process.Cwd)
		differ("comm", b.Comm, w.Process.Name)
	case *event.Socket:
		who(b.PID, b.PPID, b.Exe, b.UID, b.AUID)
		differ("addr", b.Addr, w.Destination.IP+":"+w.Destination.Port)
		differ("success", b.Success, w.Result == "success" || w.Data["exit"] == "EINPROGRESS")
	case *event.FileWrite:
		who(b.PID, b.PPID, b.Exe, b.UID, b.AUID)
		differ("path", b.Path, w.File.Path+"~") // vim keeps the old file under a new name
	}
	return diffs
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
	}
	slices.Sort(paths)
	return paths
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
