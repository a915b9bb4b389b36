package finding

import (
	"fmt"
	"strings"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// Describe puts a fact into a few words. The words may hold text from the
// logs: escape them for people.
func Describe(f evidence.Fact) string {
	switch b := f.Event.Body.(type) {
	case *event.Image:
		return describeImage(b)
	case *event.Container:
		return describeContainer(b)
	case *event.Task:
		return fmt.Sprintf("task %s, process %d", b.Action, b.PID)
	case *event.ExecStarted:
		return "exec: " + b.Command
	case *event.Process:
		return describeProcess(f, b)
	case *event.FileWrite:
		return "wrote " + b.Path
	case *event.Flow, *event.Socket:
		return describeConnection(f)
	case *event.DNS:
		return describeDNS(b)
	case *event.Plain:
		return "event"
	}
	return string(f.Kind)
}

func describeImage(b *event.Image) string {
	s := string(b.Action)
	if n := b.Reference.String(); n != "" {
		s += " " + n
	}
	if !b.Digest.IsZero() && b.Reference.Digest() != b.Digest {
		s += " (" + b.Digest.String() + ")"
	}
	return s
}

func describeContainer(b *event.Container) string {
	s := string(b.Action)
	if b.Name != "" {
		s += " " + b.Name
	} else {
		s += " " + shorten(b.ID)
	}
	if n := b.Image.String(); n != "" && b.Action == event.ContainerCreate {
		s += " of " + n
	}
	return s
}

func describeProcess(f evidence.Fact, p *event.Process) string {
	if f.Kind == evidence.Creation && len(p.Args) > 0 {
		// The runtime's helper is called with the container's id last.
		return "the runtime created " + shorten(p.Args[len(p.Args)-1])
	}
	s := strings.Join(p.Args, " ")
	if s == "" {
		s = p.Exe
	}
	if p.Script != "" && !strings.Contains(s, p.Script) {
		s += " (" + p.Script + ")"
	}
	return fmt.Sprintf("%s [%d]", s, p.PID)
}

func describeConnection(f evidence.Fact) string {
	if b, ok := f.Event.Body.(*event.Socket); ok && b.Path != "" {
		return "to " + b.Path
	}
	if f.Connection == nil {
		return "connection"
	}
	s := "to " + f.Connection.Remote.String()
	if len(f.Connection.Domains) > 0 {
		s += " (" + strings.Join(f.Connection.Domains, ", ") + ")"
	}
	if b, ok := f.Event.Body.(*event.Flow); ok {
		s = string(b.Protocol) + " " + s
		if b.BytesOut >= 0 && b.BytesIn >= 0 {
			s += fmt.Sprintf(", %d bytes out, %d in", b.BytesOut, b.BytesIn)
		}
		if !b.Answered {
			s += ", not answered"
		}
	}
	return s
}

func describeDNS(b *event.DNS) string {
	s := "asked for " + b.Query
	var addrs []string
	for _, a := range b.Addrs {
		addrs = append(addrs, a.String())
	}
	switch {
	case len(addrs) > 0:
		return s + ": " + strings.Join(addrs, ", ")
	case b.Code != "":
		return s + ": " + b.Code
	}
	return s
}
