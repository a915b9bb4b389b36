package scenario

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"tidewaiter/event"
)

// Format is the decoder's name in the origin of a scenario's events.
const Format = "scenario"

// readPlaces reads "NAME: host=… cluster=…".
func (r *reader) readPlaces(s section) {
	d := decoder{names: r.names}
	for _, l := range s.body {
		if l.idle() {
			continue
		}
		name, rest, found := strings.Cut(strings.TrimSpace(l.text), ":")
		if !found || !placeForm(name) {
			r.fault(l.number, "want a place as \"web: host=web-1\"; its name is one word")
			continue
		}
		if _, twice := r.places[name]; twice {
			r.fault(l.number, "place %q stands twice", name)
			continue
		}
		var p event.Place
		fields, err := (&fieldReader{text: rest}).fields()
		if err == nil {
			err = d.decode(reflect.ValueOf(&p).Elem(), fields)
		}
		if err != nil {
			r.fault(l.number, "place %s: %w", name, err)
			continue
		}
		r.places[name] = p
	}
}

func placeForm(name string) bool {
	return name != "" && !strings.ContainsAny(name, blanks+"=\"")
}

// record is an event's lines: the first, and those indented deeper.
type record struct {
	first line
	text  string
	end   int // the offset behind the last line that says something
}

// records groups a part's lines.
func (r *reader) records(s section) []record {
	var out []record
	base := -1
	for _, l := range s.body {
		switch {
		case l.idle() && len(out) == 0:
			continue
		case !l.idle() && base < 0:
			base = l.indent()
		}
		switch {
		case l.idle() || l.indent() > base:
			last := &out[len(out)-1]
			if last.text += "\n" + l.text; !l.idle() {
				last.end = l.offset + len(l.text)
			}
		case l.indent() == base:
			out = append(out, record{l, l.text, l.offset + len(l.text)})
		default:
			r.fault(l.number, "indented less than the first event; an event's first line stands as deep as the others'")
		}
	}
	return out
}

// readEvents reads "TIME PLACE SOURCE KIND FIELD=…".
func (r *reader) readEvents(s section, history bool) []event.Event {
	d := &decoder{r.names, r.Start, words()}
	var out []event.Event
	for _, rec := range r.records(s) {
		e, err := r.event(d, rec)
		if err != nil {
			at := rec.first.number
			var m *misread
			if errors.As(err, &m) {
				at += strings.Count(rec.text[:m.at], "\n")
			}
			r.fault(at, "%w", err)
			continue
		}
		e.History = history
		out = append(out, e)
	}
	return out
}

func (r *reader) event(d *decoder, rec record) (e event.Event, err error) {
	p := &fieldReader{text: rec.text}
	var head [4]string
	for i := range head {
		p.skip()
		if head[i] = p.until(blanks); head[i] == "" {
			return e, errors.New("an event is \"TIME PLACE SOURCE KIND field=value …\", such as \"+3s web docker container action=start id=$c1\"")
		}
	}
	place, known := r.places[head[1]]
	if e.Time, err = parseMoment(head[0], r.Start); err != nil {
		return e, err
	}
	if !known {
		return e, misreadAt(0, "unknown place %q; say what it is below \"places:\", such as \"%s: host=web-1\"", clip(head[1]), clip(head[1]))
	}
	if list := texts(sources()...); !slices.Contains(list, head[2]) {
		return e, misreadAt(0, "unknown source %q; want one of %s", clip(head[2]), strings.Join(list, ", "))
	}
	if e.Body = newBody(event.Kind(head[3])); e.Body == nil {
		return e, misreadAt(0, "unknown kind %q; want one of %s", clip(head[3]), kinds())
	}
	fields, err := p.fields()
	if err != nil {
		return e, err
	}
	if err := d.decode(reflect.ValueOf(e.Body).Elem(), fields); err != nil {
		return e, within(err, head[3])
	}
	e.Place = place
	e.Origin = event.Origin{Source: event.Source(head[2]), Format: Format, File: r.File,
		Spans: []event.Span{{Line: rec.first.number, Offset: int64(rec.first.offset), Length: rec.end - rec.first.offset}}}
	return e, r.identify(&e)
}

// identify gives an event its id: a hash of what it says, so that neither its
// line nor the file's name changes how findings look, and of how often that
// was said before.
func (r *reader) identify(e *event.Event) error {
	said := *e
	said.Origin = event.Origin{Source: e.Origin.Source}
	text, err := r.codec.Encode(&said)
	if err != nil {
		return err
	}
	id := event.NewID(Format, string(text))
	r.known[id]++
	e.ID = event.NewID(Format, string(text), strconv.Itoa(r.known[id]))
	return nil
}

func kinds() string {
	var out []string
	for _, b := range event.Bodies() {
		out = append(out, string(b.Kind()))
	}
	return strings.Join(out, ", ")
}
