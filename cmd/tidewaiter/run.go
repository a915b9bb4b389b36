package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"tidewaiter/app"
	"tidewaiter/visible"
)

// runFlags are the flags of run.
type runFlags struct {
	config, data, policy, host string
	logFormat, logLevel        string
}

func newRun() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run [flags]",
		Short: "Watch this host and find attacks while they happen",
		Long: `Watch this host, or what the configuration names, and find attacks while they
happen. What sensors see is recorded in the data directory as native records,
so that "tidewaiter hunt DATA/journal" finds the same; what is found is written
to DATA/findings.ndjson and told to the sinks of the configuration.

A sensor that cannot work here says what it lacks, and the rest runs; see
"tidewaiter coverage". SIGHUP reads policy and detections again, all or nothing.
SIGINT and SIGTERM put everything by and end; what is killed goes on where it
was at the next start.

Exit status: 0 after SIGINT or SIGTERM; 1 if it cannot start; 2 for misuse.`,
		Example: `  # As root: everything that can be watched on this host
  sudo tidewaiter run --data /var/lib/tidewaiter --policy policy.yaml

  # As a configuration says
  tidewaiter run --config /etc/tidewaiter/tidewaiter.yaml`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runDaemon(c, f) },
	}
	fl := c.Flags()
	fl.StringVar(&f.config, "config", "", "configuration `FILE`")
	fl.StringVar(&f.data, "data", "", "`FOLDER` of everything durable (default "+app.DefaultData+")")
	fl.StringVar(&f.policy, "policy", "", "policy `FILE`")
	fl.StringVar(&f.host, "host", "", "this host's `NAME` (default the system's)")
	fl.StringVar(&f.logFormat, "log-format", "text", "`FORM` of the log on standard error: text, json")
	fl.StringVar(&f.logLevel, "log-level", "info", "lowest `LEVEL` that is logged: debug, info, warn, error")
	completeFlags(c, map[string][]string{"log-format": logFormats, "log-level": logLevels})
	completeFiles(c, "config", "yaml", "yml")
	completeFiles(c, "policy", "yaml", "yml")
	return c
}

// gcPercent trades some processor time for memory, which other programs of the
// host need more.
const gcPercent = 50

var (
	logFormats = []string{"text", "json"}
	logLevels  = []string{"debug", "info", "warn", "error"}
)

// settings reads the configuration, and what flags say instead.
func (f runFlags) settings() (app.Settings, error) {
	s, err := app.ReadSettings(f.config)
	if err != nil {
		return s, err
	}
	for _, o := range []struct {
		flag string
		into *string
	}{{f.data, &s.Data}, {f.policy, &s.Policy}, {f.host, &s.Host}} {
		if o.flag != "" {
			*o.into = o.flag
		}
	}
	return s, nil
}

func runDaemon(c *cobra.Command, f runFlags) error {
	if err := errors.Join(oneOf("--log-format", f.logFormat, logFormats), oneOf("--log-level", f.logLevel, logLevels)); err != nil {
		return misused("%w", err)
	}
	s, err := f.settings()
	if err != nil {
		return failed(err)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	log := slog.New(logHandler(c.ErrOrStderr(), f))
	switch err := app.Confine(s.Elsewhere()); {
	case errors.Is(err, app.ErrNotConfined):
		log.Warn(err.Error())
	case err != nil:
		return failed(err)
	}
	service, err := app.NewService(f.settings, version(), log)
	if err != nil {
		return failed(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	go reloads(ctx, service, log, reload)
	log.Info("tidewaiter watches", "version", version(), "host", s.Host, "data", s.Data)
	if err := service.Run(ctx); err != nil {
		return failed(err)
	}
	log.Info("everything is put by")
	return nil
}

// reloads reads policy and detections again when it is asked to.
func reloads(ctx context.Context, s *app.Service, log *slog.Logger, asked <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
		}
		if err := s.Reload(ctx); err != nil {
			log.Error("not reloaded: what held before holds on", "error", err)
			continue
		}
		log.Info("policy and detections are read again; everything is judged anew")
	}
}

// logHandler logs as flags say. Texts may hold names from logs.
func logHandler(w io.Writer, f runFlags) slog.Handler {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		level = slog.LevelInfo
	}
	opt := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch v := a.Value.Any().(type) {
		case string:
			a.Value = slog.StringValue(visible.Text(v))
		case error:
			a.Value = slog.StringValue(visible.Text(fmt.Sprint(v)))
		}
		return a
	}}
	if f.logFormat == "json" {
		return slog.NewJSONHandler(w, opt)
	}
	return slog.NewTextHandler(w, opt)
}
