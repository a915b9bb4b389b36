package entity

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// instanceKind is the kind of subject that a virtual machine of a cloud is.
const instanceKind = "instance"

// bootTime is how long after a boot what a machine does is told of it. No
// policy can look further.
const bootTime = 2 * 3600 * event.Second

// tag is something by which records of different sources can mean one machine,
// within a tenant: clouds give ids, resources and interfaces once. An address
// and a name are told with the account, because each account has its own.
type tag struct{ tenant, kind, id string }

// The kinds of tags.
const (
	tagID       = "id"
	tagResource = "resource"
	tagPart     = "part" // an interface
	tagAddr     = "address"
	tagName     = "name"    // what a guest calls itself
	tagNetwork  = "network" // an account's networks
	tagImage    = "image"
	tagCopies   = "copies"  // of an image
	tagAsker    = "asker"   // who asked, and in which account
	tagGroup    = "group"   // what launches machines, or a template for it
	tagCall     = "call"    // the request that launched them
	tagProject  = "project" // of Google Cloud
	tagSearch   = "search"  // of images, by who searched
)

// inAccount is a tag of something that means something within an account only;
// zero if that is not known.
func inAccount(tenant, account, kind, id string) tag {
	if account == "" || id == "" {
		return tag{}
	}
	return tag{tenant, kind, account + "\x00" + id}
}

// machineTag tells an instance's id from a resource's name.
func machineTag(tenant, id string) tag {
	switch lower := strings.ToLower(id); {
	case id == "":
		return tag{}
	case lower[0] == '/':
		return tag{tenant, tagResource, lower}
	case strings.HasPrefix(lower, "projects/"):
		return tag{tenant, tagResource, id}
	}
	return tag{tenant, tagID, id}
}

// projectTag names the Google Cloud project that a resource is in, zero for
// another cloud's: what a project's metadata say is run by all its machines.
func projectTag(tenant, resource string) tag {
	parts := strings.SplitN(resource, "/", 3)
	if len(parts) < 2 || parts[0] != "projects" {
		return tag{}
	}
	return tag{tenant, tagProject, parts[0] + "/" + parts[1]}
}

// scaleSet is the scale set that a machine's resource is one of, "" if of none.
func scaleSet(resource string) string {
	resource = strings.ToLower(resource)
	set, _, ok := strings.Cut(resource, "/virtualmachines/")
	if !ok || !strings.Contains(set, "/virtualmachinescalesets/") {
		return ""
	}
	return set
}

// machine is what records say about one virtual machine: by its id, or about a
// resource by name alone. What only a name tells belongs to the instance that
// had it then.
type machine struct {
	tag tag
	// life are the cloud's events and look-ups about it, and what an inventory
	// says of it.
	life  timeline[*lifeEvent]
	told  int // how many of them are a cloud's
	links machineLinks
	// acts are what is placed on it.
	acts timeline[*act]
}

// machineLinks is what is derived of a machine's records.
type machineLinks struct {
	events []*event.Event // its own, and those of its names that are its
	lives  interval       // from its launch to its end
	boots  []int64        // those after which its doings are told of it
	tags   []tag          // in order
	// network is that of its interfaces, "" if no record tells it.
	network string
	// heard is when its network first told of it, where nothing tells of a boot;
	// else the smallest number.
	heard int64
}

// machines are the virtual machines that a Resolver knows.
type machines struct {
	known map[tag]*machine
	// tagged, sites and acts are the machines, the sites and what the network
	// tells, by what can tie them; events are those about what a tag names, and
	// filed those that concern many, as their bound pushes them out.
	tagged map[tag]*few[*machine]
	sites  map[tag]map[*site]bool
	acts   map[tag]*timeline[*act]
	events map[tag]*timeline[*lifeEvent]
	filed  timeline[cloudEvent]
	// launches are those of an image.
	launches map[tag]*timeline[*lifeEvent]
	// changed are those whose links are to be derived anew, crowded those with
	// more acts than the bound on one.
	changed, crowded map[*machine]bool
}

func newMachines() *machines {
	return &machines{
		known: map[tag]*machine{}, tagged: map[tag]*few[*machine]{}, sites: map[tag]map[*site]bool{},
		acts: map[tag]*timeline[*act]{}, events: map[tag]*timeline[*lifeEvent]{},
		launches: map[tag]*timeline[*lifeEvent]{},
		changed:  map[*machine]bool{}, crowded: map[*machine]bool{},
	}
}

// having are the machines that go by a tag.
func (ms *machines) having(t tag) *few[*machine] {
	if of := ms.tagged[t]; of != nil {
		return of
	}
	return &few[*machine]{}
}

// machine finds or makes the record of an instance or a resource.
func (ms *machines) machine(t tag) *machine {
	m := ms.known[t]
	if m == nil {
		m = &machine{tag: t, links: machineLinks{lives: always}}
		ms.known[t] = m
	}
	return m
}

// addInstance takes in what a cloud's record says of a machine.
func (s *site) addInstance(e *event.Event, b *event.Instance) bool {
	ms := s.r.machines
	t := machineTag(e.Place.Tenant, cmp.Or(b.ID, b.Resource))
	if b.Failure != "" || b.DryRun || b.Action == event.InstanceGroup || b.Action == event.InstanceTemplate || t == (tag{}) {
		return ms.file(s.r, e)
	}
	m := ms.machine(t)
	m.life.add(&lifeEvent{event: e})
	m.told++
	ms.countLaunch(s.r, e, +1)
	ms.regard(m)
	return true
}

// addHost takes in what an inventory says of a machine.
func (ms *machines) addHost(e *event.Event, d *event.HostDescription) {
	if t := machineTag(e.Place.Tenant, d.InstanceID); t != (tag{}) {
		m := ms.machine(t)
		m.life.add(&lifeEvent{event: e})
		ms.regard(m)
	}
}

// askerTag names who asked for something in an account.
func askerTag(e *event.Event, by event.Principal) tag {
	return inAccount(e.Place.Tenant, e.Place.Account, tagAsker, askerName(by))
}

// askerName is who asked: of a role's session, the role.
func askerName(by event.Principal) string {
	if by.Cloud != nil && by.Cloud.Issuer != "" {
		return by.Cloud.Issuer
	}
	return by.Name
}

// groupTags name what launches a machine, or what is made to: its group, and
// its template without the version.
func groupTags(e *event.Event, b *event.Instance) []tag {
	var out []tag
	template, _, _ := strings.Cut(b.Template, ":")
	for _, name := range []string{b.Group, template} {
		if t := inAccount(e.Place.Tenant, e.Place.Account, tagGroup, name); t != (tag{}) {
			out = append(out, t)
		}
	}
	return out
}

// regard has a machine's links derived anew, and those of the others that had
// its names.
func (ms *machines) regard(m *machine) {
	ms.changed[m] = true
	for o := range ms.having(tag{m.tag.tenant, tagProject, m.tag.id}).all() {
		ms.changed[o] = true
	}
	for _, t := range m.names() {
		if o := ms.known[t]; o != nil {
			ms.changed[o] = true
		}
		for o := range ms.having(t).all() {
			ms.changed[o] = true
		}
	}
}

// names are the resources that a machine's records say it is.
func (m *machine) names() []tag {
	if m.tag.kind == tagResource {
		return []tag{m.tag}
	}
	var out []tag
	for l := range m.life.all() {
		if b, ok := l.event.Body.(*event.Instance); ok && b.Resource != "" {
			if t := machineTag(m.tag.tenant, b.Resource); !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
	}
	return out
}

// isSubject reports whether something is told of it, and not only of the
// instances that had its name.
func (ms *machines) isSubject(m *machine) bool {
	return m.told+m.acts.len() > 0 && (m.tag.kind == tagID || ms.isAlone(m))
}

func (m *machine) subjectID() evidence.SubjectID {
	return evidence.SubjectID{Kind: instanceKind, Place: event.Place{Tenant: m.tag.tenant}, ID: m.tag.id}
}

// machineOf finds the record of an instance that is a subject.
func (r *Resolver) machineOf(id evidence.SubjectID) *machine {
	if id.Kind != instanceKind {
		return nil
	}
	if m := r.machines.known[machineTag(id.Place.Tenant, id.ID)]; m != nil && r.machines.isSubject(m) {
		return m
	}
	return nil
}

// launched is when a machine was launched, by the records that name it by its
// id; the smallest number if none tells.
func (m *machine) launched() int64 {
	at := int64(math.MaxInt64)
	for l := range m.life.all() {
		b, ok := l.event.Body.(*event.Instance)
		switch {
		case !ok:
		case b.Action == event.InstanceLaunch && !l.event.Time.IsZero():
			at = min(at, l.event.Time.At)
		case !b.Launched.IsZero():
			at = min(at, b.Launched.At)
		}
	}
	if at == math.MaxInt64 {
		return math.MinInt64
	}
	return at
}

// events gives a machine's own records, and those of its names from its time:
// from its launch to the launch of the next with that name.
func (ms *machines) eventsOf(m *machine) []*event.Event {
	var out []*event.Event
	for l := range m.life.all() {
		out = append(out, l.event)
	}
	if m.tag.kind == tagResource {
		return out
	}
	for _, name := range m.names() {
		out = append(out, ms.projectChanges(name, m.launched())...)
		known := ms.known[name]
		if known == nil {
			continue
		}
		for l := range known.life.all() {
			if l.event.Time.IsZero() || ms.had(name, l.event.Time) == m {
				out = append(out, l.event)
			}
		}
	}
	slices.SortFunc(out, compareEvents)
	return out
}

// projectChanges are the changes of what all machines of a project run, from a
// machine's launch on.
func (ms *machines) projectChanges(name tag, since int64) (out []*event.Event) {
	project := projectTag(name.tenant, name.id)
	known := ms.known[tag{name.tenant, tagResource, project.id}]
	if project == (tag{}) || known == nil || known.tag == name {
		return nil
	}
	for l := range known.life.between(interval{max(since, 1), math.MaxInt64}) {
		if b, ok := l.event.Body.(*event.Instance); ok && b.Action == event.InstanceUserData {
			out = append(out, l.event)
		}
	}
	return out
}

// had is the instance that had a resource's name at a time: the last that was
// launched by then, or the first of all.
func (ms *machines) had(name tag, at event.Time) *machine {
	var best *machine
	var since int64
	later := func(a, b int64, x, y *machine) bool { // a is the better launch
		return a > b || a == b && x.tag.id < y.tag.id
	}
	for m := range ms.having(name).all() {
		if m.tag.kind == tagResource {
			continue
		}
		from := m.launched()
		switch fits := from <= at.End()+event.Skew; {
		case best == nil:
		case fits != (since <= at.End()+event.Skew):
			if !fits {
				continue
			}
		case fits && !later(from, since, m, best), !fits && !later(-from, -since, m, best):
			continue
		}
		best, since = m, from
	}
	return best
}

// derive works out a machine's links.
func (ms *machines) derive(m *machine) machineLinks {
	l := machineLinks{events: ms.eventsOf(m), lives: always}
	if at := m.launched(); at > math.MinInt64 {
		l.lives.from = at
	}
	tags := map[tag]bool{m.tag: true}
	for _, t := range m.names() {
		tags[t] = true
		if t.id != projectTag(t.tenant, t.id).id {
			tags[projectTag(t.tenant, t.id)] = true
		}
	}
	changed := false
	for _, e := range l.events {
		if b, ok := e.Body.(*event.Instance); ok {
			tagsOf(e, b, tags)
			l.step(e, b, &changed)
			for _, i := range b.Interfaces {
				l.network = max(l.network, i.Network)
			}
		} else if d, ok := e.Body.(*event.HostDescription); ok {
			for _, a := range d.Addrs {
				tags[inAccount(e.Place.Tenant, e.Place.Account, tagAddr, a.Unmap().String())] = true
			}
			tags[inAccount(e.Place.Tenant, e.Place.Account, tagName, strings.ToLower(d.Name))] = true
			tags[inAccount(e.Place.Tenant, e.Place.Account, tagGroup, scaleSet(d.InstanceID))] = true
		}
	}
	delete(tags, tag{})
	l.tags = slices.SortedFunc(maps.Keys(tags), tag.compare)
	l.heard = math.MinInt64
	if len(l.boots) == 0 {
		l.heard = ms.firstSeen(l)
		l.boots = ms.bootsSeen(l)
	}
	return l
}

func (t tag) compare(o tag) int {
	return cmp.Or(cmp.Compare(t.kind, o.kind), cmp.Compare(t.id, o.id), cmp.Compare(t.tenant, o.tenant))
}

// tagsOf adds what a record says by which a machine is known.
func tagsOf(e *event.Event, b *event.Instance, tags map[tag]bool) {
	tenant, account := e.Place.Tenant, e.Place.Account
	for _, i := range b.Interfaces {
		for _, id := range []string{i.ID, i.MAC} {
			if id != "" {
				tags[tag{tenant, tagPart, id}] = true
			}
		}
		for _, a := range slices.Concat(i.Addrs, i.Public) {
			tags[inAccount(tenant, account, tagAddr, a.Unmap().String())] = true
		}
	}
	tags[inAccount(tenant, account, tagName, strings.ToLower(b.Name))] = true
	if b.Image != "" {
		tags[tag{tenant, tagImage, string(b.Image)}] = true
	}
	if b.Action == event.InstanceLaunch {
		tags[askerTag(e, b.By)] = true
		tags[inAccount(tenant, account, tagCall, b.Call)] = true
	}
	for _, t := range groupTags(e, b) {
		tags[t] = true
	}
	tags[inAccount(tenant, account, tagGroup, scaleSet(b.Resource))] = true
}

// step follows a machine's life: which of its boots run something new, and when
// it ended. Later boots run what the first one did, and are no news.
func (l *machineLinks) step(e *event.Event, b *event.Instance, changed *bool) {
	if e.Time.IsZero() {
		return
	}
	switch b.Action {
	case event.InstanceLaunch, event.InstanceCommand, event.InstanceExtension:
		if b.Action == event.InstanceLaunch && l.lives.to < e.Time.At {
			l.lives.to = math.MaxInt64 // made again by the same name
		}
		l.boots = append(l.boots, e.Time.At)
		*changed = false
	case event.InstanceUserData:
		*changed = true
	case event.InstanceStart, event.InstanceReboot:
		if *changed {
			l.boots = append(l.boots, e.Time.At)
			*changed = false
		}
	case event.InstanceTerminate:
		l.lives.to = min(l.lives.to, e.Time.End())
	}
}

// bootsSeen is when a machine of which no cloud tells a boot was first heard of:
// as its own records say, or by when they begin.
func (ms *machines) bootsSeen(l machineLinks) []int64 {
	var boots []int64
	first := l.heard
	for s := range ms.sitesOf(l.tags) {
		for _, e := range s.guestEvents(l.lives) {
			if b := e.Body.(*event.GuestScript); !b.Boot.IsZero() && !slices.Contains(boots, b.Boot.At) {
				boots = append(boots, b.Boot.At)
			}
		}
		first = min(first, s.firstHeard())
	}
	if len(boots) == 0 && first < math.MaxInt64 {
		boots = append(boots, first)
	}
	slices.Sort(boots)
	return boots
}

// firstSeen is when the network first told of something that a machine did, the
// greatest number if it never did.
func (ms *machines) firstSeen(l machineLinks) int64 {
	first := int64(math.MaxInt64)
	for _, t := range l.tags {
		if known := ms.acts[t]; known != nil {
			first = min(first, firstTimed(known))
		}
		for s := range ms.networksOf(t) {
			if d := s.addrs[addrOf(t)]; d != nil {
				first = min(first, firstTimed(&d.acts))
			}
		}
	}
	return first
}

// firstTimed is when the first of some acts was of which a time is known.
func firstTimed(acts *timeline[*act]) int64 {
	for a := range acts.between(interval{1, math.MaxInt64}) {
		return a.when()
	}
	return math.MaxInt64
}

// inBoot reports whether an instant lies in the time after one of the boots.
func (l *machineLinks) inBoot(at int64) bool {
	return slices.ContainsFunc(l.boots, func(boot int64) bool { return at >= boot-event.Skew && at <= boot+bootTime })
}
