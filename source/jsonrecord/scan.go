package jsonrecord

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// kind is what a node is.
type kind uint8

const (
	kindNull kind = iota
	kindTrue
	kindFalse
	kindNumber
	kindString
	kindArray
	kindObject
)

// node is one value of the record, or one key. The nodes of a record lie in
// the order of its text: those of an array follow it, and so do those of an
// object, each value after its key.
type node struct {
	// start and end bound the text in the record: a string's or key's without
	// its quotes and with its escapes, a number's as it was written.
	start, end uint32
	// next is the node behind this one and all that is in it.
	next uint32
	kind kind
	// escaped is set for a string that has a backslash.
	escaped bool
}

// maxDepth is how deep values may lie in one another: as deep as fastjson
// allows.
const maxDepth = 300

// maxBytes is the longest record: positions in it have 32 bits.
const maxBytes = 1 << 31

// scanner cuts a record into nodes. It takes what fastjson takes, in its words:
// raw control characters in strings, unknown escapes and numbers like 01 are
// let pass, because what a record says is not in doubt there.
type scanner struct {
	b     []byte
	nodes []node
}

// scan reads exactly one value. It says only whether b is one; why not is
// fastjson's to say.
func (s *scanner) scan(b []byte) bool {
	s.b, s.nodes = b, s.nodes[:0]
	if len(b) >= maxBytes {
		return false
	}
	at := s.value(s.blank(0), 1)
	return at >= 0 && s.blank(at) == len(b)
}

// blank passes over white space.
func (s *scanner) blank(at int) int {
	for at < len(s.b) && s.b[at] <= ' ' && isBlank(s.b[at]) {
		at++
	}
	return at
}

func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// value reads the value at a position and gives the one behind it, -1 if there
// is none.
func (s *scanner) value(at, depth int) int {
	if at >= len(s.b) || depth > maxDepth {
		return -1
	}
	switch s.b[at] {
	case '"':
		return s.text(at + 1)
	case '{':
		return s.object(at, depth)
	case '[':
		return s.array(at, depth)
	case 't':
		return s.word(at, "true", kindTrue)
	case 'f':
		return s.word(at, "false", kindFalse)
	case 'n':
		if end := s.word(at, "null", kindNull); end >= 0 {
			return end
		}
	}
	return s.number(at)
}

func (s *scanner) add(k kind, start, end int) {
	s.nodes = append(s.nodes, node{start: uint32(start), end: uint32(end), next: uint32(len(s.nodes) + 1), kind: k})
}

func (s *scanner) word(at int, word string, k kind) int {
	end := at + len(word)
	if end > len(s.b) || string(s.b[at:end]) != word {
		return -1
	}
	s.add(k, at, end)
	return end
}

// number reads a number the way fastjson does: all that may stand in one, and
// the words inf and nan.
func (s *scanner) number(at int) int {
	end := at
	for end < len(s.b) && numeric[s.b[end]] {
		end++
	}
	if signed := end == at+1 && (s.b[at] == '-' || s.b[at] == '+'); end < len(s.b) && (end == at || signed) {
		if len(s.b)-end < 3 || !bytes.EqualFold(s.b[end:end+3], []byte("inf")) && !bytes.EqualFold(s.b[end:end+3], []byte("nan")) {
			return -1
		}
		end += 3
	}
	s.add(kindNumber, at, end)
	return end
}

// numeric are the bytes that numbers are written with.
var numeric = [256]bool{
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'.': true, '-': true, '+': true, 'e': true, 'E': true,
}

// text reads a string, from behind its opening quote, eight bytes at a time.
func (s *scanner) text(start int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	const quotes, slashes = ones * '"', ones * '\\'
	b, at, escaped := s.b, start, false
	for at+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[at:])
		q, e := w^quotes, w^slashes
		// A byte's high bit is set where q or e has a zero; bits above the
		// lowest may be set by its borrow, so only the lowest is looked at.
		hit := ((q-ones)&^q | (e-ones)&^e) & highs
		if hit == 0 {
			at += 8
			continue
		}
		at += bits.TrailingZeros64(hit) >> 3
		if b[at] == '"' {
			return s.addText(start, at, escaped)
		}
		escaped = true
		at += 2
	}
	for ; at < len(b); at++ {
		switch b[at] {
		case '"':
			return s.addText(start, at, escaped)
		case '\\':
			escaped = true
			at++
		}
	}
	return -1
}

func (s *scanner) addText(start, end int, escaped bool) int {
	s.nodes = append(s.nodes, node{start: uint32(start), end: uint32(end), next: uint32(len(s.nodes) + 1), kind: kindString, escaped: escaped})
	return end + 1
}

func (s *scanner) array(at, depth int) int {
	self := len(s.nodes)
	s.add(kindArray, at, at)
	if at = s.blank(at + 1); at < len(s.b) && s.b[at] == ']' {
		return at + 1
	}
	for {
		if at = s.value(at, depth+1); at < 0 {
			return -1
		}
		if at = s.blank(at); at >= len(s.b) {
			return -1
		}
		switch s.b[at] {
		case ',':
			at = s.blank(at + 1)
		case ']':
			s.nodes[self].next = uint32(len(s.nodes))
			return at + 1
		default:
			return -1
		}
	}
}

func (s *scanner) object(at, depth int) int {
	self := len(s.nodes)
	s.add(kindObject, at, at)
	if at = s.blank(at + 1); at < len(s.b) && s.b[at] == '}' {
		return at + 1
	}
	for {
		if at >= len(s.b) || s.b[at] != '"' {
			return -1
		}
		if at = s.text(at + 1); at < 0 {
			return -1
		}
		if at = s.blank(at); at >= len(s.b) || s.b[at] != ':' {
			return -1
		}
		if at = s.value(s.blank(at+1), depth+1); at < 0 {
			return -1
		}
		if at = s.blank(at); at >= len(s.b) {
			return -1
		}
		switch s.b[at] {
		case ',':
			at = s.blank(at + 1)
		case '}':
			s.nodes[self].next = uint32(len(s.nodes))
			return at + 1
		default:
			return -1
		}
	}
}
