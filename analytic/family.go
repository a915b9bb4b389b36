package analytic

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"tidewaiter/event"
	"tidewaiter/evidence"
)

// maxItems bounds the facts that one finding cites.
const maxItems = 200

// family puts together what a family's detections found in one subject: one
// assessment, children inside.
func (ev *evaluation) family(detections []*detection) (Assessment, bool) {
	a := Assessment{Subject: ev.subject.ID, Container: ev.container(), Image: ev.subject.Image, Family: detections[0].Family, Scope: ev.scope.Name, Cause: ev.cause()}
	a.NoPolicy = !ev.ctx.Policy.Says(ev.scope)
	a.Instance, a.VMImage = ev.subject.Instance, ev.subject.VMImage
	if a.Pod = ev.subject.Pod; a.Pod != nil {
		a.Containers = ev.subject.Containers
	}
	var head *story
	members := map[int]bool{}
	unchained := false
	var legs []Leg // those that only others than the head have
	for _, d := range detections {
		if d.Subject != ev.subject.ID.Kind && !(d.Subject == "container" && ev.subject.Pod != nil) {
			continue
		}
		s := ev.story(d)
		if head == nil {
			head = &s
		}
		if !s.raised {
			continue
		}
		a.Analytics = append(a.Analytics, Raised{d.ID, d.Strategy, d.Techniques, d.Name})
		a.Hits = mergeHits(a.Hits, s.hits)
		a.FinalAt = max(a.FinalAt, s.finalAt)
		a.Severity = max(a.Severity, d.Severity)
		for _, l := range s.legs { // a leg that the head has, too, is as the head sees it
			if !slices.ContainsFunc(head.legs, func(h Leg) bool { return h.Name == l.Name }) {
				legs = append(legs, l)
			}
		}
		unchained = unchained || len(d.chains) == 0
		for m := range s.members {
			members[m] = true
		}
	}
	if len(a.Analytics) == 0 {
		return a, false
	}
	a.Legs = head.legs
	if head.chain >= 0 {
		a.Chain, a.ChainSays = head.detection.chains[head.chain].name, head.detection.chains[head.chain].says
	}
	ev.judge(&a, head.chain)
	ev.cite(&a, legs, members, unchained)
	a.Faults = append(ev.faults, letGo(ev.subject)...)
	return a, a.Severity > None
}

// letGo says what a bound kept the assessment from seeing.
func letGo(s *evidence.Subject) []string {
	var out []string
	if s.Repeated > 0 {
		out = append(out, fmt.Sprintf("%d records say the same as others here and are not listed", s.Repeated))
	}
	if s.Dropped > 0 {
		out = append(out, fmt.Sprintf("%d records were not looked at: there are more than %d of one kind", s.Dropped, evidence.MaxOfKind))
	}
	return out
}

// judge scores the hits. A detection without signals keeps the severity that
// its file states.
func (ev *evaluation) judge(a *Assessment, chain int) {
	s := &ev.lib.scoring
	t := s.add(a.Hits)
	if s.Multiplier != "" {
		if m := ev.scope.Setting("", s.Multiplier); m.IsSet() {
			t.score *= m.Number()
		}
	}
	a.Score = t.score
	sev, err := s.severity(t, ev.over("", t, a.Legs))
	if err != nil {
		ev.fault(err)
	}
	a.Severity = max(a.Severity, sev)
	a.Confidence = s.confidence(a.Legs, chain, ev.inferred(a))
	for _, h := range a.Hits {
		if ev.lib.signals[h.Signal].unseen == "" {
			continue
		}
		a.FinalAt = max(a.FinalAt, ev.begin)
	}
}

// inferred reports that the story rests on a tie that no record tells.
func (ev *evaluation) inferred(a *Assessment) bool {
	if a.Container != nil && (a.Container.PodInferred || a.Container.ByAccount) {
		return true
	}
	for _, h := range a.Hits {
		for _, i := range h.Facts {
			if c := ev.subject.Facts[i].Connection; c != nil && c.Inferred {
				return true
			}
		}
	}
	return false
}

// cite chooses the facts to show: what a leg or a signal rests on first, then
// the rest of the chain as context, in order.
func (ev *evaluation) cite(a *Assessment, legs []Leg, members map[int]bool, unchained bool) {
	items := make([]Item, len(ev.subject.Facts))
	wanted := make([]bool, len(items))
	strong := make([]bool, len(items))
	for i, f := range ev.subject.Facts {
		items[i].Fact = f
		wanted[i] = members[i] || (unchained && f.Kind == evidence.Plain)
	}
	for _, l := range slices.Concat(a.Legs, legs) {
		for _, f := range l.Facts {
			items[f].Leg, wanted[f] = cmp.Or(items[f].Leg, l.Name), true
		}
	}
	for _, h := range a.Hits {
		for _, f := range h.Facts {
			items[f].Signals = append(items[f].Signals, h.Signal)
			wanted[f], strong[f] = true, true
		}
	}
	ev.context(strong, wanted)
	spare(items, strong)
	for i, f := range ev.subject.Facts { // how it came to be is told first
		strong[i] = strong[i] || wanted[i] && !ev.behaviour(f.Kind)
	}
	room := maxItems - count(strong)
	for i, item := range items {
		switch {
		case !wanted[i] || item.Fact.Event.Time.IsZero() && item.Fact.Kind != evidence.Description:
		case !strong[i] && room <= 0:
			a.Omitted++
		default:
			if !strong[i] {
				room--
			}
			item.Fact = ev.located(item.Fact)
			a.Evidence = append(a.Evidence, item)
		}
	}
	a.History = lastBehaviour(a.Evidence)
}

// maxAlike bounds the facts that are cited for the same reasons before others
// are: a scan of a network must not hide who began it.
const maxAlike = 64

// spare leaves the facts that rest on the same signals as many before them to
// what room there is.
func spare(items []Item, strong []bool) {
	alike := map[string]int{}
	for i := range items {
		if !strong[i] {
			continue
		}
		reasons := string(items[i].Fact.Kind) + " " + strings.Join(items[i].Signals, " ")
		if alike[reasons]++; alike[reasons] > maxAlike {
			strong[i] = false
		}
	}
}

// located adds to a connection which autonomous system it went to.
func (ev *evaluation) located(f evidence.Fact) evidence.Fact {
	if f.Connection == nil {
		return f
	}
	if system := ev.ctx.Policy.System(f.Connection.Remote.Addr()).String(); system != "" {
		c := *f.Connection
		c.System = system
		f.Connection = &c
	}
	return f
}

// context adds how those containers came to be, and ended, that the story is
// about or that a signal rests on.
func (ev *evaluation) context(strong, wanted []bool) {
	involved := map[int]bool{ev.about: true, evidence.Whole: ev.subject.Instance != nil}
	for i, f := range ev.subject.Facts {
		involved[f.Container] = involved[f.Container] || strong[i]
	}
	for i, f := range ev.subject.Facts {
		if involved[f.Container] && (!ev.behaviour(f.Kind) || f.Kind == evidence.Exit) {
			wanted[i] = true
		}
	}
}

func count(b []bool) int {
	n := 0
	for _, yes := range b {
		if yes {
			n++
		}
	}
	return n
}

// lastBehaviour reports whether the last fact cited that is not about how the
// subject came to be lies in history; without one, whether the last fact does.
func lastBehaviour(items []Item) bool {
	var last *event.Event
	for _, it := range items {
		k := it.Fact.Kind
		if k == evidence.Command || k == evidence.Connection || k == evidence.Lookup || k == evidence.Write || k == evidence.Script || k == evidence.Sharing || k == evidence.Plain {
			last = it.Fact.Event
		}
	}
	if last == nil && len(items) > 0 {
		last = items[len(items)-1].Fact.Event
	}
	return last != nil && last.History
}

// mergeHits adds what a further detection of the family found. A signal counts
// once; one that only counts as noted gives way to one that counts.
func mergeHits(all, more []Hit) []Hit {
	for _, h := range more {
		i := slices.IndexFunc(all, func(o Hit) bool { return o.Signal == h.Signal })
		if i < 0 {
			all = append(all, h)
			continue
		}
		facts := append(slices.Clone(all[i].Facts), h.Facts...)
		slices.Sort(facts)
		if all[i].Learning && !h.Learning {
			all[i] = h
		}
		all[i].Facts = slices.Compact(facts)
	}
	return all
}

// cause is what the subject's story is about beyond itself.
func (ev *evaluation) cause() string {
	switch s := ev.subject; {
	case s.Instance != nil:
		return string(s.Instance.Image.ID)
	case s.VMImage != nil:
		return string(s.VMImage.ID)
	}
	about := ev.subject.Image
	if c := ev.container(); c != nil {
		about = &c.Image
	}
	if about == nil {
		return ""
	}
	if !about.Canonical.IsZero() {
		return about.Canonical.String()
	}
	return about.Reference.Key()
}
