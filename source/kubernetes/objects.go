package kubernetes

import (
	"cmp"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// workloads are the kinds that make pods, by API group and resource.
var workloads = map[string]string{
	"apps/deployments": "Deployment", "extensions/deployments": "Deployment",
	"apps/replicasets": "ReplicaSet", "extensions/replicasets": "ReplicaSet",
	"apps/daemonsets": "DaemonSet", "extensions/daemonsets": "DaemonSet",
	"apps/statefulsets":       "StatefulSet",
	"batch/jobs":              "Job",
	"batch/cronjobs":          "CronJob",
	"/replicationcontrollers": "ReplicationController",
}

// grants are the kinds that give rights, by resource.
var grants = map[string]string{"rolebindings": "RoleBinding", "clusterrolebindings": "ClusterRoleBinding"}

// podBody reads a request about a pod.
func (r *request) podBody() (event.Body, error) {
	switch r.sub {
	case "", "ephemeralcontainers":
		if verb := r.apiVerb(); verb != "" {
			return r.pod(verb)
		}
		if r.verb == "get" && r.sub == "" {
			return r.podStatus()
		}
	case "status":
		return r.podStatus()
	case "exec", "attach", "portforward", "proxy":
		return r.podAccess(), nil
	case "binding":
		return r.binding(), nil
	case "eviction":
		// The pod is deleted without a request of its own for it.
		if r.verb == "create" {
			return r.pod(event.VerbDelete)
		}
	}
	return nil, nil
}

// object names the object. The answer knows its name best.
func (r *request) object(kind string) event.ObjectRef {
	answered, sent := r.answered.Get("metadata"), r.sent.Get("metadata")
	return event.ObjectRef{
		Kind:      kind,
		Namespace: cmp.Or(r.namespace, answered.String("namespace"), sent.String("namespace")),
		Name:      cmp.Or(answered.String("name"), r.name, sent.String("name")),
		UID:       cmp.Or(answered.String("uid"), r.uid, sent.String("uid")),
	}
}

// said gives the first of answer and request that has an object under key. The
// answer is what was stored, with what admission made of it; a refusal, a table
// or bare metadata has none.
func (r *request) said(key string) jsonrecord.Value {
	if r.answered.Get(key).IsObject() {
		return r.answered
	}
	if r.sent.Get(key).IsObject() {
		return r.sent
	}
	return jsonrecord.Value{}
}

// pod says that a pod was created, changed or deleted.
func (r *request) pod(verb event.APIVerb) (event.Body, error) {
	meta := r.said("metadata").Get("metadata")
	p := &event.Pod{
		Verb:   verb,
		Object: r.object("Pod"),
		Prefix: cmp.Or(meta.String("generateName"), r.sent.String("metadata", "generateName")),
		By:     r.by,
		Code:   r.code,
	}
	p.Owner = owner(meta, p.Object.Namespace)
	var err error
	if p.Labels, err = stringMap(meta.Get("labels")); err != nil {
		return nil, err
	}
	if r.sub == "ephemeralcontainers" {
		p.Verb, p.Spec = event.VerbUpdate, r.ephemeral()
		return p, nil
	}
	from := r.said("spec")
	p.Spec = newPodSpec(from.Get("spec"), from.Get("metadata", "annotations"), r.refs)
	return p, nil
}

// ephemeral is the specification of what was put into a running pod. The
// request may be a JSON patch, and was an object of its own kind at first.
func (r *request) ephemeral() *event.PodSpec {
	from := r.said("spec")
	w := specReader{spec: from.Get("spec"), annotations: from.Get("metadata", "annotations"), refs: r.refs}
	if from.Exists() {
		w.add(event.EphemeralContainer, w.spec.Array("ephemeralContainers"))
		return w.result()
	}
	w.add(event.EphemeralContainer, r.answered.Array("ephemeralContainers"))
	if len(w.out.Containers) == 0 {
		w.add(event.EphemeralContainer, r.sent.Array("ephemeralContainers"))
	}
	for _, op := range r.sent.Array() {
		path := strings.TrimPrefix(op.String("path"), "/spec")
		if rest, ok := strings.CutPrefix(path, "/ephemeralContainers"); ok && strings.Count(rest, "/") < 2 {
			w.add(event.EphemeralContainer, oneOrMany(op.Get("value")))
		}
	}
	return w.result()
}

func oneOrMany(v jsonrecord.Value) []jsonrecord.Value {
	if v.IsObject() {
		return []jsonrecord.Value{v}
	}
	return v.Array()
}

// binding says which node the scheduler chose for a pod; nil if the level
// leaves that out.
func (r *request) binding() event.Body {
	node := r.sent.String("target", "name")
	if r.verb != "create" || node == "" || cmp.Or(r.sent.String("target", "kind"), "Node") != "Node" {
		return nil
	}
	return &event.Pod{Verb: event.VerbUpdate, Object: r.object("Pod"), By: r.by, Code: r.code, Spec: &event.PodSpec{Node: node}}
}

// workload says that something that makes pods was created, changed or deleted.
func (r *request) workload() (event.Body, error) {
	verb := r.apiVerb()
	if verb == "" {
		return nil, nil
	}
	meta := r.said("metadata").Get("metadata")
	w := &event.Workload{
		Verb:   verb,
		Object: r.object(workloads[r.group+"/"+r.resource]),
		Prefix: cmp.Or(meta.String("generateName"), r.sent.String("metadata", "generateName")),
		By:     r.by,
		Code:   r.code,
	}
	w.Owner = owner(meta, w.Object.Namespace)
	spec := r.said("spec").Get("spec")
	if job := spec.Get("jobTemplate"); job.IsObject() {
		spec = job.Get("spec")
	}
	template := spec.Get("template")
	w.Template = newPodSpec(template.Get("spec"), template.Get("metadata", "annotations"), r.refs)
	return w, nil
}

// owner is the controller among ownerReferences. Owners live in the namespace
// of what they own, except nodes, which have none.
func owner(meta jsonrecord.Value, namespace string) event.ObjectRef {
	for _, o := range meta.Array("ownerReferences") {
		if !o.Bool("controller") {
			continue
		}
		ref := event.ObjectRef{Kind: o.String("kind"), Namespace: namespace, Name: o.String("name"), UID: o.String("uid")}
		if ref.Kind == "Node" {
			ref.Namespace = ""
		}
		return ref
	}
	return event.ObjectRef{}
}

// grant says that rights were given or taken.
func (r *request) grant() event.Body {
	verb := r.apiVerb()
	if verb == "" {
		return nil
	}
	g := &event.Grant{Verb: verb, Object: r.object(grants[r.resource]), By: r.by, Code: r.code}
	from := r.said("roleRef")
	if ref := from.Get("roleRef"); ref.String("name") != "" {
		g.Role = ref.String("kind") + "/" + ref.String("name")
	}
	subjects := from.Array("subjects")
	if !from.Exists() {
		subjects = r.sent.Array("subjects") // a patch of the subjects alone
	}
	for _, s := range subjects {
		to := s.String("kind") + "/"
		if s.String("kind") == "ServiceAccount" {
			to += cmp.Or(s.String("namespace"), g.Object.Namespace) + "/"
		}
		g.To = append(g.To, to+s.String("name"))
	}
	return g
}

// nodeBody reads a request about a node: what addresses it has, or that
// somebody reached a pod through it.
func (r *request) nodeBody() event.Body {
	switch {
	case r.sub == "proxy":
		return r.nodeProxy()
	case r.refused() || r.sub != "" && r.sub != "status":
		return nil
	}
	switch r.verb {
	case "create", "update", "patch", "get":
	default:
		return nil
	}
	d := &event.HostDescription{
		Name:       r.object("Node").Name,
		InstanceID: instanceID(r.said("spec").String("spec", "providerID")),
	}
	for _, a := range r.said("status").Array("status", "addresses") {
		switch a.String("type") {
		case "InternalIP", "ExternalIP":
			d.Addrs = append(d.Addrs, addresses([]string{a.String("address")})...)
		}
	}
	if d.Name == "" || len(d.Addrs) == 0 && d.InstanceID == "" {
		return nil
	}
	return d
}

// instanceID reads a node's providerID as its cloud names the machine: the
// instance on AWS (aws:///zone/i-…), the resource id on Azure
// (azure:///subscriptions/…), and what follows the scheme elsewhere.
func instanceID(s string) string {
	provider, rest, ok := strings.Cut(s, "://")
	if ok && provider == "aws" {
		return rest[strings.LastIndexByte(rest, '/')+1:]
	}
	return rest
}
