package daemon

import (
	"maps"
	"slices"

	"tidewaiter/partition"
	"tidewaiter/sensor"
)

// Status is how the daemon is.
type Status struct {
	Host    string
	Version string
	// CaughtUp is whether everything that earlier runs recorded was judged.
	CaughtUp bool
	// Fault is why the data directory takes nothing, "" if it does.
	Fault   string
	Sensors []SensorStatus
	Formats []FormatCount
	Sinks   []SinkStatus
	Journal JournalStatus
	// Counts are the engine's account, Held how many events it keeps.
	Counts partition.Counts
	Held   int
	// Future is how many records were left out because they are dated later
	// than now.
	Future int64
	// HeldBack is how many notices were not told one by one, because many others
	// are like them.
	HeldBack int64
	// Unkept is how many notices were dropped because the disk took none.
	Unkept int64
	// Told is how many findings were told, by severity.
	Told map[string]int64
}

// SinkStatus is how a sink is.
type SinkStatus struct {
	Name string
	// Due, Dead and Done are the deliveries in the outbox; Failures how often one
	// failed since the start.
	Due, Dead, Done int
	Failures        int64
}

// JournalStatus is how large the journal is.
type JournalStatus struct {
	Bytes, Pending int64
	Epoch          int
}

// lesser is a sensor that can say what it does without.
type lesser interface{ Lacks() []*sensor.Lack }

// Status tells how the daemon is.
func (d *Daemon) Status() Status {
	s := Status{Host: d.opt.Host.Place.Host, Version: d.opt.Version, Sensors: d.Sensors(), Formats: d.account.read(), Future: d.account.future.Load(), HeldBack: d.account.heldBack.Load(), Unkept: d.account.unkept.Load()}
	s.CaughtUp = d.journal.CaughtUp()
	s.Journal.Pending, _ = d.journal.Fault()
	s.Journal.Bytes, s.Journal.Epoch = d.journal.Size(), d.journal.Epoch()
	waiting, err := d.store.Waiting()
	a := &d.account
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.Fault = a.fault; err != nil && s.Fault == "" {
		s.Fault = err.Error()
	}
	s.Counts, s.Held, s.Told = a.counts, a.held, maps.Clone(a.findings)
	for _, p := range d.posts {
		n := waiting[p.Name]
		s.Sinks = append(s.Sinks, SinkStatus{p.Name, n["due"], n["dead"], n["done"], a.unsent[p.Name]})
	}
	return s
}

// Sensors tells how every sensor is.
func (d *Daemon) Sensors() []SensorStatus {
	var all []SensorStatus
	for _, w := range d.watches {
		w.mu.Lock()
		s := w.status
		w.mu.Unlock()
		if s.Condition == Watching {
			s.Without = without(w.sensor)
		}
		all = append(all, s)
	}
	return all
}

// Ready reports whether the daemon judges what it sees, and why not.
func (s Status) Ready() (bool, string) {
	switch {
	case !s.CaughtUp:
		return false, "what was recorded before the start is still being read"
	case s.Fault != "":
		return false, "the data directory takes nothing: " + s.Fault
	case len(s.Sensors) > 0 && !slices.ContainsFunc(s.Sensors, func(w SensorStatus) bool { return w.Condition == Watching }):
		return false, "no sensor watches"
	}
	return true, ""
}
