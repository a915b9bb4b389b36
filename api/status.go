package api

import (
	"time"

	"tidewaiter/daemon"
)

// Status is the daemon's status as JSON, what "tidewaiter coverage" reads.
type Status struct {
	Host     string   `json:"host"`
	Version  string   `json:"version"`
	Ready    bool     `json:"ready"`
	NotReady string   `json:"not_ready,omitempty"`
	Sensors  []Sensor `json:"sensors"`
	Formats  []Format `json:"formats"`
	Sinks    []Sink   `json:"sinks"`
	Journal  Journal  `json:"journal"`
}

// Sensor is how a sensor is.
type Sensor struct {
	Name      string    `json:"name"`
	Condition string    `json:"condition"`
	Since     time.Time `json:"since"`
	Fault     string    `json:"fault,omitempty"`
	Mend      string    `json:"mend,omitempty"`
	Records   int64     `json:"records"`
	Lost      int64     `json:"lost"`
	Dropped   int64     `json:"dropped"`
	Gaps      int64     `json:"gaps"`
	Without   []Without `json:"without,omitempty"`
}

// Without is something that a sensor does not see.
type Without struct {
	What string `json:"what"`
	Mend string `json:"mend,omitempty"`
}

// Format is what was read of a format.
type Format struct {
	Name       string  `json:"name"`
	Source     string  `json:"source"`
	Records    int64   `json:"records"`
	Events     int64   `json:"events"`
	Unreadable int64   `json:"unreadable"`
	LagSeconds float64 `json:"lag_seconds"`
}

// Sink is how a sink is.
type Sink struct {
	Name     string `json:"name"`
	Due      int    `json:"due"`
	Dead     int    `json:"dead"`
	Failures int64  `json:"failures"`
}

// Journal is how large the journal is.
type Journal struct {
	Bytes   int64 `json:"bytes"`
	Pending int64 `json:"pending"`
}

func newStatus(d daemon.Status) Status {
	s := Status{Host: d.Host, Version: d.Version, Sensors: []Sensor{}, Formats: []Format{}, Sinks: []Sink{}, Journal: Journal{d.Journal.Bytes, d.Journal.Pending}}
	s.Ready, s.NotReady = d.Ready()
	s.Sensors = append(s.Sensors, Sensors(d.Sensors)...)
	for _, f := range d.Formats {
		s.Formats = append(s.Formats, Format{f.Format.Name, string(f.Format.Source), f.Records, f.Events, f.Unreadable, f.Lag.Seconds()})
	}
	for _, o := range d.Sinks {
		s.Sinks = append(s.Sinks, Sink{o.Name, o.Due, o.Dead, o.Failures})
	}
	return s
}

// Sensors tells how sensors are.
func Sensors(all []daemon.SensorStatus) []Sensor {
	out := make([]Sensor, 0, len(all))
	for _, w := range all {
		one := Sensor{w.Name, string(w.Condition), w.Since, w.Fault, w.Mend, w.Records, w.Lost, w.Dropped, w.Gaps, nil}
		for _, o := range w.Without {
			one.Without = append(one.Without, Without(o))
		}
		out = append(out, one)
	}
	return out
}
