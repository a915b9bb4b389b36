package source

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// TestReadRecords: an object is cut as a file is, its head set apart, and JSON
// over many lines is one.
func TestReadRecords(t *testing.T) {
	zeek := words("#")
	lists := words("{")
	lists.Framing = JSONLists
	columns := words("v")
	columns.Head = func(line []byte) bool { return bytes.HasPrefix(line, []byte("version")) }
	whole := words("!")
	whole.Framing = Whole
	formats := []*Format{words("a"), zeek, lists, columns, whole}
	long := `{"x":"` + strings.Repeat("x", MaxRecord) + `"}`
	for name, c := range map[string]struct {
		text, head string
		want       []string
		passed     int64
		err        error
	}{
		"lines":          {text: "a1\r\n\na2", want: []string{"a1", "a2"}},
		"gzip":           {text: string(gz(t, "a1\na2\n")), want: []string{"a1", "a2"}},
		"gzip in zstd":   {text: string(zst(t, string(gz(t, "a1\n")))), want: []string{"a1"}},
		"a list":         {text: "{\"Records\":[\n {\"a\":1},\n {\"b\":\n  2}]}\n", want: []string{`{"a":1}`, "{\"b\":   2}"}},
		"a value":        {text: "{\n \"digest\": 1\r\n}", want: []string{"{  \"digest\": 1  }"}},
		"a head":         {text: "version x y\nv1\nversion x\nv2\n", head: "version x y\n", want: []string{"v1", "version x", "v2"}},
		"a zeek's head":  {text: "#fields\ta\n#open\t2026\n#types\n\na1\n#close\n", head: "#fields\ta\n#types\n", want: []string{"a1", "#close"}},
		"only a head":    {text: "version x y\n", head: "version x y\n"},
		"nothing":        {text: " \n", err: ErrEmpty},
		"nothing packed": {text: string(gz(t, "")), err: ErrEmpty},
		"another":        {text: "zzz", err: ErrUnrecognised},
		"a whole":        {text: "!x\ny", err: ErrUnrecognised},
		"a long one":     {text: `{"a":1}` + long + `{"a":2}`, want: []string{`{"a":1}`, `{"a":2}`}, passed: 1},
		"cut off":        {text: string(gz(t, "a1\na2\n"))[:20], err: errCut},
		"much":           {text: strings.Repeat("a\n", 600), want: slices.Repeat([]string{"a"}, 500), err: ErrTooMuch},
		"a bomb":         {text: string(gz(t, "{}"+strings.Repeat(" ", 100<<20))), want: []string{"{}"}, err: ErrTooMuch},
	} {
		opt := RecordsOptions{Formats: formats}
		if name == "much" {
			opt.Most = 1000
		}
		r, err := ReadRecords(strings.NewReader(c.text), opt)
		var got []string
		for err == nil {
			var rec []byte
			if rec, err = r.Next(); err == nil {
				got = append(got, string(rec))
			}
		}
		if name == "much" { // how much comes before the bound is not promised
			got = slices.Repeat([]string{"a"}, 500)
		}
		if c.err == nil {
			c.err = io.EOF
		}
		if !errors.Is(err, c.err) || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if r != nil && (r.Head() != c.head || r.Passed() != c.passed) {
			t.Errorf("%s: head %q, passed %d", name, r.Head(), r.Passed())
		}
	}
	if _, err := ReadRecords(strings.NewReader("a"), RecordsOptions{Formats: formats, Name: "v"}); err != nil {
		t.Error(err)
	}
	if _, err := ReadRecords(strings.NewReader("a"), RecordsOptions{Formats: formats, Name: "none"}); !errors.Is(err, ErrUnrecognised) {
		t.Error(err)
	}
}
