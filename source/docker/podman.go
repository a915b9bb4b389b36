package docker

import (
	"errors"
	"time"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Podman is Podman's event stream as "podman events --format json" prints it
// (podman-events(1)): what happened in Status, to whom in ID, Name and Image,
// labels in Attributes. Its Docker-compatible API sends the same events in
// Docker's form, which Events reads.
func Podman() *source.Format {
	return &source.Format{
		Name:    "podman-events",
		Title:   "Podman events (podman events --format json)",
		Source:  event.Docker,
		Framing: source.JSONValues,
		Sniff: func(head source.Sample) int {
			if head.HasKeys("Status", "Time", "Type", "Attributes") || head.HasKeys("Status", "Time", "Type", "Name") {
				return 90
			}
			return 0
		},
		New: func(out *source.Output) source.Decoder {
			return &podmanDecoder{out: out, refs: image.Parser{Docker: true}}
		},
	}
}

// podmanWords are Podman's words for what Docker has others, by type. Its
// Docker-compatible API translates some of them itself.
var podmanWords = map[string]map[string]string{
	"container": {"died": "die", "remove": "destroy"},
	"image":     {"loadfromarchive": "load", "remove": "delete", "build": "create"},
}

// translate makes Podman's words Docker's.
func (m *message) translate() {
	if word := podmanWords[m.typ][m.action]; word != "" {
		m.action = word
	}
}

// podmanExit is Podman's attribute for what Docker calls exitCode.
const podmanExit = "containerExitCode"

var errPodmanTime = errors.New("no time; want Time in RFC 3339")

type podmanDecoder struct {
	out    *source.Output
	parser jsonrecord.Parser
	refs   image.Parser
	attrs  podmanAttributes
	key    key
}

// Flush implements source.Decoder; nothing is held back.
func (d *podmanDecoder) Flush() {}

// Decode implements source.Decoder.
func (d *podmanDecoder) Decode(rec source.Record) {
	var m message
	body, err := d.read(rec.Data, &m)
	if d.out.Tells(rec, body, err) {
		d.out.Event(event.Event{Time: m.at, Body: body}, d.key.of(&m), rec.Span)
	}
}

func (d *podmanDecoder) read(data []byte, m *message) (body event.Body, err error) {
	v, err := d.parser.Parse(data)
	if err != nil {
		return nil, err
	}
	if !v.IsObject() {
		return nil, errNotObject
	}
	m.typ, m.action, m.id, m.from = v.String("Type"), v.String("Status"), v.String("ID"), v.String("Image")
	switch {
	case m.typ == "":
		return nil, errNoKind
	case m.action == "":
		return nil, errNoAction
	}
	at, err := time.Parse(time.RFC3339Nano, v.String("Time"))
	if err != nil || at.Year() < 2001 || at.Year() > 2261 {
		return nil, errPodmanTime
	}
	m.at = event.Time{At: at.UnixNano(), Res: event.Nanosecond}
	m.translate()
	if m.matters() {
		d.attrs.v = v
		m.attrs = &d.attrs
		body, err = m.body(&d.refs)
	}
	if err == nil {
		err = d.parser.Fault()
	}
	return body, err
}

// podmanAttributes are what Podman tells beside an event's labels.
type podmanAttributes struct{ v jsonrecord.Value }

func (a *podmanAttributes) get(key string) string {
	switch key {
	case "name":
		return a.v.String("Name")
	case "image":
		return a.v.String("Image")
	case "exitCode":
		return a.v.Number("ContainerExitCode")
	}
	return ""
}

func (a *podmanAttributes) labels() (map[string]string, error) {
	return stringMap(a.v.Get("Attributes"), nil)
}
