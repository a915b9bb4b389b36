package docker

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// What one container leaves in each log. Container, exec and time differ each
// time; images repeat.

func benchEvents(n int64) string {
	id := fmt.Sprintf("%064x", n)
	actor := `"Actor":{"ID":"` + id + `","Attributes":{"com.acme.tier":"front","image":"registry.acme.example/team/shop:3","name":"shop-` + id[50:] + `"}},`
	exec := strings.Replace(actor, `"image"`, `"execID":"`+idExec+`","image"`, 1)
	end := fmt.Sprintf(`"scope":"local","time":%d,"timeNano":%d}`+"\n", second+n, nano+n*1e9)
	line := func(typ, action, actor string) string {
		return `{"status":"` + action + `","id":"` + id + `","Type":"` + typ + `","Action":"` + action + `",` + actor + end
	}
	return line("image", "pull", `"Actor":{"ID":"registry.acme.example/team/shop:3","Attributes":{"name":"registry.acme.example/team/shop"}},`) +
		line("container", "create", actor) +
		line("network", "connect", `"Actor":{"ID":"`+idNet+`","Attributes":{"container":"`+id+`","name":"bridge","type":"bridge"}},`) +
		line("container", "start", actor) +
		line("container", "exec_create: /bin/sh -c curl -f localhost || exit 1", exec) +
		line("container", "exec_start: /bin/sh -c curl -f localhost || exit 1", exec) +
		line("container", "exec_die", exec) +
		line("container", "die", actor)
}

func benchText(n int64) string {
	id := fmt.Sprintf("%064x", n)
	at := event.Unix(nano+n*1e9).Format("2006-01-02T15:04:05.000000000Z07:00") + " "
	list := "image=registry.acme.example/team/shop:3, name=shop-" + id[50:] + ")\n"
	return at + "image pull registry.acme.example/team/shop:3 (name=registry.acme.example/team/shop)\n" +
		at + "container create " + id + " (com.acme.tier=front, " + list +
		at + "network connect " + idNet + " (container=" + id + ", name=bridge, type=bridge)\n" +
		at + "container start " + id + " (com.acme.tier=front, " + list +
		at + "container exec_create: /bin/sh -c curl -f localhost || exit 1 " + id + " (execID=" + idExec + ", " + list +
		at + "container exec_start: /bin/sh -c curl -f localhost || exit 1 " + id + " (execID=" + idExec + ", " + list +
		at + "container exec_die " + id + " (execID=" + idExec + ", exitCode=0, " + list +
		at + "container die " + id + " (exitCode=0, " + list
}

func benchInspect(n int64) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.Trim(containerCases()[0].text, "[]"), "\n", ""), idWeb, fmt.Sprintf("%064x", n)) + "\n"
}

func benchInspectImage(n int64) string {
	id := fmt.Sprintf("sha256:%064x", n)
	return `{"Id":"` + id + `","RepoTags":["acme/shop:3","acme/shop:latest"],"RepoDigests":["acme/shop@` + idIndex + `"],"Created":"2026-05-04T08:09:10Z",` +
		`"Config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Cmd":["/bin/sh"]},"Os":"linux","Architecture":"arm64",` +
		`"RootFS":{"Type":"layers","Layers":["` + idIndex + `"]}}` + "\n"
}

// benchDaemon has the mix of a debug log: one line in twelve is of interest.
func benchDaemon(n int64) string {
	text := later(n*1e9, callCreate) + "\n" + later(n*1e9+1, "form data: "+createForm) + "\n"
	for i := range int64(10) {
		text += later(n*1e9+i, "Calling GET /v1.41/containers/"+idWeb+"/json") + "\n" +
			later(n*1e9+i, `container mounted via layerStore: &{/var/lib/docker/overlay2/`+idJob+`/merged 0x55d60da8f4a0 0x55d60da8f4a0}`) + " container=" + idWeb + "\n"
	}
	return text + later(n*1e9, "Calling POST /v1.41/containers/"+idWeb+"/start") + "\n"
}

// benchAuthorization has a look, a creation and its answer.
func benchAuthorization(n int64) string {
	at := fmt.Sprintf(`"timestamp":"%s"`, event.Unix(nano+n*1e9).Format("2006-01-02T15:04:05.000000000Z07:00"))
	line := func(method, uri, rest string) string {
		return `{"User":"ann","UserAuthNMethod":"TLS","RequestMethod":"` + method + `","RequestUri":"/v1.41` + uri + `","RequestHeaders":{"User-Agent":"Docker-Client/20.10.24 (linux)"},` + at + rest + "}\n"
	}
	create := fmt.Sprintf("/containers/create?name=shop-%d", n)
	return line("GET", "/containers/json", "") + line("POST", create, `,"RequestBody":"`+base64.StdEncoding.EncodeToString([]byte(createText))+`"`) + line("POST", create, `,"ResponseStatusCode":201`)
}

func BenchmarkEvents(b *testing.B) {
	for _, c := range []struct {
		format *source.Format
		life   func(int64) string
	}{{Events(), benchEvents}, {EventsText(), benchText}, {Podman(), benchPodman}, {InspectContainer(), benchInspect}, {InspectImage(), benchInspectImage}, {DaemonLog(), benchDaemon}, {Authorization(), benchAuthorization}} {
		sourcetest.Bench(b, c.format, sourcetest.Fill("", c.life))
	}
}
