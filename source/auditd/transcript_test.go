package auditd

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"tidewaiter/event"
)

var update = flag.Bool("update", false, "write what the decoder gives into the transcripts")

// transcript is one file of testdata: prose that says what it proves, a log,
// and what the decoder makes of it.
type transcript struct {
	path, prose string
	log         []byte
	want        string
}

const (
	logMark  = "-- log --\n"
	wantMark = "-- want --\n"
)

// transcripts reads all of them. In a log, \r, \x1d and the like stand for
// control characters that an editor would not show.
func transcripts(t testing.TB) []transcript {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	control := strings.NewReplacer(`\r`, "\r", `\x1d`, "\x1d", `\x00`, "\x00", `\x01`, "\x01", `\x02`, "\x02")
	var all []transcript
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		prose, rest, ok := strings.Cut(string(data), logMark)
		log, want, ok2 := strings.Cut(rest, wantMark)
		if !ok || !ok2 || strings.TrimSpace(prose) == "" {
			t.Fatalf("%s: expected prose, %q and %q", path, logMark, wantMark)
		}
		all = append(all, transcript{path, prose, []byte(control.Replace(log)), want})
	}
	return all
}

func TestTranscripts(t *testing.T) {
	for _, tr := range transcripts(t) {
		t.Run(strings.TrimSuffix(filepath.Base(tr.path), ".txt"), func(t *testing.T) {
			r := decode(tr.log)
			accounted(t, r)
			got := render(r)
			if *update {
				rewrite(t, tr, got)
				return
			}
			if got != tr.want {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", strings.TrimSpace(tr.prose), got, tr.want)
			}
		})
	}
}

func rewrite(t *testing.T, tr transcript, want string) {
	t.Helper()
	data, err := os.ReadFile(tr.path)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(data, []byte(wantMark)) + len(wantMark)
	if err := os.WriteFile(tr.path, append(data[:i:i], want...), 0o644); err != nil {
		t.Fatal(err)
	}
}

// render prints events in the order given out, each with the lines cited, then
// the faults and the counts.
func render(r result) string {
	var b strings.Builder
	for _, e := range r.events {
		fmt.Fprintf(&b, "%s %v", e.Body.Kind(), e.Time)
		if e.Place.Host != "" {
			fmt.Fprintf(&b, " host=%s", e.Place.Host)
		}
		b.WriteString(" lines=")
		for i, s := range e.Origin.Spans {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprint(&b, s.Line)
		}
		b.WriteString("\n   ")
		b.WriteString(fieldsOf(e.Body))
		b.WriteByte('\n')
	}
	for _, f := range r.tally.Faults {
		fmt.Fprintf(&b, "line %d: %v\n", f.Line, f.Err)
	}
	fmt.Fprintf(&b, "records=%d events=%d skipped=%d unreadable=%d\n",
		r.tally.Records, r.tally.Events, r.tally.Skipped, r.tally.Unreadable)
	return b.String()
}

// fieldsOf prints a body's fields that are not zero, and UID always.
func fieldsOf(body event.Body) string {
	v := reflect.ValueOf(body).Elem()
	var b strings.Builder
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		if f.IsZero() && name != "UID" {
			continue
		}
		switch f.Kind() {
		case reflect.String, reflect.Slice:
			fmt.Fprintf(&b, " %s=%q", name, f.Interface())
		default:
			fmt.Fprintf(&b, " %s=%v", name, f.Interface())
		}
	}
	return b.String()
}
