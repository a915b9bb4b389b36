package image

import (
	"fmt"
	"slices"
	"testing"
)

// named makes a digest that begins with the number n.
func named(t testing.TB, n int) Digest {
	t.Helper()
	return digestOf(t, fmt.Sprintf("sha256:%08x%056x", n, 0))
}

func family(edges ...Edge) *Family {
	f := NewFamily()
	for _, e := range edges {
		f.Add(e)
	}
	return f
}

// TestOneImageTwoPlatforms: an index on two architectures is one artefact,
// though the bytes that run differ.
func TestOneImageTwoPlatforms(t *testing.T) {
	index, m1, c1, m2, c2 := named(t, 1), named(t, 2), named(t, 3), named(t, 4), named(t, 5)
	f := family(Edge{index, m1}, Edge{m1, c1}, Edge{index, m2}, Edge{m2, c2})
	for _, d := range []Digest{index, m1, c1, m2, c2} {
		if got := f.Canonical(d); got != index {
			t.Errorf("%s belongs to %s, want the index", d.Short(), got.Short())
		}
	}
	if f.Same(c1, c2) || f.Same(m1, m2) || f.Same(m1, c2) {
		t.Error("two platforms count as the same bytes")
	}
	if !f.Same(c1, index) || !f.Same(index, c2) || !f.Same(c1, m1) || !f.Same(c1, c1) {
		t.Error("a platform is not the same as what contains it")
	}
	if got := f.Ancestors(c1); !slices.Equal(got, []Digest{index, m1, c1}) {
		t.Errorf("ancestors of a config are %v", got)
	}
	if got := f.Descendants(index); !slices.Equal(got, []Digest{index, m1, c1, m2, c2}) {
		t.Errorf("descendants of the index are %v", got)
	}
}

// TestStoreChange: a host that switches its image store calls the same image
// by its manifest or index instead of its config, and it is still no new one.
func TestStoreChange(t *testing.T) {
	index, manifest, config := named(t, 1), named(t, 2), named(t, 3)
	before := family(Edge{manifest, config})
	if before.Canonical(config) != manifest {
		t.Error("the config is not its manifest's")
	}
	before.Add(Edge{index, manifest})
	for _, after := range []Digest{index, manifest} {
		if !before.Same(config, after) || before.Canonical(config) != before.Canonical(after) {
			t.Errorf("image %s before is another one than %s after", config.Short(), after.Short())
		}
	}
	// The containerd store prints one digest for both.
	if before.Add(Edge{manifest, manifest}) || before.Same(config, named(t, 9)) {
		t.Error("an image contains itself")
	}
}

// TestWindowsVersions: an index for several Windows builds has a manifest for
// each os.version, all of one architecture.
func TestWindowsVersions(t *testing.T) {
	index, client := named(t, 1), named(t, 99)
	f := NewFamily()
	for build := range 4 {
		f.Add(Edge{index, named(t, 10+build)})
		f.Add(Edge{named(t, 10+build), named(t, 20+build)})
	}
	for build := range 4 {
		if f.Canonical(named(t, 20+build)) != index {
			t.Errorf("build %d is another artefact", build)
		}
	}
	if f.Canonical(client) != client || f.Len() != 8 {
		t.Errorf("%d edges; a stranger belongs to %s", f.Len(), f.Canonical(client).Short())
	}
}

// TestEvilIndexGainsNothing: who writes an index around an approved manifest
// has no approval for it or for what else it contains.
func TestEvilIndexGainsNothing(t *testing.T) {
	good, approved, evil, payload, config := named(t, 1), named(t, 2), named(t, 3), named(t, 4), named(t, 5)
	f := family(Edge{good, approved}, Edge{evil, approved}, Edge{evil, payload}, Edge{payload, config})
	for _, d := range []Digest{evil, payload, config} {
		up := f.Ancestors(d)
		if slices.Contains(up, approved) || slices.Contains(up, good) {
			t.Errorf("%s has the approved image among its ancestors: %v", d.Short(), up)
		}
		if f.Same(d, good) || d != evil && f.Same(d, approved) {
			t.Errorf("%s counts as the approved image", d.Short())
		}
	}
	p := pattern(t, "docker.io/library/app@"+approved.String())
	if p.Matches(Parse("app:1"), f.Ancestors(payload)) || p.Matches(Parse("app:1"), f.Ancestors(evil)) {
		t.Error("a pattern for the approved digest trusts what the evil index contains")
	}
	if !p.Matches(Parse("app:1"), f.Ancestors(approved)) {
		t.Error("the approved image lost its approval by the evil index")
	}
}

// TestOrderDoesNotMatter: whatever order sources tell the edges in, the answer
// is the same, also where it is cut at the bound.
func TestOrderDoesNotMatter(t *testing.T) {
	g := newGen(11)
	for round := range 60 {
		nodes := 5 + g.IntN(40)
		var edges []Edge
		for range 3 * nodes {
			edges = append(edges, Edge{named(t, 1+g.IntN(nodes)), named(t, 1+g.IntN(nodes))})
		}
		if round%10 == 0 { // more containers than are walked
			for i := range 2 * maxFamily {
				edges = append(edges, Edge{named(t, 1000+i), named(t, 1)}, Edge{named(t, 5000+i), named(t, 1000+i)})
			}
		}
		want := family(edges...)
		for range 3 {
			g.Shuffle(len(edges), func(i, j int) { edges[i], edges[j] = edges[j], edges[i] })
			got := family(append(edges, edges[0])...) // and twice is as good as once
			if !slices.Equal(got.Edges(), want.Edges()) || got.Len() != want.Len() || got.Len() != len(got.Edges()) {
				t.Fatal("the edges depend on the order")
			}
			for n := 1; n <= nodes; n++ {
				d := named(t, n)
				if !slices.Equal(got.Ancestors(d), want.Ancestors(d)) || !slices.Equal(got.Descendants(d), want.Descendants(d)) || got.Canonical(d) != want.Canonical(d) {
					t.Fatalf("what is known of %s depends on the order", d.Short())
				}
			}
		}
	}
}

// TestCanonicalIsStable: the name of an artefact is itself named so, and what
// is added elsewhere does not change it.
func TestCanonicalIsStable(t *testing.T) {
	g := newGen(12)
	f := NewFamily()
	for i := range 200 { // an image: index, two manifests, two configs
		index := named(t, 1000+10*i)
		for p := range 2 {
			f.Add(Edge{index, named(t, 1001+10*i+p)})
			f.Add(Edge{named(t, 1001+10*i+p), named(t, 1003+10*i+p)})
		}
		image := 1000 + 10*g.IntN(i+1)
		for part := range 5 {
			c := f.Canonical(named(t, image+part))
			if c != named(t, image) || f.Canonical(c) != c {
				t.Fatalf("part %d of image %d belongs to %s after %d images", part, image, c.Short(), i+1)
			}
		}
	}
}

// TestCycles: digests cannot contain each other, but a record may say so. Such
// a lie ends the walk and makes nobody else's image.
func TestCycles(t *testing.T) {
	a, b, c, outside := named(t, 1), named(t, 2), named(t, 3), named(t, 4)
	f := family(Edge{a, b}, Edge{b, c}, Edge{c, a}, Edge{a, outside})
	if got := f.Ancestors(a); !slices.Equal(got, []Digest{a, b, c}) {
		t.Errorf("ancestors in a circle are %v", got)
	}
	if f.Canonical(a) != a || f.Canonical(outside) != outside {
		t.Errorf("canonical in a circle: %s, below it: %s", f.Canonical(a).Short(), f.Canonical(outside).Short())
	}
	if slices.Contains(f.Ancestors(a), outside) {
		t.Error("what a circle contains became its ancestor")
	}
}

// TestWalkIsBounded: however many indexes somebody writes around a manifest, a
// look-up stays small, and still has the digest itself.
func TestWalkIsBounded(t *testing.T) {
	f := NewFamily()
	victim := named(t, 1_000_000)
	for i := range 5000 {
		f.Add(Edge{named(t, i), victim})
	}
	up := f.Ancestors(victim)
	if len(up) != maxFamily || !slices.Contains(up, victim) || !slices.IsSortedFunc(up, Digest.Compare) {
		t.Errorf("%d ancestors, want %d with the digest itself, sorted", len(up), maxFamily)
	}
}

func TestAddAndRemove(t *testing.T) {
	a, b, c := named(t, 1), named(t, 2), named(t, 3)
	f := NewFamily()
	for _, e := range []Edge{{a, Digest{}}, {Digest{}, a}, {a, a}} {
		if f.Add(e) || f.Len() != 0 {
			t.Errorf("edge %v was added", e)
		}
	}
	if !f.Add(Edge{a, b}) || f.Add(Edge{a, b}) || !f.Add(Edge{a, c}) || f.Len() != 2 {
		t.Errorf("%d edges after adding two, one of them twice", f.Len())
	}
	if f.Remove(Edge{b, a}) || !f.Remove(Edge{a, b}) || f.Remove(Edge{a, b}) || f.Len() != 1 {
		t.Errorf("%d edges after removing one", f.Len())
	}
	if got := f.Descendants(a); !slices.Equal(got, []Digest{a, c}) || len(f.Ancestors(b)) != 1 {
		t.Errorf("after removing an edge: %v below, %v above", got, f.Ancestors(b))
	}
	f.Remove(Edge{a, c})
	if len(f.parents)+len(f.children) != 0 {
		t.Error("removed edges leave memory behind")
	}
	if f.Ancestors(Digest{}) != nil || f.Same(Digest{}, Digest{}) || !f.Canonical(Digest{}).IsZero() {
		t.Error("no digest has a family")
	}
}

func TestEdgesAreSorted(t *testing.T) {
	a, b, c := named(t, 1), named(t, 2), named(t, 3)
	got := family(Edge{b, c}, Edge{a, c}, Edge{a, b}).Edges()
	if want := []Edge{{a, b}, {a, c}, {b, c}}; !slices.Equal(got, want) {
		t.Errorf("edges are %v, want %v", got, want)
	}
}
