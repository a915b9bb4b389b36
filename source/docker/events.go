package docker

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Events is the engine's event stream as JSON: what GET /events sends and what
// docker events --format '{{json .}}' prints. Four schemas are read, from
// {status,id,from,time} to the one of API 1.52, which has only Type, Action and
// Actor; docs.docker.com, "Docker Engine API version history", dates them. Podman's
// Docker-compatible API has its own words in the same form.
func Events() *source.Format {
	return &source.Format{
		Name:    "docker-events",
		Title:   "Docker Engine events (docker events, JSON)",
		Source:  event.Docker,
		Framing: source.JSONValues,
		Sniff:   sniffEvents,
		New: func(out *source.Output) source.Decoder {
			return &eventsDecoder{out: out, refs: image.Parser{Docker: true}}
		},
	}
}

var (
	errNotObject = errors.New("not a JSON object")
	errNoTime    = errors.New("no time")
)

// statusIsImage are the words that mean an image in the schemas without a Type.
var statusIsImage = map[string]bool{
	"pull": true, "push": true, "tag": true, "untag": true, "delete": true, "import": true, "load": true, "save": true,
}

type eventsDecoder struct {
	out    *source.Output
	parser jsonrecord.Parser
	refs   image.Parser
	top    jsonrecord.Members // of the record being read
	attrs  jsonAttributes     // of the same
	key    key
	execs  setUps
}

// Decode implements source.Decoder.
func (d *eventsDecoder) Decode(rec source.Record) {
	var m message
	body, err := d.read(rec.Data, &m)
	spans := d.execs.spans(&m, rec.Span)
	if d.out.Tells(rec, body, err) {
		d.out.Event(event.Event{Time: m.at, Body: body}, d.key.of(&m), spans...)
	}
}

// Flush implements source.Decoder; nothing is held back.
func (d *eventsDecoder) Flush() {}

func (d *eventsDecoder) read(data []byte, m *message) (event.Body, error) {
	v, err := d.parser.Parse(data)
	if err != nil {
		return nil, err
	}
	if !v.IsObject() {
		return nil, errNotObject
	}
	v.Members(eventKeys, &d.top)
	if err := readKind(&d.top, m); err != nil {
		return nil, err
	}
	var body event.Body
	if m.matters() {
		actor := d.top.Get(keyActor)
		if m.id = actor.String("ID"); m.id == "" {
			m.id = d.top.Get(keyOldID).String()
		}
		m.from = d.top.Get(keyFrom).String()
		d.attrs.v = actor.Get("Attributes")
		m.attrs = &d.attrs
		body, err = m.body(&d.refs)
	}
	if err == nil {
		err = d.parser.Fault()
	}
	return body, err
}

// The keys of an event.
const (
	keyType = iota
	keyAction
	keyActor
	keyTime
	keyNano
	keyOldStatus
	keyOldID
	keyFrom
)

var eventKeys = jsonrecord.NewNames("Type", "Action", "Actor", "time", "timeNano", "status", "id", "from")

// readKind reads when something happened and of which kind it was.
func readKind(v *jsonrecord.Members, m *message) (err error) {
	if m.action = v.Get(keyAction).String(); m.action == "" {
		m.action = v.Get(keyOldStatus).String()
	}
	if m.typ = v.Get(keyType).String(); m.typ == "" {
		m.typ = typeOf(m.action)
	}
	switch {
	case m.typ == "":
		return errNoKind
	case m.action == "":
		return errNoAction
	}
	m.translate()
	m.at, err = engineTime(v)
	return err
}

// typeOf is the Type that the oldest schemas imply.
func typeOf(status string) string {
	switch {
	case status == "":
		return ""
	case statusIsImage[status]:
		return "image"
	}
	return "container"
}

// engineTime reads timeNano, or time, which has whole seconds. A number of
// another magnitude is another unit; which one is not guessed.
func engineTime(v *jsonrecord.Members) (event.Time, error) {
	if nano := v.Get(keyNano); !nano.IsNull() {
		if s := nano.Bytes(); string(s) != "0" {
			return epoch("timeNano", s, 19, event.Nanosecond)
		}
	}
	sec := v.Get(keyTime)
	s := sec.Bytes()
	if sec.IsNull() || string(s) == "0" {
		return event.Time{}, errNoTime
	}
	return epoch("time", s, 10, event.Second)
}

// epoch reads a Unix time of exactly so many digits, in units of res. 10
// digits of seconds, or 19 of nanoseconds, are the years 2001 to 2261.
func epoch(key string, s []byte, width int, res int64) (event.Time, error) {
	n, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil || len(s) != width || s[0] < '1' || n > math.MaxInt64/res {
		return event.Time{}, fmt.Errorf("%s %q is not a Unix time of %d digits", key, clip(string(s)), width)
	}
	return event.Time{At: n * res, Res: res}, nil
}

// jsonAttributes are attributes inside a parsed record.
type jsonAttributes struct{ v jsonrecord.Value }

func (a *jsonAttributes) get(key string) string {
	if s := a.v.String(key); s != "" || key != "exitCode" {
		return s
	}
	return a.v.String(podmanExit)
}

func (a *jsonAttributes) labels() (map[string]string, error) {
	return stringMap(a.v, engineAttributes)
}

// stringMap is an object's string values without the keys in skip, nil if
// none are left. It fails on a key that stands twice.
func stringMap(v jsonrecord.Value, skip map[string]bool) (map[string]string, error) {
	var out map[string]string
	var err error
	v.Each(func(key string, val jsonrecord.Value) {
		if skip[key] || !val.IsString() {
			return
		}
		if out == nil {
			out = map[string]string{}
		}
		if _, twice := out[key]; twice {
			err = fmt.Errorf("%w: %q", jsonrecord.ErrDuplicateKey, clip(key))
		}
		out[key] = val.String()
	})
	return out, err
}

// sniffEvents knows the newer schemas by their three capital keys and the
// older ones by a status word of the engine.
func sniffEvents(head source.Sample) int {
	switch {
	case head.HasKeys("Type", "Action", "Actor"):
		return 95
	case head.HasKeys("status", "id", "time"):
		if isStatus(firstString(head.Data, "status")) {
			return 70
		}
	}
	return 0
}

// isStatus reports whether s is one of the engine's actions on a container or
// image, with or without the text after its colon.
func isStatus(s string) bool {
	verb, _, _ := strings.Cut(s, ":")
	if _, ok := containerActions[verb]; ok || statusIsImage[verb] {
		return true
	}
	switch verb {
	case "attach", "commit", "copy", "detach", "exec_create", "exec_die", "exec_start", "export", "kill",
		"oom", "pause", "rename", "resize", "stop", "top", "unpause", "update":
		return true
	}
	return false
}

// firstString is the first string value of a key in JSON text that may be cut.
func firstString(data []byte, key string) string {
	_, rest, _ := bytes.Cut(data, []byte(`"`+key+`"`))
	rest = bytes.TrimLeft(rest, " \t\r\n:")
	if len(rest) == 0 || rest[0] != '"' {
		return ""
	}
	val, _, _ := bytes.Cut(rest[1:], []byte{'"'})
	return string(val)
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
