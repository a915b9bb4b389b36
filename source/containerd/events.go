// Package containerd reads what containerd's tools write about images,
// containers and their processes, and what a live sensor looks up in it.
//
// In: lines of ctr events, look-ups as JSON. Out: events about images,
// containers, execs, and tasks with their process ids, and descriptions.
package containerd

import (
	"errors"
	"fmt"
	"strconv"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Events is containerd's event stream as ctr events prints it, for all
// namespaces: a line of time, namespace, topic and the event, as JSON or,
// before containerd 1.0, as key=value. The topics and their fields are those
// of containerd's api/events.
//
// An exit carries its own time as well. It is not used: it differs from the
// line's by microseconds, and the lines' order is the stream's.
func Events() *source.Format {
	return &source.Format{
		Name:    "containerd-events",
		Title:   "containerd events (ctr events)",
		Source:  event.Containerd,
		Framing: source.Lines,
		Sniff:   sniffEvents,
		New:     func(out *source.Output) source.Decoder { return &eventsDecoder{out: out} },
	}
}

var (
	errEmpty  = errors.New("no event after the topic")
	errNoID   = errors.New("no container id")
	errNoName = errors.New("no image name")
)

type eventsDecoder struct {
	out     *source.Output
	parser  jsonrecord.Parser
	refs    image.Parser
	scratch []byte
}

// Decode implements source.Decoder.
func (d *eventsDecoder) Decode(rec source.Record) {
	h, err := parseHead(rec.Data)
	if err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	read := readers[string(h.topic)]
	if read == nil {
		d.out.Skip()
		return
	}
	said, err := d.read(read, &h)
	if err != nil {
		d.out.Unreadable(rec, fmt.Errorf("%s: %w", h.topic, err))
		return
	}
	d.out.Event(event.Event{Time: h.at, Body: said.body}, d.key(&h, &said), rec.Span)
}

// Flush implements source.Decoder; nothing is held back.
func (d *eventsDecoder) Flush() {}

func (d *eventsDecoder) read(read reader, h *head) (statement, error) {
	f, err := d.fields(h.payload)
	if err != nil {
		return statement{}, err
	}
	said, err := read(d, f, string(h.namespace))
	if err == nil {
		err = f.fault()
	}
	return said, err
}

// fields opens the payload in either of its forms.
func (d *eventsDecoder) fields(payload []byte) (fields, error) {
	switch {
	case len(payload) == 0:
		return nil, errEmpty
	case payload[0] != '{':
		return parsePairs(string(payload))
	}
	v, err := d.parser.Parse(payload)
	return jsonFields{v, &d.parser}, err
}

// fields are the fields of an event.
type fields interface {
	// text is a field that is a string, "" if it is missing.
	text(name string) string
	// number is a field that is a number, "" if it is missing.
	number(name string) string
	// labels are the labels, nil if there are none.
	labels() (map[string]string, error)
	// fault is why the fields that were asked for cannot be trusted, or nil.
	fault() error
}

// reader reads the events of one topic.
type reader func(d *eventsDecoder, f fields, namespace string) (statement, error)

// statement is what one event says, and of whom.
type statement struct {
	body    event.Body
	subject string // container id or image name
	exec    string // id of the exec, or ""
}

// key is what makes the event unique on its host. It is valid until the next
// call.
func (d *eventsDecoder) key(h *head, s *statement) []byte {
	b := append(append(d.scratch[:0], h.namespace...), '|')
	b = append(append(b, h.topic...), '|')
	b = append(append(b, h.clock...), '|')
	b = append(append(b, s.subject...), '|')
	d.scratch = append(b, s.exec...)
	return d.scratch
}

// readers read the topics of interest. The others are about layers, leases
// and namespaces, or repeat one of these: /tasks/delete follows /tasks/exit.
var readers = map[string]reader{
	"/images/create":      readImage(event.ImageCreate),
	"/images/update":      readImage(event.ImageUpdate),
	"/images/delete":      readImage(event.ImageDelete),
	"/containers/create":  readContainer(event.ContainerCreate),
	"/containers/update":  readContainer(event.ContainerUpdate),
	"/containers/delete":  readContainer(event.ContainerRemove),
	"/tasks/create":       readTask(event.TaskCreate),
	"/tasks/start":        readTask(event.TaskStart),
	"/tasks/exec-started": readTask(event.TaskStart),
	"/tasks/exit":         readTask(event.TaskExit),
	"/tasks/exec-added":   readExec,
}

// criLabel marks the names that the kubelet's runtime interface manages
// (containerd, internal/cri/labels).
const criLabel = "io.cri-containerd.image"

// readImage reads the name of an image, which may be an id: an event of the
// image store has no field for the digest.
func readImage(action event.ImageAction) reader {
	return func(d *eventsDecoder, f fields, namespace string) (statement, error) {
		name := f.text("name")
		if name == "" {
			return statement{}, errNoName
		}
		labels, err := f.labels()
		if err != nil {
			return statement{}, err
		}
		body := &event.Image{Action: action, Namespace: namespace, CRI: labels[criLabel] == "managed"}
		if ref := d.refs.Parse(name); ref.Form() == image.ID {
			body.Digest = ref.Digest()
		} else {
			body.Reference = ref
		}
		return statement{body: body, subject: name}, nil
	}
}

func readContainer(action event.ContainerAction) reader {
	return func(d *eventsDecoder, f fields, namespace string) (statement, error) {
		id := f.text("id")
		if id == "" {
			return statement{}, errNoID
		}
		labels, err := f.labels()
		if err != nil {
			return statement{}, err
		}
		body := &event.Container{
			Action: action, ID: id, Image: d.refs.Parse(f.text("image")), Namespace: namespace, Labels: labels,
		}
		return statement{body: body, subject: id}, nil
	}
}

// readTask reads the life of a container's process, or of an exec's. An exit
// names the process by an id that is the container's own for the first one.
func readTask(action event.TaskAction) reader {
	return func(_ *eventsDecoder, f fields, namespace string) (statement, error) {
		task := &event.Task{Action: action, Container: containerID(f), Namespace: namespace, ExecID: f.text("exec_id")}
		if task.Container == "" {
			return statement{}, errNoID
		}
		if id := f.text("id"); action == event.TaskExit && id != task.Container {
			task.ExecID = id
		}
		var err error
		if task.PID, err = count(f, "pid"); err != nil {
			return statement{}, err
		}
		if action == event.TaskExit {
			task.ExitCode, err = count(f, "exit_status")
		}
		return statement{body: task, subject: task.Container, exec: task.ExecID}, err
	}
}

// readExec reads an exec that was added to a container. Its command is not
// told; the start of its process follows.
func readExec(_ *eventsDecoder, f fields, namespace string) (statement, error) {
	body := &event.ExecStarted{Container: containerID(f), Namespace: namespace, ExecID: f.text("exec_id")}
	if body.Container == "" {
		return statement{}, errNoID
	}
	return statement{body: body, subject: body.Container, exec: body.ExecID}, nil
}

// containerID is a task's container: before containerd 1.0 the field was id.
func containerID(f fields) string {
	if id := f.text("container_id"); id != "" {
		return id
	}
	if _, old := f.(pairs); old {
		return f.text("id")
	}
	return ""
}

// count reads an unsigned 32-bit field. 0 is left out in JSON, and before
// containerd 1.0 the tasks' events had no process id.
func count(f fields, name string) (int, error) {
	s := f.number(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s %q is not a number of 32 bits", name, clip(s))
	}
	return int(n), nil
}

// sniffEvents is sure of lines with a time, and still knows those without.
func sniffEvents(lines source.Sample) int {
	timed := lines.Share(func(line []byte) bool { _, err := parseHead(line); return err == nil })
	bare := lines.Share(func(line []byte) bool { return errors.Is(whyNoTime(line), errNoTime) })
	return max(timed*95/100, bare*60/100)
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
