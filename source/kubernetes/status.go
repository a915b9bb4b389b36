package kubernetes

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/jsonrecord"
)

// podStatus reads a pod's status from what the kubelet sent, or from the pod
// in an answer, which is a statement about it at that time. nil if it was
// refused, and if it names neither a container nor an address.
func (r *request) podStatus() (event.Body, error) {
	switch r.verb {
	case "get", "update", "patch":
	default:
		return nil, nil
	}
	from := r.said("status")
	if r.refused() || !from.Exists() {
		return nil, nil
	}
	s := &event.PodStatus{
		Object: r.object("Pod"),
		Node:   r.said("spec").String("spec", "nodeName"),
	}
	if name, ok := strings.CutPrefix(r.by.Name, "system:node:"); ok && r.verb != "get" {
		s.Node = cmp.Or(s.Node, name) // a kubelet reports its own pods only
	}
	told, err := readStatus(from.Get("status"), s, r.refs)
	if err != nil || !told {
		return nil, err
	}
	return s, nil
}

// describedPod reads a pod as a whole.
func (r *request) describedPod() (event.Body, error) {
	s := &event.PodStatus{Object: r.object("Pod"), Node: r.answered.String("spec", "nodeName")}
	meta := r.answered.Get("metadata")
	s.Owner = owner(meta, s.Object.Namespace)
	s.Spec = newPodSpec(r.answered.Get("spec"), meta.Get("annotations"), r.refs)
	if s.Object.Name == "" && s.Object.UID == "" {
		return nil, errNotPod
	}
	_, err := readStatus(r.answered.Get("status"), s, r.refs)
	return s, err
}

// statusKeys are where a status lists its containers.
var statusKeys = []struct {
	key  string
	kind event.ContainerKind
}{
	{"initContainerStatuses", event.InitContainer},
	{"containerStatuses", event.MainContainer},
	{"ephemeralContainerStatuses", event.EphemeralContainer},
}

// readStatus reports whether the status names a container or an address.
func readStatus(v jsonrecord.Value, s *event.PodStatus, refs *image.Parser) (told bool, err error) {
	s.Phase = v.String("phase")
	s.Addrs = listedAddresses(v, "podIP", "podIPs")
	s.HostAddrs = listedAddresses(v, "hostIP", "hostIPs")
	if s.StartedAt, err = statedTime(v.Get("startTime")); err != nil {
		return false, fmt.Errorf("startTime: %w", err)
	}
	told = len(s.Addrs) > 0 || len(s.HostAddrs) > 0
	for _, k := range statusKeys {
		for _, c := range v.Array(k.key) {
			if c.String("$patch") == "delete" {
				continue
			}
			status, err := containerStatus(k.kind, c, refs)
			if err != nil {
				return false, fmt.Errorf("status of container %q: %w", clip(status.Name), err)
			}
			s.Containers = append(s.Containers, status)
			told = told || status.ID != ""
		}
	}
	return told, nil
}

func containerStatus(kind event.ContainerKind, c jsonrecord.Value, refs *image.Parser) (event.ContainerStatus, error) {
	s := event.ContainerStatus{
		Name:    c.String("name"),
		Kind:    kind,
		ID:      runtimeID(cmp.Or(c.String("containerID"), c.String("state", "terminated", "containerID"))),
		Image:   refs.Parse(c.String("image")),
		ImageID: imageID(c.String("imageID")),
	}
	started := c.Get("state", "running", "startedAt")
	if started.IsNull() {
		started = c.Get("state", "terminated", "startedAt")
	}
	var err error
	if s.StartedAt, err = statedTime(started); err != nil {
		return s, fmt.Errorf("startedAt: %w", err)
	}
	return s, nil
}

// listedAddresses joins the one address with the list that repeats it.
func listedAddresses(v jsonrecord.Value, one, many string) []netip.Addr {
	texts := []string{v.String(one)}
	for _, e := range v.Array(many) {
		texts = append(texts, e.String("ip"))
	}
	var out []netip.Addr
	for _, a := range addresses(texts) {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}
