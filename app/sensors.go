package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tidewaiter/daemon"
	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/sensor/audit"
	"tidewaiter/sensor/conntrack"
	"tidewaiter/sensor/containerd"
	"tidewaiter/sensor/docker"
	"tidewaiter/sensor/journald"
	"tidewaiter/sensor/kernel"
	"tidewaiter/sensor/kubernetes"
	"tidewaiter/sensor/receive"
	"tidewaiter/sensor/tail"
	"tidewaiter/sensor/wire"
)

// sensors makes the sensors that settings ask for. A new sensor is one line
// here.
func sensors(settings Settings) ([]sensor.Sensor, error) {
	s := settings.Sensors
	var all []sensor.Sensor
	for _, one := range []struct {
		Switch
		make func() (sensor.Sensor, error)
	}{
		{s.Docker.Switch, func() (sensor.Sensor, error) { return docker.New(docker.Options{Host: s.Docker.Host}), nil }},
		{s.Podman.asked(s), func() (sensor.Sensor, error) {
			return docker.New(docker.Options{Name: docker.Podman, Host: s.Podman.Host}), nil
		}},
		{s.Containerd.Switch, func() (sensor.Sensor, error) {
			return containerd.New(containerd.Options{Socket: s.Containerd.Socket}), nil
		}},
		{s.Kernel, func() (sensor.Sensor, error) { return kernel.New(kernel.Options{}), nil }},
		{s.Conntrack.Switch, func() (sensor.Sensor, error) { return conntrack.New(conntrack.Options{NetNS: s.Conntrack.NetNS}), nil }},
		{s.Wire.Switch, func() (sensor.Sensor, error) { return wire.New(wire.Options{NetNS: s.Wire.NetNS}), nil }},
		{s.Audit.Switch, func() (sensor.Sensor, error) { return audit.New(auditOptions(s)) }},
		{s.Journald, func() (sensor.Sensor, error) {
			return journald.New(journald.Options{Units: journald.DefaultUnits, Host: settings.Host})
		}},
		{s.Kubernetes.asked(s), func() (sensor.Sensor, error) { return kubernetes.New(s.Kubernetes.options()), nil }},
		{Switch{&s.Receive.Enabled}, func() (sensor.Sensor, error) { return receive.New(settings.receiver()) }},
	} {
		if !one.on(s) {
			continue
		}
		made, err := one.make()
		if err != nil {
			return nil, err
		}
		all = append(all, made)
	}
	for i, f := range s.Files {
		one, err := tail.New(tail.Options{
			Name: fmt.Sprintf("files-%d", i+1), Patterns: f.Paths, Format: formatOf(f.Format), Whole: whole(), Open: Opener(f.Format),
			Place: event.Place{Account: f.Account, Region: f.Region, Cluster: f.Cluster, Host: f.Host, Network: f.Network},
		})
		if err != nil {
			return nil, fmt.Errorf("sensors.files[%d]: %w", i, err)
		}
		all = append(all, one)
	}
	return append(all, s.clouds()...), nil
}

// auditOptions ask Linux audit for who calls the runtimes, and for programs where
// they cannot be seen otherwise: a rule for each of them costs the host more than
// anything else here.
func auditOptions(s SensorSettings) audit.Options {
	o := audit.Options{ExcludePID: os.Getpid()}
	if s.Audit.Sockets != nil {
		o.Sockets = *s.Audit.Sockets
	} else {
		o.Sockets = slices.DeleteFunc(slices.Clone(audit.RuntimeSockets), func(path string) bool {
			_, err := os.Stat(filepath.Dir(path))
			return err != nil
		})
	}
	if s.Audit.Exec != nil {
		o.Exec = *s.Audit.Exec
		return o
	}
	if s.Kernel.on(s) {
		status := daemon.Probe(context.Background(), []sensor.Sensor{kernel.New(kernel.Options{})}, kernelTime)
		o.Exec = status[0].Condition == daemon.Lacking
	}
	return o
}

// kernelTime is how long is waited to see whether the kernel takes the programs
// of the eBPF sensor.
const kernelTime = 5 * time.Second
