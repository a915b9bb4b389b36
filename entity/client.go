package entity

import (
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// clientCall is what a command line of a runtime's client asks for: "docker
// run …", "ctr images import …". No record of the runtime names whoever asked.
type clientCall struct {
	verb string
	// images are the keys of the references among its arguments. Which argument
	// is the image, and which an option's value, the image's record tells.
	images []string
}

// clientPrograms are the clients of container runtimes and builders.
var clientPrograms = []string{"docker", "podman", "nerdctl", "ctr", "crictl", "buildah", "buildctl", "img"}

// What clients ask for that matters here.
var (
	makingVerbs   = []string{"run", "create"}
	bringingVerbs = []string{"pull", "load", "import", "build", "commit"}
)

// clientValues are the options before the verb that take a value.
var clientValues = []string{"-n", "--namespace", "-H", "--host", "-c", "--context", "--config", "-l", "--log-level", "-a", "--address", "--data-root", "--connect-timeout", "--timeout", "-r", "--runtime-endpoint"}

// clientGroups are the words by which clients group their verbs.
var clientGroups = []string{"image", "images", "i", "container", "containers", "c", "buildx", "builder"}

// maxClientImages bounds the references of one command line.
const maxClientImages = 32

// readClientCall reads the command line of a runtime's client; nil for any
// other program, and for what makes and brings nothing.
func readClientCall(p *event.Process) *clientCall {
	if len(p.Args) < 2 || !slices.Contains(clientPrograms, event.ProgramName(p.Args[0])) {
		return nil
	}
	args := p.Args[1:]
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case strings.HasPrefix(a, "-"):
			if slices.Contains(clientValues, a) {
				i++
			}
		case slices.Contains(clientGroups, a):
		case a == "bud": // buildah's older word
			return &clientCall{"build", referenceKeys(args[i+1:])}
		case slices.Contains(makingVerbs, a) || slices.Contains(bringingVerbs, a):
			return &clientCall{a, referenceKeys(args[i+1:])}
		default:
			return nil
		}
	}
	return nil
}

func referenceKeys(args []string) []string {
	var out []string
	for _, a := range args {
		if strings.HasPrefix(a, "-") || len(out) == maxClientImages {
			continue
		}
		if key := image.ParseDocker(a).Key(); key != "" {
			out = append(out, key)
		}
	}
	return out
}

// clientLead is how long before its effect a client can have been called: it
// waits for the pull. clientLag is how long after, by the clocks.
const (
	clientLead = 600 * event.Second
	clientLag  = reorder
)

// addClient files a client's call.
func (s *site) addClient(a *act) {
	if a.untimed() {
		return
	}
	if a.client = readClientCall(a.process()); a.client != nil {
		s.clients.add(a)
		s.r.wait(a)
		s.regardClient(a)
	}
}

// regardClient tells those of whom a client's call can be the reason.
func (s *site) regardClient(a *act) {
	for _, key := range a.client.images {
		s.images.tell(key)
	}
	if a.client.verb == "build" {
		s.regardBuild(a.when())
	}
	if a.client.verb != "load" && a.client.verb != "import" {
		return
	}
	for came := range s.images.acts.between(interval{a.when() - clientLag, a.when() + clientLead}) {
		s.images.tell(came.name)
		for _, d := range came.digests() {
			s.images.tell(d.String())
		}
	}
}

// calls lists a host's clients that asked for something up to an instant, on
// the host itself, the latest first.
func (s *site) calls(at event.Time, verbs []string, fits func(*clientCall) bool) []*act {
	var out []*act
	if at.IsZero() {
		return nil
	}
	for a := range s.clients.back(at.End() + clientLag) {
		if a.when() < at.At-clientLead {
			break
		}
		if a.place.owner == nil && !a.place.inside && slices.Contains(verbs, a.client.verb) && fits(a.client) {
			out = append(out, a)
		}
	}
	return out
}

// clientInUse reports that something known may have come of a client's call.
func (s *site) clientInUse(a *act) bool {
	if s.inBuild(a.when()) || s.madeBetween(a.when()-clientLag, a.when()+clientLead) {
		return true
	}
	for range s.images.acts.between(interval{a.when() - clientLag, a.when() + clientLead}) {
		return true
	}
	return false
}

// regardClientsWaiting has it decided anew which clients' calls wait to be let
// go of which something can have come in a stretch of time.
func (s *site) regardClientsWaiting(when interval) {
	for a := range s.clients.between(interval{when.from - clientLead, when.to + clientLag}) {
		s.r.wait(a)
	}
}

// asked adds who had a runtime's client make the container.
func (b *subjectBuilder) asked(p *part) {
	key := p.about.Image.Reference.Key()
	if key == "" || len(p.members) == 0 {
		return
	}
	calls := p.members[0].site.calls(p.made, makingVerbs, func(c *clientCall) bool { return slices.Contains(c.images, key) })
	if len(calls) == 0 {
		return
	}
	a := calls[0]
	b.add(evidence.Creation, p.index, a.event)
	by := a.process()
	p.about.AskedBy = evidence.HostUser{Known: true, UID: by.UID, AUID: by.AUID, TTY: by.TTY != ""}
}

// broughtBy lists the clients that had images brought to the host: those whose
// call is the reason for an arrival.
func (st *imageStore) broughtBy(arrival *event.Event) []*act {
	b, ok := arrival.Body.(*event.Image)
	if !ok {
		return nil
	}
	key := b.Reference.Key()
	return st.site.calls(arrival.Time, bringingVerbs, func(c *clientCall) bool {
		switch c.verb {
		case "load", "import":
			return b.Action == event.ImageLoad || b.Action == event.ImageImport || b.Action == event.ImageCreate && !b.CRI || b.Action == event.ImageUpdate && !b.CRI
		}
		return key != "" && slices.Contains(c.images, key)
	})
}
