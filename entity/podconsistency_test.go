package entity

import (
	"maps"
	"slices"

	"tidewaiter/event"
)

// home compares a container's pod with the one that would be worked out now.
func (c *siteCheck) home(con *container) {
	c.Helper()
	cluster := c.s.cluster
	ref := c.s.podOfContainer(con)
	if want := cluster.podOf(ref, event.Time{At: con.begin()}); want != con.home {
		c.Errorf("container %s is in %v, want %v", con.id, con.home, want)
	}
	if con.home != nil && !con.home.pod.inner[con] {
		c.Errorf("container %s is in a pod that does not have it", con.id)
	}
	if !cluster.claimsOf(con.id).records.has(con) {
		c.Errorf("what is claimed of container %s does not find it", con.id)
	}
	byName := ref.UID == "" && ref.Name != ""
	if byName != (con.tiedBy.name != "") || byName && !cluster.podNames(con.tiedBy).containers[con] {
		c.Errorf("container %s is tied by %v, claimed %v", con.id, con.tiedBy, ref)
	}
}

func (c *siteCheck) pods() {
	c.Helper()
	for id, p := range c.s.pods.byID {
		if p.id != id || p.empty() || p.vouched != p.life.len() {
			c.Errorf("pod %s is kept for nothing: %d records, %d vouch for it", id, p.life.len(), p.vouched)
		}
		names := c.s.pods.byName[p.pod.name]
		if names == nil || p.pod.uid != "" && !names.byUID[p] || p.pod.uid == "" && names.unnamed != p {
			c.Errorf("pod %s is not found by its name", id)
		}
		for in := range p.pod.inner {
			if in.home != p || !c.kept(in) {
				c.Errorf("pod %s has a container that is not in it", id)
			}
		}
		if gone, come := difference(p.links.addrs, p.podAddresses()); len(gone)+len(come) > 0 {
			c.Errorf("pod %s has addresses %v, want %v", id, p.links.addrs, p.podAddresses())
		}
		checkTimeline(c.T, "acts of a pod", &p.acts)
		for a := range p.acts.all() {
			if a.place.owner != p || a.gone {
				c.Errorf("pod %s has an act that is not placed in it", id)
			}
		}
		for _, k := range p.pod.watch {
			if !c.s.owners.watchers[k][p] {
				c.Errorf("pod %s does not watch %v", id, k)
			}
		}
	}
	for name, n := range c.s.pods.byName {
		if len(n.byUID)+len(n.containers)+n.acts.len() == 0 && n.unnamed == nil {
			c.Errorf("pod name %v is kept for nothing", name)
		}
	}
	for k, by := range c.s.owners.watchers {
		for p := range by {
			if !c.kept(p) || !slices.Contains(p.pod.watch, k) {
				c.Errorf("%v is watched by %s, which does not", k, p.id)
			}
		}
	}
	c.beginnings()
	if c.s.cluster == c.s {
		c.claims()
	}
}

// inference compares what a connection lets infer with what it would now.
func (c *siteCheck) inference(fresh *site, a *act) {
	c.Helper()
	got := a.infers()
	if got.container != "" {
		countFew(&fresh.claimsOf(got.container).inferred, got.pod, +1)
	}
	if a.site.inferPod(a); a.infers() != got {
		c.Errorf("connection of %s let infer %v, want %v", a.src, got, a.infers())
	}
}

// beginnings compares the tables of when containers began, what kubelets say
// they started, and what commands dial, with what they are made of.
func (c *siteCheck) beginnings() {
	c.Helper()
	checkTimeline(c.T, "beginnings", &c.s.begun)
	n := 0
	for _, con := range c.s.containers {
		want, ok := con.beginning()
		if !ok {
			want = begun{}
		} else {
			n++
		}
		if con.begun != want {
			c.Errorf("container %s began %+v, want %+v", con.id, con.begun, want)
		}
	}
	if n != c.s.begun.len() {
		c.Errorf("%d beginnings are filed, want %d", c.s.begun.len(), n)
	}
	started := 0
	for _, p := range c.s.pods.byID {
		for l := range p.life.all() {
			if startedEvent(l.event) != nil {
				started++
			}
		}
	}
	for node, t := range c.s.pods.started {
		checkTimeline(c.T, "starts on "+node, t)
		started -= t.len()
	}
	if started != 0 {
		c.Errorf("%d starts are missing from their table", started)
	}
	dials := 0
	for m := range c.s.members {
		for _, p := range m.pids {
			for a := range p.acts.all() {
				dials += len(a.dials)
			}
		}
	}
	for to, t := range c.s.dialled {
		checkTimeline(c.T, "commands that dial "+to.String(), t)
		dials -= t.len()
	}
	if c.s.cluster == c.s && dials != 0 {
		c.Errorf("%d dials are missing from their table", dials)
	}
}

// claims counts anew what is said about whose containers are.
func (c *siteCheck) claims() {
	c.Helper()
	fresh := newSite(New(Limits{}), event.Place{})
	for m := range c.s.members {
		for _, con := range m.containers {
			for l := range con.life.all() {
				fresh.claim(l.event, +1)
			}
			fresh.claimsOf(con.id).records.add(con)
		}
		for _, p := range m.pids {
			for a := range p.acts.all() {
				if a.told != "" {
					fresh.podClaim(a.told, podObject(a.toldPod), +1)
				}
				if a.sandbox != "" {
					fresh.sandboxClaim(a.helper.makes, a.sandbox, +1)
				}
			}
		}
	}
	for m := range c.s.members {
		for _, d := range m.addrs {
			for a := range d.acts.all() {
				c.inference(fresh, a)
			}
		}
	}
	for _, p := range c.s.pods.byID {
		for l := range p.life.all() {
			fresh.claim(l.event, +1)
		}
	}
	if len(fresh.pods.claims) != len(c.s.pods.claims) {
		c.Errorf("%d ids are claimed, want %d", len(c.s.pods.claims), len(fresh.pods.claims))
	}
	for id, want := range fresh.pods.claims {
		got := c.s.pods.claims[id]
		if got == nil || !maps.Equal(got.pods, want.pods) || !maps.Equal(got.sandboxes, want.sandboxes) ||
			!maps.Equal(got.inferred, want.inferred) || !maps.Equal(got.lying, want.lying) || !sameFew(got.records, want.records) {
			c.Errorf("claims of %s are %+v, want %+v", id, got, want)
		}
	}
}

func sameFew[T comparable](a, b few[T]) bool {
	for x := range a.all() {
		if !b.has(x) {
			return false
		}
	}
	return a.len() == b.len()
}
