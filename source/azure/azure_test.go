package azure

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

var at = event.Time{At: 1795300000_100 * event.Millisecond, Res: 100 * event.Nanosecond}

const (
	vm   = "/SUBSCRIPTIONS/S-1/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.COMPUTE/VIRTUALMACHINES/GPU-0"
	low  = "/subscriptions/s-1/resourcegroups/rg/providers/microsoft.compute/virtualmachines/gpu-0"
	body = `{"location":"eastus","tags":{"team":"x"},"zones":["1"],"properties":{"vmId":"E6EB","hardwareProfile":{"vmSize":"Standard_NC24"},"networkProfile":{"networkInterfaces":[{"id":"/subscriptions/S-1/nic-0"}]},"storageProfile":{"imageReference":{"communityGalleryImageId":"/CommunityGalleries/xyz-1/Images/ubuntu-gpu/Versions/1.0.0"}}}}`
)

// record is one record of a diagnostic setting; minute tells when.
func record(op, resource, result, properties string, minute int) string {
	return fmt.Sprintf(`{"time":"2026-11-21T22:%02d:40.1000000Z","resourceId":"%s","operationName":"%s","category":"Administrative","resultType":"%s","resultSignature":"x","callerIpAddress":"203.0.113.9","correlationId":"c-1",`+
		`"identity":{"authorization":{"evidence":{"role":"Contributor","principalType":"User"}},"claims":{"appid":"app","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":"ops@corp","http://schemas.microsoft.com/identity/claims/objectidentifier":"oid"}},`+
		`"properties":{%s},"tenantId":"t-1","location":"eastus"}`, minute, resource, op, result, properties)
}

func text(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func ops() event.Principal {
	return event.Principal{Name: "ops@corp", UID: "oid", Clients: []netip.Addr{netip.MustParseAddr("203.0.113.9")}, Cloud: &event.CloudIdentity{Type: "User", Account: "t-1", App: "app", Role: "Contributor"}}
}

const write = "MICROSOFT.COMPUTE/VIRTUALMACHINES/WRITE"

func begun() string { return record(write, vm, "Start", `"eventCategory":"Administrative"`, 26) }
func taken() string {
	return record(write, vm, "Accept", `"statusCode":"Created","responseBody":`+text(body), 27)
}
func done() string { return record(write, vm, "Success", `"statusCode":"OK"`, 28) }
func failed() string {
	return record(write, vm, "Failure", `"statusCode":"Conflict","responseBody":"{\"error\":{\"code\":\"QuotaExceeded\"}}"`, 28)
}

func launch() *event.Instance {
	return &event.Instance{
		Action: event.InstanceLaunch, ID: "e6eb", Name: "gpu-0", Resource: low, Image: "/communitygalleries/xyz-1/images/ubuntu-gpu/versions/1.0.0", Owner: "xyz-1", Call: "c-1", Type: "Standard_NC24",
		Zone: "1", Tags: map[string]string{"team": "x"}, Interfaces: []event.VMInterface{{ID: "/subscriptions/s-1/nic-0"}}, By: ops(),
	}
}

func on(b event.Instance) *event.Instance {
	b.Name, b.Resource, b.Call, b.By = "gpu-0", low, "c-1", ops()
	return &b
}

type caseOf struct {
	why, text string
	want      sourcetest.Want
}

func cases() []caseOf {
	one := func(body event.Body) sourcetest.Want { return sourcetest.Want{At: at, Body: body} }
	end := func(op, resource, props string) string { return record(op, resource, "Succeeded", props, 26) }
	pending := launch()
	pending.Pending = true
	quota := launch()
	quota.Failure = "QuotaExceeded"
	market := launch()
	market.Image, market.Owner, market.Market = "canonical:ubuntu:server:24.04.1", "Canonical", event.MarketImage{Publisher: "Canonical", Offer: "ubuntu", SKU: "server", Version: "latest", Plan: "p/o/n"}
	marketBody := strings.NewReplacer(`{"communityGalleryImageId":"/CommunityGalleries/xyz-1/Images/ubuntu-gpu/Versions/1.0.0"}`, `{"publisher":"Canonical","offer":"ubuntu","sku":"server","version":"latest","exactVersion":"24.04.1"}`, `"location"`, `"plan":{"publisher":"p","product":"o","name":"n"},"location"`).Replace(body)
	own := launch()
	own.Image, own.Owner = "/subscriptions/s-2/galleries/g/images/i/versions/1", "s-2"
	const gallery = "/subscriptions/S-1/providers/Microsoft.Compute/galleries/G/images/I/versions/2"
	img := func(b event.VMImage) *event.VMImage { b.Call, b.Owner, b.By = "c-1", "s-1", ops(); return &b }
	return []caseOf{
		{"a launch", begun() + "\n" + taken() + "\n" + done(), one(launch())},
		{"a launch, the newest first", "[" + done() + ",\n" + taken() + ",\n" + begun() + "]", one(launch())},
		{"a launch that failed", begun() + taken() + failed(), one(quota)},
		{"a launch whose end is not here", begun() + "\n" + taken(), one(pending)},
		{"an image of the marketplace", begun() + strings.Replace(taken(), text(body), text(marketBody), 1) + done(), one(market)},
		{"an image of another subscription's gallery", begun() + strings.Replace(taken(), "communityGalleryImageId\\\":\\\"/CommunityGalleries/xyz-1/Images/ubuntu-gpu/Versions/1.0.0", "id\\\":\\\"/subscriptions/S-2/galleries/G/images/I/versions/1", 1) + done(), one(own)},
		{"an update", end(write, vm, `"statusCode":"OK"`), one(on(event.Instance{Action: event.InstanceUpdate}))},
		{"a start", end("Microsoft.Compute/virtualMachines/start/action", vm, ""), one(on(event.Instance{Action: event.InstanceStart}))},
		{"a stop", end("microsoft.compute/virtualmachines/deallocate/action", vm, ""), one(on(event.Instance{Action: event.InstanceStop}))},
		{"a restart", end("Microsoft.Compute/virtualMachines/restart/action", vm, ""), one(on(event.Instance{Action: event.InstanceReboot}))},
		{"a deletion", end("Microsoft.Compute/virtualMachines/delete", vm, ""), one(on(event.Instance{Action: event.InstanceTerminate}))},
		{"a deletion that was denied", record("Microsoft.Compute/virtualMachines/delete", vm, "Failed", `"statusCode":"Forbidden"`, 26), one(on(event.Instance{Action: event.InstanceTerminate, Failure: "Forbidden"}))},
		{"a command", end("Microsoft.Compute/virtualMachines/runCommand/action", vm, `"requestbody":"{\"commandId\":\"RunShellScript\",\"script\":[\"id\",\"curl x\"]}"`),
			one(on(event.Instance{Action: event.InstanceCommand, Extension: "RunShellScript", Command: []string{"id", "curl x"}}))},
		{"an extension", end("Microsoft.Compute/virtualMachines/extensions/write", vm+"/EXTENSIONS/CUSTOMSCRIPT", ""), one(on(event.Instance{Action: event.InstanceExtension, Extension: "customscript"}))},
		{"an extension that shows itself", end("Microsoft.Compute/virtualMachines/extensions/write", vm+"/extensions/x", `"responseBody":`+text(`{"properties":{"publisher":"Microsoft.Azure.Extensions","type":"CustomScript","settings":{"commandToExecute":"sh x","fileUris":["http://y"]}}}`)),
			one(on(event.Instance{Action: event.InstanceExtension, Extension: "Microsoft.Azure.Extensions/CustomScript", Command: []string{"sh x", "http://y"}}))},
		{"a scale set", end("Microsoft.Compute/virtualMachineScaleSets/write", "/subscriptions/s-1/virtualMachineScaleSets/web", `"statusCode":"Created","responseBody":`+text(`{"sku":{"name":"Standard_D2s","capacity":6},"properties":{"virtualMachineProfile":{"storageProfile":{"imageReference":{"publisher":"Canonical","offer":"u","sku":"s","version":"latest"}}}}}`)),
			one(&event.Instance{Action: event.InstanceGroup, Call: "c-1", Group: "/subscriptions/s-1/virtualmachinescalesets/web", Type: "Standard_D2s", Count: 6, Image: "canonical:u:s:latest", Owner: "Canonical", Market: event.MarketImage{Publisher: "Canonical", Offer: "u", SKU: "s", Version: "latest"}, By: ops()})},
		{"an image's version", end("Microsoft.Compute/galleries/images/versions/write", gallery, `"responseBody":`+text(`{"properties":{"provisioningState":"Creating","storageProfile":{"source":{"id":"/subscriptions/S-1/providers/Microsoft.Compute/images/Base"}}}}`)),
			one(img(event.VMImage{Action: event.VMImageCreate, ID: "/subscriptions/s-1/providers/microsoft.compute/galleries/g/images/i/versions/2", Name: "2", Family: "i", Parent: "/subscriptions/s-1/providers/microsoft.compute/images/base", State: "Creating"}))},
		{"an image", end("Microsoft.Compute/images/write", "/subscriptions/S-1/images/base", `"responseBody":`+text(`{"properties":{"sourceVirtualMachine":{"id":"`+vm+`"}}}`)),
			one(img(event.VMImage{Action: event.VMImageCreate, ID: "/subscriptions/s-1/images/base", Name: "base", Instance: low}))},
		{"a network interface", end("Microsoft.Network/networkInterfaces/write", "/subscriptions/s-1/networkInterfaces/nic", `"responseBody":`+text(`{"properties":{"macAddress":"02-AA","virtualMachine":{"id":"`+vm+`"},"ipConfigurations":[{"properties":{"privateIPAddress":"10.5.0.5","subnet":{"id":"/s/virtualNetworks/v/subnets/a"}}}]}}`)),
			one(on(event.Instance{Action: event.InstanceUpdate, Changed: []string{"networkInterfaces"}, Interfaces: []event.VMInterface{{ID: "/subscriptions/s-1/networkinterfaces/nic", MAC: "02:aa", Network: "/s/virtualnetworks/v", Subnet: "/s/virtualnetworks/v/subnets/a", Addrs: []netip.Addr{netip.MustParseAddr("10.5.0.5")}}}}))},
		{"another operation", end("Microsoft.Storage/storageAccounts/write", vm, ""), sourcetest.Want{}},
		{"another log", `{"category":"Metrics","a":1}`, sourcetest.Want{}},
		{"no time", strings.Replace(done(), `"time"`, `"day"`, 1), sourcetest.Want{Fault: "no time"}},
		{"a body that is none", record(write, vm, "Accept", `"responseBody":"{x"`, 26), sourcetest.Want{Fault: "not one JSON value"}},
		{"a key that stands twice", strings.Replace(done(), `"tenantId"`, `"time":"x","tenantId"`, 1), sourcetest.Want{Fault: "key stands twice"}},
		{"something else", `{"a":1}`, sourcetest.Want{Fault: "no record of Azure's activity log"}},
	}
}

func TestActs(t *testing.T) {
	for _, c := range cases() {
		t.Run(c.why, func(t *testing.T) { sourcetest.Check(t, Activity(), c.text, c.want) })
	}
}

// spellings are one record as the ways to get the log write it.
func spellings() map[string]string {
	const claims = `{"appid":"app","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":"ops@corp","http://schemas.microsoft.com/identity/claims/objectidentifier":"oid"}`
	const rights = `{"evidence":{"role":"Contributor","principalType":"User"},"scope":"` + low + `"}`
	const cli = `"eventTimestamp":"2026-11-21T22:26:40.1Z","resourceId":"` + vm + `","operationName":{"value":"Microsoft.Compute/virtualMachines/start/action","localizedValue":"Start"},"status":{"value":"Succeeded"},"subStatus":{"value":"OK"},` +
		`"caller":"ops@corp","httpRequest":{"clientIpAddress":"203.0.113.9"},"correlationId":"c-1","claims":` + claims + `,"authorization":` + rights + `,"tenantId":"t-1","location":"eastus"`
	native := record("MICROSOFT.COMPUTE/VIRTUALMACHINES/START/ACTION", vm, "Success", "", 26)
	return map[string]string{
		"a diagnostic setting": native, "its list": `{"records":[` + native + `]}`, "the az command": "[{" + cli + "}]", "the REST API": `{"value":[{` + cli + `}],"nextLink":"x"}`,
		"Log Analytics": `{"TimeGenerated":"2026-11-21T22:26:40.1Z","OperationNameValue":"MICROSOFT.COMPUTE/VIRTUALMACHINES/START/ACTION","ActivityStatusValue":"Success","Caller":"ops@corp","CallerIpAddress":"203.0.113.9","CorrelationId":"c-1","TenantId":"t-1","ResourceId":"` + vm + `",` +
			`"Location":"eastus","Claims":` + claims + `,"Authorization":` + rights + `,"Properties":"{\"entity\":\"x\"}"}`,
		"Event Grid":     `{"id":"1","eventType":"Microsoft.Resources.ResourceActionSuccess","eventTime":"2026-11-21T22:26:40.1Z","data":{` + strings.Replace(cli, `"eventTimestamp":"2026-11-21T22:26:40.1Z",`, "", 1) + `}}`,
		"in snake case":  strings.NewReplacer("resourceId", "resource_id", "operationName", "operation_name", "resultType", "result_type", "callerIpAddress", "caller_ip_address", "correlationId", "correlation_id", "tenantId", "tenant_id").Replace(native),
		"a shipper":      `{"message":` + text(native) + `}`,
		"Filebeat's own": `{"@timestamp":"2026-11-21T22:26:40.1Z","azure":{"correlation_id":"c-1","tenant_id":"t-1","resource":{"id":"` + vm + `"},"activitylogs":{"operation_name":"MICROSOFT.COMPUTE/VIRTUALMACHINES/START/ACTION","result_type":"Success","caller":"ops@corp","caller_ip_address":"203.0.113.9:1","location":"eastus","claims":` + claims + `,"authorization":` + rights + `}}}`,
	}
}

func TestSpellings(t *testing.T) {
	want := on(event.Instance{Action: event.InstanceStart})
	for name, s := range spellings() {
		events, tally := sourcetest.Decode(t, Activity(), s)
		if len(events) != 1 || tally.Unreadable != 0 {
			t.Errorf("%s: %d events, %v", name, len(events), tally.Faults)
			continue
		}
		if e := events[0]; e.Time.At != at.At || !reflect.DeepEqual(e.Body, want) || e.Place != (event.Place{Account: "s-1", Region: "eastus"}) {
			t.Errorf("%s: %+v %+v %+v", name, e, e.Body, e.Body.(*event.Instance).By.Cloud)
		}
		if sourcetest.Sniff(Activity(), s) < 50 {
			t.Errorf("%s: not recognised", name)
		}
	}
}

// An act whose records lie in several files is never taken for one that is
// whole: what is known does not depend on which file is read first.
func TestPartsOfAnAct(t *testing.T) {
	ids := map[event.ID]bool{}
	for _, s := range []string{begun(), taken(), done(), begun() + taken(), begun() + taken() + done()} {
		events, _ := sourcetest.Decode(t, Activity(), s)
		if len(events) != 1 {
			t.Fatalf("%d events", len(events))
		}
		ids[events[0].ID] = true
	}
	if len(ids) != 5 {
		t.Errorf("%d ids", len(ids))
	}
}

func FuzzActivity(f *testing.F) {
	for _, c := range cases() {
		f.Add([]byte(c.text))
	}
	for _, s := range spellings() {
		f.Add([]byte(s))
	}
	sourcetest.Fuzz(f, Activity(), nil, nil)
}

func BenchmarkActivity(b *testing.B) {
	other := record("Microsoft.Storage/storageAccounts/listKeys/action", vm, "Success", "", 26) + "\n"
	sourcetest.Bench(b, Activity(), sourcetest.Fill("", func(n int64) string {
		return strings.ReplaceAll(begun()+"\n"+taken()+"\n"+done()+"\n", `"c-1"`, fmt.Sprintf(`"c-%d"`, n)) + strings.Repeat(other, 7)
	}))
}

// TestShared reads Azure's records outside the repository without loss.
func TestShared(t *testing.T) {
	files := append(sourcetest.SharedFiles(t, "data/azure_activity", func(p string) bool {
		return strings.HasSuffix(p, ".ndjson") || strings.HasSuffix(p, ".json") && !strings.Contains(p, "labels") && !strings.Contains(p, "bad_") // cut off on purpose
	}), sourcetest.SharedFiles(t, "scenarios", func(p string) bool { return strings.HasSuffix(p, "azure-activity.log") })...)
	actions := map[string]int{}
	for _, path := range files {
		for _, e := range sourcetest.ReadShared(t, path, Activity()) {
			if b, ok := e.Body.(*event.Instance); ok {
				actions[string(b.Action)]++
				if b.Action == event.InstanceLaunch && (b.Image == "" || b.ID == "" || b.Pending) {
					t.Errorf("%s:%d: %+v", path, e.Origin.Line(), b)
				}
			}
		}
	}
	t.Logf("%d files, %v", len(files), actions)
}
