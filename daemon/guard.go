package daemon

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/finding"
)

// People read a few notices and no flood. Two kinds of floods are told as one:
// one cause on many owners, and more of one family in one scope than a policy
// that fits would give. Every finding is kept and exported as ever.
const (
	// manyOwners is how many owners make one cause a campaign; it is told again
	// whenever there are three times as many.
	manyOwners = 3
	campaignIn = 24 * time.Hour
	// manyNotices is how many notices of one family and scope within an hour are
	// told one by one; what comes then is told once, and again at each doubling.
	manyNotices = 100
	guardIn     = time.Hour
	// maxGuarded bounds the causes, and the families in scopes, that are
	// followed; the oldest are forgotten.
	maxGuarded = 10_000
	// maxNamed bounds what a notice of many names.
	maxNamed = 20
)

// guard holds floods back.
type guard struct {
	Causes map[string]*campaign `json:"causes,omitempty"`
	Scopes map[string]*flood    `json:"scopes,omitempty"`
	// Held counts the notices that were not told one by one.
	Held int64 `json:"held,omitempty"`

	changed bool
}

// campaign is one cause on several owners.
type campaign struct {
	Since  int64             `json:"since"`
	Owners map[string]string `json:"owners"` // the id of each one's finding
	Told   int               `json:"told"`   // how many owners there were when it was told last
}

// flood are the notices of one family in one scope.
type flood struct {
	Since int64           `json:"since"`
	Count int             `json:"count"`
	Told  int             `json:"told"`
	Clear map[string]bool `json:"clear,omitempty"`
}

func newGuard(text string) *guard {
	g := &guard{}
	if json.Unmarshal([]byte(text), g) != nil {
		g = &guard{} // of an earlier form: counting begins anew
	}
	if g.Causes == nil {
		g.Causes = map[string]*campaign{}
	}
	if g.Scopes == nil {
		g.Scopes = map[string]*flood{}
	}
	return g
}

// text is the guard as it is kept over restarts, "" if it did not change.
func (g *guard) text() string {
	if !g.changed {
		return ""
	}
	g.changed = false
	text, err := json.Marshal(g)
	if err != nil {
		return ""
	}
	return string(text)
}

// weigh says what is to be told of a finding that has become worse: itself, what
// many like it are told as, or nothing, because that was told.
func (g *guard) weigh(f *finding.Finding, now time.Time) *finding.Finding {
	if f.Severity < analytic.Low {
		return f
	}
	g.changed = true
	owners := g.cause(f, now.UnixNano())
	all := g.scope(f, now.UnixNano())
	switch {
	case len(owners.Owners) >= manyOwners:
		return g.campaign(f, owners)
	case all.Count > manyNotices:
		return g.flood(f, all)
	}
	return f
}

func (g *guard) cause(f *finding.Finding, now int64) *campaign {
	key := f.Family + "|" + f.Cause
	c := g.Causes[key]
	if c == nil || now-c.Since > int64(campaignIn) {
		forget(g.Causes, func(c *campaign) int64 { return c.Since })
		c = &campaign{Since: now, Owners: map[string]string{}}
		g.Causes[key] = c
	}
	if f.Cause == "" {
		return &campaign{} // nothing is known to be the same
	}
	if len(c.Owners) < maxGuarded {
		c.Owners[f.Owner] = f.ID
	}
	return c
}

func (g *guard) scope(f *finding.Finding, now int64) *flood {
	key := f.Family + "|" + f.Scope
	s := g.Scopes[key]
	if s == nil || now-s.Since > int64(guardIn) {
		forget(g.Scopes, func(s *flood) int64 { return s.Since })
		s = &flood{Since: now, Clear: map[string]bool{}}
		g.Scopes[key] = s
	}
	s.Count++
	for _, c := range f.Clear {
		if len(s.Clear) < maxNamed {
			s.Clear[c] = true
		}
	}
	return s
}

// forget makes room for one more.
func forget[T any](all map[string]T, since func(T) int64) {
	if len(all) < maxGuarded {
		return
	}
	oldest := ""
	for key, one := range all {
		if oldest == "" || since(one) < since(all[oldest]) {
			oldest = key
		}
	}
	delete(all, oldest)
}

// campaign is the notice of one cause on many owners, nil if enough was told.
func (g *guard) campaign(f *finding.Finding, c *campaign) *finding.Finding {
	n := len(c.Owners)
	if n < manyOwners*max(c.Told, 1) && c.Told > 0 {
		g.Held++
		return nil
	}
	c.Told = n
	many := *f
	many.ID = rolledID("campaign", f.Family, f.Cause, fmt.Sprint(n))
	many.Title = fmt.Sprintf("one cause on %d workloads: %s", n, f.Title)
	note := fmt.Sprintf("the same cause, %s, has findings on %d workloads within a day; further ones are not told one by one:", f.Cause, n)
	many.Notes = append([]string{note}, named(c.Owners)...)
	many.Notes = append(many.Notes, f.Notes...)
	return &many
}

// flood is the notice of too many of one family in one scope.
func (g *guard) flood(f *finding.Finding, s *flood) *finding.Finding {
	if s.Count < 2*s.Told {
		g.Held++
		return nil
	}
	s.Told = s.Count
	many := *f
	many.ID = rolledID("flood", f.Family, f.Scope, fmt.Sprint(s.Since), fmt.Sprint(s.Count))
	many.Title = fmt.Sprintf("%d notices of %s in scope %q within an hour, is the policy too strict? the last: %s", s.Count, f.Family, f.Scope, f.Title)
	many.Notes = append([]string{"further notices of this family and scope are not told one by one in this hour; \"tidewaiter findings export\" gives every finding"}, f.Notes...)
	many.Clear = slices.Sorted(maps.Keys(s.Clear))
	return &many
}

func rolledID(parts ...string) string { return "tw-" + event.NewID(parts...).String()[:24] }

// named lists owners with their findings.
func named(owners map[string]string) []string {
	var out []string
	for _, owner := range slices.Sorted(maps.Keys(owners)) {
		if len(out) == maxNamed {
			return append(out, fmt.Sprintf("and %d more", len(owners)-maxNamed))
		}
		out = append(out, owner+" ("+owners[owner]+")")
	}
	return out
}
