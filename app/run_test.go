package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/daemon"
	"tidewaiter/policy"
	"tidewaiter/sensor"
	"tidewaiter/sink"
	"tidewaiter/state"
)

// lab is a daemon with one sensor and one sink of the test's own.
type lab struct {
	t    *testing.T
	dir  string
	feed *feed
	soc  *soc
	log  *syncBuffer
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

// feed is a sensor that gives what the test wants.
type feed struct {
	do chan func(sensor.Recorder) error
}

func (f *feed) Name() string { return "feed" }
func (f *feed) Watch(ctx context.Context, out sensor.Recorder) error {
	out.Ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case do := <-f.do:
			if err := do(out); err != nil {
				return err
			}
		}
	}
}

// soc is a sink that remembers, and fails when it is told to.
type soc struct {
	mu   sync.Mutex
	told []string // notice id, severity
	fail error
}

func (s *soc) Deliver(_ context.Context, n sink.Notice) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.told = append(s.told, n.ID+" "+n.Told.Finding.Severity.String())
	return nil
}
func (s *soc) Close() error { return nil }
func (s *soc) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told)
}

func newLab(t *testing.T) *lab {
	return &lab{t: t, dir: t.TempDir(), feed: &feed{make(chan func(sensor.Recorder) error)}, soc: &soc{}, log: &syncBuffer{}}
}

// start runs the daemon; the function that it gives ends it.
func (l *lab) start() (*daemon.Daemon, func()) {
	l.t.Helper()
	rules, err := ReadRules("../examples/policy.yaml")
	if err != nil {
		l.t.Fatal(err)
	}
	s := Settings{Data: l.dir, Host: "shop-1", Addresses: []string{"192.0.2.17"}}
	d, err := daemon.New(daemon.Options{
		Data: l.dir, Host: daemon.Host{Place: s.place(), Addrs: s.addrs()}, Rules: rules, Formats: Formats(), Version: "test",
		Log: slog.New(slog.NewTextHandler(l.log, nil)), Sensors: []sensor.Sensor{l.feed},
		Sinks: []daemon.Receiver{{Name: "soc", Least: analytic.Low, Sink: l.soc}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return d, func() {
		stop()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	}
}

// give has the sensor do something and waits until it has.
func (l *lab) give(do func(sensor.Recorder) error) {
	done := make(chan struct{})
	l.feed.do <- func(out sensor.Recorder) error { defer close(done); return do(out) }
	<-done
}

// example gives the bundled recording, file by file.
func (l *lab) example() {
	for file, format := range map[string]string{
		"audit.log": "auditd", "conntrack.log": "conntrack", "containerd-events.log": "containerd-events", "docker-events.log": "docker-events",
		"inspect.json": "docker-inspect", "inspect-images.json": "docker-image-inspect",
	} {
		data, err := os.ReadFile(filepath.Join("../examples/recording", file))
		if err != nil {
			l.t.Fatal(err)
		}
		l.give(func(out sensor.Recorder) error {
			out.Record(sensor.Lane{Name: format, Format: format}, data)
			out.Mark("after " + file)
			return nil
		})
	}
}

func (l *lab) wait(what string, is func() bool) {
	l.t.Helper()
	for range 1500 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.t.Fatalf("%s did not come; the log:\n%s", what, l.log)
}

// written are the findings that the daemon keeps, as id and severity.
func (l *lab) written() []string {
	s, err := state.Open(l.dir)
	if err != nil {
		l.t.Fatal(err)
	}
	defer s.Close()
	var all []string
	err = s.EachFinding(func(text []byte) error {
		var f struct {
			Severity string
			Info     struct{ UID string } `json:"finding_info"`
		}
		err := json.Unmarshal(text, &f)
		all = append(all, f.Info.UID+" "+strings.ToLower(f.Severity))
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return all
}

// What is found live is what a hunt over the journal finds; it is told once,
// also after a restart, and nothing is read twice.
func TestTheDaemonFindsWhatAHuntFinds(t *testing.T) {
	l := newLab(t)
	_, stop := l.start()
	l.example()
	l.wait("a critical finding", func() bool {
		return slices.ContainsFunc(l.soc.heard(), func(s string) bool { return strings.HasSuffix(s, "critical") })
	})
	stop()
	told := l.soc.heard()
	kept := l.written()
	r, err := Hunt(HuntOptions{Paths: []string{filepath.Join(l.dir, "journal")}, Library: library(t), Policy: examplePolicy(t), Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var hunted []string
	for _, f := range r.Findings {
		hunted = append(hunted, f.ID+" "+f.Severity.String())
	}
	if !slices.Equal(kept, hunted) {
		t.Errorf("live %v, by a hunt %v", kept, hunted)
	}
	_, stop = l.start()
	l.give(func(out sensor.Recorder) error {
		if out.Resume() == "" {
			t.Error("where to go on was forgotten")
		}
		return nil
	})
	l.example() // delivered again
	time.Sleep(300 * time.Millisecond)
	stop()
	if again := l.soc.heard(); !slices.Equal(again, told) {
		t.Errorf("told again: %v, before %v", again, told)
	}
	if again := l.written(); !slices.Equal(again, kept) {
		t.Errorf("kept %v, before %v", again, kept)
	}
}

// A receiver that is down gets it later; one that refuses gets a dead letter,
// which can be sent again.
func TestWhatIsNotDeliveredWaits(t *testing.T) {
	l := newLab(t)
	l.soc.fail = errors.New("down")
	_, stop := l.start()
	l.example()
	l.wait("a refusal", func() bool { return strings.Contains(l.log.String(), "tried again") })
	l.soc.mu.Lock()
	l.soc.fail = sink.Permanent(errors.New("what is this?"))
	l.soc.mu.Unlock()
	l.wait("giving up", func() bool { return strings.Contains(l.log.String(), "cannot be delivered") })
	stop()
	s, err := state.Open(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := s.Deliveries(state.Dead, "soc", 10)
	if err != nil || len(dead) == 0 || dead[0].Fault != "what is this?" {
		t.Fatalf("%+v, %v", dead, err)
	}
	if _, err := s.Resend("", nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	l.soc.fail = nil
	_, stop = l.start()
	l.wait("delivery", func() bool { return len(l.soc.heard()) > 0 })
	stop()
}

// What sensors lose, and when they do not watch, is recorded and told by hunts.
func TestWhatIsNotSeenIsNoted(t *testing.T) {
	l := newLab(t)
	_, stop := l.start()
	l.give(func(out sensor.Recorder) error {
		out.Lost("ring buffer full", 3)
		out.Lost("ring buffer full", 4)
		return nil
	})
	l.give(func(sensor.Recorder) error { return errors.New("broke") })
	l.give(func(sensor.Recorder) error { return nil })
	stop()
	r, err := Hunt(HuntOptions{Paths: []string{filepath.Join(l.dir, "journal")}, Library: library(t), Policy: examplePolicy(t), Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var said []string
	for _, loss := range r.Losses {
		said = append(said, fmt.Sprint(loss.Reason, " ", loss.Count))
	}
	slices.Sort(said)
	if len(said) != 2 || !strings.HasPrefix(said[0], "feed: did not watch for 1") || said[1] != "feed: ring buffer full 7" {
		t.Errorf("%q", said)
	}
}

// What a log holds of secrets is not recorded.
func TestSecretsAreNotRecorded(t *testing.T) {
	l := newLab(t)
	_, stop := l.start()
	l.give(func(out sensor.Recorder) error {
		out.Record(sensor.Lane{Name: "dockerd-log", Format: "dockerd-log"}, []byte(`time="2026-11-06T10:00:00Z" level=debug msg="Calling POST /v1.41/build?buildargs=%7B%22A%22%3A%22hush%22%7D&t=a"`))
		return nil
	})
	stop()
	data, err := os.ReadFile(filepath.Join(l.dir, "journal", "000001", "dockerd-log.log"))
	if err != nil || strings.Contains(string(data), "hush") || !strings.Contains(string(data), "t=a") {
		t.Errorf("%s, %v", data, err)
	}
}

// Other rules judge everything anew.
func TestReload(t *testing.T) {
	l := newLab(t)
	d, stop := l.start()
	defer stop()
	l.example()
	l.wait("a critical finding", func() bool {
		return slices.ContainsFunc(l.soc.heard(), func(s string) bool { return strings.HasSuffix(s, "critical") })
	})
	trusting := filepath.Join(t.TempDir(), "policy.yaml")
	err := os.WriteFile(trusting, []byte("version: 1\ndefault_scope: all\nscopes:\n  all:\n    registries: [\"registry.free-tools.example/*\"]\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := ReadRules(trusting)
	if err != nil {
		t.Fatal(err)
	}
	before, err := d.Findings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Reload(t.Context(), rules); err != nil {
		t.Fatal(err)
	}
	after, err := d.Findings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(before) == 0 || len(after) == 0 || after[0].Score >= before[0].Score {
		t.Errorf("before %v, after %v", before, after)
	}
}

func TestSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	for text, want := range map[string]string{
		"data: /x\n":                            "",
		"dat: /x\n":                             ":1: unknown key \"dat\"",
		"listen: 9465\n":                        ":1: listen:",
		"\naddresses: [1.2.3]\n":                ":2: addresses[0]",
		"journal: {size: 2GB}\n":                "journal.size",
		"sensors:\n  files:\n    - paths: []\n": ":3: sensors.files[0].paths",
		"sensors:\n  files:\n    - paths: [/x]\n      format: nope\n": ":4: sensors.files[0].format",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadSettings(file)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func library(t *testing.T) *analytic.Library {
	rules, err := ReadRules("")
	if err != nil {
		t.Fatal(err)
	}
	return rules.Library
}

func examplePolicy(t *testing.T) *policy.Policy {
	rules, err := ReadRules("../examples/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return rules.Policy
}
