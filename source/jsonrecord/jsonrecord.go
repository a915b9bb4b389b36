// Package jsonrecord reads one JSON record the way a detector must: keys are
// matched exactly (never by letter case), a wanted key that stands twice is
// reported and not silently chosen, bytes after the value are an error, and
// numbers keep all their digits.
//
// In: the bytes of one record. Out: Values. A record is checked whole, and cut
// into nodes that point into it; text is made of a node when somebody asks.
// valyala/fastjson says what is wrong with the others, and is what tests measure
// this package by; see docs/decisions/0003-json.md for why.
package jsonrecord

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"
	"github.com/valyala/fastjson/fastfloat"
)

// Errors that Parse and Parser.Fault wrap.
var (
	ErrSyntax       = errors.New("not one JSON value")
	ErrDuplicateKey = errors.New("key stands twice")
)

// Parser parses records one after another and reuses its memory. A Value is
// valid until the next Parse, and as long as the bytes that it was parsed from
// are left as they are. Not safe for concurrent use. The zero Parser is ready.
type Parser struct {
	scan    scanner
	words   Words
	scratch []byte  // a string without its escapes
	values  []Value // what Array gave since Parse
	fault   error
}

// Parse reads exactly one JSON value from b. It fails with ErrSyntax on
// anything else, and on nesting deeper than 300.
func (p *Parser) Parse(b []byte) (Value, error) {
	p.fault, p.values = nil, p.values[:0:cap(p.values)]
	if p.scan.scan(b) {
		return Value{p, 0}, nil
	}
	return Value{}, whyNot(b)
}

// whyNot says what is wrong with a record.
func whyNot(b []byte) error {
	var p fastjson.Parser
	if _, err := p.ParseBytes(b); err != nil {
		return fmt.Errorf("%w: %s", ErrSyntax, clip(innermost(err.Error())))
	}
	return fmt.Errorf("%w: %d bytes", ErrSyntax, len(b)) // too many
}

// innermost is what a parser's message says at its end, without the values that
// it was in on the way there.
func innermost(s string) string {
	for {
		_, rest, found := strings.Cut(s, ": ")
		if !found || !strings.HasPrefix(s, "cannot parse ") || !strings.HasPrefix(rest, "cannot parse ") {
			return s
		}
		s = rest
	}
}

// Fault is ErrDuplicateKey, with the key, if a key asked for since Parse stood
// twice in its object. An object that says two things is not to be trusted:
// two readers would see two events.
func (p *Parser) Fault() error { return p.fault }

// Value is a JSON value inside the last parsed record. The zero Value stands
// for a missing one; every method on it gives the zero answer.
type Value struct {
	p  *Parser // nil for a missing value
	at uint32  // the value's node
}

func (v Value) node() *node { return &v.p.scan.nodes[v.at] }

func (v Value) is(k kind) bool { return v.p != nil && v.node().kind == k }

// raw is the text of a string or number as it was written.
func (v Value) raw() []byte {
	n := v.node()
	return v.p.scan.b[n.start:n.end]
}

// bytes is the text of a string or number. It is valid until the next call.
func (v Value) bytes() []byte {
	if v.node().escaped {
		v.p.scratch = unescape(v.p.scratch[:0], v.raw())
		return v.p.scratch
	}
	return v.raw()
}

// Exists reports whether the value is there (null counts as there).
func (v Value) Exists() bool { return v.p != nil }

// IsNull reports whether the value is missing or null.
func (v Value) IsNull() bool { return v.p == nil || v.node().kind == kindNull }

// IsObject, IsArray and IsString report the value's type.
func (v Value) IsObject() bool { return v.is(kindObject) }

// IsArray reports whether the value is an array.
func (v Value) IsArray() bool { return v.is(kindArray) }

// IsString reports whether the value is a string.
func (v Value) IsString() bool { return v.is(kindString) }

// Get follows object keys. It gives the zero Value if one is missing or an
// intermediate value is no object.
func (v Value) Get(keys ...string) Value {
	for _, key := range keys {
		if !v.is(kindObject) {
			return Value{}
		}
		v = v.child(key)
	}
	return v
}

// child looks key up in an object and notes a duplicate: the first is given.
func (v Value) child(key string) Value {
	b, nodes := v.p.scan.b, v.p.scan.nodes
	slot, o := slotOf(key), &nodes[v.at]
	found := Value{}
	if mark(slot)&(uint64(o.end)<<32|uint64(o.start)) == 0 {
		return found
	}
	for i, end := v.at+1, o.next; i < end; {
		k := &nodes[i]
		if k.slot == slot && !k.escaped && string(b[k.start:k.end]) == key || k.escaped && v.escapedKeyIs(i, key) {
			if found.p != nil {
				v.p.twice(key)
				break
			}
			if found = (Value{v.p, i + 1}); !o.escaped {
				break
			}
		}
		i = nodes[i+1].next
	}
	return found
}

func (v Value) escapedKeyIs(at uint32, key string) bool { return string(Value{v.p, at}.bytes()) == key }

func (p *Parser) twice(key string) {
	if p.fault == nil {
		p.fault = fmt.Errorf("%w: %q", ErrDuplicateKey, clip(key))
	}
}

// String is the string at keys; "" if it is missing or no string.
func (v Value) String(keys ...string) string {
	w := v.Get(keys...)
	if !w.IsString() {
		return ""
	}
	return w.text()
}

func (v Value) text() string { return v.p.words.Of(v.bytes()) }

// Bytes is the text of a string or number at keys, nil for anything else. It
// is valid until the next Parse, and must not be written to.
func (v Value) Bytes(keys ...string) []byte {
	w := v.Get(keys...)
	switch {
	case !w.is(kindString) && !w.is(kindNumber):
		return nil
	case w.node().escaped:
		return unescape(nil, w.raw())
	}
	return w.raw()
}

// Is reports whether the value is the string s.
func (v Value) Is(s string) bool { return v.IsString() && string(v.bytes()) == s }

// Number is the number at keys as it was written, or a string holding it; ""
// if it is neither. Times and ids are read from it without a float between.
func (v Value) Number(keys ...string) string {
	w := v.Get(keys...)
	if w.is(kindNumber) || w.is(kindString) {
		return w.text()
	}
	return ""
}

// Int is the integer at keys, whether written as a number, a whole float or a
// string. ok is false if it is none of these or does not fit.
func (v Value) Int(keys ...string) (n int64, ok bool) {
	w := v.Get(keys...)
	if !w.is(kindNumber) && !w.is(kindString) {
		return 0, false
	}
	b := w.bytes()
	if n, ok := shortInt(b); ok {
		return n, true
	}
	s := string(b)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// shortInt reads a number of digits only that surely fits.
func shortInt(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// Bool is the boolean at keys, false if it is missing or none.
func (v Value) Bool(keys ...string) bool { return v.Get(keys...).is(kindTrue) }

// Array is the elements at keys, nil if it is no array. The slice is valid
// until the next Parse.
func (v Value) Array(keys ...string) []Value {
	w := v.Get(keys...)
	if !w.IsArray() {
		return nil
	}
	p := w.p
	begin := len(p.values)
	nodes := p.scan.nodes
	for i, end := w.at+1, nodes[w.at].next; i < end; i = nodes[i].next {
		p.values = append(p.values, Value{p, i})
	}
	if len(p.values) == begin {
		return []Value{}
	}
	return p.values[begin:len(p.values):len(p.values)]
}

// Strings is the strings at keys, leaving out elements of other types; a lone
// string counts as a list of one.
func (v Value) Strings(keys ...string) []string {
	w := v.Get(keys...)
	if w.IsString() {
		return []string{w.text()}
	}
	if !w.IsArray() {
		return nil
	}
	nodes := w.p.scan.nodes
	n := 0
	for i, end := w.at+1, nodes[w.at].next; i < end; i = nodes[i].next {
		if nodes[i].kind == kindString {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	out := make([]string, 0, n)
	for i, end := w.at+1, nodes[w.at].next; i < end; i = nodes[i].next {
		if nodes[i].kind == kindString {
			out = append(out, Value{w.p, i}.text())
		}
	}
	return out
}

// Each calls f for every key of the object at keys, in the order written.
func (v Value) Each(f func(key string, val Value), keys ...string) {
	w := v.Get(keys...)
	if !w.IsObject() {
		return
	}
	nodes := w.p.scan.nodes
	for i, end := w.at+1, nodes[w.at].next; i < end; i = nodes[i+1].next {
		f(Value{w.p, i}.text(), Value{w.p, i + 1})
	}
}

// Map is the object at keys with its string values; other values are left out.
func (v Value) Map(keys ...string) map[string]string {
	var m map[string]string
	v.Each(func(k string, e Value) {
		if !e.IsString() {
			return
		}
		if m == nil {
			m = map[string]string{}
		}
		m[k] = e.String()
	}, keys...)
	return m
}

// Any is the value as nil, bool, int64, float64, string, []any or map[string]any, for
// conditions over plain events.
func (v Value) Any() any {
	if v.p == nil {
		return nil
	}
	switch v.node().kind {
	case kindTrue, kindFalse:
		return v.is(kindTrue)
	case kindNumber:
		if n, ok := v.Int(); ok {
			return n
		}
		return fastfloat.ParseBestEffort(string(v.raw()))
	case kindString:
		return v.String()
	case kindArray:
		out := []any{}
		for _, e := range v.Array() {
			out = append(out, e.Any())
		}
		return out
	case kindObject:
		m := map[string]any{}
		v.Each(func(k string, e Value) { m[k] = e.Any() })
		return m
	}
	return nil
}

func clip(s string) string {
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}
