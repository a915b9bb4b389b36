package auditd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
)

// maxSockaddr is sizeof(struct sockaddr_storage), the most that the kernel
// takes from a caller.
const maxSockaddr = 128

// Address families (linux/socket.h).
const (
	familyUnix  = 1
	familyInet  = 2
	familyInet6 = 10
)

var errSockaddr = errors.New("SOCKADDR record is cut or damaged: expected saddr=HEX")

// parseSockaddr appends the address bytes of a SOCKADDR record. The enriched
// "SADDR={ … }" may be glued to them.
func parseSockaddr(dst, body []byte) ([]byte, error) {
	f := fields{b: body}
	for {
		key, v, ok := f.next()
		if !ok {
			return dst, errSockaddr
		}
		if string(key) != "saddr" {
			continue
		}
		text := v.text
		if i := bytes.Index(text, []byte("SADDR=")); i >= 0 {
			text = text[:i]
		}
		if len(text) < 4 || len(text) > 2*maxSockaddr || len(text)%2 != 0 || v.form != bare {
			return dst, errSockaddr
		}
		out, ok := appendHex(dst, text)
		if !ok {
			return dst, errSockaddr
		}
		return out, nil
	}
}

// address is what a sockaddr names: one of the two is set, or none for a
// family that is not read.
type address struct {
	inet netip.AddrPort
	unix string
}

// decodeSockaddr reads a struct sockaddr. The family is in the host's byte
// order; every family in use is below 256, so the byte that is not zero is it,
// whichever host wrote the record. Ports and addresses are in network order.
func decodeSockaddr(b []byte) address {
	if len(b) < 2 || b[0] != 0 && b[1] != 0 {
		return address{}
	}
	rest := b[2:]
	switch b[0] | b[1] {
	case familyUnix:
		return address{unix: unixPath(rest)}
	case familyInet:
		if len(rest) >= 6 {
			return address{inet: netip.AddrPortFrom(netip.AddrFrom4([4]byte(rest[2:6])), binary.BigEndian.Uint16(rest))}
		}
	case familyInet6:
		// Port, flow label, address. The scope id behind them numbers an
		// interface of one network namespace and means nothing elsewhere. An
		// IPv4 address in IPv6 clothing is IPv4 on the wire, and in every
		// flow record.
		if len(rest) >= 22 {
			addr := netip.AddrFrom16([16]byte(rest[6:22])).Unmap()
			return address{inet: netip.AddrPortFrom(addr, binary.BigEndian.Uint16(rest))}
		}
	}
	return address{}
}

// unixPath is the path of a unix socket, or "@name" for one in the abstract
// namespace (unix(7)), as ss and /proc/net/unix print it. An abstract name is
// as long as the caller said: callers that pass the whole structure pad it with
// zeros, which are dropped.
func unixPath(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if b[0] != 0 {
		if end := bytes.IndexByte(b, 0); end >= 0 {
			b = b[:end]
		}
		return string(b)
	}
	name := bytes.TrimRight(b[1:], "\x00")
	if len(name) == 0 {
		return ""
	}
	return "@" + string(bytes.ReplaceAll(name, []byte{0}, []byte{'@'}))
}
