package containerd

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	events "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/api/types/task"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/sensor/sensortest"
	decoder "tidewaiter/source/containerd"
	"tidewaiter/source/sourcetest"
)

var (
	when   = time.Date(2026, 5, 4, 8, 9, 10, 123456789, time.UTC)
	digest = "sha256:" + strings.Repeat("70aa", 16)
	idApp  = strings.Repeat("c4e8", 16)
)

const shop = "acme.example/shop:3"

func stored(name string, at time.Time) *images.Image {
	return &images.Image{Name: name, Target: &types.Descriptor{Digest: digest, MediaType: "m"}, CreatedAt: timestamppb.New(at), UpdatedAt: timestamppb.New(at)}
}

func made(id string, at time.Time) *containers.Container {
	return &containers.Container{
		ID: id, Image: shop, Labels: map[string]string{"tier": "front"}, Runtime: &containers.Container_Runtime{Name: "r"},
		Spec: &anypb.Any{TypeUrl: "x", Value: []byte(`{"process":{"env":["TOKEN=hunter2"]}}`)}, CreatedAt: timestamppb.New(at),
	}
}

// proc is a process file system with one process of a container.
func proc(t *testing.T, pid int, group string) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, strconv.Itoa(pid))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	stat := strconv.Itoa(pid) + " (a) b (c) S 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0\n"
	for name, text := range map[string]string{"cgroup": "0::" + group + "\n", "stat": stat} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestWhatIsThereAndWhatHappens: what is listed, the events, and what is looked
// up for them are read by the decoders of those formats.
func TestWhatIsThereAndWhatHappens(t *testing.T) {
	s := newServer(t)
	s.images["default/"+shop] = stored(shop, when.Add(-time.Hour))
	s.made["default/old"] = made("old", when.Add(-time.Minute))
	s.made["default/early"] = made("early", when.Add(-2*time.Hour)) // before the name was written
	s.runs["default/old"] = &task.Process{ID: "old", Pid: 4711, Status: task.Status_RUNNING}
	s.runs["default/early"] = &task.Process{ID: "early", Pid: 4712, Status: task.Status_STOPPED}
	w := s.watch(t, Options{Proc: proc(t, 4711, "/default/old")})
	s.mu.Lock()
	s.images["k8s.io/"+shop] = stored(shop, when)
	s.made["k8s.io/"+idApp] = made(idApp, when.Add(time.Second))
	s.mu.Unlock()
	s.say(t, when, "k8s.io", "/images/create", &events.ImageCreate{Name: shop, Labels: map[string]string{"a": "<&>\nb"}})
	s.say(t, when.Add(time.Second), "k8s.io", "/containers/create", &events.ContainerCreate{ID: idApp, Image: shop})
	s.say(t, when.Add(2*time.Second), "k8s.io", "/tasks/start", &events.TaskStart{ContainerID: idApp, Pid: 7})
	s.say(t, when.Add(3*time.Second), "k8s.io", "/containers/create", &events.ContainerCreate{ID: "gone"})
	s.stream <- &types.Envelope{Timestamp: timestamppb.New(when), Namespace: "k8s.io", Topic: "/x/y", Event: &anypb.Any{TypeUrl: "nobody.knows.It"}}
	w.Until(t, "looked up", func() bool {
		return len(w.Lines("containerd-lookups")) == 5 && len(w.Lines("containerd-events")) == 4 && len(w.Losses()) == 1
	})
	w.stop()
	if err := w.ended(t); err != nil {
		t.Error(err)
	}
	if l := w.Losses(); l[0] != "1 an event of containerd that cannot be read" {
		t.Errorf("losses %q", l)
	}
	all := read(t, w)
	sourcetest.Require(t, all, func(i *event.Image) bool { return i.Digest.String() == digest && i.Namespace == "k8s.io" })
	sourcetest.Require(t, all, func(i *event.Image) bool { return i.Digest.IsZero() && i.Action == event.ImageCreate })
	sourcetest.Require(t, all, func(i *event.Task) bool { return i.Container == idApp && i.PID == 7 })
	sourcetest.Require(t, all, func(c *event.ContainerDescription) bool {
		return c.ID == "old" && c.PID == 4711 && c.StartedAt.Res == 10_000_000 && c.ImageID.String() == digest && c.Labels["tier"] == "front"
	})
	sourcetest.Require(t, all, func(c *event.ContainerDescription) bool {
		return c.ID == "early" && c.PID == 0 && c.StartedAt.IsZero() && c.ImageID.IsZero()
	})
	sourcetest.Require(t, all, func(c *event.ContainerDescription) bool {
		return c.ID == idApp && c.ImageID.String() == digest && c.CreatedAt.At == when.Add(time.Second).UnixNano()
	})
	want := "2026-05-04 08:09:12.123456789 +0000 UTC k8s.io /tasks/start {\"container_id\":\"" + idApp + "\",\"pid\":7}"
	if got := w.Lines("containerd-events")[2]; got != want {
		t.Errorf("line\n got %s\nwant %s", got, want)
	}
}

// read decodes both lanes, each as what it looks like.
func read(t *testing.T, w *watched) []event.Event {
	t.Helper()
	var all []event.Event
	for file, format := range w.Write(t, t.TempDir()) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "hunter2") {
			t.Errorf("%s tells a secret:\n%s", file, text)
		}
		in, events := sourcetest.ReadFile(t, file, decoder.Events(), decoder.Lookups())
		if tally := in.Tallies()[0]; tally.Format.Name != format || tally.Unreadable > 0 {
			t.Errorf("%s: read as %s, %d unreadable; want %s", file, tally.Format.Name, tally.Unreadable, format)
		}
		all = append(all, events...)
	}
	return all
}

func TestABreakIsAnInterruption(t *testing.T) {
	s := newServer(t)
	w := s.watch(t, Options{})
	s.stream <- nil
	err := w.ended(t)
	if _, lacks := sensor.AsLack(err); err == nil || lacks {
		t.Errorf("ended with %v", err)
	}
}

// TestASlowContainerd: events are recorded while it does not answer; what
// cannot be asked, and what is not answered, is counted.
func TestASlowContainerd(t *testing.T) {
	s := newServer(t)
	s.slow = make(chan struct{})
	w := s.watch(t, Options{Workers: 1, Queue: 1, Timeout: 300 * time.Millisecond})
	for n := range 20 {
		s.say(t, when, "default", "/containers/create", &events.ContainerCreate{ID: "c" + strconv.Itoa(n)})
	}
	w.Until(t, "the events", func() bool { return len(w.Lines("containerd-events")) == 20 && len(w.Losses()) >= 19 })
}

func TestProcessesThatAreNot(t *testing.T) {
	w := &watch{proc: proc(t, 4711, "/default/other")}
	if got := w.began(4711, "old"); got != "" {
		t.Errorf("a process of another container began %s", got)
	}
	if got := w.began(4712, "old"); got != "" {
		t.Errorf("no process began %s", got)
	}
	for _, text := range []string{"", "1 (a", "1 (a) S 1", "1 (a)" + strings.Repeat(" x", 30), "1 (a)" + strings.Repeat(" -7", 30)} {
		if n, ok := startTicks(text); ok {
			t.Errorf("%q: %d", text, n)
		}
	}
}

func TestLacks(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	other := grpc.NewServer() // without any service
	go func() { _ = other.Serve(l) }()
	defer other.Stop()
	for name, mend := range map[string]string{"none": "start containerd", "other": "containerd 1.0"} {
		err := New(Options{Socket: filepath.Join(dir, name)}).Watch(t.Context(), sensortest.New(""))
		if lack, ok := sensor.AsLack(err); !ok || !strings.Contains(lack.Mend, mend) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
