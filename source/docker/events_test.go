package docker

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// The instant of most fixtures: 2026-05-04T08:09:10.123456789Z.
const (
	second = int64(1777882150)
	nano   = second*1e9 + 123456789
)

var (
	atNano   = event.Time{At: nano, Res: 1}
	atSecond = event.Time{At: second * 1e9, Res: event.Second}
)

// stamp ends a record with both of the engine's times.
const stamp = `"scope":"local","time":1777882150,"timeNano":1777882150123456789}`

func eventCases() []oneCase {
	started := &event.Container{Action: event.ContainerStart, ID: idWeb, Name: "shop", Image: ref("acme/shop:3")}
	return []oneCase{
		{
			name: "schema 1: status, id, from, time; short id",
			text: `{"status":"start","id":"5e1f5e1f5e1f","from":"acme/shop:3","time":1777882150}`,
			at:   atSecond,
			body: &event.Container{Action: event.ContainerStart, ID: "5e1f5e1f5e1f", Image: ref("acme/shop:3")},
		},
		{
			name: "schema 1 without from",
			text: `{"status":"destroy","id":"5e1f5e1f5e1f","time":1777882150}`,
			at:   atSecond,
			body: &event.Container{Action: event.ContainerRemove, ID: "5e1f5e1f5e1f"},
		},
		{
			name: "schema 1: a pull is about an image although no Type says so",
			text: `{"status":"pull","id":"acme/shop:3","time":1777882150}`,
			at:   atSecond,
			body: &event.Image{Action: event.ImagePull, Reference: ref("acme/shop:3")},
		},
		{
			name: "schema 1: untag with a short image id",
			text: `{"status":"untag","id":"9d429d429d42","time":1777882150}`,
			at:   atSecond,
			body: &event.Image{Action: event.ImageUntag, Reference: ref("9d429d429d42")},
		},
		{
			name: "schema 1: exit without a code",
			text: `{"status":"die","id":"5e1f5e1f5e1f","from":"acme/shop:3","time":1777882150}`,
			at:   atSecond,
			body: &event.Container{Action: event.ContainerExit, ID: "5e1f5e1f5e1f", Image: ref("acme/shop:3"), ExitCode: -1},
		},
		{
			name: "schema 2: with timeNano",
			text: `{"status":"create","id":"5e1f5e1f5e1f5e1","from":"shop","time":1777882150,"timeNano":1777882150123456789}`,
			at:   atNano,
			body: &event.Container{Action: event.ContainerCreate, ID: "5e1f5e1f5e1f5e1", Image: ref("shop")},
		},
		{
			name: "schema 3: Type, Action, Actor and the lower-case keys; labels",
			text: `{"status":"start","id":"` + idWeb + `","from":"acme/shop:3","Type":"container","Action":"start","Actor":{"ID":"` + idWeb +
				`","Attributes":{"com.acme.tier":"front","image":"acme/shop:3","name":"shop"}},` + stamp,
			at: atNano,
			body: &event.Container{
				Action: event.ContainerStart, ID: idWeb, Name: "shop", Image: ref("acme/shop:3"),
				Labels: map[string]string{"com.acme.tier": "front"},
			},
		},
		{
			name: "schema 4: without the lower-case keys",
			text: `{"Type":"container","Action":"start","Actor":{"ID":"` + idWeb + `","Attributes":{"image":"acme/shop:3","name":"shop"}},` + stamp,
			at:   atNano,
			body: started,
		},
		{
			name: "timeNano of 0 means none",
			text: `{"Type":"container","Action":"start","Actor":{"ID":"` + idWeb + `","Attributes":{"image":"acme/shop:3","name":"shop"}},"time":1777882150,"timeNano":0}`,
			at:   atSecond,
			body: started,
		},
		{
			name: "time as a string",
			text: `{"Type":"container","Action":"restart","Actor":{"ID":"` + idWeb + `","Attributes":{"image":"acme/shop:3","name":"shop"}},"time":"1777882150"}`,
			at:   atSecond,
			body: started,
		},
		{
			name: "die: exit code, and none of the engine's keys among the labels",
			text: `{"Type":"container","Action":"die","Actor":{"ID":"` + idJob +
				`","Attributes":{"execDuration":"4","exitCode":"137","image":"` + idImage + `","name":"job","owner":"bo"}},` + stamp,
			at: atNano,
			body: &event.Container{
				Action: event.ContainerExit, ID: idJob, Name: "job", Image: ref(idImage), ExitCode: 137,
				Labels: map[string]string{"owner": "bo"},
			},
		},
		{
			name: "die: a label has overwritten the exit code",
			text: `{"Type":"container","Action":"die","Actor":{"ID":"` + idJob + `","Attributes":{"exitCode":"fine","name":"job"}},` + stamp,
			at:   atNano,
			body: &event.Container{Action: event.ContainerExit, ID: idJob, Name: "job", ExitCode: -1},
		},
		{
			name: "health status",
			text: `{"Type":"container","Action":"health_status: healthy","Actor":{"ID":"` + idWeb + `","Attributes":{"image":"acme/shop:3","name":"shop"}},` + stamp,
			at:   atNano,
			body: &event.Container{Action: event.ContainerHealthy, ID: idWeb, Name: "shop", Image: ref("acme/shop:3")},
		},
		{
			name: "exec_start: the command has colons, blanks, a line end and escape codes",
			text: `{"Type":"container","Action":"exec_start: sh -c a:  b\n\u001b[2K: c","Actor":{"ID":"` + idWeb + `","Attributes":{"execID":"` + idExec + `","image":"acme/shop:3","name":"shop"}},` + stamp,
			at:   atNano,
			body: &event.ExecStarted{Container: idWeb, ExecID: idExec, Command: "sh -c a:  b\n\x1b[2K: c", Image: ref("acme/shop:3")},
		},
		{
			name: "exec_start: one blank follows the colon, further ones are the command's",
			text: `{"Type":"container","Action":"exec_start:  a ","Actor":{"ID":"` + idWeb + `","Attributes":{"execID":"` + idExec + `"}},` + stamp,
			at:   atNano,
			body: &event.ExecStarted{Container: idWeb, ExecID: idExec, Command: " a "},
		},
		{
			name: "exec_create is announced again as exec_start",
			text: `{"Type":"container","Action":"exec_create: sh","Actor":{"ID":"` + idWeb + `","Attributes":{"execID":"` + idExec + `"}},` + stamp,
		},
		{
			name: "commit: container, new image and its name",
			text: `{"Type":"container","Action":"commit","Actor":{"ID":"` + idWeb + `","Attributes":{"comment":"","image":"acme/shop:3","imageID":"` + idImage + `","imageRef":"docker.io/acme/shop:4","name":"shop"}},` + stamp,
			at:   atNano,
			body: &event.Image{Action: event.ImageCommit, Container: idWeb, Digest: sourcetest.Digest(idImage), Reference: ref("docker.io/acme/shop:4")},
		},
		{
			name: "commit without a name",
			text: `{"Type":"container","Action":"commit","Actor":{"ID":"` + idWeb + `","Attributes":{"imageID":"` + idImage + `","imageRef":"","name":"shop"}},` + stamp,
			at:   atNano,
			body: &event.Image{Action: event.ImageCommit, Container: idWeb, Digest: sourcetest.Digest(idImage)},
		},
		{
			name: "pull by digest",
			text: `{"Type":"image","Action":"pull","Actor":{"ID":"acme/shop@` + idIndex + `","Attributes":{"name":"acme/shop"}},` + stamp,
			at:   atNano,
			body: &event.Image{Action: event.ImagePull, Reference: ref("acme/shop@" + idIndex)},
		},
		{
			name: "tag: id and new name",
			text: `{"Type":"image","Action":"tag","Actor":{"ID":"` + idImage + `","Attributes":{"name":"acme/shop:4"}},` + stamp,
			at:   atNano,
			body: &event.Image{Action: event.ImageTag, Digest: sourcetest.Digest(idImage), Reference: ref("acme/shop:4")},
		},
		{
			name: "load: the id stands twice, there is no name",
			text: `{"Type":"image","Action":"load","Actor":{"ID":"` + idImage + `","Attributes":{"name":"` + idImage + `"}},` + stamp,
			at:   atNano,
			body: &event.Image{Action: event.ImageLoad, Digest: sourcetest.Digest(idImage)},
		},
		{
			name: "delete without attributes",
			text: `{"Type":"image","Action":"delete","Actor":{"ID":"` + idImage + `"},` + stamp,
			at:   atNano,
			body: &event.Image{Action: event.ImageDelete, Digest: sourcetest.Digest(idImage)},
		},
		{
			name: "a reference that is none is kept",
			text: `{"Type":"image","Action":"push","Actor":{"ID":"ACME/\u001b]0;x\u0007","Attributes":{}},` + stamp,
			at:   atNano,
			body: &event.Image{Action: event.ImagePush, Reference: ref("ACME/\x1b]0;x\x07")},
		},
		{
			name: "network connect",
			text: `{"Type":"network","Action":"connect","Actor":{"ID":"` + idNet + `","Attributes":{"container":"` + idWeb + `","name":"front","type":"bridge"}},` + stamp,
			at:   atNano,
			body: &event.NetworkAttachment{Container: idWeb, NetworkID: idNet, NetworkName: "front", Driver: "bridge", Connected: true},
		},
		{
			name: "network disconnect",
			text: `{"Type":"network","Action":"disconnect","Actor":{"ID":"` + idNet + `","Attributes":{"container":"` + idWeb + `","name":"host","type":"host"}},` + stamp,
			at:   atNano,
			body: &event.NetworkAttachment{Container: idWeb, NetworkID: idNet, NetworkName: "host", Driver: "host"},
		},
		{
			name: "printed over many lines",
			text: "{\n  \"Type\": \"image\",\n  \"Action\": \"save\",\n  \"Actor\": {\n    \"ID\": \"" + idImage + "\"\n  },\n  \"timeNano\": 1777882150123456789\n}\n",
			at:   atNano,
			body: &event.Image{Action: event.ImageSave, Digest: sourcetest.Digest(idImage)},
		},
		{name: "network create", text: `{"Type":"network","Action":"create","Actor":{"ID":"` + idNet + `","Attributes":{"name":"front"}},` + stamp},
		{name: "another type", text: `{"Type":"volume","Action":"mount","Actor":{"ID":"data","Attributes":{"container":"` + idWeb + `"}},` + stamp},
		{name: "a type of tomorrow", text: `{"Type":"sandbox","Action":"start","Actor":{"ID":"x"},` + stamp},
		{name: "an action of tomorrow", text: `{"Type":"container","Action":"levitate","Actor":{"ID":"` + idWeb + `"},` + stamp},
		{name: "prune has no id", text: `{"Type":"image","Action":"prune","Actor":{"ID":"","Attributes":{"reclaimed":"0"}},` + stamp},
	}
}

func TestEvents(t *testing.T) {
	for _, c := range eventCases() {
		t.Run(c.name, func(t *testing.T) { checkOne(t, Events(), c) })
	}
}

func TestEventsUnreadable(t *testing.T) {
	head := `{"Type":"container","Action":"start","Actor":{"ID":"` + idWeb + `"}`
	for _, c := range []oneCase{
		{name: "cut off", text: `{"Type":"container","Action":"sta`, fault: "not one JSON value"},
		{name: "text between", text: `-- stream reopened --`, fault: "not one JSON value"},
		{name: "neither Type nor status", text: `{"time":1777882150}`, fault: "neither Type nor status"},
		{name: "Type without Action", text: `{"Type":"container","time":1777882150}`, fault: "no action"},
		{name: "no time", text: head + `}`, fault: "no time"},
		{name: "time null", text: head + `,"time":null}`, fault: "no time"},
		{name: "time 0", text: head + `,"time":0}`, fault: "no time"},
		{name: "time in milliseconds", text: head + `,"time":1777882150123}`, fault: `time "1777882150123" is not a Unix time of 10 digits`},
		{name: "time in nanoseconds", text: head + `,"time":1777882150123456789}`, fault: "of 10 digits"},
		{name: "time beyond int64 in nanoseconds", text: head + `,"time":9999999999}`, fault: "of 10 digits"},
		{name: "time before the engine", text: head + `,"time":"0000000007"}`, fault: "of 10 digits"},
		{name: "time as an object", text: head + `,"time":{"s":1}}`, fault: "of 10 digits"},
		{name: "timeNano in milliseconds", text: head + `,"time":1777882150,"timeNano":1777882150123}`, fault: "of 19 digits"},
		{name: "timeNano rounded to a float", text: head + `,"time":1777882150,"timeNano":1.7778821501234568e18}`, fault: "of 19 digits"},
		{name: "timeNano negative", text: head + `,"timeNano":-177788215012345678}`, fault: "of 19 digits"},
		{name: "no id", text: `{"Type":"container","Action":"start","Actor":{"Attributes":{"name":"shop"}},` + stamp, fault: "no id"},
		{name: "id is a number", text: `{"Type":"container","Action":"start","Actor":{"ID":7},` + stamp, fault: "no id"},
		{name: "image without id", text: `{"Type":"image","Action":"pull","Actor":{},` + stamp, fault: "no id"},
		{name: "attachment without network id", text: `{"Type":"network","Action":"connect","Actor":{"Attributes":{"container":"` + idWeb + `"}},` + stamp, fault: "no id"},
		{name: "Action twice", text: `{"Type":"container","Action":"stop","Action":"start","Actor":{"ID":"` + idWeb + `"},` + stamp, fault: `key stands twice: "Action"`},
		{name: "container id twice", text: `{"Type":"container","Action":"start","Actor":{"ID":"` + idJob + `","ID":"` + idWeb + `"},` + stamp, fault: `key stands twice: "ID"`},
		{name: "image twice", text: `{"Type":"container","Action":"start","Actor":{"ID":"` + idWeb + `","Attributes":{"image":"good","image":"bad"}},` + stamp, fault: `key stands twice: "image"`},
		{name: "label twice", text: `{"Type":"container","Action":"start","Actor":{"ID":"` + idWeb + `","Attributes":{"name":"w","tier":"a","tier":"b"}},` + stamp, fault: `key stands twice: "tier"`},
		{name: "bytes after the value", text: head + `,"time":1777882150} {`, fault: "not one JSON value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.text += "\n"
			if c.name == "bytes after the value" {
				// The framer parts the two values: the first one is good.
				events, tally := sourcetest.Decode(t, Events(), c.text)
				if len(events) != 1 || tally.Unreadable != 1 {
					t.Fatalf("%d events, %d unreadable; want one of each", len(events), tally.Unreadable)
				}
				return
			}
			checkOne(t, Events(), c)
		})
	}
}

// TestEventsKey: one happening has one id in every schema and delivery, and
// different happenings of one instant have different ones.
func TestEventsKey(t *testing.T) {
	exec := func(id string) string {
		return `{"Type":"container","Action":"exec_start: sh","Actor":{"ID":"` + idWeb + `","Attributes":{"execID":"` + id + `"}},` + stamp + "\n"
	}
	join := func(id string) string {
		return `{"Type":"network","Action":"connect","Actor":{"ID":"` + idNet + `","Attributes":{"container":"` + id + `"}},` + stamp + "\n"
	}
	old := `{"status":"start","id":"` + idWeb + `","time":1777882150,"timeNano":1777882150123456789}` + "\n"
	both := `{"status":"start","id":"` + idWeb + `","Type":"container","Action":"start","Actor":{"ID":"` + idWeb + `"},` + stamp + "\n"
	text := old + both + exec("e1") + exec("e2") + exec("e1") + join(idWeb) + join(idJob)
	events, _ := sourcetest.Decode(t, Events(), text)
	if len(events) != 7 {
		t.Fatalf("%d events, want 7", len(events))
	}
	same := func(i, j int) bool { return events[i].ID == events[j].ID }
	if !same(0, 1) || !same(2, 4) {
		t.Error("one happening, two ids")
	}
	if same(2, 3) || same(5, 6) || same(0, 2) {
		t.Error("two happenings, one id")
	}
}

func TestEventsCitation(t *testing.T) {
	first := `{"Type":"volume","Action":"create",` + stamp + "\n"
	text := first + "\n" + `{"Type":"image","Action":"pull","Actor":{"ID":"acme/shop:3"},` + stamp + "\n"
	events, tally := sourcetest.Decode(t, Events(), text)
	if len(events) != 1 || tally.Records != 2 || tally.Skipped != 1 {
		t.Fatalf("%d events of %d records, %d skipped", len(events), tally.Records, tally.Skipped)
	}
	span := events[0].Origin.Spans[0]
	if span.Line != 3 || int(span.Offset) != len(first)+1 || !strings.HasPrefix(text[span.Offset:], `{"Type":"image"`) {
		t.Errorf("span %+v does not cite the record", span)
	}
	if events[0].Origin.Source != event.Docker || events[0].Origin.Format != "docker-events" {
		t.Errorf("origin %+v", events[0].Origin)
	}
}

func TestEventsSniff(t *testing.T) {
	for _, c := range []struct {
		name, text string
		sure       bool
	}{
		{"new schema", `{"Type":"image","Action":"pull","Actor":{"ID":"x"},"time":1}`, true},
		{"array", "[\n  {\n \"Type\": \"image\", \"Action\": \"pull\", \"Actor\": {} } ]", true},
		{"old schema", `{"status":"exec_start: sh","id":"5e1f","from":"x","time":1}`, true},
		{"another program's status", `{"status":"ok","id":"5e1f","time":1}`, false},
		{"text", "Type Action Actor", false},
		{"empty", "", false},
	} {
		if got := sourcetest.Sniff(Events(), c.text); (got > 0) != c.sure {
			t.Errorf("%s: %d", c.name, got)
		}
	}
}

// The start of an exec is cited with the line that set it up, in both forms, also
// when the memory of set-ups is full.
func TestAnExecIsCitedWithItsSetUp(t *testing.T) {
	line := func(verb, exec string) string {
		return `{"Type":"container","Action":"` + verb + `: sh -c id","Actor":{"ID":"` + idWeb + `","Attributes":{"execID":"` + exec + `","image":"web","name":"w"}},"time":1793700001,"timeNano":1793700001000000009}` + "\n"
	}
	lines := line("exec_create", idExec) + line("exec_create", "other") + line("exec_start", idExec) + line("exec_start", "never")
	for n := range maxSetUp {
		lines += line("exec_create", fmt.Sprint("x", n))
	}
	lines += line("exec_start", "other")
	var got [][]int
	events, _ := sourcetest.Decode(t, Events(), lines)
	for _, e := range events {
		var at []int
		for _, s := range e.Origin.Spans {
			at = append(at, s.Line)
		}
		got = append(got, at)
	}
	if want := [][]int{{3, 1}, {4}, {5 + maxSetUp}}; !reflect.DeepEqual(got, want) {
		t.Errorf("cited %v, want %v", got, want)
	}
}
