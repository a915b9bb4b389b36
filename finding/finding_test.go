package finding

import (
	"encoding/binary"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// TestIDIsStable: ids stand in tickets and in other people's databases. A
// change of how they are derived makes every finding a new one.
func TestIDIsStable(t *testing.T) {
	a := analytic.Assessment{
		Subject: evidence.SubjectID{
			Kind:  "container",
			Place: event.Place{Tenant: "acme", Account: "42", Region: "eu", Cluster: "blue", Host: "node1", Network: "dmz"},
			ID:    containerID,
		},
		Cause: digestA,
	}
	if got, want := newID("AN0691", &a), "tw-138f6e9c6e3d31ba7415ffbb"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// What may change while the finding stays the same finding is not in it.
	b := assessed(a.Subject)
	b.Cause = a.Cause
	if got, want := newID("AN0691", &b), newID("AN0691", &a); got != want {
		t.Errorf("severity, evidence and the like changed the id from %s to %s", want, got)
	}
}

func TestIDsDiffer(t *testing.T) {
	place := event.Place{Tenant: "acme", Account: "42", Cluster: "blue", Host: "node1"}
	of := func(family string, p event.Place, kind, id, cause string) string {
		return newID(family, &analytic.Assessment{Subject: evidence.SubjectID{Kind: kind, Place: p, ID: id}, Cause: cause})
	}
	with := func(change func(*event.Place)) event.Place {
		p := place
		change(&p)
		return p
	}
	seen := map[string]string{}
	for _, c := range []struct{ why, id string }{
		{"the first", of("AN1", place, "container", "c1", "img")},
		{"another family", of("AN2", place, "container", "c1", "img")},
		{"another tenant", of("AN1", with(func(p *event.Place) { p.Tenant = "other" }), "container", "c1", "img")},
		{"another host", of("AN1", with(func(p *event.Place) { p.Host = "node2" }), "container", "c1", "img")},
		{"another cluster", of("AN1", with(func(p *event.Place) { p.Cluster = "green" }), "container", "c1", "img")},
		{"another container", of("AN1", place, "container", "c2", "img")},
		{"another kind of thing", of("AN1", place, "event", "c1", "img")},
		{"another cause", of("AN1", place, "container", "c1", "img2")},
		{"no cause", of("AN1", place, "container", "c1", "")},

		{"a letter moved from the cause to the container", of("AN1", place, "container", "c1i", "mg")},
		{"a letter moved from the tenant to the family", of("AN1a", with(func(p *event.Place) { p.Tenant = "cme" }), "container", "c1", "img")},
		{"the account stands in the region", of("AN1", with(func(p *event.Place) { p.Account, p.Region = "", "42" }), "container", "c1", "img")},
		{"a host with a slash reads like a cluster and a host", of("AN1", with(func(p *event.Place) { p.Cluster, p.Host = "", "blue/node1" }), "container", "c1", "img")},
		{"a host with a colon reads like a host and a container", of("AN1", with(func(p *event.Place) { p.Host = "node1:c1" }), "container", "", "img")},
		{"the same the other way round", of("AN1", with(func(p *event.Place) { p.Host = "" }), "container", "node1:c1", "img")},
	} {
		if before, twice := seen[c.id]; twice {
			t.Errorf("%s has the id of %s", c.why, before)
		}
		seen[c.id] = c.why
		if !strings.HasPrefix(c.id, "tw-") || len(c.id) != len("tw-")+24 {
			t.Errorf("%s: id %q is not tw- and 24 hex digits", c.why, c.id)
		}
	}
}

// TestIDsOfLongTextsDiffer: a container name may be as long as a log line. Had
// a length two bytes, the name could be chosen so that its end is read as the
// cause, and one finding would hide another.
func TestIDsOfLongTextsDiffer(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian} {
		rest := strings.Repeat("n", 65536-2)
		long := analytic.Assessment{Subject: evidence.SubjectID{ID: "short" + string(order.AppendUint16(nil, 3)) + rest}, Cause: "img"}
		short := analytic.Assessment{Subject: evidence.SubjectID{ID: "short"}, Cause: rest + string(order.AppendUint16(nil, 3)) + "img"}
		if newID("AN1", &long) == newID("AN1", &short) {
			t.Errorf("%v: two containers have one id", order)
		}
	}
}

// pair gives two assessments of one finding. The less severe one has more
// points: severity decides which of the two the finding speaks of.
func pair() (worse, better analytic.Assessment) {
	worse = assessed(subject("web-1"), severity(analytic.High), score(80), func(a *analytic.Assessment) {
		a.Hits = []analytic.Hit{
			{Signal: "suspicious-exec", Group: "exec", Points: 30, Says: "it ran curl", Clear: "ask who ran curl"},
			{Signal: "image-new", Group: "image", Points: 0, Says: "never seen here", Learning: true, Clear: "nothing"},
		}
		a.Evidence = cited("command", command(5, "/usr/bin/curl"), command(3, "/bin/sh"))
		a.Omitted, a.FinalAt = 2, noon+90*event.Second
	})
	better = assessed(subject("web-2"), severity(analytic.Low), score(95), func(a *analytic.Assessment) {
		a.Hits = []analytic.Hit{
			{Signal: "suspicious-exec", Group: "exec", Points: 25, Says: "it ran wget", Clear: "ask who ran wget"},
			{Signal: "image-new", Group: "image", Points: 40, Says: "first seen today", Clear: "approve the image"},
		}
		a.Evidence = cited("command", command(1, "/usr/bin/wget"), command(3, "/bin/sh"))
		a.Evidence[0].Leg = "arrival"
		a.Omitted, a.FinalAt = 3, noon+10*event.Second
	})
	return worse, better
}

func TestComposeTellsOfAllItsSubjects(t *testing.T) {
	worse, better := pair()
	f := composed(worse, better)

	if f.Severity != analytic.High || f.Score != 80 || f.Owner != worse.Subject.String() || !strings.Contains(f.Title, "it ran curl") {
		t.Errorf("severity %s, score %v, owner %s, title %q: want those of the worse one", f.Severity, f.Score, f.Owner, f.Title)
	}
	if len(f.Subjects) != 2 || f.Subjects[0].ID != worse.Subject || f.Subjects[1].ID != better.Subject || f.Subjects[1].Container != better.Container {
		t.Errorf("subjects %v, want the worse first", f.Subjects)
	}
	wantSignals := []Signal{
		{"image-new", "image", 40, "first seen today", false},
		{"suspicious-exec", "exec", 30, "it ran curl", false},
	}
	if !slices.Equal(f.Signals, wantSignals) {
		t.Errorf("signals %v, want %v: told once, most points first, one that counts before one that is noted", f.Signals, wantSignals)
	}
	if want := []string{"ask who ran curl", "approve the image"}; !slices.Equal(f.Clear, want) {
		t.Errorf("to settle it: %q, want %q", f.Clear, want)
	}
	var got []string
	for _, e := range f.Evidence {
		got = append(got, f.Subjects[e.Subject].ID.ID+" "+e.Leg+" "+e.Says)
	}
	want := []string{
		"web-2 arrival /usr/bin/wget [4021]", "web-1 command /bin/sh [4021]", "web-2 command /bin/sh [4021]", "web-1 command /usr/bin/curl [4021]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("evidence %q, want %q", got, want)
	}
	if f.First != at(1).At || f.Last != at(5).At {
		t.Errorf("from %d to %d, want %d to %d", f.First, f.Last, at(1).At, at(5).At)
	}
	if f.Omitted != 5 || f.FinalAt != noon+90*event.Second {
		t.Errorf("%d omitted, final at %d", f.Omitted, f.FinalAt)
	}
}

func TestComposeIsAFunctionOfTheSet(t *testing.T) {
	worse, better := pair()
	third := assessed(subject("web-0"), severity(analytic.High), score(80))
	want := composed(worse, better, third)
	if got := want.Subjects[0].ID.ID; got != "web-0" {
		t.Errorf("of two that are equally bad %s comes first, want the one that sorts first", got)
	}
	all := []analytic.Assessment{worse, better, third}
	for _, order := range interleavings([]int{1, 1, 1}) {
		if got := composed(all[order[0]], all[order[1]], all[order[2]]); !reflect.DeepEqual(got, want) {
			t.Errorf("order %v: another finding\n%+v\nwant\n%+v", order, got, want)
			return

		}
	}
}

// TestTimelessEvidenceSetsNoTime: a look-up has no time, and 1970 is not when
// anything began.
func TestTimelessEvidenceSetsNoTime(t *testing.T) {
	lookup := evidence.Fact{Kind: evidence.Arrival, Event: happened(event.Time{}, &event.Image{Action: event.ImagePull})}
	f := composed(assessed(subject("web"), evidenceOf(cited("arrival", lookup, command(2, "/bin/sh"))...)))
	if f.First != at(2).At || f.Last != at(2).At {
		t.Errorf("from %d to %d, want %d", f.First, f.Last, at(2).At)
	}
	if f = composed(assessed(subject("web"), evidenceOf(cited("arrival", lookup)...))); f.First != 0 || f.Last != 0 {
		t.Errorf("from %d to %d, want no time", f.First, f.Last)
	}
}

func TestNotesSayWhatLimitsAFinding(t *testing.T) {
	const noScope = "no policy scope applies: nothing is known to be approved or not"
	for _, c := range []struct {
		why    string
		change func(*analytic.Assessment)
		want   []string
	}{
		{"everything is known", func(*analytic.Assessment) {}, nil},
		{"memory is young", func(a *analytic.Assessment) {
			a.Hits = []analytic.Hit{{Signal: "image-new", Learning: true}, {Signal: "egress-new", Points: 6}, {Signal: "principal-unusual", Learning: true}}
		}, []string{"memory is younger than the learning period: image-new, principal-unusual only noted, not counted"}},
		{"no policy", func(a *analytic.Assessment) { a.Scope, a.NoPolicy = "", true }, []string{noScope}},
		{"settings outside scopes apply", func(a *analytic.Assessment) { a.Scope = "" }, nil},
		{"no policy and no signals that could need one", func(a *analytic.Assessment) { a.Scope, a.NoPolicy, a.Hits = "", true, []analytic.Hit{{}} }, nil},
		{"its pod is inferred", func(a *analytic.Assessment) {
			c := *a.Container
			c.PodInferred = true
			a.Container = &c
		}, []string{"no record tells which pod the container is in: it is inferred from the time of its start, or from a connection that only its command names"}},
		{"a connection is inferred", func(a *analytic.Assessment) {
			a.Evidence = []analytic.Item{{Fact: evidence.Fact{Kind: evidence.Connection, Event: happened(at(1), &event.Flow{}), Connection: &evidence.ConnectionFact{Inferred: true}}}}
		}, []string{"no record tells who had the address that a connection came from: it is taken to be the container's whose command alone names where it went"}},
		{"something could not be evaluated", func(a *analytic.Assessment) { a.Faults = []string{"egress: division by zero"} }, []string{
			"egress: division by zero",
		}},
	} {
		a := assessed(subject("web"))
		a.Legs = nil
		c.change(&a)
		f := composed(a)
		if !slices.Equal(f.Notes, c.want) {
			t.Errorf("%s: %q, want %q", c.why, f.Notes, c.want)
		}
	}
}

func TestAMissingLegSaysWhatItMeans(t *testing.T) {
	want := map[analytic.LegState]string{
		analytic.Seen:    "",
		analytic.Absent:  "its sources were working and recorded none",
		analytic.Outside: "recorded, but only outside the window in which it counts",
		analytic.Untied:  "recorded here, but nothing ties such records to it; whom it contacted cannot be told",
		analytic.Blind:   "no source here records it; whom it contacted cannot be told",
	}
	a := assessed(subject("web"))
	a.Legs = nil
	for state := range want {
		a.Legs = append(a.Legs, analytic.Leg{Name: "egress", State: state, Missing: "whom it contacted"})
	}
	f := composed(a)
	if len(f.Legs) != len(want) {
		t.Fatalf("%d legs, want %d", len(f.Legs), len(want))
	}
	for _, l := range f.Legs {
		if l.Detail() != want[l.State] {
			t.Errorf("%s: %q, want %q", l.State, l.Detail(), want[l.State])
		}
	}
	narrow := Leg{State: analytic.Absent, What: "connection to a public address"}
	if got := narrow.Detail(); got != "its sources were working and recorded no connection to a public address" {
		t.Errorf("a leg that not every record fits: %q", got)
	}
}

// An image that came from no registry is told by the name that was typed; the
// finding's cause and id know nothing of that.
func TestAnImageOfNoRegistryIsToldByItsName(t *testing.T) {
	tell := func(typed string, origin evidence.ImageOrigin) (Finding, string) {
		ref := image.ParseDocker(typed)
		a := assessed(subject("web"), evidenceOf(cited("creation", evidence.Fact{Kind: evidence.Creation,
			Event: happened(at(1), &event.Container{Action: event.ContainerCreate, ID: containerID, Name: "web", Image: ref})})...))
		a.Hits, a.Container.Image.Reference, a.Container.Image.Origin = nil, ref, origin
		return composed(a), idOf(a)
	}
	for _, c := range []struct {
		typed  string
		origin evidence.ImageOrigin
		want   string
	}{
		{"sys-update:latest", evidence.OriginBuild, "sys-update:latest"},
		{"sys-update", evidence.OriginCommit, "sys-update:latest"},
		{"team/app:2", evidence.OriginLoad, "team/app:2"},
		{"docker.io/library/app:2", evidence.OriginImport, "docker.io/library/app:2"},
		{"registry.example/app:2", evidence.OriginLocal, "registry.example/app:2"},
		{"nginx:1", evidence.OriginRegistry, "docker.io/library/nginx:1"},
		{"nginx:1", evidence.OriginUnknown, "docker.io/library/nginx:1"},
	} {
		f, id := tell(c.typed, c.origin)
		if f.Title != c.want+" in web on node1" || f.Evidence[0].Says != "create web of "+c.want || f.unmapped().Entities[0].Image != c.want {
			t.Errorf("%s (%s): title %q, record %q, entity %q", c.typed, c.origin, f.Title, f.Evidence[0].Says, f.unmapped().Entities[0].Image)
		}
		if _, other := tell("registry.example/other:1", evidence.OriginRegistry); id != other || f.Cause != digestA {
			t.Errorf("%s (%s): id %s, cause %s", c.typed, c.origin, id, f.Cause)
		}
	}
}

func TestTitleSaysWhatWhereAndWhy(t *testing.T) {
	hits := func(hs ...analytic.Hit) func(*analytic.Assessment) {
		return func(a *analytic.Assessment) { a.Hits = hs }
	}
	for _, c := range []struct {
		why    string
		change func(*analytic.Assessment)
		want   string
	}{
		{"a container", hits(), "registry.example/shop/web:1.4 in web on node1"},
		{"the most points first", hits(analytic.Hit{Group: "a", Points: 10, Says: "minor"}, analytic.Hit{Group: "b", Points: 20, Says: "major"}),
			"registry.example/shop/web:1.4 in web on node1: major; minor"},
		{"one reason of a group, and three at most", hits(
			analytic.Hit{Group: "a", Points: 50, Says: "one"}, analytic.Hit{Group: "a", Points: 40, Says: "one again"},
			analytic.Hit{Group: "b", Points: 30, Says: "two"}, analytic.Hit{Group: "c", Points: 20, Says: "three"}, analytic.Hit{Group: "d", Points: 10, Says: "four"}),
			"registry.example/shop/web:1.4 in web on node1: one; two; three"},
		{"what speaks against it, or is only noted, is no reason", hits(analytic.Hit{Group: "a", Points: -30, Says: "approved"}, analytic.Hit{Group: "b", Says: "noted"}),
			"registry.example/shop/web:1.4 in web on node1"},
		{"no name", func(a *analytic.Assessment) { a.Hits, a.Container.Name, a.Container.ID = nil, "", containerID },
			"registry.example/shop/web:1.4 in 3f4e8c2a9b1d on node1"},
		{"an id that is a name is not cut", func(a *analytic.Assessment) {
			a.Hits, a.Container.Name, a.Container.ID = nil, "", "my-free-name-under-ctr"
		}, "registry.example/shop/web:1.4 in my-free-name-under-ctr on node1"},
		{"only the digest", func(a *analytic.Assessment) { a.Hits, a.Container.Image.Reference = nil, image.Reference{} }, digestA + " in web on node1"},
		{"no image, no host", func(a *analytic.Assessment) {
			a.Hits, a.Container.Image, a.Container.Host = nil, evidence.Image{}, ""
		}, "unknown image in web"},
		{"no container", func(a *analytic.Assessment) { a.Hits, a.Container = nil, nil }, "web in acme/blue/node1"},
	} {
		a := assessed(subject("web"))
		c.change(&a)
		if got := composed(a).Title; got != c.want {
			t.Errorf("%s: %q, want %q", c.why, got, c.want)
		}
	}
}
