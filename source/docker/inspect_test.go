package docker

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/sourcetest"
)

// Pieces of an inspection.
const (
	inspectHead  = `"Created":"2026-05-04T08:09:10.1234Z","Path":"/entry","Args":["-p","80"],"Name":"/shop"`
	stateRunning = `"State":{"Status":"running","Running":true,"Pid":4711,"StartedAt":"2026-05-04T08:09:11Z","FinishedAt":"0001-01-01T00:00:00Z"}`
	stateCreated = `"State":{"Status":"created","Running":false,"Pid":0,"StartedAt":"0001-01-01T00:00:00Z"}`
)

func containerCases() []oneCase {
	created := event.Time{At: second*1e9 + 123_400_000, Res: 1}
	started := event.Time{At: (second + 1) * 1e9, Res: event.Second}
	four := netip.MustParseAddr("172.18.0.5")
	six := netip.MustParseAddr("2001:db8::5")
	return []oneCase{
		{
			name: "all fields",
			text: `[{"Id":"` + idWeb + `",` + inspectHead + `,` + stateRunning + `,"Image":"` + idImage + `","Platform":"linux",
"HostConfig":{"Binds":["/srv:/srv:rw,z","/etc:/host/etc:ro"],"NetworkMode":"front","RestartPolicy":{"Name":"always"},"Privileged":true,"PidMode":"host","IpcMode":"private","CapAdd":["NET_ADMIN"],"SecurityOpt":["seccomp=unconfined"]},
"Mounts":[{"Type":"bind","Source":"/srv","Destination":"/srv","Mode":"rw,z","RW":true},{"Type":"bind","Source":"/etc","Destination":"/host/etc","Mode":"ro","RW":false},{"Type":"volume","Name":"d","Source":"/var/lib/docker/volumes/d/_data","Destination":"/d","RW":true}],
"Config":{"User":"1000","Env":["TOKEN=hunter2"],"Cmd":["-p","80"],"Image":"acme/shop:3","Labels":{"tier":"front"},"Healthcheck":{"Test":["CMD-SHELL","curl -f localhost || exit 1"]}},
"NetworkSettings":{"IPAddress":"","GlobalIPv6Address":"","Networks":{"zulu":{"NetworkID":"n2","IPAddress":""},"front":{"NetworkID":"` + idNet + `","IPAddress":"172.18.0.5","GlobalIPv6Address":"2001:db8::5"}}}}]`,
			body: &event.ContainerDescription{
				ID: idWeb, Name: "shop", Image: ref("acme/shop:3"), ImageID: sourcetest.Digest(idImage),
				Command:     []string{"/entry", "-p", "80"},
				HealthCheck: []string{"/bin/sh", "-c", "curl -f localhost || exit 1"},
				CreatedAt:   created, StartedAt: started, PID: 4711,
				Networks: []event.NetworkAddress{
					{NetworkID: idNet, NetworkName: "front", Addrs: []netip.Addr{four, six}},
					{NetworkID: "n2", NetworkName: "zulu"},
				},
				Risk: event.Risk{
					Privileged:   true,
					Mounts:       []event.Mount{{Source: "/srv", Destination: "/srv"}, {Source: "/etc", Destination: "/host/etc", ReadOnly: true}},
					Capabilities: []string{"NET_ADMIN"}, PIDMode: "host", NetworkMode: "front", IPCMode: "private",
					RestartPolicy: "always", SecurityOpt: []string{"seccomp=unconfined"}, User: "1000",
				},
				Labels: map[string]string{"tier": "front"},
			},
		},
		{
			name: "never started; health check of argv; one object without an array",
			text: `{"Id":"` + idWeb + `",` + inspectHead + `,` + stateCreated + `,"Config":{"Image":"` + idImage + `","Healthcheck":{"Test":["CMD","/probe","-q"]}}}`,
			body: &event.ContainerDescription{
				ID: idWeb, Name: "shop", Image: ref(idImage), Command: []string{"/entry", "-p", "80"},
				HealthCheck: []string{"/probe", "-q"}, CreatedAt: created,
			},
		},
		{
			name: "health check disabled; old engine's addresses beside the networks",
			text: `{"Id":"` + idWeb + `",` + stateCreated + `,"Config":{"Healthcheck":{"Test":["NONE"]}},"NetworkSettings":{"IPAddress":"172.18.0.5","GlobalIPv6Address":"2001:db8::5"}}`,
			body: &event.ContainerDescription{ID: idWeb, Networks: []event.NetworkAddress{{Addrs: []netip.Addr{four, six}}}},
		},
		{
			name: "the bridge's address stands twice",
			text: `{"Id":"` + idWeb + `",` + stateCreated + `,"Config":{},"NetworkSettings":{"IPAddress":"172.18.0.5","Networks":{"bridge":{"NetworkID":"` + idNet + `","IPAddress":"172.18.0.5"}}}}`,
			body: &event.ContainerDescription{ID: idWeb, Networks: []event.NetworkAddress{{NetworkID: idNet, NetworkName: "bridge", Addrs: []netip.Addr{four}}}},
		},
		{
			name: "command from the configuration; own shell for the health check",
			text: `{"Id":"` + idWeb + `",` + stateCreated + `,"Config":{"Entrypoint":["/e"],"Cmd":["c"],"Shell":["/bin/bash","-ec"],"Healthcheck":{"Test":["CMD-SHELL","true"]}}}`,
			body: &event.ContainerDescription{ID: idWeb, Command: []string{"/e", "c"}, HealthCheck: []string{"/bin/bash", "-ec", "true"}},
		},
		{
			name: "Windows",
			text: `{"Id":"` + idWeb + `","Platform":"windows",` + stateCreated + `,"Config":{"Healthcheck":{"Test":["CMD-SHELL","dir"]}},"HostConfig":{"Binds":["C:\\data:C:\\data:ro","\\\\.\\pipe\\docker_engine:\\\\.\\pipe\\docker_engine"]}}`,
			body: &event.ContainerDescription{
				ID: idWeb, HealthCheck: []string{"cmd", "/S", "/C", "dir"},
				Risk: event.Risk{Mounts: []event.Mount{
					{Source: `C:\data`, Destination: `C:\data`, ReadOnly: true},
					{Source: `\\.\pipe\docker_engine`, Destination: `\\.\pipe\docker_engine`},
				}},
			},
		},
		{
			name: "mounts that were not asked for as binds",
			text: `{"Id":"` + idWeb + `",` + stateCreated + `,"Mounts":[{"Type":"bind","Source":"/a","Destination":"/b","RW":false},{"Source":"/c","Destination":"/d","RW":true},{"Type":"tmpfs","Source":"","Destination":"/t","RW":true}]}`,
			body: &event.ContainerDescription{ID: idWeb, Risk: event.Risk{Mounts: []event.Mount{
				{Source: "/a", Destination: "/b", ReadOnly: true}, {Source: "/c", Destination: "/d"},
			}}},
		},
		{name: "a network", text: `[{"Name":"front","Id":"` + idNet + `","Driver":"bridge"}]`},
		{name: "a volume", text: `[{"Name":"data","Driver":"local","Mountpoint":"/m"}]`},
	}
}

func TestInspectContainer(t *testing.T) {
	for _, c := range containerCases() {
		t.Run(c.name, func(t *testing.T) { checkOne(t, InspectContainer(), c) })
	}
}

func TestInspectImage(t *testing.T) {
	for _, c := range []oneCase{
		{
			name: "all fields",
			text: `[{"Id":"` + idImage + `","RepoTags":["acme/shop:3","acme/shop:latest"],"RepoDigests":["acme/shop@` + idIndex + `"],"Os":"linux","Architecture":"arm64","RootFS":{"Type":"layers"}}]`,
			body: &event.ImageDescription{
				ID: sourcetest.Digest(idImage), RepoTags: []image.Reference{ref("acme/shop:3"), ref("acme/shop:latest")},
				RepoDigests: []image.Reference{ref("acme/shop@" + idIndex)}, OS: "linux", Architecture: "arm64",
			},
		},
		{
			name: "built here: no names; printed over many lines",
			text: "[\n    {\n        \"Id\": \"" + idImage + "\",\n        \"RepoTags\": [\"<none>:<none>\"],\n        \"RepoDigests\": [],\n        \"RootFS\": {}\n    }\n]\n",
			body: &event.ImageDescription{ID: sourcetest.Digest(idImage)},
		},
		{name: "id is none", text: `{"Id":"9d42","RootFS":{}}`, fault: "not a digest"},
		{name: "id twice", text: `{"Id":"` + idImage + `","Id":"` + idIndex + `","RootFS":{}}`, fault: "stands twice"},
	} {
		t.Run(c.name, func(t *testing.T) { checkOne(t, InspectImage(), c) })
	}
}

func TestInspectUnreadable(t *testing.T) {
	for _, c := range []oneCase{
		{name: "cut off", text: `[{"Id":"x","State":{`, fault: "not one JSON value"},
		{name: "no id", text: `[{"State":{},"Config":{}}]`, fault: "no id"},
		{name: "nothing known", text: `[{"a":1}]`, fault: "no object that docker inspect prints"},
		{name: "error message", text: `Error: No such object: web`, fault: "not one JSON value"},
		{name: "address is none", text: `{"Id":"x",` + stateCreated + `,"NetworkSettings":{"Networks":{"front":{"IPAddress":"172.18.0.500"}}}}`, fault: `network "front": IPAddress`},
		{name: "old address is none", text: `{"Id":"x",` + stateCreated + `,"NetworkSettings":{"IPAddress":"x"}}`, fault: "network settings"},
		{name: "time without offset", text: `{"Id":"x",` + stateCreated + `,"Created":"2026-05-04T08:09:10"}`, fault: "time of creation"},
		{name: "start is no time", text: `{"Id":"x","State":{"StartedAt":"yesterday"}}`, fault: "time of start"},
		{name: "privileged twice", text: `{"Id":"x",` + stateCreated + `,"HostConfig":{"Privileged":false,"Privileged":true}}`, fault: `stands twice: "Privileged"`},
		{name: "label twice", text: `{"Id":"x",` + stateCreated + `,"Config":{"Labels":{"a":"1","a":"2"}}}`, fault: `stands twice: "a"`},
	} {
		t.Run(c.name, func(t *testing.T) { checkOne(t, InspectContainer(), c) })
	}
}

// TestInspectMixed: docker inspect prints objects of several kinds in one
// array; each is read as what it is, in either format.
func TestInspectMixed(t *testing.T) {
	text := `[{"Id":"` + idWeb + `",` + stateRunning + `,"HostConfig":{},"Config":{}},
{"Id":"` + idImage + `","RepoDigests":null,"RootFS":{}},{"Name":"front","Id":"n"}]`
	for _, format := range []string{"container", "image"} {
		f := InspectContainer()
		if format == "image" {
			f = InspectImage()
		}
		events, tally := sourcetest.Decode(t, f, text)
		if len(events) != 2 || tally.Skipped != 1 {
			t.Fatalf("%s: %d events, %d skipped", format, len(events), tally.Skipped)
		}
		if events[0].Body.Kind() != event.KindContainerDescription || events[1].Body.Kind() != event.KindImageDescription {
			t.Errorf("%s: %s, %s", format, events[0].Body.Kind(), events[1].Body.Kind())
		}
		if !events[0].Time.IsZero() || events[0].Origin.Source != event.Inspect {
			t.Errorf("%s: a look-up has time %v and source %s", format, events[0].Time, events[0].Origin.Source)
		}
	}
}

func TestInspectSniff(t *testing.T) {
	container := `[{"Id":"x","State":{},"HostConfig":{}}]`
	img := `[{"Id":"x","RepoDigests":[],"RootFS":{}}]`
	other := `[{"Id":"x","Driver":"local"}]`
	if sourcetest.Sniff(InspectContainer(), container) == 0 || sourcetest.Sniff(InspectImage(), container) != 0 {
		t.Error("a container is not told")
	}
	if sourcetest.Sniff(InspectContainer(), img) != 0 || sourcetest.Sniff(InspectImage(), img) == 0 {
		t.Error("an image is not told")
	}
	if sourcetest.Sniff(InspectContainer(), other) != 0 || sourcetest.Sniff(InspectImage(), other) != 0 {
		t.Error("a volume is taken for one of them")
	}
}

func TestParseBind(t *testing.T) {
	for text, want := range map[string]event.Mount{
		"/a:/b":                   {Source: "/a", Destination: "/b"},
		"/:/host":                 {Source: "/", Destination: "/host"},
		"/a:/b:ro":                {Source: "/a", Destination: "/b", ReadOnly: true},
		"/a:/b:z,ro":              {Source: "/a", Destination: "/b", ReadOnly: true},
		"/a:/b:rprivate":          {Source: "/a", Destination: "/b"},
		`c:\a:c:\b`:               {Source: `c:\a`, Destination: `c:\b`},
		`C:/a:D:/b:ro`:            {Source: "C:/a", Destination: "D:/b", ReadOnly: true},
		"data:/b":                 {},
		"/anonymous":              {},
		"":                        {},
		":/b":                     {},
		strings.Repeat(":", 1000): {},
	} {
		got, ok := parseBind(text)
		if got != want || ok != (want != event.Mount{}) {
			t.Errorf("%q: %+v %v, want %+v", text, got, ok, want)
		}
	}
}

// TestInspectKeepsNoEnvironment looks through every field of a description.
func TestInspectKeepsNoEnvironment(t *testing.T) {
	text := `{"Id":"x",` + stateCreated + `,"HostConfig":{},"Config":{"Env":["TOKEN=hunter2"],"Image":"a"}}`
	events, _ := sourcetest.Decode(t, InspectContainer(), text)
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	if body := fmt.Sprintf("%+v", events[0].Body); !strings.Contains(body, "ID:x") || strings.Contains(body, "hunter2") {
		t.Errorf("body %s", body)
	}
}
