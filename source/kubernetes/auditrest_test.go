package kubernetes

import (
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

func accessCases() []caseOf {
	exec := onPod + `,"uid":"p-1","subresource":"exec"`
	uri := podURI + "/web-1/exec"
	want := func(action string, command ...string) *event.PodAccess {
		return &event.PodAccess{Action: action, Object: webPod, Container: "app", Command: command, By: bob, Code: 101}
	}
	shell := want("exec", "sh", "-c", "id; curl http://198.51.100.9/?a=b&c")
	shell.Stdin, shell.TTY = true, true
	flags := want("exec", "id")
	flags.TTY = true
	refused := want("exec", "id")
	refused.Code, refused.Container = 403, ""
	attach := want("attach")
	attach.Stdin = true
	portForward := want("portforward")
	portForward.Container = ""
	proxy := want("proxy")
	proxy.Container, proxy.Code = "", 200
	node := want("exec", "id", "-a")
	node.Object = event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-1"}
	node.Code = 200
	return []caseOf{
		{name: "a shell", text: audited("create", uri+"?command=sh&command=-c&command=id%3B+curl%20http%3A%2F%2F198.51.100.9%2F%3Fa%3Db%26c&container=app&stdin=true&stdout=true&tty=true", exec, code("101")), body: shell},
		{name: "by GET, with flags as the API server reads them", text: audited("get", uri+"?command=id&container=app&stdin=FALSE&tty&stdin=true", exec, code("101")), body: flags},
		{name: "a flag of zero", text: audited("get", uri+"?command=id&container=app&stdin=0&tty=yes", exec, code("101")), body: flags},
		{name: "dryRun means nothing here", text: audited("create", uri+"?command=id&container=app&tty=1&dryRun=All", exec, code("101")), body: flags},
		{name: "the query is not told", text: audited("create", uri, exec, code("101")+sent(`{"kind":"PodExecOptions","tty":true,"container":"app","command":["id"]}`)), body: flags},
		{name: "refused", text: audited("create", uri+"?command=id", exec, code("403")+answered(`{"kind":"Status"}`)), body: refused},
		{name: "just started", text: strings.Replace(audited("create", uri+"?command=id&container=app&tty=true", exec, code("101")), "ResponseComplete", "ResponseStarted", 1), body: flags},
		{name: "attached", text: audited("create", podURI+"/web-1/attach?container=app&stdin=true", onPod+`,"uid":"p-1","subresource":"attach"`, code("101")), body: attach},
		{name: "a port forwarded", text: audited("create", podURI+"/web-1/portforward", onPod+`,"uid":"p-1","subresource":"portforward"`, code("101")), body: portForward},
		{name: "proxied", text: audited("get", podURI+"/https:web-1:8443/proxy/admin?command=rm", onPods+`,"name":"https:web-1:8443","uid":"p-1","subresource":"proxy"`, code("200")), body: proxy},
		{name: "proxied by port", text: audited("get", podURI+"/web-1:8443/proxy/", onPods+`,"name":"web-1:8443","uid":"p-1","subresource":"proxy"`, code("200")), body: proxy},
		{name: "proxied by scheme", text: audited("get", podURI+"/http:web-1:/proxy/", onPods+`,"name":"http:web-1:","uid":"p-1","subresource":"proxy"`, code("200")), body: proxy},
		{name: "through a node", text: audited("create", "/api/v1/nodes/node-a/proxy/run/prod/web-1/app?cmd=id+-a", `"resource":"nodes","name":"node-a","subresource":"proxy"`, code("200")), body: node},
		{name: "a node's metrics", text: audited("get", "/api/v1/nodes/node-a/proxy/metrics", `"resource":"nodes","name":"node-a","subresource":"proxy"`, code("200"))},
		{name: "a node's root", text: audited("get", "/api/v1/nodes/node-a/proxy", `"resource":"nodes","name":"node-a","subresource":"proxy"`, code("200"))},
	}
}

func workloadCases() []caseOf {
	const template = `{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"app","image":"reg.example/web:2"}]}}`
	pods := &event.PodSpec{Containers: []event.ContainerSpec{{Name: "app", Kind: event.MainContainer, Image: ref("reg.example/web:2")}}}
	on := func(group, resource string) string {
		return `"resource":"` + resource + `","namespace":"prod","name":"web","apiGroup":"` + group + `"`
	}
	object := func(kind string) event.ObjectRef {
		return event.ObjectRef{Kind: kind, Namespace: "prod", Name: "web", UID: "w-1"}
	}
	body := func(spec string) string {
		return answered(`{"metadata":{"name":"web","uid":"w-1","ownerReferences":[{"kind":"Node","name":"node-a","controller":true}]},"spec":` + spec + `}`)
	}
	owner := event.ObjectRef{Kind: "Node", Name: "node-a"}
	var cases []caseOf
	for resource, kind := range workloads {
		group, resource, _ := strings.Cut(resource, "/")
		spec := `{"template":` + template + `}`
		if kind == "CronJob" {
			spec = `{"jobTemplate":{"spec":` + spec + `}}`
		}
		cases = append(cases, caseOf{
			name: kind + " of " + group, text: audited("create", "/x", on(group, resource), code("201")+body(spec)),
			body: &event.Workload{Verb: event.VerbCreate, Object: object(kind), Owner: owner, By: bob, Code: 201, Template: pods},
		})
	}
	named := event.ObjectRef{Kind: "Deployment", Namespace: "prod", Name: "web"}
	return append(cases,
		caseOf{name: "a patch, level Request", text: audited("patch", "/x", on("apps", "deployments"), code("200")+sent(`{"spec":{"template":`+template+`}}`)),
			body: &event.Workload{Verb: event.VerbUpdate, Object: named, By: bob, Code: 200, Template: pods}},
		caseOf{name: "a restart", text: audited("patch", "/x", on("apps", "deployments"), code("200")+sent(`{"spec":{"template":{"metadata":{"annotations":{"x":"y"}}}}}`)),
			body: &event.Workload{Verb: event.VerbUpdate, Object: named, By: bob, Code: 200}},
		caseOf{name: "made by prefix", text: audited("create", "/x", `"resource":"jobs","namespace":"prod","apiGroup":"batch"`, code("201")+sent(`{"metadata":{"generateName":"nightly-"},"spec":{"template":`+template+`}}`)),
			body: &event.Workload{Verb: event.VerbCreate, Object: event.ObjectRef{Kind: "Job", Namespace: "prod"}, Prefix: "nightly-", By: bob, Code: 201, Template: pods}},
		caseOf{name: "deleted", text: audited("delete", "/x", on("apps", "deployments"), code("200")), body: &event.Workload{Verb: event.VerbDelete, Object: named, By: bob, Code: 200}},
		caseOf{name: "its status", text: audited("update", "/x", on("apps", "deployments")+`,"subresource":"status"`, code("200")+body(`{}`))},
		caseOf{name: "looked at", text: audited("get", "/x", on("apps", "deployments"), code("200")+body(`{}`))},
		caseOf{name: "another group's jobs", text: audited("create", "/x", on("batch.example", "jobs"), code("201"))},
	)
}

func grantCases() []caseOf {
	on := `"resource":"rolebindings","namespace":"prod","name":"all","apiGroup":"rbac.authorization.k8s.io"`
	object := event.ObjectRef{Kind: "RoleBinding", Namespace: "prod", Name: "all"}
	subjects := `"subjects":[{"kind":"User","name":"eve"},{"kind":"ServiceAccount","name":"default"},{"kind":"ServiceAccount","namespace":"ops","name":"bot"},{"kind":"Group","name":"system:masters"}]`
	to := []string{"User/eve", "ServiceAccount/prod/default", "ServiceAccount/ops/bot", "Group/system:masters"}
	return []caseOf{
		{name: "given", text: audited("create", "/x", on, code("201")+sent(`{"metadata":{"name":"all"},"roleRef":{"kind":"ClusterRole","name":"cluster-admin"},`+subjects+`}`)),
			body: &event.Grant{Verb: event.VerbCreate, Object: object, Role: "ClusterRole/cluster-admin", To: to, By: bob, Code: 201}},
		{name: "given to more", text: audited("patch", "/x", on, code("200")+sent(`{`+subjects+`}`)), body: &event.Grant{Verb: event.VerbUpdate, Object: object, To: to, By: bob, Code: 200}},
		{name: "in the whole cluster", text: audited("delete", "/x", `"resource":"clusterrolebindings","name":"all","apiGroup":"rbac.authorization.k8s.io"`, code("200")),
			body: &event.Grant{Verb: event.VerbDelete, Object: event.ObjectRef{Kind: "ClusterRoleBinding", Name: "all"}, By: bob, Code: 200}},
		{name: "looked at", text: audited("get", "/x", on, code("200"))},
		{name: "a role", text: audited("create", "/x", `"resource":"roles","namespace":"prod","name":"all","apiGroup":"rbac.authorization.k8s.io"`, code("201"))},
	}
}

func TestAuditAccess(t *testing.T)    { runCases(t, accessCases()) }
func TestAuditWorkloads(t *testing.T) { runCases(t, workloadCases()) }
func TestAuditGrants(t *testing.T)    { runCases(t, grantCases()) }

func TestAuditNodes(t *testing.T) {
	on := `"resource":"nodes","name":"node-a"`
	status := `"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.5"},{"type":"ExternalIP","address":"203.0.113.5"},{"type":"Hostname","address":"node-a"},{"type":"InternalIP","address":"no"}]}`
	for provider, instance := range map[string]string{
		"aws:///eu-west-1a/i-0abc": "i-0abc",
		"azure:///subscriptions/s/providers/Microsoft.Compute/virtualMachines/vm-1": "/subscriptions/s/providers/Microsoft.Compute/virtualMachines/vm-1",
		"gce://proj/zone/vm-1": "proj/zone/vm-1",
		"":                     "",
	} {
		node := `{"metadata":{"name":"node-a"},"spec":{"providerID":"` + provider + `"},` + status + `}`
		text := audited("patch", "/x", on+`,"subresource":"status"`, code("200")+sent(`{}`)+answered(node)) + "\n" +
			strings.Replace(audited("get", "/x", on, code("200")+answered(node)), "10:00:00", "10:05:00", 1)
		events, tally := sourcetest.Decode(t, Audit(), text)
		if len(events) != 2 || tally.Unreadable > 0 {
			t.Fatalf("%d events, %v", len(events), tally.Faults)
		}
		sourcetest.CheckEvent(t, events[0], event.Time{}, &event.HostDescription{Name: "node-a", Addrs: addrs("10.0.0.5", "203.0.113.5"), InstanceID: instance})
		if events[0].Place.Host != "node-a" || events[0].Record != 0 || events[0].ID != events[1].ID {
			t.Errorf("one fact, told twice: %+v %+v", events[0], events[1])
		}
	}
	runCases(t, []caseOf{
		{name: "no address yet", text: audited("create", "/x", on, code("201")+sent(`{"metadata":{"name":"node-a"}}`))},
		{name: "refused", text: audited("create", "/x", on, code("409")+sent(`{`+status+`}`))},
		{name: "deleted", text: audited("delete", "/x", on, code("200")+answered(`{"metadata":{"name":"node-a"},`+status+`}`))},
		{name: "its lease", text: audited("update", "/x", on+`,"subresource":"other"`, code("200")+sent(`{`+status+`}`))},
		{name: "a namespace", text: audited("create", "/x", `"resource":"namespaces","name":"x"`, code("201"))},
		{name: "no object at all", text: strings.Replace(audited("get", "/healthz", "", code("200")), `"objectRef":{},`, "", 1)},
	})
}

func TestAuditPrincipal(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		want     event.Principal
	}{
		"impersonated": {`"sourceIPs"`, `"impersonatedUser":{"username":"root","groups":["system:masters"]},"sourceIPs"`,
			event.Principal{Name: "root", Groups: []string{"system:masters"}, Behind: "bob@corp.example", Clients: addrs("192.0.2.7"), Agent: "kubectl/v1.31"}},
		"impersonated by nobody": {`"sourceIPs"`, `"impersonatedUser":{},"sourceIPs"`, bob},
		"through proxies": {`["192.0.2.7"]`, `["198.51.100.1","::ffff:192.0.2.9","[2001:db8::1]:443","192.0.2.8:5000","fe80::1%eth0","unknown",7]`,
			event.Principal{Name: bob.Name, UID: bob.UID, Groups: bob.Groups, Agent: bob.Agent, Clients: addrs("198.51.100.1", "192.0.2.9", "2001:db8::1", "192.0.2.8", "fe80::1")}},
		"anonymous": {`{"username":"bob@corp.example","uid":"u-7","groups":["devs","system:authenticated"]}`, `{"username":"system:anonymous","groups":["system:unauthenticated"]}`,
			event.Principal{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}, Clients: bob.Clients, Agent: bob.Agent}},
	} {
		text := strings.Replace(audited("create", podURI, onPod, code("403")), c.old, c.new, 1)
		t.Run(name, func(t *testing.T) {
			sourcetest.Check(t, Audit(), text, sourcetest.Want{At: received, Body: &event.Pod{Verb: event.VerbCreate,
				Object: event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-1"}, By: c.want, Code: 403}})
		})
	}
}

// TestAuditRisk checks that a specification's risks are worded as Docker's are.
func TestAuditRisk(t *testing.T) {
	for name, c := range map[string]struct {
		meta, pod, container string
		want                 event.Risk
	}{
		"nothing":                    {},
		"privileged":                 {container: `"securityContext":{"privileged":true,"capabilities":{"add":["SYS_ADMIN","ALL"],"drop":["X"]}}`, want: event.Risk{Privileged: true, Capabilities: []string{"SYS_ADMIN", "ALL"}}},
		"the host's name spaces":     {pod: `"hostPID":true,"hostIPC":true,"hostNetwork":true,`, want: event.Risk{PIDMode: "host", IPCMode: "host", NetworkMode: "host"}},
		"a user":                     {pod: `"securityContext":{"runAsUser":1000},`, want: event.Risk{User: "1000"}},
		"a user of its own":          {pod: `"securityContext":{"runAsUser":1000,"runAsNonRoot":true},`, container: `"securityContext":{"runAsUser":0}`, want: event.Risk{User: "0"}},
		"anybody but root":           {pod: `"securityContext":{"runAsNonRoot":true},`, want: event.Risk{User: "nonroot"}},
		"root after all":             {pod: `"securityContext":{"runAsNonRoot":true},`, container: `"securityContext":{"runAsNonRoot":false}`},
		"a Windows user":             {container: `"securityContext":{"windowsOptions":{"runAsUserName":"NT AUTHORITY\\SYSTEM"}}`, want: event.Risk{User: `NT AUTHORITY\SYSTEM`}},
		"on the Windows host":        {pod: `"securityContext":{"windowsOptions":{"hostProcess":true}},`, want: event.Risk{Privileged: true}},
		"not on the Windows host":    {pod: `"securityContext":{"windowsOptions":{"hostProcess":true}},`, container: `"securityContext":{"windowsOptions":{"hostProcess":false}}`},
		"profiles off":               {pod: `"securityContext":{"seccompProfile":{"type":"Unconfined"},"appArmorProfile":{"type":"Unconfined"},"seLinuxOptions":{"type":"spc_t"}},`, want: event.Risk{SecurityOpt: []string{"seccomp=unconfined", "apparmor=unconfined", "label=type:spc_t"}}},
		"a profile on again":         {pod: `"securityContext":{"seccompProfile":{"type":"Unconfined"}},`, container: `"securityContext":{"seccompProfile":{"type":"RuntimeDefault"}}`},
		"profiles off, once":         {meta: `"annotations":{"seccomp.security.alpha.kubernetes.io/pod":"unconfined","container.apparmor.security.beta.kubernetes.io/app":"unconfined"}`, want: event.Risk{SecurityOpt: []string{"seccomp=unconfined", "apparmor=unconfined"}}},
		"no more rights, bare /proc": {container: `"securityContext":{"procMount":"Unmasked","allowPrivilegeEscalation":false}`, want: event.Risk{SecurityOpt: []string{"systempaths=unconfined", "no-new-privileges"}}},
		"the host's paths": {
			pod:       `"volumes":[{"name":"root","hostPath":{"path":"/"}},{"name":"sock","hostPath":{"path":"/var/run/docker.sock","type":"Socket"}},{"name":"tmp","emptyDir":{}}],`,
			container: `"volumeMounts":[{"name":"root","mountPath":"/host","readOnly":true},{"name":"root","mountPath":"/e","subPath":"etc"},{"name":"root","mountPath":"/v","subPathExpr":"$(POD)"},{"name":"sock","mountPath":"/s"},{"name":"tmp","mountPath":"/tmp"},{"name":"none","mountPath":"/n"}]`,
			want: event.Risk{Mounts: []event.Mount{{Source: "/", Destination: "/host", ReadOnly: true}, {Source: "/etc", Destination: "/e"},
				{Source: "/$(POD)", Destination: "/v"}, {Source: "/var/run/docker.sock", Destination: "/s"}}},
		},
	} {
		container := `{"name":"app","image":"reg.example/web:1"`
		if c.container != "" {
			container += "," + c.container
		}
		pod := `{"metadata":{` + c.meta + `},"spec":{` + c.pod + `"containers":[` + container + `}]}}`
		t.Run(name, func(t *testing.T) {
			sourcetest.Check(t, Audit(), audited("create", podURI, onPod, code("201")+sent(pod)), sourcetest.Want{At: received, Body: &event.Pod{
				Verb: event.VerbCreate, Object: event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-1"}, By: bob, Code: 201,
				Spec: &event.PodSpec{Containers: []event.ContainerSpec{{Name: "app", Kind: event.MainContainer, Image: ref("reg.example/web:1"), Risk: c.want}}},
			}})
		})
	}
}

func TestAuditProbesAndKinds(t *testing.T) {
	pod := `{"spec":{"initContainers":[{"name":"i","image":"i","restartPolicy":"Always"}],"ephemeralContainers":[{"name":"e","image":"e"},7],"containers":[{"name":"c","image":"c",` +
		`"livenessProbe":{"exec":{"command":["live"]}},"readinessProbe":{"httpGet":{"path":"/"}},"startupProbe":{"exec":{"command":["up","-q"]}},` +
		`"lifecycle":{"postStart":{"exec":{"command":["hello"]}},"preStop":{"exec":{"command":["bye"]}}}}]}}`
	events, _ := sourcetest.Decode(t, Audit(), audited("create", podURI, onPod, code("201")+sent(pod)))
	if len(events) != 1 {
		t.Fatal(events)
	}
	got := events[0].Body.(*event.Pod).Spec.Containers
	if len(got) != 3 || got[0].Kind != event.InitContainer || got[1].Kind != event.MainContainer || got[2].Kind != event.EphemeralContainer {
		t.Fatalf("%+v", got)
	}
	var words []string
	for _, p := range got[1].Probes {
		words = append(words, strings.Join(p, " "))
	}
	if strings.Join(words, ",") != "live,up -q,hello,bye" {
		t.Errorf("probes %v", words)
	}
}
