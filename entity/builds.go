package entity

import (
	"cmp"
	"slices"

	"tidewaiter/command"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// How an image was built on a host is told by many records, none of which has
// all: somebody asks (a call of the API, a client's command line), the classic
// builder runs containers of nameless images, BuildKit prints its commands, the
// host fetches what the build wants, and in the end there is an image that
// nobody pulled. They are joined by the image's name where one is told, and by
// time; all of it is told of each container of the image.

// Bounds of a build, in nanoseconds: how long before its image it can have been
// asked for, and how long after it what it started can go on fetching.
const (
	buildTime = 3600 * event.Second
	fetchLag  = 600 * event.Second
)

// Bounds on what is told of one build.
const (
	maxBuildFacts = 256
	maxFetches    = 256
	maxBases      = 8
)

// build is the stretch of time in which what happens concerns the build of a
// container's image.
type build struct {
	c    *container
	from int64
	to   int64
}

func (b build) when() int64 { return b.from }

func (b build) compare(o build) int {
	return cmp.Or(cmp.Compare(b.from, o.from), cmp.Compare(b.to, o.to), cmp.Compare(b.c.id, o.c.id))
}

// making is an instant at which something tells that a container was made.
type making struct {
	c  *container
	at int64
}

func (m making) when() int64 { return m.at }

func (m making) compare(o making) int {
	return cmp.Or(cmp.Compare(m.at, o.at), cmp.Compare(m.c.id, o.c.id))
}

// makings are the instants at which an event tells that its container was made.
func makings(e *event.Event) (out []int64) {
	add := func(t event.Time) {
		if !t.IsZero() && !slices.Contains(out, t.At) {
			out = append(out, t.At)
		}
	}
	switch b := e.Body.(type) {
	case *event.Container:
		if b.Action == event.ContainerCreate || b.Action == event.ContainerStart {
			add(e.Time)
		}
	case *event.Task:
		if b.Action == event.TaskStart && b.ExecID == "" {
			add(e.Time)
		}
	case *event.ContainerDescription:
		add(b.CreatedAt)
		add(b.StartedAt)
	}
	return out
}

// fileMaking enters when an event says that its container was made, or takes
// it out.
func (s *site) fileMaking(c *container, e *event.Event, by int) {
	for _, at := range makings(e) {
		s.fileMade(making{c, at}, by)
	}
	if isBuilder(e) {
		countKey(s.builders, c, by)
		s.regardBuild(e.Time.At)
	}
}

// fileMade enters when a container was made, or takes it out.
func (s *site) fileMade(m making, by int) {
	if by > 0 {
		s.makings.add(m)
	} else {
		s.makings.remove(m)
	}
	s.regardCallsWaiting(interval{m.at - callReach - reorder, m.at + callReach + reorder})
	s.regardClientsWaiting(interval{m.at, m.at})
}

// isBuilder reports the creation of a container from an image that only its id
// names, as the classic builder creates one for each step.
func isBuilder(e *event.Event) bool {
	b, ok := e.Body.(*event.Container)
	return ok && b.Action == event.ContainerCreate && b.Image.Form() == image.ID && !e.Time.IsZero()
}

// regardBuild tells those whose images may have been built with what happened
// at an instant.
func (s *site) regardBuild(at int64) {
	for a := range s.images.acts.between(interval{at - reorder, at + buildTime}) {
		s.images.tell(a.name)
		for _, d := range a.digests() {
			s.images.tell(d.String())
		}
	}
	s.regardBuilt(at)
}

// regardBuilt marks the containers of whose build something is told that
// happened at an instant.
func (s *site) regardBuilt(at int64) {
	for b := range s.builds.between(buildsAround(at)) {
		if at <= b.to {
			s.markAlone(b.c)
		}
	}
}

// ofHost reports that an act is the host's own: from its address, or from
// behind it, as BuildKit's steps are, and no container's. Where nobody says which
// addresses are the host's, it is any private one that no container is known to
// have had then.
func (s *site) ofHost(a *act) bool {
	if !a.src.IsValid() || a.untimed() || a.place.owner != nil {
		return false
	}
	if len(s.hostAddrs) > 0 {
		return s.hostAddrs[a.src] || a.src.IsPrivate() && s.hostAddrs[a.via()]
	}
	return s.place.Host != "" && a.src.IsPrivate()
}

// buildStory is how an image was built, as far as records tell.
type buildStory struct {
	when  interval
	end   int64          // when the image was there
	asked []*event.Event // in order
	ran   []*container   // the builder's containers, by id
	kit   bool           // BuildKit: no event tells of a step's container
}

// buildOf works out the build that an image came of, from what brought it here;
// ok is false if it was not built here. key is the image's name.
func (s *site) buildOf(key string, arrivals []*event.Event) (st buildStory, ok bool) {
	var result *event.Event
	names := map[string]bool{key: key != ""}
	said := false // an event says itself that it was built
	for _, e := range arrivals {
		b, is := e.Body.(*event.Image)
		if !is {
			continue
		}
		switch b.Action {
		case event.ImagePull, event.ImageLoad, event.ImageImport, event.ImageCommit:
			return st, false
		case event.ImageBuild:
			said = true
		case event.ImageCreate, event.ImageTag:
			if b.CRI || e.Origin.Source != event.Docker {
				continue
			}
		default:
			continue
		}
		names[b.Reference.Key()] = b.Reference.Key() != ""
		result = e
	}
	if result == nil {
		return st, false
	}
	ask := s.asked(result.Time.At, names)
	st.when.from = result.Time.At - fetchLag
	if ask != nil {
		st.when.from = ask.Time.At - reorder
	}
	st.ran = s.buildersWithin(interval{st.when.from, result.Time.At})
	st.kit = !slices.ContainsFunc(st.ran, func(c *container) bool { return !isStepID(c.id) })
	if ask == nil && !said && len(st.ran) == 0 {
		return st, false
	}
	st.end, st.when.to = result.Time.At, result.Time.At+fetchLag
	st.asked = s.asksWithin(interval{st.when.from, result.Time.At + reorder}, names)
	return st, true
}

// asked finds the last request to build one of several names up to an instant,
// else the last that tells no name.
func (s *site) asked(upTo int64, names map[string]bool) *event.Event {
	var unnamed, named *event.Event
	for c := range s.called(interval{upTo - buildTime, upTo + reorder}) {
		switch {
		case c.verb != apiBuild:
		case c.image == "":
			unnamed = c.event
		case names[c.image]:
			named = c.event
		}
	}
	for a := range s.clients.between(interval{upTo - buildTime, upTo + reorder}) {
		switch {
		case a.client.verb != "build":
		case slices.ContainsFunc(a.client.images, func(k string) bool { return names[k] }):
			if named == nil || compareEvents(named, a.event) < 0 {
				named = a.event
			}
		case len(a.client.images) == 0:
			if unnamed == nil || compareEvents(unnamed, a.event) < 0 {
				unnamed = a.event
			}
		}
	}
	return cmp.Or(named, unnamed)
}

// asksWithin lists the requests for a build of one of several names, or of one
// that is not told, and the steps that its builder tells of.
func (s *site) asksWithin(when interval, names map[string]bool) (out []*event.Event) {
	for c := range s.called(when) {
		if c.verb == apiStep || c.verb == apiBuild && (c.image == "" || names[c.image]) {
			out = append(out, c.event)
		}
	}
	for a := range s.clients.between(when) {
		if a.client.verb == "build" && (len(a.client.images) == 0 || slices.ContainsFunc(a.client.images, func(k string) bool { return names[k] })) {
			out = append(out, a.event)
		}
	}
	slices.SortFunc(out, compareEvents)
	return out[:min(len(out), maxBuildFacts)]
}

// buildersWithin lists the containers of steps that came and ended in a stretch
// of time.
func (s *site) buildersWithin(when interval) (out []*container) {
	for m := range s.makings.between(when) {
		c := m.c
		if s.builders[c] > 0 && c.endedBy(when.to+reorder) && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *container) int { return cmp.Compare(a.id, b.id) })
	return out
}

// built tells of a container how its image was built.
func (b *subjectBuilder) built(p *part, id identity) {
	if len(p.members) == 0 {
		return
	}
	c, s := p.members[0], p.members[0].site
	st, ok := s.buildOf(p.about.Image.Reference.Key(), id.arrivals)
	s.watchBuild(c, st.when, ok)
	p.about.Builder = s.builders[c] > 0 && s.isStep(c)
	if !ok {
		return
	}
	p.about.Image.Origin = evidence.OriginBuild
	for _, e := range st.asked {
		if !slices.Contains(id.arrivals, e) {
			b.buildFact(p, e)
		}
		p.about.BuiltBy = p.about.BuiltBy.Or(callerOf(e))
	}
	b.buildContacts(p, s, st)
	b.bases(p, s, st)
	var fetched []*act
	for _, ran := range st.ran {
		for l := range ran.life.all() {
			if body, ok := l.event.Body.(*event.Container); ok && body.Action != event.ContainerHealthy {
				b.buildFact(p, l.event)
			}
		}
		for a := range ran.acts.all() {
			switch a.event.Body.(type) {
			case *event.Process:
				b.facts = append(b.facts, evidence.Fact{Kind: evidence.Build, Container: p.index, Event: a.event, Command: &evidence.CommandFact{Line: a.parsed(), UID: -1}})
			case *event.Flow, *event.Socket:
				fetched = append(fetched, a)
			}
		}
	}
	for _, a := range s.hostActs(st.when) {
		if len(s.hostAddrs) == 0 || s.hostAddrs[a.src] || st.kit && a.when() <= st.end {
			fetched = append(fetched, a)
		}
	}
	slices.SortFunc(fetched, (*act).compare)
	for _, a := range fetched[:min(len(fetched), maxFetches)] {
		b.fetch(a, p.index)
	}
}

// buildContacts adds the connections to the runtime's API through which the
// build may have been asked for: those from who asked, or, where nothing tells
// who did, the last one.
func (b *subjectBuilder) buildContacts(p *part, s *site, st buildStory) {
	var last *apiCall
	for c := range s.called(interval{st.when.from, st.end}) {
		if c.verb != apiContact {
			continue
		}
		if by := callerOf(c.event); by.Addr == p.about.BuiltBy.Addr {
			b.buildFact(p, c.event)
			return
		}
		last = c
	}
	asked := slices.ContainsFunc(st.asked, func(e *event.Event) bool { _, client := e.Body.(*event.Process); return client })
	if last != nil && !asked && !p.about.BuiltBy.Addr.IsValid() {
		b.buildFact(p, last.event)
		p.about.BuiltBy = p.about.BuiltBy.Or(callerOf(last.event))
	}
}

// bases adds the images that were pulled while the image was built.
func (b *subjectBuilder) bases(p *part, s *site, st buildStory) {
	n := 0
	for a := range s.images.acts.between(interval{st.when.from, st.end}) {
		if body := a.body(); body != nil && body.Action == event.ImagePull && n < maxBases {
			b.buildFact(p, a.event)
			n++
		}
	}
}

// hostActs are the connections that a host began itself in a stretch of time, or
// that went on as its own.
func (s *site) hostActs(when interval) (out []*act) {
	add := func(acts *timeline[*act]) {
		for a := range acts.between(when) {
			if _, flow := a.event.Body.(*event.Flow); flow && s.ofHost(a) {
				out = append(out, a)
			}
		}
	}
	if len(s.hostAddrs) == 0 {
		for addr, known := range s.addrs {
			if addr.IsPrivate() {
				add(&known.acts)
			}
		}
	}
	for addr := range s.hostAddrs {
		if known := s.addrs[addr]; known != nil {
			add(&known.acts)
			add(&known.via)
		}
	}
	return out
}

// buildFact adds a request for a build, or a step of one.
func (b *subjectBuilder) buildFact(p *part, e *event.Event) {
	f := evidence.Fact{Kind: evidence.Build, Container: p.index, Event: e}
	switch body := e.Body.(type) {
	case *event.BuildStep:
		f.Command = &evidence.CommandFact{Line: command.Parse(body.Command, "", ""), UID: -1}
	case *event.Process:
		f.Command = &evidence.CommandFact{Line: command.Parse(body.Args, body.Exe, body.Script), UID: body.UID}
	}
	b.facts = append(b.facts, f)
}

// fetch adds a connection of a build.
func (b *subjectBuilder) fetch(a *act, index int) {
	at := len(b.facts)
	switch body := a.event.Body.(type) {
	case *event.Flow:
		b.connection(a, index, body.Dst, body.DstNames)
	case *event.Socket:
		b.connection(a, index, body.Addr, nil)
	}
	if len(b.facts) > at {
		b.facts[at].Kind = evidence.Fetch
	}
}

// watchBuild replaces the stretch of time in which what happens concerns a
// container's build.
func (s *site) watchBuild(c *container, when interval, ok bool) {
	var now build
	if ok {
		now = build{c, when.from, when.to}
	}
	if now == c.build {
		return
	}
	was := c.build
	if was.c != nil {
		s.builds.remove(was)
	}
	if c.build = now; now.c != nil {
		s.builds.add(now)
	}
	// What a build needs does not wait to be let go, and what it needed does.
	for _, b := range []build{was, now} {
		if b.c != nil {
			for _, a := range s.hostActs(interval{b.from, b.to}) {
				s.r.wait(a)
			}
			s.regardCallsWaiting(interval{b.from, b.to})
			s.regardClientsWaiting(interval{b.from, b.to})
		}
	}
}

// regardWaiting has it decided anew which connections in the time of a build
// wait, where it is told otherwise now which are the host's.
func (s *site) regardWaiting(b build) {
	for _, known := range s.addrs {
		for a := range known.acts.between(interval{b.from, b.to}) {
			s.r.wait(a)
		}
	}
}

// inBuild reports that an instant lies in what some container's build was.
func (s *site) inBuild(at int64) bool {
	for b := range s.builds.between(buildsAround(at)) {
		if at <= b.to {
			return true
		}
	}
	return false
}

// regardSteps marks the builder's containers that may have been steps of a
// build that ended with something about an image.
func (s *site) regardSteps(at int64) {
	if len(s.builders) == 0 {
		return
	}
	for m := range s.makings.between(interval{at - 2*buildTime, at}) {
		if s.builders[m.c] > 0 {
			s.markAlone(m.c)
		}
	}
}

// regardBuilder tells those whose builds a container may have been a step of.
func (s *site) regardBuilder(c *container) {
	if s.builders[c] == 0 {
		return
	}
	for at := range c.begins() {
		for a := range s.images.acts.between(interval{at - reorder, at + buildTime}) {
			for _, d := range a.digests() {
				s.markWatchers(d.String())
			}
			s.markWatchers(a.name)
		}
		for b := range s.builds.between(buildsAround(at)) {
			s.markAlone(b.c)
		}
	}
}

func (s *site) markWatchers(what string) {
	for c := range s.images.watchers[what] {
		s.markAlone(c)
	}
}

// buildsAround is when builds began that an instant can lie in.
func buildsAround(at int64) interval {
	return interval{at - buildTime - fetchLag - 2*reorder, at}
}

// letCallsGo lets go of the calls from before an instant of which nothing came
// that is still known.
func (s *site) letCallsGo(before int64) {
	var unused []*apiCall
	for c := range s.calling.all() {
		if c.when() >= before {
			break
		}
		if !s.inUse(c) {
			unused = append(unused, c)
		}
	}
	for _, c := range unused {
		s.dropCall(c)
	}
}
