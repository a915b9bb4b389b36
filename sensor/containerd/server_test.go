package containerd

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/services/events/v1"
	"github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/services/namespaces/v1"
	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/typeurl/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"tidewaiter/sensor/sensortest"
)

// server is a pretended containerd on a local socket. Only what a sensor may
// ask is there.
type server struct {
	socket string
	stream chan *types.Envelope // nil ends the stream
	mu     sync.Mutex
	images map[string]*images.Image // by namespace and name
	made   map[string]*containers.Container
	runs   map[string]*task.Process
	slow   chan struct{} // not nil: answers about single things wait for it
}

// The services, whose methods share names.
type (
	eventServer struct {
		events.UnimplementedEventsServer
		*server
	}
	imageServer struct {
		images.UnimplementedImagesServer
		*server
	}
	containerServer struct {
		containers.UnimplementedContainersServer
		*server
	}
	taskServer struct {
		tasks.UnimplementedTasksServer
		*server
	}
	namespaceServer struct {
		namespaces.UnimplementedNamespacesServer
		*server
	}
)

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{
		socket: filepath.Join(t.TempDir(), "s"), stream: make(chan *types.Envelope, 1000),
		images: map[string]*images.Image{}, made: map[string]*containers.Container{}, runs: map[string]*task.Process{},
	}
	l, err := net.Listen("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	events.RegisterEventsServer(g, eventServer{server: s})
	images.RegisterImagesServer(g, imageServer{server: s})
	containers.RegisterContainersServer(g, containerServer{server: s})
	tasks.RegisterTasksServer(g, taskServer{server: s})
	namespaces.RegisterNamespacesServer(g, namespaceServer{server: s})
	go func() { _ = g.Serve(l) }()
	t.Cleanup(g.Stop)
	return s
}

// key is what a request is about.
func key(ctx context.Context, name string) string {
	md, _ := metadata.FromIncomingContext(ctx)
	ns := md.Get("containerd-namespace")
	if len(ns) != 1 {
		return "no namespace"
	}
	return ns[0] + "/" + name
}

func (s *server) wait(ctx context.Context) {
	if s.slow != nil {
		select {
		case <-s.slow:
		case <-ctx.Done():
		}
	}
}

func (s eventServer) Subscribe(_ *events.SubscribeRequest, out events.Events_SubscribeServer) error {
	for {
		select {
		case e := <-s.stream:
			if e == nil {
				return nil
			}
			if err := out.Send(e); err != nil {
				return err
			}
		case <-out.Context().Done():
			return nil
		}
	}
}

func (s namespaceServer) List(context.Context, *namespaces.ListNamespacesRequest) (*namespaces.ListNamespacesResponse, error) {
	return &namespaces.ListNamespacesResponse{Namespaces: []*namespaces.Namespace{{Name: "default"}, {Name: "k8s.io"}}}, nil
}

func (s imageServer) Get(ctx context.Context, r *images.GetImageRequest) (*images.GetImageResponse, error) {
	s.wait(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.images[key(ctx, r.GetName())]; i != nil {
		return &images.GetImageResponse{Image: i}, nil
	}
	return nil, status.Error(codes.NotFound, "no such image")
}

func (s imageServer) List(ctx context.Context, _ *images.ListImagesRequest) (*images.ListImagesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &images.ListImagesResponse{}
	for k, i := range s.images {
		if k == key(ctx, i.GetName()) {
			r.Images = append(r.Images, i)
		}
	}
	return r, nil
}

func (s containerServer) Get(ctx context.Context, r *containers.GetContainerRequest) (*containers.GetContainerResponse, error) {
	s.wait(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.made[key(ctx, r.GetID())]; c != nil {
		return &containers.GetContainerResponse{Container: c}, nil
	}
	return nil, status.Error(codes.NotFound, "no such container")
}

func (s containerServer) List(ctx context.Context, _ *containers.ListContainersRequest) (*containers.ListContainersResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &containers.ListContainersResponse{}
	for k, c := range s.made {
		if k == key(ctx, c.GetID()) {
			r.Containers = append(r.Containers, c)
		}
	}
	return r, nil
}

func (s taskServer) List(ctx context.Context, _ *tasks.ListTasksRequest) (*tasks.ListTasksResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &tasks.ListTasksResponse{}
	for k, p := range s.runs {
		if k == key(ctx, p.GetID()) {
			r.Tasks = append(r.Tasks, p)
		}
	}
	return r, nil
}

// say publishes an event.
func (s *server) say(t *testing.T, at time.Time, namespace, topic string, e any) {
	t.Helper()
	any, err := typeurl.MarshalAnyToProto(e)
	if err != nil {
		t.Fatal(err)
	}
	s.stream <- &types.Envelope{Timestamp: timestamppb.New(at), Namespace: namespace, Topic: topic, Event: any}
}

// watched is a running Watch.
type watched struct {
	*sensortest.Recorder
	stop context.CancelFunc
	end  chan error
}

func (s *server) watch(t *testing.T, o Options) *watched {
	t.Helper()
	o.Socket = s.socket
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{sensortest.New(""), cancel, make(chan error, 1)}
	go func() { w.end <- New(o).Watch(ctx, w) }()
	t.Cleanup(cancel)
	w.Until(t, "ready", func() bool { return w.Readies() > 0 })
	return w
}

func (w *watched) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.end:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("Watch does not end")
		return nil
	}
}
