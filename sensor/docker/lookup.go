package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"tidewaiter/sensor"
)

// kind is what a question is about.
type kind int

const (
	container kind = iota
	image
	network
)

// question is something to be looked up.
type question struct {
	kind kind
	id   string // of what is looked up, or the name of an image
	of   string // the container whose address on the network is asked for
}

// maxImages bounds the images that are remembered as looked up; beyond it, all
// are forgotten and looked up again.
const maxImages = 10_000

// maxAnswer bounds one recorded answer, in bytes.
const maxAnswer = 4 << 20

// ask has something looked up.
func (w *watch) ask(q question) {
	if q.id == "" || q.kind == network && q.of == "" {
		return
	}
	line := w.waiting
	if q.kind == network {
		line = w.addresses
	}
	if !line.Ask(q) {
		w.out.Lost("the Docker Engine is asked more than it answers: look-ups left out", 1)
	}
}

// answer looks something up. What is gone already was too short-lived to be
// looked up, which is no loss of records.
func (w *watch) answer(ctx context.Context, q question) {
	bounded, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	var err error
	switch q.kind {
	case container:
		err = w.lookUpContainer(bounded, q.id)
	case image:
		err = w.lookUpImage(bounded, q.id)
	case network:
		err = w.lookUpNetwork(bounded, q.id, q.of)
	}
	if err == nil || errdefs.IsNotFound(err) || ctx.Err() != nil {
		return
	}
	reason := "a look-up that the Docker Engine did not answer"
	if !errors.Is(err, context.DeadlineExceeded) {
		reason = "a look-up that failed"
	}
	w.out.Lost(reason, 1)
}

// list looks up all containers and images that are there.
func (w *watch) list(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	containers, err := w.client.ContainerList(bounded, client.ContainerListOptions{All: true})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	images, err := w.client.ImageList(bounded, client.ImageListOptions{})
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	for _, c := range containers.Items {
		w.answer(ctx, question{kind: container, id: c.ID})
	}
	for _, i := range images.Items {
		if w.firstTime(i.ID) {
			w.answer(ctx, question{kind: image, id: i.ID})
		}
	}
	return ctx.Err()
}

// firstTime reports that an image was not looked up yet for what is there.
func (w *watch) firstTime(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.images[id] || id == "" {
		return false
	}
	if len(w.images) >= maxImages {
		clear(w.images)
	}
	w.images[id] = true
	return true
}

// lookUpContainer records a container, and the image that it was made of if
// that was not recorded yet: by its id, as the name may mean another by now.
func (w *watch) lookUpContainer(ctx context.Context, id string) error {
	r, err := w.client.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	if err := w.record(laneContainers, r.Raw, nil); err != nil {
		return err
	}
	if w.firstTime(r.Container.Image) {
		w.ask(question{kind: image, id: r.Container.Image})
	}
	return nil
}

func (w *watch) lookUpImage(ctx context.Context, id string) error {
	var raw bytes.Buffer
	if _, err := w.client.ImageInspect(ctx, id, client.ImageInspectWithRawResponse(&raw)); err != nil {
		return err
	}
	return w.record(laneImages, raw.Bytes(), nil)
}

// lookUpNetwork records what address a container has on a network. A network
// tells of all that are on it; the others are left out, as each has its own
// look-up. It knows the address as soon as a container is connected, while the
// container itself cannot be asked before it runs, nor after it has ended.
func (w *watch) lookUpNetwork(ctx context.Context, id, of string) error {
	at := time.Now().UTC()
	r, err := w.client.NetworkInspect(ctx, id, client.NetworkInspectOptions{})
	if err != nil {
		return err
	}
	var said struct{ Containers map[string]json.RawMessage }
	if err := json.Unmarshal(r.Raw, &said); err != nil {
		return err
	}
	end, connected := said.Containers[of]
	if !connected {
		return nil // it has left already
	}
	return w.record(laneNetworks, r.Raw, map[string]any{
		"Containers": map[string]json.RawMessage{of: end},
		"LookedUpAt": at.Format(time.RFC3339Nano),
	})
}

// record writes an answer without its secrets. instead replaces what stands at
// its top.
func (w *watch) record(lane sensor.Lane, answer []byte, instead map[string]any) error {
	line, err := redact(answer, instead)
	switch {
	case err != nil:
		return err
	case len(line) > maxAnswer:
		w.out.Lost("a look-up of more than 4 MiB", 1)
		return nil
	}
	w.out.Record(w.lane(lane), line)
	return nil
}
