package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tidewaiter/sensor"
)

// capture is a packet socket. It gives packets from the network header on, so
// that interfaces of every kind are alike.
type capture struct {
	file *os.File
	raw  syscall.RawConn
	buf  []byte
	oob  []byte
}

// maxPacket is how much of a packet is read: what the kernel puts together of
// segments is longer than what is sent.
const maxPacket = 128 << 10

// maxAtOnce bounds the packets of one read, so that what waits has its turn.
const maxAtOnce = 1024

// meta is what the kernel tells of a packet.
type meta struct {
	at       time.Time
	outgoing bool // it was about to be sent, by this host or for another
}

func (s *Sensor) open() (*capture, error) {
	ns := 0
	if s.options.NetNS != "" {
		f, err := os.Open(s.options.NetNS)
		if err != nil {
			return nil, &sensor.Lack{What: "no network namespace " + s.options.NetNS, Mend: "name the file of one, as /proc/PID/ns/net", Err: err}
		}
		defer f.Close()
		ns = int(f.Fd())
	}
	c := &capture{buf: make([]byte, maxPacket), oob: make([]byte, 256)}
	err := sensor.InNetNS(ns, func() (err error) { return c.listen(s.options.Buffer) })
	if err != nil {
		return nil, lacking(err)
	}
	if c.raw, err = c.file.SyscallConn(); err != nil {
		c.close()
		return nil, fmt.Errorf("listen to packets: %w", err)
	}
	return c, nil
}

// listen makes the socket. It is bound last: until the filter is there nothing
// must come.
func (c *capture) listen(buffer int) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	c.file = os.NewFile(uintptr(fd), "packets")
	fail := func(call string, err error) error {
		c.close()
		return os.NewSyscallError(call, err)
	}
	if err := attach(fd); err != nil {
		return fail("attach filter", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer) // as much as is allowed
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fail("setsockopt", err)
	}
	// Only who asks for all protocols is given what is sent, too.
	everything := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything}); err != nil {
		return fail("bind", err)
	}
	return nil
}

// read waits for packets until an instant (the zero Time: for ever) or the end of
// ctx, and gives all that have come. os.ErrDeadlineExceeded says that none came.
func (c *capture) read(ctx context.Context, until time.Time, each func([]byte, meta)) error {
	if err := c.file.SetReadDeadline(until); err != nil {
		return err
	}
	if ctx.Err() != nil { // wake was called before, and is undone
		return os.ErrDeadlineExceeded
	}
	var failed error
	err := c.raw.Read(func(fd uintptr) bool {
		for n := range maxAtOnce {
			size, oobn, _, from, err := unix.Recvmsg(int(fd), c.buf, c.oob, 0)
			switch {
			case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN): // an interface went
				continue
			case errors.Is(err, unix.EAGAIN):
				return n > 0
			case err != nil:
				failed = os.NewSyscallError("recvmsg", err)
				return true
			}
			link, ok := from.(*unix.SockaddrLinklayer)
			if ok {
				each(c.buf[:size], meta{at: sentAt(c.oob[:oobn]), outgoing: link.Pkttype == unix.PACKET_OUTGOING})
			}
		}
		return true
	})
	if failed != nil {
		return failed
	}
	return err
}

// sentAt is the kernel's time of a packet, or else now.
func sentAt(oob []byte) time.Time {
	header, data, _, err := unix.ParseOneSocketControlMessage(oob)
	if err == nil && header.Level == unix.SOL_SOCKET && header.Type == unix.SO_TIMESTAMPNS && len(data) >= 16 {
		return time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
	}
	return time.Now()
}

// tellDrops tells what the kernel had no room for since the last call.
func (c *capture) tellDrops(out sensor.Recorder) {
	var drops uint32
	err := c.raw.Control(func(fd uintptr) {
		if stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			drops = stats.Drops // reading sets it to 0
		}
	})
	if err == nil && drops > 0 {
		out.Lost("packets come faster than they are read", int64(drops))
	}
}

// wake has a read that waits return.
func (c *capture) wake() { _ = c.file.SetReadDeadline(time.Unix(1, 0)) }

func (c *capture) close() { _ = c.file.Close() }
