package policy

import (
	"fmt"
	"math"
	"net/netip"

	"go.yaml.in/yaml/v3"
)

// grain is how wide a destination is that counts as one for "never seen". The zero
// grain is a single address.
type grain struct {
	ipv4, ipv6 int // bits of a network, 0 for all
	asn        bool
}

// KnownAs is as what memory knows a destination: its host, unless the policy says
// that its network, or its autonomous system where the database has it, is enough.
// addr is invalid for what is known by its name only.
func (p *Policy) KnownAs(host string, addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return host
	}
	if p.grain.asn {
		if system := p.System(addr); system.Number != 0 {
			return fmt.Sprintf("AS%d", system.Number)
		}
	}
	bits := p.grain.ipv6
	if addr.Is4() {
		bits = p.grain.ipv4
	}
	if network, err := addr.Prefix(bits); err == nil && bits > 0 && bits < addr.BitLen() {
		return network.String()
	}
	return host
}

// readFirstSeen reads what counts as one destination.
func (l *loader) readFirstSeen(n *yaml.Node) {
	bits := func(val *yaml.Node, path string, most int) int {
		got := l.value(val, path, Number).Number()
		if got < 1 || got > float64(most) || got != math.Trunc(got) {
			l.fault(val, path, "want the bits of a network, 1 to %d", most)
			return 0
		}
		return int(got)
	}
	l.mapping(n, "first_seen", func(key string, at, val *yaml.Node) {
		switch path := join("first_seen", key); key {
		case "ipv4":
			l.policy.grain.ipv4 = bits(val, path, 32)
		case "ipv6":
			l.policy.grain.ipv6 = bits(val, path, 128)
		case "asn":
			if l.policy.grain.asn = l.value(val, path, Flag).Flag(); l.policy.grain.asn {
				l.systems = append(l.systems, entry{node: &yaml.Node{Line: val.Line, Column: val.Column, Value: "asn: true"}, path: path})
			}
		default:
			l.fault(at, path, "unknown key%s", suggestion(key, []string{"ipv4", "ipv6", "asn"}))
		}
	})
}

// firstSeenSchema is the JSON Schema of the key.
func firstSeenSchema() map[string]any {
	bits := func(most int, doc string) map[string]any {
		return map[string]any{"type": "integer", "minimum": 1, "maximum": most, "description": doc}
	}
	return object(map[string]any{
		"ipv4": bits(32, "Bits of the network that an IPv4 address stands for. Default: 32, the address itself."),
		"ipv6": bits(128, "Bits of the network that an IPv6 address stands for. Default: 128."),
		"asn":  map[string]any{"type": "boolean", "description": "Whether an address stands for its autonomous system, where asn_database tells it."},
	}, "What counts as one destination for \"never seen\".")
}
