package containerd

import (
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// The instant of most fixtures: 2026-05-04T08:09:10.123456789Z.
const (
	second = int64(1777882150)
	nano   = second*1e9 + 123456789
	clock  = "2026-05-04 08:09:10.123456789 +0000 UTC "
	old    = "2026-05-04 08:09:10.123456789 +0000 UTC   "
)

var atNano = event.Time{At: nano, Res: 1}

func topicCases() []oneCase {
	const shop = "registry.acme.example/team/shop"
	return []oneCase{
		{
			name: "image created by ctr",
			text: clock + `default /images/create {"name":"` + shop + `:3"}`,
			body: &event.Image{Action: event.ImageCreate, Reference: ref(shop + ":3"), Namespace: "default"},
		},
		{
			name: "image by tag, under CRI",
			text: clock + `k8s.io /images/create {"name":"` + shop + `:3","labels":{"io.cri-containerd.image":"managed"}}`,
			body: &event.Image{Action: event.ImageCreate, Reference: ref(shop + ":3"), Namespace: "k8s.io", CRI: true},
		},
		{
			name: "image by digest",
			text: clock + `k8s.io /images/update {"name":"` + shop + `@` + idImage + `","labels":{"io.cri-containerd.image":"managed"}}`,
			body: &event.Image{Action: event.ImageUpdate, Reference: ref(shop + "@" + idImage), Namespace: "k8s.io", CRI: true},
		},
		{
			name: "image by id; the label says something else",
			text: clock + `k8s.io /images/delete {"name":"` + idImage + `","labels":{"io.cri-containerd.image":"pinned"}}`,
			body: &event.Image{Action: event.ImageDelete, Digest: sourcetest.Digest(idImage), Namespace: "k8s.io"},
		},
		{
			name: "dangling image of Docker's containerd store",
			text: clock + `moby /images/create {"name":"moby-dangling@` + idImage + `"}`,
			body: &event.Image{Action: event.ImageCreate, Digest: sourcetest.Digest(idImage), Namespace: "moby"},
		},
		{
			name: "a name that is no reference is kept",
			text: clock + `default /images/create {"name":"Bad\u001b[31m Name"}`,
			body: &event.Image{Action: event.ImageCreate, Reference: ref("Bad\x1b[31m Name"), Namespace: "default"},
		},
		{
			name: "container of Kubernetes with labels",
			text: clock + `k8s.io /containers/update {"id":"` + idApp + `","image":"` + shop + `:3","labels":{"io.cri-containerd.kind":"container","io.kubernetes.pod.name":"shop-1"},"snapshot_key":"k"}`,
			body: &event.Container{
				Action: event.ContainerUpdate, ID: idApp, Image: ref(shop + ":3"), Namespace: "k8s.io",
				Labels: map[string]string{"io.cri-containerd.kind": "container", "io.kubernetes.pod.name": "shop-1"},
			},
		},
		{
			name: "container of Docker: no image",
			text: clock + `moby /containers/create {"id":"` + idApp + `","runtime":{"name":"io.containerd.runc.v2","options":{"type_url":"x"}}}`,
			body: &event.Container{Action: event.ContainerCreate, ID: idApp, Namespace: "moby"},
		},
		{
			name: "container with a free name",
			text: clock + `default /containers/delete {"id":"my-redis"}`,
			body: &event.Container{Action: event.ContainerRemove, ID: "my-redis", Namespace: "default"},
		},
		{
			name: "task created",
			text: clock + `moby /tasks/create {"container_id":"` + idApp + `","bundle":"/b","rootfs":[{"type":"overlay","options":["index=off"]}],"io":{},"pid":4711}`,
			body: &event.Task{Action: event.TaskCreate, Container: idApp, Namespace: "moby", PID: 4711},
		},
		{
			name: "task started",
			text: clock + `moby /tasks/start {"container_id":"` + idApp + `","pid":4711}`,
			body: &event.Task{Action: event.TaskStart, Container: idApp, Namespace: "moby", PID: 4711},
		},
		{
			name: "exec added",
			text: clock + `moby /tasks/exec-added {"container_id":"` + idApp + `","exec_id":"` + idExec + `"}`,
			body: &event.ExecStarted{Container: idApp, Namespace: "moby", ExecID: idExec},
		},
		{
			name: "exec started",
			text: clock + `moby /tasks/exec-started {"container_id":"` + idApp + `","exec_id":"` + idExec + `","pid":4800}`,
			body: &event.Task{Action: event.TaskStart, Container: idApp, Namespace: "moby", ExecID: idExec, PID: 4800},
		},
		{
			name: "container's exit; exited_at as text",
			text: clock + `moby /tasks/exit {"container_id":"` + idApp + `","id":"` + idApp + `","pid":4711,"exit_status":137,"exited_at":"2026-05-04T08:09:10.1Z"}`,
			body: &event.Task{Action: event.TaskExit, Container: idApp, Namespace: "moby", PID: 4711, ExitCode: 137},
		},
		{
			name: "exec's exit; exited_at as an object; status 0 is left out",
			text: clock + `moby /tasks/exit {"container_id":"` + idApp + `","id":"` + idExec + `","pid":4800,"exited_at":{"seconds":1777882150,"nanos":5}}`,
			body: &event.Task{Action: event.TaskExit, Container: idApp, Namespace: "moby", ExecID: idExec, PID: 4800},
		},
		{name: "task deleted repeats the exit", text: clock + `moby /tasks/delete {"container_id":"` + idApp + `","pid":4711}`},
		{name: "out of memory", text: clock + `moby /tasks/oom {"container_id":"` + idApp + `"}`},
		{name: "snapshot", text: clock + `moby /snapshot/prepare {"key":"k","parent":"p"}`},
		{name: "content", text: clock + `moby /content/create {"digest":"` + idImage + `","size":5}`},
		{name: "namespace", text: clock + `moby /namespaces/create {"name":"moby"}`},
		{name: "lease", text: clock + `moby /leases/create {"id":"x"}`},
		{name: "a topic of tomorrow without an event", text: clock + `moby /sandboxes/create `},
	}
}

func formCases() []oneCase {
	start := `moby /tasks/start {"container_id":"` + idApp + `","pid":7}`
	task := &event.Task{Action: event.TaskStart, Container: idApp, Namespace: "moby", PID: 7}
	noSpace := &event.Task{Action: event.TaskStart, Container: idApp, PID: 7}
	at := func(nanos int64) event.Time { return event.Time{At: second*1e9 + nanos, Res: 1} }
	return []oneCase{
		{name: "trailing zeros cut", text: "2026-05-04 08:09:10.12 +0000 UTC " + start, at: at(120_000_000), body: task},
		{name: "one zero cut", text: "2026-05-04 08:09:10.12345678 +0000 UTC " + start, at: at(123_456_780), body: task},
		{name: "all zeros cut", text: "2026-05-04 08:09:10 +0000 UTC " + start, at: at(0), body: task},
		{name: "more digits than a nanosecond has", text: "2026-05-04 08:09:10.1234567899 +0000 UTC " + start, at: atNano, body: task},
		{name: "summer time", text: "2026-05-04 10:09:10.5 +0200 CEST " + start, at: at(500_000_000), body: task},
		{name: "a zone without a name", text: "2026-05-04 05:09:10.5 -0300 -03 " + start, at: at(500_000_000), body: task},
		{name: "half an hour", text: "2026-05-04 13:39:10.5 +0530 IST " + start, at: at(500_000_000), body: task},
		{name: "no namespace", text: clock + strings.TrimPrefix(start, "moby"), at: atNano, body: noSpace},
		{name: "CRLF", text: clock + start + "\r", at: atNano, body: task},
		{
			name: "1.0 beta: container",
			text: old + "/containers/create   id=shop image=docker.io/acme/shop:latest runtime=&ContainerCreate_Runtime{Name:io.containerd.runtime.v1.linux,Options:map[string]string{},}",
			at:   atNano,
			body: &event.Container{Action: event.ContainerCreate, ID: "shop", Image: ref("docker.io/acme/shop:latest")},
		},
		{
			name: "1.0 beta: image",
			text: old + "/images/create   name=docker.io/acme/shop:latest labels=map[a:b c=d]",
			at:   atNano,
			body: &event.Image{Action: event.ImageCreate, Reference: ref("docker.io/acme/shop:latest")},
		},
		{name: "1.0 beta: task", text: old + "/tasks/create   id=shop", at: atNano, body: &event.Task{Action: event.TaskCreate, Container: "shop"}},
		{
			name: "1.0 beta: exit",
			text: old + "/tasks/exit   id=shop pid=99 status=130 exited=2026-05-04 08:09:10.1 +0000 UTC",
			at:   atNano,
			body: &event.Task{Action: event.TaskExit, Container: "shop", PID: 99, ExitCode: 130},
		},
		{name: "1.0 beta: runtime", text: old + "/runtime/task-start   id=shop type=START pid=99 status=0 exited=0001-01-01 00:00:00 +0000 UTC"},
	}
}

func TestTopics(t *testing.T) {
	for _, c := range topicCases() {
		if c.body != nil {
			c.at = atNano
		}
		t.Run(c.name, func(t *testing.T) { checkOne(t, c) })
	}
}

func TestForms(t *testing.T) {
	for _, c := range formCases() {
		t.Run(c.name, func(t *testing.T) { checkOne(t, c) })
	}
}

func TestUnreadable(t *testing.T) {
	start := `{"container_id":"` + idApp + `","pid":7}`
	for _, c := range []oneCase{
		{name: "no time", text: "k8s.io /tasks/start " + start, fault: "no time"},
		{name: "no time, no namespace", text: "/tasks/start " + start, fault: "no time"},
		{name: "no offset", text: "2026-05-04 08:09:10.123456789 moby /tasks/start " + start, fault: "not a date, a clock and an offset"},
		{name: "month 13", text: "2026-13-04 08:09:10 +0000 UTC moby /tasks/start " + start, fault: "not a date"},
		{name: "year 1", text: "0001-01-01 00:00:00 +0000 UTC moby /tasks/start " + start, fault: "not a date"},
		{name: "another program", text: "INFO[0000] starting containerd", fault: "no line of ctr events"},
		{name: "no topic", text: clock + "moby hello", fault: "no line of ctr events"},
		{name: "nothing after the time", text: clock, fault: "no line of ctr events"},
		{name: "cut off in the time", text: "2026-05-04 08:09", fault: "no line of ctr events"},
		{name: "no event", text: clock + "moby /tasks/start", fault: "/tasks/start: no event"},
		{name: "cut off", text: clock + `moby /tasks/start {"container_id":"c4`, fault: "not one JSON value"},
		{name: "bytes after the event", text: clock + "moby /tasks/start " + start + "x", fault: "not one JSON value"},
		{name: "no container", text: clock + `moby /tasks/start {"pid":7}`, fault: "no container id"},
		{name: "id is not the task's container", text: clock + `moby /tasks/exit {"id":"x","pid":7}`, fault: "no container id"},
		{name: "exec without container", text: clock + `moby /tasks/exec-added {"exec_id":"x"}`, fault: "no container id"},
		{name: "container without id", text: clock + `moby /containers/create {"image":"a"}`, fault: "no container id"},
		{name: "image without name", text: clock + `moby /images/create {"name":""}`, fault: "no image name"},
		{name: "pid is a word", text: clock + `moby /tasks/start {"container_id":"a","pid":"seven"}`, fault: `pid "seven"`},
		{name: "pid is an object", text: clock + `moby /tasks/start {"container_id":"a","pid":{}}`, fault: "pid"},
		{name: "pid is negative", text: clock + `moby /tasks/start {"container_id":"a","pid":-1}`, fault: `pid "-1"`},
		{name: "pid does not fit", text: clock + `moby /tasks/start {"container_id":"a","pid":4294967296}`, fault: "32 bits"},
		{name: "status is broken", text: clock + `moby /tasks/exit {"container_id":"a","pid":7,"exit_status":1.5}`, fault: "exit_status"},
		{name: "pid twice", text: clock + `moby /tasks/start {"container_id":"a","pid":7,"pid":8}`, fault: `key stands twice: "pid"`},
		{name: "name twice", text: clock + `moby /images/create {"name":"a","name":"b"}`, fault: `key stands twice: "name"`},
		{name: "label twice", text: clock + `moby /images/create {"name":"a","labels":{"x":"1","x":"2"}}`, fault: `key stands twice: "x"`},
		{name: "1.0 beta: id twice", text: old + "/containers/create   id=a image=b runtime=x id=c", fault: `field stands twice: "id"`},
		{name: "1.0 beta: no field", text: old + "/containers/create   hello", fault: "no line of ctr events"},
	} {
		t.Run(c.name, func(t *testing.T) { checkOne(t, c) })
	}
}

// TestFaultIsForgotten: a line with a doubled key does not spoil the next one,
// in whichever form that is.
func TestFaultIsForgotten(t *testing.T) {
	text := clock + `moby /images/create {"name":"a","name":"b"}` + "\n" + old + "/containers/create   id=a image=b runtime=x\n"
	events, tally := sourcetest.Decode(t, Events(), text)
	if len(events) != 1 || tally.Unreadable != 1 || tally.Faults[0].Line != 1 {
		t.Fatalf("%d events, faults %v", len(events), tally.Faults)
	}
}

func TestKey(t *testing.T) {
	line := func(ns, clock, topic, event string) string { return clock + ns + " " + topic + " " + event + "\n" }
	start := `{"container_id":"` + idApp + `","pid":7}`
	exit := func(id string) string { return `{"container_id":"` + idApp + `","id":"` + id + `","pid":7}` }
	text := line("moby", clock, "/tasks/start", start) +
		line("moby", clock, "/tasks/start", start) + // delivered twice
		line("k8s.io", clock, "/tasks/start", start) +
		line("moby", "2026-05-04 08:09:10.12345679 +0000 UTC ", "/tasks/start", start) +
		line("moby", clock, "/tasks/create", start) +
		line("moby", clock, "/tasks/exit", exit(idApp)) +
		line("moby", clock, "/tasks/exit", exit("e1")) +
		line("moby", clock, "/tasks/exit", exit("e2"))
	events, _ := sourcetest.Decode(t, Events(), text)
	if len(events) != 8 {
		t.Fatalf("%d events", len(events))
	}
	if events[0].ID != events[1].ID {
		t.Error("one line delivered twice has two ids")
	}
	seen := map[event.ID]int{}
	for i, e := range events[1:] {
		if j, twice := seen[e.ID]; twice {
			t.Errorf("lines %d and %d have one id", j+2, i+2)
		}
		seen[e.ID] = i
	}
}

func TestCitation(t *testing.T) {
	first := clock + `moby /snapshot/commit {"key":"k"}` + "\n"
	events, tally := sourcetest.Decode(t, Events(), first+clock+`moby /images/create {"name":"a"}`)
	if len(events) != 1 || tally.Records != 2 {
		t.Fatalf("%d events of %d records", len(events), tally.Records)
	}
	o := events[0].Origin
	if o.Source != event.Containerd || o.Format != "containerd-events" || o.Line() != 2 || o.Spans[0].Offset != int64(len(first)) {
		t.Errorf("origin %+v", o)
	}
}

func TestSniff(t *testing.T) {
	for _, c := range []struct {
		line  string
		least int
	}{
		{clock + `moby /tasks/start {}`, 90},
		{old + "/tasks/create   id=a", 90},
		{`k8s.io /tasks/start {}`, 50}, // told apart, and then refused for its missing time
		{`time="2026-05-04T08:09:10Z" level=info msg="a /b/c"`, 0},
		{"2026-05-04T08:09:10Z image pull a (name=a)", 0},
		{`GET /v1/images {}`, 0},
		{`tasks /tasks {}`, 0},
	} {
		got := sourcetest.Sniff(Events(), c.line)
		if got < c.least || (c.least == 0 && got > 0) {
			t.Errorf("%q: %d, want at least %d", c.line, got, c.least)
		}
	}
}
