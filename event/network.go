package event

import (
	"net/netip"

	"tidewaiter/image"
)

// Kinds of further network events.
const (
	KindHTTP           Kind = "http"
	KindTLS            Kind = "tls"
	KindRegistryAction Kind = "registry-action"
)

// HTTP is one request that a network sensor saw in clear text.
type HTTP struct {
	Client, Server netip.AddrPort
	Method         string
	Host           string // the Host header, without a port
	URI            string // path and query, as sent
	Agent          string
	Status         int   // 0 when unanswered or unknown
	BytesOut       int64 // of the request's body, -1 when unknown
	BytesIn        int64 // of the answer's body, -1 when unknown
	// Of is whose request it was, when the sensor itself says so,
	// else nil.
	Of *PodRef
}

// Kind implements Body.
func (*HTTP) Kind() Kind { return KindHTTP }

// TLS is one handshake that a network sensor saw. The name is the client's
// claim; it ties the server's address to it all the same.
type TLS struct {
	Client, Server netip.AddrPort
	ServerName     string // SNI, in lower case; "" if none
	Version        string
	// Of is whose connection it was, when the sensor itself says so,
	// else nil.
	Of *PodRef
}

// Kind implements Body.
func (*TLS) Kind() Kind { return KindTLS }

// RegistryAction says that a registry took in a manifest, or gave it out: who
// published what, which is how a release is known.
type RegistryAction struct {
	Action string // "push", "pull", "mount", "delete"
	// Reference is registry, repository and tag as far as told.
	Reference image.Reference
	Digest    image.Digest
	MediaType string
	By        Principal
	Registry  string // the registry's own name, as in its request or source
}

// Kind implements Body.
func (*RegistryAction) Kind() Kind { return KindRegistryAction }
