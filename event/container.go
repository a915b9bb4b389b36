package event

import (
	"net/netip"

	"tidewaiter/image"
)

// Kinds of container events.
const (
	KindContainer            Kind = "container"
	KindTask                 Kind = "task"
	KindExecStarted          Kind = "exec-started"
	KindNetworkAttachment    Kind = "network-attachment"
	KindContainerDescription Kind = "container.description"
)

// ContainerAction is a step in a container's life.
type ContainerAction string

// Container actions.
const (
	ContainerCreate  ContainerAction = "create"
	ContainerUpdate  ContainerAction = "update" // labels or image written after creation
	ContainerStart   ContainerAction = "start"
	ContainerExit    ContainerAction = "exit"
	ContainerRemove  ContainerAction = "remove"
	ContainerHealthy ContainerAction = "health" // a health check reported
)

// Container says that a container went through a step of its life.
type Container struct {
	Action ContainerAction
	// ID is the container's id as printed: 64 hex digits, a short prefix in
	// old Docker events, or a free name under containerd's ctr.
	ID string
	// Name is the runtime's name for people, or "".
	Name string
	// Image is the reference that the client typed (Docker) or the store's
	// name (containerd); zero when the record names none.
	Image image.Reference
	// Namespace is containerd's namespace, or "".
	Namespace string
	// Labels are the labels in the record, or nil.
	Labels map[string]string
	// Sandbox is the id of the pod's sandbox that it lies in, or "".
	Sandbox string
	// ExitCode is set for exit.
	ExitCode int
}

// Kind implements Body.
func (*Container) Kind() Kind { return KindContainer }

// TaskAction is a step in the life of a container's process.
type TaskAction string

// Task actions.
const (
	TaskCreate TaskAction = "create"
	TaskStart  TaskAction = "start"
	TaskExit   TaskAction = "exit"
)

// Task ties a container, or one exec in it, to a process id in the host's
// process-id namespace: the only exact link between audit records and
// containers.
type Task struct {
	Action    TaskAction
	Container string
	Namespace string
	// ExecID is the id of the exec, "" for the container's own process.
	ExecID string
	PID    int // 0 where the source tells only that it started
	// ExitCode is set for exit.
	ExitCode int
}

// Kind implements Body.
func (*Task) Kind() Kind { return KindTask }

// ExecStarted says that a command was started in a running container through
// the runtime's API. Command is one line as Docker prints it: the arguments
// joined by blanks, so quoting is lost. "" when the runtime does not tell.
type ExecStarted struct {
	Container string
	Namespace string
	ExecID    string
	Command   string
	// Image is the container's image reference, if the record names it.
	Image image.Reference
}

// Kind implements Body.
func (*ExecStarted) Kind() Kind { return KindExecStarted }

// NetworkAttachment says that a container was connected to, or disconnected
// from, a network. The record carries no address: a look-up tells it.
type NetworkAttachment struct {
	Container   string
	NetworkID   string
	NetworkName string
	Driver      string // "bridge", "host", …
	Connected   bool
}

// Kind implements Body.
func (*NetworkAttachment) Kind() Kind { return KindNetworkAttachment }

// ContainerDescription is a look-up (docker inspect): timeless facts about one
// container, never a sighting. It is also how a creation request is kept that
// dockerd's log shows.
type ContainerDescription struct {
	ID   string
	Name string
	// Image is the reference that the client typed; ImageID what it was at
	// creation (config digest, or target digest with a containerd store).
	Image   image.Reference
	ImageID image.Digest
	// Command is entry point and arguments as run.
	Command []string
	// HealthCheck is the health check's command: argv, or for a shell form
	// the line after "/bin/sh -c". Nil if none.
	HealthCheck []string
	// StartedAt and CreatedAt are the description's own statements.
	CreatedAt, StartedAt Time
	// PID is the container's process while it ran, 0 if not running.
	PID      int
	Networks []NetworkAddress
	Risk     Risk
	Labels   map[string]string
}

// Kind implements Body.
func (*ContainerDescription) Kind() Kind { return KindContainerDescription }

// NetworkAddress is a container's address on one network.
type NetworkAddress struct {
	NetworkID, NetworkName string
	Addrs                  []netip.Addr
	// At is an instant at which the container had the addresses, if the record
	// tells one. A container gets others when it is started again.
	At Time `cbor:",omitzero"`
}

// Risk is what a container was allowed to do, in the runtime's own words.
// Fields are zero when not set; nothing here is a verdict.
type Risk struct {
	Privileged    bool     `cbor:"1,keyasint,omitempty"`
	Mounts        []Mount  `cbor:"2,keyasint,omitempty"`
	Capabilities  []string `cbor:"3,keyasint,omitempty"` // added ones
	PIDMode       string   `cbor:"4,keyasint,omitempty"`
	NetworkMode   string   `cbor:"5,keyasint,omitempty"`
	IPCMode       string   `cbor:"6,keyasint,omitempty"`
	RestartPolicy string   `cbor:"7,keyasint,omitempty"`
	SecurityOpt   []string `cbor:"8,keyasint,omitempty"`
	User          string   `cbor:"9,keyasint,omitempty"`
}

// Mount is one path of the host made visible in a container.
type Mount struct {
	Source, Destination string
	ReadOnly            bool
}

// KindHostDescription is the kind of HostDescription.
const KindHostDescription Kind = "host.description"

// HostDescription is what an inventory says about a host: timeless facts by
// which records that name only an address or an instance find it.
type HostDescription struct {
	Name       string
	Addrs      []netip.Addr
	InstanceID string
	Role       string
}

// Kind implements Body.
func (*HostDescription) Kind() Kind { return KindHostDescription }
