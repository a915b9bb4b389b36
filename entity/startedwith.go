package entity

import (
	"maps"
	"slices"
	"strings"

	"tidewaiter/event"
)

// The kubelet says when it started a pod's container, and on which node; the
// node's own records say when a container began. Where one of each lies at one
// time, and none else, they are one, even if no record names both.

// startSlack is how far the two may lie apart: the kubelet writes whole
// seconds, and after the runtime has answered.
const startSlack = 2 * event.Second

// begun is when a container began, and what tells it from others that did.
type begun struct {
	c       *container
	at      int64
	image   string          // its image's repository, "" if not known
	sandbox bool            // a pod's, not a container's
	told    event.ObjectRef // the pod that is told of it
}

func (b begun) when() int64 { return b.at }

func (b begun) compare(o begun) int {
	if b.at != o.at {
		if b.at < o.at {
			return -1
		}
		return 1
	}
	return strings.Compare(b.c.id, o.c.id)
}

// beginning is when the container began by its links and by the helper that
// made it. ok is false if nothing tells.
func (c *container) beginning() (b begun, ok bool) {
	b = begun{c: c, at: always.to}
	for _, at := range c.links.starts {
		b.at = min(b.at, at)
	}
	if first, made := c.made.first(); made && !first.untimed() {
		b.at = min(b.at, first.when())
	}
	if b.at == always.to || c.site.place.Host == "" {
		return b, false
	}
	for l := range c.life.all() {
		if e, is := l.event.Body.(*event.Container); is && e.Image.Repository() != "" {
			b.image = e.Image.Repository()
			break
		}
	}
	b.sandbox = c.isSandbox() || isPause(b.image)
	b.told = c.site.cluster.claimedPod(c.id)
	return b, true
}

// regardBeginning files a container under its beginning and has those linked
// anew for which that makes a difference.
func (s *site) regardBeginning(c *container, known bool) {
	now, ok := c.beginning()
	if !known || !ok {
		now = begun{}
	}
	if now == c.begun {
		return
	}
	if c.begun.c != nil {
		s.begun.remove(c.begun)
		s.regardBegun(c.begun.at)
	}
	if c.begun = now; now.c != nil {
		s.begun.add(now)
		s.regardBegun(now.at)
	}
}

// regardBegun has the containers linked anew that began around an instant.
func (s *site) regardBegun(at int64) {
	s.regardAccounts(at)
	for b := range s.begun.between(interval{at, at}.widened(3 * startSlack)) {
		s.changed[b.c] = true
	}
}

// startedEvent is the kubelet's statement that it started a container, nil for
// any other event.
func startedEvent(e *event.Event) *event.KubeEvent {
	if k, ok := e.Body.(*event.KubeEvent); ok && k.Reason == "Started" && k.Node != "" && !e.Time.IsZero() {
		return k
	}
	return nil
}

// fileStarted files, or takes out, what the kubelet says it started. s is the
// cluster's site, c the pod.
func (s *site) fileStarted(c *container, e *event.Event, by int) {
	regard := func(e *event.Event, k *event.KubeEvent) {
		for m := range s.members {
			if m.place.Host == k.Node {
				m.regardBegun(e.Time.At)
			}
		}
	}
	if k := startedEvent(e); k != nil {
		t := s.pods.started[k.Node]
		if t == nil {
			t = &timeline[*lifeEvent]{}
			s.pods.started[k.Node] = t
		}
		if by > 0 {
			t.add(&lifeEvent{event: e})
		} else if t.remove(&lifeEvent{event: e}); t.len() == 0 {
			delete(s.pods.started, k.Node)
		}
		regard(e, k)
	} else if k, ok := e.Body.(*event.KubeEvent); ok && !k.Image.IsZero() {
		for l := range c.life.all() {
			if k := startedEvent(l.event); k != nil {
				regard(l.event, k)
			}
		}
	}
}

// fits reports that a beginning can be what the kubelet says it started.
func (s *site) fits(b begun, e *event.Event) bool {
	k := e.Body.(*event.KubeEvent)
	if b.sandbox || b.at < e.Time.At-startSlack || b.at > e.Time.End()+startSlack {
		return false
	}
	if b.told.Name != "" {
		return b.told.Namespace == k.Object.Namespace && b.told.Name == k.Object.Name && (b.told.UID == "" || k.Object.UID == "" || b.told.UID == k.Object.UID)
	}
	if b.told.UID != "" {
		return b.told.UID == k.Object.UID
	}
	images := s.cluster.imagesOf(k)
	return b.image == "" || len(images) == 0 || slices.Contains(images, b.image)
}

// imagesOf are the repositories of the images that events name for a pod's container.
func (s *site) imagesOf(k *event.KubeEvent) []string {
	known := map[string]bool{}
	ref := event.ObjectRef{Namespace: k.Object.Namespace, Name: k.Object.Name, UID: k.Object.UID}
	if pod := s.pods.byID[podID(podName{ref.Namespace, ref.Name}, ref.UID)]; pod != nil {
		for l := range pod.life.all() {
			if o, ok := l.event.Body.(*event.KubeEvent); ok && o.Container == k.Container && o.Image.Repository() != "" {
				known[o.Image.Repository()] = true
			}
		}
	}
	return slices.Collect(maps.Keys(known))
}

// podStartedWith is the pod that a container is in because the kubelet says
// that it started just one container when just this one began.
func (s *site) podStartedWith(c *container) event.ObjectRef {
	t := s.cluster.pods.started[s.place.Host]
	if t == nil || c.begun.c == nil || !c.begun.told.IsZero() {
		return event.ObjectRef{}
	}
	var only *event.Event
	for l := range t.between(s.reach(interval{c.begun.at, c.begun.at}, startSlack+event.Second)) {
		if !s.fits(c.begun, l.event) || s.explained(l.event) {
			continue
		}
		if only != nil {
			return event.ObjectRef{}
		}
		only = l.event
	}
	if only == nil {
		return event.ObjectRef{}
	}
	for b := range s.begun.between(interval{only.Time.At - startSlack, only.Time.End() + startSlack}) {
		if b.c != c && s.fits(b, only) {
			return event.ObjectRef{}
		}
	}
	return only.Body.(*event.KubeEvent).Object
}

// explained reports that a container of which its pod is told is what the
// kubelet says it started.
func (s *site) explained(e *event.Event) bool {
	for b := range s.begun.between(interval{e.Time.At - startSlack, e.Time.End() + startSlack}) {
		if !b.told.IsZero() && s.fits(b, e) {
			return true
		}
	}
	return false
}
