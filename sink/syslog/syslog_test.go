package syslog_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	rfc5424 "github.com/leodido/go-syslog/v4/rfc5424"

	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/post"
	"tidewaiter/sink/sinktest"
	"tidewaiter/sink/syslog"
)

var _ sink.Sink = (*syslog.Syslog)(nil)

// listener takes connections and hands on what it reads.
type listener struct {
	net.Listener
	frames chan string
	conns  chan net.Conn
}

// listen reads counted octets, or lines.
func listen(t *testing.T, network, address string, secure *tls.Config, lines bool) *listener {
	t.Helper()
	inner, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if secure != nil {
		inner = tls.NewListener(inner, secure)
	}
	l := &listener{inner, make(chan string, 10), make(chan net.Conn, 10)}
	t.Cleanup(func() { _ = inner.Close() })
	go func() {
		for {
			c, err := inner.Accept()
			if err != nil {
				return
			}
			l.conns <- c
			go l.read(c, lines)
		}
	}()
	return l
}

func (l *listener) read(c net.Conn, lines bool) {
	r := bufio.NewReader(c)
	for {
		if lines {
			s, err := r.ReadString('\n')
			if err != nil {
				return
			}
			l.frames <- strings.TrimSuffix(s, "\n")
			continue
		}
		count, err := r.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(count, " "))
		if err != nil {
			l.frames <- "no count: " + count
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		l.frames <- string(b)
	}
}

func next(t *testing.T, frames chan string) string {
	t.Helper()
	select {
	case f := <-frames:
		return f
	case <-time.After(10 * time.Second):
		t.Fatal("nothing arrived")
	}
	return ""
}

// parse reads a message by another's parser.
func parse(t *testing.T, frame string) *rfc5424.SyslogMessage {
	t.Helper()
	m, err := rfc5424.NewParser().Parse([]byte(frame))
	if err != nil {
		t.Fatalf("%v in %.300q", err, frame)
	}
	return m.(*rfc5424.SyslogMessage)
}

func open(t *testing.T, opt syslog.Options) *syslog.Syslog {
	t.Helper()
	s, err := syslog.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestEveryTransportIsUnderstood(t *testing.T) {
	files := sinktest.Certificate(t)
	dir := t.TempDir()
	secure := listen(t, "tcp", "127.0.0.1:0", files.Server(t), false)
	plain := listen(t, "tcp", "127.0.0.1:0", nil, false)
	lines := listen(t, "tcp", "127.0.0.1:0", nil, true)
	local := listen(t, "unix", filepath.Join(dir, "stream"), nil, false)
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gram, err := net.ListenPacket("unixgram", filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	packets := func(c net.PacketConn) chan string {
		t.Cleanup(func() { _ = c.Close() })
		out := make(chan string, 10)
		go func() {
			b := make([]byte, 1<<16)
			for {
				n, _, err := c.ReadFrom(b)
				if err != nil {
					return
				}
				out <- string(b[:n])
			}
		}()
		return out
	}
	for name, c := range map[string]struct {
		opt    syslog.Options
		frames chan string
	}{
		"TCP":      {syslog.Options{Address: "tcp://" + plain.Addr().String()}, plain.frames},
		"lines":    {syslog.Options{Address: "tcp://" + lines.Addr().String(), Newline: true}, lines.frames},
		"TLS":      {syslog.Options{Address: "tls://" + secure.Addr().String(), TLS: post.TLS{CA: files.Cert}}, secure.frames},
		"unix":     {syslog.Options{Address: "unix://" + filepath.Join(dir, "stream")}, local.frames},
		"unixgram": {syslog.Options{Address: "unixgram://" + filepath.Join(dir, "log")}, packets(gram)},
		"UDP":      {syslog.Options{Address: "udp://" + udp.LocalAddr().String()}, packets(udp)},
	} {
		for _, format := range []syslog.Format{syslog.OCSF, syslog.CEF} {
			c.opt.Format = format
			s := open(t, c.opt)
			for _, n := range []sink.Notice{sinktest.Notice(t), long(sinktest.HostileNotice(t))} {
				if err := s.Deliver(t.Context(), n); err != nil {
					t.Fatalf("%s %s: %v", name, format, err)
				}
				check(t, name, format, next(t, c.frames))
			}
		}
	}
}

// long drops the texts that no datagram holds; that these fail for good is
// another test's.
func long(n sink.Notice) sink.Notice {
	var o finding.OCSF
	if json.Unmarshal(n.Told.JSON, &o) == nil {
		o.Message, o.FindingInfo.Title, o.Unmapped.Chain = sinktest.Hostile, sinktest.Hostile, "ü𝄞"
		o.Unmapped.Signals, o.Resources, o.Unmapped.ToSettle = o.Unmapped.Signals[:1], nil, nil
		n.Told.JSON, _ = json.Marshal(o)
	}
	return n
}

func check(t *testing.T, name string, format syslog.Format, frame string) {
	t.Helper()
	if strings.ContainsAny(frame, "\r\n\x00\x1b") {
		t.Errorf("%s %s: %q holds controls", name, format, frame)
	}
	m := parse(t, frame)
	if *m.Facility != 16 || *m.Severity != 2 || *m.Appname != "tidewaiter" || *m.MsgID != "finding" || m.Timestamp.UnixMilli() != 1_793_960_600_250 || *m.Hostname == "" {
		t.Errorf("%s: %+v", name, m)
	}
	if format == syslog.CEF {
		if !strings.HasPrefix(*m.Message, "CEF:0|tidewaiter|") {
			t.Errorf("%s: %s", name, *m.Message)
		}
		return
	}
	var o finding.OCSF
	if err := json.Unmarshal([]byte(*m.Message), &o); err != nil || o.FindingInfo.UID == "" || strings.ContainsFunc(*m.Message, func(r rune) bool { return r > '~' }) {
		t.Errorf("%s: %v in %.200s", name, err, *m.Message)
	}
}

// A receiver that was started anew gets what comes next.
func TestABrokenConnectionIsMadeAgain(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0", nil, false)
	s := open(t, syslog.Options{Address: "tcp://" + l.Addr().String()})
	n := sinktest.Notice(t)
	for range 3 {
		// A break shows when the news of it arrived; until then a message can be
		// swallowed, so that one is sent until one comes.
		arrived := false
		for range 100 {
			if err := s.Deliver(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			select {
			case f := <-l.frames:
				parse(t, f)
				arrived = true
			case <-time.After(100 * time.Millisecond):
			}
			if arrived {
				break
			}
		}
		if !arrived {
			t.Fatal("nothing arrives after a break")
		}
		_ = (<-l.conns).Close()
	}
}

func TestWhatDoesNotArriveIsTriedAgain(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0", nil, false)
	address := l.Addr().String()
	_ = l.Close()
	s := open(t, syslog.Options{Address: "tcp://" + address, Timeout: time.Second})
	sinktest.Sorted(t, "nobody listens", s.Deliver(t.Context(), sinktest.Notice(t)), "retry")
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	sinktest.Sorted(t, "stopped", s.Deliver(stopped, sinktest.Notice(t)), "retry")
	small := open(t, syslog.Options{Address: "tcp://" + address, Limit: ocsf.Limit{Max: 2048}})
	err := small.Deliver(t.Context(), sinktest.HostileNotice(t))
	sinktest.Sorted(t, "too long", err, "permanent")
	if !errors.Is(err, ocsf.ErrTooLong) {
		t.Error(err)
	}
	untrusted := listen(t, "tcp", "127.0.0.1:0", sinktest.Certificate(t).Server(t), false)
	s = open(t, syslog.Options{Address: "tls://" + untrusted.Addr().String(), Timeout: time.Second})
	sinktest.Sorted(t, "untrusted", s.Deliver(t.Context(), sinktest.Notice(t)), "retry")
}

// stuck takes connections and reads nothing.
func TestAReceiverThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	s := open(t, syslog.Options{Address: "tcp://" + inner.Addr().String(), Timeout: 300 * time.Millisecond, Limit: ocsf.Limit{Max: 32 << 20}})
	n := sinktest.Notice(t)
	n.Told.JSON = []byte(strings.Replace(string(n.Told.JSON), `"record":"`, `"record":"`+strings.Repeat("x", 24<<20), 1))
	sinktest.Sorted(t, "stuck", s.Deliver(t.Context(), n), "retry")
}

func TestBadOptionsAreRefused(t *testing.T) {
	for name, opt := range map[string]syslog.Options{
		"none": {}, "http": {Address: "http://h"}, "no host": {Address: "tcp://"}, "path": {Address: "tcp://h:1/x"}, "socket with a host": {Address: "unix://dev/log"},
		"facility": {Address: "tcp://h", Facility: "local9"}, "format": {Address: "tcp://h", Format: "leef"}, "user": {Address: "tcp://u:p@h"},
		"tiny": {Address: "tcp://h", Limit: ocsf.Limit{Max: 600}}, "CA": {Address: "tls://h", TLS: post.TLS{CA: "/nothing"}},
	} {
		if _, err := syslog.Open(opt); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
