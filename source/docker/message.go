package docker

import (
	"errors"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
)

// Reasons why an engine event cannot be read.
var (
	errNoKind   = errors.New("neither Type nor status says what the event is about")
	errNoAction = errors.New("no action")
	errNoID     = errors.New("no id")
)

// containerActions are the container events that say something about a
// container's life (Docker Engine API, "Monitor events"). A restart is
// announced after the new start of the same container.
var containerActions = map[string]event.ContainerAction{
	"create":        event.ContainerCreate,
	"start":         event.ContainerStart,
	"restart":       event.ContainerStart,
	"die":           event.ContainerExit,
	"destroy":       event.ContainerRemove,
	"health_status": event.ContainerHealthy,
}

// imageActions are the image events of the same list.
var imageActions = map[string]event.ImageAction{
	"pull":   event.ImagePull,
	"load":   event.ImageLoad,
	"import": event.ImageImport,
	"create": event.ImageCreate,
	"tag":    event.ImageTag,
	"untag":  event.ImageUntag,
	"push":   event.ImagePush,
	"save":   event.ImageSave,
	"delete": event.ImageDelete,
}

// engineAttributes are the attributes that the engine itself puts beside a
// container's labels.
var engineAttributes = map[string]bool{
	"image": true, "name": true, "exitCode": true, "signal": true, "execID": true, "execDuration": true,
	podmanExit: true, "podId": true,
}

// unknownExit is the exit code of a container whose record tells none. No
// process ends with a negative one.
const unknownExit = -1

// attributes are an event's Actor.Attributes.
//
// The engine copies a container's labels over its own attributes and writes
// only image and name after them, so exitCode and execID can be forged by
// whoever wrote the image's labels.
type attributes interface {
	// get is one attribute, "" if it is missing.
	get(key string) string
	// labels are the attributes that are not the engine's own, nil if there
	// are none.
	labels() (map[string]string, error)
}

// message is one engine event, in whichever schema it was printed.
type message struct {
	at     event.Time
	typ    string // "container", "image", "network", …
	action string // as printed, with the text after its colon
	id     string
	from   string // the image, in schemas that have it beside the attributes
	attrs  attributes
}

// matters reports whether type and action can say something of interest.
func (m *message) matters() bool {
	verb, _, _ := strings.Cut(m.action, ":")
	switch m.typ {
	case "container":
		_, known := containerActions[verb]
		return known || verb == "exec_start" || verb == execCreate || verb == "commit"
	case "image":
		_, known := imageActions[verb]
		return known
	case "network":
		return verb == "connect" || verb == "disconnect"
	}
	return false
}

// body is what a message that matters says; nil if nothing after all.
func (m *message) body(refs *image.Parser) (event.Body, error) {
	verb, text, _ := strings.Cut(m.action, ":")
	switch {
	case m.typ == "network" && m.attr("container") == "":
		return nil, nil
	case m.typ == "image" && m.id == "" && m.attr("name") != "":
		return m.namedImage(verb, refs), nil
	case m.id == "":
		return nil, errNoID
	case m.typ == "network":
		return m.networkBody(verb), nil
	case m.typ == "image":
		return m.imageBody(verb, refs), nil
	case verb == execCreate:
		return nil, nil // exec_start follows it
	case verb == "exec_start":
		return &event.ExecStarted{
			Container: m.id, ExecID: m.attr("execID"), Command: strings.TrimPrefix(text, " "), Image: m.image(refs),
		}, nil
	case verb == "commit":
		return m.commitBody(refs), nil
	}
	return m.containerBody(verb, refs)
}

// execCreate is the action by which an exec is set up, a moment before it starts.
const execCreate = "exec_create"

// maxSetUp bounds the execs that are remembered between their set-up and start.
const maxSetUp = 256

// setUps remembers the lines of execs that were set up, so that their starts are
// cited with them. The zero value is empty.
type setUps struct {
	lines map[string]event.Span // by exec id
	order []string              // the oldest first
	cite  [2]event.Span         // reused
}

// spans are the lines to cite for a message: its own, and for the start of an
// exec that of its set-up. They are valid until the next call.
func (s *setUps) spans(m *message, own event.Span) []event.Span {
	s.cite[0] = own
	switch verb, _, _ := strings.Cut(m.action, ":"); {
	case m.typ != "container" || m.attrs == nil:
	case verb == execCreate:
		s.remember(m.attr("execID"), own)
	case verb == "exec_start":
		if set, ok := s.lines[m.attr("execID")]; ok {
			delete(s.lines, m.attr("execID"))
			s.cite[1] = set
			return s.cite[:]
		}
	}
	return s.cite[:1]
}

func (s *setUps) remember(exec string, line event.Span) {
	if _, known := s.lines[exec]; known || exec == "" {
		return
	}
	if s.lines == nil {
		s.lines = map[string]event.Span{}
	}
	if len(s.order) == maxSetUp { // most of them have started meanwhile
		delete(s.lines, s.order[0])
		s.order = append(s.order[:0], s.order[1:]...)
	}
	s.lines[exec] = line
	s.order = append(s.order, exec)
}

// key makes keys of messages, one after another in the same memory.
type key []byte

// of is what makes the message unique on its host: when, what, to whom, and
// for an exec or an attachment the second party. It is valid until the next
// call.
func (k *key) of(m *message) []byte {
	b := append(strconv.AppendInt((*k)[:0], m.at.At, 10), '|')
	b = append(append(b, m.typ...), '|')
	b = append(append(b, m.action...), '|')
	b = append(b, m.id...)
	switch {
	case m.typ == "network":
		b = append(append(b, '|'), m.attr("container")...)
	case strings.HasPrefix(m.action, "exec_"):
		b = append(append(b, '|'), m.attr("execID")...)
	}
	*k = b
	return b
}

func (m *message) attr(name string) string {
	if m.attrs == nil {
		return ""
	}
	return m.attrs.get(name)
}

func (m *message) containerBody(verb string, refs *image.Parser) (event.Body, error) {
	c := &event.Container{Action: containerActions[verb], ID: m.id, Name: m.attr("name"), Image: m.image(refs)}
	if c.Action == event.ContainerExit {
		c.ExitCode = exitCode(m.attr("exitCode"))
	}
	if m.attrs != nil {
		labels, err := m.attrs.labels()
		if err != nil {
			return nil, err
		}
		c.Labels = labels
	}
	return c, nil
}

// image is what the container event calls its image: the client's own words,
// or a bare id during a classic build.
func (m *message) image(refs *image.Parser) image.Reference {
	if name := m.attr("image"); name != "" {
		return refs.Parse(name)
	}
	return refs.Parse(m.from)
}

func (m *message) commitBody(refs *image.Parser) event.Body {
	made := &event.Image{
		Action:    event.ImageCommit,
		Container: m.id,
		Reference: refs.Parse(m.attr("imageRef")),
	}
	if id := refs.Parse(m.attr("imageID")); id.Form() == image.ID {
		made.Digest = id.Digest()
	}
	return made
}

// imageBody tells the name of an image from its id. Pull and push carry a
// name as Actor.ID, the other actions an id, and a name as attribute if there
// is one; untag, load and delete repeat the id there.
func (m *message) imageBody(verb string, refs *image.Parser) event.Body {
	body := &event.Image{Action: imageActions[verb]}
	if id := refs.Parse(m.id); id.Form() == image.ID {
		body.Digest = id.Digest()
	} else {
		body.Reference = id
	}
	if body.Reference.IsZero() {
		if name := refs.Parse(m.attr("name")); name.Form() != image.ID {
			body.Reference = name
		}
	}
	return body
}

// namedImage is an event of Podman's on an image that it knows by name alone: by
// its id without the algorithm, once it was built. A file's name, after a load,
// tells nothing of the image.
func (m *message) namedImage(verb string, refs *image.Parser) event.Body {
	name := refs.Parse(m.attr("name"))
	body := &event.Image{Action: imageActions[verb]}
	switch {
	case name.Form() == image.ID:
		body.Digest = name.Digest()
	case name.IsZero() || strings.HasPrefix(m.attr("name"), "/"):
		return nil
	default:
		body.Reference = name
	}
	return body
}

func (m *message) networkBody(verb string) event.Body {
	return &event.NetworkAttachment{
		Container:   m.attr("container"),
		NetworkID:   m.id,
		NetworkName: m.attr("name"),
		Driver:      m.attr("type"),
		Connected:   verb == "connect",
	}
}

func exitCode(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return unknownExit
	}
	return n
}
