package flow

import (
	"net/netip"
	"slices"

	"tidewaiter/event"
)

// Clouds and routers record each direction of a connection by itself, and few
// say who began it. A reply that were taken for a connection would make every
// server one that reaches out to its clients.

// TCP flags as flow records sum them up.
const (
	tcpSYN = 2
	tcpACK = 16
)

// isReply reports whether a record from src to dst is about the answers: by the
// flags of a beginning if there are any, else by the ports. flags is -1 when
// unknown.
func isReply(p event.Protocol, src, dst netip.AddrPort, flags int64) bool {
	if p == "tcp" && flags > 0 && flags&tcpSYN != 0 {
		return flags&tcpACK != 0
	}
	return hasPorts(p) && serverRank(src.Port()) > serverRank(dst.Port())
}

// serverRank is how much a port looks like a server's: systems take the ports
// of clients from 32768 on (Linux) or 49152 on (IANA, Windows).
func serverRank(port uint16) int {
	switch {
	case port == 0:
		return 0
	case port < 1024:
		return 4
	case slices.Contains(serverPorts, port):
		return 3
	case port < 32768:
		return 2
	}
	return 1
}

// serverPorts are ports from 1024 on that are known for servers; of two ports
// below 32768 that are neither, nobody can say which is the server's.
var serverPorts = []uint16{1433, 1521, 2049, 2375, 2376, 2379, 3000, 3306, 3333, 3389, 4222, 4444, 5000, 5044, 5432, 5555, 5672, 5900, 5985, 5986, 6379, 6443, 6667, 7777,
	8000, 8080, 8086, 8088, 8443, 8888, 9000, 9090, 9092, 9093, 9200, 9300, 9418, 9999, 10250, 10255, 11211, 14444, 27017}

// turned is the flow as seen from who began it.
func turned(f *event.Flow) *event.Flow {
	f.Src, f.Dst = f.Dst, f.Src
	f.BytesOut, f.BytesIn = f.BytesIn, f.BytesOut
	f.SrcVM, f.DstVM = f.DstVM, f.SrcVM
	f.SrcPod, f.DstPod = f.DstPod, f.SrcPod
	return f
}
