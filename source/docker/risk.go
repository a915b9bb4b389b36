package docker

import (
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source/jsonrecord"
)

// risk reads what a container is allowed to do from a HostConfig, the
// top-level Mounts of an inspection (nil in a creation request) and the user.
func risk(host jsonrecord.Value, mounts []jsonrecord.Value, user string) event.Risk {
	r := event.Risk{
		Privileged:    host.Bool("Privileged"),
		Capabilities:  host.Strings("CapAdd"),
		PIDMode:       host.String("PidMode"),
		NetworkMode:   host.String("NetworkMode"),
		IPCMode:       host.String("IpcMode"),
		RestartPolicy: host.String("RestartPolicy", "Name"),
		SecurityOpt:   host.Strings("SecurityOpt"),
		User:          user,
	}
	// An inspection names a bind twice: as it was asked for and as it was made.
	listed := map[[2]string]bool{}
	add := func(m event.Mount) {
		if paths := [2]string{m.Source, m.Destination}; !listed[paths] {
			listed[paths] = true
			r.Mounts = append(r.Mounts, m)
		}
	}
	for _, bind := range host.Strings("Binds") {
		if m, ok := parseBind(bind); ok {
			add(m)
		}
	}
	for _, m := range host.Array("Mounts") {
		if isHostMount(m.String("Type")) {
			add(event.Mount{Source: m.String("Source"), Destination: m.String("Target"), ReadOnly: m.Bool("ReadOnly")})
		}
	}
	for _, m := range mounts {
		if isHostMount(m.String("Type")) {
			add(event.Mount{Source: m.String("Source"), Destination: m.String("Destination"), ReadOnly: !m.Bool("RW")})
		}
	}
	return r
}

// isHostMount reports whether a mount of this type shows a path of the host:
// volumes and temporary file systems do not. Engines before mounts had types
// printed none.
func isHostMount(kind string) bool { return kind == "bind" || kind == "npipe" || kind == "" }

// parseBind reads SOURCE:DESTINATION[:OPTIONS]. ok is false for a volume: its
// source is a name, or is missing.
func parseBind(s string) (m event.Mount, ok bool) {
	src, rest, found := cutBindPart(s)
	if !found || !isHostPath(src) {
		return event.Mount{}, false
	}
	dst, options, _ := cutBindPart(rest)
	readOnly := slices.ContainsFunc(strings.Split(options, ","), func(o string) bool { return o == "ro" || o == "readonly" })
	return event.Mount{Source: src, Destination: dst, ReadOnly: readOnly}, true
}

// cutBindPart cuts s at its first ':' that does not belong to a Windows drive.
func cutBindPart(s string) (part, rest string, found bool) {
	skip := 0
	if isDrivePath(s) {
		skip = 2
	}
	part, rest, found = strings.Cut(s[skip:], ":")
	return s[:skip+len(part)], rest, found
}

// isHostPath reports whether s is an absolute path, on Linux or on Windows,
// where a named pipe counts as one.
func isHostPath(s string) bool {
	return strings.HasPrefix(s, "/") || strings.HasPrefix(s, `\\`) || isDrivePath(s)
}

// isDrivePath reports whether s begins like C:\ or C:/.
func isDrivePath(s string) bool {
	if len(s) < 3 || s[1] != ':' || (s[2] != '\\' && s[2] != '/') {
		return false
	}
	c := s[0] | 0x20
	return c >= 'a' && c <= 'z'
}
