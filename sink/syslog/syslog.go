// Package syslog sends findings to a syslog receiver: RFC 5424 over TCP, TLS
// (RFC 5425), UDP (RFC 5426) or a local socket, as OCSF JSON or CEF.
//
// In: notices. Out: messages.
package syslog

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/crewjam/rfc5424"

	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/post"
)

// Defaults of Options, in bytes.
const (
	DefaultMax = 64 << 10 // of a stream
	// DefaultDatagram is what common receivers take over UDP and /dev/log.
	DefaultDatagram = 8 << 10
	// headroom is what the header may add to a payload.
	headroom = 512
)

// Format is how a finding is written.
type Format string

// The formats.
const (
	OCSF Format = "ocsf" // JSON, ASCII only
	CEF  Format = "cef"  // ArcSight's Common Event Format 0
)

// Options say where to and how.
type Options struct {
	// Address is tcp://host:port, tls://host:port, udp://host:port,
	// unix:///path for a stream or unixgram:///dev/log for datagrams. The ports
	// are 514, of TLS 6514, unless it says another.
	Address string
	// TLS names the files of TLS.
	TLS post.TLS
	// Format is OCSF if "".
	Format Format
	// Facility is a name of RFC 5424 such as local0, which "" is.
	Facility string
	// Newline ends each message of a stream with a line end, for receivers that
	// don't count octets (RFC 6587).
	Newline bool
	// Timeout of one delivery; post.DefaultTimeout if 0.
	Timeout time.Duration
	// Limit is what of a finding is sent; DefaultMax or DefaultDatagram bytes
	// if it says nothing.
	Limit ocsf.Limit
}

// facilities are the numbers of RFC 5424, table 1. Those of the library leave
// out 12 to 15, so that its local0 is another's.
var facilities = map[string]rfc5424.Priority{
	"kern": 0, "user": 1, "daemon": 3, "auth": 4, "syslog": 5, "authpriv": 10,
	"local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20, "local5": 21, "local6": 22, "local7": 23,
}

// Syslog is a sink. It keeps one connection, and makes another when that one
// breaks. Safe for concurrent use.
type Syslog struct {
	opt      Options
	network  string // tcp, tls, udp, unix, unixgram
	address  string
	facility rfc5424.Priority
	tls      *tls.Config

	mu   sync.Mutex
	conn *connection // nil before the first delivery and after a fault
}

// Open checks the options; nothing is sent.
func Open(opt Options) (*Syslog, error) {
	s := &Syslog{opt: opt}
	if err := s.place(); err != nil {
		return nil, err
	}
	facility, known := facilities[cmp.Or(opt.Facility, "local0")]
	if !known {
		return nil, fmt.Errorf("facility %q: want local0 to local7, user, daemon, auth, authpriv, syslog or kern", opt.Facility)
	}
	s.facility = facility
	if s.opt.Format = cmp.Or(opt.Format, OCSF); s.opt.Format != OCSF && s.opt.Format != CEF {
		return nil, fmt.Errorf("format %q: want ocsf or cef", opt.Format)
	}
	s.opt.Timeout = cmp.Or(opt.Timeout, post.DefaultTimeout)
	if s.opt.Limit.Max <= 0 {
		s.opt.Limit.Max = map[bool]int{true: DefaultMax, false: DefaultDatagram}[s.stream()]
	}
	s.opt.Limit.Max -= headroom
	if s.opt.Limit.Max < headroom {
		return nil, fmt.Errorf("a message of less than %d bytes cannot hold a finding", 2*headroom)
	}
	if s.network != "tls" {
		return s, nil
	}
	var err error
	s.tls, err = opt.TLS.Config()
	return s, err
}

// place reads the address.
func (s *Syslog) place() error {
	u, err := url.Parse(s.opt.Address)
	if err != nil || u.User != nil || u.RawQuery != "" {
		return errors.New("address: want tcp://, tls:// or udp:// with host and port, unix:// or unixgram:// with a path")
	}
	s.network = u.Scheme
	switch u.Scheme {
	case "tcp", "udp", "tls":
		if u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
			return fmt.Errorf("address: %s:// needs a host, and has no path", u.Scheme)
		}
		s.address = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), map[bool]string{true: "6514", false: "514"}[u.Scheme == "tls"]))
	case "unix", "unixgram":
		if u.Host != "" || u.Path == "" {
			return fmt.Errorf("address: %s:// needs a path, as in %s:///dev/log", u.Scheme, u.Scheme)
		}
		s.address = u.Path
	default:
		return fmt.Errorf("address: %q is none of tcp, tls, udp, unix and unixgram", u.Scheme)
	}
	return nil
}

// stream reports whether messages have to be told apart.
func (s *Syslog) stream() bool { return s.network != "udp" && s.network != "unixgram" }

// Deliver implements sink.Sink. Syslog has no receipts: it returns once the
// message is the network's. A message that a breaking connection swallowed is
// lost unless the break showed at once.
func (s *Syslog) Deliver(ctx context.Context, n sink.Notice) error {
	message, err := s.message(n)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && !s.conn.alive() {
		s.drop()
	}
	kept := s.conn != nil
	err = s.write(ctx, message)
	if err != nil && kept && !errors.Is(err, syscall.EMSGSIZE) {
		// The connection may have broken since the last message.
		err = s.write(ctx, message)
	}
	if errors.Is(err, syscall.EMSGSIZE) {
		return sink.Permanent(err) // it is as long the next time
	}
	return err
}

// write sends a message by the connection, or a new one; a fault ends it.
func (s *Syslog) write(ctx context.Context, message []byte) error {
	if s.conn == nil {
		c, err := s.dial(ctx)
		if err != nil {
			return fmt.Errorf("syslog %s: %w", s.address, err)
		}
		s.conn = watch(c)
	}
	deadline, _ := ctx.Deadline() // Deliver has set one
	if err := s.conn.SetWriteDeadline(deadline); err != nil {
		s.drop()
		return fmt.Errorf("syslog %s: %w", s.address, err)
	}
	stop := context.AfterFunc(ctx, s.conn.interrupt)
	defer stop()
	if _, err := s.conn.Write(message); err != nil {
		s.drop() // half a message may have gone
		return fmt.Errorf("syslog %s: %w", s.address, err)
	}
	return nil
}

func (s *Syslog) dial(ctx context.Context) (net.Conn, error) {
	if s.network == "tls" {
		return (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", s.address)
	}
	return (&net.Dialer{}).DialContext(ctx, s.network, s.address)
}

func (s *Syslog) drop() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

// connection notices when the other side goes away. Receivers say nothing, so
// that reading ends at a break only.
type connection struct {
	net.Conn
	gone chan struct{}
}

func watch(c net.Conn) *connection {
	w := &connection{c, make(chan struct{})}
	go func() {
		defer close(w.gone)
		_, _ = io.Copy(io.Discard, c)
	}()
	return w
}

func (c *connection) alive() bool {
	select {
	case <-c.gone:
		return false
	default:
		return true
	}
}

// interrupt ends a write that hangs.
func (c *connection) interrupt() { _ = c.SetWriteDeadline(time.Unix(1, 0)) }

// message writes the notice as it goes over the wire.
func (s *Syslog) message(n sink.Notice) ([]byte, error) {
	o, err := ocsf.Parse(n)
	if err != nil {
		return nil, err
	}
	payload := []byte(nil)
	if s.opt.Format == CEF {
		payload = cef(n, o, s.opt.Limit.Max)
	} else if payload, err = s.json(n); err != nil {
		return nil, err
	}
	m := rfc5424.Message{
		Priority: s.facility<<3 | severity(o.SeverityID), Timestamp: n.At.UTC(), Hostname: name(n.Host), AppName: "tidewaiter",
		ProcessID: strconv.Itoa(os.Getpid()), MessageID: "finding", Message: payload,
	}
	b, err := m.MarshalBinary()
	switch {
	case err != nil:
		return nil, sink.Permanent(fmt.Errorf("notice %s: %w", n.ID, err))
	case s.stream() && s.opt.Newline:
		return append(b, '\n'), nil
	case s.stream():
		return append(strconv.AppendInt(nil, int64(len(b)), 10), append([]byte{' '}, b...)...), nil
	}
	return b, nil
}

// json is the finding in ASCII: RFC 5424 wants a mark before any UTF-8, which
// readers of JSON stumble over.
func (s *Syslog) json(n sink.Notice) ([]byte, error) {
	limit := s.opt.Limit
	for {
		b, err := ocsf.JSON(n, limit)
		if err != nil {
			return nil, err
		}
		a := ascii(b)
		if len(a) <= s.opt.Limit.Max {
			return a, nil
		}
		// Escapes take at most three times the room.
		limit.Max = min(limit.Max, len(b)) * 3 / 4
	}
}

// ascii writes JSON's characters beyond ASCII as escapes.
func ascii(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for _, r := range string(b) {
		switch {
		case r < 0x7f:
			out = append(out, byte(r))
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// severity is syslog's for an OCSF severity.
func severity(id int) rfc5424.Priority {
	switch id {
	case 5:
		return rfc5424.Crit
	case 4:
		return rfc5424.Error
	case 3:
		return rfc5424.Warning
	case 2:
		return rfc5424.Notice
	}
	return rfc5424.Info
}

// name is a host's in printable ASCII, as the header wants it.
func name(host string) string {
	host = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, host)
	return host[:min(len(host), 255)]
}

// Close implements sink.Sink.
func (s *Syslog) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
	return nil
}
