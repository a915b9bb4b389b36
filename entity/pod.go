package entity

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"tidewaiter/event"
)

// A pod is a container record of its own at the site of its cluster: it has a
// life, addresses, and things placed in it, as a container has. Its containers
// are records at the sites of their hosts. What ties them is told by labels,
// by the kubelet's status, by a CRI runtime's log, and by sensors; all of it is
// a claim about a container id, and filed as one.

// podInfo makes a container record a pod's.
type podInfo struct {
	name podName
	uid  string // "" for what is told of it by name only
	// inner are the containers known to be in it.
	inner map[*container]bool
	// told is the number of acts that sensors tell with its UID.
	told int
	// watch are the owners from which its own was last worked out.
	watch []ownerKey
	// shares are the addresses of its node, if it is in the node's network.
	shares []netip.Addr
	inHost bool
}

type podName struct{ namespace, name string }

// podNames are the pods that had one name, one after another: a name is given
// again after a deletion.
type podNames struct {
	byUID map[*container]bool // those known by their UID
	// unnamed is what is told by the name alone.
	unnamed *container
	// acts are what sensors tell by the name, containers those tied by it.
	acts       timeline[*act]
	containers map[*container]bool
}

// podStore is what a cluster's records say of its pods.
type podStore struct {
	byID   map[string]*container
	byName map[podName]*podNames
	// claims are what is said of container ids: whose they are.
	claims map[string]*claims
	// started is what kubelets say they started, by node.
	started map[string]*timeline[*lifeEvent]
}

func newPodStore() podStore {
	return podStore{map[string]*container{}, map[podName]*podNames{}, map[string]*claims{}, map[string]*timeline[*lifeEvent]{}}
}

// claims are what records say about whose a container id is, each with the
// number of records that say so.
type claims struct {
	pods map[event.ObjectRef]int // as all here, nil if there are none
	// inferred are the pods that connections let infer, if nothing tells.
	inferred map[event.ObjectRef]int
	// sandboxes are those that it lies in; lying those that lie in it.
	sandboxes, lying map[string]int
	// records are the containers with this id, at any host of the cluster.
	records few[*container]
}

func (s *site) claimsOf(id string) *claims {
	c := s.pods.claims[id]
	if c == nil {
		c = &claims{}
		s.pods.claims[id] = c
	}
	return c
}

// releaseClaims lets the claims about an id go if there are none.
func (s *site) releaseClaims(id string) {
	if c := s.pods.claims[id]; c != nil && len(c.pods)+len(c.inferred)+len(c.sandboxes)+len(c.lying)+c.records.len() == 0 {
		delete(s.pods.claims, id)
	}
}

func countKey[K comparable](m map[K]int, k K, by int) {
	if m[k] += by; m[k] == 0 {
		delete(m, k)
	}
}

// countFew is countKey of a map that there is only while it has something.
func countFew[K comparable](m *map[K]int, k K, by int) {
	if *m == nil {
		*m = map[K]int{}
	}
	if countKey(*m, k, by); len(*m) == 0 {
		*m = nil
	}
}

// podClaim counts that a record says which pod a container is in. s is the
// cluster's site.
func (s *site) podClaim(id string, pod event.ObjectRef, by int) {
	if id == "" || pod.UID == "" && pod.Name == "" {
		return
	}
	c := s.claimsOf(id)
	countFew(&c.pods, event.ObjectRef{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}, by)
	s.regardClaims(c)
	s.releaseClaims(id)
}

// sandboxClaim counts that a record says in which sandbox a container lies.
func (s *site) sandboxClaim(id, sandbox string, by int) {
	if id == "" || sandbox == "" {
		return
	}
	c := s.claimsOf(id)
	countFew(&c.sandboxes, sandbox, by)
	o := s.claimsOf(sandbox)
	countFew(&o.lying, id, by)
	s.regardClaims(c)
	s.regardClaims(o)
	s.releaseClaims(id)
	s.releaseClaims(sandbox)
}

// regardClaims has the containers linked anew of which it is said otherwise
// now whose they are.
func (s *site) regardClaims(c *claims) {
	for r := range c.records.all() {
		r.site.changed[r] = true
	}
	for _, others := range []map[string]int{c.lying, c.sandboxes} {
		for id := range others {
			if o := s.pods.claims[id]; o != nil {
				for r := range o.records.all() {
					r.site.changed[r] = true
				}
			}
		}
	}
}

// claimedPod is the pod that a container id is said to be in: one told with its
// UID before one told by name, and of several the first in order.
func (s *site) claimedPod(id string) event.ObjectRef {
	c := s.pods.claims[id]
	if c == nil {
		return event.ObjectRef{}
	}
	refs := slices.Collect(maps.Keys(c.pods))
	for _, others := range []map[string]int{c.sandboxes, c.lying} {
		for id := range others {
			if o := s.pods.claims[id]; o != nil {
				refs = slices.AppendSeq(refs, maps.Keys(o.pods))
			}
		}
	}
	if len(refs) == 0 {
		return event.ObjectRef{}
	}
	return slices.MinFunc(refs, func(a, b event.ObjectRef) int {
		if (a.UID == "") != (b.UID == "") {
			return cmp.Compare(b.UID, a.UID)
		}
		return cmp.Or(cmp.Compare(a.UID, b.UID), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// claim counts what an event says about whose containers are.
func (s *site) claim(e *event.Event, by int) {
	cluster := s.cluster
	switch b := e.Body.(type) {
	case *event.Container:
		cluster.podClaim(b.ID, podOfLabels(b.Labels), by)
		cluster.sandboxClaim(b.ID, b.Sandbox, by)
	case *event.ContainerDescription:
		cluster.podClaim(b.ID, podOfLabels(b.Labels), by)
	case *event.Sandbox:
		cluster.podClaim(b.ID, b.Object, by)
	case *event.PodStatus:
		for _, c := range b.Containers {
			cluster.podClaim(c.ID, b.Object, by)
		}
	}
}

// podOfLabels is the pod that the kubelet writes into a container's labels.
func podOfLabels(labels map[string]string) event.ObjectRef {
	return event.ObjectRef{
		Namespace: labels["io.kubernetes.pod.namespace"], Name: labels["io.kubernetes.pod.name"], UID: labels["io.kubernetes.pod.uid"],
	}
}

// isSandbox reports the labels of a pod's sandbox, which the kubelet's runtime
// makes beside the containers.
func isSandbox(labels map[string]string) bool {
	return labels["io.cri-containerd.kind"] == "sandbox" || labels["io.kubernetes.docker.type"] == "podsandbox" || labels["io.kubernetes.container.name"] == "POD"
}

// pod finds or makes the record of a pod, or of what is told by its name if no
// UID is. nil if neither is told. s is the cluster's site.
func (s *site) pod(ref event.ObjectRef) *container {
	name := podName{ref.Namespace, ref.Name}
	if ref.UID == "" && ref.Name == "" {
		return nil
	}
	id := podID(name, ref.UID)
	c := s.pods.byID[id]
	if c != nil {
		return c
	}
	c = newContainer(s, id)
	c.pod = &podInfo{name: name, uid: ref.UID, inner: map[*container]bool{}}
	s.pods.byID[id] = c
	s.emptied[c] = true // if nothing comes of it
	n := s.podNames(name)
	if ref.UID == "" {
		n.unnamed = c
		return c
	}
	n.byUID[c] = true
	s.regardNames(n)
	return c
}

// podID names a pod among those of its cluster. Names in logs are hostile:
// what separates them is escaped in them.
func podID(name podName, uid string) string {
	escape := strings.NewReplacer("%", "%25", "/", "%2F")
	id := escape.Replace(name.namespace) + "/" + escape.Replace(name.name)
	if uid != "" {
		id += "/" + escape.Replace(uid)
	}
	return id
}

func (s *site) podNames(name podName) *podNames {
	n := s.pods.byName[name]
	if n == nil {
		n = &podNames{byUID: map[*container]bool{}, containers: map[*container]bool{}}
		s.pods.byName[name] = n
	}
	return n
}

// releaseNames lets a name go of which nothing is known any more.
func (s *site) releaseNames(name podName) {
	if n := s.pods.byName[name]; n != nil && len(n.byUID)+len(n.containers)+n.acts.len() == 0 && n.unnamed == nil {
		delete(s.pods.byName, name)
	}
}

// regardNames places everything again that is told by a name: it may mean
// another pod now.
func (s *site) regardNames(n *podNames) {
	for a := range n.acts.all() {
		a.site.enqueue(a)
	}
	for c := range n.containers {
		c.site.changed[c] = true
	}
	for c := range n.byUID {
		s.r.dirty[c.subjectID()] = true
	}
	if n.unnamed != nil {
		s.r.dirty[n.unnamed.subjectID()] = true
	}
}

// podAt is the pod that a name meant at a time: the one that was first heard
// of last by then, else the earliest.
func (s *site) podAt(name podName, at event.Time) *container {
	n := s.podNames(name)
	var last, first *container
	for c := range n.byUID {
		begin := c.podBegin()
		if begin <= at.End()+event.Skew && (last == nil || cmp.Or(cmp.Compare(begin, last.podBegin()), cmp.Compare(c.pod.uid, last.pod.uid)) > 0) {
			last = c
		}
		if first == nil || cmp.Or(cmp.Compare(begin, first.podBegin()), cmp.Compare(c.pod.uid, first.pod.uid)) < 0 {
			first = c
		}
	}
	if found := cmp.Or(last, first); found != nil {
		return found
	}
	return s.pod(event.ObjectRef{Namespace: name.namespace, Name: name.name})
}

// podOf is the pod that a reference means at a time, nil if it names none.
func (s *site) podOf(ref event.ObjectRef, at event.Time) *container {
	switch {
	case ref.UID != "":
		return s.pod(ref)
	case ref.Name != "":
		return s.podAt(podName{ref.Namespace, ref.Name}, at)
	}
	return nil
}

// begin is when a record was first heard of: the time of its first event that
// has one.
func (c *container) begin() int64 {
	if first, ok := c.life.after(&lifeEvent{event: &event.Event{}}); ok {
		return first.when()
	}
	return always.to
}

// podBegin is when a pod was first heard of: itself, or a container of which its
// UID is told.
func (c *container) podBegin() int64 {
	first := c.begin()
	for in := range c.pod.inner {
		if in.dated.pod == c {
			first = min(first, in.dated.at)
		}
	}
	return first
}

// addPodLife takes in an event about a pod. s is the cluster's site.
func (s *site) addPodLife(ref event.ObjectRef, e *event.Event) bool {
	c := s.pod(ref)
	if c == nil {
		return false
	}
	begin := c.begin()
	c.life.add(&lifeEvent{event: e})
	c.vouched++
	s.claim(e, +1)
	s.fileStarted(c, e, +1)
	if n := s.podNames(c.pod.name); c.pod.uid != "" && len(n.byUID) > 1 && c.begin() != begin {
		s.regardNames(n)
	}
	c.stale.add("")
	s.changed[c] = true
	s.markDirty(c)
	return true
}

// aboutPod is the pod that an event is about, if it is about one.
func aboutPod(b event.Body) (event.ObjectRef, bool) {
	switch b := b.(type) {
	case *event.Pod:
		return b.Object, true
	case *event.PodStatus:
		return b.Object, true
	case *event.PodAccess:
		return b.Object, true
	case *event.KubeEvent:
		return b.Object, true
	case *event.Sandbox:
		return b.Object, true
	}
	return event.ObjectRef{}, false
}

// removePod takes a pod out of which nothing is known any more.
func (s *site) removePod(c *container) {
	n := s.podNames(c.pod.name)
	delete(s.pods.byID, c.id)
	if c.pod.uid == "" {
		n.unnamed = nil
	} else {
		delete(n.byUID, c)
		s.regardNames(n)
	}
	s.releaseNames(c.pod.name)
}

// podOfContainer is the pod that a container is said to be in, else the one
// that it is by inference; zero if neither is known.
func (s *site) podOfContainer(c *container) event.ObjectRef {
	if ref := s.cluster.claimedPod(c.id); !ref.IsZero() {
		return ref
	}
	return s.inferredPod(c)
}

// rehome links a container to the pod that it is said to be in.
func (s *site) rehome(c *container) {
	if with := s.podStartedWith(c); with != c.startedWith {
		c.startedWith = with
		s.cluster.regardClaims(s.cluster.claimsOf(c.id)) // its sandbox is there, too
	}
	ref := s.podOfContainer(c)
	now := s.cluster.podOf(ref, event.Time{At: c.begin()})
	if ref.UID == "" && ref.Name != "" {
		s.cluster.tieByName(c, podName{ref.Namespace, ref.Name})
	} else {
		s.cluster.tieByName(c, podName{})
	}
	s.dates(c, now)
	if now == c.home {
		if now != nil {
			now.site.emptied[now] = true // it may have been its only proof
		}
		return
	}
	if old := c.home; old != nil {
		delete(old.pod.inner, c)
		old.site.emptied[old] = true
		old.site.markDirty(old)
	}
	s.r.dirty[c.canonical().subjectID()] = true
	s.cluster.regardClaims(s.cluster.claimsOf(c.id))
	if c.home = now; now != nil {
		now.pod.inner[c] = true
		now.site.markDirty(now)
	}
}

// dating is the pod of whose beginning a container tells, and when that was.
type dating struct {
	pod *container
	at  int64
}

// dates notes of which pod's beginning a container tells, which is that of the
// pod whose UID it is told with.
func (s *site) dates(c, pod *container) {
	now := dating{}
	if pod != nil && c.tiedBy.name == "" {
		now = dating{pod, c.begin()}
	}
	if was := c.dated; was != now {
		c.dated = now
		s.regardNamesOf(was.pod)
		s.regardNamesOf(now.pod)
	}
}

// regardNamesOf places everything again that is told by a pod's name, if
// others had it, too: it may have begun at another time than was known.
func (s *site) regardNamesOf(pod *container) {
	if pod == nil || pod.pod.uid == "" {
		return
	}
	if n := s.cluster.pods.byName[pod.pod.name]; n != nil && len(n.byUID) > 1 {
		s.cluster.regardNames(n)
	}
}

// unhome takes a container out of its pod, and out of what is claimed of it.
func (s *site) unhome(c *container) {
	s.regardBeginning(c, false)
	s.cluster.tieByName(c, podName{})
	if pod := c.home; pod != nil {
		delete(pod.pod.inner, c)
		pod.site.emptied[pod] = true
		pod.site.markDirty(pod)
		c.home = nil
		s.dates(c, nil)
	}
	s.cluster.claimsOf(c.id).records.remove(c)
	s.cluster.releaseClaims(c.id)
}

// tieByName files a container under the name by which alone its pod is told.
func (s *site) tieByName(c *container, name podName) {
	if c.tiedBy == name {
		return
	}
	if old := c.tiedBy; old.name != "" {
		delete(s.podNames(old).containers, c)
		s.releaseNames(old)
	}
	if c.tiedBy = name; name.name != "" {
		s.podNames(name).containers[c] = true
	}
}

// podAddresses ties a pod's addresses to its time, from what the kubelet
// reports. A pod in the host's network has none of its own.
func (c *container) podAddresses() []addrTenure {
	from, to := c.podTimes()
	seen := map[addrTenure]bool{}
	for l := range c.life.all() {
		for _, a := range ownAddrs(l.event.Body) {
			seen[addrTenure{a.Unmap(), interval{from, to}}] = true
		}
	}
	return slices.Collect(maps.Keys(seen))
}

// podTimes is from when to when a pod can have had its address: from when the
// kubelet first saw it, else from when it was first heard of, to its last
// deletion.
func (c *container) podTimes() (from, to int64) {
	from, to = c.begin(), always.to
	for l := range c.life.all() {
		switch b := l.event.Body.(type) {
		case *event.PodStatus:
			if !b.StartedAt.IsZero() {
				from = min(from, b.StartedAt.At)
			}
		case *event.Pod:
			if b.Verb == event.VerbDelete && b.Code < 400 && (to == always.to || l.when() > to) {
				to = l.when()
			}
		}
	}
	if from == always.to {
		from = always.from
	}
	return from, max(from, to)
}

// ownAddrs are the addresses that a record says are a pod's alone.
func ownAddrs(b event.Body) []netip.Addr {
	switch b := b.(type) {
	case *event.PodStatus:
		return slices.DeleteFunc(slices.Clone(b.Addrs), func(a netip.Addr) bool { return !a.IsValid() || slices.Contains(b.HostAddrs, a) })
	case *event.Sandbox:
		return slices.DeleteFunc(slices.Clone(b.Addrs), func(a netip.Addr) bool { return !a.IsValid() })
	}
	return nil
}
