package cri

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"tidewaiter/event"
)

// readSandboxCreate reads "METADATA returns sandbox id ID".
func readSandboxCreate(_ *containerd, rest string) (statement, error) {
	m, rest, err := parseMessage(rest)
	if err != nil {
		return statement{}, err
	}
	rest, returned := strings.CutPrefix(strings.TrimLeft(rest, " "), returnsSandbox)
	if !returned {
		return statement{}, nil // asked for, or failed
	}
	body := &event.Sandbox{Action: event.ContainerCreate, Object: event.ObjectRef{Kind: "Pod"}}
	if body.ID, err = anID(rest); err != nil {
		return statement{}, err
	}
	for _, f := range []struct {
		to             *string
		goName, inText string
	}{
		{&body.Object.Namespace, "Namespace", "namespace"},
		{&body.Object.Name, "Name", "name"},
		{&body.Object.UID, "Uid", "uid"},
	} {
		if *f.to, err = m.text(f.goName, f.inText); err != nil {
			return statement{}, err
		}
	}
	return statement{body: body}, nil
}

// anID reads a quoted id that is not empty.
func anID(s string) (string, error) {
	id, _, err := quoted(s)
	if err == nil && id == "" {
		err = errNoID
	}
	return id, err
}

// done reads "ID returns successfully"; ok is false for the request and for a
// failure.
func done(rest string) (id string, ok bool, err error) {
	id, rest, err = quoted(rest)
	switch {
	case err != nil:
		return "", false, err
	case !strings.HasPrefix(rest, returnsDone):
		return "", false, nil
	case id == "":
		return "", false, errNoID
	}
	return id, true, nil
}

func readSandbox(action event.ContainerAction) func(*containerd, string) (statement, error) {
	return func(_ *containerd, rest string) (statement, error) {
		id, ok, err := done(rest)
		if err != nil || !ok {
			return statement{}, err
		}
		return statement{body: &event.Sandbox{Action: action, ID: id}}, nil
	}
}

func readContainer(action event.ContainerAction) func(*containerd, string) (statement, error) {
	return func(_ *containerd, rest string) (statement, error) {
		id, ok, err := done(rest)
		if err != nil || !ok {
			return statement{}, err
		}
		return statement{body: &event.Container{Action: action, ID: id, Namespace: criNamespace}}, nil
	}
}

// readCreate reads "SANDBOX for METADATA returns container id ID". The request
// says "for container METADATA".
func readCreate(_ *containerd, rest string) (statement, error) {
	sandbox, rest, err := quoted(rest)
	if err != nil {
		return statement{}, err
	}
	rest, found := strings.CutPrefix(rest, " for ")
	if !found || strings.HasPrefix(rest, "container ") {
		return statement{}, nil
	}
	m, rest, err := parseMessage(rest)
	if err != nil {
		return statement{}, err
	}
	rest, returned := strings.CutPrefix(strings.TrimLeft(rest, " "), returnsContainer)
	if !returned {
		return statement{}, nil
	}
	body := &event.Container{Action: event.ContainerCreate, Namespace: criNamespace, Sandbox: sandbox}
	if body.ID, err = anID(rest); err != nil {
		return statement{}, err
	}
	body.Name, err = m.text("Name", "name")
	return statement{body: body}, err
}

// readExec reads "ID with command [ARGV]…". It was asked for: whether it could
// be run is told without its command. end is what follows the arguments; they
// are not quoted, and may hold it too.
func readExec(end string) func(*containerd, string) (statement, error) {
	return func(_ *containerd, rest string) (statement, error) {
		id, rest, err := quoted(rest)
		if err != nil {
			return statement{}, err
		}
		rest, found := strings.CutPrefix(rest, " with command [")
		i := strings.LastIndex(rest, end)
		switch {
		case !found:
			return statement{}, nil // returned, or failed
		case i < 0:
			return statement{}, errNoCommand
		case id == "":
			return statement{}, errNoID
		}
		return statement{body: &event.ExecStarted{Container: id, Namespace: criNamespace, Command: rest[:i]}}, nil
	}
}

// readExit reads the end of a container's first process or of an exec's. It is
// told when it is received, and again each time it is dealt with: the key is
// the process and when it ended.
func readExit(_ *containerd, rest string) (statement, error) {
	m, _, err := parseMessage(rest)
	if err != nil {
		return statement{}, err
	}
	id, err := m.text("ID", "id")
	if err != nil {
		return statement{}, err
	}
	task := &event.Task{Action: event.TaskExit, Namespace: criNamespace}
	if task.Container, err = m.text("ContainerID", "container_id"); err != nil {
		return statement{}, err
	}
	if task.Container == "" {
		return statement{}, errNoID
	}
	if id != task.Container {
		task.ExecID = id
	}
	if task.PID, err = m.number("Pid", "pid"); err != nil {
		return statement{}, err
	}
	if task.ExitCode, err = m.number("ExitStatus", "exit_status"); err != nil {
		return statement{}, err
	}
	said := statement{body: task}
	if said.at, err = exitedAt(m); err == nil && !said.at.IsZero() {
		said.key = fmt.Sprintf("exit|%s|%s|%d|%d", task.Container, id, task.PID, said.at.At)
	}
	return said, err
}

// readSandboxExit reads the end of a sandbox, which is told as its own event or
// as that of the container with its id.
func readSandboxExit(_ *containerd, rest string) (statement, error) {
	m, _, err := parseMessage(rest)
	if err != nil {
		return statement{}, err
	}
	id, err := m.text("SandboxID", "sandbox_id")
	if err == nil && id == "" {
		id, err = m.text("ContainerID", "container_id")
	}
	if err != nil {
		return statement{}, err
	}
	if id == "" {
		return statement{}, errNoID
	}
	said := statement{body: &event.Sandbox{Action: event.ContainerExit, ID: id}}
	if said.at, err = exitedAt(m); err == nil && !said.at.IsZero() {
		said.key = fmt.Sprintf("sandbox-exit|%s|%d", id, said.at.At)
	}
	return said, err
}

// goTime is how a time.Time is printed, without the zone's name: the offset
// before it is right where the name is not ("+0900 UTC").
const goTime = "2006-01-02 15:04:05.999999999 -0700"

// exitedAt reads {seconds:… nanos:…}, or a printed time. A missing one, and
// Go's zero time, give the zero Time: then the line's own time counts.
func exitedAt(m message) (event.Time, error) {
	s, err := m.text("ExitedAt", "exited_at")
	if err != nil || s == "" {
		return event.Time{}, err
	}
	if strings.HasPrefix(s, "{") {
		return stampTime(s)
	}
	t, err := time.Parse(goTime, s[:max(strings.LastIndexByte(s, ' '), 0)])
	if err != nil {
		return event.Time{}, fmt.Errorf("exit time %q: want %q and a zone", clip(s), goTime)
	}
	if y := t.Year(); y < 1970 || y > 2261 {
		return event.Time{}, nil
	}
	return event.At(t, event.Nanosecond), nil
}

// stampTime reads {seconds:… nanos:…}; a part that is 0 is left out.
func stampTime(s string) (event.Time, error) {
	inner := strings.TrimSuffix(s[1:], "}")
	if strings.TrimSpace(inner) == "" {
		return event.Time{}, nil
	}
	m, _, err := parseText(inner)
	if err != nil {
		return event.Time{}, fmt.Errorf("exit time: %w", err)
	}
	text, err := m.text("", "seconds")
	if err != nil {
		return event.Time{}, err
	}
	nanos, err := m.number("", "nanos")
	if err != nil {
		return event.Time{}, err
	}
	// Before 1970 lies Go's zero time, after 2261 what 64 bits cannot hold.
	const last = 9_200_000_000
	seconds, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil && text != "":
		return event.Time{}, fmt.Errorf("exit time: seconds %q are no number", clip(text))
	case seconds <= 0 || seconds > last || nanos >= int(event.Second):
		return event.Time{}, nil
	}
	return event.Time{At: seconds*event.Second + int64(nanos), Res: event.Nanosecond}, nil
}
