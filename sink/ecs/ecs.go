// Package ecs writes findings in the Elastic Common Schema.
//
// In: notices. Out: documents. docs/formats/sinks.md says where what stands.
package ecs

import (
	"slices"
	"strings"
	"time"

	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
)

// Version is the version of the schema.
const Version = "8.17.0"

// Document is a finding as an alert.
type Document struct {
	Timestamp    time.Time    `json:"@timestamp"`
	Message      string       `json:"message"`
	Tags         []string     `json:"tags"`
	ECS          versioned    `json:"ecs"`
	Event        Event        `json:"event"`
	Rule         rule         `json:"rule"`
	Threat       threat       `json:"threat,omitzero"`
	Host         named        `json:"host,omitzero"`
	Container    container    `json:"container,omitzero"`
	Orchestrator orchestrator `json:"orchestrator,omitzero"`
	Cloud        cloud        `json:"cloud,omitzero"`
	Destination  *endpoint    `json:"destination,omitempty"`
	Related      related      `json:"related,omitzero"`
	Observer     observer     `json:"observer"`
	Own          Own          `json:"tidewaiter"`
}

// Event says what kind of document it is.
type Event struct {
	Kind      string    `json:"kind"`
	Category  []string  `json:"category"`
	Type      []string  `json:"type"`
	Action    string    `json:"action"`
	Module    string    `json:"module"`
	Dataset   string    `json:"dataset"`
	Provider  string    `json:"provider"`
	ID        string    `json:"id"`
	Code      string    `json:"code,omitempty"`
	Severity  int       `json:"severity"`
	RiskScore int       `json:"risk_score"`
	Reason    string    `json:"reason,omitempty"`
	Start     time.Time `json:"start,omitzero"`
	End       time.Time `json:"end,omitzero"`
	Created   time.Time `json:"created"`
	// Original is the OCSF Detection Finding as text; Of leaves it empty.
	Original string `json:"original,omitempty"`
}

type (
	versioned struct {
		Version string `json:"version"`
	}
	named struct {
		Name string `json:"name"`
	}
	identified struct {
		ID   string `json:"id,omitempty"`
		Name string `json:"name,omitempty"`
	}
	typed struct {
		Type string `json:"type,omitempty"`
	}
	rule struct {
		ID       string `json:"id,omitempty"`
		Name     string `json:"name,omitempty"`
		Category string `json:"category,omitempty"`
		Ruleset  string `json:"ruleset"`
	}
	technique struct {
		ID           []string      `json:"id"`
		Subtechnique *subtechnique `json:"subtechnique,omitempty"`
	}
	subtechnique struct {
		ID []string `json:"id"`
	}
	threat struct {
		Framework string    `json:"framework"`
		Technique technique `json:"technique"`
	}
	container struct {
		ID    string `json:"id,omitempty"`
		Name  string `json:"name,omitempty"`
		Image image  `json:"image,omitzero"`
	}
	image struct {
		Name string    `json:"name,omitempty"`
		Tag  []string  `json:"tag,omitempty"`
		Hash imageHash `json:"hash,omitzero"`
	}
	imageHash struct {
		All []string `json:"all,omitempty"`
	}
	orchestrator struct {
		Type      string   `json:"type"`
		Cluster   named    `json:"cluster,omitzero"`
		Namespace string   `json:"namespace,omitempty"`
		Resource  resource `json:"resource,omitzero"`
	}
	resource struct {
		Type   string `json:"type"`
		ID     string `json:"id,omitempty"`
		Name   string `json:"name"`
		Parent typed  `json:"parent,omitzero"`
	}
	cloud struct {
		Account  identified `json:"account,omitzero"`
		Instance identified `json:"instance,omitzero"`
		Machine  typed      `json:"machine,omitzero"`
		Region   string     `json:"region,omitempty"`
		Zone     string     `json:"availability_zone,omitempty"`
	}
	endpoint struct {
		IP   string `json:"ip"`
		Port int    `json:"port,omitempty"`
	}
	related struct {
		Hosts []string `json:"hosts,omitempty"`
		IP    []string `json:"ip,omitempty"`
		Hash  []string `json:"hash,omitempty"`
		User  []string `json:"user,omitempty"`
	}
	observer struct {
		Name    string `json:"name,omitempty"`
		Product string `json:"product"`
		Vendor  string `json:"vendor"`
		Type    string `json:"type"`
		Version string `json:"version,omitempty"`
	}
)

// Own is what the schema has no place for.
type Own struct {
	Finding    string           `json:"finding"`
	State      finding.State    `json:"state"`
	Severity   string           `json:"severity"`
	Confidence float64          `json:"confidence"`
	Scope      string           `json:"scope,omitempty"`
	Owner      string           `json:"owner"`
	Cause      string           `json:"cause,omitempty"`
	Superseded string           `json:"superseded_by,omitempty"`
	Techniques []string         `json:"techniques,omitempty"`
	Analytics  []string         `json:"analytics,omitempty"`
	Signals    []string         `json:"signals,omitempty"`
	Reasons    []string         `json:"reasons,omitempty"`
	Legs       map[string]State `json:"legs,omitempty"`
	ToSettle   []string         `json:"to_settle,omitempty"`
}

// State is a leg's: seen, absent, outside, untied or blind.
type State string

// maxRelated bounds each list of related things.
const maxRelated = 100

// Of writes a notice's finding. @timestamp is when it was told, so that a rule
// over the last minutes sees a finding in old records; event.start and
// event.end are the evidence's times. It fails for good on what is no finding.
func Of(n sink.Notice) (Document, error) {
	o, err := ocsf.Parse(n)
	if err != nil {
		return Document{}, err
	}
	e := ocsf.Entity(o)
	d := Document{
		Timestamp: n.At.UTC(), Message: o.Message, Tags: []string{"tidewaiter"}, ECS: versioned{Version},
		Event: event(n, o),
		Rule:  rule{o.FindingInfo.Analytic.UID, o.FindingInfo.Analytic.Name, o.FindingInfo.Analytic.Category, "tidewaiter"},
		Host:  named{e.Host}, Orchestrator: orchestrated(e),
		Cloud:    cloud{identified{ID: e.Account}, identified{e.InstanceID, e.InstanceName}, typed{e.InstanceType}, e.Region, e.Zone},
		Observer: observer{n.Host, "tidewaiter", "tidewaiter", "ids", n.Version},
	}
	d.Container = container{ID: e.ContainerID, Name: e.ContainerName}
	if e.Image != "" {
		name, tag := ocsf.SplitImage(e.Image)
		d.Container.Image = image{Name: name, Hash: imageHash{e.ImageDigests}}
		if tag != "" {
			d.Container.Image.Tag = []string{tag}
		}
	}
	techniques, subs := ocsf.Techniques(o)
	if len(techniques) > 0 {
		d.Threat = threat{"MITRE ATT&CK", technique{ID: techniques}}
		if len(subs) > 0 {
			d.Threat.Technique.Subtechnique = &subtechnique{subs}
		}
	}
	d.relate(o)
	d.Own = own(o, slices.Concat(techniques, subs))
	return d, nil
}

func event(n sink.Notice, o finding.OCSF) Event {
	e := Event{
		Kind: "event", Category: []string{"malware", "intrusion_detection"}, Type: []string{"info"},
		Action: "finding-" + strings.ToLower(o.ActivityName), Module: "tidewaiter", Dataset: "tidewaiter.finding", Provider: "tidewaiter",
		ID: n.ID, Code: o.FindingInfo.Analytic.UID, Severity: o.SeverityID, RiskScore: o.RiskScore, Reason: o.FindingInfo.Desc,
		Created: n.At.UTC(),
	}
	if o.IsAlert {
		e.Kind = "alert"
	}
	if o.StartTime > 0 {
		e.Start, e.End = time.UnixMilli(o.StartTime).UTC(), time.UnixMilli(o.EndTime).UTC()
	}
	return e
}

func orchestrated(e finding.Entity) orchestrator {
	if e.Pod == "" && e.Cluster == "" && e.Namespace == "" {
		return orchestrator{}
	}
	o := orchestrator{Type: "kubernetes", Cluster: named{e.Cluster}, Namespace: e.Namespace}
	if e.Pod != "" {
		o.Resource = resource{Type: "pod", ID: e.PodUID, Name: e.Pod}
		if kind, _, found := strings.Cut(e.Workload, "/"); found {
			o.Resource.Parent = typed{kind}
		}
	}
	return o
}

// relate lists what can be searched for across documents, and the address that
// the last record of a connection names.
func (d *Document) relate(o finding.OCSF) {
	add := func(to *[]string, values ...string) {
		for _, v := range values {
			if v != "" && len(*to) < maxRelated && !slices.Contains(*to, v) {
				*to = append(*to, v)
			}
		}
	}
	for _, e := range o.Unmapped.Entities {
		add(&d.Related.Hosts, e.Host)
		add(&d.Related.Hash, append([]string{e.ImageDigest}, e.ImageDigests...)...)
		add(&d.Related.User, e.Principal)
	}
	for _, e := range o.Evidences {
		if to := e.DstEndpoint; to != nil {
			d.Destination = &endpoint{to.IP, to.Port}
			add(&d.Related.IP, to.IP)
		}
		if from := e.SrcEndpoint; from != nil {
			add(&d.Related.IP, from.IP)
		}
		if q := e.Query; q != nil {
			add(&d.Related.Hosts, q.Hostname)
		}
	}
}

func own(o finding.OCSF, techniques []string) Own {
	u := o.Unmapped
	w := Own{
		Finding: o.FindingInfo.UID, State: u.State, Severity: strings.ToLower(o.Severity), Confidence: u.Confidence,
		Scope: u.Scope, Owner: u.Owner, Cause: u.Cause, Superseded: u.SupersededBy, Techniques: techniques,
		Analytics: o.FindingInfo.Types, ToSettle: u.ToSettle, Legs: map[string]State{},
	}
	for _, s := range u.Signals {
		w.Signals, w.Reasons = append(w.Signals, s.Signal), append(w.Reasons, s.Says)
	}
	for _, l := range u.Legs {
		w.Legs[l.Leg] = State(l.State)
	}
	return w
}
