package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"tidewaiter/event"
	"tidewaiter/finding"
	"tidewaiter/source"
	"tidewaiter/state"
)

// steady is how long a finding must have been worse than what was told of it
// before that is told: look-ups, and the records of other sensors, follow within
// that time, and some of them take its reason away.
const steady = 500 * time.Millisecond

// settle is how long evidence may be gathered before a finding whose severity
// did not change is written again.
const settle = 2 * time.Second

// tell writes down what changed in the findings, and puts what has become worse
// into the outbox.
func (e *engine) tell(now time.Time) {
	for _, r := range e.p.Revisions() {
		if _, waits := e.updated[r.Finding]; r.Change != finding.Updated {
			e.updated[r.Finding] = time.Time{}
		} else if !waits {
			e.updated[r.Finding] = now.Add(settle)
		}
	}
	if len(e.updated) == 0 {
		return
	}
	raw := source.NewRawReader(nil)
	defer raw.Close()
	wrote := false
	for id, due := range e.updated {
		if due.After(now) {
			continue
		}
		delete(e.updated, id)
		if f, ok := e.p.Finding(id); ok {
			e.write(&f, raw, now)
			wrote = true
		}
	}
	if wrote {
		e.commit(now)
	}
}

// confirm has the findings written that nothing can change any more.
func (e *engine) confirm(watermark int64) {
	for id, final := range e.open {
		if final <= watermark {
			e.updated[id] = time.Time{}
		}
	}
}

// updateAll has every finding written that waits.
func (e *engine) updateAll() {
	for id := range e.updated {
		e.updated[id] = time.Time{}
	}
}

// reconcile looks at every finding: after a restart, or under other rules,
// nobody knows what changed.
func (e *engine) reconcile() {
	e.sync()
	for _, f := range e.p.Findings() {
		e.updated[f.ID] = time.Time{}
	}
	for _, f := range e.p.Ended() {
		e.updated[f.ID] = time.Time{}
	}
	e.p.Revisions()
	for id, row := range e.known {
		if _, told := e.updated[id]; !told && !over(finding.State(row.State)) {
			e.withdraw(id)
		}
	}
}

// over reports that a finding does not hold any more.
func over(s finding.State) bool { return s == finding.Withdrawn || s == finding.Superseded }

// withdraw ends a finding that an earlier run told of what was not all: what was
// recorded since it began says otherwise.
func (e *engine) withdraw(id string) {
	text, err := e.d.store.FindingJSON(id)
	if err == nil && text != nil {
		var told finding.Told
		if told, err = finding.NewReader(bytes.NewReader(text), "state").Next(); err == nil {
			told.Finding.State = finding.Withdrawn
			e.write(&told.Finding, told.Raw, time.Now())
		}
	}
	if err != nil {
		e.d.opt.Log.Error("a finding that does not hold any more cannot be withdrawn", "finding", id, "error", err)
	}
}

// write puts a finding into the next commit, and notices of it if it is worse
// than what was told.
func (e *engine) write(f *finding.Finding, raw finding.Raw, now time.Time) {
	was, known := e.known[f.ID]
	ended := over(f.State)
	if !known && ended {
		return // nobody has heard of it
	}
	text, err := json.Marshal(f.OCSF(raw, e.d.opt.Version))
	if err != nil {
		e.d.opt.Log.Error("a finding cannot be written", "finding", f.ID, "error", err)
		return
	}
	delete(e.open, f.ID)
	if f.State == finding.Provisional {
		e.open[f.ID] = f.FinalAt
	}
	row := state.Finding{ID: f.ID, Severity: int(f.Severity), Told: was.Told, State: string(f.State), Last: f.Last, JSON: text}
	switch since, rising := e.rising[f.ID]; {
	case ended || row.Severity <= row.Told:
		delete(e.rising, f.ID)
	case !rising:
		e.rising[f.ID] = now
		e.updated[f.ID] = now.Add(steady)
	case now.Sub(since) < steady:
		e.updated[f.ID] = since.Add(steady)
	default:
		delete(e.rising, f.ID)
		row.Told = row.Severity
		e.notify(f, text, raw, now)
	}
	row.JSON = nil
	e.known[f.ID] = row
	row.JSON = text
	e.pending.Findings = append(e.pending.Findings, row)
}

// notify puts a finding, or what stands for many like it, into the outbox of
// every sink that wants to hear of it. The file in the data directory has all.
func (e *engine) notify(f *finding.Finding, text []byte, raw finding.Raw, now time.Time) {
	e.d.opt.Log.Log(context.Background(), level(f.Severity), "finding", "severity", f.Severity.String(), "id", f.ID, "title", f.Title)
	e.d.account.found(f.Severity)
	told, toldText := e.guard.weigh(f, now), text
	if told != nil && told != f {
		var err error
		if toldText, err = json.Marshal(told.OCSF(raw, e.d.opt.Version)); err != nil {
			e.d.opt.Log.Error("a finding cannot be written", "finding", told.ID, "error", err)
			return
		}
	}
	for _, r := range e.d.opt.Sinks {
		one, as := told, toldText
		if r.All {
			one, as = f, text
		}
		if one != nil && one.Severity >= r.Least {
			id := event.NewID("notice", one.ID, one.Severity.String())
			e.pending.Notices = append(e.pending.Notices, state.Notice{Sink: r.Name, ID: id.String(), Finding: one.ID, Severity: int(one.Severity), JSON: as})
		}
	}
}

// guardFact is the name under which the guard is kept.
const guardFact = "guard"

// maxPending bounds the findings that wait for the store, beyond which the first
// of them are put together with the last, and the notices.
const maxPending = 10_000

// commit writes what is pending. It reports whether that was taken; what was
// not is tried again.
func (e *engine) commit(now time.Time) bool {
	c := &e.pending
	c.Marks = e.d.marks()
	if waits, _ := e.d.journal.Fault(); waits > 0 {
		c.Marks = nil // what was recorded before them is only in memory
	}
	if text := e.guard.text(); text != "" {
		c.Facts = map[string]string{guardFact: text}
	}
	if len(c.Findings)+len(c.Notices)+len(c.Marks) == 0 && c.Checkpoint == nil {
		return true
	}
	if len(c.Marks) > 0 || c.Checkpoint != nil {
		if err := e.d.journal.Sync(); err != nil {
			e.d.account.disk(e.d.opt.Log, err)
			return false
		}
	}
	c.At = now
	if err := e.d.store.Commit(c); err != nil {
		e.d.account.disk(e.d.opt.Log, err)
		c.Findings = latest(c.Findings)
		e.boundNotices()
		return false
	}
	e.d.account.disk(e.d.opt.Log, nil)
	e.d.marked(c.Marks)
	told := len(c.Notices) > 0
	*c = state.Commit{Checkpoint: c.Checkpoint}
	if told {
		for _, p := range e.d.posts {
			p.wake()
		}
	}
	return true
}

// boundNotices drops the last of too many notices that the store does not take.
func (e *engine) boundNotices() {
	c := &e.pending
	if over := len(c.Notices) - maxPending; over > 0 {
		c.Notices = c.Notices[:maxPending]
		e.d.account.unkept.Add(int64(over))
		e.d.opt.Log.Error("notices are dropped: the data directory has taken nothing for too long", "count", over)
	}
}

// latest keeps the last state of each finding, if there are many.
func latest(rows []state.Finding) []state.Finding {
	if len(rows) < maxPending {
		return rows
	}
	at := map[string]int{}
	var kept []state.Finding
	for _, r := range rows {
		if i, ok := at[r.ID]; ok {
			kept[i] = r
			continue
		}
		at[r.ID] = len(kept)
		kept = append(kept, r)
	}
	return kept
}
