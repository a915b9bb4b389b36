package scenario_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"tidewaiter/policy"
	"tidewaiter/source"
)

// neutral is the policy that the scenarios beside the checkout assume, in their
// own words, as far as it is about containers.
type neutral struct {
	Scopes        map[string]neutralScope `yaml:"scopes"`
	DefaultScope  string                  `yaml:"default_scope"`
	Egress        neutralEgress           `yaml:"egress"`
	MiningPorts   []string                `yaml:"mining_ports"`
	MiningDomains []string                `yaml:"mining_domains"`
	Suspicious    []string                `yaml:"suspicious_binaries"`
	Releases      []neutralRelease        `yaml:"release_manifest"`
	Agents        []neutralAgent          `yaml:"approved_agents"`
	DebugImages   []string                `yaml:"approved_debug_images"`
	Automation    struct {
		Kubernetes []string `yaml:"k8s"`
		AWS        []string `yaml:"aws_roles"`
	} `yaml:"automation_principals"`
	VMs struct {
		AWS struct {
			Owners       []string `yaml:"owners"`
			Products     []string `yaml:"marketplace_products"`
			Factories    []string `yaml:"factory_roles"`
			Account      string   `yaml:"factory_account"`
			Images       []string `yaml:"images"`
			Organization string   `yaml:"organization_arn"`
		} `yaml:"aws"`
		GCP struct {
			Projects []string `yaml:"projects"`
		} `yaml:"gcp"`
		Azure struct {
			Publishers []string `yaml:"publishers"`
			Galleries  []string `yaml:"galleries"`
			Platform   []string `yaml:"platform_principals"`
		} `yaml:"azure"`
	} `yaml:"vm_catalog"`
	Builders struct {
		Pushers []string `yaml:"registry_actors"`
	} `yaml:"builders"`
	Operators struct {
		Groups []string `yaml:"groups"`
	} `yaml:"operators"`
	API struct {
		Networks []string `yaml:"cidrs"`
	} `yaml:"docker_api_clients"`
	Allowed []struct {
		Match  neutralMatch `yaml:"match"`
		Repo   string       `yaml:"repo"`
		Digest string       `yaml:"digest"`
	} `yaml:"images_allowed"`

	hosts []string // those in the recording
}

type neutralMatch struct {
	Namespaces  []string `yaml:"namespaces"`
	Hosts       []string `yaml:"hosts"`
	DockerHosts []string `yaml:"docker_hosts"`
	Nodes       []string `yaml:"nodes"`
}

type neutralScope struct {
	Match      neutralMatch `yaml:"match"`
	Inherits   string       `yaml:"inherits"`
	Registries []string     `yaml:"registries"`
	Images     []string     `yaml:"images"`
	Mutable    *bool        `yaml:"mutable_tags"`
	Build      *bool        `yaml:"build"`
	Socket     bool         `yaml:"docker_sock"`
	Creators   []string     `yaml:"creators"`
	Multiplier *float64     `yaml:"severity_multiplier"`
}

type neutralEgress struct {
	Approved  []string            `yaml:"approved_cidrs"`
	Blocklist []string            `yaml:"blocklist"`
	Names     map[string][]string `yaml:"approved_fqdns"`
}

type neutralRelease struct {
	Repo   string `yaml:"repo"`
	Tag    string `yaml:"tag"`
	Digest string `yaml:"digest"`
}

type neutralAgent struct {
	Image string `yaml:"image"`
}

// readNeutral reads the common policy, and what a scenario adds to it.
func readNeutral(t *testing.T, file string, more []byte, inventories ...string) neutral {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var n, add neutral
	if err := yaml.Unmarshal(data, &n); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(more, &add); err != nil { // JSON is YAML
		t.Fatal(err)
	}
	for _, path := range inventories {
		inv, err := source.ReadInventory(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range inv.Events() {
			n.hosts = append(n.hosts, e.Place.Host)
		}
	}
	slices.Sort(n.hosts)
	n.hosts = slices.Compact(n.hosts)
	n.Releases = append(n.Releases, add.Releases...)
	n.Agents = append(n.Agents, add.Agents...)
	n.Allowed = append(n.Allowed, add.Allowed...)
	return n
}

// translate writes the neutral policy as one of ours.
func (n neutral) translate(t *testing.T, v *policy.Vocabulary) *policy.Policy {
	t.Helper()
	scopes := map[string]map[string]any{}
	for name, s := range n.Scopes {
		scopes[name] = n.scope(name, s)
	}
	for i, a := range n.Allowed {
		n.allow(scopes, i, a.Match, a.Repo, a.Digest)
	}
	var releases, agents []string
	for _, r := range n.Releases {
		releases = append(releases, r.Repo+":"+r.Tag+"@"+r.Digest)
	}
	for _, a := range n.Agents {
		agents = append(agents, a.Image)
	}
	doc := map[string]any{
		"version": 1, "learning": "3d", "default_scope": n.DefaultScope,
		// Documentation networks stand for the Internet here.
		"addresses": map[string]any{"public": []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"}},
		"settings": map[string]any{
			"approved_destinations": slices.Concat(n.Egress.Approved, n.Egress.Names["all"], n.Egress.Names["azure"]), "blocked_destinations": orEmpty(n.Egress.Blocklist),
			"mining_ports": n.MiningPorts, "mining_domains": n.MiningDomains, "suspicious_binaries": n.Suspicious,
			"releases": releases, "approved_agents": slices.Concat(agents, n.DebugImages), "automation+": slices.Concat(n.Automation.Kubernetes, roles(n.Automation.AWS, ""), n.VMs.Azure.Platform),
			"pushers":   orEmpty(n.Builders.Pushers),
			"operators": orEmpty(n.Operators.Groups), "api_clients": orEmpty(n.API.Networks),
		},
		"scopes": scopes,
	}
	maps.Copy(doc["settings"].(map[string]any), n.machines())
	text, err := yaml.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Read(strings.NewReader(string(text)), "policy-P0", v)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// machines are the settings about virtual machines.
func (n neutral) machines() map[string]any {
	images := []string{}
	add := func(kind string, values []string) {
		for _, v := range values {
			images = append(images, kind+":"+v)
		}
	}
	add("owner", n.VMs.AWS.Owners)
	add("product", n.VMs.AWS.Products)
	add("image", n.VMs.AWS.Images)
	add("project", n.VMs.GCP.Projects)
	add("publisher", n.VMs.Azure.Publishers)
	add("gallery", n.VMs.Azure.Galleries)
	return map[string]any{"vm_images": images, "image_factories": roles(n.VMs.AWS.Factories, n.VMs.AWS.Account), "image_recipients": []string{"organization:" + n.VMs.AWS.Organization}}
}

// roles are the ARNs of roles by name, in an account or, with "", in any.
func roles(names []string, account string) []string {
	out := []string{}
	for _, name := range names {
		out = append(out, "arn:aws:iam::"+cmp.Or(account, "*")+":role/"+name)
	}
	return out
}

func orEmpty(list []string) []string { return append([]string{}, list...) }

func (n neutral) scope(name string, s neutralScope) map[string]any {
	match := map[string]any{}
	put := func(key string, values []string) {
		if len(values) > 0 {
			match[key] = values
		}
	}
	put("namespaces", n.without(name, s.Match.Namespaces))
	put("hosts", n.exactly(slices.Concat(s.Match.Hosts, s.Match.DockerHosts)))
	put("nodes", s.Match.Nodes)
	out := map[string]any{"match": match}
	add := func(key string, values []string) {
		if len(values) == 0 {
			return
		}
		if s.Inherits != "" {
			key += "+"
		}
		out[key] = values
	}
	if s.Inherits != "" {
		out["inherits"] = s.Inherits
	}
	add("registries", s.Registries)
	add("approved_images", s.Images)
	// An image that is approved by digest may come from anywhere.
	if len(s.Images) > 0 {
		out["registries+"] = append(orEmpty(s.Registries), s.Images...)
	}
	add("creators", s.Creators)
	key := "approved_destinations+"
	names := n.Egress.Names[strings.TrimSuffix(name, "-*")]
	if names = slices.Concat(names, n.Egress.Names[s.Inherits]); name == "prod" || len(names) > 0 {
		// Namespaces that share a scope share what they may contact.
		for _, ns := range s.Match.Namespaces {
			if ns != name {
				names = slices.Concat(names, n.Egress.Names[ns])
			}
		}
		out[key] = orEmpty(names)
	}
	if s.Mutable != nil {
		out["mutable_tags"] = *s.Mutable
	}
	if s.Socket {
		out["allowed_host_paths"] = []string{"/var/run/docker.sock", "/run/docker.sock"}
	}
	if s.Build != nil {
		out["builds_allowed"], out["programs_built"] = *s.Build, *s.Build
	}
	if s.Multiplier != nil {
		out["severity_multiplier"] = *s.Multiplier
	}
	return out
}

// exactly names the hosts that patterns fit, of those in the recording: two
// scopes whose patterns can fit one name are a fault of ours.
func (n neutral) exactly(patterns []string) []string {
	var out []string
	for _, h := range n.hosts {
		if slices.ContainsFunc(patterns, func(p string) bool { return policy.Glob(p, h) }) {
			out = append(out, h)
		}
	}
	return out
}

// without leaves out of a scope's namespaces those that another scope claims by
// the same name: there the neutral policy lets the heir win.
func (n neutral) without(name string, namespaces []string) []string {
	return slices.DeleteFunc(orEmpty(namespaces), func(ns string) bool {
		for other, s := range n.Scopes {
			if other != name && s.Inherits == name && slices.Contains(s.Match.Namespaces, ns) {
				return true
			}
		}
		return false
	})
}

// allow adds a scope for one more image.
func (n neutral) allow(scopes map[string]map[string]any, i int, m neutralMatch, repo, digest string) {
	image := repo
	if digest != "" {
		image += "@" + digest
	}
	match := map[string]any{}
	parent := n.DefaultScope
	for name, s := range n.Scopes {
		if len(m.Namespaces) > 0 && slices.Contains(s.Match.Namespaces, m.Namespaces[0]) && s.Inherits == "" {
			parent = name
		}
	}
	if len(m.Namespaces) > 0 {
		// Two scopes may not claim one namespace: the image is allowed in the
		// scope that has it.
		list, _ := scopes[parent]["registries"].([]string)
		scopes[parent]["registries"] = append(orEmpty(list), image)
		return
	}
	if len(m.Hosts) > 0 {
		// Nor may they claim one host.
		for _, name := range slices.Sorted(maps.Keys(scopes)) {
			s := scopes[name]
			claims, _ := s["match"].(map[string]any)
			if hosts, _ := claims["hosts"].([]string); !slices.Contains(hosts, m.Hosts[0]) {
				continue
			}
			key := "registries+"
			if _, whole := s["registries"]; whole {
				key = "registries"
			}
			list, _ := s[key].([]string)
			s[key] = append(orEmpty(list), image)
			if approved, has := s["approved_images+"].([]string); has && digest != "" {
				s["approved_images+"] = append(orEmpty(approved), image)
			}
			return
		}
		match["hosts"] = m.Hosts
	}
	out := map[string]any{"match": match, "inherits": parent, "registries+": []string{image}}
	if digest != "" {
		out["approved_images+"] = []string{image}
	}
	scopes[fmt.Sprint("allowed-", i)] = out
}
