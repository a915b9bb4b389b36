package docker

import (
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// logfmt prints a line as logrus does.
func logfmt(msg, attrs string) string {
	line := `time="2026-05-04T08:09:10.123456789Z" level=debug msg=` + strconv.Quote(msg)
	if attrs != "" {
		line += " " + attrs
	}
	return line
}

const bracketHead = "DEBU[2026-05-04T08:09:10.123456789Z] "

func request(method, path, version string, query url.Values) *event.APIRequest {
	if query == nil {
		query = url.Values{}
	}
	return &event.APIRequest{Method: method, Path: path, Version: version, Query: query}
}

func daemonFramings() []oneCase {
	start := request("POST", "/containers/web/start", "1.41", nil)
	const msg = "Calling POST /v1.41/containers/web/start"
	resolved := &event.ImageResolved{Reference: ref("registry.acme.example/shop:3"), Digest: sourcetest.Digest(idIndex)}
	attrs := `digest="` + idIndex + `" error="<nil>" remote="registry.acme.example/shop:3"`
	return []oneCase{
		{name: "logfmt", text: logfmt(msg, ""), at: atNano, body: start},
		{name: "logfmt with attributes", text: logfmt(msg, `spanID=1f traceID="a b"`), at: atNano, body: start},
		{name: "logfmt, coarse clock", text: `time="2026-05-04T08:09:10Z" level=debug msg="` + msg + `"`, at: atSecond, body: start},
		{
			name: "logfmt, offset and microseconds",
			text: `time="2026-05-04T10:09:10.123456+02:00" level=debug msg="` + msg + `"`,
			at:   event.Time{At: nano - 789, Res: event.Microsecond},
			body: start,
		},
		{name: "bracket", text: bracketHead + msg, at: atNano, body: start},
		{name: "bracket, padded", text: bracketHead + fmt.Sprintf("%-60s  ", msg), at: atNano, body: start},
		{name: "bracket with attributes", text: bracketHead + fmt.Sprintf("%-44s  ", msg) + `module=api`, at: atNano, body: start},
		{
			name: "bracket, coloured",
			text: "\x1b[37mDEBU\x1b[0m[2026-05-04T08:09:10.123456789Z] " + fmt.Sprintf("%-44s ", "Fetching manifest from remote") +
				" \x1b[37mdigest\x1b[0m=\"" + idIndex + "\" \x1b[37mremote\x1b[0m=\"registry.acme.example/shop:3\"",
			at: atNano, body: resolved,
		},
		{
			name: "bracket, attributes",
			text: bracketHead + fmt.Sprintf("%-44s  ", "Fetching manifest from remote") + attrs,
			at:   atNano, body: resolved,
		},
		{name: "syslog", text: "May  4 08:09:10 host dockerd[712]: " + logfmt(msg, ""), at: atNano, body: start},
		{name: "syslog with priority", text: "<30>May  4 08:09:10 host dockerd[712]: " + logfmt(msg, ""), at: atNano, body: start},
		{name: "ISO prefix", text: "2026-05-04T08:09:11.5+00:00 host dockerd[712]: " + logfmt(msg, ""), at: atNano, body: start},
		{name: "journalctl -o short-full", text: "Mon 2026-05-04 08:09:11 UTC host dockerd[712]: " + logfmt(msg, ""), at: atNano, body: start},
		{name: "RFC 5424", text: "<30>1 2026-05-04T08:09:11.5Z host dockerd 712 - - " + logfmt(msg, ""), at: atNano, body: start},
		{name: "RFC 5424 with data", text: `<30>1 2026-05-04T08:09:11Z host dockerd 712 - [x@1 a="b"] ` + logfmt(msg, ""), at: atNano, body: start},
		{
			name: "the journal's time for a line without its own",
			text: "2026-05-04T08:09:10.5+0000 host dockerd[712]: level=debug msg=" + strconv.Quote(msg),
			at:   event.Time{At: second*1e9 + 5e8, Res: 1e8},
			body: start,
		},
		{
			name: "the journal's time for seconds since start",
			text: "2026-05-04T08:09:10+00:00 host dockerd[712]: DEBU[0012] " + msg,
			at:   atSecond,
			body: start,
		},
		{name: "manifest of a pull", text: logfmt("Fetching manifest from remote", attrs), at: atNano, body: resolved},
		{
			name: "end of a pull with the containerd store",
			text: logfmt("image pulled", `digest="`+idIndex+`" remote="registry.acme.example/shop:3"`),
			at:   atNano, body: resolved,
		},
		{name: "of no interest", text: logfmt("Request address PoolID:1", "")},
		{name: "no message", text: `time="2026-05-04T08:09:10Z" level=info`},
		{name: "containerd's plugin line", text: logfmt(`loading plugin "io.containerd.event.v1.publisher"...`, "runtime=io.containerd.runc.v2")},
		{name: "another program in the same syslog", text: `May  4 08:09:10 host sshd[9]: bad user time="2026-05-04T08:09:10Z" level=debug msg="` + msg + `"`},
		{name: "a container's output in the same syslog", text: `May  4 08:09:10 host docker/5e1f5e1f5e1f[9]: ` + logfmt(msg, "")},
		{name: "a Go stack under dockerd's name", text: "May  4 08:09:10 host dockerd[712]: goroutine 7 [running]:"},
	}
}

func TestDaemonLogFramings(t *testing.T) {
	for _, c := range daemonFramings() {
		t.Run(c.name, func(t *testing.T) { checkOne(t, DaemonLog(), c) })
	}
}

func TestDaemonLogUnreadable(t *testing.T) {
	const msg = "Calling POST /v1.41/containers/web/start"
	for _, c := range []oneCase{
		{name: "seconds since start", text: "INFO[0012] Loading containers: start.", fault: "no absolute time"},
		{name: "seconds since start, syslog's clock", text: "May  4 08:09:10 host dockerd[712]: INFO[0012] hello", fault: "no absolute time"},
		{name: "no time at all", text: "level=debug msg=" + strconv.Quote(msg), fault: "no absolute time"},
		{name: "another framing", text: "I0504 08:09:10.1 7 kubelet.go:1] hello", fault: "no line of a daemon's log"},
		{name: "dockerd's name in a quoted text", text: `2026-05-04 08:09:10 app msg="dockerd: level=debug msg="Calling POST /auth"`, fault: "no line of a daemon's log"},
		{name: "plain text", text: "panic: runtime error", fault: "no line of a daemon's log"},
		{name: "time is none", text: `time="now" level=debug msg=` + strconv.Quote(msg), fault: "RFC 3339"},
		{name: "cut in the time", text: `time="2026-05-04T08:0`, fault: "does not end"},
		{name: "cut in the message", text: `time="2026-05-04T08:09:10Z" level=debug msg="Calling PO`, fault: "does not end"},
		{name: "cut in an attribute", text: logfmt("image pulled", `digest="`+idIndex[:30]), fault: "does not end"},
		{name: "bad escape", text: `time="2026-05-04T08:09:10Z" level=debug msg="Calling POST /x\q"`, fault: "quoted value"},
		{name: "bracket without end", text: "DEBU[2026-05-04T08:09:10Z", fault: "no line of a daemon's log"},
		{name: "colour without end", text: "\x1b[37", fault: "no line of a daemon's log"},
		{name: "no target", text: logfmt("Calling POST ", ""), fault: "is not a path"},
		{name: "target is a word", text: logfmt("Calling DELETE images", ""), fault: "is not a path"},
		{name: "digest is none", text: logfmt("image pulled", `digest="sha256:12" remote="a"`), fault: "not a digest"},
		{name: "form data cut off", text: logfmt(`form data: {"Image":"a"`, ""), fault: "form data: not one JSON value"},
		{name: "form data cut off in a string", text: logfmt(`form data: "{\"Image\":"`, ""), fault: "form data: not one JSON value"},
		{name: "handling, form-data cut off", text: logfmt("handling POST request", `form-data="{" method=POST request-url=/containers/create`), fault: "form-data: not one JSON value"},
		{
			name:  "handling, image twice",
			text:  logfmt("handling POST request", `form-data="{\"Image\":\"a\",\"Image\":\"b\"}" method=POST request-url=/containers/create`),
			fault: `key stands twice: "Image"`,
		},
	} {
		t.Run(c.name, func(t *testing.T) { checkOne(t, DaemonLog(), c) })
	}
}

func TestDaemonLogRequests(t *testing.T) {
	for _, c := range []struct {
		call string
		want *event.APIRequest // nil: skipped
	}{
		{"POST /v1.45/build?t=a%3A1&rm=1", request("POST", "/build", "1.45", url.Values{"t": {"a:1"}, "rm": {"1"}})},
		{"POST /grpc", request("POST", "/grpc", "", nil)},
		{"POST /session", request("POST", "/session", "", nil)},
		{"POST /v1.41/images/create?fromImage=acme%2Fshop&tag=3", request("POST", "/images/create", "1.41", url.Values{"fromImage": {"acme/shop"}, "tag": {"3"}})},
		{"POST /images/create?fromImage=acme/shop:3", request("POST", "/images/create", "", url.Values{"fromImage": {"acme/shop:3"}})},
		{"POST /v1.41/images/load?quiet=1", request("POST", "/images/load", "1.41", url.Values{"quiet": {"1"}})},
		{"POST /v1.41/images/acme/shop:3/tag?repo=b&tag=1", request("POST", "/images/acme/shop:3/tag", "1.41", url.Values{"repo": {"b"}, "tag": {"1"}})},
		{"POST /v1.41/images/acme%2Fshop/push", request("POST", "/images/acme/shop/push", "1.41", nil)},
		{"POST /v1.41/commit?container=web&changes=ENV+TOKEN%3Dhunter2&changes=USER+0", request("POST", "/commit", "1.41", url.Values{"container": {"web"}, "changes": {"ENV <redacted>", "USER 0"}})},
		{"POST /v1.41/containers/web/exec", request("POST", "/containers/web/exec", "1.41", nil)},
		{"POST /v1.41/exec/" + idExec + "/start", request("POST", "/exec/"+idExec+"/start", "1.41", nil)},
		{"POST /v1.41/%63ontainers/web/start", request("POST", "/containers/web/start", "1.41", nil)},
		{"POST /auth", request("POST", "/auth", "", nil)},
		{"PUT /v1.41/containers/web/archive?path=%2F", request("PUT", "/containers/web/archive", "1.41", url.Values{"path": {"/"}})},
		{"DELETE /v1.41/containers/web?force=1", request("DELETE", "/containers/web", "1.41", url.Values{"force": {"1"}})},
		{"POST /version/build", request("POST", "/version/build", "", nil)},
		{"POST /v1.41", request("POST", "/v1.41", "", nil)},
		{"POST /v1.41/build?buildargs=%7B%22TOKEN%22%3A%22hunter2%22%7D&t=a", request("POST", "/build", "1.41", url.Values{"buildargs": {"<redacted>"}, "t": {"a"}})},
		{"POST /build?remote=https%3A%2F%2Fbo%3Ahunter2%40git.acme.example%2Fa%40b.git", request("POST", "/build", "", url.Values{"remote": {"https://<redacted>@git.acme.example/a@b.git"}})},
		{"POST /images/create?fromSrc=http%3A%2F%2Facme.example%2Fa%40b&X-Registry-Auth=hunter2", request("POST", "/images/create", "", url.Values{"fromSrc": {"http://acme.example/a@b"}, "X-Registry-Auth": {"<redacted>"}})},
		{"GET /v1.41/containers/json", nil},
		{"HEAD /_ping", nil},
		{"OPTIONS /", nil},
		{"BREW /pot", nil},
		{"POST /v1.41/containers/web/wait?condition=next-exit", nil},
		{"POST /v1.41/containers/web/resize?h=1&w=2", nil},
		{"POST /v1.41/exec/" + idExec + "/resize", nil},
		{"POST /events", nil},
	} {
		method, target, _ := strings.Cut(c.call, " ")
		handling := `method=` + method + ` module=api request-url=` + strconv.Quote(target) + ` vars="map[]"`
		for _, text := range []string{
			logfmt("Calling "+c.call, ""), bracketHead + "Calling " + c.call,
			logfmt("handling "+method+" request", handling),
			bracketHead + fmt.Sprintf("%-44s  ", "handling "+method+" request") + handling,
		} {
			o := oneCase{text: text, at: atNano}
			if c.want != nil {
				o.body = c.want
			}
			t.Run(text, func(t *testing.T) { checkOne(t, DaemonLog(), o) })
		}
	}
}

// TestDaemonLogKeepsNoSecret: nothing of a secret survives anywhere in an event.
func TestDaemonLogKeepsNoSecret(t *testing.T) {
	form := `{"Image":"acme/shop:3","Env":["TOKEN=hunter2"],"Cmd":["x"],"HostConfig":{"LogConfig":{"Config":{"splunk-token":"hunter2"}}}}`
	text := strings.Join([]string{
		logfmt("Calling POST /build?buildargs=%7B%22A%22%3A%22hunter2%22%7D&BuildArgs=hunter2&remote=https://u:hunter2@git.example/x", ""),
		logfmt("Calling POST /containers/create", ""),
		logfmt("form data: "+form, ""),
		logfmt("handling POST request", "form-data="+strconv.Quote(form)+" method=POST request-url=/containers/create"),
	}, "\n")
	events, _ := sourcetest.Decode(t, DaemonLog(), text)
	if len(events) != 3 {
		t.Fatalf("%d events, want 3", len(events))
	}
	for _, e := range events {
		r := e.Body.(*event.APIRequest)
		if got := fmt.Sprintf("%+v %+v", r, r.Create); strings.Contains(got, "hunter2") {
			t.Errorf("secret in %s", got)
		}
	}
}

func TestDaemonLogBuildStep(t *testing.T) {
	const id = "bh2hos487gwh0h62z6bi9pgn7"
	step := func(argv ...string) event.Body { return &event.BuildStep{ID: id, Command: argv} }
	for _, c := range []oneCase{
		{name: "shell form", text: logfmt("> creating "+id+" [/bin/sh -c apk add  x && make [all]]", ""), at: atNano, body: step("/bin/sh", "-c", "apk add  x && make [all]")},
		{name: "shell with options", text: logfmt("> creating "+id+" [/bin/bash -eo pipefail -c a | b]", ""), at: atNano, body: step("/bin/bash", "-eo", "pipefail", "-c", "a | b")},
		{name: "script with line ends", text: logfmt("> creating "+id+" [sh -c a\nb]", ""), at: atNano, body: step("sh", "-c", "a\nb")},
		{name: "exec form", text: logfmt("> creating "+id+" [make -c all x]", ""), at: atNano, body: step("make", "-c", "all", "x")},
		{name: "no arguments", text: logfmt("> creating "+id+" []", ""), at: atNano, body: step()},
		{name: "attributes of a span", text: logfmt("> creating "+id+" [make]", `span="[2/2] RUN make" spanID=77`), at: atNano, body: step("make")},
		{name: "bracket", text: bracketHead + "> creating " + id + " [/bin/sh -c A=b wget x=y]", at: atNano, body: step("/bin/sh", "-c", "A=b wget x=y")},
		{name: "another message", text: logfmt("> creating snapshot [x]", "")},
	} {
		t.Run(c.name, func(t *testing.T) { checkOne(t, DaemonLog(), c) })
	}
}

func TestDaemonLogSniff(t *testing.T) {
	for _, c := range []struct {
		name, text string
		least      int
	}{
		{"dockerd", logfmt("Calling GET /info", "") + "\n" + logfmt("x", ""), 80},
		{"syslog", "May  4 08:09:10 host dockerd[7]: " + logfmt("x", "") + "\nMay  4 08:09:10 host cron[7]: x\n", 60},
		{"containerd", logfmt("starting containerd", "revision=x version=1"), 80},
		{"any logrus", logfmt("hello", ""), 30},
		{"JSON", `{"time":"2026-05-04T08:09:10Z","level":"info","msg":"x"}`, 0},
		{"other text", "May  4 08:09:10 host cron[7]: x", 0},
	} {
		got := sourcetest.Sniff(DaemonLog(), c.text)
		if got < c.least || (c.least == 0 && got > 0) {
			t.Errorf("%s: %d, want at least %d", c.name, got, c.least)
		}
	}
}

func TestDaemonLogKey(t *testing.T) {
	line := logfmt("Calling POST /auth", "")
	relative := "dockerd[7]: DEBU[0001] Calling POST /auth"
	text := strings.Join([]string{
		line, "May  4 08:09:10 host dockerd[7]: " + line, logfmt("Calling POST /auth", "a=1"),
		"2026-05-04T08:09:10Z host " + relative, "2026-05-04T08:09:11Z host " + relative,
	}, "\n")
	events, _ := sourcetest.Decode(t, DaemonLog(), text)
	if len(events) != 5 {
		t.Fatalf("%d events", len(events))
	}
	if events[0].ID != events[1].ID {
		t.Error("one line by two ways has two ids")
	}
	if events[0].ID == events[2].ID || events[3].ID == events[4].ID {
		t.Error("two lines have one id")
	}
}

func TestCutVersion(t *testing.T) {
	for path, want := range map[string][2]string{
		"/v1.41/build": {"1.41", "/build"}, "/v1.41": {"", "/v1.41"}, "/volumes/create": {"", "/volumes/create"},
		"/v/build": {"", "/v/build"}, "/v1.x/build": {"", "/v1.x/build"}, "/v1.41/": {"1.41", "/"}, "": {"", ""},
	} {
		v, rest := cutVersion(path)
		if got := [2]string{v, rest}; !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}
