// Package kubernetes watches a cluster's pods, its Events about pods, and its
// nodes through the Kubernetes API. It only lists and watches, never asks for
// secrets or configmaps, and takes out of what it gets the values of
// environment variables before anything is recorded.
//
// It tells what the API server's audit log tells, where that is somebody
// else's, except who did it: who asked for a pod, and who reached into one.
//
// In: the API of a cluster. Out: pods, Events and nodes as kubectl prints them.
package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"tidewaiter/event"
	"tidewaiter/sensor"
)

// Options say which cluster is watched, and what of it.
type Options struct {
	// Kubeconfig is a file that says where the API is and how to be let in; ""
	// for the service account that a pod has. Context is one of the file's, its
	// current one if empty.
	Kubeconfig, Context string
	// Cluster is what the cluster is called, as for all else that is from it.
	Cluster string
	// Node, if not "", has only the pods of a node watched, and the node itself,
	// and no Events: the API cannot tell whose node those are about, and all
	// nodes asking for all would be a burden to it.
	Node string
	// Namespaces, if any, are those whose pods and Events are watched. Nodes are
	// in none, so then they are not.
	Namespaces []string
	// Patience is how long the API may fail before that counts as an
	// interruption; 0 is a minute.
	Patience time.Duration
}

// Sensor watches one cluster.
type Sensor struct {
	opt Options
	// pause is the first wait after a failure, doubled with each.
	pause time.Duration
}

// New makes a sensor. It does not connect yet.
func New(o Options) *Sensor {
	o.Patience = cmp.Or(o.Patience, time.Minute)
	return &Sensor{opt: o, pause: 500 * time.Millisecond}
}

// Name implements sensor.Sensor.
func (*Sensor) Name() string { return "kubernetes" }

// InCluster reports whether this is a pod that may have rights in its cluster.
func InCluster() bool {
	_, err := os.Stat("/var/run/secrets/kubernetes.io/serviceaccount/token")
	return err == nil && os.Getenv("KUBERNETES_SERVICE_HOST") != ""
}

// kind is something that is watched.
type kind struct {
	resource  string
	namespace string
	selector  fields.Selector
	format    string
	// record is what is kept of an object, nil if it is not to be recorded.
	record func(map[string]any) map[string]any
	// repeats says that most versions differ in nothing that is kept.
	repeats bool
}

// kinds are what options have watched. Events are asked for in core/v1 only:
// the API keeps them once, and gives them in both of its groups.
func (o *Options) kinds() []kind {
	everything := fields.Everything()
	pods := kind{resource: "pods", format: "k8s-pods", selector: everything, record: pod}
	events := kind{resource: "events", format: "k8s-events", selector: fields.OneTermEqualSelector("involvedObject.kind", "Pod"), record: podEvent}
	nodes := kind{resource: "nodes", format: "k8s-nodes", selector: everything, record: node, repeats: true}
	if o.Node != "" {
		pods.selector = fields.OneTermEqualSelector("spec.nodeName", o.Node)
		nodes.selector = fields.OneTermEqualSelector("metadata.name", o.Node)
	}
	list := []kind{pods}
	if o.Node == "" {
		list = append(list, events)
	}
	if len(o.Namespaces) == 0 {
		return append(list, nodes)
	}
	var all []kind
	for _, k := range list {
		for _, k.namespace = range slices.Compact(slices.Sorted(slices.Values(o.Namespaces))) {
			all = append(all, k)
		}
	}
	return all
}

// Watch implements sensor.Sensor. Each kind is listed, and then watched from
// there on, so that nothing falls between the two.
func (s *Sensor) Watch(ctx context.Context, out sensor.Recorder) error {
	if s.opt.Cluster == "" && s.opt.Node == "" {
		return &sensor.Lack{What: "the cluster has no name", Mend: "set cluster: in the configuration"}
	}
	config, err := s.config()
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return &sensor.Lack{What: "the cluster's API cannot be reached with these credentials", Mend: "mend the kubeconfig", Err: err}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	kinds := s.opt.kinds()
	failed := make(chan error, len(kinds))
	var running, listed sync.WaitGroup
	defer running.Wait()
	for _, k := range kinds {
		listed.Add(1)
		f := &follower{
			kind: k, out: out, patience: s.opt.Patience, pause: s.pause, listed: sync.OnceFunc(listed.Done), last: map[string]string{},
			api:  client.Resource(schema.GroupVersionResource{Version: "v1", Resource: k.resource}).Namespace(k.namespace),
			lane: sensor.Lane{Name: k.format, Format: k.format, Place: event.Place{Cluster: s.opt.Cluster}},
		}
		running.Go(func() {
			defer f.listed() // so that nobody waits for one that failed
			failed <- f.follow(ctx)
		})
	}
	all := make(chan struct{})
	running.Go(func() { listed.Wait(); close(all) })
	for {
		select {
		case err := <-failed:
			cancel()
			return s.explained(err)
		case <-all:
			all = nil
			if len(failed) == 0 {
				out.Ready()
			}
		}
	}
}

// config says where the API is and how to be let in.
func (s *Sensor) config() (*rest.Config, error) {
	var config *rest.Config
	var err error
	if s.opt.Kubeconfig == "" {
		if config, err = rest.InClusterConfig(); err != nil {
			return nil, &sensor.Lack{What: "no kubeconfig, and this is no pod with a service account", Mend: "name a kubeconfig, or run in the cluster", Err: err}
		}
	} else {
		rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: s.opt.Kubeconfig}
		config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: s.opt.Context}).ClientConfig()
		if err != nil {
			return nil, &sensor.Lack{What: "the kubeconfig " + s.opt.Kubeconfig + " cannot be used", Mend: "mend it, or name another", Err: err}
		}
	}
	config.UserAgent = "tidewaiter"
	config.WarningHandler = rest.NoWarnings{}
	return config, nil
}

// explained makes of an answer of the API what is lacking.
func (s *Sensor) explained(err error) error {
	var a *asked
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &a):
	case apierrors.IsForbidden(err):
		return &sensor.Lack{What: "no right to " + a.what(), Mend: "apply deploy/kubernetes/rbac.yaml", Err: a.err}
	case apierrors.IsUnauthorized(err):
		return &sensor.Lack{What: "the cluster's API does not accept these credentials", Mend: "renew what the kubeconfig or the service account has", Err: a.err}
	}
	return fmt.Errorf("watch the cluster: %w", err)
}

// asked is a question that failed.
type asked struct {
	verb, resource, namespace string
	err                       error
}

// Error says what failed.
func (a *asked) Error() string { return a.what() + ": " + a.err.Error() }

// Unwrap gives what the API said.
func (a *asked) Unwrap() error { return a.err }

func (a *asked) what() string {
	where := ""
	if a.namespace != "" {
		where = " in namespace " + a.namespace
	}
	return a.verb + " " + a.resource + where
}
