package kubernetes

import (
	"bytes"
	"errors"

	"tidewaiter/event"
	"tidewaiter/source"
)

// element is one value of an array inside a record, with its own place in the
// file: a list of a thousand objects is a thousand records, and each is cited
// by itself.
type element struct{ start, end int }

// elements finds the values of the array under a key at the top of an object.
// data is valid JSON; ok is false if there is no such array.
func elements(data []byte, key string) (list []element, ok bool) {
	s := jsonScan{data: data}
	s.blank()
	if !s.take('{') {
		return nil, false
	}
	for s.blank(); s.at < len(data) && data[s.at] == '"'; s.blank() {
		name := s.text()
		s.blank()
		s.take(':')
		s.blank()
		if string(name) == key && s.at < len(data) && data[s.at] == '[' {
			return s.array(), true
		}
		s.value()
		s.blank()
		if !s.take(',') {
			break
		}
	}
	return nil, false
}

// jsonScan walks over valid JSON. On anything else it stops somewhere in data.
type jsonScan struct {
	data []byte
	at   int
}

func (s *jsonScan) blank() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

func (s *jsonScan) take(c byte) bool {
	if s.at < len(s.data) && s.data[s.at] == c {
		s.at++
		return true
	}
	return false
}

// text passes over a string, from its opening quote, and gives what stands in
// it, as written.
func (s *jsonScan) text() []byte {
	s.at++
	begin := s.at
	for ; s.at < len(s.data); s.at++ {
		switch s.data[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return s.data[begin : s.at-1]
		}
	}
	s.at = len(s.data)
	return nil
}

// value passes over one value.
func (s *jsonScan) value() {
	depth := 0
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case '"':
			s.text()
			if depth == 0 {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth <= 0 {
				if depth == 0 {
					s.at++
				}
				return
			}
		case ',':
			if depth == 0 {
				return
			}
		}
		s.at++
	}
}

// array lists the values of an array, from its opening bracket.
func (s *jsonScan) array() []element {
	var list []element
	s.at++
	for s.blank(); s.at < len(s.data) && s.data[s.at] != ']'; s.blank() {
		begin := s.at
		s.value()
		list = append(list, element{begin, begin + len(bytes.TrimRight(s.data[begin:s.at], " \t\r\n"))})
		if s.blank(); !s.take(',') && s.at == begin {
			break // not JSON
		}
	}
	return list
}

var errEscapedKey = errors.New("a list whose key is written with escapes")

// spread gives the elements of the array under key as records of their own and
// counts them so. An empty array is one record that says nothing.
func spread(out *source.Output, rec source.Record, key string, decode func(source.Record)) {
	list, ok := elements(rec.Data, key)
	switch {
	case !ok: // rec has the key all the same
		out.Unreadable(rec, errEscapedKey)
		return
	case len(list) == 0:
		out.Skip()
		return
	}
	out.Tally.Records += int64(len(list) - 1)
	line, last := rec.Line, 0
	for _, e := range list {
		line += bytes.Count(rec.Data[last:e.start], []byte{'\n'})
		last = e.start
		decode(source.Record{
			Data: rec.Data[e.start:e.end],
			Span: event.Span{Line: line, Offset: rec.Offset + int64(e.start), Length: e.end - e.start},
		})
	}
}
