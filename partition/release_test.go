package partition_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/finding"
	"tidewaiter/image"
	"tidewaiter/partition"
)

// publishedPolicy trusts one identity's pushes.
const publishedPolicy = `version: 1
learning: 1h
settings:
  publishers: ["good.example/team/* by ci-builder"]
default_scope: all
scopes:
  all:
    registries: ["good.example/*"]
    approved_destinations: ["10.0.0.0/8", "198.51.100.0/24"]
`

// push adds that a registry took in an image from somebody.
func (w *tale) push(second int, ref string, d image.Digest, by string) {
	host := w.host
	w.host = "registry" // its records come from elsewhere
	w.add(event.Registry, at(second), event.Millisecond, &event.RegistryAction{Action: "push", Reference: image.Parse(ref), Digest: d, By: event.Principal{Name: by}})
	w.host = host
}

// release is a container of an image that never ran before: it is pulled and
// run, migrates a database by a shell, and connects to a place of its own.
func (w *tale) release(second, n int, ref string, d image.Digest) {
	pid, addr := 1000+n*10, fmt.Sprintf("172.17.%d.%d", n/200, 2+n%200)
	w.pull(second, ref, d)
	w.add(event.Dockerd, at(second), event.Millisecond, &event.ImageResolved{Reference: image.Parse(ref), Digest: d})
	w.create(second+1, n, ref)
	w.start(second+2, n, pid)
	w.add(event.Inspect, 0, 1, &event.ContainerDescription{ID: idOf(n), ImageID: d, Networks: []event.NetworkAddress{{NetworkID: "n", Addrs: []netip.Addr{netip.MustParseAddr(addr)}}}})
	w.run(second+3, pid, "sh", "-c", "/app/migrate && exec /app/server")
	w.connect(second+4, addr, fmt.Sprintf("198.51.100.%d:443", 1+n%250))
}

// settle tells of earlier days, so that what is new counts.
func (w *tale) settle() {
	w.push(-90000, "good.example/team/app:1", digest(9000), "ci-builder")
	w.release(-86400, 999, "good.example/team/app:1", digest(9000))
}

// Five hundred new digests in an hour through the approved pipeline are
// nothing, and nobody edits the policy for them. One of the same shape that
// somebody else pushed is told, and so is its push.
func TestReleasesThroughThePipeline(t *testing.T) {
	w := newTale(t, publishedPolicy)
	w.settle()
	for n := range 500 {
		second := n * 7
		ref := fmt.Sprintf("good.example/team/svc%d:1.%d", n%20, n)
		if n%3 == 0 {
			ref = fmt.Sprintf("good.example/team/svc%d:stable", n%20) // a tag that moves on each time
		}
		w.push(second, ref, digest(1000+n), "ci-builder")
		w.release(second+5, n, ref, digest(1000+n))
	}
	if fs := w.tell(); len(fs) > 0 {
		t.Fatalf("%d findings, such as %v", len(fs), outcomes(fs[:1]))
	}
	w.push(3600, "good.example/team/svc0:stable", digest(2000), "mallory")
	w.release(3605, 600, "good.example/team/svc0:stable", digest(2000))
	fs := w.tell()
	slices.SortFunc(fs, func(a, b finding.Finding) int { return strings.Compare(a.Family, b.Family) })
	if len(fs) != 2 || fs[1].Subjects[0].Image == nil || !slices.Contains(signals(fs[1]), "push-over-published") {
		t.Fatalf("findings, want the container and the push: %v", outcomes(fs))
	}
	f := fs[0]
	if f.Severity < analytic.Low || !slices.Contains(signals(f), "tag-unpublished") || slices.Contains(signals(f), "image-published") {
		t.Errorf("%s %.0f %v", f.Severity, f.Score, signals(f))
	}
	if f.Subjects[0].Container.ID != idOf(600) {
		t.Errorf("about %s", f.Subjects[0].Container.ID)
	}
}

// Who published an image is told late, by a registry elsewhere, in another
// partition: the outcome is the same.
func TestPublicationsAreToldWheneverAndWherever(t *testing.T) {
	cases := []struct {
		name string
		tell func(w *tale)
		want bool // something is told
	}{
		{"pushed by the publisher", func(w *tale) { w.push(0, "good.example/team/app:2", digest(7), "ci-builder") }, false},
		{"told after it ran", func(w *tale) { w.push(500, "good.example/team/app:2", digest(7), "ci-builder") }, false},
		{"by nobody known", func(w *tale) { w.push(0, "good.example/team/app:2", digest(7), "") }, true},
		{"by somebody else", func(w *tale) { w.push(0, "good.example/team/app:2", digest(7), "ci-builder2") }, true},
		{"into a repository that is not the publisher's", func(w *tale) { w.push(0, "good.example/other/app:2", digest(7), "ci-builder") }, true},
		{"in another registry", func(w *tale) { w.push(0, "good.example.evil.example/team/app:2", digest(7), "ci-builder") }, true},
		{"another image", func(w *tale) { w.push(0, "good.example/team/app:2", digest(8), "ci-builder") }, true},
		{"only deleted by the publisher", func(w *tale) {
			w.add(event.Registry, at(0), 1, &event.RegistryAction{Action: "delete", Reference: image.Parse("good.example/team/app:2"), Digest: digest(7), By: event.Principal{Name: "ci-builder"}})
		}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newTale(t, publishedPolicy)
			w.settle()
			c.tell(w)
			w.release(100, 1, "good.example/team/app:2", digest(7))
			if fs := w.tell(); len(fs) > 0 != c.want {
				t.Errorf("findings %v", outcomes(fs))
			}
			apart := [2]*partition.Partition{}
			for i := range apart {
				apart[i] = partition.New(partition.Options{Name: fmt.Sprint(i), Library: library(t), Policy: parsePolicy(t, publishedPolicy)})
			}
			rng := rand.New(rand.NewPCG(1, 2))
			rng.Shuffle(len(w.events), func(i, j int) { w.events[i], w.events[j] = w.events[j], w.events[i] })
			for _, e := range w.events {
				i := 0
				if e.Place.Host == "registry" {
					i = 1
				}
				apart[i].Apply(e)
			}
			for range 2 {
				for i, p := range apart {
					p.Sync()
					n, ok, err := p.Publish()
					if err != nil {
						t.Fatal(err)
					}
					if ok {
						if err := apart[1-i].Absorb(n); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			if fs := apart[0].Findings(); len(fs) > 0 != c.want {
				t.Errorf("over two partitions: findings %v", outcomes(fs))
			}
		})
	}
}
