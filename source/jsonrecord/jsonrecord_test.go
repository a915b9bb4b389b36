package jsonrecord_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"tidewaiter/source/jsonrecord"
)

func parse(t *testing.T, text string) (jsonrecord.Value, *jsonrecord.Parser) {
	t.Helper()
	p := &jsonrecord.Parser{}
	v, err := p.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v, p
}

// Keys are matched by their exact bytes: a record cannot say one thing to us
// and another to a reader that folds case.
func TestKeysAreMatchedExactly(t *testing.T) {
	v, _ := parse(t, `{"Status":"a","status":"b","STATUS":"c","\u0073tatus2":"d"}`)
	for key, want := range map[string]string{"Status": "a", "status": "b", "STATUS": "c", "sTATUS": "", "status2": "d"} {
		if got := v.String(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

// A wanted key that stands twice, however it is spelt, is told; one that
// nobody asks for is not.
func TestAKeyThatStandsTwiceIsAFault(t *testing.T) {
	for text, fault := range map[string]bool{
		`{"id":"a","id":"b"}`:                     true,
		`{"id":"a","\u0069d":"b"}`:                true,
		`{"id":"a","other":1,"other":2}`:          false,
		`{"id":"a","inner":{"id":"b"}}`:           false,
		`{"id":"a","list":[{"id":1},{"id":2}]}`:   false,
		`{"deep":{"id":1,"id":2},"id":"a","x":1}`: false,
	} {
		v, p := parse(t, text)
		v.String("id")
		if err := p.Fault(); (err != nil) != fault || (fault && !errors.Is(err, jsonrecord.ErrDuplicateKey)) {
			t.Errorf("%s: fault %v", text, err)
		}
	}
	v, p := parse(t, `{"id":"a","id":"b"}`)
	v.String("id")
	if _, err := p.Parse([]byte(`{}`)); err != nil || p.Fault() != nil {
		t.Errorf("the next record inherits the fault: %v, %v", err, p.Fault())
	}
}

func TestWhatIsNotOneValueIsASyntaxError(t *testing.T) {
	var p jsonrecord.Parser
	for _, text := range []string{"", " ", "{", `{"a":1}{}`, `{"a":1} x`, `{"a"}`, `{"a":01x}`, "\x00", `{"a":"` + "\n" + `"`,
		strings.Repeat("[", 400) + strings.Repeat("]", 400)} {
		if _, err := p.Parse([]byte(text)); !errors.Is(err, jsonrecord.ErrSyntax) {
			t.Errorf("%.40q: %v, want ErrSyntax", text, err)
		}
	}
	if _, err := p.Parse([]byte(`{"` + strings.Repeat("k", 10_000))); err == nil || len(err.Error()) > 300 {
		t.Errorf("the message is as long as the record: %d bytes", len(err.Error()))
	}
}

// Numbers keep all their digits: times in nanoseconds and ids of 64 bits do not
// fit a float.
func TestNumbersKeepTheirDigits(t *testing.T) {
	v, _ := parse(t, `{"ns":1762424400123456789,"text":"9007199254740993","float":1.5,"whole":3.0,"exp":1e3,"big":123456789012345678901,"huge":1e300,"no":true}`)
	if got := v.Number("ns"); got != "1762424400123456789" {
		t.Errorf("ns %s", got)
	}
	for key, want := range map[string]int64{"ns": 1762424400123456789, "text": 9007199254740993, "whole": 3, "exp": 1000} {
		if got, ok := v.Int(key); !ok || got != want {
			t.Errorf("%s: %d, %v; want %d", key, got, ok, want)
		}
	}
	for _, key := range []string{"float", "big", "huge", "no", "missing"} {
		if got, ok := v.Int(key); ok {
			t.Errorf("%s: %d, want none", key, got)
		}
	}
}

// Every question about something that is not there, or is of another type, has
// the zero answer.
func TestTheMissingAnswersZero(t *testing.T) {
	v, p := parse(t, `{"n":null,"s":"x","a":[1,"two",null,{"three":3}],"o":{"k":"v","n":1}}`)
	for _, w := range []jsonrecord.Value{{}, v.Get("missing"), v.Get("s", "deeper"), v.Get("a", "0")} {
		if w.Exists() || !w.IsNull() || w.IsObject() || w.IsArray() || w.IsString() || w.String() != "" || w.Number() != "" ||
			w.Bool() || w.Array() != nil || w.Strings() != nil || w.Map() != nil || w.Any() != nil {
			t.Errorf("%+v answers", w)
		}
	}
	if n := v.Get("n"); !n.Exists() || !n.IsNull() {
		t.Error("null is there, and null")
	}
	if got := v.Strings("a"); !reflect.DeepEqual(got, []string{"two"}) {
		t.Errorf("strings %q", got)
	}
	if got := v.Strings("s"); !reflect.DeepEqual(got, []string{"x"}) {
		t.Errorf("a lone string: %q", got)
	}
	if got := v.Map("o"); !reflect.DeepEqual(got, map[string]string{"k": "v"}) {
		t.Errorf("map %v", got)
	}
	if p.Fault() != nil {
		t.Error(p.Fault())
	}
}

func TestAnyIsThePlainValue(t *testing.T) {
	v, _ := parse(t, `{"a":[1,1.5,"x",true,null],"b":{"c":{}}}`)
	want := map[string]any{"a": []any{int64(1), 1.5, "x", true, nil}, "b": map[string]any{"c": map[string]any{}}}
	if got := v.Any(); !reflect.DeepEqual(got, want) {
		t.Errorf("%#v, want %#v", got, want)
	}
}

// Members say what Get says, of every key, at once.
func TestMembersAreWhatGetGives(t *testing.T) {
	keys := []string{"id", "", "missing", "deep", "idx", "xid", "aid", "stands twice", "i\"d"}
	names := jsonrecord.NewNames(keys...)
	var m jsonrecord.Members
	for _, text := range []string{
		`{}`, `[]`, `{"id":1,"":2,"deep":{"id":3},"idx":4,"xid":5,"aid":6,"i\"d":7}`, `{"\u0069d":1,"ID":2}`, `{"id":{"id":1,"id":2},"id":"b"}`,
		`{"stands twice":1,"id":2,"stands tw\u0069ce":3,"stands twice":4}`,
	} {
		for i, key := range keys {
			v, p := parse(t, text)
			w, q := parse(t, text)
			w.Members(names, &m)
			if got, want := m.Get(i).Any(), v.Get(key).Any(); !reflect.DeepEqual(got, want) || p.Fault() == nil != (q.Fault() == nil) {
				t.Errorf("%s, %q: %v and %v, want %v and %v", text, key, got, q.Fault(), want, p.Fault())
			}
		}
	}
}
