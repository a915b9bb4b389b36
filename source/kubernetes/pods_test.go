package kubernetes

import (
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/sourcetest"
)

// printedPod is a pod as kubectl prints it; more stands in its metadata.
func printedPod(more string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1","namespace":"prod","uid":"p-1","resourceVersion":"9","creationTimestamp":"2026-11-03T10:00:00Z",` +
		`"ownerReferences":[{"kind":"ReplicaSet","name":"web-5b7","uid":"r-1","controller":true}]` + more + `},` +
		`"spec":{"nodeName":"node-a","containers":[{"name":"app","image":"registry.example/web:1","livenessProbe":{"exec":{"command":["check","-q"]}}}]},` +
		`"status":{"phase":"Running","podIP":"10.42.0.7","hostIP":"10.0.1.1","containerStatuses":[{"name":"app","image":"registry.example/web:1","containerID":"containerd://` + strings.Repeat("c0", 32) + `"}]}}`
}

func describedWeb() *event.PodStatus {
	return &event.PodStatus{
		Object: webPod, Node: "node-a", Phase: "Running",
		Addrs: []netip.Addr{netip.MustParseAddr("10.42.0.7")}, HostAddrs: []netip.Addr{netip.MustParseAddr("10.0.1.1")},
		Containers: []event.ContainerStatus{{Name: "app", Kind: event.MainContainer, ID: strings.Repeat("c0", 32), Image: image.Parse("registry.example/web:1")}},
		Owner:      event.ObjectRef{Kind: "ReplicaSet", Namespace: "prod", Name: "web-5b7", UID: "r-1"},
		Spec: &event.PodSpec{Node: "node-a", Containers: []event.ContainerSpec{
			{Name: "app", Kind: event.MainContainer, Image: image.Parse("registry.example/web:1"), Probes: [][]string{{"check", "-q"}}},
		}},
	}
}

func printedPodCases() []caseOf {
	list := func(kind string, items ...string) string {
		return `{"apiVersion":"v1","kind":"` + kind + `","items":[` + strings.Join(items, ",") + `],"metadata":{"resourceVersion":""}}`
	}
	return []caseOf{
		{name: "one pod", text: printedPod(""), at: aSecond, body: describedWeb()},
		{name: "a list as kubectl prints it", text: list("List", printedPod("")), at: aSecond, body: describedWeb()},
		{name: "a list as the API gives it", text: list("PodList", strings.Replace(printedPod(""), `"apiVersion":"v1","kind":"Pod",`, "", 1)), at: aSecond, body: describedWeb()},
		{name: "over several lines", text: strings.ReplaceAll(printedPod(""), ",", ",\n  "), at: aSecond, body: describedWeb()},
		{name: "a list of other things", text: list("List", `{"kind":"Service","metadata":{"name":"web"}}`)},
		{name: "an empty list", text: list("PodList")},
		{name: "no time", text: strings.Replace(printedPod(""), "creationTimestamp", "created", 1), fault: "want metadata.creationTimestamp"},
		{name: "a bad time", text: strings.Replace(printedPod(""), "2026-11-03T10:00:00Z", "yesterday", 1), fault: "time"},
		{name: "a key that stands twice", text: printedPod(`,"name":"other"`), fault: "name"},
		{name: "something else", text: `{"kind":"Service","spec":{}}`, fault: "no Kubernetes pod"},
		{name: "no object", text: `["Pod"]`, fault: "JSON"},
		{name: "lists in lists", text: list("List", list("List", list("List", list("List", list("List", printedPod("")))))), fault: "too many envelopes"},
	}
}

func TestPods(t *testing.T) {
	for _, c := range printedPodCases() {
		t.Run(c.name, func(t *testing.T) {
			sourcetest.Check(t, Pods(), c.text, sourcetest.Want{At: c.at, Body: c.body, Fault: c.fault})
		})
	}
}

// Each pod of a list is cited by its own lines, and a newer look-up is another
// event.
func TestPodsOfAListAreCitedEach(t *testing.T) {
	other := strings.NewReplacer("p-1", "p-2", "web-1", "web-2").Replace(printedPod(""))
	newer := strings.Replace(printedPod(""), `"resourceVersion":"9"`, `"resourceVersion":"10"`, 1)
	events, tally := sourcetest.Decode(t, Pods(), "{\"kind\":\"List\",\"items\":[\n  "+printedPod("")+",\n  "+other+",\n  "+newer+",\n  "+printedPod("")+"]}\n")
	if len(events) != 4 || tally.Records != 4 {
		t.Fatalf("%d events, %+v", len(events), tally)
	}
	ids := map[event.ID]bool{}
	for i, e := range events {
		ids[e.ID] = true
		if e.Origin.Line() != i+2 {
			t.Errorf("pod %d is cited at line %d", i, e.Origin.Line())
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d different events, want 3", len(ids))
	}
}

func TestSniffPods(t *testing.T) {
	for _, c := range printedPodCases() {
		if sure := sourcetest.Sniff(Pods(), c.text); c.body != nil && sure < 80 {
			t.Errorf("%s: %d", c.name, sure)
		}
	}
	for name, text := range map[string]string{
		"audit": strings.Replace(printedPod(""), "{", `{"auditID":"x","level":"Request",`, 1), "an Event": anEvent("Started", "x"), "a Service": `{"kind":"Service","spec":{},"metadata":{}}`,
	} {
		if sure := sourcetest.Sniff(Pods(), text); sure != 0 {
			t.Errorf("%s: %d", name, sure)
		}
	}
	for _, f := range formats()[:3] {
		if sure := sourcetest.Sniff(f, printedPod("")); sure != 0 {
			t.Errorf("%s takes it for its own: %d", f.Name, sure)
		}
	}
	if sure := sourcetest.Sniff(Audit(), `{"ns":"k8s.io","topic":"/tasks/start","event":{"id":"x"}}`); sure != 0 {
		t.Errorf("a containerd event is an audit record: %d", sure)
	}
}

func FuzzPods(f *testing.F) { fuzzFormat(f, Pods(), printedPodCases()) }
