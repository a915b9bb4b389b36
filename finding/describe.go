package finding

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// Describe puts a fact about an image, or a container of it, into a few words.
// The words may hold text from the logs: escape them for people.
func Describe(f evidence.Fact, of evidence.Image) string {
	switch b := f.Event.Body.(type) {
	case *event.Image:
		return describeImage(b, of)
	case *event.ImageResolved:
		return "the registry named " + b.Digest.String() + " for " + b.Reference.String()
	case *event.Container:
		return describeContainer(b, of)
	case *event.Task:
		return describeTask(b)
	case *event.ContainerDescription:
		return describeLookup(b)
	case *event.ExecStarted:
		return "exec: " + b.Command
	case *event.Process:
		return describeProcess(f, b)
	case *event.FileWrite:
		return "wrote " + b.Path
	case *event.Flow, *event.Socket:
		return describeConnection(f)
	case *event.APIRequest:
		return describeCall(b)
	case *event.BuildStep:
		return "build step: " + strings.Join(b.Command, " ")
	case *event.DNS:
		return describeDNS(b)
	case *event.HTTP:
		s := strings.TrimSpace(b.Method + " http://" + cmp.Or(b.Host, b.Server.Addr().String()) + b.URI)
		if f.Kind == evidence.Build || f.Kind == evidence.Creation {
			s = b.Client.Addr().String() + ": " + s
		}
		return s
	case *event.TLS:
		return "TLS to " + cmp.Or(b.ServerName, b.Server.String())
	case *event.RegistryAction:
		return by(b.By) + cmp.Or(b.Action, "registry") + " " + b.Reference.String() + " (" + b.Digest.String() + ")"
	case *event.Plain:
		return "event"
	}
	if s := cmp.Or(describeKubernetes(f.Event.Body), describeCloud(f.Event.Body)); s != "" {
		return s
	}
	return string(f.Kind)
}

// describeCloud puts what clouds and guests tell of machines into words.
func describeCloud(body event.Body) string {
	switch b := body.(type) {
	case *event.Instance:
		return by(b.By) + tried(b.Failure) + strings.TrimSpace(string(b.Action)+" "+cmp.Or(b.ID, b.Name, b.Resource, b.Group)) + of(string(b.Image))
	case *event.VMImage:
		return by(b.By) + tried(b.Failure) + strings.TrimSpace(string(b.Action)+" "+cmp.Or(string(b.ID), b.Name)) + of(string(b.Parent))
	case *event.GuestScript:
		return strings.TrimSpace(b.Agent + " " + string(b.Stage) + " " + cmp.Or(strings.Join(b.Commands, "; "), b.Name))
	}
	return ""
}

func tried(failure string) string {
	if failure == "" {
		return ""
	}
	return "tried in vain (" + failure + "): "
}

func of(image string) string {
	if image == "" {
		return ""
	}
	return " of " + image
}

// describeKubernetes puts what the Kubernetes API tells into words.
func describeKubernetes(body event.Body) string {
	switch b := body.(type) {
	case *event.Pod:
		return asked(b.By, b.Verb, b.Object, b.Spec)
	case *event.Workload:
		return asked(b.By, b.Verb, b.Object, b.Template)
	case *event.PodAccess:
		s := b.Action + " in " + b.Object.Namespace + "/" + b.Object.Name
		if len(b.Command) > 0 {
			s += ": " + strings.Join(b.Command, " ")
		}
		return by(b.By) + s
	case *event.Grant:
		return by(b.By) + "give " + b.Role + " to " + strings.Join(b.To, ", ")
	case *event.KubeEvent:
		return b.Reason + ": " + b.Message
	}
	return ""
}

// describeCall tells a call of a container runtime's API.
func describeCall(r *event.APIRequest) string {
	s := r.Method + " " + r.Path
	if tag := r.Query.Get("t"); tag != "" {
		s += " of " + tag
	}
	if r.Create != nil {
		s += " of " + r.Create.Image.Familiar()
	}
	switch {
	case r.User != "":
		return r.User + ": " + s
	case r.Client.IsValid():
		return r.Client.Addr().String() + ": " + s
	}
	return s
}

func by(p event.Principal) string {
	if p.Name == "" {
		return ""
	}
	return p.Name + ": "
}

// asked says who asked for what, and of which images.
func asked(p event.Principal, verb event.APIVerb, o event.ObjectRef, spec *event.PodSpec) string {
	s := by(p) + string(verb) + " " + strings.ToLower(o.Kind) + " " + o.Namespace + "/" + o.Name
	if spec == nil || verb == event.VerbDelete {
		return s
	}
	var images []string
	for _, c := range spec.Containers {
		if name := c.Image.String(); name != "" && !slices.Contains(images, name) {
			images = append(images, name)
		}
	}
	if len(images) > 0 {
		s += " of " + strings.Join(images, ", ")
	}
	return s
}

func describeImage(b *event.Image, of evidence.Image) string {
	s := string(b.Action)
	if n := of.Call(b.Reference); n != "" {
		s += " " + n
	}
	if !b.Digest.IsZero() && b.Reference.Digest() != b.Digest {
		s += " (" + b.Digest.String() + ")"
	}
	return s
}

func describeContainer(b *event.Container, of evidence.Image) string {
	s := string(b.Action)
	if b.Name != "" {
		s += " " + b.Name
	} else {
		s += " " + shorten(b.ID)
	}
	if n := of.Call(b.Image); n != "" && b.Action == event.ContainerCreate {
		s += " of " + n
	}
	return s
}

// describeLookup tells what a look-up says that a container was allowed to do.
func describeLookup(d *event.ContainerDescription) string {
	var says []string
	if d.Risk.Privileged {
		says = append(says, "privileged")
	}
	for _, m := range d.Risk.Mounts {
		says = append(says, m.Source+" at "+m.Destination)
	}
	if len(d.Risk.Capabilities) > 0 {
		says = append(says, strings.Join(d.Risk.Capabilities, ", "))
	}
	for _, n := range d.Networks {
		for _, a := range n.Addrs {
			says = append(says, a.String())
		}
	}
	what := d.Name
	if name := d.Image.Familiar(); name != "" {
		what = strings.TrimSpace(what + " of " + name)
	}
	return strings.TrimSuffix(strings.TrimSpace("looked up "+what)+": "+strings.Join(says, "; "), ": ")
}

// describeTask leaves out a process that the source does not tell.
func describeTask(b *event.Task) string {
	if b.PID == 0 {
		return "task " + string(b.Action)
	}
	return fmt.Sprintf("task %s, process %d", b.Action, b.PID)
}

func describeProcess(f evidence.Fact, p *event.Process) string {
	if n := len(p.Args); f.Kind == evidence.Creation && n > 0 && shorten(p.Args[n-1]) != p.Args[n-1] {
		// The runtime's helper is called with the container's id last. Other
		// commands are those of a user's client.
		return "the runtime created " + shorten(p.Args[n-1])
	}
	s := strings.Join(p.Args, " ")
	if s == "" {
		s = p.Exe
	}
	if p.Script != "" && !strings.Contains(s, p.Script) {
		s += " (" + p.Script + ")"
	}
	if p.PID == 0 && s != "" {
		return s // the source tells the container instead
	}
	return fmt.Sprintf("%s [%d]", s, p.PID)
}

func describeConnection(f evidence.Fact) string {
	if b, ok := f.Event.Body.(*event.Socket); ok && b.Path != "" {
		return "to " + b.Path
	}
	if f.Connection == nil {
		if b, ok := f.Event.Body.(*event.Flow); ok && b.Src.IsValid() { // to the runtime's API
			return b.Src.Addr().String() + ": " + string(b.Protocol) + " to " + b.Dst.String()
		}
		return "connection"
	}
	s := "to " + f.Connection.Remote.String()
	known := slices.Clone(f.Connection.Domains)
	if f.Connection.System != "" {
		known = append(known, f.Connection.System)
	}
	if len(known) > 0 {
		s += " (" + strings.Join(known, ", ") + ")"
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

// PodWords says where a pod is, what made it, and who asked for that; "" for a
// subject that is none.
func (s Subject) PodWords() string {
	pod := s.Pod
	if pod == nil {
		return ""
	}
	words := "pod " + pod.Namespace + "/" + pod.Name
	if pod.Node != "" {
		words += " on " + pod.Node
	}
	if pod.Owner.Kind != "Pod" {
		words += " of " + strings.ToLower(pod.Owner.Kind) + "/" + pod.Owner.Name
	}
	if len(pod.Creators) > 0 && pod.Creators[0].By.Name != "" {
		words += ", asked for by " + pod.Creators[0].By.Name
	}
	return words
}
