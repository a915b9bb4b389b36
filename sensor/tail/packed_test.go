package tail_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"tidewaiter/app"
	"tidewaiter/sensor/sensortest"
	"tidewaiter/sensor/tail"
)

func gz(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

func call(name string) string {
	return `{"eventVersion":"1.11","eventTime":"2026-11-21T22:26:40Z","eventSource":"ec2.amazonaws.com","eventName":"` + name + `"}`
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func watch(t *testing.T, token, pattern string) (*sensortest.Recorder, func()) {
	t.Helper()
	s, err := tail.New(tail.Options{Patterns: []string{pattern}, Every: 5 * time.Millisecond, Still: 50 * time.Millisecond, Format: func([]byte) string { return "plain" }, Open: app.Opener("")})
	if err != nil {
		t.Fatal(err)
	}
	out := sensortest.New(token)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx, out) }()
	return out, func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A packed file is read whole, once, whatever it is called later; what changes
// is read again.
func TestPackedFiles(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, in("a.json.gz"), gz(`{"Records":[`+call("One")+",\n"+call("Two")+"]}"))
	put(t, in("b.json.zst"), enc.EncodeAll([]byte(call("Three")+"\n"), nil))
	put(t, in("c.gz"), gz("\x00nothing known"))
	put(t, in("d.gz"), gz(call("Five"))[:40])
	put(t, in("plain.log"), []byte("line\n"))
	out, stop := watch(t, "", in("*"))
	has := func(r *sensortest.Recorder, want ...string) func() bool {
		return func() bool {
			got := r.All()
			slices.Sort(got)
			slices.Sort(want)
			return slices.Equal(got, want)
		}
	}
	out.Until(t, "what is there", has(out, call("One"), call("Two"), call("Three"), "line"))
	out.Until(t, "faults", func() bool { return len(out.Losses()) == 2 })
	put(t, in("d.gz"), gz(call("Five"))) // it was still being copied
	out.Until(t, "the rest", has(out, call("One"), call("Two"), call("Three"), "line", call("Five")))
	if all := strings.Join(out.Losses(), "\n"); !strings.Contains(all, "c.gz") || !strings.Contains(all, "d.gz") {
		t.Errorf("losses %s", all)
	}
	stop()
	if err := os.Rename(in("a.json.gz"), in("z.json.gz")); err != nil {
		t.Fatal(err)
	}
	put(t, in("e.gz"), gz(call("Six")))
	again, stop := watch(t, out.Resume(), in("*"))
	again.Until(t, "what is new", has(again, call("Six")))
	stop()
	if lanes := again.Lanes(); len(lanes) != 1 || lanes[0].Name != "files" || lanes[0].Format != "cloudtrail" {
		t.Errorf("%+v", lanes)
	}
}
