package sysmon

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
)

// XML is Sysmon's events as XML: one event to a line or printed over many, bare
// or behind what syslog writes before it.
func XML() *source.Format {
	return &source.Format{
		Name:    "sysmon-xml",
		Title:   "Sysmon of Windows and Linux (XML, syslog)",
		Source:  event.Sysmon,
		Framing: source.Lines,
		Sniff:   sniffXML,
		New:     func(out *source.Output) source.Decoder { return &xmlDecoder{out: out} },
	}
}

var (
	errNotEvent = errors.New("no event: no <Event> in the line, and not a line of syslog")
	errNoEnd    = errors.New("an event without its end")
)

// Bounds of an event that is printed over several lines.
const (
	maxEvent = 1 << 20
	maxLines = 4096
)

type xmlDecoder struct {
	out   *source.Output
	held  []byte // an event whose end has not come
	spans []event.Span
	// line is the length of its first line where that is one of syslog, which
	// cuts long ones; else 0.
	line int
}

// Flush implements source.Decoder.
func (d *xmlDecoder) Flush() { d.abandon() }

// abandon ends an event that has no end. What a line of syslog holds of one is
// told.
func (d *xmlDecoder) abandon() {
	if len(d.spans) == 0 {
		return
	}
	spans, text := d.spans, d.held
	d.held, d.spans = nil, nil
	rec := source.Record{Data: text[:d.line], Span: spans[0]}
	if e, err := parseCut(rec.Data); d.line > 0 && err == nil {
		tell(d.out, e, rec, spans[:1])
	} else {
		d.out.Unreadable(rec, errNoEnd)
	}
	for range spans[1:] {
		d.out.Skip() // a further line of it
	}
}

// Decode implements source.Decoder.
func (d *xmlDecoder) Decode(rec source.Record) {
	begin := eventStart(rec.Data)
	if begin >= 0 || d.line > 0 && syslogHead.Match(rec.Data) {
		d.abandon()
	}
	switch {
	case begin >= 0:
		d.held, d.line = append(d.held[:0], rec.Data[begin:]...), 0
		if begin > 0 {
			d.line = len(d.held)
		}
	case len(d.spans) > 0:
		d.held = append(append(d.held, '\n'), rec.Data...)
	default:
		d.between(rec)
		return
	}
	d.spans = append(d.spans, rec.Span)
	from := max(0, len(d.held)-len(rec.Data)-len("</Event>")) // what came before has no end
	end := bytes.Index(d.held[from:], []byte("</Event>"))
	switch {
	case end >= 0:
		end += from
		d.event(rec, d.held[:end+len("</Event>")], d.held[end+len("</Event>"):])
	case len(d.held) > maxEvent || len(d.spans) > maxLines:
		d.abandon()
	}
}

// eventStart is where an event begins in a line, -1 if none does.
func eventStart(line []byte) int {
	for at := 0; ; {
		i := bytes.Index(line[at:], []byte("<Event"))
		if i < 0 {
			return -1
		}
		at += i + len("<Event")
		if at < len(line) && (line[at] == '>' || line[at] == ' ' || line[at] == '\t') || at == len(line) {
			return at - len("<Event")
		}
	}
}

// between accounts for a line that is in no event: the frame of a file, or a
// line of syslog.
func (d *xmlDecoder) between(rec source.Record) {
	s := bytes.TrimSpace(rec.Data)
	switch {
	case bytes.HasPrefix(s, []byte("<?xml")), bytes.HasPrefix(s, []byte("<Events")), bytes.HasPrefix(s, []byte("</Events")), syslogHead.Match(s):
		d.out.Skip()
	default:
		d.out.Unreadable(rec, errNotEvent)
	}
}

// syslogHead is how a line of syslog begins, of either kind.
var syslogHead = regexp.MustCompile(`^(<\d+>)?(\d )?([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*) \S+ `)

// event reads one whole event, and more that stand behind it in its line.
func (d *xmlDecoder) event(rec source.Record, text, rest []byte) {
	spans := d.spans
	d.spans = nil
	rec.Span = spans[0]
	before := *d.out.Tally
	if ofNoInterest(text) {
		d.out.Skip()
	} else if e, err := parseXML(text); err != nil {
		d.out.Unreadable(rec, err)
	} else {
		tell(d.out, e, source.Record{Data: text, Span: spans[0]}, spans)
	}
	if d.out.Tally.Events == before.Events {
		for range spans[1:] { // it was skipped, or could not be read: as one record
			d.out.Skip()
		}
	}
	if begin := eventStart(rest); begin >= 0 { // on one line with others
		d.out.Tally.Records++
		cut := bytes.Clone(rest[begin:])
		last := spans[len(spans)-1]
		last.Offset += int64(last.Length - len(cut))
		last.Length = len(cut)
		d.Decode(source.Record{Data: cut, Span: last})
	}
}

// ofNoInterest is a quick look at an event's id: whether it is none of those that
// are read. Where an id could stand that is not the event's, it says nothing.
func ofNoInterest(text []byte) bool {
	_, after, found := bytes.Cut(text, []byte("<EventID>"))
	id, _, closed := bytes.Cut(after, []byte("</EventID>"))
	if !found || !closed || bytes.Count(text, []byte("EventID")) > 2 || bytes.Contains(text, []byte("<!")) {
		return false
	}
	switch string(bytes.TrimSpace(id)) {
	case processCreate, connected, fileCreate, dnsQuery, sysmonError:
		return false
	}
	return len(id) > 0 && len(bytes.Trim(id, " 0123456789")) == 0
}

// xmlEvent is the event's form (schemas.microsoft.com/win/2004/08/events).
type xmlEvent struct {
	System struct {
		Provider struct {
			Name string `xml:"Name,attr"`
		}
		EventID     string
		TimeCreated struct {
			SystemTime string `xml:"SystemTime,attr"`
		}
		EventRecordID string
		Computer      string
	}
	EventData struct {
		Data []struct {
			Name  string `xml:"Name,attr"`
			Value string `xml:",chardata"`
		}
	}
}

// parseXML reads one event. Characters that XML forbids are replaced: Sysmon
// for Linux writes what programs are called as it is.
func parseXML(text []byte) (*entry, error) {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(string(text), "\uFFFD"))
	dec := xml.NewDecoder(strings.NewReader(clean))
	dec.Strict = false
	dec.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	var v xmlEvent
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("not XML: %w", err)
	}
	e := &entry{
		provider: v.System.Provider.Name, computer: strings.TrimSpace(v.System.Computer), id: strings.TrimSpace(v.System.EventID),
		record: strings.TrimSpace(v.System.EventRecordID), system: v.System.TimeCreated.SystemTime, data: map[string]string{},
	}
	for _, d := range v.EventData.Data {
		if _, twice := e.data[d.Name]; twice && d.Name != "" {
			return nil, fmt.Errorf("%q stands twice", clip(d.Name))
		}
		e.data[d.Name] = d.Value
	}
	return e, nil
}

// parseCut reads what is left of an event that was cut at its end.
func parseCut(text []byte) (*entry, error) {
	if i := bytes.LastIndexByte(text, '<'); i >= 0 && bytes.IndexByte(text[i:], '>') < 0 {
		text = text[:i] // in the middle of a tag
	}
	if !bytes.Contains(text, []byte("<EventData>")) {
		return nil, errNoEnd
	}
	closing := "</EventData></Event>"
	if bytes.LastIndex(text, []byte("<Data ")) > bytes.LastIndex(text, []byte("</Data>")) {
		closing = "</Data>" + closing
	}
	e, err := parseXML(append(bytes.Clone(text), closing...))
	if err == nil {
		e.cut = true
	}
	return e, err
}

func sniffXML(head source.Sample) int {
	if !bytes.Contains(head.Data, []byte("Sysmon")) || bytes.HasPrefix(bytes.TrimSpace(head.Data), []byte("{")) || bytes.HasPrefix(bytes.TrimSpace(head.Data), []byte("[")) {
		return 0
	}
	if eventStart(head.Data) < 0 {
		return 0
	}
	if share := head.Share(func(line []byte) bool { return eventStart(line) >= 0 }); share > 30 {
		return 90
	}
	return 60
}
