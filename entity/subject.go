package entity

import (
	"cmp"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"

	"tidewaiter/command"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// Subject gives what is known of a container, a pod, or a push, now. ok is false if
// nothing is.
func (r *Resolver) Subject(id evidence.SubjectID) (s *evidence.Subject, ok bool) {
	r.settle()
	switch id.Kind {
	case publicationKind:
		return r.publication(id)
	case instanceKind:
		return r.instance(id)
	case vmImageKind:
		return r.vmImage(id)
	}
	site := r.sites[id.Place]
	if site == nil {
		return nil, false
	}
	c := site.record(id)
	if c == nil {
		return nil, false
	}
	b := &subjectBuilder{site: site, c: c, execs: map[*act]bool{}, checks: map[*act]bool{}, sessions: map[*act]evidence.Session{}}
	return b.build(id), true
}

// subjectBuilder gathers one subject's facts from all the records of it.
type subjectBuilder struct {
	site  *site
	c     *container // the container, or the pod
	parts []*part
	facts []evidence.Fact
	pod   *evidence.Pod // nil for a container
	ended int64
	// What was found of commands: whether the runtime's exec started them, and
	// whether they are the health check's.
	execs, checks map[*act]bool
	// accesses are the sessions that the API tells; sessions are whose the
	// commands are.
	accesses []access
	sessions map[*act]evidence.Session
}

// part is one container of a subject.
type part struct {
	index   int
	members []*container // the records of it; none if only the API tells of it
	about   evidence.Container
	told    []image.Digest
	health  [][]string
	within  string     // containerd's namespace, "" if no record tells
	made    event.Time // when it was created, or first heard of
	pulled  event.Time // when the kubelet last pulled its image, zero if that is not told
}

func (b *subjectBuilder) build(id evidence.SubjectID) *evidence.Subject {
	b.ended = math.MaxInt64
	if b.c.pod == nil {
		b.addPart(b.c.members())
	} else {
		b.readPod()
	}
	watch := map[*container][]string{b.c: nil}
	for _, p := range b.parts {
		record := b.c
		if len(p.members) > 0 {
			record = p.members[0]
		}
		watch[record] = append(watch[record], b.image(p, &record.site.images)...)
		b.asked(p)
		b.calls(p)
		for _, m := range p.members {
			b.actFacts(m, p)
		}
		watch[record] = append(watch[record], b.commits(p)...)
	}
	for record, what := range watch {
		record.site.images.watch(record, what)
	}
	if b.c.pod != nil {
		b.actFacts(b.c, nil)
	}
	b.markFirst()
	b.explainExecs()
	s := evidence.NewSubject(id, b.facts)
	for _, p := range b.parts {
		s.Containers = append(s.Containers, p.about)
	}
	s.Pod = b.pod
	s.Sight = b.sight(b.life(s))
	return s
}

// markFirst finds each container's entry point: the first command that no exec
// started.
func (b *subjectBuilder) markFirst() {
	first := make([]*evidence.Fact, len(b.parts))
	for i := range b.facts {
		f := &b.facts[i]
		if _, ran := f.Event.Body.(*event.Process); !ran || f.Kind != evidence.Command || f.Container == evidence.Whole {
			continue
		}
		if was := &first[f.Container]; *was == nil || f.Compare(**was) < 0 {
			*was = f
		}
	}
	for _, f := range first {
		if f != nil {
			f.Command.First = !f.Command.Exec
		}
	}
}

// addPart adds a container by what the runtimes tell of it.
func (b *subjectBuilder) addPart(members []*container) {
	c := members[0]
	p := &part{index: len(b.parts), members: members}
	p.about = evidence.Container{ID: c.id, Host: c.site.place.Host, Cluster: c.site.place.Cluster}
	p.about.PodInferred = b.c.pod != nil && c.site.cluster.claimedPod(c.id).IsZero()
	b.parts = append(b.parts, p)
	b.lifeFacts(p)
	p.about.Sandbox = c.isSandbox() || isPause(p.about.Image.Reference.Repository())
	for _, m := range p.members {
		for a := range m.made.all() {
			b.add(evidence.Creation, p.index, a.event)
			p.madeAt(a.event.Time)
		}
	}
	p.about.PodsTold = b.c.pod == nil && p.within == kubeletsOwn && c.podsAround(p.made)
}

// kubeletsOwn is the namespace of containerd that the kubelet has containers made
// in.
const kubeletsOwn = "k8s.io"

func (b *subjectBuilder) add(kind evidence.Kind, index int, e *event.Event) {
	b.facts = append(b.facts, evidence.Fact{Kind: kind, Container: index, Event: e})
}

// lifeFacts reads a container's own events in time order.
func (b *subjectBuilder) lifeFacts(p *part) {
	var life []*lifeEvent
	for _, m := range p.members {
		life = slices.AppendSeq(life, m.life.all())
	}
	if len(p.members) > 1 {
		slices.SortFunc(life, (*lifeEvent).compare)
	}
	var told *event.Event
	for _, l := range life {
		switch body := l.event.Body.(type) {
		case *event.Container:
			b.containerEvent(p, l.event, body)
		case *event.Task:
			b.taskEvent(p, l.event, body)
		case *event.ExecStarted:
			b.execEvent(p, l, body)
		case *event.ContainerDescription:
			p.description(body)
			if told == nil || l.event.Origin.Compare(told.Origin) < 0 {
				told = l.event
			}
		}
	}
	if told != nil { // a host can be asked of it every minute
		b.add(evidence.Description, p.index, told)
	}
}

func (b *subjectBuilder) containerEvent(p *part, e *event.Event, c *event.Container) {
	p.name(c.Name, c.Labels)
	p.within = cmp.Or(p.within, c.Namespace)
	if !c.Image.IsZero() && (c.Action == event.ContainerCreate || p.about.Image.Reference.IsZero()) {
		p.about.Image.Reference = c.Image
	}
	switch c.Action {
	case event.ContainerCreate:
		b.add(evidence.Creation, p.index, e)
		p.madeAt(e.Time)
	case event.ContainerStart:
		b.add(evidence.Start, p.index, e)
		p.madeAt(e.Time)
	case event.ContainerExit, event.ContainerRemove:
		b.add(evidence.Exit, p.index, e)
		if b.c.pod == nil {
			b.ended = min(b.ended, e.Time.At)
		}
	}
}

func (b *subjectBuilder) taskEvent(p *part, e *event.Event, t *event.Task) {
	if t.ExecID != "" {
		if t.Action == event.TaskStart {
			b.execFact(p, e)
		}
		return
	}
	switch t.Action {
	case event.TaskCreate:
		if b.c.pod != nil { // the runtime's own events tell no more of it
			b.add(evidence.Creation, p.index, e)
		}
	case event.TaskStart:
		b.add(evidence.Start, p.index, e)
		p.madeAt(e.Time)
	case event.TaskExit:
		b.add(evidence.Exit, p.index, e)
	}
}

func (b *subjectBuilder) execEvent(p *part, l *lifeEvent, x *event.ExecStarted) {
	if x.Command == "" {
		return
	}
	if l.line == nil {
		line := command.ParseLine(x.Command)
		l.line = &line
	}
	c := &evidence.CommandFact{Line: *l.line, Exec: true, UID: -1}
	for _, h := range p.health {
		c.HealthCheck = c.HealthCheck || strings.Join(h, " ") == x.Command
	}
	b.facts = append(b.facts, evidence.Fact{Kind: evidence.Command, Container: p.index, Event: l.event, Command: c})
}

// description takes what a look-up says. Look-ups have no time and sort before
// everything that happened.
func (p *part) description(d *event.ContainerDescription) {
	p.name(d.Name, d.Labels)
	if p.about.Image.Reference.IsZero() {
		p.about.Image.Reference = d.Image
	}
	p.tellDigest(d.ImageID)
	if len(d.HealthCheck) > 0 {
		p.health = append(p.health, d.HealthCheck)
	}
	p.about.Risk = mergeRisk(p.about.Risk, d.Risk)
	p.madeAt(d.CreatedAt)
	p.madeAt(d.StartedAt)
}

func (p *part) tellDigest(d image.Digest) {
	if !d.IsZero() && !slices.Contains(p.told, d) {
		p.told = append(p.told, d)
	}
}

func (p *part) name(name string, labels map[string]string) {
	if len(labels) > 0 {
		if p.about.Labels == nil {
			p.about.Labels = map[string]string{}
		}
		maps.Copy(p.about.Labels, labels)
		p.about.Namespace = cmp.Or(labels["io.kubernetes.pod.namespace"], p.about.Namespace)
		p.about.Pod = cmp.Or(labels["io.kubernetes.pod.name"], p.about.Pod)
		name = cmp.Or(labels["io.kubernetes.container.name"], name)
	}
	p.about.Name = cmp.Or(p.about.Name, name)
}

func (p *part) madeAt(t event.Time) {
	if !t.IsZero() && (p.made.IsZero() || t.Compare(p.made) < 0) {
		p.made = t
	}
}

// image works out what was run and how it came here. It gives what that rests
// on.
func (b *subjectBuilder) image(p *part, st *imageStore) (watch []string) {
	img := &p.about.Image
	id := st.identify(img.Reference, p.told, p.made)
	img.Digests, img.Origin, img.Published = id.digests, id.origin, id.published
	for _, d := range img.Digests {
		if c := b.site.r.family.Canonical(d); img.Canonical.IsZero() || c.Compare(img.Canonical) < 0 {
			img.Canonical = c
		}
	}
	img.Stale = len(p.told) == 0 && img.Reference.Mutable() && !p.pulled.IsZero() && !st.site.covers(evidence.Arrival, p.pulled)
	for _, e := range id.arrivals {
		b.add(evidence.Arrival, p.index, e)
	}
	b.built(p, id)
	return id.watch
}

// actFacts turns what was placed in a record into facts, in time order. p is
// the container that the record is of, nil for the pod as a whole.
func (b *subjectBuilder) actFacts(c *container, p *part) {
	index := evidence.Whole
	if p != nil {
		index = p.index
	}
	for a := range c.acts.all() {
		if p != nil && a.place.rank == alone {
			p.about.ByAccount = true
		}
		switch body := a.event.Body.(type) {
		case *event.Process:
			b.command(a, body, p)
		case *event.FileWrite:
			b.add(evidence.Write, index, a.event)
		case *event.DNS:
			b.add(evidence.Lookup, index, a.event)
		case *event.HTTP, *event.TLS:
			b.add(evidence.Request, index, a.event)
		case *event.Socket:
			b.connection(a, index, body.Addr, nil)
		case *event.Flow:
			b.connection(a, index, body.Dst, body.DstNames)
		}
	}
}

// command adds a command.
func (b *subjectBuilder) command(a *act, proc *event.Process, p *part) {
	f := evidence.Fact{Kind: evidence.Command, Container: evidence.Whole, Event: a.event}
	c := &evidence.CommandFact{Line: a.parsed(), Exe: proc.Exe, Script: proc.Script, UID: proc.UID, TTY: proc.TTY != ""}
	c.Exec = b.comesFrom(a, b.execs, b.isExec)
	if p != nil {
		f.Container = p.index
		c.HealthCheck = b.comesFrom(a, b.checks, p.isHealthCheck)
	}
	if c.Exec && !c.HealthCheck {
		c.Session = b.sessionOf(a, p)
	}
	f.Command = c
	b.facts = append(b.facts, f)
}

func (b *subjectBuilder) connection(a *act, index int, remote netip.AddrPort, names []string) {
	b.facts = append(b.facts, connectionFact(a, index, remote, names))
}

func connectionFact(a *act, index int, remote netip.AddrPort, names []string) evidence.Fact {
	known := a.site.namesOf(remote.Addr(), a.event.Time)
	if len(names) > 0 {
		known = union(known, names)
	}
	return evidence.Fact{Kind: evidence.Connection, Container: index, Event: a.event, Connection: &evidence.ConnectionFact{
		Remote: netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port()), Domains: known, Inferred: a.place.rank == dialled,
	}}
}

// oneProcess is how long a process id is taken to mean one process that runs
// one program after the other, as a shell does with its last command.
const oneProcess = 60 * event.Second

// comesFrom reports whether something is true of a command, of what its process
// ran shortly before, or of what that came from in this container.
func (b *subjectBuilder) comesFrom(a *act, known map[*act]bool, is func(*act) bool) bool {
	if found, done := known[a]; done {
		return found
	}
	found := is(a)
	owner := a.place.owner
	for o := range a.site.pids[a.pid].programs.back(a.when()) {
		if a.when()-o.when() > oneProcess || o.place.owner != owner || found {
			break
		}
		parent := a.site.parentOf(o)
		found = is(o) || parent != nil && parent.place.owner == owner && b.comesFrom(parent, known, is)
	}
	known[a] = found
	return found
}

// isHealthCheck reports a command of the container's health check.
func (p *part) isHealthCheck(a *act) bool {
	return slices.ContainsFunc(p.health, func(h []string) bool { return slices.Equal(h, a.process().Args) })
}

// isExec reports a command that was started through the runtime's exec: its
// process or its parent is an exec's, or the parent is the helper that starts
// one.
func (b *subjectBuilder) isExec(a *act) bool {
	parent := a.site.parentOf(a)
	return ofExec(a, a.pid) || parent == nil && ofExec(a, a.ppid) || parent != nil && parent.place.helper && parent.helper.exec
}

// ofExec reports whether a process id was that of an exec of the container
// that an act is placed in.
func ofExec(a *act, pid int) bool {
	if known := a.site.pids[pid]; known != nil && !a.untimed() {
		for t := range known.tenures.at(a.event.Time, reorder) {
			if t.exec != "" && t.holder.canonical() == a.place.owner {
				return true
			}
		}
	}
	return false
}

// life is the time from the first record of the subject to its end.
func (b *subjectBuilder) life(s *evidence.Subject) interval {
	life := interval{math.MinInt64, b.ended}
	for _, f := range s.Facts {
		if f.Kind != evidence.Arrival && !f.Event.Time.IsZero() {
			life.from = f.Event.Time.At
			break
		}
	}
	return life
}

// mergeRisk unites what several look-ups say: what any of them says holds.
func mergeRisk(a, b event.Risk) event.Risk {
	a.Privileged = a.Privileged || b.Privileged
	for _, m := range b.Mounts {
		if !slices.Contains(a.Mounts, m) {
			a.Mounts = append(slices.Clone(a.Mounts), m)
		}
	}
	a.Capabilities = union(a.Capabilities, b.Capabilities)
	a.SecurityOpt = union(a.SecurityOpt, b.SecurityOpt)
	a.PIDMode = cmp.Or(a.PIDMode, b.PIDMode)
	a.NetworkMode = cmp.Or(a.NetworkMode, b.NetworkMode)
	a.IPCMode = cmp.Or(a.IPCMode, b.IPCMode)
	a.RestartPolicy = cmp.Or(a.RestartPolicy, b.RestartPolicy)
	a.User = cmp.Or(a.User, b.User)
	return a
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}
