package cloudtrail

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

var at = event.Time{At: 1795300000 * event.Second, Res: event.Second}

// record is a call by a session of a role, in a console.
func record(name, rest string) string {
	return `{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROA1:eve","arn":"arn:aws:sts::111111111111:assumed-role/ops/eve","accountId":"111111111111","accessKeyId":"ASIA1",` +
		`"sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::111111111111:role/ops"},"webIdFederationData":{"federatedProvider":"idp.example"},"attributes":{"mfaAuthenticated":"true"},"sourceIdentity":"eve@corp.example"}},` +
		`"eventTime":"2026-11-21T22:26:40Z","eventSource":"ec2.amazonaws.com","eventName":"` + name + `","awsRegion":"eu-central-1","sourceIPAddress":"203.0.113.9","userAgent":"console.ec2.amazonaws.com",` +
		`"recipientAccountId":"222222222222","eventID":"e-1","eventType":"AwsApiCall"` + rest + `}`
}

func eve() event.Principal {
	return event.Principal{
		Name: "arn:aws:sts::111111111111:assumed-role/ops/eve", UID: "AROA1:eve", Behind: "eve@corp.example",
		Clients: []netip.Addr{netip.MustParseAddr("203.0.113.9")}, Agent: "console.ec2.amazonaws.com",
		Cloud: &event.CloudIdentity{Type: "AssumedRole", Account: "111111111111", Issuer: "arn:aws:iam::111111111111:role/ops", Federation: "idp.example", Key: "ASIA1", MFA: true, Console: true},
	}
}

const (
	machine = `{"instanceId":"i-0A1","imageId":"AMI-0BAD","instanceType":"p3.2xlarge","launchTime":1795300000000,"placement":{"availabilityZone":"eu-central-1a"},"platform":"windows",` +
		`"privateIpAddress":"10.3.0.14","subnetId":"subnet-1","vpcId":"vpc-1","iamInstanceProfile":{"arn":"arn:p"},"productCodes":{"items":[{"productCode":"abc"}]},` +
		`"networkInterfaceSet":{"items":[{"networkInterfaceId":"eni-1","subnetId":"subnet-1","vpcId":"vpc-1","macAddress":"02:AA","privateIpAddress":"10.3.0.14","privateIpAddressesSet":{"items":[{"privateIpAddress":"10.3.0.14","association":{"publicIp":"198.51.100.1"}},{"privateIpAddress":"10.3.0.15"}]},"ipv6AddressesSet":{"items":[{"ipv6Address":"2001:db8::7"}]}}]},` +
		`"tagSet":{"items":[{"key":"Name","value":"worker"},{"key":"aws:autoscaling:groupName","value":"asg-1"}]}}`
	request = `"requestParameters":{"instancesSet":{"items":[{"imageId":"ami-0bad","minCount":1,"maxCount":2}]},"instanceType":"p3.2xlarge","userData":"<sensitiveDataRemoved>","launchTemplate":{"launchTemplateId":"lt-1","version":"7"}}`
	answer  = `,"responseElements":{"reservationId":"r-1","ownerId":"222222222222","instancesSet":{"items":[` + machine + `]}}`
)

func theMachine() *event.Instance {
	a := netip.MustParseAddr
	return &event.Instance{
		Action: event.InstanceLaunch, ID: "i-0a1", Name: "worker", Image: "ami-0bad", Template: "lt-1:7", Call: "r-1", Group: "asg-1", Type: "p3.2xlarge", Count: 2, Zone: "eu-central-1a",
		Tags: map[string]string{"Name": "worker", "aws:autoscaling:groupName": "asg-1"}, Market: event.MarketImage{Plan: "abc"},
		Interfaces: []event.VMInterface{{ID: "eni-1", MAC: "02:aa", Network: "vpc-1", Subnet: "subnet-1", Addrs: []netip.Addr{a("10.3.0.14"), a("10.3.0.15"), a("2001:db8::7")}, Public: []netip.Addr{a("198.51.100.1")}}},
		UserData:   event.UserData{Present: true, Redacted: true}, Profile: "arn:p", Platform: "windows", Launched: event.Time{At: at.At, Res: event.Millisecond}, By: eve(),
	}
}

func asked(name, parameters string) string {
	return record(name, `,"requestParameters":`+parameters+`,"responseElements":{"_return":true}`)
}

func instance(b event.Instance) *event.Instance { b.By = eve(); return &b }
func vmImage(b event.VMImage) *event.VMImage    { b.By = eve(); return &b }

type caseOf struct {
	why, text string
	want      sourcetest.Want
}

func cases() []caseOf {
	one := func(body event.Body) sourcetest.Want { return sourcetest.Want{At: at, Body: body} }
	failed := func(code string) *event.Instance {
		return instance(event.Instance{Action: event.InstanceLaunch, Failure: code, DryRun: strings.Contains(code, "DryRun"), Image: "ami-0bad", Template: "lt-1:7", Type: "p3.2xlarge", Count: 2, UserData: event.UserData{Present: true, Redacted: true}})
	}
	return []caseOf{
		{"a launch", record("RunInstances", ","+request+answer), one(theMachine())},
		{"a launch that was not allowed", record("RunInstances", `,"errorCode":"Client.UnauthorizedOperation",`+request+`,"responseElements":null`), one(failed("Client.UnauthorizedOperation"))},
		{"a dry run", record("RunInstances", `,"errorCode":"Client.DryRunOperation",`+request), one(failed("Client.DryRunOperation"))},
		{"more than the quota", record("RunInstances", `,"errorCode":"Client.VcpuLimitExceeded",`+request+answer), one(failed("Client.VcpuLimitExceeded"))},
		{"a launch without parameters", record("RunInstances", `,"requestParameters":null,"responseElements":null`), one(instance(event.Instance{Action: event.InstanceLaunch}))},
		{"user data that is shown", record("RunInstances", `,"requestParameters":{"userData":"IyEvYmluL3No"}`), one(instance(event.Instance{Action: event.InstanceLaunch, UserData: event.UserData{Present: true, Text: "IyEvYmluL3No"}}))},
		{"a start", asked("StartInstances", `{"instancesSet":{"items":[{"instanceId":"i-0A1"}]}}`), one(instance(event.Instance{Action: event.InstanceStart, ID: "i-0a1"}))},
		{"a stop", asked("StopInstances", `{"instancesSet":{"items":[{"instanceId":"i-1"}]},"force":true}`), one(instance(event.Instance{Action: event.InstanceStop, ID: "i-1"}))},
		{"a reboot", asked("RebootInstances", `{"instancesSet":{"items":[{"instanceId":"i-1"}]}}`), one(instance(event.Instance{Action: event.InstanceReboot, ID: "i-1"}))},
		{"a termination", asked("TerminateInstances", `{"instancesSet":{"items":[{"instanceId":"i-1"}]}}`), one(instance(event.Instance{Action: event.InstanceTerminate, ID: "i-1"}))},
		{"new user data", asked("ModifyInstanceAttribute", `{"instanceId":"i-1","userData":"<sensitiveDataRemoved>"}`),
			one(instance(event.Instance{Action: event.InstanceUserData, ID: "i-1", Changed: []string{"userData"}, UserData: event.UserData{Present: true, Redacted: true}}))},
		{"new user data, as older records say it", asked("ModifyInstanceAttribute", `{"instanceId":"i-1","attribute":"userData","value":"x"}`),
			one(instance(event.Instance{Action: event.InstanceUserData, ID: "i-1", Changed: []string{"userData", "value"}, UserData: event.UserData{Present: true, Redacted: true}}))},
		{"another attribute", asked("ModifyInstanceAttribute", `{"instanceId":"i-1","disableApiTermination":{"value":true}}`),
			one(instance(event.Instance{Action: event.InstanceUpdate, ID: "i-1", Changed: []string{"disableApiTermination"}}))},
		{"an image of a machine", record("CreateImage", `,"requestParameters":{"instanceId":"i-1","name":"gold"},"responseElements":{"imageId":"ami-1"}`),
			one(vmImage(event.VMImage{Action: event.VMImageCreate, ID: "ami-1", Name: "gold", Owner: "222222222222", Instance: "i-1"}))},
		{"an image of a snapshot", record("RegisterImage", `,"requestParameters":{"name":"x","blockDeviceMapping":{"items":[{"ebs":{"snapshotId":"snap-1"}}]}},"responseElements":{"imageId":"ami-2"}`),
			one(vmImage(event.VMImage{Action: event.VMImageRegister, ID: "ami-2", Name: "x", Owner: "222222222222", Disk: "snap-1"}))},
		{"a copy", record("CopyImage", `,"requestParameters":{"sourceImageId":"ami-9","sourceRegion":"us-east-1","name":"x"},"responseElements":{"imageId":"ami-3"}`),
			one(vmImage(event.VMImage{Action: event.VMImageCopy, ID: "ami-3", Name: "x", Owner: "222222222222", Parent: "ami-9", Region: "us-east-1"}))},
		{"an import", record("ImportImage", `,"requestParameters":{"diskContainerSet":{"items":[{"userBucket":{"s3Bucket":"b","s3Key":"k"}}]}},"responseElements":{"importTaskId":"import-1"}`),
			one(vmImage(event.VMImage{Action: event.VMImageImport, Owner: "222222222222", Disk: "s3://b/k", Call: "import-1"}))},
		{"an image for everybody", asked("ModifyImageAttribute", `{"imageId":"ami-1","launchPermission":{"add":{"items":[{"group":"all"},{"userId":"333333333333"}]}}}`),
			one(vmImage(event.VMImage{Action: event.VMImageShare, ID: "ami-1", Public: true, To: []string{"all", "account:333333333333"}}))},
		{"an image for the organisation", asked("ModifyImageAttribute", `{"imageId":"ami-1","launchPermission":{"add":{"items":[{"organizationArn":"arn:o"}]}}}`),
			one(vmImage(event.VMImage{Action: event.VMImageShare, ID: "ami-1", To: []string{"organization:arn:o"}}))},
		{"an image for fewer", asked("ModifyImageAttribute", `{"imageId":"ami-1","launchPermission":{"remove":{"items":[{"group":"all"}]}}}`),
			one(vmImage(event.VMImage{Action: event.VMImageUnshare, ID: "ami-1", To: []string{"all"}}))},
		{"an image's description", asked("ModifyImageAttribute", `{"imageId":"ami-1","description":{"value":"x"}}`), sourcetest.Want{}},
		{"the end of an image", asked("DeregisterImage", `{"imageId":"ami-1"}`), one(vmImage(event.VMImage{Action: event.VMImageDeregister, ID: "ami-1"}))},
		{"a template", record("CreateLaunchTemplateVersion", `,"requestParameters":{"CreateLaunchTemplateVersionRequest":{"LaunchTemplateId":"lt-1","LaunchTemplateData":{"ImageId":"ami-1","InstanceType":"c5.large","UserData":"<sensitiveDataRemoved>"}}},`+
			`"responseElements":{"CreateLaunchTemplateVersionResponse":{"launchTemplateVersion":{"launchTemplateId":"lt-1","versionNumber":3}}}`),
			one(instance(event.Instance{Action: event.InstanceTemplate, Image: "ami-1", Template: "lt-1:3", Type: "c5.large", UserData: event.UserData{Present: true, Redacted: true}}))},
		{"a fleet", record("CreateFleet", `,"requestParameters":{"CreateFleetRequest":{"LaunchTemplateConfigs":{"LaunchTemplateSpecification":{"LaunchTemplateId":"lt-1","Version":4}},"TargetCapacitySpecification":{"TotalTargetCapacity":9}}},`+
			`"responseElements":{"CreateFleetResponse":{"fleetId":"fleet-1"}}`), one(instance(event.Instance{Action: event.InstanceGroup, Template: "lt-1:4", Group: "fleet-1", Count: 9}))},
		{"a spot request", record("RequestSpotInstances", `,"requestParameters":{"instanceCount":3,"launchSpecification":{"imageId":"ami-1","instanceType":"c5.large","userData":"<sensitiveDataRemoved>"}},`+
			`"responseElements":{"spotInstanceRequestSet":{"items":[{"spotInstanceRequestId":"sir-1"}]}}`),
			one(instance(event.Instance{Action: event.InstanceGroup, Image: "ami-1", Call: "sir-1", Type: "c5.large", Count: 3, UserData: event.UserData{Present: true, Redacted: true}}))},
		{"tags", asked("CreateTags", `{"resourcesSet":{"items":[{"resourceId":"ami-1"},{"resourceId":"vol-1"}]},"tagSet":{"items":[{"key":"factory","value":"true"}]}}`),
			one(vmImage(event.VMImage{Action: event.VMImageTag, ID: "ami-1", Tags: map[string]string{"factory": "true"}}))},
		{"a search by name alone", record("DescribeImages", `,"requestParameters":{"filterSet":{"items":[{"name":"name","valueSet":{"items":[{"value":"ubuntu-*"}]}}]},"ownersSet":{}}`),
			one(vmImage(event.VMImage{Action: event.VMImageSearch, Filters: []string{"name=ubuntu-*"}}))},
		{"images by their ids", record("DescribeImages", `,"requestParameters":{"imagesSet":{"items":[{"imageId":"ami-1"}]},"filterSet":{}}`), sourcetest.Want{}},
		{"a command", strings.Replace(record("SendCommand", `,"requestParameters":{"documentName":"AWS-RunShellScript","instanceIds":["i-1"],"parameters":"HIDDEN_DUE_TO_SECURITY_REASONS"},"responseElements":{"command":{"commandId":"c-1"}}`), "ec2.", "ssm.", 1),
			one(instance(event.Instance{Action: event.InstanceCommand, ID: "i-1", Call: "c-1", Extension: "AWS-RunShellScript"}))},
		{"another call", record("DescribeInstances", ""), sourcetest.Want{}},
		{"another service's", strings.Replace(record("StartInstances", ""), "ec2.", "rds.", 1), sourcetest.Want{}},
		{"a digest", `{"awsAccountId":"1","digestStartTime":"2026-11-21T22:26:40Z","digestS3Bucket":"b","logFiles":[{"s3Bucket":"b"}]}`, sourcetest.Want{}},
		{"an insight", `{"eventVersion":"1.07","eventTime":"2026-11-21T22:26:40Z","eventID":"e","eventType":"AwsCloudTrailInsight","insightDetails":{"state":"Start","eventSource":"ec2.amazonaws.com","eventName":"RunInstances"},"eventCategory":"Insight"}`, sourcetest.Want{}},
		{"a notice of a file", `{"s3Bucket":"b","s3ObjectKey":["k"]}`, sourcetest.Want{}},
		{"a time as Athena prints it", strings.Replace(asked("StartInstances", `{"instancesSet":{"items":[{"instanceId":"i-1"}]}}`), "2026-11-21T22:26:40Z", "2026-11-21 22:26:40", 1), one(instance(event.Instance{Action: event.InstanceStart, ID: "i-1"}))},
		{"no time", strings.Replace(asked("StartInstances", `{"instancesSet":{"items":[{"instanceId":"i-1"}]}}`), "eventTime", "eventHour", 1), sourcetest.Want{Fault: "StartInstances: no time"}},
		{"a key that stands twice", record("StartInstances", `,"eventID":"e-2"`), sourcetest.Want{Fault: "key stands twice"}},
		{"something else", `{"a":1}`, sourcetest.Want{Fault: "no CloudTrail record"}},
		{"no JSON", `RunInstances`, sourcetest.Want{Fault: "not one JSON value"}},
	}
}

func TestCalls(t *testing.T) {
	for _, c := range cases() {
		t.Run(c.why, func(t *testing.T) { sourcetest.Check(t, Trail(), c.text, c.want) })
	}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// compact is a record on one line; indented is printed over many.
func indented(s string) string {
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		panic(err)
	}
	b, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		panic(err)
	}
	return string(b)
}

func envelopes() map[string]string {
	start := asked("StartInstances", `{"instancesSet":{"items":[{"instanceId":"i-1"}]}}`)
	return map[string]string{
		"bare":              start,
		"printed over many": indented(start),
		"CloudTrail's file": `{"Records":[` + start + `]}`,
		"the same, printed": indented(`{"Records":[` + start + `]}`),
		"an array":          "[\n" + start + "\n]",
		"lookup-events":     `{"Events":[{"EventId":"e-1","EventName":"StartInstances","EventTime":1795300000.0,"CloudTrailEvent":` + quoted(start) + `}],"NextToken":"x"}`,
		"one of lookup's":   `{"EventId":"e-1","CloudTrailEvent":` + quoted(start) + `}`,
		"EventBridge":       `{"version":"0","id":"x","detail-type":"AWS API Call via CloudTrail","source":"aws.ec2","account":"222222222222","detail":` + start + `}`,
		"Filebeat":          `{"@timestamp":"2026-11-21T22:30:00Z","message":` + quoted(start) + `}`,
		"CloudWatch":        `{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logEvents":[{"id":"1","timestamp":1795300000000,"message":` + quoted(start) + `}]}`,
		"Wazuh":             `{"integration":"aws","aws":` + start + `}`,
		"line ends of DOS":  start + "\r\n",
	}
}

// Every envelope gives the same event, with the same id and the record's place.
func TestEnvelopes(t *testing.T) {
	var first event.Event
	for name, text := range envelopes() {
		events, tally := sourcetest.Decode(t, Trail(), text)
		if len(events) != 1 || tally.Unreadable != 0 {
			t.Errorf("%s: %d events, %v", name, len(events), tally.Faults)
			continue
		}
		e := events[0]
		if first.Body == nil {
			first = e
		}
		if e.ID != first.ID || !reflect.DeepEqual(e.Body, first.Body) || e.Place != (event.Place{Account: "222222222222", Region: "eu-central-1"}) {
			t.Errorf("%s: %+v %+v", name, e, e.Body)
		}
		if sure := sourcetest.Sniff(Trail(), text); sure < 60 {
			t.Errorf("%s: sure by %d", name, sure)
		}
	}
}

// One call that launches several machines, of several images, gives an event
// for each.
func TestALaunchOfSeveral(t *testing.T) {
	other := strings.NewReplacer("i-0A1", "i-0a2", "AMI-0BAD", "ami-0c", "10.3.0.14", "10.3.0.24").Replace(machine)
	text := `{"Records":[` + record("RunInstances", ","+request+strings.Replace(answer, machine, machine+","+other, 1)) + `,` + record("DescribeRegions", "") + `]}`
	events, tally := sourcetest.Decode(t, Trail(), text)
	if len(events) != 2 || tally.Records != 2 || tally.Skipped != 1 || tally.Events != 1 || tally.Beside != 1 || events[0].ID == events[1].ID {
		t.Fatalf("%d events of %+v", len(events), tally)
	}
	a, b := events[0].Body.(*event.Instance), events[1].Body.(*event.Instance)
	if a.ID != "i-0a1" || b.ID != "i-0a2" || a.Image != "ami-0bad" || b.Image != "ami-0c" || a.Call != b.Call {
		t.Errorf("%+v\n%+v", a, b)
	}
}

// Who a service acted for: auto scaling launches under its own name.
func TestAServiceActs(t *testing.T) {
	text := strings.NewReplacer("203.0.113.9", "autoscaling.amazonaws.com", "console.ec2.amazonaws.com", "autoscaling.amazonaws.com", `"type":"AssumedRole"`, `"type":"AssumedRole","invokedBy":"autoscaling.amazonaws.com"`).Replace(record("RunInstances", ","+request+answer))
	events, _ := sourcetest.Decode(t, Trail(), text)
	by := events[0].Body.(*event.Instance).By
	if by.Cloud.Service != "autoscaling.amazonaws.com" || by.Clients != nil || by.Cloud.Console {
		t.Errorf("%+v %+v", by, by.Cloud)
	}
}

func TestDescriptions(t *testing.T) {
	img := `{"ImageId":"ami-1","Name":"n","OwnerId":"999999999999","ImageOwnerAlias":"amazon","Public":true,"CreationDate":"2026-10-04T10:00:00.000Z","State":"available","SourceImageId":"ami-0","SourceImageRegion":"us-east-1","ImageAllowed":true,"ProductCodes":[{"ProductCodeId":"abc"}],"Tags":[{"Key":"k","Value":"v"}],"BlockDeviceMappings":[{"Ebs":{"SnapshotId":"snap-1"}}]}`
	made, err := event.ParseRFC3339("2026-10-04T10:00:00.000Z")
	if err != nil {
		t.Fatal(err)
	}
	want := &event.VMImage{Action: event.VMImageDescribe, ID: "ami-1", Name: "n", Owner: "999999999999", Alias: "amazon", Created: made, Public: true, Parent: "ami-0", Region: "us-east-1", Disk: "snap-1",
		Products: []string{"abc"}, State: "available", Allowed: "true", Tags: map[string]string{"k": "v"}}
	for _, text := range []string{img, `{"Images":[` + img + `]}`, indented(`{"Images":[` + img + `]}`)} {
		sourcetest.Check(t, Descriptions(), text, sourcetest.Want{Body: want})
		if sourcetest.Sniff(Descriptions(), text) < 80 || sourcetest.Sniff(Trail(), text) != 0 {
			t.Errorf("not told: %s", text)
		}
	}
	inst := `{"InstanceId":"i-1","ImageId":"ami-1","InstanceType":"c5.large","LaunchTime":"2026-10-04T10:00:00.000Z","Placement":{"AvailabilityZone":"us-east-1a"},"PrivateIpAddress":"10.0.0.1","VpcId":"vpc-1","SubnetId":"subnet-1"}`
	events, _ := sourcetest.Decode(t, Descriptions(), `{"Reservations":[{"OwnerId":"222222222222","Instances":[`+inst+`,`+inst+`]}]}`)
	wantInst := &event.Instance{Action: event.InstanceDescribe, ID: "i-1", Image: "ami-1", Type: "c5.large", Zone: "us-east-1a", Launched: made,
		Interfaces: []event.VMInterface{{Network: "vpc-1", Subnet: "subnet-1", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}}}
	if len(events) != 2 || events[0].ID != events[1].ID || events[0].Place != (event.Place{Account: "222222222222", Region: "us-east-1"}) {
		t.Fatalf("%+v", events)
	}
	sourcetest.CheckEvent(t, events[0], event.Time{}, wantInst)
	events, _ = sourcetest.Decode(t, Descriptions(), `{"InstanceImageMetadata":[{"InstanceId":"i-1","AvailabilityZone":"us-east-1a","OwnerId":"2","ImageMetadata":{"ImageId":"ami-1","OwnerId":"9","IsPublic":true,"ImageAllowed":false}}]}`)
	if len(events) != 2 {
		t.Fatalf("%+v", events)
	}
	sourcetest.CheckEvent(t, events[0], event.Time{}, &event.VMImage{Action: event.VMImageDescribe, ID: "ami-1", Owner: "9", Public: true, Allowed: "false"})
	sourcetest.CheckEvent(t, events[1], event.Time{}, &event.Instance{Action: event.InstanceDescribe, ID: "i-1", Image: "ami-1", Zone: "us-east-1a"})
	if events, tally := sourcetest.Decode(t, Descriptions(), `{"Images":[]}`); len(events) != 0 || tally.Unreadable != 0 {
		t.Errorf("nothing was found: %+v", tally)
	}
	sourcetest.Check(t, Descriptions(), `{"Volumes":[{}]}`, sourcetest.Want{Fault: "no answer of EC2"})
}

func FuzzTrail(f *testing.F) {
	for _, c := range cases() {
		f.Add([]byte(c.text))
	}
	for _, text := range envelopes() {
		f.Add([]byte(text))
	}
	sourcetest.Fuzz(f, Trail(), nil, nil)
}

func FuzzDescriptions(f *testing.F) {
	f.Add([]byte(`{"Images":[{"ImageId":"ami-1","CreationDate":"2026-10-04T10:00:00.000Z","Public":true}]}`))
	f.Add([]byte(`{"Reservations":[{"OwnerId":"1","Instances":[{"InstanceId":"i-1","NetworkInterfaces":[{"PrivateIpAddresses":[{"PrivateIpAddress":"10.0.0.1"}]}]}]}]}`))
	f.Add([]byte(`{"InstanceImageMetadata":[{"InstanceId":"i-1","ImageMetadata":{"ImageId":"ami-1"}}]}`))
	sourcetest.Fuzz(f, Descriptions(), func(event.Body) bool { return true }, nil)
}

// BenchmarkTrail has the mix of an account: most calls are of no interest.
func BenchmarkTrail(b *testing.B) {
	sourcetest.Bench(b, Trail(), sourcetest.Fill("", func(n int64) string {
		id := fmt.Sprintf(`"eventID":"e-%d"`, n)
		text := record("RunInstances", ","+request+answer) + "\n" + strings.Repeat(record("DescribeInstances", `,"requestParameters":{"filterSet":{}},"responseElements":null`)+"\n", 9)
		return strings.ReplaceAll(text, `"eventID":"e-1"`, id)
	}))
}

func BenchmarkDescriptions(b *testing.B) {
	sourcetest.Bench(b, Descriptions(), sourcetest.Fill("", func(n int64) string {
		return fmt.Sprintf(`{"ImageId":"ami-%d","Name":"n","OwnerId":"999999999999","Public":true,"CreationDate":"2026-10-04T10:00:00.000Z","State":"available"}`, n) + "\n"
	}))
}

// TestShared reads CloudTrail's records outside the repository without loss.
func TestShared(t *testing.T) {
	var files []string
	for folder, is := range map[string]func(string) bool{
		"data/cloudtrail": func(path string) bool {
			name := path[strings.LastIndexByte(path, '/')+1:]
			return strings.HasSuffix(path, ".ndjson") || strings.HasSuffix(path, ".jsonl") || strings.Contains(path, "_unzipped/ec2") || strings.HasPrefix(path, "Permiso") && !strings.Contains(name, "bad_") || // cut off on purpose
				strings.HasSuffix(path, ".log") && !strings.Contains(name, "alb") && !strings.Contains(name, "cloudfront")
		},
		"scenarios": func(path string) bool {
			return strings.Contains(path, "/cloudtrail/") || strings.HasSuffix(path, "describe-images.json")
		},
	} {
		files = append(files, sourcetest.SharedFiles(t, folder, is)...)
	}
	kinds := map[event.Kind]int{}
	for _, path := range files {
		for _, e := range sourcetest.ReadShared(t, path, formats()...) {
			kinds[e.Body.Kind()]++
			if b, ok := e.Body.(*event.Instance); ok && b.Action == event.InstanceLaunch && b.Failure == "" && (b.ID == "" || b.Image == "") {
				t.Errorf("%s:%d: a launch of nothing: %+v", path, e.Origin.Line(), b)
			}
		}
	}
	t.Logf("%d files, %v", len(files), kinds)
}

func formats() []*source.Format { return []*source.Format{Trail(), Descriptions()} }
