package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"tidewaiter/sensor/kubernetes"
)

// KubernetesSettings say which cluster is watched through its API, and what of
// it. docs/formats/kubernetes.md describes them.
type KubernetesSettings struct {
	// Enabled is whether it is; if that is not said, it is in a pod that has a
	// service account.
	Enabled *bool `yaml:"enabled"`
	// Kubeconfig is a file, "" for the service account; Context one of its
	// contexts, the current one if empty.
	Kubeconfig string `yaml:"kubeconfig"`
	Context    string `yaml:"context"`
	// Cluster is what it is called, the host's if empty.
	Cluster string `yaml:"cluster"`
	// Node, if not "", has only what is on a node watched: its name, or ${NAME}
	// for an environment variable that holds it.
	Node string `yaml:"node"`
	// Namespaces are those that are watched, all if empty.
	Namespaces []string `yaml:"namespaces"`
}

var (
	environment = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)
	// dnsName is what the API lets nodes and namespaces be called (RFC 1123).
	dnsName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
)

var errNoNode = errors.New("no node is called so; name one, or an environment variable as ${NODE_NAME}")

// on reports whether a cluster is watched.
func (k *KubernetesSettings) on(s SensorSettings) bool {
	if k.Enabled != nil {
		return *k.Enabled
	}
	return (s.Defaults == nil || *s.Defaults) && kubernetes.InCluster()
}

// asked is on as a switch of its own: it does not follow the defaults alone.
func (k *KubernetesSettings) asked(s SensorSettings) Switch {
	on := k.on(s)
	return Switch{&on}
}

// fill completes what is relative to the rest of the settings.
func (k *KubernetesSettings) fill(s *Settings) {
	if k.Cluster == "" {
		k.Cluster = s.Cluster
	}
	if k.Kubeconfig != "" && s.File != "" && !filepath.IsAbs(k.Kubeconfig) {
		k.Kubeconfig = filepath.Join(filepath.Dir(s.File), k.Kubeconfig)
	}
}

func (k *KubernetesSettings) node() string {
	if m := environment.FindStringSubmatch(k.Node); m != nil {
		return os.Getenv(m[1])
	}
	return k.Node
}

func (k *KubernetesSettings) options() kubernetes.Options {
	return kubernetes.Options{Kubeconfig: k.Kubeconfig, Context: k.Context, Cluster: k.Cluster, Node: k.node(), Namespaces: k.Namespaces}
}

// checkKubernetes finds what is wrong with a cluster's settings.
func (s *Settings) checkKubernetes(fault func(err error, path ...any)) {
	k := &s.Sensors.Kubernetes
	if !k.on(s.Sensors) {
		return
	}
	if k.Node != "" && !dnsName.MatchString(k.node()) {
		fault(fmt.Errorf("sensors.kubernetes.node: %q: %w", k.Node, errNoNode), "sensors", "kubernetes", "node")
	}
	if k.Enabled != nil && k.Cluster == "" && k.Node == "" {
		fault(errors.New("sensors.kubernetes.cluster: the cluster needs a name, here or as the host's cluster"), "sensors", "kubernetes", "cluster")
	}
	if k.Context != "" && k.Kubeconfig == "" {
		fault(errors.New("sensors.kubernetes.context: a context is one of a kubeconfig; name that"), "sensors", "kubernetes", "context")
	}
	for i, n := range k.Namespaces {
		if !dnsName.MatchString(n) {
			fault(fmt.Errorf("sensors.kubernetes.namespaces[%d]: no namespace is called %q", i, n), "sensors", "kubernetes", "namespaces", i)
		}
	}
}
