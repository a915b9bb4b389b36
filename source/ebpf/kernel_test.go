package ebpf

import (
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// watched makes a record of the kernel sensor.
func watched(kind, more string) string {
	return `{"ebpf":"` + kind + `","t":1793700001000000009,"since":81000000000,"pid":4711,"ppid":4700,"uid":33,` + more + `"comm":"app","cgroup":"/docker/` + testID + `","exe":"/bin/busybox"}`
}

func TestKernelExec(t *testing.T) {
	body := func(change func(*event.Process)) *event.Process {
		p := &event.Process{PID: 4711, PPID: 4700, Exe: "/bin/busybox", Comm: "app", Args: []string{"wget", ""}, UID: 33, AUID: -1, Session: -1, Container: testID}
		change(p)
		return p
	}
	at := event.Time{At: 1793700001000000009, Res: 1}
	const args = `"args":["wget",""],`
	for name, c := range map[string]struct {
		text string
		at   event.Time
		want *event.Process
	}{
		"plain":       {watched("exec", args), at, body(func(*event.Process) {})},
		"not said":    {watched("exec", ""), at, body(func(p *event.Process) { p.Args = nil })},
		"applet":      {watched("exec", `"file":"/usr/bin/wget",`+args), at, body(func(*event.Process) {})},
		"login":       {watched("exec", `"auid":1000,"session":7,`+args), at, body(func(p *event.Process) { p.AUID, p.Session = 1000, 7 })},
		"cut":         {watched("exec", `"cut":true,`+args), at, body(func(p *event.Process) { p.ArgsTruncated = true })},
		"its own":     {strings.Replace(watched("exec", args), "4700", "4711", 1), at, body(func(p *event.Process) { p.PPID = 0 })},
		"no exe":      {strings.Replace(watched("exec", `"file":"./x",`+args), `"exe":"/bin/busybox"`, `"deep":true`, 1), at, body(func(p *event.Process) { p.Exe = "./x" })},
		"script":      {watched("exec", `"file":"/tmp/../x.sh","interp":"/bin/sh",`+args), at, body(func(p *event.Process) { p.Script = "/x.sh" })},
		"relative":    {watched("exec", `"file":"./x.sh","interp":"/bin/sh","cwd":"/tmp",`+args), at, body(func(p *event.Process) { p.Script, p.Cwd = "/tmp/x.sh", "/tmp" })},
		"bytes":       {watched("exec", `"bytes":true,"args":["\u00ff\u00c3\u00a4\u0000"],`), at, body(func(p *event.Process) { p.Args = []string{"\xff\xc3\xa4\x00"} })},
		"text":        {watched("exec", `"args":["\u00ff"],`), at, body(func(p *event.Process) { p.Args = []string{"ÿ"} })},
		"on the host": {strings.Replace(watched("exec", args), "/docker/"+testID, "/system.slice/ssh.service", 1), at, body(func(p *event.Process) { p.Container = "" })},
		"in the unified hierarchy": {strings.Replace(watched("exec", args), `"cgroup":"`, `"cgroup":"/x","cgroup2":"`, 1), at,
			body(func(*event.Process) {})},
		"running": {watched("running", `"started":1793600001000000009,"boot":"b",`+args), event.Time{At: 1793600001000000009, Res: foundRes}, body(func(*event.Process) {})},
	} {
		t.Run(name, func(t *testing.T) {
			events, tally := sourcetest.Decode(t, Kernel(), c.text)
			if len(events) != 1 || tally.Unreadable+tally.Skipped != 0 {
				t.Fatalf("%+v", tally)
			}
			sourcetest.CheckEvent(t, events[0], c.at, c.want)
			if name == "running" && events[0].Record != 1793700001000000009 || name != "running" && events[0].Record != 0 {
				t.Error(events[0].Record)
			}
		})
	}
}

func TestKernelConnectAndExit(t *testing.T) {
	socket := func(to string) *event.Socket {
		return &event.Socket{PID: 4711, PPID: 4700, Exe: "/bin/busybox", Comm: "app", UID: 33, AUID: -1, Success: true, Container: testID, Addr: netip.MustParseAddrPort(to)}
	}
	for text, want := range map[string]event.Body{
		`"protocol":"tcp","addr":"198.51.100.9","port":443,`:        socket("198.51.100.9:443"),
		`"protocol":"udp","addr":"2001:db8::1","port":53,`:          socket("[2001:db8::1]:53"),
		`"protocol":"tcp","addr":"::ffff:198.51.100.9","port":443,`: socket("198.51.100.9:443"),
		`"protocol":"udp","addr":"0.0.0.0","port":0,`:               nil,
	} {
		sourcetest.Check(t, Kernel(), watched("connect", text), sourcetest.Want{At: event.Time{At: 1793700001000000009, Res: 1}, Body: want})
	}
	sourcetest.Check(t, Kernel(), watched("exit", `"status":1,`), sourcetest.Want{})
}

func TestKernelFaults(t *testing.T) {
	long := strings.Repeat("x", maxPath+1)
	for text, fault := range map[string]string{
		`4711`:                                    "not a JSON object",
		watched("fork", ""):                       "no record",
		`{"ebpf":"exec","t":4,"pid":1}`:           "not a wall clock's",
		watched("running", ""):                    "without start_time",
		`{"ebpf":"exec","t":1793700001000000009}`: "without the process id",
		`{"ebpf":"exec","t":1793700001000000009,"pid":-1}`:                     "process id",
		`{"ebpf":"exec","t":1793700001000000009,"pid":1,"ppid":-1}`:            "process id",
		`{"ebpf":"exec","t":1793700001000000009,"pid":1}`:                      "without exe",
		`{"ebpf":"exec","t":1793700001000000009,"pid":1,"exe":"/x","exe":"y"}`: "stands twice",
		watched("exec", `"file":"`+long+`",`):                                  "path is longer",
		strings.Replace(watched("exec", ""), "/docker", "/"+long, 1):           "path is longer",
		strings.Replace(watched("exec", ""), "/bin/busybox", "/"+long, 1):      "path is longer",
		watched("exec", `"bytes":true,"args":["\u0100"],`):                     "stands for no byte",
		watched("connect", ""):                                                 "not an IP address",
		watched("connect", `"addr":"192.0.2.1","port":65536,`):                 "port",
	} {
		sourcetest.Check(t, Kernel(), text, sourcetest.Want{Fault: fault})
	}
}

// One record has one id, and so has what ran already, however often it is listed.
func TestKernelIdentity(t *testing.T) {
	exec := watched("exec", "")
	listed := watched("running", `"started":1793600001000000009,"boot":"b",`)
	again := strings.NewReplacer("1793700001", "1793700555", "1793600001000000009", "1793600001000000011").Replace(listed)
	other := strings.Replace(listed, `"b"`, `"c"`, 1)
	events, _ := sourcetest.Decode(t, Kernel(), strings.Join([]string{exec, exec, listed, again, other}, "\n"))
	if len(events) != 5 || events[0].ID != events[1].ID || events[2].ID != events[3].ID || events[3].ID == events[4].ID || events[0].ID == events[2].ID {
		t.Fatalf("%+v", events)
	}
	if events[0].Origin.Source != event.Kernel || !events[0].Place.IsZero() {
		t.Errorf("%+v", events[0])
	}
}

func TestKernelSniff(t *testing.T) {
	for text, sure := range map[string]bool{
		watched("exec", ""):          true,
		watched("exit", "") + "\n{}": true,
		`{"ebpf":"exec"}`:            false,
		`{"time":"x","pid":4}`:       false,
		``:                           false,
	} {
		if got := sourcetest.Sniff(Kernel(), text); got > 0 != sure {
			t.Errorf("%.60q: %d", text, got)
		}
	}
	for _, f := range []string{watched("exec", ""), watched("connect", "")} {
		if sourcetest.Sniff(Tetragon(), f)+sourcetest.Sniff(Tracee(), f) != 0 {
			t.Error("taken for another sensor's")
		}
	}
}

func TestContainerOfGroup(t *testing.T) {
	other := strings.Repeat("b", 64)
	const uid = "8f1a2b3c-0d4e-4f5a-9b6c-7d8e9f0a1b2c"
	under := strings.ReplaceAll(uid, "-", "_")
	const step = "x1y2z3a4b5c6d7e8f9g0h1i2j"
	for path, want := range map[string]string{
		"":                          "",
		"/":                         "",
		"/init.scope":               "",
		"/system.slice/ssh.service": "",
		"/user.slice/user-0.slice/session-1.scope":                                  "",
		"/docker/" + testID:                                                         testID,
		"/docker/" + testID + "/init.scope":                                         testID,
		"/../../docker/" + testID:                                                   testID,
		"/docker/" + testID[:63]:                                                    "",
		"/docker/" + strings.ToUpper(testID):                                        "",
		"/system.slice/docker-" + testID + ".scope":                                 testID,
		"/system.slice/docker-" + testID + ".service":                               "",
		"/system.slice/" + testID + ".scope":                                        "",
		"/machine.slice/libpod-" + testID + ".scope/container":                      testID,
		"/machine.slice/libpod-conmon-" + testID + ".scope":                         "",
		"/libpod_parent/libpod-" + testID:                                           testID,
		"/kubepods/besteffort/pod" + uid + "/" + testID:                             testID,
		"/kubepods/pod" + uid + "/crio-" + testID:                                   testID,
		"/kubepods/pod" + uid + "/crio-conmon-" + testID:                            "",
		"/kubepods/besteffort/pod" + uid:                                            "",
		"/system.slice/kubepods-pod" + under + ".slice:cri-containerd:" + testID:    testID,
		"/kubepods.slice/kubepods-pod" + under + ".slice/crio-" + testID + ".scope": testID,
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/cri-containerd-" + testID + ".scope": testID,
		"/docker/buildkit/" + step:        step,
		"/docker/buildkit/" + step + "xy": "",
		"/docker/buildkit":                "",
		"/buildkit/" + step:               step,
		"/default/web":                    "web",
		"/k8s.io/web":                     "web",
		"/default/web/below":              "",
		"/foo/bar":                        "",
		"/ecs/task-1/" + testID:           testID,
		// A name that a container gave cannot hide whose it is.
		"/docker/" + testID + "/docker/" + other:                                   testID,
		"/docker/" + testID + "/buildkit/" + step:                                  testID,
		"/docker/buildkit/" + step + "/" + other:                                   step,
		"/kubepods/pod" + uid + "/" + testID + "/kubepods/pod" + uid + "/" + other: testID,
		// A node that is a container itself.
		"/docker/" + other + "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + under + ".slice/cri-containerd-" + testID + ".scope": testID,
	} {
		if got := containerOfGroup(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func FuzzKernel(f *testing.F) {
	f.Add([]byte(watched("exec", `"bytes":true,"file":"x","interp":"/bin/sh","cwd":"/","args":["\u00ff"],`)))
	f.Add([]byte(watched("running", `"started":1793600001000000009,"boot":"b","args":["a"],`)))
	f.Add([]byte(watched("connect", `"addr":"192.0.2.1","port":443,`)))
	f.Add([]byte(strings.Replace(watched("exec", ""), `"/docker`, `"/default/x","cgroup2":"/docker/buildkit`, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, tally := sourcetest.Feed(Kernel(), [][]byte{data, data})
		sourcetest.CheckAccount(t, events, tally)
		for _, e := range events {
			checkEvent(t, e)
		}
		if len(events) == 2 && events[0].ID != events[1].ID {
			t.Error("one record, two ids")
		}
	})
}

func BenchmarkKernel(b *testing.B) {
	sourcetest.Bench(b, Kernel(), sourcetest.Fill("", func(n int64) string {
		if n%4 == 3 {
			return watched("connect", `"protocol":"tcp","addr":"198.51.100.9","port":443,`) + "\n"
		}
		return watched("exec", `"file":"/usr/bin/wget","args":["wget","-q","http://files.example/x"],`) + "\n"
	}))
}
