package conntrack

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ti-mo/conntrack"

	"tidewaiter/event"
	"tidewaiter/sensor"
	"tidewaiter/sensor/sensortest"
	"tidewaiter/source/flow"
	"tidewaiter/source/sourcetest"
)

var at = time.Unix(1795300000, 100_200_345)

func tuple(protocol uint8, src, dst string, sport, dport uint16) conntrack.Tuple {
	return conntrack.Tuple{
		IP:    conntrack.IPTuple{SourceAddress: netip.MustParseAddr(src), DestinationAddress: netip.MustParseAddr(dst)},
		Proto: conntrack.ProtoTuple{Protocol: protocol, SourcePort: sport, DestinationPort: dport},
	}
}

func begun() *conntrack.Flow {
	return &conntrack.Flow{
		ID: 731, Timeout: 120, Status: conntrack.Status{Value: conntrack.StatusConfirmed},
		ProtoInfo:  conntrack.ProtoInfo{TCP: &conntrack.ProtoInfoTCP{State: 1}},
		TupleOrig:  tuple(6, "10.42.0.7", "203.0.113.66", 41446, 3333),
		TupleReply: tuple(6, "203.0.113.66", "192.0.2.10", 3333, 41446),
	}
}

// TestLines compares with what conntrack 1.4 printed for such events.
func TestLines(t *testing.T) {
	ended := begun()
	ended.Timeout, ended.ProtoInfo.TCP = 0, nil
	ended.Status.Value |= conntrack.StatusSeenReply | conntrack.StatusAssured
	ended.CountersOrig = conntrack.Counter{Packets: 9, Bytes: 900}
	ended.CountersReply = conntrack.Counter{Direction: true}
	ended.Mark, ended.Zone, ended.TupleOrig.Zone = 7, 3, 4
	ended.Timestamp = conntrack.Timestamp{Start: at.Add(-61 * time.Second), Stop: at}
	echo := &conntrack.Flow{
		ID: 99, Timeout: 30, Status: conntrack.Status{Value: conntrack.StatusConfirmed},
		TupleOrig: tuple(58, "2001:db8::7", "2001:db8::9", 0, 0), TupleReply: tuple(58, "2001:db8::9", "2001:db8::7", 0, 0),
	}
	echo.TupleOrig.Proto.ICMPType, echo.TupleOrig.Proto.ICMPID = 128, 21
	echo.TupleReply.Proto.ICMPType, echo.TupleReply.Proto.ICMPID = 129, 21
	tunnel := &conntrack.Flow{ID: 5, TupleOrig: tuple(47, "10.42.0.7", "203.0.113.9", 0, 7), TupleReply: tuple(47, "203.0.113.9", "10.42.0.7", 7, 0)}
	other := &conntrack.Flow{ID: 6, TupleOrig: tuple(50, "10.42.0.7", "203.0.113.9", 0, 0), TupleReply: tuple(50, "203.0.113.9", "10.42.0.7", 0, 0)}
	odd := begun()
	odd.ProtoInfo.TCP.State = 77
	var all string
	for _, c := range []struct {
		e    conntrack.Event
		want string
	}{
		{conntrack.Event{Type: conntrack.EventNew, Flow: begun()}, "[1795300000.100200]\t    [NEW] tcp      6 120 SYN_SENT src=10.42.0.7 dst=203.0.113.66 sport=41446 dport=3333 [UNREPLIED] src=203.0.113.66 dst=192.0.2.10 sport=3333 dport=41446 id=731\n"},
		{conntrack.Event{Type: conntrack.EventDestroy, Flow: ended}, "[1795300000.100200]\t[DESTROY] tcp      6 src=10.42.0.7 dst=203.0.113.66 sport=41446 dport=3333 zone-orig=4 packets=9 bytes=900 src=203.0.113.66 dst=192.0.2.10 sport=3333 dport=41446 packets=0 bytes=0 [ASSURED] mark=7 zone=3 delta-time=61 id=731\n"},
		{conntrack.Event{Type: conntrack.EventNew, Flow: echo}, "[1795300000.100200]\t    [NEW] icmpv6   58 30 src=2001:db8::7 dst=2001:db8::9 type=128 code=0 id=21 [UNREPLIED] src=2001:db8::9 dst=2001:db8::7 type=129 code=0 id=21 id=99\n"},
		{conntrack.Event{Type: conntrack.EventNew, Flow: tunnel}, "[1795300000.100200]\t    [NEW] gre      47 src=10.42.0.7 dst=203.0.113.9 srckey=0x0 dstkey=0x7 src=203.0.113.9 dst=10.42.0.7 srckey=0x7 dstkey=0x0 id=5\n"},
		{conntrack.Event{Type: conntrack.EventNew, Flow: other}, "[1795300000.100200]\t    [NEW] unknown  50 src=10.42.0.7 dst=203.0.113.9 src=203.0.113.9 dst=10.42.0.7 id=6\n"},
		{conntrack.Event{Type: conntrack.EventNew, Flow: odd}, "[1795300000.100200]\t    [NEW] tcp      6 120 src=10.42.0.7 dst=203.0.113.66 sport=41446 dport=3333 [UNREPLIED] src=203.0.113.66 dst=192.0.2.10 sport=3333 dport=41446 id=731\n"},
		{conntrack.Event{Type: conntrack.EventUpdate, Flow: begun()}, "[1795300000.100200]\t [UPDATE] tcp      6 120 SYN_SENT src=10.42.0.7 dst=203.0.113.66 sport=41446 dport=3333 [UNREPLIED] src=203.0.113.66 dst=192.0.2.10 sport=3333 dport=41446 id=731\n"},
		{conntrack.Event{Type: conntrack.EventExpNew}, ""},
		{conntrack.Event{Flow: begun()}, ""},
	} {
		got := string(appendEvent(nil, &c.e, at))
		if got != c.want {
			t.Errorf("\n got %q\nwant %q", got, c.want)
		}
		all += got
	}
	events, tally := sourcetest.Decode(t, flow.Conntrack(), all)
	if len(events) != 6 || tally.Skipped != 1 || tally.Unreadable != 0 {
		t.Errorf("%d events: %+v", len(events), tally)
	}
	sourcetest.Require(t, events, func(f *event.Flow) bool { return !f.End.IsZero() && f.BytesOut == 900 && f.BytesIn == 0 })
}

// TestBatch: what came since the last time is recorded at once, and what did not
// fit is counted.
func TestBatch(t *testing.T) {
	b, r := newBatch(), sensortest.New("")
	b.tell(r)
	line := appendEvent(nil, &conntrack.Event{Type: conntrack.EventNew, Flow: begun()}, at)
	for range 1000 {
		b.add(line)
	}
	<-b.wake
	b.tell(r)
	if n := len(r.Lines("conntrack")); n != 1000 || r.Calls() != 1 {
		t.Errorf("%d lines in %d calls", n, r.Calls())
	}
	for range maxBatch/len(line) + 5 {
		b.add(line)
	}
	b.overflow()
	b.overflow()
	b.misread()
	b.tell(r)
	want := "-1 netlink buffer overflow (ENOBUFS); 5 connections come faster than they are recorded; 1 connection tracking events that cannot be read"
	if got := strings.Join(r.Losses(), "; "); got != want {
		t.Errorf("losses %s", got)
	}
	if cap(b.spare) > maxSpare {
		t.Errorf("%d bytes are kept", cap(b.spare))
	}
}

func TestLacks(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), os.Args[0]} {
		err := New(Options{NetNS: path}).Watch(t.Context(), sensortest.New(""))
		var lack *sensor.Lack
		if errors.As(err, &lack) != (path != os.Args[0]) || err == nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
