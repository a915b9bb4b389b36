package kubernetes

import (
	"testing"

	"tidewaiter/image"
	"tidewaiter/source/jsonrecord"
)

// TestTellsNothingIsSure tries every request that is named anywhere here, and
// some that are not, with bodies that have something for each kind: one of
// which it is said beforehand that it tells nothing must have no body.
func TestTellsNothingIsSure(t *testing.T) {
	const object = `{"kind":"Pod","metadata":{"name":"web-1","namespace":"prod","uid":"p-1"},"target":{"kind":"Node","name":"node-a"},` +
		`"spec":{"providerID":"aws:///a/i-1","containers":[{"name":"app","image":"a/b:1"}],"template":{"spec":{}}},"roleRef":{"kind":"Role","name":"r"},` +
		`"status":{"phase":"Running","podIP":"10.1.2.3","addresses":[{"type":"InternalIP","address":"10.0.0.1"}],"containerStatuses":[{"name":"app","containerID":"containerd://c0","image":"a/b:1"}]}}`
	var p jsonrecord.Parser
	v, err := p.Parse([]byte(object))
	if err != nil {
		t.Fatal(err)
	}
	groups := []string{"", "rbac.authorization.k8s.io", "apps", "extensions", "batch", "coordination.k8s.io", "policy"}
	resources := []string{"pods", "bindings", "nodes", "leases", "events", "rolebindings", "clusterrolebindings", "roles", "deployments", "replicasets",
		"daemonsets", "statefulsets", "jobs", "cronjobs", "replicationcontrollers", "secrets"}
	subs := []string{"", "status", "exec", "attach", "portforward", "proxy", "binding", "eviction", "ephemeralcontainers", "log", "scale", "token"}
	verbs := []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "connect", "head"}
	told, silent := 0, 0
	for _, group := range groups {
		for _, resource := range resources {
			for _, sub := range subs {
				for _, verb := range verbs {
					r := request{verb: verb, group: group, resource: resource, sub: sub, name: "node-a", uri: "/api/v1/nodes/node-a/proxy/exec/prod/web-1/app", code: 200, refs: &image.Parser{}}
					r.sent, r.answered = v, v
					body, err := r.body()
					switch {
					case !r.tellsNothing():
						told++
					case body != nil || err != nil:
						t.Errorf("%s %q %s %q: said to tell nothing, and tells %T, %v", verb, group, resource, sub, body, err)
					default:
						silent++
					}
				}
			}
		}
	}
	if told == 0 || silent == 0 {
		t.Errorf("%d may tell something, %d nothing", told, silent)
	}
}
