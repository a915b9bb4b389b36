package docker

import (
	"fmt"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/jsonrecord"
	"tidewaiter/source/logrus"
)

// DaemonLog is dockerd's own log. A containerd that dockerd runs writes into it
// too, in the same framing; its lines say nothing of interest. Under debug the
// log shows every call of the Engine API, bodies of up to 4,096 bytes, the
// digest that a registry named, and the commands of a BuildKit build. It tells
// neither who called nor what the daemon answered.
//
// An API call stands in it as "Calling METHOD PATH", in newer engines as
// "handling METHOD request" with attributes (moby, server/middleware/debug.go).
func DaemonLog() *source.Format {
	return &source.Format{
		Name:    "dockerd-log",
		Title:   "Docker daemon's log (dockerd, best with debug)",
		Source:  event.Dockerd,
		Framing: source.Lines,
		Sniff:   sniffDaemonLog,
		Redact:  redactLog,
		New: func(out *source.Output) source.Decoder {
			return &daemonDecoder{out: out, lines: logrus.Reader{Programs: programs}, refs: image.Parser{Docker: true}}
		},
	}
}

// programs are the names under which the daemon's lines are filed, and those of
// the containerd that it runs.
var programs = []string{"dockerd", "docker", "docker.dockerd", "dockerd-current", "docker-current", "containerd", "docker-containerd"}

// Beginnings of the messages that are read.
const (
	msgCalling  = "Calling "
	msgHandling = "handling "
	msgForm     = "form data: "
	msgFetching = "Fetching manifest from remote"
	msgPulled   = "image pulled"
	msgStep     = "> creating "
)

// Bounds of the wait for the body of a call. Its line follows the call's
// within the same request, but other requests may write between.
const (
	waitLines = 64
	waitTime  = event.Second
)

type daemonDecoder struct {
	out     *source.Output
	lines   logrus.Reader
	parser  jsonrecord.Parser
	refs    image.Parser
	waiting []call // oldest first
}

// call is an API request whose body may follow.
type call struct {
	at    event.Time
	key   string
	span  event.Span
	req   *event.APIRequest // nil if it was emitted already
	lines int               // read since
}

// Decode implements source.Decoder.
func (d *daemonDecoder) Decode(rec source.Record) {
	l, err := d.lines.Cut(rec.Data)
	if len(d.waiting) > 0 {
		d.expire(&l)
	}
	if err == nil && l.Relative {
		_, err = l.Time() // so that a log without any is told, whatever it says
	}
	switch {
	case err != nil:
	case l.IsEmpty(), l.Has("Calling GET "), l.Has("Calling HEAD "):
		d.out.Skip()
	default:
		err = d.decodeMessage(rec, &l)
	}
	if err != nil {
		d.out.Unreadable(rec, err)
	}
}

// Flush implements source.Decoder: calls whose body did not come are emitted
// without it.
func (d *daemonDecoder) Flush() { d.release(len(d.waiting)) }

// Settle implements source.Settler: a call's body follows at once, or not at all.
func (d *daemonDecoder) Settle() { d.Flush() }

// decodeMessage counts rec exactly once, unless it fails.
func (d *daemonDecoder) decodeMessage(rec source.Record, l *logrus.Line) error {
	switch {
	case l.Has(msgCalling):
		return d.calling(rec, l)
	case l.Has(msgHandling):
		return d.handling(rec, l)
	case l.Has(msgForm):
		return d.form(rec, l)
	case l.Has(msgFetching), l.Has(msgPulled):
		return d.resolved(rec, l)
	case l.Has(msgStep):
		return d.step(rec, l)
	}
	d.out.Skip()
	return nil
}

// calling reads "Calling METHOD PATH".
func (d *daemonDecoder) calling(rec source.Record, l *logrus.Line) error {
	msg, err := l.Message()
	if err != nil {
		return err
	}
	method, target, _ := strings.Cut(strings.TrimPrefix(msg, msgCalling), " ")
	target, _, _ = strings.Cut(target, " ") // HTTP forbids blanks in it
	req, at, err := d.request(l, method, target)
	switch {
	case err != nil:
		return err
	case req == nil:
		d.out.Skip()
		return nil
	}
	c := call{at: at, key: string(l.AppendKey(nil)), span: rec.Span, req: req}
	if req.Method == "POST" && req.Path == pathCreate {
		d.waiting = append(d.waiting, c)
		return nil
	}
	d.emit(&c, c.span)
	if req.Method == "POST" && req.Path == pathCommit {
		c.req = nil // its body looks like that of a creation
		d.waiting = append(d.waiting, c)
	}
	return nil
}

// handling reads "handling METHOD request", which has everything in its
// attributes.
func (d *daemonDecoder) handling(rec source.Record, l *logrus.Line) error {
	method, err := l.Attr("method")
	if err != nil {
		return err
	}
	target, err := l.Attr("request-url")
	if err != nil {
		return err
	}
	if method == "" || target == "" {
		d.out.Skip() // another message that begins alike
		return nil
	}
	form, err := l.Attr("form-data")
	if err != nil {
		return err
	}
	req, at, err := d.request(l, method, target)
	switch {
	case err != nil:
		return err
	case req == nil:
		d.out.Skip()
		return nil
	}
	if form != "" && req.Method == "POST" && req.Path == pathCreate {
		body, err := d.parser.Parse([]byte(form))
		if err == nil {
			req.Create, err = d.create(body, req)
		}
		if err != nil {
			return fmt.Errorf("form-data: %w", err)
		}
	}
	d.emit(&call{at: at, key: string(l.AppendKey(nil)), req: req}, rec.Span)
	return nil
}

// request gives nil for a call that changes nothing.
func (d *daemonDecoder) request(l *logrus.Line, method, target string) (*event.APIRequest, event.Time, error) {
	if method == "GET" || method == "HEAD" || method == "OPTIONS" {
		return nil, event.Time{}, nil
	}
	req, err := parseRequest(method, target)
	if err != nil {
		return nil, event.Time{}, err
	}
	if !changes(req.Method, req.Path) {
		return nil, event.Time{}, nil
	}
	at, err := l.Time()
	return req, at, err
}

// form reads "form data: {…}", or the same as a JSON string, and joins it to
// the latest call that waits for such a body.
func (d *daemonDecoder) form(rec source.Record, l *logrus.Line) error {
	msg, err := l.Message()
	if err != nil {
		return err
	}
	body, err := d.parser.Parse([]byte(strings.TrimPrefix(msg, msgForm)))
	if err == nil && body.IsString() {
		body, err = d.parser.Parse([]byte(body.String()))
	}
	if err != nil {
		return fmt.Errorf("form data: %w", err)
	}
	last := len(d.waiting) - 1
	if last < 0 || !isCreateBody(body) {
		d.out.Skip() // the body of another call
		return nil
	}
	c := d.waiting[last]
	if c.req == nil {
		d.waiting = d.waiting[:last]
		d.out.Skip()
		return nil
	}
	create, err := d.create(body, c.req)
	if err != nil {
		return fmt.Errorf("form data: %w", err)
	}
	c.req.Create = create
	d.waiting = d.waiting[:last]
	d.emit(&c, c.span, rec.Span)
	return nil
}

func (d *daemonDecoder) create(body jsonrecord.Value, req *event.APIRequest) (*event.ContainerDescription, error) {
	create, err := describeCreate(body, req.Query.Get("name"))
	if err == nil {
		err = d.parser.Fault()
	}
	return create, err
}

func (d *daemonDecoder) emit(c *call, spans ...event.Span) {
	d.out.Event(event.Event{Time: c.at, Body: c.req}, []byte(c.key), spans...)
}

// expire releases the calls that have waited too long. The wait is measured
// in the log's own time, so that a replay gives the same.
func (d *daemonDecoder) expire(l *logrus.Line) {
	now, err := l.Time()
	n := 0
	for i := range d.waiting {
		c := &d.waiting[i]
		c.lines++
		if c.lines > waitLines || (err == nil && now.At-c.at.At > waitTime) {
			n = i + 1
		}
	}
	d.release(n)
}

// release emits the n oldest waiting calls.
func (d *daemonDecoder) release(n int) {
	for i := range d.waiting[:n] {
		if c := &d.waiting[i]; c.req != nil {
			d.emit(c, c.span)
		}
	}
	d.waiting = append(d.waiting[:0], d.waiting[n:]...)
}

// resolved reads what a registry answered for a reference. dockerd's own store
// logs each manifest before it fetches it: for an image of many platforms the
// index first, then this platform's manifest under the same reference. The
// containerd store logs the outermost one after the pull.
func (d *daemonDecoder) resolved(rec source.Record, l *logrus.Line) error {
	text, err := l.Attr("digest")
	if err != nil {
		return err
	}
	remote, err := l.Attr("remote")
	if err != nil {
		return err
	}
	if text == "" || remote == "" {
		d.out.Skip() // another message that begins alike
		return nil
	}
	digest, err := image.ParseDigest(text)
	if err != nil {
		return err
	}
	at, err := l.Time()
	if err != nil {
		return err
	}
	body := &event.ImageResolved{Reference: d.refs.Parse(remote), Digest: digest}
	d.out.Event(event.Event{Time: at, Body: body}, l.AppendKey(nil), rec.Span)
	return nil
}

// buildStepID is the length of BuildKit's ids (moby/buildkit, identity.NewID).
const buildStepID = 25

// step reads "> creating ID [ARGV]", which BuildKit logs before it runs a
// command.
func (d *daemonDecoder) step(rec source.Record, l *logrus.Line) error {
	msg, err := l.Message()
	if err != nil {
		return err
	}
	id, argv, _ := strings.Cut(strings.TrimPrefix(msg, msgStep), " ")
	if len(id) != buildStepID || !strings.HasPrefix(argv, "[") {
		d.out.Skip() // another message that begins alike
		return nil
	}
	at, err := l.Time()
	if err != nil {
		return err
	}
	body := &event.BuildStep{ID: id, Command: splitArgv(strings.TrimSuffix(argv[1:], "]"))}
	d.out.Event(event.Event{Time: at, Body: body}, l.AppendKey(nil), rec.Span)
	return nil
}

// splitArgv undoes, as far as it can be, that the arguments were printed with
// blanks between: what follows a shell's -c is one argument.
func splitArgv(s string) []string {
	if s == "" {
		return nil
	}
	var argv []string
	for rest, more := s, true; more; {
		var word string
		word, rest, more = strings.Cut(rest, " ")
		argv = append(argv, word)
		script := strings.HasPrefix(word, "-") && strings.HasSuffix(word, "c") && !strings.HasPrefix(word, "--")
		if more && script && isShell(argv[0]) {
			return append(argv, rest)
		}
	}
	return argv
}

// isShell reports whether a program is one of the shells that builds use.
func isShell(path string) bool {
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "sh", "ash", "bash", "dash", "ksh", "zsh":
		return true
	}
	return false
}

// sniffDaemonLog counts the lines that have the framing, and is sure of
// dockerd if one of them is its own.
func sniffDaemonLog(head source.Sample) int {
	own, lines := false, logrus.Reader{Programs: programs}
	share := head.Share(func(line []byte) bool {
		l, err := lines.Cut(line)
		if err != nil || l.Foreign {
			return false
		}
		own = own || l.IsOwn() || isEngineMessage(&l)
		return true
	})
	switch {
	case share == 0:
		return 0
	case own:
		return 40 + share/2
	}
	return share / 2 // any program that logs with logrus
}

// isEngineMessage reports whether dockerd or containerd writes such a line.
func isEngineMessage(l *logrus.Line) bool {
	for _, text := range []string{
		msgCalling, msgForm, msgFetching, msgPulled, msgStep,
		"API listen on ", "Loading containers: ", "Docker daemon", "loading plugin ", "starting containerd", "shim disconnected",
	} {
		if l.Has(text) {
			return true
		}
	}
	target, _ := l.Attr("request-url")
	module, _ := l.Attr("module")
	return target != "" || module == "libcontainerd"
}
