package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"go.yaml.in/yaml/v3"

	"tidewaiter/event"
	"tidewaiter/journal"
	"tidewaiter/sensor"
	"tidewaiter/source"
)

// Host is what is known of the host that the daemon runs on.
type Host struct {
	// Place is where it is: its name at least.
	Place event.Place
	// Addrs are its own addresses.
	Addrs []netip.Addr
}

// places keeps the journal's inventory: where the records of each lane are
// from. A hunt over the journal reads the same file.
type places struct {
	mu        sync.Mutex
	path      string
	doc       document
	inventory *source.Inventory
}

// document is the inventory as it is written; source.ReadInventory reads it.
type document struct {
	Inputs []placed `yaml:"inputs,omitempty"`
	Hosts  []host   `yaml:"hosts,omitempty"`
}

type placed struct {
	Path    string `yaml:"path"`
	Tenant  string `yaml:"tenant,omitempty"`
	Account string `yaml:"account,omitempty"`
	Region  string `yaml:"region,omitempty"`
	Cluster string `yaml:"cluster,omitempty"`
	Host    string `yaml:"host,omitempty"`
	Network string `yaml:"network,omitempty"`
}

type host struct {
	Name    string   `yaml:"name"`
	IPs     []string `yaml:"ips,omitempty,flow"`
	Tenant  string   `yaml:"tenant,omitempty"`
	Account string   `yaml:"account,omitempty"`
	Region  string   `yaml:"region,omitempty"`
	Cluster string   `yaml:"cluster,omitempty"`
}

// everywhere is the rule of what is from this host.
const everywhere = "**"

// newPlaces reads what earlier runs knew of their lanes, and says where this
// host is.
func newPlaces(dir string, h Host) (*places, error) {
	p := &places{path: filepath.Join(dir, source.InventoryName)}
	data, err := os.ReadFile(p.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := yaml.Unmarshal(data, &p.doc); err != nil {
		return nil, fmt.Errorf("%s: %w", p.path, err)
	}
	p.doc.Inputs = slices.DeleteFunc(p.doc.Inputs, func(i placed) bool { return i.Path == everywhere })
	own := host{Name: h.Place.Host, Tenant: h.Place.Tenant, Account: h.Place.Account, Region: h.Place.Region, Cluster: h.Place.Cluster}
	for _, a := range h.Addrs {
		own.IPs = append(own.IPs, a.String())
	}
	p.doc.Hosts = []host{own}
	p.doc.Inputs = append(p.doc.Inputs, rule(everywhere, h.Place))
	return p, p.write()
}

func rule(path string, at event.Place) placed {
	return placed{path, at.Tenant, at.Account, at.Region, at.Cluster, at.Host, at.Network}
}

// learn notes where a lane's records are from, if not from here.
func (p *places) learn(l sensor.Lane) error {
	if l.Place.IsZero() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := rule("*/"+journal.FileName(l), l.Place)
	own := p.doc.Inputs[len(p.doc.Inputs)-1]
	r.Tenant, r.Account, r.Region = cmp.Or(r.Tenant, own.Tenant), cmp.Or(r.Account, own.Account), cmp.Or(r.Region, own.Region)
	if i := slices.IndexFunc(p.doc.Inputs, func(o placed) bool { return o.Path == r.Path }); i >= 0 {
		if p.doc.Inputs[i] == r {
			return nil
		}
		p.doc.Inputs[i] = r
	} else {
		p.doc.Inputs = slices.Insert(p.doc.Inputs, 0, r)
	}
	return p.write()
}

// write puts the inventory on disk and reads it as a hunt does.
func (p *places) write() error {
	text, err := yaml.Marshal(p.doc)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := os.WriteFile(p.path+".new", text, 0o600); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := os.Rename(p.path+".new", p.path); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	p.inventory, err = source.ReadInventory(p.path)
	return err
}

// of says where a segment's records are from.
func (p *places) of(path string) (event.Place, func(event.Place) event.Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	inv := p.inventory
	return inv.Place(path), func(at event.Place) event.Place { return inv.Complete(path, at) }
}
