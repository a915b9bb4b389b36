package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"tidewaiter/analytic"
	"tidewaiter/detections"
	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// LoadWith compiles one detection file together with the built-in signals,
// settings and scoring.
func LoadWith(file string) (*analytic.Library, error) {
	built, err := analytic.ReadFiles(detections.Files())
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, name := range analytic.SharedFiles() {
		files[name] = built[name]
	}
	if files[filepath.Base(file)], err = os.ReadFile(file); err != nil {
		return nil, fmt.Errorf("read detection: %w", err)
	}
	return analytic.Compile(files)
}

// ReadPlain reads JSON objects as plain events; "-" is standard input. Records
// without a readable time are left out and reported.
func ReadPlain(path string, stdin io.Reader, timeField string) ([]*event.Event, []source.Fault, error) {
	if path == "-" {
		spooled, err := spool(stdin, nil)
		if err != nil {
			return nil, nil, err
		}
		defer os.Remove(spooled)
		path = spooled
	}
	in, err := source.Open(path, source.Options{Formats: []*source.Format{plainFormat(timeField)}})
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	var out []*event.Event
	for {
		e, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out, in.Tallies()[0].Faults, nil
		}
		if err != nil {
			return nil, nil, err
		}
		out = append(out, &e)
	}
}

// plainFormat reads any JSON object.
func plainFormat(timeField string) *source.Format {
	return &source.Format{
		Name: "json", Title: "plain JSON events", Source: event.JSON, Framing: source.JSONValues,
		Sniff: func(source.Sample) int { return 1 },
		New: func(out *source.Output) source.Decoder {
			return &plainDecoder{out: out, timeField: timeField}
		},
	}
}

type plainDecoder struct {
	out       *source.Output
	timeField string
	parser    jsonrecord.Parser
}

// Decode implements source.Decoder.
func (d *plainDecoder) Decode(rec source.Record) {
	v, err := d.parser.Parse(rec.Data)
	if err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	fields, ok := v.Any().(map[string]any)
	if !ok {
		d.out.Unreadable(rec, errors.New("not an object"))
		return
	}
	at, err := plainTime(v, d.timeField)
	if err != nil {
		d.out.Unreadable(rec, err)
		return
	}
	d.out.Event(event.Event{Time: at, Body: &event.Plain{Fields: fields}}, []byte(strconv.Itoa(rec.Line)+":"+strconv.FormatInt(rec.Offset, 10)), rec.Span)
}

// Flush implements source.Decoder.
func (d *plainDecoder) Flush() {}

// plainTime reads a time: RFC 3339 text, or whole milliseconds since 1970.
func plainTime(v jsonrecord.Value, field string) (event.Time, error) {
	w := v.Get(field)
	switch {
	case !w.Exists():
		return event.Time{}, fmt.Errorf("field %q, which holds the time, is missing", field)
	case w.IsString():
		return event.ParseRFC3339(w.String())
	}
	n, ok := w.Int()
	if !ok || n < 0 || n > 9_200_000_000_000 {
		return event.Time{}, fmt.Errorf("field %q is no time: want RFC 3339, or milliseconds since 1970", field)
	}
	return event.Time{At: n * event.Millisecond, Res: event.Millisecond}, nil
}
