// Package journald follows what services write to the systemd journal: the
// logs of container runtimes and of the kubelet, on most hosts.
//
// In: the journal, as journalctl prints it. Out: each message as the line that
// a system log has of it, in a lane for each unit.
//
// No kept library reads the journal's files, which are locked, compressed and
// vacuumed as they grow, without linking systemd's own in C. journalctl is that
// library, and goes on behind a cursor, so that nothing is missed over restarts.
package journald

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tidewaiter/sensor"
)

// DefaultUnits are the units that are followed, with the names of the formats
// of what they write. It is a table.
var DefaultUnits = map[string]string{
	"docker.service":                          "dockerd-log",
	"snap.docker.dockerd.service":             "dockerd-log",
	"containerd.service":                      "containerd-log",
	"snap.microk8s.daemon-containerd.service": "containerd-log",
	"crio.service":                            "crio-log",
	"kubelet.service":                         "kubelet-log",
	"k3s.service":                             "kubelet-log",
	"k3s-agent.service":                       "kubelet-log",
	"rke2-server.service":                     "kubelet-log",
	"rke2-agent.service":                      "kubelet-log",
	"snap.microk8s.daemon-kubelite.service":   "kubelet-log",
}

// Options say what to follow. Zero values are the defaults.
type Options struct {
	// Units are the units, by their whole names, with the names of the formats
	// of what they write; DefaultUnits if nil. Units that are not there yet may
	// come.
	Units map[string]string
	// Host is the name that this host goes by; the one that each message is
	// from, as the journal has it, if empty.
	Host string
	// Directory and Files are where the journal is, if it is not this host's:
	// a folder, or files by patterns.
	Directory string
	Files     []string
	// Program is journalctl's path, looked for in PATH if empty.
	Program string
}

// Sensor is the sensor. Make it with New.
type Sensor struct {
	options Options
	lanes   map[string]sensor.Lane // by unit
}

var _ sensor.Sensor = (*Sensor)(nil)

// New makes a Sensor. It fails on what is no unit's name, and runs nothing
// before Watch.
func New(o Options) (*Sensor, error) {
	if o.Units == nil {
		o.Units = DefaultUnits
	}
	if o.Program == "" {
		o.Program = "journalctl"
	}
	if len(o.Units) == 0 {
		return nil, fmt.Errorf("no unit of the journal is given")
	}
	s := &Sensor{options: o, lanes: map[string]sensor.Lane{}}
	for unit, format := range o.Units {
		if dot := strings.LastIndexByte(unit, '.'); dot <= 0 || unit[0] == '-' || strings.ContainsAny(unit, "*?[/ \n") {
			return nil, fmt.Errorf("%q is no unit's whole name such as docker.service", unit)
		}
		if format == "" {
			return nil, fmt.Errorf("unit %s: the format of what it writes is not given", unit)
		}
		s.lanes[unit] = sensor.Lane{Name: laneName(unit), Format: format}
	}
	return s, nil
}

// Name implements sensor.Sensor.
func (*Sensor) Name() string { return "journald" }

// laneName is a unit's file of the journal.
func laneName(unit string) string {
	short := strings.TrimSuffix(unit, ".service")
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, short)
	if clean != short || len(clean) > 80 {
		sum := sha256.Sum256([]byte(unit))
		clean = clean[:min(len(clean), 80)] + "-" + hex.EncodeToString(sum[:4])
	}
	return "journald-" + clean
}

// arguments are what journalctl is asked in every case.
func (s *Sensor) arguments(more ...string) []string {
	args := []string{"--no-pager", "--output=json", "--all"}
	if s.options.Directory != "" {
		args = append(args, "--directory="+s.options.Directory)
	}
	for _, file := range s.options.Files {
		args = append(args, "--file="+file)
	}
	return append(args, more...)
}

// following are what it is asked to go on at a cursor, "" for everything. Not
// behind it: asked so, journalctl passes over the first message of the units if
// the one at the cursor is of another.
func (s *Sensor) following(cursor string) []string {
	args := s.arguments("--quiet", "--follow", "--no-tail", "--output-fields="+fields)
	if cursor != "" {
		args = append(args, "--cursor="+cursor)
	}
	for _, unit := range slices.Sorted(maps.Keys(s.lanes)) {
		args = append(args, "--unit="+unit)
	}
	return args
}
