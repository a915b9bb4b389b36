package flow

import (
	"fmt"
	"strings"
	"testing"

	"tidewaiter/source/sourcetest"
)

func BenchmarkConntrack(b *testing.B) {
	sourcetest.Bench(b, Conntrack(), sourcetest.Fill("", func(i int64) string {
		port, id := fmt.Sprintf("sport=%d", 1024+i%60000), fmt.Sprintf("id=%d", i)
		return strings.NewReplacer("sport=41446", port, "id=731", id).Replace(newTCP + endTCP)
	}))
}

func BenchmarkConntrackNewOnly(b *testing.B) {
	sourcetest.Bench(b, Conntrack(), sourcetest.Fill("", func(i int64) string {
		return strings.Replace(newTCP, "id=731", fmt.Sprintf("id=%d", i), 1)
	}))
}

func BenchmarkZeekConn(b *testing.B) {
	sourcetest.Bench(b, ZeekConn(), sourcetest.Fill(connHeader, func(i int64) string {
		return strings.Replace(connLine, "41446", fmt.Sprint(1024+i%60000), 1)
	}))
}

func BenchmarkZeekDNS(b *testing.B) {
	sourcetest.Bench(b, ZeekDNS(), sourcetest.Fill(dnsHeader, func(i int64) string {
		return strings.Replace(dnsLine, "4660", fmt.Sprint(i%65536), 1)
	}))
}

func BenchmarkZeekConnJSON(b *testing.B) {
	sourcetest.Bench(b, ZeekConnJSON(), sourcetest.Fill("", func(i int64) string {
		return fmt.Sprintf(`{"ts":1795300000.1002,"uid":"CtideA1b2c3d4e5f6","id.orig_h":"10.42.0.7","id.orig_p":%d,"id.resp_h":"203.0.113.66","id.resp_p":3333,"proto":"tcp","duration":60.3003,"orig_bytes":900,"resp_bytes":7000,"conn_state":"SF","local_orig":true,"local_resp":false,"missed_bytes":0,"history":"ShADadFf","orig_pkts":9,"orig_ip_bytes":1300,"resp_pkts":8,"resp_ip_bytes":7400}`, 1024+i%60000) + "\n"
	}))
}

func BenchmarkZeekDNSJSON(b *testing.B) {
	sourcetest.Bench(b, ZeekDNSJSON(), sourcetest.Fill("", func(i int64) string {
		return fmt.Sprintf(`{"ts":1795300000.1002,"uid":"CtideA1b2c3d4e5f7","id.orig_h":"10.42.0.7","id.orig_p":53100,"id.resp_h":"10.96.0.10","id.resp_p":53,"proto":"udp","trans_id":%d,"rtt":0.021,"query":"pool.example","qclass":1,"qclass_name":"C_INTERNET","qtype":1,"qtype_name":"A","rcode":0,"rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,"answers":["edge.pool.example","203.0.113.66","203.0.113.67"],"TTLs":[30.0,30.0,30.0],"rejected":false}`, i%65536) + "\n"
	}))
}

func BenchmarkHubble(b *testing.B) {
	sourcetest.Bench(b, Hubble(), sourcetest.Fill("", func(i int64) string {
		port := fmt.Sprint(1024 + i/4%60000)
		if i%4 == 0 {
			return strings.Replace(packetOf(1, tcpOf(syn), "", egress), "41446", port, 1)
		}
		return strings.Replace(packetOf(int(1+i%4), tcpOf(ack), "", egress), "41446", port, 1)
	}))
}

func BenchmarkHubbleWhole(b *testing.B) {
	records := [...]string{packetOf(1, tcpOf(syn), "", egress), packetOf(2, back(synAck), "reply", replied), packetOf(3, tcpOf(ack), "", egress), packetOf(4, tcpOf(finAck), "", egress)}
	sourcetest.Bench(b, Hubble(), sourcetest.Fill("", func(i int64) string {
		return strings.Replace(records[i%4], "41446", fmt.Sprint(1024+i/4%60000), 1)
	}))
}

func BenchmarkZeekHTTP(b *testing.B) {
	sourcetest.Bench(b, ZeekHTTP(), sourcetest.Fill(httpHeader, func(i int64) string {
		return strings.Replace(httpLine, "41446", fmt.Sprint(1024+i%60000), 1)
	}))
}

func BenchmarkZeekHTTPJSON(b *testing.B) {
	sourcetest.Bench(b, ZeekHTTPJSON(), sourcetest.Fill("", func(i int64) string {
		return fmt.Sprintf(`{"ts":1795300000.1002,"uid":"C1","id.orig_h":"10.42.0.7","id.orig_p":%d,"id.resp_h":"203.0.113.66","id.resp_p":2375,"trans_depth":1,"method":"POST","host":"pool.example","uri":"/v1.41/containers/create","version":"1.1","user_agent":"curl/8","request_body_len":180,"response_body_len":88,"status_code":201,"status_msg":"Created","tags":[]}`, 1024+i%60000) + "\n"
	}))
}

func BenchmarkZeekSSL(b *testing.B) {
	sourcetest.Bench(b, ZeekSSL(), sourcetest.Fill(sslHeader, func(i int64) string {
		return strings.Replace(sslLine, "41446", fmt.Sprint(1024+i%60000), 1)
	}))
}

func BenchmarkZeekSSLJSON(b *testing.B) {
	sourcetest.Bench(b, ZeekSSLJSON(), sourcetest.Fill("", func(i int64) string {
		return strings.Replace(sslJSON, "41446", fmt.Sprint(1024+i%60000), 1)
	}))
}

func BenchmarkSuricataEVE(b *testing.B) {
	sourcetest.Bench(b, SuricataEVE(), sourcetest.Fill("", func(i int64) string {
		return strings.Replace(eve(40, "flow", eveFlowBody), "731", fmt.Sprint(i), 1)
	}))
}
