package flow

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source"
	agents "tidewaiter/source/ocsf"
	"tidewaiter/source/sourcetest"
)

const (
	vpcOut  = "2 222222222222 eni-1 10.3.0.14 203.0.113.66 41446 3333 6 31 21240 1795300000 1795300060 ACCEPT OK\n"
	vpcBack = "2 222222222222 eni-1 203.0.113.66 10.3.0.14 3333 41446 6 22 24880 1795300000 1795300060 ACCEPT OK\n"
	vpcHead = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n"
	gcpLine = `{"insertId":"g-1","jsonPayload":{"bytes_sent":"420","connection":{"dest_ip":"203.0.113.66","dest_port":3333,"protocol":6,"src_ip":"10.128.0.5","src_port":49168},"reporter":"SRC","src_instance":{"project_id":"p1","vm_name":"vm-1","zone":"us-central1-a"},"src_vpc":{"project_id":"p1","vpc_name":"net","subnetwork_name":"sub"},"src_gke_details":{"pod":{"pod_namespace":"prod","pod_name":"web-1"}},"start_time":"2026-11-21T22:26:40.1Z","end_time":"2026-11-21T22:27:40.1Z"},"logName":"projects/p1/logs/compute.googleapis.com%2Fvpc_flows","resource":{"labels":{"location":"us-central1-a","project_id":"p1"},"type":"gce_subnetwork"},"timestamp":"2026-11-21T22:28:00Z"}`
	nsgLine = `{"time":"2026-11-21T22:28:00Z","macAddress":"02AA00000001","category":"NetworkSecurityGroupFlowEvent","resourceId":"/SUBSCRIPTIONS/S-1/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/NSG","operationName":"NetworkSecurityGroupFlowEvents","properties":{"Version":2,"flows":[{"rule":"R","flows":[{"mac":"02AA00000001","flowTuples":["1795300000,10.5.0.5,203.0.113.66,56689,4444,T,O,A,B,,,,","1795300060,10.5.0.5,203.0.113.66,56689,4444,T,O,A,C,15,9000,10,9900"]}]}]}}`
	vnetRec = `{"time":"2026-11-21T22:28:00Z","flowLogVersion":4,"macAddress":"02AA00000001","category":"FlowLogFlowEvent","targetResourceID":"/subscriptions/S-1/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet-1","operationName":"FlowLogFlowEvent","flowRecords":{"flows":[{"aclID":"a","flowGroups":[{"rule":"R","flowTuples":["1795300000100,10.5.0.5,203.0.113.66,56689,4444,6,O,B,NX,0,0,0,0","1795300060100,10.5.0.5,203.0.113.66,56689,4444,6,O,E,NX,3,767,2,1580","1795300000100,203.0.113.7,10.5.0.5,50000,22,6,I,D,NX,0,0,0,0"]}]}]}}`
	goflow2 = `{"type":"NETFLOW_V9","time_received_ns":1795300061000000000,"sampler_address":"192.0.2.1","time_flow_start_ns":1795300000100000000,"time_flow_end_ns":1795300060100000000,"bytes":1500,"packets":1,"src_addr":"10.0.1.100","dst_addr":"203.0.113.66","proto":"TCP","src_port":50001,"dst_port":443}`
	goflow1 = `{"Bytes":20800,"DstAddr":"CgAAAQ==","DstPort":36936,"Proto":6,"SamplerAddress":"ZEAACA==","SrcAddr":"10.130.2.13","SrcPort":3100,"TCPFlags":0,"TimeFlowEnd":0,"TimeFlowStart":0,"TimeReceived":1795300061,"Type":4}`
)

func ends(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func seconds(n int64) event.Time { return event.Time{At: n * event.Second, Res: event.Second} }

// vpcWant is the connection of vpcOut and vpcBack.
func vpcWant(out, in int64) *event.Flow {
	return &event.Flow{Protocol: "tcp", Src: ends("10.3.0.14:41446"), Dst: ends("203.0.113.66:3333"), End: seconds(1795300060), BytesOut: out, BytesIn: in, State: "ACCEPT", Answered: true,
		Seen: &event.VMRef{Interface: "eni-1", Project: "222222222222"}}
}

func TestVPCFlow(t *testing.T) {
	at := seconds(1795300000)
	custom := "instance-id pkt-dstaddr dstaddr srcaddr pkt-srcaddr start end dstport srcport protocol bytes packets tcp-flags flow-direction vpc-id subnet-id region az-id interface-id account-id action log-status\n" +
		"i-1 203.0.113.66 10.0.0.9 10.3.0.14 10.3.0.77 1795300000 1795300060 3333 41446 6 99 1 2 egress vpc-1 subnet-1 eu-central-1 euc1-az1 eni-1 222222222222 ACCEPT OK\n"
	customWant := &event.Flow{Protocol: "tcp", Src: ends("10.3.0.77:41446"), Dst: ends("203.0.113.66:3333"), End: seconds(1795300060), BytesOut: 99, BytesIn: -1, State: "ACCEPT", Answered: true,
		SrcVM: &event.VMRef{ID: "i-1", Interface: "eni-1", Project: "222222222222", Zone: "euc1-az1", Network: "vpc-1", Subnet: "subnet-1"}}
	rejected := vpcWant(21240, -1)
	rejected.State, rejected.Answered = "REJECT", false
	noPorts := &event.Flow{Protocol: "icmp", Src: ends("10.3.0.14:0"), Dst: ends("203.0.113.66:0"), End: seconds(1795300060), BytesOut: 84, BytesIn: -1, State: "ACCEPT", Answered: true, Seen: vpcWant(0, 0).Seen}
	for _, c := range []struct {
		why, text string
		want      sourcetest.Want
	}{
		{"one direction", vpcOut, sourcetest.Want{At: at, Body: vpcWant(21240, -1)}},
		{"the answers alone are seen from who began", vpcBack, sourcetest.Want{At: at, Body: vpcWant(-1, 24880)}},
		{"both directions are one flow", vpcOut + vpcBack, sourcetest.Want{At: at, Body: vpcWant(21240, 24880)}},
		{"in any order, with a header", vpcHead + vpcBack + vpcOut, sourcetest.Want{At: at, Body: vpcWant(21240, 24880)}},
		{"as CloudWatch exports it", "2026-11-21T22:28:00.000Z " + vpcOut, sourcetest.Want{At: at, Body: vpcWant(21240, -1)}},
		{"any order of fields", custom, sourcetest.Want{At: at, Body: customWant}},
		{"refused", strings.Replace(vpcOut, "ACCEPT", "REJECT", 1), sourcetest.Want{At: at, Body: rejected}},
		{"ICMP", "2 222222222222 eni-1 10.3.0.14 203.0.113.66 0 0 1 1 84 1795300000 1795300060 ACCEPT OK\n", sourcetest.Want{At: at, Body: noPorts}},
		{"nothing was seen", "2 222222222222 eni-1 - - - - - - - 1795300000 1795300060 - NODATA\n", sourcetest.Want{}},
		{"something was missed", "2 222222222222 eni-1 - - - - - - - 1795300000 1795300060 - SKIPDATA\n", sourcetest.Want{At: at, Body: &event.Loss{Reason: "records of a VPC flow log were skipped", Count: -1}}},
		{"another number of fields", "2 222222222222 eni-1 10.3.0.14\n", sourcetest.Want{Fault: "want the 14 fields"}},
		{"no address", strings.Replace(vpcOut, "10.3.0.14", "here", 1), sourcetest.Want{Fault: "not an address"}},
		{"no port", strings.Replace(vpcOut, "41446", "99999", 1), sourcetest.Want{Fault: "not a port"}},
		{"no time", strings.Replace(vpcOut, "1795300000", "now", 1), sourcetest.Want{Fault: "start: time"}},
	} {
		t.Run(c.why, func(t *testing.T) { sourcetest.Check(t, VPCFlow(), c.text, c.want) })
	}
	events, _ := sourcetest.Decode(t, VPCFlow(), vpcOut+vpcBack)
	if again, _ := sourcetest.Decode(t, VPCFlow(), vpcBack+vpcOut); events[0].ID != again[0].ID || len(events[0].Origin.Spans) != 2 || events[0].Place.Account != "222222222222" {
		t.Errorf("%+v", events[0])
	}
}

// A server's answers are no connections to its clients.
func TestRepliesAreKnown(t *testing.T) {
	for _, c := range []struct {
		src, dst string
		flags    int64
		reply    bool
	}{
		{"10.0.0.1:50000", "203.0.113.1:443", -1, false}, {"10.0.0.1:443", "203.0.113.1:50000", -1, true},
		{"10.0.0.1:443", "203.0.113.1:50000", 2, false}, {"10.0.0.1:50000", "203.0.113.1:443", 18, true},
		{"10.0.0.1:50000", "203.0.113.1:50001", -1, false}, {"10.0.0.1:3333", "203.0.113.1:2222", -1, true},
		{"10.0.0.1:20000", "203.0.113.1:50001", 1, true}, {"10.0.0.1:0", "203.0.113.1:0", -1, false},
	} {
		if got := isReply("tcp", ends(c.src), ends(c.dst), c.flags); got != c.reply {
			t.Errorf("%s to %s with flags %d: reply %v", c.src, c.dst, c.flags, got)
		}
	}
}

func TestVPCFlowJSON(t *testing.T) {
	at := seconds(1795300000)
	plain := `{"version":2.0,"account_id":"222222222222","interface_id":"eni-1","srcaddr":"10.3.0.14","dstaddr":"203.0.113.66","srcport":41446.0,"dstport":3333.0,"protocol":6.0,"packets":31.0,"bytes":21240.0,"start":1795300000,"end":1795300060,"action":"ACCEPT","log_status":"OK"}`
	noTime := &event.Flow{Src: ends("1.1.1.1:0"), Dst: ends("10.0.0.1:22"), BytesOut: -1, BytesIn: -1, Answered: true}
	ocsf := &event.Flow{Protocol: "tcp", Src: ends("10.3.0.14:41446"), Dst: ends("203.0.113.66:3333"), End: event.Time{At: 1795300060 * event.Second, Res: event.Millisecond}, BytesOut: 5, BytesIn: -1, Answered: true}
	for _, c := range []struct {
		why, text string
		want      sourcetest.Want
	}{
		{"floats", plain, sourcetest.Want{At: at, Body: vpcWant(21240, -1)}},
		{"hyphens", strings.NewReplacer("account_id", "account-id", "interface_id", "interface-id", "log_status", "log-status").Replace(plain), sourcetest.Want{At: at, Body: vpcWant(21240, -1)}},
		{"without a time", `{"dstPort":22,"dstAddr":"10.0.0.1","srcAddr":"1.1.1.1","p_log_type":"AWS.VPCFlow"}`, sourcetest.Want{Body: noTime}},
		{"only a status", `{"status":"OK","p_log_type":"AWS.VPCFlow"}`, sourcetest.Want{}},
		{"no address", `{"srcAddr":"null","dstAddr":"10.0.0.1"}`, sourcetest.Want{}},
		{"OCSF", `{"class_uid":4001,"src_endpoint":{"ip":"10.3.0.14","port":41446},"dst_endpoint":{"ip":"203.0.113.66","port":3333},"connection_info":{"protocol_num":6},"traffic":{"bytes":5},"start_time":1795300000000,"end_time":1795300060000}`,
			sourcetest.Want{At: event.Time{At: at.At, Res: event.Millisecond}, Body: ocsf}},
		{"OCSF, something was missed", `{"class_uid":4001,"status":"Success","src_endpoint":{"interface_uid":"eni-1"},"dst_endpoint":{},"status_code":"SKIPDATA","start_time":1795300000000,"end_time":1795300060000}`,
			sourcetest.Want{At: event.Time{At: at.At, Res: event.Millisecond}, Body: &event.Loss{Reason: "records of a VPC flow log were skipped", Count: -1}}},
		{"OCSF with one time", `{"class_uid":4001,"src_endpoint":{"ip":"10.3.0.14","port":41446},"dst_endpoint":{"ip":"203.0.113.66","port":3333},"connection_info":{"protocol_num":6},"traffic":{"bytes":5},"time":1795300000000,"time_dt":"2026-11-21 22:26:40.000"}`,
			sourcetest.Want{At: event.Time{At: at.At, Res: event.Millisecond}, Body: &event.Flow{Protocol: "tcp", Src: ocsf.Src, Dst: ocsf.Dst, BytesOut: 5, BytesIn: -1, Answered: true}}},
		{"CloudWatch", `{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","message":"` + strings.TrimSpace(vpcOut) + `"}]}`, sourcetest.Want{At: at, Body: vpcWant(21240, -1)}},
		{"a shipper", `{"message":` + fmt.Sprintf("%q", plain) + `}`, sourcetest.Want{At: at, Body: vpcWant(21240, -1)}},
		{"something else", `{"a":1}`, sourcetest.Want{Fault: "not a VPC flow record"}},
	} {
		t.Run(c.why, func(t *testing.T) { sourcetest.Check(t, VPCFlowJSON(), c.text, c.want) })
	}
}

func TestGCPFlow(t *testing.T) {
	at, err := event.ParseRFC3339("2026-11-21T22:26:40.1Z")
	if err != nil {
		t.Fatal(err)
	}
	end, vm := event.Time{At: at.At + 60*event.Second, Res: at.Res}, &event.VMRef{Name: "vm-1", Project: "p1", Zone: "us-central1-a", Network: "net", Subnet: "sub"}
	want := &event.Flow{Protocol: "tcp", Src: ends("10.128.0.5:49168"), Dst: ends("203.0.113.66:3333"), End: end, BytesOut: 420, BytesIn: -1, State: "SRC", Answered: true, SrcVM: vm, SrcPod: event.PodRef{Namespace: "prod", Pod: "web-1"}.Told()}
	back := strings.NewReplacer(`"src_ip"`, `"dest_ip"`, `"dest_ip"`, `"src_ip"`, `"src_port"`, `"dest_port"`, `"dest_port"`, `"src_port"`, "src_instance", "dest_instance", "src_vpc", "dest_vpc", "src_gke", "dest_gke").Replace(gcpLine)
	backWant := *want
	backWant.BytesOut, backWant.BytesIn = -1, 420
	for why, c := range map[string]struct {
		text string
		want sourcetest.Want
	}{
		"bare":           {gcpLine, sourcetest.Want{At: at, Body: want}},
		"the answers":    {back, sourcetest.Want{At: at, Body: &backWant}},
		"an array":       {"[" + gcpLine + "]", sourcetest.Want{At: at, Body: want}},
		"Pub/Sub":        {`{"message":{"data":"` + base64.StdEncoding.EncodeToString([]byte(gcpLine)) + `"}}`, sourcetest.Want{At: at, Body: want}},
		"another log":    {`{"logName":"projects/p1/logs/x","jsonPayload":{"a":1}}`, sourcetest.Want{}},
		"no address":     {strings.Replace(gcpLine, "10.128.0.5", "here", 1), sourcetest.Want{Fault: "src_ip"}},
		"something":      {`{"a":1}`, sourcetest.Want{Fault: "not a VPC flow log entry"}},
		"a day, no time": {strings.Replace(gcpLine, "2026-11-21T22:26:40.1Z", "today", 1), sourcetest.Want{Fault: "start_time"}},
	} {
		t.Run(why, func(t *testing.T) { sourcetest.Check(t, GCPFlow(), c.text, c.want) })
	}
	events, _ := sourcetest.Decode(t, GCPFlow(), gcpLine)
	if events[0].Place != (event.Place{Account: "p1", Region: "us-central1"}) {
		t.Errorf("%+v", events[0].Place)
	}
}

func TestAzureFlow(t *testing.T) {
	at := seconds(1795300000)
	vm := &event.VMRef{MAC: "02:aa:00:00:00:01", Project: "s-1"}
	want := &event.Flow{Protocol: "tcp", Src: ends("10.5.0.5:56689"), Dst: ends("203.0.113.66:4444"), End: seconds(1795300060), BytesOut: 9000, BytesIn: 9900, State: "A,C", Answered: true, SrcVM: vm}
	v1 := *want
	v1.End, v1.BytesOut, v1.BytesIn, v1.State = event.Time{}, -1, -1, "A"
	one := strings.NewReplacer(`,B,,,,"`, `"`, `,"1795300060,10.5.0.5,203.0.113.66,56689,4444,T,O,A,C,15,9000,10,9900"`, "").Replace(nsgLine)
	for _, c := range []struct {
		why, text string
		want      sourcetest.Want
	}{
		{"the tuples of a connection", nsgLine, sourcetest.Want{At: at, Body: want}},
		{"an hour's file", `{"records":[` + nsgLine + `]}`, sourcetest.Want{At: at, Body: want}},
		{"version 1", one, sourcetest.Want{At: at, Body: &v1}},
		{"no tuples", strings.Replace(one, `"1795300000,10.5.0.5,203.0.113.66,56689,4444,T,O,A"`, "", 1), sourcetest.Want{}},
		{"another category", `{"category":"NetworkSecurityGroupEvent","time":"2026-11-21T22:28:00Z"}`, sourcetest.Want{}},
		{"a short tuple", strings.Replace(one, ",T,O,A", "", 1), sourcetest.Want{Fault: "5 fields"}},
		{"something else", `{"a":1}`, sourcetest.Want{Fault: "not an Azure flow record"}},
	} {
		t.Run(c.why, func(t *testing.T) { sourcetest.Check(t, AzureFlow(), c.text, c.want) })
	}
	events, tally := sourcetest.Decode(t, AzureFlow(), `{"records":[`+vnetRec+`]}`)
	if len(events) != 2 || tally.Beside != 1 || events[0].Place.Account != "s-1" {
		t.Fatalf("%+v %+v", events, tally)
	}
	if nic := azureUpTo("/subscriptions/s/providers/microsoft.network/networkinterfaces/nic/x", "networkinterfaces"); nic != "/subscriptions/s/providers/microsoft.network/networkinterfaces/nic" {
		t.Error(nic)
	}
	milli := event.Time{At: 1795300000_100 * event.Millisecond, Res: event.Millisecond}
	ref := &event.VMRef{MAC: "02:aa:00:00:00:01", Project: "s-1", Network: "/subscriptions/s-1/resourcegroups/rg/providers/microsoft.network/virtualnetworks/vnet-1"}
	sourcetest.CheckEvent(t, events[0], milli, &event.Flow{Protocol: "tcp", Src: ends("10.5.0.5:56689"), Dst: ends("203.0.113.66:4444"), End: event.Time{At: milli.At + 60*event.Second, Res: milli.Res}, BytesOut: 767, BytesIn: 1580, State: "E", Answered: true, SrcVM: ref})
	sourcetest.CheckEvent(t, events[1], milli, &event.Flow{Protocol: "tcp", Src: ends("203.0.113.7:50000"), Dst: ends("10.5.0.5:22"), State: "D", DstVM: ref})
}

func TestNetFlow(t *testing.T) {
	at := event.Time{At: 1795300000_100 * event.Millisecond, Res: 1}
	want := &event.Flow{Protocol: "tcp", Src: ends("10.0.1.100:50001"), Dst: ends("203.0.113.66:443"), End: event.Time{At: at.At + 60*event.Second, Res: 1}, BytesOut: 1500, BytesIn: -1, Answered: true}
	old := &event.Flow{Protocol: "tcp", Src: ends("10.0.0.1:36936"), Dst: ends("10.130.2.13:3100"), BytesOut: -1, BytesIn: 20800, Answered: true}
	for why, c := range map[string]struct {
		text string
		want sourcetest.Want
	}{
		"goflow2":               {goflow2, sourcetest.Want{At: at, Body: want}},
		"goflow, without start": {goflow1, sourcetest.Want{Body: old}},
		"no address":            {strings.Replace(goflow2, "10.0.1.100", "x", 1), sourcetest.Want{Fault: "source"}},
		"no time":               {strings.Replace(goflow1, "1795300061", "0", 1), sourcetest.Want{Fault: "no time"}},
		"something else":        {`{"a":1}`, sourcetest.Want{Fault: "not a flow"}},
	} {
		t.Run(why, func(t *testing.T) { sourcetest.Check(t, NetFlow(), c.text, c.want) })
	}
}

func TestCloudFlowsAreRecognised(t *testing.T) {
	for text, want := range map[string]string{
		vpcOut: "aws-vpcflow", vpcHead: "aws-vpcflow", "2026-11-21T22:28:00.000Z " + vpcOut: "aws-vpcflow",
		"${version} ${srcaddr} ${dstaddr} ${log-status}\n2 10.0.0.1 10.0.0.2 OK\n": "aws-vpcflow",
		`{"dstPort":22,"dstAddr":"10.0.0.1","srcAddr":"1.1.1.1"}`:                  "aws-vpcflow-json",
		`{"status":"OK","p_log_type":"AWS.VPCFlow"}`:                               "aws-vpcflow-json",
		gcpLine: "gcp-vpcflow", nsgLine: "azure-flow", vnetRec: "azure-flow", `{"records":[` + vnetRec + `]}`: "azure-flow",
		goflow1: "netflow-json", goflow2: "netflow-json",
	} {
		if got := recognised(t, text); got != want {
			t.Errorf("%.80s: %q, want %q", text, got, want)
		}
	}
}

func anyFlow(b event.Body) bool { _, ok := b.(*event.Flow); return ok }

func fuzzCloud(f *testing.F, format *source.Format, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	sourcetest.Fuzz(f, format, anyFlow, func(t *testing.T, e event.Event) {
		if b, ok := e.Body.(*event.Flow); ok && (!b.Src.IsValid() || !b.Dst.IsValid() || b.BytesOut < -1 || b.BytesIn < -1 || !b.End.IsZero() && b.End.At < e.Time.At) {
			t.Fatalf("bad flow at %+v: %+v", e.Time, b)
		}
	})
}

func FuzzVPCFlow(f *testing.F) {
	fuzzCloud(f, VPCFlow(), vpcHead+vpcOut+vpcBack, vpcBack, "srcaddr dstaddr start end flow-direction\n10.0.0.1 ::1 1 2 egress\n", "2 2 eni-1 - - - - - - - 1795300000 1795300060 - SKIPDATA")
}

func FuzzVPCFlowJSON(f *testing.F) {
	fuzzCloud(f, VPCFlowJSON(), `{"srcAddr":"::1","dstAddr":"10.0.0.1","start":1,"end":2,"tcp-flags":3.0}`, `{"logEvents":[{"message":"`+strings.TrimSpace(vpcOut)+`"}]}`, `{"src_endpoint":{"ip":"10.3.0.14"},"dst_endpoint":{"ip":"203.0.113.66"},"start_time":1795300000000}`)
}

func FuzzGCPFlow(f *testing.F) {
	fuzzCloud(f, GCPFlow(), gcpLine, `{"message":{"data":"`+base64.StdEncoding.EncodeToString([]byte(gcpLine))+`"}}`)
}

func FuzzAzureFlow(f *testing.F) {
	fuzzCloud(f, AzureFlow(), nsgLine, vnetRec, `{"records":[`+vnetRec+`]}`)
}

func FuzzNetFlow(f *testing.F) { fuzzCloud(f, NetFlow(), goflow1, goflow2) }

func BenchmarkCloud(b *testing.B) {
	for _, c := range []struct {
		format     *source.Format
		head, line string
		port       string
	}{
		{VPCFlow(), vpcHead, vpcOut + vpcBack, "41446"}, {VPCFlowJSON(), "", `{"account_id":"2","interface_id":"eni-1","srcaddr":"10.3.0.14","dstaddr":"203.0.113.66","srcport":41446,"dstport":3333,"protocol":6,"bytes":21240,"start":1795300000,"end":1795300060,"action":"ACCEPT","log_status":"OK"}` + "\n", "41446"},
		{GCPFlow(), "", gcpLine + "\n", "49168"}, {AzureFlow(), "", nsgLine + "\n", "56689"}, {NetFlow(), "", goflow2 + "\n", "50001"},
	} {
		sourcetest.Bench(b, c.format, sourcetest.Fill(c.head, func(n int64) string { return strings.ReplaceAll(c.line, c.port, fmt.Sprint(40000+n%20000)) }))
	}
}

// TestSharedCloud reads clouds' flows outside the repository without loss.
func TestSharedCloud(t *testing.T) {
	var files []string
	for folder, is := range map[string]func(string) bool{
		"data/aws_vpcflow": func(p string) bool { return strings.HasSuffix(p, ".ndjson") && !strings.Contains(p, "dns_crypto") },
		"data/azure_flow":  func(p string) bool { return strings.HasSuffix(p, ".json") }, "data/netflow_json": func(p string) bool { return strings.HasSuffix(p, ".json") },
		"scenarios": func(p string) bool {
			return strings.HasSuffix(p, "vpcflow.log") || strings.HasSuffix(p, "gcp-vpcflow.log") || strings.HasSuffix(p, "azure-flow.log")
		},
	} {
		files = append(files, sourcetest.SharedFiles(t, folder, is)...)
	}
	n := 0
	for _, path := range files {
		n += len(sourcetest.ReadShared(t, path, formats()...))
	}
	t.Logf("%d files, %d events", len(files), n)
}

// OCSF's network activity is the flow log's where no device and no process tell it.
func TestWhoseOCSFItIs(t *testing.T) {
	flow := `{"class_uid": 4001,"activity_id":6,"metadata":{"product":{"name":"Amazon VPC"}},"time":1795300000000,"src_endpoint":{"ip":"10.3.0.14"},"dst_endpoint":{"ip":"203.0.113.66"}}`
	agent := strings.Replace(flow, `"time"`, `"device":{"hostname":"h"},"actor":{"process":{"pid":7}},"time"`, 1)
	for text, mine := range map[string]bool{flow: true, agent: false, strings.Replace(flow, "4001", "40010", 1): false} {
		if got := sourcetest.Sniff(VPCFlowJSON(), text) > sourcetest.Sniff(agents.Events(), text); got != mine {
			t.Errorf("%s: the flow log's: %v", text, got)
		}
	}
}
