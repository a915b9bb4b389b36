package kubernetes

import (
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

const onWeb = `{"kind":"Pod","namespace":"prod","name":"web-1","uid":"p-1","fieldPath":"spec.containers{app}"}`

// anEvent is a core/v1 Event of the kubelet.
func anEvent(reason, message string) string {
	return `{"kind":"Event","apiVersion":"v1","metadata":{"name":"web-1.1","namespace":"prod","uid":"e-1","resourceVersion":"7","creationTimestamp":"2026-11-03T10:00:00Z"},` +
		`"involvedObject":` + onWeb + `,"reason":"` + reason + `","message":` + quoted(message) + `,"source":{"component":"kubelet","host":"node-a"},` +
		`"firstTimestamp":"2026-11-03T10:00:00Z","lastTimestamp":"2026-11-03T10:00:00Z","count":1,"type":"Normal","eventTime":null,"reportingComponent":"kubelet","reportingInstance":"node-b"}`
}

// newEvent is an events.k8s.io/v1 Event.
func newEvent(reason, note, more string) string {
	return `{"kind":"Event","apiVersion":"events.k8s.io/v1","metadata":{"uid":"e-2","creationTimestamp":"2026-11-03T10:00:01Z"},"eventTime":"2026-11-03T10:00:00.250000Z",` +
		`"reportingController":"kubelet","reportingInstance":"node-a","action":"x","reason":"` + reason + `","regarding":` + onWeb + `,"note":` + quoted(note) + more + `,"type":"Normal"}`
}

var aSecond = event.Time{At: 1793700000 * event.Second, Res: event.Second}

func told(reason, message string) *event.KubeEvent {
	return &event.KubeEvent{Object: webPod, Container: "app", ContainerKind: event.MainContainer, Reason: reason, Message: message, Node: "node-a", Count: 1, Last: aSecond}
}

func eventCases() []caseOf {
	started := anEvent("Started", "Started container app")
	again := strings.NewReplacer(`"count":1`, `"count":4`, `"lastTimestamp":"2026-11-03T10:00:00Z"`, `"lastTimestamp":"2026-11-03T10:09:00Z"`).Replace(started)
	toldAgain := told("Started", "Started container app")
	toldAgain.Count, toldAgain.Last = 4, event.Time{At: aSecond.At + 540*event.Second, Res: event.Second}
	late := told("Started", "Started container app")
	late.Last = received
	series := told("Started", "Started container app")
	series.Count, series.Last = 3, event.Time{At: received.At + 60*event.Second, Res: event.Microsecond}
	scheduled := &event.KubeEvent{Object: webPod, Reason: "Scheduled", Message: "Successfully assigned prod/web-1 to node-c", Node: "node-c", Count: 1, Last: received}
	byScheduler := strings.NewReplacer(`,"fieldPath":"spec.containers{app}"`, "", `"reportingController":"kubelet"`, `"reportingController":"default-scheduler"`)
	unknown := *scheduled
	unknown.Reason, unknown.Message, unknown.Node = "FailedScheduling", "0/3 nodes", ""
	beat := told("Pulling", "pulling image \"web\"")
	beat.Image, beat.Container, beat.ContainerKind, beat.Node = ref("web"), "", "", ""
	first := `"firstTimestamp":"2026-11-03T10:00:00Z","lastTimestamp":"2026-11-03T10:00:00Z"`
	return []caseOf{
		{name: "core/v1", text: started, at: aSecond, body: told("Started", "Started container app")},
		{name: "repeated", text: again, at: aSecond, body: toldAgain},
		{name: "only the last time", text: strings.Replace(started, first, `"firstTimestamp":null,"lastTimestamp":"2026-11-03T10:00:00Z"`, 1), at: aSecond, body: told("Started", "Started container app")},
		{name: "only its creation", text: strings.Replace(started, first, `"firstTimestamp":null,"lastTimestamp":null`, 1), at: aSecond, body: told("Started", "Started container app")},
		{name: "no count", text: strings.Replace(started, `"count":1,`, "", 1), at: aSecond, body: told("Started", "Started container app")},
		{name: "a count of zero", text: strings.Replace(started, `"count":1,`, `"count":0,`, 1), at: aSecond, body: told("Started", "Started container app")},
		{name: "events.k8s.io", text: newEvent("Started", "Started container app", ""), at: received, body: late},
		{name: "events.k8s.io, a series", text: newEvent("Started", "Started container app", `,"series":{"count":3,"lastObservedTime":"2026-11-03T10:01:00.250000Z"}`), at: received, body: series},
		{name: "events.k8s.io, from an old client", text: strings.Replace(newEvent("Started", "Started container app", `,"deprecatedSource":{"host":"node-a"},"deprecatedFirstTimestamp":"2026-11-03T10:00:00Z","deprecatedLastTimestamp":"2026-11-03T10:09:00Z","deprecatedCount":4`),
			`"eventTime":"2026-11-03T10:00:00.250000Z"`, `"eventTime":null`, 1), at: aSecond, body: toldAgain},
		{name: "scheduled", text: byScheduler.Replace(newEvent("Scheduled", "Successfully assigned prod/web-1 to node-c", "")), at: received, body: scheduled},
		{name: "not scheduled", text: byScheduler.Replace(newEvent("FailedScheduling", "0/3 nodes", "")), at: received, body: &unknown},
		{name: "in a list", text: `{"kind":"List","apiVersion":"v1","items":[` + started + `]}`, at: aSecond, body: told("Started", "Started container app")},
		{name: "watched", text: `{"type":"MODIFIED","object":` + started + `}`, at: aSecond, body: told("Started", "Started container app")},
		{name: "by an event router", text: `{"verb":"ADDED","event":` + started + `}`, at: aSecond, body: told("Started", "Started container app")},
		{name: "as a message", text: `{"message":` + quoted(started) + `}`, at: aSecond, body: told("Started", "Started container app")},
		{name: "by Metricbeat", text: `{"@timestamp":"2026-11-03T10:00:09Z","kubernetes":{"event":{"count":1,"involved_object":{"kind":"Pod","namespace":"prod","name":"web-1","uid":"p-1"},"message":"pulling image \"web\"","reason":"Pulling","metadata":{"uid":"e-1"},` +
			`"timestamp":{"first_occurrence":"2026-11-03T10:00:00Z","last_occurrence":"2026-11-03T10:00:00Z"}}}}`, at: aSecond, body: beat},
		{name: "ran out", text: `{"type":"DELETED","object":` + started + `}`},
		{name: "a bookmark", text: `{"type":"BOOKMARK","object":{"kind":"Event"}}`},
		{name: "about a node", text: strings.Replace(started, `"kind":"Pod"`, `"kind":"Node"`, 1)},
		{name: "about something", text: `{"items":[{"namespace":"prod","lastTimestamp":"2026-11-03T10:00:00Z","reason":"x","message":"y"}]}`},
		{name: "an empty list", text: `{"items":[]}`},
		{name: "no time", text: strings.NewReplacer(first, `"x":1`, `,"creationTimestamp":"2026-11-03T10:00:00Z"`, "").Replace(started), fault: "no time: want eventTime"},
		{name: "a bad time", text: strings.Replace(started, `"eventTime":null`, `"eventTime":"now"`, 1), fault: "eventTime: "},
		{name: "a bad last time", text: strings.Replace(started, `"lastTimestamp":"2026-11-03T10:00:00Z"`, `"lastTimestamp":[]`, 1), fault: "last time: "},
		{name: "a negative count", text: strings.Replace(started, `"count":1`, `"count":-1`, 1), fault: "count"},
		{name: "a huge count", text: strings.Replace(started, `"count":1`, `"count":4294967296`, 1), fault: "count"},
		{name: "two reasons", text: strings.Replace(started, `"reason"`, `"reason":"x","reason"`, 1), fault: "stands twice"},
		{name: "two lists", text: `{"items":[` + started + `],"items":[]}`, fault: "stands twice"},
		{name: "a list's key escaped", text: `{"\u0069tems":[` + started + `]}`, fault: "with escapes"},
		{name: "a list inside a text", text: `{"message":` + quoted(`{"items":[`+started+`]}`) + `}`, fault: "no Kubernetes Event"},
		{name: "text", text: "hello", fault: "not one JSON value"},
		{name: "a number", text: `{"items":[7]}`, fault: "not a JSON object"},
		{name: "another object", text: `{"kind":"Pod"}`, fault: "no Kubernetes Event"},
		{name: "too many envelopes", text: `{"items":[{"items":[{"items":[{"items":[{"items":[]}]}]}]}]}`, fault: "too many envelopes"},
	}
}

func TestEvents(t *testing.T) {
	for _, c := range eventCases() {
		t.Run(c.name, func(t *testing.T) {
			sourcetest.Check(t, Events(), c.text, sourcetest.Want{At: c.at, Body: c.body, Fault: c.fault})
			if c.body != nil && sourcetest.Sniff(Events(), c.text) < 60 {
				t.Error("not recognised")
			}
		})
	}
}

func TestEventMessages(t *testing.T) {
	for _, c := range []struct {
		reason, message, image string
		present                bool
	}{
		{"Pulling", `Pulling image "reg.example/web:1"`, "reg.example/web:1", false},
		{"Pulling", `pulling image "web"`, "web", false},
		{"Pulled", `Successfully pulled image "web" in 8.7s (8.7s including waiting). Image size: 7 bytes.`, "web", false},
		{"Pulled", `Successfully pulled image "web"`, "web", false},
		{"Pulled", `Container image "web@` + digWeb + `" already present on machine`, "web@" + digWeb, true},
		{"Pulled", `Container image "web" already present on machine and can be accessed by the pod`, "web", true},
		{"Failed", `Failed to pull image "web": rpc error: image "other" already present on machine`, "web", false},
		{"Failed", `Failed to apply default image tag "We B": couldn't parse`, "We B", false},
		{"BackOff", `Back-off pulling image "web"`, "web", false},
		{"ErrImageNeverPull", `Container image "web" is not present with pull policy of Never`, "web", false},
		{"InspectFailed", `Failed to inspect image "web": x`, "web", false},
		{"BackOff", `Back-off restarting failed container app in pod web-1`, "", false},
		{"Failed", `Error: ErrImagePull`, "", false},
		{"Pulling", `Pulling image web`, "", false},
		{"Pulling", `Pulling image "web`, "", false},
		{"Pulling", "Pulling image 'web'", "", false},
		{"Unhealthy", `Readiness probe failed: Container image "web" already present on machine`, "", false},
		{"Started", ``, "", false},
	} {
		events, tally := sourcetest.Decode(t, Events(), anEvent(c.reason, c.message))
		if len(events) != 1 {
			t.Fatalf("%q: %v", c.message, tally.Faults)
		}
		if b := events[0].Body.(*event.KubeEvent); b.Image.Raw() != c.image || b.Present != c.present {
			t.Errorf("%q: image %q, present %v", c.message, b.Image.Raw(), b.Present)
		}
	}
	long := strings.Repeat("é", 2000)
	events, _ := sourcetest.Decode(t, Events(), anEvent("Unhealthy", "x"+long))
	if m := events[0].Body.(*event.KubeEvent).Message; len(m) > maxMessage+2 || !strings.HasSuffix(m, "é\uFFFD") {
		t.Errorf("a message of %d bytes, %q", len(m), m[len(m)-8:])
	}
}

func TestEventContainers(t *testing.T) {
	for path, want := range map[string]struct {
		name string
		kind event.ContainerKind
	}{
		"spec.containers{a-b}":         {"a-b", event.MainContainer},
		"spec.initContainers{i}":       {"i", event.InitContainer},
		"spec.ephemeralContainers{e}":  {"e", event.EphemeralContainer},
		"spec.containers[0]":           {},
		"spec.containers{cut":          {},
		"spec.volumes{v}":              {},
		"spec.ephemeralContainers{e}x": {},
		"":                             {},
	} {
		if name, kind := fieldContainer(path); name != want.name || kind != want.kind {
			t.Errorf("%q: %q, %q", path, name, kind)
		}
	}
}

// TestEventDeliveries checks that the same Event is one, however it came, and
// that each repetition that was recorded is another.
func TestEventDeliveries(t *testing.T) {
	once := anEvent("BackOff", "Back-off")
	twice := strings.Replace(once, `"count":1`, `"count":2`, 1)
	touched := strings.Replace(once, `"resourceVersion":"7"`, `"resourceVersion":"8"`, 1)
	nameless := strings.Replace(once, `"uid":"e-1",`, "", 1)
	events, _ := sourcetest.Decode(t, Events(), strings.Join([]string{once, `{"type":"ADDED","object":` + once + `}`, touched, twice, nameless, nameless}, "\n"))
	if len(events) != 6 {
		t.Fatal(len(events))
	}
	for i, same := range []bool{true, true, true, false, false} {
		if (events[i].ID == events[0].ID) != same {
			t.Errorf("event %d", i)
		}
	}
	if events[3].ID == events[4].ID || events[4].ID != events[5].ID {
		t.Error("without a uid the whole record tells them apart")
	}
	place := `"resource":{"labels":{"cluster_name":"blue","location":"europe-west1","project_id":"proj-1"}}`
	events, _ = sourcetest.Decode(t, Events(), `{"jsonPayload":`+once+`,`+place+`}`)
	if want := (event.Place{Account: "proj-1", Region: "europe-west1", Cluster: "blue"}); len(events) != 1 || events[0].Place != want {
		t.Errorf("%+v", events)
	}
}

func TestSniffEventsRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty":           "",
		"audit":           audited("create", podURI, onPod, sent(`{"reason":"x","involvedObject":{}}`)),
		"a list of pods":  `{"items":[{"kind":"Pod","status":{"reason":"Evicted"}}]}`,
		"another message": `{"message":"the reason"}`,
		"another watch":   `{"type":"ADDED","object":{"kind":"Pod","reason":"x"}}`,
	} {
		if n := sourcetest.Sniff(Events(), text); n != 0 {
			t.Errorf("%s: sniffed as %d", name, n)
		}
	}
}
