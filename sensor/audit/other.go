//go:build !linux

package audit

import (
	"context"

	"tidewaiter/sensor"
)

// Watch implements sensor.Sensor: here it says that it cannot.
func (s *Sensor) Watch(context.Context, sensor.Recorder) error {
	s.SetLacks(nil)
	return &sensor.Lack{What: "the audit system is Linux's", Mend: "watch a Linux host"}
}
