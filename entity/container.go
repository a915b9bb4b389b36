package entity

import (
	"cmp"
	"iter"
	"math"
	"net/netip"
	"slices"
	"sort"

	"tidewaiter/command"
	"tidewaiter/event"
	"tidewaiter/evidence"
)

// container is what records say about one container id at one site.
type container struct {
	site *site
	id   string
	// vouched is the number of records that name it by its id. What a short id
	// means rests on them alone, not on what command lines say.
	vouched int
	// life are the runtime's events and look-ups about it.
	life timeline[*lifeEvent]
	// turns are those of them that say when it, and its networks, began and
	// ended; execs those about its execs' processes, by exec id, nil without any.
	turns []*event.Event
	execs map[string][]*event.Event
	// execsTold is the number of events that tell of execs, aged what it had done
	// when it was last looked at for what can be let go of.
	execsTold, aged int
	// made are the runtime helper's commands that made it.
	made  timeline[*act]
	links links
	// stale names the execs whose links are to be derived anew; "" is all else.
	stale few[string]

	// pod makes it a pod's record, nil for a container's. home is the pod that
	// a container is in, tiedBy its name if nothing else is told of it.
	pod    *podInfo
	home   *container
	tiedBy podName
	begun  begun // as it is filed; zero if nothing tells when it began
	// startedWith is the pod that it is in by the time of its start.
	startedWith event.ObjectRef
	dated       dating

	// What is placed in it. Only a canonical container has any.
	acts    timeline[*act]
	devices map[string]bool // the mounts that its commands tie it to
	// watch is what its image's identity was last worked out from.
	watch []string
	build build // as it is filed; zero if its image was not built here
}

// lifeEvent is an event about a container by its id.
type lifeEvent struct {
	event *event.Event
	// line is what the command of an exec says, once somebody asked.
	line *command.Line
}

func (l *lifeEvent) when() int64              { return l.event.Time.At }
func (l *lifeEvent) compare(o *lifeEvent) int { return compareEvents(l.event, o.event) }

// links are what ties a container to process ids, addresses, and times. They
// are a pure function of the set of its events.
type links struct {
	// starts and ends are when it was started and when it ended, in order.
	starts, ends []int64
	made         int64                  // when it was created, the smallest number if no record tells
	runs         []interval             // from the one to the other
	pids         []pidTenure            // of its own process
	execPIDs     map[string][]pidTenure // of its execs', by their id, nil if there are none
	addrs        []addrTenure
}

type pidTenure struct {
	pid  int
	when interval
}

type addrTenure struct {
	addr netip.Addr
	when interval
}

// processesOf are the processes of an exec, or with "" the container's own.
func (l *links) processesOf(exec string) []pidTenure {
	if exec == "" {
		return l.pids
	}
	return l.execPIDs[exec]
}

func (l *links) setProcesses(exec string, now []pidTenure) {
	if len(now) == 0 {
		now = nil
	}
	switch {
	case exec == "":
		l.pids = now
	case now == nil:
		delete(l.execPIDs, exec)
	default:
		if l.execPIDs == nil {
			l.execPIDs = map[string][]pidTenure{}
		}
		l.execPIDs[exec] = now
	}
}

// processes gives all of them that there are, by exec.
func (l *links) processes() iter.Seq2[string, []pidTenure] {
	return func(yield func(string, []pidTenure) bool) {
		if len(l.pids) > 0 && !yield("", l.pids) {
			return
		}
		for exec, own := range l.execPIDs {
			if !yield(exec, own) {
				return
			}
		}
	}
}

func newContainer(s *site, id string) *container {
	return &container{site: s, id: id, links: links{made: always.from, runs: []interval{always}}}
}

// The kinds of subjects.
const (
	containerKind = "container"
	podKind       = "pod"
)

func (c *container) subjectID() evidence.SubjectID {
	kind := containerKind
	if c.pod != nil {
		kind = podKind
	}
	return evidence.SubjectID{Kind: kind, Place: c.site.place, ID: c.id}
}

// subject is the record under which a container is told of: the pod that it is
// in, else the one with its long id.
func (c *container) subject() *container {
	c = c.canonical()
	return cmp.Or(c.home, c)
}

// isSubject reports whether a record is told of by itself. What is told of a
// pod by its name alone belongs to those known by their UID, if there are any.
func (c *container) isSubject() bool {
	if c.pod != nil && c.pod.uid == "" {
		return len(c.site.podNames(c.pod.name).byUID) == 0
	}
	return c.subject() == c
}

// empty reports that nothing is left of which the container could be known.
func (c *container) empty() bool {
	if c.pod != nil && c.pod.uid != "" {
		// What is told by its name alone proves nothing of this UID.
		for in := range c.pod.inner {
			if in.tiedBy.name == "" {
				return false
			}
		}
		return c.vouched+c.pod.told == 0
	}
	if c.pod != nil && len(c.pod.inner) > 0 {
		return false
	}
	return c.vouched+c.made.len()+c.acts.len() == 0
}

// addLife takes in an event about a container by id.
func (s *site) addLife(id string, e *event.Event) bool {
	if id == "" {
		return false
	}
	c := s.container(id)
	if _, ok := execOf(e); ok {
		if c.execsTold == s.r.limits.PerContainer {
			s.r.drop(droppedBusy, c.subjectID().String())
			return false
		}
		c.execsTold++
	}
	c.life.add(&lifeEvent{event: e})
	s.vouch(c, +1)
	s.claim(e, +1)
	s.fileMaking(c, e, +1)
	switch b := e.Body.(type) {
	case *event.Task:
		if b.ExecID != "" {
			if c.execs == nil {
				c.execs = map[string][]*event.Event{}
			}
			c.execs[b.ExecID] = append(c.execs[b.ExecID], e)
			c.stale.add(b.ExecID)
			break
		}
		c.addTurn(e)
	case *event.Container, *event.NetworkAttachment, *event.ContainerDescription:
		c.addTurn(e)
	}
	s.changed[c] = true
	s.markDirty(c)
	return true
}

func (c *container) addTurn(e *event.Event) {
	c.turns = append(c.turns, e)
	c.stale.add("")
}

// startsAndEnds are the times at which the container's process started, or was
// created when no earlier start is known, and at which it ended.
func (c *container) startsAndEnds() (starts, ends []int64) {
	created := int64(math.MaxInt64)
	for _, e := range c.turns {
		switch b := e.Body.(type) {
		case *event.Container:
			switch b.Action {
			case event.ContainerStart:
				starts = append(starts, e.Time.At)
			case event.ContainerCreate:
				created = min(created, e.Time.At)
			}
		case *event.Task:
			if b.Action != event.TaskExit {
				starts = append(starts, e.Time.At)
			}
		case *event.ContainerDescription:
			if !b.StartedAt.IsZero() {
				starts = append(starts, b.StartedAt.At)
			}
		}
	}
	starts = sorted(starts)
	if created < math.MaxInt64 && (len(starts) == 0 || created < starts[0]) {
		// The network is set up before the process runs.
		starts = slices.Insert(starts, 0, created)
	}
	return starts, exits(c.turns)
}

// madeAt is when the container was created, the smallest number if no record
// tells.
func (c *container) madeAt() int64 {
	made := int64(math.MaxInt64)
	for _, e := range c.turns {
		switch b := e.Body.(type) {
		case *event.Container:
			if b.Action == event.ContainerCreate && !e.Time.IsZero() {
				made = min(made, e.Time.At)
			}
		case *event.ContainerDescription:
			if !b.CreatedAt.IsZero() {
				made = min(made, b.CreatedAt.At)
			}
		}
	}
	if made == math.MaxInt64 {
		return always.from
	}
	return made
}

// exits are the times of those events that end a container, or an exec.
func exits(events []*event.Event) []int64 {
	var out []int64
	for _, e := range events {
		switch b := e.Body.(type) {
		case *event.Task:
			if b.Action == event.TaskExit {
				out = append(out, e.Time.At)
			}
		case *event.Container:
			if b.Action == event.ContainerExit || b.Action == event.ContainerRemove {
				out = append(out, e.Time.At)
			}
		}
	}
	return sorted(out)
}

func sorted(times []int64) []int64 {
	slices.Sort(times)
	return slices.Compact(times)
}

// nextOf gives the first of some ordered times that is not before at, the
// greatest number if there is none.
func nextOf(times []int64, at int64) int64 {
	i := sort.Search(len(times), func(i int) bool { return times[i] >= at })
	if i == len(times) {
		return math.MaxInt64
	}
	return times[i]
}

// pidTenures ties process ids to the times from a start to the next exit.
func pidTenures(events []*event.Event, exits, ends []int64) []pidTenure {
	var out []pidTenure
	add := func(pid int, from int64) {
		if pid > 0 {
			out = append(out, pidTenure{pid, interval{from, min(nextOf(exits, from), nextOf(ends, from))}})
		}
	}
	for _, e := range events {
		switch b := e.Body.(type) {
		case *event.Task:
			if b.Action != event.TaskExit {
				add(b.PID, e.Time.At)
			}
		case *event.ContainerDescription:
			if !b.StartedAt.IsZero() {
				add(b.PID, b.StartedAt.At)
			}
		}
	}
	slices.SortFunc(out, func(a, b pidTenure) int {
		return cmp.Or(cmp.Compare(a.pid, b.pid), cmp.Compare(a.when.to, b.when.to), cmp.Compare(a.when.from, b.when.from))
	})
	// The task's creation, its start, and a look-up tell one tenure; the
	// earliest beginning stays.
	return slices.CompactFunc(out, func(a, b pidTenure) bool { return a.pid == b.pid && a.when.to == b.when.to })
}

// addrTenures ties the addresses that look-ups tell to the times when the
// container was attached to the network. A look-up is timeless: which of
// several attachments it speaks of is told by the instant that it states for
// the address, or by the container's start.
func (c *container) addrTenures(l links) []addrTenure {
	networks := map[string][]interval{}
	seen := map[addrTenure]bool{}
	for _, e := range c.turns {
		d, ok := e.Body.(*event.ContainerDescription)
		if !ok {
			continue
		}
		for _, n := range d.Networks {
			runs, known := networks[n.NetworkID]
			if !known {
				runs = c.attachments(n.NetworkID, l)
				networks[n.NetworkID] = runs
			}
			switch {
			case !n.At.IsZero():
				runs = around(runs, n.At.At)
			case !d.StartedAt.IsZero():
				runs = around(runs, d.StartedAt.At)
			}
			for _, when := range runs {
				for _, a := range n.Addrs {
					if a.IsValid() {
						seen[addrTenure{a.Unmap(), when}] = true
					}
				}
			}
		}
	}
	out := make([]addrTenure, 0, len(seen))
	for a := range seen {
		out = append(out, a)
	}
	return out
}

// attachments are the intervals in which the container was on a network: from
// its connect events, else from its starts, which a look-up may state.
func (c *container) attachments(network string, l links) []interval {
	var begins []int64
	ends := slices.Clone(l.ends)
	for _, e := range c.turns {
		b, ok := e.Body.(*event.NetworkAttachment)
		if !ok || network != "" && b.NetworkID != network {
			continue
		}
		if b.Connected {
			begins = append(begins, e.Time.At)
		} else {
			ends = append(ends, e.Time.At)
		}
	}
	if len(begins) == 0 {
		begins = l.starts
	}
	return pairUp(sorted(begins), sorted(ends))
}

// pairUp makes intervals of begins and ends, both in order: each begin lasts
// to the next end; begins within one interval are one. With no begin known the
// beginning is unknown. Where the clock is coarse, one end and the next begin
// have one time: an end closes one interval only.
func pairUp(begins, ends []int64) []interval {
	if len(begins) == 0 {
		return []interval{{math.MinInt64, nextOf(ends, math.MinInt64)}}
	}
	var out []interval
	for _, b := range begins {
		to := nextOf(ends, b)
		if n := len(out); n > 0 {
			switch last := out[n-1].to; {
			case b < last:
				continue
			case to == last:
				to = nextOf(ends, last+1)
			}
		}
		out = append(out, interval{b, to})
	}
	return out
}

// around picks, of intervals in order, the one that holds at, else the one
// that begins closest to it.
func around(runs []interval, at int64) []interval {
	i := sort.Search(len(runs), func(i int) bool { return runs[i].from > at })
	switch {
	case i == 0:
		return runs[:1]
	case at <= runs[i-1].to || i == len(runs) || at-runs[i-1].from <= runs[i].from-at:
		return runs[i-1 : i]
	}
	return runs[i : i+1]
}

// over reports whether the run in which something happened in the container
// had ended at an instant, beyond what clocks differ.
func (c *container) over(happened, at int64) bool {
	end := nextOf(c.links.ends, happened)
	return at > interval{happened, end}.widened(event.Skew).to
}
