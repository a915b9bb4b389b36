package daemon

import (
	"context"
	"sync"
	"time"

	"tidewaiter/sensor"
)

// Probe lets every sensor begin to watch, and end as soon as it does: what would
// work here, and what is lacking. Nothing is recorded. A sensor that is not ready
// in time is told as starting.
func Probe(ctx context.Context, sensors []sensor.Sensor, wait time.Duration) []SensorStatus {
	all := make([]SensorStatus, len(sensors))
	var wg sync.WaitGroup
	for i, s := range sensors {
		wg.Go(func() { all[i] = probe(ctx, s, wait) })
	}
	wg.Wait()
	return all
}

// nobody is a Recorder that keeps nothing but that the sensor is ready.
type nobody struct {
	sensor sensor.Sensor
	ready  func([]Without)
}

func (nobody) Record(sensor.Lane, []byte) {}
func (nobody) Lost(string, int64)         {}
func (nobody) Mark(string)                {}
func (nobody) Resume() string             { return "" }
func (n nobody) Ready()                   { n.ready(without(n.sensor)) }

func probe(ctx context.Context, s sensor.Sensor, wait time.Duration) SensorStatus {
	status := SensorStatus{Name: s.Name(), Condition: Starting, Since: time.Now()}
	ctx, stop := context.WithTimeout(ctx, wait)
	defer stop()
	var mu sync.Mutex
	err := s.Watch(ctx, nobody{s, func(w []Without) {
		mu.Lock()
		defer mu.Unlock()
		status.Condition, status.Without = Watching, w
		stop()
	}})
	mu.Lock()
	defer mu.Unlock()
	if status.Condition == Watching || err == nil {
		return status
	}
	status.Condition, status.Fault = Interrupted, err.Error()
	if lack, ok := sensor.AsLack(err); ok {
		status.Condition, status.Mend = Lacking, lack.Mend
	}
	return status
}

// without is what a sensor says that it does without.
func without(s sensor.Sensor) (out []Without) {
	if l, ok := s.(lesser); ok {
		for _, lack := range l.Lacks() {
			out = append(out, Without{lack.Error(), lack.Mend})
		}
	}
	return out
}
