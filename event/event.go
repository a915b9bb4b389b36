// Package event holds the typed events that every later room works on: what
// happened (Body), when (Time), where (Place) and which bytes of which record
// say so (Origin).
//
// In: nothing; sources make events from native records. Out: entity reads
// them. An Event is a plain value, safe to copy; nobody changes one after its
// source has emitted it.
package event

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Event is one thing that a record says.
//
// Four times are kept apart. Time is when it happened, by the source's clock.
// Record is when the record was written (flow records are written when a
// connection ends, hours after it began); lateness runs from it. Observed is
// when tidewaiter read it. Body may carry further times, such as an end.
type Event struct {
	// ID identifies the thing that happened, not its delivery: the same record
	// read twice, from two rotated files or over a retry, has the same ID.
	ID ID
	// Time is when it happened. Zero for look-ups, which are timeless facts.
	Time Time
	// Record is when the record was written, in Unix nanoseconds; 0 means the
	// same as Time.At.
	Record int64
	// Observed is when tidewaiter read it, in Unix nanoseconds; 0 when read
	// from recorded logs.
	Observed int64
	// Place is where it happened, as far as is known.
	Place Place
	// Origin cites the record.
	Origin Origin
	// History marks an event from a hunt's --history: it feeds memory and
	// identity, and a chain that ends in it is not reported.
	History bool
	// Body says what happened. Never nil.
	Body Body
}

// RecordTime is the instant that lateness and merging run on: Record if the
// source tells it, else the event's own time; 0 if neither is known.
func (e *Event) RecordTime() int64 {
	if e.Record != 0 {
		return e.Record
	}
	return e.Time.At
}

// Due is the instant from which on an event can tell something: RecordTime, and
// of a look-up, which has none, when the container was made that it is about; 0
// if that is not told either.
func (e *Event) Due() int64 {
	d, ok := e.Body.(*ContainerDescription)
	switch at := e.RecordTime(); {
	case at != 0 || !ok:
		return at
	case d.CreatedAt.IsZero() || !d.StartedAt.IsZero() && d.StartedAt.At < d.CreatedAt.At:
		return d.StartedAt.At
	}
	return d.CreatedAt.At
}

// Kind names what a Body says, for dispatch and for people.
type Kind string

// Body is what happened: one of the structs of this package.
type Body interface{ Kind() Kind }

// ID is a 128-bit content hash. Two deliveries of one native record have
// equal IDs; different records differ except with negligible probability.
// The zero ID means "not set".
type ID [16]byte

// NewID hashes the parts that make a native record unique (its format, place
// and native key) into an ID. Parts are length-delimited, so ("ab","c") and
// ("a","bc") differ.
func NewID(parts ...string) ID {
	var room [512]byte // most keys fit, and then nothing is allocated
	b := room[:0]
	for _, p := range parts {
		b = AppendPart(b, p)
	}
	return SumID(b)
}

// AppendPart appends one part the way NewID counts it, for those who have parts
// that many IDs begin with.
func AppendPart[T string | []byte](b []byte, part T) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(part)))
	return append(b, part...)
}

// SumID is the ID of parts that AppendPart put together: NewID's of the same.
func SumID(parts []byte) ID {
	sum := sha256.Sum256(parts)
	return ID(sum[:16])
}

// String is the ID in lower-case hex.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Compare orders IDs by their bytes.
func (id ID) Compare(o ID) int { return bytes.Compare(id[:], o[:]) }

// Place says where a record is from. Names and addresses mean something only
// inside it: every cluster has a prod/web and a 10.42.0.7. An empty field is
// unknown, and unknown never joins known.
type Place struct {
	Tenant  string `cbor:"1,keyasint,omitempty"`
	Account string `cbor:"2,keyasint,omitempty"` // cloud account, project or subscription
	Region  string `cbor:"3,keyasint,omitempty"`
	Cluster string `cbor:"4,keyasint,omitempty"`
	Host    string `cbor:"5,keyasint,omitempty"`
	Network string `cbor:"6,keyasint,omitempty"` // a network sensor's segment, or a VPC
}

// IsZero reports whether nothing is known.
func (p Place) IsZero() bool { return p == Place{} }

// Or fills what p does not know from q; what the record itself says (p) wins.
func (p Place) Or(q Place) Place {
	return Place{
		Tenant:  cmp.Or(p.Tenant, q.Tenant),
		Account: cmp.Or(p.Account, q.Account),
		Region:  cmp.Or(p.Region, q.Region),
		Cluster: cmp.Or(p.Cluster, q.Cluster),
		Host:    cmp.Or(p.Host, q.Host),
		Network: cmp.Or(p.Network, q.Network),
	}
}

// Compare orders places from the outside in.
func (p Place) Compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Tenant, q.Tenant), cmp.Compare(p.Account, q.Account), cmp.Compare(p.Region, q.Region),
		cmp.Compare(p.Cluster, q.Cluster), cmp.Compare(p.Host, q.Host), cmp.Compare(p.Network, q.Network))
}

// String names the place from the outside in, or "(unnamed)".
func (p Place) String() string {
	s := ""
	for _, part := range []string{p.Tenant, p.Account, p.Region, p.Cluster, p.Host, p.Network} {
		if part == "" {
			continue
		}
		if s != "" {
			s += "/"
		}
		s += part
	}
	return cmp.Or(s, "(unnamed)")
}

// Origin cites the bytes that an event was read from, so that evidence can be
// shown and checked: source, file, and the lines of the record.
type Origin struct {
	// Source is the kind of sensor, such as "docker" or "auditd".
	Source Source
	// Format is the decoder's name, such as "docker-events".
	Format string
	// File is the path as the user gave it, "-" for standard input.
	File string
	// Spans are the record's lines. The first is the one to cite; an audit
	// event has several.
	Spans []Span
}

// Span is one piece of a file: a line, counted from 1, and its bytes in the
// decompressed content.
type Span struct {
	Line   int   `cbor:"1,keyasint"`
	Offset int64 `cbor:"2,keyasint"`
	Length int   `cbor:"3,keyasint"`
}

// Line is the line to cite, 0 if none is known.
func (o Origin) Line() int {
	if len(o.Spans) == 0 {
		return 0
	}
	return o.Spans[0].Line
}

// Compare orders origins by file, then line: the tie rule for picking which of
// several deliveries of one record is cited.
func (o Origin) Compare(q Origin) int {
	return cmp.Or(cmp.Compare(o.File, q.File), cmp.Compare(o.Line(), q.Line()))
}

// Source is a kind of sensor; coverage is told per source.
type Source string

// The sources known so far.
const (
	Docker      Source = "docker"       // Docker Engine's event stream
	Dockerd     Source = "dockerd"      // Docker Engine's own log
	DockerAuthz Source = "docker.authz" // what Docker Engine asks its authorization plugins
	Inspect     Source = "inspect"      // docker inspect output: look-ups
	Containerd  Source = "containerd"   // containerd's event stream
	Auditd      Source = "auditd"       // Linux audit
	Conntrack   Source = "conntrack"    // netfilter connection tracking
	Zeek        Source = "zeek"         // Zeek's logs
	Suricata    Source = "suricata"     // Suricata's EVE log
	Hubble      Source = "hubble"       // Cilium's flow log
	CRI         Source = "cri"          // the log of a CRI runtime: containerd, CRI-O
	Kubelet     Source = "kubelet"      // the kubelet's log
	KubeAudit   Source = "k8s.audit"    // the Kubernetes API server's audit log
	KubeEvents  Source = "k8s.event"    // Kubernetes Events
	Tetragon    Source = "tetragon"     // Tetragon's event log
	Tracee      Source = "tracee"       // Tracee's event log
	Falco       Source = "falco"        // Falco's alerts
	ECS         Source = "ecs"          // agents' events in the Elastic Common Schema
	OCSF        Source = "ocsf"         // agents' events in the Open Cybersecurity Schema Framework
	Kernel      Source = "ebpf"         // tidewaiter's own kernel sensor
	Laurel      Source = "laurel"       // Linux audit, as JSON by laurel
	Registry    Source = "registry"     // a registry's notifications
	CloudTrail  Source = "cloudtrail"   // AWS CloudTrail
	EC2         Source = "ec2"          // what Amazon EC2's API says of images and instances: look-ups
	GCPAudit    Source = "gcp.audit"    // Google Cloud's audit logs
	Azure       Source = "azure"        // Azure's activity log
	VPCFlow     Source = "vpcflow"      // AWS VPC flow logs
	GCPFlow     Source = "gcp.flow"     // Google Cloud's VPC flow logs
	AzureFlow   Source = "azure.flow"   // Azure's flow logs, of security groups and virtual networks
	NetFlow     Source = "netflow"      // NetFlow, IPFIX and sFlow as a collector writes them
	Route53     Source = "route53"      // AWS Route 53 Resolver's query logs
	GCPDNS      Source = "gcp.dns"      // Google Cloud DNS query logs
	CloudInit   Source = "cloud-init"   // cloud-init's logs
	UserDump    Source = "user-data"    // user data as it lies on a machine: look-ups
	GuestAgent  Source = "guest"        // the logs of clouds' agents in their machines
	Sysmon      Source = "sysmon"       // Sysmon, on Windows and Linux
	Inventory   Source = "inventory"    // what an inputs.yaml says of hosts
	Tidewaiter  Source = "tidewaiter"   // what this program notes of its own sight
	JSON        Source = "json"         // plain JSON events, for trying a detection
)

// Selective reports whether a source tells only what its own rules are about.
// That such a one tells nothing of a thing does not say that it did not happen.
func (s Source) Selective() bool { return s == Falco }

// Unix converts nanoseconds since 1970 to a UTC time.
func Unix(nanos int64) time.Time { return time.Unix(0, nanos).UTC() }
