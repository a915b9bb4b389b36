package cri

import (
	"strconv"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/sourcetest"
)

const (
	goPod   = "&PodSandboxMetadata{Name:shop-7f9-x1,Uid:0b1c-2,Namespace:prod,Attempt:0,}"
	textPod = `name:"shop-7f9-x1"  uid:"0b1c-2"  namespace:"prod"`
)

func imageCases() []oneCase {
	pull := &event.Image{Action: event.ImagePull, Reference: ref(shop + ":3"), Digest: sourcetest.Digest(idConfig), Namespace: "k8s.io"}
	pulled := `Pulled image "` + shop + `:3" with image id "` + idConfig + `", repo tag "` + shop + `:3", repo digest "`
	const managed = `labels:{key:"io.cri-containerd.image" value:"managed"}`
	return []oneCase{
		{name: "pull asked for", msg: `PullImage "` + shop + `:3"`},
		{name: "pull returned", msg: `PullImage "` + shop + `:3" returns image reference "` + idConfig + `"`, body: pull},
		{name: "pull failed", msg: `PullImage "` + shop + `:3" failed`, pairs: `error="not found"`},
		{name: "pull failed, the reason in the message", msg: `PullImage "` + shop + `:3" failed, error: "x" returns image reference "` + idConfig + `"`},
		{name: "pull, another message", msg: `PullImage using normalized image ref: "` + shop + `:3"`},
		{name: "pull stopped", msg: "stop pulling image " + shop + ":3: active requests=0, bytes read=5"},
		{name: "a name with quotes", msg: `PullImage "a\" returns image reference \"b" returns image reference "` + idConfig + `"`,
			body: &event.Image{Action: event.ImagePull, Reference: ref(`a" returns image reference "b`), Digest: sourcetest.Digest(idConfig), Namespace: "k8s.io"}},
		{name: "pull returned by manifest", msg: `PullImage "x" returns image reference "` + shop + "@" + idManifest + `"`,
			body: &event.Image{Action: event.ImagePull, Reference: ref("x"), Digest: sourcetest.Digest(idManifest), Namespace: "k8s.io"}},
		{name: "pull returned no digest", msg: `PullImage "x" returns image reference "y"`, fault: "no digest"},
		{name: "pull cut off", msg: `PullImage "x`, fault: "does not end"},
		{name: "pull return cut off", msg: `PullImage "x" returns image reference `, fault: "quoted"},
		{name: "pull with a bad escape", msg: `PullImage "\q"`, fault: "quoted"},
		{name: "identities", msg: pulled + shop + "@" + idManifest + `", size "5" in 1.5s`,
			body: &event.ImageDescription{ID: sourcetest.Digest(idConfig), RepoDigests: []image.Reference{ref(shop + "@" + idManifest)}}},
		{name: "identities, no manifest", msg: pulled + `"`},
		{name: "identities, no digest", msg: pulled + `x"`, fault: "no digest"},
		{name: "identities, no id", msg: `Pulled image "x" with image id "y", repo tag "", repo digest "` + shop + "@" + idManifest + `"`, fault: "digest"},
		{name: "identities, not quoted", msg: `Pulled image x`, fault: "quoted"},
		{name: "identities, cut at the id", msg: `Pulled image "x" with`, fault: "image id"},
		{name: "identities, cut at the tag", msg: `Pulled image "x" with image id "y"`, fault: "repo tag"},
		{name: "identities, cut at the digest", msg: `Pulled image "x" with image id "y", repo tag "z"`, fault: "repo digest"},
		{name: "image created, as text", msg: `ImageCreate event name:"` + shop + `:3"  ` + managed,
			body: &event.Image{Action: event.ImageCreate, Reference: ref(shop + ":3"), Namespace: "k8s.io", CRI: true}},
		{name: "image updated, by id", msg: `ImageUpdate event name:"` + idConfig + `" labels:{key:"a" value:"b"} ` + managed,
			body: &event.Image{Action: event.ImageUpdate, Digest: sourcetest.Digest(idConfig), Namespace: "k8s.io", CRI: true}},
		{name: "image deleted, no labels", msg: `ImageDelete event name:"` + shop + "@" + idManifest + `"`,
			body: &event.Image{Action: event.ImageDelete, Reference: ref(shop + "@" + idManifest), Namespace: "k8s.io"}},
		{name: "image created, as a struct", msg: "ImageCreate event &ImageCreate{Name:" + shop + ":3,Labels:map[string]string{a: b,io.cri-containerd.image: managed,},XXX_unrecognized:[],}",
			body: &event.Image{Action: event.ImageCreate, Reference: ref(shop + ":3"), Namespace: "k8s.io", CRI: true}},
		{name: "image deleted, as a struct", msg: "ImageDelete event &ImageDelete{Name:" + idConfig + ",XXX_unrecognized:[],}",
			body: &event.Image{Action: event.ImageDelete, Digest: sourcetest.Digest(idConfig), Namespace: "k8s.io"}},
		{name: "another label", msg: "ImageCreate event &ImageCreate{Name:x,Labels:map[string]string{io.cri-containerd.image: pinned,},}",
			body: &event.Image{Action: event.ImageCreate, Reference: ref("x"), Namespace: "k8s.io"}},
		{name: "image without a name", msg: "ImageCreate event &ImageCreate{Labels:map[string]string{},}", fault: "no image name"},
		{name: "two names", msg: `ImageCreate event name:"a" name:"b"`, fault: "stands twice"},
		{name: "no message", msg: "ImageCreate event ?", fault: "want a message"},
		{name: "a struct that does not end", msg: "ImageCreate event &ImageCreate{Name:x", fault: "want a message"},
		{name: "a struct that does not begin", msg: "ImageCreate event &ImageCreate", fault: "want a message"},
		{name: "labels that do not end", msg: `ImageCreate event name:"a" labels:{key:"b`, fault: "does not end"},
		{name: "labels without a brace", msg: `ImageCreate event name:"a" labels:{key:"b"`, fault: "want a message"},
		{name: "labels that are none", msg: `ImageCreate event name:"a" labels:{?}`, fault: "want a message"},
		{name: "two keys", msg: `ImageCreate event name:"a" labels:{key:"a" key:"b"}`, fault: "stands twice"},
		{name: "two values", msg: `ImageCreate event name:"a" labels:{value:"a" value:"b"}`, fault: "stands twice"},
		{name: "very many fields", msg: "ImageCreate event " + strings.Repeat(`labels:{} `, maxFields+1), fault: "want a message"},
		{name: "very many fields, as a struct", msg: "ImageCreate event &ImageCreate{" + strings.Repeat(`A:b,`, maxFields+1) + "}", fault: "want a message"},
		{name: "a name that does not end", msg: `ImageCreate event name:"a`, fault: "does not end"},
	}
}

func sandboxCases() []oneCase {
	created := &event.Sandbox{Action: event.ContainerCreate, ID: idSandbox,
		Object: event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "shop-7f9-x1", UID: "0b1c-2"}}
	returns := ` returns sandbox id "` + idSandbox + `"`
	stopped := &event.Sandbox{Action: event.ContainerExit, ID: idSandbox}
	return []oneCase{
		{name: "asked for", msg: "RunPodSandbox for " + goPod},
		{name: "asked for, as text", msg: "RunPodSandbox for " + textPod},
		{name: "failed", msg: "RunPodSandbox for " + goPod + " failed, error", pairs: `error="x"`},
		{name: "ran", msg: "RunPodSandbox for " + goPod + returns, body: created},
		{name: "ran, as text", msg: "RunPodSandbox for " + textPod + " attempt:2 " + returns, body: created},
		{name: "ran, as text with one blank", msg: "RunPodSandbox for " + strings.ReplaceAll(textPod, "  ", " ") + returns, body: created},
		{name: "a name like a return", msg: `RunPodSandbox for name:"x returns sandbox id \"y\"" uid:"0b1c-2"` + returns,
			body: &event.Sandbox{Action: event.ContainerCreate, ID: idSandbox, Object: event.ObjectRef{Kind: "Pod", Name: `x returns sandbox id "y"`, UID: "0b1c-2"}}},
		{name: "two names", msg: `RunPodSandbox for &PodSandboxMetadata{Name:a,Name:b,}` + returns, fault: "stands twice"},
		{name: "no metadata", msg: "RunPodSandbox for <nil>" + returns, fault: "want a message"},
		{name: "no id", msg: "RunPodSandbox for " + goPod + ` returns sandbox id ""`, fault: "no id"},
		{name: "id cut off", msg: "RunPodSandbox for " + goPod + ` returns sandbox id "5a`, fault: "does not end"},
		{name: "stop asked for", msg: `StopPodSandbox for "` + idSandbox + `"`},
		{name: "stop failed", msg: `StopPodSandbox for "` + idSandbox + `" failed`},
		{name: "stopped", msg: `StopPodSandbox for "` + idSandbox + `" returns successfully`, body: stopped},
		{name: "removal asked for", msg: `RemovePodSandbox for "` + idSandbox + `"`},
		{name: "removal forced", msg: `RemovePodSandbox "` + idSandbox + `" returns successfully`, body: &event.Sandbox{Action: event.ContainerRemove, ID: idSandbox}},
		{name: "stop without an id", msg: `StopPodSandbox for "" returns successfully`, fault: "no id"},
		{name: "stop not quoted", msg: `StopPodSandbox for x`, fault: "quoted"},
		{name: "exit of its container", msg: `received sandbox exit event container_id:"` + idSandbox + `"  id:"` + idSandbox + `"  exit_status:137  exited_at:{seconds:` + strconv.FormatInt(second, 10) + `}`,
			pairs: "monitor_name=podsandbox", body: stopped, at: event.Time{At: second * 1e9, Res: 1}},
		{name: "exit", msg: `SandboxExit event sandbox_id:"` + idSandbox + `" exit_status:137`, body: stopped},
		{name: "exit as a struct", msg: "SandboxExit event &SandboxExit{SandboxID:" + idSandbox + ",ExitStatus:137,ExitedAt:2026-05-04 10:09:09.5 +0200 UTC,}",
			body: stopped, at: event.Time{At: second*1e9 - 5e8, Res: 1}},
		{name: "exit of none", msg: `SandboxExit event exit_status:137`, fault: "no id"},
		{name: "exit, no message", msg: `SandboxExit event ?`, fault: "want a message"},
		{name: "exit, two ids", msg: `SandboxExit event sandbox_id:"a" sandbox_id:"b"`, fault: "twice"},
	}
}

func containerCases() []oneCase {
	within := `CreateContainer within sandbox "` + idSandbox + `" for `
	returns := ` returns container id "` + idApp + `"`
	created := &event.Container{Action: event.ContainerCreate, ID: idApp, Name: "web", Namespace: "k8s.io", Sandbox: idSandbox}
	life := func(a event.ContainerAction) event.Body {
		return &event.Container{Action: a, ID: idApp, Namespace: "k8s.io"}
	}
	exec := func(command string) event.Body {
		return &event.ExecStarted{Container: idApp, Namespace: "k8s.io", Command: command}
	}
	return []oneCase{
		{name: "asked for", msg: within + "container &ContainerMetadata{Name:web,Attempt:0,}"},
		{name: "asked for, as text", msg: within + `container name:"web"`},
		{name: "failed", msg: within + "&ContainerMetadata{Name:web,Attempt:0,} failed"},
		{name: "created", msg: within + "&ContainerMetadata{Name:web,Attempt:0,}" + returns, body: created},
		{name: "created, as text", msg: within + `name:"web"  attempt:3 ` + returns, body: created},
		{name: "created, no message", msg: within + "<nil>" + returns, fault: "want a message"},
		{name: "created, two names", msg: within + "&ContainerMetadata{Name:web,Name:db,}" + returns, fault: "twice"},
		{name: "created, id cut off", msg: within + `name:"web" returns container id `, fault: "quoted"},
		{name: "created in no sandbox", msg: `CreateContainer within sandbox x`, fault: "quoted"},
		{name: "another message", msg: `CreateContainer within sandbox "x" is slow`},
		{name: "start asked for", msg: `StartContainer for "` + idApp + `"`},
		{name: "start failed", msg: `StartContainer for "` + idApp + `" failed`},
		{name: "started", msg: `StartContainer for "` + idApp + `" returns successfully`, body: life(event.ContainerStart)},
		{name: "start not quoted", msg: `StartContainer for x`, fault: "quoted"},
		{name: "stop asked for", msg: `StopContainer for "` + idApp + `" with timeout 30 (s)`},
		{name: "stopped", msg: `StopContainer for "` + idApp + `" returns successfully`, body: life(event.ContainerExit)},
		{name: "removed", msg: `RemoveContainer for "` + idApp + `" returns successfully`, body: life(event.ContainerRemove)},
		{name: "exec", msg: `Exec for "` + idApp + `" with command [sh -c id; ls], tty true and stdin true`, body: exec("sh -c id; ls")},
		{name: "exec, its end in the command", msg: `Exec for "` + idApp + `" with command [echo ], tty false and], tty false and stdin false`, body: exec("echo ], tty false and")},
		{name: "exec returned", msg: `Exec for "` + idApp + `" returns URL "http://127.0.0.1:1/exec/x"`},
		{name: "exec cut off", msg: `Exec for "` + idApp + `" with command [sh`, fault: "does not end"},
		{name: "exec in none", msg: `Exec for "" with command [sh], tty true and stdin true`, fault: "no id"},
		{name: "exec not quoted", msg: `Exec for x`, fault: "quoted"},
		{name: "exec's process", msg: `Exec process "` + idExec + `" exits with exit code 0 and error <nil>`},
		{name: "exec and wait", msg: `ExecSync for "` + idApp + `" with command [curl -f localhost] and timeout 1 (s)`, body: exec("curl -f localhost")},
		{name: "exec and wait, failed", msg: `ExecSync for "` + idApp + `" failed`},
	}
}

func exitCases() []oneCase {
	at := event.Time{At: second*1e9 + 5, Res: 1}
	seconds := strconv.FormatInt(second, 10)
	text := `container_id:"` + idApp + `"  id:"` + idApp + `"  pid:4711  exit_status:143  exited_at:{seconds:` + seconds + `  nanos:5}`
	gone := func(exec string, code int) event.Body {
		return &event.Task{Action: event.TaskExit, Container: idApp, Namespace: "k8s.io", ExecID: exec, PID: 4711, ExitCode: code}
	}
	inStruct := func(exitedAt string) string {
		return "&TaskExit{ContainerID:" + idApp + ",ID:" + idExec + ",Pid:4711,ExitStatus:0,ExitedAt:" + exitedAt + ",XXX_unrecognized:[],}"
	}
	with := func(exitedAt string) string {
		return `container_id:"` + idApp + `" id:"` + idApp + `" pid:4711 exited_at:` + exitedAt
	}
	return []oneCase{
		{name: "received", msg: "received exit event " + text, body: gone("", 143), at: at},
		{name: "received, newer", msg: "received container exit event " + text, body: gone("", 143), at: at},
		{name: "dealt with again", msg: "TaskExit event " + text, body: gone("", 143), at: at},
		{name: "dealt with by the sandbox's part", msg: "TaskExit event in podsandbox handler " + text, body: gone("", 143), at: at},
		{name: "failed to deal with", msg: "failed to handle container TaskExit event " + text, pairs: `error="x"`, body: gone("", 143), at: at},
		{name: "as a struct, of an exec", msg: "TaskExit event " + inStruct("2026-05-04 08:09:10.000000005 +0000 UTC"), body: gone(idExec, 0), at: at},
		{name: "as a struct, the offset counts", msg: "TaskExit event " + inStruct("2026-05-04 17:09:10.000000005 +0900 UTC"), body: gone(idExec, 0), at: at},
		{name: "Go's zero time", msg: "TaskExit event " + inStruct("0001-01-01 00:00:00 +0000 UTC"), body: gone(idExec, 0)},
		{name: "Go's zero time as text", msg: "TaskExit event " + with("{seconds:-62135596800}"), body: gone("", 0)},
		{name: "no seconds", msg: "TaskExit event " + with("{nanos:5}"), body: gone("", 0)},
		{name: "an empty time", msg: "TaskExit event " + with("{}"), body: gone("", 0)},
		{name: "no time", msg: "TaskExit event " + strings.TrimSuffix(with(""), "exited_at:"), body: gone("", 0)},
		{name: "a time of the far future", msg: "TaskExit event " + with("{seconds:99999999999}"), body: gone("", 0)},
		{name: "after it was written", msg: "TaskExit event " + with("{seconds:1777882151}"), body: gone("", 0)},
		{name: "nanoseconds of more than a second", msg: "TaskExit event " + with("{seconds:5 nanos:2000000000}"), body: gone("", 0)},
		{name: "a bad time", msg: "TaskExit event " + inStruct("yesterday"), fault: "exit time"},
		{name: "bad seconds", msg: "TaskExit event " + with("{seconds:x}"), fault: "no number"},
		{name: "bad nanoseconds", msg: "TaskExit event " + with("{nanos:-1}"), fault: "32 bits"},
		{name: "seconds twice", msg: "TaskExit event " + with("{seconds:1 seconds:2}"), fault: "twice"},
		{name: "a time that is none", msg: "TaskExit event " + with("{?}"), fault: "exit time"},
		{name: "a time twice", msg: "TaskExit event " + with("{} exited_at:{}"), fault: "twice"},
		{name: "a sandbox's bad time", msg: `SandboxExit event sandbox_id:"a" exited_at:{seconds:x}`, fault: "no number"},
		{name: "a process id that is too large", msg: `TaskExit event container_id:"a" pid:99999999999`, fault: "32 bits"},
		{name: "a negative exit status", msg: `TaskExit event container_id:"a" exit_status:-1`, fault: "32 bits"},
		{name: "two process ids", msg: `TaskExit event container_id:"a" pid:1 pid:2`, fault: "twice"},
		{name: "two ids", msg: `TaskExit event container_id:"a" id:"a" id:"b"`, fault: "twice"},
		{name: "two containers", msg: `TaskExit event container_id:"a" container_id:"b"`, fault: "twice"},
		{name: "no container", msg: `TaskExit event id:"a"`, fault: "no id"},
		{name: "no message", msg: `TaskExit event ?`, fault: "want a message"},
		{name: "out of memory", msg: `TaskOOM event container_id:"` + idApp + `"`},
		{name: "a resource", msg: `UpdateContainerResources for "` + idApp + `" returns successfully`},
		{name: "a plugin", msg: `loading plugin "io.containerd.grpc.v1.cri"...`, pairs: "type=io.containerd.grpc.v1"},
	}
}

func TestContainerdImages(t *testing.T)     { checkCases(t, ContainerdLog(), imageCases()) }
func TestContainerdSandboxes(t *testing.T)  { checkCases(t, ContainerdLog(), sandboxCases()) }
func TestContainerdContainers(t *testing.T) { checkCases(t, ContainerdLog(), containerCases()) }
func TestContainerdExits(t *testing.T)      { checkCases(t, ContainerdLog(), exitCases()) }

// The same statement in each framing of the line, with the host that it names.
func TestFramings(t *testing.T) {
	const msg = `StartContainer for "a" returns successfully`
	body := &event.Container{Action: event.ContainerStart, ID: "a", Namespace: "k8s.io"}
	entry := `{"level":"info","msg":` + strconv.Quote(msg) + `,"time":"` + stamp + `"}`
	for _, c := range []struct {
		name, line, host string
		fault            string
		skip             bool
	}{
		{name: "bare", line: info(msg)},
		{name: "JSON", line: entry},
		{name: "on a terminal", line: "INFO[" + stamp + "] " + msg},
		{name: "syslog", line: "May  4 08:09:10 node-1 containerd[812]: " + info(msg), host: "node-1"},
		{name: "syslog, JSON", line: "May  4 08:09:10 node-1 containerd[812]: " + entry, host: "node-1"},
		{name: "syslog without a host", line: "May  4 08:09:10 containerd[812]: " + info(msg)},
		{name: "a host without a name", line: "May  4 08:09:10 localhost containerd: " + info(msg)},
		{name: "journald", line: "2026-05-04T08:09:10+0000 node-1.acme.example containerd[812]: " + info(msg), host: "node-1.acme.example"},
		{name: "RFC 5424", line: "<30>1 2026-05-04T08:09:10Z node-1 containerd 812 - - " + info(msg), host: "node-1"},
		{name: "another program's", line: "May  4 08:09:10 node-1 sshd[1]: " + info(msg), skip: true},
		{name: "another log's", line: "May  4 08:09:10 node-1 kubelet[1]: " + info(msg), fault: "another log: kubelet's"},
		{name: "a stack", line: "May  4 08:09:10 node-1 containerd[812]: goroutine 1 [running]:", skip: true},
		{name: "a stack without a prefix", line: "goroutine 1 [running]:", fault: "no line of a daemon's log"},
		{name: "no time", line: `level=info msg="x"`, fault: "no absolute time"},
		{name: "a time since the start", line: "INFO[0012] x", fault: "no absolute time"},
		{name: "a time without a zone", line: strings.Replace(info("x"), "Z", "", 1), fault: "RFC 3339"},
		{name: "JSON without a message", line: `{"level":"info","time":"` + stamp + `"}`, fault: "no entry"},
		{name: "JSON cut off", line: entry[:50], fault: "not one JSON value"},
		{name: "JSON with two messages", line: `{"msg":"a","level":"info","msg":"b","time":"` + stamp + `"}`, fault: "twice"},
		{name: "a bad escape", line: `time="` + stamp + `" level=info msg="StartContainer for \q"`, fault: "quoted value"},
		{name: "no message", line: `time="` + stamp + `" level=info`, skip: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.fault != "" || c.skip {
				sourcetest.Check(t, ContainerdLog(), c.line, sourcetest.Want{Fault: c.fault})
				return
			}
			sourcetest.Check(t, ContainerdLog(), c.line, sourcetest.Want{At: atNano, Body: body})
			events, _ := sourcetest.Decode(t, ContainerdLog(), c.line)
			if events[0].Place != (event.Place{Host: c.host}) {
				t.Errorf("place %v, want host %q", events[0].Place, c.host)
			}
		})
	}
}

// A line has one id however it was delivered, and an exit that is told three
// times is one.
func TestContainerdKeys(t *testing.T) {
	exit := `event container_id:"a" id:"a" pid:7 exited_at:{seconds:1777882149}`
	later := strings.Replace(info("TaskExit "+exit), "08:09:10", "08:19:10", 1)
	events, tally := sourcetest.Decode(t, ContainerdLog(), info("received exit "+exit)+"\n"+later+"\n"+info(`StartContainer for "a" returns successfully`))
	if len(events) != 3 || tally.Events != 3 {
		t.Fatalf("%d events", len(events))
	}
	if events[0].ID != events[1].ID || events[0].ID == events[2].ID || events[0].Time != events[1].Time {
		t.Errorf("ids %v %v %v", events[0].ID, events[1].ID, events[2].ID)
	}
	if events[0].Record != nano || events[1].Record != nano+600e9 || events[2].Record != 0 {
		t.Errorf("written at %d %d %d", events[0].Record, events[1].Record, events[2].Record)
	}
	described, _ := sourcetest.Decode(t, ContainerdLog(), imageCases()[12].line())
	if len(described) != 1 || !described[0].Time.IsZero() || described[0].Record != nano {
		t.Errorf("a description is no sighting: %+v", described)
	}
}
