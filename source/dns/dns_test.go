package dns

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	"tidewaiter/source/sourcetest"
)

const (
	aws = `{"version":"1.100000","account_id":"222222222222","region":"eu-central-1","vpc_id":"vpc-1","query_timestamp":"2026-11-21T22:26:40Z","query_name":"Pool.Example.","query_type":"A","query_class":"IN","rcode":"NOERROR",` +
		`"answers":[{"Rdata":"edge.example.","Type":"CNAME","Class":"IN"},{"Rdata":"203.0.113.66","Type":"A","Class":"IN"}],"srcaddr":"10.3.0.14","srcport":"53100","transport":"UDP","srcids":{"instance":"i-1"}}`
	gcp = `{"insertId":"g-1","jsonPayload":{"queryName":"pool.example.","queryType":"A","responseCode":"NOERROR","rdata":"pool.example.\t300\tIN\tcname\tedge.example.\nedge.example.\t30\tIN\ta\t203.0.113.66","sourceIP":"10.128.0.5","sourceNetwork":"default","destinationIP":"169.254.169.254",` +
		`"vmInstanceId":145,"vmInstanceIdString":"145","vmInstanceName":"1234567.vm-1","vmProjectId":"p1","vmZoneName":"us-central1-a"},"logName":"projects/p1/logs/dns.googleapis.com%2Fdns_queries","resource":{"type":"dns_query","labels":{"project_id":"p1","location":"us-central1"}},"timestamp":"2026-11-21T22:26:40Z"}`
)

var at = event.Time{At: 1795300000 * event.Second, Res: event.Second}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func awsWant() *event.DNS {
	return &event.DNS{Client: netip.MustParseAddrPort("10.3.0.14:53100"), Query: "pool.example", Type: "A", Code: "NOERROR", Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.66")}, Names: []string{"edge.example"},
		VM: &event.VMRef{ID: "i-1", Project: "222222222222", Network: "vpc-1"}}
}

func TestRoute53(t *testing.T) {
	athena := strings.NewReplacer("2026-11-21T22:26:40Z", "2026-11-21 22:26:40", `[{"Rdata":"edge.example.","Type":"CNAME","Class":"IN"},{"Rdata":"203.0.113.66","Type":"A","Class":"IN"}]`, `{"Rdata":"203.0.113.66","Type":"A"}`).Replace(aws)
	lone := awsWant()
	lone.Names = nil
	nothing := awsWant()
	nothing.Names, nothing.Addrs, nothing.Code = nil, nil, "NXDOMAIN"
	for why, c := range map[string]struct {
		text string
		want sourcetest.Want
	}{
		"bare":               {aws, sourcetest.Want{At: at, Body: awsWant()}},
		"Athena":             {athena, sourcetest.Want{At: at, Body: lone}},
		"CloudWatch":         {`{"messageType":"DATA_MESSAGE","logEvents":[{"message":` + quoted(aws) + `}]}`, sourcetest.Want{At: at, Body: awsWant()}},
		"a name that is not": {strings.NewReplacer("NOERROR", "NXDOMAIN", `{"Rdata":"edge.example.","Type":"CNAME","Class":"IN"},{"Rdata":"203.0.113.66","Type":"A","Class":"IN"}`, "").Replace(aws), sourcetest.Want{At: at, Body: nothing}},
		"no time":            {strings.Replace(aws, "query_timestamp", "x", 1), sourcetest.Want{Fault: "no time"}},
		"OCSF": {`{"class_uid":4003,"metadata":{"product":{"name":"Route 53"}},"cloud":{"region":"eu-central-1","account":{"uid":"222222222222"}},"query":{"hostname":"Pool.Example.","type":"A"},"answers":[{"rdata":"203.0.113.66","type":"A"}],"rcode":"NoError",` +
			`"src_endpoint":{"instance_uid":"i-1","ip":"10.3.0.14","port":53100,"vpc_uid":"vpc-1"},"time":1795300000000}`, sourcetest.Want{At: event.Time{At: at.At, Res: event.Millisecond}, Body: lone}},
		"a zone":         {strings.Replace(aws, "22:26:40Z", "23:26:40+01:00", 1), sourcetest.Want{At: at, Body: awsWant()}},
		"no address":     {strings.Replace(aws, "10.3.0.14", "here", 1), sourcetest.Want{Fault: "srcaddr"}},
		"a long name":    {strings.Replace(aws, "Pool", strings.Repeat("x", 300), 1), sourcetest.Want{Fault: "longer than DNS"}},
		"twice":          {strings.Replace(aws, `"region"`, `"query_name":"x","region"`, 1), sourcetest.Want{Fault: "stands twice"}},
		"something else": {`{"a":1}`, sourcetest.Want{Fault: "no query"}},
		"no JSON":        {`x`, sourcetest.Want{Fault: "not one JSON value"}},
	} {
		t.Run(why, func(t *testing.T) { sourcetest.Check(t, Route53(), c.text, c.want) })
	}
	events, _ := sourcetest.Decode(t, Route53(), aws)
	if events[0].Place != (event.Place{Account: "222222222222", Region: "eu-central-1", Network: "vpc-1"}) {
		t.Errorf("%+v", events[0].Place)
	}
}

func TestGoogleDNS(t *testing.T) {
	want := &event.DNS{Client: netip.MustParseAddrPort("10.128.0.5:0"), Server: netip.MustParseAddrPort("169.254.169.254:53"), Query: "pool.example", Type: "A", Code: "NOERROR", Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.66")}, Names: []string{"edge.example"},
		VM: &event.VMRef{ID: "145", Name: "vm-1", Project: "p1", Zone: "us-central1-a", Network: "default"}}
	for why, c := range map[string]struct {
		text string
		want sourcetest.Want
	}{
		"bare":           {gcp, sourcetest.Want{At: at, Body: want}},
		"an array":       {"[" + gcp + "]", sourcetest.Want{At: at, Body: want}},
		"Pub/Sub":        {`{"message":{"data":"` + base64.StdEncoding.EncodeToString([]byte(gcp)) + `"}}`, sourcetest.Want{At: at, Body: want}},
		"another log":    {`{"logName":"projects/p1/logs/x","textPayload":"y"}`, sourcetest.Want{}},
		"no time":        {strings.Replace(gcp, `"timestamp"`, `"x"`, 1), sourcetest.Want{Fault: "no time"}},
		"no address":     {strings.Replace(gcp, "10.128.0.5", "here", 1), sourcetest.Want{Fault: "sourceIP"}},
		"something else": {`{"a":1}`, sourcetest.Want{Fault: "no query"}},
	} {
		t.Run(why, func(t *testing.T) { sourcetest.Check(t, GoogleDNS(), c.text, c.want) })
	}
	for text, f := range map[string]*source.Format{aws: Route53(), gcp: GoogleDNS()} {
		for _, other := range []*source.Format{Route53(), GoogleDNS()} {
			if (sourcetest.Sniff(other, text) > 0) != (other.Name == f.Name) {
				t.Errorf("%s: told as %s", text, other.Name)
			}
		}
	}
}

func checkQuery(t *testing.T, e event.Event) {
	if b, ok := e.Body.(*event.DNS); !ok || b.Query == "" && e.Body == nil || len(b.Query) > maxName || len(b.Addrs)+len(b.Names) > maxAnswers {
		t.Fatalf("%+v", e.Body)
	}
}

func FuzzRoute53(f *testing.F) {
	f.Add([]byte(aws))
	f.Add([]byte(`{"logEvents":[{"message":` + quoted(aws) + `}]}`))
	sourcetest.Fuzz(f, Route53(), nil, checkQuery)
}

func FuzzGoogleDNS(f *testing.F) {
	f.Add([]byte(gcp))
	sourcetest.Fuzz(f, GoogleDNS(), nil, checkQuery)
}

func BenchmarkDNS(b *testing.B) {
	for text, f := range map[string]*source.Format{aws: Route53(), gcp: GoogleDNS()} {
		sourcetest.Bench(b, f, sourcetest.Fill("", func(n int64) string {
			return strings.NewReplacer("53100", fmt.Sprint(1024+n%60000), "g-1", fmt.Sprint("g-", n)).Replace(text) + "\n"
		}))
	}
}

// TestShared reads clouds' queries outside the repository without loss.
func TestShared(t *testing.T) {
	files := sourcetest.SharedFiles(t, "data/aws_vpcflow", func(p string) bool { return strings.HasSuffix(p, "aws_dns_crypto_domain.ndjson") })
	for _, path := range files {
		if events := sourcetest.ReadShared(t, path, Route53(), GoogleDNS()); len(events) < 4 {
			t.Errorf("%s: %d events", path, len(events))
		}
	}
	t.Logf("%d files", len(files))
}
