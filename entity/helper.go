package entity

import (
	"slices"
	"strings"

	"tidewaiter/event"
)

// runtimeCall is what a command line of a container runtime's own programs
// says. Those run on the host, although their parent may be a shim.
type runtimeCall struct {
	exec   bool   // it starts a further process in a running container
	starts string // the container whose processes it starts, or ""
	makes  string // the container that it makes, or ""
	step   bool   // that is a step of an image's build
}

// readRuntimeCall reads the command line of a program that is called like one
// of a runtime's; nil for any other. A shim carries the container in "-id"; in
// Kubernetes that is the pod's sandbox.
func readRuntimeCall(p *event.Process) *runtimeCall {
	if len(p.Args) == 0 {
		return nil
	}
	if p.Args[0] == buildahRuntime {
		return &runtimeCall{}
	}
	switch name := helperName(p.Exe); {
	case name == "runc", name == "crun", name == "youki", name == "docker-runc":
		return readOCICall(p.Args[1:])
	case strings.HasPrefix(name, "containerd-shim"):
		if i := slices.Index(p.Args, "-id"); i > 0 && i+1 < len(p.Args) {
			return &runtimeCall{starts: p.Args[i+1]}
		}
		return &runtimeCall{}
	case name == "conmon", name == "docker-containerd-shim", name == "dockerd": // it is its network's hook, too
		return &runtimeCall{}
	case p.Exe == "/" && slices.Equal(p.Args, []string{"runc", "init"}):
		return &runtimeCall{} // its copy lies on a mount of its own, to which no path leads
	}
	return nil
}

// helperName is the name of a program file. runc runs its init from a copy of
// itself in memory, so that a container cannot overwrite it.
func helperName(exe string) string {
	if strings.HasPrefix(exe, "/memfd:runc_cloned:") {
		return "runc"
	}
	return event.ProgramName(strings.TrimSuffix(exe, " (deleted)"))
}

// readOCICall reads the arguments of an OCI runtime (runc(8)): options, a
// sub-command, its options, and the container's id.
func readOCICall(args []string) *runtimeCall {
	at := slices.IndexFunc(args, func(a string) bool { return slices.Contains(ociVerbs, a) })
	switch {
	case at < 0 && (len(args) == 0 || args[0] != "init" && !strings.HasPrefix(args[0], "--")):
		return nil
	case at < 0:
		return &runtimeCall{}
	}
	switch rest := args[at+1:]; args[at] {
	case "exec":
		return &runtimeCall{exec: true, starts: firstOperand(rest)}
	case "run":
		if id := firstOperand(rest); isBuildKitStep(id, rest) {
			return &runtimeCall{starts: id, makes: id, step: true}
		}
		return &runtimeCall{starts: firstOperand(rest)}
	case "create":
		id := firstOperand(rest)
		return &runtimeCall{makes: id, step: isBuildahStep(id)}
	}
	return &runtimeCall{}
}

// isBuildKitStep reports that a runtime is called by BuildKit, which runs each
// step in a container of its own, below a folder "executor".
func isBuildKitStep(id string, args []string) bool {
	return isStepID(id) && slices.ContainsFunc(args, func(a string) bool { return strings.HasSuffix(a, "/executor/"+id) })
}

// isStepID reports an id as BuildKit makes them (its package identity): 25
// digits to the base of 36; or one of Buildah's.
func isStepID(id string) bool {
	return len(id) == 25 && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz") == "" || isBuildahStep(id)
}

// buildahRuntime is as what Buildah, and with it Podman, starts itself again to
// watch over a step of a build (its runUsingRuntimeCommand).
const buildahRuntime = "buildah-oci-runtime"

// isBuildahStep reports an id as Buildah gives them to the container of a step:
// the step's folder, which it makes below a folder for what is passing.
func isBuildahStep(id string) bool {
	return strings.HasPrefix(id, "buildah-buildah") && strings.Trim(id[len("buildah-buildah"):], "0123456789") == ""
}

// ociVerbs are the sub-commands of OCI runtimes.
var ociVerbs = []string{
	"create", "start", "run", "exec", "kill", "delete", "state", "events", "update", "pause", "resume", "restore", "checkpoint", "ps", "features",
}

// ociSwitches are the options of create, run and exec that take no value.
var ociSwitches = []string{
	"-t", "--tty", "-d", "--detach", "--no-new-privs", "--ignore-paused", "--no-pivot", "--no-new-keyring", "--no-subreaper", "--keep", "--systemd-cgroup",
}

// firstOperand is the first argument that is no option and no option's value.
func firstOperand(args []string) string {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case !strings.HasPrefix(a, "-"):
			return a
		case !strings.Contains(a, "=") && !slices.Contains(ociSwitches, a):
			i++
		}
	}
	return ""
}
