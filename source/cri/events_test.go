package cri

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// container is what an event tells of the app's container.
var container = `{"id":"` + idApp + `","metadata":{"name":"web","attempt":1},"state":"CONTAINER_RUNNING","createdAt":"1777882149000000000","startedAt":"1777882150000000001",` +
	`"finishedAt":"0","exitCode":0,"image":{"image":"` + shop + `:3"},"imageRef":"` + shop + "@" + idManifest + `","labels":{"app":"shop"}}`

// criEvent is an event of the shop's pod.
func criEvent(id, kind, containers string) string {
	return `{"containerId":"` + id + `","containerEventType":"` + kind + `","createdAt":"1777882150123456789","podSandboxStatus":{"id":"` + idSandbox + `",` +
		`"metadata":{"name":"shop-7f9-x1","uid":"0b1c-2","namespace":"prod","attempt":0},"state":"SANDBOX_READY","network":{"ip":"10.42.0.9","additionalIps":[{"ip":"fd00::9"}]},` +
		`"labels":{}},"containersStatuses":[` + containers + `]}`
}

func TestEvents(t *testing.T) {
	pod := event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "shop-7f9-x1", UID: "0b1c-2"}
	addrs := []netip.Addr{netip.MustParseAddr("10.42.0.9"), netip.MustParseAddr("fd00::9")}
	made := func(a event.ContainerAction, exit int) event.Body {
		return &event.Container{Action: a, ID: idApp, Name: "web", Image: ref(shop + ":3"), Sandbox: idSandbox, ExitCode: exit, Labels: map[string]string{
			labelNamespace: "prod", labelPod: "shop-7f9-x1", labelContainer: "web",
		}}
	}
	status := &event.PodStatus{Object: pod, Addrs: addrs, Containers: []event.ContainerStatus{{
		Name: "web", ID: idApp, Image: ref(shop + ":3"), ImageID: sourcetest.Digest(idManifest), StartedAt: event.Time{At: 1777882150000000001, Res: 1},
	}}}
	bare := &event.Container{Action: event.ContainerRemove, ID: idApp}
	for _, c := range []struct {
		name, text string
		bodies     []event.Body
		fault      string
	}{
		{name: "created", text: criEvent(idApp, "CONTAINER_CREATED_EVENT", container), bodies: []event.Body{status, made(event.ContainerCreate, 0)}},
		{name: "started", text: criEvent(idApp, "CONTAINER_STARTED_EVENT", container), bodies: []event.Body{status, made(event.ContainerStart, 0)}},
		{name: "stopped", text: criEvent(idApp, "CONTAINER_STOPPED_EVENT", strings.Replace(container, `"exitCode":0`, `"exitCode":137`, 1)), bodies: []event.Body{status, made(event.ContainerExit, 137)}},
		{name: "deleted, and nothing left to tell", text: `{"containerId":"` + idApp + `","containerEventType":"CONTAINER_DELETED_EVENT","createdAt":1777882150123456789}`, bodies: []event.Body{bare}},
		{name: "the sandbox", text: criEvent(idSandbox, "CONTAINER_CREATED_EVENT", ""), bodies: []event.Body{&event.Sandbox{Action: event.ContainerCreate, ID: idSandbox, Object: pod, Addrs: addrs}}},
		{name: "the sandbox started", text: criEvent(idSandbox, "CONTAINER_STARTED_EVENT", "")},
		{name: "a kind to come", text: criEvent(idApp, "CONTAINER_FROZEN_EVENT", container)},
		{name: "printed over lines", text: "{\n  \"containerId\": \"" + idApp + "\",\n  \"containerEventType\": \"CONTAINER_DELETED_EVENT\",\n  \"createdAt\": \"1777882150123456789\"\n}", bodies: []event.Body{bare}},
		{name: "no id", text: criEvent("", "CONTAINER_CREATED_EVENT", container), fault: "no id"},
		{name: "no kind", text: criEvent(idApp, "", container), fault: "containerEventType"},
		{name: "no time", text: strings.Replace(criEvent(idApp, "CONTAINER_CREATED_EVENT", container), `"createdAt":"1777882150123456789",`, "", 1), fault: "createdAt"},
		{name: "an id twice", text: strings.Replace(criEvent(idApp, "CONTAINER_CREATED_EVENT", container), `{"containerId"`, `{"containerId":"x","containerId"`, 1), fault: "twice"},
		{name: "cut off", text: criEvent(idApp, "CONTAINER_CREATED_EVENT", container)[:200], fault: "not one JSON value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			events, tally := sourcetest.Decode(t, Events(), c.text+"\n")
			if c.fault != "" {
				if len(events) != 0 || len(tally.Faults) != 1 || !strings.Contains(tally.Faults[0].Error(), c.fault) {
					t.Fatalf("%d events, faults %v, want %q", len(events), tally.Faults, c.fault)
				}
				return
			}
			if len(events) != len(c.bodies) || tally.Unreadable != 0 {
				t.Fatalf("%d events, faults %v", len(events), tally.Faults)
			}
			sourcetest.CheckAccount(t, events, tally)
			for i, e := range events {
				sourcetest.CheckEvent(t, e, event.Time{At: 1777882150123456789, Res: 1}, c.bodies[i])
			}
		})
	}
	if got := sourcetest.Sniff(Events(), criEvent(idApp, "CONTAINER_CREATED_EVENT", container)); got != 95 {
		t.Errorf("sniffed %d", got)
	}
}

func FuzzCRIEvents(f *testing.F) {
	for _, kind := range []string{"CONTAINER_CREATED_EVENT", "CONTAINER_STOPPED_EVENT", "x"} {
		f.Add([]byte(criEvent(idApp, kind, container)))
		f.Add([]byte(criEvent(idSandbox, kind, "")))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		events, tally := sourcetest.Feed(Events(), [][]byte{data})
		sourcetest.CheckAccount(t, events, tally)
		for _, e := range events {
			if e.Body == nil || e.Time.IsZero() {
				t.Fatalf("event %+v", e)
			}
		}
	})
}

func BenchmarkCRIEvents(b *testing.B) {
	sourcetest.Bench(b, Events(), sourcetest.Fill("", func(n int64) string {
		id := fmt.Sprintf("%064x", n)
		var lines strings.Builder
		for _, kind := range []string{"CREATED", "STARTED", "STOPPED", "DELETED"} {
			lines.WriteString(criEvent(id, "CONTAINER_"+kind+"_EVENT", strings.Replace(container, idApp, id, 1)) + "\n")
		}
		return lines.String()
	}))
}
