package analytic

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"tidewaiter/command"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/image"
	"tidewaiter/policy"
)

// The structs below are what conditions see, under the names in their tags.
// They are flat and hold no pointers into the evidence.

// viewTypes lists them, as reflect.Types.
func viewTypes() []any {
	return []any{
		reflect.TypeFor[ImageView](), reflect.TypeFor[ContainerView](), reflect.TypeFor[EndpointView](),
		reflect.TypeFor[CommandView](), reflect.TypeFor[ConnectionView](), reflect.TypeFor[LookupView](), reflect.TypeFor[ArrivalView](), reflect.TypeFor[WriteView](), reflect.TypeFor[BuildView](), reflect.TypeFor[APIClientView](),
		reflect.TypeFor[PodView](), reflect.TypeFor[AccessView](), reflect.TypeFor[GrantView](), reflect.TypeFor[RequestView](), reflect.TypeFor[PublicationView](), reflect.TypeFor[CommitView](), reflect.TypeFor[ExecView](),
		reflect.TypeFor[InstanceView](), reflect.TypeFor[VMImageView](), reflect.TypeFor[PrincipalView](), reflect.TypeFor[LaunchView](), reflect.TypeFor[ChangeView](),
		reflect.TypeFor[AttemptView](), reflect.TypeFor[SearchView](), reflect.TypeFor[ScriptView](), reflect.TypeFor[SharingView](),
	}
}

// viewName is under which CEL knows a struct.
func viewName(t reflect.Type) string { return t.String() }

// ImageView is the variable "image": the image that the subject was made of.
type ImageView struct {
	Reference  string `cel:"reference"`  // canonical name, or as typed
	Registry   string `cel:"registry"`   // host with port
	Repository string `cel:"repository"` // host/path
	Tag        string `cel:"tag"`
	Mutable    bool   `cel:"mutable"` // named by tag, without a digest
	NoTag      bool   `cel:"no_tag"`  // neither tag nor digest was written
	Invalid    bool   `cel:"invalid"`
	Digest     string `cel:"digest"` // canonical digest, or ""
	// Doubtful is set when the Kubernetes namespace is not known, and with it
	// the scope, and some scope trusts the image.
	Doubtful   bool     `cel:"doubtful"`
	Published  bool     `cel:"published"` // a registry's digest of it is known
	Keys       []string `cel:"keys"`      // what memory knows it by: its digests, else its name
	Origin     string   `cel:"origin"`    // "", registry, load, import, build, commit, local
	Stale      bool     `cel:"stale"`     // the tag was pulled again, and what it means now is not known
	IPRegistry bool     `cel:"ip_registry"`
	IDN        bool     `cel:"idn"`

	ref      image.Reference
	upstream image.Reference // what a mirror's name stands for, zero if it is none
	digests  []image.Digest
}

// ContainerView is the variable "container".
type ContainerView struct {
	ID        string `cel:"id"`
	Name      string `cel:"name"`
	Host      string `cel:"host"`
	Cluster   string `cel:"cluster"`
	Namespace string `cel:"namespace"`
	Pod       string `cel:"pod"`
	// PodsTold is set for one in no pod that is known, among the kubelet's, while
	// the cluster's API told of pods.
	PodsTold     bool     `cel:"pods_told"`
	Sandbox      bool     `cel:"sandbox"` // it holds a pod's network, and no program of its own
	Privileged   bool     `cel:"privileged"`
	Capabilities []string `cel:"capabilities"`
	Mounts       []string `cel:"mounts"`     // paths of the host
	HostRoots    []string `cel:"host_roots"` // where the host's root lies in the container
	PIDMode      string   `cel:"pid_mode"`
	NetworkMode  string   `cel:"network_mode"`
	IPCMode      string   `cel:"ipc_mode"`
	Restart      string   `cel:"restart"`
	UserRun      bool     `cel:"user_run"`    // a logged-in user of the host had it made
	Builder      bool     `cel:"builder"`     // a step of a build ran in it
	Kind         string   `cel:"kind"`        // in a pod: container, init, ephemeral
	PullPolicy   string   `cel:"pull_policy"` // in a pod: Always, IfNotPresent, Never
	// Command is what it was asked to run in place of the image's own, read as
	// commands are; its text is "" where nothing was asked.
	Command CommandView `cel:"command"`
	// API is who called the runtime's API for it, BuiltBy for the build of its
	// image.
	API     APIClientView `cel:"api"`
	BuiltBy APIClientView `cel:"built_by"`
}

// APIClientView is who called the API of a container runtime.
type APIClientView struct {
	Known  bool         `cel:"known"`  // a record tells of the call
	Remote bool         `cel:"remote"` // from another machine's address
	Client EndpointView `cel:"client"` // zero where the record does not tell
	User   string       `cel:"user"`   // the name in the client's TLS certificate
	Agent  string       `cel:"agent"`
	TCP    bool         `cel:"tcp"` // over TCP without encryption: nothing proves who called
}

func apiClientView(p *policy.Policy, c evidence.APIClient) APIClientView {
	v := APIClientView{Known: c.Known, User: c.User, Agent: c.Agent, TCP: c.TCP}
	if c.Addr.IsValid() {
		v.Client = endpointView(p, c.Addr.String(), c.Addr, 0, "", nil)
		v.Remote = !c.Addr.IsLoopback()
	}
	return v
}

// PodView is the variable "pod": what a container's pod is; empty fields where
// it is in none.
type PodView struct {
	Namespace string `cel:"namespace"`
	Name      string `cel:"name"`
	Node      string `cel:"node"`
	Owner     string `cel:"owner"` // "deployment/web", what made it in the end; "pod/web" if nothing did
	// Creator asked for the topmost owner, Requester for the pod itself.
	Creator       string   `cel:"creator"`
	CreatorGroups []string `cel:"creator_groups"`
	Requester     string   `cel:"requester"`
	Requested     bool     `cel:"requested"` // the API's records tell who asked for it
}

// AccessView is the variable "access": somebody reached into a pod.
type AccessView struct {
	Action  string   `cel:"action"` // exec, attach, portforward, proxy
	Command string   `cel:"command"`
	By      string   `cel:"by"`
	Groups  []string `cel:"groups"`
	TTY     bool     `cel:"tty"`
}

// GrantView is the variable "grant": rights were given to, or by, those who had
// the pod made, shortly before.
type GrantView struct {
	By        string   `cel:"by"`
	Role      string   `cel:"role"`       // "ClusterRole/cluster-admin"
	To        []string `cel:"to"`         // "User/bob", "ServiceAccount/ns/name"
	ToCreator bool     `cel:"to_creator"` // who asked for what made the pod is among them
	Cluster   bool     `cel:"cluster"`    // in the whole cluster, not in a namespace
}

func grantView(f evidence.Fact, pod *evidence.Pod) GrantView {
	b, ok := f.Event.Body.(*event.Grant)
	if !ok {
		return GrantView{}
	}
	v := GrantView{By: b.By.Name, Role: b.Role, To: b.To, Cluster: b.Object.Kind == "ClusterRoleBinding"}
	if pod != nil && len(pod.Creators) > 0 {
		v.ToCreator = slices.Contains(b.Principals(), pod.Creators[0].By.Name)
	}
	return v
}

// RequestView is the variable "request": HTTP or TLS on the network.
type RequestView struct {
	Host   string `cel:"host"`
	Method string `cel:"method"` // "" for TLS
	URI    string `cel:"uri"`
}

// ExecView is the variable "exec": the runtime started a further process in the
// running container.
type ExecView struct {
	Probe  bool     `cel:"probe"` // it is a probe's, as far as can be told
	By     string   `cel:"by"`    // who asked the API server for it, "" if no record tells
	Groups []string `cel:"groups"`
	TTY    bool     `cel:"tty"`
}

func execView(f evidence.Fact) ExecView {
	if f.Exec == nil {
		return ExecView{}
	}
	v := ExecView{Probe: f.Exec.Probe}
	if s := f.Exec.Session; s.Told {
		v.By, v.Groups, v.TTY = s.By.Name, s.By.Groups, s.TTY
	}
	return v
}

// PublicationView is the variable "publication": a registry took in an image.
type PublicationView struct {
	Repository string `cel:"repository"`
	Tag        string `cel:"tag"` // "" if it was pushed by digest alone
	Digest     string `cel:"digest"`
	By         string `cel:"by"`   // the identity that the registry tells, or ""
	Name       string `cel:"name"` // repository and tag as one reference, "" if it was pushed by digest alone
	// Client is from where it was pushed, zero if the registry does not tell.
	Client EndpointView `cel:"client"`

	ref    image.Reference
	digest image.Digest
}

func (v *PublicationView) digests() []image.Digest { return []image.Digest{v.digest} }

// CommitView is the variable "commit": an image was made of a container.
type CommitView struct {
	Names   []string `cel:"names"`   // those that it was given then and since
	Reached bool     `cel:"reached"` // somebody had run something in the container before
}

func commitView(f evidence.Fact) CommitView {
	if f.Commit == nil {
		return CommitView{}
	}
	return CommitView{f.Commit.Names, f.Commit.Reached}
}

func publicationView(p *policy.Policy, f evidence.Fact) PublicationView {
	b, ok := f.Event.Body.(*event.RegistryAction)
	if !ok {
		return PublicationView{}
	}
	v := PublicationView{Repository: b.Reference.Repository(), Digest: b.Digest.String(), By: b.By.Name, ref: b.Reference, digest: b.Digest}
	if len(b.By.Clients) > 0 {
		a := b.By.Clients[0].Unmap()
		v.Client = endpointView(p, a.String(), a, 0, "", nil)
	}
	if !b.Reference.TagImplicit() && b.Reference.Tag() != "" {
		v.Tag, v.Name = b.Reference.Tag(), b.Reference.Repository()+":"+b.Reference.Tag()
	}
	return v
}

// EndpointView is a place on a network.
type EndpointView struct {
	Host    string   `cel:"host"`    // name or address
	Address string   `cel:"address"` // "" for a name
	Port    int      `cel:"port"`
	KnownAs string   `cel:"known_as"` // host, or what the policy's first_seen makes of it
	Text    string   `cel:"text"`     // host and port as people write them, IPv6 in brackets; the host alone without a port
	Scheme  string   `cel:"scheme"`
	Public  bool     `cel:"public"` // outside the site; a name counts unless it is plainly local
	Names   []string `cel:"names"`  // names that the address was known by
	// ASN and Organization are the address's autonomous system, 0 and "" if the
	// policy has no database that tells.
	ASN          int    `cel:"asn"`
	Organization string `cel:"organization"`

	addr netip.Addr
}

// CommandView is the variable "command".
type CommandView struct {
	Program       string         `cel:"program"`  // first program's name
	Programs      []string       `cel:"programs"` // names of all programs, scripts read
	Text          string         `cel:"text"`
	Exe           string         `cel:"exe"`
	Script        string         `cel:"script"`
	Endpoints     []EndpointView `cel:"endpoints"`
	Writes        []string       `cel:"writes"`
	Downloads     bool           `cel:"downloads"`
	DownloadPiped bool           `cel:"download_piped"`
	DecodePiped   bool           `cel:"decode_piped"`
	RemoteShell   bool           `cel:"remote_shell"` // a shell is joined to a connection
	HealthCheck   bool           `cel:"health_check"`
	Dropped       string         `cel:"dropped"` // the file that was written before it ran
	First         bool           `cel:"first"`
	Exec          bool           `cel:"exec"`
	TTY           bool           `cel:"tty"`
	UID           int            `cel:"uid"`
	SessionBy     string         `cel:"session_by"` // whose session through the API it is part of, "" if no record tells
	SessionGroups []string       `cel:"session_groups"`
	Agent         string         `cel:"agent"` // the boot agent of a machine that started it, "" for none
}

// ConnectionView is the variable "connection".
type ConnectionView struct {
	Remote   EndpointView `cel:"remote"`
	Protocol string       `cel:"protocol"`
	Service  string       `cel:"service"`
	Seconds  float64      `cel:"seconds"` // how long it lasted, 0 if unknown
	BytesOut int          `cel:"bytes_out"`
	BytesIn  int          `cel:"bytes_in"`
	Answered bool         `cel:"answered"`
	Shared   bool         `cel:"shared"`   // from the address of a node: another pod there, or the node, may have made it
	Inferred bool         `cel:"inferred"` // from an address nobody is known to have, to where a command of this container alone says
	FanOut   float64      `cel:"fan_out"`  // to how many addresses the subject connected on that port within a minute that it is in
}

// LookupView is the variable "lookup".
type LookupView struct {
	Query string `cel:"query"`
	Type  string `cel:"type"`
}

// BuildView is the variable "build": somebody asked for the image to be built,
// or a step of that ran.
type BuildView struct {
	Asked   bool        `cel:"asked"`  // a request or a client's command; else a step
	Remote  string      `cel:"remote"` // where the Dockerfile or its context is from, "" if it was sent along
	Host    bool        `cel:"host"`   // in the host's network
	Command CommandView `cel:"command"`
}

// sentAlong is what BuildKit's clients ask for as remote when they send the
// context themselves.
var sentAlong = []string{"client-session", "upload-request"}

func buildView(p *policy.Policy, f evidence.Fact) BuildView {
	v := BuildView{}
	var query url.Values
	switch b := f.Event.Body.(type) {
	case *event.APIRequest:
		v.Asked, query = true, b.Query
	case *event.HTTP:
		v.Asked = true
		if u, err := url.ParseRequestURI(b.URI); err == nil {
			query = u.Query()
		}
	case *event.Process:
		v.Asked = f.Command != nil && f.Command.UID >= 0
	}
	v.Remote, v.Host = query.Get("remote"), query.Get("networkmode") == "host"
	if slices.Contains(sentAlong, v.Remote) {
		v.Remote = ""
	}
	if f.Command != nil {
		v.Command = commandView(p, f.Command)
	}
	return v
}

// WriteView is the variable "write": a file was opened for writing.
type WriteView struct {
	Path     string `cel:"path"`
	Exe      string `cel:"exe"`
	HostPath string `cel:"host_path"` // what it is on the host, "" if it is the container's own
	HostRoot string `cel:"host_root"` // the path of the host that is mounted there
}

// ArrivalView is the variable "arrival".
type ArrivalView struct {
	Action    string `cel:"action"`
	Reference string `cel:"reference"`
	// By is who brought an image of virtual machines.
	By PrincipalView `cel:"by"`
}

func imageView(p *policy.Policy, c *evidence.Container) ImageView {
	r := c.Image.Reference
	v := ImageView{
		Reference: cmp.Or(r.String(), c.Image.Canonical.String()), Registry: r.Domain(), Repository: r.Repository(), Tag: r.Tag(),
		Mutable: r.Mutable(), NoTag: r.TagImplicit(), Invalid: r.Form() == image.Invalid,
		Digest: c.Image.Canonical.String(), Origin: string(c.Image.Origin),
		IPRegistry: r.IPRegistry(), IDN: r.IDN(), Published: c.Image.Published, Stale: c.Image.Stale,
		ref: r, digests: c.Image.Digests,
	}
	v.upstream, _ = p.Upstream(r)
	v.Doubtful = c.Cluster != "" && c.Namespace == "" && p.TrustsSomewhere(r, c.Image.Digests)
	for _, d := range c.Image.Digests {
		v.Keys = append(v.Keys, d.String())
	}
	if len(v.Keys) == 0 && r.Key() != "" {
		v.Keys = []string{r.Key()}
	}
	return v
}

func containerView(p *policy.Policy, c *evidence.Container) ContainerView {
	v := ContainerView{
		Builder: c.Builder, API: apiClientView(p, c.API), BuiltBy: apiClientView(p, c.BuiltBy),
		Kind: string(c.Kind), PullPolicy: c.PullPolicy, UserRun: c.AskedBy.Known && c.AskedBy.AUID >= 0,
		ID: c.ID, Name: c.Name, Host: c.Host, Cluster: c.Cluster, Namespace: c.Namespace, Pod: c.Pod,
		PodsTold: c.PodsTold, Sandbox: c.Sandbox,
		Privileged: c.Risk.Privileged, Capabilities: c.Risk.Capabilities,
		PIDMode: c.Risk.PIDMode, NetworkMode: c.Risk.NetworkMode, IPCMode: c.Risk.IPCMode, Restart: c.Risk.RestartPolicy,
	}
	for _, m := range c.Risk.Mounts {
		v.Mounts = append(v.Mounts, m.Source)
		if m.Source == "/" {
			v.HostRoots = append(v.HostRoots, m.Destination)
		}
	}
	if len(c.Command) > 0 {
		v.Command = parsedView(p, c.Command)
	}
	return v
}

// podView tells what a container's pod is. Who put the container into a running
// pod asked for it, whoever made the pod.
func podView(pod *evidence.Pod, c *evidence.Container) PodView {
	if pod == nil {
		return PodView{}
	}
	v := PodView{Namespace: pod.Namespace, Name: pod.Name, Node: pod.Node, Owner: strings.ToLower(pod.Owner.Kind) + "/" + pod.Owner.Name}
	if n := len(pod.Creators); n > 0 {
		v.Creator, v.CreatorGroups = pod.Creators[0].By.Name, pod.Creators[0].By.Groups
		v.Requester, v.Requested = pod.Creators[n-1].By.Name, true
	}
	if c != nil && c.AddedBy.Name != "" {
		v.Creator, v.CreatorGroups, v.Requester, v.Requested = c.AddedBy.Name, c.AddedBy.Groups, c.AddedBy.Name, true
	}
	return v
}

func accessView(f evidence.Fact) AccessView {
	b, ok := f.Event.Body.(*event.PodAccess)
	if !ok {
		return AccessView{}
	}
	return AccessView{Action: b.Action, Command: strings.Join(b.Command, " "), By: b.By.Name, Groups: b.By.Groups, TTY: b.TTY}
}

func requestView(f evidence.Fact) RequestView {
	switch b := f.Event.Body.(type) {
	case *event.HTTP:
		return RequestView{Host: b.Host, Method: b.Method, URI: b.URI}
	case *event.TLS:
		return RequestView{Host: b.ServerName}
	}
	return RequestView{}
}

func endpointView(p *policy.Policy, host string, addr netip.Addr, port int, scheme string, names []string) EndpointView {
	v := EndpointView{Host: host, KnownAs: p.KnownAs(host, addr), Port: port, Text: host, Scheme: scheme, Names: names, addr: addr}
	if port > 0 {
		v.Text = net.JoinHostPort(host, strconv.Itoa(port))
	}
	if addr.IsValid() {
		v.Address, v.Public = addr.String(), p.IsPublic(addr)
		system := p.System(addr)
		v.ASN, v.Organization = int(system.Number), system.Name
		return v
	}
	v.Public = !localName(host)
	return v
}

// localName reports names that mean the machine or the cluster itself: names
// without a dot, and the suffixes that RFC 6761, RFC 6762 and Kubernetes
// reserve for it.
func localName(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if !strings.Contains(host, ".") {
		return true
	}
	return slices.ContainsFunc([]string{".localhost", ".local", ".svc", ".internal", ".home.arpa"}, func(s string) bool {
		return strings.HasSuffix(host, s)
	})
}

func commandView(p *policy.Policy, c *evidence.CommandFact) CommandView {
	v := CommandView{
		Programs: c.Programs, Text: c.Text, Exe: c.Exe, Script: c.Script, Writes: c.Writes,
		Downloads: c.Downloads, DownloadPiped: c.DownloadPiped, DecodePiped: c.DecodePiped, RemoteShell: c.RemoteShell,
		HealthCheck: c.HealthCheck, Dropped: c.Dropped, First: c.First, Exec: c.Exec, TTY: c.TTY, UID: c.UID, Agent: c.Agent,
	}
	if len(c.Programs) > 0 {
		v.Program = c.Programs[0]
	}
	if s := c.Session; s.Told {
		v.SessionBy, v.SessionGroups = s.By.Name, s.By.Groups
	}
	for _, e := range c.Endpoints {
		v.Endpoints = append(v.Endpoints, endpointView(p, e.Host, e.Addr, e.Port, e.Scheme, nil))
	}
	return v
}

// parsedView reads a command that was asked for, and of which nobody saw it run.
func parsedView(p *policy.Policy, args []string) CommandView {
	line := command.Parse(args, "", "")
	return commandView(p, &evidence.CommandFact{Line: line, Dropped: line.Drops})
}

func connectionView(p *policy.Policy, f evidence.Fact, fanOut int) ConnectionView {
	r := f.Connection.Remote
	v := ConnectionView{
		FanOut:   float64(fanOut),
		Remote:   endpointView(p, r.Addr().String(), r.Addr(), int(r.Port()), "", f.Connection.Domains),
		BytesOut: -1, BytesIn: -1, Answered: true, Protocol: "tcp", Shared: f.Connection.Shared, Inferred: f.Connection.Inferred,
	}
	if b, ok := f.Event.Body.(*event.Flow); ok {
		v.Protocol, v.Service, v.Answered = string(b.Protocol), b.Service, b.Answered
		v.BytesOut, v.BytesIn = int(b.BytesOut), int(b.BytesIn)
		if !b.End.IsZero() && !f.Event.Time.IsZero() {
			v.Seconds = float64(b.End.At-f.Event.Time.At) / 1e9
		}
	}
	return v
}

func arrivalView(p *policy.Policy, f evidence.Fact) ArrivalView {
	switch b := f.Event.Body.(type) {
	case *event.Image:
		return ArrivalView{Action: string(b.Action), Reference: b.Reference.String()}
	case *event.VMImage:
		return ArrivalView{Action: string(b.Action), Reference: string(b.ID), By: principalView(p, b.By)}
	}
	return ArrivalView{}
}

// writeView tells what a written file is called in the container and, if it
// lies below a mount, on the host.
func writeView(f evidence.Fact, c *evidence.Container) WriteView {
	b, ok := f.Event.Body.(*event.FileWrite)
	if !ok {
		return WriteView{}
	}
	v := WriteView{Path: b.Path, Exe: b.Exe}
	longest := -1
	if c == nil {
		return v
	}
	for _, m := range c.Risk.Mounts {
		below, ok := strings.CutPrefix(b.Path, strings.TrimSuffix(m.Destination, "/"))
		if ok && len(m.Destination) > longest && !m.ReadOnly && (below == "" || below[0] == '/') {
			longest = len(m.Destination)
			v.HostPath, v.HostRoot = path.Join(m.Source, below), path.Clean(m.Source)
		}
	}
	return v
}

func lookupView(f evidence.Fact) LookupView {
	b, ok := f.Event.Body.(*event.DNS)
	if !ok {
		return LookupView{}
	}
	return LookupView{Query: b.Query, Type: b.Type}
}

func plainView(f evidence.Fact) map[string]any {
	b, ok := f.Event.Body.(*event.Plain)
	if !ok {
		return map[string]any{}
	}
	return b.Fields
}
