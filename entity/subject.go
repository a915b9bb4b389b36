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

// Subject gives what is known of a container now. ok is false if nothing is.
func (r *Resolver) Subject(id evidence.SubjectID) (s *evidence.Subject, ok bool) {
	r.settle()
	site := r.sites[id.Place]
	if site == nil {
		return nil, false
	}
	c := site.containers[id.ID]
	if c == nil || c.canonical() != c {
		return nil, false
	}
	b := &subjectBuilder{site: site, c: c, members: c.members(), execs: map[*act]bool{}, checks: map[*act]bool{}}
	return b.build(id), true
}

// subjectBuilder gathers one container's facts from all the records of it.
type subjectBuilder struct {
	site    *site
	c       *container
	members []*container
	facts   []evidence.Fact
	about   evidence.Container
	told    []image.Digest
	health  [][]string
	made    event.Time // when it was created, or first heard of
	ended   int64
	// What was found of commands: whether the runtime's exec started them, and
	// whether they are the health check's.
	execs, checks map[*act]bool
}

func (b *subjectBuilder) build(id evidence.SubjectID) *evidence.Subject {
	b.about = evidence.Container{ID: b.c.id, Host: b.site.place.Host, Cluster: b.site.place.Cluster}
	b.ended = math.MaxInt64
	b.lifeFacts()
	for _, m := range b.members {
		for a := range m.made.all() {
			b.add(evidence.Creation, a.event)
			b.madeAt(a.event.Time)
		}
	}
	b.image()
	b.actFacts()
	s := evidence.NewSubject(id, b.facts)
	s.Container = &b.about
	s.Sight = b.sight(b.life(s))
	return s
}

func (b *subjectBuilder) add(kind evidence.Kind, e *event.Event) {
	b.facts = append(b.facts, evidence.Fact{Kind: kind, Event: e})
}

// lifeFacts reads the container's own events in time order.
func (b *subjectBuilder) lifeFacts() {
	var life []*lifeEvent
	for _, m := range b.members {
		life = slices.AppendSeq(life, m.life.all())
	}
	if len(b.members) > 1 {
		slices.SortFunc(life, (*lifeEvent).compare)
	}
	for _, l := range life {
		switch body := l.event.Body.(type) {
		case *event.Container:
			b.containerEvent(l.event, body)
		case *event.Task:
			b.taskEvent(l.event, body)
		case *event.ExecStarted:
			b.execEvent(l, body)
		case *event.ContainerDescription:
			b.description(body)
		}
	}
}

func (b *subjectBuilder) containerEvent(e *event.Event, c *event.Container) {
	b.name(c.Name, c.Labels)
	if !c.Image.IsZero() && (c.Action == event.ContainerCreate || b.about.Image.Reference.IsZero()) {
		b.about.Image.Reference = c.Image
	}
	switch c.Action {
	case event.ContainerCreate:
		b.add(evidence.Creation, e)
		b.madeAt(e.Time)
	case event.ContainerStart:
		b.add(evidence.Start, e)
		b.madeAt(e.Time)
	case event.ContainerExit, event.ContainerRemove:
		b.add(evidence.Exit, e)
		b.ended = min(b.ended, e.Time.At)
	}
}

func (b *subjectBuilder) taskEvent(e *event.Event, t *event.Task) {
	if t.ExecID != "" {
		return
	}
	switch t.Action {
	case event.TaskStart:
		b.add(evidence.Start, e)
		b.madeAt(e.Time)
	case event.TaskExit:
		b.add(evidence.Exit, e)
	}
}

func (b *subjectBuilder) execEvent(l *lifeEvent, x *event.ExecStarted) {
	if x.Command == "" {
		return
	}
	if l.line == nil {
		line := command.ParseLine(x.Command)
		l.line = &line
	}
	c := &evidence.CommandFact{Line: *l.line, Exec: true, UID: -1}
	for _, h := range b.health {
		c.HealthCheck = c.HealthCheck || strings.Join(h, " ") == x.Command
	}
	b.facts = append(b.facts, evidence.Fact{Kind: evidence.Command, Event: l.event, Command: c})
}

// description takes what a look-up says. Look-ups have no time and sort before
// everything that happened.
func (b *subjectBuilder) description(d *event.ContainerDescription) {
	b.name(d.Name, d.Labels)
	if b.about.Image.Reference.IsZero() {
		b.about.Image.Reference = d.Image
	}
	if !d.ImageID.IsZero() && !slices.Contains(b.told, d.ImageID) {
		b.told = append(b.told, d.ImageID)
	}
	if len(d.HealthCheck) > 0 {
		b.health = append(b.health, d.HealthCheck)
	}
	b.about.Risk = mergeRisk(b.about.Risk, d.Risk)
	b.madeAt(d.CreatedAt)
	b.madeAt(d.StartedAt)
}

func (b *subjectBuilder) name(name string, labels map[string]string) {
	b.about.Name = cmp.Or(b.about.Name, name)
	if len(labels) == 0 {
		return
	}
	if b.about.Labels == nil {
		b.about.Labels = map[string]string{}
	}
	maps.Copy(b.about.Labels, labels)
	b.about.Namespace = cmp.Or(labels["io.kubernetes.pod.namespace"], b.about.Namespace)
	b.about.Pod = cmp.Or(labels["io.kubernetes.pod.name"], b.about.Pod)
}

func (b *subjectBuilder) madeAt(t event.Time) {
	if !t.IsZero() && (b.made.IsZero() || t.Compare(b.made) < 0) {
		b.made = t
	}
}

// image works out what was run and how it came here.
func (b *subjectBuilder) image() {
	st, img := &b.site.images, &b.about.Image
	id := st.identify(img.Reference, b.told, b.made)
	st.watch(b.c, id.watch)
	img.Digests, img.Origin = id.digests, id.origin
	for _, d := range img.Digests {
		if c := b.site.r.family.Canonical(d); img.Canonical.IsZero() || c.Compare(img.Canonical) < 0 {
			img.Canonical = c
		}
	}
	for _, e := range id.arrivals {
		b.add(evidence.Arrival, e)
	}
}

// actFacts turns what was placed in the container into facts, in time order.
func (b *subjectBuilder) actFacts() {
	first := true
	for a := range b.c.acts.all() {
		switch body := a.event.Body.(type) {
		case *event.Process:
			b.command(a, body, first)
			first = false
		case *event.FileWrite:
			b.add(evidence.Write, a.event)
		case *event.DNS:
			b.add(evidence.Lookup, a.event)
		case *event.Socket:
			b.connection(a.event, body.Addr)
		case *event.Flow:
			b.connection(a.event, body.Dst)
		}
	}
}

// command adds a command; first says that none came before it.
func (b *subjectBuilder) command(a *act, p *event.Process, first bool) {
	if a.line == nil {
		line := command.Parse(p.Args, p.Exe, p.Script)
		a.line = &line
	}
	c := &evidence.CommandFact{
		Line: *a.line, Exe: p.Exe, Script: p.Script, UID: p.UID, TTY: p.TTY != "",
		HealthCheck: b.comesFrom(a, b.checks, b.isHealthCheck), Exec: b.comesFrom(a, b.execs, b.isExec),
	}
	c.First = first && !c.Exec
	b.facts = append(b.facts, evidence.Fact{Kind: evidence.Command, Event: a.event, Command: c})
}

func (b *subjectBuilder) connection(e *event.Event, remote netip.AddrPort) {
	b.facts = append(b.facts, evidence.Fact{Kind: evidence.Connection, Event: e, Connection: &evidence.ConnectionFact{
		Remote:  netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port()),
		Domains: b.site.namesOf(remote.Addr(), e.Time),
	}})
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
	for o := range b.site.pids[a.pid].programs.back(a.when()) {
		if a.when()-o.when() > oneProcess || o.place.owner != b.c || found {
			break
		}
		parent := b.site.parentOf(o)
		found = is(o) || parent != nil && parent.place.owner == b.c && b.comesFrom(parent, known, is)
	}
	known[a] = found
	return found
}

// isHealthCheck reports a command of the container's health check.
func (b *subjectBuilder) isHealthCheck(a *act) bool {
	return slices.ContainsFunc(b.health, func(h []string) bool { return slices.Equal(h, a.process().Args) })
}

// isExec reports a command that was started through the runtime's exec: its
// process or its parent is an exec's, or the parent is the helper that starts
// one.
func (b *subjectBuilder) isExec(a *act) bool {
	parent := b.site.parentOf(a)
	return b.ofExec(a.pid, a.event.Time) ||
		parent == nil && b.ofExec(a.ppid, a.event.Time) ||
		parent != nil && parent.place.helper && parent.helper.exec
}

// ofExec reports whether a process id was that of an exec of the container.
func (b *subjectBuilder) ofExec(pid int, at event.Time) bool {
	if known := b.site.pids[pid]; known != nil && !at.IsZero() {
		for t := range known.tenures.at(at, reorder) {
			if t.exec != "" && t.holder.canonical() == b.c {
				return true
			}
		}
	}
	return false
}

// life is the time from the first record of the container to its end.
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
