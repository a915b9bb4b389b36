package posture

import (
	"slices"
	"strings"

	"tidewaiter/image"
)

// privileges are the checks of M1026: what containers may do, and who sees to
// it.
func privileges() []Check {
	hot := func(analytic, why string) Effect { return Effect{analytic, false, why} }
	containers := "run it on a host with dockerd, or give \"docker inspect\" output or pod specs"
	cluster := "give what \"kubectl get -o yaml\" prints of namespaces and pods"
	return []Check{
		{
			ID: "M1026-1", Title: "Containers do not run as root", Mitigation: "M1026",
			Docker: []string{"4.1"}, Kubernetes: []string{"5.2.7"}, Topics: []Topic{TopicContainers, TopicInput}, Needs: containers,
			Effects: []Effect{hot("AN0612", "root inside is root outside once a boundary breaks"), hot("AN0691", "what an image brings can install more of itself")},
			Mend:    "set USER in the image, --user, or runAsNonRoot and runAsUser; or give containers a user namespace",
			look:    lookRoot,
		},
		{
			ID: "M1026-2", Title: "No container is privileged", Mitigation: "M1026",
			Docker: []string{"5.5"}, Kubernetes: []string{"5.2.2"}, Topics: []Topic{TopicContainers, TopicInput}, Needs: containers,
			Effects: []Effect{hot("AN0612", "all devices and capabilities of the host are there to escape with"), hot("AN0693", "each new one counts as a risky deployment")},
			Mend:    "drop --privileged; give the one device or capability that is needed",
			look:    lookPrivileged,
		},
		{
			ID: "M1026-3", Title: "No container has dangerous capabilities", Mitigation: "M1026",
			Docker: []string{"5.4"}, Kubernetes: []string{"5.2.8", "5.2.9"}, Topics: []Topic{TopicContainers, TopicInput}, Needs: containers,
			Effects: []Effect{hot("AN0612", "such a capability is enough to escape"), hot("AN0693", "each new one counts as a risky deployment")},
			Mend:    "drop ALL and add back what the program needs; the policy's dangerous_capabilities says which count",
			look:    lookCapabilities,
		},
		{
			ID: "M1026-4", Title: "Containers share no namespace of the host", Mitigation: "M1026",
			Docker: []string{"5.10", "5.16", "5.17", "5.21", "5.31"}, Kubernetes: []string{"5.2.3", "5.2.4", "5.2.5"}, Topics: []Topic{TopicContainers, TopicInput}, Needs: containers,
			Effects: []Effect{
				{"AN0691", true, "with the host's network its connections are the host's, and nobody can tell whose they are"},
				hot("AN0612", "with the host's processes it can see and enter them"),
			},
			Mend: "drop --network/--pid/--ipc/--uts/--userns=host, or hostNetwork, hostPID and hostIPC",
			look: lookHostNamespaces,
		},
		{
			ID: "M1026-5", Title: "Containers see no sensitive paths of the host", Mitigation: "M1026",
			Docker: []string{"5.6"}, Kubernetes: []string{"5.2.12"}, Topics: []Topic{TopicContainers, TopicInput}, Needs: containers,
			Effects: []Effect{hot("AN0612", "writing there runs on the host"), hot("AN0693", "each new one counts as a risky deployment")},
			Mend:    "use volumes; mount single files, read-only; the policy's sensitive_paths says which count",
			look:    lookSensitiveMounts,
		},
		{
			ID: "M1026-6", Title: "Containers have a user namespace of their own", Mitigation: "M1026",
			Docker: []string{"2.9"}, Topics: []Topic{TopicAPI, TopicInput}, Needs: "run it on a host with dockerd, or give daemon.json, \"docker info\" or pod specs",
			Effects: []Effect{hot("AN0612", "without one, root inside has root's number outside")},
			Mend:    "daemon.json: \"userns-remap\": \"default\", or rootless Docker; in pods hostUsers: false",
			look:    lookUserns,
		},
		{
			ID: "M1026-7", Title: "Namespaces enforce a Pod Security Standard", Mitigation: "M1026",
			Kubernetes: []string{"5.2.1"}, Topics: []Topic{TopicCluster, TopicInput}, Needs: cluster,
			Effects: []Effect{hot("AN0693", "nothing refuses a risky pod"), hot("AN0612", "nor one that can escape")},
			Mend:    "kubectl label namespace NAME pod-security.kubernetes.io/enforce=restricted (baseline at least)",
			look:    lookPodSecurity,
		},
		{
			ID: "M1026-8", Title: "Admission refuses risky pods", Mitigation: "M1026",
			Kubernetes: []string{"5.2.1", "5.2.2", "5.2.3", "5.2.7", "5.2.9", "5.2.12"}, Topics: []Topic{TopicCluster, TopicInput}, Needs: cluster + ", and ValidatingAdmissionPolicies with their bindings, or Kyverno's policies",
			Effects: []Effect{hot("AN0693", "nothing refuses a risky pod"), hot("AN0612", "nor one that can escape")},
			Mend:    "bind a ValidatingAdmissionPolicy with validationActions: [Deny], or set Kyverno's failureAction: Enforce, or label the namespaces",
			look:    lookAdmission,
		},
	}
}

// lookRoot finds containers whose first process is root.
func lookRoot(q *inquiry) {
	q.eachContainer(func(c *Container, subject string) {
		user := c.User
		if !user.Known() {
			user = q.imageUser(c)
		}
		name, _, _ := strings.Cut(user.Value, ":")
		mapped := q.mapped(c)
		switch {
		case c.NonRoot:
			q.pass(subject, c.Where, "runAsNonRoot refuses root")
		case !user.Known():
			q.fail(subject, c.Where, "nothing keeps it from running as root: neither runAsNonRoot nor runAsUser is set")
		case name != "" && name != "0" && name != "root":
			q.pass(subject, user.Where, "runs as "+user.Value)
		case mapped != "":
			q.pass(subject, user.Where, "runs as root of its own user namespace ("+mapped+")")
		default:
			q.fail(subject, user.Where, "runs as root")
		}
	})
}

// imageUser is the user that a container's image states.
func (q *inquiry) imageUser(c *Container) Said[string] {
	for _, im := range q.Images {
		same := !c.ImageID.IsZero() && c.ImageID == im.ID ||
			c.Image.Key() != "" && slices.ContainsFunc(im.Names, func(r image.Reference) bool { return r.Key() == c.Image.Key() })
		if same && im.HasHistory {
			return Said[string]{im.User, im.Where}
		}
	}
	return Said[string]{}
}

// mapped says which user namespace keeps a container's root from being the
// host's, "" for none.
func (q *inquiry) mapped(c *Container) string {
	if c.OwnUsers {
		return "hostUsers: false"
	}
	if c.Workload != "" || slices.Contains(c.HostNamespaces, "user") {
		return ""
	}
	for _, e := range q.Engines {
		if e.Userns.Value != "" && (c.Engine == "" || c.Engine == e.Name) {
			return e.Userns.Value
		}
	}
	return ""
}

func lookPrivileged(q *inquiry) {
	q.eachContainer(func(c *Container, subject string) {
		if c.Privileged {
			q.fail(subject, c.Where, "is privileged")
			return
		}
		q.pass(subject, c.Where, "is not privileged")
	})
}

func lookCapabilities(q *inquiry) {
	q.eachContainer(func(c *Container, subject string) {
		dangerous := q.scope(c.Namespace).Setting("", "dangerous_capabilities")
		var bad []string
		for _, name := range c.CapAdd {
			if dangerous.MatchesPattern(strings.ToUpper(name)) || dangerous.MatchesPattern(strings.TrimPrefix(strings.ToUpper(name), "CAP_")) {
				bad = append(bad, name)
			}
		}
		if len(bad) > 0 {
			q.fail(subject, c.Where, "is given "+several(bad))
			return
		}
		q.pass(subject, c.Where, "is given none")
	})
}

func lookHostNamespaces(q *inquiry) {
	q.eachContainer(func(c *Container, subject string) {
		if len(c.HostNamespaces) > 0 {
			q.fail(subject, c.Where, "shares the host's "+several(c.HostNamespaces)+" namespace")
			return
		}
		q.pass(subject, c.Where, "shares none")
	})
}

func lookSensitiveMounts(q *inquiry) {
	q.eachContainer(func(c *Container, subject string) {
		sensitive := q.scope(c.Namespace).Setting("", "sensitive_paths")
		bad := false
		for _, m := range c.Mounts {
			if !sensitive.MatchesPattern(cmpOr(strings.TrimSuffix(m.Source, "/"), "/")) {
				continue
			}
			bad = true
			how := "can write to"
			if m.ReadOnly {
				how = "can read"
			}
			q.fail(subject, c.Where, how+" the host's "+m.Source+" at "+m.Target)
		}
		if !bad {
			q.pass(subject, c.Where, "sees none")
		}
	})
}

func lookUserns(q *inquiry) {
	for _, e := range q.Engines {
		switch {
		case !e.Userns.Known():
			q.unknown(TopicAPI, e.Name, "nothing that could be read tells whether it maps users")
		case e.Userns.Value == "":
			q.fail(e.Name, e.Userns.Where, "containers have the host's users")
		default:
			q.pass(e.Name, e.Userns.Where, "containers have users of their own: "+e.Userns.Value)
		}
	}
	for i := range q.Containers {
		c := &q.Containers[i]
		switch {
		case c.Workload == "":
		case c.OwnUsers:
			q.pass(c.label(), c.Where, "hostUsers: false")
		default:
			q.fail(c.label(), c.Where, "has the node's users (hostUsers is not false)")
		}
	}
}

// systemNamespaces hold the cluster's own agents, which need what is dangerous.
var systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease"}

const enforceLabel = "pod-security.kubernetes.io/enforce"

func lookPodSecurity(q *inquiry) {
	for _, n := range q.Namespaces {
		level, labelled := n.Labels[enforceLabel]
		subject := "namespace " + n.Name
		switch {
		case slices.Contains(systemNamespaces, n.Name):
			q.pass(subject, n.Where, "is the cluster's own; its agents are not judged by it")
		case !labelled:
			q.fail(subject, n.Where, "has no label "+enforceLabel)
		case level == "baseline" || level == "restricted":
			q.pass(subject, n.Where, "enforces "+level)
		default:
			q.fail(subject, n.Where, "enforces "+level+", which refuses nothing")
		}
	}
	for _, name := range q.unlistedNamespaces() {
		q.unknown(TopicCluster, "namespace "+name, "workloads name it, but the namespace itself was not given")
	}
}

// unlistedNamespaces are those that workloads name and nobody gave.
func (q *inquiry) unlistedNamespaces() []string {
	var out []string
	for _, p := range q.Pods {
		if !slices.ContainsFunc(q.Namespaces, func(n Namespace) bool { return n.Name == p.Namespace }) && !slices.Contains(out, p.Namespace) {
			out = append(out, p.Namespace)
		}
	}
	return out
}

// RefusedBy are the aspects that a Pod Security Standard refuses
// (kubernetes.io, "Pod Security Standards").
func RefusedBy(level string) []Aspect {
	switch level {
	case "baseline":
		return []Aspect{Privileged, HostNamespaces, HostPaths, Capabilities}
	case "restricted":
		return []Aspect{Privileged, HostNamespaces, HostPaths, Capabilities, RootUser}
	}
	return nil
}

// lookAdmission tells for each namespace which aspects something refuses.
func lookAdmission(q *inquiry) {
	names := q.unlistedNamespaces()
	for _, n := range q.Namespaces {
		names = append(names, n.Name)
	}
	for _, a := range q.Admission {
		if !a.Enforces && len(a.Aspects) > 0 {
			q.fail(a.Kind+" "+a.Name, a.Where, "does not refuse anything: "+a.WhyNot)
		}
	}
	if len(names) == 0 && len(q.Admission) > 0 {
		names = []string{""}
	}
	for _, name := range names {
		if slices.Contains(systemNamespaces, name) {
			continue
		}
		q.admission(name)
	}
}

// admission judges one namespace, or with "" a cluster of which only the
// policies were given.
func (q *inquiry) admission(name string) {
	subject, where := "namespace "+name, ""
	if name == "" {
		subject = "any namespace"
	}
	by := map[Aspect]string{}
	for _, n := range q.Namespaces {
		if n.Name == name {
			where = n.Where
			for _, a := range RefusedBy(n.Labels[enforceLabel]) {
				by[a] = "Pod Security " + n.Labels[enforceLabel]
			}
		}
	}
	for _, a := range q.Admission {
		if !a.Enforces || a.Namespace != "" && a.Namespace != name {
			continue
		}
		where = cite(where, a.Where)
		for _, aspect := range a.Aspects {
			if by[aspect] == "" {
				by[aspect] = a.Kind + " " + a.Name + a.Bounds
			}
		}
	}
	var open, closed []string
	for _, a := range []Aspect{Privileged, HostNamespaces, HostPaths, Capabilities, RootUser} {
		if by[a] == "" {
			open = append(open, string(a))
		} else {
			closed = append(closed, string(a)+" by "+by[a])
		}
	}
	switch {
	case len(open) == 0:
		q.pass(subject, where, "refuses "+strings.Join(closed, ", "))
	case len(closed) == 0:
		q.fail(subject, cmpOr(where, "the objects that were given"), "nothing that was given refuses "+strings.Join(open, ", "))
	default:
		q.fail(subject, where, "nothing refuses "+strings.Join(open, ", ")+"; refused: "+strings.Join(closed, ", "))
	}
}
