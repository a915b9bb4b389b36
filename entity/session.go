package entity

import (
	"slices"
	"sort"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// What the runtime starts in a running container is a probe's, a session that
// somebody asked the API server for, or neither: then somebody went past the
// API, to the kubelet or to the runtime.

// sessionSlack is how far an API server's record and the start of the process
// that it asked for may lie apart.
const sessionSlack = reorder

// sessionReach is the same for looking them up: coarse clocks begin earlier.
const sessionReach = sessionSlack + 10*event.Second

// access is a session in a pod as the API server, or the kubelet, tells it.
type access struct {
	event *event.Event
	body  *event.PodAccess
}

func (a *access) session() evidence.Session {
	return evidence.Session{Told: true, By: a.body.By, TTY: a.body.TTY}
}

// accesses lists the sessions in the pod, in order.
func accesses(life []*event.Event) []access {
	var out []access
	for _, e := range life {
		if b, ok := e.Body.(*event.PodAccess); ok && (b.Action == "exec" || b.Action == "attach") && b.Code < 400 {
			out = append(out, access{e, b})
		}
	}
	return out
}

// sessionAt finds who asked for what began in a container at a time: the
// closest in time, of those whose command fits where both are told.
func (b *subjectBuilder) sessionAt(p *part, at event.Time, args []string) evidence.Session {
	var best *access
	var distance int64
	from := sort.Search(len(b.accesses), func(i int) bool { return b.accesses[i].event.Time.At >= at.At-sessionReach })
	for i := from; i < len(b.accesses) && b.accesses[i].event.Time.At <= at.End()+sessionReach; i++ {
		a := &b.accesses[i]
		if name := a.body.Container; name != "" && p != nil && p.about.Name != "" && name != p.about.Name {
			continue
		}
		if len(args) > 0 && len(a.body.Command) > 0 && !sameCommand(args, a.body.Command) {
			continue
		}
		d := apart(a.event.Time, at)
		if d <= sessionSlack && (best == nil || d < distance) {
			best, distance = a, d
		}
	}
	if best == nil {
		return evidence.Session{}
	}
	return best.session()
}

// sameCommand compares an argument vector with what was asked for; the program
// may be told with its path or without.
func sameCommand(ran, asked []string) bool {
	return slices.Equal(ran[1:], asked[1:]) && event.ProgramName(ran[0]) == event.ProgramName(asked[0])
}

// sessionOf finds whose session a command is part of: that of the process by
// which the runtime began it.
func (b *subjectBuilder) sessionOf(a *act, p *part) evidence.Session {
	if found, done := b.sessions[a]; done {
		return found
	}
	b.sessions[a] = evidence.Session{} // for records that are each other's parents
	var found evidence.Session
	if b.isExec(a) {
		found = b.sessionAt(p, a.event.Time, a.process().Args)
	}
	if parent := a.site.parentOf(a); !found.Told && parent != nil && parent.place.owner == a.place.owner {
		found = b.sessionOf(parent, p)
	}
	for o := range a.site.pids[a.pid].programs.back(a.when()) {
		if found.Told || a.when()-o.when() > oneProcess || o.place.owner != a.place.owner {
			break
		}
		if o != a {
			found = b.sessionOf(o, p)
		}
	}
	b.sessions[a] = found
	return found
}

// execFact adds a process that the runtime started in a running container.
func (b *subjectBuilder) execFact(p *part, e *event.Event) {
	b.facts = append(b.facts, evidence.Fact{Kind: evidence.Exec, Container: p.index, Event: e, Exec: &evidence.ExecFact{}})
}

// explainExecs says of each process that the runtime started whether a probe or
// a session is the reason. Which exec is whose is told by the time; what has a
// command beside it is told by that.
func (b *subjectBuilder) explainExecs() {
	var execs []*evidence.Fact
	commands := map[int][]*evidence.Fact{} // by process, those that an exec began
	for i := range b.facts {
		switch f := &b.facts[i]; {
		case f.Kind == evidence.Exec:
			execs = append(execs, f)
		case f.Kind == evidence.Command && f.Command.Exec:
			commands[pidOf(f.Event)] = append(commands[pidOf(f.Event)], f)
		}
	}
	slices.SortFunc(execs, func(x, y *evidence.Fact) int { return x.Compare(*y) })
	for _, a := range b.accesses {
		if best := b.startedFor(a, execs); best != nil {
			best.Exec.Session = a.session()
		}
	}
	for _, x := range execs {
		if !x.Exec.Session.Told && len(b.parts[x.Container].health) > 0 {
			x.Exec.Probe = ranProbe(x, commands[pidOf(x.Event)])
		}
	}
}

// startedFor finds the process that the runtime started for a session: of those
// that no other session explains, the closest in time.
func (b *subjectBuilder) startedFor(a access, execs []*evidence.Fact) *evidence.Fact {
	var best *evidence.Fact
	var distance int64
	at := a.event.Time
	from := sort.Search(len(execs), func(i int) bool { return execs[i].Event.Time.At >= at.At-sessionReach })
	for _, x := range execs[from:] {
		if x.Event.Time.At > at.End()+sessionReach {
			break
		}
		own := b.parts[x.Container].about.Name
		if name := a.body.Container; x.Exec.Session.Told || name != "" && own != "" && name != own {
			continue
		}
		if d := apart(at, x.Event.Time); d <= sessionSlack && (best == nil || d < distance) {
			best, distance = x, d
		}
	}
	return best
}

// apart is how far two times lie from each other, by their resolutions.
func apart(a, b event.Time) int64 { return max(b.At-a.End(), a.At-b.End(), 0) }

// ranProbe reports whether what the runtime started is a probe's: its command
// is, or no record tells its command.
func ranProbe(exec *evidence.Fact, commands []*evidence.Fact) bool {
	for _, c := range commands {
		if c.Container == exec.Container && apart(c.Event.Time, exec.Event.Time) <= sessionSlack {
			return c.Command.HealthCheck
		}
	}
	return true
}

// pidOf is the process that a record is about, 0 if it tells none.
func pidOf(e *event.Event) int {
	switch b := e.Body.(type) {
	case *event.Process:
		return b.PID
	case *event.Task:
		return b.PID
	}
	return 0
}
