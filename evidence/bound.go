package evidence

import (
	"fmt"
	"math/bits"

	"tidewaiter/event"
)

// A subject's facts are bounded: a server that is connected to all day must
// not make its story unreadable, and a flood must not hide what happens beside
// it. What is let go is told from the set of facts, never from the order in
// which they came.
const (
	// foldAbove is the number of facts up to which a story is kept whole.
	foldAbove = 512
	// keepFirst facts that say the same are kept, and the last of them.
	keepFirst = 4
	// MaxOfKind is the number of facts of one kind that are kept. Of more,
	// the first three quarters and the last quarter are.
	MaxOfKind = 2048
)

// fold leaves out facts that say the same as earlier ones, in a long story.
func fold(facts []Fact) (kept []Fact, repeated int) {
	if len(facts) <= foldAbove {
		return facts, 0
	}
	last := map[string]int{}
	seen := map[string]int{}
	texts := make([]string, len(facts))
	for i, f := range facts {
		texts[i] = saying(f)
		last[texts[i]] = i
	}
	for i, f := range facts {
		t := texts[i]
		if t == "" || seen[t] < keepFirst || last[t] == i {
			seen[t]++
			kept = append(kept, f)
			continue
		}
		repeated++
	}
	return kept, repeated
}

// saying is what a fact says, without when; "" if it stands for itself.
func saying(f Fact) string {
	history := f.Event.History
	switch c, n := f.Command, f.Connection; {
	case f.Kind == Command && c != nil:
		return fmt.Sprintf("command\x00%s\x00%s\x00%s\x00%s\x00%v %v %v %v %v", c.Exe, c.Script, c.Text, c.Dropped, c.Exec, c.HealthCheck, c.TTY, c.UID, history)
	case f.Kind == Exec && f.Exec != nil && !f.Exec.Session.Told:
		return fmt.Sprintf("exec\x00%d %v %v", f.Container, f.Exec.Probe, history)
	case f.Kind == Connection && n != nil:
		return fmt.Sprintf("connection\x00%v\x00%v\x00%s %v", n.Remote, n.Domains, traffic(f.Event), history)
	}
	switch b := f.Event.Body.(type) {
	case *event.DNS:
		return fmt.Sprintf("lookup\x00%s\x00%s\x00%s %v", b.Query, b.Type, b.Code, history)
	case *event.FileWrite:
		return fmt.Sprintf("write\x00%s\x00%v", b.Path, history)
	}
	return ""
}

// traffic tells long and large connections apart from short and small ones.
func traffic(e *event.Event) string {
	b, ok := e.Body.(*event.Flow)
	if !ok {
		return ""
	}
	seconds := max(b.End.At-e.Time.At, 0) / event.Second
	return fmt.Sprintf("%s %d %d %v", b.Protocol, bits.Len64(uint64(seconds)), bits.Len64(uint64(max(b.BytesOut, 0))), b.Answered)
}

// bound keeps MaxOfKind facts of each kind. Plain events are a closed set that
// somebody chose, and are all kept.
func bound(facts []Fact) (kept []Fact, dropped int) {
	total, seen := map[Kind]int{}, map[Kind]int{}
	for _, f := range facts {
		total[f.Kind]++
	}
	for _, f := range facts {
		n := seen[f.Kind]
		seen[f.Kind]++
		if f.Kind != Plain && n >= MaxOfKind*3/4 && n < total[f.Kind]-MaxOfKind/4 {
			dropped++
			continue
		}
		kept = append(kept, f)
	}
	return kept, dropped
}
