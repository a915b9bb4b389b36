package ecs

import (
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/sourcetest"
)

var at = event.Time{At: 1793700000*event.Second + 250*event.Millisecond, Res: event.Millisecond}

func document(category, kind, action, more string) string {
	return `{"@timestamp":"2026-11-03T10:00:00.250Z","ecs":{"version":"8.11.0"},"event":{"id":"e-1","kind":"event","category":["` + category + `"],"type":["` + kind + `"],"action":"` + action + `"},` +
		`"host":{"name":"shop-1"},"cloud":{"account":{"id":"42"},"region":"eu-1"},"orchestrator":{"cluster":{"name":"blue"},"namespace":"prod","resource":{"type":"pod","name":"web-1","id":"p-1"}},` +
		`"container":{"id":"docker://c0ffee","image":{"name":"reg.example/web","tag":["1"]}},"user":{"id":"0","name":"root"},` +
		`"process":{"pid":4711,"executable":"/bin/sh","name":"sh","args":["sh","-c","a b"],"command_line":"sh -c a b","working_directory":"/w","parent":{"pid":4700,"executable":"/bin/p","command_line":"p -x"}}` + more + `}`
}

const remote = `,"network":{"direction":"egress"},"destination":{"ip":"203.0.113.66","port":3333}`

func cases() map[string]sourcetest.Want {
	of := &event.PodRef{Namespace: "prod", Pod: "web-1", UID: "p-1", Image: image.Parse("reg.example/web:1")}
	process := &event.Process{
		PID: 4711, PPID: 4700, Exe: "/bin/sh", Comm: "sh", Args: []string{"sh", "-c", "a b"}, Cwd: "/w", UID: 0, AUID: -1, Session: -1, User: "root",
		ParentExe: "/bin/p", ParentCommand: "p -x", Container: "c0ffee", Of: of,
	}
	socket := &event.Socket{PID: 4711, PPID: 4700, Exe: "/bin/sh", Comm: "sh", AUID: -1, Addr: netip.MustParseAddrPort("203.0.113.66:3333"), Success: true, Container: "c0ffee", Of: of}
	started := document("process", "start", "exec", "")
	return map[string]sourcetest.Want{
		started: {At: at, Body: process},
		`{"_index":"i","_id":"x","_source":` + started + `}`:                                       {At: at, Body: process},
		document("network", "start", "connection_attempted", remote):                               {At: at, Body: socket},
		strings.Replace(document("network", "connection", "x", remote), "egress", "outbound", 1):   {At: at, Body: socket},
		document("process", "start", "fork", ""):                                                   {},
		document("process", "end", "end", ""):                                                      {},
		document("process", "info", "existing_process", ""):                                        {},
		document("file", "creation", "creation", ""):                                               {},
		document("network", "start", "x", ""):                                                      {},
		strings.Replace(document("network", "start", "x", remote), "egress", "ingress", 1):         {},
		strings.Replace(document("network", "start", "x", remote), `"process":`, `"other":`, 1):    {},
		strings.Replace(started, `"kind":"event"`, `"kind":"alert"`, 1):                            {},
		strings.Replace(started, "@timestamp", "time", 1):                                          {Fault: "no document of ECS"},
		strings.Replace(started, "2026-11-03T", "x", 1):                                            {Fault: "@timestamp is no time"},
		strings.Replace(started, "4711", `"x"`, 1):                                                 {Fault: "process id"},
		strings.Replace(started, "4711", "0", 1):                                                   {Fault: "no process id"},
		strings.Replace(started, `"pid":4711`, `"pid":4711,"pid":1`, 1):                            {Fault: "pid"},
		strings.Replace(document("network", "start", "x", remote), "203.0.113.66", "elsewhere", 1): {Fault: "address"},
		strings.Replace(document("network", "start", "x", remote), "3333", "-1", 1):                {Fault: "port"},
		`["x"]`: {Fault: "JSON"},
	}
}

func TestEvents(t *testing.T) {
	for text, want := range cases() {
		t.Run(text, func(t *testing.T) { sourcetest.Check(t, Events(), text, want) })
	}
	events, _ := sourcetest.Decode(t, Events(), document("process", "start", "exec", ""))
	if want := (event.Place{Account: "42", Region: "eu-1", Cluster: "blue", Host: "shop-1"}); events[0].Place != want {
		t.Errorf("%+v", events[0].Place)
	}
	if sourcetest.Sniff(Events(), document("process", "start", "exec", "")) == 0 || sourcetest.Sniff(Events(), `{"@timestamp":"x","message":"y"}`) != 0 {
		t.Error("told wrongly")
	}
}

func FuzzEvents(f *testing.F) {
	for text := range cases() {
		f.Add([]byte(text))
	}
	sourcetest.Fuzz(f, Events(), nil, nil)
}
