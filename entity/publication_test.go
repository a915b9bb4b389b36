package entity

import (
	"testing"
	"time"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// What hosts tell of an image that was pushed is told with the push, whichever
// of the records come first, and is let go of with it.
func TestWhatHostsTellOfAPush(t *testing.T) {
	laptop, hub, web := event.Place{Host: "laptop"}, event.Place{Host: "hub"}, event.Place{Host: "web"}
	name, other := image.Parse("hub.example/web:1"), image.Parse("hub.example/other:1")
	at := func(s float64, where event.Place, body event.Body) *event.Event {
		t := event.Time{At: sec(s), Res: 1}
		return &event.Event{ID: event.NewID(where.Host + t.String()), Time: t, Record: t.At, Place: where, Body: body}
	}
	push := at(100, hub, &event.RegistryAction{Action: "push", Reference: name, Digest: sum(1)})
	events := []*event.Event{
		at(10, laptop, &event.Image{Action: event.ImageLoad, Digest: sum(2)}),
		at(20, laptop, &event.Image{Action: event.ImageTag, Reference: name, Digest: sum(2)}),
		at(30, laptop, &event.Image{Action: event.ImageTag, Reference: other, Digest: sum(2)}), // another name
		at(99, laptop, &event.Image{Action: event.ImagePush, Reference: name}),
		push,
		at(3600, web, &event.ImageResolved{Reference: name, Digest: sum(1)}),
		at(3700, web, &event.ImageResolved{Reference: name, Digest: sum(1)}), // again, on the same host
		at(3800, laptop, &event.ImageResolved{Reference: name, Digest: sum(3)}),
	}
	want := "preparation 10s, preparation 20s, preparation 1m39s, publication 1m40s, use 1h0m0s"
	for first := range events {
		r := New(Limits{})
		for i := range events {
			r.Apply(events[(first+i)%len(events)])
		}
		id := evidence.SubjectID{Kind: publicationKind, Place: hub, ID: push.ID.String()}
		s, known := r.Subject(id)
		if !known {
			t.Fatal("no subject")
		}
		got := ""
		for i, f := range s.Facts {
			if i > 0 {
				got += ", "
			}
			got += string(f.Kind) + " " + time.Duration(f.Event.Time.At-sec(0)).Truncate(time.Second).String()
		}
		if got != want {
			t.Errorf("beginning with %d: %s, want %s", first, got, want)
		}
		r.Dirty()
		r.LetWaitGo(sec(1 << 20))
		if n := len(r.Released()); n != 0 {
			t.Errorf("%d records of a push that is known were let go", n)
		}
		r.Forget(id)
		if n := len(r.publications.named); n != 0 {
			t.Errorf("%d names are kept of a push that is not", n)
		}
		r.LetWaitGo(sec(1 << 20))
		if n := len(r.Released()); n != 1 {
			t.Errorf("%d were let go, want what the host pushed", n)
		}
	}
}

// A name that is pushed all day is told with its last making, and an image that is
// pulled all day with its first pull on a host; the rest is let go of.
func TestAPushThatIsOneOfMany(t *testing.T) {
	builder, web, hub := event.Place{Host: "builder"}, event.Place{Host: "web"}, event.Place{Host: "hub"}
	name := image.Parse("hub.example/web:latest")
	r := New(Limits{})
	apply := func(s float64, where event.Place, body event.Body) *event.Event {
		at := event.Time{At: sec(s), Res: 1}
		e := &event.Event{ID: event.NewID(where.Host + at.String()), Time: at, Record: at.At, Place: where, Body: body}
		r.Apply(e)
		return e
	}
	for i := range 10 {
		apply(float64(100*i), builder, &event.Image{Action: event.ImageBuild, Reference: name, Digest: sum(i)})
		apply(float64(100*i+1), builder, &event.Image{Action: event.ImagePush, Reference: name})
	}
	push := apply(902, hub, &event.RegistryAction{Action: "push", Reference: name, Digest: sum(100)})
	for i := range 10 {
		apply(float64(1000+100*i), web, &event.Image{Action: event.ImagePull, Reference: name, Digest: sum(100)})
	}
	tell := func() (got string) {
		s, _ := r.Subject(evidence.SubjectID{Kind: publicationKind, Place: hub, ID: push.ID.String()})
		for _, f := range s.Facts {
			got += string(f.Kind) + " " + time.Duration(f.Event.Time.At-sec(0)).Truncate(time.Second).String() + ", "
		}
		return got
	}
	want := "preparation 15m0s, preparation 15m1s, publication 15m2s, use 16m40s, "
	if got := tell(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	r.LetWaitGo(sec(1 << 20))
	if n := len(r.Released()); n != 8 {
		t.Errorf("%d were let go, want the pulls between the first and the last", n)
	}
	if got := tell(); got != want {
		t.Errorf("%s after letting go, want %s", got, want)
	}
}
