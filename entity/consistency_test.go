package entity

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
)

// letGo pushes out everything that bounds can push out.
func letGo(r *Resolver) {
	r.limits = Limits{}
	r.settle()
	for _, s := range r.sites {
		s.images.keepBounds()
		for s.owners.all.len() > 0 {
			oldest, _ := s.owners.all.first()
			s.dropOwner(oldest.event)
		}
	}
	r.settle()
}

// checkEmpty reports what is left when everything was let go.
func checkEmpty(t *testing.T, r *Resolver) {
	t.Helper()
	for p, s := range r.sites {
		for name, n := range map[string]int{
			"containers": len(s.containers), "prefixes": len(s.byPrefix), "process ids": len(s.pids), "addresses": len(s.addrs),
			"mounts": len(s.mounts), "answers": s.answers.len() + s.answers.names, "image events": s.images.acts.len() + s.images.described.len(),
			"ways of arrival": len(s.images.came), "bindings": len(s.images.bound) + len(s.images.resolved),
			"store writes": len(s.images.writes.all) + len(s.images.writes.named) + len(s.images.writes.ids),
			"builds":       len(s.builders) + s.makings.len() + s.builds.len(),
			"clients":      s.clients.len(), "sharing": len(s.sharing), "pods": len(s.pods.byID) + len(s.pods.byName), "claims": len(s.pods.claims) + len(s.pods.started), "dials": len(s.dialled) + s.begun.len(),
			"owners":            len(s.owners.objects) + len(s.owners.watchers) + s.owners.all.len(),
			"published digests": len(s.images.published), "commits": len(s.images.committed), "image look-ups": len(s.images.byID) + len(s.images.byTag), "short ids": len(s.images.byShort), "watchers": len(s.images.watchers),
		} {
			if n != 0 {
				t.Errorf("%s: %d %s are left", p, n, name)
			}
		}
	}
	ms := r.machines
	for _, m := range ms.known { // what an inventory says of machines stays, as of hosts
		if m.told+m.acts.len() != 0 {
			t.Errorf("machine %s is left", m.tag.id)
		}
	}
	if len(ms.acts)+len(ms.events)+len(ms.launches)+ms.filed.len() != 0 {
		t.Errorf("of machines: %d acts, %d events, %d launches are left", len(ms.acts), len(ms.events), len(ms.launches))
	}
	if n := r.waiting.len() + len(r.edges) + r.family.Len() + len(r.busy); n != 0 {
		t.Errorf("%d waiting, %d edges, %d in the family", r.waiting.len(), len(r.edges), r.family.Len())
	}
}

// checkConsistency compares every table with what it is there to find, and
// every placement with the one that would be worked out now.
func checkConsistency(t *testing.T, r *Resolver) {
	t.Helper()
	r.settle()
	waiting := 0
	edges := map[image.Edge]int{}
	for _, s := range r.sites {
		c := &siteCheck{T: t, s: s, supports: map[*act]int{}, acts: map[*act]bool{}}
		c.addresses()
		c.processes()
		c.containers()
		c.places()
		c.mounts()
		c.images(edges)
		c.pods()
		waiting += c.waiting
	}
	if r.waiting.len() != waiting {
		t.Errorf("%d wait, %d should", r.waiting.len(), waiting)
	}
	checkTimeline(t, "waiting", &r.waiting)
	checkMachines(t, r)
	if !maps.Equal(edges, r.edges) {
		t.Errorf("edges %v, want %v", r.edges, edges)
	}
	all := map[image.Edge]bool{}
	for e := range edges {
		all[e] = true
	}
	for e := range r.foreign {
		all[e] = true
	}
	for _, e := range r.family.Edges() {
		if !all[e] {
			t.Errorf("the family has an edge %v that nobody tells", e)
		}
	}
	if r.family.Len() != len(all) {
		t.Errorf("the family has %d edges, want %d", r.family.Len(), len(all))
	}
}

func checkTimeline[T ordered[T]](t *testing.T, name string, tl *timeline[T]) {
	t.Helper()
	all := slices.Collect(tl.all())
	if len(all) != tl.len() {
		t.Errorf("%s: length %d, holds %d", name, tl.len(), len(all))
	}
	for i := range all {
		if i > 0 && all[i-1].compare(all[i]) >= 0 {
			t.Errorf("%s: out of order", name)
		}
	}
	for _, p := range tl.pieces {
		if len(p) == 0 || len(p) > pieceSize {
			t.Errorf("%s: a piece of %d", name, len(p))
		}
	}
}

type siteCheck struct {
	*testing.T
	s        *site
	acts     map[*act]bool
	supports map[*act]int
	waiting  int
}

func (c *siteCheck) processes() {
	c.Helper()
	for n, p := range c.s.pids {
		checkTimeline(c.T, "acts", &p.acts)
		checkTimeline(c.T, "programs", &p.programs)
		checkTimeline(c.T, "children", &p.children)
		if p.acts.len()+p.children.len()+len(p.tenures.list) == 0 {
			c.Errorf("process id %d is kept for nothing", n)
		}
		programs := 0
		for a := range p.acts.all() {
			c.acts[a] = true
			if _, ok := c.s.pids[a.ppid].children.find(a); !ok || a.pid != n {
				c.Errorf("an act of %d is filed wrongly", n)
			}
			if a.process() != nil && !a.untimed() {
				programs++
				if _, ok := p.programs.find(a); !ok {
					c.Errorf("a program of %d is not filed", n)
				}
			}
		}
		if programs != p.programs.len() {
			c.Errorf("%d programs of %d, want %d", p.programs.len(), n, programs)
		}
		for a := range p.children.all() {
			if a.ppid != n || a.gone {
				c.Errorf("a child of %d is filed wrongly", n)
			}
		}
		for _, x := range p.tenures.list {
			if !slices.Contains(x.holder.links.processesOf(x.exec), pidTenure{n, x.when}) || c.s.containers[x.holder.id] != x.holder {
				c.Errorf("process id %d is said to be of a container that does not have it", n)
			}
		}
	}
}

func (c *siteCheck) addresses() {
	c.Helper()
	named, answers := map[*act]int{}, 0
	for addr, d := range c.s.addrs {
		checkTimeline(c.T, "connections", &d.acts)
		checkTimeline(c.T, "reached", &d.reached)
		checkTimeline(c.T, "forwarded", &d.via)
		if d.acts.len()+d.via.len()+d.reached.len()+len(d.tenures.list)+len(d.names) == 0 {
			c.Errorf("address %s is kept for nothing", addr)
		}
		for a := range d.acts.all() {
			c.acts[a] = true
			if a.src != addr {
				c.Errorf("an act of %s is filed wrongly", addr)
			}
		}
		for a := range d.via.all() {
			if a.via() != addr || a.gone {
				c.Errorf("a connection that went on as %s is filed wrongly", addr)
			}
		}
		for a := range d.reached.all() {
			if a.dst != addr || a.gone {
				c.Errorf("a connection to %s is filed wrongly", addr)
			}
		}
		for _, x := range d.tenures.list {
			if !slices.Contains(x.holder.links.addrs, addrTenure{addr, x.when}) || !c.kept(x.holder) {
				c.Errorf("address %s is said to be of a container that does not have it", addr)
			}
		}
		for name, given := range d.names {
			checkTimeline(c.T, "names", given)
			if given.len() == 0 {
				c.Errorf("name %s of %s is kept for nothing", name, addr)
			}
			for a := range given.all() {
				named[a]++
				answers++
				c.acts[a] = true
			}
		}
	}
	if answers != c.s.answers.names || len(named) != c.s.answers.len() {
		c.Errorf("%d answers with %d names, want %d with %d", c.s.answers.len(), c.s.answers.names, len(named), answers)
	}
	for a, n := range named {
		if a.named != n || a.gone {
			c.Errorf("an answer gives %d names, want %d", a.named, n)
		}
	}
	checkTimeline(c.T, "answers", &c.s.answers.timeline)
}

// kept reports whether a record is one of its site's.
func (c *siteCheck) kept(con *container) bool {
	if con.pod != nil {
		return con.site.pods.byID[con.id] == con
	}
	return con.site.containers[con.id] == con
}

func (c *siteCheck) containers() {
	c.Helper()
	for id, con := range c.s.containers {
		if con.id != id || con.empty() {
			c.Errorf("container %s is kept for nothing", id)
		}
		told := 0
		for a := range c.acts {
			if a.told == id {
				told++
			}
		}
		if con.vouched != con.life.len()+told {
			c.Errorf("%d records vouch for %s, want %d", con.vouched, id, con.life.len()+told)
		}
		if p := idPrefix(id); p != "" && !c.s.byPrefix[p].of(con).has(con) {
			c.Errorf("container %s is not found by its prefix", id)
		}
		if con.acts.len() > 0 && con.canonical() != con {
			c.Errorf("container %s is another one and has acts", id)
		}
		checkTimeline(c.T, "acts of a container", &con.acts)
		for a := range con.acts.all() {
			if a.place.owner != con || a.gone || a.site == c.s && !c.acts[a] {
				c.Errorf("container %s has an act that is not placed in it", id)
			}
		}
		for a := range con.made.all() {
			if !a.place.helper || a.helper.makes != id || !c.acts[a] {
				c.Errorf("container %s is made by something that does not make it", id)
			}
		}
		c.links(con)
		c.home(con)
		for _, w := range con.watch {
			if !c.s.images.watchers[w][con] {
				c.Errorf("container %s does not watch %s", id, w)
			}
		}
	}
	for _, same := range c.s.byPrefix {
		list := slices.Collect(same.all())
		for _, con := range list {
			if c.s.containers[con.id] != con {
				c.Errorf("prefix of %s, which is gone", con.id)
			}
		}
	}
	for w, by := range c.s.images.watchers {
		for con := range by {
			if !c.kept(con) || !slices.Contains(con.watch, w) {
				c.Errorf("%s is watched by %s, which does not", w, con.id)
			}
		}
	}
}

// links compares a container's links with those of a copy that derives them
// for the first time.
func (c *siteCheck) links(con *container) {
	c.Helper()
	fresh := newContainer(newSite(New(Limits{}), con.site.place), con.id)
	for l := range con.life.all() {
		fresh.site.containers[con.id] = fresh
		fresh.site.claimsOf(con.id).records.add(fresh)
		fresh.site.addLife(con.id, l.event)
	}
	fresh.site.settle()
	same := slices.Equal(fresh.links.starts, con.links.starts) && slices.Equal(fresh.links.ends, con.links.ends) &&
		slices.Equal(fresh.links.runs, con.links.runs) && reflect.DeepEqual(maps.Collect(fresh.links.processes()), maps.Collect(con.links.processes()))
	if gone, come := difference(fresh.links.addrs, con.links.addrs); !same || len(gone)+len(come) > 0 {
		c.Errorf("links of %s are\n%+v\nwant\n%+v", con.id, con.links, fresh.links)
	}
	for exec, own := range con.links.processes() {
		for _, l := range own {
			if p := c.s.pids[l.pid]; p == nil || !slices.Contains(p.tenures.list, tenure{con, exec, l.when}) {
				c.Errorf("process id %d is not found to be of %s", l.pid, con.id)
			}
		}
	}
	for _, l := range con.links.addrs {
		if d := c.s.addrs[l.addr]; d == nil || !slices.Contains(d.tenures.list, tenure{con, "", l.when}) {
			c.Errorf("address %s is not found to be of %s", l.addr, con.id)
		}
	}
}

func (c *siteCheck) places() {
	c.Helper()
	for a := range c.acts {
		if a.src.IsValid() || a.ofProcess() {
			if now := c.s.placeOf(a); now != a.place {
				c.Errorf("%s of %d, %s is placed %+v, want %+v", a.event.Body.Kind(), a.pid, a.src, a.place, now)
			}
		}
		if o := a.place.owner; o != nil {
			if _, ok := o.acts.find(a); !ok {
				c.Errorf("an act is not among those of its owner %s", o.id)
			}
		}
		if a.place.by != nil {
			c.supports[a.place.by]++
		}
		if a.gone || a.queued {
			c.Errorf("an act is filed and gone, or left in the queue")
		}
	}
	for a := range c.acts {
		if a.supports != c.supports[a] {
			c.Errorf("a helper is said to place %d, places %d", a.supports, c.supports[a])
		}
		if a.waiting != (a.place.owner == nil && a.machine == nil && !a.needed()) {
			c.Errorf("an act waits: %v", a.waiting)
		}
		if a.waiting {
			c.waiting++
			if _, ok := c.s.r.waiting.find(waiter{a}); !ok {
				c.Errorf("an act is not found among what waits")
			}
		}
		if a.place.helper && a.helper.makes != "" {
			if con := c.s.containers[a.helper.makes]; con == nil {
				c.Errorf("container %s, which was made, is not known", a.helper.makes)
			}
		}
	}
}

func (c *siteCheck) mounts() {
	c.Helper()
	type want struct {
		programs, host, loose int
		ties                  map[*container]*[2]int
	}
	wants := map[string]*want{}
	for a := range c.acts {
		d := overlayDevice(a)
		if d == "" {
			continue
		}
		w := wants[d]
		if w == nil {
			w = &want{ties: map[*container]*[2]int{}}
			wants[d] = w
		}
		w.programs++
		if byHostsFirst(a) {
			w.host++
		}
		if a.place.rank != linked {
			w.loose++
		}
		if o := a.place.owner; o != nil && o.pod == nil && (a.place.rank == linked || a.place.rank == started) {
			if w.ties[o] == nil {
				w.ties[o] = &[2]int{}
			}
			w.ties[o][map[rank]int{linked: 0, started: 1}[a.place.rank]]++
		}
	}
	for d, m := range c.s.mounts {
		checkTimeline(c.T, "mount", &m.loose)
		w := wants[d]
		if w == nil || m.programs != w.programs || m.host != w.host || m.loose.len() != w.loose || !reflect.DeepEqual(m.ties, w.ties) {
			c.Errorf("mount %s is %+v, want %+v", d, m, w)
			continue
		}
		var ofLinked, ofAny []tenure
		for con, n := range m.ties {
			for _, run := range con.links.runs {
				ofAny = append(ofAny, tenure{holder: con, when: run})
				if n[0] > 0 {
					ofLinked = append(ofLinked, tenure{holder: con, when: run})
				}
			}
			if !con.devices[d] {
				c.Errorf("container %s does not know of its mount %s", con.id, d)
			}
		}
		for _, l := range [][2][]tenure{{m.linked.list, ofLinked}, {m.any.list, ofAny}} {
			if gone, come := difference(l[0], l[1]); len(gone)+len(come) > 0 || len(l[0]) != len(l[1]) {
				c.Errorf("mount %s is held by %v, want %v", d, l[0], l[1])
			}
		}
	}
	for d := range wants {
		if c.s.mounts[d] == nil {
			c.Errorf("mount %s is not known", d)
		}
	}
	for _, con := range c.s.containers {
		for d := range con.devices {
			if m := c.s.mounts[d]; m == nil || m.ties[con] == nil {
				c.Errorf("container %s is not tied to its mount %s", con.id, d)
			}
		}
	}
}

// images compares the store's tables with those of a store that is told the
// same in order, and its groups with the rule written down plainly.
func (c *siteCheck) images(edges map[image.Edge]int) {
	c.Helper()
	st := &c.s.images
	checkTimeline(c.T, "image events", &st.acts)
	fresh := newSite(New(Limits{}), c.s.place)
	for a := range st.acts.all() {
		fresh.addImage(a.event)
		if a.edge.Parent != a.edge.Child {
			edges[a.edge]++
		}
		target, edge := plainGroups(st, a)
		if a.target != target || a.edge != edge {
			c.Errorf("%+v means %s in %v, want %s in %v", a.event.Body, a.target, a.edge, target, edge)
		}
	}
	for a := range st.described.all() {
		fresh.addImage(a.event)
		d := a.event.Body.(*event.ImageDescription)
		for _, r := range d.RepoDigests {
			if e := (image.Edge{Parent: r.Digest(), Child: d.ID}); !r.Digest().IsZero() && r.Digest() != d.ID {
				edges[e]++
			}
		}
	}
	fs := &fresh.images
	if !reflect.DeepEqual(st.byTag, fs.byTag) || !reflect.DeepEqual(st.byShort, fs.byShort) || len(st.byID) != len(fs.byID) {
		c.Errorf("image look-ups are %v %v, want %v %v", st.byTag, st.byShort, fs.byTag, fs.byShort)
	}
	sameEvents(c.T, "ways of arrival", st.came, fs.came)
	sameEvents(c.T, "bindings", st.bound, fs.bound)
	sameEvents(c.T, "registries' answers", st.resolved, fs.resolved)
	sameEvents(c.T, "named writes", st.writes.named, fs.writes.named)
	sameEvents(c.T, "all writes", st.writes.all, fs.writes.all)
	sameEvents(c.T, "config ids", st.writes.ids, fs.writes.ids)
}

func sameEvents[K comparable](t *testing.T, name string, got, want map[K]*timeline[*imageAct]) {
	t.Helper()
	list := func(m map[K]*timeline[*imageAct]) map[K][]event.ID {
		out := map[K][]event.ID{}
		for k, tl := range m {
			for a := range tl.all() {
				out[k] = append(out[k], a.event.ID)
			}
		}
		return out
	}
	if a, b := list(got), list(want); !reflect.DeepEqual(a, b) {
		t.Errorf("%s are %v, want %v", name, a, b)
	}
}

// plainGroups says what an event means by the rule for the names of one pull,
// looking at all of them.
func plainGroups(st *imageStore, a *imageAct) (target image.Digest, edge image.Edge) {
	type group struct {
		repo        repository
		first, last int64
		targets     map[image.Digest]bool
		members     map[*imageAct]bool
	}
	var groups []*group
	for o := range st.acts.all() {
		repo, ok := repositoryOf(o)
		if !ok {
			continue
		}
		var g *group
		for _, x := range groups {
			if x.repo == repo && o.when()-x.last <= groupGap {
				g = x
			}
		}
		if g == nil {
			g = &group{repo, o.when(), o.when(), map[image.Digest]bool{}, map[*imageAct]bool{}}
			groups = append(groups, g)
		}
		g.last = o.when()
		g.members[o] = true
		if d := o.body().Reference.Digest(); !d.IsZero() {
			g.targets[d] = true
		}
	}
	only := func(g *group) image.Digest {
		for d := range g.targets {
			if len(g.targets) == 1 {
				return d
			}
		}
		return image.Digest{}
	}
	if _, ok := repositoryOf(a); ok && a.body().Reference.Digest().IsZero() {
		for _, g := range groups {
			if g.members[a] {
				return only(g), image.Edge{}
			}
		}
	}
	id, ok := configID(a)
	if !ok {
		return image.Digest{}, image.Edge{}
	}
	repos, parents := map[repository]bool{}, map[image.Digest]bool{}
	for _, g := range groups {
		if g.repo.namespace == a.body().Namespace && a.when() >= g.first-groupGap && a.when() <= g.last+groupGap {
			repos[g.repo] = true
			parents[only(g)] = true
		}
	}
	for p := range parents {
		if len(repos) == 1 && len(parents) == 1 && !p.IsZero() {
			edge = image.Edge{Parent: p, Child: id}
		}
	}
	return image.Digest{}, edge
}
