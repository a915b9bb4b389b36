// Package coverage tells which legs of which analytics can be seen with some
// sources, which are blind, and what would open them.
//
// In: the detections, and what sensors say of themselves. Out: for each
// analytic its legs, each with who tells it, or what would.
package coverage

import (
	"slices"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
)

// Watcher is one sensor, or one set of files.
type Watcher struct {
	Name string
	// Watches is whether it works; else Fault says why not, and Mend what helps.
	Watches     bool
	Fault, Mend string
	Sources     []event.Source
	// Kinds are the kinds of facts that it tells, if those are not all that
	// records of its sources can tell.
	Kinds []evidence.Kind
	// Without is what it does not see while it watches.
	Without []Without
}

// Without is something that a sensor does not see, and what would mend that.
type Without struct {
	What string `json:"what"`
	Mend string `json:"mend,omitempty"`
}

// Analytic is what can be seen of one analytic.
type Analytic struct {
	ID   string `json:"analytic"`
	Name string `json:"name"`
	Legs []Leg  `json:"legs"`
}

// Blind is how many of the legs that are needed cannot be seen.
func (a Analytic) Blind() int {
	n := 0
	for _, l := range a.Legs {
		if len(l.By) == 0 && !l.Optional {
			n++
		}
	}
	return n
}

// Leg is what can be seen of one leg.
type Leg struct {
	Name     string `json:"leg"`
	Optional bool   `json:"optional,omitempty"`
	// By are the sensors that tell it; none if it is blind.
	By []string `json:"by,omitempty"`
	// Missing is what cannot be told without it, Open what would open it.
	Missing string   `json:"missing,omitempty"`
	Open    []string `json:"open,omitempty"`
}

// tells reports whether it tells a kind of facts when it works.
func (w Watcher) tells(k evidence.Kind) bool {
	if len(w.Kinds) > 0 && !slices.Contains(w.Kinds, k) {
		return false
	}
	return slices.ContainsFunc(w.Sources, func(s event.Source) bool { return slices.Contains(tells[s], k) })
}

// Of tells what some watchers see of every analytic.
func Of(lib *analytic.Library, watchers []Watcher) []Analytic {
	var all []Analytic
	for _, d := range lib.Detections() {
		a := Analytic{ID: d.ID, Name: d.Name}
		for _, g := range d.Legs {
			leg := Leg{Name: g.Name, Optional: g.Optional}
			for _, w := range watchers {
				if w.Watches && w.tells(g.Kind) {
					leg.By = append(leg.By, w.Name)
				}
			}
			if len(leg.By) == 0 {
				leg.Missing, leg.Open = g.Missing, open(g.Kind, watchers)
			}
			a.Legs = append(a.Legs, leg)
		}
		all = append(all, a)
	}
	return all
}

// Tells are the kinds of facts that records of a source can tell.
func Tells(s event.Source) []evidence.Kind { return slices.Clone(tells[s]) }

// runtime is what a container runtime's own stream tells.
var runtime = []evidence.Kind{evidence.Arrival, evidence.Creation, evidence.Start, evidence.Exec, evidence.Exit, evidence.Commit, evidence.Description}

// tells says what records of a source can tell; TestTellsWhatIsSeen holds it
// against recordings.
var tells = map[event.Source][]evidence.Kind{
	event.Docker:      append(slices.Clone(runtime), evidence.Build, evidence.Preparation, evidence.Use),
	event.Inspect:     {evidence.Description},
	event.Containerd:  append(slices.Clone(runtime), evidence.Use),
	event.CRI:         {evidence.Arrival, evidence.Creation, evidence.Start, evidence.Exec, evidence.Exit, evidence.Description},
	event.Dockerd:     {evidence.Build, evidence.Creation, evidence.Arrival, evidence.Exec, evidence.Use},
	event.DockerAuthz: {evidence.Build, evidence.Creation, evidence.Exec},
	event.Kernel:      {evidence.Command, evidence.Connection, evidence.Build, evidence.Fetch},
	event.Auditd:      {evidence.Command, evidence.Connection, evidence.Write, evidence.Build, evidence.Fetch},
	event.Laurel:      {evidence.Command, evidence.Connection, evidence.Write, evidence.Build, evidence.Fetch},
	event.Tetragon:    {evidence.Command, evidence.Connection, evidence.Write, evidence.Start, evidence.Build, evidence.Fetch},
	event.Tracee:      {evidence.Command, evidence.Connection, evidence.Write, evidence.Lookup, evidence.Build, evidence.Fetch},
	event.Sysmon:      {evidence.Command, evidence.Connection, evidence.Write, evidence.Lookup},
	event.Conntrack:   {evidence.Connection, evidence.Fetch},
	event.Zeek:        {evidence.Connection, evidence.Lookup, evidence.Request, evidence.Fetch, evidence.Build},
	event.Suricata:    {evidence.Connection, evidence.Lookup, evidence.Request, evidence.Fetch, evidence.Build},
	event.Hubble:      {evidence.Connection, evidence.Lookup, evidence.Request, evidence.Fetch},
	event.Kubelet:     {evidence.Arrival, evidence.Creation, evidence.Start, evidence.Exit},
	event.KubeAudit:   {evidence.Creation, evidence.Access, evidence.Grant, evidence.Description},
	event.KubeEvents:  {evidence.Arrival, evidence.Creation, evidence.Start, evidence.Description},
	event.Registry:    {evidence.Publication},
	event.CloudTrail:  {evidence.Launch, evidence.Change, evidence.Boot, evidence.Attempt, evidence.Search, evidence.Sharing, evidence.Creation},
	event.EC2:         {evidence.Description},
	event.GCPAudit:    {evidence.Launch, evidence.Change, evidence.Boot, evidence.Attempt, evidence.Search, evidence.Sharing, evidence.Creation},
	event.Azure:       {evidence.Launch, evidence.Change, evidence.Boot, evidence.Attempt, evidence.Search, evidence.Sharing, evidence.Creation},
	event.VPCFlow:     {evidence.Connection},
	event.GCPFlow:     {evidence.Connection},
	event.AzureFlow:   {evidence.Connection},
	event.NetFlow:     {evidence.Connection},
	event.Route53:     {evidence.Lookup},
	event.GCPDNS:      {evidence.Lookup},
	event.CloudInit:   {evidence.Script, evidence.Boot},
	event.UserDump:    {evidence.Script},
	event.GuestAgent:  {evidence.Script, evidence.Boot},
}

// partly says what records of a source tell now and then, of some ways alone in
// which it happens: nobody should rely on it.
var partly = map[event.Source][]evidence.Kind{
	event.Docker:     {evidence.Command},                    // sessions, by their first command
	event.Containerd: {evidence.Build},                      // BuildKit's namespace
	event.Auditd:     {evidence.Creation, evidence.Arrival}, // clients' command lines
	event.Kernel:     {evidence.Creation, evidence.Arrival}, // the same
	event.Laurel:     {evidence.Creation, evidence.Arrival}, // the same
	event.Zeek:       {evidence.Creation, evidence.Arrival}, // calls of the runtime's API over the network
	event.Suricata:   {evidence.Creation, evidence.Arrival}, // the same
	event.CloudTrail: {evidence.Arrival},                    // what a registry of the cloud gave out
}

// Partly are the kinds of facts that records of a source tell now and then.
func Partly(s event.Source) []evidence.Kind { return slices.Clone(partly[s]) }

// opens are what would let one see a kind of facts, the best first.
var opens = map[evidence.Kind][]string{
	evidence.Arrival:     {"Docker's or containerd's events (sensors docker, containerd)", "the kubelet's log or Kubernetes events"},
	evidence.Creation:    {"Docker's or containerd's events (sensors docker, containerd)", "the Kubernetes audit log"},
	evidence.Start:       {"Docker's or containerd's events (sensors docker, containerd)", "Kubernetes events"},
	evidence.Command:     {"the kernel's programs (sensor ebpf: root, or CAP_BPF and CAP_PERFMON; a kernel with BTF)", "Linux audit with a rule for execve"},
	evidence.Connection:  {"the kernel's connections (sensor ebpf)", "connection tracking (sensor conntrack: root, or CAP_NET_ADMIN)", "flow logs"},
	evidence.Lookup:      {"questions on the wire (sensor wire: root, or CAP_NET_RAW)", "DNS logs of Zeek, Suricata, Hubble, Route 53 or Google Cloud"},
	evidence.Write:       {"Linux audit with rules for files", "Tetragon or Tracee"},
	evidence.Request:     {"what passes on the wire (sensor wire: root, or CAP_NET_RAW)", "HTTP and TLS logs of Zeek, Suricata or Hubble"},
	evidence.Access:      {"the Kubernetes audit log (its webhook, or its file)"},
	evidence.Grant:       {"the Kubernetes audit log (its webhook, or its file)"},
	evidence.Build:       {"dockerd's own log with \"debug\": true in daemon.json", "calls of the Docker API's port (sensor wire)", "HTTP logs of that port", "the kernel's programs (sensor ebpf) for builders' command lines"},
	evidence.Fetch:       {"connection tracking (sensor conntrack)", "the kernel's connections (sensor ebpf)"},
	evidence.Publication: {"a registry's notifications"},
	evidence.Preparation: {"Docker's or containerd's events of the host that pushes (sensors docker, containerd)"},
	evidence.Use:         {"Docker's or containerd's events of the hosts that run it (sensors docker, containerd)"},
	evidence.Launch:      {"CloudTrail, Google Cloud's audit logs or Azure's activity log"},
	evidence.Boot:        {"cloud-init's log or the cloud agent's", "the cloud's own trail"},
	evidence.Change:      {"CloudTrail, Google Cloud's audit logs or Azure's activity log"},
	evidence.Script:      {"cloud-init's log or the cloud agent's, from within the machine"},
	evidence.Sharing:     {"CloudTrail, Google Cloud's audit logs or Azure's activity log"},
}

// open is what would let one see a kind of facts: first what sensors say that
// are there but do not work.
func open(k evidence.Kind, watchers []Watcher) []string {
	var out []string
	for _, w := range watchers {
		if !w.Watches && w.Mend != "" && w.tells(k) {
			out = append(out, w.Name+": "+w.Mend)
		}
	}
	return append(out, opens[k]...)
}
