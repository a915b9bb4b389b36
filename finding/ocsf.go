package finding

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"tidewaiter/analytic"
	"tidewaiter/event"
	"tidewaiter/evidence"
)

// OCSFVersion is the version of the Open Cybersecurity Schema Framework that
// findings are written in, class Detection Finding (2004).
const OCSFVersion = "1.6.0"

// product names this program in what it writes.
const product = "tidewaiter"

// OCSF is a finding as an OCSF Detection Finding. Times are milliseconds since
// 1970, as the schema demands; docs/formats/finding.md says where what stands.
type OCSF struct {
	ActivityID   int    `json:"activity_id"`
	ActivityName string `json:"activity_name"`
	CategoryUID  int    `json:"category_uid"`
	CategoryName string `json:"category_name"`
	ClassUID     int    `json:"class_uid"`
	ClassName    string `json:"class_name"`
	TypeUID      int    `json:"type_uid"`
	TypeName     string `json:"type_name"`

	Time      int64 `json:"time"`
	StartTime int64 `json:"start_time,omitempty"`
	EndTime   int64 `json:"end_time,omitempty"`

	Severity        string `json:"severity"`
	SeverityID      int    `json:"severity_id"`
	Confidence      string `json:"confidence"`
	ConfidenceID    int    `json:"confidence_id"`
	ConfidenceScore int    `json:"confidence_score"`
	RiskScore       int    `json:"risk_score"`
	Status          string `json:"status"`
	StatusID        int    `json:"status_id"`
	IsAlert         bool   `json:"is_alert"`

	Message     string         `json:"message"`
	FindingInfo ocsfInfo       `json:"finding_info"`
	Metadata    ocsfMetadata   `json:"metadata"`
	Resources   []ocsfResource `json:"resources,omitempty"`
	Evidences   []ocsfEvidence `json:"evidences,omitempty"`
	Unmapped    Unmapped       `json:"unmapped"`
}

type ocsfMetadata struct {
	Version string      `json:"version"`
	Product ocsfProduct `json:"product"`
	UID     string      `json:"uid"`
}

type ocsfProduct struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
	Version    string `json:"version,omitempty"`
}

type ocsfInfo struct {
	UID              string         `json:"uid"`
	Title            string         `json:"title"`
	Desc             string         `json:"desc,omitempty"`
	Types            []string       `json:"types"`
	FirstSeenTime    int64          `json:"first_seen_time,omitempty"`
	LastSeenTime     int64          `json:"last_seen_time,omitempty"`
	Analytic         ocsfAnalytic   `json:"analytic"`
	RelatedAnalytics []ocsfAnalytic `json:"related_analytics,omitempty"`
	Attacks          []ocsfAttack   `json:"attacks,omitempty"`
	DataSources      []string       `json:"data_sources,omitempty"`
}

type ocsfAnalytic struct {
	UID      string `json:"uid"`
	Name     string `json:"name,omitempty"`
	Category string `json:"category,omitempty"` // the detection strategy
	Type     string `json:"type"`
	TypeID   int    `json:"type_id"`
}

// ocsfAttack names a technique; a sub-technique stands beside the technique
// that it belongs to.
type ocsfAttack struct {
	Technique    ocsfTechnique  `json:"technique"`
	SubTechnique *ocsfTechnique `json:"sub_technique,omitempty"`
	Version      string         `json:"version"`
}

type ocsfTechnique struct {
	UID string `json:"uid"`
}

type ocsfResource struct {
	Type      string `json:"type"`
	UID       string `json:"uid"`
	Name      string `json:"name,omitempty"`
	Namespace string `json:"namespace,omitempty"`
}

type ocsfEvidence struct {
	UID            string          `json:"uid"`
	Container      *ocsfContainer  `json:"container,omitempty"`
	Process        *ocsfProcess    `json:"process,omitempty"`
	File           *ocsfFile       `json:"file,omitempty"`
	DstEndpoint    *ocsfEndpoint   `json:"dst_endpoint,omitempty"`
	SrcEndpoint    *ocsfEndpoint   `json:"src_endpoint,omitempty"`
	ConnectionInfo *ocsfConnection `json:"connection_info,omitempty"`
	Query          *ocsfQuery      `json:"query,omitempty"`
	Data           EvidenceData    `json:"data"`
}

// EvidenceData cites one record: the part of an evidence that OCSF has no
// fields for.
type EvidenceData struct {
	Leg     string   `json:"leg,omitempty"`
	Kind    string   `json:"kind"`
	Signals []string `json:"signals"`
	Says    string   `json:"says"`
	Time    string   `json:"time"` // RFC 3339, as exact as the source
	Source  string   `json:"source"`
	Format  string   `json:"format"`
	File    string   `json:"file"`
	Line    int      `json:"line"`
	// Lines are all lines of the record; an audit event has several.
	Lines []int `json:"lines"`
	// Record is the raw text of those lines, joined by line ends.
	Record string `json:"record"`
	// RecordError says why the raw text could not be read again.
	RecordError string `json:"record_error,omitempty"`
	Host        string `json:"host,omitempty"`
	Cluster     string `json:"cluster,omitempty"`
}

type ocsfContainer struct {
	UID   string     `json:"uid"`
	Name  string     `json:"name,omitempty"`
	Image *ocsfImage `json:"image,omitempty"` // nil if nothing is known of it
}

type ocsfImage struct {
	UID  string `json:"uid"`
	Name string `json:"name,omitempty"`
	Tag  string `json:"tag,omitempty"`
}

type ocsfProcess struct {
	PID     int         `json:"pid"`
	Name    string      `json:"name,omitempty"`
	CmdLine string      `json:"cmd_line,omitempty"`
	File    *ocsfFile   `json:"file,omitempty"`
	Parent  *ocsfParent `json:"parent_process,omitempty"`
}

type ocsfParent struct {
	PID int `json:"pid"`
}

type ocsfFile struct {
	Name   string `json:"name"`
	Path   string `json:"path,omitempty"`
	Type   string `json:"type"`
	TypeID int    `json:"type_id"`
}

type ocsfEndpoint struct {
	IP   string `json:"ip"`
	Port int    `json:"port,omitempty"`
}

type ocsfConnection struct {
	Direction    string `json:"direction"`
	DirectionID  int    `json:"direction_id"`
	ProtocolName string `json:"protocol_name,omitempty"`
}

type ocsfQuery struct {
	Hostname string `json:"hostname"`
	Type     string `json:"type,omitempty"`
}

// Unmapped is what OCSF has no place for.
type Unmapped struct {
	Family       string  `json:"family"`
	State        State   `json:"state"`
	SupersededBy string  `json:"superseded_by,omitempty"`
	Score        float64 `json:"score"`
	Confidence   float64 `json:"confidence"`
	Scope        string  `json:"scope,omitempty"`
	Owner        string  `json:"owner"`
	Cause        string  `json:"cause,omitempty"`
	Chain        string  `json:"chain,omitempty"`
	// Analytics says which techniques each analytic stands for.
	Analytics []UnmappedAnalytic `json:"analytics"`
	Entities  []Entity           `json:"entities"`
	Legs      []UnmappedLeg      `json:"legs"`
	Signals   []UnmappedSignal   `json:"signals"`
	Notes     []string           `json:"notes"`
	ToSettle  []string           `json:"to_settle"`
	Omitted   int                `json:"omitted_evidence,omitempty"`
}

// Entity is one affected thing by every key that is known of it. A key that is
// not known is left out.
type Entity struct {
	Kind          string   `json:"kind"`
	ContainerID   string   `json:"container_id,omitempty"`
	ContainerName string   `json:"container_name,omitempty"`
	ContainerKind string   `json:"container_kind,omitempty"` // in a pod: container, init, ephemeral
	Pod           string   `json:"pod,omitempty"`
	PodUID        string   `json:"pod_uid,omitempty"`
	Namespace     string   `json:"namespace,omitempty"`
	Workload      string   `json:"workload,omitempty"`  // kind/name of what made the pod
	Principal     string   `json:"principal,omitempty"` // who asked for it
	Host          string   `json:"host,omitempty"`
	Cluster       string   `json:"cluster,omitempty"`
	Account       string   `json:"account,omitempty"`
	Image         string   `json:"image,omitempty"`         // canonical reference
	ImageAsTyped  string   `json:"image_typed,omitempty"`   // as the record had it
	ImageDigest   string   `json:"image_digest,omitempty"`  // by which the artefact is named
	ImageDigests  []string `json:"image_digests,omitempty"` // every digest known for it
	ImageOrigin   string   `json:"image_origin,omitempty"`
	// Of a virtual machine, and of the image of one:
	InstanceID      string `json:"instance_id,omitempty"`
	InstanceName    string `json:"instance_name,omitempty"`
	InstanceType    string `json:"instance_type,omitempty"`
	Resource        string `json:"resource,omitempty"` // its path or resource id
	Region          string `json:"region,omitempty"`
	Zone            string `json:"zone,omitempty"`
	Group           string `json:"group,omitempty"` // what launches it for good
	ImageID         string `json:"image_id,omitempty"`
	ImageName       string `json:"image_name,omitempty"` // whoever made it chose it
	ImageOwner      string `json:"image_owner,omitempty"`
	ImageOwnerAlias string `json:"image_owner_alias,omitempty"`
	ImagePublic     bool   `json:"image_public,omitempty"`
}

// UnmappedLeg is a leg and its state: seen, absent, outside, untied or blind.
type UnmappedLeg struct {
	Leg     string            `json:"leg"`
	State   analytic.LegState `json:"state"`
	Missing string            `json:"missing,omitempty"`
	What    string            `json:"what,omitempty"` // which records fit it; "" for every one of its kind
	Detail  string            `json:"detail,omitempty"`
}

// UnmappedAnalytic is a raised analytic with its own techniques: OCSF has one
// list for all.
type UnmappedAnalytic struct {
	Analytic   string   `json:"analytic"`
	Techniques []string `json:"techniques"`
}

// UnmappedSignal is a reason.
type UnmappedSignal struct {
	Signal   string  `json:"signal"`
	Group    string  `json:"group"`
	Points   float64 `json:"points"`
	Says     string  `json:"says"`
	Learning bool    `json:"learning,omitempty"`
}

// Raw reads a cited record's text again.
type Raw interface {
	Read(event.Origin) (string, error)
}

// OCSF writes the finding as an OCSF Detection Finding. raw reads the records;
// version is this program's.
func (f *Finding) OCSF(raw Raw, version string) OCSF {
	o := OCSF{
		CategoryUID: 2, CategoryName: "Findings", ClassUID: 2004, ClassName: "Detection Finding",
		StartTime: millis(f.First), EndTime: millis(f.Last), Time: millis(f.Last),
		Message: f.Title, ConfidenceScore: int(f.Confidence*100 + 0.5), RiskScore: f.Points(),
		IsAlert:  f.Severity >= analytic.Low && f.State != Withdrawn && f.State != Superseded,
		Metadata: ocsfMetadata{OCSFVersion, ocsfProduct{product, product, version}, f.eventUID()},
	}
	o.activity(f.State)
	o.SeverityID = int(f.Severity) // Informational is 1, Critical 5
	o.Severity = [...]string{"Unknown", "Informational", "Low", "Medium", "High", "Critical"}[f.Severity]
	o.ConfidenceID, o.Confidence = confidence(f.Confidence)
	o.FindingInfo = f.info()
	for _, s := range f.Subjects {
		o.Resources = append(o.Resources, resources(s)...)
	}
	for _, e := range f.Evidence {
		o.Evidences = append(o.Evidences, f.evidence(e, raw))
	}
	o.Unmapped = f.unmapped()
	return o
}

func (o *OCSF) activity(s State) {
	o.ActivityID, o.ActivityName, o.StatusID, o.Status = 1, "Create", 1, "New"
	switch s {
	case Withdrawn:
		o.ActivityID, o.ActivityName, o.StatusID, o.Status = 3, "Close", 6, "Deleted"
	case Superseded:
		o.ActivityID, o.ActivityName, o.StatusID, o.Status = 3, "Close", 5, "Archived"
	}
	o.TypeUID = o.ClassUID*100 + o.ActivityID
	o.TypeName = o.ClassName + ": " + o.ActivityName
}

// eventUID names one telling of the finding. The same finding told again after
// it changed is another event: a receiver that drops events with a uid that it
// has seen must not drop the withdrawal.
func (f *Finding) eventUID() string {
	parts := []string{f.ID, string(f.State), f.SupersededBy, f.Severity.String(), strconv.FormatFloat(f.Score, 'g', -1, 64)}
	for _, e := range f.Evidence {
		parts = append(parts, e.Event.ID.String(), e.Leg, strings.Join(e.Signals, " "))
	}
	return event.NewID(parts...).String()
}

func millis(nanos int64) int64 { return nanos / 1e6 }

func confidence(c float64) (int, string) {
	switch {
	case c >= 0.75:
		return 3, "High"
	case c >= 0.5:
		return 2, "Medium"
	}
	return 1, "Low"
}

// attackVersion is the version of ATT&CK that analytics are named after.
const attackVersion = "18"

func (f *Finding) info() ocsfInfo {
	i := ocsfInfo{UID: f.ID, Title: f.Title, Desc: f.Chain, Types: []string{}, FirstSeenTime: millis(f.First), LastSeenTime: millis(f.Last)}
	for n, a := range f.Analytics {
		oa := ocsfAnalytic{UID: a.ID, Name: a.Name, Category: a.Strategy, Type: "Rule", TypeID: 1}
		if n == 0 {
			i.Analytic = oa
		} else {
			i.RelatedAnalytics = append(i.RelatedAnalytics, oa)
		}
		i.Types = append(i.Types, a.ID)
		for _, t := range a.Techniques {
			// Analytics of one family share techniques.
			if !slices.ContainsFunc(i.Attacks, func(o ocsfAttack) bool { return o.id() == t }) {
				i.Attacks = append(i.Attacks, attack(t))
			}
		}
	}
	seen := map[string]bool{}
	for _, e := range f.Evidence {
		if s := string(e.Event.Origin.Source); !seen[s] {
			seen[s] = true
			i.DataSources = append(i.DataSources, s)
		}
	}
	return i
}

// attack names a technique of ATT&CK: "T1496.001" is a part of "T1496".
func attack(id string) ocsfAttack {
	a := ocsfAttack{Technique: ocsfTechnique{id}, Version: attackVersion}
	if above, _, found := strings.Cut(id, "."); found {
		a.Technique, a.SubTechnique = ocsfTechnique{above}, &ocsfTechnique{id}
	}
	return a
}

func (a ocsfAttack) id() string {
	if a.SubTechnique != nil {
		return a.SubTechnique.UID
	}
	return a.Technique.UID
}

func resources(s Subject) []ocsfResource {
	c := s.Container
	if out := cloudResources(s); out != nil {
		return out
	}
	if c == nil {
		out := []ocsfResource{{Type: s.ID.Kind, UID: s.ID.ID}}
		if s.Image != nil {
			out = append(out, ocsfResource{Type: "image", UID: s.Image.Canonical.String(), Name: s.Image.Name()})
		}
		return out
	}
	out := []ocsfResource{{Type: "container", UID: c.ID, Name: c.Name, Namespace: c.Namespace}}
	if c.Pod != "" {
		out = append(out, ocsfResource{Type: "pod", UID: strings.TrimPrefix(c.Namespace+"/"+c.Pod, "/"), Name: c.Pod, Namespace: c.Namespace})
	}
	if name := c.Image.Name(); name != "" {
		out = append(out, ocsfResource{Type: "image", UID: cmp.Or(c.Image.Canonical.String(), name), Name: name})
	}
	if c.Host != "" {
		out = append(out, ocsfResource{Type: "host", UID: c.Host, Name: c.Host})
	}
	return out
}

func (f *Finding) evidence(e Evidence, raw Raw) ocsfEvidence {
	o := ocsfEvidence{UID: e.Event.ID.String(), Data: data(e, raw)}
	if e.Subject < len(f.Subjects) {
		o.Container = container(f.Subjects[e.Subject].container(e.Container))
	}
	switch b := e.Event.Body.(type) {
	case *event.Process:
		if e.Kind == evidence.Command {
			o.Process = process(b)
		}
	case *event.FileWrite:
		// The record names what was written and not what kind of file it is.
		o.File = file(b.Path, "Unknown", 0)
	case *event.Flow:
		o.DstEndpoint, o.SrcEndpoint = endpoint(b.Dst), endpoint(b.Src)
		o.ConnectionInfo = &ocsfConnection{"Outbound", 2, string(b.Protocol)}
	case *event.Socket:
		if o.DstEndpoint = endpoint(b.Addr); o.DstEndpoint == nil {
			o.File = file(b.Path, "Local Socket", 5)
			break
		}
		o.ConnectionInfo = &ocsfConnection{"Outbound", 2, ""}
	case *event.DNS:
		o.Query = &ocsfQuery{b.Query, b.Type}
	}
	return o
}

func container(c *evidence.Container) *ocsfContainer {
	if c == nil {
		return nil
	}
	o := &ocsfContainer{UID: c.ID, Name: c.Name}
	if name := c.Image.Name(); name != "" {
		// An image must have a uid: without a digest, its name is what is known.
		o.Image = &ocsfImage{UID: cmp.Or(c.Image.Canonical.String(), name), Name: name, Tag: c.Image.Reference.Tag()}
	}
	return o
}

func process(b *event.Process) *ocsfProcess {
	p := &ocsfProcess{PID: b.PID, Name: event.ProgramName(b.Exe), CmdLine: strings.Join(b.Args, " ")}
	p.File = file(b.Exe, "Regular File", 1)
	if b.PPID > 0 {
		p.Parent = &ocsfParent{b.PPID}
	}
	return p
}

func file(name, kind string, kindID int) *ocsfFile {
	if name == "" {
		return nil
	}
	return &ocsfFile{Name: path.Base(name), Path: name, Type: kind, TypeID: kindID}
}

// endpoint is nil for an address that the record does not tell. A zone names
// an interface of the host that wrote the record and is no part of an ip_t.
func endpoint(a netip.AddrPort) *ocsfEndpoint {
	if !a.Addr().IsValid() {
		return nil
	}
	return &ocsfEndpoint{IP: a.Addr().Unmap().WithZone("").String(), Port: int(a.Port())}
}

func data(e Evidence, raw Raw) EvidenceData {
	o := e.Event.Origin
	d := EvidenceData{
		Leg: e.Leg, Kind: string(e.Kind), Signals: append([]string{}, e.Signals...), Says: e.Says,
		Time: e.Event.Time.String(), Source: string(o.Source), Format: o.Format, File: o.File, Line: o.Line(), Lines: []int{},
		Host: e.Event.Place.Host, Cluster: e.Event.Place.Cluster,
	}
	for _, s := range o.Spans {
		d.Lines = append(d.Lines, s.Line)
	}
	text, err := raw.Read(o)
	d.Record = strings.ToValidUTF8(text, "\uFFFD")
	if err != nil {
		d.RecordError = fmt.Sprint(err)
	}
	return d
}

func (f *Finding) unmapped() Unmapped {
	u := Unmapped{
		Family: f.Family, State: f.State, SupersededBy: f.SupersededBy, Score: f.Score, Confidence: f.Confidence, Scope: f.Scope,
		Owner: f.Owner, Cause: f.Cause, Chain: f.Chain, Omitted: f.Omitted,
		Analytics: []UnmappedAnalytic{}, Entities: []Entity{}, Legs: []UnmappedLeg{}, Signals: []UnmappedSignal{},
		Notes: append([]string{}, f.Notes...), ToSettle: append([]string{}, f.Clear...),
	}
	for _, a := range f.Analytics {
		u.Analytics = append(u.Analytics, UnmappedAnalytic{a.ID, append([]string{}, a.Techniques...)})
	}
	for _, s := range f.Subjects {
		u.Entities = append(u.Entities, entityOf(s, s.Container))
	}
	u.Entities = append(u.Entities, f.further()...)
	u.Entities = append(u.Entities, f.launchedWith()...)
	for _, l := range f.Legs {
		leg := UnmappedLeg{Leg: l.Name, State: l.State, What: l.What, Detail: l.Detail()}
		if l.State != analytic.Seen {
			leg.Missing = l.Missing
		}
		u.Legs = append(u.Legs, leg)
	}
	for _, s := range f.Signals {
		u.Signals = append(u.Signals, UnmappedSignal{s.Name, s.Group, s.Points, s.Says, s.Learning})
	}
	return u
}

// further are the pods' other containers that records are cited of.
func (f *Finding) further() []Entity {
	var out []Entity
	for i, s := range f.Subjects {
		for j := range s.Containers {
			c := &s.Containers[j]
			if s.Container != nil && c.ID == s.Container.ID && c.Name == s.Container.Name {
				continue
			}
			if slices.ContainsFunc(f.Evidence, func(e Evidence) bool { return e.Subject == i && e.Container == j }) {
				out = append(out, entityOf(s, c))
			}
		}
	}
	return out
}

func entityOf(s Subject, c *evidence.Container) Entity {
	e := Entity{Kind: s.ID.Kind, Account: s.ID.Place.Account, Host: s.ID.Place.Host, Cluster: s.ID.Place.Cluster}
	if p := s.Pod; p != nil {
		e.Pod, e.PodUID, e.Namespace, e.Host = p.Name, p.UID, p.Namespace, p.Node
		e.Workload = strings.ToLower(p.Owner.Kind) + "/" + p.Owner.Name
		if len(p.Creators) > 0 {
			e.Principal = p.Creators[0].By.Name
		}
	}
	cloudEntity(s, &e)
	if s.Image != nil {
		e.tellImage(s.Image)
	}
	if c == nil {
		return e
	}
	e.ContainerID, e.ContainerName, e.ContainerKind = c.ID, c.Name, string(c.Kind)
	e.Pod, e.Namespace, e.Host = cmp.Or(e.Pod, c.Pod), cmp.Or(e.Namespace, c.Namespace), cmp.Or(c.Host, e.Host)
	e.tellImage(&c.Image)
	return e
}

func (e *Entity) tellImage(i *evidence.Image) {
	e.Image, e.ImageAsTyped = i.Name(), i.Reference.Raw()
	e.ImageDigest, e.ImageOrigin = i.Canonical.String(), string(i.Origin)
	for _, d := range i.Digests {
		e.ImageDigests = append(e.ImageDigests, d.String())
	}
}
