package kubernetes

import (
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

const printedNode = `{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-a","uid":"n-1","creationTimestamp":"2026-11-03T10:00:00Z"},` +
	`"spec":{"podCIDR":"10.42.0.0/24","providerID":"aws:///eu-west-1a/i-0abc"},"status":{"addresses":[{"type":"InternalIP","address":"10.0.1.1"},{"type":"Hostname","address":"node-a"},` +
	`{"type":"ExternalIP","address":"192.0.2.9"}],"nodeInfo":{"kubeletVersion":"v1.34.4"}}}`

func printedNodeCases() []caseOf {
	described := &event.HostDescription{Name: "node-a", Addrs: addrs("10.0.1.1", "192.0.2.9"), InstanceID: "i-0abc"}
	list := func(kind, item string) string {
		return `{"apiVersion":"v1","kind":"` + kind + `","items":[` + item + `]}`
	}
	return []caseOf{
		{name: "one node", text: printedNode, body: described},
		{name: "a list as kubectl prints it", text: list("List", printedNode), body: described},
		{name: "a list as the API gives it", text: list("NodeList", strings.Replace(printedNode, `"apiVersion":"v1","kind":"Node",`, "", 1)), body: described},
		{name: "nothing is known of it", text: `{"kind":"Node","metadata":{"name":"node-a"},"status":{}}`},
		{name: "a list of other things", text: list("List", `{"kind":"Service","metadata":{"name":"web"}}`)},
		{name: "no name", text: strings.Replace(printedNode, `"name":"node-a",`, "", 1), fault: "no Kubernetes node"},
		{name: "a key that stands twice", text: strings.Replace(printedNode, `"uid":"n-1"`, `"name":"other"`, 1), fault: "name"},
		{name: "something else", text: `{"kind":"Service","spec":{}}`, fault: "no Kubernetes node"},
		{name: "no object", text: `["Node"]`, fault: "JSON"},
	}
}

func TestNodes(t *testing.T) {
	for _, c := range printedNodeCases() {
		t.Run(c.name, func(t *testing.T) {
			sourcetest.Check(t, Nodes(), c.text, sourcetest.Want{At: c.at, Body: c.body, Fault: c.fault})
		})
	}
	events, _ := sourcetest.Decode(t, Nodes(), printedNode)
	if len(events) != 1 || events[0].Place.Host != "node-a" {
		t.Errorf("%+v", events)
	}
	for _, text := range []string{printedNode, `{"apiVersion":"v1","items":[` + printedNode + `],"kind":"List"}`} {
		if n := sourcetest.Sniff(Nodes(), text); n < 60 {
			t.Errorf("%.40s: sniffed as %d", text, n)
		}
	}
	for _, text := range []string{"", printedPod(""), anEvent("", ""), aCreation} {
		if n := sourcetest.Sniff(Nodes(), text); n != 0 {
			t.Errorf("%.40s: sniffed as %d", text, n)
		}
	}
	if sourcetest.Sniff(Pods(), printedNode) != 0 || sourcetest.Sniff(Events(), printedNode) != 0 {
		t.Error("taken for something else")
	}
}

func FuzzNodes(f *testing.F) { fuzzFormat(f, Nodes(), printedNodeCases()) }
