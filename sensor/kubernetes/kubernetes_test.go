package kubernetes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/sensor/sensortest"
	"tidewaiter/source"
	decode "tidewaiter/source/kubernetes"
	"tidewaiter/source/sourcetest"
)

func aPod(namespace, uid, node, more string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"pod-%[2]s","namespace":%[1]q,"uid":%[2]q,"creationTimestamp":"2026-11-03T10:00:00Z",`+
		`"managedFields":[{"manager":"kubectl"}],"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{hunter2}","team":"shop"}},`+
		`"spec":{"nodeName":%[3]q,"containers":[{"name":"app","image":"reg.example/web:1","env":[{"name":"TOKEN","value":"hunter2"},{"name":"REF","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}],`+
		`"livenessProbe":{"httpGet":{"path":"/","port":80,"httpHeaders":[{"name":"Authorization","value":"hunter2"}]}}}],`+
		`"volumes":[{"name":"v","csi":{"driver":"d","volumeAttributes":{"password":"hunter2"}}}],"dnsConfig":{"options":[{"name":"ndots","value":"5"}]}},"status":{"phase":"Running"%[4]s}}`, namespace, uid, node, more)
}

func aNode(name, beat string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Node","metadata":{"name":%[1]q,"uid":"n-%[1]s","creationTimestamp":"2026-11-03T09:00:00Z"},"spec":{"providerID":"aws:///z/i-1"},`+
		`"status":{"addresses":[{"type":"InternalIP","address":"10.0.1.1"}],"conditions":[{"lastHeartbeatTime":%[2]q}]}}`, name, beat)
}

func anEvent(uid, kind string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Event","metadata":{"name":"e-%[1]s","namespace":"prod","uid":%[1]q},"involvedObject":{"kind":%[2]q,"namespace":"prod","name":"pod-a","uid":"a"},`+
		`"reason":"Pulled","message":"Successfully pulled image","firstTimestamp":"2026-11-03T10:00:01Z","lastTimestamp":"2026-11-03T10:00:01Z","count":1,"source":{"component":"kubelet","host":"node-1"}}`, uid, kind)
}

// lab is a sensor that watches a cluster of the test's own.
type lab struct {
	*cluster
	t   *testing.T
	out *sensortest.Recorder
	end func() error
}

func newLab(t *testing.T) *lab {
	c := newCluster(t)
	for _, uid := range []string{"a", "b", "c", "d", "e"} {
		c.put("pods", aPod("prod", uid, "node-1", ""))
	}
	c.put("pods", aPod("other", "z", "node-2", ""))
	c.put("nodes", aNode("node-1", "1"))
	c.put("nodes", aNode("node-2", "1"))
	c.put("events", anEvent("e1", "Pod"))
	c.put("events", anEvent("e2", "Node"))
	return &lab{cluster: c, t: t, out: sensortest.New("")}
}

func (l *lab) watch(o Options) {
	l.t.Helper()
	if o.Kubeconfig == "" {
		o.Kubeconfig = l.kubeconfig(l.t)
	}
	s := New(o)
	s.pause = 5 * time.Millisecond
	ctx, cancel := context.WithCancel(l.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx, l.out) }()
	l.end = func() error { cancel(); return <-done }
	l.out.Until(l.t, "ready", func() bool { return l.out.Readies() == 1 })
}

func (l *lab) until(lane string, n int) []string {
	l.t.Helper()
	l.out.Until(l.t, fmt.Sprint(n, " of ", lane), func() bool { return len(l.out.Lines(lane)) >= n })
	if got := l.out.Lines(lane); len(got) > n {
		l.t.Errorf("%s: %d lines, want %d", lane, len(got), n)
	}
	return l.out.Lines(lane)
}

func (l *lab) stop() {
	l.t.Helper()
	if err := l.end(); err != nil {
		l.t.Error(err)
	}
}

// TestWatch: what is there, what comes, changes and goes, is recorded once, as
// decoders read it, without secrets.
func TestWatch(t *testing.T) {
	l := newLab(t)
	l.watch(Options{Cluster: "blue"})
	l.until("k8s-pods", 6)
	l.until("k8s-nodes", 2)
	l.until("k8s-events", 1)
	l.put("pods", aPod("prod", "f", "node-1", ""))
	l.put("pods", aPod("prod", "a", "node-1", `,"podIP":"10.42.0.7"`))
	l.put("nodes", aNode("node-1", "2")) // a heartbeat
	l.put("events", anEvent("e3", "Pod"))
	l.put("events", anEvent("e4", "Node"))
	l.delete("events", "e1")
	l.delete("pods", "f")
	lines := l.until("k8s-pods", 9)
	l.until("k8s-events", 2)
	l.until("k8s-nodes", 2)
	all := strings.Join(append(lines, append(l.out.Lines("k8s-events"), l.out.Lines("k8s-nodes")...)...), "\n")
	for _, gone := range []string{"hunter2", "managedFields", "last-applied", "conditions"} {
		if strings.Contains(all, gone) {
			t.Errorf("%s is there", gone)
		}
	}
	for _, kept := range []string{`{"name":"TOKEN","value":"\u003credacted\u003e"}`, `"secretKeyRef"`, `"team":"shop"`, `{"name":"ndots","value":"5"}`} {
		if !strings.Contains(lines[0], kept) {
			t.Errorf("%s is missing:\n%s", kept, lines[0])
		}
	}
	if len(l.out.Losses()) != 0 {
		t.Error(l.out.Losses())
	}
	for _, q := range l.requests() {
		if verb, path, _ := strings.Cut(q, " "); verb != "list" && verb != "watch" || !slices.Contains([]string{"/api/v1/pods?", "/api/v1/nodes?", "/api/v1/events?involvedObject.kind=Pod"}, path) {
			t.Errorf("asked for %s", q)
		}
	}
	l.stop()
	formats := []*source.Format{decode.Pods(), decode.Events(), decode.Nodes()}
	kinds := map[event.Kind]int{}
	for file, name := range l.out.Write(t, t.TempDir()) {
		f := formats[slices.IndexFunc(formats, func(f *source.Format) bool { return f.Name == name })]
		in, events := sourcetest.ReadFile(t, file, f)
		for _, e := range events {
			kinds[e.Body.Kind()]++
		}
		if n := in.Tallies()[0].Unreadable; n != 0 {
			t.Errorf("%s: %d unreadable", name, n)
		}
	}
	if kinds[event.KindPodStatus] != 9 || kinds[event.KindKubeEvent] != 2 || kinds[event.KindHostDescription] != 2 {
		t.Error(kinds)
	}
}

// TestDisconnects: a watch that is cut off goes on where it was.
func TestDisconnects(t *testing.T) {
	l := newLab(t)
	l.watch(Options{Cluster: "blue"})
	for i := range 5 {
		l.hangUp()
		l.put("pods", aPod("prod", "a", "node-1", fmt.Sprintf(`,"podIP":"10.42.0.%d"`, i)))
		l.until("k8s-pods", 7+i)
	}
	lists := 0
	for _, q := range l.requests() {
		if strings.HasPrefix(q, "list /api/v1/pods") {
			lists++
		}
	}
	if lists != 3 || len(l.out.Losses()) != 0 || l.out.Readies() != 1 {
		t.Error(lists, l.out.Losses(), l.out.Readies())
	}
	l.stop()
}

// TestForgotten: where the API has forgotten what came since, all is listed
// again, that is told as a loss, and only what is new is recorded.
func TestForgotten(t *testing.T) {
	l := newLab(t)
	l.watch(Options{Cluster: "blue"})
	l.do(func() { l.refused["watch pods"], l.cut = 500, l.cut+1 })
	l.put("pods", aPod("prod", "g", "node-1", ""))
	l.delete("pods", "b")
	l.put("pods", aPod("prod", "h", "node-1", ""))
	l.delete("pods", "h") // nobody will know
	l.forget()
	l.do(func() { delete(l.refused, "watch pods") })
	lines := l.until("k8s-pods", 7)
	if !strings.Contains(lines[6], `"uid":"g"`) {
		t.Error(lines[6])
	}
	l.out.Until(t, "the loss is told", func() bool {
		return slices.ContainsFunc(l.out.Losses(), func(s string) bool { return strings.HasPrefix(s, "-1 ") })
	})
	l.stop()
}

// TestNodeAndNamespaces: an agent asks for what is on its node only; namespaces
// are asked for one by one.
func TestNodeAndNamespaces(t *testing.T) {
	l := newLab(t)
	l.watch(Options{Node: "node-2"})
	if lines := l.until("k8s-pods", 1); !strings.Contains(lines[0], `"uid":"z"`) {
		t.Error(lines)
	}
	l.until("k8s-nodes", 1)
	l.put("pods", aPod("prod", "x", "node-1", ""))
	l.put("pods", aPod("prod", "y", "node-2", ""))
	l.until("k8s-pods", 2)
	l.stop()
	if got := len(l.out.Lines("k8s-events")); got != 0 {
		t.Error(got)
	}

	l = newLab(t)
	l.watch(Options{Cluster: "blue", Namespaces: []string{"prod", "other", "prod"}})
	l.until("k8s-pods", 6)
	l.until("k8s-events", 1)
	l.put("pods", aPod("secret", "s", "node-1", ""))
	l.put("pods", aPod("other", "t", "node-1", ""))
	l.until("k8s-pods", 7)
	l.stop()
	for _, q := range l.requests() {
		if !strings.Contains(q, "/api/v1/namespaces/") {
			t.Errorf("asked for %s", q)
		}
	}
}

func TestLacks(t *testing.T) {
	l := newLab(t)
	config := l.kubeconfig(t)
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(t.TempDir(), "stranger")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stranger, []byte(strings.Replace(string(text), "hello", "wrong", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		opt     Options
		refused string
		status  int
		what    string
	}{
		{Options{Kubeconfig: config}, "", 0, "has no name"},
		{Options{Cluster: "blue"}, "", 0, "no kubeconfig"},
		{Options{Cluster: "blue", Kubeconfig: config + "x"}, "", 0, "cannot be used"},
		{Options{Cluster: "blue", Kubeconfig: bad}, "", 0, "cannot be used"},
		{Options{Cluster: "blue", Kubeconfig: config, Context: "none"}, "", 0, "cannot be used"},
		{Options{Cluster: "blue", Kubeconfig: config, Context: "bad"}, "", 0, "cannot be used"},
		{Options{Cluster: "blue", Kubeconfig: stranger}, "", 0, "does not accept"},
		{Options{Cluster: "blue", Kubeconfig: config}, "list nodes", 403, "no right to list nodes"},
		{Options{Cluster: "blue", Kubeconfig: config}, "watch pods", 403, "no right to watch pods"},
		{Options{Cluster: "blue", Kubeconfig: config, Namespaces: []string{"prod"}}, "list events", 403, "no right to list events in namespace prod"},
		{Options{Cluster: "blue", Kubeconfig: config}, "list pods", 500, ""},
		{Options{Cluster: "blue", Kubeconfig: config, Patience: time.Nanosecond}, "watch nodes", 503, ""},
	} {
		l.do(func() { l.refused = map[string]int{c.refused: c.status} })
		s := New(c.opt)
		s.pause = time.Millisecond
		err := s.Watch(t.Context(), sensortest.New(""))
		lack, ok := sensor.AsLack(err)
		switch {
		case err == nil, ok != (c.what != ""):
			t.Errorf("%+v: %v", c, err)
		case ok && (!strings.Contains(lack.What, c.what) || lack.Mend == ""):
			t.Errorf("%+v: %+v", c, lack)
		}
	}
}

// TestInterrupted: an API that stays away is an interruption.
func TestInterrupted(t *testing.T) {
	l := newLab(t)
	l.watch(Options{Cluster: "blue", Patience: 20 * time.Millisecond})
	l.do(func() {
		l.refused = map[string]int{"watch pods": 500, "watch nodes": 500, "watch events": 500}
		l.cut++
	})
	l.out.Until(t, "given up", func() bool {
		n := len(l.requests())
		time.Sleep(100 * time.Millisecond)
		return len(l.requests()) == n
	})
	if err := l.end(); err == nil {
		t.Error("no error")
	} else if _, lacks := sensor.AsLack(err); lacks {
		t.Error(err)
	}
}
