// Package evidence holds what is known of one subject: a set of facts, each
// resting on an event, and what the subject is. Nothing here judges.
//
// In: events that the entity room has placed, with what it knows of the
// container. Out: a Subject that the analytics assess. A Subject is a function
// of the set of its events; the order in which they came has no trace in it.
package evidence

import (
	"cmp"
	"net/netip"
	"slices"

	"tidewaiter/command"
	"tidewaiter/event"
	"tidewaiter/image"
)

// Kind says which part of a story a fact tells.
type Kind string

// The kinds of facts.
const (
	Arrival    Kind = "arrival"    // an image came to the host
	Creation   Kind = "creation"   // the container was created
	Start      Kind = "start"      // it was started
	Command    Kind = "command"    // a program ran in it
	Connection Kind = "connection" // it connected to somebody
	Lookup     Kind = "lookup"     // it asked for a name
	Write      Kind = "write"      // it wrote a file
	Request    Kind = "request"    // it spoke HTTP or TLS, as a sensor on the network saw
	Access     Kind = "access"     // somebody reached into it through the API: exec, attach
	Build      Kind = "build"      // its image was asked to be built, or a step of that ran
	Fetch      Kind = "fetch"      // while its image was built, the host or the builder connected to somebody
	Grant      Kind = "grant"      // rights were given to, or by, those who had it made
	Exec       Kind = "exec"       // the runtime started a further process in it
	Commit     Kind = "commit"     // an image was made of what it had become
	Exit       Kind = "exit"       // it ended
	// Description: a look-up tells what it is. It has no time.
	Description Kind = "description"
	// Of a virtual machine of a cloud, or of the image of one:
	Launch  Kind = "launch"  // it was made and started
	Boot    Kind = "boot"    // it was started again after a change, or came up, as it tells itself
	Change  Kind = "change"  // what it is, or runs, was changed through the cloud
	Attempt Kind = "attempt" // who launched it asked for something in vain
	Search  Kind = "search"  // who launched it looked for an image by name, whoever's it be
	Script  Kind = "script"  // its boot agent ran something, or has something to run
	Sharing Kind = "sharing" // others may launch the image from now on, or no longer
	// Publication: a registry took in an image. Each is a subject of its own.
	Publication Kind = "publication"
	Preparation Kind = "preparation" // what was done to an image of the name that was pushed then
	Use         Kind = "use"         // a host took what was pushed
	Plain       Kind = "event"       // a plain JSON event, for trying a detection
)

// Kinds lists every kind.
func Kinds() []Kind {
	return []Kind{Arrival, Creation, Start, Command, Connection, Lookup, Write, Request, Access, Build, Fetch, Grant, Exec, Commit, Exit, Description, Launch, Boot, Change, Attempt, Search, Script, Sharing, Publication, Preparation, Use, Plain}
}

// Fact is one thing that an event says about a subject.
type Fact struct {
	Kind Kind
	// Container is whose it is, as an index into the subject's containers;
	// Whole if it is the pod's as a whole.
	Container int
	// Event is what it rests on. Shared, never changed.
	Event *event.Event
	// Command is set for Command and Script, and for Build where a command tells
	// it.
	Command *CommandFact
	// Connection is set for Connection and Fetch.
	Connection *ConnectionFact
	// Exec is set for Exec.
	Exec *ExecFact
	// Commit is set for Commit.
	Commit *CommitFact
}

// Session says who opened a session in a running container through the
// Kubernetes API, by exec or attach.
type Session struct {
	// Told is set if a record tells of one; the rest is empty if none does.
	Told bool
	By   event.Principal
	TTY  bool
}

// ExecFact is what is known of a process that the runtime started in a running
// container.
type ExecFact struct {
	// Probe is set for what a pod's probes run, by the command or, where no
	// record tells the command, by the kubelet's rhythm.
	Probe bool
	// Session is who asked the API server for it.
	Session Session
}

// CommitFact is what is known of an image that was made of a container.
type CommitFact struct {
	// Names are the keys of the references that the image was given, sorted.
	Names []string
	// Reached is set if somebody had reached into the container before.
	Reached bool
}

// Whole stands for a pod as a whole where one of its containers could stand.
const Whole = -1

// CommandFact is what is known of a command that ran.
type CommandFact struct {
	command.Line
	Exe, Script string
	UID         int
	TTY         bool
	// HealthCheck is set for the container's own health check and what it
	// started.
	HealthCheck bool
	// Dropped is the file that it runs, its program or a script, if that was
	// written or downloaded in this container before; else "".
	Dropped string
	// First is set for the container's entry point process.
	First bool
	// Agent is the boot agent that started it, directly or not: cloud-init, a
	// cloud's agent; "" for none.
	Agent string
	// Exec is set when it was started through the runtime's exec and not by
	// the container itself. Session is whose session it is part of then.
	Exec    bool
	Session Session
}

// ConnectionFact is what is known of a connection.
type ConnectionFact struct {
	Remote netip.AddrPort
	// Domains are the names that the remote address was known by when the
	// connection began, from DNS answers, sorted.
	Domains []string
	// System is the remote address's autonomous system in words, as of the
	// policy's database; only told of what a finding cites, and "" if unknown.
	System string
	// Shared is set when it came from an address that the pod shares with its
	// node: another of the node's programs may have made it.
	Shared bool
	// Inferred is set when nothing tells who had the address that it came from,
	// and a command of this container alone names where it went.
	Inferred bool
}

// Compare orders facts by time, then by event id, then by kind.
func (f Fact) Compare(o Fact) int {
	return cmp.Or(f.Event.Time.Compare(o.Event.Time), f.Event.ID.Compare(o.Event.ID), cmp.Compare(f.Kind, o.Kind))
}

// SubjectID names a subject for as long as it is known: its kind, where it is,
// and its id there.
type SubjectID struct {
	Kind  string      `cbor:"1,keyasint"` // "container", "event"
	Place event.Place `cbor:"2,keyasint"`
	ID    string      `cbor:"3,keyasint"`
}

// String names the subject for people and as part of a finding's id.
func (s SubjectID) String() string { return s.Kind + ":" + s.Place.String() + ":" + s.ID }

// Compare orders subjects.
func (s SubjectID) Compare(o SubjectID) int {
	return cmp.Or(cmp.Compare(s.Kind, o.Kind), s.Place.Compare(o.Place), cmp.Compare(s.ID, o.ID))
}

// Sight says whether facts of a kind could have been told of a subject. Only
// where they could does their absence prove anything.
type Sight uint8

const (
	// NoSource: no source recorded that kind of facts then.
	NoSource Sight = iota
	// Untied: one did, but nothing ties its records to this subject; its
	// address may not be known.
	Untied
	// Observable: they would have been told.
	Observable
)

// Subject is everything known about one subject at one moment.
type Subject struct {
	ID SubjectID
	// Facts in Compare order.
	Facts []Fact
	// Containers are the subject itself, or a pod's; none for a plain subject.
	Containers []Container
	// Pod tells what the pod is, Instance what a virtual machine is, VMImage
	// what an image of such is; nil for any other subject.
	Pod      *Pod
	Instance *Instance
	VMImage  *VMImage
	// Image is what a registry took in, for such a subject; nil for any other.
	Image *Image
	// Sight tells of each kind of facts what the sources at the subject's
	// place could have told of it during its life.
	Sight map[Kind]Sight
	// Repeated is the number of facts left out because they say the same as
	// earlier ones; Dropped is the number that the bound on facts dropped.
	Repeated, Dropped int
}

// Container is what is known of a container.
type Container struct {
	// ID is the runtime's, "" if only the Kubernetes API tells of it. Name is
	// the runtime's, or in a pod the container's.
	ID, Name  string
	Kind      event.ContainerKind // in a pod; "" elsewhere
	Host      string
	Cluster   string
	Namespace string // Kubernetes namespace, or ""
	Pod       string
	// PodsTold is set for one in no pod that is known, though it is where the
	// kubelet's are and the cluster's API told of pods before it and after.
	PodsTold bool
	// Sandbox is set for what holds a pod's network and no program of its own.
	Sandbox bool
	// PodInferred is set when no record says that the container is in the pod,
	// and only the time of its start or a connection of it lets infer that.
	PodInferred bool
	// ByAccount is set when some of what it ran is taken to be its because it ran
	// under an account of Windows containers, and no other ran there then.
	ByAccount bool
	Image     Image
	// PullPolicy and Command are what the pod's specification asks for, "" and
	// nil if it is not known or leaves it to the image.
	PullPolicy string
	Command    []string
	// AddedBy is who put it into a running pod, zero for what was in the pod
	// from its beginning.
	AddedBy event.Principal
	// AskedBy is who had a runtime's client on the host make it.
	AskedBy HostUser
	// API is who called the runtime's API for it, BuiltBy for the build of its
	// image.
	API, BuiltBy APIClient
	// Builder is set for a container that the classic builder made for a step.
	Builder bool
	Risk    event.Risk
	Labels  map[string]string
}

// APIClient is who called the API of a host's container runtime; not Known if no
// record tells of a call.
type APIClient struct {
	Known bool
	// Addr is not valid, and User and Agent are "", where the record does not
	// tell. User is the name in a TLS client certificate.
	Addr  netip.Addr
	User  string
	Agent string
	// TCP is set where the call came over TCP without encryption, from where it
	// may: nothing proves who called.
	TCP bool
}

// Or fills in from another record what this one does not tell.
func (c APIClient) Or(o APIClient) APIClient {
	c.Known, c.TCP = c.Known || o.Known, c.TCP || o.TCP
	if !c.Addr.IsValid() {
		c.Addr = o.Addr
	}
	c.User, c.Agent = cmp.Or(c.User, o.User), cmp.Or(c.Agent, o.Agent)
	return c
}

// HostUser is a user of a host who ran a command there; not Known if nobody is
// known to have.
type HostUser struct {
	Known bool
	UID   int
	// AUID is the login user, -1 for what no login began.
	AUID int
	TTY  bool
}

// Pod is what is known of a pod.
type Pod struct {
	Namespace, Name, UID string
	Cluster, Node        string
	// Owner is the object at the top of those that made it, such as its
	// Deployment or CronJob; the pod itself if nothing did.
	Owner event.ObjectRef
	// Creators are those who asked for it and for what made it, the topmost
	// owner's first.
	Creators []Creator
}

// Creator is somebody who asked for a pod or for what made it.
type Creator struct {
	Object event.ObjectRef
	By     event.Principal
}

// ImageOrigin says how an image came to its host.
type ImageOrigin string

// Origins of an image.
const (
	OriginUnknown  ImageOrigin = ""         // nobody told
	OriginRegistry ImageOrigin = "registry" // pulled, or known by a registry's digest
	OriginLoad     ImageOrigin = "load"
	OriginImport   ImageOrigin = "import"
	OriginBuild    ImageOrigin = "build"
	OriginCommit   ImageOrigin = "commit"
	OriginLocal    ImageOrigin = "local" // in the store without any registry's digest
)

// Image is the image that a container was made of.
type Image struct {
	// Reference is what the creation named; a claim.
	Reference image.Reference
	// Digests are the digests known for what was run and for everything known
	// to contain it, sorted.
	Digests []image.Digest
	// Canonical is the digest by which the artefact is named, zero if no
	// digest is known.
	Canonical image.Digest
	// Published is set when some of the digests is one by which a registry
	// names the image. A runtime's own id says nothing about what was released.
	Published bool
	// Stale is set when the digests are what the tag meant before the kubelet
	// pulled it again, and no source here could have told what came.
	Stale  bool
	Origin ImageOrigin
}

// Name is the reference by which people know the image: what the creation
// typed, or the digest.
func (i Image) Name() string {
	if s := i.Call(i.Reference); s != "" {
		return s
	}
	return i.Canonical.String()
}

// Call is how people know one of the image's references: of an image that came
// from no registry, without the one that Docker would ask for such a name.
func (i Image) Call(r image.Reference) string {
	if i.Origin == OriginUnknown || i.Origin == OriginRegistry {
		return r.String()
	}
	return r.Familiar()
}

// Of gives the subject's facts of one kind, in order.
func (s *Subject) Of(kinds ...Kind) []Fact {
	var out []Fact
	for _, f := range s.Facts {
		if slices.Contains(kinds, f.Kind) {
			out = append(out, f)
		}
	}
	return out
}

// First gives the earliest time of the facts of a kind; the zero Time if there
// are none.
func (s *Subject) First(kind Kind) event.Time {
	for _, f := range s.Facts {
		if f.Kind == kind {
			return f.Event.Time
		}
	}
	return event.Time{}
}
