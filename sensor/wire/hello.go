package wire

import (
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// Numbers of TLS (RFC 8446, 5.1, 4, 4.2).
const (
	recordHandshake            = 22
	messageClientHello         = 1
	extensionServerName        = 0
	extensionSupportedVersions = 43
	nameTypeHost               = 0
)

// hello is what a client says when it greets.
type hello struct {
	name    string // "" if it names no server
	version uint16 // the highest that it offers, 0 if that is not known
}

// parseHello reads a ClientHello as far as it is there: it can be longer than a
// segment, and what comes later is not seen. Of one with an encrypted inner
// greeting (ECH) the outer name is read, which is that of who decrypts it.
func parseHello(data []byte) (h hello, ok bool) {
	s := cryptobyte.String(data)
	var kind, message uint8
	var length, size, legacy uint32
	var version uint16
	if !s.ReadUint8(&kind) || kind != recordHandshake || !s.ReadUint16(&version) || version>>8 != 3 || !read16(&s, &length) ||
		!s.ReadUint8(&message) || message != messageClientHello || !s.ReadUint24(&size) || !read16(&s, &legacy) {
		return h, false
	}
	h.version = uint16(legacy)
	var session, suites, methods cryptobyte.String
	if !s.Skip(32) || !s.ReadUint8LengthPrefixed(&session) || !s.ReadUint16LengthPrefixed(&suites) || !s.ReadUint8LengthPrefixed(&methods) {
		return h, true
	}
	s.Skip(2) // how long all extensions are
	for !s.Empty() {
		var extension uint16
		var body cryptobyte.String
		if !s.ReadUint16(&extension) || !s.ReadUint16LengthPrefixed(&body) {
			return h, true
		}
		switch extension {
		case extensionServerName:
			h.name = readServerName(body)
		case extensionSupportedVersions:
			h.version = max(h.version, highestVersion(body))
		}
	}
	return h, true
}

func read16(s *cryptobyte.String, into *uint32) bool {
	var n uint16
	ok := s.ReadUint16(&n)
	*into = uint32(n)
	return ok
}

// readServerName reads the extension of RFC 6066, 3. A server takes the first
// name; there are no other kinds of names.
func readServerName(body cryptobyte.String) string {
	var list, name cryptobyte.String
	var kind uint8
	if !body.ReadUint16LengthPrefixed(&list) || !list.ReadUint8(&kind) || kind != nameTypeHost || !list.ReadUint16LengthPrefixed(&name) {
		return ""
	}
	return strings.ToValidUTF8(bounded(strings.TrimSuffix(string(name), "."), maxName), "\uFFFD")
}

// highestVersion is the highest that is offered, without the made-up ones by
// which clients keep servers tolerant (RFC 8701).
func highestVersion(body cryptobyte.String) (highest uint16) {
	var list cryptobyte.String
	if !body.ReadUint8LengthPrefixed(&list) {
		return 0
	}
	for v := uint16(0); list.ReadUint16(&v); {
		if v>>8 == 3 {
			highest = max(highest, v)
		}
	}
	return highest
}

// versionNames are Zeek's.
var versionNames = map[uint16]string{0x0300: "SSLv3", 0x0301: "TLSv10", 0x0302: "TLSv11", 0x0303: "TLSv12", 0x0304: "TLSv13"}
