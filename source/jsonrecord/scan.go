package jsonrecord

import (
	"bytes"
	"math"
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
	// its quotes and with its escapes, a number's as it was written. Those of
	// an object are the two halves of its keys' marks: see mark.
	start, end uint32
	// next is the node behind this one and all that is in it.
	next uint32
	kind kind
	// escaped is set for a string that has a backslash, and for an object in
	// which a key may stand twice: two of its keys have one mark.
	escaped bool
	// slot tells most keys apart (slotOf); it is of a key without escapes.
	slot uint8
}

// maxDepth is how deep values may lie in one another: as deep as fastjson
// allows.
const maxDepth = 300

// maxBytes is the longest record: positions in it have 32 bits.
const maxBytes = math.MaxInt32

// scanner cuts a record into nodes. It takes what fastjson takes, in its words:
// raw control characters in strings, unknown escapes and numbers like 01 are
// let pass, because what a record says is not in doubt there.
type scanner struct {
	b     []byte
	nodes []node // of which n are in use
	n     int
	slash int // where the next backslash stands
}

// scan reads exactly one value. It says only whether b is one; why not is
// fastjson's to say.
func (s *scanner) scan(b []byte) bool {
	s.b, s.n = b, 0
	if len(b) >= maxBytes {
		return false
	}
	s.findSlash(0)
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

// add appends a node.
func (s *scanner) add(k kind, start, end int) *node {
	if s.n == len(s.nodes) {
		s.nodes = append(s.nodes, make([]node, max(64, s.n))...)
	}
	n := &s.nodes[s.n]
	s.n++
	*n = node{start: uint32(start), end: uint32(end), next: uint32(s.n), kind: k}
	return n
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
	b, end := s.b, at
	for end < len(b) && numeric[b[end]] {
		end++
	}
	if end < len(b) && end <= at+1 {
		if signed := end > at && (b[at] == '-' || b[at] == '+'); end == at || signed {
			if len(b)-end < 3 || !bytes.EqualFold(b[end:end+3], []byte("inf")) && !bytes.EqualFold(b[end:end+3], []byte("nan")) {
				return -1
			}
			end += 3
		}
	}
	s.add(kindNumber, at, end)
	return end
}

// numeric are the bytes that numbers are written with.
var numeric = [256]bool{
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'.': true, '-': true, '+': true, 'e': true, 'E': true,
}

// text reads a string, from behind its opening quote. Few strings have escapes,
// and the library looks for one byte faster than any loop here looks for two.
func (s *scanner) text(start int) int {
	n := bytes.IndexByte(s.b[start:], '"')
	end := start + n
	if n < 0 || s.slash < end {
		return s.escapedText(start)
	}
	s.add(kindString, start, end)
	return end + 1
}

// escapedText reads a string that has a backslash, or does not end.
func (s *scanner) escapedText(start int) int {
	b := s.b
	for at := max(start, s.slash); at < len(b); at++ {
		switch b[at] {
		case '"':
			s.add(kindString, start, at).escaped = true
			s.findSlash(at)
			return at + 1
		case '\\':
			at++
		}
	}
	return -1
}

// findSlash finds the next backslash from a position on.
func (s *scanner) findSlash(at int) {
	if n := bytes.IndexByte(s.b[at:], '\\'); n >= 0 {
		s.slash = at + n
	} else {
		s.slash = len(s.b)
	}
}

func (s *scanner) array(at, depth int) int {
	self := s.n
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
			s.nodes[self].next = uint32(s.n)
			return at + 1
		default:
			return -1
		}
	}
}

// mark is one bit of 64 for a key. An object keeps those of all its keys: most
// keys that are asked for and not there have another, and if no two keys have
// the same, no key stands twice.
func mark(slot uint8) uint64 { return 1 << (slot & 63) }

func (s *scanner) object(at, depth int) int {
	b, self := s.b, s.n
	marks, twice := uint64(0), false
	s.add(kindObject, 0, 0)
	if at = s.blank(at + 1); at < len(b) && b[at] == '}' {
		return at + 1
	}
	for {
		if at >= len(b) || b[at] != '"' {
			return -1
		}
		start := at + 1
		if at = s.text(start); at < 0 {
			return -1
		}
		if key := &s.nodes[s.n-1]; key.escaped {
			marks, twice = ^uint64(0), true
		} else {
			key.slot = slotOf(b[start : at-1])
			twice = twice || marks&mark(key.slot) != 0
			marks |= mark(key.slot)
		}
		if at < len(b) && b[at] <= ' ' {
			at = s.blank(at)
		}
		if at >= len(b) || b[at] != ':' {
			return -1
		}
		if at++; at < len(b) && b[at] <= ' ' {
			at = s.blank(at)
		}
		if at < len(b) && b[at] == '"' && depth < maxDepth {
			at = s.text(at + 1)
		} else {
			at = s.value(at, depth+1)
		}
		if at < 0 {
			return -1
		}
		if at < len(b) && b[at] <= ' ' {
			at = s.blank(at)
		}
		if at >= len(b) {
			return -1
		}
		switch b[at] {
		case ',':
			if at++; at < len(b) && b[at] <= ' ' {
				at = s.blank(at)
			}
		case '}':
			o := &s.nodes[self]
			o.next, o.escaped, o.start, o.end = uint32(s.n), twice, uint32(marks), uint32(marks>>32)
			return at + 1
		default:
			return -1
		}
	}
}
