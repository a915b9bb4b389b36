package kubernetes

import (
	"net/url"
	"strings"

	"tidewaiter/event"
)

// podAccess says that somebody reached into a pod. The query says how; the
// kinds of objects that stand for it (PodExecOptions and the like) say the
// same where the query is not told.
func (r *request) podAccess() event.Body {
	a := &event.PodAccess{Action: r.sub, Object: r.object("Pod"), By: r.by, Code: r.code}
	q := r.query()
	a.Container = q.Get("container")
	a.Command = q["command"]
	a.Stdin, a.TTY = isOn(q, "stdin"), isOn(q, "tty")
	switch {
	case r.sub == "proxy":
		a.Object.Name = proxied(a.Object.Name)
		a.Container, a.Command, a.Stdin, a.TTY = "", nil, false, false // the query is the pod's own
	case len(q) == 0 && r.sent.IsObject():
		a.Container = r.sent.String("container")
		a.Command = r.sent.Strings("command")
		a.Stdin, a.TTY = r.sent.Bool("stdin"), r.sent.Bool("tty")
	}
	return a
}

// isOn reads a flag of a query as the API server does: only absence, "false"
// and "0" are off (k8s.io/apimachinery, Convert_Slice_string_To_bool).
func isOn(q url.Values, key string) bool {
	v, ok := q[key]
	return ok && len(v) > 0 && v[0] != "0" && !strings.EqualFold(v[0], "false")
}

// proxied is the name in scheme:name:port.
func proxied(s string) string {
	parts := strings.Split(s, ":")
	if len(parts) == 3 {
		return parts[1]
	}
	return parts[0]
}

// nodeProxy reads a request that the API server hands on to a kubelet: with it
// a command is run in a pod without the exec subresource. nil for the rest of
// the kubelet's paths.
func (r *request) nodeProxy() event.Body {
	_, path, ok := strings.Cut(r.uri, "/nodes/"+r.name+"/proxy/")
	if !ok {
		return nil
	}
	a := kubeletAccess("/" + path)
	if a == nil {
		return nil
	}
	a.By, a.Code = r.by, r.code
	return a
}

// kubeletActions are the kubelet's paths that lead into a pod
// (k8s.io/kubernetes, pkg/kubelet/server).
var kubeletActions = map[string]string{"exec": "exec", "run": "exec", "attach": "attach", "portForward": "portforward"}

// kubeletAccess reads a request to the kubelet:
// /exec/NAMESPACE/POD[/UID]/CONTAINER?command=… and its like. nil for others.
func kubeletAccess(uri string) *event.PodAccess {
	path, query, _ := strings.Cut(uri, "?")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	action := kubeletActions[parts[0]]
	if action == "" || len(parts) < 3 || len(parts) > 5 {
		return nil
	}
	for i, p := range parts {
		if plain, err := url.PathUnescape(p); err == nil {
			parts[i] = plain
		}
	}
	a := &event.PodAccess{Action: action, Object: event.ObjectRef{Kind: "Pod", Namespace: parts[1], Name: parts[2]}}
	rest := parts[3:]
	if action == "portforward" && len(rest) == 1 || len(rest) == 2 {
		a.Object.UID, rest = rest[0], rest[1:]
	}
	if len(rest) == 1 {
		a.Container = rest[0]
	}
	q, _ := url.ParseQuery(query)
	a.Command = q["command"]
	if cmd := q.Get("cmd"); parts[0] == "run" && cmd != "" {
		a.Command = strings.Split(cmd, " ") // as the kubelet does
	}
	a.Stdin, a.TTY = q.Get("input") == "1" || isOn(q, "stdin"), isOn(q, "tty")
	return a
}
