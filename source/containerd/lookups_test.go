package containerd

import (
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/sourcetest"
)

const (
	lookedUpImage     = `{"containerd_image":{"namespace":"default","name":"acme.example/shop:3","digest":"DIGEST","media_type":"m","labels":{"io.cri-containerd.image":"managed"},"event":{"topic":"/images/update","time":"2026-05-04T08:09:10.123456789Z"}}}`
	lookedUpContainer = `{"containerd_container":{"namespace":"default","id":"web","image":"acme.example/shop:3","image_digest":"DIGEST","labels":{"a":"b"},"runtime":"r","created_at":"2026-05-04T08:09:10.000000000Z","pid":4711,"started_at":"2026-05-04T08:09:10.25Z"}}`
)

func withDigest(text string) string { return strings.ReplaceAll(text, "DIGEST", idImage) }

func TestLookupOfAnImage(t *testing.T) {
	events, tally := sourcetest.Decode(t, Lookups(), withDigest(lookedUpImage))
	if len(events) != 2 || tally.Events != 1 || tally.Beside != 1 || events[0].ID == events[1].ID {
		t.Fatalf("%d events: %+v", len(events), tally)
	}
	described := &event.ImageDescription{
		ID: sourcetest.Digest(idImage), RepoTags: []image.Reference{ref("acme.example/shop:3")},
		RepoDigests: []image.Reference{ref("acme.example/shop@" + idImage)},
	}
	sourcetest.CheckEvent(t, events[0], event.Time{}, described)
	at, err := event.ParseRFC3339("2026-05-04T08:09:10.123456789Z")
	if err != nil {
		t.Fatal(err)
	}
	sourcetest.CheckEvent(t, events[1], at, &event.Image{
		Action: event.ImageUpdate, Reference: ref("acme.example/shop:3"), Digest: sourcetest.Digest(idImage), Namespace: "default", CRI: true,
	})

	listed, _, _ := strings.Cut(withDigest(lookedUpImage), `,"event"`)
	sourcetest.Check(t, Lookups(), listed+"}}", sourcetest.Want{Body: described})
	byDigest := strings.Replace(listed+"}}", "shop:3", "shop@"+idImage, 1)
	sourcetest.Check(t, Lookups(), byDigest, sourcetest.Want{Body: &event.ImageDescription{
		ID: sourcetest.Digest(idImage), RepoDigests: []image.Reference{ref("acme.example/shop@" + idImage)},
	}})
	sourcetest.Check(t, Lookups(), strings.Replace(listed+"}}", "acme.example/shop:3", idImage, 1), sourcetest.Want{})
}

func TestLookupOfAContainer(t *testing.T) {
	created, err := event.ParseRFC3339("2026-05-04T08:09:10.000000000Z")
	if err != nil {
		t.Fatal(err)
	}
	sourcetest.Check(t, Lookups(), withDigest(lookedUpContainer), sourcetest.Want{Body: &event.ContainerDescription{
		ID: "web", Image: ref("acme.example/shop:3"), ImageID: sourcetest.Digest(idImage), Labels: map[string]string{"a": "b"},
		CreatedAt: created, PID: 4711, StartedAt: event.Time{At: created.At + 250_000_000, Res: 10_000_000},
	}})
	sourcetest.Check(t, Lookups(), `{"containerd_container":{"id":"`+idApp+`"}}`, sourcetest.Want{Body: &event.ContainerDescription{ID: idApp}})
}

func TestLookupsUnreadable(t *testing.T) {
	for name, c := range map[string]struct{ text, fault string }{
		"something else":       {`{"a":1}`, "neither"},
		"cut off":              {lookedUpImage[:40], "not one JSON value"},
		"no name":              {`{"containerd_image":{"digest":"DIGEST"}}`, "no image name"},
		"no digest":            {`{"containerd_image":{"name":"a"}}`, "no digest"},
		"another event":        {strings.Replace(lookedUpImage, "/images/update", "/images/delete", 1), "none of the image store's"},
		"event without time":   {strings.Replace(lookedUpImage, "2026-", "", 1), "time of the event"},
		"a digest twice":       {strings.Replace(lookedUpImage, `"media_type":"m"`, `"digest":"DIGEST"`, 1), "stands twice"},
		"no id":                {`{"containerd_container":{}}`, "no container id"},
		"wrong digest":         {`{"containerd_container":{"id":"a","image_digest":"x"}}`, "digest of the image"},
		"created at no time":   {`{"containerd_container":{"id":"a","created_at":"x"}}`, "time of creation"},
		"started at no time":   {`{"containerd_container":{"id":"a","started_at":"x"}}`, "time of start"},
		"process of no number": {`{"containerd_container":{"id":"a","pid":-1}}`, "pid"},
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Check(t, Lookups(), withDigest(c.text), sourcetest.Want{Fault: c.fault})
		})
	}
}

func TestLookupsSniff(t *testing.T) {
	for text, known := range map[string]bool{lookedUpImage: true, lookedUpContainer: true, `{"namespace":"a"}`: false, clock + "k8s.io /tasks/start {}": false} {
		if got := sourcetest.Sniff(Lookups(), text); (got > 0) != known {
			t.Errorf("%s: %d", text, got)
		}
		if known && sourcetest.Sniff(Events(), text) > 0 {
			t.Errorf("%s is taken for events", text)
		}
	}
}

func FuzzLookups(f *testing.F) {
	f.Add([]byte(withDigest(lookedUpImage)))
	f.Add([]byte(withDigest(lookedUpContainer)))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, tally := sourcetest.Feed(Lookups(), [][]byte{data})
		sourcetest.CheckAccount(t, events, tally)
		for _, e := range events {
			if _, timed := e.Body.(*event.Image); e.Body == nil || e.Time.IsZero() == timed || e.ID == [16]byte{} {
				t.Fatalf("event %+v", e)
			}
		}
		sourcetest.Sniff(Lookups(), string(data))
	})
}
