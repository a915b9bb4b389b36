package cri

import (
	"fmt"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source"
	"tidewaiter/source/logrus"
)

// ContainerdLog is containerd's daemon log as its CRI plugin writes it
// (containerd, internal/cri/instrument and internal/cri/server; before 2.0
// pkg/cri/server). Each call is logged when it comes and when it returns: the
// return says that it was done, so that is what is read. Execs are logged only
// under debug, and their command only when they are asked for.
//
// The log of a containerd that Docker drives is recognised too. It says nothing
// of interest.
func ContainerdLog() *source.Format {
	return &source.Format{
		Name:    "containerd-log",
		Title:   "containerd's log on a Kubernetes node",
		Source:  event.CRI,
		Framing: source.Lines,
		Sniff:   sniffContainerd,
		New: func(out *source.Output) source.Decoder {
			return &decoder{out: out, lines: logrus.Reader{Programs: containerdPrograms, JSON: true}, dialect: &containerd{}}
		},
	}
}

var containerdPrograms = []string{"containerd", "microk8s.daemon-containerd"}

// criNamespace is the one that the CRI plugin works in, whose events it logs.
const criNamespace = "k8s.io"

// containerd reads containerd's messages. It keeps nothing between lines but
// what references mean.
type containerd struct{ refs image.Parser }

func (*containerd) flush() {}

// containerdReaders read the messages of interest, by their beginning.
var containerdReaders = []struct {
	beginning string
	read      func(c *containerd, rest string) (statement, error)
}{
	{"PullImage ", readPull},
	{"Pulled image ", readPulled},
	{"ImageCreate event ", readImage(event.ImageCreate)},
	{"ImageUpdate event ", readImage(event.ImageUpdate)},
	{"ImageDelete event ", readImage(event.ImageDelete)},
	{"RunPodSandbox for ", readSandboxCreate},
	{"StopPodSandbox for ", readSandbox(event.ContainerExit)},
	{"RemovePodSandbox for ", readSandbox(event.ContainerRemove)},
	{"RemovePodSandbox ", readSandbox(event.ContainerRemove)},
	{"CreateContainer within sandbox ", readCreate},
	{"StartContainer for ", readContainer(event.ContainerStart)},
	{"StopContainer for ", readContainer(event.ContainerExit)},
	{"RemoveContainer for ", readContainer(event.ContainerRemove)},
	{"ExecSync for ", readExec("] and timeout ")},
	{"Exec for ", readExec("], tty ")},
	// What is tried again after a failure, and told again.
	{"TaskExit event in podsandbox handler ", readExit},
	{"TaskExit event ", readExit},
	{"SandboxExit event ", readSandboxExit},
	{"received container exit event ", readExit},
	{"received sandbox exit event ", readSandboxExit},
	{"received exit event ", readExit},
	{"failed to handle container TaskExit event ", readExit},
}

func (c *containerd) read(l *logrus.Line, _ source.Record) (statement, error) {
	for i := range containerdReaders {
		r := &containerdReaders[i]
		if !l.Has(r.beginning) {
			continue
		}
		msg, err := l.Message()
		if err != nil {
			return statement{}, err
		}
		said, err := r.read(c, msg[len(r.beginning):])
		if err != nil {
			return statement{}, fmt.Errorf("%s: %w", strings.TrimSpace(r.beginning), err)
		}
		return said, nil
	}
	return statement{}, nil
}

const (
	returnsReference = " returns image reference "
	returnsSandbox   = "returns sandbox id "
	returnsContainer = "returns container id "
	returnsDone      = " returns successfully"
)

// readPull reads the return of a pull: the name as it was asked for, and the
// image's id, which is the config's digest.
func readPull(c *containerd, rest string) (statement, error) {
	if !strings.HasPrefix(rest, `"`) {
		return statement{}, nil // "PullImage using normalized image ref"
	}
	asked, rest, err := quoted(rest)
	if err != nil {
		return statement{}, err
	}
	rest, returned := strings.CutPrefix(rest, returnsReference)
	if !returned {
		return statement{}, nil // asked for, or failed: nothing came
	}
	got, _, err := quoted(rest)
	if err != nil {
		return statement{}, err
	}
	digest := c.refs.Parse(got).Digest()
	if digest.IsZero() {
		return statement{}, fmt.Errorf("image reference %q has no digest", clip(got))
	}
	body := &event.Image{Action: event.ImagePull, Reference: c.refs.Parse(asked), Digest: digest, Namespace: criNamespace}
	return statement{body: body}, nil
}

// readPulled reads which identities the image of a pull has. The pull itself is
// told by its return, which older releases write too.
func readPulled(c *containerd, rest string) (statement, error) {
	_, rest, err := quoted(rest)
	if err != nil {
		return statement{}, err
	}
	id, rest, err := afterLabel(rest, " with image id ")
	if err != nil {
		return statement{}, err
	}
	_, rest, err = afterLabel(rest, ", repo tag ")
	if err != nil {
		return statement{}, err
	}
	name, _, err := afterLabel(rest, ", repo digest ")
	if err != nil || name == "" {
		return statement{}, err
	}
	body := &event.ImageDescription{RepoDigests: []image.Reference{c.refs.Parse(name)}}
	if body.ID, err = image.ParseID(id); err != nil {
		return statement{}, err
	}
	if body.RepoDigests[0].Digest().IsZero() {
		return statement{}, fmt.Errorf("repo digest %q has no digest", clip(name))
	}
	return statement{body: body, timeless: true}, nil
}

// afterLabel reads the quoted text behind a label.
func afterLabel(s, label string) (text, rest string, err error) {
	rest, found := strings.CutPrefix(s, label)
	if !found {
		return "", "", fmt.Errorf("no%s", strings.TrimRight(label, " "))
	}
	return quoted(rest)
}

// criLabel marks the names that the CRI plugin manages (containerd,
// internal/cri/labels).
const criLabel = "io.cri-containerd.image"

// readImage reads an event of the image store, which names an image by a
// reference or by its id.
func readImage(action event.ImageAction) func(*containerd, string) (statement, error) {
	return func(c *containerd, rest string) (statement, error) {
		m, _, err := parseMessage(rest)
		if err != nil {
			return statement{}, err
		}
		name, err := m.text("Name", "name")
		if err != nil {
			return statement{}, err
		}
		if name == "" {
			return statement{}, fmt.Errorf("no image name")
		}
		body := &event.Image{Action: action, Namespace: criNamespace}
		if body.CRI, err = isManaged(m); err != nil {
			return statement{}, err
		}
		if ref := c.refs.Parse(name); ref.Form() == image.ID {
			body.Digest = ref.Digest()
		} else {
			body.Reference = ref
		}
		return statement{body: body}, nil
	}
}

// isManaged reports whether the labels of a name say that it is the plugin's:
// one of labels:{key:"…" value:"managed"}, or in
// Labels:map[string]string{…: managed,}.
func isManaged(m message) (bool, error) {
	for _, f := range m {
		switch f.name {
		case "Labels":
			list := strings.TrimSuffix(strings.TrimPrefix(f.value, "map[string]string{"), "}")
			for label := range strings.SplitSeq(list, ",") {
				if label == criLabel+": managed" {
					return true, nil
				}
			}
		case "labels":
			label, _, err := parseText(strings.TrimSuffix(strings.TrimPrefix(f.value, "{"), "}"))
			if err != nil {
				return false, err
			}
			key, err := label.text("", "key")
			if err != nil {
				return false, err
			}
			value, err := label.text("", "value")
			if err != nil {
				return false, err
			}
			if key == criLabel && value == "managed" {
				return true, nil
			}
		}
	}
	return false, nil
}

// sniffContainerd is sure of a log in which the kubelet drives containerd. A
// log with other lines of containerd's may be dockerd's, which has them too if
// it runs containerd itself: then dockerd's own lines tell.
func sniffContainerd(head source.Sample) int {
	lines := logrus.Reader{Programs: containerdPrograms, JSON: true}
	plugin, engine := false, false
	percent, own := share(head, &lines, func(l *logrus.Line) bool {
		plugin = plugin || hasOne(l, pluginMessages)
		engine = engine || hasOne(l, engineMessages)
		return plugin || l.IsOwn() || hasOne(l, daemonMessages)
	})
	for _, line := range head.Lines {
		l, err := lines.Cut(line)
		engine = engine || err == nil && l.Foreign && l.Program() == "dockerd"
	}
	switch {
	case percent == 0 || !own:
		return 0
	case plugin:
		return 45 + percent/2
	case engine:
		return 0
	}
	return 41 + percent/2
}

// What only the CRI plugin writes, any containerd, and only dockerd.
var (
	pluginMessages = []string{
		"PullImage ", "RunPodSandbox for ", "StopPodSandbox for ", "RemovePodSandbox ", "CreateContainer within sandbox ", "StartContainer for ",
		"StopContainer for ", "RemoveContainer for ", "ExecSync for ", "Exec for ", "TaskExit event ", "received container exit event ",
		"received sandbox exit event ", "received exit event ", "ImageCreate event ", "ImageUpdate event ", "ImageDelete event ",
		"Start cri plugin with config", "starting cri plugin", "Start subscribing containerd event", "Start recovering state", "Start event monitor",
	}
	daemonMessages = []string{
		"loading plugin ", "skip loading plugin ", "starting containerd", "containerd successfully booted", "shim disconnected", "starting signal loop",
		"cleaning up dead shim", "cleaning up after shim disconnected", "(*service).Write ",
	}
	engineMessages = []string{
		"Calling ", "handling ", "form data: ", "Fetching manifest from remote", "image pulled", "API listen on ", "Loading containers: ", "Docker daemon",
		"Starting up", "containerd not running, starting managed containerd", "libcontainerd: ", "started new containerd process",
		"Starting daemon with containerd snapshotter",
	}
)
