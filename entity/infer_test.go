package entity

import (
	"net/netip"
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// dialled203 is what dial runs.
const dialled203 = "curl -o /tmp/x http://203.0.113.8:8080/x"

// dial has a container's process run a command that names where it connects.
func (s podStory) dial(node string, at float64, id string, pid int) {
	s.on(node, func() {
		s.task(at-2, id, pid)
		s.run(at, pid+1, pid, "curl", "-o", "/tmp/x", "http://203.0.113.8:8080/x")
	})
}

// Nobody tells who has an address: a connection from it is the container's
// whose command alone names where it went.
func TestAConnectionIsTheContainersThatNamesItsEnd(t *testing.T) {
	cases := []struct {
		name string
		more func(s podStory)
		want bool
	}{
		{"only one container names it", func(podStory) {}, true},
		{"another container does, too", func(s podStory) { s.dial("n1", 12, containerB, 200) }, false},
		{"one of another node does, too", func(s podStory) { s.dial("n2", 12, containerB, 200) }, false},
		{"a program of the host does, too", func(s podStory) {
			s.on("n1", func() { s.run(11, 900, 1, "curl", "http://203.0.113.8:8080/") })
		}, false},
		{"another names another port", func(s podStory) {
			s.on("n1", func() { s.run(11, 900, 1, "curl", "http://203.0.113.8/") })
		}, true},
		{"a client tells it to a runtime", func(s podStory) {
			s.on("n1", func() { s.run(9, 900, 1, "docker", "run", "web:1", "curl", "http://203.0.113.8:8080/") })
		}, true},
		{"the address is a node's", func(s podStory) {
			s.on("n1", func() { s.add(-1, event.Inventory, &event.HostDescription{Addrs: []netip.Addr{ip("10.42.0.7")}}) })
		}, false},
		{"another container does long before", func(s podStory) { s.dial("n2", 10-400, containerB, 200) }, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newPodStory(t)
			s.dial("n1", 10, containerA, 100)
			s.flow(11, "10.42.0.7:4000", "203.0.113.8:8080")
			s.flow(11.5, "10.42.0.7:4001", "203.0.113.8:443")
			c.more(s)
			sub, ok := s.told().Subject(evidence.SubjectID{Kind: containerKind, Place: event.Place{Cluster: "main", Host: "n1"}, ID: containerA})
			if !ok {
				t.Fatal("the container is not known")
			}
			got := sub.Of(evidence.Connection)
			if len(got) != map[bool]int{true: 1}[c.want] {
				t.Fatalf("%d connections", len(got))
			}
			if c.want && (!got[0].Connection.Inferred || got[0].Connection.Remote != ipPort("203.0.113.8:8080")) {
				t.Errorf("%+v", got[0].Connection)
			}
		})
	}
}

// An address that a container is known to have needs no such guess.
func TestAKnownAddressIsNotInferred(t *testing.T) {
	s := newPodStory(t)
	s.status(5, web, "10.42.0.7", event.ContainerStatus{Name: "a", ID: containerB, Image: image.Parse("web:1")})
	s.dial("n1", 10, containerA, 100)
	s.flow(11, "10.42.0.7:4000", "203.0.113.8:8080")
	s.tells(s.the(web), behaviour, "- 203.0.113.8:8080")
	if s.the(web).Of(evidence.Connection)[0].Connection.Inferred {
		t.Error("it is called inferred")
	}
}

// A sensor tells the pod of a connection, and a container's command alone names
// where it went: the container is in the pod.
func TestAConnectionTiesAContainerToItsPod(t *testing.T) {
	s := newPodStory(t)
	s.dial("n1", 10, containerA, 100)
	s.add(11, event.Hubble, &event.Flow{Protocol: "tcp", Src: ipPort("10.42.0.7:4000"), Dst: ipPort("203.0.113.8:8080"), SrcPod: &event.PodRef{Namespace: "prod", Pod: "web-1"}})
	pod := podRef("web-1", "")
	sub := s.the(pod)
	s.tells(sub, behaviour, " "+dialled203+" [first]", "- 203.0.113.8:8080")
	if len(sub.Containers) != 1 || !sub.Containers[0].PodInferred {
		t.Errorf("%+v", sub.Containers)
	}
	// What is told counts, whatever could be inferred.
	s.on("n1", func() { s.label(9, containerA, "container", "db", podRef("db-1", "u9")) })
	if sub := s.the(podRef("db-1", "u9")); len(sub.Containers) != 1 || sub.Containers[0].PodInferred {
		t.Errorf("%+v", sub.Containers)
	}
	if n := len(s.the(pod).Containers); n != 0 {
		t.Errorf("web-1 still has %d containers", n)
	}
}

// Pods of two names connected to where one container's command says: nobody
// knows which of them it is in.
func TestTwoPodsConnectedWhereOneCommandSays(t *testing.T) {
	s := newPodStory(t)
	s.dial("n1", 10, containerA, 100)
	for i, name := range []string{"web-1", "web-2"} {
		s.add(11+float64(i), event.Hubble, &event.Flow{Protocol: "tcp", Src: ipPort("10.42.0.7:4000"), Dst: ipPort("203.0.113.8:8080"), SrcPod: &event.PodRef{Namespace: "prod", Pod: name}})
	}
	for _, name := range []string{"web-1", "web-2"} {
		if n := len(s.the(podRef(name, "")).Containers); n != 0 {
			t.Errorf("%s has %d containers", name, n)
		}
	}
}

// started adds that the kubelet says it started a container of a pod.
func (s podStory) started(at float64, pod event.ObjectRef, ref string) {
	if ref != "" {
		s.add(at-1, event.KubeEvents, &event.KubeEvent{Object: pod, Container: "a", Reason: "Pulled", Image: image.Parse(ref), Node: "n1"})
		s.last().Time.Res = event.Second
	}
	s.add(at, event.KubeEvents, &event.KubeEvent{Object: pod, Container: "a", Reason: "Started", Node: "n1"})
	s.last().Time.Res = event.Second
}

// The kubelet started one container when one began on its node.
func TestTheTimeOfItsStartTiesAContainerToItsPod(t *testing.T) {
	other := podRef("db-1", "u2")
	begin := func(s podStory, at float64, id, ref string) {
		s.on("n1", func() {
			s.add(at, event.Containerd, &event.Container{Action: event.ContainerCreate, ID: id, Image: image.Parse(ref)})
			s.task(at+0.2, id, 100)
		})
	}
	cases := []struct {
		name string
		tell func(s podStory)
		want bool
	}{
		{"one of each", func(s podStory) { begin(s, 10.3, containerA, "web:1"); s.started(10, web, "web:1") }, true},
		{"the image is not told", func(s podStory) { begin(s, 10.3, containerA, "web:1"); s.started(10, web, "") }, true},
		{"another image", func(s podStory) { begin(s, 10.3, containerA, "web:1"); s.started(10, web, "db:1") }, false},
		{"at another time", func(s podStory) { begin(s, 20.3, containerA, "web:1"); s.started(10, web, "web:1") }, false},
		{"two containers of the image", func(s podStory) {
			begin(s, 10.3, containerA, "web:1")
			begin(s, 11.3, containerB, "web:1")
			s.started(10, web, "web:1")
		}, false},
		{"two pods of the image", func(s podStory) {
			begin(s, 10.3, containerA, "web:1")
			s.started(10, web, "web:1")
			s.started(11, other, "web:1")
		}, false},
		{"two of each, told apart by the image", func(s podStory) {
			begin(s, 10.3, containerA, "web:1")
			begin(s, 10.4, containerB, "db:1")
			s.started(10, web, "web:1")
			s.started(10, other, "db:1")
		}, true},
		{"of the two, one is told", func(s podStory) {
			begin(s, 10.3, containerA, "web:1")
			begin(s, 10.4, containerB, "web:1")
			s.started(10, web, "web:1")
			s.started(10, other, "web:1")
			s.on("n1", func() { s.label(10.4, containerB, "container", "a", other) })
		}, true},
		{"its sandbox began, too", func(s podStory) {
			begin(s, 10.1, containerB, "registry.k8s.io/pause:3.9")
			begin(s, 10.3, containerA, "web:1")
			s.started(10, web, "")
		}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newPodStory(t)
			c.tell(s)
			var in []string
			for _, k := range s.the(web).Containers {
				in = append(in, k.ID)
				if !k.PodInferred {
					t.Error("it is not said to be inferred")
				}
			}
			if got := len(in) == 1 && in[0] == containerA; got != c.want {
				t.Errorf("containers %q", in)
			}
		})
	}
}

// Where the host's own records are all there is, what ran in the container is
// told of its sandbox, whose shim started it. Both are in the pod.
func TestASandboxIsWhereItsContainersAre(t *testing.T) {
	s := newPodStory(t)
	s.on("n1", func() {
		s.run(8, 50, 1, "containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", containerB)
		s.run(8.1, 51, 50, "runc", "create", containerB)
		s.run(8.2, 52, 50, "/pause")
		s.run(10.3, 60, 50, "runc", "create", containerA)
		s.run(11, 61, 50, "sh")
	})
	s.started(10, web, "web:1")
	sub := s.the(web)
	if len(sub.Of(evidence.Command)) != 2 {
		s.tells(sub, behaviour, "two commands")
	}
	if len(sub.Containers) != 1 || sub.Containers[0].ID != containerA {
		t.Errorf("containers %+v", sub.Containers)
	}
}

// What a tag meant weeks ago says nothing once the kubelet pulled it again and
// no source here tells what came; where one was at work, nothing came.
func TestAnOldMeaningOfATagIsStaleOnceItWasPulledAgain(t *testing.T) {
	for _, c := range []struct {
		name string
		more func(s podStory)
		want bool
	}{
		{"nothing tells what came", func(podStory) {}, true},
		{"the runtime's images were told then", func(s podStory) { s.on("n1", func() { s.stored(1000, event.ImageCreate, "other:1") }) }, false},
		{"the status names the digest", func(s podStory) {
			s.status(1005, web, "", event.ContainerStatus{Name: "a", ID: containerA, Image: image.Parse("web:1"), ImageID: sum(1)})
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newPodStory(t)
			s.on("n1", func() {
				s.add(10, event.Docker, &event.Image{Action: event.ImagePull, Reference: image.Parse("web:1"), Digest: sum(1)})
				s.add(1000.3, event.Docker, &event.Container{Action: event.ContainerCreate, ID: containerA, Image: image.Parse("web:1")})
				s.label(1000.4, containerA, "container", "a", web)
			})
			s.started(1000, web, "web:1")
			c.more(s)
			k := s.the(web).Containers[0]
			if k.Image.Canonical != sum(1) || k.Image.Stale != c.want {
				t.Errorf("%v, stale %t", k.Image.Canonical, k.Image.Stale)
			}
		})
	}
}
