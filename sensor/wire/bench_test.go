package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tidewaiter/sensor/sensortest"
)

// BenchmarkPackets is what a packet costs that the kernel's filter let pass, by
// its kind: all of it behind the system call.
func BenchmarkPackets(b *testing.B) {
	ask := asking(7, "files.example.")
	hello := greet(b, "pool.example", nil)
	body := strings.Repeat("x", 32<<10)
	for name, make := range map[string]func(i int) []sent{
		"question and answer": func(i int) []sent {
			port := fmt.Sprintf("192.0.2.10:%d", 1024+i%50000)
			return []sent{{port, dnsAt, uint32(i), true, string(ask)}, {dnsAt, port, uint32(i), true, string(answerTo(ask))}}
		},
		"greeting": func(i int) []sent { return []sent{{client, "203.0.113.66:443", uint32(i), false, hello}} },
		"copy of a greeting": func(i int) []sent {
			return []sent{{client, "203.0.113.66:443", 1, false, hello}}
		},
		"request and answer": func(i int) []sent {
			return []sent{{client, api, uint32(1 + i*39), false, "GET /v1.41/info HTTP/1.1\r\nHost: h:2375\r\n\r\n"}, {api, client, uint32(1 + i*39), false, "HTTP/1.1 200 OK\r\n\r\n"}}
		},
		"32 KiB of a body": func(i int) []sent {
			if i == 0 {
				return []sent{{client, api, 1, false, "POST /build HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n"}}
			}
			return []sent{{client, api, uint32(1 + 54 + (i-1)<<15), false, body}}
		},
	} {
		b.Run(name, func(b *testing.B) {
			r := newReader(sensortest.New(""))
			packets := [][]byte{}
			n := min(b.N, 4096)
			for i := range n {
				for _, s := range make(i) {
					packets = append(packets, s.bytes())
				}
			}
			at, each := start, len(packets)/n
			b.ResetTimer()
			b.ReportAllocs()
			for i := range b.N {
				for _, data := range packets[i%n*each : i%n*each+each] {
					var p packet
					at = at.Add(time.Millisecond)
					if p.parse(data, meta{at: at}) {
						r.packet(&p)
					}
				}
				if i%256 == 0 {
					r.dns.buf.Reset()
					r.tls.buf.Reset()
					r.http.buf.Reset()
				}
			}
		})
	}
}
