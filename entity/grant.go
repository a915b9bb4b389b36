package entity

import (
	"slices"
	"time"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// grantedBefore is how long before somebody had a pod made rights that were given
// to them, or by them, belong to the story.
const grantedBefore = int64(time.Hour)

// maxGrants bounds those that are told of one pod: the last before it.
const maxGrants = 8

// principalKind files grants among what pods are owed to, under the names of
// those who gave rights and of those who got them.
const principalKind = "principal"

func principalKey(name string) ownerKey { return ownerKey{kind: principalKind, name: name} }

// grantKeys are the principals of a grant, as the API server calls them; none of
// one that failed or took rights away.
func grantKeys(g *event.Grant) []ownerKey {
	if g.Code >= 400 || g.Verb == event.VerbDelete {
		return nil
	}
	names := append(g.Principals(), g.By.Name)
	slices.Sort(names)
	var keys []ownerKey
	for _, n := range slices.Compact(names) {
		if n != "" {
			keys = append(keys, principalKey(n))
		}
	}
	return keys
}

// grants adds what rights were given to, or by, those who had the pod made,
// shortly before. It gives under which keys it looked for them.
func (b *subjectBuilder) grants() (keys []ownerKey) {
	at := int64(0)
	for _, f := range b.facts {
		if f.Kind == evidence.Creation && !f.Event.Time.IsZero() && (at == 0 || f.Event.Time.At < at) {
			at = f.Event.Time.At
		}
	}
	var found []*event.Event
	for _, c := range b.pod.Creators {
		key := principalKey(c.By.Name)
		if c.By.Name == "" || slices.Contains(keys, key) {
			continue
		}
		keys = append(keys, key)
		known := b.site.owners.objects[key]
		if known == nil || at == 0 {
			continue
		}
		for l := range known.between(interval{at - grantedBefore, at}) {
			if !slices.Contains(found, l.event) {
				found = append(found, l.event)
			}
		}
	}
	slices.SortFunc(found, func(x, y *event.Event) int { return recorded{x}.compare(recorded{y}) })
	for _, e := range found[max(0, len(found)-maxGrants):] {
		b.add(evidence.Grant, evidence.Whole, e)
	}
	return keys
}
