package wire

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// packet is what is read of a datagram or a TCP segment.
type packet struct {
	meta
	tcp      bool
	src, dst netip.AddrPort
	// number tells packets apart on their way through the host, whatever is done
	// to their addresses: the sequence number of TCP, the identification of IPv4.
	// It is 0 if there is none.
	number  uint32
	payload []byte
}

// conn is who talks to whom.
type conn struct {
	client, server netip.AddrPort
	tcp            bool
}

// parse reads a packet from the network header on; the payload is part of data.
// What was cut off at the end is missing there. ok is false for what nobody
// reads here.
func (p *packet) parse(data []byte, m meta) (ok bool) {
	*p = packet{meta: m}
	if len(data) == 0 {
		return false
	}
	var protocol byte
	var src, dst netip.Addr
	switch data[0] >> 4 {
	case 4:
		src, dst, protocol, data = p.parseIPv4(data)
	case 6:
		src, dst, protocol, data = p.parseIPv6(data)
	}
	switch {
	case protocol == unix.IPPROTO_UDP && len(data) >= 8:
		if n := int(binary.BigEndian.Uint16(data[4:])); n >= 8 && n < len(data) {
			data = data[:n]
		}
		p.payload = data[8:]
	case protocol == unix.IPPROTO_TCP && len(data) >= 20:
		header := int(data[12]>>4) * 4
		if header < 20 || header > len(data) {
			return false
		}
		p.tcp, p.number = true, binary.BigEndian.Uint32(data[4:])
		p.payload = data[header:]
	default:
		return false
	}
	p.src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(data))
	p.dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(data[2:]))
	return len(p.payload) > 0
}

// parseIPv4 gives what follows the header; of a packet without its beginning
// nothing.
func (p *packet) parseIPv4(data []byte) (src, dst netip.Addr, protocol byte, rest []byte) {
	if len(data) < 20 {
		return src, dst, 0, nil
	}
	header := int(data[0]&15) * 4
	if header < 20 || header > len(data) || binary.BigEndian.Uint16(data[6:])&0x1fff != 0 {
		return src, dst, 0, nil
	}
	// Behind the packet there can be padding. What the kernel put together can be
	// longer than the field holds, and says 0.
	if n := int(binary.BigEndian.Uint16(data[2:])); n >= header && n < len(data) {
		data = data[:n]
	}
	p.number = uint32(binary.BigEndian.Uint16(data[4:]))
	return netip.AddrFrom4([4]byte(data[12:])), netip.AddrFrom4([4]byte(data[16:])), data[9], data[header:]
}

func (p *packet) parseIPv6(data []byte) (src, dst netip.Addr, protocol byte, rest []byte) {
	const header = 40
	if len(data) < header {
		return src, dst, 0, nil
	}
	if n := header + int(binary.BigEndian.Uint16(data[4:])); n > header && n < len(data) {
		data = data[:n]
	}
	return netip.AddrFrom16([16]byte(data[8:])).Unmap(), netip.AddrFrom16([16]byte(data[24:])).Unmap(), data[6], data[header:]
}

// toServer reports whether a packet is on the way to who serves. Of datagrams
// with both ports that of DNS it is told by the message.
func (p *packet) toServer() bool {
	if p.src.Port() == portDNS && p.dst.Port() == portDNS && !p.tcp && len(p.payload) > 2 {
		return p.payload[2]&0x80 == 0
	}
	return served(p.dst.Port())
}

// served reports whether a port is one that is looked at.
func served(port uint16) bool {
	return port == portDNS || port == portDocker || slices.Contains(portsTLS, port)
}

// conn is between whom the packet goes, as its addresses say here.
func (p *packet) conn(toServer bool) conn {
	if toServer {
		return conn{p.src, p.dst, p.tcp}
	}
	return conn{p.dst, p.src, p.tcp}
}
