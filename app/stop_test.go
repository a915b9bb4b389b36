package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/app"
	"tidewaiter/detections"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/finding"
	"tidewaiter/policy"
)

// options hunt as users do, with the example's policy.
func options(t *testing.T, paths ...string) app.HuntOptions {
	t.Helper()
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	pol, err := policy.Load("../examples/policy.yaml", lib.Vocabulary())
	if err != nil {
		t.Fatal(err)
	}
	return app.HuntOptions{Paths: paths, Library: lib, Policy: pol, Place: event.Place{Host: "shop-1"}, Now: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
}

func hunted(t *testing.T, opt app.HuntOptions) *app.Report {
	t.Helper()
	r, err := app.Hunt(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// slow gives its text, and then nothing any more: when it is asked again, the
// hunt is stopped.
type slow struct {
	text *strings.Reader
	stop chan struct{}
	end  chan struct{}
}

// Read implements io.Reader.
func (s slow) Read(p []byte) (int, error) {
	if s.text.Len() > 0 {
		return s.text.Read(p)
	}
	close(s.stop)
	<-s.end
	return 0, fmt.Errorf("read after the end")
}

// A hunt that is stopped while it waits for standard input judges what came.
func TestAStoppedHuntJudgesWhatItRead(t *testing.T) {
	var text strings.Builder
	for _, name := range []string{"docker-events.log", "audit.log", "conntrack.log"} {
		b, err := os.ReadFile("../examples/recording/" + name)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	s := slow{strings.NewReader(text.String()), make(chan struct{}), make(chan struct{})}
	defer close(s.end)
	opt := options(t, "-", "../examples/recording/containerd-events.log")
	opt.Stdin, opt.Stop = s, s.stop
	r := hunted(t, opt)
	i := r.Interrupted
	if i == nil || !i.Stdin || i.Begun != 1 || i.Files != 2 || i.Read != int64(text.Len()) {
		t.Fatalf("interruption %+v, want standard input, %d bytes, 1 of 2 files", i, text.Len())
	}
	if len(r.Findings) != 1 || r.Findings[0].Severity < analytic.Low {
		t.Fatalf("%d findings, want the example's", len(r.Findings))
	}
	if r.Findings[0].State != finding.Provisional {
		t.Errorf("the finding is %s although the rest was not read", r.Findings[0].State)
	}
	if len(r.NotRead()) != 0 || r.Failed() {
		t.Errorf("not read: %v", r.NotRead())
	}
}

// Stopped between records, the hunt says how far it came.
func TestAStoppedHuntSaysHowFarItCame(t *testing.T) {
	var b strings.Builder
	for i := range 25_000 {
		fmt.Fprintf(&b, `{"status":"pull","id":"alpine:%d","Type":"image","Action":"pull","Actor":{"ID":"alpine:%d","Attributes":{"name":"alpine"}},"scope":"local","time":%d}`+"\n", i, i, 1_762_424_400+i)
	}
	file := filepath.Join(t.TempDir(), "docker.log")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	opt := options(t, file)
	stop := make(chan struct{})
	opt.Stop = stop
	opt.Progress = func(app.Progress) { close(stop) }
	r := hunted(t, opt)
	if i := r.Interrupted; i == nil || i.Stdin || i.Read == 0 || i.Read >= i.Total || i.Total != int64(b.Len()) || i.Begun != 1 {
		t.Errorf("interruption %+v of %d bytes", i, b.Len())
	}
	if n := r.BySource()[0].Events; n < 10_000 || n >= 25_000 || n != int64(r.Counts.Events) {
		t.Errorf("%d events were read, %d judged", n, r.Counts.Events)
	}
}

// Stopped before anything was opened, it reads nothing and says so.
func TestAHuntStoppedAtOnce(t *testing.T) {
	opt := options(t, "../examples/recording")
	stop := make(chan struct{})
	close(stop)
	opt.Stop = stop
	r := hunted(t, opt)
	if i := r.Interrupted; i == nil || i.Read != 0 || i.Total == 0 || i.Begun != 0 || i.Files != 6 || len(r.Findings) != 0 {
		t.Errorf("interruption %+v, %d findings", i, len(r.Findings))
	}
}

// A hunt that nobody stops is whole, and says what no record told of.
func TestAWholeHunt(t *testing.T) {
	opt := options(t, "../examples/recording/audit.log")
	opt.Stop = make(chan struct{})
	r := hunted(t, opt)
	if r.Interrupted != nil {
		t.Errorf("interruption %+v", r.Interrupted)
	}
	if got, want := fmt.Sprint(r.Unseen), fmt.Sprint([]evidence.Kind{evidence.Arrival, evidence.Creation, evidence.Start, evidence.Connection}); got != want {
		t.Errorf("unseen %s, want %s", got, want)
	}
}

// Standard input that ends is read to its end, in whatever pieces it comes.
func TestStandardInputIsReadToItsEnd(t *testing.T) {
	b, err := os.ReadFile("../examples/recording/docker-events.log")
	if err != nil {
		t.Fatal(err)
	}
	opt := options(t, "-")
	opt.Stdin, opt.Stop = strings.NewReader(string(b)), make(chan struct{})
	if r := hunted(t, opt); r.Interrupted != nil || r.BySource()[0].Records != 10 {
		t.Errorf("%+v, interruption %+v", r.BySource(), r.Interrupted)
	}
}
