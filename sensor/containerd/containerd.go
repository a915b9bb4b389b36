// Package containerd watches containerd through its API: the events of all its
// namespaces, and what they do not tell: to which digest a name points, what a
// container was made of, and which process it is. It only reads, and asks few
// things at once. The containers' specifications, and with them their
// environment, are never recorded.
//
// In: containerd's socket, and /proc for when a process began. Out: lines as
// ctr events prints them, and look-ups (docs/formats/containerd-lookups.md).
package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/services/events/v1"
	"github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/services/namespaces/v1"
	"github.com/containerd/containerd/api/services/tasks/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"tidewaiter/sensor"
)

// DefaultSocket is where containerd listens unless it is told otherwise.
const DefaultSocket = "/run/containerd/containerd.sock"

// Options say which containerd is watched, and how.
type Options struct {
	// Socket is the path of its socket; "" is DefaultSocket.
	Socket string
	// Proc is where the process file system of containerd's own process
	// namespace is; "" is /proc.
	Proc string
	// Timeout bounds every question; 0 is 10 seconds.
	Timeout time.Duration
	// Workers is how many questions are asked at once; 0 is 2.
	Workers int
	// Queue is how many questions may wait; 0 is 1024.
	Queue int
}

// Sensor watches one containerd.
type Sensor struct{ options Options }

// New makes a sensor. It does not connect yet.
func New(o Options) *Sensor {
	o.Socket = cmp.Or(o.Socket, DefaultSocket)
	o.Proc = cmp.Or(o.Proc, "/proc")
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.Workers = cmp.Or(o.Workers, 2)
	o.Queue = cmp.Or(o.Queue, 1024)
	return &Sensor{o}
}

// Name implements sensor.Sensor.
func (*Sensor) Name() string { return "containerd" }

// The lanes that it gives.
var (
	laneEvents  = sensor.Lane{Name: "containerd-events", Format: "containerd-events"}
	laneLookups = sensor.Lane{Name: "containerd-lookups", Format: "containerd-lookups"}
)

// maxAnswer is how large an answer of containerd's may be, in bytes; it is what
// containerd itself allows.
const maxAnswer = 16 << 20

var errEnded = errors.New("containerd ended the stream of events")

// Watch implements sensor.Sensor. containerd repeats nothing, so every break is
// a gap; what is there afterwards is listed.
func (s *Sensor) Watch(ctx context.Context, out sensor.Recorder) error {
	err := s.watch(ctx, out)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Sensor) watch(ctx context.Context, out sensor.Recorder) error {
	reaching, reached := context.WithTimeout(ctx, s.options.Timeout)
	err := sensor.Reach(reaching, s.options.Socket, "containerd", "")
	reached()
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient("unix://"+s.options.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
	if err != nil {
		return &sensor.Lack{What: "no path of containerd's socket: " + s.options.Socket, Mend: "give one like " + DefaultSocket, Err: err}
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	stream, err := events.NewEventsClient(conn).Subscribe(ctx, &events.SubscribeRequest{})
	if err != nil {
		return fmt.Errorf("subscribe to containerd's events: %w", err)
	}
	w := newWatch(conn, out, s.options)
	for range s.options.Workers {
		running.Go(func() { w.waiting.Answer(ctx, w.answer) })
	}
	ended := make(chan error, 2)
	running.Go(func() { ended <- w.follow(stream) })
	running.Go(func() {
		// containerd does not confirm a subscription. It reads requests in
		// their order, so what it lists came after.
		if err := w.list(ctx); err != nil {
			ended <- err
			return
		}
		out.Ready()
	})
	return lacking(<-ended)
}

// lacking tells something else that listens, or an old containerd, from an
// interruption.
func lacking(err error) error {
	if status.Code(err) == codes.Unimplemented {
		return &sensor.Lack{What: "no containerd, or one without its services", Mend: "containerd 1.0 or later is needed", Err: err}
	}
	return err
}

// watch is one Watch.
type watch struct {
	images     images.ImagesClient
	containers containers.ContainersClient
	tasks      tasks.TasksClient
	namespaces namespaces.NamespacesClient
	out        sensor.Recorder
	proc       string
	timeout    time.Duration
	waiting    *sensor.Questions[question]
}

func newWatch(conn *grpc.ClientConn, out sensor.Recorder, o Options) *watch {
	return &watch{
		images: images.NewImagesClient(conn), containers: containers.NewContainersClient(conn),
		tasks: tasks.NewTasksClient(conn), namespaces: namespaces.NewNamespacesClient(conn),
		out: out, proc: o.Proc, timeout: o.Timeout, waiting: sensor.NewQuestions[question](o.Queue),
	}
}

// follow records events until the stream ends.
func (w *watch) follow(stream events.Events_SubscribeClient) error {
	for {
		e, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			err = errEnded
		}
		if err != nil {
			return fmt.Errorf("containerd's events: %w", err)
		}
		line, told, err := line(e)
		if err != nil {
			w.out.Lost("an event of containerd that cannot be read", 1)
			continue
		}
		w.out.Record(laneEvents, line)
		w.ask(e, told)
	}
}

// in gives a context for a namespace.
func in(ctx context.Context, namespace string) context.Context {
	return metadata.NewOutgoingContext(ctx, metadata.Pairs("containerd-namespace", namespace))
}
