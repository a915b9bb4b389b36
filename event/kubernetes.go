package event

import (
	"net/netip"
	"strings"
	"tidewaiter/image"
)

// Kinds of Kubernetes events.
const (
	KindPod       Kind = "pod"
	KindWorkload  Kind = "workload"
	KindPodStatus Kind = "pod.status"
	KindPodAccess Kind = "pod-access"
	KindGrant     Kind = "grant"
	KindKubeEvent Kind = "kube-event"
	KindSandbox   Kind = "sandbox"
)

// ObjectRef names a Kubernetes object. A UID means one object for ever; a name
// is given again after a deletion.
type ObjectRef struct {
	Kind      string `cbor:"1,keyasint,omitempty"` // "Pod", "ReplicaSet", "CronJob", …
	Namespace string `cbor:"2,keyasint,omitempty"`
	Name      string `cbor:"3,keyasint,omitempty"` // "" when the record does not tell it yet (generateName)
	UID       string `cbor:"4,keyasint,omitempty"`
}

// IsZero reports whether nothing is known.
func (r ObjectRef) IsZero() bool { return r == ObjectRef{} }

// Principal is who asked for something, as the API server (or a cloud) knew
// them.
type Principal struct {
	Name   string   // "alice@corp.example", "system:serviceaccount:ns:name", "system:anonymous"
	UID    string   // "" when the record does not tell
	Groups []string // sorted as in the record
	// Behind is the principal that acted in the name of this one
	// (impersonation), or "".
	Behind  string
	Clients []netip.Addr // where the request came from, nearest the client first
	Agent   string       // the client's own word for itself: a claim
	// Cloud is what a cloud tells beside it, nil if none does.
	Cloud *CloudIdentity
}

// APIVerb is what was done to an object, in the API's words.
type APIVerb string

// The verbs that matter here.
const (
	VerbCreate APIVerb = "create"
	VerbUpdate APIVerb = "update" // patches count as updates
	VerbDelete APIVerb = "delete"
)

// ContainerKind tells a pod's containers apart.
type ContainerKind string

// The kinds of containers in a pod.
const (
	MainContainer      ContainerKind = "container"
	InitContainer      ContainerKind = "init"
	EphemeralContainer ContainerKind = "ephemeral" // added to a running pod, for debugging
)

// ContainerSpec is one container as it was asked for.
type ContainerSpec struct {
	Name  string
	Kind  ContainerKind
	Image image.Reference
	// PullPolicy is "Always", "IfNotPresent", "Never", or "" when not stated.
	PullPolicy string
	// Command replaces the image's entry point, Args its arguments; nil when
	// the image's own are used.
	Command, Args []string
	// Probes are the commands that the kubelet runs in the container itself:
	// exec probes and life-cycle hooks, each as its arguments.
	Probes [][]string
	Risk   Risk // host namespaces and hostPath volumes of the pod included
}

// PodSpec is a pod as it was asked for.
type PodSpec struct {
	Containers     []ContainerSpec
	Node           string // where it is to run, "" before it is scheduled
	ServiceAccount string
}

// Pod says that somebody created, changed or deleted a pod through the API.
type Pod struct {
	Verb   APIVerb
	Object ObjectRef
	// Prefix is metadata.generateName: the name begins so.
	Prefix string
	Owner  ObjectRef // the controller in ownerReferences, zero if none
	Labels map[string]string
	By     Principal
	// Code is the HTTP status, 0 when unknown. From 400 on nothing was done.
	Code int
	// Spec is nil when the audit level leaves it out. Of a change to
	// pods/ephemeralcontainers it has the ephemeral containers.
	Spec *PodSpec
}

// Kind implements Body.
func (*Pod) Kind() Kind { return KindPod }

// Workload says that somebody created, changed or deleted an object that makes
// pods: Deployment, ReplicaSet, DaemonSet, StatefulSet, Job, CronJob.
type Workload struct {
	Verb   APIVerb
	Object ObjectRef
	Prefix string
	Owner  ObjectRef
	By     Principal
	Code   int
	// Template is the pods' specification, nil when the level leaves it out.
	Template *PodSpec
}

// Kind implements Body.
func (*Workload) Kind() Kind { return KindWorkload }

// ContainerStatus is what the kubelet reports of one container.
type ContainerStatus struct {
	Name string
	Kind ContainerKind
	// ID is the runtime's id without its scheme, "" before it was made.
	ID string
	// Image is the reference that the runtime reports, ImageID what it ran:
	// index, manifest or config digest, by runtime. Zero when not told.
	Image     image.Reference
	ImageID   image.Digest
	StartedAt Time
}

// PodStatus is what the kubelet reports of a pod: the join of pod, containers,
// image ids and addresses. The event's Time is when it was reported.
type PodStatus struct {
	Object     ObjectRef
	Node       string
	Addrs      []netip.Addr // the pod's; of a pod in the host's network the host's
	HostAddrs  []netip.Addr
	Containers []ContainerStatus
	// StartedAt is when the kubelet first saw it, zero when not told.
	StartedAt Time
	// Phase is "Pending", "Running", "Succeeded", "Failed", or "".
	Phase string
	// Spec and Owner are set where the whole pod was read, as by a look-up.
	Spec  *PodSpec
	Owner ObjectRef
}

// Kind implements Body.
func (*PodStatus) Kind() Kind { return KindPodStatus }

// PodAccess says that somebody reached into a running pod: "exec", "attach",
// "portforward", "proxy". The API server's audit and the kubelet's own log
// both tell it.
type PodAccess struct {
	Action string
	Object ObjectRef
	// Container is the container's name in the pod, "" for its only one.
	Container string
	Command   []string
	Stdin     bool
	TTY       bool
	By        Principal // zero when the kubelet's log tells it
	Code      int
}

// Kind implements Body.
func (*PodAccess) Kind() Kind { return KindPodAccess }

// Grant says that somebody gave rights: a (cluster) role binding.
type Grant struct {
	Verb   APIVerb
	Object ObjectRef
	Role   string // "ClusterRole/cluster-admin"
	// To are those who got the rights: "User/bob", "ServiceAccount/ns/name".
	To   []string
	By   Principal
	Code int
}

// Kind implements Body.
func (*Grant) Kind() Kind { return KindGrant }

// Principals are those who got the rights, as the API server calls them; a
// group's members are not told.
func (g *Grant) Principals() []string {
	names := make([]string, len(g.To))
	for i, to := range g.To {
		kind, name, _ := strings.Cut(to, "/")
		if names[i] = name; kind == "ServiceAccount" {
			names[i] = "system:serviceaccount:" + strings.ReplaceAll(name, "/", ":")
		}
	}
	return names
}

// KubeEvent is a Kubernetes Event about a pod: a statement for people, kept for
// an hour, repeated with a count. Time is that of its first occurrence.
type KubeEvent struct {
	Object ObjectRef
	// Container is the container's name, "" when it is about the pod.
	Container     string
	ContainerKind ContainerKind
	// Reason is the event's own word: "Pulling", "Pulled", "Created",
	// "Started", "Scheduled", "Killing", "BackOff", "Failed", …
	Reason  string
	Message string
	// Image is the image that the message names; zero if none.
	Image image.Reference
	// Present is set when a Pulled event says that the image was there
	// already: nothing came.
	Present bool
	Node    string
	// Count is how often it happened, Last when it happened last.
	Count int
	Last  Time
}

// Kind implements Body.
func (*KubeEvent) Kind() Kind { return KindKubeEvent }

// Sandbox says what a CRI runtime's log tells of a pod's sandbox, the container
// that holds its name spaces. A Container event with Sandbox set lies in it.
type Sandbox struct {
	Action ContainerAction // create, exit, remove
	ID     string
	Object ObjectRef // the pod
	Addrs  []netip.Addr
}

// Kind implements Body.
func (*Sandbox) Kind() Kind { return KindSandbox }

// PodRef is what a source itself says of whose an event is: sensors in a
// cluster look it up when it happens. Most events have none, so that bodies
// point to it.
type PodRef struct {
	Namespace string          `cbor:"1,keyasint,omitempty"`
	Pod       string          `cbor:"2,keyasint,omitempty"`
	UID       string          `cbor:"3,keyasint,omitempty"`
	Container string          `cbor:"4,keyasint,omitempty"` // the container's name in the pod
	Image     image.Reference `cbor:"5,keyasint,omitempty"`
	Workload  ObjectRef       `cbor:"6,keyasint,omitempty"`
	// Node is the node that it runs on, "" when not told.
	Node string `cbor:"7,keyasint,omitempty"`
}

// IsZero reports whether nothing is told.
func (r PodRef) IsZero() bool { return r == PodRef{} }

// Told is what a body points to: nil if nothing is told.
func (r PodRef) Told() *PodRef {
	if r.IsZero() {
		return nil
	}
	told := r // here, so that nothing is allocated where nothing is told
	return &told
}

// Value is what Told was made of.
func (r *PodRef) Value() PodRef {
	if r == nil {
		return PodRef{}
	}
	return *r
}

// HasPod reports whether a pod is named.
func (r *PodRef) HasPod() bool { return r != nil && r.Pod != "" }
