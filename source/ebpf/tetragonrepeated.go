package ebpf

import (
	"strconv"
	"strings"

	"tidewaiter/event"
)

// Every record of Tetragon repeats the whole process that did something, and
// what the kubelet told of its container. A process whose own record is lost, or
// was written before the file begins, is told from the first that names it; a
// container's start, name and image, which no record of their own tells, from
// the first that knows them.

// telling is an event, and the key that is the same whichever record tells it.
type telling struct {
	event event.Event
	key   string
}

// told are the keys of processes and containers that need not be told again.
// What it forgets is told twice and dropped as a double delivery.
//
// A container that starts again in a pod is another one with another id.
type told map[string]bool

// maxTold bounds the keys that are kept of one input.
const maxTold = 1 << 14

func (t *told) add(key string) {
	switch {
	case !strings.HasPrefix(key, processPrefix) && !strings.HasPrefix(key, containerPrefix):
		return
	case *t == nil || len(*t) >= maxTold:
		*t = told{}
	}
	(*t)[key] = true
}

// How the keys begin of what several records tell.
const (
	processPrefix   = "process_exec|"
	containerPrefix = "container|"
)

// processKey is the key of a program's start: exec_id is one program's in one
// process. A recording that keeps it when the program is replaced is told apart
// by the program.
func (t *tetragonEvent) processKey(start event.Time) string {
	id := t.process.Get(keyExecID).String()
	if id == "" {
		id = strconv.FormatInt(start.At, 10) + "|" + strconv.Itoa(t.actor.pid)
	}
	return processPrefix + id + "|" + t.actor.exe
}

// repeated adds what a record tells of its process and container that was not
// told before. That its container began is a task without a process: who made
// the container is not told, and nobody shall think that it could be. e has the record's place and time.
func (d *tetragonDecoder) repeated(t *tetragonEvent, e event.Event) {
	if t.actor.pid == 0 && (d.readActor(t) != nil || t.actor.pid == 0) {
		return
	}
	add := func(e event.Event, key string) {
		if !d.told[key] {
			d.all = append(d.all, telling{e, key})
		}
	}
	process := e
	if t.kind != "process_exec" && t.whole() {
		if body, err := t.exec(&process); err == nil {
			process.Body = body
			add(process, t.processKey(process.Time))
		}
	}
	if id, at := t.containerStart(); id != "" {
		start := e
		start.Time = at
		if t.written.At > at.At {
			start.Record = t.written.At
		}
		if key := containerPrefix + id; !d.told[key] {
			start.Body = &event.Task{Action: event.TaskStart, Container: id}
			add(start, key)
		}
		if key := containerPrefix + id + "|status"; !d.told[key] {
			start.Body = d.status(t, id, at)
			add(start, key)
		}
	}
}

// status is what Tetragon was told by the kubelet of a process's container:
// what it is called and which image it is of.
func (d *tetragonDecoder) status(t *tetragonEvent, id string, started event.Time) *event.PodStatus {
	of, c := t.actor.of, t.process.Get(keyPod).Get("container", "image")
	return &event.PodStatus{
		Object: event.ObjectRef{Kind: "Pod", Namespace: of.Namespace, Name: of.Pod, UID: of.UID}, Node: of.Node,
		Containers: []event.ContainerStatus{{
			Name: of.Container, ID: id, Image: d.refs.Parse(c.String("name")), ImageID: d.refs.Parse(c.String("id")).Digest(), StartedAt: started,
		}},
	}
}

// whole reports whether the record has what a process's own record has of it.
func (t *tetragonEvent) whole() bool {
	return t.actor.exe != "" && t.process.Get(keyExecID).String() != "" && t.process.Get(keyStart).String() != ""
}

// containerStart is when the process's container began, as the kubelet told
// Tetragon: in whole seconds. id is "" if that is not known. The process id
// beside it counts inside the container and is of no use.
func (t *tetragonEvent) containerStart() (id string, at event.Time) {
	c := t.process.Get(keyPod).Get("container")
	if id = containerID(c.String("id")); id == "" || id != t.actor.container {
		return "", event.Time{}
	}
	at, err := wallTime("start_time", c.Get("start_time"))
	if err != nil || len(id) > maxName || len(c.String("image", "name")) > maxName {
		return "", event.Time{}
	}
	return id, at
}
