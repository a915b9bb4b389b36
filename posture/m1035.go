package posture

import (
	"fmt"
	"slices"
	"strings"
)

// networkAccess are the checks of M1035: who can reach the interfaces that
// control containers.
func networkAccess() []Check {
	return []Check{
		{
			ID: "M1035-1", Title: "The Docker API on TCP asks for client certificates", Mitigation: "M1035",
			Docker: []string{"2.7"}, Topics: []Topic{TopicAPI, TopicInput},
			Effects: []Effect{
				{"AN0693", true, "a request over plain TCP has no caller, so who deployed a container cannot be told"},
				{"AN1261", true, "nor can who had an image built on this host"},
				{"AN0612", false, "whoever reaches the port can mount the host's root"},
			},
			Mend:  "remove the tcp:// address from dockerd's -H and daemon.json's \"hosts\" and reach the host by ssh://, or serve it with --tlsverify and a CA of your own",
			Needs: "run it on a host with dockerd, or give daemon.json, docker.service or the output of \"docker info\"",
			look:  lookTCP,
		},
		{
			ID: "M1035-2", Title: "Clients from elsewhere come over SSH or TLS", Mitigation: "M1035",
			Docker: []string{"2.7"}, Topics: []Topic{TopicUse, TopicInput},
			Effects: []Effect{
				{"AN0693", true, "over SSH the login names the user; over plain TCP there is an address at most"},
				{"AN1261", true, "a build that came over plain TCP names nobody"},
			},
			Mend:  "let clients use docker context create NAME --docker host=ssh://USER@HOST, and close the TCP address",
			Needs: "run it on the host as root, or give an audit log with execve records",
			look:  lookUse,
		},
		{
			ID: "M1035-3", Title: "Sockets that control containers are closed to other users", Mitigation: "M1035",
			Docker: []string{"1.1.2", "3.15", "3.16", "3.23", "3.24"}, Topics: []Topic{TopicSockets},
			Effects: []Effect{
				{"AN0693", true, "any local account can deploy, and dockerd's events name none"},
				{"AN0612", false, "who may write to the socket is root on the host"},
			},
			Mend:  "chmod 0660 and chown root:docker the Docker socket (docker.socket's SocketMode=), root:root containerd's; keep the group small",
			Needs: "run it on the host that has the sockets",
			look:  lookSockets,
		},
		{
			ID: "M1035-4", Title: "No container sees a socket that controls containers", Mitigation: "M1035",
			Docker: []string{"5.32"}, Kubernetes: []string{"5.2.12"}, Topics: []Topic{TopicContainers, TopicInput},
			Effects: []Effect{
				{"AN0612", false, "a process in the container can start one that has the whole host"},
				{"AN0693", true, "what it deploys comes over the local socket, as if an operator had"},
			},
			Mend:  "take the mount away; give agents a proxy that lets only reading requests through",
			Needs: "run it on a host with dockerd, or give \"docker inspect\" output or pod specs",
			look:  lookSocketMounts,
		},
		{
			ID: "M1035-5", Title: "The kubelet serves nobody without credentials", Mitigation: "M1035",
			Kubernetes: []string{"4.2.1", "4.2.2", "4.2.4"}, Topics: []Topic{TopicKubelet},
			Effects: []Effect{{"AN0691", true, "what is run through the kubelet's own port never passes the API server's audit log"}},
			Mend:    "in the KubeletConfiguration: authentication.anonymous.enabled: false, authorization.mode: Webhook, readOnlyPort: 0",
			Needs:   "run it on a node, or give its KubeletConfiguration",
			look:    lookKubelets,
		},
		{
			ID: "M1035-6", Title: "The Kubernetes API asks who is there", Mitigation: "M1035",
			Kubernetes: []string{"1.2.1", "1.2.6"},
			Effects: []Effect{
				{"AN0693", true, "the creator of a workload is system:anonymous"},
				{"AN0691", false, "whoever reaches the port may be allowed to run images"},
			},
			Mend:  "give kube-apiserver --anonymous-auth=false (or an AuthenticationConfiguration that allows health checks alone) and --authorization-mode=Node,RBAC",
			Needs: "give the API server's pod spec, such as /etc/kubernetes/manifests/kube-apiserver.yaml",
			look:  lookAPIServers,
		},
	}
}

// lookTCP judges each address on which a Docker daemon serves its API.
func lookTCP(q *inquiry) {
	for _, e := range q.Engines {
		n := 0
		for _, l := range e.Listeners {
			if l.Network != "tcp" {
				continue
			}
			n++
			subject := e.Name + ", tcp://" + l.Addr
			where := l.Where
			switch {
			case l.Verify.Known() && l.Verify.Value:
				q.pass(subject, cite(where, l.Verify.Where), "TLS, and clients must show a certificate"+bound(l))
			case l.TLS.Known() && !l.TLS.Value:
				q.fail(subject, cite(where, l.TLS.Where), "plain HTTP: whoever reaches the port is root on the host"+bound(l))
			case l.Verify.Known():
				q.fail(subject, cite(where, l.Verify.Where), "TLS without asking for a client certificate: it encrypts for whoever comes"+bound(l))
			default:
				q.unknown(TopicAPI, subject, "listening, as "+where+" shows, but nothing that could be read says whether it is served with TLS")
			}
		}
		switch {
		case n > 0:
		case len(e.Listeners) > 0:
			q.pass(e.Name, e.Listeners[0].Where, "no TCP address: "+several(addresses(e.Listeners)))
		case e.Warns.Known():
			q.pass(e.Name, e.Warns.Where, "the daemon warns of no address that it serves without client certificates")
		}
	}
}

func bound(l Listener) string {
	if l.Bound {
		return ", seen listening"
	}
	return ""
}

func addresses(ls []Listener) []string {
	var out []string
	for _, l := range ls {
		out = append(out, strings.TrimSuffix(l.Network+"://"+l.Addr, "://"))
	}
	return out
}

// cite names places once each.
func cite(places ...string) string {
	var out []string
	for _, p := range places {
		for one := range strings.SplitSeq(p, "; ") {
			if one != "" && !slices.Contains(out, one) {
				out = append(out, one)
			}
		}
	}
	return strings.Join(out, "; ")
}

// lookUse judges clients from elsewhere that were seen.
func lookUse(q *inquiry) {
	for _, u := range q.Uses {
		subject := "client " + u.From
		switch u.Way {
		case "tcp":
			q.fail(subject, u.Where, "plain TCP: "+u.What)
		case "tls":
			q.pass(subject, u.Where, "TLS: "+u.What)
		default:
			q.pass(subject, u.Where, "SSH: "+u.What)
		}
	}
	if l, ok := q.listed(TopicUse); ok && len(q.Uses) == 0 {
		q.pass("clients", l.Where, l.What)
	}
}

// lookSockets judges owner and mode of local sockets.
func lookSockets(q *inquiry) {
	for _, s := range q.Sockets {
		mode := s.Mode.Perm()
		group := s.Group
		if group == "" {
			group = fmt.Sprint(s.GID)
		}
		what := fmt.Sprintf("mode %04o, user %d, group %s", mode, s.UID, group)
		if s.GID != 0 {
			what += " (" + cmpOr(several(s.Members), "no members listed") + ")"
		}
		switch {
		case mode&0o007 != 0:
			q.fail(s.Path, s.Where, what+": other users can use it")
		case s.UID != 0:
			q.fail(s.Path, s.Where, what+": it is not root's")
		case mode&0o117 != 0:
			q.fail(s.Path, s.Where, what+": more than 0660")
		case strings.Contains(s.Path, "containerd") && s.GID != 0 && mode&0o060 != 0:
			q.fail(s.Path, s.Where, what+": containerd's socket is for root alone")
		default:
			q.pass(s.Path, s.Where, what)
		}
	}
	if l, ok := q.listed(TopicSockets); ok && len(q.Sockets) == 0 {
		q.pass("sockets", l.Where, l.What)
	}
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// controlSockets are the files whose holder controls containers, and the folders
// that have them, by the runtimes' defaults.
var controlSockets = []string{"docker.sock", "containerd.sock", "crio.sock", "dockershim.sock", "cri-dockerd.sock", "podman.sock", "buildkitd.sock"}

var socketFolders = []string{"/", "/run", "/var/run", "/var", "/run/containerd", "/var/run/containerd", "/run/crio", "/var/run/crio", "/run/podman", "/run/buildkit", "/run/k3s", "/run/k3s/containerd"}

// lookSocketMounts looks for mounts of control sockets.
func lookSocketMounts(q *inquiry) {
	q.eachContainer(func(c *Container, subject string) {
		bad := false
		for _, m := range c.Mounts {
			source := strings.TrimSuffix(m.Source, "/")
			base := source[strings.LastIndexByte(source, '/')+1:]
			switch {
			case slices.Contains(controlSockets, base):
				bad = true
				q.fail(subject, c.Where, "mounts "+m.Source+" at "+m.Target)
			case slices.Contains(socketFolders, cmpOr(source, "/")):
				bad = true
				q.fail(subject, c.Where, "mounts "+m.Source+" at "+m.Target+", where such sockets lie")
			}
		}
		if !bad {
			q.pass(subject, c.Where, "mounts none")
		}
	})
}

// eachContainer visits the containers. If there are none, but they were listed,
// the check passes.
func (q *inquiry) eachContainer(visit func(c *Container, subject string)) {
	for i := range q.Containers {
		visit(&q.Containers[i], q.Containers[i].label())
	}
	if l, ok := q.listed(TopicContainers); ok && len(q.Containers) == 0 {
		q.pass("containers", l.Where, l.What)
	}
}

// label is how results call a container.
func (c *Container) label() string {
	if c.Workload != "" {
		return c.Workload + " in " + cmpOr(c.Namespace, "default") + ", container " + c.Name
	}
	return "container " + cmpOr(c.Name, c.ID)
}

// lookKubelets judges authentication and ports of kubelets.
func lookKubelets(q *inquiry) {
	for _, k := range q.Kubelets {
		before := len(q.failed)
		if k.Anonymous.Known() && k.Anonymous.Value {
			q.fail(k.Name, k.Anonymous.Where, "serves requests without credentials (anonymous authentication)")
		}
		if k.Authorization.Known() && k.Authorization.Value == "AlwaysAllow" {
			q.fail(k.Name, k.Authorization.Where, "lets everybody do everything (authorization AlwaysAllow)")
		}
		if k.ReadOnlyPort.Known() && k.ReadOnlyPort.Value != 0 {
			q.fail(k.Name, k.ReadOnlyPort.Where, fmt.Sprintf("tells everybody about its pods on the read-only port %d", k.ReadOnlyPort.Value))
		}
		switch {
		case len(q.failed) > before:
		case !k.Anonymous.Known() || !k.Authorization.Known():
			q.unknown(TopicKubelet, k.Name, "neither its arguments nor its configuration could be read")
		default:
			q.pass(k.Name, cite(k.Anonymous.Where, k.Authorization.Where), "credentials are asked for, authorization is "+k.Authorization.Value+", no read-only port")
		}
	}
}

// lookAPIServers judges the arguments of API servers.
func lookAPIServers(q *inquiry) {
	for _, a := range q.APIServers {
		bad := false
		if slices.Contains(a.Modes.Value, "AlwaysAllow") {
			bad = true
			q.fail(a.Name, a.Modes.Where, "lets everybody do everything (authorization mode AlwaysAllow)")
		}
		if a.Anonymous.Value {
			bad = true
			q.fail(a.Name, a.Anonymous.Where, "serves requests without credentials; RBAC alone decides what they may do")
		}
		if !bad {
			q.pass(a.Name, cite(a.Anonymous.Where, a.Modes.Where), "no anonymous requests, authorization by "+several(a.Modes.Value))
		}
	}
}
