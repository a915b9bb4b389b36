package daemon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/finding"
)

var noon = time.Unix(1_800_000_000, 0)

func onOwner(owner, cause string) *finding.Finding {
	return &finding.Finding{ID: "tw-" + owner, Family: "AN0691", Owner: owner, Cause: cause, Scope: "shop", Severity: analytic.High, Title: "x", Clear: []string{"add " + cause}}
}

// One image on forty hosts is told of the first two, then as one, and again as
// there are three times as many; also over a restart. After a day it is new.
func TestOneCauseOnManyOwnersIsToldAsOne(t *testing.T) {
	g := newGuard("")
	var said []string
	weigh := func(owner string, at time.Time) {
		if f := g.weigh(onOwner(owner, "sha256:1"), at); f != nil {
			said = append(said, strings.TrimSuffix(f.Title, ": x"))
		}
		g = newGuard(g.text())
	}
	for n := range 40 {
		weigh(fmt.Sprint("host-", n), noon.Add(time.Duration(n)*time.Minute))
	}
	weigh("host-7", noon.Add(time.Hour)) // worse than before
	weigh("host-1", noon.Add(25*time.Hour))
	want := []string{"x", "x", "one cause on 3 workloads", "one cause on 9 workloads", "one cause on 27 workloads", "x"}
	if fmt.Sprint(said) != fmt.Sprint(want) {
		t.Errorf("told %q, want %q", said, want)
	}
	if g.Held != 36 {
		t.Errorf("%d are counted as not told one by one, want 36", g.Held)
	}
}

// A policy that fits nothing gives a hundred notices and then few; each proposes
// what would settle those that it stands for.
func TestAFloodIsToldAsOne(t *testing.T) {
	g := newGuard("")
	alone, many := 0, []*finding.Finding{}
	for n := range 1000 {
		f := onOwner(fmt.Sprint("host-", n), fmt.Sprint("image-", n))
		switch told := g.weigh(f, noon); {
		case told == f:
			alone++
		case told != nil:
			many = append(many, told)
		}
	}
	if alone != manyNotices || len(many) != 4 {
		t.Fatalf("%d alone, %d as one", alone, len(many))
	}
	if f := many[0]; !strings.Contains(f.Title, "too strict") || len(f.Clear) != maxNamed || f.ID == many[1].ID {
		t.Errorf("%+v", f)
	}
	if f := onOwner("other", "image"); g.weigh(f, noon.Add(2*time.Hour)) != f {
		t.Error("an hour later it is still held back")
	}
	info := onOwner("quiet", "image")
	info.Severity = analytic.Info
	if g.weigh(info, noon) != info {
		t.Error("what is only noted is held back")
	}
}

func TestTheGuardIsBounded(t *testing.T) {
	g := newGuard("broken {")
	for n := range maxGuarded + 200 {
		f := onOwner("host", fmt.Sprint("image-", n))
		f.Scope = fmt.Sprint("scope-", n)
		g.weigh(f, noon.Add(time.Duration(n)))
	}
	if len(g.Causes) > maxGuarded || len(g.Scopes) > maxGuarded {
		t.Errorf("%d causes, %d scopes", len(g.Causes), len(g.Scopes))
	}
}
