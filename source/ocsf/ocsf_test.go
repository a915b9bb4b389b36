package ocsf

import (
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/sourcetest"
)

var at = event.Time{At: 1793700000*event.Second + 250*event.Millisecond, Res: event.Millisecond}

const shell = `{"pid":4711,"name":"sh","cmd_line":"sh -c a b","file":{"name":"sh","path":"/bin/sh"},"working_directory":"/w","user":{"name":"root","uid":"0"},` +
	`"parent_process":{"pid":4700,"cmd_line":"p -x","file":{"path":"/bin/p"}},"container":{"uid":"c0ffee","pod_uuid":"p-1","image":{"name":"reg.example/web","tag":"1"}}}`

func activity(class, id, more string) string {
	return `{"class_uid":` + class + `,"activity_id":` + id + `,"category_uid":1,"time":1793700000250,"severity_id":1,"metadata":{"uid":"m-1","version":"1.3.0","product":{"name":"x"}},` +
		`"cloud":{"account":{"uid":"42"},"region":"eu-1"},"device":{"hostname":"shop-1"}` + more + `}`
}

const remote = `,"connection_info":{"direction_id":2},"dst_endpoint":{"ip":"203.0.113.66","port":3333}`

func cases() map[string]sourcetest.Want {
	of := &event.PodRef{UID: "p-1", Image: image.Parse("reg.example/web:1")}
	process := &event.Process{
		PID: 4711, PPID: 4700, Exe: "/bin/sh", Comm: "sh", Args: []string{"sh", "-c", "a b"}, Cwd: "/w", UID: 0, AUID: -1, Session: -1, User: "root",
		ParentExe: "/bin/p", ParentCommand: "p -x", Container: "c0ffee", Of: of,
	}
	socket := func(success bool) *event.Socket {
		return &event.Socket{PID: 4711, PPID: 4700, Exe: "/bin/sh", Comm: "sh", AUID: -1, Addr: netip.MustParseAddrPort("203.0.113.66:3333"), Success: success, Container: "c0ffee", Of: of}
	}
	started := activity("1007", "1", `,"process":`+shell)
	opened := activity("4001", "1", `,"actor":{"process":`+shell+`}`+remote)
	byActor := strings.Replace(started, `"parent_process":{"pid":4700,"cmd_line":"p -x","file":{"path":"/bin/p"}},`, "", 1)
	byActor = strings.Replace(byActor, `,"process":`, `,"actor":{"process":{"pid":4700,"cmd_line":"p -x","file":{"path":"/bin/p"}}},"process":`, 1)
	return map[string]sourcetest.Want{
		started: {At: at, Body: process},
		byActor: {At: at, Body: process},
		opened:  {At: at, Body: socket(true)},
		strings.Replace(opened, `"severity_id"`, `"status_id":2,"severity_id"`, 1): {At: at, Body: socket(false)},
		activity("1007", "2", `,"process":`+shell):                                 {},
		activity("2004", "1", ""):                                                  {},
		activity("4001", "6", remote):                                              {},
		activity("4001", "1", remote):                                              {},
		strings.Replace(opened, `"direction_id":2`, `"direction_id":1`, 1):         {},
		strings.Replace(started, "class_uid", "class", 1):                          {Fault: "no event of OCSF"},
		strings.Replace(started, "1793700000250", `"now"`, 1):                      {Fault: "time is no number"},
		strings.Replace(started, "1793700000250", "9223372036854775807", 1):        {Fault: "time is no number"},
		strings.Replace(started, "4711", "-1", 1):                                  {Fault: "process id"},
		activity("1007", "1", ""):                                                  {Fault: "no process id"},
		strings.Replace(started, `"pid":4711`, `"pid":4711,"pid":1`, 1):            {Fault: "pid"},
		strings.Replace(opened, "203.0.113.66", "elsewhere", 1):                    {Fault: "address"},
		`["x"]`: {Fault: "JSON"},
	}
}

func TestEvents(t *testing.T) {
	for text, want := range cases() {
		t.Run(text, func(t *testing.T) { sourcetest.Check(t, Events(), text, want) })
	}
	started := activity("1007", "1", `,"process":`+shell)
	events, _ := sourcetest.Decode(t, Events(), started)
	if want := (event.Place{Account: "42", Region: "eu-1", Host: "shop-1"}); events[0].Place != want {
		t.Errorf("%+v", events[0].Place)
	}
	if sourcetest.Sniff(Events(), started) == 0 || sourcetest.Sniff(Events(), `{"class_uid":1,"x":2}`) != 0 {
		t.Error("told wrongly")
	}
}

func FuzzEvents(f *testing.F) {
	for text := range cases() {
		f.Add([]byte(text))
	}
	sourcetest.Fuzz(f, Events(), nil, nil)
}
