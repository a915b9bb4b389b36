package analytic

import (
	"cmp"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/policy"
)

// PrincipalView is somebody who asked a cloud for something.
type PrincipalView struct {
	Known bool `cel:"known"`
	// Name is by which policies know it: the role of a role's session, the name
	// of a user or of a service account.
	Name      string       `cel:"name"`
	Session   string       `cel:"session"` // the name that the record tells
	Type      string       `cel:"type"`
	Account   string       `cel:"account"`
	Service   string       `cel:"service"` // the cloud's own service that acted, ""
	Federated string       `cel:"federated"`
	Console   bool         `cel:"console"` // in the cloud's web console
	MFA       bool         `cel:"mfa"`
	Agent     string       `cel:"agent"`
	Client    EndpointView `cel:"client"`
}

func principalView(p *policy.Policy, by event.Principal) PrincipalView {
	v := PrincipalView{Known: by.Name != "", Name: by.Name, Session: by.Name, Agent: by.Agent}
	if c := by.Cloud; c != nil {
		v.Name = cmp.Or(c.Issuer, by.Name)
		v.Type, v.Account, v.Service, v.Federated, v.Console, v.MFA = c.Type, c.Account, c.Service, c.Federation, c.Console, c.MFA
	}
	if len(by.Clients) > 0 {
		v.Client = endpointView(p, by.Clients[0].String(), by.Clients[0], 0, "", nil)
	}
	return v
}

// InstanceView is the variable "instance": the virtual machine that the subject
// is.
type InstanceView struct {
	ID           string   `cel:"id"`
	Name         string   `cel:"name"`
	Account      string   `cel:"account"`
	Region       string   `cel:"region"`
	Zone         string   `cel:"zone"`
	Type         string   `cel:"type"`
	Accelerators []string `cel:"accelerators"`
	TagPairs     []string `cel:"tag_pairs"` // "env=prod"
	TagNames     []string `cel:"tag_names"`
	Subnets      []string `cel:"subnets"`
	Platform     string   `cel:"platform"`
	Lifecycle    string   `cel:"lifecycle"`
	Launched     bool     `cel:"launched"` // a record tells of its launch
	Count        int      `cel:"count"`    // how many were asked for with it
	UserData     bool     `cel:"user_data"`
	Changed      bool     `cel:"changed"` // what it runs was changed after its launch
	Group        string   `cel:"group"`
	// By asked for the launch; Maker made its group or template, if a service of
	// the cloud launched it; Principal is the latter then, else the former.
	By        PrincipalView `cel:"by"`
	Maker     PrincipalView `cel:"maker"`
	Principal PrincipalView `cel:"principal"`
}

func instanceView(p *policy.Policy, i *evidence.Instance) InstanceView {
	if i == nil {
		return InstanceView{}
	}
	v := InstanceView{
		ID: i.ID, Name: i.Name, Account: i.Account, Region: i.Region, Zone: i.Zone, Type: i.Type, Accelerators: i.Accelerators,
		TagPairs: tagPairs(i.Tags), TagNames: slices.Sorted(maps.Keys(i.Tags)), Subnets: i.Subnets, Platform: i.Platform, Lifecycle: i.Lifecycle,
		Launched: i.Launched, Count: i.Count, UserData: i.UserData, Changed: i.Changed, Group: cmp.Or(i.Group, i.Template),
		By: principalView(p, i.By), Maker: principalView(p, i.Maker),
	}
	v.Principal = v.By
	if v.By.Service != "" && v.Maker.Known {
		v.Principal = v.Maker
	}
	return v
}

// VMImageView is the variable "vm_image": the image that the machine was made
// of, or that the subject is.
type VMImageView struct {
	ID         string `cel:"id"`
	Name       string `cel:"name"`        // a claim of whoever made it
	Owner      string `cel:"owner"`       // account, project or publisher; "" if no record tells
	OwnerAlias string `cel:"owner_alias"` // the owner's name that the cloud vouches for
	Public     bool   `cel:"public"`
	Publisher  string `cel:"publisher"`
	Family     string `cel:"family"`
	Gallery    string `cel:"gallery"`
	// Created is when it was made, in Unix seconds; 0 if no record tells.
	Created  int      `cel:"created"`
	Products []string `cel:"products"`
	TagPairs []string `cel:"tag_pairs"`
	TagNames []string `cel:"tag_names"`
	Copies   []string `cel:"copies"`  // the images that it is a copy of
	Mutable  bool     `cel:"mutable"` // the name means another image later: a family, "latest"

	about *evidence.VMImage
}

func vmImageView(s *evidence.Subject) VMImageView {
	i := s.VMImage
	if s.Instance != nil {
		i = &s.Instance.Image
	}
	if i == nil {
		return VMImageView{}
	}
	v := VMImageView{
		ID: string(i.ID), Name: i.Name, Owner: i.Owner, OwnerAlias: i.Alias, Public: i.Public, Publisher: i.Market.Publisher,
		Family: i.Family, Products: i.Products, TagPairs: tagPairs(i.Tags), TagNames: slices.Sorted(maps.Keys(i.Tags)), about: i,
		Mutable: i.ID.Family() != "" || i.Market.Version == "latest" && strings.HasSuffix(string(i.ID), ":latest"),
	}
	v.Gallery, _ = i.ID.Gallery()
	if !i.Created.IsZero() {
		v.Created = int(i.Created.At / event.Second)
	}
	for _, c := range i.Copies {
		v.Copies = append(v.Copies, string(c))
	}
	return v
}

// tagPairs are tags as policies name them, in order.
func tagPairs(tags map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, k+"="+tags[k])
	}
	return out
}

// approvesVMImage reports whether a list of images of virtual machines holds
// one, by its id, its owner, or what it is a plain copy of; never by its name.
func approvesVMImage(v *policy.Value, i *VMImageView) bool {
	if namesVMImage(v, i) {
		return true
	}
	a := i.about
	return a != nil && marked(v, [][2]string{{"owner", a.Owner}, {"owner", a.Alias}, {"project", a.ID.Project()}})
}

// namesVMImage reports whether a list holds an image by what whoever makes images
// in an account cannot choose: its id, what it is a plain copy of, or the gallery
// or marketplace that it is from. An owner is approved with all who act for it.
func namesVMImage(v *policy.Value, i *VMImageView) bool {
	a := i.about
	if a == nil {
		return false
	}
	gallery, name := a.ID.Gallery()
	marks := [][2]string{{"image", string(a.ID)}, {"publisher", a.Market.Publisher}, {"gallery", gallery}, {"gallery", name}, {"plan", a.Market.Plan}}
	for _, id := range i.Copies {
		marks = append(marks, [2]string{"image", id})
	}
	for _, p := range a.Products {
		marks = append(marks, [2]string{"product", p})
	}
	return marked(v, marks)
}

func marked(v *policy.Value, marks [][2]string) bool {
	return slices.ContainsFunc(marks, func(m [2]string) bool { return m[1] != "" && v.MatchesVMImage(m[0], m[1]) })
}

// LaunchView is the variable "launch".
type LaunchView struct {
	By    PrincipalView `cel:"by"`
	At    int           `cel:"at"` // in Unix seconds
	Image string        `cel:"image"`
	Count int           `cel:"count"`
}

// ChangeView is the variable "change": what an instance is, or runs, or an
// image is, was changed.
type ChangeView struct {
	Action     string        `cel:"action"` // user-data, extension, command, update; of an image: tag, update, deregister
	By         PrincipalView `cel:"by"`
	Extension  string        `cel:"extension"`
	Command    CommandView   `cel:"command"`    // what the cloud was asked to run, where the record tells
	Attributes []string      `cel:"attributes"` // what an update wrote
	TagNames   []string      `cel:"tag_names"`
}

// AttemptView is the variable "attempt": a call in vain.
type AttemptView struct {
	Failure string        `cel:"failure"`
	DryRun  bool          `cel:"dry_run"`
	By      PrincipalView `cel:"by"`
}

// SearchView is the variable "search": somebody looked for an image by name,
// without saying whose it be.
type SearchView struct {
	By      PrincipalView `cel:"by"`
	Filters []string      `cel:"filters"` // NAME=VALUE
}

func searchView(p *policy.Policy, f evidence.Fact) SearchView {
	b, ok := f.Event.Body.(*event.VMImage)
	if !ok {
		return SearchView{}
	}
	return SearchView{By: principalView(p, b.By), Filters: b.Filters}
}

// ScriptView is the variable "script": what a boot agent runs, or shall run.
type ScriptView struct {
	Agent    string      `cel:"agent"`
	Stored   bool        `cel:"stored"` // it lies there; nobody saw it run
	Command  CommandView `cel:"command"`
	Download string      `cel:"download"` // the first place outside that the agent itself fetches from
}

// SharingView is the variable "sharing": others may launch the image.
type SharingView struct {
	Public bool          `cel:"public"`
	To     []string      `cel:"to"` // "all", "account:…", "organization:…", "user:…"
	Ended  bool          `cel:"ended"`
	By     PrincipalView `cel:"by"`
}

func launchView(p *policy.Policy, f evidence.Fact) LaunchView {
	b, ok := f.Event.Body.(*event.Instance)
	if !ok {
		return LaunchView{}
	}
	return LaunchView{By: principalView(p, b.By), At: int(f.Event.Time.At / event.Second), Image: string(b.Image), Count: b.Count}
}

func changeView(p *policy.Policy, f evidence.Fact) ChangeView {
	switch b := f.Event.Body.(type) {
	case *event.Instance:
		v := ChangeView{Action: string(b.Action), By: principalView(p, b.By), Extension: b.Extension, Attributes: b.Changed, TagNames: slices.Sorted(maps.Keys(b.Tags))}
		if len(b.Command) > 0 {
			v.Command = parsedView(p, b.Command)
		}
		return v
	case *event.VMImage:
		return ChangeView{Action: string(b.Action), By: principalView(p, b.By), TagNames: slices.Sorted(maps.Keys(b.Tags))}
	}
	return ChangeView{}
}

func attemptView(p *policy.Policy, f evidence.Fact) AttemptView {
	switch b := f.Event.Body.(type) {
	case *event.Instance:
		return AttemptView{Failure: b.Failure, DryRun: b.DryRun, By: principalView(p, b.By)}
	case *event.VMImage:
		return AttemptView{Failure: b.Failure, DryRun: b.DryRun, By: principalView(p, b.By)}
	}
	return AttemptView{}
}

func scriptView(p *policy.Policy, f evidence.Fact) ScriptView {
	b, ok := f.Event.Body.(*event.GuestScript)
	if !ok {
		return ScriptView{}
	}
	v := ScriptView{Agent: b.Agent, Stored: b.Stage == event.GuestStored}
	if f.Command != nil {
		v.Command = commandView(p, f.Command)
	}
	for _, d := range b.Downloads {
		if e := endpointOf(p, d); e.Public {
			v.Download = e.Host
			v.Command.Endpoints = append(v.Command.Endpoints, e)
			break
		}
	}
	return v
}

// endpointOf is the place that a URL names. Its path may be anything: what makes
// it no URL hides no host.
func endpointOf(p *policy.Policy, address string) EndpointView {
	_, rest, ok := strings.Cut(address, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	u, err := url.Parse("//" + rest)
	if !ok || err != nil {
		return EndpointView{}
	}
	host := strings.ToLower(u.Hostname())
	port, _ := strconv.Atoi(u.Port()) // "" is none
	addr, _ := netip.ParseAddr(host)  // a name is none
	return endpointView(p, host, addr, port, "", nil)
}

func sharingView(p *policy.Policy, f evidence.Fact) SharingView {
	b, ok := f.Event.Body.(*event.VMImage)
	if !ok {
		return SharingView{}
	}
	return SharingView{Public: b.Public, To: b.To, Ended: b.Action == event.VMImageUnshare, By: principalView(p, b.By)}
}
