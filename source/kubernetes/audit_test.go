package kubernetes

import (
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/sourcetest"
)

// Ids of the fixtures, made up.
var (
	idWeb  = strings.Repeat("5e1f", 16)
	idInit = strings.Repeat("b07d", 16)
	digWeb = "sha256:" + strings.Repeat("9d42", 16)
)

// received is when the fixtures' requests came, 2026-11-03T10:00:00.25Z.
var received = event.Time{At: 1793700000*event.Second + 250*event.Millisecond, Res: event.Microsecond}

func ref(s string) image.Reference { return image.Parse(s) }

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// audited is an audit record: what was done to which object, and further
// members, such as bodies and the code.
func audited(verb, uri, objectRef, more string) string {
	return `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a-1","stage":"ResponseComplete",` +
		`"requestURI":"` + uri + `","verb":"` + verb + `","user":{"username":"bob@corp.example","uid":"u-7","groups":["devs","system:authenticated"]},` +
		`"sourceIPs":["192.0.2.7"],"userAgent":"kubectl/v1.31","objectRef":{` + objectRef + `},` + more +
		`"requestReceivedTimestamp":"2026-11-03T10:00:00.250000Z","stageTimestamp":"2026-11-03T10:00:00.260000Z"}`
}

func code(n string) string { return `"responseStatus":{"metadata":{},"code":` + n + `},` }

func sent(s string) string { return `"requestObject":` + s + `,` }

func answered(s string) string { return `"responseObject":` + s + `,` }

var bob = event.Principal{Name: "bob@corp.example", UID: "u-7", Groups: []string{"devs", "system:authenticated"}, Clients: addrs("192.0.2.7"), Agent: "kubectl/v1.31"}

// caseOf is a file and what it must give: one body, or a fault, or neither.
type caseOf struct {
	name  string
	text  string
	at    event.Time
	body  event.Body
	fault string
}

const (
	onPods  = `"resource":"pods","namespace":"prod","apiVersion":"v1"`
	onPod   = onPods + `,"name":"web-1"`
	aPod    = `{"kind":"Pod","apiVersion":"v1","metadata":`
	podMeta = `{"name":"web-1","generateName":"web-","namespace":"prod","uid":"p-1","labels":{"app":"web"},` +
		`"ownerReferences":[{"kind":"Other","name":"x","uid":"o-0"},{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"o-1","controller":true}]}`
	podSpec = `{"nodeName":"node-a","serviceAccountName":"runner","containers":[{"name":"app","image":"reg.example/web:1","imagePullPolicy":"Always",` +
		`"command":["/run.sh"],"args":["-v"],"env":[{"name":"TOKEN","value":"hunter2"}]}]}`
	podURI = "/api/v1/namespaces/prod/pods"
)

var webPod = event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-1", UID: "p-1"}

func webSpec() *event.PodSpec {
	return &event.PodSpec{Node: "node-a", ServiceAccount: "runner", Containers: []event.ContainerSpec{{
		Name: "app", Kind: event.MainContainer, Image: ref("reg.example/web:1"), PullPolicy: "Always", Command: []string{"/run.sh"}, Args: []string{"-v"},
	}}}
}

func wholePod(verb event.APIVerb, status int) *event.Pod {
	return &event.Pod{
		Verb: verb, Object: webPod, Prefix: "web-", Owner: event.ObjectRef{Kind: "ReplicaSet", Namespace: "prod", Name: "web", UID: "o-1"},
		Labels: map[string]string{"app": "web"}, By: bob, Code: status, Spec: webSpec(),
	}
}

func podCases() []caseOf {
	whole := aPod + podMeta + `,"spec":` + podSpec + `,"status":{"phase":"Pending"}}`
	nameless := `{"kind":"Pod","metadata":{"generateName":"web-"},"spec":` + podSpec + `}`
	refusal := answered(`{"kind":"Status","metadata":{},"status":"Failure","reason":"Forbidden","code":403}`)
	named := event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-1"}
	nodeOnly := &event.PodSpec{Node: "node-a"}
	return []caseOf{
		{name: "created", text: audited("create", podURI, onPods, code("201")+sent(nameless)+answered(whole)), body: wholePod(event.VerbCreate, 201)},
		{name: "updated", text: audited("update", podURI+"/web-1", onPod, code("200")+sent(whole)+answered(whole)), body: wholePod(event.VerbUpdate, 200)},
		{name: "patched", text: audited("patch", podURI+"/web-1", onPod, code("200")+sent(`[{"op":"add"}]`)+answered(whole)), body: wholePod(event.VerbUpdate, 200)},
		{name: "applied, which created it", text: audited("patch", podURI+"/web-1", onPod, code("201")+answered(whole)), body: wholePod(event.VerbCreate, 201)},
		{name: "deleted", text: audited("delete", podURI+"/web-1", onPod, code("200")+sent(`{"kind":"DeleteOptions","propagationPolicy":"Background"}`)+answered(whole)), body: wholePod(event.VerbDelete, 200)},
		{
			name: "deleted, answered with a status", text: audited("delete", podURI+"/web-1", onPod, code("200")+answered(`{"kind":"Status","metadata":{},"details":{"name":"web-1","uid":"p-1"}}`)),
			body: &event.Pod{Verb: event.VerbDelete, Object: webPod, By: bob, Code: 200},
		},
		{
			name: "refused", text: audited("create", podURI, onPods, code("403")+sent(nameless)+refusal),
			body: &event.Pod{Verb: event.VerbCreate, Object: event.ObjectRef{Kind: "Pod", Namespace: "prod"}, Prefix: "web-", By: bob, Code: 403, Spec: webSpec()},
		},
		{
			name: "only metadata was asked back", text: audited("create", podURI, onPods, code("201")+sent(nameless)+answered(`{"kind":"PartialObjectMetadata","metadata":`+podMeta+`}`)),
			body: wholePod(event.VerbCreate, 201),
		},
		{
			name: "a table was asked back", text: audited("create", podURI, onPod, code("201")+sent(nameless)+answered(`{"kind":"Table","metadata":{"resourceVersion":"1"},"rows":[]}`)),
			body: &event.Pod{Verb: event.VerbCreate, Object: named, Prefix: "web-", By: bob, Code: 201, Spec: webSpec()},
		},
		{name: "level Metadata", text: audited("create", podURI, onPod, code("201")), body: &event.Pod{Verb: event.VerbCreate, Object: named, By: bob, Code: 201}},
		{name: "bound", text: audited("create", podURI+"/web-1/binding", onPod+`,"subresource":"binding"`, code("201")+sent(`{"kind":"Binding","metadata":{"name":"web-1","uid":"p-1"},"target":{"kind":"Node","name":"node-a"}}`)+answered(`{"kind":"Status","code":201}`)),
			body: &event.Pod{Verb: event.VerbUpdate, Object: webPod, By: bob, Code: 201, Spec: nodeOnly}},
		{name: "bound, the old way", text: audited("create", "/api/v1/namespaces/prod/bindings", `"resource":"bindings","namespace":"prod"`, code("201")+sent(`{"kind":"Binding","metadata":{"name":"web-1","uid":"p-1"},"target":{"name":"node-a"}}`)),
			body: &event.Pod{Verb: event.VerbUpdate, Object: webPod, By: bob, Code: 201, Spec: nodeOnly}},
		{name: "bound, level Metadata", text: audited("create", podURI+"/web-1/binding", onPod+`,"subresource":"binding"`, code("201"))},
		{name: "evicted", text: audited("create", podURI+"/web-1/eviction", onPod+`,"subresource":"eviction"`, code("201")+sent(`{"kind":"Eviction","metadata":{"name":"web-1"}}`)),
			body: &event.Pod{Verb: event.VerbDelete, Object: named, By: bob, Code: 201}},
		{name: "a dry run", text: audited("create", podURI+"?dryRun=All", onPods, code("201")+sent(nameless)+answered(whole))},
		{name: "a dry run of a deletion", text: audited("delete", podURI+"/web-1", onPod, code("200")+sent(`{"kind":"DeleteOptions","dryRun":["All"]}`)+answered(whole))},
		{name: "a whole collection deleted", text: audited("deletecollection", podURI, onPods, code("200"))},
		{name: "listed", text: audited("list", podURI, onPods, code("200")+answered(`{"kind":"PodList","items":[`+whole+`]}`))},
		{name: "its log", text: audited("get", podURI+"/web-1/log", onPod+`,"subresource":"log"`, code("200"))},
		{name: "another group's pods", text: audited("create", "/x", onPods+`,"apiGroup":"metrics.k8s.io"`, code("201")+answered(whole))},
		{name: "labels that stand twice", text: audited("create", podURI, onPods, code("201")+answered(`{"metadata":{"name":"x","labels":{"a":"1","a":"2"}}}`)), fault: "stands twice"},
	}
}

func ephemeralCases() []caseOf {
	on := onPod + `,"subresource":"ephemeralcontainers"`
	uri := podURI + "/web-1/ephemeralcontainers"
	dbg := `{"name":"dbg","image":"reg.example/sh:1","command":["sh"],"targetContainerName":"app"}`
	want := func(uid string) *event.Pod {
		return &event.Pod{
			Verb: event.VerbUpdate, Object: event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-1", UID: uid}, By: bob, Code: 200,
			Spec: &event.PodSpec{Containers: []event.ContainerSpec{{Name: "dbg", Kind: event.EphemeralContainer, Image: ref("reg.example/sh:1"), Command: []string{"sh"}}}},
		}
	}
	return []caseOf{
		{name: "a patch, level Request", text: audited("patch", uri, on, code("200")+sent(`{"spec":{"ephemeralContainers":[`+dbg+`]}}`)), body: want("")},
		{name: "with the answer", text: audited("patch", uri, on, code("200")+sent(`{}`)+answered(`{"kind":"Pod","metadata":{"name":"web-1","uid":"p-1"},"spec":{"containers":[{"name":"app","image":"x"}],"ephemeralContainers":[`+dbg+`]}}`)), body: want("p-1")},
		{name: "a JSON patch", text: audited("patch", uri, on, code("200")+sent(`[{"op":"add","path":"/spec/ephemeralContainers/-","value":`+dbg+`},{"op":"replace","path":"/spec/ephemeralContainers/0/image","value":"x"},{"op":"test","path":"/metadata"}]`)), body: want("")},
		{name: "a JSON patch of the whole list", text: audited("patch", uri, on, code("200")+sent(`[{"op":"add","path":"/spec/ephemeralContainers","value":[`+dbg+`]}]`)), body: want("")},
		{name: "the object of 1.16 to 1.22", text: audited("update", uri, on, code("200")+sent(`{"kind":"EphemeralContainers","metadata":{"name":"web-1"},"ephemeralContainers":[`+dbg+`]}`)), body: want("")},
		{name: "level Metadata", text: audited("patch", uri, on, code("200")), body: &event.Pod{Verb: event.VerbUpdate, Object: event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-1"}, By: bob, Code: 200}},
		{name: "looked at", text: audited("get", uri, on, code("200"))},
	}
}

func statusCases() []caseOf {
	on := onPod + `,"subresource":"status"`
	uri := podURI + "/web-1/status"
	status := `{"phase":"Running","podIP":"10.1.2.3","podIPs":[{"ip":"10.1.2.3"},{"ip":"2001:db8::3"}],"hostIP":"10.0.0.5","hostIPs":[{"ip":"10.0.0.5"}],"startTime":"2026-11-03T09:59:58Z",` +
		`"initContainerStatuses":[{"name":"prep","containerID":"docker://` + idInit + `","image":"reg.example/prep:1","imageID":"docker-pullable://reg.example/prep@` + digWeb + `","state":{"terminated":{"startedAt":"2026-11-03T09:59:58Z"}}}],` +
		`"containerStatuses":[{"name":"app","containerID":"containerd://` + idWeb + `","image":"reg.example/web:1","imageID":"` + digWeb + `","state":{"running":{"startedAt":"2026-11-03T09:59:59Z"}}}],` +
		`"ephemeralContainerStatuses":[{"name":"dbg","containerID":"","image":"reg.example/sh:1","imageID":"","state":{"waiting":{}}},{"$patch":"delete","name":"old"}]}`
	at := func(s int64) event.Time { return event.Time{At: (1793700000 - s) * event.Second, Res: event.Second} }
	want := func(node, uid string) *event.PodStatus {
		return &event.PodStatus{
			Object: event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-1", UID: uid}, Node: node, Phase: "Running",
			Addrs: addrs("10.1.2.3", "2001:db8::3"), HostAddrs: addrs("10.0.0.5"), StartedAt: at(2),
			Containers: []event.ContainerStatus{
				{Name: "prep", Kind: event.InitContainer, ID: idInit, Image: ref("reg.example/prep:1"), ImageID: sourcetest.Digest(digWeb), StartedAt: at(2)},
				{Name: "app", Kind: event.MainContainer, ID: idWeb, Image: ref("reg.example/web:1"), ImageID: sourcetest.Digest(digWeb), StartedAt: at(1)},
				{Name: "dbg", Kind: event.EphemeralContainer, Image: ref("reg.example/sh:1")},
			},
		}
	}
	whole := aPod + podMeta + `,"spec":` + podSpec + `,"status":` + status + `}`
	asNode := func(s string) string {
		return strings.Replace(s, `"username":"bob@corp.example"`, `"username":"system:node:node-b"`, 1)
	}
	return []caseOf{
		{name: "answered", text: audited("patch", uri, on, code("200")+sent(`{"status":{}}`)+answered(whole)), body: want("node-a", "p-1")},
		{name: "a kubelet's patch, level Request", text: asNode(audited("patch", uri, on, code("200")+sent(`{"metadata":{"uid":"p-1"},"status":`+status+`}`))), body: want("node-b", "p-1")},
		{name: "updated", text: audited("update", uri, on, code("200")+sent(whole)), body: want("node-a", "p-1")},
		{name: "looked at", text: audited("get", podURI+"/web-1", onPod, code("200")+answered(whole)), body: want("node-a", "p-1")},
		{name: "not there", text: audited("get", podURI+"/web-1", onPod, code("404")+answered(`{"kind":"Status","metadata":{},"status":"Failure","code":404}`))},
		{name: "refused", text: audited("patch", uri, on, code("403")+sent(`{"status":`+status+`}`)+answered(`{"kind":"Status","status":"Failure"}`))},
		{name: "level Metadata", text: audited("patch", uri, on, code("200"))},
		{name: "neither container nor address", text: audited("patch", uri, on, code("200")+sent(`{"status":{"conditions":[{"type":"Ready"}],"containerStatuses":[{"name":"app","state":{"waiting":{}}}]}}`))},
		{name: "watched", text: audited("watch", podURI, onPods, code("200"))},
		{name: "deleted", text: audited("delete", uri, on, code("405"))},
		{name: "a start that is no time", text: audited("patch", uri, on, code("200")+sent(`{"status":{"podIP":"10.1.2.3","startTime":"soon"}}`)), fault: "startTime"},
		{name: "a container's start that is no time", text: audited("patch", uri, on, code("200")+sent(`{"status":{"containerStatuses":[{"name":"app","state":{"running":{"startedAt":7}}}]}}`)), fault: `status of container "app"`},
	}
}

func TestAuditPods(t *testing.T) {
	runCases(t, podCases())
}

func TestAuditEphemeralContainers(t *testing.T) { runCases(t, ephemeralCases()) }

func TestAuditPodStatus(t *testing.T) { runCases(t, statusCases()) }

func runCases(t *testing.T, cases []caseOf) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.at.IsZero() {
				c.at = received
			}
			sourcetest.Check(t, Audit(), c.text, sourcetest.Want{At: c.at, Body: c.body, Fault: c.fault})
		})
	}
}

// The environments of the fixtures hold a secret, which never leaves them.
func TestAuditKeepsNoSecrets(t *testing.T) {
	for _, c := range podCases() {
		events, _ := sourcetest.Decode(t, Audit(), c.text)
		for _, e := range events {
			if p, ok := e.Body.(*event.Pod); ok && p.Spec != nil {
				for _, s := range p.Spec.Containers {
					if strings.Contains(strings.Join(append(s.Command, s.Args...), " "), "hunter2") {
						t.Errorf("%s: the environment is in %+v", c.name, s)
					}
				}
			}
		}
	}
}
