package flow

import (
	"bytes"
	"strings"

	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// How sure the sniffers are.
const (
	sureHeader   = 95 // a header names the columns
	surePath     = 60 // a header names the log, but no columns
	sureDefault  = 80 // every cell fits the default columns
	sureFragment = 30 // begins like such a log; the header is missing
)

// sniffTSV tells a tab-separated log by its first header, or without one by
// the shape of its lines.
func sniffTSV(head source.Sample, want kind) int {
	l := newLayout()
	var plain [][]string
	var row tsvRow
	for _, raw := range head.Lines {
		line := string(raw)
		if strings.HasPrefix(line, "#") {
			if strings.HasPrefix(line, "#close") {
				break // it would forget what the header said
			}
			l.header(line)
		} else if row.split(raw, l.separator); row.isBareHeader() {
			l.name(row.texts())
		} else {
			plain = append(plain, row.texts())
		}
		if l.known() {
			return sureIf(l.kind == want, sureHeader)
		}
	}
	if l.path != "" {
		return sureIf(kindOf(l.path, l.has) == want, surePath)
	}
	return sniffPlain(plain, want)
}

// sniffPlain judges lines without header: half of them must agree.
func sniffPlain(lines [][]string, want kind) int {
	var fit, like int
	for _, cells := range lines {
		if l := defaultLayout(cells); l != nil {
			if l.kind == want {
				fit++
			}
		} else if fragmentKind(cells) == want {
			like++
		}
	}
	switch {
	case fit > 0 && 2*fit >= len(lines):
		return sureDefault
	case fit+like > 0 && 2*(fit+like) >= len(lines):
		return sureFragment
	}
	return 0
}

func sureIf(ok bool, sure int) int {
	if ok {
		return sure
	}
	return 0
}

// sniffJSON tells a JSON log by the share of records that are of the wanted
// kind.
func sniffJSON(head source.Sample, want kind) int {
	var p jsonrecord.Parser
	var n, hits int
	for _, text := range sampleObjects(head) {
		v, err := p.Parse(text)
		if err != nil || !v.IsObject() {
			continue
		}
		n++
		var r jsonRow
		if r.open(v); r.kind() == want && p.Fault() == nil {
			hits++
		}
	}
	if n == 0 {
		return 0
	}
	return sureHeader * hits / n
}

// sampleObjects gives JSON objects from the sample: one a line if the first of
// them fills its line, else the first, which is printed over many lines.
func sampleObjects(head source.Sample) [][]byte {
	data := bytes.TrimLeft(head.Data, between)
	if len(data) == 0 || data[0] != '{' {
		return nil
	}
	n := objectEnd(data)
	if n > 0 && bytes.IndexByte(data[:n], '\n') >= 0 {
		return [][]byte{data[:n]}
	}
	var objects [][]byte
	for _, l := range head.Lines {
		if l = bytes.Trim(l, between+"],"); len(l) > 0 && l[0] == '{' {
			objects = append(objects, l)
		}
	}
	return objects
}

// between is what may stand before a JSON value: blanks, the bracket of an
// array around all of them, and the separator of RFC 7464.
const between = " \t\r\n[\x1e"

// objectEnd is the length of the object that data begins with, 0 if it does
// not end in data.
func objectEnd(data []byte) int {
	depth, inString, escaped := 0, false, false
	for i, c := range data {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped = c == '\\'
			inString = c != '"'
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}
