package registry

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

const (
	dgst  = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	index = "application/vnd.oci.image.index.v1+json"
	layer = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// pushed is one notification of a pushed index, without envelope.
const pushed = `{"id":"n-1","timestamp":"2026-11-21T22:26:40.100200300Z","action":"push","target":{"mediaType":"` + index + `","size":9,"digest":"` + dgst +
	`","repository":"team/app","url":"https://registry.corp.example/v2/team/app/manifests/` + dgst + `","tag":"1.2"},"request":{"id":"r-1","addr":"192.0.2.7:57591","host":"registry.corp.example","method":"PUT","useragent":"docker/27"},"actor":{"name":"ci"},"source":{"addr":"registry-0:5000","instanceID":"i"}}`

func enveloped(events ...string) string {
	return `{"events":[` + strings.Join(events, ",") + `]}` + "\n"
}

var at = event.Time{At: 1795300000_100200300, Res: 1}

// saw is what pushed gives.
func saw(change func(*event.RegistryAction)) *event.RegistryAction {
	d, err := image.ParseDigest(dgst)
	if err != nil {
		panic(err)
	}
	b := &event.RegistryAction{
		Action: "push", Reference: image.Parse("registry.corp.example/team/app:1.2"), Digest: d, MediaType: index, Registry: "registry.corp.example",
		By: event.Principal{Name: "ci", Clients: []netip.Addr{netip.MustParseAddr("192.0.2.7")}, Agent: "docker/27"},
	}
	if change != nil {
		change(b)
	}
	return b
}

func named(reference string) *event.RegistryAction {
	return saw(func(b *event.RegistryAction) { b.Reference = image.Parse(reference) })
}

type variation struct {
	name, text string
	want       sourcetest.Want
}

func distribution() []variation {
	swap := func(pairs ...string) string { return enveloped(strings.NewReplacer(pairs...).Replace(pushed)) }
	body := func(b *event.RegistryAction) sourcetest.Want { return sourcetest.Want{At: at, Body: b} }
	none := sourcetest.Want{}
	return []variation{
		{"a pushed index", enveloped(pushed), body(saw(nil))},
		{"indented", strings.NewReplacer(`{`, "{\n  ", `,"`, ",\n  \"").Replace(enveloped(pushed)), body(saw(nil))},
		{"without envelope", pushed + "\n", body(saw(nil))},
		{"a pull", swap(`"push"`, `"pull"`), body(saw(func(b *event.RegistryAction) { b.Action = "pull" }))},
		{"a manifest of Docker's", swap(index, "application/vnd.docker.distribution.manifest.list.v2+json"),
			body(saw(func(b *event.RegistryAction) {
				b.MediaType = "application/vnd.docker.distribution.manifest.list.v2+json"
			}))},
		{"no tag: named by its digest", swap(`,"tag":"1.2"`, ""), body(named("registry.corp.example/team/app@" + dgst))},
		{"no type, but the address of a manifest", swap(`"mediaType":"`+index+`",`, ""), body(saw(func(b *event.RegistryAction) { b.MediaType = "" }))},
		{"neither, but a tag", swap(`"mediaType":"`+index+`",`, "", `"url"`, `"link"`), body(saw(func(b *event.RegistryAction) { b.MediaType = "" }))},
		{"no type, and the address of a layer", swap(`"mediaType":"`+index+`",`, "", "/manifests/", "/blobs/"), none},
		{"a layer", swap(index, layer), none},
		{"a mounted layer", swap(index, "application/octet-stream", `"push"`, `"mount"`), none},
		{"a deletion tells a digest only", enveloped(`{"id":"n-2","timestamp":"2026-11-21T22:26:40.100200300Z","action":"delete","target":{"digest":"` + dgst + `","repository":"team/app"},"request":{"host":"registry.corp.example"}}`),
			body(&event.RegistryAction{Action: "delete", Reference: image.Parse("registry.corp.example/team/app@" + dgst), Digest: saw(nil).Digest, Registry: "registry.corp.example"})},
		{"a deleted tag", enveloped(`{"id":"n-2","timestamp":"2026-11-21T22:26:40.100200300Z","action":"delete","target":{"tag":"1.2","repository":"team/app"},"request":{"host":"registry.corp.example"}}`),
			body(&event.RegistryAction{Action: "delete", Reference: image.Parse("registry.corp.example/team/app:1.2"), Registry: "registry.corp.example"})},
		{"another action", swap(`"push"`, `"rename"`), none},
		{"no events", `{"events":[]}`, none},
		{"a registry with a port", swap(`"host":"registry.corp.example"`, `"host":"192.0.2.1:5000"`), body(saw(func(b *event.RegistryAction) {
			b.Registry, b.Reference = "192.0.2.1:5000", image.Parse("192.0.2.1:5000/team/app:1.2")
		}))},
		{"a registry whose name alone would mean Docker Hub", swap(`"host":"registry.corp.example"`, `"host":"registry"`), body(saw(func(b *event.RegistryAction) {
			b.Registry, b.Reference = "registry", image.Parse("registry:443/team/app:1.2")
		}))},
		{"the same in clear text", swap(`"host":"registry.corp.example"`, `"host":"registry"`, "https://", "http://"), body(saw(func(b *event.RegistryAction) {
			b.Registry, b.Reference = "registry", image.Parse("registry:80/team/app:1.2")
		}))},
		{"localhost", swap(`"host":"registry.corp.example"`, `"host":"localhost"`), body(saw(func(b *event.RegistryAction) {
			b.Registry, b.Reference = "localhost", image.Parse("localhost/team/app:1.2")
		}))},
		{"the registry told by the address", swap(`"host":"registry.corp.example",`, ""), body(saw(nil))},
		{"the registry told by its process", swap(`"host":"registry.corp.example",`, "", `"url"`, `"link"`), body(saw(func(b *event.RegistryAction) {
			b.Registry, b.Reference = "registry-0:5000", image.Parse("registry-0:5000/team/app:1.2")
		}))},
		{"a client without port, over IPv6", swap("192.0.2.7:57591", "2001:db8::7"), body(saw(func(b *event.RegistryAction) { b.By.Clients = []netip.Addr{netip.MustParseAddr("2001:db8::7")} }))},
		{"a client by name", swap("192.0.2.7:57591", "client.local"), body(saw(func(b *event.RegistryAction) { b.By.Clients = nil }))},
		{"nobody named", swap(`{"name":"ci"}`, `{}`), body(saw(func(b *event.RegistryAction) { b.By.Name = "" }))},
		{"a name that is no reference is kept", swap("team/app\"", "Team/App\""), body(named("registry.corp.example/Team/App:1.2"))},
		{"a long agent", swap("docker/27", strings.Repeat("x", 5000)), body(saw(func(b *event.RegistryAction) { b.By.Agent = strings.Repeat("x", maxAgent) + "…" }))},

		{"no time", swap(`"timestamp"`, `"when"`), sourcetest.Want{Fault: "no time (timestamp)"}},
		{"a time without offset", swap("300Z", "300"), sourcetest.Want{Fault: "RFC 3339"}},
		{"the zero time", swap("2026-11-21T22:26:40.100200300Z", "0001-01-01T00:00:00Z"), sourcetest.Want{Fault: "timestamp"}},
		{"the beginning of all time", swap("2026-11-21T22:26:40.100200300Z", "1970-01-01T00:00:00Z"), sourcetest.Want{Fault: "no time"}},
		{"a bad digest", swap(dgst, "sha256:22"), sourcetest.Want{Fault: "not a digest"}},
		{"no repository", swap(`"repository"`, `"repo"`), sourcetest.Want{Fault: "no repository"}},
		{"no action", swap(`"push"`, `7`), sourcetest.Want{Fault: "no action"}},
		{"no registry", swap(`"host":"registry.corp.example",`, "", `"url"`, `"link"`, `"addr":"registry-0:5000"`, `"a":1`), sourcetest.Want{Fault: "no registry"}},
		{"no way to tell what it is", swap(`"mediaType":"`+index+`",`, "", `"url"`, `"link"`, `,"tag":"1.2"`, ""), sourcetest.Want{Fault: "whether this is a manifest"}},
		{"a key twice", swap(`"tag"`, `"tag":"evil","tag"`), sourcetest.Want{Fault: "stands twice"}},
		{"events twice", `{"events":[` + pushed + `],"events":[]}`, sourcetest.Want{Fault: "stands twice"}},
		{"something else among the events", enveloped(`7`), sourcetest.Want{Fault: "not a notification"}},
		{"another object", `{"kind":"Event"}`, sourcetest.Want{Fault: "not a registry's message"}},
		{"no JSON", `hello`, sourcetest.Want{Fault: "not one JSON value"}},
		{"cut off", enveloped(pushed)[:200], sourcetest.Want{Fault: "not one JSON value"}},
	}
}

const harborPush = `{"type":"PUSH_ARTIFACT","occur_at":1795300000,"operator":"robot$ci","event_data":{"resources":[{"digest":"` + dgst +
	`","tag":"1.2","resource_url":"harbor.corp.example/team/app:1.2"}],"repository":{"name":"app","namespace":"team","repo_full_name":"team/app","repo_type":"private"}}}`

const cloudPush = `{"specversion":"1.0","id":"c-1","type":"harbor.artifact.pushed","source":"/projects/1/webhook/policies/1","time":"2026-11-21T22:26:40Z","operator":"robot$ci","data":{"resources":[{"digest":"` + dgst +
	`","tag":"1.2","resource_url":"harbor.corp.example/team/app:1.2"}],"repository":{"name":"app"}}}`

const ecrPush = `{"version":"0","id":"e-1","detail-type":"ECR Image Action","source":"aws.ecr","account":"123456789012","time":"2026-11-21T22:26:40Z","region":"us-west-2","resources":[],"detail":{"result":"SUCCESS","repository-name":"team/app","image-digest":"` + dgst + `","action-type":"PUSH","image-tag":"1.2"}}`

func vendors() []variation {
	second := event.Time{At: 1795300000 * event.Second, Res: event.Second}
	inHarbor := &event.RegistryAction{Action: "push", Reference: image.Parse("harbor.corp.example/team/app:1.2"), Digest: saw(nil).Digest,
		Registry: "harbor.corp.example", By: event.Principal{Name: "robot$ci"}}
	inECR := func(host string) *event.RegistryAction {
		return &event.RegistryAction{Action: "push", Reference: image.Parse(host + "/team/app:1.2"), Digest: saw(nil).Digest, Registry: host}
	}
	swap := strings.NewReplacer
	body := func(b *event.RegistryAction) sourcetest.Want { return sourcetest.Want{At: second, Body: b} }
	none := sourcetest.Want{}
	return []variation{
		{"harbor", harborPush, body(inHarbor)},
		{"harbor before version 2", swap("PUSH_ARTIFACT", "pushImage").Replace(harborPush), body(inHarbor)},
		{"harbor as CloudEvents", cloudPush, body(inHarbor)},
		{"harbor's other messages", swap("PUSH_ARTIFACT", "SCANNING_COMPLETED").Replace(harborPush), none},
		{"harbor, nothing meant", swap(`"resources"`, `"nothing"`).Replace(harborPush), none},
		{"harbor, no time", swap(`1795300000`, `0`).Replace(harborPush), sourcetest.Want{Fault: "occur_at: no time"}},
		{"harbor, a time in another unit", swap(`1795300000`, `1795300000123`).Replace(harborPush), sourcetest.Want{Fault: "occur_at"}},
		{"harbor as CloudEvents, no time", swap(`"time"`, `"when"`).Replace(cloudPush), sourcetest.Want{Fault: "no time (time)"}},
		{"harbor, no name", swap(`"resource_url"`, `"url"`).Replace(harborPush), sourcetest.Want{Fault: "no resource_url"}},
		{"harbor, a key twice", swap(`"resources"`, `"resources":[],"resources"`).Replace(harborPush), sourcetest.Want{Fault: "stands twice"}},

		{"ecr", ecrPush, body(inECR("123456789012.dkr.ecr.us-west-2.amazonaws.com"))},
		{"ecr in China, without an id", swap("us-west-2", "cn-north-1", `"id"`, `"no"`).Replace(ecrPush), body(inECR("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"))},
		{"ecr, a failure", swap("SUCCESS", "FAILURE").Replace(ecrPush), none},
		{"ecr, a scan", swap("ECR Image Action", "ECR Image Scan").Replace(ecrPush), none},
		{"ecr, another action", swap("PUSH", "REPLICATE").Replace(ecrPush), none},
		{"ecr, no action", swap("PUSH", "").Replace(ecrPush), sourcetest.Want{Fault: "no action"}},
		{"ecr, no account", swap(`"account"`, `"acc"`).Replace(ecrPush), sourcetest.Want{Fault: "no registry"}},
		{"ecr, no time", swap(`"time"`, `"when"`).Replace(ecrPush), sourcetest.Want{Fault: "no time (time)"}},
	}
}

func TestNotifications(t *testing.T) {
	for _, v := range append(distribution(), vendors()...) {
		t.Run(v.name, func(t *testing.T) { sourcetest.Check(t, Notifications(), v.text, v.want) })
	}
}

// TestEnvelopeOfMany: each notification is a record of its own, is cited by its
// own bytes, and one that is unreadable costs only itself.
func TestEnvelopeOfMany(t *testing.T) {
	second := strings.NewReplacer("n-1", "n-2", "1.2", "1.3").Replace(pushed)
	bad := strings.Replace(pushed, `"tag"`, `"tag":"a\"]}","tag"`, 1)
	text := "\n" + `{"note":"a ] \" { in text","number":-1.5e3,"deep":{"events":[1]},"events" : [ ` + pushed + " ,\n " + strings.Replace(pushed, index, layer, 1) + ",\n " + bad + ",7,\n\n " + second + "]}\n" + enveloped(pushed)
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	in, events := sourcetest.ReadFile(t, path, Notifications())
	tally := in.Tallies()[0]
	if tally.Records != 6 || len(events) != 3 || tally.Skipped != 1 || tally.Unreadable != 2 {
		t.Fatalf("%d records, %d events, %d skipped, %v", tally.Records, len(events), tally.Skipped, tally.Faults)
	}
	if tally.Faults[0].Line != 4 || tally.Faults[1].Line != 4 {
		t.Errorf("faults at %v, want line 4", tally.Faults)
	}
	raw := source.NewRawReader(nil)
	defer raw.Close()
	for i, want := range []struct {
		line int
		text string
	}{{2, pushed}, {6, second}, {7, strings.TrimSpace(enveloped(pushed))}} {
		got, err := raw.Read(events[i].Origin)
		if err != nil || got != want.text || events[i].Origin.Line() != want.line {
			t.Errorf("event %d cites line %d, %q (%v)", i, events[i].Origin.Line(), got, err)
		}
	}
	if events[0].ID != events[2].ID || events[0].ID == events[1].ID {
		t.Error("ids do not tell notifications apart")
	}
}

func TestHarborWithManyResources(t *testing.T) {
	text := strings.Replace(harborPush, `"resources":[`, `"resources":[{"digest":"`+dgst+`","tag":"1.1","resource_url":"harbor.corp.example/team/app:1.1"},`, 1)
	events, tally := sourcetest.Decode(t, Notifications(), text)
	if len(events) != 2 || tally.Records != 2 || events[0].ID == events[1].ID || events[0].Origin.Spans[0] == events[1].Origin.Spans[0] {
		t.Errorf("%d events of %d records", len(events), tally.Records)
	}
}

// TestEscapedKey: what cannot be cut is refused as a whole.
func TestEscapedKey(t *testing.T) {
	text := strings.Replace(enveloped(pushed, pushed), `"events"`, `"\u0065vents"`, 1)
	sourcetest.Check(t, Notifications(), text, sourcetest.Want{Fault: "written with escapes"})
	deep := strings.Replace(strings.Replace(harborPush, `"event_data"`, `"event_dat\u0061"`, 1), `"resources":[`, `"resources":[{},`, 1)
	sourcetest.Check(t, Notifications(), deep, sourcetest.Want{Fault: "written with escapes"})
}

func TestPlaceOfECR(t *testing.T) {
	events, _ := sourcetest.Decode(t, Notifications(), ecrPush)
	if want := (event.Place{Account: "123456789012", Region: "us-west-2"}); len(events) != 1 || events[0].Place != want {
		t.Errorf("%+v", events)
	}
}

// TestKeyWithoutID: a notification without an id is told by what it says.
func TestKeyWithoutID(t *testing.T) {
	one := strings.Replace(pushed, `"id":"n-1",`, "", 1)
	events, _ := sourcetest.Decode(t, Notifications(), enveloped(one, one, strings.Replace(one, "1.2", "1.3", 1)))
	if len(events) != 3 || events[0].ID != events[1].ID || events[0].ID == events[2].ID {
		t.Error("ids do not tell notifications apart")
	}
}

func TestSniff(t *testing.T) {
	for text, want := range map[string]int{
		enveloped(pushed): 95, pushed: 95, harborPush: 95, cloudPush: 95, ecrPush: 95, "[" + pushed + "," + pushed + "]": 95,
		`{"events":[]}`: 0, `{"events":[{"kind":"Event"}]}`: 0, `{"source":"aws.ecr"}`: 0, `{"action":"push"}`: 0, `{"target":{},"action":"x"}`: 0,
		"text": 0, "": 0, pushed[:50]: 0, `{"events":[{"a"]}`: 0, `{"Type":"image","Action":"pull","Actor":{"ID":"x"}}`: 0,
	} {
		if got := sourcetest.Sniff(Notifications(), text); got != want {
			t.Errorf("%.60s: sure by %d, want %d", text, got, want)
		}
	}
}

func FuzzNotifications(f *testing.F) {
	for _, v := range append(distribution(), vendors()...) {
		f.Add([]byte(v.text))
	}
	f.Add([]byte(enveloped(pushed, "7", pushed)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if sure := sourcetest.Sniff(Notifications(), string(data)); sure < 0 || sure > 100 {
			t.Fatalf("sure by %d of 100", sure)
		}
		events, tally := sourcetest.Feed(Notifications(), [][]byte{data})
		sourcetest.CheckAccount(t, events, tally)
		for _, e := range events {
			b, ok := e.Body.(*event.RegistryAction)
			if !ok || b.Action == "" || b.Registry == "" || b.Reference.IsZero() || e.Time.At <= 0 || e.Time.Res < 1 {
				t.Fatalf("event %+v of %+v", e, b)
			}
		}
	})
}

func BenchmarkNotifications(b *testing.B) {
	sourcetest.Bench(b, Notifications(), sourcetest.Fill("", func(i int64) string {
		return enveloped(strings.NewReplacer("n-1", fmt.Sprint("n-", i), "1.2", fmt.Sprint("1.", i%1000)).Replace(pushed))
	}))
}

// TestShared reads every sample and wants each record read.
func TestShared(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(sourcetest.Shared(t, "scenarios"), "*", "registry-events.log"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, path := range files {
		in, events := sourcetest.ReadFile(t, path, Notifications())
		tally := in.Tallies()[0]
		t.Logf("%4d records %4d events %4d skipped %4d unreadable %s", tally.Records, tally.Events, tally.Skipped, tally.Unreadable, path)
		for _, f := range tally.Faults {
			t.Errorf("%v", f)
		}
		if strings.Contains(path, "A25") {
			sourcetest.Require(t, events, func(b *event.RegistryAction) bool {
				return b.Action == "push" && b.Reference.String() == "registry.corp.example/base/node:20" && b.Digest.Short() == "6a084a6af9a1" &&
					b.By.Name == "alice-laptop" && len(b.By.Clients) == 1 && b.By.Clients[0].String() == "10.1.60.4" && strings.HasPrefix(b.By.Agent, "docker/27.3.1")
			})
		}
	}
}
