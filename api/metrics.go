package api

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"tidewaiter/daemon"
)

// collector gives the daemon's status as metrics.
type collector struct{ status func() daemon.Status }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tidewaiter_"+name, help, labels, nil)
}

// The metrics. Names and units follow Prometheus's own rules for them.
var (
	ready          = describe("ready", "1 if what is seen is judged.")
	sensorWatching = describe("sensor_watching", "1 if the sensor watches.", "sensor")
	sensorRecords  = describe("sensor_records_total", "Records that the sensor gave.", "sensor")
	sensorBytes    = describe("sensor_bytes_total", "Bytes that the sensor gave.", "sensor")
	sensorLost     = describe("sensor_lost_total", "Things that the sensor says it did not see, as far as it could count them.", "sensor")
	sensorDropped  = describe("sensor_dropped_total", "Records that the journal had no room for.", "sensor")
	sensorGaps     = describe("sensor_gaps_total", "Times in which the sensor did not watch.", "sensor")
	formatEvents   = describe("format_events_total", "Events read, by format.", "format")
	formatBad      = describe("format_unreadable_total", "Records that could not be read, by format.", "format")
	formatLag      = describe("format_lag_seconds", "How long after it was written the last record was read.", "format")
	future         = describe("future_records_total", "Records left out because they are dated later than now.")
	held           = describe("held_events", "Events that the engine keeps.")
	dropped        = describe("state_dropped_total", "What bounds on the engine's state pushed out.", "what")
	duplicates     = describe("duplicate_events_total", "Deliveries of an event that was known.")
	told           = describe("findings_told_total", "Findings told, by severity.", "severity")
	heldBack       = describe("notices_held_back_total", "Notices not told one by one, because many others are like them.")
	unkept         = describe("notices_dropped_total", "Notices dropped because the data directory took none for too long.")
	journalBytes   = describe("journal_bytes", "Bytes of the journal.")
	journalPending = describe("journal_pending_bytes", "Bytes that the disk has not taken.")
	dataFault      = describe("data_fault", "1 if the data directory takes nothing.")
	outbox         = describe("outbox_deliveries", "Deliveries in the outbox, by sink and state.", "sink", "state")
	failures       = describe("delivery_failures_total", "Failed tries to deliver.", "sink")
)

// Describe implements prometheus.Collector.
func (collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ready, sensorWatching, sensorRecords, sensorBytes, sensorLost, sensorDropped, sensorGaps, formatEvents, formatBad, formatLag,
		future, held, dropped, duplicates, told, heldBack, unkept, journalBytes, journalPending, dataFault, outbox, failures} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.status()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	is, _ := s.Ready()
	gauge(ready, truth(is))
	for _, w := range s.Sensors {
		gauge(sensorWatching, truth(w.Condition == daemon.Watching), w.Name)
		count(sensorRecords, w.Records, w.Name)
		count(sensorBytes, w.Bytes, w.Name)
		count(sensorLost, w.Lost, w.Name)
		count(sensorDropped, w.Dropped, w.Name)
		count(sensorGaps, w.Gaps, w.Name)
	}
	for _, f := range s.Formats {
		count(formatEvents, f.Events, f.Format.Name)
		count(formatBad, f.Unreadable, f.Format.Name)
		gauge(formatLag, f.Lag.Seconds(), f.Format.Name)
	}
	count(future, s.Future)
	gauge(held, float64(s.Held))
	for _, what := range slices.Sorted(maps.Keys(s.Counts.Dropped)) {
		count(dropped, int64(s.Counts.Dropped[what]), what)
	}
	count(duplicates, int64(s.Counts.Duplicates))
	for _, severity := range slices.Sorted(maps.Keys(s.Told)) {
		count(told, s.Told[severity], severity)
	}
	count(heldBack, s.HeldBack)
	count(unkept, s.Unkept)
	gauge(journalBytes, float64(s.Journal.Bytes))
	gauge(journalPending, float64(s.Journal.Pending))
	gauge(dataFault, truth(s.Fault != ""))
	for _, o := range s.Sinks {
		gauge(outbox, float64(o.Due), o.Name, "due")
		gauge(outbox, float64(o.Dead), o.Name, "dead")
		count(failures, o.Failures, o.Name)
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
