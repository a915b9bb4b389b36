package docker

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// later is a line some nanoseconds after the fixtures' instant.
func later(nanos int64, msg string) string {
	at := event.Unix(nano + nanos).Format("2006-01-02T15:04:05.000000000Z")
	return `time="` + at + `" level=debug msg=` + strconv.Quote(msg)
}

const createForm = `{"Image":"acme/shop:3","Entrypoint":["/entry"],"Cmd":["-p","80"],"User":"0","Env":["A=b"],"Labels":{"tier":"front"},` +
	`"Healthcheck":{"Test":["CMD-SHELL","curl -f localhost"]},` +
	`"HostConfig":{"Binds":["/:/host:ro","data:/data"],"Mounts":[{"Type":"bind","Source":"/var/run/docker.sock","Target":"/sock"},{"Type":"volume","Source":"v","Target":"/v"}],` +
	`"Privileged":true,"PidMode":"host","NetworkMode":"host","IpcMode":"host","CapAdd":["SYS_ADMIN"],"SecurityOpt":["apparmor=unconfined"],"RestartPolicy":{"Name":"always"}}}`

func createWant() *event.ContainerDescription {
	return &event.ContainerDescription{
		Name:        "shop",
		Image:       ref("acme/shop:3"),
		Command:     []string{"/entry", "-p", "80"},
		HealthCheck: []string{"/bin/sh", "-c", "curl -f localhost"},
		Labels:      map[string]string{"tier": "front"},
		Risk: event.Risk{
			Privileged:   true,
			Mounts:       []event.Mount{{Source: "/", Destination: "/host", ReadOnly: true}, {Source: "/var/run/docker.sock", Destination: "/sock"}},
			Capabilities: []string{"SYS_ADMIN"}, PIDMode: "host", NetworkMode: "host", IPCMode: "host",
			RestartPolicy: "always", SecurityOpt: []string{"apparmor=unconfined"}, User: "0",
		},
	}
}

const callCreate = "Calling POST /v1.41/containers/create?name=shop"

func TestDaemonLogCreate(t *testing.T) {
	handling := "form-data=" + strconv.Quote(createForm) + ` method=POST module=api request-url="/v1.41/containers/create?name=shop" vars="map[version:1.41]"`
	between := strings.Repeat(later(2, "container mounted")+"\n", 5)
	for _, c := range []struct {
		name  string
		text  string
		lines []int // cited
	}{
		{"next line", later(0, callCreate) + "\n" + later(1, "form data: "+createForm), []int{1, 2}},
		{"a JSON string that holds JSON", later(0, callCreate) + "\n" + later(1, "form data: "+strconv.Quote(createForm)), []int{1, 2}},
		{"other lines between", later(0, callCreate) + "\n" + between + later(1, "form data: "+createForm), []int{1, 7}},
		{"bracket framing", bracketHead + callCreate + "\n" + bracketHead + "form data: " + createForm, []int{1, 2}},
		{"in one line", logfmt("handling POST request", handling), []int{1}},
		{"in one line, bracket framing", bracketHead + fmt.Sprintf("%-44s  ", "handling POST request") + handling, []int{1}},
		{"syslog", "May  4 08:09:10 h dockerd[7]: " + later(0, callCreate) + "\nMay  4 08:09:10 h dockerd[7]: " + later(1, "form data: "+createForm), []int{1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			events, tally := sourcetest.Decode(t, DaemonLog(), c.text)
			if len(events) != 1 || tally.Unreadable != 0 {
				t.Fatalf("%d events, faults %v", len(events), tally.Faults)
			}
			want := request("POST", "/containers/create", "1.41", map[string][]string{"name": {"shop"}})
			want.Create = createWant()
			got := events[0].Body.(*event.APIRequest)
			if !reflect.DeepEqual(got.Create, want.Create) {
				t.Errorf("body\n got %+v\nwant %+v", got.Create, want.Create)
			}
			sourcetest.CheckEvent(t, events[0], atNano, want)
			for i, span := range events[0].Origin.Spans {
				if span.Line != c.lines[i] || len(c.lines) != len(events[0].Origin.Spans) {
					t.Errorf("spans %+v, want lines %v", events[0].Origin.Spans, c.lines)
				}
			}
		})
	}
}

// formCase is a log and what the creations in it must be told to create, in
// the order of the events; "-" for a creation without a body.
type formCase struct {
	name  string
	lines []string
	want  []string
}

func formCases() []formCase {
	form := func(img string) string { return `form data: {"Image":"` + img + `","HostConfig":{}}` }
	return []formCase{
		{"no body at all", []string{later(0, callCreate)}, []string{"-"}},
		{"body after a second", []string{later(0, callCreate), later(1_000_000_001, form("a"))}, []string{"-"}},
		{"body within a second", []string{later(0, callCreate), later(1_000_000_000, form("a"))}, []string{"a"}},
		{"body before the call by its clock", []string{later(0, callCreate), later(-5, form("a"))}, []string{"a"}},
		{"body after 64 lines", append(append([]string{later(0, callCreate)}, slicesOf(63, later(0, "x"))...), later(1, form("a"))), []string{"a"}},
		{"body after 65 lines", append(append([]string{later(0, callCreate)}, slicesOf(64, later(0, "x"))...), later(1, form("a"))), []string{"-"}},
		{"missing image, pull, again", []string{
			later(0, callCreate), later(1, form("a")), later(2, "Calling POST /images/create?fromImage=a"), later(3, callCreate), later(4, form("a")),
		}, []string{"a", "a"}},
		{"two calls at once: the latest is served first", []string{later(0, callCreate), later(1, callCreate), later(2, form("b")), later(3, form("a"))}, []string{"b", "a"}},
		{"large body is not logged", []string{later(0, callCreate), later(1, callCreate), later(2, form("b"))}, []string{"b", "-"}},
		{"body of an exec", []string{later(0, callCreate), later(1, "Calling POST /containers/web/exec"), later(2, `form data: {"Cmd":["sh"],"Tty":true}`), later(3, form("a"))}, []string{"a"}},
		{"body of a commit looks alike", []string{later(0, callCreate), later(1, "Calling POST /commit?container=web"), later(2, form("")), later(3, form("a"))}, []string{"a"}},
		{"body without a call", []string{later(0, form("a"))}, nil},
		{"image is no string", []string{later(0, callCreate), later(1, `form data: {"Image":7}`)}, []string{"-"}},
		{"an unreadable line between", []string{later(0, callCreate), "panic: no", later(1, form("a"))}, []string{"a"}},
	}
}

func slicesOf(n int, s string) []string { return strings.Split(strings.Repeat(s+"\n", n-1)+s, "\n") }

func TestDaemonLogForm(t *testing.T) {
	for _, c := range formCases() {
		t.Run(c.name, func(t *testing.T) {
			events, _ := sourcetest.Decode(t, DaemonLog(), strings.Join(c.lines, "\n"))
			var got []string
			for _, e := range events {
				r := e.Body.(*event.APIRequest)
				switch {
				case r.Path != "/containers/create":
				case r.Create == nil:
					got = append(got, "-")
				default:
					got = append(got, r.Create.Image.Raw())
				}
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("bodies %q, want %q", got, c.want)
			}
		})
	}
}

// TestDaemonLogBadForm: a body that says two things leaves its call without.
func TestDaemonLogBadForm(t *testing.T) {
	text := later(0, callCreate) + "\n" + later(1, `form data: {"Image":"good","Image":"bad"}`)
	events, tally := sourcetest.Decode(t, DaemonLog(), text)
	if len(events) != 1 || tally.Unreadable != 1 {
		t.Fatalf("%d events, %d unreadable; want one of each", len(events), tally.Unreadable)
	}
	if r := events[0].Body.(*event.APIRequest); r.Create != nil {
		t.Errorf("body %+v", r.Create)
	}
}
