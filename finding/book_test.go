package finding

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
)

// idOf is the id of the finding that an assessment becomes.
func idOf(a analytic.Assessment) string { return newID(a.Family, &a) }

// told puts a book's new revisions into words.
func told(b *Book, names map[string]string) []string {
	var out []string
	for _, r := range b.Revisions() {
		s := fmt.Sprintf("%s %s %s", r.Change, named(names, r.Finding), r.Severity)
		if r.By != "" {
			s += " by " + named(names, r.By)
		}
		out = append(out, s)
	}
	return out
}

// TestBookTellsWhatChanged puts one assessment after another and reads the
// revisions after each.
func TestBookTellsWhatChanged(t *testing.T) {
	web, db := subject("web"), subject("db")
	names := map[string]string{
		idOf(assessed(web)):                 "web",
		idOf(assessed(web, cause(digestB))): "web-B",
		idOf(assessed(web, family("AN9"))):  "web-other",
		idOf(assessed(db)):                  "db",
	}
	more := evidenceOf(cited("command", command(1, "/usr/bin/curl"), command(2, "/tmp/x"))...)
	type step struct {
		why     string
		subject evidence.SubjectID
		found   []analytic.Assessment
		want    []string
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"severity follows the evidence, up and down", []step{
			{"the first telling", web, found(assessed(web)), []string{"opened web medium"}},
			{"the same again is no change", web, found(assessed(web)), nil},
			{"worse", web, found(assessed(web, severity(analytic.Critical), more)), []string{"raised web critical"}},
			{"less bad after all", web, found(assessed(web, severity(analytic.Low), more)), []string{"lowered web low"}},
			{"the reason is gone", web, nil, []string{"withdrawn web low"}},
			{"still gone", web, nil, nil},
			{"and back", web, found(assessed(web)), []string{"opened web medium"}},
		}},
		{"other evidence of the same severity is an update", []step{
			{"", web, found(assessed(web)), []string{"opened web medium"}},
			{"one record more", web, found(assessed(web, more)), []string{"updated web medium"}},
			{"one record fewer", web, found(assessed(web)), []string{"updated web medium"}},
			{"another leg", web, found(assessed(web, evidenceOf(cited("egress", command(1, "/usr/bin/curl", "http://203.0.113.9/x"))...))), []string{"updated web medium"}},
			{"and back", web, found(assessed(web)), []string{"updated web medium"}},
			{"the same evidence with another score", web, found(assessed(web, score(1))), []string{"updated web medium"}},
		}},
		{"what happened in history is no finding", []step{
			{"", web, found(assessed(web, history)), nil},
			{"the same, then new behaviour", web, found(assessed(web)), []string{"opened web medium"}},
			{"the behaviour turns out to be old", web, found(assessed(web, history)), []string{"withdrawn web medium"}},
		}},
		{"a cause learnt late takes the finding over", []step{
			{"", web, found(assessed(web)), []string{"opened web medium"}},
			{"the digest becomes known", web, found(assessed(web, cause(digestB))), []string{"opened web-B medium", "superseded web medium by web-B"}},
			{"it was wrong", web, found(assessed(web)), []string{"opened web medium", "superseded web-B medium by web"}},
		}},
		{"another family takes nothing over", []step{
			{"", web, found(assessed(web)), []string{"opened web medium"}},
			{"", web, found(assessed(web, family("AN9"))), []string{"opened web-other medium", "withdrawn web medium"}},
		}},
		{"a successor in history takes nothing over", []step{
			{"", web, found(assessed(web)), []string{"opened web medium"}},
			{"", web, found(assessed(web, cause(digestB), history)), []string{"withdrawn web medium"}},
		}},
		{"subjects do not touch each other", []step{
			{"", web, found(assessed(web)), []string{"opened web medium"}},
			{"", db, found(assessed(db)), []string{"opened db medium"}},
			{"", web, nil, []string{"withdrawn web medium"}},
			{"", db, found(assessed(db, severity(analytic.High))), []string{"raised db high"}},
		}},
		{"a subject that was never told of may be put", []step{{"", web, nil, nil}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBook()
			for i, s := range c.steps {
				b.Put(s.subject, s.found)
				if got := told(b, names); !slices.Equal(got, s.want) {
					t.Errorf("step %d (%s): %q, want %q", i, s.why, got, s.want)
				}
			}
		})
	}
}

func TestEndedFindingsSayWhy(t *testing.T) {
	web, db := subject("web"), subject("db")
	b := NewBook()
	b.Put(web, found(assessed(web)))
	b.Put(db, found(assessed(db, severity(analytic.High))))
	b.Put(web, found(assessed(web, cause(digestB))))
	b.Put(db, nil)

	ended := map[string]Finding{}
	for _, f := range b.Ended() {
		ended[f.ID] = f
	}
	if len(ended) != 2 {
		t.Fatalf("%d findings ended, want 2", len(ended))
	}
	successor := idOf(assessed(web, cause(digestB)))
	if f := ended[idOf(assessed(web))]; f.State != Superseded || f.SupersededBy != successor || f.Cause != digestA {
		t.Errorf("the finding of the old cause is %s by %q, cause %q", f.State, f.SupersededBy, f.Cause)
	}
	if f := ended[idOf(assessed(db))]; f.State != Withdrawn || f.SupersededBy != "" || f.Severity != analytic.High || len(f.Evidence) != 1 {
		t.Errorf("the withdrawn finding is %s by %q, %s, with %d records", f.State, f.SupersededBy, f.Severity, len(f.Evidence))
	}
	current := b.Findings(0)
	if len(current) != 1 || current[0].ID != successor || current[0].SupersededBy != "" {
		t.Errorf("current findings: %v", current)
	}

	b.Put(db, found(assessed(db)))
	if slices.ContainsFunc(b.Ended(), func(f Finding) bool { return f.ID == idOf(assessed(db)) }) {
		t.Error("a finding that came back is still among those that ended")
	}
}

// TestPutTellsInTheSameOrder: what one Put changes is told in an order that
// does not hang on how a map is walked.

func TestPutTellsInTheSameOrder(t *testing.T) {
	web := subject("web")
	var all []analytic.Assessment
	for i := range 8 {
		all = append(all, assessed(web, family(fmt.Sprintf("AN%d", i))))
	}
	var first []Revision
	for try := range 20 {
		b := NewBook()
		b.Put(web, all)
		b.Put(web, nil)
		got := b.Revisions()
		if len(got) != 16 {
			t.Fatalf("%d revisions, want 16", len(got))
		}
		if try == 0 {
			first = got
		}
		if !slices.Equal(got, first) {
			t.Fatalf("try %d: %v, before %v", try, got, first)
		}
	}
}

func TestRevisionsAreGivenOnce(t *testing.T) {
	web := subject("web")
	b := NewBook()
	b.Put(web, found(assessed(web)))
	if got := b.Revisions(); len(got) != 1 {
		t.Fatalf("%d revisions, want 1", len(got))
	}
	if got := b.Revisions(); len(got) != 0 {
		t.Errorf("given again: %v", got)
	}
}

// TestOrderOfSubjectsDoesNotMatter: what is said of a subject comes in its own
// order, but subjects come in any.
func TestOrderOfSubjectsDoesNotMatter(t *testing.T) {
	type put struct {
		subject evidence.SubjectID
		found   []analytic.Assessment
	}
	web, db, job := subject("web"), subject("db"), subject("job")
	scripts := [][]put{
		{{web, found(assessed(web))}, {web, found(assessed(web, cause(digestB), severity(analytic.High)))}},
		{{db, found(assessed(db), assessed(db, family("AN9"), severity(analytic.Low)))}, {db, found(assessed(db))}},
		{{job, found(assessed(job))}, {job, nil}, {job, found(assessed(job, score(99)))}},
	}
	var findings, ended []Finding
	orders := interleavings([]int{2, 2, 3})
	if len(orders) != 210 {
		t.Fatalf("%d orders, want 7!/(2!2!3!) = 210", len(orders))
	}
	for n, order := range orders {
		b := NewBook()
		next := make([]int, len(scripts))
		for _, s := range order {
			p := scripts[s][next[s]]
			next[s]++
			b.Put(p.subject, p.found)
		}
		if n == 0 {
			findings, ended = b.Findings(noon), b.Ended()
			if len(findings) != 3 || len(ended) != 2 {
				t.Fatalf("%d findings and %d ended, want 3 and 2", len(findings), len(ended))
			}
		}
		if got := b.Findings(noon); !reflect.DeepEqual(got, findings) {
			t.Fatalf("order %v: findings %v, before %v", order, got, findings)
		}
		if got := b.Ended(); !reflect.DeepEqual(got, ended) {
			t.Fatalf("order %v: ended %v, before %v", order, got, ended)
		}
	}
}

// interleavings lists the orders in which so many steps of each script can
// follow each other.
func interleavings(left []int) [][]int {
	var out [][]int
	for s, n := range left {
		if n == 0 {
			continue
		}
		rest := slices.Clone(left)
		rest[s]--
		for _, tail := range interleavings(rest) {
			out = append(out, append([]int{s}, tail...))
		}
	}
	if out == nil {
		return [][]int{nil}
	}
	return out
}

func TestFindingsAreProvisionalUntilTheWatermark(t *testing.T) {
	web := subject("web")
	final := noon + 60*event.Second
	for _, c := range []struct {
		why       string
		finalAt   int64
		watermark int64
		want      State
	}{
		{"nothing rests on an absence", 0, 0, Confirmed},
		{"long before", final, noon, Provisional},
		{"a nanosecond before", final, final - 1, Provisional},
		{"from the watermark on", final, final, Confirmed},
		{"after it", final, final + 1, Confirmed},
	} {
		b := NewBook()
		b.Put(web, found(assessed(web, func(a *analytic.Assessment) { a.FinalAt = c.finalAt })))
		if got := b.Findings(c.watermark); len(got) != 1 || got[0].State != c.want {
			t.Errorf("%s: %s, want %s", c.why, got[0].State, c.want)
		}
	}
	// Asking changes nothing: a watermark that is set back (another partition
	// answers) gives the same answer as before.
	b := NewBook()
	b.Put(web, found(assessed(web)))
	b.Findings(final)
	if got := b.Findings(noon)[0].State; got != Provisional {
		t.Errorf("after asking with a later watermark: %s", got)
	}
}

func TestWorstComesFirst(t *testing.T) {
	want := []Finding{
		{ID: "severity before score", Severity: analytic.Critical, Score: 1, Confidence: 0.1, First: 9},
		{ID: "score times confidence: 90 · 0.5", Severity: analytic.High, Score: 90, Confidence: 0.5, First: 9},
		{ID: "a higher score that is less sure: 100 · 0.4", Severity: analytic.High, Score: 100, Confidence: 0.4, First: 1},
		{ID: "then what began first", Severity: analytic.Medium, Score: 50, Confidence: 0.5, First: 1},
		{ID: "a", Severity: analytic.Medium, Score: 50, Confidence: 0.5, First: 2},
		{ID: "b, by id at last", Severity: analytic.Medium, Score: 50, Confidence: 0.5, First: 2},
		{ID: "low", Severity: analytic.Low, Score: 100, Confidence: 1},
		{ID: "info", Severity: analytic.Info, Score: 100, Confidence: 1},
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		got := slices.Clone(want)
		r.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		slices.SortFunc(got, Rank)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v", got)
		}
	}
	for _, f := range want {
		if Rank(f, f) != 0 {
			t.Errorf("%s: differs from itself", f.ID)
		}
	}
}

func TestFindingsComeWorstFirst(t *testing.T) {
	b := NewBook()
	want := make([]string, 5)
	for i, s := range []analytic.Severity{analytic.Medium, analytic.Critical, analytic.Info, analytic.High, analytic.Low} {
		id := subject(fmt.Sprint("c", i))
		a := assessed(id, severity(s))
		want[analytic.Critical-s] = idOf(a)
		b.Put(id, found(a))
	}
	var got []string
	for _, f := range b.Findings(0) {
		got = append(got, f.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
