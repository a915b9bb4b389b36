package jsonrecord

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/valyala/fastjson"
)

// same fails unless a value is what fastjson reads: types, order, keys, text
// and digits.
func same(v Value, w *fastjson.Value) error {
	switch w.Type() {
	case fastjson.TypeObject:
		var keys []string
		var values []Value
		v.Each(func(k string, e Value) { keys, values = append(keys, k), append(values, e) })
		o := w.GetObject()
		if !v.IsObject() || o.Len() != len(keys) {
			return fmt.Errorf("object of %d keys, want %d", len(keys), o.Len())
		}
		var err error
		i := 0
		o.Visit(func(k []byte, e *fastjson.Value) {
			if err == nil && keys[i] != string(k) {
				err = fmt.Errorf("key %q, want %q", keys[i], k)
			} else if err == nil {
				err = same(values[i], e)
			}
			i++
		})
		return err
	case fastjson.TypeArray:
		elems := v.Array()
		if !v.IsArray() || len(elems) != len(w.GetArray()) {
			return fmt.Errorf("array of %d, want %d", len(elems), len(w.GetArray()))
		}
		for i, e := range w.GetArray() {
			if err := same(elems[i], e); err != nil {
				return err
			}
		}
	case fastjson.TypeString:
		if want := string(w.GetStringBytes()); !v.IsString() || v.String() != want || !v.Is(want) || v.Number() != want {
			return fmt.Errorf("text %q, want %q", v.String(), want)
		}
	case fastjson.TypeNumber:
		if want := string(w.MarshalTo(nil)); v.IsString() || v.Number() != want {
			return fmt.Errorf("number %s, want %s", v.Number(), want)
		}
		if f, ok := v.Any().(float64); ok && f != w.GetFloat64() && f == f {
			return fmt.Errorf("float %g, want %g", f, w.GetFloat64())
		}
	case fastjson.TypeTrue, fastjson.TypeFalse:
		if v.Any() != (w.Type() == fastjson.TypeTrue) || v.Bool() != (w.Type() == fastjson.TypeTrue) {
			return fmt.Errorf("%v, want %v", v.Any(), w)
		}
	case fastjson.TypeNull:
		if !v.Exists() || !v.IsNull() {
			return fmt.Errorf("%v, want null", v.Any())
		}
	}
	return nil
}

// checkSame fails unless text is read, or refused, as fastjson does.
func checkSame(t testing.TB, p *Parser, text []byte) {
	t.Helper()
	var their fastjson.Parser
	w, theirs := their.ParseBytes(text)
	v, ours := p.Parse(text)
	switch {
	case (ours == nil) != (theirs == nil):
		t.Fatalf("%.200q: %v, fastjson says %v", text, ours, theirs)
	case ours == nil:
		if err := same(v, w); err != nil {
			t.Fatalf("%.200q: %v", text, err)
		}
	}
}

var oddTexts = []string{
	``, ` `, `{}`, ` { } `, `[]`, `[ ]`, "\t[\r\n1 , 2\n]", `[1,]`, `[,1]`, `{"a":1,}`, `{,"a":1}`, `{"a" : 1 , "b":[{}] }`, `{"a":1}x`, `{"a":1} {"b":2}`,
	`"`, `"\`, `"\"`, `"\\"`, `"\\\"`, `"\\\""`, `"12345678"`, `"1234567\"`, `"1234567\\"`, `"12345678\"901234567\\"`, `"\u0041\u00e9\u20ac\ud83d\ude00"`,
	`"\ud83d"`, `"\ud83dx"`, `"\ud83d\u0041"`, `"\ud83d\uzzzz"`, `"\u12"`, `"\u12zz5"`, `"\x\/\b\f\n\r\t\""`, "\"a\nb\x00\"", "\"\xff\xfe\"",
	`0`, `-`, `+`, `-0`, `01`, `1.2.3`, `1e`, `--1`, `1-2`, `.`, `e`, `E5`, `1e400`, `inf`, `-inf`, `+INF`, `-NaN`, `nan`, `NaN`, `nul`, `null`, `nULL`, `n`, `na`,
	`in`, `-i`, `1inf`, `true`, `tru`, `truex`, `false`, `falsee`, `t`, `f`, `x`, `{"a"}`, `{"a":}`, `{"a":1`, `{"a":1 "b":2}`, `{a:1}`, `{"a":tru}`, `[1 2]`, `[`, `{`, `]`, `}`,
	`{"\u0061":1,"a":2,"\":":3}`, `{"":1}`, `{"a":{"b":{"c":[null,true,false,-1.5e+3,"x"]}}}`, "\x00", "\v1", "\xef\xbb\xbf{}",
	strings.Repeat("[", 299) + strings.Repeat("]", 299), strings.Repeat("[", 300) + strings.Repeat("]", 300), strings.Repeat("[", 299) + "1" + strings.Repeat("]", 299),
	strings.Repeat("[", 300) + "1" + strings.Repeat("]", 300), strings.Repeat("[", 301) + strings.Repeat("]", 301), strings.Repeat(`{"a":`, 300) + "1" + strings.Repeat("}", 300),
}

func TestReadsWhatFastjsonReads(t *testing.T) {
	var p Parser
	for _, text := range oddTexts {
		checkSame(t, &p, []byte(text))
		checkSame(t, &p, []byte(`{"x":`+text+`,"yyyyyyyyyyyy":`+text+`}`))
	}
}

// FuzzFastjson compares with fastjson, which is the measure of what a record
// says.
func FuzzFastjson(f *testing.F) {
	for _, text := range oddTexts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var p Parser
		checkSame(t, &p, text)
		checkSame(t, &p, bytes.Repeat(text, 2))
	})
}

// TestWordsAreTheirBytes checks that a remembered string is never given for
// another, in a table with many that share a slot.
func TestWordsAreTheirBytes(t *testing.T) {
	var w Words
	for range 2 {
		for i := range 100_000 {
			text := fmt.Sprintf("%0*d", i%100, i*7)
			if got := w.Of([]byte(text)); got != text {
				t.Fatalf("%q, want %q", got, text)
			}
		}
	}
}

// TestRecordingsReadAsFastjsonReadsThem compares over every line that is at
// hand: the repository's own recordings and corpora, and those kept beside it.
func TestRecordingsReadAsFastjsonReadsThem(t *testing.T) {
	var p Parser
	lines := 0
	for _, root := range []string{"../..", "../../../shared"} {
		if _, err := os.Stat(root); err != nil {
			t.Logf("%s is absent", root)
			continue
		}
		if path, err := filepath.EvalSymlinks(root); err == nil {
			root = path // walking does not follow a link at the root
		}
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == ".git":
				return filepath.SkipDir
			case d.IsDir() || filepath.Ext(path) == ".go":
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil || len(text) > 8<<20 {
				return err
			}
			checkSame(t, &p, text)
			for line := range bytes.SplitSeq(text, []byte{'\n'}) {
				checkSame(t, &p, line)
				checkSame(t, &p, line[:len(line)*2/3])
				lines++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d lines", lines)
}
