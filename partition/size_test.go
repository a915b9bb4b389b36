package partition_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"tidewaiter/event"
	"tidewaiter/image"
	"tidewaiter/partition"
)

// BenchmarkBytesPerContainer reports what a container takes that runs and does
// next to nothing: its creation and start are told, then one program and one
// connection beside them. The events themselves are part of it.
func BenchmarkBytesPerContainer(b *testing.B) {
	const containers, hosts = 20_000, 100
	ref := image.Parse("good.example/app:1")
	for b.Loop() {
		before := heap()
		p := partition.New(partition.Options{Name: "p", Library: library(b), Policy: parsePolicy(b, strictPolicy), Hold: 1000, Alone: true})
		empty := heap() - before
		live := func(quiet bool) float64 {
			for i := range containers {
				host, n := fmt.Sprintf("host-%d", i%hosts), i/hosts
				id := fmt.Sprintf("%012x%052x", i, 7)
				at := epoch + int64(i)*event.Second
				add := func(offset int64, src event.Source, body event.Body) {
					p.Apply(event.Event{ID: event.NewID(id, fmt.Sprint(offset)), Time: event.Time{At: at + offset, Res: 1}, Place: event.Place{Host: host}, Body: body,
						Origin: event.Origin{Source: src, Format: string(src), File: "log", Spans: []event.Span{{Line: i + 1}}}})
				}
				if quiet {
					add(0, event.Docker, &event.Container{Action: event.ContainerCreate, ID: id, Image: ref})
					add(1, event.Containerd, &event.Task{Action: event.TaskStart, Container: id, PID: 1000 + n})
					continue
				}
				add(2, event.Auditd, &event.Process{PID: 1000 + n, PPID: 1, Exe: "/bin/app", Args: []string{"app"}, AUID: -1})
				add(3, event.Conntrack, &event.Flow{Protocol: "tcp", Src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 17, byte(n >> 8), byte(n)}), 4000), Dst: netip.MustParseAddrPort("10.0.0.1:443")})
			}
			p.Advance(epoch)
			p.Tidy()
			return float64(heap()-before-empty) / containers
		}
		quiet := live(true)
		b.ReportMetric(quiet, "B/quiet-container")
		busy := live(false)
		b.ReportMetric(busy-quiet, "B/process+flow")
		p.Sync()
		b.ReportMetric(float64(heap()-before-empty)/containers-busy, "B/assessment")
		runtime.KeepAlive(p)
	}
}

// heap is what is in use once garbage is gone.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
