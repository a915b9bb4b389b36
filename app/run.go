package app

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"tidewaiter/analytic"
	"tidewaiter/api"
	"tidewaiter/daemon"
	"tidewaiter/detections"
	"tidewaiter/journal"
	"tidewaiter/policy"
	"tidewaiter/sensor"
	"tidewaiter/sensor/wire"
	"tidewaiter/sink/configured"
	"tidewaiter/sink/file"
	"tidewaiter/source"
)

// FileSink is the name of the sink that writes FindingsFile.
const FileSink = "file"

// FindingsFile is the file in the data directory that every finding is written
// to as it is told.
const FindingsFile = "findings.ndjson"

// Service is the daemon with all that belongs to it.
type Service struct {
	Daemon   *daemon.Daemon
	settings func() (Settings, error)
	server   *api.Server // nil if nothing is served
	log      *slog.Logger
}

// NewService puts a daemon together. settings reads its settings, now and
// whenever they are to be read again.
func NewService(settings func() (Settings, error), version string, log *slog.Logger) (*Service, error) {
	s, err := settings()
	if err != nil {
		return nil, err
	}
	service := &Service{settings: settings, log: log}
	if service.Daemon, err = newDaemon(s, version, log); err != nil {
		return nil, err
	}
	if s.Listen != "off" {
		if service.server, err = api.Listen(s.Listen, api.Handler(service.Daemon.Status)); err != nil {
			return nil, fmt.Errorf("%w; another address is given by listen: in the configuration, \"off\" for none", err)
		}
		log.Info("metrics and readiness are served", "address", service.server.Addr().String())
	}
	return service, nil
}

// settled is after how long everything has started.
const settled = 30 * time.Second

// Run watches until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	lean := time.AfterFunc(settled, func() {
		if err := giveBack(); err != nil {
			s.log.Warn("memory that only the start needed is not given back", "error", err)
		}
	})
	defer lean.Stop()
	if s.server != nil {
		served := make(chan error, 1)
		go func() { served <- s.server.Serve(ctx) }()
		defer func() {
			if err := <-served; err != nil {
				s.log.Error("metrics are not served", "error", err)
			}
		}()
	}
	return s.Daemon.Run(ctx)
}

// Reload reads policy and detections again. If they have a fault, what held
// before holds on.
func (s *Service) Reload(ctx context.Context) error {
	settings, err := s.settings()
	if err != nil {
		return err
	}
	rules, err := ReadRules(settings.Policy)
	if err != nil {
		return err
	}
	return s.Daemon.Reload(ctx, rules)
}

func newDaemon(s Settings, version string, log *slog.Logger) (*daemon.Daemon, error) {
	rules, err := ReadRules(s.Policy)
	if err != nil {
		return nil, err
	}
	size, err := parseSize(s.Journal.Size)
	if err != nil {
		return nil, err
	}
	opt := daemon.Options{
		Data: s.Data, Host: daemon.Host{Place: s.place(), Addrs: s.addrs()}, Rules: rules, Formats: Formats(), Prompt: prompt(),
		Journal: size, Keep: s.keep(), Version: version, Log: log,
	}
	if opt.Sensors, err = sensors(s); err != nil {
		return nil, err
	}
	d, err := daemon.New(opt)
	if err != nil {
		return nil, err
	}
	return d, tell(d, s, version, log)
}

// tell adds the sinks.
func tell(d *daemon.Daemon, s Settings, version string, log *slog.Logger) error {
	out, err := file.Open(file.Options{Path: filepath.Join(s.Data, FindingsFile), Version: version})
	if err != nil {
		return err
	}
	d.Tell(daemon.Receiver{Name: FileSink, Least: analytic.Info, All: true, Sink: out})
	for _, e := range s.Sinks {
		one, err := configured.Open(e)
		if err != nil {
			return fmt.Errorf("sink %s: %w", e.Name, err)
		}
		for _, w := range configured.Warnings(e) {
			log.Warn(w, "sink", e.Name)
		}
		d.Tell(daemon.Receiver{Name: e.Name, Least: e.Minimum(), Sink: one})
	}
	return nil
}

// ReadRules compiles the detections and reads a policy, "" for none.
func ReadRules(file string) (daemon.Rules, error) {
	lib, err := analytic.Load(detections.Files())
	if err != nil {
		return daemon.Rules{}, err
	}
	r := daemon.Rules{Library: lib, Policy: policy.Empty(lib.Vocabulary())}
	if file == "" {
		return r, nil
	}
	r.Policy, err = policy.Load(file, lib.Vocabulary())
	return r, err
}

// formatOf tells a file's format: the one that is given, or by content.
func formatOf(name string) func([]byte) string {
	return func(head []byte) string {
		if name != "" {
			return name
		}
		if f := source.Detect(Formats(), head); f != nil {
			return f.Name
		}
		return ""
	}
}

// prompt are the lanes of our own sensors that write in the form of a sensor whose
// records come later.
func prompt() map[string]bool {
	lanes := map[string]bool{}
	for _, f := range wire.Formats() {
		lanes[journal.FileName(sensor.Lane{Name: f, Format: f})] = true
	}
	return lanes
}

// whole keeps together what a format's records belong to.
func whole() func(format string, lines []byte) int {
	all := Formats()
	return func(format string, lines []byte) int {
		if f := source.Named(all, format); f != nil && f.Whole != nil {
			return f.Whole(lines)
		}
		return len(lines)
	}
}
