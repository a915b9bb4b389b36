package envelope

import (
	"bytes"

	"tidewaiter/event"
	"tidewaiter/source"
)

// Elements cuts out the elements of the array at keys, each with its place in
// the file. rec.Data must be valid JSON and stand in the file as it is. ok is
// false if a key on the way is not there in plain letters, or holds no array.
func Elements(rec source.Record, keys ...string) (parts []source.Record, ok bool) {
	at := member(rec.Data, skipBlank(rec.Data, 0), keys)
	if at >= len(rec.Data) || rec.Data[at] != '[' {
		return nil, false
	}
	line, counted := rec.Line, 0
	for at = skipBlank(rec.Data, at+1); at < len(rec.Data) && rec.Data[at] != ']'; {
		end := valueEnd(rec.Data, at)
		if end == 0 {
			return nil, false
		}
		line += bytes.Count(rec.Data[counted:at], []byte{'\n'})
		counted = at
		parts = append(parts, source.Record{
			Data: rec.Data[at:end],
			Span: event.Span{Line: line, Offset: rec.Offset + int64(at), Length: end - at},
		})
		if at = skipBlank(rec.Data, end); at < len(rec.Data) && rec.Data[at] == ',' {
			at = skipBlank(rec.Data, at+1)
		}
	}
	return parts, true
}

// member is where the value at keys begins in the object that begins at at,
// len(data) if there is none.
func member(data []byte, at int, keys []string) int {
	if at >= len(data) || data[at] != '{' {
		return len(data)
	}
	for at = skipBlank(data, at+1); at < len(data) && data[at] == '"'; {
		end := valueEnd(data, at)
		if end == 0 {
			return len(data)
		}
		key := data[at+1 : end-1]
		val := skipBlank(data, end)
		if val >= len(data) || data[val] != ':' {
			return len(data)
		}
		val = skipBlank(data, val+1)
		if string(key) == keys[0] {
			if len(keys) == 1 {
				return val
			}
			return member(data, val, keys[1:])
		}
		if end = valueEnd(data, val); end == 0 {
			return len(data)
		}
		if at = skipBlank(data, end); at < len(data) && data[at] == ',' {
			at = skipBlank(data, at+1)
		}
	}
	return len(data)
}

// valueEnd is the position after the value that begins at at, 0 if it does not
// end in data.
func valueEnd(data []byte, at int) int {
	depth, inString := 0, false
	for i := at; i < len(data); i++ {
		c := data[i]
		switch {
		case inString && c == '\\':
			i++
		case c == '"':
			if inString = !inString; !inString && depth == 0 {
				return i + 1
			}
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']' || c == ',' || isBlank(c):
			if depth == 0 && i > at {
				return i // after a number or a word
			}
			if c == '}' || c == ']' {
				if depth--; depth <= 0 {
					return i + 1
				}
			}
		}
	}
	return 0
}

func skipBlank(data []byte, at int) int {
	for at < len(data) && isBlank(data[at]) {
		at++
	}
	return at
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
