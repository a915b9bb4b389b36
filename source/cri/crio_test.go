package cri

import (
	"fmt"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

const (
	request = "id=9fd4db69-0001 name=/runtime.v1.ImageService/PullImage"
	web     = "prod/shop-7f9-x1/web"
)

func crioCases() []oneCase {
	container := func(a event.ContainerAction) event.Body {
		return &event.Container{Action: a, ID: idApp, Name: "web", Labels: map[string]string{
			"io.kubernetes.pod.namespace": "prod", "io.kubernetes.pod.name": "shop-7f9-x1", "io.kubernetes.container.name": "web",
		}}
	}
	sandbox := func(a event.ContainerAction) event.Body { return &event.Sandbox{Action: a, ID: idSandbox} }
	ran := sandbox(event.ContainerCreate).(*event.Sandbox)
	ran.Object = event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "shop-7f9-x1"}
	started := func(attrs string) string { return attrs + " description=" + web + " sandboxID=" + idSandbox }
	return []oneCase{
		{name: "pull asked for", msg: "Pulling image: " + shop + ":3", pairs: request},
		{name: "pull asked for, older", msg: "Pulling image: " + shop + ":3"},
		{name: "pulled", msg: "Pulled image: " + shop + "@" + idManifest, pairs: request,
			body: &event.Image{Action: event.ImagePull, Reference: ref(shop + "@" + idManifest)}},
		{name: "pulled, an id", msg: "Pulled image: " + strings.TrimPrefix(idConfig, "sha256:"),
			body: &event.Image{Action: event.ImagePull, Digest: sourcetest.Digest(idConfig)}},
		{name: "pulled, no digest", msg: "Pulled image: " + shop + ":3", fault: "no digest"},
		{name: "tried", msg: `Trying to access "` + shop + `:3"`},
		{name: "not found", msg: "Image " + shop + ":3 not found"},
		{name: "sandbox asked for", msg: "Running pod sandbox: prod/shop-7f9-x1/POD"},
		{name: "sandbox ran", msg: "Ran pod sandbox " + idSandbox + " with infra container: prod/shop-7f9-x1/POD", body: ran},
		{name: "sandbox of no id", msg: "Ran pod sandbox x with infra container: a/b/POD", fault: "no id"},
		{name: "sandbox of no pod", msg: "Ran pod sandbox " + idSandbox + " with infra container: POD", fault: "no namespace/pod/container"},
		{name: "sandbox cut off", msg: "Ran pod sandbox " + idSandbox, fault: "no id"},
		{name: "sandbox stopped", msg: "Stopped pod sandbox: " + idSandbox, body: sandbox(event.ContainerExit)},
		{name: "sandbox stopped before", msg: "Stopped pod sandbox (already stopped): " + idSandbox},
		{name: "sandbox stopped, old", msg: "stopped pod sandbox: prod/shop-7f9-x1/POD"},
		{name: "sandbox removed", msg: "Removed pod sandbox: " + idSandbox, body: sandbox(event.ContainerRemove)},
		{name: "sandbox removed, old", msg: "removed pod sandbox: " + idSandbox, body: sandbox(event.ContainerRemove)},
		{name: "container asked for", msg: "Creating container: " + web},
		{name: "created", msg: "Created container " + idApp + ": " + web, pairs: request, body: container(event.ContainerCreate)},
		{name: "created, no description", msg: "Created container " + idApp + ": web", fault: "no namespace/pod/container"},
		{name: "created, something else", msg: "Created container runtime: fast"},
		{name: "start asked for", msg: "Starting container: " + idApp},
		{name: "started", msg: "Started container", pairs: started("PID=4711 containerID=" + idApp),
			body: &event.Task{Action: event.TaskStart, Container: idApp, PID: 4711}},
		{name: "started, older", msg: "Started container " + idApp + ": " + web, body: container(event.ContainerStart)},
		{name: "started, oldest", msg: "Started container: " + web},
		{name: "started, no id", msg: "Started container", pairs: "PID=4711", fault: "no id"},
		{name: "started, no process id", msg: "Started container", pairs: "containerID=a", fault: "no process id"},
		{name: "started, process 0", msg: "Started container", pairs: "PID=0 containerID=a", fault: "no process id"},
		{name: "started, a negative process id", msg: "Started container", pairs: "PID=-1 containerID=a", fault: "no process id"},
		{name: "started, a process id out of range", msg: "Started container", pairs: "PID=4294967296 containerID=a", fault: "no process id"},
		{name: "started, id cut off", msg: "Started container", pairs: `containerID="a`, fault: "does not end"},
		{name: "started, process id cut off", msg: "Started container", pairs: `containerID=a PID="1`, fault: "does not end"},
		{name: "pull, request cut off", msg: "Pulling image: x", pairs: `id="1`, fault: "does not end"},
		{name: "pulled, request cut off", msg: "Pulled image: " + shop + "@" + idManifest, pairs: `id="1`, fault: "does not end"},
		{name: "stopped", msg: "Stopped container " + idApp + ": " + web, body: container(event.ContainerExit)},
		{name: "removed", msg: "Removed container " + idApp + ": " + web, body: container(event.ContainerRemove)},
		{name: "exec", msg: "Request: &ExecRequest{ContainerId:" + idApp + ",Cmd:[sh -c id; ls],Tty:true,Stdin:true,Stdout:true,Stderr:false,}", pairs: "name=/runtime.v1.RuntimeService/Exec",
			body: &event.ExecStarted{Container: idApp, Command: "sh -c id; ls"}},
		{name: "exec and wait, its end in the command", msg: "Request: &ExecSyncRequest{ContainerId:" + idApp + ",Cmd:[echo ],Timeout:],Timeout:1,}",
			body: &event.ExecStarted{Container: idApp, Command: "echo ],Timeout:"}},
		{name: "exec as text", msg: `Request: container_id:"` + idApp + `" cmd:"sh"  cmd:"-c" cmd:"id \"a\"" timeout:1`, pairs: "name=/runtime.v1.RuntimeService/ExecSync",
			body: &event.ExecStarted{Container: idApp, Command: `sh -c id "a"`}},
		{name: "another request as text", msg: `Request: container_id:"` + idApp + `"`, pairs: "name=/runtime.v1.RuntimeService/ContainerStatus"},
		{name: "exec in none", msg: "Request: &ExecRequest{ContainerId:,Cmd:[sh],Tty:true,}", fault: "no id"},
		{name: "exec cut off", msg: "Request: &ExecRequest{ContainerId:" + idApp + ",Cmd:[sh", fault: "command"},
		{name: "exec as text in none", msg: `Request: container_id:"" cmd:"sh"`, pairs: "name=/x/Exec", fault: "no id"},
		{name: "exec as text in two", msg: `Request: container_id:"a" container_id:"b"`, pairs: "name=/x/Exec", fault: "twice"},
		{name: "exec as text of nothing", msg: `Request: container_id:"a"`, pairs: "name=/x/Exec", fault: "command"},
		{name: "exec as text, not quoted", msg: `Request: container_id:"a" cmd:sh`, pairs: "name=/x/Exec", fault: "quoted"},
		{name: "exec as text cut off", msg: `Request: container_id:"a`, pairs: "name=/x/Exec", fault: "does not end"},
		{name: "image status", msg: "Checking image status: " + shop + ":3", pairs: request},
	}
}

func TestCRIO(t *testing.T) { checkCases(t, CRIOLog(), crioCases()) }

func TestCRIOFramings(t *testing.T) {
	body := &event.Task{Action: event.TaskStart, Container: idApp, PID: 4711}
	blank := `time="2026-05-04 10:09:10.123456789+02:00" level=info msg="Started container" PID=4711 containerID=` + idApp
	for name, line := range map[string]string{
		"a blank in the time": blank,
		"journald":            "May 04 08:09:10 node-1 crio[812]: " + blank,
		"JSON":                `{"PID":4711,"containerID":"` + idApp + `","level":"info","msg":"Started container","time":"2026-05-04 08:09:10.123456789Z"}`,
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Check(t, CRIOLog(), line, sourcetest.Want{At: atNano, Body: body})
		})
	}
	for line, fault := range map[string]string{
		`{"PID":1,"PID":2,"containerID":"a","level":"info","msg":"Started container","time":"` + stamp + `"}`: "twice",
		`time="` + stamp + `" level=info msg="Pulling image: \q" id=1`:                                        "quoted value",
		`time="` + stamp + `" level=info msg="Pulled image: \q" id=1`:                                         "quoted value",
		`May 04 08:09:10 node-1 containerd[812]: ` + blank:                                                    "another log: containerd's",
	} {
		sourcetest.Check(t, CRIOLog(), line, sourcetest.Want{Fault: fault})
	}
}

// A pull is told by digest; its request adds the name that was asked for.
func TestCRIOPulls(t *testing.T) {
	ask := func(image, id string) string { return info("Pulling image: "+image, "id="+id) + "\n" }
	got := func(image, id string) string { return info("Pulled image: "+image, "id="+id) + "\n" }
	manifest := shop + "@" + idManifest
	named := &event.Image{Action: event.ImagePull, Reference: ref(shop + ":3"), Digest: sourcetest.Digest(idManifest)}
	bare := &event.Image{Action: event.ImagePull, Reference: ref(manifest)}
	for _, c := range []struct {
		name, text string
		body       event.Body
		lines      []int
		skipped    int64
	}{
		{"joined", ask(shop+":3", "1") + got(manifest, "1"), named, []int{2, 1}, 0},
		{"another request between", ask(shop+":3", "1") + ask("other", "2") + got(manifest, "1"), named, []int{3, 1}, 1},
		{"asked twice", ask(shop+":3", "1") + ask(shop+":4", "1") + got(manifest, "1"), named, []int{3, 1}, 1},
		{"another request's", ask(shop+":3", "1") + got(manifest, "2"), bare, []int{2}, 1},
		{"a name that is too long", ask(strings.Repeat("x", maxAsked), "1") + got(manifest, "1"), bare, []int{2}, 1},
		{"an id that is too long", ask(shop+":3", strings.Repeat("1", maxRequest+1)) + got(manifest, strings.Repeat("1", maxRequest+1)), bare, []int{2}, 1},
		{"found elsewhere", ask("shop:3", "1") + got(manifest, "1"), bare, []int{2, 1}, 0},
		{"an id", ask(shop+":3", "1") + got(strings.TrimPrefix(idManifest, "sha256:"), "1"), named, []int{2, 1}, 0},
		{"asked by nothing readable", ask("???", "1") + got(strings.TrimPrefix(idManifest, "sha256:"), "1"),
			&event.Image{Action: event.ImagePull, Digest: sourcetest.Digest(idManifest)}, []int{2, 1}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			events, tally := sourcetest.Decode(t, CRIOLog(), c.text)
			if len(events) != 1 || tally.Unreadable != 0 || tally.Skipped != c.skipped {
				t.Fatalf("%d events, %d skipped, faults %v", len(events), tally.Skipped, tally.Faults)
			}
			sourcetest.CheckEvent(t, events[0], atNano, c.body)
			var lines []int
			for _, s := range events[0].Origin.Spans {
				lines = append(lines, s.Line)
			}
			if fmt.Sprint(lines) != fmt.Sprint(c.lines) {
				t.Errorf("cites %v, want %v", lines, c.lines)
			}
		})
	}
}

// However many pulls do not return, few are waited for, and none is lost from
// the account.
func TestCRIOPullsAreBounded(t *testing.T) {
	var text strings.Builder
	const asked = 3 * maxPulls
	for i := range asked {
		text.WriteString(info("Pulling image: "+shop+":3", fmt.Sprintf("id=%d", i)) + "\n")
	}
	manifest := shop + "@" + idManifest
	text.WriteString(info("Pulled image: "+manifest, "id=0") + "\n" + info("Pulled image: "+manifest, fmt.Sprintf("id=%d", asked-maxPulls)) + "\n")
	events, tally := sourcetest.Decode(t, CRIOLog(), text.String())
	if len(events) != 2 || tally.Skipped != asked-1 {
		t.Fatalf("%d events, %d skipped", len(events), tally.Skipped)
	}
	for i, want := range []event.Body{
		&event.Image{Action: event.ImagePull, Reference: ref(manifest)},
		&event.Image{Action: event.ImagePull, Reference: ref(shop + ":3"), Digest: sourcetest.Digest(idManifest)},
	} {
		sourcetest.CheckEvent(t, events[i], atNano, want)
	}
}
