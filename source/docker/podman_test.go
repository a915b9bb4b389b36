package docker

import (
	"fmt"
	"testing"

	"tidewaiter/event"
)

const idBuilt = "7c3e7c3e7c3e7c3e7c3e7c3e7c3e7c3e7c3e7c3e7c3e7c3e7c3e7c3e7c3e7c3e"

// podmanCase is one event in Podman's form and, unless it has none, in that of
// its Docker-compatible API.
type podmanCase struct {
	name, own, compatible string
	body                  event.Body // nil if it is of no interest
}

func podmanCases() []podmanCase {
	own := func(typ, status, rest string) string {
		return fmt.Sprintf(`{%s"Status":%q,"Time":"2026-05-04T10:09:10.123456789+02:00","Type":%q`, rest, status, typ)
	}
	web := `"ID":"` + idWeb + `","Image":"docker.io/acme/shop:3","Name":"shop",`
	labels := `,"Attributes":{"com.acme.tier":"front"}}`
	bare := `,"Attributes":null}`
	compatible := func(typ, action, id, attrs string) string {
		return fmt.Sprintf(`{"status":%q,"id":%q,"Type":%q,"Action":%q,"Actor":{"ID":%q,"Attributes":{%s"podId":""}},%s`, action, id, typ, action, id, attrs, stamp)
	}
	attrs := `"containerExitCode":"0","image":"docker.io/acme/shop:3","com.acme.tier":"front","name":"shop",`
	named := func(name string) string { return `"containerExitCode":"0","image":"","name":"` + name + `",` }
	container := func(action event.ContainerAction, exit int) event.Body {
		return &event.Container{Action: action, ID: idWeb, Name: "shop", Image: ref("docker.io/acme/shop:3"), ExitCode: exit, Labels: map[string]string{"com.acme.tier": "front"}}
	}
	return []podmanCase{
		{"create", own("container", "create", web) + labels, compatible("container", "create", idWeb, attrs), container(event.ContainerCreate, 0)},
		{"start", own("container", "start", web) + labels, compatible("container", "start", idWeb, attrs), container(event.ContainerStart, 0)},
		{
			"the exit has its code", own("container", "died", `"ContainerExitCode":137,`+web) + labels,
			compatible("container", "die", idWeb, `"containerExitCode":"137","image":"docker.io/acme/shop:3","com.acme.tier":"front","name":"shop",`), container(event.ContainerExit, 137),
		},
		{"remove", own("container", "remove", web) + labels, compatible("container", "remove", idWeb, attrs), container(event.ContainerRemove, 0)},
		{
			"a pull tells the name alone", own("image", "pull", `"Name":"docker.io/acme/shop:3",`) + bare,
			compatible("image", "pull", "", named("docker.io/acme/shop:3")), &event.Image{Action: event.ImagePull, Reference: ref("docker.io/acme/shop:3")},
		},
		{
			"a build tells the id as name", own("image", "build", `"Name":"`+idBuilt+`",`) + bare,
			compatible("image", "build", "", named(idBuilt)), &event.Image{Action: event.ImageCreate, Digest: ref(idBuilt).Digest()},
		},
		{
			"tag", own("image", "tag", `"ID":"`+idBuilt+`","Name":"quay.io/acme/other:2",`) + bare,
			compatible("image", "tag", idBuilt, named("quay.io/acme/other:2")), &event.Image{Action: event.ImageTag, Digest: ref(idBuilt).Digest(), Reference: ref("quay.io/acme/other:2")},
		},
		{
			"remove an image", own("image", "remove", `"ID":"`+idBuilt+`","Name":"quay.io/acme/other:2",`) + bare,
			compatible("image", "delete", idBuilt, named("quay.io/acme/other:2")), &event.Image{Action: event.ImageDelete, Digest: ref(idBuilt).Digest(), Reference: ref("quay.io/acme/other:2")},
		},
		{"a load tells a file", own("image", "loadfromarchive", `"Name":"/tmp/shop.tar",`) + bare, compatible("image", "loadfromarchive", "", named("/tmp/shop.tar")), nil},
		{"what it does besides", own("container", "cleanup", web) + labels, compatible("container", "cleanup", idWeb, attrs), nil},
	}
}

func TestPodmanEvents(t *testing.T) {
	for _, c := range podmanCases() {
		t.Run(c.name, func(t *testing.T) {
			at := atNano
			if c.body == nil {
				at = event.Time{}
			}
			checkOne(t, Podman(), oneCase{text: c.own, at: at, body: c.body})
			checkOne(t, Events(), oneCase{text: c.compatible, at: at, body: c.body})
		})
	}
}

func TestPodmanFaults(t *testing.T) {
	for _, c := range []oneCase{
		{name: "no type", text: `{"Status":"start","Time":"2026-05-04T10:09:10Z"}`, fault: "neither Type"},
		{name: "no status", text: `{"Type":"container","Time":"2026-05-04T10:09:10Z"}`, fault: "no action"},
		{name: "no time", text: `{"Type":"container","Status":"start","Time":"now"}`, fault: "no time"},
		{name: "no id", text: `{"Type":"container","Status":"start","Time":"2026-05-04T10:09:10Z"}`, fault: "no id"},
		{name: "a key twice", text: `{"Type":"container","Status":"start","ID":"a","ID":"b","Time":"2026-05-04T10:09:10Z"}`, fault: "twice"},
		{name: "no object", text: `1`, fault: "object"},
	} {
		t.Run(c.name, func(t *testing.T) { checkOne(t, Podman(), c) })
	}
}

func FuzzPodman(f *testing.F) {
	var seeds []oneCase
	for _, c := range podmanCases() {
		seeds = append(seeds, oneCase{text: c.own})
	}
	fuzzFormat(f, Podman(), seeds, false)
}

func benchPodman(n int64) string {
	id := fmt.Sprintf("%064x", n)
	line := func(status string) string {
		return fmt.Sprintf(`{"ID":%q,"Image":"registry.acme.example/team/shop:3","Name":"shop-%d","Status":%q,"Time":%q,"Type":"container","Attributes":{"com.acme.tier":"front"}}`+"\n",
			id, n, status, event.Unix(nano+n*1e9).Format("2006-01-02T15:04:05.999999999Z07:00"))
	}
	return line("create") + line("init") + line("start") + line("died") + line("cleanup") + line("remove")
}
