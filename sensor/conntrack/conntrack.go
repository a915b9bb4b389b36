// Package conntrack watches the kernel's connection tracking: which connections
// begin and end in a network namespace, with the addresses that they had before
// any translation, so that a container shows its own. It only listens, and
// changes nothing in the kernel.
//
// In: netlink messages. Out: the lines that conntrack -E -o timestamp,id prints.
package conntrack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"

	"tidewaiter/sensor"
)

// Options say where is listened, and how.
type Options struct {
	// NetNS is the file of the network namespace to listen in, such as
	// /proc/712/ns/net of a dockerd that has its own; "" is this process's.
	NetNS string
	// Buffer is the socket's receive buffer in bytes; 0 is 8 MiB.
	Buffer int
}

// Sensor watches one network namespace.
type Sensor struct{ options Options }

// New makes a sensor. It does not listen yet.
func New(o Options) *Sensor {
	o.Buffer = cmp.Or(o.Buffer, 8<<20)
	return &Sensor{o}
}

// Name implements sensor.Sensor.
func (*Sensor) Name() string { return "conntrack" }

var lane = sensor.Lane{Name: "conntrack", Format: "conntrack"}

// markEvery is how often the place to go on is kept: each time can cost a write
// to disk.
const markEvery = time.Second

// gather is for how long more is gathered after something was recorded, so that
// many connections are recorded, and many losses told, at once.
const gather = 50 * time.Millisecond

// Watch implements sensor.Sensor. What is open when it begins is told if the
// kernel knows since when (nf_conntrack_timestamp), except what was told before.
func (s *Sensor) Watch(ctx context.Context, out sensor.Recorder) error {
	err := s.watch(ctx, out)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Sensor) watch(ctx context.Context, out sensor.Recorder) error {
	config := &netlink.Config{}
	if s.options.NetNS != "" {
		ns, err := os.Open(s.options.NetNS)
		if err != nil {
			return &sensor.Lack{What: "no network namespace " + s.options.NetNS, Mend: "name the file of one, as /proc/PID/ns/net", Err: err}
		}
		defer ns.Close()
		config.NetNS = int(ns.Fd())
	}
	kernel, err := ask(config.NetNS)
	if err != nil {
		return err
	}
	conn, err := netfilter.Dial(config)
	if err != nil {
		return lacking(err)
	}
	b := newBatch()
	var receiving sync.WaitGroup
	defer receiving.Wait()
	defer conn.Close() // which ends receive
	_ = conn.SetReadBuffer(s.options.Buffer)
	if err := conn.JoinGroups([]netfilter.NetlinkGroup{netfilter.GroupCTNew, netfilter.GroupCTDestroy}); err != nil {
		return lacking(err)
	}
	ended := make(chan error, 1)
	receiving.Go(func() { ended <- receive(conn, b) })
	if kernel.timestamps {
		listOpen(config, b, out)
		b.tell(out)
	}
	out.Ready()
	return follow(ctx, b, ended, out)
}

// follow records what was received, all that has come at once.
func follow(ctx context.Context, b *batch, ended <-chan error, out sensor.Recorder) error {
	var marked time.Time
	for {
		select {
		case <-ctx.Done():
			b.tell(out)
			return nil
		case err := <-ended:
			b.tell(out)
			return fmt.Errorf("connection tracking events: %w", err)
		case <-b.wake:
			now := time.Now()
			b.tell(out)
			if now.Sub(marked) >= markEvery {
				out.Mark(strconv.FormatInt(now.UnixNano(), 10))
				marked = now
			}
			select {
			case <-ctx.Done():
			case <-time.After(gather):
			}
		}
	}
}

// receive takes events from the kernel until the connection is closed. What the
// kernel could not deliver is told by an error, after which it goes on.
func receive(conn *netfilter.Conn, b *batch) error {
	var line []byte
	for {
		messages, err := conn.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			b.overflow()
			continue
		case err != nil:
			return err
		}
		for _, m := range messages {
			var e conntrack.Event
			if err := e.Unmarshal(m); err != nil {
				b.misread()
				continue
			}
			line = appendEvent(line[:0], &e, time.Now())
			b.add(line)
		}
	}
}

// listOpen tells the connections that are open already and began after the last
// one that was told.
func listOpen(config *netlink.Config, b *batch, out sensor.Recorder) {
	told, _ := strconv.ParseInt(out.Resume(), 10, 64)
	if told != 0 {
		out.Lost("connections that began and ended since "+time.Unix(0, told).UTC().Format(time.RFC3339)+", while nobody listened", -1)
	}
	conn, err := conntrack.Dial(config)
	if err == nil {
		defer conn.Close()
		var flows []conntrack.Flow
		if flows, err = conn.Dump(nil); err == nil {
			for i := range flows {
				start := flows[i].Timestamp.Start
				if !start.IsZero() && start.UnixNano() > told {
					b.add(appendEvent(nil, &conntrack.Event{Type: conntrack.EventNew, Flow: &flows[i]}, start))
				}
			}
		}
	}
	if err != nil {
		out.Lost("the connections that were open before cannot be listed", -1)
	}
}

// settings are what the kernel does in a namespace.
type settings struct{ timestamps bool }

// ask finds out whether the kernel tracks connections in a namespace (0: the
// own), and tells of them.
func ask(ns int) (settings, error) {
	var events, timestamps []byte
	err := sensor.InNetNS(ns, func() (err error) {
		events, err = os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_events")
		// Older kernels are built without it.
		timestamps, _ = os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_timestamp")
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return settings{}, &sensor.Lack{What: "the kernel does not track connections", Mend: "modprobe nf_conntrack_netlink", Err: err}
	case err != nil:
		return settings{}, lacking(err)
	case strings.TrimSpace(string(events)) == "0":
		return settings{}, &sensor.Lack{What: "the kernel does not tell of connections", Mend: "sysctl net.netfilter.nf_conntrack_events=1"}
	}
	return settings{timestamps: strings.TrimSpace(string(timestamps)) == "1"}, nil
}

// lacking tells a missing permission or part of the kernel from other errors.
func lacking(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &sensor.Lack{What: "no permission to listen to connection tracking", Mend: "run as root, or with CAP_NET_ADMIN (and CAP_SYS_ADMIN for another namespace)", Err: err}
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.ENOENT):
		return &sensor.Lack{What: "the kernel does not tell of connections", Mend: "modprobe nf_conntrack_netlink", Err: err}
	}
	return fmt.Errorf("listen to connection tracking: %w", err)
}
