package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidewaiter/event"
	"tidewaiter/journal"
	"tidewaiter/policy"
	"tidewaiter/source"
	"tidewaiter/source/note"
)

// Records that come later than the policy allows for are noted, once for each
// that was the last.
func TestWhatComesTooLateIsNoted(t *testing.T) {
	dir := t.TempDir()
	j, err := journal.Open(journal.Options{Dir: dir}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	d := &Daemon{journal: j, opt: Options{Log: slog.New(slog.DiscardHandler)}}
	format := func(name string, s event.Source, last int64, lag time.Duration) {
		d.account.of(&source.Format{Name: name, Source: s})
		c := d.account.formats[name]
		c.Last, c.Lag = last, lag
	}
	d.account.formats = map[string]*FormatCount{}
	format("slow", event.Docker, 7, time.Hour)
	format("quick", event.Docker, 7, time.Second)
	format("trail", event.CloudTrail, 7, 19*time.Minute)
	e := &engine{d: d, rules: Rules{Policy: policy.Empty(&policy.Vocabulary{})}, late: map[string]int64{}}
	e.noteLate(noon)
	e.noteLate(noon.Add(time.Minute))
	format("slow", event.Docker, 8, time.Hour)
	e.noteLate(noon.Add(2 * time.Minute))
	text, err := os.ReadFile(filepath.Join(dir, "000001", note.Name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n != 2 || strings.Count(string(text), `"tidewaiter_note":"late"`) != 2 || strings.Count(string(text), `"sensor":"slow","reason":"records come 1h0m0s after`) != 2 {
		t.Errorf("%s", text)
	}
}
