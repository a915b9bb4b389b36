package entity

import (
	"reflect"
	"testing"

	"tidewaiter/evidence"
	"tidewaiter/image"
)

func TestWhatPartitionsTellEachOtherOfDigests(t *testing.T) {
	s := newStory(t)
	s.create(10, containerA, sum(1).String())
	r := s.told()
	subject := evidence.SubjectID{Kind: "container", Place: s.place, ID: containerA}
	canonical := func() image.Digest {
		sub, ok := r.Subject(subject)
		if !ok {
			t.Fatal("not known")
		}
		return sub.Containers[0].Image.Canonical
	}
	edge := image.Edge{Parent: sum(2), Child: sum(1)}
	gone := func(e image.Edge) []image.EdgeNews { return []image.EdgeNews{{Edge: e, Gone: true}} }
	known := []image.EdgeNews{{Edge: edge}}
	steps := []struct {
		name  string
		do    func()
		dirty bool
		want  image.Digest
	}{
		{"nothing", func() {}, false, sum(1)},
		{"one tells", func() { r.AbsorbEdges("p1", known) }, true, sum(2)},
		{"again", func() { r.AbsorbEdges("p1", known) }, false, sum(2)},
		{"another tells", func() { r.AbsorbEdges("p2", known) }, false, sum(2)},
		{"the first takes it back", func() { r.AbsorbEdges("p1", gone(edge)) }, false, sum(2)},
		{"and again", func() { r.AbsorbEdges("p1", gone(edge)) }, false, sum(2)},
		{"the other, too", func() { r.AbsorbEdges("p2", gone(edge)) }, true, sum(1)},
		{"one that nobody told", func() { r.AbsorbEdges("p2", gone(edge)) }, false, sum(1)},
		{"about other images", func() { r.AbsorbEdges("p2", []image.EdgeNews{{Edge: image.Edge{Parent: sum(8), Child: sum(9)}}}) }, false, sum(1)},
		{"an own record", func() { s.inspectImage(sum(1), nil, []string{"web@" + sum(2).String()}); r.Apply(s.last()) }, true, sum(2)},
	}
	r.Dirty()
	for _, step := range steps {
		step.do()
		if dirty := len(r.Dirty()) > 0; dirty != step.dirty {
			t.Errorf("%s: something changed: %v, want %v", step.name, dirty, step.dirty)
		}
		if got := canonical(); got != step.want {
			t.Errorf("%s: canonical %s, want %s", step.name, got, step.want)
		}
		checkConsistency(t, r)
	}
	if got := r.ForeignEdges("p2"); len(got) != 1 || got[0].Parent != sum(8) {
		t.Errorf("foreign edges %v", got)
	}
	if got, want := r.PendingEdges(), []image.Edge{edge}; !reflect.DeepEqual(got, want) {
		t.Errorf("pending %v, want %v", got, want)
	}
	if got := r.EdgeNews(); !reflect.DeepEqual(got, known) {
		t.Errorf("news %v, want %v", got, known)
	}
	if got := r.EdgeNews(); len(got) != 0 {
		t.Errorf("news told twice: %v", got)
	}
	r.RestorePendingEdges([]image.Edge{edge, {Parent: sum(3), Child: sum(4)}})
	if got, want := r.EdgeNews(), []image.EdgeNews{{Edge: edge}, {Edge: image.Edge{Parent: sum(3), Child: sum(4)}, Gone: true}}; !reflect.DeepEqual(got, want) {
		t.Errorf("restored news %v, want %v", got, want)
	}
}

// A pull that is grouped otherwise, once more of it is known, takes back what
// was told of it.
func TestAnEdgeCanBeTakenBack(t *testing.T) {
	s := newStory(t)
	s.stored(1, "create", allowed+"@"+sum(2).String())
	s.stored(1, "create", sum(1).String())
	s.stored(2, "create", other+":1")
	r := New(Limits{})
	for _, e := range s.events[:2] {
		r.Apply(&e)
	}
	edge := image.Edge{Parent: sum(2), Child: sum(1)}
	if got, want := r.EdgeNews(), []image.EdgeNews{{Edge: edge}}; !reflect.DeepEqual(got, want) {
		t.Errorf("news %v, want %v", got, want)
	}
	r.Apply(&s.events[2])
	if got, want := r.EdgeNews(), []image.EdgeNews{{Edge: edge, Gone: true}}; !reflect.DeepEqual(got, want) {
		t.Errorf("news %v, want %v", got, want)
	}
	if n := r.Family().Len(); n != 0 {
		t.Errorf("%d edges left", n)
	}
}

// A description that names the image by its own digest, or by none, tells
// nothing to others.
func TestEdgesThatSayNothing(t *testing.T) {
	s := newStory(t)
	s.inspectImage(sum(1), nil, []string{"web@" + sum(1).String(), "web:1", "not a reference"})
	if got := s.told().EdgeNews(); len(got) != 0 {
		t.Errorf("news %v", got)
	}
}

func TestTouch(t *testing.T) {
	s := newStory(t)
	s.image(1, "pull", "web:1", sum(1))
	s.create(2, containerA, "web:1")
	s.create(2, containerB, "other:1")
	s.task(3, containerA, 100)
	s.run(4, 100, 50, "server")
	s.describe(containerA, "n", "172.17.0.2")
	s.flow(5, "172.17.0.2:4000", remote)
	s.answer(5, "172.17.0.2:4000", "a.example", "203.0.113.5")
	s.run(6, 7, 6, "/usr/bin/runc", "create", containerA)
	s.run(7, 8, 5, "host")
	r := New(Limits{})
	for i := range s.events {
		r.Apply(&s.events[i])
	}
	view{}.refresh(r)
	for i := range s.events {
		e := &s.events[i]
		r.Touch(e)
		var got []string
		for _, id := range r.Dirty() {
			got = append(got, id.ID)
			if _, ok := r.Subject(id); !ok {
				t.Errorf("%s is not known", id)
			}
		}
		want := []string{containerA}
		switch i {
		case 2:
			want = []string{containerB}
		case len(s.events) - 1:
			want = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("touching a %s concerns %v, want %v", e.Body.Kind(), got, want)
		}
	}
}
