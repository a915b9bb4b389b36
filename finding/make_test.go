package finding

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// What the tests of this package are made of: one small story about one
// container, and the means to change single things in it.

const (
	containerID = "3f4e8c2a9b1d5e7f0a6c4b8d2e9f1a3c5b7d9e0f2a4c6b8d0e1f3a5c7b9d2e4f"
	digestA     = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB     = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// noon is when the story begins.
const noon = 1795262400 * event.Second

// at is a moment of the story, as exact as a nanosecond.
func at(seconds float64) event.Time {
	return event.Time{At: noon + int64(seconds*float64(time.Second)), Res: event.Nanosecond}
}

// happened makes an event of a body. Its id follows from the time and the kind.
func happened(when event.Time, body event.Body) *event.Event {
	return &event.Event{
		ID:     event.NewID("test", when.String(), string(body.Kind())),
		Time:   when,
		Place:  event.Place{Tenant: "acme", Cluster: "blue", Host: "node1"},
		Origin: event.Origin{Source: event.Auditd, Format: "auditd", File: "audit.log", Spans: []event.Span{{Line: 7}, {Line: 8}}},
		Body:   body,
	}
}

func digest(s string) image.Digest {
	d, err := image.ParseDigest(s)
	if err != nil {
		panic(err)
	}
	return d
}

// subject is a container on node1.
func subject(id string) evidence.SubjectID {
	return evidence.SubjectID{Kind: "container", Place: event.Place{Tenant: "acme", Cluster: "blue", Host: "node1"}, ID: id}
}

// webContainer is a container of which everything is known.
func webContainer() *evidence.Container {
	return &evidence.Container{
		ID: containerID, Name: "web", Host: "node1", Cluster: "blue", Namespace: "shop", Pod: "web-7d9",
		Image: evidence.Image{
			Reference: image.Parse("registry.example/shop/web:1.4"),
			Digests:   []image.Digest{digest(digestA), digest(digestB)},
			Canonical: digest(digestA),
			Origin:    evidence.OriginRegistry,
		},
	}
}

// command is a fact of a program that ran.
func command(seconds float64, args ...string) evidence.Fact {
	p := &event.Process{PID: 4021, PPID: 3999, Exe: args[0], Args: args}
	return evidence.Fact{Kind: evidence.Command, Event: happened(at(seconds), p), Command: &evidence.CommandFact{Exe: args[0]}}
}

// cited makes the items of an assessment's evidence.
func cited(leg string, facts ...evidence.Fact) []analytic.Item {
	var out []analytic.Item
	for _, f := range facts {
		out = append(out, analytic.Item{Fact: f, Leg: leg, Signals: []string{"suspicious-exec"}})
	}
	return out
}

// assessed is an assessment of medium severity whose story has everything.
func assessed(id evidence.SubjectID, change ...func(*analytic.Assessment)) analytic.Assessment {
	c := webContainer()
	c.ID = id.ID
	a := analytic.Assessment{
		Subject: id, Container: c, Family: "AN0691",
		Analytics: []analytic.Raised{
			{ID: "AN0691", Strategy: "DET0251", Techniques: []string{"T1204.003"}, Name: "Malicious image"},
			{ID: "AN1492", Strategy: "DET0540", Techniques: []string{"T1496.001", "T1204.003", "T1496"}, Name: "Mining"},
		},
		Scope: "shop", Severity: analytic.Medium, Score: 45.5, Confidence: 0.6,
		Hits: []analytic.Hit{
			{Signal: "image-untrusted", Group: "image", Points: 20, Says: "its registry is not trusted", Clear: "approve registry.example"},
			{Signal: "suspicious-exec", Group: "exec", Points: 30, Says: "it ran curl"},
		},
		Legs:      []analytic.Leg{{Name: "command", State: analytic.Seen}, {Name: "egress", State: analytic.Blind, Missing: "whom it contacted"}},
		ChainSays: "created, then ran a downloader",
		Evidence:  cited("command", command(1, "/usr/bin/curl", "http://203.0.113.9/x")),
		Cause:     digestA,
		FinalAt:   noon + 60*event.Second,
	}
	for _, f := range change {
		f(&a)
	}
	return a
}

// The changes that tests make to an assessment.

func severity(s analytic.Severity) func(*analytic.Assessment) {
	return func(a *analytic.Assessment) { a.Severity = s }
}

func score(points float64) func(*analytic.Assessment) {
	return func(a *analytic.Assessment) { a.Score = points }
}

func cause(c string) func(*analytic.Assessment) {
	return func(a *analytic.Assessment) { a.Cause = c }
}

func family(f string) func(*analytic.Assessment) {
	return func(a *analytic.Assessment) { a.Family = f }
}

func history(a *analytic.Assessment) { a.History = true }

func evidenceOf(items ...analytic.Item) func(*analytic.Assessment) {
	return func(a *analytic.Assessment) { a.Evidence = items }
}

func found(as ...analytic.Assessment) []analytic.Assessment { return as }

// composed is the finding of assessments as if they shared an id.
func composed(as ...analytic.Assessment) Finding {
	var ps []*analytic.Assessment
	for i := range as {
		ps = append(ps, &as[i])
	}
	f := compose("tw-0123456789abcdef01234567", ps)

	f.State = Confirmed
	return f
}

// text is a Raw that finds this text for every record.
type text string

func (r text) Read(event.Origin) (string, error) { return string(r), nil }

// gone is a Raw whose files are not there any more.
type gone struct{}

func (gone) Read(event.Origin) (string, error) { return "", errors.New("audit.log: no such file") }

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// named replaces ids by names, so that a test can say what it wants.
func named(names map[string]string, id string) string {
	if n, ok := names[id]; ok {
		return n
	}
	return strings.TrimPrefix(id, "tw-")
}
