package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// The checks here read the public samples a second time, with encoding/json and
// without a line of the decoder, and compare every record with what the decoder
// made of it.

// rawAudit is what an audit record says, as far as it is compared.
type rawAudit struct {
	Stage, Verb, RequestURI  string
	RequestReceivedTimestamp time.Time
	User                     struct {
		Username string
		Groups   []string
	}
	UserAgent string
	SourceIPs []string
	ObjectRef struct{ Resource, Subresource, Namespace, Name, APIGroup string }

	ResponseStatus                struct{ Code int }
	RequestObject, ResponseObject rawObject
}

type rawObject struct {
	Kind     string
	Metadata struct {
		Name, UID, GenerateName string
		Labels                  map[string]string
		OwnerReferences         []struct {
			Kind, Name, UID string
			Controller      bool
		}
	}
	Spec     rawSpec
	RoleRef  struct{ Kind, Name string }
	Subjects []struct{ Kind, Namespace, Name string }
	Status   json.RawMessage
}

type rawSpec struct {
	HostPID, HostIPC, HostNetwork bool
	SecurityContext               struct{ RunAsUser *int64 }
	Volumes                       []struct {
		Name     string
		HostPath struct{ Path string }
	}
	InitContainers, Containers []rawContainer
	Template                   struct{ Spec *rawSpec }
}

type rawContainer struct {
	Name, Image, ImagePullPolicy string
	Command, Args                []string
	SecurityContext              struct {
		Privileged   bool
		RunAsUser    *int64
		Capabilities struct{ Add []string }
	}
	VolumeMounts []struct {
		Name, MountPath, SubPath string
		ReadOnly                 bool
	}
}

// values reads JSON values one after another, each with its line.
func values[T any](t *testing.T, file string) (list []T, lines []int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	for {
		at := int(dec.InputOffset())
		at += len(data[at:]) - len(bytes.TrimLeft(data[at:], " \t\r\n"))
		var v T
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			return list, lines
		} else if err != nil {
			t.Fatal(err)
		}
		list, lines = append(list, v), append(lines, bytes.Count(data[:at], []byte("\n"))+1)
	}
}

// unused says why a record is counted and skipped, "" if it must be told: what
// becomes no container, reaches into none and grants no rights.
func (r rawAudit) unused() string {
	switch ref := r.ObjectRef; {
	case ref.Resource == "":
		return "asks the API for itself"
	case r.Stage != "ResponseComplete" && ref.Subresource == "":
		return "an early stage"
	case r.Verb == "list" || r.Verb == "watch":
		return "reads many objects"
	case slices.Contains([]string{"pods", "deployments", "clusterrolebindings", "rolebindings"}, ref.Resource):
		return ""
	default:
		return r.Verb + " of " + ref.Resource
	}
}

// auditCounts are the events and the skipped records of the files that hold
// anything else than the one record that is told, or, with false, is not.
var auditCounts = map[string][2]int64{"demo.log": {0, 37}, "create_configmap_sensitive_values.json": {0, 6}}

// TestAuditSamplesAgainstTheirJSON compares every record of the public audit
// samples with itself.
func TestAuditSamplesAgainstTheirJSON(t *testing.T) {
	root := sourcetest.Shared(t, "data", "k8s_audit")
	reasons := map[string]int{}
	told, all := 0, 0
	for _, file := range sharedFiles(t, func(p, name string) bool {
		return strings.HasPrefix(p, filepath.ToSlash(root)+"/") && (strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".log"))
	}) {
		in, events := sourcetest.ReadFile(t, file, formats()...)
		byLine := map[int]event.Event{}
		for _, e := range events {
			byLine[e.Origin.Line()] = e
		}
		records, lines := values[rawAudit](t, file)
		var want, skipped int64
		for i, r := range records {
			e, found := byLine[lines[i]]
			why := r.unused()
			if found != (why == "") {
				t.Errorf("%s:%d: told: %t; reason not to: %q", file, lines[i], found, why)
			}
			if why != "" {
				reasons[why]++
				skipped++
				continue
			}
			want++
			compareAudit(t, fmt.Sprintf("%s:%d", file, lines[i]), e, r)
		}
		tally := in.Tallies()[0]
		if tally.Records != want+skipped || tally.Events != want || tally.Skipped != skipped || tally.Unreadable != 0 {
			t.Errorf("%s: %+v, want %d events and %d skipped", file, tally, want, skipped)
		}
		if c, ok := auditCounts[filepath.Base(file)]; ok != (len(records) > 1) || ok && c != [2]int64{want, skipped} {
			t.Errorf("%s: %d events and %d skipped, the table has %v", file, want, skipped, c)
		}
		told, all = told+int(want), all+len(records)
	}
	t.Logf("%d of %d records told; skipped: %v", told, all, reasons)
	if told != 51 || all != 121 {
		t.Errorf("%d of %d records told, want 51 of 121", told, all)
	}
}

func compareAudit(t *testing.T, at string, e event.Event, r rawAudit) {
	t.Helper()
	same := func(what string, got, want any) {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s is %#v, the record says %#v", at, what, got, want)
		}
	}
	same("time", e.Time.At, r.RequestReceivedTimestamp.UnixNano())
	stored := r.ResponseObject
	if stored.Kind == "" || stored.Kind == "Status" {
		stored = r.RequestObject
	}
	by := func(p event.Principal, code int) {
		same("user", p.Name, r.User.Username)
		same("groups", p.Groups, r.User.Groups)
		same("agent", p.Agent, r.UserAgent)
		var clients []string
		for _, a := range p.Clients {
			clients = append(clients, a.String())
		}
		same("clients", clients, r.SourceIPs)
		same("code", code, r.ResponseStatus.Code)
	}
	switch b := e.Body.(type) {
	case *event.Pod:
		by(b.By, b.Code)
		same("verb", string(b.Verb), r.Verb)
		same("pod", [4]string{b.Object.Namespace, b.Object.Name, b.Object.UID, b.Prefix}, [4]string{r.ObjectRef.Namespace, stored.Metadata.Name, stored.Metadata.UID, stored.Metadata.GenerateName})
		same("labels", b.Labels, stored.Metadata.Labels)
		for _, o := range stored.Metadata.OwnerReferences {
			same("owner", [3]string{b.Owner.Kind, b.Owner.Name, b.Owner.UID}, [3]string{o.Kind, o.Name, o.UID})
		}
		compareSpec(t, at, b.Spec, stored.Spec)
	case *event.Workload:
		by(b.By, b.Code)
		same("workload", [3]string{b.Object.Kind, b.Object.Namespace, b.Object.Name}, [3]string{"Deployment", r.ObjectRef.Namespace, r.ObjectRef.Name})
		if stored.Spec.Template.Spec != nil {
			compareSpec(t, at, b.Template, *stored.Spec.Template.Spec)
		} else if b.Template != nil {
			t.Errorf("%s: a template from nowhere: %+v", at, b.Template)
		}
	case *event.PodAccess:
		by(b.By, b.Code)
		u, err := url.Parse(r.RequestURI)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		same("access", []any{b.Action, b.Object.Namespace, b.Object.Name, b.Container, b.Command, b.Stdin, b.TTY},
			[]any{r.ObjectRef.Subresource, r.ObjectRef.Namespace, r.ObjectRef.Name, q.Get("container"), q["command"], q.Get("stdin") == "true", q.Get("tty") == "true"})
	case *event.Grant:
		by(b.By, b.Code)
		var to []string
		for _, s := range stored.Subjects {
			to = append(to, s.Kind+"/"+path.Join(s.Namespace, s.Name))
		}
		role := ""
		if stored.RoleRef.Name != "" {
			role = stored.RoleRef.Kind + "/" + stored.RoleRef.Name
		}
		same("grant", []any{b.Role, b.To, b.Object.Name}, []any{role, to, r.ObjectRef.Name})
	case *event.PodStatus:
		comparePodStatus(t, at, b, r)
	default:
		t.Errorf("%s: unexpected %T", at, b)
	}
}

func comparePodStatus(t *testing.T, at string, b *event.PodStatus, r rawAudit) {
	t.Helper()
	var want struct {
		Phase, HostIP, PodIP string
		StartTime            time.Time
		ContainerStatuses    []struct{ Name, Image string }
	}
	if err := json.Unmarshal(r.ResponseObject.Status, &want); err != nil {
		t.Fatal(err)
	}
	good := b.Phase == want.Phase && len(b.HostAddrs) == 1 && b.HostAddrs[0].String() == want.HostIP && want.PodIP == "" && len(b.Addrs) == 0 &&
		b.StartedAt.At == want.StartTime.UnixNano() && len(b.Containers) == len(want.ContainerStatuses) && b.Object.Name == r.ObjectRef.Name
	for i, c := range want.ContainerStatuses {
		good = good && b.Containers[i].Name == c.Name && b.Containers[i].Image.Raw() == c.Image
	}
	if !good {
		t.Errorf("%s: %+v, the record says %+v", at, b, want)
	}
}

func compareSpec(t *testing.T, at string, got *event.PodSpec, want rawSpec) {
	t.Helper()
	containers := slices.Concat(want.InitContainers, want.Containers)
	if got == nil || len(got.Containers) != len(containers) {
		t.Errorf("%s: specification %+v, the record says %+v", at, got, want)
		return
	}
	host := map[bool]string{true: "host"}
	paths := map[string]string{}
	for _, v := range want.Volumes {
		if v.HostPath.Path != "" {
			paths[v.Name] = v.HostPath.Path
		}
	}
	for i, c := range containers {
		risk := event.Risk{Privileged: c.SecurityContext.Privileged, Capabilities: c.SecurityContext.Capabilities.Add,
			PIDMode: host[want.HostPID], NetworkMode: host[want.HostNetwork], IPCMode: host[want.HostIPC]}
		if user := want.SecurityContext.RunAsUser; user != nil {
			risk.User = fmt.Sprint(*user)
		}
		if user := c.SecurityContext.RunAsUser; user != nil {
			risk.User = fmt.Sprint(*user)
		}
		for _, m := range c.VolumeMounts {
			if p, ok := paths[m.Name]; ok {
				risk.Mounts = append(risk.Mounts, event.Mount{Source: path.Join(p, m.SubPath), Destination: m.MountPath, ReadOnly: m.ReadOnly})
			}
		}
		g := got.Containers[i]
		g.Risk.SecurityOpt = nil // compared by hand in the decoder's own tests
		if !reflect.DeepEqual(g.Risk, risk) {
			t.Errorf("%s: container %s may %+v, the record says %+v", at, c.Name, g.Risk, risk)
		}
		if g.Name != c.Name || g.Image.Raw() != c.Image || g.PullPolicy != c.ImagePullPolicy || !slices.Equal(g.Command, c.Command) || !slices.Equal(g.Args, c.Args) {
			t.Errorf("%s: container %+v, the record says %+v", at, g, c)
		}
	}
}

// rawEvent is what a Kubernetes Event says, as far as it is compared.
type rawEvent struct {
	InvolvedObject struct{ Kind, Namespace, Name, UID, FieldPath string }
	Reason         string
	Message        string
	FirstTimestamp *time.Time
	LastTimestamp  *time.Time
	EventTime      *time.Time
	Count          int
	Source         struct{ Host string }
	Series         struct {
		Count            int
		LastObservedTime *time.Time
	}
}

// TestEventSamplesAgainstTheirJSON compares every Event of the public samples
// with itself. Those that are not about pods are skipped.
func TestEventSamplesAgainstTheirJSON(t *testing.T) {
	root := sourcetest.Shared(t, "data", "k8s_events")
	for name, want := range map[string]struct {
		events, skipped int64
		why             string
	}{
		"replicatedhq__troubleshoot/pkg/analyze/files/events/message-image-pull-fail.json":            {13, 4, "Deployments and ReplicaSets"},
		"openshift__insights-operator/docs/insights-archive-sample/events/openshift-machine-api.json": {0, 2, "no object is named"},
		"andrewkroh__beats/metricbeat/module/kubernetes/event/_meta/data.json":                        {0, 1, "a ReplicaSet"},
	} {
		file := filepath.Join(root, name)
		in, events := sourcetest.ReadFile(t, file, formats()...)
		if tally := in.Tallies()[0]; tally.Events != want.events || tally.Skipped != want.skipped || tally.Unreadable != 0 || tally.Records != want.events+want.skipped {
			t.Errorf("%s: %+v, want %d events and %d skipped: %s", name, tally, want.events, want.skipped, want.why)
		}
		lists, _ := values[struct{ Items []rawEvent }](t, file)
		var pods []rawEvent
		for _, e := range lists[0].Items {
			if e.InvolvedObject.Kind == "Pod" {
				pods = append(pods, e)
			}
		}
		if len(pods) != len(events) {
			t.Errorf("%s: %d events, %d are about pods", name, len(events), len(pods))
			continue
		}
		for i, raw := range pods {
			compareKubeEvent(t, fmt.Sprintf("%s: item %d", name, i), events[i], raw)
		}
	}
}

func compareKubeEvent(t *testing.T, at string, e event.Event, raw rawEvent) {
	t.Helper()
	b, ok := e.Body.(*event.KubeEvent)
	if !ok {
		t.Errorf("%s: %T", at, e.Body)
		return
	}
	container := strings.TrimSuffix(strings.TrimPrefix(raw.InvolvedObject.FieldPath, "spec.containers{"), "}")
	first, last := raw.FirstTimestamp, raw.LastTimestamp
	if first == nil {
		first = raw.EventTime
	}
	if last == nil {
		last = raw.Series.LastObservedTime
	}
	if last == nil {
		last = first
	}
	node := raw.Source.Host
	if raw.Reason == "Scheduled" { // the scheduler runs elsewhere and names the node last
		words := strings.Fields(raw.Message)
		node = words[len(words)-1]
	}
	if got, want := []any{b.Object, b.Container, b.Reason, b.Message, b.Count, b.Node, e.Time.At, b.Last.At}, []any{
		event.ObjectRef{Kind: "Pod", Namespace: raw.InvolvedObject.Namespace, Name: raw.InvolvedObject.Name, UID: raw.InvolvedObject.UID},
		container, raw.Reason, raw.Message, max(raw.Count, raw.Series.Count, 1), node, first.UnixNano(), last.UnixNano()}; !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", at, got, want)
	}
}

// TestKubeletSampleAgainstItsLines reads the public kubelet log, whose journal
// form has no year, with and without the line that tells it.
func TestKubeletSampleAgainstItsLines(t *testing.T) {
	files := sharedFiles(t, func(p, name string) bool {
		return strings.Contains(p, "/data/kubelet/") && strings.HasSuffix(name, ".log")
	})
	if len(files) != 1 {
		t.Fatalf("%d files, want 1", len(files))
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	in, events := sourcetest.ReadFile(t, files[0], formats()...)
	if tally := in.Tallies()[0]; tally.Records != 50 || tally.Unreadable != 50 || len(events) != 0 || !errors.Is(tally.Faults[0], errNoYear) {
		t.Errorf("%+v, want 50 records without a year", tally)
	}
	header := "-- Logs begin at Mon 2025-11-10 00:00:00 UTC, end at Mon 2025-11-10 23:00:00 UTC. --\n"
	events, tally := sourcetest.Decode(t, Kubelet(), header+string(text))
	// Only what ties a container to a pod and what reaches into one is told,
	// and this hour of a node has neither.
	for _, mark := range []string{"SyncLoop", "PLEG", "/exec/", "/run/", "/attach/", "/portForward/"} {
		if bytes.Contains(text, []byte(mark)) {
			t.Errorf("the sample has %s, which is to be told", mark)
		}
	}
	if tally.Records != 51 || tally.Skipped != 51 || len(events) != 0 {
		t.Errorf("%+v, want 50 records and the journal's line skipped", tally)
	}
}
