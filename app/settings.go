package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tidewaiter/event"
	"tidewaiter/sensor/docker"
	"tidewaiter/sink/configured"
	"tidewaiter/strictyaml"
)

// Settings are what the daemon is told to do: the file that "tidewaiter run
// --config" names. docs/formats/config.md describes it.
type Settings struct {
	// File is where they were read from, "" for none.
	File string `yaml:"-"`
	// Data is the folder of everything durable.
	Data string `yaml:"data"`
	// Policy is the policy's file, "" for none.
	Policy string `yaml:"policy"`
	// Host, Tenant, Account, Region and Cluster say where this host is; the
	// host's own name if empty.
	Host    string `yaml:"host"`
	Tenant  string `yaml:"tenant"`
	Account string `yaml:"account"`
	Region  string `yaml:"region"`
	Cluster string `yaml:"cluster"`
	// Addresses are the host's own; those of its interfaces if empty.
	Addresses []string `yaml:"addresses"`
	// Listen is where metrics and readiness are served: an address of this host
	// and a port, "off" for nowhere.
	Listen  string          `yaml:"listen"`
	Journal JournalSettings `yaml:"journal"`
	Sensors SensorSettings  `yaml:"sensors"`
	// Sinks are whom findings are told to, beside the file of findings.
	Sinks []configured.Entry `yaml:"sinks"`
	// KeepDays is for how many days findings are kept that nothing happens to.
	KeepDays int `yaml:"keep_days"`
}

// JournalSettings bound the recording.
type JournalSettings struct {
	// Size is a number of bytes with a unit, such as 2GiB.
	Size string `yaml:"size"`
}

// SensorSettings say what is watched.
type SensorSettings struct {
	// Defaults is false to watch only what is named here; otherwise everything
	// of this host is watched that can be.
	Defaults *bool `yaml:"defaults"`
	// Docker, Podman, Containerd, Kernel and Conntrack are this host's runtimes, its
	// programs and connections by eBPF, and its network's connections; Wire is what
	// its network says of names and of Docker's API.
	Docker     DockerSettings     `yaml:"docker"`
	Podman     PodmanSettings     `yaml:"podman"`
	Containerd ContainerdSettings `yaml:"containerd"`
	Kernel     Switch             `yaml:"ebpf"`
	Conntrack  ConntrackSettings  `yaml:"conntrack"`
	Wire       WireSettings       `yaml:"wire"`
	// Audit is Linux audit as the kernel tells it, Journald what the system's
	// journal holds of runtimes and the kubelet.
	Audit    AuditSettings `yaml:"audit"`
	Journald Switch        `yaml:"journald"`
	// Kubernetes is a cluster, through its API.
	Kubernetes KubernetesSettings `yaml:"kubernetes"`
	// Receive takes records over HTTP.
	Receive ReceiveSettings `yaml:"receive"`
	// Files are log files to follow.
	Files []FileSettings `yaml:"files"`
	// S3, PubSub and EventHubs are where clouds put their trails.
	S3        []S3Settings        `yaml:"s3"`
	PubSub    []PubSubSettings    `yaml:"pubsub"`
	EventHubs []EventHubsSettings `yaml:"eventhubs"`
}

// Switch says whether something is watched; as Defaults says if that is not said.
type Switch struct {
	Enabled *bool `yaml:"enabled"`
}

func (w Switch) on(s SensorSettings) bool {
	for _, said := range []*bool{w.Enabled, s.Defaults} {
		if said != nil {
			return *said
		}
	}
	return true
}

// DockerSettings say which Docker Engine is watched.
type DockerSettings struct {
	Switch `yaml:",inline"`
	// Host is its address as in DOCKER_HOST, its default if empty.
	Host string `yaml:"host"`
}

// PodmanSettings say which Podman is watched, through its service.
type PodmanSettings struct {
	Switch `yaml:",inline"`
	// Host is its service's address as unix:///path, that of root's if empty.
	Host string `yaml:"host"`
}

// asked is on if it is asked for, or root's service has a socket here: few hosts
// have Podman, and on others nobody needs to hear that it is missing.
func (p *PodmanSettings) asked(s SensorSettings) Switch {
	on := p.on(s)
	if p.Enabled == nil && p.Host == "" {
		_, err := os.Stat(strings.TrimPrefix(docker.PodmanHost, "unix://"))
		on = on && err == nil
	}
	return Switch{&on}
}

// ContainerdSettings say which containerd is watched.
type ContainerdSettings struct {
	Switch `yaml:",inline"`
	// Socket is its socket, its default if empty.
	Socket string `yaml:"socket"`
}

// ConntrackSettings say which network's connections are watched.
type ConntrackSettings struct {
	Switch `yaml:",inline"`
	// NetNS is the file of a network namespace, this process's own if empty.
	NetNS string `yaml:"netns"`
}

// WireSettings say which network's packets are read.
type WireSettings struct {
	Switch `yaml:",inline"`
	// NetNS is the file of a network namespace, this process's own if empty.
	NetNS string `yaml:"netns"`
}

// AuditSettings say what Linux audit is asked for.
type AuditSettings struct {
	Switch `yaml:",inline"`
	// Exec is whether a rule for programs is added: yes, no, or "" for only if
	// they cannot be seen by eBPF.
	Exec *bool `yaml:"exec"`
	// Sockets are the runtimes' sockets for whose callers a rule is added; those
	// that are usual if it is not there, none if it is empty.
	Sockets *[]string `yaml:"sockets"`
}

// FileSettings are log files from one place.
type FileSettings struct {
	// Paths are absolute paths or patterns.
	Paths []string `yaml:"paths"`
	// Format is the name of a format; told from the content if empty.
	Format string `yaml:"format"`
	// Where the records are from, if not from this host.
	Host    string `yaml:"host"`
	Account string `yaml:"account"`
	Region  string `yaml:"region"`
	Cluster string `yaml:"cluster"`
	Network string `yaml:"network"`
}

// Defaults of Settings.
const (
	DefaultListen = "127.0.0.1:9465"
	DefaultData   = "/var/lib/tidewaiter"
)

// ReadSettings reads a configuration file, "" for none. All faults are told at
// once, with file and line.
func ReadSettings(file string) (Settings, error) {
	s := Settings{File: file}
	var data []byte
	if file != "" {
		var err error
		if data, err = os.ReadFile(file); err != nil {
			return s, fmt.Errorf("read configuration: %w", err)
		}
		if err := strictyaml.Decode(file, data, &s); err != nil {
			return s, err
		}
	}
	s.fill()
	return s, s.check(data)
}

func (s *Settings) fill() {
	if s.Data == "" {
		s.Data = DefaultData
	}
	if s.Listen == "" {
		s.Listen = DefaultListen
	}
	if s.Host == "" {
		s.Host, _ = os.Hostname() // unknown if the system does not know
	}
	if s.File != "" && s.Policy != "" && !filepath.IsAbs(s.Policy) {
		s.Policy = filepath.Join(filepath.Dir(s.File), s.Policy)
	}
	s.Sensors.Kubernetes.fill(s)
	s.Sensors.Receive.fill(s)
}

func (s *Settings) check(data []byte) error {
	var faults []error
	fault := func(err error, path ...any) {
		line := strictyaml.Line(data, path...)
		for ; line == 0 && len(path) > 1; line = strictyaml.Line(data, path...) { // what is missing is told where it would stand
			path = path[:len(path)-1]
		}
		faults = append(faults, &strictyaml.Fault{File: s.File, Line: line, Err: err})
	}
	if s.Host == "" {
		fault(errors.New("host: the system has no name; give one"), "host")
	}
	for i, a := range s.Addresses {
		if _, err := netip.ParseAddr(a); err != nil {
			fault(fmt.Errorf("addresses[%d]: %q is no address", i, a), "addresses", i)
		}
	}
	if _, err := parseSize(s.Journal.Size); err != nil {
		fault(fmt.Errorf("journal.size: %w", err), "journal", "size")
	}
	if s.KeepDays < 0 {
		fault(errors.New("keep_days: want a number of days"), "keep_days")
	}
	if host, port, err := net.SplitHostPort(s.Listen); s.Listen != "off" && (err != nil || port == "" || host == "") {
		fault(fmt.Errorf("listen: %q is no address and port such as %s, nor off", s.Listen, DefaultListen), "listen")
	}
	names := make([]string, 0, 64)
	for _, f := range Formats() {
		names = append(names, f.Name)
	}
	for i, f := range s.Sensors.Files {
		if len(f.Paths) == 0 {
			fault(fmt.Errorf("sensors.files[%d].paths: missing", i), "sensors", "files", i)
		}
		if f.Format != "" && !slices.Contains(names, f.Format) {
			fault(fmt.Errorf("sensors.files[%d].format: no format is called %q", i, f.Format), "sensors", "files", i, "format")
		}
	}
	s.checkKubernetes(fault)
	s.checkReceive(fault)
	s.Sensors.checkClouds(names, fault)
	configured.Check(s.Sinks, func(err error, path ...any) {
		line := configured.Line(data, append([]any{"sinks"}, path...)...)
		faults = append(faults, &strictyaml.Fault{File: s.File, Line: line, Err: err})
	})
	for i, e := range s.Sinks {
		if e.Name == FileSink {
			fault(fmt.Errorf("sinks[%d].name: %q is the name of the file in the data directory", i, FileSink), "sinks", i)
		}
	}
	return errors.Join(faults...)
}

var sizeForm = regexp.MustCompile(`^([0-9]{1,9})(KiB|MiB|GiB|TiB)?$`)

// parseSize reads a number of bytes; 0 for none.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	m := sizeForm.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%q is no size such as 512MiB or 2GiB", text)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, err
	}
	return n << map[string]int{"": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[m[2]], nil
}

// place is where this host is.
func (s *Settings) place() event.Place {
	return event.Place{Tenant: s.Tenant, Account: s.Account, Region: s.Region, Cluster: s.Cluster, Host: s.Host}
}

// Elsewhere reports that sensors watch in another network namespace.
func (s *Settings) Elsewhere() bool {
	return s.Sensors.Conntrack.NetNS != "" || s.Sensors.Wire.NetNS != ""
}

// addrs are the host's own addresses: those that are given, or those of its
// interfaces without the ones that every host has.
func (s *Settings) addrs() []netip.Addr {
	var out []netip.Addr
	for _, a := range s.Addresses {
		if addr, err := netip.ParseAddr(a); err == nil {
			out = append(out, addr)
		}
	}
	if len(out) > 0 {
		return out
	}
	all, _ := net.InterfaceAddrs() // without them the host's name has to do
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			out = append(out, p.Addr())
		}
	}
	return out
}

// keep is how long findings are kept, 0 for the default.
func (s *Settings) keep() time.Duration { return time.Duration(s.KeepDays) * 24 * time.Hour }
