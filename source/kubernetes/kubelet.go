package kubernetes

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
)

// Kubelet is the kubelet's own log: klog text in its spellings since 1.19, bare
// or behind the prefix of journald, syslog or a container runtime, the JSON
// logging format, and the journal as JSON. Two kinds of lines matter: which
// container runs in which pod (SyncLoop PLEG), and requests to the kubelet's
// own port that reach into a pod, which the API server's audit never sees.
func Kubelet() *source.Format {
	return &source.Format{
		Name:    "kubelet-log",
		Title:   "Kubelet log (klog text or JSON, also from the journal)",
		Source:  event.Kubelet,
		Framing: source.Lines,
		Sniff:   sniffKubelet,
		New:     func(out *source.Output) source.Decoder { return &kubeletDecoder{out: out, clock: klogClock{out: out}} },
	}
}

var (
	errNoLine   = errors.New("no line of the kubelet's log: want a klog header, or JSON with ts and msg")
	errNoYear   = errors.New("no year: klog prints none, and neither a prefix nor an earlier line of this input tells it with its time zone")
	errForeign  = errors.New("another program's line")
	errBadEpoch = errors.New("ts is no Unix time in seconds or milliseconds")
)

type kubeletDecoder struct {
	out    *source.Output
	parser jsonrecord.Parser
	clock  klogClock
	opened bool // a line of the log has been read, which others may continue
}

// Flush implements source.Decoder; nothing is held back.
func (d *kubeletDecoder) Flush() {}

// Decode implements source.Decoder.
func (d *kubeletDecoder) Decode(rec source.Record) {
	l, err := d.read(rec.Data)
	if !d.out.Tells(rec, l.body, err) {
		return
	}
	e := event.Event{Time: l.at, Place: event.Place{Host: l.host}, Body: l.body}
	if l.latency > 0 {
		// A request is logged when it ends.
		e.Record = l.at.At
		e.Time.Res = max(l.at.Res, event.Millisecond)
		e.Time.At = (l.at.At - int64(l.latency)) / event.Millisecond * event.Millisecond
	}
	d.out.Event(e, []byte(strconv.FormatInt(l.at.At, 10)+"|"+l.text), rec.Span)
}

// kubeletLine is one line, taken apart.
type kubeletLine struct {
	at      event.Time
	host    string // the node, as the prefix names it
	text    string // the line without its prefix
	latency time.Duration
	body    event.Body
}

// read gives no body for lines that say nothing of interest.
func (d *kubeletDecoder) read(data []byte) (kubeletLine, error) {
	p, rest := cutLinePrefix(data)
	l := kubeletLine{host: p.host}
	var err error
	switch {
	case d.clock.header(data):
		return l, nil
	case len(rest) > 0 && rest[0] == '{':
		err = d.readJSON(rest, &l)
	default:
		err = d.readText(p, rest, &l)
	}
	d.opened = d.opened || err == nil
	return l, err
}

// readText reads klog text.
func (d *kubeletDecoder) readText(p linePrefix, rest []byte, l *kubeletLine) (err error) {
	h, message, ok := cutKlogHeader(rest)
	switch {
	case ok:
	case p.none() && d.opened && len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t'):
		return nil // a value of the line before that spans lines
	case p.none():
		return errNoLine
	case !ofKubelet(p.program):
		return fmt.Errorf("%w: %q", errForeign, clip(p.program))
	}
	if l.at, err = d.clock.read(p, h); err != nil {
		return err
	}
	if matters(message) {
		l.text = string(rest)
		readMessage(string(message), l)
	}
	return nil
}

// matters finds the few lines that are looked into, at little cost.
func matters(message []byte) bool {
	if bytes.Contains(message, []byte("SyncLoop (PLEG)")) {
		return bytes.Contains(message, []byte("ContainerStarted"))
	}
	for _, path := range [][]byte{[]byte("/exec/"), []byte("/run/"), []byte("/attach/"), []byte("/portForward/")} {
		if i := bytes.Index(message, path); i > 0 && (message[i-1] == '"' || message[i-1] == ' ') {
			return true
		}
	}
	return false
}

// readJSON reads a line of the JSON logging format, or a record of the journal
// whose message is a line.
func (d *kubeletDecoder) readJSON(data []byte, l *kubeletLine) error {
	v, err := d.parser.Parse(data)
	if err != nil {
		return err
	}
	switch {
	case v.Get("MESSAGE").IsString() && v.Get("__REALTIME_TIMESTAMP").Exists():
		err = d.readJournal(v, l)
	case v.Get("ts").Exists() && v.Get("msg").IsString():
		if l.at, err = epochMillis(v.Number("ts")); err == nil {
			l.text = string(data)
			readFields(jsonFields{v}, l)
		}
	default:
		err = errNoLine
	}
	if fault := d.parser.Fault(); fault != nil {
		return fault
	}
	return err
}

// readJournal reads a record of journalctl -o json.
func (d *kubeletDecoder) readJournal(v jsonrecord.Value, l *kubeletLine) error {
	program := v.String("SYSLOG_IDENTIFIER")
	if program == "" {
		program = v.String("_COMM")
	}
	micros, err := strconv.ParseInt(v.Number("__REALTIME_TIMESTAMP"), 10, 64)
	if err != nil || micros <= 0 || micros > 9_200_000_000_000_000 {
		return errors.New("__REALTIME_TIMESTAMP is no Unix time in microseconds")
	}
	l.host = v.String("_HOSTNAME")
	text := v.String("MESSAGE")
	p := linePrefix{host: l.host, program: program, at: event.Time{At: micros * event.Microsecond, Res: event.Microsecond}}
	return d.readText(p, []byte(text), l)
}

// epochMillis reads the time of the JSON logging format: milliseconds since
// 1970 with a fraction, at first seconds. Their magnitudes tell them apart.
func epochMillis(s string) (event.Time, error) {
	whole, frac, _ := bytes.Cut([]byte(s), []byte{'.'})
	if len(whole) == 13 {
		s = string(whole[:10]) + "." + string(whole[10:]) + string(frac)
	} else if len(whole) != 10 {
		return event.Time{}, errBadEpoch
	}
	at, err := event.ParseEpoch(s)
	if err != nil {
		return event.Time{}, errBadEpoch
	}
	if at.Res < event.Microsecond || len(frac) > 0 {
		// A float of milliseconds is exact to about a quarter of a microsecond,
		// and leaves out the zeros at its end.
		at.Res = event.Microsecond
	}
	at.At -= at.At % at.Res
	return at, nil
}

// sniffKubelet knows lines with a klog header, or of the kubelet's program, if
// some of them are the kubelet's beyond doubt.
func sniffKubelet(head source.Sample) int {
	sure := false
	for _, mark := range []string{"kubelet", "kubenswrapper", "SyncLoop", "/pleg/", "pod_workers.go", "kuberuntime"} {
		sure = sure || bytes.Contains(head.Data, []byte(mark))
	}
	if !sure {
		return 0
	}
	if head.HasKeys("ts", "caller", "msg") || head.HasKeys("__REALTIME_TIMESTAMP", "MESSAGE") {
		return 80
	}
	share := head.Share(func(line []byte) bool {
		p, rest := cutLinePrefix(line)
		_, _, ok := cutKlogHeader(rest)
		return ok || ofKubelet(p.program) && p.program != "systemd" || bytes.HasPrefix(rest, []byte(`{"ts":`))
	})
	if share < 50 {
		return 0
	}
	return 80
}
