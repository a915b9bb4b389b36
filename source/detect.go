package source

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// sampleSize is how much of an input is looked at to tell its format.
const sampleSize = 64 << 10

// Sample is the beginning of an input, decompressed.
type Sample struct {
	// Data is up to 64 KiB; the last line may be cut.
	Data []byte
	// Lines are the first lines of Data that are not empty, at most 50,
	// without line ends. A last line that may be cut is left out unless it is
	// the only one.
	Lines [][]byte
	// top are the keys of the first object, which many formats ask for.
	top []string
}

const sampleLines = 50

func newSample(data []byte, whole bool) Sample {
	s := Sample{Data: data, top: topKeys(data)}
	rest := data
	for len(rest) > 0 && len(s.Lines) < sampleLines {
		line, after, found := bytes.Cut(rest, []byte{'\n'})
		rest = after
		line = bytes.TrimRight(line, "\r")
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if !found && !whole && len(s.Lines) > 0 {
			break
		}
		s.Lines = append(s.Lines, line)
	}
	return s
}

// Share is the percentage of the sample's lines for which like holds, 0 for
// an empty sample.
func (s Sample) Share(like func(line []byte) bool) int {
	if len(s.Lines) == 0 {
		return 0
	}
	n := 0
	for _, l := range s.Lines {
		if like(l) {
			n++
		}
	}
	return n * 100 / len(s.Lines)
}

// HasKeys reports whether the sample is JSON whose first object has every one
// of keys at its top. The object may be cut off by the sample's end.
func (s Sample) HasKeys(keys ...string) bool {
	top := s.top
	if top == nil {
		top = topKeys(s.Data)
	}
	for _, k := range keys {
		if !slices.Contains(top, k) {
			return false
		}
	}
	return len(top) > 0
}

// topKeys lists the keys of the first object in data, bare or in an array, as
// far as the data goes.
func topKeys(data []byte) []string {
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimLeft(data, " \t\r\n[\x1e")))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	var keys []string
	for dec.More() {
		k, err := dec.Token()
		key, isKey := k.(string)
		if err != nil || !isKey {
			return keys
		}
		keys = append(keys, key)
		if skipValue(dec) != nil {
			return keys
		}
	}
	return keys
}

// skipValue passes over one value, whatever its depth.
func skipValue(dec *json.Decoder) error {
	for depth := 0; ; {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// Detect tells the format of a file of which the first bytes are given, nil if
// it is none of them.
func Detect(formats []*Format, head []byte) *Format { return detect(formats, newSample(head, false)) }

// Named finds a format by its name, nil if there is none.
func Named(formats []*Format, name string) *Format {
	i := slices.IndexFunc(formats, func(f *Format) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return formats[i]
}

// detect picks the format that is surest, nil if none is. Equal answers go to
// the earlier format in the list, so the result does not depend on chance.
func detect(formats []*Format, s Sample) *Format {
	var best *Format
	sure := 0
	for _, f := range formats {
		if n := f.Sniff(s); n > sure {
			best, sure = f, n
		}
	}
	return best
}

// describe says what an unrecognised input looks like, for its message.
func describe(s Sample) string {
	if bytes.IndexByte(s.Data, 0) >= 0 {
		return "binary data"
	}
	if keys := topKeys(s.Data); len(keys) > 0 {
		return "JSON with keys " + strings.Join(keys[:min(len(keys), 6)], ", ")
	}
	return "text"
}
