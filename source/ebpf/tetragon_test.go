package ebpf

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/sourcetest"
)

// Parts of the fixtures. exec_id is "node-1:900:4711", its parent's
// "node-1:800:4700", in base64.
const (
	testDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	testID     = "aaaabbbbccccddddeeeeffff0000111122223333444455556666777788889999"
	testPod    = `"pod":{"namespace":"shop","name":"cart-0","uid":"u-1","container":{"id":"containerd://` + testID + `","name":"cart","image":{"id":"registry.example/cart@` + testDigest + `","name":"registry.example/cart:2"},"pid":1},"workload":"cart","workload_kind":"StatefulSet"},"docker":"aaaabbbbccccddddeeeeffff0000111"`
	testParent = `"parent":{"pid":4700,"binary":"/bin/sh"}`
	testEnd    = `"node_name":"node-1","cluster_name":"main","time":"2026-11-03T10:00:01.000000009Z"}`
)

// tetragon makes a record: the event's name, what is in its process behind the
// exec_id, and what follows the process.
func tetragon(kind, process, rest string) string {
	if rest != "" {
		rest = "," + rest
	}
	return `{"` + kind + `":{"process":{"exec_id":"bm9kZS0xOjkwMDo0NzEx",` + process + `}` + rest + `},` + testEnd
}

func at(nanos int64) event.Time { return event.Time{At: 1793700001*event.Second + nanos, Res: 1} }

func testOf() event.PodRef {
	return event.PodRef{
		Namespace: "shop", Pod: "cart-0", UID: "u-1", Container: "cart", Node: "node-1",
		Image:    image.Parse("registry.example/cart@" + testDigest),
		Workload: event.ObjectRef{Kind: "StatefulSet", Namespace: "shop", Name: "cart"},
	}
}

// on gives a fixture for a hook's arguments, and its bare actor.
func on(kind, function, args string) string {
	return tetragon(kind, `"pid":4711,"uid":33,"auid":4294967295,"binary":"/app","cwd":"/srv"`, testParent+`,"function_name":"`+function+`","args":[`+args+`]`)
}

func onSocket(addr string, success bool) *event.Socket {
	s := &event.Socket{PID: 4711, PPID: 4700, UID: 33, AUID: -1, Exe: "/app", Success: success}
	if a, err := netip.ParseAddrPort(addr); err == nil {
		s.Addr = a
	} else {
		s.Path = addr
	}
	return s
}

func onFile(path string) *event.FileWrite {
	return &event.FileWrite{PID: 4711, PPID: 4700, UID: 33, AUID: -1, Exe: "/app", Path: path}
}

func TestTetragonExec(t *testing.T) {
	full := &event.Process{
		PID: 4711, PPID: 4700, Exe: "/usr/bin/wget", Args: []string{"/usr/bin/wget", "-q", "http://files.example/a b", "", "x"},
		Cwd: "/srv", UID: 0, AUID: 1000, Session: -1, Container: testID, Of: testOf().Told(),
	}
	exec := func(start, rest, parent string) string {
		return tetragon("process_exec", `"pid":4711,"uid":0,"cwd":"/srv/","binary":"/usr/bin/wget","start_time":"`+start+`"`+rest, parent)
	}
	args := `,"arguments":"-q \"http://files.example/a b\"  x","flags":"execve clone","auid":1000,`
	bare := func(change func(*event.Process)) *event.Process {
		p := &event.Process{PID: 4711, Exe: "/usr/bin/wget", Args: []string{"/usr/bin/wget"}, Cwd: "/srv", UID: 0, AUID: -1, Session: -1}
		change(p)
		return p
	}
	for name, c := range map[string]struct {
		text string
		want sourcetest.Want
	}{
		"in a pod":           {exec("2026-11-03T10:00:01.000000005Z", args+testPod, testParent), sourcetest.Want{At: at(5), Body: full}},
		"printed over lines": {strings.ReplaceAll(exec("2026-11-03T10:00:01.000000005Z", args+testPod, testParent), ",\"", ",\n  \""), sourcetest.Want{At: at(5), Body: full}},
		"in an array":        {"[" + exec("2026-11-03T10:00:01.000000005Z", args+testPod, testParent) + "]", sourcetest.Want{At: at(5), Body: full}},
		"milliseconds": {exec("2026-11-03T10:00:01.861Z", "", `"parent":{}`), sourcetest.Want{
			At: event.Time{At: at(861_000_000).At, Res: event.Millisecond}, Body: bare(func(*event.Process) {})}},
		"Go's digits": {exec("2026-11-03T10:00:01.86Z", "", `"parent":{}`), sourcetest.Want{At: at(860_000_000), Body: bare(func(*event.Process) {})}},
		"found at start-up": {exec("2026-11-03T09:00:01.120Z", `,"flags":"procFS auid rootcwd"`, `"parent":{}`), sourcetest.Want{
			At: event.Time{At: at(120_000_000).At - 3600*event.Second, Res: foundRes}, Body: bare(func(*event.Process) {})}},
		"no fork": {exec("2026-11-03T10:00:01.000000005Z", "", `"parent":{"pid":4711},"ancestors":[{"pid":4711},{"pid":42},{"pid":1}]`),
			sourcetest.Want{At: at(5), Body: bare(func(p *event.Process) { p.PPID = 42 })}},
		"no fork, no ancestors": {exec("2026-11-03T10:00:01.000000005Z", "", `"parent":{"pid":4711}`), sourcetest.Want{At: at(5), Body: bare(func(*event.Process) {})}},
		"parent's id only": {exec("2026-11-03T10:00:01.000000005Z", `,"parent_exec_id":"bm9kZS0xOjgwMDo0NzAw"`, ""),
			sourcetest.Want{At: at(5), Body: bare(func(p *event.Process) { p.PPID = 4700 })}},
		"parent's id is its own": {exec("2026-11-03T10:00:01.000000005Z", `,"parent_exec_id":"bm9kZS0xOjkwMDo0NzEx"`, ""), sourcetest.Want{At: at(5), Body: bare(func(*event.Process) {})}},
		"parent's id is none":    {exec("2026-11-03T10:00:01.000000005Z", `,"parent_exec_id":"?"`, ""), sourcetest.Want{At: at(5), Body: bare(func(*event.Process) {})}},
		"parent's id has no pid": {exec("2026-11-03T10:00:01.000000005Z", `,"parent_exec_id":"bm9kZTp4Oi0x"`, ""), sourcetest.Want{At: at(5), Body: bare(func(*event.Process) {})}},
		"arguments cut": {exec("2026-11-03T10:00:01.000000005Z", `,"arguments":"-q","flags":"execve truncArgs clone"`, ""),
			sourcetest.Want{At: at(5), Body: bare(func(p *event.Process) { p.Args, p.ArgsTruncated = append(p.Args, "-q"), true })}},
		"a script": {exec("2026-11-03T10:00:01.000000005Z", `,"arguments":"-e /usr/bin/wget a"`, ""), sourcetest.Want{At: at(5), Body: bare(func(p *event.Process) {
			p.Args, p.Script = append(p.Args, "-e", "/usr/bin/wget", "a"), "/usr/bin/wget"
		})}},
		"own path as a late argument": {exec("2026-11-03T10:00:01.000000005Z", `,"arguments":"a b /usr/bin/wget"`, ""),
			sourcetest.Want{At: at(5), Body: bare(func(p *event.Process) { p.Args = append(p.Args, "a", "b", "/usr/bin/wget") })}},
		"container only": {exec("2026-11-03T10:00:01.000000005Z", `,"docker":"aaaabbbbccccddddeeeeffff0000111"`, ""),
			sourcetest.Want{At: at(5), Body: bare(func(p *event.Process) { p.Container = "aaaabbbbccccddddeeeeffff0000111" })}},
		"the pod is another container's": {exec("2026-11-03T10:00:01.000000005Z", `,"pod":{"name":"p","container":{"id":"cri-o://ffff"}},"docker":"aaaa"`, ""),
			sourcetest.Want{At: at(5), Body: bare(func(p *event.Process) { p.Container, p.Of = "aaaa", event.PodRef{Pod: "p", Node: "node-1"}.Told() })}},
		"image with a digest in its name": {exec("2026-11-03T10:00:01.000000005Z", `,"pod":{"name":"p","container":{"image":{"id":"x","name":"a.example/b@`+testDigest+`"}}}`, ""),
			sourcetest.Want{At: at(5), Body: bare(func(p *event.Process) {
				p.Of = event.PodRef{Pod: "p", Node: "node-1", Image: image.Parse("a.example/b@" + testDigest)}.Told()
			})}},
		"the kernel's":         {`{"process_exec":{"process":{"pid":0,"binary":"<kernel>","start_time":"2026-11-03T10:00:01Z"}},` + testEnd, sourcetest.Want{}},
		"without start_time":   {tetragon("process_exec", `"pid":4711,"uid":0,"binary":"/usr/bin/wget","cwd":"/srv"`, ""), sourcetest.Want{At: at(9), Body: bare(func(*event.Process) {})}},
		"found, no start_time": {tetragon("process_exec", `"pid":4711,"flags":"procFS"`, ""), sourcetest.Want{Fault: "without start_time"}},
		"without time": {`{"process_exec":{"process":{"pid":4711,"uid":0,"binary":"/usr/bin/wget","cwd":"/srv","start_time":"2026-11-03T10:00:01.000000005Z"}}}`,
			sourcetest.Want{At: at(5), Body: bare(func(*event.Process) {})}},
		"without any time": {`{"process_exec":{"process":{"pid":4711}}}`, sourcetest.Want{Fault: "without start_time"}},
		"bad start_time":   {exec("yesterday", "", ""), sourcetest.Want{Fault: "start_time"}},
		"since boot":       {exec("1970-01-01T03:00:00.5Z", "", ""), sourcetest.Want{Fault: "wall clock"}},
	} {
		t.Run(name, func(t *testing.T) { sourcetest.Check(t, Tetragon(), c.text, c.want) })
	}
}

func TestTetragonHooks(t *testing.T) {
	sock := `{"sock_arg":{"family":"AF_INET","protocol":"IPPROTO_TCP","saddr":"10.0.0.7","daddr":"198.51.100.88","sport":40112,"dport":443}}`
	file := `{"file_arg":{"path":"/etc/passwd","permission":"-rw-r--r--"}}`
	returning := func(text, more string) string {
		return strings.Replace(text, `]},"node_name"`, `],`+more+`},"node_name"`, 1)
	}
	tracepoint := func(subsys, name, args string) string {
		return tetragon("process_tracepoint", `"pid":4711,"uid":33,"binary":"/app","cwd":"/srv"`, testParent+`,"subsys":"`+subsys+`","event":"`+name+`","args":[`+args+`]`)
	}
	kprobe := func(function, args string) string { return on("process_kprobe", function, args) }
	for name, c := range map[string]struct {
		text string
		body event.Body
	}{
		"tcp_connect":         {kprobe("tcp_connect", sock), onSocket("198.51.100.88:443", true)},
		"LSM connect":         {on("process_lsm", "socket_connect", sock), onSocket("198.51.100.88:443", true)},
		"address asked for":   {kprobe("security_socket_connect", `{"sock_arg":{"family":"AF_INET6","daddr":"::","dport":0}},{"sockaddr_arg":{"family":"AF_INET6","addr":"2001:db8::9%eth0","port":53}}`), onSocket("[2001:db8::9]:53", true)},
		"IPv4 in IPv6":        {kprobe("tcp_connect", `{"sock_arg":{"daddr":"::ffff:192.0.2.3","dport":80}}`), onSocket("192.0.2.3:80", true)},
		"unix socket":         {kprobe("security_socket_connect", `{"sockaddr_arg":{"family":"AF_UNIX","addr":"/run/docker.sock"}}`), onSocket("/run/docker.sock", true)},
		"abstract socket":     {kprobe("security_socket_connect", `{"sockaddr_arg":{"family":"AF_UNIX","addr":"\u0000ab\u0000c\u0000"}}`), onSocket("@ab@c", true)},
		"unnamed socket":      {kprobe("security_socket_connect", `{"sockaddr_arg":{"family":"AF_UNIX","addr":"\u0000\u0000"}}`), nil},
		"other family":        {kprobe("security_socket_connect", `{"sockaddr_arg":{"family":"AF_NETLINK"}}`), nil},
		"family, no address":  {kprobe("tcp_connect", `{"sock_arg":{"family":"AF_INET"}}`), nil},
		"no address recorded": {kprobe("tcp_connect", `{"int_arg":3}`), nil},
		"begun":               {returning(kprobe("__x64_sys_connect", sock), `"return":{"int_arg":-115}`), onSocket("198.51.100.88:443", true)},
		"refused":             {returning(kprobe("__x64_sys_connect", sock), `"return":{"int_arg":-111}`), onSocket("198.51.100.88:443", false)},
		"overridden":          {returning(kprobe("security_socket_connect", sock), `"action":"KPROBE_ACTION_OVERRIDE"`), onSocket("198.51.100.88:443", false)},

		"write permission":       {kprobe("security_file_permission", file+`,{"int_arg":2}`), onFile("/etc/passwd")},
		"append permission":      {on("process_lsm", "file_permission", file+`,{"uint_arg":8}`), onFile("/etc/passwd")},
		"read permission":        {kprobe("security_file_permission", file+`,{"int_arg":4}`), nil},
		"permission untold":      {kprobe("security_file_permission", file), nil},
		"permission denied":      {returning(kprobe("security_file_permission", file+`,{"int_arg":2}`), `"return":{"int_arg":-13}`), nil},
		"shared writable map":    {kprobe("security_mmap_file", file+`,{"uint_arg":3},{"uint_arg":1}`), onFile("/etc/passwd")},
		"private map":            {kprobe("security_mmap_file", file+`,{"uint_arg":3},{"uint_arg":2}`), nil},
		"truncate":               {kprobe("security_path_truncate", `{"path_arg":{"path":"/var/log/x"}}`), onFile("/var/log/x")},
		"write":                  {kprobe("__x64_sys_write", `{"file_arg":{"path":"etc/passwd"}},{"bytes_arg":"eA=="},{"size_arg":"1"}`), onFile("/etc/passwd")},
		"write to a pipe":        {kprobe("__x64_sys_write", `{"file_arg":{"path":"pipe:[17]"}}`), nil},
		"write without the file": {kprobe("__x64_sys_write", `{"int_arg":1}`), nil},
		"only opened":            {kprobe("fd_install", `{"int_arg":3},`+file), nil},
		"openat":                 {kprobe("__arm64_sys_openat", `{"int_arg":-100},{"string_arg":"../x"},{"int_arg":577}`), onFile("/x")},
		"openat, flags in text":  {kprobe("sys_openat", `{"int_arg":-100},{"string_arg":"/x"},{"size_arg":"1025"}`), onFile("/x")},
		"openat elsewhere":       {kprobe("__x64_sys_openat", `{"int_arg":5},{"string_arg":"x"},{"int_arg":1}`), onFile("x")},
		"openat for reading":     {kprobe("__x64_sys_openat", `{"int_arg":-100},{"string_arg":"x"},{"int_arg":64}`), nil},
		"openat O_PATH":          {kprobe("__x64_sys_openat", `{"int_arg":-100},{"string_arg":"x"},{"int_arg":2097153}`), nil},
		"openat, flags untold":   {kprobe("__x64_sys_openat", `{"int_arg":-100},{"string_arg":"x"}`), nil},
		"openat failed":          {returning(kprobe("__x64_sys_openat", `{"int_arg":-100},{"string_arg":"x"},{"int_arg":1}`), `"return":{"int_arg":-2}`), nil},
		"openat, no name":        {kprobe("__x64_sys_openat", `{"int_arg":-100},{"string_arg":""},{"int_arg":1}`), nil},
		"creat, name untold":     {kprobe("__x64_sys_creat", `{"int_arg":5}`), nil},
		"creat":                  {kprobe("__x64_sys_creat", `{"string_arg":"x"}`), onFile("/srv/x")},
		"rename":                 {kprobe("__x64_sys_rename", `{"string_arg":"/a"},{"string_arg":"/b"}`), onFile("/b")},
		"renameat2 elsewhere":    {kprobe("__x64_sys_renameat2", `{"int_arg":-100},{"string_arg":"/a"},{"int_arg":4},{"string_arg":"b"}`), onFile("b")},
		"rename, one name":       {kprobe("__x64_sys_rename", `{"string_arg":"/a"}`), nil},
		"tracepoint":             {tracepoint("syscalls", "sys_enter_openat", `{"int_arg":-100},{"string_arg":"y"},{"int_arg":2}`), onFile("/srv/y")},
		"other tracepoint":       {tracepoint("sched", "sys_enter_openat", `{"string_arg":"y"},{"int_arg":2}`), nil},
		"end of a call":          {tracepoint("syscalls", "sys_exit_openat", `{"string_arg":"y"},{"int_arg":2}`), nil},
		"another function":       {kprobe("commit_creds", `{"int_arg":1}`), nil},
		"the kernel's own":       {tetragon("process_kprobe", `"pid":0`, `"function_name":"tcp_connect","args":[`+sock+`]`), nil},

		"old connect": {tetragon("process_connect", `"pid":4711,"uid":33,"binary":"/app"`, testParent+`,"source_ip":"10.0.0.7","source_port":4,"destination_ip":"203.0.113.4","destination_port":80`), onSocket("203.0.113.4:80", true)},
		"old connect, socket": {tetragon("process_connect", `"pid":4711,"uid":33,"binary":"/app"`, testParent+`,"socket":{"destination_ip":"203.0.113.4","destination_port":80}`),
			onSocket("203.0.113.4:80", true)},
		"exit":   {tetragon("process_exit", `"pid":4711`, `"status":1`), nil},
		"listen": {tetragon("process_listen", `"pid":4711`, `"ip":"0.0.0.0"`), nil},
		"newer":  {tetragon("process_of_tomorrow", `"pid":4711`, ""), nil},

		"rate limit":          {`{"rate_limit_info":{"number_of_dropped_process_events":"17"},` + testEnd, &event.Loss{Reason: "sensor rate limit exceeded", Count: 17}},
		"rate limit, untold":  {`{"rate_limit_info":{},` + testEnd, &event.Loss{Reason: "sensor rate limit exceeded", Count: -1}},
		"rate limit, nothing": {`{"rate_limit_info":{"number_of_dropped_process_events":0},` + testEnd, nil},
		"throttled":           {`{"process_throttle":{"type":"THROTTLE_START","cgroup":"x"},` + testEnd, &event.Loss{Reason: "sensor throttles a group of processes", Count: -1}},
		"no longer throttled": {`{"process_throttle":{"type":"THROTTLE_STOP","cgroup":"x"},` + testEnd, nil},
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Check(t, Tetragon(), c.text, sourcetest.Want{At: at(9), Body: c.body})
		})
	}
}

func TestTetragonNames(t *testing.T) {
	dns := func(process, rest string) string { return tetragon("process_dns", process, rest) }
	ends := func(src, dst string) (netip.AddrPort, netip.AddrPort) {
		return netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	}
	client, server := ends("10.0.0.7:4000", "10.0.0.1:53")
	for name, c := range map[string]struct {
		text string
		body event.Body
	}{
		"answer": {dns(`"pid":1,`+testPod, `"dns":{"question_types":[28],"rcode":3,"names":["Pool.example.","alias.example"],"ips":["2001:db8::1","::ffff:192.0.2.1"],"query":"Pool.example.","response":true}`),
			&event.DNS{Query: "pool.example", Type: "AAAA", Code: "NXDOMAIN", Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.1")}, Names: []string{"alias.example"}, Of: testOf().Told()}},
		"query": {dns(`"pid":1`, `"dns":{"question_types":[99],"names":["a.example"]},"socket":{"source_ip":"10.0.0.7","source_port":4000,"destination_ip":"10.0.0.1","destination_port":53}`),
			&event.DNS{Query: "a.example", Type: "TYPE99", Client: client, Server: server}},
		"answer's ends": {dns(`"pid":1`, `"dns":{"query":"a.example"},"source_ip":"10.0.0.1","source_port":53,"destination_ip":"10.0.0.7","destination_port":4000`),
			&event.DNS{Query: "a.example", Client: client, Server: server}},
		"nobody's": {dns(`"pid":1`, `"dns":{"query":"a.example"}`), nil},
		"no query": {dns(`"pid":1,`+testPod, `"dns":{}`), nil},
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Check(t, Tetragon(), c.text, sourcetest.Want{At: at(9), Body: c.body})
		})
	}
}

func TestTetragonFaults(t *testing.T) {
	long := strings.Repeat("x", maxPath+1)
	for text, fault := range map[string]string{
		`no JSON`:     "not one JSON value",
		`{"a":1}`:     "no event of Tetragon",
		`"a"`:         "not a JSON object",
		`{` + testEnd: "no event of Tetragon",
		`{"process_exec":{"process":{"pid":1}},"process_exit":{},` + testEnd: "two events",
		`{"process_exit":{"process":{"pid":1}}}`:                             "no time",
		`{"process_exit":{},"time":"2026-11-03 10:00:00"}`:                   "RFC 3339",
		`{"process_exit":{},"time":5}`:                                       "no time",
		`{"process_exec":{},` + testEnd:                                      "without its process",
		`{"process_exec":{"process":"x"},` + testEnd:                         "without its process",
		tetragon("process_exec", `"pid":-1`, ""):                             "process id",
		tetragon("process_exec", `"pid":4294967296`, ""):                     "process id",
		tetragon("process_exec", `"pid":"`+long+`"`, ""):                     "…",
		on("process_kprobe", "__x64_sys_creat", `{"int_arg":5}`)[:9]:         "not one JSON value",
		tetragon("process_exec", `"pid":1.5`, ""):                            "process id",
		tetragon("process_exec", `"pid":{}`, ""):                             "process id",
		tetragon("process_exec", `"pid":1,"pid":2`, ""):                      "stands twice",
		tetragon("process_exec", `"pid":1`, `"parent":{"pid":-4}`):           "process id",
		tetragon("process_exec", `"pid":1,"binary":"/`+long+`"`, ""):         "path is longer",
		tetragon("process_exec", `"pid":1,"docker":"`+long+`"`, ""):          "name is longer",
		`{"process_exec":{"process":{"pid":1}},"cluster_name":"` + long + `",` + testEnd[len(`"node_name":"node-1","cluster_name":"main",`):]: "name is longer",
		on("process_kprobe", "tcp_connect", `{"sock_arg":{"daddr":"1.2.3","dport":1}}`):                                                       "not an IP address",
		on("process_kprobe", "tcp_connect", `{"sock_arg":{"daddr":"192.0.2.1","dport":65536}}`):                                               "port",
		on("process_kprobe", "connect", `{"sockaddr_arg":{"family":"AF_UNIX","addr":"`+long+`"}}`):                                            "path is longer",
		on("process_kprobe", "__x64_sys_write", `{"file_arg":{"path":"/`+long+`"}}`):                                                          "path is longer",
		on("process_kprobe", "__x64_sys_openat", `{"int_arg":-100},{"string_arg":"x"},{"bytes_arg":"x"}`):                                     "no number",
		tetragon("process_connect", `"pid":1`, `"destination_ip":"no"`):                                                                       "destination",
		tetragon("process_dns", `"pid":1`, `"dns":{"query":"a"},"source_ip":"no"`):                                                            "source",
		tetragon("process_dns", `"pid":1`, `"dns":{"query":"a"},"destination_ip":"no"`):                                                       "destination",
		tetragon("process_dns", `"pid":1,`+testPod, `"dns":{"query":"`+long+`"}`):                                                             "name is longer",
	} {
		sourcetest.Check(t, Tetragon(), text, sourcetest.Want{Fault: fault})
	}
}

// A record says where it is from and when it was written; the same one
// delivered twice has one id, and another one another.
func TestTetragonPlaceAndIdentity(t *testing.T) {
	found := tetragon("process_exec", `"pid":4711,"flags":"procFS","start_time":"2026-11-03T09:00:00Z"`, "")
	connect := on("process_kprobe", "tcp_connect", `{"sock_arg":{"daddr":"192.0.2.1","dport":1}}`)
	other := on("process_kprobe", "security_socket_connect", `{"sock_arg":{"daddr":"192.0.2.1","dport":1}}`)
	elsewhere := strings.Replace(connect, "192.0.2.1", "192.0.2.2", 1)
	events, _ := sourcetest.Decode(t, Tetragon(), strings.Join([]string{found, found, connect, elsewhere}, "\n"))
	if len(events) == 4 && events[2].ID == events[3].ID {
		t.Error("two connections in one tick have one id")
	}
	events, _ = sourcetest.Decode(t, Tetragon(), strings.Join([]string{found, found, connect, other}, "\n"))
	if len(events) != 4 || events[0].ID != events[1].ID || events[2].ID == events[3].ID || events[1].ID == events[2].ID {
		t.Fatalf("%+v", events)
	}
	if e := events[0]; e.Place != (event.Place{Cluster: "main", Host: "node-1"}) || e.Record != at(9).At || e.Origin.Source != event.Tetragon {
		t.Errorf("%+v", e)
	}
	if events[2].Record != 0 {
		t.Errorf("record time %d", events[2].Record)
	}
}

func TestSplitArguments(t *testing.T) {
	for text, want := range map[string][]string{
		``:                              nil,
		`-c`:                            {"-c"},
		` "a b" c`:                      {"a b", "c"},
		`"a b"`:                         {"a b"},
		`-c "curl x | sh" y`:            {"-c", "curl x | sh", "y"},
		`"a b" "c d"`:                   {"a b", "c d"},
		`a  b `:                         {"a", "", "b", ""},
		`-c "echo "a b" c"`:             {"-c", `echo "a b" c`},
		`-c "x "a" "b c""`:              {"-c", `x "a" "b c"`},
		`-c "a "b"`:                     {"-c", `a "b`},
		`"a" b`:                         {`"a"`, "b"},
		`"a" b"`:                        {`a" b`},
		`"a"`:                           {`"a"`},
		`"a`:                            {`"a`},
		`"a b`:                          {`"a`, "b"},
		`"`:                             {`"`},
		`x="a b" c`:                     {`x="a`, `b"`, "c"},
		"-c \"printf '\x01\xff'\nb\" z": {"-c", "printf '\x01\xff'\nb", "z"},
	} {
		if got, cut := splitArguments(text); !slices.Equal(got, want) || cut {
			t.Errorf("%q: %q, %v", text, got, cut)
		}
	}
	if args, cut := splitArguments(strings.Repeat("a ", 1000)); len(args) != maxArgs || !cut {
		t.Errorf("%d arguments, %v", len(args), cut)
	}
	if args, cut := splitArguments(strings.Repeat("a", 1<<20)); len(args) != 1 || len(args[0]) != maxArgBytes || !cut {
		t.Errorf("%d arguments, %v", len(args), cut)
	}
}

func TestTetragonSniff(t *testing.T) {
	exec := tetragon("process_exec", `"pid":1`, "")
	for text, sure := range map[string]bool{
		exec:                true,
		exec[:len(exec)-60]: true,
		"[\n " + exec:       true,
		`{"process_exec":{"process":{"exec_id":"`: true,
		`{"rate_limit_info":{},` + testEnd:        true,
		`{"process_exec":{}}`:                     false,
		`{"test":{},"time":"x"}`:                  false,
		`{"time":"x","node_name":"n"}`:            false,
		`{"flow":{},"node_name":"n","time":"t"}`:  false,
		``:                                        false,
	} {
		if got := sourcetest.Sniff(Tetragon(), text); got > 0 != sure {
			t.Errorf("%.60q: %d", text, got)
		}
	}
}

func FuzzTetragon(f *testing.F) {
	f.Add([]byte(tetragon("process_exec", `"pid":4711,"start_time":"2026-11-03T10:00:01Z","arguments":"-c \"a b\"",`+testPod, testParent)))
	f.Add([]byte(on("process_kprobe", "tcp_connect", `{"sock_arg":{"daddr":"192.0.2.1","dport":1}}`)))
	f.Add([]byte(on("process_kprobe", "__x64_sys_openat", `{"int_arg":-100},{"string_arg":"x"},{"int_arg":1}`)))
	f.Add([]byte(tetragon("process_dns", `"pid":1`, `"dns":{"query":"a","ips":["192.0.2.1"]},"source_ip":"192.0.2.1"`)))
	f.Add([]byte(`{"rate_limit_info":{},` + testEnd))
	f.Add([]byte(tetragon("process_exit", testWhole+","+inContainer("2026-11-03T09:58:00Z"), testParent)))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, tally := sourcetest.Feed(Tetragon(), [][]byte{data, data})
		sourcetest.CheckAccount(t, events, tally)
		for _, e := range events {
			checkEvent(t, e)
		}
		once := map[event.ID]bool{}
		for _, e := range events {
			if e.Origin.Line() == 2 && !once[e.ID] {
				t.Error("one record, two ids")
			}
			once[e.ID] = true
		}
	})
}

// checkEvent checks what holds for every event, whatever it was read from.
func checkEvent(t *testing.T, e event.Event) {
	t.Helper()
	if e.Time.At < oldest || e.Time.Res < 1 || e.Record < 0 {
		t.Errorf("time %+v, %d", e.Time, e.Record)
	}
	switch b := e.Body.(type) {
	case *event.Process:
		size := 0
		for _, a := range b.Args {
			size += len(a)
		}
		if b.PID <= 0 || b.PPID < 0 || b.PPID == b.PID || b.UID < -1 || b.AUID < -1 || len(b.Args) > maxArgs+1 || size > maxArgBytes+maxPath || len(b.Exe) > maxPath {
			t.Errorf("out of range: %+v", b)
		}
	case *event.Socket:
		if b.PID <= 0 || b.Addr.IsValid() == (b.Path != "") || b.Addr.Addr().Is4In6() || b.Addr.Addr().Zone() != "" {
			t.Errorf("out of range: %+v", b)
		}
	case *event.FileWrite:
		if b.PID <= 0 || b.Path == "" || len(b.Path) > maxPath+1 {
			t.Errorf("out of range: %+v", b)
		}
	case *event.DNS:
		if b.Query == "" || len(b.Addrs)+len(b.Names) > maxAnswers {
			t.Errorf("out of range: %+v", b)
		}
	case *event.Task:
		if b.Container == "" || len(b.Container) > maxName || b.PID != 0 || b.Action != event.TaskStart {
			t.Errorf("out of range: %+v", b)
		}
	case *event.PodStatus:
		if len(b.Containers) != 1 || b.Containers[0].ID == "" || len(b.Containers[0].ID) > maxName {
			t.Errorf("out of range: %+v", b)
		}
	case *event.Loss:
		if b.Count == 0 || b.Count < -1 {
			t.Errorf("out of range: %+v", b)
		}
	default:
		t.Errorf("unexpected body %T", b)
	}
}

func BenchmarkTetragon(b *testing.B) {
	sourcetest.Bench(b, Tetragon(), sourcetest.Fill("", func(n int64) string {
		if n%4 == 3 {
			return on("process_kprobe", "tcp_connect", fmt.Sprintf(`{"sock_arg":{"family":"AF_INET","saddr":"10.0.0.7","daddr":"198.51.100.%d","sport":40112,"dport":443}}`, n%256)) + "\n"
		}
		return tetragon("process_exec", fmt.Sprintf(`"pid":%d,"uid":0,"cwd":"/","binary":"/usr/bin/curl","arguments":"-c \"wget -q http://files.example/%d | sh\"","flags":"execve clone","start_time":"2026-11-03T10:00:01.%09dZ","auid":4294967295,`, 5000+n%1000, n, n%1_000_000_000)+testPod+`,"tid":4711`, testParent) + "\n"
	}))
}
