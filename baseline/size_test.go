package baseline_test

import (
	"fmt"
	"runtime"
	"testing"

	"tidewaiter/baseline"
)

// BenchmarkBytesPerKey reports what a key takes: seen by one subject that still
// lives, and settled.
func BenchmarkBytesPerKey(b *testing.B) {
	const keys = 500_000
	for b.Loop() {
		before := heap()
		m := baseline.New()
		for c := range keys / 10 {
			seen := baseline.Sightings{}
			for k := range 10 {
				seen.See(baseline.NewKey("image", fmt.Sprint(c*10+k)), int64(c))
			}
			m.Replace(fmt.Sprint("container:main/node:", c), seen)
		}
		live := heap() - before
		for c := range keys / 10 {
			m.Settle(fmt.Sprint("container:main/node:", c))
		}
		settled := heap() - before
		b.ReportMetric(float64(live)/keys, "B/key-live")
		b.ReportMetric(float64(settled)/keys, "B/key-settled")
		runtime.KeepAlive(m)
	}
}

// heap is what is in use once garbage is gone.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
