//go:build !linux || !(amd64 || arm64)

package kernel

import (
	"context"

	"tidewaiter/sensor"
)

// Watch implements sensor.Sensor: here it says that it cannot.
func (s *Sensor) Watch(context.Context, sensor.Recorder) error {
	s.SetLacks(nil)
	return &sensor.Lack{What: "eBPF programs are for Linux on amd64 and arm64 only", Mend: "another sensor: audit, or the runtimes' own events"}
}
