package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// A hunt's garbage is collected once the heap has grown to roomy bytes, so that
// small hunts are spared most collections; where what is held is two thirds of that
// or more, once it has grown by half, so that large ones need little more than what
// they hold. GOGC, where it is set, says otherwise.
const (
	roomy     = 208 << 20
	leastGrow = 50  // per cent
	mostGrow  = 800 // per cent
)

// PaceGarbage sets the pace of collection for a program that hunts and then ends: now,
// and after each collection again.
func PaceGarbage() {
	if os.Getenv("GOGC") != "" {
		return
	}
	held := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	var pace func(struct{})
	pace = func(struct{}) {
		metrics.Read(held)
		debug.SetGCPercent(growth(held[0].Value.Uint64()))
		runtime.AddCleanup(new([16]byte), pace, struct{}{}) // as soon as the next collection is over
	}
	pace(struct{}{})
}

// growth is by how many per cent a heap may grow that holds so many bytes.
func growth(held uint64) int {
	if held == 0 {
		return mostGrow
	}
	return int(min(max((roomy-min(held, roomy))*100/held, leastGrow), mostGrow))
}
