package cri

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/logrus"
)

// CRIOLog is CRI-O's log (cri-o, server/*.go). It names a container by its id
// and by its description, which is made of three labels: namespace/pod/name.
// The id of the request stands in an attribute of newer releases.
//
// The start of a container tells the process id of its first process on the
// host: what ties records of the kernel to it. Execs are logged only under
// debug, when they are asked for.
func CRIOLog() *source.Format {
	return &source.Format{
		Name:    "crio-log",
		Title:   "CRI-O's log",
		Source:  event.CRI,
		Framing: source.Lines,
		Sniff:   sniffCRIO,
		New: func(out *source.Output) source.Decoder {
			return &decoder{out: out, lines: logrus.Reader{Programs: crioPrograms, JSON: true}, dialect: &crio{out: out, pulls: map[string]pull{}}}
		},
	}
}

var crioPrograms = []string{"crio"}

// Bounds of the pulls that are waited for. A kubelet pulls few images at a time.
// The oldest is given up, and what is longer than a name or an id can be is not
// kept: such a pull is then told by digest alone.
const (
	maxPulls   = 256
	maxAsked   = 4096 // bytes of a name
	maxRequest = 128  // bytes of a request's id
)

// pull is an image that was asked for.
type pull struct {
	image string
	span  event.Span
}

// crio reads CRI-O's messages. The return of a pull names the image by its
// digest alone, so that the request is kept until then for its tag.
type crio struct {
	refs  image.Parser
	out   *source.Output
	pulls map[string]pull // by the request's id
	order []string        // of their coming
}

// flush gives up the pulls that did not return.
func (c *crio) flush() {
	for len(c.order) > 0 {
		c.giveUp()
	}
}

// giveUp counts the oldest pull as one that tells nothing.
func (c *crio) giveUp() {
	delete(c.pulls, c.order[0])
	c.order = slices.Delete(c.order, 0, 1)
	c.out.Skip()
}

// crioReaders read the messages of interest, by their beginning. The first
// letters of some were once in lower case.
var crioReaders = []struct {
	beginning string
	read      func(c *crio, l *logrus.Line, rest string) (statement, error)
}{
	{"Pulled image: ", (*crio).pulled},
	{"Ran pod sandbox ", (*crio).sandboxRan},
	{"Stopped pod sandbox: ", crioSandbox(event.ContainerExit)},
	{"stopped pod sandbox: ", crioSandbox(event.ContainerExit)},
	{"Removed pod sandbox: ", crioSandbox(event.ContainerRemove)},
	{"removed pod sandbox: ", crioSandbox(event.ContainerRemove)},
	{"Created container ", crioContainer(event.ContainerCreate)},
	{"Started container ", crioContainer(event.ContainerStart)},
	{"Stopped container ", crioContainer(event.ContainerExit)},
	{"Removed container ", crioContainer(event.ContainerRemove)},
	// Under debug each request is printed (internal/log/interceptors).
	{"Request: &ExecSyncRequest{ContainerId:", crioExec("],Timeout:")},
	{"Request: &ExecRequest{ContainerId:", crioExec("],Tty:")},
	{"Request: container_id:", crioExecText},
}

const (
	msgPulling = "Pulling image: "
	msgStarted = "Started container"
)

func (c *crio) read(l *logrus.Line, rec source.Record) (statement, error) {
	if l.Has(msgPulling) {
		return c.pulling(l, rec)
	}
	if l.Has(msgStarted) && !l.Has(msgStarted+" ") && !l.Has(msgStarted+":") {
		return started(l)
	}
	for i := range crioReaders {
		r := &crioReaders[i]
		if !l.Has(r.beginning) {
			continue
		}
		msg, err := l.Message()
		if err != nil {
			return statement{}, err
		}
		said, err := r.read(c, l, msg[len(r.beginning):])
		if err != nil && err != errHeld {
			err = fmt.Errorf("%s: %w", strings.TrimRight(r.beginning, ": "), err)
		}
		return said, err
	}
	return statement{}, nil
}

// pulling keeps what was asked for.
func (c *crio) pulling(l *logrus.Line, rec source.Record) (statement, error) {
	id, err := l.Attr("id")
	if err != nil {
		return statement{}, err
	}
	msg, err := l.Message()
	if err != nil {
		return statement{}, err
	}
	// Of two with one id, the first counts.
	if _, waits := c.pulls[id]; waits || id == "" || len(id) > maxRequest || len(msg) > maxAsked {
		return statement{}, nil
	}
	if len(c.order) >= maxPulls {
		c.giveUp()
	}
	c.pulls[id] = pull{msg[len(msgPulling):], rec.Span}
	c.order = append(c.order, id)
	return statement{}, errHeld
}

// pulled reads the return of a pull: repository and manifest digest, or an id.
func (c *crio) pulled(l *logrus.Line, rest string) (statement, error) {
	got := c.refs.Parse(rest)
	if got.Digest().IsZero() {
		return statement{}, fmt.Errorf("%q has no digest", clip(rest))
	}
	body := &event.Image{Action: event.ImagePull, Reference: got}
	if got.Form() == image.ID {
		body.Reference, body.Digest = image.Reference{}, got.Digest()
	}
	id, err := l.Attr("id")
	if err != nil {
		return statement{}, err
	}
	said := statement{body: body}
	if p, waits := c.pulls[id]; waits {
		delete(c.pulls, id)
		c.order = slices.DeleteFunc(c.order, func(o string) bool { return o == id })
		said.more = []event.Span{p.span}
		// A short name may have been looked up in another registry than ours
		// would be: then only what was found counts.
		asked := c.refs.Parse(p.image)
		if asked.Form() == image.Named && (got.Form() == image.ID || asked.Repository() == got.Repository()) {
			body.Reference, body.Digest = asked, got.Digest()
		}
	}
	return said, nil
}

// sandboxRan reads "ID with infra container: NAMESPACE/POD/POD".
func (c *crio) sandboxRan(_ *logrus.Line, rest string) (statement, error) {
	id, description, found := strings.Cut(rest, " with infra container: ")
	if !found || !isID(id) {
		return statement{}, errNoID
	}
	namespace, pod, _, err := parts(description)
	if err != nil {
		return statement{}, err
	}
	object := event.ObjectRef{Kind: "Pod", Namespace: namespace, Name: pod}
	return statement{body: &event.Sandbox{Action: event.ContainerCreate, ID: id, Object: object}}, nil
}

// crioSandbox reads the id of a sandbox. Old releases print its description
// instead, which is not what others know it by.
func crioSandbox(action event.ContainerAction) func(*crio, *logrus.Line, string) (statement, error) {
	return func(_ *crio, _ *logrus.Line, rest string) (statement, error) {
		if !isID(rest) {
			return statement{}, nil
		}
		return statement{body: &event.Sandbox{Action: action, ID: rest}}, nil
	}
}

// Labels that a container's description is made of (kubernetes,
// pkg/kubelet/types/labels.go).
const (
	labelNamespace = "io.kubernetes.pod.namespace"
	labelPod       = "io.kubernetes.pod.name"
	labelContainer = "io.kubernetes.container.name"
)

// crioContainer reads "ID: NAMESPACE/POD/NAME". Other messages begin alike.
func crioContainer(action event.ContainerAction) func(*crio, *logrus.Line, string) (statement, error) {
	return func(_ *crio, _ *logrus.Line, rest string) (statement, error) {
		id, description, found := strings.Cut(rest, ": ")
		if !found || !isID(id) {
			return statement{}, nil
		}
		namespace, pod, name, err := parts(description)
		if err != nil {
			return statement{}, err
		}
		labels := map[string]string{labelNamespace: namespace, labelPod: pod, labelContainer: name}
		return statement{body: &event.Container{Action: action, ID: id, Name: name, Labels: labels}}, nil
	}
}

// started reads the attributes of a start.
func started(l *logrus.Line) (statement, error) {
	id, err := l.Attr("containerID")
	if err != nil {
		return statement{}, err
	}
	text, err := l.Attr("PID")
	if err != nil {
		return statement{}, err
	}
	if id == "" {
		return statement{}, fmt.Errorf("%s: %w", msgStarted, errNoID)
	}
	pid, err := strconv.ParseUint(text, 10, 31)
	if err != nil || pid == 0 {
		return statement{}, fmt.Errorf("%s: %w: %q", msgStarted, errBadPID, clip(text))
	}
	return statement{body: &event.Task{Action: event.TaskStart, Container: id, PID: int(pid)}}, nil
}

// crioExec reads "ID,Cmd:[ARGV]…" of a request for an exec. end is what follows
// the arguments; they are not quoted, and may hold it too.
func crioExec(end string) func(*crio, *logrus.Line, string) (statement, error) {
	return func(_ *crio, _ *logrus.Line, rest string) (statement, error) {
		id, rest, found := strings.Cut(rest, ",Cmd:[")
		i := strings.LastIndex(rest, end)
		switch {
		case id == "":
			return statement{}, errNoID
		case !found || i < 0:
			return statement{}, errNoCommand
		}
		return statement{body: &event.ExecStarted{Container: id, Command: rest[:i]}}, nil
	}
}

// crioExecText reads a request that is printed as text. Which it is, is told by
// the method.
func crioExecText(_ *crio, l *logrus.Line, rest string) (statement, error) {
	method, err := l.Attr("name")
	if err != nil || !strings.HasSuffix(method, "/ExecSync") && !strings.HasSuffix(method, "/Exec") {
		return statement{}, err
	}
	m, _, err := parseText("container_id:" + rest)
	if err != nil {
		return statement{}, err
	}
	body := &event.ExecStarted{}
	if body.Container, err = m.text("", "container_id"); err != nil {
		return statement{}, err
	}
	var argv []string
	for _, f := range m {
		if f.name != "cmd" {
			continue
		}
		word, _, err := quoted(f.value)
		if err != nil {
			return statement{}, err
		}
		argv = append(argv, word)
	}
	switch {
	case body.Container == "":
		return statement{}, errNoID
	case len(argv) == 0:
		return statement{}, errNoCommand
	}
	body.Command = strings.Join(argv, " ")
	return statement{body: body}, nil
}

// parts splits a description. No part of it can hold a '/'.
func parts(description string) (namespace, pod, name string, err error) {
	p := strings.Split(description, "/")
	if len(p) != 3 {
		return "", "", "", fmt.Errorf("%q is no namespace/pod/container", clip(description))
	}
	return p[0], p[1], p[2], nil
}

// isID reports whether s is an id as CRI-O makes them: 64 hex digits.
func isID(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// sniffCRIO is sure of lines under CRI-O's name, and of its messages.
func sniffCRIO(head source.Sample) int {
	lines := logrus.Reader{Programs: crioPrograms, JSON: true}
	percent, own := share(head, &lines, func(l *logrus.Line) bool {
		if l.IsOwn() || hasOne(l, crioMessages) || l.Has(msgStarted) {
			return true
		}
		method, err := l.Attr("name")
		return err == nil && strings.HasPrefix(method, "/runtime.v1")
	})
	if !own {
		return 0
	}
	return 45 + percent/2
}

var crioMessages = []string{
	"Starting CRI-O", "Pulling image: ", "Pulled image: ", "Running pod sandbox: ", "Ran pod sandbox ", "Stopping pod sandbox: ", "Stopped pod sandbox",
	"Removing pod sandbox: ", "Removed pod sandbox", "Creating container: ", "Created container ", "Starting container: ", "Stopping container: ",
	"Stopped container ", "Removing container: ", "Removed container ", "Checking image status: ", "Image status: ", "Got pod network &",
}
