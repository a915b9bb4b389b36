package docker

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

const (
	authzTime  = `"timestamp":"2026-11-06T12:00:00.5Z"`
	createText = `{"Image":"acme/shop:3","Cmd":["sh"],"Env":["KEY=hush"],"HostConfig":{"Privileged":true}}`
)

var authzAt = event.Time{At: 1793966400_500_000_000, Res: 100_000_000}

func authzCases() []oneCase {
	call := func(user string, status int) *event.APIRequest {
		return &event.APIRequest{Method: "POST", Path: "/build", Version: "1.41", Query: url.Values{"t": {"shop:3"}, "buildargs": {redacted}}, User: user, Agent: "Docker-Client/20", Status: status}
	}
	created := func(user string) *event.APIRequest {
		q, _ := url.ParseQuery("name=web")
		return &event.APIRequest{Method: "POST", Path: pathCreate, Version: "1.41", Query: q, User: user, Create: &event.ContainerDescription{
			Name: "web", Image: ref("acme/shop:3"), Command: []string{"sh"}, Risk: event.Risk{Privileged: true}}}
	}
	const build = "/v1.41/build?t=shop%3A3&buildargs=%7B%22KEY%22%3A%22hush%22%7D"
	payload := func(uri, rest string) string {
		return `{"User":"ann","UserAuthNMethod":"TLS","RequestMethod":"POST","RequestUri":"` + uri + `",` + authzTime + rest + `}`
	}
	agent := `,"RequestHeaders":{"User-Agent":"Docker-Client/20"}`
	encoded := base64.StdEncoding.EncodeToString([]byte(createText))
	opa := func(result string) string {
		return `{"decision_id":"1","input":{"AuthMethod":"TLS","BindMounts":[],"Body":null,"Headers":{"User-Agent":"Docker-Client/20"},"Method":"POST","Path":"` + build +
			`","PathArr":["","v1.41","build"],"PathPlain":"/v1.41/build","User":"ann"},"result":` + result + `,` + authzTime + `}`
	}
	return []oneCase{
		{name: "a request", text: payload(build, agent), at: authzAt, body: call("ann", 0)},
		{name: "its answer alone", text: payload(build, agent+`,"ResponseStatusCode":200`), at: authzAt, body: call("ann", 200)},
		{name: "both", text: payload(build, agent) + "\n" + strings.Replace(payload(build, agent+`,"ResponseStatusCode":500`), "00.5Z", "01.5Z", 1), at: authzAt, body: call("ann", 500)},
		{name: "a creation, its body in base64", text: payload("/v1.41/containers/create?name=web", `,"RequestBody":"`+encoded+`"`), at: authzAt, body: created("ann")},
		{name: "a creation, its body as text", text: payload("/v1.41/containers/create?name=web", `,"RequestBody":`+fmt.Sprintf("%q", createText)), at: authzAt, body: created("ann")},
		{name: "a creation, its body as an object", text: payload("/v1.41/containers/create?name=web", `,"RequestBody":`+createText), at: authzAt, body: created("ann")},
		{name: "OPA allows", text: opa("true"), at: authzAt, body: call("ann", 0)},
		{name: "OPA refuses", text: opa("false"), at: authzAt, body: call("ann", 403)},
		{name: "a plain line", text: `{"t":1793966400.5,"authn":"","user":"","method":"post","uri":"` + build + `","req_headers":{"User-Agent":"Docker-Client/20"},"kind":"req"}`, at: authzAt, body: call("", 0)},
		{name: "a question", text: strings.Replace(payload("/v1.41/info", ""), "POST", "GET", 1)},
		{name: "a call that changes nothing", text: payload("/v1.41/containers/"+idWeb+"/wait", "")},
		{name: "no time", text: strings.Replace(payload(build, ""), "timestamp", "when", 1), fault: "the plugin must add one"},
		{name: "no address", text: payload("", ""), fault: "no call"},
		{name: "no path", text: payload("build", ""), fault: "not a path"},
		{name: "a body that is no base64", text: payload("/v1.41/containers/create", `,"RequestBody":"!"`), fault: "the request's body"},
		{name: "a body that is no JSON", text: payload("/v1.41/containers/create", `,"RequestBody":"e30="`)[:40], fault: "JSON"},
		{name: "a key that stands twice", text: payload(build, `,"RequestUri":"/v1.41/images/prune"`), fault: "twice"},
	}
}

func TestAuthorization(t *testing.T) {
	for _, c := range authzCases() {
		t.Run(c.name, func(t *testing.T) { checkOne(t, Authorization(), c) })
	}
}

// Calls of which no answer is told are told without one: by the log's own time,
// by how many wait, and at the end.
func TestCallsWithoutAnAnswer(t *testing.T) {
	line := func(n int, at string) string {
		return fmt.Sprintf(`{"RequestMethod":"POST","RequestUri":"/v1.41/build?t=web%%3A%d","timestamp":"2026-11-06T%sZ"}`+"\n", n, at)
	}
	var text strings.Builder
	for i := range 3 * waitAnswers {
		text.WriteString(line(i, "12:00:00"))
	}
	late := strings.Replace(line(3*waitAnswers-1, "12:00:11"), `"RequestMethod"`, `"ResponseStatusCode":500,"RequestMethod"`, 1)
	events, tally := sourcetest.Decode(t, Authorization(), text.String()+late)
	if len(events) != 3*waitAnswers+1 || tally.Unreadable != 0 {
		t.Fatalf("%d events, %v", len(events), tally.Faults)
	}
	for i, e := range events[:3*waitAnswers] {
		if b, ok := e.Body.(*event.APIRequest); !ok || b.Status != 0 || b.Query.Get("t") != fmt.Sprint("web:", i) {
			t.Fatalf("event %d is %+v", i, e.Body)
		}
	}
}

func FuzzAuthorization(f *testing.F) { fuzzFormat(f, Authorization(), authzCases(), false) }

// TestSharedAuthorization reads what a plugin recorded outside the repository.
func TestSharedAuthorization(t *testing.T) {
	files := sourcetest.SharedFiles(t, "captures/t2", func(p string) bool {
		return strings.HasPrefix(filepath.Base(p), "authz") && strings.HasSuffix(p, ".jsonl")
	})
	users := map[string]int{}
	for _, path := range files {
		for _, e := range sourcetest.ReadShared(t, path, Authorization()) {
			if b, ok := e.Body.(*event.APIRequest); ok {
				users[b.User+" "+b.Path]++
			}
		}
	}
	t.Log(users)
	if len(files) > 0 && users["lab-client /build"] != 1 {
		t.Errorf("calls %v", users)
	}
}
