// Package posture judges how a host or a cluster is set up: the mitigations that
// ATT&CK names for malicious images, as checks that pass, fail, or could not
// look. It is a pure function: what is there was gathered by others.
//
// In: Facts, a policy, and the time. Out: one Result for each check, with where
// each piece of evidence was read, which analytic the matter blinds or inflames,
// and how to mend it.
package posture

import (
	"io/fs"
	"time"

	"tidewaiter/image"
)

// Facts are what was gathered of one host, or one cluster, or both.
type Facts struct {
	Engines    []Engine
	Sockets    []Socket
	Uses       []Use
	Containers []Container
	Networks   []Network
	Firewalls  []Firewall
	Kubelets   []Kubelet
	APIServers []APIServer

	Pods            []Pod
	Namespaces      []Namespace
	NetworkPolicies []NetworkPolicy
	Admission       []Admission

	Images []Image

	// Looked says what was listed in full, so that nothing found means that
	// nothing is there.
	Looked []Looked
	// Gaps say what could not be looked at.
	Gaps []Gap
}

// Topic is a kind of thing that is looked at.
type Topic string

// The topics.
const (
	TopicAPI        Topic = "docker api"
	TopicSockets    Topic = "sockets"
	TopicUse        Topic = "remote use"
	TopicContainers Topic = "containers"
	TopicNetworks   Topic = "networks"
	TopicFirewall   Topic = "firewall"
	TopicKubelet    Topic = "kubelet"
	TopicCluster    Topic = "cluster"
	TopicImages     Topic = "images"
	TopicLayers     Topic = "layers"
	TopicSignatures Topic = "signatures"
	// TopicInput is for a file that nobody could read or recognise: it could
	// have held anything.
	TopicInput Topic = "input"
)

// Gap is something that could not be looked at.
type Gap struct {
	Topic Topic `json:"topic"`
	// Where is what would have been read.
	Where string `json:"where"`
	Why   string `json:"why"`
}

// Looked says that all of a topic was listed somewhere.
type Looked struct {
	Topic Topic
	Where string
	// What says what was looked at, such as "4 containers".
	What string
}

// Said is a value and where it was read; with an empty Where nobody said
// anything.
type Said[T any] struct {
	Value T
	Where string
}

// Known reports whether anybody said anything.
func (s Said[T]) Known() bool { return s.Where != "" }

// Engine is one Docker daemon, as its process, its configuration and it itself
// describe it.
type Engine struct {
	// Name is what results call it.
	Name      string
	Listeners []Listener
	// Userns is the user namespace that all its containers get: "rootless", or
	// the value of userns-remap; "" for none.
	Userns Said[string]
	// ICC says whether containers of the default bridge may talk to each other.
	ICC Said[bool]
	// Proxy is what its own requests to registries go through: a proxy, or
	// mirrors; "" for nothing.
	Proxy Said[string]
	// Warns says whether the daemon itself warns of an address that it serves
	// without client certificates.
	Warns Said[bool]
	// Running is set for a process that was found.
	Running bool
}

// Listener is one address on which a daemon serves its API.
type Listener struct {
	// Network is "unix", "tcp", "fd" or "npipe".
	Network string
	// Addr is a path, or host:port; a host of "" means every address.
	Addr string
	// TLS and Verify say whether it speaks TLS, and asks clients for a
	// certificate.
	TLS, Verify Said[bool]
	// Where is what names it.
	Where string
	// Bound is set when the process was seen listening there.
	Bound bool
}

// Socket is a local socket that controls containers.
type Socket struct {
	Path  string
	Mode  fs.FileMode
	UID   int
	GID   int
	Group string
	// Members are the users of the group.
	Members []string
	Where   string
}

// Use is a client of an API from elsewhere, as it was seen.
type Use struct {
	// Way is "ssh", "tcp" or "tls".
	Way string
	// From is the peer's address, or the user.
	From  string
	What  string
	Where string
}

// Container is one container: of Docker, or of a pod or a pod template.
type Container struct {
	Name  string
	ID    string
	Where string
	// Namespace is the Kubernetes namespace, "" for Docker; Workload the kind
	// and name of the object there.
	Namespace, Workload string
	// Engine is the name of the Docker daemon that has it, if known.
	Engine  string
	Image   image.Reference
	ImageID image.Digest

	// User is who the first process is: Docker states it always, a pod only if
	// it does not leave it to the image.
	User Said[string]
	// NonRoot is Kubernetes' promise that root is refused.
	NonRoot    bool
	Privileged bool
	CapAdd     []string
	// HostNamespaces are those of the host that it shares: network, pid, ipc,
	// uts, user.
	HostNamespaces []string
	// OwnUsers is set when the pod asks for a user namespace of its own.
	OwnUsers bool
	Mounts   []Mount
	// Networks are Docker's networks that it is attached to.
	Networks []string
	Running  bool
}

// Mount is a path of the host that a container sees.
type Mount struct {
	Source, Target string
	ReadOnly       bool
}

// Network is a network of Docker.
type Network struct {
	Name, Driver string
	// Default is set for the bridge that containers get if nobody chooses.
	Default bool
	// ICC says whether its containers may talk to each other.
	ICC    bool
	Engine string
	Where  string
}

// Firewall is the packet filter of one network namespace.
type Firewall struct {
	Name, Where string
	// DockerUser are the rules in the chain DOCKER-USER that do more than
	// return; HasDockerUser says whether the chain is there.
	DockerUser    []string
	HasDockerUser bool
	// Forward are rules that somebody made for forwarded packets: of nftables
	// chains on that hook, or of the chain FORWARD, Docker's own left out.
	Forward []string
	// InputPolicy is what happens to packets for the host that no rule names;
	// Input are the rules for them.
	InputPolicy string
	Input       []string
}

// Kubelet is one kubelet.
type Kubelet struct {
	Name string
	// Anonymous says whether requests without credentials are served,
	// Authorization is "Webhook" or "AlwaysAllow", ReadOnlyPort is 0 for none.
	Anonymous     Said[bool]
	Authorization Said[string]
	ReadOnlyPort  Said[int]
	Listeners     []Listener
}

// APIServer is one Kubernetes API server, by its arguments.
type APIServer struct {
	Name      string
	Anonymous Said[bool]
	// Modes are its authorization modes.
	Modes Said[[]string]
}

// Pod is a pod, or a template of pods.
type Pod struct {
	Namespace, Name string
	Labels          map[string]string
	HostNetwork     bool
	Where           string
}

// Namespace is a Kubernetes namespace.
type Namespace struct {
	Name   string
	Labels map[string]string
	Where  string
}

// NetworkPolicy is a NetworkPolicy of Kubernetes.
type NetworkPolicy struct {
	Namespace, Name string
	Selector        Selector
	Ingress, Egress bool
	// OpenEgress is set when one of its rules lets everything out.
	OpenEgress bool
	Where      string
}

// Selector is a label selector of Kubernetes; the zero value selects all.
type Selector struct {
	MatchLabels      map[string]string
	MatchExpressions []Requirement
}

// Requirement is one expression of a selector.
type Requirement struct {
	Key, Operator string
	Values        []string
}

// Aspect is something that an admission policy can forbid.
type Aspect string

// The aspects.
const (
	Privileged     Aspect = "privileged containers"
	HostNamespaces Aspect = "host namespaces"
	HostPaths      Aspect = "paths of the host"
	Capabilities   Aspect = "added capabilities"
	RootUser       Aspect = "running as root"
)

// Admission is a policy that decides which pods a cluster takes: a
// ValidatingAdmissionPolicy with its bindings, or one of Kyverno's.
type Admission struct {
	Kind, Name, Where string
	// Namespace is set for a policy of one namespace.
	Namespace string
	// Aspects are those whose fields its rules name. The logic of the rules is
	// not evaluated.
	Aspects []Aspect
	// Enforces is set if what breaks a rule is refused; WhyNot says why it is
	// not.
	Enforces bool
	WhyNot   string
	// Bounds says what limits the policy to some namespaces, or "".
	Bounds string
}

// Image is an image in use, or one that somebody wants to know about.
type Image struct {
	// Name is what results call it.
	Name  string
	Where string
	// Names are the references that it has, Digests those of its index and
	// manifests, ID that of its configuration.
	Names   []image.Reference
	Digests []image.Digest
	ID      image.Digest
	// Namespace is where it runs, for the policy's scope.
	Namespace string
	Created   time.Time
	User      string
	// History are the instructions that made it, oldest first; HasHistory says
	// whether they were read.
	History    []string
	HasHistory bool
	// Origins are the registries' references with digest that it was pulled by,
	// or that the registry served; HasOrigins says whether that could be told.
	Origins    []image.Reference
	HasOrigins bool
	// Content is what its layers hold; nil if nobody read them.
	Content *Content
	// Seals are its signatures and attestations; SealsRead says where they were
	// looked for, "" if nowhere.
	Seals     []Seal
	SealsRead string
}

// Content is what a look into all layers gave.
type Content struct {
	Layers, Files int
	Bytes         int64
	// SetID are executables that run as their owner or group, Hidden those in
	// places where nobody looks, Bad those of known-bad content.
	SetID, Hidden, Bad []File
	// Lists are the hash lists and the YARA rules that content was compared with.
	Lists []string
	// Stopped says why the look is not whole, or "".
	Stopped string
}

// File is one file of a layer.
type File struct {
	Path  string
	Layer string // digest, or the layer's place in the archive
	Note  string
}

// SealKind says what a Seal is.
type SealKind string

// The kinds of seals.
const (
	Signature  SealKind = "signature"
	Provenance SealKind = "provenance"
)

// Seal is a signature on an image, or a signed statement of how it was made.
type Seal struct {
	Kind SealKind
	// Valid is set if it was verified against the pinned root, and its signer is
	// one of the pinned identities.
	Valid bool
	// Who signed, as the verified certificate says, or "".
	Who string
	// Builder is what the provenance names.
	Builder string
	Why     string
	Where   string
}
