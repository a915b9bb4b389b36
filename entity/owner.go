package entity

import (
	"regexp"
	"slices"

	"tidewaiter/event"
)

// ownerStore is what a cluster's records say of the objects that make pods, and of
// the rights of those who have pods made.
type ownerStore struct {
	// objects are the events about each, by name; those about an object whose
	// name is not told are of no use.
	objects map[ownerKey]*timeline[*lifeEvent]
	all     timeline[recorded] // in the order in which the bound pushes out
	// watchers are the pods whose owners an object is among.
	watchers map[ownerKey]map[*container]bool
}

// ownerKey names an object of a cluster. Its UID plays no part: records below
// the API's own do not tell it, and people mean the name.
type ownerKey struct{ kind, namespace, name string }

func keyOf(r event.ObjectRef) ownerKey { return ownerKey{r.Kind, r.Namespace, r.Name} }

// recorded is an event in the order in which records were written.
type recorded struct{ event *event.Event }

func (r recorded) when() int64 { return r.event.RecordTime() }

func (r recorded) compare(o recorded) int {
	switch a, b := r.when(), o.when(); {
	case a < b:
		return -1
	case a > b:
		return +1
	}
	return r.event.ID.Compare(o.event.ID)
}

func newOwnerStore() ownerStore {
	return ownerStore{objects: map[ownerKey]*timeline[*lifeEvent]{}, watchers: map[ownerKey]map[*container]bool{}}
}

// addOwner takes in an event about what pods are owed to: an object that makes
// them, or rights that were given. s is the cluster's site.
func (s *site) addOwner(e *event.Event) bool {
	keys := ownerKeys(e)
	if len(keys) == 0 {
		return false
	}
	st := &s.owners
	for _, key := range keys {
		if st.objects[key] == nil {
			st.objects[key] = &timeline[*lifeEvent]{}
		}
		st.objects[key].add(&lifeEvent{event: e})
		s.regardOwner(key)
	}
	st.all.add(recorded{e})
	for st.all.len() > s.r.limits.Workloads {
		oldest, _ := st.all.first()
		s.dropOwner(oldest.event)
	}
	return true
}

// ownerKeys are what an event is filed under; none if it says nothing of use.
func ownerKeys(e *event.Event) []ownerKey {
	switch b := e.Body.(type) {
	case *event.Workload:
		if b.Object.Name != "" {
			return []ownerKey{keyOf(b.Object)}
		}
	case *event.Grant:
		return grantKeys(b)
	}
	return nil
}

func (s *site) dropOwner(e *event.Event) {
	st := &s.owners
	st.all.remove(recorded{e})
	for _, key := range ownerKeys(e) {
		st.objects[key].remove(&lifeEvent{event: e})
		if st.objects[key].len() == 0 {
			delete(st.objects, key)
		}
		s.regardOwner(key)
	}
	s.r.drop(droppedWorkloads, s.place.String())
	s.r.released = append(s.r.released, e.ID)
}

// regardOwner marks the pods whose owners an object is among.
func (s *site) regardOwner(key ownerKey) {
	for c := range s.owners.watchers[key] {
		s.markDirty(c)
	}
}

// watch replaces what a pod's owners are.
func (st *ownerStore) watch(c *container, keys []ownerKey) {
	for _, k := range c.pod.watch {
		if delete(st.watchers[k], c); len(st.watchers[k]) == 0 {
			delete(st.watchers, k)
		}
	}
	for _, k := range keys {
		if st.watchers[k] == nil {
			st.watchers[k] = map[*container]bool{}
		}
		st.watchers[k][c] = true
	}
	c.pod.watch = slices.Clone(keys)
}

// maxOwners bounds a chain of owners: hostile records can tell a long one, or
// a circle.
const maxOwners = 8

// chain lists the owners above an object, the nearest first, as of a time.
func (st *ownerStore) chain(owner event.ObjectRef, upTo int64) []event.ObjectRef {
	var out []event.ObjectRef
	for len(out) < maxOwners && owner.Name != "" {
		out = append(out, owner)
		next := st.ownerOf(owner, upTo)
		if slices.ContainsFunc(out, func(o event.ObjectRef) bool { return keyOf(o) == keyOf(next) }) {
			break
		}
		owner = next
	}
	return out
}

// ownerOf is the owner that the last record of an object tells, else the one
// that its name tells: controllers name what they make after themselves.
func (st *ownerStore) ownerOf(o event.ObjectRef, upTo int64) event.ObjectRef {
	if known := st.objects[keyOf(o)]; known != nil {
		for l := range known.back(upTo) {
			if b := l.event.Body.(*event.Workload); !b.Owner.IsZero() {
				return event.ObjectRef{Kind: b.Owner.Kind, Namespace: o.Namespace, Name: b.Owner.Name, UID: b.Owner.UID}
			}
			if l.event.Body.(*event.Workload).Verb == event.VerbCreate {
				return event.ObjectRef{} // it tells that there is none
			}
		}
	}
	switch o.Kind {
	case "ReplicaSet":
		if m := replicaSetName.FindStringSubmatch(o.Name); m != nil {
			return event.ObjectRef{Kind: "Deployment", Namespace: o.Namespace, Name: m[1]}
		}
	case "Job":
		if m := cronJobName.FindStringSubmatch(o.Name); m != nil {
			return event.ObjectRef{Kind: "CronJob", Namespace: o.Namespace, Name: m[1]}
		}
	}
	return event.ObjectRef{}
}

// Names that controllers give: a Deployment's replica sets end in a hash of
// the safe alphabet (k8s.io/apimachinery/pkg/util/rand), a CronJob's jobs in
// the minutes since 1970.
var (
	replicaSetName = regexp.MustCompile(`^(.+)-[bcdfghjklmnpqrstvwxz2456789]{1,10}$`)
	cronJobName    = regexp.MustCompile(`^(.+)-[0-9]{8,}$`)
)
