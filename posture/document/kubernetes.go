package document

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tidewaiter/image"
	"tidewaiter/posture"
)

// maxObjects bounds the Kubernetes objects of one run.
const maxObjects = 200_000

// meta is what is read of every object.
type meta struct {
	Kind       string
	APIVersion string `json:"apiVersion"`
	Metadata   struct {
		Name, Namespace string
		Labels          map[string]string
		OwnerReferences []struct{ Kind, Name string }
	}
}

// object reads one Kubernetes object, or a list of them. Kinds that say nothing
// about posture are passed over.
func (r *Reader) object(where string, data []byte) error {
	var m meta
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("read a Kubernetes object: %w", err)
	}
	if r.objects++; r.objects > maxObjects {
		return fmt.Errorf("more than %d Kubernetes objects", maxObjects)
	}
	if strings.HasSuffix(m.Kind, "List") {
		return r.list(where, data, m)
	}
	subject := m.Kind + " " + m.Metadata.Name
	var err error
	switch m.Kind {
	case "Namespace":
		r.Facts.Namespaces = append(r.Facts.Namespaces, posture.Namespace{Name: m.Metadata.Name, Labels: m.Metadata.Labels, Where: where})
	case "NetworkPolicy":
		err = r.networkPolicy(where, data, m)
	case "KubeletConfiguration":
		r.Facts.Kubelets = append(r.Facts.Kubelets, KubeletParts{Name: "kubelet", Config: data, ConfigWhere: where}.Kubelet())
	case "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ClusterPolicy", "Policy", "ValidatingPolicy":
		err = r.admission(where, data, m)
	default:
		err = r.workload(where, data, m)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	return nil
}

func (r *Reader) list(where string, data []byte, m meta) error {
	var l struct{ Items []json.RawMessage }
	if err := json.Unmarshal(data, &l); err != nil {
		return fmt.Errorf("read a list of Kubernetes objects: %w", err)
	}
	kind := strings.TrimSuffix(m.Kind, "List")
	for _, item := range l.Items {
		if kind != "" { // the items of a typed list do not repeat their kind
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(item, &fields); err != nil {
				return fmt.Errorf("read a list of Kubernetes objects: %w", err)
			}
			if _, has := fields["kind"]; !has {
				fields["kind"], fields["apiVersion"] = quoted(kind), quoted(m.APIVersion)
				item, _ = json.Marshal(fields) // what was JSON is JSON
			}
		}
		if err := r.object(where, item); err != nil {
			return err
		}
	}
	return nil
}

func quoted(s string) json.RawMessage {
	b, _ := json.Marshal(s) // a string always can be
	return b
}

// podSpec is what is read of a pod's specification.
type podSpec struct {
	HostNetwork, HostPID, HostIPC bool
	HostUsers                     *bool
	SecurityContext               security
	Volumes                       []struct {
		Name     string
		HostPath *struct{ Path string }
	}
	Containers, InitContainers, EphemeralContainers []podContainer
}

type security struct {
	RunAsUser    *int64
	RunAsNonRoot *bool
	Privileged   bool
	Capabilities struct{ Add []string }
}

type podContainer struct {
	Name, Image     string
	Command, Args   []string
	SecurityContext security
	VolumeMounts    []struct {
		Name, MountPath string
		ReadOnly        bool
	}
}

// workload reads what has a pod or a template of pods in it.
func (r *Reader) workload(where string, data []byte, m meta) error {
	var w struct {
		Spec struct {
			podSpec
			Template    *template
			JobTemplate *struct{ Spec struct{ Template *template } }
		}
		Template *template // PodTemplate
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	spec, labels := &w.Spec.podSpec, m.Metadata.Labels
	for _, t := range []*template{w.Spec.Template, w.Template} {
		if t != nil {
			spec, labels = &t.Spec, t.Metadata.Labels
		}
	}
	if j := w.Spec.JobTemplate; j != nil && j.Spec.Template != nil {
		spec, labels = &j.Spec.Template.Spec, j.Spec.Template.Metadata.Labels
	}
	if len(spec.Containers) == 0 {
		return nil
	}
	namespace := m.Metadata.Namespace
	if namespace == "" {
		namespace = "default"
	}
	name := strings.ToLower(m.Kind) + " " + m.Metadata.Name
	r.Facts.Pods = append(r.Facts.Pods, posture.Pod{Namespace: namespace, Name: name, Labels: labels, HostNetwork: spec.HostNetwork, Where: where})
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers, spec.EphemeralContainers) {
		r.Facts.Containers = append(r.Facts.Containers, podsContainer(where, namespace, name, spec, c))
		if a, ok := apiServer(where, c); ok {
			r.Facts.APIServers = append(r.Facts.APIServers, a)
		}
	}
	return nil
}

type template struct {
	Metadata struct{ Labels map[string]string }
	Spec     podSpec
}

func podsContainer(where, namespace, workload string, spec *podSpec, in podContainer) posture.Container {
	c := posture.Container{
		Name: in.Name, Where: where, Namespace: namespace, Workload: workload, Image: image.Parse(in.Image),
		Privileged: in.SecurityContext.Privileged, CapAdd: in.SecurityContext.Capabilities.Add,
		OwnUsers: spec.HostUsers != nil && !*spec.HostUsers,
	}
	for _, u := range []*int64{spec.SecurityContext.RunAsUser, in.SecurityContext.RunAsUser} {
		if u != nil {
			c.User = posture.Said[string]{Value: strconv.FormatInt(*u, 10), Where: where}
		}
	}
	for _, n := range []*bool{spec.SecurityContext.RunAsNonRoot, in.SecurityContext.RunAsNonRoot} {
		if n != nil {
			c.NonRoot = *n
		}
	}
	for _, h := range []struct {
		on   bool
		name string
	}{{spec.HostNetwork, "network"}, {spec.HostPID, "pid"}, {spec.HostIPC, "ipc"}} {
		if h.on {
			c.HostNamespaces = append(c.HostNamespaces, h.name)
		}
	}
	for _, m := range in.VolumeMounts {
		for _, v := range spec.Volumes {
			if v.Name == m.Name && v.HostPath != nil {
				c.Mounts = append(c.Mounts, posture.Mount{Source: v.HostPath.Path, Target: m.MountPath, ReadOnly: m.ReadOnly})
			}
		}
	}
	return c
}

// apiServer reads the arguments of a container that is a Kubernetes API server.
func apiServer(where string, c podContainer) (posture.APIServer, bool) {
	all := slices.Concat(c.Command, c.Args)
	if !slices.ContainsFunc(all, func(a string) bool { return a == "kube-apiserver" || strings.HasSuffix(a, "/kube-apiserver") }) {
		return posture.APIServer{}, false
	}
	a := posture.APIServer{
		Name:      "API server",
		Anonymous: posture.Said[bool]{Value: true, Where: where + " (the default)"},
		Modes:     posture.Said[[]string]{Value: []string{"AlwaysAllow"}, Where: where + " (the default)"},
	}
	for _, arg := range all {
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch name {
		case "anonymous-auth":
			a.Anonymous = posture.Said[bool]{Value: value != "false", Where: where}
		case "authorization-mode":
			a.Modes = posture.Said[[]string]{Value: strings.Split(value, ","), Where: where}
		case "authorization-config":
			a.Modes = posture.Said[[]string]{Value: []string{"the file " + value}, Where: where}
		case "authentication-config":
			// It can bound anonymous requests to health checks; what it says is
			// in another file.
			a.Anonymous = posture.Said[bool]{Value: false, Where: where + " (bounded by " + value + ", which was not read)"}
		}
	}
	return a, true
}

func (r *Reader) networkPolicy(where string, data []byte, m meta) error {
	var in struct {
		Spec struct {
			PodSelector     posture.Selector
			PolicyTypes     []string
			Ingress, Egress []struct{ To, Ports []json.RawMessage }
		}
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	namespace := m.Metadata.Namespace
	if namespace == "" {
		namespace = "default"
	}
	p := posture.NetworkPolicy{Namespace: namespace, Name: m.Metadata.Name, Selector: in.Spec.PodSelector, Where: where}
	// Without policyTypes a policy bounds ingress, and egress if it has rules for
	// it (networking.k8s.io/v1).
	p.Ingress = len(in.Spec.PolicyTypes) == 0 || slices.Contains(in.Spec.PolicyTypes, "Ingress")
	p.Egress = slices.Contains(in.Spec.PolicyTypes, "Egress") || len(in.Spec.PolicyTypes) == 0 && len(in.Spec.Egress) > 0
	p.OpenEgress = slices.ContainsFunc(in.Spec.Egress, func(e struct{ To, Ports []json.RawMessage }) bool { return len(e.To) == 0 && len(e.Ports) == 0 })
	r.Facts.NetworkPolicies = append(r.Facts.NetworkPolicies, p)
	return nil
}
