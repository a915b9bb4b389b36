// Package kernel is tidewaiter's own sensor in the Linux kernel: eBPF programs
// that tell which programs are started, which processes end, and who asks for a
// connection or sends datagrams. Each record says in which control group the
// process was at that moment, read in the kernel, so that even what lived for a
// millisecond is known to be a container's.
//
// The environment of a process is never read: it holds secrets.
//
// In: hooks of the running kernel, and /proc once. Out: records of the format
// that docs/formats/ebpf.md describes, in one lane.
package kernel

import (
	"tidewaiter/sensor"
)

// Lane is the file of the journal that the sensor writes.
const Lane = "ebpf"

// Format is the name of the format that reads it.
const Format = "ebpf"

// Options say how a Sensor works. Zero values are the defaults.
type Options struct {
	// Buffer is how many bytes wait between the kernel and the sensor, 0 for
	// 8 MiB, enough for some ten thousand programs started at once. It is
	// rounded up to a power of two, and to a page.
	Buffer int
}

// Sensor is the sensor. Make it with New.
type Sensor struct {
	options Options

	sensor.Lesser
}

var _ sensor.Sensor = (*Sensor)(nil)

// New makes a Sensor. It touches nothing before Watch.
func New(o Options) *Sensor { return &Sensor{options: o} }

// Name implements sensor.Sensor.
func (*Sensor) Name() string { return "ebpf" }
