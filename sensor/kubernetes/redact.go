package kubernetes

import "strings"

const redacted = "<redacted>"

// pod is a pod without what may be secret: values of environment variables and
// of headers that probes send, options of volumes, and the copy of all that
// which kubectl apply leaves. Names, labels and command lines are kept: they
// are what a hunt reads.
func pod(o map[string]any) map[string]any {
	lean(o)
	redact(o["spec"])
	return o
}

// podEvent is an Event about a pod.
func podEvent(o map[string]any) map[string]any {
	about, _ := o["involvedObject"].(map[string]any)
	if about["kind"] != "Pod" {
		return nil // whatever the API's selector lets through
	}
	lean(o)
	return o
}

// node is what a node is and where. Its kubelet reports of its health and its
// images every few minutes, which is left out; so is the version, which moves
// with them.
func node(o map[string]any) map[string]any {
	lean(o)
	meta, _ := o["metadata"].(map[string]any)
	spec, _ := o["spec"].(map[string]any)
	status, _ := o["status"].(map[string]any)
	return map[string]any{
		"apiVersion": o["apiVersion"], "kind": o["kind"],
		"metadata": only(meta, "name", "uid", "creationTimestamp", "labels"),
		"spec":     only(spec, "providerID", "podCIDR", "podCIDRs"),
		"status":   only(status, "addresses", "nodeInfo"),
	}
}

func only(o map[string]any, keys ...string) map[string]any {
	out := map[string]any{}
	for _, k := range keys {
		if v, ok := o[k]; ok {
			out[k] = v
		}
	}
	return out
}

// lean drops from an object's metadata what is about its making: who manages
// which field, and the whole object as somebody applied it, secrets included.
func lean(o map[string]any) {
	meta, _ := o["metadata"].(map[string]any)
	delete(meta, "managedFields")
	annotations, _ := meta["annotations"].(map[string]any)
	for k := range annotations {
		if strings.HasSuffix(k, "last-applied-configuration") {
			delete(annotations, k)
		}
	}
}

// redact takes out values below a specification.
func redact(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			redact(e)
		}
	case map[string]any:
		for key, e := range v {
			switch key {
			case "env", "httpHeaders":
				redactNamed(e)
			case "volumeAttributes", "options":
				redactAll(e)
			default:
				redact(e)
			}
		}
	}
}

// redactNamed redacts the values of a list of names with values.
func redactNamed(v any) {
	list, _ := v.([]any)
	for _, e := range list {
		pair, _ := e.(map[string]any)
		if s, _ := pair["value"].(string); s != "" {
			pair["value"] = redacted
		}
	}
}

// redactAll redacts every value of an object; of a list, as dnsConfig has one,
// none.
func redactAll(v any) {
	o, _ := v.(map[string]any)
	for k := range o {
		o[k] = redacted
	}
}
