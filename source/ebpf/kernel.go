package ebpf

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Kernel is what tidewaiter's own sensor in the kernel writes: JSON, one record
// to a line. docs/formats/ebpf.md describes it.
//
// What ran before the sensor did is told as programs that started when their
// processes began, as Tetragon's are: it says what runs in a container. That a
// process ended is skipped: when a container does is for its runtime to say.
func Kernel() *source.Format {
	return &source.Format{
		Name:    "ebpf",
		Title:   "tidewaiter's own kernel sensor (JSON)",
		Source:  event.Kernel,
		Framing: source.JSONValues,
		Sniff: func(head source.Sample) int {
			if head.HasKeys("ebpf", "t", "pid") {
				return 95
			}
			return 0
		},
		New: func(out *source.Output) source.Decoder { return &kernelDecoder{out: out} },
	}
}

// Faults of a record.
var (
	errNotKernel  = errors.New("no record of the kernel sensor: expected ebpf to be exec, exit, connect or running")
	errKernelTime = errors.New("t is not a wall clock's nanoseconds since 1970")
	errNoProgram  = errors.New("start of a program without exe and args")
	errNoByte     = errors.New("a character that stands for no byte, in a record of bytes")
)

type kernelDecoder struct {
	out    *source.Output
	parser jsonrecord.Parser
	m      jsonrecord.Members
	key    []byte
	raw    bool // the strings of the record are bytes
	fault  error
}

// The keys of a record.
const (
	kernelKind = iota
	kernelTime
	kernelStarted
	kernelBoot
	kernelSince
	kernelPID
	kernelPPID
	kernelUID
	kernelAUID
	kernelSession
	kernelBytes
	kernelCut
	kernelComm
	kernelCgroup
	kernelCgroup2
	kernelExe
	kernelFile
	kernelInterp
	kernelCwd
	kernelArgs
	kernelAddr
	kernelPort
)

var kernelKeys = jsonrecord.NewNames("ebpf", "t", "started", "boot", "since", "pid", "ppid", "uid", "auid", "session", "bytes", "cut",
	"comm", "cgroup", "cgroup2", "exe", "file", "interp", "cwd", "args", "addr", "port")

// Decode implements source.Decoder.
func (d *kernelDecoder) Decode(rec source.Record) {
	e, err := d.read(rec.Data)
	if fault := d.parser.Fault(); fault != nil {
		err = fault
	}
	if d.out.Tells(rec, e.Body, err) {
		d.out.Event(e, d.key, rec.Span)
	}
}

// Flush implements source.Decoder; nothing is held back.
func (d *kernelDecoder) Flush() {}

func (d *kernelDecoder) read(data []byte) (e event.Event, err error) {
	v, err := d.parser.Parse(data)
	if err != nil {
		return e, err
	}
	if !v.IsObject() {
		return e, errNotObject
	}
	v.Members(kernelKeys, &d.m)
	d.raw, d.fault = d.m.Get(kernelBytes).Bool(), nil
	kind := d.m.Get(kernelKind).String()
	at, ok := d.m.Get(kernelTime).Int()
	if !ok || at < int64(oldest) {
		return e, errKernelTime
	}
	e.Time = event.Time{At: at, Res: event.Nanosecond}
	switch kind {
	case "exec":
		e.Body, err = d.exec()
	case "running":
		if e.Time, e.Record, err = d.started(at); err == nil {
			e.Body, err = d.exec()
		}
	case "connect":
		e.Body, err = d.connect()
	case "exit":
	default:
		err = errNotKernel
	}
	if err == nil {
		err = d.fault
	}
	if err != nil || e.Body == nil {
		return event.Event{}, err
	}
	d.makeKey(kind, &e)
	return e, nil
}

// makeKey tells records apart: a process does one thing at a time. What ran
// already is the same process however often it is listed; its wall time is not,
// as the clock is set now and then.
func (d *kernelDecoder) makeKey(kind string, e *event.Event) {
	b := append(append(d.key[:0], kind...), '|')
	if kind == "running" {
		b = append(append(b, d.m.Get(kernelBoot).Bytes()...), '|')
		b = append(append(b, d.m.Get(kernelSince).Bytes()...), '|')
	} else {
		b = append(strconv.AppendInt(b, e.Time.At, 10), '|')
	}
	b = append(append(b, d.m.Get(kernelPID).Bytes()...), '|')
	switch body := e.Body.(type) {
	case *event.Process:
		b = append(b, body.Exe...)
	case *event.Socket:
		b = body.Addr.AppendTo(b)
	}
	d.key = b
}

// started is when a process began that was running already, and when it was
// listed.
func (d *kernelDecoder) started(listed int64) (at event.Time, record int64, err error) {
	began, ok := d.m.Get(kernelStarted).Int()
	if !ok || began < int64(oldest) {
		return at, 0, errNoStart
	}
	if listed > began {
		record = listed
	}
	return event.Time{At: began, Res: foundRes}, record, nil
}

// text is a string of the record.
func (d *kernelDecoder) text(v jsonrecord.Value) string {
	s := v.String()
	if !d.raw {
		return s
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			d.fault = errNoByte
			return ""
		}
		b = append(b, byte(r))
	}
	return string(b)
}

func (d *kernelDecoder) actor() (a actor, err error) {
	var missing bool
	if a.pid, missing, err = processID(d.m.Get(kernelPID)); err != nil {
		return a, err
	}
	if missing || a.pid == 0 {
		return a, errNoHostPID
	}
	if a.ppid, _, err = processID(d.m.Get(kernelPPID)); err != nil {
		return a, err
	}
	if a.ppid == a.pid {
		a.ppid = 0
	}
	a.uid, a.auid = userID(d.m.Get(kernelUID)), userID(d.m.Get(kernelAUID))
	a.exe, a.comm = d.text(d.m.Get(kernelExe)), d.text(d.m.Get(kernelComm))
	a.cwd = absolute("", d.text(d.m.Get(kernelCwd)))
	group, other := d.text(d.m.Get(kernelCgroup)), d.text(d.m.Get(kernelCgroup2))
	if len(group) > maxPath || len(other) > maxPath {
		return a, errLongPath
	}
	if a.container = containerOfGroup(group); a.container == "" {
		a.container = containerOfGroup(other)
	}
	return a, a.check()
}

func (d *kernelDecoder) exec() (event.Body, error) {
	a, err := d.actor()
	if err != nil {
		return nil, err
	}
	var args []string
	for _, v := range d.m.Get(kernelArgs).Array() {
		args = append(args, d.text(v))
	}
	if a.exe == "" && len(args) == 0 {
		return nil, errNoProgram
	}
	file := d.text(d.m.Get(kernelFile))
	if len(file) > maxPath {
		return nil, errLongPath
	}
	p := &event.Process{
		PID: a.pid, PPID: a.ppid, Exe: a.exe, Comm: a.comm, Cwd: a.cwd, UID: a.uid, AUID: a.auid, Session: userID(d.m.Get(kernelSession)),
		ArgsTruncated: d.m.Get(kernelCut).Bool(), Container: a.container,
	}
	if p.Exe == "" {
		p.Exe = file
	}
	// Only a script has another interpreter than what was asked for.
	if d.m.Get(kernelInterp).Exists() {
		p.Script = absolute(a.cwd, file)
	}
	var cut bool
	p.Args, cut = boundArgs(args)
	p.ArgsTruncated = p.ArgsTruncated || cut
	return p, nil
}

// connect reads who asked for a connection, or sent a datagram. Which of the
// two is in the record for those who look at it.
func (d *kernelDecoder) connect() (event.Body, error) {
	a, err := d.actor()
	if err != nil {
		return nil, err
	}
	to, err := inetEndpoint(d.m.Get(kernelAddr).String(), d.m.Get(kernelPort))
	if err != nil {
		return nil, fmt.Errorf("destination: %w", err)
	}
	if to.isZero() || to.inet.Addr() == (netip.Addr{}) {
		return nil, nil
	}
	return a.socket(to, true), nil
}
