package source

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/strictyaml"
)

// InventoryName is the file that places the records of the folder it stands in.
const InventoryName = "inputs.yaml"

// Inventory says what records do not say themselves: which host, cluster or
// account a file is from, and what is known of hosts.
type Inventory struct {
	// File is where it was read from; paths in it are relative to its folder.
	File   string
	inputs []inputRule
	hosts  []hostEntry
	images []imageEntry
}

type inputRule struct {
	Path    string `yaml:"path"`
	Tenant  string `yaml:"tenant"`
	Account string `yaml:"account"`
	Region  string `yaml:"region"`
	Cluster string `yaml:"cluster"`
	Host    string `yaml:"host"`
	Network string `yaml:"network"`
}

type hostEntry struct {
	Name       string   `yaml:"name"`
	IPs        []string `yaml:"ips"`
	InstanceID string   `yaml:"instance_id"`
	Tenant     string   `yaml:"tenant"`
	Account    string   `yaml:"account"`
	Region     string   `yaml:"region"`
	Cluster    string   `yaml:"cluster"`
	Role       string   `yaml:"role"`

	line int // where it stands
}

// imageEntry says of an image of virtual machines what a look-up would.
type imageEntry struct {
	ID      string `yaml:"id"`
	Name    string `yaml:"name"`
	Owner   string `yaml:"owner"`
	Alias   string `yaml:"owner_alias"`
	Public  bool   `yaml:"public"`
	Created string `yaml:"created"`
	Tenant  string `yaml:"tenant"`
	Account string `yaml:"account"`

	created time.Time
	line    int
}

// vm is the image's id in the form in which images are compared.
func (i imageEntry) vm() image.VM {
	for _, id := range []image.VM{image.ParseAMI(i.ID), image.ParseGCP(i.ID, ""), image.ParseAzure(i.ID)} {
		if id != "" {
			return id
		}
	}
	if parts := strings.Split(i.ID, ":"); len(parts) == 4 {
		return image.AzureMarket(parts[0], parts[1], parts[2], parts[3])
	}
	return ""
}

// ReadInventory reads an inventory file. All faults are reported at once, each
// with file and, where YAML tells it, line.
func ReadInventory(path string) (*Inventory, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", err)
	}
	var doc struct {
		Inputs []inputRule  `yaml:"inputs"`
		Hosts  []hostEntry  `yaml:"hosts"`
		Images []imageEntry `yaml:"images"`
	}
	if err := strictyaml.Decode(path, data, &doc); err != nil {
		return nil, err
	}
	inv := &Inventory{File: path, inputs: doc.Inputs, hosts: doc.Hosts, images: doc.Images}
	for i := range inv.hosts {
		inv.hosts[i].line = strictyaml.Line(data, "hosts", i)
	}
	return inv, inv.check(data)
}

func (v *Inventory) check(data []byte) error {
	var faults []error
	fault := func(err error, path ...any) {
		faults = append(faults, &strictyaml.Fault{File: v.File, Line: strictyaml.Line(data, path...), Err: err})
	}
	for i, r := range v.inputs {
		if r.Path == "" || !doublestar.ValidatePattern(r.Path) {
			fault(fmt.Errorf("inputs[%d].path: %q is no pattern such as \"node-a/*.log\"", i, r.Path), "inputs", i)
		}
	}
	for i, h := range v.hosts {
		if h.Name == "" {
			fault(fmt.Errorf("hosts[%d].name: missing", i), "hosts", i)
		}
		for j, a := range h.IPs {
			if _, err := netip.ParseAddr(a); err != nil {
				fault(fmt.Errorf("hosts[%d].ips[%d]: %q is no address", i, j, a), "hosts", i, "ips", j)
			}
		}
	}
	for i := range v.images {
		e := &v.images[i]
		e.line = strictyaml.Line(data, "images", i)
		if e.vm() == "" {
			fault(fmt.Errorf("images[%d].id: %q is no image of virtual machines: write ami-…, projects/…/global/images/…, an Azure resource id, or publisher:offer:sku:version", i, e.ID), "images", i)
		}
		if e.Created == "" {
			continue
		}
		var err error
		if e.created, err = time.Parse(time.RFC3339, e.Created); err != nil {
			fault(fmt.Errorf("images[%d].created: %q is no time such as 2026-11-03T10:00:00Z", i, e.Created), "images", i, "created")
		}
	}
	return errors.Join(faults...)
}

// Place says where a file's records are from; the first rule that fits wins.
// What the hosts list says about the host is filled in.
func (v *Inventory) Place(file string) event.Place {
	rel, err := filepath.Rel(filepath.Dir(v.File), file)
	if err != nil {
		return event.Place{}
	}
	rel = filepath.ToSlash(rel)
	for _, r := range v.inputs {
		if ok, err := doublestar.Match(r.Path, rel); err == nil && ok {
			return v.complete(event.Place{Tenant: r.Tenant, Account: r.Account, Region: r.Region, Cluster: r.Cluster, Host: r.Host, Network: r.Network})
		}
	}
	return event.Place{}
}

// complete fills in what the hosts list knows of the place's host, and of the
// account that its cluster is in.
func (v *Inventory) complete(p event.Place) event.Place {
	for _, h := range v.hosts {
		if h.Name == p.Host && p.Host != "" {
			p = p.Or(h.place())
			break
		}
	}
	if p.Cluster == "" || p.Account != "" {
		return p
	}
	for _, h := range v.hosts {
		if h.Cluster != p.Cluster || h.Account == "" {
			continue
		}
		if p.Account != "" && p.Account != h.Account {
			p.Account = "" // a cluster of that name is in several
			return p
		}
		p.Account = h.Account
	}
	return p
}

func (h hostEntry) place() event.Place {
	return event.Place{Tenant: h.Tenant, Account: h.Account, Region: h.Region, Cluster: h.Cluster, Host: h.Name}
}

// Complete fills in what the hosts list knows of the host that a record of a
// file names itself. Files elsewhere than below the inventory's folder are of
// other sites, where a name can mean another host.
func (v *Inventory) Complete(file string, p event.Place) event.Place {
	if rel, err := filepath.Rel(filepath.Dir(v.File), file); err != nil || !filepath.IsLocal(rel) {
		return p
	}
	return v.complete(p)
}

// Events tells what the inventory knows of hosts and images, as look-ups.
func (v *Inventory) Events() []event.Event {
	var out []event.Event
	for _, h := range v.hosts {
		d := &event.HostDescription{Name: h.Name, InstanceID: h.InstanceID, Role: h.Role}
		for _, a := range h.IPs {
			if addr, err := netip.ParseAddr(a); err == nil {
				d.Addrs = append(d.Addrs, addr)
			}
		}
		out = append(out, event.Event{
			ID:     event.NewID("inventory", v.File, h.Name),
			Place:  h.place(),
			Origin: event.Origin{Source: event.Inventory, Format: "inventory", File: v.File, Spans: []event.Span{{Line: h.line}}},
			Body:   d,
		})
	}
	for _, i := range v.images {
		b := &event.VMImage{Action: event.VMImageDescribe, ID: i.vm(), Name: i.Name, Owner: i.Owner, Alias: i.Alias, Public: i.Public}
		if !i.created.IsZero() {
			b.Created = event.At(i.created, event.Second)
		}
		out = append(out, event.Event{
			ID:     event.NewID("inventory image", v.File, i.ID, i.Account),
			Place:  event.Place{Tenant: i.Tenant, Account: i.Account},
			Origin: event.Origin{Source: event.Inventory, Format: "inventory", File: v.File, Spans: []event.Span{{Line: i.line}}},
			Body:   b,
		})
	}
	return out
}
