package scenario

import (
	"fmt"
	"strconv"
	"strings"
)

// maxDepth is how deep lists and objects may lie in each other.
const maxDepth = 32

// value is what stands behind a field's name: a word or a quoted text, a list
// or an object.
type value struct {
	at     int // where it begins
	shape  shape
	text   string  // of a word or a text
	parts  []value // of a list or an object
	keys   []string
	quoted bool
}

type shape uint8

const (
	scalar shape = iota
	list
	object
)

// misread is something wrong at a place in a text.
type misread struct {
	at  int
	err error
}

// Error is the reason alone; who reports it knows the line.
func (m *misread) Error() string { return m.err.Error() }

// Unwrap gives the reason.
func (m *misread) Unwrap() error { return m.err }

func misreadAt(at int, format string, args ...any) error {
	return &misread{at, fmt.Errorf(format, args...)}
}

// fieldReader reads "name=value name=value …". Blanks, line ends and comments
// separate; a comment begins with # where a field or value could begin.
type fieldReader struct {
	text string
	at   int
}

func (p *fieldReader) skip() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		case '#':
			if end := strings.IndexByte(p.text[p.at:], '\n'); end >= 0 {
				p.at += end
				continue
			}
			p.at = len(p.text)
		default:
			return
		}
	}
}

// peek gives the next byte, 0 at the end.
func (p *fieldReader) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

// until gives the text before the first of some bytes, and moves there.
func (p *fieldReader) until(ends string) string {
	rest := p.text[p.at:]
	if end := strings.IndexAny(rest, ends); end >= 0 {
		rest = rest[:end]
	}
	p.at += len(rest)
	return rest
}

const blanks = " \t\r\n"

// fields reads all, as an object.
func (p *fieldReader) fields() (value, error) {
	out := value{at: p.at, shape: object}
	for p.skip(); p.peek() != 0; p.skip() {
		at := p.at
		name := p.until("=" + blanks)
		if p.peek() != '=' || name == "" {
			return out, misreadAt(at, "%q: want name=value; a text with blanks stands in double quotes", clip(name))
		}
		p.at++
		v, err := p.value(blanks, 0)
		if err != nil {
			return out, err
		}
		if c := p.peek(); c != 0 && !strings.ContainsRune(blanks, rune(c)) {
			return out, misreadAt(p.at, "%s: %q stands right behind the value; put a blank between fields", name, clip(p.until(blanks)))
		}
		out.keys, out.parts = append(out.keys, name), append(out.parts, v)
	}
	return out, nil
}

// value reads one value; a word ends at one of ends.
func (p *fieldReader) value(ends string, depth int) (value, error) {
	if depth > maxDepth {
		return value{}, misreadAt(p.at, "more than %d lists and objects in each other", maxDepth)
	}
	at := p.at
	switch p.peek() {
	case '"':
		text, err := p.quoted()
		return value{at: at, text: text, quoted: true}, err
	case '[':
		return p.many(']', depth)
	case '{':
		return p.many('}', depth)
	}
	word := p.until(ends)
	switch {
	case word == "":
		return value{}, misreadAt(at, "a value is missing; write \"\" for an empty text")
	case strings.ContainsAny(word, `"'`):
		return value{}, misreadAt(at, "%s: a text with quotes in it stands in double quotes, as in Go", clip(word))
	}
	return value{at: at, text: word}, nil
}

func (p *fieldReader) quoted() (string, error) {
	at := p.at
	for p.at++; p.at < len(p.text); p.at++ {
		switch p.text[p.at] {
		case '\\':
			p.at++
		case '\n':
			return "", misreadAt(at, "the quotes are not closed in this line")
		case '"':
			p.at++
			text, err := strconv.Unquote(p.text[at:p.at])
			if err != nil {
				return "", misreadAt(at, "%s: no quoted text as Go writes it", clip(p.text[at:p.at]))
			}
			return text, nil
		}
	}
	p.at = len(p.text)
	return "", misreadAt(at, "the quotes are not closed in this line")
}

// many reads a list or an object to its closing bracket.
func (p *fieldReader) many(end byte, depth int) (value, error) {
	out := value{at: p.at, shape: list}
	if end == '}' {
		out.shape = object
	}
	p.at++
	for first := true; ; first = false {
		p.skip()
		switch c := p.peek(); {
		case c == 0:
			return out, misreadAt(out.at, "a list or object is not closed; %q is missing", string(end))
		case c == end:
			p.at++
			return out, nil
		case c == ',' && !first:
			p.at++
			p.skip()
		case !first:
			return out, misreadAt(p.at, "want a comma before %q, or quotes around a text with blanks", clip(p.until(blanks)))
		}
		if err := p.member(&out, depth); err != nil {
			return out, err
		}
	}
}

// member reads one value of a list, or one key and value of an object.
func (p *fieldReader) member(into *value, depth int) error {
	if into.shape == object {
		key, err := p.key()
		if err != nil {
			return err
		}
		into.keys = append(into.keys, key)
		p.skip()
	}
	v, err := p.value(",]}"+blanks, depth+1)
	into.parts = append(into.parts, v)
	return err
}

// key reads "name:" of an object.
func (p *fieldReader) key() (string, error) {
	at, key := p.at, ""
	var err error
	if p.peek() == '"' {
		if key, err = p.quoted(); err != nil {
			return "", err
		}
	} else {
		key = p.until(":,{}[]" + blanks)
	}
	p.skip()
	if p.peek() != ':' || key == "" {
		return "", misreadAt(at, "want {name: value, …}")
	}
	p.at++
	return key, nil
}

// clip shortens text for a message.
func clip(s string) string {
	const most = 64
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
