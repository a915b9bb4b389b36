package ebpf

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Tracee is Tracee's event stream as JSON, in both of its shapes: one with
// eventName, hostProcessId and args (types/trace of its sources; the container
// and the pod moved into objects of their own on the way), and one with name,
// workload or context, and data (api/v1beta1).
//
// hostName is never taken for the host's name: it is the name that the process
// itself sees, in a container the container's. Where a file is from is for the
// inventory to say.
func Tracee() *source.Format {
	return &source.Format{
		Name:    "tracee",
		Title:   "Tracee events (JSON)",
		Source:  event.Tracee,
		Framing: source.JSONValues,
		Sniff:   sniffTracee,
		New:     func(out *source.Output) source.Decoder { return &traceeDecoder{out: out} },
	}
}

func sniffTracee(head source.Sample) int {
	switch {
	case head.HasKeys("timestamp", "eventName", "hostProcessId"):
		return 95
	case head.HasKeys("timestamp", "name", "workload"), head.HasKeys("timestamp", "name", "context"):
		if bytes.Contains(head.Data, []byte(`"process"`)) && bytes.Contains(head.Data, []byte(`"thread"`)) {
			return 80
		}
	}
	return 0
}

// Faults of a Tracee record.
var (
	errNotTracee = errors.New("no event of Tracee: expected timestamp, and eventName or name")
	errNoHostPID = errors.New("event of Tracee without the process id on the host")
	errTwoArgs   = errors.New("an argument of an event of Tracee stands twice")
	errManyArgs  = fmt.Errorf("an event of Tracee with more than %d arguments", maxTraceeArgs)
)

// maxTraceeArgs is far more than any event has.
const maxTraceeArgs = 64

type traceeDecoder struct {
	out    *source.Output
	parser jsonrecord.Parser
	refs   image.Parser
	t      traceeEvent // the event that is being read
	flat   jsonrecord.Members
	key    []byte
}

// Decode implements source.Decoder.
func (d *traceeDecoder) Decode(rec source.Record) {
	body, err := d.read(rec.Data)
	if fault := d.parser.Fault(); fault != nil {
		err = fault
	}
	if d.out.Tells(rec, body, err) {
		d.out.Event(event.Event{Time: d.t.at, Body: body}, d.eventKey(body), rec.Span)
	}
}

// Flush implements source.Decoder; nothing is held back.
func (d *traceeDecoder) Flush() {}

// traceeEvent is one record, taken apart.
type traceeEvent struct {
	name   string
	at     event.Time
	thread string // its id on the host
	result int64  // what the call returned
	actor  actor
	noPID  bool
	args   []traceeArg
}

type traceeArg struct {
	name  string
	value jsonrecord.Value
}

// eventKey tells records apart: a thread does one thing at a time. It is valid
// until the next call.
func (d *traceeDecoder) eventKey(body event.Body) []byte {
	t := &d.t
	b := append(append(d.key[:0], t.name...), '|')
	b = append(strconv.AppendInt(b, t.at.At, 10), '|')
	b = append(strconv.AppendInt(b, int64(t.actor.pid), 10), '|')
	b = append(append(b, t.thread...), '|')
	d.key = append(b, object(body)...)
	return d.key
}

// arg is the argument of a name; the zero Value if there is none.
func (t *traceeEvent) arg(names ...string) jsonrecord.Value {
	for _, n := range names {
		for i := range t.args {
			if t.args[i].name == n {
				return t.args[i].value
			}
		}
	}
	return jsonrecord.Value{}
}

func (d *traceeDecoder) read(data []byte) (event.Body, error) {
	v, err := d.parser.Parse(data)
	if err != nil {
		return nil, err
	}
	t := &d.t
	*t = traceeEvent{args: t.args[:0]}
	switch {
	case !v.IsObject():
		return nil, errNotObject
	case v.Get("eventName").IsString():
		t.name = v.String("eventName")
		t.at, err = traceeTime(v.Get("timestamp"))
	case v.Get("name").IsString() && v.Get("timestamp").Exists():
		t.name = v.String("name")
		t.at, err = wallTime("timestamp", v.Get("timestamp"))
	default:
		return nil, errNotTracee
	}
	if err != nil {
		return nil, err
	}
	body := traceeBody(t.name)
	if body == nil {
		return nil, nil
	}
	if v.Get("eventName").IsString() {
		err = d.readFlat(v)
	} else {
		err = d.readNested(v)
	}
	if err == nil {
		err = t.actor.check()
	}
	if err != nil {
		return nil, err
	}
	return body(t)
}

// traceeBody is what makes the body of an event; nil for those that say
// nothing that anybody wants. A system call and the hooks below it tell the
// same thing twice if both are traced.
func traceeBody(name string) func(*traceeEvent) (event.Body, error) {
	switch name {
	case "sched_process_exec", "execve", "execveat":
		return (*traceeEvent).exec
	case "security_socket_connect", "connect", "net_tcp_connect":
		return (*traceeEvent).connect
	case "net_packet_dns", "net_packet_dns_request", "net_packet_dns_response":
		return (*traceeEvent).dns
	case "security_file_open", "open", "openat", "creat":
		return (*traceeEvent).open
	case "vfs_write", "vfs_writev", "__kernel_write", "magic_write", "file_modification", "security_inode_rename", "dropped_executable":
		return (*traceeEvent).write
	}
	return nil
}

// traceeTime reads nanoseconds since 1970: nineteen digits for the years from
// 2001 to 2261. With relative-time Tracee counts from its own start or the
// machine's, which is no time of day.
func traceeTime(v jsonrecord.Value) (event.Time, error) {
	s := v.Bytes()
	if v.IsString() && bytes.IndexByte(s, 'T') >= 0 {
		return wallTime("timestamp", v)
	}
	n, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil || n < oldest {
		return event.Time{}, fmt.Errorf("timestamp %q is not a wall clock's nanoseconds since 1970 (relative-time gives none)", clip(string(s)))
	}
	return event.Time{At: n, Res: event.Nanosecond}, nil
}

// readFlat reads the shape of types/trace.
func (d *traceeDecoder) readFlat(v jsonrecord.Value) (err error) {
	t := &d.t
	a := &t.actor
	m := &d.flat
	v.Members(flatKeys, m)
	if err := t.processes(m.Get(flatPID), m.Get(flatPPID)); err != nil {
		return err
	}
	a.uid, a.auid = userID(m.Get(flatUser)), -1
	a.comm, a.exe = m.Get(flatComm).String(), m.Get(flatExecutable).String("path")
	t.thread = m.Get(flatThread).Number()
	t.result, _ = m.Get(flatResult).Int()
	c, k := m.Get(flatContainer), m.Get(flatKubernetes)
	told := func(w jsonrecord.Value, key string, old int) string {
		if s := w.String(key); s != "" {
			return s
		}
		return m.Get(old).String()
	}
	a.container = containerID(told(c, "id", flatContainerID))
	d.readPod(told(k, "podNamespace", flatPodNamespace), told(k, "podName", flatPodName), told(k, "podUID", flatPodUID), told(c, "name", flatContainerName))
	a.of.Image = d.image(told(c, "image", flatContainerImage), c.String("imageDigest"))
	return t.readArgs(m.Get(flatArgs))
}

// The keys of the shape of types/trace.
const (
	flatPID = iota
	flatPPID
	flatUser
	flatComm
	flatExecutable
	flatThread
	flatResult
	flatContainer
	flatKubernetes
	flatContainerID
	flatPodNamespace
	flatPodName
	flatPodUID
	flatContainerName
	flatContainerImage
	flatArgs
)

var flatKeys = jsonrecord.NewNames("hostProcessId", "hostParentProcessId", "userId", "processName", "executable", "hostThreadId", "returnValue",
	"container", "kubernetes", "containerId", "podNamespace", "podName", "podUID", "containerName", "containerImage", "args")

// readNested reads the shape of api/v1beta1: workload with host_pid, or the
// older context, whose pid is the host's.
func (d *traceeDecoder) readNested(v jsonrecord.Value) (err error) {
	t := &d.t
	a := &t.actor
	w, pid := v.Get("workload"), "host_pid"
	if !w.IsObject() {
		w, pid = v.Get("context"), "pid"
	}
	p := w.Get("process")
	parent := p.Get("parent")
	if list := p.Array("ancestors"); len(list) > 0 {
		parent = list[0]
	}
	if err := t.processes(p.Get(pid), parent.Get(pid)); err != nil {
		return err
	}
	user := p.Get("real_user", "id")
	if !user.Exists() {
		user = p.Get("realUser", "id")
	}
	a.uid, a.auid = userID(user), -1
	a.exe, a.comm = p.String("executable", "path"), p.String("thread", "name")
	if t.thread = p.Number("thread", "host_tid"); t.thread == "" {
		t.thread = p.Number("thread", "tid")
	}
	c := w.Get("container")
	a.container = containerID(c.String("id"))
	d.readPod(w.String("k8s", "namespace", "name"), w.String("k8s", "pod", "name"), w.String("k8s", "pod", "uid"), c.String("name"))
	digest := ""
	for _, key := range []string{"repo_digests", "repoDigests"} {
		if list := c.Strings("image", key); len(list) > 0 {
			digest = list[0]
		}
	}
	a.of.Image = d.image(c.String("image", "name"), digest)
	if err := t.readArgs(v.Get("data")); err != nil {
		return err
	}
	t.result, _ = t.arg("returnValue", "return_value").Int()
	return nil
}

func (t *traceeEvent) processes(pid, parent jsonrecord.Value) (err error) {
	a := &t.actor
	if a.pid, t.noPID, err = processID(pid); err != nil {
		return err
	}
	t.noPID = t.noPID || a.pid == 0
	if a.ppid, _, err = processID(parent); a.ppid == a.pid {
		a.ppid = 0
	}
	return err
}

// readPod keeps the container's name only where there is a pod: elsewhere it
// is the engine's name for the container.
func (d *traceeDecoder) readPod(namespace, pod, uid, container string) {
	if pod == "" && uid == "" {
		return
	}
	d.t.actor.of = event.PodRef{Namespace: namespace, Pod: pod, UID: uid, Container: container}
}

// image joins a name and a digest, which is bare or a reference of its own.
func (d *traceeDecoder) image(name, digest string) image.Reference {
	ref := d.refs.Parse(name)
	if digest == "" || !ref.Digest().IsZero() {
		return ref
	}
	if strings.Contains(digest, "@") || ref.Form() != image.Named {
		if by := d.refs.Parse(digest); !by.Digest().IsZero() {
			return by
		}
		return ref
	}
	if by := d.refs.Parse(name + "@" + digest); !by.Digest().IsZero() {
		return by
	}
	return ref
}

// readArgs lists the arguments: name and value, or in the older nested shape
// name and a key that is called after the value's type.
func (t *traceeEvent) readArgs(v jsonrecord.Value) error {
	for _, a := range v.Array() {
		name := a.String("name")
		if t.arg(name).Exists() {
			return fmt.Errorf("%w: %q", errTwoArgs, clip(name))
		}
		if len(t.args) == maxTraceeArgs {
			return errManyArgs
		}
		value := a.Get("value")
		if !value.Exists() {
			a.Each(func(key string, val jsonrecord.Value) {
				if key != "name" && key != "type" {
					value = val
				}
			})
		}
		t.args = append(t.args, traceeArg{name, value})
	}
	return nil
}
