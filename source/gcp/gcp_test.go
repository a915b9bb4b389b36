package gcp

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/kubernetes"
	"tidewaiter/source/sourcetest"
)

var at = event.Time{At: 1795300000_100 * event.Millisecond, Res: event.Millisecond}

// entry is a log entry of a call by a person.
func entry(method, resource, rest, payload string) string {
	return `{"insertId":"i-1","logName":"projects/p1/logs/cloudaudit.googleapis.com%2Factivity","protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","authenticationInfo":{"principalEmail":"dev@corp.example","principalSubject":"user:dev@corp.example"},` +
		`"requestMetadata":{"callerIp":"203.0.113.9","callerSuppliedUserAgent":"gcloud"},"serviceName":"compute.googleapis.com","methodName":"` + method + `","resourceName":"` + resource + `"` + payload + `},` +
		`"resource":{"type":"gce_instance","labels":{"instance_id":"145","project_id":"p1","zone":"us-central1-a"}},"timestamp":"2026-11-21T22:26:40.100Z","receiveTimestamp":"2026-11-21T22:26:41Z"` + rest + `}`
}

const (
	vm    = "projects/p1/zones/us-central1-a/instances/vm-1"
	first = `,"operation":{"id":"op-1","producer":"compute.googleapis.com","first":true}`
	final = `,"operation":{"id":"op-1","producer":"compute.googleapis.com","last":true}`
	asked = `,"request":{"name":"vm-1","machineType":"projects/p1/zones/us-central1-a/machineTypes/n1-standard-16","disks":[{"boot":true,"initializeParams":{"sourceImage":"https://www.googleapis.com/compute/v1/projects/gpu-img-77/global/images/ubuntu-gpu"}}],` +
		`"guestAccelerators":[{"acceleratorType":"projects/p1/zones/us-central1-a/acceleratorTypes/nvidia-tesla-t4","acceleratorCount":1}],"networkInterfaces":[{"network":"projects/p1/global/networks/default","networkIP":"10.128.0.5","accessConfigs":[{"natIP":"198.51.100.4"}]}],` +
		`"serviceAccounts":[{"email":"sa@p1"}],"labels":[{"key":"team","value":"x"}],"metadata":{"items":[{"key":"startup-script-url","value":"gs://b/x"},{"key":"created-by","value":"projects/1/zones/z/instanceGroupManagers/mig"}]},"scheduling":{"preemptible":true}}`
)

func dev() event.Principal {
	return event.Principal{Name: "dev@corp.example", UID: "user:dev@corp.example", Clients: []netip.Addr{netip.MustParseAddr("203.0.113.9")}, Agent: "gcloud", Cloud: &event.CloudIdentity{Type: "user"}}
}

func launch(pending bool) *event.Instance {
	a := netip.MustParseAddr
	return &event.Instance{
		Action: event.InstanceLaunch, Pending: pending, ID: "145", Name: "vm-1", Resource: vm, Image: "projects/gpu-img-77/global/images/ubuntu-gpu", Owner: "gpu-img-77", Call: "op-1",
		Group: "projects/1/zones/z/instanceGroupManagers/mig", Type: "n1-standard-16", Accelerators: []string{"nvidia-tesla-t4"}, Zone: "us-central1-a", Tags: map[string]string{"team": "x"},
		Interfaces: []event.VMInterface{{Network: "default", Addrs: []netip.Addr{a("10.128.0.5")}, Public: []netip.Addr{a("198.51.100.4")}}},
		UserData:   event.UserData{Present: true, Text: "gs://b/x", Keys: []string{"startup-script-url"}}, Profile: "sa@p1", Lifecycle: "spot", By: dev(),
	}
}

type caseOf struct {
	why, text string
	want      sourcetest.Want
}

func cases() []caseOf {
	one := func(body event.Body) sourcetest.Want { return sourcetest.Want{At: at, Body: body} }
	on := func(b event.Instance) *event.Instance {
		b.ID, b.Name, b.Resource, b.Zone, b.By = "145", "vm-1", vm, "us-central1-a", dev()
		return &b
	}
	img := func(b event.VMImage) *event.VMImage {
		b.ID, b.Name, b.Owner, b.By = "projects/p1/global/images/gold", "gold", "p1", dev()
		return &b
	}
	const gold = "projects/p1/global/images/gold"
	denied := launch(false)
	denied.Failure = "PERMISSION_DENIED"
	failedLater := launch(false)
	failedLater.Failure = "RESOURCE_EXHAUSTED"
	beta := on(event.Instance{Action: event.InstanceLaunch, Call: "op-1"})
	inserted := entry("v1.compute.instances.insert", vm, first, asked)
	return []caseOf{
		{"a launch, both ends", inserted + "\n" + entry("v1.compute.instances.insert", vm, final, `,"request":{"@type":"x"}`), one(launch(false))},
		{"its beginning", inserted, one(launch(true))},
		{"its end", entry("beta.compute.instances.insert", vm, final, ""), one(beta)},
		{"a launch that was denied", entry("v1.compute.instances.insert", vm, first, asked+`,"status":{"code":7,"message":"Required permission"}`), one(denied)},
		{"a launch that failed later", inserted + "\n" + entry("v1.compute.instances.insert", vm, final, `,"status":{"code":8}`), one(failedLater)},
		{"a new method's name", entry("google.cloud.compute.v1.Instances.Insert", vm, first, asked), one(launch(true))},
		{"a start", entry("alpha.compute.instances.start", vm, "", ""), one(on(event.Instance{Action: event.InstanceStart}))},
		{"a stop", entry("v1.compute.instances.stop", vm, "", ""), one(on(event.Instance{Action: event.InstanceStop}))},
		{"a reset", entry("v1.compute.instances.reset", vm, "", ""), one(on(event.Instance{Action: event.InstanceReboot}))},
		{"a deletion", entry("v1.compute.instances.delete", vm, "", ""), one(on(event.Instance{Action: event.InstanceTerminate}))},
		{"a startup script, redacted", entry("v1.compute.instances.setMetadata", vm, "", `,"metadata":{"instanceMetadataDelta":{"addedMetadataKeys":["startup-script","ssh-keys"]}}`),
			one(on(event.Instance{Action: event.InstanceUserData, Changed: []string{"startup-script", "ssh-keys"}, UserData: event.UserData{Present: true, Redacted: true, Keys: []string{"startup-script"}}}))},
		{"other metadata", entry("v1.compute.instances.setMetadata", vm, "", `,"metadata":{"instanceMetadataDelta":{"addedMetadataKeys":["ssh-keys"]}}`), one(on(event.Instance{Action: event.InstanceUpdate, Changed: []string{"ssh-keys"}}))},
		{"a bulk launch", entry("v1.compute.instances.bulkInsert", "projects/p1/zones/us-central1-a/instances", "", `,"request":{"count":"9","instanceProperties":{"machineType":"c2","disks":[{"initializeParams":{"sourceImage":"global/images/family/f"}}]}}`),
			one(&event.Instance{Action: event.InstanceGroup, ID: "145", Image: "projects/p1/global/images/family/f", Owner: "p1", Type: "c2", Count: 9, Zone: "us-central1-a", By: dev()})},
		{"an image", entry("v1.compute.images.insert", gold, "", `,"request":{"family":"web","sourceDisk":"projects/p1/zones/z/disks/d"}`), one(img(event.VMImage{Action: event.VMImageCreate, Family: "web", Disk: "projects/p1/zones/z/disks/d"}))},
		{"an image of a stored file", entry("v1.compute.images.insert", gold, "", `,"request":{"rawDisk":{"source":"https://storage.googleapis.com/b/x.tar.gz"}}`), one(img(event.VMImage{Action: event.VMImageImport, Disk: "https://storage.googleapis.com/b/x.tar.gz"}))},
		{"an image for everybody", entry("v1.compute.images.setIamPolicy", gold, "", `,"request":{"policy":{"bindings":[{"role":"roles/compute.imageUser","members":["allAuthenticatedUsers","user:x@y"]}]}}`),
			one(img(event.VMImage{Action: event.VMImageShare, Public: true, To: []string{"all", "user:x@y"}}))},
		{"an image for fewer", entry("v1.compute.images.setIamPolicy", gold, "", `,"serviceData":{"policyDelta":{"bindingDeltas":[{"action":"REMOVE","member":"allUsers"}]}}`), one(img(event.VMImage{Action: event.VMImageUnshare, To: []string{"all"}}))},
		{"the end of an image", entry("v1.compute.images.delete", gold, "", ""), one(img(event.VMImage{Action: event.VMImageDeregister}))},
		{"a time as a store prints it", strings.Replace(entry("v1.compute.instances.start", vm, "", ""), "2026-11-21T22:26:40.100Z", "2026-11-21 22:26:40.100", 1), one(on(event.Instance{Action: event.InstanceStart}))},
		{"another method", entry("v1.compute.instances.list", vm, "", ""), sourcetest.Want{}},
		{"another service", strings.Replace(entry("v1.compute.instances.start", vm, "", ""), "compute.googleapis.com", "sqladmin.googleapis.com", 2), sourcetest.Want{}},
		{"a text entry", `{"logName":"projects/p1/logs/x","textPayload":"hello","timestamp":"2026-11-21T22:26:40Z"}`, sourcetest.Want{}},
		{"no time", strings.Replace(entry("v1.compute.instances.start", vm, "", ""), `"timestamp"`, `"day"`, 1), sourcetest.Want{Fault: "no time"}},
		{"Kubernetes", strings.Replace(entry("io.k8s.core.v1.pods.create", vm, "", ""), "compute.googleapis.com", "k8s.io", 1), sourcetest.Want{Fault: "of Kubernetes"}},
		{"a key that stands twice", strings.Replace(entry("v1.compute.instances.start", vm, "", ""), `"timestamp"`, `"timestamp":"x","timestamp"`, 1), sourcetest.Want{Fault: "key stands twice"}},
		{"something else", `{"a":1}`, sourcetest.Want{Fault: "no log entry"}},
	}
}

func TestCalls(t *testing.T) {
	for _, c := range cases() {
		t.Run(c.why, func(t *testing.T) { sourcetest.Check(t, Audit(), c.text, c.want) })
	}
}

// The two records of an operation in two files are two events of one call, and
// none of them is taken for the other, or for both.
func TestEndsOfAnOperation(t *testing.T) {
	begin, end := entry("v1.compute.instances.insert", vm, first, asked), entry("v1.compute.instances.insert", vm, final, "")
	ids := map[event.ID]bool{}
	for _, text := range []string{begin, end, begin + "\n" + end} {
		events, _ := sourcetest.Decode(t, Audit(), text)
		if len(events) != 1 || events[0].Body.(*event.Instance).Call != "op-1" || events[0].Time != at || events[0].Place != (event.Place{Account: "p1", Region: "us-central1"}) {
			t.Fatalf("%+v", events)
		}
		ids[events[0].ID] = true
	}
	if len(ids) != 3 {
		t.Errorf("%d ids", len(ids))
	}
	if events, _ := sourcetest.Decode(t, Audit(), end+"\n"+begin); len(events) != 2 {
		t.Errorf("%d events in the wrong order", len(events))
	}
	var many strings.Builder
	for n := range 9000 {
		many.WriteString(strings.ReplaceAll(begin, "op-1", fmt.Sprint("op-", n)) + "\n")
	}
	if events, tally := sourcetest.Decode(t, Audit(), many.String()); len(events) != 9000 || tally.Unreadable != 0 {
		t.Errorf("%d of many", len(events))
	}
}

func envelopes() map[string]string {
	start := entry("v1.compute.instances.start", vm, "", "")
	var v any
	if err := json.Unmarshal([]byte(start), &v); err != nil {
		panic(err)
	}
	printed, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err)
	}
	return map[string]string{
		"bare": start, "an array": "[" + start + "]", "printed": string(printed), "a list": `{"entries":[` + start + `]}`,
		"Pub/Sub": `{"message":{"data":"` + base64.StdEncoding.EncodeToString([]byte(start)) + `","messageId":"1"},"subscription":"s"}`,
	}
}

func TestEnvelopes(t *testing.T) {
	var first *event.Event
	for name, text := range envelopes() {
		events, tally := sourcetest.Decode(t, Audit(), text)
		if len(events) != 1 || tally.Unreadable != 0 {
			t.Fatalf("%s: %d events, %v", name, len(events), tally.Faults)
		}
		if first == nil {
			first = &events[0]
		}
		if events[0].ID != first.ID || !reflect.DeepEqual(events[0].Body, first.Body) || sourcetest.Sniff(Audit(), text) < 40 {
			t.Errorf("%s: %+v", name, events[0])
		}
	}
}

func FuzzAudit(f *testing.F) {
	for _, c := range cases() {
		f.Add([]byte(c.text))
	}
	for _, text := range envelopes() {
		f.Add([]byte(text))
	}
	sourcetest.Fuzz(f, Audit(), nil, nil)
}

func BenchmarkAudit(b *testing.B) {
	other := entry("v1.compute.instances.list", vm, "", "") + "\n"
	sourcetest.Bench(b, Audit(), sourcetest.Fill("", func(n int64) string {
		id := fmt.Sprintf("op-%d", n)
		return strings.ReplaceAll(entry("v1.compute.instances.insert", vm, first, asked)+"\n"+entry("v1.compute.instances.insert", vm, final, "")+"\n", "op-1", id) + strings.Repeat(other, 8)
	}))
}

// TestShared reads Google's audit records outside the repository without loss.
func TestShared(t *testing.T) {
	files := append(sourcetest.SharedFiles(t, "data/gcp_audit", func(p string) bool { return strings.HasSuffix(p, ".ndjson") }),
		sourcetest.SharedFiles(t, "scenarios", func(p string) bool { return strings.HasSuffix(p, "gcp-audit.log") })...)
	kinds := map[event.Kind]int{}
	for _, path := range files {
		for _, e := range sourcetest.ReadShared(t, path, []*source.Format{Audit(), kubernetes.Audit()}...) {
			kinds[e.Body.Kind()]++
			if b, ok := e.Body.(*event.Instance); ok && strings.Contains(path, "scenarios") && b.Action == event.InstanceLaunch && (b.Image == "" || b.ID == "" || b.Pending) {
				t.Errorf("%s:%d: %+v", path, e.Origin.Line(), b)
			}
		}
	}
	t.Logf("%d files, %v", len(files), kinds)
}
