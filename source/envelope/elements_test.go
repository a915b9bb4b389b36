package envelope

import (
	"reflect"
	"testing"

	"tidewaiter/source"
)

// TestElements pins the cutting of arrays on texts that are not valid either:
// it must end.
func TestElements(t *testing.T) {
	for text, want := range map[string][]string{
		`{"a":[1,"x,]",[2,[3]],{"b":[]} , null]}`: {"1", `"x,]"`, "[2,[3]]", `{"b":[]}`, "null"},
		`{"a":[]}`: nil, `{"a":7}`: nil, `{"b":1,"a":[1]}`: {"1"}, `{"a":[1`: nil, `{"a":["`: nil, `{"a"`: nil, `{"a" 1}`: nil, `{"b":`: nil, `{`: nil, `[]`: nil, ``: nil, `{"`: nil, `{"b":"`: nil,
	} {
		var got []string
		parts, _ := Elements(source.Record{Data: []byte(text)}, "a")
		for _, p := range parts {
			got = append(got, string(p.Data))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// FuzzElements looks for arrays in anything: what is found lies inside, in
// order.
func FuzzElements(f *testing.F) {
	for _, s := range []string{`{"a":[1,"x",{"b":[2]}],"items":[ {} , [] , "]" ]}`, `{"items":[`, `{"items":[}}`, `{"items":["\`, `{"x":}`, `[]`, `{"items":[1 2]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, _ := Elements(source.Record{Data: data}, "items")
		last := int64(0)
		for _, e := range list {
			if end := e.Offset + int64(e.Length); e.Offset < last || e.Length < 1 || end > int64(len(data)) {
				t.Fatalf("%+v of %d bytes", list, len(data))
			}
			last = e.Offset + int64(e.Length)
		}
	})
}
