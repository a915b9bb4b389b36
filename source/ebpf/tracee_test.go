package ebpf

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/sourcetest"
)

// The places that the fixtures' processes are in, in three generations.
const (
	traceeNew   = `"container":{"id":"` + testID + `","name":"cart","image":"registry.example/cart:2","imageDigest":"registry.example/cart@` + testDigest + `"},"kubernetes":{"podName":"cart-0","podNamespace":"shop","podUID":"u-1"}`
	traceeOld   = `"containerId":"` + testID + `","containerImage":"registry.example/cart@` + testDigest + `","containerName":"cart","podName":"cart-0","podNamespace":"shop","podUID":"u-1"`
	traceeAlone = `"containerId":"","container":{},"kubernetes":{}`
)

// tracee makes an event of the flat shape.
func tracee(name, place, args string, result int) string {
	return `{"timestamp":1793700001000000009,"threadStartTime":1,"processId":7,"threadId":7,"hostProcessId":4711,"hostThreadId":4712,"hostParentProcessId":4700,"userId":33,"processName":"app","executable":{"path":"/app"},"hostName":"cart-0",` +
		place + `,"eventId":"1","eventName":"` + name + `","returnValue":` + fmt.Sprint(result) + `,"args":[` + args + `]}`
}

// nested makes one of the nested shape, with workload or, older, context.
func nested(name, data string) string {
	return `{"timestamp":"2026-11-03T10:00:01.000000009Z","id":1,"name":"` + name + `","workload":{"process":{"executable":{"path":"/app"},"host_pid":4711,"pid":7,"real_user":{"id":33},"thread":{"name":"app","host_tid":4712},"ancestors":[{"host_pid":4700}]},"container":{"id":"` +
		testID + `","name":"cart","image":{"id":"x","repo_digests":["registry.example/cart@` + testDigest + `"],"name":"registry.example/cart:2"},"started":true},"k8s":{"pod":{"name":"cart-0","uid":"u-1"},"namespace":{"name":"shop"}}},"data":[` + data + `]}`
}

func oldNested(name, data string) string {
	return `{"timestamp":"2026-11-03T10:00:01.000000009Z","id":1,"name":"` + name + `","context":{"process":{"executable":{"path":"/app"},"pid":4711,"namespacedPid":7,"realUser":{"id":33},"thread":{"name":"app","tid":4712},"parent":{"pid":4700,"namespacedPid":1}},"container":{"id":"` +
		testID + `","name":"cart","image":{"repoDigests":["registry.example/cart@` + testDigest + `"],"name":"registry.example/cart:2"}},"k8s":{"pod":{"name":"cart-0","uid":"u-1"},"namespace":{"name":"shop"}}},"data":[` + data + `]}`
}

func arg(name, value string) string {
	return `{"name":"` + name + `","type":"const char*","value":` + value + `}`
}

func traceeOf() event.PodRef {
	return event.PodRef{Namespace: "shop", Pod: "cart-0", UID: "u-1", Container: "cart", Image: image.Parse("registry.example/cart@" + testDigest)}
}

func TestTraceeExec(t *testing.T) {
	args := arg("cmdpath", `"/usr/bin/wget"`) + "," + arg("pathname", `"/bin/busybox"`) + "," + arg("dev", "271581185") + "," +
		arg("argv", `["wget","-q","http://files.example/a b"]`) + "," + arg("interp", `"/usr/bin/wget"`) + "," + arg("env", `["TOKEN=1"]`)
	body := func(change func(*event.Process)) *event.Process {
		p := &event.Process{PID: 4711, PPID: 4700, Exe: "/bin/busybox", Comm: "app", Args: []string{"wget", "-q", "http://files.example/a b"},
			UID: 33, AUID: -1, Session: -1, Device: "103:01", Container: testID, Of: traceeOf().Told()}
		if change != nil {
			change(p)
		}
		return p
	}
	alone := func(p *event.Process) { p.Container, p.Of = "", nil }
	script := func(pathname string) string {
		return arg("cmdpath", `"/run.sh"`) + "," + arg("pathname", `"`+pathname+`"`) + "," + arg("argv", `["/bin/sh","/run.sh"]`) + "," + arg("interp", `"/bin/sh"`)
	}
	scripted := func(exe string) *event.Process {
		return body(func(p *event.Process) {
			alone(p)
			p.Exe, p.Script, p.Args, p.Device = exe, "/run.sh", []string{"/bin/sh", "/run.sh"}, ""
		})
	}
	for name, c := range map[string]struct {
		text string
		want sourcetest.Want
	}{
		"newer":          {tracee("sched_process_exec", traceeNew, args, 0), sourcetest.Want{Body: body(nil)}},
		"older":          {tracee("sched_process_exec", traceeOld, args, 0), sourcetest.Want{Body: body(nil)}},
		"over lines":     {strings.ReplaceAll(tracee("sched_process_exec", traceeOld, args, 0), `,"`, ",\n \""), sourcetest.Want{Body: body(nil)}},
		"no container":   {tracee("sched_process_exec", traceeAlone, args, 0), sourcetest.Want{Body: body(alone)}},
		"nested":         {nested("sched_process_exec", args), sourcetest.Want{Body: body(nil)}},
		"older nested":   {oldNested("sched_process_exec", `{"name":"pathname","str":"/bin/busybox"},{"name":"argv","strArray":{"value":["wget","-q","http://files.example/a b"]}},{"name":"dev","uInt32":271581185}`), sourcetest.Want{Body: body(nil)}},
		"script":         {tracee("sched_process_exec", traceeAlone, script("/bin/dash"), 0), sourcetest.Want{Body: scripted("/bin/dash")}},
		"script as file": {tracee("sched_process_exec", traceeAlone, script("/run.sh"), 0), sourcetest.Want{Body: scripted("/bin/sh")}},
		"call": {tracee("execve", traceeAlone, arg("pathname", `"./x"`)+","+arg("argv", `["x"]`)+","+arg("envp", `["A=b"]`), 0), sourcetest.Want{Body: body(func(p *event.Process) {
			alone(p)
			p.Exe, p.Comm, p.Device, p.Args = "./x", "", "", []string{"x"}
		})}},
		"call, argv untold": {tracee("execveat", traceeAlone, arg("pathname", `"./x"`)+","+arg("argv", `null`), 0), sourcetest.Want{Body: body(func(p *event.Process) {
			alone(p)
			p.Exe, p.Comm, p.Device, p.Args = "./x", "", "", nil
		})}},
		"its own parent": {strings.Replace(tracee("sched_process_exec", traceeNew, args, 0), "4700", "4711", 1), sourcetest.Want{Body: body(func(p *event.Process) { p.PPID = 0 })}},
		"docker, digest": {tracee("sched_process_exec", `"container":{"id":"docker://`+testID+`","name":"web","image":"cart:2","imageDigest":"`+testDigest+`"}`, args, 0),
			sourcetest.Want{Body: body(func(p *event.Process) { p.Of = event.PodRef{Image: image.Parse("cart:2@" + testDigest)}.Told() })}},
		"digest that is none": {tracee("sched_process_exec", `"container":{"id":"`+testID+`","image":"cart:2","imageDigest":"x"}`, args, 0),
			sourcetest.Want{Body: body(func(p *event.Process) { p.Of = event.PodRef{Image: image.Parse("cart:2")}.Told() })}},
		"digest reference that is none": {tracee("sched_process_exec", `"container":{"id":"`+testID+`","image":"cart:2","imageDigest":"cart@x"}`, args, 0),
			sourcetest.Want{Body: body(func(p *event.Process) { p.Of = event.PodRef{Image: image.Parse("cart:2")}.Told() })}},
		"failed": {tracee("execve", traceeAlone, args, -2), sourcetest.Want{}},
		"time as text": {strings.Replace(tracee("sched_process_exec", traceeNew, args, 0), "1793700001000000009", `"2026-11-03T10:00:01.000000009Z"`, 1),
			sourcetest.Want{Body: body(nil)}},
		"many arguments": {tracee("execve", traceeAlone, arg("pathname", `"/x"`)+","+arg("argv", `[`+strings.Repeat(`"a",`, maxArgs)+`"b"]`), 0), sourcetest.Want{Body: body(func(p *event.Process) {
			alone(p)
			p.Exe, p.Comm, p.Device, p.ArgsTruncated, p.Args = "/x", "", "", true, strings.Split(strings.Repeat("a", maxArgs), "")
		})}},
		"long argument": {tracee("execve", traceeAlone, arg("pathname", `"/x"`)+","+arg("argv", `["`+strings.Repeat("a", maxArgBytes+1)+`","b"]`), 0), sourcetest.Want{Body: body(func(p *event.Process) {
			alone(p)
			p.Exe, p.Comm, p.Device, p.ArgsTruncated, p.Args = "/x", "", "", true, []string{strings.Repeat("a", maxArgBytes)}
		})}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.At = at(9)
			sourcetest.Check(t, Tracee(), c.text, c.want)
		})
	}
}

func TestTraceeEvents(t *testing.T) {
	socket := func(addr string, success bool) *event.Socket {
		s := onSocket(addr, success)
		s.Comm = "app"
		return s
	}
	in := func(b event.Body) event.Body {
		switch b := b.(type) {
		case *event.Socket:
			b.Container, b.Of = testID, traceeOf().Told()
		case *event.FileWrite:
			b.Container, b.Of = testID, traceeOf().Told()
		}
		return b
	}
	alone := func(name, args string, result int) string { return tracee(name, traceeAlone, args, result) }
	v4 := `{"sa_family":"AF_INET","sin_addr":"198.51.100.9","sin_port":"443"}`
	dns := func(qr int, more string) string {
		src, dst := `"10.0.0.7"`, `"10.0.0.1"`
		ports := [2]string{"4000", "53"}
		if qr == 1 {
			src, dst, ports = dst, src, [2]string{"53", "4000"}
		}
		return arg("src", src) + "," + arg("dst", dst) + "," + arg("src_port", ports[0]) + "," + arg("dst_port", ports[1]) + "," + arg("proto_dns", fmt.Sprintf(`{"ID":5,"QR":%d,%s}`, qr, more))
	}
	meta := arg("metadata", `{"src_ip":"10.0.0.7","dst_ip":"10.0.0.1","src_port":4000,"dst_port":53}`)
	look := func(change func(*event.DNS)) *event.DNS {
		d := &event.DNS{Client: netip.MustParseAddrPort("10.0.0.7:4000"), Server: netip.MustParseAddrPort("10.0.0.1:53"), Query: "pool.example", Type: "A"}
		change(d)
		return d
	}
	answered := func(d *event.DNS) {
		d.Code, d.Names, d.Addrs = "NOERROR", []string{"alias.example"}, []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	}
	nothing := func(*event.DNS) {}
	question := `"questions":[{"name":"Pool.example","type":"A","class":"IN"}]`
	for name, c := range map[string]struct {
		text string
		body event.Body
	}{
		"connect":                {alone("connect", arg("addr", v4), 0), socket("198.51.100.9:443", true)},
		"connect begun":          {alone("connect", arg("addr", v4), -115), socket("198.51.100.9:443", true)},
		"connect refused":        {alone("connect", arg("addr", v4), -111), socket("198.51.100.9:443", false)},
		"hook":                   {tracee("security_socket_connect", traceeNew, arg("remote_addr", v4), 0), in(socket("198.51.100.9:443", true))},
		"IPv6":                   {alone("security_socket_connect", arg("remote_addr", `{"sa_family":"AF_INET6","sin6_addr":"2001:db8::1","sin6_port":"53","sin6_scopeid":"0"}`), 0), socket("[2001:db8::1]:53", true)},
		"unix socket":            {alone("security_socket_connect", arg("remote_addr", `{"sa_family":"AF_UNIX","sun_path":"/run/docker.sock"}`), 0), socket("/run/docker.sock", true)},
		"another family":         {alone("security_socket_connect", arg("remote_addr", `{"sa_family":"AF_UNSPEC"}`), 0), nil},
		"nested connect":         {nested("security_socket_connect", `{"name":"remote_addr","value":{"sa_family":2,"sin_addr":"198.51.100.9","sin_port":443}}`), in(socket("198.51.100.9:443", true))},
		"older nested connect":   {oldNested("security_socket_connect", `{"name":"remote_addr","sockaddr":{"saFamily":"AF_INET","sinAddr":"198.51.100.9","sinPort":443}}`), in(socket("198.51.100.9:443", true))},
		"nested, failed":         {nested("connect", `{"name":"addr","value":{"sa_family":2,"sin_addr":"198.51.100.9","sin_port":443}},{"name":"returnValue","value":-111}`), in(socket("198.51.100.9:443", false))},
		"net_tcp_connect":        {alone("net_tcp_connect", arg("dst", `"198.51.100.9"`)+","+arg("dst_port", "443")+","+arg("dst_dns", `["a.example"]`), 0), socket("198.51.100.9:443", true)},
		"opened for writing":     {alone("security_file_open", arg("pathname", `"/tmp/x"`)+","+arg("flags", `"O_WRONLY|O_CREAT|O_LARGEFILE"`), 0), onFile("/tmp/x")},
		"opened, bare number":    {tracee("security_file_open", traceeOld, arg("pathname", `"/tmp/x"`)+","+arg("flags", `33345`), 0), in(onFile("/tmp/x"))},
		"opened and emptied":     {alone("security_file_open", arg("pathname", `"/tmp/x"`)+","+arg("flags", `512`), 0), onFile("/tmp/x")},
		"emptied, by name":       {alone("security_file_open", arg("pathname", `"/tmp/x"`)+","+arg("flags", `"O_RDONLY|O_TRUNC"`), 0), onFile("/tmp/x")},
		"opened for reading":     {alone("security_file_open", arg("pathname", `"/tmp/x"`)+","+arg("flags", `"O_RDONLY|O_CREAT"`), 0), nil},
		"opened as a path":       {alone("security_file_open", arg("pathname", `"/tmp/x"`)+","+arg("flags", `"O_WRONLY|O_PATH"`), 0), nil},
		"open failed":            {alone("openat", arg("pathname", `"/tmp/x"`)+","+arg("flags", `"O_RDWR"`), -13), nil},
		"creat":                  {alone("creat", arg("pathname", `"/tmp/x"`), 3), onFile("/tmp/x")},
		"written":                {alone("vfs_write", arg("pathname", `"/tmp//x"`), 5), onFile("/tmp/x")},
		"magic":                  {alone("magic_write", arg("pathname", `"/tmp/x"`)+","+arg("bytes", `"f0VMRg=="`), 0), onFile("/tmp/x")},
		"modified":               {alone("file_modification", arg("file_path", `"/tmp/x"`), 0), onFile("/tmp/x")},
		"renamed":                {alone("security_inode_rename", arg("old_path", `"/a"`)+","+arg("new_path", `"/b"`), 0), onFile("/b")},
		"written to a pipe":      {alone("vfs_write", arg("pathname", `""`), 5), nil},
		"DNS query":              {alone("net_packet_dns", dns(0, question), 0), look(nothing)},
		"DNS answer":             {alone("net_packet_dns", dns(1, question+`,"responseCode":"no error","answers":[{"CNAME":"Alias.example.","IP":""},{"IP":"192.0.2.1","CNAME":""}]`), 0), look(answered)},
		"no such name":           {alone("net_packet_dns", dns(1, question+`,"responseCode":"Non-Existent Domain"`), 0), look(func(d *event.DNS) { d.Code = "NXDOMAIN" })},
		"nested DNS":             {nested("net_packet_dns", dns(1, "")[:0]+arg("src", `"10.0.0.1"`)+","+arg("dst", `"10.0.0.7"`)+","+arg("src_port", "53")+","+arg("dst_port", "4000")+`,{"name":"proto_dns","value":{"qr":1,"response_code":"no error","questions":[{"name":"pool.example","type":"A"}],"answers":[{"cname":"alias.example"},{"ip":"192.0.2.1"}]}}`), look(func(d *event.DNS) { answered(d); d.Of = traceeOf().Told() })},
		"DNS without a question": {alone("net_packet_dns", dns(0, `"questions":[]`), 0), nil},
		"DNS, root":              {alone("net_packet_dns", dns(0, `"questions":[{"name":"."}]`), 0), nil},
		"request":                {alone("net_packet_dns_request", meta+","+arg("dns_questions", `[{"query":"pool.example","query_type":"A","query_class":"IN"}]`), 0), look(nothing)},
		"nested request":         {nested("net_packet_dns_request", `{"name":"metadata","value":{"srcIp":"10.0.0.7","dstIp":"10.0.0.1","srcPort":4000,"dstPort":53}},{"name":"dns_questions","value":{"questions":[{"query":"pool.example","query_type":"A"}]}}`), look(func(d *event.DNS) { d.Of = traceeOf().Told() })},
		"request, nothing":       {alone("net_packet_dns_request", meta, 0), nil},
		"request, root":          {alone("net_packet_dns_request", meta+","+arg("dns_questions", `[{"query":""}]`), 0), nil},
		"response": {alone("net_packet_dns_response", arg("metadata", `{"src_ip":"10.0.0.1","dst_ip":"10.0.0.7","src_port":53,"dst_port":4000}`)+","+
			arg("dns_response", `[{"query_data":{"query":"pool.example","query_type":"A"},"dns_answer":[{"answer_type":"CNAME","answer":"alias.example"},{"answer_type":"A","answer":"192.0.2.1"},{"answer_type":"TXT","answer":"v=x"}]}]`), 0),
			look(func(d *event.DNS) { answered(d); d.Code = "" })},
		"nested response": {alone("net_packet_dns_response", arg("dns_response", `{"responses":[{"dns_query_data":{"query":""}}]}`), 0), nil},
		"another event":   {alone("net_packet_tcp", "", 0), nil},
		"nested other":    {nested("sched_process_exit", ""), nil},
		"DNS, no process": {strings.Replace(alone("net_packet_dns", dns(0, question), 0), `"hostProcessId":4711,`, "", 1), look(nothing)},
	} {
		t.Run(name, func(t *testing.T) { sourcetest.Check(t, Tracee(), c.text, sourcetest.Want{At: at(9), Body: c.body}) })
	}
}

func TestTraceeFaults(t *testing.T) {
	long := strings.Repeat("x", maxPath+1)
	exec := tracee("sched_process_exec", traceeAlone, arg("pathname", `"/x"`), 0)
	stamped := func(stamp string) string { return strings.Replace(exec, "1793700001000000009", stamp, 1) }
	with := func(name, args string) string { return tracee(name, traceeAlone, args, 0) }
	for text, fault := range map[string]string{
		`{`:                               "not one JSON value",
		`"x"`:                             "not a JSON object",
		`{"timestamp":1}`:                 "no event of Tracee",
		`{"eventName":"x"}`:               "wall clock's nanoseconds",
		stamped("620311624458929"):        "wall clock's nanoseconds",
		stamped("1793700001"):             "wall clock's nanoseconds",
		stamped("1793700001.5"):           "wall clock's nanoseconds",
		stamped("-1793700001000000009"):   "wall clock's nanoseconds",
		stamped("17937000010000000090"):   "wall clock's nanoseconds",
		stamped(`"1970-01-01T00:10:00Z"`): "before 2001",
		`{"timestamp":"","name":"x","workload":{}}`:                                               "no timestamp",
		strings.Replace(exec, `"hostProcessId":4711,`, "", 1):                                     "without the process id",
		strings.Replace(exec, `"hostProcessId":4711`, `"hostProcessId":0`, 1):                     "without the process id",
		strings.Replace(exec, `"hostProcessId":4711`, `"hostProcessId":"x"`, 1):                   "process id",
		strings.Replace(exec, `4700`, `-1`, 1):                                                    "process id",
		strings.Replace(exec, `"userId":33`, `"userId":33,"userId":0`, 1):                         "stands twice",
		strings.Replace(exec, `"processName":"app"`, `"processName":"`+long+`"`, 1):               "name is longer",
		strings.Replace(exec, `"containerId":""`, `"containerId":"`+long+`"`, 1):                  "name is longer",
		with("sched_process_exec", ""):                                                            "without pathname",
		with("sched_process_exec", arg("pathname", `"`+long+`"`)):                                 "path is longer",
		with("sched_process_exec", arg("cmdpath", `"`+long+`"`)):                                  "path is longer",
		with("execve", arg("pathname", `"/a"`)+","+arg("pathname", `"/b"`)):                       "stands twice",
		with("execve", strings.TrimSuffix(strings.Repeat(`{"name":"a"},`, maxTraceeArgs+1), ",")): "arguments",
		nested("sched_process_exec", arg("a", "1")+","+arg("a", "2")):                             "stands twice",
		strings.Replace(nested("sched_process_exec", ""), "4711", "-1", 1):                        "process id",
		with("connect", ""): "without an address",
		with("connect", arg("addr", `"{'sa_family': 'AF_INET'}"`)):                                                               "without an address",
		with("connect", arg("addr", `{}`)):                                                                                       "without an address",
		with("connect", arg("addr", `{"sa_family":"AF_INET","sin_addr":"x"}`)):                                                   "not an IP address",
		with("net_tcp_connect", arg("dst", `"192.0.2.1"`)+","+arg("dst_port", "-1")):                                             "port",
		with("security_file_open", arg("pathname", `"/x"`)):                                                                      "readable flags",
		with("vfs_write", arg("pathname", `"/`+long+`"`)):                                                                        "path is longer",
		with("net_packet_dns", arg("src", `"x"`)):                                                                                "source",
		with("net_packet_dns", arg("proto_dns", `{"questions":[{"name":"`+long+`"}]}`)):                                          "name is longer",
		with("net_packet_dns", arg("proto_dns", `{"questions":[{"name":"a","type":"`+long+`"}]}`)):                               "name is longer",
		with("net_packet_dns_request", arg("dns_questions", `[{"query":"`+long+`"}]`)):                                           "name is longer",
		with("net_packet_dns_response", arg("dns_response", `[{"query_data":{"query":"`+long+`"}}]`)):                            "name is longer",
		strings.Replace(with("connect", arg("addr", `{"sa_family":"AF_UNIX","sun_path":"/x"}`)), `"hostProcessId":4711,`, "", 1): "without the process id",
		strings.Replace(with("vfs_write", arg("pathname", `"/x"`)), `"hostProcessId":4711,`, "", 1):                              "without the process id",
	} {
		sourcetest.Check(t, Tracee(), text, sourcetest.Want{Fault: fault})
	}
}

// The name that a process sees is not the host's, and one record has one id.
func TestTraceePlaceAndIdentity(t *testing.T) {
	exec := tracee("sched_process_exec", traceeNew, arg("pathname", `"/x"`), 0)
	connect := tracee("connect", traceeNew, arg("addr", `{"sa_family":"AF_UNIX","sun_path":"/x"}`), 0)
	events, _ := sourcetest.Decode(t, Tracee(), exec+"\n"+exec+"\n"+connect)
	if len(events) != 3 || events[0].ID != events[1].ID || events[0].ID == events[2].ID {
		t.Fatalf("%+v", events)
	}
	if !events[0].Place.IsZero() || events[0].Origin.Source != event.Tracee {
		t.Errorf("%+v", events[0])
	}
}

func TestDNSCodes(t *testing.T) {
	for words, want := range map[string]string{
		"no error": "NOERROR", "Format Error": "FORMERR", "Server Failure ": "SERVFAIL", "not implemented": "NOTIMP", "query refused": "REFUSED",
		"TSIG Signature Failure": "TSIG Signature Failure", strings.Repeat("x", maxName+1): "",
	} {
		if got := dnsCode(words); got != want {
			t.Errorf("%q: %q", words, got)
		}
	}
	var l lookup
	l.body = &event.DNS{Query: "a"}
	for i := range maxAnswers + 9 {
		l.answer(fmt.Sprintf("n%d.example", i))
	}
	if len(l.body.Names) != maxAnswers {
		t.Errorf("%d names", len(l.body.Names))
	}
}

func TestTraceeSniff(t *testing.T) {
	exec := tracee("execve", traceeNew, "", 0)
	for text, sure := range map[string]bool{
		exec:                         true,
		"[" + exec:                   true,
		nested("execve", ""):         true,
		oldNested("execve", ""):      true,
		nested("execve", "")[:400]:   true,
		`{"timestamp":1,"name":"x"}`: false,
		`{"timestamp":1,"name":"x","context":{"trace":1}}`: false,
		`{"timestamp":1,"eventName":"RunInstances"}`:       false,
		"": false,
	} {
		if got := sourcetest.Sniff(Tracee(), text); got > 0 != sure {
			t.Errorf("%.60q: %d", text, got)
		}
	}
}

func FuzzTracee(f *testing.F) {
	f.Add([]byte(tracee("sched_process_exec", traceeNew, arg("pathname", `"/x"`)+","+arg("argv", `["x"]`)+","+arg("dev", "45"), 0)))
	f.Add([]byte(tracee("connect", traceeOld, arg("addr", `{"sa_family":"AF_UNIX","sun_path":"/x"}`), -115)))
	f.Add([]byte(tracee("net_packet_dns", traceeAlone, arg("proto_dns", `{"QR":1,"questions":[{"name":"a"}],"answers":[{"IP":"192.0.2.1"}]}`), 0)))
	f.Add([]byte(tracee("security_file_open", traceeAlone, arg("pathname", `"x"`)+","+arg("flags", `"O_RDWR"`), 0)))
	f.Add([]byte(nested("security_socket_connect", `{"name":"remote_addr","value":{"sa_family":2,"sin_addr":"192.0.2.9","sin_port":443}}`)))
	f.Add([]byte(oldNested("sched_process_exec", `{"name":"pathname","str":"/x"},{"name":"argv","strArray":{"value":["x"]}}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, tally := sourcetest.Feed(Tracee(), [][]byte{data, data})
		sourcetest.CheckAccount(t, events, tally)
		for _, e := range events {
			checkEvent(t, e)
		}
		if len(events) == 2 && events[0].ID != events[1].ID {
			t.Error("one record, two ids")
		}
	})
}

func BenchmarkTracee(b *testing.B) {
	sourcetest.Bench(b, Tracee(), sourcetest.Fill("", func(n int64) string {
		text := tracee("sched_process_exec", traceeNew, arg("cmdpath", `"/usr/bin/wget"`)+","+arg("pathname", `"/bin/busybox"`)+","+arg("dev", "45")+","+
			arg("argv", fmt.Sprintf(`["wget","-q","http://files.example/%d"]`, n))+","+arg("interp", `"/usr/bin/wget"`), 0)
		if n%4 == 3 {
			text = tracee("security_socket_connect", traceeNew, arg("sockfd", "5")+","+arg("remote_addr", `{"sa_family":"AF_INET","sin_addr":"198.51.100.9","sin_port":"443"}`), 0)
		}
		return strings.Replace(text, "1793700001000000009", fmt.Sprint(1793700001000000009+n*1_000_000), 1) + "\n"
	}))
}
