package entity

import (
	"iter"
	"math"
	"net/netip"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// site is one host, or whatever place records name together: process ids,
// container ids, tags and bridge addresses mean something only inside it.
type site struct {
	r     *Resolver
	place event.Place
	// cluster is the site at which the pods of this one's cluster are told of:
	// itself where no cluster is known. members are the sites of a cluster.
	cluster *site
	members map[*site]bool

	containers map[string]*container
	byPrefix   map[string]*namesakes // by the first 12 hex digits of an id
	pods       podStore
	owners     ownerStore
	// sharing are the pods in the network of the node with an address.
	sharing map[netip.Addr]map[*container]bool
	pids    map[int]*processID
	addrs   map[netip.Addr]*address
	mounts  map[string]*mount // by device number
	answers answers
	images  imageStore
	clients timeline[*act] // calls of runtimes' clients
	calling timeline[*apiCall]
	// makings are when containers were made, builders those of nameless images,
	// builds the stretches of time that concern the builds of others' images.
	makings  timeline[making]
	builders map[*container]int
	builds   timeline[build]
	coverage map[channel]*span
	// awaiting are the containers of a cluster, by when they were made, about which
	// it matters which pods its API tells of, as long as it told of none around then.
	awaiting  map[*container]event.Time
	hosts     []*event.Event // what inventories say of the host
	hostAddrs map[netip.Addr]bool
	// nodeAddrs counts the hosts of a cluster that have an address, dialled has
	// the commands of its hosts by what they name to connect to.
	nodeAddrs map[netip.Addr]int
	dialled   map[netip.AddrPort]*timeline[*act]
	begun     timeline[begun] // the site's containers by when they began
	coarsest  int64           // the coarsest resolution of any act's time
	ties      ties            // which machine it is
	accounts  timeline[*act]  // what ran under accounts that only containers have

	// changed are the containers whose links are to be derived anew, queue
	// what is to be placed again, emptied the containers that may be gone.
	changed map[*container]bool
	queue   []*act
	emptied map[*container]bool
}

func newSite(r *Resolver, p event.Place) *site {
	s := &site{
		r: r, place: p,
		containers: map[string]*container{},
		byPrefix:   map[string]*namesakes{},
		pids:       map[int]*processID{},
		addrs:      map[netip.Addr]*address{},
		mounts:     map[string]*mount{},
		coverage:   map[channel]*span{},
		hostAddrs:  map[netip.Addr]bool{},
		nodeAddrs:  map[netip.Addr]int{},
		dialled:    map[netip.AddrPort]*timeline[*act]{},
		changed:    map[*container]bool{},
		emptied:    map[*container]bool{},
		builders:   map[*container]int{},
		members:    map[*site]bool{},
		pods:       newPodStore(),
		owners:     newOwnerStore(),
		sharing:    map[netip.Addr]map[*container]bool{},
	}
	s.cluster = s
	if p.Cluster != "" && p.Host != "" {
		p.Host = ""
		s.cluster = r.site(p)
	}
	s.cluster.members[s] = true
	s.images = newImageStore(s)
	s.retie()
	return s
}

// shortID is the length of the ids that Docker prints for people, longID that
// of whole ones.
const (
	shortID = 12
	longID  = 64
)

// namesakes are the containers whose ids begin alike: with whole ids, and with
// short ones. Whoever can write a log can write many of either.
// asked is set once something named one of them by a short id.
type namesakes struct {
	long, short few[*container]
	asked       bool
}

func (n *namesakes) of(c *container) *few[*container] {
	if len(c.id) == longID {
		return &n.long
	}
	return &n.short
}

func (n *namesakes) all() iter.Seq[*container] {
	return func(yield func(*container) bool) {
		for _, part := range []*few[*container]{&n.long, &n.short} {
			for c := range part.all() {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// idPrefix is the part by which a short id finds its long one, "" for ids that
// are no hash.
func idPrefix(id string) string {
	if len(id) < shortID || strings.Trim(id, "0123456789abcdef") != "" {
		return ""
	}
	return id[:shortID]
}

// container finds or makes the container with exactly this id.
func (s *site) container(id string) *container {
	c := s.containers[id]
	if c == nil {
		c = newContainer(s, id)
		s.containers[id] = c
		s.cluster.claimsOf(id).records.add(c)
		s.changed[c] = true
		if p := idPrefix(id); p != "" {
			if s.byPrefix[p] == nil {
				s.byPrefix[p] = &namesakes{}
			}
			s.byPrefix[p].of(c).add(c)
		}
	}
	return c
}

// records gives the records of the site's containers and pods.
func (s *site) records() iter.Seq[*container] {
	return func(yield func(*container) bool) {
		for _, c := range s.containers {
			if !yield(c) {
				return
			}
		}
		for _, c := range s.pods.byID {
			if !yield(c) {
				return
			}
		}
	}
}

// record finds the record of a subject, nil if there is none of it.
func (s *site) record(id evidence.SubjectID) *container {
	c := s.containers[id.ID]
	if id.Kind == podKind {
		c = s.pods.byID[id.ID]
	}
	if c == nil || !c.isSubject() {
		return nil
	}
	return c
}

// remove takes a container out that nothing is known of any more.
func (s *site) remove(c *container) {
	s.r.dirty[c.subjectID()] = true
	s.images.watch(c, nil)
	s.watchBuild(c, interval{}, false)
	if c.pod != nil {
		s.owners.watch(c, nil)
		s.shareHost(c, nil)
		s.removePod(c)
		return
	}
	s.unhome(c)
	delete(s.cluster.awaiting, c)
	delete(s.containers, c.id)
	if p := idPrefix(c.id); p != "" {
		same := s.byPrefix[p]
		if same.of(c).remove(c); same.long.len()+same.short.len() == 0 {
			delete(s.byPrefix, p)
		}
	}
}

// vouch counts records that name a container by its id.
func (s *site) vouch(c *container, by int) {
	before := c.vouched
	c.vouched += by
	if c.vouched == 0 {
		s.emptied[c] = true
	}
	if p := idPrefix(c.id); len(c.id) == longID && p != "" && (before > 0) != (c.vouched > 0) {
		s.regardPrefix(p)
	}
}

// regardPrefix places everything again that ids with one prefix have a part
// in: what a short one means may be another container now.
func (s *site) regardPrefix(p string) {
	same := s.byPrefix[p]
	if same == nil || same.short.len() == 0 && !same.asked {
		return // whole ids mean themselves
	}
	for c := range same.all() {
		s.r.dirty[c.subjectID()] = true
		if c.home != nil {
			s.r.dirty[c.home.subjectID()] = true
		}
		for a := range c.acts.all() {
			a.site.enqueue(a)
		}
		for _, own := range c.links.processes() {
			for _, l := range own {
				s.enqueueProcess(l)
			}
		}
		for _, l := range c.links.addrs {
			s.enqueueAddress(l)
		}
		for device := range c.devices {
			s.enqueueMount(device, always)
		}
	}
}

// named finds the container that an id means, which may be short, and makes it
// if there is none.
func (s *site) named(id string) *container {
	if long := s.longOf(id); long != nil {
		s.byPrefix[id[:shortID]].asked = true
		return long
	}
	return s.container(id)
}

// longOf is the only container whose long id begins with a short one.
func (s *site) longOf(id string) *container {
	var long *container
	if len(id) == longID || idPrefix(id) == "" {
		return nil
	}
	same := s.byPrefix[id[:shortID]]
	if same == nil {
		return nil
	}
	for o := range same.long.all() {
		if o.vouched > 0 && len(o.id) == longID && strings.HasPrefix(o.id, id) {
			if long != nil {
				return nil
			}
			long = o
		}
	}
	return long
}

// canonical gives the container that c's id means: the one with the long id,
// else c itself.
func (c *container) canonical() *container {
	if long := c.site.longOf(c.id); long != nil {
		return long
	}
	return c
}

// members lists the records of one container: itself and the short ids that
// mean it.
func (c *container) members() []*container {
	out := []*container{c}
	if len(c.id) != longID || idPrefix(c.id) == "" {
		return out
	}
	if same := c.site.byPrefix[c.id[:shortID]]; same != nil {
		for o := range same.short.all() {
			if o.canonical() == c {
				out = append(out, o)
			}
		}
	}
	slices.SortFunc(out, func(a, b *container) int { return strings.Compare(a.id, b.id) })
	return out
}

// markDirty has the subject told of anew that a record belongs to. What is told
// of a pod by its name alone can belong to any that had it.
func (s *site) markDirty(c *container) {
	s.markAlone(c)
	c.site.regardBuilder(c)
	c.site.regardPushes(c)
}

func (s *site) markAlone(c *container) {
	c = c.subject()
	s.r.dirty[c.subjectID()] = true
	if c.pod != nil && c.pod.uid == "" {
		for named := range c.site.podNames(c.pod.name).byUID {
			s.r.dirty[named.subjectID()] = true
		}
	}
}

// enqueue has an act placed again.
func (s *site) enqueue(a *act) {
	if !a.queued && !a.gone {
		a.queued = true
		s.queue = append(s.queue, a)
	}
}

// reach is the stretch of times at which acts can fit an interval, when the
// clocks may be apart by slack.
func (s *site) reach(i interval, slack int64) interval {
	r := i.widened(slack)
	r.from = interval{r.from, 0}.widened(s.coarsest).from
	return r
}

// settle brings links and placements up to date with the events taken in.
// Doing so for many at once costs little more than for one. It reports whether
// there was anything to do, which may have left something to do elsewhere.
func (s *site) settle() (worked bool) {
	for len(s.changed)+len(s.queue)+len(s.emptied) > 0 {
		worked = true
		for c := range s.changed {
			delete(s.changed, c)
			s.relink(c)
		}
		for len(s.queue) > 0 {
			batch := s.queue
			s.queue = nil
			for _, a := range batch {
				if a.queued = false; !a.gone {
					s.assign(a)
				}
			}
		}
		for c := range s.emptied {
			delete(s.emptied, c)
			if c.empty() && (c.pod == nil && s.containers[c.id] == c || c.pod != nil && s.pods.byID[c.id] == c) {
				s.remove(c)
			}
		}
	}
	return worked
}

// relink derives a container's links anew and has placed again what they, or
// their absence, decide.
func (s *site) relink(c *container) {
	if c.pod != nil {
		s.relinkAddresses(c, c.podAddresses())
		s.markDirty(c)
		return
	}
	if c.stale.has("") {
		ends := c.links.ends
		c.links.starts, c.links.ends = c.startsAndEnds()
		if since := firstDifference(ends, c.links.ends); since < math.MaxInt64 {
			s.enqueueOutlived(c, since)
			for maker := range c.made.all() {
				if maker.numbered() {
					maker.site.enqueueBeside(maker)
				}
			}
			if c.begun.c != nil {
				s.regardAccounts(c.begun.at)
			}
			for exec := range c.execs { // an exec ends with its container
				c.stale.add(exec)
			}
		}
		s.relinkMounts(c)
		s.relinkAddresses(c, c.addrTenures(c.links))
		if made := c.madeAt(); made != c.links.made {
			c.links.made = made
			for _, l := range c.links.addrs {
				s.enqueueAddress(l)
			}
		}
	}
	for exec := range c.stale.all() {
		now := pidTenures(c.turns, nil, c.links.ends)
		if exec != "" {
			now = pidTenures(c.execs[exec], exits(c.execs[exec]), c.links.ends)
		}
		s.relinkProcess(c, exec, now)
	}
	c.stale = few[string]{}
	if s.containers[c.id] == c {
		s.regardBeginning(c, true)
		s.rehome(c)
	}
	s.markDirty(c)
}

func (s *site) relinkProcess(c *container, exec string, now []pidTenure) {
	gone, come := difference(c.links.processesOf(exec), now)
	for _, l := range gone {
		s.pids[l.pid].tenures.remove(tenure{c, exec, l.when})
		s.enqueueProcess(l)
		s.releasePID(l.pid)
	}
	for _, l := range come {
		s.pid(l.pid).tenures.add(tenure{c, exec, l.when})
		s.enqueueProcess(l)
	}
	c.links.setProcesses(exec, now)
}

func (s *site) relinkAddresses(c *container, now []addrTenure) {
	gone, come := difference(c.links.addrs, now)
	for _, l := range gone {
		s.addrs[l.addr].tenures.remove(tenure{c, "", l.when})
		s.enqueueAddress(l)
		s.releaseAddress(l.addr)
	}
	for _, l := range come {
		s.address(l.addr).tenures.add(tenure{c, "", l.when})
		s.enqueueAddress(l)
	}
	c.links.addrs = now
}

// difference lists what is only in the first list and what is only in the
// second.
func difference[T comparable](before, after []T) (gone, come []T) {
	was := make(map[T]bool, len(before))
	for _, x := range before {
		was[x] = true
	}
	for _, x := range after {
		if !was[x] {
			come = append(come, x)
		}
		delete(was, x)
	}
	for x := range was {
		gone = append(gone, x)
	}
	return gone, come
}

// firstDifference is the earliest time that is only in one of two ordered
// lists, the greatest number if they are equal.
func firstDifference(a, b []int64) int64 {
	for i := range max(len(a), len(b)) {
		switch {
		case i == len(a):
			return b[i]
		case i == len(b):
			return a[i]
		case a[i] != b[i]:
			return min(a[i], b[i])
		}
	}
	return math.MaxInt64
}

// enqueueOutlived places again what names a parent in a container of which it
// is now known otherwise when it ended.
func (s *site) enqueueOutlived(c *container, since int64) {
	// Ends before that are the same, so what ran before the last of them is
	// not concerned.
	from := int64(math.MinInt64)
	if i, _ := slices.BinarySearch(c.links.ends, since); i > 0 {
		from = c.links.ends[i-1]
	}
	for a := range c.acts.between(interval{from, math.MaxInt64}) {
		if a.process() != nil {
			s.enqueueChildren(a, since)
		}
	}
}
