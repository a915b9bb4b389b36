package containerd

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/services/namespaces/v1"
	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// question is something to be looked up: an image by its name, or a container.
type question struct {
	namespace string
	image     string
	topic     string // of the event after which it is asked
	at        int64  // the event's time, in Unix nanoseconds
	container string
}

// The lines of the look-ups.
type (
	imageLine struct {
		Image imageRecord `json:"containerd_image"`
	}
	imageRecord struct {
		Namespace string            `json:"namespace"`
		Name      string            `json:"name"`
		Digest    string            `json:"digest"`
		MediaType string            `json:"media_type,omitempty"`
		Labels    map[string]string `json:"labels,omitempty"`
		Event     *eventRecord      `json:"event,omitempty"`
	}
	eventRecord struct {
		Topic string `json:"topic"`
		Time  string `json:"time"`
	}
	containerLine struct {
		Container containerRecord `json:"containerd_container"`
	}
	containerRecord struct {
		Namespace   string            `json:"namespace"`
		ID          string            `json:"id"`
		Image       string            `json:"image,omitempty"`
		ImageDigest string            `json:"image_digest,omitempty"`
		Labels      map[string]string `json:"labels,omitempty"`
		Runtime     string            `json:"runtime,omitempty"`
		CreatedAt   string            `json:"created_at,omitempty"`
		PID         uint32            `json:"pid,omitempty"`
		StartedAt   string            `json:"started_at,omitempty"`
	}
)

// exactly is how a time that is known to the nanosecond is written: the digits
// tell how exact it is.
const exactly = "2006-01-02T15:04:05.000000000Z07:00"

// answer looks something up. What is gone already was too short-lived to be
// looked up, which is no loss of records.
func (w *watch) answer(ctx context.Context, q question) {
	bounded, cancel := context.WithTimeout(in(ctx, q.namespace), w.timeout)
	defer cancel()
	var err error
	if q.container != "" {
		err = w.lookUpContainer(bounded, q)
	} else {
		err = w.lookUpImage(bounded, q)
	}
	if err == nil || status.Code(err) == codes.NotFound || ctx.Err() != nil {
		return
	}
	w.out.Lost("a look-up that containerd did not answer", 1)
}

func (w *watch) lookUpImage(ctx context.Context, q question) error {
	r, err := w.images.Get(ctx, &images.GetImageRequest{Name: q.image})
	if err != nil {
		return err
	}
	w.recordImage(q.namespace, r.GetImage(), &eventRecord{q.topic, time.Unix(0, q.at).UTC().Format(exactly)})
	return nil
}

func (w *watch) lookUpContainer(ctx context.Context, q question) error {
	r, err := w.containers.Get(ctx, &containers.GetContainerRequest{ID: q.container})
	if err != nil {
		return err
	}
	c := r.GetContainer()
	var img *images.Image
	if c.GetImage() != "" {
		// Without an answer, what the image's own look-up told must do.
		if r, err := w.images.Get(ctx, &images.GetImageRequest{Name: c.GetImage()}); err == nil {
			img = r.GetImage()
		}
	}
	w.recordContainer(q.namespace, c, img, nil)
	return nil
}

// list records all images and containers of all namespaces.
func (w *watch) list(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	all, err := w.namespaces.List(bounded, &namespaces.ListNamespacesRequest{})
	if err != nil {
		return fmt.Errorf("list containerd's namespaces: %w", err)
	}
	for _, ns := range all.GetNamespaces() {
		if err := w.listIn(ctx, ns.GetName()); err != nil {
			return err
		}
	}
	return nil
}

func (w *watch) listIn(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeout(in(ctx, namespace), w.timeout)
	defer cancel()
	stored, err := w.images.List(ctx, &images.ListImagesRequest{})
	if err != nil {
		return fmt.Errorf("list images of containerd: %w", err)
	}
	byName := map[string]*images.Image{}
	for _, i := range stored.GetImages() {
		byName[i.GetName()] = i
		w.recordImage(namespace, i, nil)
	}
	made, err := w.containers.List(ctx, &containers.ListContainersRequest{})
	if err != nil {
		return fmt.Errorf("list containers of containerd: %w", err)
	}
	processes := map[string]*task.Process{}
	if running, err := w.tasks.List(ctx, &tasks.ListTasksRequest{}); err == nil {
		for _, p := range running.GetTasks() {
			// Where the list has no container's id, its own is the same.
			processes[p.GetID()] = p
		}
	} else {
		// One that hangs holds up the answer about all.
		w.out.Lost("the processes of the containers that run already", -1)
	}
	for _, c := range made.GetContainers() {
		w.recordContainer(namespace, c, byName[c.GetImage()], processes[c.GetID()])
	}
	return nil
}

func (w *watch) recordImage(namespace string, i *images.Image, after *eventRecord) {
	w.record(imageLine{imageRecord{
		Namespace: namespace, Name: i.GetName(), Digest: i.GetTarget().GetDigest(), MediaType: i.GetTarget().GetMediaType(),
		Labels: i.GetLabels(), Event: after,
	}})
}

// recordContainer records a container, with its image as its name is stored now
// and its process, both nil if not known.
func (w *watch) recordContainer(namespace string, c *containers.Container, img *images.Image, p *task.Process) {
	r := containerRecord{
		Namespace: namespace, ID: c.GetID(), Image: c.GetImage(), Labels: c.GetLabels(), Runtime: c.GetRuntime().GetName(),
		CreatedAt: written(c.GetCreatedAt()),
	}
	// A name that was written again since may have meant another image then.
	if img != nil && !img.GetUpdatedAt().AsTime().After(c.GetCreatedAt().AsTime()) {
		r.ImageDigest = img.GetTarget().GetDigest()
	}
	if p.GetPid() > 0 && p.GetStatus() != task.Status_STOPPED {
		r.PID = p.GetPid()
		r.StartedAt = w.began(p.GetPid(), c.GetID())
	}
	w.record(containerLine{r})
}

func (w *watch) record(v any) {
	line, err := json.Marshal(v)
	if err != nil {
		w.out.Lost("a look-up in containerd that cannot be written", 1)
		return
	}
	w.out.Record(laneLookups, line)
}

func written(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Format(exactly)
}
