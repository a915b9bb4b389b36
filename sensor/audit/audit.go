// Package audit listens to the Linux kernel's audit records as they are made,
// beside an audit daemon or without one, and adds and removes its own rules for
// what the kernel shall tell.
//
// In: the kernel's audit multicast group. Out: records in one lane, as an audit
// daemon writes them to audit.log.
//
// go-libaudit asks the kernel, makes rules and names record types. Its socket's
// buffer cannot be enlarged, and one of common size overflows when a container
// starts; so the reading is our own.
package audit

import (
	"tidewaiter/sensor"
)

// Lane is the file of the journal that the sensor writes.
const Lane = "audit"

// Format is the name of the format that reads it.
const Format = "auditd"

// DefaultKey marks the sensor's own rules.
const DefaultKey = "tidewaiter"

// RuntimeSockets are where container runtimes take requests: who may connect to
// one of them rules the host. It is a table; Options.Sockets is set from it.
var RuntimeSockets = []string{"/run/docker.sock", "/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/podman/podman.sock"}

// Options say how a Sensor works. Zero values are the defaults: no rule is
// added, and what rules of others let the kernel tell is read.
type Options struct {
	// Exec adds rules that have the kernel tell of each program that is started.
	Exec bool
	// Connect adds rules for each connection that is asked for, local sockets
	// included, which are many.
	Connect bool
	// Sockets are local sockets; for each a rule is added that has the kernel
	// tell who connects to it. The folder must exist, the socket need not.
	Sockets []string
	// Rules are further rules in the language of auditctl(8), -a or -w without
	// -k.
	Rules []string
	// ExcludePID is a process that no rule of Exec, Connect and Sockets is for,
	// 0 for none: whoever asks the runtimes all day need not be told of it.
	ExcludePID int
	// Key marks the rules, DefaultKey if empty. Rules that have it, or have it
	// with "-socket" behind, are taken for what an earlier run left: they are
	// removed at the beginning. So no two sensors on one host may share it.
	Key string
	// Buffer is how many bytes wait between the kernel and the sensor, 0 for
	// 16 MiB, some ten thousand records. Without CAP_NET_ADMIN it is at most
	// what net.core.rmem_max allows.
	Buffer int
}

// Sensor is the sensor. Make it with New.
type Sensor struct {
	options Options

	sensor.Lesser
}

var _ sensor.Sensor = (*Sensor)(nil)

// New makes a Sensor. It fails on Options.Rules that are none, and touches
// nothing before Watch.
func New(o Options) (*Sensor, error) {
	if o.Key == "" {
		o.Key = DefaultKey
	}
	if o.Buffer <= 0 {
		o.Buffer = 16 << 20
	}
	if _, err := rulesOf(o); err != nil {
		return nil, err
	}
	return &Sensor{options: o}, nil
}

// Name implements sensor.Sensor.
func (*Sensor) Name() string { return "audit" }
