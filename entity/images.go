package entity

import (
	"math"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// imageStore is what happened to the images of one host, and what look-ups say
// about them.
type imageStore struct {
	site *site
	acts timeline[*imageAct]
	// came finds what brought an image here. bound finds by name what tied it
	// to a digest, resolved what a registry named for it.
	came            map[cameKey]*timeline[*imageAct]
	bound, resolved map[string]*timeline[*imageAct]
	// committed finds by container the images that were made of it.
	committed map[string]*timeline[*imageAct]
	writes    storeWrites
	// described are the look-ups, which have no time.
	described timeline[*imageAct]
	byID      map[image.Digest][]*event.ImageDescription
	byTag     counted
	byShort   counted // every digest, by its first hex digits
	// published counts the records that tell a digest as a registry's.
	published map[image.Digest]int
	// watchers are the containers that an event about a name, a digest, or an
	// id's first digits concerns: a host can have a hundred thousand others.
	watchers map[string]map[*container]bool
}

// imageAct is an event about an image.
type imageAct struct {
	event *event.Event
	// name is the key of the reference, "" if it has none.
	name string
	// target is the digest that a name by tag meant, and edge what a config was
	// found to be contained in, told by the other names of one pull.
	target image.Digest
	edge   image.Edge
}

func (a *imageAct) when() int64             { return a.event.Time.At }
func (a *imageAct) compare(o *imageAct) int { return compareEvents(a.event, o.event) }

// body is the event's, nil for what a registry named and for look-ups.
func (a *imageAct) body() *event.Image {
	b, _ := a.event.Body.(*event.Image)
	return b
}

// digests are those that the event tells, or that others tell for it.
func (a *imageAct) digests() []image.Digest {
	var all []image.Digest
	switch b := a.event.Body.(type) {
	case *event.Image:
		all = []image.Digest{b.Digest, b.Reference.Digest(), a.target}
	case *event.ImageResolved:
		all = []image.Digest{b.Digest}
	case *event.ImageDescription:
		all = []image.Digest{b.ID}
	}
	slices.SortFunc(all, image.Digest.Compare)
	return slices.DeleteFunc(slices.Compact(all), image.Digest.IsZero)
}

// cameKey is a way in which an image can have come here: an action, on a
// digest, or on a name for which no digest is told.
type cameKey struct {
	action event.ImageAction
	what   string
}

// counted are digests by some text, each with the number of records that say
// so.
type counted map[string]map[image.Digest]int

func (c counted) count(text string, d image.Digest, by int) {
	if c[text] == nil {
		c[text] = map[image.Digest]int{}
	}
	if c[text][d] += by; c[text][d] == 0 {
		delete(c[text], d)
	}
	if len(c[text]) == 0 {
		delete(c, text)
	}
}

// only is the one digest with this text for which fits is true; zero if there
// are several, or none.
func (c counted) only(text string, fits func(image.Digest) bool) image.Digest {
	var found image.Digest
	for d := range c[text] {
		if !fits(d) {
			continue
		}
		if !found.IsZero() {
			return image.Digest{}
		}
		found = d
	}
	return found
}

func newImageStore(s *site) imageStore {
	return imageStore{
		site: s, came: map[cameKey]*timeline[*imageAct]{}, writes: newStoreWrites(),
		bound: map[string]*timeline[*imageAct]{}, resolved: map[string]*timeline[*imageAct]{}, committed: map[string]*timeline[*imageAct]{},
		published: map[image.Digest]int{}, byID: map[image.Digest][]*event.ImageDescription{}, byTag: counted{}, byShort: counted{},
		watchers: map[string]map[*container]bool{},
	}
}

// addImage takes in an event about an image. Which containers it concerns is
// worked out when they are asked for.
func (s *site) addImage(e *event.Event) bool {
	st, a := &s.images, &imageAct{event: e}
	switch b := e.Body.(type) {
	case *event.ImageDescription:
		st.described.add(a)
		st.describe(b, +1)
	case *event.ImageResolved:
		a.name = b.Reference.Key()
		st.acts.add(a)
	case *event.Image:
		if b.Action == event.ImageSave {
			return false
		}
		a.name = b.Reference.Key()
		st.acts.add(a)
		st.writes.add(a)
	}
	st.file(a, +1)
	st.regroup(a)
	s.regardSteps(e.Time.At)
	s.regardBuilt(e.Time.At) // it may be what a build began with
	s.regardClientsWaiting(interval{e.Time.At, e.Time.At})
	st.keepBounds()
	return true
}

// keepBounds pushes out the oldest of what happened, and any look-ups.
func (st *imageStore) keepBounds() {
	for st.acts.len() > st.site.r.limits.Images {
		a, _ := st.acts.first()
		st.acts.remove(a)
		around := st.writes.around(a)
		st.writes.remove(a)
		st.file(a, -1)
		st.setEdge(a, image.Edge{})
		st.regroupIn(a, around)
		st.pushedOut(a)
	}
	for st.described.len() > st.site.r.limits.Images {
		a, _ := st.described.first()
		st.described.remove(a)
		st.describe(a.event.Body.(*event.ImageDescription), -1)
		st.file(a, -1)
		st.pushedOut(a)
	}
}

// letGo lets go of what happened to images before an instant and again since: of
// two pulls of one image, say, the earlier matters only to containers made
// between them. What was pushed matters to what a registry tells of that alone.
func (st *imageStore) letGo(before int64) {
	var old []*imageAct
	for a := range st.acts.all() {
		if a.when() >= before {
			break
		}
		next := st.again(a)
		again := next != nil && next.when() < before && !st.site.madeBetween(a.when()-reorder, next.when()+reorder) && !st.site.inBuild(a.when())
		if b := a.body(); (again || b != nil && b.Action == event.ImagePush) && !st.ofPush(a) {
			old = append(old, a)
		}
	}
	for _, a := range old {
		st.acts.remove(a)
		st.file(a, -1)
		st.site.regardClientsWaiting(interval{a.when(), a.when()})
		st.site.r.released = append(st.site.r.released, a.event.ID)
	}
}

// again is the next event that says the same of an image as a does, nil if there
// is none. What a CRI runtime writes belongs to other writes, and stays.
func (st *imageStore) again(a *imageAct) *imageAct {
	b := a.body()
	_, grouped := repositoryOf(a)
	_, config := configID(a)
	if b == nil || grouped || config || !brings(b.Action) {
		return nil
	}
	digests := a.digests()
	what := a.name
	if len(digests) > 0 {
		what = digests[0].String()
	}
	came := st.came[cameKey{b.Action, what}]
	if came == nil {
		return nil
	}
	for o := range came.between(interval{a.when(), math.MaxInt64}) {
		if o.compare(a) > 0 && o.name == a.name && slices.Equal(o.digests(), digests) {
			return o
		}
	}
	return nil
}

// madeBetween reports that a container that is known was made in a stretch of
// time.
func (s *site) madeBetween(from, to int64) bool {
	for range s.makings.between(interval{from, to}) {
		return true
	}
	return false
}

func (st *imageStore) pushedOut(a *imageAct) {
	st.site.regardBuilt(a.when())
	st.site.regardClientsWaiting(interval{a.when(), a.when()})
	st.site.r.drop(droppedImages, st.site.place.String())
	st.site.r.released = append(st.site.r.released, a.event.ID)
}

// file enters an event where it is looked up, or takes it out, and tells the
// containers that it concerns.
func (st *imageStore) file(a *imageAct, by int) {
	digests := a.digests()
	for _, d := range digests {
		st.byShort.count(d.Short(), d, by)
		st.tell(d.String())
		st.tell(shortToken(d.Short()))
	}
	st.tell(a.name)
	st.collect(a, by)
	st.publish(a.target, by)
	switch b := a.event.Body.(type) {
	case *event.Image:
		st.publish(b.Reference.Digest(), by)
	case *event.ImageResolved:
		st.publish(b.Digest, by)
	}
	if of := a.committedOf(); of != "" {
		enter(st.committed, of, a, by)
		st.tellCommitted(a)
	}
	switch b := a.body(); {
	case b == nil && a.name != "":
		enter(st.resolved, a.name, a, by)
	case b == nil || !brings(b.Action) || a.name == "" && len(digests) == 0:
	case len(digests) == 0:
		enter(st.came, cameKey{b.Action, a.name}, a, by)
	default:
		for _, d := range digests {
			enter(st.came, cameKey{b.Action, d.String()}, a, by)
		}
		if !boundDigest(a).IsZero() {
			enter(st.bound, a.name, a, by)
		}
	}
}

func enter[K comparable](m map[K]*timeline[*imageAct], k K, a *imageAct, by int) {
	switch {
	case by < 0:
		m[k].remove(a)
		if m[k].len() == 0 {
			delete(m, k)
		}
		return
	case m[k] == nil:
		m[k] = &timeline[*imageAct]{}
	}
	m[k].add(a)
}

func lastOf[K comparable](m map[K]*timeline[*imageAct], k K, upTo int64) *imageAct {
	if m[k] == nil {
		return nil
	}
	a, _ := m[k].last(upTo)
	return a
}

// describe counts what a look-up says of an image.
func (st *imageStore) describe(b *event.ImageDescription, by int) {
	if by > 0 {
		st.byID[b.ID] = append(st.byID[b.ID], b)
	} else {
		st.byID[b.ID] = slices.DeleteFunc(st.byID[b.ID], func(o *event.ImageDescription) bool { return o == b })
		if len(st.byID[b.ID]) == 0 {
			delete(st.byID, b.ID)
		}
	}
	for _, r := range b.RepoTags {
		if name := r.Key(); name != "" {
			st.byTag.count(name, b.ID, by)
			st.tell(name)
		}
	}
	for _, r := range b.RepoDigests {
		st.site.r.countEdge(image.Edge{Parent: r.Digest(), Child: b.ID}, by)
		if r.Digest() != b.ID {
			st.publish(r.Digest(), by)
		}
	}
}

// publish counts a digest that a registry names an image by. An id that stands
// as a whole name is none.
func (st *imageStore) publish(d image.Digest, by int) {
	if !d.IsZero() {
		countKey(st.published, d, by)
		st.tell(d.String())
	}
}

// shortToken is what a container watches that names its image by an id's first
// digits.
func shortToken(short string) string { return "short:" + short[:min(len(short), shortID)] }

// tell marks the containers that watch a name, a digest or an id's beginning, and
// the pushes of that.
func (st *imageStore) tell(what string) {
	st.site.r.publications.regard(what, st.site.r.dirty)
	for c := range st.watchers[what] {
		st.site.markDirty(c)
	}
}

// touch marks the containers of which an event can be evidence.
func (st *imageStore) touch(e *event.Event) {
	if a, ok := st.acts.find(&imageAct{event: e}); ok {
		st.site.regardBuilt(a.when())
		st.tellCommitted(a)
		st.tell(a.name)
		for _, d := range a.digests() {
			st.tell(d.String())
		}
		for o := range st.pullOf(a) { // it is told with the others
			for _, d := range o.digests() {
				st.tell(d.String())
			}
		}
	}
}

// watch replaces what a container watches.
func (st *imageStore) watch(c *container, what []string) {
	slices.Sort(what)
	what = slices.Compact(what)
	if slices.Equal(c.watch, what) {
		return
	}
	for _, w := range c.watch {
		if delete(st.watchers[w], c); len(st.watchers[w]) == 0 {
			delete(st.watchers, w)
		}
	}
	for _, w := range what {
		if st.watchers[w] == nil {
			st.watchers[w] = map[*container]bool{}
		}
		st.watchers[w][c] = true
	}
	c.watch = what
}

// identity is which image a container was made of, and how that came here.
type identity struct {
	digests []image.Digest // what was run and everything known to contain it
	// published is set when a registry names the image by one of them.
	published bool
	arrivals  []*event.Event
	origin    evidence.ImageOrigin
	watch     []string // what all this rests on
}

// identify works out a container's image from what its creation named, what
// the runtime said, and when it was made.
func (st *imageStore) identify(ref image.Reference, told []image.Digest, made event.Time) identity {
	upTo := always.to
	if !made.IsZero() {
		upTo = made.End() + exact
	}
	own := slices.Clone(told)
	if d := ref.Digest(); !d.IsZero() {
		own = append(own, d)
	}
	if d := st.meaning(ref, upTo); len(own) == 0 && !d.IsZero() {
		own = append(own, d)
	}
	var id identity
	if name := ref.Key(); name != "" {
		id.watch = append(id.watch, name)
	}
	if short := ref.ShortID(); short != "" {
		id.watch = append(id.watch, shortToken(short))
	}
	family := st.site.r.family
	related := map[image.Digest]bool{}
	for _, d := range own {
		id.digests = append(id.digests, family.Ancestors(d)...)
	}
	slices.SortFunc(id.digests, image.Digest.Compare)
	id.digests = slices.Compact(id.digests)
	id.published = ref.Form() == image.Named && !ref.Digest().IsZero()
	for _, d := range id.digests {
		id.published = id.published || st.published[d] > 0
		for _, r := range family.Descendants(d) {
			related[r] = true
		}
	}
	for d := range related {
		id.watch = append(id.watch, d.String())
	}
	id.arrivals = st.arrivals(ref.Key(), related, upTo)
	id.origin = st.originOf(id)
	for _, e := range id.arrivals {
		for _, a := range st.broughtBy(e) {
			id.arrivals = append(id.arrivals, a.event)
			if id.origin == evidence.OriginUnknown {
				id.origin = clientOrigins[a.client.verb]
			}
		}
	}
	if a := lastOf(st.resolved, ref.Key(), upTo); a != nil && related[a.event.Body.(*event.ImageResolved).Digest] {
		id.arrivals = append(id.arrivals, a.event) // what the name meant here
	}
	slices.SortFunc(id.arrivals, compareEvents)
	id.arrivals = slices.Compact(id.arrivals)
	return id
}

// clientOrigins are what a client's call tells of an image's origin, where no
// event does.
var clientOrigins = map[string]evidence.ImageOrigin{"load": evidence.OriginLoad, "import": evidence.OriginImport}

// meaning is what a reference without a digest meant on this host up to an
// instant: the last binding, else the one image that a look-up describes under
// that name. What came under the name later, without saying which image it is,
// ends a binding, except that a pull is what its registry's answer was for.
func (st *imageStore) meaning(ref image.Reference, upTo int64) image.Digest {
	if short := ref.ShortID(); short != "" {
		return st.byShort.only(short[:min(len(short), shortID)], func(d image.Digest) bool {
			_, hex, _ := strings.Cut(d.String(), ":")
			return strings.HasPrefix(hex, short)
		})
	}
	name := ref.Key()
	if name == "" {
		return image.Digest{}
	}
	bound, resolved := lastOf(st.bound, name, upTo), lastOf(st.resolved, name, upTo)
	if resolved != nil && (bound == nil || bound.compare(resolved) < 0) {
		return resolved.event.Body.(*event.ImageResolved).Digest
	}
	if bound != nil && !st.cameAfter(name, bound.when()+groupGap, upTo) {
		return boundDigest(bound)
	}
	return st.byTag.only(name, func(image.Digest) bool { return true })
}

// cameAfter reports whether something of no known digest came under a name.
func (st *imageStore) cameAfter(name string, since, upTo int64) bool {
	return slices.ContainsFunc(arrivalActions, func(action event.ImageAction) bool {
		last := lastOf(st.came, cameKey{action, name}, upTo)
		return last != nil && last.when() > since
	})
}

// boundDigest is the digest that an event ties its name to.
func boundDigest(a *imageAct) image.Digest {
	if a.name == "" {
		return image.Digest{}
	}
	if !a.target.IsZero() {
		return a.target
	}
	return a.body().Digest
}

// arrivals gives the events that brought an image to this host: the last of
// each kind of action that told one of its digests, or that told none and named
// it, unless the name meant something else since. What one pull wrote comes
// together.
func (st *imageStore) arrivals(name string, related map[image.Digest]bool, upTo int64) []*event.Event {
	bound := lastOf(st.bound, name, upTo)
	var out []*event.Event
	for _, action := range arrivalActions {
		last := lastOf(st.came, cameKey{action, name}, upTo)
		if name == "" || last != nil && bound != nil && last.compare(bound) < 0 {
			last = nil
		}
		for d := range related {
			if a := lastOf(st.came, cameKey{action, d.String()}, upTo); a != nil && (last == nil || last.compare(a) < 0) {
				last = a
			}
		}
		if last != nil {
			out = append(out, last.event)
			out = append(out, st.writtenWith(last)...)
		}
	}
	slices.SortFunc(out, compareEvents)
	return slices.Compact(out)
}

// arrivalActions are those by which an image comes to a host.
var arrivalActions = []event.ImageAction{
	event.ImagePull, event.ImageLoad, event.ImageImport, event.ImageBuild,
	event.ImageCommit, event.ImageCreate, event.ImageUpdate, event.ImageTag,
}

func brings(a event.ImageAction) bool { return slices.Contains(arrivalActions, a) }

// origins are those actions that tell where the image is from.
var origins = map[event.ImageAction]evidence.ImageOrigin{
	event.ImagePull: evidence.OriginRegistry, event.ImageLoad: evidence.OriginLoad, event.ImageImport: evidence.OriginImport,
	event.ImageBuild: evidence.OriginBuild, event.ImageCommit: evidence.OriginCommit,
}

// originOf says how the image came to this host. A reference is a claim: only
// a pull that was seen, or a registry's digest in the store, shows a registry;
// only an event, or a description without one, shows that there was none.
func (st *imageStore) originOf(id identity) evidence.ImageOrigin {
	for _, e := range slices.Backward(id.arrivals) { // the last way wins
		if origin, tells := origins[e.Body.(*event.Image).Action]; tells {
			return origin
		}
	}
	origin := evidence.OriginUnknown
	for _, d := range id.digests {
		for _, b := range st.byID[d] {
			if fromRegistry(b) {
				return evidence.OriginRegistry
			}
			if len(b.RepoDigests) == 0 {
				origin = evidence.OriginLocal
			}
		}
	}
	return origin
}

// fromRegistry reports whether a look-up shows a registry's digest. A
// containerd image store lists every name of an image with the image's own id
// as its digest, also of one that was never in a registry.
func fromRegistry(b *event.ImageDescription) bool {
	return slices.ContainsFunc(b.RepoDigests, func(r image.Reference) bool { return !r.Digest().IsZero() && r.Digest() != b.ID })
}
