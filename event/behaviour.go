package event

import (
	"net/netip"
	"net/url"
	"strings"

	"tidewaiter/image"
)

// Kinds of behaviour and context events.
const (
	KindProcess    Kind = "process"
	KindFileWrite  Kind = "file-write"
	KindSocket     Kind = "socket"
	KindFlow       Kind = "flow"
	KindDNS        Kind = "dns"
	KindAPIRequest Kind = "api-request"
	KindBuildStep  Kind = "build-step"
	KindLoss       Kind = "loss"
)

// Process says that a process replaced its program (execve).
type Process struct {
	// PID is 0 where a source tells the container alone.
	PID, PPID int
	// Exe is the program file as the kernel resolved it; for a script it is
	// the interpreter. Script is the script's own path then, else "".
	Exe, Script string
	Comm        string
	// Args are argv, argv[0] included. Busybox tells its applet only there.
	Args []string
	// ArgsTruncated is set when the source cut argv.
	ArgsTruncated bool
	Cwd           string
	UID, AUID     int // AUID is the login id, -1 when unset
	// Session is the audit session id, -1 when unset.
	Session int
	TTY     string
	// Device is "MM:mm" of the file system that holds the program: in a
	// container the overlay mount. "" when unknown.
	Device string
	// Container is the container id when the source itself knows it, else "".
	// Of is whose it is then, as far as the source says.
	Container string
	Of        *PodRef
	// User is the account by name, where that is what the source tells.
	User string
	// ParentExe and ParentCommand are the parent's program and command line
	// where the record itself tells them: the parent may have begun before
	// anything was recorded.
	ParentExe, ParentCommand string
	// Added is set when the source says that the program's file is no part of the
	// container's image.
	Added bool
}

// Kind implements Body.
func (*Process) Kind() Kind { return KindProcess }

// FileWrite says that a file was opened for writing, created, or renamed to.
type FileWrite struct {
	PID, PPID int
	Exe       string
	Path      string
	UID, AUID int
	Container string
	Of        *PodRef
}

// Kind implements Body.
func (*FileWrite) Kind() Kind { return KindFileWrite }

// Socket says that a process asked for a connection (connect). Exactly one of
// Addr and Path is set.
type Socket struct {
	PID, PPID int
	Exe, Comm string
	UID, AUID int
	Addr      netip.AddrPort
	Path      string // unix socket
	Success   bool
	Container string
	Of        *PodRef
}

// Kind implements Body.
func (*Socket) Kind() Kind { return KindSocket }

// Protocol is a transport protocol in lower case: "tcp", "udp", "icmp".
type Protocol string

// Flow is one connection as a network sensor saw it. The event's Time is its
// start; a flow whose start is not known has a zero Time and is attributed to
// nobody, because by its end the address may belong to another container.
type Flow struct {
	Protocol Protocol
	Src, Dst netip.AddrPort
	// End is when it ended, zero while open or unknown.
	End Time
	// BytesOut and BytesIn are counted from the originator; -1 when unknown.
	BytesOut, BytesIn int64
	// State is the sensor's own word, such as "SF", "S0" or "SYN_SENT".
	State string
	// Service is the application protocol that the sensor recognised, or "".
	Service string
	// Answered is false when the sensor says that nobody answered.
	Answered bool
	// Via is the address that the source's own was translated to on the way,
	// such as a host's for its containers; not valid if it was not, or nobody
	// told.
	Via netip.Addr
	// SrcPod and DstPod are whose the ends are, nil unless the sensor says so;
	// DstNames are the names that it knows the destination by.
	SrcPod, DstPod *PodRef
	DstNames       []string
	// SrcVM and DstVM are the machines at the ends, nil when not told. Seen is
	// the interface at which a cloud saw the flow, when it does not tell which
	// end that is: its address does.
	SrcVM, DstVM, Seen *VMRef
}

// Kind implements Body.
func (*Flow) Kind() Kind { return KindFlow }

// DNS is one answered or failed name query.
type DNS struct {
	Client, Server netip.AddrPort
	Query, Type    string
	Addrs          []netip.Addr // addresses in the answer
	Names          []string     // names in the answer (CNAME and the like)
	Code           string       // response code, such as "NOERROR"
	// Of is whose query it was, when the sensor itself says so; VM the machine
	// that asked, PID the process, as far as told.
	Of  *PodRef
	VM  *VMRef
	PID int
}

// Kind implements Body.
func (*DNS) Kind() Kind { return KindDNS }

// APIRequest is one call of the Docker Engine API. Secrets (build arguments,
// environment values, registry credentials) are redacted by the source.
type APIRequest struct {
	Method string
	// Path has no /v1.xx prefix: "/containers/create".
	Path    string
	Version string // "1.41", or ""
	Query   url.Values
	// Client is the caller's address, or a zero value when the record does
	// not tell. User is the TLS client name, or "".
	Client netip.AddrPort
	User   string
	Agent  string
	// Status is the HTTP status, 0 when unknown.
	Status int
	// Create is the body of POST /containers/create when the record has it.
	Create *ContainerDescription
}

// Kind implements Body.
func (*APIRequest) Kind() Kind { return KindAPIRequest }

// BuildStep is one command of an image build that a builder's log shows.
type BuildStep struct {
	// ID is the builder's id of the step (BuildKit: 25 characters).
	ID      string
	Command []string
	Base    image.Reference
}

// Kind implements Body.
func (*BuildStep) Kind() Kind { return KindBuildStep }

// Loss says that a source did not see, or could not deliver, something.
type Loss struct {
	// Reason in a few words: "kernel backlog exceeded", "gap in sequence".
	Reason string
	// Count is the number of records lost, -1 when unknown.
	Count int64
}

// Kind implements Body.
func (*Loss) Kind() Kind { return KindLoss }

// ProgramName is the form in which programs are compared: the last part of a
// path with either kind of slash, without a login shell's leading '-' and
// without ".exe", in lower case.
func ProgramName(path string) string {
	if i := strings.LastIndexAny(path, `/\`); i >= 0 {
		path = path[i+1:]
	}
	return strings.TrimSuffix(strings.ToLower(strings.TrimPrefix(path, "-")), ".exe")
}

// KindPlain is the kind of Plain.
const KindPlain Kind = "plain"

// Plain is an event that no source of ours knows: the fields of a JSON object,
// for trying a detection on somebody else's vectors.
type Plain struct {
	Fields map[string]any
}

// Kind implements Body.
func (*Plain) Kind() Kind { return KindPlain }
