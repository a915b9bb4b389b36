package docker

import (
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

const clock = "2026-05-04T08:09:10.123456789Z "

func textCases() []oneCase {
	exec := &event.ExecStarted{Container: idWeb, ExecID: idExec, Command: "/bin/sh -c id", Image: ref("acme/shop:3")}
	execList := " " + idWeb + " (execID=" + idExec + ", image=acme/shop:3, name=shop)"
	return []oneCase{
		{
			name: "pull",
			text: clock + "image pull acme/shop:3 (name=acme/shop)",
			at:   atNano,
			body: &event.Image{Action: event.ImagePull, Reference: ref("acme/shop:3")},
		},
		{
			name: "tag",
			text: clock + "image tag " + idImage + " (name=acme/shop:4)",
			at:   atNano,
			body: &event.Image{Action: event.ImageTag, Digest: sourcetest.Digest(idImage), Reference: ref("acme/shop:4")},
		},
		{
			name: "delete without attributes",
			text: clock + "image delete " + idImage,
			at:   atNano,
			body: &event.Image{Action: event.ImageDelete, Digest: sourcetest.Digest(idImage)},
		},
		{
			name: "zone of the reader",
			text: "2026-05-04T10:09:10.123456789+02:00 image delete " + idImage,
			at:   atNano,
			body: &event.Image{Action: event.ImageDelete, Digest: sourcetest.Digest(idImage)},
		},
		{
			name: "zeros stand for unknown nanoseconds",
			text: "2026-05-04T08:09:10.000000000Z image delete " + idImage,
			at:   atSecond,
			body: &event.Image{Action: event.ImageDelete, Digest: sourcetest.Digest(idImage)},
		},
		{
			name: "container: label values with commas, blanks, brackets and equals signs",
			text: clock + "container start " + idWeb + " (com.acme.cmd=a, b (c, d=e) x=y, image=acme/shop:3, name=shop, zone=eu (west))",
			at:   atNano,
			body: &event.Container{
				Action: event.ContainerStart, ID: idWeb, Name: "shop", Image: ref("acme/shop:3"),
				Labels: map[string]string{"com.acme.cmd": "a, b (c", "d": "e) x=y", "zone": "eu (west)"},
			},
		},
		{
			name: "die",
			text: clock + "container die " + idWeb + " (execDuration=9, exitCode=2, image=acme/shop:3, name=shop)",
			at:   atNano,
			body: &event.Container{Action: event.ContainerExit, ID: idWeb, Name: "shop", Image: ref("acme/shop:3"), ExitCode: 2},
		},
		{
			name: "health status has a second word",
			text: clock + "container health_status: unhealthy " + idWeb + " (image=acme/shop:3, name=shop)",
			at:   atNano,
			body: &event.Container{Action: event.ContainerHealthy, ID: idWeb, Name: "shop", Image: ref("acme/shop:3")},
		},
		{name: "exec_start", text: clock + "container exec_start: /bin/sh -c id" + execList, at: atNano, body: exec},
		{
			name: "exec_start: command with hex words, brackets and equals signs",
			text: clock + "container exec_start: sh -c echo (a=b) deadbeefdead (c) deadbeefdead(d=e)" + execList,
			at:   atNano,
			body: &event.ExecStarted{Container: idWeb, ExecID: idExec, Image: ref("acme/shop:3"), Command: "sh -c echo (a=b) deadbeefdead (c) deadbeefdead(d=e)"},
		},
		{
			name: "exec_start: a label before execID",
			text: clock + "container exec_start: id " + idWeb + " (app=shop, execID=" + idExec + ", image=acme/shop:3, name=shop)",
			at:   atNano,
			body: &event.ExecStarted{Container: idWeb, ExecID: idExec, Image: ref("acme/shop:3"), Command: "id"},
		},
		{
			name: "exec_start: command over three lines",
			text: clock + "container exec_start: sh -c cd /tmp (x)\nmake\nrm -r ." + execList,
			at:   atNano,
			body: &event.ExecStarted{Container: idWeb, ExecID: idExec, Image: ref("acme/shop:3"), Command: "sh -c cd /tmp (x)\nmake\nrm -r ."},
		},
		{
			name: "exec_start without a command",
			text: clock + "container exec_start: " + execList,
			at:   atNano,
			body: &event.ExecStarted{Container: idWeb, ExecID: idExec, Image: ref("acme/shop:3")},
		},
		{
			name: "a label's value over two lines, the first of which ends in a bracket",
			text: clock + "container create " + idWeb + " (about=first (a)\nsecond, image=acme/shop:3, name=shop)",
			at:   atNano,
			body: &event.Container{
				Action: event.ContainerCreate, ID: idWeb, Name: "shop", Image: ref("acme/shop:3"),
				Labels: map[string]string{"about": "first (a)\nsecond"},
			},
		},
		{
			name: "a label's value over two lines, behind the name",
			text: clock + "container create " + idWeb + " (image=acme/shop:3, name=shop, zone=first\nsecond)",
			at:   atNano,
			body: &event.Container{
				Action: event.ContainerCreate, ID: idWeb, Name: "shop", Image: ref("acme/shop:3"),
				Labels: map[string]string{"zone": "first\nsecond"},
			},
		},
		{
			name: "network connect",
			text: clock + "network connect " + idNet + " (container=" + idWeb + ", name=front, type=bridge)",
			at:   atNano,
			body: &event.NetworkAttachment{Container: idWeb, NetworkID: idNet, NetworkName: "front", Driver: "bridge", Connected: true},
		},
		{
			name: "commit",
			text: clock + "container commit " + idWeb + " (comment=, image=acme/shop:3, imageID=" + idImage + ", imageRef=acme/shop:5, name=shop)",
			at:   atNano,
			body: &event.Image{Action: event.ImageCommit, Container: idWeb, Digest: sourcetest.Digest(idImage), Reference: ref("acme/shop:5")},
		},
		{
			name: "before 1.10",
			text: "2026-05-04T08:09:10.000000000Z 5e1f5e1f5e1f: (from acme/shop:3) start",
			at:   atSecond,
			body: &event.Container{Action: event.ContainerStart, ID: "5e1f5e1f5e1f", Image: ref("acme/shop:3")},
		},
		{
			name: "before 1.10: pull",
			text: "2026-05-04T08:09:10.000000000Z acme/shop:3: pull",
			at:   atSecond,
			body: &event.Image{Action: event.ImagePull, Reference: ref("acme/shop:3")},
		},
		{name: "exec_create over two lines", text: clock + "container exec_create: a\nb" + execList},
		{name: "exec_die", text: clock + "container exec_die " + idWeb + " (execID=" + idExec + ", exitCode=0, image=acme/shop:3, name=shop)"},
		{name: "volume", text: clock + "volume mount data (container=x, destination=/d, driver=local, propagation=, read/write=true)"},
		{name: "daemon", text: clock + "daemon reload 4f8a (name=lab, debug=true, debug=false)"},
	}
}

func TestEventsText(t *testing.T) {
	for _, c := range textCases() {
		t.Run(c.name, func(t *testing.T) { checkOne(t, EventsText(), c) })
	}
}

func TestEventsTextUnreadable(t *testing.T) {
	list := " (execID=" + idExec + ", image=i, name=n)"
	for _, c := range []oneCase{
		{name: "no time", text: "container start " + idWeb + " (image=i, name=n)", fault: "RFC 3339 with an offset"},
		{name: "no offset", text: "2026-05-04T08:09:10.123456789 container start " + idWeb + " (image=i, name=n)", fault: "RFC 3339"},
		{name: "year 1", text: "0001-01-01T00:00:00.000000000Z image delete " + idImage, fault: "outside the years"},
		{name: "another program", text: clock + "INFO: started", fault: "no line of docker events"},
		{name: "no id", text: clock + "container start", fault: "ends early"},
		{name: "cut off", text: clock + "container start " + idWeb + " (image=i, na", fault: "ends early"},
		{name: "cut off before the next event", text: clock + "container exec_start: sh\n" + clock + "daemon reload x (a=b)", fault: "ends early"},
		{name: "name missing", text: clock + "container start " + idWeb + " (image=i)", fault: "ends early"},
		{name: "text after the id", text: clock + "image delete " + idImage + " now", fault: "no line of docker events"},
		{name: "attributes are none", text: clock + "image tag " + idImage + " (hello)", fault: "no key=value"},
		{
			name:  "a label imitates the engine's attribute",
			text:  clock + "container start " + idWeb + " (about=x, name=other, image=i, name=n)",
			fault: "two ways: attribute \"name\"",
		},
		{
			name:  "a command imitates an id with attributes",
			text:  clock + "container exec_start: echo " + idJob + list + " " + idWeb + list,
			fault: "two ways: the command",
		},
		{
			name:  "a label imitates an id with attributes",
			text:  clock + "container exec_start: echo " + idWeb + " (about=" + idJob + list + ", execID=x, image=i, name=n)",
			fault: "two ways",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "cut off before the next event" {
				_, tally := sourcetest.Decode(t, EventsText(), c.text)
				if tally.Unreadable != 1 || tally.Skipped != 1 || tally.Faults[0].Line != 1 {
					t.Fatalf("%+v: want line 1 unreadable and the next one read", tally)
				}
				return
			}
			checkOne(t, EventsText(), c)
		})
	}
}

// TestEventsTextBound: an event that never ends does not hold the file back.
func TestEventsTextBound(t *testing.T) {
	open := clock + "container exec_start: sh -c\n"
	good := clock + "image delete " + idImage + "\n"
	for _, c := range []struct {
		name string
		more string
		bad  int64
	}{
		{"lines", strings.Repeat("x)\n", maxTextLines+10), maxTextLines + 11},
		{"bytes", strings.Repeat(strings.Repeat("y", 4<<10)+")\n", 20), 21},
	} {
		events, tally := sourcetest.Decode(t, EventsText(), open+c.more+good)
		if len(events) != 1 || tally.Unreadable != c.bad {
			t.Errorf("%s: %d events and %d unreadable lines, want 1 and %d", c.name, len(events), tally.Unreadable, c.bad)
		}
	}
}

func TestEventsTextSpans(t *testing.T) {
	text := clock + "container exec_start: a\n\nb " + idWeb + " (execID=" + idExec + ", image=i, name=n)\n"
	events, _ := sourcetest.Decode(t, EventsText(), text)
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	spans := events[0].Origin.Spans
	if len(spans) != 2 || spans[0].Line != 1 || spans[1].Line != 3 {
		t.Errorf("spans %+v, want lines 1 and 3", spans)
	}
}

func TestEventsTextSniff(t *testing.T) {
	if got := sourcetest.Sniff(EventsText(), clock+"image pull a (name=a)\n"+clock+"container die x (name=x)\n"); got < 80 {
		t.Errorf("own text: %d", got)
	}
	for _, other := range []string{
		"2026-05-04T08:09:10.123456+00:00 host dockerd[7]: Starting",
		"2026-05-04T08:09:10.123Z INFO: started",
		`{"Type":"image"}`,
		"2026-05-04 08:09:10 +0000 UTC moby /tasks/start {}",
	} {
		if got := sourcetest.Sniff(EventsText(), other); got != 0 {
			t.Errorf("%q: %d", other, got)
		}
	}
}
