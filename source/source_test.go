package source

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"tidewaiter/event"
)

// words is a format for tests: every line that begins with its name is an
// event, "skip" is of no interest, anything else cannot be read.
func words(name string) *Format {
	return &Format{
		Name: name, Source: event.Source(name), Framing: Lines,
		Sniff: func(s Sample) int { return s.Share(func(l []byte) bool { return bytes.HasPrefix(l, []byte(name)) }) },
		New:   func(out *Output) Decoder { return wordDecoder{out, name} },
	}
}

type wordDecoder struct {
	out  *Output
	name string
}

func (d wordDecoder) Decode(rec Record) {
	switch {
	case bytes.HasPrefix(rec.Data, []byte(d.name)):
		d.out.Event(event.Event{Time: event.Time{At: int64(rec.Line), Res: 1}, Body: &event.Loss{Reason: string(rec.Data)}}, rec.Data, rec.Span)
	case string(rec.Data) == "skip":
		d.out.Skip()
	default:
		d.out.Unreadable(rec, errors.New("no "+d.name))
	}
}

func (wordDecoder) Flush() {}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func drain(t *testing.T, in *Input) []event.Event {
	t.Helper()
	var out []event.Event
	for {
		e, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
}

func gz(t *testing.T, data string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zst(t *testing.T, data string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(data), nil)
}

func TestFilesAreUnpackedAndToldByContent(t *testing.T) {
	const text = "alpha 1\r\n\nskip\nalpha 2"
	for name, data := range map[string][]byte{
		"plain.bin": []byte(text), "a.txt": gz(t, text), "b": zst(t, text), "twice.gz": gz(t, string(gz(t, text))),
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, name, data)
			in, err := Open(path, Options{Formats: []*Format{words("beta"), words("alpha")}, Place: event.Place{Host: "h"}})
			if err != nil {
				t.Fatal(err)
			}
			events := drain(t, in)
			if len(events) != 2 || events[0].Body.(*event.Loss).Reason != "alpha 1" {
				t.Fatalf("events %+v", events)
			}
			e := events[1]
			if e.Place.Host != "h" || e.Origin.Format != "alpha" || e.Origin.File != path || e.Origin.Line() != 4 {
				t.Errorf("event is not stamped and cited: %+v", e)
			}
			got := in.Tallies()[0]
			if got.Records != 3 || got.Events != 2 || got.Skipped != 1 || got.Unreadable != 0 {
				t.Errorf("tally %+v", got.Tally)
			}
			raw := NewRawReader(nil)
			defer raw.Close()
			for i, want := range []string{"alpha 1", "alpha 2"} {
				if text, err := raw.Read(events[i].Origin); err != nil || text != want {
					t.Errorf("record read again: %q, %v; want %q", text, err, want)
				}
			}
		})
	}
}

func TestRecordsOfAnotherFormatGoToItsDecoder(t *testing.T) {
	in, err := Open(write(t, "f", []byte("alpha 1\nbeta 1\nneither\nalpha 2\nbeta 2\n")), Options{Formats: []*Format{words("alpha"), words("beta")}})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(drain(t, in)); n != 4 {
		t.Errorf("%d events, want 4", n)
	}
	lanes := in.Tallies()
	if len(lanes) != 2 || lanes[0].Records != 3 || lanes[0].Unreadable != 1 || lanes[1].Records != 2 || lanes[1].Unreadable != 0 {
		t.Errorf("lanes %+v", lanes)
	}
	if f := lanes[0].Faults; len(f) != 1 || f[0].Line != 3 {
		t.Errorf("faults %v, want the one of line 3", f)
	}
}

func TestWhatIsNoLogIsNamed(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"binary": {"\x7fELF\x00\x01", "binary data"},
		"json":   {`{"one":1,"two":{"three":3},"four`, "JSON with keys one, two"},
		"text":   {"gamma", "text"},
	} {
		_, err := Open(write(t, name, []byte(c.data)), Options{Formats: []*Format{words("alpha")}})
		if !errors.Is(err, ErrUnrecognised) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want it to say %q", name, err, c.want)
		}
	}
	for _, blank := range []string{"", "\n \n"} {
		if _, err := Open(write(t, "blank", []byte(blank)), Options{Formats: []*Format{words("alpha")}}); !errors.Is(err, ErrEmpty) {
			t.Errorf("%q: %v, want ErrEmpty", blank, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "missing"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestATruncatedGzipGivesWhatItHolds(t *testing.T) {
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, "alpha %d %x\n", i, i*i*7919)
	}
	whole := gz(t, text.String())
	in, err := Open(write(t, "f.gz", whole[:len(whole)/2]), Options{Formats: []*Format{words("alpha")}})
	if err != nil {
		t.Fatal(err)
	}
	events := 0
	for {
		if _, err = in.Next(); err != nil {
			break
		}
		events++
	}
	if events < 5_000 {
		t.Errorf("only %d events of half the file", events)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), fmt.Sprintf("after %d records", events)) {
		t.Errorf("it ends with %v", err)
	}
}

func TestALineOfOverSixteenMiBIsSkippedAndCounted(t *testing.T) {
	long := strings.Repeat("x", MaxRecord+1)
	for name, framing := range map[string]Framing{"lines": Lines, "json": JSONValues} {
		t.Run(name, func(t *testing.T) {
			line := long
			if framing == JSONValues {
				line = `{"a":"` + long + `"}`
			}
			f := newFramer(strings.NewReader("{}\n"+line+"\n{ }\n"), framing)
			var got []string
			var faults int
			for {
				rec, err := f.next()
				if errors.Is(err, ErrTooLong) {
					faults++
					continue
				}
				if err != nil {
					break
				}
				got = append(got, fmt.Sprint(rec.Line, string(rec.Data)))
			}
			if faults != 1 || !slices.Equal(got, []string{"1{}", "3{ }"}) {
				t.Errorf("%d faults, records %q", faults, got)
			}
		})
	}
}

func TestJSONValuesAreFramedWhereverTheirLinesEnd(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string // line, then the record
	}{
		"one to a line":          {"{\"a\":1}\n{\"b\":2}\n", []string{`1 {"a":1}`, `2 {"b":2}`}},
		"array over many lines":  {"[\n  {\n    \"a\": [1,\n 2]\n  },\n  {\"b\": \"}\"}\n]\n", []string{"2 {\n    \"a\": [1,\n 2]\n  }", `6 {"b": "}"}`}},
		"no line end at the end": {`{"a":1}`, []string{`1 {"a":1}`}},
		"CRLF":                   {"{\"a\":1}\r\n{\"b\":2}\r\n", []string{`1 {"a":1}`, `2 {"b":2}`}},
		"escaped quote":          {`{"a":"\"}{"}{"b":1}`, []string{`1 {"a":"\"}{"}`, `1 {"b":1}`}},
		"text sequences":         {"\x1e{\"a\":1}\n\x1e{\"b\":1}\n", []string{`1 {"a":1}`, `2 {"b":1}`}},
		"cut in a string":        {"{\"a\":\"x\n{\"b\":1}\n", []string{`1 {"a":"x`, `2 {"b":1}`}},
		"cut between values":     {"{\"a\":{\n{\"b\":1}\n", []string{`1 {"a":{`, `2 {"b":1}`}},
		"cut at the end":         {"{\"a\":1}\n{\"b\":", []string{`1 {"a":1}`, `2 {"b":`}},
		"text between":           {"{\"a\":1}\nhello\n{\"b\":1}\n", []string{`1 {"a":1}`, `2 hello`, `3 {"b":1}`}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFramer(oneByOne{strings.NewReader(c.in)}, JSONValues)
			var got []string
			for {
				rec, err := f.next()
				if err != nil {
					break
				}
				if at := c.in[rec.Offset:]; !strings.HasPrefix(at, string(rec.Data)) {
					t.Errorf("offset %d does not cite %q", rec.Offset, rec.Data)
				}
				got = append(got, fmt.Sprint(rec.Line, " ", string(rec.Data)))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q\nwant %q", got, c.want)
			}
		})
	}
}

// oneByOne gives a byte at a time, the worst that a pipe can do.
type oneByOne struct{ r io.Reader }

func (o oneByOne) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 1)]) }

func FuzzFramers(f *testing.F) {
	f.Add([]byte("{\"a\":1}\n[{\"b\":\n2}]\nx\n"), true)
	f.Add([]byte("a\r\n\n\xff\x00\n"), false)
	f.Add([]byte("{\"Records\":[{\"a\":1},\n{}]}\n{\"records\" : [{}]}"), true)
	f.Fuzz(func(t *testing.T, data []byte, json bool) {
		if json {
			fuzzFraming(t, data, JSONValues)
			fuzzFraming(t, data, JSONLists)
		} else {
			fuzzFraming(t, data, Lines)
			fuzzFraming(t, data, Whole)
		}
	})
}

func fuzzFraming(t *testing.T, data []byte, framing Framing) {
	fr := newFramer(bytes.NewReader(data), framing)
	at, line := int64(0), 0
	for {
		rec, err := fr.next()
		if err != nil {
			return
		}
		if rec.Offset < at || rec.Line < line || rec.Length != len(rec.Data) || len(rec.Data) == 0 {
			t.Fatalf("record %+v after offset %d, line %d", rec, at, line)
		}
		if !bytes.Equal(data[rec.Offset:rec.Offset+int64(rec.Length)], rec.Data) {
			t.Fatalf("offset %d does not cite %q", rec.Offset, rec.Data)
		}
		if n := 1 + bytes.Count(data[:rec.Offset], []byte{'\n'}); n != rec.Line {
			t.Fatalf("record at offset %d is said to be on line %d, is on %d", rec.Offset, rec.Line, n)
		}
		at, line = rec.Offset+int64(rec.Length), rec.Line
	}
}

func TestInventoryPlacesFiles(t *testing.T) {
	path := write(t, InventoryName, []byte(`
inputs:
  - {path: "node-a/*.log", host: node-a}
  - {path: conn.log, cluster: main, network: dmz}
  - {path: "**/*.json", host: unknown-to-hosts}
hosts:
  - {name: node-a, ips: [10.0.0.1, "2001:db8::1"], cluster: main, account: "1", region: r, instance_id: i-1, role: kubernetes-node}
`))
	inv, err := ReadInventory(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	for file, want := range map[string]event.Place{
		"node-a/audit.log":     {Host: "node-a", Cluster: "main", Account: "1", Region: "r"},
		"conn.log":             {Cluster: "main", Account: "1", Network: "dmz"},
		"node-a/deep/x.log":    {},
		"a/b/inspect.json":     {Host: "unknown-to-hosts"},
		"../outside/conn.log":  {},
		"node-a/../conn.log":   {Cluster: "main", Account: "1", Network: "dmz"},
		"other/node-a/aud.log": {},
	} {
		if got := inv.Place(filepath.Join(dir, file)); got != want {
			t.Errorf("%s: %+v, want %+v", file, got, want)
		}
	}
	for _, c := range []struct {
		file       string
		said, want event.Place
	}{
		{"any/file.log", event.Place{Host: "node-a"}, event.Place{Host: "node-a", Cluster: "main", Account: "1", Region: "r"}},
		{"any/file.log", event.Place{Host: "node-a", Cluster: "said"}, event.Place{Host: "node-a", Cluster: "said", Account: "1", Region: "r"}},
		{"any/file.log", event.Place{Host: "node-b"}, event.Place{Host: "node-b"}},
		{"any/file.log", event.Place{}, event.Place{}},
		{"../outside.log", event.Place{Host: "node-a"}, event.Place{Host: "node-a"}},
	} {
		if got := inv.Complete(filepath.Join(dir, c.file), c.said); got != c.want {
			t.Errorf("%s, a record of %+v: %+v, want %+v", c.file, c.said, got, c.want)
		}
	}
	events := inv.Events()
	if len(events) != 1 || events[0].Origin.Line() == 0 || len(events[0].Body.(*event.HostDescription).Addrs) != 2 || events[0].Place.Cluster != "main" {
		t.Errorf("events %+v", events)
	}
}

func TestInventoryTellsOfImages(t *testing.T) {
	inv, err := ReadInventory(write(t, InventoryName, []byte(`
images:
  - {id: AMI-0AA, owner: "111122223333", public: true, created: 2026-11-03T10:00:00Z, account: "1"}
  - {id: projects/debian-cloud/global/images/debian-12, owner: debian-cloud}
  - {id: "Canonical:ubuntu:server:1.0.0", owner: Canonical}
`)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range inv.Events() {
		b := e.Body.(*event.VMImage)
		got = append(got, fmt.Sprintf("%d %s %s %s %t %s %s", e.Origin.Line(), e.Place, b.ID, b.Owner, b.Public, b.Created, e.Time))
	}
	want := "3 1 ami-0aa 111122223333 true 2026-11-03T10:00:00Z unknown time|4 (unnamed) projects/debian-cloud/global/images/debian-12 debian-cloud false unknown time unknown time|" +
		"5 (unnamed) canonical:ubuntu:server:1.0.0 Canonical false unknown time unknown time"
	if strings.Join(got, "|") != want {
		t.Errorf("%s, want %s", strings.Join(got, "|"), want)
	}
	_, err = ReadInventory(write(t, InventoryName, []byte(`images:
  - {id: golden}
  - {id: ami-0123, created: yesterday}
`)))
	for _, says := range []string{`:2: images[0].id: "golden" is no image`, `:3: images[1].created: "yesterday" is no time`} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %s", err, says)
		}
	}
}

// A record's own place is completed once for each host in a row.
func TestOutputCompletesPlaces(t *testing.T) {
	var got []string
	asked := 0
	out := Output{Format: &Format{Name: "f"}, Place: event.Place{Network: "n"}, Tally: &Tally{}, Emit: func(e event.Event) { got = append(got, e.Place.Cluster+"/"+e.Place.Host+"/"+e.Place.Network) },
		Hosts: func(p event.Place) event.Place {
			asked++
			return p.Or(event.Place{Cluster: "of-" + p.Host})
		}}
	for i, host := range []string{"a", "a", "", "b", "a"} {
		out.Event(event.Event{Place: event.Place{Host: host}}, []byte(strconv.Itoa(i)))
	}
	if want := "of-a/a/n of-a/a/n //n of-b/b/n of-a/a/n"; strings.Join(got, " ") != want || asked != 3 {
		t.Errorf("%q, asked %d times; want %q, 3", got, asked, want)
	}
}

func TestInventoryFaultsAreAllToldAtOnce(t *testing.T) {
	_, err := ReadInventory(write(t, InventoryName, []byte("inputs: [{path: \"[\"}, {host: x}]\nhosts: [{ips: [10.0.0.300]}]\n")))
	for _, want := range []string{":1: inputs[0].path", ":1: inputs[1].path", ":2: hosts[0].name", ":2: hosts[0].ips[0]", "10.0.0.300"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	_, err = ReadInventory(write(t, InventoryName, []byte("inputs:\n  - {path: a, hots: b}\n")))
	if err == nil || !strings.HasSuffix(err.Error(), "inputs.yaml:2: unknown key \"hots\"") {
		t.Errorf("unknown key: %v", err)
	}
}

// A list in one object is read element by element, at any size, and what
// follows it as well.
func TestAnObjectThatBeginsWithAListIsOpened(t *testing.T) {
	for text, want := range map[string][]string{
		`{"Records":[{"a":1},{"b":[{}]}]}`:                                    {`{"a":1}`, `{"b":[{}]}`},
		"{ \"records\" :\n[\n{\"a\":1}\n,\n{\"b\":2}\n]\n}\n{\"c\":3}":        {`{"a":1}`, `{"b":2}`, `{"c":3}`},
		`{"records":[]}{"records":[{"a":{"records":[1]}}]}`:                   {`{"a":{"records":[1]}}`},
		`{"Events":[{"a":1}],"NextToken":"}{","x":{"y":[]}} {"b":2}`:          {`{"a":1}`, `{"b":2}`},
		"{\"Events\":[{\"a\":1}],\n\"NextToken\":\n{\"b\":2}":                 {`{"a":1}`, `{"b":2}`},
		`{"more":1,"records":[{"a":1}]}`:                                      {`{"more":1,"records":[{"a":1}]}`},
		`{"Records":[{"a":1},{"b":`:                                           {`{"a":1}`, `{"b":`},
		"}\n{\"a\":1}":                                                        {"}", `{"a":1}`},
		`{"records":[{"big":"` + strings.Repeat("x", 40<<10) + `"},{"a":1}]}`: {`{"big":"` + strings.Repeat("x", 40<<10) + `"}`, `{"a":1}`},
	} {
		f := newFramer(strings.NewReader(text), JSONLists)
		var got []string
		for {
			rec, err := f.next()
			if len(rec.Data) > 0 {
				got = append(got, string(rec.Data))
				if at := text[rec.Offset:][:rec.Length]; at != string(rec.Data) || rec.Line != 1+strings.Count(text[:rec.Offset], "\n") {
					t.Errorf("%.60s: %q is cited as %q in line %d", text, rec.Data, at, rec.Line)
				}
			}
			if err != nil {
				break
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%.60s:\n got %q\nwant %q", text, got, want)
		}
	}
}

func TestAWholeInputIsOneRecord(t *testing.T) {
	f := newFramer(strings.NewReader("a\nb\n"), Whole)
	if rec, err := f.next(); err != nil || string(rec.Data) != "a\nb\n" || rec.Line != 1 || rec.Length != 4 {
		t.Errorf("%+v, %v", rec, err)
	}
	if _, err := f.next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	f = newFramer(strings.NewReader(strings.Repeat("x", MaxRecord+9)), Whole)
	var long *tooLong
	if _, err := f.next(); !errors.As(err, &long) || long.length != MaxRecord+9 {
		t.Error(err)
	}
	if _, err := f.next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// What is cut off before anything can be unpacked is no empty file.
func TestACutArchiveIsNotEmpty(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := io.WriteString(w, strings.Repeat("one line\n", 100)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for n := 3; n < packed.Len(); n++ {
		path := filepath.Join(t.TempDir(), "cut")
		if err := os.WriteFile(path, packed.Bytes()[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := Open(path, Options{Formats: []*Format{{Name: "any", Sniff: func(Sample) int { return 1 }, New: func(o *Output) Decoder { return skipAll{o} }}}})
		for err == nil {
			_, err = in.Next()
		}
		if errors.Is(err, ErrEmpty) || errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "gzip") {
			t.Errorf("%d of %d bytes: %v", n, packed.Len(), err)
		}
	}
}

type skipAll struct{ out *Output }

func (s skipAll) Decode(Record) { s.out.Skip() }
func (skipAll) Flush()          {}

// A cluster is in the account that its nodes are in, if that is one.
func TestInventoryTellsTheAccountOfACluster(t *testing.T) {
	path := write(t, InventoryName, []byte(`
inputs: [{path: audit.log, cluster: main}, {path: other.log, cluster: twice}, {path: own.log, cluster: main, account: "3"}, {path: none.log, cluster: bare}]
hosts:
  - {name: n1, cluster: main, account: "1"}
  - {name: n2, cluster: main, account: "1"}
  - {name: m1, cluster: twice, account: "1"}
  - {name: m2, cluster: twice, account: "2"}
  - {name: b1, cluster: bare}
`))
	inv, err := ReadInventory(path)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"audit.log": "1", "other.log": "", "own.log": "3", "none.log": ""} {
		if got := inv.Place(filepath.Join(filepath.Dir(path), file)).Account; got != want {
			t.Errorf("%s is of account %q, want %q", file, got, want)
		}
	}
}
