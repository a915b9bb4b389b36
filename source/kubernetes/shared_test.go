package kubernetes

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

// sharedFiles are the samples of one format below the shared folder.
func sharedFiles(t *testing.T, is func(path, name string) bool) []string {
	var files []string
	err := filepath.WalkDir(sourcetest.Shared(t), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && is(filepath.ToSlash(path), entry.Name()) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// readShared decodes one sample. All of them are whole, so that a record that
// cannot be read is a mistake of the decoder's.
func readShared(t *testing.T, path, want string) []event.Event {
	in, events := sourcetest.ReadFile(t, path, formats()...)
	for _, tally := range in.Tallies() {
		if tally.Format.Name != want {
			t.Errorf("%s: read as %s, want %s", path, tally.Format.Name, want)
		}
		t.Logf("%s: %d records, %d events, %d skipped, %d unreadable", path, tally.Records, tally.Events, tally.Skipped, tally.Unreadable)
		for _, f := range tally.Faults {
			t.Errorf("%v", f)
		}
	}
	return events
}

func short(path string) string {
	_, rest, _ := strings.Cut(filepath.ToSlash(path), "shared/")
	return rest
}

// TestSharedAudit reads every recorded audit log beside the repository, if
// there are any, and checks what must be in them.
func TestSharedAudit(t *testing.T) {
	files := sharedFiles(t, func(path, name string) bool {
		if strings.Contains(path, "/data/k8s_audit/") {
			return strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".log")
		}
		return name == "k8s-audit.log" || strings.Contains(path, "captures/k8s/audit")
	})
	kinds := map[event.Kind]int{}
	byFile := map[string][]event.Event{}
	for _, path := range files {
		events := readShared(t, path, "k8s-audit")
		byFile[short(path)] = events
		for _, e := range events {
			kinds[e.Body.Kind()]++
			if _, isHost := e.Body.(*event.HostDescription); e.Time.IsZero() != isHost || (e.Place.Host != "") != isHost {
				t.Errorf("%s:%d: time %v, place %v", path, e.Origin.Line(), e.Time, e.Place)
			}
		}
		if filepath.Base(path) == "k8s-audit.log" {
			checkLines(t, path, events)
		}
	}
	t.Logf("events by kind: %v", kinds)
	for _, kind := range []event.Kind{event.KindPod, event.KindWorkload, event.KindPodStatus, event.KindPodAccess, event.KindGrant} {
		if kinds[kind] == 0 {
			t.Errorf("no %s event in any sample", kind)
		}
	}
	checkAuditSamples(t, byFile)
}

// checkLines compares a scenario's events with its records, read another way.
func checkLines(t *testing.T, path string, events []event.Event) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	byLine := map[int]event.Event{}
	for _, e := range events {
		byLine[e.Origin.Line()] = e
	}
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		var rec auditLine
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatal(err)
		}
		e := byLine[i+1]
		switch rec.Verb + " " + rec.ObjectRef.Resource + "/" + rec.ObjectRef.Subresource {
		case "create pods/":
			checkCreate(t, path, e, rec)
		case "patch pods/status":
			checkStatus(t, path, e, rec)
		case "create pods/exec", "get pods/exec", "create pods/binding", "delete pods/", "patch pods/ephemeralcontainers", "patch deployments/":
			if e.Body == nil {
				t.Errorf("%s:%d: no event", path, i+1)
			}
		}
	}
}

// auditLine is what the checks need of a record.
type auditLine struct {
	Verb                     string
	User                     struct{ Username string }
	ObjectRef                struct{ Resource, Subresource, Name, Namespace string }
	RequestReceivedTimestamp string
	ResponseObject           struct {
		Metadata struct {
			Name, UID       string
			OwnerReferences []struct{ Kind, Name, UID string }
		}
		Spec struct {
			Containers, InitContainers []struct{ Name, Image string }
		}
		Status json.RawMessage // of a pod, or a word
	}
}

// statusLine is what the checks need of a pod's status.
type statusLine struct {
	PodIP, HostIP     string
	ContainerStatuses []struct{ Name, ContainerID, ImageID string }
}

func checkCreate(t *testing.T, path string, e event.Event, rec auditLine) {
	p, ok := e.Body.(*event.Pod)
	if !ok || p.Spec == nil {
		t.Errorf("%s:%d: no pod with a specification", path, e.Origin.Line())
		return
	}
	want := slices.Concat(rec.ResponseObject.Spec.InitContainers, rec.ResponseObject.Spec.Containers)
	good := p.Verb == event.VerbCreate && p.Object.UID == rec.ResponseObject.Metadata.UID && p.Object.Name == rec.ResponseObject.Metadata.Name &&
		p.By.Name == rec.User.Username && p.Code == 201 && len(p.Spec.Containers) == len(want)
	for i, c := range p.Spec.Containers {
		good = good && i < len(want) && c.Image.Raw() == want[i].Image && c.Name == want[i].Name && c.Image.Err() == nil
	}
	for _, o := range rec.ResponseObject.Metadata.OwnerReferences {
		good = good && p.Owner.UID == o.UID && p.Owner.Kind == o.Kind && p.Owner.Name == o.Name
	}
	if !good {
		t.Errorf("%s:%d: %+v, want %+v", path, e.Origin.Line(), p, rec)
	}
}

func checkStatus(t *testing.T, path string, e event.Event, rec auditLine) {
	p, ok := e.Body.(*event.PodStatus)
	if !ok {
		t.Errorf("%s:%d: no status", path, e.Origin.Line())
		return
	}
	var want statusLine
	if err := json.Unmarshal(rec.ResponseObject.Status, &want); err != nil {
		t.Fatal(err)
	}
	good := len(p.Addrs) == 1 && p.Addrs[0].String() == want.PodIP && len(p.HostAddrs) == 1 && p.HostAddrs[0].String() == want.HostIP &&
		p.Object.UID == rec.ResponseObject.Metadata.UID && p.Node != "" && p.Phase == "Running" && !p.StartedAt.IsZero()
	mains := 0
	for _, c := range p.Containers {
		good = good && len(c.ID) == 64 && !c.ImageID.IsZero()
		if c.Kind != event.MainContainer {
			continue
		}
		w := want.ContainerStatuses[mains]
		good = good && c.Name == w.Name && strings.HasSuffix(w.ContainerID, c.ID) && strings.HasSuffix(w.ImageID, c.ImageID.String())
		mains++
	}
	if !good || mains != len(want.ContainerStatuses) {
		t.Errorf("%s:%d: %+v, want %+v", path, e.Origin.Line(), p, want)
	}
}

// checkAuditSamples looks for what the samples' descriptions say is in them.
func checkAuditSamples(t *testing.T, files map[string][]event.Event) {
	for name, events := range files {
		if len(events) == 0 && strings.HasPrefix(name, "captures") {
			t.Errorf("%s: no events", name)
		}
	}
	falco := "data/k8s_audit/falcosecurity__falco/test/trace_files/"
	sourcetest.Require(t, files[falco+"k8s_audit/create_nginx_pod_sensitive_mount.json"], func(p *event.Pod) bool {
		m := p.Spec.Containers[0].Risk.Mounts
		return p.Prefix != "" && len(m) == 1 && m[0] == event.Mount{Source: "/etc", Destination: "/host/etc"}
	})
	sourcetest.Require(t, files[falco+"k8s_audit/exec_pod.json"], func(a *event.PodAccess) bool {
		return a.TTY && a.Stdin && slices.Equal(a.Command, []string{"bash"}) && a.Container == "nginx1" && a.By.Clients[0].String() == "192.168.99.1"
	})
	sourcetest.Require(t, files[falco+"k8s_audit/attach_cluster_admin_role.json"], func(g *event.Grant) bool {
		return g.Role == "ClusterRole/cluster-admin" && slices.Equal(g.To, []string{"User/minikube"})
	})
	sourcetest.Require(t, files[falco+"psp/privileged.json"], func(p *event.Pod) bool { return p.Spec.Containers[0].Risk.Privileged })
	sourcetest.Require(t, files[falco+"psp/host_pid.json"], func(p *event.Pod) bool { return p.Spec.Containers[0].Risk.PIDMode == "host" })
	sourcetest.Require(t, files[falco+"psp/run_as_user_1000_sec_ctx_0_container.json"], func(p *event.Pod) bool {
		return p.Spec.Containers[0].Risk.User == "0"
	})
	// Both back ends of one API server tell the same.
	log, webhook := files["captures/k8s/audit.log"], files["captures/k8s/audit-webhook.jsonl"]
	ids := map[event.ID]bool{}
	for _, e := range log {
		ids[e.ID] = true
	}
	for _, e := range webhook {
		if !ids[e.ID] {
			t.Errorf("webhook, line %d: not in the log", e.Origin.Line())
		}
	}
	sourcetest.Require(t, log, func(p *event.Pod) bool {
		return p.Verb == event.VerbUpdate && p.Spec != nil && len(p.Spec.Containers) == 1 &&
			p.Spec.Containers[0].Kind == event.EphemeralContainer && p.Spec.Containers[0].Name == "dbg"
	})
	sourcetest.Require(t, log, func(p *event.Pod) bool {
		return p.Spec != nil && len(p.Spec.Containers) == 1 && len(p.Spec.Containers[0].Probes) == 1 && p.Spec.Containers[0].Probes[0][0] == "wget"
	})
	accesses := map[event.ID]bool{}
	for _, e := range log {
		if a, ok := e.Body.(*event.PodAccess); ok {
			accesses[e.ID] = true
			if !slices.Equal(a.Command, []string{"/bin/id"}) || a.Code != 101 {
				t.Errorf("access %+v", a)
			}
		}
	}
	if len(accesses) != 1 {
		t.Errorf("%d accesses, want one: probes are none, and both stages are one request", len(accesses))
	}
}

func formats() []*source.Format { return []*source.Format{Audit(), Events(), Kubelet(), Pods()} }

// TestSharedEvents reads every recorded Event beside the repository, if there
// are any.
func TestSharedEvents(t *testing.T) {
	files := sharedFiles(t, func(path, name string) bool {
		if strings.Contains(path, "/data/k8s_events/") {
			return strings.HasSuffix(name, ".json")
		}
		return name == "k8s-events.log" || strings.Contains(path, "captures/k8s/events")
	})
	byFile := map[string][]event.Event{}
	for _, path := range files {
		events := readShared(t, path, "k8s-events")
		byFile[short(path)] = events
		for _, e := range events {
			b := e.Body.(*event.KubeEvent)
			named := b.Reason == "Pulling" || b.Reason == "Pulled" || strings.HasPrefix(b.Message, "Back-off pulling")
			if e.Time.IsZero() || e.Place.Host != "" || b.Object.UID == "" || b.Count < 1 || named != (b.Image.Err() == nil && !b.Image.IsZero()) && b.Reason != "Failed" {
				t.Errorf("%s:%d: %+v", path, e.Origin.Line(), b)
			}
			if b.Node == "" && b.Reason != "FailedScheduling" {
				t.Errorf("%s:%d: no node: %+v", path, e.Origin.Line(), b)
			}
		}
	}
	sourcetest.Require(t, byFile["scenarios/A01/k8s-events.log"], func(b *event.KubeEvent) bool {
		return b.Reason == "Scheduled" && b.Node == "node-c" && b.Last.Res == event.Microsecond
	})
	sourcetest.Require(t, byFile["scenarios/B15/k8s-events.log"], func(b *event.KubeEvent) bool {
		return b.Present && b.Container == "app" && b.Node == "node-a" && b.Image.Tag() == "1.5.0"
	})
	sourcetest.Require(t, byFile["captures/k8s/events.json"], func(b *event.KubeEvent) bool {
		return b.ContainerKind == event.EphemeralContainer && b.Reason == "Started"
	})
	sourcetest.Require(t, byFile["data/k8s_events/replicatedhq__troubleshoot/pkg/analyze/files/events/message-image-pull-fail.json"],
		func(b *event.KubeEvent) bool { return b.Reason == "Failed" && !b.Image.IsZero() && b.Count > 1 })
}

// TestSharedKubelet reads every recorded kubelet log beside the repository, if
// there are any. Those were cut from the journal's short form, which has no
// year anywhere, so that no line can be placed in time.
func TestSharedKubelet(t *testing.T) {
	for _, path := range sharedFiles(t, func(path, name string) bool {
		return strings.Contains(path, "/data/kubelet/") && strings.HasSuffix(name, ".log")
	}) {
		in, events := sourcetest.ReadFile(t, path, formats()...)
		tally := in.Tallies()[0]
		t.Logf("%s: %d records, %d events, %d skipped, %d unreadable", path, tally.Records, tally.Events, tally.Skipped, tally.Unreadable)
		if tally.Format.Name != "kubelet-log" || len(events) > 0 || tally.Unreadable != tally.Records {
			t.Errorf("%s: %+v", path, tally)
		}
		for _, f := range tally.Faults {
			if !errors.Is(f, errNoYear) {
				t.Error(f)
			}
		}
		// With the header that journalctl prints before a log, every line is read.
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		header := "-- Logs begin at Mon 2025-11-10 00:00:00 UTC, end at Mon 2025-11-10 23:00:00 UTC. --\n"
		if _, tally := sourcetest.Decode(t, Kubelet(), header+string(data)); tally.Unreadable > 0 {
			t.Error(tally.Faults)
		}
	}
}
