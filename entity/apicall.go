package entity

import (
	"iter"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// apiCall is a call of the Docker Engine API: by the daemon's own log, which
// tells what was asked, or by a sensor on the network, which tells who asked.
// Neither names the container or the image that came of it.
type apiCall struct {
	event *event.Event
	verb  apiVerb
	// image is the key of the reference that it names, "" if none is told; for
	// a build its tag.
	image string
	// container is the id that it names, for verb start.
	container string
	// act is what a sensor on the network saw of it, nil for the daemon's log.
	act *act
}

func (c *apiCall) when() int64            { return c.event.Time.At }
func (c *apiCall) compare(o *apiCall) int { return compareEvents(c.event, o.event) }

type apiVerb string

const (
	apiBuild  apiVerb = "build"
	apiStep   apiVerb = "step" // not a call: what the builder's log says that it runs
	apiCreate apiVerb = "create"
	apiStart  apiVerb = "start"
	// apiContact: a connection to where the API is served by convention. What
	// was asked is not told.
	apiContact apiVerb = "contact"
)

// apiVersion is how a path of the Engine API begins, where the client says for
// which version it was written.
var apiVersion = regexp.MustCompile(`^/v1\.\d{1,3}/`)

// apiTLSPort is the conventional port where clients are asked for a certificate.
const apiTLSPort = 2376

// callsTCP reports that a client's command line has it call a daemon over TCP,
// without a certificate.
func callsTCP(args []string) bool {
	tcp := slices.ContainsFunc(args, func(a string) bool {
		_, host, _ := strings.Cut(a, "=")
		return strings.HasPrefix(a, "tcp://") || strings.HasPrefix(host, "tcp://")
	})
	return tcp && !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--tls") })
}

// apiPorts are those on which the Engine API is served by convention.
var apiPorts = []uint16{2375, 2376, 4243}

// readAPICall reads an event as a call of the API, nil if it is none that made
// something.
func readAPICall(e *event.Event) *apiCall {
	switch b := e.Body.(type) {
	case *event.BuildStep:
		return &apiCall{event: e, verb: apiStep}
	case *event.APIRequest:
		if b.Method != "POST" || b.Status >= 400 {
			return nil
		}
		c := apiCallOf(e, b.Path, b.Query)
		if c != nil && c.verb == apiCreate && b.Create != nil {
			c.image = b.Create.Image.Key()
		}
		return c
	case *event.Flow:
		if slices.Contains(apiPorts, b.Dst.Port()) {
			return &apiCall{event: e, verb: apiContact}
		}
	case *event.Process:
		return readTypedCall(e, b)
	case *event.HTTP:
		versioned := apiVersion.MatchString(b.URI)
		if b.Method != "POST" || b.Status >= 400 || !versioned && !slices.Contains(apiPorts, b.Server.Port()) {
			return nil
		}
		u, err := url.ParseRequestURI(b.URI)
		if err != nil {
			return nil
		}
		path := u.Path
		if versioned {
			path = path[strings.IndexByte(path[1:], '/')+1:]
		}
		return apiCallOf(e, path, u.Query())
	}
	return nil
}

// readTypedCall reads a command that calls the API itself, as whoever has the
// runtime's socket in a container does: curl with the socket and a path.
func readTypedCall(e *event.Event, p *event.Process) *apiCall {
	if len(p.Args) < 2 || !slices.Contains(typedClients, event.ProgramName(p.Args[0])) {
		return nil
	}
	socket := slices.ContainsFunc(p.Args, func(a string) bool { return strings.HasSuffix(a, ".sock") })
	for _, a := range p.Args[1:] {
		u, err := url.Parse(a)
		if err != nil || u.Host == "" {
			continue
		}
		path := u.Path
		if v := apiVersion.FindString(path); v != "" {
			path = path[strings.IndexByte(path[1:], '/')+1:]
		}
		if port, err := strconv.ParseUint(u.Port(), 10, 16); socket || err == nil && slices.Contains(apiPorts, uint16(port)) {
			if c := apiCallOf(e, path, u.Query()); c != nil {
				return c
			}
		}
	}
	return nil
}

// typedClients are the programs by which people speak HTTP.
var typedClients = []string{"curl", "wget", "socat", "http", "xh"}

func apiCallOf(e *event.Event, path string, query url.Values) *apiCall {
	switch path {
	case "/build":
		c := &apiCall{event: e, verb: apiBuild}
		if tags := query["t"]; len(tags) > 0 {
			c.image = image.ParseDocker(tags[0]).Key()
		}
		return c
	case "/grpc", "/session": // BuildKit's, inside the connection
		return &apiCall{event: e, verb: apiBuild}
	case "/containers/create":
		return &apiCall{event: e, verb: apiCreate}
	}
	if rest, ok := strings.CutPrefix(path, "/containers/"); ok {
		if id, ok := strings.CutSuffix(rest, "/start"); ok && idPrefix(id) != "" {
			return &apiCall{event: e, verb: apiStart, container: id}
		}
	}
	return nil
}

// droppedCalls is what a bound pushes out, for the account.
const droppedCalls = "calls of the container runtime's API"

// addAPICall files a call of the host's runtime and tells those whom it can be
// about. seen is the act that a sensor on the network tells with it, or nil. ok
// is false if the event is no call.
func (s *site) addAPICall(e *event.Event, seen *act) (ok bool) {
	c := readAPICall(e)
	if c == nil || e.Time.IsZero() {
		return false
	}
	s.calling.add(c)
	if c.act = seen; seen != nil {
		seen.call = c
		s.r.wait(seen)
	}
	s.regardCall(c)
	for s.calling.len() > s.r.limits.Images {
		first, _ := s.calling.first()
		s.dropCall(first)
		s.r.drop(droppedCalls, s.place.String())
	}
	return true
}

// called gives the calls of this host's runtime in a stretch of time, in order:
// not those that a sensor saw go to another address.
func (s *site) called(when interval) iter.Seq[*apiCall] {
	return func(yield func(*apiCall) bool) {
		for c := range s.calling.between(when) {
			to := calledAt(c.event)
			own := !to.IsValid() || to.IsLoopback() || s.hostAddrs[to] || len(s.hostAddrs) == 0 && c.verb != apiContact
			if own && !yield(c) {
				return
			}
		}
	}
}

// calledAt is the address that was called, as a sensor on the network saw it; not
// valid where the daemon itself tells of the call.
func calledAt(e *event.Event) netip.Addr {
	switch b := e.Body.(type) {
	case *event.HTTP:
		return b.Server.Addr().Unmap()
	case *event.Flow:
		return b.Dst.Addr().Unmap()
	}
	return netip.Addr{}
}

// dropCall lets go of a call. What a sensor saw of it goes its own way.
func (s *site) dropCall(c *apiCall) {
	s.calling.remove(c)
	s.regardCall(c)
	if c.act == nil {
		s.r.released = append(s.r.released, c.event.ID)
		return
	}
	c.act.call = nil
	s.r.wait(c.act)
}

// inUse reports that something known may have come of a call.
func (s *site) inUse(c *apiCall) bool {
	return s.inBuild(c.when()) || s.madeBetween(c.when()-callReach, c.when()+callReach)
}

// regardCallsWaiting has it decided anew which of the calls in a stretch of time
// wait to be let go.
func (s *site) regardCallsWaiting(when interval) {
	for c := range s.calling.between(when) {
		if c.act != nil {
			s.r.wait(c.act)
		}
	}
}

// regardCall tells those whom a call can be about.
func (s *site) regardCall(c *apiCall) {
	switch c.verb {
	case apiBuild, apiStep:
		s.regardBuild(c.when())
	case apiContact:
		s.regardBuilt(c.when())
		s.regardMade(c.when())
	case apiStart:
		if known := s.containers[c.container]; known != nil {
			s.markDirty(known)
		}
	case apiCreate:
		s.regardMade(c.when())
	}
}

// regardMade marks the containers that can have been made by a call.
func (s *site) regardMade(at int64) {
	for m := range s.makings.between(interval{at - callReach, at + callReach}) {
		s.markDirty(m.c)
	}
}

// callReach is how far a call of the API and what came of it can be apart: the
// daemon answers when it has made the container, and clocks of sensors differ.
const callReach = 2 * reorder

// calls adds the calls of the API that made a container, and who called.
func (b *subjectBuilder) calls(p *part) {
	if len(p.members) == 0 || p.made.IsZero() {
		return
	}
	c, s := p.members[0], p.members[0].site
	key := p.about.Image.Reference.Key()
	var logged, seen, typed, contact *apiCall // by the daemon's log, on the network, and by a command
	for call := range s.called(interval{p.made.At - callReach, p.made.At + reorder}) {
		if call.verb == apiStart && call.container == c.id {
			b.called(p, call)
			continue
		}
		best := &logged
		switch {
		case call.verb == apiContact:
			best = &contact
		case call.verb != apiCreate || call.image != "" && call.image != key:
			continue
		case calledAt(call.event).IsValid():
			best = &seen
		case call.act != nil:
			best = &typed
		}
		if *best == nil || distance(call, p.made) < distance(*best, p.made) {
			*best = call
		}
	}
	if p.about.AskedBy.Known {
		contact = nil // a client on the host itself asked
	}
	for _, call := range []*apiCall{logged, seen, typed, contact} {
		if call != nil {
			b.called(p, call)
		}
	}
}

func distance(c *apiCall, t event.Time) int64 {
	return int64(math.Abs(float64(c.when() - t.At)))
}

// called adds one call as evidence of a container's creation.
func (b *subjectBuilder) called(p *part, call *apiCall) {
	b.add(evidence.Creation, p.index, call.event)
	p.about.API = p.about.API.Or(callerOf(call.event))
	body, ok := call.event.Body.(*event.APIRequest)
	if !ok || body.Create == nil {
		return
	}
	p.about.Risk = mergeRisk(p.about.Risk, body.Create.Risk)
	if len(p.about.Command) == 0 {
		p.about.Command = body.Create.Command
	}
}

// callerOf is who made a call, as far as its record tells.
func callerOf(e *event.Event) (c evidence.APIClient) {
	switch b := e.Body.(type) {
	case *event.APIRequest:
		return evidence.APIClient{Known: true, Addr: b.Client.Addr(), User: b.User, Agent: b.Agent}
	case *event.HTTP:
		return evidence.APIClient{Known: true, Addr: b.Client.Addr(), Agent: b.Agent, TCP: true}
	case *event.Flow:
		return evidence.APIClient{Known: true, Addr: b.Src.Addr().Unmap(), TCP: b.Dst.Port() != apiTLSPort}
	case *event.Process:
		return evidence.APIClient{Known: true, TCP: callsTCP(b.Args)}
	}
	return c
}
