package cri

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var (
	errNotQuoted = errors.New("want a quoted text")
	errUnclosed  = errors.New("a quoted text does not end")
	errMessage   = errors.New("want a message as &Name{Field:value,} or as field:value")
	errTwice     = errors.New("a field stands twice")
)

// quoted reads a text that was printed with %q from the front of s.
func quoted(s string) (text, rest string, err error) {
	raw, rest, err := cutQuoted(s)
	if err != nil {
		return "", "", err
	}
	text, err = strconv.Unquote(raw)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", errNotQuoted, err)
	}
	return text, rest, nil
}

// cutQuoted cuts a quoted text from the front of s, with its quotes.
func cutQuoted(s string) (raw, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		return "", "", errNotQuoted
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[:i+1], s[i+1:], nil
		}
	}
	return "", "", errUnclosed
}

// message is a protocol buffer as a runtime prints it with %+v: a list of
// fields in the order printed, values as they stand there.
type message []field

type field struct{ name, value string }

// maxFields bounds a message. Those of interest have at most ten fields, and a
// command's arguments.
const maxFields = 4096

// parseMessage reads a message from the front of s, in either form:
//
//	&ContainerMetadata{Name:web,Attempt:1,}    gogo's String method
//	name:"web"  attempt:1                      the text format
//
// The text format is printed with one blank between fields or two, by chance.
func parseMessage(s string) (message, string, error) {
	if strings.HasPrefix(s, "&") {
		return parseStruct(s)
	}
	return parseText(s)
}

// parseStruct reads the form of gogo. It quotes nothing: a value lasts to the
// next comma outside braces, so that a value cannot be told from two if it has
// a comma. No name that Kubernetes gives has one.
func parseStruct(s string) (message, string, error) {
	_, s, found := strings.Cut(s, "{")
	if !found {
		return nil, "", errMessage
	}
	var m message
	for !strings.HasPrefix(s, "}") {
		name, after, found := strings.Cut(s, ":")
		end := structValueEnd(after)
		if !found || end < 0 || len(m) == maxFields || strings.ContainsAny(name, "{},") {
			return nil, "", errMessage
		}
		m = append(m, field{name, after[:end]})
		s = strings.TrimPrefix(after[end:], ",")
	}
	return m, s[1:], nil
}

// structValueEnd is where a value ends: before a comma, or before the brace
// that closes the message; -1 if neither comes.
func structValueEnd(s string) int {
	depth := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '{':
			depth++
		case c == '}' && depth == 0, c == ',' && depth == 0:
			return i
		case c == '}':
			depth--
		}
	}
	return -1
}

// parseText reads the text format, up to what is no field.
func parseText(s string) (message, string, error) {
	var m message
	for {
		s = strings.TrimLeft(s, " ")
		n := fieldName(s)
		if n == 0 {
			break
		}
		value, rest, err := textValue(s[n+1:])
		if err != nil {
			return nil, "", err
		}
		if len(m) == maxFields {
			return nil, "", errMessage
		}
		m = append(m, field{s[:n], value})
		s = rest
	}
	if len(m) == 0 {
		return nil, "", errMessage
	}
	return m, s, nil
}

// fieldName is the length of a field's name before a colon, 0 if there is none.
func fieldName(s string) int {
	for i := range len(s) {
		switch c := s[i]; {
		case c == ':':
			return i
		case (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_':
			return 0
		}
	}
	return 0
}

// textValue cuts a value: quoted, a message in braces, or a word.
func textValue(s string) (value, rest string, err error) {
	switch {
	case strings.HasPrefix(s, `"`):
		return cutQuoted(s)
	case !strings.HasPrefix(s, "{"):
		end := strings.IndexAny(s, " }")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], nil
	}
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			raw, _, err := cutQuoted(s[i:])
			if err != nil {
				return "", "", err
			}
			i += len(raw) - 1
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return s[:i+1], s[i+1:], nil
			}
		}
	}
	return "", "", errMessage
}

// text is the value of a field under either of its names, "" if it is missing.
// A field that stands twice is an error: two readers would see two messages.
func (m message) text(goName, textName string) (string, error) {
	value, n := "", 0
	for _, f := range m {
		if f.name == goName || f.name == textName {
			value = f.value
			n++
		}
	}
	switch {
	case n > 1:
		return "", fmt.Errorf("%w: %s", errTwice, textName)
	case strings.HasPrefix(value, `"`):
		text, _, err := quoted(value)
		return text, err
	}
	return value, nil
}

// number is the value of a field that is an unsigned number of 32 bits. 0 is
// left out in the text format.
func (m message) number(goName, textName string) (int, error) {
	s, err := m.text(goName, textName)
	if err != nil || s == "" {
		return 0, err
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s %q is not a number of 32 bits", textName, clip(s))
	}
	return int(n), nil
}

// clip shortens what a reason quotes.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
