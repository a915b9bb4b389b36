package file_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/sink/file"
	"tidewaiter/sink/sinktest"
)

// raw gives a record of a size for every citation.
type raw int

func (r raw) Read(event.Origin) (string, error) {
	return "a\n\x1b[2J" + strings.Repeat("x", int(r)), nil
}

func found(id string) finding.Finding {
	e := &event.Event{Time: event.Time{At: 1, Res: 1}, Body: &event.Plain{}, Origin: event.Origin{File: "log", Spans: []event.Span{{Line: 1}}}}
	return finding.Finding{ID: id, Evidence: []finding.Evidence{{Event: e, Kind: evidence.Command}}}
}

// ids reads the findings of a file back, in order.
func ids(t *testing.T, path string) (out []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var o struct {
			Info struct {
				UID string `json:"uid"`
			} `json:"finding_info"`
		}
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			t.Fatalf("line %d: %v", len(out)+1, err)
		}
		out = append(out, o.Info.UID)
	}
	return out
}

func write(t *testing.T, opt file.Options, r finding.Raw, fs ...finding.Finding) {
	t.Helper()
	f, err := file.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Write(fs, r), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestFindingsAreAppended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "findings.ndjson")
	write(t, file.Options{Path: path}, raw(1), found("a"), found("b"))
	write(t, file.Options{Path: path}, raw(1), found("c"))
	if got := strings.Join(ids(t, path), ""); got != "abc" {
		t.Errorf("findings %q", got)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: records hold secrets", info.Mode(), err)
	}
}

func TestALongFileIsBegunAnew(t *testing.T) {
	dir := t.TempDir()
	opt := file.Options{Path: filepath.Join(dir, "f.ndjson"), Size: 1, Keep: 2}
	for range 8 {
		write(t, opt, raw(400_000), found("a"), found("b"))
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	for ; err == nil && len(files) != 3; files, err = filepath.Glob(filepath.Join(dir, "*")) {
		runtime.Gosched() // the oldest go in the background
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil || info.Size() > 1<<20 || len(ids(t, f)) == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestWhatIsNoPlainFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "target"), link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, link, filepath.Join(dir, "nosuch", "f")} {
		if _, err := file.Open(file.Options{Path: path}); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

var _ sink.Sink = (*file.File)(nil)

// A notice is one line, whatever is in it, and reads back as it was told.
func TestANoticeIsALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "findings.ndjson")
	f, err := file.Open(file.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	many := sinktest.Notice(t)
	many.Told.JSON = []byte("{\n" + string(many.Told.JSON[1:]))
	for _, n := range []sink.Notice{many, sinktest.HostileNotice(t)} {
		if err := f.Deliver(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Deliver(gone, many); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, path); len(got) != 2 || got[0] != many.Told.Finding.ID {
		t.Errorf("findings %q", got)
	}
}

// What can never be written is told so; what has no room in a file loses its
// records, and the story stays.
func TestALongNoticeIsCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "findings.ndjson")
	f, err := file.Open(file.Options{Path: path, Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := sinktest.Notice(t)
	whole := string(n.Told.JSON)
	n.Told.JSON = []byte(strings.Replace(whole, `"record":"`, `"record":"`+strings.Repeat("x", 2<<20), 1))
	if err := f.Deliver(t.Context(), n); err != nil || len(ids(t, path)) != 1 {
		t.Errorf("long records: %v", err)
	}
	n.Told.JSON = []byte(strings.Replace(whole, `"title":"`, `"title":"`+strings.Repeat("x", 2<<20), 1))
	if err := f.Deliver(t.Context(), n); !sink.IsPermanent(err) {
		t.Errorf("a title of 2 MB: %v", err)
	}
}
