// Package wire reads passively what passes the interfaces of a network
// namespace: questions to DNS and their answers, the names that TLS clients ask
// for, and requests in clear text to the port of Docker's API. So names are
// known for addresses, and who has an image built, without any log of a
// resolver, a proxy or dockerd. It sends nothing and changes nothing.
//
// A packet of a container passes several interfaces, before and after its
// addresses are translated. The first copy counts: it is the one nearest to who
// sent it, and has the addresses that the client itself used.
//
// In: packets that a filter in the kernel let pass. Out: lines of the form of
// Zeek's dns.log, ssl.log and http.log as JSON (docs/formats/wire.md).
package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

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
func (*Sensor) Name() string { return "wire" }

const (
	// gather is for how long more is gathered after packets were read, so that
	// many are read, and what they say recorded, at once.
	gather = 10 * time.Millisecond
	// countEvery is how often is asked for what the kernel dropped, while
	// packets come.
	countEvery = time.Second
	// tickEvery is how often is looked for what waited too long, while anything
	// waits.
	tickEvery = 250 * time.Millisecond
)

// Watch implements sensor.Sensor.
func (s *Sensor) Watch(ctx context.Context, out sensor.Recorder) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	defer c.close()
	out.Ready()
	err = follow(ctx, c, out)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// follow reads until ctx ends. While nothing comes and nothing waits it sleeps.
func follow(ctx context.Context, c *capture, out sensor.Recorder) error {
	defer context.AfterFunc(ctx, c.wake)()
	r := newReader(out)
	defer func() {
		r.expire(time.Now(), true)
		r.flush()
	}()
	var counted, ticked time.Time
	var p packet
	dirty := true // whether packets came since the kernel was asked for drops
	for ctx.Err() == nil {
		until := time.Time{}
		if r.waits() || dirty {
			until = time.Now().Add(tickEvery)
		}
		came := 0
		err := c.read(ctx, until, func(data []byte, from meta) {
			dirty = true
			came++
			if p.parse(data, from) {
				r.packet(&p)
			}
		})
		now := time.Now()
		if now.Sub(ticked).Abs() >= tickEvery {
			ticked = now
			r.expire(now, false)
		}
		r.flush()
		if dirty && now.Sub(counted).Abs() >= countEvery {
			counted, dirty = now, false
			c.tellDrops(out)
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			return fmt.Errorf("read packets: %w", err)
		case came < maxAtOnce:
			time.Sleep(gather)
		}
	}
	c.tellDrops(out)
	return nil
}

// lacking tells a missing permission or part of the kernel from other errors.
func lacking(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &sensor.Lack{What: "no permission to read packets", Mend: "run as root, or with CAP_NET_RAW (and CAP_SYS_ADMIN for another namespace)", Err: err}
	case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.ESOCKTNOSUPPORT):
		return &sensor.Lack{What: "the kernel has no packet sockets, or they are forbidden here", Mend: "modprobe af_packet; AF_PACKET among RestrictAddressFamilies of the systemd unit", Err: err}
	}
	return fmt.Errorf("listen to packets: %w", err)
}
