package kubernetes

import (
	"cmp"
	"path"
	"strings"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/source/jsonrecord"
)

// specReader reads a pod's specification. Environments are never read: they
// hold secrets.
type specReader struct {
	spec, annotations jsonrecord.Value
	refs              *image.Parser
	pod               *podRisk // nil before the first container
	out               event.PodSpec
}

// podRisk is what a pod says for all of its containers. It is read once: a
// hostile specification may have very many of them.
type podRisk struct {
	pid, network, ipc string
	security          security
	hostPaths         map[string]string // path by volume name
	profiles          map[string]string // annotations that stand for profiles
}

// security is what a securityContext says, of a pod or of one container.
type security struct {
	user                       string
	nonRoot, hostProcess       *bool // nil when not told
	seccomp, appArmor, seLinux string
}

// newPodSpec reads a specification, nil if it says nothing.
func newPodSpec(spec, annotations jsonrecord.Value, refs *image.Parser) *event.PodSpec {
	w := specReader{spec: spec, annotations: annotations, refs: refs}
	w.out.Node = spec.String("nodeName")
	w.out.ServiceAccount = cmp.Or(spec.String("serviceAccountName"), spec.String("serviceAccount"))
	w.add(event.InitContainer, spec.Array("initContainers"))
	w.add(event.MainContainer, spec.Array("containers"))
	w.add(event.EphemeralContainer, spec.Array("ephemeralContainers"))
	return w.result()
}

func (w *specReader) result() *event.PodSpec {
	if len(w.out.Containers) == 0 && w.out.Node == "" && w.out.ServiceAccount == "" {
		return nil
	}
	return &w.out
}

func (w *specReader) add(kind event.ContainerKind, list []jsonrecord.Value) {
	if w.pod == nil && len(list) > 0 {
		w.pod = newPodRisk(w.spec, w.annotations)
	}
	for _, c := range list {
		if c.IsObject() {
			w.out.Containers = append(w.out.Containers, w.container(kind, c))
		}
	}
}

// Annotations that stood for profiles before those had fields.
const (
	seccompAnnotation  = "container.seccomp.security.alpha.kubernetes.io/"
	seccompOfPod       = "seccomp.security.alpha.kubernetes.io/pod"
	appArmorAnnotation = "container.apparmor.security.beta.kubernetes.io/"
)

func newPodRisk(spec, annotations jsonrecord.Value) *podRisk {
	p := &podRisk{
		pid:       hostMode(spec.Bool("hostPID")),
		network:   hostMode(spec.Bool("hostNetwork")),
		ipc:       hostMode(spec.Bool("hostIPC")),
		security:  readSecurity(spec.Get("securityContext")),
		hostPaths: map[string]string{},
		profiles:  map[string]string{},
	}
	for _, v := range spec.Array("volumes") {
		if path := v.String("hostPath", "path"); path != "" {
			p.hostPaths[v.String("name")] = path
		}
	}
	annotations.Each(func(key string, v jsonrecord.Value) {
		if key == seccompOfPod || strings.HasPrefix(key, seccompAnnotation) || strings.HasPrefix(key, appArmorAnnotation) {
			p.profiles[key] = v.String()
		}
	})
	return p
}

func readSecurity(v jsonrecord.Value) security {
	return security{
		user:        cmp.Or(v.Number("runAsUser"), v.String("windowsOptions", "runAsUserName")),
		nonRoot:     optional(v.Get("runAsNonRoot")),
		hostProcess: optional(v.Get("windowsOptions", "hostProcess")),
		seccomp:     v.String("seccompProfile", "type"),
		appArmor:    v.String("appArmorProfile", "type"),
		seLinux:     v.String("seLinuxOptions", "type"),
	}
}

// optional is a boolean's value, nil if it is missing.
func optional(v jsonrecord.Value) *bool {
	if v.IsNull() {
		return nil
	}
	b := v.Bool()
	return &b
}

// probes are where a container's specification holds commands that the
// kubelet runs in it.
var probes = [][]string{
	{"livenessProbe"}, {"readinessProbe"}, {"startupProbe"}, {"lifecycle", "postStart"}, {"lifecycle", "preStop"},
}

func (w *specReader) container(kind event.ContainerKind, c jsonrecord.Value) event.ContainerSpec {
	s := event.ContainerSpec{
		Name:       c.String("name"),
		Kind:       kind,
		Image:      w.refs.Parse(c.String("image")),
		PullPolicy: c.String("imagePullPolicy"),
		Command:    c.Strings("command"),
		Args:       c.Strings("args"),
		Risk:       w.risk(c),
	}
	for _, at := range probes {
		if command := c.Get(at...).Strings("exec", "command"); len(command) > 0 {
			s.Probes = append(s.Probes, command)
		}
	}
	return s
}

// risk says what a container may do, in the words of Docker's HostConfig, so
// that a rule need not know which runtime was asked. The restart policy is left
// out: in a pod "Always" is what one gets who does not choose.
func (w *specReader) risk(c jsonrecord.Value) event.Risk {
	context := c.Get("securityContext")
	own, pod := readSecurity(context), &w.pod.security
	r := event.Risk{
		Privileged:   context.Bool("privileged") || isTrue(own.hostProcess, pod.hostProcess),
		Capabilities: context.Strings("capabilities", "add"),
		PIDMode:      w.pod.pid,
		NetworkMode:  w.pod.network,
		IPCMode:      w.pod.ipc,
		SecurityOpt:  w.securityOpt(c.String("name"), own, context),
		User:         cmp.Or(own.user, pod.user),
	}
	if r.User == "" && isTrue(own.nonRoot, pod.nonRoot) {
		r.User = "nonroot" // which user it is to be is the image's choice
	}
	for _, m := range c.Array("volumeMounts") {
		source, ok := w.pod.hostPaths[m.String("name")]
		if !ok {
			continue
		}
		if sub := cmp.Or(m.String("subPath"), m.String("subPathExpr")); sub != "" {
			source = path.Join(source, sub)
		}
		r.Mounts = append(r.Mounts, event.Mount{Source: source, Destination: m.String("mountPath"), ReadOnly: m.Bool("readOnly")})
	}
	return r
}

func hostMode(host bool) string {
	if host {
		return "host"
	}
	return ""
}

// isTrue takes the container's word, and the pod's where it has none.
func isTrue(own, pod *bool) bool {
	if own == nil {
		own = pod
	}
	return own != nil && *own
}

// securityOpt lists what is set otherwise than by default, as Docker's
// --security-opt would.
func (w *specReader) securityOpt(name string, own security, context jsonrecord.Value) []string {
	var opts []string
	pod, noted := &w.pod.security, w.pod.profiles
	if strings.EqualFold(cmp.Or(own.seccomp, noted[seccompAnnotation+name], pod.seccomp, noted[seccompOfPod]), "unconfined") {
		opts = append(opts, "seccomp=unconfined")
	}
	if strings.EqualFold(cmp.Or(own.appArmor, noted[appArmorAnnotation+name], pod.appArmor), "unconfined") {
		opts = append(opts, "apparmor=unconfined")
	}
	if strings.EqualFold(context.String("procMount"), "unmasked") {
		opts = append(opts, "systempaths=unconfined")
	}
	if t := cmp.Or(own.seLinux, pod.seLinux); t != "" {
		opts = append(opts, "label=type:"+t)
	}
	if v := optional(context.Get("allowPrivilegeEscalation")); v != nil && !*v {
		opts = append(opts, "no-new-privileges")
	}
	return opts
}
