package kubernetes

import (
	"encoding/json"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/envelope"
	"tidewaiter/source/sourcetest"
)

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

var (
	aCreation  = audited("create", podURI, onPod, code("201"))
	aSkip      = audited("list", podURI, onPods, code("200"))
	anAccess   = audited("create", podURI+"/web-1/exec?command=id", onPod+`,"subresource":"exec"`, code("101"))
	createdPod = &event.Pod{Verb: event.VerbCreate, Object: event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-1"}, By: bob, Code: 201}
)

func TestAuditEnvelopes(t *testing.T) {
	var pretty strings.Builder
	enc := json.NewEncoder(&pretty)
	enc.SetIndent("", "  ")
	if err := enc.Encode(json.RawMessage(aCreation)); err != nil {
		t.Fatal(err)
	}
	resource := "/SUBSCRIPTIONS/SUB-1/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/BLUE"
	for name, c := range map[string]struct {
		text  string
		place event.Place
	}{
		"bare":                  {text: aCreation},
		"pretty":                {text: pretty.String()},
		"in an array":           {text: "[" + aCreation + "]"},
		"in a list":             {text: `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[` + aCreation + `]}`},
		"behind syslog":         {text: `<13>Nov  3 10:00:00 cp-1 kube-apiserver: ` + aCreation},
		"a list behind syslog":  {text: `Nov  3 10:00:00 cp-1 kube-apiserver: {"items": [ ` + aCreation + ` ]}`},
		"Filebeat":              {text: `{"@timestamp":"2026-11-03T10:00:01Z","message":` + quoted(aCreation) + `}`},
		"Filebeat, parsed":      {text: `{"@timestamp":"2026-11-03T10:00:01Z","kubernetes":{"audit":` + aCreation + `}}`},
		"Fluent Bit":            {text: `{"log":` + quoted(aCreation+"\n") + `,"stream":"stdout"}`},
		"a shipper around EKS":  {text: `{"json":{"x":1},"message":` + quoted(`{"message":`+quoted(aCreation)+`}`) + `}`},
		"EKS subscription":      {text: `{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"/aws/eks/blue/cluster","logStream":"kube-apiserver-audit-0a","logEvents":[{"id":"1","timestamp":1,"message":` + quoted(aCreation) + `}]}`, place: event.Place{Account: "111122223333", Cluster: "blue"}},
		"EKS, Logs Insights":    {text: `{"@timestamp":"2026-11-03 10:00:00.250","@log":"111122223333:/aws/eks/blue/cluster","@message":` + aCreation + `}`, place: event.Place{Account: "111122223333", Cluster: "blue"}},
		"EKS, filter-log":       {text: `{"events":[{"logStreamName":"kube-apiserver-audit-0a","message":` + quoted(aCreation) + `}],"searchedLogStreams":[]}`},
		"another log group":     {text: `{"logGroup":"audit","logEvents":[{"message":` + quoted(aCreation) + `}]}`},
		"AKS records":           {text: `{"records":[{"category":"kube-audit","resourceId":"` + resource + `","location":"WestEurope","properties":{"log":` + quoted(aCreation) + `,"stream":"stdout"}}]}`, place: event.Place{Account: "sub-1", Cluster: "blue", Region: "westeurope"}},
		"AKS record":            {text: `{"category":"kube-audit-admin","resourceId":"` + resource + `","properties":{"log":` + quoted(aCreation+"\n") + `}}`, place: event.Place{Account: "sub-1", Cluster: "blue"}},
		"AKS in Log Analytics":  {text: `{"Category":"kube-audit","ResourceId":"` + resource + `","log_s":` + quoted(aCreation) + `}`, place: event.Place{Account: "sub-1", Cluster: "blue"}},
		"another Azure product": {text: `{"category":"kube-audit","resourceId":"/subscriptions/sub-1/x","properties":{"log":` + quoted(aCreation) + `}}`, place: event.Place{Account: "sub-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			events, tally := sourcetest.Decode(t, Audit(), c.text)
			if len(events) != 1 {
				t.Fatalf("%d events, faults %v", len(events), tally.Faults)
			}
			sourcetest.CheckEvent(t, events[0], received, createdPod)
			if events[0].Place != c.place {
				t.Errorf("place %+v, want %+v", events[0].Place, c.place)
			}
			if sure := sourcetest.Sniff(Audit(), c.text); sure < 60 {
				t.Errorf("sniffed as %d", sure)
			}
		})
	}
}

// TestAuditListsAreCitedByElement checks that each element of a list is a
// record of its own, cited where it stands.
func TestAuditListsAreCitedByElement(t *testing.T) {
	text := "{\"items\":[\n  " + aSkip + ",\n\n  " + aCreation + " ,\n7,\n  {\"auditID\":\"x\"},\n  " + anAccess + "\n]}\n" + aCreation + "\n{\"items\":[]}\n"
	events, tally := sourcetest.Decode(t, Audit(), text)
	if tally.Records != 7 || tally.Events != 3 || tally.Skipped != 2 || tally.Unreadable != 2 {
		t.Fatalf("%+v", tally)
	}
	for i, want := range []struct {
		text string
		line int
	}{{aCreation, 4}, {anAccess, 7}, {aCreation, 9}} {
		at := events[i].Origin.Spans[0]
		if got := text[at.Offset:][:at.Length]; got != want.text || at.Line != want.line {
			t.Errorf("event %d cites line %d, %q", i, at.Line, got)
		}
	}
	if tally.Faults[0].Line != 5 || tally.Faults[1].Line != 6 {
		t.Errorf("faults %v", tally.Faults)
	}
	if events[0].ID != events[2].ID || events[0].ID == events[1].ID {
		t.Error("the same record, in a list and bare, has two ids, or two records have one")
	}
}

func TestAuditStages(t *testing.T) {
	stage := func(text, s string) string { return strings.Replace(text, "ResponseComplete", s, 1) }
	for name, c := range map[string]struct {
		text   string
		events int
	}{
		"received":           {stage(aCreation, "RequestReceived"), 0},
		"panic":              {stage(aCreation, "Panic"), 0},
		"started":            {stage(aCreation, "ResponseStarted"), 0},
		"started, a stream":  {stage(anAccess, "ResponseStarted"), 1},
		"received, a stream": {stage(anAccess, "RequestReceived"), 0},
	} {
		events, tally := sourcetest.Decode(t, Audit(), c.text)
		if len(events) != c.events || tally.Skipped != int64(1-c.events) {
			t.Errorf("%s: %d events, %+v", name, len(events), tally)
		}
	}
	end := strings.Replace(anAccess, "10:00:00.260000", "14:00:00.260000", 1)
	events, _ := sourcetest.Decode(t, Audit(), stage(anAccess, "ResponseStarted")+"\n"+end+"\n")
	if len(events) != 2 || events[0].ID != events[1].ID || events[0].Time != events[1].Time || events[1].Record <= events[0].Record {
		t.Errorf("two stages of one request: %+v", events)
	}
	// A client may send any Audit-ID, so the same one does not make one request.
	other := strings.Replace(anAccess, "command=id", "command=sh", 1)
	events, _ = sourcetest.Decode(t, Audit(), anAccess+"\n"+other+"\n")
	if len(events) != 2 || events[0].ID == events[1].ID {
		t.Error("a chosen auditID hides a request")
	}
}

func TestAuditTimes(t *testing.T) {
	const both = `"requestReceivedTimestamp":"2026-11-03T10:00:00.250000Z","stageTimestamp":"2026-11-03T10:00:00.260000Z"`
	second := event.Time{At: 1793700000 * event.Second, Res: event.Second}
	for name, c := range map[string]struct {
		times  string
		at     event.Time
		record int64
		fault  string
	}{
		"both":               {both, received, received.At + 10*event.Millisecond, ""},
		"v1beta1":            {`"metadata":{"creationTimestamp":"2026-11-03T09:00:00Z"},"timestamp":"2026-11-03T10:00:00Z"`, second, 0, ""},
		"null":               {`"requestReceivedTimestamp":null,"timestamp":"2026-11-03T10:00:00Z","stageTimestamp":null`, second, 0, ""},
		"the year 1":         {`"requestReceivedTimestamp":"0001-01-01T00:00:00.000000Z"`, event.Time{}, 0, "no time"},
		"an offset":          {`"requestReceivedTimestamp":"2026-11-03T12:00:00.250000+02:00"`, received, 0, ""},
		"a stage before":     {`"requestReceivedTimestamp":"2026-11-03T10:00:00.250000Z","stageTimestamp":"2026-11-03T10:00:00.000000Z"`, received, 0, ""},
		"none":               {`"x":1`, event.Time{}, 0, "no time: want requestReceivedTimestamp"},
		"no zone":            {`"requestReceivedTimestamp":"2026-11-03T10:00:00"`, event.Time{}, 0, "RFC 3339"},
		"a number":           {`"requestReceivedTimestamp":1793700000`, event.Time{}, 0, "no string"},
		"a bad timestamp":    {`"timestamp":"yesterday"`, event.Time{}, 0, "timestamp: "},
		"a bad stage's time": {`"requestReceivedTimestamp":"2026-11-03T10:00:00.25Z","stageTimestamp":"x"`, event.Time{}, 0, "stageTimestamp: "},
		"twice":              {both + `,"requestReceivedTimestamp":"2026-11-03T11:00:00.250000Z"`, event.Time{}, 0, "stands twice"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, record := range []string{aCreation, aSkip} {
				events, tally := sourcetest.Decode(t, Audit(), strings.Replace(record, both, c.times, 1))
				switch {
				case c.fault != "":
					if len(tally.Faults) != 1 || !strings.Contains(tally.Faults[0].Error(), c.fault) {
						t.Errorf("%+v", tally)
					}
				case record == aSkip:
					if tally.Skipped != 1 {
						t.Errorf("%+v", tally)
					}
				case len(events) != 1 || events[0].Time != c.at || events[0].Record != c.record:
					t.Errorf("%+v, %v", events, tally.Faults)
				}
			}
		})
	}
}

func TestAuditUnreadable(t *testing.T) {
	deep := aCreation
	for range envelope.Depth {
		deep = `{"message":` + quoted(deep) + `}`
	}
	for name, c := range map[string][2]string{
		"text":                   {"hello", "not one JSON value"},
		"cut off":                {aCreation[:200], "not one JSON value"},
		"another object":         {`{"kind":"Pod"}`, "no audit record"},
		"no stage":               {strings.Replace(aCreation, `"stage":"ResponseComplete",`, "", 1), "without a stage"},
		"no verb":                {strings.Replace(aCreation, `"verb":"create"`, `"verb":7`, 1), "without a verb"},
		"a code that is none":    {strings.Replace(aCreation, `"code":201`, `"code":"x"`, 1), "HTTP status"},
		"a negative code":        {strings.Replace(aCreation, `"code":201`, `"code":-1`, 1), "HTTP status"},
		"a huge code":            {strings.Replace(aCreation, `"code":201`, `"code":1e30`, 1), "HTTP status"},
		"two verbs":              {strings.Replace(aCreation, `"verb"`, `"verb":"get","verb"`, 1), "stands twice"},
		"too many envelopes":     {deep, "too many envelopes"},
		"a list inside a text":   {`{"message":` + quoted(`{"items":[`+aCreation+`]}`) + `}`, "cannot be cited"},
		"two lists":              {`{"items":[` + aCreation + `],"items":[]}`, "stands twice"},
		"a list's key escaped":   {`{"\u0069tems":[` + aCreation + `]}`, "with escapes"},
		"text in an envelope":    {`{"message":"hello"}`, "no audit record"},
		"another Google service": {`{"protoPayload":{"serviceName":"compute.googleapis.com"},"insertId":"1"}`, "another service"},
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Check(t, Audit(), c[0], sourcetest.Want{Fault: c[1]})
		})
	}
	for name, text := range map[string]string{
		"CloudWatch's test":    `{"messageType":"CONTROL_MESSAGE","logEvents":[]}`,
		"another log of AKS":   `{"category":"kube-scheduler","properties":{"log":"I1103 10:00:00"}}`,
		"a test without lists": `{"messageType":"CONTROL_MESSAGE"}`,
		"another log of EKS":   `{"logGroup":"/aws/eks/blue/cluster","logEvents":[{"message":"I1103 10:00:00.1 1 x.go:1] hi"}]}`,
	} {
		t.Run(name, func(t *testing.T) { sourcetest.Check(t, Audit(), text, sourcetest.Want{}) })
	}
}

// entry is a log entry of GKE.
func entry(method, name, more string) string {
	return `{"insertId":"i-1","logName":"projects/p/logs/cloudaudit.googleapis.com%2Factivity","operation":{"id":"i-1","first":true,"last":true,"producer":"k8s.io"},` +
		`"resource":{"type":"k8s_cluster","labels":{"cluster_name":"blue","location":"europe-west1","project_id":"proj-1"}},` +
		`"timestamp":"2026-11-03T10:00:00.250000Z","receiveTimestamp":"2026-11-03T10:00:03Z",` +
		`"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","serviceName":"k8s.io","methodName":"` + method + `","resourceName":"` + name + `",` +
		`"authenticationInfo":{"principalEmail":"bob@corp.example"},"requestMetadata":{"callerIp":"192.0.2.7","callerSuppliedUserAgent":"kubectl/v1.31"}` + more + `}}`
}

func TestAuditOfGKE(t *testing.T) {
	by := event.Principal{Name: "bob@corp.example", Clients: bob.Clients, Agent: bob.Agent}
	pod := `{"@type":"core.k8s.io/v1.Pod","metadata":` + podMeta + `,"spec":` + podSpec + `,"status":{"podIP":"10.1.2.3"}}`
	whole := wholePod(event.VerbCreate, 0)
	whole.By = by
	refused := &event.Pod{Verb: event.VerbCreate, Object: event.ObjectRef{Kind: "Pod", Namespace: "prod"}, By: by, Code: 403}
	behind := *refused
	behind.By.Behind, behind.Code = "sa@proj-1.example", 404
	status := &event.PodStatus{Object: webPod, Node: "node-a", Addrs: addrs("10.1.2.3")}
	access := &event.PodAccess{Action: "exec", Object: event.ObjectRef{Kind: "Pod", Namespace: "prod", Name: "web-1"}, By: by}
	grant := &event.Grant{Verb: event.VerbCreate, Object: event.ObjectRef{Kind: "ClusterRoleBinding", Name: "all"}, Role: "ClusterRole/cluster-admin", By: by}
	for name, c := range map[string]struct {
		text  string
		body  event.Body
		fault string
	}{
		"created":       {text: entry("io.k8s.core.v1.pods.create", "core/v1/namespaces/prod/pods/web-1", `,"status":{},"request":{},"response":`+pod), body: whole},
		"in a list":     {text: `{"entries":[` + entry("io.k8s.core.v1.pods.create", "core/v1/namespaces/prod/pods/web-1", `,"response":`+pod) + `]}`, body: whole},
		"status":        {text: entry("io.k8s.core.v1.pods.status.patch", "core/v1/namespaces/prod/pods/web-1/status", `,"response":`+pod), body: status},
		"exec":          {text: entry("io.k8s.core.v1.pods.exec.create", "core/v1/namespaces/prod/pods/web-1/exec", ""), body: access},
		"grant":         {text: entry("io.k8s.authorization.rbac.v1.clusterrolebindings.create", "rbac.authorization.k8s.io/v1/clusterrolebindings/all", `,"request":{"roleRef":{"kind":"ClusterRole","name":"cluster-admin"}}`), body: grant},
		"refused":       {text: entry("io.k8s.core.v1.pods.create", "core/v1/namespaces/prod/pods", `,"status":{"code":7}`), body: refused},
		"refused twice": {text: entry("io.k8s.core.v1.pods.create", "core/v1/namespaces/prod/pods", `,"status":{"code":7},"response":{"kind":"Status","status":"Failure","code":403}`), body: refused},
		"an HTTP code": {text: strings.Replace(entry("io.k8s.core.v1.pods.create", "core/v1/namespaces/prod/pods", `,"status":{"code":404}`), `{"principalEmail":"bob@corp.example"}`,
			`{"principalEmail":"bob@corp.example","serviceAccountDelegationInfo":[{"firstPartyPrincipal":{"principalEmail":"sa@proj-1.example"}}]}`, 1), body: &behind},
		"no resource":      {text: entry("io.k8s.core.v1.pods.create", "core", "")},
		"the end of one":   {text: strings.Replace(entry("io.k8s.core.v1.pods.exec.create", "core/v1/namespaces/prod/pods/web-1/exec", ""), `"first":true`, `"first":false`, 1)},
		"a namespace":      {text: entry("io.k8s.core.v1.namespaces.create", "core/v1/namespaces/prod", "")},
		"no verb":          {text: entry("", "core/v1/namespaces/prod/pods", ""), fault: "without a verb"},
		"no time":          {text: strings.Replace(entry("a.create", "core/v1/pods", ""), "2026-11-03T10:00:00.250000Z", "", 1), fault: "want timestamp"},
		"a bad time":       {text: strings.Replace(entry("a.create", "core/v1/pods", ""), "2026-11-03T10:00:00.250000Z", "x", 1), fault: "timestamp: "},
		"a bad other time": {text: strings.Replace(entry("a.create", "core/v1/pods", ""), "2026-11-03T10:00:03Z", "x", 1), fault: "receiveTimestamp: "},
		"a bad code":       {text: entry("io.k8s.core.v1.pods.create", "core/v1/namespaces/prod/pods", `,"status":{"code":"x"}`), fault: "HTTP status"},
		"a bad code again": {text: entry("io.k8s.core.v1.pods.create", "core/v1/namespaces/prod/pods", `,"response":{"status":"Failure","code":-7}`), fault: "HTTP status"},
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Check(t, Audit(), c.text, sourcetest.Want{At: received, Body: c.body, Fault: c.fault})
			if c.body == nil {
				return
			}
			events, _ := sourcetest.Decode(t, Audit(), c.text)
			if want := (event.Place{Account: "proj-1", Region: "europe-west1", Cluster: "blue"}); events[0].Place != want || events[0].Record == 0 {
				t.Errorf("place %+v, record %d", events[0].Place, events[0].Record)
			}
			if sourcetest.Sniff(Audit(), c.text) < 60 {
				t.Error("not recognised")
			}
		})
	}
}

func TestSniffAuditRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty":                  "",
		"text":                   "auditID is not enough",
		"an Event":               anEvent("", ""),
		"a pod":                  `{"kind":"Pod","metadata":{}}`,
		"another Google service": `{"protoPayload":{"serviceName":"compute.googleapis.com","methodName":"v1.compute.instances.insert"},"x":"k8s.io"}`,
		"CloudTrail":             `{"Records":[{"eventSource":"ec2.amazonaws.com"}]}`,
		"an activity log":        `{"records":[{"category":"Administrative"}]}`,
		"another message":        `{"message":"hello"}`,
	} {
		if n := sourcetest.Sniff(Audit(), text); n != 0 {
			t.Errorf("%s: sniffed as %d", name, n)
		}
	}
}
