package ebpf

import (
	"slices"
	"strings"
)

// containerOfGroup finds the container in the path of a control group, "" if
// there is none. Runtimes name a container's group after it:
//
//	/docker/<64 hex>                       Docker, Podman without systemd "libpod-<64 hex>"
//	/system.slice/docker-<64 hex>.scope    with systemd: docker-, libpod-, cri-containerd-, crio-, and the like
//	/kubepods/burstable/pod<uid>/<64 hex>  Kubernetes, with systemd kubepods….slice/<prefix>-<64 hex>.scope
//	/docker/buildkit/<25 characters>       a step of a build
//	/<namespace>/<name>                    containerd's ctr
//
// Who may make groups inside a container chooses their names, so that the
// outermost container counts, which a runtime named. A node of Kubernetes can be
// a container itself (kind); then those of its pods are meant.
func containerOfGroup(path string) string {
	names := strings.Split(strings.Trim(path, "/"), "/")
	found := ""
	for i, name := range names {
		id := containerOfName(name)
		above := ""
		if i > 0 {
			above = names[i-1]
		}
		switch {
		case id != "" && inPod(above):
			return id
		case found != "":
		case id != "":
			found = id
		case above == "buildkit" && isBuildID(name):
			found = name
		case len(names) == 2 && i == 1 && slices.Contains(clientNamespaces, above):
			found = name
		}
	}
	return found
}

// clientNamespaces are containerd's name spaces in which people give containers
// names of their own. Others are not known from control groups that services
// make for themselves, nor are those with a runtime's ids.
var clientNamespaces = []string{"default", "k8s.io", "moby"}

// containerOfName is the id in a group's own name: alone, or between a
// runtime's prefix and systemd's ending. A group of conmon is the host's. With
// a colon it is what becomes of a name for systemd where nobody asked systemd.
func containerOfName(name string) string {
	name, isScope := strings.CutSuffix(name, ".scope")
	at := strings.LastIndexAny(name, "-:")
	prefix, id := name[:max(at, 0)], name[at+1:]
	switch {
	case len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" || strings.HasSuffix(prefix, "conmon"):
		return ""
	case isScope == (at >= 0), prefix == "libpod", prefix == "crio", name[max(at, 0)] == ':':
		return id
	}
	return ""
}

// inPod reports a pod's group: "pod<uid>", or "kubepods…-pod<uid>.slice".
func inPod(group string) bool {
	rest, isSlice := strings.CutSuffix(group, ".slice")
	if isSlice {
		at := strings.LastIndex(rest, "-pod")
		if at < 0 || !strings.Contains(rest[:at], "kubepods") {
			return false
		}
		rest = rest[at+1:]
	}
	uid, isPod := strings.CutPrefix(rest, "pod")
	return isPod && len(uid) >= 32
}

// isBuildID reports an id as BuildKit makes them (its package identity): 25
// digits to the base of 36.
func isBuildID(id string) bool {
	return len(id) == 25 && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz") == ""
}
