package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"tidewaiter/api"
	"tidewaiter/coverage"
	"tidewaiter/daemon"
	"tidewaiter/event"
	"tidewaiter/evidence"
	"tidewaiter/sensor/wire"
)

// Coverage is what can be seen on this host.
type Coverage struct {
	Host string `json:"host"`
	// Running is whether the daemon was asked; else it was tried what would work.
	Running   bool                `json:"daemon_running"`
	Watchers  []coverage.Watcher  `json:"-"`
	Sensors   []api.Sensor        `json:"sensors"`
	Analytics []coverage.Analytic `json:"analytics"`
}

// How long is waited for the daemon's answer, and for a sensor that is tried.
const (
	askTime   = 2 * time.Second
	probeTime = 10 * time.Second
)

// Cover tells what can be seen: it asks the daemon, or else tries every sensor.
func Cover(ctx context.Context, s Settings) (Coverage, error) {
	rules, err := ReadRules("")
	if err != nil {
		return Coverage{}, err
	}
	c := Coverage{Host: s.Host}
	status, err := askDaemon(ctx, s.Listen)
	if err == nil {
		c.Host, c.Running, c.Sensors = status.Host, true, status.Sensors
		c.Watchers = watchers(status.Sensors, status.Formats)
	} else {
		all, err := sensors(s)
		if err != nil {
			return c, err
		}
		c.Sensors = api.Sensors(daemon.Probe(ctx, all, probeTime))
		c.Watchers = watchers(c.Sensors, nil)
	}
	c.Analytics = coverage.Of(rules.Library, c.Watchers)
	return c, nil
}

var errNoDaemon = errors.New("the daemon serves no status")

// maxStatus bounds the daemon's answer, in bytes.
const maxStatus = 16 << 20

func askDaemon(ctx context.Context, address string) (s api.Status, err error) {
	if address == "off" {
		return s, errNoDaemon
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/v1/status", nil)
	if err != nil {
		return s, err
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req) // no proxy: it is this host
	if err != nil {
		return s, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return s, fmt.Errorf("%w: %s", errNoDaemon, answer.Status)
	}
	return s, json.NewDecoder(io.LimitReader(answer.Body, maxStatus)).Decode(&s)
}

// gives are the sources of what a sensor gives, where that is always the same.
var gives = map[string][]event.Source{
	"docker":     {event.Docker, event.Inspect},
	"podman":     {event.Docker, event.Inspect},
	"containerd": {event.Containerd},
	"ebpf":       {event.Kernel},
	"conntrack":  {event.Conntrack},
	"wire":       {event.Zeek},
	"audit":      {event.Auditd},
}

// givesOnly are the kinds of facts that a sensor tells whose records have the
// form of another tool's, which tells more; formatsOnly the formats of these.
var (
	givesOnly   = map[string][]evidence.Kind{"wire": {evidence.Lookup, evidence.Request, evidence.Build}}
	formatsOnly = map[string][]string{"wire": wire.Formats()}
)

// watchers are the sensors, and beside them the formats that something was read
// of: of files and of what others send it is not known before.
func watchers(sensors []api.Sensor, formats []api.Format) []coverage.Watcher {
	var all []coverage.Watcher
	known := map[event.Source]bool{event.Tidewaiter: true}
	var own []string // formats of records that sensors gave
	for _, s := range sensors {
		w := coverage.Watcher{Name: s.Name, Watches: s.Condition == string(daemon.Watching), Fault: s.Fault, Mend: s.Mend, Sources: gives[s.Name], Kinds: givesOnly[s.Name]}
		for _, o := range s.Without {
			w.Without = append(w.Without, coverage.Without(o))
		}
		if w.Watches {
			own = append(own, formatsOnly[s.Name]...)
		}
		for _, one := range w.Sources {
			if len(w.Kinds) > 0 {
				continue // the other tool's own records may come, too
			}
			known[one] = known[one] || w.Watches
		}
		all = append(all, w)
	}
	for _, f := range formats {
		if s := event.Source(f.Source); f.Events > 0 && !known[s] && !slices.Contains(own, f.Name) {
			known[s] = true
			all = append(all, coverage.Watcher{Name: f.Name, Watches: true, Sources: []event.Source{s}})
		}
	}
	return slices.Clip(all)
}
