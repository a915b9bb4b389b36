package entity

import "tidewaiter/event"

// rank says what a placement rests on, the weakest first. What is decided at
// one rank depends on stronger ones and on earlier records only, so the
// outcome does not depend on the order in which it is worked out.
type rank uint8

const (
	nowhere rank = iota
	// dialled: one container's command names where the connection went.
	dialled
	// alone: its account is a container's, and one container alone ran there.
	alone
	// onMount: the program lies on a mount that is one container's.
	onMount
	// started: a runtime's helper started it for a container.
	started
	// linked: the source tells the container, or its task the process id, or
	// the same is known of an ancestor.
	linked
)

// placement is whose an act was.
type placement struct {
	// owner is nil if nobody is known. With a rank it is nil because more than
	// one container could be the owner.
	owner *container
	rank  rank
	// inside is set for what ran in some container by links alone, through its
	// ancestors or the mount that its program lies on.
	inside bool
	// helper is set for a runtime's own program on the host.
	helper bool
	// by is the helper's record that placed it, for rank started.
	by *act
}

// placeOf decides whose an act was. Each rank asks for the act's own evidence
// and then for the parent's place.
//
// A helper's name is believed only outside containers, because a program in
// one can call itself what it likes.
func (s *site) placeOf(a *act) placement {
	switch {
	case a.told != "":
		return placement{owner: s.named(a.told), rank: linked}
	case a.toldPod.HasPod():
		return placement{owner: s.cluster.podOf(podObject(a.toldPod), a.event.Time), rank: linked}
	case a.src.IsValid():
		if p := s.placeByAddress(a); p.rank > nowhere {
			return p
		}
		return s.placeByDial(a)
	case a.untimed():
		return placement{}
	}
	parent := s.parentOf(a)
	var above placement
	if parent != nil {
		above = parent.place
	}
	p := s.placeByLink(a, parent, above)
	if p.rank == linked {
		p.inside = true
		return p
	}
	p.inside = above.inside || s.onLinkedMount(a)
	switch {
	case above.rank == started:
		p.owner, p.rank = above.owner, started
		return p
	case a.helper != nil && !p.inside:
		return placement{helper: true}
	case above.helper && parent.helper.starts != "" && !a.ofItself():
		p.owner, p.rank, p.by = s.named(parent.helper.starts), started, parent
		return p
	case !p.inside && (parent == nil || above.helper):
		if by := s.makerBeside(a); by != nil {
			p.owner, p.rank, p.by = s.named(by.helper.makes), started, by
			return p
		}
	}
	p.owner, p.rank = s.placeByMount(a)
	if p.rank == nowhere && above.rank == onMount {
		p.owner, p.rank = above.owner, onMount
	}
	if p.rank == nowhere && !p.inside {
		p.owner, p.rank = s.placeByAccount(a)
	}
	if p.rank == nowhere && above.rank == alone {
		p.owner, p.rank = above.owner, alone
	}
	return p
}

// placeByLink finds the container by process ids: whose task the process, or
// its parent, was; else the parent's place, if that rests on a link.
//
// A task's process is started by the runtime. If the parent's record shows
// another program, a task that fits only with tolerance is not this process:
// its id has been given again.
func (s *site) placeByLink(a, parent *act, above placement) placement {
	tie := false
	try := func(pid int, slack int64) *container {
		if id := s.pids[pid]; id != nil && !tie {
			var c *container
			c, tie = id.tenures.holder(a.event.Time, slack)
			return c
		}
		return nil
	}
	if c := try(a.pid, exact); c != nil {
		return placement{owner: c, rank: linked}
	}
	if c := try(a.ppid, exact); c != nil {
		return placement{owner: c, rank: linked}
	}
	if above.rank == linked && (above.owner != nil || !tie) {
		return placement{owner: above.owner, rank: linked}
	}
	if parent == nil || parent.helper != nil {
		for _, slack := range []int64{reorder, event.Skew} {
			if c := try(a.pid, slack); c != nil {
				return placement{owner: c, rank: linked}
			}
			if parent != nil {
				continue
			}
			if c := try(a.ppid, slack); c != nil {
				return placement{owner: c, rank: linked}
			}
		}
	}
	if tie {
		return placement{rank: linked}
	}
	return placement{}
}

// assign works out whose act it was and moves it there.
func (s *site) assign(a *act) {
	s.assignContainer(a)
	s.assignMachine(a)
}

func (s *site) assignContainer(a *act) {
	old, now := a.place, s.placeOf(a)
	s.claimSandbox(a, now)
	s.inferPod(a)
	if now == old {
		return
	}
	a.place = now
	if a.client != nil {
		s.regardClient(a)
	}
	s.regardHost(a)
	if old.owner != now.owner {
		if c := old.owner; c != nil {
			c.acts.remove(a)
			s.markDirty(c)
			c.site.emptied[c] = true
		}
		if c := now.owner; c != nil {
			c.acts.add(a)
			s.markDirty(c)
			if c.acts.len() > s.r.limits.PerContainer {
				s.r.busy[c] = true
			}
		}
	}
	s.support(old.by, -1)
	s.support(now.by, +1)
	if a.process() != nil {
		s.regardDials(a)
		s.moveOnMount(a, old, now)
		s.countCreation(a, old.helper, now.helper)
		if !a.untimed() {
			s.enqueueChildren(a, a.when())
			s.regardLater(a)
			if a.makes() && old.helper != now.helper {
				s.enqueueBeside(a)
			}
		}
	}
	s.r.wait(a)
}

// support counts what a helper's record places.
func (s *site) support(helper *act, by int) {
	if helper == nil || helper.gone {
		return
	}
	helper.supports += by
	s.r.wait(helper)
}

// claimSandbox notes in which sandbox the container lies that a helper makes:
// a pod has one shim, called with its sandbox's id, which has the runtime make
// every container of it.
func (s *site) claimSandbox(a *act, now placement) {
	sandbox := ""
	if now.helper && a.helper.makes != "" {
		if parent := s.parentOf(a); parent != nil && parent.place.helper && parent.helper.starts != a.helper.makes {
			sandbox = parent.helper.starts
		}
	}
	if sandbox == a.sandbox {
		return
	}
	if a.sandbox != "" {
		s.cluster.sandboxClaim(a.helper.makes, a.sandbox, -1)
	}
	if sandbox != "" {
		s.cluster.sandboxClaim(a.helper.makes, sandbox, +1)
	}
	a.sandbox = sandbox
}

// countCreation notes the container that a helper makes, which tells of it
// when no runtime event does.
func (s *site) countCreation(a *act, was, is bool) {
	if was == is || a.helper == nil || a.helper.makes == "" {
		return
	}
	c, by := s.container(a.helper.makes), +1
	if is {
		c.made.add(a)
	} else {
		by = -1
		c.made.remove(a)
		c.site.emptied[c] = true
	}
	if !a.untimed() {
		c.site.fileMade(making{c, a.when()}, by)
		if a.helper.step {
			s.countStep(c, a.when(), by)
		}
	}
	c.site.changed[c] = true
	s.markDirty(c)
}
