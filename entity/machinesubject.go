package entity

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"tidewaiter/command"
	"tidewaiter/event"
	"tidewaiter/evidence"
)

// triedBefore is how long before its launch what a machine's asker asked for in
// vain is told of it.
const triedBefore = 24 * 3600 * event.Second

// machineBuilder gathers what is known of one machine.
type machineBuilder struct {
	ms    *machines
	m     *machine
	about evidence.Instance
	facts []evidence.Fact
	// asked are the tags of those who asked for it.
	asked []tag
	sites map[*site]bool
}

// instance gives what is known of a machine.
func (r *Resolver) instance(id evidence.SubjectID) (*evidence.Subject, bool) {
	m := r.machineOf(id)
	if m == nil {
		return nil, false
	}
	b := &machineBuilder{ms: r.machines, m: m, about: evidence.Instance{ID: m.tag.id}, sites: r.machines.sitesOf(m.links.tags)}
	for _, e := range m.links.events {
		switch body := e.Body.(type) {
		case *event.Instance:
			b.told(e, body)
		case *event.HostDescription:
			b.about.Account = cmp.Or(b.about.Account, e.Place.Account)
		}
	}
	for s := range b.sites {
		b.about.Account = cmp.Or(b.about.Account, s.place.Account)
		b.about.Hosts = append(b.about.Hosts, s.place.Host)
	}
	b.about.Hosts = union(b.about.Hosts, nil)
	b.with()
	b.askers()
	b.searched()
	b.about.Image = r.machines.describe(m.tag.tenant, b.about.Image)
	b.described()
	b.guests()
	for a := range m.acts.all() {
		b.act(a)
	}
	b.unclear()
	s := evidence.NewSubject(id, b.facts)
	s.Instance = &b.about
	s.Sight = b.sight()
	return s, true
}

func (b *machineBuilder) add(kind evidence.Kind, e *event.Event) {
	b.facts = append(b.facts, evidence.Fact{Kind: kind, Container: evidence.Whole, Event: e})
}

// told reads one of the cloud's records, which come in order of time, look-ups
// first.
func (b *machineBuilder) told(e *event.Event, i *event.Instance) {
	about := &b.about
	about.Account, about.Region = cmp.Or(about.Account, e.Place.Account), cmp.Or(about.Region, e.Place.Region)
	about.Name, about.Resource, about.Zone = cmp.Or(about.Name, i.Name), cmp.Or(about.Resource, i.Resource), cmp.Or(about.Zone, i.Zone)
	about.Type, about.Platform = cmp.Or(about.Type, i.Type), cmp.Or(about.Platform, i.Platform)
	about.Lifecycle, about.Profile = cmp.Or(about.Lifecycle, i.Lifecycle), cmp.Or(about.Profile, i.Profile)
	about.Group, about.Template, about.Call = cmp.Or(about.Group, i.Group), cmp.Or(about.Template, i.Template), cmp.Or(about.Call, i.Call)
	about.Accelerators = union(about.Accelerators, i.Accelerators)
	if len(i.Tags) > 0 {
		about.Tags = merged(about.Tags, i.Tags)
	}
	for _, n := range i.Interfaces {
		if n.Subnet != "" {
			about.Subnets = union(about.Subnets, []string{n.Subnet})
		}
	}
	if img := &about.Image; img.ID == "" && i.Image != "" {
		img.ID, img.Owner, img.Market = i.Image, i.Owner, i.Market
	}
	about.Count = max(about.Count, i.Count)
	about.UserData = about.UserData || i.UserData.Present
	b.step(e, i)
}

// step turns a record into a fact.
func (b *machineBuilder) step(e *event.Event, i *event.Instance) {
	switch i.Action {
	case event.InstanceLaunch:
		b.add(evidence.Launch, e)
		b.about.Launched, b.about.Count = true, max(b.about.Count, 1)
		if b.about.By.Name == "" {
			b.about.By = i.By
		}
		if t := askerTag(e, i.By); t != (tag{}) && !slices.Contains(b.asked, t) {
			b.asked = append(b.asked, t)
		}
	case event.InstanceStart, event.InstanceReboot:
		if slices.Contains(b.m.links.boots, e.Time.At) {
			b.add(evidence.Boot, e)
		}
	case event.InstanceUserData, event.InstanceCommand, event.InstanceExtension, event.InstanceUpdate:
		b.add(evidence.Change, e)
		b.about.Changed = b.about.Changed || i.Action == event.InstanceUserData
	case event.InstanceTerminate:
		b.add(evidence.Exit, e)
	}
}

func merged(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	if out == nil {
		return maps.Clone(b)
	}
	for k, v := range b {
		if out[k] == "" {
			out[k] = v
		}
	}
	return out
}

// described adds what look-ups tell of the machine and of its image, the first of
// each as they are cited.
func (b *machineBuilder) described() {
	var machine, img *event.Event
	first := func(known **event.Event, e *event.Event) {
		if *known == nil || e.Origin.Compare((*known).Origin) < 0 {
			*known = e
		}
	}
	for _, e := range b.m.links.events {
		if i, ok := e.Body.(*event.Instance); ok && i.Action == event.InstanceDescribe {
			first(&machine, e)
		}
	}
	if known := b.ms.events[imageTag(b.m.tag.tenant, b.about.Image.ID)]; known != nil {
		for l := range known.between(interval{0, 0}) {
			first(&img, l.event)
		}
	}
	for _, e := range []*event.Event{machine, img} {
		if e != nil {
			b.add(evidence.Description, e)
		}
	}
}

// with names the machines that were launched with it.
func (b *machineBuilder) with() {
	for _, t := range b.m.links.tags {
		if t.kind != tagCall || b.ms.having(t).len() > evidence.MaxWith+1 {
			continue
		}
		for o := range b.ms.having(t).all() {
			if o != b.m && b.ms.isSubject(o) {
				b.about.With = append(b.about.With, o.tag.id)
			}
		}
	}
	b.about.With = union(b.about.With, nil)
}

// askers tells what those who asked for the machine asked for in vain before,
// and who made what launched it. It counts those launched with it.
func (b *machineBuilder) askers() {
	at := b.m.launched()
	for _, t := range b.asked {
		known := b.ms.events[t]
		if known == nil || at == math.MinInt64 {
			continue
		}
		for l := range known.between(interval{at - triedBefore, at + event.Skew}) {
			if len(b.facts) < maxShared {
				b.add(evidence.Attempt, l.event)
			}
		}
	}
	for _, t := range b.m.links.tags {
		if t.kind != tagGroup || b.ms.events[t] == nil {
			continue
		}
		upTo := int64(math.MaxInt64)
		if at > math.MinInt64 {
			upTo = at + event.Skew
		}
		var last *event.Event
		for l := range b.ms.events[t].back(upTo) {
			if i := l.event.Body.(*event.Instance); last == nil && !l.event.Time.IsZero() {
				last = l.event
				b.about.Maker = i.By
				b.about.Group = cmp.Or(b.about.Group, i.Group)
				b.add(evidence.Creation, l.event)
				if img := &b.about.Image; img.ID == "" && i.Image != "" {
					img.ID, img.Owner, img.Market = i.Image, i.Owner, i.Market
					b.about.Type = cmp.Or(b.about.Type, i.Type)
				}
			}
			break
		}
	}
}

// searched adds when those who asked for the machine looked for an image by a
// name, whoever's it be.
func (b *machineBuilder) searched() {
	at := b.m.launched()
	for _, t := range b.asked {
		t.kind = tagSearch
		if known := b.ms.events[t]; known != nil && at > math.MinInt64 {
			for l := range known.between(interval{at - triedBefore, at + event.Skew}) {
				if len(b.facts) < maxShared {
					b.add(evidence.Search, l.event)
				}
			}
		}
	}
}

// guests adds what the boot agents told after its boots, and what lies on it to
// be run.
func (b *machineBuilder) guests() {
	for s := range b.sites {
		known := s.pids[0]
		if known == nil {
			continue
		}
		for a := range known.acts.between(interval{0, 0}) {
			if g, ok := a.event.Body.(*event.GuestScript); ok && g.Stage == event.GuestStored {
				b.script(a, g)
			}
		}
	}
}

// script adds what a boot agent runs.
func (b *machineBuilder) script(a *act, g *event.GuestScript) {
	line := command.Parse([]string{"sh", "-c", strings.Join(g.Commands, "\n")}, "", "")
	line.Text = strings.Join(g.Commands, "; ")
	if len(line.Text) > command.MaxText {
		line.Text = strings.ToValidUTF8(line.Text[:command.MaxText], "")
	}
	b.facts = append(b.facts, evidence.Fact{Kind: evidence.Script, Container: evidence.Whole, Event: a.event, Command: &evidence.CommandFact{Line: line, Dropped: line.Drops, Agent: g.Agent, UID: -1}})
}

// act adds something that was placed on the machine.
func (b *machineBuilder) act(a *act) {
	switch body := a.event.Body.(type) {
	case *event.Process:
		b.facts = append(b.facts, evidence.Fact{Kind: evidence.Command, Container: evidence.Whole, Event: a.event, Command: &evidence.CommandFact{
			Line: a.parsed(), Exe: body.Exe, Script: body.Script, UID: body.UID, TTY: body.TTY != "", Agent: agentOf(a),
		}})
	case *event.FileWrite:
		b.add(evidence.Write, a.event)
	case *event.DNS:
		b.add(evidence.Lookup, a.event)
	case *event.HTTP, *event.TLS:
		b.add(evidence.Request, a.event)
	case *event.Socket:
		b.facts = append(b.facts, connectionFact(a, evidence.Whole, body.Addr, nil))
	case *event.Flow:
		b.facts = append(b.facts, connectionFact(a, evidence.Whole, body.Dst, body.DstNames))
	case *event.GuestScript:
		switch body.Stage {
		case event.GuestBoot:
			b.add(evidence.Boot, a.event)
		case event.GuestRun, event.GuestTraced:
			b.script(a, body)
		}
	}
}

// unclear counts the connections after the machine's boots from an address of
// it that are told of no machine, because several had it.
func (b *machineBuilder) unclear() {
	seen := map[*act]bool{}
	for _, t := range b.m.links.tags {
		if t.kind != tagAddr || b.ms.having(t).len() < 2 {
			continue
		}
		for _, boot := range b.m.links.boots {
			for a := range b.ms.fromAddress(t, interval{boot, boot + bootTime}) {
				if a.machine == nil && a.place.owner == nil && !seen[a] {
					seen[a] = true
				}
			}
		}
	}
	b.about.Unclear = len(seen)
}

// sight tells which kinds of facts could have been told of the machine.
func (b *machineBuilder) sight() map[evidence.Kind]evidence.Sight {
	out := map[evidence.Kind]evidence.Sight{}
	see := func(s *site, tied bool) {
		for ch, c := range s.coverage {
			for _, boot := range b.m.links.boots {
				if !c.covers(interval{boot, boot + bootTime}.widened(event.Skew)) {
					continue
				}
				sight := evidence.Untied
				if tied || ch.by == byID {
					sight = evidence.Observable
				}
				out[ch.kind] = max(out[ch.kind], sight)
			}
		}
	}
	for s := range b.sites {
		see(s, true)
	}
	known := slices.ContainsFunc(b.m.links.tags, func(t tag) bool { return t.kind == tagAddr || t.kind == tagPart })
	for s := range b.ms.sites[inAccount(b.m.tag.tenant, b.about.Account, tagNetwork, "all")] {
		see(s, known)
	}
	return out
}
