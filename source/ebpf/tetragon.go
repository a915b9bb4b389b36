package ebpf

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Tetragon is Tetragon's export: JSON, one event to a line, or printed over
// many. api/v1/tetragon of its sources has the fields; the events for
// connections and names are those of its older and commercial versions.
//
// A program's argv[0] is not recorded: Args[0] is the path that it was started
// by, which is also what tells busybox its applet. Of a script that is the
// script's own path, and its interpreter is not told.
func Tetragon() *source.Format {
	return &source.Format{
		Name:    "tetragon",
		Title:   "Tetragon events (export file, tetra getevents -o json)",
		Source:  event.Tetragon,
		Framing: source.JSONValues,
		Sniff:   sniffTetragon,
		New:     func(out *source.Output) source.Decoder { return &tetragonDecoder{out: out} },
	}
}

// tetragonKinds are the events; exactly one is in a record.
var tetragonKinds = []string{
	"process_exec", "process_exit", "process_kprobe", "process_tracepoint", "process_lsm", "process_uprobe", "process_usdt",
	"process_loader", "process_throttle", "rate_limit_info", "process_connect", "process_listen", "process_accept", "process_close",
	"process_dns", "process_http", "process_tls", "process_file", "test",
}

// sniffTetragon knows an event by its name and its exec_id. The top keys that
// follow it may lie beyond the sample.
func sniffTetragon(head source.Sample) int {
	for _, kind := range tetragonKinds {
		switch {
		case !head.HasKeys(kind):
		case head.HasKeys("time") && (head.HasKeys("node_name") || kind != "test"):
			return 90
		case strings.Contains(string(head.Data), `"exec_id"`):
			return 70
		}
	}
	return 0
}

// Faults of a Tetragon record.
var (
	errNotTetragon = errors.New("no event of Tetragon: expected process_exec, process_kprobe or the like")
	errTwoEvents   = errors.New("two events of Tetragon in one record")
	errNoProcess   = errors.New("event of Tetragon without its process and its pid")
	errNoStart     = errors.New("start of a program without start_time, and without a time that could stand for it")
)

type tetragonDecoder struct {
	out     *source.Output
	parser  jsonrecord.Parser
	refs    image.Parser
	told    told
	process jsonrecord.Members // of the record being read
	all     []telling          // of the same
}

// Decode implements source.Decoder.
func (d *tetragonDecoder) Decode(rec source.Record) {
	tellings, err := d.read(rec.Data)
	switch {
	case err != nil:
		d.out.Unreadable(rec, err)
		return
	case len(tellings) == 0:
		d.out.Skip()
		return
	}
	d.out.Event(tellings[0].event, []byte(tellings[0].key), rec.Span)
	for _, t := range tellings[1:] {
		d.out.Beside(t.event, []byte(t.key), rec.Span)
	}
	for _, t := range tellings {
		d.told.add(t.key)
	}
}

// Flush implements source.Decoder; nothing is held back.
func (d *tetragonDecoder) Flush() {}

// tetragonEvent is one record, taken apart.
type tetragonEvent struct {
	kind    string
	v       jsonrecord.Value // the event itself
	process *jsonrecord.Members
	written event.Time
	node    string
	actor   actor
}

// read gives what a record tells, until the next is read: first the event that it is, then what it
// repeats of its process and container and nobody told before.
func (d *tetragonDecoder) read(data []byte) ([]telling, error) {
	v, err := d.parser.Parse(data)
	if err != nil {
		return nil, err
	}
	t, err := openTetragon(v, &d.process)
	if err != nil {
		return nil, err
	}
	e := event.Event{Time: t.written, Place: event.Place{Host: t.node, Cluster: v.String("cluster_name")}}
	if len(e.Place.Host) > maxName || len(e.Place.Cluster) > maxName {
		return nil, errLongName
	}
	d.all = d.all[:0]
	own := e
	if own.Body, err = d.body(&t, &own); own.Body != nil {
		d.all = append(d.all, telling{own, t.key(&own)})
	}
	if err == nil {
		d.repeated(&t, e)
		err = d.parser.Fault()
	}
	return d.all, err
}

// The keys of a process.
const (
	keyPID = iota
	keyUID
	keyAUID
	keyBinary
	keyArguments
	keyFlags
	keyStart
	keyCwd
	keyDocker
	keyPod
	keyExecID
	keyParentExecID
	keyTID
)

var processKeys = jsonrecord.NewNames("pid", "uid", "auid", "binary", "arguments", "flags", "start_time", "cwd", "docker", "pod",
	"exec_id", "parent_exec_id", "tid")

// openTetragon finds the event in a record.
func openTetragon(v jsonrecord.Value, process *jsonrecord.Members) (t tetragonEvent, err error) {
	if !v.IsObject() {
		return t, errNotObject
	}
	v.Each(func(key string, val jsonrecord.Value) {
		if !slices.Contains(tetragonKinds, key) && !strings.HasPrefix(key, "process_") {
			return
		}
		if t.kind != "" {
			err = errTwoEvents
		}
		t.kind, t.v = key, val
	})
	switch {
	case err != nil:
		return t, err
	case t.kind == "":
		return t, errNotTetragon
	}
	t.process = process
	t.v.Get("process").Members(processKeys, process)
	t.node = v.String("node_name")
	// An old program's start has its own time only.
	if t.kind != "process_exec" || v.Get("time").Exists() {
		t.written, err = wallTime("time", v.Get("time"))
	}
	return t, err
}

// key tells records apart: exec_id is unique for a program on one node, and what
// it did is told by the time, which old versions cut to milliseconds, and by its
// object.
func (t *tetragonEvent) key(e *event.Event) string {
	if _, ok := e.Body.(*event.Process); ok {
		return t.processKey(e.Time)
	}
	return strings.Join([]string{
		t.kind, t.v.String("function_name"), t.v.String("event"), strconv.FormatInt(e.Time.At, 10),
		t.process.Get(keyExecID).String(), t.process.Get(keyTID).Number(), object(e.Body),
	}, "|")
}

// body makes the event's body; nil without an error means that it says nothing
// that anybody wants: exits, listening and closed sockets, loaded libraries.
func (d *tetragonDecoder) body(t *tetragonEvent, e *event.Event) (event.Body, error) {
	var body func(*tetragonEvent) (event.Body, error)
	switch t.kind {
	case "rate_limit_info", "process_throttle":
		return t.loss()
	case "process_exec":
		body = func(t *tetragonEvent) (event.Body, error) { return t.exec(e) }
	case "process_kprobe", "process_tracepoint", "process_lsm":
		body = (*tetragonEvent).hook
	case "process_connect":
		body = (*tetragonEvent).connect
	case "process_dns":
		body = (*tetragonEvent).dns
	default:
		return nil, nil
	}
	if err := d.readActor(t); err != nil {
		return nil, err
	}
	if t.actor.pid == 0 {
		return nil, nil // the kernel's own work
	}
	return body(t)
}

// loss says that Tetragon dropped events: so many because of its own rate
// limit, or those of a group of processes that makes too many.
func (t *tetragonEvent) loss() (event.Body, error) {
	if t.kind == "process_throttle" {
		if t.v.String("type") != "THROTTLE_START" {
			return nil, nil
		}
		return &event.Loss{Reason: "sensor throttles a group of processes", Count: -1}, nil
	}
	n, ok := t.v.Int("number_of_dropped_process_events")
	switch {
	case !ok || n < 0:
		return &event.Loss{Reason: "sensor rate limit exceeded", Count: -1}, nil
	case n == 0:
		return nil, nil
	}
	return &event.Loss{Reason: "sensor rate limit exceeded", Count: n}, nil
}

// readActor reads the process and whose it is.
func (d *tetragonDecoder) readActor(t *tetragonEvent) error {
	p := t.process
	pid, missing, err := processID(p.Get(keyPID))
	switch {
	case err != nil:
		return err
	case missing:
		return errNoProcess
	}
	a := &t.actor
	a.pid, a.uid, a.auid = pid, userID(p.Get(keyUID)), userID(p.Get(keyAUID))
	if a.ppid, err = t.parentID(pid); err != nil {
		return err
	}
	a.exe, a.cwd = p.Get(keyBinary).String(), absolute("", p.Get(keyCwd).String())
	a.container = p.Get(keyDocker).String()
	if pod := p.Get(keyPod); pod.IsObject() {
		d.readPod(t, pod)
	}
	return a.check()
}

// parentID is the id of the parent process, 0 if unknown. A process that
// replaces its program without a fork is shown as its own parent; then the
// parent is the first ancestor with another id. Without a parent, its exec_id
// tells: the node's name, a time and the process id, in base64.
func (t *tetragonEvent) parentID(pid int) (int, error) {
	parent := t.v.Get("parent")
	ancestors := t.v.Array("ancestors")
	for i := range len(ancestors) + 1 {
		p := parent
		if i > 0 {
			p = ancestors[i-1]
		}
		ppid, missing, err := processID(p.Get("pid"))
		if err != nil {
			return 0, err
		}
		if !missing && ppid != pid {
			return ppid, nil
		}
	}
	if parent.IsObject() {
		return 0, nil
	}
	id, err := base64.StdEncoding.DecodeString(t.process.Get(keyParentExecID).String())
	if err != nil {
		return 0, nil
	}
	text := string(id)
	if ppid := parsePID(text[strings.LastIndexByte(text, ':')+1:]); ppid != pid {
		return ppid, nil
	}
	return 0, nil
}

// readPod reads what Tetragon knows of the pod. docker is the container's id
// from the name of its control group, cut after 31 characters; the pod has the
// whole id, which is looked up by the cut one. If the two differ, the kernel is
// right.
func (d *tetragonDecoder) readPod(t *tetragonEvent, pod jsonrecord.Value) {
	a, c := &t.actor, pod.Get("container")
	if id := containerID(c.String("id")); strings.HasPrefix(id, a.container) {
		a.container = id
	}
	a.of = event.PodRef{
		Namespace: pod.String("namespace"), Pod: pod.String("name"), UID: pod.String("uid"),
		Container: c.String("name"), Node: t.node,
		Image: d.image(c.String("image", "id"), c.String("image", "name")),
	}
	if name := pod.String("workload"); name != "" {
		a.of.Workload = event.ObjectRef{Kind: pod.String("workload_kind"), Namespace: a.of.Namespace, Name: name}
	}
}

// image prefers the reference that has a digest.
func (d *tetragonDecoder) image(id, name string) image.Reference {
	byID, byName := d.refs.Parse(id), d.refs.Parse(name)
	if byName.IsZero() || byName.Digest().IsZero() && !byID.Digest().IsZero() {
		return byID
	}
	return byName
}

// foundRes is the resolution of a start time from /proc: USER_HZ is 100.
const foundRes = 10 * event.Millisecond

// exec makes the body of a program's start. It happened at the process's own
// start time; the record's time is when it was seen. They differ for processes
// that ran before Tetragon did ("procFS"): those are told all the same, because
// they say what runs in a container, with the time of their start.
func (t *tetragonEvent) exec(e *event.Event) (event.Body, error) {
	flags := strings.Fields(t.process.Get(keyFlags).String())
	found := slices.Contains(flags, "procFS")
	if start := t.process.Get(keyStart); start.IsString() && len(start.Bytes()) > 0 {
		at, err := wallTime("start_time", start)
		if err != nil {
			return nil, err
		}
		if found {
			at.Res = max(at.Res, foundRes)
		}
		if e.Time = at; t.written.At > at.At {
			e.Record = t.written.At
		}
	} else if found || t.written.IsZero() {
		return nil, errNoStart
	}
	a := &t.actor
	args, cut := splitArguments(t.process.Get(keyArguments).String())
	p := &event.Process{
		PID: a.pid, PPID: a.ppid, Exe: a.exe, Cwd: a.cwd, UID: a.uid, AUID: a.auid, Session: -1,
		Args:          append([]string{a.exe}, args...),
		ArgsTruncated: cut || slices.Contains(flags, "truncArgs") || slices.Contains(flags, "errorArgs"),
		Container:     a.container, Of: a.of.Told(),
	}
	// The kernel gives an interpreter the script's path after at most one
	// argument of its own (fs/binfmt_script.c).
	if a.exe != "" && slices.Contains(args[:min(len(args), 2)], a.exe) {
		p.Script = a.exe
	}
	return p, nil
}

// connect reads the event of older versions for an open connection.
func (t *tetragonEvent) connect() (event.Body, error) {
	s := t.v
	if socket := s.Get("socket"); socket.IsObject() {
		s = socket
	}
	to, err := inetEndpoint(s.String("destination_ip"), s.Get("destination_port"))
	if err != nil {
		return nil, fmt.Errorf("destination: %w", err)
	}
	return t.actor.socket(to, true), nil
}

// dns reads a query or an answer. Without a pod or a client's address it can
// be nobody's, and tells nothing.
func (t *tetragonEvent) dns() (event.Body, error) {
	d, s := t.v.Get("dns"), t.v
	if socket := s.Get("socket"); socket.IsObject() {
		s = socket
	}
	names := d.Strings("names")
	query := domain(d.String("query"))
	if query == "" && len(names) > 0 {
		query = domain(names[0])
	}
	from, to, err := bothEnds(s.String("source_ip"), s.Get("source_port"), s.String("destination_ip"), s.Get("destination_port"))
	if err != nil || query == "" || t.actor.of.IsZero() && !from.inet.IsValid() {
		return nil, err
	}
	l, err := newLookup(query, t.actor.of)
	if err != nil {
		return nil, err
	}
	l.ends(from.inet, to.inet, from.inet.Port() == dnsPort && to.inet.Port() != dnsPort)
	for _, n := range append(d.Strings("ips"), names...) {
		l.answer(n)
	}
	if types := d.Array("question_types"); len(types) > 0 {
		if n, ok := types[0].Int(); ok {
			l.body.Type = numbered(dnsTypes, "TYPE", n)
		}
	}
	if d.Bool("response") {
		n, _ := d.Int("rcode")
		l.body.Code = numbered(dnsCodes, "RCODE", n)
	}
	return l.body, nil
}
