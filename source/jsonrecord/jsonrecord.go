// Package jsonrecord reads one JSON record the way a detector must: keys are
// matched exactly (never by letter case), a wanted key that stands twice is
// reported and not silently chosen, bytes after the value are an error, and
// numbers keep all their digits.
//
// In: the bytes of one record. Out: Values. The work is done by
// valyala/fastjson; see docs/decisions/0003-json.md for why.
package jsonrecord

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"
)

// Errors that Parse and Parser.Fault wrap.
var (
	ErrSyntax       = errors.New("not one JSON value")
	ErrDuplicateKey = errors.New("key stands twice")
)

// Parser parses records one after another and reuses its memory. A Value is
// valid until the next Parse. Not safe for concurrent use. The zero Parser is
// ready.
type Parser struct {
	p     fastjson.Parser
	fault error
}

// Parse reads exactly one JSON value from b. It fails with ErrSyntax on
// anything else, and on nesting deeper than 300.
func (p *Parser) Parse(b []byte) (Value, error) {
	p.fault = nil
	v, err := p.p.ParseBytes(b)
	if err != nil {
		return Value{}, fmt.Errorf("%w: %s", ErrSyntax, clip(innermost(err.Error())))
	}
	return Value{v, p}, nil
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
	v *fastjson.Value
	p *Parser
}

// Exists reports whether the value is there (null counts as there).
func (v Value) Exists() bool { return v.v != nil }

// IsNull reports whether the value is missing or null.
func (v Value) IsNull() bool { return v.v == nil || v.v.Type() == fastjson.TypeNull }

// IsObject, IsArray and IsString report the value's type.
func (v Value) IsObject() bool { return v.v != nil && v.v.Type() == fastjson.TypeObject }

// IsArray reports whether the value is an array.
func (v Value) IsArray() bool { return v.v != nil && v.v.Type() == fastjson.TypeArray }

// IsString reports whether the value is a string.
func (v Value) IsString() bool { return v.v != nil && v.v.Type() == fastjson.TypeString }

// Get follows object keys. It gives the zero Value if one is missing or an
// intermediate value is no object.
func (v Value) Get(keys ...string) Value {
	cur := v.v
	for _, key := range keys {
		if cur == nil || cur.Type() != fastjson.TypeObject {
			return Value{}
		}
		cur = v.child(cur.GetObject(), key)
	}
	return Value{cur, v.p}
}

// child looks key up and notes a duplicate. fastjson's own look-up would take
// the first in silence.
func (v Value) child(o *fastjson.Object, key string) *fastjson.Value {
	first := o.Get(key)
	if first == nil {
		return nil
	}
	n := 0
	o.Visit(func(k []byte, _ *fastjson.Value) {
		if string(k) == key {
			n++
		}
	})
	if n > 1 && v.p.fault == nil {
		v.p.fault = fmt.Errorf("%w: %q", ErrDuplicateKey, clip(key))
	}
	return first
}

// String is the string at keys; "" if it is missing or no string.
func (v Value) String(keys ...string) string {
	w := v.Get(keys...)
	if !w.IsString() {
		return ""
	}
	return string(w.v.GetStringBytes())
}

// Number is the number at keys as it was written, or a string holding it; ""
// if it is neither. Times and ids are read from it without a float between.
func (v Value) Number(keys ...string) string {
	w := v.Get(keys...)
	switch {
	case w.v == nil:
		return ""
	case w.v.Type() == fastjson.TypeNumber:
		return string(w.v.MarshalTo(nil))
	case w.v.Type() == fastjson.TypeString:
		return string(w.v.GetStringBytes())
	}
	return ""
}

// Int is the integer at keys, whether written as a number, a whole float or a
// string. ok is false if it is none of these or does not fit.
func (v Value) Int(keys ...string) (n int64, ok bool) {
	s := v.Number(keys...)
	if s == "" {
		return 0, false
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// Bool is the boolean at keys, false if it is missing or none.
func (v Value) Bool(keys ...string) bool {
	w := v.Get(keys...)
	return w.v != nil && w.v.Type() == fastjson.TypeTrue
}

// Array is the elements at keys, nil if it is no array.
func (v Value) Array(keys ...string) []Value {
	w := v.Get(keys...)
	if !w.IsArray() {
		return nil
	}
	elems := w.v.GetArray()
	out := make([]Value, len(elems))
	for i, e := range elems {
		out[i] = Value{e, v.p}
	}
	return out
}

// Strings is the strings at keys, leaving out elements of other types; a lone
// string counts as a list of one.
func (v Value) Strings(keys ...string) []string {
	w := v.Get(keys...)
	if w.IsString() {
		return []string{string(w.v.GetStringBytes())}
	}
	var out []string
	for _, e := range w.Array() {
		if e.IsString() {
			out = append(out, string(e.v.GetStringBytes()))
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
	w.v.GetObject().Visit(func(k []byte, e *fastjson.Value) { f(string(k), Value{e, v.p}) })
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
	if v.v == nil {
		return nil
	}
	switch v.v.Type() {
	case fastjson.TypeTrue, fastjson.TypeFalse:
		return v.v.Type() == fastjson.TypeTrue
	case fastjson.TypeNumber:
		if n, ok := v.Int(); ok {
			return n
		}
		return v.v.GetFloat64()
	case fastjson.TypeString:
		return v.String()
	case fastjson.TypeArray:
		out := []any{}
		for _, e := range v.Array() {
			out = append(out, e.Any())
		}
		return out
	case fastjson.TypeObject:
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
