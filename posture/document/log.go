package document

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"tidewaiter/event"
	"tidewaiter/posture"
	"tidewaiter/source"
)

// maxUses bounds the uses that are kept of one log.
const maxUses = 100

// log reads a log of commands: who reached the daemon over SSH, and how it was
// started. known is false for a file that is no such log.
func (r *Reader) log(file string) (known bool, err error) {
	in, err := source.Open(file, source.Options{Formats: r.Formats})
	if errors.Is(err, source.ErrUnrecognised) || errors.Is(err, source.ErrEmpty) {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	defer in.Close()
	commands, dropped := 0, 0
	for {
		e, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return true, err
		}
		p, ok := e.Body.(*event.Process)
		if !ok || len(p.Args) == 0 {
			continue
		}
		commands++
		where := fmt.Sprintf("%s:%d", e.Origin.File, e.Origin.Line())
		switch {
		case DialStdio(p.Args):
			if len(r.Facts.Uses) >= maxUses {
				dropped++
				continue
			}
			r.use(fmt.Sprintf("login %d", p.AUID), fmt.Sprintf("process %d ran docker system dial-stdio, as an SSH session of a Docker client does", p.PID), where)
		case path.Base(p.Args[0]) == "dockerd" && r.daemon.ArgsWhere == "":
			r.daemon.Args, r.daemon.ArgsWhere = p.Args[1:], where
		}
	}
	if dropped > 0 {
		r.gap(posture.TopicUse, file, fmt.Errorf("%d further uses over SSH were left out", dropped))
	}
	if commands == 0 {
		r.gap(posture.TopicUse, file, errors.New("it records no command; auditd needs a rule for execve"))
	}
	return true, nil
}

// use keeps a client over SSH, once for each login.
func (r *Reader) use(from, what, where string) {
	if !slices.ContainsFunc(r.Facts.Uses, func(u posture.Use) bool { return u.From == from && u.Way == "ssh" }) {
		r.Facts.Uses = append(r.Facts.Uses, posture.Use{Way: "ssh", From: from, What: what, Where: where})
	}
}

// DialStdio reports the command that a Docker client runs at the other end of
// ssh:// (docker/cli, connhelper).
func DialStdio(args []string) bool {
	return len(args) >= 3 && path.Base(args[0]) == "docker" && args[len(args)-1] == "dial-stdio" && slices.Contains(args, "system")
}
