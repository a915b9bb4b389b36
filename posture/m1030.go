package posture

import (
	"slices"
	"strings"
)

// segmentation are the checks of M1030: what can talk to what.
func segmentation() []Check {
	egress := Effect{"AN0691", false, "nothing stops what an image starts from reaching out, so detection is all there is"}
	mining := Effect{"AN1492", false, "miners reach their pools"}
	return []Check{
		{
			ID: "M1030-1", Title: "Containers are not on the default bridge", Mitigation: "M1030",
			Docker: []string{"5.30"}, Topics: []Topic{TopicContainers, TopicInput}, Needs: "run it on a host with dockerd, or give \"docker inspect\" output",
			Effects: []Effect{{"AN0691", true, "a neighbour's traffic through a shared bridge looks like the container's own service traffic"}, egress},
			Mend:    "docker network create for each application, --internal where it needs no way out",
			look:    lookDefaultBridge,
		},
		{
			ID: "M1030-2", Title: "The default bridge does not connect its containers", Mitigation: "M1030",
			Docker: []string{"2.2"}, Topics: []Topic{TopicAPI, TopicNetworks, TopicInput}, Needs: "run it on a host with dockerd, or give daemon.json or \"docker network inspect bridge\"",
			Effects: []Effect{{"AN0691", true, "traffic between containers never leaves the bridge, so no egress sensor sees it"}},
			Mend:    "daemon.json: \"icc\": false",
			look:    lookICC,
		},
		{
			ID: "M1030-3", Title: "A NetworkPolicy selects every pod, both ways", Mitigation: "M1030",
			Kubernetes: []string{"5.3.2"}, Topics: []Topic{TopicCluster, TopicInput}, Needs: "give what \"kubectl get pods,networkpolicies -A -o yaml\" prints",
			Effects: []Effect{egress, mining},
			Mend:    "add a NetworkPolicy with podSelector: {} and policyTypes: [Ingress, Egress] to each namespace, then allow what is needed",
			look:    lookNetworkPolicies,
		},
		{
			ID: "M1030-4", Title: "Forwarded traffic is filtered on the host", Mitigation: "M1030",
			Topics: []Topic{TopicFirewall}, Needs: "run it on the host as root, or give the output of iptables-save or \"nft list ruleset\"",
			Effects: []Effect{egress, mining, {"AN1261", false, "a build step reaches any destination"}},
			Mend:    "add rules to the chain DOCKER-USER (or an nftables chain on the forward hook) that accept what is needed and drop the rest",
			look:    lookForward,
		},
		{
			ID: "M1030-5", Title: "The Docker API is not directly reachable from the network", Mitigation: "M1030",
			Docker: []string{"2.7"}, Topics: []Topic{TopicAPI, TopicInput}, Needs: "run it on a host with dockerd, or give daemon.json, docker.service or the output of \"docker info\"",
			Effects: []Effect{{"AN0693", false, "anybody on the network can try to deploy"}, {"AN1261", false, "or to have an image built"}},
			Mend:    "bind it to loopback behind a proxy or SSH, or let the firewall's input rules name who may reach the port",
			look:    lookEngineReach,
		},
		{
			ID: "M1030-6", Title: "The kubelet is not directly reachable from the network", Mitigation: "M1030",
			Topics: []Topic{TopicKubelet}, Needs: "run it on a node as root",
			Effects: []Effect{{"AN0691", true, "commands run through port 10250 never pass the API server's audit log"}},
			Mend:    "let the firewall's input rules accept ports 10250 and 10255 from the control plane alone",
			look:    lookKubeletReach,
		},
		{
			ID: "M1030-7", Title: "The daemon reaches registries through a proxy or mirror", Mitigation: "M1030",
			Topics: []Topic{TopicAPI, TopicInput}, Needs: "run it on a host with dockerd, or give daemon.json or the output of \"docker info\"",
			Effects: []Effect{{"AN0691", false, "any image of any registry can arrive"}, {"AN1317", false, "and be run by whoever typed its name"}},
			Mend:    "set \"proxies\" or \"registry-mirrors\" in daemon.json, and let the firewall drop other ways out",
			look:    lookProxy,
		},
	}
}

func lookDefaultBridge(q *inquiry) {
	q.eachContainer(func(c *Container, subject string) {
		switch {
		case c.Workload != "":
		case slices.Contains(c.Networks, "bridge"):
			q.fail(subject, c.Where, "is on the default bridge, with all others that nobody gave a network")
		default:
			q.pass(subject, c.Where, "is on "+cmpOr(several(c.Networks), "no network"))
		}
	})
}

func lookICC(q *inquiry) {
	for _, n := range q.Networks {
		switch {
		case !n.Default:
		case n.ICC:
			q.fail(n.label(), n.Where, "its containers can talk to each other")
		default:
			q.pass(n.label(), n.Where, "its containers cannot talk to each other")
		}
	}
	for _, e := range q.Engines {
		switch {
		case !e.ICC.Known() || slices.ContainsFunc(q.Networks, func(n Network) bool { return n.Default && n.Engine == e.Name }):
		case e.ICC.Value:
			q.fail(e.Name, e.ICC.Where, "lets containers of the default bridge talk to each other")
		default:
			q.pass(e.Name, e.ICC.Where, "keeps containers of the default bridge apart")
		}
	}
}

func (n Network) label() string {
	if n.Engine == "" {
		return "network " + n.Name
	}
	return n.Engine + ", network " + n.Name
}

// lookNetworkPolicies asks of each pod whether policies select it, for what
// comes in and for what goes out.
func lookNetworkPolicies(q *inquiry) {
	for _, p := range q.Pods {
		subject := p.Name + " in " + p.Namespace
		if slices.Contains(systemNamespaces, p.Namespace) {
			q.pass(subject, p.Where, "is one of the cluster's own agents")
			continue
		}
		if p.HostNetwork {
			q.fail(subject, p.Where, "uses the node's network, which no NetworkPolicy covers")
			continue
		}
		var by []string
		in, out, open := false, false, ""
		for _, np := range q.NetworkPolicies {
			if np.Namespace != p.Namespace || !np.Selector.matches(p.Labels) {
				continue
			}
			by = append(by, np.Name)
			in, out = in || np.Ingress, out || np.Egress
			if np.OpenEgress {
				open = np.Name
			}
		}
		switch {
		case len(by) == 0:
			q.fail(subject, p.Where, "no NetworkPolicy that was given selects it")
		case !out:
			q.fail(subject, p.Where, "NetworkPolicy "+several(by)+" bounds what comes in; everything may go out")
		case !in:
			q.fail(subject, p.Where, "NetworkPolicy "+several(by)+" bounds what goes out; everything may come in")
		case open != "":
			q.fail(subject, p.Where, "NetworkPolicy "+open+" lets everything out")
		default:
			q.pass(subject, p.Where, "selected by NetworkPolicy "+several(by))
		}
	}
}

func lookForward(q *inquiry) {
	for _, f := range q.Firewalls {
		rules := append(slices.Clone(f.DockerUser), f.Forward...)
		switch {
		case len(rules) > 0:
			q.pass(f.Name, f.Where, counted(len(rules), "rule")+" for forwarded packets, first "+rules[0])
		case f.HasDockerUser:
			q.fail(f.Name, f.Where, "the chain DOCKER-USER is empty, and no other rule filters what containers send")
		default:
			q.fail(f.Name, f.Where, "no rule of yours filters forwarded packets")
		}
	}
}

// guards reports a rule for packets to the host that keeps some from a port.
// Only rules that name the port, or a chain that drops by default, count.
func guards(fs []Firewall, port string) (rule string, ok bool) {
	for _, f := range fs {
		if f.InputPolicy == "drop" {
			return "packets to the host are dropped by default", true
		}
		for _, r := range f.Input {
			words := strings.FieldsFunc(r, func(r rune) bool { return strings.ContainsRune(" ,{}=:", r) })
			drops := slices.ContainsFunc(words, func(w string) bool {
				return slices.Contains([]string{"drop", "reject"}, strings.ToLower(w))
			})
			if drops && slices.Contains(words, port) {
				return r, true
			}
		}
	}
	return "", false
}

func lookEngineReach(q *inquiry) {
	for _, e := range q.Engines {
		n := 0
		for _, l := range e.Listeners {
			if l.Network == "tcp" {
				n++
				q.reach(e.Name+", tcp://"+l.Addr, l)
			}
		}
		switch {
		case n > 0:
		case len(e.Listeners) > 0:
			q.pass(e.Name, e.Listeners[0].Where, "no TCP address")
		default:
			q.unknown(TopicAPI, e.Name, "it does not tell its addresses; its arguments or daemon.json would")
		}
	}
}

// reach judges from where a listener can be reached.
func (q *inquiry) reach(subject string, l Listener) {
	from := "from the network of this address"
	switch reachOf(l.Addr) {
	case fromHost:
		q.pass(subject, l.Where, "loopback: only from this host")
		return
	case fromAnywhere:
		from = "from every network of the host"
	}
	if rule, ok := guards(q.Firewalls, portOf(l.Addr)); ok {
		q.pass(subject, cite(l.Where, q.Firewalls[0].Where), "bounded by the packet filter: "+rule)
		return
	}
	if len(q.Firewalls) == 0 {
		from += ", as far as is known: the packet filter could not be read"
	}
	q.fail(subject, l.Where, "reachable "+from)
}

func lookKubeletReach(q *inquiry) {
	for _, k := range q.Kubelets {
		for _, l := range k.Listeners {
			q.reach(k.Name+", port "+portOf(l.Addr), l)
		}
	}
}

func lookProxy(q *inquiry) {
	for _, e := range q.Engines {
		switch {
		case !e.Proxy.Known():
			q.unknown(TopicAPI, e.Name, "nothing that could be read tells its proxy")
		case e.Proxy.Value == "":
			q.fail(e.Name, e.Proxy.Where, "no proxy and no mirror: it asks any registry itself")
		default:
			q.pass(e.Name, e.Proxy.Where, "through "+e.Proxy.Value)
		}
	}
}
