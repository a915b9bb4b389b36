package sysmon

import (
	"bytes"
	"cmp"
	"errors"
	"strings"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/envelope"
	"tidewaiter/source/jsonrecord"
)

// JSON is Sysmon's events as JSON: winlogbeat's (winlog.event_data), the XML
// turned into objects (Event.System, Event.EventData, with or without
// "#attributes"), the tables of Azure Monitor (EventData as text, SyslogMessage
// with XML), Wazuh's (data.win), and one flat object.
func JSON() *source.Format {
	return &source.Format{
		Name:    "sysmon-json",
		Title:   "Sysmon of Windows and Linux (JSON: winlogbeat, Azure Monitor, Wazuh and others)",
		Source:  event.Sysmon,
		Framing: source.JSONValues,
		Sniff:   sniffJSON,
		New:     func(out *source.Output) source.Decoder { return &jsonDecoder{out: out} },
	}
}

var errNotSysmon = errors.New("no event of the Windows event log: neither winlog, Event.System, EventID, nor an envelope around one")

type jsonDecoder struct {
	out    *source.Output
	opener envelope.Opener
	inner  jsonrecord.Parser // of event data that are text
}

// Flush implements source.Decoder; nothing is held back.
func (d *jsonDecoder) Flush() {}

// Decode implements source.Decoder.
func (d *jsonDecoder) Decode(rec source.Record) { d.open(rec, 0) }

func (d *jsonDecoder) open(rec source.Record, depth int) {
	e, ok := d.opener.Open(d.out, rec, depth)
	if !ok {
		return
	}
	ev, err := d.entry(e.Value)
	if fault := cmp.Or(e.Parser.Fault(), d.inner.Fault()); fault != nil {
		err = fault
	}
	text := cmp.Or(e.String("SyslogMessage"), e.String("message"), e.String("Message"))
	switch {
	case err != nil:
		d.out.Unreadable(rec, err)
	case ev != nil:
		tell(d.out, ev, rec, []event.Span{rec.Span})
	case eventStart([]byte(text)) >= 0:
		d.xml(rec, text)
	case strings.HasPrefix(strings.TrimSpace(text), "{"):
		d.open(source.Record{Data: []byte(text), Span: rec.Span}, depth+1)
	case text != "" && (e.Get("SyslogMessage").Exists() || e.Get("host").Exists()):
		d.out.Skip() // another program's line
	default:
		d.out.Unreadable(rec, errNotSysmon)
	}
}

// xml reads an event that stands in a text.
func (d *jsonDecoder) xml(rec source.Record, text string) {
	text = text[eventStart([]byte(text)):]
	read := parseCut // a line of syslog that was cut
	if end := strings.Index(text, "</Event>"); end >= 0 {
		text, read = text[:end+len("</Event>")], parseXML
	}
	e, err := read([]byte(text))
	if err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	tell(d.out, e, rec, []event.Span{rec.Span})
}

// entry reads one event in whichever form it has; nil if it has none.
func (d *jsonDecoder) entry(v jsonrecord.Value) (*entry, error) {
	if _, err := d.inner.Parse([]byte("{}")); err != nil { // forgets the faults of records before
		return nil, err
	}
	switch {
	case v.Get("winlog").IsObject():
		return winlogbeat(v)
	case v.Get("Event", "System").IsObject():
		return d.object(v.Get("Event"))
	case v.Get("System").IsObject() && v.Get("EventData").Exists():
		return d.object(v)
	case v.Get("data", "win", "system").IsObject():
		return wazuh(v.Get("data", "win"))
	case v.Get("win", "system").IsObject():
		return wazuh(v.Get("win"))
	case v.Get("EventID").Exists() || v.Get("event_id").Exists():
		return d.flat(v)
	}
	return nil, nil
}

func winlogbeat(v jsonrecord.Value) (*entry, error) {
	w := v.Get("winlog")
	e := &entry{
		provider: cmp.Or(w.String("provider_name"), v.String("event", "provider")), computer: cmp.Or(w.String("computer_name"), v.String("host", "name")),
		id: cmp.Or(w.Number("event_id"), v.Number("event", "code")), record: w.Number("record_id"), system: v.String("@timestamp"),
	}
	return e, e.take(w.Get("event_data"))
}

// object reads the XML as objects. Attributes stand in the element itself or
// below it, under one of several names.
func (d *jsonDecoder) object(v jsonrecord.Value) (*entry, error) {
	s := v.Get("System")
	e := &entry{
		provider: attribute(s.Get("Provider"), "Name"), computer: s.String("Computer"), id: content(s.Get("EventID")),
		record: content(s.Get("EventRecordID")), system: attribute(s.Get("TimeCreated"), "SystemTime"),
	}
	return e, e.take(v.Get("EventData"))
}

// attribute is an attribute of an element that was turned into an object.
func attribute(v jsonrecord.Value, name string) string {
	for _, path := range [][]string{{name}, {"#attributes", name}, {"@" + name}, {"$", name}, {"_attributes", name}, {"-" + name}} {
		if s := v.Number(path...); s != "" {
			return s
		}
	}
	return ""
}

// content is what stands in an element that was turned into a value.
func content(v jsonrecord.Value) string {
	return cmp.Or(v.Number(), v.Number("#text"), v.Number("_text"), v.Number("Value"))
}

// wazuh reads the form of Wazuh, which begins names with a small letter.
func wazuh(v jsonrecord.Value) (*entry, error) {
	s := v.Get("system")
	e := &entry{provider: s.String("providerName"), computer: s.String("computer"), id: s.Number("eventID"), record: s.Number("eventRecordID"), system: s.String("systemTime")}
	return e, e.take(v.Get("eventdata"))
}

// flat reads one flat object. Azure Monitor has the event's data in it as text;
// others put them beside the rest.
func (d *jsonDecoder) flat(v jsonrecord.Value) (*entry, error) {
	e := &entry{
		provider: cmp.Or(v.String("Provider"), v.String("SourceName"), v.String("ProviderName"), v.String("provider_name"), v.String("Source"), v.String("Channel")),
		computer: cmp.Or(v.String("Computer"), v.String("Hostname"), v.String("computer_name"), v.String("host")),
		id:       cmp.Or(v.Number("EventID"), v.Number("event_id")), record: cmp.Or(v.Number("RecordNumber"), v.Number("EventRecordID"), v.Number("record_number"), v.String("EventOriginId")),
		system: cmp.Or(v.String("TimeGenerated"), v.String("@timestamp"), v.String("SystemTime")),
	}
	data := v.Get("EventData")
	if s := strings.TrimSpace(data.String()); strings.HasPrefix(s, "{") {
		var err error
		if data, err = d.inner.Parse([]byte(s)); err != nil {
			return nil, err
		}
	} else if strings.Contains(s, "<Data") {
		text, err := parseXML([]byte("<Event>" + wrapped(s) + "</Event>"))
		if err == nil {
			e.data = text.data
		}
		return e, err
	}
	if data.IsObject() {
		return e, e.take(data)
	}
	return e, e.take(v)
}

// wrapped puts an EventData element around bare Data elements.
func wrapped(s string) string {
	if strings.Contains(s, "<EventData") {
		return s
	}
	return "<EventData>" + s + "</EventData>"
}

// take reads the event's data: an object of names and values, or the list of
// Data elements. Names are read as Sysmon writes them, with a capital letter.
func (e *entry) take(v jsonrecord.Value) error {
	e.data = map[string]string{}
	var err error
	put := func(name, value string) {
		if name == "" {
			return
		}
		if name = strings.ToUpper(name[:1]) + name[1:]; err == nil {
			if _, twice := e.data[name]; twice {
				err = errors.New(clip(name) + " stands twice")
			}
			e.data[name] = value
		}
	}
	v.Each(func(key string, val jsonrecord.Value) {
		if key == "Data" && (val.IsArray() || val.IsObject()) {
			for _, item := range append(val.Array(), val) {
				put(attribute(item, "Name"), content(item))
			}
			return
		}
		put(key, val.Number())
	})
	return err
}

func sniffJSON(head source.Sample) int {
	has := func(s string) bool { return bytes.Contains(head.Data, []byte(s)) }
	if !has("Sysmon") || len(bytes.TrimSpace(head.Data)) == 0 {
		return 0
	}
	switch {
	case head.HasKeys("winlog"), head.HasKeys("Event") && has(`"EventData"`), head.HasKeys("System", "EventData"), head.HasKeys("EventID") && has("Microsoft-Windows-Sysmon"), head.HasKeys("SyslogMessage") && (has("u003cEvent") || has("<Event")):
		return 92
	case head.HasKeys("data") && has(`"eventdata"`), head.HasKeys("win"), head.HasKeys("EventData"), head.HasKeys("event_id"):
		return 80
	case (head.HasKeys("message") || head.HasKeys("@timestamp") || head.HasKeys("Message")) && (has("u003cEvent") || has("<Event") || has("Microsoft-Windows-Sysmon")):
		return 70
	}
	return 0
}
