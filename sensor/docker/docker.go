// Package docker watches a Docker Engine through its API: its events as they
// come, and what can be looked up about the containers, images and networks
// that they name. It only reads, never waits for an answer before it takes the
// next event, and asks few things at once, so that it delays nobody who uses
// the engine. Secrets are taken out before anything is recorded.
//
// In: the engine's socket. Out: records as docker events and docker inspect
// print them.
package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"tidewaiter/sensor"
)

// DefaultHost is where Docker listens unless it is told otherwise, PodmanHost
// where Podman does, which speaks Docker's API.
const (
	DefaultHost = "unix:///var/run/docker.sock"
	PodmanHost  = "unix:///run/podman/podman.sock"
)

// Podman is the name of a sensor of Podman.
const Podman = "podman"

// Options say which engine is watched, and how.
type Options struct {
	// Name is what the sensor is called, and what the lanes of another one than
	// "docker" begin with; "" is "docker". One of Podman is called Podman.
	Name string
	// Host is the engine's address, as in DOCKER_HOST; "" is DefaultHost.
	Host string
	// Timeout bounds every question; 0 is 10 seconds.
	Timeout time.Duration
	// Workers is how many questions about containers and images are asked at
	// once; 0 is 3. One more asks for addresses, and one lists at the start.
	Workers int
	// Queue is how many questions may wait; 0 is 1024.
	Queue int
}

// Sensor watches one engine.
type Sensor struct{ options Options }

// New makes a sensor. It does not connect yet.
func New(o Options) *Sensor {
	o.Name = cmp.Or(o.Name, "docker")
	if o.Host == "" && o.Name == Podman {
		o.Host = PodmanHost
	}
	o.Host = cmp.Or(o.Host, DefaultHost)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.Workers = cmp.Or(o.Workers, 3)
	o.Queue = cmp.Or(o.Queue, 1024)
	return &Sensor{o}
}

// Name implements sensor.Sensor.
func (s *Sensor) Name() string { return s.options.Name }

// The lanes that it gives.
var (
	laneEvents     = sensor.Lane{Name: "docker-events", Format: "docker-events"}
	laneContainers = sensor.Lane{Name: "docker-inspect", Format: "docker-inspect"}
	laneImages     = sensor.Lane{Name: "docker-inspect-image", Format: "docker-image-inspect"}
	laneNetworks   = sensor.Lane{Name: "docker-inspect-network", Format: "docker-network-inspect"}
)

// lane is a lane of this engine, told from those of another by its name.
func (w *watch) lane(l sensor.Lane) sensor.Lane {
	l.Name = w.name + strings.TrimPrefix(l.Name, "docker")
	return l
}

// remembered is how many events the engine keeps for those who come back
// (moby, daemon/events).
const remembered = 256

var (
	errEnded  = errors.New("the engine ended the stream of events")
	errSilent = errors.New("the Docker Engine does not answer")
)

// Watch implements sensor.Sensor. It subscribes first and then asks for all
// that is there, so that nothing falls between the two. After an interruption
// the engine repeats what it still remembers.
func (s *Sensor) Watch(ctx context.Context, out sensor.Recorder) error {
	err := s.watch(ctx, out)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Sensor) watch(ctx context.Context, out sensor.Recorder) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	w := newWatch(c, out, s.options)
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := time.Now()
	// The library waits for the engine's first word. One that says none is
	// given up.
	silent := time.AfterFunc(s.options.Timeout, func() { cancel(errSilent) })
	stream := c.Events(ctx, client.EventsListOptions{Since: cmp.Or(out.Resume(), token(begin.UnixNano()))})
	silent.Stop()
	for range s.options.Workers {
		running.Go(func() { w.waiting.Answer(ctx, w.answer) })
	}
	running.Go(func() { w.addresses.Answer(ctx, w.answer) })
	listed := make(chan error, 1)
	running.Go(func() { listed <- w.list(ctx) })
	return w.follow(ctx, stream, listed, begin.UnixNano())
}

// connect finds the engine and agrees on a version of its API.
func (s *Sensor) connect(ctx context.Context) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	if path, local := strings.CutPrefix(s.options.Host, "unix://"); local {
		who, group := "Docker", "docker"
		if s.options.Name == Podman {
			who, group = "Podman", ""
		}
		if err := sensor.Reach(ctx, path, who, group); err != nil {
			return nil, err
		}
	}
	c, err := client.New(client.WithHost(s.options.Host))
	if err != nil {
		return nil, &sensor.Lack{What: "no address of a Docker Engine: " + s.options.Host, Mend: "give one as unix:///path or tcp://host:port", Err: err}
	}
	if _, err := c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		c.Close()
		return nil, &sensor.Lack{What: "no Docker Engine answers at " + s.options.Host, Mend: "start Docker, 19.03 or later", Err: err}
	}
	return c, nil
}

// watch is one Watch.
type watch struct {
	name    string
	client  *client.Client
	out     sensor.Recorder
	timeout time.Duration
	waiting *sensor.Questions[question]
	// addresses wait apart: a container that is being started keeps whoever asks
	// about it waiting, while another ends and its address with it.
	addresses *sensor.Questions[question]
	mu        sync.Mutex
	images    map[string]bool // ids of images that were looked up for a container; guarded by mu
}

func newWatch(c *client.Client, out sensor.Recorder, o Options) *watch {
	return &watch{
		name: o.Name, client: c, out: out, timeout: o.Timeout, images: map[string]bool{},
		waiting: sensor.NewQuestions[question](o.Queue), addresses: sensor.NewQuestions[question](o.Queue),
	}
}

// follow records events until the stream ends.
func (w *watch) follow(ctx context.Context, stream client.EventsResult, listed <-chan error, begin int64) error {
	var latest int64
	repeated := 0
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case m := <-stream.Messages:
			w.message(m)
			if m.TimeNano < begin {
				if repeated++; repeated == remembered {
					w.out.Lost(fmt.Sprintf("the engine remembers %d events: earlier ones may be missing", remembered), -1)
				}
			}
			if m.TimeNano > latest {
				latest = m.TimeNano
				w.out.Mark(token(latest))
			}
		case err := <-listed:
			if err != nil {
				return err
			}
			w.out.Ready()
			listed = nil
		case err := <-stream.Err:
			if err == nil || errors.Is(err, io.EOF) {
				err = errEnded
			}
			return fmt.Errorf("events of the Docker Engine: %w", err)
		}
	}
}

// token is a time as the engine takes it for since.
func token(nano int64) string {
	return strconv.FormatInt(nano/1e9, 10) + fmt.Sprintf(".%09d", nano%1e9)
}

// message records an event as the engine sent it, and asks what it does not
// tell.
func (w *watch) message(m events.Message) {
	line, err := json.Marshal(m)
	if err != nil {
		w.out.Lost("an event of the Docker Engine that cannot be written", 1)
		return
	}
	w.out.Record(w.lane(laneEvents), line)
	verb, _, _ := strings.Cut(string(m.Action), ":")
	switch m.Type {
	case events.ContainerEventType:
		switch verb {
		case "create", "start": // address and process are there from the start on
			w.ask(question{kind: container, id: m.Actor.ID})
		case "commit":
			w.ask(question{kind: image, id: m.Actor.Attributes["imageID"]})
		}
	case events.ImageEventType:
		switch verb {
		case "pull", "load", "import", "create", "build", "tag", "push": // a push gives a digest
			w.ask(question{kind: image, id: cmp.Or(m.Actor.ID, m.Actor.Attributes["name"])}) // Podman gives some names alone
		}
	case events.NetworkEventType:
		if verb == "connect" {
			w.ask(question{kind: network, id: m.Actor.ID, of: m.Actor.Attributes["container"]})
		}
	}
}
