package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

var start = time.Unix(1795300000, 100_200_000)

// sent is a packet as it passes an interface.
type sent struct {
	src, dst string // with ports
	seq      uint32 // of TCP; the identification of IPv4
	udp      bool
	payload  string
}

func (s sent) bytes() []byte {
	src, dst := netip.MustParseAddrPort(s.src), netip.MustParseAddrPort(s.dst)
	var transport []byte
	transport = binary.BigEndian.AppendUint16(transport, src.Port())
	transport = binary.BigEndian.AppendUint16(transport, dst.Port())
	protocol, id := byte(unix.IPPROTO_TCP), uint16(77)
	if s.udp {
		protocol, id = unix.IPPROTO_UDP, uint16(s.seq)
		transport = append(binary.BigEndian.AppendUint16(transport, uint16(8+len(s.payload))), 0, 0)
	} else {
		transport = binary.BigEndian.AppendUint32(transport, s.seq)
		transport = append(transport, 0, 0, 0, 0, 6<<4, 0x18, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0) // 4 bytes of options
	}
	transport = append(transport, s.payload...)
	if src.Addr().Is4() {
		b := []byte{0x46, 0} // with options
		b = binary.BigEndian.AppendUint16(b, uint16(24+len(transport)))
		b = binary.BigEndian.AppendUint16(b, id)
		b = append(b, 0x40, 0, 64, protocol, 0, 0)
		b = append(append(b, src.Addr().AsSlice()...), dst.Addr().AsSlice()...)
		return append(append(b, 1, 1, 1, 0), transport...)
	}
	b := binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(transport)))
	b = append(b, protocol, 64)
	b = append(append(b, src.Addr().AsSlice()...), dst.Addr().AsSlice()...)
	return append(b, transport...)
}

func fragmented(b []byte) []byte { b[7] = 3; return b }

// TestFilter runs the kernel's filter: what is read passes, and nothing else.
func TestFilter(t *testing.T) {
	program, err := resolve(filter())
	if err != nil {
		t.Fatal(err)
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	const hello, other = "\x16\x03\x01\x00\x10\x01rest", "\x17\x03\x03\x00\x10\x01rest"
	for _, six := range []bool{false, true} {
		at := func(port int, server bool) string {
			host := map[bool]string{false: "192.0.2.1", true: "192.0.2.2"}[server]
			if six {
				host = map[bool]string{false: "[2001:db8::1]", true: "[2001:db8::2]"}[server]
			}
			return fmt.Sprintf("%s:%d", host, port)
		}
		for _, c := range []struct {
			what   string
			packet []byte
			passes bool
		}{
			{"a question", sent{at(4000, false), at(53, true), 1, true, "x"}.bytes(), true},
			{"an answer", sent{at(53, true), at(4000, false), 1, true, "x"}.bytes(), true},
			{"a datagram", sent{at(4000, false), at(443, true), 1, true, hello}.bytes(), false},
			{"a question over TCP", sent{at(4000, false), at(53, true), 1, false, "x"}.bytes(), true},
			{"an acknowledgement", sent{at(4000, false), at(53, true), 1, false, ""}.bytes(), false},
			{"a call", sent{at(4000, false), at(2375, true), 1, false, "x"}.bytes(), true},
			{"its answer", sent{at(2375, true), at(4000, false), 1, false, "x"}.bytes(), true},
			{"an empty call", sent{at(4000, false), at(2375, true), 1, false, ""}.bytes(), false},
			{"a greeting", sent{at(4000, false), at(443, true), 1, false, hello}.bytes(), true},
			{"a greeting of the API", sent{at(4000, false), at(6443, true), 1, false, hello}.bytes(), true},
			{"another greeting", sent{at(4000, false), at(8443, true), 1, false, hello}.bytes(), true},
			{"a server's greeting", sent{at(443, true), at(4000, false), 1, false, "\x16\x03\x03\x00\x10\x02rest"}.bytes(), false},
			{"data", sent{at(4000, false), at(443, true), 1, false, other}.bytes(), false},
			{"less than a greeting", sent{at(4000, false), at(443, true), 1, false, hello[:4]}.bytes(), false},
			{"another port", sent{at(4000, false), at(80, true), 1, false, hello}.bytes(), false},
		} {
			n, err := vm.Run(c.packet)
			if err != nil || n > 0 != c.passes {
				t.Errorf("%s, IPv6 %v: %d bytes pass, want that it passes: %v (%v)", c.what, six, n, c.passes, err)
			}
			var p packet
			if c.passes && !p.parse(c.packet, meta{at: start}) {
				t.Errorf("%s, IPv6 %v: passes and is not read", c.what, six)
			}
		}
	}
	for what, packet := range map[string][]byte{
		"a later fragment": fragmented(sent{"192.0.2.1:53", "192.0.2.2:53", 1, true, "x"}.bytes()),
		"ARP":              {0, 1, 8, 0, 6, 4, 0, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2},
		"nothing":          {}, "one byte": {0x45},
	} {
		if n, _ := vm.Run(packet); n != 0 {
			t.Errorf("%s passes", what)
		}
		var p parsed
		if p.parse(packet, meta{}) {
			t.Errorf("%s is read", what)
		}
	}
}

// parsed is packet, where that is the name of a variable.
type parsed = packet

// TestCopies: of a packet that is seen before and after its addresses are
// translated the first counts; an answer finds its question by any; and what
// comes in with other addresses is another packet.
func TestCopies(t *testing.T) {
	const container, host, server = "192.0.2.10:4000", "198.51.100.2:5000", "203.0.113.53:53"
	inner := conn{netip.MustParseAddrPort(container), netip.MustParseAddrPort(server), false}
	c := newCopies()
	first := func(s sent, outgoing bool, after time.Duration) (conn, bool) {
		t.Helper()
		var p packet
		if !p.parse(s.bytes(), meta{at: start.Add(after), outgoing: outgoing}) {
			t.Fatal("not read")
		}
		return c.first(&p, p.toServer())
	}
	ask, answer := string(asking(7, "a.example.")), string(answerTo(asking(7, "a.example.")))
	for i, s := range []struct {
		sent
		outgoing bool
		after    time.Duration
		want     conn
		first    bool
	}{
		{sent{container, server, 9, true, ask}, false, 0, inner, true},
		{sent{container, server, 9, true, ask}, false, 0, inner, false},
		{sent{host, server, 9, true, ask}, true, 0, inner, false},
		{sent{server, host, 3, true, answer}, false, time.Millisecond, inner, true},
		{sent{server, container, 3, true, answer}, true, time.Millisecond, inner, false},
		{sent{"192.0.2.11:4000", server, 9, true, ask}, false, time.Millisecond, conn{netip.MustParseAddrPort("192.0.2.11:4000"), inner.server, false}, true},
		{sent{container, server, 9, true, ask}, false, 5 * time.Second, inner, true},
		// The host asks from the port that was the container's outside.
		{sent{host, server, 12, true, ask}, true, 6 * time.Second, conn{netip.MustParseAddrPort(host), inner.server, false}, true},
		{sent{server, host, 13, true, answer}, false, 6 * time.Second, conn{netip.MustParseAddrPort(host), inner.server, false}, true},
	} {
		got, isFirst := first(s.sent, s.outgoing, s.after)
		if isFirst != s.first || isFirst && got != s.want {
			t.Errorf("packet %d: %v, first %v", i, got, isFirst)
		}
	}
}

// TestRecentIsBounded: what is remembered is at most twice the bound.
func TestRecentIsBounded(t *testing.T) {
	r := recent[int, int]{limit: 10, keep: time.Second}
	for i := range 1000 {
		r.put(i, i, start)
		if len(r.younger)+len(r.older) > 20 {
			t.Fatal("not bounded")
		}
	}
	if v, ok := r.get(999, start); !ok || v != 999 {
		t.Error("forgot the last one")
	}
	if _, ok := r.get(999, start.Add(3*time.Second)); ok {
		t.Error("remembers for too long")
	}
}

// TestParseNeverReadsBeyond: every beginning of a packet is read or refused.
func TestParseNeverReadsBeyond(t *testing.T) {
	for _, s := range []sent{
		{"192.0.2.1:4000", "192.0.2.2:53", 1, true, strings.Repeat("x", 40)}, {"192.0.2.1:4000", "192.0.2.2:2375", 1, false, "GET / HTTP/1.1"},
		{"[2001:db8::1]:4000", "[2001:db8::2]:53", 1, true, "abc"}, {"[2001:db8::1]:4000", "[2001:db8::2]:443", 1, false, "abc"},
	} {
		whole := s.bytes()
		for n := range whole {
			var p packet
			p.parse(whole[:n], meta{})
		}
		var p packet
		if padded := append(whole, "padding"...); !p.parse(padded, meta{}) || string(p.payload) != s.payload {
			t.Errorf("payload %q", p.payload)
		}
	}
}
