package docker

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
)

// EventsText is the engine's event stream as docker events prints it for
// people:
//
//	TIME TYPE ACTION ID (key=value, key=value)
//	TIME ID: (from IMAGE) STATUS                  before Docker 1.10
//
// The form does not quote. A line that could be read in two ways is refused,
// and a command that holds a line end is put together from its lines; one that
// imitates whole event lines cannot be told from them. The JSON form has none
// of this.
func EventsText() *source.Format {
	return &source.Format{
		Name:    "docker-events-text",
		Title:   "Docker Engine events (docker events, text)",
		Source:  event.Docker,
		Framing: source.Lines,
		Sniff:   func(head source.Sample) int { return head.Share(startsTextEvent) * 9 / 10 },
		New: func(out *source.Output) source.Decoder {
			return &textDecoder{out: out, refs: image.Parser{Docker: true}}
		},
	}
}

// Bounds of an event that runs over several lines.
const (
	maxTextLines = 256
	maxTextBytes = 64 << 10
)

var (
	errNotTextEvent = errors.New("no line of docker events: want a time with offset, type, action, id")
	errUnfinished   = errors.New("the event's line ends early")
	errTwoReadings  = errors.New("the line can be read in two ways")
)

// textDecoder holds one event back while its line is not finished: a command
// or a label held a line end.
type textDecoder struct {
	out   *source.Output
	refs  image.Parser
	held  []byte
	spans []event.Span
	key   key
	execs setUps
}

// Decode implements source.Decoder.
func (d *textDecoder) Decode(rec source.Record) {
	if len(d.spans) > 0 {
		tooBig := len(d.spans) >= maxTextLines || len(d.held)+len(rec.Data) > maxTextBytes
		if tooBig || startsTextEvent(rec.Data) {
			d.drop(errUnfinished)
		}
	}
	if len(d.spans) > 0 {
		d.held = append(append(d.held, '\n'), rec.Data...)
		d.spans = append(d.spans, rec.Span)
		// The end of an event is the only thing that completes it.
		if !bytes.HasSuffix(rec.Data, []byte{')'}) {
			return
		}
	} else {
		d.held = append(d.held[:0], rec.Data...)
		d.spans = append(d.spans, rec.Span)
	}
	d.finish()
}

// Flush implements source.Decoder.
func (d *textDecoder) Flush() {
	if len(d.spans) > 0 {
		d.drop(errUnfinished)
	}
}

// finish reads what is held, unless more of it may follow.
func (d *textDecoder) finish() {
	m, err := parseTextEvent(string(d.held))
	if errors.Is(err, errUnfinished) {
		return
	}
	if err != nil {
		d.drop(err)
		return
	}
	var body event.Body
	if m.matters() {
		body, err = m.body(&d.refs)
	}
	set := d.execs.spans(m, d.spans[0])[1:]
	switch {
	case err != nil:
		d.drop(err)
	case body == nil:
		for range d.spans {
			d.out.Skip()
		}
	default:
		d.out.Event(event.Event{Time: m.at, Body: body}, d.key.of(m), append(d.spans, set...)...)
	}
	d.spans = d.spans[:0]
}

// drop counts every held line as unreadable.
func (d *textDecoder) drop(why error) {
	for _, span := range d.spans {
		d.out.Unreadable(source.Record{Span: span}, why)
	}
	d.spans = d.spans[:0]
}

// startsTextEvent tells from its first words whether a line begins an event.
func startsTextEvent(line []byte) bool {
	clock, rest, _ := bytes.Cut(line, []byte{' '})
	word, rest, found := bytes.Cut(rest, []byte{' '})
	if !found || len(rest) == 0 || len(clock) < len("2006-01-02T15:04:05Z") || clock[4] != '-' || clock[10] != 'T' {
		return false
	}
	return isEventType(string(word)) || isOldText(string(word), string(rest))
}

// isOldText reports whether "WORD REST" is "ID: (from IMAGE) STATUS" or
// "ID: STATUS".
func isOldText(word, rest string) bool {
	if !strings.HasSuffix(word, ":") {
		return false
	}
	if from, found := strings.CutPrefix(rest, "(from "); found {
		_, rest, found = strings.Cut(from, ") ")
		return found && isStatus(rest)
	}
	return isStatus(rest)
}

// isEventType reports whether s is one of the engine's event types.
func isEventType(s string) bool {
	switch s {
	case "builder", "config", "container", "daemon", "image", "network", "node", "plugin", "secret", "service", "volume":
		return true
	}
	return false
}

func parseTextEvent(line string) (*message, error) {
	clock, rest, _ := strings.Cut(line, " ")
	word, rest, found := strings.Cut(rest, " ")
	if !found {
		return nil, errNotTextEvent
	}
	at, err := textTime(clock)
	if err != nil {
		return nil, err
	}
	m := &message{at: at}
	switch {
	case isOldText(word, rest):
		m.readOldText(strings.TrimSuffix(word, ":"), rest)
		return m, nil
	case !isEventType(word):
		return nil, errNotTextEvent
	}
	m.typ = word
	return m, m.readText(rest)
}

// textTime reads the time of a line. The command pads a time without
// nanoseconds with zeros, so nine zeros mean a whole second.
func textTime(s string) (event.Time, error) {
	at, err := event.ParseRFC3339(s)
	if err == nil && at.At%event.Second == 0 {
		at.Res = event.Second
	}
	return at, err
}

// readOldText reads what isOldText has recognised.
func (m *message) readOldText(id, rest string) {
	if from, found := strings.CutPrefix(rest, "(from "); found {
		m.from, rest, _ = strings.Cut(from, ") ")
	}
	m.id, m.action, m.typ = id, rest, typeOf(rest)
}

// readText reads "ACTION ID (attributes)".
func (m *message) readText(rest string) error {
	verb, after, found := strings.Cut(rest, " ")
	m.action = verb
	if m.typ != "container" && m.typ != "image" && m.typ != "network" {
		return nil // of no interest, so its list need not be read
	}
	if !found {
		return errUnfinished
	}
	if m.typ == "container" && (verb == "exec_create:" || verb == "exec_start:") {
		return m.readExec(verb, after)
	}
	if strings.HasSuffix(verb, ":") { // health_status: healthy
		state, more, _ := strings.Cut(after, " ")
		m.action, after = verb+" "+state, more
	}
	var list string
	m.id, list, found = strings.Cut(after, " ")
	if !found {
		return nil
	}
	if !strings.HasPrefix(list, "(") {
		return errNotTextEvent
	}
	if !strings.HasSuffix(list, ")") {
		return errUnfinished
	}
	attrs, err := parseTextAttributes(list[1 : len(list)-1])
	if err != nil {
		return err
	}
	if m.typ == "container" && attrs["name"] == "" {
		return errUnfinished // the engine always prints one: a label's line ended in ")"
	}
	m.attrs = attrs
	return nil
}

// readExec reads "COMMAND ID (attributes)". The command holds anything, so the
// id is looked for from the right: hex digits before the list that has execID.
func (m *message) readExec(verb, rest string) error {
	open := lastList(rest, strings.LastIndex(rest, "execID="))
	if open < 0 || !strings.HasSuffix(rest, ")") {
		return errUnfinished
	}
	blank := strings.LastIndexByte(rest[:open], ' ')
	if lastList(rest, blank) >= 0 {
		return fmt.Errorf("%w: the command may end in two places", errTwoReadings)
	}
	attrs, err := parseTextAttributes(rest[open+2 : len(rest)-1])
	if err != nil {
		return err
	}
	m.action, m.id, m.attrs = verb, rest[blank+1:open], attrs
	if blank > 0 {
		m.action += " " + rest[:blank]
	}
	return nil
}

// lastList finds the last " (key=" in s that begins before end and follows a
// container id; -1 if there is none.
func lastList(s string, end int) int {
	if end < 0 {
		return -1
	}
	for open := strings.LastIndex(s[:end], " ("); open >= 0; open = strings.LastIndex(s[:open], " (") {
		id := s[strings.LastIndexByte(s[:open], ' ')+1 : open]
		key, _, found := strings.Cut(s[open+2:min(open+2+maxAttributeKey, len(s))], "=")
		if isHex(id, 12) && found && isAttributeKey(key) {
			return open
		}
	}
	return -1
}

// maxAttributeKey bounds how far the '=' of a list's first attribute is looked
// for.
const maxAttributeKey = 256

// textAttributes are attributes that were printed as text.
type textAttributes map[string]string

func (a textAttributes) get(key string) string { return a[key] }

func (a textAttributes) labels() (map[string]string, error) {
	var labels map[string]string
	for key, val := range a {
		if engineAttributes[key] {
			continue
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[key] = val
	}
	return labels, nil
}

// parseTextAttributes splits "key=value, key=value". A value may hold ", ";
// what follows it belongs to the value unless it looks like a further
// attribute. One that stands twice came out of a value, and which of the two
// did is not told.
func parseTextAttributes(list string) (textAttributes, error) {
	attrs := textAttributes{}
	key, begin := "", 0 // the attribute whose value is being read
	for at := 0; at <= len(list); {
		end := len(list)
		if i := strings.Index(list[at:], ", "); i >= 0 {
			end = at + i
		}
		name, _, found := strings.Cut(list[at:end], "=")
		switch {
		case found && isAttributeKey(name):
			if _, twice := attrs[name]; twice {
				return nil, fmt.Errorf("%w: attribute %q stands twice", errTwoReadings, clip(name))
			}
			key, begin = name, at+len(name)+1
		case key == "":
			return nil, fmt.Errorf("attributes: %q is no key=value", clip(list[at:end]))
		}
		attrs[key] = list[begin:end]
		at = end + len(", ")
	}
	return attrs, nil
}

// isAttributeKey reports whether s can be the key of a label or attribute.
func isAttributeKey(s string) bool {
	return s != "" && !strings.ContainsAny(s, " \t\n\"'`(){}[]<>|&;$")
}
